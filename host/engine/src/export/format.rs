//! The forms in which events are written.

use std::io::{self, Write};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use serde::Serialize;

use super::Payload;

/// Longest payload in bytes that is looked at as a whole, to tell text from other bytes.
const TEXT_BYTES_MAX: u32 = 1 << 20;

/// Takes events one after the other.
pub trait EventSink {
    /// Takes an event: the name of its segment, the segment offset of its header, the length of its payload in bytes, and
    /// the payload, which must be read to its end.
    ///
    /// # Errors
    /// Of the payload and of whatever it is written to.
    fn event(&mut self, segment: &str, offset: u64, length: u32, payload: &mut Payload<'_>) -> io::Result<()>;
}

/// Each event is the length of its payload, 4 bytes, big-endian, then the payload. No header, no trailer: files can be
/// joined by writing one behind the other.
#[derive(Debug)]
pub struct LengthDelimited<W>(pub W);

impl<W: Write> EventSink for LengthDelimited<W> {
    fn event(&mut self, _segment: &str, _offset: u64, length: u32, payload: &mut Payload<'_>) -> io::Result<()> {
        self.0.write_all(&length.to_be_bytes())?;
        io::copy(payload, &mut self.0)?;
        Ok(())
    }
}

/// Each event is a JSON object in a line of its own, with `segment`, `offset`, `length`, and `text` if the payload is
/// UTF-8 and not above 1 MiB, else `base64`.
#[derive(Debug)]
pub struct JsonLines<W>(pub W);

#[derive(Serialize)]
struct Line<'a> {
    segment: &'a str,
    offset: u64,
    length: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl<W: Write> EventSink for JsonLines<W> {
    fn event(&mut self, segment: &str, offset: u64, length: u32, payload: &mut Payload<'_>) -> io::Result<()> {
        let line = |text| Line { segment, offset, length, text };
        if length > TEXT_BYTES_MAX {
            return self.write_base64(&line(None), payload);
        }
        let mut bytes = Vec::new();
        payload.read_to_end(&mut bytes)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                serde_json::to_writer(&mut self.0, &line(Some(text)))?;
                self.0.write_all(b"\n")
            }
            Err(_) => self.write_base64(&line(None), &mut bytes.as_slice()),
        }
    }
}

impl<W: Write> JsonLines<W> {
    /// The line without its closing brace, then the payload, which may be larger than memory.
    fn write_base64(&mut self, line: &Line<'_>, payload: &mut Payload<'_>) -> io::Result<()> {
        let open = serde_json::to_string(line)?;
        write!(self.0, "{},\"base64\":\"", open.trim_end_matches('}'))?;
        let mut encoder = EncoderWriter::new(&mut self.0, &STANDARD);
        io::copy(payload, &mut encoder)?;
        encoder.finish()?;
        drop(encoder);
        self.0.write_all(b"\"}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sink: impl Fn(&mut Vec<u8>, &[u8]) -> io::Result<()>, payloads: &[&[u8]]) -> Vec<u8> {
        let mut output = Vec::new();
        payloads.iter().for_each(|payload| sink(&mut output, payload).unwrap());
        output
    }

    fn length(payload: &[u8]) -> u32 {
        u32::try_from(payload.len()).unwrap()
    }

    #[test]
    fn lengths_stand_before_the_payloads() {
        let sink = |output: &mut Vec<u8>, payload: &[u8]| {
            LengthDelimited(output).event("s", 0, length(payload), &mut { payload })
        };
        assert_eq!(written(sink, &[b"one", b""]), [&[0, 0, 0, 3][..], b"one", &[0; 4]].concat());
    }

    #[test]
    fn lines_are_json_whatever_the_payload() {
        let sink =
            |output: &mut Vec<u8>, payload: &[u8]| JsonLines(output).event("s}", 7, length(payload), &mut { payload });
        let large = vec![b'x'; TEXT_BYTES_MAX as usize + 1];
        let text = String::from_utf8(written(sink, &[b"a\"\n", &[0xff, 0], &large])).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0], serde_json::json!({"segment": "s}", "offset": 7, "length": 3, "text": "a\"\n"}));
        assert_eq!(lines[1], serde_json::json!({"segment": "s}", "offset": 7, "length": 2, "base64": "/wA="}));
        assert_eq!(lines[2]["base64"].as_str().unwrap().len(), large.len().div_ceil(3) * 4);
        assert_eq!(lines.len(), 3);
    }
}

//! The part of the segment store's wire protocol by which a segment is looked at: requests that change nothing
//! (`WireCommands` of Pravega).
//!
//! Every message is `type i32 | length i32 | fields`. Fields may be added behind those that are known, so what is left of a
//! message is passed over.

use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer};

/// Bytes before the fields of a message.
pub const MESSAGE_HEADER_BYTES: usize = 8;
/// Longest message, header not counted: `MAX_WIRECOMMAND_SIZE`.
pub const MESSAGE_MAX_BYTES: usize = 0x007F_FFFF;
/// The versions that are announced. Nothing of what is used here has changed between them.
const HIGHEST_VERSION: i32 = 15;
const LOWEST_VERSION: i32 = 5;

const HELLO: i32 = -127;
const READ_SEGMENT: i32 = 9;
const SEGMENT_READ: i32 = 10;
const GET_SEGMENT_INFO: i32 = 11;
const SEGMENT_INFO: i32 = 12;
const WRONG_HOST: i32 = 50;
const NO_SUCH_SEGMENT: i32 = 53;
const SEGMENT_IS_TRUNCATED: i32 = 56;
const AUTHENTICATION_FAILED: i32 = 60;
const KEEP_ALIVE: i32 = 100;

/// What is asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreRequest<'a> {
    /// The first message of a connection.
    Hello,
    /// What is known of a segment.
    SegmentInfo {
        /// Full name.
        segment: &'a str,
    },
    /// Bytes of a segment; fewer may come back.
    Read {
        /// Full name.
        segment: &'a str,
        /// Where to begin.
        offset: u64,
        /// At most so many bytes.
        length: u32,
    },
}

impl StoreRequest<'_> {
    /// The message with its header; the number comes back in the answer. The delegation token is empty: stores with authorization refuse it.
    ///
    /// # Errors
    /// If a name or a number is beyond its encoding.
    pub fn encode(&self, request_id: i64) -> Result<Vec<u8>, EncodeError> {
        let mut fields = Writer::new();
        let message = match self {
            Self::Hello => {
                fields.i32(HIGHEST_VERSION);
                fields.i32(LOWEST_VERSION);
                HELLO
            }
            Self::SegmentInfo { segment } => {
                fields.i64(request_id);
                fields.utf(segment);
                fields.utf("");
                GET_SEGMENT_INFO
            }
            Self::Read { segment, offset, length } => {
                fields.utf(segment);
                fields.i64(i64::try_from(*offset).unwrap_or(i64::MAX));
                fields.i32(i32::try_from(*length).unwrap_or(i32::MAX));
                fields.utf("");
                fields.i64(request_id);
                READ_SEGMENT
            }
        };
        let fields = fields.finish()?;
        let mut writer = Writer::new();
        writer.i32(message);
        writer.u32(u32::try_from(fields.len()).unwrap_or(u32::MAX));
        writer.bytes(&fields);
        writer.finish()
    }
}

/// What a store answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreReply {
    /// The first message of a connection, or a sign of life.
    NoAnswer,
    /// What is known of a segment.
    SegmentInfo {
        /// Whose answer.
        request_id: i64,
        /// False if there is no such segment, or no more.
        exists: bool,
        /// Sealed.
        sealed: bool,
        /// Offset behind the last byte.
        length: u64,
        /// First readable offset.
        start_offset: u64,
    },
    /// Bytes of a segment.
    Read {
        /// Whose answer.
        request_id: i64,
        /// Where they begin.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// There is no such segment.
    NoSuchSegment,
    /// Another store has the segment, or none at the moment.
    WrongHost,
    /// The offset was truncated away.
    Truncated,
    /// The store wants credentials.
    AuthenticationFailed,
    /// Any other message, by its number.
    Other(i32),
}

impl StoreReply {
    /// The length of the fields behind a header.
    ///
    /// # Errors
    /// If no message may be so long.
    pub fn fields_length(header: [u8; MESSAGE_HEADER_BYTES]) -> Result<usize, DecodeError> {
        let [_, _, _, _, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        if length <= MESSAGE_MAX_BYTES {
            return Ok(length);
        }
        Err(DecodeError::new("message of a store", 4, format!("at most {MESSAGE_MAX_BYTES} bytes, found {length}")))
    }

    /// Decodes the fields behind a header.
    ///
    /// # Errors
    /// If they are not those of the message that the header names.
    pub fn decode(header: [u8; MESSAGE_HEADER_BYTES], fields: &[u8]) -> Result<Self, DecodeError> {
        let [t0, t1, t2, t3, ..] = header;
        let mut reader = Reader::at("message of a store", fields, MESSAGE_HEADER_BYTES as u64);
        match i32::from_be_bytes([t0, t1, t2, t3]) {
            HELLO | KEEP_ALIVE => Ok(Self::NoAnswer),
            SEGMENT_INFO => {
                let request_id = reader.i64()?;
                reader.utf()?;
                let (exists, sealed, deleted) = (reader.bool()?, reader.bool()?, reader.bool()?);
                reader.i64()?;
                let length = offset(&mut reader)?;
                let start_offset = offset(&mut reader)?;
                Ok(Self::SegmentInfo { request_id, exists: exists && !deleted, sealed, length, start_offset })
            }
            SEGMENT_READ => {
                reader.utf()?;
                let begin = offset(&mut reader)?;
                reader.bool()?;
                reader.bool()?;
                let length = reader.u32()? as usize;
                let bytes = reader.bytes(length)?.to_vec();
                Ok(Self::Read { request_id: reader.i64()?, offset: begin, bytes })
            }
            NO_SUCH_SEGMENT => Ok(Self::NoSuchSegment),
            WRONG_HOST => Ok(Self::WrongHost),
            SEGMENT_IS_TRUNCATED => Ok(Self::Truncated),
            AUTHENTICATION_FAILED => Ok(Self::AuthenticationFailed),
            other => Ok(Self::Other(other)),
        }
    }
}

/// An offset, which is never negative.
fn offset(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let position = reader.position();
    let offset = reader.i64()?;
    u64::try_from(offset).map_err(|_| reader.error_at(position, format!("an offset, found {offset}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(message: i32, fields: &[u8]) -> Result<StoreReply, DecodeError> {
        let mut header = [0; MESSAGE_HEADER_BYTES];
        header[..4].copy_from_slice(&message.to_be_bytes());
        header[4..].copy_from_slice(&u32::try_from(fields.len()).unwrap().to_be_bytes());
        assert_eq!(StoreReply::fields_length(header).unwrap(), fields.len());
        StoreReply::decode(header, fields)
    }

    fn fields(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        writer.finish().unwrap()
    }

    #[test]
    fn requests_have_the_layout_of_the_java_client() {
        let hello = [[0xff, 0xff, 0xff, 0x81], [0, 0, 0, 8], [0, 0, 0, 15], [0, 0, 0, 5]].concat();
        assert_eq!(StoreRequest::Hello.encode(7).unwrap(), hello);
        let info = StoreRequest::SegmentInfo { segment: "a/b" }.encode(7).unwrap();
        assert_eq!(info, [&[0, 0, 0, 11, 0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0, 7, 0, 3][..], b"a/b", &[0, 0]].concat());
        let read = StoreRequest::Read { segment: "a/b", offset: 258, length: 9 }.encode(7).unwrap();
        let expected = [
            &[0, 0, 0, 9, 0, 0, 0, 27, 0, 3][..],
            b"a/b",
            &[0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
        ];
        assert_eq!(read, expected.concat());
    }

    #[test]
    fn replies_are_understood_and_further_fields_passed_over() {
        let info = fields(|writer| {
            writer.i64(7);
            writer.utf("a/b");
            [true, true, false].into_iter().for_each(|flag| writer.bool(flag));
            [1_700_000_000_000, 100, 10, 99].into_iter().for_each(|number| writer.i64(number));
        });
        let expected =
            StoreReply::SegmentInfo { request_id: 7, exists: true, sealed: true, length: 100, start_offset: 10 };
        assert_eq!(reply(SEGMENT_INFO, &info), Ok(expected));
        let read = fields(|writer| {
            writer.utf("a/b");
            writer.i64(5);
            writer.bool(false);
            writer.bool(true);
            writer.u32(3);
            writer.bytes(b"xyz");
            writer.i64(8);
        });
        assert_eq!(
            reply(SEGMENT_READ, &read),
            Ok(StoreReply::Read { request_id: 8, offset: 5, bytes: b"xyz".to_vec() })
        );
        assert_eq!(reply(HELLO, &[0; 8]), Ok(StoreReply::NoAnswer));
        assert_eq!(reply(NO_SUCH_SEGMENT, b"whatever"), Ok(StoreReply::NoSuchSegment));
        assert_eq!(reply(77, &[]), Ok(StoreReply::Other(77)));
        for cut in 0..read.len() {
            assert!(reply(SEGMENT_READ, &read[..cut]).is_err(), "{cut}");
        }
        for cut in 0..info.len() - 8 {
            assert!(reply(SEGMENT_INFO, &info[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn no_length_is_believed() {
        assert!(StoreReply::fields_length([0, 0, 0, 10, 0xff, 0xff, 0xff, 0xff]).is_err());
        let lying = fields(|writer| {
            writer.utf("a");
            writer.i64(0);
            writer.bool(false);
            writer.bool(false);
            writer.u32(u32::MAX);
        });
        assert!(reply(SEGMENT_READ, &lying).is_err());
        let negative = fields(|writer| {
            writer.i64(7);
            writer.utf("a");
            [true, false, false].into_iter().for_each(|flag| writer.bool(flag));
            [0, -1, 0].into_iter().for_each(|number| writer.i64(number));
        });
        assert!(reply(SEGMENT_INFO, &negative).is_err());
    }
}

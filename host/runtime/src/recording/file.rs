//! The file of a recording: a line of JSON for the head, one for each call, one for the end.
//!
//! The last line has the number of calls and the digest of all lines before it, so that a file that was cut or edited
//! is noticed before a procedure is blamed.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use dr_engine::contract::Instance;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::call::Numbered;

/// Version of the format; a reader refuses others.
pub const FORMAT_VERSION: u32 = 1;

/// Longest line that is read, in bytes: far above a page of the longest names. Bounds what a wrong file makes us hold.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT_VERSION`].
    pub recording: u32,
    /// Version of the host.
    pub dr_version: String,
    /// Name of the procedure.
    pub procedure: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component, lower-case hex.
    pub digest: String,
    /// Its settings.
    pub settings: BTreeMap<String, String>,
    /// Containers that the operator chose; empty for all.
    pub selected: Vec<u32>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    calls: usize,
    outcome: String,
    /// Of all lines before, with their line breaks.
    sha256: String,
}

/// The calls of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What was run.
    pub head: Head,
    /// All calls, by instance.
    pub calls: BTreeMap<Instance, Vec<Numbered>>,
    /// How the run ended: `success`, the case of the error with which the procedure gave up, `limit:` and a name, `rule`
    /// or `crash`.
    pub outcome: String,
}

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("its first line is not the head of a recording: {0}")]
    Foreign(String),
    /// It was written by another `dr`.
    #[error("its format has version {0}, this dr reads {FORMAT_VERSION}")]
    OtherVersion(u32),
    /// A line is no call.
    #[error("line {line} is not a call: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The last line is missing.
    #[error("it was cut: the line that ends a recording is missing")]
    Truncated,
    /// The lines are not those that were written.
    #[error("it was edited: {0}")]
    Edited(&'static str),
}

impl Recording {
    /// Number of calls.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.values().map(Vec::len).sum()
    }

    /// No call at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes all lines.
    ///
    /// # Errors
    /// What the writer meets.
    pub fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        let mut digest = Sha256::new();
        let mut line = |value: Vec<u8>| -> io::Result<()> {
            let line = [&value[..], b"\n"].concat();
            digest.update(&line);
            writer.write_all(&line)
        };
        line(serde_json::to_vec(&self.head)?)?;
        for call in self.calls.values().flatten() {
            line(serde_json::to_vec(call)?)?;
        }
        let sha256 = dr_engine::plan::hex(&digest.finalize());
        let end = End { calls: self.len(), outcome: self.outcome.clone(), sha256 };
        serde_json::to_writer(&mut *writer, &end)?;
        writer.write_all(b"\n")
    }

    /// Reads and checks all lines.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn read(reader: impl BufRead) -> Result<Self, RecordingError> {
        let mut lines = Lines { reader, digest: Sha256::new(), number: 0 };
        let first = lines.next_line()?.unwrap_or_default();
        let head = parse_head(&first)?;
        lines.digest.update(&first);
        let mut calls: BTreeMap<Instance, Vec<Numbered>> = BTreeMap::new();
        while let Some(line) = lines.next_line()? {
            if !line.ends_with(b"\n") {
                return Err(RecordingError::Truncated);
            }
            if let Ok(End { calls: count, outcome, sha256 }) = serde_json::from_slice(&line) {
                let recording = Self { head, calls, outcome };
                return lines.check_end(&sha256, count == recording.len()).map(|()| recording);
            }
            let problem = |problem: String| RecordingError::Line { line: lines.number, problem };
            let call: Numbered = serde_json::from_slice(&line).map_err(|error| problem(error.to_string()))?;
            let of_instance = calls.entry(call.instance.clone()).or_default();
            if call.number != of_instance.len() + 1 {
                return Err(problem(format!("its number is {}, not {}", call.number, of_instance.len() + 1)));
            }
            of_instance.push(call);
            lines.digest.update(&line);
        }
        Err(RecordingError::Truncated)
    }
}

fn parse_head(line: &[u8]) -> Result<Head, RecordingError> {
    #[derive(Deserialize)]
    struct Version {
        recording: u32,
    }
    let foreign = |error: serde_json::Error| RecordingError::Foreign(error.to_string());
    let Version { recording } = serde_json::from_slice(line).map_err(foreign)?;
    if recording != FORMAT_VERSION {
        return Err(RecordingError::OtherVersion(recording));
    }
    serde_json::from_slice(line).map_err(foreign)
}

struct Lines<R> {
    reader: R,
    digest: Sha256,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, RecordingError> {
        let mut line = Vec::new();
        io::Read::take(&mut self.reader, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        self.number += 1;
        if line.len() as u64 == LINE_BYTES_MAX {
            let problem = format!("it is longer than {LINE_BYTES_MAX} bytes");
            return Err(RecordingError::Line { line: self.number, problem });
        }
        Ok((!line.is_empty()).then_some(line))
    }

    fn check_end(mut self, sha256: &str, is_count_right: bool) -> Result<(), RecordingError> {
        if self.next_line()?.is_some() {
            return Err(RecordingError::Edited("there are lines behind its end"));
        }
        if !is_count_right || dr_engine::plan::hex(&self.digest.finalize()) != sha256 {
            return Err(RecordingError::Edited("its lines are not those whose digest stands in the last one"));
        }
        Ok(())
    }
}

//! The file of a recording: a line of JSON for the head, one for each call, one for the end; plain or as gzip.
//!
//! The last line has the number of calls and a digest of all lines before it, so that a file that was cut or edited
//! is noticed before a procedure is blamed.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};

use dr_engine::contract::Instance;
use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::call::Numbered;
use crate::description::Setting;
use crate::procedure::Procedure;

/// Version of the format; a reader refuses others.
pub const FORMAT_VERSION: u32 = 1;

/// First bytes of a gzip file.
const GZIP: &[u8] = &[0x1f, 0x8b];

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

impl Head {
    /// The head of a run's recording.
    pub(crate) fn of(procedure: &Procedure, settings: &[Setting], selected: &[u32]) -> Self {
        let description = procedure.description();
        Self {
            recording: FORMAT_VERSION,
            dr_version: env!("CARGO_PKG_VERSION").to_owned(),
            procedure: description.name.clone(),
            version: description.version.clone(),
            digest: procedure.digest().to_owned(),
            settings: settings.iter().map(|setting| (setting.name.clone(), setting.value.clone())).collect(),
            selected: selected.to_vec(),
        }
    }
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) calls: usize,
    pub(crate) outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<Instance>,
    /// [`Digest`] of all lines before.
    pub(crate) sha256: String,
}

/// SHA-256 over the head and the SHA-256 of each instance's lines, all with their line breaks: so the parts, which are
/// written beside each other, need not be read again.
#[derive(Debug, Default)]
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn update(&mut self, line: &[u8]) {
        self.0.update(line);
    }

    pub(crate) fn add_part(&mut self, part: Self) {
        self.0.update(part.0.finalize());
    }

    pub(crate) fn into_hex(self) -> String {
        dr_engine::plan::hex(&self.0.finalize())
    }
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
    /// Who ended it, if it failed. Other tasks were stopped then, at a call that depends on how fast they were.
    pub failed: Option<Instance>,
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

    /// The run may have stopped this instance because another one had failed, so calls may be missing.
    pub(crate) fn is_cut(&self, instance: &Instance) -> bool {
        let is_task = matches!(instance, Instance::Run(_));
        is_task && matches!(&self.failed, Some(failed @ Instance::Run(_)) if failed != instance)
    }

    /// Writes all lines.
    ///
    /// # Errors
    /// What the writer meets.
    pub fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        let mut line = |value: Vec<u8>, digest: &mut Digest| -> io::Result<()> {
            let line = [&value[..], b"\n"].concat();
            digest.update(&line);
            writer.write_all(&line)
        };
        let mut digest = Digest::default();
        line(serde_json::to_vec(&self.head)?, &mut digest)?;
        for calls in self.calls.values() {
            let mut part = Digest::default();
            calls.iter().try_for_each(|call| line(serde_json::to_vec(call)?, &mut part))?;
            digest.add_part(part);
        }
        let end = End {
            calls: self.len(),
            outcome: self.outcome.clone(),
            failed: self.failed.clone(),
            sha256: digest.into_hex(),
        };
        serde_json::to_writer(&mut *writer, &end)?;
        writer.write_all(b"\n")
    }

    /// Reads and checks all lines, plain or compressed.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn read(mut reader: impl BufRead) -> Result<Self, RecordingError> {
        if reader.fill_buf()?.starts_with(GZIP) {
            Self::read_lines(BufReader::new(MultiGzDecoder::new(reader)))
        } else {
            Self::read_lines(reader)
        }
    }

    fn read_lines(reader: impl BufRead) -> Result<Self, RecordingError> {
        let mut lines = Lines { reader, digest: Digest::default(), part: None, number: 0 };
        let first = lines.next_line()?.unwrap_or_default();
        let head = parse_head(&first)?;
        lines.digest.update(&first);
        let mut calls: BTreeMap<Instance, Vec<Numbered>> = BTreeMap::new();
        while let Some(line) = lines.next_line()? {
            if !line.ends_with(b"\n") {
                return Err(RecordingError::Truncated);
            }
            if let Ok(End { calls: count, outcome, failed, sha256 }) = serde_json::from_slice(&line) {
                let recording = Self { head, calls, outcome, failed };
                return lines.check_end(&sha256, count, recording.len()).map(|()| recording);
            }
            let problem = |problem: String| RecordingError::Line { line: lines.number, problem };
            let call: Numbered = serde_json::from_slice(&line).map_err(|error| problem(error.to_string()))?;
            if calls.last_key_value().is_some_and(|(last, _)| *last > call.instance) {
                return Err(problem("its instance stands behind a later one".to_owned()));
            }
            let of_instance = calls.entry(call.instance.clone()).or_default();
            if call.number != of_instance.len() + 1 {
                return Err(problem(format!("its number is {}, not {}", call.number, of_instance.len() + 1)));
            }
            if of_instance.is_empty() {
                lines.end_part();
            }
            of_instance.push(call);
            lines.part.get_or_insert_default().update(&line);
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
    digest: Digest,
    /// Of the instance whose lines are being read.
    part: Option<Digest>,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, RecordingError> {
        let mut line = Vec::new();
        match io::Read::take(&mut self.reader, LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            // A gzip file without its end.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(RecordingError::Truncated),
            read => read?,
        };
        self.number += 1;
        if line.len() as u64 == LINE_BYTES_MAX {
            let problem = format!("it is longer than {LINE_BYTES_MAX} bytes");
            return Err(RecordingError::Line { line: self.number, problem });
        }
        Ok((!line.is_empty()).then_some(line))
    }

    /// The lines of an instance are read.
    fn end_part(&mut self) {
        if let Some(part) = self.part.take() {
            self.digest.add_part(part);
        }
    }

    fn check_end(mut self, sha256: &str, count: usize, calls: usize) -> Result<(), RecordingError> {
        if self.next_line()?.is_some() {
            return Err(RecordingError::Edited("there are lines behind its end"));
        }
        self.end_part();
        if count != calls || self.digest.into_hex() != sha256 {
            return Err(RecordingError::Edited("its lines are not those whose digest stands in the last one"));
        }
        Ok(())
    }
}

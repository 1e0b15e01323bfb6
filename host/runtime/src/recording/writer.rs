//! Writes down the calls of a run while it goes on, compressed.
//!
//! What a real run gives is too much to keep as values: a million segments are some gigabytes of them, and some fifty
//! megabytes of compressed lines.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dr_engine::contract::{CallResult, Instance, RecoveryHost};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::call::{Answered, Asked, failed, outcome};
use super::file::{Digest, End, Head};
use super::relay::Relay;
use crate::description::Setting;
use crate::error::RuntimeError;
use crate::procedure::Procedure;

/// Lines are compressed when so many bytes of them have come together: twice what the compressor looks back, and little
/// enough to hold for each of 500 tasks.
const BLOCK_BYTES: usize = 64 << 10;

/// Keeps the calls of each instance as compressed lines. Where a block ends depends on the instance's own lines only, so the
/// same run gives the same bytes however tasks ran beside each other.
#[derive(Debug, Default)]
pub struct RecordingWriter {
    parts: Mutex<BTreeMap<Instance, Arc<Mutex<Part>>>>,
}

/// The lines of one instance.
#[derive(Debug, Default)]
struct Part {
    calls: usize,
    pending: Vec<u8>,
    compressed: Vec<u8>,
    digest: Digest,
    problem: Option<io::Error>,
}

/// Writes down the calls of one instance, which makes them one after the other.
#[derive(Debug, Clone)]
pub(crate) struct WrittenInstance {
    instance: Instance,
    part: Arc<Mutex<Part>>,
}

/// The recording of a run that ended.
#[derive(Debug)]
pub struct WrittenRecording {
    /// Members of a gzip file.
    blocks: Vec<Vec<u8>>,
}

impl WrittenInstance {
    /// Makes a call and writes it down.
    pub(crate) fn write<A: Serialize, T: Serialize>(
        &self,
        call: &str,
        arguments: A,
        ask: impl FnOnce(A) -> CallResult<T>,
    ) -> CallResult<T> {
        let number = self.part().calls + 1;
        let asked = line_of(&Asked { number, instance: &self.instance, call, arguments: &arguments });
        let answer = ask(arguments);
        let mut part = self.part();
        if let Err(problem) = asked.and_then(|asked| part.push(asked, &answer)) {
            part.problem = Some(problem);
        }
        answer
    }

    fn part(&self) -> MutexGuard<'_, Part> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Adds a line to which the answer is still missing.
    fn push<T: Serialize>(&mut self, mut line: Vec<u8>, answer: &CallResult<T>) -> io::Result<()> {
        self.calls += 1;
        line.truncate(line.trim_ascii_end().len().saturating_sub(b"}".len()));
        line.extend(b",\"answer\":");
        serde_json::to_writer(&mut line, &answer.as_ref().map_or_else(Answered::Error, Answered::Ok))?;
        line.extend(b"}\n");
        self.digest.update(&line);
        self.pending.extend(line);
        if self.pending.len() < BLOCK_BYTES { Ok(()) } else { self.compress_pending() }
    }

    fn compress_pending(&mut self) -> io::Result<()> {
        let member = compressed(&self.pending)?;
        self.compressed.extend(member);
        self.pending.clear();
        Ok(())
    }

    /// Everything, compressed.
    fn close(&mut self) -> io::Result<Vec<u8>> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        self.compress_pending()?;
        Ok(std::mem::take(&mut self.compressed))
    }
}

impl RecordingWriter {
    /// A host before `behind` whose calls are written down.
    pub fn before(self: &Arc<Self>, behind: Arc<dyn RecoveryHost>) -> Arc<dyn RecoveryHost> {
        Arc::new(Relay::written(behind, self.clone()))
    }

    /// The recording of a run that ended; nothing is left in the writer.
    ///
    /// # Errors
    /// A call that could not be written down.
    pub fn finish<T>(
        &self,
        procedure: &Procedure,
        settings: &[Setting],
        selected: &[u32],
        result: &Result<T, RuntimeError>,
    ) -> io::Result<WrittenRecording> {
        let mut digest = Digest::default();
        let head = line_of(&Head::of(procedure, settings, selected))?;
        digest.update(&head);
        let mut blocks = vec![compressed(&head)?];
        let mut calls = 0;
        for part in std::mem::take(&mut *self.lock()).into_values() {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            if part.calls == 0 {
                continue;
            }
            blocks.push(part.close()?);
            calls += part.calls;
            digest.add_part(std::mem::take(&mut part.digest));
        }
        let end = End { calls, outcome: outcome(result), failed: failed(result), sha256: digest.into_hex() };
        blocks.push(compressed(&line_of(&end)?)?);
        Ok(WrittenRecording { blocks })
    }

    /// For the calls of one instance.
    pub(crate) fn instance(&self, instance: &Instance) -> WrittenInstance {
        WrittenInstance { instance: instance.clone(), part: self.lock().entry(instance.clone()).or_default().clone() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Instance, Arc<Mutex<Part>>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WrittenRecording {
    /// Writes it as a gzip file.
    ///
    /// # Errors
    /// What the writer meets.
    pub fn write_compressed(&self, writer: &mut dyn Write) -> io::Result<()> {
        self.blocks.iter().try_for_each(|block| writer.write_all(block))
    }

    /// Writes its lines as they are.
    ///
    /// # Errors
    /// What the writer meets.
    pub fn write_plain(&self, writer: &mut dyn Write) -> io::Result<()> {
        self.blocks.iter().try_for_each(|block| io::copy(&mut MultiGzDecoder::new(&block[..]), writer).map(drop))
    }
}

fn line_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// A member of a gzip file, without time and name.
fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

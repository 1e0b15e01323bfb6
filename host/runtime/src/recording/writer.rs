//! Writes down the calls of a run while it goes on, compressed.
//!
//! What a real run gives is too much to keep as values, and too much to keep at all: a million segments are some gigabytes
//! of values, and more than a hundred megabytes of compressed lines. These wait in a scratch file until the run ends and their
//! order is known.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dr_engine::contract::{CallResult, Instance, RecoveryHost};
use dr_engine::scratch::{Place, Scratch};
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

/// Lines are compressed when so many bytes of them have come together: eight times what the compressor looks back, since each block
/// begins without anything to look back at, and with tables of 0.3 MiB that have to be cleared.
const BLOCK_BYTES: usize = 256 << 10;

/// Keeps the calls of each instance as compressed lines. Where a block ends depends on the instance's own lines only, so the
/// same run gives the same bytes however tasks ran beside each other.
#[derive(Debug)]
pub struct RecordingWriter {
    scratch: Arc<Scratch>,
    parts: Mutex<BTreeMap<Instance, Arc<Mutex<Part>>>>,
}

/// The lines of one instance.
#[derive(Debug, Default)]
struct Part {
    calls: usize,
    pending: Vec<u8>,
    /// Members of a gzip file.
    blocks: Vec<Place>,
    digest: Digest,
    problem: Option<io::Error>,
}

/// Writes down the calls of one instance, which makes them one after the other.
#[derive(Debug, Clone)]
pub(crate) struct WrittenInstance {
    instance: Instance,
    part: Arc<Mutex<Part>>,
    scratch: Arc<Scratch>,
}

/// The recording of a run that ended.
#[derive(Debug)]
pub struct WrittenRecording {
    /// As a member of a gzip file, like the end.
    head: Vec<u8>,
    blocks: Vec<Place>,
    end: Vec<u8>,
    scratch: Arc<Scratch>,
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
        if let Err(problem) = asked.and_then(|asked| part.push(asked, &answer, &self.scratch)) {
            part.problem = Some(problem);
        }
        answer
    }

    fn part(&self) -> MutexGuard<'_, Part> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WrittenInstance {
    /// With the last of them the instance has ended: what is left of its lines shall not stay in memory until all have.
    fn drop(&mut self) {
        let in_the_writers_list = 1;
        if Arc::strong_count(&self.part) == in_the_writers_list + 1 {
            self.part().finish(&self.scratch);
        }
    }
}

impl Part {
    /// Adds a line to which the answer is still missing.
    fn push<T: Serialize>(&mut self, asked: Vec<u8>, answer: &CallResult<T>, scratch: &Scratch) -> io::Result<()> {
        self.calls += 1;
        let start = self.pending.len();
        let unclosed = asked.trim_ascii_end().len().saturating_sub(b"}".len());
        self.pending.extend(&asked[..unclosed]);
        self.pending.extend(b",\"answer\":");
        serde_json::to_writer(&mut self.pending, &answer.as_ref().map_or_else(Answered::Error, Answered::Ok))?;
        self.pending.extend(b"}\n");
        self.digest.update(&self.pending[start..]);
        if self.pending.len() < BLOCK_BYTES { Ok(()) } else { self.set_aside(scratch) }
    }

    fn set_aside(&mut self, scratch: &Scratch) -> io::Result<()> {
        let place = compressed(&self.pending).and_then(|member| scratch.append(&member));
        self.pending.clear();
        self.blocks.push(place?);
        Ok(())
    }

    /// Sets aside what is left, and gives up the memory for more.
    fn finish(&mut self, scratch: &Scratch) {
        if !self.pending.is_empty()
            && let Err(problem) = self.set_aside(scratch)
        {
            self.problem = Some(problem);
        }
        self.pending = Vec::new();
    }

    /// All blocks.
    fn close(&mut self, scratch: &Scratch) -> io::Result<Vec<Place>> {
        self.finish(scratch);
        self.problem.take().map_or_else(|| Ok(std::mem::take(&mut self.blocks)), Err)
    }
}

impl RecordingWriter {
    /// A writer that needs `scratch`, an empty file, until the recording is written to its place.
    pub fn new(scratch: File) -> Self {
        Self { scratch: Arc::new(Scratch::new(scratch)), parts: Mutex::default() }
    }

    /// A host before `behind` whose calls are written down.
    pub fn before(self: &Arc<Self>, behind: Arc<dyn RecoveryHost>) -> Arc<dyn RecoveryHost> {
        Arc::new(Relay::written(behind, self.clone()))
    }

    /// The recording of a run that ended; nothing is left in the writer.
    ///
    /// # Errors
    /// A call that could not be written down, or a scratch file that cannot be written.
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
        let head = compressed(&head)?;
        let mut blocks = Vec::new();
        let mut calls = 0;
        for part in std::mem::take(&mut *self.lock()).into_values() {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            if part.calls == 0 {
                continue;
            }
            blocks.append(&mut part.close(&self.scratch)?);
            calls += part.calls;
            digest.add_part(std::mem::take(&mut part.digest));
        }
        let end = End { calls, outcome: outcome(result), failed: failed(result), sha256: digest.into_hex() };
        let end = compressed(&line_of(&end)?)?;
        Ok(WrittenRecording { head, blocks, end, scratch: self.scratch.clone() })
    }

    /// For the calls of one instance.
    pub(crate) fn instance(&self, instance: &Instance) -> WrittenInstance {
        let part = self.lock().entry(instance.clone()).or_default().clone();
        WrittenInstance { instance: instance.clone(), part, scratch: self.scratch.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Instance, Arc<Mutex<Part>>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WrittenRecording {
    /// Writes it as a gzip file.
    ///
    /// # Errors
    /// What the writer or the scratch file meets.
    pub fn write_compressed(&self, writer: &mut dyn Write) -> io::Result<()> {
        self.visit_members(|member| writer.write_all(member))
    }

    /// Writes its lines as they are.
    ///
    /// # Errors
    /// What the writer or the scratch file meets.
    pub fn write_plain(&self, writer: &mut dyn Write) -> io::Result<()> {
        self.visit_members(|member| io::copy(&mut MultiGzDecoder::new(member), writer).map(drop))
    }

    fn visit_members(&self, mut visit: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        visit(&self.head)?;
        self.blocks.iter().try_for_each(|block| visit(&self.scratch.read(block)?))?;
        visit(&self.end)
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

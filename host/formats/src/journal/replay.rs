//! What the records of a journal amount to.

use std::collections::{BTreeMap, HashSet};

use super::{JournalRecord, SegmentSnapshot, SystemSnapshot};
use crate::names::{JournalKind, JournalName, SystemSegment};
use crate::slts::BrokenInvariant;

/// State of one system segment after the replay.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SystemSegmentState {
    /// The chunks from first to last: name of the object, and bytes of it that belong to the segment.
    pub chunks: Vec<(String, u64)>,
    /// Segment offset of the first byte of the first chunk. At most `start_offset`.
    pub first_chunk_start_offset: u64,
    /// First readable offset of the segment.
    pub start_offset: u64,
    /// End of the segment. If an object of the last chunk is longer, the journal lost its tail.
    pub length: u64,
}

/// A journal that no server can have written, or that misses a part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A record does not fit the state before it.
    #[error("journal record {record:?}: {rule}")]
    Impossible {
        /// The record.
        record: Box<JournalRecord>,
        /// What should be true, as a statement.
        rule: &'static str,
    },
    /// A snapshot contradicts itself or names a segment of another container.
    #[error("journal snapshot of epoch {epoch}, file index {file_index}: {reason}")]
    Snapshot {
        /// Epoch of the snapshot.
        epoch: u64,
        /// Its file index.
        file_index: u32,
        /// The rule that it breaks.
        reason: BrokenInvariant,
    },
}

/// Replays the journal of one container, as `SystemJournal.bootstrap` does.
///
/// Start empty or from a snapshot, apply the records of all files in [`replay_order`], then [`JournalReplay::finish`]. After
/// an error the state is that before the record; the caller decides whether to stop there.
#[derive(Clone, Debug)]
pub struct JournalReplay {
    container: u32,
    segments: BTreeMap<SystemSegment, SystemSegmentState>,
    applied: HashSet<JournalRecord>,
    truncations: BTreeMap<SystemSegment, JournalRecord>,
}

impl JournalReplay {
    /// Starts with four empty segments.
    pub fn new(container: u32) -> Self {
        let segments = empty_segments(container);
        Self { container, segments, applied: HashSet::new(), truncations: BTreeMap::new() }
    }

    /// Forgets everything and starts from a snapshot.
    ///
    /// # Errors
    /// If the snapshot contradicts itself or holds a segment that is no system segment of the container.
    pub fn restart_from(&mut self, snapshot: &SystemSnapshot) -> Result<(), ReplayError> {
        let mut segments = empty_segments(self.container);
        for segment in &snapshot.segments {
            let error =
                |reason| ReplayError::Snapshot { epoch: snapshot.epoch, file_index: snapshot.file_index, reason };
            let name = &segment.metadata.name;
            let state = SystemSegment::parse(name).and_then(|parsed| segments.get_mut(&parsed)).ok_or_else(|| {
                let rule = "it is a system segment of the container";
                error(BrokenInvariant { segment: name.clone(), rule })
            })?;
            segment.check_invariants().map_err(error)?;
            *state = SystemSegmentState::from_snapshot(segment);
        }
        self.segments = segments;
        self.truncations.clear();
        Ok(())
    }

    /// Applies one record. A record equal to one applied before is skipped, because a server that fails to write a batch
    /// writes it again to the next file; returns false then.
    ///
    /// # Errors
    /// If the record does not fit the state.
    pub fn apply(&mut self, record: &JournalRecord) -> Result<bool, ReplayError> {
        if self.applied.contains(record) {
            return Ok(false);
        }
        match record {
            JournalRecord::Snapshot(snapshot) => self.restart_from(snapshot)?,
            _ => self.apply_to_segment(record).map_err(|rule| impossible(record, rule))?,
        }
        self.applied.insert(record.clone());
        Ok(true)
    }

    /// Number of records applied, duplicates not counted.
    pub fn applied_records(&self) -> usize {
        self.applied.len()
    }

    fn apply_to_segment(&mut self, record: &JournalRecord) -> Result<(), &'static str> {
        let segment = record
            .segment()
            .and_then(SystemSegment::parse)
            .filter(|segment| segment.container == self.container)
            .ok_or("the segment is a system segment of the container")?;
        let state = self.segments.entry(segment).or_default();
        match record {
            JournalRecord::ChunkAdded { new_chunk, old_chunk, offset, .. } => {
                state.add_chunk(new_chunk, old_chunk, *offset)
            }
            JournalRecord::Append { chunk, offset, length, .. } => state.append(chunk, *offset, *length),
            JournalRecord::Truncation { .. } => {
                self.truncations.insert(segment, record.clone());
                Ok(())
            }
            JournalRecord::Snapshot(_) => Err("a snapshot has no segment"),
        }
    }

    /// Takes the objects' word for how long the last chunk of each segment is, where they are longer, as the server does
    /// before it applies truncations. Servers before 0.13.0 write no record of appends at all; and a journal may have lost
    /// its tail.
    pub fn extend_last_chunks(&mut self, size_of: impl Fn(&str) -> Option<u64>) {
        for state in self.segments.values_mut() {
            let Some((name, length)) = state.chunks.last_mut() else { continue };
            if let Some(more) = size_of(name).and_then(|size| size.checked_sub(*length)) {
                *length += more;
                state.length = state.length.saturating_add(more);
            }
        }
    }

    /// Applies the last truncation of each segment, which the server does after everything else, and returns the state of
    /// all four segments.
    ///
    /// # Errors
    /// If a truncation does not fit the chunks.
    pub fn finish(mut self) -> Result<BTreeMap<SystemSegment, SystemSegmentState>, ReplayError> {
        for (segment, record) in &self.truncations {
            if let JournalRecord::Truncation { offset, first_chunk, first_chunk_start_offset, .. } = record {
                let state = self.segments.entry(*segment).or_default();
                state
                    .truncate(*offset, first_chunk, *first_chunk_start_offset)
                    .map_err(|rule| impossible(record, rule))?;
            }
        }
        Ok(self.segments)
    }
}

fn impossible(record: &JournalRecord, rule: &'static str) -> ReplayError {
    ReplayError::Impossible { record: Box::new(record.clone()), rule }
}

fn empty_segments(container: u32) -> BTreeMap<SystemSegment, SystemSegmentState> {
    SystemSegment::all_of(container).into_iter().map(|segment| (segment, SystemSegmentState::default())).collect()
}

impl SystemSegmentState {
    fn from_snapshot(snapshot: &SegmentSnapshot) -> Self {
        Self {
            chunks: snapshot.chunks.iter().map(|chunk| (chunk.name.clone(), chunk.length)).collect(),
            first_chunk_start_offset: snapshot.metadata.first_chunk_start_offset,
            start_offset: snapshot.metadata.start_offset,
            length: snapshot.metadata.length,
        }
    }

    fn add_chunk(&mut self, new_chunk: &str, old_chunk: &str, offset: u64) -> Result<(), &'static str> {
        if new_chunk.is_empty() || self.chunks.iter().any(|(name, _)| name == new_chunk) {
            return Err("the new chunk is not yet one of the segment");
        }
        if old_chunk.is_empty() {
            return self.add_first_chunk(new_chunk, offset);
        }
        let position = self
            .chunks
            .iter()
            .rposition(|(name, _)| name == old_chunk)
            .ok_or("the chunk before is one of the segment")?;
        let kept = self.chunks.get(..position).unwrap_or_default();
        let old_start = kept.iter().fold(self.first_chunk_start_offset, |end, (_, length)| end.saturating_add(*length));
        let old_length =
            offset.checked_sub(old_start).ok_or("the new chunk does not start before the one before it")?;
        // Chunks behind the old one came from an owner that lost the race; so did bytes of the old one beyond the offset.
        self.chunks.truncate(position);
        self.chunks.push((old_chunk.to_owned(), old_length));
        self.chunks.push((new_chunk.to_owned(), 0));
        self.length = offset;
        Ok(())
    }

    fn add_first_chunk(&mut self, new_chunk: &str, offset: u64) -> Result<(), &'static str> {
        if !self.chunks.is_empty() {
            return Err("a first chunk comes only to a segment without chunks");
        }
        self.first_chunk_start_offset = offset;
        self.start_offset = self.start_offset.max(offset);
        self.length = offset;
        self.chunks.push((new_chunk.to_owned(), 0));
        Ok(())
    }

    fn append(&mut self, chunk: &str, offset: u64, added: u64) -> Result<(), &'static str> {
        let (name, length) = self.chunks.last_mut().ok_or("the segment has a chunk")?;
        if name != chunk {
            return Err("the chunk is the last one of the segment");
        }
        if *length != offset {
            return Err("the bytes begin at the end of the chunk");
        }
        let end = self.length.checked_add(added).ok_or("the length is below 2^64")?;
        *length += added;
        self.length = end;
        Ok(())
    }

    fn truncate(&mut self, offset: u64, first_chunk: &str, first_start: u64) -> Result<(), &'static str> {
        let dropped = match first_chunk {
            "" => self.chunks.len(),
            _ => self
                .chunks
                .iter()
                .position(|(name, _)| name == first_chunk)
                .ok_or("the first chunk that is left is one of the segment")?,
        };
        let lengths = self.chunks.iter().take(dropped).map(|(_, length)| length);
        let start = lengths.fold(self.first_chunk_start_offset, |end, length| end.saturating_add(*length));
        if start != first_start {
            return Err("the first chunk that is left starts where the record says");
        }
        if !(first_start..=self.length).contains(&offset) {
            return Err("the new start offset is between the start of the first chunk and the length");
        }
        self.chunks.drain(..dropped);
        self.first_chunk_start_offset = first_start;
        self.start_offset = offset;
        Ok(())
    }
}

/// The journal files to replay, in order, out of the objects of *one* container: all files, or those that come after a
/// snapshot of the given epoch and file index (both from inside the snapshot).
pub fn replay_order(objects: &[JournalName], snapshot: Option<(u64, u32)>) -> Vec<JournalName> {
    let mut files: Vec<JournalName> = objects
        .iter()
        .copied()
        .filter(|object| object.kind == JournalKind::File)
        .filter(|object| {
            snapshot.is_none_or(|(epoch, file_index)| (object.epoch, object.index) > (epoch, u64::from(file_index)))
        })
        .collect();
    files.sort_unstable();
    files
}

//! What a whole durable log tells: that nothing is missing from it, where it is to be replayed from, and what its newest operations
//! appended to segments.
//!
//! The store will replay the log itself. Here it is followed for the proof that no ledger and no entry is missing (each
//! append begins where its segment ended), and for the newest rows of the controller's tables, which may not have
//! reached Tier-2.
//!
//! **Where the replay begins.** The disks hold more of a log than it has: what it had been truncated behind is still there, and where that
//! was, only ZooKeeper knew. The store cannot replay all of it: operations on segments that it had forgotten since (deleted, merged,
//! or flushed and long unused) stop its writer (`StorageWriter.getProcessor`: no segment with that id is registered). It forgets a
//! segment only when the log is truncated behind its last operation, and a later metadata checkpoint lists the segments that it knows. So
//! behind the true beginning no operation speaks of a segment that a later checkpoint lacks; and the first checkpoint of which that holds
//! is the true beginning or lies before it: nothing that was not flushed is left out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use dr_formats::checkpoint::MetadataCheckpoint;
use dr_formats::data_frame::{FrameReader, Record, Repetition, SequenceTracker};
use dr_formats::log_metadata::FrameAddress;
use dr_formats::operation::{Action, Operation};

use crate::contract::ContainerId;
use crate::replay::ReplayError;

/// Bytes that a log appends to a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentTail {
    /// Offset of the first of them.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Follows a log.
#[derive(Debug)]
pub struct LogTail {
    container: ContainerId,
    is_wanted: fn(&str) -> bool,
    frames: FrameReader,
    sequence: SequenceTracker,
    checkpoints: Vec<Checkpoint>,
    operations: u64,
    segments: HashMap<i64, Followed>,
    /// Lengths that segments had at the checkpoints with which the replay can still begin, by sequence number.
    lengths_at: BTreeMap<i64, Vec<(Arc<str>, u64)>>,
    /// The last operation on each segment that the newest checkpoint knows, or that came behind it.
    last_references: HashMap<i64, i64>,
    /// The last operation on a segment that was forgotten since.
    forgotten_at: i64,
    tails: BTreeMap<String, SegmentTail>,
}

/// A metadata checkpoint.
#[derive(Debug, Clone, Copy)]
struct Checkpoint {
    sequence_number: i64,
    /// The frame in which it begins.
    frame: FrameAddress,
    /// Operations before it, from the first checkpoint on.
    operations_before: u64,
}

/// Where the store is to begin with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayStart {
    /// The frame that holds the metadata checkpoint to begin with.
    pub frame: FrameAddress,
    /// Operations from there on.
    pub operations: u64,
}

/// A segment that operations name by its id.
#[derive(Debug)]
struct Followed {
    name: Arc<str>,
    length: u64,
    /// Its bytes are kept.
    is_wanted: bool,
    /// It was merged or deleted. Chunks that bear its name belong to another segment then, or to none.
    is_gone: bool,
}

impl LogTail {
    /// Before the first frame. Bytes are kept only of segments whose name `is_wanted`.
    pub fn new(container: ContainerId, is_wanted: fn(&str) -> bool) -> Self {
        Self {
            container,
            is_wanted,
            frames: FrameReader::new(),
            sequence: SequenceTracker::new(),
            checkpoints: Vec::new(),
            operations: 0,
            segments: HashMap::new(),
            lengths_at: BTreeMap::new(),
            last_references: HashMap::new(),
            forgotten_at: 0,
            tails: BTreeMap::new(),
        }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// [`ReplayError`] if something is missing before it, or it is damaged.
    pub fn frame(&mut self, address: FrameAddress, frame: &[u8]) -> Result<(), ReplayError> {
        // The reader is taken out, since it calls back into the rest of the state.
        let mut frames = std::mem::take(&mut self.frames);
        let result = frames.frame(address, frame, |record| self.record(&record));
        self.frames = frames;
        result
    }

    /// Where the replay begins; none if the log has no metadata checkpoint, or ends without one that knows all segments of the
    /// operations behind it.
    pub fn replay_start(&self) -> Option<ReplayStart> {
        let begins = |checkpoint: &&Checkpoint| checkpoint.sequence_number > self.forgotten_at;
        let first = self.checkpoints.iter().find(begins)?;
        Some(ReplayStart { frame: first.frame, operations: self.operations - first.operations_before })
    }

    /// What had been appended before the replay begins, by segment: Tier-2 must hold all of it. Without those that are merged or deleted later
    /// in the log: that can have reached Tier-2, which then holds their bytes under another name, or no more.
    pub fn lengths_at_start(&self) -> BTreeMap<String, u64> {
        let living = self.lengths();
        let first = self.lengths_at.range(self.forgotten_at + 1..).next();
        let lengths = first.into_iter().flat_map(|(_, lengths)| lengths);
        let lengths = lengths.filter(|(name, _)| living.contains_key(&**name));
        lengths.map(|(name, length)| (name.to_string(), *length)).collect()
    }

    /// Number of the last operation.
    pub fn last_sequence_number(&self) -> i64 {
        self.sequence.last().unwrap_or(0)
    }

    /// Lengths of the segments that the newest checkpoint knows, or that came behind it, by name; without those that were merged or
    /// deleted.
    pub fn lengths(&self) -> BTreeMap<String, u64> {
        self.segments
            .values()
            .filter(|segment| !segment.is_gone)
            .map(|segment| (segment.name.to_string(), segment.length))
            .collect()
    }

    /// The bytes that were wanted, by segment.
    ///
    /// # Errors
    /// If there was no metadata checkpoint: the store cannot start without one.
    pub fn finish(self) -> Result<BTreeMap<String, SegmentTail>, ReplayError> {
        if self.checkpoints.is_empty() {
            let reason = "the log has no metadata checkpoint up to here, so the store cannot start from it".to_owned();
            return Err(ReplayError::Operation { sequence_number: self.last_sequence_number(), reason });
        }
        Ok(self.tails)
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        let operation = Operation::decode(record.bytes)?;
        let last = self.sequence.last();
        if self.sequence.check(operation.sequence_number, record)? == Repetition::Harmless {
            return Ok(());
        }
        let sequence_number = operation.sequence_number;
        let is_checkpoint = matches!(operation.action, Action::MetadataCheckpoint(_));
        if let Some(part) = record.parts.first().filter(|_| is_checkpoint) {
            let operations_before = self.operations;
            self.checkpoints.push(Checkpoint { sequence_number, frame: part.frame, operations_before });
        }
        if self.checkpoints.is_empty() {
            return Ok(());
        }
        self.operations += 1;
        self.last_references.extend(operation.action.segment_id().map(|id| (id, sequence_number)));
        if let Action::Merge { source_id, .. } = operation.action {
            self.last_references.insert(source_id, sequence_number);
        }
        self.apply(operation.action).map_err(|mut reason| {
            if let Some(last) = last.filter(|last| last + 1 < sequence_number) {
                reason = format!("{reason}; operations {} to {} are missing", last + 1, sequence_number - 1);
            }
            ReplayError::Operation { sequence_number, reason }
        })?;
        if is_checkpoint {
            self.lengths_at = self.lengths_at.split_off(&(self.forgotten_at + 1));
            let lengths = self.segments.values().filter(|segment| !segment.is_gone);
            let lengths = lengths.map(|segment| (Arc::clone(&segment.name), segment.length)).collect();
            self.lengths_at.insert(sequence_number, lengths);
        }
        Ok(())
    }

    fn apply(&mut self, action: Action<'_>) -> Result<(), String> {
        match action {
            Action::MetadataCheckpoint(payload) => self.checkpoint(&payload),
            Action::Map(mapping) => {
                self.follow(mapping.segment_id, &mapping.name, mapping.length);
                Ok(())
            }
            Action::Append { segment_id, offset, data, .. } => self.append(segment_id, offset, &data),
            Action::Merge { target_id, source_id, source_length, target_offset, .. } => {
                let target = followed(&mut self.segments, target_id)?;
                if target_offset != target.length {
                    return Err(format!("a merge at {target_offset} into a segment of length {}", target.length));
                }
                target.length += source_length;
                self.lose_sight_of(source_id);
                Ok(())
            }
            Action::Delete { segment_id, .. } => {
                self.lose_sight_of(segment_id);
                Ok(())
            }
            // A segment that was evicted since the checkpoint is mapped again before it is used.
            Action::Seal { .. }
            | Action::UpdateAttributes { .. }
            | Action::Truncate { .. }
            | Action::StorageMetadataCheckpoint(_) => Ok(()),
        }
    }

    fn append(&mut self, segment_id: i64, offset: u64, data: &[u8]) -> Result<(), String> {
        let segment = followed(&mut self.segments, segment_id)?;
        if offset != segment.length {
            return Err(format!("an append at {offset} to a segment of length {}", segment.length));
        }
        segment.length += data.len() as u64;
        if !segment.is_wanted {
            return Ok(());
        }
        match self.tails.get_mut(&*segment.name) {
            Some(tail) if tail.offset + tail.bytes.len() as u64 == offset => tail.bytes.extend_from_slice(data),
            // If there is one, the segment was mapped anew in between; what was appended before it is in Tier-2.
            _ => {
                self.tails.insert(segment.name.to_string(), SegmentTail { offset, bytes: data.to_vec() });
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, payload: &[u8]) -> Result<(), String> {
        let checkpoint = MetadataCheckpoint::decode(payload).map_err(|error| error.to_string())?;
        if checkpoint.container_id != self.container {
            return Err(format!("the checkpoint is one of container {}", checkpoint.container_id));
        }
        for segment in &checkpoint.segments {
            self.follow(segment.segment_id, &segment.name, segment.length);
            if segment.merged || segment.deleted {
                self.lose_sight_of(segment.segment_id);
            }
        }
        let known: HashSet<i64> = checkpoint.segments.iter().map(|segment| segment.segment_id).collect();
        self.segments.retain(|id, _| known.contains(id));
        let forgotten_at = &mut self.forgotten_at;
        self.last_references.retain(|id, last| {
            let is_known = known.contains(id);
            if !is_known {
                *forgotten_at = (*forgotten_at).max(*last);
            }
            is_known
        });
        Ok(())
    }

    fn follow(&mut self, segment_id: i64, name: &str, length: u64) {
        let is_wanted = (self.is_wanted)(name);
        self.segments.insert(segment_id, Followed { name: name.into(), length, is_wanted, is_gone: false });
    }

    fn lose_sight_of(&mut self, segment_id: i64) {
        if let Some(segment) = self.segments.get_mut(&segment_id) {
            segment.is_gone = true;
        }
    }
}

fn followed(segments: &mut HashMap<i64, Followed>, segment_id: i64) -> Result<&mut Followed, String> {
    segments.get_mut(&segment_id).ok_or_else(|| format!("no segment has the id {segment_id}"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use dr_formats::checkpoint::CheckpointSegment;
    use dr_formats::data_frame::FrameWriter;

    use super::super::test_support::{append, map};
    use super::*;

    fn checkpoint(container_id: u32) -> Action<'static> {
        let checkpoint = MetadataCheckpoint { container_id, segments: Vec::new() };
        Action::MetadataCheckpoint(Cow::Owned(checkpoint.encode().unwrap()))
    }

    fn follow(operations: &[(i64, Action<'static>)]) -> Result<BTreeMap<String, SegmentTail>, String> {
        followed(operations)?.finish().map_err(|error| error.to_string())
    }

    fn followed(operations: &[(i64, Action<'static>)]) -> Result<LogTail, String> {
        let mut tail = LogTail::new(3, |name| name.starts_with("wanted"));
        for (entry, (sequence_number, action)) in (0..).zip(operations) {
            let operation = Operation { sequence_number: *sequence_number, action: action.clone() };
            let mut frames: Vec<Vec<u8>> = Vec::new();
            let mut sink = |frame: &[u8]| -> Result<(), ReplayError> {
                frames.push(frame.to_vec());
                Ok(())
            };
            let mut writer = FrameWriter::new();
            writer.record_alone(&operation.encode().unwrap(), &mut sink).unwrap();
            for frame in &frames {
                tail.frame(FrameAddress::new(1, entry), frame).map_err(|error| error.to_string())?;
            }
        }
        Ok(tail)
    }

    /// A checkpoint that knows these segments.
    fn checkpoint_of(segments: &[(i64, &'static str, u64)]) -> Action<'static> {
        let segment = |&(segment_id, name, length): &(i64, &'static str, u64)| CheckpointSegment {
            segment_id,
            name: name.into(),
            length,
            storage_length: 0,
            merged: false,
            sealed: false,
            sealed_in_storage: false,
            deleted: false,
            deleted_in_storage: false,
            last_modified: 0,
            start_offset: 0,
            attributes: Default::default(),
        };
        let checkpoint = MetadataCheckpoint { container_id: 3, segments: segments.iter().map(segment).collect() };
        Action::MetadataCheckpoint(Cow::Owned(checkpoint.encode().unwrap()))
    }

    #[test]
    fn the_replay_begins_behind_the_last_operation_on_a_forgotten_segment() {
        let operations = [
            (1, checkpoint(3)),
            (2, map(2, "kept", 0)),
            (3, map(3, "forgotten", 0)),
            (4, checkpoint_of(&[(2, "kept", 0), (3, "forgotten", 0)])),
            (5, append(3, 0, b"abc")),
            (6, checkpoint_of(&[(2, "kept", 0), (3, "forgotten", 3)])),
            (7, append(2, 0, b"abc")),
            (8, checkpoint_of(&[(2, "kept", 3)])),
            (9, append(2, 3, b"de")),
        ];
        let start = |count: usize| {
            let start = followed(&operations[..count]).unwrap().replay_start().unwrap();
            (start.frame.entry_id(), start.operations)
        };
        // As long as nothing is forgotten, the log begins with its first checkpoint.
        assert_eq!([start(1), start(7)], [(0, 1), (0, 7)]);
        assert_eq!([start(8), start(9)], [(5, 3), (5, 4)]);
        // All operations speak of segments that are forgotten, and no later checkpoint is there to begin with.
        let merged = [(1, checkpoint(3)), (2, map(2, "kept", 0)), (3, checkpoint(3))];
        assert_eq!(followed(&merged).unwrap().replay_start().unwrap().frame.entry_id(), 2);
        assert_eq!(followed(&operations[1..3]).unwrap().replay_start(), None);
    }

    #[test]
    fn what_is_merged_or_deleted_later_needs_not_be_in_tier_2_where_the_replay_begins() {
        let begin = checkpoint_of(&[(2, "kept", 5), (3, "merged", 7), (4, "deleted", 9)]);
        let merge =
            Action::Merge { target_id: 2, source_id: 3, source_length: 7, target_offset: 5, attributes: Vec::new() };
        let delete = Action::Delete { segment_id: 4, offset: 9 };
        let operations = [(1, begin), (2, merge), (3, delete), (4, append(2, 12, b"abc"))];
        let lengths = |count: usize| followed(&operations[..count]).unwrap().lengths_at_start();
        let all = [("kept", 5), ("merged", 7), ("deleted", 9)].map(|(name, length)| (name.to_owned(), length));
        assert_eq!(lengths(1), BTreeMap::from(all));
        assert_eq!(lengths(4), BTreeMap::from([("kept".to_owned(), 5)]));
        assert_eq!(followed(&operations).unwrap().lengths(), BTreeMap::from([("kept".to_owned(), 15)]));
    }

    #[test]
    fn appends_of_wanted_segments_are_kept() {
        let tails = follow(&[
            (7, append(1, 0, b"before the checkpoint")),
            (8, checkpoint(3)),
            (9, map(1, "wanted", 100)),
            (10, map(2, "other", 5)),
            (11, append(1, 100, b"abc")),
            (12, append(2, 5, b"x")),
            (13, append(1, 103, b"de")),
        ]);
        let tail = SegmentTail { offset: 100, bytes: b"abcde".to_vec() };
        assert_eq!(tails.unwrap(), BTreeMap::from([("wanted".to_owned(), tail)]));
    }

    #[test]
    fn a_missing_operation_shows_where_an_append_does_not_fit() {
        let error = follow(&[(8, checkpoint(3)), (9, map(1, "wanted", 0)), (12, append(1, 4, b"abc"))]).unwrap_err();
        assert_eq!(error, "operation 12: an append at 4 to a segment of length 0; operations 10 to 11 are missing");
        let error = follow(&[(8, checkpoint(3)), (9, append(1, 0, b"abc"))]).unwrap_err();
        assert!(error.contains("no segment has the id 1"), "{error}");
        // A number that was never used is no loss, as long as everything fits.
        assert!(follow(&[(8, checkpoint(3)), (9, map(1, "wanted", 0)), (12, append(1, 0, b"abc"))]).is_ok());
    }

    #[test]
    fn a_log_without_a_checkpoint_or_of_another_container_is_refused() {
        assert!(follow(&[(9, map(1, "wanted", 0))]).unwrap_err().contains("no metadata checkpoint"));
        assert!(follow(&[(9, checkpoint(4))]).unwrap_err().contains("one of container 4"));
    }
}

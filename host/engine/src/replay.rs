//! Replays a durable log as the store would at boot, with its checks (`pravega-durable-log` 6.1).
//!
//! Kept from it: the segments that the log maps, the bytes it appends to them, and the attributes it sets.

use std::collections::{BTreeMap, HashMap};

use dr_formats::DecodeError;
use dr_formats::attribute::{AttributeId, AttributeUpdate, CoreAttribute, NULL_ATTRIBUTE_VALUE};
use dr_formats::checkpoint::MetadataCheckpoint;
use dr_formats::data_frame::{FrameReader, Record, Repetition, SequenceTracker};
use dr_formats::log_metadata::FrameAddress;
use dr_formats::operation::{Action, Operation};

use crate::contract::ContainerId;

/// A segment in the memory of the replayed container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayedSegment {
    /// Name.
    pub name: String,
    /// First readable offset.
    pub start_offset: u64,
    /// Length with what the log appended.
    pub length: u64,
    /// Length that Tier-2 is believed to hold.
    pub storage_length: u64,
    /// Sealed.
    pub sealed: bool,
    /// Never evicted.
    pub pinned: bool,
    /// Core attributes by the low half of their ids.
    pub core: BTreeMap<u64, i64>,
    /// Extended attributes that the log set; none for deleted ones.
    pub extended: HashMap<AttributeId, Option<i64>>,
    /// Bytes appended, from `storage_length` on.
    pub appended: Vec<u8>,
}

/// Why the store would not start on a log.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Bytes are no frame, record or operation.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An operation that `dr` never writes: the log is that of a segment store, or goes on with what one wrote.
    #[error("operation {sequence_number} was written by a segment store")]
    OfStore {
        /// Number of the operation.
        sequence_number: i64,
    },
    /// An operation does not fit the state before it; the store would disable the log.
    #[error("operation {sequence_number}: {reason}")]
    Operation {
        /// Number of the operation.
        sequence_number: i64,
        /// What does not fit.
        reason: String,
    },
}

/// Why an operation is not applied.
enum Unfit {
    OfStore,
    Reason(String),
}

impl From<String> for Unfit {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

/// A container's memory while its log is replayed.
#[derive(Debug)]
pub struct LogReplay {
    container: ContainerId,
    frames: FrameReader,
    sequence: SequenceTracker,
    checkpoints: u64,
    operations: u64,
    segments: BTreeMap<i64, ReplayedSegment>,
}

impl LogReplay {
    /// Before the first frame.
    pub fn new(container: ContainerId) -> Self {
        Self {
            container,
            frames: FrameReader::new(),
            sequence: SequenceTracker::new(),
            checkpoints: 0,
            operations: 0,
            segments: BTreeMap::new(),
        }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// [`ReplayError`] where the store would fail.
    pub fn frame(&mut self, address: FrameAddress, frame: &[u8]) -> Result<(), ReplayError> {
        // The reader is taken out, since it calls back into the rest of the state.
        let mut frames = std::mem::take(&mut self.frames);
        let result = frames.frame(address, frame, |record| self.record(&record));
        self.frames = frames;
        result
    }

    /// Operations applied.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// The last sequence number.
    pub fn last_sequence_number(&self) -> i64 {
        self.sequence.last().unwrap_or(0)
    }

    /// The segments, by id.
    ///
    /// # Errors
    /// If there was no checkpoint: the store would take the log for empty.
    pub fn finish(self) -> Result<BTreeMap<i64, ReplayedSegment>, ReplayError> {
        if self.checkpoints == 0 {
            return Err(ReplayError::Operation {
                sequence_number: 0,
                reason: "the log has no metadata checkpoint, the store would take it for empty".to_owned(),
            });
        }
        Ok(self.segments)
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        let operation = Operation::decode(record.bytes)?;
        if self.sequence.check(operation.sequence_number, record)? == Repetition::Harmless {
            return Ok(());
        }
        if self.checkpoints == 0 && !matches!(operation.action, Action::MetadataCheckpoint(_)) {
            return Ok(());
        }
        let sequence_number = operation.sequence_number;
        self.operations += 1;
        self.apply(operation.action).map_err(|reason| match reason {
            Unfit::OfStore => ReplayError::OfStore { sequence_number },
            Unfit::Reason(reason) => ReplayError::Operation { sequence_number, reason },
        })
    }

    fn apply(&mut self, action: Action<'_>) -> Result<(), Unfit> {
        match action {
            Action::MetadataCheckpoint(payload) => self.checkpoint(&payload),
            Action::Map(mapping) => {
                let taken = self.segments.values().any(|segment| segment.name == mapping.name);
                if taken || self.segments.contains_key(&mapping.segment_id) {
                    return Err(format!("the segment `{}` or its id is mapped already", mapping.name).into());
                }
                let segment = ReplayedSegment {
                    name: mapping.name.into_owned(),
                    start_offset: mapping.start_offset,
                    length: mapping.length,
                    storage_length: mapping.length,
                    sealed: mapping.sealed,
                    pinned: mapping.pinned,
                    core: mapping.attributes.core().map(|(attribute, value)| (attribute.0, value)).collect(),
                    ..ReplayedSegment::default()
                };
                self.segments.insert(mapping.segment_id, segment);
                Ok(())
            }
            Action::Append { segment_id, offset, data, attributes } => {
                let segment = self.writable(segment_id)?;
                if offset != segment.length {
                    return Err(format!("an append at {offset} to a segment of length {}", segment.length).into());
                }
                segment.appended.extend_from_slice(&data);
                segment.length += data.len() as u64;
                set_attributes(segment, attributes);
                Ok(())
            }
            Action::UpdateAttributes { segment_id, attributes } => {
                set_attributes(self.writable(segment_id)?, attributes);
                Ok(())
            }
            _ => Err(Unfit::OfStore),
        }
    }

    fn checkpoint(&mut self, payload: &[u8]) -> Result<(), Unfit> {
        let checkpoint = MetadataCheckpoint::decode(payload).map_err(|error| error.to_string())?;
        if checkpoint.container_id != self.container {
            return Err(format!("the checkpoint is one of container {}", checkpoint.container_id).into());
        }
        if self.checkpoints > 0 || !checkpoint.segments.is_empty() {
            // `dr` writes one, without segments.
            return Err(Unfit::OfStore);
        }
        self.checkpoints += 1;
        Ok(())
    }

    fn writable(&mut self, segment_id: i64) -> Result<&mut ReplayedSegment, String> {
        let segment =
            self.segments.get_mut(&segment_id).ok_or_else(|| format!("no segment has the id {segment_id}"))?;
        if segment.sealed {
            return Err(format!("a change of the segment `{}`, which is sealed", segment.name));
        }
        Ok(segment)
    }
}

fn set_attributes(segment: &mut ReplayedSegment, updates: Vec<AttributeUpdate>) {
    for update in updates {
        match update.id.core() {
            Some(CoreAttribute(id)) => {
                segment.core.insert(id, update.value);
            }
            None => {
                let value = Some(update.value).filter(|&value| value != NULL_ATTRIBUTE_VALUE);
                segment.extended.insert(update.id, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use dr_formats::attribute::AttributeMap;
    use dr_formats::operation::SegmentMapping;

    use super::*;

    #[test]
    fn a_sealed_segment_cannot_be_changed() {
        let change = |sealed: bool, action: Action<'_>| {
            let mut replay = LogReplay::new(0);
            let mapping = SegmentMapping {
                segment_id: 7,
                name: Cow::Borrowed("s/t/0.#epoch.0"),
                start_offset: 0,
                length: 10,
                sealed,
                attributes: AttributeMap::default(),
                pinned: false,
            };
            replay.apply(Action::Map(mapping)).map_err(|_| "mapped").unwrap();
            replay.apply(action).is_ok()
        };
        let append =
            || Action::Append { segment_id: 7, offset: 10, data: Cow::Borrowed(b"event"), attributes: Vec::new() };
        let update = || Action::UpdateAttributes { segment_id: 7, attributes: Vec::new() };
        assert!(change(false, append()) && change(false, update()));
        assert!(!change(true, append()) && !change(true, update()));
    }
}

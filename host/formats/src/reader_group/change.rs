//! Changes of a reader group's state, and what they do to it.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoints::is_silent;
use super::{KeyRange, Offsets, RANGE_BYTES, ReaderGroupState, read_offsets, read_ranges};
use crate::error::DecodeError;
use crate::primitives::{ObjectReader, Reader};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A whole state in place of the one before.
    Replace(Box<ReaderGroupState>),
    /// A reader joins.
    AddReader(String),
    /// A reader leaves, or is declared dead: then without offsets.
    RemoveReader {
        /// Who.
        reader: String,
        /// Where it was.
        offsets: Offsets,
    },
    /// A reader gives a segment back.
    Release {
        /// Who.
        reader: String,
        /// Which.
        segment: String,
        /// Where it was.
        offset: i64,
    },
    /// A reader takes a segment that nobody has.
    Acquire {
        /// Who.
        reader: String,
        /// Which.
        segment: String,
    },
    /// How far a reader is behind.
    Distance {
        /// Who.
        reader: String,
        /// In milliseconds.
        distance: i64,
        /// Where it is.
        offsets: Offsets,
    },
    /// A segment was read to its end.
    Complete {
        /// By whom.
        reader: String,
        /// Which.
        segment: String,
        /// Its successors, each with the numbers of all its predecessors.
        successors: BTreeMap<String, Vec<i64>>,
        /// Key ranges of them.
        ranges: BTreeMap<String, KeyRange>,
    },
    /// A reader has come to a checkpoint.
    ReachCheckpoint {
        /// Name of the checkpoint.
        checkpoint: String,
        /// Who.
        reader: String,
        /// Where it is.
        offsets: Offsets,
    },
    /// A checkpoint begins.
    BeginCheckpoint(String),
    /// Checkpoints before this one are forgotten.
    ClearCheckpointsBefore(String),
    /// Whether the controller knows of the last checkpoint.
    PublishCheckpoint(bool),
    /// Whether a new configuration is being fetched.
    UpdateConfiguration(bool),
    /// Checkpoints that are not complete are given up.
    RemoveOutstandingCheckpoints,
}

/// A change that does not fit the state before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Inapplicable(&'static str);

/// The least distance that a reader is believed to have, in milliseconds.
const ASSUMED_DISTANCE: i64 = 30_000;

impl Change {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // Whole states have the same types here as where they stand alone.
        if matches!(reader.rest(), [_, 0 | 1, ..]) {
            return Ok(Self::Replace(Box::new(ReaderGroupState::read(reader)?)));
        }
        reader.read_multi("change of a reader group's state", 0, |object| {
            let mut body = object.required_revision()?;
            let first = |body: &mut Reader<'_>| Ok::<_, DecodeError>(body.utf()?.into_owned());
            Ok(match object.type_id() {
                2 => Self::AddReader(first(&mut body)?),
                3 => Self::RemoveReader { reader: first(&mut body)?, offsets: read_offsets(&mut body)? },
                4 => Self::Release { reader: first(&mut body)?, segment: first(&mut body)?, offset: body.i64()? },
                5 => Self::Acquire { reader: first(&mut body)?, segment: first(&mut body)? },
                6 => read_distance(object, &mut body)?,
                7 => read_complete(object, &mut body)?,
                8 => Self::ReachCheckpoint {
                    checkpoint: first(&mut body)?,
                    reader: first(&mut body)?,
                    offsets: read_offsets(&mut body)?,
                },
                9 => Self::BeginCheckpoint(first(&mut body)?),
                10 => Self::ClearCheckpointsBefore(first(&mut body)?),
                11 => Self::PublishCheckpoint(body.bool()?),
                12 => Self::UpdateConfiguration(body.bool()?),
                13 => Self::RemoveOutstandingCheckpoints,
                _ => return Err(object.unknown_type("type 0 to 13")),
            })
        })
    }
}

fn read_distance(object: &mut ObjectReader<'_>, body: &mut Reader<'_>) -> Result<Change, DecodeError> {
    let (reader, distance) = (body.utf()?.into_owned(), body.i64()?);
    let mut offsets = Offsets::new();
    if let Some(mut body) = object.revision()? {
        let read = |body: &mut Reader<'_>| {
            let segment = body.utf()?.into_owned();
            KeyRange::read(body)?;
            Ok((segment, body.i64()?))
        };
        offsets.extend(body.list(RANGE_BYTES + 8, read)?);
    }
    Ok(Change::Distance { reader, distance, offsets })
}

fn read_complete(object: &mut ObjectReader<'_>, body: &mut Reader<'_>) -> Result<Change, DecodeError> {
    let (reader, segment) = (body.utf()?.into_owned(), body.utf()?.into_owned());
    let successors = body.list(3, |body| Ok((body.utf()?.into_owned(), body.list(8, Reader::i64)?)))?;
    let ranges = match object.revision()? {
        Some(mut body) => read_ranges(&mut body)?,
        None => BTreeMap::new(),
    };
    Ok(Change::Complete { reader, segment, successors: successors.into_iter().collect(), ranges })
}

impl ReaderGroupState {
    /// Makes a change as the client does.
    ///
    /// # Errors
    /// If it does not fit; a client would fail there. The state is of no use then.
    pub fn apply(&mut self, change: Change) -> Result<(), Inapplicable> {
        match change {
            Change::Replace(state) => *self = *state,
            Change::AddReader(reader) => {
                if self.assigned.contains_key(&reader) {
                    return Err(Inapplicable("a reader joins that is there"));
                }
                self.distances.entry(reader.clone()).or_insert(i64::MAX);
                self.assigned.insert(reader, Offsets::new());
            }
            Change::RemoveReader { reader, offsets } => self.remove_reader(&reader, &offsets),
            Change::Release { reader, segment, offset } => {
                self.owned(&reader)?.remove(&segment).ok_or(Inapplicable("a reader releases what it does not own"))?;
                self.see(&segment, offset);
                self.unassigned.insert(segment, offset);
            }
            Change::Acquire { reader, segment } => {
                self.owned(&reader)?;
                let free = self.unassigned.remove(&segment);
                let offset = free.ok_or(Inapplicable("a reader acquires what is not free"))?;
                self.owned(&reader)?.insert(segment, offset);
            }
            Change::Distance { reader, distance, offsets } => {
                self.distances.insert(reader, distance.max(ASSUMED_DISTANCE));
                offsets.iter().for_each(|(segment, offset)| self.see(segment, *offset));
            }
            Change::Complete { reader, segment, successors, ranges } => {
                self.owned(&reader)?.remove(&segment).ok_or(Inapplicable("a reader completes what it does not own"))?;
                self.complete(&segment, successors, ranges)?;
            }
            Change::ReachCheckpoint { checkpoint, reader, offsets } => {
                self.checkpoints.reach(&checkpoint, &reader, &offsets);
                if !is_silent(&checkpoint) {
                    for (segment, offset) in self.owned(&reader)? {
                        *offset = offsets.get(segment).copied().unwrap_or(*offset);
                    }
                }
            }
            Change::BeginCheckpoint(name) => {
                self.checkpoints.begin(&name, self.assigned.keys().cloned().collect(), self.unassigned.clone());
            }
            Change::ClearCheckpointsBefore(name) => self.checkpoints.clear_before(&name),
            Change::PublishCheckpoint(published) => self.checkpoints.is_last_published = published,
            Change::UpdateConfiguration(updating) => self.updating_configuration = updating,
            Change::RemoveOutstandingCheckpoints => self.checkpoints.remove_outstanding(),
        }
        Ok(())
    }

    fn owned(&mut self, reader: &str) -> Result<&mut Offsets, Inapplicable> {
        self.assigned.get_mut(reader).ok_or(Inapplicable("a reader changes something that is not there"))
    }

    fn see(&mut self, segment: &str, offset: i64) {
        if let Some(last) = self.last_read.get_mut(segment) {
            *last = offset;
        }
    }

    /// Successors come in when their last predecessor was read.
    fn complete(
        &mut self,
        segment: &str,
        successors: BTreeMap<String, Vec<i64>>,
        ranges: BTreeMap<String, KeyRange>,
    ) -> Result<(), Inapplicable> {
        let number = segment_id(segment).ok_or(Inapplicable("a completed segment has no number"))?;
        self.last_read.remove(segment);
        self.ranges.extend(ranges);
        for (successor, predecessors) in successors {
            self.future.entry(successor).or_insert_with(|| predecessors.into_iter().collect());
        }
        for predecessors in self.future.values_mut() {
            predecessors.remove(&number);
        }
        let all: BTreeMap<String, BTreeSet<i64>> = std::mem::take(&mut self.future);
        let (ready, waiting) = all.into_iter().partition::<BTreeMap<_, _>, _>(|(_, left)| left.is_empty());
        self.future = waiting;
        for successor in ready.into_keys() {
            self.last_read.entry(successor.clone()).or_insert(0);
            self.unassigned.insert(successor, 0);
        }
        self.keep_needed_ranges();
        Ok(())
    }
}

/// Number and epoch of a segment as the controller has them: the epoch in the upper half.
fn segment_id(segment: &str) -> Option<i64> {
    crate::names::StreamSegment::parse(segment).and_then(|segment| segment.id())
}

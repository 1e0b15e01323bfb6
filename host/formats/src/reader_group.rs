//! State of a reader group, as the client's state synchronizer writes it into the stream `_RG<group>`.
//!
//! Sources: `UpdateOrInitSerializer`, `ReaderGroupState` and `CheckpointState` of the client 0.13.0. Every event holds either a
//! whole state or changes to the state before it, so each prefix of the events is a state that really was.

mod change;
mod checkpoints;

use std::collections::{BTreeMap, BTreeSet};

pub use self::change::{Change, Inapplicable};
pub use self::checkpoints::Checkpoints;
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Uuid, Writer};

/// Attribute of a synchronizer's segment: the offset of the newest whole state (`SegmentAttribute.RevisionStreamClientMark`).
pub const REVISION_MARK: Uuid = Uuid(0x7df9_a874_246c_c9d6_9397_cdd1_9ead_68c5u128.to_be_bytes());

const WHOLE_STATE: i32 = 1;
const CHANGES: i32 = 2;
const TYPE_FIRST_STATE: u8 = 0;
const TYPE_COMPACT_STATE: u8 = 1;

/// Least bytes of a name and an offset.
const OFFSET_BYTES: usize = 2 + 8;
/// Least bytes of a name and a range.
const RANGE_BYTES: usize = 2 + 16;

/// Offsets by the full names of segments. Those of segments that were read to their end may be -1.
pub type Offsets = BTreeMap<String, i64>;

/// The part of the key space that belongs to a segment, as the bits of two doubles, so that nothing of it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// Bits of the lower bound.
    pub low: u64,
    /// Bits of the upper bound.
    pub high: u64,
}

impl KeyRange {
    /// What stands for a range that nobody knows.
    fn unknown() -> Self {
        let none = (-1.0_f64).to_bits();
        Self { low: none, high: none }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { low: reader.u64()?, high: reader.u64()? })
    }

    fn write(self, writer: &mut Writer) {
        writer.u64(self.low);
        writer.u64(self.high);
    }
}

/// What a reader group knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReaderGroupState {
    /// Configuration, in its own form.
    pub configuration: Vec<u8>,
    /// Checkpoints.
    pub checkpoints: Checkpoints,
    /// How far each reader is behind, in milliseconds.
    pub distances: BTreeMap<String, i64>,
    /// Segments that wait until all of their predecessors were read: numbers with epochs.
    pub future: BTreeMap<String, BTreeSet<i64>>,
    /// Segments by the reader that owns them, with the offsets of its last checkpoint.
    pub assigned: BTreeMap<String, Offsets>,
    /// Segments without a reader.
    pub unassigned: Offsets,
    /// Where the readers were last seen, for watermarks.
    pub last_read: Offsets,
    /// Where reading ends, if it does.
    pub ends: Offsets,
    /// Key ranges of the segments.
    pub ranges: BTreeMap<String, KeyRange>,
    /// A new configuration is being fetched from the controller.
    pub updating_configuration: bool,
}

/// An event of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Replaces all before it.
    State(Box<ReaderGroupState>),
    /// Are applied in order.
    Changes(Vec<Change>),
}

impl Entry {
    /// Decodes the payload of an event.
    ///
    /// # Errors
    /// If the bytes are not such an event.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("event of a reader group's state", payload);
        match reader.i32()? {
            WHOLE_STATE => Ok(Self::State(Box::new(ReaderGroupState::read(&mut reader)?))),
            CHANGES => {
                let mut changes = Vec::new();
                while !reader.is_empty() {
                    let length = usize::try_from(reader.i32()?).map_err(|_| reader.error("a length before"))?;
                    changes.push(Change::read(&mut reader.sub_reader("change of a reader group's state", length)?)?);
                }
                Ok(Self::Changes(changes))
            }
            other => Err(reader.error_at(0, format!("1 or 2, found {other}"))),
        }
    }
}

impl ReaderGroupState {
    /// The payload of an event that says this state as a whole.
    ///
    /// # Errors
    /// If a name is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.i32(WHOLE_STATE);
        writer.write_multi_revisions(TYPE_COMPACT_STATE, 0, |object| {
            object.revision(|body| self.write_segments(body));
            object.revision(|body| self.write_ranges(body));
            object.revision(|body| body.bool(self.updating_configuration));
        });
        writer.finish()
    }

    /// Takes every reader out, as when each is declared dead: its segments go back to the offsets of its last checkpoint.
    pub fn remove_readers(&mut self) {
        for reader in self.assigned.keys().cloned().collect::<Vec<_>>() {
            self.remove_reader(&reader, &Offsets::new());
        }
        self.distances.clear();
    }

    fn remove_reader(&mut self, reader: &str, last: &Offsets) {
        let mut released = self.assigned.remove(reader).unwrap_or_default();
        for (segment, offset) in &mut released {
            *offset = last.get(segment).copied().unwrap_or(*offset);
        }
        self.distances.remove(reader);
        self.checkpoints.remove_reader(reader, &released);
        self.unassigned.append(&mut released);
    }

    /// All segments from which the group reads or will read.
    pub fn segments(&self) -> BTreeSet<&str> {
        let assigned = self.assigned.values().flat_map(BTreeMap::keys);
        assigned.chain(self.unassigned.keys()).chain(self.future.keys()).map(String::as_str).collect()
    }

    fn named_segments(&self) -> BTreeSet<&str> {
        self.segments().into_iter().chain(self.last_read.keys().map(String::as_str)).collect()
    }

    /// Every offset in the state, with its segment.
    pub fn offsets_mut(&mut self) -> impl Iterator<Item = (&str, &mut i64)> {
        let groups = self.assigned.values_mut().chain([&mut self.unassigned, &mut self.last_read]);
        let groups = groups.chain(self.checkpoints.offsets_mut());
        groups.flatten().map(|(segment, offset)| (segment.as_str(), offset))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.read_multi("state of a reader group", 0, |object| match object.type_id() {
            TYPE_FIRST_STATE => Self::read_first(object),
            TYPE_COMPACT_STATE => Self::read_compact(object),
            _ => Err(object.unknown_type("type 0 or 1")),
        })
    }

    fn read_first(object: &mut crate::primitives::ObjectReader<'_>) -> Result<Self, DecodeError> {
        let mut body = object.required_revision()?;
        let mut state = Self { configuration: body.byte_array()?.to_vec(), ..Self::default() };
        state.unassigned = read_offsets(&mut body)?;
        state.ends = read_offsets(&mut body)?;
        if let Some(mut body) = object.revision()? {
            let segments =
                body.list(RANGE_BYTES + 8, |body| Ok((body.utf()?.into_owned(), KeyRange::read(body)?, body.i64()?)))?;
            state.unassigned = segments.iter().map(|(name, _, offset)| (name.clone(), *offset)).collect();
            state.ranges = segments.into_iter().map(|(name, range, _)| (name, range)).collect();
        }
        if let Some(mut body) = object.revision()? {
            state.updating_configuration = body.bool()?;
        }
        state.last_read = state.unassigned.clone();
        state.keep_needed_ranges();
        Ok(state)
    }

    fn read_compact(object: &mut crate::primitives::ObjectReader<'_>) -> Result<Self, DecodeError> {
        let mut body = object.required_revision()?;
        let mut state = Self { configuration: body.byte_array()?.to_vec(), ..Self::default() };
        state.checkpoints = Checkpoints::decode(body.byte_array()?)?;
        state.distances = read_offsets(&mut body)?;
        let future = body.list(3, |body| Ok((body.utf()?.into_owned(), body.list(8, Reader::i64)?)))?;
        state.future = future.into_iter().map(|(name, numbers)| (name, numbers.into_iter().collect())).collect();
        let assigned = body.list(3, |body| Ok((body.utf()?.into_owned(), read_offsets(body)?)))?;
        state.assigned = assigned.into_iter().collect();
        state.unassigned = read_offsets(&mut body)?;
        state.ends = read_offsets(&mut body)?;
        if let Some(mut body) = object.revision()? {
            state.last_read = read_offsets(&mut body)?;
            state.ranges = read_ranges(&mut body)?;
        }
        if let Some(mut body) = object.revision()? {
            state.updating_configuration = body.bool()?;
        }
        state.keep_needed_ranges();
        Ok(state)
    }

    /// Only those of segments that the state still names are written; unknown ones are as good as none.
    fn keep_needed_ranges(&mut self) {
        let mut ranges = std::mem::take(&mut self.ranges);
        let needed = self.named_segments();
        ranges.retain(|name, range| *range != KeyRange::unknown() && needed.contains(name.as_str()));
        self.ranges = ranges;
    }

    fn write_segments(&self, body: &mut Writer) {
        body.byte_array(&self.configuration);
        match self.checkpoints.encode() {
            Ok(bytes) => body.byte_array(&bytes),
            Err(error) => body.fail(error),
        }
        write_offsets(body, &self.distances);
        write_map(body, &self.future, |body, numbers| {
            write_list(body, numbers.iter(), |body, number| body.i64(*number));
        });
        write_map(body, &self.assigned, write_offsets);
        write_offsets(body, &self.unassigned);
        write_offsets(body, &self.ends);
    }

    fn write_ranges(&self, body: &mut Writer) {
        write_offsets(body, &self.last_read);
        write_list(body, self.named_segments().into_iter(), |body, name| {
            body.utf(name);
            self.ranges.get(name).copied().unwrap_or_else(KeyRange::unknown).write(body);
        });
    }
}

fn read_offsets(reader: &mut Reader<'_>) -> Result<Offsets, DecodeError> {
    let pairs = reader.list(OFFSET_BYTES, |reader| Ok((reader.utf()?.into_owned(), reader.i64()?)))?;
    Ok(pairs.into_iter().collect())
}

fn read_ranges(reader: &mut Reader<'_>) -> Result<BTreeMap<String, KeyRange>, DecodeError> {
    let pairs = reader.list(RANGE_BYTES, |reader| Ok((reader.utf()?.into_owned(), KeyRange::read(reader)?)))?;
    Ok(pairs.into_iter().collect())
}

fn write_offsets(writer: &mut Writer, offsets: &Offsets) {
    write_map(writer, offsets, |writer, offset| writer.i64(*offset));
}

fn write_map<T>(writer: &mut Writer, map: &BTreeMap<String, T>, write: impl Fn(&mut Writer, &T)) {
    write_list(writer, map.iter(), |writer, (name, value)| {
        writer.utf(name);
        write(writer, value);
    });
}

fn write_list<T>(writer: &mut Writer, elements: impl ExactSizeIterator<Item = T>, write: impl Fn(&mut Writer, T)) {
    writer.count(elements.len());
    for element in elements {
        write(writer, element);
    }
}

#[cfg(test)]
mod tests;

//! A metadata table as far as there are objects of it, and the newest entry of each key.

use std::ops::Range;

use dr_backends::tier2::Tier2;
use dr_formats::journal::SystemSegmentState;
use dr_formats::table::TableEntry;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use crate::chain::{Chain, ChunkPart};
use crate::error::Result;
use crate::evidence::salvage::{EntryKind, Gap, IsSure, names_its_key, scan_around_damage};
use crate::listing::ContainerObjects;

/// The parts of a table that can be read on end, and the ranges between them.
pub(super) struct HeldTable {
    start_offset: u64,
    pieces: Vec<Chain>,
    /// What no object holds, by offset.
    pub(super) holes: Vec<Range<u64>>,
}

/// What was read of a table.
pub(super) struct TableRead<Value> {
    /// What the newest entry of each key says; none for a removal.
    pub(super) newest: Vec<(Box<str>, Option<Value>)>,
    /// Bytes that are no entries.
    pub(super) gaps: Vec<Gap>,
}

impl HeldTable {
    /// The table of which the journals told, by the objects that are there.
    pub(super) fn of(state: &SystemSegmentState, objects: &ContainerObjects) -> Self {
        let mut pieces = Vec::new();
        let mut holes = Vec::new();
        let mut piece = Chain { first_start: state.first_chunk_start_offset, parts: Vec::new() };
        let mut start = state.first_chunk_start_offset;
        for (key, length) in &state.chunks {
            let end = start + length;
            let held = objects.chunk_size(key).unwrap_or(0).min(*length);
            if held > 0 {
                piece.parts.push(ChunkPart { key: key.as_str().into(), length: held });
            }
            if held < *length {
                holes.push(start + held..end);
                pieces.push(std::mem::replace(&mut piece, Chain { first_start: end, parts: Vec::new() }));
            }
            start = end;
        }
        pieces.push(piece);
        pieces.retain(|piece| !piece.parts.is_empty());
        Self { start_offset: state.start_offset, pieces, holes }
    }

    /// Reads the entries that are such for certain; about so many keys are expected.
    ///
    /// Nearly all are older than another one of their key, and need no closer look unless something is odd.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(super) fn read<Value>(
        &self,
        keys: usize,
        kind: &EntryKind<Value>,
        tier2: &dyn Tier2,
    ) -> Result<TableRead<Value>> {
        if let Some(read) = self.read_quickly(keys, kind, tier2)? {
            return Ok(read);
        }
        let (newest, gaps) = self.newest_of(keys, kind.is_sure, tier2)?;
        Ok(TableRead { newest: kind.decode_newest(newest), gaps })
    }

    /// Without a closer look at what is superseded; none if anything is odd.
    fn read_quickly<Value>(
        &self,
        keys: usize,
        kind: &EntryKind<Value>,
        tier2: &dyn Tier2,
    ) -> Result<Option<TableRead<Value>>> {
        let (newest, gaps) = self.newest_of(keys, names_its_key, tier2)?;
        if !gaps.is_empty() {
            return Ok(None);
        }
        let keys = newest.len();
        let newest = kind.decode_newest(newest);
        Ok((newest.len() == keys).then_some(TableRead { newest, gaps }))
    }

    fn newest_of(&self, keys: usize, is_sure: IsSure, tier2: &dyn Tier2) -> Result<(Newest, Vec<Gap>)> {
        let mut newest = Newest::with_capacity(keys);
        let mut visit = |entry: &TableEntry<'_>| match newest.entry_ref(entry.key) {
            EntryRef::Occupied(mut version) => version.get_mut().meet(entry),
            EntryRef::Vacant(vacant) => {
                vacant.insert_with_key(entry.key.into(), Version::of(entry));
            }
        };
        let gaps = self.visit(is_sure, tier2, &mut visit)?;
        Ok((newest, gaps))
    }

    /// Calls `visit` with each entry that is one for certain, whatever its version, and returns what lies between them.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(super) fn visit(
        &self,
        is_sure: IsSure,
        tier2: &dyn Tier2,
        visit: &mut dyn FnMut(&TableEntry<'_>),
    ) -> Result<Vec<Gap>> {
        let mut gaps = Vec::new();
        for piece in &self.pieces {
            let is_first = piece.first_start <= self.start_offset;
            let start = piece.first_start.max(self.start_offset);
            gaps.extend(scan_around_damage(piece, start, is_first, is_sure, tier2, visit)?);
        }
        Ok(gaps)
    }
}

/// Newest version of each key.
type Newest = HashMap<Box<[u8]>, Version>;

impl<Value> EntryKind<Value> {
    /// What the newest versions say, without those of which nothing is certain.
    fn decode_newest(&self, newest: Newest) -> Vec<(Box<str>, Option<Value>)> {
        let decode = |(key, version): (Box<[u8]>, Version)| {
            let value = if version.is_removal { None } else { Some((self.decode)(&version.entry(&key))?) };
            Some((String::from_utf8(key.into_vec()).ok()?.into(), value))
        };
        newest.into_iter().filter_map(decode).collect()
    }
}

/// A version of a key.
#[derive(Debug)]
struct Version {
    rank: (i64, u64),
    is_removal: bool,
    value: Vec<u8>,
}

impl Version {
    fn of(entry: &TableEntry<'_>) -> Self {
        let value = entry.value.unwrap_or_default().to_vec();
        Self { rank: entry.rank(), is_removal: entry.value.is_none(), value }
    }

    /// Becomes the version of this entry if that is newer, in the same memory: most versions in a table are followed by others.
    fn meet(&mut self, entry: &TableEntry<'_>) {
        if entry.rank() >= self.rank {
            (self.rank, self.is_removal) = (entry.rank(), entry.value.is_none());
            self.value.clear();
            self.value.extend_from_slice(entry.value.unwrap_or_default());
        }
    }

    /// The entry of the table.
    fn entry<'a>(&'a self, key: &'a [u8]) -> TableEntry<'a> {
        let (version, offset) = self.rank;
        TableEntry { offset, version, key, value: (!self.is_removal).then_some(&self.value) }
    }
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::slts::{SegmentMetadata, StorageMetadata, TransactionData};
    use dr_formats::table::write_entry;

    use super::*;
    use crate::evidence::salvage::RECORD;

    fn record(name: &str, length: u64) -> Vec<u8> {
        let record = SegmentMetadata { name: name.to_owned(), length, ..SegmentMetadata::default() };
        let data = TransactionData { version: 1, key: name.to_owned(), value: Some(StorageMetadata::Segment(record)) };
        data.encode().unwrap()
    }

    /// Two keys with two versions each, and one that was removed.
    fn table() -> Vec<u8> {
        let mut bytes = Vec::new();
        let entries = [("a", Some(1)), ("b", Some(1)), ("a", Some(2)), ("c", Some(1)), ("b", Some(2)), ("c", None)];
        for (name, length) in entries {
            let value = length.map(|length| record(name, length));
            write_entry(name.as_bytes(), value.as_deref(), None, &mut bytes).unwrap();
        }
        bytes
    }

    /// A key, and what is said of it.
    type Read = (Box<str>, Option<Option<StorageMetadata>>);

    fn sorted(mut read: Vec<Read>) -> Vec<Read> {
        read.sort_by(|(one, _), (other, _)| one.cmp(other));
        read
    }

    #[test]
    fn a_first_look_at_names_alone_changes_nothing_of_the_newest_entries_whatever_is_damaged() {
        let sound = table();
        let length = sound.len() as u64;
        let held = HeldTable {
            start_offset: 0,
            pieces: vec![Chain { first_start: 0, parts: vec![ChunkPart { key: "t".into(), length }] }],
            holes: Vec::new(),
        };
        let mut second_looks = 0;
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let tier2 = MemoryTier2::new();
            tier2.create("t", &damaged).unwrap();
            let closely = held.newest_of(3, RECORD.is_sure, &tier2).unwrap().0;
            let read = held.read(3, &RECORD, &tier2).unwrap();
            assert_eq!(sorted(read.newest), sorted(RECORD.decode_newest(closely)), "bit {bit}");
            second_looks += usize::from(held.read_quickly(3, &RECORD, &tier2).unwrap().is_none());
        }
        assert!(second_looks > 0 && second_looks < sound.len() * 8, "{second_looks}");
    }
}

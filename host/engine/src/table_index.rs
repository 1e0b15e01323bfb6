//! What the index of a table must hold, computed from the table's bytes, and how the index in Tier-2 differs.
//!
//! Rules: `pravega-tier2` section 7, `findings-total-loss` section 3 way (b).

use std::collections::{BTreeMap, HashMap};

use dr_formats::attribute::{AttributeId, AttributeUpdate, NULL_ATTRIBUTE_VALUE, table_key_hash};
use dr_formats::primitives::Uuid;
use dr_formats::table::TableEntry;

/// Upper half of the ids by which colliding keys of one bucket point back to each other.
const BACK_POINTER: i64 = i64::MAX;

/// Values of an attribute index, in the order of their ids.
pub type IndexValues = BTreeMap<AttributeId, i64>;

/// The index of a hash table: bucket of a key to the offset of its newest entry.
#[derive(Debug, Default)]
pub struct HashTableIndex {
    newest: HashMap<Uuid, Newest>,
}

#[derive(Debug)]
struct Newest {
    rank: (i64, u64),
    live: bool,
}

impl HashTableIndex {
    /// Takes an entry in.
    pub fn see(&mut self, entry: &TableEntry<'_>) {
        let candidate = Newest { rank: entry.rank(), live: entry.value.is_some() };
        self.newest
            .entry(table_key_hash(entry.key))
            .and_modify(|known| {
                if candidate.rank > known.rank {
                    *known = Newest { ..candidate };
                }
            })
            .or_insert(candidate);
    }

    /// Keys that have a value.
    pub fn live_keys(&self) -> u64 {
        self.newest.values().filter(|newest| newest.live).count() as u64
    }

    /// What must be written so that an index with these values becomes right, in the order of ids. Back pointers stay:
    /// two keys of one hash need 2^64 keys to be likely, and a table that has them keeps its own.
    pub fn updates(&self, present: &IndexValues) -> Vec<AttributeUpdate> {
        let mut updates = BTreeMap::new();
        for (hash, newest) in self.newest.iter().filter(|(_, newest)| newest.live) {
            let offset = i64::try_from(newest.rank.1).unwrap_or(i64::MAX);
            if present.get(&AttributeId::Uuid(*hash)) != Some(&offset) {
                updates.insert(*hash, offset);
            }
        }
        for id in present.keys() {
            let AttributeId::Uuid(hash) = id else { continue };
            let is_live = self.newest.get(hash).is_some_and(|newest| newest.live);
            if !is_live && hash.most() != BACK_POINTER {
                updates.insert(*hash, NULL_ATTRIBUTE_VALUE);
            }
        }
        updates.into_iter().map(|(hash, value)| AttributeUpdate::replace(hash, value)).collect()
    }
}

/// The index of a fixed-key table: key to the offset of its newest entry.
///
/// Removals write no bytes, only the index. So an entry that the newest index does not name was either removed, or
/// written after that index; the newest index is the base, and only entries behind all that any index ever covered
/// are added to it.
#[derive(Debug)]
pub struct FixedKeyTableIndex {
    end: i64,
    offsets: BTreeMap<Box<[u8]>, Vec<i64>>,
}

impl FixedKeyTableIndex {
    /// For a table that ends at `end`.
    pub fn new(end: u64) -> Self {
        Self { end: i64::try_from(end).unwrap_or(i64::MAX), offsets: BTreeMap::new() }
    }

    /// Takes an entry in, in the order of offsets.
    pub fn see(&mut self, entry: &TableEntry<'_>) {
        let offset = i64::try_from(entry.offset).unwrap_or(i64::MAX);
        match self.offsets.get_mut(entry.key) {
            Some(offsets) => offsets.push(offset),
            None => {
                self.offsets.insert(entry.key.into(), vec![offset]);
            }
        }
    }

    /// Length of the keys, if there is one.
    pub fn key_length(&self) -> Option<usize> {
        self.offsets.keys().next().map(|key| key.len())
    }

    /// True if the index names entries that the table's bytes do not hold.
    pub fn points_beyond_data(&self, present: &IndexValues) -> bool {
        present.values().any(|&offset| offset >= self.end)
    }

    /// True if there are entries at or behind `covered`, the end of what an index is known to have covered.
    pub fn has_entries_behind(&self, covered: i64) -> bool {
        self.offsets.values().any(|offsets| offsets.last().is_some_and(|&newest| newest >= covered))
    }

    /// The first entry that the index proves not to know: a later one of a key for which it names an earlier one. Had it
    /// known of the later one, it would name that, or nothing if the key was removed.
    fn first_not_in(&self, present: &IndexValues) -> i64 {
        let later = |(id, named): (&AttributeId, &i64)| {
            let AttributeId::Bytes(key) = id else { return None };
            let offsets = self.offsets.get(key)?;
            offsets.get(offsets.partition_point(|offset| offset <= named)).copied()
        };
        present.iter().filter_map(later).min().unwrap_or(self.end)
    }

    /// What must be written so that an index with these values becomes right, in the order of keys. Entries before
    /// `covered` that it does not name were removed.
    pub fn updates(&self, present: &IndexValues, covered: i64) -> Vec<AttributeUpdate> {
        let named_last = present.values().copied().filter(|&offset| offset < self.end).max().unwrap_or(-1);
        let covered = covered.min(self.first_not_in(present)).max(named_last + 1);
        let mut updates = BTreeMap::new();
        for (id, &offset) in present {
            let AttributeId::Bytes(key) = id else { continue };
            let offsets = self.offsets.get(key).map(Vec::as_slice).unwrap_or_default();
            if offsets.binary_search(&offset).is_err() {
                // It names an entry that is lost: the newest one that is left, or none.
                updates.insert(key.clone(), offsets.last().copied().unwrap_or(NULL_ATTRIBUTE_VALUE));
            }
        }
        for (key, offsets) in &self.offsets {
            let newest = offsets.last().copied().unwrap_or(NULL_ATTRIBUTE_VALUE);
            if newest >= covered {
                updates.insert(key.clone(), newest);
            }
        }
        let is_change = |(key, value): &(Box<[u8]>, i64)| present.get(&AttributeId::Bytes(key.clone())) != Some(value);
        let update = |(key, value)| AttributeUpdate::replace(AttributeId::Bytes(key), value);
        updates.into_iter().filter(is_change).map(update).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&[u8], u64)], end: u64) -> FixedKeyTableIndex {
        let mut table = FixedKeyTableIndex::new(end);
        for (key, offset) in entries {
            table.see(&TableEntry { offset: *offset, version: 0, key, value: Some(b"v") });
        }
        table
    }

    fn index(values: &[(&[u8], i64)]) -> IndexValues {
        values.iter().map(|(key, offset)| (AttributeId::Bytes((*key).into()), *offset)).collect()
    }

    fn updates(table: &FixedKeyTableIndex, present: &IndexValues, covered: i64) -> Vec<(AttributeId, i64)> {
        table.updates(present, covered).into_iter().map(|update| (update.id, update.value)).collect()
    }

    #[test]
    fn an_emptied_table_stays_empty() {
        let table = table(&[(b"a", 0), (b"b", 20)], 40);
        assert_eq!(updates(&table, &index(&[]), 40), vec![]);
    }

    #[test]
    fn entries_behind_the_index_are_added_and_removed_ones_are_not() {
        let table = table(&[(b"a", 0), (b"b", 20), (b"c", 40), (b"a", 60)], 80);
        let present = index(&[(b"a", 0), (b"c", 40)]);
        assert_eq!(updates(&table, &present, 0), vec![(AttributeId::Bytes((*b"a").into()), 60)]);
        let removed_later = index(&[(b"c", 40)]);
        assert_eq!(updates(&table, &removed_later, 0), vec![(AttributeId::Bytes((*b"a").into()), 60)]);
        assert_eq!(updates(&table, &removed_later, 80), vec![]);
    }

    #[test]
    fn an_index_covers_nothing_behind_an_entry_that_it_proves_not_to_know() {
        // The index names `a` at 0: so it is older than the entry at 60, and than all behind that, whatever else says
        // that it covers them. `b` at 20 lies before: it was removed.
        let table = table(&[(b"a", 0), (b"b", 20), (b"a", 60), (b"c", 80)], 100);
        let present = index(&[(b"a", 0)]);
        let expected = vec![(AttributeId::Bytes((*b"a").into()), 60), (AttributeId::Bytes((*b"c").into()), 80)];
        assert_eq!(updates(&table, &present, 100), expected);
    }

    #[test]
    fn a_key_whose_entry_is_lost_gets_its_newest_left_entry_or_none() {
        let table = table(&[(b"a", 0)], 20);
        let present = index(&[(b"a", 40), (b"b", 60)]);
        let expected =
            vec![(AttributeId::Bytes((*b"a").into()), 0), (AttributeId::Bytes((*b"b").into()), NULL_ATTRIBUTE_VALUE)];
        assert_eq!(updates(&table, &present, 20), expected);
    }

    #[test]
    fn a_hash_index_names_the_newest_live_entry_of_every_key() {
        let mut table = HashTableIndex::default();
        let see = |table: &mut HashTableIndex, key: &[u8], offset: u64, version: i64, value: Option<&[u8]>| {
            table.see(&TableEntry { offset, version, key, value });
        };
        see(&mut table, b"a", 0, 0, Some(b"1"));
        see(&mut table, b"b", 30, 30, Some(b"1"));
        see(&mut table, b"b", 60, 60, None);
        // A copy made by compaction: later offset, older version.
        see(&mut table, b"c", 90, 90, Some(b"2"));
        see(&mut table, b"c", 120, 10, Some(b"1"));
        assert_eq!(table.live_keys(), 2);
        let present: IndexValues = [(b"b".as_slice(), 30), (b"c", 120)]
            .into_iter()
            .map(|(key, offset)| (AttributeId::Uuid(table_key_hash(key)), offset))
            .collect();
        let updates: BTreeMap<AttributeId, i64> =
            table.updates(&present).into_iter().map(|update| (update.id, update.value)).collect();
        let expected: BTreeMap<AttributeId, i64> = [(b"a".as_slice(), 0), (b"b", NULL_ATTRIBUTE_VALUE), (b"c", 90)]
            .into_iter()
            .map(|(key, offset)| (AttributeId::Uuid(table_key_hash(key)), offset))
            .collect();
        assert_eq!(updates, expected);
    }
}

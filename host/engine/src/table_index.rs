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

/// The index of a fixed-key table: key to the offset of its newest entry. Removals write no bytes, only the index, so
/// the newest index is the base and only entries behind it count.
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

    /// What must be written so that an index with these values becomes right, in the order of keys.
    pub fn updates(&self, present: &IndexValues) -> Vec<AttributeUpdate> {
        let indexed_to = present.values().copied().filter(|&offset| offset < self.end).max().unwrap_or(-1);
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
            if newest > indexed_to {
                updates.insert(key.clone(), newest);
            }
        }
        let is_change = |(key, value): &(Box<[u8]>, i64)| present.get(&AttributeId::Bytes(key.clone())) != Some(value);
        let update = |(key, value)| AttributeUpdate::replace(AttributeId::Bytes(key), value);
        updates.into_iter().filter(is_change).map(update).collect()
    }
}

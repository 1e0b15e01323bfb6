//! Segments with their content, attributes and attribute index.

use std::collections::BTreeMap;

use dr_formats::attribute::{
    ATTRIBUTE_ID_LENGTH, AttributeId, AttributeMap, BUCKET_COUNT, CREATION_TIME, ENTRY_COUNT, EVENT_COUNT,
    INDEX_OFFSET, PERSISTED_SEQUENCE_NUMBER, ROLLOVER_SIZE, ROOT_POINTER, SCALE_POLICY_RATE, SCALE_POLICY_TYPE,
    SEGMENT_TYPE, SegmentType, TOTAL_ENTRY_COUNT, system_table_attributes, table_key_hash,
};
use dr_formats::attribute_index::{KeyFormat, build_index};
use dr_formats::primitives::Uuid;
use dr_formats::table::write_entry;

use super::Result;
use super::random::Random;

/// Milliseconds since 1970 at which everything was created.
pub(super) const CREATED: i64 = 1_750_000_000_000;

/// Bytes of a key of the key-value tables.
const FIXED_KEY_BYTES: u16 = 24;

/// A segment before it is written.
#[derive(Debug)]
pub(super) struct NewSegment {
    pub(super) name: String,
    /// All bytes since offset 0, also those truncated away.
    pub(super) content: Vec<u8>,
    pub(super) start_offset: u64,
    pub(super) sealed: bool,
    pub(super) attributes: AttributeMap,
    /// Bytes of the attribute index; empty if nothing was ever written to it.
    pub(super) index: Vec<u8>,
}

impl NewSegment {
    /// A stream segment with whole events of about `bytes` bytes, and what it knows of their writers.
    pub(super) fn of_events(name: String, bytes: u64, random: &mut Random) -> Result<Self> {
        let mut content = Vec::new();
        let mut events = 0;
        while (content.len() as u64) < bytes {
            push_event(&mut content, random);
            events += 1;
        }
        let writers = if events == 0 { 0 } else { 1 + random.below(3) };
        // Each knows the number of its last event; together they wrote no more events than there are.
        let share = events / writers.max(1).try_into().unwrap_or(1);
        let numbers = (0..writers).map(|_| (AttributeId::Uuid(random.uuid()), share)).collect();
        let mut attributes: AttributeMap = [
            (CREATION_TIME, CREATED),
            (EVENT_COUNT, events),
            (SCALE_POLICY_TYPE, 0),
            (SCALE_POLICY_RATE, 0),
            (ROLLOVER_SIZE, 0),
            (SEGMENT_TYPE, SegmentType::STREAM.0),
        ]
        .into_iter()
        .collect();
        describe_old_container(&mut attributes, events);
        let index = index_of(KeyFormat::Uuid, numbers, 2)?;
        Ok(Self { name, content, start_offset: 0, sealed: false, attributes, index })
    }

    /// Truncates at the end of some event in the first half.
    pub(super) fn truncate(&mut self, random: &mut Random) {
        let wanted = random.below(self.content.len() as u64 / 2);
        let mut offset = 0;
        while offset < wanted {
            let Some(header) = self.content.get(offset as usize..).and_then(|rest| rest.first_chunk::<8>()) else {
                return;
            };
            let [_, _, _, _, l0, l1, l2, l3] = *header;
            offset += 8 + u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
        }
        self.start_offset = offset;
    }

    /// A segment of a key-value table: updates, and removals of which only the index tells.
    pub(super) fn of_fixed_keys(name: String, random: &mut Random) -> Result<Self> {
        let keys = 10 + random.below(40);
        let (mut content, mut newest) = (Vec::new(), BTreeMap::new());
        for _ in 0..2 * keys {
            let (key, mut value) = (format!("key-{:020}", random.below(keys)), Vec::new());
            let value_bytes = 20 + random.below(100) as usize;
            random.fill(value_bytes, &mut value);
            newest.insert(key.clone(), content.len() as i64);
            write_entry(key.as_bytes(), Some(&value), None, &mut content)?;
        }
        let last = newest.values().copied().max();
        // Nothing is removed behind the last entry: that such a removal is not taken back is for other tests.
        newest.retain(|_, offset| Some(*offset) == last || !random.once_in(5));
        let entries = newest.into_iter().map(|(key, offset)| (AttributeId::Bytes(key.into_bytes().into()), offset));
        let index = index_of(KeyFormat::Raw(FIXED_KEY_BYTES), entries.collect(), 1)?;
        let mut attributes = table_attributes(SegmentType::FIXED_KEY_TABLE);
        attributes.set(ATTRIBUTE_ID_LENGTH, i64::from(FIXED_KEY_BYTES));
        Ok(Self { name, content, start_offset: 0, sealed: false, attributes, index })
    }
}

fn push_event(content: &mut Vec<u8>, random: &mut Random) {
    let payload = 16 + random.below(200);
    content.extend_from_slice(&[0; 4]);
    content.extend_from_slice(&(payload as u32).to_be_bytes());
    random.fill(payload as usize, content);
}

/// A hash table that is being filled.
#[derive(Debug, Default)]
pub(super) struct HashTable {
    bytes: Vec<u8>,
    newest: BTreeMap<Uuid, i64>,
    entries: i64,
}

impl HashTable {
    pub(super) fn put(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.newest.insert(table_key_hash(key.as_bytes()), self.bytes.len() as i64);
        self.write(key, Some(value))
    }

    pub(super) fn remove(&mut self, key: &str) -> Result<()> {
        self.newest.remove(&table_key_hash(key.as_bytes()));
        self.write(key, None)
    }

    fn write(&mut self, key: &str, value: Option<&[u8]>) -> Result<()> {
        self.entries += 1;
        Ok(write_entry(key.as_bytes(), value, None, &mut self.bytes)?)
    }

    /// The table with all of it indexed; the index was written `index_versions` times.
    pub(super) fn into_segment(self, name: String, kind: SegmentType, index_versions: usize) -> Result<NewSegment> {
        let mut attributes = table_attributes(kind);
        attributes.set(INDEX_OFFSET, self.bytes.len() as i64);
        attributes.set(ENTRY_COUNT, self.newest.len() as i64);
        attributes.set(BUCKET_COUNT, self.newest.len() as i64);
        attributes.set(TOTAL_ENTRY_COUNT, self.entries);
        let entries: Vec<_> = self.newest.into_iter().map(|(hash, offset)| (AttributeId::Uuid(hash), offset)).collect();
        let index = index_of(KeyFormat::Uuid, entries, index_versions)?;
        Ok(NewSegment { name, content: self.bytes, start_offset: 0, sealed: false, attributes, index })
    }
}

fn table_attributes(kind: SegmentType) -> AttributeMap {
    let mut attributes = system_table_attributes();
    attributes.set(CREATION_TIME, CREATED);
    attributes.set(SEGMENT_TYPE, kind.0);
    describe_old_container(&mut attributes, 1);
    attributes
}

/// What rows of a real container carry and no recovery may copy.
fn describe_old_container(attributes: &mut AttributeMap, sequence_number: i64) {
    attributes.set(ROOT_POINTER, 0);
    attributes.set(PERSISTED_SEQUENCE_NUMBER, sequence_number);
}

/// An index with `versions` states: each state leaves the pages of the one before in place.
fn index_of(keys: KeyFormat, entries: Vec<(AttributeId, i64)>, versions: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if entries.is_empty() {
        return Ok(bytes);
    }
    for version in 1..=versions {
        let known = entries.iter().take((entries.len() * version).div_ceil(versions)).cloned().collect();
        let with_statistics = matches!(keys, KeyFormat::Raw(_));
        let state = build_index(keys, bytes.len() as u64, known, with_statistics)?;
        bytes.extend_from_slice(&state);
    }
    Ok(bytes)
}

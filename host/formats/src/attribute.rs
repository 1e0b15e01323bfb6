//! Attributes of segments: ids, well-known core attributes, updates, and the hash that makes table keys attributes.
//!
//! Formats: `AttributeId`, `Attributes`, `TableAttributes`, `AttributeUpdate`, `AttributeUpdateType`, `SegmentType`
//! and `KeyHasher` of Pravega.

mod core;
mod hash;

pub use self::core::{
    ATTRIBUTE_ID_LENGTH, BUCKET_COUNT, COMPACTION_OFFSET, CREATION_EPOCH, CREATION_TIME, CoreAttribute, ENTRY_COUNT,
    EVENT_COUNT, INDEX_EVENT_SIZE, INDEX_OFFSET, MIN_UTILIZATION, PERSISTED_SEQUENCE_NUMBER, RETIRED_TABLE_ATTRIBUTE,
    ROLLOVER_SIZE, ROOT_POINTER, SCALE_POLICY_RATE, SCALE_POLICY_TYPE, SEGMENT_TYPE, SNAPSHOT_EPOCH, SNAPSHOT_ID,
    SegmentType, TOTAL_ENTRY_COUNT, system_table_attributes,
};
pub use hash::{back_pointer_id, table_key_hash};

use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Uuid, Writer};

/// The value that means "no value" (Java's `Attributes.NULL_ATTRIBUTE_VALUE`): a deleted extended attribute.
pub const NULL_ATTRIBUTE_VALUE: i64 = i64::MIN;
/// Longest attribute id, in bytes.
pub const ATTRIBUTE_ID_MAX_BYTES: usize = 256;
/// Bytes of an id and its value in a map.
const MAP_ELEMENT_BYTES: usize = 24;

/// Id of an attribute: a UUID for nearly all segments, raw bytes for those with core attribute 12
/// ([`ATTRIBUTE_ID_LENGTH`]).
///
/// UUIDs are held without allocation. A core attribute is the UUID whose most significant half is -2^63.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeId {
    /// A UUID, core or extended.
    Uuid(Uuid),
    /// 1 to [`ATTRIBUTE_ID_MAX_BYTES`] raw bytes: the key of a fixed-key-length table.
    Bytes(Box<[u8]>),
}

impl AttributeId {
    /// The core attribute, or none for extended ones.
    #[must_use]
    pub fn core(&self) -> Option<CoreAttribute> {
        match self {
            Self::Uuid(uuid) => CoreAttribute::from_uuid(*uuid),
            Self::Bytes(_) => None,
        }
    }
}

impl From<Uuid> for AttributeId {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<CoreAttribute> for AttributeId {
    fn from(attribute: CoreAttribute) -> Self {
        Self::Uuid(attribute.uuid())
    }
}

/// Attributes and values in the order in which they are encoded; Java gives that order no meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttributeMap(Vec<(Uuid, i64)>);

impl AttributeMap {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of a core attribute. If the encoding had it twice, the later one, as in Java.
    #[must_use]
    pub fn get(&self, attribute: CoreAttribute) -> Option<i64> {
        let id = attribute.uuid();
        self.0.iter().rev().find(|(other, _)| *other == id).map(|(_, value)| *value)
    }

    /// Sets the value of a core attribute.
    pub fn set(&mut self, attribute: CoreAttribute, value: i64) {
        let id = attribute.uuid();
        match self.0.iter_mut().rev().find(|(other, _)| *other == id) {
            Some((_, old)) => *old = value,
            None => self.0.push((id, value)),
        }
    }

    /// Takes a core attribute out.
    pub fn remove(&mut self, attribute: CoreAttribute) {
        let id = attribute.uuid();
        self.0.retain(|(other, _)| *other != id);
    }

    /// Number of attributes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All attributes, also such as are not core ones (which Pravega does not write into maps).
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, i64)> {
        self.0.iter().copied()
    }

    /// The core attributes.
    pub fn core(&self) -> impl Iterator<Item = (CoreAttribute, i64)> {
        self.iter().filter_map(|(id, value)| CoreAttribute::from_uuid(id).map(|attribute| (attribute, value)))
    }

    /// Reads a map: compact int count, then UUID and value.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.list(MAP_ELEMENT_BYTES, |reader| Ok((reader.uuid()?, reader.i64()?))).map(Self)
    }

    /// Writes a map as [`AttributeMap::read`] reads it.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.list(&self.0, |writer, (id, value)| {
            writer.uuid(*id);
            writer.i64(*value);
        });
    }
}

impl FromIterator<(CoreAttribute, i64)> for AttributeMap {
    fn from_iter<I: IntoIterator<Item = (CoreAttribute, i64)>>(attributes: I) -> Self {
        let mut map = Self::new();
        for (attribute, value) in attributes {
            map.set(attribute, value);
        }
        map
    }
}

/// How an update combined the old and the new value when it was accepted. In a log the value is final already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum UpdateType {
    /// Only if there was no value.
    None = 0,
    /// Always.
    Replace = 1,
    /// Only if greater.
    ReplaceIfGreater = 2,
    /// Added to the old value.
    Accumulate = 3,
    /// Only if the old value equals the comparison.
    ReplaceIfEquals = 4,
}

impl UpdateType {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let position = reader.position();
        Ok(match reader.u8()? {
            0 => Self::None,
            1 => Self::Replace,
            2 => Self::ReplaceIfGreater,
            3 => Self::Accumulate,
            4 => Self::ReplaceIfEquals,
            other => return Err(reader.error_at(position, format!("an attribute update type 0 to 4, found {other}"))),
        })
    }
}

/// One attribute's new value, as an operation of the log carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeUpdate {
    /// Which attribute. All extended ids of one operation must have one kind and length.
    pub id: AttributeId,
    /// How it was accepted.
    pub update_type: UpdateType,
    /// The final value; [`NULL_ATTRIBUTE_VALUE`] deletes an extended attribute.
    pub value: i64,
    /// What the old value was compared with; not kept for ids of raw bytes, for which it reads as -2^63.
    pub comparison: i64,
}

impl AttributeUpdate {
    /// Sets `id` to `value`, whatever it was.
    pub fn replace(id: impl Into<AttributeId>, value: i64) -> Self {
        Self { id: id.into(), update_type: UpdateType::Replace, value, comparison: NULL_ATTRIBUTE_VALUE }
    }
}

/// Bytes of an update of a UUID attribute with and without the comparison.
const UUID_UPDATE_BYTES: usize = 33;
const UUID_UPDATE_BYTES_WITHOUT_COMPARISON: usize = 25;
/// Least bytes of an update of an attribute with an id of raw bytes.
const BYTES_UPDATE_MIN_BYTES: usize = 10;

/// Appends to `updates` a list of updates with UUID ids. Appends of version 1 have no comparison.
pub(crate) fn read_uuid_updates(
    reader: &mut Reader<'_>,
    has_comparison: bool,
    updates: &mut Vec<AttributeUpdate>,
) -> Result<(), DecodeError> {
    let count = reader.count(if has_comparison { UUID_UPDATE_BYTES } else { UUID_UPDATE_BYTES_WITHOUT_COMPARISON })?;
    updates.reserve(count);
    for _ in 0..count {
        updates.push(AttributeUpdate {
            id: AttributeId::Uuid(reader.uuid()?),
            update_type: UpdateType::read(reader)?,
            value: reader.i64()?,
            comparison: if has_comparison { reader.i64()? } else { NULL_ATTRIBUTE_VALUE },
        });
    }
    Ok(())
}

/// Appends to `updates` a list of updates with ids of raw bytes.
pub(crate) fn read_bytes_updates(
    reader: &mut Reader<'_>,
    updates: &mut Vec<AttributeUpdate>,
) -> Result<(), DecodeError> {
    let count = reader.count(BYTES_UPDATE_MIN_BYTES)?;
    updates.reserve(count);
    for _ in 0..count {
        let position = reader.position();
        let id = reader.byte_array()?;
        if id.len() > ATTRIBUTE_ID_MAX_BYTES {
            let expected = format!("an attribute id of at most {ATTRIBUTE_ID_MAX_BYTES} bytes, found {}", id.len());
            return Err(reader.error_at(position, expected));
        }
        updates.push(AttributeUpdate {
            id: AttributeId::Bytes(id.into()),
            update_type: UpdateType::read(reader)?,
            value: reader.i64()?,
            comparison: NULL_ATTRIBUTE_VALUE,
        });
    }
    Ok(())
}

/// Writes the updates with UUID ids, those with other ids left out.
pub(crate) fn write_uuid_updates(writer: &mut Writer, updates: &[AttributeUpdate]) {
    let selected = || {
        updates.iter().filter_map(|update| match update.id {
            AttributeId::Uuid(id) => Some((id, update)),
            AttributeId::Bytes(_) => None,
        })
    };
    writer.count(selected().count());
    for (id, update) in selected() {
        writer.uuid(id);
        writer.u8(update.update_type as u8);
        writer.i64(update.value);
        writer.i64(update.comparison);
    }
}

/// Writes the updates with ids of raw bytes, those with UUID ids left out.
pub(crate) fn write_bytes_updates(writer: &mut Writer, updates: &[AttributeUpdate]) {
    let selected = || {
        updates.iter().filter_map(|update| match &update.id {
            AttributeId::Bytes(id) => Some((id, update)),
            AttributeId::Uuid(_) => None,
        })
    };
    writer.count(selected().count());
    for (id, update) in selected() {
        if id.len() > ATTRIBUTE_ID_MAX_BYTES {
            let what = format!("attribute id of {} bytes", id.len());
            writer.fail(EncodeError::new(what, format!("at most {ATTRIBUTE_ID_MAX_BYTES} bytes")));
        }
        writer.byte_array(id);
        writer.u8(update.update_type as u8);
        writer.i64(update.value);
    }
}

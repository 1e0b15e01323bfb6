//! Operations of a durable log (`OperationSerializer` and the operation classes of Pravega).
//!
//! An operation is a multi-type object; every body starts with the sequence number. All are written in version 0.

use std::borrow::Cow;

use crate::attribute::{
    AttributeMap, AttributeUpdate, read_bytes_updates, read_uuid_updates, write_bytes_updates, write_uuid_updates,
};
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{ObjectReader, Reader, Writer};

mod head;

pub use head::OperationHead;

/// Type ids.
mod type_id {
    pub(super) const APPEND: u8 = 1;
    pub(super) const SEAL: u8 = 2;
    pub(super) const MERGE: u8 = 3;
    pub(super) const MAP: u8 = 4;
    pub(super) const UPDATE_ATTRIBUTES: u8 = 6;
    pub(super) const TRUNCATE: u8 = 7;
    pub(super) const METADATA_CHECKPOINT: u8 = 8;
    pub(super) const STORAGE_CHECKPOINT: u8 = 9;
    pub(super) const DELETE: u8 = 10;
}

/// Highest version of any operation: appends have a version 1, which Pravega reads but does not write.
const HIGHEST_VERSION: u8 = 1;

/// One operation of a durable log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Grows strictly over a log, gaps are allowed; at least 1.
    pub sequence_number: i64,
    /// What it does.
    pub action: Action<'a>,
}

/// What an operation does. Lengths and offsets are in bytes of the segment; segment ids are those of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Adds bytes to the end of a segment.
    Append {
        /// The segment.
        segment_id: i64,
        /// Its length before; replay checks it.
        offset: u64,
        /// The bytes; fewer than 2^30.
        data: Cow<'a, [u8]>,
        /// Attributes changed together with it.
        attributes: Vec<AttributeUpdate>,
    },
    /// Makes a segment read-only.
    Seal {
        /// The segment.
        segment_id: i64,
        /// Its length.
        length: u64,
    },
    /// Adds a sealed segment to the end of another one and deletes it.
    Merge {
        /// The segment that grows.
        target_id: i64,
        /// The segment that vanishes.
        source_id: i64,
        /// Length of the source.
        source_length: u64,
        /// Length of the target before.
        target_offset: u64,
        /// Attributes of the target changed together with it; UUID ids only.
        attributes: Vec<AttributeUpdate>,
    },
    /// Makes a segment active in the container; the segment claims `length` bytes in Tier-2.
    Map(SegmentMapping<'a>),
    /// Changes attributes.
    UpdateAttributes {
        /// The segment.
        segment_id: i64,
        /// New values. Written by kind of id: all UUID ids first.
        attributes: Vec<AttributeUpdate>,
    },
    /// Makes the bytes before an offset unreadable.
    Truncate {
        /// The segment.
        segment_id: i64,
        /// The new start offset.
        offset: u64,
    },
    /// The state of the container, encoded; see [`crate::checkpoint::MetadataCheckpoint`].
    MetadataCheckpoint(Cow<'a, [u8]>),
    /// The state of the segments in Tier-2, encoded; see [`crate::checkpoint::StorageMetadataCheckpoint`].
    StorageMetadataCheckpoint(Cow<'a, [u8]>),
    /// Deletes a segment.
    Delete {
        /// The segment; greater than 0.
        segment_id: i64,
        /// Its length.
        offset: u64,
    },
}

/// A segment that becomes active: the body of [`Action::Map`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMapping<'a> {
    /// The id that it gets; not -2^63.
    pub segment_id: i64,
    /// Its name.
    pub name: Cow<'a, str>,
    /// First readable offset.
    pub start_offset: u64,
    /// Its length, all of which must be in Tier-2.
    pub length: u64,
    /// True if it is read-only.
    pub sealed: bool,
    /// All its core attributes; they replace what attribute updates before said.
    pub attributes: AttributeMap,
    /// True if it must never be evicted from memory.
    pub pinned: bool,
}

impl<'a> Operation<'a> {
    /// Decodes one record; bytes are borrowed from it.
    ///
    /// # Errors
    /// If the bytes are not one operation of a known type and version. Bytes after the operation are ignored, as by
    /// Pravega.
    pub fn decode(record: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new("operation", record))
    }

    /// Reads one operation.
    ///
    /// # Errors
    /// As [`Operation::decode`].
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.read_multi("operation", HIGHEST_VERSION, |object| {
            let highest = if object.type_id() == type_id::APPEND { HIGHEST_VERSION } else { 0 };
            object.expect_version(highest)?;
            let mut body = object.required_revision()?;
            let sequence_number = body.i64()?;
            Ok(Self { sequence_number, action: Action::read(object, &mut body)? })
        })
    }

    /// The encoded operation.
    ///
    /// # Errors
    /// If a name, an id or the data is longer than the format allows.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Writes the operation.
    pub fn write(&self, writer: &mut Writer) {
        writer.write_multi_revisions(self.action.type_id(), 0, |object| {
            object.revision(|writer| {
                writer.i64(self.sequence_number);
                self.action.write_first_revision(writer);
            });
            match &self.action {
                Action::Merge { attributes, .. } => object.revision(|writer| {
                    // Pravega writes nothing, not even a count, if there are none.
                    if !attributes.is_empty() {
                        reject_bytes_ids(writer, attributes);
                        write_uuid_updates(writer, attributes);
                    }
                }),
                Action::UpdateAttributes { attributes, .. } => {
                    object.revision(|writer| write_bytes_updates(writer, attributes));
                }
                _ => {}
            }
        });
    }
}

impl<'a> Action<'a> {
    /// The id of the segment that changes; none for checkpoints.
    #[must_use]
    pub const fn segment_id(&self) -> Option<i64> {
        match self {
            Self::Append { segment_id, .. }
            | Self::Seal { segment_id, .. }
            | Self::UpdateAttributes { segment_id, .. }
            | Self::Truncate { segment_id, .. }
            | Self::Delete { segment_id, .. } => Some(*segment_id),
            Self::Merge { target_id, .. } => Some(*target_id),
            Self::Map(mapping) => Some(mapping.segment_id),
            Self::MetadataCheckpoint(_) | Self::StorageMetadataCheckpoint(_) => None,
        }
    }

    const fn type_id(&self) -> u8 {
        match self {
            Self::Append { .. } => type_id::APPEND,
            Self::Seal { .. } => type_id::SEAL,
            Self::Merge { .. } => type_id::MERGE,
            Self::Map(_) => type_id::MAP,
            Self::UpdateAttributes { .. } => type_id::UPDATE_ATTRIBUTES,
            Self::Truncate { .. } => type_id::TRUNCATE,
            Self::MetadataCheckpoint(_) => type_id::METADATA_CHECKPOINT,
            Self::StorageMetadataCheckpoint(_) => type_id::STORAGE_CHECKPOINT,
            Self::Delete { .. } => type_id::DELETE,
        }
    }

    /// Reads what follows the sequence number, and further revisions from `object`.
    fn read(object: &mut ObjectReader<'a>, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match object.type_id() {
            type_id::APPEND => Self::read_append(object.version(), body)?,
            type_id::SEAL => Self::Seal { segment_id: body.i64()?, length: body.length()? },
            type_id::MERGE => Self::read_merge(object, body)?,
            type_id::MAP => Self::Map(SegmentMapping::read(body)?),
            type_id::UPDATE_ATTRIBUTES => Self::read_update_attributes(object, body)?,
            type_id::TRUNCATE => Self::Truncate { segment_id: body.i64()?, offset: body.length()? },
            type_id::METADATA_CHECKPOINT => Self::MetadataCheckpoint(Cow::Borrowed(body.byte_array()?)),
            type_id::STORAGE_CHECKPOINT => Self::StorageMetadataCheckpoint(Cow::Borrowed(body.byte_array()?)),
            type_id::DELETE => Self::Delete { segment_id: body.i64()?, offset: body.length()? },
            _ => return Err(object.unknown_type("an operation type 1 to 4 or 6 to 10")),
        })
    }

    fn read_append(version: u8, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let segment_id = body.i64()?;
        let offset = body.length()?;
        let data = Cow::Borrowed(body.byte_array()?);
        let mut attributes = Vec::new();
        read_uuid_updates(body, version == 0, &mut attributes)?;
        // Writers before 0.10 had no ids of raw bytes.
        if !body.is_empty() {
            read_bytes_updates(body, &mut attributes)?;
        }
        Ok(Self::Append { segment_id, offset, data, attributes })
    }

    fn read_merge(object: &mut ObjectReader<'a>, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut attributes = Vec::new();
        if let Some(mut second) = object.revision()?.filter(|second| !second.is_empty()) {
            read_uuid_updates(&mut second, true, &mut attributes)?;
        }
        Ok(Self::Merge {
            target_id: body.i64()?,
            source_id: body.i64()?,
            source_length: body.length()?,
            target_offset: body.length()?,
            attributes,
        })
    }

    fn read_update_attributes(object: &mut ObjectReader<'a>, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let segment_id = body.i64()?;
        let mut attributes = Vec::new();
        read_uuid_updates(body, true, &mut attributes)?;
        if let Some(mut second) = object.revision()? {
            read_bytes_updates(&mut second, &mut attributes)?;
        }
        Ok(Self::UpdateAttributes { segment_id, attributes })
    }

    /// Writes what follows the sequence number in revision 0.
    fn write_first_revision(&self, writer: &mut Writer) {
        match self {
            Self::Append { segment_id, offset, data, attributes } => {
                writer.i64(*segment_id);
                writer.length(*offset);
                writer.byte_array(data);
                write_uuid_updates(writer, attributes);
                write_bytes_updates(writer, attributes);
            }
            Self::Merge { target_id, source_id, source_length, target_offset, .. } => {
                writer.i64(*target_id);
                writer.i64(*source_id);
                writer.length(*source_length);
                writer.length(*target_offset);
            }
            Self::Map(mapping) => mapping.write(writer),
            Self::UpdateAttributes { segment_id, attributes } => {
                writer.i64(*segment_id);
                write_uuid_updates(writer, attributes);
            }
            Self::MetadataCheckpoint(payload) | Self::StorageMetadataCheckpoint(payload) => writer.byte_array(payload),
            Self::Seal { segment_id, length: offset }
            | Self::Truncate { segment_id, offset }
            | Self::Delete { segment_id, offset } => {
                writer.i64(*segment_id);
                writer.length(*offset);
            }
        }
    }
}

impl<'a> SegmentMapping<'a> {
    fn read(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            segment_id: body.i64()?,
            name: body.utf()?,
            start_offset: body.length()?,
            length: body.length()?,
            sealed: body.bool()?,
            attributes: AttributeMap::read(body)?,
            pinned: body.bool()?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.i64(self.segment_id);
        writer.utf(&self.name);
        writer.length(self.start_offset);
        writer.length(self.length);
        writer.bool(self.sealed);
        self.attributes.write(writer);
        writer.bool(self.pinned);
    }
}

/// Merges have no place for ids of raw bytes; leaving them out would lose them silently.
fn reject_bytes_ids(writer: &mut Writer, attributes: &[AttributeUpdate]) {
    if attributes.iter().any(|update| matches!(update.id, crate::attribute::AttributeId::Bytes(_))) {
        writer.fail(EncodeError::new("attribute id of raw bytes in a merge", "UUID ids only"));
    }
}

#[cfg(test)]
mod tests;

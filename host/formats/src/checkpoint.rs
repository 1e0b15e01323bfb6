//! Payloads of checkpoint operations (`ContainerMetadataUpdateTransaction` of Pravega).

use std::borrow::Cow;

use crate::attribute::AttributeMap;
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer};

/// Least bytes of a segment in a metadata checkpoint: an empty name and no attributes.
const SEGMENT_MIN_BYTES: usize = 48;
/// Bytes of a segment in a storage metadata checkpoint.
const STORAGE_SEGMENT_BYTES: usize = 19;

/// The state of a container: payload of [`Action::MetadataCheckpoint`](crate::operation::Action::MetadataCheckpoint).
///
/// The first one in a log resets everything; a replay skips the operations before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataCheckpoint<'a> {
    /// The container whose log this is; another one is corruption to the store.
    pub container_id: u32,
    /// The active segments.
    pub segments: Vec<CheckpointSegment<'a>>,
}

/// An active segment in a [`MetadataCheckpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSegment<'a> {
    /// Id in the container.
    pub segment_id: i64,
    /// Name.
    pub name: Cow<'a, str>,
    /// Length, in bytes.
    pub length: u64,
    /// Bytes that are in Tier-2, counted from 0.
    pub storage_length: u64,
    /// True if it was merged into another segment.
    pub merged: bool,
    /// True if it is read-only.
    pub sealed: bool,
    /// True if it is read-only in Tier-2, too.
    pub sealed_in_storage: bool,
    /// True if it was deleted.
    pub deleted: bool,
    /// True if it was deleted from Tier-2, too.
    pub deleted_in_storage: bool,
    /// Last change, in milliseconds since 1970.
    pub last_modified: i64,
    /// First readable offset.
    pub start_offset: u64,
    /// Core attributes.
    pub attributes: AttributeMap,
}

impl<'a> MetadataCheckpoint<'a> {
    /// Decodes a payload; names are borrowed from it.
    ///
    /// # Errors
    /// If the bytes are not such a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        Reader::new("metadata checkpoint", payload).read_single("metadata checkpoint", |body| {
            Ok(Self {
                container_id: body.compact_int()?,
                segments: body.list(SEGMENT_MIN_BYTES, CheckpointSegment::read)?,
            })
        })
    }

    /// The encoded payload.
    ///
    /// # Errors
    /// If a name is too long, or the container id is beyond 2^30 - 2.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.compact_int(self.container_id);
            body.list(&self.segments, |body, segment| segment.write(body));
        });
        writer.finish()
    }
}

impl<'a> CheckpointSegment<'a> {
    fn read(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            segment_id: body.i64()?,
            name: body.utf()?,
            length: body.length()?,
            storage_length: body.length()?,
            merged: body.bool()?,
            sealed: body.bool()?,
            sealed_in_storage: body.bool()?,
            deleted: body.bool()?,
            deleted_in_storage: body.bool()?,
            last_modified: body.i64()?,
            start_offset: body.length()?,
            attributes: AttributeMap::read(body)?,
        })
    }

    fn write(&self, body: &mut Writer) {
        body.i64(self.segment_id);
        body.utf(&self.name);
        body.length(self.length);
        body.length(self.storage_length);
        for flag in [self.merged, self.sealed, self.sealed_in_storage, self.deleted, self.deleted_in_storage] {
            body.bool(flag);
        }
        body.i64(self.last_modified);
        body.length(self.start_offset);
        self.attributes.write(body);
    }
}

/// What is in Tier-2: payload of
/// [`Action::StorageMetadataCheckpoint`](crate::operation::Action::StorageMetadataCheckpoint).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageMetadataCheckpoint {
    /// The active segments; each must be known from earlier operations.
    pub segments: Vec<StorageCheckpointSegment>,
}

/// A segment in a [`StorageMetadataCheckpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageCheckpointSegment {
    /// Id in the container.
    pub segment_id: i64,
    /// Bytes that are in Tier-2, counted from 0.
    pub storage_length: u64,
    /// True if it is read-only in Tier-2.
    pub sealed_in_storage: bool,
    /// True if it was deleted.
    pub deleted: bool,
    /// True if it was deleted from Tier-2, too.
    pub deleted_in_storage: bool,
}

impl StorageMetadataCheckpoint {
    /// Decodes a payload.
    ///
    /// # Errors
    /// If the bytes are not such a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        Reader::new("storage metadata checkpoint", payload).read_single("storage metadata checkpoint", |body| {
            let segments = body.list(STORAGE_SEGMENT_BYTES, |body| {
                Ok(StorageCheckpointSegment {
                    segment_id: body.i64()?,
                    storage_length: body.length()?,
                    sealed_in_storage: body.bool()?,
                    deleted: body.bool()?,
                    deleted_in_storage: body.bool()?,
                })
            })?;
            Ok(Self { segments })
        })
    }

    /// The encoded payload.
    ///
    /// # Errors
    /// If there are more segments than 2^30 - 2.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.list(&self.segments, |body, segment| {
                body.i64(segment.segment_id);
                body.length(segment.storage_length);
                body.bool(segment.sealed_in_storage);
                body.bool(segment.deleted);
                body.bool(segment.deleted_in_storage);
            });
        });
        writer.finish()
    }
}

#[cfg(test)]
mod tests;

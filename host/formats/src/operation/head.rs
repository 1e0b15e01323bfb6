//! What the first bytes of an operation tell, for those who have not all of it.

use super::{HIGHEST_VERSION, type_id};
use crate::error::DecodeError;
use crate::names::SystemSegment;
use crate::primitives::Reader;

/// The beginning of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationHead {
    /// Its number in the log.
    pub sequence_number: i64,
    /// True if it is a metadata checkpoint, from which a log can be replayed.
    pub metadata_checkpoint: bool,
    /// The container that it names, if it is a metadata checkpoint, or maps one of the container's own segments, and the
    /// bytes reach so far.
    pub container_id: Option<u32>,
}

impl OperationHead {
    /// Bytes that [`OperationHead::decode`] needs.
    pub const MIN_BYTES: usize = 17;

    /// Reads the first bytes of a record, which may end before the operation does.
    ///
    /// # Errors
    /// If they are fewer than [`OperationHead::MIN_BYTES`], or no operation begins so.
    pub fn decode(beginning: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("operation", beginning);
        if reader.u8()? != 0 {
            return Err(reader.error_at(0, "object format 00"));
        }
        let operation = reader.u8()?;
        if !matches!(operation, type_id::APPEND..=type_id::MAP | type_id::UPDATE_ATTRIBUTES..=type_id::DELETE) {
            return Err(reader.error_at(1, format!("an operation type 1 to 4 or 6 to 10, found type {operation}")));
        }
        let version = reader.u8()?;
        if version > HIGHEST_VERSION {
            return Err(reader.error_at(2, format!("version 0 to {HIGHEST_VERSION}, found {version}")));
        }
        let revisions = reader.u8()?;
        let revision = reader.u8()?;
        let length = reader.i32()?;
        if revisions == 0 || revision != 0 || length < size_of::<i64>() as i32 {
            return Err(reader.error_at(3, "a first revision with a sequence number"));
        }
        let sequence_number = reader.i64()?;
        let metadata_checkpoint = operation == type_id::METADATA_CHECKPOINT;
        Ok(Self { sequence_number, metadata_checkpoint, container_id: container_id(operation, reader) })
    }
}

fn container_id(operation: u8, mut body: Reader<'_>) -> Option<u32> {
    match operation {
        type_id::METADATA_CHECKPOINT => {
            body.compact_int().ok()?;
            // Format, version, number of revisions and id of the first one.
            if body.array().ok()? != [0, 0, 1, 0] {
                return None;
            }
            body.i32().ok()?;
            body.compact_int().ok()
        }
        type_id::MAP => {
            body.i64().ok()?;
            SystemSegment::parse(&body.utf().ok()?).map(|segment| segment.container)
        }
        _ => None,
    }
}

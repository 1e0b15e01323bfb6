//! Fields of the records that several kinds of objects hold.

use dr_formats::attribute::{AttributeId, AttributeMap};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{
    ChunkMetadata, STATUS_ACTIVE, STATUS_ATOMIC_WRITES, STATUS_OWNERSHIP_CHANGED, STATUS_SEALED, STATUS_SYSTEM_SEGMENT,
    SegmentMetadata, StorageMetadata,
};
use serde_json::{Map, Value};

use super::sheet::{Fields, hexadecimal};

/// A segment record of the storage metadata.
pub(super) fn segment_fields(record: &SegmentMetadata) -> Fields {
    Fields::new()
        .with("name", record.name.as_str())
        .with("length", record.length)
        .with("chunk_count", record.chunk_count)
        .with("start_offset", record.start_offset)
        .with("status", status(record.status))
        .with("max_rolling_length", record.max_rolling_length)
        .with("first_chunk", record.first_chunk.as_str())
        .with("last_chunk", record.last_chunk.as_str())
        .with("last_modified", record.last_modified)
        .with("first_chunk_start_offset", record.first_chunk_start_offset)
        .with("last_chunk_start_offset", record.last_chunk_start_offset)
        .with("owner_epoch", record.owner_epoch)
}

/// A chunk record of the storage metadata.
pub(super) fn chunk_fields(record: &ChunkMetadata) -> Fields {
    Fields::new()
        .with("name", record.name.as_str())
        .with("length", record.length)
        .with("next_chunk", record.next_chunk.as_str())
        .with("status", status(record.status))
}

/// Any record of the storage metadata: what it is, and its fields.
pub(super) fn storage_fields(record: &StorageMetadata) -> (&'static str, Fields) {
    match record {
        StorageMetadata::Segment(record) => ("segment", segment_fields(record)),
        StorageMetadata::Chunk(record) => ("chunk", chunk_fields(record)),
        StorageMetadata::ReadIndexBlock(record) => (
            "read-index-block",
            Fields::new()
                .with("name", record.name.as_str())
                .with("chunk_name", record.chunk_name.as_str())
                .with("start_offset", record.start_offset)
                .with("status", status(record.status)),
        ),
    }
}

/// A row of the container metadata.
pub(super) fn row_fields(row: &SegmentInfo<'_>) -> Fields {
    Fields::new()
        .with("name", &*row.name)
        .with("segment_id", row.segment_id)
        .with("length", row.length)
        .with("start_offset", row.start_offset)
        .with("sealed", row.sealed)
        .with("attributes", attributes(&row.attributes))
}

/// Attributes by name, or by id where they have none.
pub(super) fn attributes(map: &AttributeMap) -> Value {
    let named = |(id, value)| (attribute_name(&AttributeId::Uuid(id)), Value::from(value));
    Value::Object(map.iter().map(named).collect::<Map<String, Value>>())
}

/// Name of a core attribute, or the id.
pub(super) fn attribute_name(id: &AttributeId) -> String {
    match (id.core(), id) {
        (Some(core), _) => core.to_string(),
        (None, AttributeId::Uuid(uuid)) => uuid.to_string(),
        (None, AttributeId::Bytes(bytes)) => hexadecimal(bytes),
    }
}

fn status(bits: u32) -> String {
    let names = [
        (STATUS_ACTIVE, "active"),
        (STATUS_SEALED, "sealed"),
        (STATUS_ATOMIC_WRITES, "atomic-writes"),
        (STATUS_OWNERSHIP_CHANGED, "ownership-changed"),
        (STATUS_SYSTEM_SEGMENT, "system-segment"),
    ];
    let known = names.iter().fold(0, |known, (bit, _)| known | bit);
    let mut words: Vec<String> =
        names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| (*name).to_owned()).collect();
    if bits & !known != 0 {
        words.push(format!("{:#x}", bits & !known));
    }
    words.join(",")
}

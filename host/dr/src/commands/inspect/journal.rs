//! `dr inspect journal`: system journal files and snapshots, snapshot pointers, epoch files.

use dr_engine::error::Result;
use dr_formats::DecodeError;
use dr_formats::journal::{
    EpochInfo, JournalPart, JournalRecord, SegmentSnapshot, SnapshotInfo, SystemSnapshot, examine,
};
use dr_formats::names::{JournalKind, ObjectName};
use dr_formats::primitives::Reader;
use dr_formats::slts::StorageMetadata;

use super::object::Object;
use super::records::{chunk_fields, segment_fields, storage_fields};
use super::sheet::{Fields, Sheet};
use crate::arguments::{JournalArguments, JournalForm};

/// Shows a journal object.
pub(super) fn run(sheet: &mut Sheet<'_>, arguments: &JournalArguments) -> Result<()> {
    let object = Object::read(&arguments.file, &arguments.object)?;
    let form = arguments.form.unwrap_or_else(|| form_of(&object));
    let title = Fields::new().with("size", object.bytes.len()).with("form", form.as_str()).with("checksum", "none");
    sheet.title("journal", &object.name, &title);
    let bytes = &object.bytes;
    match form {
        JournalForm::File => examine(bytes, &mut |part| show_part(sheet, part)),
        JournalForm::Snapshot => show_snapshot_file(sheet, bytes),
        JournalForm::SnapshotInfo => show(sheet, SnapshotInfo::decode(bytes), "snapshot-info", |info| {
            Fields::new().with("epoch", info.epoch).with("snapshot_id", info.snapshot_id)
        }),
        JournalForm::Epoch => show(sheet, EpochInfo::decode(bytes), "epoch", |info| {
            Fields::new().with("epoch", info.epoch).with("operation_sequence_number", info.operation_sequence_number)
        }),
    }
    sheet.left_out(object.left_out);
    Ok(())
}

fn form_of(object: &Object) -> JournalForm {
    match ObjectName::parse(&object.key) {
        ObjectName::Journal(name) | ObjectName::JournalBackup(name) if name.kind == JournalKind::Snapshot => {
            JournalForm::Snapshot
        }
        ObjectName::SnapshotInfo { .. } => JournalForm::SnapshotInfo,
        ObjectName::EpochFile { .. } => JournalForm::Epoch,
        _ => JournalForm::File,
    }
}

fn show<T>(
    sheet: &mut Sheet<'_>,
    decoded: std::result::Result<T, DecodeError>,
    what: &str,
    fields: impl FnOnce(&T) -> Fields,
) {
    match decoded {
        Ok(value) => sheet.found(Some(0), what, &fields(&value)),
        Err(error) => sheet.damage(Some(error.offset), &error.to_string()),
    }
}

fn show_part(sheet: &mut Sheet<'_>, part: JournalPart) {
    match part {
        JournalPart::Batch { offset, records } => {
            sheet.found(Some(offset), "batch", &Fields::new().with("records", records));
        }
        JournalPart::Record { offset, record } => show_record(sheet, offset, &record),
        JournalPart::Damage(error) => sheet.damage(Some(error.offset), &error.to_string()),
    }
}

fn show_record(sheet: &mut Sheet<'_>, at: u64, record: &JournalRecord) {
    let named = |segment: &str| Fields::new().with("segment", segment);
    let (what, fields) = match record {
        JournalRecord::ChunkAdded { segment, new_chunk, old_chunk, offset } => (
            "chunk-added",
            named(segment)
                .with("new_chunk", new_chunk.as_str())
                .with("old_chunk", old_chunk.as_str())
                .with("offset", *offset),
        ),
        JournalRecord::Truncation { segment, offset, first_chunk, first_chunk_start_offset } => (
            "truncation",
            named(segment)
                .with("offset", *offset)
                .with("first_chunk", first_chunk.as_str())
                .with("first_chunk_start_offset", *first_chunk_start_offset),
        ),
        JournalRecord::Append { segment, chunk, offset, length } => {
            ("append", named(segment).with("chunk", chunk.as_str()).with("offset", *offset).with("length", *length))
        }
        JournalRecord::Snapshot(snapshot) => return show_snapshot(sheet, 1, at, snapshot),
    };
    sheet.found_inside(1, Some(at), what, &fields);
}

fn show_snapshot(sheet: &mut Sheet<'_>, level: usize, at: u64, snapshot: &SystemSnapshot) {
    let fields = Fields::new()
        .with("epoch", snapshot.epoch)
        .with("file_index", snapshot.file_index)
        .with("segments", snapshot.segments.len());
    sheet.found_inside(level, Some(at), "snapshot", &fields);
    for segment in &snapshot.segments {
        show_segment(sheet, level + 1, segment);
    }
}

fn show_segment(sheet: &mut Sheet<'_>, level: usize, segment: &SegmentSnapshot) {
    sheet.found_inside(level, None, "segment", &segment_fields(&segment.metadata));
    for chunk in &segment.chunks {
        sheet.found_inside(level + 1, None, "chunk", &chunk_fields(chunk));
    }
    if let Err(broken) = segment.check_invariants() {
        sheet.damage(None, &format!("a rule does not hold: {broken}"));
    }
}

/// A snapshot, or the records that can still be found in a damaged one.
fn show_snapshot_file(sheet: &mut Sheet<'_>, bytes: &[u8]) {
    let error = match SystemSnapshot::decode_file(bytes) {
        Ok(snapshot) => return show_snapshot(sheet, 0, 0, &snapshot),
        Err(error) => error,
    };
    sheet.damage(Some(error.offset), &error.to_string());
    let mut position = 0;
    while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
        let mut reader = Reader::at("storage metadata record", rest, position as u64);
        match StorageMetadata::read(&mut reader) {
            Ok(record) => {
                let (what, fields) = storage_fields(&record);
                sheet.found_inside(1, Some(position as u64), what, &fields);
                position += reader.position();
            }
            Err(_) => position += 1,
        }
    }
}

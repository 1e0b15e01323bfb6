//! `dr inspect log`: the frames and operations of a durable log, from an image file or from Tier-1.

use std::collections::HashMap;

use dr_engine::error::{OperatorError, Result};
use dr_formats::DecodeError;
use dr_formats::checkpoint::{MetadataCheckpoint, StorageMetadataCheckpoint};
use dr_formats::data_frame::{FRAME_MAX_BYTES, FrameReader, Record};
use dr_formats::log_metadata::{FrameAddress, LogMetadata};
use dr_formats::operation::{Action, Operation};

use super::super::Session;
use super::object::Object;
use super::records::attributes;
use super::sheet::{Fields, Sheet};
use super::tier1;
use super::znode::log_metadata_fields;
use crate::arguments::LogArguments;

/// Bytes before each frame of an image: its length.
const LENGTH_BYTES: usize = 4;
/// Bytes of a frame's header: version, content length, flags.
const FRAME_HEADER_BYTES: usize = 6;

/// Shows an image file, or the log of a container.
pub(super) fn run(session: &Session, sheet: &mut Sheet<'_>, arguments: &LogArguments) -> Result<()> {
    match (&arguments.file, arguments.container) {
        (Some(file), _) => {
            let object = Object::read(file, &arguments.object)?;
            sheet.title("log", &object.name, &Fields::new().with("size", object.bytes.len()));
            show_image(sheet, &object.bytes);
            sheet.left_out(object.left_out);
            Ok(())
        }
        (None, Some(container)) => show_container(session, sheet, arguments, container),
        (None, None) => Err(OperatorError::new(
            "configuration-missing",
            "it is not told which log",
            "name an image file, or give --container N with --tier1 dir:PATH, --zookeeper or --config",
        )),
    }
}

fn show_container(session: &Session, sheet: &mut Sheet<'_>, arguments: &LogArguments, container: u32) -> Result<()> {
    let tier1 = tier1::open(session, &arguments.cluster.config, &arguments.cluster.tier1)?;
    let path = tier1.layout.log_znode(container);
    let node = tier1.znodes.get(&path)?.ok_or_else(|| tier1::missing(&path, &tier1.znodes.location()))?;
    sheet.title("log", &path, &Fields::new().with("container", container));
    let metadata = match LogMetadata::decode(&node.data) {
        Ok(metadata) => metadata,
        Err(error) => {
            sheet.damage(Some(error.offset), &format!("the log ZNode: {error}"));
            return Ok(());
        }
    };
    sheet.found(None, "log-metadata", &log_metadata_fields(&metadata));
    let mut log = LogReader::default();
    for ledger in &metadata.ledgers {
        let fields = Fields::new().with("ledger_id", ledger.ledger_id).with("sequence", ledger.sequence);
        sheet.found(None, "ledger", &fields);
        let read = tier1.ledgers.read(ledger.ledger_id, &mut |entry, frame| {
            let address = FrameAddress::new(ledger.sequence, u32::try_from(entry).unwrap_or(u32::MAX));
            log.frame(sheet, address, None, frame);
            Ok(())
        });
        if let Err(error) = read {
            sheet.damage(None, &format!("ledger {}: {error}", ledger.ledger_id));
        }
    }
    log.finish(sheet);
    Ok(())
}

/// Frames, each behind its length. Behind damage it goes on at the next bytes that are a length and the header of a frame of it.
fn show_image(sheet: &mut Sheet<'_>, bytes: &[u8]) {
    let mut log = LogReader::default();
    let (mut position, mut entry, mut is_lost) = (0, 0, false);
    while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
        match frame_of(rest, is_lost) {
            Some(frame) => {
                let offset = (position + LENGTH_BYTES) as u64;
                log.frame(sheet, FrameAddress::new(1, entry), Some(offset), frame);
                position += LENGTH_BYTES + frame.len();
                entry += 1;
                is_lost = false;
            }
            None => {
                if !is_lost {
                    let reason = format!("data frame: expected a length and as many bytes, {} are left", rest.len());
                    sheet.damage(Some(position as u64), &reason);
                    log.interrupt();
                }
                is_lost = true;
                position += 1;
            }
        }
    }
    log.finish(sheet);
}

/// The frame behind its length, if it is all there; its header decides where there is doubt.
fn frame_of(bytes: &[u8], is_doubtful: bool) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let frame = rest.get(..length).filter(|_| (FRAME_HEADER_BYTES..=FRAME_MAX_BYTES).contains(&length))?;
    let [version, c0, c1, c2, c3, _] = *frame.first_chunk::<FRAME_HEADER_BYTES>()?;
    let content = usize::try_from(i32::from_be_bytes([c0, c1, c2, c3])).ok();
    let is_frame = version == 0 && content == Some(length - FRAME_HEADER_BYTES);
    (is_frame || !is_doubtful).then_some(frame)
}

/// Puts operations together and names their segments.
#[derive(Default)]
struct LogReader {
    frames: FrameReader,
    names: HashMap<i64, String>,
    /// Where the record begins that a frame did not end.
    offsets: HashMap<FrameAddress, u64>,
}

impl LogReader {
    /// A frame; `offset` is where it lies in an image.
    fn frame(&mut self, sheet: &mut Sheet<'_>, address: FrameAddress, offset: Option<u64>, frame: &[u8]) {
        let fields = Fields::new().with("frame", address_text(address)).with("length", frame.len());
        sheet.found(offset, "frame", &fields);
        self.offsets.extend(offset.map(|offset| (address, offset)));
        let (names, offsets) = (&mut self.names, &self.offsets);
        let taken = self.frames.frame(address, frame, |record| {
            show_record(sheet, names, offsets, &record);
            Ok::<(), DecodeError>(())
        });
        if let Err(error) = taken {
            let place = address_text(address);
            sheet.damage(offset.map(|offset| offset + error.offset), &format!("frame {place}: {error}"));
            self.frames = FrameReader::new();
        }
        if !self.frames.has_partial_record() {
            self.offsets.clear();
        }
    }

    /// What was begun cannot be ended.
    fn interrupt(&mut self) {
        self.frames = FrameReader::new();
        self.offsets.clear();
    }

    fn finish(&self, sheet: &mut Sheet<'_>) {
        if self.frames.has_partial_record() {
            sheet.damage(self.offsets.values().min().copied(), "the log ends inside an operation");
        }
    }
}

fn address_text(address: FrameAddress) -> String {
    format!("{}:{}", address.ledger_sequence(), address.entry_id())
}

fn show_record(
    sheet: &mut Sheet<'_>,
    names: &mut HashMap<i64, String>,
    offsets: &HashMap<FrameAddress, u64>,
    record: &Record<'_>,
) {
    let first = record.parts.first();
    let at = first.and_then(|part| Some(offsets.get(&part.frame)? + u64::from(part.offset)));
    match Operation::decode(record.bytes) {
        Ok(operation) => {
            if let Action::Map(mapping) = &operation.action {
                names.insert(mapping.segment_id, mapping.name.to_string());
            }
            show_operation(sheet, names, at, &operation);
        }
        Err(error) => {
            let place = first.map_or_else(String::new, |part| format!("frame {}: ", address_text(part.frame)));
            // In a record of one part the offset can be told.
            let at = at.filter(|_| record.parts.len() == 1).map(|at| at + error.offset);
            sheet.damage(at, &format!("{place}{error}"));
        }
    }
}

fn show_operation(sheet: &mut Sheet<'_>, names: &HashMap<i64, String>, at: Option<u64>, operation: &Operation<'_>) {
    let id = operation.action.segment_id();
    let fields = Fields::new()
        .with("sequence_number", operation.sequence_number)
        .with("segment_id", id)
        .with("segment", id.and_then(|id| names.get(&id)).map(String::as_str));
    let (what, fields) = match &operation.action {
        Action::Append { offset, data, attributes, .. } => {
            let fields = fields.with("offset", *offset).with("length", data.len());
            ("append", fields.with("attribute_updates", attributes.len()))
        }
        Action::Seal { length, .. } => ("seal", fields.with("length", *length)),
        Action::Merge { source_id, source_length, target_offset, .. } => {
            let fields = fields.with("source_id", *source_id).with("source_length", *source_length);
            ("merge", fields.with("target_offset", *target_offset))
        }
        Action::Map(mapping) => {
            let fields = fields.with("start_offset", mapping.start_offset).with("length", mapping.length);
            let fields = fields.with("sealed", mapping.sealed).with("pinned", mapping.pinned);
            ("map", fields.with("attributes", attributes(&mapping.attributes)))
        }
        Action::UpdateAttributes { attributes, .. } => {
            ("update-attributes", fields.with("attribute_updates", attributes.len()))
        }
        Action::Truncate { offset, .. } => ("truncate", fields.with("offset", *offset)),
        Action::Delete { offset, .. } => ("delete", fields.with("offset", *offset)),
        Action::MetadataCheckpoint(payload) => {
            sheet.found_inside(1, at, "metadata-checkpoint", &fields.with("length", payload.len()));
            return show_checkpoint(sheet, payload);
        }
        Action::StorageMetadataCheckpoint(payload) => {
            sheet.found_inside(1, at, "storage-checkpoint", &fields.with("length", payload.len()));
            return show_storage_checkpoint(sheet, names, payload);
        }
    };
    sheet.found_inside(1, at, what, &fields);
}

fn show_checkpoint(sheet: &mut Sheet<'_>, payload: &[u8]) {
    let checkpoint = match MetadataCheckpoint::decode(payload) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return sheet.damage(None, &format!("in the payload of the checkpoint: {error}")),
    };
    let fields =
        Fields::new().with("container_id", checkpoint.container_id).with("segments", checkpoint.segments.len());
    sheet.found_inside(2, None, "container", &fields);
    for segment in &checkpoint.segments {
        let fields = Fields::new()
            .with("segment_id", segment.segment_id)
            .with("name", &*segment.name)
            .with("length", segment.length)
            .with("storage_length", segment.storage_length)
            .with("merged", segment.merged)
            .with("sealed", segment.sealed)
            .with("sealed_in_storage", segment.sealed_in_storage)
            .with("deleted", segment.deleted)
            .with("deleted_in_storage", segment.deleted_in_storage)
            .with("last_modified", segment.last_modified)
            .with("start_offset", segment.start_offset)
            .with("attributes", attributes(&segment.attributes));
        sheet.found_inside(2, None, "segment", &fields);
    }
}

fn show_storage_checkpoint(sheet: &mut Sheet<'_>, names: &HashMap<i64, String>, payload: &[u8]) {
    let checkpoint = match StorageMetadataCheckpoint::decode(payload) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return sheet.damage(None, &format!("in the payload of the checkpoint: {error}")),
    };
    for segment in &checkpoint.segments {
        let fields = Fields::new()
            .with("segment_id", segment.segment_id)
            .with("segment", names.get(&segment.segment_id).map(String::as_str))
            .with("storage_length", segment.storage_length)
            .with("sealed_in_storage", segment.sealed_in_storage)
            .with("deleted", segment.deleted)
            .with("deleted_in_storage", segment.deleted_in_storage);
        sheet.found_inside(2, None, "segment", &fields);
    }
}

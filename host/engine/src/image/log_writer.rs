//! Writes operations as data frames into an image file: each frame behind its length as u32.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use dr_formats::attribute::{
    AttributeUpdate, BUCKET_COUNT, ENTRY_COUNT, INDEX_OFFSET, RETIRED_TABLE_ATTRIBUTE, TOTAL_ENTRY_COUNT,
    system_table_attributes, table_key_hash,
};
use dr_formats::checkpoint::MetadataCheckpoint;
use dr_formats::data_frame::FrameWriter;
use dr_formats::operation::{Action, Operation, SegmentMapping};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::table::write_entry;
use sha2::{Digest as _, Sha256};

use super::unencodable;
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::plan::{hex, run_directory_error};

/// Most bytes in one append; 256 KiB to 1 MiB is what the store itself makes of table entries.
const APPEND_BYTES: usize = 512 * 1024;

/// Attribute updates in one operation; it may span frames.
const UPDATES_PER_OPERATION: usize = 5000;

/// What was written.
#[derive(Debug)]
pub(super) struct WrittenLog {
    pub(super) operations: u64,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) digest: String,
}

/// An image file being written.
#[derive(Debug)]
pub(super) struct LogWriter {
    frames: FrameWriter,
    output: Output,
    operations: i64,
}

#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Sha256,
    frames: u64,
    bytes: u64,
}

impl Output {
    fn frame(&mut self, frame: &[u8]) -> Result<()> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.hasher.update(length);
        self.hasher.update(frame);
        self.frames += 1;
        self.bytes += frame.len() as u64;
        let written = self.file.write_all(&length).and_then(|()| self.file.write_all(frame));
        written.map_err(|error| run_directory_error("write", &self.path, error))
    }
}

impl LogWriter {
    pub(super) fn create(path: &Path) -> Result<Self> {
        // A container that a procedure opened twice (the first one dropped) leaves a file that nothing names.
        let file = File::create(path).map_err(|error| run_directory_error("create", path, error))?;
        let output =
            Output { path: path.to_path_buf(), file: BufWriter::new(file), hasher: Sha256::new(), frames: 0, bytes: 0 };
        Ok(Self { frames: FrameWriter::new(), output, operations: 0 })
    }

    /// The checkpoint of an empty container, alone in its frame: the store truncates its log at whole frames.
    pub(super) fn checkpoint(&mut self, container: ContainerId) -> Result<()> {
        let checkpoint = MetadataCheckpoint { container_id: container, segments: Vec::new() };
        let payload = checkpoint.encode().map_err(|error| self.unwritable(error))?;
        let record = self.encode(Action::MetadataCheckpoint(Cow::Owned(payload)))?;
        self.frames.record_alone(&record, &mut |frame| self.output.frame(frame))
    }

    /// Maps one of the container's metadata tables, empty and pinned.
    pub(super) fn map_metadata_table(&mut self, segment_id: i64, name: &str) -> Result<()> {
        self.operation(Action::Map(SegmentMapping {
            segment_id,
            name: Cow::Borrowed(name),
            start_offset: 0,
            length: 0,
            sealed: false,
            attributes: system_table_attributes(),
            pinned: true,
        }))
    }

    /// Maps an ordinary segment as its row describes it.
    pub(super) fn map_segment(&mut self, segment_id: i64, row: &SegmentInfo<'_>) -> Result<()> {
        self.operation(Action::Map(SegmentMapping {
            segment_id,
            name: Cow::Borrowed(&row.name),
            start_offset: row.start_offset,
            length: row.length,
            sealed: row.sealed,
            attributes: row.attributes.clone(),
            pinned: false,
        }))
    }

    pub(super) fn update_attributes(&mut self, segment_id: i64, updates: &[AttributeUpdate]) -> Result<()> {
        for batch in updates.chunks(UPDATES_PER_OPERATION) {
            self.operation(Action::UpdateAttributes { segment_id, attributes: batch.to_vec() })?;
        }
        Ok(())
    }

    /// Adds operations that change nothing until the last sequence number is above `id`: the store gives new segments
    /// the present sequence number as their id. Only a container without segments needs it, since every segment that
    /// the log maps brings two operations.
    pub(super) fn pad_above(&mut self, id: i64) -> Result<()> {
        while self.operations <= id {
            let unchanged = AttributeUpdate::replace(RETIRED_TABLE_ATTRIBUTE, 0);
            self.update_attributes(id, &[unchanged])?;
        }
        Ok(())
    }

    /// Appends bytes of any length.
    pub(super) fn append_all(&mut self, segment_id: i64, offset: u64, data: &[u8]) -> Result<()> {
        let mut offset = offset;
        for piece in data.chunks(APPEND_BYTES) {
            self.append(segment_id, offset, piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, segment_id: i64, offset: u64, data: &[u8]) -> Result<()> {
        self.operation(Action::Append { segment_id, offset, data: Cow::Borrowed(data), attributes: Vec::new() })
    }

    pub(super) fn finish(mut self) -> Result<WrittenLog> {
        self.frames.flush(&mut |frame| self.output.frame(frame))?;
        let Output { path, mut file, hasher, frames, bytes } = self.output;
        file.flush()
            .and_then(|()| file.get_ref().sync_all())
            .map_err(|error| run_directory_error("write", &path, error))?;
        Ok(WrittenLog { operations: self.operations.unsigned_abs(), frames, bytes, digest: hex(&hasher.finalize()) })
    }

    fn operation(&mut self, action: Action<'_>) -> Result<()> {
        let record = self.encode(action)?;
        self.frames.record(&record, &mut |frame| self.output.frame(frame))
    }

    fn encode(&mut self, action: Action<'_>) -> Result<Vec<u8>> {
        self.operations += 1;
        let operation = Operation { sequence_number: self.operations, action };
        operation.encode().map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, error: impl std::fmt::Display) -> OperatorError {
        unencodable(&self.output.path.to_string_lossy(), error)
    }
}

/// Loads a metadata table: appends of whole entries, each followed by what the store's indexer would have written for
/// them. So the table has no unindexed tail at any point of the replay.
pub(super) struct TableLoad<'a> {
    log: &'a mut LogWriter,
    segment_id: i64,
    offset: u64,
    entries: i64,
    batch: Vec<u8>,
    updates: Vec<AttributeUpdate>,
}

impl<'a> TableLoad<'a> {
    pub(super) fn new(log: &'a mut LogWriter, segment_id: i64) -> Self {
        Self { log, segment_id, offset: 0, entries: 0, batch: Vec::new(), updates: Vec::new() }
    }

    /// Adds a key that the table does not have yet.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if self.batch.len() + key.len() + value.len() > APPEND_BYTES {
            self.flush()?;
        }
        let entry_offset = self.offset + self.batch.len() as u64;
        let value_of_attribute = i64::try_from(entry_offset).unwrap_or(i64::MAX);
        write_entry(key, Some(value), None, &mut self.batch)
            .map_err(|error| unencodable(&String::from_utf8_lossy(key), error))?;
        self.updates.push(AttributeUpdate::replace(table_key_hash(key), value_of_attribute));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.log.append(self.segment_id, self.offset, &self.batch)?;
        self.offset += self.batch.len() as u64;
        self.entries += i64::try_from(self.updates.len()).unwrap_or(i64::MAX);
        let end = i64::try_from(self.offset).unwrap_or(i64::MAX);
        let counts = [
            (INDEX_OFFSET, end),
            (ENTRY_COUNT, self.entries),
            (BUCKET_COUNT, self.entries),
            (TOTAL_ENTRY_COUNT, self.entries),
        ];
        self.updates.extend(counts.map(|(attribute, value)| AttributeUpdate::replace(attribute, value)));
        self.log.update_attributes(self.segment_id, &self.updates)?;
        self.batch.clear();
        self.updates.clear();
        Ok(())
    }
}

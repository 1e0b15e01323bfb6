//! The system journal: the only description of a container's four system segments.
//!
//! A journal *file* is a concatenation of batches of records; a *snapshot* file is one snapshot record. [`JournalReplay`]
//! computes from them what the server computes when it boots. Sources: `SystemJournalRecord`, `SystemJournal`,
//! `SnapshotInfo`, `EpochInfo` of Pravega.

mod examine;
mod replay;

pub use examine::{JournalPart, examine};
pub use replay::{JournalReplay, ReplayError, SystemSegmentState, replay_order};

use crate::error::{DecodeError, EncodeError};
use crate::names::SystemSegment;
use crate::primitives::{Reader, Writer};
use crate::slts::{BrokenInvariant, ChunkMetadata, STATUS_SYSTEM_SEGMENT, SegmentMetadata, StorageMetadata};

const TYPE_CHUNK_ADDED: u8 = 1;
const TYPE_TRUNCATION: u8 = 2;
const TYPE_SNAPSHOT: u8 = 3;
const TYPE_APPEND: u8 = 5;
/// Bytes of the shortest object: header without revisions.
const MIN_SINGLE_LENGTH: usize = 3;
const MIN_MULTI_LENGTH: usize = 4;

/// One record of a journal file. Offsets and lengths are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JournalRecord {
    /// A chunk was added at the end of a segment.
    ChunkAdded {
        /// Name of the segment.
        segment: String,
        /// Name of the new chunk.
        new_chunk: String,
        /// Name of the chunk before it; empty if the new one is the first.
        old_chunk: String,
        /// Segment offset of the first byte of the new chunk.
        offset: u64,
    },
    /// A segment was truncated.
    Truncation {
        /// Name of the segment.
        segment: String,
        /// New start offset.
        offset: u64,
        /// Name of the first chunk that is left; empty if none.
        first_chunk: String,
        /// Segment offset of the first byte of that chunk.
        first_chunk_start_offset: u64,
    },
    /// Everything before is replaced by this state.
    Snapshot(SystemSnapshot),
    /// Bytes were written at the end of a segment.
    Append {
        /// Name of the segment.
        segment: String,
        /// Name of its last chunk.
        chunk: String,
        /// Offset in the chunk.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
}

/// The state of the four system segments at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SystemSnapshot {
    /// Epoch that wrote it.
    pub epoch: u64,
    /// Journal files of that epoch up to this index are contained in the snapshot.
    pub file_index: u32,
    /// The segments, in no fixed order.
    pub segments: Vec<SegmentSnapshot>,
}

/// The state of one system segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SegmentSnapshot {
    /// Its record.
    pub metadata: SegmentMetadata,
    /// Its chunks, from first to last.
    pub chunks: Vec<ChunkMetadata>,
}

/// Pointer to the newest snapshot (`snapshot_info` object; servers newer than 0.13.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Epoch that wrote the snapshot.
    pub epoch: u64,
    /// Index of the snapshot object.
    pub snapshot_id: u64,
}

/// Content of the epoch file of a planned shutdown (servers newer than 0.13.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochInfo {
    /// Epoch of the container's log at that time.
    pub epoch: u64,
    /// Sequence number of the last operation.
    pub operation_sequence_number: u64,
}

/// Iterates over the batches of a journal file; each is its list of records.
///
/// A file that ends inside a batch is normal after a crash: the iterator ends, and [`JournalBatches::torn_at`] tells the
/// offset of that batch. A batch that is there but does not follow the format is an error, after which the iterator ends.
#[derive(Clone, Debug)]
pub struct JournalBatches<'a> {
    reader: Reader<'a>,
    torn_at: Option<u64>,
    finished: bool,
}

impl<'a> JournalBatches<'a> {
    /// Reads the whole content of a journal file.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new("journal file", bytes), torn_at: None, finished: false }
    }

    /// Offset in the file of the batch that is not whole, if the file ends inside one. Known once the iterator ended.
    pub fn torn_at(&self) -> Option<u64> {
        self.torn_at
    }

    /// Offset in the file after the last batch that was returned.
    pub fn end(&self) -> u64 {
        self.reader.offset()
    }
}

impl Iterator for JournalBatches<'_> {
    type Item = Result<Vec<JournalRecord>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished || self.reader.is_empty() {
            return None;
        }
        if !holds_whole_object(self.reader.rest()) {
            self.finished = true;
            self.torn_at = Some(self.reader.offset());
            return None;
        }
        let batch = read_batch(&mut self.reader);
        self.finished = batch.is_err();
        Some(batch)
    }
}

/// Whether the bytes begin with a single-type object up to its last revision; false only if they end before.
fn holds_whole_object(bytes: &[u8]) -> bool {
    let Some((header, mut rest)) = bytes.split_first_chunk::<3>() else { return false };
    for _ in 0..header[2] {
        let Some((&[_, l0, l1, l2, l3], body)) = rest.split_first_chunk::<5>() else { return false };
        // A negative length is no torn object; reading it gives the error.
        let Ok(length) = usize::try_from(i32::from_be_bytes([l0, l1, l2, l3])) else { return true };
        let Some(next) = body.get(length..) else { return false };
        rest = next;
    }
    true
}

fn read_batch(reader: &mut Reader<'_>) -> Result<Vec<JournalRecord>, DecodeError> {
    reader.read_single("journal batch", |body| body.list(MIN_MULTI_LENGTH, JournalRecord::read))
}

/// Encodes one batch. A journal file is a concatenation of batches.
///
/// # Errors
/// If a name is longer than 65,535 bytes or a number too large for its encoding.
pub fn encode_batch(records: &[JournalRecord]) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.write_single(|body| body.list(records, |body, record| record.write(body)));
    writer.finish()
}

impl JournalRecord {
    /// Name of the segment that the record is about; none for a snapshot.
    pub fn segment(&self) -> Option<&str> {
        match self {
            Self::ChunkAdded { segment, .. } | Self::Truncation { segment, .. } | Self::Append { segment, .. } => {
                Some(segment)
            }
            Self::Snapshot(_) => None,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.read_multi("journal record", 0, |object| {
            let type_id = object.type_id();
            if !matches!(type_id, TYPE_CHUNK_ADDED | TYPE_TRUNCATION | TYPE_SNAPSHOT | TYPE_APPEND) {
                return Err(object.unknown_type("type 1 (chunk added), 2 (truncation), 3 (snapshot) or 5 (append)"));
            }
            Self::read_body(type_id, &mut object.required_revision()?)
        })
    }

    fn read_body(type_id: u8, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if type_id == TYPE_SNAPSHOT {
            return SystemSnapshot::read_body(body).map(Self::Snapshot);
        }
        let segment = body.utf()?.into_owned();
        Ok(match type_id {
            TYPE_CHUNK_ADDED => Self::ChunkAdded {
                segment,
                new_chunk: body.utf()?.into_owned(),
                old_chunk: body.utf()?.into_owned(),
                offset: body.compact_long()?,
            },
            TYPE_TRUNCATION => Self::Truncation {
                segment,
                offset: body.compact_long()?,
                first_chunk: body.utf()?.into_owned(),
                first_chunk_start_offset: body.compact_long()?,
            },
            _ => Self::Append {
                segment,
                chunk: body.utf()?.into_owned(),
                offset: body.compact_long()?,
                length: body.compact_long()?,
            },
        })
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::ChunkAdded { segment, new_chunk, old_chunk, offset } => {
                writer.write_multi(TYPE_CHUNK_ADDED, |body| {
                    body.utf(segment);
                    body.utf(new_chunk);
                    body.utf(old_chunk);
                    body.compact_long(*offset);
                })
            }
            Self::Truncation { segment, offset, first_chunk, first_chunk_start_offset } => {
                writer.write_multi(TYPE_TRUNCATION, |body| {
                    body.utf(segment);
                    body.compact_long(*offset);
                    body.utf(first_chunk);
                    body.compact_long(*first_chunk_start_offset);
                });
            }
            Self::Snapshot(snapshot) => writer.write_multi(TYPE_SNAPSHOT, |body| snapshot.write_body(body)),
            Self::Append { segment, chunk, offset, length } => writer.write_multi(TYPE_APPEND, |body| {
                body.utf(segment);
                body.utf(chunk);
                body.compact_long(*offset);
                body.compact_long(*length);
            }),
        }
    }
}

impl SystemSnapshot {
    /// The state of a container whose four system segments are empty.
    pub fn empty(container: u32, epoch: u64, file_index: u32, max_rolling_length: u64, status: u32) -> Self {
        let segments = SystemSegment::all_of(container).map(|segment| SegmentSnapshot {
            metadata: SegmentMetadata {
                name: segment.to_string(),
                status,
                max_rolling_length,
                owner_epoch: epoch,
                ..SegmentMetadata::default()
            },
            chunks: Vec::new(),
        });
        Self { epoch, file_index, segments: segments.into() }
    }

    /// Decodes a snapshot file, all of its bytes.
    ///
    /// # Errors
    /// If the bytes do not follow the format, end before, or some are left.
    pub fn decode_file(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_all("journal snapshot", bytes, Self::read_body)
    }

    /// Encodes a snapshot file.
    ///
    /// # Errors
    /// If a name is longer than 65,535 bytes or a number too large for its encoding.
    pub fn encode_file(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| self.write_body(body));
        writer.finish()
    }

    fn read_body(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            epoch: body.compact_long()?,
            file_index: body.compact_int()?,
            segments: body.list(MIN_SINGLE_LENGTH, |body| {
                body.read_single("segment of a journal snapshot", SegmentSnapshot::read_body)
            })?,
        })
    }

    fn write_body(&self, body: &mut Writer) {
        body.compact_long(self.epoch);
        body.compact_int(self.file_index);
        body.list(&self.segments, |body, segment| body.write_single(|body| segment.write_body(body)));
    }
}

impl SegmentSnapshot {
    /// Checks what the server checks before it writes or uses a snapshot: the record's own rules, the flag
    /// [`STATUS_SYSTEM_SEGMENT`], and that record and chunks agree.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        self.metadata.check_invariants()?;
        let broken = |rule| BrokenInvariant { segment: self.metadata.name.clone(), rule };
        if self.metadata.status & STATUS_SYSTEM_SEGMENT == 0 {
            return Err(broken("a segment of a journal is marked as system segment"));
        }
        self.check_chain().map_err(broken)
    }

    /// Checks that the chunks are the chain that the record describes.
    fn check_chain(&self) -> Result<(), &'static str> {
        let metadata = &self.metadata;
        if self.chunks.len() as u64 != u64::from(metadata.chunk_count) {
            return Err("the chunk count is that of the chunks");
        }
        let name_of = |chunk: Option<&ChunkMetadata>| chunk.map_or(String::new(), |chunk| chunk.name.clone());
        if name_of(self.chunks.first()) != metadata.first_chunk || name_of(self.chunks.last()) != metadata.last_chunk {
            return Err("first and last chunk are those of the chunks");
        }
        let mut nexts = self.chunks.iter().skip(1).map(|chunk| chunk.name.as_str()).chain([""]);
        if !self.chunks.iter().all(|chunk| nexts.next() == Some(&chunk.next_chunk)) {
            return Err("every chunk names the next one");
        }
        let end =
            self.chunks.iter().try_fold(metadata.first_chunk_start_offset, |end, chunk| end.checked_add(chunk.length));
        if end != Some(metadata.length) {
            return Err("the lengths of the chunks add up to the length");
        }
        Ok(())
    }

    fn read_body(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = body.clone();
        let StorageMetadata::Segment(metadata) = StorageMetadata::read(body)? else {
            return Err(start.error("a segment record"));
        };
        let chunks = body.list(MIN_MULTI_LENGTH, |body| {
            let start = body.clone();
            match StorageMetadata::read(body)? {
                StorageMetadata::Chunk(chunk) => Ok(chunk),
                _ => Err(start.error("a chunk record")),
            }
        })?;
        Ok(Self { metadata, chunks })
    }

    fn write_body(&self, body: &mut Writer) {
        self.metadata.write(body);
        body.list(&self.chunks, |body, chunk| chunk.write(body));
    }
}

impl SnapshotInfo {
    /// Decodes the object, all of its bytes.
    ///
    /// # Errors
    /// If the bytes do not follow the format or some are left.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_all("snapshot pointer", bytes, |body| {
            Ok(Self { epoch: body.compact_long()?, snapshot_id: body.compact_long()? })
        })
    }

    /// Encodes the object.
    ///
    /// # Errors
    /// If a number is too large for its encoding.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode_longs([self.epoch, self.snapshot_id])
    }
}

impl EpochInfo {
    /// Decodes the object, all of its bytes.
    ///
    /// # Errors
    /// If the bytes do not follow the format or some are left.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_all("epoch file", bytes, |body| {
            Ok(Self { epoch: body.compact_long()?, operation_sequence_number: body.compact_long()? })
        })
    }

    /// Encodes the object.
    ///
    /// # Errors
    /// If a number is too large for its encoding.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode_longs([self.epoch, self.operation_sequence_number])
    }
}

fn decode_all<T>(
    what: &'static str,
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut reader = Reader::new(what, bytes);
    let value = reader.read_single(what, read)?;
    reader.expect_end()?;
    Ok(value)
}

fn encode_longs(values: [u64; 2]) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.write_single(|body| values.into_iter().for_each(|value| body.compact_long(value)));
    writer.finish()
}

#[cfg(test)]
mod tests;

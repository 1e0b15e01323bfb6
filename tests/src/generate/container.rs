//! One container: the objects of its segments, its two metadata tables, its system journal.

use std::fs;
use std::path::{Path, PathBuf};

use dr_formats::attribute::{AttributeMap, SEGMENT_TYPE, SegmentType};
use dr_formats::journal::{JournalRecord, SegmentSnapshot, SystemSnapshot, encode_batch};
use dr_formats::names::{
    JournalKind, JournalName, SystemSegment, SystemTable, attribute_segment_of, container_metadata_segment,
    garbage_queue_segments, storage_metadata_segment,
};
use dr_formats::segment_info::{NO_SEGMENT_ID, SegmentInfo};
use dr_formats::slts::{
    ChunkMetadata, ReadIndexBlockMetadata, STATUS_ACTIVE, STATUS_ATOMIC_WRITES, STATUS_OWNERSHIP_CHANGED,
    STATUS_SEALED, STATUS_SYSTEM_SEGMENT, SegmentMetadata, StorageMetadata, TransactionData,
};

use super::random::Random;
use super::segment::{CREATED, HashTable, NewSegment};
use super::{GenerateError, Generated, Result};

/// Epoch of every log: the first.
const EPOCH: u64 = 1;
/// Bytes at which real stores begin a new chunk of a segment without a rollover size of its own.
const ROLLING_LENGTH: u64 = 128 << 20;
/// Larger content gets a second chunk here, so that chains have more than one link without large files.
const SECOND_CHUNK_FROM: usize = 6 << 10;

/// A container while segments are added to it.
#[derive(Debug)]
pub(super) struct Container {
    number: u32,
    root: PathBuf,
    random: Random,
    rows: Vec<SegmentInfo<'static>>,
    stored: Vec<Stored>,
    written: Generated,
}

/// The records of one segment in the storage metadata.
#[derive(Debug)]
struct Stored {
    segment: SegmentMetadata,
    chunks: Vec<ChunkMetadata>,
}

impl Container {
    pub(super) fn new(number: u32, root: &Path, seed: u64) -> Self {
        let random = Random::new(seed ^ u64::from(number) << 32);
        Self {
            number,
            root: root.to_path_buf(),
            random,
            rows: Vec::new(),
            stored: Vec::new(),
            written: Generated::default(),
        }
    }

    /// Writes the objects of a segment and of its attribute index, and notes its row and records.
    pub(super) fn add(&mut self, segment: NewSegment) -> Result<()> {
        let NewSegment { name, content, start_offset, sealed, attributes, index } = segment;
        self.written.segments += 1;
        self.rows.push(SegmentInfo {
            segment_id: NO_SEGMENT_ID,
            name: name.clone().into(),
            length: content.len() as u64,
            start_offset,
            sealed,
            attributes,
        });
        self.store(attribute_segment_of(&name), &index, 0, false)?;
        self.store(name, &content, start_offset, sealed)
    }

    /// Writes the chunks of a segment. The storage knows nothing of a segment that never had a byte.
    fn store(&mut self, name: String, content: &[u8], start_offset: u64, sealed: bool) -> Result<()> {
        if content.is_empty() {
            return Ok(());
        }
        // Bytes before the start offset stay in the first chunk that is left; half of them went with chunks before it.
        let first = start_offset / 2;
        let length = content.len() as u64;
        let has_second = content.len() >= SECOND_CHUNK_FROM && self.random.once_in(3);
        let last = if has_second { (first + length) / 2 } else { first };
        let mut chunks = Vec::new();
        let starts = if has_second { vec![first, last] } else { vec![first] };
        for (position, &start) in starts.iter().enumerate() {
            let end = starts.get(position + 1).copied().unwrap_or(length);
            let key = format!("{name}.E-{EPOCH}-O-{start}.{}", self.random.uuid());
            self.write_object(&key, content.get(start as usize..end as usize).unwrap_or_default())?;
            chunks.push(ChunkMetadata {
                name: key,
                length: end - start,
                next_chunk: String::new(),
                status: STATUS_ACTIVE,
            });
        }
        let next: Vec<String> = chunks.iter().skip(1).map(|chunk| chunk.name.clone()).collect();
        chunks.iter_mut().zip(next).for_each(|(chunk, next)| chunk.next_chunk = next);
        let segment = SegmentMetadata {
            name,
            length,
            chunk_count: chunks.len() as u32,
            start_offset,
            status: STATUS_ACTIVE | STATUS_ATOMIC_WRITES | if sealed { STATUS_SEALED } else { 0 },
            max_rolling_length: ROLLING_LENGTH,
            first_chunk: chunks.first().map(|chunk| chunk.name.clone()).unwrap_or_default(),
            last_chunk: chunks.last().map(|chunk| chunk.name.clone()).unwrap_or_default(),
            last_modified: 0,
            first_chunk_start_offset: first,
            last_chunk_start_offset: last,
            owner_epoch: EPOCH,
        };
        self.stored.push(Stored { segment, chunks });
        Ok(())
    }

    fn write_object(&mut self, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(key);
        let at = |source| GenerateError::Path { path: path.clone(), source };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(at)?;
        }
        fs::write(&path, bytes).map_err(at)?;
        self.written.objects += 1;
        self.written.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes the metadata tables and the journal. Each row and record was written `versions` times.
    pub(super) fn finish(mut self, versions: u64) -> Result<Generated> {
        self.add_own_rows();
        let metadata = self.metadata_table(versions)?;
        let storage = self.storage_table(versions)?;
        let parts = [
            (SystemTable::ContainerMetadata, false, metadata.content),
            (SystemTable::ContainerMetadata, true, metadata.index),
            (SystemTable::StorageMetadata, false, storage.content),
            (SystemTable::StorageMetadata, true, storage.index),
        ];
        let (mut segments, mut appends) = (Vec::new(), Vec::new());
        for (table, attributes, content) in parts {
            let name = SystemSegment { container: self.number, table, attributes }.to_string();
            let key = format!("{name}.E-{EPOCH}-O-0.{}", self.random.uuid());
            self.write_object(&key, &content)?;
            let length = content.len() as u64;
            // The snapshot was taken half way; the journal behind it tells the rest.
            let known = length / 2;
            segments.push(system_snapshot(&name, &key, known));
            appends.push(JournalRecord::Append { segment: name, chunk: key, offset: known, length: length - known });
        }
        let snapshot = SystemSnapshot { epoch: EPOCH, file_index: 1, segments };
        self.write_journal(JournalKind::Snapshot, 1, &snapshot.encode_file()?)?;
        let batches: std::result::Result<Vec<_>, _> =
            appends.iter().map(|append| encode_batch(std::slice::from_ref(append))).collect();
        self.write_journal(JournalKind::File, 2, &batches?.concat())?;
        Ok(self.written)
    }

    fn write_journal(&mut self, kind: JournalKind, index: u64, bytes: &[u8]) -> Result<()> {
        let name = JournalName { container: self.number, epoch: EPOCH, index, kind };
        self.write_object(&name.to_string(), bytes)
    }

    /// The rows of what every container has: queues of the garbage collector, and stale ones of its own tables.
    fn add_own_rows(&mut self) {
        let row = |name: String, kind: SegmentType, length| SegmentInfo {
            segment_id: NO_SEGMENT_ID,
            name: name.into(),
            length,
            start_offset: 0,
            sealed: false,
            attributes: AttributeMap::from_iter([(SEGMENT_TYPE, kind.0)]),
        };
        self.rows.extend(garbage_queue_segments(self.number).map(|name| row(name, SegmentType::EVENT_PROCESSOR, 0)));
        let tables = [container_metadata_segment(self.number), storage_metadata_segment(self.number)];
        self.rows.extend(tables.map(|name| row(name, SegmentType::CONTAINER_TABLE, 1)));
    }

    fn metadata_table(&self, versions: u64) -> Result<NewSegment> {
        let mut table = HashTable::default();
        for version in 1..=versions {
            for row in &self.rows {
                let length = grown(row.length, version, versions);
                let row = SegmentInfo { length, start_offset: row.start_offset.min(length), ..row.clone() };
                table.put(&row.name, &row.encode()?)?;
            }
        }
        table.into_segment(String::new(), SegmentType::CONTAINER_TABLE, 2)
    }

    fn storage_table(&self, versions: u64) -> Result<NewSegment> {
        let mut table = HashTable::default();
        let mut counter = CREATED;
        for version in 1..=versions {
            for record in self.stored.iter().flat_map(|stored| stored.records(version, versions)) {
                counter += 1;
                let key = record.name().to_owned();
                let data = TransactionData { version: counter, value: Some(record), key };
                table.put(&data.key, &data.encode()?)?;
            }
        }
        self.forget_garbage(&mut table, counter)?;
        table.into_segment(String::new(), SegmentType::CONTAINER_TABLE, 2)
    }

    /// Records of chunks that were collected: a value without a record, then the removal of the key.
    fn forget_garbage(&self, table: &mut HashTable, version: i64) -> Result<()> {
        let truncated = self.stored.iter().filter(|stored| stored.segment.start_offset > 1);
        for stored in truncated {
            let key = format!("{}.E-{EPOCH}-O-0.00000000-0000-4000-8000-000000000000", stored.segment.name);
            let data = TransactionData { version, key: key.clone(), value: None };
            table.put(&key, &data.encode()?)?;
            table.remove(&key)?;
        }
        Ok(())
    }
}

impl Stored {
    /// The records as they were when the last chunk had grown so far.
    fn records(&self, version: u64, versions: u64) -> Vec<StorageMetadata> {
        let (mut segment, mut chunks) = (self.segment.clone(), self.chunks.clone());
        if let Some(last) = chunks.last_mut() {
            last.length = grown(last.length, version, versions);
            segment.length = segment.last_chunk_start_offset + last.length;
        }
        let block = ReadIndexBlockMetadata {
            name: format!("{}.B-0", segment.name),
            chunk_name: segment.first_chunk.clone(),
            start_offset: segment.first_chunk_start_offset,
            status: STATUS_ACTIVE,
        };
        let chunks = chunks.into_iter().map(StorageMetadata::Chunk);
        chunks.chain([StorageMetadata::Segment(segment), StorageMetadata::ReadIndexBlock(block)]).collect()
    }
}

/// How long something was when the given one of its versions was written.
fn grown(length: u64, version: u64, versions: u64) -> u64 {
    if version == versions { length } else { length / versions * version }
}

fn system_snapshot(name: &str, key: &str, length: u64) -> SegmentSnapshot {
    let metadata = SegmentMetadata {
        name: name.to_owned(),
        length,
        chunk_count: 1,
        status: STATUS_ACTIVE | STATUS_ATOMIC_WRITES | STATUS_OWNERSHIP_CHANGED | STATUS_SYSTEM_SEGMENT,
        max_rolling_length: ROLLING_LENGTH,
        first_chunk: key.to_owned(),
        last_chunk: key.to_owned(),
        owner_epoch: EPOCH,
        ..SegmentMetadata::default()
    };
    let chunk = ChunkMetadata { name: key.to_owned(), length, next_chunk: String::new(), status: STATUS_ACTIVE };
    SegmentSnapshot { metadata, chunks: vec![chunk] }
}

//! The log image of a fresh container: everything that an unmodified store needs to boot on, as data frames.
//!
//! Recipe: `pravega-durable-log` section 12, with the tables loaded self-indexed. One checkpoint alone in the first
//! frame; the two metadata tables mapped with length 0 and filled by appends, each followed by the index entries that
//! the store's own indexer would have written; then the tables whose index in Tier-2 does not match their bytes,
//! mapped at their real length with only the index entries that differ.

mod log_writer;
mod prepare;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use dr_backends::tier2::Tier2;
use dr_formats::names::{SegmentKind, attribute_segment_of, container_metadata_segment, storage_metadata_segment};
use dr_formats::slts::{
    ChunkMetadata, STATUS_ACTIVE, STATUS_ATOMIC_WRITES, STATUS_SEALED, SegmentMetadata, StorageMetadata,
    TransactionData,
};

use self::log_writer::{LogWriter, TableLoad};
pub(crate) use self::prepare::{MAX_ROLLING_LENGTH, StoredSegment};
use self::prepare::{Prepared, TABLE_INDEX_COMPLETED, prepare};
use crate::chain::Chain;
use crate::contract::{ContainerId, ContainerImage};
use crate::controller::ControllerEvidence;
use crate::error::{OperatorError, Result};
use crate::evidence::ContainerEvidence;
use crate::fresh::{FreshSegment, FreshSegments};
use crate::pool::{PARALLEL_READS, map_bounded};

/// Ids of the two metadata tables in the new log; others follow. All stay below the last sequence number, as the store
/// demands of ids.
const CONTAINER_METADATA_ID: i64 = 2;
const STORAGE_METADATA_ID: i64 = 3;

/// Version of every storage record; any but 0 is accepted after a restart.
const RECORD_VERSION: i64 = 1;

/// A log image on disk, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// Whose.
    pub container: ContainerId,
    /// Figures and digest.
    pub image: ContainerImage,
    /// Data frames, each of which becomes a ledger entry.
    pub frames: u64,
    /// Segments by kind.
    pub segments_by_kind: BTreeMap<&'static str, u64>,
    /// Readable bytes in all segments.
    pub data_bytes: u64,
    /// Segments by finding.
    pub findings: BTreeMap<&'static str, u64>,
    /// Tables whose index is completed through the log.
    pub completed_tables: u64,
    /// Attribute indexes that miss bytes which the storage had recorded: name, and their offsets.
    pub lost_index_bytes: Vec<(String, Range<u64>)>,
    /// Segments whose first objects are gone without a truncation that explains it: name, and the offsets.
    pub leading_gone: Vec<(String, Range<u64>)>,
}

/// What was built.
#[derive(Debug)]
pub struct Built {
    /// The image.
    pub image: BuiltImage,
    /// What the controller's tables say.
    pub controller: ControllerEvidence,
    /// Chunks that no segment of the image uses, by their place among the container's.
    pub unused_chunks: Vec<u32>,
}

/// Builds the image of a container in the file `path`, which must not exist.
///
/// # Errors
/// `table-damaged`, `run-directory`, Tier-2 errors. After an error the file may exist in part; nothing names it.
pub fn build(evidence: &ContainerEvidence, segments: &FreshSegments, tier2: &dyn Tier2, path: &Path) -> Result<Built> {
    let mut controller = ControllerEvidence::default();
    evidence.all_names().for_each(|name| controller.see_name(name));
    let segments: Vec<_> = segments.iter().collect();
    let prepare = |&(name, segment): &(&str, &FreshSegment)| {
        let mut told = ControllerEvidence::default();
        Ok((prepare(evidence, name, segment, tier2, &mut told)?, told))
    };
    let (prepared, told): (Vec<_>, Vec<_>) = map_bounded(PARALLEL_READS, &segments, prepare)?.into_iter().unzip();
    told.into_iter().for_each(|told| controller.absorb(told));
    let mut log = LogWriter::create(path)?;
    write_log(&mut log, evidence.container, &prepared)?;
    let written = log.finish()?;
    let image = ContainerImage {
        segments: prepared.len() as u64,
        operations: written.operations,
        log_bytes: written.bytes,
        epoch: evidence.highest_epoch + 1,
        digest: written.digest,
    };
    let image = describe(evidence, image, written.frames, &prepared);
    Ok(Built { image, controller, unused_chunks: evidence.chunks_without(used_chunks(&prepared)) })
}

fn write_log(log: &mut LogWriter, container: ContainerId, prepared: &[Prepared]) -> Result<()> {
    log.checkpoint(container)?;
    log.map_metadata_table(CONTAINER_METADATA_ID, &container_metadata_segment(container))?;
    log.map_metadata_table(STORAGE_METADATA_ID, &storage_metadata_segment(container))?;
    write_rows(log, prepared)?;
    write_records(log, prepared)?;
    let completed = prepared.iter().filter(|segment| !segment.index_updates.is_empty());
    for (id, segment) in (STORAGE_METADATA_ID + 1..).zip(completed) {
        log.map_segment(id, &segment.row)?;
        if !segment.appended.is_empty() {
            log.append_all(id, segment.row.length, &segment.appended)?;
        }
        log.update_attributes(id, &segment.index_updates)?;
    }
    log.pad_above(STORAGE_METADATA_ID)
}

fn write_rows(log: &mut LogWriter, prepared: &[Prepared]) -> Result<()> {
    let mut table = TableLoad::new(log, CONTAINER_METADATA_ID);
    for segment in prepared {
        let value = segment.row.encode().map_err(|error| unencodable(&segment.row.name, error))?;
        table.put(segment.row.name.as_bytes(), &value)?;
    }
    table.finish()
}

fn write_records(log: &mut LogWriter, prepared: &[Prepared]) -> Result<()> {
    let mut table = TableLoad::new(log, STORAGE_METADATA_ID);
    for segment in prepared {
        for stored in segment.stored.iter().chain(&segment.stored_attributes) {
            write_segment_records(&mut table, stored)?;
        }
    }
    table.finish()
}

/// The record of a segment and those of its chunks.
fn write_segment_records(table: &mut TableLoad<'_>, stored: &StoredSegment) -> Result<()> {
    put_record(table, &stored.name, StorageMetadata::Segment(segment_record(stored)))?;
    let parts = &stored.chain.parts;
    for (index, part) in parts.iter().enumerate() {
        let record = ChunkMetadata {
            name: &*part.key,
            length: part.length,
            next_chunk: parts.get(index + 1).map_or("", |next| &next.key),
            status: STATUS_ACTIVE,
        };
        put_record(table, &part.key, StorageMetadata::Chunk(record))?;
    }
    Ok(())
}

fn segment_record(stored: &StoredSegment) -> SegmentMetadata<&str> {
    let Chain { first_start, parts } = &stored.chain;
    let end = stored.chain.end();
    SegmentMetadata {
        name: &stored.name,
        length: end,
        chunk_count: u32::try_from(parts.len()).unwrap_or(u32::MAX),
        start_offset: if parts.is_empty() { end } else { stored.start_offset },
        status: STATUS_ACTIVE | STATUS_ATOMIC_WRITES | if stored.sealed { STATUS_SEALED } else { 0 },
        max_rolling_length: stored.max_rolling_length,
        first_chunk: parts.first().map_or("", |part| &part.key),
        last_chunk: parts.last().map_or("", |part| &part.key),
        last_modified: 0,
        first_chunk_start_offset: *first_start,
        last_chunk_start_offset: parts.last().map_or(end, |last| end - last.length),
        owner_epoch: stored.owner_epoch,
    }
}

fn used_chunks(prepared: &[Prepared]) -> impl Iterator<Item = &str> {
    let stored = prepared.iter().flat_map(|segment| segment.stored.iter().chain(&segment.stored_attributes));
    stored.flat_map(|stored| stored.chain.parts.iter().map(|part| &*part.key))
}

/// `key` is what the record names.
fn put_record(table: &mut TableLoad<'_>, key: &str, record: StorageMetadata<&str>) -> Result<()> {
    let value = TransactionData { version: RECORD_VERSION, key, value: Some(record) }.encode();
    table.put(key.as_bytes(), &value.map_err(|error| unencodable(key, error))?)
}

pub(crate) fn unencodable(name: &str, error: impl std::fmt::Display) -> OperatorError {
    OperatorError::new(
        "name-unencodable",
        format!("the metadata of `{name}` cannot be written"),
        "leave its container out with --containers and report this as a defect of dr",
    )
    .because(error)
}

fn describe(evidence: &ContainerEvidence, image: ContainerImage, frames: u64, prepared: &[Prepared]) -> BuiltImage {
    let mut built = BuiltImage {
        container: evidence.container,
        image,
        frames,
        segments_by_kind: BTreeMap::new(),
        data_bytes: 0,
        findings: BTreeMap::new(),
        completed_tables: 0,
        lost_index_bytes: Vec::new(),
        leading_gone: Vec::new(),
    };
    for segment in prepared {
        let name = &*segment.row.name;
        let gone = evidence.leading_gone(name, segment.row.start_offset);
        built.leading_gone.extend(gone.map(|gone| (name.to_owned(), gone)));
        let lost = segment.lost_index_bytes.clone();
        built.lost_index_bytes.extend(lost.map(|lost| (attribute_segment_of(name), lost)));
        *built.segments_by_kind.entry(SegmentKind::of(name).as_str()).or_default() += 1;
        built.data_bytes += segment.row.length - segment.row.start_offset;
        built.completed_tables += u64::from(segment.findings.contains(&TABLE_INDEX_COMPLETED));
        let findings = evidence.segment(name).map(|reconciled| reconciled.findings.as_slice());
        for &finding in findings.unwrap_or_default().iter().chain(&segment.findings) {
            *built.findings.entry(finding).or_default() += 1;
        }
    }
    built
}

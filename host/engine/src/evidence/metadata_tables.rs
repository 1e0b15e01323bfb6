//! Reads the old metadata tables of a container: journals first, then what they lead to.

use std::collections::{HashMap, HashSet};

use dr_backends::tier2::Tier2;
use dr_formats::journal::{JournalBatches, JournalReplay, SystemSegmentState, SystemSnapshot, replay_order};
use dr_formats::names::{JournalKind, JournalName, SystemSegment, SystemTable};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{ChunkMetadata, SegmentMetadata, StorageMetadata, TransactionData};

use crate::chain::{Chain, ChunkPart};
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::evidence::table_damaged;
use crate::listing::{ContainerObjects, JournalObject};
use crate::table_scan::scan_table;

/// Largest journal object that is read, in bytes. A server rolls over to the next file after 100 small batches.
const JOURNAL_BYTES_MAX: u64 = 256 << 20;

/// The newest entries of both metadata tables.
#[derive(Debug, Default)]
pub(super) struct MetadataTables {
    /// Rows of `metadata_N`, by segment.
    pub(super) rows: HashMap<Box<str>, SegmentInfo<'static>>,
    /// Segments whose row was removed.
    pub(super) removed_rows: HashSet<Box<str>>,
    /// Segment records of `storage_metadata_N`.
    pub(super) records: HashMap<Box<str>, SegmentMetadata>,
    /// Chunk records of `storage_metadata_N`.
    pub(super) chunk_records: HashMap<Box<str>, ChunkMetadata>,
    /// Segments and chunks whose record was removed.
    pub(super) removed_records: HashSet<Box<str>>,
    /// Tables of which Tier-2 holds not one byte: never flushed, or lost.
    pub(super) absent: Vec<SystemSegment>,
}

/// Newest version of a key, and its value; none for a removal.
type Newest = HashMap<Box<[u8]>, ((i64, u64), Option<Box<[u8]>>)>;

impl MetadataTables {
    pub(super) fn read(container: ContainerId, objects: &ContainerObjects, tier2: &dyn Tier2) -> Result<Self> {
        let mut states = replay_journals(container, objects, tier2)?;
        let mut tables = Self::default();
        let mut newest = |table| {
            let segment = SystemSegment { container, table, attributes: false };
            let state = states.remove(&segment).unwrap_or_default();
            if is_absent(&state, objects) {
                tables.absent.push(segment);
                return Ok(Newest::new());
            }
            newest_entries(&segment, state, objects, tier2)
        };
        let rows = newest(SystemTable::ContainerMetadata)?;
        let records = newest(SystemTable::StorageMetadata)?;
        tables.add_rows(container, rows)?;
        tables.add_records(container, records)?;
        Ok(tables)
    }

    fn add_rows(&mut self, container: ContainerId, newest: Newest) -> Result<()> {
        for (key, (_, value)) in newest {
            let name = utf8_key(container, &key)?;
            if SystemSegment::parse(&name).is_some() {
                // The tables' own rows are always stale; the new log maps both.
                continue;
            }
            let Some(value) = value else {
                self.removed_rows.insert(name);
                continue;
            };
            let row = SegmentInfo::decode(&value).map_err(|error| {
                metadata_damaged(container, format!("the row of the segment `{name}` cannot be read")).because(error)
            })?;
            self.rows.insert(name, row.into_owned());
        }
        Ok(())
    }

    fn add_records(&mut self, container: ContainerId, newest: Newest) -> Result<()> {
        for (key, (_, value)) in newest {
            let name = utf8_key(container, &key)?;
            let value = value.map(|value| TransactionData::decode(&value)).transpose().map_err(|error| {
                metadata_damaged(container, format!("the storage record of `{name}` cannot be read")).because(error)
            })?;
            match value.and_then(|data| data.value) {
                None => {
                    self.removed_records.insert(name);
                }
                Some(StorageMetadata::Segment(record)) => {
                    self.records.insert(name, record);
                }
                Some(StorageMetadata::Chunk(record)) => {
                    self.chunk_records.insert(name, record);
                }
                // Only a shortcut for reads; the store makes new ones.
                Some(StorageMetadata::ReadIndexBlock(_)) => {}
            }
        }
        Ok(())
    }
}

/// State of the four system segments by the newest snapshot and the journals after it.
fn replay_journals(
    container: ContainerId,
    objects: &ContainerObjects,
    tier2: &dyn Tier2,
) -> Result<std::collections::BTreeMap<SystemSegment, SystemSegmentState>> {
    let mut replay = JournalReplay::new(container);
    let damaged = |key: &str, why: &dyn std::fmt::Display| {
        metadata_damaged(container, format!("the system journal `{key}` contradicts what came before it")).because(why)
    };
    let snapshot = newest_snapshot(objects, tier2)?;
    if let Some((key, snapshot)) = &snapshot {
        replay.restart_from(snapshot).map_err(|error| damaged(key, &error))?;
    }
    let names: HashMap<JournalName, &JournalObject> =
        objects.journals.iter().map(|journal| (journal_name(container, journal), journal)).collect();
    let listed: Vec<JournalName> = names.keys().copied().collect();
    for name in replay_order(&listed, snapshot.as_ref().map(|(_, snapshot)| (snapshot.epoch, snapshot.file_index))) {
        let Some(journal) = names.get(&name) else { continue };
        let bytes = read_whole(tier2, &journal.key, journal.size)?;
        let mut batches = JournalBatches::new(&bytes);
        for batch in batches.by_ref() {
            for record in batch.map_err(|error| damaged(&journal.key, &error))? {
                replay.apply(&record).map_err(|error| damaged(&journal.key, &error))?;
            }
        }
        if let Some(offset) = batches.torn_at() {
            tracing::warn!(container, key = %journal.key, offset, "the system journal ends inside a batch");
        }
    }
    replay.extend_last_chunks(|key| objects.chunk_size(key));
    replay.finish().map_err(|error| {
        metadata_damaged(container, "its system journals do not fit together".to_owned()).because(error)
    })
}

fn journal_name(container: ContainerId, journal: &JournalObject) -> JournalName {
    JournalName { container, epoch: journal.epoch, index: journal.index, kind: journal.kind }
}

/// The snapshot with the highest epoch and index that can be read; torn ones are passed over, since every attempt
/// leaves the journals complete after the one before.
fn newest_snapshot(objects: &ContainerObjects, tier2: &dyn Tier2) -> Result<Option<(Box<str>, SystemSnapshot)>> {
    let snapshots = objects.journals.iter().rev().filter(|journal| journal.kind == JournalKind::Snapshot);
    for journal in snapshots {
        match SystemSnapshot::decode_file(&read_whole(tier2, &journal.key, journal.size)?) {
            Ok(snapshot) => return Ok(Some((journal.key.clone(), snapshot))),
            Err(error) => tracing::warn!(key = %journal.key, %error, "passing over a snapshot that cannot be read"),
        }
    }
    Ok(None)
}

fn read_whole(tier2: &dyn Tier2, key: &str, size: u64) -> Result<Vec<u8>> {
    if size > JOURNAL_BYTES_MAX {
        return Err(OperatorError::new(
            "journal-too-large",
            format!(
                "{}: the system journal `{key}` has {size} bytes, {JOURNAL_BYTES_MAX} are supported",
                tier2.location()
            ),
            "this is no journal that Pravega wrote; restore it from a copy of Tier-2",
        ));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let read = tier2.read_at(key, 0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// True if no object of a metadata table holds anything. A part of a table is damage, and refused: an entry that is
/// missing would be taken for one that was never written.
fn is_absent(state: &SystemSegmentState, objects: &ContainerObjects) -> bool {
    state.chunks.iter().all(|(key, _)| objects.chunk_size(key).unwrap_or(0) == 0)
}

/// Reads a metadata table.
fn newest_entries(
    segment: &SystemSegment,
    state: SystemSegmentState,
    objects: &ContainerObjects,
    tier2: &dyn Tier2,
) -> Result<Newest> {
    let parts = state.chunks.iter().map(|(key, length)| ChunkPart { key: key.as_str().into(), length: *length });
    let chain = Chain { first_start: state.first_chunk_start_offset, parts: parts.collect() };
    for part in &chain.parts {
        match objects.chunk_size(&part.key) {
            Some(size) if size >= part.length => {}
            size => {
                let size = size.map_or_else(|| "is missing".to_owned(), |size| format!("has only {size} bytes"));
                return Err(metadata_damaged(
                    segment.container,
                    format!("the chunk `{}` of its metadata table {size}, {} are recorded", part.key, part.length),
                ));
            }
        }
    }
    let mut newest = Newest::new();
    let scan = scan_table(&chain, state.start_offset, chain.end(), tier2, &mut |entry| {
        let known = newest.get(entry.key).is_some_and(|(rank, _)| *rank > entry.rank());
        if !known {
            newest.insert(entry.key.into(), (entry.rank(), entry.value.map(Into::into)));
        }
    })?;
    match scan.damage {
        Some(damage) => Err(table_damaged(&segment.to_string(), &damage)),
        None => Ok(newest),
    }
}

fn utf8_key(container: ContainerId, key: &[u8]) -> Result<Box<str>> {
    match std::str::from_utf8(key) {
        Ok(name) => Ok(name.into()),
        Err(error) => {
            Err(metadata_damaged(container, "a key of its metadata tables is no name".to_owned()).because(error))
        }
    }
}

fn metadata_damaged(container: ContainerId, what: String) -> OperatorError {
    OperatorError::new(
        "metadata-damaged",
        format!("container {container}: {what}"),
        "restore that object from a copy of Tier-2, or leave the container out with --containers",
    )
}

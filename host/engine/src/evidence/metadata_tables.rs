//! Reads the old metadata tables of a container: journals first, then what they lead to.

use std::collections::BTreeMap;
use std::ops::Range;

use dr_backends::tier2::Tier2;
use dr_formats::journal::{JournalBatches, JournalReplay, SystemSegmentState, SystemSnapshot, replay_order};
use dr_formats::names::{
    ChunkName, JournalKind, JournalName, SystemSegment, SystemTable, owning_container, storage_metadata_segment,
};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{ChunkMetadata, SegmentMetadata, StorageMetadata};
use dr_formats::table::TableEntry;
use hashbrown::{HashMap, HashSet};

use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::evidence::held_table::{HeldTable, TableRead};
use crate::evidence::salvage::{EntryKind, Gap, RECORD, ROW, names_its_key};
use crate::listing::{ChunkObject, ContainerObjects, JournalObject};

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
    /// What of the tables cannot be used.
    pub(super) damages: Vec<Damage>,
    /// Where the table of the rows ends.
    pub(super) rows_end: u64,
    /// Where the storage metadata ends.
    pub(super) storage_end: u64,
    /// Journals that could not be used, and what was used instead.
    pub(super) notes: Vec<JournalNote>,
}

/// Bytes of a metadata table that are missing or no entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Name of the table's segment.
    pub segment: String,
    /// Its offsets.
    pub range: Range<u64>,
}

/// A system journal that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalNote {
    /// Raw key of the journal.
    pub key: Box<str>,
    /// By what the metadata tables were found instead.
    pub instead: &'static str,
    /// Why.
    pub why: String,
}

impl MetadataTables {
    pub(super) fn read(container: ContainerId, objects: &ContainerObjects, tier2: &dyn Tier2) -> Result<Self> {
        let mut tables = Self::default();
        let mut states = tables.system_segments(container, objects, tier2)?;
        let segment = |table| SystemSegment { container, table, attributes: false };
        let rows =
            tables.newest_entries(&segment(SystemTable::ContainerMetadata), &mut states, objects, &ROW, tier2)?;
        tables.add_rows(rows);
        let records =
            tables.newest_entries(&segment(SystemTable::StorageMetadata), &mut states, objects, &RECORD, tier2)?;
        tables.add_records(records);
        Ok(tables)
    }

    /// Calls `visit` with the entries of both tables, the newest versions and all others. False if that may not be all of them, or some are odd.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(super) fn visit_all(
        container: ContainerId,
        objects: &ContainerObjects,
        tier2: &dyn Tier2,
        visit: &mut dyn FnMut(SystemTable, &TableEntry<'_>),
    ) -> Result<bool> {
        let mut tables = Self::default();
        let mut states = tables.system_segments(container, objects, tier2)?;
        let mut is_whole = tables.notes.is_empty();
        for table in [SystemTable::ContainerMetadata, SystemTable::StorageMetadata] {
            let segment = SystemSegment { container, table, attributes: false };
            let mut state = states.remove(&segment).unwrap_or_default();
            is_whole &= !is_absent(&segment, &state, objects);
            link_contiguous(&segment.to_string(), &mut state, objects);
            let held = HeldTable::of(&state, objects);
            let gaps = held.visit(names_its_key, tier2, &mut |entry| visit(table, entry))?;
            is_whole &= held.holes.is_empty() && gaps.is_empty();
        }
        Ok(is_whole)
    }

    /// True if rows or records may be missing or old because of damage.
    pub(super) fn is_damaged(&self) -> bool {
        !self.damages.is_empty()
    }

    /// Drops storage records of other containers: such a table was swapped with another one.
    pub(super) fn drop_strangers(&mut self, container: ContainerId, container_count: u32) {
        let is_own = |segment: &str| owning_container(segment, container_count) == container;
        let of_chunk = |key: &str| ChunkName::parse(key).is_none_or(|chunk| is_own(chunk.segment));
        let before = self.records.len() + self.chunk_records.len();
        self.records.retain(|name, _| is_own(name));
        self.chunk_records.retain(|key, _| of_chunk(key));
        if self.records.len() + self.chunk_records.len() < before {
            let segment = storage_metadata_segment(container);
            self.damages.push(Damage { segment, range: 0..self.storage_end });
        }
    }

    fn add_rows(&mut self, newest: Vec<(Box<str>, Option<SegmentInfo<'static>>)>) {
        self.rows.reserve(newest.len());
        for (name, row) in newest {
            if SystemSegment::parse(&name).is_some() {
                // The tables' own rows are always stale; the new log maps both.
                continue;
            }
            match row {
                None => {
                    self.removed_rows.insert(name);
                }
                Some(row) => {
                    self.rows.insert(name, row);
                }
            }
        }
    }

    fn add_records(&mut self, newest: Vec<(Box<str>, Option<Option<StorageMetadata>>)>) {
        for (name, record) in newest {
            match record.flatten() {
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
    }

    /// State of the system segments by the newest snapshot and the journals after it; if these do not fit together, by
    /// an older snapshot; if no journal can be used, by the names of the objects.
    fn system_segments(
        &mut self,
        container: ContainerId,
        objects: &ContainerObjects,
        tier2: &dyn Tier2,
    ) -> Result<SystemSegments> {
        let snapshots = readable_snapshots(objects, tier2)?;
        let mut first_failure = None;
        for start in snapshots.iter().map(Some).chain([None]) {
            match replay_journals(container, start, objects, tier2)? {
                Ok(states) => {
                    self.notes.extend(first_failure.map(|failure: JournalFailure| failure.note("an older snapshot")));
                    return Ok(states);
                }
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
        }
        self.notes.extend(first_failure.map(|failure| failure.note("the names of their objects")));
        Ok(SystemSegment::all_of(container).map(|segment| (segment, state_by_names(&segment, objects))).into())
    }

    /// Reads a metadata table, around what is damaged.
    fn newest_entries<Value>(
        &mut self,
        segment: &SystemSegment,
        states: &mut SystemSegments,
        objects: &ContainerObjects,
        kind: &EntryKind<Value>,
        tier2: &dyn Tier2,
    ) -> Result<Vec<(Box<str>, Option<Value>)>> {
        let mut state = states.remove(segment).unwrap_or_default();
        if is_absent(segment, &state, objects) {
            self.absent.push(*segment);
        }
        let name = segment.to_string();
        let recorded_end = state.length;
        link_contiguous(&name, &mut state, objects);
        match segment.table {
            SystemTable::ContainerMetadata => self.rows_end = state.length,
            SystemTable::StorageMetadata => self.storage_end = state.length,
        }
        let held = HeldTable::of(&state, objects);
        let TableRead { newest, gaps } = held.read(objects.chunks.len(), kind, tier2)?;
        // Half an entry behind what the journal knows is what a crash leaves.
        let is_damage = |gap: &Gap| !gap.may_be_torn || gap.range.start < recorded_end;
        let damaged = gaps.into_iter().filter(is_damage).map(|gap| gap.range);
        let mut damaged: Vec<_> = held.holes.into_iter().chain(damaged).collect();
        damaged.sort_unstable_by_key(|range| range.start);
        self.damages.extend(damaged.into_iter().map(|range| Damage { segment: name.clone(), range }));
        Ok(newest)
    }
}

/// Objects that continue a table without being in the journal: its tail is lost.
fn link_contiguous(name: &str, state: &mut SystemSegmentState, objects: &ContainerObjects) {
    let is_unknown =
        |state: &SystemSegmentState, object: &ChunkObject| state.chunks.iter().all(|(key, _)| **key != *object.key);
    while let Some(object) = objects.next_chunk(name, state.length, |object| is_unknown(state, object)) {
        state.chunks.push((object.key.to_string(), object.size));
        state.length += object.size;
    }
}

/// What the names of its objects tell of a table, gaps included.
fn state_by_names(segment: &SystemSegment, objects: &ContainerObjects) -> SystemSegmentState {
    let name = segment.to_string();
    let mut chunks: Vec<_> = objects.chunks_of(&name).filter(|chunk| chunk.size > 0).collect();
    chunks.sort_unstable_by_key(|chunk| (chunk.offset, std::cmp::Reverse((chunk.epoch, chunk.size))));
    chunks.dedup_by_key(|chunk| chunk.offset);
    let first = chunks.first().map_or(0, |chunk| chunk.offset);
    let mut state = SystemSegmentState { first_chunk_start_offset: first, start_offset: first, ..Default::default() };
    for (index, chunk) in chunks.iter().enumerate() {
        let next = chunks.get(index + 1).map(|next| next.offset - chunk.offset);
        state.chunks.push((chunk.key.to_string(), next.unwrap_or(chunk.size)));
    }
    state.length = first + state.chunks.iter().map(|(_, length)| length).sum::<u64>();
    state
}

type SystemSegments = BTreeMap<SystemSegment, SystemSegmentState>;

/// Why the journals cannot be replayed.
struct JournalFailure {
    key: Box<str>,
    why: String,
}

impl JournalFailure {
    fn note(self, instead: &'static str) -> JournalNote {
        JournalNote { key: self.key, instead, why: self.why }
    }
}

/// State of the four system segments by a snapshot and the journals after it.
fn replay_journals(
    container: ContainerId,
    start: Option<&(Box<str>, SystemSnapshot)>,
    objects: &ContainerObjects,
    tier2: &dyn Tier2,
) -> Result<std::result::Result<SystemSegments, JournalFailure>> {
    let failure =
        |key: &str, why: &dyn std::fmt::Display| Ok(Err(JournalFailure { key: key.into(), why: why.to_string() }));
    let mut replay = JournalReplay::new(container);
    if let Some((key, snapshot)) = start
        && let Err(error) = replay.restart_from(snapshot)
    {
        return failure(key, &error);
    }
    let names: HashMap<JournalName, &JournalObject> =
        objects.journals.iter().map(|journal| (journal_name(container, journal), journal)).collect();
    let listed: Vec<JournalName> = names.keys().copied().collect();
    let mut last: Box<str> = start.map_or_else(Box::default, |(key, _)| key.clone());
    for name in replay_order(&listed, start.map(|(_, snapshot)| (snapshot.epoch, snapshot.file_index))) {
        let Some(journal) = names.get(&name) else { continue };
        last = journal.key.clone();
        let bytes = read_whole(tier2, &journal.key, journal.size)?;
        let mut batches = JournalBatches::new(&bytes);
        for batch in batches.by_ref() {
            let records = match batch {
                Ok(records) => records,
                Err(error) => return failure(&last, &error),
            };
            for record in records {
                if let Err(error) = replay.apply(&record) {
                    return failure(&last, &error);
                }
            }
        }
        if let Some(offset) = batches.torn_at() {
            tracing::warn!(container, key = %journal.key, offset, "the system journal ends inside a batch");
        }
    }
    replay.extend_last_chunks(|key| objects.chunk_size(key));
    match replay.finish() {
        Ok(states) => Ok(Ok(states)),
        Err(error) => failure(&last, &error),
    }
}

fn journal_name(container: ContainerId, journal: &JournalObject) -> JournalName {
    JournalName { container, epoch: journal.epoch, index: journal.index, kind: journal.kind }
}

/// The snapshots that can be read, newest first; torn ones are passed over, since every attempt leaves the journals
/// complete after the one before.
fn readable_snapshots(objects: &ContainerObjects, tier2: &dyn Tier2) -> Result<Vec<(Box<str>, SystemSnapshot)>> {
    let mut readable = Vec::new();
    for journal in objects.journals.iter().rev().filter(|journal| journal.kind == JournalKind::Snapshot) {
        match SystemSnapshot::decode_file(&read_whole(tier2, &journal.key, journal.size)?) {
            Ok(snapshot) => readable.push((journal.key.clone(), snapshot)),
            Err(error) => tracing::warn!(key = %journal.key, %error, "passing over a snapshot that cannot be read"),
        }
    }
    Ok(readable)
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

/// True if no object of a metadata table holds anything.
fn is_absent(segment: &SystemSegment, state: &SystemSegmentState, objects: &ContainerObjects) -> bool {
    state.chunks.iter().all(|(key, _)| objects.chunk_size(key).unwrap_or(0) == 0)
        && objects.chunks_of(&segment.to_string()).all(|chunk| chunk.size == 0)
}

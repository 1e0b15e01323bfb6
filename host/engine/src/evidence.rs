//! The evidence of one container: its old metadata, read through the system journal, and its segments reconciled with
//! the objects.

mod first_look;
mod held_table;
mod metadata_tables;
mod salvage;
#[cfg(test)]
mod tests;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use dr_backends::tier2::Tier2;
use dr_formats::attribute::{EVENT_COUNT, SEGMENT_TYPE, SegmentType};
use dr_formats::events::EVENT_HEADER_LENGTH;
use dr_formats::names::{
    ChunkName, ControllerTable, SegmentKind, StreamSegment, SystemSegment, SystemTable, container_metadata_segment,
    container_named_in, main_segment_of, owning_container, parent_segment_of, transaction_id,
};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{ChunkMetadata, SegmentMetadata};
use hashbrown::{HashMap, HashSet};

pub(crate) use self::first_look::FirstLook;
use self::metadata_tables::MetadataTables;
pub use self::metadata_tables::{Damage, JournalNote};
pub(crate) use self::transactions::MERGED_BY_RECOVERY;
use crate::chain::Chain;
use crate::committed::Committed;
use crate::content::{Appends, measure_appends, measure_events};
use crate::contract::{CallError, CallResult, ContainerId, CoreAttribute, Measure, MetadataRow, Segment};
use crate::error::{OperatorError, Result};
use crate::hash_table::HashTable;
use crate::listing::{ChunkObject, ContainerObjects};
use crate::named_segments::Named;
use crate::plan::AbsentMetadata;
use crate::reconcile::{Reconciled, SegmentFacts, Standing};
use crate::stream_heads::Begin;
use crate::stream_tables::StreamTables;
use crate::table_scan::{TableScan, scan_table};

/// What is known of one container.
#[derive(Debug)]
pub struct ContainerEvidence {
    /// Its number.
    pub container: ContainerId,
    /// The highest epoch in any name or record.
    pub highest_epoch: u64,
    objects: Arc<ContainerObjects>,
    tables: MetadataTables,
    stream_tables: Arc<StreamTables>,
    segments: BTreeMap<Box<str>, Reconciled>,
    committed: Committed,
    key_lengths: HashMap<Box<str>, u64>,
    measures: Mutex<HashMap<String, Measure>>,
    /// Tables that were measured and not asked for since.
    hash_tables: Mutex<HashMap<String, HashTable>>,
    parents_of_transactions: OnceLock<HashSet<Box<str>>>,
    are_row_lengths_exact: bool,
}

impl ContainerEvidence {
    /// Reads the old metadata of a container and reconciles its segments.
    ///
    /// # Errors
    /// `container-count` if the metadata names segments of other containers; Tier-2 errors. What of the metadata is
    /// damaged is no error: see [`ContainerEvidence::damages`].
    pub fn load(
        container: ContainerId,
        container_count: u32,
        objects: Arc<ContainerObjects>,
        stream_tables: Arc<StreamTables>,
        tier2: &dyn Tier2,
    ) -> Result<Self> {
        let began = Instant::now();
        let mut tables = MetadataTables::read(container, &objects, tier2)?;
        // `cargo xtask bench` adds these up.
        tracing::debug!(container, microseconds = began.elapsed().as_micros(), "metadata read");
        check_names(&tables, container, container_count)?;
        tables.drop_strangers(container, container_count);
        let mut evidence = Self::of_tables(container, objects, tables, stream_tables);
        evidence.settle_transactions(tier2)?;
        Ok(evidence)
    }

    fn of_tables(
        container: ContainerId,
        objects: Arc<ContainerObjects>,
        tables: MetadataTables,
        stream_tables: Arc<StreamTables>,
    ) -> Self {
        let owner_epochs = tables.records.values().map(|record| record.owner_epoch);
        let highest_epoch = owner_epochs.chain([objects.highest_epoch()]).max().unwrap_or(0);
        let mut evidence = Self {
            container,
            highest_epoch,
            objects,
            tables,
            stream_tables,
            segments: BTreeMap::new(),
            committed: Committed::new(),
            key_lengths: HashMap::new(),
            measures: Mutex::default(),
            hash_tables: Mutex::default(),
            parents_of_transactions: OnceLock::new(),
            are_row_lengths_exact: true,
        };
        evidence.segments = evidence.reconcile_all();
        evidence
    }

    /// Takes no length in a row for the end of an append: another tool had made rows, of segments that may have ended in the midst of one.
    pub(crate) fn doubt_row_lengths(&mut self) {
        self.are_row_lengths_exact = false;
    }

    /// True if segments can be missing of which only the old container metadata told.
    pub(crate) fn lacks_rows(&self) -> bool {
        let table = container_metadata_segment(self.container);
        self.tables.absent.iter().any(|absent| absent.to_string() == table)
            || self.tables.damages.iter().any(|damage| damage.segment == table)
    }

    /// Takes the controller's word for segments of this container of which no metadata tells and none says that they were deleted. Those
    /// without objects are empty. Objects that bear the name of another one are taken for its content only where the metadata is whole,
    /// and merely older than they: else they can be what is left of a namesake.
    pub(crate) fn add_named<'a>(&mut self, named: impl Iterator<Item = (&'a str, Named)>) {
        let is_whole = !self.tables.is_damaged() && self.tables.absent.is_empty();
        for (name, Named { sealed, key_length }) in named {
            self.key_lengths.extend(key_length.map(|length| (name.into(), length)));
            let is_removed = self.tables.removed_rows.contains(name) || self.tables.removed_records.contains(name);
            let is_unknown = match self.segments.get(name) {
                Some(segment) => segment.standing == Standing::Unrecorded && is_whole,
                None => !is_removed,
            };
            if is_unknown {
                let truncated_at = self.facts(name).truncated_at;
                let segment = self.segments.entry(name.into()).or_insert_with(Reconciled::absent);
                segment.live_by_controller(sealed, truncated_at);
            }
        }
    }

    /// Segments of streams that are sealed though the controller did not put others in their place, by scope and stream.
    pub(crate) fn sealed_without_successors(&self) -> SegmentsByStream {
        let is_meant = |(name, segment): &(&str, &Reconciled)| {
            segment.sealed
                && segment.standing == Standing::Live
                && SegmentKind::of(name) == SegmentKind::Stream
                && !self.stream_tables.is_replaced(name)
        };
        by_stream(self.reconciled().filter(is_meant).map(|(name, _)| name))
    }

    /// Segments that were deleted though the controller did not put others in their place, of streams that are there, by scope and stream.
    pub(crate) fn deleted_without_successors(&self) -> SegmentsByStream {
        let is_meant = |name: &&str| {
            matches!(SegmentKind::of(name), SegmentKind::Stream | SegmentKind::ReaderGroup)
                && !self.stream_tables.is_replaced(name)
        };
        by_stream(self.deleted().filter(is_meant))
    }

    /// Metadata tables of streams that were deleted and have objects still.
    pub(crate) fn deleted_stream_tables(&self) -> impl Iterator<Item = &str> {
        let is_table = |name: &&str| {
            matches!(ControllerTable::parse(name), Some(ControllerTable::Stream { name: "metadata", .. }))
        };
        self.gone().filter(is_table).filter(|name| self.objects.chunks_of(name).next().is_some())
    }

    /// Segments of streams that begin behind what the controller says of them, or were deleted.
    pub(crate) fn truncated_further(&self) -> Vec<(Box<str>, Begin)> {
        let is_further = |(name, segment): &(&str, &Reconciled)| {
            segment.standing == Standing::Live
                && segment.start_offset > self.stream_tables.truncated_at(name).unwrap_or(0)
                && SegmentKind::of(name) == SegmentKind::Stream
        };
        let further = self.reconciled().filter(is_further);
        let further = further.map(|(name, segment)| (name.into(), Begin::At(segment.start_offset)));
        further.chain(self.deleted().map(|name| (name.into(), Begin::Deleted))).collect()
    }

    /// Segments that were deleted, of streams that are there; some of them twice.
    fn deleted(&self) -> impl Iterator<Item = &str> {
        self.gone().filter(|segment| {
            StreamSegment::parse(segment)
                .is_some_and(|segment| self.stream_tables.have_table_of(segment.scope, segment.stream))
        })
    }

    /// What was deleted and is not there anew; some of them twice.
    fn gone(&self) -> impl Iterator<Item = &str> {
        let removed = self.tables.removed_rows.iter().chain(&self.tables.removed_records).map(|name| &**name);
        let deleted = self.reconciled().filter(|(_, segment)| segment.standing == Standing::Deleted);
        let removed = removed.filter(|name| self.segment(name).is_none());
        removed.chain(deleted.map(|(name, _)| name))
    }

    /// True if events were written to a segment: what it holds are such, and not all of them are empty, as those that zeros look like.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn holds_events(&self, name: &str, tier2: &dyn Tier2) -> Result<bool> {
        let Some(segment) = self.segment(name) else { return Ok(false) };
        let measure = self.measure_stream(name, &segment.chain, segment.start_offset, tier2)?;
        let bytes = measure.whole_length.saturating_sub(segment.start_offset);
        Ok(measure.content == "events" && bytes > measure.items.saturating_mul(EVENT_HEADER_LENGTH as u64))
    }

    /// Takes the seal of a segment back.
    pub(crate) fn take_seal_back(&mut self, name: &str) {
        if let Some(segment) = self.segments.get_mut(name) {
            segment.take_seal_back();
        }
    }

    /// Makes a segment that was deleted anew, without anything of what it held.
    pub(crate) fn create_again(&mut self, name: &str, sealed: bool) {
        let truncated_at = self.stream_tables.truncated_at(name).unwrap_or(0);
        self.replace(name, Reconciled::created_again(sealed, truncated_at));
    }

    /// States of reader groups that are there, by name.
    pub(crate) fn states_of_reader_groups(&self) -> Vec<String> {
        let is_state = |(name, segment): &(&str, &Reconciled)| {
            segment.standing == Standing::Live && SegmentKind::of(name) == SegmentKind::ReaderGroup
        };
        self.reconciled().filter(is_state).map(|(name, _)| name.to_owned()).collect()
    }

    /// Takes away what a segment holds.
    pub(crate) fn empty(&mut self, name: &str) {
        self.replace(name, Reconciled { standing: Standing::Live, ..Reconciled::absent() });
    }

    fn replace(&mut self, name: &str, segment: Reconciled) {
        self.tables.rows.remove(name);
        self.tables.records.remove(name);
        self.segments.insert(name.into(), segment);
    }

    /// Length of the keys of a table, if the controller's word of it was needed.
    pub(crate) fn named_key_length(&self, name: &str) -> Option<u64> {
        self.key_lengths.get(name).copied()
    }

    /// Where the table of the old rows ends.
    pub(crate) fn rows_end(&self) -> u64 {
        self.tables.rows_end
    }

    /// Where a segment ends by what Tier-2 holds; none for one that was deleted, or of which nobody can say.
    pub(crate) fn end_of(&self, name: &str) -> Option<u64> {
        match SystemSegment::parse(name) {
            Some(SystemSegment { attributes: true, .. }) => None,
            Some(SystemSegment { table: SystemTable::ContainerMetadata, .. }) => Some(self.tables.rows_end),
            Some(SystemSegment { table: SystemTable::StorageMetadata, .. }) => Some(self.tables.storage_end),
            None if container_named_in(name).is_some() => None,
            None => match self.segment(name) {
                Some(segment) if segment.standing == Standing::Deleted => None,
                segment => Some(segment.map_or(0, |segment| segment.held().0.end())),
            },
        }
    }

    /// What of the metadata tables is missing or damaged. Rows and records may be missing or old then.
    pub fn damages(&self) -> &[Damage] {
        &self.tables.damages
    }

    /// System journals that could not be used.
    pub fn journal_notes(&self) -> &[JournalNote] {
        &self.tables.notes
    }

    /// Offsets of a segment whose objects are gone although no truncation that is recorded reaches so far. A truncation
    /// just before the crash leaves the same.
    pub fn leading_gone(&self, name: &str, start_offset: u64) -> Option<std::ops::Range<u64>> {
        self.segment(name).filter(|segment| segment.findings.contains(&"leading-object-gone"))?;
        let recorded = self.record(name).map_or(0, |record| record.start_offset).max(self.truncated_at(name));
        (recorded < start_offset).then_some(recorded..start_offset)
    }

    /// Where clients had truncated a segment, by its row or the controller; 0 if they had not.
    fn truncated_at(&self, name: &str) -> u64 {
        let by_row = self.row(name).map_or(0, |row| row.start_offset);
        self.stream_tables.truncated_at(name).unwrap_or(0).max(by_row)
    }

    /// A segment; none for attribute indexes and the container's own metadata.
    pub fn segment(&self, name: &str) -> Option<&Reconciled> {
        self.segments.get(name)
    }

    /// All segments, by name.
    pub fn reconciled(&self) -> impl Iterator<Item = (&str, &Reconciled)> {
        self.segments.iter().map(|(name, reconciled)| (&**name, reconciled))
    }

    /// All segments as a procedure sees them, by name.
    pub fn segments(&self) -> Vec<Segment> {
        let segment = |(name, reconciled): (&str, &Reconciled)| Segment {
            name: name.to_owned(),
            kind: SegmentKind::of(name).as_str().to_owned(),
            container: self.container,
            sealed: reconciled.sealed,
            start_offset: reconciled.start_offset,
            length: reconciled.chain.end(),
            recorded_length: self.tables.records.get(name).map(|record| record.length),
            row_length: self.tables.rows.get(name).map(|row| row.length),
            standing: reconciled.standing.as_str().to_owned(),
            findings: reconciled.findings.iter().map(|&finding| finding.to_owned()).collect(),
        };
        self.segments.iter().map(|(name, reconciled)| (&**name, reconciled)).map(segment).collect()
    }

    /// Rows of the old metadata table, by name.
    pub fn metadata_rows(&self) -> Vec<MetadataRow> {
        let attribute =
            |(attribute, value): (dr_formats::attribute::CoreAttribute, i64)| CoreAttribute { id: attribute.0, value };
        let row = |row: &SegmentInfo<'static>| MetadataRow {
            name: row.name.to_string(),
            start_offset: row.start_offset,
            length: row.length,
            sealed: row.sealed,
            attributes: row.attributes.core().map(attribute).collect(),
        };
        let mut rows: Vec<_> = self.tables.rows.values().map(row).collect();
        rows.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    /// The old row of a segment.
    pub fn row(&self, name: &str) -> Option<&SegmentInfo<'static>> {
        self.tables.rows.get(name)
    }

    /// The storage record of a segment.
    pub fn record(&self, name: &str) -> Option<&SegmentMetadata> {
        self.tables.records.get(name)
    }

    /// The chunks of a segment as its records chain them, until the chain ends or breaks.
    pub fn recorded_chunks(&self, name: &str) -> Vec<&ChunkMetadata> {
        let mut chunks = Vec::new();
        let mut seen = HashSet::new();
        let mut next = self.tables.records.get(name).map_or("", |record| &record.first_chunk);
        while let Some(chunk) = self.tables.chunk_records.get(next).filter(|_| seen.insert(next)) {
            chunks.push(chunk);
            next = &chunk.next_chunk;
        }
        chunks
    }

    /// True if some record names this chunk.
    pub fn has_chunk_record(&self, key: &str) -> bool {
        self.tables.chunk_records.contains_key(key)
    }

    /// A chunk object by its place among those of this container.
    pub fn chunk(&self, index: u32) -> Option<&ChunkObject> {
        self.objects.chunks.get(index as usize)
    }

    /// Places of the chunk objects without these keys.
    pub fn chunks_without<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Vec<u32> {
        let mut is_named = vec![false; self.objects.chunks.len()];
        for key in keys {
            if let Some(place) = self.objects.place_of(key) {
                is_named[place] = true;
            }
        }
        (0..).zip(is_named).filter(|(_, is_named)| !is_named).map(|(index, _)| index).collect()
    }

    /// Objects of the old metadata, by key, with their sizes.
    pub fn metadata_objects(&self) -> Vec<(&str, u64)> {
        self.objects.metadata_objects(self.container)
    }

    /// Size of a chunk object of this container.
    pub fn object_size(&self, key: &str) -> Option<u64> {
        self.objects.chunk_size(key)
    }

    /// What is to be said if not one byte of the metadata tables is there; none if both are.
    pub fn absent_metadata(&self) -> Option<AbsentMetadata> {
        let is_of_stream = |name: &str| matches!(SegmentKind::of(name), SegmentKind::Stream | SegmentKind::Transaction);
        let stream = |(name, segment): (&str, &Reconciled)| {
            let mut parts = name.splitn(3, '/');
            let (scope, stream) = (parts.next()?, parts.next()?);
            let is_left = segment.standing == Standing::Unrecorded && is_of_stream(name);
            is_left.then(|| format!("{scope}/{stream}"))
        };
        let streams: BTreeSet<String> =
            self.segments.iter().map(|(name, segment)| (&**name, segment)).filter_map(stream).collect();
        let tables = self.tables.absent.iter().map(ToString::to_string).collect();
        let absent = AbsentMetadata { tables, streams: streams.into_iter().collect() };
        (!self.tables.absent.is_empty()).then_some(absent)
    }

    /// True if the storage metadata records this object as a part of some segment.
    pub fn is_recorded(&self, chunk: &ChunkObject) -> bool {
        self.tables.chunk_records.contains_key(&chunk.key)
    }

    /// Chunks whose keys begin with `prefix`.
    pub fn chunks_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a ChunkObject> {
        self.objects.chunks_below(prefix)
    }

    /// Names of all segments and chunks that the evidence knows, for what names alone tell (transaction ids).
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        let chunks = self.objects.chunks.iter().map(|chunk| chunk.segment());
        let rows = self.tables.rows.keys().map(|name| &**name);
        rows.chain(self.tables.records.keys().map(|name| &**name)).chain(chunks)
    }

    /// Objects that no segment owns any more although metadata explains their names, by key, with their sizes: those of
    /// deleted segments, those that the storage had taken out of use, those that a living segment does not need.
    pub fn leftovers(&self) -> impl Iterator<Item = (&str, u64)> {
        let held = self.held_objects();
        let mut standings: HashMap<&str, Standing> = HashMap::new();
        self.objects.chunks.iter().filter_map(move |chunk| {
            let main = main_segment_of(chunk.segment());
            let name = main.unwrap_or(chunk.segment());
            let is_system = || SystemSegment::parse(name).is_some() || container_named_in(name).is_some();
            let standing = standings.entry(name).or_insert_with(|| match self.segment(name) {
                Some(segment) => segment.standing,
                None => self.facts(name).reconcile().standing,
            });
            let is_leftover = match standing {
                Standing::Deleted => true,
                // Which part of an index is needed is known only when it is read.
                Standing::Live => main.is_none(),
                Standing::Unrecorded => self.is_out_of_use(&chunk.key),
            };
            (is_leftover && !held.contains(&*chunk.key) && !is_system()).then_some((&*chunk.key, chunk.size))
        })
    }

    /// Chunk objects with the name of a segment, with their sizes.
    pub fn objects_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let chunks = self.objects.chunks_below(name).filter(move |chunk| chunk.segment() == name);
        chunks.map(|chunk| (&*chunk.key, chunk.size))
    }

    /// Those with its name or with that of its attribute index.
    pub fn objects_of_segment_and_index<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let is_own = move |segment: &str| main_segment_of(segment).unwrap_or(segment) == name;
        let chunks = self.objects.chunks_below(name).filter(move |chunk| is_own(chunk.segment()));
        chunks.map(|chunk| (&*chunk.key, chunk.size))
    }

    /// Objects of segments that live, whatever their names.
    fn held_objects(&self) -> HashSet<&str> {
        let living = self.segments.values().filter(|segment| segment.standing != Standing::Deleted);
        living.flat_map(|segment| segment.chain.parts.iter().map(|part| &*part.key)).collect()
    }

    /// True if the storage metadata says that no segment needs this chunk.
    fn is_out_of_use(&self, key: &str) -> bool {
        self.tables.removed_records.contains(key)
            || self.tables.chunk_records.get(key).is_some_and(|chunk| !chunk.is_active())
    }

    /// Reconciles a segment that is not listed: the attribute index of one that is.
    pub fn reconcile(&self, name: &str) -> Reconciled {
        self.facts(name).reconcile()
    }

    /// True if some name in the metadata was checked against the container count.
    pub fn proves_container_count(&self) -> bool {
        self.tables.rows.keys().any(|name| container_named_in(name).is_none())
    }

    /// True if the segment holds table entries, by its old row or else by its name.
    pub fn is_table(&self, name: &str) -> bool {
        match self.tables.rows.get(name).and_then(|row| row.attributes.get(SEGMENT_TYPE)) {
            Some(segment_type) => SegmentType(segment_type).is(SegmentType::TABLE),
            None => matches!(SegmentKind::of(name), SegmentKind::ControllerTable | SegmentKind::KeyValueTable),
        }
    }

    fn is_fixed_key_table(&self, name: &str) -> bool {
        let segment_type = self.row(name).and_then(|row| row.attributes.get(SEGMENT_TYPE));
        segment_type.is_some_and(|segment_type| SegmentType(segment_type).is(SegmentType::FIXED_KEY_TABLE))
    }

    /// Where the content of a segment ends whole.
    ///
    /// # Errors
    /// `not-found`; Tier-2 errors.
    pub fn measure(&self, name: &str, tier2: &dyn Tier2) -> CallResult<Measure> {
        let measures = || self.measures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(measure) = measures().get(name) {
            return Ok(measure.clone());
        }
        let reconciled = self
            .segment(name)
            .ok_or_else(|| CallError::NotFound(format!("container {} has no segment `{name}`", self.container)))?;
        let measure = if self.is_table(name) {
            self.measure_table(name, reconciled.chain.end(), tier2)?
        } else {
            self.measure_stream(name, &reconciled.chain, reconciled.start_offset, tier2)?
        };
        measures().insert(name.to_owned(), measure.clone());
        Ok(measure)
    }

    /// Where the events in the content of a segment end whole.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn measure_stream(&self, name: &str, chain: &Chain, start: u64, tier2: &dyn Tier2) -> Result<Measure> {
        measure_appends(chain, start, self.appends(name, chain, start), tier2)
    }

    /// What is known of the appends to a segment. Its row is that of a moment at which an append had ended; not so if another tool took the length
    /// of the objects for it. A transaction that recovery merges is part of no row.
    fn appends(&self, name: &str, chain: &Chain, start: u64) -> Appends {
        let Some(segment) = self.segment(name).filter(|_| !self.parents_of_transactions().contains(name)) else {
            return Appends::default();
        };
        let is_within = |length: &u64| (start + 1..=chain.end()).contains(length);
        let row = self.row(name).filter(|_| self.are_row_lengths_exact).map(|row| row.length);
        let is_lost = |finding: &&str| matches!(*finding, "missing-object" | "shorter-object" | "chain-broken");
        Appends { end: row.filter(is_within), are_all_there: !segment.findings.iter().any(is_lost) }
    }

    /// How many events writers had appended to the first `length` bytes of a stream segment, truncated ones included; none
    /// if that cannot be known, or if they are no events.
    ///
    /// The row of a segment holds the store's own count, exact at the row's length, without what came with transactions.
    /// Behind it, and where there is no such row, every event is counted, so this is an upper bound.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub fn appended_events(&self, name: &str, length: u64, tier2: &dyn Tier2) -> Result<Option<u64>> {
        let Some(reconciled) = self.segment(name) else { return Ok(None) };
        let (chain, start) = reconciled.held();
        let length = length.min(chain.end());
        let Some(whole) = self.whole_events(name, reconciled, length, tier2)? else { return Ok(None) };
        let from_beginning = (start == 0).then_some(whole);
        if start == 0 && !self.parents_of_transactions().contains(name) {
            // Exact, while the count in a row that an earlier recovery copied can be too low.
            return Ok(from_beginning);
        }
        let Some(row) = self.row(name).filter(|row| row.length >= start) else { return Ok(from_beginning) };
        let counted = row.attributes.get(EVENT_COUNT).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        let from_row = if row.length > length {
            // Bytes that had been flushed are gone, and with them one event at least.
            Some(counted.saturating_sub(1))
        } else {
            let behind = measure_events(&chain.cut(length), row.length, tier2)?;
            (behind.content == "events").then(|| counted.saturating_add(behind.items))
        };
        Ok(from_beginning.into_iter().chain(from_row).min())
    }

    /// Segments into which a transaction was or may have been merged, by every name that is left.
    fn parents_of_transactions(&self) -> &HashSet<Box<str>> {
        self.parents_of_transactions.get_or_init(|| {
            let removed = self.tables.removed_records.iter().chain(&self.tables.removed_rows);
            let removed = removed.map(|name| &**name);
            let chunks =
                self.tables.chunk_records.keys().filter_map(|key| ChunkName::parse(key)).map(|chunk| chunk.segment);
            let removed_chunks = removed.clone().filter_map(ChunkName::parse).map(|chunk| chunk.segment);
            let names = self.all_names().chain(removed).chain(chunks).chain(removed_chunks);
            let parent = |name| transaction_id(name).and_then(|_| parent_segment_of(name)).map(Into::into);
            names.filter_map(parent).collect()
        })
    }

    /// How many whole events there are from the start offset to `length`; none if they are no events.
    fn whole_events(&self, name: &str, reconciled: &Reconciled, length: u64, tier2: &dyn Tier2) -> Result<Option<u64>> {
        let known = self.measures.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let (chain, start) = reconciled.held();
        let measure = match known {
            Some(measure) if measure.whole_length <= length => measure,
            _ => self.measure_stream(name, &chain.cut(length), start, tier2)?,
        };
        Ok((measure.content == "events").then_some(measure.items))
    }

    /// Where the entries of a table end whole, at or before `end`; its content is `damaged-table` if bytes behind are no
    /// beginning of an entry.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub fn measure_table(&self, name: &str, end: u64, tier2: &dyn Tier2) -> Result<Measure> {
        let Some(reconciled) = self.segment(name) else {
            return Ok(Measure { content: "table".to_owned(), whole_length: 0, items: 0 });
        };
        let (chain, start) = (&reconciled.chain, reconciled.start_offset);
        let scan = if self.is_fixed_key_table(name) {
            scan_table(chain, start, end, tier2, &mut |_| {})?
        } else {
            self.scan_hash_table(name, chain, start, end, tier2)?
        };
        let content = if scan.damage.is_some() { "damaged-table" } else { "table" };
        Ok(Measure { content: content.to_owned(), whole_length: scan.whole_end, items: scan.entries })
    }

    fn scan_hash_table(&self, name: &str, chain: &Chain, start: u64, end: u64, tier2: &dyn Tier2) -> Result<TableScan> {
        let table = HashTable::read(name, chain, start, end, &[], tier2)?;
        let scan = table.scan.clone();
        if table.is_small() {
            self.hash_tables.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), table);
        }
        Ok(scan)
    }

    /// Takes out what a measurement has read of a hash table, if that was the same range.
    pub(crate) fn take_hash_table(&self, name: &str, start: u64, end: u64) -> Option<HashTable> {
        let table = self.hash_tables.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        table.filter(|table| table.spans(start, end))
    }

    fn reconcile_all(&self) -> BTreeMap<Box<str>, Reconciled> {
        let listed = |name: &&str| main_segment_of(name).is_none() && SystemSegment::parse(name).is_none();
        let rows = self.tables.rows.keys().map(|name| &**name);
        let records = self.tables.records.keys().map(|name| &**name);
        let known: BTreeSet<&str> = rows.chain(records).chain(self.unrecorded()).filter(listed).collect();
        let mut segments: BTreeMap<Box<str>, Reconciled> =
            known.into_iter().map(|name| (name.into(), self.facts(name).reconcile())).collect();
        if self.tables.is_damaged() {
            let forgotten = self.forgotten(&segments);
            segments.extend(forgotten);
        }
        // A name without metadata whose objects do not even begin at its start describes nothing.
        segments.retain(|_, segment| segment.standing != Standing::Unrecorded || !segment.chain.parts.is_empty());
        segments
    }

    /// Names that only objects carry: with content, and not known as a chunk of any segment.
    fn unrecorded(&self) -> impl Iterator<Item = &str> {
        let unexplained =
            |chunk: &&ChunkObject| chunk.size > 0 && !self.is_recorded(chunk) && !self.is_out_of_use(&chunk.key);
        self.objects.chunks.iter().filter(unexplained).map(|chunk| chunk.segment())
    }

    /// Segments of which damage left nothing but a record of a chunk that no other segment holds.
    fn forgotten(&self, segments: &BTreeMap<Box<str>, Reconciled>) -> Vec<(Box<str>, Reconciled)> {
        let parts = segments.values().flat_map(|segment| &segment.chain.parts);
        let held: BTreeSet<&str> = parts.map(|part| &*part.key).collect();
        let is_active = |key: &str| self.tables.chunk_records.get(key).is_some_and(ChunkMetadata::is_active);
        let chunks = self.objects.chunks.iter().filter(|chunk| chunk.size > 0 && is_active(&chunk.key));
        let names: BTreeSet<&str> = chunks
            .filter(|chunk| !held.contains(&*chunk.key))
            .map(|chunk| chunk.segment())
            .filter(|name| main_segment_of(name).is_none() && SystemSegment::parse(name).is_none())
            .filter(|name| !segments.contains_key(*name))
            .collect();
        names.into_iter().map(|name| (name.into(), self.facts(name).reconcile())).collect()
    }

    fn facts<'a>(&'a self, name: &'a str) -> SegmentFacts<'a> {
        SegmentFacts {
            name,
            record: self.tables.records.get(name),
            row: self.tables.rows.get(name),
            removed_records: &self.tables.removed_records,
            row_removed: self.tables.removed_rows.contains(name),
            replaced: self.stream_tables.is_replaced(name),
            truncated_at: if self.is_table(name) { 0 } else { self.truncated_at(name) },
            metadata_damaged: self.tables.is_damaged(),
            chunk_records: &self.tables.chunk_records,
            objects: &self.objects,
        }
    }
}

/// Segments by scope and stream.
pub(crate) type SegmentsByStream = BTreeMap<(String, String), BTreeSet<String>>;

fn by_stream<'a>(segments: impl Iterator<Item = &'a str>) -> SegmentsByStream {
    let mut streams = SegmentsByStream::new();
    for segment in segments {
        if let Some(StreamSegment { scope, stream, .. }) = StreamSegment::parse(segment) {
            streams.entry((scope.to_owned(), stream.to_owned())).or_default().insert(segment.to_owned());
        }
    }
    streams
}

/// The error for a table whose bytes are no entries.
pub(crate) fn table_damaged(name: &str, damage: &dr_formats::DecodeError) -> OperatorError {
    OperatorError::new(
        "table-damaged",
        format!("the table segment `{name}` holds bytes that are no table entry"),
        "restore the objects of this segment from a copy of Tier-2, or leave its container out with --containers",
    )
    .because(damage)
}

/// Every name that the old metadata holds must belong to this container; else the container count is wrong.
fn check_names(tables: &MetadataTables, container: ContainerId, container_count: u32) -> Result<()> {
    let stranger = tables.rows.keys().find(|name| owning_container(name, container_count) != container);
    let Some(name) = stranger else { return Ok(()) };
    Err(OperatorError::new(
        "container-count",
        format!(
            "the container count {container_count} contradicts Tier-2: container {container} holds the segment `{name}`"
        ),
        "set pravegaservice.container.count (--container-count) to what the lost cluster had",
    )
    .because(format!(
        "with {container_count} containers it would belong to container {}, but `{}` has a row of it",
        owning_container(name, container_count),
        container_metadata_segment(container)
    )))
}

//! Verifies a recovered Tier-1 before the store's first boot: replays every log natively, as the store would, and checks
//! every segment against the objects.

mod data;
mod depth;
pub mod online;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dr_backends::tier2::Tier2;
use dr_formats::attribute::{
    AttributeId, BUCKET_COUNT, CoreAttribute, ENTRY_COUNT, INDEX_OFFSET, SEGMENT_TYPE, SegmentType, TOTAL_ENTRY_COUNT,
    table_key_hash,
};
use dr_formats::log_metadata::{FrameAddress, LogMetadata};
use dr_formats::names::{
    attribute_segment_of, container_metadata_segment, main_segment_of, owning_container, storage_metadata_segment,
};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{ChunkMetadata, SegmentMetadata, StorageMetadata, TransactionData};
use dr_formats::table::TableEntries;
use hashbrown::{HashMap, HashSet};
use serde::Serialize;

pub use self::depth::{Depth, Sample};
use crate::apply::recoveries;
use crate::attribute_index::{key_format, read_index_values};
use crate::chain::{Chain, ChunkPart};
use crate::cluster::{ClusterLayout, Tier1};
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::listing::{ContainerObjects, Listing};
use crate::pool::for_each_bounded;
use crate::progress::{Progress, Unit};
use crate::replay::{LogReplay, ReplayError, ReplayedSegment};
use crate::table_index::{FixedKeyTableIndex, HashTableIndex, IndexValues};
use crate::table_scan::scan_table;

/// Something that would keep the store from serving what it should.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Whose.
    pub container: ContainerId,
    /// Segment, object or ZNode.
    pub subject: String,
    /// What is wrong.
    pub what: String,
}

/// What was found of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerVerification {
    /// Which one.
    pub container: ContainerId,
    /// Segments in its metadata.
    pub segments: u64,
    /// Readable bytes in them.
    pub data_bytes: u64,
    /// Chunk objects that they need.
    pub chunks: u64,
    /// Operations replayed.
    pub operations: u64,
    /// Epoch in its log ZNode.
    pub epoch: u64,
    /// What of Tier-2 was read.
    pub read: ReadCounts,
}

/// What was read of Tier-2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReadCounts {
    /// Segments whose objects were read, as far as the depth asks for it.
    pub segments: u64,
    /// Attributes in their indexes.
    pub attributes: u64,
    /// Entries of tables.
    pub entries: u64,
    /// Bytes of segments that are no tables; only where data are read.
    pub bytes: u64,
    /// Whole events in them.
    pub events: u64,
}

impl ReadCounts {
    fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.attributes += other.attributes;
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.events += other.events;
    }
}

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// By container.
    pub containers: Vec<ContainerVerification>,
    /// Empty if all is well.
    pub problems: Vec<Problem>,
    /// What may be as it should and may not: nothing tells byte streams from streams of events.
    pub doubts: Vec<Problem>,
}

impl Verification {
    /// What was read, of all containers.
    pub fn read(&self) -> ReadCounts {
        let mut sum = ReadCounts::default();
        self.containers.iter().for_each(|container| sum.add(container.read));
        sum
    }
}

/// What to verify.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// None: what Tier-2 or the record of the recovery tells.
    pub container_count: Option<u32>,
    /// Empty: all.
    pub containers: &'a [ContainerId],
    /// How many at the same time.
    pub parallel: usize,
    /// How much of Tier-2 is read.
    pub depth: Depth,
}

/// Verifies containers.
///
/// # Errors
/// Tier-1 and Tier-2 errors. What is wrong with the recovery itself is a [`Problem`], not an error.
pub fn verify(
    tier2: &dyn Tier2,
    tier1: Tier1<'_>,
    layout: &ClusterLayout,
    scope: &Scope<'_>,
    progress: &dyn Progress,
) -> Result<Verification> {
    let Scope { container_count, containers, parallel, depth } = *scope;
    let recorded = recoveries(tier2)?.first().map(|recovery| recovery.container_count);
    let listing = match container_count.or(recorded) {
        Some(count) => Listing::take_known(tier2, count, progress)?,
        None => Listing::take(tier2, None, progress)?,
    };
    let all: Vec<ContainerId> = (0..listing.container_count()).collect();
    let chosen = if containers.is_empty() { &all[..] } else { containers };
    let container_count = listing.container_count();
    let stage = Stage::begin(progress, &listing, chosen, depth);
    let result = Mutex::new(Verification::default());
    for_each_bounded(parallel, chosen, |&container| {
        let objects = listing.objects(container);
        let mut check = ContainerCheck {
            container,
            container_count,
            objects: &objects,
            tier2,
            tier1,
            layout,
            depth,
            progress,
            read: ReadCounts::default(),
            problems: Vec::new(),
            doubts: Vec::new(),
        };
        let verified = check.run()?;
        let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
        result.containers.extend(verified);
        result.problems.append(&mut check.problems);
        result.doubts.append(&mut check.doubts);
        stage.container_done(progress);
        Ok(())
    })?;
    progress.stage_finished(stage.name());
    let mut verification = result.into_inner().unwrap_or_else(PoisonError::into_inner);
    verification.containers.sort_by_key(|verified| verified.container);
    verification.problems.sort();
    verification.doubts.sort();
    Ok(verification)
}

/// What is counted while the work goes on: bytes where they take the time, else containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Containers,
    Data,
}

impl Stage {
    fn begin(progress: &dyn Progress, listing: &Listing, chosen: &[ContainerId], depth: Depth) -> Self {
        let stage = if depth.read_data { Self::Data } else { Self::Containers };
        let objects = chosen.iter().filter_map(|&container| listing.containers.get(container as usize));
        let (total, unit) = match (stage, depth.sample) {
            (Self::Containers, _) => (Some(chosen.len() as u64), Unit::Containers),
            (Self::Data, None) => (Some(objects.map(|objects| objects.bytes).sum()), Unit::Bytes),
            (Self::Data, Some(_)) => (None, Unit::Bytes),
        };
        progress.stage_started(stage.name(), total, unit);
        stage
    }

    fn name(self) -> &'static str {
        match self {
            Self::Containers => "verifying containers",
            Self::Data => "reading all data",
        }
    }

    fn container_done(self, progress: &dyn Progress) {
        if self == Self::Containers {
            progress.advanced(1);
        }
    }
}

struct ContainerCheck<'a> {
    container: ContainerId,
    container_count: u32,
    objects: &'a ContainerObjects,
    tier2: &'a dyn Tier2,
    tier1: Tier1<'a>,
    layout: &'a ClusterLayout,
    depth: Depth,
    progress: &'a dyn Progress,
    read: ReadCounts,
    problems: Vec<Problem>,
    doubts: Vec<Problem>,
}

/// The newest state of both metadata tables.
#[derive(Default)]
struct Tables {
    rows: BTreeMap<String, SegmentInfo<'static>>,
    records: BTreeMap<String, SegmentMetadata>,
    chunks: HashMap<String, ChunkMetadata>,
}

impl ContainerCheck<'_> {
    /// None if there is no log to look at.
    fn run(&mut self) -> Result<Option<ContainerVerification>> {
        let Some((metadata, replay)) = self.replay()? else { return Ok(None) };
        let operations = replay.operations();
        let last_sequence_number = replay.last_sequence_number();
        let segments = match replay.finish() {
            Ok(segments) => segments,
            Err(error) => {
                self.problem("log", error.to_string());
                return Ok(None);
            }
        };
        if segments.keys().any(|&id| id > last_sequence_number) {
            self.problem("log", "a segment id is above the last sequence number".to_owned());
        }
        self.check_epoch(&metadata);
        self.check_old_metadata();
        let tables = self.tables(&segments);
        let mapped: HashMap<&str, &ReplayedSegment> =
            segments.values().map(|segment| (&*segment.name, segment)).collect();
        self.check_ownership(&tables);
        for row in tables.rows.values() {
            self.check_segment(row, &tables, mapped.get(&*row.name).copied())?;
        }
        Ok(Some(ContainerVerification {
            container: self.container,
            segments: tables.rows.len() as u64,
            data_bytes: tables.rows.values().map(|row| row.length - row.start_offset.min(row.length)).sum(),
            chunks: tables.chunks.len() as u64,
            operations,
            epoch: metadata.epoch,
            read: self.read,
        }))
    }

    fn problem(&mut self, subject: impl Into<String>, what: String) {
        self.problems.push(Problem { container: self.container, subject: subject.into(), what });
    }

    fn replay(&mut self) -> Result<Option<(LogMetadata, LogReplay)>> {
        let path = self.layout.log_znode(self.container);
        let Some(node) = self.tier1.znodes.get(&path)? else {
            self.problem(path, "the container has no log ZNode; the store would start it empty".to_owned());
            return Ok(None);
        };
        let metadata = match LogMetadata::decode(&node.data) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.problem(path, format!("the log ZNode cannot be read: {error}"));
                return Ok(None);
            }
        };
        if !metadata.enabled || metadata.ledgers.is_empty() {
            self.problem(path, "the log is disabled or has no ledger".to_owned());
            return Ok(None);
        }
        let mut replay = LogReplay::new(self.container);
        let mut failure = None;
        for ledger in &metadata.ledgers {
            self.tier1.ledgers.read(ledger.ledger_id, &mut |entry, frame| {
                let address = FrameAddress::new(ledger.sequence, u32::try_from(entry).unwrap_or(u32::MAX));
                if failure.is_none() {
                    failure = replay.frame(address, frame).err();
                }
                Ok(())
            })?;
        }
        if let Some(error @ ReplayError::OfStore { .. }) = failure {
            // What `dr` wrote is known to the byte; a store's log is for the store to judge.
            let what = format!("its log is not checked: {error}, which checks it when it starts");
            self.doubts.push(Problem { container: self.container, subject: path, what });
            return Ok(None);
        }
        if let Some(error) = failure {
            self.problem(path, format!("the store would stop at its log: {error}"));
            return Ok(None);
        }
        Ok(Some((metadata, replay)))
    }

    fn check_epoch(&mut self, metadata: &LogMetadata) {
        let highest = self.objects.highest_epoch();
        if metadata.epoch <= highest {
            self.problem("log", format!("its epoch {} is not above the epoch {highest} of an object", metadata.epoch));
        }
    }

    fn check_old_metadata(&mut self) {
        let objects = self.objects.metadata_objects(self.container);
        if let Some((key, _)) = objects.first() {
            let what = format!("{} objects of old metadata are in place; the store would adopt them", objects.len());
            self.problem(*key, what);
        }
    }

    fn tables(&mut self, segments: &BTreeMap<i64, ReplayedSegment>) -> Tables {
        let mut tables = Tables::default();
        let by_name = |name: &str| segments.values().find(|segment| segment.name == name);
        let metadata_name = container_metadata_segment(self.container);
        match by_name(&metadata_name) {
            None => self.problem(metadata_name, "the log does not map it".to_owned()),
            Some(segment) => self.each_entry(segment, |check, name, value| match SegmentInfo::decode(value) {
                Ok(row) if row.name == name => {
                    tables.rows.insert(name.to_owned(), row.into_owned());
                }
                Ok(row) => check.problem(name, format!("its row is one of `{}`", row.name)),
                Err(error) => check.problem(name, format!("its row cannot be read: {error}")),
            }),
        }
        let storage_name = storage_metadata_segment(self.container);
        match by_name(&storage_name) {
            None => self.problem(storage_name, "the log does not map it".to_owned()),
            Some(segment) => self.each_entry(segment, |check, name, value| {
                match TransactionData::decode(value).map(|data| data.value) {
                    Ok(Some(StorageMetadata::Segment(record))) => {
                        tables.records.insert(name.to_owned(), record);
                    }
                    Ok(Some(StorageMetadata::Chunk(record))) => {
                        tables.chunks.insert(name.to_owned(), record);
                    }
                    Ok(_) => {}
                    Err(error) => check.problem(name, format!("its storage record cannot be read: {error}")),
                }
            }),
        }
        tables
    }

    /// Visits the entries of a metadata table in the log, checking that its index names each of them.
    fn each_entry(&mut self, table: &ReplayedSegment, mut visit: impl FnMut(&mut Self, &str, &[u8])) {
        let mut count = 0;
        let mut entries = TableEntries::new(&table.appended, table.storage_length);
        for entry in entries.by_ref() {
            let Ok(entry) = entry else { break };
            count += 1;
            let indexed = table.extended.get(&AttributeId::Uuid(table_key_hash(entry.key))).copied().flatten();
            match (std::str::from_utf8(entry.key), entry.value) {
                (Ok(name), Some(value)) => {
                    if indexed != i64::try_from(entry.offset).ok() {
                        self.problem(name, format!("the index of `{}` does not name its entry", table.name));
                    }
                    visit(self, name, value);
                }
                _ => self.problem(table.name.clone(), format!("the entry at {} is none that dr writes", entry.offset)),
            }
        }
        if entries.end() != table.length {
            self.problem(
                table.name.clone(),
                format!("its entries end at {}, its bytes at {}", entries.end(), table.length),
            );
        }
        let expected =
            [(INDEX_OFFSET, table.length), (ENTRY_COUNT, count), (BUCKET_COUNT, count), (TOTAL_ENTRY_COUNT, count)];
        for (CoreAttribute(id), value) in expected {
            if table.core.get(&id).copied() != i64::try_from(value).ok() {
                let found = table.core.get(&id);
                self.problem(table.name.clone(), format!("its attribute {id:#x} is {found:?}, not {value}"));
            }
        }
    }

    /// Every record belongs to a segment, every chunk to one record, and every segment to this container.
    fn check_ownership(&mut self, tables: &Tables) {
        for name in tables.rows.keys() {
            let owner = owning_container(name, self.container_count);
            if owner != self.container {
                self.problem(name, format!("it belongs into container {owner}"));
            }
        }
        let mut owners: HashMap<&str, &str> = HashMap::new();
        for (name, record) in &tables.records {
            if !tables.rows.contains_key(main_segment_of(name).unwrap_or(name)) {
                self.problem(name, "it has a storage record, but no segment of that name has a row".to_owned());
            }
            let mut next = record.first_chunk.as_str();
            let mut seen = HashSet::new();
            while let Some(chunk) = tables.chunks.get(next).filter(|_| seen.insert(next)) {
                if let Some(other) = owners.insert(next, name).filter(|other| other != name) {
                    self.problem(name, format!("its chunk `{next}` belongs to `{other}`, too"));
                }
                next = &chunk.next_chunk;
            }
        }
        let mut ownerless: Vec<&String> =
            tables.chunks.keys().filter(|key| !owners.contains_key(key.as_str())).collect();
        ownerless.sort_unstable();
        for key in ownerless {
            self.problem(key, "its chunk record belongs to no segment".to_owned());
        }
    }

    fn check_segment(
        &mut self,
        row: &SegmentInfo<'_>,
        tables: &Tables,
        mapped: Option<&ReplayedSegment>,
    ) -> Result<()> {
        let name = &*row.name;
        let chain = match tables.records.get(name) {
            None if row.length == 0 => Chain::default(),
            None => {
                self.problem(name, format!("its row has the length {}, the storage has no record", row.length));
                return Ok(());
            }
            Some(record) => match self.check_record(record, tables, Some(row)) {
                Some(chain) => chain,
                None => return Ok(()),
            },
        };
        if let Some(mapped) = mapped {
            self.check_mapping(row, mapped);
        }
        let attributes_name = attribute_segment_of(name);
        let index_record = tables.records.get(&attributes_name);
        let index_chain = index_record.map(|record| self.check_record(record, tables, None));
        if index_chain == Some(None) {
            return Ok(());
        }
        let index_chain = index_chain.flatten();
        if chain.end() == row.length && self.depth.includes(name) {
            self.read.segments += 1;
            self.check_content(row, &chain, index_chain.as_ref(), mapped)?;
        }
        Ok(())
    }

    fn check_mapping(&mut self, row: &SegmentInfo<'_>, mapped: &ReplayedSegment) {
        if (mapped.storage_length, mapped.start_offset, mapped.sealed) != (row.length, row.start_offset, row.sealed) {
            self.problem(&*row.name, "the log maps it with another length, start or seal than its row".to_owned());
        }
        // What the log appends may change attributes with it.
        let unchanged = row.attributes.core().filter(|_| mapped.appended.is_empty());
        for (CoreAttribute(id), value) in unchanged {
            if mapped.core.get(&id) != Some(&value) {
                let found = mapped.core.get(&id);
                self.problem(
                    &*row.name,
                    format!("the log maps its attribute {id:#x} as {found:?}, its row as {value}"),
                );
            }
        }
    }

    /// Checks a storage record against its chunk records, the objects and the row; returns its chain if it can be read.
    fn check_record(
        &mut self,
        record: &SegmentMetadata,
        tables: &Tables,
        row: Option<&SegmentInfo<'_>>,
    ) -> Option<Chain> {
        let name = record.name.as_str();
        if let Err(broken) = record.check_invariants() {
            self.problem(name, format!("its storage record contradicts itself: {broken}"));
        }
        if let Some(row) = row
            && (row.length, row.start_offset, row.sealed) != (record.length, record.start_offset, record.is_sealed())
        {
            self.problem(
                name,
                format!(
                    "row and storage record differ: length {} and {}, start {} and {}, sealed {} and {}",
                    row.length,
                    record.length,
                    row.start_offset,
                    record.start_offset,
                    row.sealed,
                    record.is_sealed()
                ),
            );
        }
        let problems_before = self.problems.len();
        let mut chain = Chain { first_start: record.first_chunk_start_offset, parts: Vec::new() };
        let mut next = record.first_chunk.as_str();
        while !next.is_empty() && chain.parts.len() < record.chunk_count as usize {
            let Some(chunk) = tables.chunks.get(next) else {
                self.problem(name, format!("its chunk `{next}` has no record"));
                break;
            };
            match self.objects.chunk_size(next) {
                Some(size) if size >= chunk.length => {}
                Some(size) => {
                    self.problem(name, format!("its object `{next}` has {size} bytes, {} are needed", chunk.length))
                }
                None => self.problem(name, format!("its object `{next}` is missing")),
            }
            chain.parts.push(ChunkPart { key: next.into(), length: chunk.length });
            next = &chunk.next_chunk;
        }
        if chain.end() != record.length || chain.parts.len() != record.chunk_count as usize || !next.is_empty() {
            self.problem(name, format!("its chunks end at {}, its record at {}", chain.end(), record.length));
        }
        (self.problems.len() == problems_before).then_some(chain)
    }

    /// Reads the attribute index to its leaves, and the bytes: those of tables, and all where data are read.
    fn check_content(
        &mut self,
        row: &SegmentInfo<'_>,
        chain: &Chain,
        index_chain: Option<&Chain>,
        mapped: Option<&ReplayedSegment>,
    ) -> Result<()> {
        let values = match index_chain {
            None => IndexValues::new(),
            Some(chain) => match read_index_values(chain, key_format(&row.attributes), true, self.tier2)? {
                Some(values) => values,
                None => {
                    let what = "its attribute index does not end with a footer whose pages can all be read".to_owned();
                    self.problem(&*row.name, what);
                    return Ok(());
                }
            },
        };
        self.read.attributes += values.len() as u64;
        if SegmentType(row.attributes.get(SEGMENT_TYPE).unwrap_or(0)).is(SegmentType::TABLE) {
            return self.check_table(row, chain, values, mapped);
        }
        if self.depth.read_data { self.read_data(row, chain) } else { Ok(()) }
    }

    fn read_data(&mut self, row: &SegmentInfo<'_>, chain: &Chain) -> Result<()> {
        match data::read(chain, row.start_offset, self.tier2, self.progress) {
            Ok(content) => {
                self.read.bytes += content.bytes;
                self.read.events += content.events;
                if let Some(offset) = content.stops_at {
                    let what = format!(
                        "behind {} events, at {offset}, its bytes are no whole event: damage, or it is a byte stream",
                        content.events
                    );
                    self.doubts.push(Problem { container: self.container, subject: row.name.to_string(), what });
                }
                Ok(())
            }
            // What cannot be read of one segment says nothing of the others.
            Err(error)
                if error.code == "object-shorter" || error.code == "object-missing" || error.code == "tier2-io" =>
            {
                self.problem(&*row.name, format!("it cannot be read: {error}"));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Checks that bytes, index and counts of a table agree, with what the log adds to the index.
    fn check_table(
        &mut self,
        row: &SegmentInfo<'_>,
        chain: &Chain,
        values: IndexValues,
        mapped: Option<&ReplayedSegment>,
    ) -> Result<()> {
        let is_fixed = SegmentType(row.attributes.get(SEGMENT_TYPE).unwrap_or(0)).is(SegmentType::FIXED_KEY_TABLE);
        let values = with_updates(values, mapped);
        let mut hash_table = HashTableIndex::default();
        let mut fixed_table = FixedKeyTableIndex::new(row.length);
        let scan = scan_table(chain, row.start_offset, row.length, self.tier2, &mut |entry| {
            if is_fixed { fixed_table.see(entry) } else { hash_table.see(entry) }
        })?;
        self.read.entries += scan.entries;
        if self.depth.read_data {
            self.progress.advanced(row.length - row.start_offset.min(row.length));
        }
        if scan.damage.is_some() || scan.whole_end != row.length {
            self.problem(&*row.name, format!("its entries end at {}, its bytes at {}", scan.whole_end, row.length));
            return Ok(());
        }
        if !is_fixed {
            self.check_counts(&row.name, &hash_table, (row.length, scan.entries), |id| row.attributes.get(id));
        }
        if let Some(mapped) = mapped.filter(|mapped| !is_fixed && !mapped.appended.is_empty()) {
            let mut entries = TableEntries::new(&mapped.appended, row.length);
            let appended = entries.by_ref().flatten().inspect(|entry| hash_table.see(entry)).count() as u64;
            if entries.end() != mapped.length {
                let what = format!("the entries in the log end at {}, its bytes at {}", entries.end(), mapped.length);
                self.problem(&*row.name, what);
            }
            let counts = (mapped.length, scan.entries + appended);
            self.check_counts(&row.name, &hash_table, counts, |id| mapped.core.get(&id.0).copied());
        }
        // An entry that the index of a fixed-key table does not name was removed; only wrong names can be found here.
        let covered = i64::try_from(row.length).unwrap_or(i64::MAX);
        let missing = if is_fixed { fixed_table.updates(&values, covered) } else { hash_table.updates(&values) };
        if !missing.is_empty() {
            self.problem(&*row.name, format!("{} entries of its index do not match its bytes", missing.len()));
        }
        Ok(())
    }

    /// Checks the counts of a hash table.
    fn check_counts(
        &mut self,
        name: &str,
        table: &HashTableIndex,
        (end, entries): (u64, u64),
        found: impl Fn(CoreAttribute) -> Option<i64>,
    ) {
        let live = table.live_keys();
        let expected = [(INDEX_OFFSET, end), (ENTRY_COUNT, live), (BUCKET_COUNT, live), (TOTAL_ENTRY_COUNT, entries)];
        for (attribute, value) in expected {
            let found = found(attribute);
            if found != i64::try_from(value).ok() {
                self.problem(name, format!("its attribute {:#x} is {found:?}, not {value}", attribute.0));
            }
        }
    }
}

/// An index with what the log sets and deletes.
fn with_updates(mut values: IndexValues, mapped: Option<&ReplayedSegment>) -> IndexValues {
    for (id, value) in mapped.iter().flat_map(|mapped| &mapped.extended) {
        match value {
            Some(value) => {
                values.insert(id.clone(), *value);
            }
            None => {
                values.remove(id);
            }
        }
    }
    values
}

/// The error for a recovery that was applied but does not verify.
pub fn verification_failed(verification: &Verification) -> Option<OperatorError> {
    let first = verification.problems.first()?;
    Some(
        OperatorError::new(
            "verification-failed",
            format!(
                "{} problems were found, the first in container {}: `{}`",
                verification.problems.len(),
                first.container,
                first.subject
            ),
            "do not start the segment stores; keep the run directory and report this",
        )
        .because(&first.what),
    )
}

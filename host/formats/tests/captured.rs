//! Decodes every object of every captured Tier-2 below `tests/data`: journals replay to lengths that the objects have,
//! tables, rows and records parse, attribute indexes are read to the last key.

// The whole file is a test, but the lint exempts only functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dr_formats::attribute::{ATTRIBUTE_ID_LENGTH, INDEX_OFFSET, SEGMENT_TYPE, table_key_hash};
use dr_formats::attribute_index::{self as index, KeyFormat, SegmentSlice};
use dr_formats::controller::{
    ActiveTransaction, CommittingTransactions, CompletedTransaction, STATE_KEY, StreamConfiguration, StreamState,
    TransactionId, completed_transaction_of_key, decode_table_id,
};
use dr_formats::events::{EventWalker, payloads};
use dr_formats::journal::{
    EpochInfo, JournalBatches, JournalReplay, SnapshotInfo, SystemSegmentState, SystemSnapshot, replay_order,
};
use dr_formats::names::{
    ChunkName, ControllerTable, JournalKind, JournalName, ObjectName, SegmentKind, SystemSegment, SystemTable,
    attribute_segment_of, main_segment_of,
};
use dr_formats::reader_group::{Entry, ReaderGroupState};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{ChunkMetadata, SegmentMetadata, StorageMetadata, TransactionData};
use dr_formats::table::{TableEntries, newest};

type Counts = BTreeMap<&'static str, u64>;

/// The objects of one tree, and what the test counts in it.
struct Tree {
    root: PathBuf,
    objects: BTreeMap<String, u64>,
    counts: Counts,
    read_objects: BTreeSet<String>,
}

/// The bytes of a segment from its first chunk on.
struct Segment {
    name: String,
    first_offset: u64,
    start_offset: u64,
    bytes: Vec<u8>,
}

/// The newest state of the metadata tables of all containers.
#[derive(Default)]
struct Metadata {
    segments: BTreeMap<String, SegmentMetadata>,
    chunks: BTreeMap<String, ChunkMetadata>,
    rows: BTreeMap<String, SegmentInfo<'static>>,
}

#[test]
fn every_object_of_every_captured_tree_decodes() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let Ok(entries) = fs::read_dir(data) else { return };
    let mut totals = Counts::new();
    for entry in entries {
        let archive = entry.unwrap().path().join("tier2.tar.xz");
        if archive.exists() {
            let scratch = tempfile::tempdir().unwrap();
            unpack(&archive, scratch.path());
            let counts = check_tree(&root_of(scratch.path()).unwrap());
            println!("{}: {counts:#?}", archive.display());
            for (what, count) in counts {
                *totals.entry(what).or_default() += count;
            }
        }
    }
    let required = [
        "journal records",
        "rows",
        "segment records",
        "table entries",
        "index keys",
        "stream states",
        "reader group changes",
    ];
    for what in required.into_iter().filter(|_| !totals.is_empty()) {
        assert!(totals.get(what).is_some_and(|count| *count > 0), "no {what} in any tree");
    }
}

fn unpack(archive: &Path, target: &Path) {
    let status = Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(target).status().unwrap();
    assert!(status.success(), "{}", archive.display());
}

/// Archives may hold the tree itself or a folder with it.
fn root_of(folder: &Path) -> Option<PathBuf> {
    if folder.join("_system/containers").is_dir() {
        return Some(folder.to_owned());
    }
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .find_map(|path| root_of(&path))
}

fn check_tree(root: &Path) -> Counts {
    let mut tree =
        Tree { root: root.to_owned(), objects: BTreeMap::new(), counts: Counts::new(), read_objects: BTreeSet::new() };
    tree.list(root);
    let mut metadata = Metadata::default();
    for (container, journals) in tree.journals() {
        let states = tree.replay(container, &journals);
        tree.read_metadata_tables(&states, &mut metadata);
    }
    for record in metadata.segments.values() {
        tree.check_record(record, &metadata);
    }
    tree.check_leftovers(&metadata);
    tree.counts
}

impl Tree {
    fn count(&mut self, what: &'static str, number: usize) {
        *self.counts.entry(what).or_default() += number as u64;
    }

    fn list(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                self.list(&entry.path());
            } else {
                let key = entry.path().strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
                self.objects.insert(key, entry.metadata().unwrap().len());
            }
        }
    }

    fn read(&mut self, key: &str) -> Vec<u8> {
        self.read_objects.insert(key.to_owned());
        fs::read(self.root.join(key)).unwrap()
    }

    /// Journal objects by container. Also checks that every name has a meaning.
    fn journals(&mut self) -> BTreeMap<u32, Vec<JournalName>> {
        let mut journals: BTreeMap<u32, Vec<JournalName>> = BTreeMap::new();
        for key in self.objects.keys().cloned().collect::<Vec<_>>() {
            match ObjectName::parse(&key) {
                ObjectName::Journal(name) => journals.entry(name.container).or_default().push(name),
                ObjectName::JournalBackup(name) => self.check_backup(&key, name),
                ObjectName::SnapshotInfo { .. } => drop(SnapshotInfo::decode(&self.read(&key)).unwrap()),
                ObjectName::EpochFile { .. } => drop(EpochInfo::decode(&self.read(&key)).unwrap()),
                ObjectName::Chunk(_) => self.count("chunk objects", 1),
                other => panic!("{key}: {other:?}"),
            }
        }
        journals
    }

    fn check_backup(&mut self, key: &str, name: JournalName) {
        let bytes = self.read(key);
        self.count("journals set aside", 1);
        match name.kind {
            JournalKind::Snapshot => drop(SystemSnapshot::decode_file(&bytes).unwrap()),
            JournalKind::File => {
                let batches: Result<Vec<_>, _> = JournalBatches::new(&bytes).collect();
                self.count("journal records set aside", batches.unwrap().concat().len());
            }
        }
    }

    fn replay(&mut self, container: u32, journals: &[JournalName]) -> BTreeMap<SystemSegment, SystemSegmentState> {
        let mut replay = JournalReplay::new(container);
        let mut snapshots: Vec<_> = journals.iter().filter(|name| name.kind == JournalKind::Snapshot).collect();
        snapshots.sort();
        let mut start = None;
        for name in snapshots.into_iter().rev() {
            let Ok(snapshot) = SystemSnapshot::decode_file(&self.read(&name.to_string())) else {
                self.count("torn journal snapshots", 1);
                continue;
            };
            self.count("journal snapshots", 1);
            if start.is_none() {
                replay.restart_from(&snapshot).unwrap();
                start = Some((snapshot.epoch, snapshot.file_index));
            }
        }
        for name in replay_order(journals, None) {
            let bytes = self.read(&name.to_string());
            let mut batches = JournalBatches::new(&bytes);
            let records = batches.by_ref().collect::<Result<Vec<_>, _>>().unwrap().concat();
            self.count("journal records", records.len());
            self.count("torn journals", usize::from(batches.torn_at().is_some()));
            if start.is_none_or(|(epoch, file_index)| (name.epoch, name.index) > (epoch, u64::from(file_index))) {
                for record in &records {
                    replay.apply(record).unwrap();
                }
            }
        }
        // Servers before 0.13.0 record no appends to the system segments: their objects tell how long they are.
        replay.extend_last_chunks(|key| self.objects.get(key).copied());
        replay.finish().unwrap()
    }

    fn read_metadata_tables(&mut self, states: &BTreeMap<SystemSegment, SystemSegmentState>, metadata: &mut Metadata) {
        for (system, state) in states {
            let segment = self.read_system_segment(system, state);
            self.count("system segments", 1);
            if system.attributes {
                let main = SystemSegment { attributes: false, ..*system };
                let table = self.read_system_segment(&main, &states[&main]);
                let keys = self.check_index(&segment, KeyFormat::Uuid);
                self.compare_hash_index(&table, &keys);
                continue;
            }
            let entries: Result<Vec<_>, _> = self.table_entries(&segment).collect();
            let entries = entries.unwrap();
            self.count("table entries", entries.len());
            for entry in newest(entries).into_values() {
                let Some(value) = entry.value else { continue };
                match system.table {
                    SystemTable::ContainerMetadata => {
                        let row = SegmentInfo::decode(value).unwrap();
                        assert_eq!(row.name.as_bytes(), entry.key);
                        assert_eq!(row.encode().unwrap(), value);
                        metadata.rows.insert(row.name.to_string(), row.into_owned());
                        self.count("rows", 1);
                    }
                    SystemTable::StorageMetadata => self.add_record(entry.key, value, metadata),
                }
            }
        }
    }

    fn add_record(&mut self, key: &[u8], value: &[u8], metadata: &mut Metadata) {
        let data = TransactionData::decode(value).unwrap();
        assert_eq!(data.key.as_bytes(), key);
        assert_eq!(data.encode().unwrap(), value);
        match data.value {
            Some(StorageMetadata::Segment(record)) => {
                record.check_invariants().unwrap();
                metadata.segments.insert(data.key, record);
                self.count("segment records", 1);
            }
            Some(StorageMetadata::Chunk(record)) => {
                metadata.chunks.insert(data.key, record);
                self.count("chunk records", 1);
            }
            Some(StorageMetadata::ReadIndexBlock(_)) => self.count("read index blocks", 1),
            None => self.count("deleted records", 1),
        }
    }

    fn read_system_segment(&mut self, system: &SystemSegment, state: &SystemSegmentState) -> Segment {
        let first_offset = state.first_chunk_start_offset;
        let mut bytes = Vec::new();
        for (position, (chunk, length)) in state.chunks.iter().enumerate() {
            let object = self.objects[chunk];
            assert!(object >= *length, "{chunk}: {object} bytes, the journal says {length}");
            let is_last = position + 1 == state.chunks.len();
            self.count("system segments longer than their journal", usize::from(is_last && object > *length));
            bytes.extend(&self.read(chunk)[..*length as usize]);
        }
        assert_eq!(first_offset + bytes.len() as u64, state.length, "{system}");
        Segment { name: system.to_string(), first_offset, start_offset: state.start_offset, bytes }
    }

    fn table_entries<'a>(&self, segment: &'a Segment) -> TableEntries<'a> {
        let skipped = (segment.start_offset - segment.first_offset) as usize;
        TableEntries::new(&segment.bytes[skipped..], segment.start_offset)
    }

    /// Reads an index at its end or at its last footer; returns the stored ids.
    fn check_index(&mut self, segment: &Segment, keys: KeyFormat) -> BTreeMap<Vec<u8>, i64> {
        let mut ids = BTreeMap::new();
        let slice = SegmentSlice::new(segment.first_offset, &segment.bytes);
        if segment.bytes.is_empty() {
            return ids;
        }
        let found = index::find_last_footer(&slice, slice.range(), keys).unwrap();
        let footer = found.unwrap_or_else(|| panic!("{}: no footer in {} bytes", segment.name, segment.bytes.len()));
        match index::read_footer(&slice, slice.range(), keys) {
            Ok(at_end) => assert_eq!(at_end, footer),
            Err(_) => self.count("indexes with a torn end", 1),
        }
        let summary = index::visit_all(&slice, segment.first_offset, &footer, keys, |id, value| {
            assert!(ids.insert(id.to_vec(), value).is_none());
        });
        let summary = summary.unwrap_or_else(|error| panic!("{}: {error}", segment.name));
        assert_eq!(summary.minimum_offset, footer.minimum_offset);
        assert!(footer.minimum_offset >= segment.start_offset, "{}", segment.name);
        if let Some(statistics) = footer.statistics {
            assert_eq!((statistics.entry_count, statistics.page_count), (summary.entry_count, summary.page_count));
            self.count("index statistics", 1);
        }
        let length = keys.key_length() as u16;
        let inferred = index::infer_key_length(&slice, segment.first_offset..footer.end).unwrap();
        assert!(inferred.is_none_or(|inferred| inferred == length));
        self.count("indexes", 1);
        self.count("index pages", summary.page_count as usize);
        self.count("index keys", ids.len());
        ids
    }

    /// Every live key of the table whose bucket the index names lies where the index says.
    fn compare_hash_index(&mut self, table: &Segment, ids: &BTreeMap<Vec<u8>, i64>) {
        for entry in newest(self.table_entries(table).map(Result::unwrap)).into_values() {
            let known = ids.get(table_key_hash(entry.key).0.as_slice());
            if entry.value.is_some() && known == Some(&(entry.offset as i64)) {
                self.count("keys found through a hash index", 1);
            } else if entry.value.is_some() {
                self.count("keys whose hash index lags", 1);
            }
        }
    }

    fn check_record(&mut self, record: &SegmentMetadata, metadata: &Metadata) {
        let Some(segment) = self.read_chain(record, metadata).filter(|_| record.is_active()) else {
            return self.count("segments deleted or without all chunks", 1);
        };
        let main = main_segment_of(&record.name);
        let row = metadata.rows.get(main.unwrap_or(&record.name));
        let id_length = row.and_then(|row| row.attributes.get(ATTRIBUTE_ID_LENGTH));
        let Some(keys) = KeyFormat::of_id_length(id_length) else { panic!("{}: id length {id_length:?}", record.name) };
        let is_table = row.is_some_and(|row| row.attributes.get(INDEX_OFFSET).is_some());
        match main {
            Some(_) => drop(self.check_index(&segment, keys)),
            None if is_table => self.check_table(&segment, keys, metadata),
            None => self.check_content(&segment),
        }
        let kind = SegmentKind::of(&record.name);
        self.count(kind.as_str(), 1);
        let type_says_table = row.and_then(|row| row.attributes.get(SEGMENT_TYPE)).is_some_and(|bits| bits & 1 == 1);
        assert!(row.is_none() || type_says_table == is_table, "{}", record.name);
        let kind_says_table = matches!(kind, SegmentKind::ControllerTable | SegmentKind::KeyValueTable);
        assert!(!kind_says_table || is_table || row.is_none(), "{}", record.name);
    }

    /// The bytes of the chain, cut at the record's length; none if a chunk is gone or shorter than recorded.
    fn read_chain(&mut self, record: &SegmentMetadata, metadata: &Metadata) -> Option<Segment> {
        let mut bytes = Vec::new();
        let mut name = record.first_chunk.as_str();
        while !name.is_empty() {
            let chunk = metadata.chunks.get(name)?;
            let object = *self.objects.get(name)?;
            self.count("chunks as recorded", usize::from(object == chunk.length));
            self.count("chunks longer than recorded", usize::from(object > chunk.length));
            bytes.extend(self.read(name).get(..usize::try_from(chunk.length).unwrap())?);
            name = &chunk.next_chunk;
        }
        let missing = (record.length - record.first_chunk_start_offset).checked_sub(bytes.len() as u64).unwrap();
        if missing > 0 {
            // Servers before 0.13.0 write the record of the last chunk later than that of its segment.
            let recorded = metadata.chunks.get(&record.last_chunk)?.length;
            bytes.extend(self.read(&record.last_chunk).get(usize::try_from(recorded).unwrap()..)?);
            self.count("last chunks behind the record of their segment", 1);
        }
        let end = usize::try_from(record.length - record.first_chunk_start_offset).unwrap();
        assert!(bytes.len() >= end, "{}: {} bytes, {end} recorded", record.name, bytes.len());
        bytes.truncate(end);
        let (first_offset, start_offset) = (record.first_chunk_start_offset, record.start_offset);
        Some(Segment { name: record.name.clone(), first_offset, start_offset, bytes })
    }

    fn check_table(&mut self, segment: &Segment, keys: KeyFormat, metadata: &Metadata) {
        let mut entries = self.table_entries(segment);
        let all: Result<Vec<_>, _> = entries.by_ref().collect();
        let all = all.unwrap_or_else(|error| panic!("{}: {error}", segment.name));
        self.count("torn tables", usize::from(entries.torn_bytes() > 0));
        self.count("table entries", all.len());
        let index = metadata.segments.get(&attribute_segment_of(&segment.name)).filter(|record| record.is_active());
        let index = index.and_then(|record| self.read_chain(record, metadata));
        if let (Some(index), KeyFormat::Uuid) = (&index, keys) {
            let ids = self.check_index(index, keys);
            self.compare_hash_index(segment, &ids);
        }
        if let Some(table) = ControllerTable::parse(&segment.name) {
            for entry in newest(all).into_values() {
                if let (Ok(key), Some(value)) = (std::str::from_utf8(entry.key), entry.value) {
                    self.check_controller_row(&table, key, value);
                }
            }
        }
    }

    fn check_controller_row(&mut self, table: &ControllerTable<'_>, key: &str, value: &[u8]) {
        match *table {
            ControllerTable::Scope { name: "streamsInScope" | "kvTablesInScope", .. } => {
                decode_table_id(value).unwrap();
                self.count("stream ids", 1);
            }
            ControllerTable::Stream { name: "metadata", .. } if key == STATE_KEY => {
                StreamState::decode(value).unwrap();
                self.count("stream states", 1);
            }
            // Key-value tables have a configuration of another form.
            ControllerTable::Stream { name: "metadata", scope, stream, .. } if key == "configuration" => {
                if let Ok(configuration) = StreamConfiguration::decode(value) {
                    assert_eq!((configuration.scope.as_str(), configuration.stream.as_str()), (scope, stream));
                    assert_eq!(configuration.encode().unwrap(), value);
                    self.count("stream configurations", 1);
                    self.count("retention policies", usize::from(configuration.retention.is_some()));
                } else {
                    self.count("configurations of another form", 1);
                }
            }
            ControllerTable::Stream { name: "metadata", .. } if key == "committingTxns" => {
                assert_eq!(CommittingTransactions::decode(value).unwrap().encode().unwrap(), value);
                self.count("commit records", 1);
            }
            ControllerTable::Stream { name, .. } if name.starts_with("transactionsInEpoch-") => {
                TransactionId::parse(key).unwrap();
                ActiveTransaction::decode(value).unwrap();
                self.count("active transactions", 1);
            }
            ControllerTable::Cluster { name } if name.starts_with("completedTransactionsBatch-") => {
                completed_transaction_of_key(key).unwrap();
                CompletedTransaction::decode(value).unwrap();
                self.count("completed transactions", 1);
            }
            _ => self.count("other controller rows", 1),
        }
    }

    fn check_content(&mut self, segment: &Segment) {
        let skipped = (segment.start_offset - segment.first_offset) as usize;
        if SegmentKind::of(&segment.name) == SegmentKind::ReaderGroup {
            self.check_reader_group(&segment.name, &segment.bytes[skipped..]);
        }
        let mut walker = EventWalker::new(segment.start_offset);
        segment.bytes[skipped..].chunks(1000).for_each(|bytes| walker.push(bytes));
        self.count("events", walker.whole_events() as usize);
        self.count("segments of events", usize::from(walker.whole_events() > 0 && walker.stopped_at().is_none()));
        self.count("segments of raw bytes", usize::from(walker.stopped_at() == Some(segment.start_offset)));
        self.count("segments with a torn event", usize::from(walker.torn_bytes() > 0));
    }

    /// Every event decodes, fits the state before it, and the state can be written and read again.
    fn check_reader_group(&mut self, name: &str, bytes: &[u8]) {
        let mut state = ReaderGroupState::default();
        for payload in payloads(bytes) {
            match Entry::decode(payload).unwrap() {
                Entry::State(whole) => state = *whole,
                Entry::Changes(changes) => {
                    for change in changes {
                        let described = format!("{change:?}");
                        assert_eq!(state.apply(change), Ok(()), "{name}: {described}");
                        self.count("reader group changes", 1);
                    }
                }
            }
            self.count("reader group events", 1);
            assert_eq!(Entry::decode(&state.encode().unwrap()), Ok(Entry::State(Box::new(state.clone()))), "{name}");
        }
    }

    /// Objects that no chain named, each as a segment of its own.
    fn check_leftovers(&mut self, metadata: &Metadata) {
        let keys: Vec<_> = self.objects.keys().filter(|key| !self.read_objects.contains(*key)).cloned().collect();
        for key in keys {
            let bytes = self.read(&key);
            let ObjectName::Chunk(ChunkName { segment, offset, .. }) = ObjectName::parse(&key) else { panic!("{key}") };
            self.count("objects outside of every chain", 1);
            let main = main_segment_of(segment);
            let is_table = |name: &str| {
                SystemSegment::parse(name).is_some()
                    || matches!(SegmentKind::of(name), SegmentKind::ControllerTable | SegmentKind::KeyValueTable)
            };
            let part = Segment { name: key.clone(), first_offset: offset, start_offset: offset, bytes };
            if main.is_none() && is_table(segment) && offset == 0 {
                let entries: Result<Vec<_>, _> = self.table_entries(&part).collect();
                self.count("table entries outside of every chain", entries.unwrap().len());
            } else if let Some(main) = main.filter(|_| offset == 0) {
                let row = metadata.rows.get(main).and_then(|row| row.attributes.get(ATTRIBUTE_ID_LENGTH));
                let keys = KeyFormat::of_id_length(row).unwrap();
                let slice = SegmentSlice::new(0, &part.bytes);
                let has_footer = index::find_last_footer(&slice, slice.range(), keys).unwrap().is_some();
                if has_footer && SegmentKind::of(main) != SegmentKind::KeyValueTable {
                    self.check_index(&part, keys);
                }
            }
        }
    }
}

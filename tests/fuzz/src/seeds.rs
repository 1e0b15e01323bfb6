//! Well-formed inputs: what the captured trees hold.

use std::collections::{BTreeMap, BTreeSet};

use dr_formats::events::payloads;
use dr_formats::names::{
    CONTROLLER_TABLES_PREFIX, ChunkName, JournalKind, ObjectName, SegmentKind, SystemSegment, SystemTable,
};
use dr_formats::table::TableEntries;
use dr_tests::captured;

/// The captures that are used: flushed and crashed, of both releases.
const CAPTURES: [&str; 5] = ["flushed", "flushed-0.12.0", "epochs", "crashed", "stale-rows"];
/// Most inputs of one kind. Many alike find no more than some.
const MAX_OF_KIND: usize = 300;
/// Longest piece of a table or a stream, in bytes.
const PIECE_LENGTH: usize = 2048;
/// Longest attribute index: pages are up to 32 KiB.
const INDEX_LENGTH: usize = 40 << 10;

/// Key and value of a row.
pub type Row = (Vec<u8>, Vec<u8>);

/// Parts of the captured trees, by kind. Lists are sorted and hold nothing twice.
#[derive(Debug, Default)]
pub struct Captured {
    /// Keys of objects and names of their segments.
    pub names: Vec<Vec<u8>>,
    /// Journal files.
    pub journal_files: Vec<Vec<u8>>,
    /// The beginnings of whole journals: the files of one container in their order.
    pub journals: Vec<Vec<u8>>,
    /// Journal snapshots.
    pub journal_snapshots: Vec<Vec<u8>>,
    /// Pieces of table segments that begin with an entry.
    pub tables: Vec<Vec<u8>>,
    /// Whole attribute indexes.
    pub indexes: Vec<Vec<u8>>,
    /// Pieces of segments of streams that begin with an event.
    pub events: Vec<Vec<u8>>,
    /// Events of the states of reader groups.
    pub reader_groups: Vec<Vec<u8>>,
    /// Values of the tables `metadata_N`.
    pub segment_rows: Vec<Vec<u8>>,
    /// Values of the tables `storage_metadata_N`.
    pub storage_rows: Vec<Vec<u8>>,
    /// Rows of the controller's tables by the name of the table (`metadata`: by the key of the row).
    pub controller_rows: BTreeMap<String, Vec<Row>>,
}

impl Captured {
    /// Unpacks the captures.
    ///
    /// # Panics
    /// If one cannot be unpacked.
    pub fn load() -> Self {
        let mut loaded = Self::default();
        for name in CAPTURES {
            let tree = captured::unpack(name);
            let objects = captured::content(&tree.root);
            loaded.journals.extend(journals(&objects));
            for (key, content) in objects {
                loaded.object(&key, content);
            }
        }
        let kinds = [
            &mut loaded.names,
            &mut loaded.journal_files,
            &mut loaded.journal_snapshots,
            &mut loaded.tables,
            &mut loaded.indexes,
            &mut loaded.events,
            &mut loaded.reader_groups,
            &mut loaded.segment_rows,
            &mut loaded.storage_rows,
        ];
        kinds.into_iter().for_each(thin_out);
        loaded.controller_rows.values_mut().for_each(thin_out);
        loaded
    }

    /// Values of a kind of row of the controller.
    pub fn controller_values(&self, kind: &str) -> Vec<Vec<u8>> {
        self.controller_rows.get(kind).into_iter().flatten().map(|(_, value)| value.clone()).collect()
    }

    fn object(&mut self, key: &str, content: Vec<u8>) {
        self.names.push(key.into());
        match ObjectName::parse(key) {
            ObjectName::Journal(name) => match name.kind {
                JournalKind::File => self.journal_files.push(content),
                JournalKind::Snapshot => self.journal_snapshots.push(content),
            },
            ObjectName::Chunk(chunk) => self.chunk(chunk, content),
            _ => {}
        }
    }

    fn chunk(&mut self, chunk: ChunkName<'_>, content: Vec<u8>) {
        let segment = chunk.segment;
        self.names.push(segment.into());
        if segment.ends_with(dr_formats::names::ATTRIBUTE_SUFFIX) {
            // One that begins at 0 and is whole can be read alone.
            if chunk.offset == 0 && content.len() <= INDEX_LENGTH {
                self.indexes.push(content);
            }
            return;
        }
        match (SystemSegment::parse(segment), SegmentKind::of(segment)) {
            (Some(system), _) => self.rows(&content, |captured, _, value| match system.table {
                SystemTable::ContainerMetadata => captured.segment_rows.push(value.to_vec()),
                SystemTable::StorageMetadata => captured.storage_rows.push(value.to_vec()),
            }),
            (_, SegmentKind::ControllerTable) => {
                let table = segment.strip_prefix(CONTROLLER_TABLES_PREFIX).unwrap_or(segment);
                let table = table.rsplit('/').next().unwrap_or(table);
                let table = table.split(".#.").next().unwrap_or(table).trim_end_matches(|c: char| c.is_ascii_digit());
                self.rows(&content, |captured, key, value| {
                    let kind =
                        if table == "metadata" { String::from_utf8_lossy(key).into_owned() } else { table.into() };
                    captured.controller_rows.entry(kind).or_default().push((key.to_vec(), value.to_vec()));
                });
            }
            (_, SegmentKind::KeyValueTable) => self.rows(&content, |_, _, _| {}),
            (_, SegmentKind::Stream | SegmentKind::Transaction) => self.events.push(beginning(content)),
            (_, SegmentKind::ReaderGroup) => self.reader_groups.extend(payloads(&content).map(<[u8]>::to_vec)),
            _ => {}
        }
    }

    fn rows(&mut self, content: &[u8], mut keep: impl FnMut(&mut Self, &[u8], &[u8])) {
        let mut piece_start = 0;
        for entry in TableEntries::new(content, 0).map_while(Result::ok) {
            keep(self, entry.key, entry.value.unwrap_or_default());
            let end = usize::try_from(entry.end()).unwrap_or(usize::MAX);
            if end - piece_start >= PIECE_LENGTH / 2 {
                self.tables.extend(content.get(piece_start..end).map(<[u8]>::to_vec));
                piece_start = end;
            }
        }
        self.tables.extend(content.get(piece_start..).map(|rest| beginning(rest.to_vec())));
    }
}

fn journals(objects: &BTreeMap<String, Vec<u8>>) -> Vec<Vec<u8>> {
    let mut files = BTreeMap::new();
    for (key, content) in objects {
        if let ObjectName::Journal(name) = ObjectName::parse(key)
            && name.kind == JournalKind::File
        {
            files.insert(name, content);
        }
    }
    let mut journals: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for (name, content) in files {
        journals.entry(name.container).or_default().extend_from_slice(content);
    }
    journals.into_values().map(beginning).collect()
}

fn beginning(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(PIECE_LENGTH);
    bytes
}

/// Leaves some of all sizes.
fn thin_out<T: Ord + HasLength>(all: &mut Vec<T>) {
    let set: BTreeSet<T> = all.drain(..).filter(|one| !one.is_empty()).collect();
    let mut sorted: Vec<T> = set.into_iter().collect();
    sorted.sort_by_key(HasLength::length);
    let step = sorted.len().div_ceil(MAX_OF_KIND).max(1);
    all.extend(sorted.into_iter().step_by(step));
}

trait HasLength {
    fn length(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.length() == 0
    }
}

impl HasLength for Vec<u8> {
    fn length(&self) -> usize {
        self.len()
    }
}

impl HasLength for Row {
    fn length(&self) -> usize {
        self.0.len() + self.1.len()
    }
}

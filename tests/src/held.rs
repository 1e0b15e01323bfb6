//! What Tier-2 holds of a load, counted from its objects without any metadata.
// Part of tests: a panic is the way to fail.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const EVENT_HEADER: usize = 8;
const ENTRY_HEADER: usize = 17;
/// Keys of the load's table from here on are removed now and then, which leaves no bytes; the checker bounds them by flushes.
const FIRST_REMOVED_KEY: u32 = 40;

/// An event or a value of the load: `scope/stream|key|number|`, then filler.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Written {
    key: String,
    number: u32,
}

impl Written {
    fn parse(content: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&content[..content.len().min(200)]).into_owned();
        let parts: Vec<&str> = text.splitn(4, '|').collect();
        Self { key: parts[1].to_owned(), number: parts[2].parse().unwrap() }
    }
}

/// Chunk objects of each segment below a directory, by offset, as `(offset, epoch, path)`. Only names are asked.
fn chunks(directory: &Path) -> BTreeMap<String, Vec<(u64, u64, PathBuf)>> {
    let mut segments: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (segment, rest) = name.rsplit_once(".E-").unwrap();
        let (epoch, rest) = rest.split_once("-O-").unwrap();
        let offset = rest.split('.').next().unwrap();
        if !segment.ends_with("$attributes.index") {
            let chunk = (offset.parse().unwrap(), epoch.parse().unwrap(), path.clone());
            segments.entry(segment.to_owned()).or_default().push(chunk);
        }
    }
    segments.values_mut().for_each(|chunks| chunks.sort());
    segments
}

/// The bytes of a segment from its first object on: its objects one behind the other, each where its name says.
fn bytes(chunks: &[(u64, u64, PathBuf)]) -> Vec<u8> {
    let mut all = Vec::new();
    let first = chunks.first().map_or(0, |(offset, ..)| *offset);
    for (offset, _, path) in chunks {
        let content = std::fs::read(path).unwrap();
        let at = usize::try_from(*offset - first).unwrap();
        assert!(at <= all.len(), "{} does not continue its segment", path.display());
        if at + content.len() > all.len() {
            all.truncate(at);
            all.extend(content);
        }
    }
    all
}

/// All whole events, in order.
fn events(mut bytes: &[u8]) -> Vec<Written> {
    let mut events = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<EVENT_HEADER>() {
        let (kind, length) = header.split_at(4);
        assert_eq!(kind, [0; 4], "an event begins with {header:?}");
        let length = usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
        let Some(content) = rest.get(..length) else { break };
        events.push(Written::parse(content));
        bytes = &rest[length..];
    }
    events
}

/// Content from its first event on. If the first objects were truncated away it begins inside of an event.
fn from_first_event<'a>(content: &'a [u8], begin: &[u8]) -> &'a [u8] {
    if content.get(EVENT_HEADER..).is_some_and(|rest| rest.starts_with(begin)) {
        return content;
    }
    let at = content.windows(begin.len()).position(|window| window == begin);
    at.map_or(&[], |at| &content[at - EVENT_HEADER..])
}

/// All whole table entries that are no removals, in order: key and value.
fn entries(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut entries = Vec::new();
    while bytes.len() >= ENTRY_HEADER {
        let length = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let (key, value) = (usize::try_from(length(1)).unwrap(), usize::try_from(length(5)).unwrap_or(0));
        let Some(content) = bytes.get(ENTRY_HEADER..ENTRY_HEADER + key + value) else { break };
        if length(5) >= 0 {
            entries.push(content.split_at(key));
        }
        bytes = &bytes[ENTRY_HEADER + key + value..];
    }
    entries
}

/// What Tier-2 holds of a load, by its objects alone.
#[derive(Debug, Default)]
pub struct Held {
    /// Lines for the checker.
    pub expected: String,
    /// Path and key to how many events are there.
    pub events: BTreeMap<(String, String), u64>,
    /// Of these, events in segments of which the controller's table in Tier-2 does not know yet.
    pub unknown_to_controller: u64,
    /// Keys of which events are missing before others that are there, as a scaling leaves them whose old segments the store had not written to
    /// their end.
    pub broken_keys: u64,
    /// Keys of the table.
    pub keys: u64,
    /// Events of transactions that were merged.
    pub transaction_events: u64,
}

impl Held {
    /// Counts the load of this name.
    ///
    /// # Panics
    /// If an object is torn in the middle or cannot be read.
    pub fn count(root: &Path, run: &str) -> Self {
        let mut held = Self::default();
        held.count_stream(root, &format!("fixed-{run}"));
        assert_eq!(held.broken_keys, 0, "events are missing before others of the same segment");
        held.count_stream(root, &format!("scaled-{run}"));
        held.count_truncated(root, &format!("truncated-{run}"));
        held.count_bytes(root, &format!("bytes-{run}"));
        held.count_table(&root.join(format!("load/table-{run}_kvtable")));
        held.count_transactions(&root.join(format!("load/transactions-{run}")));
        held
    }

    fn count_stream(&mut self, root: &Path, stream: &str) {
        let known_epoch = current_epoch(&root.join("_system/_tables/load").join(stream));
        let epoch_and_number = |segment: &String| {
            let (number, epoch) = segment.split_once(".#epoch.").unwrap();
            (epoch.parse::<u32>().unwrap(), number.parse::<u32>().unwrap())
        };
        let mut segments: Vec<_> = chunks(&root.join("load").join(stream)).into_iter().collect();
        segments.sort_by_key(|(segment, _)| epoch_and_number(segment));
        let path = format!("load/{stream}");
        let mut last: BTreeMap<String, u32> = BTreeMap::new();
        let mut broken = BTreeSet::new();
        for (segment, chunks) in segments {
            let known = epoch_and_number(&segment).0 <= known_epoch;
            for Written { key, number } in events(&bytes(&chunks)) {
                if last.insert(key.clone(), number).map_or(0, |last| last + 1) != number {
                    broken.insert(key.clone());
                }
                writeln!(self.expected, "{} {path} {key} {number}", if known { 'E' } else { 'O' }).unwrap();
                self.unknown_to_controller += u64::from(!known);
                *self.events.entry((path.clone(), key)).or_default() += 1;
            }
        }
        self.broken_keys += broken.len() as u64;
    }

    /// Only the last event of each key: how many of the first are gone is a question for metadata.
    fn count_truncated(&mut self, root: &Path, stream: &str) {
        let begin = format!("load/{stream}|");
        let mut last = BTreeMap::new();
        for chunks in chunks(&root.join("load").join(stream)).values() {
            let content = bytes(chunks);
            for Written { key, number } in events(from_first_event(&content, begin.as_bytes())) {
                last.insert(key, number);
            }
        }
        for (key, number) in last {
            writeln!(self.expected, "L load/{stream} {key} {number}").unwrap();
        }
    }

    fn count_bytes(&mut self, root: &Path, stream: &str) {
        for chunks in chunks(&root.join("load").join(stream)).values() {
            writeln!(self.expected, "B load/{stream} {}", bytes(chunks).len()).unwrap();
        }
    }

    fn count_table(&mut self, directory: &Path) {
        for chunks in chunks(directory).values() {
            let content = bytes(chunks);
            let newest: BTreeMap<u32, u32> = entries(&content)
                .into_iter()
                .map(|(key, value)| (u32::from_be_bytes(key.try_into().unwrap()), Written::parse(value).number))
                .collect();
            self.keys += newest.len() as u64;
            for (key, number) in newest.into_iter().filter(|(key, _)| *key < FIRST_REMOVED_KEY) {
                writeln!(self.expected, "U {key} {number}").unwrap();
            }
        }
    }

    /// A transaction is merged by copying its bytes behind those of the one before. So an object with events of several
    /// transactions holds what was merged, and all that Tier-2 holds of these transactions has to be read. Which others count
    /// is a question for metadata.
    fn count_transactions(&mut self, directory: &Path) {
        let objects: Vec<Vec<Written>> =
            chunks(directory).values().flatten().map(|(_, _, path)| events(&std::fs::read(path).unwrap())).collect();
        let ids = |events: &Vec<Written>| events.iter().map(|event| event.key.clone()).collect::<BTreeSet<_>>();
        let merged: BTreeSet<String> = objects.iter().map(ids).filter(|ids| ids.len() > 1).flatten().collect();
        let held: BTreeSet<Written> =
            objects.into_iter().flatten().filter(|event| merged.contains(&event.key)).collect();
        self.transaction_events = held.len() as u64;
        for Written { key, number } in held {
            writeln!(self.expected, "T {key} {number}").unwrap();
        }
    }

    /// All whole events of the streams.
    pub fn all_events(&self) -> u64 {
        self.events.values().sum()
    }
}

/// Whole events of a stream, `key number`, by its objects alone.
///
/// # Panics
/// As [`Held::count`].
pub fn events_of_stream(root: &Path, path: &str) -> BTreeSet<String> {
    let segments = chunks(&root.join(path));
    let events = segments.values().flat_map(|chunks| events(&bytes(chunks)));
    events.map(|Written { key, number }| format!("{key} {number}")).collect()
}

/// The stream's epoch by the newest row in its metadata table.
fn current_epoch(tables: &Path) -> u32 {
    let tables = chunks(tables);
    let (_, chunks) = tables.iter().find(|(segment, _)| segment.starts_with("metadata.#.")).unwrap();
    let content = bytes(chunks);
    let rows = entries(&content);
    let (_, epoch) = rows.iter().rfind(|(key, _)| *key == b"currentEpochRecord").unwrap();
    u32::from_be_bytes((*epoch).try_into().unwrap())
}

/// What the load had acknowledged: its name, and for each path and key of its untruncated streams how many events.
///
/// # Panics
/// If the file is none of a load.
pub fn acknowledged(file: &Path) -> (String, BTreeMap<(String, String), u64>) {
    let text = std::fs::read_to_string(file).unwrap();
    let run = text.lines().next().unwrap().strip_prefix("R ").unwrap().to_owned();
    let mut events = BTreeMap::new();
    for line in text.lines() {
        if let ["E", path, key, number] = line.split(' ').collect::<Vec<_>>()[..]
            && !path.contains("/truncated-")
        {
            let count = events.entry((path.to_owned(), key.to_owned())).or_default();
            *count = (number.parse::<u64>().unwrap() + 1).max(*count);
        }
    }
    (run, events)
}

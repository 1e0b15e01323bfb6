//! A real cluster killed under load: what Tier-2 holds is counted without any metadata, and has to be read back, all of
//! it and nothing else.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dr_lab::{LoadReport, WorkloadSize};
use dr_tests::dr;
use dr_tests::real_servers::{self, TestLab, assert_all_ok, must};

/// Seed of the moment of the crash; another one with `DR_TEST_SEED`.
const DEFAULT_SEED: u64 = 7;
/// How long a load runs at least, and how much longer at most.
const LOAD_MILLISECONDS: (u64, u64) = (10_000, 12_000);
const EVENTS_PER_SECOND: u32 = 800;
const EVENT_HEADER: usize = 8;
const ENTRY_HEADER: usize = 17;

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

/// The bytes of a segment: its objects one behind the other, each where its name says.
fn bytes(chunks: &[(u64, u64, PathBuf)]) -> Vec<u8> {
    let mut all = Vec::new();
    for (offset, _, path) in chunks {
        let content = std::fs::read(path).unwrap();
        let at = usize::try_from(*offset).unwrap();
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
struct Held {
    /// Lines for the checker.
    expected: String,
    /// Path and key to how many events are there.
    events: BTreeMap<(String, String), u64>,
    /// Of these, events in segments of which the controller's table in Tier-2 does not know yet.
    unknown_to_controller: u64,
    /// Keys of which events are missing before others that are there.
    broken_keys: u64,
    keys: u64,
    transaction_events: u64,
}

impl Held {
    fn count(root: &Path, run: &str) -> Self {
        let mut held = Self::default();
        for kind in ["fixed", "scaled"] {
            held.count_stream(root, &format!("{kind}-{run}"));
        }
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

    fn count_table(&mut self, directory: &Path) {
        for chunks in chunks(directory).values() {
            let content = bytes(chunks);
            let newest: BTreeMap<u32, u32> = entries(&content)
                .into_iter()
                .map(|(key, value)| (u32::from_be_bytes(key.try_into().unwrap()), Written::parse(value).number))
                .collect();
            self.keys += newest.len() as u64;
            for (key, number) in newest {
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

    fn all_events(&self) -> u64 {
        self.events.values().sum()
    }
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

/// What the load had acknowledged: its name, and for each path and key how many events.
fn acknowledged(file: &Path) -> (String, BTreeMap<(String, String), u64>) {
    let text = std::fs::read_to_string(file).unwrap();
    let run = text.lines().next().unwrap().strip_prefix("R ").unwrap().to_owned();
    let mut events = BTreeMap::new();
    for line in text.lines() {
        if let ["E", path, key, number] = line.split(' ').collect::<Vec<_>>()[..] {
            let count = events.entry((path.to_owned(), key.to_owned())).or_default();
            *count = (number.parse::<u64>().unwrap() + 1).max(*count);
        }
    }
    (run, events)
}

/// Spreads a seed over all bits.
fn random(seed: u64) -> u64 {
    let mixed = (seed.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

fn seed() -> u64 {
    std::env::var("DR_TEST_SEED").map_or(DEFAULT_SEED, |seed| seed.parse().unwrap())
}

/// Runs `dr recover`; returns what it said.
fn recover(test: &TestLab) -> String {
    let (root, properties) = (test.lab.tier2_directory(), test.lab.properties_file());
    let arguments = ["recover", root.to_str().unwrap(), "--config", properties.to_str().unwrap(), "--yes"];
    let finished = dr::run(test.directory.path(), arguments);
    // 4: recovered, and some bytes are lost.
    assert!(matches!(finished.code, 0 | 4), "{}\n{}\n{}", finished.code, finished.stdout, finished.stderr);
    finished.stdout
}

/// Writes until a moment that the seed decides, then kills everything. Returns the acknowledgements.
fn crash_under_load(test: &mut TestLab, seed: u64) -> PathBuf {
    let file = test.directory.path().join("acknowledged");
    let load = must("start a load", test.lab.start_load(&file, Some(EVENTS_PER_SECOND)));
    while load.acknowledged().unwrap() < 100 {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(LOAD_MILLISECONDS.0 + random(seed) % LOAD_MILLISECONDS.1));
    must("kill everything", test.lab.kill_all());
    load.kill();
    file
}

/// Compares what was read with what Tier-2 held and what had been acknowledged.
fn assert_exact(step: &str, report: &LoadReport, held: &Held, acknowledged: &BTreeMap<(String, String), u64>) {
    assert_all_ok(step, &report.report());
    let of_acknowledged: u64 =
        acknowledged.iter().map(|(key, &count)| held.events.get(key).copied().unwrap_or(0).min(count)).sum();
    let all: u64 = acknowledged.values().sum();
    eprintln!(
        "{step}: acknowledged {all}, in Tier-2 {of_acknowledged} of them ({} in all, {} in segments that the controller \
         does not know), read {}, lost {}; transactions: acknowledged {}, lost {}, torn {}",
        held.all_events(),
        held.unknown_to_controller,
        report.read_events,
        report.lost_events,
        report.acknowledged_transactions,
        report.lost_transactions,
        report.torn_transactions,
    );
    assert_eq!(report.acknowledged_events, all, "{step}");
    let readable = of_acknowledged - held.unknown_to_controller.min(of_acknowledged)..=of_acknowledged;
    assert!(readable.contains(&report.read_events), "{step}: {} of {readable:?} read", report.read_events);
}

#[test]
fn what_tier_2_holds_of_a_crash_under_load_is_read_back_and_nothing_else() {
    if !real_servers::are_wanted() {
        return;
    }
    let seed = seed();
    eprintln!("DR_TEST_SEED={seed}");
    let mut test = real_servers::up(|options| options.writer_flush_milliseconds = 1000);
    let truth = test.directory.path().join("truth.json");
    must("run the workload", test.lab.run_workload(&truth, WorkloadSize::Small));
    let acknowledgements = crash_under_load(&mut test, seed);
    let (run, acknowledged) = acknowledged(&acknowledgements);
    let held = Held::count(&test.lab.tier2_directory(), &run);
    assert!(held.all_events() > 1000 && held.keys > 0 && held.transaction_events > 0, "{held:?}");
    let expected = test.directory.path().join("expected");
    std::fs::write(&expected, &held.expected).unwrap();

    must("wipe Tier-1", test.lab.wipe_tier1());
    must("start a new Tier-1", test.lab.start_tier1());
    eprintln!("{}", recover(&test));
    must("start the servers", test.lab.start_servers());
    let report = must("check the load", test.lab.check_load_against(&acknowledgements, &expected));
    assert_exact("after the recovery", &report, &held, &acknowledged);
    assert_all_ok("what was at rest is read back", &must("check", test.lab.run_checker(&truth)));
    assert_all_ok("old and new streams take work", &must("do more", test.lab.more(&truth)));

    must("kill the servers", test.lab.kill_servers());
    must("start the servers again", test.lab.start_servers());
    let report = must("check the load", test.lab.check_load_against(&acknowledgements, &expected));
    assert_exact("after another crash", &report, &held, &acknowledged);
    must("take the lab down", test.lab.down());
}

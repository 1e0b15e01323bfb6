//! `dr export-events` on captured trees, judged by what clients had been told, and fed back into a real cluster.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr::{self, Finished};
use dr_tests::real_servers::{self, must};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Captures whose truth is all in Tier-2.
const COMPLETE: [&str; 6] = ["flushed", "flushed-0.12.0", "crashed", "epochs", "many-chunks", "stale-rows"];

struct Place {
    tree: CapturedTree,
    truth: Value,
}

impl Place {
    fn new(capture: &str) -> Self {
        let truth = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(capture).join("truth.json");
        let truth = serde_json::from_slice(&fs::read(truth).unwrap()).unwrap();
        Self { tree: captured::unpack(capture), truth }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree.directory.path().join(name)
    }

    fn dr(&self, words: &[&str]) -> Finished {
        let root = self.tree.root.to_str().unwrap();
        let words = [&words[..1], &[root], &words[1..]].concat();
        dr::run(self.tree.directory.path(), words)
    }

    fn recover(&self) -> Finished {
        self.dr(&["recover", "--tier1", "dir:tier1", "--cluster", "lab", "--yes", "--run-directory", "run"])
    }

    /// Exports into a file, expects the code, and returns the events.
    fn export(&self, code: i32, words: &[&str]) -> Vec<Vec<u8>> {
        let words = [&["export-events"], words, &["--output", "exported", "--force"]].concat();
        self.dr(&words).expect_code(code);
        events(&fs::read(self.path("exported")).unwrap())
    }

    /// Streams with events, as the clients knew them.
    fn streams(&self) -> &Vec<Value> {
        self.truth["streams"].as_array().unwrap()
    }

    fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("exported.report.json")).unwrap()).unwrap()
    }
}

fn path_of(stream: &Value) -> String {
    format!("{}/{}", stream["scope"].as_str().unwrap(), stream["name"].as_str().unwrap())
}

/// Digests by routing key, in order.
type ByKey = BTreeMap<String, Vec<String>>;

fn acknowledged(stream: &Value) -> ByKey {
    let digests = |list: &Value| list.as_array().unwrap().iter().map(|d| d.as_str().unwrap().to_owned()).collect();
    let keys = stream["events"].as_object().unwrap();
    keys.iter()
        .map(|(key, list)| (key.clone(), digests(list)))
        .filter(|(_, list): &(_, Vec<_>)| !list.is_empty())
        .collect()
}

fn events(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        events.push(rest[..length].to_vec());
        file = &rest[length..];
    }
    assert!(file.is_empty(), "the file ends inside a length");
    events
}

fn digest(event: &[u8]) -> String {
    Sha256::digest(event)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The routing key stands in the events of the lab: `scope/stream|key|number|`.
fn by_key(events: &[Vec<u8>]) -> ByKey {
    let mut keys = ByKey::new();
    for event in events {
        let text = String::from_utf8_lossy(&event[..event.len().min(200)]).into_owned();
        keys.entry(text.split('|').nth(1).unwrap().to_owned()).or_default().push(digest(event));
    }
    keys
}

#[test]
fn every_stream_of_a_complete_tree_is_exported_as_clients_knew_it() {
    let mut streams = 0;
    for capture in COMPLETE {
        let place = Place::new(capture);
        let before = captured::content(&place.tree.root);
        for stream in place.streams() {
            let exported = place.export(0, &[&path_of(stream)]);
            assert_eq!(by_key(&exported), acknowledged(stream), "{capture} {}", path_of(stream));
            streams += usize::from(!exported.is_empty());
        }
        assert_eq!(captured::content(&place.tree.root), before, "{capture} was changed");
    }
    eprintln!("{streams} streams with events");
    assert!(streams > 60, "{streams}");
}

#[test]
fn a_recovered_tree_without_any_metadata_gives_the_same_events_by_object_names() {
    let place = Place::new("flushed");
    let plain = |stream: &&Value| {
        let has_transactions = acknowledged(stream).keys().any(|key| key.starts_with("transaction"));
        !has_transactions && stream["truncated"] == false && stream["retentionCuts"] == false
    };
    let streams: Vec<Value> = place.streams().iter().filter(plain).cloned().collect();
    place.recover().expect_code(0);
    let mut compared = 0;
    for stream in streams.iter().filter(|stream| !acknowledged(stream).is_empty()) {
        assert_eq!(by_key(&place.export(0, &[&path_of(stream)])), acknowledged(stream), "{}", path_of(stream));
        let report = place.report();
        let segments = report["segments"].as_array().unwrap();
        let with_bytes = segments.iter().filter(|segment| segment["bytes"] != 0);
        assert!(
            with_bytes.clone().count() > 0 && with_bytes.into_iter().all(|segment| segment["known_by"] == "names"),
            "{report}"
        );
        assert_ne!(report["warnings"].as_array().unwrap().len(), 0);
        compared += 1;
    }
    assert!(compared > 8, "{compared}");
}

#[test]
fn a_never_flushed_tree_gives_what_its_objects_hold() {
    let place = Place::new("never-flushed");
    let mut found = 0;
    for stream in place.streams() {
        let path = path_of(stream);
        if !place.tree.root.join(&path).is_dir() {
            let missing = place.dr(&["export-events", &path]).expect_code(2);
            assert!(missing.stderr.contains("error[stream-missing]"), "{}", missing.stderr);
            continue;
        }
        let is_truncated = stream["truncated"] == true;
        let code = if path == "alpha/transactions" { 4 } else { 0 };
        let exported = by_key(&place.export(code, &[&path]));
        let acknowledged = acknowledged(stream);
        // Nobody is left who knows of truncations: what had been truncated is there, too.
        for (key, digests) in exported.iter().filter(|_| !is_truncated) {
            assert!(acknowledged[key].starts_with(digests), "{path} {key}");
        }
        found += exported.values().map(Vec::len).sum::<usize>();
    }
    eprintln!("{found} events");
    assert!(found > 300, "{found}");
}

#[test]
fn transactions_come_on_request_and_merged_ones_only_once() {
    let place = Place::new("never-flushed");
    let stream = place.streams().iter().find(|stream| path_of(stream) == "alpha/transactions").unwrap();
    let acknowledged = acknowledged(stream);
    let merged_only = by_key(&place.export(4, &["alpha/transactions"]));
    let left_out = place.report()["left_out"].clone();
    let reasons: Vec<_> = left_out.as_array().unwrap().iter().map(|row| row["reason"].as_str().unwrap()).collect();
    // The third transaction stands behind the first one in the object of that one, which had become its parent's.
    assert_eq!(reasons, ["merged-already", "unrecorded-transaction", "unrecorded-transaction", "merged-already"]);
    let all = by_key(&place.export(0, &["alpha/transactions", "--transactions"]));
    assert!(all.len() > merged_only.len());
    for (key, digests) in all.iter().filter(|(key, _)| key.starts_with("transaction")) {
        assert_eq!(&acknowledged[key], digests, "{key}");
    }
    let one = "alpha/transactions/0.#epoch.0#transaction.00000000000000000000000000000007";
    assert_eq!(
        by_key(&place.export(0, &[one])).into_keys().collect::<Vec<_>>(),
        ["transaction-00000000-0000-0000-0000-000000000007"]
    );
}

#[test]
fn damaged_metadata_and_wrong_counts_leave_the_names() {
    let place = Place::new("flushed");
    let expected = place.export(0, &["alpha/scaled"]);
    for path in captured::content(&place.tree.root).keys().filter(|key| key.starts_with("_system/containers/metadata_"))
    {
        if !path.contains("attributes.index") {
            fs::write(place.tree.root.join(path), b"damage").unwrap();
        }
    }
    assert_eq!(place.export(0, &["alpha/scaled"]), expected);
    assert!(place.report()["warnings"].to_string().contains("metadata"), "{}", place.report());

    let miscounted = Place::new("flushed");
    assert_eq!(miscounted.export(0, &["alpha/scaled", "--container-count", "7"]), expected);
    assert!(miscounted.report()["warnings"].to_string().contains("--container-count"), "{}", miscounted.report());
}

#[test]
fn a_missing_object_is_a_gap_that_is_reported() {
    let place = Place::new("many-chunks");
    let folder = place.tree.root.join("alpha/fixed");
    let mut chunks: Vec<(u64, PathBuf)> = Vec::new();
    for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some((_, rest)) = name.split_once("0.#epoch.0.E-") {
            let offset = rest.split("-O-").nth(1).unwrap().split('.').next().unwrap().parse().unwrap();
            chunks.push((offset, path));
        }
    }
    chunks.sort();
    assert!(chunks.len() > 2, "{chunks:?}");
    let (gap, next) = (chunks[1].0, chunks[2].0);
    let all = place.export(0, &["alpha/fixed/0"]);
    fs::remove_file(&chunks[1].1).unwrap();
    let before = place.export(4, &["alpha/fixed/0"]);
    let reported = &place.report()["segments"][0]["not_exported"];
    let missing = reported.as_array().unwrap().iter().find(|range| range["reason"] == "missing").unwrap();
    assert_eq!((missing["first"].as_u64(), missing["end"].as_u64()), (Some(gap), Some(next)), "{reported}");
    assert!(all.starts_with(&before) && before.len() < all.len());
    let with_rest = place.export(4, &["alpha/fixed/0", "--after-gaps"]);
    assert!(with_rest.starts_with(&before), "what lies before the gap changed");
    assert!(all.ends_with(&with_rest[before.len()..]), "what lies behind the gap is not the end of the segment");
}

#[test]
fn byte_streams_are_refused_as_events_and_exported_as_bytes() {
    let place = Place::new("flushed");
    let refused = place.dr(&["export-events", "alpha/bytes-sealed", "--output", "out"]).expect_code(3);
    assert!(refused.stderr.contains("error[not-events]") && refused.stderr.contains("--bytes"), "{}", refused.stderr);
    place.dr(&["export-events", "alpha/bytes-sealed", "--bytes", "--output", "out"]).expect_code(0);
    assert_eq!(fs::read(place.path("out")).unwrap().len(), 5000);
    let several = place.dr(&["export-events", "alpha/scaled", "--bytes", "--output", "several"]).expect_code(2);
    assert!(several.stderr.contains("error[export-directory]"), "{}", several.stderr);
    place.dr(&["export-events", "alpha/scaled", "--bytes", "--output", "several/"]).expect_code(0);
    let segment = fs::read(place.path("several/0.#epoch.0.bytes")).unwrap();
    assert_eq!(segment.len(), 37_235);
}

#[test]
fn nothing_is_overwritten_or_left_half_written() {
    let place = Place::new("flushed");
    fs::write(place.path("taken"), b"mine").unwrap();
    let words = ["export-events", "alpha/scaled", "--output", "taken"];
    let refused = place.dr(&words).expect_code(3);
    assert!(refused.stderr.contains("error[export-exists]"), "{}", refused.stderr);
    assert_eq!(fs::read(place.path("taken")).unwrap(), b"mine");
    place.dr(&[&words[..], &["--force"]].concat()).expect_code(0);
    assert_ne!(fs::read(place.path("taken")).unwrap(), b"mine");

    let inside = place.tree.root.join("exported");
    let refused = place.dr(&["export-events", "alpha/scaled", "--output", inside.to_str().unwrap()]).expect_code(3);
    assert!(refused.stderr.contains("error[inside-tier2]"), "{}", refused.stderr);

    // The full disk that every Linux has.
    let full = Command::new(dr::binary())
        .args(["export-events", place.tree.root.to_str().unwrap(), "alpha/scaled"])
        .stdout(Stdio::from(File::create("/dev/full").unwrap()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.contains("error[export-unwritable]") && said.contains("No space left"), "{said}");
    let left: Vec<_> = fs::read_dir(place.tree.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".dr-export-")), "{left:?}");
}

#[test]
fn json_lines_go_to_standard_output_and_the_summary_elsewhere() {
    let place = Place::new("flushed");
    let said = place.dr(&["export-events", "alpha/scaled", "--output-format", "json-lines"]).expect_code(0);
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), place.export(0, &["alpha/scaled"]).len());
    assert_eq!(lines[0]["segment"], "alpha/scaled/0.#epoch.0");
    assert_eq!(lines[0]["offset"], 0);
    assert_eq!(lines[1]["offset"].as_u64(), lines[0]["length"].as_u64().map(|length| length + 8));
    assert!(said.stderr.contains("Exported"), "{}", said.stderr);
}

#[test]
fn exported_events_go_into_a_new_stream_of_the_recovered_cluster() {
    if !real_servers::are_wanted() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut lab = must("create the lab", dr_lab::Lab::create(dr_lab::LabOptions::new(directory.path().join("lab"))));
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/never-flushed");
    must("restore the capture", lab.restore_capture(&capture));
    let (root, properties) = (lab.tier2_directory(), lab.properties_file());
    let (root, properties) = (root.to_str().unwrap(), properties.to_str().unwrap());
    let dr = |words: &[&str]| dr::run(directory.path(), words);
    dr(&["export-events", root, "alpha/scaled", "--output", "before"]).expect_code(0);
    must("start Tier-1", lab.start_tier1());
    dr(&["recover", root, "--config", properties, "--yes", "--run-directory", "run"]).expect_code(4);
    must("start the servers", lab.start_servers());
    must("wait for the cluster", lab.await_cluster());
    dr(&["export-events", root, "alpha/scaled", "--output", "after"]).expect_code(0);
    let file = directory.path().join("before");
    let exported = fs::read(&file).unwrap();
    assert!(fs::read(directory.path().join("after")).unwrap() == exported, "the export changed with the recovery");
    must("import the events", lab.import(&file, "alpha/scaled-again"));
    let read = directory.path().join("read");
    must("read the new stream", lab.read_back("alpha/scaled-again", &read));
    assert!(fs::read(&read).unwrap() == exported, "the client reads something else than was imported");
    eprintln!("{} events imported and read back", events(&exported).len());
    must("take the lab down", lab.down());
}

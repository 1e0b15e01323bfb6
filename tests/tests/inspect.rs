//! `dr inspect` on objects of captured trees, whole and damaged, compared with what was written down: tests/golden/inspect.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use dr_formats::ledger_metadata::{Ensemble, LedgerMetadata, LedgerState};
use dr_formats::log_metadata::{LedgerAddress, LedgerStatus, LogLedger, LogMetadata};
use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr::{self, Finished};

/// Files to be inspected, in one directory.
struct Place {
    tree: CapturedTree,
}

impl Place {
    fn new() -> Self {
        Self { tree: captured::unpack("flushed") }
    }

    fn directory(&self) -> &Path {
        self.tree.directory.path()
    }

    /// Keys of the objects whose names have these parts, sorted.
    fn keys(&self, parts: &[&str]) -> Vec<String> {
        let keys = captured::content(&self.tree.root).into_keys();
        keys.filter(|key| parts.iter().all(|part| key.contains(part))).collect()
    }

    /// Copies an object, changed, to a file beside the tree.
    fn file(&self, name: &str, bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        fs::write(self.directory().join(name), bytes).unwrap();
        PathBuf::from(name)
    }

    fn object(&self, key: &str) -> Vec<u8> {
        fs::read(self.tree.root.join(key)).unwrap()
    }

    fn inspect(&self, arguments: &[&str]) -> Finished {
        dr::run(self.directory(), ["inspect"].iter().chain(arguments))
    }

    /// Inspects the bytes whole, cut and with a flipped byte: the first is whole, the others name damage. All is compared.
    fn compare(&self, kind: &str, name: &str, bytes: &[u8], cut: usize, flip: usize, more: &[&str]) {
        self.file(&format!("{name}.whole"), bytes, |_| {});
        self.file(&format!("{name}.cut"), bytes, |bytes| bytes.truncate(cut));
        self.file(&format!("{name}.flipped"), bytes, |bytes| bytes[flip] ^= 0xff);
        for (variant, code) in [("whole", 0), ("cut", 5), ("flipped", 5)] {
            let file = format!("{name}.{variant}");
            let arguments = [&[kind, &file, "--limit", "40"][..], more].concat();
            let said = self.inspect(&arguments).expect_code(code);
            assert_eq!(said.stdout.contains("DAMAGED"), code == 5, "{}", said.stdout);
            golden(&file, &said.stdout);
            check_json(&self.inspect(&[&arguments[..], &["--output", "json"]].concat()).expect_code(code).stdout, code);
        }
    }

    /// No byte of an object can be flipped, and no end cut off, so that the program fails instead of showing.
    fn survive(&self, command: &[&str], bytes: &[u8], more: &[&str]) {
        let step = (bytes.len() / 12).max(1);
        for position in (0..bytes.len()).step_by(step) {
            let cut = self.file("survivor.cut", bytes, |bytes| bytes.truncate(position));
            let flipped = self.file("survivor.flipped", bytes, |bytes| bytes[position] ^= 0x81);
            for file in [cut, flipped] {
                let said = self.inspect(&[command, &[file.to_str().unwrap()], more].concat());
                assert!(matches!(said.code, 0 | 5), "{command:?} at {position}: {} {}", said.code, said.stderr);
            }
        }
    }
}

#[track_caller]
fn golden(name: &str, text: &str) {
    dr_tests::golden::compare(&format!("inspect/{name}"), text);
}

/// Every line is an event of this version, the last tells the code, and damage stands with a reason.
#[track_caller]
fn check_json(stream: &str, code: i32) {
    let events: Vec<serde_json::Value> = stream.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["version"] == 1));
    assert_eq!(events.last().unwrap()["exit_code"], code);
    let damage: Vec<_> = events.iter().filter(|event| event["event"] == "damage").collect();
    assert_eq!(damage.is_empty(), code == 0, "{stream}");
    assert!(damage.iter().all(|event| event["reason"].is_string()));
    let inspected = events.iter().find(|event| event["event"] == "inspected").unwrap();
    assert_eq!(inspected["damaged"].as_u64().unwrap() == 0, code == 0);
}

#[test]
fn journals_and_snapshots() {
    let place = Place::new();
    for (name, parts) in
        [("journal", ["_sysjournal.", "container0.file"]), ("snapshot", ["_sysjournal.", "container0.snapshot"])]
    {
        let key = place.keys(&parts).pop().unwrap();
        let bytes = place.object(&key);
        let form = if name == "journal" { "file" } else { "snapshot" };
        place.compare("journal", name, &bytes, bytes.len() - 5, bytes.len() / 2, &["--as", form]);
        place.survive(&["journal"], &bytes, &["--as", form]);
        let by_name = place.inspect(&["journal", &key, "--root", place.tree.root.to_str().unwrap()]).expect_code(0);
        assert!(by_name.stdout.contains(&format!("form={form}")), "{}", by_name.stdout);
    }
}

#[test]
fn tables() {
    let place = Place::new();
    for (name, segment) in
        [("metadata", "_system/containers/metadata_0"), ("storage-metadata", "_system/containers/storage_metadata_0")]
    {
        let key = place.keys(&[&format!("{segment}.E-"), "-O-0."]).remove(0);
        let mut bytes = place.object(&key);
        bytes.truncate(16 << 10);
        // Cut to whole entries, so that the whole variant is whole.
        let mut entries = dr_formats::table::TableEntries::new(&bytes, 0);
        entries.by_ref().for_each(|entry| assert!(entry.is_ok()));
        let end = usize::try_from(entries.end()).unwrap();
        bytes.truncate(end);
        place.compare("table", name, &bytes, end - 3, 0, &["--as", segment]);
        place.survive(&["table"], &bytes, &["--as", segment]);
    }
    let key = place
        .keys(&["_system/_tables/alpha/", "/metadata.#.", "-O-0."])
        .into_iter()
        .find(|key| !key.contains("$attributes"));
    let key = key.unwrap();
    let root = place.tree.root.to_str().unwrap();
    let said = place.inspect(&["table", &key, "--root", root, "--newest", "--values"]).expect_code(0);
    assert!(said.stdout.contains("state=active") && said.stdout.contains("scope=alpha"), "{}", said.stdout);
    let segment = key.split(".E-").next().unwrap();
    let whole = place.inspect(&["table", root, segment]).expect_code(0);
    let chain = place.inspect(&["chunk-chain", root, segment]).expect_code(0);
    assert!(whole.stdout.contains("state=active") && chain.stdout.contains("standing=live"), "{}", chain.stdout);
}

#[test]
fn attribute_indexes() {
    let place = Place::new();
    let key = place.keys(&["_system/_tables/", "$attributes.index", "-O-0."]).remove(0);
    let bytes = place.object(&key);
    place.compare("index", "index", &bytes, bytes.len() - 1, bytes.len() - 1, &["--entries"]);
    place.survive(&["index"], &bytes, &[]);
}

#[test]
fn chunk_chains() {
    let place = Place::new();
    let key = place
        .keys(&["alpha/", "#epoch.0.E-", "-O-0."])
        .into_iter()
        .find(|key| !key.starts_with("_system") && !key.contains("$attributes"));
    let key = key.unwrap();
    let segment = key.split(".E-").next().unwrap();
    let root = place.tree.root.to_str().unwrap();
    golden("chunk-chain.whole", &place.inspect(&["chunk-chain", root, segment]).expect_code(0).stdout);
    let bytes = place.object(&key);
    fs::write(place.tree.root.join(&key), &bytes[..bytes.len() / 2]).unwrap();
    let cut = place.inspect(&["chunk-chain", root, segment]).expect_code(5);
    golden("chunk-chain.cut", &cut.stdout);
    assert!(cut.stdout.contains("shorter-object"));
    fs::remove_file(place.tree.root.join(&key)).unwrap();
    let gone = place.inspect(&["chunk-chain", root, segment]).expect_code(5);
    golden("chunk-chain.missing", &gone.stdout);
    place.inspect(&["chunk-chain", root, "no/such/0.#epoch.0"]).expect_code(5);
}

#[test]
fn logs_and_znodes_of_a_recovery() {
    let place = Place::new();
    let root = place.tree.root.to_str().unwrap();
    let tier1 = ["--tier1", "dir:tier1", "--cluster", "lab"];
    let recover = ["recover", root, "--yes", "--run-directory", "run"];
    dr::run(place.directory(), recover.iter().chain(&tier1)).expect_code(0);
    let image = fs::read(place.directory().join("run/container-0.log")).unwrap();
    place.compare("log", "log", &image, image.len() - 9, 100, &[]);
    place.survive(&["log"], &image, &["--limit", "5"]);
    let from_image = place.inspect(&["log", "run/container-0.log", "--limit", "0"]).expect_code(0).stdout;
    let from_tier1 =
        place.inspect(&[&["log", "--container", "0", "--limit", "0"], &tier1[..]].concat()).expect_code(0).stdout;
    let operations = |text: &str| text.matches("sequence_number=").count();
    assert!(operations(&from_image) >= 7 && operations(&from_image) == operations(&from_tier1));
    for (path, words) in [
        ("/pravega/lab/segmentstore/containers/0/0/0", "form=log-metadata"),
        ("/pravega/lab/bookkeeper/ledgers/LAYOUT", "manager=Hierarchical"),
        ("/pravega/lab/bookkeeper/ledgers/00/0000/L0000", "state=closed"),
        ("/pravega/lab/counter", "form=counter"),
    ] {
        let said = place.inspect(&[&["znode", path], &tier1[..]].concat()).expect_code(0);
        assert!(said.stdout.contains(words), "{}", said.stdout);
    }
    place.inspect(&[&["znode", "/nothing"], &tier1[..]].concat()).expect_code(1);
}

#[test]
fn ledger_metadata_and_znode_files() {
    let place = Place::new();
    let ledger = LedgerMetadata {
        ensemble_size: 2,
        write_quorum: 2,
        ack_quorum: 2,
        state: LedgerState::Closed { last_entry: 9, length: 100 },
        ensembles: vec![Ensemble { first_entry: 0, bookies: vec!["a:1".to_owned(), "b:1".to_owned()] }],
        security: None,
        creation_time: None,
        custom_metadata: vec![("application".to_owned(), b"Pravega".to_vec())],
        creation_token: Some(0),
    };
    let bytes = ledger.encode().unwrap();
    place.compare("ledger-metadata", "ledger-metadata", &bytes, bytes.len() - 3, 30, &[]);
    place.survive(&["ledger-metadata"], &bytes, &[]);
    let ledgers = vec![LogLedger { ledger_id: 7, sequence: 1, status: LedgerStatus::NotEmpty }];
    let log = LogMetadata { enabled: true, epoch: 3, truncation: LedgerAddress::START, ledgers };
    let bytes = log.encode().unwrap();
    place.survive(&["znode", "--file"], &bytes, &["--as", "log-metadata"]);
    for (name, change, code) in [("znode.whole", 0, 0), ("znode.cut", 1, 5)] {
        place.file(name, &bytes, |bytes| bytes.truncate(bytes.len() - change));
        let said = place.inspect(&["znode", "--file", name, "--as", "log-metadata"]).expect_code(code);
        golden(name, &said.stdout);
    }
    place.inspect(&["journal", "nothing"]).expect_code(2);
}

#[test]
fn the_metadata_of_a_key_value_table_is_no_damaged_metadata_of_a_stream() {
    let place = Place::new();
    let keys = place.keys(&["_system/_tables/tables/two-part-keys/metadata.#."]);
    let key = keys.iter().find(|key| !key.contains("$attributes.index")).unwrap();
    let path = place.tree.root.join(key);
    let said =
        place.inspect(&["table", path.to_str().unwrap(), "--as", key.rsplit_once(".E-").unwrap().0]).expect_code(0);
    assert!(said.stdout.contains("key_length=16"), "{}", said.stdout);
}

//! `dr diagnose` on captured trees with the embedded Tier-1: every state that a directory can be in, what is said of it, and
//! that nothing is changed.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr::{self, Finished};
use dr_tests::golden;

struct Place {
    tree: CapturedTree,
}

impl Place {
    fn new(capture: &str) -> Self {
        Self { tree: captured::unpack(capture) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree.directory.path().join(name)
    }

    fn dr(&self, command: &str, more: &[&str]) -> Finished {
        let root = self.tree.root.to_str().unwrap();
        let arguments = [&[command, root, "--cluster", "lab", "--tier1", "dir:tier1"][..], more].concat();
        dr::run(self.tree.directory.path(), arguments)
    }

    /// Everything below the temporary directory.
    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        captured::content(self.tree.directory.path())
    }

    /// Diagnoses, as text and as JSON; nothing may change.
    #[track_caller]
    fn diagnose(&self, scenario: &str, code: i32) -> (String, serde_json::Value) {
        let before = self.content();
        let text = self.dr("diagnose", &[]).expect_code(code).stdout;
        let json = self.dr("diagnose", &["--output", "json"]).expect_code(code).stdout;
        assert!(self.content() == before, "something was changed");
        let events: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(events.iter().all(|event| event["version"] == 1));
        assert_eq!(events.last().unwrap()["exit_code"], code);
        let event = events.into_iter().find(|event| event["event"] == "diagnosed").unwrap();
        assert_eq!(event["scenario"], scenario, "{text}");
        (self.without_places(&text), event)
    }

    /// A text without what differs from run to run.
    fn without_places(&self, text: &str) -> String {
        let program = dr::binary();
        let directory = self.tree.directory.path();
        let places = [(&*self.tree.root, "ROOT"), (directory, "PLACE"), (&*program, "dr")];
        places.iter().fold(text.to_owned(), |text, (path, word)| text.replace(path.to_str().unwrap(), word))
    }

    fn recover(&self, more: &[&str]) {
        // One after the other, so that the ledgers' ids are always the same.
        self.dr("recover", &[&["--yes", "--parallel", "1"], more].concat()).expect_code(0);
    }

    fn logs(&self) -> PathBuf {
        self.path("tier1/znodes/pravega/lab/segmentstore")
    }
}

/// A diagnosis without what was looked at and the table: their figures follow the recovery, which is no matter of these tests.
fn without_figures(text: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap();
    let sections = rest.find("\nWhat this is\n").unwrap();
    format!("{first}\n{}", &rest[sections..])
}

#[test]
fn a_tree_without_a_tier_1_is_a_total_loss_and_the_command_recovers_it() {
    let place = Place::new("flushed");
    let (text, event) = place.diagnose("total-loss", 5);
    golden::compare("diagnose/total-loss", &text);
    assert_eq!(event["procedure"], "total-loss");
    assert!(event["contents"].as_array().unwrap().iter().all(|contents| contents["missing_bytes"] == 0), "{event}");

    // The commands that were printed work as they stand.
    let commands: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("dr ")).collect();
    assert_eq!(commands.len(), 2, "{text}");
    for command in commands {
        let root = place.tree.root.to_str().unwrap();
        let words = command.replace("ROOT", root).replace("PLACE", place.tree.directory.path().to_str().unwrap());
        let more: &[&str] = if command.starts_with("apply") { &["--yes"] } else { &[] };
        dr::run(place.tree.directory.path(), words.split(' ').chain(more.iter().copied())).expect_code(0);
    }
    let (text, event) = place.diagnose("recovered-not-booted", 5);
    golden::compare("diagnose/recovered", &without_figures(&text));
    assert!(event["procedure"].is_null());
}

#[test]
fn what_an_unflushed_tree_lacks_is_named() {
    let (text, event) = Place::new("crashed").diagnose("total-loss", 5);
    golden::compare("diagnose/crashed", &text);
    assert!(!event["could_be_lost"].as_array().unwrap().is_empty());
    let (text, _) = Place::new("never-flushed").diagnose("total-loss", 5);
    golden::compare("diagnose/never-flushed", &text);
}

#[test]
fn an_interrupted_recovery_is_carried_on_or_taken_back() {
    let place = Place::new("flushed");
    place.recover(&["--run-directory", "run"]);
    let records = fs::read_dir(place.tree.root.join("_dr/recoveries")).unwrap();
    let record = records.map(|entry| entry.unwrap().path()).next().unwrap();
    fs::rename(record, place.tree.root.join("_dr/in-progress.json")).unwrap();
    let (text, _) = place.diagnose("recovery-interrupted", 5);
    golden::compare("diagnose/interrupted", &without_figures(&text));
}

#[test]
fn a_recovery_of_some_containers_asks_for_the_others() {
    let place = Place::new("flushed");
    place.recover(&["--run-directory", "run", "--containers", "0,2"]);
    let (text, _) = place.diagnose("mixed", 5);
    golden::compare("diagnose/half-recovered", &without_figures(&text));
}

#[test]
fn ledgers_that_no_log_names_are_a_loss_of_zookeeper() {
    let place = Place::new("flushed");
    place.recover(&["--run-directory", "run"]);
    fs::remove_dir_all(place.logs().join("containers/1")).unwrap();
    let (text, event) = place.diagnose("zookeeper-loss", 5);
    assert!(text.contains("The ZNodes of some logs are lost"), "{text}");
    let states: Vec<&str> =
        event["containers"].as_array().unwrap().iter().map(|container| container["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["recovered", "log-gone-ledgers-left", "recovered", "recovered"]);
    // What it advises brings that log back, and leaves the others alone.
    let log = place.logs().join("containers/0/0/0");
    let before = captured::content(&log);
    place.recover(&["--run-directory", "run-2"]);
    assert!(captured::content(&log) == before && !before.is_empty());
    place.diagnose("recovered-not-booted", 5);
    fs::remove_dir_all(place.logs()).unwrap();
    let (text, event) = place.diagnose("zookeeper-loss", 5);
    golden::compare("diagnose/logs-deleted", &without_figures(&text));
    assert!(event["containers"].as_array().unwrap().iter().all(|container| container["readable_ledgers"] == 1));
    place.recover(&["--run-directory", "run-3"]);
    place.diagnose("recovered-not-booted", 5);
}

#[test]
fn logs_whose_ledgers_are_gone_are_told_from_those_that_are_damaged() {
    let place = Place::new("flushed");
    place.recover(&["--run-directory", "run"]);
    let ledgers: Vec<PathBuf> =
        fs::read_dir(place.path("tier1/ledgers")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(ledgers.len(), 4);
    let mut bytes = fs::read(&ledgers[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&ledgers[0], bytes).unwrap();
    let (_, event) = place.diagnose("mixed", 5);
    assert!(event["lost"][0].as_str().unwrap().contains("entry"), "{event}");
    for ledger in ledgers {
        fs::remove_file(ledger).unwrap();
    }
    let (text, _) = place.diagnose("partial-loss-2b", 5);
    golden::compare("diagnose/ledgers-gone", &without_figures(&text));
}

/// Under a wrong name neither servers nor logs would be found.
#[test]
fn a_name_that_zookeeper_does_not_know_is_refused_where_it_knows_others() {
    let place = Place::new("flushed");
    place.recover(&["--run-directory", "run"]);
    let (directory, root) = (place.tree.directory.path(), place.tree.root.to_str().unwrap());
    let before = place.content();
    let of_tier1 = ["--tier1", "dir:tier1", "--cluster", "labb"];
    for words in [&["plan", root, "--directory", "run-2"][..], &["recover", root, "--yes"], &["verify", root]] {
        let refused = dr::run(directory, [words, &of_tier1].concat()).expect_code(2).stderr;
        assert!(refused.contains("error[configuration-cluster]") && refused.contains("it knows `lab`"), "{refused}");
    }
    let said = dr::run(directory, [&["diagnose", root][..], &of_tier1].concat()).expect_code(5).stdout;
    assert!(said.contains("undetermined") && said.contains("Tier-1: give the name that the segment stores"), "{said}");
    assert!(place.content() == before, "something was changed");
}

#[test]
fn where_nothing_can_be_reached_that_is_said() {
    let place = Place::new("flushed");
    let directory = place.tree.directory.path();
    let said = dr::run(directory, ["diagnose", "nowhere", "--zookeeper", "127.0.0.1:1", "--cluster", "lab"]);
    let text = said.expect_code(5).stdout;
    for words in ["undetermined", "nowhere cannot be opened", "127.0.0.1:1: cannot connect", "diagnose"] {
        assert!(text.contains(words), "`{words}` is not in {text}");
    }
    // Tier-2 alone can be looked at without a word about Tier-1.
    let root = place.tree.root.to_str().unwrap();
    let text = dr::run(directory, ["diagnose", root]).expect_code(5).stdout;
    golden::compare("diagnose/nobody-said-where", &place.without_places(&text));
    // What is wrong with the arguments is an error, as everywhere.
    dr::run(directory, ["diagnose", root, "--config", "none.properties"]).expect_code(2);
}

//! `dr diagnose` on real servers, in every state that a cluster can fall into: what it says, and that it changes nothing.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dr_backends::tier1::{ZNodes, ZooKeeper, ZooKeeperOptions};
use dr_lab::{Server, WorkloadSize};
use dr_tests::captured;
use dr_tests::dr;
use dr_tests::real_servers::{self, TestLab, must};

const BOOKIES: u32 = 3;

/// Content and version of every ZNode that does not belong to a session.
type Nodes = BTreeMap<String, (Vec<u8>, i32)>;

/// A session, once a ZooKeeper that was just started gives one.
fn zookeeper(test: &TestLab) -> ZooKeeper {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ZooKeeper::connect(&test.lab.zookeeper_address(), ZooKeeperOptions::default()) {
            Ok(zookeeper) => return zookeeper,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn nodes(test: &TestLab) -> Nodes {
    let zookeeper = zookeeper(test);
    let mut found = Nodes::new();
    let mut pending = vec!["/".to_owned()];
    while let Some(path) = pending.pop() {
        let Some(node) = zookeeper.get(&path).unwrap() else { continue };
        for child in zookeeper.children(&path).unwrap().unwrap_or_default() {
            pending.push(format!("{}/{child}", path.trim_end_matches('/')));
        }
        if !node.ephemeral {
            found.insert(path, (node.data, node.version));
        }
    }
    found
}

fn diagnose(test: &TestLab) -> serde_json::Value {
    let root = test.lab.tier2_directory();
    let properties = test.lab.properties_file();
    let (root, properties) = (root.to_str().unwrap(), properties.to_str().unwrap());
    let said = dr::run(test.directory.path(), ["diagnose", root, "--config", properties, "--output", "json"]);
    let events: Vec<serde_json::Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = events.into_iter().find(|event| event["event"] == "diagnosed");
    assert!(event.is_some(), "no diagnosis: {}{}", said.stdout, said.stderr);
    let event = event.unwrap();
    assert_eq!(said.code, if event["scenario"] == "healthy" { 0 } else { 5 }, "{event}");
    event
}

/// What is said, once the servers' registrations have caught up with what was done to them.
#[track_caller]
fn expect(test: &TestLab, moment: &str, scenario: &str, states: &[&str]) -> serde_json::Value {
    let deadline = Instant::now() + Duration::from_secs(40);
    let found = |event: &serde_json::Value| -> Vec<String> {
        let mut states: Vec<String> = event["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|container| container["state"].as_str().unwrap().to_owned())
            .collect();
        states.dedup();
        states
    };
    loop {
        let event = diagnose(test);
        if event["scenario"] == scenario && found(&event) == states {
            eprintln!("{moment}: {scenario}, {states:?}");
            return event;
        }
        assert!(Instant::now() < deadline, "{moment}: {scenario} {states:?} expected, found {event:#}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in captured::content(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A new and empty ZooKeeper under running bookies, which register there as soon as they can.
fn empty_zookeeper(test: &mut TestLab) -> PathBuf {
    must("kill ZooKeeper", test.lab.kill(Server::ZooKeeper));
    let saved = test.directory.path().join("zookeeper");
    copy(&test.lab.zookeeper_directory(), &saved);
    must("empty ZooKeeper", test.lab.wipe_zookeeper());
    must("start ZooKeeper", test.lab.start_zookeeper());
    zookeeper(test).create("/pravega/lab/bookkeeper/ledgers/available/readonly", b"").unwrap();
    saved
}

fn bring_zookeeper_back(test: &mut TestLab, saved: &Path) {
    must("kill ZooKeeper", test.lab.kill(Server::ZooKeeper));
    must("empty ZooKeeper", test.lab.wipe_zookeeper());
    copy(saved, &test.lab.zookeeper_directory());
    must("start ZooKeeper", test.lab.start_zookeeper());
    // A bookie ends itself, now or later, if it could not register while ZooKeeper was empty.
    for bookie in 0..BOOKIES {
        must("kill a bookie", test.lab.kill(Server::Bookie(bookie)));
    }
    must("start the bookies", test.lab.start_bookies());
}

#[test]
fn every_state_of_a_cluster_is_told_and_nothing_is_changed() {
    if !real_servers::are_wanted() {
        return;
    }
    let mut test = real_servers::up(|options| options.bookie_count = BOOKIES);
    let truth = test.directory.path().join("truth.json");
    must("run the workload", test.lab.run_workload(&truth, WorkloadSize::Small));
    let event = expect(&test, "running", "healthy", &["whole"]);
    assert_eq!((event["lost"].as_array().unwrap().len(), &event["contents"]), (0, &serde_json::json!([])));

    must("kill the servers", test.lab.kill_servers());
    let (before, objects) = (nodes(&test), captured::content(&test.lab.tier2_directory()));
    expect(&test, "stopped", "healthy", &["whole"]);
    assert!(nodes(&test) == before && before.len() > 50, "ZNodes were changed");
    assert!(captured::content(&test.lab.tier2_directory()) == objects, "Tier-2 was changed");

    must("kill a bookie", test.lab.kill(Server::Bookie(0)));
    expect(&test, "one bookie gone", "partial-loss-2a", &["copies-missing"]);
    must("start the bookie", test.lab.start_bookie(0));

    let saved = empty_zookeeper(&mut test);
    let event = expect(&test, "ZooKeeper emptied under running bookies", "zookeeper-loss", &["log-gone"]);
    assert!(event["meaning"].as_array().unwrap().len() > 1, "no bookie was seen to hold a ledger: {event:#}");
    bring_zookeeper_back(&mut test, &saved);
    expect(&test, "ZooKeeper brought back", "healthy", &["whole"]);

    for bookie in 0..BOOKIES {
        must("kill a bookie", test.lab.kill(Server::Bookie(bookie)));
    }
    expect(&test, "all bookies down", "partial-loss-2b", &["bookies-silent"]);
    must("start the bookies", test.lab.start_bookies());
    must("delete the logs", test.lab.delete_znode("/pravega/lab/segmentstore"));
    expect(&test, "logs deleted", "zookeeper-loss", &["log-gone-ledgers-left"]);
    bring_zookeeper_back(&mut test, &saved);

    for bookie in 0..BOOKIES {
        must("kill a bookie", test.lab.kill(Server::Bookie(bookie)));
        must("wipe a bookie", test.lab.wipe_bookie(bookie));
    }
    must("delete the cookies", test.lab.delete_znode("/pravega/lab/bookkeeper/ledgers/cookies"));
    must("start empty bookies", test.lab.start_bookies());
    expect(&test, "all bookies empty", "partial-loss-2b", &["ledgers-gone"]);

    must("kill everything", test.lab.kill_all());
    must("wipe Tier-1", test.lab.wipe_tier1());
    let event = expect(&test, "nothing answers", "undetermined", &["unknown"]);
    assert_eq!(event["looked_at"][1]["reachable"], false);
    must("start a new Tier-1", test.lab.start_tier1());
    let event = expect(&test, "all lost", "total-loss", &["log-gone"]);
    assert_eq!(event["procedure"], "total-loss");

    let (root, properties) = (test.lab.tier2_directory(), test.lab.properties_file());
    let recover = ["recover", root.to_str().unwrap(), "--config", properties.to_str().unwrap(), "--yes"];
    let recovered = dr::run(test.directory.path(), recover);
    assert!(matches!(recovered.code, 0 | 4), "{}{}", recovered.stdout, recovered.stderr);
    expect(&test, "recovered", "recovered-not-booted", &["recovered"]);
    must("start the servers", test.lab.start_servers());
    expect(&test, "booted", "healthy", &["whole"]);
    must("take the lab down", test.lab.down());
}

//! The procedure `controller` on real servers: what only ZooKeeper knew of a controller's work is gone, and another controller
//! takes it over all the same.
//!
//! Without the procedure (environment variable `DR_TEST_WITHOUT_REPAIR`) this was seen of the same cluster: it starts and can be read,
//! but four transactions whose commit had been accepted were not committed, the open one was not aborted, and neither a scale nor
//! a seal was answered; every such check ran into its limit of a minute.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::time::{Duration, Instant};

use dr_backends::tier1::{Tier1Error, ZNodes, ZooKeeper, ZooKeeperOptions};
use dr_lab::Server;
use dr_tests::dr;
use dr_tests::real_servers::{self, TestLab, assert_all_ok, must};

const ROOT: &str = "/pravega/lab";
/// Commits that have to be accepted before the controller is killed.
const COMMITS: u64 = 150;
const COMMITS_LIMIT: Duration = Duration::from_secs(60);
/// The longest lease that the new controller grants: what it finds open gets one after twice that time. Clients take no shorter one.
const LEASE: Duration = Duration::from_secs(10);

fn delete_below(zookeeper: &ZooKeeper, path: &str) {
    for child in zookeeper.children(path).unwrap().unwrap_or_default() {
        delete_below(zookeeper, &format!("{path}/{child}"));
    }
    let Some(node) = zookeeper.get(path).unwrap() else { return };
    let deleted = zookeeper.delete(path, node.version);
    // The session of a node may have ended meanwhile.
    assert!(matches!(deleted, Ok(()) | Err(Tier1Error::NotFound { .. })), "{path}: {deleted:?}");
}

/// Deletes all that is not BookKeeper's or the segment stores'.
fn lose_the_controllers_znodes(test: &TestLab) {
    let zookeeper = ZooKeeper::connect(&test.lab.zookeeper_address(), ZooKeeperOptions::default()).unwrap();
    for child in zookeeper.children(ROOT).unwrap().unwrap() {
        if child != "bookkeeper" && child != "segmentstore" {
            delete_below(&zookeeper, &format!("{ROOT}/{child}"));
        }
    }
}

/// Kills the controller while it commits and scales. What it had under way reaches Tier-2.
fn kill_at_work(test: &mut TestLab) {
    let [truth, record] = ["handover.json", "record"].map(|name| test.directory.path().join(name));
    let work = must("start to work", test.lab.start_handover(&truth, &record));
    let began = Instant::now();
    while must("count commits", work.acknowledged()) < COMMITS {
        assert!(began.elapsed() < COMMITS_LIMIT, "too few commits were accepted");
        std::thread::sleep(Duration::from_millis(10));
    }
    must("kill the controller", test.lab.kill(Server::Controller));
    work.kill();
    must("flush", test.lab.flush());
    must("kill the segment store", test.lab.kill(Server::SegmentStore));
}

/// Returns the ZNodes that the plan created.
fn repair(test: &TestLab) -> Vec<String> {
    let (root, properties) = (test.lab.tier2_directory(), test.lab.properties_file());
    let run = test.directory.path().join("run");
    let arguments = ["recover", root.to_str().unwrap(), "--config", properties.to_str().unwrap(), "--yes"];
    let more = ["--procedure", "controller", "--run-directory", run.to_str().unwrap()];
    let said = dr::run(test.directory.path(), arguments.into_iter().chain(more)).expect_code(0);
    eprintln!("{}", said.stdout);
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("plan.json")).unwrap()).unwrap();
    let effects = plan["effects"].as_array().unwrap();
    effects.iter().map(|effect| effect["path"].as_str().unwrap().replace(&format!("{ROOT}/"), "")).collect()
}

#[test]
fn a_controller_takes_over_what_only_zookeeper_told_of_another_one() {
    if !real_servers::are_wanted() {
        return;
    }
    let mut test = real_servers::up(|options| {
        (options.bookie_count, options.ensemble_size, options.write_quorum, options.ack_quorum) = (1, 1, 1, 1);
        options.container_count = 2;
    });
    let [truth, record] = ["handover.json", "record"].map(|name| test.directory.path().join(name));
    must("prepare", test.lab.prepare_handover(&truth));
    kill_at_work(&mut test);
    lose_the_controllers_znodes(&test);
    if std::env::var_os("DR_TEST_WITHOUT_REPAIR").is_none() {
        let created = repair(&test);
        for (beginning, least) in [("counter", 1), ("buckets/0/", 1), ("eventProcessors/", 4), ("hostTxnIndex/", 1)] {
            let count = created.iter().filter(|path| path.starts_with(beginning)).count();
            assert!(count >= least, "{beginning}: {created:#?}");
        }
    }
    let properties = test.lab.controller_properties_file();
    real_servers::set_property(&properties, "controller.transaction.lease.count.max", LEASE.as_millis());
    must("start the servers", test.lab.start_servers());
    let report = must("check what is taken over", test.lab.check_handover(&truth, &record));
    for check in &report.checks {
        eprintln!("{} {}: {}", if check.ok { "ok  " } else { "FAIL" }, check.name, check.detail);
    }
    assert_all_ok("a controller took over", &report);
    must("take the lab down", test.lab.down());
}

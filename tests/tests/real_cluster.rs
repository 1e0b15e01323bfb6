//! Real clusters, destroyed for real, recovered by `dr`, judged by the unmodified Pravega and its Java client.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use dr_lab::{Lab, Server, WorkloadSize};
use dr_tests::captured;
use dr_tests::dr::{self, Finished};
use dr_tests::history::expect_open_transactions_aborted;
use dr_tests::real_servers::{self, TestLab, assert_all_ok, must};

/// Runs `dr recover` on a lab whose Tier-1 is new and empty.
fn recover(test: &TestLab, more: &[&str]) -> Finished {
    let lab = &test.lab;
    let root = lab.tier2_directory();
    let properties = lab.properties_file();
    let mut arguments = vec!["recover", root.to_str().unwrap(), "--config", properties.to_str().unwrap()];
    arguments.extend_from_slice(more);
    dr::run(test.directory.path(), arguments)
}

/// Kill -9 of everything, then a new and empty Tier-1.
fn lose_tier1(lab: &mut Lab) {
    must("kill everything", lab.kill_all());
    must("wipe Tier-1", lab.wipe_tier1());
    must("start a new Tier-1", lab.start_tier1());
}

/// The store tells in its log whether it took over old journals, which must never happen.
fn assert_no_old_journal_was_adopted(lab: &Lab) {
    let log = std::fs::read_to_string(lab.log_file(Server::SegmentStore)).unwrap();
    let applied: Vec<&str> =
        log.lines().filter(|line| line.contains("SystemJournal") && line.contains("applied")).collect();
    for line in applied.iter().filter(|line| line.contains("records")) {
        assert!(line.contains("applied 0 records") || !line.contains("Finished"), "{line}");
    }
}

/// What an operator gets wrong on such a night: each is refused, named, and leaves everything as it was.
fn refusals_change_nothing(test: &mut TestLab) {
    let tier2 = captured::content(&test.lab.tier2_directory());
    let wrong_path = recover(test, &["--yes", "--ledgers-path", "/no/such/ledgers"]);
    assert_ne!(wrong_path.code, 0);
    assert!(wrong_path.stderr.contains("error[ledgers-root]"), "{}", wrong_path.stderr);

    let nobody = recover(test, &["--yes", "--zookeeper", "127.0.0.1:1"]);
    assert_ne!(nobody.code, 0);
    assert!(nobody.stderr.contains("error[tier1-unavailable]"), "{}", nobody.stderr);

    let unconfirmed = recover(test, &[]).expect_code(3);
    assert!(unconfirmed.stderr.contains("error[no-terminal]"), "{}", unconfirmed.stderr);

    must("kill a bookie", test.lab.kill(Server::Bookie(0)));
    // Its registration lasts as long as its ZooKeeper session.
    let session_end = std::time::Instant::now() + std::time::Duration::from_secs(90);
    let is_missed = || recover(test, &["--dry-run"]).stderr.contains("error[bookies-missing]");
    while !is_missed() {
        assert!(std::time::Instant::now() < session_end, "the killed bookie is still registered");
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    let too_few = recover(test, &["--yes"]);
    assert_ne!(too_few.code, 0);
    assert!(too_few.stderr.contains("error[bookies-missing]"), "{}", too_few.stderr);
    assert_eq!(captured::content(&test.lab.tier2_directory()), tier2);
    must("start the bookie", test.lab.start_bookie(0));
}

/// The running cluster is what the plan made, to the last byte.
fn verify_online(test: &TestLab) {
    let (root, properties) = (test.lab.tier2_directory(), test.lab.properties_file());
    let controller = format!("http://127.0.0.1:{}", test.lab.ports().controller_rest);
    let (root, properties) = (root.to_str().unwrap(), properties.to_str().unwrap());
    let arguments = ["verify", root, "--config", properties, "--online", "--controller", &controller, "--read-data"];
    let said = dr::run(test.directory.path(), arguments.iter().chain(&["--output", "json"])).expect_code(0);
    let events: Vec<serde_json::Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = events.iter().find(|event| event["event"] == "verified-online").unwrap();
    assert_eq!(event["missing_streams"], serde_json::json!([]));
    assert!(event["segments"].as_u64().unwrap() > 100 && event["equal_bytes"].as_u64().unwrap() > 1 << 20, "{event}");
    let said = dr::run(test.directory.path(), arguments).expect_code(0);
    eprintln!("{}", said.stdout);
}

#[test]
fn a_flushed_cluster_comes_back_after_the_loss_of_its_whole_tier_1() {
    if !real_servers::are_wanted() {
        return;
    }
    let mut test = real_servers::up(|_| {});
    let truth = test.directory.path().join("truth.json");
    must("run the workload", test.lab.run_workload(&truth, WorkloadSize::Medium));
    must("flush", test.lab.flush());

    let live = recover(&test, &["--yes"]).expect_code(3);
    assert!(live.stderr.contains("live-cluster"), "{}", live.stderr);

    lose_tier1(&mut test.lab);
    refusals_change_nothing(&mut test);
    let recovered = recover(&test, &["--yes"]).expect_code(0);
    expect_open_transactions_aborted(&truth);
    eprintln!("{}", recovered.stdout);

    let properties = test.lab.properties_file();
    let root = test.lab.tier2_directory();
    let verify = ["verify", root.to_str().unwrap(), "--config", properties.to_str().unwrap(), "--read-data"];
    dr::run(test.directory.path(), verify).expect_code(0);

    must("start the servers", test.lab.start_servers());
    must("wait for the cluster", test.lab.await_cluster());
    verify_online(&test);
    assert_all_ok("everything is read back", &must("check", test.lab.run_checker(&truth)));
    assert_all_ok("old and new streams take work", &must("do more", test.lab.more(&truth)));
    assert_all_ok("retention goes on", &must("check retention", test.lab.check_retention(&truth)));
    assert_no_old_journal_was_adopted(&test.lab);

    must("kill the servers", test.lab.kill_servers());
    must("start the servers again", test.lab.start_servers());
    must("wait for the cluster", test.lab.await_cluster());
    assert_all_ok("everything is read back after another crash", &must("check", test.lab.run_checker(&truth)));
    must("take the lab down", test.lab.down());
}

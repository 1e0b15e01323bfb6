//! A real cluster killed under load that loses ZooKeeper, also with as many bookies as it can spare, or a half of what ZooKeeper knew of
//! ledgers, logs and bookies, or only what segment stores kept there: whatever had been acknowledged is read back, and the cluster goes on
//! with its old bookies and its old logs.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dr_backends::tier1::{
    BookKeeper, BookKeeperOptions, LedgerAccess, Ledgers as _, ZNodeData, ZNodes as _, ZooKeeper, ZooKeeperOptions,
};
use dr_engine::plan::Plan;
use dr_lab::{LabOptions, Server, WorkloadSize};
use dr_tests::dr::{self, Finished};
use dr_tests::history::{Flush, load_until_kill};
use dr_tests::real_servers::{self, TestLab, assert_all_ok, assert_no_container_failed, must};

/// Seeds of the moments of the crashes, one for each loss of ZooKeeper; others with `DR_TEST_SEEDS`, separated by commas.
const DEFAULT_SEEDS: &str = "3,5";

/// Longest wait until autorecovery has copied what was on lost bookies.
const COPYING_LIMIT: Duration = Duration::from_secs(120);

const LEDGERS: &str = "/pravega/lab/bookkeeper/ledgers";
const LOGS: &str = "/pravega/lab/segmentstore/containers";

/// What of ZooKeeper is left and right.
struct Left {
    znodes: Arc<ZooKeeper>,
    nodes: BTreeMap<String, ZNodeData>,
}

impl Left {
    /// Takes away every second ledger, every second log, a cookie, and the streams under retention.
    fn after_losing_a_half(test: &TestLab) -> Self {
        let znodes = must("connect", ZooKeeper::connect(&test.lab.zookeeper_address(), ZooKeeperOptions::default()));
        let znodes = Arc::new(znodes);
        let ledgers = registry(test);
        let registered = must("list ledgers", ledgers.registry().registered_ledgers());
        let lost = registered.iter().skip(1).step_by(2);
        lost.clone().for_each(|ledger| must("forget a ledger", ledgers.delete(ledger.id)));
        let closed = lost.filter(|ledger| ledger.end().is_some()).count();
        eprintln!("of {} ledgers every second one is lost, {closed} of them closed", registered.len());
        let cookies = format!("{LEDGERS}/cookies");
        let cookie = &znodes.children(&cookies).unwrap().unwrap()[0];
        for path in
            [format!("{LOGS}/0"), format!("{LOGS}/2"), format!("{cookies}/{cookie}"), "/pravega/lab/buckets".to_owned()]
        {
            must("delete ZNodes", test.lab.delete_znode(&path));
        }
        let mut nodes = BTreeMap::new();
        let mut pending = vec![LEDGERS.to_owned(), LOGS.to_owned()];
        while let Some(path) = pending.pop() {
            // Sessions of bookies that were killed end by themselves.
            let Some(node) = znodes.get(&path).unwrap().filter(|node| !node.ephemeral) else { continue };
            let children = znodes.children(&path).unwrap().unwrap_or_default();
            pending.extend(children.into_iter().map(|child| format!("{path}/{child}")));
            nodes.insert(path, node);
        }
        assert!(nodes.keys().any(|path| path.ends_with("/1/0/1")), "{:?}", nodes.keys());
        Self { znodes, nodes }
    }

    /// Nothing of it was written.
    fn assert_untouched(&self) {
        for (path, node) in &self.nodes {
            assert_eq!(self.znodes.get(path).unwrap().as_ref(), Some(node), "{path}");
        }
    }
}

/// What `dr diagnose` finds.
fn diagnosed(test: &TestLab) -> serde_json::Value {
    let (root, properties) = (test.lab.tier2_directory(), test.lab.properties_file());
    let arguments = ["diagnose", root.to_str().unwrap(), "--config", properties.to_str().unwrap(), "--output", "json"];
    let output = dr::run(test.directory.path(), arguments).expect_code(5).stdout;
    let mut events = output.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.find(|event| event["event"] == "diagnosed").unwrap()
}

/// Loses what ZooKeeper held and all that these bookies held, and restores it from the disks of the others. New bookies take the
/// place of those that are lost, whose ids are returned.
fn lose_zookeeper_and_recover(test: &mut TestLab, lost: &[u32]) -> Vec<String> {
    must("wipe ZooKeeper", test.lab.wipe_zookeeper());
    must("start ZooKeeper", test.lab.start_zookeeper());
    let mut flags = disks_without(test, lost);
    let ids: Vec<String> = lost.iter().map(|&bookie| must("lose a bookie", test.lab.replace_bookie(bookie))).collect();
    flags.extend(ids.iter().flat_map(|id| ["--lost-bookies".to_owned(), id.clone()]));
    let finished = try_to_recover(test, &flags);
    eprintln!("{}", finished.stdout);
    if finished.code != 0 {
        go_on_with_bookies(test, &finished);
    }
    ids
}

/// A log that cannot be proved to be whole is not replayed: its container is built anew with what is left of the log, which is all of it as long as
/// each entry has a copy. That needs bookies that run.
fn go_on_with_bookies(test: &mut TestLab, stopped: &Finished) {
    assert!(stopped.stderr.contains("error[bookies-stopped]: the old ledgers"), "{}", stopped.stderr);
    let runs = (1..).map(|number| test.directory.path().join(format!("run-{number}")));
    let run = runs.take_while(|run| run.exists()).last().unwrap();
    let plan = Plan::load(&run).unwrap();
    let anew = plan.decisions.iter().filter(|decision| decision.choice.starts_with("built anew"));
    anew.for_each(|decision| eprintln!("{}: {}: {}", decision.subject, decision.choice, decision.reason));
    assert_eq!(plan.losses, [], "nothing is lost as long as each entry has a copy");
    must("start the old bookies and the new ones", test.lab.start_bookies());
    dr::run_when_sessions_end(test.directory.path(), &["apply", run.to_str().unwrap(), "--yes"]).expect_code(0);
}

/// Has autorecovery copy what was on lost bookies, as the runbook says: until then the next loss of as many bookies can be that of the
/// last copy.
fn copy_what_was_on(lost: &[String], test: &mut TestLab) {
    must("start autorecovery", test.lab.start_auto_recovery());
    let ledgers = registry(test);
    let began = Instant::now();
    loop {
        let registered = must("list ledgers", ledgers.registry().registered_ledgers());
        // Those of no log may have been deleted before, and lack entries that nobody can copy.
        let of_logs = registered.iter().filter(|ledger| ledger.container.is_some());
        let waiting: Vec<_> = of_logs.filter(|ledger| lost.iter().any(|id| ledger.bookies.contains(id))).collect();
        if waiting.is_empty() {
            break;
        }
        assert!(test.lab.is_running(Server::AutoRecovery), "autorecovery ended");
        assert!(
            began.elapsed() < COPYING_LIMIT,
            "of {} ledgers these wait to be copied: {waiting:?}",
            registered.len()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    eprintln!("autorecovery copied what was on {lost:?} in {:?}", began.elapsed());
    must("stop autorecovery", test.lab.kill(Server::AutoRecovery));
}

/// What ZooKeeper knows of ledgers.
fn registry(test: &TestLab) -> BookKeeper {
    let znodes = must("connect", ZooKeeper::connect(&test.lab.zookeeper_address(), ZooKeeperOptions::default()));
    let ledgers = BookKeeper::open_as_it_is(Arc::new(znodes), LedgerAccess::new(LEDGERS), BookKeeperOptions::default());
    must("open BookKeeper", ledgers)
}

/// Flags that name the disks of all bookies but these.
fn disks_without(test: &TestLab, lost: &[u32]) -> Vec<String> {
    let left = (0..test.lab.options().bookie_count).filter(|bookie| !lost.contains(bookie));
    let disks = left.map(|bookie| test.lab.bookie_directory(bookie));
    disks.flat_map(|disk| ["--bookie-disks".to_owned(), disk.to_str().unwrap().to_owned()]).collect()
}

/// The bookies whose disks are lost with ZooKeeper: one fewer than there are copies of each entry, then one, which are other ones
/// with each seed.
fn lost_bookies(loss: u32, seed: u64, options: &LabOptions) -> Vec<u32> {
    let count = if loss == 1 { options.write_quorum - 1 } else { 1 };
    (0..count).map(|number| (u32::try_from(seed).unwrap() + number) % options.bookie_count).collect()
}

/// Surveys the disks of each bookie by itself, and gives the flag that names the files.
fn surveys(test: &TestLab) -> Vec<String> {
    let properties = test.lab.properties_file();
    let survey = |bookie: u32| {
        let (disk, file) = (test.lab.bookie_directory(bookie), test.directory.path().join(format!("{bookie}.survey")));
        let [disk, properties, file] = [&disk, &properties, &file].map(|path| path.to_str().unwrap().to_owned());
        let arguments = ["survey-bookie", &disk, "--config", &properties, "--output", &file];
        dr::run(test.directory.path(), arguments).expect_code(0);
        file
    };
    let files = (0..test.lab.options().bookie_count).map(survey);
    std::iter::once("--bookie-surveys".to_owned()).chain(files).collect()
}

fn recover(test: &TestLab, flags: &[String]) {
    let finished = try_to_recover(test, flags).expect_code(0);
    eprintln!("{}", finished.stdout);
}

fn try_to_recover(test: &TestLab, flags: &[String]) -> Finished {
    let run =
        (1..).map(|number| test.directory.path().join(format!("run-{number}"))).find(|run| !run.exists()).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (root, properties) = (text(&test.lab.tier2_directory()), text(&test.lab.properties_file()));
    let mut arguments = ["recover", &root, "--config", &properties, "--yes", "--run-directory", &text(&run)]
        .map(str::to_owned)
        .to_vec();
    arguments.extend_from_slice(flags);
    dr::run_when_sessions_end(test.directory.path(), &arguments)
}

fn start(step: &str, test: &mut TestLab) {
    must("start the bookies", test.lab.start_bookies());
    must("start the servers", test.lab.start_servers());
    assert_no_container_failed(step, &test.lab);
}

/// Reads back what was acknowledged to a load: all of it.
fn check(step: &str, acknowledgements: &Path, test: &TestLab) {
    let report = must("check the load", test.lab.check_load(acknowledgements));
    assert_all_ok(step, &report.report());
    eprintln!("{step}: {report:?}");
    assert!(report.acknowledged_events > 1000, "{step}: {report:?}");
    assert_eq!((report.read_events, report.lost_events), (report.acknowledged_events, 0), "{step}");
    assert_eq!((report.lost_updates, report.lost_transactions, report.torn_transactions), (0, 0, 0), "{step}");
}

#[test]
fn nothing_that_was_acknowledged_is_lost_with_zookeeper() {
    if !real_servers::are_wanted() {
        return;
    }
    let mut test = real_servers::up(|options| {
        options.writer_flush_milliseconds = 1000;
        options.bookie_count = 4;
        // Each entry lies on other three of four.
        options.ensemble_size = 4;
    });
    let truth = test.directory.path().join("truth.json");
    must("run the workload", test.lab.run_workload(&truth, WorkloadSize::Small));
    let mut loads = Vec::new();
    for (number, seed) in (1..).zip(real_servers::seeds(DEFAULT_SEEDS)) {
        loads.push(load_until_kill(&mut test, seed, Flush::Once));
        let lost = lost_bookies(number, seed, test.lab.options());
        let lost_ids = lose_zookeeper_and_recover(&mut test, &lost);
        let step = format!("after loss {number}, with bookies {lost:?}");
        start(&step, &mut test);
        loads.iter().for_each(|load| check(&step, load, &test));
        copy_what_was_on(&lost_ids, &mut test);
    }
    assert_all_ok("what was at rest is read back", &must("check", test.lab.run_checker(&truth)));
    assert_all_ok("old and new streams take work", &must("do more", test.lab.more(&truth)));

    loads.push(load_until_kill(&mut test, 9, Flush::Never));
    must("start Tier-1 again", test.lab.start_tier1());
    must("delete the ZNodes of the logs", test.lab.delete_znode("/pravega/lab/segmentstore"));
    recover(&test, &[]);
    must("start the servers", test.lab.start_servers());
    loads.iter().for_each(|load| check("after the loss of the logs' ZNodes", load, &test));
    must("take the lab down", test.lab.down());
}

#[test]
fn a_half_of_zookeeper_that_is_left_is_used_with_surveys_of_the_disks() {
    if !real_servers::are_wanted() {
        return;
    }
    let mut test = real_servers::up(|options| {
        options.writer_flush_milliseconds = 1000;
        // What was acknowledged can lie on two of three bookies.
        options.ack_quorum = 2;
    });
    // So that the disks hold ledgers that the logs were truncated behind.
    must("kill the servers", test.lab.kill_servers());
    must("start the servers again", test.lab.start_servers());
    let load = load_until_kill(&mut test, 11, Flush::Never);
    must("start ZooKeeper again", test.lab.start_zookeeper());
    let left = Left::after_losing_a_half(&test);
    let diagnosis = diagnosed(&test);
    assert_eq!(diagnosis["scenario"], "zookeeper-partly-lost", "{diagnosis}");
    assert_eq!(diagnosis["procedure"], "zookeeper-loss");
    let surveys = surveys(&test);
    // Ledgers and bookies; then the bookies run, and the same command restores the logs from what they serve.
    let stopped = try_to_recover(&test, &surveys).expect_code(1);
    assert!(stopped.stderr.contains("error[bookies-stopped]: the first of two steps is done"), "{}", stopped.stderr);
    assert_eq!(diagnosed(&test)["scenario"], "recovery-half-done");
    must("start the bookies", test.lab.start_bookies());
    recover(&test, &surveys);
    left.assert_untouched();
    let step = "after the loss of a half of ZooKeeper";
    start(step, &mut test);
    check(step, &load, &test);
    must("take the lab down", test.lab.down());
}

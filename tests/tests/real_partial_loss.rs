//! A real cluster killed under load that loses more bookies than its ledgers can spare, with ZooKeeper and without: logs that have holes are
//! built anew from Tier-2 and from what is left of them, and all of that is read back.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use dr_lab::WorkloadSize;
use dr_tests::dr;
use dr_tests::history::{Flush, Load, boot, load_until_kill};
use dr_tests::kept::Kept;
use dr_tests::real_servers::{self, TestLab, assert_all_ok, must};

/// Seeds of the moments of the crashes; others with `DR_TEST_SEEDS`.
const DEFAULT_SEEDS: &str = "6,8";
/// Bookies whose disks are lost, of three; each entry was on two of these, so that every third entry is gone.
const LOST: [u32; 2] = [0, 2];

/// Loses two bookies, and every second time ZooKeeper as well. Returns the ids of the bookies.
fn lose(test: &mut TestLab, loss: u32) -> Vec<String> {
    if loss % 2 == 1 {
        must("wipe ZooKeeper", test.lab.wipe_zookeeper());
    }
    must("start ZooKeeper", test.lab.start_zookeeper());
    LOST.map(|bookie| must("lose a bookie", test.lab.replace_bookie(bookie))).to_vec()
}

fn recover(test: &mut TestLab, lost: &[String], directory: &Path) {
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (root, properties) = (text(test.lab.tier2_directory()), text(test.lab.properties_file()));
    let directory = text(directory.to_owned());
    let mut arguments =
        ["recover", &root, "--config", &properties, "--yes", "--accept-loss", "--run-directory", &directory]
            .map(str::to_owned)
            .to_vec();
    for bookie in (0..test.lab.options().bookie_count).filter(|bookie| !LOST.contains(bookie)) {
        arguments.extend(["--bookie-disks".to_owned(), text(test.lab.bookie_directory(bookie))]);
    }
    arguments.extend(["--lost-bookies".to_owned(), lost.join(",")]);
    let stopped = dr::run_when_sessions_end(test.directory.path(), &arguments);
    eprintln!("{}", stopped.stdout);
    assert!(stopped.stderr.contains("error[bookies-stopped]"), "{}", stopped.stderr);
    must("start the old bookies and the new ones", test.lab.start_bookies());
    let arguments = ["apply", &directory, "--yes", "--accept-loss"];
    let finished = dr::run_when_sessions_end(test.directory.path(), &arguments);
    eprintln!("{}", finished.stdout);
    assert!(matches!(finished.code, 0 | 4), "{}: {}", finished.code, finished.stderr);
}

#[test]
fn what_is_left_of_logs_with_holes_is_read_back_with_all_that_tier_2_holds() {
    if !real_servers::are_wanted() {
        return;
    }
    let mut test = real_servers::up(|options| {
        options.writer_flush_milliseconds = 4000;
        options.write_quorum = 2;
        options.ack_quorum = 2;
    });
    let truth = test.directory.path().join("truth.json");
    must("run the workload", test.lab.run_workload(&truth, WorkloadSize::Small));
    let mut loads: Vec<Load> = Vec::new();
    for (loss, seed) in (1..).zip(real_servers::seeds(DEFAULT_SEEDS)) {
        let acknowledgements = load_until_kill(&mut test, seed, Flush::Once);
        let tiered = Load::of(&acknowledgements, &test).held_events();
        let lost = lose(&mut test, loss);
        let directory = test.directory.path().join(format!("run-{loss}"));
        recover(&mut test, &lost, &directory);
        // What was left of the logs lies in Tier-2 now, and is counted there without any metadata. How much that is depends on where
        // the first hole is, and can be nothing.
        let load = Load::of(&acknowledgements, &test);
        eprintln!("of the logs {} whole events were added to {tiered}", load.held_events() - tiered);
        loads.push(load);
        let kept = Kept::of(&test.lab.tier2_directory(), &directory);
        // A log of which all entries behind its truncation happen to be on the bookie that is left needs not be built anew.
        let (built_anew, whole) = (kept.plan.containers.len(), kept.plan.restored.len());
        eprintln!("{built_anew} containers built anew, {whole} logs whole");
        assert!(built_anew > 0 && built_anew + whole == test.lab.options().container_count as usize);
        boot(&format!("after loss {loss}"), &mut test, &kept);
        for load in &loads {
            load.check(&format!("after loss {loss}"), &test);
        }
    }
    assert_all_ok("what was at rest is read back", &must("check", test.lab.run_checker(&truth)));
    assert_all_ok("old and new streams take work", &must("do more", test.lab.more(&truth)));
    must("kill the servers", test.lab.kill_servers());
    must("start the servers again", test.lab.start_servers());
    for load in &loads {
        load.check("after another crash", &test);
    }
    must("take the lab down", test.lab.down());
}

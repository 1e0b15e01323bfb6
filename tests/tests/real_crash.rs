//! A real cluster killed under load, again and again: what Tier-2 holds is counted without any metadata, and has to be read
//! back after each recovery, all of it and nothing else.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use dr_lab::WorkloadSize;
use dr_tests::history::{Load, lose_and_recover};
use dr_tests::real_servers::{self, TestLab, assert_all_ok, must};

/// Seeds of the moments of the crashes, one for each total loss of the same cluster; others with `DR_TEST_SEEDS`.
const DEFAULT_SEEDS: &str = "8,12";

fn check(step: &str, loads: &[Load], test: &TestLab) {
    for (number, load) in (1..).zip(loads) {
        load.check(&format!("{step}, load {number}"), test);
    }
}

#[test]
fn what_tier_2_holds_of_each_crash_under_load_is_read_back_and_nothing_else() {
    if !real_servers::are_wanted() {
        return;
    }
    let seeds = real_servers::seeds(DEFAULT_SEEDS);
    let mut test = real_servers::up(|options| options.writer_flush_milliseconds = 1000);
    let truth = test.directory.path().join("truth.json");
    must("run the workload", test.lab.run_workload(&truth, WorkloadSize::Small));
    let mut loads = Vec::new();
    for (loss, seed) in (1..).zip(seeds) {
        loads.push(lose_and_recover(&mut test, seed));
        check(&format!("after loss {loss}"), &loads, &test);
    }
    assert_all_ok("what was at rest is read back", &must("check", test.lab.run_checker(&truth)));
    assert_all_ok("old and new streams take work", &must("do more", test.lab.more(&truth)));

    must("kill the servers", test.lab.kill_servers());
    must("start the servers again", test.lab.start_servers());
    check("after another crash", &loads, &test);
    must("take the lab down", test.lab.down());
}

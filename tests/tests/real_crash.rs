//! A real cluster killed under load, again and again: what Tier-2 holds is counted without any metadata, and has to be read
//! back after each recovery, all of it and nothing else.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use dr_lab::WorkloadSize;
use dr_tests::history::{Load, lose_and_recover};
use dr_tests::real_servers::{self, TestLab, assert_all_ok, must};

/// Seeds of the moments of the crashes; others with `DR_TEST_SEEDS`, separated by commas.
const DEFAULT_SEEDS: &str = "7,11";
/// Total losses for each seed, all of the same cluster.
const LOSSES: u64 = 1;

/// A seed for each loss.
fn seeds() -> Vec<u64> {
    let seeds = std::env::var("DR_TEST_SEEDS").unwrap_or(DEFAULT_SEEDS.to_owned());
    eprintln!("DR_TEST_SEEDS={seeds}");
    seeds.split(',').flat_map(|seed| (1..=LOSSES).map(move |loss| seed.parse::<u64>().unwrap() + loss)).collect()
}

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
    let seeds = seeds();
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

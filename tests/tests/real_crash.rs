//! A real cluster killed under load, again and again: what Tier-2 holds is counted without any metadata, and has to be read
//! back after each recovery, all of it and nothing else. Every other recovery is the work of the procedure in Python.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::Path;

use dr_lab::WorkloadSize;
use dr_tests::history::{Load, lose_and_recover};
use dr_tests::real_servers::{self, TestLab, assert_all_ok, must};

/// Seeds of the moments of the crashes, one for each total loss of the same cluster; others with `DR_TEST_SEEDS`.
const DEFAULT_SEEDS: &str = "8,12";

/// The procedure in Python, with what it has to be granted; nothing, which means the built-in one, if it is not built.
fn in_python() -> Vec<String> {
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests/python-total-loss.wasm");
    if !component.is_file() {
        eprintln!("LEFT OUT: the recovery by the procedure in Python; run `cargo xtask guests --examples`");
        return Vec::new();
    }
    let granted = "storage.move-aside,containers.open-fresh-container,coordination.create,coordination.set";
    ["--procedure", component.to_str().unwrap(), "--grant", granted].map(str::to_owned).to_vec()
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
    let seeds = real_servers::seeds(DEFAULT_SEEDS);
    let mut test = real_servers::up(|options| options.writer_flush_milliseconds = 1000);
    let truth = test.directory.path().join("truth.json");
    must("run the workload", test.lab.run_workload(&truth, WorkloadSize::Small));
    let mut loads = Vec::new();
    for (loss, seed) in (1..).zip(seeds) {
        // Each procedure recovers what the other one has written.
        let procedure = if loss % 2 == 0 { in_python() } else { Vec::new() };
        let words: Vec<&str> = procedure.iter().map(String::as_str).collect();
        loads.push(lose_and_recover(&mut test, seed, &words));
        check(&format!("after loss {loss}"), &loads, &test);
    }
    assert_all_ok("what was at rest is read back", &must("check", test.lab.run_checker(&truth)));
    assert_all_ok("old and new streams take work", &must("do more", test.lab.more(&truth)));

    must("kill the servers", test.lab.kill_servers());
    must("start the servers again", test.lab.start_servers());
    check("after another crash", &loads, &test);
    must("take the lab down", test.lab.down());
}

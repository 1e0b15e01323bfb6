//! A slice of the histories of `cargo xtask histories`, on real servers.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used)]

use dr_tests::histories::all;
use dr_tests::real_servers;

/// Runs a history by its name.
fn run(name: &str) {
    if !real_servers::are_wanted() {
        return;
    }
    let history = all().into_iter().find(|history| history.name == name).unwrap();
    let summary = (history.run)();
    assert!(summary.recoveries > 0 && summary.segments > 0 && summary.checks > 0, "{summary:?}");
}

#[test]
fn a_cluster_that_was_never_flushed_boots_empty_takes_work_and_can_be_lost_again() {
    run("never-flushed");
}

#[test]
fn a_cluster_of_which_an_object_of_each_class_was_damaged_boots_and_takes_work_in_every_container() {
    run("damaged-capture");
}

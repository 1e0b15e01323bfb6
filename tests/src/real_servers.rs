//! Labs for tests: real servers, ended with the test whatever happens.
// What a test on real servers did is worth a line in its output.
#![allow(clippy::print_stderr)]

use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use dr_lab::{Lab, LabOptions, Report};
use tempfile::TempDir;

/// Name of the environment variable by which `cargo xtask test` says whether real servers can run here: `yes` or `no`.
pub const VARIABLE: &str = "DR_TEST_REAL_SERVERS";

/// True if tests on real servers are to run. They are left out only by an explicit `no`, which `cargo xtask test` sets
/// on machines without Java or Maven and says so loudly; so they can never be left out silently.
pub fn are_wanted() -> bool {
    let wanted = std::env::var(VARIABLE).as_deref() != Ok("no");
    if !wanted {
        eprintln!("LEFT OUT: this test needs real servers ({VARIABLE}=no)");
    }
    wanted
}

/// Seeds of the moments at which a cluster is killed: those of the environment variable `DR_TEST_SEEDS`, separated by commas, or
/// else these.
///
/// # Panics
/// If one is no number.
pub fn seeds(default: &str) -> Vec<u64> {
    let seeds = std::env::var("DR_TEST_SEEDS").unwrap_or(default.to_owned());
    eprintln!("DR_TEST_SEEDS={seeds}");
    seeds.split(',').map(|seed| must("read a seed", seed.parse())).collect()
}

/// A running lab in a temporary directory.
#[derive(Debug)]
pub struct TestLab {
    /// The lab; dropped first, which ends the servers.
    pub lab: Lab,
    /// Its work directory.
    pub directory: TempDir,
}

/// Creates a lab and starts all its servers.
///
/// # Panics
/// If that fails, with the reason.
pub fn up(change: impl FnOnce(&mut LabOptions)) -> TestLab {
    let mut test = create(change);
    must("start the lab", test.lab.up());
    test
}

/// Creates a lab in which nothing runs yet. Its directory stays if the environment variable `DR_TEST_KEEP` is set.
///
/// # Panics
/// If that fails, with the reason.
pub fn create(change: impl FnOnce(&mut LabOptions)) -> TestLab {
    let mut directory = must("create a directory", tempfile::tempdir());
    if std::env::var_os("DR_TEST_KEEP").is_some() {
        directory.disable_cleanup(true);
        eprintln!("the lab stays in {}", directory.path().display());
    }
    let mut options = LabOptions::new(directory.path().join("lab"));
    change(&mut options);
    let lab = must("create the lab", Lab::create(options));
    TestLab { lab, directory }
}

/// Changes a property of a server's configuration, which counts when it starts the next time: of two lines the later one wins.
///
/// # Panics
/// If the file cannot be written.
pub fn set_property(file: &Path, key: &str, value: impl Display) {
    let mut properties = must("open the configuration", File::options().append(true).open(file));
    must("change the configuration", writeln!(properties, "{key}={value}"));
}

/// The value, or a panic that says what was tried.
///
/// # Panics
/// If the result is an error.
#[track_caller]
pub fn must<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> T {
    assert!(result.is_ok(), "cannot {what}: {:?}", result.as_ref().err());
    result.unwrap_or_else(|_| unreachable!())
}

/// Fails with all checks that failed.
///
/// # Panics
/// If one failed, or none was made.
#[track_caller]
pub fn assert_all_ok(step: &str, report: &Report) {
    assert!(!report.checks.is_empty(), "{step}: no check was made");
    assert!(report.all_ok(), "{step}: {:#?}", report.failures());
    eprintln!("{step}: {} checks ok", report.checks.len());
}

/// Fails if the segment store says that one of its containers, or the writer of one, had to stop.
///
/// # Panics
/// If one did, with what the store said.
#[track_caller]
pub fn assert_no_container_failed(step: &str, lab: &Lab) {
    let failures = must("read the store's log", lab.store_failures());
    assert!(failures.is_empty(), "{step}: {failures:#?}");
}

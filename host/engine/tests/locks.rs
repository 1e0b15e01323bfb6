//! One dr at a time: locks of processes that run, of processes that ended, and of those that cannot be seen.
// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dr_backends::tier1::ZNodes as _;
use dr_engine::apply::{Application, IN_PROGRESS_KEY, Patience, apply, roll_back};
use dr_engine::error::OperatorError;
use dr_engine::journal::Journal;
use dr_engine::plan::Plan;
use dr_engine::process::Process;
use dr_engine::progress::Silent;
use serde_json::{Value, json};
use support::Cluster;

/// A plan that nobody applied.
struct Planned {
    cluster: Cluster,
    plan: Plan,
    run: PathBuf,
}

fn planned() -> Planned {
    let cluster = support::captured("never-flushed");
    let (plan, run) = cluster.plan("run");
    Planned { cluster, plan, run }
}

impl Planned {
    fn does<T>(
        &self,
        break_lock: bool,
        work: impl Fn(&Application<'_>) -> Result<T, OperatorError>,
    ) -> Result<T, OperatorError> {
        let journal = Journal::open(&self.run)?;
        work(&Application {
            plan: &self.plan,
            directory: &self.run,
            journal: &journal,
            tier2: self.cluster.tier2.as_ref(),
            tier1: self.cluster.tier1(),
            layout: &self.cluster.layout,
            stamps: None,
            parallel: 1,
            accept_live_cluster: false,
            break_lock,
            patience: Patience::NONE,
        })
    }

    fn apply(&self, break_lock: bool) -> Result<(), OperatorError> {
        self.does(break_lock, |application| apply(application, &Silent).map(drop))
    }

    /// Puts a lock where a dr would have put it.
    fn lock(&self, plan: &str, holder: &Value) {
        let content = json!({"plan": plan, "run_directory": "/runs/1", "tier2": "elsewhere", "holder": holder});
        let path = self.cluster.layout.lock_znode();
        self.cluster.znodes.create(&path, &serde_json::to_vec(&content).unwrap()).unwrap();
    }

    fn is_locked(&self) -> bool {
        self.cluster.znodes.get(&self.cluster.layout.lock_znode()).unwrap().is_some()
    }
}

/// This process with something changed.
fn process(field: &str, value: impl Into<Value>) -> Value {
    let mut process = serde_json::to_value(Process::own()).unwrap();
    assert!(process.get(field).is_some(), "{field}");
    process[field] = value.into();
    process
}

#[test]
fn a_run_directory_is_used_by_one_process() {
    let planned = planned();
    let other = Journal::open(&planned.run).unwrap();
    let error = planned.apply(true).unwrap_err();
    assert_eq!(error.code, "lock-held");
    drop(other);
    planned.apply(false).unwrap();
    assert!(!planned.is_locked());
}

#[test]
fn the_lock_of_a_process_that_runs_is_never_broken() {
    let planned = planned();
    let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let began: u64 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    let mut holder = process("pid", child.id());
    holder["began"] = began.into();
    planned.lock(&planned.plan.id, &holder);
    for break_lock in [false, true] {
        let error = planned.apply(break_lock).unwrap_err();
        assert_eq!(error.code, "lock-held", "{error}");
        assert!(error.why.unwrap().ends_with("is running"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The same plan takes over from it.
    planned.apply(false).unwrap();
    assert!(!planned.is_locked());
}

#[test]
fn the_lock_of_a_process_that_cannot_be_seen_is_broken_on_demand() {
    let planned = planned();
    planned.lock(&planned.plan.id, &process("machine", "another"));
    let error = planned.apply(false).unwrap_err();
    assert_eq!(error.code, "lock-held", "{error}");
    assert!(error.next_step.contains("--break-lock") && error.why.unwrap().contains("cannot be seen from here"));
    planned.apply(true).unwrap();
    assert!(!planned.is_locked());
}

#[test]
fn a_lock_that_was_let_go_or_left_by_a_crash_is_taken_over() {
    for holder in [Value::Null, process("boot", "earlier"), process("began", 1)] {
        let planned = planned();
        planned.lock(&planned.plan.id, &holder);
        planned.apply(false).unwrap();
        assert!(!planned.is_locked(), "{holder}");
    }
}

#[test]
fn the_lock_of_another_plan_is_refused_and_stays() {
    let planned = planned();
    planned.lock("another", &Value::Null);
    let error = planned.apply(false).unwrap_err();
    assert_eq!(error.code, "recovery-in-progress", "{error}");
    assert!(error.next_step.contains("dr rollback /runs/1"), "{}", error.next_step);
    assert!(planned.is_locked());
    assert!(!planned.cluster.tier2.root().join(IN_PROGRESS_KEY).exists());
    planned.apply(true).unwrap();
}

#[test]
fn a_node_that_is_no_lock_is_not_touched() {
    let planned = planned();
    planned.cluster.znodes.create(&planned.cluster.layout.lock_znode(), b"something").unwrap();
    assert_eq!(planned.apply(false).unwrap_err().code, "lock-held");
    planned.apply(true).unwrap();
}

#[test]
fn a_claim_in_tier2_says_whether_its_dr_runs() {
    let planned = planned();
    let other: &Path = &planned.cluster.directory.path().join("other");
    std::fs::create_dir(other).unwrap();
    let marker = json!({"plan": "p", "run_directory": other, "tier1": "t", "container_count": 4});
    let path = planned.cluster.tier2.root().join(IN_PROGRESS_KEY);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, serde_json::to_vec(&marker).unwrap()).unwrap();
    let refused = |expected: &str| {
        let error = planned.apply(false).unwrap_err();
        assert_eq!(error.code, "recovery-in-progress");
        assert!(error.why.as_ref().unwrap().contains(expected), "{error}");
        // It was taken before the claim was seen, and given back.
        assert!(!planned.is_locked());
    };
    refused("cannot be seen");
    let journal = Journal::open(other).unwrap();
    refused("at this moment");
    drop(journal);
    refused("interrupted");
}

#[test]
fn another_run_of_the_same_plan_is_refused_and_takes_nothing_back() {
    let planned = planned();
    let other: &Path = &planned.cluster.directory.path().join("other");
    std::fs::create_dir(other).unwrap();
    let tier1 = planned.cluster.znodes.location();
    let marker = json!({"plan": planned.plan.id, "run_directory": other, "tier1": tier1, "container_count": 4});
    let path = planned.cluster.tier2.root().join(IN_PROGRESS_KEY);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, serde_json::to_vec(&marker).unwrap()).unwrap();
    assert_eq!(planned.apply(false).unwrap_err().code, "recovery-in-progress");
    let error = planned.does(false, |application| roll_back(application, &Silent)).unwrap_err();
    assert_eq!(error.code, "nothing-applied");
    assert!(path.exists() && !planned.is_locked());
    // The run directory was moved to where it is now.
    std::fs::remove_dir(other).unwrap();
    planned.apply(false).unwrap();
}

#[test]
fn a_run_that_left_only_its_lock_is_rolled_back() {
    let planned = planned();
    planned.lock(&planned.plan.id, &process("began", 1));
    planned.does(false, |application| roll_back(application, &Silent)).unwrap();
    assert!(!planned.is_locked());
    let error = planned.does(false, |application| roll_back(application, &Silent)).unwrap_err();
    assert_eq!(error.code, "nothing-applied");
}

//! One cluster on its way through losses and recoveries: the steps that histories are made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dr_formats::names::owning_container;
use dr_lab::{LabOptions, Server, WorkloadSize};

use crate::history::{self, Flush, Load};
use crate::kept::Kept;
use crate::real_servers::{self, TestLab, assert_all_ok, assert_no_container_failed, must};

/// What was seen, for the table.
#[derive(Debug, Default, Clone)]
pub struct Summary {
    /// Total losses that were recovered.
    pub recoveries: u64,
    /// The highest epoch in the names of Tier-2's objects at a loss.
    pub epoch: u64,
    /// Segments read back byte for byte after the recoveries.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Ranges that the plans give up.
    pub losses: u64,
    /// Events of loads: acknowledged, whole in Tier-2, read.
    pub events: [u64; 3],
    /// Checks by the client.
    pub checks: u64,
}

/// A cluster, what was written to it, and what was seen.
#[derive(Debug)]
pub struct Course {
    /// The servers.
    pub test: TestLab,
    /// What was seen so far.
    pub summary: Summary,
    truth: PathBuf,
    loads: Vec<Load>,
    rounds_of_work: u32,
}

impl Course {
    /// A lab in which nothing runs.
    pub fn prepare(change: impl FnOnce(&mut LabOptions)) -> Self {
        let test = real_servers::create(change);
        let truth = test.directory.path().join("truth.json");
        Self { test, summary: Summary::default(), truth, loads: Vec::new(), rounds_of_work: 0 }
    }

    /// A running cluster.
    pub fn begin(change: impl FnOnce(&mut LabOptions)) -> Self {
        let mut course = Self::prepare(change);
        must("start the lab", course.test.lab.up());
        course
    }

    /// Uses every feature once.
    pub fn workload(&mut self) {
        must("run the workload", self.test.lab.run_workload(&self.truth, WorkloadSize::Small));
    }

    /// What was written so far is not expected to be there any more.
    pub fn forget_workload(&mut self) {
        if self.truth.exists() {
            std::fs::remove_file(&self.truth).unwrap();
        }
    }

    /// Kill -9 of everything under load.
    pub fn crash(&mut self, seed: u64, flush: Flush) {
        self.loads.push(history::crash_under_load(&mut self.test, seed, flush));
    }

    /// Kill -9 of everything while a controller makes changes of every kind: so many, at least.
    pub fn crash_under_changes(&mut self, changes: u64) {
        let file = self.test.directory.path().join("changes");
        let running = must("start changes", self.test.lab.start_changes(&file));
        history::wait_for_acknowledgements(&running, changes);
        must("kill everything", self.test.lab.kill_all());
        running.kill();
    }

    /// Whatever is left of the changes takes every other one.
    pub fn check_changes(&mut self) {
        let report = must("check the changes", self.test.lab.check_changes());
        self.count("what a controller was changing", &report);
    }

    /// From the next start on the store moves data to Tier-2 after so many milliseconds. A flush on purpose can wait as long as this time: the
    /// writer of a container that has nothing to do notices it late.
    pub fn flush_within(&self, milliseconds: u64) {
        let properties = self.test.lab.properties_file();
        real_servers::set_property(&properties, "writer.flush.threshold.milliseconds", milliseconds);
    }

    /// Everything to Tier-2.
    pub fn flush(&mut self) {
        must("flush", self.test.lab.flush());
    }

    /// Loses Tier-1, recovers, starts the servers, and reads everything that the plan keeps.
    pub fn lose_and_recover(&mut self) -> Kept {
        history::lose_tier1(&mut self.test);
        self.recover()
    }

    /// Recovers onto a new Tier-1, starts the servers, and reads everything that the plan keeps.
    pub fn recover(&mut self) -> Kept {
        self.recover_with(&[])
    }

    /// The same with more arguments for `dr recover`.
    pub fn recover_with(&mut self, more: &[&str]) -> Kept {
        self.summary.epoch = self.summary.epoch.max(self.highest_epoch());
        let kept = history::recover_with(&self.test, more);
        self.summary.recoveries += 1;
        let step = format!("recovery {}", self.summary.recoveries);
        let compared = history::boot(&step, &mut self.test, &kept);
        self.summary.segments += compared.segments;
        self.summary.bytes += compared.bytes;
        self.summary.losses += kept.plan.losses.len() as u64;
        kept
    }

    fn highest_epoch(&self) -> u64 {
        let keys = crate::captured::content(&self.test.lab.tier2_directory()).into_keys();
        let epoch = |key: String| dr_formats::names::ChunkName::parse(&key).map(|chunk| chunk.epoch);
        keys.filter(|key| !key.starts_with("_dr/")).filter_map(epoch).max().unwrap_or(0)
    }

    /// Reads back all loads, exactly, and the workload.
    pub fn check(&mut self, step: &str) {
        for (number, load) in (1..).zip(&self.loads) {
            let figures = load.check(&format!("{step}, load {number}"), &self.test);
            let all = [figures.acknowledged, figures.held, figures.read];
            self.summary.events.iter_mut().zip(all).for_each(|(sum, figure)| *sum += figure);
        }
        if self.truth.exists() {
            let report = must("check", self.test.lab.run_checker(&self.truth));
            self.count(step, &report);
        }
        assert_no_container_failed(step, &self.test.lab);
    }

    fn count(&mut self, step: &str, report: &dr_lab::Report) {
        assert_all_ok(step, report);
        self.summary.checks += report.checks.len() as u64;
    }

    /// Old and new streams take changes of every kind.
    pub fn more(&mut self) {
        let report = must("do more", self.test.lab.more(&self.truth));
        self.count("old and new streams take work", &report);
    }

    /// New work in every container for some seconds, tables under load included.
    pub fn work(&mut self, seconds: u32) {
        self.rounds_of_work += 1;
        let scope = format!("each-{}", self.rounds_of_work);
        let containers = self.test.lab.options().container_count;
        let streams = one_in_each(containers, &|name| format!("{scope}/{name}/0.#epoch.0"));
        let tables = one_in_each(containers, &|name| format!("{scope}/{name}_kvtable/0.#epoch.0"));
        let lab = &self.test.lab;
        let report = must("work", lab.work_in_each_container(&self.truth, &scope, [&streams, &tables], seconds));
        self.count("every container takes work", &report);
        assert_no_container_failed("new work", &self.test.lab);
    }

    /// Creates a key-value table once more that held what this truth says.
    pub fn create_again(&mut self, truth: &Path, table: &str) {
        let report = must("create a table again", self.test.lab.create_again(truth, table));
        self.count("a table whose name was freed", &report);
    }

    /// Kill -9 of store and controller, and a start on what is there.
    pub fn restart_servers(&mut self) {
        must("kill the servers", self.test.lab.kill_servers());
        must("start the servers again", self.test.lab.start_servers());
    }

    /// Kill -9 of the store alone, again and again: each start is an epoch.
    pub fn restart_store(&mut self, times: u32) {
        for _ in 0..times {
            must("kill the store", self.test.lab.kill(Server::SegmentStore));
            must("start the store", self.test.lab.start_segment_store());
            must("wait for the cluster", self.test.lab.await_cluster());
        }
    }
}

/// Names of which each belongs to another container, for all of them.
fn one_in_each(containers: u32, segment: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut names = BTreeMap::new();
    for name in (0..).map(|number| format!("n-{number}")) {
        names.entry(owning_container(&segment(&name), containers)).or_insert(name);
        if names.len() == containers as usize {
            break;
        }
    }
    names.into_values().collect()
}

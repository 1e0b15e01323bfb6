//! Histories of a cluster: load, kill -9 of everything, loss of Tier-1, recovery, and again on what came of it.
// Part of tests: a panic is the way to fail, and what was seen is worth a line.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dr_lab::{LoadReport, RunningLoad};

use crate::dr;
use crate::held::{Held, acknowledged};
use crate::kept::{Compared, Kept};
use crate::real_servers::{TestLab, assert_all_ok, assert_no_container_failed, must};

/// How long a load runs at least before and after its flush, and how much longer at most, in milliseconds.
const LOAD_MILLISECONDS: (u64, u64) = (5_000, 6_000);
const EVENTS_PER_SECOND: u32 = 800;
/// Longest time for what is to be acknowledged before a kill.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(240);
/// Answers that are under way when a load is stopped arrive in this time.
const SETTLED: Duration = Duration::from_secs(1);

/// A load that was killed, and what of it must be there from now on.
#[derive(Debug)]
pub struct Load {
    acknowledgements: PathBuf,
    expected: PathBuf,
    acknowledged: BTreeMap<(String, String), u64>,
    held: Held,
}

/// What a check of a load found.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Events acknowledged to the load.
    pub acknowledged: u64,
    /// Of these, events that lay whole in Tier-2.
    pub held: u64,
    /// Of these, events read.
    pub read: u64,
    /// Acknowledged events not read.
    pub lost: u64,
}

/// One total loss: the workload of a seed until the kill, and the recovery after it, with more arguments.
///
/// # Panics
/// If a step fails.
pub fn lose_and_recover(test: &mut TestLab, seed: u64, more: &[&str]) -> Load {
    let load = crash_under_load(test, seed, Flush::Once);
    lose_tier1(test);
    let kept = recover_with(test, more);
    boot("the recovered cluster", test, &kept);
    load
}

/// Kill -9 of everything that runs, then a new and empty Tier-1.
///
/// # Panics
/// If a step fails.
pub fn lose_tier1(test: &mut TestLab) {
    must("kill everything", test.lab.kill_all());
    must("wipe Tier-1", test.lab.wipe_tier1());
    must("start a new Tier-1", test.lab.start_tier1());
}

/// Runs `dr recover` and shows what it said; returns what it keeps.
///
/// # Panics
/// If it refuses or fails.
pub fn recover(test: &TestLab) -> Kept {
    recover_with(test, &[])
}

/// The same with more arguments.
///
/// # Panics
/// As [`recover`].
pub fn recover_with(test: &TestLab, more: &[&str]) -> Kept {
    let (root, properties) = (test.lab.tier2_directory(), test.lab.properties_file());
    let run =
        (1..).map(|number| test.directory.path().join(format!("run-{number}"))).find(|run| !run.exists()).unwrap();
    let mut arguments = vec!["recover", root.to_str().unwrap(), "--config", properties.to_str().unwrap(), "--yes"];
    arguments.extend(["--run-directory", run.to_str().unwrap()]);
    arguments.extend_from_slice(more);
    let finished = dr::run(test.directory.path(), arguments);
    eprintln!("{}", finished.stdout);
    // 4: recovered, and some bytes are lost.
    assert!(matches!(finished.code, 0 | 4), "{}\n{}\n{}", finished.code, finished.stdout, finished.stderr);
    expect_open_transactions_aborted(&test.directory.path().join("truth.json"));
    Kept::of(&root, &run)
}

/// Changes what the workload says of transactions that it left open: a recovery aborts them.
///
/// # Panics
/// If there is a truth and it cannot be changed.
pub fn expect_open_transactions_aborted(truth: &Path) {
    let Ok(content) = std::fs::read(truth) else { return };
    let mut told: serde_json::Value = serde_json::from_slice(&content).unwrap();
    for transaction in told["transactions"].as_array_mut().unwrap() {
        if transaction["status"] == "OPEN" {
            transaction["status"] = "ABORTED".into();
        }
    }
    std::fs::write(truth, serde_json::to_vec(&told).unwrap()).unwrap();
}

/// Starts the servers on what was recovered, and reads everything that was kept.
///
/// # Panics
/// If the servers do not start, or serve something else.
pub fn boot(step: &str, test: &mut TestLab, kept: &Kept) -> Compared {
    must("start the servers", test.lab.start_servers());
    let compared = kept.check(step, &test.lab);
    assert_no_container_failed(step, &test.lab);
    compared
}

/// Whether the load is stopped once in the middle, to move everything to Tier-2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Once.
    Once,
    /// Not on purpose: for a storage on which that never ends, and for data that is to stay in Tier-1.
    Never,
}

/// A load until everything is killed at a moment that the seed decides, and what Tier-2 holds of it.
///
/// # Panics
/// If a step fails, or if hardly anything of the load is there.
pub fn crash_under_load(test: &mut TestLab, seed: u64, flush: Flush) -> Load {
    let acknowledgements = load_until_kill(test, seed, flush);
    let load = Load::of(&acknowledgements, test);
    keep_tree(&test.lab.tier2_directory(), seed);
    load
}

/// Copies Tier-2 as the crash left it to the directory that `DR_TEST_KEEP_TREES` names, if it is set.
fn keep_tree(root: &Path, seed: u64) {
    let Some(kept) = std::env::var_os("DR_TEST_KEEP_TREES") else { return };
    let copy = Path::new(&kept).join(format!("seed-{seed}-{}", std::process::id()));
    let status = Command::new("cp").arg("-a").args([root, &copy]).status().unwrap();
    assert!(status.success(), "cannot copy Tier-2 to {}", copy.display());
}

/// Writes, has everything flushed, and writes until a moment that the seed decides, then kills everything. Returns the
/// acknowledgements.
///
/// # Panics
/// If a step fails.
pub fn load_until_kill(test: &mut TestLab, seed: u64, flush: Flush) -> PathBuf {
    let file = test.directory.path().join(format!("acknowledged-{seed}"));
    let load = must("start a load", test.lab.start_load(&file, Some(EVENTS_PER_SECOND)));
    wait_for_acknowledgements(&load, 100);
    let part = |seed: u64| Duration::from_millis(LOAD_MILLISECONDS.0 + random(seed) % LOAD_MILLISECONDS.1);
    std::thread::sleep(part(seed));
    if flush == Flush::Once {
        must("stop the load", load.pause());
        std::thread::sleep(SETTLED);
        must("flush", test.lab.flush());
        must("let the load go on", load.resume(true));
    }
    std::thread::sleep(part(!seed));
    must("kill everything", test.lab.kill_all());
    load.kill();
    file
}

/// Waits until so many lines are acknowledged to a load.
///
/// # Panics
/// If that takes too long.
pub fn wait_for_acknowledgements(load: &RunningLoad, count: u64) {
    let limit = Instant::now() + ACKNOWLEDGED_WITHIN;
    while must("count acknowledgements", load.acknowledged()) < count {
        assert!(Instant::now() < limit, "fewer than {count} acknowledgements in {ACKNOWLEDGED_WITHIN:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Load {
    /// What was acknowledged to a load, and what Tier-2 holds of it now.
    ///
    /// # Panics
    /// If hardly anything of the load is there.
    pub fn of(acknowledgements: &Path, test: &TestLab) -> Self {
        let (run, acknowledged) = acknowledged(acknowledgements);
        let held = Held::count(&test.lab.tier2_directory(), &run);
        assert!(held.all_events() > 1000 && held.keys > 0, "{held:?}");
        let expected = acknowledgements.with_extension("expected");
        std::fs::write(&expected, &held.expected).unwrap();
        Self { acknowledgements: acknowledgements.to_owned(), expected, acknowledged, held }
    }

    /// How many whole events Tier-2 holds of it.
    pub fn held_events(&self) -> u64 {
        self.held.all_events()
    }

    /// Compares what is read with what Tier-2 held and what had been acknowledged.
    ///
    /// # Panics
    /// If they differ.
    pub fn check(&self, step: &str, test: &TestLab) -> Figures {
        let report = must("check the load", test.lab.check_load_against(&self.acknowledgements, &self.expected));
        assert_all_ok(step, &report.report());
        let figures = self.figures(&report);
        eprintln!(
            "{step}: {figures:?}, {} events in all in Tier-2, {} in segments that the controller does not know, {} keys with holes across a \
             scaling; transactions: acknowledged {}, lost {}, torn {}",
            self.held.all_events(),
            self.held.unknown_to_controller,
            self.held.broken_keys,
            report.acknowledged_transactions,
            report.lost_transactions,
            report.torn_transactions,
        );
        assert_eq!(report.acknowledged_events, figures.acknowledged, "{step}");
        let readable = figures.held - self.held.unknown_to_controller.min(figures.held)..=figures.held;
        assert!(readable.contains(&figures.read), "{step}: {} of {readable:?} read", figures.read);
        figures
    }

    fn figures(&self, report: &LoadReport) -> Figures {
        let held =
            |(key, count): (&(String, String), &u64)| self.held.events.get(key).copied().unwrap_or(0).min(*count);
        Figures {
            acknowledged: self.acknowledged.values().sum(),
            held: self.acknowledged.iter().map(held).sum(),
            read: report.read_events,
            lost: report.lost_events,
        }
    }
}

/// Spreads a seed over all bits.
fn random(seed: u64) -> u64 {
    let mixed = (seed.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

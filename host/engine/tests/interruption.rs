//! `dr` killed at every single change of an application and of a rollback: the same call again ends where an undisturbed
//! one ends.
// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dr_backends::tier1::{Ledgers as _, ZNodes as _};
use dr_engine::apply::{Application, RolledBack, apply, roll_back};
use dr_engine::cluster::Tier1;
use dr_engine::plan::Plan;
use dr_engine::progress::Silent;
use dr_formats::log_metadata::LogMetadata;
use support::Cluster;
use support::mortal::{Life, MortalLedgers, MortalTier2, MortalZNodes};

/// A tree, the plan for it, and copies of both to break.
struct Bench {
    original: Cluster,
    plan: Plan,
    run: PathBuf,
}

/// One try: a copy of the tree, an empty Tier-1, a copy of the run directory.
struct Try {
    cluster: Cluster,
    run: PathBuf,
}

impl Bench {
    fn new(tree: &str) -> Self {
        let original = support::captured(tree);
        let (plan, run) = original.plan("run");
        Self { original, plan, run }
    }

    fn copy(&self) -> Try {
        let directory = support::temporary_directory();
        let (root, run) = (directory.path().join("tier2"), directory.path().join("run"));
        // Nothing writes into an object, so that links are copies.
        link_tree(self.original.tier2.root(), &root);
        link_tree(&self.run, &run);
        let cluster = support::cluster(directory, &root, "lab");
        cluster.znodes.create("/pravega/lab/earlier", b"node").unwrap();
        // As after the format of the bookies.
        cluster.znodes.create("/pravega/lab/bookkeeper/ledgers", b"").unwrap();
        Try { cluster, run }
    }
}

impl Try {
    fn application<'a>(&'a self, plan: &'a Plan) -> Application<'a> {
        Application {
            plan,
            directory: &self.run,
            tier2: self.cluster.tier2.as_ref(),
            tier1: self.cluster.tier1(),
            layout: &self.cluster.layout,
            parallel: 1,
            accept_live_cluster: false,
        }
    }

    /// Does something with backends that die, then again with those that live.
    fn interrupted<T>(
        &self,
        plan: &Plan,
        life: &Life,
        work: impl Fn(&Application<'_>) -> dr_engine::error::Result<T>,
    ) -> bool {
        let application = self.application(plan);
        let tier2 = MortalTier2(application.tier2, life.clone());
        let znodes = MortalZNodes(application.tier1.znodes, life.clone());
        let ledgers = MortalLedgers(application.tier1.ledgers, life.clone());
        let tier1 = Tier1 { znodes: &znodes, ledgers: &ledgers };
        work(&Application { tier2: &tier2, tier1, ..application }).is_err()
    }

    /// Everything outside the run directory. What differs between two good runs is left out: ids and metadata of ledgers,
    /// instead of which their entries stand; the path of the run in the marker.
    fn state(&self) -> BTreeMap<String, Vec<u8>> {
        let mut state = BTreeMap::new();
        read_tree(self.cluster.tier2.root(), "tier2", &mut state);
        for (key, content) in &mut state {
            if key.contains("/_dr/recoveries/") {
                content.clear();
            }
        }
        self.read_znodes("/", &mut state);
        state
    }

    fn read_znodes(&self, path: &str, state: &mut BTreeMap<String, Vec<u8>>) {
        let znodes = &self.cluster.znodes;
        let is_of_generator = path.ends_with("/ledgers/idgen") || path.ends_with("/ledgers/LAYOUT");
        let mut data = znodes.get(path).unwrap().unwrap().data;
        if let Ok(log) = LogMetadata::decode(&data) {
            data = log.epoch.to_be_bytes().to_vec();
            for ledger in log.ledgers {
                let mut keep = |_, entry: &[u8]| {
                    data.extend(entry);
                    Ok(())
                };
                self.cluster.ledgers.read(ledger.ledger_id, &mut keep).unwrap();
            }
        }
        let name = path.rsplit('/').next().unwrap();
        if path.contains("/ledgers/") && name.starts_with('L') && name != "LAYOUT" {
            *state.entry("ledgers".to_owned()).or_default() = vec![0];
            state.entry("ledger count".to_owned()).or_default().push(1);
        } else if !is_of_generator {
            state.insert(format!("znode {path}"), data);
        }
        for child in znodes.children(path).unwrap().unwrap() {
            self.read_znodes(&format!("{}/{child}", path.trim_end_matches('/')), state);
        }
    }
}

fn link_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            link_tree(&entry.path(), &target);
        } else {
            std::fs::hard_link(entry.path(), target).unwrap();
        }
    }
}

fn read_tree(directory: &Path, name: &str, state: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = format!("{name}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            read_tree(&entry.path(), &name, state);
        } else {
            state.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn apply_plan(application: &Application<'_>) -> dr_engine::error::Result<()> {
    apply(application, &Silent).map(|_| ())
}

fn roll_plan_back(application: &Application<'_>) -> dr_engine::error::Result<RolledBack> {
    roll_back(application, &Silent)
}

/// Keys and values in which two states differ, shortened.
fn difference(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let keys = one.keys().chain(other.keys()).filter(|key| one.get(*key) != other.get(*key));
    let length = |state: &BTreeMap<String, Vec<u8>>, key: &String| state.get(key).map(Vec::len);
    keys.map(|key| format!("{key}: {:?} {:?}", length(one, key), length(other, key))).collect()
}

/// Every change, and for each whether it happens.
fn deaths(changes: u64) -> impl Iterator<Item = (u64, bool)> {
    (1..=changes).flat_map(|last| [(last, false), (last, true)])
}

fn dies_and_goes_on(tree: &str) {
    let bench = Bench::new(tree);
    let undisturbed = bench.copy();
    let before = undisturbed.state();
    let life = Life::until(u64::MAX, true);
    assert!(!undisturbed.interrupted(&bench.plan, &life, apply_plan));
    let applied = undisturbed.state();
    assert_ne!(difference(&before, &applied), Vec::<String>::new());
    let changes = life.changes();

    let life_of_rollback = Life::until(u64::MAX, true);
    assert!(!undisturbed.interrupted(&bench.plan, &life_of_rollback, roll_plan_back));
    assert_eq!(difference(&before, &undisturbed.state()), Vec::<String>::new(), "rolled back");
    let refused = apply(&undisturbed.application(&bench.plan), &Silent).unwrap_err();
    assert_eq!(refused.code, "rolled-back");
    eprintln!("{tree}: {changes} changes, {} to roll them back", life_of_rollback.changes());

    for (last, happens) in deaths(changes) {
        let place = format!("change {last} of {changes}, which happens: {happens}");
        let resumed = bench.copy();
        assert!(resumed.interrupted(&bench.plan, &Life::until(last, happens), apply_plan), "{place}");
        apply_plan(&resumed.application(&bench.plan)).unwrap();
        assert_eq!(difference(&applied, &resumed.state()), Vec::<String>::new(), "{place}");

        let taken_back = bench.copy();
        assert!(taken_back.interrupted(&bench.plan, &Life::until(last, happens), apply_plan), "{place}");
        match roll_plan_back(&taken_back.application(&bench.plan)) {
            Ok(_) => {}
            Err(error) => assert_eq!((error.code, last, happens), ("nothing-applied", 1, false), "{place}: {error}"),
        }
        assert_eq!(difference(&before, &taken_back.state()), Vec::<String>::new(), "{place}");
    }
    for (last, happens) in deaths(life_of_rollback.changes()) {
        let place = format!("change {last} of the rollback, which happens: {happens}");
        let resumed = bench.copy();
        apply_plan(&resumed.application(&bench.plan)).unwrap();
        assert!(resumed.interrupted(&bench.plan, &Life::until(last, happens), roll_plan_back), "{place}");
        roll_plan_back(&resumed.application(&bench.plan)).unwrap();
        assert_eq!(difference(&before, &resumed.state()), Vec::<String>::new(), "{place}");
    }
}

#[test]
fn every_death_of_a_recovery_to_empty_containers_is_survived() {
    dies_and_goes_on("never-flushed");
}

#[test]
fn every_death_of_a_recovery_with_data_is_survived() {
    dies_and_goes_on("flushed");
}

#[test]
fn what_a_store_worked_on_is_not_rolled_back() {
    let bench = Bench::new("never-flushed");
    let booted = bench.copy();
    apply_plan(&booted.application(&bench.plan)).unwrap();
    let refused = |what: &str| {
        let state = booted.state();
        let error = roll_plan_back(&booted.application(&bench.plan)).unwrap_err();
        assert_eq!(error.code, "store-booted", "{what}: {error}");
        assert_eq!(difference(&state, &booted.state()), Vec::<String>::new(), "{what}");
    };
    let journal = booted.cluster.tier2.root().join("_system/containers/_sysjournal.epoch9.container0.file1");
    std::fs::write(&journal, b"of a store").unwrap();
    refused("a new object");
    std::fs::remove_file(journal).unwrap();
    let path = booted.cluster.layout.log_znode(0);
    let node = booted.cluster.znodes.get(&path).unwrap().unwrap();
    booted.cluster.znodes.set(&path, &node.data, node.version).unwrap();
    refused("a log ZNode that was written again");
}

#[test]
fn a_plan_that_was_never_applied_has_nothing_to_roll_back() {
    let bench = Bench::new("never-flushed");
    let never = bench.copy();
    assert_eq!(roll_plan_back(&never.application(&bench.plan)).unwrap_err().code, "nothing-applied");
}

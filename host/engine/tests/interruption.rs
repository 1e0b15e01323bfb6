//! `dr` killed at every single change of an application and of a rollback: the same call again ends where an undisturbed
//! one ends.
// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dr_backends::tier1::{FaultyLedgers, FaultyZNodes, Ledgers as _, Tier1Faults, ZNodes as _};
use dr_backends::tier2::{Fault, FaultyTier2, FileSystemTier2, Tier2Call};
use dr_engine::apply::{Application, Applied, Patience, RolledBack, apply, roll_back};
use dr_engine::cluster::Tier1;
use dr_engine::error::Result;
use dr_engine::journal::Journal;
use dr_engine::plan::{Effect, MovedObject, Plan, WrittenObject, hex};
use dr_engine::progress::{Progress, Silent, Unit};
use dr_formats::log_metadata::LogMetadata;
use sha2::{Digest as _, Sha256};
use support::Cluster;
use support::mortal::{Life, MortalLedgers, MortalTier2, MortalZNodes};
use support::restored;

/// A tree, the plan for it, and copies of both to break.
struct Bench {
    original: Cluster,
    plan: Plan,
    run: PathBuf,
    has_survivors: bool,
    has_old_logs: bool,
}

/// One try: a copy of the tree, a Tier-1 that is empty or has something left, a copy of the run directory.
struct Try {
    cluster: Cluster,
    run: PathBuf,
    has_survivors: bool,
}

impl Bench {
    fn new(tree: &str) -> Self {
        let original = support::captured(tree);
        let (plan, run) = original.plan("run");
        Self { original, plan, run, has_survivors: false, has_old_logs: false }
    }

    /// A plan that restores logs, where a part of ZooKeeper is left.
    fn restoring(tree: &str) -> Self {
        let mut bench = Self { has_survivors: true, ..Self::new(tree) };
        bench.plan.containers.clear();
        bench.plan.effects = restored::effects(&bench.original.layout);
        bench.plan = bench.plan.seal().unwrap();
        bench
    }

    /// A plan that builds containers anew whose logs still have ZNodes.
    fn replacing(tree: &str) -> Self {
        let mut bench = Self { has_old_logs: true, ..Self::new(tree) };
        for effect in &mut bench.plan.effects {
            if let Effect::CommitLog { expected_version, .. } = effect {
                *expected_version = Some(0);
            }
        }
        bench.write_objects();
        bench.plan = bench.plan.seal().unwrap();
        bench
    }

    /// Has the plan write what was left of a log: an object that stays, and one that is moved aside with the container's metadata.
    fn write_objects(&mut self) {
        let mut moves = self.plan.effects.iter_mut().enumerate();
        let (at, container, moved) = moves
            .find_map(|(at, effect)| match effect {
                Effect::MoveAside { container, objects, .. } => Some((at, *container, objects)),
                _ => None,
            })
            .unwrap();
        let object = |key: &str, content: &[u8]| {
            let (digest, file) = (hex(&Sha256::digest(content)), format!("left-{}.object", content.len()));
            std::fs::write(self.run.join(&file), content).unwrap();
            WrittenObject { key: key.to_owned(), size: content.len() as u64, digest, file }
        };
        let stays = object("alpha/new/0.#epoch.0.E-9-O-0.left", b"events");
        let goes = object("_system/containers/metadata_0.E-9-O-0.left", b"rows of a table");
        moved.push(MovedObject { key: goes.key.clone(), size: goes.size });
        self.plan.effects.insert(at, Effect::WriteObjects { container, objects: vec![stays, goes] });
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
        if self.has_survivors {
            restored::leave_survivors(&cluster);
        }
        if self.has_old_logs {
            for container in 0..self.plan.container_count {
                cluster.znodes.create(&cluster.layout.log_znode(container), restored::STALE).unwrap();
            }
        }
        Try { cluster, run, has_survivors: self.has_survivors }
    }
}

impl Try {
    /// Does something with the backends as they are.
    fn does<T>(&self, plan: &Plan, work: impl Fn(&Application<'_>) -> Result<T>) -> Result<T> {
        let journal = Journal::open(&self.run)?;
        work(&Application {
            plan,
            directory: &self.run,
            journal: &journal,
            tier2: self.cluster.tier2.as_ref(),
            tier1: self.cluster.tier1(),
            layout: &self.cluster.layout,
            stamps: None,
            parallel: 1,
            accept_live_cluster: false,
            break_lock: false,
            patience: Patience::NONE,
        })
    }

    /// Does something with backends that die. True if it failed.
    fn interrupted<T>(&self, plan: &Plan, life: &Life, work: impl Fn(&Application<'_>) -> Result<T>) -> bool {
        let dying = |application: &Application<'_>| {
            let tier2 = MortalTier2(application.tier2, life.clone());
            let znodes = MortalZNodes(application.tier1.znodes, life.clone());
            let ledgers = MortalLedgers(application.tier1.ledgers, life.clone());
            let tier1 = Tier1 { znodes: &znodes, ledgers: &ledgers };
            work(&Application { tier2: &tier2, tier1, ..*application }).map(drop)
        };
        self.does(plan, dying).is_err()
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
        let data = znodes.get(path).unwrap().unwrap().data;
        if self.has_survivors {
            // The plan itself names all ledgers, and nothing differs.
            state.insert(format!("znode {path}"), data);
        } else {
            self.read_new_znode(path, data, state);
        }
        for child in znodes.children(path).unwrap().unwrap() {
            self.read_znodes(&format!("{}/{child}", path.trim_end_matches('/')), state);
        }
    }

    fn read_new_znode(&self, path: &str, mut data: Vec<u8>, state: &mut BTreeMap<String, Vec<u8>>) {
        let is_of_generator = path.ends_with("/ledgers/idgen") || path.ends_with("/ledgers/LAYOUT");
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
    }
}

fn link_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(std::result::Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            link_tree(&entry.path(), &target);
        } else {
            std::fs::hard_link(entry.path(), target).unwrap();
        }
    }
}

fn read_tree(directory: &Path, name: &str, state: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap().map(std::result::Result::unwrap) {
        let name = format!("{name}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            read_tree(&entry.path(), &name, state);
        } else {
            state.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn apply_plan(application: &Application<'_>) -> Result<Applied> {
    apply(application, &Silent)
}

fn roll_plan_back(application: &Application<'_>) -> Result<RolledBack> {
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

fn dies_and_goes_on(what: &str, bench: &Bench) {
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
    let refused = undisturbed.does(&bench.plan, apply_plan).unwrap_err();
    assert_eq!(refused.code, "rolled-back");
    eprintln!("{what}: {changes} changes, {} to roll them back", life_of_rollback.changes());

    for (last, happens) in deaths(changes) {
        let place = format!("change {last} of {changes}, which happens: {happens}");
        let resumed = bench.copy();
        assert!(resumed.interrupted(&bench.plan, &Life::until(last, happens), apply_plan), "{place}");
        resumed.does(&bench.plan, apply_plan).unwrap();
        assert_eq!(difference(&applied, &resumed.state()), Vec::<String>::new(), "{place}");

        let taken_back = bench.copy();
        assert!(taken_back.interrupted(&bench.plan, &Life::until(last, happens), apply_plan), "{place}");
        match taken_back.does(&bench.plan, roll_plan_back) {
            Ok(_) => {}
            Err(error) => assert_eq!((error.code, last, happens), ("nothing-applied", 1, false), "{place}: {error}"),
        }
        assert_eq!(difference(&before, &taken_back.state()), Vec::<String>::new(), "{place}");
    }
    for (last, happens) in deaths(life_of_rollback.changes()) {
        let place = format!("change {last} of the rollback, which happens: {happens}");
        let resumed = bench.copy();
        resumed.does(&bench.plan, apply_plan).unwrap();
        assert!(resumed.interrupted(&bench.plan, &Life::until(last, happens), roll_plan_back), "{place}");
        resumed.does(&bench.plan, roll_plan_back).unwrap();
        assert_eq!(difference(&before, &resumed.state()), Vec::<String>::new(), "{place}");
    }
}

#[test]
fn every_death_of_a_recovery_to_empty_containers_is_survived() {
    dies_and_goes_on("empty containers", &Bench::new("never-flushed"));
}

#[test]
fn every_death_of_a_recovery_with_data_is_survived() {
    dies_and_goes_on("data", &Bench::new("flushed"));
}

#[test]
fn every_death_of_a_recovery_that_replaces_logs_is_survived() {
    let bench = Bench::replacing("never-flushed");
    dies_and_goes_on("replaced logs", &bench);
    let applied = bench.copy();
    applied.does(&bench.plan, apply_plan).unwrap();
    let is_written = |name: &String| name.ends_with(".left");
    assert_eq!(applied.state().into_keys().filter(is_written).count(), 2);
    let changed = bench.copy();
    let path = changed.cluster.layout.log_znode(0);
    changed.cluster.znodes.set(&path, restored::STALE, 0).unwrap();
    changed.does(&bench.plan, apply_plan).unwrap_err();
    assert_eq!(changed.cluster.znodes.get(&path).unwrap().unwrap().data, restored::STALE, "another one wrote it");
}

#[test]
fn every_death_of_a_restoration_beside_what_is_left_of_zookeeper_is_survived() {
    let bench = Bench::restoring("never-flushed");
    dies_and_goes_on("restored logs", &bench);
    // What was closed and what was replaced is what it was, and not only gone.
    let undisturbed = bench.copy();
    undisturbed.does(&bench.plan, apply_plan).unwrap();
    restored::assert_applied(&undisturbed.cluster);
    undisturbed.does(&bench.plan, roll_plan_back).unwrap();
    restored::assert_survivors(&undisturbed.cluster);
}

#[test]
fn what_a_store_worked_on_is_not_rolled_back() {
    let bench = Bench::new("never-flushed");
    let booted = bench.copy();
    booted.does(&bench.plan, apply_plan).unwrap();
    let refused = |what: &str| {
        let state = booted.state();
        let error = booted.does(&bench.plan, roll_plan_back).unwrap_err();
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
    assert_eq!(never.does(&bench.plan, roll_plan_back).unwrap_err().code, "nothing-applied");
}

/// Tries again at once.
const PATIENT: Patience =
    Patience { first_pause: Duration::ZERO, longest_pause: Duration::ZERO, limit: Duration::from_secs(60) };

/// Counts how often something was tried again.
#[derive(Default)]
struct Messages(AtomicU64);

impl Progress for Messages {
    fn stage_started(&self, _stage: &str, _total: Option<u64>, _unit: Unit) {}
    fn advanced(&self, _amount: u64) {}
    fn stage_finished(&self, _stage: &str) {}
    fn message(&self, sentence: &str) {
        assert!(sentence.contains("trying again"), "{sentence}");
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Messages {
    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Try {
    /// Applies and takes back with servers of which some calls fail.
    fn with_faulty_servers(&self, plan: &Plan, faults: &Tier1Faults, messages: &Messages, back: bool) -> Result<()> {
        self.does(plan, |application| {
            let znodes = FaultyZNodes::new(application.tier1.znodes, faults.clone());
            let ledgers = FaultyLedgers::new(application.tier1.ledgers, faults.clone());
            let tier1 = Tier1 { znodes: &znodes, ledgers: &ledgers };
            let application = Application { tier1, patience: PATIENT, ..*application };
            if back { roll_back(&application, messages).map(drop) } else { apply(&application, messages).map(drop) }
        })
    }

    fn with_faulty_tier2(&self, plan: &Plan, fault: Fault, messages: &Messages, back: bool) -> Result<()> {
        let tier2 = FaultyTier2::new(FileSystemTier2::open(self.cluster.tier2.root()).unwrap());
        tier2.inject(fault);
        self.does(plan, |application| {
            let application = Application { tier2: &tier2, patience: PATIENT, ..*application };
            if back { roll_back(&application, messages).map(drop) } else { apply(&application, messages).map(drop) }
        })
    }
}

#[test]
fn every_call_of_a_server_may_fail_once() {
    let bench = Bench::new("never-flushed");
    let undisturbed = bench.copy();
    let before = undisturbed.state();
    let (counted, silent) = (Tier1Faults::none(), Messages::default());
    undisturbed.with_faulty_servers(&bench.plan, &counted, &silent, false).unwrap();
    let applied = undisturbed.state();
    let counted_back = Tier1Faults::none();
    undisturbed.with_faulty_servers(&bench.plan, &counted_back, &silent, true).unwrap();
    assert_eq!((silent.count(), difference(&before, &undisturbed.state())), (0, Vec::new()));
    assert!(counted.calls() > 50 && counted_back.calls() > 20, "{counted:?} {counted_back:?}");
    for (call, happens) in deaths(counted.calls().max(counted_back.calls())) {
        let place = format!("call {call}, which happens: {happens}");
        let disturbed = bench.copy();
        let messages = Messages::default();
        let faults = Tier1Faults::new(call, 1, happens);
        disturbed.with_faulty_servers(&bench.plan, &faults, &messages, false).expect(&place);
        assert_eq!(difference(&applied, &disturbed.state()), Vec::<String>::new(), "{place}");
        assert_eq!(messages.count() > 0, call <= counted.calls(), "{place}");
        let faults = Tier1Faults::new(call, 1, happens);
        disturbed.with_faulty_servers(&bench.plan, &faults, &Messages::default(), true).expect(&place);
        assert_eq!(difference(&before, &disturbed.state()), Vec::<String>::new(), "{place}, taken back");
    }
}

#[test]
fn every_call_of_tier2_may_fail_once() {
    let bench = Bench::new("never-flushed");
    let undisturbed = bench.copy();
    let before = undisturbed.state();
    undisturbed.does(&bench.plan, apply_plan).unwrap();
    let applied = undisturbed.state();
    for passes in 0.. {
        let full = || Fault { call: None, key: None, passes, failures: 1, kind: std::io::ErrorKind::StorageFull };
        let place = format!("call {} of Tier-2", passes + 1);
        let disturbed = bench.copy();
        let (forth, back) = (Messages::default(), Messages::default());
        disturbed.with_faulty_tier2(&bench.plan, full(), &forth, false).expect(&place);
        assert_eq!(difference(&applied, &disturbed.state()), Vec::<String>::new(), "{place}");
        disturbed.with_faulty_tier2(&bench.plan, full(), &back, true).expect(&place);
        assert_eq!(difference(&before, &disturbed.state()), Vec::<String>::new(), "{place}, taken back");
        if forth.count() + back.count() == 0 {
            assert!(passes > 50, "only {passes} calls");
            break;
        }
    }
}

#[test]
fn what_fails_for_good_stops_cleanly_and_goes_on_later() {
    let bench = Bench::new("never-flushed");
    let undisturbed = bench.copy();
    undisturbed.does(&bench.plan, apply_plan).unwrap();
    let applied = undisturbed.state();
    let stopped = bench.copy();
    let impatient = |application: &Application<'_>| {
        let faults = Tier1Faults::new(40, u64::MAX, false);
        let znodes = FaultyZNodes::new(application.tier1.znodes, faults.clone());
        let ledgers = FaultyLedgers::new(application.tier1.ledgers, faults);
        let tier1 = Tier1 { znodes: &znodes, ledgers: &ledgers };
        let patience = Patience { limit: Duration::from_millis(50), ..PATIENT };
        apply(&Application { tier1, patience, ..*application }, &Messages::default())
    };
    let error = stopped.does(&bench.plan, impatient).unwrap_err();
    assert_eq!((error.code, error.retry), ("tier1-unavailable", true));
    stopped.does(&bench.plan, apply_plan).unwrap();
    assert_eq!(difference(&applied, &stopped.state()), Vec::<String>::new());
}

#[test]
fn a_tier2_that_cannot_be_written_is_refused_at_once() {
    let bench = Bench::new("never-flushed");
    let tried = bench.copy();
    let before = tried.state();
    let call = Some(Tier2Call::Create);
    let read_only =
        Fault { call, key: None, passes: 0, failures: u64::MAX, kind: std::io::ErrorKind::ReadOnlyFilesystem };
    let messages = Messages::default();
    let error = tried.with_faulty_tier2(&bench.plan, read_only, &messages, false).unwrap_err();
    assert_eq!((error.code, error.retry, messages.count()), ("tier2-io", false, 0));
    assert!(error.next_step.contains("writable"), "{}", error.next_step);
    assert_eq!(difference(&before, &tried.state()), Vec::<String>::new());
    assert_eq!(tried.does(&bench.plan, roll_plan_back).unwrap_err().code, "nothing-applied");
}

//! Guests that misbehave with bookies, ledgers and logs: before the engine with captured disks, and before a declared world. Each
//! call is refused with a clear error and leaves nothing behind, so that afterwards the same run goes well.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dr_backends::tier1::MemoryZNodes;
use dr_backends::tier2::FileSystemTier2;
use dr_engine::cluster::ClusterLayout;
use dr_engine::contract::{ContainerId, RecoveryHost};
use dr_engine::ledgers::{BookiesLeft, Survivors, read_bookies};
use dr_engine::plan::{Maker, Plan, create_run_directory};
use dr_engine::progress::Silent;
use dr_engine::staging::Staging;
use dr_engine::survey::{Survey, SurveyOptions};
use dr_formats::ledger_entry::LedgerPassword;
use dr_runtime::mock::MockHost;
use dr_runtime::recording::case;
use dr_runtime::{Failure, Limits, Procedure, Runtime, RuntimeError};
use dr_scenario::{Scenario, Source};
use dr_tests::captured::{self, CapturedBookies};

use super::restored::spoil;
use super::{Place, guests};

/// What a guest does while nothing is restored yet: the deed, the case of the error, and what it says.
const BEFORE: [(&str, &str, &str); 16] = [
    ("restore-open", "conflict", "container 0 was opened or restored before"),
    ("restore-unknown", "not-found", "container 4294967295"),
    ("keep-negative", "not-found", "no disk holds an entry of ledger -1"),
    ("keep-largest", "not-found", "no disk holds an entry of ledger 9223372036854775806"),
    ("keep-of-log", "conflict", "is part of a log; restore that instead"),
    ("keep-half", "not-found", "no disk holds an entry of ledger -9223372036854775808"),
    ("keep-named-twice", "conflict", "was kept before"),
    ("keep-page-and-more", "exhausted", "at most 4096 ids, got 4097"),
    ("keep-flood", "exhausted", "the limit `list-rows` of 65536"),
    ("register-early", "conflict", "is neither part of a restored log nor kept; the bookies would delete it"),
    ("register-unknown", "not-found", "no disk of a bookie `../../nobody:3181` was read"),
    ("register-nobody", "invalid", "no bookie is named"),
    ("register-named-twice", "conflict", "is named twice"),
    ("register-flood", "exhausted", "the limit `list-rows` of 65536"),
    ("register-long-text", "exhausted", "the limit `text-bytes` of 65536"),
    ("no-page", "invalid", "a page needs a limit of at least one row"),
];

/// What it does again when all is restored.
const AFTERWARDS: [(&str, &str, &str); 4] = [
    ("restore-again", "conflict", "container 0 was opened or restored before"),
    ("open-restored", "conflict", "container 0 was opened before"),
    ("keep-again", "conflict", "was kept before"),
    ("register-again", "conflict", "the bookies were registered before"),
];

fn load(name: &str) -> Procedure {
    let bytes = std::fs::read(guests().join(format!("{name}.wasm"))).unwrap();
    Runtime::new(Limits::default()).unwrap().load(&bytes, name).unwrap()
}

fn assert_refused(misbehaving: &Procedure, host: &Arc<dyn RecoveryHost>, deeds: &[(&str, &str, &str)]) {
    for &(how, expected, words) in deeds {
        let settings = misbehaving.settings(&[("how".to_owned(), how.to_owned())]).unwrap();
        let error = misbehaving.execute(host.clone(), &settings, &[0], 1, &()).unwrap_err();
        let told = error.to_string();
        let refused = match &error {
            RuntimeError::Failed { failure: Failure::GaveUp(error), .. } => case(error),
            _ => "",
        };
        assert!(refused == expected && told.contains(words), "{how}: {told}");
    }
}

/// The deeds around a recovery that goes well.
fn misbehave_around_a_recovery(host: &Arc<dyn RecoveryHost>) {
    let misbehaving = load("misbehaving");
    assert_refused(&misbehaving, host, &BEFORE);
    load("zookeeper-loss").execute(host.clone(), &[], &[], 2, &()).unwrap();
    assert_refused(&misbehaving, host, &AFTERWARDS);
}

#[test]
fn a_declared_world_refuses_what_must_not_be_done_to_ledgers() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/zookeeper-loss/scenarios/stray-ledgers.toml");
    let Source::World(world) = Scenario::read(&file).unwrap().source else { unreachable!("it declares a world") };
    let host: Arc<dyn RecoveryHost> = Arc::new(MockHost::new(world));
    misbehave_around_a_recovery(&host);
}

#[test]
fn the_engine_refuses_what_must_not_be_done_to_ledgers() {
    let (place, bookies) = (Place::new("bookie-journals"), captured::unpack_bookies("bookie-journals"));
    // The log of container 0 goes on without its first ledger, which becomes a stray.
    spoil(&bookies, (0, 1200..=1244));
    let attacked = stage(&place, &bookies, "attacked");
    let host: Arc<dyn RecoveryHost> = Arc::new(attacked.clone());
    misbehave_around_a_recovery(&host);
    let untouched = stage(&place, &bookies, "untouched");
    load("zookeeper-loss").execute(Arc::new(untouched.clone()), &[], &[], 2, &()).unwrap();
    let (expected, got) = (plan(untouched), plan(attacked));
    assert!(expected.effects.len() > 8, "{:?}", expected.effects);
    assert_eq!(expected.effects, got.effects);
    assert_eq!((expected.restored, expected.decisions.len()), (got.restored, got.decisions.len()));
}

/// A run over captured disks, with nothing left of ZooKeeper.
fn stage(place: &Place, bookies: &CapturedBookies, name: &str) -> Staging {
    let directory = place.path(name);
    create_run_directory(&directory).unwrap();
    let tier2 = Arc::new(FileSystemTier2::open(&place.tree.root).unwrap());
    let survey = Survey::take(tier2, SurveyOptions::default(), &Silent).unwrap();
    let disks: Vec<Vec<PathBuf>> = bookies.bookies.iter().map(|bookie| vec![bookie.clone()]).collect();
    let left = BookiesLeft { disks: &disks, surveys: &[] };
    let (password, scratch) = (LedgerPassword::default(), directory.join("surveys"));
    let ledgers = read_bookies(left, &password, Survivors::default(), 1, &scratch, &Silent).unwrap();
    let layout = ClusterLayout::with_defaults("lab");
    let znodes = Arc::new(MemoryZNodes::new());
    Staging::with_disks(Arc::new(survey), znodes, Some(ledgers), layout, &directory, Arc::new(Silent))
}

fn plan(staging: Staging) -> Plan {
    let maker = Maker {
        procedure: String::new(),
        version: String::new(),
        digest: String::new(),
        signer: None,
        settings: Vec::new(),
        granted: None,
        host_version: String::new(),
    };
    let containers: Vec<ContainerId> = (0..4).collect();
    staging.into_plan(maker, &containers).unwrap()
}

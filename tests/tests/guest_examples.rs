//! The procedures of `guest-examples/` on captured trees, beside the built-in one, and what was compiled before today.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use dr_backends::tier1::EmbeddedZNodes;
use dr_backends::tier2::{MemoryTier2, Tier2 as _};
use dr_engine::cluster::ClusterLayout;
use dr_engine::contract::{CallError, ContainerId};
use dr_engine::plan::{Effect, Maker, Plan};
use dr_engine::progress::Silent;
use dr_engine::staging::Staging;
use dr_engine::survey::{Survey, SurveyOptions};
use dr_runtime::mock::MockHost;
use dr_runtime::recording::{CALLS, Recorder, Recording, replay};
use dr_runtime::{Failure, Limits, Procedure, Runtime, RuntimeError, Setting};
use dr_scenario::{Faults, Scenario, Source};
use dr_tests::captured;
use flate2::read::GzDecoder;

// Compiled once for all tests: for one with an interpreter inside that takes a while.
static BUILT_IN: LazyLock<Option<Procedure>> = LazyLock::new(|| load("total-loss"));
static OF_A_VENDOR: LazyLock<Option<Procedure>> = LazyLock::new(|| load("rust-vendor-policy"));
static IN_JAVASCRIPT: LazyLock<Option<Procedure>> = LazyLock::new(|| load("javascript-audit"));
static IN_PYTHON: LazyLock<Option<Procedure>> = LazyLock::new(|| load("python-total-loss"));

/// A procedure of `target/guests`, none if it is not built.
fn load(name: &str) -> Option<Procedure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/guests/{name}.wasm"));
    let bytes = std::fs::read(path).ok()?;
    Some(Runtime::new(Limits::default()).unwrap().load(&bytes, name).unwrap())
}

/// The procedure, or a loud word that it is left out.
fn built(procedure: &'static LazyLock<Option<Procedure>>) -> Option<&'static Procedure> {
    if procedure.is_none() {
        eprintln!("LEFT OUT: an example is not built; run `cargo xtask guests --examples`");
    }
    procedure.as_ref()
}

/// A run of a procedure over a captured tree, with these settings.
fn run(procedure: &Procedure, capture: &str, settings: &[Setting]) -> Result<Plan, RuntimeError> {
    let tree = captured::unpack(capture);
    let tier2 = Arc::new(MemoryTier2::new());
    captured::content(&tree.root).iter().for_each(|(key, content)| tier2.create(key, content).unwrap());
    let survey = Survey::take(tier2, SurveyOptions::default(), &Silent).unwrap();
    let containers: Vec<ContainerId> = (0..survey.container_count()).collect();
    let znodes = Arc::new(EmbeddedZNodes::open(tree.directory.path().join("tier1")).unwrap());
    let directory = tree.directory.path().join("run");
    dr_engine::plan::create_run_directory(&directory).unwrap();
    let layout = ClusterLayout::with_defaults("lab");
    let staging = Staging::new(Arc::new(survey), znodes, layout, &directory, Arc::new(Silent));
    procedure.execute(Arc::new(staging.clone()), settings, &[], 2, &())?;
    let stages = procedure.description().capabilities.iter().any(|capability| capability.stages());
    Ok(staging.into_plan(nobody(), if stages { &containers } else { &[] }).unwrap())
}

/// The plan of a procedure for a captured tree.
fn plan(procedure: &Procedure, capture: &str, set: &[(&str, &str)]) -> Plan {
    let overrides: Vec<_> = set.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    run(procedure, capture, &procedure.settings(&overrides).unwrap()).unwrap()
}

/// Plans that differ in nothing but their makers are equal by this one.
fn nobody() -> Maker {
    Maker {
        procedure: String::new(),
        version: String::new(),
        digest: String::new(),
        signer: None,
        settings: Vec::new(),
        granted: None,
        host_version: String::new(),
    }
}

/// Part by part, so that a failure says where they differ; and at last the whole plans, with what they rest on.
fn assert_same(expected: &Plan, got: &Plan, context: &str) {
    assert_eq!(expected.containers, got.containers, "{context}");
    assert_eq!(expected.losses, got.losses, "{context}");
    assert_eq!(expected.decisions, got.decisions, "{context}");
    assert_eq!(expected.effects, got.effects, "{context}");
    assert_eq!(expected, got, "{context}");
}

#[test]
fn the_procedure_in_python_has_the_parameters_of_the_built_in_one() {
    let (Some(built_in), Some(in_python)) = (built(&BUILT_IN), built(&IN_PYTHON)) else { return };
    let (built_in, in_python) = (built_in.description(), in_python.description());
    assert_eq!(in_python.name, "total-loss-python");
    assert_eq!(in_python.scenarios, built_in.scenarios);
    assert_eq!(in_python.parameters, built_in.parameters);
}

#[test]
fn the_procedure_in_python_makes_the_plan_of_the_built_in_one() {
    let (Some(built_in), Some(in_python)) = (built(&BUILT_IN), built(&IN_PYTHON)) else { return };
    let everything_else = [
        ("tail", "as-is"),
        ("unrecorded", "create"),
        ("leftovers", "leave"),
        ("reader-groups", "as-is"),
        ("open-transactions", "as-is"),
        ("backup-place", "_dr/elsewhere/"),
    ];
    for capture in ["flushed", "flushed-0.12.0", "crashed", "never-flushed", "stale-rows", "epochs"] {
        for set in [&[][..], &everything_else] {
            let expected = plan(built_in, capture, set);
            assert!(!expected.effects.is_empty(), "{capture}");
            assert_same(&expected, &plan(in_python, capture, set), &format!("{capture} {set:?}"));
        }
    }
}

/// What any replacement of the built-in procedure should pass.
const CONFORMANCE: &str = "scripts/total-loss/scenarios";

/// Calls that no built-in procedure makes: segments are created sealed, and nothing is ever deleted.
const NEVER_MADE: [&str; 2] = ["containers.fresh-container.seal-segments", "coordination.delete"];

/// In how many runs which call was made to fail.
type FaultRuns = BTreeMap<String, usize>;

/// Runs the scenarios of a directory.
fn conform(procedure: &Procedure, directory: &str, faults: Faults) -> FaultRuns {
    let mut runs = FaultRuns::new();
    for file in scenarios(directory) {
        let tested = dr_scenario::run(procedure, &Scenario::read(&file).unwrap(), faults).unwrap();
        assert!(tested.passes(), "{}: {:#?} {:#?}", file.display(), tested.differences, tested.broken);
        add(&mut runs, tested.fault_runs);
    }
    runs
}

/// Files of the scenarios in a directory of the repository.
fn scenarios(directory: &str) -> Vec<PathBuf> {
    dr_scenario::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory)).unwrap()
}

fn add(runs: &mut FaultRuns, more: FaultRuns) {
    more.into_iter().for_each(|(call, count)| *runs.entry(call).or_default() += count);
}

#[test]
fn the_built_in_procedures_pass_their_scenarios_whatever_call_fails() {
    let mut runs = FaultRuns::new();
    for name in ["total-loss", "zookeeper-loss", "partial-loss", "controller"] {
        let Some(built_in) = load(name) else { return };
        let of_procedure = conform(&built_in, &format!("scripts/{name}/scenarios"), Faults::Exhaustive);
        let count: usize = of_procedure.values().sum();
        assert!(count > 100, "{name}: {of_procedure:?}");
        add(&mut runs, of_procedure);
    }
    let can_fail = |call: &&&str| !call.starts_with("report.") && !NEVER_MADE.contains(call);
    let not_failed: Vec<_> = CALLS.iter().filter(can_fail).filter(|call| !runs.contains_key(**call)).collect();
    assert_eq!(not_failed, Vec::<&&str>::new(), "{runs:?}");
    for call in CALLS.iter().filter(|call| ["bookies.", "ledgers.", "logs."].iter().any(|of| call.starts_with(of))) {
        assert!(runs[*call] > 10, "{call}: {runs:?}");
    }
}

#[test]
fn runs_with_disks_of_bookies_can_be_replayed() {
    for name in ["zookeeper-loss", "partial-loss"] {
        let Some(built_in) = load(name) else { return };
        for file in scenarios(&format!("scripts/{name}/scenarios")) {
            let Scenario { source: Source::World(world), settings, selected, .. } = Scenario::read(&file).unwrap()
            else {
                continue;
            };
            let settings = built_in.settings(&settings).unwrap();
            let recorder = Arc::new(Recorder::default());
            let host = recorder.before(Arc::new(MockHost::new(world)));
            let result = built_in.execute(host, &settings, &selected, 2, &());
            let mut recording = Vec::new();
            recorder.finish(&built_in, &settings, &selected, &result).write(&mut recording).unwrap();
            let recording = Recording::read(&recording[..]).unwrap();
            assert_eq!(replay(&built_in, recording).unwrap(), None, "{}", file.display());
        }
    }
}

#[test]
fn the_procedure_in_python_passes_the_scenarios_of_the_built_in_one() {
    let Some(in_python) = built(&IN_PYTHON) else { return };
    conform(in_python, CONFORMANCE, Faults::None);
}

#[test]
fn a_mistake_in_python_is_told_with_its_place() {
    let Some(in_python) = built(&IN_PYTHON) else { return };
    // The host never leaves out a setting; without it the procedure meets an exception that it does not expect.
    let Err(RuntimeError::Failed { failure: Failure::GaveUp(CallError::Failed(told)), .. }) =
        run(in_python, "never-flushed", &[])
    else {
        panic!("it did not tell its mistake");
    };
    assert!(told.starts_with("KeyError: 'tail'; in answering (guest_kit.py:"), "{told}");
    assert!(told.contains("of (decisions.py:"), "{told}");
}

#[test]
fn the_policy_of_a_vendor_keeps_one_scope_and_the_names_of_the_others() {
    let (Some(built_in), Some(of_a_vendor)) = (built(&BUILT_IN), built(&OF_A_VENDOR)) else { return };
    let whole = plan(built_in, "flushed", &[]);
    let kept = plan(of_a_vendor, "flushed", &[("keep-scopes", "alpha, beta.2-x")]);
    assert_eq!(kept.segments(), whole.segments(), "every name lives again");
    assert!(!kept.losses.is_empty());
    for loss in &kept.losses {
        assert!(loss.segment.starts_with("tables/") && loss.reason == "dropped", "{loss:?}");
    }
    let emptied = kept.decisions.iter().filter(|decision| decision.choice == "created empty and sealed").count();
    assert!(emptied >= kept.losses.len(), "{emptied}");
    for effect in &kept.effects {
        if let Effect::MoveAside { place, .. } = effect {
            assert!(place.starts_with("_dr/acme/"), "{place}");
        }
    }
    let places = [("backup-place", "_dr/moved-aside")];
    assert_eq!(plan(of_a_vendor, "flushed", &places).containers, whole.containers, "without a list it keeps all");
}

#[test]
fn the_policy_of_a_vendor_passes_its_scenarios_whatever_call_fails() {
    let Some(of_a_vendor) = built(&OF_A_VENDOR) else { return };
    let runs = conform(of_a_vendor, "guest-examples/rust-vendor-policy/scenarios", Faults::Exhaustive);
    assert!(runs.values().sum::<usize>() > 50, "{runs:?}");
}

#[test]
fn the_audit_in_javascript_passes_its_scenarios_whatever_call_fails() {
    let Some(in_javascript) = built(&IN_JAVASCRIPT) else { return };
    let runs = conform(in_javascript, "guest-examples/javascript-audit/scenarios", Faults::Exhaustive);
    assert!(runs.values().sum::<usize>() > 10, "{runs:?}");
}

#[test]
fn the_audit_in_javascript_counts_every_segment_and_changes_nothing() {
    let Some(in_javascript) = built(&IN_JAVASCRIPT) else { return };
    let audit = plan(in_javascript, "crashed", &[("name-at-most", "1")]);
    assert!(audit.changes_nothing() && audit.containers.is_empty() && audit.losses.is_empty());
    let of_container = |container: ContainerId| {
        let subject = format!("container {container}");
        audit.decisions.iter().find(move |decision| decision.subject == subject).unwrap()
    };
    for container in 0..4 {
        let counted = of_container(container);
        assert!(counted.choice.contains(" segments, ") || counted.choice.contains(" more odd "), "{counted:?}");
    }
    assert!(audit.decisions.iter().filter(|decision| decision.choice == "odd").count() <= 4);
}

#[test]
fn guests_that_were_compiled_before_recover_a_cluster() {
    let Some(built_in) = built(&BUILT_IN) else { return };
    let versions = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/compiled-guests")).unwrap();
    let guests = versions.map(|version| version.unwrap().path().join("total-loss.wasm.gz"));
    let guests: Vec<_> = guests.filter(|guest| guest.is_file()).collect();
    assert!(!guests.is_empty());
    for guest in guests {
        let mut bytes = Vec::new();
        GzDecoder::new(File::open(&guest).unwrap()).read_to_end(&mut bytes).unwrap();
        let of_before = Runtime::new(Limits::default()).unwrap().load(&bytes, &guest.display().to_string()).unwrap();
        // What it decides may have been another thing; what it needs of the host is there.
        let (then, now) = (plan(&of_before, "flushed", &[]), plan(built_in, "flushed", &[]));
        assert_eq!(then.containers.len(), now.containers.len(), "{}", guest.display());
        assert!(then.segments() > 50, "{}", guest.display());
    }
}

//! Guests that misbehave: the error names the procedure, the export, the task and the rule; nothing they held is left, and the
//! host works on.
// Helpers of tests may fail like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "hostile/hand_written.rs"]
mod hand_written;
mod support;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use dr_engine::contract::{CallError, RecoveryHost};
use dr_runtime::recording::exhaust;
use dr_runtime::{Capability, Export, Failure, Grant, Limits, Observer, Procedure, Runtime, RuntimeError, Scope, Task};
use support::{MockHost, guest, overrides};

/// Compiled once for all tests.
static MISBEHAVING: LazyLock<Procedure> = LazyLock::new(|| load(Limits::default()).unwrap());

fn load(limits: Limits) -> Result<Procedure, RuntimeError> {
    Runtime::new(limits).unwrap().load(&guest("misbehaving"), "misbehaving.wasm")
}

/// Time enough on a busy machine for whatever is not about time.
fn limits() -> Limits {
    Limits {
        wall_time: Duration::from_secs(300),
        guest_time: Duration::from_secs(120),
        memory_bytes: 32 << 20,
        ..Limits::default()
    }
}

/// For guests that never end.
fn hurried() -> Limits {
    Limits { guest_time: Duration::from_millis(300), ..limits() }
}

struct Outcome {
    result: Result<(), RuntimeError>,
    host: Arc<MockHost>,
}

fn run_with(how: &str, limits: Limits) -> Outcome {
    let outcome = run_on(MockHost::with_segments(1, 3), how, limits.clone());
    assert_eq!(outcome.host.open.load(Ordering::SeqCst), 0, "a fresh container is left");
    if how != "nothing" {
        run_on(MockHost::with_segments(2, 3), "nothing", Limits::default()).result.unwrap();
    }
    outcome
}

fn run_on(host: MockHost, how: &str, limits: Limits) -> Outcome {
    let host = Arc::new(host);
    let as_host: Arc<dyn RecoveryHost> = host.clone();
    Outcome { result: execute(as_host, how, limits), host }
}

fn execute(host: Arc<dyn RecoveryHost>, how: &str, limits: Limits) -> Result<(), RuntimeError> {
    let procedure = MISBEHAVING.clone().with_limits(limits);
    let settings = procedure.settings(&overrides(&[("how", how)])).unwrap();
    procedure.execute(host, &settings, &[], 2, &()).map(|_| ())
}

/// Runs the deed and returns how it failed in the task.
#[track_caller]
fn failure_of(how: &str) -> Failure {
    failure_with(how, limits())
}

#[track_caller]
fn failure_with(how: &str, limits: Limits) -> Failure {
    let outcome = run_with(how, limits);
    assert!(!outcome.host.tasks_done.load(Ordering::SeqCst));
    if how != "after-close" {
        assert!(!outcome.host.told().contains(&"0: close".to_owned()), "{how} staged a container");
    }
    failure_in_task(outcome.result.unwrap_err())
}

#[track_caller]
fn failure_in_task(error: RuntimeError) -> Failure {
    let sentence = error.to_string();
    assert!(sentence.starts_with("the procedure `misbehaving` failed in `run` of task `container-0`: "), "{sentence}");
    assert!(!sentence.contains('\n') && !sentence.contains("wasm backtrace"), "{sentence}");
    match error {
        RuntimeError::Failed { export: Export::Run, failure, .. } => failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_limit(failure: &Failure, expected: &str) {
    assert!(matches!(failure, Failure::Limit { name, .. } if *name == expected), "{failure:?}");
}

#[track_caller]
fn assert_rule(failure: &Failure, part: &str) {
    assert!(matches!(failure, Failure::Rule(rule) if rule.contains(part)), "{failure:?}");
}

/// The call that was refused because of this limit, by the guest's word.
#[track_caller]
fn assert_exhausted(failure: &Failure, limit: &str) {
    let expected = format!("the limit `{limit}` of ");
    assert!(matches!(failure, Failure::GaveUp(CallError::Exhausted(why)) if why.starts_with(&expected)), "{failure:?}");
}

#[test]
fn a_procedure_that_behaves_succeeds() {
    let outcome = run_with("nothing", limits());
    outcome.result.unwrap();
    assert!(outcome.host.told().contains(&"0: close".to_owned()));
    assert!(outcome.host.tasks_done.load(Ordering::SeqCst));
}

#[test]
fn every_limit_is_reached_by_a_guest() {
    for (name, _) in Limits::default().named() {
        reach(name);
    }
}

/// Lets a guest reach the limit of this name.
fn reach(name: &str) {
    let in_describe = |limits: Limits| load(limits).unwrap_err().to_string();
    match name {
        "component-bytes" => {
            let why = in_describe(Limits { component_bytes: 10, ..limits() });
            assert!(why.contains("the limit `component-bytes` is 10"), "{why}");
        }
        "wall-time-seconds" => {
            let limits = Limits { wall_time: Duration::from_secs(1), ..limits() };
            assert_limit(&failure_with("host-calls", limits), name);
        }
        "call-time-seconds" => a_host_call_that_does_not_end(),
        "guest-time-seconds" => {
            let began = Instant::now();
            assert_limit(&failure_with("loop", hurried()), name);
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        "fuel" => assert_limit(&failure_with("loop", Limits { fuel: 10_000_000, ..limits() }), name),
        "memory-bytes" => assert_limit(&failure_of("memory"), name),
        "table-elements" | "instances" => {
            let mut tight = limits();
            tight.set(name, 1).unwrap();
            let why = in_describe(tight);
            assert!(why.contains(&format!("failed in `describe`: it reached the limit `{name}` of 1 ")), "{why}");
        }
        "stack-bytes" => assert_limit(&failure_of("recursion"), name),
        "argument-bytes" => assert_limit(&failure_of("long-data"), name),
        "list-rows" => assert_exhausted(&failure_of("long-list"), name),
        "page-rows" => a_guest_that_asks_for_everything_at_once(),
        "text-bytes" => assert_exhausted(&failure_of("long-text"), name),
        "znode-bytes" => {
            let limits = Limits { argument_bytes: 64 << 20, memory_bytes: 64 << 20, ..limits() };
            assert_exhausted(&failure_with("long-data", limits), name);
        }
        "resources" => assert_exhausted(&failure_of("listings"), name),
        "log-lines" => floods_of_the_log_end_with_a_warning(),
        "log-line-bytes" => {
            let outcome = run_with("log-flood", Limits { log_lines: 1, log_line_bytes: 3, ..limits() });
            assert_eq!(outcome.host.logged()[0], "container-0 Info flo");
        }
        "report-entries" => {
            assert_limit(&failure_with("report-flood", Limits { report_entries: 10, ..limits() }), name)
        }
        "report-bytes" => {
            let limits = Limits { report_bytes: 1 << 20, ..limits() };
            assert_limit(&failure_with("wordy-reports", limits), name);
        }
        "staged-effects" => {
            let few = || Limits { staged_effects: 1000, ..limits() };
            assert_exhausted(&failure_with("staged-flood", few()), name);
            // One segment, but many attributes.
            assert_exhausted(&failure_with("attributes", few()), name);
        }
        "staged-bytes" => {
            let limits = Limits { staged_bytes: 5_000_000, ..limits() };
            assert_exhausted(&failure_with("staged-bytes", limits), name);
        }
        "tasks" => match run_with("many-tasks", limits()).result.unwrap_err() {
            RuntimeError::Failed { export: Export::Prepare, task: None, failure, .. } => assert_limit(&failure, name),
            other => panic!("{other:?}"),
        },
        other => panic!("no guest reaches the limit `{other}`"),
    }
}

/// The guest cannot be blamed, but the operator does not wait for ever either.
fn a_host_call_that_does_not_end() {
    let host = MockHost { listing_takes: Duration::from_secs(2), ..MockHost::with_segments(1, 3) };
    let limits = Limits { call_time: Duration::from_millis(200), ..Limits::default() };
    let began = Instant::now();
    let outcome = run_on(host, "nothing", limits);
    let took = began.elapsed();
    let failure = failure_in_task(outcome.result.unwrap_err());
    assert_limit(&failure, "call-time-seconds");
    assert!(failure.to_string().contains("0.2 seconds for one host call, in `storage.list-segments`"), "{failure}");
    assert!(took < Duration::from_secs(2), "it was waited for: {took:?}");
    // The thread of the call ends with it, and takes along what the instance held.
    while outcome.host.open.load(Ordering::SeqCst) > 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn a_guest_that_asks_for_everything_at_once() {
    let outcome = run_with("cursors", Limits { page_rows: 2, ..limits() });
    outcome.result.unwrap();
    let logged = outcome.host.logged();
    assert_eq!(
        logged,
        [r#"container-0 Info Some(Error::Invalid("a page needs a limit of at least one row")); [2, 1, 0]; 0"#]
    );
}

fn floods_of_the_log_end_with_a_warning() {
    let outcome = run_with("log-flood", Limits { log_lines: 10, ..limits() });
    outcome.result.unwrap();
    let logged = outcome.host.logged();
    assert_eq!(logged.len(), 11, "{logged:?}");
    assert!(logged[10].contains("Warning further lines are dropped: the limit `log-lines` of 10"), "{logged:?}");
}

#[test]
fn what_was_not_declared_is_denied() {
    let Failure::GaveUp(CallError::Denied(why)) = failure_of("undeclared") else { panic!() };
    assert_eq!(why, "`coordination.delete` is none of the capabilities that the procedure declares");
}

#[test]
fn what_was_not_granted_is_denied_with_the_scope() {
    let all: BTreeSet<Capability> = MISBEHAVING.description().capabilities.clone();
    let denied = |how: &str, grant: Grant| {
        let host = Arc::new(MockHost::with_segments(1, 3));
        let as_host: Arc<dyn RecoveryHost> = host.clone();
        let error = execute(grant.guard(as_host), how, limits()).unwrap_err();
        assert!(!host.told().iter().any(|line| line.contains("znode") || line.contains("move")), "{:?}", host.told());
        match failure_in_task(error) {
            Failure::GaveUp(CallError::Denied(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let reading = all.iter().copied().filter(|capability| !capability.stages()).collect();
    let why = denied("nothing", Grant { capabilities: reading, ..Grant::default() });
    assert_eq!(why, "the policy does not let this procedure call `containers.open-fresh-container`");

    let within = |scope: Scope| Grant { capabilities: all.clone(), scope };
    let why = denied("nothing", within(Scope { containers: Some(BTreeSet::from([1, 2])), ..Scope::default() }));
    assert_eq!(why, "container 0 lies outside the scope `containers` that the policy grants: 1, 2");
    let why = denied("escape-znode", within(Scope { znodes: Some(vec!["counter".to_owned()]), ..Scope::default() }));
    assert!(why.starts_with("the ZNode `../../another-cluster/counter` lies outside the scope `znodes`"), "{why}");
    let why = denied("escape", within(Scope { places: Some(vec!["_dr".to_owned()]), ..Scope::default() }));
    assert!(why.starts_with("the place `_dr/../..` lies outside the scope `places`"), "{why}");
}

#[test]
fn a_trap_in_the_middle_is_told_in_words() {
    let Failure::Trap { cause, last_words } = failure_of("abort") else { panic!() };
    assert!(cause.contains("it aborted itself"), "{cause}");
    assert_eq!(last_words, None);
}

#[test]
fn a_panic_is_told_with_its_message() {
    let Failure::Trap { last_words: Some(words), .. } = failure_of("panic") else { panic!() };
    assert!(words.contains("an assumption of the author was wrong"), "{words}");
}

#[test]
fn the_fuel_ends_at_the_same_point_every_time() {
    let fuel = |parallel: usize| {
        let settings = MISBEHAVING.settings(&[]).unwrap();
        let host = Arc::new(MockHost::with_segments(4, 100));
        MISBEHAVING.execute(host, &settings, &[], parallel, &()).unwrap().usage.fuel
    };
    assert_eq!(fuel(1), fuel(3));
}

#[test]
fn nothing_that_processors_are_free_to_choose_reaches_a_guest() {
    let bits = || {
        let outcome = run_with("not-a-number", limits());
        outcome.result.unwrap();
        outcome.host.logged()
    };
    let expected = vec!["container-0 Info 7ff8000000000000".to_owned(); 4];
    assert_eq!(bits(), expected);
}

#[test]
fn handles_that_are_forged_stale_or_of_another_kind_break_a_rule() {
    assert_rule(&failure_of("forged-handle"), "unknown handle index 77");
    assert_rule(&failure_of("dropped-handle"), "unknown handle index");
    assert_rule(&failure_of("foreign-handle"), "handle");
}

#[test]
fn a_guest_that_calls_back_while_it_is_answered_breaks_a_rule() {
    let failure = failure_of("reentrance");
    assert!(failure.to_string().contains("cannot leave component instance"), "{failure:?}");
}

#[test]
fn the_memory_of_a_hog_is_given_back() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().split(' ').next().unwrap().parse::<usize>().unwrap() << 10
    };
    let hog = || assert_limit(&failure_with("memory", Limits { memory_bytes: 64 << 20, ..limits() }), "memory-bytes");
    hog();
    let before = resident();
    (0..20).for_each(|_| hog());
    // Other tests have instances at the same time; what all of these hogs had is 1.3 GB.
    assert!(resident() < before + (400 << 20), "{} bytes more", resident() - before);
}

#[test]
fn text_that_is_no_text_breaks_a_rule() {
    assert_rule(&failure_of("invalid-text"), "utf-8");
}

#[test]
fn errors_of_the_host_that_the_guest_passes_on_keep_their_class() {
    let Failure::GaveUp(CallError::NotFound(message)) = failure_of("unknown-segment") else { panic!() };
    assert_eq!(message, "container 0 has no segment no/such/0.#epoch.0");
    assert!(matches!(failure_of("escape"), Failure::GaveUp(CallError::Invalid(_))));
    assert!(matches!(failure_of("after-close"), Failure::GaveUp(CallError::Conflict(_))));
    let gave_up = Failure::GaveUp(CallError::Failed("this procedure gives up".to_owned()));
    assert_eq!(failure_of("give-up"), gave_up);
}

#[test]
fn other_exports_are_named_too() {
    let in_export = |how: &str, wanted: Export, limits: Limits| match run_with(how, limits).result.unwrap_err() {
        RuntimeError::Failed { export, task: None, failure, .. } if export == wanted => failure,
        other => panic!("{other:?}"),
    };
    assert_rule(&in_export("same-tasks", Export::Prepare, limits()), "two tasks `one`");
    assert!(matches!(
        in_export("panic-in-prepare", Export::Prepare, limits()),
        Failure::Trap { last_words: Some(_), .. }
    ));
    assert_limit(&in_export("loop-in-finish", Export::Finish, hurried()), "guest-time-seconds");
}

#[test]
fn the_first_failure_stops_the_other_tasks() {
    let procedure = MISBEHAVING.clone().with_limits(limits());
    let settings = procedure.settings(&overrides(&[("how", "odd-gives-up")])).unwrap();
    let host = Arc::new(MockHost::with_segments(6, 3));
    let as_host: Arc<dyn RecoveryHost> = host.clone();
    let ended = Endings::default();
    let began = Instant::now();
    let error = procedure.execute(as_host, &settings, &[], 2, &ended).unwrap_err();
    assert!(matches!(&error, RuntimeError::Failed { task: Some(task), .. } if task == "container-1"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(host.open.load(Ordering::SeqCst), 0);
    let mut ended = ended.0.into_inner().unwrap();
    ended.sort();
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert!(ended[0].contains("container-0") && ended[0].contains("another task had failed"), "{ended:?}");
}

/// How tasks ended.
#[derive(Default)]
struct Endings(std::sync::Mutex<Vec<String>>);

impl Observer for Endings {
    fn task_ended(&self, task: &Task, outcome: Result<(), &RuntimeError>) {
        self.0.lock().unwrap().push(format!("{}: {:?}", task.id, outcome.map_err(ToString::to_string)));
    }
}

#[test]
fn a_procedure_that_cannot_bear_an_error_is_found() {
    let procedure = MISBEHAVING.clone().with_limits(limits());
    let settings = procedure.settings(&overrides(&[("how", "bear-no-error")])).unwrap();
    let world = || -> Arc<dyn RecoveryHost> { Arc::new(MockHost::with_segments(1, 3)) };
    let broken = exhaust(&procedure, &settings, &[], &world).unwrap().broken;
    assert_eq!(broken.len(), 6, "{broken:?}");
    let first = broken[0].to_string();
    assert!(first.contains("`coordination.get` failed with `not-found`: the run ended with"), "{first}");
    assert!(broken.iter().all(|broken| broken.end.contains("crashed")), "{broken:?}");
    let settings = procedure.settings(&overrides(&[("how", "panic")])).unwrap();
    assert!(exhaust(&procedure, &settings, &[], &world).is_err());
}

//! Guests that misbehave: the error names the procedure, the export, the task and the rule; nothing they held is left.
// Helpers of tests may fail like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dr_engine::contract::{CallError, RecoveryHost};
use dr_runtime::recording::exhaust;
use dr_runtime::{Export, Failure, Limits, Observer, Runtime, RuntimeError, Task};
use support::{MockHost, guest, overrides};

fn limits() -> Limits {
    Limits {
        wall_time: Duration::from_secs(3),
        guest_time: Duration::from_millis(500),
        memory_bytes: 32 << 20,
        ..Limits::default()
    }
}

struct Outcome {
    result: Result<(), RuntimeError>,
    host: Arc<MockHost>,
}

fn run_with(how: &str, limits: Limits) -> Outcome {
    let procedure = Runtime::new(limits).unwrap().load(&guest("misbehaving"), "misbehaving.wasm").unwrap();
    let settings = procedure.settings(&overrides(&[("how", how)])).unwrap();
    let host = Arc::new(MockHost::with_segments(1, 3));
    let as_host: Arc<dyn RecoveryHost> = host.clone();
    let result = procedure.execute(as_host, &settings, &[], 2, &()).map(|_| ());
    assert_eq!(host.open.load(Ordering::SeqCst), 0, "a fresh container is left");
    Outcome { result, host }
}

/// Runs the deed and returns how it failed in the task.
#[track_caller]
fn failure_of(how: &str) -> Failure {
    failure_with(how, limits())
}

#[track_caller]
fn failure_with(how: &str, limits: Limits) -> Failure {
    let outcome = run_with(how, limits);
    let error = outcome.result.unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.starts_with("the procedure `misbehaving` failed in `run` of task `container-0`: "), "{sentence}");
    assert!(!sentence.contains('\n') && !sentence.contains("wasm backtrace"), "{sentence}");
    assert!(!outcome.host.tasks_done.load(Ordering::SeqCst));
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

#[test]
fn a_procedure_that_behaves_succeeds() {
    let outcome = run_with("nothing", limits());
    outcome.result.unwrap();
    assert!(outcome.host.told().contains(&"0: close".to_owned()));
    assert!(outcome.host.tasks_done.load(Ordering::SeqCst));
}

#[test]
fn what_was_not_declared_is_denied() {
    let Failure::GaveUp(CallError::Denied(why)) = failure_of("undeclared") else { panic!() };
    assert_eq!(why, "`coordination.delete` is none of the capabilities that the procedure declares");
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
fn an_endless_loop_reaches_the_guest_time() {
    let began = Instant::now();
    assert_limit(&failure_of("loop"), "guest-time-seconds");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_endless_loop_reaches_the_fuel_at_the_same_point_every_time() {
    let tight = || Limits { fuel: 10_000_000, guest_time: Duration::from_secs(60), ..limits() };
    assert_limit(&failure_with("loop", tight()), "fuel");
}

#[test]
fn an_endless_recursion_reaches_the_stack() {
    assert_limit(&failure_of("recursion"), "stack-bytes");
}

#[test]
fn a_memory_hog_reaches_the_memory() {
    assert_limit(&failure_of("memory"), "memory-bytes");
}

#[test]
fn a_flood_of_host_calls_reaches_the_wall_time() {
    let patient = Limits { guest_time: Duration::from_secs(60), wall_time: Duration::from_secs(1), ..limits() };
    assert_limit(&failure_with("host-calls", patient), "wall-time-seconds");
}

#[test]
fn leaked_listings_reach_the_resources_and_are_released() {
    let Failure::GaveUp(CallError::Exhausted(message)) = failure_of("listings") else { panic!() };
    assert!(message.contains("`resources` of 1024"), "{message}");
}

#[test]
fn arguments_have_limits() {
    let Failure::GaveUp(CallError::Exhausted(message)) = failure_of("long-list") else { panic!() };
    assert!(message.contains("`list-rows`"), "{message}");
    let Failure::GaveUp(CallError::Exhausted(message)) = failure_of("long-text") else { panic!() };
    assert!(message.contains("`text-bytes`"), "{message}");
    assert_limit(&failure_of("long-data"), "argument-bytes");
}

#[test]
fn floods_of_reports_are_bounded() {
    let few = || Limits { log_lines: 10, report_entries: 10, guest_time: Duration::from_secs(60), ..limits() };
    let outcome = run_with("log-flood", few());
    outcome.result.unwrap();
    let logged = outcome.host.logged();
    assert_eq!(logged.len(), 11, "{logged:?}");
    assert!(logged[10].contains("Warning further lines are dropped: the limit `log-lines` of 10"), "{logged:?}");
    assert_limit(&failure_with("report-flood", few()), "report-entries");
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
    let in_export = |how: &str, wanted: Export| match run_with(how, limits()).result.unwrap_err() {
        RuntimeError::Failed { export, task: None, failure, .. } if export == wanted => failure,
        other => panic!("{other:?}"),
    };
    assert_limit(&in_export("many-tasks", Export::Prepare), "tasks");
    assert_rule(&in_export("same-tasks", Export::Prepare), "two tasks `one`");
    assert!(matches!(in_export("panic-in-prepare", Export::Prepare), Failure::Trap { last_words: Some(_), .. }));
    assert_limit(&in_export("loop-in-finish", Export::Finish), "guest-time-seconds");
}

#[test]
fn a_table_hog_reaches_the_elements() {
    let hog = r#"(component
        (core module $m (table 200000 funcref) (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f"))))"#;
    // Not a procedure, so it is refused before it is instantiated; the limiter is asked for the same by a real one.
    assert!(Runtime::new(limits()).unwrap().load(&wat::parse_str(hog).unwrap(), "hog.wasm").is_err());
    let tight = Limits { table_elements: 1, ..limits() };
    let error = Runtime::new(tight).unwrap().load(&guest("misbehaving"), "misbehaving.wasm").unwrap_err();
    assert!(error.to_string().contains("failed in `describe`: it reached the limit `table-elements` of 1"), "{error}");
}

#[test]
fn the_first_failure_stops_the_other_tasks() {
    let patient = Limits { guest_time: Duration::from_secs(300), wall_time: Duration::from_secs(300), ..limits() };
    let procedure = Runtime::new(patient).unwrap().load(&guest("misbehaving"), "misbehaving.wasm").unwrap();
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
    let procedure = Runtime::new(limits()).unwrap().load(&guest("misbehaving"), "misbehaving.wasm").unwrap();
    let settings = procedure.settings(&overrides(&[("how", "bear-no-error")])).unwrap();
    let world = || -> Arc<dyn RecoveryHost> { Arc::new(MockHost::with_segments(1, 3)) };
    let broken = exhaust(&procedure, &settings, &world).unwrap().broken;
    assert_eq!(broken.len(), 6, "{broken:?}");
    let first = broken[0].to_string();
    assert!(first.contains("`coordination.get` failed with `not-found`: the run ended with"), "{first}");
    assert!(broken.iter().all(|broken| broken.end.contains("crashed")), "{broken:?}");
    let settings = procedure.settings(&overrides(&[("how", "panic")])).unwrap();
    assert!(exhaust(&procedure, &settings, &world).is_err());
}

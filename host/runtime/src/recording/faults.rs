//! Fails the calls of a procedure, one in each run and in each way that the contract allows, and looks how it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dr_engine::contract::{CallError, ContainerId, Instance, RecoveryHost};

use super::call::{Answer, Call, Numbered, case, in_words};
use super::effects::Effects;
use super::recorder::Recorder;
use super::relay::{Exchange, Relay};
use crate::description::Setting;
use crate::error::{Failure, RuntimeError};
use crate::procedure::Procedure;

/// Cases that every call can meet: a grant that is missing, a server that is away, a limit.
const OF_EVERY_CALL: [fn(String) -> CallError; 3] = [CallError::Denied, CallError::Unavailable, CallError::Exhausted];

/// What came of failing every call once in each way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// Runs in which a call failed, by the call.
    pub runs: BTreeMap<String, usize>,
    /// How many of them ended well all the same.
    pub succeeded: usize,
    /// Runs that ended as no procedure should: with a crash, at a limit, by breaking a rule, or with another plan than the run
    /// without a fault.
    pub broken: Vec<Broken>,
}

/// A run that a fault ended badly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, `{call}` failed with `{case}`: the run ended with {end}")]
pub struct Broken {
    /// Who made the call, and which one it is.
    pub place: String,
    /// The call.
    pub call: String,
    /// How it failed.
    pub case: &'static str,
    /// How the run ended.
    pub end: String,
}

/// Runs the procedure once without a fault, then once for every call that can fail and every way in which it can. Each run has
/// a host of its own; tasks run one after the other. `selected` are the containers that the operator chose.
///
/// # Errors
/// The error of the run without a fault, if it crashes, reaches a limit or breaks a rule.
pub fn exhaust(
    procedure: &Procedure,
    settings: &[Setting],
    selected: &[ContainerId],
    new_host: &dyn Fn() -> Arc<dyn RecoveryHost>,
) -> Result<Exhausted, RuntimeError> {
    let run = |host: Arc<dyn RecoveryHost>| {
        let recorder = Arc::new(Recorder::default());
        let result = procedure.execute(recorder.before(host), settings, selected, 1, &());
        (recorder.take_calls(), result)
    };
    let (calls, whole) = run(new_host());
    if !is_clean(&whole) {
        return Err(whole.err().unwrap_or(RuntimeError::Machine { problem: "it ended in no known way".to_owned() }));
    }
    let plan = Effects::of(&calls);
    let mut exhausted = Exhausted { runs: BTreeMap::new(), succeeded: 0, broken: Vec::new() };
    for made in &calls {
        for error in errors_of(&made.call.call) {
            let case = case(&error);
            let fault = Fault { instance: made.instance.clone(), number: made.number, error, made: Mutex::default() };
            let (calls, result) = run(Arc::new(Relay::new(Some(new_host()), Arc::new(fault))));
            *exhausted.runs.entry(made.call.call.clone()).or_default() += 1;
            exhausted.succeeded += usize::from(result.is_ok());
            if let Some(end) = bad_end(&result, &plan, &calls) {
                exhausted.broken.push(Broken {
                    place: format!("{}, call {}", in_words(&made.instance), made.number),
                    call: made.call.call.clone(),
                    case,
                    end,
                });
            }
        }
    }
    Ok(exhausted)
}

impl Exhausted {
    /// All runs in which a call failed.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.runs.values().sum()
    }
}

/// Why a run may not end like this, if it may not. What succeeds although a call failed has to be as good as without.
fn bad_end<T>(result: &Result<T, RuntimeError>, plan: &Effects, calls: &[Numbered]) -> Option<String> {
    match result {
        Err(RuntimeError::Failed { failure: Failure::GaveUp(_), .. }) => None,
        Err(error) => Some(error.to_string()),
        Ok(_) => plan.first_difference(&Effects::of(calls)).map(|difference| format!("another plan: {difference}")),
    }
}

/// It succeeded, or returned an error of the contract.
fn is_clean<T>(result: &Result<T, RuntimeError>) -> bool {
    matches!(result, Ok(_) | Err(RuntimeError::Failed { failure: Failure::GaveUp(_), .. }))
}

/// Fails one call.
#[derive(Debug)]
struct Fault {
    instance: Instance,
    number: usize,
    error: CallError,
    made: Mutex<BTreeMap<Instance, usize>>,
}

impl Exchange for Fault {
    fn before(&self, instance: &Instance, _call: &Call) -> Option<Answer> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let number = made.entry(instance.clone()).or_default();
        *number += 1;
        (*number == self.number && *instance == self.instance).then(|| Answer::Error(self.error.clone()))
    }
}

/// Every error that the documentation of a call allows; none for calls that cannot fail.
fn errors_of(call: &str) -> Vec<CallError> {
    use CallError as E;
    let own: &[fn(String) -> E] = match call {
        "storage.containers" => &[],
        "storage.list-segments"
        | "storage.list-leftover-objects"
        | "containers.open-old-metadata"
        | "storage.segment-listing.next-page"
        | "storage.object-listing.next-page"
        | "containers.metadata-listing.next-page" => &[E::NotFound, E::Invalid, E::Damaged],
        "storage.measure" | "storage.list-metadata-objects" => &[E::NotFound],
        "storage.move-aside" | "containers.open-fresh-container" => &[E::NotFound, E::Invalid, E::Conflict],
        "containers.fresh-container.create-segments" => &[E::NotFound, E::AlreadyExists, E::Invalid, E::Conflict],
        "containers.fresh-container.renew-reader-groups" => &[E::NotFound, E::Invalid, E::Conflict, E::Damaged],
        "containers.fresh-container.close" => &[E::Conflict, E::Damaged],
        call if call.starts_with("containers.fresh-container.") => &[E::NotFound, E::Invalid, E::Conflict],
        "controller.list-streams" | "controller.highest-transaction-counter" => &[E::Conflict],
        "controller.list-pending-work" => &[],
        "controller.stream-listing.next-page" | "controller.pending-work-listing.next-page" => &[E::Invalid],
        "coordination.create" => &[E::AlreadyExists, E::Invalid, E::Conflict],
        call if call.starts_with("coordination.") => &[E::NotFound, E::Invalid, E::Conflict],
        "bookies.list-bookies" | "ledgers.list-ledgers" | "logs.list-logs" => &[E::NotFound],
        "ledgers.ledger-listing.next-page" => &[E::Invalid],
        "bookies.register-bookies" => &[E::NotFound, E::Invalid, E::Conflict],
        "ledgers.keep-ledgers" => &[E::NotFound, E::Conflict, E::Damaged],
        "logs.restore-log" => &[E::NotFound, E::Conflict, E::Damaged],
        _ => return Vec::new(),
    };
    let all = own.iter().chain(&OF_EVERY_CALL);
    all.map(|error| error(format!("`{call}` was made to fail by the test"))).collect()
}

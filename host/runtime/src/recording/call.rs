//! One host call as data.

use dr_engine::contract::{CallError, CallResult, Instance};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Export, Failure, RuntimeError};

/// All calls of the contract, by interface.
pub const CALLS: [&str; 39] = [
    "storage.containers",
    "storage.list-segments",
    "storage.segment-listing.next-page",
    "storage.measure",
    "storage.list-metadata-objects",
    "storage.list-leftover-objects",
    "storage.object-listing.next-page",
    "storage.move-aside",
    "containers.open-fresh-container",
    "containers.fresh-container.create-segments",
    "containers.fresh-container.update-attributes",
    "containers.fresh-container.seal-segments",
    "containers.fresh-container.truncate-segments",
    "containers.fresh-container.renew-reader-groups",
    "containers.fresh-container.end-transactions",
    "containers.fresh-container.close",
    "containers.open-old-metadata",
    "containers.metadata-listing.next-page",
    "controller.list-streams",
    "controller.stream-listing.next-page",
    "controller.highest-transaction-counter",
    "controller.list-pending-work",
    "controller.pending-work-listing.next-page",
    "coordination.get",
    "coordination.children",
    "coordination.create",
    "coordination.set",
    "coordination.delete",
    "bookies.list-bookies",
    "bookies.register-bookies",
    "ledgers.list-ledgers",
    "ledgers.ledger-listing.next-page",
    "ledgers.keep-ledgers",
    "logs.list-logs",
    "logs.restore-log",
    "report.log",
    "report.progress",
    "report.decision",
    "report.loss",
];

/// What a procedure asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Interface and function, as in `storage.list-segments`.
    pub call: String,
    /// Its arguments by name. A method of a resource has those that opened the resource, too.
    pub arguments: Value,
}

/// What it is told. An opened resource is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The call's result.
    Ok(Value),
    /// Why there is none.
    Error(CallError),
}

/// A call with its answer and its place in the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// Position among the calls of its instance, from 1.
    pub number: usize,
    /// Who makes it.
    #[serde(flatten)]
    pub instance: Instance,
    /// The question.
    #[serde(flatten)]
    pub call: Call,
    /// The answer.
    pub answer: Answer,
}

/// A [`Numbered`] call that is only written, without its answer.
#[derive(Debug, Serialize)]
pub(crate) struct Asked<'a, A> {
    pub(crate) number: usize,
    #[serde(flatten)]
    pub(crate) instance: &'a Instance,
    pub(crate) call: &'a str,
    pub(crate) arguments: &'a A,
}

/// An [`Answer`] that is only written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answered<'a, T> {
    Ok(&'a T),
    Error(&'a CallError),
}

impl Answer {
    /// The answer of a host.
    pub(crate) fn of<T: Serialize>(answer: &CallResult<T>) -> Self {
        match answer {
            Ok(value) => serde_json::to_value(value).map_or_else(|error| Self::Error(not_data(&error)), Self::Ok),
            Err(error) => Self::Error(error.clone()),
        }
    }

    /// The answer as the procedure gets it.
    ///
    /// # Errors
    /// The error that is the answer; `invalid` if this cannot be an answer of the call.
    pub(crate) fn into_result<T: DeserializeOwned>(self) -> CallResult<T> {
        match self {
            Self::Ok(value) => serde_json::from_value(value).map_err(|error| not_data(&error)),
            Self::Error(error) => Err(error),
        }
    }
}

fn not_data(error: &serde_json::Error) -> CallError {
    CallError::Invalid(format!("the answer is not of the call's type: {error}"))
}

/// How a run ended, in one word: `success`; the case of the error with which the procedure gave up, as in `not-found`;
/// `limit:` and its name; `rule`; `crash`.
#[must_use]
pub fn outcome<T>(result: &Result<T, RuntimeError>) -> String {
    match result {
        Ok(_) => "success".to_owned(),
        Err(RuntimeError::Failed { failure, .. }) => match failure {
            Failure::GaveUp(error) => case(error).to_owned(),
            Failure::Limit { name, .. } => format!("limit:{name}"),
            Failure::Rule(_) => "rule".to_owned(),
            Failure::Trap { .. } => "crash".to_owned(),
            Failure::Stopped => "stopped".to_owned(),
        },
        Err(_) => "unusable".to_owned(),
    }
}

/// Who ended the run, if it failed.
pub(crate) fn failed<T>(result: &Result<T, RuntimeError>) -> Option<Instance> {
    match result {
        Err(RuntimeError::Failed { export: Export::Prepare, .. }) => Some(Instance::Prepare),
        Err(RuntimeError::Failed { export: Export::Run, task: Some(task), .. }) => Some(Instance::Run(task.clone())),
        Err(RuntimeError::Failed { export: Export::Finish, .. }) => Some(Instance::Finish),
        _ => None,
    }
}

/// The case's name in the contract.
#[must_use]
pub fn case(error: &CallError) -> &'static str {
    match error {
        CallError::NotFound(_) => "not-found",
        CallError::AlreadyExists(_) => "already-exists",
        CallError::Conflict(_) => "conflict",
        CallError::Invalid(_) => "invalid",
        CallError::Denied(_) => "denied",
        CallError::Damaged(_) => "damaged",
        CallError::Unavailable(_) => "unavailable",
        CallError::Exhausted(_) => "exhausted",
        CallError::Failed(_) => "failed",
    }
}

/// An instance in words.
#[must_use]
pub fn in_words(instance: &Instance) -> String {
    match instance {
        Instance::Prepare => "`prepare`".to_owned(),
        Instance::Run(task) => format!("task `{task}`"),
        Instance::Finish => "`finish`".to_owned(),
    }
}

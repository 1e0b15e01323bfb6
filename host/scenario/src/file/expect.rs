//! What a scenario expects, as it stands in a file. What is not named is not looked at.

use dr_engine::contract::{ContainerId, Decision, LostRange};
use dr_runtime::recording::{CALLS, CreatedSegment, MovedObjects, RenewedSegment, ZNodeEffect};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::error::Problem;

/// How a run ends well.
const SUCCESS: &str = "success";

/// How it can end else, besides at a limit.
const OTHER_OUTCOMES: [&str; 11] = [
    "not-found",
    "already-exists",
    "conflict",
    "invalid",
    "denied",
    "damaged",
    "unavailable",
    "exhausted",
    "failed",
    "rule",
    "crash",
];

/// What should come of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectations {
    /// How it ends.
    pub(crate) outcome: String,
    /// What the message says, among others.
    pub(crate) message: Option<String>,
    /// Calls that are made, or are not.
    pub(crate) calls: Option<ExpectedCalls>,
    /// What is staged.
    pub(crate) effects: ExpectedEffects,
    /// Losses that are reported.
    pub(crate) losses: Option<Vec<ExpectedLoss>>,
    /// Decisions that are reported.
    pub(crate) decisions: Option<Vec<ExpectedDecision>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ExpectTable {
    outcome: Option<Spanned<String>>,
    message: Option<String>,
    calls: Option<CallsTable>,
    #[serde(default)]
    effects: ExpectedEffects,
    losses: Option<Vec<ExpectedLoss>>,
    decisions: Option<Vec<ExpectedDecision>>,
}

/// Effects by kind.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ExpectedEffects {
    /// Containers that are closed.
    pub(crate) containers: Option<Vec<ContainerId>>,
    /// Segments that are created in them.
    pub(crate) created: Option<Vec<CreatedSegment>>,
    /// Reader groups that begin anew.
    pub(crate) renewed: Option<Vec<RenewedSegment>>,
    /// Containers whose transactions are ended.
    pub(crate) ended_transactions: Option<Vec<ContainerId>>,
    /// Objects that move.
    pub(crate) moved: Option<Vec<MovedObjects>>,
    /// ZNodes that change.
    pub(crate) znodes: Option<Vec<ZNodeEffect>>,
    /// Containers whose logs are restored.
    pub(crate) restored_logs: Option<Vec<ContainerId>>,
    /// Ledgers of no log that are kept.
    pub(crate) kept_ledgers: Option<Vec<i64>>,
    /// Bookies that are registered.
    pub(crate) registered_bookies: Option<Vec<String>>,
}

/// A loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ExpectedLoss {
    container: ContainerId,
    pub(crate) segment: String,
    first: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<u64>,
    reason: String,
}

/// A decision. Choice and reason are words for people: what is not written is not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ExpectedDecision {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<ContainerId>,
    pub(crate) subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) choice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Calls that are expected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpectedCalls {
    pub(crate) order: CallOrder,
    pub(crate) made: Vec<ExpectedCall>,
    pub(crate) never: Vec<String>,
}

/// How the calls that are made have to be those that are expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CallOrder {
    /// Each of them is made; others may be, and the order does not matter.
    #[default]
    Any,
    /// In this order; others may be made between them.
    Ordered,
    /// These and no others, in this order. Lines of the log and progress do not count.
    Strict,
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpectedCall {
    /// Interface and function.
    pub(crate) call: String,
    /// Task that makes it; none if that does not matter.
    pub(crate) task: Option<String>,
    /// Arguments that it has; it may have others.
    pub(crate) arguments: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CallsTable {
    #[serde(default)]
    order: CallOrder,
    #[serde(default)]
    made: Vec<CallTable>,
    #[serde(default)]
    never: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CallTable {
    call: Spanned<String>,
    task: Option<String>,
    arguments: Option<Spanned<toml::Table>>,
}

impl ExpectTable {
    pub(super) fn check(self) -> Result<Expectations, Problem> {
        let outcome = self.outcome.map(known_outcome).transpose()?;
        Ok(Expectations {
            outcome: outcome.unwrap_or_else(|| SUCCESS.to_owned()),
            message: self.message,
            calls: self.calls.map(CallsTable::check).transpose()?,
            effects: self.effects,
            losses: self.losses,
            decisions: self.decisions,
        })
    }
}

fn known_outcome(outcome: Spanned<String>) -> Result<String, Problem> {
    let word = outcome.get_ref().as_str();
    if word == SUCCESS || OTHER_OUTCOMES.contains(&word) || word.starts_with("limit:") {
        return Ok(outcome.into_inner());
    }
    let others = OTHER_OUTCOMES.join("`, `");
    let problem = format!(
        "there is no outcome `{word}`; there are `{SUCCESS}`, `{others}`, and `limit:` with the name of a limit"
    );
    Err(Problem::new(outcome.span(), problem))
}

fn known_call(call: Spanned<String>) -> Result<String, Problem> {
    if CALLS.contains(&call.get_ref().as_str()) {
        return Ok(call.into_inner());
    }
    let problem = format!("there is no call `{}`; there are `{}`", call.get_ref(), CALLS.join("`, `"));
    Err(Problem::new(call.span(), problem))
}

impl CallsTable {
    fn check(self) -> Result<ExpectedCalls, Problem> {
        let made = self.made.into_iter().map(CallTable::check);
        let never = self.never.into_iter().map(known_call);
        Ok(ExpectedCalls {
            order: self.order,
            made: made.collect::<Result<_, _>>()?,
            never: never.collect::<Result<_, _>>()?,
        })
    }
}

impl CallTable {
    fn check(self) -> Result<ExpectedCall, Problem> {
        let arguments = self.arguments.map(arguments_of_call).transpose()?.unwrap_or_default();
        Ok(ExpectedCall { call: known_call(self.call)?, task: self.task, arguments })
    }
}

fn arguments_of_call(table: Spanned<toml::Table>) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
    let at = table.span();
    match serde_json::to_value(table.into_inner()) {
        Ok(serde_json::Value::Object(arguments)) => Ok(arguments),
        _ => Err(Problem::new(at, "`arguments` are texts, numbers, truths, and lists and tables of them")),
    }
}

impl From<&LostRange> for ExpectedLoss {
    fn from(range: &LostRange) -> Self {
        let LostRange { container, segment, first, end, reason } = range.clone();
        Self { container, segment, first, end, reason }
    }
}

impl From<&Decision> for ExpectedDecision {
    fn from(decision: &Decision) -> Self {
        let Decision { container, subject, choice, reason } = decision.clone();
        Self { container, subject, choice: Some(choice), reason: Some(reason) }
    }
}

#[cfg(test)]
mod tests {
    use dr_engine::contract::CallError;

    use super::*;

    #[test]
    fn every_case_of_an_error_is_an_outcome() {
        let cases = [
            CallError::NotFound,
            CallError::AlreadyExists,
            CallError::Conflict,
            CallError::Invalid,
            CallError::Denied,
            CallError::Damaged,
            CallError::Unavailable,
            CallError::Exhausted,
            CallError::Failed,
        ];
        for case in cases {
            let written = serde_json::to_value(case(String::new())).unwrap();
            assert!(OTHER_OUTCOMES.contains(&written["case"].as_str().unwrap()), "{written}");
        }
    }
}

//! Answers a procedure from a recording, and notices the first call that is another one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dr_engine::contract::{CallError, Instance};
use serde_json::Value;

use super::call::{Answer, Call, in_words, outcome};
use super::file::Recording;
use super::relay::{Exchange, Relay};
use crate::error::RuntimeError;
use crate::procedure::Procedure;

/// Most characters of a call that a difference shows.
const SHOWN_CHARACTERS_MAX: usize = 300;

/// Where a procedure first did something else than the recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Who, and which call, from 1.
    pub place: String,
    /// What the recording has.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Where in the arguments they differ first, if the call is the same.
    pub detail: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: expected {}, got {}", self.place, self.expected, self.got)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(formatter, "; {detail}"))
    }
}

/// The host of a replay.
#[derive(Debug)]
pub struct Replayer {
    recording: Recording,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    done: BTreeMap<Instance, usize>,
    difference: Option<Difference>,
}

impl Exchange for Replayer {
    fn before(&self, instance: &Instance, call: &Call) -> Option<Answer> {
        let mut state = self.lock();
        if state.difference.is_none() {
            let done = state.done.entry(instance.clone()).or_default();
            let expected = self.recording.calls.get(instance).and_then(|calls| calls.get(*done));
            match expected {
                Some(expected) if expected.call == *call => {
                    *done += 1;
                    return Some(expected.answer.clone());
                }
                _ => state.difference = Some(difference(instance, *done, expected.map(|e| &e.call), Some(call))),
            }
        }
        Some(Answer::Error(CallError::Conflict("the procedure makes other calls than the recorded one".to_owned())))
    }
}

impl Replayer {
    /// Answers from this recording.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        Self { recording, state: Mutex::default() }
    }

    /// The first difference, a call that was left out included.
    #[must_use]
    pub fn difference(&self) -> Option<Difference> {
        let state = self.lock();
        let left_out = || {
            self.recording.calls.iter().find_map(|(instance, calls)| {
                if self.recording.is_cut(instance) {
                    return None;
                }
                let done = state.done.get(instance).copied().unwrap_or(0);
                let missing = calls.get(done)?;
                Some(difference(instance, done, Some(&missing.call), None))
            })
        };
        state.difference.clone().or_else(left_out)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a procedure against a recording, with the recorded settings, one task after the other. Returns the first difference.
/// Of a run that failed, `prepare` and what failed are compared; the other tasks were stopped anywhere.
///
/// # Errors
/// [`RuntimeError::UnknownSetting`] and [`RuntimeError::BadSetting`] if the procedure does not take those settings.
pub fn replay(procedure: &Procedure, recording: Recording) -> Result<Option<Difference>, RuntimeError> {
    let settings: Vec<_> = recording.head.settings.clone().into_iter().collect();
    let settings = procedure.settings(&settings)?;
    let (selected, expected) = (recording.head.selected.clone(), recording.outcome.clone());
    let replayer = Arc::new(Replayer::new(recording));
    let host = Arc::new(Relay::new(None, replayer.clone()));
    let result = procedure.execute_recorded(host, &settings, &selected, &replayer.recording);
    let other_end = || {
        let got = outcome(&result);
        let place = "the end of the run".to_owned();
        let detail = result.as_ref().err().map(ToString::to_string);
        (got != expected).then(|| Difference {
            place,
            expected: format!("`{expected}`"),
            got: format!("`{got}`"),
            detail,
        })
    };
    Ok(replayer.difference().or_else(other_end))
}

fn difference(instance: &Instance, done: usize, expected: Option<&Call>, got: Option<&Call>) -> Difference {
    let same_call = expected.zip(got).filter(|(expected, got)| expected.call == got.call);
    Difference {
        place: format!("{}, call {}", in_words(instance), done + 1),
        expected: shown(expected),
        got: shown(got),
        detail: same_call.and_then(|(expected, got)| first_difference(&expected.arguments, &got.arguments, "")),
    }
}

fn shown(call: Option<&Call>) -> String {
    call.map_or_else(|| "no further call".to_owned(), |call| format!("`{} {}`", call.call, short(&call.arguments)))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// Where two values differ first. The recursion is as deep as the parser of JSON allows.
pub(super) fn first_difference(expected: &Value, got: &Value, path: &str) -> Option<String> {
    match (expected, got) {
        _ if expected == got => None,
        (Value::Array(first), Value::Array(second)) if first.len() == second.len() => {
            let pairs = first.iter().zip(second).enumerate();
            pairs
                .into_iter()
                .find_map(|(index, (first, second))| first_difference(first, second, &format!("{path}/{index}")))
        }
        (Value::Object(first), Value::Object(second)) if first.keys().eq(second.keys()) => {
            first.iter().find_map(|(name, value)| first_difference(value, &second[name], &format!("{path}/{name}")))
        }
        _ if path.is_empty() => None,
        _ => Some(format!("at {path}: expected {}, got {}", short(expected), short(got))),
    }
}

//! How far the effects of a plan are, as its journal tells.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Application;
use crate::error::{OperatorError, Result};
use crate::journal::{Entry, Journal, State};

/// The effects of one plan.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    journal: &'a Journal,
    plan: &'a str,
    states: Mutex<BTreeMap<usize, State>>,
}

impl<'a> Steps<'a> {
    /// What the journal tells of the plan.
    ///
    /// # Errors
    /// `plan-unreadable` if it is the journal of another plan.
    pub(super) fn of(application: &Application<'a>) -> Result<Self> {
        let Application { plan, journal, directory, .. } = *application;
        let (states, others) = journal.effects(&plan.id);
        if let Some(other) = others.first() {
            return Err(OperatorError::new(
                "plan-unreadable",
                format!("the journal in `{}` is not this plan's", directory.display()),
                "name the run directory of the plan to be resumed, or make a new plan",
            )
            .because(format!("it tells of plan {other}")));
        }
        Ok(Self { journal, plan: &plan.id, states: Mutex::new(states) })
    }

    /// How far an effect is; none if it was never begun.
    pub(super) fn state(&self, effect: usize) -> Option<State> {
        self.lock().get(&effect).copied()
    }

    /// How many are done.
    pub(super) fn done(&self) -> usize {
        self.lock().values().filter(|state| matches!(state, State::Done { .. })).count()
    }

    /// True if nothing was ever begun.
    pub(super) fn is_new(&self) -> bool {
        self.lock().is_empty()
    }

    /// Records how far an effect is.
    pub(super) fn record(&self, effect: usize, state: State, digest: Option<&str>) -> Result<()> {
        self.record_all(effect, effect, state, digest)
    }

    /// Records the same of all effects from the first to the last.
    pub(super) fn record_all(&self, first: usize, last: usize, state: State, digest: Option<&str>) -> Result<()> {
        let (plan, digest) = (self.plan.to_owned(), digest.map(str::to_owned));
        self.journal.record(Entry::Effects { plan, first, last, state, digest })?;
        self.lock().extend((first..=last).map(|effect| (effect, state)));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The journal of an application: what was begun and what is done, synced before and after each effect.
//!
//! One JSON object a line. A torn last line is what a crash leaves and counts as not written.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::{OperatorError, Result};
use crate::plan::run_directory_error;

/// Name of the journal in the plan's directory.
const JOURNAL_FILE: &str = "apply.journal";

/// How far an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(super) enum State {
    /// Its action may have happened, in part or whole.
    Begun,
    /// A ledger id was taken for it; the ledger may exist and is being written.
    LedgerOpen {
        /// Its id.
        ledger: i64,
    },
    /// Its action happened.
    Done {
        /// The ledger it wrote, if it writes one.
        ledger: Option<i64>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    plan: String,
    effect: usize,
    #[serde(flatten)]
    state: State,
}

/// The journal of one plan's application.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    plan: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    states: BTreeMap<usize, State>,
}

impl Journal {
    /// Opens the journal in a plan's directory, or begins one.
    pub(super) fn open(directory: &Path, plan: &str) -> Result<Self> {
        let path = directory.join(JOURNAL_FILE);
        let fail = |error| run_directory_error("open", &path, error);
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(fail)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(fail)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        // A torn line would merge with the next one that is appended.
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(fail)?;
        let states = parse(&text[..whole], plan).map_err(|why| {
            OperatorError::new(
                "plan-unreadable",
                format!("the journal `{}` is not this plan's", path.display()),
                "name the run directory of the plan to be resumed, or make a new plan",
            )
            .because(why)
        })?;
        Ok(Self { path, plan: plan.to_owned(), inner: Mutex::new(Inner { file, states }) })
    }

    /// How far an effect is; none if it was never begun.
    pub(super) fn state(&self, effect: usize) -> Option<State> {
        self.lock().states.get(&effect).copied()
    }

    /// True if nothing was ever begun.
    pub(super) fn is_new(&self) -> bool {
        self.lock().states.is_empty()
    }

    /// Records and syncs.
    pub(super) fn record(&self, effect: usize, state: State) -> Result<()> {
        self.record_all([effect], state)
    }

    /// Records the same of several effects, and syncs once.
    pub(super) fn record_all(&self, effects: impl IntoIterator<Item = usize>, state: State) -> Result<()> {
        let fail = |error| run_directory_error("write", &self.path, error);
        let effects: Vec<usize> = effects.into_iter().collect();
        let mut json = Vec::new();
        for &effect in &effects {
            let line = Line { plan: self.plan.clone(), effect, state };
            serde_json::to_writer(&mut json, &line).map_err(|error| fail(error.into()))?;
            json.push(b'\n');
        }
        let mut inner = self.lock();
        inner.file.write_all(&json).and_then(|()| inner.file.sync_data()).map_err(fail)?;
        inner.states.extend(effects.into_iter().map(|effect| (effect, state)));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(text: &[u8], plan: &str) -> std::result::Result<BTreeMap<usize, State>, String> {
    let mut states = BTreeMap::new();
    for (number, line) in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let line: Line = serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        if line.plan != plan {
            return Err(format!("line {} belongs to plan {}", number + 1, line.plan));
        }
        states.insert(line.effect, line.state);
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_forgotten_and_the_rest_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), "p").unwrap();
        assert!(journal.is_new());
        journal.record(0, State::Begun).unwrap();
        journal.record(0, State::Done { ledger: Some(7) }).unwrap();
        journal.record(1, State::Begun).unwrap();
        drop(journal);
        let path = directory.path().join(JOURNAL_FILE);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let journal = Journal::open(directory.path(), "p").unwrap();
        assert_eq!(journal.state(0), Some(State::Done { ledger: Some(7) }));
        assert_eq!(journal.state(1), None);
        journal.record(1, State::Done { ledger: None }).unwrap();
        drop(journal);
        let journal = Journal::open(directory.path(), "p").unwrap();
        assert_eq!(journal.state(1), Some(State::Done { ledger: None }));
    }

    #[test]
    fn a_journal_of_another_plan_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        Journal::open(directory.path(), "p").unwrap().record(0, State::Begun).unwrap();
        assert_eq!(Journal::open(directory.path(), "q").unwrap_err().code, "plan-unreadable");
    }
}

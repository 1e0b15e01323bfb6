//! The journal of a run: what was done, when, and what came of it. Each line holds the hash of the one before, and is synced
//! before the run goes on.
//!
//! One JSON object a line. A torn last line is what a crash leaves and counts as not written.

mod audit;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use self::audit::{Audit, AuditedLine, Break};
use crate::error::{OperatorError, Result};
use crate::plan::run_directory_error;
use crate::process::Process;
use crate::run_file;

/// Name of the journal in the run directory.
pub const JOURNAL_FILE: &str = "journal.jsonl";

/// Name of the file that says how far the journal reached when the last command ended.
const HEAD_FILE: &str = "journal.head";

/// The hash that the first line holds.
const BEGINNING: &str = "";

/// What is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Entry {
    /// A command began.
    CommandBegun {
        /// Its name.
        command: String,
        /// Version of `dr`.
        dr_version: String,
        /// Who runs it.
        process: Process,
    },
    /// Tier-2 was listed for a plan.
    Surveyed {
        /// Where it is.
        tier2: String,
        /// Objects in it.
        objects: u64,
        /// Their sizes added up.
        bytes: u64,
        /// Digest of keys and sizes.
        listing: String,
    },
    /// A procedure ran.
    ProcedureRan {
        /// Its name.
        procedure: String,
        /// Its version.
        version: String,
        /// SHA-256 of its module.
        digest: String,
        /// Names and values.
        settings: Vec<(String, String)>,
        /// Its tasks.
        tasks: Vec<String>,
        /// How often it made each call of the host.
        calls: BTreeMap<String, u64>,
        /// The same for each of its tasks, by their ids; what is not there was called by `prepare` or `finish`.
        #[serde(default)]
        calls_by_task: BTreeMap<String, BTreeMap<String, u64>>,
    },
    /// A plan was made and written.
    PlanMade {
        /// Its id, which is a digest of it.
        plan: String,
        /// Effects in it.
        effects: usize,
        /// Ranges that it gives up.
        losses: usize,
    },
    /// The evidence is as it was when the plan was made.
    EvidenceChecked {
        /// The plan.
        plan: String,
    },
    /// The lock of the cluster was taken.
    LockTaken {
        /// Its ZNode.
        path: String,
        /// For this plan.
        plan: String,
    },
    /// How far effects are.
    Effects {
        /// Of this plan.
        plan: String,
        /// The first of them, counted from 0.
        first: usize,
        /// The last of them.
        last: usize,
        /// How far.
        state: State,
        /// SHA-256 of what was written, if it was a log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// Something failed and is tried again.
    TriedAgain {
        /// Code of the error.
        code: String,
        /// What could not be done, and why.
        what: String,
    },
    /// The result was read back.
    Verified {
        /// Containers.
        containers: usize,
        /// Segments in them.
        segments: u64,
        /// What does not fit.
        problems: usize,
    },
    /// The plan was taken back.
    RolledBack {
        /// The plan.
        plan: String,
    },
    /// A command ended.
    CommandEnded {
        /// Its name.
        command: String,
        /// `done`, or the code of the error.
        outcome: String,
        /// What could not be done, and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        what: Option<String>,
    },
}

/// How far an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
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

/// A line without its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    number: u64,
    previous: String,
    unix_milliseconds: u64,
    #[serde(flatten)]
    entry: Entry,
}

/// How far the journal reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    lines: u64,
    hash: String,
}

/// A journal that is written. While it is open, no other process can open it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Bytes that are known to be whole lines.
    length: u64,
    /// Bytes behind may be there that an error left.
    has_tail: bool,
    head: Head,
    entries: Vec<Entry>,
}

/// How long a lock may be held by a process that is about to end: one that was killed keeps it until the system has cleared
/// it away, and a child that was just forked shares it until it runs its own program.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Between two tries to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

impl Journal {
    /// Opens the journal of a run directory, or begins one.
    ///
    /// # Errors
    /// `lock-held` if another process has it open; `journal-broken` if lines were edited, moved or removed; `run-directory`.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(JOURNAL_FILE);
        let fail = |error| run_directory_error("open", &path, error);
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(fail)?;
        match lock_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held_by_another(directory)),
            // Some network file systems have no locks; the lock in ZooKeeper is taken all the same.
            Err(TryLockError::Error(error)) => tracing::warn!(%error, "the journal cannot be locked"),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(fail)?;
        let audit = Audit::of(&text, run_file::read(&directory.join(HEAD_FILE)).map_err(fail)?);
        if let Some(first) = audit.breaks.first() {
            return Err(OperatorError::new(
                "journal-broken",
                format!("the journal `{}` is not what dr wrote", path.display()),
                format!("restore the run directory from a copy; `dr audit {}` shows all of it", directory.display()),
            )
            .because(first));
        }
        let length = (text.len() - audit.torn_bytes) as u64;
        // A torn line would merge with the next one that is appended.
        file.set_len(length).map_err(fail)?;
        let entries = audit.lines.into_iter().map(|line| line.entry).collect();
        let inner = Inner { file, length, has_tail: false, head: audit.head, entries };
        Ok(Self { path, inner: Mutex::new(inner) })
    }

    /// Records and syncs.
    ///
    /// # Errors
    /// `run-directory`; nothing is recorded then.
    pub fn record(&self, entry: Entry) -> Result<()> {
        let fail = |error| run_directory_error("write", &self.path, error);
        let mut inner = self.lock();
        if inner.has_tail {
            inner.file.set_len(inner.length).map_err(fail)?;
        }
        let line = Line {
            number: inner.head.lines + 1,
            previous: inner.head.hash.clone(),
            unix_milliseconds: unix_milliseconds(),
            entry,
        };
        let (text, hash) = line.render().map_err(|error| fail(error.into()))?;
        inner.has_tail = true;
        inner.file.write_all(&text).and_then(|()| inner.file.sync_data()).map_err(fail)?;
        inner.has_tail = false;
        inner.length += text.len() as u64;
        inner.head = Head { lines: line.number, hash };
        inner.entries.push(line.entry);
        Ok(())
    }

    /// Records the end of a command, and how far the journal reaches.
    ///
    /// # Errors
    /// `run-directory`.
    pub fn end(&self, command: &str, error: Option<&OperatorError>) -> Result<()> {
        let outcome = error.map_or("done", |error| error.code).to_owned();
        let what = error.map(ToString::to_string);
        self.record(Entry::CommandEnded { command: command.to_owned(), outcome, what })?;
        let head = self.lock().head.clone();
        run_file::replace(&self.path.with_file_name(HEAD_FILE), &head)
    }

    /// How far each effect of a plan is, and the ids of other plans that the journal tells of.
    pub(crate) fn effects(&self, plan: &str) -> (BTreeMap<usize, State>, Vec<String>) {
        let (mut states, mut others) = (BTreeMap::new(), Vec::new());
        for entry in &self.lock().entries {
            match entry {
                Entry::Effects { plan: of, first, last, state, .. } if of == plan => {
                    states.extend((*first..=*last).map(|effect| (effect, *state)));
                }
                Entry::Effects { plan: other, .. } => others.push(other.clone()),
                _ => {}
            }
        }
        (states, others)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The line as it is written, and its hash.
    fn render(&self) -> serde_json::Result<(Vec<u8>, String)> {
        let mut text = serde_json::to_vec(self)?;
        let hash = blake3::hash(&text).to_hex().to_string();
        text.pop();
        text.extend_from_slice(format!("{HASH_FIELD}{hash}\"}}\n").as_bytes());
        Ok((text, hash))
    }
}

/// Stands before the hash of a line.
const HASH_FIELD: &str = ",\"hash\":\"";

/// For people only: nothing is decided by it.
fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// True if a process has the journal of a run directory open; none if that cannot be known.
pub(crate) fn is_held(directory: &Path) -> Option<bool> {
    let file = File::open(directory.join(JOURNAL_FILE)).ok()?;
    match file.try_lock_shared() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

/// Takes the lock, or tells after [`LOCK_PATIENCE`] that it is held.
fn lock_patiently(file: &File) -> std::result::Result<(), TryLockError> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_PAUSE),
            end => return end,
        }
    }
}

fn held_by_another(directory: &Path) -> OperatorError {
    let holder = Audit::read(directory).ok().and_then(|audit| audit.last_process());
    let who = holder
        .map_or_else(|| "another process".to_owned(), |process| format!("process {} on {}", process.pid, process.host));
    OperatorError::new(
        "lock-held",
        format!("another dr works with the run directory `{}`", directory.display()),
        "wait until it has ended, or end it, then run the command again; it goes on where that one stopped",
    )
    .because(format!("{who} has its journal open"))
    .may_retry()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: usize) -> Entry {
        Entry::Effects { plan: "p".to_owned(), first, last: first, state: State::Begun, digest: None }
    }

    #[test]
    fn a_torn_line_is_forgotten_and_the_rest_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        journal.record(entry(0)).unwrap();
        let state = State::Done { ledger: Some(7) };
        journal.record(Entry::Effects { plan: "p".to_owned(), first: 0, last: 2, state, digest: None }).unwrap();
        journal.record(entry(1)).unwrap();
        drop(journal);
        let path = directory.path().join(JOURNAL_FILE);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert_eq!(journal.effects("p"), ((0..3).map(|effect| (effect, state)).collect(), vec![]));
        assert_eq!(journal.effects("q"), (BTreeMap::new(), vec!["p".to_owned(), "p".to_owned()]));
        journal.record(entry(5)).unwrap();
        drop(journal);
        let (states, _) = Journal::open(directory.path()).unwrap().effects("p");
        assert_eq!(states.get(&5), Some(&State::Begun));
    }

    #[test]
    fn a_clock_that_jumps_decides_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        journal.record(entry(0)).unwrap();
        let head = journal.lock().head.clone();
        drop(journal);
        // Written after it, by a clock that was set back.
        let line = Line { number: 2, previous: head.hash, unix_milliseconds: 0, entry: entry(1) };
        let path = directory.path().join(JOURNAL_FILE);
        let text = [std::fs::read(&path).unwrap(), line.render().unwrap().0].concat();
        std::fs::write(&path, text).unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        journal.record(entry(2)).unwrap();
        assert_eq!(journal.effects("p").0.len(), 3);
    }

    #[test]
    fn only_one_has_it_open() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(is_held(directory.path()), None);
        let journal = Journal::open(directory.path()).unwrap();
        assert_eq!(is_held(directory.path()), Some(true));
        let error = Journal::open(directory.path()).unwrap_err();
        assert_eq!((error.code, error.retry), ("lock-held", true));
        drop(journal);
        assert_eq!(is_held(directory.path()), Some(false));
        Journal::open(directory.path()).unwrap();
    }

    #[test]
    fn a_write_that_fails_leaves_no_half_line() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        journal.record(entry(0)).unwrap();
        {
            // As after a write of which only a part fitted on the disk.
            let mut inner = journal.lock();
            inner.file.write_all(b"{\"number\":2").unwrap();
            inner.has_tail = true;
        }
        journal.record(entry(1)).unwrap();
        drop(journal);
        assert_eq!(Journal::open(directory.path()).unwrap().effects("p").0.len(), 2);
    }
}

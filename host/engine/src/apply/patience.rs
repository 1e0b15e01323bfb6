//! Servers and disks that fail for a while: the application is tried again, which goes on where it stopped.

use std::time::{Duration, Instant};

use crate::error::{OperatorError, Result};
use crate::journal::{Entry, Journal};
use crate::progress::Progress;

/// Failures of servers and disks that may pass.
const TRANSIENT: &[&str] =
    &["tier1-unavailable", "tier1-io", "bookies-missing", "bookie-refused", "tier2-io", "run-directory-io"];

/// How long is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Pause before the second attempt; each following one is twice as long.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// No further attempt begins after this time without any progress.
    pub limit: Duration,
}

impl Patience {
    /// The first failure is the last.
    pub const NONE: Self = Self { first_pause: Duration::ZERO, longest_pause: Duration::ZERO, limit: Duration::ZERO };

    /// Calls `attempt` until it succeeds, fails for good, or patience is at an end. `done` tells how much was done: whenever
    /// there is more, patience begins anew.
    pub(super) fn keep_trying<T>(
        self,
        (journal, progress): (&Journal, &dyn Progress),
        done: impl Fn() -> usize,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let (mut since, mut before, mut pause) = (Instant::now(), done(), self.first_pause);
        loop {
            let error = match attempt() {
                Err(error) if error.retry && TRANSIENT.contains(&error.code) => error,
                result => return result,
            };
            let now = done();
            if now > before {
                (since, before, pause) = (Instant::now(), now, self.first_pause);
            }
            if since.elapsed() + pause > self.limit || self.limit.is_zero() {
                return Err(error);
            }
            tell(&error, pause, journal, progress);
            std::thread::sleep(pause);
            pause = (pause * 2).min(self.longest_pause);
        }
    }
}

impl Default for Patience {
    /// Long enough for a bookie's or ZooKeeper's restart, and for the end of a dead bookie's session.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(8),
            limit: Duration::from_secs(90),
        }
    }
}

fn tell(error: &OperatorError, pause: Duration, journal: &Journal, progress: &dyn Progress) {
    progress.message(&format!("{error}; trying again in {:.1} s", pause.as_secs_f32()));
    let again = Entry::TriedAgain { code: error.code.to_owned(), what: error.to_string() };
    if let Err(error) = journal.record(again) {
        // The disk of the journal may be what fails.
        tracing::warn!(%error, "the journal does not tell of an attempt");
    }
}

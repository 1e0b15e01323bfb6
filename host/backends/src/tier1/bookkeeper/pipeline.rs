//! What is on the way of a ledger that is being written: how much, which copies are missing, up to where it is confirmed.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::Tier1Error;

/// How much of one ledger may be on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// Why a ledger cannot be written on. Kept, because every later call reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer from a bookie.
    Silent {
        /// Its id.
        bookie: String,
        /// What happened.
        reason: String,
    },
    /// A bookie said no.
    Refused {
        /// Its id.
        bookie: String,
        /// Its answer in words.
        reason: String,
    },
}

impl Failure {
    /// The bookie that is to blame.
    pub(super) fn bookie(&self) -> &str {
        match self {
            Self::Silent { bookie, .. } | Self::Refused { bookie, .. } => bookie,
        }
    }

    pub(super) fn to_error(&self, ledger: i64) -> Tier1Error {
        match self.clone() {
            Self::Silent { bookie, reason } => Tier1Error::Unavailable {
                location: format!("bookie {bookie}"),
                reason: format!("ledger {ledger}: {reason}"),
            },
            Self::Refused { bookie, reason } => {
                Tier1Error::Refused { location: format!("bookie {bookie}"), ledger, reason }
            }
        }
    }
}

/// An entry of which some copies are not confirmed, or an earlier entry's are not.
#[derive(Debug)]
struct Entry {
    bytes: usize,
    acknowledged: usize,
    /// Places in the ensemble that have not answered.
    missing: Vec<usize>,
    sent: Instant,
}

#[derive(Debug)]
struct State {
    /// Entries from `first` on, without gaps.
    entries: VecDeque<Entry>,
    first: i64,
    /// Number and size of those with missing copies.
    open_entries: usize,
    open_bytes: usize,
    /// The highest entry up to which all have enough copies; one less than the number of such entries.
    confirmed: i64,
    /// When the last copy was confirmed. Bookies that many ledgers share are slow, but they do not fall silent.
    progress: Instant,
    failure: Option<Failure>,
}

/// Shared by the thread that appends and the event loop that hears the answers.
#[derive(Debug)]
pub(super) struct Pipeline {
    ack_quorum: usize,
    window: Window,
    timeout: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

/// Who did not answer in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overdue {
    pub(super) entry: i64,
    /// Place in the ensemble.
    pub(super) member: usize,
}

/// Why waiting ended without what was waited for.
#[derive(Debug)]
pub(super) enum Interruption {
    Failed(Failure),
    Overdue(Overdue),
}

impl Pipeline {
    pub(super) fn new(ack_quorum: usize, window: Window, timeout: Duration) -> Self {
        let state = State {
            entries: VecDeque::new(),
            first: 0,
            open_entries: 0,
            open_bytes: 0,
            confirmed: -1,
            progress: Instant::now(),
            failure: None,
        };
        Self { ack_quorum, window, timeout, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The changes below do not panic in the middle.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for an entry, takes it, and returns the last confirmed entry.
    pub(super) fn admit(&self, bytes: usize, members: Vec<usize>) -> Result<i64, Interruption> {
        let window = self.window;
        let mut state = self.wait_until(|state| {
            let fits = state.open_entries < window.entries && state.open_bytes + bytes <= window.bytes;
            // One that is larger than the window goes alone.
            fits || state.open_entries == 0
        })?;
        state.open_entries += 1;
        state.open_bytes += bytes;
        state.entries.push_back(Entry { bytes, acknowledged: 0, missing: members, sent: Instant::now() });
        Ok(state.confirmed)
    }

    /// Waits until every copy of every entry is confirmed.
    pub(super) fn drain(&self) -> Result<(), Interruption> {
        self.wait_until(|state| state.open_entries == 0).map(|_| ())
    }

    fn wait_until(&self, ready: impl Fn(&State) -> bool) -> Result<MutexGuard<'_, State>, Interruption> {
        let mut state = self.state();
        loop {
            if let Some(failure) = &state.failure {
                return Err(Interruption::Failed(failure.clone()));
            }
            if ready(&state) {
                return Ok(state);
            }
            let Some((overdue, silent_since)) = state.longest_waiting() else {
                return Ok(state);
            };
            let left = self.timeout.saturating_sub(silent_since.elapsed());
            if left.is_zero() {
                return Err(Interruption::Overdue(overdue));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A copy of an entry is confirmed.
    pub(super) fn acknowledge(&self, entry: i64, member: usize) {
        self.state().acknowledge(entry, member, self.ack_quorum);
        self.changed.notify_all();
    }

    /// The ledger cannot be written on; the first failure counts.
    pub(super) fn fail(&self, failure: Failure) {
        self.state().failure.get_or_insert(failure);
        self.changed.notify_all();
    }
}

impl State {
    fn acknowledge(&mut self, entry: i64, member: usize, ack_quorum: usize) {
        let Some(waiting) = usize::try_from(entry - self.first).ok().and_then(|place| self.entries.get_mut(place))
        else {
            return;
        };
        let Some(place) = waiting.missing.iter().position(|missing| *missing == member) else { return };
        waiting.missing.swap_remove(place);
        waiting.acknowledged += 1;
        self.progress = Instant::now();
        if waiting.missing.is_empty() {
            self.open_entries -= 1;
            self.open_bytes -= waiting.bytes;
        }
        self.confirm(ack_quorum);
        while self.entries.front().is_some_and(|entry| entry.missing.is_empty()) {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    fn confirm(&mut self, ack_quorum: usize) {
        while let Some(next) =
            usize::try_from(self.confirmed + 1 - self.first).ok().and_then(|place| self.entries.get(place))
            && next.acknowledged >= ack_quorum
        {
            self.confirmed += 1;
        }
    }

    fn longest_waiting(&self) -> Option<(Overdue, Instant)> {
        // The front always misses a copy, and it was sent first.
        let front = self.entries.front()?;
        let overdue = Overdue { entry: self.first, member: *front.missing.first()? };
        Some((overdue, front.sent.max(self.progress)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(ack_quorum: usize) -> Pipeline {
        let window = Window { entries: 4, bytes: 100 };
        Pipeline::new(ack_quorum, window, Duration::from_millis(50))
    }

    #[test]
    fn confirms_in_order_with_enough_copies() {
        let pipeline = pipeline(2);
        assert_eq!(pipeline.admit(1, vec![0, 1, 2]).unwrap(), -1);
        assert_eq!(pipeline.admit(1, vec![0, 1, 2]).unwrap(), -1);
        pipeline.acknowledge(1, 0);
        pipeline.acknowledge(1, 1);
        assert_eq!(pipeline.state().confirmed, -1, "entry 0 has no copy yet");
        pipeline.acknowledge(0, 2);
        pipeline.acknowledge(0, 2);
        assert_eq!(pipeline.state().confirmed, -1, "one copy counts once");
        pipeline.acknowledge(0, 0);
        assert_eq!(pipeline.state().confirmed, 1);
        pipeline.acknowledge(0, 1);
        pipeline.acknowledge(1, 2);
        pipeline.drain().unwrap();
        assert!(pipeline.state().entries.is_empty());
    }

    #[test]
    fn is_bounded_and_names_who_is_late() {
        let pipeline = pipeline(1);
        for _ in 0..4 {
            pipeline.admit(10, vec![0, 1]).unwrap();
        }
        for entry in 0..4 {
            pipeline.acknowledge(entry, 0);
        }
        match pipeline.admit(10, vec![0]).unwrap_err() {
            Interruption::Overdue(overdue) => assert_eq!(overdue, Overdue { entry: 0, member: 1 }),
            Interruption::Failed(failure) => panic!("{failure:?}"),
        }
        pipeline.acknowledge(3, 1);
        assert_eq!(pipeline.admit(10, vec![0]).unwrap(), 3);
    }

    #[test]
    fn takes_an_entry_that_is_larger_than_the_window_alone() {
        let pipeline = pipeline(1);
        pipeline.admit(1000, vec![0]).unwrap();
        assert!(pipeline.admit(1, vec![0]).is_err());
        pipeline.acknowledge(0, 0);
        pipeline.admit(1, vec![0]).unwrap();
    }

    #[test]
    fn keeps_the_first_failure() {
        let pipeline = pipeline(1);
        pipeline.admit(1, vec![0]).unwrap();
        let failure = |bookie: &str| Failure::Refused { bookie: bookie.to_owned(), reason: "no".to_owned() };
        pipeline.fail(failure("a"));
        pipeline.fail(failure("b"));
        match pipeline.drain().unwrap_err() {
            Interruption::Failed(failure) => assert_eq!(failure.bookie(), "a"),
            Interruption::Overdue(overdue) => panic!("{overdue:?}"),
        }
    }
}

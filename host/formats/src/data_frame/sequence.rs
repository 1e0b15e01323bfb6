//! Repeated operations: what the store forgives and what it takes for corruption.

use std::collections::{HashMap, VecDeque};

use super::{Record, RecordPart};
use crate::error::DecodeError;

/// Number of operations that the store remembers to recognise a repetition (`RecoveryProcessor`).
pub const REMEMBERED_OPERATIONS: usize = 25;

/// Whether an operation is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    /// Its sequence number is above all before.
    New,
    /// It repeats an earlier one and is to be left out.
    Harmless,
}

/// Checks that sequence numbers grow over a log, by the store's rules.
///
/// BookKeeper may hold a frame twice after a rollover. The store discards a repeated number if it is one of the last
/// [`REMEMBERED_OPERATIONS`] and has the same place in its frames, *or is not remembered at all* (it is then compared
/// with itself). A remembered number in another place is corruption.
#[derive(Debug, Default)]
pub struct SequenceTracker {
    last: Option<i64>,
    order: VecDeque<i64>,
    places: HashMap<i64, Vec<Place>>,
}

/// Position and length in a frame, whichever frame that is.
type Place = (u32, u32);

impl SequenceTracker {
    /// A tracker at the start of a log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The highest sequence number seen.
    #[must_use]
    pub const fn last(&self) -> Option<i64> {
        self.last
    }

    /// Judges the next operation of a log.
    ///
    /// # Errors
    /// If the store would disable the log because of it.
    pub fn check(&mut self, sequence_number: i64, record: &Record<'_>) -> Result<Repetition, DecodeError> {
        let places = || record.parts.iter().map(|part: &RecordPart| (part.offset, part.length));
        let known = self.places.get(&sequence_number);
        let same_place = known.is_none_or(|known| known.iter().copied().eq(places()));
        if known.is_none() {
            self.remember(sequence_number, places().collect());
        }
        if self.last.is_none_or(|last| sequence_number > last) {
            self.last = Some(sequence_number);
            return Ok(Repetition::New);
        }
        if same_place {
            return Ok(Repetition::Harmless);
        }
        let expected = format!("a sequence number above {:?} or a true repetition, found {sequence_number}", self.last);
        Err(DecodeError::new("operation", 0, expected))
    }

    fn remember(&mut self, sequence_number: i64, places: Vec<Place>) {
        self.places.insert(sequence_number, places);
        self.order.push_back(sequence_number);
        if self.order.len() > REMEMBERED_OPERATIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }
}

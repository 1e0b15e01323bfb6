//! Reading a log to its end: whether it is whole, and where it can be replayed from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dr_formats::log_metadata::{FrameAddress, LedgerAddress};

use super::super::{DiskLedger, LogChain, LogTail, Salvaged, SegmentTail, Standing, UnplacedLedger, salvage};
use super::LedgerEvidence;
use crate::contract::{CallError, CallResult, ContainerId};
use crate::error::{OperatorError, Result};
use crate::evidence::ContainerEvidence;
use crate::listing::ContainerObjects;
use crate::survey::Survey;

/// A log that was read whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowedLog {
    /// Operations that the store will replay.
    pub operations: u64,
    /// Behind what the store begins to read; none for the whole log.
    pub truncation: Option<LedgerAddress>,
    /// Number of the last one.
    pub last_operation: i64,
    /// Bytes that it appends to the controller's tables and reader groups.
    pub tails: BTreeMap<String, SegmentTail>,
    /// Lengths of the segments that it knows at its end, by name.
    pub lengths: BTreeMap<String, u64>,
    /// What had been appended before the replay begins, by segment.
    pub lengths_at_start: BTreeMap<String, u64>,
    /// The last hole, if there is one; the replay begins behind it.
    pub bridged: Option<String>,
}

/// What is found of a log that is read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    /// It can be restored.
    Whole(Box<FollowedLog>),
    /// It cannot, for this reason. What is left of it can be added to Tier-2.
    Flawed { flaw: String, salvaged: Salvaged },
}

/// Segments of which the controller's state is read: its tables, and the state of its reader groups.
fn tells_of_controller(segment: &str) -> bool {
    segment.starts_with("_system/")
}

impl FollowedLog {
    /// Refuses a log that does not fit what Tier-2 holds of its container. The evidence is read only where it decides.
    ///
    /// # Errors
    /// `damaged`.
    fn check(
        &self,
        container: ContainerId,
        objects: &ContainerObjects,
        evidence: impl FnOnce() -> CallResult<Arc<ContainerEvidence>>,
        has_lost_bookies: bool,
    ) -> CallResult<()> {
        let damaged = |reason: String| {
            Err(CallError::Damaged(match &self.bridged {
                Some(hole) => format!("{hole}; and {reason}"),
                None => format!("the log of container {container} is not whole: {reason}"),
            }))
        };
        if let Some((segment, end, length)) = self.segment_behind_tier2(objects) {
            return damaged(format!(
                "it ends where segment `{segment}` has {length} bytes, and Tier-2 holds {end}; its newest entries are on no disk that was given"
            ));
        }
        // With all disks there, the oldest entries that are left are the ones that had not been flushed.
        if self.bridged.is_none() && !has_lost_bookies {
            return Ok(());
        }
        match self.segment_ahead_of_tier2(&*evidence()?) {
            None => Ok(()),
            Some((segment, end, length)) => damaged(format!(
                "what is left of it begins where segment `{segment}` has {length} bytes, of which Tier-2 holds {end}; the entries between are on no \
                 disk that was given"
            )),
        }
    }

    /// A segment of which Tier-2 holds less than had been appended before the replay begins, with both lengths.
    fn segment_ahead_of_tier2(&self, evidence: &ContainerEvidence) -> Option<(String, u64, u64)> {
        self.lengths_at_start.iter().find_map(|(name, &length)| {
            let end = evidence.end_of(name)?;
            (end < length).then(|| (name.clone(), end, length))
        })
    }

    /// A segment of which Tier-2 holds more than the log ever appended, with both lengths: then newer entries of the log are lost,
    /// even where what is left of it shows no gap.
    fn segment_behind_tier2(&self, objects: &ContainerObjects) -> Option<(String, u64, u64)> {
        let newest_epoch = objects.highest_epoch();
        objects.chunks.iter().find_map(|chunk| {
            let &length = self.lengths.get(chunk.segment())?;
            let end = chunk.offset + chunk.size;
            // An old chunk can be longer than its segment, if an earlier recovery cut off half an event.
            let is_proof = chunk.offset > length || chunk.epoch == newest_epoch;
            (is_proof && end > length).then(|| (chunk.segment().to_owned(), end, length))
        })
    }
}

impl LedgerEvidence {
    /// Reads all logs, and puts together what is left of those that cannot be restored; the files go to `directory`. Returns what survived with
    /// what was put together, if that is something.
    ///
    /// # Errors
    /// Those of [`salvage`].
    pub fn judge(&mut self, survey: &Survey, directory: &Path) -> Result<Option<Survey>> {
        let mut flaws = BTreeMap::new();
        for container in 0..survey.container_count() {
            match self.restorable(container, survey) {
                Ok(followed) => {
                    self.judged.insert(container, Judged::Whole(Box::new(followed)));
                }
                Err(CallError::Damaged(flaw) | CallError::NotFound(flaw)) => {
                    flaws.insert(container, flaw);
                }
                Err(error) => {
                    let next_step = "correct that, and run the command again";
                    return Err(OperatorError::new("log-unreadable", error.to_string(), next_step).may_retry());
                }
            }
        }
        if flaws.is_empty() {
            return Ok(None);
        }
        let containers: Vec<ContainerId> = flaws.keys().copied().collect();
        let (survey, mut salvaged) = salvage(self, &containers, survey, directory)?;
        for (container, flaw) in flaws {
            let salvaged = salvaged.remove(&container).unwrap_or_default();
            self.judged.insert(container, Judged::Flawed { flaw, salvaged });
        }
        Ok(Some(survey))
    }

    /// What a log tells that can be restored: read now, or when all were judged.
    ///
    /// # Errors
    /// `not-found` if the container has none; `damaged` if something is missing or unreadable.
    pub(crate) fn restorable(&self, container: ContainerId, survey: &Survey) -> CallResult<FollowedLog> {
        match self.judged.get(&container) {
            Some(Judged::Whole(followed)) => return Ok((**followed).clone()),
            Some(Judged::Flawed { flaw, .. }) => return Err(CallError::Damaged(flaw.clone())),
            None => {}
        }
        let followed = self.follow(container)?;
        let objects = survey.listing().objects(container);
        let evidence = || Ok(survey.evidence_for_a_moment(container)?);
        followed.check(container, &objects, evidence, self.has_lost_bookies())?;
        Ok(followed)
    }

    /// What is known of a log that cannot be read before the bookies run: what of it is on no disk can be harmless all the same, which
    /// shows only then.
    ///
    /// # Errors
    /// `not-found` if the container has none; `damaged` if a ledger that belongs to it does not join the others.
    pub(crate) fn unread(&self, container: ContainerId) -> CallResult<FollowedLog> {
        let chain = self.chain(container)?;
        self.refuse_unjoined(chain)?;
        let hole = chain.ends(&self.ledgers).find_map(|(ledger, last_entry)| {
            let (first, last) = ledger.hole_before(last_entry)?;
            Some(format!("ledger {}, entry {first}: {}", ledger.id, missing(ledger, first, last)))
        });
        let last_operation = self.log_row(chain).last_operation;
        Ok(FollowedLog { last_operation, bridged: hole, ..FollowedLog::default() })
    }

    /// Why a log cannot be restored, if that is known.
    pub fn flaw(&self, container: ContainerId) -> Option<&str> {
        match self.judged.get(&container)? {
            Judged::Flawed { flaw, .. } => Some(flaw),
            Judged::Whole(_) => None,
        }
    }

    /// True for a container that can go on with its old log.
    pub fn is_log_whole(&self, container: ContainerId) -> bool {
        matches!(self.judged.get(&container), Some(Judged::Whole(_)))
    }

    /// True if any container can go on with its old log.
    pub fn has_whole_log(&self) -> bool {
        self.judged.values().any(|judged| matches!(judged, Judged::Whole(_)))
    }

    /// What was put together of a log that cannot be restored.
    pub fn salvaged(&self, container: ContainerId) -> Option<&Salvaged> {
        match self.judged.get(&container)? {
            Judged::Flawed { salvaged, .. } => Some(salvaged),
            Judged::Whole(_) => None,
        }
    }

    /// The store deletes the ledgers that it has truncated; so all that are registered must join, unless the ZNode of the log tells
    /// which ones are needed.
    fn refuse_unjoined(&self, chain: &LogChain) -> CallResult<()> {
        let not_whole = |reason: &dyn std::fmt::Display| {
            let container = chain.container;
            Err(CallError::Damaged(format!("the log of container {container} is not whole: {reason}")))
        };
        match self.standing(chain.container) {
            Standing::Fits => return Ok(()),
            Standing::Unjoined(reason) => return not_whole(&reason),
            Standing::Absent | Standing::Outdated(_) => {}
        }
        let begins = self.log_row(chain).first_operation;
        let last = chain.ledgers.last().copied().unwrap_or_default();
        let is_missed = |stray: &&UnplacedLedger| {
            let ledger = &self.ledgers[stray.ledger];
            // One that was opened and never written to is of no use, and no loss; what an earlier log left behind is none, either, nor
            // what was deleted since.
            stray.reason != "empty"
                && ledger.registered.is_some()
                && ledger.containers.contains(&chain.container)
                && (begins != 1 || stray.ledger > last)
                && !chain.was_deleted(stray.ledger, &self.ledgers, &self.bookies)
        };
        match self.unplaced.iter().find(is_missed) {
            Some(stray) => not_whole(&format!(
                "ledger {} is registered for it, but cannot be read or does not join the others",
                self.ledgers[stray.ledger].id
            )),
            None => Ok(()),
        }
    }

    /// Reads a log from its first entry to its last, and checks that nothing is missing, or at least nothing from where it can be replayed.
    ///
    /// # Errors
    /// `not-found` if the container has none; `damaged` if something is missing or unreadable.
    fn follow(&self, container: ContainerId) -> CallResult<FollowedLog> {
        let chain = self.chain(container)?;
        self.refuse_unjoined(chain)?;
        let mut tail = LogTail::new(container, tells_of_controller);
        let mut bridged = None;
        for (sequence, (ledger, last_entry)) in (1_u32..).zip(chain.ends(&self.ledgers)) {
            let place = |entry: i64, reason: &dyn std::fmt::Display| {
                format!("the log of container {container} is not whole: ledger {}, entry {entry}: {reason}", ledger.id)
            };
            let hole = ledger.hole_before(last_entry);
            let mut next = 0;
            let mut failure = None;
            let read = self.payloads.read(ledger, last_entry, &mut |entry, payload| {
                if entry > next {
                    // Nothing before can be replayed, and nothing that follows can need it, or it shows.
                    let reason = missing(ledger, next, entry - 1);
                    bridged = Some(place(next, &reason));
                    tail = LogTail::new(container, tells_of_controller);
                    failure = None;
                }
                let address = FrameAddress::new(sequence, u32::try_from(entry).unwrap_or(u32::MAX));
                if failure.is_none() {
                    failure = tail.frame(address, payload).err().map(|error| place(entry, &error));
                }
                next = entry + 1;
            });
            read.map_err(|error| CallError::Damaged(place(next, &error)))?;
            if let Some((first, last)) = hole.filter(|(first, _)| *first >= next) {
                let reason = missing(ledger, first, last);
                return Err(CallError::Damaged(place(first, &reason)));
            }
            failure.map_or(Ok(()), |failure| Err(CallError::Damaged(failure)))?;
        }
        self.followed(chain, tail, bridged)
    }

    /// What a log tells that was read to its end.
    fn followed(&self, chain: &LogChain, tail: LogTail, bridged: Option<String>) -> CallResult<FollowedLog> {
        let last_operation = tail.last_sequence_number();
        let (start, lengths, lengths_at_start) = (tail.replay_start(), tail.lengths(), tail.lengths_at_start());
        let broken = |error: &dyn std::fmt::Display| {
            CallError::Damaged(match &bridged {
                Some(hole) => format!("{hole}; and behind it: {error}"),
                None => format!("the log of container {} is not whole: {error}", chain.container),
            })
        };
        let tails = tail.finish().map_err(|error| broken(&error))?;
        let start =
            start.ok_or_else(|| broken(&"no metadata checkpoint knows all segments of the operations behind it"))?;
        let truncation = self.address_before(chain, start.frame);
        let operations = start.operations;
        Ok(FollowedLog { operations, truncation, last_operation, tails, lengths, lengths_at_start, bridged })
    }

    /// The frame before another one of a log; none before the first.
    fn address_before(&self, chain: &LogChain, frame: FrameAddress) -> Option<LedgerAddress> {
        let (sequence, entry) = (frame.ledger_sequence(), frame.entry_id());
        let ends: Vec<(i64, i64)> =
            chain.ends(&self.ledgers).map(|(ledger, last_entry)| (ledger.id, last_entry)).collect();
        let ledger = |sequence: u32| ends.get(usize::try_from(sequence).ok()?.checked_sub(1)?);
        if let Some(before) = entry.checked_sub(1) {
            let &(ledger_id, _) = ledger(sequence)?;
            return Some(LedgerAddress { frame: FrameAddress::new(sequence, before), ledger_id });
        }
        let before = sequence.checked_sub(1)?;
        let &(ledger_id, last_entry) = ledger(before)?;
        Some(LedgerAddress { frame: FrameAddress::new(before, u32::try_from(last_entry).ok()?), ledger_id })
    }
}

/// That entries are on no disk, and what tells that there are such.
fn missing(ledger: &DiskLedger, first: i64, last: i64) -> String {
    let told_by = match ledger.closed_at() {
        Some(last_entry) if last_entry == last => format!("ZooKeeper has it closed at entry {last_entry}"),
        _ if ledger.entries.last().is_some_and(|entry| entry.id > last) => "there are later ones".to_owned(),
        _ => "they were acknowledged".to_owned(),
    };
    format!("no disk holds the entries {first} to {last}, and {told_by}")
}

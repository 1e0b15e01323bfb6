//! What the disks of bookies tell, all of them together.

use std::collections::BTreeMap;

use dr_formats::log_metadata::{FrameAddress, LedgerAddress};

use super::{DiskLedger, LogChain, LogTail, SegmentTail, Stretch, UnplacedLedger, chains, ensembles};
use crate::cluster::ClusterLayout;
use crate::contract::{Bookie, CallError, CallResult, ContainerId, DurableLog, Ledger};
use crate::error::Result;
use crate::plan::{PlannedLedger, PlannedStretch};

/// A bookie whose disks were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskBookie {
    /// Id, by its cookie.
    pub id: String,
    /// The bytes of its cookie.
    pub cookie: Vec<u8>,
    /// Instance of the BookKeeper cluster, by its cookie.
    pub instance_id: Option<String>,
    /// Entries that it holds whole.
    pub entries: u64,
    /// What is odd about its disks, in words.
    pub findings: Vec<String>,
}

/// Reads entries back.
pub trait Payloads: Send + Sync + std::fmt::Debug {
    /// Calls `visit` with the payloads of a ledger's entries from 0 to `last_entry`, in order.
    ///
    /// # Errors
    /// If one cannot be read any more, or is something else now.
    fn read(&self, ledger: i64, last_entry: i64, visit: &mut dyn FnMut(i64, &[u8])) -> Result<()>;
}

/// Everything that bookies' disks tell.
#[derive(Debug)]
pub struct LedgerEvidence {
    bookies: Vec<DiskBookie>,
    ledgers: Vec<DiskLedger>,
    chains: Vec<LogChain>,
    unplaced: Vec<UnplacedLedger>,
    payloads: Box<dyn Payloads>,
    /// Ledgers are registered in ZooKeeper, and need not be registered again.
    are_registered: bool,
}

/// A log that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedLog {
    /// Operations that the store will replay.
    pub operations: u64,
    /// Behind what the store begins to read; none for the whole log.
    pub truncation: Option<LedgerAddress>,
    /// Number of the last one.
    pub last_operation: i64,
    /// Bytes that it appends to the controller's tables and reader groups.
    pub tails: BTreeMap<String, SegmentTail>,
}

impl LedgerEvidence {
    /// Puts the logs together. `ledgers` are in the order of their ids, and number bookies by their place in `bookies`.
    pub fn new(bookies: Vec<DiskBookie>, ledgers: Vec<DiskLedger>, payloads: Box<dyn Payloads>) -> Self {
        let (chains, unplaced) = chains(&ledgers);
        Self { bookies, ledgers, chains, unplaced, payloads, are_registered: false }
    }

    /// Puts the logs together from ledgers that are registered, and that bookies serve.
    pub(super) fn of_registered(ledgers: Vec<DiskLedger>, payloads: Box<dyn Payloads>) -> Self {
        Self { are_registered: true, ..Self::new(Vec::new(), ledgers, payloads) }
    }

    /// True if the ledgers are registered in ZooKeeper, and their bookies run.
    pub fn are_registered(&self) -> bool {
        self.are_registered
    }

    /// The bookies.
    pub fn bookies(&self) -> &[DiskBookie] {
        &self.bookies
    }

    /// The highest id of any ledger; -1 if there is none.
    pub fn highest_ledger(&self) -> i64 {
        self.ledgers.last().map_or(-1, |ledger| ledger.id)
    }

    /// The bookies, by id, as a procedure sees them.
    pub fn bookie_rows(&self) -> Vec<Bookie> {
        let row = |(number, bookie): (usize, &DiskBookie)| Bookie {
            id: bookie.id.clone(),
            ledgers: self
                .ledgers
                .iter()
                .filter(|ledger| ledger.holders.iter().any(|holder| holder.bookie == number))
                .count() as u64,
            entries: bookie.entries,
            findings: bookie.findings.clone(),
        };
        let mut rows: Vec<Bookie> = self.bookies.iter().enumerate().map(row).collect();
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        rows
    }

    /// Ids of the ledgers, ascending.
    pub fn ledger_ids(&self) -> impl Iterator<Item = i64> {
        self.ledgers.iter().map(|ledger| ledger.id)
    }

    /// The ledgers, by id, as a procedure sees them.
    pub fn ledger_rows(&self) -> Vec<Ledger> {
        let mut containers = BTreeMap::new();
        for chain in &self.chains {
            containers.extend(chain.ledgers.iter().map(|&ledger| (ledger, chain.container)));
        }
        let reasons: BTreeMap<usize, &str> =
            self.unplaced.iter().map(|unplaced| (unplaced.ledger, unplaced.reason)).collect();
        let row = |(place, ledger): (usize, &DiskLedger)| {
            let unbroken = ledger.unbroken();
            let operations = ledger.operations();
            Ledger {
                id: ledger.id,
                container: containers.get(&place).copied(),
                stray: reasons.get(&place).copied().unwrap_or_default().to_owned(),
                entries: unbroken.len() as u64,
                bytes: unbroken.last().map_or(0, |entry| entry.ledger_length),
                first_operation: operations.map_or(0, |operations| operations.first),
                last_operation: operations.map_or(0, |operations| operations.last),
                bookies: ledger.holders.iter().map(|holder| self.bookies[holder.bookie].id.clone()).collect(),
                missing: ledger.holes().iter().map(|(first, last)| last.abs_diff(*first) + 1).sum(),
            }
        };
        self.ledgers.iter().enumerate().map(row).collect()
    }

    /// The logs, by container, as a procedure sees them.
    pub fn log_rows(&self) -> Vec<DurableLog> {
        self.chains.iter().map(|chain| self.log_row(chain)).collect()
    }

    fn log_row(&self, chain: &LogChain) -> DurableLog {
        let operations: Vec<_> = chain.ledgers.iter().filter_map(|&place| self.ledgers[place].operations()).collect();
        let (mut entries, mut bytes) = (0, 0);
        for (ledger, last_entry) in chain.ends(&self.ledgers) {
            entries += (last_entry + 1).cast_unsigned();
            bytes += length_up_to(ledger, last_entry);
        }
        DurableLog {
            container: chain.container,
            ledgers: chain.ledgers.iter().map(|&place| self.ledgers[place].id).collect(),
            first_operation: operations.first().map_or(0, |operations| operations.first),
            last_operation: operations.last().map_or(0, |operations| operations.last),
            entries,
            bytes,
        }
    }

    /// The store deletes the ledgers that it has truncated; so all that are registered must join.
    fn refuse_unjoined(&self, chain: &LogChain) -> CallResult<()> {
        let begins = self.log_row(chain).first_operation;
        let of_container = |stray: &&UnplacedLedger| {
            // One that was opened and never written to is of no use, and no loss.
            stray.reason != "empty" && self.ledgers[stray.ledger].containers.contains(&chain.container)
        };
        match self.unplaced.iter().find(of_container) {
            Some(stray) if begins != 1 => Err(CallError::Damaged(format!(
                "the log of container {} is not whole: ledger {} is registered for it, but cannot be read or does not join the others",
                chain.container, self.ledgers[stray.ledger].id
            ))),
            _ => Ok(()),
        }
    }

    fn chain(&self, container: ContainerId) -> CallResult<&LogChain> {
        let chain = self.chains.iter().find(|chain| chain.container == container);
        chain.ok_or_else(|| {
            CallError::NotFound(format!(
                "no ledger on the disks belongs to the log of container {container}: it never wrote anything, or disks are missing"
            ))
        })
    }

    /// Reads a log from its first entry to its last, and checks that nothing is missing.
    ///
    /// # Errors
    /// `not-found` if the container has none; `damaged` if something is missing or unreadable.
    pub fn follow(&self, container: ContainerId, is_wanted: fn(&str) -> bool) -> CallResult<FollowedLog> {
        let chain = self.chain(container)?;
        if self.are_registered {
            self.refuse_unjoined(chain)?;
        }
        let mut tail = LogTail::new(container, is_wanted);
        for (sequence, (ledger, last_entry)) in (1_u32..).zip(chain.ends(&self.ledgers)) {
            let damaged = |entry: i64, reason: &dyn std::fmt::Display| {
                CallError::Damaged(format!(
                    "the log of container {container} is not whole: ledger {}, entry {entry}: {reason}",
                    ledger.id
                ))
            };
            if let Some((first, last)) = ledger.holes().first().filter(|(first, _)| *first <= last_entry + 1) {
                let reason = format!("no disk holds the entries {first} to {last}, and there are later ones");
                return Err(damaged(*first, &reason));
            }
            let mut next = 0;
            let mut failure = None;
            let read = self.payloads.read(ledger.id, last_entry, &mut |entry, payload| {
                let address = FrameAddress::new(sequence, u32::try_from(entry).unwrap_or(u32::MAX));
                if failure.is_none() {
                    failure = tail.frame(address, payload).err().map(|error| damaged(entry, &error));
                }
                next = entry + 1;
            });
            read.map_err(|error| damaged(next, &error))?;
            failure.map_or(Ok(()), Err)?;
        }
        let last_operation = tail.last_sequence_number();
        let start = tail.replay_start();
        let broken = |error: &dyn std::fmt::Display| {
            CallError::Damaged(format!("the log of container {container} is not whole: {error}"))
        };
        let tails = tail.finish().map_err(|error| broken(&error))?;
        let start =
            start.ok_or_else(|| broken(&"no metadata checkpoint knows all segments of the operations behind it"))?;
        let truncation = self.address_before(chain, start.frame);
        Ok(FollowedLog { operations: start.operations, truncation, last_operation, tails })
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

    /// Ids of the ledgers of a log, in its order.
    ///
    /// # Errors
    /// `not-found`.
    pub fn log_ledgers(&self, container: ContainerId) -> CallResult<Vec<i64>> {
        Ok(self.chain(container)?.ledgers.iter().map(|&place| self.ledgers[place].id).collect())
    }

    /// Payload bytes of a log.
    ///
    /// # Errors
    /// `not-found`.
    pub fn log_bytes(&self, container: ContainerId) -> CallResult<u64> {
        let ends = self.chain(container)?.ends(&self.ledgers);
        Ok(ends.map(|(ledger, last_entry)| length_up_to(ledger, last_entry)).sum())
    }

    /// The ledgers of a log as they are to be registered, in the order of the log; none need to be if they are.
    ///
    /// # Errors
    /// `not-found`; `damaged` if there are fewer bookies than an ensemble has.
    pub fn planned_log(&self, container: ContainerId, layout: &ClusterLayout) -> CallResult<Vec<PlannedLedger>> {
        let ends = self.chain(container)?.ends(&self.ledgers);
        if self.are_registered {
            return Ok(Vec::new());
        }
        ends.map(|(ledger, last_entry)| self.planned(ledger, last_entry, layout)).collect()
    }

    /// A ledger that is part of no log, as it is to be registered.
    ///
    /// # Errors
    /// `not-found`; `conflict` if it is part of a log; `invalid` if its first entry is on no disk.
    pub fn planned_stray(&self, id: i64, layout: &ClusterLayout) -> CallResult<PlannedLedger> {
        let place = self.ledgers.binary_search_by_key(&id, |ledger| ledger.id);
        let place = place.map_err(|_| CallError::NotFound(format!("no disk holds an entry of ledger {id}")))?;
        if self.chains.iter().any(|chain| chain.ledgers.contains(&place)) {
            return Err(CallError::Conflict(format!("ledger {id} is part of a log; restore that instead")));
        }
        let ledger = &self.ledgers[place];
        // What a bookie holds behind a hole would be deleted with the rest; the last entry that anybody holds is the end.
        let last_entry = ledger.entries.last().map_or(-1, |entry| entry.id);
        self.planned(ledger, last_entry, layout)
    }

    fn planned(&self, ledger: &DiskLedger, last_entry: i64, layout: &ClusterLayout) -> CallResult<PlannedLedger> {
        let ClusterLayout { ensemble_size, write_quorum, ack_quorum, .. } = *layout;
        let others: Vec<usize> = (0..self.bookies.len()).collect();
        let stretches = ensembles(ledger, last_entry, ensemble_size, write_quorum, &others).ok_or_else(|| {
            CallError::Damaged(format!(
                "ledger {} was written to {ensemble_size} bookies, and the disks of {} are there; give the others as well, or correct \
                 bookkeeper.ensemble.size",
                ledger.id,
                self.bookies.len()
            ))
        })?;
        let stretch = |stretch: Stretch| PlannedStretch {
            first_entry: stretch.first_entry,
            bookies: stretch.bookies.into_iter().map(|bookie| self.bookies[bookie].id.clone()).collect(),
        };
        Ok(PlannedLedger {
            id: ledger.id,
            last_entry,
            length: length_up_to(ledger, last_entry).cast_signed(),
            ensemble_size,
            write_quorum,
            ack_quorum,
            digest_type: ledger.digest_type.into(),
            stretches: stretches.into_iter().map(stretch).collect(),
        })
    }
}

/// Payload bytes of a ledger up to and with an entry: the entry itself says so.
fn length_up_to(ledger: &DiskLedger, last_entry: i64) -> u64 {
    let place = ledger.entries.binary_search_by_key(&last_entry, |entry| entry.id);
    place.map_or(0, |place| ledger.entries[place].ledger_length)
}

//! What the disks of bookies tell, all of them together, beside what is left of ZooKeeper.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use dr_backends::tier1::LedgerClosing;
use dr_formats::ledger_metadata::LedgerState;
use dr_formats::log_metadata::{FrameAddress, LedgerAddress};

use super::{
    Candidates, DiskLedger, LogChain, LogNode, LogTail, Salvaged, SegmentTail, Standing, Stretch, Survivors,
    UnplacedLedger, chains, ensembles, salvage,
};
use crate::cluster::ClusterLayout;
use crate::contract::{Bookie, CallError, CallResult, ContainerId, DurableLog, Ledger};
use crate::error::{OperatorError, Result};
use crate::evidence::ContainerEvidence;
use crate::listing::ContainerObjects;
use crate::plan::{PlannedLedger, PlannedStretch};
use crate::survey::Survey;

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
    /// Calls `visit` with the payloads of those of a ledger's entries that are there, up to `last_entry`, in order.
    ///
    /// # Errors
    /// If one cannot be read any more, or is something else now.
    fn read(&self, ledger: &DiskLedger, last_entry: i64, visit: &mut dyn FnMut(i64, &[u8])) -> Result<()>;
}

/// Everything that bookies' disks tell, and what is left of ZooKeeper.
#[derive(Debug)]
pub struct LedgerEvidence {
    bookies: Vec<DiskBookie>,
    /// Ids of bookies whose disks are lost.
    lost_bookies: Vec<String>,
    ledgers: Vec<DiskLedger>,
    chains: Vec<LogChain>,
    unplaced: Vec<UnplacedLedger>,
    survivors: Survivors,
    /// How the ZNode of each log stands to it.
    standings: BTreeMap<ContainerId, Standing>,
    payloads: Box<dyn Payloads>,
    /// All ledgers are registered in ZooKeeper, and their bookies run.
    are_registered: bool,
    /// What was found of each log when all were read.
    judged: BTreeMap<ContainerId, Judged>,
}

/// What is found of a log that is read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    /// It can be restored.
    Whole(Box<FollowedLog>),
    /// It cannot, for this reason. What is left of it can be added to Tier-2.
    Flawed { flaw: String, salvaged: Salvaged },
}

/// What the metadata of a log's ledgers lack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedLog {
    /// Ledgers that are to be registered, in the order of the log.
    pub restored: Vec<PlannedLedger>,
    /// Registered ledgers that were never closed, and are to be.
    pub closed: Vec<LedgerClosing>,
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
    /// Lengths of the segments that it knows at its end, by name.
    pub lengths: BTreeMap<String, u64>,
    /// What had been appended before the replay begins, by segment.
    pub lengths_at_start: BTreeMap<String, u64>,
    /// The last hole, if there is one; the replay begins behind it.
    pub bridged: Option<String>,
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
    pub fn check(
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
    pub fn segment_behind_tier2(&self, objects: &ContainerObjects) -> Option<(String, u64, u64)> {
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
    /// Puts the logs together. `ledgers` are in the order of their ids, and number bookies by their place in `bookies`.
    pub fn new(
        bookies: Vec<DiskBookie>,
        ledgers: Vec<DiskLedger>,
        survivors: Survivors,
        payloads: Box<dyn Payloads>,
    ) -> Self {
        let ledgers = survivors.beside(ledgers);
        Self::of_merged(bookies, ledgers, survivors, payloads)
    }

    /// Reads all logs, and puts together what is left of those that cannot be restored; the files go to `directory`. Returns what survived with
    /// what was put together, if that is something.
    ///
    /// # Errors
    /// Those of [`salvage`].
    pub fn judge(&mut self, survey: &Survey, directory: &Path) -> Result<Option<Survey>> {
        let mut flaws = BTreeMap::new();
        for container in 0..survey.container_count() {
            match self.judged_alone(container, survey) {
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

    fn judged_alone(&self, container: ContainerId, survey: &Survey) -> CallResult<FollowedLog> {
        let followed = self.follow(container)?;
        let objects = survey.listing().objects(container);
        let evidence = || Ok(survey.evidence_for_a_moment(container)?);
        followed.check(container, &objects, evidence, self.has_lost_bookies())?;
        Ok(followed)
    }

    /// True if some bookies are known to have lost their disks.
    pub fn has_lost_bookies(&self) -> bool {
        !self.lost_bookies.is_empty()
    }

    /// Why a log cannot be restored, if that is known.
    pub fn flaw(&self, container: ContainerId) -> Option<&str> {
        match self.judged.get(&container)? {
            Judged::Flawed { flaw, .. } => Some(flaw),
            Judged::Whole(_) => None,
        }
    }

    /// What was put together of a log that cannot be restored.
    pub fn salvaged(&self, container: ContainerId) -> Option<&Salvaged> {
        match self.judged.get(&container)? {
            Judged::Flawed { salvaged, .. } => Some(salvaged),
            Judged::Whole(_) => None,
        }
    }

    /// The same, knowing that the disks of these bookies are lost.
    ///
    /// # Errors
    /// `bookie-not-lost` if the disks of one of them were read.
    pub fn without(mut self, lost_bookies: &[String]) -> Result<Self> {
        if let Some(bookie) = self.bookies.iter().find(|bookie| lost_bookies.contains(&bookie.id)) {
            return Err(OperatorError::new(
                "bookie-not-lost",
                format!("bookie {} is said to be lost, and its disks were given", bookie.id),
                "name with --lost-bookies only those of which no disk is left",
            ));
        }
        self.lost_bookies = lost_bookies.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        Ok(self)
    }

    /// Puts the logs together from ledgers that are registered, and that bookies serve.
    pub(super) fn of_registered(ledgers: Vec<DiskLedger>, survivors: Survivors, payloads: Box<dyn Payloads>) -> Self {
        Self { are_registered: true, ..Self::of_merged(Vec::new(), ledgers, survivors, payloads) }
    }

    fn of_merged(
        bookies: Vec<DiskBookie>,
        ledgers: Vec<DiskLedger>,
        survivors: Survivors,
        payloads: Box<dyn Payloads>,
    ) -> Self {
        let (chains, unplaced) = chains(&ledgers);
        let standings =
            chains.iter().map(|chain| (chain.container, survivors.standing(chain, &ledgers, &bookies))).collect();
        let mut evidence = Self {
            bookies,
            lost_bookies: Vec::new(),
            ledgers,
            chains,
            unplaced,
            survivors,
            standings,
            payloads,
            are_registered: false,
            judged: BTreeMap::new(),
        };
        evidence.leave_out_truncated();
        evidence
    }

    /// A ZNode that fits tells where its log begins: what lies before is part of it no longer.
    fn leave_out_truncated(&mut self) {
        for chain in &mut self.chains {
            if self.standings.get(&chain.container) != Some(&Standing::Fits) {
                continue;
            }
            let log = self.survivors.log(chain.container).and_then(|node| node.metadata.as_ref().ok());
            let first = log.map_or(0, |log| log.truncation.ledger_id);
            for stray in &mut self.unplaced {
                let ledger = &self.ledgers[stray.ledger];
                if ledger.id < first && ledger.containers.contains(&chain.container) {
                    stray.reason = "truncated";
                }
            }
            let before = chain.begin_with(first, &self.ledgers).into_iter();
            let container = Some(chain.container);
            self.unplaced.extend(before.map(|ledger| UnplacedLedger { ledger, container, reason: "truncated" }));
        }
        self.unplaced.sort_by_key(|unplaced| unplaced.ledger);
    }

    /// True if the ledgers are registered in ZooKeeper, and their bookies run.
    pub fn are_registered(&self) -> bool {
        self.are_registered
    }

    /// The bookies.
    pub fn bookies(&self) -> &[DiskBookie] {
        &self.bookies
    }

    /// The highest id of any ledger, -1 if there is none, above which new ledgers must be put; none if the counter that is left gives
    /// higher ones by itself.
    pub fn ids_to_pass(&self) -> Option<i64> {
        self.survivors.ids_to_pass(self.ledgers.last().map_or(-1, |ledger| ledger.id))
    }

    /// How the ZNode of a container's log stands to the log that the ledgers make.
    pub fn standing(&self, container: ContainerId) -> Standing {
        self.standings.get(&container).cloned().unwrap_or(Standing::Absent)
    }

    /// The ZNode of a container's log, if there is one.
    pub fn log_node(&self, container: ContainerId) -> Option<&LogNode> {
        self.survivors.log(container)
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

    /// Reads entries back.
    pub(super) fn payloads(&self) -> &dyn Payloads {
        self.payloads.as_ref()
    }

    /// All ledgers that hold operations of a container, in the order of their ids: those of its log, and those of parts that do not join it.
    pub(super) fn ledgers_of(&self, container: ContainerId) -> Vec<&DiskLedger> {
        let of_log = self.chains.iter().filter(|chain| chain.container == container).flat_map(|chain| &chain.ledgers);
        let others = self.unplaced.iter().filter(|unplaced| unplaced.container == Some(container));
        let mut places: Vec<usize> = of_log.copied().chain(others.map(|unplaced| unplaced.ledger)).collect();
        places.sort_unstable();
        places.into_iter().map(|place| &self.ledgers[place]).collect()
    }

    /// Ids of the ledgers that are not registered, ascending.
    pub fn unregistered_ledgers(&self) -> impl Iterator<Item = i64> {
        self.ledgers.iter().filter(|ledger| ledger.registered.is_none()).map(|ledger| ledger.id)
    }

    /// The ledgers, by id, as a procedure sees them.
    pub fn ledger_rows(&self) -> Vec<Ledger> {
        let mut containers = BTreeMap::new();
        for chain in self.chains.iter().filter(|chain| self.flaw(chain.container).is_none()) {
            containers.extend(chain.ledgers.iter().map(|&ledger| (ledger, chain.container)));
        }
        let reasons: BTreeMap<usize, &str> =
            self.unplaced.iter().map(|unplaced| (unplaced.ledger, unplaced.reason)).collect();
        let row = |(place, ledger): (usize, &DiskLedger)| {
            let unbroken = ledger.unbroken();
            let operations = ledger.operations();
            let stray = match reasons.get(&place) {
                Some(reason) => reason,
                None if containers.contains_key(&place) => "",
                None => "not-whole",
            };
            Ledger {
                id: ledger.id,
                container: containers.get(&place).copied(),
                stray: stray.to_owned(),
                entries: unbroken.len() as u64,
                bytes: unbroken.last().map_or(0, |entry| entry.ledger_length),
                first_operation: operations.map_or(0, |operations| operations.first),
                last_operation: operations.map_or(0, |operations| operations.last),
                bookies: ledger.holders.iter().map(|holder| self.bookies[holder.bookie].id.clone()).collect(),
                missing: ledger.holes().iter().map(|(first, last)| last.abs_diff(*first) + 1).sum(),
                registered: registered_as(ledger).to_owned(),
                left_out: ledger.left_out,
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
            znode: self.standing(chain.container).as_str().to_owned(),
            reason: self.standing(chain.container).reason().to_owned(),
            flaw: self.flaw(chain.container).map(str::to_owned),
            salvaged_bytes: self.salvaged(chain.container).map_or(0, Salvaged::bytes),
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

    fn chain(&self, container: ContainerId) -> CallResult<&LogChain> {
        let chain = self.chains.iter().find(|chain| chain.container == container);
        chain.ok_or_else(|| {
            CallError::NotFound(format!(
                "no ledger on the disks belongs to the log of container {container}: it never wrote anything, or disks are missing"
            ))
        })
    }

    /// Reads a log from its first entry to its last, and checks that nothing is missing, or at least nothing from where it can be replayed.
    ///
    /// # Errors
    /// `not-found` if the container has none; `damaged` if something is missing or unreadable.
    pub fn follow(&self, container: ContainerId) -> CallResult<FollowedLog> {
        match self.judged.get(&container) {
            Some(Judged::Whole(followed)) => return Ok((**followed).clone()),
            Some(Judged::Flawed { flaw, .. }) => return Err(CallError::Damaged(flaw.clone())),
            None => {}
        }
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

    /// What the metadata of a log's ledgers lack.
    ///
    /// What is registered as closed stays as it is. What was never closed is closed where the log goes over to the next ledger, since
    /// whoever opens the log would find its end too late; but the last one of a log is left to the store, which finds its end
    /// as after any crash, as long as all its bookies are there.
    ///
    /// # Errors
    /// `not-found`; `damaged` if there are fewer bookies than an ensemble has.
    pub fn planned_log(&self, container: ContainerId, layout: &ClusterLayout) -> CallResult<PlannedLog> {
        let chain = self.chain(container)?;
        let mut planned = PlannedLog::default();
        if self.are_registered {
            return Ok(planned);
        }
        let last = chain.ledgers.last().map(|&place| self.ledgers[place].id);
        for (ledger, last_entry) in chain.ends(&self.ledgers) {
            if ledger.registered.is_none() {
                planned.restored.push(self.planned(ledger, last_entry, layout)?);
            } else if Some(ledger.id) != last || !ledger.has_all_bookies(&self.bookies) {
                let length = length_up_to(ledger, last_entry).cast_signed();
                planned.closed.extend(ledger.closing(last_entry, length));
            }
        }
        Ok(planned)
    }

    /// A ledger that is part of no log, as it is to be registered; none if it is.
    ///
    /// # Errors
    /// `not-found`; `conflict` if it is part of a log; `invalid` if its first entry is on no disk.
    pub fn planned_stray(&self, id: i64, layout: &ClusterLayout) -> CallResult<Option<PlannedLedger>> {
        let place = self.ledgers.binary_search_by_key(&id, |ledger| ledger.id);
        let place = place.map_err(|_| CallError::NotFound(format!("no disk holds an entry of ledger {id}")))?;
        let is_restored = |chain: &&LogChain| self.flaw(chain.container).is_none();
        if self.chains.iter().filter(is_restored).any(|chain| chain.ledgers.contains(&place)) {
            return Err(CallError::Conflict(format!("ledger {id} is part of a log; restore that instead")));
        }
        let ledger = &self.ledgers[place];
        if ledger.registered.is_some() {
            return Ok(None);
        }
        // What a bookie holds behind a hole would be deleted with the rest; the last entry that anybody holds is the end.
        let last_entry = ledger.entries.last().map_or(-1, |entry| entry.id);
        self.planned(ledger, last_entry, layout).map(Some)
    }

    fn planned(&self, ledger: &DiskLedger, last_entry: i64, layout: &ClusterLayout) -> CallResult<PlannedLedger> {
        let ClusterLayout { ensemble_size, write_quorum, ack_quorum, .. } = *layout;
        let known = self.bookies.len();
        let candidates = Candidates { present: known, lost: self.lost_bookies.len() };
        let stretches = ensembles(ledger, last_entry, ensemble_size, write_quorum, candidates).ok_or_else(|| {
            CallError::Damaged(format!(
                "ledger {} was written to {ensemble_size} bookies, and the disks of {known} are there; give the others as well, name \
                 those that are lost with --lost-bookies, or correct bookkeeper.ensemble.size",
                ledger.id
            ))
        })?;
        let name = |bookie: usize| match bookie.checked_sub(known) {
            None => self.bookies[bookie].id.clone(),
            Some(lost) => self.lost_bookies[lost].clone(),
        };
        let stretch = |stretch: Stretch| PlannedStretch {
            first_entry: stretch.first_entry,
            bookies: stretch.bookies.into_iter().map(name).collect(),
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

/// What ZooKeeper says of a ledger, as a procedure sees it.
fn registered_as(ledger: &DiskLedger) -> &'static str {
    match ledger.registered.as_ref().map(|registered| registered.state) {
        None => "",
        Some(LedgerState::Open) => "open",
        Some(LedgerState::InRecovery) => "in-recovery",
        Some(LedgerState::Closed { .. }) => "closed",
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

/// Payload bytes of a ledger up to and with an entry: the entry itself says so.
fn length_up_to(ledger: &DiskLedger, last_entry: i64) -> u64 {
    let place = ledger.entries.binary_search_by_key(&last_entry, |entry| entry.id);
    place.map_or(0, |place| ledger.entries[place].ledger_length)
}

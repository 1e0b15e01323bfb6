//! What the disks of bookies tell, all of them together, beside what is left of ZooKeeper.

mod following;

use std::collections::{BTreeMap, BTreeSet};

use dr_backends::tier1::LedgerClosing;
use dr_formats::ledger_metadata::LedgerState;

pub use self::following::FollowedLog;
use self::following::Judged;
use super::{
    Candidates, DiskLedger, LogChain, LogNode, Salvaged, Standing, Stretch, Survivors, UnplacedLedger, chains,
    ensembles,
};
use crate::cluster::ClusterLayout;
use crate::contract::{Bookie, CallError, CallResult, ContainerId, DurableLog, Ledger};
use crate::error::{OperatorError, Result};
use crate::plan::{PlannedLedger, PlannedStretch};

/// The word for what is judged, and done, when the bookies run.
pub const LATER: &str = "later";

/// A bookie whose disks were read, or surveyed.
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
    /// Of that, what can hide entries that were confirmed; a line for each kind.
    pub incomplete: Vec<String>,
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
    /// Of some entries of logs only surveys tell: nobody can read them before the bookies run.
    awaits_bookies: bool,
    /// What was found of each log when all were read.
    judged: BTreeMap<ContainerId, Judged>,
}

/// What the metadata of a log's ledgers lack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedLog {
    /// Ledgers that are to be registered, in the order of the log.
    pub restored: Vec<PlannedLedger>,
    /// Registered ledgers that were never closed, and are to be.
    pub closed: Vec<LedgerClosing>,
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

    /// What is left of ZooKeeper.
    pub(super) fn survivors(&self) -> &Survivors {
        &self.survivors
    }

    /// Ids of bookies that are known to have lost their disks.
    pub(super) fn lost_bookies(&self) -> &[String] {
        &self.lost_bookies
    }

    /// True if some bookies are known to have lost their disks.
    pub fn has_lost_bookies(&self) -> bool {
        !self.lost_bookies.is_empty()
    }

    /// The same, knowing that the disks of these bookies are lost.
    ///
    /// # Errors
    /// `bookie-not-lost` if the disks of one of them were read; `bookie-unaccounted` if ZooKeeper names one that is neither lost nor
    /// was read.
    pub fn without(mut self, lost_bookies: &[String]) -> Result<Self> {
        if let Some(bookie) = self.bookies.iter().find(|bookie| lost_bookies.contains(&bookie.id)) {
            return Err(OperatorError::new(
                "bookie-not-lost",
                format!("bookie {} is said to be lost, and its disks were given", bookie.id),
                "name with --lost-bookies only those of which no disk is left",
            ));
        }
        self.lost_bookies = lost_bookies.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        self.refuse_unaccounted()?;
        Ok(self)
    }

    /// The same, knowing of more bookies that they are lost, where what the others hold is read through them.
    #[must_use]
    pub fn with_lost(mut self, lost_bookies: &[String]) -> Self {
        self.lost_bookies.extend_from_slice(lost_bookies);
        self
    }

    /// What a bookie holds that was forgotten would be given up with what the lost ones held.
    fn refuse_unaccounted(&self) -> Result<()> {
        let is_known = |id: &str| {
            self.lost_bookies.iter().chain(self.bookies.iter().map(|bookie| &bookie.id)).any(|known| known == id)
        };
        let mut named =
            self.survivors.needed_ledgers().flat_map(|ledger| ledger.bookies.iter().map(|id| (ledger.id, id)));
        match named.find(|(_, id)| !self.lost_bookies.is_empty() && !is_known(id)) {
            None => Ok(()),
            Some((ledger, id)) => Err(OperatorError::new(
                "bookie-unaccounted",
                format!(
                    "ZooKeeper names bookie {id} as a holder of ledger {ledger}; its disks were not given, and it is not said to be lost"
                ),
                "give its disks with --bookie-disks, or add it to --lost-bookies if none is left",
            )),
        }
    }

    /// Puts the logs together from ledgers that are registered, and that bookies serve. The lost ones get no cookie, as a bookie that is
    /// there has one.
    pub(super) fn of_registered(ledgers: Vec<DiskLedger>, survivors: Survivors, payloads: Box<dyn Payloads>) -> Self {
        let lost_bookies = survivors.bookies_without_cookie();
        Self { are_registered: true, lost_bookies, ..Self::of_merged(Vec::new(), ledgers, survivors, payloads) }
    }

    /// The same, knowing that no disk that was given holds some entries of these ledgers, but only disks of which there are surveys.
    pub(super) fn with_ledgers_elsewhere(mut self, elsewhere: &BTreeSet<i64>) -> Self {
        let of_logs = self.chains.iter().flat_map(|chain| &chain.ledgers).copied();
        let others = self.unplaced.iter().filter(|unplaced| unplaced.container.is_some());
        let mut needed = of_logs.chain(others.map(|unplaced| unplaced.ledger));
        self.awaits_bookies = needed.any(|place| elsewhere.contains(&self.ledgers[place].id));
        self
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
            awaits_bookies: false,
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

    /// True if the logs cannot be read before the bookies run: until then there is nothing to do but to register ledgers and bookies.
    pub fn awaits_bookies(&self) -> bool {
        self.awaits_bookies
    }

    /// True if ledgers and bookies are registered, so that the bookies can run without deleting anything.
    pub fn has_all_registered(&self) -> bool {
        self.unregistered_ledgers().next().is_none()
            && self.chains.iter().all(|chain| self.closings(chain).is_empty())
            && self.bookies.iter().all(|bookie| self.survivors.has_cookie(&bookie.id))
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
            znode: if self.awaits_bookies { LATER } else { self.standing(chain.container).as_str() }.to_owned(),
            reason: self.standing(chain.container).reason().to_owned(),
            flaw: self.flaw(chain.container).map(str::to_owned),
            salvaged_bytes: self.salvaged(chain.container).map_or(0, Salvaged::bytes),
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
        for (ledger, last_entry) in chain.ends(&self.ledgers).filter(|(ledger, _)| ledger.registered.is_none()) {
            planned.restored.push(self.planned(ledger, last_entry, layout)?);
        }
        planned.closed = self.closings(chain);
        Ok(planned)
    }

    /// The registered ledgers of a log that are to be closed, in its order.
    fn closings(&self, chain: &LogChain) -> Vec<LedgerClosing> {
        let last = chain.ledgers.last().map(|&place| self.ledgers[place].id);
        let is_left_to_store = |ledger: &DiskLedger| Some(ledger.id) == last && ledger.has_all_bookies(&self.bookies);
        let closed = chain.ends(&self.ledgers).filter(|(ledger, _)| !is_left_to_store(ledger));
        closed
            .filter_map(|(ledger, last_entry)| {
                ledger.closing(last_entry, length_up_to(ledger, last_entry).cast_signed())
            })
            .collect()
    }

    /// A ledger that is part of no log, as it is to be registered; none if it is.
    ///
    /// # Errors
    /// `not-found`; `conflict` if it is part of a log; `damaged` if there are fewer bookies than an ensemble has.
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

/// Payload bytes of a ledger up to and with an entry: the entry itself says so.
fn length_up_to(ledger: &DiskLedger, last_entry: i64) -> u64 {
    let place = ledger.entries.binary_search_by_key(&last_entry, |entry| entry.id);
    place.map_or(0, |place| ledger.entries[place].ledger_length)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::test_support::{Unread, bookie, ledger};
    use super::*;

    /// Far from what it takes, unless something grows with the square of the ledgers.
    #[test]
    fn the_metadata_of_ten_thousand_ledgers_take_seconds_at_most() {
        const LEDGERS: i64 = 10_000;
        const CONTAINERS: i64 = 4;
        let of_log = |id: i64| {
            let first = id / CONTAINERS * 10 + 1;
            let operations: Vec<(i64, i64)> = (first..first + 10).map(|number| (number, number)).collect();
            ledger(id, u32::try_from(id % CONTAINERS).ok(), &operations)
        };
        let ledgers: Vec<DiskLedger> = (0..LEDGERS).map(of_log).collect();
        let layout = ClusterLayout::with_defaults("lab");
        let began = Instant::now();
        let evidence =
            LedgerEvidence::new((0..3).map(bookie).collect(), ledgers, Survivors::default(), Box::new(Unread));
        let logs: Vec<PlannedLog> = (0..4).map(|container| evidence.planned_log(container, &layout).unwrap()).collect();
        let rows = evidence.ledger_rows();
        let elapsed = began.elapsed();
        assert!(logs.iter().all(|log| log.restored.len() == 2500 && log.closed.is_empty()));
        assert!(rows.len() == 10_000 && rows.iter().all(|row| row.stray.is_empty()));
        assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    }
}

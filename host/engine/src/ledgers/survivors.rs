//! What is left of ZooKeeper, beside what the disks tell: ledgers that are registered, logs that have their ZNodes, bookies that have
//! their cookies. What agrees with the disks is believed and stays as it is; see design note 016 for the rules.

use std::collections::{BTreeMap, BTreeSet};

use dr_backends::tier1::{BookieRegistration, LedgerClosing, RegisteredLedger};
use dr_formats::ledger_entry::DigestType;
use dr_formats::log_metadata::{FrameAddress, LedgerStatus, LogMetadata};

use super::barrier::stands_for_log;
use super::{DiskBookie, DiskLedger, LogChain};
use crate::cluster::{ClusterLayout, Tier1};
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::listing::Listing;

/// What ZooKeeper still says of ledgers, logs and bookies.
#[derive(Debug, Clone, Default)]
pub struct Survivors {
    /// Where the ledgers root is, for messages.
    location: String,
    ledgers: BTreeMap<i64, RegisteredLedger>,
    logs: BTreeMap<ContainerId, LogNode>,
    bookies: Option<BookieRegistration>,
    coming_ledger: Option<i64>,
}

/// The ZNode of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogNode {
    /// Its version, the compare-and-set token.
    pub version: i32,
    /// What it says; the reason in words if it cannot be decoded.
    pub metadata: std::result::Result<LogMetadata, String>,
    /// The highest epoch of the container that names in Tier-2 tell.
    pub epoch_in_tier2: u64,
}

/// How the ZNode of a log stands to the ledgers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Absent,
    /// What it names is the end of the log; it stays as it is.
    Fits,
    /// It is of an earlier time, or unusable, for this reason; it is written anew.
    Outdated(String),
    /// It names a ledger that the log does not join, for this reason; something is missing.
    Unjoined(String),
}

impl Standing {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Fits => "fits",
            Self::Outdated(_) => "outdated",
            Self::Unjoined(_) => "unjoined",
        }
    }

    /// Why, in words; empty if there is nothing to say.
    pub fn reason(&self) -> &str {
        match self {
            Self::Absent | Self::Fits => "",
            Self::Outdated(reason) | Self::Unjoined(reason) => reason,
        }
    }
}

impl LogNode {
    /// True if it only keeps stores away until the log is restored.
    pub fn is_barrier(&self) -> bool {
        self.metadata.as_ref().is_ok_and(stands_for_log)
    }
}

impl Survivors {
    /// Reads all of it. The listing tells how many containers there are, and their epochs.
    ///
    /// # Errors
    /// Tier-1 errors.
    pub fn read(tier1: Tier1<'_>, layout: &ClusterLayout, listing: &Listing) -> Result<Self> {
        let registry = tier1.ledgers.registry();
        let mut logs = BTreeMap::new();
        for (container, listed) in (0..).zip(&listing.containers) {
            let node = tier1.znodes.get(&layout.log_znode(container))?;
            logs.extend(node.map(|node| {
                let metadata = LogMetadata::decode(&node.data).map_err(|error| error.to_string());
                (container, LogNode { version: node.version, metadata, epoch_in_tier2: listed.highest_epoch })
            }));
        }
        Ok(Self {
            location: tier1.ledgers.location(),
            ledgers: registry.registered_ledgers()?.into_iter().map(|ledger| (ledger.id, ledger)).collect(),
            logs,
            bookies: Some(registry.registered_bookies()?),
            coming_ledger: registry.coming_ledger()?,
        })
    }

    /// The ZNode of a container's log.
    pub fn log(&self, container: ContainerId) -> Option<&LogNode> {
        self.logs.get(&container)
    }

    /// Ledgers that are registered.
    pub(super) fn ledgers(&self) -> impl Iterator<Item = &RegisteredLedger> {
        self.ledgers.values()
    }

    /// Ids of all bookies that ledgers name, or that have a cookie.
    pub(super) fn named_bookies(&self) -> BTreeSet<&str> {
        let with_cookie = self.bookies.iter().flat_map(|known| &known.cookies).map(|(id, _)| id.as_str());
        let of_ledgers = self.ledgers.values().flat_map(|ledger| &ledger.bookies).map(String::as_str);
        with_cookie.chain(of_ledgers).collect()
    }

    /// Ledgers that are registered for a container.
    pub(super) fn ledgers_of_logs(&self) -> impl Iterator<Item = &RegisteredLedger> {
        self.ledgers.values().filter(|ledger| ledger.container.is_some())
    }

    /// Of those, the ones that are needed: not those that the ZNode of their log does not name, or says to be truncated.
    pub(super) fn needed_ledgers(&self) -> impl Iterator<Item = &RegisteredLedger> {
        self.ledgers_of_logs().filter(|ledger| {
            let node = ledger.container.and_then(|container| self.logs.get(&container));
            let Some(log) = node.and_then(|node| node.metadata.as_ref().ok()).filter(|log| log.enabled) else {
                return true;
            };
            ledger.id >= log.truncation.ledger_id && log.ledgers.iter().any(|named| named.ledger_id == ledger.id)
        })
    }

    /// True if a bookie has its cookie.
    pub(super) fn has_cookie(&self, bookie: &str) -> bool {
        self.bookies.iter().flat_map(|known| &known.cookies).any(|(id, _)| id == bookie)
    }

    /// Ids of bookies that ledgers of logs name, and that have no cookie.
    pub(super) fn bookies_without_cookie(&self) -> Vec<String> {
        let named: BTreeSet<&String> = self.ledgers_of_logs().flat_map(|ledger| &ledger.bookies).collect();
        named.into_iter().filter(|bookie| !self.has_cookie(bookie)).cloned().collect()
    }

    /// The highest id above which new ledgers must be put; none if the counter that is left is above all that were seen.
    pub(super) fn ids_to_pass(&self, highest_ledger: i64) -> Option<i64> {
        let is_ahead = self.coming_ledger.is_some_and(|coming| coming > highest_ledger);
        (!is_ahead).then_some(highest_ledger)
    }

    /// Refuses the disks of a bookie that ZooKeeper knows otherwise. It would not start with them.
    ///
    /// # Errors
    /// `instance-differs`, `cookie-differs`.
    pub(super) fn refuse_other(&self, bookie: &str, instance_id: Option<&str>, cookie: &[u8]) -> Result<()> {
        let Some(known) = &self.bookies else { return Ok(()) };
        if let Some(other) = known.instance_id.as_deref().filter(|other| instance_id != Some(other)) {
            return Err(OperatorError::new(
                "instance-differs",
                format!(
                    "{}: the node `INSTANCEID` names the instance {other}, and the disks of bookie {bookie} are of {}",
                    self.location,
                    instance_id.unwrap_or("one without an id")
                ),
                "if the node was made after the loss (`bookkeeper shell initnewcluster`, or a pod that started on the empty ZooKeeper), stop \
                 what makes it, delete it and the nodes in `cookies` beside it, and run the command again; else these are disks of another cluster",
            ));
        }
        match known.cookies.iter().find(|(id, data)| id == bookie && data != cookie) {
            None => Ok(()),
            Some(_) => Err(OperatorError::new(
                "cookie-differs",
                format!(
                    "{}: the node `cookies/{bookie}` differs from the cookie on the disks of that bookie",
                    self.location
                ),
                "if a bookie with empty disks was started under this id after the loss, or the directories of the bookie were renamed since, \
                 delete the node and run the command again; else give the disks that belong to it",
            )),
        }
    }

    /// Puts what is registered beside what the disks hold. Behind the end of a closed ledger nothing is part of it, whatever a disk
    /// holds; a ledger that no disk holds an entry of is one nevertheless.
    pub(super) fn beside(&self, mut ledgers: Vec<DiskLedger>) -> Vec<DiskLedger> {
        let known: Vec<i64> = ledgers.iter().map(|ledger| ledger.id).collect();
        let others = self.ledgers.keys().filter(|id| known.binary_search(id).is_err());
        ledgers.extend(others.map(|&id| DiskLedger {
            id,
            entries: Vec::new(),
            holders: Vec::new(),
            confirmed: -1,
            digest_type: DigestType::Crc32c,
            containers: Default::default(),
            registered: None,
            left_out: 0,
        }));
        ledgers.sort_by_key(|ledger| ledger.id);
        let named = self.named_by_logs();
        for ledger in &mut ledgers {
            ledger.registered = self.ledgers.get(&ledger.id).cloned();
            if let Some(last_entry) = ledger.closed_at() {
                let all = ledger.entries.len();
                ledger.entries.retain(|entry| entry.id <= last_entry);
                ledger.left_out = (all - ledger.entries.len()) as u64;
            }
            // What its operations name goes before what somebody wrote elsewhere.
            if ledger.containers.is_empty() {
                let by_metadata = ledger.registered.as_ref().and_then(|registered| registered.container);
                ledger.containers.extend(by_metadata.or(named.get(&ledger.id).copied()));
            }
        }
        ledgers
    }

    /// Whose log ledgers belong to, by the ZNodes of logs.
    fn named_by_logs(&self) -> BTreeMap<i64, ContainerId> {
        let readable = self.logs.iter().filter_map(|(container, node)| Some((container, node.metadata.as_ref().ok()?)));
        let ids = readable.flat_map(|(container, log)| log.ledgers.iter().map(|ledger| (ledger.ledger_id, *container)));
        ids.collect()
    }

    /// Judges the ZNode of a log by its ledgers.
    pub(super) fn standing(&self, chain: &LogChain, ledgers: &[DiskLedger], bookies: &[DiskBookie]) -> Standing {
        let Some(node) = self.logs.get(&chain.container) else { return Standing::Absent };
        let log = match &node.metadata {
            Ok(log) => log,
            Err(reason) => return Standing::Outdated(format!("its ZNode cannot be decoded: {reason}")),
        };
        if stands_for_log(log) {
            return Standing::Outdated("its ZNode was put there by the first step, to keep stores away".to_owned());
        }
        if log.epoch < node.epoch_in_tier2 {
            return Standing::Outdated(format!(
                "its ZNode has epoch {}, and Tier-2 was written in epoch {}",
                log.epoch, node.epoch_in_tier2
            ));
        }
        standing_of_ledgers(log, chain, ledgers, bookies)
    }
}

fn standing_of_ledgers(
    log: &LogMetadata,
    chain: &LogChain,
    ledgers: &[DiskLedger],
    bookies: &[DiskBookie],
) -> Standing {
    // The ones before were truncated, and may be deleted.
    let first = log.truncation.ledger_id;
    let ends: BTreeMap<i64, i64> = chain.ends(ledgers).map(|(ledger, last_entry)| (ledger.id, last_entry)).collect();
    let mut gone = None;
    for named in log.ledgers.iter().filter(|named| named.ledger_id >= first && named.status != LedgerStatus::Empty) {
        let id = named.ledger_id;
        match ledgers.binary_search_by_key(&id, |ledger| ledger.id) {
            _ if ends.contains_key(&id) => {}
            Err(_) => gone = gone.or(Some(id)),
            // A store made it and died before it wrote to it.
            Ok(place) if ledgers[place].is_empty() => {}
            Ok(place) if chain.was_deleted(place, ledgers, bookies) => gone = gone.or(Some(id)),
            Ok(_) => return Standing::Unjoined(format!("its ZNode names ledger {id}, which does not join the others")),
        }
    }
    if let Some(id) = gone {
        return Standing::Outdated(format!("its ZNode names ledger {id}, of which no disk holds an entry"));
    }
    let is_named = |id: i64| log.ledgers.iter().any(|named| named.ledger_id == id);
    if let Some(id) = ends.keys().find(|id| **id >= first && !is_named(**id)) {
        return Standing::Outdated(format!("the log goes through ledger {id}, which its ZNode does not name"));
    }
    let is_inside = |last_entry: &i64| i64::from(log.truncation.frame.entry_id()) <= *last_entry;
    if log.truncation.frame != FrameAddress(0) && !ends.get(&first).is_some_and(is_inside) {
        return Standing::Outdated(format!(
            "its ZNode says that it was truncated behind entry {} of ledger {first}, which is not part of it",
            log.truncation.frame.entry_id()
        ));
    }
    Standing::Fits
}

impl LogChain {
    /// True if a ledger that is registered with entries was truncated away and deleted since that was written, as with an old snapshot
    /// of ZooKeeper: it lies before the log, and all its bookies are there and hold nothing of it.
    pub(super) fn was_deleted(&self, place: usize, ledgers: &[DiskLedger], bookies: &[DiskBookie]) -> bool {
        let ledger = &ledgers[place];
        self.ledgers.first().is_some_and(|first| place < *first)
            && ledger.entries.is_empty()
            && ledger.has_all_bookies(bookies)
    }
}

impl DiskLedger {
    /// True if it is registered, and the disks of all bookies were read that hold any of it.
    pub(super) fn has_all_bookies(&self, bookies: &[DiskBookie]) -> bool {
        let is_there = |id: &String| bookies.iter().any(|bookie| bookie.id == *id);
        self.registered.as_ref().is_some_and(|registered| registered.bookies.iter().all(is_there))
    }

    /// True if it has no entry at all, and nothing says that it had one.
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.closed_at().is_none_or(|last_entry| last_entry < 0)
    }

    /// How a registered ledger that was never closed is closed at an entry; none for others.
    pub(super) fn closing(&self, last_entry: i64, length: i64) -> Option<LedgerClosing> {
        let open = self.registered.as_ref().filter(|registered| registered.end().is_none())?;
        Some(LedgerClosing {
            id: self.id,
            expected_version: open.version,
            state_before: open.state,
            token_before: open.creation_token,
            last_entry,
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use dr_formats::ledger_metadata::LedgerState;
    use dr_formats::log_metadata::{LedgerAddress, LogLedger};

    use super::super::chains;
    use super::super::test_support::{bookie, ledger};
    use super::*;

    fn registered(id: i64, container: Option<ContainerId>, end: Option<(i64, i64)>) -> (i64, RegisteredLedger) {
        let closed = |(last_entry, length)| LedgerState::Closed { last_entry, length };
        let state = end.map_or(LedgerState::Open, closed);
        let bookies = ["a:1".to_owned()].into();
        (id, RegisteredLedger { id, version: 0, container, state, bookies, creation_token: Some(7) })
    }

    fn node(epoch: u64, ids: &[i64], truncation: Option<(i64, u32, u32)>) -> LogNode {
        let ledger = |(sequence, &ledger_id)| LogLedger { ledger_id, sequence, status: LedgerStatus::Unknown };
        let address =
            |(ledger_id, sequence, entry)| LedgerAddress { frame: FrameAddress::new(sequence, entry), ledger_id };
        let truncation = truncation.map_or(LedgerAddress::START, address);
        let ledgers = (1..).zip(ids).map(ledger).collect();
        let metadata = Ok(LogMetadata { enabled: true, epoch, truncation, ledgers });
        LogNode { version: 3, metadata, epoch_in_tier2: 5 }
    }

    fn survivors(ledgers: &[(i64, RegisteredLedger)], node: Option<LogNode>) -> Survivors {
        Survivors {
            ledgers: ledgers.iter().cloned().collect(),
            logs: node.into_iter().map(|node| (0, node)).collect(),
            ..Survivors::default()
        }
    }

    #[test]
    fn a_closed_ledger_ends_where_zookeeper_says() {
        let ledgers = vec![ledger(3, None, &[(1, 4), (5, 8), (9, 9)]), ledger(4, None, &[(9, 10)])];
        let known = survivors(&[registered(3, Some(0), Some((1, 200))), registered(9, None, Some((4, 70)))], None);
        let merged = known.beside(ledgers);
        let ids: Vec<i64> = merged.iter().map(|ledger| ledger.id).collect();
        assert_eq!(ids, [3, 4, 9]);
        // The disks hold the entry that was sent again; ZooKeeper knew that it is no part of the ledger.
        assert_eq!((merged[0].entries.len(), merged[0].left_out, merged[0].holes()), (2, 1, vec![]));
        assert_eq!((merged[2].entries.len(), merged[2].holes()), (0, vec![(0, 4)]));
        let (chains, unplaced) = chains(&merged);
        assert_eq!((chains.len(), chains[0].container, &*chains[0].ledgers), (1, 0, &[0, 1][..]));
        assert_eq!((unplaced.len(), unplaced[0].reason), (1, "missing"));
    }

    #[test]
    fn a_ledger_of_which_disks_hold_less_than_it_has_has_a_hole() {
        let known = survivors(&[registered(3, Some(0), Some((5, 600)))], None);
        let merged = known.beside(vec![ledger(3, None, &[(1, 4), (5, 8)])]);
        assert_eq!(merged[0].holes(), [(2, 5)]);
        let (chains, _) = chains(&merged);
        let ends: Vec<i64> = chains[0].ends(&merged).map(|(_, end)| end).collect();
        assert_eq!(ends, [5], "not where the disks break off");
    }

    #[test]
    fn what_operations_name_goes_before_what_metadata_name() {
        let known = survivors(&[registered(3, Some(4), None), registered(4, Some(4), None)], Some(node(9, &[5], None)));
        let ledgers =
            known.beside(vec![ledger(3, Some(1), &[(1, 4)]), ledger(4, None, &[(5, 8)]), ledger(5, None, &[(9, 9)])]);
        let containers: Vec<Vec<ContainerId>> =
            ledgers.iter().map(|ledger| ledger.containers.iter().copied().collect()).collect();
        assert_eq!(containers, [vec![1], vec![4], vec![0]]);
    }

    #[test]
    fn a_log_znode_is_judged_by_its_ledgers() {
        // Ledger 2 had been truncated away; the log is 3, 5 and 8, and 9 was never written to.
        let on_disks = || {
            vec![
                ledger(2, Some(0), &[(1, 4)]),
                ledger(3, None, &[(5, 8), (9, 12)]),
                ledger(5, None, &[(13, 14)]),
                ledger(8, Some(0), &[(15, 15)]),
            ]
        };
        let judge = |node: Option<LogNode>| {
            let known = survivors(&[registered(9, Some(0), None)], node);
            let ledgers = known.beside(on_disks());
            let (chains, _) = chains(&ledgers);
            assert_eq!(chains[0].ledgers.len(), 4);
            known.standing(&chains[0], &ledgers, &[])
        };
        let outdated = |standing: Standing| match standing {
            Standing::Outdated(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(judge(None), Standing::Absent);
        for (ids, truncation) in [
            (&[2, 3, 5, 8, 9][..], None),
            (&[3, 5, 8, 9], Some((3, 2, 0))),
            (&[5, 8], Some((5, 3, 0))),
            // A ledger that is gone, but before what is needed.
            (&[1, 2, 3, 5, 8], Some((2, 1, 0))),
        ] {
            assert_eq!(judge(Some(node(7, ids, truncation))), Standing::Fits, "{ids:?}");
        }
        assert!(outdated(judge(Some(node(7, &[2, 3, 5], None)))).contains("goes through ledger 8"));
        assert!(outdated(judge(Some(node(7, &[3, 8], Some((3, 2, 0)))))).contains("goes through ledger 5"));
        assert!(outdated(judge(Some(node(7, &[2, 3, 5, 8, 11], None)))).contains("names ledger 11"));
        assert!(outdated(judge(Some(node(4, &[2, 3, 5, 8], None)))).contains("epoch 4"));
        assert!(outdated(judge(Some(node(7, &[3, 5, 8], Some((3, 2, 2)))))).contains("behind entry 2 of ledger 3"));
        let unreadable = LogNode { metadata: Err("bad".to_owned()), ..node(7, &[], None) };
        assert!(outdated(judge(Some(unreadable))).contains("cannot be decoded: bad"));
    }

    #[test]
    fn a_log_znode_that_names_a_ledger_of_which_entries_are_lost_tells_that_the_log_is_not_whole() {
        let judge = |lost: i64, bookies: &[DiskBookie]| {
            let known = survivors(&[registered(lost, None, Some((3, 40)))], Some(node(7, &[2, lost], None)));
            let ledgers = known.beside(vec![ledger(2, Some(0), &[(1, 4)])]);
            let (chains, _) = chains(&ledgers);
            known.standing(&chains[0], &ledgers, bookies)
        };
        assert!(matches!(judge(9, &[]), Standing::Unjoined(_)));
        // Before the log, where its only bookie is there and holds nothing of it, it was deleted since.
        assert!(matches!(judge(1, &[]), Standing::Unjoined(_)));
        let bookie = DiskBookie { id: "a:1".to_owned(), ..bookie(0) };
        assert!(matches!(judge(1, std::slice::from_ref(&bookie)), Standing::Outdated(_)));
        assert!(matches!(judge(9, &[bookie]), Standing::Unjoined(_)));
    }

    #[test]
    fn the_counter_of_ids_is_raised_if_it_is_behind() {
        let with = |coming_ledger| Survivors { coming_ledger, ..Survivors::default() };
        let raised = [None, Some(0), Some(16), Some(17)].map(|coming| with(coming).ids_to_pass(16));
        assert_eq!(raised, [Some(16), Some(16), Some(16), None]);
    }

    #[test]
    fn another_instance_or_another_cookie_is_refused_with_what_to_do() {
        let bookies = BookieRegistration {
            instance_id: Some("one".to_owned()),
            cookies: vec![("a:1".to_owned(), b"cookie".to_vec())],
            highest_ledger: None,
        };
        let known = Survivors { bookies: Some(bookies), ..Survivors::default() };
        assert!(known.refuse_other("a:1", Some("one"), b"cookie").is_ok());
        assert!(known.refuse_other("b:1", Some("one"), b"another").is_ok());
        let code = |instance, cookie: &[u8]| known.refuse_other("a:1", instance, cookie).unwrap_err().code;
        assert_eq!(code(Some("one"), b"another"), "cookie-differs");
        assert_eq!([code(Some("two"), b"cookie"), code(None, b"cookie")], ["instance-differs"; 2]);
        let without = Survivors {
            bookies: Some(BookieRegistration { instance_id: None, ..known.bookies.unwrap() }),
            ..Survivors::default()
        };
        assert!(without.refuse_other("a:1", Some("two"), b"cookie").is_ok());
    }
}

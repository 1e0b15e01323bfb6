//! Which ledger belongs to which container's log, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use super::{DiskEntry, DiskLedger, Operations};
use crate::contract::ContainerId;

/// Why one ledger follows another one in a log; the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// Its first entry is one of the other's, sent again: the store changed ledgers while that was on its way.
    SentAgain,
    /// Its operations go on where the other's end.
    Continues,
    /// It begins inside the other: what that holds from there on was never acknowledged, and its numbers were given
    /// again by a store that took over.
    Supersedes,
}

/// Where one ledger of a log ends and the next one goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Junction {
    /// Why they belong together.
    pub link: Link,
    /// The last entry of the first one that is part of the log; disks may hold later ones.
    pub last_entry: i64,
}

/// The ledgers of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChain {
    /// The container whose log it is.
    pub container: ContainerId,
    /// Positions in the list of ledgers, in the order of the log.
    pub ledgers: Vec<usize>,
    /// Where each but the last goes over to the next one.
    pub junctions: Vec<Junction>,
}

impl LogChain {
    /// The ledgers, each with its last entry that is part of the log: of one that is registered as closed it is that of its metadata. The
    /// last ledger ends where what disks hold breaks off, or with its last entry if something acknowledged is missing before: an entry
    /// that was not acknowledged may be kept so, as BookKeeper's own recovery does, and none that was is passed over in silence.
    pub fn ends<'a>(&'a self, ledgers: &'a [DiskLedger]) -> impl Iterator<Item = (&'a DiskLedger, i64)> {
        let ends = self.junctions.iter().map(|junction| Some(junction.last_entry)).chain([None]);
        self.ledgers.iter().zip(ends).map(|(&position, end)| {
            let ledger = &ledgers[position];
            (ledger, ledger.closed_at().or(end).unwrap_or_else(|| ledger.own_end()))
        })
    }

    /// Leaves out the ledgers below an id, which the log has been truncated behind; returns their positions.
    pub(super) fn begin_with(&mut self, id: i64, ledgers: &[DiskLedger]) -> Vec<usize> {
        let before = self.ledgers.partition_point(|&position| ledgers[position].id < id);
        self.junctions.drain(..before.min(self.junctions.len()));
        self.ledgers.drain(..before).collect()
    }
}

/// A ledger that is no part of any log that can be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnplacedLedger {
    /// Position in the list of ledgers.
    pub ledger: usize,
    /// The container to which its operations belong, if that is known.
    pub container: Option<ContainerId>,
    /// Why: `empty` (no whole operation), `missing` (it has entries, by its metadata or later ones, and not the first of them is
    /// left), `no-container` (nothing tells whose it is), `superseded` (the container has a newer log that does not go on from
    /// it), `truncated` (the log has a ZNode, which begins behind it).
    pub reason: &'static str,
}

/// A log in the making.
#[derive(Debug, Default)]
struct Growing {
    containers: BTreeSet<ContainerId>,
    ledgers: Vec<usize>,
    junctions: Vec<Junction>,
}

impl Growing {
    fn may_take(&self, ledger: &DiskLedger) -> bool {
        self.containers.is_empty() || ledger.containers.is_empty() || self.containers == ledger.containers
    }

    fn push(&mut self, position: usize, ledger: &DiskLedger, junction: Option<Junction>) {
        self.containers.extend(&ledger.containers);
        self.ledgers.push(position);
        self.junctions.extend(junction);
    }
}

/// Puts ledgers, which are in the order of their ids, together to logs. Ids rise inside a log, since Pravega requires it
/// (class `LogMetadata`).
///
/// Sequence numbers of different containers are alike, so a ledger that names no container goes to the log
/// that it follows by the strongest link; two logs with the same link are decided by nothing, and it becomes a log of its own
/// then, which is not placed unless a later ledger of it names a container.
pub fn chains(ledgers: &[DiskLedger]) -> (Vec<LogChain>, Vec<UnplacedLedger>) {
    let mut growing: Vec<Growing> = Vec::new();
    let mut unplaced = Vec::new();
    for (position, ledger) in ledgers.iter().enumerate() {
        if Operations::of(&ledger.entries).is_none() {
            let is_missing = ledger.unbroken().is_empty() && !ledger.holes().is_empty();
            let reason = if is_missing { "missing" } else { "empty" };
            unplaced.push(UnplacedLedger { ledger: position, container: only_one(&ledger.containers), reason });
            continue;
        }
        match follows(ledgers, &growing, ledger) {
            Some((log, junction)) => growing[log].push(position, ledger, Some(junction)),
            None => {
                let mut new = Growing::default();
                new.push(position, ledger, None);
                growing.push(new);
            }
        }
    }
    let newest = newest_of_each_container(&growing);
    let mut chains = Vec::new();
    for (number, log) in growing.into_iter().enumerate() {
        match only_one(&log.containers) {
            Some(container) if newest.get(&container) == Some(&number) => {
                chains.push(LogChain { container, ledgers: log.ledgers, junctions: log.junctions });
            }
            container => {
                let reason = if log.containers.is_empty() { "no-container" } else { "superseded" };
                unplaced.extend(log.ledgers.into_iter().map(|ledger| UnplacedLedger { ledger, container, reason }));
            }
        }
    }
    chains.sort_by_key(|chain| chain.container);
    unplaced.sort_by_key(|unplaced| unplaced.ledger);
    (chains, unplaced)
}

fn only_one(containers: &BTreeSet<ContainerId>) -> Option<ContainerId> {
    containers.first().copied().filter(|_| containers.len() == 1)
}

/// The log that a ledger follows, if exactly one does so by the strongest link.
fn follows(ledgers: &[DiskLedger], growing: &[Growing], ledger: &DiskLedger) -> Option<(usize, Junction)> {
    let candidates = growing.iter().enumerate().filter(|(_, log)| log.may_take(ledger));
    let mut junctions: Vec<(usize, Junction)> = candidates
        .filter_map(|(number, log)| Some((number, junction(&ledgers[*log.ledgers.last()?], ledger)?)))
        .collect();
    // A log that is known to be the container's own goes before one of which that is not known.
    let is_named = |number: usize| !ledger.containers.is_empty() && growing[number].containers == ledger.containers;
    let rank = |(number, junction): &(usize, Junction)| (!is_named(*number), junction.link);
    junctions.sort_by_key(rank);
    let strongest = *junctions.first()?;
    let has_rival = junctions.get(1).is_some_and(|other| rank(other) == rank(&strongest));
    (!has_rival).then_some(strongest)
}

/// How `next` follows `before`, if it can. Where ledgers have holes, what is left of them is looked at.
fn junction(before: &DiskLedger, next: &DiskLedger) -> Option<Junction> {
    let (entries, first) = (&before.entries, next.entries.first()?);
    let (old, new) = (Operations::of(entries)?, Operations::of(&next.entries)?);
    let is_first_again = |entry: &DiskEntry| {
        entry.payload_checksum == first.payload_checksum
            && entry.operations == first.operations
            && entry.begins_inside == first.begins_inside
    };
    if let Some(again) = entries.iter().find(|entry| is_first_again(entry)) {
        return Some(Junction { link: Link::SentAgain, last_entry: again.id - 1 });
    }
    let last = entries.last()?;
    // The number of an operation that goes on in the next ledger stands in this one, unless too little of it does. One that
    // does not go on was never acknowledged, and its number was given again.
    let continues = match (last.ends_open, first.begins_inside) {
        (true, true) => new.first == old.last + 1 || new.first == old.last + 2,
        (true, false) => new.first == old.last + 1 || new.first == old.last,
        (false, _) => new.first == old.last + 1,
    };
    if continues {
        return Some(Junction { link: Link::Continues, last_entry: last.id });
    }
    let last_entry = entries.iter().find_map(|entry| {
        let operations = entry.operations?;
        let torn_here = operations.last == new.first && entry.ends_open && !first.begins_inside;
        match () {
            () if operations.first == new.first && entry.id > 0 => Some(entry.id - 1),
            () if torn_here => Some(entry.id),
            () => None,
        }
    })?;
    Some(Junction { link: Link::Supersedes, last_entry })
}

/// Of several logs of one container the one with the highest ledger is the one that was written last.
fn newest_of_each_container(growing: &[Growing]) -> BTreeMap<ContainerId, usize> {
    let mut newest: BTreeMap<ContainerId, (usize, usize)> = BTreeMap::new();
    for (number, log) in growing.iter().enumerate() {
        if let (Some(&container), Some(&last)) = (log.containers.iter().next(), log.ledgers.last()) {
            let entry = newest.entry(container).or_insert((last, number));
            *entry = (*entry).max((last, number));
        }
    }
    newest.into_iter().map(|(container, (_, number))| (container, number)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::test_support::ledger;
    use super::*;

    fn of(chains: &[LogChain]) -> Vec<(ContainerId, Vec<usize>, Vec<Link>)> {
        chains
            .iter()
            .map(|chain| {
                let links = chain.junctions.iter().map(|junction| junction.link).collect();
                (chain.container, chain.ledgers.clone(), links)
            })
            .collect()
    }

    #[test]
    fn ledgers_go_to_the_log_whose_numbers_they_continue() {
        let ledgers = [
            ledger(0, Some(0), &[(1, 10)]),
            ledger(1, Some(1), &[(1, 20)]),
            ledger(4, None, &[(21, 30)]),
            ledger(5, None, &[(11, 15), (16, 16)]),
            ledger(9, None, &[(17, 18)]),
        ];
        let (chains, unplaced) = chains(&ledgers);
        let continues = Link::Continues;
        assert_eq!(of(&chains), [(0, vec![0, 3, 4], vec![continues; 2]), (1, vec![1, 2], vec![continues])]);
        assert!(unplaced.is_empty());
    }

    #[test]
    fn a_first_ledger_without_a_name_learns_it_from_a_later_one() {
        let ledgers = [ledger(3, None, &[(50, 60)]), ledger(4, None, &[(61, 70)]), ledger(8, Some(2), &[(71, 71)])];
        assert_eq!(of(&chains(&ledgers).0), [(2, vec![0, 1, 2], vec![Link::Continues; 2])]);
    }

    #[test]
    fn an_entry_that_was_sent_again_decides_between_logs_of_like_numbers() {
        // Both logs hold the numbers 5 to 8 in an entry of their own; the checksums differ.
        let mut other = ledger(1, Some(1), &[(1, 4), (5, 8)]);
        other.entries[1].payload_checksum = 77;
        let ledgers = [ledger(0, Some(0), &[(1, 4), (5, 8)]), other, ledger(2, None, &[(5, 8), (9, 9)])];
        let (chains, _) = chains(&ledgers);
        let ends: Vec<_> = chains[0].ends(&ledgers).map(|(ledger, end)| (ledger.id, end)).collect();
        assert_eq!(ends, [(0, 0), (2, 1)]);
        assert_eq!(of(&chains), [(0, vec![0, 2], vec![Link::SentAgain]), (1, vec![1], vec![])]);
    }

    #[test]
    fn a_store_that_took_over_supersedes_what_it_did_not_see() {
        let ledgers = [ledger(0, Some(0), &[(1, 4), (5, 8), (9, 9)]), ledger(2, Some(0), &[(5, 5), (6, 9)])];
        assert_eq!(junction(&ledgers[0], &ledgers[1]), Some(Junction { link: Link::Supersedes, last_entry: 0 }));
        assert_eq!(junction(&ledgers[0], &ledger(2, Some(0), &[(6, 9)])), None, "no entry begins with operation 6");
    }

    #[test]
    fn an_operation_that_was_torn_at_the_end_of_a_ledger_is_counted_once() {
        let mut before = ledger(0, Some(0), &[(1, 4), (5, 8)]);
        before.entries[1].ends_open = true;
        let goes_on = |first: i64, begins_inside: bool| {
            let mut next = ledger(2, Some(0), &[(first, 12)]);
            next.entries[0].begins_inside = begins_inside;
            junction(&before, &next).map(|junction| (junction.link, junction.last_entry))
        };
        let whole = Some((Link::Continues, 1));
        assert_eq!([goes_on(9, true), goes_on(10, true), goes_on(9, false), goes_on(8, false)], [whole; 4]);
        assert_eq!([goes_on(10, false), goes_on(11, true), goes_on(7, false)], [None; 3]);
        // A store that took over saw only the first entry, whose last operation was torn then.
        let mut before = ledger(0, Some(0), &[(1, 4), (5, 8)]);
        before.entries[0].ends_open = true;
        before.entries[1].begins_inside = true;
        let next = ledger(2, Some(0), &[(4, 12)]);
        assert_eq!(junction(&before, &next), Some(Junction { link: Link::Supersedes, last_entry: 0 }));
    }

    #[test]
    fn what_nothing_decides_is_not_placed() {
        let ledgers = [
            ledger(0, Some(0), &[(1, 4)]),
            ledger(1, Some(1), &[(1, 4)]),
            ledger(2, None, &[(5, 8)]),
            ledger(3, None, &[]),
        ];
        let (chains, unplaced) = chains(&ledgers);
        assert_eq!(chains.len(), 2);
        let reasons: Vec<_> = unplaced.iter().map(|unplaced| (unplaced.ledger, unplaced.reason)).collect();
        assert_eq!(reasons, [(2, "no-container"), (3, "empty")]);
    }

    #[test]
    fn the_log_that_was_written_last_is_the_log() {
        let ledgers = [ledger(0, Some(0), &[(1, 400)]), ledger(5, Some(0), &[(1, 3)]), ledger(6, None, &[(4, 5)])];
        let (chains, unplaced) = chains(&ledgers);
        assert_eq!(of(&chains), [(0, vec![1, 2], vec![Link::Continues])]);
        assert_eq!(unplaced, [UnplacedLedger { ledger: 0, container: Some(0), reason: "superseded" }]);
    }
}

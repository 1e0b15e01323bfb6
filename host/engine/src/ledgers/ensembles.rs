//! Which bookies hold which stretch of a ledger, in the terms of its metadata.

use super::{DiskLedger, Holder};

/// A stretch of a ledger with the bookies that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// First entry.
    pub first_entry: i64,
    /// Numbers of the bookies, in the order of the ensemble.
    pub bookies: Vec<usize>,
}

/// Who can have been a member. Bookies are numbered: first those whose disks were read, behind them those whose disks are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidates {
    /// Bookies whose disks were read.
    pub present: usize,
    /// Bookies whose disks are lost.
    pub lost: usize,
}

/// Finds the ensembles of the entries up to `last_entry`.
///
/// An entry goes to `write_quorum` of `ensemble_size` bookies in turn (class `RoundRobinDistributionSchedule`): entry `e` to those at
/// the places `e mod ensemble_size` and following. A bookie that failed was replaced by another one; from then on it
/// holds nothing, and the other one does. A bookie that took part without holding anything cannot be known. One of those that are lost
/// stands in for it, so that autorecovery makes the copies anew; else any other one, which only makes readers and autorecovery look
/// there in vain.
///
/// None if there are fewer bookies than `ensemble_size`.
pub fn ensembles(
    ledger: &DiskLedger,
    last_entry: i64,
    ensemble_size: usize,
    write_quorum: usize,
    candidates: Candidates,
) -> Option<Vec<Stretch>> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut members = first_members(ledger, ensemble_size, candidates)?;
    let mut first_entry = 0;
    while let Some((change, replaced, replacement)) = next_change(ledger, &members, first_entry, last_entry) {
        if change > first_entry {
            stretches.push(Stretch { first_entry, bookies: members.clone() });
        }
        first_entry = change;
        members[replaced] = replacement;
    }
    stretches.push(Stretch { first_entry, bookies: members });
    if write_quorum < ensemble_size {
        put_in_order(ledger, &mut stretches, last_entry, write_quorum);
    }
    Some(stretches)
}

/// Those that hold entries of the first turn, then those that are lost, those that hold later ones, and whoever else there is.
fn first_members(ledger: &DiskLedger, ensemble_size: usize, candidates: Candidates) -> Option<Vec<usize>> {
    let mut holders: Vec<(i64, usize)> =
        ledger.holders.iter().filter_map(|holder| Some((holder.next_from(0)?, holder.bookie))).collect();
    holders.sort_unstable();
    let in_first_turn = holders.partition_point(|&(first, _)| first < ensemble_size as i64);
    let (early, late) = holders.split_at(in_first_turn);
    let all = candidates.present + candidates.lost;
    let mut members: Vec<usize> = Vec::new();
    let number = |&(_, bookie): &(i64, usize)| bookie;
    for bookie in early.iter().map(number).chain(candidates.present..all).chain(late.iter().map(number)).chain(0..all) {
        if !members.contains(&bookie) {
            members.push(bookie);
        }
    }
    members.truncate(ensemble_size);
    members.sort_unstable();
    (members.len() == ensemble_size).then_some(members)
}

/// The first entry at which a bookie outside holds something while one of the members holds nothing any more: entry, place of that
/// member, and the bookie.
fn next_change(ledger: &DiskLedger, members: &[usize], from: i64, last_entry: i64) -> Option<(i64, usize, usize)> {
    let newcomers = ledger.holders.iter().filter(|holder| !members.contains(&holder.bookie));
    let arrivals = newcomers.filter_map(|holder| Some((holder.next_from(from)?, holder.bookie)));
    let arrivals = arrivals.filter(|(entry, _)| *entry <= last_entry);
    let changes = arrivals.filter_map(|(entry, newcomer)| {
        let gone = members.iter().position(|&member| is_gone(ledger, member, entry))?;
        Some((entry, gone, newcomer))
    });
    changes.min()
}

fn is_gone(ledger: &DiskLedger, bookie: usize, from: i64) -> bool {
    let holder = ledger.holders.iter().find(|holder| holder.bookie == bookie);
    holder.is_none_or(|holder| holder.next_from(from).is_none())
}

/// Puts the members of each stretch in the order in which they took turns.
fn put_in_order(ledger: &DiskLedger, stretches: &mut [Stretch], last_entry: i64, write_quorum: usize) {
    let ends: Vec<i64> = stretches.iter().skip(1).map(|next| next.first_entry - 1).chain([last_entry]).collect();
    for (stretch, end) in stretches.iter_mut().zip(ends) {
        let size = stretch.bookies.len();
        let mut places = vec![None; size];
        let mut unknown = Vec::new();
        for &bookie in &stretch.bookies {
            let holder = ledger.holders.iter().find(|holder| holder.bookie == bookie);
            match holder.and_then(|holder| place(holder, stretch.first_entry, end, size, write_quorum)) {
                Some(place) if places[place].is_none() => places[place] = Some(bookie),
                _ => unknown.push(bookie),
            }
        }
        let mut unknown = unknown.into_iter();
        stretch.bookies = places.into_iter().filter_map(|place| place.or_else(|| unknown.next())).collect();
    }
}

/// Place of a bookie in an ensemble of this size, by the entries that it holds: it is the one whose entries fit best.
fn place(holder: &Holder, first: i64, last: i64, size: usize, write_quorum: usize) -> Option<usize> {
    // A few turns decide; a bookie that lacks an entry here and there stays recognisable.
    const TURNS: i64 = 64;
    let until = last.min(first + TURNS * size as i64);
    let fits = |place: usize| {
        let is_turn = |entry: i64| (place + size - (entry as usize % size)) % size < write_quorum;
        (first..=until).filter(|&entry| holder.holds(entry) == is_turn(entry)).count()
    };
    (first..=until).any(|entry| holder.holds(entry)).then(|| (0..size).max_by_key(|&place| fits(place)))?
}

#[cfg(test)]
mod tests {
    use super::super::test_support::ledger;
    use super::*;

    fn held(entries: i64, runs: &[&[(i64, i64)]]) -> DiskLedger {
        let operations: Vec<_> = (1..=entries).map(|number| (number, number)).collect();
        let mut ledger = ledger(0, Some(0), &operations);
        let holder = |(bookie, runs): (usize, &&[(i64, i64)])| Holder { bookie, runs: runs.to_vec() };
        ledger.holders = runs.iter().enumerate().map(holder).collect();
        ledger
    }

    /// So many bookies, and none is lost.
    fn only(present: usize) -> Candidates {
        Candidates { present, lost: 0 }
    }

    fn found(stretches: &[Stretch]) -> Vec<(i64, &[usize])> {
        stretches.iter().map(|stretch| (stretch.first_entry, &*stretch.bookies)).collect()
    }

    #[test]
    fn a_bookie_that_failed_is_replaced_where_the_new_one_begins() {
        // As seen on real bookies: one holds 0 to 745, its successor 749 to 768; the metadata said 749.
        let ledger = held(769, &[&[(0, 768)], &[(0, 745)], &[(749, 768)], &[(0, 768)]]);
        let stretches = ensembles(&ledger, 768, 3, 3, only(5)).unwrap();
        assert_eq!(found(&stretches), [(0, &[0, 1, 3][..]), (749, &[0, 2, 3])]);
        // What lies behind the end does not count.
        assert_eq!(found(&ensembles(&ledger, 748, 3, 3, only(5)).unwrap()), [(0, &[0, 1, 3][..])]);
    }

    #[test]
    fn a_bookie_that_never_held_anything_is_made_up() {
        let ledger = held(5, &[&[(0, 4)], &[(0, 4)], &[]]);
        assert_eq!(found(&ensembles(&ledger, 4, 3, 3, only(4)).unwrap()), [(0, &[0, 1, 2][..])]);
        assert_eq!(ensembles(&ledger, 4, 3, 3, only(2)), None);
    }

    #[test]
    fn bookies_that_take_turns_are_found_in_their_order() {
        // Places 0 to 3 are bookies 2, 0, 3, 1; entry e goes to the places e mod 4 and the next one.
        let at = |place: i64| {
            let turns = (0..20).filter(|entry| (place - entry).rem_euclid(4) < 2);
            turns.map(|entry| (entry, entry)).collect::<Vec<_>>()
        };
        let (first, second, third, fourth) = (at(1), at(3), at(0), at(2));
        let ledger = held(20, &[&first, &second, &third, &fourth]);
        assert_eq!(found(&ensembles(&ledger, 19, 4, 2, only(5)).unwrap()), [(0, &[2, 0, 3, 1][..])]);
    }

    #[test]
    fn two_replacements_in_a_row_make_three_stretches() {
        let ledger = held(30, &[&[(0, 29)], &[(0, 9)], &[(0, 29)], &[(10, 19)], &[(20, 29)]]);
        let stretches = ensembles(&ledger, 29, 3, 3, only(5)).unwrap();
        assert_eq!(found(&stretches), [(0, &[0, 1, 2][..]), (10, &[0, 3, 2]), (20, &[0, 4, 2])]);
    }

    #[test]
    fn a_bookie_that_is_lost_stands_in_where_nobody_is_known() {
        // Bookies 0 and 1 are there, 2 and 3 are not.
        let ledger = held(30, &[&[(0, 29)], &[(0, 29)]]);
        let candidates = Candidates { present: 2, lost: 2 };
        assert_eq!(found(&ensembles(&ledger, 29, 3, 3, candidates).unwrap()), [(0, &[0, 1, 2][..])]);
        // The lost one had failed before the disaster, and another one had come in its place.
        let ledger = held(30, &[&[(0, 29)], &[(12, 29)], &[(0, 29)]]);
        let candidates = Candidates { present: 3, lost: 1 };
        let stretches = ensembles(&ledger, 29, 3, 3, candidates).unwrap();
        assert_eq!(found(&stretches), [(0, &[0, 2, 3][..]), (12, &[0, 2, 1])]);
        assert_eq!(ensembles(&held(9, &[&[(0, 8)]]), 8, 3, 3, Candidates { present: 1, lost: 1 }), None);
    }
}

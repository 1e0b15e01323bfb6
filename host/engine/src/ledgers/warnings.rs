//! What an operator should know of the bookies before a plan is carried out, and may be able to mend: disks of which something seems to be
//! missing, and ids of lost bookies that nothing bears out.

use std::collections::BTreeSet;

use super::{DiskBookie, LedgerEvidence};
use crate::plan::PlanWarning;

/// What ZooKeeper still says of a bookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookieTrace {
    /// Registered ledgers that name it as a holder.
    pub ledgers: usize,
    /// Its cookie is there.
    pub has_cookie: bool,
}

impl BookieTrace {
    const fn is_empty(self) -> bool {
        self.ledgers == 0 && !self.has_cookie
    }
}

impl LedgerEvidence {
    /// What ZooKeeper still says of a bookie; none if it names no bookie at all.
    pub fn trace_of(&self, bookie: &str) -> Option<BookieTrace> {
        let survivors = self.survivors();
        if survivors.named_bookies().is_empty() {
            return None;
        }
        let ledgers = survivors.ledgers().filter(|ledger| ledger.bookies.contains(bookie)).count();
        Some(BookieTrace { ledgers, has_cookie: survivors.has_cookie(bookie) })
    }

    /// What may be missing from disks, and which ids of lost bookies may be typing errors. `ack_quorum` is the number of bookies that hold an
    /// entry when it is acknowledged.
    pub fn warnings(&self, ack_quorum: usize) -> Vec<PlanWarning> {
        let incomplete = self.bookies().iter().filter(|bookie| !bookie.incomplete.is_empty());
        let away = incomplete.clone().count() + self.lost_bookies().len();
        let consequence = if away < ack_quorum {
            "every entry that was acknowledged has a copy elsewhere, as long as the disks of all other bookies are given whole"
        } else {
            "the last entries that were acknowledged may be there alone, and then the plan does not know that they ever were"
        };
        let mut warnings: Vec<PlanWarning> = incomplete.map(|bookie| incomplete_disks(bookie, consequence)).collect();
        warnings.extend(self.lost_bookies().iter().filter_map(|id| self.doubt_of_lost(id)));
        warnings
    }

    /// Why the id of a lost bookie may be a typing error.
    fn doubt_of_lost(&self, id: &str) -> Option<PlanWarning> {
        let is_unnamed = self.trace_of(id).is_some_and(BookieTrace::is_empty);
        let mut given = self.bookies().iter().map(|bookie| bookie.id.as_str()).peekable();
        let is_odd = given.peek().is_some() && given.all(has_port) && !has_port(id);
        let why = match () {
            () if is_unnamed => {
                "nothing that is left of ZooKeeper names it, neither a ledger nor a cookie, though other bookies are named"
            }
            () if is_odd => "it is not of the form HOST:PORT, as the ids of all bookies whose disks are given are",
            () => return None,
        };
        let mut known: BTreeSet<&str> = self.survivors().named_bookies();
        known.extend(self.bookies().iter().map(|bookie| bookie.id.as_str()));
        Some(PlanWarning {
            subject: format!("lost bookie {id}"),
            finding: format!("the id may be a typing error: {why}"),
            next_step: format!(
                "compare it with `bookieId` or `advertisedAddress` of that bookie's configuration; bookies that are known: {}",
                known.into_iter().collect::<Vec<_>>().join(", ")
            ),
        })
    }
}

fn incomplete_disks(bookie: &DiskBookie, consequence: &str) -> PlanWarning {
    PlanWarning {
        subject: format!("bookie {}", bookie.id),
        finding: format!("its disks do not seem to be whole: {}; {consequence}", bookie.incomplete.join("; ")),
        next_step: "if a directory was forgotten, or a better copy is left, make another plan with it: all directories of one bookie behind one --bookie-disks \
                    (or `dr survey-bookie`), joined by commas"
            .to_owned(),
    }
}

/// True for `HOST:PORT`.
fn has_port(id: &str) -> bool {
    id.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::super::Survivors;
    use super::super::test_support::{Unread, bookie, ledger};
    use super::*;

    fn warnings(incomplete: usize, lost: &[&str], ack_quorum: usize) -> Vec<PlanWarning> {
        let bookie = |number: usize| DiskBookie {
            incomplete: if number < incomplete { vec!["missing journal (/b): none".to_owned()] } else { Vec::new() },
            ..bookie(number)
        };
        let ledgers = vec![ledger(1, Some(0), &[(1, 4)])];
        let evidence =
            LedgerEvidence::new((0..3).map(bookie).collect(), ledgers, Survivors::default(), Box::new(Unread));
        let lost: Vec<String> = lost.iter().map(|&id| id.to_owned()).collect();
        evidence.without(&lost).unwrap().warnings(ack_quorum)
    }

    #[test]
    fn disks_that_are_not_whole_matter_when_no_other_copy_needs_to_be_there() {
        assert!(warnings(0, &[], 2).is_empty());
        let one = warnings(1, &[], 2);
        assert_eq!((one.len(), one[0].subject.as_str()), (1, "bookie bookie-0:3181"));
        assert!(one[0].finding.contains("missing journal (/b): none; every entry that was acknowledged has a copy"));
        assert!(one[0].next_step.contains("--bookie-disks"), "{one:?}");
        for told in [warnings(2, &[], 2), warnings(1, &["bookie-3:3181"], 2), warnings(1, &[], 1)] {
            assert!(told.iter().all(|warning| warning.finding.contains("acknowledged may be there alone")), "{told:?}");
        }
    }

    #[test]
    fn ids_of_another_form_than_all_others_may_be_typing_errors() {
        assert!(warnings(0, &["bookie-3:3181"], 2).is_empty(), "nobody can know better");
        for odd in ["bookie-3", "bookie-3:", ":3181", "bookie-3:31811111"] {
            let told = warnings(0, &[odd], 2);
            assert_eq!((told.len(), told[0].subject.clone()), (1, format!("lost bookie {odd}")));
            assert!(told[0].finding.contains("HOST:PORT") && told[0].next_step.contains("bookie-2:3181"), "{told:?}");
        }
    }
}

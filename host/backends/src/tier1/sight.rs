//! What can be seen of bookies and ledgers from outside, whatever state they are in. Nothing is fenced, closed or changed.

use std::fmt;
use std::ops::Range;

use super::Tier1Error;

/// Looks at bookies and ledgers without changing them.
pub trait LedgerSights: Send + Sync + fmt::Debug {
    /// All bookies that are registered or that ever were; none where there are no bookies, as in a directory.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`]; a bookie that does not answer is no error.
    fn bookies(&self) -> Result<Option<BookieSights>, Tier1Error>;

    /// Ids of all registered ledgers, sorted.
    ///
    /// # Errors
    /// [`Tier1Error::Layout`] for a ledgers root of another kind, [`Tier1Error::Unavailable`].
    fn ids(&self) -> Result<Vec<i64>, Tier1Error>;

    /// A ledger and the copies of it that the `answering` bookies have; none if it is not registered.
    ///
    /// # Errors
    /// [`Tier1Error::Damaged`] for metadata that cannot be read, [`Tier1Error::Unavailable`].
    fn ledger(&self, id: i64, answering: &dyn Fn(&str) -> bool) -> Result<Option<LedgerSight>, Tier1Error>;

    /// The first ledger in a range of which a bookie holds entries, registered or not.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`] if the bookie does not answer.
    fn first_held_by(&self, bookie: &str, ids: Range<i64>) -> Result<Option<i64>, Tier1Error>;
}

/// The bookies of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookieSights {
    /// There is a ledgers root in ZooKeeper.
    pub root_exists: bool,
    /// By id.
    pub bookies: Vec<BookieSight>,
}

/// One bookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookieSight {
    /// Its id, mostly `host:port`.
    pub id: String,
    /// How it is registered now.
    pub registration: Registration,
    /// ZooKeeper keeps its cookie: it once started with this ZooKeeper.
    pub has_cookie: bool,
    /// Why it does not answer; none if it does.
    pub silent: Option<String>,
}

/// How a bookie is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Takes writes.
    Writable,
    /// Only reads.
    ReadOnly,
    /// Not at all: it does not run, or cannot reach this ZooKeeper.
    None,
}

/// A registered ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSight {
    /// Its id.
    pub id: i64,
    /// The segment container that its metadata name.
    pub container: Option<u32>,
    /// Its last entry, -1 if it has none; not known of a ledger that was never closed.
    pub last_entry: Option<i64>,
    /// Payload bytes: of a closed ledger by its metadata, of another up to the last entry that was found.
    pub bytes: u64,
    /// Copies of which each entry has at least so many once it is acknowledged.
    pub ack_quorum: usize,
    /// The stretches of the ledger.
    pub stretches: Vec<Stretch>,
}

/// Entries that the same bookies hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The first of them.
    pub first_entry: i64,
    /// What each bookie said, in the order of the ensemble; a bookie of which no entry is expected is left out.
    pub copies: Vec<(String, CopySight)>,
}

/// What became of one bookie's copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySight {
    /// The entries that were asked for are there, with right digests.
    Held,
    /// The bookie says that it has none, or what it gave is damaged; the reason in words.
    Missing(String),
    /// The bookie does not answer, so nobody knows.
    Silent,
}

impl Stretch {
    /// Bookies whose copy was seen.
    #[must_use]
    pub fn held(&self) -> usize {
        self.copies.iter().filter(|(_, copy)| *copy == CopySight::Held).count()
    }
}

impl LedgerSight {
    /// Every entry that was acknowledged has at least one copy on a bookie that was seen to hold its part.
    ///
    /// An acknowledged entry lies on `ack_quorum` bookies at least, so that fewer failures leave one.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.stretches.iter().all(|stretch| stretch.copies.len() - stretch.held() < self.ack_quorum)
    }

    /// Every copy was seen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stretches.iter().all(|stretch| stretch.held() == stretch.copies.len())
    }

    /// Not one copy was seen of something that should have copies.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.stretches.iter().any(|stretch| !stretch.copies.is_empty())
            && self.stretches.iter().all(|stretch| stretch.held() == 0)
    }

    /// Never closed, and every bookie of it answers that it has nothing: a store died before it wrote to it.
    #[must_use]
    pub fn may_be_empty(&self) -> bool {
        let says_nothing = |(_, copy): &(String, CopySight)| matches!(copy, CopySight::Missing(_));
        self.last_entry.is_none() && self.stretches.len() == 1 && self.stretches[0].copies.iter().all(says_nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(ack_quorum: usize, stretches: &[&[CopySight]]) -> LedgerSight {
        let stretch = |copies: &&[CopySight]| Stretch {
            first_entry: 0,
            copies: (0..)
                .zip(copies.iter())
                .map(|(index, copy)| (format!("b{index}"), copy.clone()))
                .collect::<Vec<(String, CopySight)>>(),
        };
        LedgerSight {
            id: 7,
            container: Some(0),
            last_entry: None,
            bytes: 0,
            ack_quorum,
            stretches: stretches.iter().map(stretch).collect(),
        }
    }

    #[test]
    fn fewer_failures_than_acknowledgements_leave_a_copy_of_everything() {
        let (held, silent, missing) = (CopySight::Held, CopySight::Silent, CopySight::Missing("no ledger".to_owned()));
        let complete = ledger(2, &[&[held.clone(), held.clone(), held.clone()]]);
        assert!(complete.is_complete() && complete.is_whole() && !complete.is_gone());
        let one_silent = ledger(2, &[&[held.clone(), silent.clone(), held.clone()]]);
        assert!(!one_silent.is_complete() && one_silent.is_whole());
        let two_of_two_acknowledged = ledger(2, &[&[held.clone(), silent.clone(), missing.clone()]]);
        assert!(!two_of_two_acknowledged.is_whole() && !two_of_two_acknowledged.is_gone());
        let three_acknowledged = ledger(3, &[&[held.clone(), silent.clone(), missing.clone()]]);
        assert!(three_acknowledged.is_whole());
        let one_bad_stretch = ledger(2, &[&[held.clone(), held.clone()], &[silent.clone(), silent.clone()]]);
        assert!(!one_bad_stretch.is_whole() && !one_bad_stretch.is_gone());
        assert!(ledger(2, &[&[silent.clone(), missing.clone()]]).is_gone());
        assert!(!ledger(2, &[&[silent, missing.clone()]]).may_be_empty());
        assert!(ledger(2, &[&[missing.clone(), missing]]).may_be_empty());
        assert!(!ledger(2, &[&[]]).is_gone());
    }
}

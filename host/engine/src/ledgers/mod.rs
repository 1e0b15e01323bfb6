//! Ledgers as bookies' disks hold them, when ZooKeeper no longer tells which there are.
//!
//! ZooKeeper held, for each ledger, who holds its entries and where it ends, and, for each container, which ledgers
//! are its log and in which order. Both follow from the entries themselves: the operations of a log are numbered
//! without a gap over all its ledgers, a metadata checkpoint names the container, and an entry that was sent again to the next ledger ends
//! the one before. See design note 013.

mod barrier;
mod chain;
mod ensembles;
mod evidence;
mod log_tail;
mod reading;
mod registered;
mod salvage;
mod survivors;
mod tailed;
mod warnings;

pub(crate) use self::barrier::barrier;
pub use self::barrier::is_barrier;
pub use self::chain::{Junction, Link, LogChain, UnplacedLedger, chains};
pub use self::ensembles::{Candidates, Stretch, ensembles};
pub use self::evidence::{DiskBookie, FollowedLog, LATER, LedgerEvidence, Payloads, PlannedLog};
pub use self::log_tail::{LogTail, ReplayStart, SegmentTail};
pub use self::reading::{BookiesLeft, read_bookies, refuse_absent};
pub use self::registered::read_registered;
pub use self::salvage::{Salvaged, salvage};
pub use self::survivors::{LogNode, Standing, Survivors};
pub use self::tailed::{Content, TailedTier2};
pub use self::warnings::BookieTrace;

use std::collections::BTreeSet;

use dr_backends::tier1::RegisteredLedger;
use dr_formats::ledger_entry::DigestType;

use crate::contract::ContainerId;

/// A ledger, put together from all disks that hold entries of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLedger {
    /// Id.
    pub id: i64,
    /// Entries that at least one disk holds whole, by id.
    pub entries: Vec<DiskEntry>,
    /// Which bookie holds which of them: runs of entry ids, by bookie.
    pub holders: Vec<Holder>,
    /// The last entry of which any disk says that it was acknowledged; -1 for none.
    pub confirmed: i64,
    /// How its entries are protected.
    pub digest_type: DigestType,
    /// Containers that its operations name, or else what ZooKeeper knows. More than one is damage.
    pub containers: BTreeSet<ContainerId>,
    /// What ZooKeeper says of it; none if it is not registered there.
    pub registered: Option<RegisteredLedger>,
    /// Entries that disks hold behind the end that ZooKeeper knows, and that are not among the others.
    pub left_out: u64,
}

/// What one bookie holds of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Number of the bookie among those that were read.
    pub bookie: usize,
    /// Runs of entry ids, first and last, ascending.
    pub runs: Vec<(i64, i64)>,
}

/// An entry of a ledger: one frame of a durable log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskEntry {
    /// Id, from 0.
    pub id: i64,
    /// Payload bytes of the ledger up to and with it.
    pub ledger_length: u64,
    /// Checksum of its payload, to recognise an entry that was sent twice.
    pub payload_checksum: u32,
    /// Operations that begin in it; none if it only continues one.
    pub operations: Option<Operations>,
    /// It begins with the rest of an operation.
    pub begins_inside: bool,
    /// Its last operation goes on in the next entry.
    pub ends_open: bool,
}

/// Sequence numbers of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operations {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl Operations {
    /// Those that begin in these entries.
    pub fn of(entries: &[DiskEntry]) -> Option<Self> {
        let mut all = entries.iter().filter_map(|entry| entry.operations);
        let first = all.next()?;
        Some(Self { first: first.first, last: all.next_back().unwrap_or(first).last })
    }
}

impl DiskLedger {
    /// Its entries from 0 up to the first that no disk holds.
    pub fn unbroken(&self) -> &[DiskEntry] {
        // Ids rise, so the last one tells of a gap. Most ledgers have none, and this is asked of each for each log.
        if self.entries.last().is_none_or(|last| last.id + 1 == self.entries.len() as i64) {
            return &self.entries;
        }
        let unbroken = self.entries.iter().zip(0..).take_while(|(entry, id)| entry.id == *id).count();
        &self.entries[..unbroken]
    }

    /// Operations that begin in its unbroken part.
    pub fn operations(&self) -> Option<Operations> {
        Operations::of(self.unbroken())
    }

    /// Its last entry, if it is registered as closed.
    pub fn closed_at(&self) -> Option<i64> {
        self.registered.as_ref()?.end().map(|(last_entry, _)| last_entry)
    }

    /// Its last entry, as far as its entries tell.
    pub fn own_end(&self) -> i64 {
        let unbroken = self.unbroken().len() as i64 - 1;
        match self.hole_before(unbroken) {
            Some(_) => self.entries.last().map_or(-1, |entry| entry.id),
            None => unbroken,
        }
    }

    /// The first hole that matters to a log of which the ledger is a part up to `last_entry`. Entries behind a hole that nobody was told of
    /// were on their way when everything ended.
    pub fn hole_before(&self, last_entry: i64) -> Option<(i64, i64)> {
        self.holes().into_iter().next().filter(|(first, _)| *first <= last_entry.max(self.confirmed))
    }

    /// Entries that no disk holds, although one holds later ones or says that they were acknowledged, or ZooKeeper says that they are there: first
    /// and last, ascending.
    pub fn holes(&self) -> Vec<(i64, i64)> {
        let mut next = 0;
        let mut holes = Vec::new();
        for entry in &self.entries {
            if entry.id > next {
                holes.push((next, entry.id - 1));
            }
            next = entry.id + 1;
        }
        let told = self.closed_at().unwrap_or(self.confirmed);
        if next <= told {
            holes.push((next, told));
        }
        holes
    }
}

impl Holder {
    /// True if it holds this entry.
    pub fn holds(&self, entry: i64) -> bool {
        let behind = self.runs.partition_point(|(first, _)| *first <= entry);
        behind > 0 && self.runs[behind - 1].1 >= entry
    }

    /// The first entry that it holds from this one on.
    pub fn next_from(&self, entry: i64) -> Option<i64> {
        let run = self.runs.iter().find(|(_, last)| *last >= entry)?;
        Some(run.0.max(entry))
    }
}

#[cfg(test)]
pub(crate) mod test_support {
    use std::borrow::Cow;

    use dr_formats::operation::{Action, SegmentMapping};

    use super::*;

    /// An operation that gives a segment of this length an id.
    pub(crate) fn map(segment_id: i64, name: &'static str, length: u64) -> Action<'static> {
        Action::Map(SegmentMapping {
            segment_id,
            name: name.into(),
            start_offset: 0,
            length,
            sealed: false,
            attributes: Default::default(),
            pinned: false,
        })
    }

    /// An operation that appends to a segment.
    pub(crate) fn append(segment_id: i64, offset: u64, data: &'static [u8]) -> Action<'static> {
        Action::Append { segment_id, offset, data: Cow::Borrowed(data), attributes: Vec::new() }
    }

    /// Nobody reads an entry.
    #[derive(Debug)]
    pub(crate) struct Unread;

    impl Payloads for Unread {
        fn read(&self, _: &DiskLedger, _: i64, _: &mut dyn FnMut(i64, &[u8])) -> crate::error::Result<()> {
            Ok(())
        }
    }

    /// A bookie whose disks are whole.
    pub(crate) fn bookie(number: usize) -> DiskBookie {
        DiskBookie {
            id: format!("bookie-{number}:3181"),
            cookie: Vec::new(),
            instance_id: None,
            entries: 0,
            findings: Vec::new(),
            incomplete: Vec::new(),
        }
    }

    /// A ledger of entries with these first and last operations.
    pub(crate) fn ledger(id: i64, container: Option<ContainerId>, operations: &[(i64, i64)]) -> DiskLedger {
        let entry = |(id, &(first, last)): (i64, &(i64, i64))| DiskEntry {
            id,
            ledger_length: 100 * (id as u64 + 1),
            payload_checksum: (first * 1000 + last) as u32,
            operations: Some(Operations { first, last }),
            begins_inside: false,
            ends_open: false,
        };
        let entries: Vec<_> = (0..).zip(operations).map(entry).collect();
        let runs = vec![(0, operations.len() as i64 - 1)];
        let holders = (0..3).map(|bookie| Holder { bookie, runs: runs.clone() }).collect();
        DiskLedger {
            id,
            entries,
            holders,
            confirmed: -1,
            digest_type: DigestType::Crc32c,
            containers: container.into_iter().collect(),
            registered: None,
            left_out: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::test_support::ledger;
    use super::*;

    #[test]
    fn a_ledger_is_unbroken_up_to_its_first_hole() {
        let mut broken = ledger(7, None, &[(1, 3), (4, 4), (5, 9), (10, 11)]);
        assert_eq!(broken.operations(), Some(Operations { first: 1, last: 11 }));
        assert!(broken.holes().is_empty());
        broken.entries.remove(2);
        assert_eq!(broken.unbroken().len(), 2);
        assert_eq!(broken.operations(), Some(Operations { first: 1, last: 4 }));
        assert_eq!(broken.holes(), [(2, 2)]);
        broken.entries.remove(0);
        assert_eq!((broken.operations(), broken.holes()), (None, vec![(0, 0), (2, 2)]));
        broken.confirmed = 3;
        assert_eq!(broken.holes(), [(0, 0), (2, 2)]);
        broken.confirmed = 5;
        assert_eq!(broken.holes(), [(0, 0), (2, 2), (4, 5)]);
        // What was on its way at the end is cut off at the first entry that is nowhere.
        let mut cut = ledger(7, None, &[(1, 3), (4, 4), (5, 9), (10, 11)]);
        cut.entries.remove(2);
        assert_eq!([cut.hole_before(1), cut.hole_before(3)], [None, Some((2, 2))]);
        cut.confirmed = 2;
        assert_eq!(cut.hole_before(1), Some((2, 2)));
    }

    #[test]
    fn a_holder_holds_its_runs() {
        let holder = Holder { bookie: 0, runs: vec![(0, 4), (8, 9)] };
        let held: Vec<i64> = (0..12).filter(|entry| holder.holds(*entry)).collect();
        assert_eq!(held, [0, 1, 2, 3, 4, 8, 9]);
        assert_eq!([holder.next_from(2), holder.next_from(5), holder.next_from(10)], [Some(2), Some(8), None]);
    }
}

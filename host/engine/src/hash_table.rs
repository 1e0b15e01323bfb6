//! All that a recovery wants to know of a hash table, from one reading of its entries.

use dr_backends::tier2::Tier2;
use dr_formats::table::TableEntries;

use crate::chain::Chain;
use crate::controller::{ControllerEvidence, TableWatch};
use crate::error::Result;
use crate::table_index::HashTableIndex;
use crate::table_scan::{TableScan, scan_table};

/// Tables of more entries are read once more when they are needed again: what is kept of a container shall stay small.
const KEPT_ENTRIES_MAX: u64 = 1000;

/// What the entries of a hash table tell.
#[derive(Debug)]
pub(crate) struct HashTable {
    start: u64,
    /// Where the entries end, and how many there are.
    pub(crate) scan: TableScan,
    /// What its index must hold.
    pub(crate) index: HashTableIndex,
    /// What the controller wrote there.
    pub(crate) controller: ControllerEvidence,
}

impl HashTable {
    /// Reads the entries of the segment `name` from `start`, which must be an entry boundary, to `end`. What the controller wrote counts as
    /// of the entries `appended`, which will follow.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn read(
        name: &str,
        chain: &Chain,
        start: u64,
        end: u64,
        appended: &[u8],
        tier2: &dyn Tier2,
    ) -> Result<Self> {
        let (mut index, mut controller) = (HashTableIndex::default(), ControllerEvidence::default());
        let mut watch = TableWatch::for_segment(name);
        let scan = scan_table(chain, start, end, tier2, &mut |entry| {
            index.see(entry);
            if let Some(watch) = &mut watch {
                watch.see(entry);
            }
        })?;
        if let Some(mut watch) = watch {
            TableEntries::new(appended, end).flatten().for_each(|entry| watch.see(&entry));
            watch.finish(&mut controller);
        }
        Ok(Self { start, scan, index, controller })
    }

    /// True if this may be kept until the table is needed again.
    pub(crate) fn is_small(&self) -> bool {
        self.scan.entries <= KEPT_ENTRIES_MAX
    }

    /// True if these are the entries from `start` to `end`, whatever lies behind.
    pub(crate) fn spans(&self, start: u64, end: u64) -> bool {
        self.start == start && self.scan.whole_end == end
    }
}

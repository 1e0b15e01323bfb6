//! Streaming over the entries of a table segment, in bounded memory.

use dr_backends::tier2::Tier2;
use dr_formats::DecodeError;
use dr_formats::table::{MAX_ENTRY_LENGTH, TableEntries, TableEntry};

use crate::chain::Chain;
use crate::error::Result;

/// Bytes read at once. At least the longest entry, so that every read gets on.
const BLOCK_BYTES: usize = 4 << 20;
const _: () = assert!(BLOCK_BYTES >= MAX_ENTRY_LENGTH);

/// What a scan saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableScan {
    /// Offset behind the last whole entry.
    pub whole_end: u64,
    /// How many entries, removals included.
    pub entries: u64,
    /// Where the bytes stopped being entries, if they did before the end.
    pub damage: Option<DecodeError>,
}

/// Calls `visit` with every whole entry from `start`, which must be an entry boundary, to `end`.
///
/// # Errors
/// Tier-2 errors. Bytes that are no entries end the scan and are reported in its result.
pub fn scan_table(
    chain: &Chain,
    start: u64,
    end: u64,
    tier2: &dyn Tier2,
    visit: &mut dyn FnMut(&TableEntry<'_>),
) -> Result<TableScan> {
    let mut scan = TableScan { whole_end: start, entries: 0, damage: None };
    // One for all blocks: fresh memory costs as much as what is read into it.
    let mut block = Vec::new();
    while scan.whole_end < end && scan.damage.is_none() {
        let block_end = end.min(scan.whole_end + BLOCK_BYTES as u64);
        block.resize(usize::try_from(block_end - scan.whole_end).unwrap_or(BLOCK_BYTES), 0);
        chain.read(tier2, scan.whole_end, &mut block)?;
        let mut entries = TableEntries::new(&block, scan.whole_end);
        for entry in entries.by_ref() {
            match entry {
                Ok(entry) => {
                    visit(&entry);
                    scan.entries += 1;
                }
                Err(error) => scan.damage = Some(error),
            }
        }
        let advanced = entries.end() > scan.whole_end;
        scan.whole_end = entries.end();
        if block_end == end || !advanced {
            break;
        }
    }
    Ok(scan)
}

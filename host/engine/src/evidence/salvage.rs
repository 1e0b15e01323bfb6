//! Reading a metadata table of which a part is damaged: what lies behind the damage is found again.
//!
//! Table entries carry no checksum and no mark of their beginning. But the value of a metadata entry repeats its key, so
//! an entry of which both agree is one for certain, wherever it is found; from there on the entries follow each other.

use std::ops::Range;

use dr_backends::tier2::Tier2;
use dr_formats::primitives::only_name_of_single;
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{StorageMetadata, TransactionData};
use dr_formats::table::{MAX_ENTRY_LENGTH, TableEntries, TableEntry};

use crate::chain::Chain;
use crate::error::Result;
use crate::table_scan::scan_table;

/// Bytes searched at once; more than the longest entry, so that every step gets on.
const SEARCH_BYTES: usize = 4 << 20;
const _: () = assert!(SEARCH_BYTES > MAX_ENTRY_LENGTH);

/// Bytes of a table that are no entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    /// Segment offsets.
    pub(super) range: Range<u64>,
    /// They may be an entry that ends behind the table, as a crash leaves it.
    pub(super) may_be_torn: bool,
}

/// Whether key and value of an entry agree.
pub(super) type IsSure = fn(&TableEntry<'_>) -> bool;

/// The entries of one of the metadata tables.
pub(super) struct EntryKind<Value> {
    pub(super) is_sure: IsSure,
    /// What an entry says of which that holds; none for others.
    pub(super) decode: fn(&TableEntry<'_>) -> Option<Value>,
}

/// Rows of the container metadata.
pub(super) const ROW: EntryKind<SegmentInfo<'static>> = EntryKind { is_sure: is_row, decode: row };

/// Records of the storage metadata; none in one of what was deleted.
pub(super) const RECORD: EntryKind<Option<StorageMetadata>> = EntryKind { is_sure: is_record, decode: record };

/// Looks only at where a value names its key, and at where it ends: enough for an entry that is older than another one of its key, in a
/// fraction of the time. It takes some for odd that are not, for modified UTF-8 differs from plain in a few characters.
pub(super) fn names_its_key(entry: &TableEntry<'_>) -> bool {
    entry.value.and_then(only_name_of_single).is_some_and(|(name, _)| name == entry.key)
}

/// A row names its segment, which is its key.
fn is_row(entry: &TableEntry<'_>) -> bool {
    borrowed_row(entry).is_some()
}

fn row(entry: &TableEntry<'_>) -> Option<SegmentInfo<'static>> {
    borrowed_row(entry).map(SegmentInfo::into_owned)
}

fn borrowed_row<'a>(entry: &TableEntry<'a>) -> Option<SegmentInfo<'a>> {
    let row = SegmentInfo::decode(entry.value?).ok()?;
    (row.name.as_bytes() == entry.key).then_some(row)
}

/// A record names its key, and what it says of it does so again.
fn is_record(entry: &TableEntry<'_>) -> bool {
    let data = entry.value.and_then(|value| TransactionData::decode_borrowed(value).ok());
    data.is_some_and(|data| names_twice(&data, entry.key))
}

fn record(entry: &TableEntry<'_>) -> Option<Option<StorageMetadata>> {
    let data = TransactionData::decode(entry.value?).ok()?;
    names_twice(&data, entry.key).then_some(data.value)
}

fn names_twice<Text: AsRef<str>>(data: &TransactionData<Text>, key: &[u8]) -> bool {
    let named = data.value.as_ref().is_none_or(|record| record.name() == data.key.as_ref());
    named && data.key.as_ref().as_bytes() == key
}

/// Calls `visit` with every entry of a table that is one for certain, and returns what lies between them. `start` is an
/// entry boundary if `is_boundary`.
///
/// # Errors
/// Tier-2 errors.
pub(super) fn scan_around_damage(
    chain: &Chain,
    start: u64,
    is_boundary: bool,
    is_sure: IsSure,
    tier2: &dyn Tier2,
    visit: &mut dyn FnMut(&TableEntry<'_>),
) -> Result<Vec<Gap>> {
    let end = chain.end();
    let mut gaps = Vec::new();
    let mut from = start;
    if !is_boundary {
        let found = find_entry(chain, start, is_sure, tier2)?.unwrap_or(end);
        gaps.push(Gap { range: start..found, may_be_torn: false });
        from = found;
    }
    while from < end {
        let mut contradictions = Vec::new();
        let scan = scan_table(chain, from, end, tier2, &mut |entry| {
            if is_sure(entry) || (entry.value.is_none() && std::str::from_utf8(entry.key).is_ok()) {
                visit(entry);
            } else {
                contradictions.push(Gap { range: entry.offset..entry.end(), may_be_torn: false });
            }
        })?;
        gaps.append(&mut contradictions);
        if scan.whole_end >= end {
            break;
        }
        let found = find_entry(chain, scan.whole_end + 1, is_sure, tier2)?;
        let may_be_torn = found.is_none() && scan.damage.is_none();
        gaps.push(Gap { range: scan.whole_end..found.unwrap_or(end), may_be_torn });
        from = found.unwrap_or(end);
    }
    gaps.retain(|gap| !gap.range.is_empty());
    Ok(gaps)
}

/// The first offset from `start` on at which an entry begins for certain.
fn find_entry(chain: &Chain, start: u64, is_sure: IsSure, tier2: &dyn Tier2) -> Result<Option<u64>> {
    let end = chain.end();
    let mut from = start;
    while from < end {
        let block_end = end.min(from + SEARCH_BYTES as u64);
        let block = chain.read_range(tier2, from, block_end)?;
        let begins = |(_, offset): &(usize, u64)| {
            let position = usize::try_from(offset - from).unwrap_or(usize::MAX);
            let entry = TableEntries::new(block.get(position..).unwrap_or_default(), *offset).next();
            matches!(entry, Some(Ok(entry)) if is_sure(&entry))
        };
        if let Some((_, offset)) = (0..block.len()).zip(from..block_end).find(begins) {
            return Ok(Some(offset));
        }
        if block_end == end {
            break;
        }
        // An entry that begins in the last bytes of the block may end behind it.
        from = block_end - MAX_ENTRY_LENGTH as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::attribute::AttributeMap;
    use dr_formats::segment_info::NO_SEGMENT_ID;
    use dr_formats::table::write_entry;

    use super::*;
    use crate::chain::ChunkPart;

    fn row(name: &str) -> Vec<u8> {
        let row = SegmentInfo {
            segment_id: NO_SEGMENT_ID,
            name: name.to_owned().into(),
            length: 0,
            start_offset: 0,
            sealed: false,
            attributes: AttributeMap::default(),
        };
        row.encode().unwrap()
    }

    /// A table with the rows of three segments, and where each begins.
    fn table() -> (Vec<u8>, Vec<u64>) {
        let mut bytes = Vec::new();
        let mut begins = Vec::new();
        for name in ["a", "b", "c"] {
            begins.push(bytes.len() as u64);
            write_entry(name.as_bytes(), Some(&row(name)), None, &mut bytes).unwrap();
        }
        (bytes, begins)
    }

    fn scan(bytes: &[u8], is_boundary: bool) -> (Vec<String>, Vec<(u64, u64, bool)>) {
        let tier2 = MemoryTier2::new();
        tier2.create("t", bytes).unwrap();
        let chain = Chain { first_start: 0, parts: vec![ChunkPart { key: "t".into(), length: bytes.len() as u64 }] };
        let mut keys = Vec::new();
        let gaps = scan_around_damage(&chain, 0, is_boundary, is_row, &tier2, &mut |entry| {
            keys.push(String::from_utf8(entry.key.to_vec()).unwrap());
        });
        let gap = |gap: Gap| (gap.range.start, gap.range.end, gap.may_be_torn);
        (keys, gaps.unwrap().into_iter().map(gap).collect())
    }

    #[test]
    fn entries_behind_damage_are_found_again() {
        let (sound, begins) = table();
        assert_eq!(scan(&sound, true), (vec!["a".into(), "b".into(), "c".into()], vec![]));
        for position in begins[1]..begins[2] {
            let mut damaged = sound.clone();
            damaged[usize::try_from(position).unwrap()] ^= 0x40;
            let (keys, gaps) = scan(&damaged, true);
            assert!(keys.contains(&"a".to_owned()) && keys.contains(&"c".to_owned()), "{position}: {keys:?}");
            if keys.len() == 2 {
                assert_eq!(gaps, [(begins[1], begins[2], false)], "{position}");
            }
        }
    }

    #[test]
    fn a_table_whose_beginning_is_lost_is_read_from_its_first_certain_entry() {
        let (sound, begins) = table();
        let (keys, gaps) = scan(&sound[5..], false);
        assert_eq!((keys.len(), gaps), (2, vec![(0, begins[1] - 5, false)]));
    }

    #[test]
    fn the_end_of_a_crash_is_told_from_damage() {
        let (sound, begins) = table();
        let torn = &sound[..sound.len() - 1];
        assert_eq!(scan(torn, true).1, [(begins[2], torn.len() as u64, true)]);
        let mut zeroed = sound.clone();
        zeroed[usize::try_from(begins[2]).unwrap()..].fill(0);
        assert_eq!(scan(&zeroed, true).1, [(begins[2], sound.len() as u64, false)]);
    }
}

//! Makes the final row, storage records and index updates of one segment.

use std::ops::Range;

use dr_backends::tier2::Tier2;
use dr_formats::attribute::{
    ATTRIBUTE_ID_LENGTH, AttributeUpdate, BUCKET_COUNT, COMPACTION_OFFSET, CoreAttribute, ENTRY_COUNT, EVENT_COUNT,
    INDEX_OFFSET, MIN_UTILIZATION, NULL_ATTRIBUTE_VALUE, SEGMENT_TYPE, SegmentType, TOTAL_ENTRY_COUNT,
};
use dr_formats::attribute_index::KeyFormat;
use dr_formats::names::SegmentKind;
use dr_formats::reader_group::REVISION_MARK;
use dr_formats::segment_info::{NO_SEGMENT_ID, SegmentInfo};
use dr_formats::table::TableEntries;

use crate::attribute_index::{
    AttributeIndex, StateBehind, key_format, largest_value_ever, mark, mark_inside, read_attribute_index, state_behind,
};
use crate::chain::Chain;
use crate::controller::ControllerEvidence;
use crate::error::Result;
use crate::evidence::{ContainerEvidence, table_damaged};
use crate::fresh::{AppendedEntries, FreshSegment};
use crate::hash_table::HashTable;
use crate::reader_groups::Renewal;
use crate::table_index::{FixedKeyTableIndex, HashTableIndex, IndexValues};
use crate::table_scan::scan_table;

/// The finding of a table whose index the log completes.
pub(super) const TABLE_INDEX_COMPLETED: &str = "table-index-completed";

/// Length at which a new chunk begins, for segments without a record: the default of the store.
pub(crate) const MAX_ROLLING_LENGTH: u64 = 128 << 20;

/// Percentage of live entries below which a table is compacted: the default of the store.
const DEFAULT_MIN_UTILIZATION: i64 = 75;

/// A segment as the new storage metadata will hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSegment {
    pub(crate) name: String,
    pub(crate) chain: Chain,
    pub(crate) start_offset: u64,
    pub(crate) sealed: bool,
    pub(crate) max_rolling_length: u64,
    pub(crate) owner_epoch: u64,
}

/// Everything that the log says of one segment.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Its row in the container metadata.
    pub(super) row: SegmentInfo<'static>,
    /// Its storage records; none if the storage never had it.
    pub(super) stored: Option<StoredSegment>,
    /// Those of its attribute index.
    pub(super) stored_attributes: Option<StoredSegment>,
    /// Index entries that Tier-2 lacks or has wrong; empty for most.
    pub(super) index_updates: Vec<AttributeUpdate>,
    /// Bytes that follow what Tier-2 holds.
    pub(super) appended: Vec<u8>,
    /// What turned out only now, see the contract's `findings`.
    pub(super) findings: Vec<&'static str>,
    /// Offsets that its attribute index should hold and does not.
    pub(super) lost_index_bytes: Option<Range<u64>>,
}

/// Prepares one segment.
pub(super) fn prepare(
    evidence: &ContainerEvidence,
    name: &str,
    segment: &FreshSegment,
    tier2: &dyn Tier2,
    controller: &mut ControllerEvidence,
) -> Result<Prepared> {
    let mut prepared = Prepared {
        row: row(name, segment),
        stored: stored(evidence, name, segment),
        stored_attributes: None,
        index_updates: Vec::new(),
        appended: Vec::new(),
        findings: Vec::new(),
        lost_index_bytes: None,
    };
    let segment_type = SegmentType(prepared.row.attributes.get(SEGMENT_TYPE).unwrap_or(0));
    let chain = prepared.stored.as_ref().map(|stored| stored.chain.clone()).unwrap_or_default();
    let index = if segment_type.is(SegmentType::FIXED_KEY_TABLE) {
        prepare_fixed_key_table(evidence, &mut prepared, &chain, tier2)?
    } else if segment_type.is(SegmentType::TABLE) {
        prepare_hash_table(evidence, &mut prepared, &chain, &segment.appended, tier2, controller)?
    } else {
        prepare_index(evidence, &mut prepared, segment.renewal.is_some(), tier2)?
    };
    if index.unreadable {
        prepared.findings.push("attribute-index-unreadable");
    }
    if index.cut_bytes > 0 {
        prepared.findings.push("attribute-index-cut");
    }
    if let Some(renewal) = segment.renewal.as_ref().filter(|_| !segment.sealed) {
        begin_anew(&mut prepared, renewal);
    }
    if prepared.row.sealed {
        // No store starts from a log that changes a sealed segment.
        prepared.appended.clear();
        prepared.index_updates.clear();
    }
    prepared.stored_attributes = index.stored;
    // The index of a hash table is made whole from its entries.
    let is_rebuilt = segment_type.is(SegmentType::TABLE) && !segment_type.is(SegmentType::FIXED_KEY_TABLE);
    prepared.lost_index_bytes = index.lost.filter(|_| !is_rebuilt);
    Ok(prepared)
}

/// Everything before counts as truncated, and one event follows. The mark tells clients where it stands; one of the old content
/// would send them there.
fn begin_anew(prepared: &mut Prepared, renewal: &Renewal) {
    let start = renewal.start;
    (prepared.row.start_offset, prepared.row.length) = (start, start);
    if let Some(stored) = &mut prepared.stored {
        stored.chain = Chain { first_start: start, parts: Vec::new() };
        stored.start_offset = start;
    }
    prepared.appended.clone_from(&renewal.event);
    prepared.index_updates = vec![AttributeUpdate::replace(REVISION_MARK, signed(start))];
    prepared.findings.push("reader-group-renewed");
    if renewal.was_ahead {
        prepared.findings.push("reader-group-ahead");
    }
}

fn row(name: &str, segment: &FreshSegment) -> SegmentInfo<'static> {
    SegmentInfo {
        segment_id: NO_SEGMENT_ID,
        name: name.to_owned().into(),
        length: segment.length,
        start_offset: segment.start_offset,
        sealed: segment.sealed,
        attributes: segment.attributes.iter().map(|(&id, &value)| (CoreAttribute(id), value)).collect(),
    }
}

/// The attribute index of a segment that is no table. That of a stream segment must not be ahead of its events, and its count of them
/// goes on from what there is. The mark of a shared state, which watermarks are as well, goes back by itself; that of a reader group that
/// begins anew is told with its beginning.
fn prepare_index(
    evidence: &ContainerEvidence,
    prepared: &mut Prepared,
    begins_anew: bool,
    tier2: &dyn Tier2,
) -> Result<AttributeIndex> {
    let (name, keys) = (&*prepared.row.name, key_format(&prepared.row.attributes));
    let mut index = read_attribute_index(evidence, name, keys, true, tier2)?;
    let (mut kept_mark, mut mark_to_be) = (None, None);
    let may_be_set = !begins_anew && !prepared.row.sealed;
    if let Some(stored) = index.stored.as_ref().filter(|_| keys == KeyFormat::Uuid && may_be_set) {
        let segment = prepared.row.start_offset..=prepared.row.length;
        kept_mark = mark(&index.values);
        mark_to_be = mark_inside(&stored.chain, &index.values, segment, tier2)?;
    }
    if kept_mark != mark_to_be {
        prepared.findings.push("mark-outside");
    }
    if SegmentKind::of(name) == SegmentKind::Stream
        && let Some(state) = prepare_event_numbers(evidence, prepared, &mut index, tier2)?
    {
        kept_mark = mark(&state);
    }
    prepared.index_updates.extend(mark_update(kept_mark, mark_to_be));
    Ok(index)
}

/// Cuts the index to a state that is not ahead of the events. Returns what it holds then, if it was cut.
fn prepare_event_numbers(
    evidence: &ContainerEvidence,
    prepared: &mut Prepared,
    index: &mut AttributeIndex,
    tier2: &dyn Tier2,
) -> Result<Option<IndexValues>> {
    let (name, keys) = (&*prepared.row.name, key_format(&prepared.row.attributes));
    let Some(events) = evidence.appended_events(name, prepared.row.length, tier2)? else { return Ok(None) };
    if events > 0 {
        prepared.row.attributes.set(EVENT_COUNT, signed(events));
    }
    let Some(stored) = index.stored.as_mut().filter(|_| keys == KeyFormat::Uuid) else { return Ok(None) };
    let kept = match state_behind(&stored.chain, &index.values, events, tier2)? {
        StateBehind::Newest => return Ok(None),
        StateBehind::Earlier { footer, values } => {
            stored.chain = stored.chain.cut(footer.end);
            stored.start_offset = stored.start_offset.min(footer.minimum_offset);
            values
        }
        StateBehind::None => {
            // Without an index the store begins a new one, in which no writer is known.
            index.stored = None;
            IndexValues::new()
        }
    };
    prepared.findings.push("event-numbers-ahead");
    Ok(Some(kept))
}

/// What makes the mark in the index that is kept what it should be.
fn mark_update(kept: Option<i64>, to_be: Option<i64>) -> Option<AttributeUpdate> {
    let value = to_be.unwrap_or(NULL_ATTRIBUTE_VALUE);
    (kept != to_be).then(|| AttributeUpdate::replace(REVISION_MARK, value))
}

fn stored(evidence: &ContainerEvidence, name: &str, segment: &FreshSegment) -> Option<StoredSegment> {
    let record = evidence.record(name);
    let chain = evidence.segment(name)?.chain.cut(segment.length);
    if record.is_none() && chain.end() == 0 {
        return None;
    }
    Some(StoredSegment {
        name: name.to_owned(),
        chain,
        start_offset: segment.start_offset,
        sealed: segment.sealed,
        max_rolling_length: record.map_or(MAX_ROLLING_LENGTH, |record| record.max_rolling_length),
        owner_epoch: record.map_or(evidence.highest_epoch.max(1), |record| record.owner_epoch),
    })
}

/// Makes the index of a table right.
fn complete_index(prepared: &mut Prepared, updates: Vec<AttributeUpdate>, indexed: usize) {
    if !updates.is_empty() {
        let (segment, updates) = (&*prepared.row.name, updates.len());
        tracing::debug!(segment, updates, indexed, "the index of a table is completed through the log");
        prepared.findings.push(TABLE_INDEX_COMPLETED);
    }
    prepared.index_updates = updates;
}

fn prepare_hash_table(
    evidence: &ContainerEvidence,
    prepared: &mut Prepared,
    chain: &Chain,
    appended: &AppendedEntries,
    tier2: &dyn Tier2,
    controller: &mut ControllerEvidence,
) -> Result<AttributeIndex> {
    let name = prepared.row.name.to_string();
    let (start, end) = (prepared.row.start_offset, prepared.row.length);
    let measured = evidence.take_hash_table(&name, start, end).filter(|_| appended.entries.is_empty());
    let HashTable { scan, index: table, controller: told, .. } = match measured {
        Some(measured) => measured,
        None => HashTable::read(&name, chain, start, end, &appended.entries, tier2)?,
    };
    // Where the procedure ends the segment; what a measurement saw behind does not count.
    if let Some(damage) = scan.damage.filter(|_| scan.whole_end < end) {
        return Err(table_damaged(&name, &damage));
    }
    controller.absorb(told);
    let index = read_attribute_index(evidence, &name, KeyFormat::Uuid, true, tier2)?;
    complete_index(prepared, table.updates(&index.values), index.values.len());
    set_table_attributes(&mut prepared.row, table.live_keys(), scan.entries);
    if !appended.entries.is_empty() {
        append_entries(prepared, table, scan.entries, appended, &index);
    }
    Ok(index)
}

/// Lets entries follow those of a hash table, with what the store's own indexer would have written for them.
fn append_entries(
    prepared: &mut Prepared,
    mut table: HashTableIndex,
    entries_before: u64,
    AppendedEntries { entries: appended, findings }: &AppendedEntries,
    index: &AttributeIndex,
) {
    let mut entries = entries_before;
    let mut reader = TableEntries::new(appended, prepared.row.length);
    for entry in reader.by_ref().flatten() {
        table.see(&entry);
        entries += 1;
    }
    prepared.index_updates = table.updates(&index.values);
    let counts = [
        (INDEX_OFFSET, reader.end()),
        (ENTRY_COUNT, table.live_keys()),
        (BUCKET_COUNT, table.live_keys()),
        (TOTAL_ENTRY_COUNT, entries),
    ];
    let update = |(attribute, value)| AttributeUpdate::replace(attribute, signed(value));
    prepared.index_updates.extend(counts.map(update));
    prepared.appended.clone_from(appended);
    prepared.findings.extend(findings);
}

/// What the store's own indexer would have left on a table that is indexed to its end.
fn set_table_attributes(row: &mut SegmentInfo<'static>, live_keys: u64, entries: u64) {
    let number = signed;
    let (start, length) = (row.start_offset, row.length);
    let attributes = &mut row.attributes;
    attributes.set(INDEX_OFFSET, number(length));
    attributes.set(ENTRY_COUNT, number(live_keys));
    attributes.set(BUCKET_COUNT, number(live_keys));
    attributes.set(TOTAL_ENTRY_COUNT, number(entries));
    let compaction = attributes.get(COMPACTION_OFFSET).unwrap_or(0);
    if compaction < 0 || compaction > number(length) {
        attributes.set(COMPACTION_OFFSET, number(start));
    } else {
        attributes.set(COMPACTION_OFFSET, compaction);
    }
    if attributes.get(MIN_UTILIZATION).is_none() {
        attributes.set(MIN_UTILIZATION, DEFAULT_MIN_UTILIZATION);
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What the storage writer flushes of a segment's bytes at once without waiting for its time: the default of the store.
const FLUSH_BYTES: u64 = 4 << 20;

/// Up to where the index of a fixed-key table is complete.
///
/// The store writes a row only when everything of the segment was flushed, its index included. And it flushes bytes and
/// index of a segment in one round, and the record of that round only in a later one: so an index covers what the record
/// counts, unless so many bytes waited that they went without the index.
fn covered_by_metadata(row_length: u64, recorded: u64, index_covers: u64) -> u64 {
    let proven = row_length.max(index_covers);
    if recorded.saturating_sub(proven) < FLUSH_BYTES { recorded.max(proven) } else { proven }
}

fn prepare_fixed_key_table(
    evidence: &ContainerEvidence,
    prepared: &mut Prepared,
    chain: &Chain,
    tier2: &dyn Tier2,
) -> Result<AttributeIndex> {
    let name = prepared.row.name.to_string();
    let mut table = FixedKeyTableIndex::new(prepared.row.length);
    let scan = scan_table(chain, prepared.row.start_offset, prepared.row.length, tier2, &mut |entry| table.see(entry))?;
    if let Some(damage) = scan.damage {
        return Err(table_damaged(&name, &damage));
    }
    if prepared.row.attributes.get(ATTRIBUTE_ID_LENGTH).unwrap_or(0) == 0 {
        // Without a row only its entries tell, or else the controller; all keys of such a table have one length.
        let length = table.key_length().map(|length| length as u64).or_else(|| evidence.named_key_length(&name));
        prepared.row.attributes.set(ATTRIBUTE_ID_LENGTH, length.map_or(0, signed));
    }
    let index = read_attribute_index(evidence, &name, key_format(&prepared.row.attributes), true, tier2)?;
    let length = prepared.row.length;
    let row_length = evidence.row(&name).map_or(0, |row| row.length);
    let recorded = evidence.record(&name).map_or(0, |record| record.length);
    let mut covered = covered_by_metadata(row_length, recorded, 0).min(length);
    if let Some(stored) = index.stored.as_ref().filter(|_| table.has_entries_behind(signed(covered))) {
        let largest = largest_value_ever(&stored.chain, key_format(&prepared.row.attributes), tier2)?;
        let index_covers = u64::try_from(largest + 1).unwrap_or(0);
        covered = covered_by_metadata(row_length, recorded, index_covers).min(length);
    }
    // Without an index nothing is known to have been removed.
    let covered = if index.stored.is_some() { signed(covered) } else { 0 };
    complete_index(prepared, table.updates(&index.values, covered), index.values.len());
    if table.points_beyond_data(&index.values) {
        prepared.findings.push("table-index-ahead");
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_written_only_where_the_index_has_another_one() {
        let value = |kept, to_be| mark_update(kept, to_be).map(|update| update.value);
        assert_eq!(value(Some(5), Some(5)), None);
        assert_eq!(value(None, None), None);
        assert_eq!(value(Some(9), Some(5)), Some(5));
        assert_eq!(value(None, Some(5)), Some(5));
        assert_eq!(value(Some(9), None), Some(NULL_ATTRIBUTE_VALUE));
    }

    #[test]
    fn an_index_covers_what_the_storage_had_recorded_unless_bytes_went_ahead() {
        assert_eq!(covered_by_metadata(0, 852, 0), 852);
        assert_eq!(covered_by_metadata(1000, 852, 0), 1000);
        assert_eq!(covered_by_metadata(0, 852, 1200), 1200);
        assert_eq!(covered_by_metadata(0, FLUSH_BYTES, 0), 0);
        assert_eq!(covered_by_metadata(10, FLUSH_BYTES + 9, 0), FLUSH_BYTES + 9);
        assert_eq!(covered_by_metadata(10, FLUSH_BYTES + 10, 0), 10);
        assert_eq!(covered_by_metadata(10, FLUSH_BYTES + 100, 101), FLUSH_BYTES + 100);
    }
}

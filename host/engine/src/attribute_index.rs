//! The attribute index segment of a segment: found, cut at its last whole footer, read.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use dr_backends::tier2::Tier2;
use dr_formats::attribute::{ATTRIBUTE_ID_LENGTH, AttributeId, AttributeMap};
use dr_formats::attribute_index::{
    Footer, IndexError, KeyFormat, SegmentBytes, SegmentSlice, find_last_footer, read_all,
};
use dr_formats::names::attribute_segment_of;
use dr_formats::reader_group::REVISION_MARK;

use crate::chain::Chain;
use crate::error::{OperatorError, Result};
use crate::evidence::ContainerEvidence;
use crate::image::StoredSegment;
use crate::reconcile::Standing;
use crate::table_index::IndexValues;

/// Indexes up to this size are read at once, in bytes; larger ones page by page.
const READ_AT_ONCE_BYTES: u64 = 256 * 1024;

/// Lengths up to this hold no index; the store takes them for an empty one.
const EMPTY_LENGTH_MAX: u64 = 12;

/// The one attribute of a stream segment that is no writer's.
const MARK: AttributeId = AttributeId::Uuid(REVISION_MARK);

/// What became of an attribute index.
#[derive(Debug, Default)]
pub(crate) struct AttributeIndex {
    /// Its storage records; none if there is no index to keep.
    pub(crate) stored: Option<StoredSegment>,
    /// Its values, if they were asked for.
    pub(crate) values: IndexValues,
    /// Bytes behind the last whole footer.
    pub(crate) cut_bytes: u64,
    /// There is an index, and nothing of it can be read.
    pub(crate) unreadable: bool,
    /// Bytes that the storage had recorded behind the last state that can be read. What lies behind the record is torn by
    /// any crash; this is not.
    pub(crate) lost: Option<Range<u64>>,
}

/// Most earlier states of an index that are looked at.
const EARLIER_STATES_MAX: usize = 1000;

/// The largest value in this and all earlier states of an index that its segment still holds, or -1. An index segment
/// is append-only: each update leaves the pages of the one before.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn largest_value_ever(chain: &Chain, keys: KeyFormat, tier2: &dyn Tier2) -> Result<i64> {
    let mut largest = -1;
    let mut end = chain.end();
    for _ in 0..EARLIER_STATES_MAX {
        let state = chain.cut(end);
        let Some((footer, values)) = read_chain(&state, keys, true, tier2)? else { break };
        largest = values.values().copied().max().unwrap_or(-1).max(largest);
        end = footer.end - 1;
    }
    Ok(largest)
}

/// Which state of an index is the newest that agrees with the segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StateBehind {
    /// The newest of all.
    Newest,
    /// An earlier one.
    Earlier {
        /// With which it ends.
        footer: Footer,
        /// What it holds.
        values: IndexValues,
    },
    /// None that can still be read.
    None,
}

/// Finds the newest state of an index that is not ahead of `events`. The chain ends with its newest state, whose values are
/// `newest`.
///
/// A writer's value in the index of a stream segment is how many events it has written there. A store that crashed may
/// have flushed the index further than the events. A writer that lived on would take the events between for written,
/// and never send them again.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn state_behind(chain: &Chain, newest: &IndexValues, events: u64, tier2: &dyn Tier2) -> Result<StateBehind> {
    newest_state(chain, newest, tier2, |values| events_written(values) <= u128::from(events))
}

/// The newest mark of a shared state that lies inside of its segment, at the end included; none if there is none. Chain and values are
/// those of [`state_behind`].
///
/// A crash can leave one behind the end, and, since truncations are flushed before attributes, one before the start offset. Clients
/// would wait at the one for what is never written, and ask for ever for what the other one names.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn mark_inside(
    chain: &Chain,
    newest: &IndexValues,
    segment: RangeInclusive<u64>,
    tier2: &dyn Tier2,
) -> Result<Option<i64>> {
    let is_inside = |mark: i64| u64::try_from(mark).is_ok_and(|mark| segment.contains(&mark));
    Ok(match newest_state(chain, newest, tier2, |values| mark(values).is_none_or(is_inside))? {
        StateBehind::Newest => mark(newest),
        StateBehind::Earlier { values, .. } => mark(&values),
        StateBehind::None => None,
    })
}

/// The newest state of an index that `accept` takes.
fn newest_state(
    chain: &Chain,
    newest: &IndexValues,
    tier2: &dyn Tier2,
    accept: impl Fn(&IndexValues) -> bool,
) -> Result<StateBehind> {
    if accept(newest) {
        return Ok(StateBehind::Newest);
    }
    let mut end = chain.end() - 1;
    for _ in 1..EARLIER_STATES_MAX {
        let Some((footer, values)) = read_chain(&chain.cut(end), KeyFormat::Uuid, true, tier2)? else { break };
        if accept(&values) {
            return Ok(StateBehind::Earlier { footer, values });
        }
        end = footer.end - 1;
    }
    Ok(StateBehind::None)
}

/// Events that the writers in an index have written, all together.
fn events_written(values: &IndexValues) -> u128 {
    let of_writers = values.iter().filter(|(id, _)| **id != MARK);
    of_writers.filter_map(|(_, &value)| u128::try_from(value).ok()).sum()
}

/// Where clients of a synchronizer begin to read.
pub(crate) fn mark(values: &IndexValues) -> Option<i64> {
    values.get(&MARK).copied()
}

/// How the attribute ids of a segment are stored.
pub(crate) fn key_format(attributes: &AttributeMap) -> KeyFormat {
    KeyFormat::of_id_length(attributes.get(ATTRIBUTE_ID_LENGTH)).unwrap_or(KeyFormat::Uuid)
}

/// Finds the index of the segment `name`; reads its values if `with_values`.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn read_attribute_index(
    evidence: &ContainerEvidence,
    name: &str,
    keys: KeyFormat,
    with_values: bool,
    tier2: &dyn Tier2,
) -> Result<AttributeIndex> {
    let index_name = attribute_segment_of(name);
    let reconciled = evidence.reconcile(&index_name);
    let record = evidence.record(&index_name);
    let end = reconciled.chain.end();
    let recorded_end = record.map_or(0, |record| record.length);
    let lost_behind = |whole: u64| (whole < recorded_end).then_some(whole..recorded_end);
    if reconciled.standing == Standing::Deleted || (record.is_none() && reconciled.chain.parts.is_empty()) {
        return Ok(AttributeIndex::default());
    }
    let Some((footer, values)) = read_chain(&reconciled.chain, keys, with_values, tier2)? else {
        return Ok(AttributeIndex {
            // Without a footer the store could not read it; dropped, it makes a new one. The object stays.
            unreadable: end - reconciled.chain.first_start > EMPTY_LENGTH_MAX,
            lost: lost_behind(record.map_or(0, |record| record.start_offset)),
            ..AttributeIndex::default()
        });
    };
    let start_offset = record.map_or(0, |record| record.start_offset).max(reconciled.chain.first_start);
    let stored = StoredSegment {
        chain: reconciled.chain.cut(footer.end),
        // Every live page must stay readable, also when the record is ahead of the footer that is left.
        start_offset: start_offset.min(footer.minimum_offset),
        sealed: record.is_some_and(|record| record.is_sealed()),
        max_rolling_length: record.map_or(crate::image::MAX_ROLLING_LENGTH, |record| record.max_rolling_length),
        owner_epoch: record.map_or(evidence.highest_epoch.max(1), |record| record.owner_epoch),
        name: index_name,
    };
    Ok(AttributeIndex {
        stored: Some(stored),
        values,
        cut_bytes: end - footer.end,
        unreadable: false,
        lost: lost_behind(footer.end),
    })
}

/// The values of an index whose chain must end on a footer; none if it does not, or if its pages are damaged. An empty
/// chain is an empty index.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn read_index_values(
    chain: &Chain,
    keys: KeyFormat,
    with_values: bool,
    tier2: &dyn Tier2,
) -> Result<Option<IndexValues>> {
    if chain.end() - chain.first_start <= EMPTY_LENGTH_MAX {
        return Ok(Some(IndexValues::new()));
    }
    let found = read_chain(chain, keys, with_values, tier2)?;
    Ok(found.filter(|(footer, _)| footer.end == chain.end()).map(|(_, values)| values))
}

fn read_chain(
    chain: &Chain,
    keys: KeyFormat,
    with_values: bool,
    tier2: &dyn Tier2,
) -> Result<Option<(Footer, IndexValues)>> {
    let (start, end) = (chain.first_start, chain.end());
    if end - start <= READ_AT_ONCE_BYTES {
        let bytes = chain.read_range(tier2, start, end)?;
        return last_readable(&SegmentSlice::new(start, &bytes), start, end, keys, with_values)
            .map_err(|error| OperatorError::new("defect", error.to_string(), "report this as a defect of dr"));
    }
    last_readable(&ChainBytes { chain, tier2 }, start, end, keys, with_values)
}

/// The last footer whose pages can all be read (when values are wanted), and its values.
fn last_readable<Segment: SegmentBytes>(
    segment: &Segment,
    start: u64,
    end: u64,
    keys: KeyFormat,
    with_values: bool,
) -> std::result::Result<Option<(Footer, IndexValues)>, Segment::Error> {
    let mut search_end = end;
    loop {
        let footer = match find_last_footer(segment, start..search_end, keys) {
            Ok(Some(footer)) => footer,
            Ok(None) | Err(IndexError::Format(_)) => return Ok(None),
            Err(IndexError::Read(error)) => return Err(error),
        };
        if !with_values {
            return Ok(Some((footer, IndexValues::new())));
        }
        match read_all(segment, start, &footer, keys) {
            Ok(values) => return Ok(Some((footer, values.into_iter().collect()))),
            Err(IndexError::Read(error)) => return Err(error),
            Err(IndexError::Format(error)) => {
                tracing::warn!(%error, end = footer.end, "passing over a footer of an attribute index whose pages are damaged");
                search_end = footer.end - 1;
            }
        }
    }
}

/// The bytes of a segment behind its chain.
struct ChainBytes<'a> {
    chain: &'a Chain,
    tier2: &'a dyn Tier2,
}

impl SegmentBytes for ChainBytes<'_> {
    type Error = OperatorError;

    fn read(&self, offset: u64, length: usize) -> Result<Cow<'_, [u8]>> {
        self.chain.read_range(self.tier2, offset, offset + length as u64).map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::attribute_index::build_index;
    use dr_formats::primitives::Uuid;

    use super::*;
    use crate::chain::ChunkPart;

    /// An index that was flushed once for each of these states of two writers.
    fn index(states: &[[i64; 2]]) -> (MemoryTier2, Chain, Vec<u64>) {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for state in states {
            let writer = |(writer, value): (u8, &i64)| (AttributeId::Uuid(Uuid([writer; 16])), *value);
            let values = (1..).zip(state).map(writer).collect();
            bytes.extend(build_index(KeyFormat::Uuid, bytes.len() as u64, values, false).unwrap());
            ends.push(bytes.len() as u64);
        }
        let tier2 = MemoryTier2::new();
        tier2.create("index", &bytes).unwrap();
        let part = ChunkPart { key: "index".into(), length: bytes.len() as u64 };
        (tier2, Chain { first_start: 0, parts: vec![part] }, ends)
    }

    #[test]
    fn the_newest_state_that_is_not_ahead_of_the_events_is_found() {
        let (tier2, chain, ends) = index(&[[3, 4], [5, 4], [5, 9]]);
        let newest = read_index_values(&chain, KeyFormat::Uuid, true, &tier2).unwrap().unwrap();
        let behind = |events| match state_behind(&chain, &newest, events, &tier2).unwrap() {
            StateBehind::Newest => Some(ends[2]),
            StateBehind::Earlier { footer, .. } => Some(footer.end),
            StateBehind::None => None,
        };
        assert_eq!(behind(14), Some(ends[2]));
        assert_eq!(behind(100), Some(ends[2]));
        assert_eq!(behind(13), Some(ends[1]));
        assert_eq!(behind(9), Some(ends[1]));
        assert_eq!(behind(8), Some(ends[0]));
        assert_eq!(behind(6), None);
    }

    #[test]
    fn a_mark_is_no_event_number_and_goes_back_by_itself() {
        let mut bytes = Vec::new();
        for (events, mark) in [(1, None), (2, Some(20)), (3, Some(40))] {
            let writer = (AttributeId::Uuid(Uuid([1; 16])), events);
            let values = std::iter::once(writer).chain(mark.map(|mark| (MARK, mark))).collect();
            bytes.extend(build_index(KeyFormat::Uuid, bytes.len() as u64, values, false).unwrap());
        }
        let tier2 = MemoryTier2::new();
        tier2.create("index", &bytes).unwrap();
        let part = ChunkPart { key: "index".into(), length: bytes.len() as u64 };
        let chain = Chain { first_start: 0, parts: vec![part] };
        let newest = read_index_values(&chain, KeyFormat::Uuid, true, &tier2).unwrap().unwrap();
        assert_eq!(state_behind(&chain, &newest, 3, &tier2).unwrap(), StateBehind::Newest);
        assert_eq!(
            [0..=50, 40..=40, 0..=39, 20..=20, 0..=19, 41..=50, 30..=39]
                .map(|segment| mark_inside(&chain, &newest, segment, &tier2).unwrap()),
            [Some(40), Some(40), Some(20), Some(20), None, None, None]
        );
    }

    #[test]
    fn an_earlier_state_can_be_read_when_the_index_is_cut_there() {
        let (tier2, chain, ends) = index(&[[3, 4], [5, 4]]);
        let values = read_index_values(&chain.cut(ends[0]), KeyFormat::Uuid, true, &tier2).unwrap().unwrap();
        assert_eq!(events_written(&values), 7);
    }
}

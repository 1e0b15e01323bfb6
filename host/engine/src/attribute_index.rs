//! The attribute index segment of a segment: found, cut at its last whole footer, read.

use std::borrow::Cow;

use dr_backends::tier2::Tier2;
use dr_formats::attribute::{ATTRIBUTE_ID_LENGTH, AttributeMap};
use dr_formats::attribute_index::{
    Footer, IndexError, KeyFormat, SegmentBytes, SegmentSlice, find_last_footer, read_all,
};
use dr_formats::names::attribute_segment_of;

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
    if reconciled.standing == Standing::Deleted || (record.is_none() && reconciled.chain.parts.is_empty()) {
        return Ok(AttributeIndex::default());
    }
    let Some((footer, values)) = read_chain(&reconciled.chain, keys, with_values, tier2)? else {
        return Ok(AttributeIndex {
            // Without a footer the store could not read it; dropped, it makes a new one. The object stays.
            unreadable: end - reconciled.chain.first_start > EMPTY_LENGTH_MAX,
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
    Ok(AttributeIndex { stored: Some(stored), values, cut_bytes: end - footer.end, unreadable: false })
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

//! Segments that the controller's tables name, for containers that can no longer tell what they held.
//!
//! Of a segment without bytes nothing is in Tier-2 but the row of its container. Where that is gone, the stream looks whole to the
//! controller, and whoever writes to it or reads it fails for ever. The controller's own tables can be such segments, too.

use std::collections::{BTreeMap, HashMap, HashSet};

use dr_backends::tier2::Tier2;
use dr_formats::controller::{
    CONFIGURATION_KEY, CURRENT_EPOCH_KEY, CreationState, EpochSegment, STATE_KEY, StreamConfiguration, StreamState,
    TRUNCATION_KEY, Truncation, decode_key_length, decode_key_value_table_epoch, decode_stream_epoch, decode_table_id,
    epoch_of_key, is_key_value_table_configuration, key_of_epoch, sealed_segment_of_key,
};
use dr_formats::names::{
    CONTROLLER_TABLES_PREFIX, ControllerTable, KEY_VALUE_TABLE_SUFFIX, SCOPE_TABLES, SegmentKind, owning_container,
    scope_table, stream_segment_name, stream_table, stream_tags_tables,
};
use dr_formats::table::TableEntry;

use crate::chain::{Chain, chain_by_names};
use crate::contract::ContainerId;
use crate::error::Result;
use crate::listing::{ChunkObject, Listing};
use crate::table_scan::{TableScan, scan_table};

/// What the controller says of a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Named {
    /// Its stream is sealed, or others took its place.
    pub sealed: bool,
    /// Bytes of its keys, if it is one of a key-value table.
    pub key_length: Option<u64>,
}

/// All segments that must exist by the word of the controller, empty or not.
#[derive(Debug, Default)]
pub struct NamedSegments(BTreeMap<String, Named>);

impl NamedSegments {
    /// Reads the tables of all scopes, streams and key-value tables.
    ///
    /// # Errors
    /// Tier-2 errors. Damage in a table only ends what can be known.
    pub fn read(listing: &Listing, tier2: &dyn Tier2) -> Result<Self> {
        let tables = Tables::of(listing, tier2);
        let mut named = Self::default();
        for (scope, id) in tables.ids(&format!("{CONTROLLER_TABLES_PREFIX}scopes"))? {
            named.add_tables(SCOPE_TABLES.iter().map(|table| scope_table(&scope, table, &id)));
            named.add_tables(stream_tags_tables(&scope, &id));
            for (stream, id) in tables.ids(&scope_table(&scope, "streamsInScope", &id))? {
                named.add_stream(&scope, &stream, &id, &tables)?;
            }
            for (table, id) in tables.ids(&scope_table(&scope, "kvTablesInScope", &id))? {
                named.add_key_value_table(&scope, &table, &id, &tables)?;
            }
        }
        named.0.retain(|name, _| SegmentKind::of(name) != SegmentKind::ControllerReaderGroup);
        Ok(named)
    }

    /// Those of one container, by name.
    pub fn in_container(&self, container: ContainerId, container_count: u32) -> impl Iterator<Item = (&str, Named)> {
        let is_own = move |(name, _): &(&String, &Named)| owning_container(name, container_count) == container;
        self.0.iter().filter(is_own).map(|(name, named)| (name.as_str(), *named))
    }

    fn add_tables(&mut self, names: impl Iterator<Item = String>) {
        self.0.extend(names.map(|name| (name, Named::default())));
    }

    fn add_stream(&mut self, scope: &str, stream: &str, id: &str, tables: &Tables<'_>) -> Result<()> {
        let rows = tables.rows(&stream_table(scope, stream, "metadata", id))?;
        let named = of_stream(scope, stream, id, &rows);
        if let Some(epoch) = current_epoch(&rows).filter(|_| !named.is_empty()) {
            // The controller makes this one when it is first needed; but where the row is lost, it may have been.
            let transactions = format!("transactionsInEpoch-{epoch}");
            self.add_tables([stream_table(scope, stream, &transactions, id)].into_iter());
        }
        self.0.extend(named);
        Ok(())
    }

    fn add_key_value_table(&mut self, scope: &str, table: &str, id: &str, tables: &Tables<'_>) -> Result<()> {
        let rows = tables.rows(&stream_table(scope, table, "metadata", id))?;
        self.0.extend(of_key_value_table(scope, table, id, &rows));
        Ok(())
    }
}

/// Segments that the rows of a key-value table's metadata table name, and that table itself; nothing if it is still being created or already
/// being deleted.
pub(crate) fn of_key_value_table(scope: &str, table: &str, id: &str, rows: &Rows) -> Vec<(String, Named)> {
    let is_active = creation_state(rows) == Some(CreationState::Active);
    let key_length = rows.get(CONFIGURATION_KEY).and_then(|row| decode_key_length(row).ok());
    let (true, Some(epoch), Some(_)) = (is_active, current_epoch(rows), key_length) else { return Vec::new() };
    let epochs = rows.iter().filter(|(key, _)| epoch_of_key(key) == Some(epoch));
    let segments = epochs.filter_map(|(_, row)| decode_key_value_table_epoch(row).ok()).flatten();
    let segments = segments.map(|segment| segment.id());
    let stream = format!("{table}{KEY_VALUE_TABLE_SUFFIX}");
    let named = Named { sealed: false, key_length };
    let segments = segments.map(|segment| (stream_segment_name(scope, &stream, segment), named));
    segments.chain([(stream_table(scope, table, "metadata", id), Named::default())]).collect()
}

/// What the rows of the table of a key-value table or reader group say of it; none if they do not, or not legibly.
pub(crate) fn creation_state(rows: &Rows) -> Option<CreationState> {
    CreationState::decode(rows.get(STATE_KEY)?).ok()
}

/// True if the rows of a metadata table are those of a key-value table, and not of a stream.
pub(crate) fn is_key_value_table(rows: &Rows) -> bool {
    rows.get(CONFIGURATION_KEY).is_some_and(|row| is_key_value_table_configuration(row))
}

/// Segments and tables that the rows of a stream's metadata table name, and that table itself; nothing if it is still being created, or if
/// they are those of a key-value table.
pub(crate) fn of_stream(scope: &str, stream: &str, id: &str, rows: &Rows) -> Vec<(String, Named)> {
    let (Some(current), Some(state)) = (current_epoch(rows), stream_state(rows)) else { return Vec::new() };
    let epochs: Vec<(u32, Vec<EpochSegment>)> =
        rows.iter().filter_map(|(key, row)| Some((epoch_of_key(key)?, decode_stream_epoch(row).ok()?))).collect();
    if state == StreamState::Creating || epochs.iter().all(|(epoch, segments)| *epoch != current || segments.is_empty())
    {
        return Vec::new();
    }
    let tables = ["metadata", "epochsWithTransactions", "writersPositions"];
    let tables = tables.map(|table| (stream_table(scope, stream, table, id), Named::default()));
    let replaced = replaced(rows);
    let cut = rows.get(TRUNCATION_KEY).and_then(|row| Truncation::decode(row).ok()).map(|truncation| truncation.cut);
    let is_wanted =
        |epoch: u32, segment: i64| epoch == current || cut.as_ref().is_some_and(|cut| is_left(segment, cut));
    let segments = epochs.into_iter().filter(|(epoch, _)| *epoch <= current);
    let segments =
        segments.flat_map(|(epoch, segments)| segments.into_iter().map(move |segment| (epoch, segment.id())));
    let segments = segments.filter(|(epoch, segment)| is_wanted(*epoch, *segment)).map(|(_, segment)| {
        let sealed = state == StreamState::Sealed || replaced.contains(&segment);
        (stream_segment_name(scope, stream, segment), Named { sealed, key_length: None })
    });
    tables.into_iter().chain(segments).collect()
}

/// Segments of a stream that others took the place of.
///
/// Not those of the present epoch if the configuration is to be changed: the next controller begins that anew, by telling it to the segments of this
/// epoch, and gives up for ever if one is sealed. What sealed them is the scale that is a part of such a change (`UpdateStreamTask`), or one that will
/// follow; both do so again.
pub(crate) fn replaced(rows: &Rows) -> HashSet<i64> {
    let mut replaced: HashSet<i64> = rows.keys().filter_map(|key| sealed_segment_of_key(key)).collect();
    let present = current_epoch(rows).filter(|_| is_to_be_updated(rows));
    let present = present.and_then(|epoch| decode_stream_epoch(rows.get(&key_of_epoch(epoch))?).ok());
    for segment in present.into_iter().flatten() {
        replaced.remove(&segment.id());
    }
    replaced
}

/// True if the next thing that is done with a stream may be a change of its configuration.
pub(crate) fn is_to_be_updated(rows: &Rows) -> bool {
    let configuration = rows.get(CONFIGURATION_KEY).and_then(|row| StreamConfiguration::decode(row).ok());
    match stream_state(rows) {
        Some(StreamState::Updating) => true,
        Some(StreamState::Active | StreamState::Truncating) => configuration.is_some_and(|stream| stream.updating),
        _ => false,
    }
}

/// False for a segment that a truncation of its stream may have deleted. Ids have the epoch in their upper half.
fn is_left(segment: i64, cut: &[(i64, i64)]) -> bool {
    cut.iter().any(|(at, _)| *at == segment) || cut.iter().all(|(at, _)| segment >> 32 > at >> 32)
}

/// The state of a stream; none if the rows do not tell, or not legibly.
pub(crate) fn stream_state(rows: &Rows) -> Option<StreamState> {
    StreamState::decode(rows.get(STATE_KEY)?).ok()
}

/// The number of the present epoch, of a stream or key-value table.
pub(crate) fn current_epoch(rows: &Rows) -> Option<u32> {
    Some(u32::from_be_bytes(rows.get(CURRENT_EPOCH_KEY)?.as_ref().try_into().ok()?))
}

/// Newest values by key.
pub(crate) type Rows = BTreeMap<String, Box<[u8]>>;

/// The rows of a table by its objects, as far as it is whole. Entries that are not wanted change nothing.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn newest_rows(
    chunks: &[ChunkObject],
    tier2: &dyn Tier2,
    is_wanted: impl Fn(&TableEntry<'_>) -> bool,
) -> Result<Rows> {
    let chain = chain_by_names(&chunks.iter().collect::<Vec<_>>());
    newest_rows_before(&chain, chain.end(), tier2, is_wanted)
}

/// The rows of a table by its objects; none if damage ends them.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn whole_rows(chunks: &[ChunkObject], tier2: &dyn Tier2) -> Result<Option<Rows>> {
    let chain = chain_by_names(&chunks.iter().collect::<Vec<_>>());
    let (rows, scan) = scan_rows(&chain, chain.end(), tier2, |_| true)?;
    Ok(scan.damage.is_none().then_some(rows))
}

/// The rows of a table that ends at `end`, as [`newest_rows`] has them.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn newest_rows_before(
    chain: &Chain,
    end: u64,
    tier2: &dyn Tier2,
    is_wanted: impl Fn(&TableEntry<'_>) -> bool,
) -> Result<Rows> {
    Ok(scan_rows(chain, end, tier2, is_wanted)?.0)
}

fn scan_rows(
    chain: &Chain,
    end: u64,
    tier2: &dyn Tier2,
    is_wanted: impl Fn(&TableEntry<'_>) -> bool,
) -> Result<(Rows, TableScan)> {
    let mut newest: BTreeMap<String, Ranked> = BTreeMap::new();
    let scan = scan_table(chain, chain.first_start, end, tier2, &mut |entry| {
        if let Ok(key) = std::str::from_utf8(entry.key)
            && is_wanted(entry)
            && newest.get(key).is_none_or(|(rank, _)| entry.rank() >= *rank)
        {
            newest.insert(key.to_owned(), (entry.rank(), entry.value.map(Into::into)));
        }
    })?;
    Ok((newest.into_iter().filter_map(|(key, (_, value))| Some((key, value?))).collect(), scan))
}

/// Rank of an entry among those of its key, and its value; none for a removal.
type Ranked = ((i64, u64), Option<Box<[u8]>>);

/// Tables of the controller by their objects.
struct Tables<'a> {
    chunks: HashMap<Box<str>, Vec<ChunkObject>>,
    tier2: &'a dyn Tier2,
}

impl<'a> Tables<'a> {
    fn of(listing: &Listing, tier2: &'a dyn Tier2) -> Self {
        let mut chunks: HashMap<Box<str>, Vec<ChunkObject>> = HashMap::new();
        for container in &listing.containers {
            for chunk in container.chunks_below(CONTROLLER_TABLES_PREFIX).filter(|chunk| tells(chunk.segment())) {
                chunks.entry(chunk.segment().into()).or_default().push(chunk);
            }
        }
        Self { chunks, tier2 }
    }

    fn rows(&self, table: &str) -> Result<Rows> {
        let chunks = self.chunks.get(table).map_or(&[][..], Vec::as_slice);
        newest_rows(chunks, self.tier2, |_| true)
    }

    /// Names and the ids that end the names of their tables.
    fn ids(&self, table: &str) -> Result<Vec<(String, String)>> {
        let id = |(name, row): (String, Box<[u8]>)| Some((name, decode_table_id(&row).ok()?.to_string()));
        Ok(self.rows(table)?.into_iter().filter_map(id).collect())
    }
}

fn tells(segment: &str) -> bool {
    match ControllerTable::parse(segment) {
        Some(ControllerTable::Cluster { name }) => name == "scopes",
        Some(ControllerTable::Scope { name, .. }) => matches!(name, "streamsInScope" | "kvTablesInScope"),
        Some(ControllerTable::Stream { name, .. }) => name == "metadata",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_truncation_may_have_deleted_is_not_asked_for_again() {
        let id = |epoch: i64, number: i64| epoch << 32 | number;
        assert!(is_left(id(0, 3), &[]));
        let cut = [(id(0, 1), 50), (id(1, 2), 0)];
        let left: Vec<bool> =
            [id(0, 0), id(0, 1), id(1, 2), id(1, 3), id(2, 4)].map(|segment| is_left(segment, &cut)).to_vec();
        assert_eq!(left, [false, true, true, false, true]);
    }
}

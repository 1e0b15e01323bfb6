//! What the controller's tables tell, gathered while the tables are read for their indexes, or by reading them alone.

mod event_processors;
mod pending;
mod progress;
mod tables;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use dr_formats::controller::{
    self, CONFIGURATION_KEY, RetentionKind, RetentionPolicy, STATE_KEY, StreamConfiguration, TransactionId,
    bucket_node, bucket_of,
};
use dr_formats::names::{self, ControllerTable};
use dr_formats::primitives::Uuid;
use dr_formats::table::TableEntry;

use self::progress::StreamProgress;
pub(crate) use self::tables::ControllerTables;
use crate::contract::{Retention, StreamState, TransactionCounter};

/// Scope and stream.
pub(crate) type StreamName = (String, String);

/// Everything gathered so far, from any number of containers. It is kept until all of them are done, and there may be
/// hundreds of thousands of streams: a name is held once, and what is known of it in numbers.
#[derive(Debug, Default)]
pub struct ControllerEvidence {
    streams: BTreeMap<StreamName, StreamEvidence>,
    /// Those with which something was being done, with the id that ends the table's name.
    under_way: BTreeMap<StreamName, Vec<(String, StreamProgress)>>,
    highest: Option<TransactionCounter>,
}

/// What is known of a stream.
#[derive(Debug, Default)]
struct StreamEvidence {
    /// More than one if there were namesakes that were deleted.
    metadata: Vec<MetadataTable>,
    /// Id that ends the names of its present tables; others are leftovers of deleted namesakes.
    present: Option<Uuid>,
    /// It was taken out of its scope.
    is_deleted: bool,
}

/// One `metadata` table of a stream.
#[derive(Debug)]
struct MetadataTable {
    /// None if its name ends with something else, which no table in use does.
    id: Option<Uuid>,
    state: controller::StreamState,
    retention: Option<RetentionPolicy>,
}

impl StreamEvidence {
    /// Adds what another container told.
    fn absorb(&mut self, other: Self) {
        // Not `extend`: most have one table, and a list that grows makes room for four.
        if self.metadata.is_empty() {
            self.metadata = other.metadata;
        } else {
            self.metadata.extend(other.metadata);
        }
        self.present = other.present.or(self.present);
        self.is_deleted |= other.is_deleted;
    }

    /// The table that tells of it: the present one, if that is known.
    fn table(&self) -> Option<&MetadataTable> {
        let is_present = |table: &&MetadataTable| self.present.is_none() || table.id == self.present;
        self.metadata.iter().find(is_present).or(self.metadata.first())
    }
}

impl ControllerEvidence {
    /// Adds what another container told.
    pub fn absorb(&mut self, other: Self) {
        for (name, stream) in other.streams {
            self.streams.entry(name).or_default().absorb(stream);
        }
        for (name, mut tables) in other.under_way {
            self.under_way.entry(name).or_default().append(&mut tables);
        }
        self.highest = self.highest.max(other.highest);
    }

    /// Notes the transaction id in a segment's name, if it has one.
    pub fn see_name(&mut self, segment: &str) {
        if let Some(id) = names::transaction_id(segment) {
            self.see_transaction(id);
        }
    }

    /// The highest counter in any transaction id seen.
    pub fn highest_transaction_counter(&self) -> Option<TransactionCounter> {
        self.highest
    }

    /// Some streams, by scope and name, that come behind the given one.
    pub fn streams(&self, behind: Option<&StreamName>, limit: usize, retention_buckets: u32) -> Vec<StreamState> {
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.streams.range::<StreamName, _>((from, Bound::Unbounded));
        let known = behind.filter_map(|(name, stream)| Some(stream_state(name, stream.table()?, retention_buckets)));
        known.take(limit).collect()
    }

    /// Streams with which something was being done, by scope and name.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (&StreamName, &StreamProgress)> {
        self.under_way.iter().flat_map(|(stream, tables)| {
            let present = tables.iter().filter(|(id, _)| self.is_present(stream, id));
            present.map(move |(_, progress)| (stream, progress))
        })
    }

    /// What was being done with one stream, if anything was.
    fn progress(&self, stream: &StreamName) -> Option<&StreamProgress> {
        let present = |(id, _): &&(String, StreamProgress)| self.is_present(stream, id);
        self.under_way.get(stream)?.iter().find(present).map(|(_, progress)| progress)
    }

    /// Threads add tables in any order.
    fn sort_under_way(&mut self) {
        self.under_way.values_mut().for_each(|tables| tables.sort_by(|(one, _), (other, _)| one.cmp(other)));
    }

    /// False for what a deleted stream left: a table whose name ends with another id.
    fn is_present(&self, stream: &StreamName, id: &str) -> bool {
        match self.present(stream) {
            Some(present) => present.to_string() == id,
            None => !self.is_deleted(stream),
        }
    }

    /// Id that ends the names of a stream's present tables, if that is known.
    fn present(&self, stream: &StreamName) -> Option<Uuid> {
        self.streams.get(stream)?.present
    }

    /// True if a stream was taken out of its scope.
    fn is_deleted(&self, stream: &StreamName) -> bool {
        self.streams.get(stream).is_some_and(|stream| stream.is_deleted)
    }

    fn stream(&mut self, scope: &str, stream: &str) -> &mut StreamEvidence {
        self.streams.entry((scope.to_owned(), stream.to_owned())).or_default()
    }

    fn see_transaction(&mut self, id: TransactionId) {
        let counter = id.counter();
        self.highest = self.highest.max(Some(TransactionCounter { high: counter.most, low: counter.least }));
    }
}

/// Newest version and value of a key; none for a removal.
type Newest = Option<((i64, u64), Option<Box<[u8]>>)>;

/// Watches the entries of one table.
#[derive(Debug)]
pub struct TableWatch<'a> {
    table: ControllerTable<'a>,
    /// The rows of a stream that are looked at, in the order of [`StreamProgress::KEYS`].
    rows: [Newest; StreamProgress::KEYS.len()],
    streams: HashMap<String, Newest>,
    transactions: Vec<TransactionId>,
}

impl<'a> TableWatch<'a> {
    /// A watch for this segment; none if its entries tell nothing that is gathered here.
    pub fn for_segment(segment: &'a str) -> Option<Self> {
        let table = ControllerTable::parse(segment)?;
        let is_watched = match table {
            ControllerTable::Cluster { name } => name.starts_with("completedTransactionsBatch-"),
            ControllerTable::Scope { name, .. } => name == "streamsInScope",
            ControllerTable::Stream { name, .. } => name == "metadata" || name.starts_with("transactionsInEpoch-"),
            ControllerTable::ReaderGroup { .. } => false,
        };
        let watch = Self { table, rows: Default::default(), streams: HashMap::new(), transactions: Vec::new() };
        is_watched.then_some(watch)
    }

    /// Looks at one entry.
    pub fn see(&mut self, entry: &TableEntry<'_>) {
        let Ok(key) = std::str::from_utf8(entry.key) else { return };
        match self.table {
            ControllerTable::Cluster { .. } => self.transactions.extend(controller::completed_transaction_of_key(key)),
            ControllerTable::Scope { .. } => keep_newest(self.streams.entry(key.to_owned()).or_default(), entry),
            ControllerTable::Stream { name: "metadata", .. } => {
                let row = StreamProgress::KEYS.iter().position(|known| *known == key);
                row.into_iter().for_each(|row| keep_newest(&mut self.rows[row], entry));
            }
            ControllerTable::Stream { .. } => self.transactions.extend(TransactionId::parse(key)),
            ControllerTable::ReaderGroup { .. } => {}
        }
    }

    /// Hands over what was seen.
    pub fn finish(self, evidence: &mut ControllerEvidence) {
        self.transactions.iter().for_each(|id| evidence.see_transaction(*id));
        match self.table {
            ControllerTable::Scope { scope, .. } => {
                for (stream, newest) in self.streams {
                    let id = value(&newest).and_then(|bytes| controller::decode_table_id(bytes).ok());
                    let is_deleted = value(&newest).is_none();
                    evidence.stream(scope, &stream).absorb(StreamEvidence {
                        present: id,
                        is_deleted,
                        ..StreamEvidence::default()
                    });
                }
            }
            ControllerTable::Stream { scope, stream, name: "metadata", id } => {
                // A key-value table has a table of this name too, with states of its own.
                if self.row(CONFIGURATION_KEY).is_some_and(controller::is_key_value_table_configuration) {
                    return;
                }
                let progress = StreamProgress::of(|key| self.row(key));
                if !progress.is_at_rest() {
                    let stream = (scope.to_owned(), stream.to_owned());
                    evidence.under_way.entry(stream).or_default().push((id.to_owned(), progress));
                }
                let state = self.row(STATE_KEY).and_then(|bytes| controller::StreamState::decode(bytes).ok());
                let configuration = self.row(CONFIGURATION_KEY).and_then(|bytes| decode_configuration(stream, bytes));
                if state.is_some() || configuration.is_some() {
                    let state = state.unwrap_or(controller::StreamState::Unknown);
                    let retention = configuration.and_then(|configuration| configuration.retention);
                    let metadata = vec![MetadataTable { id: Uuid::parse(id.as_bytes()), state, retention }];
                    evidence.stream(scope, stream).absorb(StreamEvidence { metadata, ..StreamEvidence::default() });
                }
            }
            _ => {}
        }
    }

    /// The newest value of a key of [`StreamProgress::KEYS`].
    fn row(&self, key: &str) -> Option<&[u8]> {
        StreamProgress::KEYS.iter().zip(&self.rows).find(|(known, _)| **known == key).and_then(|(_, row)| value(row))
    }
}

fn decode_configuration(stream: &str, bytes: &[u8]) -> Option<StreamConfiguration> {
    StreamConfiguration::decode(bytes)
        .inspect_err(|error| tracing::debug!(stream, %error, "the row `configuration` is not a stream's"))
        .ok()
}

fn stream_state((scope, stream): &StreamName, table: &MetadataTable, retention_buckets: u32) -> StreamState {
    let bucket = bucket_of(scope, stream, retention_buckets);
    StreamState {
        scope: scope.clone(),
        name: stream.clone(),
        state: table.state.as_str().to_owned(),
        retention: table.retention.map(retention),
        retention_znode: format!("buckets/{bucket}/{}", bucket_node(scope, stream)),
    }
}

fn retention(policy: RetentionPolicy) -> Retention {
    let kind = match policy.kind {
        RetentionKind::Time => "time",
        RetentionKind::Size => "size",
    };
    Retention { kind: kind.to_owned(), limit: policy.limit }
}

fn keep_newest(newest: &mut Newest, entry: &TableEntry<'_>) {
    if newest.as_ref().is_none_or(|(rank, _)| entry.rank() >= *rank) {
        *newest = Some((entry.rank(), entry.value.map(Into::into)));
    }
}

fn value(newest: &Newest) -> Option<&[u8]> {
    newest.as_ref()?.1.as_deref()
}

#[cfg(test)]
mod tests {
    use dr_formats::primitives::Writer;
    use dr_formats::table::{TableEntries, write_entry};

    use super::*;

    fn told(table: &str, rows: &[(&str, Vec<u8>)]) -> ControllerEvidence {
        let mut bytes = Vec::new();
        rows.iter().for_each(|(key, value)| write_entry(key.as_bytes(), Some(value), None, &mut bytes).unwrap());
        let mut watch = TableWatch::for_segment(table).unwrap();
        TableEntries::new(&bytes, 0).for_each(|entry| watch.see(&entry.unwrap()));
        let mut evidence = ControllerEvidence::default();
        watch.finish(&mut evidence);
        evidence
    }

    const METADATA: &str = "_system/_tables/scope/name/metadata.#.00000000-0000-0000-0000-000000000001";

    #[test]
    fn what_is_being_done_with_streams_is_kept_and_streams_at_rest_are_not() {
        use controller::StreamState::{Active, Sealed, Truncating};
        let truncation =
            |is_under_way: bool| [&[0, 0, 1, 0, 0, 0, 0, 13][..], &[0; 12], &[u8::from(is_under_way)]].concat();
        let asked = |state: controller::StreamState, is_under_way| {
            let rows = [(STATE_KEY, state.encode().unwrap()), ("truncation", truncation(is_under_way))];
            let works = told(METADATA, &rows).pending_requests().unwrap();
            works.into_iter().map(|work| (work.subject, work.znode.unwrap().path)).collect::<Vec<_>>()
        };
        assert_eq!([(Active, false), (Sealed, false)].map(|(state, cut)| asked(state, cut)), [[], []]);
        let path = "hostRequestIndex/recovery-00000000-0000-0000-0000-000000000000/truncate_%_scope_%_name";
        for (state, is_under_way) in [(Truncating, false), (Truncating, true), (Active, true)] {
            assert_eq!(asked(state, is_under_way), [("stream scope/name".to_owned(), path.to_owned())]);
        }
        // Of another stream of that name, which was deleted.
        let mut both = told(METADATA, &[(STATE_KEY, Truncating.encode().unwrap()), ("truncation", truncation(true))]);
        both.absorb(told(
            "_system/_tables/scope/streamsInScope.#.00000000-0000-0000-0000-000000000009",
            &[("name", vec![7; 16])],
        ));
        assert_eq!(both.pending_requests().unwrap(), []);
    }

    #[test]
    fn key_value_tables_are_no_streams() {
        let state = || (STATE_KEY, controller::StreamState::Updating.encode().unwrap());
        let mut configuration = Writer::new();
        configuration.write_single(|body| {
            body.utf("scope");
            body.utf("name");
            [2, 8, 0].into_iter().for_each(|number| body.u32(number));
        });
        let configuration = (CONFIGURATION_KEY, configuration.finish().unwrap());
        assert_eq!(told(METADATA, &[configuration, state()]).streams(None, 9, 1), []);
        assert_eq!(told(METADATA, &[state()]).streams(None, 9, 1).len(), 1);
    }
}

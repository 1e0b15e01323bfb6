//! What the controller's tables tell, gathered while the tables are read for their indexes, or by reading them alone.

mod event_processors;
mod pending;
mod tables;

use std::collections::{BTreeMap, HashMap, HashSet};

use dr_formats::controller::{
    self, CONFIGURATION_KEY, RetentionKind, STATE_KEY, StreamConfiguration, TransactionId, bucket_node, bucket_of,
};
use dr_formats::names::{self, ControllerTable};
use dr_formats::primitives::Uuid;
use dr_formats::table::TableEntry;

use crate::contract::{Retention, StreamState, TransactionCounter};

pub(crate) use self::tables::ControllerTables;

/// Scope and stream.
type StreamName = (String, String);

/// Everything gathered so far, from any number of containers.
#[derive(Debug, Default)]
pub struct ControllerEvidence {
    metadata: BTreeMap<StreamName, Vec<MetadataTable>>,
    /// Id that ends the names of a stream's present tables; others are leftovers of deleted namesakes.
    present: HashMap<StreamName, Uuid>,
    /// Streams that were taken out of their scope.
    deleted: HashSet<StreamName>,
    highest: Option<TransactionCounter>,
}

/// One `metadata` table of a stream.
#[derive(Debug)]
struct MetadataTable {
    id: String,
    state: controller::StreamState,
    retention: Option<Retention>,
}

impl ControllerEvidence {
    /// Adds what another container told.
    pub fn absorb(&mut self, other: Self) {
        for (stream, mut tables) in other.metadata {
            self.metadata.entry(stream).or_default().append(&mut tables);
        }
        self.present.extend(other.present);
        self.deleted.extend(other.deleted);
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

    /// All streams, by scope and name.
    pub fn streams(&self, retention_buckets: u32) -> Vec<StreamState> {
        self.metadata.iter().filter_map(|(name, tables)| self.stream(name, tables, retention_buckets)).collect()
    }

    fn stream(&self, name: &StreamName, tables: &[MetadataTable], retention_buckets: u32) -> Option<StreamState> {
        let present = self.present.get(name).map(Uuid::to_string);
        let is_present = |table: &&MetadataTable| present.as_ref().is_none_or(|present| *present == table.id);
        let table = tables.iter().find(is_present).or(tables.first())?;
        let (scope, stream) = name;
        let bucket = bucket_of(scope, stream, retention_buckets);
        Some(StreamState {
            scope: scope.clone(),
            name: stream.clone(),
            state: table.state.as_str().to_owned(),
            retention: table.retention.clone(),
            retention_znode: format!("buckets/{bucket}/{}", bucket_node(scope, stream)),
        })
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
    state: Newest,
    configuration: Newest,
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
        let watch = Self { table, state: None, configuration: None, streams: HashMap::new(), transactions: Vec::new() };
        is_watched.then_some(watch)
    }

    /// Looks at one entry.
    pub fn see(&mut self, entry: &TableEntry<'_>) {
        let Ok(key) = std::str::from_utf8(entry.key) else { return };
        match self.table {
            ControllerTable::Cluster { .. } => self.transactions.extend(controller::completed_transaction_of_key(key)),
            ControllerTable::Scope { .. } => keep_newest(self.streams.entry(key.to_owned()).or_default(), entry),
            ControllerTable::Stream { name: "metadata", .. } => match key {
                STATE_KEY => keep_newest(&mut self.state, entry),
                CONFIGURATION_KEY => keep_newest(&mut self.configuration, entry),
                _ => {}
            },
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
                    if value(&newest).is_none() {
                        evidence.deleted.insert((scope.to_owned(), stream.clone()));
                    }
                    if let Some(id) = value(&newest).and_then(|bytes| controller::decode_table_id(bytes).ok()) {
                        evidence.present.insert((scope.to_owned(), stream), id);
                    }
                }
            }
            ControllerTable::Stream { scope, stream, name: "metadata", id } => {
                let state = value(&self.state).and_then(|bytes| controller::StreamState::decode(bytes).ok());
                let configuration = value(&self.configuration).and_then(|bytes| decode_configuration(stream, bytes));
                // A key-value table has a table of this name too, without either row.
                if state.is_some() || configuration.is_some() {
                    let state = state.unwrap_or(controller::StreamState::Unknown);
                    let retention = configuration.and_then(|configuration| configuration.retention).map(retention);
                    let table = MetadataTable { id: id.to_owned(), state, retention };
                    evidence.metadata.entry((scope.to_owned(), stream.to_owned())).or_default().push(table);
                }
            }
            _ => {}
        }
    }
}

fn decode_configuration(stream: &str, bytes: &[u8]) -> Option<StreamConfiguration> {
    StreamConfiguration::decode(bytes)
        .inspect_err(|error| tracing::debug!(stream, %error, "the row `configuration` is not a stream's"))
        .ok()
}

fn retention(policy: controller::RetentionPolicy) -> Retention {
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

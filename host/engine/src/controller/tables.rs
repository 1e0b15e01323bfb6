//! Reads all tables of the controller, as the objects of Tier-2 tell them, without a container being rebuilt.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use dr_backends::tier2::Tier2;
use dr_formats::DecodeError;
use dr_formats::controller::{
    self, ActiveTransaction, COMMITTING_TRANSACTIONS_KEY, CONFIGURATION_KEY, EPOCH_TRANSITION_KEY, EpochTransition,
    STATE_KEY, StreamConfiguration, TRUNCATION_KEY, TransactionId, WAITING_PROCESSOR_KEY,
    decode_committing_transactions, is_truncation_under_way,
};
use dr_formats::names::{CONTROLLER_TABLES_PREFIX, ControllerTable};
use dr_formats::table::TableEntry;

use super::{ControllerEvidence, Newest, StreamName, TableWatch, keep_newest};
use crate::chain::chain_by_names;
use crate::committed::ACTIVE_PREFIX;
use crate::error::Result;
use crate::listing::{ChunkObject, Listing};
use crate::pool::{PARALLEL_READS, for_each_bounded};
use crate::survey::Survey;
use crate::table_scan::scan_table;

/// What all tables tell together.
#[derive(Debug, Default)]
pub(crate) struct ControllerTables {
    /// Streams and transaction ids.
    pub(crate) evidence: ControllerEvidence,
    streams: BTreeMap<StreamName, Vec<StreamTable>>,
    transactions: BTreeMap<StreamName, Vec<TransactionTable>>,
}

/// What the table `metadata` of a stream says of what is being done with it.
#[derive(Debug)]
struct StreamTable {
    id: String,
    progress: StreamProgress,
}

/// What is being done with a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamProgress {
    /// Its state; none if there is no such row, or if it is no stream.
    pub(crate) state: Option<controller::StreamState>,
    /// Its configuration is being changed.
    pub(crate) is_updating: bool,
    /// It is being truncated.
    pub(crate) is_truncating: bool,
    /// The scale under way.
    pub(crate) transition: Option<EpochTransition>,
    /// The transactions of a commit under way.
    pub(crate) committing: Vec<TransactionId>,
    /// The only handler whose requests are processed.
    pub(crate) waiting_processor: Option<String>,
    /// Keys of rows that cannot be read.
    pub(crate) unreadable: Vec<String>,
}

#[derive(Debug)]
struct TransactionTable {
    id: String,
    rows: Vec<TransactionRow>,
}

/// A transaction under way: its key, and what the row says if it can be read.
pub(crate) type TransactionRow = (String, Option<ActiveTransaction>);

impl ControllerTables {
    /// What is being done with each stream, by scope and name.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&StreamName, &StreamProgress)> {
        self.streams.iter().flat_map(|(stream, tables)| {
            let present = tables.iter().filter(|table| self.is_present(stream, &table.id));
            present.map(move |table| (stream, &table.progress))
        })
    }

    /// What is being done with one stream.
    pub(crate) fn progress(&self, stream: &StreamName) -> Option<&StreamProgress> {
        let present = |table: &&StreamTable| self.is_present(stream, &table.id);
        self.streams.get(stream)?.iter().find(present).map(|table| &table.progress)
    }

    /// The transactions under way, by scope, stream and id.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = (&StreamName, &TransactionRow)> {
        self.transactions.iter().flat_map(|(stream, tables)| {
            let present = tables.iter().filter(|table| self.is_present(stream, &table.id));
            present.flat_map(|table| &table.rows).map(move |row| (stream, row))
        })
    }

    /// False for what a deleted stream left.
    fn is_present(&self, stream: &StreamName, id: &str) -> bool {
        match self.evidence.present(stream) {
            Some(present) => present.to_string() == id,
            None => !self.evidence.is_deleted(stream),
        }
    }

    pub(super) fn read(listing: &Listing, tier2: &dyn Tier2) -> Result<Self> {
        let all = Mutex::new(Self::default());
        for listed in &listing.containers {
            let mut tables = all.lock().unwrap_or_else(PoisonError::into_inner);
            listed.chunks_below("").for_each(|chunk| tables.evidence.see_name(chunk.segment()));
            drop(tables);
            let of_controller = listed.chunks_below(CONTROLLER_TABLES_PREFIX);
            let chunks: Vec<ChunkObject> =
                of_controller.filter(|chunk| TableWatch::for_segment(chunk.segment()).is_some()).collect();
            let by_table: Vec<&[ChunkObject]> = chunks.chunk_by(|a, b| a.segment() == b.segment()).collect();
            for_each_bounded(PARALLEL_READS, &by_table, |chunks| read_table(chunks, tier2, &all))?;
        }
        let mut tables = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Threads add them in any order.
        tables.streams.values_mut().for_each(|tables| tables.sort_by(|one, other| one.id.cmp(&other.id)));
        for tables in tables.transactions.values_mut() {
            tables.sort_by(|one, other| one.rows.first().map(|row| &row.0).cmp(&other.rows.first().map(|row| &row.0)));
        }
        Ok(tables)
    }
}

impl Survey {
    /// What all tables of the controller tell, read once.
    ///
    /// # Errors
    /// Tier-2 errors. Damage in a table only ends what can be known from it.
    pub(crate) fn controller_tables(&self) -> Result<Arc<ControllerTables>> {
        self.controller_tables_cache().get(|| ControllerTables::read(self.listing(), self.tier2()))
    }
}

fn read_table(chunks: &[ChunkObject], tier2: &dyn Tier2, all: &Mutex<ControllerTables>) -> Result<()> {
    let Some(segment) = chunks.first().map(ChunkObject::segment) else { return Ok(()) };
    let (Some(mut watch), Some(table)) = (TableWatch::for_segment(segment), ControllerTable::parse(segment)) else {
        return Ok(());
    };
    let mut rows = NewestRows::default();
    let chain = chain_by_names(&chunks.iter().collect::<Vec<_>>());
    scan_table(&chain, chain.first_start, chain.end(), tier2, &mut |entry| {
        watch.see(entry);
        if matches!(table, ControllerTable::Stream { .. }) {
            rows.see(entry);
        }
    })?;
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    watch.finish(&mut all.evidence);
    let ControllerTable::Stream { scope, stream, name, id } = table else { return Ok(()) };
    let (stream, id) = ((scope.to_owned(), stream.to_owned()), id.to_owned());
    if name.starts_with(ACTIVE_PREFIX) {
        let rows =
            rows.into_values().into_iter().map(|(key, value)| (key, ActiveTransaction::decode(&value).ok())).collect();
        all.transactions.entry(stream).or_default().push(TransactionTable { id, rows });
    } else {
        let progress = StreamProgress::of(&rows.into_values());
        all.streams.entry(stream).or_default().push(StreamTable { id, progress });
    }
    Ok(())
}

/// The newest value of each key.
#[derive(Default)]
struct NewestRows(HashMap<String, Newest>);

impl NewestRows {
    fn see(&mut self, entry: &TableEntry<'_>) {
        if let Ok(key) = std::str::from_utf8(entry.key) {
            keep_newest(self.0.entry(key.to_owned()).or_default(), entry);
        }
    }

    /// Those that were not removed, by key.
    fn into_values(self) -> BTreeMap<String, Box<[u8]>> {
        self.0.into_iter().filter_map(|(key, newest)| Some((key, newest?.1?))).collect()
    }
}

impl StreamProgress {
    fn of(rows: &BTreeMap<String, Box<[u8]>>) -> Self {
        let mut progress = Self::default();
        // A key-value table has a table of this name too, with states of its own.
        let is_stream = [TRUNCATION_KEY, EPOCH_TRANSITION_KEY].iter().any(|key| rows.contains_key(*key));
        if !is_stream {
            return progress;
        }
        progress.state = progress.row(rows, STATE_KEY, controller::StreamState::decode);
        progress.is_updating = progress
            .row(rows, CONFIGURATION_KEY, StreamConfiguration::decode)
            .is_some_and(|configuration| configuration.updating);
        progress.is_truncating = progress.row(rows, TRUNCATION_KEY, is_truncation_under_way).unwrap_or(false);
        progress.transition = progress.row(rows, EPOCH_TRANSITION_KEY, EpochTransition::decode).flatten();
        progress.committing =
            progress.row(rows, COMMITTING_TRANSACTIONS_KEY, decode_committing_transactions).unwrap_or_default();
        progress.waiting_processor =
            rows.get(WAITING_PROCESSOR_KEY).map(|name| String::from_utf8_lossy(name).into_owned());
        progress
    }

    fn row<T>(
        &mut self,
        rows: &BTreeMap<String, Box<[u8]>>,
        key: &str,
        decode: impl FnOnce(&[u8]) -> std::result::Result<T, DecodeError>,
    ) -> Option<T> {
        let row = decode(rows.get(key)?).ok();
        if row.is_none() {
            self.unreadable.push(key.to_owned());
        }
        row
    }
}

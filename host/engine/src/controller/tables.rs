//! Reads all tables of the controller, as the objects of Tier-2 tell them, without a container being rebuilt.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use dr_backends::tier2::Tier2;
use dr_formats::controller::ActiveTransaction;
use dr_formats::names::{CONTROLLER_TABLES_PREFIX, ControllerTable};
use dr_formats::table::TableEntry;

use super::{ControllerEvidence, Newest, StreamName, TableWatch, keep_newest};
use crate::chain::chain_by_names;
use crate::committed::ACTIVE_PREFIX;
use crate::error::Result;
use crate::listing::{ChunkObject, Listing, of_each_segment};
use crate::pool::{PARALLEL_READS, for_each_bounded};
use crate::survey::Survey;
use crate::table_scan::scan_table;

/// What all tables tell together.
#[derive(Debug, Default)]
pub(crate) struct ControllerTables {
    /// Streams and transaction ids.
    pub(crate) evidence: ControllerEvidence,
    transactions: BTreeMap<StreamName, Vec<TransactionTable>>,
}

#[derive(Debug)]
struct TransactionTable {
    id: String,
    rows: Vec<TransactionRow>,
}

/// A transaction under way: its key, and what the row says if it can be read.
pub(crate) type TransactionRow = (String, Option<ActiveTransaction>);

impl ControllerTables {
    /// The transactions under way, by scope, stream and id.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = (&StreamName, &TransactionRow)> {
        self.transactions.iter().flat_map(|(stream, tables)| {
            let present = tables.iter().filter(|table| self.evidence.is_present(stream, &table.id));
            present.flat_map(|table| &table.rows).map(move |row| (stream, row))
        })
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
            let by_table: Vec<&[ChunkObject]> = of_each_segment(&chunks).collect();
            for_each_bounded(PARALLEL_READS, &by_table, |chunks| read_table(chunks, tier2, &all))?;
        }
        let mut tables = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Threads add them in any order.
        tables.evidence.sort_under_way();
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
    let is_of_transactions = matches!(table, ControllerTable::Stream { name, .. } if name.starts_with(ACTIVE_PREFIX));
    let mut rows = NewestRows::default();
    let chain = chain_by_names(&chunks.iter().collect::<Vec<_>>());
    scan_table(&chain, chain.first_start, chain.end(), tier2, &mut |entry| {
        watch.see(entry);
        if is_of_transactions {
            rows.see(entry);
        }
    })?;
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    watch.finish(&mut all.evidence);
    if let (ControllerTable::Stream { scope, stream, id, .. }, true) = (table, is_of_transactions) {
        let rows = rows.into_values().into_iter();
        let rows = rows.map(|(key, value)| (key, ActiveTransaction::decode(&value).ok())).collect();
        let tables = all.transactions.entry((scope.to_owned(), stream.to_owned())).or_default();
        tables.push(TransactionTable { id: id.to_owned(), rows });
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

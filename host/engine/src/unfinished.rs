//! Transactions that the controller's tables hold as under way, and how the recovery ends them. See design note 010.
//!
//! With ZooKeeper the controller lost what would make it go on with them: the order of commits, and who watches over
//! leases. A transaction that was being committed would stay so for ever, and so would a client that waits for its end; an
//! open one could be committed without those of its events that had not reached Tier-2.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_formats::EncodeError;
use dr_formats::controller::{
    ActiveTransaction, COMMIT_PROCESSOR, COMMITTING_TRANSACTIONS_KEY, CommittingTransactions, CompletedTransaction,
    STATE_KEY, StreamState, TransactionId, TransactionStatus, WAITING_PROCESSOR_KEY, key_of_completed_transaction,
};
use dr_formats::names::{CONTROLLER_TABLES_PREFIX, ControllerTable};
use dr_formats::table::write_entry;

use crate::chain::{Chain, chain_by_names};
use crate::committed::{ACTIVE_PREFIX, COMPLETED_PREFIX, Fate, Fates, Open};
use crate::contract::EndedTransaction;
use crate::error::Result;
use crate::image::unencodable;
use crate::listing::{ChunkObject, Listing};
use crate::named_segments::{self, newest_rows_before, stream_state};
use crate::survey::Survey;

/// How a transaction under way ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its events are in their segments, as far as Tier-2 has them.
    Committed,
    /// They are not, nor will they be.
    Aborted,
    /// Nothing tells.
    Unknown,
}

impl Ending {
    fn of(id: TransactionId, status: TransactionStatus, fates: &Fates, is_left: bool) -> Self {
        use TransactionStatus as Status;
        match (fates.get(&id), status) {
            (Some(Fate::Committed), _) | (_, Status::Committing | Status::Committed) => Self::Committed,
            (Some(Fate::Aborted), _) | (_, Status::Aborting | Status::Aborted) => Self::Aborted,
            // What was merged leaves no segment of its own, nor does what was never flushed.
            (None, Status::Open | Status::Unknown) if is_left => Self::Aborted,
            (None, Status::Open | Status::Unknown) => Self::Unknown,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Unknown => "unknown",
        }
    }

    /// What the controller's table of ended transactions says; it has no row for what nobody knows.
    fn status(self) -> Option<TransactionStatus> {
        match self {
            Self::Committed => Some(TransactionStatus::Committed),
            Self::Aborted => Some(TransactionStatus::Aborted),
            Self::Unknown => None,
        }
    }
}

/// A transaction under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unfinished {
    scope: String,
    stream: String,
    id: TransactionId,
    row: ActiveTransaction,
    ending: Ending,
}

/// The transactions under way in the whole cluster.
#[derive(Debug, Default)]
pub(crate) struct UnfinishedTransactions {
    transactions: Vec<Unfinished>,
    by_id: HashMap<TransactionId, Ending>,
    /// Metadata tables of the streams that wait for the end of a commit.
    held_up: HashSet<Box<str>>,
    newest_batch: Option<u32>,
}

/// What ends the transactions of one table: entries to append to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EndingEntries {
    /// Whole table entries.
    pub(crate) entries: Vec<u8>,
    /// The transactions that they take out.
    pub(crate) ended: Vec<EndedTransaction>,
}

impl UnfinishedTransactions {
    /// What to append to a table so that the transactions under way are ended there; nothing for most tables.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn ending_entries(
        &self,
        table: &str,
        chain: &Chain,
        end: u64,
        tier2: &dyn Tier2,
    ) -> Result<EndingEntries> {
        match ControllerTable::parse(table) {
            Some(ControllerTable::Stream { scope, stream, name, .. }) if name.starts_with(ACTIVE_PREFIX) => {
                self.removals(&format!("{scope}/{stream}"), &rows_under_way(chain, end, tier2)?, table)
            }
            Some(ControllerTable::Stream { .. }) if self.held_up.contains(table) => {
                let rows = newest_rows_before(chain, end, tier2, |_| true)?;
                let entries = going_on(&rows).map_err(|error| unencodable(table, error))?;
                Ok(EndingEntries { entries, ended: Vec::new() })
            }
            Some(ControllerTable::Cluster { name })
                if batch_number(name).is_some_and(|batch| Some(batch) >= self.newest_batch) =>
            {
                let present = newest_rows_before(chain, end, tier2, |_| true)?;
                let entries = self.completions(&present, table)?;
                Ok(EndingEntries { entries, ended: Vec::new() })
            }
            _ => Ok(EndingEntries::default()),
        }
    }

    fn removals(&self, stream: &str, rows: &Rows, table: &str) -> Result<EndingEntries> {
        let mut ending = EndingEntries::default();
        for (key, row) in rows {
            write_entry(key.as_bytes(), None, None, &mut ending.entries).map_err(|error| unencodable(table, error))?;
            let outcome = TransactionId::parse(key).and_then(|id| self.by_id.get(&id)).unwrap_or(&Ending::Unknown);
            ending.ended.push(EndedTransaction {
                id: key.clone(),
                stream: stream.to_owned(),
                status: row.map_or(TransactionStatus::Unknown, |row| row.status).as_str().to_owned(),
                outcome: outcome.as_str().to_owned(),
            });
        }
        Ok(ending)
    }

    /// A row for each transaction whose end is known, if the table has none yet.
    fn completions(&self, present: &named_segments::Rows, table: &str) -> Result<Vec<u8>> {
        let mut entries = Vec::new();
        for transaction in &self.transactions {
            let Some(status) = transaction.ending.status() else { continue };
            let key = key_of_completed_transaction(&transaction.scope, &transaction.stream, transaction.id);
            if present.contains_key(&key) {
                continue;
            }
            // Not the present time: a plan follows from its evidence alone.
            let completed = CompletedTransaction { completed: transaction.row.lease_expiry, status };
            let value = completed.encode().map_err(|error| unencodable(table, error))?;
            write_entry(key.as_bytes(), Some(&value), None, &mut entries).map_err(|error| unencodable(table, error))?;
        }
        Ok(entries)
    }
}

impl Survey {
    /// The transactions under way and how they end.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn unfinished_transactions(&self) -> Result<Arc<UnfinishedTransactions>> {
        self.unfinished_cache().get(|| self.find_unfinished())
    }

    fn find_unfinished(&self) -> Result<UnfinishedTransactions> {
        let mut rows = Vec::new();
        for chunks in active_tables(self.listing()).into_values() {
            let chain = chain_by_names(&chunks.iter().collect::<Vec<_>>());
            let Some(ControllerTable::Stream { scope, stream, .. }) =
                chunks.first().and_then(|chunk| ControllerTable::parse(chunk.segment()))
            else {
                continue;
            };
            let of_table = rows_under_way(&chain, chain.end(), self.tier2())?.into_iter();
            let known = of_table.filter_map(|(key, row)| Some((TransactionId::parse(&key)?, row?)));
            rows.extend(known.map(|(id, row)| (scope.to_owned(), stream.to_owned(), id, row)));
        }
        let mut open = Open::default();
        for (scope, stream, id, _) in &rows {
            open.ids.insert(*id);
            open.streams.insert((scope.clone(), stream.clone()));
        }
        let (fates, left) = self.ends_of(&open)?;
        let transactions = rows.into_iter().map(|(scope, stream, id, row)| {
            let ending = Ending::of(id, row.status, &fates, left.contains(&id));
            Unfinished { scope, stream, id, row, ending }
        });
        let transactions: Vec<Unfinished> = transactions.collect();
        let by_id = transactions.iter().map(|transaction| (transaction.id, transaction.ending)).collect();
        let held_up = self.stream_tables().held_up().clone();
        Ok(UnfinishedTransactions { transactions, by_id, held_up, newest_batch: newest_batch(self.listing()) })
    }
}

/// True if nothing but the end of a commit lets a stream accept other requests.
pub(crate) fn is_held_up(rows: &named_segments::Rows) -> bool {
    stream_state(rows) == Some(StreamState::CommittingTransactions)
        || is_waiting_for_commit(rows)
        || committing(rows) != CommittingTransactions::default()
}

fn is_waiting_for_commit(rows: &named_segments::Rows) -> bool {
    rows.get(WAITING_PROCESSOR_KEY).is_some_and(|name| **name == *COMMIT_PROCESSOR.as_bytes())
}

fn committing(rows: &named_segments::Rows) -> CommittingTransactions {
    let row = rows.get(COMMITTING_TRANSACTIONS_KEY).and_then(|row| CommittingTransactions::decode(row).ok());
    row.unwrap_or_default()
}

/// Entries that end the commit under way of a stream, after its transactions were ended. None if the controller was making new epochs for them: that
/// only a controller can end.
fn going_on(rows: &named_segments::Rows) -> std::result::Result<Vec<u8>, EncodeError> {
    let (mut entries, committing) = (Vec::new(), committing(rows));
    if committing.rolled_epoch.is_some() {
        return Ok(entries);
    }
    if committing != CommittingTransactions::default() {
        let none = CommittingTransactions::default().encode()?;
        write_entry(COMMITTING_TRANSACTIONS_KEY.as_bytes(), Some(&none), None, &mut entries)?;
    }
    if stream_state(rows) == Some(StreamState::CommittingTransactions) {
        write_entry(STATE_KEY.as_bytes(), Some(&StreamState::Active.encode()?), None, &mut entries)?;
    }
    if is_waiting_for_commit(rows) {
        write_entry(WAITING_PROCESSOR_KEY.as_bytes(), None, None, &mut entries)?;
    }
    Ok(entries)
}

/// The chunks of the tables of transactions under way, by table.
fn active_tables(listing: &Listing) -> BTreeMap<String, Vec<ChunkObject>> {
    let mut tables: BTreeMap<String, Vec<ChunkObject>> = BTreeMap::new();
    for chunk in listing.containers.iter().flat_map(|listed| listed.chunks_below(CONTROLLER_TABLES_PREFIX)) {
        if let Some(ControllerTable::Stream { name, .. }) = ControllerTable::parse(chunk.segment())
            && name.starts_with(ACTIVE_PREFIX)
        {
            tables.entry(chunk.segment().to_owned()).or_default().push(chunk);
        }
    }
    tables
}

fn batch_number(table: &str) -> Option<u32> {
    table.strip_prefix(COMPLETED_PREFIX)?.parse().ok()
}

/// The newest table of ended transactions, of which the controller never takes the older ones for new rows.
fn newest_batch(listing: &Listing) -> Option<u32> {
    let prefix = format!("{CONTROLLER_TABLES_PREFIX}{COMPLETED_PREFIX}");
    let chunks = listing.containers.iter().flat_map(|listed| listed.chunks_below(&prefix));
    let number = |chunk: ChunkObject| match ControllerTable::parse(chunk.segment()) {
        Some(ControllerTable::Cluster { name }) => batch_number(name),
        _ => None,
    };
    chunks.filter_map(number).max()
}

/// A row; none for one that cannot be read.
type Row = Option<ActiveTransaction>;

/// The rows of a table of transactions under way, by key.
type Rows = BTreeMap<String, Row>;

fn rows_under_way(chain: &Chain, end: u64, tier2: &dyn Tier2) -> Result<Rows> {
    let rows = newest_rows_before(chain, end, tier2, |_| true)?;
    Ok(rows.into_iter().map(|(key, row)| (key, ActiveTransaction::decode(&row).ok())).collect())
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::table::TableEntries;

    use super::*;

    const ACTIVE: &str = "_system/_tables/scope/stream/transactionsInEpoch-0.#.00000000-0000-0000-0000-000000000001";
    const BATCH: &str = "_system/_tables/completedTransactionsBatch-3";
    const METADATA: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000001";

    fn id(number: u8) -> TransactionId {
        TransactionId::parse_digits(&format!("{number:032x}")).unwrap()
    }

    fn active(status: u8) -> Vec<u8> {
        [&[0, 0, 1, 0, 0, 0, 0, 25][..], &[0; 15], &[7], &[0; 8], &[status]].concat()
    }

    fn table(name: &str, rows: &[(String, Option<Vec<u8>>)]) -> (MemoryTier2, Chain) {
        let mut bytes = Vec::new();
        for (key, value) in rows {
            write_entry(key.as_bytes(), value.as_deref(), None, &mut bytes).unwrap();
        }
        let (tier2, chunk) = (MemoryTier2::new(), ChunkObject::for_test(name, 0, 1, bytes.len() as u64));
        tier2.create(&chunk.key, &bytes).unwrap();
        (tier2, chain_by_names(&[&chunk]))
    }

    fn unfinished(endings: &[(u8, Ending)]) -> UnfinishedTransactions {
        let row = ActiveTransaction::decode(&active(1)).unwrap();
        let transaction = |&(number, ending): &(u8, Ending)| Unfinished {
            scope: "scope".into(),
            stream: "stream".into(),
            id: id(number),
            row,
            ending,
        };
        UnfinishedTransactions {
            transactions: endings.iter().map(transaction).collect(),
            by_id: endings.iter().map(|&(number, ending)| (id(number), ending)).collect(),
            held_up: HashSet::from([METADATA.into()]),
            newest_batch: Some(3),
        }
    }

    /// Keys with their values, as the entries tell.
    fn told(entries: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
        let entries = TableEntries::new(entries, 0).map(|entry| entry.unwrap());
        entries.map(|entry| (String::from_utf8(entry.key.to_vec()).unwrap(), entry.value.map(<[u8]>::to_vec))).collect()
    }

    #[test]
    fn a_word_of_any_container_counts_before_the_row_and_nothing_left_is_no_abort() {
        use TransactionStatus::{Aborting, Committing, Open};
        let fates = Fates::from([(id(1), Fate::Committed), (id(2), Fate::Aborted)]);
        let of = |number, status, is_left| Ending::of(id(number), status, &fates, is_left);
        assert_eq!([of(1, Open, true), of(1, Aborting, false)], [Ending::Committed; 2]);
        assert_eq!([of(2, Open, true), of(3, Aborting, false), of(3, Open, true)], [Ending::Aborted; 3]);
        assert_eq!([of(3, Committing, false), of(3, Committing, true)], [Ending::Committed; 2]);
        assert_eq!(of(3, Open, false), Ending::Unknown);
    }

    #[test]
    fn rows_under_way_are_taken_out_and_said_how_they_ended() {
        let rows = [
            (id(1).to_string(), Some(active(1))),
            (id(2).to_string(), Some(active(1))),
            (id(2).to_string(), Some(active(2))),
            (id(3).to_string(), Some(active(1))),
            (id(3).to_string(), None),
            (id(4).to_string(), Some(b"?".to_vec())),
        ];
        let (tier2, chain) = table(ACTIVE, &rows);
        let unfinished = unfinished(&[(1, Ending::Aborted), (2, Ending::Committed)]);
        let ending = unfinished.ending_entries(ACTIVE, &chain, chain.end(), &tier2).unwrap();
        assert_eq!(told(&ending.entries), [1, 2, 4].map(|number| (id(number).to_string(), None)));
        let ended = ending.ended.iter().map(|ended| (&*ended.stream, &*ended.status, &*ended.outcome));
        let expected = [("open", "aborted"), ("committing", "committed"), ("unknown", "unknown")];
        assert_eq!(ended.collect::<Vec<_>>(), expected.map(|(status, outcome)| ("scope/stream", status, outcome)));
        let other = ACTIVE.replace("transactionsInEpoch-0", "metadata");
        assert_eq!(unfinished.ending_entries(&other, &chain, chain.end(), &tier2).unwrap(), EndingEntries::default());
    }

    #[test]
    fn the_newest_table_of_ended_transactions_gets_those_with_a_known_end_once() {
        let key = |number| key_of_completed_transaction("scope", "stream", id(number));
        let (tier2, chain) = table(BATCH, &[(key(1), Some(vec![0]))]);
        let unfinished =
            unfinished(&[(1, Ending::Committed), (2, Ending::Committed), (3, Ending::Aborted), (4, Ending::Unknown)]);
        let entries = |table: &str| unfinished.ending_entries(table, &chain, chain.end(), &tier2).unwrap().entries;
        let row = |status| CompletedTransaction { completed: 7, status }.encode().unwrap();
        let expected =
            [(key(2), Some(row(TransactionStatus::Committed))), (key(3), Some(row(TransactionStatus::Aborted)))];
        assert_eq!(told(&entries(BATCH)), expected);
        assert_eq!(entries("_system/_tables/completedTransactionsBatch-2"), Vec::<u8>::new());
        // Written since the last flush, so that no object has its name.
        assert_eq!(told(&entries("_system/_tables/completedTransactionsBatch-4")), expected);
    }

    #[test]
    fn a_commit_whose_transactions_are_ended_holds_up_its_stream_no_more() {
        let entries = |rows: &[(&str, Vec<u8>)], name: &str| {
            let rows: Vec<_> = rows.iter().map(|(key, value)| ((*key).to_owned(), Some(value.clone()))).collect();
            let (tier2, chain) = table(name, &rows);
            let newest = newest_rows_before(&chain, chain.end(), &tier2, |_| true).unwrap();
            let ending = unfinished(&[]).ending_entries(name, &chain, chain.end(), &tier2).unwrap();
            assert_eq!(ending.ended, []);
            (is_held_up(&newest), told(&ending.entries))
        };
        let state = |state: StreamState| (STATE_KEY, state.encode().unwrap());
        let commit = |rolled_epoch| {
            let commit = CommittingTransactions { epoch: 1, transactions: vec![id(1)], rolled_epoch };
            (COMMITTING_TRANSACTIONS_KEY, commit.encode().unwrap())
        };
        let none = CommittingTransactions::default().encode().unwrap();
        let waiting = |name: &str| (WAITING_PROCESSOR_KEY, name.as_bytes().to_vec());
        let active = (STATE_KEY.to_owned(), Some(StreamState::Active.encode().unwrap()));
        let (no_commit, no_waiting) =
            ((COMMITTING_TRANSACTIONS_KEY.to_owned(), Some(none)), (WAITING_PROCESSOR_KEY.to_owned(), None));
        let all = [state(StreamState::CommittingTransactions), commit(None), waiting("CommitRequestHandler")];
        assert_eq!(entries(&all, METADATA), (true, vec![no_commit.clone(), active.clone(), no_waiting]));
        assert_eq!(entries(&[state(StreamState::Active), commit(None)], METADATA), (true, vec![no_commit]));
        assert_eq!(entries(&[state(StreamState::CommittingTransactions)], METADATA), (true, vec![active]));
        // Two new epochs may be half made.
        assert_eq!(entries(&[state(StreamState::CommittingTransactions), commit(Some(4))], METADATA), (true, vec![]));
        let others = [state(StreamState::Scaling), waiting("StreamRequestHandler")];
        assert_eq!(entries(&others, METADATA), (false, vec![]));
        assert_eq!(entries(&all, &METADATA.replace("stream/", "other/")), (true, vec![]));
    }
}

//! Transactions that were committed, by the word of the whole cluster.
//!
//! A transaction over several segments is merged segment by segment, and the parents may belong to different containers.
//! A crash can leave it merged here and still open there. What was merged anywhere had been committed, so the rest of it
//! has to follow; no controller would do it, since its own tables may be older than the commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dr_backends::tier2::Tier2;
use dr_formats::controller::{
    ActiveTransaction, COMMITTING_TRANSACTIONS_KEY, CommittingTransactions, CompletedTransaction, TransactionId,
    TransactionStatus, completed_transaction_of_key,
};
use dr_formats::names::{CONTROLLER_TABLES_PREFIX, ControllerTable, StreamSegment, parent_segment_of, transaction_id};
use dr_formats::table::TableEntry;

use crate::chain::chain_by_names;
use crate::error::Result;
use crate::listing::{ChunkObject, Listing};
use crate::table_scan::scan_table;

/// Transactions known to have been committed.
pub type Committed = BTreeSet<TransactionId>;

/// How transactions ended, as far as anything in the cluster tells.
pub type Fates = HashMap<TransactionId, Fate>;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its events are to be read.
    Committed,
    /// They are not.
    Aborted,
}

/// Transactions whose end is not known from their own container, and their streams.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Their ids.
    pub ids: BTreeSet<TransactionId>,
    /// Scope and stream of each.
    pub streams: BTreeSet<(String, String)>,
}

impl Open {
    /// The transactions to which these segments belong.
    pub fn of_segments<'a>(segments: impl Iterator<Item = &'a str>) -> Self {
        let mut open = Self::default();
        for segment in segments {
            let parent = parent_segment_of(segment).and_then(StreamSegment::parse);
            if let (Some(id), Some(parent)) = (transaction_id(segment), parent) {
                open.ids.insert(id);
                open.streams.insert((parent.scope.to_owned(), parent.stream.to_owned()));
            }
        }
        open
    }

    /// What the controller's tables say of them.
    ///
    /// # Errors
    /// Tier-2 errors. Damage in a table only ends what can be known from it.
    pub fn fates_by_controller(&self, listing: &Listing, tier2: &dyn Tier2) -> Result<Fates> {
        let prefixes = self.table_prefixes();
        let below = |prefix| listing.containers.iter().flat_map(move |listed| listed.chunks_below(prefix));
        let chunks: Vec<ChunkObject> = prefixes.iter().flat_map(|prefix: &String| below(prefix)).collect();
        let mut by_table: BTreeMap<&str, Vec<&ChunkObject>> = BTreeMap::new();
        for chunk in chunks.iter().filter(|chunk| ControllerTable::parse(chunk.segment()).is_some()) {
            by_table.entry(chunk.segment()).or_default().push(chunk);
        }
        let mut fates = Fates::new();
        for (table, chunks) in by_table {
            let chain = chain_by_names(&chunks);
            scan_table(&chain, chain.first_start, chain.end(), tier2, &mut |entry| {
                let ended = ended_transactions(table, entry).into_iter();
                fates.extend(ended.filter(|(id, _)| self.ids.contains(id)));
            })?;
        }
        Ok(fates)
    }

    /// How the names of the controller's tables begin that tell of these transactions.
    fn table_prefixes(&self) -> Vec<String> {
        let of_stream = |(scope, stream): &(String, String)| {
            [ACTIVE_PREFIX, METADATA_PREFIX].map(|table| format!("{CONTROLLER_TABLES_PREFIX}{scope}/{stream}/{table}"))
        };
        let completed = format!("{CONTROLLER_TABLES_PREFIX}{COMPLETED_PREFIX}");
        self.streams.iter().flat_map(of_stream).chain([completed]).collect()
    }
}

/// Prefix of the tables of transactions that are over.
pub(crate) const COMPLETED_PREFIX: &str = "completedTransactionsBatch-";
/// Prefix of the tables of a stream's transactions under way, one for each epoch.
pub(crate) const ACTIVE_PREFIX: &str = "transactionsInEpoch-";

/// Prefix of the table that names the transactions of a commit under way.
const METADATA_PREFIX: &str = "metadata.#.";

/// Transactions whose end a row tells. A transaction never comes back from there, so the row may have been replaced or
/// removed since; most are, when all is done.
fn ended_transactions(table: &str, entry: &TableEntry<'_>) -> Vec<(TransactionId, Fate)> {
    let (Ok(key), Some(value)) = (std::str::from_utf8(entry.key), entry.value) else { return Vec::new() };
    let ended = match ControllerTable::parse(table) {
        Some(ControllerTable::Cluster { .. }) => {
            let status = CompletedTransaction::decode(value).map(|transaction| transaction.status);
            completed_transaction_of_key(key).zip(status.ok().and_then(fate))
        }
        Some(ControllerTable::Stream { name: "metadata", .. }) if key == COMMITTING_TRANSACTIONS_KEY => {
            let committing = CommittingTransactions::decode(value).unwrap_or_default();
            return committing.transactions.into_iter().map(|id| (id, Fate::Committed)).collect();
        }
        _ => {
            let status = ActiveTransaction::decode(value).map(|transaction| transaction.status);
            TransactionId::parse(key).zip(status.ok().and_then(fate))
        }
    };
    ended.into_iter().collect()
}

fn fate(status: TransactionStatus) -> Option<Fate> {
    match status {
        TransactionStatus::Committing | TransactionStatus::Committed => Some(Fate::Committed),
        TransactionStatus::Aborting | TransactionStatus::Aborted => Some(Fate::Aborted),
        TransactionStatus::Unknown | TransactionStatus::Open => None,
    }
}

/// The transactions that a segment's chunks were taken over from.
pub fn merged_into<'a>(segment: &str, keys: impl Iterator<Item = &'a str>) -> Committed {
    let of_key = |key: &'a str| {
        let chunk = dr_formats::names::ChunkName::parse(key)?;
        (parent_segment_of(chunk.segment) == Some(segment)).then(|| transaction_id(chunk.segment))?
    };
    keys.filter_map(of_key).collect()
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::primitives::Writer;
    use dr_formats::table::write_entry;

    use super::*;
    use crate::listing::{ContainerObjects, ListedContainer};
    use crate::progress::Silent;

    const TABLE_ID: &str = "00000000-0000-0000-0000-000000000001";
    const PARENT: &str = "scope/stream/0.#epoch.0";

    fn id(number: u8) -> TransactionId {
        TransactionId::parse_digits(&format!("{number:032x}")).unwrap()
    }

    fn name(number: u8) -> String {
        format!("{PARENT}#transaction.{number:032x}")
    }

    fn active(status: u8) -> Vec<u8> {
        [&[0, 0, 1, 0, 0, 0, 0, 25][..], &[0; 24], &[status]].concat()
    }

    fn completed(status: u8) -> Vec<u8> {
        [&[0, 0, 1, 0, 0, 0, 0, 9][..], &[0; 8], &[status]].concat()
    }

    /// What the controller says of transactions 1 to 9, given the rows of two tables.
    fn fates(of_stream: &[(u8, Option<Vec<u8>>)], of_cluster: &[(u8, Option<Vec<u8>>)]) -> Vec<(u8, Fate)> {
        let tier2 = MemoryTier2::new();
        let add_table = |name: &str, rows: &[(u8, Option<Vec<u8>>)], key: &dyn Fn(u8) -> String| {
            let mut bytes = Vec::new();
            for (number, value) in rows {
                write_entry(key(*number).as_bytes(), value.as_deref(), None, &mut bytes).unwrap();
            }
            let chunk = ChunkObject::for_test(&format!("{CONTROLLER_TABLES_PREFIX}{name}"), 0, 1, 0);
            tier2.create(&chunk.key, &bytes).unwrap();
        };
        add_table(&format!("scope/stream/transactionsInEpoch-0.#.{TABLE_ID}"), of_stream, &|number| {
            id(number).to_string()
        });
        add_table("completedTransactionsBatch-0", of_cluster, &|number| {
            format!("Key.#.scope.#.stream.#./{}", id(number))
        });
        let listing = Listing::take_known(&tier2, 4, &Silent).unwrap();
        let names: Vec<String> = (1..10).map(name).collect();
        let open = Open::of_segments(names.iter().map(String::as_str));
        let fates = open.fates_by_controller(&listing, &tier2).unwrap();
        (1..10).filter_map(|number| Some((number, *fates.get(&id(number))?))).collect()
    }

    #[test]
    fn a_commit_or_an_end_that_any_row_of_the_controller_tells_is_final() {
        let rows = [
            (1, Some(active(1))),
            (1, Some(active(2))),
            (2, Some(active(1))),
            (3, Some(active(4))),
            (4, Some(active(2))),
            (4, None),
            (5, Some(vec![1, 2, 3])),
            (77, Some(active(2))),
        ];
        assert_eq!(fates(&rows, &[]), [(1, Fate::Committed), (3, Fate::Aborted), (4, Fate::Committed)]);
        let over = [(2, Some(completed(3))), (5, Some(completed(5)))];
        assert_eq!(fates(&[], &over), [(2, Fate::Committed), (5, Fate::Aborted)]);
    }

    #[test]
    fn a_commit_under_way_names_its_transactions() {
        let committing = |ids: &[u8]| {
            let mut writer = Writer::new();
            writer.write_single(|body| {
                body.i32(0);
                body.list(ids, |body, number| body.bytes(&id(*number).0.0));
                body.i32(i32::MIN);
            });
            writer.finish().unwrap()
        };
        let mut rows = Vec::new();
        for value in [committing(&[1, 2]), committing(&[])] {
            write_entry(b"committingTxns", Some(&value), None, &mut rows).unwrap();
        }
        write_entry(b"other", Some(&committing(&[3])), None, &mut rows).unwrap();
        let tier2 = MemoryTier2::new();
        let table = format!("{CONTROLLER_TABLES_PREFIX}scope/stream/metadata.#.{TABLE_ID}");
        tier2.create(&ChunkObject::for_test(&table, 0, 1, 0).key, &rows).unwrap();
        let listing = Listing::take_known(&tier2, 4, &Silent).unwrap();
        let names: Vec<String> = (1..10).map(name).collect();
        let fates = Open::of_segments(names.iter().map(String::as_str)).fates_by_controller(&listing, &tier2).unwrap();
        assert_eq!(fates, Fates::from([(id(1), Fate::Committed), (id(2), Fate::Committed)]));
    }

    #[test]
    fn chunks_of_transactions_in_their_parent_tell_that_they_are_merged() {
        let keys = [
            ChunkObject::for_test(&name(1), 0, 1, 5).key,
            ChunkObject::for_test(PARENT, 5, 1, 5).key,
            ChunkObject::for_test("scope/other/0.#epoch.0#transaction.00000000000000000000000000000002", 0, 1, 5).key,
        ];
        assert_eq!(merged_into(PARENT, keys.iter().map(|key| &**key)), Committed::from([id(1)]));
    }

    #[test]
    fn other_containers_are_asked_only_if_they_have_objects_of_the_transaction() {
        let open = Open::of_segments([name(1).as_str(), PARENT].into_iter());
        assert_eq!((open.ids.len(), open.streams.len()), (1, 1));
        let listed = |segment: &str| {
            let chunks = vec![ChunkObject::for_test(segment, 0, 1, 1)];
            ListedContainer::from(ContainerObjects::for_test(chunks))
        };
        assert!(listed(&name(1)).has_any_of(&open.ids));
        for other in [name(2).as_str(), PARENT] {
            assert!(!listed(other).has_any_of(&open.ids), "{other}");
        }
    }
}

//! Work that controllers had under way, and the ZNodes by which an unmodified controller takes it over. See design note 014.
//!
//! A controller that starts looks for what others left: transactions, requests, readers that are gone. All of that is known to it
//! only by ZNodes; with ZooKeeper lost, the tables still tell what they must have said. An entry too many does no harm: a
//! controller looks at its tables before it acts.

use std::collections::BTreeSet;

use dr_formats::controller::{
    self, ActiveTransaction, CommitOrder, Request, TransactionId, TransactionStatus, encode_event_processors,
    event_processors_node, transaction_index_data, transaction_index_node,
};
use dr_formats::names::SYSTEM_SCOPE;

use super::event_processors::{EventProcessors, event_processors};
use super::progress::StreamProgress;
use super::tables::{ControllerTables, TransactionRow};
use super::{ControllerEvidence, StreamName};
use crate::contract::{PendingWork, PendingZNode};
use crate::error::Result;
use crate::image::unencodable;
use crate::survey::Survey;
use crate::time::timestamp;

/// The controller of whom all of it was: one that never was, so that any controller takes it over. Always the same, so that a
/// second recovery writes the same nodes.
const GONE_CONTROLLER: &str = "recovery-00000000-0000-0000-0000-000000000000";

impl Survey {
    /// What controllers had under way; always in the same order.
    ///
    /// # Errors
    /// Tier-2 errors; those of [`Survey::evidence`] for the containers of the controllers' own reader groups.
    pub(crate) fn pending_work(&self) -> Result<Vec<PendingWork>> {
        pending_work(&*self.controller_tables()?, &event_processors(self)?)
    }
}

fn pending_work(tables: &ControllerTables, groups: &[EventProcessors]) -> Result<Vec<PendingWork>> {
    let mut list = List::default();
    groups.iter().try_for_each(|group| list.add_event_processors(group))?;
    for (stream, row) in tables.transactions() {
        let committing = tables.evidence.progress(stream).map_or(&[][..], |progress| &progress.committing);
        list.add_transaction(stream, row, committing)?;
    }
    list.add_streams(&tables.evidence)?;
    Ok(list.works)
}

impl ControllerEvidence {
    /// What was being done with streams, and a controller can go on with, or somebody has to.
    ///
    /// # Errors
    /// `name-unencodable`.
    pub(crate) fn pending_requests(&self) -> Result<Vec<PendingWork>> {
        let mut list = List::default();
        list.add_streams(self)?;
        Ok(list.works)
    }
}

#[derive(Default)]
struct List {
    works: Vec<PendingWork>,
    /// Nodes of several works.
    shared: BTreeSet<String>,
}

impl List {
    fn add(&mut self, kind: &str, subject: &str, reason: impl Into<String>, path: String, data: Vec<u8>) {
        let znode = Some(PendingZNode { path, data });
        self.works.push(PendingWork {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            reason: reason.into(),
            znode,
        });
    }

    fn attend(&mut self, subject: &str, reason: impl Into<String>) {
        let (kind, subject) = ("attention".to_owned(), subject.to_owned());
        self.works.push(PendingWork { kind, subject, reason: reason.into(), znode: None });
    }

    fn add_event_processors(&mut self, group: &EventProcessors) -> Result<()> {
        let EventProcessors { group, readers } = group;
        let subject = format!("reader group {SYSTEM_SCOPE}/{group}");
        let Some(readers) = readers else {
            self.attend(
                &subject,
                "its state cannot be read; if readers that are gone hold its segments, no request of its kind is processed",
            );
            return Ok(());
        };
        if readers.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = readers.iter().map(String::as_str).collect();
        let data = encode_event_processors(&ids).map_err(|error| unencodable(&subject, error))?;
        let reason = format!(
            "the controllers of its readers {} are gone, and what they hold is given to others only when they are taken out",
            ids.join(", ")
        );
        self.add("event-processors", &subject, reason, event_processors_node(GONE_CONTROLLER, group), data);
        Ok(())
    }

    fn add_transaction(
        &mut self,
        stream: &StreamName,
        (key, row): &TransactionRow,
        committing: &[TransactionId],
    ) -> Result<()> {
        let (scope, name) = stream;
        let subject = format!("transaction {key} of {scope}/{name}");
        let (Some(id), Some(row)) = (TransactionId::parse(key), row) else {
            self.attend(&subject, "its row cannot be read; if its client does not end it, it stays");
            return Ok(());
        };
        let Some(reason) = reason_for_transaction(row) else {
            self.attend(
                &subject,
                format!("its row says `{}`, of which no controller makes anything", row.status.as_str()),
            );
            return Ok(());
        };
        if row.status == TransactionStatus::Committing && !committing.contains(&id) {
            match row.commit_order {
                Some(order) => self.add_commit_order(stream, id, order),
                None => self.attend(
                    &subject,
                    "its commit had begun, but its row names no place in the order of commits, so no controller goes on with it",
                ),
            }
        }
        let data = transaction_index_data().map_err(|error| unencodable(&subject, error))?;
        self.add("transaction", &subject, reason, transaction_index_node(GONE_CONTROLLER, scope, name, id), data);
        Ok(())
    }

    fn add_commit_order(&mut self, (scope, stream): &StreamName, id: TransactionId, order: CommitOrder) {
        let subject = format!("transaction {id} of {scope}/{stream}");
        let reason = "its commit had begun, and a controller commits only what stands in the order of commits";
        let entity = order.entity_node(scope, stream);
        self.add("commit-order", &subject, reason, entity, id.to_string().into_bytes());
        let subject = format!("stream {scope}/{stream}");
        let reason = "later commits must not be counted from 0 beside those whose places are restored";
        let seal = order.seal_node(scope, stream);
        if self.shared.insert(seal.clone()) {
            self.add("commit-order", &subject, reason, seal, Vec::new());
        }
    }

    fn add_streams(&mut self, evidence: &ControllerEvidence) -> Result<()> {
        evidence.under_way().try_for_each(|(stream, progress)| self.add_stream(stream, progress))
    }

    fn add_stream(&mut self, stream: &StreamName, progress: &StreamProgress) -> Result<()> {
        let (scope, name) = stream;
        let subject = format!("stream {scope}/{name}");
        for (request, reason) in requests(progress) {
            let data = request.encode(scope, name).map_err(|error| unencodable(&subject, error))?;
            self.add("request", &subject, reason, request.node(GONE_CONTROLLER, scope, name), data);
        }
        attentions(progress).into_iter().for_each(|reason| self.attend(&subject, reason));
        Ok(())
    }
}

/// Why a controller has to find a transaction; none for one that it would forget at once.
fn reason_for_transaction(row: &ActiveTransaction) -> Option<String> {
    match row.status {
        TransactionStatus::Open => Some(format!(
            "it is open, and a controller gives it one more lease and aborts it when that ends, if it is started before {} less three \
             times its `controller.transaction.lease.count.max`; later it stays open for ever, unless it is aborted with \
             `TransactionalEventStreamWriter.getTxn(id).abort()`",
            timestamp(u64::try_from(row.maximum_execution_expiry).unwrap_or(0) / 1000)
        )),
        TransactionStatus::Committing => Some("its commit had begun, and is asked for again".to_owned()),
        TransactionStatus::Aborting => Some("its abort had begun, and is asked for again".to_owned()),
        TransactionStatus::Unknown | TransactionStatus::Committed | TransactionStatus::Aborted => None,
    }
}

/// What to ask for again so that a stream comes to rest, with the reasons. The state and the row of a change can disagree
/// after a crash; asking for what is done already does no harm.
fn requests(progress: &StreamProgress) -> Vec<(Request<'_>, &'static str)> {
    use controller::StreamState as State;
    let state = progress.state;
    let mut requests = Vec::new();
    if state == Some(State::Scaling) || progress.transition.is_some() {
        let reason = "it was being scaled, and every other request waits for the end of that";
        requests.push((Request::Scale(progress.transition.as_ref()), reason));
    }
    if state == Some(State::Truncating) || progress.is_truncating {
        let reason = "it was being truncated, and no other truncation is accepted before the end of that";
        requests.push((Request::Truncate, reason));
    }
    if state == Some(State::Updating) || progress.is_updating {
        let reason = "its configuration was being changed, and no other change is accepted before the end of that";
        requests.push((Request::Update, reason));
    }
    if state == Some(State::Sealing) {
        requests
            .push((Request::Seal, "it was being sealed, and nothing else can be done with it before the end of that"));
    }
    requests
}

/// What no ZNode helps with.
fn attentions(progress: &StreamProgress) -> Vec<String> {
    use controller::StreamState as State;
    let mut attentions = Vec::new();
    if progress.state == Some(State::Creating) {
        attentions.push("it was being created; create it once more with the same configuration".to_owned());
    }
    if let Some(processor) = &progress.waiting_processor {
        attentions.push(format!(
            "only requests for `{processor}` are processed on it until there is one; {}",
            if processor == controller::COMMIT_PROCESSOR {
                "commit a transaction on it"
            } else {
                "scale, truncate or update it"
            }
        ));
    }
    if progress.state == Some(State::CommittingTransactions) || !progress.committing.is_empty() {
        attentions.push(
            "transactions were being committed; if it accepts no other request later on, commit another transaction on it"
                .to_owned(),
        );
    }
    if !progress.unreadable.is_empty() {
        let keys = progress.unreadable.join("`, `");
        attentions.push(format!("the rows `{keys}` of its table cannot be read, so what was under way may not end"));
    }
    attentions
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::{MemoryTier2, Tier2};
    use dr_formats::controller::StreamState;
    use dr_formats::names::CONTROLLER_TABLES_PREFIX;
    use dr_formats::table::write_entry;

    use super::*;
    use crate::listing::{ChunkObject, Listing};
    use crate::progress::Silent;

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    type Rows<'a> = &'a [(&'a str, Option<Vec<u8>>)];

    fn works(tables: &[(&str, Rows<'_>)], groups: &[EventProcessors]) -> Vec<PendingWork> {
        let tier2 = MemoryTier2::new();
        for (table, rows) in tables {
            let mut bytes = Vec::new();
            for (key, value) in *rows {
                write_entry(key.as_bytes(), value.as_deref(), None, &mut bytes).unwrap();
            }
            let chunk = ChunkObject::for_test(&format!("{CONTROLLER_TABLES_PREFIX}{table}"), 0, 1, 0);
            tier2.create(&chunk.key, &bytes).unwrap();
        }
        let listing = Listing::take_known(&tier2, 4, &Silent).unwrap();
        pending_work(&ControllerTables::read(&listing, &tier2).unwrap(), groups).unwrap()
    }

    /// Kind, and path below the invented controller or what to attend to.
    fn told(works: &[PendingWork]) -> Vec<(&str, String)> {
        let told = |work: &PendingWork| match &work.znode {
            Some(znode) => znode.path.replace(GONE_CONTROLLER, "GONE"),
            None => format!("{}: {}", work.subject, work.reason),
        };
        works.iter().map(|work| (work.kind.as_str(), told(work))).collect()
    }

    fn id(number: u8) -> String {
        TransactionId::parse_digits(&format!("{number:032x}")).unwrap().to_string()
    }

    fn transaction(status: u8, order: i64) -> Option<Vec<u8>> {
        let head = [&[0, 0, 2, 0, 0, 0, 0, 25][..], &[0; 16], &86_400_000_i64.to_be_bytes(), &[status]].concat();
        Some([&head[..], &[1, 0, 0, 0, 18, 0, 0], &[0; 8], &order.to_be_bytes()].concat())
    }

    fn state(state: StreamState) -> Option<Vec<u8>> {
        Some(state.encode().unwrap())
    }

    fn truncation(is_under_way: bool) -> Option<Vec<u8>> {
        Some([&[0, 0, 1, 0, 0, 0, 0, 13][..], &[0; 12], &[u8::from(is_under_way)]].concat())
    }

    #[test]
    fn each_transaction_under_way_is_handed_over_and_those_being_committed_keep_their_order() {
        let table = format!("s/t/transactionsInEpoch-0.#.{ID}");
        let rows = [
            (&*id(1), transaction(1, i64::MIN)),
            (&*id(2), transaction(2, 1 << 32 | 7)),
            (&*id(3), transaction(2, 1 << 32 | 9)),
            (&*id(4), transaction(4, i64::MIN)),
            (&*id(5), transaction(1, i64::MIN)),
            (&*id(5), None),
            (&*id(6), Some(b"?".to_vec())),
        ];
        let works = works(&[(&table, &rows)], &[]);
        let index = |number| ("transaction", format!("hostTxnIndex/GONE/s_%_t_%_{}", id(number)));
        let order = |node: &str| ("commit-order", format!("txnCommitOrderer/s/t/collections/1/{node}"));
        let unreadable =
            format!("transaction {} of s/t: its row cannot be read; if its client does not end it, it stays", id(6));
        let expected = [
            index(1),
            order("entities/pos0000000007"),
            order("sealed"),
            index(2),
            order("entities/pos0000000009"),
            index(3),
            index(4),
            ("attention", unreadable),
        ];
        assert_eq!(told(&works), expected);
        assert!(works[0].reason.contains("before 1970-01-02T00:00:00Z"), "{}", works[0].reason);
        assert_eq!(works[1].znode.as_ref().unwrap().data, id(2).into_bytes());
    }

    #[test]
    fn what_a_commit_under_way_names_needs_no_place_in_the_order() {
        let mut committing = [&[0, 0, 1, 0, 0, 0, 0, 25, 0, 0, 0, 0, 1][..], &[0; 16], &[0x80, 0, 0, 0]].concat();
        committing[28] = 2;
        let rows = [
            ("state", state(StreamState::CommittingTransactions)),
            ("truncation", truncation(false)),
            ("committingTxns", Some(committing)),
        ];
        let (stream, active) = (format!("s/t/metadata.#.{ID}"), format!("s/t/transactionsInEpoch-0.#.{ID}"));
        let works = works(&[(&stream, &rows), (&active, &[(&id(2), transaction(2, 7))])], &[]);
        let kinds: Vec<&str> = works.iter().map(|work| work.kind.as_str()).collect();
        assert_eq!(kinds, ["transaction", "attention"]);
    }

    #[test]
    fn streams_in_a_transition_are_asked_for_again_by_state_and_by_row() {
        let asked = |rows: Rows<'_>| {
            let table = format!("s/t/metadata.#.{ID}");
            let works = works(&[(&table, rows)], &[]);
            told(&works).into_iter().map(|(_, path)| path.replace("hostRequestIndex/GONE/", "")).collect::<Vec<_>>()
        };
        use StreamState::{Active, Scaling, Sealed, Sealing, Truncating, Updating};
        let at_rest = ("truncation", truncation(false));
        for (now, expected) in [
            (Active, &[][..]),
            (Sealed, &[]),
            (Sealing, &["seal_%_s_%_t"]),
            (Scaling, &["scale_%_s_%_t"]),
            (Truncating, &["truncate_%_s_%_t"]),
            (Updating, &["update_%_s_%_t"]),
        ] {
            assert_eq!(asked(&[("state", state(now)), at_rest.clone()]), expected, "{now:?}");
        }
        assert_eq!(asked(&[("state", state(Active)), ("truncation", truncation(true))]), ["truncate_%_s_%_t"]);
        // A key-value table, whose states are others.
        assert_eq!(asked(&[("state", state(Updating))]), [""; 0]);
        let waiting = ("waitingRequestProcessor", Some(b"CommitRequestHandler".to_vec()));
        let told = asked(&[("state", state(Active)), at_rest, waiting]);
        assert!(told[0].ends_with("commit a transaction on it"), "{told:?}");
    }

    #[test]
    fn tables_of_deleted_streams_do_not_count() {
        let rows = [("state", state(StreamState::Sealing)), ("truncation", truncation(false))];
        let of = |id: &str| format!("s/t/metadata.#.{id}");
        let scope = format!("s/streamsInScope.#.{ID}");
        let present = dr_formats::primitives::Uuid::from_halves(0, 1).0.to_vec();
        let in_scope: Rows<'_> = &[("t", Some(present))];
        let others = of("00000000-0000-0000-0000-000000000002");
        assert_eq!(works(&[(&others, &rows), (&scope, in_scope)], &[]), []);
        assert_eq!(works(&[(&of(ID), &rows), (&scope, in_scope)], &[]).len(), 1);
        assert_eq!(works(&[(&of(ID), &rows), (&scope, &[("t", None)])], &[]), []);
    }

    #[test]
    fn readers_are_taken_out_of_the_groups_that_have_some() {
        let group = |readers| EventProcessors { group: "scaleGroup", readers };
        let works = works(&[], &[group(Some(vec!["a".into(), "b".into()])), group(Some(vec![])), group(None)]);
        assert_eq!(told(&works)[0], ("event-processors", "eventProcessors/GONE/scaleGroup".to_owned()));
        assert_eq!(works[0].znode.as_ref().unwrap().data, encode_event_processors(&["a", "b"]).unwrap());
        assert_eq!((works.len(), &*works[1].kind), (2, "attention"));
    }
}

//! Writing a ledger: many entries on the way, each on as many bookies as the write quorum.

use std::sync::Arc;

use dr_formats::bookie_protocol::{Request, Status};
use dr_formats::ledger_entry::{EntryCodec, EntryHeader, MasterKey};

use super::super::ledger_nodes::{LedgerNodes, OpenLedger};
use super::super::{ClosedLedger, LedgerLayout, LedgerWriter, Tier1Error, check_entry_size};
use super::bookies::Bookies;
use super::connection::{AnswerHandler, Connection};
use super::pipeline::{Failure, Interruption, Pipeline, Window};

/// A ledger on bookies that is being written.
pub(super) struct BookKeeperWriter {
    nodes: Arc<LedgerNodes>,
    bookies: Arc<Bookies>,
    ensemble: Vec<Arc<Connection>>,
    ledger: OpenLedger,
    write_quorum: usize,
    codec: EntryCodec,
    master_key: MasterKey,
    pipeline: Arc<Pipeline>,
    next_entry: i64,
    length: i64,
}

impl BookKeeperWriter {
    pub(super) fn new(
        nodes: Arc<LedgerNodes>,
        bookies: Arc<Bookies>,
        ensemble: Vec<Arc<Connection>>,
        ledger: OpenLedger,
        layout: &LedgerLayout,
    ) -> Self {
        let options = bookies.options();
        let window = Window { entries: options.window_entries.max(1), bytes: options.window_bytes };
        let pipeline = Arc::new(Pipeline::new(layout.ack_quorum, window, options.request_timeout));
        let access = nodes.access();
        let codec = EntryCodec::new(access.digest_type, &access.password);
        let master_key = access.password.master_key();
        let write_quorum = layout.write_quorum;
        Self { nodes, bookies, ensemble, ledger, write_quorum, codec, master_key, pipeline, next_entry: 0, length: 0 }
    }

    /// Places in the ensemble that hold an entry: BookKeeper's round robin.
    fn members_of(&self, entry: i64) -> Vec<usize> {
        let size = self.ensemble.len();
        let first = usize::try_from(entry).unwrap_or_default() % size;
        (0..self.write_quorum).map(|copy| (first + copy) % size).collect()
    }

    /// Turns the end of waiting into an error, and remembers the bookie that is to blame.
    fn interrupted(&self, interruption: Interruption) -> Tier1Error {
        let failure = match interruption {
            Interruption::Failed(failure) => failure,
            Interruption::Overdue(overdue) => {
                let waited = self.bookies.options().request_timeout.as_secs_f32();
                let reason = format!("no confirmation of entry {} within {waited:.1} s", overdue.entry);
                let connection = &self.ensemble[overdue.member];
                connection.give_up(&reason);
                let failure = Failure::Silent { bookie: connection.bookie().to_owned(), reason };
                self.pipeline.fail(failure.clone());
                failure
            }
        };
        self.bookies.suspect(failure.bookie());
        failure.to_error(self.ledger.id)
    }

    /// What happens when a bookie answers, or cannot.
    fn answer_handler(&self, entry: i64, member: usize) -> AnswerHandler {
        let pipeline = Arc::clone(&self.pipeline);
        let bookie = self.ensemble[member].bookie().to_owned();
        Box::new(move |answer| match answer.map(|response| response.status) {
            Ok(Status::Ok) => pipeline.acknowledge(entry, member),
            Ok(status) => pipeline.fail(Failure::Refused { bookie, reason: format!("entry {entry}: {status}") }),
            Err(reason) => pipeline.fail(Failure::Silent { bookie, reason }),
        })
    }

    fn send(&self, header: EntryHeader, payload: &[u8], members: &[usize]) -> Result<(), Tier1Error> {
        let mut entry = Vec::new();
        self.codec.encode(header, payload, &mut entry);
        let (ledger_id, entry_id, master_key) = (header.ledger_id, header.entry_id, self.master_key);
        let request = Request::Add { ledger_id, entry_id, master_key, entry: entry.into(), recovery: false };
        let transaction = self.bookies.next_transaction();
        let frame = request.encode(transaction).map_err(|error| Tier1Error::Refused {
            location: self.nodes.location(),
            ledger: ledger_id,
            reason: error.to_string(),
        })?;
        let frame = Arc::new(frame);
        for &member in members {
            let handler = self.answer_handler(entry_id, member);
            self.ensemble[member].send(transaction, Arc::clone(&frame), handler);
        }
        Ok(())
    }
}

impl LedgerWriter for BookKeeperWriter {
    fn id(&self) -> i64 {
        self.ledger.id
    }

    fn append(&mut self, payload: &[u8]) -> Result<(), Tier1Error> {
        check_entry_size(&self.nodes.location(), self.ledger.id, payload)?;
        let members = self.members_of(self.next_entry);
        let confirmed = self
            .pipeline
            .admit(payload.len(), members.clone())
            .map_err(|interruption| self.interrupted(interruption))?;
        self.length += payload.len().cast_signed() as i64;
        let header = EntryHeader {
            ledger_id: self.ledger.id,
            entry_id: self.next_entry,
            last_add_confirmed: confirmed,
            length: self.length,
        };
        self.next_entry += 1;
        self.send(header, payload, &members)
    }

    fn close(self: Box<Self>) -> Result<ClosedLedger, Tier1Error> {
        // Not only the ack quorum: a recovered log should have all its copies before anybody relies on it.
        self.pipeline.drain().map_err(|interruption| self.interrupted(interruption))?;
        self.nodes.close(self.ledger, self.next_entry - 1, self.length)
    }
}

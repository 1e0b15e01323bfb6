//! Reading a closed ledger: a few entries ahead, from another copy if one is missing or damaged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use dr_formats::bookie_protocol::{Request, Response, ResponseBody, Status};
use dr_formats::ledger_entry::EntryCodec;
use dr_formats::ledger_metadata::LedgerMetadata;

use super::super::ledger_nodes::LedgerNodes;
use super::super::{EntryVisitor, Tier1Error};
use super::bookies::Bookies;
use super::connection::Connection;

/// Reads one ledger once.
pub(super) struct LedgerReader<'a> {
    nodes: &'a LedgerNodes,
    bookies: &'a Bookies,
    metadata: &'a LedgerMetadata,
    ledger: i64,
    codec: EntryCodec,
}

/// An entry that was asked for.
struct Asked {
    entry: i64,
    /// Bookies that have not been asked yet.
    others: Vec<String>,
    copy: Copy,
}

/// An answer that is on its way.
struct Expected {
    connection: Arc<Connection>,
    answer: Receiver<Result<Vec<u8>, Absence>>,
}

/// One bookie's copy of an entry: the answer on its way, or why there is none.
struct Copy {
    bookie: String,
    answer: Result<Expected, Absence>,
}

/// Why a bookie did not give an entry.
#[derive(Debug)]
enum Absence {
    /// It cannot be reached, or does not answer.
    Silent(String),
    /// It answered that it has none, or gave bytes that are wrong.
    Unusable(String),
}

impl Absence {
    fn reason(&self) -> &str {
        match self {
            Self::Silent(reason) | Self::Unusable(reason) => reason,
        }
    }
}

impl<'a> LedgerReader<'a> {
    pub(super) fn new(nodes: &'a LedgerNodes, bookies: &'a Bookies, metadata: &'a LedgerMetadata, ledger: i64) -> Self {
        Self { nodes, bookies, metadata, ledger, codec: nodes.codec_of(metadata) }
    }

    /// Visits the entries from 0 to `last` in order.
    pub(super) fn read_to(&self, last: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        self.read(last, visit)?.map_or(Ok(()), Err)
    }

    /// Visits the entries from 0 on in order, up to `last` or the first that no bookie has whole.
    pub(super) fn read_until_missing(&self, last: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        self.read(last, visit).map(drop)
    }

    /// Visits the entries from 0 to `last` in order. Returns why one was missing, if one was.
    fn read(&self, last: i64, visit: &mut EntryVisitor<'_>) -> Result<Option<Tier1Error>, Tier1Error> {
        let mut ahead = VecDeque::new();
        let mut next = 0;
        loop {
            while next <= last && ahead.len() < self.bookies.options().read_ahead.max(1) {
                ahead.push_back(self.ask(next)?);
                next += 1;
            }
            let Some(asked) = ahead.pop_front() else { return Ok(None) };
            let entry = asked.entry;
            let body = match self.receive(asked) {
                Err(missing @ Tier1Error::Damaged { .. }) => return Ok(Some(missing)),
                received => received?,
            };
            let decoded =
                self.codec.decode(&body).map_err(|error| self.nodes.damaged(self.ledger, error.to_string()))?;
            visit(entry, decoded.payload)?;
        }
    }

    /// Bookies that hold an entry, in BookKeeper's order, which spreads the reading where the copies are fewer than the
    /// bookies.
    fn holders_of(&self, entry: i64) -> Result<Vec<String>, Tier1Error> {
        let ensemble = self.metadata.ensemble_of(entry).filter(|ensemble| !ensemble.bookies.is_empty());
        let bookies = &ensemble
            .ok_or_else(|| self.nodes.damaged(self.ledger, format!("its metadata name no bookie for entry {entry}")))?
            .bookies;
        let first = usize::try_from(entry).unwrap_or_default() % bookies.len();
        let copies = (self.metadata.write_quorum as usize).min(bookies.len());
        Ok((0..copies).map(|copy| bookies[(first + copy) % bookies.len()].clone()).collect())
    }

    fn ask(&self, entry: i64) -> Result<Asked, Tier1Error> {
        let mut others = self.holders_of(entry)?;
        let first = others.remove(0);
        // Asked last to first.
        others.reverse();
        Ok(Asked { entry, others, copy: self.ask_bookie(first, entry) })
    }

    fn ask_bookie(&self, bookie: String, entry: i64) -> Copy {
        let connection = match self.bookies.connection(&bookie) {
            Ok(connection) => connection,
            Err(error) => {
                let reason = match error {
                    Tier1Error::Unavailable { reason, .. } => reason,
                    error => error.to_string(),
                };
                return Copy { bookie, answer: Err(Absence::Silent(reason)) };
            }
        };
        let (sender, receiver) = sync_channel(1);
        let transaction = self.bookies.next_transaction();
        let request = Request::Read { ledger_id: self.ledger, entry_id: entry };
        let frame = match request.encode(transaction) {
            Ok(frame) => Arc::new(frame),
            Err(error) => return Copy { bookie, answer: Err(Absence::Unusable(error.to_string())) },
        };
        let handler = Box::new(move |answer: Result<Response, String>| {
            // Nobody listens any more if the reading ended early.
            let _ = sender.try_send(answer.map_err(Absence::Silent).and_then(entry_in));
        });
        connection.send(transaction, frame, handler);
        Copy { bookie, answer: Ok(Expected { connection, answer: receiver }) }
    }

    /// The entry's bytes with a right digest, from the first copy that has them.
    fn receive(&self, asked: Asked) -> Result<Vec<u8>, Tier1Error> {
        let Asked { entry, mut others, mut copy } = asked;
        let mut findings = Vec::new();
        let mut silent = false;
        loop {
            let bookie = copy.bookie.clone();
            match self.receive_copy(copy, entry) {
                Ok(body) => return Ok(body),
                Err(absence) => {
                    tracing::debug!(ledger = self.ledger, entry, bookie, ?absence, "trying another copy");
                    silent |= matches!(absence, Absence::Silent(_));
                    findings.push(format!("bookie {bookie}: {}", absence.reason()));
                }
            }
            match others.pop() {
                Some(next) => copy = self.ask_bookie(next, entry),
                None => break,
            }
        }
        let reason = format!("entry {entry} cannot be read ({})", findings.join("; "));
        // As long as a bookie is silent, nobody can say that the entry is lost.
        Err(if silent {
            Tier1Error::Unavailable {
                location: self.nodes.location(),
                reason: format!("ledger {}: {reason}", self.ledger),
            }
        } else {
            self.nodes.damaged(self.ledger, reason)
        })
    }

    fn receive_copy(&self, copy: Copy, entry: i64) -> Result<Vec<u8>, Absence> {
        let Expected { connection, answer } = copy.answer?;
        let limit = self.bookies.options().request_timeout;
        let body = match answer.recv_timeout(limit) {
            Ok(body) => body?,
            Err(RecvTimeoutError::Timeout) => {
                let reason = format!("no answer within {:.1} s", limit.as_secs_f32());
                connection.give_up(&reason);
                self.bookies.suspect(&copy.bookie);
                return Err(Absence::Silent(reason));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Absence::Silent("the answer was lost".to_owned())),
        };
        let header = self.codec.decode(&body).map_err(|error| Absence::Unusable(error.to_string()))?.header;
        if (header.ledger_id, header.entry_id) != (self.ledger, entry) {
            return Err(Absence::Unusable(format!("it gave entry {} of ledger {}", header.entry_id, header.ledger_id)));
        }
        Ok(body)
    }
}

/// The entry in an answer.
fn entry_in(response: Response) -> Result<Vec<u8>, Absence> {
    match (response.status, response.body) {
        (Status::Ok, ResponseBody::Read { entry: Some(entry), .. }) => Ok(entry),
        (Status::Ok, _) => Err(Absence::Unusable("the answer holds no entry".to_owned())),
        (status @ (Status::NoLedger | Status::NoEntry), _) => Err(Absence::Unusable(status.to_string())),
        // Its disk may hold the entry all the same.
        (status, _) => Err(Absence::Silent(status.to_string())),
    }
}

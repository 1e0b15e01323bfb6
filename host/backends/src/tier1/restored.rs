//! What is written again when ZooKeeper is lost and bookies still have their disks.

use std::collections::BTreeSet;

use dr_formats::ledger_entry::DigestType;
use dr_formats::ledger_metadata::LedgerState;

/// A ledger that bookies hold, and whose metadata are lost. It is registered as closed: nobody may add to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredLedger {
    /// Id.
    pub id: i64,
    /// Bookies that take turns.
    pub ensemble_size: usize,
    /// Copies of each entry.
    pub write_quorum: usize,
    /// Copies that were confirmed.
    pub ack_quorum: usize,
    /// How its entries are protected.
    pub digest_type: DigestType,
    /// Id of the last entry.
    pub last_entry: i64,
    /// Payload bytes.
    pub length: i64,
    /// First entry and bookies of each stretch; the first begins at 0.
    pub stretches: Vec<(i64, Vec<String>)>,
    /// Custom metadata, in this order.
    pub custom_metadata: Vec<(String, Vec<u8>)>,
}

/// What old bookies need in ZooKeeper to start with the data that they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookieRegistration {
    /// Instance id of the BookKeeper cluster, if its bookies have one: exactly then they ask for it.
    pub instance_id: Option<String>,
    /// Id of each bookie and the bytes of its cookie, as they stand on its disks in the file `VERSION`.
    pub cookies: Vec<(String, Vec<u8>)>,
    /// The highest id of any ledger that was seen: new ledgers get higher ones, lost disks or not. None if the counter of ids that is
    /// there gives higher ones by itself, and is left alone.
    pub highest_ledger: Option<i64>,
}

/// A ledger that is registered, by its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredLedger {
    /// Id.
    pub id: i64,
    /// Version of the metadata, the compare-and-set token.
    pub version: i32,
    /// Segment container whose log it belongs to, by the custom metadata that Pravega gives it.
    pub container: Option<u32>,
    /// Open, or closed with its end.
    pub state: LedgerState,
    /// Bookies that hold any part of it.
    pub bookies: BTreeSet<String>,
    /// Random at creation, 0 after every later change.
    pub creation_token: Option<i64>,
}

impl RegisteredLedger {
    /// Last entry and payload bytes; none if it was never closed.
    #[must_use]
    pub fn end(&self) -> Option<(i64, i64)> {
        match self.state {
            LedgerState::Closed { last_entry, length } => Some((last_entry, length)),
            LedgerState::Open | LedgerState::InRecovery => None,
        }
    }
}

/// A registered ledger that was never closed, and the end that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerClosing {
    /// Id.
    pub id: i64,
    /// Version that its metadata must have.
    pub expected_version: i32,
    /// Its state before: open or in recovery.
    pub state_before: LedgerState,
    /// The token of its metadata before.
    pub token_before: Option<i64>,
    /// Id of the last entry.
    pub last_entry: i64,
    /// Payload bytes.
    pub length: i64,
}

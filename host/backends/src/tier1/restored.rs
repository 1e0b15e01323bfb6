//! What is written again when ZooKeeper is lost and bookies still have their disks.

use dr_formats::ledger_entry::DigestType;

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
    /// The highest id of any ledger that was seen. New ledgers get higher ones, lost disks or not.
    pub highest_ledger: i64,
}

/// A ledger that is registered, by its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisteredLedger {
    /// Id.
    pub id: i64,
    /// Segment container whose log it belongs to, by the custom metadata that Pravega gives it.
    pub container: Option<u32>,
    /// Last entry and payload bytes; none if it was never closed.
    pub end: Option<(i64, i64)>,
}

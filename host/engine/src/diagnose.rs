//! Looks at what is left of a cluster and says which loss this is. Changes nothing, whatever state the cluster is in.
//!
//! [`look`] gathers the facts and does all the input and output; [`Diagnosis::of`] judges them and does none, so that every
//! rule can be tested from facts that are written down.

mod judge;
mod look;
#[cfg(test)]
mod tests;

use dr_backends::tier1::{BookieSights, LedgerSight};
use dr_formats::log_metadata::LedgerStatus;
use serde::Serialize;

pub use self::judge::{ContainerDiagnosis, ContainerState, Diagnosis, Scenario};
pub use self::look::{Tier1ToLookAt, look, look_at_contents};
use crate::apply::InProgress;
use crate::cluster::LiveServer;
use crate::contract::ContainerId;
use crate::error::OperatorError;

/// Ledgers that a bookie is asked for when ZooKeeper knows none, from 0: bookies cannot list what they hold.
pub const LEDGERS_ASKED_FOR: i64 = 10_000;

/// What was seen.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Tier-2, or why it cannot be looked at.
    pub tier2: std::result::Result<Tier2Facts, OperatorError>,
    /// Tier-1, or why it cannot be looked at.
    pub tier1: std::result::Result<Tier1Facts, OperatorError>,
}

/// What was seen of Tier-2.
#[derive(Debug, Clone, Default)]
pub struct Tier2Facts {
    /// Objects that are evidence.
    pub objects: u64,
    /// Their sizes added up.
    pub bytes: u64,
    /// A recovery that has begun and not ended.
    pub in_progress: Option<InProgress>,
    /// The last recovery that was applied to the end.
    pub recovered: Option<InProgress>,
    /// By container.
    pub containers: Vec<ContainerObjectsFacts>,
}

/// What the names of a container's objects tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerObjectsFacts {
    /// How many.
    pub objects: u64,
    /// Their sizes added up.
    pub bytes: u64,
    /// There are system journals: a store has worked since the old metadata was moved aside, if it ever was.
    pub has_journals: bool,
}

/// What was seen of Tier-1.
#[derive(Debug, Clone, Default)]
pub struct Tier1Facts {
    /// The cluster's root ZNode exists.
    pub cluster_exists: bool,
    /// Servers that are registered.
    pub live: Vec<LiveServer>,
    /// Bookies; none where Tier-1 is a directory.
    pub bookies: Option<BookieSights>,
    /// The log of each container.
    pub logs: Vec<Log>,
    /// Ledgers of containers that no log names, by id.
    pub stray_ledgers: Vec<LedgerSight>,
    /// Ledgers that bookies hold although ZooKeeper knows no ledger at all: bookie, and the first that was found.
    pub unregistered_ledgers: Vec<(String, i64)>,
}

/// What the log ZNode of a container says, and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// There is no ZNode.
    Absent,
    /// It cannot be decoded; the reason in words.
    Damaged(String),
    /// The first of two steps of a recovery put it there, to keep stores away until the second one.
    Barrier,
    /// It names ledgers.
    Present {
        /// False if a store or an administrator disabled it.
        enabled: bool,
        /// Epoch.
        epoch: u64,
        /// Version of the ZNode: 0 as long as nobody wrote to it since it was created.
        version: i32,
        /// In the order of the log, those that were truncated left out.
        ledgers: Vec<NamedLedger>,
    },
}

/// A ledger that a log names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLedger {
    /// Its id.
    pub id: i64,
    /// What the log says of it.
    pub status: LedgerStatus,
    /// The ledger; none if it is not registered; the reason in words if its metadata cannot be read.
    pub sight: std::result::Result<Option<LedgerSight>, String>,
}

/// What Tier-2 alone would give back of a container, and what its own metadata say is missing there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Which container.
    pub container: ContainerId,
    /// Segments that live.
    pub segments: u64,
    /// Readable bytes of them.
    pub held_bytes: u64,
    /// Bytes that metadata in Tier-2 promise and no object holds.
    pub missing_bytes: u64,
    /// Segments of which bytes are missing.
    pub segments_with_missing_bytes: u64,
    /// Segments that only objects name.
    pub unrecorded_segments: u64,
    /// Parts of the metadata that are damaged or missing.
    pub damaged_metadata: u64,
    /// Not one byte of the container's metadata is there.
    pub metadata_absent: bool,
}

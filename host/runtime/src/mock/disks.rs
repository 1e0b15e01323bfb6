//! Bookies, ledgers and logs of a declared world.

use std::collections::{BTreeMap, BTreeSet};

use dr_engine::contract::{Bookie, CallError, CallResult, ContainerId, DurableLog, Ledger, RestoredLog};
use dr_engine::ledgers::LATER;
use dr_engine::registration;

/// What the disks of bookies tell, beside what is left of ZooKeeper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredDisks {
    /// Bookies whose disks were read, by id; none where they run.
    pub bookies: BTreeMap<String, Bookie>,
    /// Ledgers, by id.
    pub ledgers: BTreeMap<i64, Ledger>,
    /// Logs, by container.
    pub logs: BTreeMap<ContainerId, DeclaredLog>,
}

/// A log, and what comes of restoring it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredLog {
    /// As it is listed.
    pub log: DurableLog,
    /// What it is when it was read whole, or why it cannot be.
    pub restored: Result<RestoredLog, String>,
}

impl DeclaredDisks {
    /// Ids of the bookies.
    pub(super) fn bookie_ids(&self) -> BTreeSet<&str> {
        self.bookies.keys().map(String::as_str).collect()
    }

    /// Ids of ledgers that ZooKeeper does not have.
    pub(super) fn unregistered(&self) -> impl Iterator<Item = i64> {
        self.ledgers.values().filter(|ledger| ledger.registered.is_empty()).map(|ledger| ledger.id)
    }

    /// Refuses to keep what is no ledger, or part of a log that can be restored.
    pub(super) fn check_stray(&self, id: i64) -> CallResult<()> {
        match self.ledgers.get(&id) {
            None => Err(CallError::NotFound(format!("no disk holds an entry of ledger {id}"))),
            Some(Ledger { container: Some(_), .. }) => {
                Err(CallError::Conflict(format!("ledger {id} is part of a log; restore that instead")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Refuses what rests on the content of logs, if they cannot be read before the bookies run.
    pub(super) fn check_read(&self) -> CallResult<()> {
        match self.logs.values().any(|declared| declared.log.znode == LATER) {
            true => Err(registration::logs_unread()),
            false => Ok(()),
        }
    }

    /// Refuses to build a container anew over a log that has a ZNode and can be replayed.
    pub(super) fn check_replaceable(&self, container: ContainerId) -> CallResult<()> {
        match self.logs.get(&container).map(|declared| &declared.log) {
            Some(DurableLog { znode, flaw: None, .. }) if znode != "absent" => {
                Err(registration::log_replayable(container))
            }
            _ => Ok(()),
        }
    }

    /// The log of a container, and its ledgers.
    pub(super) fn restore(&self, container: ContainerId) -> CallResult<(RestoredLog, &[i64])> {
        let none =
            || CallError::NotFound(format!("no ledger on the disks belongs to the log of container {container}"));
        let declared = self.logs.get(&container).ok_or_else(none)?;
        let restored = declared.restored.clone().map_err(CallError::Damaged)?;
        Ok((restored, &declared.log.ledgers))
    }
}

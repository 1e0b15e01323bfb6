//! Ledgers that ZooKeeper still names and running bookies still serve, while the ZNodes of the logs are gone.

use std::sync::Arc;

use dr_backends::tier1::{Ledgers, RegisteredLedger};
use dr_formats::ledger_entry::DigestType;

use super::{DiskEntry, DiskLedger, LedgerEvidence, Payloads, Survivors};
use crate::bookie_survey::summarise;
use crate::error::Result;
use crate::progress::{Progress, Unit};

/// Name of the stage.
const READING: &str = "reading ledgers";

/// Reads the ledgers of the logs that are registered, by what is left of ZooKeeper; none if no ledger names a container.
///
/// The last ledger of a log was never closed. Where it ends is found out by the store when it starts, as after any crash; here it is read
/// as far as bookies have it.
///
/// # Errors
/// Tier-1 errors.
pub fn read_registered(
    ledgers: Arc<dyn Ledgers>,
    survivors: Survivors,
    progress: &dyn Progress,
) -> Result<Option<LedgerEvidence>> {
    let registered: Vec<&RegisteredLedger> = survivors.ledgers_of_logs().collect();
    if registered.is_empty() {
        return Ok(None);
    }
    progress.stage_started(READING, Some(registered.len() as u64), Unit::Ledgers);
    let mut found = Vec::new();
    for ledger in &registered {
        found.push(read_ledger(ledgers.as_ref(), ledger)?);
        progress.advanced(1);
    }
    progress.stage_finished(READING);
    Ok(Some(LedgerEvidence::of_registered(found, survivors, Box::new(ServedPayloads { ledgers }))))
}

fn read_ledger(ledgers: &dyn Ledgers, registered: &RegisteredLedger) -> Result<DiskLedger> {
    let mut entries = Vec::new();
    let mut length = 0;
    ledgers.read_as_far_as_it_goes(registered.id, &mut |id, payload| {
        length += payload.len() as u64;
        entries.push(DiskEntry::of(id, length, crc32c::crc32c(payload), summarise(payload).as_ref()));
        Ok(())
    })?;
    // What cannot be read of a closed ledger is a hole, which shows when its log is followed.
    let confirmed = registered.end().map_or(-1, |(last_entry, _)| last_entry);
    Ok(DiskLedger {
        id: registered.id,
        entries,
        holders: Vec::new(),
        confirmed,
        digest_type: DigestType::Crc32c,
        containers: registered.container.into_iter().collect(),
        registered: Some(registered.clone()),
        left_out: 0,
    })
}

/// Reads entries from bookies.
#[derive(Debug)]
struct ServedPayloads {
    ledgers: Arc<dyn Ledgers>,
}

impl Payloads for ServedPayloads {
    fn read(&self, ledger: &DiskLedger, last_entry: i64, visit: &mut dyn FnMut(i64, &[u8])) -> Result<()> {
        self.ledgers.read_as_far_as_it_goes(ledger.id, &mut |entry, payload| {
            if entry <= last_entry {
                visit(entry, payload);
            }
            Ok(())
        })?;
        Ok(())
    }
}

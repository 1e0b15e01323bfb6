//! What bookies hold of the logs, on their disks or, while they run, through them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use dr_backends::tier1::{Ledgers, Tier1Error};
use dr_engine::error::Result;
use dr_engine::ledgers::{self, LedgerEvidence, Survivors};
use dr_engine::listing::Listing;

use super::procedure::{self, Chosen};
use super::target::OpenTarget;
use super::{Session, source};
use crate::arguments::{BookieDisksArguments, ProcedureArguments};
use crate::output::text::counted;

/// Name of the procedure that restores logs.
pub(super) const RESTORING: &str = "zookeeper-loss";

/// Name of the procedure that restores the logs that are whole and builds the other containers anew.
const RESTORING_WHAT_IS_WHOLE: &str = "partial-loss";

/// Newest ledgers of logs that are tried, to see whether their bookies are left. The newest of all may never have been written to.
const LEDGERS_TRIED: usize = 64;

/// Directory in that of the run, for what is needed while disks are read.
const SCRATCH: &str = "surveys";

/// Reads the disks of each bookie, if they were given; else the ledgers that are registered, if any belong to logs. Both beside what is
/// left of ZooKeeper.
///
/// # Errors
/// Those of [`Survivors::read`], [`ledgers::read_disks`] and [`ledgers::read_registered`].
pub(super) fn read(
    session: &Session,
    open: &OpenTarget,
    listing: &Listing,
    directory: &Path,
) -> Result<Option<LedgerEvidence>> {
    let progress = session.progress.as_ref();
    let survivors = Survivors::read(open.tier1.tier1(), &open.tier1.layout, listing)?;
    let disks: &[Vec<PathBuf>] = &open.target.bookie_disks;
    if disks.is_empty() && open.target.lost_bookies.is_empty() {
        return ledgers::read_registered(open.tier1.ledgers.clone(), survivors, progress);
    }
    let (password, scratch) = (open.configuration.password(), directory.join(SCRATCH));
    let evidence = ledgers::read_disks(disks, password, survivors, source::parallel(None), &scratch, progress)?;
    evidence.without(&open.target.lost_bookies).map(Some)
}

/// The procedure for disks that the operator gives or knows to be lost; none if none are named.
pub(super) fn fitting(disks: &BookieDisksArguments) -> Option<&'static str> {
    if !disks.lost_bookies.is_empty() {
        return Some(RESTORING_WHAT_IS_WHOLE);
    }
    (!disks.bookie_disks.is_empty()).then_some(RESTORING)
}

/// The procedure that fits better than the one that was loaded because none was named: where ZooKeeper still names ledgers of
/// logs, and bookies serve them, the logs are restored.
///
/// # Errors
/// Tier-1 errors; those of [`procedure::load`].
pub(super) fn better(
    session: &Session,
    open: &OpenTarget,
    arguments: &ProcedureArguments,
    chosen: Chosen,
) -> Result<Chosen> {
    if arguments.procedure.is_some() || chosen.restores_logs() {
        return Ok(chosen);
    }
    let ledgers = open.tier1.ledgers.as_ref();
    let (mut of_logs, mut has_log) = (Vec::new(), BTreeMap::new());
    for ledger in ledgers.registry().registered_ledgers()? {
        let Some(container) = ledger.container else { continue };
        let has_log = match has_log.entry(container) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let log = open.tier1.znodes.get(&open.tier1.layout.log_znode(container))?;
                *new.insert(log.is_some())
            }
        };
        // Those of a log that has its ZNode are in use, as after a recovery of some containers.
        if !has_log {
            of_logs.push(ledger.id);
        }
    }
    // Where the bookies are lost, their ledgers' metadata may be left; then there is nothing to restore.
    if !of_logs.iter().rev().take(LEDGERS_TRIED).any(|&ledger| is_served(ledgers, ledger)) {
        return Ok(chosen);
    }
    session.console.remark(&format!(
        "ZooKeeper names {} of containers' logs, and bookies serve them: the logs are restored from them (procedure {RESTORING}); \
         --procedure total-loss would leave out what has not reached Tier-2",
        counted(of_logs.len() as u64, "ledger", "ledgers")
    ));
    procedure::load(arguments, Some(RESTORING))
}

/// True if some bookie gives the first entry of a ledger.
fn is_served(ledgers: &dyn Ledgers, ledger: i64) -> bool {
    let mut is_served = false;
    // The first entry is enough, and whatever keeps it from being read is found again when the ledgers are read.
    let _ = ledgers.read_as_far_as_it_goes(ledger, &mut |entry, _| {
        is_served = true;
        let (location, name) = (ledgers.location(), format!("ledger {ledger}, entry {entry}"));
        Err(Tier1Error::Damaged { location, name, reason: "no more is needed".to_owned() })
    });
    is_served
}

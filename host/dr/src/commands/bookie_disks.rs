//! What bookies hold of the logs, on their disks or, while they run, through them.

use std::path::{Path, PathBuf};

use dr_engine::error::Result;
use dr_engine::ledgers::{self, LedgerEvidence};

use super::procedure::{self, Chosen};
use super::target::OpenTarget;
use super::{Session, source};
use crate::arguments::{BookieDisksArguments, ProcedureArguments};

/// Name of the procedure that restores logs.
pub(super) const RESTORING: &str = "zookeeper-loss";

/// Directory in that of the run, for what is needed while disks are read.
const SCRATCH: &str = "surveys";

/// Reads the disks of each bookie, if they were given; else the ledgers that are registered, if any belong to logs.
///
/// # Errors
/// Those of [`ledgers::read_disks`] and [`ledgers::read_registered`].
pub(super) fn read(session: &Session, open: &OpenTarget, directory: &Path) -> Result<Option<LedgerEvidence>> {
    let progress = session.progress.as_ref();
    let disks: &[Vec<PathBuf>] = &open.target.bookie_disks;
    if disks.is_empty() {
        return ledgers::read_registered(open.tier1.ledgers.clone(), progress);
    }
    let (password, scratch) = (open.configuration.password(), directory.join(SCRATCH));
    ledgers::read_disks(disks, password, source::parallel(None), &scratch, progress).map(Some)
}

/// The procedure for disks that the operator gives; none if none are given.
pub(super) fn fitting(disks: &BookieDisksArguments) -> Option<&'static str> {
    (!disks.bookie_disks.is_empty()).then_some(RESTORING)
}

/// The procedure that fits better than the one that was loaded because none was named: where ZooKeeper still names ledgers of
/// logs, and enough bookies run that can hold them, the logs are restored.
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
    let tier1 = &open.tier1;
    let of_logs = tier1.ledgers.registered()?.iter().filter(|ledger| ledger.container.is_some()).count();
    if of_logs == 0 || tier1.ledgers.check(&tier1.layout.ledger_layout(0)).is_err() {
        return Ok(chosen);
    }
    session.console.remark(&format!(
        "ZooKeeper names {of_logs} ledgers of containers' logs, and bookies run that can hold them: the logs are restored from them \
         (procedure {RESTORING}); --procedure total-loss would leave out what has not reached Tier-2"
    ));
    procedure::load(arguments, Some(RESTORING))
}

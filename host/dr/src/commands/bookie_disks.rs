//! What bookies hold of the logs: on their disks, by surveys of those or, while they run, through them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use dr_backends::tier1::{Ledgers, Tier1Error};
use dr_engine::error::{OperatorError, Result};
use dr_engine::ledgers::{self, LedgerEvidence, Survivors, is_barrier};
use dr_engine::listing::Listing;

use super::procedure::{self, Chosen};
use super::target::{OpenTarget, Target};
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

/// Reads the disks of each bookie, or surveys of them, if they were given; else the ledgers that are registered, if any belong to logs. All of it
/// beside what is left of ZooKeeper.
///
/// # Errors
/// Those of [`Survivors::read`], [`ledgers::read_bookies`] and [`ledgers::read_registered`]; `bookie-running`, `bookies-stopped`.
pub(super) fn read(
    session: &Session,
    open: &OpenTarget,
    listing: &Listing,
    directory: &Path,
) -> Result<Option<LedgerEvidence>> {
    let (target, progress) = (&open.target, session.progress.as_ref());
    let survivors = Survivors::read(open.tier1.tier1(), &open.tier1.layout, listing)?;
    if !target.has_bookies() && target.lost_bookies.is_empty() {
        return ledgers::read_registered(open.tier1.ledgers.clone(), survivors, progress);
    }
    refuse_lost_that_run(open, &target.lost_bookies)?;
    let (password, scratch) = (open.configuration.password(), directory.join(SCRATCH));
    let known = survivors.clone();
    let evidence =
        ledgers::read_bookies(target.bookies_left(), password, survivors, source::parallel(None), &scratch, progress)?;
    if evidence.awaits_bookies() {
        let running = open.tier1.ledgers.registry().running_bookies()?;
        if evidence.has_all_registered() {
            // The first step is done.
            refuse_stopped(&evidence, &running)?;
            let remark =
                "all ledgers and bookies of the surveys are registered: the logs are read from the bookies now";
            session.console.remark(remark);
            let evidence = ledgers::read_registered(open.tier1.ledgers.clone(), known, progress)?;
            return Ok(evidence.map(|evidence| evidence.with_lost(&target.lost_bookies)));
        }
        refuse_running(&evidence, &running)?;
    }
    evidence.without(&target.lost_bookies).map(Some)
}

/// What a bookie that runs holds is not lost, unless it came back empty under its old id, where it answers for what it does not have.
fn refuse_lost_that_run(open: &OpenTarget, lost: &[String]) -> Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let running = open.tier1.ledgers.registry().running_bookies()?;
    let Some(bookie) = lost.iter().find(|id| running.contains(id)) else { return Ok(()) };
    Err(OperatorError::new(
        "bookie-not-lost",
        format!("bookie {bookie} is said to be lost, and it is registered in ZooKeeper as running"),
        "stop it, wait until its session has ended (about 30 s after a kill), and give its disks with --bookie-disks; if it came back with empty disks, \
         leave it stopped and start one with an id that was never used",
    )
    .may_retry())
}

/// What a bookie that runs holds can be other than its survey says, and it deletes what is not registered.
fn refuse_running(evidence: &LedgerEvidence, running: &[String]) -> Result<()> {
    let Some(bookie) = evidence.bookies().iter().find(|bookie| running.contains(&bookie.id)) else { return Ok(()) };
    Err(OperatorError::new(
        "bookie-running",
        format!(
            "bookie {} runs, of which a survey was given, and ZooKeeper does not know all of its ledgers",
            bookie.id
        ),
        "stop all bookies, wait until their sessions have ended, survey their disks again with `dr survey-bookie`, and run the command again",
    ))
}

/// When all is registered, the logs are read through the bookies, of which none may be missing: what it holds would be taken for lost.
fn refuse_stopped(evidence: &LedgerEvidence, running: &[String]) -> Result<()> {
    let stopped: Vec<&str> = evidence
        .bookies()
        .iter()
        .map(|bookie| bookie.id.as_str())
        .filter(|&id| !running.iter().any(|one| one == id))
        .collect();
    if stopped.is_empty() {
        return Ok(());
    }
    Err(OperatorError::new(
        "bookies-stopped",
        format!(
            "all ledgers and bookies are registered, and the logs are read next; these bookies do not run: {}",
            stopped.join(", ")
        ),
        "start them, with their disks, and no segment store; then run the command again",
    )
    .may_retry())
}

/// The procedure for what the operator gives of bookies, or knows to be lost; none if nothing is named.
pub(super) fn fitting(disks: &BookieDisksArguments) -> Option<&'static str> {
    let is_given = !disks.bookie_disks.is_empty() || !disks.bookie_surveys.is_empty() || !disks.lost_bookies.is_empty();
    is_given.then(|| fitting_for(&disks.lost_bookies))
}

/// The procedure where bookies are left, and these are lost.
fn fitting_for(lost_bookies: &[String]) -> &'static str {
    if lost_bookies.is_empty() { RESTORING } else { RESTORING_WHAT_IS_WHOLE }
}

/// The words that name a procedure to a command that is given the same bookies, if it would choose another one.
pub(super) fn words_for_procedure(target: &Target, procedure: &str) -> Vec<String> {
    let names_any = target.has_bookies() || !target.lost_bookies.is_empty();
    let is_chosen = names_any && fitting_for(&target.lost_bookies) == procedure;
    if is_chosen { Vec::new() } else { vec!["--procedure".to_owned(), procedure.to_owned()] }
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
                *new.insert(log.is_some_and(|node| !is_barrier(&node.data)))
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

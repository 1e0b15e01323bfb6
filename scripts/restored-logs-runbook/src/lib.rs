//! The runbook of a cluster whose bookies still have disks: what ZooKeeper knew of ledgers, logs and bookies is written again. The
//! procedures `zookeeper-loss` and `partial-loss` are made of it.

use std::collections::BTreeSet;

use dr_guest_kit::bookies::Bookie;
use dr_guest_kit::ledgers::Ledger;
use dr_guest_kit::logs::{Log, RestoredLog};
use dr_guest_kit::{
    ContainerId, Error, Result, bookies, coordination, hand_over_pending_work, ledger_pages, ledgers, logs,
    put_streams_under_retention, raise_transaction_counter, report, storage,
};

/// Where controllers keep what they have under way; what is there they find by themselves.
const EVENT_PROCESSORS: &str = "eventProcessors";

/// The word of the contract for a log of which only surveys tell: it is read and restored in a second step, when the bookies run.
const LATER: &str = "later";

/// The functions of the contract that the runbook calls.
pub const CAPABILITIES: [&str; 14] = [
    "storage.containers",
    "bookies.list-bookies",
    "bookies.register-bookies",
    "ledgers.list-ledgers",
    "ledgers.keep-ledgers",
    "logs.list-logs",
    "logs.restore-log",
    "controller.list-streams",
    "controller.highest-transaction-counter",
    "controller.list-pending-work",
    "coordination.get",
    "coordination.children",
    "coordination.create",
    "coordination.set",
];

/// Says what is odd about the disks that were given.
///
/// # Errors
/// Whatever the host answers.
pub fn look_at_bookies() -> Result<()> {
    bookies::list_bookies()?.iter().for_each(report_bookie);
    Ok(())
}

/// All containers, since a bookie that runs deletes the ledgers of those that are not restored.
///
/// # Errors
/// `invalid` if the operator selected some and left others out.
pub fn all_containers(selected: &[ContainerId]) -> Result<BTreeSet<ContainerId>> {
    let all: BTreeSet<ContainerId> = storage::containers()?.into_iter().map(|container| container.id).collect();
    match all.iter().find(|container| !selected.is_empty() && !selected.contains(container)) {
        None => Ok(all),
        Some(left_out) => Err(Error::Invalid(format!(
            "container {left_out} cannot be left out: the bookies would delete the ledgers of its log when they run; leave \
             --containers away"
        ))),
    }
}

/// True if the logs cannot be read before the bookies run, so that this is the first of two steps: ledgers and bookies are registered.
#[must_use]
pub fn is_first_step(logs: &[Log]) -> bool {
    logs.iter().any(|log| log.znode == LATER)
}

/// Brings back the log of a container, unless its ZNode is there and fits. In the first of two steps its ledgers alone.
///
/// # Errors
/// `damaged` if something is missing from it.
pub fn restore_log(container: ContainerId) -> Result<()> {
    let RestoredLog { ledgers, last_operation, znode, closed, bridged, .. } = logs::restore_log(container)?;
    let choice = match znode.as_str() {
        "kept" => format!("its log stays as it is, up to operation {last_operation}"),
        LATER => {
            format!("its ledgers are registered, up to operation {last_operation}; its log comes in the second step")
        }
        _ => format!("its log is restored up to operation {last_operation}"),
    };
    let reason = match bridged {
        None if znode == LATER => format!("surveys tell where its {ledgers} ledgers end, and not what is in them"),
        Some(hole) if znode == LATER => {
            format!(
                "surveys tell where its {ledgers} ledgers end; {hole}, and whether that is needed shows when the rest is read"
            )
        }
        None if znode == "kept" => format!("its ZNode fits its {ledgers} ledgers, which hold it whole"),
        None => format!("its {ledgers} ledgers hold it whole, so that the store replays it itself"),
        Some(hole) => {
            format!(
                "{hole}; but Tier-2 holds all that had been appended before, and the store replays what comes behind"
            )
        }
    };
    report::decision(Some(container), &format!("container {container}"), &choice, &reason);
    for ledger in closed {
        let reason = "ZooKeeper had it as never closed, and its end shows: the log goes over to another ledger, or a bookie is missing \
                      that could hold more";
        report::decision(Some(container), &format!("ledger {ledger}"), "closed at the end that was found", reason);
    }
    Ok(())
}

/// Registers the bookies, and before them every ledger that is part of no restored log: a bookie deletes what is not registered.
///
/// # Errors
/// Whatever the host answers.
pub fn register_bookies() -> Result<()> {
    let ids: Vec<String> = bookies::list_bookies()?.into_iter().map(|bookie| bookie.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    keep_ledgers()?;
    bookies::register_bookies(&ids)
}

/// Restores what controllers kept in ZooKeeper, by the newest rows of their tables. Those stand in the logs, so it waits for the second step if
/// there is one.
///
/// # Errors
/// Whatever the host answers.
pub fn restore_what_controllers_kept() -> Result<()> {
    if is_first_step(&logs::list_logs()?) {
        let reason = "the newest rows of their tables stand in logs that cannot be read before the bookies run";
        report::decision(None, "what controllers kept", "restored in the second step", reason);
        return Ok(());
    }
    raise_transaction_counter()?;
    put_streams_under_retention()?;
    if coordination::children(EVENT_PROCESSORS)?.is_empty() {
        hand_over_pending_work()?;
    }
    Ok(())
}

fn report_bookie(bookie: &Bookie) {
    report::info(&format!("bookie {}: {} entries of {} ledgers", bookie.id, bookie.entries, bookie.ledgers));
    for finding in &bookie.findings {
        report::warning(&format!("bookie {}: {finding}", bookie.id));
    }
}

/// Those of no log, which nobody needs: nothing is deleted by this recovery. Says where disks and ZooKeeper contradict each other.
fn keep_ledgers() -> Result<()> {
    for page in ledger_pages()? {
        let page = page?;
        page.iter().filter(|ledger| ledger.left_out > 0).for_each(report_left_out);
        let stray: Vec<&Ledger> = page.iter().filter(|ledger| ledger.container.is_none()).collect();
        let ids: Vec<i64> = stray.iter().map(|ledger| ledger.id).collect();
        if !ids.is_empty() {
            ledgers::keep_ledgers(&ids)?;
        }
        stray.into_iter().for_each(report_stray);
    }
    Ok(())
}

fn report_left_out(ledger: &Ledger) {
    let reason = format!(
        "the disks hold {} more entries, which were never acknowledged, or were sent again to the next ledger",
        ledger.left_out
    );
    report::decision(ledger.container, &format!("ledger {}", ledger.id), "ends where ZooKeeper has it closed", &reason);
}

fn report_stray(ledger: &Ledger) {
    let reason = match ledger.stray.as_str() {
        "empty" if ledger.entries == 0 => "no disk holds an entry of it; no log needs it",
        "empty" => "no operation in it is whole; no log needs it",
        "missing" => "it had entries, of which no disk holds the first",
        "truncated" => "the log of its container begins behind it; it had been truncated away",
        "superseded" => {
            "its container has a newer log that does not go on from it; it had been truncated away, or replaced"
        }
        "not-whole" => "its log is not whole, and its container is built anew with what is left of it",
        _ => "nothing tells whose log it belongs to",
    };
    let choice =
        if ledger.registered.is_empty() { "kept, but part of no log" } else { "left as it is, part of no log" };
    report::decision(None, &format!("ledger {}", ledger.id), choice, reason);
}

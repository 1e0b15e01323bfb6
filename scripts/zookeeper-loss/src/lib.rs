//! Procedure `zookeeper-loss`: only ZooKeeper is gone, or a part of what it held; the bookies have their disks, and Tier-2 is whole.
//!
//! Nothing that was acknowledged is lost: the old bookies start again with their data, and the segment stores replay their own
//! logs. What ZooKeeper knew of them follows from the disks. With every server stopped:
//! 1. look at the disks: all bookies must be there. Where ZooKeeper still names the ledgers and their bookies run, and only what Pravega
//!    kept there is gone, no disks are needed, and steps 3 and 4 fall away;
//! 2. for each container, alone, read its log from its first entry to its last, and register its ledgers and the log itself, if
//!    nothing is missing;
//! 3. register the ledgers that are part of no log, too, since a bookie deletes what is not registered;
//! 4. register the bookies, with the cookies that stand on their disks;
//! 5. restore what controllers kept in ZooKeeper, by the newest rows of their tables.
//!
//! What is left of ZooKeeper is believed where it agrees with the disks, and stays as it is: closed ledgers with their ends, logs whose ZNode
//! names the end of what the ledgers hold, cookies, the counter of ids. Where it does not agree, the decisions say what was done.
//!
//! Then start the bookies, the segment stores, and the controllers.

use std::collections::BTreeSet;

use dr_guest_kit::bookies::Bookie;
use dr_guest_kit::ledgers::Ledger;
use dr_guest_kit::logs::{Log, RestoredLog};
use dr_guest_kit::{
    ContainerId, Description, Error, Procedure, Result, Settings, Task, bookies, coordination, hand_over_pending_work,
    ledger_pages, ledgers, logs, put_streams_under_retention, raise_transaction_counter, report, storage,
};

/// Where controllers keep what they have under way; what is there they find by themselves.
const EVENT_PROCESSORS: &str = "eventProcessors";

struct ZooKeeperLoss;

dr_guest_kit::export_procedure!(ZooKeeperLoss);

impl Procedure for ZooKeeperLoss {
    fn describe() -> Description {
        let summary =
            "Restores from the bookies' disks what ZooKeeper knew of ledgers, logs and bookies; loses nothing.";
        Description::new("zookeeper-loss", env!("CARGO_PKG_VERSION"), summary).for_scenarios(&["zookeeper-loss"]).needs(
            &[
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
            ],
        )
    }

    fn prepare(_settings: &Settings, selected: &[ContainerId]) -> Result<Vec<Task>> {
        for bookie in bookies::list_bookies()? {
            report_bookie(&bookie);
        }
        let wanted = wanted_containers(selected)?;
        let logs = logs::list_logs()?;
        wanted.into_iter().map(|container| task(container, &logs)).collect()
    }

    fn run(_settings: &Settings, task: &Task) -> Result<()> {
        let container = task.container_id()?;
        let restored = logs::restore_log(container)?;
        let RestoredLog { ledgers, last_operation, znode, closed, .. } = &restored;
        let (choice, reason) = match znode.as_str() {
            "kept" => (
                format!("its log stays as it is, up to operation {last_operation}"),
                format!("its ZNode fits its {ledgers} ledgers, which hold it whole"),
            ),
            _ => (
                format!("its log is restored up to operation {last_operation}"),
                format!("its {ledgers} ledgers hold it whole, so that the store replays it itself"),
            ),
        };
        report::decision(Some(container), &format!("container {container}"), &choice, &reason);
        for ledger in closed {
            let reason = "ZooKeeper had it as never closed, and its end shows: the log goes over to another ledger, or a bookie is missing                           that could hold more";
            report::decision(Some(container), &format!("ledger {ledger}"), "closed at the end that was found", reason);
        }
        Ok(())
    }

    fn finish(_settings: &Settings) -> Result<()> {
        let ids: Vec<String> = bookies::list_bookies()?.into_iter().map(|bookie| bookie.id).collect();
        if !ids.is_empty() {
            keep_ledgers()?;
            bookies::register_bookies(&ids)?;
        }
        raise_transaction_counter()?;
        put_streams_under_retention()?;
        if coordination::children(EVENT_PROCESSORS)?.is_empty() {
            hand_over_pending_work()?;
        }
        Ok(())
    }
}

/// All containers, since a bookie that runs deletes the ledgers of those that are not restored.
fn wanted_containers(selected: &[ContainerId]) -> Result<BTreeSet<ContainerId>> {
    let all: BTreeSet<ContainerId> = storage::containers()?.into_iter().map(|container| container.id).collect();
    match all.iter().find(|container| !selected.is_empty() && !selected.contains(container)) {
        None => Ok(all),
        Some(left_out) => Err(Error::Invalid(format!(
            "container {left_out} cannot be left out: the bookies would delete the ledgers of its log when they run; leave \
             --containers away"
        ))),
    }
}

fn task(container: ContainerId, logs: &[Log]) -> Result<Task> {
    let Some(log) = logs.iter().find(|log| log.container == container) else {
        return Err(Error::NotFound(format!(
            "no ledger on the disks belongs to the log of container {container}; are the disks of all bookies there, with their \
             journals?"
        )));
    };
    if log.znode == "outdated" {
        report::decision(
            Some(container),
            &format!("container {container}"),
            "its log ZNode is written anew",
            &log.reason,
        );
    }
    let title = format!("container {container}: a log of {} ledgers and {} bytes", log.ledgers.len(), log.bytes);
    report::info(&title);
    Ok(Task { id: format!("container-{container}"), container: Some(container), title })
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
        for ledger in page.iter().filter(|ledger| ledger.left_out > 0) {
            let reason = format!(
                "the disks hold {} more entries, which were never acknowledged, or were sent again to the next ledger",
                ledger.left_out
            );
            let subject = format!("ledger {}", ledger.id);
            report::decision(ledger.container, &subject, "ends where ZooKeeper has it closed", &reason);
        }
        let stray: Vec<&Ledger> = page.iter().filter(|ledger| ledger.container.is_none()).collect();
        let ids: Vec<i64> = stray.iter().map(|ledger| ledger.id).collect();
        if !ids.is_empty() {
            ledgers::keep_ledgers(&ids)?;
        }
        for ledger in stray {
            let reason = match ledger.stray.as_str() {
                "empty" if ledger.entries == 0 => "no disk holds an entry of it; no log needs it",
                "empty" => "no operation in it is whole; no log needs it",
                "missing" => "it had entries, of which no disk holds the first; no log lacks anything",
                "truncated" => "the log of its container begins behind it; it had been truncated away",
                "superseded" => {
                    "its container has a newer log that does not go on from it; it had been truncated away, or replaced"
                }
                _ => "nothing tells whose log it belongs to; no log lacks anything",
            };
            let choice =
                if ledger.registered.is_empty() { "kept, but part of no log" } else { "left as it is, part of no log" };
            report::decision(None, &format!("ledger {}", ledger.id), choice, reason);
        }
    }
    Ok(())
}

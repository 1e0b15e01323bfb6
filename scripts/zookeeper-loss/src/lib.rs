//! Procedure `zookeeper-loss`: only ZooKeeper is gone, or a part of what it held; the bookies have their disks, and Tier-2 is whole.
//!
//! Nothing that was acknowledged is lost: the old bookies start again with their data, and the segment stores replay their own
//! logs. What ZooKeeper knew of them follows from the disks. With every server stopped:
//! 1. look at the disks: all bookies must be there, or be known to be lost. Where ZooKeeper still names the ledgers and their bookies run,
//!    and only what Pravega kept there is gone, no disks are needed, and steps 3 and 4 fall away;
//! 2. for each container, alone, read its log from its first entry to its last, and register its ledgers and the log itself, if
//!    nothing is missing;
//! 3. register the ledgers that are part of no log, too, since a bookie deletes what is not registered;
//! 4. register the bookies, with the cookies that stand on their disks;
//! 5. restore what controllers kept in ZooKeeper, by the newest rows of their tables.
//!
//! Of disks that are elsewhere surveys tell, without what is in the entries. Then this is done in two steps: ledgers and bookies, steps 3 and 4, are
//! registered first; when the bookies run, the same procedure restores the logs from what they serve, and what controllers kept.
//!
//! What is left of ZooKeeper is believed where it agrees with the disks, and stays as it is: closed ledgers with their ends, logs whose ZNode
//! names the end of what the ledgers hold, cookies, the counter of ids. Where it does not agree, the decisions say what was done.
//!
//! Then start the bookies, the segment stores, and the controllers. The steps themselves are the crate `restored-logs-runbook`.

use dr_guest_kit::logs::Log;
use dr_guest_kit::{ContainerId, Description, Error, Procedure, Result, Settings, Task, logs, report};
use restored_logs_runbook as runbook;

struct ZooKeeperLoss;

dr_guest_kit::export_procedure!(ZooKeeperLoss);

impl Procedure for ZooKeeperLoss {
    fn describe() -> Description {
        let summary =
            "Restores from the bookies' disks what ZooKeeper knew of ledgers, logs and bookies; loses nothing.";
        Description::new("zookeeper-loss", env!("CARGO_PKG_VERSION"), summary)
            .for_scenarios(&["zookeeper-loss"])
            .needs(&runbook::CAPABILITIES)
    }

    fn prepare(_settings: &Settings, selected: &[ContainerId]) -> Result<Vec<Task>> {
        runbook::look_at_bookies()?;
        let wanted = runbook::all_containers(selected)?;
        let logs = logs::list_logs()?;
        wanted.into_iter().map(|container| task(container, &logs)).collect()
    }

    fn run(_settings: &Settings, task: &Task) -> Result<()> {
        runbook::restore_log(task.container_id()?)
    }

    fn finish(_settings: &Settings) -> Result<()> {
        runbook::register_bookies()?;
        runbook::restore_what_controllers_kept()
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

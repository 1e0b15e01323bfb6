//! Procedure `partial-loss`: ZooKeeper is gone, and some bookies with their disks; the other bookies have theirs, and Tier-2 is whole.
//!
//! For each container the better of two ways is taken, with every server stopped:
//! - its log is restored, as the procedure `zookeeper-loss` does, if every entry that it needs is left on some disk: then nothing is lost;
//! - else it is built anew from Tier-2, as the procedure `total-loss` does, with the bytes from what is left of its log that join those in Tier-2.
//!
//! Ledgers and bookies come first, since new logs are written to the bookies, which have to run for that: the recovery stops there, and goes on
//! when they have been started, with new ones in the place of those that are lost. Open transactions are left to the controller, which is told of them.
//!
//! Where only surveys tell of the disks, the logs cannot be read, nor judged, before the bookies run: ledgers and bookies are registered by a plan of their own
//! then, and the choice is made by a second one.
//!
//! The steps are the crates `restored-logs-runbook` and `total-loss-runbook`.

use dr_guest_kit::logs::Log;
use dr_guest_kit::{ContainerId, Description, Procedure, Result, Settings, Task, logs, report};
use total_loss_runbook::Rules;

/// How the ids of tasks begin: what was decided for the container, by its log.
const RESTORE_LOG: &str = "restore-log-";
const BUILD_ANEW: &str = "build-anew-";
const AWAIT_BOOKIES: &str = "await-bookies-";

struct PartialLoss;

dr_guest_kit::export_procedure!(PartialLoss);

impl Procedure for PartialLoss {
    fn describe() -> Description {
        let summary = "Restores from the disks of the bookies that are left what ZooKeeper knew; builds containers anew whose logs have holes.";
        let more = total_loss_runbook::CAPABILITIES.iter().copied();
        let more: Vec<&str> = more.filter(|function| !restored_logs_runbook::CAPABILITIES.contains(function)).collect();
        Description::new("partial-loss", env!("CARGO_PKG_VERSION"), summary)
            .for_scenarios(&["partial-loss", "zookeeper-loss"])
            .needs(&restored_logs_runbook::CAPABILITIES)
            .needs(&more)
            .takes(total_loss_runbook::parameters_without_transactions())
    }

    fn prepare(_settings: &Settings, selected: &[ContainerId]) -> Result<Vec<Task>> {
        restored_logs_runbook::look_at_bookies()?;
        let wanted = restored_logs_runbook::all_containers(selected)?;
        let logs = logs::list_logs()?;
        Ok(wanted.into_iter().map(|container| task(container, &logs)).collect())
    }

    fn run(settings: &Settings, task: &Task) -> Result<()> {
        let container = task.container_id()?;
        if task.id.starts_with(RESTORE_LOG) {
            return restored_logs_runbook::restore_log(container);
        }
        if task.id.starts_with(AWAIT_BOOKIES) {
            return Ok(());
        }
        // The controller goes on with transactions by its own rows, which it is told of at the end.
        total_loss_runbook::recover_container(container, &Rules::without_transactions(settings)?)
    }

    fn finish(_settings: &Settings) -> Result<()> {
        restored_logs_runbook::register_bookies()?;
        restored_logs_runbook::restore_what_controllers_kept()
    }
}

/// Decides between the ways.
fn task(container: ContainerId, logs: &[Log]) -> Task {
    let (way, what) = match logs.iter().find(|log| log.container == container) {
        Some(Log { znode, ledgers, .. }) if znode == "later" => {
            (RESTORE_LOG, format!("a log of {} ledgers, read later", ledgers.len()))
        }
        Some(Log { flaw: None, ledgers, .. }) => (RESTORE_LOG, format!("a whole log of {} ledgers", ledgers.len())),
        Some(Log { flaw: Some(flaw), salvaged_bytes, .. }) => {
            let choice = format!("built anew from Tier-2 and {salvaged_bytes} bytes of its log");
            report_way(container, &choice, flaw);
            (BUILD_ANEW, "a log with holes".to_owned())
        }
        None if restored_logs_runbook::is_first_step(logs) => {
            let reason = "no ledger of its log is on the disks that are left, and new logs need bookies that run";
            report_way(container, "built anew in the second step", reason);
            (AWAIT_BOOKIES, "no log".to_owned())
        }
        None => {
            let reason = "no ledger of its log is on the disks that are left";
            report_way(container, "built anew from Tier-2", reason);
            (BUILD_ANEW, "no log".to_owned())
        }
    };
    let title = format!("container {container}: {what}");
    report::info(&title);
    Task { id: format!("{way}{container}"), container: Some(container), title }
}

fn report_way(container: ContainerId, choice: &str, reason: &str) {
    report::decision(Some(container), &format!("container {container}"), choice, reason);
}

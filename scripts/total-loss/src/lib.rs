//! Procedure `total-loss`: bookies and ZooKeeper are gone, only Tier-2 is left.
//!
//! The runbook itself, and what is decided on the way, is the crate `total-loss-runbook`, on which procedures with another
//! policy can be built as well. Here stands what makes a component of it: the name, and the policy of its settings.

use dr_guest_kit::{Description, Procedure, Result, Settings, Task, export_procedure};
use total_loss_runbook as runbook;

struct TotalLoss;

export_procedure!(TotalLoss);

impl Procedure for TotalLoss {
    fn describe() -> Description {
        let summary = "Builds all containers anew from Tier-2 after the loss of all bookies and ZooKeeper.";
        Description::new("total-loss", env!("CARGO_PKG_VERSION"), summary)
            .needs(&runbook::CAPABILITIES)
            .takes(runbook::parameters())
    }

    fn run(settings: &Settings, task: &Task) -> Result<()> {
        runbook::recover_container(task.container_id()?, &runbook::Rules::from_settings(settings)?)
    }

    fn finish(_settings: &Settings) -> Result<()> {
        runbook::restore_what_only_zookeeper_knew()
    }
}

//! Procedure `controller`: what controllers kept in ZooKeeper is gone, their tables and all data are left.
//!
//! Without it a cluster looks whole: streams can be created, written and read. But no transaction is committed any more, nothing is
//! scaled, truncated, sealed or deleted, and retention never comes back, all without an error. So, with every controller
//! stopped:
//! 1. raise the transaction counter above every id that was ever issued;
//! 2. put the streams with a retention policy under retention;
//! 3. hand over what controllers had under way: requests, transactions, their places in the internal reader groups.
//!
//! Then start a controller: it finds the nodes and finishes the work by itself. Only ZNodes are written, none that exists is
//! changed but a counter that stands too low. Segment stores may run, but what they have not flushed to Tier-2 is not seen.

use dr_guest_kit::{
    ContainerId, Description, Procedure, Result, Settings, Task, hand_over_pending_work, put_streams_under_retention,
    raise_transaction_counter,
};

struct Controller;

dr_guest_kit::export_procedure!(Controller);

impl Procedure for Controller {
    fn describe() -> Description {
        let summary = "Lets a controller take over what others had under way when ZooKeeper was lost.";
        Description::new("controller", env!("CARGO_PKG_VERSION"), summary)
            .for_scenarios(&["zookeeper-loss", "partial-loss"])
            .needs(&[
                "controller.list-streams",
                "controller.highest-transaction-counter",
                "controller.list-pending-work",
                "coordination.get",
                "coordination.create",
                "coordination.set",
            ])
    }

    /// No container is touched, so there is nothing to divide.
    fn prepare(_settings: &Settings, _selected: &[ContainerId]) -> Result<Vec<Task>> {
        Ok(Vec::new())
    }

    fn run(_settings: &Settings, _task: &Task) -> Result<()> {
        Ok(())
    }

    fn finish(_settings: &Settings) -> Result<()> {
        raise_transaction_counter()?;
        put_streams_under_retention()?;
        hand_over_pending_work()
    }
}

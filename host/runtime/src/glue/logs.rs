//! Interface `logs`.

use dr_engine::contract;

use crate::bindings::pravega::recovery::logs::{Host, Log, RestoredLog};
use crate::state::{HostResult, State};

impl Host for State {
    fn list_logs(&mut self) -> HostResult<Vec<Log>> {
        let logs = self.call("logs.list-logs", |host| host.durable_logs())?;
        Ok(logs.into_iter().map(Log::from).collect())
    }

    fn restore_log(&mut self, container: u32) -> HostResult<RestoredLog> {
        // Its ledgers, new and closed, and its ZNode.
        self.stage(3, 0)?;
        let restored = self.call("logs.restore-log", |host| host.restore_log(container))?;
        let contract::RestoredLog { ledgers, operations, last_operation, epoch, znode, closed, bridged } = restored;
        Ok(RestoredLog { ledgers, operations, last_operation, epoch, znode, closed, bridged })
    }
}

impl From<contract::DurableLog> for Log {
    fn from(log: contract::DurableLog) -> Self {
        let contract::DurableLog {
            container,
            ledgers,
            first_operation,
            last_operation,
            entries,
            bytes,
            znode,
            reason,
            flaw,
            salvaged_bytes,
        } = log;
        Self {
            container,
            ledgers,
            first_operation,
            last_operation,
            entries,
            bytes,
            znode,
            reason,
            flaw,
            salvaged_bytes,
        }
    }
}

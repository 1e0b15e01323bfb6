//! A host that answers `denied` to what is not granted.

use std::sync::Arc;

use dr_engine::contract::{
    Bookie, CallError, CallResult, ContainerId, ContainerSummary, Decision, DurableLog, FreshContainer, Instance,
    Ledger, Level, LostRange, Measure, MetadataRow, Object, Pages, PendingWork, RecoveryHost, RestoredLog, Segment,
    StreamState, TransactionCounter, ZNode,
};

use super::capability::Capability;
use super::grant::Grant;

/// Why a capability is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// The procedure does not declare it.
    NotDeclared,
    /// The operator does not grant it.
    NotGranted,
}

/// A host that answers `denied` to calls of capabilities that are not granted, and to changes outside their scope.
pub(crate) struct Granted {
    behind: Arc<dyn RecoveryHost>,
    grant: Arc<Grant>,
    refusal: Refusal,
}

impl Granted {
    /// Grants this much of a host.
    pub(crate) fn new(behind: Arc<dyn RecoveryHost>, grant: Grant, refusal: Refusal) -> Self {
        Self { behind, grant: Arc::new(grant), refusal }
    }

    /// The host, for a call of this capability.
    fn ask(&self, needed: Capability) -> CallResult<&dyn RecoveryHost> {
        if self.grant.capabilities.contains(&needed) {
            return Ok(self.behind.as_ref());
        }
        Err(CallError::Denied(match self.refusal {
            Refusal::NotDeclared => format!("`{needed}` is none of the capabilities that the procedure declares"),
            Refusal::NotGranted => format!("the policy does not let this procedure call `{needed}`"),
        }))
    }

    /// The host, for a change of this ZNode.
    fn ask_for_znode(&self, needed: Capability, path: &str) -> CallResult<&dyn RecoveryHost> {
        let host = self.ask(needed)?;
        self.grant.scope.check_znode(path)?;
        Ok(host)
    }
}

impl RecoveryHost for Granted {
    fn for_instance(&self, instance: &Instance) -> Option<Arc<dyn RecoveryHost>> {
        let behind = self.behind.for_instance(instance)?;
        Some(Arc::new(Self { behind, grant: Arc::clone(&self.grant), refusal: self.refusal }))
    }

    fn containers(&self) -> CallResult<Vec<ContainerSummary>> {
        self.ask(Capability::ListContainers)?.containers()
    }

    fn list_segments(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Segment>>> {
        self.ask(Capability::ListSegments)?.list_segments(container)
    }

    fn measure(&self, container: ContainerId, names: &[String]) -> CallResult<Vec<Measure>> {
        self.ask(Capability::Measure)?.measure(container, names)
    }

    fn list_metadata_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        self.ask(Capability::ListMetadataObjects)?.list_metadata_objects(container)
    }

    fn list_leftover_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        self.ask(Capability::ListLeftoverObjects)?.list_leftover_objects(container)
    }

    fn move_aside(&self, container: ContainerId, keys: &[String], place: &str) -> CallResult<()> {
        let host = self.ask(Capability::MoveAside)?;
        self.grant.scope.check_move(container, keys, place)?;
        host.move_aside(container, keys, place)
    }

    fn open_fresh_container(&self, container: ContainerId) -> CallResult<Box<dyn FreshContainer>> {
        let host = self.ask(Capability::OpenFreshContainer)?;
        self.grant.scope.check_container(container)?;
        host.open_fresh_container(container)
    }

    fn open_old_metadata(&self, container: ContainerId) -> CallResult<Box<dyn Pages<MetadataRow>>> {
        self.ask(Capability::OpenOldMetadata)?.open_old_metadata(container)
    }

    fn list_streams(&self) -> CallResult<Box<dyn Pages<StreamState>>> {
        self.ask(Capability::ListStreams)?.list_streams()
    }

    fn highest_transaction_counter(&self) -> CallResult<Option<TransactionCounter>> {
        self.ask(Capability::HighestTransactionCounter)?.highest_transaction_counter()
    }

    fn list_pending_work(&self) -> CallResult<Box<dyn Pages<PendingWork>>> {
        self.ask(Capability::ListPendingWork)?.list_pending_work()
    }

    fn znode(&self, path: &str) -> CallResult<Option<ZNode>> {
        self.ask(Capability::GetZnode)?.znode(path)
    }

    fn znode_children(&self, path: &str) -> CallResult<Vec<String>> {
        self.ask(Capability::ListZnodes)?.znode_children(path)
    }

    fn create_znode(&self, path: &str, data: Vec<u8>) -> CallResult<()> {
        self.ask_for_znode(Capability::CreateZnode, path)?.create_znode(path, data)
    }

    fn set_znode(&self, path: &str, data: Vec<u8>, expected_version: i32) -> CallResult<()> {
        self.ask_for_znode(Capability::SetZnode, path)?.set_znode(path, data, expected_version)
    }

    fn delete_znode(&self, path: &str, expected_version: i32) -> CallResult<()> {
        self.ask_for_znode(Capability::DeleteZnode, path)?.delete_znode(path, expected_version)
    }

    fn bookies(&self) -> CallResult<Vec<Bookie>> {
        self.ask(Capability::ListBookies)?.bookies()
    }

    fn register_bookies(&self, ids: &[String]) -> CallResult<()> {
        self.ask(Capability::RegisterBookies)?.register_bookies(ids)
    }

    fn ledgers(&self) -> CallResult<Box<dyn Pages<Ledger>>> {
        self.ask(Capability::ListLedgers)?.ledgers()
    }

    fn keep_ledgers(&self, ids: &[i64]) -> CallResult<()> {
        self.ask(Capability::KeepLedgers)?.keep_ledgers(ids)
    }

    fn durable_logs(&self) -> CallResult<Vec<DurableLog>> {
        self.ask(Capability::ListLogs)?.durable_logs()
    }

    fn restore_log(&self, container: ContainerId) -> CallResult<RestoredLog> {
        let host = self.ask(Capability::RestoreLog)?;
        self.grant.scope.check_container(container)?;
        host.restore_log(container)
    }

    fn log(&self, task: Option<&str>, level: Level, message: &str) {
        self.behind.log(task, level, message);
    }

    fn progress(&self, task: Option<&str>, done: u64, total: u64) {
        self.behind.progress(task, done, total);
    }

    fn decision(&self, decision: Decision) {
        self.behind.decision(decision);
    }

    fn loss(&self, range: LostRange) {
        self.behind.loss(range);
    }

    fn tasks_done(&self) {
        self.behind.tasks_done();
    }
}

//! What a procedure may call: what it declared, as far as the operator grants it.

use std::collections::BTreeSet;
use std::sync::Arc;

use dr_engine::contract::{
    CallError, CallResult, ContainerId, ContainerSummary, Decision, FreshContainer, Instance, Level, LostRange,
    Measure, MetadataRow, Object, Pages, RecoveryHost, Segment, StreamState, TransactionCounter, ZNode,
};

use crate::capability::Capability;

/// A host that answers `denied` to calls of capabilities that are not granted.
pub(crate) struct Granted {
    behind: Arc<dyn RecoveryHost>,
    granted: Arc<BTreeSet<Capability>>,
}

impl Granted {
    /// Grants these capabilities of a host.
    pub(crate) fn new(behind: Arc<dyn RecoveryHost>, granted: &BTreeSet<Capability>) -> Self {
        Self { behind, granted: Arc::new(granted.clone()) }
    }

    /// The host, for a call of this capability.
    fn ask(&self, needed: Capability) -> CallResult<&dyn RecoveryHost> {
        if self.granted.contains(&needed) {
            return Ok(self.behind.as_ref());
        }
        Err(CallError::Denied(format!("`{needed}` is none of the capabilities that the procedure declares")))
    }
}

impl RecoveryHost for Granted {
    fn for_instance(&self, instance: &Instance) -> Option<Arc<dyn RecoveryHost>> {
        let behind = self.behind.for_instance(instance)?;
        Some(Arc::new(Self { behind, granted: Arc::clone(&self.granted) }))
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
        self.ask(Capability::MoveAside)?.move_aside(container, keys, place)
    }

    fn open_fresh_container(&self, container: ContainerId) -> CallResult<Box<dyn FreshContainer>> {
        self.ask(Capability::OpenFreshContainer)?.open_fresh_container(container)
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

    fn znode(&self, path: &str) -> CallResult<Option<ZNode>> {
        self.ask(Capability::GetZnode)?.znode(path)
    }

    fn znode_children(&self, path: &str) -> CallResult<Vec<String>> {
        self.ask(Capability::ListZnodes)?.znode_children(path)
    }

    fn create_znode(&self, path: &str, data: Vec<u8>) -> CallResult<()> {
        self.ask(Capability::CreateZnode)?.create_znode(path, data)
    }

    fn set_znode(&self, path: &str, data: Vec<u8>, expected_version: i32) -> CallResult<()> {
        self.ask(Capability::SetZnode)?.set_znode(path, data, expected_version)
    }

    fn delete_znode(&self, path: &str, expected_version: i32) -> CallResult<()> {
        self.ask(Capability::DeleteZnode)?.delete_znode(path, expected_version)
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

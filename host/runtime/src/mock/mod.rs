//! A host for tests: a cluster that is declared, and as strict as the engine. No server, no Tier-2, no file.
//!
//! What a procedure may do with containers, segments and ZNodes is decided by the engine's own rules
//! ([`FreshSegments`](dr_engine::fresh::FreshSegments), [`ZNodeOverlay`](dr_engine::overlay::ZNodeOverlay),
//! [`Registration`](dr_engine::registration::Registration)); only the evidence is declared ([`World`]) instead of read. What was staged is told by the calls, see
//! [`Effects`](crate::recording::Effects).

mod disks;
mod fresh;
#[cfg(test)]
mod tests;
mod world;
mod znodes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dr_engine::contract::{
    Bookie, CallError, CallResult, ContainerId, ContainerSummary, Decision, DurableLog, FreshContainer, Ledger, Level,
    LostRange, Measure, MetadataRow, Object, PAGE_ROWS_MAX, Pages, PendingWork, RecoveryHost, RestoredLog, Segment,
    StreamState, TransactionCounter, VecPages, ZNode, no_disks,
};
use dr_engine::overlay::ZNodeOverlay;
use dr_engine::registration::{self, Registration};
use dr_engine::staging::check_place;

pub use disks::{DeclaredDisks, DeclaredLog};
use fresh::OpenContainer;
pub use world::{DeclaredContainer, DeclaredSegment, DeclaredTransaction, Objects, World, content_of_kind};

/// The host of one run. Copies share what was staged.
#[derive(Debug, Clone)]
pub struct MockHost {
    world: Arc<World>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    open: BTreeSet<ContainerId>,
    closed: BTreeSet<ContainerId>,
    /// Containers whose logs are restored.
    restored: BTreeSet<ContainerId>,
    registration: Registration,
    moved: BTreeSet<String>,
    /// Objects whose segments begin anew or are ended.
    of_no_use: BTreeMap<ContainerId, Objects>,
    znodes: ZNodeOverlay,
    tasks_done: bool,
}

impl State {
    /// True if a container was closed or restored.
    fn is_done(&self, container: ContainerId) -> bool {
        self.closed.contains(&container) || self.restored.contains(&container)
    }
}

impl MockHost {
    /// A host over this world, in which nothing is staged yet.
    #[must_use]
    pub fn new(world: Arc<World>) -> Self {
        Self { world, state: Arc::default() }
    }

    /// How many fresh containers are open now.
    #[must_use]
    pub fn open_containers(&self) -> usize {
        self.lock().open.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn container(&self, id: ContainerId) -> CallResult<&DeclaredContainer> {
        let count = self.world.containers.len();
        let unknown = || CallError::NotFound(format!("there is no container {id}: the cluster has {count}"));
        self.world.containers.get(&id).ok_or_else(unknown)
    }

    fn disks(&self) -> CallResult<&DeclaredDisks> {
        self.world.disks.as_ref().ok_or_else(no_disks)
    }

    fn refuse_unread_logs(&self) -> CallResult<()> {
        self.world.disks.as_ref().map_or(Ok(()), DeclaredDisks::check_read)
    }

    fn refuse_metadata_in_place(&self, id: ContainerId, declared: &DeclaredContainer) -> CallResult<()> {
        let state = self.lock();
        match declared.metadata_objects.keys().find(|key| !state.moved.contains(*key)) {
            None => Ok(()),
            Some(key) => Err(CallError::Conflict(format!(
                "container {id} cannot be closed while the old metadata object `{key}` stays in place; stage moving it aside first"
            ))),
        }
    }

    fn after_tasks<T>(&self, answer: T) -> CallResult<T> {
        if !self.lock().tasks_done {
            return Err(CallError::Conflict("the controller's state is complete only in `finish`".to_owned()));
        }
        self.refuse_unread_logs()?;
        Ok(answer)
    }
}

fn pages<T: Send + 'static>(rows: impl IntoIterator<Item = T>) -> Box<dyn Pages<T>> {
    Box::new(VecPages::new(rows.into_iter().collect()))
}

fn object_pages(objects: Objects) -> Box<dyn Pages<Object>> {
    pages(objects.into_iter().map(|(key, size)| Object { key, size }))
}

impl RecoveryHost for MockHost {
    fn containers(&self) -> CallResult<Vec<ContainerSummary>> {
        Ok(self.world.containers.iter().map(|(&id, container)| container.summary(id)).collect())
    }

    fn list_segments(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Segment>>> {
        Ok(pages(self.container(container)?.segments.values().map(|declared| declared.segment.clone())))
    }

    fn measure(&self, container: ContainerId, names: &[String]) -> CallResult<Vec<Measure>> {
        if names.len() > PAGE_ROWS_MAX {
            let got = names.len();
            return Err(CallError::Exhausted(format!("measure takes at most {PAGE_ROWS_MAX} names, got {got}")));
        }
        let declared = self.container(container)?;
        let unknown = |name: &String| CallError::NotFound(format!("container {container} has no segment `{name}`"));
        let measure = |name: &String| declared.segments.get(name).ok_or_else(|| unknown(name));
        names.iter().map(|name| Ok(measure(name)?.measure.clone())).collect()
    }

    fn list_metadata_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        Ok(object_pages(self.container(container)?.metadata_objects.clone()))
    }

    fn list_leftover_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        let declared = self.container(container)?;
        let deleted = declared.segments.values().filter(|declared| declared.segment.standing == "deleted");
        let mut leftovers: Objects = deleted.flat_map(|declared| declared.objects.clone()).collect();
        leftovers.extend(declared.leftover_objects.clone());
        leftovers.extend(self.lock().of_no_use.get(&container).cloned().unwrap_or_default());
        Ok(object_pages(leftovers))
    }

    fn move_aside(&self, container: ContainerId, keys: &[String], place: &str) -> CallResult<()> {
        check_place(place)?;
        let objects = self.container(container)?.objects();
        let mut state = self.lock();
        let mut chosen = BTreeSet::new();
        for key in keys {
            if !objects.contains_key(key.as_str()) {
                return Err(CallError::NotFound(format!("container {container} has no object `{key}`")));
            }
            if state.moved.contains(key) || !chosen.insert(key.clone()) {
                return Err(CallError::Conflict(format!("the object `{key}` was staged to move before")));
            }
        }
        state.moved.append(&mut chosen);
        Ok(())
    }

    fn open_fresh_container(&self, container: ContainerId) -> CallResult<Box<dyn FreshContainer>> {
        self.refuse_unread_logs()?;
        self.container(container)?;
        self.world.disks.as_ref().map_or(Ok(()), |disks| disks.check_replaceable(container))?;
        let mut state = self.lock();
        if state.is_done(container) || !state.open.insert(container) {
            return Err(CallError::Conflict(format!("container {container} was opened before")));
        }
        drop(state);
        Ok(Box::new(OpenContainer::new(self.clone(), container)))
    }

    fn open_old_metadata(&self, container: ContainerId) -> CallResult<Box<dyn Pages<MetadataRow>>> {
        Ok(pages(self.container(container)?.rows.values().cloned()))
    }

    fn list_streams(&self) -> CallResult<Box<dyn Pages<StreamState>>> {
        self.after_tasks(pages(self.world.streams.clone()))
    }

    fn highest_transaction_counter(&self) -> CallResult<Option<TransactionCounter>> {
        self.after_tasks(self.world.transaction_counter)
    }

    fn list_pending_work(&self) -> CallResult<Box<dyn Pages<PendingWork>>> {
        self.refuse_unread_logs()?;
        Ok(pages(self.world.pending_work.clone()))
    }

    fn znode(&self, path: &str) -> CallResult<Option<ZNode>> {
        self.lock().znodes.get(self.world.as_ref(), path)
    }

    fn znode_children(&self, path: &str) -> CallResult<Vec<String>> {
        self.lock().znodes.children(self.world.as_ref(), path)
    }

    fn create_znode(&self, path: &str, data: Vec<u8>) -> CallResult<()> {
        self.lock().znodes.create(self.world.as_ref(), path, data)
    }

    fn set_znode(&self, path: &str, data: Vec<u8>, expected_version: i32) -> CallResult<()> {
        self.lock().znodes.set(self.world.as_ref(), path, data, expected_version)
    }

    fn delete_znode(&self, path: &str, expected_version: i32) -> CallResult<()> {
        self.lock().znodes.delete(self.world.as_ref(), path, expected_version)
    }

    fn bookies(&self) -> CallResult<Vec<Bookie>> {
        Ok(self.disks()?.bookies.values().cloned().collect())
    }

    fn register_bookies(&self, ids: &[String]) -> CallResult<()> {
        let disks = self.disks()?;
        self.lock().registration.register(ids, &disks.bookie_ids(), disks.unregistered())
    }

    fn ledgers(&self) -> CallResult<Box<dyn Pages<Ledger>>> {
        Ok(pages(self.disks()?.ledgers.values().cloned()))
    }

    fn keep_ledgers(&self, ids: &[i64]) -> CallResult<()> {
        registration::check_count(ids)?;
        let disks = self.disks()?;
        ids.iter().try_for_each(|&id| disks.check_stray(id))?;
        self.lock().registration.keep(ids)
    }

    fn durable_logs(&self) -> CallResult<Vec<DurableLog>> {
        Ok(self.disks()?.logs.values().map(|declared| declared.log.clone()).collect())
    }

    fn restore_log(&self, container: ContainerId) -> CallResult<RestoredLog> {
        let disks = self.disks()?;
        self.container(container)?;
        let mut state = self.lock();
        if state.is_done(container) || state.open.contains(&container) {
            return Err(CallError::Conflict(format!("container {container} was opened or restored before")));
        }
        let (restored, ledgers) = disks.restore(container)?;
        state.registration.restore(ledgers.iter().copied());
        state.restored.insert(container);
        Ok(restored)
    }

    fn log(&self, _task: Option<&str>, _level: Level, _message: &str) {}

    fn progress(&self, _task: Option<&str>, _done: u64, _total: u64) {}

    fn decision(&self, _decision: Decision) {}

    fn loss(&self, _range: LostRange) {}

    fn tasks_done(&self) {
        self.lock().tasks_done = true;
    }
}

//! A host in memory for the tests: a few containers with segments, and a list of everything that was staged.

// Each test file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dr_engine::contract::{
    AttributeUpdate, CallError, CallResult, ContainerId, ContainerImage, ContainerSummary, Decision, EndedTransaction,
    FreshContainer, Level, LostRange, Measure, MetadataRow, NewSegment, Object, Pages, PendingWork, RecoveryHost,
    RenewedGroup, Segment, StreamState, TransactionCounter, Truncation, VecPages, ZNode,
};

/// What the host knows, and what it was told.
#[derive(Default)]
pub struct MockHost {
    pub segments: BTreeMap<ContainerId, Vec<Segment>>,
    pub measures: BTreeMap<String, Measure>,
    pub rows: BTreeMap<ContainerId, Vec<MetadataRow>>,
    pub unfinished: BTreeMap<ContainerId, Vec<EndedTransaction>>,
    pub streams: Vec<StreamState>,
    pub counter: Option<TransactionCounter>,
    pub pending: Vec<PendingWork>,
    pub znodes: Mutex<BTreeMap<String, ZNode>>,
    /// One line for everything staged or reported.
    pub told: Arc<Mutex<Vec<String>>>,
    pub logged: Mutex<Vec<String>>,
    /// Fresh containers that exist now.
    pub open: Arc<AtomicUsize>,
    pub tasks_done: AtomicBool,
    /// How long `storage.list-segments` takes.
    pub listing_takes: std::time::Duration,
}

impl MockHost {
    /// Containers 0 to `containers`, each with this many stream segments of 100 bytes.
    pub fn with_segments(containers: ContainerId, segments: usize) -> Self {
        let of = |container| (0..segments).map(|n| segment(container, &format!("s/t{n:07}/0.#epoch.0"))).collect();
        Self { segments: (0..containers).map(|container| (container, of(container))).collect(), ..Self::default() }
    }

    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    pub fn logged(&self) -> Vec<String> {
        self.logged.lock().unwrap().clone()
    }

    fn tell(&self, line: String) {
        self.told.lock().unwrap().push(line);
    }

    fn of<'a, T>(&self, map: &'a BTreeMap<ContainerId, Vec<T>>, container: ContainerId) -> CallResult<&'a [T]> {
        match map.get(&container) {
            Some(rows) => Ok(rows),
            None if self.segments.contains_key(&container) => Ok(&[]),
            None => Err(CallError::NotFound(format!("there is no container {container}"))),
        }
    }
}

/// A live stream segment of 100 whole bytes.
pub fn segment(container: ContainerId, name: &str) -> Segment {
    Segment {
        name: name.to_owned(),
        kind: "stream".to_owned(),
        container,
        sealed: false,
        start_offset: 0,
        length: 100,
        recorded_length: Some(100),
        row_length: Some(100),
        standing: "live".to_owned(),
        findings: Vec::new(),
    }
}

struct MockContainer {
    id: ContainerId,
    known: Vec<String>,
    unfinished: Vec<EndedTransaction>,
    segments: u64,
    closed: bool,
    told: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
}

impl MockContainer {
    fn stage(&mut self, lines: Vec<String>) -> CallResult<()> {
        if self.closed {
            return Err(CallError::Conflict(format!("container {} is closed", self.id)));
        }
        let mut told = self.told.lock().unwrap();
        told.extend(lines.into_iter().map(|line| format!("{}: {line}", self.id)));
        Ok(())
    }
}

impl FreshContainer for MockContainer {
    fn create_segments(&mut self, segments: Vec<NewSegment>) -> CallResult<()> {
        if let Some(unknown) = segments.iter().find(|segment| self.known.binary_search(&segment.name).is_err()) {
            return Err(CallError::NotFound(format!("container {} has no segment {}", self.id, unknown.name)));
        }
        self.segments += segments.len() as u64;
        let line = |segment: NewSegment| {
            format!("create {} {}{}", segment.name, segment.length, if segment.sealed { " sealed" } else { "" })
        };
        self.stage(segments.into_iter().map(line).collect())
    }

    fn update_attributes(&mut self, updates: Vec<AttributeUpdate>) -> CallResult<()> {
        let line = |update: AttributeUpdate| {
            let ids: Vec<String> = update.attributes.iter().map(|a| format!("{}={}", a.id, a.value)).collect();
            format!("attributes {} {}", update.segment, ids.join(","))
        };
        self.stage(updates.into_iter().map(line).collect())
    }

    fn seal_segments(&mut self, names: Vec<String>) -> CallResult<()> {
        self.stage(names.into_iter().map(|name| format!("seal {name}")).collect())
    }

    fn truncate_segments(&mut self, truncations: Vec<Truncation>) -> CallResult<()> {
        let line = |truncation: Truncation| format!("truncate {} {}", truncation.segment, truncation.start_offset);
        self.stage(truncations.into_iter().map(line).collect())
    }

    fn renew_reader_groups(&mut self, names: Vec<String>) -> CallResult<Vec<RenewedGroup>> {
        self.stage(names.iter().map(|name| format!("renew {name}")).collect())?;
        let renewed = |_| RenewedGroup { outcome: "renewed".to_owned(), ..RenewedGroup::default() };
        Ok(names.iter().map(renewed).collect())
    }

    fn end_transactions(&mut self) -> CallResult<Vec<EndedTransaction>> {
        self.stage(vec!["end transactions".to_owned()])?;
        Ok(self.unfinished.clone())
    }

    fn close(&mut self) -> CallResult<ContainerImage> {
        self.stage(vec!["close".to_owned()])?;
        self.closed = true;
        Ok(ContainerImage {
            segments: self.segments,
            operations: 7,
            log_bytes: 1000,
            epoch: 3,
            digest: "00".repeat(32),
        })
    }
}

impl Drop for MockContainer {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl RecoveryHost for MockHost {
    fn containers(&self) -> CallResult<Vec<ContainerSummary>> {
        let summary = |(id, segments): (&ContainerId, &Vec<Segment>)| {
            let objects = segments.len() as u64;
            ContainerSummary { id: *id, objects, bytes: 100 * objects, highest_epoch: 2 }
        };
        Ok(self.segments.iter().map(summary).collect())
    }

    fn list_segments(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Segment>>> {
        std::thread::sleep(self.listing_takes);
        Ok(Box::new(VecPages::new(self.of(&self.segments, container)?.to_vec())))
    }

    fn measure(&self, _container: ContainerId, names: &[String]) -> CallResult<Vec<Measure>> {
        let whole = || Measure { content: "events".to_owned(), whole_length: 100, items: 10 };
        Ok(names.iter().map(|name| self.measures.get(name).cloned().unwrap_or_else(whole)).collect())
    }

    fn list_metadata_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        Ok(Box::new(VecPages::new(vec![Object { key: format!("_system/metadata_{container}"), size: 10 }])))
    }

    fn list_leftover_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        Ok(Box::new(VecPages::new(vec![Object { key: format!("gone_{container}"), size: 10 }])))
    }

    fn move_aside(&self, container: ContainerId, keys: &[String], place: &str) -> CallResult<()> {
        if !place.starts_with("_dr/") || place.split('/').any(|part| part == "..") {
            return Err(CallError::Invalid(format!("{place} is not below _dr/")));
        }
        self.tell(format!("{container}: move {} to {place}", keys.join(",")));
        Ok(())
    }

    fn open_fresh_container(&self, container: ContainerId) -> CallResult<Box<dyn FreshContainer>> {
        let known = self.of(&self.segments, container)?.iter().map(|segment| segment.name.clone()).collect();
        self.open.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(MockContainer {
            id: container,
            known,
            unfinished: self.unfinished.get(&container).cloned().unwrap_or_default(),
            segments: 0,
            closed: false,
            told: Arc::clone(&self.told),
            open: Arc::clone(&self.open),
        }))
    }

    fn open_old_metadata(&self, container: ContainerId) -> CallResult<Box<dyn Pages<MetadataRow>>> {
        Ok(Box::new(VecPages::new(self.of(&self.rows, container)?.to_vec())))
    }

    fn list_streams(&self) -> CallResult<Box<dyn Pages<StreamState>>> {
        if !self.tasks_done.load(Ordering::SeqCst) {
            return Err(CallError::Conflict("streams are known in `finish` only".to_owned()));
        }
        Ok(Box::new(VecPages::new(self.streams.clone())))
    }

    fn highest_transaction_counter(&self) -> CallResult<Option<TransactionCounter>> {
        Ok(self.counter)
    }

    fn list_pending_work(&self) -> CallResult<Box<dyn Pages<PendingWork>>> {
        Ok(Box::new(VecPages::new(self.pending.clone())))
    }

    fn znode(&self, path: &str) -> CallResult<Option<ZNode>> {
        Ok(self.znodes.lock().unwrap().get(path).cloned())
    }

    fn znode_children(&self, _path: &str) -> CallResult<Vec<String>> {
        Ok(Vec::new())
    }

    fn create_znode(&self, path: &str, data: Vec<u8>) -> CallResult<()> {
        self.tell(format!("create znode {path} {data:?}"));
        Ok(())
    }

    fn set_znode(&self, path: &str, data: Vec<u8>, expected_version: i32) -> CallResult<()> {
        self.tell(format!("set znode {path} {data:?} if {expected_version}"));
        Ok(())
    }

    fn delete_znode(&self, path: &str, expected_version: i32) -> CallResult<()> {
        self.tell(format!("delete znode {path} if {expected_version}"));
        Ok(())
    }

    fn log(&self, task: Option<&str>, level: Level, message: &str) {
        self.logged.lock().unwrap().push(format!("{} {level:?} {message}", task.unwrap_or("-")));
    }

    fn progress(&self, _task: Option<&str>, _done: u64, _total: u64) {}

    fn decision(&self, decision: Decision) {
        self.tell(format!("decision {} {}", decision.subject, decision.choice));
    }

    fn loss(&self, range: LostRange) {
        self.tell(format!("loss {} {}..{:?} {}", range.segment, range.first, range.end, range.reason));
    }

    fn tasks_done(&self) {
        self.tasks_done.store(true, Ordering::SeqCst);
    }
}

/// A component that `cargo xtask guests` built.
pub fn guest(name: &str) -> Vec<u8> {
    let path = format!("{}/../../target/guests/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}; run `cargo xtask setup` once"))
}

/// The same for settings.
pub fn overrides(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

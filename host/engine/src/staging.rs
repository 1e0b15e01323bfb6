//! One run of a procedure: its reads come from the survey, its writes are staged here and become the plan.

mod damage;
mod restore;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dr_backends::tier1::ZNodes;
use dr_backends::tier2::TEMPORARY_PREFIX;

use crate::apply::{IN_PROGRESS_KEY, RECORD_PREFIX};
use crate::cluster::ClusterLayout;
use crate::contract::{
    AttributeUpdate, Bookie, CallError, CallResult, ContainerId, ContainerImage, ContainerSummary, Decision,
    DurableLog, EndedTransaction, FreshContainer, Ledger, Level, LostRange, Measure, MetadataRow, NewSegment, Object,
    PAGE_ROWS_MAX, Pages, PendingWork, RecoveryHost, RenewedGroup, RestoredLog, Segment, StreamState,
    TransactionCounter, Truncation, VecPages, ZNode,
};
use crate::controller::{ControllerEvidence, StreamName};
use crate::error::{OperatorError, Result};
use crate::evidence::ContainerEvidence;
use crate::evidence_file::{self, Stamps};
use crate::fresh::{EvidenceSegments, FreshSegments};
use crate::image::{self, Built, BuiltImage};
use crate::ledgers::LedgerEvidence;
use crate::overlay::{ClusterZNodes, ZNodeOverlay};
use crate::plan::{
    AbsentMetadata, ContainerPlan, Effect, Maker, MovedObject, PLAN_FORMAT_VERSION, Plan, image_file_name,
};
use crate::pool::{PARALLEL_READS, map_bounded};
use crate::progress::Progress;
use crate::reader_groups;
use crate::report::{ContainerAccount, LossReport, Streams};
use crate::survey::Survey;
use crate::witness::WitnessedZNodes;
use restore::Restored;

/// Most decisions and most losses that one run records. Bounds a guest that reports without end.
pub const REPORTS_MAX: usize = 1_000_000;

/// Where objects may be moved to.
const ASIDE_PREFIX: &str = "_dr/";

/// A run in the making. Shared by the tasks of the procedure.
#[derive(Debug, Clone)]
pub struct Staging(Arc<Shared>);

struct Shared {
    survey: Arc<Survey>,
    znodes: WitnessedZNodes,
    /// What bookies' disks tell, if any were given.
    ledgers: Option<Box<LedgerEvidence>>,
    layout: ClusterLayout,
    directory: PathBuf,
    progress: Arc<dyn Progress>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Staging").field("directory", &self.directory).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    open: BTreeSet<ContainerId>,
    closed: BTreeMap<ContainerId, BuiltImage>,
    restored: Restored,
    moved: BTreeMap<(ContainerId, String), BTreeMap<String, u64>>,
    znodes: ZNodeOverlay,
    controller: ControllerEvidence,
    absent_metadata: BTreeMap<ContainerId, AbsentMetadata>,
    /// Objects whose segments begin anew or are ended.
    of_no_use: BTreeMap<ContainerId, BTreeMap<String, u64>>,
    accounts: BTreeMap<ContainerId, ContainerAccount>,
    streams: Streams,
    decisions: Vec<Decision>,
    losses: Vec<LostRange>,
    reports_dropped: u64,
    stamps: Stamps,
    tasks_done: bool,
}

impl State {
    /// True if a container was closed or restored.
    fn is_done(&self, container: ContainerId) -> bool {
        self.closed.contains_key(&container) || self.restored.has_log(container)
    }

    fn decide(&mut self, decision: Decision) {
        if self.decisions.len() < REPORTS_MAX {
            self.decisions.push(decision);
        } else {
            self.reports_dropped += 1;
        }
    }

    fn count_streams(&mut self, streams: Streams) {
        for (owner, figures) in streams {
            *self.streams.entry(owner).or_default() += &figures;
        }
    }

    fn lose(&mut self, range: LostRange) {
        if self.losses.len() < REPORTS_MAX {
            self.losses.push(range);
        } else {
            self.reports_dropped += 1;
        }
    }
}

impl Staging {
    /// A run over this survey. Log images go to `directory`, which must exist.
    pub fn new(
        survey: Arc<Survey>,
        znodes: Arc<dyn ZNodes>,
        layout: ClusterLayout,
        directory: &Path,
        progress: Arc<dyn Progress>,
    ) -> Self {
        Self::with_disks(survey, znodes, None, layout, directory, progress)
    }

    /// The same with what the disks of bookies tell.
    pub fn with_disks(
        survey: Arc<Survey>,
        znodes: Arc<dyn ZNodes>,
        ledgers: Option<LedgerEvidence>,
        layout: ClusterLayout,
        directory: &Path,
        progress: Arc<dyn Progress>,
    ) -> Self {
        let (directory, znodes) = (directory.to_path_buf(), WitnessedZNodes::new(znodes));
        let ledgers = ledgers.map(Box::new);
        Self(Arc::new(Shared { survey, znodes, ledgers, layout, directory, progress, state: Mutex::default() }))
    }

    /// The plan of what was staged; `expected` are the containers that the run was asked to recover.
    ///
    /// # Errors
    /// `procedure-incomplete` for an expected container that the procedure did not close; `too-many-reports`.
    pub fn into_plan(self, maker: Maker, expected: &[ContainerId]) -> Result<Plan> {
        let mut state = self.lock();
        let awaits_bookies = self.0.ledgers.as_ref().is_some_and(|ledgers| ledgers.awaits_bookies());
        let is_open = |container: &&ContainerId| !awaits_bookies && !state.is_done(**container);
        if let Some(container) = expected.iter().find(is_open) {
            return Err(OperatorError::new(
                "procedure-incomplete",
                format!("the procedure `{}` did not close or restore container {container}", maker.procedure),
                "correct the procedure, or leave the container out with --containers; nothing was changed",
            ));
        }
        let effects = self.effects(&state);
        if state.reports_dropped > 0 {
            return Err(OperatorError::new(
                "too-many-reports",
                format!("the procedure `{}` reported more than {REPORTS_MAX} decisions or losses", maker.procedure),
                "let the procedure report less; nothing was changed",
            ));
        }
        // The procedure has ended and asks no more; the evidence, of which there is much, comes to a head now.
        state.controller = ControllerEvidence::default();
        let Shared { survey, znodes, directory, .. } = &*self.0;
        let (evidence, stamps) = evidence_file::write(directory, survey.held(), &survey.take_reads()?, &znodes.seen())?;
        state.stamps = stamps;
        let plan = Plan {
            format_version: PLAN_FORMAT_VERSION,
            id: String::new(),
            cluster: self.0.layout.cluster_name.clone(),
            container_count: self.0.survey.container_count(),
            maker,
            evidence,
            containers: state.closed.values().map(|built| container_plan(built, &state.absent_metadata)).collect(),
            restored: state.restored.containers(),
            warnings: self
                .0
                .ledgers
                .as_ref()
                .map_or_else(Vec::new, |ledgers| ledgers.warnings(self.0.layout.ack_quorum)),
            decisions: std::mem::take(&mut state.decisions),
            losses: std::mem::take(&mut state.losses),
            effects,
        };
        plan.seal()
    }

    /// Takes out by what the application of the plan, in this process, can tell without reading that objects did not change.
    pub fn take_stamps(&self) -> Stamps {
        std::mem::take(&mut self.lock().stamps)
    }

    /// The loss report of the plan that this run became.
    pub fn into_loss_report(self, plan: &Plan) -> LossReport {
        let mut state = self.lock();
        let streams = std::mem::take(&mut state.streams);
        LossReport::new(plan, self.0.survey.listing(), &state.accounts, streams)
    }

    fn effects(&self, state: &State) -> Vec<Effect> {
        let mut effects = state.znodes.effects(&self.0.layout);
        effects.extend(state.restored.effects(self));
        for (&container, built) in &state.closed {
            effects.push(Effect::WriteLog {
                container,
                image: image_file_name(container),
                digest: built.image.digest.clone(),
                entries: built.frames,
                bytes: built.image.log_bytes,
            });
            let salvaged = self.0.ledgers.as_ref().and_then(|ledgers| ledgers.salvaged(container));
            if let Some(salvaged) = salvaged.filter(|salvaged| !salvaged.objects.is_empty()) {
                effects.push(Effect::WriteObjects { container, objects: salvaged.objects.clone() });
            }
            let path = self.0.layout.log_znode(container);
            let replaced = self.0.ledgers.as_ref().and_then(|ledgers| ledgers.log_node(container));
            let expected_version = replaced.map(|node| node.version);
            effects.push(Effect::CommitLog { container, path, epoch: built.image.epoch, expected_version });
        }
        for ((container, place), objects) in &state.moved {
            let moved = |(key, &size): (&String, &u64)| MovedObject { key: key.clone(), size };
            effects.push(Effect::MoveAside {
                container: *container,
                place: place.clone(),
                objects: objects.iter().map(moved).collect(),
            });
        }
        effects
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn znodes_below(&self) -> ClusterZNodes<'_> {
        ClusterZNodes { znodes: &self.0.znodes, layout: &self.0.layout }
    }

    fn evidence(&self, container: ContainerId) -> CallResult<Arc<ContainerEvidence>> {
        let survey = &self.0.survey;
        if container >= survey.container_count() {
            let count = survey.container_count();
            return Err(CallError::NotFound(format!("there is no container {container}: the cluster has {count}")));
        }
        Ok(survey.evidence(container)?)
    }

    /// Reads what the controller's tables tell: as they were recovered, or as they are if no container was.
    fn after_tasks<T>(&self, read: impl FnOnce(&ControllerEvidence) -> T) -> CallResult<T> {
        let state = self.lock();
        if !state.tasks_done {
            return Err(CallError::Conflict("the controller's state is complete only in `finish`".to_owned()));
        }
        if !state.closed.is_empty() && !state.restored.has_any_log() {
            return Ok(read(&state.controller));
        }
        drop(state);
        Ok(read(&self.controller_survey()?.controller_tables()?.evidence))
    }
}

fn container_plan(built: &BuiltImage, absent_metadata: &BTreeMap<ContainerId, AbsentMetadata>) -> ContainerPlan {
    let counts =
        |map: &BTreeMap<&'static str, u64>| map.iter().map(|(name, &count)| ((*name).to_owned(), count)).collect();
    ContainerPlan {
        container: built.container,
        image: built.image.clone(),
        segments_by_kind: counts(&built.segments_by_kind),
        data_bytes: built.data_bytes,
        findings: counts(&built.findings),
        completed_tables: built.completed_tables,
        absent_metadata: absent_metadata.get(&built.container).cloned(),
    }
}

impl RecoveryHost for Staging {
    fn containers(&self) -> CallResult<Vec<ContainerSummary>> {
        Ok(self.0.survey.containers())
    }

    fn list_segments(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Segment>>> {
        Ok(Box::new(VecPages::new(self.evidence(container)?.segments())))
    }

    fn measure(&self, container: ContainerId, names: &[String]) -> CallResult<Vec<Measure>> {
        if names.len() > PAGE_ROWS_MAX {
            return Err(CallError::Exhausted(format!(
                "measure takes at most {PAGE_ROWS_MAX} names, got {}",
                names.len()
            )));
        }
        let evidence = self.evidence(container)?;
        let measure = |name: &String| Ok(evidence.measure(name, self.0.survey.tier2()));
        map_bounded(PARALLEL_READS, names, measure)?.into_iter().collect()
    }

    fn list_metadata_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        let evidence = self.evidence(container)?;
        let objects = evidence.metadata_objects();
        let object = |(key, size): (&str, u64)| Object { key: key.to_owned(), size };
        Ok(Box::new(VecPages::new(objects.into_iter().map(object).collect())))
    }

    fn list_leftover_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        let evidence = self.evidence(container)?;
        let object = |(key, size): (&str, u64)| Object { key: key.to_owned(), size };
        let state = self.lock();
        let of_no_use = state.of_no_use.get(&container).into_iter().flatten().map(|(key, size)| (key.as_str(), *size));
        let leftovers: BTreeMap<&str, u64> = evidence.leftovers().chain(of_no_use).collect();
        Ok(Box::new(VecPages::new(leftovers.into_iter().map(object).collect())))
    }

    fn move_aside(&self, container: ContainerId, keys: &[String], place: &str) -> CallResult<()> {
        check_place(place)?;
        let evidence = self.evidence(container)?;
        let metadata = evidence.metadata_objects();
        let mut state = self.lock();
        let mut chosen = BTreeMap::new();
        for key in keys {
            let size = match metadata.binary_search_by(|(known, _)| (*known).cmp(key)) {
                Ok(index) => metadata[index].1,
                Err(_) => evidence
                    .object_size(key)
                    .ok_or_else(|| CallError::NotFound(format!("container {container} has no object `{key}`")))?,
            };
            let staged = |objects: &BTreeMap<String, u64>| objects.contains_key(key);
            if state.moved.values().any(staged) || chosen.insert(key.clone(), size).is_some() {
                return Err(CallError::Conflict(format!("the object `{key}` was staged to move before")));
            }
        }
        state.moved.entry((container, place.to_owned())).or_default().append(&mut chosen);
        Ok(())
    }

    fn open_fresh_container(&self, container: ContainerId) -> CallResult<Box<dyn FreshContainer>> {
        self.refuse_unread_logs()?;
        let evidence = self.evidence(container)?;
        self.refuse_to_replace_whole_log(container)?;
        let mut state = self.lock();
        if state.is_done(container) || !state.open.insert(container) {
            return Err(CallError::Conflict(format!("container {container} was opened before")));
        }
        state.absent_metadata.extend(evidence.absent_metadata().map(|absent| (container, absent)));
        drop(state);
        Ok(Box::new(OpenContainer {
            staging: self.clone(),
            container,
            evidence: Some(evidence),
            segments: FreshSegments::default(),
        }))
    }

    fn open_old_metadata(&self, container: ContainerId) -> CallResult<Box<dyn Pages<MetadataRow>>> {
        Ok(Box::new(VecPages::new(self.evidence(container)?.metadata_rows())))
    }

    fn list_streams(&self) -> CallResult<Box<dyn Pages<StreamState>>> {
        // Refuses now rather than with the first page.
        self.after_tasks(|_| ())?;
        Ok(Box::new(StreamPages { staging: self.clone(), last: None }))
    }

    fn highest_transaction_counter(&self) -> CallResult<Option<TransactionCounter>> {
        self.after_tasks(ControllerEvidence::highest_transaction_counter)
    }

    /// Where containers were built anew from Tier-2 alone, the groups and transactions of the old ones are not gone on with.
    fn list_pending_work(&self) -> CallResult<Box<dyn Pages<PendingWork>>> {
        let is_total_loss = self.0.ledgers.is_none() && !self.lock().closed.is_empty();
        let works = if is_total_loss {
            self.after_tasks(ControllerEvidence::pending_requests)??
        } else {
            self.controller_survey()?.pending_work()?
        };
        Ok(Box::new(VecPages::new(works)))
    }

    fn znode(&self, path: &str) -> CallResult<Option<ZNode>> {
        self.lock().znodes.get(&self.znodes_below(), path)
    }

    fn znode_children(&self, path: &str) -> CallResult<Vec<String>> {
        self.lock().znodes.children(&self.znodes_below(), path)
    }

    fn create_znode(&self, path: &str, data: Vec<u8>) -> CallResult<()> {
        self.lock().znodes.create(&self.znodes_below(), path, data)
    }

    fn set_znode(&self, path: &str, data: Vec<u8>, expected_version: i32) -> CallResult<()> {
        self.lock().znodes.set(&self.znodes_below(), path, data, expected_version)
    }

    fn delete_znode(&self, path: &str, expected_version: i32) -> CallResult<()> {
        self.lock().znodes.delete(&self.znodes_below(), path, expected_version)
    }

    fn bookies(&self) -> CallResult<Vec<Bookie>> {
        self.list_bookies()
    }

    fn register_bookies(&self, ids: &[String]) -> CallResult<()> {
        self.stage_bookies(ids)
    }

    fn ledgers(&self) -> CallResult<Box<dyn Pages<Ledger>>> {
        self.list_ledgers()
    }

    fn keep_ledgers(&self, ids: &[i64]) -> CallResult<()> {
        self.stage_kept_ledgers(ids)
    }

    fn durable_logs(&self) -> CallResult<Vec<DurableLog>> {
        self.list_logs()
    }

    fn restore_log(&self, container: ContainerId) -> CallResult<RestoredLog> {
        self.stage_log(container)
    }

    fn log(&self, task: Option<&str>, level: Level, message: &str) {
        match level {
            Level::Debug => tracing::debug!(task, "{message}"),
            Level::Info => tracing::info!(task, "{message}"),
            Level::Warning => {
                tracing::warn!(task, "{message}");
                self.0.progress.message(message);
            }
        }
    }

    fn progress(&self, task: Option<&str>, done: u64, total: u64) {
        tracing::debug!(task, done, total, "progress");
    }

    fn decision(&self, decision: Decision) {
        self.lock().decide(decision);
    }

    fn loss(&self, range: LostRange) {
        self.lock().lose(range);
    }

    fn tasks_done(&self) {
        self.lock().tasks_done = true;
    }
}

/// Refuses places where Pravega or a later survey would look.
///
/// # Errors
/// `invalid`.
pub fn check_place(place: &str) -> CallResult<()> {
    let below = place.strip_prefix(ASIDE_PREFIX).unwrap_or_default();
    let bad_part = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(char::is_control);
    if below.split('/').any(bad_part) {
        return Err(CallError::Invalid(format!("objects can be moved below `{ASIDE_PREFIX}` only, not to `{place}`")));
    }
    let is_own =
        |own: &str| own.strip_prefix(ASIDE_PREFIX).is_some_and(|own| below.split('/').next() == own.split('/').next());
    if [TEMPORARY_PREFIX, RECORD_PREFIX, IN_PROGRESS_KEY].into_iter().any(is_own) {
        let what = format!(
            "objects cannot be moved to `{place}`, where dr keeps something itself: name another place below `{ASIDE_PREFIX}`"
        );
        return Err(CallError::Invalid(what));
    }
    Ok(())
}

/// The streams, made page by page: all of them at once would take more memory than what they are made from.
struct StreamPages {
    staging: Staging,
    /// The last that was handed out.
    last: Option<StreamName>,
}

impl Pages<StreamState> for StreamPages {
    fn next_page(&mut self, limit: usize) -> CallResult<Vec<StreamState>> {
        let buckets = self.staging.0.layout.retention_bucket_count;
        let (last, limit) = (self.last.as_ref(), limit.min(PAGE_ROWS_MAX));
        let page = self.staging.after_tasks(|controller| controller.streams(last, limit, buckets))?;
        if let Some(stream) = page.last() {
            self.last = Some((stream.scope.clone(), stream.name.clone()));
        }
        Ok(page)
    }
}

struct OpenContainer {
    staging: Staging,
    container: ContainerId,
    /// None once closed.
    evidence: Option<Arc<ContainerEvidence>>,
    segments: FreshSegments,
}

impl OpenContainer {
    fn evidence(&self) -> CallResult<Arc<ContainerEvidence>> {
        self.evidence.clone().ok_or_else(|| CallError::Conflict(format!("container {} was closed", self.container)))
    }

    /// Old metadata that stays in place would be adopted by the store at boot, over the new log.
    fn check_moved(&self, evidence: &ContainerEvidence, state: &State) -> CallResult<()> {
        let objects = evidence.metadata_objects();
        let staged = |key: &str| state.moved.values().any(|objects| objects.contains_key(key));
        match objects.iter().find(|(key, _)| !staged(key)) {
            None => Ok(()),
            Some((key, _)) => Err(CallError::Conflict(format!(
                "container {} cannot be closed while the old metadata object `{key}` stays in place; stage moving it aside first",
                self.container
            ))),
        }
    }
}

impl FreshContainer for OpenContainer {
    fn create_segments(&mut self, segments: Vec<NewSegment>) -> CallResult<()> {
        let evidence = self.evidence()?;
        let old_segments = EvidenceSegments { evidence: &evidence, tier2: self.staging.0.survey.tier2() };
        self.segments.create(self.container, &old_segments, segments)
    }

    fn update_attributes(&mut self, updates: Vec<AttributeUpdate>) -> CallResult<()> {
        self.evidence()?;
        self.segments.update_attributes(updates)
    }

    fn seal_segments(&mut self, names: Vec<String>) -> CallResult<()> {
        self.evidence()?;
        self.segments.seal(&names)
    }

    fn truncate_segments(&mut self, truncations: Vec<Truncation>) -> CallResult<()> {
        self.evidence()?;
        self.segments.truncate(&truncations)
    }

    fn renew_reader_groups(&mut self, names: Vec<String>) -> CallResult<Vec<RenewedGroup>> {
        let evidence = self.evidence()?;
        let survey = &self.staging.0.survey;
        let renew = |name: &str, length| reader_groups::renew(survey, &evidence, name, length);
        let outcomes = self.segments.renew_reader_groups(&names, renew)?;
        self.staging.lock().of_no_use.insert(self.container, self.segments.objects_of_no_use(&evidence));
        Ok(outcomes)
    }

    fn end_transactions(&mut self) -> CallResult<Vec<EndedTransaction>> {
        let evidence = self.evidence()?;
        let ended = self.segments.end_transactions(&self.staging.0.survey, &evidence)?;
        self.staging.lock().of_no_use.insert(self.container, self.segments.objects_of_no_use(&evidence));
        Ok(ended)
    }

    fn close(&mut self) -> CallResult<ContainerImage> {
        let evidence = self.evidence()?;
        self.check_moved(&evidence, &self.staging.lock())?;
        let shared = &self.staging.0;
        let is_log_whole = |container| shared.ledgers.as_ref().is_some_and(|ledgers| ledgers.is_log_whole(container));
        let freed = self.segments.free_unusable_names(&shared.survey, &evidence, is_log_whole)?;
        let raised = self.segments.raise_heads(&shared.survey, &evidence)?;
        let path = shared.directory.join(image_file_name(self.container));
        let Built { image: mut built, controller, unused_chunks } =
            image::build(&evidence, &self.segments, shared.survey.tier2(), &path)?;
        built.image.epoch = built.image.epoch.max(self.staging.epoch_of_old_log(self.container) + 1);
        let (account, streams) = ContainerAccount::take(&evidence, &self.segments, &unused_chunks, &shared.directory)?;
        shared.survey.set_reads_aside(self.container, &shared.directory)?;
        let image = built.image.clone();
        let mut state = self.staging.lock();
        state.open.remove(&self.container);
        let (mut decisions, mut losses) = damage::told(&evidence, &built);
        decisions.extend(freed.iter().map(|table| damage::name_freed(self.container, table)));
        decisions.extend(raised.iter().map(|stream| damage::head_raised(self.container, stream)));
        let salvaged = shared.ledgers.as_ref().and_then(|ledgers| ledgers.salvaged(self.container));
        losses.extend(salvaged.into_iter().flat_map(|salvaged| salvaged.gaps.iter().cloned()));
        decisions.into_iter().for_each(|decision| state.decide(decision));
        losses.into_iter().for_each(|range| state.lose(range));
        state.closed.insert(self.container, built);
        state.accounts.insert(self.container, account);
        state.count_streams(streams);
        state.controller.absorb(controller);
        drop(state);
        self.evidence = None;
        shared.survey.forget(self.container);
        shared.progress.advanced(1);
        Ok(image)
    }
}

impl Drop for OpenContainer {
    /// A container that the procedure drops without closing is forgotten and can be opened again.
    fn drop(&mut self) {
        self.staging.lock().open.remove(&self.container);
    }
}

#[cfg(test)]
mod tests {
    use super::check_place;

    #[test]
    fn objects_are_moved_below_our_own_folder_and_not_to_what_we_keep_there() {
        for place in ["_dr/moved-aside", "_dr/a/b", "_dr/temporary-2", "_dr/x/recoveries"] {
            assert!(check_place(place).is_ok(), "{place}");
        }
        let reserved = [
            "_dr/temporary",
            "_dr/temporary/x",
            "_dr/recoveries",
            "_dr/recoveries/x/y",
            "_dr/in-progress.json",
            "_dr/in-progress.json/y",
        ];
        for place in reserved.into_iter().chain(["_dr", "_dr/", "moved-aside", "_dr/../x", "_dr//x", "_dr/a\nb"]) {
            assert!(check_place(place).is_err(), "{place}");
        }
    }
}

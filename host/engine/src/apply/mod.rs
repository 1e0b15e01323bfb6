//! Applies a plan: ordered, journalled, idempotent.
//!
//! What old bookies need to start, then new ledgers (no ZNode names them yet, so Pravega does not see them), then objects, then ZNodes, the
//! log ZNodes last. Each effect has a check whether it is done already; killing the process anywhere and applying the
//! same plan again ends in the same state.

mod evidence;
mod lock;
mod marker;
mod objects;
mod patience;
mod restored;
mod rollback;
mod steps;
mod undo;

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use dr_backends::tier1::{LedgerWriter, Tier1Error};
use dr_backends::tier2::{Tier2, Tier2Error};
use dr_formats::log_metadata::{FrameAddress, LedgerAddress, LedgerStatus, LogLedger, LogMetadata};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use self::evidence::refuse_changed;
pub use self::evidence::refuse_unsteady;
use self::lock::ClusterLock;
pub(crate) use self::marker::RECORD_PREFIX;
pub use self::marker::{IN_PROGRESS_KEY, InProgress, in_progress, recoveries, refuse_other_recovery};
use self::marker::{claim, claim_ends, refuse_another_run, refuse_other_place};
pub use self::patience::Patience;
pub use self::restored::verify_restored;
pub use self::rollback::{RolledBack, roll_back};
use self::steps::Steps;
use self::undo::UndoBundle;
use crate::cluster::{ClusterLayout, Tier1, refuse_existing_logs, refuse_live_cluster};
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::evidence_file::Stamps;
use crate::journal::{Entry, Journal, State};
use crate::plan::{Effect, MovedObject, PLAN_FILE, Plan, PlannedTruncation, hex, plan_file, run_directory_error};
use crate::pool::for_each_bounded;
use crate::progress::{Progress, Unit};

/// Threads that write ZNodes, if not more were asked for: each mostly waits for an answer.
const ZNODE_THREADS: usize = 16;

/// Most ZNodes in one call.
const ZNODE_BATCH: usize = 1024;

/// Longest frame that an image may hold: what BookKeeper accepts for one entry (`BookKeeperConfig.MAX_APPEND_LENGTH`).
const FRAME_BYTES_MAX: u32 = 1024 * 1024 - 1024;

/// What an application needs.
#[derive(Debug, Clone, Copy)]
pub struct Application<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its directory.
    pub directory: &'a Path,
    /// The journal in that directory.
    pub journal: &'a Journal,
    /// Where the objects are.
    pub tier2: &'a dyn Tier2,
    /// Where ZNodes and ledgers go.
    pub tier1: Tier1<'a>,
    /// The cluster.
    pub layout: &'a ClusterLayout,
    /// Stamps of the objects that this process read when it made the plan. What still has its stamp is not read again to see that
    /// nothing changed; none for a plan that another process made.
    pub stamps: Option<&'a Stamps>,
    /// Threads.
    pub parallel: usize,
    /// The operator accepts that servers of the cluster may be running.
    pub accept_live_cluster: bool,
    /// The operator knows that nobody works on the cluster, although a lock says so.
    pub break_lock: bool,
    /// How long is tried again when servers or disks fail.
    pub patience: Patience,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Effects that were applied now.
    pub effects: usize,
    /// Effects that had been applied by an earlier, interrupted run.
    pub already_done: usize,
    /// Ledger of each container.
    pub ledgers: Vec<(ContainerId, i64)>,
}

/// Applies the plan, or what an interrupted run left of it. What fails for a while is tried again.
///
/// # Errors
/// `evidence-changed`, `live-cluster`, `log-exists`, `recovery-in-progress`, `lock-held`, `rolled-back`, and the errors of the
/// backends. After an error the same call resumes.
pub fn apply(application: &Application<'_>, progress: &dyn Progress) -> Result<Applied> {
    let steps = Steps::of(application)?;
    let done_before = steps.done();
    let mut lock = None;
    let attempt = || apply_once(application, &steps, &mut lock, progress);
    let observers = (application.journal, progress);
    let applied = application.patience.keep_trying(observers, || steps.done(), attempt);
    if let (Err(_), Some(lock)) = (&applied, lock) {
        lock.give_back(!steps.is_new());
    }
    let ledgers = applied?;
    Ok(Applied { effects: steps.done() - done_before, already_done: done_before, ledgers })
}

fn apply_once<'a>(
    application: &'a Application<'a>,
    steps: &Steps<'_>,
    lock: &mut Option<ClusterLock<'a>>,
    progress: &dyn Progress,
) -> Result<Vec<(ContainerId, i64)>> {
    let Application { plan, directory, tier1, layout, .. } = application;
    if !application.accept_live_cluster {
        refuse_live_cluster(tier1.znodes, layout, plan.stopped())?;
    }
    rollback::refuse_rolled_back(directory)?;
    if steps.is_new() {
        refuse_another_run(application)?;
        refuse_existing_logs(tier1.znodes, layout, &plan.containers_without_log())?;
        refuse_changed_images(application)?;
        refuse_changed(application, progress)?;
        application.journal.record(Entry::EvidenceChecked { plan: plan.id.clone() })?;
    } else {
        refuse_other_place(application)?;
    }
    if lock.is_none() {
        *lock = Some(ClusterLock::take(application)?);
    }
    claim(application, steps.is_new())?;
    if steps.is_new() {
        UndoBundle::take(plan, *tier1)?.save(directory)?;
    }
    let ledgers = Run { application, steps, lock: lock.as_ref(), progress }.all_effects()?;
    claim_ends(application)?;
    // Given up before the answer is known: if it is lost, another attempt finds out what became of it.
    lock.take().map_or(Ok(()), |lock| lock.remove())?;
    Ok(ledgers)
}

struct Run<'a> {
    application: &'a Application<'a>,
    steps: &'a Steps<'a>,
    lock: Option<&'a ClusterLock<'a>>,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    /// Returns the ledger of each container.
    fn all_effects(&self) -> Result<Vec<(ContainerId, i64)>> {
        self.stage("registering ledgers", Unit::Ledgers, |effect| match effect {
            Effect::RestoreLedgers { ledgers, .. } => Some(ledgers.len() as u64),
            _ => None,
        })?;
        self.refuse_lost_lock()?;
        self.stage("registering bookies", Unit::Bookies, |effect| match effect {
            Effect::RegisterBookies(planned) => Some(planned.bookies.len() as u64),
            _ => None,
        })?;
        restored::refuse_stopped_bookies(self.application)?;
        self.stage("writing logs", Unit::Bytes, |effect| match effect {
            Effect::WriteLog { bytes, .. } => Some(*bytes),
            _ => None,
        })?;
        self.stage("writing objects", Unit::Objects, |effect| match effect {
            Effect::WriteObjects { objects, .. } => Some(objects.len() as u64),
            _ => None,
        })?;
        self.stage("closing ledgers", Unit::Ledgers, |effect| match effect {
            Effect::CloseLedgers { ledgers, .. } => Some(ledgers.len() as u64),
            _ => None,
        })?;
        self.stage("moving old metadata aside", Unit::Objects, |effect| match effect {
            Effect::MoveAside { objects, .. } => Some(objects.len() as u64),
            _ => None,
        })?;
        self.znodes()?;
        self.refuse_lost_lock()?;
        self.stage("committing containers", Unit::Containers, |effect| match effect {
            Effect::RestoreLog { .. } | Effect::CommitLog { .. } => Some(1),
            _ => None,
        })?;
        let effects = self.application.plan.effects.iter().enumerate();
        let ledgers = effects.filter_map(|(index, effect)| match effect {
            Effect::WriteLog { container, .. } => Some((*container, ledger_of(self.steps, index)?)),
            _ => None,
        });
        Ok(ledgers.collect())
    }

    /// What was done so far can be taken back; what comes next is what servers act on.
    fn refuse_lost_lock(&self) -> Result<()> {
        self.lock.map_or(Ok(()), |lock| lock.refuse_lost())
    }

    /// Applies the effects for which `size` gives a number, in parallel.
    fn stage(&self, name: &str, unit: Unit, size: impl Fn(&Effect) -> Option<u64>) -> Result<()> {
        let effects = self.application.plan.effects.iter().enumerate();
        let chosen: Vec<_> = effects.filter_map(|(index, effect)| Some((index, effect, size(effect)?))).collect();
        if chosen.is_empty() {
            return Ok(());
        }
        self.progress.stage_started(name, Some(chosen.iter().map(|(_, _, size)| size).sum()), unit);
        for_each_bounded(self.application.parallel, &chosen, |&(index, effect, size)| {
            self.one_effect(index, effect)?;
            self.progress.advanced(size);
            Ok(())
        })?;
        self.progress.stage_finished(name);
        Ok(())
    }

    /// Creates and changes ZNodes in parallel, then deletes in the reverse order of paths, children before parents. Each
    /// is compared with what is there before it acts, so the journal needs no record of each of them, only of all.
    fn znodes(&self) -> Result<()> {
        let effects = self.application.plan.effects.iter().enumerate();
        let of_znodes = effects.filter(|(_, effect)| effect.is_znode());
        let pending: Vec<_> = of_znodes.filter(|(index, _)| self.steps.state(*index).is_none()).collect();
        let (deletions, writes): (Vec<_>, Vec<_>) =
            pending.iter().copied().partition(|(_, effect)| matches!(effect, Effect::DeleteZnode { .. }));
        self.progress.stage_started("writing ZNodes", Some(pending.len() as u64), Unit::ZNodes);
        let threads = self.application.parallel.max(ZNODE_THREADS);
        let batches: Vec<_> = writes.chunks(writes.len().div_ceil(threads).clamp(1, ZNODE_BATCH)).collect();
        for_each_bounded(threads, &batches, |batch| {
            self.write_znodes(batch)?;
            self.progress.advanced(batch.len() as u64);
            Ok(())
        })?;
        for (_, effect) in deletions.iter().rev() {
            self.act(effect)?;
            self.progress.advanced(1);
        }
        // They stand together in the order of application, and are recorded together.
        if let (Some((first, _)), Some((last, _))) = (pending.first(), pending.last()) {
            self.steps.record_all(*first, *last, State::Done { ledger: None }, None)?;
        }
        self.progress.stage_finished("writing ZNodes");
        Ok(())
    }

    /// Creates the nodes of a batch in one call, if it has nothing else to do and none of them exists, as is usual; else
    /// goes from one to the next.
    fn write_znodes(&self, batch: &[(usize, &Effect)]) -> Result<()> {
        let created = batch.iter().map_while(|(_, effect)| match effect {
            Effect::CreateZnode { path, data } => Some((path.as_str(), data.as_slice())),
            _ => None,
        });
        let created: Vec<_> = created.collect();
        if created.len() == batch.len() {
            match self.application.tier1.znodes.create_all(&created) {
                Ok(()) => return Ok(()),
                Err(Tier1Error::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        batch.iter().try_for_each(|(_, effect)| self.act(effect))
    }

    /// Does what an effect without a ledger says, unless it is done already.
    fn act(&self, effect: &Effect) -> Result<()> {
        match effect {
            Effect::WriteLog { .. } => Ok(()),
            Effect::MoveAside { place, objects, .. } => {
                objects.iter().try_for_each(|object| move_aside(self.application.tier2, object, place))
            }
            Effect::WriteObjects { objects, .. } => {
                objects.iter().try_for_each(|object| objects::write(self.application, object))
            }
            Effect::RestoreLedgers { container, ledgers } => {
                let ledgers = restored::ledgers(*container, ledgers, self.application.layout);
                Ok(self.application.tier1.ledgers.registry().restore(&ledgers)?)
            }
            Effect::CloseLedgers { ledgers, .. } => {
                Ok(self.application.tier1.ledgers.registry().close_registered(&restored::closings(ledgers))?)
            }
            Effect::RegisterBookies(planned) => {
                let registration = restored::registration(planned);
                Ok(self.application.tier1.ledgers.registry().register_bookies(&registration)?)
            }
            Effect::RestoreLog { path, epoch, ledgers, truncation, expected_version, .. } => {
                self.put_log_znode(path, &log_metadata(*epoch, ledgers, *truncation)?, *expected_version)
            }
            Effect::CreateZnode { path, data } => self.create_znode(path, data),
            Effect::SetZnode { path, data, expected_version } => self.set_znode(path, data, *expected_version),
            Effect::DeleteZnode { path, expected_version } => self.delete_znode(path, *expected_version),
            Effect::CommitLog { container, path, epoch, expected_version } => {
                let data = written_log_metadata(self.application.plan, self.steps, *container, *epoch)?;
                self.put_log_znode(path, &data, *expected_version)
            }
        }
    }

    fn one_effect(&self, index: usize, effect: &Effect) -> Result<()> {
        let state = self.steps.state(index);
        if matches!(state, Some(State::Done { .. })) {
            return Ok(());
        }
        if state.is_none() {
            self.steps.record(index, State::Begun, None)?;
        }
        let (ledger, digest) = match effect {
            Effect::WriteLog { container, image, digest, .. } => {
                let image = plan_file(self.application.directory, image)?;
                (Some(self.write_log(index, *container, &image, digest, state)?), Some(digest.as_str()))
            }
            other => {
                self.act(other)?;
                (None, None)
            }
        };
        self.steps.record(index, State::Done { ledger }, digest)
    }

    fn write_log(
        &self,
        index: usize,
        container: ContainerId,
        image: &Path,
        digest: &str,
        state: Option<State>,
    ) -> Result<i64> {
        let ledgers = self.application.tier1.ledgers;
        if let Some(State::LedgerOpen { ledger }) = state {
            // An interrupted run left it; nothing names it, and its entries may be incomplete.
            ledgers.delete(ledger)?;
        }
        // Noted before it exists, so that a crash leaves no ledger that nobody knows of.
        let ledger = ledgers.allocate()?;
        self.steps.record(index, State::LedgerOpen { ledger }, None)?;
        let mut writer = ledgers.create(ledger, &self.application.layout.ledger_layout(container))?;
        let written = append_image(writer.as_mut(), image)?;
        if written != digest {
            return Err(image_changed(image));
        }
        Ok(writer.close()?.id)
    }

    /// Creates the ZNode of a log, or replaces it in this version.
    fn put_log_znode(&self, path: &str, data: &[u8], expected_version: Option<i32>) -> Result<()> {
        match expected_version {
            None => self.create_znode(path, data),
            Some(version) => self.set_znode(path, data, version),
        }
    }

    fn create_znode(&self, path: &str, data: &[u8]) -> Result<()> {
        match self.application.tier1.znodes.create(path, data) {
            Err(Tier1Error::Exists { location, name }) => {
                let existing = self.application.tier1.znodes.get(path)?;
                if existing.is_some_and(|node| node.data == data) {
                    return Ok(());
                }
                Err(Tier1Error::Exists { location, name }.into())
            }
            result => Ok(result?),
        }
    }

    fn set_znode(&self, path: &str, data: &[u8], expected_version: i32) -> Result<()> {
        let znodes = self.application.tier1.znodes;
        if znodes.get(path)?.is_some_and(|node| node.data == data) {
            return Ok(());
        }
        znodes.set(path, data, expected_version)?;
        Ok(())
    }

    fn delete_znode(&self, path: &str, expected_version: i32) -> Result<()> {
        match self.application.tier1.znodes.delete(path, expected_version) {
            Ok(()) | Err(Tier1Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The ledger that an effect wrote.
fn ledger_of(steps: &Steps<'_>, effect: usize) -> Option<i64> {
    if let Some(State::Done { ledger }) = steps.state(effect) { ledger } else { None }
}

/// What the log ZNode of a container says whose log was written by its `WriteLog`.
fn written_log_metadata(plan: &Plan, steps: &Steps<'_>, container: ContainerId, epoch: u64) -> Result<Vec<u8>> {
    let of_container = |effect: &Effect| matches!(effect, Effect::WriteLog { container: c, .. } if *c == container);
    let ledger = plan.effects.iter().position(of_container).and_then(|index| ledger_of(steps, index));
    let ledger = ledger.ok_or_else(|| {
        OperatorError::new(
            "plan-unreadable",
            format!("the plan commits container {container} without a written log"),
            "make a new plan",
        )
    })?;
    log_metadata(epoch, &[ledger], None)
}

/// What the log ZNode of a container says: these ledgers, to be read behind `truncation`.
fn log_metadata(epoch: u64, ledgers: &[i64], truncation: Option<PlannedTruncation>) -> Result<Vec<u8>> {
    let ledger = |(sequence, &ledger_id)| LogLedger { ledger_id, sequence, status: LedgerStatus::Unknown };
    let address = |PlannedTruncation { ledger, sequence, entry }| LedgerAddress {
        frame: FrameAddress::new(sequence, entry),
        ledger_id: ledger,
    };
    let metadata = LogMetadata {
        enabled: true,
        epoch,
        truncation: truncation.map_or(LedgerAddress::START, address),
        ledgers: (1..).zip(ledgers).map(ledger).collect(),
    };
    metadata.encode().map_err(|error| {
        let what = format!("a log ZNode of {} ledgers cannot be written", ledgers.len());
        OperatorError::new("log-unencodable", what, "report this as a defect of dr, with the run directory")
            .because(error)
    })
}

/// Refuses images that are missing or other ones, before anything is begun.
fn refuse_changed_images(application: &Application<'_>) -> Result<()> {
    for_each_bounded(application.parallel, &application.plan.effects, |effect| {
        if let Effect::WriteObjects { objects, .. } = effect {
            return objects.iter().try_for_each(|object| objects::content(application, object).map(drop));
        }
        let Effect::WriteLog { image, digest, .. } = effect else { return Ok(()) };
        let path = plan_file(application.directory, image)?;
        let mut hasher = Sha256::new();
        let read = File::open(&path).and_then(|mut file| std::io::copy(&mut file, &mut hasher));
        match read {
            Ok(_) if hex(&hasher.finalize()) == *digest => Ok(()),
            Ok(_) => Err(image_changed(&path)),
            Err(error) => Err(image_changed(&path).because(error)),
        }
    })
}

fn image_changed(image: &Path) -> OperatorError {
    OperatorError::new(
        "image-changed",
        format!("`{}` is not the file that the plan was made with", image.display()),
        "restore the run directory from a copy, or make a new plan; nothing of this one was committed",
    )
}

/// Moves one object unless it was moved before.
fn move_aside(tier2: &dyn Tier2, object: &MovedObject, place: &str) -> Result<()> {
    let target = format!("{place}/{}", object.key);
    match tier2.relocate(&object.key, &target) {
        Ok(()) => Ok(()),
        Err(Tier2Error::NotFound { .. }) if tier2.size(&target)? == Some(object.size) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Appends every frame of an image to a ledger and returns the image's SHA-256.
fn append_image(writer: &mut dyn LedgerWriter, image: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    for_each_frame(image, |length, frame| {
        hasher.update(length);
        hasher.update(frame);
        Ok(writer.append(frame)?)
    })?;
    Ok(hex(&hasher.finalize()))
}

/// Reads an image frame by frame; `visit` gets the length bytes and the frame.
///
/// # Errors
/// `run-directory` if the file cannot be read or ends inside a frame; what `visit` returns.
pub(crate) fn for_each_frame(image: &Path, mut visit: impl FnMut(&[u8; 4], &[u8]) -> Result<()>) -> Result<()> {
    let fail = |error| run_directory_error("read", image, error);
    let mut reader = BufReader::with_capacity(1 << 20, File::open(image).map_err(fail)?);
    let mut left = reader.get_ref().metadata().map_err(fail)?.len();
    let mut frame = Vec::new();
    while left > 0 {
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(fail)?;
        let frame_length = u32::from_be_bytes(length);
        if frame_length == 0 || frame_length > FRAME_BYTES_MAX || u64::from(frame_length) + 4 > left {
            return Err(fail(std::io::Error::other(format!("a frame of {frame_length} bytes where {left} are left"))));
        }
        frame.resize(frame_length as usize, 0);
        reader.read_exact(&mut frame).map_err(fail)?;
        left -= u64::from(frame_length) + 4;
        visit(&length, &frame)?;
    }
    Ok(())
}

/// True if the directory holds a plan, begun or not.
pub fn has_plan(directory: &Path) -> bool {
    directory.join(PLAN_FILE).is_file()
}

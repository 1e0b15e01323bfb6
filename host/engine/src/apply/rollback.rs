//! Takes a plan back, effect by effect, in the reverse order of its application.
//!
//! Possible as long as no store booted on the result: from then on the new log holds work that exists nowhere else. Every
//! step looks at what is there before it acts, so a rollback that was interrupted is carried on by the same call.

use std::path::Path;

use dr_backends::tier1::{Tier1Error, ZNodes};
use dr_backends::tier2::{ObjectInfo, Tier2, Tier2Error};
use serde::{Deserialize, Serialize};

use super::lock::{self, ClusterLock};
use super::marker::{claim_again, in_progress, is_of_another_run, refuse_other_place, remove_marker};
use super::restored::{closings, registrations};
use super::steps::Steps;
use super::undo::UndoBundle;
use super::{Application, log_metadata, objects, written_log_metadata};
use crate::cluster::refuse_live_cluster;
use crate::error::{OperatorError, Result};
use crate::journal::{Entry, State};
use crate::listing::Listing;
use crate::plan::{Effect, MovedObject};
use crate::pool::for_each_bounded;
use crate::progress::{Progress, Silent, Unit};
use crate::run_file;

/// Name of the file in the plan's directory that says that the plan is taken back.
const ROLLBACK_FILE: &str = "rollback.json";

/// What was taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// Containers whose log ZNode was there and is gone.
    pub containers: usize,
    /// Objects moved back to where they were.
    pub objects: usize,
    /// Ledgers deleted.
    pub ledgers: usize,
}

/// How far a rollback is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "rollback", rename_all = "kebab-case")]
enum Progressed {
    Begun { plan: String },
    Done { plan: String, what: RolledBack },
}

/// Refuses a plan that was taken back, or that is being taken back.
///
/// # Errors
/// `rolled-back`.
pub(super) fn refuse_rolled_back(directory: &Path) -> Result<()> {
    let (what, next_step) = match read(directory)? {
        None => return Ok(()),
        Some(Progressed::Begun { plan }) => {
            (format!("plan {plan} is being rolled back"), "finish that first: run `dr rollback` with this directory")
        }
        Some(Progressed::Done { plan, .. }) => (format!("plan {plan} was rolled back"), "make a new plan"),
    };
    Err(OperatorError::new("rolled-back", format!("{what}, see {}", directory.display()), next_step))
}

fn read(directory: &Path) -> Result<Option<Progressed>> {
    let path = directory.join(ROLLBACK_FILE);
    run_file::read(&path).map_err(|error| crate::plan::run_directory_error("read", &path, error))
}

/// Restores what was there before the plan was applied, or carries on with that. What fails for a while is tried again.
///
/// Ids that BookKeeper's generator gave out are not given back, and a ZNode that is restored has another version.
///
/// # Errors
/// `nothing-applied`, `store-booted`, `live-cluster`, `plan-elsewhere`, `lock-held`, and the errors of the backends. After an
/// error the same call carries on.
pub fn roll_back(application: &Application<'_>, progress: &dyn Progress) -> Result<RolledBack> {
    if let Some(Progressed::Done { what, .. }) = read(application.directory)? {
        return Ok(what);
    }
    let steps = Steps::of(application)?;
    if steps.is_new() {
        return nothing_but_the_marker(application);
    }
    let mut lock = None;
    let attempt = || roll_back_once(application, &steps, &mut lock, progress);
    let rolled_back = application.patience.keep_trying((application.journal, progress), || 0, attempt);
    if let (Err(_), Some(lock)) = (&rolled_back, lock) {
        lock.give_back(read(application.directory)?.is_some());
    }
    rolled_back
}

fn roll_back_once<'a>(
    application: &'a Application<'a>,
    steps: &Steps<'_>,
    lock: &mut Option<ClusterLock<'a>>,
    progress: &dyn Progress,
) -> Result<RolledBack> {
    let Application { plan, directory, .. } = application;
    let file = directory.join(ROLLBACK_FILE);
    if !application.accept_live_cluster {
        refuse_live_cluster(application.tier1.znodes, application.layout, plan.stopped())?;
    }
    if read(directory)?.is_none() {
        refuse_other_place(application)?;
    }
    let bundle = UndoBundle::load(directory, &plan.id)?;
    let rollback = Rollback { application, steps, progress };
    if lock.is_none() {
        *lock = Some(ClusterLock::take(application)?);
    }
    rollback.refuse_booted(&bundle)?;
    run_file::replace(&file, &Progressed::Begun { plan: plan.id.clone() })?;
    claim_again(application)?;
    let what = rollback.all_effects(&bundle)?;
    remove_marker(application)?;
    lock.take().map_or(Ok(()), |lock| lock.remove())?;
    application.journal.record(Entry::RolledBack { plan: plan.id.clone() })?;
    run_file::replace(&file, &Progressed::Done { plan: plan.id.clone(), what })?;
    Ok(what)
}

/// A run that was interrupted before its first effect has left its lock and its marker at most.
fn nothing_but_the_marker(application: &Application<'_>) -> Result<RolledBack> {
    let marker = in_progress(application.tier2)?.filter(|marker| marker.plan == application.plan.id);
    if marker.as_ref().is_some_and(|marker| is_of_another_run(marker, application)) {
        return Err(nothing_applied(application));
    }
    let had_lock = lock::remove_own(application)?;
    if marker.is_some() {
        remove_marker(application)?;
    } else if !had_lock {
        return Err(nothing_applied(application));
    }
    Ok(RolledBack::default())
}

fn nothing_applied(application: &Application<'_>) -> OperatorError {
    OperatorError::new(
        "nothing-applied",
        format!("the plan in {} was never applied", application.directory.display()),
        "there is nothing to roll back; name the run directory of a plan that was applied",
    )
}

struct Rollback<'a> {
    application: &'a Application<'a>,
    steps: &'a Steps<'a>,
    progress: &'a dyn Progress,
}

impl Rollback<'_> {
    /// A store that booted has changed its log ZNode and left objects behind; a controller that started, the ZNodes that were
    /// written for it.
    fn refuse_booted(&self, bundle: &UndoBundle) -> Result<()> {
        if self.application.plan.is_of_znodes_only() {
            return self.refuse_changed_znodes();
        }
        for effect in &self.application.plan.effects {
            let (container, path, ours, expected_version) = match effect {
                Effect::CommitLog { container, path, epoch, expected_version } => {
                    let ours = written_log_metadata(self.application.plan, self.steps, *container, *epoch);
                    (container, path, ours, expected_version)
                }
                Effect::RestoreLog { container, path, epoch, ledgers, truncation, expected_version } => {
                    (container, path, log_metadata(*epoch, ledgers, *truncation), expected_version)
                }
                _ => continue,
            };
            let version = expected_version.map_or(0, |version| version.wrapping_add(1));
            let Some(node) = self.application.tier1.znodes.get(path)? else { continue };
            // One that was replaced can be as it was: not done yet, or taken back by a run that was interrupted.
            if bundle.content_of(path)?.is_some_and(|before| before == node.data) {
                continue;
            }
            let is_ours = ours.is_ok_and(|ours| ours == node.data);
            if !is_ours || node.version != version {
                return Err(store_booted(format!("the log ZNode `{path}` of container {container} was changed since")));
            }
        }
        let tier2 = self.application.tier2;
        let mut absent = Vec::new();
        let written = objects::written(self.application.plan);
        for object in self.moved().map(|(object, _)| object).filter(|object| !written.contains(object.key.as_str())) {
            if tier2.size(&object.key)?.is_none() {
                absent.push(ObjectInfo { key: object.key.clone(), size: object.size });
            }
        }
        let listing = Listing::take_with(tier2, self.application.plan.container_count, absent, &written, &Silent)?;
        let (then, now) = (&self.application.plan.evidence, listing.digest());
        if then.listing == now.listing {
            return Ok(());
        }
        Err(store_booted(format!(
            "{}: {} objects with {} bytes then, {} with {} now",
            tier2.location(),
            then.objects,
            then.bytes,
            now.objects,
            now.bytes
        )))
    }

    fn refuse_changed_znodes(&self) -> Result<()> {
        for (index, effect) in self.application.plan.effects.iter().enumerate() {
            let (Effect::CreateZnode { path, data } | Effect::SetZnode { path, data, .. }) = effect else { continue };
            // One that an interrupted run may not have come to can be absent, or as it was.
            let is_done = matches!(self.steps.state(index), Some(State::Done { .. }));
            let now = self.application.tier1.znodes.get(path)?;
            if is_done && now.is_none_or(|node| node.data != *data) {
                return Err(store_booted(format!("the ZNode `{path}` was changed since")));
            }
        }
        Ok(())
    }

    fn all_effects(&self, bundle: &UndoBundle) -> Result<RolledBack> {
        if registrations(self.application.plan).next().is_some() {
            self.application.tier1.ledgers.registry().refuse_running_bookies()?;
        }
        let containers = self.uncommit(bundle)?;
        self.restore_znodes(bundle)?;
        let objects = self.move_back()?;
        self.take_back_objects()?;
        self.reopen_ledgers()?;
        let ledgers = self.delete_ledgers()? + self.forget_ledgers(bundle)?;
        self.unregister_bookies(bundle)?;
        Ok(RolledBack { containers, objects, ledgers })
    }

    /// First of all, so that no store finds a log whose container is half taken back.
    fn uncommit(&self, bundle: &UndoBundle) -> Result<usize> {
        let znodes = self.application.tier1.znodes;
        let mut containers = 0;
        for effect in self.application.plan.effects.iter().rev() {
            let (Effect::CommitLog { path, .. } | Effect::RestoreLog { path, .. }) = effect else { continue };
            let is_undone = match bundle.content_of(path)? {
                None => delete(znodes, path, 0)?,
                Some(before) => put_back(znodes, path, &before)?,
            };
            containers += usize::from(is_undone);
        }
        Ok(containers)
    }

    /// Ledgers that were closed are again what they were.
    fn reopen_ledgers(&self) -> Result<()> {
        for (index, effect) in self.application.plan.effects.iter().enumerate() {
            let Effect::CloseLedgers { ledgers, .. } = effect else { continue };
            if self.steps.state(index).is_some() {
                self.application.tier1.ledgers.registry().reopen(&closings(ledgers))?;
            }
        }
        Ok(())
    }

    /// Last, since the parents of ledgers go with it.
    fn unregister_bookies(&self, bundle: &UndoBundle) -> Result<()> {
        for registration in registrations(self.application.plan) {
            self.application.tier1.ledgers.registry().unregister_bookies(&registration, bundle.registered())?;
        }
        Ok(())
    }

    /// Takes away the metadata of ledgers that were registered again; the bookies keep the entries, since none runs.
    fn forget_ledgers(&self, bundle: &UndoBundle) -> Result<usize> {
        let mut forgotten = 0;
        for (index, effect) in self.application.plan.effects.iter().enumerate() {
            let Effect::RestoreLedgers { ledgers, .. } = effect else { continue };
            if self.steps.state(index).is_some() {
                for ledger in ledgers {
                    self.application.tier1.ledgers.registry().forget(ledger.id, bundle.registered())?;
                    forgotten += 1;
                }
            }
        }
        Ok(forgotten)
    }

    fn restore_znodes(&self, bundle: &UndoBundle) -> Result<()> {
        let znodes = self.application.tier1.znodes;
        for node in bundle.znodes() {
            let (path, before) = node?;
            match (before, znodes.get(path)?) {
                (None, Some(now)) => {
                    delete(znodes, path, now.version)?;
                }
                (Some(before), _) => {
                    put_back(znodes, path, &before)?;
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn move_back(&self) -> Result<usize> {
        let moved: Vec<_> = self.moved().collect();
        let written = objects::written(self.application.plan);
        self.progress.stage_started("moving objects back", Some(moved.len() as u64), Unit::Objects);
        for_each_bounded(self.application.parallel, &moved, |(object, place)| {
            let may_be_gone = written.contains(object.key.as_str());
            move_back(self.application.tier2, object, place, may_be_gone)?;
            self.progress.advanced(1);
            Ok(())
        })?;
        self.progress.stage_finished("moving objects back");
        Ok(moved.len())
    }

    fn take_back_objects(&self) -> Result<()> {
        for (index, effect) in self.application.plan.effects.iter().enumerate() {
            let Effect::WriteObjects { objects, .. } = effect else { continue };
            if self.steps.state(index).is_some() {
                objects.iter().try_for_each(|object| objects::take_back(self.application, object))?;
            }
        }
        Ok(())
    }

    fn delete_ledgers(&self) -> Result<usize> {
        let mut deleted = 0;
        for index in 0..self.application.plan.effects.len() {
            let (State::LedgerOpen { ledger } | State::Done { ledger: Some(ledger) }) =
                self.steps.state(index).unwrap_or(State::Begun)
            else {
                continue;
            };
            self.application.tier1.ledgers.delete(ledger)?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Objects that the plan moves, each with the place it moves to.
    fn moved(&self) -> impl Iterator<Item = (&MovedObject, &str)> {
        self.application.plan.effects.iter().flat_map(|effect| match effect {
            Effect::MoveAside { place, objects, .. } => {
                objects.iter().map(|object| (object, place.as_str())).collect::<Vec<_>>()
            }
            _ => Vec::new(),
        })
    }
}

/// Gives a node the content that it had; true if it had another one, or was gone.
fn put_back(znodes: &dyn ZNodes, path: &str, before: &[u8]) -> Result<bool> {
    match znodes.get(path)? {
        Some(now) if now.data == before => return Ok(false),
        Some(now) => znodes.set(path, before, now.version).map(|_| true),
        None => znodes.create(path, before).map(|()| true),
    }
    .map_err(OperatorError::from)
}

/// True if the node was there. One that got children from elsewhere stays.
fn delete(znodes: &dyn ZNodes, path: &str, version: i32) -> Result<bool> {
    match znodes.delete(path, version) {
        Ok(()) => Ok(true),
        Err(Tier1Error::NotFound { .. }) => Ok(false),
        Err(Tier1Error::NotEmpty { .. }) => {
            tracing::warn!(path, "not deleted: it has children that the plan did not create");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Moves an object back unless it is there. One that the plan itself writes may be gone: never written, or taken back by a rollback that
/// was interrupted.
fn move_back(tier2: &dyn Tier2, object: &MovedObject, place: &str, may_be_gone: bool) -> Result<()> {
    match tier2.relocate(&format!("{place}/{}", object.key), &object.key) {
        Ok(()) => Ok(()),
        Err(error @ Tier2Error::NotFound { .. }) => match tier2.size(&object.key)? {
            None if may_be_gone => Ok(()),
            Some(size) if size == object.size => Ok(()),
            _ => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

fn store_booted(why: String) -> OperatorError {
    OperatorError::new(
        "store-booted",
        "the recovery cannot be rolled back any more: something has worked on its result",
        "go on with the recovered cluster; what a new log holds exists nowhere else. If no store and no controller was started, \
         find out what changed Tier-1 or Tier-2 and undo that first",
    )
    .because(why)
}

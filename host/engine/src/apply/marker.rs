//! The marker of a recovery: the claim of one plan on a Tier-2 while a plan is applied, the record of it afterwards.

use std::path::Path;

use dr_backends::tier2::{TEMPORARY_PREFIX, Tier2, Tier2Error};
use serde::{Deserialize, Serialize};

use super::Application;
use crate::error::{OperatorError, Result};
use crate::journal::is_held;
use crate::plan::run_directory_error;

/// Object that marks a recovery under way; while it is there, the root is that plan's.
pub const IN_PROGRESS_KEY: &str = "_dr/in-progress.json";

/// Where the markers of finished recoveries stay.
pub(crate) const RECORD_PREFIX: &str = "_dr/recoveries/";

/// What the marker holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InProgress {
    /// The plan being applied.
    pub plan: String,
    /// Directory of the run, absolute.
    pub run_directory: String,
    /// Where its ledgers and ZNodes go.
    pub tier1: String,
    /// Containers of the cluster; Tier-2 does not tell it any more once the old metadata was moved aside.
    pub container_count: u32,
    /// When it began, in seconds since 1970; 0 if an earlier `dr` began it.
    #[serde(default)]
    pub begun_unix_seconds: u64,
}

/// The recovery that is under way in this Tier-2, if one is.
///
/// # Errors
/// Tier-2 errors; `marker-unreadable`.
pub fn in_progress(tier2: &dyn Tier2) -> Result<Option<InProgress>> {
    read_marker(tier2, IN_PROGRESS_KEY)
}

fn read_marker(tier2: &dyn Tier2, key: &str) -> Result<Option<InProgress>> {
    let Some(size) = tier2.size(key)? else { return Ok(None) };
    let mut content = vec![0; usize::try_from(size.min(64 * 1024)).unwrap_or(0)];
    let read = tier2.read_at(key, 0, &mut content)?;
    let marker = serde_json::from_slice(&content[..read]).map_err(|error| {
        OperatorError::new(
            "marker-unreadable",
            format!("{}: the marker `{key}` of an earlier recovery cannot be read", tier2.location()),
            "find that recovery's run directory and carry on with `dr apply`; if there is none, move the marker away",
        )
        .because(error)
    })?;
    Ok(Some(marker))
}

/// Refuses to go on with a begun plan in another Tier-2 or on another Tier-1 than it was begun with. The marker is
/// written before the first effect; so a begun plan has left it, or the record that it becomes.
pub(super) fn refuse_other_place(application: &Application<'_>) -> Result<()> {
    let plan = &application.plan.id;
    let tier1 = tier1_location(application);
    let marker = match in_progress(application.tier2)? {
        Some(marker) => Some(marker),
        None => read_marker(application.tier2, &record_key(plan))?,
    };
    let why = match marker {
        Some(marker) if marker.plan == *plan && marker.tier1 == tier1 => return Ok(()),
        Some(marker) if marker.plan == *plan => format!("it was begun on {}, this is {tier1}", marker.tier1),
        Some(marker) if marker.plan != *plan => return Err(refuse_other_recovery(&marker)),
        _ => format!("{} shows no trace of it", application.tier2.location()),
    };
    Err(OperatorError::new(
        "plan-elsewhere",
        format!("the plan in `{}` was begun in another place", application.directory.display()),
        "name the Tier-2 and Tier-1 that the plan was begun with, or another run directory for a new plan",
    )
    .because(why))
}

/// The recoveries of this Tier-2 that were applied, the newest last, and the one under way if there is one.
///
/// # Errors
/// As [`in_progress`].
pub fn recoveries(tier2: &dyn Tier2) -> Result<Vec<InProgress>> {
    let mut keys = Vec::new();
    tier2.list(RECORD_PREFIX, &mut |object| {
        keys.push(object.key);
        Ok(())
    })?;
    keys.sort_unstable();
    let read = |key: &String| read_marker(tier2, key).transpose();
    let mut recoveries = keys.iter().filter_map(read).collect::<Result<Vec<_>>>()?;
    recoveries.sort_by_key(|recovery| recovery.begun_unix_seconds);
    recoveries.extend(in_progress(tier2)?);
    Ok(recoveries)
}

fn tier1_location(application: &Application<'_>) -> String {
    application.tier1.znodes.location()
}

/// Where the marker of a finished recovery stays.
fn record_key(plan: &str) -> String {
    format!("{RECORD_PREFIX}{plan}.json")
}

/// True if another run directory with the same plan, which is still there, has made the marker. A run that has begun knows that by itself; of one that
/// was moved to another place the old directory is gone.
pub(super) fn is_of_another_run(marker: &InProgress, application: &Application<'_>) -> bool {
    let other = Path::new(&marker.run_directory).canonicalize();
    other.is_ok_and(|other| application.directory.canonicalize().is_ok_and(|own| own != other))
        || marker.tier1 != tier1_location(application)
}

/// Refuses a run that has not begun, of a plan with which another one has: both would change the same, and neither would know of the other.
pub(super) fn refuse_another_run(application: &Application<'_>) -> Result<()> {
    match in_progress(application.tier2)? {
        Some(marker) if is_of_another_run(&marker, application) => Err(refuse_other_recovery(&marker)),
        _ => Ok(()),
    }
}

/// Claims the root for this plan, or finds that it has it; a run that `is_new` does so only if it has claimed it itself.
pub(super) fn claim(application: &Application<'_>, is_new: bool) -> Result<()> {
    let directory = std::path::absolute(application.directory).unwrap_or_else(|_| application.directory.to_path_buf());
    let marker = InProgress {
        plan: application.plan.id.clone(),
        run_directory: directory.to_string_lossy().into_owned(),
        tier1: tier1_location(application),
        container_count: application.plan.container_count,
        begun_unix_seconds: std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    };
    remove_unfinished(application.tier2)?;
    if application.tier2.size(&record_key(&marker.plan))?.is_some() {
        // Applied to the end before; what is left is to say so.
        return Ok(());
    }
    let json = serde_json::to_vec(&marker).map_err(|error| run_directory_error("write", &directory, error.into()))?;
    match application.tier2.create(IN_PROGRESS_KEY, &json) {
        Ok(()) => Ok(()),
        Err(Tier2Error::Exists { .. }) => match in_progress(application.tier2)? {
            Some(other) if other.plan != application.plan.id => Err(refuse_other_recovery(&other)),
            Some(other) if is_new && is_of_another_run(&other, application) => Err(refuse_other_recovery(&other)),
            _ => Ok(()),
        },
        Err(error) => Err(error.into()),
    }
}

/// The error for a root that another recovery holds.
pub fn refuse_other_recovery(other: &InProgress) -> OperatorError {
    let error = OperatorError::new(
        "recovery-in-progress",
        format!("another recovery of this Tier-2 is under way or was interrupted: plan {}", other.plan),
        format!("carry on with it: `dr apply {0}`; or take it back: `dr rollback {0}`", other.run_directory),
    );
    match is_held(Path::new(&other.run_directory)) {
        Some(true) => error.because("a dr works on it at this moment"),
        Some(false) => error.because("no dr works on it now: it was interrupted"),
        None => error.because("its run directory cannot be seen from here"),
    }
}

/// Turns the marker into the record of a recovery.
pub(super) fn claim_ends(application: &Application<'_>) -> Result<()> {
    match application.tier2.relocate(IN_PROGRESS_KEY, &record_key(&application.plan.id)) {
        Ok(()) | Err(Tier2Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Turns the record of a recovery back into its marker.
pub(super) fn claim_again(application: &Application<'_>) -> Result<()> {
    match application.tier2.relocate(&record_key(&application.plan.id), IN_PROGRESS_KEY) {
        Ok(()) | Err(Tier2Error::NotFound { .. }) => Ok(()),
        Err(Tier2Error::Exists { .. }) => match in_progress(application.tier2)? {
            Some(other) if other.plan != application.plan.id => Err(refuse_other_recovery(&other)),
            _ => Ok(()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Removes the marker: there was no recovery.
pub(super) fn remove_marker(application: &Application<'_>) -> Result<()> {
    remove_unfinished(application.tier2)?;
    Ok(application.tier2.delete(IN_PROGRESS_KEY)?)
}

/// Removes what a process left that was killed while it wrote an object: nobody else writes while the cluster's lock is held.
fn remove_unfinished(tier2: &dyn Tier2) -> Result<()> {
    let mut keys = Vec::new();
    tier2.list(TEMPORARY_PREFIX, &mut |object| {
        keys.push(object.key);
        Ok(())
    })?;
    Ok(keys.iter().try_for_each(|key| tier2.delete(key))?)
}

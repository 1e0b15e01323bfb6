//! Tier-2, and which of its containers are meant.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use dr_backends::tier2::FileSystemTier2;
use dr_backends::tier2::Tier2;
use dr_engine::contract::ContainerId;
use dr_engine::error::{OperatorError, Result};

use super::Session;
use crate::arguments::ContainerSelection;
use crate::configuration::{Configuration, Overrides};

/// Reads the configuration and tells what is odd about it.
pub(super) fn configuration(
    session: &Session,
    files: &[PathBuf],
    root: &Path,
    overrides: &Overrides,
) -> Result<Configuration> {
    let configuration = Configuration::load(files, session.environment.clone(), overrides, root)?;
    for warning in &configuration.warnings {
        session.console.warning(warning);
    }
    Ok(configuration)
}

/// Opens the root directory.
///
/// # Errors
/// `root-missing`, `root-wrong`; what the file system says.
pub(super) fn open(root: &Path) -> Result<Arc<dyn Tier2>> {
    let next_step = "name the directory that filesystem.root of the segment stores names, and check that it is mounted";
    match root.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(Arc::new(FileSystemTier2::open(root)?)),
        Ok(_) => Err(OperatorError::new("root-wrong", format!("{} is not a directory", root.display()), next_step)),
        Err(error) => {
            let what = format!("the root {} cannot be opened", root.display());
            Err(OperatorError::new("root-missing", what, next_step).because(error))
        }
    }
}

/// Refuses to write our own files into the Tier-2 that is being recovered.
///
/// # Errors
/// `inside-tier2`.
pub(super) fn refuse_inside(root: &Path, path: &Path, what: &str, flag: &str) -> Result<()> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // What does not exist yet will be made below its nearest existing ancestor.
    let existing = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    let root_path = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    if !existing.is_some_and(|existing| existing.starts_with(&root_path)) {
        return Ok(());
    }
    Err(OperatorError::new(
        "inside-tier2",
        format!("{what} {} lies inside Tier-2, {}", path.display(), root.display()),
        format!("name a place outside of it with {flag}"),
    ))
}

/// The containers that were chosen, or all; each exists.
///
/// # Errors
/// `container-unknown`.
pub(super) fn containers(container_count: u32, selection: Option<&ContainerSelection>) -> Result<Vec<ContainerId>> {
    let Some(selection) = selection else { return Ok((0..container_count).collect()) };
    match selection.numbers().iter().find(|&&number| number >= container_count) {
        None => Ok(selection.numbers().to_vec()),
        Some(unknown) => Err(OperatorError::new(
            "container-unknown",
            format!("there is no container {unknown}: the cluster has {container_count}, numbered from 0"),
            format!("give --containers numbers up to {}", container_count.saturating_sub(1)),
        )),
    }
}

/// How many containers are worked on at the same time.
pub(super) fn parallel(wanted: Option<u16>) -> usize {
    let processors = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
    wanted.map_or_else(processors, usize::from)
}

/// Changes that are carried out at the same time, if not told: each waits for disks or servers most of the time, more than once.
const CHANGES_AT_ONCE: usize = 8;

/// How many changes are carried out at the same time.
pub(super) fn parallel_changes(wanted: Option<u16>) -> usize {
    wanted.map_or_else(|| parallel(None).max(CHANGES_AT_ONCE), usize::from)
}

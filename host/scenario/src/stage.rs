//! Hosts for the runs of a scenario: each run begins with a host on which nothing is staged.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dr_backends::tier1::MemoryZNodes;
use dr_backends::tier2::FileSystemTier2;
use dr_engine::cluster::ClusterLayout;
use dr_engine::contract::RecoveryHost;
use dr_engine::progress::Silent;
use dr_engine::staging::Staging;
use dr_engine::survey::{Survey, SurveyOptions};
use dr_runtime::mock::{MockHost, World};
use dr_runtime::recording::{Recording, Relay, Replayer};
use tempfile::TempDir;

use crate::error::ScenarioError;
use crate::file::{Scenario, Source, Tree};

/// What is left of the cluster of a scenario, opened.
pub struct Stage {
    opened: Opened,
}

enum Opened {
    World(Arc<World>),
    Tree(OpenTree),
    Recording(Recording),
}

/// A Tier-2, and a place for the log images of runs.
struct OpenTree {
    survey: Arc<Survey>,
    runs: TempDir,
    run_number: AtomicU64,
    /// Holds what was unpacked.
    _unpacked: Option<TempDir>,
}

/// A host, and what it notices.
pub(crate) struct NewHost {
    pub(crate) host: Arc<dyn RecoveryHost>,
    /// Of a recording: where the procedure first did something else.
    pub(crate) replayer: Option<Arc<Replayer>>,
}

impl Stage {
    /// Opens what a scenario names.
    ///
    /// # Errors
    /// [`ScenarioError::Tree`], [`ScenarioError::Recording`].
    pub fn open(scenario: &Scenario) -> Result<Self, ScenarioError> {
        let path = &scenario.path;
        let opened = match &scenario.source {
            Source::World(world) => Opened::World(Arc::clone(world)),
            Source::Tree(tree) => Opened::Tree(OpenTree::open(tree).map_err(|cause| ScenarioError::Tree {
                path: path.clone(),
                tree: tree.path.clone(),
                cause,
            })?),
            Source::Recording(recording) => {
                let read = || Recording::read(BufReader::new(File::open(recording)?));
                Opened::Recording(read().map_err(|cause| ScenarioError::Recording {
                    path: path.clone(),
                    recording: recording.clone(),
                    cause,
                })?)
            }
        };
        Ok(Self { opened })
    }

    /// What was recorded, if that is what the scenario names.
    pub(crate) fn recording(&self) -> Option<&Recording> {
        match &self.opened {
            Opened::Recording(recording) => Some(recording),
            _ => None,
        }
    }

    /// A host on which nothing is staged. Tree: the log images of the host before are removed.
    pub(crate) fn new_host(&self) -> io::Result<NewHost> {
        let host: Arc<dyn RecoveryHost> = match &self.opened {
            Opened::World(world) => Arc::new(MockHost::new(Arc::clone(world))),
            Opened::Tree(tree) => Arc::new(tree.new_host()?),
            Opened::Recording(recording) => {
                let replayer = Arc::new(Replayer::new(recording.clone()));
                let host = Arc::new(Relay::new(None, replayer.clone()));
                return Ok(NewHost { host, replayer: Some(replayer) });
            }
        };
        Ok(NewHost { host, replayer: None })
    }
}

impl OpenTree {
    /// The error says what went wrong.
    fn open(tree: &Tree) -> Result<Self, String> {
        let in_words = |error: io::Error| error.to_string();
        let is_directory = fs::metadata(&tree.path).map_err(in_words)?.is_dir();
        let unpacked = if is_directory { None } else { Some(unpack(&tree.path)?) };
        let root = match &unpacked {
            None => tree.path.clone(),
            Some(directory) => {
                find_root(directory.path()).ok_or("the archive holds no tree of a Tier-2, with `_system/containers`")?
            }
        };
        let tier2 = Arc::new(FileSystemTier2::open(&root).map_err(|error| error.to_string())?);
        let options = SurveyOptions { container_count: tree.container_count };
        let survey = Survey::take(tier2, options, &Silent).map_err(|error| error.to_string())?;
        let runs = tempfile::tempdir().map_err(in_words)?;
        Ok(Self { survey: Arc::new(survey), runs, run_number: AtomicU64::new(0), _unpacked: unpacked })
    }

    fn new_host(&self) -> io::Result<Staging> {
        let number = self.run_number.fetch_add(1, Ordering::Relaxed);
        let directory = |number: u64| self.runs.path().join(number.to_string());
        if let Some(before) = number.checked_sub(1) {
            fs::remove_dir_all(directory(before))?;
        }
        fs::create_dir(directory(number))?;
        let znodes = Arc::new(MemoryZNodes::new());
        let layout = ClusterLayout::with_defaults("scenario");
        Ok(Staging::new(Arc::clone(&self.survey), znodes, layout, &directory(number), Arc::new(Silent)))
    }
}

/// Unpacks an archive with the system's `tar`.
fn unpack(archive: &Path) -> Result<TempDir, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(archive).arg("-C").arg(directory.path()).stdin(Stdio::null());
    let output = tar.output().map_err(|error| format!("`tar` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(directory);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`tar -xJf` does not unpack it: {}", said.lines().next().unwrap_or_default()))
}

fn find_root(below: &Path) -> Option<PathBuf> {
    if below.join("_system/containers").is_dir() {
        return Some(below.to_path_buf());
    }
    let entries = fs::read_dir(below).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).find_map(|path| find_root(&path))
}

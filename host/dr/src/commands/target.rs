//! What a plan is for: Tier-2, Tier-1 and configuration, kept beside the plan so that its directory is all that `dr apply`
//! and `dr rollback` need to be told.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_engine::error::{OperatorError, Result};
use dr_engine::ledgers::BookiesLeft;
use dr_engine::plan::run_directory_error;
use serde::{Deserialize, Serialize};

use super::tier1::{OpenTier1, Purpose};
use super::{Session, source};
use crate::arguments::{BookieDisks, BookieDisksArguments, SourceArguments, Tier1Arguments};
use crate::configuration::{Configuration, Overrides};

/// Name of the file in a plan's directory.
const TARGET_FILE: &str = "target.json";

/// Version of the file; a reader refuses others.
const TARGET_VERSION: u32 = 1;

/// What was typed when the plan was made. Paths are absolute. Secrets stay in the properties files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    version: u32,
    pub(super) root: PathBuf,
    config: Vec<PathBuf>,
    overrides: Overrides,
    /// Directories of each bookie whose disks are read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) bookie_disks: Vec<Vec<PathBuf>>,
    /// Surveys of bookies whose disks are elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) bookie_surveys: Vec<PathBuf>,
    /// Ids of bookies whose disks are lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lost_bookies: Vec<String>,
}

/// A target whose configuration is known.
#[derive(Debug)]
pub(super) struct ConfiguredTarget {
    target: Target,
    configuration: Configuration,
    tier2: Arc<dyn Tier2>,
}

/// A target whose parts were opened.
#[derive(Debug)]
pub(super) struct OpenTarget {
    pub(super) target: Target,
    pub(super) configuration: Configuration,
    pub(super) tier2: Arc<dyn Tier2>,
    pub(super) tier1: OpenTier1,
}

impl Target {
    /// What these arguments mean, wherever they are read again.
    ///
    /// # Errors
    /// `run-directory` if the system cannot say where we are.
    pub(super) fn of(source: &SourceArguments, tier1: &Tier1Arguments) -> Result<Self> {
        let absolute =
            |path: &Path| std::path::absolute(path).map_err(|error| run_directory_error("find", path, error));
        let mut overrides = tier1.overrides(source);
        overrides.tier1_directory = overrides.tier1_directory.as_deref().map(absolute).transpose()?;
        Ok(Self {
            version: TARGET_VERSION,
            root: absolute(&source.root)?,
            config: source.config.iter().map(|file| absolute(file)).collect::<Result<_>>()?,
            overrides,
            bookie_disks: Vec::new(),
            bookie_surveys: Vec::new(),
            lost_bookies: Vec::new(),
        })
    }

    /// The same with the disks of bookies, or surveys of them.
    ///
    /// # Errors
    /// `bookie-lost-twice`; `run-directory` if the system cannot say where we are.
    pub(super) fn with_disks(mut self, disks: &BookieDisksArguments) -> Result<Self> {
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(|error| run_directory_error("find", path, error));
        let of_bookie = |BookieDisks(directories): &BookieDisks| directories.iter().map(absolute).collect();
        self.bookie_disks = disks.bookie_disks.iter().map(of_bookie).collect::<Result<_>>()?;
        self.bookie_surveys = disks.bookie_surveys.iter().map(absolute).collect::<Result<_>>()?;
        refuse_lost_twice(&disks.lost_bookies)?;
        self.lost_bookies.clone_from(&disks.lost_bookies);
        Ok(self)
    }

    /// True if it names disks of bookies, or surveys of them.
    pub(super) fn has_bookies(&self) -> bool {
        !self.bookie_disks.is_empty() || !self.bookie_surveys.is_empty()
    }

    /// What is left of bookies.
    pub(super) fn bookies_left(&self) -> BookiesLeft<'_> {
        BookiesLeft { disks: &self.bookie_disks, surveys: &self.bookie_surveys }
    }

    /// Writes it into the directory of a plan.
    ///
    /// # Errors
    /// `run-directory`.
    pub(super) fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(TARGET_FILE);
        let json =
            serde_json::to_vec_pretty(self).map_err(|error| run_directory_error("write", &path, error.into()))?;
        fs::write(&path, json).map_err(|error| run_directory_error("write", &path, error))
    }

    /// Reads that of the plan in a directory.
    ///
    /// # Errors
    /// `plan-unreadable`.
    pub(super) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(TARGET_FILE);
        let unreadable = |why: String| {
            OperatorError::new(
                "plan-unreadable",
                format!("cannot read `{}`, which says what the plan is for", path.display()),
                "name the directory of a plan; `dr recover ROOT --run-directory DIR` carries one out with all flags given again",
            )
            .because(why)
        };
        let bytes = fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let target: Self = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if target.version != TARGET_VERSION {
            return Err(unreadable(format!("its version is {}, this dr reads {TARGET_VERSION}", target.version)));
        }
        Ok(target)
    }

    /// A command that says the same, without the program.
    pub(super) fn command(&self, name: &str) -> Vec<String> {
        std::iter::once(name.to_owned()).chain(self.words()).collect()
    }

    /// The same for a command that does not look at disks of bookies.
    pub(super) fn command_without_disks(&self, name: &str) -> Vec<String> {
        let (bookie_disks, bookie_surveys, lost_bookies) = (Vec::new(), Vec::new(), Vec::new());
        Self { bookie_disks, bookie_surveys, lost_bookies, ..self.clone() }.command(name)
    }

    /// The words that say the same to a command behind its name.
    pub(super) fn words(&self) -> Vec<String> {
        let Overrides { cluster_name, container_count, tier1_directory, zookeeper, bookkeeper_zookeeper, ledgers_path } =
            &self.overrides;
        let mut words = vec![self.root.to_string_lossy().into_owned()];
        let mut say = |flag: &str, value: Option<String>| {
            words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        };
        for file in &self.config {
            say("--config", Some(file.to_string_lossy().into_owned()));
        }
        say("--tier1", tier1_directory.as_ref().map(|path| format!("dir:{}", path.display())));
        say("--cluster", cluster_name.clone());
        say("--container-count", container_count.map(|count| count.to_string()));
        say("--zookeeper", zookeeper.clone());
        say("--bookkeeper-zookeeper", bookkeeper_zookeeper.clone());
        say("--ledgers-path", ledgers_path.clone());
        for directories in &self.bookie_disks {
            let directories: Vec<_> = directories.iter().map(|directory| directory.to_string_lossy()).collect();
            say("--bookie-disks", Some(directories.join(",")));
        }
        for survey in &self.bookie_surveys {
            say("--bookie-surveys", Some(survey.to_string_lossy().into_owned()));
        }
        say("--lost-bookies", Some(self.lost_bookies.join(",")).filter(|ids| !ids.is_empty()));
        words
    }

    /// Reads the configuration and opens Tier-2, before any server is asked for anything.
    ///
    /// # Errors
    /// Those of the configuration, `root-missing`, `inside-tier2`.
    pub(super) fn configure(self, session: &Session) -> Result<ConfiguredTarget> {
        let configuration = source::configuration(session, &self.config, &self.root, &self.overrides)?;
        let tier2 = source::open(&self.root)?;
        for directory in self.bookie_disks.iter().flatten() {
            source::refuse_inside(&self.root, directory, "the disk of a bookie", "--bookie-disks")?;
        }
        for survey in &self.bookie_surveys {
            source::refuse_inside(&self.root, survey, "the survey of a bookie", "--bookie-surveys")?;
        }
        if let Some(tier1) = &self.overrides.tier1_directory {
            source::refuse_inside(&self.root, tier1, "the directory for Tier-1", "--tier1 dir:PATH")?;
        }
        Ok(ConfiguredTarget { target: self, configuration, tier2 })
    }
}

/// An id that stands there twice was mostly meant to be another one.
fn refuse_lost_twice(lost: &[String]) -> Result<()> {
    let mut known = BTreeSet::new();
    match lost.iter().find(|id| !known.insert(*id)) {
        None => Ok(()),
        Some(id) => Err(OperatorError::new(
            "bookie-lost-twice",
            format!("--lost-bookies names {id} twice"),
            "name each lost bookie once; see whether another one was meant",
        )),
    }
}

impl ConfiguredTarget {
    /// Opens Tier-1.
    ///
    /// # Errors
    /// `tier1-absent`; what the servers answer.
    pub(super) fn open(self, session: &Session, purpose: Purpose) -> Result<OpenTarget> {
        let Self { target, configuration, tier2 } = self;
        let tier1 = OpenTier1::open(session, &configuration, purpose, !target.has_bookies())?;
        Ok(OpenTarget { target, configuration, tier2, tier1 })
    }
}

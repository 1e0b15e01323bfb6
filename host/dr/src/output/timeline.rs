//! The timeline of a run: when each stage of a command began and how long it took, kept beside the plan.
//!
//! The plan itself holds no time; this file is not part of it and is written by what comes after planning.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use dr_engine::error::{OperatorError, Result};
use dr_engine::plan::run_directory_error;
use serde::{Deserialize, Serialize};

/// Name of the file in the plan's directory.
pub(crate) const TIMELINE_FILE: &str = "timeline.json";

/// Version of the file; others are not shown.
const TIMELINE_VERSION: u32 = 1;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The plan was carried out, and the result was verified.
    Verified,
    /// The plan was carried out, and verification found problems or was not possible.
    NotVerified,
    /// It stopped; the same command may carry on.
    Stopped,
    /// It was refused before anything was changed.
    Refused,
    /// The plan was taken back.
    RolledBack,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageTime {
    /// Its name.
    pub(crate) stage: String,
    /// When it began, in seconds after the command.
    pub(crate) began_seconds: f64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What was counted.
    pub(crate) done: u64,
    /// What that is.
    pub(crate) unit: String,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Its name.
    pub(crate) command: String,
    /// Version of `dr`.
    pub(crate) dr_version: String,
    /// When it began: `2026-11-25T15:30:00Z`.
    pub(crate) began: String,
    /// How long it took.
    pub(crate) seconds: f64,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// What went wrong.
    pub(crate) error: Option<String>,
    /// In the order in which they ended.
    pub(crate) stages: Vec<StageTime>,
}

/// All commands that changed something by a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    format_version: u32,
    /// In the order in which they were given.
    pub(crate) runs: Vec<Run>,
}

impl Timeline {
    /// That of a plan; empty if nothing was done yet.
    ///
    /// # Errors
    /// `run-directory` if the file cannot be read.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(TIMELINE_FILE);
        let failed = |error| run_directory_error("read", &path, error);
        let timeline: Self = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::empty()),
            Err(error) => return Err(failed(error)),
        };
        if timeline.format_version != TIMELINE_VERSION {
            return Err(failed(io::Error::other(format!("its format is {}", timeline.format_version))));
        }
        Ok(timeline)
    }

    /// How the last command ended that did anything; none if nothing was done.
    pub(crate) fn standing(&self) -> Option<Outcome> {
        self.runs.iter().rev().map(|run| run.outcome).find(|outcome| *outcome != Outcome::Refused)
    }

    /// Of a plan with which nothing was done yet.
    pub(crate) fn empty() -> Self {
        Self { format_version: TIMELINE_VERSION, runs: Vec::new() }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// `run-directory`.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(TIMELINE_FILE);
        let json =
            serde_json::to_vec_pretty(self).map_err(|error| run_directory_error("write", &path, error.into()))?;
        replace(&path, &json)
    }
}

/// Writes a file so that a reader meets the old content or the new one.
///
/// # Errors
/// `run-directory`.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| run_directory_error("write", path, error))
}

/// How a command ended that carried out a plan.
pub(crate) fn outcome_of(error: Option<&OperatorError>, was_refused: bool) -> Outcome {
    match error {
        None => Outcome::Verified,
        Some(error) if error.code.starts_with("verification-") => Outcome::NotVerified,
        Some(_) if was_refused => Outcome::Refused,
        Some(_) => Outcome::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_is_kept_and_another_version_is_not_misread() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Timeline::load(directory.path()).unwrap(), Timeline::empty());
        let stage = StageTime {
            stage: "logs".to_owned(),
            began_seconds: 0.5,
            seconds: 1.0,
            done: 4,
            unit: "containers".to_owned(),
        };
        let run = Run {
            command: "apply".to_owned(),
            dr_version: "0.1.0".to_owned(),
            began: "2026-11-25T15:30:00Z".to_owned(),
            seconds: 2.0,
            outcome: Outcome::Verified,
            error: None,
            stages: vec![stage],
        };
        let timeline = Timeline { runs: vec![run], ..Timeline::empty() };
        timeline.save(directory.path()).unwrap();
        assert_eq!(Timeline::load(directory.path()).unwrap(), timeline);
        Timeline { format_version: 2, ..timeline }.save(directory.path()).unwrap();
        assert_eq!(Timeline::load(directory.path()).unwrap_err().code, "run-directory-io");
    }

    #[test]
    fn an_outcome_is_what_the_error_says() {
        let error = |code| OperatorError::new(code, "", "");
        assert_eq!(outcome_of(None, false), Outcome::Verified);
        assert_eq!(outcome_of(Some(&error("verification-failed")), false), Outcome::NotVerified);
        assert_eq!(outcome_of(Some(&error("verification-impossible")), false), Outcome::NotVerified);
        assert_eq!(outcome_of(Some(&error("evidence-changed")), true), Outcome::Refused);
        assert_eq!(outcome_of(Some(&error("tier1-unavailable")), false), Outcome::Stopped);
    }
}

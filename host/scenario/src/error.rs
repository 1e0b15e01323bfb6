//! What can be wrong with a scenario.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use dr_engine::error::OperatorError;
use dr_runtime::recording::RecordingError;

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {}: {cause}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says, or that it is too large.
        cause: String,
    },
    /// It says something impossible.
    #[error("{}:{line}: {problem}", .path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, with the key and the values that are possible.
        problem: String,
    },
    /// The tree that it names cannot be used.
    #[error("{}: the tree {} cannot be used: {cause}", .path.display(), .tree.display())]
    Tree {
        /// The scenario.
        path: PathBuf,
        /// The tree.
        tree: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The recording that it names cannot be used.
    #[error("{}: the recording {} cannot be used: {cause}", .path.display(), .recording.display())]
    Recording {
        /// The scenario.
        path: PathBuf,
        /// The recording.
        recording: PathBuf,
        /// What is wrong with it.
        cause: RecordingError,
    },
    /// The expectations cannot be written.
    #[error("cannot write the scenario {}: {cause}", .path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

impl From<ScenarioError> for OperatorError {
    fn from(error: ScenarioError) -> Self {
        let (code, next_step) = match &error {
            ScenarioError::Unreadable { .. } => {
                ("scenario-unreadable", "name the TOML file of a scenario, or a directory of them")
            }
            ScenarioError::Invalid { .. } => {
                ("scenario-invalid", "correct the line; docs/scenario-files.md says what can stand there")
            }
            ScenarioError::Tree { .. } => (
                "scenario-tree",
                "let `path` in `[tree]` name the root of a Tier-2, or a .tar.xz with one, relative to the scenario",
            ),
            ScenarioError::Recording { .. } => (
                "recording-unreadable",
                "let `path` in `[recording]` name a file that `dr plan --record FILE` wrote, relative to the scenario",
            ),
            ScenarioError::Unwritable { .. } => {
                ("scenario-unwritable", "make the file writable, or leave out --update")
            }
        };
        Self::new(code, error.to_string(), next_step)
    }
}

/// Something impossible, and where it stands in the text.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Bytes of the text.
    pub(crate) at: Range<usize>,
    /// What is wrong.
    pub(crate) problem: String,
}

impl Problem {
    /// This is wrong at this place.
    pub(crate) fn new(at: Range<usize>, problem: impl Into<String>) -> Self {
        Self { at, problem: problem.into() }
    }
}

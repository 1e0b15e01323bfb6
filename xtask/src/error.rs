//! Why a task failed.

use std::path::{Path, PathBuf};

/// Why a task failed, with what to do next where that is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// A program could not be started.
    #[error("cannot start `{program}`: {source}")]
    Start { program: String, source: std::io::Error },
    /// A program ended with an error, which it has printed.
    #[error("`{command}` failed ({status})")]
    Command { command: String, status: std::process::ExitStatus },
    /// A file or directory refused something.
    #[error("{}: {source}", path.display())]
    Path { path: PathBuf, source: std::io::Error },
    /// Anything else, in a sentence.
    #[error("{0}")]
    Other(String),
}

impl TaskError {
    /// For `map_err` on operations on a path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Path { path, source }
    }
}

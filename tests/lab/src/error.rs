//! What can go wrong in the lab, always with the place and the next step.

use std::path::{Path, PathBuf};

/// Every failure of the lab.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A program of the host that the lab needs is not installed. Callers may skip, but loudly.
    #[error("`{program}` cannot be run ({reason}); the lab needs {purpose}; install it or put it on PATH")]
    MissingProgram {
        /// Name as looked up on PATH.
        program: String,
        /// What the lab wants it for.
        purpose: &'static str,
        /// The operating system's answer.
        reason: String,
    },
    /// Reading or writing below the work directory failed.
    #[error("cannot {action} {}: {source}; check space and permissions", path.display())]
    Io {
        /// A verb and an object, such as "write the state file".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Maven could not resolve the class path or compile the programs.
    #[error("maven failed ({status}); its output ends with:\n{tail}\nrun it again by hand in tests/lab or remove {}", directory.display())]
    Maven {
        /// Exit status.
        status: String,
        /// Last lines of the output.
        tail: String,
        /// Where the class path is built.
        directory: PathBuf,
    },
    /// A server ended or did not answer within its time.
    #[error("{server} {reason}; its log {} ends with:\n{tail}", log.display())]
    Server {
        /// Which server, such as "bookie-1".
        server: String,
        /// What happened.
        reason: String,
        /// The whole log.
        log: PathBuf,
        /// Last lines of it.
        tail: String,
    },
    /// A client program (workload, checker, ...) failed without a report.
    #[error("the {program} program failed ({status}); its log {} ends with:\n{tail}", log.display())]
    Program {
        /// Java class without package.
        program: String,
        /// Exit status.
        status: String,
        /// The whole log.
        log: PathBuf,
        /// Last lines of it.
        tail: String,
    },
    /// The state file, a truth or a report cannot be understood.
    #[error("{} cannot be understood: {reason}; remove the work directory and start again", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The call does not fit the state of the lab, such as wiping what a running server uses.
    #[error("{what}; {next}")]
    Refused {
        /// What is in the way.
        what: String,
        /// What to do about it.
        next: &'static str,
    },
    /// A command line that is not understood.
    #[error("{0}\n{usage}", usage = crate::command_line::USAGE)]
    Usage(String),
    /// The checker ran and did not find everything.
    #[error("{failed} of {total} checks failed:\n{list}")]
    ChecksFailed {
        /// Number of failed checks.
        failed: usize,
        /// Number of checks.
        total: usize,
        /// One line for each failed check.
        list: String,
    },
}

/// Result of everything in this crate.
pub type Result<T> = std::result::Result<T, LabError>;

/// Names the action and the path of an input/output error.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| LabError::Io { action, path: path.to_path_buf(), source })
    }
}

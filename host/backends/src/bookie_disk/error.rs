//! Why the disks of a bookie are refused.

use std::io;
use std::path::{Path, PathBuf};

/// Why a bookie's disks cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BookieDiskError {
    /// Nothing is at the path that was given.
    #[error("there is no directory `{}`, which was given as one of a bookie", path.display())]
    Absent {
        /// What was given.
        path: PathBuf,
    },
    /// Nothing of a bookie is there.
    #[error("`{}` is not a bookie's disk: {reason}", path.display())]
    NotABookie {
        /// What was given.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A directory was named twice, by itself or as part of another.
    #[error("`{}` was given twice", path.display())]
    GivenTwice {
        /// The directory.
        path: PathBuf,
    },
    /// The cookie of a directory is no cookie.
    #[error("`{}` is damaged: {reason}", path.display())]
    Cookie {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Directories have different cookies.
    #[error("`{}` and `{}` do not belong together: {difference}", first.display(), second.display())]
    CookiesDiffer {
        /// A cookie.
        first: PathBuf,
        /// Another one.
        second: PathBuf,
        /// In what they differ.
        difference: String,
    },
    /// A process has files of the bookie open for writing.
    #[error("the bookie of `{}` is running: process {process} ({program}) has `{}` open for writing", path.display(), file.display())]
    Running {
        /// A directory of the bookie.
        path: PathBuf,
        /// The process.
        process: u32,
        /// Its name.
        program: String,
        /// A file that it has open.
        file: PathBuf,
    },
    /// Something changed while it was read.
    #[error("`{}` changed while it was read: {change}", path.display())]
    Changed {
        /// The file or directory.
        path: PathBuf,
        /// What changed.
        change: String,
    },
    /// A place names a file that the disk does not have.
    #[error("there is no file {file} among the {count} files of this bookie")]
    NoSuchFile {
        /// The number of the file.
        file: u32,
        /// Number of files.
        count: usize,
    },
    /// The system refuses.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl BookieDiskError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }

    pub(super) fn not_a_bookie(path: &Path, reason: impl Into<String>) -> Self {
        Self::NotABookie { path: path.to_path_buf(), reason: reason.into() }
    }
}

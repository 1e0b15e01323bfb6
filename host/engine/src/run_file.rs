//! Small JSON files of a run directory, replaced whole and durably.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::plan::run_directory_error;

/// Writes a file so that after a crash either the old content is there or the new one.
///
/// # Errors
/// `run-directory`.
pub(crate) fn replace(path: &Path, content: &impl Serialize) -> Result<()> {
    let write = || -> io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = File::create(&temporary)?;
        serde_json::to_writer_pretty(&mut file, content)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    write().map_err(|error| run_directory_error("write", path, error))
}

/// Reads a file; none if there is no such file.
///
/// # Errors
/// What the system says, and what is wrong with the JSON.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

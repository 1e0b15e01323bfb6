//! Whether the bookie runs on this machine: whether a process has its files open for writing.

use std::fs;
use std::path::{Path, PathBuf};

use super::BookieDiskError;
use super::directories::Directory;

/// Refuses the directories if a process writes into them. What the system does not show (processes of other users) is not
/// seen here; files that change while they are read are.
pub(super) fn refuse(directories: &[Directory]) -> Result<(), BookieDiskError> {
    let Ok(processes) = fs::read_dir("/proc") else { return Ok(()) };
    for process in processes.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if id == std::process::id() {
            continue;
        }
        if let Some((directory, file)) = written_file(&process.path(), directories) {
            let program = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let (path, program) = (directory.path.clone(), program.trim().to_owned());
            return Err(BookieDiskError::Running { path, process: id, program, file });
        }
    }
    Ok(())
}

/// A file of the directories that a process has open for writing.
fn written_file<'d>(process: &Path, directories: &'d [Directory]) -> Option<(&'d Directory, PathBuf)> {
    fs::read_dir(process.join("fd")).ok()?.flatten().find_map(|descriptor| {
        let file = fs::read_link(descriptor.path()).ok()?;
        let directory = directories.iter().find(|directory| file.starts_with(&directory.current))?;
        let information = fs::read_to_string(process.join("fdinfo").join(descriptor.file_name())).ok()?;
        is_open_for_writing(&information).then_some((directory, file))
    })
}

/// The flags of a descriptor stand in octal; the lowest two bits are 0 for reading only.
fn is_open_for_writing(information: &str) -> bool {
    let flags = information.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_who_writes() {
        assert!(is_open_for_writing("pos:\t0\nflags:\t0100002\nmnt_id:\t1\n"));
        assert!(!is_open_for_writing("pos:\t0\nflags:\t0100000\nmnt_id:\t1\n"));
        assert!(!is_open_for_writing(""));
    }
}

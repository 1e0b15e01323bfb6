//! Whether the bookie runs on this machine: whether a process has its files open for writing.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::BookieDiskError;
use super::directories::Directory;

/// How long a process is given to run its own program. Until then it holds every file of the process that starts it, our own
/// among them: it is no bookie, and a bookie still has its files open afterwards.
const STARTING_A_PROGRAM: Duration = Duration::from_millis(200);

/// Refuses the directories if a process writes into them. What the system does not show (processes of other users) is not
/// seen here; files that change while they are read are.
pub(super) fn refuse(directories: &[Directory]) -> Result<(), BookieDiskError> {
    if writer(directories).is_none() {
        return Ok(());
    }
    thread::sleep(STARTING_A_PROGRAM);
    writer(directories).map_or(Ok(()), Err)
}

/// The first process but this one that has a file of the directories open for writing, as an error.
fn writer(directories: &[Directory]) -> Option<BookieDiskError> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let id = process.file_name().to_str()?.parse::<u32>().ok()?;
        if id == std::process::id() {
            return None;
        }
        let (directory, file) = written_file(&process.path(), directories)?;
        let program = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        let (path, program) = (directory.path.clone(), program.trim().to_owned());
        Some(BookieDiskError::Running { path, process: id, program, file })
    })
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

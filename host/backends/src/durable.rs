//! Changes of a file system that survive a crash: written, synced, then given their name in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use rustix::io::Errno;

/// Bytes copied at once where a file cannot be renamed.
const COPY_BLOCK: usize = 1 << 20;

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes everything durable that was written to the file system of a directory.
pub(crate) fn sync_file_system(directory: &Path) -> io::Result<()> {
    Ok(syncfs(File::open(directory)?)?)
}

/// Makes the name of a file durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

/// Creates a directory and the parents it lacks, durably. `base` exists.
pub(crate) fn create_directories(base: &Path, directory: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut current = directory;
    while current != base && !current.try_exists()? {
        missing.push(current);
        match current.parent() {
            Some(parent) => current = parent,
            None => break,
        }
    }
    for path in missing.into_iter().rev() {
        match fs::create_dir(path) {
            Ok(()) => sync_parent(path)?,
            // Another thread was faster; its directory may not be durable yet, so sync all the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_parent(path)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes a new file and syncs its content; nothing stays if that fails.
pub(crate) fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    if written.is_err() {
        // The error of the write is what the operator needs; a leftover is harmless under its temporary name.
        let _ = fs::remove_file(path);
    }
    written
}

/// Moves a file to a name that nothing has yet, durably.
///
/// # Errors
/// `NotFound` if there is no `from`, `AlreadyExists` if there is a `to`. If a crash cut an earlier call between its two
/// steps (both names lead to the same file, or to a complete copy), this call completes it.
pub(crate) fn move_without_overwrite(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // Network file systems know hard links but not this flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_and_unlink(from, to)?,
        Err(Errno::XDEV) => copy_and_delete(from, to)?,
        Err(Errno::EXIST) if same_file(from, to)? => fs::remove_file(from)?,
        Err(Errno::EXIST) => return complete_copy_or_refuse(from, to),
        Err(error) => return Err(error.into()),
    }
    sync_both_parents(from, to)
}

fn sync_both_parents(from: &Path, to: &Path) -> io::Result<()> {
    // The new name first: after a crash in between there are two names rather than none.
    sync_parent(to)?;
    if from.parent() == to.parent() { Ok(()) } else { sync_parent(from) }
}

fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && same_file(from, to)? => {}
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                return copy_and_delete(from, to);
            }
            _ => return Err(error),
        },
    }
    sync_parent(to)?;
    fs::remove_file(from)
}

fn copy_and_delete(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = match OpenOptions::new().write(true).create_new(true).open(to) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return complete_copy_or_refuse(from, to),
        Err(error) => return Err(error),
    };
    let copied = io::copy(&mut source, &mut target).and_then(|copied| {
        target.sync_all()?;
        if copied == source.metadata()?.len() { Ok(()) } else { Err(io::Error::other("the source changed meanwhile")) }
    });
    if let Err(error) = copied {
        // We created it, nobody else knows it: a half copy must not stay under the target's name.
        let _ = fs::remove_file(to);
        return Err(error);
    }
    sync_parent(to)?;
    fs::remove_file(from)
}

/// Both names exist. If they lie on different devices and hold the same bytes, a copy was cut before its last step.
fn complete_copy_or_refuse(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (source, target) = (fs::symlink_metadata(from)?, fs::symlink_metadata(to)?);
    let cut_copy = source.is_file() && target.is_file() && source.dev() != target.dev() && source.len() == target.len();
    if cut_copy && same_content(from, to)? {
        fs::remove_file(from)?;
        return sync_parent(from);
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (one_data, other_data) = (fs::symlink_metadata(one)?, fs::symlink_metadata(other)?);
    Ok(one != other && one_data.dev() == other_data.dev() && one_data.ino() == other_data.ino())
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut one_block, mut other_block) = (vec![0; COPY_BLOCK], vec![0; COPY_BLOCK]);
    loop {
        let count = one.read(&mut one_block)?;
        if count == 0 {
            return Ok(other.read(&mut other_block[..1])? == 0);
        }
        match other.read_exact(&mut other_block[..count]) {
            Ok(()) if one_block[..count] == other_block[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

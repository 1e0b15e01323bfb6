//! Pravega's FILESYSTEM binding: objects are files below a root directory.

mod stamps;
mod walk;

use std::fs::{self, DirEntry, File, FileType, Metadata, ReadDir};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, Mode, OFlags, ResolveFlags, openat2};

use self::stamps::Stamps;
use self::walk::{Directory, walk};
use super::key::{check_key, split_prefix};
use super::{ObjectInfo, Stamp, Tier2, Tier2Error};
use crate::durable;

/// Directories in directories that a listing descends into; Pravega uses about five.
pub const MAXIMUM_DEPTH: usize = 64;

/// Objects below this prefix are being written; listings do not show them. One that stays behind after a crash holds
/// nothing that is needed and may be deleted.
pub const TEMPORARY_PREFIX: &str = "_dr/temporary/";

/// A read of so many bytes is one of several over the same file, as of a table; shorter ones may skip what follows.
const LONG_READ_BYTES: usize = 4 << 20;

/// So much of an object is fetched before somebody reads it.
const FETCHED_BYTES_MAX: u64 = 64 << 20;

/// Makes temporary names of this process unique.
static TEMPORARY_COUNTER: AtomicU64 = AtomicU64::new(0);

/// Objects as files below a root directory, shared by any number of threads.
///
/// Symbolic links below the root are refused with an error that names them: they could lead out of the root, or show an
/// object twice. The root itself may be one. Empty directories are left alone.
#[derive(Debug)]
pub struct FileSystemTier2 {
    root: PathBuf,
    root_directory: File,
    stamps: Option<Stamps>,
    location: String,
}

impl FileSystemTier2 {
    /// Opens an existing root directory.
    ///
    /// # Errors
    /// [`Tier2Error::Io`] that names the root if it is missing, no directory, or unreadable.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, Tier2Error> {
        let root = root.as_ref();
        let location = format!("file system {}", root.display());
        let failure =
            |source| io_error(&location, "cannot open the root directory", &root.display().to_string(), source);
        // Absolute and without links, so that a later change of the working directory or of a link changes nothing.
        let resolved = fs::canonicalize(root).map_err(failure)?;
        if !fs::metadata(&resolved).map_err(failure)?.is_dir() {
            return Err(failure(io::ErrorKind::NotADirectory.into()));
        }
        fs::read_dir(&resolved).map_err(failure)?;
        let root_directory = File::open(&resolved).map_err(failure)?;
        let stamps = Stamps::of(&root_directory);
        Ok(Self { root: resolved, root_directory, stamps, location })
    }

    /// The root directory, absolute and without links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn failure(&self, action: &'static str, key: &str, source: io::Error) -> Tier2Error {
        io_error(&self.location, action, key, source)
    }

    fn not_found(&self, key: &str) -> Tier2Error {
        Tier2Error::NotFound { location: self.location.clone(), key: key.to_owned() }
    }

    fn exists(&self, key: &str) -> Tier2Error {
        Tier2Error::Exists { location: self.location.clone(), key: key.to_owned() }
    }

    /// The path of a key, after checking that no existing part of it but the last is anything but a directory.
    fn path_of(&self, key: &str) -> Result<PathBuf, Tier2Error> {
        check_key(&self.location, key)?;
        let mut path = self.root.clone();
        let mut parts = key.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            if parts.peek().is_some() {
                self.check_directory(key, &path)?;
            }
        }
        Ok(path)
    }

    fn check_directory(&self, key: &str, path: &Path) -> Result<(), Tier2Error> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(metadata) if metadata.is_symlink() => Err(self.key_error(key, &symbolic_link(path))),
            Ok(_) => Err(self.key_error(key, &format!("`{}` is an object, not a directory", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failure("cannot look at the directories of", key, error)),
        }
    }

    fn key_error(&self, key: &str, reason: &str) -> Tier2Error {
        Tier2Error::Key { location: self.location.clone(), key: key.to_owned(), reason: reason.to_owned() }
    }

    /// Metadata of the object at a path; none if there is nothing or a directory (which is no object).
    fn object_at(&self, key: &str, path: &Path) -> Result<Option<Metadata>, Tier2Error> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
            Ok(metadata) if metadata.is_dir() => Ok(None),
            Ok(metadata) if metadata.is_symlink() => Err(self.key_error(key, &symbolic_link(path))),
            Ok(_) => Err(self.key_error(key, "it is neither a file nor a directory")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failure("cannot look at", key, error)),
        }
    }

    /// Opens an object for reading.
    fn open_object(&self, key: &str) -> Result<(File, Metadata), Tier2Error> {
        check_key(&self.location, key)?;
        if let Some(opened) = self.open_at_once(key) {
            return Ok(opened);
        }
        // Says what is wrong; and is the way of systems that cannot do it in one call.
        let path = self.path_of(key)?;
        if self.object_at(key, &path)?.is_none() {
            return Err(self.not_found(key));
        }
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        opened.map(|(metadata, file)| (file, metadata)).map_err(|error| self.failure("cannot open", key, error))
    }

    /// Opens a regular file with one call that follows no link and cannot leave the root; none for any reason. A recovery
    /// opens every object, and a look at each directory on the way to it costs more than its reading.
    fn open_at_once(&self, key: &str) -> Option<(File, Metadata)> {
        // Without blocking, or a pipe would wait for somebody to write to it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open = |flags| openat2(&self.root_directory, key, flags, Mode::empty(), resolve);
        // Evidence shall stay as it is, times of access included; only the owner of a file may ask for that.
        let file = File::from(open(flags | OFlags::NOATIME).or_else(|_| open(flags)).ok()?);
        let metadata = file.metadata().ok()?;
        metadata.is_file().then_some((file, metadata))
    }

    fn temporary_path(&self) -> io::Result<PathBuf> {
        let directory = self.root.join(TEMPORARY_PREFIX.trim_end_matches('/'));
        durable::create_directories(&self.root, &directory)?;
        let number = TEMPORARY_COUNTER.fetch_add(1, Ordering::Relaxed);
        Ok(directory.join(format!("{}-{number}", std::process::id())))
    }

    fn write_temporary(&self, content: &[u8]) -> io::Result<PathBuf> {
        loop {
            let path = self.temporary_path()?;
            match durable::write_new(&path, &[content]) {
                // Left by an earlier process with the same id: leave it, take the next number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(path),
            }
        }
    }

    fn create_parents(&self, key: &str, path: &Path) -> Result<(), Tier2Error> {
        let parent = path.parent().unwrap_or(&self.root);
        durable::create_directories(&self.root, parent)
            .map_err(|error| self.failure("cannot create the directories of", key, error))
    }

    /// The entries of a directory, whose key ends with a slash or is empty.
    fn open_listing(&self, key: &str) -> Result<ReadDir, Tier2Error> {
        fs::read_dir(self.root.join(key)).map_err(|error| self.failure("cannot list the directory", key, error))
    }

    /// The directory in which a listing begins; none if there is no such directory.
    fn first_directory(&self, directory: &str) -> Result<Option<Directory>, Tier2Error> {
        if directory.is_empty() {
            return Ok(Some(Directory::first(String::new())));
        }
        let path = self.path_of(directory)?;
        self.check_directory(directory, &path)?;
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => Ok(Some(Directory::first(format!("{directory}/")))),
        }
    }

    fn check_listed_file(&self, key: &str, entry: &DirEntry, kind: FileType) -> Result<(), Tier2Error> {
        if kind.is_symlink() {
            return Err(self.key_error(key, &symbolic_link(&entry.path())));
        }
        if !kind.is_file() {
            return Err(self.key_error(key, "it is neither a file nor a directory"));
        }
        Ok(())
    }

    /// An object that another thread moved while we listed is no error; anything else is.
    fn pass_over_gone(&self, error: io::Error, key: &str) -> Result<(), Tier2Error> {
        if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(self.failure("cannot look at", key, error)) }
    }
}

impl Tier2 for FileSystemTier2 {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), Tier2Error>,
    ) -> Result<(), Tier2Error> {
        let (directory, name_prefix) = split_prefix(&self.location, prefix)?;
        match self.first_directory(directory)? {
            Some(first) => walk(self, first, name_prefix, visit),
            None => Ok(()),
        }
    }

    fn size(&self, key: &str) -> Result<Option<u64>, Tier2Error> {
        let path = self.path_of(key)?;
        Ok(self.object_at(key, &path)?.map(|metadata| metadata.len()))
    }

    fn read_at(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Tier2Error> {
        self.read_stamped(key, offset, buffer).map(|(count, _)| count)
    }

    fn read_stamped(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<(usize, Option<Stamp>), Tier2Error> {
        let (file, metadata) = self.open_object(key)?;
        let stamp = self.stamps.and_then(|stamps| stamps.before_reading(&metadata));
        if i64::try_from(offset).is_err() {
            // No file reaches so far, and the system would call it an invalid argument.
            return Ok((0, stamp));
        }
        if buffer.len() >= LONG_READ_BYTES {
            // What follows, too. Each read opens its file anew, so the system does not see by itself that one follows on the other.
            fetch(&file, offset, (buffer.len() as u64).saturating_mul(2));
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure("cannot read", key, error)),
            }
        }
        Ok((filled, stamp))
    }

    fn stamp(&self, key: &str) -> Option<Stamp> {
        self.stamps?.now(&self.root_directory, key)
    }

    fn will_read(&self, key: &str) {
        let Some((file, metadata)) = self.open_at_once(key) else { return };
        let end = metadata.len().min(FETCHED_BYTES_MAX);
        // The system does not take as much as that at once.
        for offset in (0..end).step_by(LONG_READ_BYTES) {
            fetch(&file, offset, LONG_READ_BYTES as u64);
        }
    }

    fn create(&self, key: &str, content: &[u8]) -> Result<(), Tier2Error> {
        let path = self.path_of(key)?;
        // Looked at first only to spare the writing; what decides is the move without overwriting.
        if fs::symlink_metadata(&path).is_ok() {
            return Err(self.exists(key));
        }
        let temporary = self.write_temporary(content).map_err(|error| self.failure("cannot write", key, error))?;
        let moved = self.create_parents(key, &path).and_then(|()| {
            durable::move_without_overwrite(&temporary, &path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => self.exists(key),
                _ => self.failure("cannot give its name to", key, error),
            })
        });
        if moved.is_err() {
            // The first error is what counts; a leftover lies under the temporary prefix.
            let _ = fs::remove_file(&temporary);
        }
        moved
    }

    fn relocate(&self, from: &str, to: &str) -> Result<(), Tier2Error> {
        let (source, target) = (self.path_of(from)?, self.path_of(to)?);
        if self.object_at(from, &source)?.is_none() {
            return Err(self.not_found(from));
        }
        if from == to {
            return Err(self.exists(to));
        }
        self.create_parents(to, &target)?;
        durable::move_without_overwrite(&source, &target).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => self.exists(to),
            io::ErrorKind::NotFound => self.not_found(from),
            _ => self.failure("cannot move", from, error),
        })
    }

    fn delete(&self, key: &str) -> Result<(), Tier2Error> {
        let path = self.path_of(key)?;
        if self.object_at(key, &path)?.is_none() {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Ok(()) => {
                durable::sync_parent(&path).map_err(|error| self.failure("cannot sync the deletion of", key, error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failure("cannot delete", key, error)),
        }
    }
}

/// Asks the system to fetch a part of a file while the reader works on something else.
fn fetch(file: &File, offset: u64, length: u64) {
    // Advice that is not taken costs time and nothing else.
    let _ = rustix::fs::fadvise(file, offset, NonZeroU64::new(length), Advice::WillNeed);
}

fn symbolic_link(path: &Path) -> String {
    format!("`{}` is a symbolic link, and links are not followed", path.display())
}

fn io_error(location: &str, action: &'static str, key: &str, source: io::Error) -> Tier2Error {
    Tier2Error::Io { location: location.to_owned(), action, key: key.to_owned(), source }
}

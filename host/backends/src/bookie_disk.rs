//! The disks of a stopped bookie: journals, entry logs, indexes and cookies, read as they are. Nothing is written.
//!
//! A bookie has one or several directories, each with a directory `current` in it. Entries that it confirmed last are only
//! in its journals; those that it moved on are in entry logs, and often in a journal as well, since old ones are kept. So
//! all files are read, each once and from its beginning to its end, several at the same time. What has a right digest is
//! evidence, wherever it lies; what has not is reported with its place.

mod cookies;
mod directories;
mod error;
mod oddity;
mod running;
mod scan;
mod walk;
mod window;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use dr_formats::bookie_cookie::Cookie;
use dr_formats::ledger_entry::{DigestType, EntryHeader};

pub use self::error::BookieDiskError;
pub use self::oddity::{LISTED_MAX, Oddities, Oddity, OddityKind};
pub use self::scan::{EntryVisitor, LedgerFacts, Scan, ScanOptions};

use self::directories::Directory;

/// Longest record that is taken for one, in bytes. Bookies refuse messages above 5 MiB unless told otherwise.
pub const RECORD_MAX_BYTES: usize = 64 << 20;

/// The directories of one stopped bookie, opened for reading.
#[derive(Debug)]
pub struct BookieDisk {
    cookie: Cookie,
    cookie_bytes: Vec<u8>,
    directories: Vec<Directory>,
    files: Vec<DiskFile>,
    index_files: Vec<IndexFile>,
    oddities: Oddities,
}

/// A file of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Its bytes when the disk was opened.
    pub length: u64,
}

/// Kinds of files of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// An entry log, or one that a compaction was making.
    EntryLog {
        /// Its id.
        id: u64,
    },
    /// A journal.
    Journal {
        /// Its id.
        id: u64,
    },
}

/// The index of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
struct IndexFile {
    path: PathBuf,
    ledger_id: i64,
}

/// Where an entry is on the disks of a bookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryPlace {
    /// Number of the file in [`BookieDisk::files`]. Of two copies of an entry the later one has the greater place.
    pub file: u32,
    /// Position of the entry in it, behind its length, in bytes.
    pub offset: u64,
    /// Bytes of the entry: header, digest and payload.
    pub length: u32,
}

/// An entry with a right digest, as it was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScannedEntry<'a> {
    /// Ids, last add confirmed and length.
    pub header: EntryHeader,
    /// The digest that is right.
    pub digest_type: DigestType,
    /// What the writer gave.
    pub payload: &'a [u8],
    /// Where it is.
    pub place: EntryPlace,
}

impl BookieDisk {
    /// Opens the directories of one bookie: each path is one that has a directory `current`, or leads to such ones within
    /// a few steps.
    ///
    /// # Errors
    /// [`BookieDiskError`] if nothing there is a bookie's, the bookie runs, or the directories are those of several bookies.
    pub fn open(paths: &[PathBuf]) -> Result<Self, BookieDiskError> {
        let found = directories::find(paths)?;
        let (cookie_bytes, cookie) = cookies::agree(&found)?;
        running::refuse(&found)?;
        let mut oddities = Oddities::default();
        let listing = directories::list(&found, &mut oddities)?;
        listing.judge(&cookie, &mut oddities);
        let (files, index_files) = (listing.files, listing.index_files);
        Ok(Self { cookie, cookie_bytes, directories: found, files, index_files, oddities })
    }

    /// Who the bookie is.
    #[must_use]
    pub const fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// The bytes of its cookie, which ZooKeeper must hold before the bookie starts.
    #[must_use]
    pub fn cookie_bytes(&self) -> &[u8] {
        &self.cookie_bytes
    }

    /// The directories that were found; `current` is below each.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(|directory| directory.path.as_path())
    }

    /// The files of entries: entry logs, then journals, by id.
    #[must_use]
    pub fn files(&self) -> &[DiskFile] {
        &self.files
    }

    /// Bytes of all files of entries.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// What was odd before anything was read.
    #[must_use]
    pub const fn oddities(&self) -> &Oddities {
        &self.oddities
    }

    /// Reads everything. `visitor` makes the visitor of each thread.
    ///
    /// # Errors
    /// [`BookieDiskError`] if a file cannot be read or changes meanwhile, and what a visitor returns. Nothing that a
    /// damaged file holds is an error.
    pub fn scan<V: EntryVisitor>(
        &self,
        options: &ScanOptions<'_>,
        visitor: impl Fn() -> Result<V, V::Error> + Sync,
    ) -> Result<Scan<V>, V::Error> {
        scan::scan(self, options, visitor)
    }

    /// Reads one entry back: header, digest and payload.
    ///
    /// # Errors
    /// [`BookieDiskError::Io`] if the file ends before the entry does, or cannot be read.
    pub fn read_entry(&self, place: EntryPlace) -> Result<Vec<u8>, BookieDiskError> {
        let Some(file) = self.files.get(place.file as usize) else {
            return Err(BookieDiskError::NoSuchFile { file: place.file, count: self.files.len() });
        };
        let length = (place.length as usize).min(RECORD_MAX_BYTES);
        let mut entry = vec![0; length];
        open_file(&file.path)
            .and_then(|opened| opened.read_exact_at(&mut entry, place.offset))
            .map_err(|source| BookieDiskError::io("read an entry of", &file.path, source))?;
        Ok(entry)
    }
}

/// Opens a file for reading without changing its time of access, which only its owner may ask for.
fn open_file(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    // Without blocking, or a pipe would wait for somebody to write to it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = |flags| rustix::fs::open(path, flags, Mode::empty());
    Ok(File::from(open(flags | OFlags::NOATIME).or_else(|_| open(flags))?))
}

#[cfg(test)]
mod tests;

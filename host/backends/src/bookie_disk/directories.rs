//! Which directories a bookie has, and which files are in them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dr_formats::bookie_cookie::Cookie;
use dr_formats::bookie_journal::{LastMark, journal_id};
use dr_formats::entry_log::log_id;
use dr_formats::ledger_index::ledger_id;

use super::oddity::{Oddities, OddityKind};
use super::{BookieDisk, BookieDiskError, DiskFile, FileKind, IndexFile};

/// Steps from a path that is given to a directory that has `current`.
const DEPTH_MAX: usize = 4;
/// Directories that are looked into on the way; more is no bookie's disk.
const VISITED_MAX: usize = 10_000;
/// What a bookie makes in each of its directories.
const CURRENT: &str = "current";
/// The file with the cookie.
pub(super) const COOKIE_FILE: &str = "VERSION";
const LAST_MARK: &str = "lastMark";
const LAST_ID: &str = "lastId";
/// Directories that `DbLedgerStorage` makes in `current`, and a file that each RocksDB has.
const ROCKS_DB_DIRECTORIES: [&str; 2] = ["ledgers", "locations"];
const ROCKS_DB_FILE: &str = "CURRENT";

/// A directory of a bookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directory {
    /// Absolute and without links.
    pub(super) path: PathBuf,
    /// What is in its `current`.
    pub(super) current: PathBuf,
}

/// Finds the directories.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<Directory>, BookieDiskError> {
    let mut found: Vec<Directory> = Vec::new();
    for path in paths {
        let root = fs::canonicalize(path).map_err(|source| match source.kind() {
            // Also a path that leads through a file.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => BookieDiskError::Absent { path: path.clone() },
            _ => BookieDiskError::io("open", path, source),
        })?;
        if !root.is_dir() {
            return Err(BookieDiskError::not_a_bookie(path, "it is no directory"));
        }
        let below = find_below(&root)?;
        if below.is_empty() {
            let reason = format!("there is no directory `{CURRENT}` with a bookie's files within {DEPTH_MAX} steps");
            return Err(BookieDiskError::not_a_bookie(path, reason));
        }
        for directory in below {
            if found.contains(&directory) {
                return Err(BookieDiskError::GivenTwice { path: directory.path });
            }
            found.push(directory);
        }
    }
    if found.is_empty() {
        return Err(BookieDiskError::not_a_bookie(Path::new(""), "no directory was given"));
    }
    Ok(found)
}

fn find_below(root: &Path) -> Result<Vec<Directory>, BookieDiskError> {
    // `current` itself, or a copy of it under another name.
    if is_current(root)? {
        return Ok(vec![Directory { path: root.to_path_buf(), current: root.to_path_buf() }]);
    }
    let mut found = Vec::new();
    let mut pending = vec![(root.to_path_buf(), 0)];
    let mut visited = 0;
    while let Some((path, depth)) = pending.pop() {
        visited += 1;
        if visited > VISITED_MAX {
            let reason = format!("it has more than {VISITED_MAX} directories; name the bookie's own");
            return Err(BookieDiskError::not_a_bookie(root, reason));
        }
        let current = path.join(CURRENT);
        if current.is_dir() && is_current(&current)? {
            found.push(Directory { path, current });
        } else if depth < DEPTH_MAX {
            pending.extend(directories_in(&path)?.into_iter().map(|below| (below, depth + 1)));
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// True if a directory holds a bookie's files.
fn is_current(directory: &Path) -> Result<bool, BookieDiskError> {
    Ok(names_in(directory)?.iter().any(|name| {
        [COOKIE_FILE, LAST_ID].contains(&name.as_str())
            || is_last_mark(name)
            || journal_id(name).is_some()
            || log_id(name).is_some()
    }))
}

fn is_last_mark(name: &str) -> bool {
    name.strip_prefix(LAST_MARK).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('.').is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// Names in a directory, sorted. Names that are no text are nobody's that matters here.
fn names_in(directory: &Path) -> Result<Vec<String>, BookieDiskError> {
    let read = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    };
    read().map_err(|source| BookieDiskError::io("list", directory, source))
}

/// Directories in a directory. Links are not followed: they could show a directory twice.
fn directories_in(directory: &Path) -> Result<Vec<PathBuf>, BookieDiskError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut directories = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            }
        }
        Ok(directories)
    };
    read().map_err(|source| BookieDiskError::io("list", directory, source))
}

/// The files of all directories.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: Vec<DiskFile>,
    pub(super) index_files: Vec<IndexFile>,
    marks: Vec<(PathBuf, LastMark)>,
    journal_directories: usize,
    other_directories: usize,
    first_directory: PathBuf,
}

/// Lists the files of all directories.
pub(super) fn list(directories: &[Directory], oddities: &mut Oddities) -> Result<Listing, BookieDiskError> {
    let mut listing = Listing::default();
    for directory in directories {
        listing.add(directory, oddities)?;
    }
    listing.files.sort_by(|one, other| (one.kind, &one.path).cmp(&(other.kind, &other.path)));
    listing.index_files.sort_by(|one, other| (one.ledger_id, &one.path).cmp(&(other.ledger_id, &other.path)));
    listing.first_directory = directories.first().map(|directory| directory.path.clone()).unwrap_or_default();
    Ok(listing)
}

impl Listing {
    fn add(&mut self, directory: &Directory, oddities: &mut Oddities) -> Result<(), BookieDiskError> {
        let (mut has_journal, mut has_other) = (false, false);
        for name in names_in(&directory.current)? {
            let path = directory.current.join(&name);
            if let Some(kind) = file_kind(&name) {
                let length = length_of(&path)?;
                match kind {
                    FileKind::Journal { .. } => has_journal = true,
                    FileKind::EntryLog { .. } => has_other = true,
                }
                self.files.push(DiskFile { path, kind, length });
            } else if is_last_mark(&name) {
                has_other = true;
                self.read_mark(path, oddities)?;
            } else if name == LAST_ID {
                has_other = true;
            } else if ROCKS_DB_DIRECTORIES.contains(&name.as_str()) && path.join(ROCKS_DB_FILE).exists() {
                oddities
                    .add(OddityKind::RocksDbIndex, &path, None, || "DbLedgerStorage keeps its indexes there".into());
            } else if is_index_level(&name) && path.is_dir() {
                has_other = true;
                self.add_indexes(&path)?;
            }
        }
        self.journal_directories += usize::from(has_journal);
        // A directory that holds nothing but a cookie is one of ledgers or indexes: a journal is begun at once.
        self.other_directories += usize::from(has_other || !has_journal);
        Ok(())
    }

    fn read_mark(&mut self, path: PathBuf, oddities: &mut Oddities) -> Result<(), BookieDiskError> {
        let bytes = fs::read(&path).map_err(|source| BookieDiskError::io("read", &path, source))?;
        match LastMark::decode(&bytes) {
            Ok(mark) => self.marks.push((path, mark)),
            Err(error) => oddities.add(OddityKind::Unreadable, &path, Some(error.offset), || error.to_string()),
        }
        Ok(())
    }

    fn add_indexes(&mut self, level: &Path) -> Result<(), BookieDiskError> {
        for below in directories_in(level)? {
            for name in names_in(&below)? {
                if let Some(ledger_id) = ledger_id(&name) {
                    self.index_files.push(IndexFile { path: below.join(name), ledger_id });
                }
            }
        }
        Ok(())
    }

    /// Compares what was found with what the bookie itself says that it has.
    pub(super) fn judge(&self, cookie: &Cookie, oddities: &mut Oddities) {
        let directory = &self.first_directory;
        let expected = cookie.journal_directories.len().max(1);
        if self.journal_directories < expected {
            oddities.add(OddityKind::MissingJournal, directory, None, || {
                format!(
                    "the cookie names {expected} directories of journals ({}), {} with journals were found; what the \
                     bookie confirmed last is only in its journals",
                    cookie.journal_directories.join(", "),
                    self.journal_directories
                )
            });
        }
        self.judge_empty_journals(oddities);
        let expected = cookie.ledger_directories.len();
        if self.other_directories < expected && !self.shares_directories(cookie) {
            oddities.add(OddityKind::MissingDirectory, directory, None, || {
                format!(
                    "the cookie names {expected} directories of ledgers ({}), {} were found",
                    cookie.ledger_directories.join(", "),
                    self.other_directories
                )
            });
        }
        self.judge_journals(oddities);
    }

    /// A journal begins with a header; files without a byte beside entry logs are what a broken copy leaves.
    fn judge_empty_journals(&self, oddities: &mut Oddities) {
        let (journals, logs): (Vec<&DiskFile>, Vec<&DiskFile>) =
            self.files.iter().partition(|file| journal_of(file.kind).is_some());
        let has_entries = logs.iter().any(|log| log.length > 0);
        if let Some(first) = journals.first().filter(|_| has_entries && journals.iter().all(|file| file.length == 0)) {
            oddities.add(OddityKind::MissingJournal, &first.path, None, || {
                "there is not one byte in any journal; what the bookie confirmed last is only in its journals"
                    .to_owned()
            });
        }
    }

    /// True if journals lie in a directory of ledgers.
    fn shares_directories(&self, cookie: &Cookie) -> bool {
        self.journal_directories > 0
            && cookie.journal_directories.iter().any(|path| cookie.ledger_directories.contains(path))
    }

    /// The journal of a mark must be there, and ids have no gaps behind it.
    fn judge_journals(&self, oddities: &mut Oddities) {
        let ids: BTreeSet<u64> = self.files.iter().filter_map(|file| journal_of(file.kind)).collect();
        if ids.is_empty() {
            return;
        }
        for (path, mark) in &self.marks {
            // A bookie that never moved anything on marks journal 0.
            if mark.journal_id > 0 && !ids.contains(&mark.journal_id) {
                oddities.add(OddityKind::MissingJournal, path, None, || {
                    format!("journal {:x}.txn is marked as not yet moved on, and is not there", mark.journal_id)
                });
            }
        }
        let marked = self.marks.iter().map(|(_, mark)| mark.journal_id).min().unwrap_or(0);
        for file in &self.files {
            let Some(id) = journal_of(file.kind).filter(|id| *id > marked) else { continue };
            let has_earlier = ids.range(..id).next_back().is_some();
            if has_earlier && !ids.contains(&(id - 1)) {
                oddities.add(OddityKind::MissingJournal, &file.path, None, || {
                    format!("journal {:x}.txn, which comes before, is not there", id - 1)
                });
            }
        }
    }
}

const fn journal_of(kind: FileKind) -> Option<u64> {
    match kind {
        FileKind::Journal { id } => Some(id),
        FileKind::EntryLog { .. } => None,
    }
}

/// What a file of entries is by its name. A compaction that was interrupted leaves `<id>.log.compacting` or
/// `<id>.log.<id>.compacted`, which hold copies of entries.
fn file_kind(name: &str) -> Option<FileKind> {
    if let Some(id) = journal_id(name) {
        return Some(FileKind::Journal { id });
    }
    let log = match name.strip_suffix(".compacting").or_else(|| name.strip_suffix(".compacted")) {
        Some(rest) => rest.split_inclusive(".log").next().unwrap_or(rest),
        None => name,
    };
    log_id(log).map(|id| FileKind::EntryLog { id })
}

/// Indexes lie in directories named after two bytes of the ledger's id.
fn is_index_level(name: &str) -> bool {
    name.len() <= 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn length_of(path: &Path) -> Result<u64, BookieDiskError> {
    let metadata = fs::metadata(path).map_err(|source| BookieDiskError::io("look at", path, source))?;
    Ok(metadata.len())
}

/// Checks after the reading that nothing was added, grew or went meanwhile: a bookie that runs where this machine does not
/// see its process.
pub(super) fn refuse_changes(disk: &BookieDisk) -> Result<(), BookieDiskError> {
    let changed = |path: &Path, change: String| Err(BookieDiskError::Changed { path: path.to_path_buf(), change });
    let now = list(&disk.directories, &mut Oddities::default())?.files;
    for (before, now) in disk.files.iter().zip(&now) {
        if before.path != now.path {
            return changed(&now.path, "files came or went".to_owned());
        }
        if before.length != now.length {
            return changed(&now.path, format!("it had {} bytes and has {}", before.length, now.length));
        }
    }
    if disk.files.len() != now.len() {
        let directory = disk.directories.first().map(|directory| directory.path.clone()).unwrap_or_default();
        return changed(&directory, format!("it had {} files and has {}", disk.files.len(), now.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_files() {
        assert_eq!(file_kind("1f.log"), Some(FileKind::EntryLog { id: 31 }));
        assert_eq!(file_kind("2.log.compacting"), Some(FileKind::EntryLog { id: 2 }));
        assert_eq!(file_kind("2.log.1.compacted"), Some(FileKind::EntryLog { id: 2 }));
        assert_eq!(file_kind("19a0.txn"), Some(FileKind::Journal { id: 0x19a0 }));
        assert_eq!((file_kind("lastId"), file_kind("x.log"), file_kind(".compacted")), (None, None, None));
        assert!(is_last_mark("lastMark") && is_last_mark("lastMark.1") && !is_last_mark("lastMarks"));
    }
}

//! ZNodes as directories.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::memory::parent_of_prefix;
use super::super::znode_path::{check_path, parent_of, parts_of};
use super::super::{Tier1Error, ZNodeData, ZNodes};
use super::{io_error, names};
use crate::durable;

const NODE_FILE: &str = ".znode";
const SEQUENCE_FILE: &str = ".sequence";
const TEMPORARY_FILE: &str = ".temporary";
/// Content of a ZNode that is still read; real servers stop at 1 MiB unless told otherwise.
const MAXIMUM_CONTENT: u64 = 64 << 20;
/// Longest first line of a node file: `version -2147483648`.
const MAXIMUM_HEADER: u64 = 20;

/// ZNodes in a directory; see the module for its layout. Threads and processes may share it.
#[derive(Debug)]
pub struct EmbeddedZNodes {
    root: PathBuf,
    location: String,
    lock: Mutex<File>,
}

/// Held while something changes; other processes wait for the file, other threads for the mutex.
struct ChangeGuard<'a> {
    file: MutexGuard<'a, File>,
}

impl Drop for ChangeGuard<'_> {
    fn drop(&mut self) {
        // Closing the file would release it too; an error leaves others waiting until then.
        let _ = self.file.unlock();
    }
}

impl EmbeddedZNodes {
    /// Opens the directory `path`, creating it if it lacks (its parent must exist).
    ///
    /// # Errors
    /// [`Tier1Error::Io`] that names what could not be created or opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Tier1Error> {
        let path = path.as_ref();
        let root = path.join("znodes");
        let parent = path.parent().unwrap_or(path);
        durable::create_directories(parent, &root).map_err(|error| io_error(&root, "cannot create", error))?;
        let lock_path = path.join("lock");
        let lock = File::options().create(true).append(true).open(&lock_path);
        let lock = Mutex::new(lock.map_err(|error| io_error(&lock_path, "cannot open", error))?);
        let znodes = Self { root, location: format!("directory {}", path.display()), lock };
        let guard = znodes.change()?;
        if znodes.read_node("/", &znodes.root)?.is_none() {
            znodes.write_node(&znodes.root, &[], 0)?;
        }
        drop(guard);
        Ok(znodes)
    }

    fn change(&self) -> Result<ChangeGuard<'_>, Tier1Error> {
        let file = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock().map_err(|error| io_error(&self.root, "cannot lock", error))?;
        Ok(ChangeGuard { file })
    }

    fn directory_of(&self, path: &str) -> Result<PathBuf, Tier1Error> {
        check_path(path)?;
        let mut directory = self.root.clone();
        for part in parts_of(path) {
            let name = names::encode(part).map_err(|reason| Tier1Error::Path { path: path.to_owned(), reason })?;
            directory.push(name);
        }
        Ok(directory)
    }

    fn read_node(&self, path: &str, directory: &Path) -> Result<Option<ZNodeData>, Tier1Error> {
        let file_path = directory.join(NODE_FILE);
        let bytes = match read_bounded(&file_path, MAXIMUM_CONTENT + MAXIMUM_HEADER) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&file_path, "cannot read", error)),
        };
        match split_node_file(&bytes) {
            Some((version, data)) => Ok(Some(ZNodeData { data: data.to_vec(), version, ephemeral: false })),
            None => Err(self.damaged(path, "its file does not begin with a line `version N`")),
        }
    }

    fn refuse_existing(&self, path: &str, directory: &Path) -> Result<(), Tier1Error> {
        match self.read_node(path, directory)? {
            Some(_) => Err(Tier1Error::Exists { location: self.location.clone(), name: path.to_owned() }),
            None => Ok(()),
        }
    }

    fn write_node(&self, directory: &Path, data: &[u8], version: i32) -> Result<(), Tier1Error> {
        replace_file(directory, NODE_FILE, &[header(version).as_bytes(), data])
    }

    /// Creates the parent of a node and its parents, those that lack.
    fn create_parents(&self, path: &str) -> Result<(), Tier1Error> {
        match parent_of(path) {
            Some(parent) if self.read_node(parent, &self.directory_of(parent)?)?.is_none() => {
                self.create_with_parents(parent, &[])
            }
            _ => Ok(()),
        }
    }

    /// The next number for sequential children of a node.
    fn read_sequence(&self, path: &str, directory: &Path) -> Result<i64, Tier1Error> {
        let file_path = directory.join(SEQUENCE_FILE);
        match read_bounded(&file_path, MAXIMUM_HEADER) {
            Ok(text) => parse_number(&text).ok_or_else(|| self.damaged(path, "its sequence file is no number")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(io_error(&file_path, "cannot read", error)),
        }
    }

    fn damaged(&self, path: &str, reason: &str) -> Tier1Error {
        Tier1Error::Damaged { location: self.location.clone(), name: path.to_owned(), reason: reason.to_owned() }
    }

    /// The node, if it exists in this version.
    fn expected_node(&self, path: &str, directory: &Path, expected: i32) -> Result<ZNodeData, Tier1Error> {
        let (location, name) = (self.location.clone(), path.to_owned());
        match self.read_node(path, directory)? {
            None => Err(Tier1Error::NotFound { location, name }),
            Some(node) if node.version != expected => Err(Tier1Error::Version { location, name, expected }),
            Some(node) => Ok(node),
        }
    }

    /// Creates the node and the parents it lacks, from the top, so that a crash leaves no child without a parent.
    fn create_with_parents(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error> {
        let mut missing = vec![path];
        let mut current = path;
        while let Some(parent) = parent_of(current) {
            if self.read_node(parent, &self.directory_of(parent)?)?.is_some() {
                break;
            }
            missing.push(parent);
            current = parent;
        }
        for ancestor in missing.into_iter().rev() {
            let directory = self.directory_of(ancestor)?;
            match fs::create_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(io_error(&directory, "cannot create", error));
                }
                _ => {}
            }
            self.write_node(&directory, if ancestor == path { data } else { &[] }, 0)?;
            durable::sync_parent(&directory).map_err(|error| io_error(&directory, "cannot sync", error))?;
        }
        Ok(())
    }

    fn remove_directory(directory: &Path) -> io::Result<()> {
        // The node file first: what is left after a crash is no ZNode.
        fs::remove_file(directory.join(NODE_FILE))?;
        durable::sync_directory(directory)?;
        fs::remove_dir_all(directory)?;
        durable::sync_parent(directory)
    }
}

impl ZNodes for EmbeddedZNodes {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn get(&self, path: &str) -> Result<Option<ZNodeData>, Tier1Error> {
        self.read_node(path, &self.directory_of(path)?)
    }

    fn children(&self, path: &str) -> Result<Option<Vec<String>>, Tier1Error> {
        let directory = self.directory_of(path)?;
        if !directory.join(NODE_FILE).exists() {
            return Ok(None);
        }
        let failure = |error| io_error(&directory, "cannot list", error);
        let mut children = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failure)? {
            let entry = entry.map_err(failure)?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            if !entry.path().join(NODE_FILE).exists() {
                continue;
            }
            match names::decode(name) {
                Some(child) => children.push(child),
                None => return Err(self.damaged(path, &format!("the directory `{name}` is not named as ours are"))),
            }
        }
        children.sort_unstable();
        Ok(Some(children))
    }

    fn create(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error> {
        let directory = self.directory_of(path)?;
        let _guard = self.change()?;
        self.refuse_existing(path, &directory)?;
        self.create_with_parents(path, data)
    }

    /// Syncs twice for all of them, not several times for each: what they hold, then their names.
    fn create_all(&self, nodes: &[(&str, &[u8])]) -> Result<(), Tier1Error> {
        let _guard = self.change()?;
        let mut written = Unnamed::default();
        let all_written = nodes.iter().try_for_each(|(path, data)| {
            let directory = self.directory_of(path)?;
            if written.has_on_the_way_to(&directory) {
                written.name_all(&self.root)?;
            }
            self.refuse_existing(path, &directory)?;
            self.create_parents(path)?;
            written.write(directory, data)
        });
        let named = written.name_all(&self.root);
        all_written.and(named)
    }

    fn set(&self, path: &str, data: &[u8], expected_version: i32) -> Result<i32, Tier1Error> {
        let directory = self.directory_of(path)?;
        let _guard = self.change()?;
        let node = self.expected_node(path, &directory, expected_version)?;
        let version = node.version.wrapping_add(1);
        self.write_node(&directory, data, version)?;
        Ok(version)
    }

    fn delete(&self, path: &str, expected_version: i32) -> Result<(), Tier1Error> {
        let directory = self.directory_of(path)?;
        let _guard = self.change()?;
        self.expected_node(path, &directory, expected_version)?;
        if path == "/" || self.children(path)?.is_some_and(|children| !children.is_empty()) {
            return Err(Tier1Error::NotEmpty { location: self.location.clone(), name: path.to_owned() });
        }
        Self::remove_directory(&directory).map_err(|error| io_error(&directory, "cannot remove", error))
    }

    fn next_sequence(&self, prefix: &str) -> Result<i64, Tier1Error> {
        let parent = parent_of_prefix(prefix)?;
        let directory = self.directory_of(parent)?;
        let _guard = self.change()?;
        if self.read_node(parent, &directory)?.is_none() {
            self.create_with_parents(parent, &[])?;
        }
        let number = self.read_sequence(parent, &directory)?;
        replace_file(&directory, SEQUENCE_FILE, &[(number + 1).to_string().as_bytes()])?;
        Ok(number)
    }

    fn coming_sequence(&self, parent: &str) -> Result<Option<i64>, Tier1Error> {
        let directory = self.directory_of(parent)?;
        match self.read_node(parent, &directory)? {
            Some(_) => self.read_sequence(parent, &directory).map(Some),
            None => Ok(None),
        }
    }
}

/// New nodes whose files are written and do not have their names yet.
#[derive(Default)]
struct Unnamed {
    directories: HashSet<PathBuf>,
}

impl Unnamed {
    fn has_on_the_way_to(&self, directory: &Path) -> bool {
        directory.ancestors().any(|ancestor| self.directories.contains(ancestor))
    }

    fn write(&mut self, directory: PathBuf, data: &[u8]) -> Result<(), Tier1Error> {
        let temporary = directory.join(TEMPORARY_FILE);
        let made = match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::write(&temporary, [header(0).as_bytes(), data].concat()),
        };
        made.map_err(|error| io_error(&temporary, "cannot write", error))?;
        self.directories.insert(directory);
        Ok(())
    }

    fn name_all(&mut self, root: &Path) -> Result<(), Tier1Error> {
        let sync = || durable::sync_file_system(root).map_err(|error| io_error(root, "cannot sync", error));
        sync()?;
        for directory in self.directories.drain() {
            fs::rename(directory.join(TEMPORARY_FILE), directory.join(NODE_FILE))
                .map_err(|error| io_error(&directory, "cannot write", error))?;
        }
        sync()
    }
}

/// First line of a node file.
fn header(version: i32) -> String {
    format!("version {version}\n")
}

/// Gives a file of a directory new content, durably and in one step. Only under the lock: one temporary name serves all.
fn replace_file(directory: &Path, name: &str, parts: &[&[u8]]) -> Result<(), Tier1Error> {
    let (temporary, target) = (directory.join(TEMPORARY_FILE), directory.join(name));
    let replaced = match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => durable::write_new(&temporary, parts)
            .and_then(|()| fs::rename(&temporary, &target))
            .and_then(|()| durable::sync_directory(directory)),
    };
    replaced.map_err(|error| io_error(&target, "cannot write", error))
}

fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

fn split_node_file(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((header.strip_prefix("version ")?.parse().ok()?, &bytes[end + 1..]))
}

fn parse_number(text: &[u8]) -> Option<i64> {
    let number = std::str::from_utf8(text).ok()?.trim_end().parse().ok()?;
    (0..i64::MAX).contains(&number).then_some(number)
}

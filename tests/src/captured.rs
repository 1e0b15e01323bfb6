//! Captured trees of `tests/data`, unpacked where a test can work on them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

/// A captured Tier-2 in a directory of its own, removed when dropped.
#[derive(Debug)]
pub struct CapturedTree {
    /// Keeps the directory alive; tests may put other files beside the tree.
    pub directory: TempDir,
    /// The root of Tier-2.
    pub root: PathBuf,
}

/// Unpacks `tests/data/<name>/tier2.tar.xz`.
///
/// # Panics
/// If there is no such capture or `tar` fails.
pub fn unpack(name: &str) -> CapturedTree {
    let archive = capture(name).join("tier2.tar.xz");
    let unpacked = tempfile::tempdir().and_then(|directory| {
        let into = directory.path().join("unpacked");
        untar(&archive, &into)?;
        let root = find_root(&into);
        root.map(|root| CapturedTree { directory, root }).ok_or_else(|| io::Error::other("no tree in it"))
    });
    assert!(unpacked.is_ok(), "cannot unpack {}: {:?}", archive.display(), unpacked.as_ref().err());
    unpacked.unwrap_or_else(|_| unreachable!())
}

/// What had been written to the cluster of a capture, `tests/data/<name>/truth.json`.
pub fn truth(name: &str) -> PathBuf {
    capture(name).join("truth.json")
}

/// Directory of a capture.
fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

fn untar(archive: &Path, into: &Path) -> io::Result<()> {
    std::fs::create_dir(into)?;
    let status = Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(into).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("tar failed")) }
}

/// The captured disks of killed bookies in a directory of their own, removed when dropped.
#[derive(Debug)]
pub struct CapturedBookies {
    /// Keeps the directory alive; tests may put other files beside the disks.
    pub directory: TempDir,
    /// The directory of each bookie, with `journal` and `ledgers` in it.
    pub bookies: Vec<PathBuf>,
    /// Version and data of every ZNode below `/pravega`, by path, from when the bookies still ran: what a rebuilding should
    /// come to.
    pub znodes: BTreeMap<String, (i32, Vec<u8>)>,
}

/// Unpacks `tests/data/<name>/bookies.tar.xz`, and reads `znodes.txt.xz` beside it.
///
/// # Panics
/// If there is no such capture, or `tar` or `xz` fails.
pub fn unpack_bookies(name: &str) -> CapturedBookies {
    let unpacked = tempfile::tempdir().and_then(|directory| {
        let into = directory.path().join("bookies");
        untar(&capture(name).join("bookies.tar.xz"), &into)?;
        let mut bookies = Vec::new();
        for entry in std::fs::read_dir(&into)? {
            bookies.push(entry?.path());
        }
        bookies.sort();
        let output = Command::new("xz").args(["-d", "--stdout"]).arg(capture(name).join("znodes.txt.xz")).output()?;
        let znodes = String::from_utf8_lossy(&output.stdout).lines().filter_map(read_znode).collect();
        Ok(CapturedBookies { directory, bookies, znodes })
    });
    assert!(unpacked.is_ok(), "cannot unpack the bookies of {name}: {:?}", unpacked.as_ref().err());
    unpacked.unwrap_or_else(|_| unreachable!())
}

/// Path, version and data of a line.
fn read_znode(line: &str) -> Option<(String, (i32, Vec<u8>))> {
    let mut cells = line.split('\t');
    let (path, version, data) = (cells.next()?, cells.next()?, cells.next()?);
    Some((path.to_owned(), (version.parse().ok()?, BASE64_STANDARD.decode(data).ok()?)))
}

fn find_root(below: &Path) -> Option<PathBuf> {
    if below.join("_system/containers").is_dir() {
        return Some(below.to_path_buf());
    }
    let entries = std::fs::read_dir(below).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).find_map(|path| find_root(&path))
}

/// Every file below a directory with its content, by path relative to it.
///
/// # Panics
/// If something cannot be read.
pub fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        let entries: io::Result<Vec<_>> = std::fs::read_dir(&next).and_then(Iterator::collect);
        assert!(entries.is_ok(), "cannot read {}", next.display());
        for path in entries.unwrap_or_default().into_iter().map(|entry| entry.path()) {
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let bytes = std::fs::read(&path);
            assert!(bytes.is_ok(), "cannot read {}", path.display());
            let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().into_owned();
            files.insert(name, bytes.unwrap_or_default());
        }
    }
    files
}

//! Captured trees of `tests/data`, unpacked where a test can work on them.

use std::path::{Path, PathBuf};
use std::process::Command;

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
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name).join("tier2.tar.xz");
    let unpacked = tempfile::tempdir().and_then(|directory| {
        let into = directory.path().join("unpacked");
        std::fs::create_dir(&into)?;
        let status = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(&into).status()?;
        let root = find_root(&into).filter(|_| status.success());
        root.map(|root| CapturedTree { directory, root })
            .ok_or_else(|| std::io::Error::other("tar failed or no tree in it"))
    });
    assert!(unpacked.is_ok(), "cannot unpack {}: {:?}", archive.display(), unpacked.as_ref().err());
    unpacked.unwrap_or_else(|_| unreachable!())
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
pub fn content(directory: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(&next).and_then(Iterator::collect);
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

//! Stamps of files: what a local file system changes with every change of a file.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FsWord, StatxFlags, StatxTimestamp, fstatfs, makedev, statx};

use crate::tier2::Stamp;

/// File systems that belong to one machine and move the time of change with every write: ext2 to ext4, XFS, Btrfs, F2FS,
/// ZFS, tmpfs (`linux/magic.h`). On a network file system another machine writes, and what the own one knows of it is old.
const LOCAL: [FsWord; 6] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x2FC1_2FC1, 0x0102_1994];

/// Older than this a change must be when a file is read. The clock of a file system goes in steps, up to two seconds where
/// times are stored coarsely: a write right behind the reading could leave the same time.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Makes stamps for the files of one file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamps {
    device: u64,
}

impl Stamps {
    /// None if the file system of this directory is not known to keep the times that are needed.
    pub(super) fn of(root_directory: &File) -> Option<Self> {
        let is_local = LOCAL.contains(&fstatfs(root_directory).ok()?.f_type);
        let device = root_directory.metadata().ok()?.dev();
        is_local.then_some(Self { device })
    }

    /// The stamp of a file that is about to be read; none for one on another file system, or that changed just now.
    pub(super) fn before_reading(self, file: &Metadata) -> Option<Stamp> {
        self.at(file, SystemTime::now())
    }

    fn at(self, file: &Metadata, now: SystemTime) -> Option<Stamp> {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(file.ctime()).ok()?);
        let is_settled = now.duration_since(changed).is_ok_and(|age| age > SETTLED_AFTER);
        let state = State {
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        };
        (is_settled && file.dev() == self.device).then(|| state.stamp())
    }

    /// The stamp of the file at a path as it is now.
    pub(super) fn now(self, root_directory: &File, path: &str) -> Option<Stamp> {
        let file = statx(root_directory, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).ok()?;
        let time = |time: StatxTimestamp| (time.tv_sec, i64::from(time.tv_nsec));
        let state = State {
            inode: file.stx_ino,
            size: file.stx_size,
            modified: time(file.stx_mtime),
            changed: time(file.stx_ctime),
        };
        let device = makedev(file.stx_dev_major, file.stx_dev_minor);
        (device == self.device).then(|| state.stamp())
    }
}

/// What is known of a file without reading it. Nobody can set the time of change.
#[derive(Hash)]
struct State {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn stamp(&self) -> Stamp {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        Stamp::new(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_stamp_changes_with_the_file_and_with_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let root = File::open(directory.path()).unwrap();
        // A machine may build on any file system; that others get no stamps is not what is tested here.
        let stamps = Stamps { device: root.metadata().unwrap().dev() };
        let (path, later) = (directory.path().join("a"), SystemTime::now() + Duration::from_secs(10));
        fs::write(&path, b"12345").unwrap();
        let metadata = || fs::metadata(&path).unwrap();
        let modified = metadata().modified().unwrap();
        let before = stamps.at(&metadata(), later).unwrap();
        fs::read(&path).unwrap();
        assert_eq!(stamps.now(&root, "a"), Some(before));
        assert_eq!(stamps.now(&root, "b"), None);

        // The same size, and the time of the content put back, as some tools for copying do.
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&path, b"12346").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let rewritten = stamps.now(&root, "a").unwrap();
        assert_ne!(rewritten, before);

        fs::write(directory.path().join("other"), b"12346").unwrap();
        fs::rename(directory.path().join("other"), &path).unwrap();
        assert!(![before, rewritten].contains(&stamps.now(&root, "a").unwrap()));
    }

    #[test]
    fn what_changed_just_now_or_lies_elsewhere_has_none() {
        let directory = tempfile::tempdir().unwrap();
        let root = File::open(directory.path()).unwrap();
        let stamps = Stamps { device: root.metadata().unwrap().dev() };
        let path = directory.path().join("a");
        fs::write(&path, b"1").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let now = SystemTime::now();
        assert_eq!(stamps.at(&metadata, now), None);
        assert!(stamps.at(&metadata, now + Duration::from_secs(5)).is_some());
        // A clock that was put back.
        assert_eq!(stamps.at(&metadata, now - Duration::from_secs(1000)), None);
        let elsewhere = Stamps { device: stamps.device + 1 };
        assert_eq!(elsewhere.at(&metadata, now + Duration::from_secs(5)), None);
        assert_eq!(elsewhere.now(&root, "a"), None);
    }
}

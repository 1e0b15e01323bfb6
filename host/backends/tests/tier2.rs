//! What every Tier-2 must do, and what only the file system can get wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use dr_backends::tier2::{
    Fault, FaultyTier2, FileSystemTier2, MAXIMUM_DEPTH, MemoryTier2, TEMPORARY_PREFIX, Tier2, Tier2Call, Tier2Error,
};
use tempfile::TempDir;

fn listed(store: &dyn Tier2, prefix: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    store
        .list(prefix, &mut |object| {
            found.push((object.key, object.size));
            Ok(())
        })
        .unwrap();
    found.sort();
    found
}

fn file_system() -> (TempDir, FileSystemTier2) {
    let directory = tempfile::tempdir().unwrap();
    let store = FileSystemTier2::open(directory.path()).unwrap();
    (directory, store)
}

fn obeys_the_contract(store: &dyn Tier2) {
    store.create("_system/containers/a.E-1-O-0.x", b"0123456789").unwrap();
    store.create("_system/containers/ab", b"").unwrap();
    store.create("top", b"t").unwrap();
    let all = [("_system/containers/a.E-1-O-0.x", 10), ("_system/containers/ab", 0), ("top", 1)];
    let all: Vec<(String, u64)> = all.map(|(key, size)| (key.to_owned(), size)).to_vec();
    assert_eq!(listed(store, ""), all);
    assert_eq!(listed(store, "_sys"), all[..2]);
    assert_eq!(listed(store, "_system/containers/a"), all[..2]);
    assert_eq!(listed(store, "_system/containers/a."), all[..1]);
    assert_eq!(listed(store, "_system/containers/"), all[..2]);
    assert_eq!(listed(store, "nothing/here"), []);
    assert_eq!(store.size("top").unwrap(), Some(1));
    assert_eq!(store.size("_system").unwrap(), None);
    assert_eq!(store.size("absent/key").unwrap(), None);

    let mut buffer = [0; 4];
    assert_eq!(store.read_at("_system/containers/a.E-1-O-0.x", 3, &mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"3456");
    assert_eq!(store.read_at("_system/containers/a.E-1-O-0.x", 8, &mut buffer).unwrap(), 2);
    assert_eq!(store.read_at("top", u64::MAX, &mut buffer).unwrap(), 0);
    assert!(matches!(store.read_at("absent", 0, &mut buffer), Err(Tier2Error::NotFound { .. })));

    assert!(matches!(store.create("top", b"other"), Err(Tier2Error::Exists { .. })));
    assert!(matches!(store.relocate("top", "_system/containers/ab"), Err(Tier2Error::Exists { .. })));
    store.relocate("top", "_dr/moved/1/top").unwrap();
    assert!(matches!(store.relocate("top", "_dr/moved/1/top"), Err(Tier2Error::NotFound { .. })));
    assert_eq!(listed(store, "_dr/"), [("_dr/moved/1/top".to_owned(), 1)]);
    store.delete("_dr/moved/1/top").unwrap();
    store.delete("_dr/moved/1/top").unwrap();
    assert_eq!(listed(store, "_dr/"), []);

    for key in ["", "/absolute", "a//b", "a/", "../out", "a/../../out", "a/./b", "a\0b"] {
        assert!(matches!(store.size(key), Err(Tier2Error::Key { .. })), "{key}");
        assert!(matches!(store.create(key, b""), Err(Tier2Error::Key { .. })), "{key}");
        assert!(matches!(store.relocate("_system/containers/ab", key), Err(Tier2Error::Key { .. })), "{key}");
        assert!(matches!(store.delete(key), Err(Tier2Error::Key { .. })), "{key}");
    }
    assert!(store.list("../", &mut |_| Ok(())).is_err());
    let stopped =
        store.list("", &mut |object| Err(Tier2Error::NotFound { location: "here".to_owned(), key: object.key }));
    assert!(matches!(stopped, Err(Tier2Error::NotFound { .. })));
}

#[test]
fn memory_obeys_the_contract() {
    obeys_the_contract(&MemoryTier2::new());
}

#[test]
fn file_system_obeys_the_contract() {
    let (_directory, store) = file_system();
    obeys_the_contract(&store);
}

#[test]
fn creating_leaves_no_temporary_object() {
    let (directory, store) = file_system();
    store.create("a/b", b"x").unwrap();
    store.create("a/b", b"y").unwrap_err();
    let left = fs::read_dir(directory.path().join(TEMPORARY_PREFIX)).unwrap().count();
    assert_eq!(left, 0);
    assert_eq!(fs::read(directory.path().join("a/b")).unwrap(), b"x");
}

#[test]
fn leftovers_of_a_crash_are_not_listed() {
    let (directory, store) = file_system();
    fs::create_dir_all(directory.path().join(TEMPORARY_PREFIX)).unwrap();
    fs::write(directory.path().join(TEMPORARY_PREFIX).join("1-0"), b"half").unwrap();
    assert_eq!(listed(&store, ""), []);
    // The name that this process would take first is not in its way either.
    for number in 0..64 {
        let name = format!("{}-{number}", std::process::id());
        let _ = fs::write(directory.path().join(TEMPORARY_PREFIX).join(name), b"half");
    }
    store.create("a", b"whole").unwrap();
    assert_eq!(listed(&store, ""), [("a".to_owned(), 5)]);
}

#[test]
fn a_relocation_cut_between_link_and_unlink_is_completed() {
    let (directory, store) = file_system();
    store.create("a/from", b"x").unwrap();
    fs::hard_link(directory.path().join("a/from"), directory.path().join("to")).unwrap();
    store.relocate("a/from", "to").unwrap();
    assert_eq!(listed(&store, ""), [("to".to_owned(), 1)]);
    assert!(directory.path().join("a").is_dir(), "empty directories are left alone");
}

#[test]
fn a_root_must_be_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let message = FileSystemTier2::open(&missing).unwrap_err().to_string();
    assert!(message.contains(missing.to_str().unwrap()), "{message}");
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let message = FileSystemTier2::open(&file).unwrap_err().to_string();
    assert!(message.contains("file`") && message.contains("not a directory"), "{message}");
}

#[test]
fn links_are_refused_and_named() {
    let (directory, store) = file_system();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"s").unwrap();
    symlink(outside.path(), directory.path().join("escape")).unwrap();
    symlink(outside.path().join("secret"), directory.path().join("object")).unwrap();
    for key in ["escape/secret", "object"] {
        let message = store.read_at(key, 0, &mut [0; 1]).unwrap_err().to_string();
        assert!(message.contains("symbolic link"), "{message}");
        assert!(store.size(key).is_err() && store.delete(key).is_err(), "{key}");
    }
    assert!(store.create("escape/new", b"").is_err());
    let message = store.list("", &mut |_| Ok(())).unwrap_err().to_string();
    assert!(message.contains("symbolic link"), "{message}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    let (directory, store) = file_system();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    let message = store.read_at("pipe", 0, &mut [0; 1]).unwrap_err().to_string();
    assert!(message.contains("neither a file nor a directory"), "{message}");
    let message = store.read_at("directory", 0, &mut [0; 1]).unwrap_err().to_string();
    assert!(message.contains("there is no object"), "{message}");
}

#[test]
fn names_that_are_not_text_are_errors() {
    use std::os::unix::ffi::OsStrExt;
    let (directory, store) = file_system();
    fs::write(directory.path().join(std::ffi::OsStr::from_bytes(b"a\xff")), b"").unwrap();
    assert!(store.list("", &mut |_| Ok(())).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn unreadable_directories_are_errors() {
    let (directory, store) = file_system();
    store.create("closed/a", b"x").unwrap();
    let closed = directory.path().join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // A superuser reads it all the same; then there is nothing to see here.
    if fs::read_dir(&closed).is_err() {
        assert!(store.list("", &mut |_| Ok(())).unwrap_err().to_string().contains("closed"));
        assert!(store.size("closed/a").unwrap_err().to_string().contains("closed/a"));
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn listing_stops_at_a_depth() {
    let (directory, store) = file_system();
    let deep = vec!["d"; MAXIMUM_DEPTH + 1].join("/");
    fs::create_dir_all(directory.path().join(deep)).unwrap();
    assert!(store.list("", &mut |_| Ok(())).unwrap_err().to_string().contains("deeper"));
}

#[test]
fn one_of_many_threads_creates_or_moves() {
    let (_directory, store) = file_system();
    let store = Arc::new(store);
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                let created = store.create("shared/deep/key", format!("{thread}").as_bytes()).is_ok();
                store.create(&format!("own/{thread}"), b"x").unwrap();
                let moved = store.relocate(&format!("own/{thread}"), "shared/moved").is_ok();
                (created, moved)
            })
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(results.iter().filter(|(created, _)| *created).count(), 1);
    assert_eq!(results.iter().filter(|(_, moved)| *moved).count(), 1);
    assert_eq!(listed(store.as_ref(), "own/").len(), 7);
}

#[test]
fn faults_strike_where_they_are_told() {
    let store = FaultyTier2::new(MemoryTier2::new());
    store.inject(Fault::of_call(Tier2Call::Create, 2));
    store.inject(Fault::of_key("bad"));
    store.create("a", b"").unwrap();
    store.create("b", b"").unwrap_err();
    store.create("b", b"").unwrap();
    assert!(store.size("bad").is_err() && store.create("bad", b"").is_err());
    store.heal();
    assert_eq!(store.size("bad").unwrap(), None);
    assert_eq!(listed(store.inner(), "").len(), 2);
}

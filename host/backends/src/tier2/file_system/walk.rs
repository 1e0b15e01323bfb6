//! Lists the files below a directory on several threads.
//!
//! What a listing waits for is the size of each file: on a disk that has not read them yet, and on a network, one look after
//! the other is many times slower than several at once.

use std::fs::{DirEntry, ReadDir};
use std::os::unix::fs::DirEntryExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{FileSystemTier2, MAXIMUM_DEPTH, TEMPORARY_PREFIX};
use crate::tier2::{ObjectInfo, Tier2Error};

/// Threads of one listing. They wait more than they compute.
const THREADS: usize = 8;

/// Entries of a directory that are looked at in one piece, and about as many objects as a thread hands over at once.
const PIECE_ENTRIES: usize = 1024;

/// Most directories that a thread takes at once. They may all be open, and most are small: a lock and a message for each would
/// cost more than reading them.
const TAKEN_DIRECTORIES: usize = 16;

type Result<T> = std::result::Result<T, Tier2Error>;

/// A directory that was not yet read to its end.
pub(super) struct Directory {
    /// Its key with a slash at the end; empty for the root.
    key: String,
    /// Directories on the way to it.
    depth: usize,
    /// What is left of it; none if it was not opened yet.
    entries: Option<ReadDir>,
}

impl Directory {
    /// Where a listing begins.
    pub(super) fn first(key: String) -> Self {
        Self { key, depth: 1, entries: None }
    }
}

/// A piece of a listing.
type Piece = Result<Vec<ObjectInfo>>;

/// Calls `visit` for every file below `first` whose name there begins with `name_prefix`; further down all names count.
pub(super) fn walk(
    store: &FileSystemTier2,
    first: Directory,
    name_prefix: &str,
    visit: &mut dyn FnMut(ObjectInfo) -> Result<()>,
) -> Result<()> {
    let walk = Walk { store, name_prefix };
    let mut pending = vec![first];
    // A single small directory is not worth a thread.
    if let Some(directory) = pending.pop() {
        walk.step(directory, &mut pending)?.into_iter().try_for_each(&mut *visit)?;
    }
    if pending.is_empty() {
        return Ok(());
    }
    let queue = Queue { state: Mutex::new(State { pending, busy: 0, waiting: 0 }), changed: Condvar::new() };
    let (sender, pieces) = sync_channel(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (walk, queue, sender) = (&walk, &queue, sender.clone());
            scope.spawn(move || walk.work(queue, &sender));
        }
        drop(sender);
        visit_all(pieces, visit)
    })
}

/// An error drops the receiver, which ends the threads.
fn visit_all(pieces: Receiver<Piece>, visit: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
    pieces.into_iter().try_for_each(|piece| piece?.into_iter().try_for_each(&mut *visit))
}

struct Walk<'a> {
    store: &'a FileSystemTier2,
    name_prefix: &'a str,
}

impl Walk<'_> {
    fn work(&self, queue: &Queue, pieces: &SyncSender<Piece>) {
        let mut objects = Vec::new();
        while let Some(directories) = queue.take() {
            match self.steps(directories, &mut objects, pieces) {
                Some(pending) => queue.give_back(pending),
                None => return queue.stop(),
            }
        }
        // The last ones. Who does not want them any more need not be told.
        let _ = pieces.send(Ok(objects));
    }

    /// Reads a piece of each directory and returns what is left to do; none if the listing is over, because of an error or
    /// because nobody wants to know more.
    fn steps(
        &self,
        directories: Vec<Directory>,
        objects: &mut Vec<ObjectInfo>,
        pieces: &SyncSender<Piece>,
    ) -> Option<Vec<Directory>> {
        let mut pending = Vec::new();
        for directory in directories {
            match self.step(directory, &mut pending) {
                Ok(mut found) => objects.append(&mut found),
                Err(error) => {
                    // Nobody wants it if another thread met one before.
                    let _ = pieces.send(Err(error));
                    return None;
                }
            }
            if objects.len() >= PIECE_ENTRIES {
                pieces.send(Ok(std::mem::take(objects))).ok()?;
            }
        }
        Some(pending)
    }

    /// Reads a piece of a directory. What is left to do goes to `pending`, the rest of this directory before those found in
    /// it: taken from the end, few are open and few are waiting at any time.
    fn step(&self, mut directory: Directory, pending: &mut Vec<Directory>) -> Piece {
        let mut entries = match directory.entries.take() {
            Some(entries) => entries,
            None => self.store.open_listing(&directory.key)?,
        };
        let piece: Vec<_> = entries.by_ref().take(PIECE_ENTRIES).collect();
        let (mut found, mut files) = (Vec::new(), Vec::new());
        let is_rest = piece.len() == PIECE_ENTRIES;
        for entry in piece {
            let entry =
                entry.map_err(|error| self.store.failure("cannot list the directory", &directory.key, error))?;
            self.sort_out(&directory, entry, &mut found, &mut files)?;
        }
        if is_rest {
            pending.push(Directory { entries: Some(entries), ..directory });
        }
        pending.append(&mut found);
        self.sizes(files)
    }

    fn sort_out(
        &self,
        directory: &Directory,
        entry: DirEntry,
        found: &mut Vec<Directory>,
        files: &mut Vec<(String, DirEntry)>,
    ) -> Result<()> {
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else {
            let key = format!("{}{}", directory.key, file_name.to_string_lossy());
            return Err(self.store.key_error(&key, "its name is not UTF-8"));
        };
        // Only names in the first directory are cut by the prefix.
        if directory.depth == 1 && !name.starts_with(self.name_prefix) {
            return Ok(());
        }
        let key = [&directory.key, name].concat();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(self.deeper(directory, key + "/")?),
            Ok(kind) => {
                self.store.check_listed_file(&key, &entry, kind)?;
                files.push((key, entry));
            }
            Err(error) => self.store.pass_over_gone(error, &key)?,
        }
        Ok(())
    }

    fn deeper(&self, directory: &Directory, key: String) -> Result<Option<Directory>> {
        if key == TEMPORARY_PREFIX {
            return Ok(None);
        }
        if directory.depth == MAXIMUM_DEPTH {
            return Err(self.store.key_error(&key, &format!("it lies deeper than {MAXIMUM_DEPTH} directories")));
        }
        Ok(Some(Directory { key, depth: directory.depth + 1, entries: None }))
    }

    /// Looks at the files in the order in which the disk holds what is known of them.
    fn sizes(&self, mut files: Vec<(String, DirEntry)>) -> Piece {
        files.sort_unstable_by_key(|(_, entry)| entry.ino());
        let mut objects = Vec::with_capacity(files.len());
        for (key, entry) in files {
            match entry.metadata() {
                Ok(metadata) => objects.push(ObjectInfo { key, size: metadata.len() }),
                Err(error) => self.store.pass_over_gone(error, &key)?,
            }
        }
        Ok(objects)
    }
}

/// Directories that wait for a thread.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    pending: Vec<Directory>,
    /// Threads that may still find more.
    busy: usize,
    /// Threads that wait for directories.
    waiting: usize,
}

impl Queue {
    /// The next directories; none when all are read.
    fn take(&self) -> Option<Vec<Directory>> {
        let mut state = self.lock();
        loop {
            let count = state.pending.len();
            if count > 0 {
                state.busy += 1;
                // The last ones, and a fair share of them.
                return Some(state.pending.split_off(count - count.div_ceil(THREADS).min(TAKEN_DIRECTORIES)));
            }
            if state.busy == 0 {
                return None;
            }
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Ends what [`Queue::take`] began.
    fn give_back(&self, mut pending: Vec<Directory>) {
        let mut state = self.lock();
        state.pending.append(&mut pending);
        state.busy -= 1;
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Lets all threads end.
    fn stop(&self) {
        let mut state = self.lock();
        state.pending.clear();
        state.busy -= 1;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

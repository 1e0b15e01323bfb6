//! Sorting more entries than memory holds: pieces are sorted, set aside in unnamed files, and merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _};
use std::path::{Path, PathBuf};
use std::vec;

use super::EntrySummary;
use super::file::{EntryReader, EntryWriter};

/// Entries that one thread keeps in memory.
pub(super) const PIECE_ENTRIES: usize = 200_000;
/// Bytes of a file of a piece that are read at once; there may be hundreds of pieces.
const READ_BYTES: usize = 64 << 10;

/// Takes entries in any order.
#[derive(Debug)]
pub(super) struct Sorter {
    directory: PathBuf,
    piece_entries: usize,
    entries: Vec<EntrySummary>,
    pieces: Vec<File>,
}

impl Sorter {
    /// A sorter that sets aside into unnamed files of a directory.
    pub(super) fn new(directory: &Path, piece_entries: usize) -> Self {
        Self { directory: directory.to_path_buf(), piece_entries, entries: Vec::new(), pieces: Vec::new() }
    }

    pub(super) fn add(&mut self, entry: EntrySummary) -> io::Result<()> {
        self.entries.push(entry);
        if self.entries.len() >= self.piece_entries { self.set_aside() } else { Ok(()) }
    }

    fn set_aside(&mut self) -> io::Result<()> {
        self.entries.sort_unstable_by_key(EntrySummary::key);
        let mut writer = EntryWriter::new(BufWriter::new(tempfile::tempfile_in(&self.directory)?));
        for entry in self.entries.drain(..) {
            writer.write(&entry)?;
        }
        let mut file = writer.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.pieces.push(file);
        Ok(())
    }
}

/// One sorted piece.
#[derive(Debug)]
enum Piece {
    Memory(vec::IntoIter<EntrySummary>),
    File(EntryReader<BufReader<File>>),
}

impl Piece {
    fn next(&mut self) -> io::Result<Option<EntrySummary>> {
        match self {
            Self::Memory(entries) => Ok(entries.next()),
            Self::File(reader) => reader.read(),
        }
    }
}

/// The entries of several sorters in their order; copies of the same content have become one.
#[derive(Debug)]
pub(super) struct Sorted {
    pieces: Vec<Piece>,
    heap: BinaryHeap<Reverse<Head>>,
    /// Contents of one entry, of which the last is the newest.
    group: Vec<EntrySummary>,
}

/// The next entry of a piece.
#[derive(Debug)]
struct Head {
    entry: EntrySummary,
    piece: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.entry.key(), self.piece).cmp(&(other.entry.key(), other.piece))
    }
}

impl Sorted {
    pub(super) fn new(sorters: Vec<Sorter>) -> io::Result<Self> {
        let mut sorted = Self { pieces: Vec::new(), heap: BinaryHeap::new(), group: Vec::new() };
        for mut sorter in sorters {
            sorter.entries.sort_unstable_by_key(EntrySummary::key);
            sorted.pieces.push(Piece::Memory(sorter.entries.into_iter()));
            let read = |file| Piece::File(EntryReader::new(BufReader::with_capacity(READ_BYTES, file)));
            sorted.pieces.extend(sorter.pieces.into_iter().map(read));
        }
        for piece in 0..sorted.pieces.len() {
            sorted.refill(piece)?;
        }
        Ok(sorted)
    }

    fn refill(&mut self, piece: usize) -> io::Result<()> {
        if let Some(entry) = self.pieces.get_mut(piece).map(Piece::next).transpose()?.flatten() {
            self.heap.push(Reverse(Head { entry, piece }));
        }
        Ok(())
    }

    /// All contents of the next entry, the newest last; empty behind the last entry.
    pub(super) fn next_group(&mut self) -> io::Result<std::vec::Drain<'_, EntrySummary>> {
        self.group.clear();
        while let Some(Reverse(head)) = self.heap.peek() {
            let ids = (head.entry.ledger_id, head.entry.entry_id);
            if self.group.first().is_some_and(|first| (first.ledger_id, first.entry_id) != ids) {
                break;
            }
            let Some(Reverse(Head { entry, piece })) = self.heap.pop() else { break };
            self.refill(piece)?;
            self.add_copy(entry);
        }
        Ok(self.group.drain(..))
    }

    /// Adds a copy, which is newer than those before it.
    fn add_copy(&mut self, mut entry: EntrySummary) {
        if let Some(index) = self.group.iter().position(|known| known.same_content(&entry)) {
            let known = self.group.remove(index);
            entry.copies = entry.copies.saturating_add(known.copies);
            entry.last_add_confirmed = entry.last_add_confirmed.max(known.last_add_confirmed);
        }
        self.group.push(entry);
    }
}

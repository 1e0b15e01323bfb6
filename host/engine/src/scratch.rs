//! A file for what is made in parallel, is needed only at the end, and is too much for the memory until then.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file to which threads append blocks.
#[derive(Debug)]
pub struct Scratch {
    file: File,
    end: AtomicU64,
}

/// Where a block is in the file, in bytes.
pub type Place = Range<u64>;

impl Scratch {
    /// Appends to `file`, which must be empty and nobody else's.
    pub fn new(file: File) -> Self {
        Self { file, end: AtomicU64::new(0) }
    }

    /// Appends a block.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&self, bytes: &[u8]) -> io::Result<Place> {
        let length = bytes.len() as u64;
        let start = self.end.fetch_add(length, Ordering::Relaxed);
        self.file.write_all_at(bytes, start)?;
        Ok(start..start + length)
    }

    /// Reads a block back.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(place.end - place.start).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, place.start)?;
        Ok(bytes)
    }
}

//! A file read once from its beginning to its end, of which a piece is in memory.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use rustix::fs::{Advice, fadvise};

/// Bytes asked of the system at once; fewer of a file that is shorter.
const BLOCK_BYTES: usize = 1 << 20;

/// A file and a piece of it. The piece grows up to the longest thing that must be seen at once.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Position in the file of the byte at `start`.
    offset: u64,
    block_bytes: usize,
    file_ended: bool,
}

impl Window {
    /// A window on a file of about `length` bytes.
    pub(super) fn new(file: File, length: u64, buffer: Vec<u8>) -> Self {
        // Advice only.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        let block_bytes = usize::try_from(length).map_or(BLOCK_BYTES, |length| length.clamp(1, BLOCK_BYTES));
        Self { file, buffer, start: 0, end: 0, offset: 0, block_bytes, file_ended: false }
    }

    /// The buffer, for the next file.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Position in the file of the first of [`Window::bytes`].
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The piece in memory.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads on until `needed` bytes are there; false if the file has not as many.
    pub(super) fn fill(&mut self, needed: usize) -> io::Result<bool> {
        while self.end - self.start < needed {
            if self.file_ended {
                return Ok(false);
            }
            self.make_room(needed);
            let Some(room) = self.buffer.get_mut(self.end..) else { return Ok(false) };
            match self.file.read(room) {
                Ok(0) => self.file_ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Moves what is left to the beginning, so that at least a block fits behind it.
    fn make_room(&mut self, needed: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let length = needed.max(self.end) + self.block_bytes;
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
    }

    /// Passes over `length` bytes, which need not be in memory; false if the file ends before.
    pub(super) fn advance(&mut self, length: u64) -> io::Result<bool> {
        let in_memory = (self.end - self.start) as u64;
        self.offset = self.offset.saturating_add(length);
        if length <= in_memory {
            self.start += length as usize;
            return Ok(true);
        }
        let file_length = self.file.metadata()?.len();
        let reached = self.offset <= file_length;
        self.offset = self.offset.min(file_length);
        self.file.seek(SeekFrom::Start(self.offset))?;
        (self.start, self.end, self.file_ended) = (0, 0, false);
        Ok(reached)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_window_moves_over_a_file() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..5 * BLOCK_BYTES).map(|position| (position / 1000) as u8).collect();
        file.write_all(&content).unwrap();
        file.rewind().unwrap();
        let mut window = Window::new(file, content.len() as u64, Vec::new());
        for (advance, needed) in [(0, 10), (3, 3 * BLOCK_BYTES), (BLOCK_BYTES, 100), (2 * BLOCK_BYTES + 5, 700)] {
            assert!(window.advance(advance as u64).unwrap());
            assert!(window.fill(needed).unwrap());
            let offset = window.offset() as usize;
            assert_eq!(window.bytes()[..needed], content[offset..offset + needed]);
        }
        assert!(!window.fill(3 * BLOCK_BYTES).unwrap());
        let left = content.len() as u64 - window.offset();
        assert_eq!(window.bytes().len() as u64, left);
        assert!(window.advance(left).unwrap());
        assert!(!window.fill(1).unwrap());
        assert!(!window.advance(1).unwrap());
        assert_eq!(window.offset(), content.len() as u64);
    }
}

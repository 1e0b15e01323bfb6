//! Cutting records into frames.

use super::{FIRST_PART, FRAME_HEADER_BYTES, FRAME_VERSION, LAST_PART, PART_HEADER_BYTES};

/// Largest frame that the store writes: 1 MiB - 1 KiB (`BookKeeperConfig.MAX_APPEND_LENGTH`).
pub const FRAME_MAX_BYTES: usize = (1 << 20) - (1 << 10);
/// Smallest limit with which a record can make progress.
const FRAME_MIN_LIMIT: usize = FRAME_HEADER_BYTES + PART_HEADER_BYTES + 1;

/// Packs records into frames; each complete frame goes to the sink of the call that completed it.
///
/// The writer holds one frame, whatever the size of the records. An error of the sink is returned as it is; the
/// writer must not be used after it, for the frame that the sink refused is lost.
#[derive(Debug)]
pub struct FrameWriter {
    frame: Vec<u8>,
    limit: usize,
    frames: u64,
    bytes: u64,
}

impl Default for FrameWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameWriter {
    /// A writer of frames of at most [`FRAME_MAX_BYTES`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(FRAME_MAX_BYTES)
    }

    /// A writer of smaller frames: at most `limit` bytes, but at least 12 and at most [`FRAME_MAX_BYTES`].
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        let limit = limit.clamp(FRAME_MIN_LIMIT, FRAME_MAX_BYTES);
        Self { frame: Vec::with_capacity(limit), limit, frames: 0, bytes: 0 }
    }

    /// Adds a record, which must not be empty (an empty one is ignored). It shares frames with its neighbours and is
    /// cut where a frame ends.
    ///
    /// # Errors
    /// What `sink` returns.
    pub fn record<E>(&mut self, record: &[u8], sink: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut flags = FIRST_PART;
        let mut rest = record;
        while !rest.is_empty() {
            if self.room() == 0 {
                self.flush(sink)?;
            }
            let (part, after) = rest.split_at(self.room().min(rest.len()));
            if after.is_empty() {
                flags |= LAST_PART;
            }
            self.part(part, flags);
            rest = after;
            flags = 0;
        }
        Ok(())
    }

    /// Adds a record that shares no frame with others, as the checkpoint at the start of a log should be.
    ///
    /// # Errors
    /// What `sink` returns.
    pub fn record_alone<E>(&mut self, record: &[u8], sink: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.flush(sink)?;
        self.record(record, sink)?;
        self.flush(sink)
    }

    /// Completes the frame; an empty one is not written. To be called at the end.
    ///
    /// # Errors
    /// What `sink` returns.
    pub fn flush<E>(&mut self, sink: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.frame.is_empty() {
            return Ok(());
        }
        // The limit keeps it far below 2^31.
        let content_length = (self.frame.len() - FRAME_HEADER_BYTES) as u32;
        if let Some(place) = self.frame.get_mut(1..FRAME_HEADER_BYTES - 1) {
            place.copy_from_slice(&content_length.to_be_bytes());
        }
        sink(&self.frame)?;
        self.frames += 1;
        self.bytes += self.frame.len() as u64;
        self.frame.clear();
        Ok(())
    }

    /// Number of frames that went to the sink.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes of those frames.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of a record for which the frame has room; a part of no bytes is never begun.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.frame.len().max(FRAME_HEADER_BYTES) + PART_HEADER_BYTES)
    }

    fn part(&mut self, part: &[u8], flags: u8) {
        if self.frame.is_empty() {
            // The length is filled in when the frame is complete.
            self.frame.extend_from_slice(&[FRAME_VERSION, 0, 0, 0, 0, 0]);
        }
        self.frame.extend_from_slice(&(part.len() as u32).to_be_bytes());
        self.frame.push(flags);
        self.frame.extend_from_slice(part);
    }
}

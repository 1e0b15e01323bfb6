//! Putting records together again.

use std::mem;

use super::{FIRST_PART, FRAME_VERSION, LAST_PART, PART_HEADER_BYTES};
use crate::error::DecodeError;
use crate::log_metadata::FrameAddress;
use crate::primitives::Reader;

/// Largest record that a [`FrameReader`] puts together unless told otherwise: 256 MiB. The store has no limit;
/// what it writes stays far below.
pub const RECORD_MAX_BYTES: usize = 256 << 20;

const WHAT: &str = "data frame";

/// One whole record of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'r> {
    /// The serialised operation.
    pub bytes: &'r [u8],
    /// Where its parts are, in order; at least one.
    pub parts: &'r [RecordPart],
    /// True if nothing follows in its last frame: a log may be truncated behind it.
    pub ends_frame: bool,
}

/// A part of a record in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPart {
    /// The frame.
    pub frame: FrameAddress,
    /// Position of the bytes in the frame.
    pub offset: u32,
    /// Number of bytes.
    pub length: u32,
}

/// Takes the frames of a log in order and hands out whole records.
///
/// Rules of the store: a record that was begun and not ended before another one begins is a torn write and dropped,
/// as is one at the end of the log ([`FrameReader::has_partial_record`]); a part that does not begin a record is
/// skipped before the first whole record (its beginning was truncated away) and corruption later; an empty frame, a
/// frame whose address is not above the last one, and a frame of another version are corruption.
#[derive(Debug)]
pub struct FrameReader {
    record: Vec<u8>,
    parts: Vec<RecordPart>,
    limit: usize,
    last_address: Option<FrameAddress>,
    read_any: bool,
    dropped: u64,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// A reader of records of at most [`RECORD_MAX_BYTES`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(RECORD_MAX_BYTES)
    }

    /// A reader of records of at most `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self { record: Vec::new(), parts: Vec::new(), limit, last_address: None, read_any: false, dropped: 0 }
    }

    /// Takes the next frame and calls `visit` for every record that it completes.
    ///
    /// # Errors
    /// A [`DecodeError`], as the error type of `visit`, if the frame breaks the rules or a record is larger than the
    /// limit; offsets count from the start of the frame. Else what `visit` returns. The reader must not be used after
    /// an error.
    pub fn frame<E: From<DecodeError>>(
        &mut self,
        address: FrameAddress,
        frame: &[u8],
        mut visit: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut content = self.open(address, frame)?;
        while !content.is_empty() {
            let position = content.position();
            let (part, flags) = read_part(&mut content)?;
            if !self.begin_or_continue(&content, position, flags)? {
                continue;
            }
            let offset = (content.position() - part.len()) as u32;
            self.parts.push(RecordPart { frame: address, offset, length: part.len() as u32 });
            let whole = flags & LAST_PART != 0;
            if whole && self.record.is_empty() {
                visit(Record { bytes: part, parts: &self.parts, ends_frame: content.is_empty() })?;
            } else {
                self.extend(&content, position, part)?;
                if whole {
                    visit(Record { bytes: &self.record, parts: &self.parts, ends_frame: content.is_empty() })?;
                }
            }
            if whole {
                self.reset();
                self.read_any = true;
            }
        }
        Ok(())
    }

    /// True if a record was begun and not yet ended; at the end of the log it is a torn write.
    #[must_use]
    pub fn has_partial_record(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Number of torn records and of parts without a beginning that were dropped so far.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Checks the header and the address of a frame.
    fn open<'f>(&mut self, address: FrameAddress, frame: &'f [u8]) -> Result<Reader<'f>, DecodeError> {
        if self.last_address.is_some_and(|last| address <= last) {
            let reader = Reader::new(WHAT, frame);
            return Err(reader.error(format!("a frame address above the last one, found {address:?}")));
        }
        self.last_address = Some(address);
        frame_content(frame)
    }

    /// Decides by the flags of a part whether it belongs to a record; false if it is to be skipped.
    fn begin_or_continue(&mut self, content: &Reader<'_>, position: usize, flags: u8) -> Result<bool, DecodeError> {
        if flags & FIRST_PART != 0 {
            if self.has_partial_record() {
                self.reset();
                self.dropped += 1;
            }
            return Ok(true);
        }
        if self.has_partial_record() {
            return Ok(true);
        }
        if self.read_any {
            return Err(content.error_at(position, "the first part of a record"));
        }
        self.dropped += 1;
        Ok(false)
    }

    fn extend(&mut self, content: &Reader<'_>, position: usize, part: &[u8]) -> Result<(), DecodeError> {
        if part.len() > self.limit.saturating_sub(self.record.len()) {
            return Err(content.error_at(position, format!("a record of at most {} bytes", self.limit)));
        }
        self.record.extend_from_slice(part);
        Ok(())
    }

    fn reset(&mut self) {
        self.parts.clear();
        if self.record.capacity() > super::FRAME_MAX_BYTES {
            // One huge record must not hold its memory until the end of the log.
            mem::take(&mut self.record);
        } else {
            self.record.clear();
        }
    }
}

/// Checks the header of a frame; the reader is at the first part.
pub(super) fn frame_content(frame: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(WHAT, frame);
    if reader.u8()? != FRAME_VERSION {
        return Err(reader.error_at(0, "frame version 0"));
    }
    let length = reader.i32()?;
    reader.u8()?;
    if usize::try_from(length).ok() != Some(reader.remaining()) || length == 0 {
        let expected = format!("the content length, {} and not 0, found {length}", reader.remaining());
        return Err(reader.error_at(1, expected));
    }
    Ok(reader)
}

/// Bytes and flags of the next part.
pub(super) fn read_part<'f>(content: &mut Reader<'f>) -> Result<(&'f [u8], u8), DecodeError> {
    let position = content.position();
    let length = content.i32()?;
    let flags = content.u8()?;
    match usize::try_from(length).ok().filter(|length| *length <= content.remaining()) {
        Some(length) => content.bytes(length).map(|part| (part, flags)),
        None => {
            let room = content.remaining();
            let expected = format!("a part of at most {room} bytes after its {PART_HEADER_BYTES}, found {length}");
            Err(content.error_at(position, expected))
        }
    }
}

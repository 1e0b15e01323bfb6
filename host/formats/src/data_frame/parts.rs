//! The parts of one frame, for those who have single frames and not a whole log.

use super::reader::{frame_content, read_part};
use super::{FIRST_PART, LAST_PART};
use crate::error::DecodeError;
use crate::primitives::Reader;

/// A part of a record in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePart<'f> {
    /// It is the first one of its record.
    pub begins_record: bool,
    /// It is the last one of its record.
    pub ends_record: bool,
    /// Its bytes.
    pub bytes: &'f [u8],
}

/// The parts of a frame in their order.
#[derive(Debug, Clone)]
pub struct FrameParts<'f> {
    content: Reader<'f>,
}

impl<'f> FrameParts<'f> {
    /// Opens a frame: the payload of one entry.
    ///
    /// # Errors
    /// If it does not begin as a frame does, or says another length than it has.
    pub fn new(frame: &'f [u8]) -> Result<Self, DecodeError> {
        Ok(Self { content: frame_content(frame)? })
    }
}

impl<'f> Iterator for FrameParts<'f> {
    type Item = Result<FramePart<'f>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.content.is_empty() {
            return None;
        }
        let part = read_part(&mut self.content).map(|(bytes, flags)| FramePart {
            begins_record: flags & FIRST_PART != 0,
            ends_record: flags & LAST_PART != 0,
            bytes,
        });
        if part.is_err() {
            // What follows cannot be told apart.
            self.content = Reader::new("data frame", &[]);
        }
        Some(part)
    }
}

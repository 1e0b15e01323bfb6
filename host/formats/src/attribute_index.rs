//! Attribute index segments, `<segment>$attributes.index`: an append-only B+tree from attribute ids to numbers.
//!
//! Every update appends the changed pages up to the root, optionally a statistics record, and a footer:
//! ```text
//! page        00 | flags u8 (1: index page) | id i32 | count i32 | count * entry | id i32
//! leaf entry  key | value i64
//! index entry key | child offset i64 | child length i16 | smallest page offset in the child's subtree i64
//! footer      root offset i64 | root length i32
//! ```
//! Offsets are those of the segment. Keys are sorted as unsigned bytes. A segment can only be read if its length ends on a
//! footer; after a loss of Tier-1, [`find_last_footer`] finds the last place to cut it. Sources: `BTreeIndex`, `BTreePage`,
//! `Statistics`, `SegmentAttributeBTreeIndex` of Pravega 0.13.0.

mod build;
mod examine;
mod page;
mod search;
mod walk;

use std::borrow::Cow;
use std::ops::Range;

pub use build::{IndexBuilder, build_index};
pub use examine::{ExaminedPage, examine_pages};
pub use search::{Footer, Statistics, find_last_footer, infer_key_length, read_footer};
pub use walk::{IndexSummary, read_all, visit_all};

use crate::attribute::{ATTRIBUTE_ID_MAX_BYTES, AttributeId};
use crate::error::DecodeError;
use crate::primitives::Uuid;

/// Bytes of the footer.
pub const FOOTER_LENGTH: usize = 12;
/// Longest page in bytes.
pub const MAX_PAGE_LENGTH: usize = i16::MAX as usize;
/// Levels of pages that a reader follows. With full pages of the longest keys, 5 levels hold 10^10 keys.
pub const MAX_DEPTH: u32 = 16;
/// Places that look like a footer without being one, after which [`find_last_footer`] gives up. Real segments have next to
/// none; the limit keeps hostile ones from taking for ever.
pub const MAX_FALSE_FOOTERS: u32 = 4096;

/// Random access to the bytes of a segment, for instance over the chunks that hold them.
pub trait SegmentBytes {
    /// Why bytes cannot be read.
    type Error;

    /// Reads `length` bytes at the segment offset `offset`. Readers in this module ask for at most 64 KiB, and only within
    /// the range that their caller said to be available.
    ///
    /// # Errors
    /// If fewer bytes can be read.
    fn read(&self, offset: u64, length: usize) -> Result<Cow<'_, [u8]>, Self::Error>;
}

impl<Segment: SegmentBytes + ?Sized> SegmentBytes for &Segment {
    type Error = Segment::Error;

    fn read(&self, offset: u64, length: usize) -> Result<Cow<'_, [u8]>, Self::Error> {
        (**self).read(offset, length)
    }
}

/// A part of a segment that is in memory.
#[derive(Clone, Copy, Debug)]
pub struct SegmentSlice<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl<'a> SegmentSlice<'a> {
    /// The bytes of a segment from the offset `start` on.
    pub fn new(start: u64, bytes: &'a [u8]) -> Self {
        Self { start, bytes }
    }

    /// Segment offsets of the bytes.
    pub fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.bytes.len() as u64)
    }
}

impl SegmentBytes for SegmentSlice<'_> {
    type Error = DecodeError;

    fn read(&self, offset: u64, length: usize) -> Result<Cow<'_, [u8]>, DecodeError> {
        let read = || {
            let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
            self.bytes.get(start..start.checked_add(length)?)
        };
        read().map(Cow::Borrowed).ok_or_else(|| format_error(offset, format!("{length} bytes")))
    }
}

/// Why an index cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError<E> {
    /// The bytes cannot be read.
    #[error(transparent)]
    Read(E),
    /// The bytes do not follow the format; the offset is that of the segment.
    #[error("{0}")]
    Format(DecodeError),
}

impl<E> From<DecodeError> for IndexError<E> {
    fn from(error: DecodeError) -> Self {
        Self::Format(error)
    }
}

/// How the keys of an index are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFormat {
    /// UUIDs, 16 bytes, with the sign bits of both halves flipped, so that byte order is the order of signed numbers.
    Uuid,
    /// Raw bytes of this length (core attribute `ATTRIBUTE_ID_LENGTH`), 1 to 256: fixed-key-length tables.
    Raw(u16),
}

impl KeyFormat {
    /// The format for a segment with this value of the core attribute `ATTRIBUTE_ID_LENGTH` (none or 0: UUIDs); none if it
    /// is out of range.
    pub fn of_id_length(id_length: Option<i64>) -> Option<Self> {
        match id_length.unwrap_or(0) {
            0 => Some(Self::Uuid),
            length => u16::try_from(length)
                .ok()
                .filter(|length| (1..=ATTRIBUTE_ID_MAX_BYTES).contains(&usize::from(*length)))
                .map(Self::Raw),
        }
    }

    /// Bytes of a key.
    pub fn key_length(self) -> usize {
        match self {
            Self::Uuid => 16,
            Self::Raw(length) => usize::from(length),
        }
    }

    /// Turns bytes of an id into stored bytes, or back; none if the length is not that of a key.
    fn convert(self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Uuid => <[u8; 16]>::try_from(key).ok().map(|key| Cow::Owned(flip_signs(key).to_vec())),
            Self::Raw(_) => (key.len() == self.key_length()).then_some(Cow::Borrowed(key)),
        }
    }

    /// The id with the given bytes; none if the length is not that of a key.
    pub fn id(self, bytes: &[u8]) -> Option<AttributeId> {
        match self {
            Self::Uuid => bytes.try_into().ok().map(|bytes| AttributeId::Uuid(Uuid(bytes))),
            Self::Raw(_) => (bytes.len() == self.key_length()).then(|| AttributeId::Bytes(bytes.into())),
        }
    }
}

fn flip_signs(mut key: [u8; 16]) -> [u8; 16] {
    key[0] ^= 0x80;
    key[8] ^= 0x80;
    key
}

fn format_error(offset: u64, expected: impl Into<Cow<'static, str>>) -> DecodeError {
    DecodeError::new("attribute index", offset, expected)
}

/// Reads exactly `length` bytes.
fn read_exactly<Segment: SegmentBytes>(
    segment: &Segment,
    offset: u64,
    length: usize,
) -> Result<Cow<'_, [u8]>, IndexError<Segment::Error>> {
    let bytes = segment.read(offset, length).map_err(IndexError::Read)?;
    if bytes.len() == length { Ok(bytes) } else { Err(format_error(offset, format!("{length} bytes")).into()) }
}

#[cfg(test)]
mod tests;

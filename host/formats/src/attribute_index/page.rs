//! One page.

use super::{KeyFormat, MAX_PAGE_LENGTH, format_error};
use crate::error::DecodeError;

pub(super) const HEADER_LENGTH: usize = 10;
pub(super) const TRAILER_LENGTH: usize = 4;
/// Bytes of a page without entries.
pub(super) const EMPTY_LENGTH: usize = HEADER_LENGTH + TRAILER_LENGTH;
pub(super) const FORMAT: u8 = 0;
pub(super) const LEAF_FLAGS: u8 = 0;
pub(super) const INDEX_FLAGS: u8 = 1;
/// Bytes after the key in the entry of a leaf, and of an index page.
pub(super) const VALUE_LENGTH: usize = 8;
pub(super) const POINTER_LENGTH: usize = 18;

/// Where a page lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePlace {
    pub(super) offset: u64,
    pub(super) length: usize,
}

impl PagePlace {
    /// A page that lies in `start..end`.
    pub(super) fn within(offset: i64, length: i64, start: u64, end: u64) -> Option<Self> {
        let offset = u64::try_from(offset).ok()?;
        let length = usize::try_from(length).ok()?;
        let fits = (EMPTY_LENGTH..=MAX_PAGE_LENGTH).contains(&length)
            && offset >= start
            && offset.checked_add(length as u64).is_some_and(|page_end| page_end <= end);
        fits.then_some(Self { offset, length })
    }

    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length as u64)
    }
}

/// A page whose own structure is sound: format, size, equal ids, keys in strictly rising order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    pub(super) is_index: bool,
    pub(super) id: [u8; 4],
    offset: u64,
    key_length: usize,
    entry_length: usize,
    entries: &'a [u8],
}

/// The pointer of an index page to a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pointer<'a> {
    /// Segment offset of the entry, for errors.
    pub(super) at: u64,
    pub(super) key: &'a [u8],
    pub(super) child: PagePlace,
    /// Smallest page offset in the subtree of the child, the child included.
    pub(super) minimum_offset: u64,
}

impl<'a> Page<'a> {
    /// Reads the page of all of `bytes`, which lie at `offset`.
    pub(super) fn parse(bytes: &'a [u8], offset: u64, keys: KeyFormat) -> Result<Self, DecodeError> {
        let error = |position: usize, expected| format_error(offset.saturating_add(position as u64), expected);
        let (header, rest) = bytes.split_first_chunk::<HEADER_LENGTH>().ok_or_else(|| error(0, "a page header"))?;
        let (entries, trailer) = rest.split_last_chunk::<TRAILER_LENGTH>().ok_or_else(|| error(0, "a page trailer"))?;
        let [format, flags, i0, i1, i2, i3, c0, c1, c2, c3] = *header;
        if format != FORMAT {
            return Err(error(0, "page format 00"));
        }
        let is_index = match flags {
            LEAF_FLAGS => false,
            INDEX_FLAGS => true,
            _ => return Err(error(1, "page flags 00 (leaf) or 01 (index)")),
        };
        let id = [i0, i1, i2, i3];
        if id != *trailer {
            return Err(error(bytes.len() - TRAILER_LENGTH, "the same page id as in the page header"));
        }
        let key_length = keys.key_length();
        let entry_length = key_length + if is_index { POINTER_LENGTH } else { VALUE_LENGTH };
        let count = usize::try_from(i32::from_be_bytes([c0, c1, c2, c3])).ok();
        if count.and_then(|count| count.checked_mul(entry_length)) != Some(entries.len()) {
            return Err(error(6, "a count of entries that fill the page"));
        }
        let page = Self { is_index, id, offset, key_length, entry_length, entries };
        if is_index && entries.is_empty() {
            return Err(error(6, "an index page with entries"));
        }
        page.check_order()?;
        Ok(page)
    }

    fn check_order(&self) -> Result<(), DecodeError> {
        let keys = || self.entries.chunks_exact(self.entry_length).filter_map(|entry| entry.get(..self.key_length));
        match keys().zip(keys().skip(1)).position(|(key, next)| key >= next) {
            Some(position) => Err(format_error(self.entry_offset(position + 1), "keys in rising order")),
            None => Ok(()),
        }
    }

    fn entry_offset(&self, position: usize) -> u64 {
        self.offset.saturating_add((HEADER_LENGTH + position * self.entry_length) as u64)
    }

    /// Number of entries.
    pub(super) fn count(&self) -> usize {
        self.entries.len() / self.entry_length
    }

    /// First and last key.
    pub(super) fn key_bounds(&self) -> Option<(&'a [u8], &'a [u8])> {
        let mut entries = self.entries.chunks_exact(self.entry_length);
        let first = entries.clone().next()?.get(..self.key_length)?;
        Some((first, entries.next_back()?.get(..self.key_length)?))
    }

    /// The entries of a leaf: stored key and value.
    pub(super) fn leaf_entries(&self) -> impl Iterator<Item = (&'a [u8], i64)> {
        let key_length = self.key_length;
        self.entries.chunks_exact(self.entry_length).filter_map(move |entry| {
            let (key, rest) = entry.split_at_checked(key_length)?;
            Some((key, i64::from_be_bytes(*rest.first_chunk()?)))
        })
    }

    /// The entries of an index page. Children must lie between `start` and this page, for they are written before it.
    pub(super) fn pointers(&self, start: u64) -> impl Iterator<Item = Result<Pointer<'a>, DecodeError>> {
        let page = *self;
        self.entries.chunks_exact(self.entry_length).enumerate().map(move |(position, entry)| {
            let at = page.entry_offset(position);
            page.pointer(entry, at, start).ok_or_else(|| {
                let expected = format!("a pointer to a page between {start} and {}", page.offset);
                format_error(at.saturating_add(page.key_length as u64), expected)
            })
        })
    }

    fn pointer(&self, entry: &'a [u8], at: u64, start: u64) -> Option<Pointer<'a>> {
        let (key, rest) = entry.split_at_checked(self.key_length)?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = i64::from(i16::from_be_bytes(*length));
        let child = PagePlace::within(i64::from_be_bytes(*offset), length, start, self.offset)?;
        let minimum_offset = u64::try_from(i64::from_be_bytes(*rest.first_chunk()?)).ok()?;
        let minimum_fits = (start..=child.offset).contains(&minimum_offset);
        minimum_fits.then_some(Pointer { at, key, child, minimum_offset })
    }
}

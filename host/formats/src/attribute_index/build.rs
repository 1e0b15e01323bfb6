//! Building an index from the bottom up.

use super::page::{EMPTY_LENGTH, FORMAT, INDEX_FLAGS, LEAF_FLAGS, POINTER_LENGTH, PagePlace, VALUE_LENGTH};
use super::{KeyFormat, MAX_PAGE_LENGTH};
use crate::attribute::AttributeId;
use crate::error::EncodeError;
use crate::primitives::Writer;

/// Writes an index of keys that come in order, with full pages: leaves as they fill up, each index page after its children,
/// the root last.
///
/// Memory is one page per level and the bytes not yet taken with [`IndexBuilder::take_bytes`]. The same keys give the same
/// bytes: page ids, which the server draws at random, are counted here.
#[derive(Debug)]
pub struct IndexBuilder {
    keys: KeyFormat,
    next_offset: u64,
    bytes: Vec<u8>,
    levels: Vec<Level>,
    last_key: Option<Vec<u8>>,
    entry_count: u64,
    page_count: u32,
}

/// The open page of one level; level 0 are the leaves.
#[derive(Debug, Default)]
struct Level {
    entries: Vec<u8>,
    count: usize,
    minimum_offset: Option<u64>,
    closed_pages: u64,
}

impl IndexBuilder {
    /// Starts an index whose first byte has the segment offset `start_offset`: 0, or the present end of the segment.
    pub fn new(keys: KeyFormat, start_offset: u64) -> Self {
        Self {
            keys,
            next_offset: start_offset,
            bytes: Vec::new(),
            levels: vec![Level::default()],
            last_key: None,
            entry_count: 0,
            page_count: 0,
        }
    }

    /// Adds a key by the bytes of its id.
    ///
    /// # Errors
    /// If the length is not that of a key of this index, or the key does not come after the one before in the order of
    /// *stored* keys: UUIDs as two signed numbers, raw keys as unsigned bytes. Then the builder is unchanged.
    pub fn push(&mut self, id: &[u8], value: i64) -> Result<(), EncodeError> {
        let length = self.keys.key_length();
        let key = self.keys.convert(id).ok_or_else(|| {
            EncodeError::new(format!("attribute id of {} bytes", id.len()), format!("{length} bytes"))
        })?;
        if self.last_key.as_deref().is_some_and(|last| *last >= *key) {
            return Err(EncodeError::new("attribute id", "in order and only once"));
        }
        self.make_room(0)?;
        if let Some(leaf) = self.levels.first_mut() {
            leaf.entries.extend_from_slice(&key);
            leaf.entries.extend_from_slice(&value.to_be_bytes());
            leaf.count += 1;
        }
        let last_key = self.last_key.get_or_insert_default();
        last_key.clear();
        last_key.extend_from_slice(&key);
        self.entry_count += 1;
        Ok(())
    }

    /// Takes the bytes that are final, to be written at the offset where the ones taken before ended.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Writes the open pages, the root, statistics if wanted (fixed-key-length tables have them), and the footer. Returns the
    /// bytes not yet taken. Without keys the root is an empty leaf.
    ///
    /// # Errors
    /// If the index is too large for its numbers.
    pub fn finish(mut self, with_statistics: bool) -> Result<Vec<u8>, EncodeError> {
        let mut level = 0;
        while self.levels.get(level).is_some_and(|open| open.closed_pages > 0) {
            self.close_page(level)?;
            level += 1;
        }
        let (root, _) = self.write_page(level)?;
        let mut writer = Writer::appending_to(self.bytes);
        if with_statistics {
            writer.write_single(|body| {
                body.compact_long(self.entry_count);
                body.compact_long(u64::from(self.page_count));
            });
        }
        writer.length(root.offset);
        // A page is at most 32,767 bytes.
        writer.i32(root.length as i32);
        writer.finish()
    }

    fn entry_length(&self, level: usize) -> usize {
        self.keys.key_length() + if level == 0 { VALUE_LENGTH } else { POINTER_LENGTH }
    }

    /// Closes the open page of the level if it has no room for another entry.
    fn make_room(&mut self, level: usize) -> Result<(), EncodeError> {
        let capacity = (MAX_PAGE_LENGTH - EMPTY_LENGTH) / self.entry_length(level);
        match self.levels.get(level) {
            Some(open) if open.count >= capacity => self.close_page(level),
            _ => Ok(()),
        }
    }

    /// Writes the open page of the level and adds a pointer to it to the level above.
    fn close_page(&mut self, level: usize) -> Result<(), EncodeError> {
        let parent = level + 1;
        if self.levels.len() == parent {
            self.levels.push(Level::default());
        }
        self.make_room(parent)?;
        let key_length = self.keys.key_length();
        let first_key =
            self.levels.get(level).and_then(|open| open.entries.get(..key_length)).unwrap_or_default().to_vec();
        let (place, minimum_offset) = self.write_page(level)?;
        let Some(open) = self.levels.get_mut(parent) else { return Ok(()) };
        // The very first pointer of a level stands for everything below the second one.
        let is_leftmost = open.count == 0 && open.closed_pages == 0;
        let key = if is_leftmost { vec![0; key_length] } else { first_key };
        open.entries.extend_from_slice(&key);
        open.entries.extend_from_slice(&place.offset.to_be_bytes());
        // A page is at most 32,767 bytes.
        open.entries.extend_from_slice(&(place.length as i16).to_be_bytes());
        open.entries.extend_from_slice(&minimum_offset.to_be_bytes());
        open.count += 1;
        open.minimum_offset = Some(open.minimum_offset.map_or(minimum_offset, |known| known.min(minimum_offset)));
        Ok(())
    }

    /// Writes the open page of the level and empties it; returns its place and the smallest offset in its subtree.
    fn write_page(&mut self, level: usize) -> Result<(PagePlace, u64), EncodeError> {
        let Some(open) = self.levels.get_mut(level) else {
            return Err(EncodeError::new("attribute index", "a root page"));
        };
        let place = PagePlace { offset: self.next_offset, length: EMPTY_LENGTH + open.entries.len() };
        let end = place.end();
        if i64::try_from(end).is_err() {
            return Err(EncodeError::new("attribute index", "offsets below 2^63"));
        }
        self.page_count = self
            .page_count
            .checked_add(1)
            .ok_or_else(|| EncodeError::new("attribute index", "fewer than 2^32 pages"))?;
        let id = self.page_count.to_be_bytes();
        let flags = if level == 0 { LEAF_FLAGS } else { INDEX_FLAGS };
        self.bytes.reserve(place.length);
        self.bytes.extend_from_slice(&[FORMAT, flags]);
        self.bytes.extend_from_slice(&id);
        // Each entry takes at least 9 of at most 32,767 bytes.
        self.bytes.extend_from_slice(&(open.count as i32).to_be_bytes());
        self.bytes.extend_from_slice(&open.entries);
        self.bytes.extend_from_slice(&id);
        let minimum_offset = open.minimum_offset.map_or(place.offset, |minimum| minimum.min(place.offset));
        open.entries.clear();
        open.count = 0;
        open.minimum_offset = None;
        open.closed_pages += 1;
        self.next_offset = end;
        Ok((place, minimum_offset))
    }
}

/// Builds a whole index of keys in any order; see [`IndexBuilder`].
///
/// # Errors
/// If an id has not the form of `keys`, occurs twice, or the index is too large for its numbers.
pub fn build_index(
    keys: KeyFormat,
    start_offset: u64,
    mut entries: Vec<(AttributeId, i64)>,
    with_statistics: bool,
) -> Result<Vec<u8>, EncodeError> {
    entries.sort_unstable_by(|(one, _), (other, _)| match (one, other) {
        (AttributeId::Uuid(one), AttributeId::Uuid(other)) => {
            (one.most(), one.least()).cmp(&(other.most(), other.least()))
        }
        _ => one.cmp(other),
    });
    let mut builder = IndexBuilder::new(keys, start_offset);
    for (id, value) in &entries {
        match (keys, id) {
            (KeyFormat::Uuid, AttributeId::Uuid(uuid)) => builder.push(&uuid.0, *value)?,
            (KeyFormat::Raw(_), AttributeId::Bytes(bytes)) => builder.push(bytes, *value)?,
            _ => return Err(EncodeError::new("attribute id", "UUIDs in one index, raw bytes in the other")),
        }
    }
    builder.finish(with_statistics)
}

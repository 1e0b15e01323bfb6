//! Reading every key of an index.

use super::page::{Page, PagePlace};
use super::{Footer, IndexError, KeyFormat, MAX_DEPTH, SegmentBytes, flip_signs, format_error, read_exactly};
use crate::attribute::AttributeId;

/// What a walk over an index saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSummary {
    /// Number of keys.
    pub entry_count: u64,
    /// Number of pages.
    pub page_count: u64,
    /// Smallest offset of a page: the segment may be truncated there and nowhere later.
    pub minimum_offset: u64,
}

/// Calls `visit` with the bytes of every id and its value, in the order of the stored keys, reading one page at a time.
///
/// `available_start` is the first segment offset that can be read. Checks every page: format, position before its parent,
/// keys within what the parent says, and the exact smallest offset of every subtree. Values may have been visited before
/// an error is found.
///
/// # Errors
/// If a page is damaged, the tree is deeper than [`MAX_DEPTH`] or larger than the bytes before the footer, or bytes cannot
/// be read.
pub fn visit_all<Segment: SegmentBytes>(
    segment: &Segment,
    available_start: u64,
    footer: &Footer,
    keys: KeyFormat,
    visit: impl FnMut(&[u8], i64),
) -> Result<IndexSummary, IndexError<Segment::Error>> {
    let summary = IndexSummary { entry_count: 0, page_count: 0, minimum_offset: footer.root_offset };
    let bytes_left = footer.end.saturating_sub(available_start);
    let mut walk = Walk { segment, available_start, keys, visit, summary, bytes_left };
    let root = PagePlace { offset: footer.root_offset, length: footer.root_length };
    walk.summary.minimum_offset = walk.visit_page(root, KeyRange { first: &[], end: None }, MAX_DEPTH)?;
    Ok(walk.summary)
}

/// As [`visit_all`], into a list.
///
/// # Errors
/// As [`visit_all`].
pub fn read_all<Segment: SegmentBytes>(
    segment: &Segment,
    available_start: u64,
    footer: &Footer,
    keys: KeyFormat,
) -> Result<Vec<(AttributeId, i64)>, IndexError<Segment::Error>> {
    let mut entries = Vec::new();
    visit_all(segment, available_start, footer, keys, |id, value| entries.extend(keys.id(id).map(|id| (id, value))))?;
    Ok(entries)
}

/// Stored keys that may occur below a pointer.
#[derive(Clone, Copy)]
struct KeyRange<'a> {
    first: &'a [u8],
    end: Option<&'a [u8]>,
}

struct Walk<'a, Segment, Visit> {
    segment: &'a Segment,
    available_start: u64,
    keys: KeyFormat,
    visit: Visit,
    summary: IndexSummary,
    /// Pages of a tree are disjoint, so together they are no longer than the segment. Ends walks over pages that hostile
    /// pointers share.
    bytes_left: u64,
}

impl<Segment: SegmentBytes, Visit: FnMut(&[u8], i64)> Walk<'_, Segment, Visit> {
    /// Returns the smallest offset in the subtree of the page.
    fn visit_page(
        &mut self,
        place: PagePlace,
        range: KeyRange<'_>,
        depth_left: u32,
    ) -> Result<u64, IndexError<Segment::Error>> {
        let left = self.bytes_left.checked_sub(place.length as u64);
        self.bytes_left = left.ok_or_else(|| format_error(place.offset, "pages that do not overlap"))?;
        let depth_left = depth_left
            .checked_sub(1)
            .ok_or_else(|| format_error(place.offset, format!("at most {MAX_DEPTH} levels of pages")))?;
        let bytes = read_exactly(self.segment, place.offset, place.length)?;
        let page = Page::parse(&bytes, place.offset, self.keys)?;
        if let Some((first, last)) = page.key_bounds()
            && (first < range.first || range.end.is_some_and(|end| last >= end))
        {
            return Err(format_error(place.offset, "only keys between those of the parent page").into());
        }
        self.summary.page_count += 1;
        if page.is_index {
            self.visit_children(&page, place, range, depth_left)
        } else {
            self.visit_leaf(&page);
            Ok(place.offset)
        }
    }

    fn visit_children(
        &mut self,
        page: &Page<'_>,
        place: PagePlace,
        range: KeyRange<'_>,
        depth_left: u32,
    ) -> Result<u64, IndexError<Segment::Error>> {
        let mut minimum_offset = place.offset;
        let mut pointers = page.pointers(self.available_start).peekable();
        while let Some(pointer) = pointers.next().transpose()? {
            let end = match pointers.peek() {
                Some(Ok(next)) => Some(next.key),
                _ => range.end,
            };
            let subtree = self.visit_page(pointer.child, KeyRange { first: pointer.key, end }, depth_left)?;
            if subtree != pointer.minimum_offset {
                let expected = format!("smallest offset {subtree} of the child's pages");
                return Err(format_error(pointer.at, expected).into());
            }
            minimum_offset = minimum_offset.min(subtree);
        }
        Ok(minimum_offset)
    }

    fn visit_leaf(&mut self, page: &Page<'_>) {
        self.summary.entry_count += page.count() as u64;
        for (key, value) in page.leaf_entries() {
            match (self.keys, <&[u8; 16]>::try_from(key)) {
                (KeyFormat::Uuid, Ok(key)) => (self.visit)(&flip_signs(*key), value),
                _ => (self.visit)(key, value),
            }
        }
    }
}

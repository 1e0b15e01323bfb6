//! Looking at every page of an index, also where some are damaged.

use super::page::{Page, PagePlace};
use super::{Footer, IndexError, KeyFormat, MAX_DEPTH, SegmentBytes, flip_signs, format_error, read_exactly};
use crate::attribute::AttributeId;
use crate::error::DecodeError;

/// A page that is sound in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExaminedPage {
    /// Segment offset.
    pub offset: u64,
    /// Bytes.
    pub length: usize,
    /// Levels above it; 0 for the root.
    pub depth: u32,
    /// True if it points to pages, false if it holds values.
    pub is_index: bool,
    /// Ids and values of a leaf, in the order of the stored keys; empty for an index page.
    pub values: Vec<(AttributeId, i64)>,
    /// Pointers of an index page that can be followed.
    pub children: usize,
}

/// Calls `visit` with every page that can be reached from the root, or with the reason why one cannot be read; its siblings are
/// still visited. `available_start` is the first segment offset that can be read.
///
/// Pages are checked by themselves, and that they lie before the page that points to them; [`visit_all`](super::visit_all)
/// checks their relations, too.
///
/// # Errors
/// If the bytes cannot be read. What does not follow the format goes to `visit`.
pub fn examine_pages<Segment: SegmentBytes>(
    segment: &Segment,
    available_start: u64,
    footer: &Footer,
    keys: KeyFormat,
    visit: &mut impl FnMut(Result<ExaminedPage, DecodeError>),
) -> Result<(), Segment::Error> {
    let mut bytes_left = footer.end.saturating_sub(available_start);
    let mut pending = vec![(PagePlace { offset: footer.root_offset, length: footer.root_length }, 0)];
    while let Some((place, depth)) = pending.pop() {
        // Pages of a tree are disjoint; hostile pointers could share them without end.
        let Some(left) = bytes_left.checked_sub(place.length as u64).filter(|_| depth < MAX_DEPTH) else {
            visit(Err(format_error(place.offset, "pages that do not overlap, in a tree that is not too deep")));
            continue;
        };
        bytes_left = left;
        match examine_page(segment, available_start, place, depth, keys) {
            Ok((page, children, damage)) => {
                visit(Ok(page));
                damage.into_iter().for_each(|error| visit(Err(error)));
                pending.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
            }
            Err(IndexError::Format(error)) => visit(Err(error)),
            Err(IndexError::Read(error)) => return Err(error),
        }
    }
    Ok(())
}

/// The page, where its children are, and pointers that lead nowhere.
type PageAndChildren = (ExaminedPage, Vec<PagePlace>, Vec<DecodeError>);

fn examine_page<Segment: SegmentBytes>(
    segment: &Segment,
    available_start: u64,
    place: PagePlace,
    depth: u32,
    keys: KeyFormat,
) -> Result<PageAndChildren, IndexError<Segment::Error>> {
    let bytes = read_exactly(segment, place.offset, place.length)?;
    let page = Page::parse(&bytes, place.offset, keys)?;
    let (mut children, mut damage, mut values) = (Vec::new(), Vec::new(), Vec::new());
    if page.is_index {
        for pointer in page.pointers(available_start) {
            match pointer {
                Ok(pointer) => children.push(pointer.child),
                Err(error) => damage.push(error),
            }
        }
    } else {
        values.extend(page.leaf_entries().filter_map(|(key, value)| Some((stored_id(keys, key)?, value))));
    }
    let (offset, length, is_index) = (place.offset, place.length, page.is_index);
    Ok((ExaminedPage { offset, length, depth, is_index, values, children: children.len() }, children, damage))
}

fn stored_id(keys: KeyFormat, key: &[u8]) -> Option<AttributeId> {
    match (keys, <[u8; 16]>::try_from(key)) {
        (KeyFormat::Uuid, Ok(key)) => keys.id(&flip_signs(key)),
        _ => keys.id(key),
    }
}

//! Footers: reading the one at the end, and finding the last one in a segment with a torn end.

use std::ops::Range;

use super::page::{EMPTY_LENGTH, Page, PagePlace};
use super::{
    FOOTER_LENGTH, IndexError, KeyFormat, MAX_FALSE_FOOTERS, MAX_PAGE_LENGTH, SegmentBytes, format_error, read_exactly,
};
use crate::error::DecodeError;
use crate::primitives::Reader;

/// Bytes that the search reads at once.
const WINDOW_LENGTH: usize = 64 << 10;
/// Header of the statistics record and its two numbers, of 1 to 8 bytes each.
const STATISTICS_LENGTHS: std::ops::RangeInclusive<usize> = 10..=24;

/// What an index says of itself; written for fixed-key-length tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Number of keys.
    pub entry_count: u64,
    /// Number of live pages.
    pub page_count: u64,
}

/// A footer whose root page is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Segment offset after the footer: the length at which the segment can be read.
    pub end: u64,
    /// Segment offset of the root page.
    pub root_offset: u64,
    /// Bytes of the root page, at most [`MAX_PAGE_LENGTH`].
    pub root_length: usize,
    /// Smallest offset of a live page, according to the root. Nothing before it is needed.
    pub minimum_offset: u64,
    /// The statistics, if there are any.
    pub statistics: Option<Statistics>,
}

/// Reads the footer that ends at `available.end`, and checks strictly what can be checked without reading other pages:
/// the root page ends where footer or statistics begin, is sound, and all its children lie in `available` before it.
///
/// # Errors
/// If there is no such footer (offsets are those of the segment), or the bytes cannot be read. `available` empty or shorter
/// than a footer is an error too, though an empty segment is a valid index without keys.
pub fn read_footer<Segment: SegmentBytes>(
    segment: &Segment,
    available: Range<u64>,
    keys: KeyFormat,
) -> Result<Footer, IndexError<Segment::Error>> {
    let place = read_root_place(segment, &available)?;
    let statistics = read_statistics(segment, place.end()..available.end.saturating_sub(FOOTER_LENGTH as u64))?;
    let page = read_exactly(segment, place.offset, place.length)?;
    let page = Page::parse(&page, place.offset, keys)?;
    let minimum_offset = check_root(&page, place, available.start)?;
    let (root_offset, root_length) = (place.offset, place.length);
    Ok(Footer { end: available.end, root_offset, root_length, minimum_offset, statistics })
}

fn read_root_place<Segment: SegmentBytes>(
    segment: &Segment,
    available: &Range<u64>,
) -> Result<PagePlace, IndexError<Segment::Error>> {
    let start = available.end.checked_sub(FOOTER_LENGTH as u64).filter(|start| *start >= available.start);
    let start = start.ok_or_else(|| format_error(available.start, "a footer of 12 bytes"))?;
    let footer = read_exactly(segment, start, FOOTER_LENGTH)?;
    let place = footer.first_chunk().and_then(|footer| root_place(footer, available.start, start));
    Ok(place
        .ok_or_else(|| format_error(start, "a footer with the offset and length of a root page directly before it"))?)
}

/// The root page that a footer at `footer_start` names, if it ends where the footer or possible statistics begin.
fn root_place(footer: &[u8; FOOTER_LENGTH], available_start: u64, footer_start: u64) -> Option<PagePlace> {
    let [o0, o1, o2, o3, o4, o5, o6, o7, length @ ..] = *footer;
    let offset = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
    let length = i64::from(i32::from_be_bytes(length));
    let place = PagePlace::within(offset, length, available_start, footer_start)?;
    let gap = usize::try_from(footer_start - place.end()).ok()?;
    (gap == 0 || STATISTICS_LENGTHS.contains(&gap)).then_some(place)
}

fn read_statistics<Segment: SegmentBytes>(
    segment: &Segment,
    range: Range<u64>,
) -> Result<Option<Statistics>, IndexError<Segment::Error>> {
    // The caller has checked that the range is empty or short.
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    if length == 0 {
        return Ok(None);
    }
    let bytes = read_exactly(segment, range.start, length.min(*STATISTICS_LENGTHS.end()))?;
    Ok(Some(decode_statistics(&bytes, range.start)?))
}

fn decode_statistics(bytes: &[u8], offset: u64) -> Result<Statistics, DecodeError> {
    let mut reader = Reader::at("statistics of an attribute index", bytes, offset);
    let statistics = reader.read_single("statistics of an attribute index", |body| {
        let statistics = Statistics { entry_count: body.compact_long()?, page_count: body.compact_long()? };
        body.expect_end()?;
        Ok(statistics)
    })?;
    reader.expect_end()?;
    Ok(statistics)
}

/// Checks the children of a root page; returns the smallest offset of a live page.
fn check_root(page: &Page<'_>, place: PagePlace, start: u64) -> Result<u64, DecodeError> {
    if page.count() == 0 && page.id == [0; 4] {
        // Ids are random: a run of zeros is no empty tree.
        return Err(format_error(place.offset, "a page that is not all zeros"));
    }
    let mut minimum_offset = place.offset;
    if page.is_index {
        for pointer in page.pointers(start) {
            minimum_offset = minimum_offset.min(pointer?.minimum_offset);
        }
    }
    Ok(minimum_offset)
}

/// Finds the last footer in `available`, by the strict rules of [`read_footer`], reading backwards from the end in pieces of
/// 64 KiB. None if there is none.
///
/// To go on after a footer whose pages turn out to be damaged, search again in `available.start..footer.end - 1`.
///
/// # Errors
/// If the bytes cannot be read, or more than [`MAX_FALSE_FOOTERS`] places look like a footer without being one.
pub fn find_last_footer<Segment: SegmentBytes>(
    segment: &Segment,
    available: Range<u64>,
    keys: KeyFormat,
) -> Result<Option<Footer>, IndexError<Segment::Error>> {
    let mut false_footers = 0;
    let mut window_end = available.end;
    while window_end.saturating_sub(available.start) >= FOOTER_LENGTH as u64 {
        let window_start = window_end.saturating_sub(WINDOW_LENGTH as u64).max(available.start);
        let length = usize::try_from(window_end - window_start).unwrap_or(WINDOW_LENGTH);
        let window = read_exactly(segment, window_start, length)?;
        for position in (0..=length - FOOTER_LENGTH).rev() {
            let footer_start = window_start + position as u64;
            let footer = window.get(position..).and_then(<[u8]>::first_chunk);
            if footer.is_none_or(|footer| root_place(footer, available.start, footer_start).is_none()) {
                continue;
            }
            match read_footer(segment, available.start..footer_start + FOOTER_LENGTH as u64, keys) {
                Ok(footer) => return Ok(Some(footer)),
                Err(IndexError::Read(error)) => return Err(IndexError::Read(error)),
                Err(IndexError::Format(_)) => false_footers += 1,
            }
            if false_footers > MAX_FALSE_FOOTERS {
                let expected = format!("at most {MAX_FALSE_FOOTERS} places that look like a footer without being one");
                return Err(format_error(footer_start, expected).into());
            }
        }
        if window_start == available.start {
            break;
        }
        // The next window ends inside a footer that begins one byte before this window.
        window_end = window_start + FOOTER_LENGTH as u64 - 1;
    }
    Ok(None)
}

/// The length of the keys, inferred from the root page of an index that ends with a footer; none if the index is damaged or
/// empty. Helps where the attribute that states the length is lost; it cannot tell UUIDs from raw keys of 16 bytes.
///
/// # Errors
/// If the bytes cannot be read.
pub fn infer_key_length<Segment: SegmentBytes>(
    segment: &Segment,
    available: Range<u64>,
) -> Result<Option<u16>, Segment::Error> {
    let place = match read_root_place(segment, &available) {
        Ok(place) => place,
        Err(IndexError::Read(error)) => return Err(error),
        Err(IndexError::Format(_)) => return Ok(None),
    };
    let header = segment.read(place.offset, EMPTY_LENGTH)?;
    let infer = || {
        let [_, flags, _, _, _, _, count @ ..] = *header.first_chunk::<{ super::page::HEADER_LENGTH }>()?;
        let count = usize::try_from(i32::from_be_bytes(count)).ok()?;
        let rest = match flags {
            super::page::LEAF_FLAGS => super::page::VALUE_LENGTH,
            _ => super::page::POINTER_LENGTH,
        };
        let length = (place.length - EMPTY_LENGTH).checked_div(count)?.checked_sub(rest)?;
        let keys = KeyFormat::of_id_length(i64::try_from(length).ok()).filter(|_| length > 0)?;
        (place.length <= MAX_PAGE_LENGTH && count * (length + rest) + EMPTY_LENGTH == place.length)
            .then(|| u16::try_from(keys.key_length()).ok())?
    };
    Ok(infer())
}

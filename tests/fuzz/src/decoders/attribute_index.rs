//! Attribute indexes. The first byte of an input chooses the length of the keys, the rest are the bytes of the segment.

use dr_formats::DecodeError;
use dr_formats::attribute::AttributeId;
use dr_formats::attribute_index::{
    FOOTER_LENGTH, Footer, IndexError, KeyFormat, SegmentSlice, build_index, examine_pages, find_last_footer,
    infer_key_length, read_all, read_footer, visit_all,
};
use dr_formats::primitives::Uuid;
use fastrand::Rng;

use crate::decoder::{Decoder, Outcome};
use crate::seeds::Captured;

pub(super) const DECODERS: &[Decoder] = &[
    Decoder {
        name: "attribute-index",
        covers: &[
            "attribute_index::SegmentSlice::new",
            "attribute_index::read_footer",
            "attribute_index::read_all",
            "attribute_index::visit_all",
            "attribute_index::examine_pages",
            "attribute_index::infer_key_length",
            "attribute_index::KeyFormat::id",
        ],
        seeds,
        mend: Some(|input, rng| mend(input, rng)),
        check: check_index,
    },
    Decoder {
        name: "attribute-index-search",
        covers: &["attribute_index::find_last_footer"],
        seeds,
        mend: Some(|input, rng| mend(input, rng)),
        check: check_search,
    },
];

/// Lengths of keys by the remainder of the first byte; 0 stands for UUIDs.
const KEY_LENGTHS: [i64; 6] = [0, 0, 16, 1, 4, 256];

fn keys(first: u8) -> KeyFormat {
    let length = KEY_LENGTHS[usize::from(first) % KEY_LENGTHS.len()];
    KeyFormat::of_id_length(Some(length)).unwrap_or(KeyFormat::Uuid)
}

fn seeds(captured: &Captured) -> Vec<Vec<u8>> {
    // Large ones are slow and find the same: few of them.
    let is_small = |index: &&Vec<u8>| index.len() < 3000;
    let small = captured.indexes.iter().filter(is_small).take(100);
    let large = captured.indexes.iter().filter(|index| !is_small(index)).step_by(16).take(2);
    let mut seeds: Vec<Vec<u8>> = small.chain(large).map(|index| [&[0], &index[..]].concat()).collect();
    for (choice, count) in [(0u8, 3u64), (3, 20), (4, 5), (5, 2), (0, 40), (5, 130)] {
        for statistics in [false, true] {
            let entries = (0..count).map(|number| (id(keys(choice), number), number as i64 - 3)).collect();
            let index = build_index(keys(choice), 0, entries, statistics);
            seeds.extend(index.map(|index| [&[choice], &index[..]].concat()));
        }
    }
    seeds
}

fn id(keys: KeyFormat, number: u64) -> AttributeId {
    let mut bytes = vec![0; keys.key_length().max(8)];
    bytes[..8].copy_from_slice(&number.rotate_right(8).to_be_bytes());
    match keys {
        KeyFormat::Uuid => AttributeId::Uuid(Uuid::from_halves(number as i64 - 2, 7)),
        KeyFormat::Raw(length) => AttributeId::Bytes(bytes[..usize::from(length)].into()),
    }
}

/// Makes the footer name a place before it where a page could begin, and gives that page equal ids and a right count.
fn mend(input: &mut [u8], rng: &mut Rng) {
    let Some((first, bytes)) = input.split_first_mut() else { return };
    let Some(page_end) = bytes.len().checked_sub(FOOTER_LENGTH) else { return };
    let starts: Vec<usize> =
        (0..page_end.saturating_sub(13)).filter(|start| bytes[*start] == 0 && bytes[start + 1] < 2).collect();
    if starts.is_empty() {
        return;
    }
    let start = starts[rng.usize(..starts.len())];
    let length = page_end - start;
    let entry = keys(*first).key_length() + if bytes[start + 1] == 0 { 8 } else { 18 };
    let count = ((length - 14) / entry) as u32;
    bytes[start + 6..start + 10].copy_from_slice(&count.to_be_bytes());
    bytes.copy_within(start + 2..start + 6, page_end - 4);
    bytes[page_end..page_end + 8].copy_from_slice(&(start as u64).to_be_bytes());
    bytes[page_end + 8..].copy_from_slice(&(length as u32).to_be_bytes());
}

fn check_index(input: &[u8]) -> Outcome {
    let Some((first, bytes)) = input.split_first() else { return Outcome::Refused };
    let (keys, segment) = (keys(*first), SegmentSlice::new(0, bytes));
    // It may infer what it likes; that it does is the test.
    let _ = infer_key_length(&segment, segment.range());
    let Ok(footer) = read_footer(&segment, segment.range(), keys) else { return Outcome::Refused };
    assert_eq!(footer.end, bytes.len() as u64);
    read_whole(&segment, &footer, keys)
}

fn read_whole(segment: &SegmentSlice<'_>, footer: &Footer, keys: KeyFormat) -> Outcome {
    let entries = read_all(segment, 0, footer, keys);
    let summary = visit_all(segment, 0, footer, keys, |_, _| {});
    assert_eq!(entries.is_ok(), summary.is_ok());
    let (mut values, mut damaged) = (0, 0);
    let examined = examine_pages(segment, 0, footer, keys, &mut |page| match page {
        Ok(page) => values += page.values.len() as u64,
        Err(_) => damaged += 1,
    });
    assert!(examined.is_ok(), "bytes in memory cannot fail to be read");
    match &summary {
        Ok(summary) => assert_eq!((summary.entry_count, 0), (values, damaged), "pages not examined"),
        Err(error) => assert!(damaged > 0 || is_about_relations(error), "damage not examined: {error}"),
    }
    let (Ok(entries), Ok(summary)) = (entries, summary) else { return Outcome::Accepted };
    assert_eq!(entries.len() as u64, summary.entry_count);
    assert_eq!(summary.minimum_offset, footer.minimum_offset);
    let rebuilt = build_index(keys, 0, entries.clone(), footer.statistics.is_some());
    let Ok(rebuilt) = rebuilt else { unreachable!("keys that were read cannot be written: {entries:?}") };
    let again = SegmentSlice::new(0, &rebuilt);
    let footer = read_footer(&again, again.range(), keys);
    let same = footer.and_then(|footer| read_all(&again, 0, &footer, keys));
    assert_eq!(same, Ok(entries));
    Outcome::RoundTripped
}

/// True if each page may be sound in itself, which is all that is examined.
fn is_about_relations(error: &IndexError<DecodeError>) -> bool {
    let error = error.to_string();
    ["keys between those of the parent page", "of the child's pages"].iter().any(|what| error.contains(what))
}

fn check_search(input: &[u8]) -> Outcome {
    let Some((first, bytes)) = input.split_first() else { return Outcome::Refused };
    // A segment that was truncated begins later.
    let start = if *first >= 0x80 { u64::from(*first) << 20 } else { 0 };
    let (keys, segment) = (keys(*first), SegmentSlice::new(start, bytes));
    let Ok(Some(footer)) = find_last_footer(&segment, segment.range(), keys) else { return Outcome::Refused };
    assert!(segment.range().contains(&footer.root_offset) && footer.end <= segment.range().end, "{footer:?}");
    assert_eq!(read_footer(&segment, start..footer.end, keys), Ok(footer));
    Outcome::Accepted
}

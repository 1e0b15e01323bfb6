//! Where the content of a segment ends whole.

use dr_backends::tier2::Tier2;
use dr_formats::events::{EVENT_HEADER_LENGTH, EventWalker};

use crate::chain::Chain;
use crate::contract::Measure;
use crate::error::Result;

/// Bytes that one read of a walk asks for. Payloads larger than this are skipped, not read.
const WALK_BYTES: usize = 1 << 20;

/// Longest event that a writer appends, header included; longer ones are merged as a whole (`Serializer.MAX_EVENT_SIZE`, `LargeEventWriter`).
const APPENDED_EVENT_BYTES_MAX: u64 = (8 << 20) + EVENT_HEADER_LENGTH as u64;

/// What is known of a segment besides its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Appends {
    /// An offset at which an append ended, and with it an event, if these are events.
    pub(crate) end: Option<u64>,
    /// The bytes end where the storage does, in the middle of an append at most: no object is missing behind them.
    pub(crate) are_all_there: bool,
}

/// Walks the events of a segment from `start` to the end of its chain.
///
/// Content whose very first header is none is a byte stream. Content that stops being events later is suspicious and
/// reported as bytes too, so that nothing of it is cut.
///
/// # Errors
/// Tier-2 errors.
pub fn measure_events(chain: &Chain, start: u64, tier2: &dyn Tier2) -> Result<Measure> {
    measure_appends(chain, start, Appends::default(), tier2)
}

/// As [`measure_events`], of content of which more is known: bytes that look like events, such as small numbers of 64 bits, are found out if an
/// append ended in the midst of one, or if the last one, of which a part is missing, is longer than any that is appended.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn measure_appends(chain: &Chain, start: u64, appends: Appends, tier2: &dyn Tier2) -> Result<Measure> {
    let end = chain.end();
    let mut walker = EventWalker::new(start);
    let mut buffer = vec![0; usize::try_from(end - start).unwrap_or(WALK_BYTES).min(WALK_BYTES)];
    let mut is_bytes = false;
    while walker.position() < end && walker.stopped_at().is_none() && !is_bytes {
        let stop = appends.end.filter(|stop| (walker.position() + 1..end).contains(stop)).unwrap_or(end);
        if walker.skippable() > WALK_BYTES as u64 {
            walker.skip(stop - walker.position());
        } else {
            let length = usize::try_from(stop - walker.position()).unwrap_or(WALK_BYTES).min(WALK_BYTES);
            chain.read(tier2, walker.position(), &mut buffer[..length])?;
            walker.push(&buffer[..length]);
        }
        is_bytes = appends.end == Some(walker.position()) && walker.torn_bytes() > 0;
    }
    let last_event = walker.torn_bytes().saturating_add(walker.skippable());
    is_bytes |= appends.are_all_there && last_event > APPENDED_EVENT_BYTES_MAX;
    if is_bytes || walker.stopped_at().is_some() {
        return Ok(Measure { content: "bytes".to_owned(), whole_length: end, items: 0 });
    }
    Ok(Measure { content: "events".to_owned(), whole_length: walker.whole_end(), items: walker.whole_events() })
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;

    use super::*;
    use crate::chain::ChunkPart;

    /// What is measured of these bytes, and how much of them is kept.
    fn measured(bytes: &[u8], appends: Appends) -> (String, usize, u64) {
        let tier2 = MemoryTier2::new();
        tier2.create("s", bytes).unwrap();
        let parts = vec![ChunkPart { key: "s".into(), length: bytes.len() as u64 }];
        let measure = measure_appends(&Chain { first_start: 0, parts }, 0, appends, &tier2).unwrap();
        (measure.content, usize::try_from(measure.whole_length).unwrap(), measure.items)
    }

    fn event(payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        [&[0; 4][..], &length, &vec![b'e'; payload]].concat()
    }

    /// Numbers of 64 bits: each looks like the header of an event, which ends behind another one.
    fn numbers(count: u64) -> Vec<u8> {
        (125..125 + count).flat_map(|number| (number * 8).to_be_bytes()).collect()
    }

    fn end(end: usize) -> Appends {
        Appends { end: Some(end as u64), are_all_there: true }
    }

    #[test]
    fn bytes_that_look_like_events_are_found_out_by_the_end_of_an_append() {
        let bytes = |bytes: &[u8]| ("bytes".to_owned(), bytes.len(), 0);
        for content in [numbers(1), numbers(513), vec![0; 4_097], [&numbers(700)[..], &[0; 3]].concat()] {
            let unknown = measured(&content, Appends::default());
            assert!(unknown.0 == "events" && unknown.1 < content.len(), "{unknown:?}");
            assert_eq!(measured(&content, end(content.len())), bytes(&content));
        }
        // An append ended before the end, in the midst of what would be an event.
        let content = numbers(400);
        assert_eq!(measured(&content, end(16)), bytes(&content));
        assert_eq!(measured(&content, end(8)), bytes(&content));
    }

    #[test]
    fn events_are_cut_behind_the_last_whole_one_whatever_is_known() {
        let mut content = [event(30), event(3 << 20), event(0), event(70)].concat();
        let (first, whole) = (38, content.len());
        content.extend(&event(500)[..77]);
        let expected = ("events".to_owned(), whole, 4);
        for appends in [Appends::default(), end(first), end(whole), end(whole + 1_000)] {
            assert_eq!(measured(&content, appends), expected, "{appends:?}");
        }
        assert_eq!(measured(&content, end(first + 9)).0, "bytes");
    }

    #[test]
    fn a_part_of_an_event_that_nobody_appends_is_none() {
        let content = [&event(30)[..], &[0, 0, 0, 0, 0x20, 0, 0, 0], &[1; 90]].concat();
        let all_there = Appends { end: None, are_all_there: true };
        assert_eq!(measured(&content, all_there), ("bytes".to_owned(), content.len(), 0));
        // Or an object behind is missing, with the rest of one that was merged.
        assert_eq!(measured(&content, Appends::default()), ("events".to_owned(), 38, 1));
        let largest = [&[0, 0, 0, 0][..], &(8_u32 << 20).to_be_bytes(), &[1; 90]].concat();
        assert_eq!(measured(&largest, all_there), ("events".to_owned(), 0, 0));
    }
}

//! Reads every byte of a segment through its chain.

use dr_backends::tier2::Tier2;
use dr_formats::events::EventWalker;

use crate::chain::Chain;
use crate::error::Result;
use crate::progress::Progress;

/// Bytes read at once.
const BLOCK_BYTES: u64 = 4 << 20;

/// What the bytes of a segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    /// How many were read.
    pub(super) bytes: u64,
    /// Whole events at the beginning; none if the very first header is none, as in byte streams.
    pub(super) events: u64,
    /// Where the bytes stop being whole events, if they do behind the first event.
    pub(super) stops_at: Option<u64>,
}

/// Reads the bytes from `start` to the end of the chain.
///
/// # Errors
/// Tier-2 errors, `object-shorter`.
pub(super) fn read(chain: &Chain, start: u64, tier2: &dyn Tier2, progress: &dyn Progress) -> Result<Content> {
    let end = chain.end();
    let mut walker = EventWalker::new(start);
    let mut buffer = vec![0; usize::try_from(BLOCK_BYTES.min(end.saturating_sub(start))).unwrap_or_default()];
    let mut position = start;
    while position < end {
        let length = usize::try_from(end - position).unwrap_or(usize::MAX).min(buffer.len());
        let block = &mut buffer[..length];
        chain.read(tier2, position, block)?;
        walker.push(block);
        position += length as u64;
        progress.advanced(length as u64);
    }
    let is_whole = walker.stopped_at().is_none() && walker.torn_bytes() == 0;
    let stops_at = (walker.whole_events() > 0 && !is_whole).then(|| walker.whole_end());
    Ok(Content { bytes: end.saturating_sub(start), events: walker.whole_events(), stops_at })
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;

    use super::*;
    use crate::chain::ChunkPart;
    use crate::progress::Silent;

    fn content(bytes: &[u8]) -> Content {
        let tier2 = MemoryTier2::new();
        let (first, second) = bytes.split_at(bytes.len() / 3);
        tier2.create("a", first).unwrap();
        tier2.create("b", second).unwrap();
        let part = |key: &str, bytes: &[u8]| ChunkPart { key: key.into(), length: bytes.len() as u64 };
        let chain = Chain { first_start: 0, parts: vec![part("a", first), part("b", second)] };
        read(&chain, 0, &tier2, &Silent).unwrap()
    }

    #[test]
    fn events_are_counted_and_a_stop_behind_them_is_seen() {
        let event =
            |payload: &[u8]| [&[0; 4][..], &u32::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat();
        let two = [event(b"first"), event(b"the second")].concat();
        assert_eq!(content(&two), Content { bytes: 31, events: 2, stops_at: None });
        assert_eq!(content(&two[..30]), Content { bytes: 30, events: 1, stops_at: Some(13) });
        let followed = [&two[..], b"no event at all"].concat();
        assert_eq!(content(&followed), Content { bytes: 46, events: 2, stops_at: Some(31) });
        assert_eq!(content(b"no event at all"), Content { bytes: 15, events: 0, stops_at: None });
        assert_eq!(content(b""), Content { bytes: 0, events: 0, stops_at: None });
    }

    #[test]
    fn a_shorter_object_is_an_error() {
        let tier2 = MemoryTier2::new();
        tier2.create("a", b"1234").unwrap();
        let chain = Chain { first_start: 0, parts: vec![ChunkPart { key: "a".into(), length: 5 }] };
        assert_eq!(read(&chain, 0, &tier2, &Silent).unwrap_err().code, "object-shorter");
    }
}

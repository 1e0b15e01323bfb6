//! Counting whole events in the bytes of a stream segment, piece by piece.
//!
//! Event writers store each event as `type i32 = 0 | length i32 | payload` (`WireCommands.Event`). Nothing in the metadata
//! tells whether a segment holds events or raw bytes (byte streams, state of reader groups): only the content does.

/// Bytes of the header before each payload.
pub const EVENT_HEADER_LENGTH: usize = 8;

/// Length of the payload behind a header, in bytes; none if these bytes are no header of an event.
pub fn payload_length(header: [u8; EVENT_HEADER_LENGTH]) -> Option<u32> {
    let [t0, t1, t2, t3, length @ ..] = header;
    u32::try_from(i32::from_be_bytes(length)).ok().filter(|_| [t0, t1, t2, t3] == [0; 4])
}

/// Payloads of the whole events that stand at the beginning of `bytes`, one behind the other.
pub fn payloads(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (header, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(payload_length(*header)?).ok()?;
        let payload = rest.get(..length)?;
        bytes = rest.get(length..).unwrap_or_default();
        Some(payload)
    })
}

/// Walks over the bytes of one segment, given in order and in pieces of any size, and finds the last whole event.
///
/// Uses constant memory and never fails: content that stops being events is reported by [`EventWalker::stopped_at`].
/// Payloads need not be read: see [`EventWalker::skippable`].
#[derive(Clone, Debug)]
pub struct EventWalker {
    position: u64,
    whole_end: u64,
    whole_events: u64,
    header: [u8; EVENT_HEADER_LENGTH],
    header_length: usize,
    payload_left: u64,
    stopped: bool,
}

impl EventWalker {
    /// Starts at a segment offset where an event begins: the start offset of a segment, since truncation never cuts an
    /// event.
    pub fn new(start_offset: u64) -> Self {
        Self {
            position: start_offset,
            whole_end: start_offset,
            whole_events: 0,
            header: [0; EVENT_HEADER_LENGTH],
            header_length: 0,
            payload_left: 0,
            stopped: false,
        }
    }

    /// Takes the next bytes. Does nothing once the content stopped parsing.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.stopped {
            let taken = if self.payload_left > 0 { self.take_payload(bytes.len()) } else { self.take_header(bytes) };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    fn take_payload(&mut self, available: usize) -> usize {
        let taken = usize::try_from(self.payload_left).map_or(available, |left| left.min(available));
        self.advance_payload(taken as u64);
        taken
    }

    fn take_header(&mut self, bytes: &[u8]) -> usize {
        if self.header_length == 0
            && let Some(header) = bytes.first_chunk()
        {
            self.start_event(*header);
            return EVENT_HEADER_LENGTH;
        }
        let mut taken = 0;
        for (slot, byte) in self.header.iter_mut().skip(self.header_length).zip(bytes) {
            *slot = *byte;
            taken += 1;
        }
        self.header_length += taken;
        if self.header_length == EVENT_HEADER_LENGTH {
            self.header_length = 0;
            self.start_event(self.header);
        } else {
            self.position = self.position.saturating_add(taken as u64);
        }
        taken
    }

    /// Judges a complete header. `position` still lacks the part of the header that came with the current piece.
    fn start_event(&mut self, header: [u8; EVENT_HEADER_LENGTH]) {
        let Some(length) = payload_length(header) else {
            self.stopped = true;
            self.position = self.whole_end;
            return;
        };
        self.position = self.whole_end.saturating_add(EVENT_HEADER_LENGTH as u64);
        self.payload_left = u64::from(length);
        self.advance_payload(0);
    }

    fn advance_payload(&mut self, count: u64) {
        self.position = self.position.saturating_add(count);
        self.payload_left -= count;
        if self.payload_left == 0 {
            self.whole_events += 1;
            self.whole_end = self.position;
        }
    }

    /// Payload bytes that come next and that need not be read: instead of pushing them, call [`EventWalker::skip`].
    pub fn skippable(&self) -> u64 {
        self.payload_left
    }

    /// Passes over up to `count` bytes that are known to exist but were not read; returns how many were passed over, at
    /// most [`EventWalker::skippable`].
    pub fn skip(&mut self, count: u64) -> u64 {
        let skipped = count.min(self.payload_left);
        if skipped > 0 {
            self.advance_payload(skipped);
        }
        skipped
    }

    /// Segment offset of the next byte to push; the offset of the offending header once stopped.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Number of whole events so far.
    pub fn whole_events(&self) -> u64 {
        self.whole_events
    }

    /// Segment offset at which the last whole event ends; the start offset if there was none.
    pub fn whole_end(&self) -> u64 {
        self.whole_end
    }

    /// Bytes of an event that began after [`EventWalker::whole_end`] and is not whole. Zero if the content ended with a
    /// whole event or stopped parsing.
    pub fn torn_bytes(&self) -> u64 {
        self.position - self.whole_end
    }

    /// Segment offset of the header that is none, if the content stopped parsing. With no whole event before it, the
    /// segment is not one of events; after some it is suspicious, and nothing should be cut.
    pub fn stopped_at(&self) -> Option<u64> {
        self.stopped.then_some(self.whole_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.extend((payload.len() as u32).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn counts_whole_events_and_a_torn_one() {
        let mut bytes = [event(b"one"), event(b""), event(b"three")].concat();
        let whole = bytes.len() as u64;
        bytes.extend(&event(b"torn")[..10]);
        let mut walker = EventWalker::new(100);
        walker.push(&bytes);
        assert_eq!((walker.whole_events(), walker.whole_end(), walker.torn_bytes()), (3, 100 + whole, 10));
        assert_eq!((walker.stopped_at(), walker.skippable()), (None, 2));
    }

    #[test]
    fn a_torn_header_is_torn() {
        let mut walker = EventWalker::new(0);
        walker.push(&[0, 0, 0]);
        assert_eq!((walker.whole_events(), walker.whole_end(), walker.torn_bytes()), (0, 0, 3));
    }

    #[test]
    fn raw_bytes_stop_at_once() {
        for bytes in [&b"plain text"[..], &[0, 0, 0, 0, 0xff, 0, 0, 0]] {
            let mut walker = EventWalker::new(7);
            walker.push(bytes);
            assert_eq!((walker.stopped_at(), walker.whole_events(), walker.torn_bytes()), (Some(7), 0, 0));
        }
    }

    #[test]
    fn big_payloads_can_be_skipped() {
        let mut walker = EventWalker::new(0);
        walker.push(&[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(walker.skippable(), 0x7fff_ffff);
        assert_eq!(walker.skip(u64::MAX), 0x7fff_ffff);
        assert_eq!((walker.whole_events(), walker.whole_end(), walker.skip(1)), (1, 0x8000_0007, 0));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20),
            garbage in prop::collection::vec(any::<u8>(), 0..20),
            piece in 1usize..30,
        ) {
            let mut bytes: Vec<u8> = payloads.iter().flat_map(|payload| event(payload)).collect();
            bytes.extend(garbage);
            let mut at_once = EventWalker::new(5);
            at_once.push(&bytes);
            let mut piecewise = EventWalker::new(5);
            bytes.chunks(piece).for_each(|chunk| piecewise.push(chunk));
            prop_assert!(at_once.whole_events() >= payloads.len() as u64);
            prop_assert_eq!(format!("{:?}", (at_once.whole_events(), at_once.whole_end(), at_once.stopped_at(), at_once.position())),
                format!("{:?}", (piecewise.whole_events(), piecewise.whole_end(), piecewise.stopped_at(), piecewise.position())));
        }
    }
}

//! Reading events and bytes through the chain of a segment.

use std::io::{self, BufReader, Read};

use dr_backends::tier2::Tier2;
use dr_formats::events::{EVENT_HEADER_LENGTH, payload_length};

use super::found::Piece;
use super::{EventSink, NotExported};
use crate::chain::Chain;
use crate::error::{OperatorError, Result};

/// Bytes read from Tier-2 at once.
const BLOCK_BYTES: usize = 1 << 20;

/// The bytes of a chain from an offset on. An error of Tier-2 is kept, since [`Read`] has no room for it.
#[derive(Debug)]
pub(super) struct ChainReader<'a> {
    chain: &'a Chain,
    position: u64,
    tier2: &'a dyn Tier2,
    failure: Option<OperatorError>,
}

impl<'a> ChainReader<'a> {
    pub(super) fn new(chain: &'a Chain, position: u64, tier2: &'a dyn Tier2) -> BufReader<Self> {
        BufReader::with_capacity(BLOCK_BYTES, Self { chain, position, tier2, failure: None })
    }
}

impl Read for ChainReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.chain.end().saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        match self.chain.read(self.tier2, self.position, &mut buffer[..length]) {
            Ok(()) => {
                self.position += length as u64;
                Ok(length)
            }
            Err(error) => {
                let sentence = error.to_string();
                self.failure = Some(error);
                Err(io::Error::other(sentence))
            }
        }
    }
}

/// Runs something that reads and writes, and says which of the two failed.
pub(super) fn copy<'a, T>(
    reader: &mut BufReader<ChainReader<'a>>,
    work: impl FnOnce(&mut BufReader<ChainReader<'a>>) -> io::Result<T>,
) -> Result<T> {
    work(reader).map_err(|error| reader.get_mut().failure.take().unwrap_or_else(|| unwritable(&error)))
}

/// The error for an output that does not take what is written.
pub(super) fn unwritable(error: &io::Error) -> OperatorError {
    OperatorError::new(
        "export-unwritable",
        "the exported events cannot be written",
        "make room, or name another place with --output, and run the command again; nothing half written was kept in files",
    )
    .because(error)
}

/// Goes from event to event.
pub(super) struct Walk<'a> {
    segment: &'a str,
    reader: BufReader<ChainReader<'a>>,
    position: u64,
    end: u64,
    damaged: bool,
    pub(super) events: u64,
    pub(super) payload_bytes: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(segment: &'a str, piece: &'a Piece, tier2: &'a dyn Tier2) -> Self {
        Self {
            segment,
            reader: ChainReader::new(&piece.chain, piece.start, tier2),
            position: piece.start,
            end: piece.chain.end(),
            damaged: false,
            events: 0,
            payload_bytes: 0,
        }
    }

    /// Writes the next event; false if there is no further whole one.
    pub(super) fn write_next(&mut self, sink: &mut dyn EventSink) -> Result<bool> {
        let left = self.end - self.position;
        if left < EVENT_HEADER_LENGTH as u64 {
            return Ok(false);
        }
        let mut header = [0; EVENT_HEADER_LENGTH];
        copy(&mut self.reader, |reader| reader.read_exact(&mut header))?;
        let Some(length) = payload_length(header) else {
            self.damaged = true;
            return Ok(false);
        };
        let whole = EVENT_HEADER_LENGTH as u64 + u64::from(length);
        if whole > left {
            return Ok(false);
        }
        let (segment, position) = (self.segment, self.position);
        copy(&mut self.reader, |reader| sink.event(segment, position, length, &mut reader.take(u64::from(length))))?;
        self.position += whole;
        self.events += 1;
        self.payload_bytes += u64::from(length);
        Ok(true)
    }

    /// What stands behind the last whole event.
    pub(super) fn rest(&self) -> Option<NotExported> {
        let reason = if self.damaged { "damaged" } else { "torn" };
        (self.position < self.end).then_some(NotExported { first: self.position, end: self.end, reason })
    }
}

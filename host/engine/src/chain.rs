//! The chain of chunks behind one segment, and reading through it.

use dr_backends::tier2::Tier2;

use crate::error::{OperatorError, Result};
use crate::listing::ChunkObject;

/// A chunk and how many of its bytes belong to the segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkPart {
    /// Raw key of the object.
    pub key: Box<str>,
    /// Bytes from its beginning.
    pub length: u64,
}

/// Chunks in segment order. Offsets are not stored: each begins where the one before ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Segment offset of the first byte of the first chunk; the length of the segment if there is no chunk.
    pub first_start: u64,
    /// The chunks.
    pub parts: Vec<ChunkPart>,
}

impl Chain {
    /// Offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.first_start + self.parts.iter().map(|part| part.length).sum::<u64>()
    }

    /// The same chain ending at `end`, which must not lie before its beginning. Chunks behind are dropped.
    #[must_use]
    pub fn cut(&self, end: u64) -> Self {
        let mut position = self.first_start;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let length = part.length.min(end.saturating_sub(position));
            // An empty chunk inside the kept range is legal in a chain; one at the cut is not needed.
            if length == 0 && (part.length > 0 || position >= end) {
                break;
            }
            parts.push(ChunkPart { key: part.key.clone(), length });
            position += part.length;
        }
        Self { first_start: self.first_start, parts }
    }

    /// Fills `buffer` with the bytes from segment offset `offset` on.
    ///
    /// # Errors
    /// `segment-range` if the range is not inside the chain; `object-shorter` if an object lost bytes since it was
    /// listed; Tier-2 errors.
    pub fn read(&self, tier2: &dyn Tier2, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut start = self.first_start;
        let mut filled = 0;
        for part in &self.parts {
            if filled == buffer.len() {
                break;
            }
            let wanted = offset + filled as u64;
            let end = start + part.length;
            if wanted >= start && wanted < end {
                let take = (buffer.len() - filled).min(usize::try_from(end - wanted).unwrap_or(usize::MAX));
                read_object(tier2, part, wanted - start, &mut buffer[filled..filled + take])?;
                filled += take;
            }
            start = end;
        }
        if filled == buffer.len() { Ok(()) } else { Err(self.outside(offset, buffer.len())) }
    }

    /// The bytes from `start` to `end`.
    ///
    /// # Errors
    /// As [`Chain::read`].
    pub fn read_range(&self, tier2: &dyn Tier2, start: u64, end: u64) -> Result<Vec<u8>> {
        // Checked against the chain, whose length comes from object sizes, before anything is allocated.
        if start < self.first_start || end > self.end() || start > end {
            return Err(self.outside(start, usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX)));
        }
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        self.read(tier2, start, &mut bytes)?;
        Ok(bytes)
    }

    fn outside(&self, offset: u64, length: usize) -> OperatorError {
        OperatorError::new(
            "segment-range",
            format!(
                "bytes {offset} to {} are asked of a segment that holds {} to {}",
                offset + length as u64,
                self.first_start,
                self.end()
            ),
            "report this as a defect of dr, with the run directory",
        )
    }
}

/// The chain that the names tell: each chunk where the one before ends; of several at one offset the newest.
pub fn chain_by_names(chunks: &[&ChunkObject]) -> Chain {
    let mut sorted = chunks.to_vec();
    sorted.sort_unstable_by_key(|chunk| (chunk.offset, std::cmp::Reverse((chunk.epoch, chunk.size))));
    let mut chain = Chain { first_start: sorted.first().map_or(0, |chunk| chunk.offset), parts: Vec::new() };
    for chunk in sorted {
        if chunk.offset == chain.end() && chunk.size > 0 {
            chain.parts.push(ChunkPart { key: chunk.key.clone(), length: chunk.size });
        }
    }
    chain
}

fn read_object(tier2: &dyn Tier2, part: &ChunkPart, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let read = tier2.read_at(&part.key, offset, buffer)?;
    if read == buffer.len() {
        return Ok(());
    }
    Err(OperatorError::new(
        "object-shorter",
        format!(
            "{}: the object `{}` ends at {}, {} bytes were listed",
            tier2.location(),
            part.key,
            offset + read as u64,
            part.length
        ),
        "stop whatever changes Tier-2, then run the command again",
    )
    .may_retry())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(first_start: u64, lengths: &[u64]) -> Chain {
        let part = |(index, &length): (usize, &u64)| ChunkPart { key: format!("c{index}").into(), length };
        Chain { first_start, parts: lengths.iter().enumerate().map(part).collect() }
    }

    #[test]
    fn cutting_keeps_what_lies_before() {
        assert_eq!(chain(10, &[5, 5]).cut(20), chain(10, &[5, 5]));
        assert_eq!(chain(10, &[5, 5]).cut(17), chain(10, &[5, 2]));
        assert_eq!(chain(10, &[5, 5]).cut(15), chain(10, &[5]));
        assert_eq!(chain(10, &[5, 5]).cut(10), chain(10, &[]));
        assert_eq!(chain(0, &[5, 0, 5]).cut(8), chain(0, &[5, 0, 3]));
        assert_eq!(chain(0, &[5, 0, 5]).cut(5), chain(0, &[5]));
    }

    #[test]
    fn a_chain_by_names_stops_at_a_gap_and_takes_the_newest_of_several() {
        let objects = [(10, 1, 5), (15, 1, 2), (15, 3, 4), (19, 3, 1), (30, 3, 1)]
            .map(|(offset, epoch, size)| ChunkObject::for_test("s", offset, epoch, size));
        let chunks: Vec<&ChunkObject> = objects.iter().collect();
        let chain = chain_by_names(&chunks);
        assert_eq!((chain.first_start, chain.end(), chain.parts.len()), (10, 20, 3));
    }
}

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

/// The chain that the names tell, up to the first gap: see [`chains_by_names`].
pub fn chain_by_names(chunks: &[&ChunkObject]) -> Chain {
    chains_by_names(chunks).into_iter().next().unwrap_or_default()
}

/// The chains that the names tell, with a gap before each but the first: each chunk stands where the one before ends; of
/// several at one offset the newest is taken, then the longest.
///
/// A chunk of a newer epoch that begins inside an older one and reaches further goes on from there: whatever the older
/// one holds behind was written when its container lived elsewhere already.
pub fn chains_by_names(chunks: &[&ChunkObject]) -> Vec<Chain> {
    let mut sorted: Vec<&ChunkObject> = chunks.iter().copied().filter(|chunk| chunk.size > 0).collect();
    sorted.sort_unstable_by_key(|chunk| (chunk.offset, std::cmp::Reverse((chunk.epoch, chunk.size))));
    let mut chains: Vec<Chain> = Vec::new();
    let mut newest = 0;
    for chunk in sorted {
        let part = ChunkPart { key: chunk.key.clone(), length: chunk.size };
        match chains.last_mut() {
            Some(chain) if chunk.offset == chain.end() => chain.parts.push(part),
            Some(chain) if chunk.offset < chain.end() => {
                if chunk.epoch <= newest || chunk.offset.saturating_add(chunk.size) <= chain.end() {
                    continue;
                }
                *chain = chain.cut(chunk.offset);
                chain.parts.push(part);
            }
            _ => chains.push(Chain { first_start: chunk.offset, parts: vec![part] }),
        }
        newest = chunk.epoch;
    }
    chains
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
        let behind = &chains_by_names(&chunks)[1..];
        assert_eq!(behind.iter().map(|chain| (chain.first_start, chain.end())).collect::<Vec<_>>(), [(30, 31)]);
        assert_eq!(chain_by_names(&[]), Chain::default());
    }

    #[test]
    fn a_newer_chunk_that_goes_further_wins_over_what_it_overlaps() {
        let spans = |objects: &[(u64, u64, u64)]| {
            let objects: Vec<_> =
                objects.iter().map(|&(offset, epoch, size)| ChunkObject::for_test("s", offset, epoch, size)).collect();
            let chains = chains_by_names(&objects.iter().collect::<Vec<_>>());
            let lengths = |chain: &Chain| chain.parts.iter().map(|part| part.length).collect::<Vec<_>>();
            chains.iter().map(|chain| (chain.first_start, lengths(chain))).collect::<Vec<_>>()
        };
        // The store of epoch 1 went on writing after that of epoch 2 had taken over at 6.
        assert_eq!(spans(&[(0, 1, 10), (6, 2, 8), (14, 2, 1)]), [(0, vec![6, 8, 1])]);
        // Chunks that were joined into one and not removed yet.
        assert_eq!(spans(&[(0, 1, 10), (6, 2, 4), (10, 2, 5)]), [(0, vec![10, 5])]);
        // An older one never goes on inside a newer one.
        assert_eq!(spans(&[(0, 2, 10), (6, 1, 8)]), [(0, vec![10])]);
    }
}

//! Rows of a stream's table `metadata` that tell what is being done with it.

use crate::error::DecodeError;
use crate::primitives::Reader;

/// Key of the scale that is under way, if one is.
pub const EPOCH_TRANSITION_KEY: &str = "epochTransition";
/// Key of the name of the only handler whose requests are processed now; there is no such row normally.
pub const WAITING_PROCESSOR_KEY: &str = "waitingRequestProcessor";
/// What that row says if others wait for the processor of commits.
pub const COMMIT_PROCESSOR: &str = "CommitRequestHandler";

/// A part of the key space, as the bits of two doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentRange {
    /// Bits of the lower bound.
    pub low: u64,
    /// Bits of the upper bound.
    pub high: u64,
}

impl SegmentRange {
    /// True if some key lies in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let [low, high, other_low, other_high] = [self.low, self.high, other.low, other.high].map(f64::from_bits);
        low < other_high && other_low < high
    }
}

/// A scale that is under way (`EpochTransitionRecord`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochTransition {
    /// Milliseconds since 1970.
    pub time: i64,
    /// Ids of the segments that are replaced.
    pub segments_to_seal: Vec<i64>,
    /// Ids and ranges of those that take their place.
    pub new_segments: Vec<(i64, SegmentRange)>,
}

/// Bytes of a segment with its range: id, count, two doubles.
const NEW_SEGMENT_LENGTH: usize = 8 + 1 + 16;

impl EpochTransition {
    /// Decodes the row `epochTransition`; none if no scale is under way.
    ///
    /// # Errors
    /// If the bytes do not follow the format.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut reader = Reader::new("epoch transition of a stream", bytes);
        let transition = reader.read_single("epoch transition of a stream", |body| {
            let active_epoch = body.i32()?;
            let time = body.i64()?;
            let segments_to_seal = body.list(size_of::<i64>(), Reader::i64)?;
            let new_segments = body.list(NEW_SEGMENT_LENGTH, read_new_segment)?;
            let transition = Self { time, segments_to_seal, new_segments };
            Ok((active_epoch != i32::MIN).then_some(transition))
        })?;
        reader.expect_end()?;
        Ok(transition)
    }
}

fn read_new_segment(body: &mut Reader<'_>) -> Result<(i64, SegmentRange), DecodeError> {
    let id = body.i64()?;
    let error = body.error("one range");
    // A map with one entry.
    let ranges = body.list(16, |body| Ok(SegmentRange { low: body.u64()?, high: body.u64()? }))?;
    match ranges.as_slice() {
        [range] => Ok((id, *range)),
        _ => Err(error),
    }
}

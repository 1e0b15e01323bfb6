//! Rows of a table `metadata` that tell of epochs and of the segments that these have.

use super::SegmentRange;
use crate::error::DecodeError;
use crate::primitives::{Reader, Writer};

/// Bytes of a segment of an epoch.
pub(super) const EPOCH_SEGMENT_LENGTH: usize = 40;
/// Epochs whose sealed segments share a row (`SealedSegmentsMapShard.SHARD_SIZE`).
const EPOCHS_OF_SEALED_SIZES: i64 = 1000;
const SEGMENT: &str = "segment of an epoch";
const SEALED_SIZES: &str = "sizes of sealed segments";

/// A segment of an epoch (`StreamSegmentRecord`, `KVTSegmentRecord`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochSegment {
    /// Its number.
    pub number: u32,
    /// When it was created, in milliseconds since 1970.
    pub created: i64,
    /// The epoch in which it was created.
    pub epoch: u32,
    /// Its part of the key space.
    pub range: SegmentRange,
}

impl EpochSegment {
    /// Its id, see [`StreamSegment::id`](crate::names::StreamSegment::id).
    #[must_use]
    pub fn id(&self) -> i64 {
        i64::from(self.epoch) << 32 | i64::from(self.number)
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        body.read_single(SEGMENT, |body| {
            let (number, created, epoch) = (body.u32()?, body.i64()?, body.u32()?);
            Ok(Self { number, created, epoch, range: SegmentRange { low: body.u64()?, high: body.u64()? } })
        })
    }

    /// Writes it as rows hold it.
    pub fn write(&self, body: &mut Writer) {
        body.write_single(|body| {
            body.u32(self.number);
            body.i64(self.created);
            body.u32(self.epoch);
            body.u64(self.range.low);
            body.u64(self.range.high);
        });
    }
}

/// Key of the row of an epoch in the table `metadata` of a stream or key-value table.
#[must_use]
pub fn key_of_epoch(epoch: u32) -> String {
    format!("{EPOCH_KEY_PREFIX}{epoch}")
}

const EPOCH_KEY_PREFIX: &str = "epochRecord-";

/// The epoch of a key `epochRecord-<epoch>`.
pub fn epoch_of_key(key: &str) -> Option<u32> {
    let digits = key.strip_prefix(EPOCH_KEY_PREFIX)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Decodes a row `epochRecord-<epoch>` of a stream: its segments.
///
/// # Errors
/// If the bytes do not follow the format.
pub fn decode_stream_epoch(bytes: &[u8]) -> Result<Vec<EpochSegment>, DecodeError> {
    decode_epoch("epoch of a stream", bytes, |body| {
        body.i32()?;
        // The epoch that this one repeats after transactions of it were committed.
        body.i32()
    })
}

/// Decodes a row `epochRecord-<epoch>` of a key-value table, as [`decode_stream_epoch`] does.
///
/// # Errors
/// If the bytes do not follow the format.
pub fn decode_key_value_table_epoch(bytes: &[u8]) -> Result<Vec<EpochSegment>, DecodeError> {
    decode_epoch("epoch of a key-value table", bytes, |body| body.i32())
}

fn decode_epoch(
    what: &'static str,
    bytes: &[u8],
    read_epochs: impl FnOnce(&mut Reader<'_>) -> Result<i32, DecodeError>,
) -> Result<Vec<EpochSegment>, DecodeError> {
    let mut reader = Reader::new(what, bytes);
    let segments = reader.read_single(what, |body| {
        read_epochs(body)?;
        body.list(EPOCH_SEGMENT_LENGTH, EpochSegment::read)
    })?;
    reader.expect_end()?;
    Ok(segments)
}

/// The segment of a key `segmentSealedEpochPath-<segment id>` in a stream's `metadata`: a row that the controller writes
/// once the segment was sealed and others took its place, with the number of their epoch.
pub fn sealed_segment_of_key(key: &str) -> Option<i64> {
    let digits = key.strip_prefix(SEALED_KEY_PREFIX)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

const SEALED_KEY_PREFIX: &str = "segmentSealedEpochPath-";

/// The key of which [`sealed_segment_of_key`] gives the segment.
#[must_use]
pub fn key_of_sealed_segment(segment: i64) -> String {
    format!("{SEALED_KEY_PREFIX}{segment}")
}

/// Key of the row that has the size of a sealed segment.
#[must_use]
pub fn key_of_sealed_size(segment: i64) -> String {
    format!("segmentsSealedSizeMapShard-{}", (segment >> 32) / EPOCHS_OF_SEALED_SIZES)
}

/// Decodes a row of sizes of sealed segments: ids and bytes (`SealedSegmentsMapShard`).
///
/// # Errors
/// If the bytes do not follow the format.
pub fn decode_sealed_sizes(bytes: &[u8]) -> Result<Vec<(i64, i64)>, DecodeError> {
    let mut reader = Reader::new(SEALED_SIZES, bytes);
    let sizes = reader
        .read_single(SEALED_SIZES, |body| body.list(2 * size_of::<i64>(), |body| Ok((body.i64()?, body.i64()?))))?;
    reader.expect_end()?;
    Ok(sizes)
}

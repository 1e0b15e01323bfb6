//! The row `truncation` of a stream: where the stream begins.

use super::EpochSegment;
use super::epoch::EPOCH_SEGMENT_LENGTH;
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer};

const TRUNCATION: &str = "truncation of a stream";

/// Where a stream begins (`StreamTruncationRecord`). The controller writes it before it truncates the segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truncation {
    /// The stream cut: segment ids, see [`StreamSegment::id`](crate::names::StreamSegment::id), with the first offset of each that may be
    /// read, below 0 for one to which no reader had come yet; empty if the stream was never truncated, so that it begins with the segments
    /// of its first epoch.
    pub cut: Vec<(i64, i64)>,
    /// The segments of the cut, with the newest epoch up to the cut's own that has each of them.
    pub span: Vec<(EpochSegment, u32)>,
    /// Ids of the segments that were deleted so far.
    pub deleted: Vec<i64>,
    /// Ids of those that this truncation deletes.
    pub to_delete: Vec<i64>,
    /// Bytes of the stream before the cut.
    pub size_till: i64,
    /// It is not finished.
    pub is_under_way: bool,
}

impl Truncation {
    /// Decodes the row.
    ///
    /// # Errors
    /// If the bytes do not follow the format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(TRUNCATION, bytes);
        let truncation = reader.read_single(TRUNCATION, |body| {
            Ok(Self {
                cut: body.list(2 * size_of::<i64>(), |body| Ok((body.i64()?, body.i64()?)))?,
                span: body.list(EPOCH_SEGMENT_LENGTH + size_of::<u32>(), |body| {
                    Ok((EpochSegment::read(body)?, body.u32()?))
                })?,
                deleted: body.list(size_of::<i64>(), Reader::i64)?,
                to_delete: body.list(size_of::<i64>(), Reader::i64)?,
                size_till: body.i64()?,
                is_under_way: body.bool()?,
            })
        })?;
        reader.expect_end()?;
        Ok(truncation)
    }

    /// The beginning of a stream that was never truncated, by the segments of its first epoch.
    #[must_use]
    pub fn of_first_epoch(segments: &[EpochSegment]) -> Self {
        let cut = segments.iter().map(|segment| (segment.id(), 0)).collect();
        Self { cut, span: segments.iter().map(|segment| (*segment, 0)).collect(), ..Self::default() }
    }

    /// Encodes the row.
    ///
    /// # Errors
    /// If a list is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.list(&self.cut, |body, (segment, offset)| {
                body.i64(*segment);
                body.i64(*offset);
            });
            body.list(&self.span, |body, (segment, epoch)| {
                segment.write(body);
                body.u32(*epoch);
            });
            body.list(&self.deleted, |body, segment| body.i64(*segment));
            body.list(&self.to_delete, |body, segment| body.i64(*segment));
            body.i64(self.size_till);
            body.bool(self.is_under_way);
        });
        writer.finish()
    }
}

//! The row `truncation` of a stream: where the stream begins.

use super::{SEGMENT_RECORD_LENGTH, read_segment_id};
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer};

const TRUNCATION: &str = "truncation of a stream";
const SEGMENT: &str = "segment of an epoch";

/// Where a stream begins (`StreamTruncationRecord`). The controller writes it before it truncates the segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truncation {
    /// The stream cut: segment ids, see [`StreamSegment::id`](crate::names::StreamSegment::id), with the first offset of each that may be
    /// read; empty if the stream was never truncated, so that it begins with the segments of its first epoch.
    pub cut: Vec<(i64, u64)>,
    /// The segments of the cut, with the newest epoch before the cut that has each of them.
    pub span: Vec<(SegmentRecord, i32)>,
    /// Ids of the segments that were deleted so far.
    pub deleted: Vec<i64>,
    /// Ids of those that this truncation deletes.
    pub to_delete: Vec<i64>,
    /// Bytes of the stream before the cut.
    pub size_till: u64,
    /// It is not finished.
    pub is_under_way: bool,
}

/// A segment with its range (`StreamSegmentRecord`), as it was serialized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord(Vec<u8>);

impl Truncation {
    /// Decodes the row.
    ///
    /// # Errors
    /// If the bytes do not follow the format, or an offset or the size is negative.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(TRUNCATION, bytes);
        let truncation = reader.read_single(TRUNCATION, |body| {
            Ok(Self {
                cut: body.list(2 * size_of::<i64>(), |body| Ok((body.i64()?, body.length()?)))?,
                span: body
                    .list(SEGMENT_RECORD_LENGTH + size_of::<i32>(), |body| Ok((read_segment(body)?.1, body.i32()?)))?,
                deleted: body.list(size_of::<i64>(), Reader::i64)?,
                to_delete: body.list(size_of::<i64>(), Reader::i64)?,
                size_till: body.length()?,
                is_under_way: body.bool()?,
            })
        })?;
        reader.expect_end()?;
        Ok(truncation)
    }

    /// The beginning of a stream that was never truncated, by the row `epochRecord-0`.
    ///
    /// # Errors
    /// If the bytes do not follow the format.
    pub fn of_first_epoch(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("epoch of a stream", bytes);
        let (epoch, segments) = reader.read_single("epoch of a stream", |body| {
            let epoch = body.i32()?;
            // The epoch that this one repeats.
            body.i32()?;
            Ok((epoch, body.list(SEGMENT_RECORD_LENGTH, read_segment)?))
        })?;
        reader.expect_end()?;
        let cut = segments.iter().map(|(id, _)| (*id, 0)).collect();
        let span = segments.into_iter().map(|(_, record)| (record, epoch)).collect();
        Ok(Self { cut, span, ..Self::default() })
    }

    /// Encodes the row.
    ///
    /// # Errors
    /// If an offset or the size is above 2^63 - 1, or a list too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.list(&self.cut, |body, (segment, offset)| {
                body.i64(*segment);
                body.length(*offset);
            });
            body.list(&self.span, |body, (record, epoch)| {
                body.bytes(&record.0);
                body.i32(*epoch);
            });
            body.list(&self.deleted, |body, segment| body.i64(*segment));
            body.list(&self.to_delete, |body, segment| body.i64(*segment));
            body.length(self.size_till);
            body.bool(self.is_under_way);
        });
        writer.finish()
    }
}

/// The id of a segment, and its record.
fn read_segment(body: &mut Reader<'_>) -> Result<(i64, SegmentRecord), DecodeError> {
    let (rest, start) = (body.rest(), body.position());
    let id = body.read_single(SEGMENT, read_segment_id)?;
    let record = rest.get(..body.position() - start).unwrap_or_default();
    Ok((id, SegmentRecord(record.to_vec())))
}

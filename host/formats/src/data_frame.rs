//! Data frames: how records (operations) are cut into the entries of a log (`DataFrame`, `DataFrameOutputStream`,
//! `DataFrameInputStream` and `DataFrameReader` of Pravega).
//!
//! ```text
//! frame := 00 (version) · i32 content length · 00 (flags) · part*       one frame is one BookKeeper entry
//! part  := i32 length · u8 flags · bytes                                flags: 1 = first part of a record, 2 = last
//! ```

mod parts;
mod reader;
mod sequence;
mod writer;

pub use parts::{FramePart, FrameParts};
pub use reader::{FrameReader, RECORD_MAX_BYTES, Record, RecordPart};
pub use sequence::{REMEMBERED_OPERATIONS, Repetition, SequenceTracker};
pub use writer::{FRAME_MAX_BYTES, FrameWriter};

/// Version byte of a frame.
const FRAME_VERSION: u8 = 0;
/// Version, content length and flags.
const FRAME_HEADER_BYTES: usize = 6;
/// Length and flags of a part.
const PART_HEADER_BYTES: usize = 5;
/// The part begins a record.
const FIRST_PART: u8 = 1;
/// The part ends a record.
const LAST_PART: u8 = 2;

#[cfg(test)]
mod tests;

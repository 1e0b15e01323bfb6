//! Pravega's serialisation primitives in both directions.
//!
//! Formats: `VersionedSerializer`, `RevisionDataOutputStream` and `RevisionDataInputStream` of Pravega. Everything is
//! big-endian. A *single-type* object is `00 · version · revision count · revisions`, a *multi-type* object has a type
//! id between the first two; a revision is `id · i32 length · body`. Readers skip revisions that they do not know and
//! bytes that they do not read at the end of a revision, and accept fewer revisions than they know.

mod modified_utf8;
mod reader;
mod uuid;
mod writer;

pub use reader::{ObjectReader, Reader, only_body_of_single, only_name_of_single};
pub use uuid::Uuid;
pub use writer::{ObjectWriter, Writer};

/// Format version byte of `VersionedSerializer`; there has been no other.
const OBJECT_FORMAT: u8 = 0;

/// Largest value of a compact int: 2^30 - 2, for the Java writer refuses 2^30 - 1.
pub const COMPACT_INT_MAX: u32 = (1 << 30) - 2;
/// Largest value of a compact long: 2^62 - 2.
pub const COMPACT_LONG_MAX: u64 = (1 << 62) - 2;
/// Largest value of a compact signed long: 2^61 - 2.
pub const COMPACT_SIGNED_LONG_MAX: i64 = (1 << 61) - 2;
/// Smallest value of a compact signed long: -(2^61 - 1).
pub const COMPACT_SIGNED_LONG_MIN: i64 = -((1 << 61) - 1);
/// Longest string, in bytes of modified UTF-8.
pub const UTF_MAX_BYTES: usize = u16::MAX as usize;

#[cfg(test)]
mod tests;

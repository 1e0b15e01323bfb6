//! Byte formats of Pravega and BookKeeper: pure codecs, bytes to values and back.
//!
//! No input or output, no clock. Every decoder is total: it returns a value or a [`DecodeError`] with the offset and
//! what was expected; it never panics and never allocates by a length that the bytes cannot hold. Every encoder
//! returns an [`EncodeError`] for a value that the format cannot hold.

pub mod attribute;
pub mod attribute_index;
pub mod bookie_cookie;
pub mod bookie_journal;
pub mod bookie_protocol;
pub mod checkpoint;
pub mod container_mapping;
pub mod controller;
pub mod data_frame;
pub mod entry_log;
pub mod error;
pub mod events;
pub mod journal;
pub mod ledger_entry;
pub mod ledger_index;
pub mod ledger_metadata;
pub mod log_metadata;
pub mod names;
pub mod operation;
pub mod primitives;
pub mod reader_group;
pub mod segment_info;
pub mod slts;
pub mod stepwise;
pub mod store_protocol;
pub mod table;

pub use error::{DecodeError, EncodeError};

#[cfg(test)]
pub(crate) mod test_support;

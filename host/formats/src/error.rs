//! What a codec says when bytes are not what the format demands, or when a value does not fit the format.

use std::borrow::Cow;

/// Bytes that do not follow the format.
///
/// `offset` counts from the base that the [`Reader`](crate::primitives::Reader) was given: usually the start of the
/// object, chunk or entry that the bytes come from, so that an operator can look at the very byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: at byte {offset}, expected {expected}")]
pub struct DecodeError {
    /// The structure that was being read, such as `segment row`.
    pub what: Cow<'static, str>,
    /// Position of the first byte that does not fit, in bytes from the reader's base.
    pub offset: u64,
    /// What the format demands there, as the end of the sentence "expected ...".
    pub expected: Cow<'static, str>,
}

impl DecodeError {
    /// An error of the structure `what` at `offset`.
    pub fn new(what: impl Into<Cow<'static, str>>, offset: u64, expected: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), offset, expected: expected.into() }
    }
}

/// A value that the format cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} does not fit: {limit}")]
pub struct EncodeError {
    /// The value, in words.
    pub what: Cow<'static, str>,
    /// The limit that it breaks.
    pub limit: Cow<'static, str>,
}

impl EncodeError {
    /// `what` breaks `limit`.
    pub fn new(what: impl Into<Cow<'static, str>>, limit: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), limit: limit.into() }
    }
}

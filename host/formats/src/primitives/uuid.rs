//! 128-bit identifiers as Java's `UUID` has them.

use std::fmt;

/// A 128-bit identifier: the most significant half, then the least significant half, both big-endian.
///
/// The order of this type is that of unsigned bytes, not that of Java's `UUID.compareTo` (which is signed).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Joins the halves, which Java has as signed longs.
    #[must_use]
    pub const fn from_halves(most: i64, least: i64) -> Self {
        Self((((most as u64 as u128) << 64) | (least as u64 as u128)).to_be_bytes())
    }

    /// The most significant half.
    #[must_use]
    pub const fn most(&self) -> i64 {
        (u128::from_be_bytes(self.0) >> 64) as u64 as i64
    }

    /// The least significant half.
    #[must_use]
    pub const fn least(&self) -> i64 {
        u128::from_be_bytes(self.0) as u64 as i64
    }
}

impl fmt::Display for Uuid {
    /// The usual 8-4-4-4-12 lower case hexadecimal form.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        write!(
            formatter,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            (bits >> 80) & 0xffff,
            (bits >> 64) & 0xffff,
            (bits >> 48) & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

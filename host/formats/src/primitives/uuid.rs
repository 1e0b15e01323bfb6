//! 128-bit identifiers as Java's `UUID` has them.

use std::fmt;

/// Characters of the usual form.
const TEXT_LENGTH: usize = 36;

/// Where dashes stand in it.
const DASHES: [usize; 4] = [8, 13, 18, 23];

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

    /// The identifier of which this is the usual form, in ASCII: exactly as it would be written.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let mut bits: u128 = 0;
        for (place, &character) in text.iter().enumerate() {
            let digit = match (DASHES.contains(&place), character) {
                (true, b'-') => continue,
                (false, b'0'..=b'9') => character - b'0',
                (false, b'a'..=b'f') => character - b'a' + 10,
                _ => return None,
            };
            bits = bits << 4 | u128::from(digit);
        }
        Some(Self(bits.to_be_bytes()))
    }

    /// The usual form, in ASCII. Millions of names end with one, and formatting each part as a number would take most of the
    /// time of writing such a name.
    fn to_text(self) -> [u8; TEXT_LENGTH] {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut text = [b'-'; TEXT_LENGTH];
        let places = text.iter_mut().enumerate().filter(|(place, _)| !DASHES.contains(place));
        for ((_, place), digit) in places.zip(digits) {
            *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        }
        text
    }
}

impl fmt::Display for Uuid {
    /// The usual 8-4-4-4-12 lower case hexadecimal form.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(std::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

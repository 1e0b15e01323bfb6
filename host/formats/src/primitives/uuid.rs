//! 128-bit identifiers as Java's `UUID` has them.

use std::fmt;

/// Characters of the usual form.
const TEXT_LENGTH: usize = 36;

/// Where dashes stand in it.
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// Where the digits of each byte stand in it.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// Its digits.
const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// The value of each character that is a digit; [`NO_DIGIT`] for the others.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};
const NO_DIGIT: u8 = 0xff;

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
        let text: &[u8; TEXT_LENGTH] = text.try_into().ok()?;
        let mut bytes = [0; 16];
        let mut seen = 0;
        for (byte, place) in bytes.iter_mut().zip(PLACES) {
            let (high, low) = (VALUES[usize::from(text[place])], VALUES[usize::from(text[place + 1])]);
            seen |= high | low;
            *byte = high << 4 | low;
        }
        // A character that is no digit has a bit that no digit has.
        let is_uuid = seen < DIGITS.len() as u8 && DASHES.iter().all(|&place| text[place] == b'-');
        is_uuid.then_some(Self(bytes))
    }

    /// The usual form, in ASCII. Millions of names end with one, and formatting each part as a number would take most of the
    /// time of writing such a name.
    #[must_use]
    pub fn to_text(self) -> [u8; TEXT_LENGTH] {
        let mut text = [b'-'; TEXT_LENGTH];
        for (byte, place) in self.0.into_iter().zip(PLACES) {
            text[place] = DIGITS[usize::from(byte >> 4)];
            text[place + 1] = DIGITS[usize::from(byte & 15)];
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

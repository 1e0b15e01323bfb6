//! Java's modified UTF-8: NUL is `C0 80`, a supplementary character is two surrogates of three bytes each.

use std::borrow::Cow;

/// First byte of the sequences of four bytes that modified UTF-8 does not have.
const FOUR_BYTE_LEAD: u8 = 0xf0;

/// Decodes `bytes`; borrows if they are plain UTF-8, as nearly all names are.
///
/// # Errors
/// Position of the first bad sequence and what was expected there. An unpaired surrogate is an error: Rust cannot
/// hold it.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, (usize, &'static str)> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && are_all(bytes, |byte| byte < FOUR_BYTE_LEAD)
    {
        return Ok(Cow::Borrowed(text));
    }
    let mut text = String::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let (unit, length) = code_unit(bytes, position)?;
        let start = position;
        position += length;
        if !(0xd800..0xe000).contains(&unit) {
            text.extend(char::from_u32(unit));
            continue;
        }
        let (low, low_length) = code_unit(bytes, position).map_err(|_| (start, PAIRED))?;
        if unit >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
            return Err((start, PAIRED));
        }
        position += low_length;
        text.extend(char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)));
    }
    Ok(Cow::Owned(text))
}

/// Whether something holds for all bytes. Looks at each of them, so that the compiler can take many at a time; names nearly always pass.
fn are_all(bytes: &[u8], holds: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, &byte| all & holds(byte))
}

const PAIRED: &str = "surrogates in pairs";

/// One UTF-16 code unit and the number of bytes that it takes; overlong forms are accepted, as Java does.
fn code_unit(bytes: &[u8], position: usize) -> Result<(u32, usize), (usize, &'static str)> {
    let bad = (position, "modified UTF-8");
    let at = |distance: usize| bytes.get(position + distance).copied().ok_or(bad);
    let continuation = |distance: usize| match at(distance)? {
        byte @ 0x80..=0xbf => Ok(u32::from(byte & 0x3f)),
        _ => Err(bad),
    };
    match at(0)? {
        byte @ 0x00..=0x7f => Ok((u32::from(byte), 1)),
        byte @ 0xc0..=0xdf => Ok(((u32::from(byte & 0x1f) << 6) | continuation(1)?, 2)),
        byte @ 0xe0..=0xef => Ok(((u32::from(byte & 0x0f) << 12) | (continuation(1)? << 6) | continuation(2)?, 3)),
        _ => Err(bad),
    }
}

/// Appends `text` to `output`.
pub(super) fn encode(text: &str, output: &mut Vec<u8>) {
    if are_all(text.as_bytes(), |byte| byte != 0 && byte < FOUR_BYTE_LEAD) {
        output.extend_from_slice(text.as_bytes());
        return;
    }
    for unit in text.encode_utf16() {
        let continuation = |shift: u16| 0x80 | ((unit >> shift) & 0x3f) as u8;
        match unit {
            0x01..=0x7f => output.push(unit as u8),
            0 | 0x80..=0x7ff => output.extend([0xc0 | (unit >> 6) as u8, continuation(0)]),
            _ => output.extend([0xe0 | (unit >> 12) as u8, continuation(6), continuation(0)]),
        }
    }
}

//! The fields of ledger metadata one by one, for metadata that cannot be decoded as a whole.

use super::HEADER;
use crate::error::DecodeError;

/// One field of the message as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawField<'a> {
    /// Offset in the ZNode's data.
    pub offset: u64,
    /// Number of the field in `LedgerMetadataFormat`.
    pub number: u64,
    /// Its name there; none for unknown numbers.
    pub name: Option<&'static str>,
    /// Its content.
    pub content: RawContent<'a>,
}

/// Content of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawContent<'a> {
    /// A number.
    Number(i64),
    /// A text, bytes, or a message.
    Bytes(&'a [u8]),
}

/// Names of the fields, from number 1 on.
const NAMES: [&str; 12] = [
    "quorumSize",
    "ensembleSize",
    "length",
    "lastEntryId",
    "state",
    "segment",
    "digestType",
    "password",
    "ackQuorumSize",
    "ctime",
    "customMetadata",
    "cToken",
];

/// All whole fields of a ledger's metadata (version 3), and where and why they end before the data does.
#[must_use]
pub fn raw_fields(data: &[u8]) -> (Vec<RawField<'_>>, Option<DecodeError>) {
    let mut fields = Vec::new();
    let damage = read_fields(data, &mut fields).err();
    (fields, damage)
}

fn read_fields<'a>(data: &'a [u8], fields: &mut Vec<RawField<'a>>) -> Result<(), DecodeError> {
    let error = |position: usize, expected: &'static str| DecodeError::new(super::WHAT, position as u64, expected);
    if !data.starts_with(HEADER) {
        return Err(error(0, "the line `BookieMetadataFormatVersion` with version 3"));
    }
    let mut position = HEADER.len();
    let length = read_number(data, &mut position).ok_or_else(|| error(position, "the length of the message"))?;
    let is_whole = length == (data.len() - position) as u64;
    let length_position = HEADER.len();
    while position < data.len() {
        let offset = position;
        let key = read_number(data, &mut position).ok_or_else(|| error(offset, "the number of a field"))?;
        let content = match key & 7 {
            0 => read_number(data, &mut position).map(|number| RawContent::Number(number.cast_signed())),
            2 => read_bytes(data, &mut position).map(RawContent::Bytes),
            _ => None,
        };
        let content = content.ok_or_else(|| error(offset, "a whole field of type 0 (number) or 2 (bytes)"))?;
        let number = key >> 3;
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let name = index.and_then(|index| NAMES.get(index)).copied();
        fields.push(RawField { offset: offset as u64, number, name, content });
    }
    if is_whole { Ok(()) } else { Err(error(length_position, "the length of the message that follows")) }
}

fn read_number(data: &[u8], position: &mut usize) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *data.get(*position)?;
        *position += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read_bytes<'a>(data: &'a [u8], position: &mut usize) -> Option<&'a [u8]> {
    let length = usize::try_from(read_number(data, position)?).ok()?;
    let bytes = data.get(*position..position.checked_add(length)?)?;
    *position += length;
    Some(bytes)
}

//! Entries of table segments.
//!
//! A table segment is a plain concatenation of entries, for hash tables and fixed-key-length tables alike:
//! `00 | keyLength i32 | valueLength i32 (-1: removal) | version i64 | key | value`. Source: `EntrySerializer` of
//! Pravega 0.13.0.

use std::collections::HashMap;

use crate::error::{DecodeError, EncodeError};

/// Bytes before the key of an entry.
pub const ENTRY_HEADER_LENGTH: usize = 17;
/// Longest key in bytes; the shortest is one byte.
pub const MAX_KEY_LENGTH: usize = 8192;
/// Most bytes that key and value have together.
pub const MAX_KEY_AND_VALUE_LENGTH: usize = 1 << 20;
/// Longest entry in bytes. A buffer of this size always holds a whole entry.
pub const MAX_ENTRY_LENGTH: usize = ENTRY_HEADER_LENGTH + MAX_KEY_AND_VALUE_LENGTH;

const ENTRY_FORMAT: u8 = 0;
/// Stored version of an entry whose version is its own offset.
const NO_VERSION: i64 = i64::MIN;
/// Stored length of the value of a removal.
const REMOVAL: i32 = -1;
const WHAT: &str = "table entry";

/// One entry of a table segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableEntry<'a> {
    /// Segment offset of the entry.
    pub offset: u64,
    /// Its version: the offset, unless compaction copied the entry, which keeps the old version.
    pub version: i64,
    /// The key, 1 to [`MAX_KEY_LENGTH`] bytes.
    pub key: &'a [u8],
    /// The value; none if the entry removes the key.
    pub value: Option<&'a [u8]>,
}

impl TableEntry<'_> {
    /// Segment offset of the next entry.
    pub fn end(&self) -> u64 {
        let length = ENTRY_HEADER_LENGTH + self.key.len() + self.value.map_or(0, <[u8]>::len);
        self.offset.saturating_add(length as u64)
    }

    /// Orders entries of one key: the highest version wins, and among equal ones the highest offset.
    pub fn rank(&self) -> (i64, u64) {
        (self.version, self.offset)
    }
}

/// Iterates over the entries in bytes that begin at an entry boundary.
///
/// Ends at the last whole entry: [`TableEntries::end`] says where, [`TableEntries::torn_bytes`] how many bytes follow. To
/// read a long segment in pieces, start the next piece at `end()`; pieces of [`MAX_ENTRY_LENGTH`] or more always advance.
/// After an error (bytes that are no entry, at its offset) the iterator ends.
#[derive(Clone, Debug)]
pub struct TableEntries<'a> {
    rest: &'a [u8],
    offset: u64,
    finished: bool,
}

impl<'a> TableEntries<'a> {
    /// Reads `bytes`, whose first byte has the segment offset `offset`.
    pub fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self { rest: bytes, offset, finished: false }
    }

    /// Segment offset after the last whole entry that was returned.
    pub fn end(&self) -> u64 {
        self.offset
    }

    /// Bytes after [`TableEntries::end`].
    pub fn torn_bytes(&self) -> usize {
        self.rest.len()
    }

    /// Goes on behind bytes that are no entry: at the next offset that begins a whole entry which is followed by another one
    /// or by the end of the bytes, with a version that is possible there. False if there is none; then all bytes were passed.
    ///
    /// Values can hold bytes that look like entries, so what is found this way is likely, not certain.
    pub fn resume(&mut self) -> bool {
        while let Some((_, rest)) = self.rest.split_first() {
            *self = Self::new(rest, self.offset.saturating_add(1));
            if self.begins_likely_entry() {
                return true;
            }
        }
        false
    }

    fn begins_likely_entry(&self) -> bool {
        let Ok(Some((entry, rest))) = self.read_entry() else { return false };
        let is_possible = u64::try_from(entry.version).is_ok_and(|version| version <= entry.offset);
        let is_followed = rest.is_empty() || Self::new(rest, entry.end()).read_entry().is_ok();
        is_possible && is_followed
    }

    fn read_entry(&self) -> Result<Option<(TableEntry<'a>, &'a [u8])>, DecodeError> {
        if self.rest.first().is_some_and(|&format| format != ENTRY_FORMAT) {
            return Err(DecodeError::new(WHAT, self.offset, "format byte 00"));
        }
        let Some((header, body)) = self.rest.split_first_chunk::<ENTRY_HEADER_LENGTH>() else { return Ok(None) };
        let (key_length, value_length, version) = self.read_header(header)?;
        let Some((key, rest)) = body.split_at_checked(key_length) else { return Ok(None) };
        let Some((value, rest)) = rest.split_at_checked(value_length.unwrap_or(0)) else { return Ok(None) };
        let value = value_length.map(|_| value);
        Ok(Some((TableEntry { offset: self.offset, version, key, value }, rest)))
    }

    fn read_header(&self, header: &[u8; ENTRY_HEADER_LENGTH]) -> Result<(usize, Option<usize>, i64), DecodeError> {
        let [_, k0, k1, k2, k3, l0, l1, l2, l3, version @ ..] = *header;
        let error = |position: u64, expected: &'static str| {
            DecodeError::new(WHAT, self.offset.saturating_add(position), expected)
        };
        let key_length = usize::try_from(i32::from_be_bytes([k0, k1, k2, k3]))
            .ok()
            .filter(|length| (1..=MAX_KEY_LENGTH).contains(length))
            .ok_or_else(|| error(1, "a key length from 1 to 8192"))?;
        let value_length = match i32::from_be_bytes([l0, l1, l2, l3]) {
            REMOVAL => None,
            length => Some(
                usize::try_from(length)
                    .ok()
                    .filter(|length| key_length + length <= MAX_KEY_AND_VALUE_LENGTH)
                    .ok_or_else(|| error(5, "a value length of -1 or more, key and value at most 1 MiB"))?,
            ),
        };
        let version = match i64::from_be_bytes(version) {
            NO_VERSION => i64::try_from(self.offset).map_err(|_| error(9, "an offset below 2^63"))?,
            version if version >= 0 => version,
            _ => return Err(error(9, "a version that is not negative, or none")),
        };
        Ok((key_length, value_length, version))
    }
}

impl<'a> Iterator for TableEntries<'a> {
    type Item = Result<TableEntry<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        match self.read_entry() {
            Ok(Some((entry, rest))) => {
                self.rest = rest;
                self.offset = entry.end();
                Some(Ok(entry))
            }
            Ok(None) => {
                self.finished = true;
                None
            }
            Err(error) => {
                self.finished = true;
                Some(Err(error))
            }
        }
    }
}

/// Appends an entry to `bytes`. Without a value it removes the key; without a version its version is its own offset, which
/// is what everything but a compaction writes.
///
/// # Errors
/// If the key is empty or longer than [`MAX_KEY_LENGTH`], key and value are longer than [`MAX_KEY_AND_VALUE_LENGTH`], or the
/// version is negative. Then `bytes` is unchanged.
pub fn write_entry(
    key: &[u8],
    value: Option<&[u8]>,
    version: Option<i64>,
    bytes: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if key.is_empty() || key.len() > MAX_KEY_LENGTH {
        return Err(EncodeError::new(format!("table key of {} bytes", key.len()), "1 to 8192 bytes"));
    }
    let value_bytes = value.unwrap_or_default();
    if key.len() + value_bytes.len() > MAX_KEY_AND_VALUE_LENGTH {
        let what = format!("table entry of {} bytes", key.len() + value_bytes.len());
        return Err(EncodeError::new(what, "key and value at most 1 MiB"));
    }
    if version.is_some_and(|version| version < 0) {
        return Err(EncodeError::new("negative version of a table entry", "0 or more"));
    }
    // Both lengths are far below 2^31 by the checks above.
    let value_length = value.map_or(REMOVAL, |value| value.len() as i32);
    bytes.reserve(ENTRY_HEADER_LENGTH + key.len() + value_bytes.len());
    bytes.push(ENTRY_FORMAT);
    bytes.extend_from_slice(&(key.len() as i32).to_be_bytes());
    bytes.extend_from_slice(&value_length.to_be_bytes());
    bytes.extend_from_slice(&version.unwrap_or(NO_VERSION).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value_bytes);
    Ok(())
}

/// The newest entry of every key, removals included: the highest version wins, then the highest offset.
pub fn newest<'a>(entries: impl IntoIterator<Item = TableEntry<'a>>) -> HashMap<&'a [u8], TableEntry<'a>> {
    let mut newest = HashMap::new();
    for entry in entries {
        newest
            .entry(entry.key)
            .and_modify(|known: &mut TableEntry<'a>| {
                if entry.rank() > known.rank() {
                    *known = entry;
                }
            })
            .or_insert(entry);
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{hex, unhex};
    use proptest::prelude::*;

    fn encode(key: &[u8], value: Option<&[u8]>, version: Option<i64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_entry(key, value, version, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn vectors() {
        let vectors = [
            (Some(&b"value"[..]), None, "00 00000003 00000005 8000000000000000 6b6579 76616c7565"),
            (Some(&b"value"[..]), Some(77), "00 00000003 00000005 000000000000004d 6b6579 76616c7565"),
            (None, None, "00 00000003 ffffffff 8000000000000000 6b6579"),
        ];
        for (value, version, expected) in vectors {
            let bytes = encode(b"key", value, version);
            assert_eq!(hex(&bytes), hex(&unhex(expected)));
            let mut entries = TableEntries::new(&bytes, 1000);
            let entry = entries.next().unwrap().unwrap();
            assert_eq!(entry, TableEntry { offset: 1000, version: version.unwrap_or(1000), key: b"key", value });
            assert_eq!((entries.next(), entries.end(), entries.torn_bytes()), (None, entry.end(), 0));
        }
    }

    #[test]
    fn stops_at_the_last_whole_entry() {
        let whole = encode(b"a", Some(b"1"), None);
        for torn in [1, 16, 17, 18, 21] {
            let mut bytes = whole.clone();
            bytes.extend(&encode(b"bb", Some(b"222"), None)[..torn]);
            let mut entries = TableEntries::new(&bytes, 5);
            assert_eq!(entries.by_ref().map(Result::unwrap).count(), 1);
            assert_eq!((entries.end(), entries.torn_bytes()), (5 + whole.len() as u64, torn));
        }
    }

    #[test]
    fn garbage_is_an_error_at_its_offset() {
        let garbage = [
            ("01", 0),
            ("00 00000000 00000000 8000000000000000", 1),
            ("00 00002001 00000000 8000000000000000", 1),
            ("00 00000001 fffffffe 8000000000000000", 5),
            ("00 00000001 00100000 8000000000000000", 5),
            ("00 00000001 00000000 8000000000000001", 9),
        ];
        for (vector, position) in garbage {
            let mut bytes = encode(b"a", None, None);
            let start = bytes.len() as u64;
            bytes.extend(unhex(vector));
            let mut entries = TableEntries::new(&bytes, 100);
            assert!(entries.next().unwrap().is_ok());
            assert_eq!(entries.next().unwrap().unwrap_err().offset, 100 + start + position, "{vector}");
            assert_eq!((entries.next(), entries.end()), (None, 100 + start));
        }
    }

    #[test]
    fn entries_behind_damage_are_found() {
        let mut bytes = encode(b"a", Some(b"1"), None);
        let damaged = bytes.len();
        bytes.extend(encode(b"bb", Some(b"22"), None));
        bytes[damaged] = 9;
        let third = bytes.len();
        bytes.extend(encode(b"c", Some(b"3"), None));
        let mut entries = TableEntries::new(&bytes, 10);
        assert!(entries.next().unwrap().is_ok());
        assert_eq!(entries.next().unwrap().unwrap_err().offset, 10 + damaged as u64);
        assert!(entries.resume());
        assert_eq!((entries.end(), entries.next().unwrap().unwrap().key), (10 + third as u64, &b"c"[..]));
        assert!(!entries.resume());
    }

    #[test]
    fn newest_is_by_version_then_offset() {
        let entry =
            |offset, version, value: &'static [u8]| TableEntry { offset, version, key: b"k", value: Some(value) };
        let entries =
            [entry(10, 10, b"old"), entry(20, 20, b"new"), entry(30, 10, b"copy of old"), entry(40, 20, b"copy")];
        assert_eq!(newest(entries)[&b"k"[..]].value, Some(&b"copy"[..]));
        assert_eq!(newest(entries[..3].iter().copied())[&b"k"[..]].value, Some(&b"new"[..]));
    }

    #[test]
    fn limits_of_writing() {
        let mut bytes = Vec::new();
        assert!(write_entry(b"", None, None, &mut bytes).is_err());
        assert!(write_entry(&[0; MAX_KEY_LENGTH + 1], None, None, &mut bytes).is_err());
        assert!(write_entry(b"k", Some(&vec![0; MAX_KEY_AND_VALUE_LENGTH]), None, &mut bytes).is_err());
        assert!(write_entry(b"k", None, Some(-1), &mut bytes).is_err());
        assert!(bytes.is_empty());
    }

    proptest! {
        #[test]
        fn written_entries_are_read(
            entries in prop::collection::vec((
                prop::collection::vec(any::<u8>(), 1..20),
                prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
                prop::option::of(0..=i64::MAX),
            ), 0..20),
            start in 0u64..1000,
        ) {
            let mut bytes = Vec::new();
            for (key, value, version) in &entries {
                write_entry(key, value.as_deref(), *version, &mut bytes).unwrap();
            }
            let mut read = TableEntries::new(&bytes, start);
            for (key, value, version) in &entries {
                let entry = read.next().unwrap().unwrap();
                prop_assert_eq!((entry.key, entry.value), (&key[..], value.as_deref()));
                prop_assert_eq!(entry.version, version.unwrap_or(entry.offset as i64));
            }
            prop_assert!(read.next().is_none());
            prop_assert_eq!(read.end(), start + bytes.len() as u64);
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..200), offset: u64) {
            let mut entries = TableEntries::new(&bytes, offset);
            let _ = entries.by_ref().count();
            prop_assert!(entries.torn_bytes() <= bytes.len());
        }
    }
}

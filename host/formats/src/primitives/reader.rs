//! Reading: a cursor over borrowed bytes that can only return a value or an error.

use std::borrow::Cow;

use super::{OBJECT_FORMAT, Uuid, modified_utf8};
use crate::error::DecodeError;

/// A cursor over bytes, total: every method returns a value or a [`DecodeError`], whatever the bytes are.
///
/// The reader knows the name of the structure that it reads and the position of its first byte in the thing that the
/// bytes come from, so that errors name both. A primitive that cannot be read leaves the position where it was.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    position: usize,
    base: u64,
}

impl<'a> Reader<'a> {
    /// Reads the structure `what` from `bytes`; error offsets count from the first of them.
    #[must_use]
    pub const fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self::at(what, bytes, 0)
    }

    /// As [`Reader::new`], but the first byte has the offset `base` in error messages.
    #[must_use]
    pub const fn at(what: &'static str, bytes: &'a [u8], base: u64) -> Self {
        Self { what, bytes, position: 0, base }
    }

    /// Number of bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Offset of the next byte, counted from the base.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.base.saturating_add(self.position as u64)
    }

    /// Number of bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// True when every byte was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes not yet read, which stay unread.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// An error at the next byte.
    pub fn error(&self, expected: impl Into<Cow<'static, str>>) -> DecodeError {
        DecodeError::new(self.what, self.offset(), expected)
    }

    /// An error at `position` bytes from this reader's first byte, for a value that was read before it was judged.
    pub fn error_at(&self, position: usize, expected: impl Into<Cow<'static, str>>) -> DecodeError {
        DecodeError::new(self.what, self.base.saturating_add(position as u64), expected)
    }

    /// Checks that every byte was read.
    ///
    /// # Errors
    /// If bytes are left.
    pub fn expect_end(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(self.error("no more bytes")) }
    }

    /// The next `length` bytes, borrowed.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest().get(..length) {
            Some(slice) => {
                self.position += length;
                Ok(slice)
            }
            None => Err(self.error(format!("{length} more bytes, {} are left", self.remaining()))),
        }
    }

    /// The next `N` bytes by value.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => Err(self.error(format!("{N} more bytes, {} are left", self.remaining()))),
        }
    }

    /// One unsigned byte.
    ///
    /// # Errors
    /// At the end.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    /// One signed byte.
    ///
    /// # Errors
    /// At the end.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// A boolean, one byte.
    ///
    /// # Errors
    /// At the end, or for a byte other than 0 and 1 (which Java would take for true, but never writes).
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.rest().first() {
            Some(byte @ 0..=1) => {
                self.position += 1;
                Ok(*byte == 1)
            }
            _ => Err(self.error("a boolean, 00 or 01")),
        }
    }

    /// A signed short.
    ///
    /// # Errors
    /// If fewer than 2 bytes are left.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// An unsigned short.
    ///
    /// # Errors
    /// If fewer than 2 bytes are left.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A signed int.
    ///
    /// # Errors
    /// If fewer than 4 bytes are left.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// An unsigned int.
    ///
    /// # Errors
    /// If fewer than 4 bytes are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A signed long.
    ///
    /// # Errors
    /// If fewer than 8 bytes are left.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A length or an offset: a long that Java has signed, but that is never negative.
    ///
    /// # Errors
    /// If fewer than 8 bytes are left, or the number is negative.
    pub fn length(&mut self) -> Result<u64, DecodeError> {
        let start = self.position;
        let value = self.i64()?;
        u64::try_from(value).map_err(|_| {
            self.position = start;
            self.error(format!("a length that is not negative, found {value}"))
        })
    }

    /// An unsigned long.
    ///
    /// # Errors
    /// If fewer than 8 bytes are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A UUID, 16 bytes.
    ///
    /// # Errors
    /// If fewer than 16 bytes are left.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid)
    }

    /// A compact int: 1, 2 or 4 bytes with 7, 14 or 30 bits.
    ///
    /// # Errors
    /// If the bytes end before.
    pub fn compact_int(&mut self) -> Result<u32, DecodeError> {
        match self.peek("a compact int")? >> 6 {
            0 | 1 => self.u8().map(u32::from),
            2 => Ok(u32::from(self.u16()? & 0x3fff)),
            _ => Ok(self.u32()? & 0x3fff_ffff),
        }
    }

    /// A compact long: 1, 2, 4 or 8 bytes with 6, 14, 30 or 62 bits.
    ///
    /// # Errors
    /// If the bytes end before.
    pub fn compact_long(&mut self) -> Result<u64, DecodeError> {
        match self.peek("a compact long")? >> 6 {
            0 => self.u8().map(u64::from),
            1 => Ok(u64::from(self.u16()? & 0x3fff)),
            2 => Ok(u64::from(self.u32()? & 0x3fff_ffff)),
            _ => Ok(self.u64()? & 0x3fff_ffff_ffff_ffff),
        }
    }

    /// A compact long of 1, 2, 4 or 8 bytes as the signed number that Java and BookKeeper have; it is never negative.
    ///
    /// # Errors
    /// If the bytes end before.
    pub fn compact_long_i64(&mut self) -> Result<i64, DecodeError> {
        // 62 bits always fit.
        self.compact_long().map(|value| value as i64)
    }

    /// A compact signed long: a sign bit, two bits of size, then 5, 13, 29 or 61 bits.
    ///
    /// # Errors
    /// If the bytes end before.
    pub fn compact_signed_long(&mut self) -> Result<i64, DecodeError> {
        let first = self.peek("a compact signed long")?;
        let magnitude = match (first >> 5) & 3 {
            0 => u64::from(self.u8()? & 0x1f),
            1 => u64::from(self.u16()? & 0x1fff),
            2 => u64::from(self.u32()? & 0x1fff_ffff),
            _ => self.u64()? & 0x1fff_ffff_ffff_ffff,
        } as i64;
        // A negative value v is stored as -v - 1, which is its bitwise complement.
        Ok(if first & 0x80 == 0 { magnitude } else { !magnitude })
    }

    /// A string: u16 byte count, then modified UTF-8. Borrowed unless it holds NUL or supplementary characters.
    ///
    /// # Errors
    /// If the bytes end before, or are not modified UTF-8, or hold an unpaired surrogate.
    pub fn utf(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let start = self.position;
        let length = usize::from(self.u16()?);
        let encoded = match self.bytes(length) {
            Ok(encoded) => encoded,
            Err(error) => {
                self.position = start;
                return Err(error);
            }
        };
        modified_utf8::decode(encoded).map_err(|(position, expected)| {
            self.position = start;
            self.error_at(start + 2 + position, expected)
        })
    }

    /// The number of elements of a collection (compact int), checked against the bytes that are left:
    /// each element takes at least `min_element_size` bytes. A caller may allocate by the result.
    ///
    /// # Errors
    /// If the bytes end before, or cannot hold so many elements.
    pub fn count(&mut self, min_element_size: usize) -> Result<usize, DecodeError> {
        let start = self.position;
        let count = self.compact_int()?;
        let room = self.remaining() / min_element_size.max(1);
        match usize::try_from(count) {
            Ok(count) if count <= room => Ok(count),
            _ => {
                self.position = start;
                Err(self.error(format!("a count of at most {room}, found {count}")))
            }
        }
    }

    /// A byte array: compact int length, then the bytes, borrowed.
    ///
    /// # Errors
    /// If the bytes end before.
    pub fn byte_array(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.count(1)?;
        self.bytes(length)
    }

    /// A collection: compact int count, then what `read` reads, once per element.
    ///
    /// # Errors
    /// If the bytes cannot hold so many elements of at least `min_element_size` bytes, or what `read` returns.
    pub fn list<T>(
        &mut self,
        min_element_size: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(min_element_size)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(read(self)?);
        }
        Ok(elements)
    }

    /// A reader of the next `length` bytes, which this reader skips.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn sub_reader(&mut self, what: &'static str, length: usize) -> Result<Reader<'a>, DecodeError> {
        let base = self.offset();
        Ok(Reader::at(what, self.bytes(length)?, base))
    }

    /// A single-type object of version 0 and at least one revision; `read` gets the body of revision 0.
    ///
    /// # Errors
    /// If the header is not that of such an object, a revision is longer than the bytes, or what `read` returns.
    pub fn read_single<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.read_single_revisions(what, 0, |object| read(&mut object.required_revision()?))
    }

    /// A single-type object of version 0 to `highest_version`; `read` takes the revisions that it knows,
    /// those that it leaves are skipped.
    ///
    /// # Errors
    /// As [`Reader::read_single`]; no revision at all is no error here.
    pub fn read_single_revisions<T>(
        &mut self,
        what: &'static str,
        highest_version: u8,
        read: impl FnOnce(&mut ObjectReader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.read_object(what, false, highest_version, read)
    }

    /// A multi-type object of version 0 to `highest_version`; `read` looks at the type id and takes the revisions
    /// that it knows, those that it leaves are skipped.
    ///
    /// # Errors
    /// As [`Reader::read_single`]; no revision at all is no error here.
    pub fn read_multi<T>(
        &mut self,
        what: &'static str,
        highest_version: u8,
        read: impl FnOnce(&mut ObjectReader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.read_object(what, true, highest_version, read)
    }

    fn read_object<T>(
        &mut self,
        what: &'static str,
        has_type: bool,
        highest_version: u8,
        read: impl FnOnce(&mut ObjectReader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut object = ObjectReader::open(self.clone(), what, has_type, highest_version)?;
        let value = read(&mut object)?;
        while object.revision()?.is_some() {}
        self.position = object.reader.position;
        Ok(value)
    }

    fn peek(&self, expected: &'static str) -> Result<u8, DecodeError> {
        self.rest().first().copied().ok_or_else(|| self.error(expected))
    }
}

/// The body of a single-type object of version 0, if it has one revision and is all that the bytes hold: in a fraction of the time that
/// [`Reader::read_single`] takes, which accepts more. For a first look at very many objects.
#[must_use]
pub fn only_body_of_single(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_first_chunk::<4>()?;
    let (length, body) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    // Version, number of revisions, number of the first.
    (*header == [OBJECT_FORMAT, 0, 1, 0] && length == body.len()).then_some(body)
}

/// The name, in modified UTF-8, in a body that begins with a number of 64 bits and a name, and what follows. As [`only_body_of_single`], for a
/// first look at very many objects.
#[must_use]
pub fn only_name_of_single(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, name) = only_body_of_single(bytes)?.split_first_chunk::<{ size_of::<i64>() }>()?;
    let (length, name) = name.split_first_chunk()?;
    name.split_at_checked(u16::from_be_bytes(*length).into())
}

/// The revisions of one object, handed out one after the other.
#[derive(Debug)]
pub struct ObjectReader<'a> {
    reader: Reader<'a>,
    type_id: u8,
    version: u8,
    next_revision: u8,
    revisions_left: u8,
}

impl<'a> ObjectReader<'a> {
    fn open(
        mut reader: Reader<'a>,
        what: &'static str,
        has_type: bool,
        highest_version: u8,
    ) -> Result<Self, DecodeError> {
        reader.what = what;
        if reader.peek("object format 00")? != OBJECT_FORMAT {
            return Err(reader.error("object format 00"));
        }
        reader.u8()?;
        let type_id = if has_type { reader.u8()? } else { 0 };
        let version_position = reader.position;
        let version = reader.u8()?;
        if version > highest_version {
            let expected = format!("version 0 to {highest_version}, found {version}");
            return Err(reader.error_at(version_position, expected));
        }
        let revisions_left = reader.u8()?;
        Ok(Self { reader, type_id, version, next_revision: 0, revisions_left })
    }

    /// Type id of a multi-type object; 0 for single-type objects.
    #[must_use]
    pub const fn type_id(&self) -> u8 {
        self.type_id
    }

    /// Version of the object.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// Checks that the version is at most `highest`, for types that have fewer versions than their relatives.
    ///
    /// # Errors
    /// If it is higher.
    pub fn expect_version(&self, highest: u8) -> Result<(), DecodeError> {
        if self.version <= highest {
            return Ok(());
        }
        Err(self.reader.error(format!("version 0 to {highest} of type {}, found {}", self.type_id, self.version)))
    }

    /// Body of the next revision, or none after the last one. What is not read of the body is skipped.
    ///
    /// # Errors
    /// If its id is not the next number, or its length is negative or beyond the bytes.
    pub fn revision(&mut self) -> Result<Option<Reader<'a>>, DecodeError> {
        if self.revisions_left == 0 {
            return Ok(None);
        }
        let start = self.reader.position;
        let id = self.reader.u8()?;
        if id != self.next_revision {
            return Err(self.reader.error_at(start, format!("revision {}, found {id}", self.next_revision)));
        }
        let length = self.reader.i32()?;
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= self.reader.remaining()) else {
            let expected = format!("a revision of at most {} bytes, found {length}", self.reader.remaining());
            return Err(self.reader.error_at(start + 1, expected));
        };
        self.next_revision = self.next_revision.wrapping_add(1);
        self.revisions_left -= 1;
        self.reader.sub_reader(self.reader.what, length).map(Some)
    }

    /// Body of the next revision, which must be there.
    ///
    /// # Errors
    /// As [`ObjectReader::revision`], and if there are no more revisions.
    pub fn required_revision(&mut self) -> Result<Reader<'a>, DecodeError> {
        self.revision()?.ok_or_else(|| self.reader.error(format!("revision {}", self.next_revision)))
    }

    /// An error at the type id of this object, which nobody knows.
    #[must_use]
    pub fn unknown_type(&self, expected: &'static str) -> DecodeError {
        self.reader.error(format!("{expected}, found type {}", self.type_id))
    }
}

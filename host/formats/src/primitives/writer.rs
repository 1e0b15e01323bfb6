//! Writing: a growing buffer that remembers the first value that did not fit.

use super::{
    COMPACT_INT_MAX, COMPACT_LONG_MAX, COMPACT_SIGNED_LONG_MAX, COMPACT_SIGNED_LONG_MIN, OBJECT_FORMAT, UTF_MAX_BYTES,
    Uuid, modified_utf8,
};
use crate::error::EncodeError;

/// Writes the primitives into a buffer.
///
/// A value that the format cannot hold is remembered, not returned, so that a sequence of writes reads like the
/// format; the bytes can only be had through [`Writer::finish`], which returns the first such error.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    error: Option<EncodeError>,
}

impl Writer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to `buffer`, so that its memory can be used again.
    #[must_use]
    pub fn appending_to(buffer: Vec<u8>) -> Self {
        Self { buffer, error: None }
    }

    /// The bytes written.
    ///
    /// # Errors
    /// The first value that did not fit.
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        match self.error {
            None => Ok(self.buffer),
            Some(error) => Err(error),
        }
    }

    /// Number of bytes in the buffer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// True if the buffer holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Remembers that a value does not fit, unless another did not before.
    pub fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// One unsigned byte.
    pub fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }

    /// One signed byte.
    pub fn i8(&mut self, value: i8) {
        self.bytes(&value.to_be_bytes());
    }

    /// A boolean, 00 or 01.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// A signed short.
    pub fn i16(&mut self, value: i16) {
        self.bytes(&value.to_be_bytes());
    }

    /// An unsigned short.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// A signed int.
    pub fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    /// An unsigned int.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// A signed long.
    pub fn i64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    /// A length or an offset: a long that Java has signed; at most 2^63 - 1.
    pub fn length(&mut self, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.i64(value),
            Err(_) => self.fail(EncodeError::new(format!("length {value}"), "at most 2^63 - 1")),
        }
    }

    /// An unsigned long.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// A UUID, 16 bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.bytes(&value.0);
    }

    /// A compact int of 1, 2 or 4 bytes; at most [`COMPACT_INT_MAX`].
    pub fn compact_int(&mut self, value: u32) {
        match value {
            0..=0x7f => self.u8(value as u8),
            0x80..=0x3fff => self.u16(value as u16 | 0x8000),
            0x4000..=COMPACT_INT_MAX => self.u32(value | 0xc000_0000),
            _ => self.fail(EncodeError::new(format!("compact int {value}"), "at most 2^30 - 2")),
        }
    }

    /// A compact long of 1, 2, 4 or 8 bytes; at most [`COMPACT_LONG_MAX`].
    pub fn compact_long(&mut self, value: u64) {
        match value {
            0..=0x3f => self.u8(value as u8),
            0x40..=0x3fff => self.u16(value as u16 | 0x4000),
            0x4000..=0x3fff_ffff => self.u32(value as u32 | 0x8000_0000),
            0x4000_0000..=COMPACT_LONG_MAX => self.u64(value | 0xc000_0000_0000_0000),
            _ => self.fail(EncodeError::new(format!("compact long {value}"), "at most 2^62 - 2")),
        }
    }

    /// A compact long of a number that Java and BookKeeper have signed; it must not be negative.
    pub fn compact_long_i64(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.compact_long(value),
            Err(_) => self.fail(EncodeError::new(format!("compact long {value}"), "not negative")),
        }
    }

    /// A compact signed long of 1, 2, 4 or 8 bytes, from [`COMPACT_SIGNED_LONG_MIN`] to [`COMPACT_SIGNED_LONG_MAX`].
    pub fn compact_signed_long(&mut self, value: i64) {
        if !(COMPACT_SIGNED_LONG_MIN..=COMPACT_SIGNED_LONG_MAX).contains(&value) {
            let limit = "between -(2^61 - 1) and 2^61 - 2";
            return self.fail(EncodeError::new(format!("compact signed long {value}"), limit));
        }
        let negative = value < 0;
        let magnitude = if negative { !value } else { value } as u64;
        let sign = u8::from(negative) << 7;
        match magnitude {
            0..=0x1f => self.u8(sign | magnitude as u8),
            0x20..=0x1fff => self.u16((u16::from(sign) << 8) | 0x2000 | magnitude as u16),
            0x2000..=0x1fff_ffff => self.u32((u32::from(sign) << 24) | 0x4000_0000 | magnitude as u32),
            _ => self.u64((u64::from(sign) << 56) | 0x6000_0000_0000_0000 | magnitude),
        }
    }

    /// A string: u16 byte count, then modified UTF-8; at most [`UTF_MAX_BYTES`] bytes.
    pub fn utf(&mut self, text: &str) {
        let start = self.len();
        self.u16(0);
        modified_utf8::encode(text, &mut self.buffer);
        let length = self.len() - start - 2;
        match u16::try_from(length) {
            Ok(length) => self.patch(start, &length.to_be_bytes()),
            Err(_) => {
                self.buffer.truncate(start);
                self.fail(EncodeError::new(format!("string of {length} bytes"), format!("at most {UTF_MAX_BYTES}")));
            }
        }
    }

    /// The number of elements of a collection, a compact int.
    pub fn count(&mut self, count: usize) {
        match u32::try_from(count) {
            Ok(count) => self.compact_int(count),
            Err(_) => self.fail(EncodeError::new(format!("count {count}"), "at most 2^30 - 2")),
        }
    }

    /// A byte array: compact int length, then the bytes.
    pub fn byte_array(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes(bytes);
    }

    /// A collection: compact int count, then what `write` writes for each element.
    pub fn list<T>(&mut self, elements: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.count(elements.len());
        for element in elements {
            write(self, element);
        }
    }

    /// A single-type object of version 0 with one revision, whose body `write` writes.
    pub fn write_single(&mut self, write: impl FnOnce(&mut Self)) {
        self.write_single_revisions(0, |object| object.revision(write));
    }

    /// A single-type object of `version` with the revisions that `write` adds.
    pub fn write_single_revisions(&mut self, version: u8, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.bytes(&[OBJECT_FORMAT, version]);
        self.revisions(write);
    }

    /// A multi-type object of version 0 with one revision, whose body `write` writes.
    pub fn write_multi(&mut self, type_id: u8, write: impl FnOnce(&mut Self)) {
        self.write_multi_revisions(type_id, 0, |object| object.revision(write));
    }

    /// A multi-type object of `version` with the revisions that `write` adds.
    pub fn write_multi_revisions(&mut self, type_id: u8, version: u8, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.bytes(&[OBJECT_FORMAT, type_id, version]);
        self.revisions(write);
    }

    fn revisions(&mut self, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        let count_position = self.len();
        self.u8(0);
        let mut object = ObjectWriter { writer: self, revisions: 0 };
        write(&mut object);
        let revisions = object.revisions;
        self.patch(count_position, &[revisions]);
    }

    /// Overwrites bytes that were written before as a place holder.
    fn patch(&mut self, position: usize, bytes: &[u8]) {
        if let Some(place) = self.buffer.get_mut(position..).and_then(|rest| rest.get_mut(..bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }
}

/// Adds the revisions of one object, in order.
#[derive(Debug)]
pub struct ObjectWriter<'a> {
    writer: &'a mut Writer,
    revisions: u8,
}

impl ObjectWriter<'_> {
    /// Adds the next revision, whose body `write` writes; at most 2^31 - 1 bytes.
    pub fn revision(&mut self, write: impl FnOnce(&mut Writer)) {
        self.writer.u8(self.revisions);
        let length_position = self.writer.len();
        self.writer.i32(0);
        write(self.writer);
        let length = self.writer.len() - length_position - size_of::<i32>();
        match i32::try_from(length) {
            Ok(length) => self.writer.patch(length_position, &length.to_be_bytes()),
            Err(_) => {
                self.writer.fail(EncodeError::new(format!("revision of {length} bytes"), "at most 2^31 - 1 bytes"));
            }
        }
        match self.revisions.checked_add(1) {
            Some(next) => self.revisions = next,
            None => self.writer.fail(EncodeError::new("object with more revisions", "at most 255 revisions")),
        }
    }
}

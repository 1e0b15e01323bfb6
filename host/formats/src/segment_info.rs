//! Rows of the container metadata table `metadata_N` (`MetadataStore.SegmentInfo` of Pravega).
//!
//! The key of a row is the segment name in plain UTF-8; inside the value the name is modified UTF-8.

use std::borrow::Cow;

use crate::attribute::AttributeMap;
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer, only_name_of_single};

/// The segment id that means "none"; a new row carries it, for stored ids can collide with new ones.
pub const NO_SEGMENT_ID: i64 = i64::MIN;

/// What a container knows of a segment that is not active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo<'a> {
    /// Id that the segment gets when it becomes active; [`NO_SEGMENT_ID`] in new rows.
    pub segment_id: i64,
    /// Name.
    pub name: Cow<'a, str>,
    /// Length, in bytes; must equal the length in Tier-2 exactly.
    pub length: u64,
    /// First readable offset.
    pub start_offset: u64,
    /// True if it is read-only.
    pub sealed: bool,
    /// Core attributes.
    pub attributes: AttributeMap,
}

impl<'a> SegmentInfo<'a> {
    /// Decodes the value of a row; the name is borrowed from it.
    ///
    /// # Errors
    /// If the bytes are not such a value.
    pub fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new("segment row", value))
    }

    /// Reads the value of a row.
    ///
    /// # Errors
    /// As [`SegmentInfo::decode`].
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.read_single("segment row", |body| {
            Ok(Self {
                segment_id: body.i64()?,
                name: body.utf()?,
                length: body.length()?,
                start_offset: body.length()?,
                sealed: body.bool()?,
                attributes: AttributeMap::read(body)?,
            })
        })
    }

    /// The first readable offset in the value of a row: in a fraction of the time that [`SegmentInfo::decode`] takes, which accepts more. For a first
    /// look at very many.
    pub fn start_offset_of(value: &[u8]) -> Option<u64> {
        // The length stands before it.
        let (_, rest) = only_name_of_single(value)?.1.split_first_chunk::<{ size_of::<i64>() }>()?;
        u64::try_from(i64::from_be_bytes(*rest.first_chunk()?)).ok()
    }

    /// Writes the value of a row.
    pub fn write(&self, writer: &mut Writer) {
        writer.write_single(|body| {
            body.i64(self.segment_id);
            body.utf(&self.name);
            body.length(self.length);
            body.length(self.start_offset);
            body.bool(self.sealed);
            self.attributes.write(body);
        });
    }

    /// The encoded value of a row.
    ///
    /// # Errors
    /// If the name is longer than 65,535 bytes, or a length is beyond 2^63 - 1.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// The same without a borrow.
    #[must_use]
    pub fn into_owned(self) -> SegmentInfo<'static> {
        SegmentInfo { name: Cow::Owned(self.name.into_owned()), ..self }
    }
}

#[cfg(test)]
mod tests;

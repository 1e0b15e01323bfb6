//! Records of the table `storage_metadata_<N>`: what the chunked layout knows of segments and chunks.
//!
//! Sources: `BaseMetadataStore.TransactionData`, `StorageMetadata`, `SegmentMetadata`, `ChunkMetadata`,
//! `ReadIndexBlockMetadata` of Pravega 0.13.0. A missing name (no first chunk, no next chunk) is the empty string, on
//! disk and here.

use std::borrow::Cow;

use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer, only_name_of_single};

/// On a segment: it exists, without it the segment is deleted and awaits collection. On a chunk: it is in use, without it
/// it is garbage.
pub const STATUS_ACTIVE: u32 = 0x01;
/// The segment is sealed.
pub const STATUS_SEALED: u32 = 0x02;
/// The recorded length is authoritative; the next owner does not adopt the length of the last object.
pub const STATUS_ATOMIC_WRITES: u32 = 0x04;
/// The owner changed: the next write opens a new chunk.
pub const STATUS_OWNERSHIP_CHANGED: u32 = 0x08;
/// One of the four system segments; only in journals.
pub const STATUS_SYSTEM_SEGMENT: u32 = 0x10;

const TYPE_CHUNK: u8 = 2;
const TYPE_SEGMENT: u8 = 3;
const TYPE_READ_INDEX_BLOCK: u8 = 4;

/// Record of a segment. Offsets and lengths are in bytes, offsets count from the beginning of the segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct SegmentMetadata<Text = String> {
    /// Name of the segment.
    pub name: Text,
    /// Offset of the end.
    pub length: u64,
    /// Number of chunks in the chain.
    pub chunk_count: u32,
    /// First readable offset.
    pub start_offset: u64,
    /// Bits `STATUS_...`.
    pub status: u32,
    /// Length at which the last chunk is closed and a new one begun.
    pub max_rolling_length: u64,
    /// Name of the first chunk, or empty.
    pub first_chunk: Text,
    /// Name of the last chunk, or empty.
    pub last_chunk: Text,
    /// Milliseconds since 1970; the server writes 0.
    pub last_modified: u64,
    /// Offset of the first byte of the first chunk; at most `start_offset`.
    pub first_chunk_start_offset: u64,
    /// Offset of the first byte of the last chunk.
    pub last_chunk_start_offset: u64,
    /// Epoch of the container's log that owns the segment.
    pub owner_epoch: u64,
}

/// A rule that a segment record breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record of segment {segment}: {rule}")]
pub struct BrokenInvariant {
    /// Name of the segment.
    pub segment: String,
    /// The rule, as a statement that should be true.
    pub rule: &'static str,
}

impl<'a, Text: From<Cow<'a, str>>> SegmentMetadata<Text> {
    fn read_body(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: body.utf()?.into(),
            length: body.compact_long()?,
            chunk_count: body.compact_int()?,
            start_offset: body.compact_long()?,
            status: body.compact_int()?,
            max_rolling_length: body.compact_long()?,
            first_chunk: body.utf()?.into(),
            last_chunk: body.utf()?.into(),
            last_modified: body.compact_long()?,
            first_chunk_start_offset: body.compact_long()?,
            last_chunk_start_offset: body.compact_long()?,
            owner_epoch: body.compact_long()?,
        })
    }
}

impl<Text> SegmentMetadata<Text> {
    /// True if the segment exists, false if it awaits collection.
    pub fn is_active(&self) -> bool {
        self.status & STATUS_ACTIVE != 0
    }

    /// True if the segment is sealed.
    pub fn is_sealed(&self) -> bool {
        self.status & STATUS_SEALED != 0
    }
}

impl SegmentMetadata {
    /// Checks what the server checks whenever it changes a record (`SegmentMetadata.checkInvariants`).
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        let no_chunks = self.first_chunk.is_empty();
        let starts_agree = self.first_chunk_start_offset == self.last_chunk_start_offset;
        let rules = [
            (
                self.first_chunk_start_offset <= self.start_offset,
                "the first chunk starts at or before the start offset",
            ),
            (self.start_offset <= self.length, "the start offset is at most the length"),
            (
                self.first_chunk_start_offset <= self.last_chunk_start_offset,
                "the first chunk starts at or before the last one",
            ),
            (self.last_chunk_start_offset <= self.length, "the last chunk starts at or before the length"),
            (no_chunks == self.last_chunk.is_empty(), "there is a first chunk exactly if there is a last one"),
            (no_chunks == (self.chunk_count == 0), "the chunk count is zero exactly if there is no chunk"),
            (
                !no_chunks || (starts_agree && self.first_chunk_start_offset == self.length),
                "without chunks all four offsets are equal",
            ),
            (
                no_chunks || (self.first_chunk == self.last_chunk) == (self.chunk_count == 1),
                "first and last chunk are the same exactly if the chunk count is one",
            ),
            (self.chunk_count != 1 || starts_agree, "a single chunk is first and last, with one start offset"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(BrokenInvariant { segment: self.name.clone(), rule }),
            None => Ok(()),
        }
    }
}

impl<Text: AsRef<str>> SegmentMetadata<Text> {
    /// Writes the record with its header and type id.
    pub fn write(&self, writer: &mut Writer) {
        writer.write_multi(TYPE_SEGMENT, |body| {
            body.utf(self.name.as_ref());
            body.compact_long(self.length);
            body.compact_int(self.chunk_count);
            body.compact_long(self.start_offset);
            body.compact_int(self.status);
            body.compact_long(self.max_rolling_length);
            body.utf(self.first_chunk.as_ref());
            body.utf(self.last_chunk.as_ref());
            body.compact_long(self.last_modified);
            body.compact_long(self.first_chunk_start_offset);
            body.compact_long(self.last_chunk_start_offset);
            body.compact_long(self.owner_epoch);
        });
    }
}

/// Record of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ChunkMetadata<Text = String> {
    /// Name of the chunk, which is the key of the object.
    pub name: Text,
    /// Bytes of the object that belong to the segment.
    pub length: u64,
    /// Name of the next chunk of the segment, or empty.
    pub next_chunk: Text,
    /// Bits `STATUS_...`; only [`STATUS_ACTIVE`] is used.
    pub status: u32,
}

impl<'a, Text: From<Cow<'a, str>>> ChunkMetadata<Text> {
    fn read_body(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: body.utf()?.into(),
            length: body.compact_long()?,
            next_chunk: body.utf()?.into(),
            status: body.compact_int()?,
        })
    }
}

impl ChunkMetadata {
    /// True if the chunk is in use, false if it is garbage.
    pub fn is_active(&self) -> bool {
        self.status & STATUS_ACTIVE != 0
    }
}

impl<Text: AsRef<str>> ChunkMetadata<Text> {
    /// Writes the record with its header and type id.
    pub fn write(&self, writer: &mut Writer) {
        writer.write_multi(TYPE_CHUNK, |body| {
            body.utf(self.name.as_ref());
            body.compact_long(self.length);
            body.utf(self.next_chunk.as_ref());
            body.compact_int(self.status);
        });
    }
}

/// Record that lets a read jump to a chunk. May be left out of a rebuilt table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ReadIndexBlockMetadata<Text = String> {
    /// `<segment>.B-<offset>`, the offset being a multiple of the block size (1 GiB).
    pub name: Text,
    /// The chunk that holds the offset.
    pub chunk_name: Text,
    /// Offset of the first byte of that chunk in the segment.
    pub start_offset: u64,
    /// Bits `STATUS_...`.
    pub status: u32,
}

impl<'a, Text: From<Cow<'a, str>>> ReadIndexBlockMetadata<Text> {
    fn read_body(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: body.utf()?.into(),
            chunk_name: body.utf()?.into(),
            start_offset: body.compact_long()?,
            status: body.compact_int()?,
        })
    }
}

impl<Text: AsRef<str>> ReadIndexBlockMetadata<Text> {
    /// Writes the record with its header and type id.
    pub fn write(&self, writer: &mut Writer) {
        writer.write_multi(TYPE_READ_INDEX_BLOCK, |body| {
            body.utf(self.name.as_ref());
            body.utf(self.chunk_name.as_ref());
            body.compact_long(self.start_offset);
            body.compact_int(self.status);
        });
    }
}

/// One record of any type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StorageMetadata<Text = String> {
    /// A segment.
    Segment(SegmentMetadata<Text>),
    /// A chunk.
    Chunk(ChunkMetadata<Text>),
    /// A block of the read index.
    ReadIndexBlock(ReadIndexBlockMetadata<Text>),
}

impl<Text: AsRef<str>> StorageMetadata<Text> {
    /// Name of the segment, chunk or block: the key of the record.
    pub fn name(&self) -> &str {
        match self {
            Self::Segment(record) => record.name.as_ref(),
            Self::Chunk(record) => record.name.as_ref(),
            Self::ReadIndexBlock(record) => record.name.as_ref(),
        }
    }

    /// Writes the record with its header and type id.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Segment(record) => record.write(writer),
            Self::Chunk(record) => record.write(writer),
            Self::ReadIndexBlock(record) => record.write(writer),
        }
    }
}

impl<'a, Text: From<Cow<'a, str>>> StorageMetadata<Text> {
    fn read_names(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.read_multi("storage metadata record", 0, |object| match object.type_id() {
            TYPE_SEGMENT => SegmentMetadata::read_body(&mut object.required_revision()?).map(Self::Segment),
            TYPE_CHUNK => ChunkMetadata::read_body(&mut object.required_revision()?).map(Self::Chunk),
            TYPE_READ_INDEX_BLOCK => {
                ReadIndexBlockMetadata::read_body(&mut object.required_revision()?).map(Self::ReadIndexBlock)
            }
            _ => Err(object.unknown_type("type 2 (chunk), 3 (segment) or 4 (read index block)")),
        })
    }
}

impl StorageMetadata {
    /// Reads a record with its header and type id.
    ///
    /// # Errors
    /// If the bytes do not follow the format, or the type is none of the three that a server writes.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::read_names(reader)
    }
}

/// What a value of the table `storage_metadata_<N>` tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A segment.
    Segment,
    /// A chunk, or a block of the read index.
    PartOfSegment,
    /// Any of these, which was deleted.
    Deleted,
}

impl Subject {
    /// What a value tells of by its first bytes: in a fraction of the time that [`TransactionData::decode`] takes, which accepts more. For a first
    /// look at very many.
    pub fn of(value: &[u8]) -> Option<Self> {
        let (_, record) = only_name_of_single(value)?;
        match record {
            [0] => Some(Self::Deleted),
            [1, _, TYPE_SEGMENT, ..] => Some(Self::Segment),
            [1, _, TYPE_CHUNK | TYPE_READ_INDEX_BLOCK, ..] => Some(Self::PartOfSegment),
            _ => None,
        }
    }
}

/// A value of the table `storage_metadata_<N>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionData<Text = String> {
    /// Counter of the metadata store, never 0 if a record is present. Any other value is accepted after a restart.
    pub version: i64,
    /// The key of the table entry.
    pub key: Text,
    /// The record; none if it was deleted (the removal of the key itself may be lost).
    pub value: Option<StorageMetadata<Text>>,
}

impl<'a> TransactionData<Cow<'a, str>> {
    /// As [`TransactionData::decode`], without copying the names.
    ///
    /// # Errors
    /// As [`TransactionData::decode`].
    pub fn decode_borrowed(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode_names(bytes)
    }
}

impl<'a, Text: From<Cow<'a, str>>> TransactionData<Text> {
    fn decode_names(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("value of the storage metadata table", bytes);
        let value = reader.read_single("value of the storage metadata table", |body| {
            Ok(Self {
                version: body.i64()?,
                key: body.utf()?.into(),
                value: if body.bool()? { Some(StorageMetadata::read_names(body)?) } else { None },
            })
        })?;
        reader.expect_end()?;
        Ok(value)
    }
}

impl TransactionData {
    /// Decodes the value of a table entry, all of its bytes.
    ///
    /// # Errors
    /// If the bytes do not follow the format or some are left.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_names(bytes)
    }
}

impl<Text: AsRef<str>> TransactionData<Text> {
    /// Encodes the value of a table entry.
    ///
    /// # Errors
    /// If a name is longer than 65,535 bytes or a number too large for its encoding.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// As [`TransactionData::encode`], into a writer.
    pub fn write(&self, writer: &mut Writer) {
        writer.write_single(|body| {
            body.i64(self.version);
            body.utf(self.key.as_ref());
            body.bool(self.value.is_some());
            if let Some(value) = &self.value {
                value.write(body);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{hex, unhex};
    use proptest::prelude::*;

    fn text(text: &str) -> String {
        format!("{:04x}{}", text.len(), hex(text.as_bytes()))
    }

    fn round_trip(value: &TransactionData, bytes: &[u8]) {
        assert_eq!(&TransactionData::decode(bytes).unwrap(), value);
        assert_eq!(hex(&value.encode().unwrap()), hex(bytes));
    }

    #[test]
    fn empty_segment_vector() {
        let name = text("alpha/txn/0.#epoch.0");
        let bytes = unhex(&format!(
            "00 00 01 00 0000004e 000001a203a0ba9f {name} 01 | 00 03 00 01 00 00000026 {name} 00 00 00 05 88000000
             0000 0000 00 00 00 01"
        ));
        let segment = SegmentMetadata {
            name: "alpha/txn/0.#epoch.0".into(),
            status: STATUS_ACTIVE | STATUS_ATOMIC_WRITES,
            max_rolling_length: 128 << 20,
            owner_epoch: 1,
            ..SegmentMetadata::default()
        };
        assert_eq!(segment.check_invariants(), Ok(()));
        let value = Some(StorageMetadata::Segment(segment));
        round_trip(&TransactionData { version: 0x1a2_03a0_ba9f, key: "alpha/txn/0.#epoch.0".into(), value }, &bytes);
    }

    #[test]
    fn chunk_vector() {
        let name = "alpha/txn/0.#epoch.0.E-1-O-0.12345678-1234-1234-1234-123456789a";
        let name = format!("{name}{}", "b".repeat(0x43 - name.len()));
        let record =
            StorageMetadata::Chunk(ChunkMetadata { name: name.clone(), length: 115, status: 1, ..Default::default() });
        let mut writer = Writer::new();
        record.write(&mut writer);
        let expected = unhex(&format!("00 02 00 01 00 0000004a {} 4073 0000 01", text(&name)));
        assert_eq!(hex(&writer.finish().unwrap()), hex(&expected));
        assert_eq!(StorageMetadata::read(&mut Reader::new("test", &expected)).unwrap(), record);
    }

    #[test]
    fn deleted_key_vector() {
        let key = "alpha/truncated/1.#epoch.0.B-0";
        let bytes = unhex(&format!("00 00 01 00 00000029 000001a203a0ba57 {} 00", text(key)));
        round_trip(&TransactionData { version: 0x1a2_03a0_ba57, key: key.into(), value: None }, &bytes);
    }

    #[test]
    fn unknown_type_is_an_error() {
        let error = StorageMetadata::read(&mut Reader::new("test", &unhex("00 01 00 01 00 00000000"))).unwrap_err();
        assert!(error.to_string().contains("found type 1"), "{error}");
    }

    #[test]
    fn invariants() {
        let good = SegmentMetadata {
            name: "s".into(),
            length: 30,
            chunk_count: 2,
            start_offset: 12,
            first_chunk: "a".into(),
            last_chunk: "b".into(),
            first_chunk_start_offset: 10,
            last_chunk_start_offset: 20,
            ..SegmentMetadata::default()
        };
        assert_eq!(good.check_invariants(), Ok(()));
        let breaks: [fn(&mut SegmentMetadata); 8] = [
            |m| m.start_offset = 9,
            |m| m.start_offset = 31,
            |m| m.last_chunk_start_offset = 31,
            |m| m.last_chunk_start_offset = 9,
            |m| m.chunk_count = 1,
            |m| m.chunk_count = 0,
            |m| m.last_chunk.clear(),
            |m| m.last_chunk = "a".into(),
        ];
        for (index, spoil) in breaks.iter().enumerate() {
            let mut record = good.clone();
            spoil(&mut record);
            assert!(record.check_invariants().is_err(), "rule {index}");
        }
        let truncated = SegmentMetadata { start_offset: 5, length: 5, ..SegmentMetadata::default() };
        assert!(truncated.check_invariants().is_err());
    }

    prop_compose! {
        fn segments()(
            name in ".{0,40}", first_chunk in ".{0,40}", last_chunk in ".{0,40}",
            numbers in prop::array::uniform7(0..=crate::primitives::COMPACT_LONG_MAX),
            chunk_count in 0..1000u32, status in 0..32u32,
        ) -> SegmentMetadata {
            let [length, start_offset, max_rolling_length, last_modified, first, last, owner_epoch] = numbers;
            SegmentMetadata {
                name, length, chunk_count, start_offset, status, max_rolling_length, first_chunk, last_chunk,
                last_modified, first_chunk_start_offset: first, last_chunk_start_offset: last, owner_epoch,
            }
        }
    }

    fn records() -> impl Strategy<Value = StorageMetadata> {
        let fields = (".{0,40}", 0..=crate::primitives::COMPACT_LONG_MAX, ".{0,40}", 0..4u32);
        prop_oneof![
            segments().prop_map(StorageMetadata::Segment),
            fields.clone().prop_map(|(name, length, next_chunk, status)| {
                StorageMetadata::Chunk(ChunkMetadata { name, length, next_chunk, status })
            }),
            fields.prop_map(|(name, start_offset, chunk_name, status)| {
                StorageMetadata::ReadIndexBlock(ReadIndexBlockMetadata { name, chunk_name, start_offset, status })
            }),
        ]
    }

    proptest! {
        #[test]
        fn encoded_values_decode(version: i64, key in ".{0,40}", value in prop::option::of(records())) {
            let data = TransactionData { version, key, value };
            let subject = match data.value {
                None => Subject::Deleted,
                Some(StorageMetadata::Segment(_)) => Subject::Segment,
                Some(_) => Subject::PartOfSegment,
            };
            prop_assert_eq!(Subject::of(&data.encode().unwrap()), Some(subject));
            prop_assert_eq!(TransactionData::decode(&data.encode().unwrap()).unwrap(), data);
        }

        #[test]
        fn damaged_values_do_not_panic(
            value in records(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8,
        ) {
            let mut bytes = TransactionData { version: 1, key: "k".into(), value: Some(value) }.encode().unwrap();
            prop_assert!(TransactionData::decode(&bytes[..cut.index(bytes.len())]).is_err());
            let position = at.index(bytes.len());
            bytes[position] = byte;
            let _ = TransactionData::decode(&bytes);
        }
    }
}

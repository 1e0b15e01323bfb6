//! Journals of bookies (`Journal`, `JournalChannel` and `LastLogMark` of BookKeeper).
//!
//! ```text
//! file     := "BKLG" · i32 version · zeros up to byte 512 (versions up to 4: none) · record*
//! record   := i32 length · body                  length 0: nothing was written from here on, the file is preallocated
//! padding  := i32 -0x100 · i32 length · bytes    from version 5 on; a write ends on a sector
//! body     := ledger id i64 · entry id i64 · ...
//! ```
//! An entry id below 0 says what else a body is. Records have no checksum; the digest of an entry is what protects it, so
//! whoever reads a journal checks it. The name of a file is its id, in hexadecimal; ids of one journal rise by 1.

use crate::error::DecodeError;
use crate::primitives::Reader;
use crate::stepwise::Step;

/// Bytes that [`JournalHeader::decode`] needs.
pub const JOURNAL_HEADER_BYTES: usize = 8;
/// Where records begin from version 5 on.
const SECTOR_BYTES: u64 = 512;
const MAGIC: [u8; 4] = *b"BKLG";
/// The oldest version with a header.
const OLDEST_VERSION: i32 = 2;
/// The first version that pads writes.
const PADDED_VERSION: i32 = 5;
/// The version of BookKeeper 4.7 and later.
const NEWEST_VERSION: i32 = 6;

/// A length that is none: padding follows.
const PADDING: i32 = -0x100;
/// Length and length of the padding.
const PADDING_HEADER_BYTES: usize = 8;
const LENGTH_BYTES: usize = 4;
/// Ledger id and entry id.
const BODY_MIN_BYTES: usize = 16;

const LEDGER_KEY: i64 = -0x1000;
const FENCED: i64 = -0x2000;
const FORCE: i64 = -0x4000;
const EXPLICIT_LAC: i64 = -0x8000;

const WHAT: &str = "bookie journal";

/// The beginning of a journal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalHeader {
    /// Version of the format.
    pub version: i32,
}

impl JournalHeader {
    /// What BookKeeper 4.7 and later write.
    pub const NEWEST: Self = Self { version: NEWEST_VERSION };

    /// Reads the first [`JOURNAL_HEADER_BYTES`] of a file; what follows is ignored.
    ///
    /// # Errors
    /// If the bytes are no such header, or one of an unknown version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(WHAT, bytes);
        if reader.array()? != MAGIC {
            return Err(reader.error_at(0, "the letters BKLG"));
        }
        let version = reader.i32()?;
        if !(OLDEST_VERSION..=NEWEST_VERSION).contains(&version) {
            let expected = format!("version {OLDEST_VERSION} to {NEWEST_VERSION}, found {version}");
            return Err(reader.error_at(MAGIC.len(), expected));
        }
        Ok(Self { version })
    }

    /// Position of the first record, in bytes.
    #[must_use]
    pub const fn first_record(self) -> u64 {
        if self.version >= PADDED_VERSION { SECTOR_BYTES } else { JOURNAL_HEADER_BYTES as u64 }
    }

    /// Takes the next step through the records of a journal: `bytes` are those from `offset` in the file on, as many as
    /// are at hand.
    ///
    /// # Errors
    /// If no record can begin there: a length below 0 or above `record_max_bytes`, or a body that is none.
    pub fn step(
        self,
        bytes: &[u8],
        offset: u64,
        record_max_bytes: usize,
    ) -> Result<Step<JournalItem<'_>>, DecodeError> {
        let mut reader = Reader::at(WHAT, bytes, offset);
        if bytes.len() < LENGTH_BYTES {
            return Ok(Step::Incomplete { needed: LENGTH_BYTES });
        }
        match reader.i32()? {
            0 => Ok(Step::End),
            PADDING if self.version >= PADDED_VERSION => {
                if bytes.len() < PADDING_HEADER_BYTES {
                    return Ok(Step::Incomplete { needed: PADDING_HEADER_BYTES });
                }
                let length = reader.i32()?;
                let Some(length) = usize::try_from(length).ok().filter(|length| *length <= record_max_bytes) else {
                    let expected = format!("padding of at most {record_max_bytes} bytes, found {length}");
                    return Err(reader.error_at(LENGTH_BYTES, expected));
                };
                let needed = PADDING_HEADER_BYTES + length;
                if reader.remaining() < length {
                    return Ok(Step::Incomplete { needed });
                }
                Ok(Step::Item { item: JournalItem::Padding(reader.bytes(length)?), length: needed as u64 })
            }
            length => {
                let room = BODY_MIN_BYTES..=record_max_bytes;
                let Some(length) = usize::try_from(length).ok().filter(|length| room.contains(length)) else {
                    let expected = format!("a record of {BODY_MIN_BYTES} to {record_max_bytes} bytes, found {length}");
                    return Err(reader.error_at(0, expected));
                };
                if reader.remaining() < length {
                    return Ok(Step::Incomplete { needed: LENGTH_BYTES + length });
                }
                let body = reader.sub_reader(WHAT, length)?;
                let item = JournalItem::Record(JournalRecord::read(body)?);
                Ok(Step::Item { item, length: (LENGTH_BYTES + length) as u64 })
            }
        }
    }
}

/// What stands at a place of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalItem<'a> {
    /// A record.
    Record(JournalRecord<'a>),
    /// Bytes up to the end of a sector, which mean nothing and are all zero.
    Padding(&'a [u8]),
}

/// A record of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalRecord<'a> {
    /// An entry as the client sent it, [`LENGTH_BYTES`] behind the beginning of the record; see [`crate::ledger_entry`].
    Entry(&'a [u8]),
    /// The bookie saw a ledger for the first time: its master key, 20 bytes unless something else wrote it.
    LedgerKey {
        /// The ledger.
        ledger_id: i64,
        /// [`crate::ledger_entry::MasterKey`].
        master_key: &'a [u8],
    },
    /// A ledger was fenced.
    Fenced {
        /// The ledger.
        ledger_id: i64,
    },
    /// A writer told how far it had confirmed entries, without adding one.
    ExplicitLac {
        /// The ledger.
        ledger_id: i64,
        /// Ledger id, last add confirmed and digest.
        body: &'a [u8],
    },
    /// A request to make a ledger durable; never written by the versions that are known.
    Force {
        /// The ledger.
        ledger_id: i64,
    },
}

impl<'a> JournalRecord<'a> {
    fn read(mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let entry = body.rest();
        let ledger_id = body.i64()?;
        match body.i64()? {
            0.. => Ok(Self::Entry(entry)),
            LEDGER_KEY => Ok(Self::LedgerKey { ledger_id, master_key: read_bytes(&mut body)? }),
            FENCED => Ok(Self::Fenced { ledger_id }),
            FORCE => Ok(Self::Force { ledger_id }),
            EXPLICIT_LAC => Ok(Self::ExplicitLac { ledger_id, body: read_bytes(&mut body)? }),
            other => Err(body.error_at(8, format!("an entry id or the number of a kind of record, found {other}"))),
        }
    }
}

fn read_bytes<'a>(body: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let position = body.position();
    let length = body.i32()?;
    match usize::try_from(length).ok().filter(|length| *length <= body.remaining()) {
        Some(length) => body.bytes(length),
        None => Err(body.error_at(position, format!("a length of at most {}, found {length}", body.remaining()))),
    }
}

/// The file `lastMark` of a ledger directory: all that the journal holds before this place is in entry logs and indexes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastMark {
    /// Id of the journal file.
    pub journal_id: u64,
    /// Position in it, in bytes.
    pub offset: u64,
}

impl LastMark {
    /// Decodes the file; bytes behind are ignored.
    ///
    /// # Errors
    /// If there are fewer than 16 bytes, or a number is negative.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("lastMark", bytes);
        Ok(Self { journal_id: reader.length()?, offset: reader.length()? })
    }
}

/// The id of the journal with this file name, `<hexadecimal id>.txn`.
#[must_use]
pub fn journal_id(file_name: &str) -> Option<u64> {
    crate::stepwise::hexadecimal(file_name.strip_suffix(".txn")?)
}

#[cfg(test)]
mod tests;

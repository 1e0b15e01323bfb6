//! Entry logs of bookies (`EntryLogger` of BookKeeper).
//!
//! ```text
//! file   := "BKLO" · i32 version · i64 position of the ledgers map (0: the log was not sealed) · i32 number of ledgers
//!           · zeros up to byte 1024 · record*
//! record := i32 length · entry          see `ledger_entry`; entries of all ledgers lie mixed
//! map    := i32 length · -1 i64 · -2 i64 · i32 count · (ledger id i64 · bytes i64)*       a record of its own kind
//! ```
//! The map says which ledgers a log has, not where, and its place in the header was wrong in some versions. A log that is
//! not sealed was written in blocks, so its last entry is usually cut. Its file is named `<hexadecimal id>.log`.

use crate::error::DecodeError;
use crate::primitives::Reader;
use crate::stepwise::Step;

/// Bytes before the first record.
pub const ENTRY_LOG_HEADER_BYTES: usize = 1024;
/// Bytes of the header that [`EntryLogHeader::decode`] needs.
pub const ENTRY_LOG_HEADER_MIN_BYTES: usize = 20;
const MAGIC: [u8; 4] = *b"BKLO";
/// Version 0 had no ledgers map.
const NEWEST_VERSION: i32 = 1;
const LENGTH_BYTES: usize = 4;
/// Ledger id and entry id.
const ENTRY_MIN_BYTES: usize = 16;
const MAP_LEDGER_ID: i64 = -1;
const MAP_ENTRY_ID: i64 = -2;
const MAP_ROW_BYTES: usize = 16;

const WHAT: &str = "entry log";

/// The beginning of an entry log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryLogHeader {
    /// Version of the format.
    pub version: i32,
    /// Where the ledgers map is; none if the log was not sealed.
    pub ledgers_map_offset: Option<u64>,
    /// Number of ledgers in the map.
    pub ledger_count: i32,
}

impl EntryLogHeader {
    /// Reads the header; what follows is ignored.
    ///
    /// # Errors
    /// If the bytes are no such header, or one of an unknown version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(WHAT, bytes);
        if reader.array()? != MAGIC {
            return Err(reader.error_at(0, "the letters BKLO"));
        }
        let version = reader.i32()?;
        if !(0..=NEWEST_VERSION).contains(&version) {
            return Err(reader.error_at(MAGIC.len(), format!("version 0 to {NEWEST_VERSION}, found {version}")));
        }
        let ledgers_map_offset = Some(reader.length()?).filter(|offset| *offset > 0);
        Ok(Self { version, ledgers_map_offset, ledger_count: reader.i32()? })
    }
}

/// What stands at a place of an entry log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryLogItem<'a> {
    /// An entry as the client sent it, 4 bytes behind the beginning of the record.
    Entry(&'a [u8]),
    /// A part of the ledgers map: bytes of each ledger in this log, with the lengths before the entries.
    LedgersMap(Vec<LedgerBytes>),
}

/// A row of the ledgers map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerBytes {
    /// The ledger.
    pub ledger_id: i64,
    /// Its bytes in the log.
    pub bytes: i64,
}

/// Takes the next step through the records of an entry log: `bytes` are those from `offset` in the file on, as many as are
/// at hand. The first record is at [`ENTRY_LOG_HEADER_BYTES`].
///
/// # Errors
/// If no record can begin there: a length below 16 or above `record_max_bytes`, ids that are none, or a damaged map.
pub fn step(bytes: &[u8], offset: u64, record_max_bytes: usize) -> Result<Step<EntryLogItem<'_>>, DecodeError> {
    let mut reader = Reader::at(WHAT, bytes, offset);
    if bytes.len() < LENGTH_BYTES {
        return Ok(Step::Incomplete { needed: LENGTH_BYTES });
    }
    let length = reader.i32()?;
    if length == 0 {
        return Ok(Step::End);
    }
    let room = ENTRY_MIN_BYTES..=record_max_bytes;
    let Some(length) = usize::try_from(length).ok().filter(|length| room.contains(length)) else {
        let expected = format!("a record of {ENTRY_MIN_BYTES} to {record_max_bytes} bytes, found {length}");
        return Err(reader.error_at(0, expected));
    };
    if reader.remaining() < length {
        return Ok(Step::Incomplete { needed: LENGTH_BYTES + length });
    }
    let mut body = reader.sub_reader(WHAT, length)?;
    let entry = body.rest();
    let item = match (body.i64()?, body.i64()?) {
        (MAP_LEDGER_ID, MAP_ENTRY_ID) => EntryLogItem::LedgersMap(read_map(&mut body)?),
        (0.., 0..) => EntryLogItem::Entry(entry),
        (ledger_id, entry_id) => {
            let expected = format!("the ids of a ledger and an entry, found {ledger_id} and {entry_id}");
            return Err(body.error_at(0, expected));
        }
    };
    Ok(Step::Item { item, length: (LENGTH_BYTES + length) as u64 })
}

fn read_map(body: &mut Reader<'_>) -> Result<Vec<LedgerBytes>, DecodeError> {
    let position = body.position();
    let count = body.i32()?;
    let room = body.remaining() / MAP_ROW_BYTES;
    let Some(count) = usize::try_from(count).ok().filter(|count| *count <= room) else {
        return Err(body.error_at(position, format!("at most {room} ledgers, found {count}")));
    };
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        rows.push(LedgerBytes { ledger_id: body.i64()?, bytes: body.i64()? });
    }
    Ok(rows)
}

/// The id of the entry log with this file name, `<hexadecimal id>.log`.
#[must_use]
pub fn log_id(file_name: &str) -> Option<u64> {
    crate::stepwise::hexadecimal(file_name.strip_suffix(".log")?)
}

#[cfg(test)]
mod tests;

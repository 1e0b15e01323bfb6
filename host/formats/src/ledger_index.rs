//! Index files of sorted and interleaved ledger storage (`FileInfo` and `LedgerEntryPage` of BookKeeper).
//!
//! ```text
//! file     := "BKLE" · i32 version · i32 length · master key · i32 state (bit 0: fenced)
//!             · i32 length · explicit LAC (from version 1 on) · zeros up to byte 1024 · location*
//! location := i64      of the entry whose number is the location's: id of the entry log << 32 | position behind the length
//! ```
//! A location of 0 is that of an entry that the bookie does not have. The file of a ledger is named `<hexadecimal id>.idx`.

use crate::error::DecodeError;
use crate::primitives::Reader;

/// Bytes before the first location; also what [`LedgerIndexHeader::decode`] should be given.
pub const LEDGER_INDEX_HEADER_BYTES: usize = 1024;
/// Bytes of a location.
pub const LOCATION_BYTES: usize = 8;
const MAGIC: [u8; 4] = *b"BKLE";
const NEWEST_VERSION: i32 = 1;
/// The first version with an explicit LAC.
const EXPLICIT_LAC_VERSION: i32 = 1;
const FENCED: i32 = 1;

const WHAT: &str = "ledger index";

/// The beginning of an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerIndexHeader<'a> {
    /// Version of the format.
    pub version: i32,
    /// [`crate::ledger_entry::MasterKey`], 20 bytes unless something else wrote it.
    pub master_key: &'a [u8],
    /// True if the ledger was fenced on this bookie.
    pub fenced: bool,
    /// Ledger id, last add confirmed and digest, if a writer told so without adding an entry.
    pub explicit_lac: Option<&'a [u8]>,
}

impl<'a> LedgerIndexHeader<'a> {
    /// Reads the header; what follows is ignored.
    ///
    /// # Errors
    /// If the bytes are no such header, or one of an unknown version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(WHAT, bytes);
        if reader.array()? != MAGIC {
            return Err(reader.error_at(0, "the letters BKLE"));
        }
        let version = reader.i32()?;
        if !(0..=NEWEST_VERSION).contains(&version) {
            return Err(reader.error_at(MAGIC.len(), format!("version 0 to {NEWEST_VERSION}, found {version}")));
        }
        let master_key = read_bytes(&mut reader)?;
        let state = reader.i32()?;
        let explicit_lac = if version >= EXPLICIT_LAC_VERSION { read_bytes(&mut reader)? } else { &[] };
        let explicit_lac = Some(explicit_lac).filter(|body| !body.is_empty());
        Ok(Self { version, master_key, fenced: state & FENCED != 0, explicit_lac })
    }
}

fn read_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let position = reader.position();
    let length = reader.i32()?;
    match usize::try_from(length).ok().filter(|length| *length <= reader.remaining()) {
        Some(length) => reader.bytes(length),
        None => Err(reader.error_at(position, format!("a length of at most {}, found {length}", reader.remaining()))),
    }
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryLocation {
    /// Id of the entry log.
    pub log_id: u32,
    /// Position of the entry, behind its length, in bytes.
    pub offset: u32,
}

impl EntryLocation {
    /// Reads one location; none if the bookie does not have the entry.
    #[must_use]
    pub const fn decode(bytes: [u8; LOCATION_BYTES]) -> Option<Self> {
        match u64::from_be_bytes(bytes) {
            0 => None,
            location => Some(Self { log_id: (location >> 32) as u32, offset: location as u32 }),
        }
    }
}

/// The id of the ledger whose index has this file name, `<hexadecimal id>.idx`.
#[must_use]
pub fn ledger_id(file_name: &str) -> Option<i64> {
    i64::try_from(crate::stepwise::hexadecimal(file_name.strip_suffix(".idx")?)?).ok()
}

#[cfg(test)]
mod tests;

//! What one bookie holds, without the data: a file that is made beside the bookie's disks ([`take`]) and can be carried to
//! where the metadata are rebuilt. There the surveys of many bookies are read together, ledger by ledger ([`MergedSurveys`]).
//!
//! A survey has a line for every entry whose digest is right: its numbers, the checksum of its payload, where it is, and
//! what the payload says if it is a frame of one of Pravega's logs. The payload itself is read back by [`read_payload`].

mod file;
mod frame;
mod merge;
mod sort;
mod take;

use std::path::PathBuf;

use dr_backends::bookie_disk::{BookieDisk, EntryPlace, FileKind, LedgerFacts, Oddities};
use dr_formats::ledger_entry::{DigestType, ENTRY_HEADER_BYTES, EntryCodec, LedgerPassword, MasterKey};
use serde::{Deserialize, Serialize};

use crate::error::{OperatorError, Result};

pub use self::file::BookieSurvey;
pub(crate) use self::frame::summarise;
pub use self::merge::{BookieIdentity, MergedEntry, MergedSurveys, refuse_confused};
pub use self::take::{Take, take};

/// Version of the format of a survey file.
pub const SURVEY_VERSION: u32 = 1;

/// What a survey says of the bookie as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyHeader {
    /// [`SURVEY_VERSION`].
    pub version: u32,
    /// Id of the bookie.
    pub bookie_id: String,
    /// Instance of its cluster, if it has one.
    pub instance_id: Option<String>,
    /// Its cookie, byte for byte, which ZooKeeper must hold before the bookie starts.
    #[serde(with = "base64_bytes")]
    pub cookie: Vec<u8>,
    /// Its directories, where the survey was taken.
    pub directories: Vec<PathBuf>,
    /// The files of entries that places refer to.
    pub files: Vec<SurveyedFile>,
    /// Every ledger that is mentioned, by id.
    pub ledgers: Vec<LedgerSummary>,
    /// Number of entries in the survey; two contents of one entry count twice.
    pub entries: u64,
    /// What was odd.
    pub oddities: Oddities,
}

/// A file of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyedFile {
    /// Where it was.
    pub path: PathBuf,
    /// True for a journal, false for an entry log.
    pub journal: bool,
    /// Its id.
    pub id: u64,
    /// Its bytes.
    pub length: u64,
}

/// What a bookie says of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// The ledger.
    pub ledger_id: i64,
    /// Its master key, if the bookie still says it.
    #[serde(default, with = "master_key_hex", skip_serializing_if = "Option::is_none")]
    pub master_key: Option<MasterKey>,
    /// True if it was fenced on this bookie.
    pub fenced: bool,
    /// The last add confirmed that a writer told without adding an entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explicit_last_add_confirmed: Option<i64>,
    /// Number of entries in the survey.
    pub entries: u64,
    /// The first entry; none if there is none.
    pub first_entry: Option<i64>,
    /// The last entry.
    pub last_entry: Option<i64>,
}

/// One entry on one bookie. Two of them with the same ids have different contents; copies that agree are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySummary {
    /// The ledger.
    pub ledger_id: i64,
    /// The entry.
    pub entry_id: i64,
    /// The highest last add confirmed that a copy of the entry names.
    pub last_add_confirmed: i64,
    /// Payload bytes of the ledger up to and including this entry, as the entry says.
    pub length: i64,
    /// Bytes of the payload.
    pub payload_length: u32,
    /// CRC32C of the payload.
    pub payload_checksum: u32,
    /// The digest that is right.
    pub digest_type: DigestType,
    /// The last copy: that in the latest journal, or else in the latest entry log.
    pub place: EntryPlace,
    /// Number of copies with this content.
    pub copies: u32,
    /// What the payload says; none if it is no frame of a log.
    pub frame: Option<FrameSummary>,
}

/// What a frame of a log says by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameSummary {
    /// The frame begins with the rest of a record of an earlier frame.
    pub begins_inside_record: bool,
    /// The last record goes on in the next frame.
    pub ends_inside_record: bool,
    /// Number of records that begin in the frame.
    pub records_begun: u32,
    /// How many of them have their number in another frame, since this one ends before.
    pub unnumbered_records: u32,
    /// Number of metadata checkpoints that begin in the frame.
    pub metadata_checkpoints: u32,
    /// Sequence number of the first operation that begins in the frame and has its number there.
    pub first_sequence_number: Option<i64>,
    /// Sequence number of the last one.
    pub last_sequence_number: Option<i64>,
    /// The containers that operations in the frame name as the log's own, sorted.
    pub container_ids: Vec<u32>,
}

impl LedgerSummary {
    fn new(ledger_id: i64, facts: Option<&LedgerFacts>) -> Self {
        Self {
            ledger_id,
            master_key: facts.and_then(|facts| facts.master_key),
            fenced: facts.is_some_and(|facts| facts.fenced),
            explicit_last_add_confirmed: facts.and_then(LedgerFacts::explicit_last_add_confirmed),
            entries: 0,
            first_entry: None,
            last_entry: None,
        }
    }

    /// Whether a password is that of the ledger; none if the bookie does not say the ledger's key.
    #[must_use]
    pub fn has_password(&self, password: &LedgerPassword) -> Option<bool> {
        self.master_key.map(|key| key == password.master_key())
    }
}

impl EntrySummary {
    /// Ledger, entry and place: the order of a survey.
    const fn key(&self) -> (i64, i64, EntryPlace) {
        (self.ledger_id, self.entry_id, self.place)
    }

    /// True if both are copies of the same content.
    fn same_content(&self, other: &Self) -> bool {
        (self.ledger_id, self.entry_id, self.length, self.payload_length, self.payload_checksum)
            == (other.ledger_id, other.entry_id, other.length, other.payload_length, other.payload_checksum)
    }
}

/// Bytes of an entry on the disk.
const fn entry_length(digest_type: DigestType, payload_length: u32) -> u32 {
    (ENTRY_HEADER_BYTES + digest_type.length()) as u32 + payload_length
}

impl SurveyedFile {
    fn of(file: &dr_backends::bookie_disk::DiskFile) -> Self {
        let (journal, id) = match file.kind {
            FileKind::Journal { id } => (true, id),
            FileKind::EntryLog { id } => (false, id),
        };
        Self { path: file.path.clone(), journal, id, length: file.length }
    }
}

/// Reads the payload of an entry back from the disks that were surveyed.
///
/// # Errors
/// `bookie-disk-io`; `survey-mismatch` if the entry is not what the survey says: the disks were changed since.
pub fn read_payload(disk: &BookieDisk, entry: &EntrySummary, password: &LedgerPassword) -> Result<Vec<u8>> {
    let mut bytes = disk.read_entry(entry.place)?;
    let codec = EntryCodec::new(entry.digest_type, password);
    let decoded = codec.decode(&bytes).map_err(|error| mismatch(entry).because(error))?;
    let ids = (decoded.header.ledger_id, decoded.header.entry_id);
    let content = (decoded.payload.len() as u64, crc32c::crc32c(decoded.payload));
    if (ids, content) != ((entry.ledger_id, entry.entry_id), (u64::from(entry.payload_length), entry.payload_checksum))
    {
        return Err(mismatch(entry));
    }
    bytes.drain(..ENTRY_HEADER_BYTES + entry.digest_type.length());
    Ok(bytes)
}

fn mismatch(entry: &EntrySummary) -> OperatorError {
    let EntrySummary { ledger_id, entry_id, .. } = entry;
    OperatorError::new(
        "survey-mismatch",
        format!("entry {entry_id} of ledger {ledger_id} is not where the survey says"),
        "make sure that the bookie does not run, then survey its disks again with `dr survey-bookie`",
    )
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map_err(D::Error::custom)
    }
}

mod master_key_hex {
    use dr_formats::ledger_entry::MasterKey;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &Option<MasterKey>, serializer: S) -> Result<S::Ok, S::Error> {
        match key {
            Some(key) => serializer.serialize_some(&crate::plan::hex(&key.0)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MasterKey>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let key = crate::plan::unhex(&text).and_then(|bytes| bytes.try_into().ok());
        let key = key.ok_or_else(|| D::Error::custom("a master key"))?;
        Ok(Some(MasterKey(key)))
    }
}

#[cfg(test)]
mod tests;

//! Ledger metadata in ZooKeeper (`LedgerMetadataSerDe`, `LedgerLayout` and the ledger managers of BookKeeper).
//!
//! A ZNode holds the line `BookieMetadataFormatVersion\t3\n`, then a length-prefixed protobuf message
//! (`LedgerMetadataFormat`). Version 3 is what BookKeeper 4.9 and later write; versions 1 and 2 are refused.

mod fields;
mod layout;
mod wire;

use prost::Message;

pub use fields::{RawContent, RawField, raw_fields};
pub use layout::{LEDGERS_LAYOUT_NODE, LedgerManager};

use crate::error::{DecodeError, EncodeError};
use crate::ledger_entry::{DigestType, LedgerPassword};
use wire::{CustomMetadataEntry, EnsembleSegment, LedgerMetadataFormat};

/// First line of a ledger's metadata in the only supported version.
const HEADER: &[u8] = b"BookieMetadataFormatVersion\t3\n";
const WHAT: &str = "ledger metadata";

/// What BookKeeper knows of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerMetadata {
    /// Number of bookies that hold the ledger.
    pub ensemble_size: u32,
    /// Copies of each entry; at most the ensemble size.
    pub write_quorum: u32,
    /// Copies that must be confirmed; at most the write quorum.
    pub ack_quorum: u32,
    /// Open or closed.
    pub state: LedgerState,
    /// Which bookies hold which entries, by ascending first entry; the first starts at 0.
    pub ensembles: Vec<Ensemble>,
    /// How entries are protected, with the password; none only for ledgers of very old clients.
    pub security: Option<LedgerSecurity>,
    /// Creation time in milliseconds since 1970, if the client stores it; else the ZNode's own time counts.
    pub creation_time: Option<i64>,
    /// Custom metadata, in order.
    pub custom_metadata: Vec<(String, Vec<u8>)>,
    /// Random at creation, 0 after every later update.
    pub creation_token: Option<i64>,
}

/// Digest type and password, which metadata have both or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSecurity {
    /// How entries are protected.
    pub digest_type: DigestType,
    /// The password.
    pub password: LedgerPassword,
}

/// Life of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerState {
    /// Being written.
    Open,
    /// Somebody finds out its end.
    InRecovery,
    /// Complete.
    Closed {
        /// Id of the last entry; -1 if there is none.
        last_entry: i64,
        /// Payload bytes.
        length: i64,
    },
}

/// The bookies of a stretch of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensemble {
    /// First entry that they hold.
    pub first_entry: i64,
    /// Bookie ids, in order.
    pub bookies: Vec<String>,
}

impl LedgerMetadata {
    /// Decodes the content of a ledger's ZNode.
    ///
    /// # Errors
    /// If it is of another version than 3, is no such message, or breaks a rule of BookKeeper: no ensemble, closed
    /// without an end, digest without password or the reverse.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let error = |offset: usize, expected: String| DecodeError::new(WHAT, offset as u64, expected);
        let Some(body) = data.strip_prefix(HEADER) else {
            let found = String::from_utf8_lossy(data.get(..HEADER.len().min(data.len())).unwrap_or_default());
            return Err(error(0, format!("`BookieMetadataFormatVersion` 3, found {found:?}")));
        };
        let message = LedgerMetadataFormat::decode_length_delimited(body)
            .map_err(|cause| error(HEADER.len(), format!("a LedgerMetadataFormat message ({cause})")))?;
        message.into_metadata().map_err(|expected| error(HEADER.len(), expected))
    }

    /// The content of a ledger's ZNode, byte for byte as the Java client writes it.
    ///
    /// # Errors
    /// If a quorum is beyond 2^31 - 1.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let message = LedgerMetadataFormat::from_metadata(self)?;
        let mut data = HEADER.to_vec();
        data.extend(message.encode_length_delimited_to_vec());
        Ok(data)
    }

    /// The bookies that hold an entry, or none before the first ensemble.
    #[must_use]
    pub fn ensemble_of(&self, entry_id: i64) -> Option<&Ensemble> {
        self.ensembles.iter().rev().find(|ensemble| ensemble.first_entry <= entry_id)
    }
}

const OPEN: i32 = 1;
const IN_RECOVERY: i32 = 2;
const CLOSED: i32 = 3;

impl LedgerMetadataFormat {
    /// Checks the rules; the error is what was expected.
    fn into_metadata(self) -> Result<LedgerMetadata, String> {
        let state = self.checked_state()?;
        let security = match (self.digest_type, self.password) {
            (None, None) => None,
            (Some(number), Some(password)) => {
                let digest_type = DigestType::ALL.into_iter().find(|known| *known as i32 == number);
                let digest_type = digest_type.ok_or_else(|| format!("a digest type 1 to 4, found {number}"))?;
                Some(LedgerSecurity { digest_type, password: LedgerPassword::new(password) })
            }
            _ => return Err("digest type and password, or neither".to_owned()),
        };
        if self.segments.is_empty() {
            return Err("at least one ensemble".to_owned());
        }
        let size = |name: &str, number: i32| match u32::try_from(number) {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(format!("a {name} above 0, found {number}")),
        };
        Ok(LedgerMetadata {
            ensemble_size: size("ensemble size", self.ensemble_size)?,
            write_quorum: size("write quorum", self.write_quorum)?,
            ack_quorum: size("ack quorum", self.ack_quorum.unwrap_or(self.write_quorum))?,
            state,
            ensembles: self.segments.into_iter().map(Ensemble::from).collect(),
            security,
            creation_time: self.creation_time,
            custom_metadata: self.custom_metadata.into_iter().map(CustomMetadataEntry::into_pair).collect(),
            creation_token: self.creation_token,
        })
    }

    fn checked_state(&self) -> Result<LedgerState, String> {
        match (self.state, self.last_entry) {
            (OPEN, _) => Ok(LedgerState::Open),
            (IN_RECOVERY, _) => Ok(LedgerState::InRecovery),
            (CLOSED, Some(last_entry)) if last_entry >= -1 && self.length >= 0 => {
                Ok(LedgerState::Closed { last_entry, length: self.length })
            }
            (CLOSED, last_entry) => Err(format!("an end of the closed ledger, found {last_entry:?}, {}", self.length)),
            (other, _) => Err(format!("a ledger state 1 to 3, found {other}")),
        }
    }

    fn from_metadata(metadata: &LedgerMetadata) -> Result<Self, EncodeError> {
        let size = |name: &'static str, size: u32| {
            i32::try_from(size).map_err(|_| EncodeError::new(format!("{name} {size}"), "at most 2^31 - 1"))
        };
        let (state, last_entry, length) = match metadata.state {
            LedgerState::Open => (OPEN, -1, 0),
            LedgerState::InRecovery => (IN_RECOVERY, -1, 0),
            LedgerState::Closed { last_entry, length } => (CLOSED, last_entry, length),
        };
        let security = metadata.security.as_ref();
        Ok(Self {
            write_quorum: size("write quorum", metadata.write_quorum)?,
            ensemble_size: size("ensemble size", metadata.ensemble_size)?,
            length,
            last_entry: Some(last_entry),
            state,
            segments: metadata.ensembles.iter().map(EnsembleSegment::from).collect(),
            digest_type: security.map(|security| security.digest_type as i32),
            password: security.map(|security| security.password.reveal().to_vec()),
            ack_quorum: Some(size("ack quorum", metadata.ack_quorum)?),
            creation_time: metadata.creation_time,
            custom_metadata: metadata.custom_metadata.iter().map(CustomMetadataEntry::from).collect(),
            creation_token: metadata.creation_token,
        })
    }
}

#[cfg(test)]
mod tests;

//! The ZNode of a container's log: which ledgers, from where, and who may write (`LogMetadata`, `LedgerMetadata`,
//! `LedgerAddress` and `HierarchyUtils` of Pravega's BookKeeper binding).

use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer};

/// Depth of the ZNode hierarchy if `bookkeeper.zk.metadata.hierarchy.depth` is not set.
pub const DEFAULT_HIERARCHY_DEPTH: usize = 2;
/// Least bytes of a ledger: two compact numbers and the status.
const LEDGER_MIN_BYTES: usize = 3;

/// Content of a log's ZNode. The version of the ZNode itself is the compare-and-set token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMetadata {
    /// False once the store found the log corrupt, or an administrator disabled it; the container then stays offline.
    pub enabled: bool,
    /// Greater than 0; a store that takes the log over adds 1.
    pub epoch: u64,
    /// Reading starts behind this address; [`LedgerAddress::START`] for a log that was never truncated.
    pub truncation: LedgerAddress,
    /// Ledgers by ascending id and ascending sequence. An empty list cannot boot.
    pub ledgers: Vec<LogLedger>,
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerAddress {
    /// See [`FrameAddress`].
    pub frame: FrameAddress,
    /// The ledger's id in BookKeeper.
    pub ledger_id: i64,
}

impl LedgerAddress {
    /// Before the first entry of the first ledger.
    pub const START: Self = Self { frame: FrameAddress(0), ledger_id: 0 };
}

/// Address of a frame, which grows strictly through the log: ledger sequence times 2^32, plus the entry id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameAddress(pub u64);

impl FrameAddress {
    /// The address of an entry of the ledger with that sequence.
    #[must_use]
    pub const fn new(ledger_sequence: u32, entry_id: u32) -> Self {
        Self(((ledger_sequence as u64) << 32) | entry_id as u64)
    }

    /// The ledger's sequence in the log.
    #[must_use]
    pub const fn ledger_sequence(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The entry's id in the ledger.
    #[must_use]
    pub const fn entry_id(self) -> u32 {
        self.0 as u32
    }
}

/// A ledger of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLedger {
    /// Its id in BookKeeper.
    pub ledger_id: i64,
    /// Its number in the log, from 1.
    pub sequence: u32,
    /// What is known of its content.
    pub status: LedgerStatus,
}

/// What the store knows of a ledger without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LedgerStatus {
    /// Must be opened to know.
    Unknown = 0,
    /// Has no entries; it may be missing in BookKeeper.
    Empty = 1,
    /// Has entries.
    NotEmpty = 2,
}

impl LogMetadata {
    /// Decodes the content of a ZNode.
    ///
    /// # Errors
    /// If the bytes are not such a content.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        Reader::new("log metadata", data).read_single("log metadata", |body| {
            Ok(Self {
                enabled: body.bool()?,
                epoch: body.compact_long()?,
                truncation: LedgerAddress {
                    frame: FrameAddress(body.compact_long()?),
                    ledger_id: body.compact_long_i64()?,
                },
                ledgers: body.list(LEDGER_MIN_BYTES, LogLedger::read)?,
            })
        })
    }

    /// The encoded content.
    ///
    /// # Errors
    /// If a number is beyond its compact form: 2^62 - 2, for sequences 2^30 - 2.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.bool(self.enabled);
            body.compact_long(self.epoch);
            body.compact_long(self.truncation.frame.0);
            body.compact_long_i64(self.truncation.ledger_id);
            body.list(&self.ledgers, |body, ledger| {
                body.compact_long_i64(ledger.ledger_id);
                body.compact_int(ledger.sequence);
                body.u8(ledger.status as u8);
            });
        });
        writer.finish()
    }
}

impl LogLedger {
    fn read(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ledger_id = body.compact_long_i64()?;
        let sequence = body.compact_int()?;
        let position = body.position();
        let status = match body.u8()? {
            0 => LedgerStatus::Unknown,
            1 => LedgerStatus::Empty,
            2 => LedgerStatus::NotEmpty,
            other => return Err(body.error_at(position, format!("a ledger status 0 to 2, found {other}"))),
        };
        Ok(Self { ledger_id, sequence, status })
    }
}

/// Path of a container's log below the configured root (`bookkeeper.zk.metadata.path`): one level per decimal digit,
/// least significant first, `depth` levels, then the whole id. Starts with `/`.
#[must_use]
pub fn log_metadata_path(container_id: u32, depth: usize) -> String {
    let mut path = String::new();
    let mut rest = container_id;
    for _ in 0..depth {
        path.push('/');
        path.extend(char::from_digit(rest % 10, 10));
        rest /= 10;
    }
    path.push('/');
    path.push_str(&container_id.to_string());
    path
}

#[cfg(test)]
mod tests;

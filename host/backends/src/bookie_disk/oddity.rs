//! What is not as it should be on a bookie's disks, and does not keep anybody from reading the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Oddities of one kind that are listed one by one; of more there is only the number.
pub const LISTED_MAX: usize = 200;

/// Kinds of oddities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OddityKind {
    /// The last record of a file is cut: the bookie was killed while it wrote. Nothing of it was confirmed, or the journal
    /// has it, unless the file was cut by somebody else.
    TornTail,
    /// An entry whose digest is wrong, or made with another password.
    WrongDigest,
    /// Bytes that are no records; reading went on behind them.
    Damage,
    /// Records behind a place from which on nothing should have been written.
    BehindEnd,
    /// A file that does not begin as it should; it was not read.
    NoHeader,
    /// A journal that should be there.
    MissingJournal,
    /// A directory that the cookie names and nobody gave.
    MissingDirectory,
    /// A directory without a cookie.
    MissingCookie,
    /// A file whose content says nothing: `lastMark`.
    Unreadable,
    /// Indexes in a RocksDB (`DbLedgerStorage`), which is not read: keys and fences of ledgers older than the journals are
    /// not known.
    RocksDbIndex,
    /// Two different master keys of one ledger.
    KeysDiffer,
}

impl OddityKind {
    /// True if entries that were confirmed can be missing because of it.
    #[must_use]
    pub const fn can_hide_entries(self) -> bool {
        matches!(
            self,
            Self::WrongDigest
                | Self::Damage
                | Self::NoHeader
                | Self::MissingJournal
                | Self::MissingDirectory
                | Self::Unreadable
        )
    }
}

impl fmt::Display for OddityKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TornTail => "torn tail",
            Self::WrongDigest => "wrong digest",
            Self::Damage => "damage",
            Self::BehindEnd => "records behind the end",
            Self::NoHeader => "no header",
            Self::MissingJournal => "missing journal",
            Self::MissingDirectory => "missing directory",
            Self::MissingCookie => "missing cookie",
            Self::Unreadable => "unreadable file",
            Self::RocksDbIndex => "RocksDB index",
            Self::KeysDiffer => "master keys differ",
        })
    }
}

/// One oddity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Oddity {
    /// Its kind.
    pub kind: OddityKind,
    /// The file or directory.
    pub path: PathBuf,
    /// Position in the file, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What exactly.
    pub detail: String,
}

/// All oddities of a bookie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Oddities {
    /// The first of each kind, at most [`LISTED_MAX`].
    pub listed: Vec<Oddity>,
    /// Number of each kind, those that are listed included.
    pub counts: BTreeMap<OddityKind, u64>,
}

impl Oddities {
    /// True if nothing is odd.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Number of oddities of a kind.
    #[must_use]
    pub fn count(&self, kind: OddityKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, kind: OddityKind, path: &Path, offset: Option<u64>, detail: impl FnOnce() -> String) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= LISTED_MAX as u64 {
            self.listed.push(Oddity { kind, path: path.to_path_buf(), offset, detail: detail() });
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.listed.extend(other.listed);
    }

    /// The same list whichever thread was faster.
    pub(super) fn sort(&mut self) {
        self.listed.sort();
        let mut last = None;
        let mut of_kind = 0;
        self.listed.retain(|oddity| {
            of_kind = if last == Some(oddity.kind) { of_kind + 1 } else { 1 };
            last = Some(oddity.kind);
            of_kind <= LISTED_MAX
        });
    }
}

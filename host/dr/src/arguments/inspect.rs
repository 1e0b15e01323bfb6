//! Arguments of `dr inspect`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ReportFormat, Tier1Arguments};

/// Arguments of `dr inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// What kind of object.
    #[command(subcommand)]
    pub(crate) kind: InspectKind,
    /// Show at most so many things and damaged parts; 0 for all
    #[arg(long, global = true, value_name = "N", default_value_t = 1000)]
    pub(crate) limit: u64,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, global = true, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Kinds of objects.
#[derive(Debug, Subcommand)]
pub(crate) enum InspectKind {
    /// A system journal or a snapshot of it: batches and records
    Journal(JournalArguments),
    /// A table segment: its entries
    Table(TableArguments),
    /// An attribute index: footers, pages, attributes
    Index(IndexArguments),
    /// The chunks of a segment, by its metadata and by the objects that are there
    ChunkChain(ChunkChainArguments),
    /// A durable log, as an image file or in Tier-1: frames and operations
    Log(LogArguments),
    /// The data of a ledger's ZNode
    LedgerMetadata(LedgerMetadataArguments),
    /// A ZNode, or a file with the data of one
    Znode(ZNodeArguments),
}

/// Where objects lie and how much of them is read.
#[derive(Debug, Args)]
pub(crate) struct ObjectArguments {
    /// Root directory of Tier-2; objects are then keys below it
    #[arg(long, value_name = "ROOT")]
    pub(crate) root: Option<PathBuf>,
    /// Read at most so many bytes of an object or segment
    #[arg(long, value_name = "N", default_value_t = 256 << 20)]
    pub(crate) max_bytes: u64,
}

/// The bytes of a segment.
#[derive(Debug, Args)]
pub(crate) struct SegmentArguments {
    /// Chunks in their order (files, keys below --root, or -); or a root directory and the name of a segment
    #[arg(value_name = "OBJECT", required = true, num_args = 1..)]
    pub(crate) objects: Vec<PathBuf>,
    /// The segment whose table or index it is, which tells what it holds [default: what the first name tells]
    #[arg(long = "as", value_name = "SEGMENT")]
    pub(crate) name: Option<String>,
    /// Where they are.
    #[command(flatten)]
    pub(crate) object: ObjectArguments,
}

/// A Tier-1 that is looked into.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    /// Properties file; may be given several times
    #[arg(short, long = "config", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Tier-1.
    #[command(flatten)]
    pub(crate) tier1: Tier1Arguments,
}

/// Arguments of `dr inspect journal`.
#[derive(Debug, Args)]
pub(crate) struct JournalArguments {
    /// The object: a file, a key below --root, or - for standard input
    #[arg(value_name = "OBJECT")]
    pub(crate) file: PathBuf,
    /// What it is [default: what its name tells, else file]
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub(crate) form: Option<JournalForm>,
    /// Where it is.
    #[command(flatten)]
    pub(crate) object: ObjectArguments,
}

/// Forms of journal objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JournalForm {
    /// Batches of records
    File,
    /// One snapshot
    Snapshot,
    /// Pointer to the newest snapshot
    SnapshotInfo,
    /// Epoch of a planned shutdown
    Epoch,
}

impl JournalForm {
    /// As it is typed.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Snapshot => "snapshot",
            Self::SnapshotInfo => "snapshot-info",
            Self::Epoch => "epoch",
        }
    }
}

/// Arguments of `dr inspect table`.
#[derive(Debug, Args)]
pub(crate) struct TableArguments {
    /// The table.
    #[command(flatten)]
    pub(crate) segment: SegmentArguments,
    /// Also show values, as text or hexadecimal
    #[arg(long)]
    pub(crate) values: bool,
    /// Only the newest entry of each key
    #[arg(long)]
    pub(crate) newest: bool,
}

/// Arguments of `dr inspect index`.
#[derive(Debug, Args)]
pub(crate) struct IndexArguments {
    /// The index.
    #[command(flatten)]
    pub(crate) segment: SegmentArguments,
    /// Bytes of an attribute's id; 0 for UUIDs [default: what the root page tells]
    #[arg(long, value_name = "N")]
    pub(crate) key_length: Option<u16>,
    /// Also show every attribute
    #[arg(long)]
    pub(crate) entries: bool,
}

/// Arguments of `dr inspect chunk-chain`.
#[derive(Debug, Args)]
pub(crate) struct ChunkChainArguments {
    /// Root directory of Tier-2
    #[arg(value_name = "ROOT")]
    pub(crate) root: PathBuf,
    /// Name of the segment
    #[arg(value_name = "SEGMENT")]
    pub(crate) segment: String,
    /// Number of segment containers [default: what the data tells]
    #[arg(long, value_name = "N")]
    pub(crate) container_count: Option<u32>,
}

/// Arguments of `dr inspect log`.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// An image file, or - for standard input
    #[arg(value_name = "FILE", conflicts_with = "container")]
    pub(crate) file: Option<PathBuf>,
    /// The log of this container in Tier-1
    #[arg(long, value_name = "N")]
    pub(crate) container: Option<u32>,
    /// Tier-1.
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    /// Where the file is.
    #[command(flatten)]
    pub(crate) object: ObjectArguments,
}

/// Arguments of `dr inspect ledger-metadata`.
#[derive(Debug, Args)]
pub(crate) struct LedgerMetadataArguments {
    /// A file with the raw data of the ZNode, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where it is.
    #[command(flatten)]
    pub(crate) object: ObjectArguments,
}

/// Arguments of `dr inspect znode`.
#[derive(Debug, Args)]
pub(crate) struct ZNodeArguments {
    /// Absolute path of the ZNode
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// A file with its data instead of a Tier-1, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// What it holds [default: what its path tells]
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub(crate) form: Option<ZNodeForm>,
    /// Tier-1.
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    /// Where the file is.
    #[command(flatten)]
    pub(crate) object: ObjectArguments,
}

/// Forms of the data of ZNodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ZNodeForm {
    /// Ledgers, epoch and truncation of a container's log
    LogMetadata,
    /// Metadata of a ledger
    LedgerMetadata,
    /// The controller's counter of transactions
    Counter,
    /// How ledgers are stored
    LedgersLayout,
    /// Cookie of a bookie
    Cookie,
    /// Registration of a bookie
    Bookie,
    /// Plain text
    Text,
    /// Unknown bytes
    Raw,
}

impl ZNodeForm {
    /// As it is typed.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LogMetadata => "log-metadata",
            Self::LedgerMetadata => "ledger-metadata",
            Self::Counter => "counter",
            Self::LedgersLayout => "ledgers-layout",
            Self::Cookie => "cookie",
            Self::Bookie => "bookie",
            Self::Text => "text",
            Self::Raw => "raw",
        }
    }
}

//! Tier-1: ZNodes and ledgers.
//!
//! Two implementations: real ZooKeeper and bookies, and the embedded one, a directory that holds the same ZNodes and
//! the same ledger entries. Ledger metadata are ZNodes in both, so that the same code makes them.

mod access;
mod bookkeeper;
mod embedded;
mod fault;
mod ledger_nodes;
mod memory;
mod restored;
mod sight;
mod znode_path;
mod zookeeper;

use std::fmt;

pub use access::LedgerAccess;
pub use bookkeeper::{BookKeeper, BookKeeperOptions};
pub use dr_formats::ledger_entry::{DigestType, LedgerPassword};
pub use embedded::{EmbeddedLedgers, EmbeddedZNodes};
pub use fault::{FaultyLedgers, FaultyZNodes, Tier1Faults};
pub use memory::MemoryZNodes;
pub use restored::{BookieRegistration, LedgerClosing, RegisteredLedger, RestoredLedger};
pub use sight::{BookieSight, BookieSights, CopySight, LedgerSight, LedgerSights, Registration, Stretch};
pub use zookeeper::{ZooKeeper, ZooKeeperOptions};

/// Content and version of a ZNode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZNodeData {
    /// Content.
    pub data: Vec<u8>,
    /// Data version, the compare-and-set token; a new node has 0.
    pub version: i32,
    /// True for a node that its session owns (a live server).
    pub ephemeral: bool,
}

/// A tree of ZNodes. Paths are absolute and begin with `/`.
///
/// A write that fails with [`Tier1Error::Unavailable`] may have happened or may still happen: read before going on.
pub trait ZNodes: Send + Sync + fmt::Debug {
    /// Where this is, for messages.
    fn location(&self) -> String;
    /// Content, or none if there is no such node.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`] and the like.
    fn get(&self, path: &str) -> Result<Option<ZNodeData>, Tier1Error>;
    /// Names of children, sorted; none if there is no such node.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`] and the like.
    fn children(&self, path: &str) -> Result<Option<Vec<String>>, Tier1Error>;
    /// Creates a persistent node with open ACL, with the parents it lacks.
    ///
    /// # Errors
    /// [`Tier1Error::Exists`] if it exists.
    fn create(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error>;
    /// Creates several different nodes as [`ZNodes::create`] does. After an error those before
    /// the one that failed exist.
    ///
    /// # Errors
    /// [`Tier1Error::Exists`] if one of them exists.
    fn create_all(&self, nodes: &[(&str, &[u8])]) -> Result<(), Tier1Error> {
        nodes.iter().try_for_each(|(path, data)| self.create(path, data))
    }
    /// Replaces the content if the version is `expected_version`; returns the new version.
    ///
    /// # Errors
    /// [`Tier1Error::NotFound`], [`Tier1Error::Version`].
    fn set(&self, path: &str, data: &[u8], expected_version: i32) -> Result<i32, Tier1Error>;
    /// Deletes the node if the version is `expected_version`.
    ///
    /// # Errors
    /// [`Tier1Error::NotFound`], [`Tier1Error::Version`], [`Tier1Error::NotEmpty`].
    fn delete(&self, path: &str, expected_version: i32) -> Result<(), Tier1Error>;
    /// Takes the next number of the counter that the parent of `prefix` has for sequential children (creating the parent
    /// if it lacks, and leaving no child behind). Numbers rise, are never given twice, and may have holes. A Java client
    /// that creates a sequential child there continues after them.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`] and the like.
    fn next_sequence(&self, prefix: &str) -> Result<i64, Tier1Error>;
    /// The number that [`ZNodes::next_sequence`] would take for a child of this node; none if there is no such node. Takes nothing.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`] and the like.
    fn coming_sequence(&self, parent: &str) -> Result<Option<i64>, Tier1Error>;
}

/// What a new ledger shall look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLayout {
    /// Bookies that hold the ledger.
    pub ensemble_size: usize,
    /// Copies of each entry.
    pub write_quorum: usize,
    /// Copies that must be confirmed.
    pub ack_quorum: usize,
    /// Custom metadata, in this order.
    pub custom_metadata: Vec<(String, Vec<u8>)>,
}

/// A ledger that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedLedger {
    /// Id.
    pub id: i64,
    /// Id of the last entry.
    pub last_entry: i64,
    /// Payload bytes.
    pub length: i64,
}

/// Payload of an entry, in bytes, that is still written: with its header it fits the 5 MiB that bookies take in a
/// message by default. Pravega itself stays below 1 MiB.
pub const MAXIMUM_ENTRY: usize = 4 << 20;

/// A ledger that is being written. One that is dropped without `close` stays open and is garbage.
pub trait LedgerWriter: Send {
    /// Id, known since creation.
    fn id(&self) -> i64;
    /// Appends an entry; may return before it is confirmed (a bounded number is on the way).
    ///
    /// # Errors
    /// [`Tier1Error`] of this or an earlier entry.
    fn append(&mut self, payload: &[u8]) -> Result<(), Tier1Error>;
    /// Waits for all confirmations and closes the ledger's metadata.
    ///
    /// # Errors
    /// [`Tier1Error`] of any entry; the ledger is then not closed.
    fn close(self: Box<Self>) -> Result<ClosedLedger, Tier1Error>;
}

/// Is called with the id and the payload of an entry; what it returns ends the reading if it is an error.
pub type EntryVisitor<'a> = dyn FnMut(i64, &[u8]) -> Result<(), Tier1Error> + 'a;

/// BookKeeper, or its embedded double.
pub trait Ledgers: Send + Sync + fmt::Debug {
    /// Where this is, for messages.
    fn location(&self) -> String;
    /// Checks that a ledger of this layout could be created now: enough bookies, layout node readable.
    ///
    /// # Errors
    /// [`Tier1Error::NotEnoughBookies`], [`Tier1Error::Layout`], [`Tier1Error::Unavailable`].
    fn check(&self, layout: &LedgerLayout) -> Result<(), Tier1Error>;
    /// Takes an id for a new ledger. Nobody else gets it, and nothing else happens: an id that is noted before the ledger
    /// is created leaves no ledger behind that nobody knows of.
    ///
    /// # Errors
    /// [`Tier1Error::Layout`], [`Tier1Error::Unavailable`].
    fn allocate(&self) -> Result<i64, Tier1Error>;
    /// Creates a ledger with an id from [`Ledgers::allocate`].
    ///
    /// # Errors
    /// As [`Ledgers::check`]; [`Tier1Error::Exists`].
    fn create(&self, id: i64, layout: &LedgerLayout) -> Result<Box<dyn LedgerWriter>, Tier1Error>;
    /// Calls `visit` with the payload of every entry of a closed ledger, in order, checking each digest.
    ///
    /// # Errors
    /// [`Tier1Error::NotFound`], [`Tier1Error::Damaged`], and what `visit` returns.
    fn read(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error>;
    /// Calls `visit` with the payload of every entry from the first to the last of a closed ledger, or else to the first that no bookie
    /// has. For ledgers of writers that are dead: what a living one adds meanwhile is seen or not. An entry that cannot be read ends
    /// the reading of a closed ledger, too.
    ///
    /// # Errors
    /// [`Tier1Error::NotFound`]; [`Tier1Error::Unavailable`] if a bookie that may have the next entry does not answer; what `visit`
    /// returns.
    fn read_as_far_as_it_goes(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error>;
    /// Deletes the metadata of a ledger; one that is not there is no error. Bookies drop the entries by themselves.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`].
    fn delete(&self, id: i64) -> Result<(), Tier1Error>;
    /// What ZooKeeper knows of ledgers and bookies.
    fn registry(&self) -> &dyn LedgerRegistry;
}

/// What ZooKeeper knows of ledgers and bookies: read, and made again where it was lost.
pub trait LedgerRegistry: Send + Sync + fmt::Debug {
    /// All ledgers that are registered, by id.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`]; [`Tier1Error::Damaged`] that names the ledger.
    fn registered_ledgers(&self) -> Result<Vec<RegisteredLedger>, Tier1Error>;
    /// Registers closed ledgers that bookies hold. Those that are registered already, with the same content, are no error.
    ///
    /// # Errors
    /// [`Tier1Error::Exists`] if one is registered with other content, [`Tier1Error::Layout`].
    fn restore(&self, ledgers: &[RestoredLedger]) -> Result<(), Tier1Error>;
    /// Ids of those of these ledgers that are not registered as [`LedgerRegistry::restore`] would do.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`], [`Tier1Error::Layout`].
    fn not_restored(&self, ledgers: &[RestoredLedger]) -> Result<Vec<i64>, Tier1Error>;
    /// Closes ledgers that are registered and were never closed, leaving everything else of their metadata as it is. One that is closed at
    /// this end already is no error.
    ///
    /// # Errors
    /// [`Tier1Error::Version`] if one was changed since it was read, [`Tier1Error::NotFound`], [`Tier1Error::Damaged`] if its metadata
    /// hold something that would not survive the change.
    fn close_registered(&self, closings: &[LedgerClosing]) -> Result<(), Tier1Error>;
    /// Ids of those of these ledgers that are not closed so.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`], [`Tier1Error::Layout`].
    fn not_closed(&self, closings: &[LedgerClosing]) -> Result<Vec<i64>, Tier1Error>;
    /// Takes closings back: the metadata are what they were, in a newer version. One that was not closed yet is no error.
    ///
    /// # Errors
    /// [`Tier1Error::Exists`] if one has another end now.
    fn reopen(&self, closings: &[LedgerClosing]) -> Result<(), Tier1Error>;
    /// The id that the next new ledger would get at the least; none if nothing is left of the counter.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`].
    fn coming_ledger(&self) -> Result<Option<i64>, Tier1Error>;
    /// The instance id and the cookies that are there.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`].
    fn registered_bookies(&self) -> Result<BookieRegistration, Tier1Error>;
    /// Makes what old bookies need to start with their data. All their ledgers must have been restored before, since bookies delete
    /// those that are not registered. What is there already, with the same content, is no error.
    ///
    /// # Errors
    /// [`Tier1Error::Exists`] if another instance id or cookie is there.
    fn register_bookies(&self, registration: &BookieRegistration) -> Result<(), Tier1Error>;
    /// Names, below the ledgers root, of what of a registration is not there as it should be.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`].
    fn not_registered(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error>;
    /// Paths of those nodes that a registration makes, parents included, that are there already.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`].
    fn present_of_registration(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error>;
    /// Paths of the parents of these ledgers' metadata that are there already.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`], [`Tier1Error::Layout`].
    fn present_parents(&self, ledgers: &[i64]) -> Result<Vec<String>, Tier1Error>;
    /// Takes the metadata of a ledger away that was registered again, with the parents that become empty, except those that were
    /// `present` before. One that is not there is no error.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`].
    fn forget(&self, id: i64, present: &[String]) -> Result<(), Tier1Error>;
    /// Takes a registration back, except what was `present` before. Ledgers have to be taken back before.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`], also if a bookie is running.
    fn unregister_bookies(&self, registration: &BookieRegistration, present: &[String]) -> Result<(), Tier1Error>;
    /// Ids of the bookies that run, also of those that only read.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`].
    fn running_bookies(&self) -> Result<Vec<String>, Tier1Error>;
    /// Looks whether a bookie is running: its data depend on what is registered.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`] if one is.
    fn refuse_running_bookies(&self) -> Result<(), Tier1Error>;
}

/// What can go wrong with Tier-1.
#[derive(Debug, thiserror::Error)]
pub enum Tier1Error {
    /// No such ZNode or ledger.
    #[error("{location}: `{name}` does not exist")]
    NotFound {
        /// Server or directory.
        location: String,
        /// ZNode path or ledger.
        name: String,
    },
    /// It exists and would have been overwritten.
    #[error("{location}: `{name}` exists already")]
    Exists {
        /// Server or directory.
        location: String,
        /// ZNode path or ledger.
        name: String,
    },
    /// A compare-and-set met another version.
    #[error("{location}: `{name}` has another version than {expected}")]
    Version {
        /// Server or directory.
        location: String,
        /// ZNode path.
        name: String,
        /// The version expected.
        expected: i32,
    },
    /// A node with children cannot be deleted.
    #[error("{location}: `{name}` has children")]
    NotEmpty {
        /// Server or directory.
        location: String,
        /// ZNode path.
        name: String,
    },
    /// No answer within the time, or the connection broke.
    #[error("{location}: {reason}")]
    Unavailable {
        /// Server.
        location: String,
        /// What happened, with the time waited.
        reason: String,
    },
    /// Fewer bookies than the layout needs.
    #[error("{location}: {needed} bookies are needed, {} available{}", available.len(), list(available))]
    NotEnoughBookies {
        /// ZooKeeper node looked at.
        location: String,
        /// Size of the ensemble.
        needed: usize,
        /// Those that are there.
        available: Vec<String>,
    },
    /// The ledgers root is missing or of a kind that is not supported.
    #[error("{location}: {reason}")]
    Layout {
        /// ZooKeeper node looked at.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// A bookie refused, or wrong credentials.
    #[error("{location}: ledger {ledger}: {reason}")]
    Refused {
        /// Bookie.
        location: String,
        /// Ledger.
        ledger: i64,
        /// Its answer in words.
        reason: String,
    },
    /// Bytes are not what they should be.
    #[error("{location}: {name}: {reason}")]
    Damaged {
        /// Server or directory.
        location: String,
        /// ZNode, ledger or entry.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A path that cannot be a ZNode.
    #[error("`{path}` is not a possible ZNode path: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The embedded directory failed.
    #[error("{location}: {action}: {source}")]
    Io {
        /// File.
        location: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

fn check_entry_size(location: &dyn fmt::Display, ledger: i64, payload: &[u8]) -> Result<(), Tier1Error> {
    if payload.len() <= MAXIMUM_ENTRY {
        return Ok(());
    }
    let reason = format!("an entry of {} bytes, more than {MAXIMUM_ENTRY}", payload.len());
    Err(Tier1Error::Refused { location: location.to_string(), ledger, reason })
}

fn list(bookies: &[String]) -> String {
    if bookies.is_empty() { String::new() } else { format!(" ({})", bookies.join(", ")) }
}

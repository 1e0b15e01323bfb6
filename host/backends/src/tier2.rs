//! Tier-2: objects under raw keys.
//!
//! The trait assumes what every binding of Pravega's long-term storage offers and no more: listing, ranged reads,
//! whole-object writes, copy and delete. No rename, no append, no directories; keys are raw (never normalised).

mod fault;
mod file_system;
mod key;
mod memory;

use std::fmt;
use std::num::NonZeroU64;

pub use fault::{Fault, FaultyTier2, Tier2Call};
pub use file_system::{FileSystemTier2, MAXIMUM_DEPTH, TEMPORARY_PREFIX};
pub use memory::MemoryTier2;

/// An object and its size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectInfo {
    /// Raw key, relative to the root of the store; `/` separates parts, never at the beginning.
    pub key: String,
    /// In bytes.
    pub size: u64,
}

/// A state of an object. As long as the store gives the same stamp, nobody changed the object: neither content, nor size, nor
/// which object it is. It means something to the process only that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(NonZeroU64);

impl Stamp {
    /// The stamp with this number; zero is taken for one.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }

    /// Its number, never zero.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0.get()
    }
}

/// Objects of one store. Implementations are shared between threads.
pub trait Tier2: Send + Sync + fmt::Debug {
    /// Where this is, for messages.
    fn location(&self) -> String;

    /// Calls `visit` for every object whose key begins with `prefix` (raw, may be empty), in any order, without
    /// holding all of them in memory.
    ///
    /// # Errors
    /// What the store answers, and what `visit` returns.
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo) -> Result<(), Tier2Error>)
    -> Result<(), Tier2Error>;

    /// Size in bytes, or none if there is no such object.
    ///
    /// # Errors
    /// What the store answers.
    fn size(&self, key: &str) -> Result<Option<u64>, Tier2Error>;

    /// Fills `buffer` with the bytes from `offset` on and returns how many there were; less than asked only at the
    /// end of the object.
    ///
    /// # Errors
    /// [`Tier2Error::NotFound`], or what the store answers.
    fn read_at(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Tier2Error>;

    /// As [`Tier2::read_at`], with the stamp that the object had just before; none from a store that cannot give one that is
    /// sure to change with the object.
    ///
    /// # Errors
    /// As [`Tier2::read_at`].
    fn read_stamped(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<(usize, Option<Stamp>), Tier2Error> {
        Ok((self.read_at(key, offset, buffer)?, None))
    }

    /// The stamp that an object has now; none if there is none, for any reason.
    fn stamp(&self, _key: &str) -> Option<Stamp> {
        None
    }

    /// Says that somebody will soon read an object from its beginning. A store that can fetches it meanwhile; whatever goes wrong, nothing comes of
    /// it.
    fn will_read(&self, _key: &str) {}

    /// Writes a whole new object durably.
    ///
    /// # Errors
    /// [`Tier2Error::Exists`] if there is one; nothing half written stays.
    fn create(&self, key: &str, content: &[u8]) -> Result<(), Tier2Error>;

    /// Moves an object to another key, durably. A store that can rename does; another one copies, compares sizes, then
    /// deletes. Doing it again after a success is a [`Tier2Error::NotFound`] of the source; doing it again after a crash
    /// in the middle completes it.
    ///
    /// # Errors
    /// [`Tier2Error::NotFound`] for the source, [`Tier2Error::Exists`] for the target.
    fn relocate(&self, from: &str, to: &str) -> Result<(), Tier2Error>;

    /// Deletes an object; one that is not there is no error.
    ///
    /// # Errors
    /// What the store answers.
    fn delete(&self, key: &str) -> Result<(), Tier2Error>;
}

/// What can go wrong with Tier-2.
#[derive(Debug, thiserror::Error)]
pub enum Tier2Error {
    /// No such object.
    #[error("{location}: there is no object `{key}`")]
    NotFound {
        /// The store.
        location: String,
        /// The object.
        key: String,
    },
    /// The object exists and would have been overwritten.
    #[error("{location}: the object `{key}` exists already")]
    Exists {
        /// The store.
        location: String,
        /// The object.
        key: String,
    },
    /// A key that the store cannot hold, such as one that leaves the root.
    #[error("{location}: `{key}` is not a possible key: {reason}")]
    Key {
        /// The store.
        location: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store failed.
    #[error("{location}: {action} `{key}`: {source}")]
    Io {
        /// The store.
        location: String,
        /// What was tried, as in "cannot read".
        action: &'static str,
        /// The object.
        key: String,
        /// What the system said.
        source: std::io::Error,
    },
}

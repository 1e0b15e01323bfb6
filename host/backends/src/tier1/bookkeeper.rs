//! Ledgers on real bookies.
//!
//! A small client of BookKeeper's protocol, version 3. It writes ledgers with a fixed ensemble: when a bookie fails, the
//! ledger is given up with an error that names the bookie, and the caller starts a fresh one (which avoids that bookie if
//! others are there). That needs no change of metadata while writing, and what a crash leaves is an open ledger that
//! nothing refers to. Ledgers that somebody left open cannot be read: that needs fencing and recovery, which are not here.

mod bookies;
mod connection;
mod pipeline;
mod reader;
mod sight;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use super::access::LedgerAccess;
use super::ledger_nodes::{LedgerNodes, check_quorums};
use super::{EntryVisitor, LedgerLayout, LedgerRegistry, LedgerWriter, Ledgers, Tier1Error, ZNodes};
use bookies::Bookies;
use dr_formats::ledger_metadata::LedgerState;

/// How long to wait for bookies and how much to have on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookKeeperOptions {
    /// For a connection to a bookie. Default 5 s.
    pub connect_timeout: Duration,
    /// For an answer: a bookie that confirms nothing for so long while entries wait is taken for dead. Default 10 s.
    pub request_timeout: Duration,
    /// Entries of one ledger that may be on the way. Default 32.
    pub window_entries: usize,
    /// Payload of one ledger that may be on the way, in bytes. Default 16 MiB.
    pub window_bytes: usize,
    /// Entries that are asked for ahead of the one that is read. Default 8.
    pub read_ahead: usize,
}

impl Default for BookKeeperOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            window_entries: 32,
            window_bytes: 16 << 20,
            read_ahead: 8,
        }
    }
}

/// Ledgers of a BookKeeper cluster. Threads may share it. Must not be used from inside an asynchronous runtime.
#[derive(Debug)]
pub struct BookKeeper {
    nodes: Arc<LedgerNodes>,
    bookies: Arc<Bookies>,
}

impl BookKeeper {
    /// A client of the cluster whose metadata are in `znodes`. Connects to bookies only when it needs them.
    ///
    /// # Errors
    /// [`Tier1Error::Path`] for an impossible ledgers root, [`Tier1Error::Layout`] if it or its `available` does not
    /// exist, [`Tier1Error::Unavailable`].
    pub fn open(znodes: Arc<dyn ZNodes>, access: LedgerAccess, options: BookKeeperOptions) -> Result<Self, Tier1Error> {
        let bookkeeper = Self::open_as_it_is(znodes, access, options)?;
        bookkeeper.bookies.writable()?;
        Ok(bookkeeper)
    }

    /// A client of a cluster of which perhaps nothing is left, to look at it.
    ///
    /// # Errors
    /// [`Tier1Error::Path`] for an impossible ledgers root.
    pub fn open_as_it_is(
        znodes: Arc<dyn ZNodes>,
        access: LedgerAccess,
        options: BookKeeperOptions,
    ) -> Result<Self, Tier1Error> {
        let bookies = Arc::new(Bookies::new(Arc::clone(&znodes), &access.root, options)?);
        let nodes = Arc::new(LedgerNodes::new(znodes, access)?);
        Ok(Self { nodes, bookies })
    }
}

impl Ledgers for BookKeeper {
    fn location(&self) -> String {
        self.nodes.location()
    }

    fn check(&self, layout: &LedgerLayout) -> Result<(), Tier1Error> {
        let location = self.location();
        check_quorums(layout).map_err(|reason| Tier1Error::Layout { location, reason })?;
        self.nodes.manager()?;
        self.bookies.check_enough(layout.ensemble_size)
    }

    fn allocate(&self) -> Result<i64, Tier1Error> {
        self.nodes.allocate()
    }

    fn create(&self, id: i64, layout: &LedgerLayout) -> Result<Box<dyn LedgerWriter>, Tier1Error> {
        self.check(layout)?;
        // Connected before anything is registered, so that an unreachable bookie leaves no ledger behind.
        let ensemble = self.bookies.ensemble(layout.ensemble_size)?;
        let ids = ensemble.iter().map(|connection| connection.bookie().to_owned()).collect();
        let ledger = self.nodes.create(id, layout, ids)?;
        let (nodes, bookies) = (Arc::clone(&self.nodes), Arc::clone(&self.bookies));
        Ok(Box::new(writer::BookKeeperWriter::new(nodes, bookies, ensemble, ledger, layout)))
    }

    fn read(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        let (metadata, closed) = self.nodes.closed(id)?;
        reader::LedgerReader::new(&self.nodes, &self.bookies, &metadata, id).read_to(closed.last_entry, visit)
    }

    fn read_as_far_as_it_goes(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        let metadata = self.nodes.metadata(id)?;
        let last_entry = match metadata.state {
            LedgerState::Closed { last_entry, .. } => last_entry,
            LedgerState::Open | LedgerState::InRecovery => i64::MAX,
        };
        reader::LedgerReader::new(&self.nodes, &self.bookies, &metadata, id).read_until_missing(last_entry, visit)
    }

    fn delete(&self, id: i64) -> Result<(), Tier1Error> {
        self.nodes.delete(id)
    }

    fn registry(&self) -> &dyn LedgerRegistry {
        self.nodes.as_ref()
    }
}

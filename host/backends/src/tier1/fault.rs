//! A Tier-1 that fails on purpose, for tests of what stands on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    BookieRegistration, ClosedLedger, EntryVisitor, LedgerClosing, LedgerLayout, LedgerRegistry, LedgerWriter, Ledgers,
    RegisteredLedger, RestoredLedger, Tier1Error, ZNodeData, ZNodes,
};

/// Which calls fail. Clones share the count of calls.
#[derive(Debug, Clone)]
pub struct Tier1Faults {
    calls: Arc<AtomicU64>,
    first: u64,
    failures: u64,
    happens: bool,
}

impl Tier1Faults {
    /// Fails as many calls from number `first` on, counted from 1. With `happens`, a failing change takes place and only its
    /// answer is lost, as with a server that dies behind it.
    #[must_use]
    pub fn new(first: u64, failures: u64, happens: bool) -> Self {
        Self { calls: Arc::default(), first, failures, happens }
    }

    /// Fails nothing, and counts.
    #[must_use]
    pub fn none() -> Self {
        Self::new(0, 0, false)
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn pass<T>(&self, location: String, call: impl FnOnce() -> Result<T, Tier1Error>) -> Result<T, Tier1Error> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = number >= self.first && number - self.first < self.failures;
        if !fails {
            return call();
        }
        if self.happens {
            call()?;
        }
        Err(Tier1Error::Unavailable { location, reason: "injected fault".to_owned() })
    }
}

/// Passes calls on to other ZNodes, except those that fail.
#[derive(Debug)]
pub struct FaultyZNodes<'a> {
    znodes: &'a dyn ZNodes,
    faults: Tier1Faults,
}

impl<'a> FaultyZNodes<'a> {
    /// Wraps ZNodes.
    #[must_use]
    pub fn new(znodes: &'a dyn ZNodes, faults: Tier1Faults) -> Self {
        Self { znodes, faults }
    }
}

impl ZNodes for FaultyZNodes<'_> {
    fn location(&self) -> String {
        self.znodes.location()
    }
    fn get(&self, path: &str) -> Result<Option<ZNodeData>, Tier1Error> {
        self.faults.pass(self.location(), || self.znodes.get(path))
    }
    fn children(&self, path: &str) -> Result<Option<Vec<String>>, Tier1Error> {
        self.faults.pass(self.location(), || self.znodes.children(path))
    }
    fn create(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.znodes.create(path, data))
    }
    fn set(&self, path: &str, data: &[u8], expected_version: i32) -> Result<i32, Tier1Error> {
        self.faults.pass(self.location(), || self.znodes.set(path, data, expected_version))
    }
    fn delete(&self, path: &str, expected_version: i32) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.znodes.delete(path, expected_version))
    }
    fn next_sequence(&self, prefix: &str) -> Result<i64, Tier1Error> {
        self.faults.pass(self.location(), || self.znodes.next_sequence(prefix))
    }
    fn coming_sequence(&self, parent: &str) -> Result<Option<i64>, Tier1Error> {
        self.faults.pass(self.location(), || self.znodes.coming_sequence(parent))
    }
}

/// Passes calls on to other ledgers, except those that fail.
#[derive(Debug)]
pub struct FaultyLedgers<'a> {
    ledgers: &'a dyn Ledgers,
    faults: Tier1Faults,
}

impl<'a> FaultyLedgers<'a> {
    /// Wraps ledgers.
    #[must_use]
    pub fn new(ledgers: &'a dyn Ledgers, faults: Tier1Faults) -> Self {
        Self { ledgers, faults }
    }
}

impl Ledgers for FaultyLedgers<'_> {
    fn location(&self) -> String {
        self.ledgers.location()
    }
    fn check(&self, layout: &LedgerLayout) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.check(layout))
    }
    fn allocate(&self) -> Result<i64, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.allocate())
    }
    fn create(&self, id: i64, layout: &LedgerLayout) -> Result<Box<dyn LedgerWriter>, Tier1Error> {
        let writer = self.faults.pass(self.location(), || self.ledgers.create(id, layout))?;
        Ok(Box::new(FaultyWriter { writer, location: self.location(), faults: self.faults.clone() }))
    }
    fn read(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.read(id, visit))
    }
    fn read_as_far_as_it_goes(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.read_as_far_as_it_goes(id, visit))
    }
    fn delete(&self, id: i64) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.delete(id))
    }
    fn registry(&self) -> &dyn LedgerRegistry {
        self
    }
}

impl LedgerRegistry for FaultyLedgers<'_> {
    fn registered_ledgers(&self) -> Result<Vec<RegisteredLedger>, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().registered_ledgers())
    }
    fn restore(&self, ledgers: &[RestoredLedger]) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().restore(ledgers))
    }
    fn not_restored(&self, ledgers: &[RestoredLedger]) -> Result<Vec<i64>, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().not_restored(ledgers))
    }
    fn close_registered(&self, closings: &[LedgerClosing]) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().close_registered(closings))
    }
    fn not_closed(&self, closings: &[LedgerClosing]) -> Result<Vec<i64>, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().not_closed(closings))
    }
    fn reopen(&self, closings: &[LedgerClosing]) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().reopen(closings))
    }
    fn coming_ledger(&self) -> Result<Option<i64>, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().coming_ledger())
    }
    fn registered_bookies(&self) -> Result<BookieRegistration, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().registered_bookies())
    }
    fn register_bookies(&self, registration: &BookieRegistration) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().register_bookies(registration))
    }
    fn not_registered(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().not_registered(registration))
    }
    fn present_of_registration(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().present_of_registration(registration))
    }
    fn present_parents(&self, ledgers: &[i64]) -> Result<Vec<String>, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().present_parents(ledgers))
    }
    fn forget(&self, id: i64, present: &[String]) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().forget(id, present))
    }
    fn unregister_bookies(&self, registration: &BookieRegistration, present: &[String]) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().unregister_bookies(registration, present))
    }
    fn running_bookies(&self) -> Result<Vec<String>, Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().running_bookies())
    }
    fn refuse_running_bookies(&self) -> Result<(), Tier1Error> {
        self.faults.pass(self.location(), || self.ledgers.registry().refuse_running_bookies())
    }
}

struct FaultyWriter {
    writer: Box<dyn LedgerWriter>,
    location: String,
    faults: Tier1Faults,
}

impl LedgerWriter for FaultyWriter {
    fn id(&self) -> i64 {
        self.writer.id()
    }
    fn append(&mut self, payload: &[u8]) -> Result<(), Tier1Error> {
        let Self { writer, location, faults } = self;
        faults.pass(location.clone(), || writer.append(payload))
    }
    fn close(self: Box<Self>) -> Result<ClosedLedger, Tier1Error> {
        let Self { writer, location, faults } = *self;
        faults.pass(location, || writer.close())
    }
}

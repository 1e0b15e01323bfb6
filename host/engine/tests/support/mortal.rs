//! Backends that die: after a number of changes nothing works any more, as when the process is killed. The last change
//! happens or does not, as the test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dr_backends::tier1::{
    BookieRegistration, ClosedLedger, EntryVisitor, LedgerClosing, LedgerLayout, LedgerRegistry, LedgerWriter, Ledgers,
    RegisteredLedger, RestoredLedger, Tier1Error, ZNodeData, ZNodes,
};
use dr_backends::tier2::{ObjectInfo, Tier2, Tier2Error};

/// How many changes are left, and what becomes of the last one.
#[derive(Debug, Clone)]
pub struct Life {
    made: Arc<AtomicU64>,
    last: u64,
    last_happens: bool,
}

impl Life {
    /// Dies at change number `last`, from 1.
    pub fn until(last: u64, last_happens: bool) -> Self {
        Self { made: Arc::default(), last, last_happens }
    }

    /// How many changes were tried.
    pub fn changes(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    fn change<T, E>(&self, dead: impl Fn() -> E, change: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let number = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        if number < self.last {
            return change();
        }
        if number == self.last && self.last_happens {
            change()?;
        }
        Err(dead())
    }
}

fn dead_tier2() -> Tier2Error {
    let source = std::io::Error::other("killed");
    Tier2Error::Io { location: "mortal".into(), action: "cannot change", key: String::new(), source }
}

fn dead_tier1() -> Tier1Error {
    Tier1Error::Io { location: "mortal".into(), action: "cannot change", source: std::io::Error::other("killed") }
}

/// A Tier-2 that dies.
#[derive(Debug)]
pub struct MortalTier2<'a>(pub &'a dyn Tier2, pub Life);

impl Tier2 for MortalTier2<'_> {
    fn location(&self) -> String {
        self.0.location()
    }
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), Tier2Error>,
    ) -> Result<(), Tier2Error> {
        self.0.list(prefix, visit)
    }
    fn size(&self, key: &str) -> Result<Option<u64>, Tier2Error> {
        self.0.size(key)
    }
    fn read_at(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Tier2Error> {
        self.0.read_at(key, offset, buffer)
    }
    fn create(&self, key: &str, content: &[u8]) -> Result<(), Tier2Error> {
        self.1.change(dead_tier2, || self.0.create(key, content))
    }
    fn relocate(&self, from: &str, to: &str) -> Result<(), Tier2Error> {
        self.1.change(dead_tier2, || self.0.relocate(from, to))
    }
    fn delete(&self, key: &str) -> Result<(), Tier2Error> {
        self.1.change(dead_tier2, || self.0.delete(key))
    }
}

/// A ZooKeeper that dies.
#[derive(Debug)]
pub struct MortalZNodes<'a>(pub &'a dyn ZNodes, pub Life);

impl ZNodes for MortalZNodes<'_> {
    fn location(&self) -> String {
        self.0.location()
    }
    fn get(&self, path: &str) -> Result<Option<ZNodeData>, Tier1Error> {
        self.0.get(path)
    }
    fn children(&self, path: &str) -> Result<Option<Vec<String>>, Tier1Error> {
        self.0.children(path)
    }
    fn create(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error> {
        self.1.change(dead_tier1, || self.0.create(path, data))
    }
    fn set(&self, path: &str, data: &[u8], expected_version: i32) -> Result<i32, Tier1Error> {
        self.1.change(dead_tier1, || self.0.set(path, data, expected_version))
    }
    fn delete(&self, path: &str, expected_version: i32) -> Result<(), Tier1Error> {
        self.1.change(dead_tier1, || self.0.delete(path, expected_version))
    }
    fn next_sequence(&self, prefix: &str) -> Result<i64, Tier1Error> {
        self.1.change(dead_tier1, || self.0.next_sequence(prefix))
    }
    fn coming_sequence(&self, parent: &str) -> Result<Option<i64>, Tier1Error> {
        self.0.coming_sequence(parent)
    }
}

/// A BookKeeper that dies.
#[derive(Debug)]
pub struct MortalLedgers<'a>(pub &'a dyn Ledgers, pub Life);

impl Ledgers for MortalLedgers<'_> {
    fn location(&self) -> String {
        self.0.location()
    }
    fn check(&self, layout: &LedgerLayout) -> Result<(), Tier1Error> {
        self.0.check(layout)
    }
    fn allocate(&self) -> Result<i64, Tier1Error> {
        self.1.change(dead_tier1, || self.0.allocate())
    }
    fn create(&self, id: i64, layout: &LedgerLayout) -> Result<Box<dyn LedgerWriter>, Tier1Error> {
        let writer = self.1.change(dead_tier1, || self.0.create(id, layout))?;
        Ok(Box::new(MortalWriter(writer, self.1.clone())))
    }
    fn read(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        self.0.read(id, visit)
    }
    fn read_as_far_as_it_goes(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        self.0.read_as_far_as_it_goes(id, visit)
    }
    fn delete(&self, id: i64) -> Result<(), Tier1Error> {
        self.1.change(dead_tier1, || self.0.delete(id))
    }
    fn registry(&self) -> &dyn LedgerRegistry {
        self
    }
}

impl LedgerRegistry for MortalLedgers<'_> {
    fn registered_ledgers(&self) -> Result<Vec<RegisteredLedger>, Tier1Error> {
        self.0.registry().registered_ledgers()
    }
    fn restore(&self, ledgers: &[RestoredLedger]) -> Result<(), Tier1Error> {
        // One after the other, to die between any two.
        ledgers.chunks(1).try_for_each(|ledger| self.1.change(dead_tier1, || self.0.registry().restore(ledger)))
    }
    fn not_restored(&self, ledgers: &[RestoredLedger]) -> Result<Vec<i64>, Tier1Error> {
        self.0.registry().not_restored(ledgers)
    }
    fn close_registered(&self, closings: &[LedgerClosing]) -> Result<(), Tier1Error> {
        let close = |one| self.1.change(dead_tier1, || self.0.registry().close_registered(one));
        closings.chunks(1).try_for_each(close)
    }
    fn not_closed(&self, closings: &[LedgerClosing]) -> Result<Vec<i64>, Tier1Error> {
        self.0.registry().not_closed(closings)
    }
    fn reopen(&self, closings: &[LedgerClosing]) -> Result<(), Tier1Error> {
        closings.chunks(1).try_for_each(|one| self.1.change(dead_tier1, || self.0.registry().reopen(one)))
    }
    fn coming_ledger(&self) -> Result<Option<i64>, Tier1Error> {
        self.0.registry().coming_ledger()
    }
    fn registered_bookies(&self) -> Result<BookieRegistration, Tier1Error> {
        self.0.registry().registered_bookies()
    }
    fn register_bookies(&self, registration: &BookieRegistration) -> Result<(), Tier1Error> {
        self.1.change(dead_tier1, || self.0.registry().register_bookies(registration))
    }
    fn not_registered(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error> {
        self.0.registry().not_registered(registration)
    }
    fn present_of_registration(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error> {
        self.0.registry().present_of_registration(registration)
    }
    fn present_parents(&self, ledgers: &[i64]) -> Result<Vec<String>, Tier1Error> {
        self.0.registry().present_parents(ledgers)
    }
    fn forget(&self, id: i64, present: &[String]) -> Result<(), Tier1Error> {
        self.1.change(dead_tier1, || self.0.registry().forget(id, present))
    }
    fn unregister_bookies(&self, registration: &BookieRegistration, present: &[String]) -> Result<(), Tier1Error> {
        self.1.change(dead_tier1, || self.0.registry().unregister_bookies(registration, present))
    }
    fn running_bookies(&self) -> Result<Vec<String>, Tier1Error> {
        self.0.registry().running_bookies()
    }
    fn refuse_running_bookies(&self) -> Result<(), Tier1Error> {
        self.0.registry().refuse_running_bookies()
    }
}

struct MortalWriter(Box<dyn LedgerWriter>, Life);

impl LedgerWriter for MortalWriter {
    fn id(&self) -> i64 {
        self.0.id()
    }
    fn append(&mut self, payload: &[u8]) -> Result<(), Tier1Error> {
        self.1.change(dead_tier1, || self.0.append(payload))
    }
    fn close(self: Box<Self>) -> Result<ClosedLedger, Tier1Error> {
        let Self(writer, life) = *self;
        life.change(dead_tier1, || writer.close())
    }
}

//! A Tier-2 that fails on purpose, for tests of what stands on it.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::{ObjectInfo, Tier2, Tier2Error};

/// A kind of call of [`Tier2`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier2Call {
    /// [`Tier2::list`], and each object it visits.
    List,
    /// [`Tier2::size`].
    Size,
    /// [`Tier2::read_at`].
    ReadAt,
    /// [`Tier2::create`].
    Create,
    /// [`Tier2::relocate`]; the key is the source.
    Relocate,
    /// [`Tier2::delete`].
    Delete,
}

/// When a call fails. Conditions that are none are not looked at; those that are there must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Only calls of this kind.
    pub call: Option<Tier2Call>,
    /// Only calls for this key (for a listing: its prefix, or an object that it visits).
    pub key: Option<String>,
    /// How many calls that match pass before the first failure.
    pub passes: u64,
    /// How many calls fail after that; [`u64::MAX`] for all.
    pub failures: u64,
    /// What the failing call reports.
    pub kind: io::ErrorKind,
}

impl Fault {
    /// Fails the `n`-th call (from 1) of a kind, once.
    #[must_use]
    pub fn of_call(call: Tier2Call, n: u64) -> Self {
        let passes = n.saturating_sub(1);
        Self { call: Some(call), key: None, passes, failures: 1, kind: io::ErrorKind::Other }
    }

    /// Fails every call for a key.
    #[must_use]
    pub fn of_key(key: impl Into<String>) -> Self {
        Self { call: None, key: Some(key.into()), passes: 0, failures: u64::MAX, kind: io::ErrorKind::Other }
    }

    fn matches(&self, call: Tier2Call, key: &str) -> bool {
        self.call.is_none_or(|wanted| wanted == call) && self.key.as_deref().is_none_or(|wanted| wanted == key)
    }

    /// Counts a call that matches; true if it shall fail.
    fn strikes(&mut self) -> bool {
        if self.passes > 0 {
            self.passes -= 1;
            return false;
        }
        if self.failures == 0 {
            return false;
        }
        if self.failures != u64::MAX {
            self.failures -= 1;
        }
        true
    }
}

/// Passes calls on to another store, except those that a [`Fault`] names. A failing call has no effect.
#[derive(Debug)]
pub struct FaultyTier2<Store> {
    store: Store,
    faults: Mutex<Vec<Fault>>,
}

impl<Store: Tier2> FaultyTier2<Store> {
    /// Wraps a store; no faults yet.
    pub fn new(store: Store) -> Self {
        Self { store, faults: Mutex::new(Vec::new()) }
    }

    /// Adds a fault; several are independent, and each counts the calls from now on.
    pub fn inject(&self, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The store inside.
    pub fn inner(&self) -> &Store {
        &self.store
    }

    fn pass(&self, call: Tier2Call, key: &str) -> Result<(), Tier2Error> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failure = None;
        for fault in faults.iter_mut().filter(|fault| fault.matches(call, key)) {
            // Every fault counts the call, also if another one fails it.
            if fault.strikes() {
                failure.get_or_insert(fault.kind);
            }
        }
        match failure {
            None => Ok(()),
            Some(kind) => Err(Tier2Error::Io {
                location: self.store.location(),
                action: "injected fault at",
                key: key.to_owned(),
                source: io::Error::new(kind, "injected fault"),
            }),
        }
    }
}

impl<Store: Tier2> Tier2 for FaultyTier2<Store> {
    fn location(&self) -> String {
        self.store.location()
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), Tier2Error>,
    ) -> Result<(), Tier2Error> {
        self.pass(Tier2Call::List, prefix)?;
        self.store.list(prefix, &mut |object| {
            self.pass(Tier2Call::List, &object.key)?;
            visit(object)
        })
    }

    fn size(&self, key: &str) -> Result<Option<u64>, Tier2Error> {
        self.pass(Tier2Call::Size, key)?;
        self.store.size(key)
    }

    fn read_at(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Tier2Error> {
        self.pass(Tier2Call::ReadAt, key)?;
        self.store.read_at(key, offset, buffer)
    }

    fn will_read(&self, key: &str) {
        self.store.will_read(key);
    }

    fn create(&self, key: &str, content: &[u8]) -> Result<(), Tier2Error> {
        self.pass(Tier2Call::Create, key)?;
        self.store.create(key, content)
    }

    fn relocate(&self, from: &str, to: &str) -> Result<(), Tier2Error> {
        self.pass(Tier2Call::Relocate, from)?;
        self.store.relocate(from, to)
    }

    fn delete(&self, key: &str) -> Result<(), Tier2Error> {
        self.pass(Tier2Call::Delete, key)?;
        self.store.delete(key)
    }
}

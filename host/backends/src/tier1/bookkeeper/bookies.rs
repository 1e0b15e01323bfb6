//! The bookies of a cluster: which are there, at which address, and the connections to them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dr_formats::bookie_protocol::bookie_endpoints;

use super::super::{Tier1Error, ZNodes};
use super::BookKeeperOptions;
use super::connection::Connection;
use crate::event_loop::EventLoop;

/// Child of `available` that holds the bookies that only read.
const READ_ONLY: &str = "readonly";
/// For so long a bookie that failed is taken for a new ledger only if there are not enough others.
const SUSPICION: Duration = Duration::from_secs(60);

/// The place of one bookie's connection; locked while it connects, so that it connects once.
type ConnectionSlot = Arc<Mutex<Option<Arc<Connection>>>>;

/// Bookies of a cluster, shared by all ledgers that are written and read.
pub(super) struct Bookies {
    znodes: Arc<dyn ZNodes>,
    available: String,
    options: BookKeeperOptions,
    slots: Mutex<HashMap<String, ConnectionSlot>>,
    suspects: Mutex<HashMap<String, Instant>>,
    transactions: AtomicU64,
    rotation: AtomicUsize,
    event_loop: EventLoop,
}

impl Bookies {
    pub(super) fn new(znodes: Arc<dyn ZNodes>, root: &str, options: BookKeeperOptions) -> Result<Self, Tier1Error> {
        let event_loop = EventLoop::start("dr-bookies").map_err(|source| Tier1Error::Io {
            location: znodes.location(),
            action: "cannot start the event loop of",
            source,
        })?;
        Ok(Self {
            znodes,
            available: format!("{}/available", root.trim_end_matches('/')),
            options,
            slots: Mutex::new(HashMap::new()),
            suspects: Mutex::new(HashMap::new()),
            transactions: AtomicU64::new(1),
            rotation: AtomicUsize::new(0),
            event_loop,
        })
    }

    pub(super) fn options(&self) -> &BookKeeperOptions {
        &self.options
    }

    /// A number that no other request has.
    pub(super) fn next_transaction(&self) -> u64 {
        self.transactions.fetch_add(1, Ordering::Relaxed)
    }

    fn location(&self) -> String {
        format!("{} {}", self.znodes.location(), self.available)
    }

    /// Ids of the bookies that take writes, sorted.
    pub(super) fn writable(&self) -> Result<Vec<String>, Tier1Error> {
        let Some(mut bookies) = self.znodes.children(&self.available)? else {
            return Err(Tier1Error::Layout {
                location: self.znodes.location(),
                reason: format!(
                    "`{}` does not exist: no bookie was ever registered there; is `bookkeeper.ledger.path` right?",
                    self.available
                ),
            });
        };
        bookies.retain(|bookie| bookie != READ_ONLY);
        Ok(bookies)
    }

    /// Ids of the bookies that only read, sorted.
    pub(super) fn read_only(&self) -> Result<Vec<String>, Tier1Error> {
        Ok(self.znodes.children(&format!("{}/{READ_ONLY}", self.available))?.unwrap_or_default())
    }

    /// Checks that so many bookies take writes.
    pub(super) fn check_enough(&self, needed: usize) -> Result<(), Tier1Error> {
        let available = self.writable()?;
        if available.len() >= needed {
            return Ok(());
        }
        Err(Tier1Error::NotEnoughBookies { location: self.location(), needed, available })
    }

    /// Connections to as many bookies as a ledger needs, each ledger beginning with another one.
    pub(super) fn ensemble(&self, size: usize) -> Result<Vec<Arc<Connection>>, Tier1Error> {
        let bookies = self.writable()?;
        let mut last_failure = None;
        let mut members = Vec::with_capacity(size);
        for bookie in self.in_order_of_trust(&bookies) {
            if members.len() == size {
                break;
            }
            match self.connection(&bookie) {
                Ok(connection) => members.push(connection),
                Err(error) => {
                    tracing::debug!(bookie, %error, "not in the ensemble");
                    last_failure = Some(error);
                }
            }
        }
        match last_failure {
            _ if members.len() == size => Ok(members),
            // Enough were registered, so what hinders is the one that cannot be reached.
            Some(error) if bookies.len() >= size => Err(error),
            _ => Err(Tier1Error::NotEnoughBookies { location: self.location(), needed: size, available: bookies }),
        }
    }

    fn in_order_of_trust(&self, bookies: &[String]) -> Vec<String> {
        let mut ordered = bookies.to_vec();
        if !ordered.is_empty() {
            let start = self.rotation.fetch_add(1, Ordering::Relaxed) % ordered.len();
            ordered.rotate_left(start);
        }
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.retain(|_, since| since.elapsed() < SUSPICION);
        ordered.sort_by_key(|bookie| suspects.contains_key(bookie));
        ordered
    }

    /// Remembers that a bookie failed.
    pub(super) fn suspect(&self, bookie: &str) {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).insert(bookie.to_owned(), Instant::now());
    }

    fn slot(&self, bookie: &str) -> ConnectionSlot {
        let mut slots: MutexGuard<'_, HashMap<String, ConnectionSlot>> =
            self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(bookie.to_owned()).or_default())
    }

    /// The connection to a bookie, made if there is none that works.
    pub(super) fn connection(&self, bookie: &str) -> Result<Arc<Connection>, Tier1Error> {
        let slot = self.slot(bookie);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_broken()) {
            return Ok(Arc::clone(connection));
        }
        let address = self.address_of(bookie)?;
        let limit = self.options.connect_timeout;
        let opened = self.event_loop.wait(limit + limit, Connection::open(bookie, &address, limit));
        match opened.unwrap_or_else(|| Err(format!("cannot connect to {address}: the event loop is busy"))) {
            Ok(connection) => Ok(Arc::clone(slot.insert(Arc::new(connection)))),
            Err(reason) => {
                self.suspect(bookie);
                Err(Tier1Error::Unavailable { location: format!("bookie {bookie}"), reason })
            }
        }
    }

    /// `host:port` of a bookie. An id that is none is looked up in what the bookie registered.
    fn address_of(&self, bookie: &str) -> Result<String, Tier1Error> {
        if is_address(bookie) {
            return Ok(bookie.to_owned());
        }
        for directory in [self.available.clone(), format!("{}/{READ_ONLY}", self.available)] {
            let path = format!("{directory}/{bookie}");
            if let Some(node) = self.znodes.get(&path)? {
                return self.registered_address(bookie, &path, &node.data);
            }
        }
        Err(Tier1Error::Unavailable {
            location: format!("bookie {bookie}"),
            reason: format!("its address is not known, because it is not registered in `{}`", self.available),
        })
    }

    fn registered_address(&self, bookie: &str, path: &str, data: &[u8]) -> Result<String, Tier1Error> {
        let damaged = |reason| Tier1Error::Damaged { location: self.znodes.location(), name: path.to_owned(), reason };
        let endpoints = bookie_endpoints(bookie, data).map_err(|error| damaged(error.to_string()))?;
        let first = endpoints.first().ok_or_else(|| damaged("it names no address".to_owned()))?;
        Ok(format!("{}:{}", first.host, first.port))
    }
}

impl fmt::Debug for Bookies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bookies").field("available", &self.available).finish_non_exhaustive()
    }
}

fn is_address(bookie: &str) -> bool {
    bookie
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_addresses_from_other_ids() {
        for id in ["127.0.0.1:3181", "bookie-0.bookie:3181", "[::1]:3181"] {
            assert!(is_address(id), "{id}");
        }
        for id in ["bookie-0-8a3f", "host:", ":3181", "host:0", "host:99999"] {
            assert!(!is_address(id), "{id}");
        }
    }
}

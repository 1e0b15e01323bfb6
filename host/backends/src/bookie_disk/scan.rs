//! Reading all files, several at the same time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use dr_formats::ledger_entry::{LedgerPassword, MasterKey};
use dr_formats::ledger_index::{LEDGER_INDEX_HEADER_BYTES, LedgerIndexHeader};

use super::oddity::{Oddities, OddityKind};
use super::walk::{Checker, LedgerFact, Traveller, Walk};
use super::window::Window;
use super::{BookieDisk, BookieDiskError, ScannedEntry, directories, open_file};

/// How a disk is read.
pub struct ScanOptions<'o> {
    /// Password of the ledgers, which only HMAC digests need.
    pub password: LedgerPassword,
    /// Files that are read at the same time; at least 1.
    pub parallel: usize,
    /// Told of bytes that were read, by several threads.
    pub advanced: &'o (dyn Fn(u64) + Sync),
}

impl std::fmt::Debug for ScanOptions<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ScanOptions").field("parallel", &self.parallel).finish_non_exhaustive()
    }
}

/// Receives the entries of a disk. Each thread has one of its own; the entries of one file come in their order, those of
/// different files in any.
pub trait EntryVisitor: Send {
    /// Why it stops the scan.
    type Error: From<BookieDiskError> + Send;

    /// An entry whose digest is right. The same entry comes as often as it is on the disk.
    ///
    /// # Errors
    /// Stops the scan.
    fn entry(&mut self, entry: ScannedEntry<'_>) -> Result<(), Self::Error>;
}

/// What a bookie says of a ledger apart from its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerFacts {
    /// Key of the ledger.
    pub master_key: Option<MasterKey>,
    /// True if the ledger was fenced on this bookie.
    pub fenced: bool,
    /// The last that a writer told without adding an entry: ledger id, last add confirmed and digest.
    pub explicit_lac: Option<Vec<u8>>,
}

/// What a scan found.
#[derive(Debug)]
pub struct Scan<V> {
    /// The visitors of the threads.
    pub visitors: Vec<V>,
    /// What is known of ledgers, by id. A ledger of which there is nothing but entries is not in it.
    pub ledgers: BTreeMap<i64, LedgerFacts>,
    /// All that is odd, that of [`BookieDisk::oddities`] included.
    pub oddities: Oddities,
}

/// Facts and oddities of one thread.
#[derive(Debug, Default)]
struct Found {
    ledgers: BTreeMap<i64, LedgerFacts>,
    oddities: Oddities,
}

pub(super) fn scan<V: EntryVisitor>(
    disk: &BookieDisk,
    options: &ScanOptions<'_>,
    visitor: impl Fn() -> Result<V, V::Error> + Sync,
) -> Result<Scan<V>, V::Error> {
    let order = order_of_reading(disk);
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Vec::new(), None));
    let work = || {
        let result = visitor().and_then(|visitor| read_files(disk, options, &order, &next, visitor));
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(found) => results.0.push(found),
            Err(error) => {
                next.store(order.len(), Ordering::Relaxed);
                results.1.get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.parallel.min(order.len()).max(1) {
            scope.spawn(work);
        }
        work();
    });
    let (parts, error) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = error {
        return Err(error);
    }
    directories::refuse_changes(disk)?;
    let mut all = Found { oddities: disk.oddities.clone(), ..Found::default() };
    let mut visitors = Vec::new();
    for (visitor, found) in parts {
        visitors.push(visitor);
        all.merge(found);
    }
    all.read_indexes(disk)?;
    all.oddities.sort();
    Ok(Scan { visitors, ledgers: all.ledgers, oddities: all.oddities })
}

/// Journals and entry logs in turn, since they usually lie on different devices.
fn order_of_reading(disk: &BookieDisk) -> Vec<usize> {
    let (journals, logs): (Vec<usize>, Vec<usize>) = (0..disk.files.len()).partition(|index| {
        disk.files.get(*index).is_some_and(|file| matches!(file.kind, super::FileKind::Journal { .. }))
    });
    let mut order = Vec::with_capacity(disk.files.len());
    let (mut journals, mut logs) = (journals.into_iter(), logs.into_iter());
    loop {
        let pair = (journals.next(), logs.next());
        order.extend(pair.0.into_iter().chain(pair.1));
        if pair == (None, None) {
            return order;
        }
    }
}

fn read_files<V: EntryVisitor>(
    disk: &BookieDisk,
    options: &ScanOptions<'_>,
    order: &[usize],
    next: &AtomicUsize,
    visitor: V,
) -> Result<(V, Found), V::Error> {
    let mut checker = Checker::new(&options.password);
    let mut buffer = Vec::new();
    let mut collector = Collector { visitor, facts: Vec::new(), advanced: options.advanced };
    let mut found = Found::default();
    while let Some(number) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
        let Some(file) = disk.files.get(*number) else { continue };
        let opened = open_file(&file.path).map_err(|source| BookieDiskError::io("open", &file.path, source))?;
        let mut walk = Walk {
            file,
            number: *number as u32,
            window: Window::new(opened, file.length, buffer),
            checker: &mut checker,
            traveller: &mut collector,
            oddities: &mut found.oddities,
        };
        walk.go()?;
        buffer = walk.window.into_buffer();
        for (ledger_id, fact) in collector.facts.drain(..) {
            found.learn(ledger_id, fact, &file.path);
        }
    }
    Ok((collector.visitor, found))
}

/// Hands entries to a visitor and keeps the rest.
struct Collector<'c, V> {
    visitor: V,
    /// Of the file that is being read.
    facts: Vec<(i64, LedgerFacts)>,
    advanced: &'c (dyn Fn(u64) + Sync),
}

impl<V: EntryVisitor> Traveller for Collector<'_, V> {
    type Error = V::Error;

    fn entry(&mut self, entry: ScannedEntry<'_>) -> Result<(), V::Error> {
        self.visitor.entry(entry)
    }

    fn fact(&mut self, ledger_id: i64, fact: LedgerFact<'_>) {
        let facts = match fact {
            LedgerFact::MasterKey(key) => LedgerFacts { master_key: master_key(key), ..LedgerFacts::default() },
            LedgerFact::Fenced => LedgerFacts { fenced: true, ..LedgerFacts::default() },
            LedgerFact::ExplicitLac(body) => {
                LedgerFacts { explicit_lac: Some(body.to_vec()), ..LedgerFacts::default() }
            }
        };
        self.facts.push((ledger_id, facts));
    }

    fn advanced(&mut self, bytes: u64) {
        (self.advanced)(bytes);
    }
}

fn master_key(bytes: &[u8]) -> Option<MasterKey> {
    bytes.try_into().ok().map(MasterKey)
}

impl Found {
    fn learn(&mut self, ledger_id: i64, facts: LedgerFacts, path: &Path) {
        match self.ledgers.entry(ledger_id) {
            MapEntry::Vacant(place) => {
                place.insert(facts);
            }
            MapEntry::Occupied(mut known) => {
                let known = known.get_mut();
                if known.master_key.zip(facts.master_key).is_some_and(|(known, other)| known != other) {
                    self.oddities.add(OddityKind::KeysDiffer, path, None, || {
                        format!("ledger {ledger_id}: the number was used twice, or with different passwords")
                    });
                }
                known.merge(facts);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        for (ledger_id, facts) in other.ledgers {
            self.learn(ledger_id, facts, Path::new("journals"));
        }
        self.oddities.merge(other.oddities);
    }

    /// The headers of all indexes. What a journal says is newer.
    fn read_indexes(&mut self, disk: &BookieDisk) -> Result<(), BookieDiskError> {
        for index in &disk.index_files {
            let read = |header: &mut Vec<u8>| -> io::Result<usize> {
                open_file(&index.path)?.take(LEDGER_INDEX_HEADER_BYTES as u64).read_to_end(header)
            };
            let mut header = Vec::with_capacity(LEDGER_INDEX_HEADER_BYTES);
            read(&mut header).map_err(|source| BookieDiskError::io("read", &index.path, source))?;
            match LedgerIndexHeader::decode(&header) {
                Ok(header) => {
                    let facts = LedgerFacts {
                        master_key: master_key(header.master_key),
                        fenced: header.fenced,
                        explicit_lac: header.explicit_lac.map(<[u8]>::to_vec),
                    };
                    self.learn(index.ledger_id, facts, &index.path);
                }
                Err(error) => {
                    let detail = || error.to_string();
                    self.oddities.add(OddityKind::Unreadable, &index.path, Some(error.offset), detail);
                }
            }
        }
        Ok(())
    }
}

impl LedgerFacts {
    /// Adds what another place says. An explicit LAC grows, and stands behind the ledger's id in its body.
    fn merge(&mut self, other: Self) {
        self.master_key = self.master_key.or(other.master_key);
        self.fenced |= other.fenced;
        let lac = |facts: &Option<Vec<u8>>| facts.as_deref().and_then(explicit_lac);
        if lac(&other.explicit_lac) > lac(&self.explicit_lac) || self.explicit_lac.is_none() {
            self.explicit_lac = other.explicit_lac;
        }
    }

    /// The last add confirmed that a writer told without adding an entry.
    #[must_use]
    pub fn explicit_last_add_confirmed(&self) -> Option<i64> {
        explicit_lac(self.explicit_lac.as_deref()?)
    }
}

fn explicit_lac(body: &[u8]) -> Option<i64> {
    body.get(8..)?.first_chunk().map(|lac| i64::from_be_bytes(*lac))
}

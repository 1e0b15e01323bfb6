//! Bookies, ledgers and logs as they stand in a file. A log names its ledgers, and so whose they are; the rest follows from that.

use std::collections::BTreeMap;

use dr_engine::contract::{Bookie, ContainerId, DurableLog, Ledger, RestoredLog};
use dr_runtime::mock::{DeclaredContainer, DeclaredDisks, DeclaredLog};
use serde::Deserialize;
use toml::Spanned;

use crate::error::Problem;

/// Size of an entry whose size does not matter.
const ENTRY_BYTES: u64 = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct BookieTable {
    id: Spanned<String>,
    entries: Option<u64>,
    #[serde(default)]
    findings: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct LedgerTable {
    id: Spanned<i64>,
    stray: Option<Spanned<String>>,
    #[serde(default = "super::one")]
    entries: u64,
    bytes: Option<u64>,
    #[serde(default)]
    first_operation: i64,
    #[serde(default)]
    last_operation: i64,
    bookies: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    missing: u64,
    #[serde(default)]
    registered: String,
    #[serde(default)]
    left_out: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct LogTable {
    container: Spanned<ContainerId>,
    ledgers: Spanned<Vec<Spanned<i64>>>,
    first_operation: Option<i64>,
    last_operation: Option<i64>,
    #[serde(default = "absent")]
    znode: String,
    #[serde(default)]
    reason: String,
    flaw: Option<String>,
    salvaged_bytes: Option<Spanned<u64>>,
    damaged: Option<String>,
    restored: Option<Spanned<RestoredTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RestoredTable {
    operations: Option<u64>,
    epoch: Option<u64>,
    znode: Option<String>,
    #[serde(default)]
    closed: Vec<Spanned<i64>>,
    bridged: Option<String>,
}

fn absent() -> String {
    "absent".to_owned()
}

/// The log that a ledger is part of.
#[derive(Debug, Clone, Copy)]
struct Place {
    container: ContainerId,
    is_whole: bool,
}

/// What the tables tell; none if there is no table, since then no disks were given.
pub(super) fn build(
    bookies: Vec<BookieTable>,
    ledgers: Vec<LedgerTable>,
    logs: Vec<LogTable>,
    containers: &BTreeMap<ContainerId, DeclaredContainer>,
) -> Result<Option<DeclaredDisks>, Problem> {
    if bookies.is_empty() && ledgers.is_empty() && logs.is_empty() {
        return Ok(None);
    }
    let ids: Vec<String> = bookies.iter().map(|bookie| bookie.id.get_ref().clone()).collect();
    let places = places(&logs)?;
    let mut disks = DeclaredDisks::default();
    for ledger in ledgers {
        let (id, at) = (*ledger.id.get_ref(), ledger.id.span());
        let declared = ledger.build(&ids, places.get(&id))?;
        if disks.ledgers.insert(id, declared).is_some() {
            return Err(Problem::new(at, format!("ledger {id} is declared twice")));
        }
    }
    for log in logs {
        let (container, at) = (*log.container.get_ref(), log.container.span());
        let declared = log.build(&disks.ledgers, containers)?;
        if disks.logs.insert(container, declared).is_some() {
            return Err(Problem::new(at, format!("the log of container {container} is declared twice")));
        }
    }
    for bookie in bookies {
        let (id, at) = (bookie.id.get_ref().clone(), bookie.id.span());
        if disks.bookies.insert(id.clone(), bookie.build(&disks.ledgers)).is_some() {
            return Err(Problem::new(at, format!("the bookie `{id}` is declared twice")));
        }
    }
    Ok(Some(disks))
}

/// Which log each ledger is part of.
fn places(logs: &[LogTable]) -> Result<BTreeMap<i64, Place>, Problem> {
    let mut places = BTreeMap::new();
    for log in logs {
        let place = Place { container: *log.container.get_ref(), is_whole: log.flaw.is_none() };
        for ledger in log.ledgers.get_ref() {
            if let Some(Place { container, .. }) = places.insert(*ledger.get_ref(), place) {
                let problem = format!(
                    "ledger {} is named before, by the log of container {container}; it has one place in one log",
                    ledger.get_ref()
                );
                return Err(Problem::new(ledger.span(), problem));
            }
        }
    }
    Ok(places)
}

impl BookieTable {
    fn build(self, ledgers: &BTreeMap<i64, Ledger>) -> Bookie {
        let id = self.id.into_inner();
        let held = || ledgers.values().filter(|ledger| ledger.bookies.contains(&id));
        Bookie {
            ledgers: held().count() as u64,
            entries: self.entries.unwrap_or_else(|| held().fold(0, |sum, ledger| sum.saturating_add(ledger.entries))),
            findings: self.findings,
            id,
        }
    }
}

impl LedgerTable {
    fn build(self, bookies: &[String], place: Option<&Place>) -> Result<Ledger, Problem> {
        let (id, at) = (*self.id.get_ref(), self.id.span());
        if id < 0 {
            return Err(Problem::new(at, format!("there is no ledger {id}; ids are 0 and above")));
        }
        let usual = if self.entries == 0 { "empty" } else { "no-container" };
        let (container, stray) = match (place, self.stray) {
            (Some(Place { container, .. }), Some(stray)) => {
                let problem = format!(
                    "ledger {id} is part of the log of container {container}, so it is no stray; leave out `stray`, or the ledger in `ledgers` of the log"
                );
                return Err(Problem::new(stray.span(), problem));
            }
            (None, Some(stray)) if stray.get_ref().is_empty() => {
                let problem = format!("no log names ledger {id}, so `stray` says why, such as `{usual}`");
                return Err(Problem::new(stray.span(), problem));
            }
            (Some(Place { container, is_whole: true }), None) => (Some(*container), String::new()),
            (Some(Place { is_whole: false, .. }), None) => (None, "not-whole".to_owned()),
            (None, Some(stray)) => (None, stray.into_inner()),
            (None, None) => (None, usual.to_owned()),
        };
        let is_known = !self.registered.is_empty();
        let holders = holders(self.bookies, bookies, self.entries > 0 || !is_known)?;
        if holders.is_empty() && !is_known {
            let problem = format!(
                "nothing tells of ledger {id}: let a bookie hold an entry of it, or let `registered` say what ZooKeeper knows, such as `closed`"
            );
            return Err(Problem::new(at, problem));
        }
        if holders.is_empty() && self.entries > 0 && !bookies.is_empty() {
            let problem = format!("ledger {id} has entries, so `bookies` names who holds them; or `entries` is 0");
            return Err(Problem::new(at, problem));
        }
        Ok(Ledger {
            id,
            container,
            stray,
            entries: self.entries,
            bytes: self.bytes.unwrap_or(self.entries.saturating_mul(ENTRY_BYTES)),
            first_operation: self.first_operation,
            last_operation: self.last_operation,
            bookies: holders,
            missing: self.missing,
            registered: self.registered,
            left_out: self.left_out,
        })
    }
}

/// Bookies that hold entries of a ledger; if they are not named, all or none.
fn holders(named: Option<Vec<Spanned<String>>>, all: &[String], is_held: bool) -> Result<Vec<String>, Problem> {
    let Some(named) = named else { return Ok(if is_held { all.to_vec() } else { Vec::new() }) };
    match named.iter().find(|id| !all.contains(id.get_ref())) {
        None => Ok(named.into_iter().map(Spanned::into_inner).collect()),
        Some(unknown) => {
            let problem = match all {
                [] => format!("there is no bookie `{}`: none is declared", unknown.get_ref()),
                all => format!("there is no bookie `{}`; there are `{}`", unknown.get_ref(), all.join("`, `")),
            };
            Err(Problem::new(unknown.span(), problem))
        }
    }
}

impl LogTable {
    fn build(
        self,
        ledgers: &BTreeMap<i64, Ledger>,
        containers: &BTreeMap<ContainerId, DeclaredContainer>,
    ) -> Result<DeclaredLog, Problem> {
        let (container, at) = (*self.container.get_ref(), self.container.span());
        let declared = containers.get(&container);
        let unknown = || Problem::new(at, format!("container {container} is not declared, and so has no log"));
        let declared = declared.ok_or_else(unknown)?;
        let of_log = self.ledgers_of(ledgers)?;
        let first_operation = of_log.iter().map(|ledger| ledger.first_operation).find(|&first| first > 0);
        let last_operation = of_log.iter().map(|ledger| ledger.last_operation).rfind(|&last| last > 0);
        let sum =
            |figure: fn(&Ledger) -> u64| of_log.iter().fold(0, |sum: u64, ledger| sum.saturating_add(figure(ledger)));
        let log = DurableLog {
            container,
            ledgers: of_log.iter().map(|ledger| ledger.id).collect(),
            first_operation: self.first_operation.or(first_operation).unwrap_or_default(),
            last_operation: self.last_operation.or(last_operation).unwrap_or_default(),
            entries: sum(|ledger| ledger.entries),
            bytes: sum(|ledger| ledger.bytes),
            znode: self.znode,
            reason: self.reason,
            flaw: self.flaw,
            salvaged_bytes: self.salvaged_bytes.as_ref().map_or(0, |bytes| *bytes.get_ref()),
        };
        if let Some(salvaged) = self.salvaged_bytes.filter(|_| log.flaw.is_none()) {
            let problem = "`salvaged-bytes` are those of a log with a `flaw`; what is whole is restored";
            return Err(Problem::new(salvaged.span(), problem));
        }
        let restored = match (damage(&log, self.damaged), self.restored) {
            (Some(_), Some(restored)) => {
                let problem =
                    "a log is `restored`, or it cannot be: `flaw`, `damaged`, or a `znode` that is `unjoined`";
                return Err(Problem::new(restored.span(), problem));
            }
            (Some(damage), None) => Err(damage),
            (None, restored) => {
                let restored = restored.map(Spanned::into_inner).unwrap_or_default();
                Ok(restored.build(&log, ledgers, declared.highest_epoch)?)
            }
        };
        Ok(DeclaredLog { log, restored })
    }

    /// The ledgers of the log, in its order.
    fn ledgers_of<'a>(&self, ledgers: &'a BTreeMap<i64, Ledger>) -> Result<Vec<&'a Ledger>, Problem> {
        if self.ledgers.get_ref().is_empty() {
            let problem = "a log has at least one ledger; a container without a log has no `[[world.log]]`";
            return Err(Problem::new(self.ledgers.span(), problem));
        }
        let ledger = |id: &Spanned<i64>| {
            let undeclared = || {
                let problem =
                    format!("ledger {} is not declared; `[[world.ledger]]` with `id = {0}` does", id.get_ref());
                Problem::new(id.span(), problem)
            };
            ledgers.get(id.get_ref()).ok_or_else(undeclared)
        };
        self.ledgers.get_ref().iter().map(ledger).collect()
    }
}

/// Why a log cannot be restored.
fn damage(log: &DurableLog, damaged: Option<String>) -> Option<String> {
    let unjoined = || (log.znode == "unjoined").then(|| log.reason.clone());
    damaged.or_else(|| log.flaw.clone()).or_else(unjoined)
}

impl RestoredTable {
    fn build(
        self,
        log: &DurableLog,
        ledgers: &BTreeMap<i64, Ledger>,
        highest_epoch: u64,
    ) -> Result<RestoredLog, Problem> {
        for id in &self.closed {
            let was_open = ledgers.get(id.get_ref()).is_some_and(|it| !matches!(it.registered.as_str(), "" | "closed"));
            if !log.ledgers.contains(id.get_ref()) || !was_open {
                let problem = format!(
                    "`closed` names ledgers of the log that are `registered` as `open` or `in-recovery`; ledger {} is none",
                    id.get_ref()
                );
                return Err(Problem::new(id.span(), problem));
            }
        }
        let znode = match log.znode.as_str() {
            "absent" => "created",
            "fits" => "kept",
            "later" => "later",
            _ => "replaced",
        };
        let is_read = log.znode != "later";
        let count = log.last_operation.abs_diff(log.first_operation) + u64::from(log.last_operation > 0);
        let epoch = highest_epoch.saturating_add(log.ledgers.len() as u64 + 1);
        Ok(RestoredLog {
            ledgers: u32::try_from(log.ledgers.len()).unwrap_or(u32::MAX),
            operations: self.operations.unwrap_or(if is_read { count } else { 0 }),
            last_operation: log.last_operation,
            epoch: self.epoch.unwrap_or(if is_read { epoch } else { 0 }),
            znode: self.znode.unwrap_or_else(|| znode.to_owned()),
            closed: self.closed.into_iter().map(Spanned::into_inner).collect(),
            bridged: self.bridged,
        })
    }
}

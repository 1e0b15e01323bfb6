//! Judges the facts. No input and no output.

use dr_backends::tier1::{CopySight, LedgerSight, Registration};
use dr_formats::log_metadata::LedgerStatus;
use serde::Serialize;

use super::{ContainerObjectsFacts, Facts, Log, NamedLedger, Tier1Facts, Tier2Facts};
use crate::contract::ContainerId;

/// Which loss this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Scenario {
    /// Every log can be read from every bookie that should hold it.
    #[serde(rename = "healthy")]
    Healthy,
    /// A recovery was applied and no store has booted on it yet.
    #[serde(rename = "recovered-not-booted")]
    RecoveredNotBooted,
    /// A recovery has begun and not ended.
    #[serde(rename = "recovery-interrupted")]
    RecoveryInterrupted,
    /// The first of two steps of a recovery was carried out: ledgers and bookies are registered, and logs are not restored yet.
    #[serde(rename = "recovery-half-done")]
    RecoveryHalfDone,
    /// Neither logs nor anything that bookies hold is left.
    #[serde(rename = "total-loss")]
    TotalLoss,
    /// ZooKeeper and some bookies are left.
    #[serde(rename = "partial-loss-2a")]
    SomeBookiesLost,
    /// ZooKeeper is left, and no bookie.
    #[serde(rename = "partial-loss-2b")]
    AllBookiesLost,
    /// Bookies are left, and ZooKeeper knows nothing of their ledgers, or of the logs.
    #[serde(rename = "zookeeper-loss")]
    ZooKeeperLoss,
    /// ZooKeeper knows a part of the logs and their ledgers, and no bookie answers that could tell the rest.
    #[serde(rename = "zookeeper-partly-lost")]
    ZooKeeperPartlyLost,
    /// Containers differ.
    #[serde(rename = "mixed")]
    Mixed,
    /// What could be seen does not tell.
    #[serde(rename = "undetermined")]
    Undetermined,
}

impl Scenario {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::RecoveredNotBooted => "recovered-not-booted",
            Self::RecoveryInterrupted => "recovery-interrupted",
            Self::RecoveryHalfDone => "recovery-half-done",
            Self::TotalLoss => "total-loss",
            Self::SomeBookiesLost => "partial-loss-2a",
            Self::AllBookiesLost => "partial-loss-2b",
            Self::ZooKeeperLoss => "zookeeper-loss",
            Self::ZooKeeperPartlyLost => "zookeeper-partly-lost",
            Self::Mixed => "mixed",
            Self::Undetermined => "undetermined",
        }
    }
}

/// How a container fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerState {
    /// The log and every copy of its ledgers are there.
    Whole,
    /// Copies are missing, and every acknowledged entry has one left.
    CopiesMissing,
    /// Bookies that should hold copies do not answer; without them entries are missing.
    BookiesSilent,
    /// Acknowledged entries of its log may be gone for good; others are left.
    EntriesMissing,
    /// There is a log, and nothing of what it names.
    LedgersGone,
    /// Its log is restored in the second step of a recovery, of which the first was carried out.
    AwaitsBookies,
    /// There is no log, but ledgers that belong to it.
    LogGoneLedgersLeft,
    /// There is no log, and no ledger that says that it belongs to it.
    LogGone,
    /// A store or an administrator disabled the log.
    LogDisabled,
    /// The log ZNode cannot be decoded.
    LogDamaged,
    /// A recovery wrote its log, and no store has booted on it.
    Recovered,
    /// There is neither a log nor an object of it.
    Empty,
    /// Tier-1 cannot be looked at.
    Unknown,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerDiagnosis {
    /// Its number.
    pub container: ContainerId,
    /// How it fares.
    pub state: ContainerState,
    /// Epoch of its log.
    pub epoch: Option<u64>,
    /// Ledgers of its log, or of nobody's log if that is gone.
    pub ledgers: u64,
    /// Those of which every acknowledged entry has a copy that was seen.
    pub readable_ledgers: u64,
    /// Payload of the readable ledgers in bytes: operations that may or may not be in Tier-2.
    pub readable_bytes: u64,
    /// Objects in Tier-2.
    pub objects: u64,
    /// Their sizes added up.
    pub object_bytes: u64,
    /// What is wrong with its ledgers, in words.
    pub remarks: Vec<String>,
}

/// What the facts amount to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Which loss this is.
    pub scenario: Scenario,
    /// By container.
    pub containers: Vec<ContainerDiagnosis>,
}

/// What became of one ledger of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// With every copy, or with enough.
    Readable { complete: bool },
    /// Whether it is readable hangs on bookies that do not answer.
    Silent,
    /// Some of it is there.
    Torn,
    /// Nothing of it is there.
    Gone,
}

impl Diagnosis {
    /// Judges what was seen of these containers; none for all.
    pub fn of(facts: &Facts, chosen: &[ContainerId]) -> Self {
        let mut containers = containers(facts);
        containers.retain(|container| chosen.is_empty() || chosen.contains(&container.container));
        Self { scenario: scenario(facts, &containers), containers }
    }

    /// The procedure that recovers from it, or from what is left to do; none if there is none, or none is needed.
    pub fn procedure(&self) -> Option<&'static str> {
        match self.scenario {
            Scenario::ZooKeeperLoss | Scenario::ZooKeeperPartlyLost | Scenario::RecoveryHalfDone => {
                Some("zookeeper-loss")
            }
            _ if self.scenario == Scenario::TotalLoss || self.is_half_recovered() => Some("total-loss"),
            Scenario::AllBookiesLost => Some("partial-loss"),
            Scenario::SomeBookiesLost
                if self.has(ContainerState::EntriesMissing) || self.has(ContainerState::LedgersGone) =>
            {
                Some("partial-loss")
            }
            _ => None,
        }
    }

    /// True where survivors hold what Tier-2 may not hold, so that a recovery from Tier-2 alone would throw it away.
    pub fn has_survivors(&self) -> bool {
        let has_any = matches!(
            self.scenario,
            Scenario::SomeBookiesLost
                | Scenario::AllBookiesLost
                | Scenario::ZooKeeperLoss
                | Scenario::ZooKeeperPartlyLost
                | Scenario::RecoveryHalfDone
                | Scenario::Mixed
        );
        has_any && !self.is_half_recovered()
    }

    /// A recovery was carried out for some containers, and the others have lost everything but Tier-2.
    pub fn is_half_recovered(&self) -> bool {
        use ContainerState::{Empty, LogGone, Recovered};
        let is_such = |container: &ContainerDiagnosis| matches!(container.state, Empty | LogGone | Recovered);
        self.scenario == Scenario::Mixed && self.has(Recovered) && self.containers.iter().all(is_such)
    }

    /// True if a recovery was applied whose logs lie on bookies that do not answer.
    pub fn awaits_bookies(&self) -> bool {
        let is_unread = |container: &ContainerDiagnosis| container.readable_ledgers < container.ledgers;
        self.scenario == Scenario::RecoveredNotBooted && self.containers.iter().any(is_unread)
    }

    /// True if there are logs, and none lacks anything.
    pub fn are_logs_whole(&self) -> bool {
        use ContainerState::{Empty, Recovered, Whole};
        let has_any = self.has(Whole) || self.has(Recovered);
        has_any && self.containers.iter().all(|container| matches!(container.state, Empty | Recovered | Whole))
    }

    /// True if a container fares so.
    pub fn has(&self, state: ContainerState) -> bool {
        self.containers.iter().any(|container| container.state == state)
    }

    /// The containers that fare so.
    pub fn those(&self, state: ContainerState) -> Vec<ContainerId> {
        self.containers.iter().filter(|container| container.state == state).map(|found| found.container).collect()
    }
}

fn containers(facts: &Facts) -> Vec<ContainerDiagnosis> {
    let by_tier2 = facts.tier2.as_ref().map_or(0, |tier2| tier2.containers.len());
    let by_tier1 = facts.tier1.as_ref().map_or(0, |tier1| tier1.logs.len());
    let count = u32::try_from(by_tier2.max(by_tier1)).unwrap_or(u32::MAX);
    (0..count).map(|container| container_of(facts, container)).collect()
}

fn container_of(facts: &Facts, container: ContainerId) -> ContainerDiagnosis {
    let objects = facts.tier2.as_ref().ok().and_then(|tier2| tier2.containers.get(container as usize));
    let objects = objects.copied().unwrap_or_default();
    let mut diagnosis = ContainerDiagnosis {
        container,
        state: ContainerState::Unknown,
        epoch: None,
        ledgers: 0,
        readable_ledgers: 0,
        readable_bytes: 0,
        objects: objects.objects,
        object_bytes: objects.bytes,
        remarks: Vec::new(),
    };
    let Ok(tier1) = &facts.tier1 else { return diagnosis };
    match tier1.logs.get(container as usize).unwrap_or(&Log::Absent) {
        Log::Absent => without_log(&mut diagnosis, tier1),
        Log::Barrier => {
            without_log(&mut diagnosis, tier1);
            diagnosis.state = ContainerState::AwaitsBookies;
        }
        Log::Damaged(reason) => {
            diagnosis.state = ContainerState::LogDamaged;
            diagnosis.remarks.push(reason.clone());
        }
        Log::Present { enabled, epoch, version, ledgers } => {
            diagnosis.epoch = Some(*epoch);
            let state = with_log(&mut diagnosis, ledgers);
            let is_restored = *enabled && *version == 0 && is_restored(facts.tier2.as_ref().ok(), ledgers);
            // In a directory there are no bookies that could give what restored ledgers hold.
            let is_directory = tier1.bookies.is_none() && objects.has_journals;
            diagnosis.state = match state {
                ContainerState::BookiesSilent if is_restored => ContainerState::Recovered,
                ContainerState::LedgersGone if is_restored && is_directory => ContainerState::Recovered,
                ContainerState::Whole | ContainerState::CopiesMissing if !enabled => ContainerState::LogDisabled,
                ContainerState::Whole if is_recovered(facts.tier2.as_ref().ok(), objects, ledgers) => {
                    ContainerState::Recovered
                }
                state => state,
            };
        }
    }
    diagnosis
}

fn without_log(diagnosis: &mut ContainerDiagnosis, tier1: &Tier1Facts) {
    let strays = tier1.stray_ledgers.iter().filter(|sight| sight.container == Some(diagnosis.container));
    for sight in strays {
        diagnosis.ledgers += 1;
        if matches!(fate_of(sight), Fate::Readable { .. }) {
            diagnosis.readable_ledgers += 1;
            diagnosis.readable_bytes += sight.bytes;
        }
    }
    diagnosis.state = match () {
        () if diagnosis.ledgers > 0 => ContainerState::LogGoneLedgersLeft,
        () if diagnosis.objects == 0 => ContainerState::Empty,
        () => ContainerState::LogGone,
    };
}

fn with_log(diagnosis: &mut ContainerDiagnosis, ledgers: &[NamedLedger]) -> ContainerState {
    let mut fates = Vec::new();
    for ledger in ledgers {
        let Some(fate) = fate_of_named(ledger, ledgers.len() > 1, &mut diagnosis.remarks) else { continue };
        diagnosis.ledgers += 1;
        if let (Fate::Readable { .. }, Ok(Some(sight))) = (fate, &ledger.sight) {
            diagnosis.readable_ledgers += 1;
            diagnosis.readable_bytes += sight.bytes;
        }
        fates.push(fate);
    }
    let any = |wanted: Fate| fates.contains(&wanted);
    match () {
        () if !fates.is_empty() && fates.iter().all(|fate| *fate == Fate::Gone) => ContainerState::LedgersGone,
        () if any(Fate::Torn) || any(Fate::Gone) => ContainerState::EntriesMissing,
        () if any(Fate::Silent) => ContainerState::BookiesSilent,
        () if any(Fate::Readable { complete: false }) => ContainerState::CopiesMissing,
        () => ContainerState::Whole,
    }
}

/// What became of a ledger; none if it has no entries that are missed. Says in words what is wrong.
fn fate_of_named(ledger: &NamedLedger, has_others: bool, remarks: &mut Vec<String>) -> Option<Fate> {
    let id = ledger.id;
    match &ledger.sight {
        // Whoever opens the log forgives it.
        Ok(None) if ledger.status == LedgerStatus::Empty => None,
        Ok(None) => {
            remarks.push(format!("ledger {id} is not registered any more"));
            Some(Fate::Gone)
        }
        Err(reason) => {
            remarks.push(format!("ledger {id}: {reason}"));
            Some(Fate::Gone)
        }
        Ok(Some(sight)) if has_others && ledger.status != LedgerStatus::NotEmpty && sight.may_be_empty() => None,
        Ok(Some(sight)) => {
            remarks.extend(remark_on(sight));
            Some(fate_of(sight))
        }
    }
}

fn fate_of(sight: &LedgerSight) -> Fate {
    let is_silent = |(_, copy): &(String, CopySight)| *copy == CopySight::Silent;
    let could_be_whole = sight.stretches.iter().all(|stretch| {
        let silent = stretch.copies.iter().filter(|copy| is_silent(copy)).count();
        stretch.copies.len() - stretch.held() - silent < sight.ack_quorum
    });
    match () {
        () if sight.is_whole() => Fate::Readable { complete: sight.is_complete() },
        () if could_be_whole => Fate::Silent,
        () if sight.is_gone() => Fate::Gone,
        () => Fate::Torn,
    }
}

fn remark_on(sight: &LedgerSight) -> Option<String> {
    let absent = sight.stretches.iter().flat_map(|stretch| &stretch.copies).filter_map(|(bookie, copy)| match copy {
        CopySight::Held => None,
        CopySight::Missing(reason) => Some(format!("{bookie} ({reason})")),
        CopySight::Silent => Some(format!("{bookie} (does not answer)")),
    });
    let mut absent: Vec<String> = absent.collect();
    absent.sort_unstable();
    absent.dedup();
    (!absent.is_empty()).then(|| format!("ledger {}: no copy on {}", sight.id, absent.join(", ")))
}

/// A log as `dr` writes it, above objects that have no journals yet: the first store that boots writes both anew.
fn is_recovered(tier2: Option<&Tier2Facts>, objects: ContainerObjectsFacts, ledgers: &[NamedLedger]) -> bool {
    tier2.is_some_and(|tier2| tier2.recovered.is_some())
        && !objects.has_journals
        && ledgers.len() == 1
        && ledgers.iter().all(is_closed)
}

/// A log that a recovery restored, naming ledgers that bookies hold: the first store that boots begins a new ledger and writes the ZNode anew.
fn is_restored(tier2: Option<&Tier2Facts>, ledgers: &[NamedLedger]) -> bool {
    tier2.is_some_and(|tier2| tier2.recovered.is_some()) && !ledgers.is_empty() && ledgers.iter().all(is_closed)
}

fn is_closed(ledger: &NamedLedger) -> bool {
    matches!(&ledger.sight, Ok(Some(sight)) if sight.last_entry.is_some())
}

fn scenario(facts: &Facts, containers: &[ContainerDiagnosis]) -> Scenario {
    use ContainerState::{
        AwaitsBookies, BookiesSilent, CopiesMissing, Empty, EntriesMissing, LedgersGone, LogGone, LogGoneLedgersLeft,
        Recovered, Whole,
    };
    if facts.tier2.as_ref().is_ok_and(|tier2| tier2.in_progress.is_some()) {
        return Scenario::RecoveryInterrupted;
    }
    let Ok(tier1) = &facts.tier1 else { return Scenario::Undetermined };
    let states: Vec<ContainerState> =
        containers.iter().map(|container| container.state).filter(|&state| state != Empty).collect();
    let all = |possible: &[ContainerState]| states.iter().all(|state| possible.contains(state));
    match () {
        () if states.is_empty() => Scenario::Undetermined,
        () if states.contains(&AwaitsBookies) => Scenario::RecoveryHalfDone,
        // To say that nothing is lost, Tier-2 must have been seen.
        () if facts.tier2.is_err() && all(&[Whole, Recovered]) => Scenario::Undetermined,
        () if all(&[Whole]) => Scenario::Healthy,
        () if all(&[Whole, Recovered]) => Scenario::RecoveredNotBooted,
        // Logs that were whole in ZooKeeper were left as they are; their bookies come back with those of the others.
        () if states.contains(&Recovered) && all(&[Whole, Recovered, BookiesSilent]) => Scenario::RecoveredNotBooted,
        () if is_partly_lost(facts, tier1, &states) => Scenario::ZooKeeperPartlyLost,
        () if states.contains(&LogGoneLedgersLeft) && all(&[Whole, Recovered, CopiesMissing, LogGoneLedgersLeft]) => {
            Scenario::ZooKeeperLoss
        }
        () if all(&[LogGone, LogGoneLedgersLeft]) => without_logs(tier1, &states),
        () if all(&[Whole, CopiesMissing, BookiesSilent, EntriesMissing, LedgersGone]) => bookies_lost(tier1),
        () => Scenario::Mixed,
    }
}

/// Something of the logs is gone from ZooKeeper and something is left, while no bookie answers. To start the bookies would be the wrong thing
/// to do: they delete every ledger that is not registered.
fn is_partly_lost(facts: &Facts, tier1: &Tier1Facts, states: &[ContainerState]) -> bool {
    use ContainerState::{LogDamaged, LogGone, LogGoneLedgersLeft};
    let is_unregistered =
        |ledger: &NamedLedger| matches!(ledger.sight, Ok(None)) && ledger.status != LedgerStatus::Empty;
    let lacks_ledger = |log: &Log| match log {
        Log::Present { ledgers, .. } => ledgers.iter().any(is_unregistered),
        Log::Absent | Log::Damaged(_) | Log::Barrier => false,
    };
    let lacks_log = |state: &ContainerState| matches!(state, LogGone | LogGoneLedgersLeft | LogDamaged);
    let is_anything_gone = states.iter().any(lacks_log) || tier1.logs.iter().any(lacks_ledger);
    let is_anything_left =
        tier1.logs.iter().any(|log| matches!(log, Log::Present { .. })) || !tier1.stray_ledgers.is_empty();
    let is_silent = tier1.bookies.as_ref().is_some_and(|sights| sights.bookies.iter().all(|one| one.silent.is_some()));
    // A recovery from Tier-2 that was carried out for some containers looks alike; no store has booted on it yet.
    let is_stripped = |objects: &ContainerObjectsFacts| objects.objects > 0 && !objects.has_journals;
    let is_half_recovered = facts.tier2.as_ref().is_ok_and(|tier2| tier2.containers.iter().any(is_stripped));
    is_anything_gone && is_anything_left && is_silent && !is_half_recovered
}

/// No container has a log.
fn without_logs(tier1: &Tier1Facts, states: &[ContainerState]) -> Scenario {
    if states.contains(&ContainerState::LogGoneLedgersLeft) || !tier1.unregistered_ledgers.is_empty() {
        return Scenario::ZooKeeperLoss;
    }
    let Some(sights) = &tier1.bookies else { return Scenario::TotalLoss };
    let is_registered = |bookie: &&dr_backends::tier1::BookieSight| bookie.registration != Registration::None;
    // A bookie starts only with its cookie, so one that has none started with another ZooKeeper.
    let is_older = |bookie: &dr_backends::tier1::BookieSight| !bookie.has_cookie;
    let has_survivors = sights.bookies.iter().filter(is_registered).any(is_older);
    let can_ask = sights.bookies.iter().filter(is_registered).any(|bookie| bookie.silent.is_none());
    match () {
        () if has_survivors => Scenario::ZooKeeperLoss,
        () if can_ask => Scenario::TotalLoss,
        () => Scenario::Undetermined,
    }
}

/// Every log is there, and not every ledger.
fn bookies_lost(tier1: &Tier1Facts) -> Scenario {
    let held = |ledger: &NamedLedger| match &ledger.sight {
        Ok(Some(sight)) => sight.stretches.iter().any(|stretch| stretch.held() > 0),
        _ => false,
    };
    let any_held = tier1.logs.iter().any(|log| match log {
        Log::Present { ledgers, .. } => ledgers.iter().any(held),
        Log::Absent | Log::Damaged(_) | Log::Barrier => false,
    });
    if any_held { Scenario::SomeBookiesLost } else { Scenario::AllBookiesLost }
}

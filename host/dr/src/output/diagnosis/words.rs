//! What the loss is, what is lost and what could be, in plain words.

use dr_engine::contract::ContainerId;
use dr_engine::diagnose::{ContainerState, Contents, LEDGERS_ASKED_FOR, Scenario};

use super::Report;
use crate::output::text::{bytes, counted, grouped};

/// Most remarks on ledgers that are shown.
const REMARKS_SHOWN_MAX: usize = 12;

/// States in which ledgers are gone for certain.
const LOST: [ContainerState; 3] =
    [ContainerState::EntriesMissing, ContainerState::LedgersGone, ContainerState::LogDamaged];

/// A container's state for people.
pub(super) fn state(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Whole => "whole",
        ContainerState::CopiesMissing => "copies missing, nothing lost",
        ContainerState::BookiesSilent => "bookies silent",
        ContainerState::EntriesMissing => "entries missing",
        ContainerState::LedgersGone => "ledgers gone",
        ContainerState::AwaitsBookies => "ledgers registered, log comes next",
        ContainerState::LogGoneLedgersLeft => "log gone, ledgers left",
        ContainerState::LogGone => "log gone",
        ContainerState::LogDisabled => "log disabled",
        ContainerState::LogDamaged => "log damaged",
        ContainerState::Recovered => "recovered, not booted",
        ContainerState::Empty => "nothing there",
        ContainerState::Unknown => "not known",
    }
}

impl Report<'_> {
    /// What this scenario is.
    pub(super) fn meaning(&self) -> Vec<String> {
        let own = |sentences: &[&str]| sentences.iter().map(|&sentence| sentence.to_owned()).collect();
        match self.diagnosis.scenario {
            Scenario::Healthy => own(&[
                "Every container has its log, and every copy of its ledgers was seen. Nothing has to be recovered.",
            ]),
            Scenario::RecoveredNotBooted if self.diagnosis.awaits_bookies() => own(&[
                "A recovery was carried out here: the logs are restored, and no segment store has booted on them yet. What they hold lies on bookies that do not answer; start those first.",
            ]),
            Scenario::RecoveredNotBooted => own(&[
                "A recovery was carried out here, its logs are in place, and no segment store has booted on them yet.",
            ]),
            Scenario::RecoveryInterrupted => own(&[
                "A recovery has begun here and has not ended. Nothing else may be done before it is carried on or taken back.",
            ]),
            Scenario::RecoveryHalfDone => own(&[
                "The first of two steps of a recovery was carried out here: ledgers and bookies are registered. The logs are not restored yet, and disabled ZNodes stand in their places to keep segment stores away.",
            ]),
            Scenario::TotalLoss => {
                let is_all = "Tier-1 is lost as a whole: no container has a log, and no bookie that was asked holds anything of one. Tier-2 is all that is left.";
                std::iter::once(is_all.to_owned()).chain(self.held_by_tier2()).collect()
            }
            Scenario::SomeBookiesLost => self.some_bookies_lost(),
            Scenario::AllBookiesLost if self.diagnosis.has(ContainerState::BookiesSilent) => own(&[
                "ZooKeeper knows every log, but no bookie that holds them answers. If their disks are left, nothing may be lost; only if they are gone, all bookies are lost (scenario 2b).",
            ]),
            Scenario::AllBookiesLost => {
                own(&["ZooKeeper knows every log, and nothing of what they name is left on any bookie (scenario 2b)."])
            }
            Scenario::ZooKeeperLoss => self.zookeeper_loss(),
            Scenario::ZooKeeperPartlyLost => own(&[
                "ZooKeeper has lost a part of what it knew of the logs and their ledgers, and no bookie answers (scenario 2b). What is left of it is used where it agrees with the disks of the bookies, and stays as it is.",
            ]),
            Scenario::Mixed if self.diagnosis.is_half_recovered() => own(&[
                "A recovery was carried out here for some containers; the others have lost everything but Tier-2.",
            ]),
            Scenario::Mixed => own(&["Containers fare differently, see the table; each kind needs another treatment."]),
            Scenario::Undetermined => self.undetermined(),
        }
    }

    fn some_bookies_lost(&self) -> Vec<String> {
        let mut sentences =
            vec!["ZooKeeper and some bookies are left; others are lost or do not answer (scenario 2a).".to_owned()];
        if !self.diagnosis.has(ContainerState::EntriesMissing) && !self.diagnosis.has(ContainerState::LedgersGone) {
            sentences.push(if self.diagnosis.has(ContainerState::BookiesSilent) {
                "What is missing may all lie on bookies that do not answer.".to_owned()
            } else {
                "Every entry that was acknowledged has a copy left: Pravega can go on as soon as there are enough bookies.".to_owned()
            });
        }
        sentences
    }

    fn zookeeper_loss(&self) -> Vec<String> {
        let Ok(tier1) = &self.facts.tier1 else { return Vec::new() };
        let mut sentences = Vec::new();
        if tier1.stray_ledgers.is_empty() {
            sentences.push("ZooKeeper has lost what it knew: no container has a log and no ledger is registered, but bookies of the old cluster are left (scenario 3).".to_owned());
        } else {
            let has_log = self.diagnosis.containers.iter().any(|container| container.epoch.is_some());
            let which = if has_log { "The ZNodes of some logs" } else { "The logs' ZNodes" };
            sentences.push(format!("{which} are lost, but BookKeeper's own are left: ledgers that say which container they belong to (scenario 3)."));
        }
        let held = tier1.unregistered_ledgers.iter();
        sentences.extend(held.map(|(bookie, id)| {
            format!("Bookie {bookie} holds entries of ledger {id}, which ZooKeeper does not know.")
        }));
        sentences
    }

    fn undetermined(&self) -> Vec<String> {
        let sentence = match (&self.facts.tier1, self.diagnosis.containers.is_empty()) {
            (Err(_), _) => "Tier-1 cannot be looked at. Either it is only down, or it is lost; from here nobody can tell.".to_owned(),
            (Ok(_), true) => "There is no container, neither in Tier-2 nor in Tier-1: nothing can be told.".to_owned(),
            (Ok(_), false) if self.diagnosis.are_logs_whole() => "No log lacks anything, but Tier-2 cannot be looked at: whether the cluster is healthy cannot be told.".to_owned(),
            (Ok(_), false) => "No container has a log, and no bookie can be asked. If the disks of bookies are left, this is a loss of ZooKeeper (scenario 3); if not, total loss.".to_owned(),
        };
        vec![sentence]
    }

    /// What is certainly gone.
    pub(super) fn lost(&self) -> Vec<String> {
        match self.diagnosis.scenario {
            Scenario::TotalLoss => vec![
                "Whatever had reached only the bookies: the last writes before the crash. Nothing that is left tells how many they were.".to_owned(),
                "What only ZooKeeper held: open transactions, sessions of clients.".to_owned(),
            ],
            Scenario::AllBookiesLost if self.diagnosis.has(ContainerState::LedgersGone) => {
                let containers =
                    counted(self.diagnosis.those(ContainerState::LedgersGone).len() as u64, "container", "containers");
                let mut sentences =
                    vec![format!("The ledgers of the logs of {containers}, with all that had not reached Tier-2.")];
                sentences.extend(self.remarks(&LOST));
                sentences
            }
            Scenario::SomeBookiesLost | Scenario::Mixed | Scenario::AllBookiesLost | Scenario::ZooKeeperLoss => {
                self.remarks(&LOST)
            }
            Scenario::Healthy
            | Scenario::RecoveredNotBooted
            | Scenario::RecoveryInterrupted
            | Scenario::RecoveryHalfDone
            | Scenario::ZooKeeperPartlyLost
            | Scenario::Undetermined => Vec::new(),
        }
    }

    /// What is wrong with the ledgers of containers in these states.
    fn remarks(&self, states: &[ContainerState]) -> Vec<String> {
        let chosen = self.diagnosis.containers.iter().filter(|container| states.contains(&container.state));
        let remarks = chosen.flat_map(|container| {
            container.remarks.iter().map(move |remark| format!("Container {}: {remark}.", container.container))
        });
        let mut remarks: Vec<String> = remarks.collect();
        if remarks.len() > REMARKS_SHOWN_MAX {
            let more = grouped((remarks.len() - REMARKS_SHOWN_MAX) as u64);
            remarks.truncate(REMARKS_SHOWN_MAX);
            remarks.push(format!("And {more} more of the kind; --output json lists all."));
        }
        remarks
    }

    fn held_by_tier2(&self) -> Option<String> {
        let contents = self.contents?.as_ref().ok()?;
        let segments = contents.iter().map(|contents| contents.segments).sum();
        let held: u64 = contents.iter().map(|contents| contents.held_bytes).sum();
        Some(format!(
            "Tier-2 alone gives back {} with {} of data.",
            counted(segments, "segment", "segments"),
            bytes(held)
        ))
    }

    /// What may be gone, and why.
    pub(super) fn could_be_lost(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.diagnosis.has_survivors() {
            sentences.extend(self.held_by_survivors());
        }
        if self.diagnosis.scenario == Scenario::ZooKeeperPartlyLost {
            sentences
                .push("What the bookies' disks do not hold whole; a plan that is made with them tells.".to_owned());
        } else {
            sentences.extend(self.remarks(&[ContainerState::BookiesSilent]));
        }
        let copies = self.remarks(&[ContainerState::CopiesMissing]);
        if !copies.is_empty() {
            sentences.push("Nothing yet, but more if further bookies fail: these copies are missing.".to_owned());
            sentences.extend(copies);
        }
        match self.contents {
            None => {}
            Some(Err(error)) => sentences.push(format!("What Tier-2 alone would give back cannot be told: {error}.")),
            Some(Ok(contents)) => {
                sentences.extend(self.moved_aside());
                let told = contents.iter().filter(|contents| !self.was_moved_aside(contents.container));
                told.for_each(|contents| sentences.extend(doubts(contents)));
            }
        }
        if self.diagnosis.scenario == Scenario::TotalLoss
            && self.facts.tier1.as_ref().is_ok_and(|tier1| tier1.bookies.is_some())
        {
            sentences.push(format!(
                "Ledgers that nobody knows of: the bookies were asked for the ledgers 0 to {} and have none of them; disks of bookies that do not run were not looked at.",
                grouped(LEDGERS_ASKED_FOR.unsigned_abs() - 1)
            ));
        }
        sentences
    }

    /// A recovery moved the container's old metadata aside, and no store has written new ones.
    fn was_moved_aside(&self, container: ContainerId) -> bool {
        let Ok(tier2) = &self.facts.tier2 else { return false };
        let objects = tier2.containers.get(container as usize);
        tier2.recovered.is_some() && objects.is_some_and(|objects| objects.objects > 0 && !objects.has_journals)
    }

    fn moved_aside(&self) -> Option<String> {
        let lost = self.diagnosis.containers.iter().filter(|container| container.state != ContainerState::Recovered);
        let moved = lost.map(|container| container.container).filter(|&container| self.was_moved_aside(container));
        let moved: Vec<String> = moved.map(|container| container.to_string()).collect();
        (!moved.is_empty()).then(|| {
            format!(
                "Containers {}: an earlier recovery moved their old metadata to `_dr/moved-aside`; only with them back in place does Tier-2 tell what it holds.",
                moved.join(", ")
            )
        })
    }

    fn held_by_survivors(&self) -> Option<String> {
        let readable: u64 = self.diagnosis.containers.iter().map(|container| container.readable_bytes).sum();
        let ledgers: u64 = self.diagnosis.containers.iter().map(|container| container.readable_ledgers).sum();
        let consequence = match self.diagnosis.scenario {
            Scenario::ZooKeeperLoss | Scenario::RecoveryHalfDone => {
                "but nothing of them is lost if the logs are restored"
            }
            _ => "and `dr recover` would throw that part away",
        };
        (ledgers > 0).then(|| {
            format!(
                "{} of operations in {} that can still be read: a part of them may not be in Tier-2, {consequence}.",
                bytes(readable),
                counted(ledgers, "ledger", "ledgers")
            )
        })
    }
}

/// What the metadata of a container in Tier-2 say that its objects do not hold.
fn doubts(contents: &Contents) -> Vec<String> {
    let container = contents.container;
    let mut sentences = Vec::new();
    if contents.metadata_absent {
        sentences.push(format!("Container {container}: not one byte of its metadata, or of a part of them, is in Tier-2: it was never flushed, or objects were deleted."));
    } else if contents.damaged_metadata > 0 {
        let parts = counted(contents.damaged_metadata, "part", "parts");
        sentences.push(format!("Container {container}: {parts} of its metadata in Tier-2 are missing or damaged; segments may be older than they were."));
    }
    if contents.missing_bytes > 0 {
        let segments = counted(contents.segments_with_missing_bytes, "segment", "segments");
        sentences.push(format!(
            "Container {container}: {} of {segments} that its metadata name and no object holds: they were still only in Tier-1, or objects are gone.",
            bytes(contents.missing_bytes)
        ));
    }
    if contents.unrecorded_segments > 0 {
        let segments = counted(contents.unrecorded_segments, "segment", "segments");
        sentences.push(format!("Container {container}: {segments} that only objects name: new data whose metadata were not flushed, or leftovers of deleted segments."));
    }
    sentences
}

//! Ledgers and bookies that a plan registers again.

use dr_backends::tier1::{BookieRegistration, LedgerClosing, RestoredLedger};
use dr_formats::ledger_metadata::LedgerState;

use super::{Application, log_metadata};
use crate::cluster::{ClusterLayout, Tier1};
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::plan::{Effect, Plan, PlannedClosing, PlannedLedger, PlannedRegistration};

/// Planned ledgers in the words of the backend. The custom metadata are Pravega's own; those of a ledger that is part of no log name
/// no container.
pub(super) fn ledgers(
    container: Option<ContainerId>,
    planned: &[PlannedLedger],
    layout: &ClusterLayout,
) -> Vec<RestoredLedger> {
    let mut custom_metadata = layout.ledger_layout(container.unwrap_or_default()).custom_metadata;
    if container.is_none() {
        custom_metadata.truncate(1);
    }
    let ledger = |planned: &PlannedLedger| RestoredLedger {
        id: planned.id,
        ensemble_size: planned.ensemble_size,
        write_quorum: planned.write_quorum,
        ack_quorum: planned.ack_quorum,
        digest_type: planned.digest_type.into(),
        last_entry: planned.last_entry,
        length: planned.length,
        stretches: planned.stretches.iter().map(|stretch| (stretch.first_entry, stretch.bookies.clone())).collect(),
        custom_metadata: custom_metadata.clone(),
    };
    planned.iter().map(ledger).collect()
}

impl From<&LedgerClosing> for PlannedClosing {
    fn from(closing: &LedgerClosing) -> Self {
        Self {
            id: closing.id,
            expected_version: closing.expected_version,
            in_recovery: closing.state_before == LedgerState::InRecovery,
            token: closing.token_before,
            last_entry: closing.last_entry,
            length: closing.length,
        }
    }
}

/// Planned closings in the words of the backend.
pub(super) fn closings(planned: &[PlannedClosing]) -> Vec<LedgerClosing> {
    let closing = |planned: &PlannedClosing| LedgerClosing {
        id: planned.id,
        expected_version: planned.expected_version,
        state_before: if planned.in_recovery { LedgerState::InRecovery } else { LedgerState::Open },
        token_before: planned.token,
        last_entry: planned.last_entry,
        length: planned.length,
    };
    planned.iter().map(closing).collect()
}

/// A planned registration in the words of the backend.
pub(super) fn registration(planned: &PlannedRegistration) -> BookieRegistration {
    BookieRegistration {
        instance_id: planned.instance_id.clone(),
        cookies: planned.bookies.iter().map(|bookie| (bookie.id.clone(), bookie.cookie.clone())).collect(),
        highest_ledger: planned.highest_ledger,
    }
}

/// Ids of the ledgers that a plan registers again.
pub(super) fn restored_ids(plan: &Plan) -> Vec<i64> {
    let restored = plan.effects.iter().filter_map(|effect| match effect {
        Effect::RestoreLedgers { ledgers, .. } => Some(ledgers.iter().map(|ledger| ledger.id)),
        _ => None,
    });
    restored.flatten().collect()
}

/// The registrations of a plan, in the words of the backend.
pub(super) fn registrations(plan: &Plan) -> impl Iterator<Item = BookieRegistration> {
    plan.effects.iter().filter_map(|effect| match effect {
        Effect::RegisterBookies(planned) => Some(registration(planned)),
        _ => None,
    })
}

/// Where logs are written anew beside others that are restored, the old bookies have to run for it: they are registered, and no ledger of
/// theirs is in danger.
///
/// # Errors
/// `bookies-stopped`.
pub(super) fn refuse_stopped_bookies(application: &Application<'_>) -> Result<()> {
    let Application { plan, tier1, layout, .. } = application;
    let anew = plan.effects.iter().filter(|effect| matches!(effect, Effect::WriteLog { .. })).count();
    if anew == 0 || registrations(plan).next().is_none() {
        return Ok(());
    }
    tier1.ledgers.check(&layout.ledger_layout(0)).map_err(|error| {
        let what = format!("the old ledgers and bookies are registered; now the logs of {anew} containers are written anew, for which bookies must run");
        let next = "start the bookies whose disks are there, and new ones, with other ids and empty disks, in the place of those that are lost";
        OperatorError::new("bookies-stopped", what, next).because(error)
    })
}

/// Looks at everything that a plan registered again, without asking a bookie: they cannot start before this is there.
///
/// # Errors
/// `restore-incomplete` that names what is not as it should be; Tier-1 errors.
pub fn verify_restored(plan: &Plan, tier1: Tier1<'_>, layout: &ClusterLayout) -> Result<()> {
    let mut wrong: Vec<String> = Vec::new();
    for effect in &plan.effects {
        match effect {
            Effect::RestoreLedgers { container, ledgers: planned } => {
                let missing = tier1.ledgers.registry().not_restored(&ledgers(*container, planned, layout))?;
                wrong.extend(missing.into_iter().map(|id| format!("the metadata of ledger {id}")));
            }
            Effect::CloseLedgers { ledgers: planned, .. } => {
                let open = tier1.ledgers.registry().not_closed(&closings(planned))?;
                wrong.extend(open.into_iter().map(|id| format!("the end of ledger {id}")));
            }
            Effect::RegisterBookies(planned) => {
                let missing = tier1.ledgers.registry().not_registered(&registration(planned))?;
                wrong.extend(missing.into_iter().map(|name| format!("`{name}` below the ledgers root")));
            }
            Effect::RestoreLog { path, epoch, ledgers, truncation, .. } => {
                let expected = log_metadata(*epoch, ledgers, *truncation)?;
                if tier1.znodes.get(path)?.is_none_or(|node| node.data != expected) {
                    wrong.push(format!("`{path}`"));
                }
            }
            _ => {}
        }
    }
    let Some(first) = wrong.first() else { return Ok(()) };
    Err(OperatorError::new(
        "restore-incomplete",
        format!("{first} is not as the plan wrote it, nor are {} others", wrong.len() - 1),
        "find out who else writes to this ZooKeeper; then run `dr apply` with the same directory again",
    ))
}

//! Logs and bookies that are brought back as they were, from the disks of the bookies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Staging;
use crate::contract::{
    Bookie, CallError, CallResult, ContainerId, DurableLog, Ledger, PAGE_ROWS_MAX, Pages, RestoredLog, VecPages,
    no_disks,
};
use crate::ledgers::{LedgerEvidence, SegmentTail};
use crate::plan::{Effect, PlannedBookie, PlannedLedger, PlannedRegistration, PlannedTruncation, RestoredContainer};
use crate::survey::Survey;

/// What was staged of logs and bookies.
#[derive(Debug, Default)]
pub(super) struct Restored {
    logs: BTreeMap<ContainerId, StagedLog>,
    kept: BTreeMap<i64, PlannedLedger>,
    /// Places in the evidence of the bookies that are registered; none before the call.
    bookies: Option<BTreeSet<String>>,
    /// Newest bytes of segments that tell of the controller.
    tails: BTreeMap<String, SegmentTail>,
    /// Tier-2 with these bytes; made when it is asked for.
    survey: Option<Arc<Survey>>,
}

#[derive(Debug)]
struct StagedLog {
    /// Ids in the order of the log.
    ids: Vec<i64>,
    /// Those that are to be registered: all or none.
    ledgers: Vec<PlannedLedger>,
    truncation: Option<PlannedTruncation>,
    summary: RestoredContainer,
}

impl Restored {
    /// True if the log of a container is restored.
    pub(super) fn has_log(&self, container: ContainerId) -> bool {
        self.logs.contains_key(&container)
    }

    /// The containers whose logs are restored, by number.
    pub(super) fn containers(&self) -> Vec<RestoredContainer> {
        self.logs.values().map(|log| log.summary.clone()).collect()
    }

    /// Ids of the ledgers that will be registered.
    fn registered(&self) -> BTreeSet<i64> {
        let of_logs = self.logs.values().flat_map(|log| &log.ledgers).map(|planned| planned.id);
        self.kept.keys().copied().chain(of_logs).collect()
    }

    /// The staged effects.
    pub(super) fn effects(&self, staging: &Staging) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (&container, log) in &self.logs {
            if !log.ledgers.is_empty() {
                effects.push(Effect::RestoreLedgers { container: Some(container), ledgers: log.ledgers.clone() });
            }
            effects.push(Effect::RestoreLog {
                container,
                path: staging.0.layout.log_znode(container),
                epoch: log.summary.epoch,
                ledgers: log.ids.clone(),
                truncation: log.truncation,
            });
        }
        if !self.kept.is_empty() {
            effects.push(Effect::RestoreLedgers { container: None, ledgers: self.kept.values().cloned().collect() });
        }
        if let (Some(ids), Some(evidence)) = (&self.bookies, &staging.0.ledgers) {
            let chosen = evidence.bookies().iter().filter(|bookie| ids.contains(&bookie.id));
            let mut bookies: Vec<_> =
                chosen.map(|bookie| PlannedBookie { id: bookie.id.clone(), cookie: bookie.cookie.clone() }).collect();
            bookies.sort_by(|one, other| one.id.cmp(&other.id));
            effects.push(Effect::RegisterBookies(PlannedRegistration {
                instance_id: evidence.bookies().first().and_then(|bookie| bookie.instance_id.clone()),
                bookies,
                highest_ledger: evidence.highest_ledger(),
            }));
        }
        effects
    }
}

/// Segments of which the controller's state is read: its tables, and the state of its reader groups.
fn tells_of_controller(segment: &str) -> bool {
    segment.starts_with("_system/")
}

impl Staging {
    fn disks(&self) -> CallResult<&LedgerEvidence> {
        self.0.ledgers.as_deref().ok_or_else(no_disks)
    }

    /// What survived, with what restored logs append to the controller's segments.
    pub(super) fn controller_survey(&self) -> CallResult<Arc<Survey>> {
        let mut state = self.lock();
        if state.restored.tails.is_empty() {
            return Ok(Arc::clone(&self.0.survey));
        }
        if let Some(survey) = &state.restored.survey {
            return Ok(Arc::clone(survey));
        }
        let survey = Arc::new(self.0.survey.with_tails(&state.restored.tails)?);
        state.restored.survey = Some(Arc::clone(&survey));
        Ok(survey)
    }

    pub(super) fn list_bookies(&self) -> CallResult<Vec<Bookie>> {
        Ok(self.disks()?.bookie_rows())
    }

    pub(super) fn list_ledgers(&self) -> CallResult<Box<dyn Pages<Ledger>>> {
        Ok(Box::new(VecPages::new(self.disks()?.ledger_rows())))
    }

    pub(super) fn list_logs(&self) -> CallResult<Vec<DurableLog>> {
        Ok(self.disks()?.log_rows())
    }

    pub(super) fn stage_bookies(&self, ids: &[String]) -> CallResult<()> {
        let evidence = self.disks()?;
        let known: BTreeSet<&str> = evidence.bookies().iter().map(|bookie| bookie.id.as_str()).collect();
        if let Some(unknown) = ids.iter().find(|id| !known.contains(id.as_str())) {
            return Err(CallError::NotFound(format!("no disk of a bookie `{unknown}` was read")));
        }
        let mut state = self.lock();
        if state.restored.bookies.is_some() {
            return Err(CallError::Conflict("the bookies were registered before".to_owned()));
        }
        let registered = state.restored.registered();
        if let Some(ledger) = evidence.ledger_ids().find(|id| !registered.contains(id)) {
            return Err(CallError::Conflict(format!(
                "ledger {ledger} is neither part of a restored log nor kept; the bookies would delete it"
            )));
        }
        state.restored.bookies = Some(ids.iter().cloned().collect());
        Ok(())
    }

    pub(super) fn stage_kept_ledgers(&self, ids: &[i64]) -> CallResult<()> {
        if ids.len() > PAGE_ROWS_MAX {
            let most = format!("keep-ledgers takes at most {PAGE_ROWS_MAX} ids, got {}", ids.len());
            return Err(CallError::Exhausted(most));
        }
        let evidence = self.disks()?;
        let planned = |&id: &i64| Ok((id, evidence.planned_stray(id, &self.0.layout)?));
        let planned: Vec<(i64, PlannedLedger)> = ids.iter().map(planned).collect::<CallResult<_>>()?;
        let mut state = self.lock();
        if let Some(id) = ids.iter().find(|id| state.restored.kept.contains_key(id)) {
            return Err(CallError::Conflict(format!("ledger {id} was kept before")));
        }
        state.restored.kept.extend(planned);
        Ok(())
    }

    pub(super) fn stage_log(&self, container: ContainerId) -> CallResult<RestoredLog> {
        let evidence = self.disks()?;
        let taken = |state: &super::State| {
            state.restored.has_log(container)
                || state.closed.contains_key(&container)
                || state.open.contains(&container)
        };
        if taken(&self.lock()) {
            return Err(CallError::Conflict(format!("container {container} was opened or restored before")));
        }
        let highest_epoch = self.evidence(container)?.highest_epoch;
        self.0.survey.forget(container);
        let followed = evidence.follow(container, tells_of_controller)?;
        let ids = evidence.log_ledgers(container)?;
        let ledgers = evidence.planned_log(container, &self.0.layout)?;
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        // The epoch grows by one with each ledger, and Tier-2 names that of the last start of the store.
        let epoch = highest_epoch + u64::from(count) + 1;
        let restored = RestoredLog {
            ledgers: count,
            operations: followed.operations,
            last_operation: followed.last_operation,
            epoch,
        };
        let truncation = followed.truncation.map(|address| PlannedTruncation {
            ledger: address.ledger_id,
            sequence: address.frame.ledger_sequence(),
            entry: address.frame.entry_id(),
        });
        let summary = RestoredContainer {
            container,
            ledgers: count,
            operations: followed.operations,
            last_operation: followed.last_operation,
            bytes: evidence.log_bytes(container)?,
            epoch,
        };
        let mut state = self.lock();
        if taken(&state) {
            return Err(CallError::Conflict(format!("container {container} was opened or restored before")));
        }
        state.restored.tails.extend(followed.tails);
        state.restored.logs.insert(container, StagedLog { ids, ledgers, truncation, summary });
        drop(state);
        self.0.progress.advanced(1);
        Ok(restored)
    }
}

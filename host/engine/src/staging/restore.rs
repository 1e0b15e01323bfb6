//! Logs and bookies that are brought back as they were, from the disks of the bookies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dr_backends::tier1::ZNodes as _;

use super::Staging;
use crate::contract::{
    Bookie, CallError, CallResult, ContainerId, DurableLog, Ledger, Pages, RestoredLog, VecPages, no_disks,
};
use crate::error::OperatorError;
use crate::ledgers::{FollowedLog, LATER, LedgerEvidence, LogNode, PlannedLog, SegmentTail, Standing, barrier};
use crate::plan::{
    Effect, PlannedBookie, PlannedClosing, PlannedLedger, PlannedRegistration, PlannedTruncation, RestoredContainer,
};
use crate::registration::{self, Registration};
use crate::survey::Survey;

/// What was staged of logs and bookies.
#[derive(Debug, Default)]
pub(super) struct Restored {
    logs: BTreeMap<ContainerId, StagedLog>,
    registration: Registration,
    /// Ledgers of no log that are to be registered.
    kept: BTreeMap<i64, PlannedLedger>,
    /// Newest bytes of segments that tell of the controller.
    tails: BTreeMap<String, SegmentTail>,
    /// Tier-2 with these bytes; made when it is asked for.
    survey: Option<Arc<Survey>>,
}

#[derive(Debug)]
struct StagedLog {
    /// Ids in the order of the log.
    ids: Vec<i64>,
    metadata: PlannedLog,
    znode: StagedNode,
    summary: RestoredContainer,
}

/// Disks that were not given cannot be given any more when the bookies run.
fn with_the_way_on(error: CallError) -> CallError {
    match error {
        CallError::Damaged(flaw) => CallError::Damaged(format!(
            "{flaw}; if a bookie does not run that could hold it, start that and make the plan again; else the procedure `partial-loss` builds the \
             container anew from Tier-2 and what is left of its log"
        )),
        other => other,
    }
}

/// What becomes of the ZNode of a log.
#[derive(Debug)]
enum StagedNode {
    Kept,
    /// Nothing now: the log is read, and its ZNode written, when the bookies run.
    Later,
    /// Created, or replaced in this version.
    Written {
        truncation: Option<PlannedTruncation>,
        expected_version: Option<i32>,
    },
}

impl StagedNode {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Later => LATER,
            Self::Written { expected_version: None, .. } => "created",
            Self::Written { expected_version: Some(_), .. } => "replaced",
        }
    }
}

impl Restored {
    /// True if the log of some container is restored.
    pub(super) fn has_any_log(&self) -> bool {
        !self.logs.is_empty()
    }

    /// True if the log of a container is restored.
    pub(super) fn has_log(&self, container: ContainerId) -> bool {
        self.logs.contains_key(&container)
    }

    /// The containers whose logs are restored, by number.
    pub(super) fn containers(&self) -> Vec<RestoredContainer> {
        self.logs.values().map(|log| log.summary.clone()).collect()
    }

    /// The staged effects.
    pub(super) fn effects(&self, staging: &Staging) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (&container, log) in &self.logs {
            let PlannedLog { restored, closed } = &log.metadata;
            if !restored.is_empty() {
                effects.push(Effect::RestoreLedgers { container: Some(container), ledgers: restored.clone() });
            }
            if !closed.is_empty() {
                let ledgers = closed.iter().map(PlannedClosing::from).collect();
                effects.push(Effect::CloseLedgers { container, ledgers });
            }
            if let StagedNode::Written { truncation, expected_version } = log.znode {
                effects.push(Effect::RestoreLog {
                    container,
                    path: staging.0.layout.log_znode(container),
                    epoch: log.summary.epoch,
                    ledgers: log.ids.clone(),
                    truncation,
                    expected_version,
                });
            }
        }
        let kept: Vec<PlannedLedger> = self.kept.values().cloned().collect();
        if !kept.is_empty() {
            effects.push(Effect::RestoreLedgers { container: None, ledgers: kept });
        }
        effects.extend(self.barriers(staging));
        if let (Some(ids), Some(evidence)) = (self.registration.bookies(), &staging.0.ledgers) {
            let chosen = evidence.bookies().iter().filter(|bookie| ids.contains(&bookie.id));
            let mut bookies: Vec<_> =
                chosen.map(|bookie| PlannedBookie { id: bookie.id.clone(), cookie: bookie.cookie.clone() }).collect();
            bookies.sort_by(|one, other| one.id.cmp(&other.id));
            effects.push(Effect::RegisterBookies(PlannedRegistration {
                instance_id: evidence.bookies().first().and_then(|bookie| bookie.instance_id.clone()),
                bookies,
                highest_ledger: evidence.ids_to_pass(),
            }));
        }
        effects
    }

    /// ZNodes that keep stores away, if the logs come in a second step.
    fn barriers(&self, staging: &Staging) -> Vec<Effect> {
        let (layout, count) = (&staging.0.layout, staging.0.survey.container_count());
        let is_awaited =
            |evidence: &&LedgerEvidence| evidence.awaits_bookies() && self.registration.bookies().is_some();
        let evidence = staging.0.ledgers.as_deref().filter(is_awaited);
        let without_node =
            |evidence: &LedgerEvidence| (0..count).filter(|&of| evidence.log_node(of).is_none()).collect();
        let containers: Vec<ContainerId> = evidence.map(without_node).unwrap_or_default();
        let create = |container| Some(Effect::CreateZnode { path: layout.log_znode(container), data: barrier().ok()? });
        containers.into_iter().filter_map(create).collect()
    }
}

impl Staging {
    fn disks(&self) -> CallResult<&LedgerEvidence> {
        self.0.ledgers.as_deref().ok_or_else(no_disks)
    }

    /// What survived, with what restored logs append to the controller's segments.
    pub(super) fn controller_survey(&self) -> CallResult<Arc<Survey>> {
        self.refuse_unread_logs()?;
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
        self.lock().restored.registration.register(ids, &known, evidence.unregistered_ledgers())
    }

    pub(super) fn stage_kept_ledgers(&self, ids: &[i64]) -> CallResult<()> {
        registration::check_count(ids)?;
        let evidence = self.disks()?;
        let planned = |&id: &i64| Ok((id, evidence.planned_stray(id, &self.0.layout)?));
        let planned: Vec<(i64, Option<PlannedLedger>)> = ids.iter().map(planned).collect::<CallResult<_>>()?;
        let mut state = self.lock();
        state.restored.registration.keep(ids)?;
        state.restored.kept.extend(planned.into_iter().filter_map(|(id, planned)| Some((id, planned?))));
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
        let ids = evidence.log_ledgers(container)?;
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let (followed, znode, epoch) = if evidence.awaits_bookies() {
            (evidence.unread(container)?, StagedNode::Later, 0)
        } else {
            self.followed_log(container, u64::from(count))?
        };
        let metadata = evidence.planned_log(container, &self.0.layout)?;
        let restored = RestoredLog {
            ledgers: count,
            operations: followed.operations,
            last_operation: followed.last_operation,
            epoch,
            znode: znode.as_str().to_owned(),
            closed: metadata.closed.iter().map(|closing| closing.id).collect(),
            bridged: followed.bridged.clone(),
        };
        let summary = RestoredContainer {
            container,
            ledgers: count,
            operations: followed.operations,
            last_operation: followed.last_operation,
            bytes: evidence.log_bytes(container)?,
            epoch,
            kept: matches!(znode, StagedNode::Kept),
            later: matches!(znode, StagedNode::Later),
        };
        let mut state = self.lock();
        if taken(&state) {
            return Err(CallError::Conflict(format!("container {container} was opened or restored before")));
        }
        state.restored.tails.extend(followed.tails);
        state.restored.registration.restore(ids.iter().copied());
        state.restored.logs.insert(container, StagedLog { ids, metadata, znode, summary });
        drop(state);
        self.0.progress.advanced(1);
        Ok(restored)
    }

    /// A log of so many ledgers that is read now, what becomes of its ZNode, and its epoch.
    fn followed_log(&self, container: ContainerId, ledgers: u64) -> CallResult<(FollowedLog, StagedNode, u64)> {
        let highest_epoch = self.evidence(container)?.highest_epoch;
        let evidence = self.disks()?;
        let followed = evidence.restorable(container, &self.0.survey);
        let followed = if evidence.are_registered() { followed.map_err(with_the_way_on)? } else { followed? };
        self.0.survey.forget(container);
        let (znode, epoch) = self.staged_node(container, &followed, highest_epoch + ledgers)?;
        Ok((followed, znode, epoch))
    }

    /// Refuses what rests on the content of logs as long as nobody can read them.
    pub(super) fn refuse_unread_logs(&self) -> CallResult<()> {
        match &self.0.ledgers {
            Some(evidence) if evidence.awaits_bookies() => Err(registration::logs_unread()),
            _ => Ok(()),
        }
    }

    /// What becomes of the ZNode of a log, and its epoch, which is above `epoch_seen` in one that is written: the epoch grows by one with
    /// each ledger, and Tier-2 names that of the last start of the store.
    fn staged_node(
        &self,
        container: ContainerId,
        followed: &FollowedLog,
        epoch_seen: u64,
    ) -> CallResult<(StagedNode, u64)> {
        let evidence = self.disks()?;
        let known = self.old_log_node(evidence, container)?;
        let epoch_known = self.epoch_of_old_log(container);
        if evidence.standing(container) == Standing::Fits {
            return Ok((StagedNode::Kept, epoch_known));
        }
        let truncation = followed.truncation.map(|address| PlannedTruncation {
            ledger: address.ledger_id,
            sequence: address.frame.ledger_sequence(),
            entry: address.frame.entry_id(),
        });
        let expected_version = known.map(|node| node.version);
        Ok((StagedNode::Written { truncation, expected_version }, epoch_seen.max(epoch_known) + 1))
    }

    /// The ZNode of a log that is left, read again, so that the plan rests on it.
    fn old_log_node<'a>(
        &self,
        evidence: &'a LedgerEvidence,
        container: ContainerId,
    ) -> CallResult<Option<&'a LogNode>> {
        let known = evidence.log_node(container);
        let now = self.0.znodes.get(&self.0.layout.log_znode(container)).map_err(OperatorError::from)?;
        if now.map(|node| node.version) != known.map(|node| node.version) {
            return Err(CallError::Conflict(format!("the log ZNode of container {container} changed meanwhile")));
        }
        Ok(known)
    }

    /// Epoch of the log ZNode that is left; 0 if there is none, or one that cannot be decoded.
    pub(super) fn epoch_of_old_log(&self, container: ContainerId) -> u64 {
        let known = self.0.ledgers.as_ref().and_then(|evidence| evidence.log_node(container));
        known.and_then(|node| node.metadata.as_ref().ok()).map_or(0, |log| log.epoch)
    }

    /// A container can be built anew although its log has a ZNode, but only if that log was judged, and cannot be replayed.
    pub(super) fn refuse_to_replace_whole_log(&self, container: ContainerId) -> CallResult<()> {
        let Some(evidence) = self.0.ledgers.as_deref() else { return Ok(()) };
        if self.old_log_node(evidence, container)?.is_none() || evidence.flaw(container).is_some() {
            return Ok(());
        }
        Err(registration::log_replayable(container))
    }
}

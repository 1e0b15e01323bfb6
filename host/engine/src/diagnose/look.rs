//! Gathers the facts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use dr_backends::tier1::{BookieSights, LedgerSight, LedgerSights, ZNodes};
use dr_backends::tier2::Tier2;
use dr_formats::log_metadata::LogMetadata;

use super::{ContainerObjectsFacts, Contents, Facts, LEDGERS_ASKED_FOR, Log, NamedLedger, Tier1Facts, Tier2Facts};
use crate::apply::{in_progress, recoveries};
use crate::cluster::{ClusterLayout, live_servers};
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::ledgers::is_barrier;
use crate::listing::{CONTAINERS_MAX, Listing};
use crate::pool::for_each_bounded;
use crate::progress::{Progress, Unit};
use crate::survey::{Survey, SurveyOptions};

/// A Tier-1 that can be asked.
#[derive(Debug, Clone, Copy)]
pub struct Tier1ToLookAt<'a> {
    /// ZooKeeper, or its double.
    pub znodes: &'a dyn ZNodes,
    /// BookKeeper, or its double.
    pub ledgers: &'a dyn LedgerSights,
    /// The cluster.
    pub layout: &'a ClusterLayout,
}

/// Looks at everything that can be reached. What cannot is a fact, not an error.
pub fn look(
    tier2: std::result::Result<&dyn Tier2, OperatorError>,
    tier1: std::result::Result<Tier1ToLookAt<'_>, OperatorError>,
    container_count: Option<u32>,
    parallel: usize,
    progress: &dyn Progress,
) -> Facts {
    let tier2 = tier2.and_then(|tier2| tier2_facts(tier2, container_count, progress));
    let by_tier2 = tier2.as_ref().ok().map(|facts| u32::try_from(facts.containers.len()).unwrap_or(u32::MAX));
    let tier1 = tier1.and_then(|tier1| {
        let look = Look { tier1, parallel, progress };
        look.facts(container_count.or(by_tier2))
    });
    Facts { tier2, tier1 }
}

fn tier2_facts(tier2: &dyn Tier2, container_count: Option<u32>, progress: &dyn Progress) -> Result<Tier2Facts> {
    let in_progress = in_progress(tier2)?;
    let recorded = recoveries(tier2)?;
    let listing = match container_count.or(recorded.last().map(|recovery| recovery.container_count)) {
        Some(count) if !recorded.is_empty() => Listing::take_known(tier2, count, progress)?,
        count => Listing::take(tier2, count, progress)?,
    };
    let containers = listing.containers.iter().map(|objects| ContainerObjectsFacts {
        objects: objects.count,
        bytes: objects.bytes,
        has_journals: objects.has_journals(),
    });
    let digest = listing.digest();
    Ok(Tier2Facts {
        objects: digest.objects,
        bytes: digest.bytes,
        recovered: recorded.into_iter().rfind(|recovery| Some(recovery) != in_progress.as_ref()),
        in_progress,
        containers: containers.collect(),
    })
}

struct Look<'a> {
    tier1: Tier1ToLookAt<'a>,
    parallel: usize,
    progress: &'a dyn Progress,
}

impl Look<'_> {
    fn facts(&self, container_count: Option<u32>) -> Result<Tier1Facts> {
        let Tier1ToLookAt { znodes, ledgers, layout } = self.tier1;
        let cluster_exists = znodes.get(&layout.root())?.is_some();
        let bookies = ledgers.bookies()?;
        let answering: HashSet<&str> = bookies
            .iter()
            .flat_map(|sights| &sights.bookies)
            .filter(|bookie| bookie.silent.is_none())
            .map(|bookie| bookie.id.as_str())
            .collect();
        let count = match container_count {
            Some(count) => count,
            None => highest_log(znodes, layout)?.map_or(0, |highest| highest + 1),
        };
        let logs = self.logs(count, &answering)?;
        let ids = ledgers.ids()?;
        let unregistered_ledgers = match &bookies {
            Some(sights) if ids.is_empty() => self.unregistered(sights),
            _ => Vec::new(),
        };
        let stray_ledgers = self.strays(&ids, &logs, &answering)?;
        Ok(Tier1Facts {
            cluster_exists,
            live: live_servers(znodes, layout)?,
            bookies,
            logs,
            stray_ledgers,
            unregistered_ledgers,
        })
    }

    fn logs(&self, count: u32, answering: &HashSet<&str>) -> Result<Vec<Log>> {
        const STAGE: &str = "looking at logs";
        let containers: Vec<ContainerId> = (0..count).collect();
        self.progress.stage_started(STAGE, Some(u64::from(count)), Unit::Containers);
        let logs = Mutex::new(vec![Log::Absent; count as usize]);
        for_each_bounded(self.parallel, &containers, |&container| {
            let log = self.log(container, answering)?;
            logs.lock().unwrap_or_else(PoisonError::into_inner)[container as usize] = log;
            self.progress.advanced(1);
            Ok(())
        })?;
        self.progress.stage_finished(STAGE);
        Ok(logs.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn log(&self, container: ContainerId, answering: &HashSet<&str>) -> Result<Log> {
        let path = self.tier1.layout.log_znode(container);
        let Some(node) = self.tier1.znodes.get(&path)? else { return Ok(Log::Absent) };
        if is_barrier(&node.data) {
            return Ok(Log::Barrier);
        }
        let metadata = match LogMetadata::decode(&node.data) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Log::Damaged(format!("`{path}`: {error}"))),
        };
        // What lies before the truncation was flushed; BookKeeper may have deleted it already.
        let first = metadata.truncation.ledger_id;
        let needed = metadata.ledgers.iter().filter(|ledger| ledger.ledger_id >= first);
        let named = |ledger: &dr_formats::log_metadata::LogLedger| NamedLedger {
            id: ledger.ledger_id,
            status: ledger.status,
            sight: self.sight(ledger.ledger_id, answering),
        };
        Ok(Log::Present {
            enabled: metadata.enabled,
            epoch: metadata.epoch,
            version: node.version,
            ledgers: needed.map(named).collect(),
        })
    }

    fn sight(&self, id: i64, answering: &HashSet<&str>) -> std::result::Result<Option<LedgerSight>, String> {
        self.tier1.ledgers.ledger(id, &|bookie| answering.contains(bookie)).map_err(|error| error.to_string())
    }

    /// Ledgers that name a container but stand in no log.
    fn strays(&self, ids: &[i64], logs: &[Log], answering: &HashSet<&str>) -> Result<Vec<LedgerSight>> {
        const STAGE: &str = "looking at other ledgers";
        // A log that is whole leaves ledgers behind now and then; they matter where a log is gone.
        if logs.iter().all(|log| matches!(log, Log::Present { .. })) {
            return Ok(Vec::new());
        }
        let named: HashSet<i64> = logs.iter().flat_map(Log::ledger_ids).collect();
        let others: Vec<i64> = ids.iter().copied().filter(|id| !named.contains(id)).collect();
        self.progress.stage_started(STAGE, Some(others.len() as u64), Unit::Ledgers);
        let found = Mutex::new(Vec::new());
        for_each_bounded(self.parallel, &others, |&id| {
            let stray = self.sight(id, answering).ok().flatten().filter(|sight| sight.container.is_some());
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(stray);
            self.progress.advanced(1);
            Ok(())
        })?;
        self.progress.stage_finished(STAGE);
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_unstable_by_key(|sight| sight.id);
        Ok(found)
    }

    /// Asks every bookie whether it holds any of the first ledgers.
    fn unregistered(&self, sights: &BookieSights) -> Vec<(String, i64)> {
        let answering = sights.bookies.iter().filter(|bookie| bookie.silent.is_none());
        let first = |bookie: &dr_backends::tier1::BookieSight| {
            let held = self.tier1.ledgers.first_held_by(&bookie.id, 0..LEDGERS_ASKED_FOR).ok().flatten()?;
            Some((bookie.id.clone(), held))
        };
        answering.filter_map(first).collect()
    }
}

impl Log {
    fn ledger_ids(&self) -> impl Iterator<Item = i64> + '_ {
        let ledgers = match self {
            Self::Present { ledgers, .. } => ledgers.as_slice(),
            Self::Absent | Self::Damaged(_) | Self::Barrier => &[],
        };
        ledgers.iter().map(|ledger| ledger.id)
    }
}

/// The highest container that has a log ZNode.
fn highest_log(znodes: &dyn ZNodes, layout: &ClusterLayout) -> Result<Option<ContainerId>> {
    let root = format!("{}{}", layout.root(), layout.log_metadata_path.trim_end_matches('/'));
    let mut level = vec![root];
    for _ in 0..layout.hierarchy_depth {
        let mut next = Vec::new();
        for path in level {
            next.extend(znodes.children(&path)?.unwrap_or_default().iter().map(|name| format!("{path}/{name}")));
        }
        level = next;
    }
    let mut highest = None;
    for path in level {
        let numbers = znodes.children(&path)?.unwrap_or_default().into_iter().filter_map(|name| name.parse().ok());
        highest = numbers.filter(|&number: &ContainerId| number < CONTAINERS_MAX).chain(highest).max();
    }
    Ok(highest)
}

/// What Tier-2 alone would give back, container by container. Reads the metadata of all of them.
///
/// # Errors
/// Those of [`Survey::look`].
pub fn look_at_contents(
    tier2: Arc<dyn Tier2>,
    container_count: Option<u32>,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Vec<Contents>> {
    const STAGE: &str = "reading metadata";
    let survey = Survey::look(tier2, SurveyOptions { container_count }, progress)?;
    let containers: Vec<ContainerId> = (0..survey.container_count()).collect();
    progress.stage_started(STAGE, Some(containers.len() as u64), Unit::Containers);
    let found = Mutex::new(Vec::new());
    for_each_bounded(parallel, &containers, |&container| {
        let contents = contents(&survey, container)?;
        survey.forget(container);
        found.lock().unwrap_or_else(PoisonError::into_inner).push(contents);
        progress.advanced(1);
        Ok(())
    })?;
    progress.stage_finished(STAGE);
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_unstable_by_key(|contents: &Contents| contents.container);
    Ok(found)
}

fn contents(survey: &Survey, container: ContainerId) -> Result<Contents> {
    let evidence = survey.evidence(container)?;
    let mut contents = Contents {
        container,
        damaged_metadata: evidence.damages().len() as u64,
        metadata_absent: evidence.absent_metadata().is_some(),
        ..Contents::default()
    };
    for segment in evidence.segments() {
        match segment.standing.as_str() {
            "live" => {
                let promised = segment.recorded_length.max(segment.row_length).unwrap_or(0);
                let missing = promised.saturating_sub(segment.length);
                contents.segments += 1;
                contents.held_bytes += segment.length - segment.start_offset.min(segment.length);
                contents.missing_bytes += missing;
                contents.segments_with_missing_bytes += u64::from(missing > 0);
            }
            "unrecorded" => contents.unrecorded_segments += 1,
            _ => {}
        }
    }
    Ok(contents)
}

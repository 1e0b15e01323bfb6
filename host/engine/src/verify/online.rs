//! Compares a running Pravega with the plan that it was recovered by: every segment of the plan is asked for, and its bytes
//! may be read through the stores and compared with those in Tier-2.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dr_backends::store::{StoreError, StoreView};
use dr_backends::tier2::Tier2;
use dr_formats::log_metadata::FrameAddress;
use dr_formats::names::{SegmentKind, container_metadata_segment, storage_metadata_segment};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{StorageMetadata, TransactionData};
use dr_formats::table::TableEntries;
use serde::Serialize;

use super::{Depth, Problem};
use crate::apply::for_each_frame;
use crate::chain::{Chain, ChunkPart};
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::plan::{Effect, Plan, plan_file};
use crate::pool::for_each_bounded;
use crate::progress::{Progress, Unit};
use crate::replay::{LogReplay, ReplayedSegment};

/// Bytes that are asked for at once; a store gives at most 2 MiB.
const BLOCK_BYTES: u64 = 1 << 20;

/// A segment as the plan makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSegment {
    /// Full name.
    pub name: String,
    /// First readable offset.
    pub start_offset: u64,
    /// Offset behind the last byte.
    pub length: u64,
    /// Sealed.
    pub sealed: bool,
    chain: Chain,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OnlineVerification {
    /// Segments of the plan that were asked for.
    pub segments: u64,
    /// Those that are exactly as planned.
    pub as_planned: u64,
    /// Those that were appended to since.
    pub grown: u64,
    /// Those that were truncated since.
    pub truncated: u64,
    /// Those that were sealed since.
    pub sealed: u64,
    /// Transactions that ended since.
    pub ended_transactions: u64,
    /// Bytes that were read through the stores and are those of Tier-2.
    pub equal_bytes: u64,
    /// Empty if all is well.
    pub problems: Vec<Problem>,
    /// What could not be compared.
    pub doubts: Vec<Problem>,
}

/// The segments that a plan makes, by container.
///
/// # Errors
/// `run-directory` if an image cannot be read; `image-changed` if it cannot be replayed.
pub fn planned_segments(directory: &Path, plan: &Plan) -> Result<BTreeMap<ContainerId, Vec<PlannedSegment>>> {
    let mut planned = BTreeMap::new();
    for effect in &plan.effects {
        let Effect::WriteLog { container, image, .. } = effect else { continue };
        let mut replay = LogReplay::new(*container);
        let unusable = |why: String| {
            OperatorError::new(
                "image-changed",
                format!("the log image `{image}` of the plan cannot be replayed"),
                "name the directory of the plan as `dr plan` or `dr recover` left it",
            )
            .because(why)
        };
        let mut entry = 0;
        let frames = for_each_frame(&plan_file(directory, image)?, |_, frame| {
            let address = FrameAddress::new(1, entry);
            entry += 1;
            replay.frame(address, frame).map_err(|error| unusable(error.to_string()))
        });
        frames.map_err(|error| if error.code == "run-directory-io" { unusable(error.to_string()) } else { error })?;
        let segments = replay.finish().map_err(|error| unusable(error.to_string()))?;
        planned.insert(*container, segments_of(*container, &segments));
    }
    Ok(planned)
}

/// Rows of a replayed container with their chains.
fn segments_of(container: ContainerId, segments: &BTreeMap<i64, ReplayedSegment>) -> Vec<PlannedSegment> {
    let entries = |name: String| {
        let table = segments.values().find(move |segment| segment.name == name);
        let entries = table.into_iter().flat_map(|table| TableEntries::new(&table.appended, table.storage_length));
        entries.filter_map(|entry| entry.ok()?.value)
    };
    let mut records = BTreeMap::new();
    let mut chunks = BTreeMap::new();
    for value in entries(storage_metadata_segment(container)) {
        match TransactionData::decode(value).ok().and_then(|data| data.value) {
            Some(StorageMetadata::Segment(record)) => drop(records.insert(record.name.clone(), record)),
            Some(StorageMetadata::Chunk(chunk)) => drop(chunks.insert(chunk.name.clone(), chunk)),
            _ => {}
        }
    }
    let chain_of = |name: &str| {
        let Some(record) = records.get(name) else { return Chain::default() };
        let mut chain = Chain { first_start: record.first_chunk_start_offset, parts: Vec::new() };
        let mut next = record.first_chunk.as_str();
        while let Some(chunk) = chunks.get(next).filter(|_| chain.parts.len() < record.chunk_count as usize) {
            chain.parts.push(ChunkPart { key: next.into(), length: chunk.length });
            next = &chunk.next_chunk;
        }
        chain
    };
    let segment = |row: SegmentInfo<'_>| PlannedSegment {
        start_offset: row.start_offset,
        length: row.length,
        sealed: row.sealed,
        chain: chain_of(&row.name),
        name: row.name.into_owned(),
    };
    entries(container_metadata_segment(container))
        .filter_map(|value| SegmentInfo::decode(value).ok())
        .map(segment)
        .collect()
}

/// Asks running stores for every segment of a plan. `connect` makes the connections of one thread.
///
/// # Errors
/// `store-unavailable`, `store-unauthorized`; Tier-2 errors. What is wrong with the cluster is a [`Problem`].
pub fn verify_online<Store: StoreView>(
    planned: &BTreeMap<ContainerId, Vec<PlannedSegment>>,
    tier2: &dyn Tier2,
    connect: impl Fn() -> Store + Sync,
    depth: Depth,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<OnlineVerification> {
    const STAGE: &str = "asking segment stores";
    let all: Vec<_> = planned.iter().collect();
    let chosen = all.iter().flat_map(|(_, segments)| segments.iter()).filter(|segment| depth.includes(&segment.name));
    let (count, bytes) = chosen.fold((0, 0), |(count, bytes), segment| {
        (count + 1, if is_read(segment, depth) { bytes + (segment.length - segment.start_offset) } else { bytes })
    });
    let (total, unit) = if depth.read_data { (bytes, Unit::Bytes) } else { (count, Unit::Segments) };
    progress.stage_started(STAGE, Some(total), unit);
    let sum = Mutex::new(OnlineVerification::default());
    for_each_bounded(parallel, &all, |&(&container, segments)| {
        let mut check = Check { container, store: connect(), tier2, progress, found: OnlineVerification::default() };
        for segment in segments.iter().filter(|segment| depth.includes(&segment.name)) {
            check.segment(segment, depth)?;
        }
        sum.lock().unwrap_or_else(PoisonError::into_inner).add(check.found);
        Ok(())
    })?;
    progress.stage_finished(STAGE);
    let mut found = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.problems.sort();
    found.doubts.sort();
    Ok(found)
}

/// Tables live on: only the bytes of streams stay what they were.
fn is_read(segment: &PlannedSegment, depth: Depth) -> bool {
    depth.read_data && SegmentKind::of(&segment.name) == SegmentKind::Stream && segment.length > segment.start_offset
}

impl OnlineVerification {
    fn add(&mut self, mut other: Self) {
        self.segments += other.segments;
        self.as_planned += other.as_planned;
        self.grown += other.grown;
        self.truncated += other.truncated;
        self.sealed += other.sealed;
        self.ended_transactions += other.ended_transactions;
        self.equal_bytes += other.equal_bytes;
        self.problems.append(&mut other.problems);
        self.doubts.append(&mut other.doubts);
    }
}

struct Check<'a, Store> {
    container: ContainerId,
    store: Store,
    tier2: &'a dyn Tier2,
    progress: &'a dyn Progress,
    found: OnlineVerification,
}

impl<Store: StoreView> Check<'_, Store> {
    fn problem(&mut self, subject: &str, what: String) {
        self.found.problems.push(Problem { container: self.container, subject: subject.to_owned(), what });
    }

    fn segment(&mut self, planned: &PlannedSegment, depth: Depth) -> Result<()> {
        let name = planned.name.as_str();
        self.found.segments += 1;
        if !depth.read_data {
            self.progress.advanced(1);
        }
        let Some(live) = self.store.segment(name)? else {
            if SegmentKind::of(name) == SegmentKind::Transaction {
                self.found.ended_transactions += 1;
            } else {
                self.problem(name, "no segment store knows it".to_owned());
            }
            return Ok(());
        };
        if live.length < planned.length {
            self.problem(name, format!("it has {} bytes, the plan made it with {}", live.length, planned.length));
        }
        if live.start_offset < planned.start_offset {
            let (start, planned) = (live.start_offset, planned.start_offset);
            self.problem(name, format!("it begins at {start}, the plan truncated it at {planned}"));
        }
        if planned.sealed && !live.sealed {
            self.problem(name, "it is open, the plan made it sealed".to_owned());
        }
        self.found.grown += u64::from(live.length > planned.length);
        self.found.truncated += u64::from(live.start_offset > planned.start_offset);
        self.found.sealed += u64::from(live.sealed && !planned.sealed);
        let as_planned = (planned.start_offset, planned.length, planned.sealed);
        self.found.as_planned += u64::from((live.start_offset, live.length, live.sealed) == as_planned);
        if is_read(planned, depth) {
            let range = live.start_offset.max(planned.start_offset)..live.length.min(planned.length);
            self.compare(planned, range)?;
        }
        Ok(())
    }

    /// Reads a range through the store and from Tier-2.
    fn compare(&mut self, planned: &PlannedSegment, range: std::ops::Range<u64>) -> Result<()> {
        let name = planned.name.as_str();
        let mut position = range.start;
        while position < range.end {
            let wanted = u32::try_from((range.end - position).min(BLOCK_BYTES)).unwrap_or(u32::MAX);
            let mut served = self.store.read(name, position, wanted)?;
            served.truncate(wanted as usize);
            let mut kept = vec![0; served.len()];
            match planned.chain.read(self.tier2, position, &mut kept) {
                Ok(()) => {}
                Err(error) if error.code == "object-missing" || error.code == "object-shorter" => {
                    let what = format!("its bytes from {position} on cannot be compared: {error}");
                    self.found.doubts.push(Problem { container: self.container, subject: name.to_owned(), what });
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            if let Some(at) = served.iter().zip(&kept).position(|(served, kept)| served != kept) {
                self.problem(
                    name,
                    format!("at {} the store gives other bytes than Tier-2 holds", position + at as u64),
                );
                return Ok(());
            }
            position += served.len() as u64;
            self.found.equal_bytes += served.len() as u64;
            self.progress.advanced(served.len() as u64);
        }
        Ok(())
    }
}

impl From<StoreError> for OperatorError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unauthorized { .. } => OperatorError::new(
                "store-unauthorized",
                error.to_string(),
                "stores with authorization cannot be asked by this version",
            ),
            _ => OperatorError::new(
                "store-unavailable",
                error.to_string(),
                "wait until all segment stores are registered and their containers run, then run the command again",
            )
            .may_retry(),
        }
    }
}

#[cfg(test)]
mod tests {
    use dr_backends::store::LiveSegment;
    use dr_backends::tier2::MemoryTier2;

    use super::*;
    use crate::progress::Silent;

    /// A store with one segment, or none.
    #[derive(Clone)]
    struct OneSegment(Option<(LiveSegment, Vec<u8>)>);

    impl StoreView for OneSegment {
        fn segment(&mut self, _segment: &str) -> std::result::Result<Option<LiveSegment>, StoreError> {
            Ok(self.0.as_ref().map(|(live, _)| *live))
        }

        fn read(&mut self, _: &str, offset: u64, length: u32) -> std::result::Result<Vec<u8>, StoreError> {
            // Less than what was asked for, as stores do.
            let bytes = &self.0.as_ref().unwrap().1[usize::try_from(offset).unwrap()..];
            Ok(bytes[..bytes.len().min(length as usize).min(3)].to_vec())
        }
    }

    fn look(name: &str, store: OneSegment, depth: Depth) -> OnlineVerification {
        let tier2 = MemoryTier2::new();
        tier2.create("object", b"0123456789").unwrap();
        let parts = vec![ChunkPart { key: "object".into(), length: 10 }];
        let segment = PlannedSegment {
            name: name.to_owned(),
            start_offset: 2,
            length: 10,
            sealed: true,
            chain: Chain { first_start: 0, parts },
        };
        let planned = BTreeMap::from([(0, vec![segment])]);
        verify_online(&planned, &tier2, || store.clone(), depth, 1, &Silent).unwrap()
    }

    fn live(start_offset: u64, length: u64, sealed: bool, bytes: &[u8]) -> OneSegment {
        OneSegment(Some((LiveSegment { start_offset, length, sealed }, bytes.to_vec())))
    }

    const STREAM: &str = "scope/stream/0.#epoch.0";
    const DATA: Depth = Depth { sample: None, read_data: true };

    #[test]
    fn what_is_as_planned_is_counted_and_read() {
        let found = look(STREAM, live(2, 10, true, b"0123456789"), DATA);
        assert_eq!((found.segments, found.as_planned, found.equal_bytes), (1, 1, 8));
        assert_eq!(found.problems, vec![]);
        assert_eq!(look(STREAM, live(2, 10, true, b""), Depth::default()).equal_bytes, 0);
        // Work that went on is no problem.
        let found = look(STREAM, live(5, 12, true, b"0123456789ab"), DATA);
        assert_eq!((found.as_planned, found.grown, found.truncated, found.equal_bytes), (0, 1, 1, 5));
        assert_eq!(found.problems, vec![]);
    }

    #[test]
    fn what_is_less_than_planned_is_a_problem() {
        let words =
            |found: OnlineVerification| found.problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>();
        assert_eq!(words(look(STREAM, OneSegment(None), DATA)), ["no segment store knows it"]);
        let shorter = words(look(STREAM, live(0, 9, false, b"0123456789"), DATA));
        assert_eq!(shorter.len(), 3, "{shorter:?}");
        let other = words(look(STREAM, live(2, 10, true, b"01234x6789"), DATA));
        assert_eq!(other, ["at 5 the store gives other bytes than Tier-2 holds"]);
        let transaction = "scope/stream/0.#epoch.0#transaction.00000000000000000000000000000001";
        assert_eq!(look(transaction, OneSegment(None), DATA).ended_transactions, 1);
    }
}

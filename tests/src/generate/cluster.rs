//! The streams and tables of a cluster, each segment given to the container that owns it.

use std::path::Path;

use dr_formats::attribute::SegmentType;
use dr_formats::controller::{
    COMMITTING_TRANSACTIONS_KEY, CONFIGURATION_KEY, CURRENT_EPOCH_KEY, CommittingTransactions, EPOCH_TRANSITION_KEY,
    EpochSegment, RetentionKind, RetentionPolicy, STATE_KEY, ScalingPolicy, SegmentRange, StreamConfiguration,
    StreamState, TRUNCATION_KEY, Truncation, key_of_epoch,
};
use dr_formats::names::owning_container;
use dr_formats::primitives::{Uuid, Writer};

use super::container::Container;
use super::random::Random;
use super::segment::{CREATED, HashTable, NewSegment};
use super::{Generated, Result, Shape};

/// Streams of one scope, their watermark streams and key-value tables not counted.
const STREAMS_OF_A_SCOPE: u64 = 50;

/// The row of a stream that is not being scaled (`EpochTransitionRecord.EMPTY`).
const NO_EPOCH_TRANSITION: &[u8] = &[0, 0, 1, 0, 0, 0, 0, 14, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A row of a new stream that lists something: sizes of sealed segments, stream cuts for the retention, subscribers.
const EMPTY_LIST: &[u8] = &[0, 0, 1, 0, 0, 0, 0, 1, 0];

/// Beginnings of stream names, some of which look like parts of other names.
const STEMS: [&str; 4] = ["orders", "clicks.2-x", "a.epoch.1-transaction.0", "scaleGroup"];

/// A cluster while it is being filled.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    shape: &'a Shape,
    random: Random,
    containers: Vec<Container>,
    segments: u64,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(root: &Path, shape: &'a Shape) -> Self {
        let containers = (0..shape.containers).map(|number| Container::new(number, root, shape.seed)).collect();
        Self { shape, random: Random::new(shape.seed), containers, segments: 0 }
    }

    /// Adds scopes until there are enough segments.
    pub(super) fn populate(&mut self) -> Result<()> {
        let mut scopes = HashTable::default();
        let mut number = 0;
        while self.segments < self.shape.segments {
            let (name, id) = (format!("scope-{number}"), self.random.uuid());
            scopes.put(&name, &id.0)?;
            self.add_scope(&name, id)?;
            number += 1;
        }
        self.add_table("_system/_tables/scopes".to_owned(), scopes)
    }

    /// Writes the metadata of all containers.
    pub(super) fn finish(self) -> Result<Generated> {
        let mut all = Generated::default();
        for container in self.containers {
            let written = container.finish(self.shape.metadata_versions)?;
            all.segments += written.segments;
            all.objects += written.objects;
            all.bytes += written.bytes;
        }
        Ok(all)
    }

    fn add(&mut self, segment: NewSegment) -> Result<()> {
        self.segments += 1;
        let owner = owning_container(&segment.name, self.shape.containers);
        self.containers.get_mut(owner as usize).map_or(Ok(()), |container| container.add(segment))
    }

    fn add_table(&mut self, name: String, table: HashTable) -> Result<()> {
        self.add(table.into_segment(name, SegmentType::TABLE, 1)?)
    }

    fn add_scope(&mut self, scope: &str, id: Uuid) -> Result<()> {
        let mut streams = HashTable::default();
        for number in 0..STREAMS_OF_A_SCOPE {
            if self.segments >= self.shape.segments {
                break;
            }
            let stem = STEMS.get(number as usize % STEMS.len()).copied().unwrap_or_default();
            let stream = format!("{stem}-{number}");
            let stream_id = self.random.uuid();
            streams.put(&stream, &stream_id.0)?;
            let segments = 1 + self.random.below(4);
            self.add_stream(scope, &stream, stream_id, segments)?;
            if self.random.once_in(3) {
                let mark_id = self.random.uuid();
                self.add_stream(scope, &format!("_MARK{stream}"), mark_id, 1)?;
            }
            if self.random.once_in(8) {
                self.add_key_value_table(scope, &format!("table-{number}"))?;
            }
        }
        self.add_table(format!("_system/_tables/{scope}/streamsInScope.#.{id}"), streams)
    }

    fn add_stream(&mut self, scope: &str, stream: &str, id: Uuid, segments: u64) -> Result<()> {
        let is_sealed = self.random.once_in(16);
        let is_truncated = self.random.once_in(10);
        let (mut epoch, mut begins) = (Vec::new(), Vec::new());
        for number in 0..segments {
            let name = format!("{scope}/{stream}/{number}.#epoch.0");
            let length = self.random.below(2 * self.shape.stream_segment_bytes);
            let mut segment = NewSegment::of_events(name, length, &mut self.random)?;
            segment.sealed = is_sealed;
            if is_truncated {
                segment.truncate(&mut self.random);
            }
            let bound = |number: u64| (number as f64 / segments as f64).to_bits();
            let range = SegmentRange { low: bound(number), high: bound(number + 1) };
            epoch.push(EpochSegment { number: number as u32, created: CREATED, epoch: 0, range });
            begins.push(segment.start_offset as i64);
            self.add(segment)?;
        }
        let mut truncation = Truncation::default();
        if is_truncated {
            truncation = Truncation::of_first_epoch(&epoch);
            truncation.cut.iter_mut().zip(&begins).for_each(|((_, offset), begin)| *offset = *begin);
            truncation.size_till = begins.iter().sum();
        }
        let tables = format!("_system/_tables/{scope}/{stream}");
        let state = if is_sealed { StreamState::Sealed } else { StreamState::Active };
        let metadata = self.stream_metadata(scope, stream, state, &epoch, &truncation)?;
        self.add_table(format!("{tables}/metadata.#.{id}"), metadata)?;
        let mut epochs = HashTable::default();
        epochs.put("0", &[])?;
        self.add_table(format!("{tables}/epochsWithTransactions.#.{id}"), epochs)?;
        self.add_table(format!("{tables}/writersPositions.#.{id}"), HashTable::default())?;
        if self.random.once_in(4) {
            self.add_table(format!("{tables}/transactionsInEpoch-0.#.{id}"), HashTable::default())?;
        }
        Ok(())
    }

    /// The rows that a recovery reads are real; of the others only name and size are.
    fn stream_metadata(
        &mut self,
        scope: &str,
        stream: &str,
        state: StreamState,
        epoch: &[EpochSegment],
        truncation: &Truncation,
    ) -> Result<HashTable> {
        let retention = [None, Some(RetentionKind::Time), Some(RetentionKind::Size)];
        let kind = retention.get(self.random.below(6) as usize).copied().flatten();
        let configuration = StreamConfiguration {
            scope: scope.to_owned(),
            stream: stream.to_owned(),
            scaling: Some(ScalingPolicy { kind: 0, target_rate: 0, factor: 0, minimum_segments: epoch.len() as i32 }),
            retention: kind.map(|kind| RetentionPolicy { kind, limit: 1_000_000, maximum: i64::MAX }),
            updating: false,
            timestamp_aggregation_timeout: 0,
            tags: Vec::new(),
            tag_only_update: false,
            removed_tags: Vec::new(),
            rollover_size: 0,
        };
        let mut table = HashTable::default();
        table.put("creationTime", &CREATED.to_be_bytes())?;
        table.put(CONFIGURATION_KEY, &configuration.encode()?)?;
        table.put(EPOCH_TRANSITION_KEY, NO_EPOCH_TRANSITION)?;
        table.put(TRUNCATION_KEY, &Truncation::default().encode()?)?;
        table.put(COMMITTING_TRANSACTIONS_KEY, &CommittingTransactions::default().encode()?)?;
        table.put(STATE_KEY, &StreamState::Creating.encode()?)?;
        table.put(&key_of_epoch(0), &epoch_row(epoch)?)?;
        let mut history = Vec::new();
        self.random.fill(41 + 34 * epoch.len(), &mut history);
        table.put("historyTimeSeriesChunk-0", &history)?;
        table.put("segmentsSealedSizeMapShard-0", EMPTY_LIST)?;
        table.put("retention", EMPTY_LIST)?;
        table.put(CURRENT_EPOCH_KEY, &[0; 4])?;
        table.put("subscriberset", EMPTY_LIST)?;
        table.put(STATE_KEY, &state.encode()?)?;
        if *truncation != Truncation::default() {
            table.put(TRUNCATION_KEY, &truncation.encode()?)?;
        }
        Ok(table)
    }

    fn add_key_value_table(&mut self, scope: &str, name: &str) -> Result<()> {
        for number in 0..1 + self.random.below(3) {
            let segment = format!("{scope}/{name}_kvtable/{number}.#epoch.0");
            let segment = NewSegment::of_fixed_keys(segment, &mut self.random)?;
            self.add(segment)?;
        }
        let mut metadata = HashTable::default();
        metadata.put("creationTime", &CREATED.to_be_bytes())?;
        metadata.put("currentEpochRecord", &[0; 4])?;
        let id = self.random.uuid();
        self.add_table(format!("_system/_tables/{scope}/{name}/metadata.#.{id}"), metadata)
    }
}

/// The row of the first epoch of a stream (`EpochRecord`).
fn epoch_row(segments: &[EpochSegment]) -> Result<Vec<u8>> {
    let mut writer = Writer::new();
    writer.write_single_revisions(0, |object| {
        object.revision(|body| {
            // The epoch, and the one that it is a copy of.
            body.u32(0);
            body.u32(0);
            body.list(segments, |body, segment| segment.write(body));
            body.i64(CREATED);
        });
        object.revision(|body| {
            // Splits and merges.
            body.i64(0);
            body.i64(0);
        });
    });
    Ok(writer.finish()?)
}

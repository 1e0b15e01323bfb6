//! One recovery, from a tree in memory to what its log images say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dr_backends::tier1::{EmbeddedLedgers, EmbeddedZNodes, LedgerAccess};
use dr_backends::tier2::{MemoryTier2, Tier2 as _};
use dr_engine::apply::{Application, Patience, apply};
use dr_engine::cluster::{ClusterLayout, Tier1};
use dr_engine::contract::ContainerId;
use dr_engine::journal::Journal;
use dr_engine::plan::{Effect, Maker, Plan};
use dr_engine::progress::Silent;
use dr_engine::staging::Staging;
use dr_engine::survey::{Survey, SurveyOptions};
use dr_engine::verify::{Scope, verify};
use dr_formats::DecodeError;
use dr_formats::data_frame::FrameReader;
use dr_formats::log_metadata::FrameAddress;
use dr_formats::names::{container_metadata_segment, storage_metadata_segment};
use dr_formats::operation::{Action, Operation};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{ChunkMetadata, SegmentMetadata, StorageMetadata, TransactionData};
use dr_formats::table::TableEntries;
use dr_runtime::{Limits, Procedure, Runtime};

use super::case::Tree;

const CLUSTER: &str = "lab";

/// A chunk in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Raw key.
    pub key: String,
    /// Segment offset of its first byte.
    pub first: u64,
    /// Segment offset behind its last byte.
    pub end: u64,
}

/// A segment as the recovered cluster will have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Owner.
    pub container: ContainerId,
    /// Its row.
    pub row: SegmentInfo<'static>,
    /// Where its bytes lie.
    pub parts: Vec<Part>,
    /// Length of its attribute index.
    pub index_length: u64,
    /// Chunks of its attribute index.
    pub index_parts: Vec<Part>,
}

/// A recovery that came to its end.
#[derive(Debug)]
pub struct Recovered {
    /// By name.
    pub segments: BTreeMap<String, Segment>,
    /// Up to where metadata names bytes of a segment, by its name. What lies behind is told by the objects alone.
    pub named_until: BTreeMap<String, u64>,
    /// What was carried out.
    pub plan: Plan,
    /// What verification found.
    pub problems: Vec<String>,
}

/// How a recovery ended.
#[derive(Debug)]
pub enum Ending {
    /// Planned, applied, verified.
    Recovered(Box<Recovered>),
    /// Refused, in these words.
    Refused(String),
}

/// The procedure, compiled once.
pub struct Bench {
    procedure: Procedure,
}

impl Bench {
    /// Loads the built-in procedure.
    pub(super) fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests/total-loss.wasm");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{error}; run `cargo xtask setup` once"));
        let runtime = Runtime::new(Limits::default()).unwrap();
        Self { procedure: runtime.load(&bytes, "total-loss.wasm").unwrap() }
    }

    /// Recovers a tree.
    pub fn recover(&self, tree: &Tree) -> Ending {
        match self.try_recover(tree) {
            Ok(recovered) => Ending::Recovered(Box::new(recovered)),
            Err(error) => Ending::Refused(error),
        }
    }

    fn try_recover(&self, tree: &Tree) -> Result<Recovered, String> {
        // In memory where the system offers that: an application syncs a lot.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let tier2 = Arc::new(MemoryTier2::new());
        tree.iter().for_each(|(key, content)| tier2.create(key, content).unwrap());
        let tier1 = directory.path().join("tier1");
        let znodes = Arc::new(EmbeddedZNodes::open(&tier1).unwrap());
        let access = LedgerAccess::new(format!("/pravega/{CLUSTER}/bookkeeper/ledgers"));
        let ledgers = EmbeddedLedgers::open(&tier1, znodes.clone(), access).unwrap();
        let layout = ClusterLayout::with_defaults(CLUSTER);
        let run = directory.path().join("run");
        let worded = |error: dr_engine::error::OperatorError| format!("{}: {error}", error.code);

        let survey = Survey::take(tier2.clone(), SurveyOptions::default(), &Silent).map_err(worded)?;
        let containers: Vec<ContainerId> = (0..survey.container_count()).collect();
        survey.refuse_stripped(&containers).map_err(worded)?;
        dr_engine::plan::create_run_directory(&run).map_err(worded)?;
        let staging = Staging::new(Arc::new(survey), znodes.clone(), layout.clone(), &run, Arc::new(Silent));
        let settings = self.procedure.settings(&[]).unwrap();
        self.procedure
            .execute(Arc::new(staging.clone()), &settings, &[], 1, &())
            .map_err(|error| format!("procedure: {error}"))?;
        let plan = staging.into_plan(maker(), &containers).map_err(worded)?;
        plan.save(&run).map_err(worded)?;
        let (segments, named_until) = (segments_of(&plan, &run), named_until(&plan, &run));

        let tier1 = Tier1 { znodes: znodes.as_ref(), ledgers: &ledgers };
        let journal = Journal::open(&run).map_err(worded)?;
        let application = Application {
            plan: &plan,
            directory: &run,
            journal: &journal,
            tier2: tier2.as_ref(),
            tier1,
            layout: &layout,
            stamps: None,
            parallel: 1,
            accept_live_cluster: false,
            break_lock: false,
            patience: Patience::NONE,
        };
        apply(&application, &Silent).map_err(worded)?;
        let scope = Scope { container_count: Some(plan.container_count), parallel: 1, ..Scope::default() };
        let verified = verify(tier2.as_ref(), tier1, &layout, &scope, &Silent);
        let problems = verified.map_err(worded)?.problems;
        let problems = problems.into_iter().map(|problem| format!("{}: {}", problem.subject, problem.what)).collect();
        Ok(Recovered { segments, named_until, plan, problems })
    }
}

fn maker() -> Maker {
    Maker {
        procedure: "total-loss".to_owned(),
        version: String::new(),
        digest: String::new(),
        signer: None,
        settings: Vec::new(),
        granted: None,
        host_version: String::new(),
    }
}

/// Segments as the log images of a plan have them, by name.
///
/// # Panics
/// If an image cannot be read.
#[must_use]
pub fn segments_of(plan: &Plan, run: &Path) -> BTreeMap<String, Segment> {
    let mut segments = BTreeMap::new();
    for effect in &plan.effects {
        if let Effect::WriteLog { container, image, .. } = effect {
            let records = records(&std::fs::read(run.join(image)).unwrap());
            let storage = Storage::of(&table_bytes(&records, &storage_metadata_segment(*container)));
            for row in rows(&table_bytes(&records, &container_metadata_segment(*container))) {
                let index = format!("{}$attributes.index", row.name);
                let segment = Segment {
                    container: *container,
                    parts: storage.parts(&row.name),
                    index_length: storage.segments.get(&index).map_or(0, |record| record.length),
                    index_parts: storage.parts(&index),
                    row,
                };
                segments.insert(segment.row.name.to_string(), segment);
            }
        }
    }
    segments
}

/// What storage record and row say of the length of each segment, whichever says more.
fn named_until(plan: &Plan, run: &Path) -> BTreeMap<String, u64> {
    let mut lengths = BTreeMap::new();
    for container in &plan.containers {
        let listing =
            std::fs::read_to_string(run.join(format!("container-{}.segments.jsonl", container.container))).unwrap();
        for line in listing.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let length = |name: &str| line[name].as_u64().unwrap_or(0);
            let longer = length("recorded_length").max(length("row_length"));
            lengths.insert(line["name"].as_str().unwrap().to_owned(), longer);
        }
    }
    lengths
}

/// Operations of a log image, as encoded records.
fn records(mut image: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = FrameReader::new();
    let mut records = Vec::new();
    let mut entry = 0;
    while let Some((length, rest)) = image.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        let mut visit = |record: dr_formats::data_frame::Record<'_>| {
            records.push(record.bytes.to_vec());
            Ok::<(), DecodeError>(())
        };
        reader.frame(FrameAddress::new(1, entry), frame, &mut visit).unwrap();
        entry += 1;
        image = rest;
    }
    records
}

/// Bytes that a log appends to one of its metadata tables.
fn table_bytes(records: &[Vec<u8>], name: &str) -> Vec<u8> {
    let mut id = None;
    let mut bytes = Vec::new();
    for record in records {
        match Operation::decode(record).unwrap().action {
            Action::Map(mapping) if mapping.name == name => id = Some(mapping.segment_id),
            Action::Append { segment_id, data, .. } if Some(segment_id) == id => bytes.extend_from_slice(&data),
            _ => {}
        }
    }
    bytes
}

fn rows(table: &[u8]) -> Vec<SegmentInfo<'static>> {
    let row = |entry: Result<dr_formats::table::TableEntry<'_>, DecodeError>| {
        SegmentInfo::decode(entry.unwrap().value.unwrap()).unwrap().into_owned()
    };
    TableEntries::new(table, 0).map(row).collect()
}

#[derive(Default)]
struct Storage {
    segments: BTreeMap<String, SegmentMetadata>,
    chunks: BTreeMap<String, ChunkMetadata>,
}

impl Storage {
    fn of(table: &[u8]) -> Self {
        let mut storage = Self::default();
        for entry in TableEntries::new(table, 0) {
            match TransactionData::decode(entry.unwrap().value.unwrap()).unwrap().value {
                Some(StorageMetadata::Segment(record)) => {
                    storage.segments.insert(record.name.clone(), record);
                }
                Some(StorageMetadata::Chunk(record)) => {
                    storage.chunks.insert(record.name.clone(), record);
                }
                _ => {}
            }
        }
        storage
    }

    fn parts(&self, segment: &str) -> Vec<Part> {
        let Some(record) = self.segments.get(segment) else { return Vec::new() };
        let mut parts = Vec::new();
        let (mut first, mut next) = (record.first_chunk_start_offset, record.first_chunk.as_str());
        while let Some(chunk) = self.chunks.get(next) {
            let end = first + chunk.length;
            parts.push(Part { key: chunk.name.clone(), first, end });
            (first, next) = (end, chunk.next_chunk.as_str());
        }
        parts
    }
}

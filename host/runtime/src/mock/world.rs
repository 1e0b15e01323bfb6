//! What is left of a cluster, as a test declares it.

use std::collections::BTreeMap;

use dr_engine::contract::{
    ContainerId, ContainerSummary, EndedTransaction, Measure, MetadataRow, PendingWork, RenewedGroup, Segment,
    StreamState, TransactionCounter, ZNode,
};
use dr_formats::names::SegmentKind;

use super::disks::DeclaredDisks;

/// Keys of objects with their sizes in bytes.
pub type Objects = BTreeMap<String, u64>;

/// What is left of a cluster. Nothing is, by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// Its containers, by number.
    pub containers: BTreeMap<ContainerId, DeclaredContainer>,
    /// Streams, as the controller's tables tell.
    pub streams: Vec<StreamState>,
    /// Highest counter in any transaction id.
    pub transaction_counter: Option<TransactionCounter>,
    /// Work that controllers had under way.
    pub pending_work: Vec<PendingWork>,
    /// What the disks of bookies tell; none if no disks were given.
    pub disks: Option<DeclaredDisks>,
    /// ZNodes by their paths, relative to the cluster's root. Parents exist without being named.
    pub znodes: BTreeMap<String, ZNode>,
}

/// A container that left something in Tier-2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredContainer {
    /// The highest epoch in the names of its objects.
    pub highest_epoch: u64,
    /// Its segments, by name.
    pub segments: BTreeMap<String, DeclaredSegment>,
    /// Rows of its old metadata table, by name.
    pub rows: BTreeMap<String, MetadataRow>,
    /// Objects of its old metadata.
    pub metadata_objects: Objects,
    /// Objects that no segment needs, besides those of deleted segments.
    pub leftover_objects: Objects,
    /// Transactions that tables of the container hold as under way.
    pub transactions: Vec<DeclaredTransaction>,
}

/// A segment, and what comes of calls that concern it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredSegment {
    /// As it is listed.
    pub segment: Segment,
    /// What its bytes are.
    pub measure: Measure,
    /// What becomes of it as a reader group.
    pub renewal: RenewedGroup,
    /// Objects that hold it.
    pub objects: Objects,
}

/// A transaction that was under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredTransaction {
    /// How it ends.
    pub ended: EndedTransaction,
    /// The segment whose table holds it: it is ended only where that one is created; none if that does not matter.
    pub table: Option<String>,
}

impl World {
    /// Containers 0 to `containers` less one, each with so many whole stream segments of 100 bytes and one object of old
    /// metadata.
    #[must_use]
    pub fn with_segments(containers: ContainerId, segments: usize) -> Self {
        let container = |id| {
            let segment = |n| DeclaredSegment::whole(id, &format!("scope/stream{n:07}/0.#epoch.0"), 100);
            let segments = (0..segments).map(segment).map(|segment| (segment.segment.name.clone(), segment));
            let metadata_objects = Objects::from([(format!("_system/metadata_{id}"), 10)]);
            let container = DeclaredContainer {
                highest_epoch: 1,
                segments: segments.collect(),
                metadata_objects,
                ..Default::default()
            };
            (id, container)
        };
        Self { containers: (0..containers).map(container).collect(), ..Self::default() }
    }
}

impl DeclaredContainer {
    /// As it is listed.
    #[must_use]
    pub fn summary(&self, id: ContainerId) -> ContainerSummary {
        let objects = self.objects();
        ContainerSummary {
            id,
            objects: objects.len() as u64,
            bytes: objects.values().fold(0, |sum: u64, size| sum.saturating_add(**size)),
            highest_epoch: self.highest_epoch,
        }
    }

    /// Objects of the container, whatever they are.
    pub(super) fn objects(&self) -> BTreeMap<&str, &u64> {
        let of_segments = self.segments.values().flat_map(|segment| &segment.objects);
        let all = of_segments.chain(&self.leftover_objects).chain(&self.metadata_objects);
        all.map(|(key, size)| (key.as_str(), size)).collect()
    }
}

impl DeclaredSegment {
    /// A live segment of this length of which everything is there; its kind is what the name says.
    #[must_use]
    pub fn whole(container: ContainerId, name: &str, length: u64) -> Self {
        let kind = SegmentKind::of(name).as_str().to_owned();
        let content = content_of_kind(&kind).to_owned();
        let segment = Segment {
            name: name.to_owned(),
            kind,
            container,
            sealed: false,
            start_offset: 0,
            length,
            recorded_length: Some(length),
            row_length: None,
            standing: "live".to_owned(),
            findings: Vec::new(),
        };
        Self {
            segment,
            measure: Measure { content, whole_length: length, items: 0 },
            renewal: RenewedGroup { outcome: "renewed".to_owned(), ..RenewedGroup::default() },
            objects: Objects::new(),
        }
    }

    /// Whether it holds table entries.
    pub(super) fn is_table(&self) -> bool {
        content_of_kind(&self.segment.kind) == "table"
    }

    /// Whether the recovery makes its content part of another segment.
    pub(super) fn is_merged(&self) -> bool {
        self.segment.findings.iter().any(|finding| finding == "merged-by-recovery")
    }
}

/// What the bytes of a segment of this kind usually are.
#[must_use]
pub fn content_of_kind(kind: &str) -> &'static str {
    match kind {
        "key-value-table" | "controller-table" => "table",
        "stream" | "transaction" | "reader-group" | "controller-reader-group" | "mark" => "events",
        _ => "bytes",
    }
}

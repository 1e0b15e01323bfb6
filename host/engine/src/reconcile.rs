//! Reconciliation of one segment: metadata against objects. A pure function, no I/O.
//!
//! Follows `pravega-tier2` section 12: the chain of records decides where it exists; the last object may be longer
//! than its record (Tier-2 ran ahead of its metadata), contiguous objects may not be linked yet; anything shorter or
//! missing is a loss.

use dr_formats::names::transaction_id;
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{ChunkMetadata, SegmentMetadata};
use hashbrown::{HashMap, HashSet};

use crate::chain::{Chain, ChunkPart};
use crate::listing::{ChunkObject, ContainerObjects};

/// What the metadata says of a segment's existence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Some metadata names it and none says that it was deleted.
    Live,
    /// A record or a tombstone says that it was deleted.
    Deleted,
    /// Only objects are left.
    Unrecorded,
}

impl Standing {
    /// The word in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Live => "live",
            Standing::Deleted => "deleted",
            Standing::Unrecorded => "unrecorded",
        }
    }
}

/// All that is known of one segment before reconciliation.
#[derive(Debug, Clone, Copy)]
pub struct SegmentFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Record of the storage metadata.
    pub record: Option<&'a SegmentMetadata>,
    /// Row of the old container metadata.
    pub row: Option<&'a SegmentInfo<'a>>,
    /// Segments and chunks of the whole container of which the storage metadata holds a tombstone.
    pub removed_records: &'a HashSet<Box<str>>,
    /// The old container metadata holds a tombstone of it.
    pub row_removed: bool,
    /// The controller had sealed it and put others in its place.
    pub replaced: bool,
    /// Where clients had truncated it, by the row or the controller; 0 if they had not.
    pub truncated_at: u64,
    /// Some of the container's metadata is damaged: what names and chunk records prove counts more then.
    pub metadata_damaged: bool,
    /// Chunk records of the whole container, by chunk name.
    pub chunk_records: &'a HashMap<Box<str>, ChunkMetadata>,
    /// All objects of the container.
    pub objects: &'a ContainerObjects,
}

/// A segment after reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// Whether it exists.
    pub standing: Standing,
    /// It is a transaction, and the storage does not know how it ended.
    pub is_open: bool,
    /// Sealed by record, row or controller.
    pub sealed: bool,
    /// First readable offset by record and objects.
    pub start_offset: u64,
    /// What the objects hold; empty from the start offset on if all that they hold was truncated.
    pub chain: Chain,
    /// All that the objects hold of a segment that was truncated behind it.
    pub truncated: Option<Chain>,
    /// Codes of oddities, see the contract.
    pub findings: Vec<&'static str>,
}

impl Reconciled {
    /// A segment of which nothing is there.
    pub fn absent() -> Self {
        Self {
            standing: Standing::Unrecorded,
            is_open: false,
            sealed: false,
            start_offset: 0,
            chain: Chain::default(),
            truncated: None,
            findings: Vec::new(),
        }
    }

    /// A segment that no metadata of its container tells of exists by the word of the controller.
    pub fn live_by_controller(&mut self, sealed: bool, truncated_at: u64) {
        self.standing = Standing::Live;
        self.sealed |= sealed;
        self.findings.push("named-by-controller");
        self.truncate(truncated_at);
    }

    /// A segment without which the controller, whose word is older than the deletion, could do nothing with its stream.
    pub fn created_again(sealed: bool, truncated_at: u64) -> Self {
        let findings = vec!["deleted-ahead"];
        let mut segment = Self { standing: Standing::Live, sealed, findings, ..Self::absent() };
        segment.truncate(truncated_at);
        segment
    }

    /// The controller, whose word is older than the seal, goes on sending writers here.
    pub fn take_seal_back(&mut self) {
        self.sealed = false;
        self.findings.push("seal-ahead");
    }

    /// What the objects hold of the segment, and its first offset that the storage had not truncated.
    pub fn held(&self) -> (&Chain, u64) {
        match &self.truncated {
            Some(chain) => (chain, chain.first_start),
            None => (&self.chain, self.start_offset),
        }
    }

    /// Takes the word of others for where the segment begins, if the storage cannot tell.
    fn truncate(&mut self, offset: u64) {
        let end = self.chain.end();
        if offset > end {
            // What the storage itself leaves of a segment that is truncated at its end.
            let empty = Chain { first_start: offset, parts: Vec::new() };
            self.truncated = Some(std::mem::replace(&mut self.chain, empty));
            self.start_offset = offset;
            self.findings.push("truncated-behind-end");
        } else if self.findings.contains(&"leading-object-gone") {
            // The first object that is left may begin inside an event.
            self.start_offset = self.start_offset.max(offset);
        }
    }
}

impl SegmentFacts<'_> {
    /// Reconciles.
    pub fn reconcile(&self) -> Reconciled {
        let mut findings = Vec::new();
        let chain = self.chain(&mut findings);
        let recorded_start = self.record.map_or(0, |record| record.start_offset);
        let start_offset = recorded_start.max(chain.first_start).min(chain.end());
        let sealed_by_record = self.record.map(SegmentMetadata::is_sealed);
        let sealed_by_row = self.row.map(|row| row.sealed);
        if sealed_by_record.is_some() && sealed_by_row.is_some() && sealed_by_record != sealed_by_row {
            findings.push("sealed-differs");
        }
        let sealed_in_container = sealed_by_record.unwrap_or(false) || sealed_by_row.unwrap_or(false);
        if self.replaced && !sealed_in_container {
            findings.push("sealed-by-controller");
        }
        // The storage has no record of a segment that never had a byte flushed; that is nothing odd.
        if self.record.is_none() && (chain.end() > 0 || self.row.is_some_and(|row| row.length > 0)) {
            findings.push("no-record");
        }
        match self.row {
            None => findings.push("no-row"),
            Some(row) if row.length != chain.end() => findings.push("row-length-differs"),
            Some(_) => {}
        }
        let standing = self.standing();
        let mut reconciled = Reconciled {
            standing,
            is_open: self.is_transaction() && (standing != Standing::Deleted || self.is_over_by_row_alone()),
            sealed: sealed_in_container || self.replaced,
            start_offset,
            chain,
            truncated: None,
            findings,
        };
        if reconciled.standing == Standing::Live {
            reconciled.truncate(self.truncated_at);
        }
        reconciled
    }

    fn standing(&self) -> Standing {
        match (self.record, self.row) {
            (Some(record), _) if !record.is_active() => Standing::Deleted,
            // An empty row can be that of a namesake which was created later; no transaction has one.
            (None, Some(row)) if self.record_removed() && (row.length > 0 || self.is_transaction()) => {
                Standing::Deleted
            }
            (Some(_), None) if self.row_removed => Standing::Deleted,
            (None, None) if self.record_removed() || self.row_removed => Standing::Deleted,
            (None, None) => Standing::Unrecorded,
            _ => Standing::Live,
        }
    }

    /// The row of a transaction goes when it is deleted, which follows an abort, and when it is merged, which the storage
    /// does later.
    fn is_over_by_row_alone(&self) -> bool {
        self.row.is_none() && self.row_removed && self.record.is_some_and(SegmentMetadata::is_active)
    }

    fn record_removed(&self) -> bool {
        self.removed_records.contains(self.name)
    }

    fn is_transaction(&self) -> bool {
        transaction_id(self.name).is_some()
    }

    /// The chain that the objects prove.
    fn chain(&self, findings: &mut Vec<&'static str>) -> Chain {
        let mut chain = self.recorded_chain(findings);
        self.drop_leading_gone(&mut chain, findings);
        self.check_sizes(&mut chain, findings);
        self.link_contiguous(&mut chain, findings);
        chain
    }

    /// Follows the records from the first chunk on.
    fn recorded_chain(&self, findings: &mut Vec<&'static str>) -> Chain {
        let (first_start, mut next): (u64, &str) = match self.record {
            Some(record) => (record.first_chunk_start_offset, &record.first_chunk),
            None if self.record_removed() => return Chain::default(),
            None => match self.first_by_names() {
                Some(first) => {
                    findings.push("chain-by-names");
                    if !self.chunk_records.contains_key(&first.key) {
                        return Chain { first_start: first.offset, parts: Vec::new() };
                    }
                    (first.offset, &first.key)
                }
                None => return Chain::default(),
            },
        };
        let mut chain = Chain { first_start, parts: Vec::new() };
        let mut seen = HashSet::new();
        while !next.is_empty() {
            let Some(chunk) = self.chunk_records.get(next).filter(|_| seen.insert(next)) else {
                findings.push("chain-broken");
                break;
            };
            chain.parts.push(ChunkPart { key: next.into(), length: chunk.length });
            next = &chunk.next_chunk;
        }
        chain
    }

    /// Where the objects of a segment begin whose record the damage may have taken.
    fn first_by_names(&self) -> Option<&ChunkObject> {
        if !self.metadata_damaged {
            return None;
        }
        let objects = self.objects.chunks_of(self.name).filter(|object| object.size > 0 && self.may_be_live(object));
        objects.min_by_key(|object| (object.offset, std::cmp::Reverse((object.epoch, object.size))))
    }

    /// False for a chunk that the storage had taken out of use.
    fn may_be_live(&self, object: &ChunkObject) -> bool {
        !self.removed_records.contains(&object.key)
            && self.chunk_records.get(&object.key).is_none_or(ChunkMetadata::is_active)
    }

    /// Leading objects that are gone were truncated away after the record was flushed, or lost.
    fn drop_leading_gone(&self, chain: &mut Chain, findings: &mut Vec<&'static str>) {
        let is_gone = |part: &&ChunkPart| self.objects.chunk_size(&part.key).is_none();
        let gone = chain.parts.iter().take_while(is_gone).count();
        if gone > 0 {
            findings.push("leading-object-gone");
            chain.first_start += chain.parts.drain(..gone).map(|part| part.length).sum::<u64>();
        }
    }

    /// Takes the objects' word for how much there is.
    fn check_sizes(&self, chain: &mut Chain, findings: &mut Vec<&'static str>) {
        let last = chain.parts.len().saturating_sub(1);
        let mut keep = chain.parts.len();
        for (index, part) in chain.parts.iter_mut().enumerate() {
            match self.objects.chunk_size(&part.key) {
                None => {
                    findings.push("missing-object");
                    keep = index;
                }
                Some(size) if size < part.length => {
                    findings.push("shorter-object");
                    part.length = size;
                    keep = index + 1;
                }
                Some(size) if size > part.length && index == last => {
                    findings.push("longer-object");
                    part.length = size;
                    continue;
                }
                Some(_) => continue,
            }
            break;
        }
        chain.parts.truncate(keep);
    }

    /// Links objects that continue the segment but have no record yet.
    pub(crate) fn link_contiguous(&self, chain: &mut Chain, findings: &mut Vec<&'static str>) {
        let is_unlinked = |chain: &Chain, object: &ChunkObject| {
            (self.metadata_damaged || !self.chunk_records.contains_key(&object.key))
                && self.may_be_live(object)
                && chain.parts.iter().all(|part| part.key != object.key)
        };
        while let Some(object) = self.objects.next_chunk(self.name, chain.end(), |object| is_unlinked(chain, object)) {
            if !findings.contains(&"unlinked-object") {
                findings.push("unlinked-object");
            }
            chain.parts.push(ChunkPart { key: object.key.clone(), length: object.size });
        }
    }
}

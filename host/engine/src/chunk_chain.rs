//! The chunks of one segment as metadata records them, beside the objects that are there: for people who look.

use dr_backends::tier2::Tier2;
use dr_formats::names::{ChunkName, SystemSegment, owning_container};
use serde::Serialize;

use crate::chain::{Chain, ChunkPart};
use crate::contract::ContainerId;
use crate::error::Result;
use crate::listing::ContainerObjects;
use crate::survey::Survey;

/// What is known of a segment's chunks.
#[derive(Debug, Clone)]
pub struct ChunkChain {
    /// The container that owns the segment.
    pub container: ContainerId,
    /// `live`, `deleted`, `unrecorded`; none for the container's own tables and where the metadata cannot be read.
    pub standing: Option<&'static str>,
    /// Sealed by record, row or controller.
    pub sealed: bool,
    /// First readable offset, in bytes.
    pub start_offset: u64,
    /// Length by the storage record, in bytes.
    pub recorded_length: Option<u64>,
    /// Codes of oddities, see the contract of procedures.
    pub findings: Vec<&'static str>,
    /// Chunks, in the order of the segment; objects that are no part of it last.
    pub links: Vec<ChunkLink>,
    chain: Chain,
}

/// A chunk that metadata names or an object that carries the segment's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChunkLink {
    /// Key of the object.
    pub key: String,
    /// Segment offset of its first byte: by its place in the chain, or else by its name.
    pub offset: u64,
    /// Bytes by the chunk record, if there is one.
    pub recorded_length: Option<u64>,
    /// Bytes of the object, if there is one.
    pub size: Option<u64>,
    /// Epoch in its name, if the name has one.
    pub epoch: Option<u64>,
    /// `linked`, `longer-object`, `shorter-object`, `missing-object`, `unlinked-object`; of objects that are
    /// no part of the segment `overlap`, `gap` (its bytes lie behind a hole), `other-record` (a record names it, not this chain).
    pub state: &'static str,
}

impl ChunkChain {
    /// What metadata and objects say of a segment. Of the containers' own tables, which only journals describe, and of an
    /// unrecorded segment, names and sizes of objects decide.
    ///
    /// # Errors
    /// As [`Survey::evidence`].
    pub fn of(survey: &Survey, segment: &str) -> Result<Self> {
        let container = owning_container(segment, survey.container_count());
        let evidence = survey.evidence(container)?;
        let objects = survey.listing().objects(container);
        if SystemSegment::parse(segment).is_some() {
            return Ok(Self::by_names(container, &objects, segment));
        }
        let reconciled = match evidence.segment(segment) {
            Some(reconciled) => reconciled.clone(),
            None => evidence.reconcile(segment),
        };
        let mut links = Vec::new();
        let mut offset = evidence.record(segment).map_or(0, |record| record.first_chunk_start_offset);
        for chunk in evidence.recorded_chunks(segment) {
            let size = objects.chunk_size(&chunk.name);
            let used = reconciled.chain.parts.iter().find(|part| *part.key == chunk.name);
            links.push(link(&chunk.name, offset, Some(chunk.length), size, state(chunk.length, size)));
            offset += used.map_or(chunk.length, |part| part.length);
        }
        let mut chain = Self {
            container,
            standing: Some(reconciled.standing.as_str()),
            sealed: reconciled.sealed,
            start_offset: reconciled.start_offset,
            recorded_length: evidence.record(segment).map(|record| record.length),
            findings: reconciled.findings,
            links,
            chain: reconciled.chain,
        };
        chain.add_unlinked();
        chain.add_others(&objects, segment, &|key| evidence.has_chunk_record(key));
        Ok(chain)
    }

    /// What the objects' names and sizes alone say: from the lowest offset on, each next one begins where the one before ends; of
    /// several the one of the higher epoch, then the longer one.
    pub fn by_names(container: ContainerId, objects: &ContainerObjects, segment: &str) -> Self {
        let first_start = objects.chunks_of(segment).map(|chunk| chunk.offset).min().unwrap_or(0);
        let mut chain = Chain { first_start, parts: Vec::new() };
        while let Some(object) = objects.next_chunk(segment, chain.end(), |_| true) {
            chain.parts.push(ChunkPart { key: object.key.clone(), length: object.size });
        }
        let mut found = Self {
            container,
            standing: None,
            sealed: false,
            start_offset: first_start,
            recorded_length: None,
            findings: Vec::new(),
            links: Vec::new(),
            chain,
        };
        found.add_unlinked();
        found.add_others(objects, segment, &|_| false);
        found
    }

    /// Length of the segment by its objects, in bytes.
    pub fn end(&self) -> u64 {
        self.chain.end()
    }

    /// Offset of the first byte that objects hold.
    pub fn first_offset(&self) -> u64 {
        self.chain.first_start
    }

    /// At most `limit` bytes from the offset `start` on.
    ///
    /// # Errors
    /// `segment-range` if `start` lies outside of the objects; Tier-2 errors.
    pub fn read(&self, tier2: &dyn Tier2, start: u64, limit: u64) -> Result<Vec<u8>> {
        self.chain.read_range(tier2, start, self.end().min(start.saturating_add(limit)))
    }

    /// Objects that continue the segment without a record.
    fn add_unlinked(&mut self) {
        let mut offset = self.chain.first_start;
        for part in &self.chain.parts {
            if self.links.iter().all(|link| link.key != *part.key) {
                self.links.push(link(&part.key, offset, None, Some(part.length), "unlinked-object"));
            }
            offset += part.length;
        }
    }

    fn add_others(&mut self, objects: &ContainerObjects, segment: &str, has_record: &dyn Fn(&str) -> bool) {
        let end = self.chain.end();
        for object in objects.chunks_of(segment) {
            if self.links.iter().any(|link| link.key == *object.key) {
                continue;
            }
            let state = match object.offset {
                _ if has_record(&object.key) => "other-record",
                offset if offset > end => "gap",
                _ => "overlap",
            };
            self.links.push(link(&object.key, object.offset, None, Some(object.size), state));
        }
    }
}

fn state(recorded: u64, size: Option<u64>) -> &'static str {
    match size {
        None => "missing-object",
        Some(size) if size < recorded => "shorter-object",
        Some(size) if size > recorded => "longer-object",
        Some(_) => "linked",
    }
}

fn link(key: &str, offset: u64, recorded_length: Option<u64>, size: Option<u64>, state: &'static str) -> ChunkLink {
    let epoch = ChunkName::parse(key).map(|name| name.epoch);
    ChunkLink { key: key.to_owned(), offset, recorded_length, size, epoch, state }
}

//! What a container leaves for the report when it is closed: a listing of its segments on disk, and figures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use dr_formats::names::{SegmentKind, main_segment_of};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Figures, Owner};
use crate::contract::ContainerId;
use crate::error::Result;
use crate::evidence::{ContainerEvidence, MERGED_BY_RECOVERY};
use crate::fresh::{FreshSegment, FreshSegments};
use crate::plan::{hex, run_directory_error};
use crate::reconcile::{Reconciled, Standing};

/// The file of a container's segments in the plan's directory.
pub fn segment_listing_name(container: ContainerId) -> String {
    format!("container-{container}.segments.jsonl")
}

/// What becomes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It lives again.
    Created,
    /// It had been deleted before the disaster.
    Deleted,
    /// A committed transaction whose content is part of another segment now.
    Merged,
    /// Only objects name it, and the procedure did not create it.
    Unrecorded,
    /// It existed, and the procedure decided against it.
    Dropped,
}

impl Fate {
    fn of(segment: &Reconciled, created: Option<&FreshSegment>) -> Self {
        match segment.standing {
            _ if created.is_some() => Self::Created,
            _ if segment.findings.contains(&MERGED_BY_RECOVERY) => Self::Merged,
            Standing::Deleted => Self::Deleted,
            Standing::Unrecorded => Self::Unrecorded,
            Standing::Live => Self::Dropped,
        }
    }
}

/// Offsets of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First byte.
    pub first: u64,
    /// Behind the last byte.
    pub end: u64,
}

/// One segment in the listing of its container. What is lost of it stands in `loss.json`, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentLine<'a> {
    /// Full name.
    pub name: &'a str,
    /// Kind by name.
    pub kind: &'a str,
    /// What becomes of it.
    pub fate: Fate,
    /// Sealed in the new cluster, or else by the evidence.
    pub sealed: bool,
    /// What can be read in the new cluster; none if it is not created.
    pub kept: Option<Range>,
    /// What the objects hold without a hole.
    pub held: Range,
    /// Length by storage metadata.
    pub recorded_length: Option<u64>,
    /// Length by old container metadata.
    pub row_length: Option<u64>,
    /// Codes of oddities.
    pub findings: Vec<&'a str>,
}

/// Figures by owner. Kept for all containers together: few numbers for each stream, however many segments it has.
pub(crate) type Streams = BTreeMap<Owner, Figures>;

/// What stays in memory of a closed container.
#[derive(Debug)]
pub(crate) struct ContainerAccount {
    /// Its segments and bytes, losses not counted yet.
    pub(super) figures: Figures,
    /// SHA-256 of the listing.
    pub(super) listing_digest: String,
    /// Chunks that the new container does not use: place in the listing of objects, fate of their segment.
    pub(super) unused: Vec<(u32, Option<Fate>)>,
}

impl ContainerAccount {
    /// Writes the listing to the plan's directory and counts. `unused` are chunks by their place in the listing of objects.
    ///
    /// # Errors
    /// `run-directory`.
    pub(crate) fn take(
        evidence: &ContainerEvidence,
        created: &FreshSegments,
        unused: &[u32],
        directory: &Path,
    ) -> Result<(Self, Streams)> {
        let path = directory.join(segment_listing_name(evidence.container));
        let (listing_digest, streams) =
            write_listing(evidence, created, &path).map_err(|error| run_directory_error("write", &path, error))?;
        let mut figures = Figures::default();
        streams.values().for_each(|stream| figures += stream);
        let fate = |&index: &u32| {
            let name = evidence.chunk(index)?.segment();
            let name = main_segment_of(name).unwrap_or(name);
            evidence.segment(name).map(|segment| Fate::of(segment, created.get(name)))
        };
        let unused = unused.iter().map(|index| (*index, fate(index))).collect();
        Ok((Self { figures, listing_digest, unused }, streams))
    }
}

/// Not synced: a listing that a crash cut does not have the digest that `loss.json` names.
fn write_listing(evidence: &ContainerEvidence, created: &FreshSegments, path: &Path) -> io::Result<(String, Streams)> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut hasher = Sha256::new();
    let mut streams = Grouped::default();
    let mut line = Vec::new();
    for (name, segment) in evidence.reconciled() {
        let fresh = created.get(name);
        line.clear();
        serde_json::to_writer(&mut line, &segment_line(evidence, name, segment, fresh))?;
        line.push(b'\n');
        hasher.update(&line);
        file.write_all(&line)?;
        count(streams.of(name), segment, fresh);
    }
    file.flush()?;
    Ok((hex(&hasher.finalize()), streams.finish()))
}

fn segment_line<'a>(
    evidence: &ContainerEvidence,
    name: &'a str,
    segment: &Reconciled,
    fresh: Option<&FreshSegment>,
) -> SegmentLine<'a> {
    SegmentLine {
        name,
        kind: SegmentKind::of(name).as_str(),
        fate: Fate::of(segment, fresh),
        sealed: fresh.map_or(segment.sealed, |fresh| fresh.sealed),
        kept: fresh.map(FreshSegment::kept).map(|(first, end)| Range { first, end }),
        held: Range { first: segment.start_offset, end: segment.chain.end() },
        recorded_length: evidence.record(name).map(|record| record.length),
        row_length: evidence.row(name).map(|row| row.length),
        findings: segment.findings.clone(),
    }
}

fn count(figures: &mut Figures, segment: &Reconciled, fresh: Option<&FreshSegment>) {
    let counts = &mut figures.segments;
    match Fate::of(segment, fresh) {
        Fate::Created => counts.created += 1,
        Fate::Deleted => counts.deleted += 1,
        Fate::Merged => counts.merged += 1,
        Fate::Unrecorded => counts.unrecorded += 1,
        Fate::Dropped => {
            counts.dropped += 1;
            figures.dropped_bytes += segment.chain.end() - segment.start_offset;
        }
    }
    figures.kept_bytes += fresh.map(FreshSegment::kept).map_or(0, |(first, end)| end - first);
}

/// Figures by owner, for segments that come by name, so that most have the owner of the one before.
#[derive(Default)]
struct Grouped {
    streams: Streams,
    current: Option<(Owner, Figures)>,
}

impl Grouped {
    fn of(&mut self, segment: &str) -> &mut Figures {
        if !self.current.as_ref().is_some_and(|(owner, _)| owner.owns(segment)) {
            self.put_back();
        }
        let begin = || {
            let owner = Owner::of(segment);
            let figures = self.streams.remove(&owner).unwrap_or_default();
            (owner, figures)
        };
        &mut self.current.get_or_insert_with(begin).1
    }

    fn put_back(&mut self) {
        self.streams.extend(self.current.take());
    }

    fn finish(mut self) -> Streams {
        self.put_back();
        self.streams
    }
}

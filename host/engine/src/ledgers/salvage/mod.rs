//! What logs that are not whole still hold.
//!
//! A log with a hole cannot be replayed by a store, unless nothing before the hole is needed any more. Then its container is built anew from
//! Tier-2; but what stands in the entries that are left is worth having all the same. An append says at which offset its bytes belong, so
//! bytes that join what Tier-2 holds are part of their segment, whatever else is missing. They become objects behind those that Tier-2 has, named
//! as the store names chunks, and are from then on what any other object is: evidence.
//!
//! Left as they are: the records of chunks (`storage_metadata_<N>`), since the objects tell the same by their names, and all that is no
//! bytes (seals, truncations, attributes), which the controller's tables tell of, or which costs nothing but repetition.

mod pieces;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dr_formats::DecodeError;
use dr_formats::data_frame::FrameReader;
use dr_formats::log_metadata::FrameAddress;
use dr_formats::names::{ChunkName, SystemSegment, SystemTable, container_metadata_segment, container_named_in};
use dr_formats::operation::Operation;
use sha2::{Digest as _, Sha256};

use self::pieces::{Pieces, Source};
use super::tailed::{Content, NO_UUID};
use super::{DiskLedger, LedgerEvidence};
use crate::contract::{ContainerId, LostRange};
use crate::error::Result;
use crate::evidence::ContainerEvidence;
use crate::plan::{WrittenObject, hex, run_directory_error};
use crate::reconcile::Standing;
use crate::survey::Survey;

/// Directory in that of the run, for what is needed while bytes are put together.
const SCRATCH: &str = "salvage";

/// Largest object that is made of what a log holds.
const OBJECT_BYTES_MAX: u64 = 64 << 20;

/// Reason of losses that only the log knew of.
const LOG_HOLE: &str = "log-hole";

/// What is to be added to Tier-2 for one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Objects, by key; their content lies in the directory of the plan.
    pub objects: Vec<WrittenObject>,
    /// What operations tell of and no entry holds.
    pub gaps: Vec<LostRange>,
}

impl Salvaged {
    /// Bytes that are added to Tier-2.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }
}

/// Puts together what is left of the logs that are not whole, for each of these containers. Returns what survived, seen as if it were in
/// Tier-2 already.
///
/// # Errors
/// `run-directory`; Tier-2 errors; those of reading entries back.
pub fn salvage(
    evidence: &LedgerEvidence,
    containers: &[ContainerId],
    survey: &Survey,
    directory: &Path,
) -> Result<(Survey, BTreeMap<ContainerId, Salvaged>)> {
    let scratch = directory.join(SCRATCH);
    fs::create_dir(&scratch).map_err(|error| run_directory_error("create", &scratch, error))?;
    let result = Salvage { evidence, survey, directory, scratch: &scratch }.of(containers);
    let removed = fs::remove_dir_all(&scratch);
    let result = result?;
    removed.map_err(|error| run_directory_error("remove", &scratch, error))?;
    Ok(result)
}

struct Salvage<'a> {
    evidence: &'a LedgerEvidence,
    survey: &'a Survey,
    directory: &'a Path,
    scratch: &'a Path,
}

impl Salvage<'_> {
    /// Rows of the old container metadata first: they decide what the objects of the others mean, and so where those end.
    fn of(&self, containers: &[ContainerId]) -> Result<(Survey, BTreeMap<ContainerId, Salvaged>)> {
        let mut tails = BTreeMap::new();
        let mut all = BTreeMap::new();
        let mut pieces = BTreeMap::new();
        for &container in containers {
            let evidence = self.survey.evidence_for_a_moment(container)?;
            let mut of_container = self.pieces(&evidence)?;
            let table = container_metadata_segment(container);
            let mut salvaged = Salvaged::default();
            self.write(&evidence, &mut of_container, &|name| name == table, &mut salvaged)?;
            tails.extend(self.contents(&salvaged));
            pieces.insert(container, of_container);
            all.insert(container, salvaged);
        }
        let with_rows = self.survey.with_objects(&tails)?;
        for (container, mut of_container) in pieces {
            let evidence = with_rows.evidence_for_a_moment(container)?;
            of_container.set_ends(ends(&evidence));
            let salvaged = all.entry(container).or_default();
            self.write(&evidence, &mut of_container, &is_of_clients, salvaged)?;
            tails.extend(self.contents(salvaged));
        }
        Ok((self.survey.with_objects(&tails)?, all))
    }

    /// Reads all entries that are left of a container's logs.
    fn pieces(&self, evidence: &ContainerEvidence) -> Result<Pieces> {
        let container = evidence.container;
        let mut pieces = Pieces::new(container, ends(evidence), &self.scratch.join(format!("container-{container}")))?;
        for ledger in self.evidence.ledgers_of(container) {
            self.operations(ledger, &mut |operation| pieces.operation(operation))?;
        }
        Ok(pieces)
    }

    /// Visits the operations that are whole. What is torn or damaged ends at the next hole.
    fn operations(&self, ledger: &DiskLedger, visit: &mut dyn FnMut(Operation<'_>) -> Result<()>) -> Result<()> {
        let last_entry = ledger.entries.last().map_or(-1, |entry| entry.id);
        let mut frames = FrameReader::new();
        let mut next = 0;
        let mut outcome = Ok(());
        self.evidence.payloads().read(ledger, last_entry, &mut |entry, payload| {
            if entry > next {
                frames = FrameReader::new();
            }
            next = entry + 1;
            let address = FrameAddress::new(1, u32::try_from(entry).unwrap_or(u32::MAX));
            let read: std::result::Result<(), DecodeError> = frames.frame(address, payload, |record| {
                let operation = Operation::decode(record.bytes)?;
                if outcome.is_ok() {
                    outcome = visit(operation);
                }
                Ok(())
            });
            if read.is_err() {
                frames = FrameReader::new();
            }
        })?;
        outcome
    }

    /// Writes what follows Tier-2 in the segments that are wanted to files, each of which becomes an object.
    fn write(
        &self,
        evidence: &ContainerEvidence,
        pieces: &mut Pieces,
        is_wanted: &dyn Fn(&str) -> bool,
        salvaged: &mut Salvaged,
    ) -> Result<()> {
        let wanted = pieces.living().filter(|(name, ..)| is_wanted(name));
        let wanted: Vec<_> = wanted.map(|(name, start, sources, end)| (name.to_owned(), start, sources, end)).collect();
        for (name, start, sources, told_end) in wanted {
            let mut writer = ObjectWriter { salvage: self, evidence, segment: &name, salvaged };
            let end = writer.objects(start, &sources, pieces)?;
            if end < told_end {
                let (container, segment, reason) = (evidence.container, name, LOG_HOLE.to_owned());
                salvaged.gaps.push(LostRange { container, segment, first: end, end: Some(told_end), reason });
            }
        }
        Ok(())
    }

    fn contents(&self, salvaged: &Salvaged) -> Vec<(String, Content)> {
        let content = |object: &WrittenObject| {
            let path = self.directory.join(&object.file);
            (object.key.clone(), Content::File { path, size: object.size })
        };
        salvaged.objects.iter().map(content).collect()
    }
}

/// Whose bytes are put together: not the store's own records of chunks and garbage.
fn is_of_clients(name: &str) -> bool {
    SystemSegment::parse(name).is_none() && container_named_in(name).is_none()
}

/// Where Tier-2 ends, by segment; those that were deleted need nothing more.
fn ends(evidence: &ContainerEvidence) -> BTreeMap<String, u64> {
    let end = |(name, segment): (&str, &crate::reconcile::Reconciled)| {
        let end = if segment.standing == Standing::Deleted { u64::MAX } else { segment.held().0.end() };
        (name.to_owned(), end)
    };
    let table =
        SystemSegment { container: evidence.container, table: SystemTable::ContainerMetadata, attributes: false };
    evidence.reconciled().map(end).chain([(table.to_string(), evidence.rows_end())]).collect()
}

/// Makes the objects of one segment.
struct ObjectWriter<'a> {
    salvage: &'a Salvage<'a>,
    evidence: &'a ContainerEvidence,
    segment: &'a str,
    salvaged: &'a mut Salvaged,
}

impl ObjectWriter<'_> {
    /// Makes objects of bytes that follow one another from `start` on; returns where they end.
    fn objects(&mut self, start: u64, sources: &[Source], pieces: &mut Pieces) -> Result<u64> {
        let mut end = start;
        let mut content = Vec::new();
        for source in sources {
            let bytes = match source {
                Source::Spooled(range) => pieces.read(range)?,
                Source::Tiered(name, range) => self.tiered(name, range)?,
            };
            end += bytes.len() as u64;
            content.extend(bytes);
            if content.len() as u64 >= OBJECT_BYTES_MAX {
                self.object(end - content.len() as u64, &std::mem::take(&mut content))?;
            }
        }
        if !content.is_empty() {
            self.object(end - content.len() as u64, &content)?;
        }
        Ok(end)
    }

    fn tiered(&self, segment: &str, range: &std::ops::Range<u64>) -> Result<Vec<u8>> {
        let chain = self.evidence.segment(segment).map(|reconciled| reconciled.held().0.clone()).unwrap_or_default();
        chain.read_range(self.salvage.survey.tier2(), range.start, range.end)
    }

    fn object(&mut self, offset: u64, content: &[u8]) -> Result<()> {
        let listed = self.salvage.survey.listing().containers.get(self.evidence.container as usize);
        let epoch = listed.map_or(0, |listed| listed.highest_epoch);
        let key = ChunkName { segment: self.segment, epoch, offset, uuid: NO_UUID }.to_string();
        let file = format!("container-{}.salvaged-{}", self.evidence.container, self.salvaged.objects.len() + 1);
        let path = self.salvage.directory.join(&file);
        fs::write(&path, content).map_err(|error| run_directory_error("write", &path, error))?;
        let digest = hex(&Sha256::digest(content));
        self.salvaged.objects.push(WrittenObject { key, size: content.len() as u64, digest, file });
        Ok(())
    }
}

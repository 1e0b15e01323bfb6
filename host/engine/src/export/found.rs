//! Finding the segments of a stream: by metadata where it can be used, by the names of objects where not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_formats::names::{SegmentKind, SystemSegment, main_segment_of};
use serde::Serialize;

use super::selection::{Selection, number_and_epoch, parent_of_transaction};
use super::{ExportOptions, NotExported, SegmentReport};
use crate::chain::{Chain, chains_by_names};
use crate::error::{OperatorError, Result};
use crate::evidence::ContainerEvidence;
use crate::listing::{ChunkObject, chunks_below};
use crate::merged::Search;
use crate::progress::Progress;
use crate::reconcile::{Reconciled, Standing};
use crate::survey::{Survey, SurveyOptions};

/// Whose word is taken for what belongs to a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBy {
    /// That of the old metadata, reconciled with the objects.
    Metadata,
    /// That of the names of objects: no metadata names the segment, or it cannot be read.
    Names,
}

/// A segment that is not exported as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub segment: String,
    /// What its objects hold.
    pub bytes: u64,
    /// `deleted`, `merged-already`, `open-transaction`, `unrecorded-transaction` or `transient`, see the operator guide.
    pub reason: &'static str,
}

/// A segment to be exported.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub segment: String,
    /// Whose word is taken.
    pub known_by: KnownBy,
    pub(super) pieces: Vec<Piece>,
    missing: Vec<NotExported>,
}

/// An unbroken piece of a segment.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) chain: Chain,
    /// First offset that is read.
    pub(super) start: u64,
    /// An event is known to begin there.
    pub(super) is_aligned: bool,
}

impl Piece {
    pub(super) fn length(&self) -> u64 {
        self.chain.end() - self.start
    }
}

impl Source {
    fn by_names(segment: &str, chunks: &[&ChunkObject]) -> Self {
        let chains = chains_by_names(chunks);
        let first_start = chains.first().map_or(0, |chain| chain.first_start);
        let mut source =
            Self { segment: segment.to_owned(), known_by: KnownBy::Names, pieces: Vec::new(), missing: Vec::new() };
        source.note_missing(0, first_start, "truncated-or-missing");
        source.add_pieces(chains, first_start);
        source
    }

    fn by_metadata(segment: &str, reconciled: &Reconciled, evidence: &ContainerEvidence) -> Self {
        let (row, record) = (evidence.row(segment), evidence.record(segment));
        let chain = reconciled.chain.clone();
        let end = chain.end();
        let recorded_start = row.map_or(0, |row| row.start_offset).max(record.map_or(0, |record| record.start_offset));
        let start = reconciled.start_offset.max(recorded_start).min(end);
        let mut source =
            Self { segment: segment.to_owned(), known_by: KnownBy::Metadata, pieces: Vec::new(), missing: Vec::new() };
        source.note_missing(recorded_start, chain.first_start, "truncated-or-missing");
        // Objects that were lost may begin anywhere, and what is left after them inside an event.
        let is_aligned = chain.first_start <= recorded_start || chain.first_start < reconciled.start_offset;
        source.pieces.push(Piece { chain, start, is_aligned });
        let mut end_seen = end;
        // What a merge had only begun to copy is no gap: the transaction itself holds it.
        if !reconciled.findings.contains(&"merge-begun") {
            let prefix = format!("{segment}.E-");
            let behind =
                evidence.chunks_below(&prefix).filter(|chunk| chunk.segment() == segment && chunk.offset > end);
            let behind = behind.filter(|chunk| source.pieces[0].chain.parts.iter().all(|part| part.key != chunk.key));
            end_seen = source.add_pieces(chains_by_names(&behind.collect::<Vec<_>>()), end);
        }
        let recorded_end = row.map_or(0, |row| row.length).max(record.map_or(0, |record| record.length));
        source.note_missing(end_seen, recorded_end, "missing");
        source
    }

    /// Adds chains and the gaps before them; returns where the last one ends.
    fn add_pieces(&mut self, chains: Vec<Chain>, mut end: u64) -> u64 {
        for chain in chains {
            self.note_missing(end, chain.first_start, "missing");
            end = chain.end();
            let start = chain.first_start;
            self.pieces.push(Piece { chain, start, is_aligned: start == 0 });
        }
        end
    }

    fn note_missing(&mut self, first: u64, end: u64, reason: &'static str) {
        if first < end {
            self.missing.push(NotExported { first, end, reason });
        }
    }

    /// Bytes that its objects hold.
    pub fn held_bytes(&self) -> u64 {
        self.pieces.iter().map(Piece::length).sum()
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(SegmentKind::of(&self.segment), SegmentKind::KeyValueTable | SegmentKind::ControllerTable)
    }

    pub(super) fn report(&self) -> SegmentReport {
        SegmentReport {
            segment: self.segment.clone(),
            known_by: self.known_by,
            events: 0,
            bytes: 0,
            not_exported: self.missing.clone(),
        }
    }

    fn left_out(self, reason: &'static str) -> LeftOut {
        LeftOut { bytes: self.held_bytes(), segment: self.segment, reason }
    }
}

/// What was found.
pub(super) struct Found {
    pub(super) sources: Vec<Source>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) warnings: Vec<String>,
}

/// Looks for the segments that are meant.
pub(super) fn find(
    tier2: &Arc<dyn Tier2>,
    selection: &Selection,
    options: ExportOptions,
    progress: &dyn Progress,
) -> Result<Found> {
    let mut finder = Finder { selection, sources: Vec::new(), warnings: Vec::new() };
    let survey = SurveyOptions { container_count: options.container_count };
    let unusable = match Survey::look(tier2.clone(), survey, progress) {
        Ok(survey) => {
            finder.look_in(&survey)?;
            None
        }
        Err(error) if is_about_metadata(&error) => {
            finder.look_at_names(&chunks_below(tier2.as_ref(), &selection.prefix())?, |_| true);
            Some(error)
        }
        Err(error) => return Err(error),
    };
    if finder.sources.is_empty() {
        let missing = OperatorError::new(
            "stream-missing",
            format!("{}: nothing belongs to `{selection}`", tier2.location()),
            "look for its name with `dr list-segments`, and check that the root is the one that filesystem.root names",
        );
        return Err(unusable.into_iter().fold(missing, OperatorError::because));
    }
    finder.warnings.extend(unusable.map(|error| match error.code {
        "tier2-not-pravega" => {
            "there is no metadata of any container: it was moved aside by a recovery, or is lost".to_owned()
        }
        _ => format!("no metadata can be used: {error}; {}", error.next_step),
    }));
    finder.choose(options, tier2.as_ref())
}

/// True for errors after which the names of objects can still be used.
fn is_about_metadata(error: &OperatorError) -> bool {
    matches!(
        error.code,
        "tier2-not-pravega" | "container-count" | "metadata-damaged" | "table-damaged" | "journal-too-large"
    )
}

struct Finder<'a> {
    selection: &'a Selection,
    sources: Vec<(Standing, Source)>,
    warnings: Vec<String>,
}

impl Finder<'_> {
    /// Container by container, so that memory follows the largest one.
    fn look_in(&mut self, survey: &Survey) -> Result<()> {
        let prefix = self.selection.prefix();
        for (container, listed) in (0..).zip(&survey.listing().containers) {
            match survey.evidence(container) {
                Ok(evidence) => self.look_at(&evidence),
                Err(error) if is_about_metadata(&error) => {
                    let chunks: Vec<ChunkObject> = listed.chunks_below(&prefix).collect();
                    if self.look_at_names(&chunks, |_| true) {
                        let sentence =
                            format!("object names have to do for segments of container {container}: {error}");
                        self.warnings.push(sentence);
                    }
                }
                Err(error) => return Err(error),
            }
            survey.forget(container);
        }
        Ok(())
    }

    fn look_at(&mut self, evidence: &ContainerEvidence) {
        let names: Vec<String> = evidence.segments().into_iter().map(|segment| segment.name).collect();
        let mut known = BTreeSet::new();
        for name in names.iter().filter(|name| self.selection.includes(name)) {
            if let Some(segment) = evidence.segment(name).filter(|segment| segment.standing != Standing::Unrecorded) {
                let source = Source::by_metadata(name, segment, evidence);
                self.sources.push((segment.standing, source));
                known.insert(name.as_str());
            }
        }
        let prefix = self.selection.prefix();
        let chunks: Vec<ChunkObject> = evidence.chunks_below(&prefix).cloned().collect();
        if !evidence.damages().is_empty() && !chunks.is_empty() {
            self.warnings.push(format!(
                "the metadata of container {} is damaged: what is known of its segments may be old or in part",
                evidence.container
            ));
        }
        self.look_at_names(&chunks, |chunk| !known.contains(chunk.segment()) && !evidence.is_recorded(chunk));
    }

    /// Adds what only names tell; true if there was anything.
    fn look_at_names(&mut self, chunks: &[ChunkObject], counts: impl Fn(&ChunkObject) -> bool) -> bool {
        let mut by_segment: BTreeMap<&str, Vec<&ChunkObject>> = BTreeMap::new();
        let is_meant = |chunk: &&ChunkObject| {
            let name = chunk.segment();
            let is_own = main_segment_of(name).is_some() || SystemSegment::parse(name).is_some();
            chunk.size > 0 && !is_own && self.selection.includes(name) && counts(chunk)
        };
        for chunk in chunks.iter().filter(is_meant) {
            by_segment.entry(chunk.segment()).or_default().push(chunk);
        }
        let found = by_segment.iter().map(|(name, chunks)| (Standing::Unrecorded, Source::by_names(name, chunks)));
        self.sources.extend(found);
        !by_segment.is_empty()
    }

    /// Decides what is exported, and brings it into order.
    fn choose(mut self, options: ExportOptions, tier2: &dyn Tier2) -> Result<Found> {
        self.warn_of_names();
        self.sources.sort_by_cached_key(|(_, source)| {
            let (number, epoch) = number_and_epoch(&source.segment).unwrap_or((u64::MAX, u64::MAX));
            (epoch, number, parent_of_transaction(&source.segment).is_some(), source.segment.clone())
        });
        let merged = merged_already(&self.sources, tier2)?;
        let mut found = Found { sources: Vec::new(), left_out: Vec::new(), warnings: self.warnings };
        for (standing, source) in self.sources {
            let is_merged = merged.contains(&source.segment);
            let reason = if self.selection.names(&source.segment) {
                None
            } else {
                reason_to_leave_out(standing, &source.segment, is_merged, options.transactions)
            };
            match reason {
                None => found.sources.push(source),
                // Nothing to speak of, such as a deleted segment whose objects are gone.
                Some(_) if source.held_bytes() == 0 => {}
                Some(reason) => found.left_out.push(source.left_out(reason)),
            }
        }
        Ok(found)
    }

    fn warn_of_names(&mut self) {
        let is_by_names = |(_, source): &&(Standing, Source)| source.known_by == KnownBy::Names;
        let count = self.sources.iter().filter(is_by_names).count();
        if count > 0 {
            self.warnings.push(format!(
                "{count} of {} segments are put together from the names of their objects: no metadata tells which of their \
                 events had been truncated or deleted, or which transactions had been merged",
                self.sources.len()
            ));
        }
    }
}

fn reason_to_leave_out(standing: Standing, name: &str, is_merged: bool, transactions: bool) -> Option<&'static str> {
    let kind = SegmentKind::of(name);
    match standing {
        Standing::Deleted => Some("deleted"),
        _ if kind == SegmentKind::Transient => Some("transient"),
        _ if kind != SegmentKind::Transaction => None,
        _ if is_merged => Some("merged-already"),
        _ if transactions => None,
        Standing::Live => Some("open-transaction"),
        Standing::Unrecorded => Some("unrecorded-transaction"),
    }
}

/// Transactions that no metadata knows but whose content another segment of the same number holds as a whole. That can be
/// a transaction, too: the first one that is merged into an empty segment gives it its object, and the next ones are
/// appended there.
fn merged_already(sources: &[(Standing, Source)], tier2: &dyn Tier2) -> Result<Vec<String>> {
    let mut merged = Vec::new();
    let number = |source: &Source| number_and_epoch(&source.segment).map(|(number, _)| number);
    for (_, parent) in sources.iter().filter(|(_, source)| !source.is_table()) {
        let is_shorter = |source: &Source| source.held_bytes() < parent.held_bytes();
        let candidates = sources.iter().filter(|(standing, source)| {
            *standing == Standing::Unrecorded
                && parent_of_transaction(&source.segment).is_some()
                && number(source) == number(parent)
                && (parent_of_transaction(&parent.segment).is_none() || is_shorter(source))
        });
        let candidates: Vec<(&Source, &Chain)> =
            candidates.filter_map(|(_, source)| Some((source, &source.pieces.first()?.chain))).collect();
        let Some(piece) = parent.pieces.first().filter(|piece| piece.is_aligned && !candidates.is_empty()) else {
            continue;
        };
        let search = Search::new(candidates.iter().map(|(_, chain)| *chain).collect(), tier2)?;
        let copies = search.copies_in(&piece.chain, piece.start, |_| Some(piece.start))?;
        let whole = candidates.iter().zip(&copies.whole).filter(|(_, copy)| copy.is_some());
        merged.extend(whole.map(|((source, _), _)| source.segment.clone()));
    }
    Ok(merged)
}

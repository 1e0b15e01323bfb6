//! What an operator sees of a loss report on a terminal: streams and tables, each with what is kept and lost.

use std::fmt::Write as _;
use std::path::Path;

use dr_engine::report::{Figures, LossReport, OwnerKind, SegmentCounts, StreamReport, Verdict};
use serde::Serialize;

use super::table::{self, Align};
use super::text::{Colour, bytes, counted, grouped, shown};

/// Most streams that are shown; the report's file holds all.
const ROWS_SHOWN_MAX: usize = 20;

/// A loss report in the stream of events; all of it stands in the file.
#[derive(Debug, Serialize)]
pub(crate) struct LossEvent<'a> {
    plan: &'a str,
    verdict: Verdict,
    streams: u64,
    whole_streams: u64,
    totals: &'a Figures,
    file: &'a Path,
    page: &'a Path,
}

impl<'a> LossEvent<'a> {
    /// The event for a report.
    pub(crate) fn new(report: &'a LossReport, file: &'a Path, page: &'a Path) -> Self {
        let streams = || report.streams.iter().filter(|stream| !is_deleted(stream));
        Self {
            plan: &report.plan,
            verdict: report.verdict,
            streams: streams().count() as u64,
            whole_streams: streams().filter(|stream| stream.figures.is_whole()).count() as u64,
            totals: &report.totals,
            file,
            page,
        }
    }
}

/// True for what users know by name and had not deleted; the rest is Pravega's own.
pub(crate) fn is_of_users(stream: &StreamReport) -> bool {
    matches!(stream.owner.kind, OwnerKind::Stream | OwnerKind::KeyValueTable) && !is_deleted(stream)
}

/// True if nothing but segments is known that had been deleted before the disaster.
pub(crate) fn is_deleted(stream: &StreamReport) -> bool {
    let figures = &stream.figures;
    let of_deleted = SegmentCounts { deleted: figures.segments.deleted, ..SegmentCounts::default() };
    figures.is_whole() && figures.segments == of_deleted
}

/// The kind of an owner in words.
pub(crate) fn kind_in_words(kind: OwnerKind) -> &'static str {
    match kind {
        OwnerKind::Stream => "stream",
        OwnerKind::KeyValueTable => "key-value table",
        OwnerKind::ReaderGroup => "reader group",
        OwnerKind::Watermarks => "watermarks",
        OwnerKind::Controller => "controller",
        OwnerKind::Container => "containers",
        OwnerKind::Other => "other",
    }
}

/// What a reason of a loss means, with its code; an open set, so that an unknown one is shown as it is.
pub(crate) fn reason_in_words(reason: &str) -> String {
    let meaning = match reason {
        "torn" => "the last event or entry is only half there",
        "missing-object" => "the storage had recorded it, and its object is missing or too short",
        "log-hole" => "its log tells of it, and the entries that held it, or some before them, are on no disk",
        "unflushed" => "it had never reached Tier-2; only the container's metadata names it",
        "unrecorded" => "only objects name it; new data, or left by a deleted segment",
        "dropped" => "the procedure decided against it",
        "damaged" => "the bytes are no table entries, nor is what stands behind them",
        "leading-object-gone" => "the first objects are gone; lost, or truncated just before the crash",
        "index-damaged" => "an attribute index goes back to an earlier state",
        "metadata-damaged" => "rows or records of a container's metadata may be missing or older",
        unknown => return shown(unknown),
    };
    format!("{meaning} ({reason})")
}

/// The reasons of what an owner loses, as codes.
pub(crate) fn reasons(figures: &Figures) -> String {
    let reason = |(reason, &ranges): (&String, &u64)| match ranges {
        1 => shown(reason),
        _ => format!("{} ({})", shown(reason), grouped(ranges)),
    };
    figures.lost_ranges.iter().map(reason).collect::<Vec<_>>().join(", ")
}

/// The streams and tables for people: those that lose something, or all.
pub(crate) fn render(report: &LossReport, page: &Path, verbose: bool, colour: Colour) -> String {
    // Nothing was looked at one by one where logs are restored as they were.
    if report.containers.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", colour.bold("What becomes of streams and tables"));
    let of_users = |stream: &&StreamReport| is_of_users(stream);
    let (whole, touched): (Vec<_>, Vec<_>) =
        report.streams.iter().filter(|stream| !is_deleted(stream)).partition(|stream| stream.figures.is_whole());
    let (kept, all) = (whole.iter().copied().filter(of_users).count(), report.streams.iter().filter(of_users).count());
    let sentence = match all {
        0 => "there is none".to_owned(),
        _ if kept == all => {
            format!(
                "all {} keep everything that Tier-2 holds of them",
                counted(all as u64, "stream or table", "streams and tables")
            )
        }
        _ => format!(
            "{} of {} keep everything that Tier-2 holds of them",
            grouped(kept as u64),
            counted(all as u64, "stream or table", "streams and tables")
        ),
    };
    let _ = writeln!(text, "  {sentence}{}", if verbose { "" } else { " (-v shows each)" });
    let rows = if verbose { report.streams.iter().filter(|stream| !is_deleted(stream)).collect() } else { touched };
    let rows_max = if verbose { usize::MAX } else { ROWS_SHOWN_MAX };
    if !rows.is_empty() {
        let columns = [
            ("Stream or table", Align::Left),
            ("Kind", Align::Left),
            ("Segments", Align::Right),
            ("Kept", Align::Right),
            ("Lost", Align::Right),
            ("Unknown", Align::Right),
            ("Reasons", Align::Left),
        ];
        let _ = write!(text, "\n{}", table::render(&columns, rows.iter().take(rows_max).copied().map(row)));
    }
    if rows.len() > rows_max {
        let more = grouped((rows.len() - rows_max) as u64);
        let _ = writeln!(text, " and {more} more; -v shows all, loss.json holds them");
    }
    let _ = writeln!(text, "\nThe same with pictures, for a browser: {}", shown(&page.to_string_lossy()));
    text
}

fn row(stream: &StreamReport) -> Vec<String> {
    let figures = &stream.figures;
    vec![
        shown(&stream.owner.path()),
        kind_in_words(stream.owner.kind).to_owned(),
        grouped(figures.segments.created),
        bytes(figures.kept_bytes),
        lost(figures),
        if figures.unknown_bytes == 0 { String::new() } else { bytes(figures.unknown_bytes) },
        reasons(figures),
    ]
}

/// Lost bytes, those of indexes and metadata included, and whether there are more of which nobody knows how many.
pub(crate) fn lost(figures: &Figures) -> String {
    match (figures.lost_bytes + figures.bookkeeping_bytes, figures.open_ranges) {
        (0, 0) => String::new(),
        (0, _) => "not known".to_owned(),
        (known, 0) => bytes(known),
        (known, _) => format!("{} or more", bytes(known)),
    }
}

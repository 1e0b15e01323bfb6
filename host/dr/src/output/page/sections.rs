//! The parts of the page, in words and numbers.

use std::collections::{BTreeMap, BTreeSet};

use dr_engine::contract::Decision;
use dr_engine::plan::Plan;
use dr_engine::report::{Fate, Figures, LossClass, LossReport, MovedContent, Owner, OwnerKind, StreamReport, Verdict};
use serde_json::json;

use super::super::loss::{is_deleted, is_of_users, kind_in_words, lost, reason_in_words, reasons as reasons_of};
use super::super::plan::{consequence, example, in_words, oddity_counts};
use super::super::text::{bytes, counted, grouped, shown};
use super::super::timeline::{Outcome, Run};
use super::bar;

/// Most rows of a table.
const ROWS_MAX: usize = 200;

/// Most streams that can be searched in the page; the report's file holds all.
const SEARCHABLE_MAX: usize = 20_000;

/// Rows, and what is said below them if there are more.
#[derive(Debug)]
pub(super) struct Listed<T> {
    pub(super) rows: Vec<T>,
    pub(super) title: String,
    pub(super) note: String,
}

impl<T> Listed<T> {
    fn of(rows: impl ExactSizeIterator<Item = T>, title: String, file: &str) -> Self {
        let more = rows.len().saturating_sub(ROWS_MAX);
        let note = if more == 0 { String::new() } else { format!("and {} more in {file}", grouped(more as u64)) };
        Self { rows: rows.take(ROWS_MAX).collect(), title, note }
    }
}

/// The first that is read, and if that is all, enough.
#[derive(Debug)]
pub(super) struct Headline {
    pub(super) class: &'static str,
    pub(super) mark: &'static str,
    pub(super) title: String,
    pub(super) sentences: Vec<String>,
}

/// What is said of the first of two steps, whose plan knows no loss yet.
pub(super) fn first_step() -> Headline {
    let sentences = [
        "This plan registers ledgers and bookies. The logs cannot be read before the bookies run; a second plan restores them.",
        "Until that is carried out, start no segment store and no controller.",
    ];
    Headline {
        class: "unsure",
        mark: "?",
        title: "The first of two steps: whether anything is lost shows in the second".to_owned(),
        sentences: sentences.map(str::to_owned).to_vec(),
    }
}

/// The verdict in words.
pub(super) fn headline(report: &LossReport) -> Headline {
    let totals = &report.totals;
    let touched = |class: LossClass| {
        let owners = report.losses.iter().filter(|loss| loss.class == class).map(|loss| &loss.owner);
        owners.collect::<BTreeSet<_>>()
    };
    let ranges = |class: LossClass| report.losses.iter().filter(|loss| loss.class == class).count() as u64;
    let absent = report.containers.iter().filter(|container| container.absent_metadata.is_some()).count() as u64;
    let (class, mark, title) = match report.verdict {
        Verdict::NothingLost => ("good", "\u{2713}", "Nothing that Tier-2 holds is lost".to_owned()),
        Verdict::Unknown => ("unsure", "?", "No byte is known to be lost, but not everything can be told".to_owned()),
        Verdict::Losses if touched(LossClass::Lost).is_empty() => {
            let absent = counted(absent, "container has", "containers have");
            ("bad", "!", format!("{absent} lost all metadata: what it named does not come back"))
        }
        Verdict::Losses => ("bad", "!", format!("Data is lost: {}", lost_in_total(totals))),
    };
    let mut sentences = vec![whole(report)];
    let lost = touched(LossClass::Lost);
    if !lost.is_empty() {
        let ranges = counted(ranges(LossClass::Lost), "range of bytes is", "ranges of bytes are");
        sentences.push(format!("{ranges} lost, in {}.", owners_in_words(&lost)));
    }
    let unknown = touched(LossClass::Unknown);
    if !unknown.is_empty() {
        sentences.push(format!(
            "Of {} in {} nobody can tell whether they had been deleted before or are lost. Their objects stay where they are.",
            bytes(totals.unknown_bytes),
            owners_in_words(&unknown)
        ));
    }
    let bookkeeping = ranges(LossClass::Bookkeeping);
    if bookkeeping > 0 {
        let ranges = counted(bookkeeping, "range", "ranges");
        sentences.push(format!(
            "{ranges} of Pravega's own indexes or metadata are damaged; what they described may be older or missing."
        ));
    }
    if absent > 0 {
        let all = grouped(report.containers.len() as u64);
        sentences.push(format!(
            "{} of {all} containers have no metadata in Tier-2 at all; see below what that means.",
            grouped(absent)
        ));
    }
    sentences.push(
        "What writers had sent and Tier-2 had not received yet is gone as well. Nothing that is left knows of it, so it is in no number here."
            .to_owned(),
    );
    Headline { class, mark, title, sentences }
}

fn lost_in_total(totals: &Figures) -> String {
    match (totals.lost_bytes, totals.open_ranges) {
        (0, _) => "nobody knows how much".to_owned(),
        (known, 0) => bytes(known),
        (known, _) => format!("{} or more", bytes(known)),
    }
}

fn whole(report: &LossReport) -> String {
    let of_users: Vec<_> = report.streams.iter().filter(|stream| is_of_users(stream)).collect();
    let whole = of_users.iter().filter(|stream| stream.figures.is_whole()).count() as u64;
    let kept = bytes(report.totals.kept_bytes);
    match of_users.len() as u64 {
        0 => format!("No stream or table of users is there. {kept} of data are kept."),
        all if all == whole => {
            format!(
                "All {} are complete, as far as Tier-2 holds them. {kept} of data are kept.",
                counted(all, "stream or table", "streams and tables")
            )
        }
        all => format!(
            "{} of {} are complete, as far as Tier-2 holds them. {kept} of data are kept.",
            grouped(whole),
            counted(all, "stream or table", "streams and tables")
        ),
    }
}

fn owners_in_words(owners: &BTreeSet<&Owner>) -> String {
    let mut counts: BTreeMap<OwnerKind, u64> = BTreeMap::new();
    owners.iter().for_each(|owner| *counts.entry(owner.kind).or_default() += 1);
    let in_words = |(kind, &count): (&OwnerKind, &u64)| match kind {
        OwnerKind::Stream => counted(count, "stream", "streams"),
        OwnerKind::KeyValueTable => counted(count, "key-value table", "key-value tables"),
        OwnerKind::ReaderGroup => counted(count, "reader group", "reader groups"),
        OwnerKind::Watermarks => format!("the watermarks of {}", counted(count, "stream", "streams")),
        OwnerKind::Controller => "what the controller keeps for itself".to_owned(),
        OwnerKind::Container => "the metadata of containers".to_owned(),
        OwnerKind::Other => counted(count, "segment of another kind", "segments of other kinds"),
    };
    counts.iter().map(in_words).collect::<Vec<_>>().join(" and ")
}

/// One number.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) class: &'static str,
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) note: String,
}

pub(super) fn tiles(report: &LossReport) -> Vec<Tile> {
    let totals = &report.totals;
    let tile = |label, value: String, note: String| Tile { class: "", label, value, note };
    let of_kind = |kind| report.streams.iter().filter(move |stream| stream.owner.kind == kind && !is_deleted(stream));
    let count = |kind| of_kind(kind).count() as u64;
    let whole = |kind| {
        let whole = of_kind(kind).filter(|stream| stream.figures.is_whole()).count() as u64;
        format!("{} complete", grouped(whole))
    };
    let lost_ranges = report.losses.iter().filter(|loss| loss.class == LossClass::Lost).count() as u64;
    let unknown = report.losses.iter().filter(|loss| loss.class == LossClass::Unknown).count() as u64;
    let moved: u64 = report.moved_aside.iter().map(|moved| moved.size).sum();
    let segments = &totals.segments;
    let mut tiles = vec![
        tile("Streams", grouped(count(OwnerKind::Stream)), whole(OwnerKind::Stream)),
        tile("Key-value tables", grouped(count(OwnerKind::KeyValueTable)), whole(OwnerKind::KeyValueTable)),
        tile(
            "Segments that live again",
            grouped(segments.created),
            format!("{} had been deleted before", grouped(segments.deleted)),
        ),
        tile("Data kept", bytes(totals.kept_bytes), "in all segments".to_owned()),
        Tile {
            class: if lost_ranges > 0 { "bad" } else { "" },
            ..tile(
                "Data lost",
                if lost_ranges == 0 { "nothing".to_owned() } else { lost_in_total(totals) },
                counted(lost_ranges, "range", "ranges"),
            )
        },
        tile(
            "Unknown",
            if unknown == 0 { "nothing".to_owned() } else { bytes(totals.unknown_bytes) },
            counted(unknown, "range", "ranges"),
        ),
        tile(
            "Objects moved aside",
            grouped(report.moved_aside.len() as u64),
            format!("{}, none deleted", bytes(moved)),
        ),
    ];
    if segments.dropped > 0 {
        let note = format!("{}; see the decisions", bytes(totals.dropped_bytes));
        tiles.push(tile("Segments left out", grouped(segments.dropped), note));
    }
    tiles
}

/// A container without metadata.
#[derive(Debug)]
pub(super) struct AbsentContainer {
    pub(super) container: u32,
    pub(super) tables: String,
    pub(super) consequence: String,
}

/// What may be wrong with what the plan rests on.
#[derive(Debug)]
pub(super) struct WarningRow {
    pub(super) subject: String,
    pub(super) finding: String,
    pub(super) next_step: String,
}

pub(super) fn warnings(plan: &Plan) -> Vec<WarningRow> {
    let sentence = |text: &str| {
        let mut text = shown(text);
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        format!("{text}.")
    };
    let row = |warning: &dr_engine::plan::PlanWarning| WarningRow {
        subject: sentence(&warning.subject).trim_end_matches('.').to_owned(),
        finding: sentence(&warning.finding),
        next_step: sentence(&warning.next_step),
    };
    plan.warnings.iter().map(row).collect()
}

pub(super) fn absent(report: &LossReport) -> Vec<AbsentContainer> {
    let absent = |container: &dr_engine::report::ContainerReport| {
        let absent = container.absent_metadata.as_ref()?;
        let mut consequence = consequence(absent).to_owned();
        consequence[..1].make_ascii_uppercase();
        Some(AbsentContainer {
            container: container.container,
            tables: absent.tables.iter().map(|table| shown(table)).collect::<Vec<_>>().join(" and "),
            consequence: format!("{consequence}."),
        })
    };
    report.containers.iter().filter_map(absent).take(ROWS_MAX).collect()
}

/// One owner of segments.
#[derive(Debug)]
pub(super) struct StreamRow {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) bar: String,
    pub(super) segments: String,
    pub(super) kept: String,
    pub(super) lost: String,
    pub(super) unknown: String,
    pub(super) why: String,
}

impl StreamRow {
    fn of(stream: &StreamReport) -> Self {
        let figures = &stream.figures;
        Self {
            name: shown(&stream.owner.path()),
            kind: kind_in_words(stream.owner.kind),
            bar: bar::of_figures(figures, false),
            segments: grouped(figures.segments.created),
            kept: bytes(figures.kept_bytes),
            lost: lost(figures),
            unknown: if figures.unknown_bytes == 0 { String::new() } else { bytes(figures.unknown_bytes) },
            why: reasons_of(figures),
        }
    }
}

/// Streams and tables of users: some as rows, many more to be searched.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) summary: String,
    pub(super) rows: Vec<StreamRow>,
    pub(super) note: String,
    pub(super) data: String,
}

pub(super) fn streams(report: &LossReport) -> Streams {
    let mut streams: Vec<&StreamReport> = report.streams.iter().filter(|stream| is_of_users(stream)).collect();
    worst_first(&mut streams);
    let all = streams.len();
    let touched = streams.iter().filter(|stream| !stream.figures.is_whole()).count() as u64;
    let summary = match touched {
        0 => "None of them loses anything that Tier-2 holds.".to_owned(),
        1 => "One loses, or may lose, something; it comes first.".to_owned(),
        _ => format!("{} lose, or may lose, something; they come first.", grouped(touched)),
    };
    let mut note = String::new();
    if all > ROWS_MAX {
        note = format!(
            "{} are shown here; with a script, the search finds more, and all can be shown.",
            grouped(ROWS_MAX as u64)
        );
    }
    if all > SEARCHABLE_MAX {
        let more = grouped((all - SEARCHABLE_MAX) as u64);
        note = format!("{note} {more} more stand in loss.json only: those that lose least.");
    }
    let data = streams.iter().take(SEARCHABLE_MAX).map(|stream| {
        let StreamRow { name, kind, kept, lost, unknown, why, .. } = StreamRow::of(stream);
        json!([name, kind, bar::widths(&stream.figures), kept, lost, unknown, why])
    });
    Streams {
        summary,
        rows: streams.iter().take(ROWS_MAX).map(|stream| StreamRow::of(stream)).collect(),
        note,
        data: in_script(&serde_json::Value::Array(data.collect())),
    }
}

/// Those that lose most come first; the rest is in the order of names.
fn worst_first(streams: &mut [&StreamReport]) {
    let weight = |figures: &Figures| {
        (figures.open_ranges > 0, figures.lost_bytes + figures.bookkeeping_bytes, figures.unknown_bytes)
    };
    streams.sort_by(|a, b| {
        let by_loss = (a.figures.is_whole(), std::cmp::Reverse(weight(&a.figures)))
            .cmp(&(b.figures.is_whole(), std::cmp::Reverse(weight(&b.figures))));
        by_loss.then_with(|| {
            (&a.owner.scope, &a.owner.name, a.owner.kind).cmp(&(&b.owner.scope, &b.owner.name, b.owner.kind))
        })
    });
}

/// JSON that cannot end the element it stands in.
fn in_script(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn is_users_kind(stream: &StreamReport) -> bool {
    matches!(stream.owner.kind, OwnerKind::Stream | OwnerKind::KeyValueTable)
}

/// What is not of users.
#[derive(Debug)]
pub(super) struct OwnSegments {
    pub(super) listed: Listed<StreamRow>,
    pub(super) all: usize,
    pub(super) is_touched: bool,
}

pub(super) fn own_segments(report: &LossReport) -> OwnSegments {
    let mut own: Vec<&StreamReport> =
        report.streams.iter().filter(|stream| !is_users_kind(stream) && !is_deleted(stream)).collect();
    worst_first(&mut own);
    OwnSegments {
        all: own.len(),
        is_touched: own.iter().any(|stream| !stream.figures.is_whole()),
        listed: Listed::of(own.iter().map(|stream| StreamRow::of(stream)), String::new(), "loss.json"),
    }
}

/// A reason of losses.
#[derive(Debug)]
pub(super) struct ReasonRow {
    pub(super) reason: String,
    pub(super) meaning: String,
    pub(super) ranges: String,
    pub(super) bytes: String,
}

pub(super) fn reasons(report: &LossReport) -> Vec<ReasonRow> {
    let mut reasons: BTreeMap<&str, (u64, u64, bool)> = BTreeMap::new();
    for loss in &report.losses {
        let (ranges, bytes, is_open) = reasons.entry(&loss.range.reason).or_default();
        *ranges += 1;
        *bytes += loss.range.end.map_or(0, |end| end.saturating_sub(loss.range.first));
        *is_open |= loss.range.end.is_none();
    }
    let row = |(reason, (ranges, known, is_open)): (&str, (u64, u64, bool))| {
        let code = format!(" ({reason})");
        let words = reason_in_words(reason);
        ReasonRow {
            reason: shown(reason),
            meaning: words.strip_suffix(&code).unwrap_or(&words).to_owned(),
            ranges: grouped(ranges),
            bytes: if is_open { format!("{} or more", bytes(known)) } else { bytes(known) },
        }
    };
    reasons.into_iter().map(row).collect()
}

/// A lost range.
#[derive(Debug)]
pub(super) struct LossRow {
    pub(super) segment: String,
    pub(super) container: u32,
    pub(super) first: String,
    pub(super) bytes: String,
    pub(super) reason: String,
}

pub(super) fn ranges(report: &LossReport) -> Listed<LossRow> {
    let row = |loss: &dr_engine::report::Loss| LossRow {
        segment: shown(&loss.range.segment),
        container: loss.range.container,
        first: grouped(loss.range.first),
        bytes: loss
            .range
            .end
            .map_or_else(|| "not known".to_owned(), |end| grouped(end.saturating_sub(loss.range.first))),
        reason: shown(&loss.range.reason),
    };
    let title = counted(report.losses.len() as u64, "range", "ranges");
    Listed::of(report.losses.iter().map(row), format!("{title}, one by one"), "loss.json")
}

/// A container.
#[derive(Debug)]
pub(super) struct ContainerRow {
    pub(super) container: u32,
    pub(super) bar: String,
    pub(super) segments: String,
    pub(super) kept: String,
    pub(super) lost: String,
    pub(super) unknown: String,
    pub(super) epoch: String,
    pub(super) findings: String,
}

/// Those that lose something come first.
pub(super) fn containers(plan: &Plan, report: &LossReport) -> Listed<ContainerRow> {
    let mut pairs: Vec<_> = plan.containers.iter().zip(&report.containers).collect();
    pairs.sort_by_key(|(_, of_report)| of_report.figures.is_whole() && of_report.absent_metadata.is_none());
    let row = |(planned, container): (&dr_engine::plan::ContainerPlan, &dr_engine::report::ContainerReport)| {
        let figures = &container.figures;
        let finding = |(finding, &count): (&String, &u64)| format!("{} {}", grouped(count), shown(finding));
        let findings = container.findings.iter().map(finding).collect::<Vec<_>>().join(", ");
        ContainerRow {
            container: container.container,
            bar: bar::of_figures(figures, false),
            segments: grouped(figures.segments.created),
            kept: bytes(figures.kept_bytes),
            lost: lost(figures),
            unknown: if figures.unknown_bytes == 0 { String::new() } else { bytes(figures.unknown_bytes) },
            epoch: planned.image.epoch.to_string(),
            findings: if container.absent_metadata.is_some() { format!("no metadata; {findings}") } else { findings },
        }
    };
    Listed::of(pairs.into_iter().map(row), String::new(), "loss.json")
}

pub(super) fn findings(plan: &Plan) -> Vec<String> {
    let counts = oddity_counts(plan);
    counts
        .into_iter()
        .map(|(finding, count)| format!("{} {}", counted(count, "segment", "segments"), in_words(finding)))
        .collect()
}

/// A place to which objects are moved.
#[derive(Debug)]
pub(super) struct PlaceRow {
    pub(super) place: String,
    pub(super) what: &'static str,
    pub(super) container: u32,
    pub(super) objects: String,
    pub(super) bytes: String,
}

pub(super) fn places(report: &LossReport) -> Listed<PlaceRow> {
    let mut places: BTreeMap<(u32, &str, bool), (u64, u64)> = BTreeMap::new();
    for moved in &report.moved_aside {
        let place = moved.to.strip_suffix(&moved.from).unwrap_or(&moved.to);
        let is_metadata = moved.content == MovedContent::Metadata;
        let (objects, bytes) = places.entry((moved.container, place, is_metadata)).or_default();
        *objects += 1;
        *bytes += moved.size;
    }
    let row = |((container, place, is_metadata), (objects, size)): ((u32, &str, bool), (u64, u64))| PlaceRow {
        place: shown(place),
        what: if is_metadata { "old metadata" } else { "deleted segments, old state of reader groups" },
        container,
        objects: grouped(objects),
        bytes: bytes(size),
    };
    Listed::of(places.into_iter().map(row), String::new(), "loss.json, each object with its old and new key")
}

/// Objects that stay and that the new cluster does not use.
#[derive(Debug)]
pub(super) struct StaysGroup {
    pub(super) title: String,
    pub(super) meaning: &'static str,
    pub(super) keys: Vec<String>,
    pub(super) note: String,
}

pub(super) fn stays(report: &LossReport) -> Vec<StaysGroup> {
    let mut groups: BTreeMap<(&str, &str), Vec<(&str, u64)>> = BTreeMap::new();
    for unused in &report.unused {
        let group = match unused.segment_fate {
            Some(Fate::Unrecorded) => (
                "of segments that only objects name",
                "New data or leftovers; `dr export-events` takes their events out of Tier-2.",
            ),
            Some(Fate::Created) => (
                "of segments that live again",
                "Behind a hole, replaced by a later object, or an older index. Keep them until the losses above are understood.",
            ),
            Some(Fate::Dropped) => (
                "of segments that the procedure left out",
                "The new cluster makes these segments anew when it needs them.",
            ),
            Some(Fate::Deleted | Fate::Merged) => {
                ("of segments that had been deleted or merged", "They belong to nobody any more.")
            }
            None => ("of segments of which nothing is known", "They hold no byte, or are indexes without a segment."),
        };
        groups.entry(group).or_default().push((&unused.key, unused.size));
    }
    if !report.unexplained.is_empty() {
        let group = ("that are no objects of Pravega", "No rule says what they are. They are never touched.");
        groups.entry(group).or_default().extend(report.unexplained.iter().map(|object| (&*object.key, object.size)));
    }
    let group = |((what, meaning), objects): ((&str, &'static str), Vec<(&str, u64)>)| {
        let size = bytes(objects.iter().map(|(_, size)| size).sum());
        let keys = objects.iter().map(|(key, _)| shown(key));
        let title =
            format!("{} ({size}) {what}: in place, not used", counted(objects.len() as u64, "object", "objects"));
        let Listed { rows, title, note } = Listed::of(keys, title, "loss.json");
        StaysGroup { title, meaning, keys: rows, note }
    };
    groups.into_iter().map(group).collect()
}

/// Decisions of one sort.
#[derive(Debug)]
pub(super) struct DecisionRow {
    pub(super) choice: String,
    pub(super) reason: String,
    pub(super) subjects: String,
}

pub(super) fn decisions(report: &LossReport) -> Listed<DecisionRow> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Decision>> = BTreeMap::new();
    for decision in &report.decisions {
        groups.entry((&decision.choice, &decision.reason)).or_default().push(decision);
    }
    let row = |((choice, reason), decisions): ((&str, &str), Vec<&Decision>)| DecisionRow {
        choice: shown(choice),
        reason: shown(reason),
        subjects: match decisions[..] {
            [only] => shown(&only.subject),
            _ => format!("{}, such as {}", grouped(decisions.len() as u64), example(&decisions)),
        },
    };
    Listed::of(groups.into_iter().map(row), String::new(), "loss.json")
}

/// One command that was given.
#[derive(Debug)]
pub(super) struct RunView {
    pub(super) command: String,
    pub(super) outcome: &'static str,
    pub(super) began: String,
    pub(super) seconds: String,
    pub(super) error: String,
    pub(super) stages: Vec<StageView>,
}

/// One of its stages.
#[derive(Debug)]
pub(super) struct StageView {
    pub(super) name: String,
    pub(super) bar: String,
    pub(super) seconds: String,
    pub(super) done: String,
}

pub(super) fn run(run: &Run) -> RunView {
    RunView {
        command: shown(&run.command),
        outcome: match run.outcome {
            Outcome::Verified => "carried out and verified",
            Outcome::NotVerified => "carried out, not verified",
            Outcome::Stopped => "stopped half way",
            Outcome::Refused => "refused, nothing changed",
            Outcome::RolledBack => "rolled back",
        },
        began: shown(&run.began),
        seconds: format!("{:.1} s", run.seconds),
        error: run.error.as_deref().map(shown).unwrap_or_default(),
        stages: run
            .stages
            .iter()
            .map(|stage| StageView {
                name: shown(&stage.stage),
                bar: bar::of_stage(stage.began_seconds, stage.seconds, run.seconds),
                seconds: format!("{:.1} s", stage.seconds),
                done: if stage.unit == "bytes" {
                    bytes(stage.done)
                } else {
                    format!("{} {}", grouped(stage.done), shown(&stage.unit))
                },
            })
            .collect(),
    }
}

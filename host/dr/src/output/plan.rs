//! What an operator sees of a plan before anything is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::Path;

use dr_engine::contract::{Decision, LostRange};
use dr_engine::ledgers::LATER;
use dr_engine::plan::{AbsentMetadata, ContainerPlan, Effect, Maker, Plan, PlanWarning, RestoredContainer};
use serde::Serialize;

use super::next;
use super::table::{self, Align};
use super::text::{Colour, bytes, counted, grouped, shown};

/// Most rows of decisions and of losses that are shown; the plan's file holds all.
const ROWS_SHOWN_MAX: usize = 20;

/// A plan in the stream of events; the effects themselves stand in the file.
#[derive(Debug, Serialize)]
pub(crate) struct PlanEvent<'a> {
    id: &'a str,
    cluster: &'a str,
    container_count: u32,
    run_directory: &'a Path,
    maker: &'a Maker,
    containers: &'a [ContainerPlan],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    restored: &'a [RestoredContainer],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [PlanWarning],
    decisions: &'a [Decision],
    losses: &'a [LostRange],
    effects: EffectCounts,
}

impl<'a> PlanEvent<'a> {
    /// The event for a plan in its directory.
    pub(crate) fn new(plan: &'a Plan, run_directory: &'a Path) -> Self {
        Self {
            id: &plan.id,
            cluster: &plan.cluster,
            container_count: plan.container_count,
            run_directory,
            maker: &plan.maker,
            containers: &plan.containers,
            restored: &plan.restored,
            warnings: &plan.warnings,
            decisions: &plan.decisions,
            losses: &plan.losses,
            effects: EffectCounts::of(plan),
        }
    }
}

/// How many effects of each sort.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct EffectCounts {
    ledgers: u64,
    log_bytes: u64,
    objects_moved: u64,
    #[serde(skip_serializing_if = "is_zero")]
    objects_written: u64,
    znodes_created: u64,
    znodes_set: u64,
    znodes_deleted: u64,
    #[serde(skip_serializing_if = "is_zero")]
    ledgers_registered: u64,
    #[serde(skip_serializing_if = "is_zero")]
    ledgers_closed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    bookies_registered: u64,
    logs_committed: u64,
    /// Of these, in place of one that ZooKeeper still has.
    #[serde(skip_serializing_if = "is_zero")]
    logs_replaced: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl fmt::Display for EffectCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} with {}, {} moved, ZNodes: {} created, {} changed, {} deleted, {} committed",
            counted(self.ledgers, "ledger", "ledgers"),
            bytes(self.log_bytes),
            counted(self.objects_moved, "object", "objects"),
            self.znodes_created,
            self.znodes_set,
            self.znodes_deleted,
            counted(self.logs_committed, "container", "containers"),
        )
    }
}

impl EffectCounts {
    /// Counts.
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut counts = Self::default();
        for effect in &plan.effects {
            match effect {
                Effect::WriteLog { bytes, .. } => {
                    counts.ledgers += 1;
                    counts.log_bytes += bytes;
                }
                Effect::MoveAside { objects, .. } => counts.objects_moved += objects.len() as u64,
                Effect::WriteObjects { objects, .. } => counts.objects_written += objects.len() as u64,
                Effect::CreateZnode { .. } => counts.znodes_created += 1,
                Effect::SetZnode { .. } => counts.znodes_set += 1,
                Effect::DeleteZnode { .. } => counts.znodes_deleted += 1,
                Effect::RestoreLedgers { ledgers, .. } => counts.ledgers_registered += ledgers.len() as u64,
                Effect::CloseLedgers { ledgers, .. } => counts.ledgers_closed += ledgers.len() as u64,
                Effect::RegisterBookies(planned) => counts.bookies_registered += planned.bookies.len() as u64,
                Effect::RestoreLog { expected_version, .. } | Effect::CommitLog { expected_version, .. } => {
                    counts.logs_committed += 1;
                    counts.logs_replaced += u64::from(expected_version.is_some());
                }
            }
        }
        counts
    }
}

/// The plan for people. `destination` is where Tier-1 is; `verbose` shows all decisions and losses.
/// `root` is that of Tier-2, if it is known.
pub(crate) fn render(
    plan: &Plan,
    (root, destination): (Option<&Path>, &str),
    run_directory: &Path,
    verbose: bool,
    colour: Colour,
) -> String {
    let rows_max = if verbose { usize::MAX } else { ROWS_SHOWN_MAX };
    let mut text = String::new();
    let title = format!("Plan {} for the cluster `{}`", plan.id, shown(&plan.cluster));
    let _ = writeln!(text, "\n{}", colour.bold(&title));
    let _ = writeln!(
        text,
        "made by the procedure {} {} from {} ({}) in Tier-2; kept in {}\n",
        shown(&plan.maker.procedure),
        shown(&plan.maker.version),
        counted(plan.evidence.objects, "object", "objects"),
        bytes(plan.evidence.bytes),
        run_directory.display()
    );
    if !plan.containers.is_empty() {
        text.push_str(&containers(plan));
    }
    if !plan.restored.is_empty() {
        text.push_str(&restored(plan));
    }
    text.push_str(&changes(plan, destination, colour));
    text.push_str(&second_step(plan, colour));
    text.push_str(&warnings(plan, colour));
    text.push_str(&oddities(plan, colour));
    text.push_str(&decisions(plan, verbose, colour));
    text.push_str(&losses(plan, rows_max, colour));
    text.push_str(&absent_metadata(plan, root, colour));
    text
}

/// What it means that metadata is not there, and what can still be had.
fn absent_metadata(plan: &Plan, root: Option<&Path>, colour: Colour) -> String {
    let mut text = String::new();
    for container in &plan.containers {
        let Some(absent) = &container.absent_metadata else { continue };
        let tables = absent.tables.iter().map(|table| format!("`{}`", shown(table))).collect::<Vec<_>>().join(" and ");
        let title = format!("WARNING: container {} has no metadata in Tier-2", container.container);
        let _ = writeln!(text, "\n{}", colour.red(&title));
        let _ = writeln!(text, "  not one byte of {tables} is there: never flushed, or lost; {}", consequence(absent));
    }
    if text.is_empty() {
        return text;
    }
    text.push_str("\n  If a copy of Tier-2 has these tables, restore them first. Streams that nobody names cannot be read in the new cluster.\n");
    let commands = export_commands(plan, root);
    if !commands.is_empty() {
        text.push_str(
            "  Their objects stay in place, and their events can be exported at any time, also after the recovery:\n",
        );
    }
    for command in commands {
        let _ = writeln!(text, "    {command}");
    }
    text
}

/// Commands that export the events of streams that only objects name, in containers without metadata.
pub(crate) fn export_commands(plan: &Plan, root: Option<&Path>) -> Vec<String> {
    let absent = plan.containers.iter().filter_map(|container| container.absent_metadata.as_ref());
    let streams: BTreeSet<&String> = absent.flat_map(|absent| &absent.streams).collect();
    let root = root.map_or_else(|| "ROOT".to_owned(), |root| root.to_string_lossy().into_owned());
    let command = |stream: &String| {
        let file = format!("{}.events", stream.replace('/', "."));
        let words = ["dr", "export-events", &root, stream, "--output", &file].map(str::to_owned);
        shown(&next::command(&words))
    };
    streams.into_iter().map(command).collect()
}

/// What follows from the absence of metadata, as the end of a sentence.
pub(crate) fn consequence(absent: &AbsentMetadata) -> &'static str {
    match absent.tables.as_slice() {
        [table] if table.contains("/storage_metadata_") => {
            "which objects make up a segment is told by their names alone"
        }
        [_] => {
            "attributes, truncations and seals that no other table tells are gone, and segments without bytes that the controller does not name"
        }
        _ => "nothing but the names of objects tells what it held: none of its segments can live again with certainty",
    }
}

fn containers(plan: &Plan) -> String {
    if plan.containers.is_empty() {
        return String::new();
    }
    let columns = [
        ("Container", Align::Right),
        ("Segments", Align::Right),
        ("Data", Align::Right),
        ("Of streams", Align::Right),
        ("Of tables", Align::Right),
        ("Other", Align::Right),
        ("New log", Align::Right),
        ("Epoch", Align::Right),
    ];
    let row = |container: &ContainerPlan| {
        let (streams, tables, other) = by_family(container);
        vec![
            container.container.to_string(),
            grouped(container.image.segments),
            bytes(container.data_bytes),
            grouped(streams),
            grouped(tables),
            grouped(other),
            bytes(container.image.log_bytes),
            container.image.epoch.to_string(),
        ]
    };
    table::render(&columns, plan.containers.iter().map(row))
}

/// Containers that come back with the logs that they had.
fn restored(plan: &Plan) -> String {
    let columns = [
        ("Container", Align::Right),
        ("Ledgers", Align::Right),
        ("Old log", Align::Right),
        ("Operations", Align::Right),
        ("Up to", Align::Right),
        ("Epoch", Align::Right),
        ("Its ZNode", Align::Left),
    ];
    let row = |restored: &RestoredContainer| {
        vec![
            restored.container.to_string(),
            grouped(restored.ledgers.into()),
            bytes(restored.bytes),
            if restored.later { LATER.to_owned() } else { grouped(restored.operations) },
            restored.last_operation.to_string(),
            if restored.later { LATER.to_owned() } else { restored.epoch.to_string() },
            match restored {
                RestoredContainer { later: true, .. } => LATER,
                RestoredContainer { kept: true, .. } => "stays",
                _ => "written",
            }
            .to_owned(),
        ]
    };
    table::render(&columns, plan.restored.iter().map(row))
}

/// Segments with events, tables, and the rest.
fn by_family(container: &ContainerPlan) -> (u64, u64, u64) {
    let mut families = (0, 0, 0);
    for (kind, count) in &container.segments_by_kind {
        match kind.as_str() {
            "stream" | "transaction" | "transient" | "reader-group" | "mark" => families.0 += count,
            "key-value-table" | "controller-table" => families.1 += count,
            _ => families.2 += count,
        }
    }
    families
}

fn changes(plan: &Plan, destination: &str, colour: Colour) -> String {
    let counts = EffectCounts::of(plan);
    let mut text = format!("\n{}\n", colour.bold("What will change"));
    if plan.changes_nothing() {
        text.push_str("  nothing: this procedure only looks\n");
    }
    let mut line = |number: u64, sentence: String| {
        if number > 0 {
            let _ = writeln!(text, "  {sentence}");
        }
    };
    let ledgers = counted(counts.ledgers, "ledger", "ledgers");
    line(counts.ledgers, format!("{ledgers} with {} created in {}", bytes(counts.log_bytes), shown(destination)));
    let written = counted(counts.objects_written, "object", "objects");
    line(
        counts.objects_written,
        format!("{written} written to Tier-2, with what is left of logs that cannot be restored"),
    );
    let objects = counted(counts.objects_moved, "metadata object", "metadata objects");
    let places = aside_places(plan).join(", ");
    line(counts.objects_moved, format!("{objects} of Tier-2 moved aside, to {}; nothing is deleted", shown(&places)));
    line(counts.znodes_created, format!("{} created", counted(counts.znodes_created, "ZNode", "ZNodes")));
    line(counts.znodes_set, format!("{} changed", counted(counts.znodes_set, "ZNode", "ZNodes")));
    line(counts.znodes_deleted, format!("{} deleted", counted(counts.znodes_deleted, "ZNode", "ZNodes")));
    let registered = counted(counts.ledgers_registered, "ledger", "ledgers");
    line(
        counts.ledgers_registered,
        format!("{registered} of the bookies' disks registered again, closed at their ends"),
    );
    let closed = counted(counts.ledgers_closed, "registered ledger", "registered ledgers");
    line(counts.ledgers_closed, format!("{closed} closed, which never were"));
    let bookies = counted(counts.bookies_registered, "bookie", "bookies");
    line(counts.bookies_registered, format!("{bookies} registered again, with the cookies that are on their disks"));
    let logs = counted(counts.logs_committed, "container", "containers");
    let which = if plan.restored.is_empty() { "the new log" } else { "the log" };
    let instead = match counts.logs_replaced {
        0 => String::new(),
        replaced => format!(", {replaced} of them in place of one that ZooKeeper still has"),
    };
    line(counts.logs_committed, format!("{logs} given {which}{instead}, last of all"));
    text
}

/// That the plan is the first of two steps, and what must not be done between them.
fn second_step(plan: &Plan, colour: Colour) -> String {
    if !plan.awaits_bookies() {
        return String::new();
    }
    let title = colour.red("This is the first of two steps");
    format!(
        "\n{title}\n  surveys tell where ledgers end, and not what is in them: the logs are restored by a second plan, when the bookies run\n  \
         until then start no segment store and no controller: a store would begin an empty log\n"
    )
}

/// What may be wrong with what the plan rests on. All of it: whoever carries out the plan has to know.
fn warnings(plan: &Plan, colour: Colour) -> String {
    let mut text = String::new();
    for PlanWarning { subject, finding, next_step } in &plan.warnings {
        let title = colour.red(&format!("WARNING: {}", shown(subject)));
        let _ = writeln!(text, "\n{title}\n  {}\n  next: {}", shown(finding), shown(next_step));
    }
    text
}

fn aside_places(plan: &Plan) -> Vec<String> {
    let place =
        |effect: &Effect| if let Effect::MoveAside { place, .. } = effect { Some(format!("`{place}`")) } else { None };
    let mut places: Vec<_> = plan.effects.iter().filter_map(place).collect();
    places.sort();
    places.dedup();
    if places.len() > 2 {
        let rest = places.len() - 1;
        places.truncate(1);
        places.push(format!("and {rest} more places like it"));
    }
    places
}

/// How many segments each finding concerns.
pub(crate) fn oddity_counts(plan: &Plan) -> BTreeMap<&str, u64> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (finding, count) in plan.containers.iter().flat_map(|container| &container.findings) {
        *counts.entry(finding).or_default() += count;
    }
    counts
}

fn oddities(plan: &Plan, colour: Colour) -> String {
    let counts = oddity_counts(plan);
    if counts.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", colour.bold("What was found"));
    for (finding, count) in counts {
        let _ = writeln!(text, "  {} {}", counted(count, "segment", "segments"), in_words(finding));
    }
    text
}

/// What a finding means, with its code; an open set, so that an unknown one is shown as it is.
pub(crate) fn in_words(finding: &str) -> String {
    let meaning = match finding {
        "no-record" => "without objects, as nothing was ever written to them",
        "no-row" => "that the old container metadata did not name yet",
        "sealed-differs" => "sealed by one source and open by another",
        "seal-ahead" => {
            "that had just been sealed for a scale of which the controller's tables know nothing yet; they are open again"
        }
        "deleted-ahead" => {
            "that had just been deleted, and without which the controller could do nothing with their streams; they are made anew, empty"
        }
        "truncation-ahead" => {
            "that are tables of the controller, whose stream was truncated further than they said; they say so now"
        }
        "names-freed" => {
            "that are tables of the controller and named key-value tables or reader groups which nobody could use"
        }
        "transactions-ended" => "that are tables of the controller and told how transactions under way ended",
        "reader-group-renewed" => "that are states of reader groups and begin anew, without readers",
        "reader-group-ahead" => {
            "that are states of reader groups which had come further than what is left; close their readers before the stores start"
        }
        "event-numbers-ahead" => "whose writers' event numbers were ahead of the events; they are set back",
        "mark-outside" => {
            "whose mark, from which clients of a shared state read, lay outside of what is left; it is set back"
        }
        "merge-begun" => "cut where the merge of a transaction was begun; the whole transaction is kept beside it",
        "merge-completed" => "to which committed transactions were added that a crash had left outside",
        "sealed-by-controller" => "sealed only by the word of the controller's tables",
        "longer-object" => "with more bytes in the last object than the metadata knew; they are examined and kept",
        "shorter-object" => "with an object that is shorter than the metadata says",
        "missing-object" => "with an object that is missing",
        "truncated-behind-end" => "truncated behind all that Tier-2 holds of them; they are empty and go on from there",
        "named-by-controller" => {
            "of which only the controller's tables still tell; they are created, empty or with what their objects hold"
        }
        "leading-object-gone" => "whose first objects are gone, as after a truncation",
        "unlinked-object" => "with an object behind the end that the metadata knew",
        "row-length-differs" => "whose length in the old container metadata is another one",
        "table-index-completed" => "whose table index is completed from the entries themselves",
        "table-index-ahead" => "whose table index names entries that never reached Tier-2",
        "attribute-index-cut" => "whose attribute index is used as of its last whole state",
        "attribute-index-unreadable" => "whose attribute index cannot be read; the store makes a new one",
        "chain-by-names" => "whose storage record is lost by damage; their objects are put together by their names",
        "chain-broken" => "with a chunk of which the metadata knows nothing",
        unknown => return format!("with the finding {}", shown(unknown)),
    };
    format!("{meaning} ({finding})")
}

/// All decisions, or one line for each choice and its reason.
fn decisions(plan: &Plan, verbose: bool, colour: Colour) -> String {
    if plan.decisions.is_empty() {
        return String::new();
    }
    let title = colour.bold("What the procedure decided");
    if verbose {
        return format!("\n{title}\n{}", all_decisions(plan));
    }
    // In the order of the plan, which is that of the containers.
    let mut groups: Vec<((&str, &str), Vec<&Decision>)> = Vec::new();
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for decision in &plan.decisions {
        let kind = (decision.choice.as_str(), decision.reason.as_str());
        let place = *places.entry(kind).or_insert(groups.len());
        if place == groups.len() {
            groups.push((kind, Vec::new()));
        }
        groups[place].1.push(decision);
    }
    let mut text = format!("\n{title}\n");
    for ((choice, reason), decisions) in groups.iter().take(ROWS_SHOWN_MAX) {
        let subject = match decisions[..] {
            [only] => shown(&only.subject),
            _ => format!("{}, such as {}", counted(decisions.len() as u64, "subject", "subjects"), example(decisions)),
        };
        let _ = writeln!(text, "  {}: {subject}\n    because {}", shown(choice), shown(reason));
    }
    text.push_str(&more(groups.len(), ROWS_SHOWN_MAX));
    if groups.len() < plan.decisions.len() {
        text.push_str("  (-v shows each of them)\n");
    }
    text
}

/// The shortest subject, which is the one that a person recognises.
pub(crate) fn example(decisions: &[&Decision]) -> String {
    let subjects = decisions.iter().map(|decision| decision.subject.as_str());
    subjects.min_by_key(|subject| subject.len()).map(shown).unwrap_or_default()
}

fn all_decisions(plan: &Plan) -> String {
    let columns =
        [("Container", Align::Right), ("Subject", Align::Left), ("Choice", Align::Left), ("Reason", Align::Left)];
    let row = |decision: &Decision| {
        vec![
            decision.container.map_or_else(|| "all".to_owned(), |container| container.to_string()),
            shown(&decision.subject),
            shown(&decision.choice),
            shown(&decision.reason),
        ]
    };
    table::render(&columns, plan.decisions.iter().map(row))
}

fn losses(plan: &Plan, rows_max: usize, colour: Colour) -> String {
    if plan.losses.is_empty() && plan.gives_up_data() {
        return String::new();
    }
    if plan.awaits_bookies() && plan.losses.is_empty() {
        return "\nWhether anything is lost shows in the second step.\n".to_owned();
    }
    if plan.losses.is_empty() {
        let nothing = if plan.restored.is_empty() {
            "Nothing that Tier-2 holds will be lost."
        } else {
            "Nothing that Tier-2 or the bookies hold will be lost."
        };
        return format!("\n{}\n", colour.green(nothing));
    }
    let columns = [
        ("Container", Align::Right),
        ("Segment", Align::Left),
        ("From", Align::Right),
        ("Bytes", Align::Right),
        ("Reason", Align::Left),
    ];
    let row = |range: &LostRange| {
        let length = range.end.map_or_else(|| "not known".to_owned(), |end| grouped(end.saturating_sub(range.first)));
        vec![range.container.to_string(), shown(&range.segment), grouped(range.first), length, shown(&range.reason)]
    };
    let table = table::render(&columns, plan.losses.iter().take(rows_max).map(row));
    let title = format!("What is lost: {}", counted(plan.losses.len() as u64, "range of bytes", "ranges of bytes"));
    format!("\n{}\n{table}{}", colour.red(&title), more(plan.losses.len(), rows_max))
}

fn more(rows: usize, rows_max: usize) -> String {
    if rows <= rows_max {
        return String::new();
    }
    format!(" and {} more; -v shows all, plan.json holds them\n", grouped((rows - rows_max) as u64))
}

#[cfg(test)]
pub(crate) mod tests {
    use dr_engine::contract::ContainerImage;
    use dr_engine::plan::{EvidenceDigest, MovedObject};

    use super::*;

    pub(crate) fn plan() -> Plan {
        let image =
            ContainerImage { segments: 120, operations: 200, log_bytes: 4096, epoch: 1010, digest: "d".to_owned() };
        let kinds = [("stream", 90), ("controller-table", 20), ("other", 10)];
        let move_aside = Effect::MoveAside {
            container: 0,
            place: "_dr/aside/container-0".to_owned(),
            objects: vec![MovedObject { key: "k".to_owned(), size: 1 }],
        };
        let write =
            Effect::WriteLog { container: 0, image: "i".to_owned(), digest: "d".to_owned(), entries: 2, bytes: 4096 };
        Plan {
            format_version: 1,
            id: "0123456789abcdef".to_owned(),
            cluster: "lab".to_owned(),
            container_count: 1,
            maker: Maker {
                procedure: "total-loss".to_owned(),
                version: "0.1.0".to_owned(),
                digest: "d".to_owned(),
                signer: None,
                settings: vec![],
                granted: None,
                host_version: "0.1.0".to_owned(),
            },
            evidence: EvidenceDigest {
                listing: "l".to_owned(),
                objects: 380,
                bytes: 1 << 20,
                parts: vec![],
                znodes: None,
            },
            restored: Vec::new(),
            warnings: Vec::new(),
            containers: vec![ContainerPlan {
                container: 0,
                image,
                segments_by_kind: kinds.map(|(kind, count)| (kind.to_owned(), count)).to_vec(),
                data_bytes: 3 << 20,
                findings: vec![("longer-object".to_owned(), 2)],
                completed_tables: 1,
                absent_metadata: None,
            }],
            decisions: vec![Decision {
                container: None,
                subject: "tail".to_owned(),
                choice: "whole-events".to_owned(),
                reason: "setting".to_owned(),
            }],
            losses: vec![],
            effects: vec![
                write,
                move_aside,
                Effect::CreateZnode { path: "/pravega/lab/counter".to_owned(), data: vec![] },
                Effect::CommitLog {
                    container: 0,
                    path: "/pravega/lab/x".to_owned(),
                    epoch: 1010,
                    expected_version: None,
                },
            ],
        }
    }

    #[test]
    fn a_plan_without_losses() {
        let expected = "\nPlan 0123456789abcdef for the cluster `lab`
made by the procedure total-loss 0.1.0 from 380 objects (1.0 MiB) in Tier-2; kept in run

 Container   Segments      Data   Of streams   Of tables   Other   New log   Epoch
-----------------------------------------------------------------------------------
         0        120   3.0 MiB           90          20      10   4.0 KiB    1010

What will change
  1 ledger with 4.0 KiB created in directory t
  1 metadata object of Tier-2 moved aside, to `_dr/aside/container-0`; nothing is deleted
  1 ZNode created
  1 container given the new log, last of all

What was found
  2 segments with more bytes in the last object than the metadata knew; they are examined and kept (longer-object)

What the procedure decided
  whole-events: tail
    because setting

Nothing that Tier-2 holds will be lost.
";
        assert_eq!(render(&plan(), (None, "directory t"), Path::new("run"), false, Colour::NONE), expected);
    }

    #[test]
    fn losses_are_counted_and_cut_off_with_a_word() {
        let mut lossy = plan();
        let range = |first| LostRange {
            container: 0,
            segment: "s/a/0".to_owned(),
            first,
            end: None,
            reason: "torn".to_owned(),
        };
        lossy.losses = (0..25).map(range).collect();
        let text = losses(&lossy, ROWS_SHOWN_MAX, Colour::NONE);
        assert!(text.contains("What is lost: 25 ranges of bytes") && text.contains("and 5 more"), "{text}");
        assert!(!losses(&lossy, usize::MAX, Colour::NONE).contains("more;"));
    }

    #[test]
    fn many_decisions_of_one_sort_are_one_line() {
        let mut many = plan();
        let decision =
            |subject: &str| Decision { container: Some(0), subject: subject.to_owned(), ..many.decisions[0].clone() };
        many.decisions = vec![decision("a/long/name"), decision("short")];
        let expected = "\nWhat the procedure decided\n  whole-events: 2 subjects, such as short\n    because setting\n  (-v shows each of them)\n";
        assert_eq!(decisions(&many, false, Colour::NONE), expected);
        assert!(decisions(&many, true, Colour::NONE).contains("a/long/name"));
    }

    #[test]
    fn the_event_counts_effects() {
        let plan = plan();
        let event = serde_json::to_value(PlanEvent::new(&plan, Path::new("run"))).unwrap();
        assert_eq!(event["effects"]["ledgers"], 1);
        assert_eq!(event["effects"]["objects_moved"], 1);
        assert_eq!(event["containers"][0]["image"]["epoch"], 1010);
    }
}

//! In what two plans differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dr_engine::contract::{Decision, LostRange};
use dr_engine::plan::{ContainerPlan, Plan};
use dr_engine::report::{LossReport, Owner, StreamReport};
use serde::Serialize;

use super::loss::kind_in_words;
use super::plan::EffectCounts;
use super::procedure::granted_in_words;
use super::table::{self, Align};
use super::text::{Colour, bytes, counted, grouped, shown};

/// Most rows of each sort that are shown; the stream of events holds all.
const ROWS_SHOWN_MAX: usize = 20;

/// Two plans, and what only one of them says.
#[derive(Debug, Serialize)]
pub(crate) struct PlanDifference<'a> {
    first: &'a str,
    second: &'a str,
    /// What made the plans or what they rest on, where it differs.
    origin: Vec<Change>,
    /// Figures of containers that differ.
    containers: Vec<ContainerChange>,
    /// Figures of streams that differ.
    streams: Vec<StreamChange<'a>>,
    decisions: Sides<&'a Decision>,
    losses: Sides<&'a LostRange>,
    effects: [EffectCounts; 2],
    effects_differ: bool,
}

/// One thing that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    what: &'static str,
    first: String,
    second: String,
}

/// One figure of a container that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct ContainerChange {
    container: u32,
    #[serde(flatten)]
    change: Change,
}

/// One figure of a stream that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct StreamChange<'a> {
    #[serde(flatten)]
    owner: &'a Owner,
    #[serde(flatten)]
    change: Change,
}

/// What only one of two plans has.
#[derive(Debug, Serialize)]
struct Sides<T> {
    only_first: Vec<T>,
    only_second: Vec<T>,
}

impl<T: PartialEq> Sides<T> {
    /// Both lists are in their plan's order, which is a total one.
    fn of<'a, K: Ord>(first: &'a [T], second: &'a [T], key: impl Fn(&'a T) -> K) -> Sides<&'a T> {
        let keyed = |side: &'a [T]| side.iter().map(|item| (key(item), item)).collect::<BTreeMap<K, &'a T>>();
        let (of_first, of_second) = (keyed(first), keyed(second));
        let only = |one: &BTreeMap<K, &'a T>, other: &BTreeMap<K, &'a T>| {
            one.iter().filter(|(key, _)| !other.contains_key(key)).map(|(_, item)| *item).collect()
        };
        Sides { only_first: only(&of_first, &of_second), only_second: only(&of_second, &of_first) }
    }
}

impl<'a> PlanDifference<'a> {
    /// Compares.
    pub(crate) fn of([first, second]: [&'a Plan; 2], reports: [&'a LossReport; 2]) -> Self {
        let decision = |d: &'a Decision| (d.container, &d.subject, &d.choice, &d.reason);
        let loss = |l: &'a LostRange| (l.container, &l.segment, l.first, l.end, &l.reason);
        Self {
            first: &first.id,
            second: &second.id,
            origin: origin(first, second),
            containers: containers(first, second),
            streams: streams(reports),
            decisions: Sides::of(&first.decisions, &second.decisions, decision),
            losses: Sides::of(&first.losses, &second.losses, loss),
            effects: [EffectCounts::of(first), EffectCounts::of(second)],
            effects_differ: first.effects != second.effects,
        }
    }

    /// For people.
    pub(crate) fn render(&self, colour: Colour) -> String {
        if self.first == self.second {
            return format!("Both are plan {}: the same, byte for byte.\n", self.first);
        }
        let mut text = format!("Plan {} and plan {}\n", self.first, self.second);
        let change = |change: &Change| vec![change.what.to_owned(), shown(&change.first), shown(&change.second)];
        if !self.origin.is_empty() {
            let columns = [("Rests on", Align::Left), ("First", Align::Left), ("Second", Align::Left)];
            let _ = write!(text, "\n{}", table::render(&columns, self.origin.iter().map(change)));
        }
        if !self.containers.is_empty() {
            let columns = [
                ("Container", Align::Right),
                ("Figure", Align::Left),
                ("First", Align::Right),
                ("Second", Align::Right),
            ];
            let row =
                |row: &ContainerChange| std::iter::once(row.container.to_string()).chain(change(&row.change)).collect();
            let _ = write!(text, "\n{}", table::render(&columns, self.containers.iter().map(row)));
        }
        text += &self.render_streams(colour);
        let decision = |d: &&Decision| format!("{}: {} ({})", shown(&d.subject), shown(&d.choice), shown(&d.reason));
        text += &sides("Decisions", &self.decisions, decision, colour);
        let loss = |l: &&LostRange| {
            let end = l.end.map_or_else(|| "its end".to_owned(), |end| end.to_string());
            format!("{}: bytes {} to {end} ({})", shown(&l.segment), l.first, shown(&l.reason))
        };
        text += &sides("Losses", &self.losses, loss, colour);
        if self.effects_differ {
            let [first, second] = &self.effects;
            let _ = writeln!(text, "\n{}\n  first:  {first}\n  second: {second}", colour.bold("Effects"));
        }
        text
    }
}

impl PlanDifference<'_> {
    fn render_streams(&self, colour: Colour) -> String {
        if self.streams.is_empty() {
            return String::new();
        }
        let columns = [
            ("Stream or table", Align::Left),
            ("Figure", Align::Left),
            ("First", Align::Right),
            ("Second", Align::Right),
        ];
        let row = |StreamChange { owner, change }: &StreamChange<'_>| {
            vec![
                format!("{} ({})", shown(&owner.path()), kind_in_words(owner.kind)),
                change.what.to_owned(),
                change.first.clone(),
                change.second.clone(),
            ]
        };
        let table = table::render(&columns, self.streams.iter().take(ROWS_SHOWN_MAX).map(row));
        let mut text = format!("\n{}\n{table}", colour.bold("Streams and tables"));
        if self.streams.len() > ROWS_SHOWN_MAX {
            let _ =
                writeln!(text, "  and {} more", counted((self.streams.len() - ROWS_SHOWN_MAX) as u64, "row", "rows"));
        }
        text
    }
}

fn sides<T>(title: &str, sides: &Sides<T>, line: impl Fn(&T) -> String, colour: Colour) -> String {
    let mut text = String::new();
    for (which, rows) in [("first", &sides.only_first), ("second", &sides.only_second)] {
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{}", colour.bold(&format!("{title} of the {which} alone")));
        for row in rows.iter().take(ROWS_SHOWN_MAX) {
            let _ = writeln!(text, "  {}", line(row));
        }
        if rows.len() > ROWS_SHOWN_MAX {
            let _ = writeln!(text, "  and {} more", counted((rows.len() - ROWS_SHOWN_MAX) as u64, "row", "rows"));
        }
    }
    text
}

fn origin(first: &Plan, second: &Plan) -> Vec<Change> {
    let of = |plan: &Plan| {
        let settings: Vec<String> = plan.maker.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        [
            ("cluster", plan.cluster.clone()),
            ("containers of the cluster", plan.container_count.to_string()),
            ("procedure", format!("{} {}", plan.maker.procedure, plan.maker.version)),
            ("digest of the procedure", plan.maker.digest.clone()),
            ("signer of the procedure", plan.maker.signer.clone().unwrap_or_else(|| "none".to_owned())),
            ("settings", settings.join(" ")),
            ("granted", plan.maker.granted.as_ref().map(granted_in_words).unwrap_or_default()),
            ("dr", plan.maker.host_version.clone()),
            ("objects in Tier-2", plan.evidence.objects.to_string()),
            ("bytes in Tier-2", plan.evidence.bytes.to_string()),
            ("digest of Tier-2", plan.evidence.listing.clone()),
        ]
    };
    changes(of(first), of(second))
}

fn containers(first: &Plan, second: &Plan) -> Vec<ContainerChange> {
    let of = |plan: &Plan| -> BTreeMap<u32, [(&'static str, String); 5]> {
        plan.containers.iter().map(|container| (container.container, figures(container))).collect()
    };
    let (of_first, of_second) = (of(first), of(second));
    let absent = || ["segments", "data", "epoch", "tables completed", "log image"].map(|what| (what, "-".to_owned()));
    let numbers: std::collections::BTreeSet<u32> = of_first.keys().chain(of_second.keys()).copied().collect();
    let of_container = |container: u32| {
        let side = |plan: &BTreeMap<u32, _>| plan.get(&container).cloned().unwrap_or_else(absent);
        changes(side(&of_first), side(&of_second)).into_iter().map(move |change| ContainerChange { container, change })
    };
    numbers.into_iter().flat_map(of_container).collect()
}

/// Both lists are in the order of owners.
fn streams<'a>([first, second]: [&'a LossReport; 2]) -> Vec<StreamChange<'a>> {
    let of = |report: &'a LossReport| -> BTreeMap<&'a Owner, &'a StreamReport> {
        report.streams.iter().map(|stream| (&stream.owner, stream)).collect()
    };
    let (of_first, of_second) = (of(first), of(second));
    let owners: std::collections::BTreeSet<&Owner> = of_first.keys().chain(of_second.keys()).copied().collect();
    let of_owner = |owner: &'a Owner| {
        let side = |report: &BTreeMap<&Owner, &StreamReport>| stream_figures(report.get(owner).copied());
        changes(side(&of_first), side(&of_second)).into_iter().map(move |change| StreamChange { owner, change })
    };
    owners.into_iter().flat_map(of_owner).collect()
}

fn stream_figures(stream: Option<&StreamReport>) -> [(&'static str, String); 4] {
    let figure = |of: fn(&StreamReport) -> String| stream.map_or_else(|| "-".to_owned(), of);
    [
        ("segments", figure(|stream| grouped(stream.figures.segments.created))),
        ("bytes kept", figure(|stream| grouped(stream.figures.kept_bytes))),
        ("bytes lost", figure(|stream| grouped(stream.figures.lost_bytes + stream.figures.bookkeeping_bytes))),
        ("bytes unknown", figure(|stream| grouped(stream.figures.unknown_bytes))),
    ]
}

fn figures(container: &ContainerPlan) -> [(&'static str, String); 5] {
    [
        ("segments", container.image.segments.to_string()),
        ("data", bytes(container.data_bytes)),
        ("epoch", container.image.epoch.to_string()),
        ("tables completed", container.completed_tables.to_string()),
        ("log image", container.image.digest.chars().take(16).collect()),
    ]
}

fn changes<const N: usize>(first: [(&'static str, String); N], second: [(&'static str, String); N]) -> Vec<Change> {
    let pairs = first.into_iter().zip(second).filter(|((_, first), (_, second))| first != second);
    pairs.map(|((what, first), (_, second))| Change { what, first, second }).collect()
}

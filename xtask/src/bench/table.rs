//! What was measured, for people.

use std::time::Duration;

use super::measure::{Lap, Measured, Stages};
use super::tree::Tree;

/// What the official recovery command took for a cluster of this size, and the size.
const OFFICIAL_SECONDS: f64 = 378.0;
const OFFICIAL_SEGMENTS: f64 = 5_100.0;

/// One column: its head, and the figure of a run.
type Column = (&'static str, fn(&Tree, &Measured) -> f64);

/// A part of a recovery: its name, and what it took.
type Stage = (&'static str, fn(&Stages) -> Lap);

const STAGES: &[Stage] = &[
    ("list", |stages| stages.list),
    ("survey", |stages| stages.survey),
    ("plan", |stages| stages.plan),
    ("save", |stages| stages.save),
    ("compare", |stages| stages.compare),
    ("logs", |stages| stages.logs),
    ("aside", |stages| stages.move_aside),
    ("znodes", |stages| stages.znodes),
    ("commit", |stages| stages.commit),
    ("verify", |stages| stages.verify),
    ("to commit", |stages| stages.until_committed()),
];

const COLUMNS: &[Column] = &[
    ("us/segment", |tree, run| 1e6 * run.stages.until_committed().time.as_secs_f64() / tree.segments as f64),
    ("cpu us/seg", |tree, run| 1e6 * run.stages.until_committed().processor_seconds / tree.segments as f64),
    ("cpu s", |_, run| run.usage.processor_seconds.unwrap_or(f64::NAN)),
    ("MB/s", |tree, run| tree.bytes as f64 / 1e6 / run.stages.until_committed().time.as_secs_f64()),
    ("guest %", |_, run| 100.0 * run.stages.guest_seconds / run.recovery.as_secs_f64()),
    ("peak MiB", |_, run| run.usage.peak_bytes.map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20))),
    ("/ read", |_, run| ratio(run.recovery, run.read)),
    ("meta %", |_, run| 100.0 * ratio(run.read_metadata, run.list_segments.metadata)),
    ("meta cold%", |_, run| 100.0 * ratio(run.read_cold_metadata, run.list_segments_cold.metadata)),
    ("list %", |_, run| 100.0 * ratio(run.read_metadata, run.list_segments.whole)),
    ("list cold%", |_, run| 100.0 * ratio(run.read_cold_metadata, run.list_segments_cold.whole)),
    ("x official", |tree, run| {
        OFFICIAL_SECONDS * tree.segments as f64 / OFFICIAL_SEGMENTS / run.recovery.as_secs_f64()
    }),
];

/// Prints what the columns are.
pub(super) fn print_head() {
    let heads = STAGES.iter().map(|(head, _)| head).chain(COLUMNS.iter().map(|(head, _)| head));
    let heads: String = heads.map(|head| format!("{head:>11}")).collect();
    println!("{:>10}{:>11}{:>10}{:>14}{heads}", "segments", "containers", "objects", "run");
}

/// Prints two lines for each run, and two of medians if there are several.
pub(super) fn print_rows(tree: &Tree, runs: &[Measured]) {
    let row = |name: &str, figures: String| {
        println!("{:>10}{:>11}{:>10}{name:>14}{figures}", tree.segments, tree.containers, tree.objects);
    };
    let rows = |name: &str, runs: &[Measured]| {
        let stages = |figure: fn(Lap) -> f64| -> String {
            let of = |stage: fn(&Stages) -> Lap| median(runs.iter().map(|run| figure(stage(&run.stages))).collect());
            STAGES.iter().map(|(_, stage)| shown(of(*stage))).collect()
        };
        let of = |figure: fn(&Tree, &Measured) -> f64| median(runs.iter().map(|run| figure(tree, run)).collect());
        let columns: String = COLUMNS.iter().map(|(_, figure)| shown(of(*figure))).collect();
        row(name, stages(|lap| lap.time.as_secs_f64()) + &columns);
        row(&format!("{name} cpu"), stages(|lap| lap.processor_seconds));
    };
    (1..).zip(runs).for_each(|(number, run)| rows(&format!("{number}"), std::slice::from_ref(run)));
    if runs.len() > 1 {
        rows("median", runs);
    }
}

/// Says what the figures mean.
pub(super) fn print_legend() {
    println!(
        "\nStages in seconds, in their order, below them the seconds of processors that each took; `to commit` is all of them but\n\
         the verification, and so are us/segment, cpu us/seg (millionths of a second) and MB/s (of all objects). cpu s: seconds of\n\
         processors of everything. / read: times as long as reading all files of the tree in the same run.\n\
         meta %: speed of reading and decoding the containers' metadata (what that took for all containers together, divided by how\n\
         many are worked on at a time), of that of only reading the same files; list %: the same for `dr list-segments` as a whole,\n\
         which lists all objects and prints every segment. The files are in the memory of the system or, cold, were dropped from it;\n\
         what the system knows of their names stays.\n\
         x official: times as fast as the official recovery command, which took {OFFICIAL_SECONDS} s for {OFFICIAL_SEGMENTS}\n\
         segments on another machine, scaled to the number of segments."
    );
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() / whole.as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn shown(figure: f64) -> String {
    match figure {
        _ if figure.is_nan() => format!("{:>11}", "-"),
        _ if figure >= 100.0 => format!("{figure:>11.0}"),
        _ => format!("{figure:>11.2}"),
    }
}

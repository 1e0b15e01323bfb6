//! What was measured, for people.

use std::time::Duration;

use super::measure::Measured;
use super::tree::Tree;

/// What the official recovery command took for a cluster of this size, and the size.
const OFFICIAL_SECONDS: f64 = 378.0;
const OFFICIAL_SEGMENTS: f64 = 5_100.0;

/// One column: its head, and the figure of a run.
type Column = (&'static str, fn(&Tree, &Measured) -> f64);

const COLUMNS: &[Column] = &[
    ("list", |_, run| run.stages.list.as_secs_f64()),
    ("survey", |_, run| run.stages.survey.as_secs_f64()),
    ("plan", |_, run| run.stages.plan.as_secs_f64()),
    ("save", |_, run| run.stages.save.as_secs_f64()),
    ("compare", |_, run| run.stages.compare.as_secs_f64()),
    ("logs", |_, run| run.stages.logs.as_secs_f64()),
    ("aside", |_, run| run.stages.move_aside.as_secs_f64()),
    ("znodes", |_, run| run.stages.znodes.as_secs_f64()),
    ("commit", |_, run| run.stages.commit.as_secs_f64()),
    ("verify", |_, run| run.stages.verify.as_secs_f64()),
    ("to commit", |_, run| run.stages.until_committed().as_secs_f64()),
    ("us/segment", |tree, run| 1e6 * run.stages.until_committed().as_secs_f64() / tree.segments as f64),
    ("MB/s", |tree, run| tree.bytes as f64 / 1e6 / run.stages.until_committed().as_secs_f64()),
    ("guest %", |_, run| 100.0 * run.stages.guest_seconds / run.recovery.as_secs_f64()),
    ("cpu plan", |_, run| run.stages.planned_processor_seconds.unwrap_or(f64::NAN)),
    ("cpu commit", |_, run| run.stages.committed_processor_seconds.unwrap_or(f64::NAN)),
    ("cpu us/seg", |tree, run| 1e6 * run.stages.committed_processor_seconds.unwrap_or(f64::NAN) / tree.segments as f64),
    ("cpu s", |_, run| run.usage.processor_seconds.unwrap_or(f64::NAN)),
    ("peak MiB", |_, run| run.usage.peak_bytes.map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20))),
    ("/ read", |_, run| ratio(run.recovery, run.read)),
    ("metadata %", |_, run| 100.0 * ratio(run.read_metadata, run.list_segments)),
    ("x official", |tree, run| {
        OFFICIAL_SECONDS * tree.segments as f64 / OFFICIAL_SEGMENTS / run.recovery.as_secs_f64()
    }),
];

/// Prints what the columns are.
pub(super) fn print_head() {
    let heads = COLUMNS.iter().map(|(head, _)| format!("{head:>11}"));
    println!("{:>10}{:>11}{:>10}{:>10}{}", "segments", "containers", "objects", "run", heads.collect::<String>());
}

/// Prints a line for each run, and one of medians if there are several.
pub(super) fn print_rows(tree: &Tree, runs: &[Measured]) {
    let row = |name: &str, figures: String| {
        println!("{:>10}{:>11}{:>10}{name:>10}{figures}", tree.segments, tree.containers, tree.objects);
    };
    for (number, run) in (1..).zip(runs) {
        let figures = COLUMNS.iter().map(|(_, figure)| shown(figure(tree, run)));
        row(&format!("{number}"), figures.collect());
    }
    if runs.len() > 1 {
        let median_of =
            |figure: fn(&Tree, &Measured) -> f64| median(runs.iter().map(|run| figure(tree, run)).collect());
        row("median", COLUMNS.iter().map(|(_, figure)| shown(median_of(*figure))).collect());
    }
}

/// Says what the figures mean.
pub(super) fn print_legend() {
    println!(
        "\nStages in seconds, in their order; `to commit` is all of them but the verification, and so are us/segment (millionths\n\
         of a second) and MB/s (of all objects). cpu plan, cpu commit, cpu s: seconds of processors up to the plan, up to the commit,\n\
         and in all; cpu us/seg: those up to the commit for each segment, in millionths. / read: times as long as reading all files of the tree in the same run.\n\
         metadata %: speed of `dr list-segments`, listing and output included, of that of only reading the containers'\n\
         metadata files. x official: times as fast as the official recovery command, which took {OFFICIAL_SECONDS} s for\n\
         {OFFICIAL_SEGMENTS} segments on another machine, scaled to the number of segments."
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

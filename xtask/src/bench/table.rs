//! What was measured, for people.

use std::time::Duration;

use super::Tree;
use super::measure::Measured;

/// What the official recovery command took for a cluster of this size, and the size.
const OFFICIAL_SECONDS: f64 = 378.0;
const OFFICIAL_SEGMENTS: f64 = 5_100.0;

/// One column: its head, and the figure of a run.
type Column = (&'static str, fn(&Tree, &Measured) -> f64);

const COLUMNS: &[Column] = &[
    ("survey s", |_, run| run.stages.survey.as_secs_f64()),
    ("plan s", |_, run| run.stages.plan.as_secs_f64()),
    ("apply s", |_, run| run.stages.apply.as_secs_f64()),
    ("verify s", |_, run| run.stages.verify.as_secs_f64()),
    ("all s", |_, run| run.recovery.as_secs_f64()),
    ("MB/s", |tree, run| tree.bytes as f64 / 1e6 / run.recovery.as_secs_f64()),
    ("segments/s", |tree, run| tree.segments as f64 / run.recovery.as_secs_f64()),
    ("guest %", |_, run| 100.0 * run.stages.guest_seconds / run.recovery.as_secs_f64()),
    ("peak MB", |_, run| run.peak_bytes.map_or(f64::NAN, |bytes| bytes as f64 / 1e6)),
    ("/ read", |_, run| ratio(run.recovery, run.read)),
    ("/ copy", |_, run| ratio(run.recovery, run.copy)),
    ("x official", |tree, run| {
        OFFICIAL_SECONDS * tree.segments as f64 / OFFICIAL_SEGMENTS / run.recovery.as_secs_f64()
    }),
];

/// Prints a line for each run, and one of medians.
pub(super) fn print(tree: &Tree, runs: &[Measured]) {
    let heads = COLUMNS.iter().map(|(head, _)| format!("{head:>11}"));
    println!("run    {}", heads.collect::<String>());
    for (number, run) in (1..).zip(runs) {
        let figures = COLUMNS.iter().map(|(_, figure)| shown(figure(tree, run)));
        println!("{number:<7}{}", figures.collect::<String>());
    }
    let medians = COLUMNS.iter().map(|(_, figure)| shown(median(runs.iter().map(|run| figure(tree, run)).collect())));
    println!("median {}", medians.collect::<String>());
    println!(
        "\n/ read, / copy: times as long as reading, or copying, all files of the tree in the same run, files in memory, \n\
         nothing forced to disk (`dr` forces what it writes). x official: times as fast as the official recovery command,\n\
         which took {OFFICIAL_SECONDS} s for {OFFICIAL_SEGMENTS} segments on another machine, scaled to the number of segments."
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

//! Runs histories of clusters on real servers: `histories [NAME...]`; without a name all of them. Prints a table of what was seen.
// Printing is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Instant;

use dr_tests::histories::{History, Summary, all};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !all().iter().any(|history| history.name == **name)) {
        eprintln!("histories: there is no history `{unknown}`; there are:");
        all().iter().for_each(|history| eprintln!("  {:<22} {}", history.name, history.story));
        return ExitCode::FAILURE;
    }
    let mut rows = Vec::new();
    for history in all().iter().filter(|history| wanted.is_empty() || wanted.iter().any(|name| name == history.name)) {
        println!("=== {}: {}", history.name, history.story);
        rows.push(row(history));
    }
    println!(
        "\n{:<22} {:>10} {:>6} {:>9} {:>9} {:>7} {:>12} {:>9} {:>9} {:>7} {:>5}",
        "history",
        "recoveries",
        "epoch",
        "segments",
        "kB",
        "losses",
        "acknowledged",
        "in Tier-2",
        "read",
        "checks",
        "s"
    );
    rows.iter().for_each(|(line, _)| println!("{line}"));
    if rows.iter().all(|(_, is_ok)| *is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one; a panic is its failure and no reason not to run the others.
fn row(history: &History) -> (String, bool) {
    let start = Instant::now();
    let outcome = std::panic::catch_unwind(history.run);
    let seconds = start.elapsed().as_secs();
    match outcome {
        Ok(Summary { recoveries, epoch, segments, bytes, losses, events: [acknowledged, held, read], checks }) => {
            let line = format!(
                "{:<22} {recoveries:>10} {epoch:>6} {segments:>9} {:>9} {losses:>7} {acknowledged:>12} {held:>9} {read:>9} {checks:>7} {seconds:>5}",
                history.name,
                bytes / 1000
            );
            (line, true)
        }
        Err(_) => (format!("{:<22} FAILED after {seconds} s", history.name), false),
    }
}

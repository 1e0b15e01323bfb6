//! How `loss.json` is written: each row of its long lists on a line of its own, so that it can be searched, cut and
//! compared with the tools of every day, and is never whole in memory a second time.

use std::io::{self, Write};

use serde::Serialize;

use super::LossReport;

/// Writes the report as one JSON object.
pub(super) fn write(output: &mut impl Write, report: &LossReport) -> io::Result<()> {
    // Taken apart, so that a new member cannot be forgotten here.
    let LossReport {
        format_version,
        plan,
        cluster,
        container_count,
        verdict,
        totals,
        containers,
        streams,
        losses,
        decisions,
        moved_aside,
        unused,
        unexplained,
    } = report;
    output.write_all(b"{\n")?;
    member(output, "format_version", format_version)?;
    member(output, "plan", plan)?;
    member(output, "cluster", cluster)?;
    member(output, "container_count", container_count)?;
    member(output, "verdict", verdict)?;
    member(output, "totals", totals)?;
    rows(output, "containers", containers, true)?;
    rows(output, "streams", streams, true)?;
    rows(output, "losses", losses, true)?;
    rows(output, "decisions", decisions, true)?;
    rows(output, "moved_aside", moved_aside, true)?;
    rows(output, "unused", unused, true)?;
    rows(output, "unexplained", unexplained, false)?;
    output.write_all(b"}\n")
}

fn member(output: &mut impl Write, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(output, "\"{name}\": ")?;
    serde_json::to_writer(&mut *output, value)?;
    output.write_all(b",\n")
}

fn rows<T: Serialize>(output: &mut impl Write, name: &str, rows: &[T], more_follows: bool) -> io::Result<()> {
    write!(output, "\"{name}\": [")?;
    for (index, row) in rows.iter().enumerate() {
        output.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *output, row)?;
    }
    output.write_all(if rows.is_empty() { b"]" } else { b"\n]" })?;
    output.write_all(if more_follows { b",\n" } else { b"\n" })
}

//! What an operator sees of a running cluster that was compared with its plan.

use std::fmt::Write as _;
use std::time::Duration;

use dr_engine::plan::Plan;
use dr_engine::verify::online::OnlineVerification;
use serde::Serialize;

use super::text::{Colour, bytes, counted, grouped, shown};
use super::verification;

/// A comparison and how it was made.
#[derive(Debug)]
pub(crate) struct OnlineReport<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) verification: &'a OnlineVerification,
    /// Streams that the controller does not list; none if it was not asked.
    pub(crate) missing_streams: Option<Vec<String>>,
    pub(crate) time: Duration,
}

/// A comparison in the stream of events.
#[derive(Debug, Serialize)]
pub(crate) struct OnlineEvent<'a> {
    plan: &'a str,
    intact: bool,
    missing_streams: Option<&'a [String]>,
    #[serde(flatten)]
    verification: &'a OnlineVerification,
}

impl<'a> OnlineEvent<'a> {
    /// The event for a report.
    pub(crate) fn new(report: &'a OnlineReport<'_>) -> Self {
        Self {
            plan: &report.plan.id,
            intact: report.is_intact(),
            missing_streams: report.missing_streams.as_deref(),
            verification: report.verification,
        }
    }
}

impl OnlineReport<'_> {
    /// True if nothing of the plan is missing.
    pub(crate) fn is_intact(&self) -> bool {
        self.verification.problems.is_empty() && self.missing_streams.as_ref().is_none_or(Vec::is_empty)
    }

    /// For people.
    pub(crate) fn render(&self, verbose: bool, colour: Colour) -> String {
        let found = self.verification;
        let mut text = format!("\n{}\n", colour.bold(&format!("The running cluster and plan {}", self.plan.id)));
        let segments = counted(found.segments, "segment", "segments");
        let _ = writeln!(text, "  {segments} asked for, {} exactly as planned", grouped(found.as_planned));
        let changes = [
            (found.grown, "longer"),
            (found.truncated, "truncated"),
            (found.sealed, "sealed"),
            (found.ended_transactions, "transactions ended"),
        ];
        let changes: Vec<String> = changes
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", grouped(*count)))
            .collect();
        if !changes.is_empty() {
            let _ = writeln!(text, "  by the work since: {}", changes.join(", "));
        }
        if found.equal_bytes > 0 {
            let seconds = self.time.as_secs_f64().max(0.001);
            let rate = bytes((found.equal_bytes as f64 / seconds) as u64);
            let _ = writeln!(
                text,
                "  {} read through the stores, the same as in Tier-2, in {seconds:.1} s ({rate}/s)",
                bytes(found.equal_bytes)
            );
        }
        match &self.missing_streams {
            None => text
                .push_str("  scopes and streams were not compared: --controller names a controller's REST interface\n"),
            Some(missing) if missing.is_empty() => text.push_str("  the controller lists every stream\n"),
            Some(missing) => {
                let count = counted(missing.len() as u64, "stream", "streams");
                let names: Vec<String> = missing.iter().map(|name| shown(name)).collect();
                let _ = writeln!(
                    text,
                    "{}: {}",
                    colour.red(&format!("  the controller does not list {count}")),
                    names.join(", ")
                );
            }
        }
        text.push_str(&verification::list("doubt", "doubts", &found.doubts, verbose, |title| colour.yellow(title)));
        text.push_str(&verification::list("problem", "problems", &found.problems, verbose, |title| colour.red(title)));
        if found.segments == 0 {
            let nothing = "The plan names no segments: it restored logs, which the stores replay themselves. Nothing was compared.";
            let _ = writeln!(text, "\n{}", colour.yellow(nothing));
        } else if self.is_intact() {
            let _ = writeln!(text, "\n{}", colour.green("Nothing of the plan is missing."));
        }
        text
    }
}

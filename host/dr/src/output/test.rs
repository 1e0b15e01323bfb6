//! Results of scenarios.

use std::path::PathBuf;

use dr_runtime::Procedure;
use dr_scenario::{Difference, Scenario, Tested};
use serde::Serialize;

use super::table::{self, Align};
use super::text::{Colour, counted, grouped, shown};

/// What came of one scenario.
#[derive(Debug, Serialize)]
pub(crate) struct ScenarioResult {
    /// Its file.
    pub(crate) path: PathBuf,
    /// What it shows.
    pub(crate) name: String,
    /// Name of the procedure.
    pub(crate) procedure: String,
    /// How it went.
    pub(crate) result: Verdict,
    /// How the procedure ended, in a word.
    pub(crate) outcome: String,
    /// All that is not as expected.
    pub(crate) differences: Vec<Difference>,
    /// Calls that the procedure made.
    pub(crate) calls: usize,
    /// Runs in which a call was made to fail.
    pub(crate) fault_runs: usize,
    /// Sentences about those of them that ended as they should not.
    pub(crate) broken: Vec<String>,
    /// How long all took.
    pub(crate) seconds: f64,
}

/// How a scenario went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// All is as expected.
    Passed,
    /// It is now: the expectations were written anew.
    Updated,
    /// Something is not.
    Failed,
}

/// All scenarios together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    /// How many there are.
    pub(crate) scenarios: usize,
    /// Those that passed, updated ones included.
    pub(crate) passed: usize,
    /// The others.
    pub(crate) failed: usize,
}

impl ScenarioResult {
    /// What came of a scenario with this procedure.
    pub(crate) fn new(scenario: &Scenario, procedure: &Procedure, tested: Tested) -> Self {
        let result = if tested.passes() { Verdict::Passed } else { Verdict::Failed };
        Self {
            path: scenario.path.clone(),
            name: scenario.name.clone(),
            procedure: procedure.description().name.clone(),
            result,
            outcome: tested.observation.outcome,
            differences: tested.differences,
            calls: tested.observation.calls.len(),
            fault_runs: tested.fault_runs.values().sum(),
            broken: tested.broken.iter().map(ToString::to_string).collect(),
            seconds: tested.duration.as_secs_f64(),
        }
    }

    /// The same, after the expectations were written anew.
    pub(crate) fn updated(mut self) -> Self {
        if self.result == Verdict::Passed {
            self.result = Verdict::Updated;
        }
        self
    }
}

impl Totals {
    /// Counts.
    pub(crate) fn of(results: &[ScenarioResult]) -> Self {
        let failed = results.iter().filter(|result| result.result == Verdict::Failed).count();
        Self { scenarios: results.len(), passed: results.len() - failed, failed }
    }
}

/// A table, then what is not as expected, then the totals.
pub(crate) fn render(results: &[ScenarioResult], totals: &Totals, colour: Colour) -> String {
    let columns = [
        ("Scenario", Align::Left),
        ("Result", Align::Left),
        ("Calls", Align::Right),
        ("Faults", Align::Right),
        ("ms", Align::Right),
    ];
    let mut text = table::render(&columns, results.iter().map(row));
    results.iter().filter(|result| result.result == Verdict::Failed).for_each(|result| {
        text.push_str(&failure(result, colour));
    });
    let scenarios = counted(totals.scenarios as u64, "scenario", "scenarios");
    let verdict = match totals.failed {
        0 => colour.green("all passed"),
        failed => colour.red(&format!("{failed} failed")),
    };
    text.push_str(&format!("\n{scenarios}, {verdict}\n"));
    text
}

fn row(result: &ScenarioResult) -> Vec<String> {
    let verdict = match result.result {
        Verdict::Passed => "passed",
        Verdict::Updated => "updated",
        Verdict::Failed => "FAILED",
    };
    let milliseconds = format!("{:.1}", result.seconds * 1000.0);
    let counts = [result.calls, result.fault_runs].map(|count| grouped(count as u64));
    [shown(&result.name), verdict.to_owned()].into_iter().chain(counts).chain([milliseconds]).collect()
}

fn failure(result: &ScenarioResult, colour: Colour) -> String {
    let title = format!("{} ({}, procedure {})", shown(&result.name), result.path.display(), result.procedure);
    let mut text = format!("\n{}\n", colour.bold(&title));
    for Difference { place, expected, got } in &result.differences {
        let [place, expected, got] = [place, expected, got].map(|words| shown(words));
        text.push_str(&format!("  {place}\n    expected: {expected}\n    got:      {got}\n"));
    }
    for broken in &result.broken {
        text.push_str(&format!("  fault: {}\n", shown(broken)));
    }
    text
}

//! What an operator sees of a verification.

use std::fmt::Write as _;
use std::time::Duration;

use dr_engine::verify::{ContainerVerification, Depth, Problem, Verification};
use serde::Serialize;

use super::table::{self, Align};
use super::text::{Colour, bytes, counted, grouped, shown};

/// Most problems that are shown; in JSON there are all.
const PROBLEMS_SHOWN_MAX: usize = 50;

/// A verification in the stream of events.
#[derive(Debug, Serialize)]
pub(crate) struct VerificationEvent<'a> {
    intact: bool,
    sample_percent: Option<f64>,
    read_data: bool,
    #[serde(flatten)]
    verification: &'a Verification,
}

impl<'a> VerificationEvent<'a> {
    /// The event for a verification.
    pub(crate) fn new(verification: &'a Verification, depth: Depth) -> Self {
        Self {
            intact: verification.problems.is_empty(),
            sample_percent: depth.sample.map(|sample| sample.percent),
            read_data: depth.read_data,
            verification,
        }
    }
}

/// A verification and how it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) verification: &'a Verification,
    pub(crate) depth: Depth,
    pub(crate) time: Duration,
}

impl Seen<'_> {
    /// For people.
    pub(crate) fn render(&self, verbose: bool, colour: Colour) -> String {
        let mut text = table(self.verification, colour);
        let _ = writeln!(text, "\n{}", self.what_was_read());
        text.push_str(&list("doubt", "doubts", &self.verification.doubts, verbose, |title| colour.yellow(title)));
        text.push_str(&list("problem", "problems", &self.verification.problems, verbose, |title| colour.red(title)));
        if self.verification.problems.is_empty() {
            let sentence = match self.depth.sample {
                None => "Every log can be replayed, and every segment fits its objects.",
                Some(_) => "Every log can be replayed, and every segment of the sample fits its objects.",
            };
            let _ = writeln!(text, "\n{}", colour.green(sentence));
        }
        text
    }

    fn what_was_read(&self) -> String {
        let read = self.verification.read();
        let which = match self.depth.sample {
            None => String::new(),
            Some(sample) => format!(", a sample of {} % (seed {})", sample.percent, sample.seed),
        };
        let mut text = format!(
            "Read: the objects of {}{which}: {} of indexes, {} of tables",
            counted(read.segments, "segment", "segments"),
            counted(read.attributes, "attribute", "attributes"),
            counted(read.entries, "entry", "entries"),
        );
        if self.depth.read_data {
            // A rate over less than that says nothing.
            let seconds = self.time.as_secs_f64().max(0.001);
            let rate = bytes((read.bytes as f64 / seconds) as u64);
            let _ = write!(
                text,
                ", {} of other data with {}, in {seconds:.1} s ({rate}/s)",
                bytes(read.bytes),
                counted(read.events, "whole event", "whole events"),
            );
        }
        text + "."
    }
}

fn table(verification: &Verification, colour: Colour) -> String {
    let columns = [
        ("Container", Align::Right),
        ("Segments", Align::Right),
        ("Data", Align::Right),
        ("Objects", Align::Right),
        ("Operations", Align::Right),
        ("Epoch", Align::Right),
        ("Problems", Align::Right),
    ];
    let row = |verified: &ContainerVerification| {
        let problems = verification.problems.iter().filter(|problem| problem.container == verified.container).count();
        vec![
            verified.container.to_string(),
            grouped(verified.segments),
            bytes(verified.data_bytes),
            grouped(verified.chunks),
            grouped(verified.operations),
            verified.epoch.to_string(),
            grouped(problems as u64),
        ]
    };
    let mut text = format!("\n{}\n", colour.bold("What a segment store would find"));
    text.push_str(&table::render(&columns, verification.containers.iter().map(row)));
    text
}

/// Problems or doubts, if there are any.
pub(super) fn list(
    singular: &str,
    plural: &str,
    problems: &[Problem],
    verbose: bool,
    paint: impl Fn(&str) -> String,
) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let title = counted(problems.len() as u64, singular, plural);
    let mut text = format!("\n{}\n", paint(&title));
    let shown_max = if verbose { usize::MAX } else { PROBLEMS_SHOWN_MAX };
    for problem in problems.iter().take(shown_max) {
        let _ = writeln!(
            text,
            "  container {}: `{}`: {}",
            problem.container,
            shown(&problem.subject),
            shown(&problem.what)
        );
    }
    if problems.len() > shown_max {
        let _ = writeln!(text, "  and {} more; -v shows all", grouped((problems.len() - shown_max) as u64));
    }
    text
}

#[cfg(test)]
mod tests {
    use dr_engine::verify::{ReadCounts, Sample};

    use super::*;

    fn verification() -> Verification {
        let container = ContainerVerification {
            container: 0,
            segments: 120,
            data_bytes: 3 << 20,
            chunks: 95,
            operations: 200,
            epoch: 1010,
            read: ReadCounts { segments: 120, attributes: 1, entries: 44, bytes: 3 << 20, events: 2000 },
        };
        Verification { containers: vec![container], ..Verification::default() }
    }

    fn render(verification: &Verification, depth: Depth) -> String {
        Seen { verification, depth, time: Duration::from_millis(1500) }.render(false, Colour::NONE)
    }

    const TABLE: &str = "
What a segment store would find
 Container   Segments      Data   Objects   Operations   Epoch   Problems
--------------------------------------------------------------------------
         0        120   3.0 MiB        95          200    1010          0
";

    #[test]
    fn all_is_well() {
        let expected = "
Read: the objects of 120 segments: 1 attribute of indexes, 44 entries of tables.

Every log can be replayed, and every segment fits its objects.
";
        assert_eq!(render(&verification(), Depth::default()), format!("{TABLE}{expected}"));
    }

    #[test]
    fn a_sample_whose_data_were_read_is_no_more_than_that() {
        let depth = Depth { sample: Some(Sample { percent: 2.5, seed: 7 }), read_data: true };
        let expected = "
Read: the objects of 120 segments, a sample of 2.5 % (seed 7): 1 attribute of indexes, 44 entries of tables, \
                        3.0 MiB of other data with 2,000 whole events, in 1.5 s (2.0 MiB/s).

Every log can be replayed, and every segment of the sample fits its objects.
";
        assert_eq!(render(&verification(), depth), format!("{TABLE}{expected}"));
    }

    #[test]
    fn problems_and_doubts_are_listed() {
        let mut bad = verification();
        let problem = |n| Problem { container: 0, subject: format!("s/{n}"), what: "its object is missing".to_owned() };
        bad.doubts = vec![Problem { container: 0, subject: "s".to_owned(), what: "odd".to_owned() }];
        bad.problems = (0..60).map(problem).collect();
        let text = render(&bad, Depth::default());
        assert!(text.contains("1 doubt\n  container 0: `s`: odd\n\n60 problems\n"), "{text}");
        assert!(text.contains("60 problems\n  container 0: `s/0`: its object is missing\n"), "{text}");
        assert!(text.ends_with("  and 10 more; -v shows all\n"), "{text}");
        let event = serde_json::to_value(VerificationEvent::new(&bad, Depth::default())).unwrap();
        assert_eq!((event["intact"].as_bool(), event["containers"][0]["segments"].as_u64()), (Some(false), Some(120)));
    }
}

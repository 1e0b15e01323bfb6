//! What an operator sees of a verification.

use std::fmt::Write as _;

use dr_engine::verify::{ContainerVerification, Problem, Verification};
use serde::Serialize;

use super::table::{self, Align};
use super::text::{Colour, bytes, counted, grouped, shown};

/// Most problems that are shown; in JSON there are all.
const PROBLEMS_SHOWN_MAX: usize = 50;

/// A verification in the stream of events.
#[derive(Debug, Serialize)]
pub(crate) struct VerificationEvent<'a> {
    intact: bool,
    #[serde(flatten)]
    verification: &'a Verification,
}

impl<'a> VerificationEvent<'a> {
    /// The event for a verification.
    pub(crate) fn new(verification: &'a Verification) -> Self {
        Self { intact: verification.problems.is_empty(), verification }
    }
}

/// The verification for people.
pub(crate) fn render(verification: &Verification, verbose: bool, colour: Colour) -> String {
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
    text.push_str(&problems(&verification.problems, verbose, colour));
    text
}

fn problems(problems: &[Problem], verbose: bool, colour: Colour) -> String {
    if problems.is_empty() {
        return format!("\n{}\n", colour.green("Every log can be replayed, and every segment fits its objects."));
    }
    let title = counted(problems.len() as u64, "problem", "problems");
    let mut text = format!("\n{}\n", colour.red(&title));
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
    use super::*;

    fn verification() -> Verification {
        let container = ContainerVerification {
            container: 0,
            segments: 120,
            data_bytes: 3 << 20,
            chunks: 95,
            operations: 200,
            epoch: 1010,
        };
        Verification { containers: vec![container], problems: vec![] }
    }

    #[test]
    fn all_is_well() {
        let expected = "
What a segment store would find
 Container   Segments      Data   Objects   Operations   Epoch   Problems
--------------------------------------------------------------------------
         0        120   3.0 MiB        95          200    1010          0

Every log can be replayed, and every segment fits its objects.
";
        assert_eq!(render(&verification(), false, Colour::NONE), expected);
    }

    #[test]
    fn problems_are_listed() {
        let mut bad = verification();
        let problem = |n| Problem { container: 0, subject: format!("s/{n}"), what: "its object is missing".to_owned() };
        bad.problems = (0..60).map(problem).collect();
        let text = render(&bad, false, Colour::NONE);
        assert!(text.contains("60 problems\n  container 0: `s/0`: its object is missing\n"), "{text}");
        assert!(text.ends_with("  and 10 more; -v shows all\n"), "{text}");
        let event = serde_json::to_value(VerificationEvent::new(&bad)).unwrap();
        assert_eq!((event["intact"].as_bool(), event["containers"][0]["segments"].as_u64()), (Some(false), Some(120)));
    }
}

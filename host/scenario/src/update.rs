//! Writes what came of a run into the file of its scenario, as what is expected from now on.

use std::fs;
use std::ops::Range;

use dr_runtime::recording::Effects;
use serde::Deserialize;
use serde::Serialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::compare::{Observation, decisions, losses, written};
use crate::error::ScenarioError;
use crate::file::{Expectations, ExpectedDecision, Scenario};

/// Makes the expectations of a scenario those that this run fulfils. Parts that hold stay as they stand, comments included, and
/// so does all of the file that is no expectation. Expected calls are never rewritten, and nothing that is written as an array
/// of tables (`[[expect.losses]]`). Returns whether the file was changed.
///
/// # Errors
/// [`ScenarioError::Unwritable`]; [`ScenarioError::Invalid`] for expectations in a form that cannot be rewritten.
pub fn update(scenario: &Scenario, came: &Observation) -> Result<bool, ScenarioError> {
    let text = rewritten(scenario, came);
    if text == scenario.text {
        return Ok(false);
    }
    if Scenario::parse(&scenario.path, text.clone()).is_err() {
        let problem =
            "--update writes into tables `[expect]` and `[expect.effects]` of their own; these are others".to_owned();
        return Err(ScenarioError::Invalid { path: scenario.path.clone(), line: 1, problem });
    }
    let unwritable = |cause| ScenarioError::Unwritable { path: scenario.path.clone(), cause };
    fs::write(&scenario.path, text).map_err(unwritable)?;
    Ok(true)
}

/// A part of the expectations: its place as differences name it, and the value that it should have.
type Part = (&'static str, String);

fn rewritten(scenario: &Scenario, came: &Observation) -> String {
    let Some(expect) = &scenario.expect else {
        return format!("{}\n{}", scenario.text, new_expectations(&parts(came, None)));
    };
    let wrong: Vec<String> = expect.differences(came).into_iter().map(|difference| difference.place).collect();
    let parts = parts(came, Some(expect));
    let wrong = parts.into_iter().filter(|(place, _)| wrong.iter().any(|wrong| wrong == place));
    let spans = Spans::of(&scenario.text);
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for (place, value) in wrong {
        match spans.at(place) {
            Some(span) if is_value(&scenario.text[span.clone()]) => changes.push((span, value)),
            Some(_) => {}
            None => changes.push(new_key(&scenario.text, place, &value)),
        }
    }
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = scenario.text.clone();
    changes.into_iter().for_each(|(span, value)| text.replace_range(span, &value));
    text
}

/// What is to be expected, part by part, in the order of a new file.
fn parts(came: &Observation, before: Option<&Expectations>) -> Vec<Part> {
    let Effects { containers, created, renewed, ended_transactions, moved, znodes, .. } = &came.effects;
    let Effects { restored_logs, kept_ledgers, registered_bookies, .. } = &came.effects;
    // It names the procedure, so it is written only where the author wanted one.
    let wanted = came.message.iter().filter(|_| before.is_some_and(|expect| expect.message.is_some()));
    let message = wanted.map(|message| ("message", written(message)));
    [("outcome", written(&came.outcome))]
        .into_iter()
        .chain(message)
        .chain([
            ("losses", rows(&losses(&came.effects))),
            ("decisions", rows(&as_detailed(decisions(&came.effects), before))),
            ("effects.containers", written(containers)),
            ("effects.created", rows(created)),
            ("effects.renewed", rows(renewed)),
            ("effects.ended-transactions", written(ended_transactions)),
            ("effects.moved", rows(moved)),
            ("effects.znodes", rows(znodes)),
            ("effects.restored-logs", written(restored_logs)),
            ("effects.kept-ledgers", written(kept_ledgers)),
            ("effects.registered-bookies", written(registered_bookies)),
        ])
        .collect()
}

fn new_expectations(parts: &[Part]) -> String {
    let line = |(place, value): &Part| format!("{} = {value}\n", place.trim_start_matches("effects."));
    let (effects, others): (Vec<&Part>, Vec<&Part>) =
        parts.iter().partition(|(place, _)| place.starts_with("effects."));
    let lines = |parts: Vec<&Part>| parts.into_iter().map(line).collect::<String>();
    format!("[expect]\n{}\n[expect.effects]\n{}", lines(others), lines(effects))
}

/// Decisions say no more than those that stood there.
fn as_detailed(mut decisions: Vec<ExpectedDecision>, before: Option<&Expectations>) -> Vec<ExpectedDecision> {
    let before = before.and_then(|expect| expect.decisions.as_deref()).unwrap_or_default();
    if before.is_empty() {
        return decisions;
    }
    for decision in &mut decisions {
        decision.choice.take_if(|_| before.iter().all(|before| before.choice.is_none()));
        decision.reason.take_if(|_| before.iter().all(|before| before.reason.is_none()));
    }
    decisions
}

/// An array with a row on each line.
fn rows(rows: &[impl Serialize]) -> String {
    match rows {
        [] => "[]".to_owned(),
        rows => format!("[\n{}]", rows.iter().map(|row| format!("    {},\n", written(row))).collect::<String>()),
    }
}

type Span = Option<Spanned<IgnoredAny>>;

/// Where the parts of the expectations stand in the text.
#[derive(Debug, Default, Deserialize)]
struct Spans {
    #[serde(default)]
    expect: ExpectSpans,
}

#[derive(Debug, Default, Deserialize)]
struct ExpectSpans {
    outcome: Span,
    message: Span,
    losses: Span,
    decisions: Span,
    #[serde(default)]
    effects: EffectSpans,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EffectSpans {
    containers: Span,
    created: Span,
    renewed: Span,
    ended_transactions: Span,
    moved: Span,
    znodes: Span,
    restored_logs: Span,
    kept_ledgers: Span,
    registered_bookies: Span,
}

impl Spans {
    /// The text was parsed before.
    fn of(text: &str) -> Self {
        toml::from_str(text).unwrap_or_default()
    }

    fn at(&self, place: &str) -> Option<Range<usize>> {
        let ExpectSpans { outcome, message, losses, decisions, effects } = &self.expect;
        let span = match place {
            "outcome" => outcome,
            "message" => message,
            "losses" => losses,
            "decisions" => decisions,
            "effects.containers" => &effects.containers,
            "effects.created" => &effects.created,
            "effects.renewed" => &effects.renewed,
            "effects.ended-transactions" => &effects.ended_transactions,
            "effects.moved" => &effects.moved,
            "effects.restored-logs" => &effects.restored_logs,
            "effects.kept-ledgers" => &effects.kept_ledgers,
            "effects.registered-bookies" => &effects.registered_bookies,
            _ => &effects.znodes,
        };
        span.as_ref().map(Spanned::span)
    }
}

/// Whether a text is a value by itself; the headers of tables are not.
fn is_value(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Holder {
        #[serde(rename = "value")]
        _value: IgnoredAny,
    }
    toml::from_str::<Holder>(&format!("value = {text}")).is_ok()
}

/// A key of the table `expect` that does not stand there yet: only those are looked at without being named.
fn new_key(text: &str, place: &str, value: &str) -> (Range<usize>, String) {
    let line = format!("{place} = {value}\n");
    let header = |line: &str| line.trim().trim_end_matches('\n') == "[expect]";
    let mut offset = 0;
    for row in text.split_inclusive('\n') {
        offset += row.len();
        if header(row) {
            return (offset..offset, line);
        }
    }
    // Written in another form, such as `expect.losses = []` or only `[expect.effects]`.
    let dotted = format!("expect.{line}");
    (0..0, dotted)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dr_engine::contract::LostRange;
    use dr_runtime::recording::Effects;

    use super::*;

    const WORLD: &str = "scenario = 1\nname = \"x\" # a comment\n\n[[world.container]]\nid = 0\n";

    fn scenario(expect: &str) -> Scenario {
        Scenario::parse(Path::new("x.toml"), format!("{WORLD}{expect}")).unwrap()
    }

    fn came() -> Observation {
        let loss = LostRange { container: 0, segment: "a/b".into(), first: 1, end: None, reason: "torn".into() };
        let effects = Effects { containers: vec![0], losses: vec![loss], ..Effects::default() };
        Observation { outcome: "success".into(), effects, ..Observation::default() }
    }

    #[track_caller]
    fn assert_holds(text: String) {
        let updated = Scenario::parse(Path::new("x.toml"), text).unwrap();
        assert_eq!(updated.expect.unwrap().differences(&came()), []);
    }

    #[test]
    fn a_scenario_without_expectations_gets_all() {
        let text = rewritten(&scenario(""), &came());
        assert!(text.starts_with(WORLD), "{text}");
        let losses = "losses = [\n    { container = 0, segment = \"a/b\", first = 1, reason = \"torn\" },\n]\n";
        assert!(text.contains(losses) && text.contains("[expect.effects]\ncontainers = [0]\n"), "{text}");
        assert_holds(text);
    }

    #[test]
    fn only_what_does_not_hold_is_rewritten() {
        let before =
            "[expect]\n# why\nlosses = [] # none\n[expect.effects]\n# all\ncontainers = [ 0 ] # zero\nmoved = []\n";
        let text = rewritten(&scenario(before), &came());
        assert!(text.contains("# why\nlosses = [\n") && text.contains("] # none\n"), "{text}");
        assert!(text.contains("# all\ncontainers = [ 0 ] # zero\nmoved = []\n"), "{text}");
        assert_holds(text);
        let same = scenario("[expect]\noutcome = \"success\"\n");
        assert_eq!(rewritten(&same, &came()), same.text);
    }

    #[test]
    fn expectations_can_stand_there_in_other_forms() {
        for before in [
            "[expect]\n",
            "expect.losses = []\n",
            "[expect.effects]\ncontainers = [1]\n",
            "[expect]\noutcome = \"crash\"\neffects = { containers = [1] }\n",
        ] {
            let before = before.replace("expect.losses", "[expect]\nlosses");
            assert_holds(rewritten(&scenario(&before), &came()));
        }
        let failed = Observation { outcome: "damaged".into(), ..Observation::default() };
        let text = rewritten(&scenario("[expect]\n# nothing yet\n"), &failed);
        assert!(text.contains("[expect]\noutcome = \"damaged\"\n# nothing yet\n"), "{text}");
        let text = rewritten(&scenario("[expect.effects]\nmoved = []\n"), &failed);
        assert!(Scenario::parse(Path::new("x.toml"), text.clone()).is_ok(), "{text}");
        // Rows of an array of tables stand apart; they are left to their author.
        let tables = scenario("[[expect.losses]]\ncontainer = 0\nsegment = \"c\"\nfirst = 0\nreason = \"torn\"\n");
        assert_eq!(rewritten(&tables, &came()), tables.text);
    }
}

//! What came of a run, and where it is not what was expected.

use dr_engine::contract::{ContainerId, Instance};
use dr_runtime::recording::{CreatedSegment, Effects, MovedObjects, Numbered, RenewedSegment, ZNodeEffect, in_words};
use serde::Serialize;

use crate::file::{CallOrder, Expectations, ExpectedCall, ExpectedCalls, ExpectedDecision, ExpectedLoss};

/// Most characters of one side of a difference.
const SHOWN_CHARACTERS_MAX: usize = 400;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Observation {
    /// How it ended, in a word.
    pub outcome: String,
    /// Why it did not end well.
    pub message: Option<String>,
    /// All calls.
    pub calls: Vec<Numbered>,
    /// What was staged; nothing if it did not end well.
    pub effects: Effects,
}

/// One place where something else came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What is compared, as it is called in the file: `outcome`, `effects.created`.
    pub place: String,
    /// What the scenario says.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Difference {
    /// In words that fit a terminal.
    pub(crate) fn new(place: impl Into<String>, expected: impl AsRef<str>, got: impl AsRef<str>) -> Self {
        Self { place: place.into(), expected: shortened(expected.as_ref()), got: shortened(got.as_ref()) }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: expected {}, got {}", self.place, self.expected, self.got)
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// A row of a list that is compared without regard to its order.
pub(crate) trait Row: Serialize {
    /// What it is about.
    fn subject(&self) -> String;
    /// Whether another one is what this one expects.
    fn accepts(&self, got: &Self) -> bool;
}

macro_rules! exact_rows {
    ($($row:ty: $row_name:ident => $subject:expr;)*) => {
        $(impl Row for $row {
            fn subject(&self) -> String {
                let $row_name = self;
                $subject
            }

            fn accepts(&self, got: &Self) -> bool {
                self == got
            }
        })*
    };
}

exact_rows! {
    ContainerId: id => id.to_string();
    i64: id => id.to_string();
    String: id => id.clone();
    CreatedSegment: created => created.segment.clone();
    RenewedSegment: renewed => renewed.segment.clone();
    MovedObjects: moved => format!("{} {}", moved.container, moved.place);
    ZNodeEffect: znode => znode.path.clone();
    ExpectedLoss: loss => loss.segment.clone();
}

impl Row for ExpectedDecision {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    fn accepts(&self, got: &Self) -> bool {
        let fits = |expected: &Option<String>, got: &Option<String>| expected.is_none() || expected == got;
        self.subject == got.subject
            && (self.container.is_none() || self.container == got.container)
            && fits(&self.choice, &got.choice)
            && fits(&self.reason, &got.reason)
    }
}

/// A row as it would stand in a file.
pub(crate) fn written(row: &impl Serialize) -> String {
    let mut text = String::new();
    match row.serialize(toml::ser::ValueSerializer::new(&mut text)) {
        Ok(_) => text,
        // A number that TOML does not have.
        Err(_) => serde_json::to_string(row).unwrap_or_default(),
    }
}

/// The first difference of two lists whose order does not matter.
fn compare<T: Row>(place: &str, expected: Option<&[T]>, got: &[T]) -> Option<Difference> {
    let expected = expected?;
    let mut left: Vec<&T> = got.iter().collect();
    let mut missing = None;
    for row in expected {
        match left.iter().position(|candidate| row.accepts(candidate)) {
            Some(index) => {
                left.remove(index);
            }
            None => missing = missing.or(Some(row)),
        }
    }
    match missing {
        Some(row) => {
            let nearest = left.iter().find(|candidate| candidate.subject() == row.subject());
            let got = nearest.map_or_else(|| "nothing of it".to_owned(), written);
            Some(Difference::new(place, written(row), got))
        }
        None => left.first().map(|unexpected| Difference::new(place, "nothing more", written(unexpected))),
    }
}

impl Expectations {
    /// All that is not as expected: for each part of the expectations the first difference.
    #[must_use]
    pub fn differences(&self, came: &Observation) -> Vec<Difference> {
        let (wanted, got) = (&self.effects, &came.effects);
        let losses = losses(got);
        let decisions = decisions(got);
        [
            self.compare_outcome(came),
            self.compare_message(came),
            compare("effects.containers", wanted.containers.as_deref(), &got.containers),
            compare("effects.created", wanted.created.as_deref(), &got.created),
            compare("effects.renewed", wanted.renewed.as_deref(), &got.renewed),
            compare("effects.ended-transactions", wanted.ended_transactions.as_deref(), &got.ended_transactions),
            compare("effects.moved", wanted.moved.as_deref(), &got.moved),
            compare("effects.znodes", wanted.znodes.as_deref(), &got.znodes),
            compare("effects.restored-logs", wanted.restored_logs.as_deref(), &got.restored_logs),
            compare("effects.kept-ledgers", wanted.kept_ledgers.as_deref(), &got.kept_ledgers),
            compare("effects.registered-bookies", wanted.registered_bookies.as_deref(), &got.registered_bookies),
            compare("losses", self.losses.as_deref(), &losses),
            compare("decisions", self.decisions.as_deref(), &decisions),
            self.calls.as_ref().and_then(|calls| calls.compare(&came.calls)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn compare_outcome(&self, came: &Observation) -> Option<Difference> {
        let why = came.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        let got = format!("`{}`{why}", came.outcome);
        (self.outcome != came.outcome).then(|| Difference::new("outcome", format!("`{}`", self.outcome), got))
    }

    fn compare_message(&self, came: &Observation) -> Option<Difference> {
        let wanted = self.message.as_ref()?;
        let got = came.message.as_deref().unwrap_or("no message");
        (!got.contains(wanted.as_str())).then(|| Difference::new("message", format!("... {wanted} ..."), got))
    }
}

/// Losses as rows.
pub(crate) fn losses(effects: &Effects) -> Vec<ExpectedLoss> {
    effects.losses.iter().map(ExpectedLoss::from).collect()
}

/// Decisions as rows.
pub(crate) fn decisions(effects: &Effects) -> Vec<ExpectedDecision> {
    effects.decisions.iter().map(ExpectedDecision::from).collect()
}

impl ExpectedCalls {
    fn compare(&self, made: &[Numbered]) -> Option<Difference> {
        let forbidden = made.iter().find(|made| self.never.contains(&made.call.call));
        if let Some(forbidden) = forbidden {
            return Some(Difference::new("calls.never", format!("no `{}`", forbidden.call.call), in_full(forbidden)));
        }
        match self.order {
            CallOrder::Any => self.made.iter().find(|call| !made.iter().any(|made| call.fits(made))).map(not_made),
            CallOrder::Ordered => {
                let mut rest = made.iter();
                self.made.iter().find(|call| !rest.any(|made| call.fits(made))).map(not_made)
            }
            CallOrder::Strict => self.compare_strictly(made),
        }
    }

    fn compare_strictly(&self, made: &[Numbered]) -> Option<Difference> {
        let counts = |made: &&Numbered| !matches!(made.call.call.as_str(), "report.log" | "report.progress");
        let made: Vec<&Numbered> = made.iter().filter(counts).collect();
        for index in 0..self.made.len().max(made.len()) {
            let (wanted, got) = (self.made.get(index), made.get(index));
            if !wanted.zip(got).is_some_and(|(wanted, got)| wanted.fits(got)) {
                let wanted = wanted.map_or_else(|| "no further call".to_owned(), ExpectedCall::in_words);
                let got = got.map_or_else(|| "no further call".to_owned(), |got| in_full(got));
                return Some(Difference::new(format!("calls.made, call {}", index + 1), wanted, got));
            }
        }
        None
    }
}

fn not_made(call: &ExpectedCall) -> Difference {
    Difference::new("calls.made", call.in_words(), "no such call")
}

fn in_full(made: &Numbered) -> String {
    format!("`{} {}` in {}", made.call.call, made.call.arguments, in_words(&made.instance))
}

impl ExpectedCall {
    fn fits(&self, made: &Numbered) -> bool {
        let is_of_task = |task: &String| matches!(&made.instance, Instance::Run(id) if id == task);
        self.call == made.call.call
            && self.task.as_ref().is_none_or(is_of_task)
            && self.arguments.iter().all(|(name, value)| made.call.arguments.get(name) == Some(value))
    }

    fn in_words(&self) -> String {
        let arguments = serde_json::Value::Object(self.arguments.clone());
        let task = self.task.as_ref().map(|task| format!(" in task `{task}`")).unwrap_or_default();
        format!("`{} {arguments}`{task}", self.call)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dr_engine::contract::Decision;
    use dr_runtime::recording::{Answer, Call};
    use serde_json::json;

    use super::*;
    use crate::file::Scenario;

    fn differences(expect: &str, came: &Observation) -> Vec<String> {
        let text = format!("scenario = 1\nname = \"x\"\n[world]\n[expect]\n{expect}");
        let expect = Scenario::parse(Path::new("x.toml"), text).unwrap().expect.unwrap();
        expect.differences(came).iter().map(ToString::to_string).collect()
    }

    fn success() -> Observation {
        Observation { outcome: "success".into(), ..Observation::default() }
    }

    #[test]
    fn how_it_ended_is_compared_with_the_reason() {
        let came =
            Observation { outcome: "conflict".into(), message: Some("it is open".into()), ..Observation::default() };
        assert_eq!(differences("", &success()), [""; 0]);
        assert_eq!(differences("", &came), ["outcome: expected `success`, got `conflict`: it is open"]);
        assert_eq!(differences("outcome = \"conflict\"\nmessage = \"open\"", &came), [""; 0]);
        let other = differences("outcome = \"conflict\"\nmessage = \"closed\"", &came);
        assert_eq!(other, ["message: expected ... closed ..., got it is open"]);
    }

    #[test]
    fn rows_are_compared_without_their_order_and_the_nearest_is_shown() {
        let row = |segment: &str, length| CreatedSegment {
            container: 0,
            segment: segment.into(),
            length,
            sealed: false,
            start_offset: None,
            attributes: [(9, 1)].into(),
        };
        let mut came = success();
        came.effects.created = vec![row("a", 1), row("b", 2)];
        let a = "{ container = 0, segment = \"a\", length = 1, attributes = { 9 = 1 } }";
        let b = |length| format!("{{ container = 0, segment = \"b\", length = {length}, attributes = {{ 9 = 1 }} }}");
        let expect = |rows: &[&str]| format!("effects.created = [{}]", rows.join(", "));
        assert_eq!(differences(&expect(&[&b(2), a]), &came), [""; 0]);
        let other = differences(&expect(&[a, &b(3)]), &came);
        assert_eq!(other, [format!("effects.created: expected {}, got {}", b(3), b(2))]);
        assert_eq!(
            differences(&expect(&[a]), &came),
            [format!("effects.created: expected nothing more, got {}", b(2))]
        );
        came.effects.created.pop();
        assert_eq!(
            differences(&expect(&[a, &b(2)]), &came),
            [format!("effects.created: expected {}, got nothing of it", b(2))]
        );
    }

    #[test]
    fn words_of_decisions_count_only_where_they_are_written() {
        let mut came = success();
        let decision =
            Decision { container: Some(1), subject: "a".into(), choice: "cut".into(), reason: "torn".into() };
        came.effects.decisions = vec![decision];
        let with = |row: &str| differences(&format!("decisions = [{{ {row} }}]"), &came);
        for row in [
            "subject = \"a\"",
            "container = 1, subject = \"a\", choice = \"cut\"",
            "subject = \"a\", reason = \"torn\"",
        ] {
            assert_eq!(with(row), [""; 0], "{row}");
        }
        for row in ["subject = \"b\"", "container = 2, subject = \"a\"", "subject = \"a\", choice = \"kept\""] {
            assert_eq!(with(row).len(), 1, "{row}");
        }
    }

    #[test]
    fn calls_are_compared_as_strictly_as_is_asked_for() {
        let call = |number, name: &str, arguments| Numbered {
            number,
            instance: Instance::Run("t".into()),
            call: Call { call: name.into(), arguments },
            answer: Answer::Ok(json!(null)),
        };
        let mut came = success();
        came.calls = vec![
            call(1, "report.log", json!({})),
            call(2, "storage.measure", json!({"container": 3, "names": ["a"]})),
            call(3, "coordination.get", json!({"path": "counter"})),
        ];
        let measure = "{ call = \"storage.measure\", task = \"t\", arguments = { names = [\"a\"] } }";
        let get = "{ call = \"coordination.get\" }";
        let with = |order: &str, made: &str| {
            differences(&format!("calls = {{ order = \"{order}\", made = [{made}] }}"), &came)
        };
        assert_eq!(with("any", &format!("{get}, {measure}")), [""; 0]);
        assert_eq!(with("ordered", &format!("{measure}, {get}")), [""; 0]);
        assert!(with("ordered", &format!("{get}, {measure}"))[0].contains("got no such call"));
        assert_eq!(with("strict", &format!("{measure}, {get}")), [""; 0]);
        assert!(
            with("strict", measure)[0]
                .starts_with("calls.made, call 2: expected no further call, got `coordination.get")
        );
        assert!(
            with("any", "{ call = \"storage.measure\", arguments = { names = [\"b\"] } }")[0]
                .contains("{\"names\":[\"b\"]}")
        );
        assert!(with("any", "{ call = \"storage.measure\", task = \"u\" }")[0].contains("in task `u`"));
        let never = differences("calls = { never = [\"coordination.get\"] }", &came);
        assert!(never[0].starts_with("calls.never: expected no `coordination.get`, got "), "{never:?}");
    }
}

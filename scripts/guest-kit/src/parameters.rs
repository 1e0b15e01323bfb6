//! Parameters, each written once: as what the procedure describes and as what it reads.
//!
//! ```
//! use dr_guest_kit::parameters::{Choice, Text};
//!
//! const TAIL: Choice<bool> = Choice {
//!     name: "tail",
//!     choices: &[("whole-events", true), ("as-is", false)],
//!     help: "What to do with a last event that is only half there.",
//! };
//! const PLACE: Text = Text { name: "place", default: "_dr/moved-aside", help: "Where old metadata goes." };
//! ```
//!
//! `describe` takes `TAIL.parameter()`, `run` asks `settings.get(&TAIL)?` and has a `bool`.

use crate::Parameter;

/// A parameter whose values have a type.
pub trait Typed {
    /// What the procedure gets.
    type Value;

    /// How the operator calls it in `--set NAME=VALUE`: lower case, words joined by `-`.
    fn name(&self) -> &'static str;

    /// As the procedure describes it to the host.
    fn parameter(&self) -> Parameter;

    /// The value that a text means; none if it is none. The host has checked the text against the described kind.
    fn value(&self, text: &str) -> Option<Self::Value>;
}

/// One of some words, each with what it means. The first one is the default.
#[derive(Debug, Clone, Copy)]
pub struct Choice<T: 'static> {
    /// Lower case, words joined by `-`.
    pub name: &'static str,
    /// Words and their meanings; at least one.
    pub choices: &'static [(&'static str, T)],
    /// One sentence.
    pub help: &'static str,
}

/// Any text.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// Lower case, words joined by `-`.
    pub name: &'static str,
    /// Used when the operator sets nothing.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// Words with commas between them; spaces around them mean nothing.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// Lower case, words joined by `-`.
    pub name: &'static str,
    /// Used when the operator sets nothing; empty for no word.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy)]
pub struct Boolean {
    /// Lower case, words joined by `-`.
    pub name: &'static str,
    /// Used when the operator sets nothing.
    pub default: bool,
    /// One sentence.
    pub help: &'static str,
}

/// A whole number.
#[derive(Debug, Clone, Copy)]
pub struct Integer {
    /// Lower case, words joined by `-`.
    pub name: &'static str,
    /// Used when the operator sets nothing.
    pub default: i64,
    /// One sentence.
    pub help: &'static str,
}

impl<T: Clone> Typed for Choice<T> {
    type Value = T;

    fn name(&self) -> &'static str {
        self.name
    }

    fn parameter(&self) -> Parameter {
        let words: Vec<&str> = self.choices.iter().map(|(word, _)| *word).collect();
        parameter(self.name, &format!("choice:{}", words.join("|")), words.first().unwrap_or(&""), self.help)
    }

    fn value(&self, text: &str) -> Option<T> {
        self.choices.iter().find(|(word, _)| *word == text).map(|(_, meaning)| meaning.clone())
    }
}

impl Typed for Text {
    type Value = String;

    fn name(&self) -> &'static str {
        self.name
    }

    fn parameter(&self) -> Parameter {
        parameter(self.name, "text", self.default, self.help)
    }

    fn value(&self, text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

impl Typed for Words {
    type Value = Vec<String>;

    fn name(&self) -> &'static str {
        self.name
    }

    fn parameter(&self) -> Parameter {
        parameter(self.name, "text", self.default, self.help)
    }

    fn value(&self, text: &str) -> Option<Vec<String>> {
        Some(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }
}

impl Typed for Boolean {
    type Value = bool;

    fn name(&self) -> &'static str {
        self.name
    }

    fn parameter(&self) -> Parameter {
        parameter(self.name, "boolean", if self.default { "true" } else { "false" }, self.help)
    }

    fn value(&self, text: &str) -> Option<bool> {
        text.parse().ok()
    }
}

impl Typed for Integer {
    type Value = i64;

    fn name(&self) -> &'static str {
        self.name
    }

    fn parameter(&self) -> Parameter {
        parameter(self.name, "integer", &self.default.to_string(), self.help)
    }

    fn value(&self, text: &str) -> Option<i64> {
        text.parse().ok()
    }
}

fn parameter(name: &str, kind: &str, default_value: &str, help: &str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind: kind.to_owned(),
        default_value: default_value.to_owned(),
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_choice_is_the_default_and_each_word_has_its_meaning() {
        let tail = Choice { name: "tail", choices: &[("whole-events", true), ("as-is", false)], help: "Help." };
        let described = tail.parameter();
        assert_eq!((&*described.kind, &*described.default_value), ("choice:whole-events|as-is", "whole-events"));
        assert_eq!([tail.value("whole-events"), tail.value("as-is"), tail.value("x")], [Some(true), Some(false), None]);
    }

    #[test]
    fn words_are_what_stands_between_commas() {
        let scopes = Words { name: "scopes", default: "", help: "Help." };
        assert_eq!(scopes.value(" sales, billing,,").unwrap(), ["sales", "billing"]);
        assert!(scopes.value(&scopes.parameter().default_value).unwrap().is_empty());
    }

    #[test]
    fn defaults_are_values_of_their_kinds() {
        let on = Boolean { name: "on", default: true, help: "Help." };
        assert_eq!(on.value(&on.parameter().default_value), Some(true));
        let count = Integer { name: "count", default: -3, help: "Help." };
        assert_eq!(count.value(&count.parameter().default_value), Some(-3));
        assert_eq!(count.value("three"), None);
    }
}

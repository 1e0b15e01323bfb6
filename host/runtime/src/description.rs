//! What a procedure says of itself, and the settings of a run.

use std::collections::BTreeSet;

use crate::bindings;
use crate::error::RuntimeError;
use crate::grants::Capability;

/// Scenarios that a procedure can recover from.
pub const SCENARIOS: [&str; 3] = ["total-loss", "partial-loss", "zookeeper-loss"];

/// Most parameters of a procedure; more could not be shown to an operator.
const PARAMETERS_MAX: usize = 100;
/// Most bytes of any one text in a description.
const TEXT_BYTES_MAX: usize = 4096;

/// What a procedure says of itself; checked, see the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Lower case, words joined by `-`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// Among [`SCENARIOS`].
    pub scenarios: Vec<String>,
    /// What it needs; calls of anything else are denied.
    pub capabilities: BTreeSet<Capability>,
    /// Parameters, in its order.
    pub parameters: Vec<Parameter>,
}

/// A parameter that the operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Lower case, words joined by `-`.
    pub name: String,
    /// What it takes.
    pub kind: ParameterKind,
    /// Used when the operator sets nothing; of the kind.
    pub default_value: String,
    /// One sentence.
    pub help: String,
}

/// What a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A 64-bit integer.
    Integer,
    /// One of these words.
    Choice(Vec<String>),
}

/// The value of a parameter for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name of the parameter.
    pub name: String,
    /// Value, of the parameter's kind.
    pub value: String,
}

impl ParameterKind {
    fn parse(kind: &str) -> Option<Self> {
        match kind {
            "text" => Some(Self::Text),
            "boolean" => Some(Self::Boolean),
            "integer" => Some(Self::Integer),
            _ => {
                let words: Vec<String> = kind.strip_prefix("choice:")?.split('|').map(str::to_owned).collect();
                words.iter().all(|word| !word.is_empty()).then_some(Self::Choice(words))
            }
        }
    }

    /// Whether a value is of this kind.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Text => value.len() <= TEXT_BYTES_MAX,
            Self::Boolean => matches!(value, "true" | "false"),
            Self::Integer => value.parse::<i64>().is_ok(),
            Self::Choice(words) => words.iter().any(|word| word == value),
        }
    }
}

impl std::fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text => write!(f, "text of at most {TEXT_BYTES_MAX} bytes"),
            Self::Boolean => f.write_str("`true` or `false`"),
            Self::Integer => f.write_str("an integer"),
            Self::Choice(words) => write!(f, "one of `{}`", words.join("`, `")),
        }
    }
}

impl Description {
    /// Checks what a component said; the error is a clause that says what is wrong.
    pub(crate) fn check(said: bindings::Description) -> Result<Self, String> {
        require_name("its name", &said.name)?;
        require_text("its summary", &said.summary)?;
        if !is_semantic_version(&said.version) {
            return Err(format!("its version {:?} is not three numbers joined by dots", shortened(&said.version)));
        }
        if said.scenarios.is_empty() {
            return Err(format!("it names no scenario; known are {}", SCENARIOS.join(", ")));
        }
        if let Some(unknown) = said.scenarios.iter().find(|scenario| !SCENARIOS.contains(&scenario.as_str())) {
            let known = SCENARIOS.join(", ");
            return Err(format!("it names the scenario {:?}; known are {known}", shortened(unknown)));
        }
        let capabilities = said.capabilities.iter().map(|name| Capability::parse(name));
        let capabilities = capabilities.collect::<Result<BTreeSet<_>, _>>()?;
        if said.parameters.len() > PARAMETERS_MAX {
            let count = said.parameters.len();
            return Err(format!("it has {count} parameters; at most {PARAMETERS_MAX} are allowed"));
        }
        let parameters = said.parameters.into_iter().map(Parameter::check).collect::<Result<Vec<_>, _>>()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = parameters.iter().find(|parameter| !names.insert(&parameter.name)) {
            return Err(format!("it has two parameters `{}`", twice.name));
        }
        Ok(Self {
            name: said.name,
            version: said.version,
            summary: said.summary,
            scenarios: said.scenarios,
            capabilities,
            parameters,
        })
    }

    /// One setting for each parameter: what the operator set, else the default.
    pub(crate) fn settings(&self, overrides: &[(String, String)]) -> Result<Vec<Setting>, RuntimeError> {
        let mut settings: Vec<Setting> = self
            .parameters
            .iter()
            .map(|parameter| Setting { name: parameter.name.clone(), value: parameter.default_value.clone() })
            .collect();
        for (name, value) in overrides {
            let found = self.parameters.iter().zip(&mut settings).find(|(parameter, _)| parameter.name == *name);
            let (parameter, setting) = found.ok_or_else(|| self.unknown_setting(name))?;
            if !parameter.kind.accepts(value) {
                return Err(RuntimeError::BadSetting {
                    procedure: self.name.clone(),
                    name: name.clone(),
                    value: shortened(value).to_owned(),
                    expected: parameter.kind.to_string(),
                });
            }
            setting.value.clone_from(value);
        }
        Ok(settings)
    }

    fn unknown_setting(&self, name: &str) -> RuntimeError {
        let names: Vec<String> = self.parameters.iter().map(|parameter| format!("`{}`", parameter.name)).collect();
        let known = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        RuntimeError::UnknownSetting { procedure: self.name.clone(), name: shortened(name).to_owned(), known }
    }
}

impl Parameter {
    fn check(said: bindings::Parameter) -> Result<Self, String> {
        require_name("the name of a parameter", &said.name)?;
        let name = said.name;
        require_text(&format!("the help of parameter `{name}`"), &said.help)?;
        let kind = ParameterKind::parse(&said.kind).filter(|_| said.kind.len() <= TEXT_BYTES_MAX).ok_or_else(|| {
            format!("the kind of parameter `{name}` is {:?}, which is not known", shortened(&said.kind))
        })?;
        if !kind.accepts(&said.default_value) {
            let default_value = shortened(&said.default_value);
            return Err(format!("the default of parameter `{name}` is {default_value:?}, but it takes {kind}"));
        }
        Ok(Self { name, kind, default_value: said.default_value, help: said.help })
    }
}

/// Whether a text can be the name of a procedure or of a parameter: lower case, words joined by `-`, at most 64 bytes.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    text.len() <= 64 && text.split('-').all(is_word)
}

fn require_name(what: &str, name: &str) -> Result<(), String> {
    if is_name(name) {
        return Ok(());
    }
    Err(format!("{what} is {:?}, but has to be lower case words joined by `-`, at most 64 bytes", shortened(name)))
}

fn require_text(what: &str, text: &str) -> Result<(), String> {
    if !text.trim().is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control) {
        return Ok(());
    }
    Err(format!("{what} has to be one line of at most {TEXT_BYTES_MAX} bytes"))
}

fn is_semantic_version(version: &str) -> bool {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = release.split('.').collect();
    version.len() <= 64
        && numbers.len() == 3
        && numbers.iter().all(|number| number.parse::<u32>().is_ok() && !number.starts_with('+'))
        && version.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c))
}

/// The beginning of a text that a stranger wrote, for use in a message.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, kind: &str, default_value: &str) -> bindings::Parameter {
        bindings::Parameter {
            name: name.into(),
            kind: kind.into(),
            default_value: default_value.into(),
            help: "Helps.".into(),
        }
    }

    fn said() -> bindings::Description {
        bindings::Description {
            name: "my-procedure2".into(),
            version: "1.2.3-rc.1".into(),
            summary: "Does it.".into(),
            scenarios: vec!["total-loss".into()],
            capabilities: vec!["storage.containers".into(), "coordination.get".into()],
            parameters: vec![parameter("tail", "choice:a|b", "a"), parameter("n", "integer", "-1")],
        }
    }

    #[test]
    fn what_is_well_said_is_accepted() {
        let description = Description::check(said()).unwrap();
        assert_eq!(description.parameters[0].kind, ParameterKind::Choice(vec!["a".into(), "b".into()]));
        assert_eq!(description.capabilities, BTreeSet::from([Capability::ListContainers, Capability::GetZnode]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        type Spoil = fn(&mut bindings::Description);
        let cases: [(&str, Spoil); 12] = [
            ("its name is \"Big\"", |said| said.name = "Big".into()),
            ("its name is \"\"", |said| said.name.clear()),
            ("its version \"1.2\"", |said| said.version = "1.2".into()),
            ("its summary has to be one line", |said| said.summary = "a\nb".into()),
            ("it names no scenario", |said| said.scenarios.clear()),
            ("it names the scenario \"flood\"", |said| said.scenarios.push("flood".into())),
            ("there is no capability \"storage.delete\"; there are storage.containers, ", |said| {
                said.capabilities.push("storage.delete".into());
            }),
            ("two parameters `n`", |said| said.parameters.push(parameter("n", "text", ""))),
            ("the kind of parameter `x` is \"float\"", |said| said.parameters.push(parameter("x", "float", ""))),
            ("the kind of parameter `x` is \"choice:a||b\"", |said| {
                said.parameters.push(parameter("x", "choice:a||b", "a"));
            }),
            ("the default of parameter `x` is \"c\", but it takes one of `a`, `b`", |said| {
                said.parameters.push(parameter("x", "choice:a|b", "c"));
            }),
            ("it has 102 parameters", |said| said.parameters.extend((0..100).map(|_| parameter("x", "text", "")))),
        ];
        for (expected, spoil) in cases {
            let mut spoilt = said();
            spoil(&mut spoilt);
            let problem = Description::check(spoilt).unwrap_err();
            assert!(problem.contains(expected), "{problem:?} does not say {expected:?}");
        }
    }

    #[test]
    fn settings_are_the_defaults_and_what_the_operator_set() {
        let description = Description::check(said()).unwrap();
        let set = |name: &str, value: &str| description.settings(&[(name.to_owned(), value.to_owned())]);
        let values: Vec<String> = set("tail", "b").unwrap().into_iter().map(|setting| setting.value).collect();
        assert_eq!(values, ["b", "-1"]);
        let unknown = set("tale", "b").unwrap_err().to_string();
        assert_eq!(unknown, "the procedure `my-procedure2` has no parameter `tale`; it has `tail`, `n`");
        let bad = set("n", "many").unwrap_err().to_string();
        assert_eq!(bad, "parameter `n` of the procedure `my-procedure2` cannot be `many`: it takes an integer");
    }
}

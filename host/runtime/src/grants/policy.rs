//! What an operator writes down of procedures.

use std::collections::{BTreeMap, BTreeSet};

use dr_engine::contract::ContainerId;
use serde::Deserialize;

use super::capability::Capability;
use super::scope::{Scope, parts};
use crate::description::is_name;
use crate::limits::Limits;
use crate::procedure::is_component_digest;

/// Largest container number that a policy can name; also bounds what a range becomes in memory.
const CONTAINER_MAX: ContainerId = 99_999;

/// A policy that says something impossible. The message is a clause that names the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

/// What an operator wrote down of procedures; of those that it does not name it says nothing but limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    limits: Limits,
    rules: Vec<Rule>,
}

/// What is said of one procedure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// What the procedure calls itself.
    pub name: String,
    /// SHA-256 of its component, lower-case hex; none: whatever calls itself so.
    pub sha256: Option<String>,
    /// What it may call, beside what it may anyway.
    pub grant: BTreeSet<Capability>,
    /// What it may not call, whoever grants it.
    pub deny: BTreeSet<Capability>,
    /// For what it may stage changes.
    pub scope: Scope,
    pub(super) limits: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    limits: BTreeMap<String, u64>,
    #[serde(default)]
    procedure: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: Option<String>,
    #[serde(default)]
    grant: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    containers: Option<String>,
    znodes: Option<Vec<String>>,
    objects: Option<Vec<String>>,
    places: Option<Vec<String>>,
    #[serde(default)]
    limits: BTreeMap<String, u64>,
}

impl Policy {
    /// Reads a policy; docs/procedures.md has its form.
    ///
    /// # Errors
    /// What is not TOML, not of this form, or names what does not exist.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let content: Content =
            toml::from_str(text).map_err(|error| PolicyError(error.to_string().trim().to_owned()))?;
        let limits = changed(&Limits::default(), &content.limits).map_err(|why| at("[limits]", &why))?;
        let mut rules: Vec<Rule> = Vec::new();
        for entry in content.procedure {
            let place = format!("[[procedure]] {}", entry.name);
            let rule = Rule::check(entry).map_err(|why| at(&place, &why))?;
            changed(&limits, &rule.limits).map_err(|why| at(&place, &why))?;
            rule.refuse_limits_of_the_runtime().map_err(|why| at(&place, &why))?;
            if rules.iter().any(|other| (&other.name, &other.sha256) == (&rule.name, &rule.sha256)) {
                return Err(at(&place, "it is there twice"));
            }
            rules.push(rule);
        }
        Ok(Self { limits, rules })
    }

    /// What is said of the component with this name and digest: the rule with the digest, else the one without any.
    #[must_use]
    pub fn rule(&self, name: &str, sha256: &str) -> Option<&Rule> {
        let of_digest = |wanted: Option<&str>| {
            self.rules.iter().find(move |rule| rule.name == name && rule.sha256.as_deref() == wanted)
        };
        of_digest(Some(sha256)).or_else(|| of_digest(None))
    }

    /// Whether a rule names such a procedure, but none with this digest.
    #[must_use]
    pub fn names_another(&self, name: &str, sha256: &str) -> bool {
        self.rule(name, sha256).is_none() && self.rules.iter().any(|rule| rule.name == name)
    }

    /// Limits of all procedures.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Limits of this procedure.
    #[must_use]
    pub fn limits_of(&self, rule: Option<&Rule>) -> Limits {
        let changes = rule.map(|rule| changed(&self.limits, &rule.limits));
        changes.and_then(Result::ok).unwrap_or_else(|| self.limits.clone())
    }
}

impl Rule {
    /// The error is a clause that says what is wrong.
    fn check(entry: Entry) -> Result<Self, String> {
        let Entry { name, sha256, grant, deny, containers, znodes, objects, places, limits } = entry;
        if !is_name(&name) {
            return Err("a name is lower case words joined by `-`".to_owned());
        }
        if sha256.as_ref().is_some_and(|text| !is_component_digest(text)) {
            return Err("`sha256` has to be 64 lower-case hexadecimal digits".to_owned());
        }
        let capabilities = |key: &str, names: &[String]| -> Result<BTreeSet<Capability>, String> {
            names.iter().map(|name| Capability::parse(name).map_err(|why| format!("`{key}`: {why}"))).collect()
        };
        let (grant, deny) = (capabilities("grant", &grant)?, capabilities("deny", &deny)?);
        if let Some(both) = grant.intersection(&deny).next() {
            return Err(format!("`{both}` is granted and denied"));
        }
        let scope = Scope {
            containers: containers.map(|list| container_list(&list)).transpose()?,
            znodes: check_roots("znodes", znodes)?,
            objects: check_roots("objects", objects)?,
            places: check_roots("places", places)?,
        };
        Ok(Self { name, sha256, grant, deny, scope, limits })
    }

    /// These are set before anybody knows what a component calls itself.
    fn refuse_limits_of_the_runtime(&self) -> Result<(), String> {
        match self.limits.keys().find(|name| Limits::of_the_runtime(name)) {
            Some(name) => Err(format!("`{name}` is one limit for all procedures: it belongs into [limits]")),
            None => Ok(()),
        }
    }
}

fn at(place: &str, why: &str) -> PolicyError {
    PolicyError(format!("in {place}: {why}"))
}

/// The limits with some of them set anew.
fn changed(limits: &Limits, changes: &BTreeMap<String, u64>) -> Result<Limits, String> {
    let mut limits = limits.clone();
    changes.iter().try_for_each(|(name, &value)| limits.set(name, value))?;
    Ok(limits)
}

/// Folders and subtrees without the slash that may stand at their end.
fn check_roots(key: &str, roots: Option<Vec<String>>) -> Result<Option<Vec<String>>, String> {
    let check = |root: String| {
        let root = root.strip_suffix('/').unwrap_or(&root).to_owned();
        match parts(&root) {
            Some(_) => Ok(root),
            None => {
                Err(format!("`{key}`: {root:?} is no path such as \"a/b\", without a slash before it and without `..`"))
            }
        }
    };
    roots.map(|roots| roots.into_iter().map(check).collect()).transpose()
}

/// Numbers and ranges, as in `0-3,7`.
fn container_list(list: &str) -> Result<BTreeSet<ContainerId>, String> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<ContainerId>().ok().filter(|number| is_number && *number <= CONTAINER_MAX)
    };
    let mut numbers = BTreeSet::new();
    for part in list.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => numbers.extend(first..=last),
            _ => {
                return Err(format!(
                    "`containers`: {part:?} is neither a number up to {CONTAINER_MAX} nor a range such as 0-3"
                ));
            }
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        [limits]
        fuel = 5000
        stack-bytes = 100000

        [[procedure]]
        name = "vendor-policy"
        grant = ["storage.move-aside", "containers.open-fresh-container"]
        deny = ["storage.measure"]
        containers = "0-2, 7"
        znodes = ["counter", "a/b/"]
        objects = ["_system"]
        places = []

        [procedure.limits]
        staged-bytes = 1000
        fuel = 6000

        [[procedure]]
        name = "vendor-policy"
        sha256 = "abababababababababababababababababababababababababababababababab"
    "#;

    #[test]
    fn a_policy_says_what_a_procedure_gets() {
        let policy = Policy::parse(WHOLE).unwrap();
        let rule = policy.rule("vendor-policy", "00").unwrap();
        assert_eq!(rule.grant, BTreeSet::from([Capability::MoveAside, Capability::OpenFreshContainer]));
        assert_eq!(rule.deny, BTreeSet::from([Capability::Measure]));
        assert_eq!(rule.scope.containers, Some(BTreeSet::from([0, 1, 2, 7])));
        assert_eq!(rule.scope.znodes, Some(vec!["counter".to_owned(), "a/b".to_owned()]));
        assert_eq!(rule.scope.places, Some(Vec::new()));
        let limits = policy.limits_of(Some(rule));
        assert_eq!((limits.fuel, limits.staged_bytes, limits.stack_bytes), (6000, 1000, 100_000));

        let of_digest = policy.rule("vendor-policy", &"ab".repeat(32)).unwrap();
        assert!(of_digest.grant.is_empty() && of_digest.scope == Scope::default());
        assert_eq!(policy.limits_of(Some(of_digest)).fuel, 5000);
        assert_eq!(policy.rule("other", "00"), None);
        assert_eq!(Policy::parse("").unwrap(), Policy::default());
    }

    #[test]
    fn a_rule_for_another_component_is_known_to_be_none() {
        let policy = Policy::parse(&format!("[[procedure]]\nname = \"a\"\nsha256 = \"{}\"", "ab".repeat(32))).unwrap();
        assert!(policy.names_another("a", &"cd".repeat(32)) && !policy.names_another("a", &"ab".repeat(32)));
        assert!(!policy.names_another("b", &"cd".repeat(32)));
    }

    #[test]
    fn what_is_impossible_is_refused_with_its_place() {
        let of = |line: &str| format!("[[procedure]]\nname = \"mine\"\n{line}\n");
        for (text, expected) in [
            ("procedure = 1".to_owned(), "invalid type"),
            ("[procedures]".to_owned(), "unknown field `procedures`"),
            ("[[procedure]]\nname = \"Mine\"".to_owned(), "in [[procedure]] Mine: a name is lower case"),
            (of("grants = []"), "unknown field `grants`"),
            (
                of("grant = [\"storage.move-asides\"]"),
                "in [[procedure]] mine: `grant`: there is no capability \"storage.move-asides\"; did you mean `storage.move-aside`?",
            ),
            (
                of("deny = [\"everything\"]"),
                "`deny`: there is no capability \"everything\"; there are storage.containers,",
            ),
            (
                of("grant = [\"storage.measure\"]\ndeny = [\"storage.measure\"]"),
                "`storage.measure` is granted and denied",
            ),
            (of("sha256 = \"AB\""), "64 lower-case"),
            (of("containers = \"3-1\""), "\"3-1\" is neither"),
            (of("containers = \"0-100000\""), "up to 99999"),
            (of("containers = \"\""), "\"\" is neither"),
            (of("znodes = [\"/counter\"]"), "`znodes`: \"/counter\" is no path"),
            (of("objects = [\"a/../b\"]"), "`objects`: \"a/../b\" is no path"),
            (of("places = [\"\"]"), "`places`: \"\" is no path"),
            (of("") + &of(""), "in [[procedure]] mine: it is there twice"),
            (of("limits = { fule = 1 }"), "there is no limit \"fule\"; did you mean `fuel`?"),
            (of("limits = { fuel = -1 }"), "invalid value"),
            (of("limits = { fuel = 0 }"), "`fuel` has to be at least 1"),
            (of("limits = { stack-bytes = 1 }"), "`stack-bytes` is one limit for all procedures"),
        ] {
            let said = Policy::parse(&text).unwrap_err().to_string();
            assert!(said.contains(expected), "{said:?} does not say {expected:?}");
        }
    }
}

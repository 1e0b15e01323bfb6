//! What procedures there are, and what one of them is.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use dr_engine::plan::Grants;
use dr_runtime::{CONTRACT, Capability, Grant, Limits, Parameter, Procedure};
use serde::Serialize;

use super::table::{self, Align};
use super::text::{Colour, bytes, grouped, shown};
use crate::policy::Decided;
use crate::procedures::Module;
use crate::procedures::library::Candidate;
use crate::procedures::signing::{KeyId, Manifest, Standing};

/// A procedure that can be named.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    name: String,
    /// Every event has a `version` of its own, that of the schema.
    #[serde(rename = "procedure_version")]
    version: String,
    /// None if it is built in.
    file: Option<String>,
    sha256: String,
}

impl Listed {
    /// What a list says of it.
    pub(crate) fn of(candidate: &Candidate<'_>) -> Self {
        Self {
            name: candidate.name().to_owned(),
            version: candidate.version().to_string(),
            file: candidate.file().map(str::to_owned),
            sha256: candidate.sha256(),
        }
    }
}

/// A table of procedures.
pub(crate) fn render_list(listed: &[Listed]) -> String {
    let columns = [("Name", Align::Left), ("Version", Align::Left), ("File", Align::Left), ("SHA-256", Align::Left)];
    let row = |procedure: &Listed| {
        let file = procedure.file.as_deref().map_or("built in".to_owned(), shown);
        vec![procedure.name.clone(), procedure.version.clone(), file, procedure.sha256.clone()]
    };
    table::render(&columns, listed.iter().map(row))
}

/// What a procedure is, needs, and can be told.
#[derive(Debug, Serialize)]
pub(crate) struct Sheet {
    name: String,
    /// Every event has a `version` of its own, that of the schema.
    #[serde(rename = "procedure_version")]
    version: String,
    summary: String,
    origin: String,
    size_bytes: usize,
    sha256: String,
    signature: Signature,
    /// Release of the contract that it was built for.
    contract: String,
    world: &'static str,
    scenarios: Vec<String>,
    /// Functions of the contract that only read.
    reads: Vec<&'static str>,
    /// Functions of the contract that propose changes.
    stages: Vec<&'static str>,
    /// What a run would get of these, and for what.
    granted: Grants,
    /// What the policy withholds.
    denied: Vec<&'static str>,
    /// What somebody would have to grant before a run.
    not_granted: Vec<&'static str>,
    imports: Vec<String>,
    exports: Vec<String>,
    parameters: Vec<ParameterRow>,
    limits: Vec<LimitRow>,
}

/// Who vouches for a component.
#[derive(Debug, Serialize)]
pub(crate) struct Signature {
    origin: String,
    sha256: String,
    /// `built-in`, `unsigned`, `untrusted` or `verified`.
    state: &'static str,
    /// The trusted key that signed.
    signer: Option<KeyId>,
    /// What was signed; by nobody who is trusted, if there is no signer.
    manifest: Option<Manifest>,
    #[serde(skip)]
    in_words: String,
}

impl Signature {
    /// What is known without compiling it.
    pub(crate) fn of(module: &Module, standing: &Standing) -> Self {
        Self {
            origin: module.origin.to_string(),
            sha256: module.sha256(),
            state: standing.word(),
            signer: standing.signer().cloned(),
            manifest: standing.manifest().cloned(),
            in_words: standing.in_words(),
        }
    }

    /// For people.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, value: &str| {
            let _ = writeln!(text, "{what:<14}{}", shown(value));
        };
        line("from", &self.origin);
        line("SHA-256", &self.sha256);
        line("signature", &self.in_words);
        if let Some(Manifest { name, version, contract, capabilities }) = &self.manifest {
            line("name", name);
            line("version", version);
            line("contract", contract);
            line("capabilities", &if capabilities.is_empty() { "none".to_owned() } else { capabilities.join(", ") });
        }
        text
    }
}

#[derive(Debug, Serialize)]
struct ParameterRow {
    name: String,
    takes: String,
    default_value: String,
    help: String,
}

#[derive(Debug, Serialize)]
struct LimitRow {
    name: &'static str,
    value: String,
}

impl Sheet {
    /// All that is known without running it, and what was decided about it.
    pub(crate) fn of(module: &Module, standing: &Standing, procedure: &Procedure, decided: Decided) -> Self {
        let description = procedure.description();
        let interface = procedure.interface();
        let (stages, reads): (BTreeSet<Capability>, BTreeSet<Capability>) =
            description.capabilities.iter().partition(|capability| capability.stages());
        let names = |capabilities: BTreeSet<Capability>| capabilities.into_iter().map(Capability::name).collect();
        let Decided { verdict, scope } = decided;
        Self {
            name: description.name.clone(),
            version: description.version.clone(),
            summary: description.summary.clone(),
            origin: module.origin.to_string(),
            size_bytes: module.bytes.len(),
            sha256: procedure.digest().to_owned(),
            signature: Signature::of(module, standing),
            contract: format!("pravega:recovery@{CONTRACT}"),
            world: "procedure",
            scenarios: description.scenarios.clone(),
            reads: names(reads),
            stages: names(stages),
            granted: Grant { capabilities: verdict.granted, scope }.to_record(),
            denied: names(verdict.denied),
            not_granted: names(verdict.undecided),
            imports: interface.imports.clone(),
            exports: interface.exports.clone(),
            parameters: description.parameters.iter().map(ParameterRow::of).collect(),
            limits: limit_rows(procedure.limits()),
        }
    }

    /// For people.
    pub(crate) fn render(&self, colour: Colour) -> String {
        let mut text =
            format!("{}\n{}\n\n", colour.bold(&format!("{} {}", self.name, self.version)), shown(&self.summary));
        for (what, value) in [
            ("from", shown(&self.origin)),
            ("size", bytes(self.size_bytes as u64)),
            ("SHA-256", self.sha256.clone()),
            ("signature", shown(&self.signature.in_words)),
            ("contract", format!("{}, world {}", self.contract, self.world)),
            ("scenarios", self.scenarios.join(", ")),
            ("reads", listed(&self.reads)),
            ("stages", listed(&self.stages)),
            ("granted", self.granted()),
            ("imports", joined(&self.imports)),
            ("exports", joined(&self.exports)),
        ] {
            let _ = writeln!(text, "{what:<11}{value}");
        }
        let _ = write!(text, "\n{}\n{}", colour.bold("Parameters (--set NAME=VALUE)"), self.parameter_table());
        let columns = [("Limit", Align::Left), ("Value", Align::Right)];
        let rows = self.limits.iter().map(|limit| vec![limit.name.to_owned(), limit.value.clone()]);
        let _ = write!(text, "\n{}\n{}", colour.bold("Limits of an instance"), table::render(&columns, rows));
        text
    }

    /// Everything in one word, or what is missing and the scope.
    fn granted(&self) -> String {
        let mut parts = Vec::new();
        if self.denied.is_empty() && self.not_granted.is_empty() {
            parts.push("all of this".to_owned());
        } else {
            parts.push(listed(&self.granted.capabilities));
        }
        parts.extend(scope_in_words(&self.granted));
        if !self.denied.is_empty() {
            parts.push(format!("the policy denies {}", listed(&self.denied)));
        }
        if !self.not_granted.is_empty() {
            parts.push(format!("it runs only with --grant {}, or a policy", self.not_granted.join(",")));
        }
        parts.join("; ")
    }

    fn parameter_table(&self) -> String {
        if self.parameters.is_empty() {
            return " none\n".to_owned();
        }
        let columns =
            [("Name", Align::Left), ("Takes", Align::Left), ("Default", Align::Left), ("Meaning", Align::Left)];
        let row =
            |it: &ParameterRow| [&it.name, &it.takes, &it.default_value, &it.help].map(|text| shown(text)).to_vec();
        table::render(&columns, self.parameters.iter().map(row))
    }
}

fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// What a procedure was let do.
pub(crate) fn granted_in_words(granted: &Grants) -> String {
    let capabilities = shown(&listed(&granted.capabilities));
    std::iter::once(capabilities).chain(scope_in_words(granted)).collect::<Vec<_>>().join("; ")
}

/// For what it may stage changes, as far as that is limited.
fn scope_in_words(granted: &Grants) -> Vec<String> {
    let Grants { capabilities: _, containers, znodes, objects, places } = granted;
    let numbers = containers.as_ref().map(|numbers| numbers.iter().map(ToString::to_string).collect::<Vec<_>>());
    [
        ("only containers", &numbers),
        ("only ZNodes below", znodes),
        ("only objects below", objects),
        ("moved only below", places),
    ]
    .into_iter()
    .filter_map(|(what, scope)| Some(format!("{what} {}", shown(&listed(scope.as_ref()?)))))
    .collect()
}

/// Names of a component's imports and exports, which a stranger wrote.
fn joined(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { shown(&names.join(", ")) }
}

impl ParameterRow {
    fn of(parameter: &Parameter) -> Self {
        Self {
            name: parameter.name.clone(),
            takes: parameter.kind.to_string(),
            default_value: parameter.default_value.clone(),
            help: parameter.help.clone(),
        }
    }
}

fn limit_rows(limits: &Limits) -> Vec<LimitRow> {
    let value = |name: &str, value: u64| match name.rsplit('-').next() {
        Some("bytes") => bytes(value),
        Some("seconds") => format!("{} s", grouped(value)),
        _ => grouped(value),
    };
    limits.named().into_iter().map(|(name, amount)| LimitRow { name, value: value(name, amount) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_kept_as_a_golden_file() {
        let row = |name: &str, takes: &str, default_value: &str, help: &str| ParameterRow {
            name: name.to_owned(),
            takes: takes.to_owned(),
            default_value: default_value.to_owned(),
            help: help.to_owned(),
        };
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let sheet = Sheet {
            name: "vendor-policy".to_owned(),
            version: "1.2.0".to_owned(),
            summary: "Recovers some scopes only.".to_owned(),
            origin: "vendor-policy.wasm".to_owned(),
            size_bytes: 24_576,
            sha256: "ab".repeat(32),
            signature: Signature {
                origin: "vendor-policy.wasm".to_owned(),
                sha256: "ab".repeat(32),
                state: "unsigned",
                signer: None,
                manifest: None,
                in_words: "none".to_owned(),
            },
            contract: "pravega:recovery@0.1.0".to_owned(),
            world: "procedure",
            scenarios: words(&["total-loss"]),
            reads: vec!["storage.containers", "storage.list-segments"],
            stages: vec!["storage.move-aside", "coordination.create"],
            granted: Grants {
                capabilities: words(&["storage.containers", "storage.move-aside"]),
                containers: Some(vec![0, 2]),
                places: Some(words(&["_dr/aside"])),
                ..Grants::default()
            },
            denied: vec!["storage.list-segments"],
            not_granted: vec!["coordination.create"],
            imports: words(&["pravega:recovery/storage@0.1.0", "pravega:recovery/report@0.1.0"]),
            exports: words(&["describe", "prepare", "run", "finish"]),
            parameters: vec![
                row("tail", "one of `whole-events`, `as-is`", "whole-events", "What becomes of half an event."),
                row("scopes", "text of at most 4096 bytes", "", "Scopes to keep, hostile: \u{1b}[2J"),
            ],
            limits: vec![LimitRow { name: "fuel", value: "1,000".to_owned() }],
        };
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/procedure-sheet.txt");
        let text = sheet.render(Colour::NONE);
        if std::env::var_os("DR_TEST_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap());
    }
}

//! All procedures that can be named: those that are built in and those of a directory.

use std::path::Path;

use dr_engine::error::{OperatorError, Result};
use semver::Version;

use super::Module;
use super::built_in::{self, BuiltIn};
use super::reference::{NamedVersion, Reference};
use super::registry::{Entry, Registry};

/// Procedures by name.
#[derive(Debug)]
pub(crate) struct Library {
    registry: Option<Registry>,
}

/// A procedure that can be named.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Candidate<'a> {
    /// It is part of the binary.
    BuiltIn(&'a BuiltIn),
    /// It stands in the directory.
    Registered(&'a Registry, &'a Entry),
}

impl Library {
    /// The procedures that are built in and those of the directory, if there is one.
    ///
    /// # Errors
    /// `procedure-directory`.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self> {
        Ok(Self { registry: directory.map(Registry::read).transpose()? })
    }

    /// All, by name, the newest first.
    pub(crate) fn candidates(&self) -> Vec<Candidate<'_>> {
        let registered = self
            .registry
            .iter()
            .flat_map(|registry| registry.entries.iter().map(move |entry| Candidate::Registered(registry, entry)));
        let mut candidates: Vec<Candidate<'_>> =
            built_in::ALL.iter().map(Candidate::BuiltIn).chain(registered).collect();
        candidates.sort_by(|one, other| one.name().cmp(other.name()).then_with(|| other.version().cmp(one.version())));
        candidates
    }

    /// Reads the procedure that was named, or the built-in one.
    ///
    /// # Errors
    /// `procedure-missing` and `procedure-ambiguous` list what there is; `procedure-unreadable`, `procedure-changed`.
    pub(crate) fn module(&self, named: Option<&str>) -> Result<Module> {
        match named.map(Reference::parse) {
            None => Ok(built_in::ALL[0].module()),
            Some(Reference::File(path)) => Module::read(&path),
            Some(Reference::Named(wanted)) => self.named(&wanted),
        }
    }

    fn named(&self, wanted: &NamedVersion) -> Result<Module> {
        let text = wanted.to_string();
        let matching: Vec<Candidate<'_>> = self
            .candidates()
            .into_iter()
            .filter(|candidate| candidate.name() == wanted.name && wanted.accepts(candidate.version()))
            .collect();
        let is_file = Path::new(&text).is_file();
        match matching.as_slice() {
            [] if is_file => Module::read(Path::new(&text)),
            [] => Err(self.missing(&text)),
            [..] if is_file => Err(ambiguous(
                format!("`{text}` is a procedure and a file of the working directory"),
                &format!("write ./{text} for the file, or work in another directory"),
            )),
            [newest, others @ ..] => {
                let digest = newest.sha256();
                let rival = others.iter().find(|other| other.version() == newest.version() && other.sha256() != digest);
                match rival {
                    None => newest.module(),
                    Some(rival) => Err(ambiguous(
                        format!("`{text}` can be two procedures: {}, or {}", newest.in_words(), rival.in_words()),
                        "name the file itself, or give one of them another version",
                    )),
                }
            }
        }
    }

    fn missing(&self, wanted: &str) -> OperatorError {
        let there: Vec<String> = self.candidates().iter().map(Candidate::in_words).collect();
        let what = format!("there is no procedure `{wanted}`; there are {}", there.join(", "));
        let next_step = "name one of these, name a file (with a `/` or `.wasm`), or name a directory of procedures with --procedure-directory";
        OperatorError::new("procedure-missing", what, next_step)
    }
}

fn ambiguous(what: String, next_step: &str) -> OperatorError {
    OperatorError::new("procedure-ambiguous", what, next_step)
}

impl Candidate<'_> {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::BuiltIn(built_in) => built_in.name,
            Self::Registered(_, entry) => &entry.name,
        }
    }

    /// Its version.
    pub(crate) fn version(&self) -> &Version {
        match self {
            Self::BuiltIn(built_in) => &built_in.version,
            Self::Registered(_, entry) => &entry.version,
        }
    }

    /// The file in the directory; none if it is built in.
    pub(crate) fn file(&self) -> Option<&str> {
        match self {
            Self::BuiltIn(_) => None,
            Self::Registered(_, entry) => Some(&entry.file),
        }
    }

    /// What its component should be.
    pub(crate) fn sha256(&self) -> String {
        match self {
            Self::BuiltIn(built_in) => built_in.module().sha256(),
            Self::Registered(_, entry) => entry.sha256.clone(),
        }
    }

    fn module(&self) -> Result<Module> {
        match self {
            Self::BuiltIn(built_in) => Ok(built_in.module()),
            Self::Registered(registry, entry) => registry.module(entry),
        }
    }

    fn in_words(&self) -> String {
        let (name, version) = (self.name(), self.version());
        match self.file() {
            None => format!("{name}@{version} (built in)"),
            Some(file) => format!("{name}@{version} ({file})"),
        }
    }
}

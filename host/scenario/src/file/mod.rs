//! The file of a scenario. Its reference is docs/scenario-files.md.

mod expect;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dr_engine::contract::ContainerId;
use dr_runtime::mock::World;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::error::{Problem, ScenarioError};
pub use expect::Expectations;
pub(crate) use expect::{CallOrder, ExpectedCall, ExpectedCalls, ExpectedDecision, ExpectedLoss};

/// Version of the format; files say it in `scenario`.
const FORMAT_VERSION: u32 = 1;

/// Largest scenario that is read, in bytes. Bounds what a wrong name makes us hold.
const BYTES_MAX: u64 = 16 << 20;

/// A scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Its file.
    pub path: PathBuf,
    /// What it shows, in one line.
    pub name: String,
    /// Name or file of the procedure that it is for, if it says so. A relative path begins at the directory of the scenario.
    pub procedure: Option<String>,
    /// Settings of the procedure; parameters that are not named have their defaults.
    pub settings: Vec<(String, String)>,
    /// Containers that the operator chose; empty for all.
    pub selected: Vec<ContainerId>,
    /// What is left of the cluster.
    pub source: Source,
    /// What should come of it; none if the file does not say.
    pub expect: Option<Expectations>,
    /// As it was read.
    pub(crate) text: String,
}

/// What is left of a cluster.
#[derive(Debug)]
pub enum Source {
    /// It is declared.
    World(Arc<World>),
    /// It is there.
    Tree(Tree),
    /// It answered once, and its answers were written to this file.
    Recording(PathBuf),
}

/// A Tier-2 on disk.
#[derive(Debug)]
pub struct Tree {
    /// Its root, or an archive `.tar.xz` with it.
    pub path: PathBuf,
    /// Number of segment containers; none if the data tells.
    pub container_count: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    #[serde(rename = "scenario")]
    _version: u32,
    name: Spanned<String>,
    procedure: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, SettingValue>,
    #[serde(default)]
    selected: Vec<ContainerId>,
    world: Option<Spanned<world::WorldTable>>,
    tree: Option<Spanned<TreeTable>>,
    recording: Option<Spanned<RecordingTable>>,
    expect: Option<Spanned<expect::ExpectTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct TreeTable {
    path: PathBuf,
    container_count: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordingTable {
    path: PathBuf,
}

/// A setting is a text for the procedure, but may be written as what it is.
#[derive(Debug)]
struct SettingValue(String);

impl<'a> Deserialize<'a> for SettingValue {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            toml::Value::Integer(number) => Ok(Self(number.to_string())),
            toml::Value::Boolean(truth) => Ok(Self(truth.to_string())),
            _ => Err(D::Error::custom("a setting is a text, a whole number, or true or false")),
        }
    }
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError::Unreadable`], [`ScenarioError::Invalid`].
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let unreadable = |cause: String| ScenarioError::Unreadable { path: path.to_owned(), cause };
        let length = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if length > BYTES_MAX {
            return Err(unreadable(format!("it has {length} bytes, more than the limit of {BYTES_MAX}")));
        }
        let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        Self::parse(path, text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`ScenarioError::Invalid`].
    pub fn parse(path: &Path, text: String) -> Result<Self, ScenarioError> {
        check_version(&text).and_then(|()| Self::from_text(path, &text)).map_err(|Problem { at, problem }| {
            let before = &text.as_bytes()[..at.start.min(text.len())];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            ScenarioError::Invalid { path: path.to_owned(), line, problem: with_line(problem, &text, line) }
        })
    }

    fn from_text(path: &Path, text: &str) -> Result<Self, Problem> {
        let file: File = toml::from_str(text).map_err(|error| not_this_form(&error))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        if file.name.get_ref().trim().is_empty() || file.name.get_ref().contains(char::is_control) {
            return Err(Problem::new(file.name.span(), "`name` is one line that says what the scenario shows"));
        }
        let expect = file.expect.map(|expect| expect.into_inner().check()).transpose()?;
        Ok(Self {
            path: path.to_owned(),
            name: file.name.into_inner(),
            procedure: file.procedure.map(|named| relative_to(directory, named)),
            settings: file.settings.into_iter().map(|(name, value)| (name, value.0)).collect(),
            selected: file.selected,
            source: source(directory, file.world, file.tree, file.recording)?,
            expect,
            text: text.to_owned(),
        })
    }
}

/// The scenarios that a path names: the file itself, or all `*.toml` of a directory, by name.
///
/// # Errors
/// [`ScenarioError::Unreadable`], also for a directory without any.
pub fn find(path: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |cause: String| ScenarioError::Unreadable { path: path.to_owned(), cause };
    let entries: std::io::Result<Vec<_>> = fs::read_dir(path).and_then(Iterator::collect);
    let files = entries.map_err(|error| unreadable(error.to_string()))?.into_iter().map(|entry| entry.path());
    let mut scenarios: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "toml")).collect();
    scenarios.sort();
    if scenarios.is_empty() {
        return Err(unreadable("the directory holds no *.toml".to_owned()));
    }
    Ok(scenarios)
}

/// First of all, so that a file for a later `dr` is not blamed for what this one does not know.
fn check_version(text: &str) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Version {
        scenario: Option<Spanned<i64>>,
    }
    let version: Version = toml::from_str(text).map_err(|error| not_this_form(&error))?;
    match version.scenario {
        Some(version) if *version.get_ref() == i64::from(FORMAT_VERSION) => Ok(()),
        Some(version) => {
            let problem = format!(
                "`scenario` is the version of the format: this dr reads {FORMAT_VERSION}, not {}",
                version.get_ref()
            );
            Err(Problem::new(version.span(), problem))
        }
        None => Err(Problem::new(0..0, format!("a scenario begins with its version, `scenario = {FORMAT_VERSION}`"))),
    }
}

fn not_this_form(error: &toml::de::Error) -> Problem {
    Problem::new(error.span().unwrap_or(0..0), error.message())
}

/// The words of the line, since they name the key.
fn with_line(problem: String, text: &str, line: usize) -> String {
    const SHOWN_CHARACTERS_MAX: usize = 120;
    let words: String =
        text.lines().nth(line - 1).unwrap_or_default().trim().chars().take(SHOWN_CHARACTERS_MAX).collect();
    if words.is_empty() { problem } else { format!("{problem}; in: {words}") }
}

/// A procedure that is named like a file is meant from the directory of the scenario.
fn relative_to(directory: &Path, procedure: String) -> String {
    let is_file = procedure.contains('/') || procedure.ends_with(".wasm");
    if is_file { directory.join(&procedure).to_string_lossy().into_owned() } else { procedure }
}

fn source(
    directory: &Path,
    world: Option<Spanned<world::WorldTable>>,
    tree: Option<Spanned<TreeTable>>,
    recording: Option<Spanned<RecordingTable>>,
) -> Result<Source, Problem> {
    const ONE: &str = "a scenario has exactly one of `world` (declared), `tree` (a Tier-2 on disk) and `recording`";
    match (world, tree, recording) {
        (Some(world), None, None) => Ok(Source::World(Arc::new(world.into_inner().build()?))),
        (None, Some(tree), None) => {
            let TreeTable { path, container_count } = tree.into_inner();
            Ok(Source::Tree(Tree { path: directory.join(path), container_count }))
        }
        (None, None, Some(recording)) => Ok(Source::Recording(directory.join(recording.into_inner().path))),
        (None, None, None) => Err(Problem::new(0..0, format!("{ONE}; this one has none"))),
        (world, tree, recording) => {
            let spans = [world.map(|it| it.span()), tree.map(|it| it.span()), recording.map(|it| it.span())];
            let last = spans.into_iter().flatten().max_by_key(|span| span.start).unwrap_or(0..0);
            Err(Problem::new(last, format!("{ONE}; this is another one")))
        }
    }
}

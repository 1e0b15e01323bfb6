//! Where values come from: properties files, then the environment, then flags; the later wins.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};

use super::known::{ALL, ENVIRONMENT_PREFIX, Property};
use super::properties_file;
use crate::bounded_file;

/// Largest properties file that is read. Pravega's own sample has 40 KiB; anything much larger is not one.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where a value stands, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key as it stands there, which may be the legacy name.
        key: String,
    },
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line, key } => write!(formatter, "`{key}` in {}:{line}", path.display()),
            Origin::Environment(variable) => write!(formatter, "the environment variable {variable}"),
            Origin::Flag(flag) => write!(formatter, "the flag {flag}"),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// Without blanks around it, never empty.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) origin: Origin,
}

impl fmt::Debug for Value {
    /// Without the text, which may be a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "value of {}", self.origin)
    }
}

/// Everything that was set, from all sources.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// By the key in the file, current or legacy.
    from_files: BTreeMap<String, Value>,
    /// By current name, because the environment knows no other.
    from_environment: BTreeMap<&'static str, Value>,
    /// By current name.
    from_flags: BTreeMap<&'static str, Value>,
    /// All variables of the environment, for values that refer to one.
    environment: BTreeMap<String, String>,
    /// What the operator should know about how values were chosen.
    warnings: Vec<String>,
}

impl Settings {
    /// Settings of this environment.
    pub(crate) fn new(environment: BTreeMap<String, String>) -> Self {
        let mut settings = Self::default();
        for property in ALL {
            let variable = property.environment_variable();
            if let Some(text) = environment.get(&variable).map(|text| text.trim()).filter(|text| !text.is_empty()) {
                let value = Value { text: text.to_owned(), origin: Origin::Environment(variable) };
                settings.from_environment.insert(property.name, value);
            }
        }
        settings.warnings.extend(unknown_variables(&environment));
        settings.environment = environment;
        settings
    }

    /// Adds a properties file; what it says takes precedence over files added before.
    ///
    /// # Errors
    /// `configuration-unreadable`, `configuration-syntax`.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<()> {
        let text = properties_file::decode(&read_bounded(path)?);
        let lines = properties_file::parse(&text).map_err(|error| {
            let what = format!("the configuration file {} is not a properties file", path.display());
            OperatorError::new("configuration-syntax", what, "correct that line; Java would refuse the file, too")
                .because(error)
        })?;
        for line in lines {
            let text = line.value.trim().to_owned();
            // A key without value means the default to the servers, too, wherever an empty text is no possible value.
            if text.is_empty() {
                self.from_files.remove(&line.key);
                continue;
            }
            let origin = Origin::File { path: path.to_owned(), line: line.number, key: line.key.clone() };
            self.insert_from_file(line.key, Value { text, origin });
        }
        Ok(())
    }

    fn insert_from_file(&mut self, key: String, value: Value) {
        let Some(property) = property_of_key(&key) else { return };
        let Some(before) = self.from_files.insert(key, value.clone()) else { return };
        if before.text != value.text {
            let shown = shown_text(property, &value);
            self.warnings.push(format!("{} is overridden by {}: {shown}", before.origin, value.origin));
        }
    }

    /// Sets what a flag says.
    pub(crate) fn set_flag(&mut self, property: &'static Property, flag: &'static str, text: &str) {
        self.from_flags.insert(property.name, Value { text: text.trim().to_owned(), origin: Origin::Flag(flag) });
    }

    /// The value of a property: flag, environment, legacy name, name.
    ///
    /// # Errors
    /// `configuration-environment` if it refers to a variable that is not set.
    pub(crate) fn get(&self, property: &Property) -> Result<Option<Value>> {
        if let Some(value) = self.from_flags.get(property.name).or_else(|| self.from_environment.get(property.name)) {
            return Ok(Some(value.clone()));
        }
        let legacy = property.legacy_name.and_then(|name| self.from_files.get(name));
        match legacy.or_else(|| self.from_files.get(property.name)) {
            Some(value) => self.resolve_reference(property, value).map(Some),
            None => Ok(None),
        }
    }

    /// Was it set by a flag or an environment variable, which is meant to win over every file?
    pub(crate) fn is_overridden(&self, property: &Property) -> bool {
        self.from_flags.contains_key(property.name) || self.from_environment.contains_key(property.name)
    }

    /// A value `$NAME` or `${NAME}` is the content of that environment variable, as the admin CLI and the controller
    /// have it. A password may well begin with `$`, so it stays as it is if there is no such variable.
    fn resolve_reference(&self, property: &Property, value: &Value) -> Result<Value> {
        let Some(reference) = value.text.strip_prefix('$') else { return Ok(value.clone()) };
        let variable = reference.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(reference);
        match self.environment.get(variable) {
            Some(text) => Ok(Value { text: text.trim().to_owned(), origin: value.origin.clone() }),
            None if property.secret => Ok(value.clone()),
            None => Err(OperatorError::new(
                "configuration-environment",
                format!("{} refers to the environment variable `{variable}`, which is not set", value.origin),
                format!("set `{variable}`, or override the property by {}", property.environment_variable()),
            )),
        }
    }

    /// What the operator should know about how values were chosen.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        for property in ALL {
            let legacy = property.legacy_name.and_then(|name| self.from_files.get(name));
            let (Some(legacy), Some(current)) = (legacy, self.from_files.get(property.name)) else { continue };
            if legacy.text != current.text {
                warnings.push(format!(
                    "{} and {} differ; the legacy name takes precedence, as in Pravega itself",
                    legacy.origin, current.origin
                ));
            }
        }
        warnings
    }
}

/// The text of a value for a message.
pub(crate) fn shown_text<'a>(property: &Property, value: &'a Value) -> &'a str {
    if property.secret { "(not shown)" } else { &value.text }
}

fn property_of_key(key: &str) -> Option<&'static Property> {
    ALL.into_iter().find(|property| property.name == key || property.legacy_name == Some(key))
}

/// A misspelt override must not be ignored silently.
fn unknown_variables(environment: &BTreeMap<String, String>) -> Vec<String> {
    let namespaces = ["PRAVEGASERVICE_", "BOOKKEEPER_", "CONTROLLER_", "FILESYSTEM_"];
    let is_override = |variable: &str| {
        variable
            .strip_prefix(ENVIRONMENT_PREFIX)
            .is_some_and(|rest| namespaces.iter().any(|space| rest.starts_with(space)))
    };
    let known: Vec<_> = ALL.iter().map(|property| property.environment_variable()).collect();
    environment
        .keys()
        .filter(|variable| is_override(variable) && !known.contains(variable))
        .map(|variable| format!("the environment variable {variable} overrides no property that a recovery reads"))
        .collect()
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |why: String| {
        OperatorError::new(
            "configuration-unreadable",
            format!("cannot read the configuration file {}", path.display()),
            "give --config the properties file of a segment store, of the controller, or of the admin CLI",
        )
        .because(why)
    };
    let content = File::open(path).and_then(|file| bounded_file::read(file, FILE_BYTES_MAX));
    content.map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::known::{CLUSTER_NAME, CONTAINER_COUNT, PASSWORD, ZOOKEEPER};
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn settings(files: &[&str], variables: &[(&str, &str)]) -> Settings {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(environment(variables));
        for (index, text) in files.iter().enumerate() {
            let path = directory.path().join(format!("{index}.properties"));
            fs::write(&path, text).unwrap();
            settings.add_file(&path).unwrap();
        }
        settings
    }

    fn text(settings: &Settings, property: &Property) -> Option<String> {
        settings.get(property).unwrap().map(|value| value.text)
    }

    #[test]
    fn flag_over_environment_over_legacy_name_over_name() {
        let file = "pravegaservice.container.count=4\npravegaservice.containerCount = 8\n";
        assert_eq!(text(&settings(&[file], &[]), &CONTAINER_COUNT).as_deref(), Some("8"));
        let mut all = settings(&[file], &[("DR_PRAVEGASERVICE_CONTAINER_COUNT", "16")]);
        assert_eq!(text(&all, &CONTAINER_COUNT).as_deref(), Some("16"));
        all.set_flag(&CONTAINER_COUNT, "--container-count", "32");
        assert_eq!(text(&all, &CONTAINER_COUNT).as_deref(), Some("32"));
        assert!(all.is_overridden(&CONTAINER_COUNT));
        assert!(!all.is_overridden(&CLUSTER_NAME));
    }

    #[test]
    fn the_legacy_name_wins_across_files_and_a_difference_is_told() {
        let all = settings(&["pravegaservice.zkURL=old:1", "pravegaservice.zk.connect.uri=new:1"], &[]);
        assert_eq!(text(&all, &ZOOKEEPER).as_deref(), Some("old:1"));
        assert_eq!(all.warnings().len(), 1, "{:?}", all.warnings());
        let equal = settings(&["pravegaservice.zkURL=z:1", "pravegaservice.zk.connect.uri=z:1"], &[]);
        assert!(equal.warnings().is_empty());
    }

    #[test]
    fn a_later_file_overrides_and_a_difference_is_told_without_passwords() {
        let all = settings(&["bookkeeper.bkPass=first-secret", "bookkeeper.bkPass=second-secret"], &[]);
        assert_eq!(text(&all, &PASSWORD).as_deref(), Some("second-secret"));
        let told = all.warnings().join("\n");
        assert!(told.contains("bookkeeper.bkPass") && !told.contains("secret"), "{told}");
        assert!(!format!("{all:?}").contains("second-secret"));
    }

    #[test]
    fn empty_values_count_as_not_set() {
        let all = settings(&["pravegaservice.clusterName=\n"], &[("DR_PRAVEGASERVICE_CONTAINER_COUNT", "")]);
        assert_eq!(text(&all, &CLUSTER_NAME), None);
        assert_eq!(text(&all, &CONTAINER_COUNT), None);
    }

    #[test]
    fn values_may_refer_to_the_environment() {
        let file = "pravegaservice.zk.connect.uri=$ZK\npravegaservice.clusterName=${NAME}\nbookkeeper.bkPass=$ecret";
        let all = settings(&[file], &[("ZK", "z:2181"), ("NAME", "lab")]);
        assert_eq!(text(&all, &ZOOKEEPER).as_deref(), Some("z:2181"));
        assert_eq!(text(&all, &CLUSTER_NAME).as_deref(), Some("lab"));
        assert_eq!(text(&all, &PASSWORD).as_deref(), Some("$ecret"));
        let error = settings(&[file], &[]).get(&ZOOKEEPER).unwrap_err();
        assert_eq!(error.code, "configuration-environment");
        assert!(error.what.contains("`ZK`"), "{error}");
    }

    #[test]
    fn a_misspelt_variable_is_told() {
        let all = settings(&[], &[("DR_BOOKKEEPER_ENSEMBLE_SZE", "3"), ("DR_RUN", "x"), ("HOME", "/")]);
        assert_eq!(all.warnings().len(), 1);
        assert!(all.warnings()[0].contains("DR_BOOKKEEPER_ENSEMBLE_SZE"));
    }

    #[test]
    fn unreadable_and_malformed_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut all = Settings::default();
        let error = all.add_file(&directory.path().join("absent")).unwrap_err();
        assert_eq!(error.code, "configuration-unreadable");
        assert!(error.what.contains("absent"));
        assert_eq!(all.add_file(directory.path()).unwrap_err().code, "configuration-unreadable");
        let path = directory.path().join("bad");
        fs::write(&path, "a=b\nc=\\u12").unwrap();
        let error = all.add_file(&path).unwrap_err();
        assert_eq!(error.code, "configuration-syntax");
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large");
        fs::write(&path, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(Settings::default().add_file(&path).unwrap_err().code, "configuration-unreadable");
    }
}

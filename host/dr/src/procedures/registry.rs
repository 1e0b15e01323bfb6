//! A directory of procedures: components, and `procedures.toml`, which says what each of them is.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use dr_runtime::{is_component_digest, is_name};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::signing::signature_path;
use super::{Label, Module};
use crate::bounded_file::read_text;

/// The registry's file in a directory.
pub(crate) const FILE_NAME: &str = "procedures.toml";
/// Largest registry that is read; some ten thousand procedures.
const BYTES_MAX: u64 = 4 << 20;

const HEADING: &str = "# Procedures of this directory, for dr --procedure-directory. `dr procedure add` writes it.\n\n";

/// The procedures of a directory.
#[derive(Debug)]
pub(crate) struct Registry {
    directory: PathBuf,
    /// In the order of the file.
    pub(crate) entries: Vec<Entry>,
}

/// One procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// As it describes itself.
    pub(crate) name: String,
    /// As it describes itself.
    pub(crate) version: Version,
    /// File in the directory.
    pub(crate) file: String,
    /// SHA-256 of the file, lower-case hex.
    pub(crate) sha256: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    procedure: Vec<Entry>,
}

impl Registry {
    /// Reads the registry of a directory.
    ///
    /// # Errors
    /// `procedure-directory` if there is none, or if it says something impossible.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        Self::read_if_there(directory)?.ok_or_else(|| {
            let what = format!("{} is no directory of procedures: it has no {FILE_NAME}", directory.display());
            OperatorError::new("procedure-directory", what, "put a procedure into it with `dr procedure add`")
        })
    }

    /// The same, but an empty one for a directory that has none yet.
    ///
    /// # Errors
    /// `procedure-directory`.
    pub(crate) fn read_or_new(directory: &Path) -> Result<Self> {
        let read = Self::read_if_there(directory)?;
        Ok(read.unwrap_or_else(|| Self { directory: directory.to_owned(), entries: Vec::new() }))
    }

    fn read_if_there(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE_NAME);
        let text = match File::open(&path).and_then(|file| read_text(file, BYTES_MAX)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| unusable(&path, &error.to_string()))?,
        };
        let content: Content = toml::from_str(&text).map_err(|error| unusable(&path, error.to_string().trim()))?;
        for entry in &content.procedure {
            entry.check().map_err(|problem| unusable(&path, &problem))?;
        }
        Ok(Some(Self { directory: directory.to_owned(), entries: content.procedure }))
    }

    /// Reads the component of an entry.
    ///
    /// # Errors
    /// `procedure-unreadable`; `procedure-changed` if the file is not the one that was registered.
    pub(crate) fn module(&self, entry: &Entry) -> Result<Module> {
        let path = self.directory.join(&entry.file);
        let mut module = Module::read(&path)?;
        let found = module.sha256();
        if found != entry.sha256 {
            let what =
                format!("{} is not the file that was registered as {} {}", path.display(), entry.name, entry.version);
            let why = format!("its SHA-256 is {found}, the registry has {}", entry.sha256);
            let next_step = "find out who changed it; bring the registered file back, or register the new one under another version";
            return Err(OperatorError::new("procedure-changed", what, next_step).because(why));
        }
        let who = format!("the registry {}", self.directory.join(FILE_NAME).display());
        module.labels.push(Label { name: entry.name.clone(), version: entry.version.to_string(), who });
        Ok(module)
    }

    /// Copies a component and its signatures into the directory and registers it. Whether it was not there yet; later
    /// signatures replace the earlier ones.
    ///
    /// # Errors
    /// `procedure-registered` if the same name and version are another component; `procedure-unwritable`.
    pub(crate) fn add(&mut self, name: &str, version: &Version, module: &Module) -> Result<bool> {
        let (sha256, signatures) = (module.sha256(), module.signatures()?);
        let sign = |file: &str| {
            let signatures = signatures.map(|signatures| signatures.moved(&signature_path(&self.directory.join(file))));
            signatures.map_or(Ok(()), |signatures| signatures.write())
        };
        if let Some(same) = self.entries.iter().find(|entry| entry.name == name && entry.version == *version) {
            if same.sha256 == sha256 {
                return sign(&same.file).map(|()| false);
            }
            let what = format!("{} has another procedure {name} {version}", self.directory.display());
            let next_step = "give the new one another version: what a version is never changes";
            return Err(OperatorError::new("procedure-registered", what, next_step));
        }
        let file = format!("{name}-{version}.wasm");
        fs::create_dir_all(&self.directory).map_err(|error| unwritable(&self.directory, &error))?;
        replace(&self.directory.join(&file), &module.bytes)?;
        sign(&file)?;
        self.entries.push(Entry { name: name.to_owned(), version: version.clone(), file, sha256 });
        self.write()?;
        Ok(true)
    }

    fn write(&self) -> Result<()> {
        let path = self.directory.join(FILE_NAME);
        let content = Content { procedure: self.entries.clone() };
        let text = toml::to_string(&content).map_err(|error| unusable(&path, &error.to_string()))?;
        replace(&path, format!("{HEADING}{text}").as_bytes())
    }
}

impl Entry {
    /// The error is a clause that says what is wrong.
    fn check(&self) -> std::result::Result<(), String> {
        let Self { name, file, sha256, .. } = self;
        if !is_name(name) {
            return Err(format!("the name {name:?} is not lower case words joined by `-`"));
        }
        if Path::new(file).file_name().is_none_or(|last| last != file.as_str()) {
            return Err(format!("the file {file:?} of {name} is not the name of a file in the directory"));
        }
        if !is_component_digest(sha256) {
            return Err(format!("the sha256 of {name} is not 64 lower-case hexadecimal digits"));
        }
        Ok(())
    }
}

/// Writes beside and renames, so that nobody ever reads a half of it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        fs::set_permissions(file.path(), readable_for_all())?;
        file.persist(path).map_err(|error| error.error)
    };
    write().map(drop).map_err(|error| unwritable(path, &error))
}

fn readable_for_all() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

fn unusable(path: &Path, why: &str) -> OperatorError {
    let what = format!("the registry of procedures {} cannot be used", path.display());
    OperatorError::new("procedure-directory", what, "correct it; docs/procedures.md says what it holds").because(why)
}

pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> OperatorError {
    let what = format!("cannot write {}", path.display());
    OperatorError::new("procedure-unwritable", what, "make its directory writable, or name another one").because(error)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use dr_runtime::component_digest;

    use super::*;
    use crate::procedures::Origin;

    fn module(bytes: &'static [u8]) -> Module {
        Module { bytes: Cow::Borrowed(bytes), origin: Origin::BuiltIn("x"), labels: Vec::new() }
    }

    #[test]
    fn what_was_added_is_found_again_and_never_becomes_another() {
        let place = tempfile::tempdir().unwrap();
        let version = Version::new(1, 2, 3);
        let mut registry = Registry::read_or_new(place.path()).unwrap();
        assert!(registry.add("mine", &version, &module(b"one")).unwrap());
        assert!(!registry.add("mine", &version, &module(b"one")).unwrap());
        assert_eq!(registry.add("mine", &version, &module(b"two")).unwrap_err().code, "procedure-registered");

        let registry = Registry::read(place.path()).unwrap();
        let read = registry.module(&registry.entries[0]).unwrap();
        assert_eq!((&*read.bytes, read.labels[0].version.as_str()), (&b"one"[..], "1.2.3"));

        fs::write(place.path().join("mine-1.2.3.wasm"), "onE").unwrap();
        assert_eq!(registry.module(&registry.entries[0]).unwrap_err().code, "procedure-changed");
    }

    #[test]
    fn a_registry_that_says_something_impossible_is_refused_with_the_reason() {
        let place = tempfile::tempdir().unwrap();
        let refused = |text: &str| {
            fs::write(place.path().join(FILE_NAME), text).unwrap();
            let error = Registry::read(place.path()).unwrap_err();
            assert_eq!(error.code, "procedure-directory");
            error.to_string()
        };
        let entry = |name: &str, version: &str, file: &str, sha256: &str| {
            format!("[[procedure]]\nname = {name:?}\nversion = {version:?}\nfile = {file:?}\nsha256 = {sha256:?}\n")
        };
        let digest = component_digest(b"");
        for (text, reason) in [
            ("procedure = 1".to_owned(), "sequence"),
            ("[[procedure]]\nname = \"a\"\n".to_owned(), "missing field"),
            (entry("a", "1.0.0", "a.wasm", &digest) + "colour = 1\n", "colour"),
            (entry("A", "1.0.0", "a.wasm", &digest), "lower case"),
            (entry("a", "1.0", "a.wasm", &digest), "version"),
            (entry("a", "1.0.0", "../a.wasm", &digest), "not the name of a file"),
            (entry("a", "1.0.0", "/a.wasm", &digest), "not the name of a file"),
            (entry("a", "1.0.0", "..", &digest), "not the name of a file"),
            (entry("a", "1.0.0", "a.wasm", "00"), "64"),
        ] {
            let said = refused(&text);
            assert!(said.contains(reason), "{said} does not say {reason}");
        }
    }
}

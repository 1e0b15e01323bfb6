//! New projects: what `dr procedure new` writes. Contract and guest kits are those of this repository, so that a project needs
//! nothing of it; the rest stands in `templates/procedure/`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use clap::ValueEnum;
use dr_engine::error::{OperatorError, Result};
use dr_runtime::is_name;

use super::registry::unwritable;

/// The language of a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Small and quick; needs cargo and the target wasm32-unknown-unknown.
    Rust,
    /// Needs componentize-py from PyPI.
    Python,
    /// Needs componentize-js from npm.
    Javascript,
}

/// The name that the templates have. Procedures are called so, crates with `_`.
const NAME: &str = "new-procedure";

/// A file of a project: its path there, and its content.
type Template = (&'static str, &'static str);

macro_rules! template {
    ($place:literal, $source:literal) => {
        ($place, include_str!(concat!("../../", $source)))
    };
}

const OF_EVERY_PROJECT: &[Template] = &[
    template!("wit/0.1.0/recovery.wit", "../../wit/0.1.0/recovery.wit"),
    template!("scenarios/two-segments.toml", "templates/procedure/scenario.toml"),
];

const RUST: &[Template] = &[
    template!("README.md", "templates/procedure/rust/README.md"),
    template!("Cargo.toml", "templates/procedure/rust/Cargo.toml"),
    template!("Cargo.lock", "../../scripts/Cargo.lock"),
    template!(".cargo/config.toml", "templates/procedure/rust/.cargo/config.toml"),
    template!(".gitignore", "templates/procedure/rust/.gitignore"),
    template!("src/lib.rs", "templates/procedure/rust/src/lib.rs"),
    template!("vendor/guest-kit/Cargo.toml", "../../scripts/guest-kit/Cargo.toml"),
    template!("vendor/guest-kit/src/lib.rs", "../../scripts/guest-kit/src/lib.rs"),
    template!("vendor/guest-kit/src/controller_state.rs", "../../scripts/guest-kit/src/controller_state.rs"),
    template!("vendor/guest-kit/src/description.rs", "../../scripts/guest-kit/src/description.rs"),
    template!("vendor/guest-kit/src/pages.rs", "../../scripts/guest-kit/src/pages.rs"),
    template!("vendor/guest-kit/src/parameters.rs", "../../scripts/guest-kit/src/parameters.rs"),
    template!("vendor/guest-kit/src/settings.rs", "../../scripts/guest-kit/src/settings.rs"),
];

const PYTHON: &[Template] = &[
    template!("README.md", "templates/procedure/python/README.md"),
    template!(".gitignore", "templates/procedure/python/.gitignore"),
    template!("procedure.py", "templates/procedure/python/procedure.py"),
    template!("guest_kit.py", "../../guest-examples/python-total-loss/guest_kit.py"),
];

const JAVASCRIPT: &[Template] = &[
    template!("README.md", "templates/procedure/javascript/README.md"),
    template!(".gitignore", "templates/procedure/javascript/.gitignore"),
    template!("package.json", "templates/procedure/javascript/package.json"),
    template!("procedure.js", "templates/procedure/javascript/procedure.js"),
    template!("guest_kit.js", "../../guest-examples/javascript-audit/guest_kit.js"),
];

impl Language {
    fn templates(self) -> &'static [Template] {
        match self {
            Self::Rust => RUST,
            Self::Python => PYTHON,
            Self::Javascript => JAVASCRIPT,
        }
    }
}

/// Writes a new project into a directory that does not exist yet.
///
/// # Errors
/// `procedure-name`, `procedure-file-exists`, `procedure-unwritable`.
pub(crate) fn write(language: Language, name: &str, directory: &Path) -> Result<()> {
    if !is_name(name) || name.starts_with(|first: char| first.is_ascii_digit()) {
        let what = format!("{name:?} is no name for a procedure");
        return Err(OperatorError::new(
            "procedure-name",
            what,
            "begin with a letter: lower case, digits, words joined by `-`",
        ));
    }
    fs::create_dir(directory).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let what = format!("{} exists and was not overwritten", directory.display());
            OperatorError::new("procedure-file-exists", what, "name a directory that does not exist with --directory")
        }
        _ => unwritable(directory, &error),
    })?;
    let templates = OF_EVERY_PROJECT.iter().chain(language.templates());
    templates.into_iter().try_for_each(|(place, content)| {
        let path = directory.join(place);
        write_file(&path, &named(content, name)).map_err(|error| unwritable(&path, &error))
    })
}

fn write_file(path: &Path, content: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    File::create_new(path)?.write_all(content.as_bytes())
}

/// A template for a procedure of this name: in words, as a crate, and as a type.
fn named(template: &str, name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    template
        .replace(NAME, name)
        .replace(&NAME.replace('-', "_"), &name.replace('-', "_"))
        .replace("NewProcedure", &words.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_name_of_its_procedure_everywhere() {
        for language in Language::value_variants() {
            for (place, template) in language.templates() {
                let content = named(template, "keep-2-scopes");
                assert!(!content.contains(NAME) && !content.contains("new_procedure"), "{place}");
            }
        }
        let source = named(template(Language::Rust, "src/lib.rs"), "keep-2-scopes");
        assert!(source.contains("impl Procedure for Keep2Scopes {"));
        let readme = named(template(Language::Rust, "README.md"), "keep-2-scopes");
        assert!(readme.contains("release/keep_2_scopes.wasm"));
    }

    fn template(language: Language, place: &str) -> &'static str {
        language.templates().iter().find(|(there, _)| *there == place).unwrap().1
    }

    /// A project is built with what the procedures of this repository are built with.
    #[test]
    fn a_project_has_the_dependencies_of_this_repository() {
        let here = include_str!("../../../../scripts/Cargo.toml");
        let line = here.lines().find(|line| line.starts_with("wit-bindgen = ")).unwrap();
        assert!(template(Language::Rust, "Cargo.toml").lines().any(|there| there == line), "{line}");
        let of_packages = |json: &str| json[json.find("devDependencies").unwrap()..].to_owned();
        let here = include_str!("../../../../guest-examples/javascript-audit/package.json");
        assert_eq!(of_packages(template(Language::Javascript, "package.json")), of_packages(here));
        let tool = "pip install componentize-py==0.25.1";
        let here = include_str!("../../../../guest-examples/README.md");
        assert!(here.contains(tool) && template(Language::Python, "README.md").contains(tool));
        let kit = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/guest-kit/src")).unwrap();
        assert_eq!(kit.count(), RUST.iter().filter(|(place, _)| place.starts_with("vendor/guest-kit/src/")).count());
    }

    #[test]
    fn what_exists_is_never_overwritten_and_names_are_checked() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("mine");
        write(Language::Python, "mine", &directory).unwrap();
        assert_eq!(write(Language::Rust, "mine", &directory).unwrap_err().code, "procedure-file-exists");
        for name in ["", "Mine", "my procedure", "../mine", "2-mine"] {
            assert_eq!(
                write(Language::Rust, name, &place.path().join("other")).unwrap_err().code,
                "procedure-name",
                "{name}"
            );
        }
        assert!(!place.path().join("other").exists());
    }
}

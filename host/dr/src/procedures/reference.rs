//! What `--procedure` can be: a file, a name, or a name with a version.

use std::fmt;
use std::path::PathBuf;

use dr_runtime::is_name;
use semver::{Version, VersionReq};

/// What names a procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The file of a component: whatever cannot be a name.
    File(PathBuf),
    /// One that is built in or stands in a registry.
    Named(NamedVersion),
}

/// A name, and which versions will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedVersion {
    /// Lower case, words joined by `-`.
    pub(crate) name: String,
    /// As it was typed behind the `@`, which may be only the beginning of a version.
    pub(crate) version: Option<String>,
}

impl Reference {
    /// Understands what was typed: whatever cannot be a name is a file.
    pub(crate) fn parse(text: &str) -> Self {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => (name, Some(version)),
        };
        if !is_name(name) || version.is_some_and(|version| requirement(version).is_none()) {
            return Self::File(PathBuf::from(text));
        }
        Self::Named(NamedVersion { name: name.to_owned(), version: version.map(str::to_owned) })
    }
}

impl NamedVersion {
    /// Whether a version will do. Without any wish every release does; a pre-release only if it is written out.
    pub(crate) fn accepts(&self, version: &Version) -> bool {
        match &self.version {
            None => version.pre.is_empty(),
            Some(text) => requirement(text).is_some_and(|wanted| wanted.matches(version)),
        }
    }
}

impl fmt::Display for NamedVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            None => formatter.write_str(&self.name),
            Some(version) => write!(formatter, "{}@{version}", self.name),
        }
    }
}

/// Versions that begin so: `0.1` is any 0.1.x, `0.1.2` is exactly that one.
fn requirement(text: &str) -> Option<VersionReq> {
    let can_be_one = text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains([',', ' ', '*', 'x']);
    if can_be_one { VersionReq::parse(&format!("={text}")).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_versions_and_files_are_told_apart() {
        let named = |text: &str| match Reference::parse(text) {
            Reference::Named(named) => Some((named.name, named.version)),
            Reference::File(_) => None,
        };
        assert_eq!(named("total-loss"), Some(("total-loss".to_owned(), None)));
        assert_eq!(named("total-loss@0.1"), Some(("total-loss".to_owned(), Some("0.1".to_owned()))));
        for file in ["./total-loss", "total-loss.wasm", "a/b", "", "Total", "total-loss@", "total-loss@new", "a@1,2"] {
            assert_eq!(named(file), None, "{file}");
        }
    }

    #[test]
    fn the_beginning_of_a_version_will_do() {
        let accepts = |wanted: &str, version: &str| {
            let Reference::Named(named) = Reference::parse(wanted) else { panic!("{wanted}") };
            named.accepts(&Version::parse(version).unwrap())
        };
        assert!(accepts("p", "3.0.0") && !accepts("p", "3.0.0-rc.1"));
        assert!(accepts("p@1.2", "1.2.9") && !accepts("p@1.2", "1.3.0") && !accepts("p@1.2", "1.2.9-rc.1"));
        assert!(accepts("p@1", "1.9.0") && !accepts("p@1", "2.0.0"));
        assert!(accepts("p@1.2.3", "1.2.3") && !accepts("p@1.2.3", "1.2.4"));
        assert!(accepts("p@1.2.3-rc.1", "1.2.3-rc.1") && !accepts("p@1.2.3-rc.1", "1.2.3-rc.2"));
    }
}

//! What names an artifact in a registry.

use std::fmt;
use std::net::IpAddr;

use dr_engine::error::{OperatorError, Result};
use dr_runtime::is_component_digest;

/// `HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegistryReference {
    /// Host, and port if it was named.
    pub(crate) host: String,
    /// Path in the registry.
    pub(crate) repository: String,
    /// A name that may be given to something else later.
    pub(crate) tag: Option<String>,
    /// A name that means the same for ever.
    pub(crate) digest: Option<String>,
}

impl RegistryReference {
    /// Understands what was typed.
    ///
    /// # Errors
    /// `registry-reference`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let read = || {
            let (rest, digest) = match text.split_once('@') {
                None => (text, None),
                Some((rest, digest)) => (rest, Some(digest)),
            };
            let (host, rest) = rest.split_once('/')?;
            let (repository, tag) = match rest.rsplit_once(':') {
                None => (rest, None),
                Some((repository, tag)) => (repository, Some(tag)),
            };
            let is_possible = is_host(host)
                && repository.split('/').all(is_component)
                && tag.is_none_or(is_tag)
                && digest.is_none_or(is_digest);
            let owned = |text: Option<&str>| text.map(str::to_owned);
            is_possible.then(|| Self {
                host: host.to_owned(),
                repository: repository.to_owned(),
                tag: owned(tag),
                digest: owned(digest),
            })
        };
        read().ok_or_else(|| {
            let what = format!("{text:?} does not name an artifact in a registry");
            let next_step =
                "write it as HOST[:PORT]/REPOSITORY:TAG, such as registry.example.com/recovery/total-loss:0.2.0";
            OperatorError::new("registry-reference", what, next_step)
        })
    }

    /// What the registry is asked for: the digest, else the tag.
    ///
    /// # Errors
    /// `registry-reference` if there is neither.
    pub(crate) fn version(&self) -> Result<&str> {
        self.digest.as_deref().or(self.tag.as_deref()).ok_or_else(|| {
            let what = format!("{self} names no version");
            OperatorError::new("registry-reference", what, "add :TAG or @sha256:DIGEST")
        })
    }

    /// Whether the registry is a program on this machine.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        let name = match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.host.split(':').next().unwrap_or_default(),
        };
        name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl fmt::Display for RegistryReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(formatter, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(formatter, "@{digest}"))
    }
}

/// The tag for a version: tags cannot have the `+` of a build.
pub(crate) fn tag_of(version: &str) -> String {
    version.replace('+', "_")
}

fn is_host(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

fn is_component(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

fn is_tag(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=128).contains(&text.len()) && !text.starts_with(['.', '-']) && text.chars().all(allowed)
}

/// Whether a text is a digest of the one kind that is used here.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_component_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for text in
            ["h/r", "h:5000/a/b-c:1.0_x", "[::1]:5000/r:t", &format!("h/r@{digest}"), &format!("h/r:t@{digest}")]
        {
            assert_eq!(RegistryReference::parse(text).unwrap().to_string(), text);
        }
        let parsed = RegistryReference::parse("h:5000/a/b:t").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.repository.as_str(), parsed.version()), ("h:5000", "a/b", Ok("t")));
        assert_eq!(RegistryReference::parse("h/r").unwrap().version().unwrap_err().code, "registry-reference");
        for text in
            ["", "r", "r:t", "/r", "h/", "h/R", "h/a//b", "h/../b", "h/r:", "h/r:-t", "h/r@sha256:00", "h /r", "u@h/r"]
        {
            assert_eq!(RegistryReference::parse(text).unwrap_err().code, "registry-reference", "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_this_machine() {
        let is_here = |text: &str| RegistryReference::parse(text).unwrap().is_on_this_machine();
        assert!(
            is_here("localhost:5000/r")
                && is_here("127.0.0.1:5000/r")
                && is_here("127.9.9.9/r")
                && is_here("[::1]:1/r")
        );
        assert!(
            !is_here("localhost.example.com/r") && !is_here("127.0.0.1.example.com/r") && !is_here("10.0.0.1:5000/r")
        );
    }
}

//! What a signer says of a component: an in-toto statement, version 1, about the digest of its bytes.
//!
//! Format: <https://github.com/in-toto/attestation/tree/main/spec/v1>. The predicate is ours.

use dr_runtime::{CONTRACT, Capability, Procedure};
use serde::{Deserialize, Serialize};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Another set of fields gets another number.
const PREDICATE_TYPE: &str = "pravega:recovery/procedure/v1";

/// What a component says of itself, as far as a signature vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Name of the procedure.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Package and version of the contract.
    pub(crate) contract: String,
    /// What it declares to need, sorted.
    pub(crate) capabilities: Vec<String>,
}

/// A component and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// SHA-256 of its bytes, lower-case hex.
    pub(crate) sha256: String,
    /// What it says.
    pub(crate) manifest: Manifest,
}

#[derive(Serialize, Deserialize)]
struct InToto {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
struct Digest {
    sha256: String,
}

impl Manifest {
    /// That of a component which was asked.
    pub(crate) fn of(procedure: &Procedure) -> Self {
        let description = procedure.description();
        let mut capabilities: Vec<String> =
            description.capabilities.iter().copied().map(Capability::name).map(str::to_owned).collect();
        capabilities.sort();
        Self {
            name: description.name.clone(),
            version: description.version.clone(),
            contract: format!("pravega:recovery@{CONTRACT}"),
            capabilities,
        }
    }

    /// The first thing in which another one differs: what, ours, theirs.
    pub(crate) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let fields = |it: &Self| {
            [
                ("name", it.name.clone()),
                ("version", it.version.clone()),
                ("contract", it.contract.clone()),
                ("capabilities", it.capabilities.join(", ")),
            ]
        };
        let pairs = fields(self).into_iter().zip(fields(other));
        let mut differing = pairs.filter(|(ours, theirs)| ours != theirs);
        differing.next().map(|((what, ours), (_, theirs))| (what, ours, theirs))
    }
}

impl Statement {
    /// The bytes that are signed.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let Self { sha256, manifest } = self;
        let name = format!("{}-{}.wasm", manifest.name, manifest.version);
        serde_json::to_vec(&InToto {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject { name, digest: Digest { sha256: sha256.clone() } }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: serde_json::to_value(manifest)?,
        })
    }

    /// Reads what was signed; the error is a clause that says what is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| format!("its statement is malformed: {error}");
        let InToto { kind, subject, predicate_type, predicate } = serde_json::from_slice(bytes).map_err(wrong)?;
        for (found, known) in [(&kind, STATEMENT_TYPE), (&predicate_type, PREDICATE_TYPE)] {
            if found != known {
                return Err(format!("its statement is of the type {found:?}; this `dr` knows {known:?}"));
            }
        }
        let [subject] = <[Subject; 1]>::try_from(subject)
            .map_err(|subjects| format!("its statement is about {} files, not one", subjects.len()))?;
        let mut manifest: Manifest = serde_json::from_value(predicate).map_err(wrong)?;
        // Their order means nothing, and other programs than this one write statements.
        manifest.capabilities.sort();
        Ok(Self { sha256: subject.digest.sha256, manifest })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn statement(version: &str) -> Statement {
        Statement {
            sha256: dr_runtime::component_digest(b"component"),
            manifest: Manifest {
                name: "vendor-policy".to_owned(),
                version: version.to_owned(),
                contract: "pravega:recovery@0.1.0".to_owned(),
                capabilities: vec!["storage.containers".to_owned()],
            },
        }
    }

    #[test]
    fn a_statement_is_read_as_it_was_written() {
        let json = statement("1.2.0").to_json().unwrap();
        assert_eq!(Statement::parse(&json).unwrap(), statement("1.2.0"));
    }

    #[test]
    fn statements_of_another_kind_are_refused_with_the_reason() {
        let json = String::from_utf8(statement("1.2.0").to_json().unwrap()).unwrap();
        for (from, to, reason) in [
            ("Statement/v1", "Statement/v2", "Statement/v2"),
            ("procedure/v1", "procedure/v2", "this `dr` knows"),
            ("\"name\":\"vendor-policy\"", "\"colour\":1", "colour"),
            ("\"subject\":[", "\"subject\":[{\"name\":\"x\",\"digest\":{\"sha256\":\"\"}},", "2 files"),
            ("sha256", "sha512", "sha256"),
        ] {
            let problem = Statement::parse(json.replace(from, to).as_bytes()).unwrap_err();
            assert!(problem.contains(reason), "{problem:?} does not say {reason}");
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let (what, ours, theirs) = statement("1.2.0").manifest.difference(&statement("1.3.0").manifest).unwrap();
        assert_eq!((what, ours.as_str(), theirs.as_str()), ("version", "1.2.0", "1.3.0"));
        assert!(statement("1").manifest.difference(&statement("1").manifest).is_none());
    }
}

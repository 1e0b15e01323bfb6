//! Who vouches for a component: signatures that lie beside it, the keys that make them, and whom the operator trusts.
//!
//! Both formats are others': keys are ed25519 in PEM, as `openssl` writes them; a signature file is a DSSE envelope around an
//! in-toto statement, as `cosign` and others read it. docs/procedures.md shows both. Everything here happens before a component is
//! compiled; that it describes itself as the statement says is checked as soon as it has been asked.

mod envelope;
mod keys;
mod statement;
mod trust;

pub(crate) use envelope::SignatureFile;
pub(crate) use keys::{KeyId, PrivateKey, PublicKey};
pub(crate) use statement::{Manifest, Statement};
pub(crate) use trust::{Standing, Trust};

use std::path::{Path, PathBuf};

/// The file beside a component that holds its signatures.
pub(crate) fn signature_path(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

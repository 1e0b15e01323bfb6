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

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The file beside a component that holds its signatures.
pub(crate) fn signature_path(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Reads a small text. What is longer than anything of its kind is not read.
fn read_text(mut file: File, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    file.by_ref().take(bytes_max).read_to_string(&mut text)?;
    if file.read(&mut [0])? > 0 {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(text)
}

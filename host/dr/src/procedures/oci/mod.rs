//! Procedures in OCI registries, as the artifact that the CNCF's working group on Wasm defined.
//!
//! Formats: <https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/> for the artifact, the OCI distribution
//! specification 1.1 for the protocol. A registry is a stranger: what it sends is bounded, and is what its digest says or is refused.
//! Signatures are an annotation of the layer, so that whoever copies the artifact copies them, and no registry has to know of them.

mod artifact;
mod client;
mod credentials;
mod reference;

pub(crate) use client::{Access, Client};
pub(crate) use reference::{RegistryReference, tag_of};

use std::borrow::Cow;

use dr_engine::error::{OperatorError, Result};
use dr_runtime::{Limits, Procedure};

use self::artifact::{Artifact, digest_of};
use super::signing::SignatureFile;
use super::{Module, Origin};

/// Sends a procedure and its signatures. The digest of what names both in the registry.
///
/// # Errors
/// `registry-occupied` if the tag names another component; those of [`Client`].
pub(crate) fn push(
    client: &Client,
    reference: &RegistryReference,
    module: &Module,
    procedure: &Procedure,
    signatures: Option<&SignatureFile>,
) -> Result<String> {
    let artifact = Artifact::of(module, procedure, signatures)?;
    if let Some(there) = client.manifest(reference)? {
        let there = Artifact::layer_of(&there).map(|(layer, _)| layer.digest);
        if there.as_ref() != Ok(&digest_of(&module.bytes)) {
            let what = format!("{reference} is something else already");
            let next_step = "give the procedure another version, or name another tag: what a version is never changes";
            return Err(OperatorError::new("registry-occupied", what, next_step));
        }
    }
    client.upload(&artifact.config)?;
    client.upload(&module.bytes)?;
    client.put_manifest(reference, &artifact.manifest)?;
    Ok(digest_of(&artifact.manifest))
}

/// Fetches a procedure and its signatures. Nothing is known of it yet but that it is what the registry names so.
///
/// # Errors
/// `registry-missing`; `registry-artifact` if it is no procedure, or too large for one; `registry-digest`; those of
/// [`Client`]; `procedure-signature-wrong` if the signatures are malformed.
pub(crate) fn pull(client: &Client, reference: &RegistryReference) -> Result<Module> {
    let manifest = client.manifest(reference)?.ok_or_else(|| {
        let what = format!("the registry has no {reference}");
        OperatorError::new("registry-missing", what, "correct the name, the tag or the digest")
    })?;
    let foreign = |why: String| {
        let what = format!("{reference} is no procedure");
        OperatorError::new("registry-artifact", what, "name an artifact that `dr procedure push` or `wkg` wrote")
            .because(why)
    };
    let (layer, signatures) = Artifact::layer_of(&manifest).map_err(foreign)?;
    let most = Limits::default().component_bytes as u64;
    if layer.size > most {
        return Err(foreign(format!("it has {} bytes, more than the limit of {most}", layer.size)));
    }
    let bytes = client.blob(&layer.digest, layer.size)?;
    let signatures = signatures.map(|text| SignatureFile::of_text(&reference.to_string(), &text)).transpose()?;
    let origin = Origin::Registry { reference: reference.to_string(), signatures };
    Ok(Module { bytes: Cow::Owned(bytes), origin, labels: Vec::new() })
}

//! The artifact: a manifest, which names a configuration and one layer, the component.

use std::collections::BTreeMap;

use dr_engine::error::{OperatorError, Result};
use dr_runtime::{Procedure, component_digest};
use serde::{Deserialize, Serialize};

use super::reference::is_digest;
use crate::procedures::Module;
use crate::procedures::signing::SignatureFile;

/// Media type of the manifest.
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const LAYER_TYPE: &str = "application/wasm";
/// Annotation of the layer: the text of the file of signatures.
const SIGNATURES: &str = "pravega.recovery.signatures";
/// The specification wants a time; the same component shall be the same artifact.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What is sent beside the component.
pub(super) struct Artifact {
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

/// What names a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    author: Option<&'a str>,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [&'a str; 1],
    component: Component<'a>,
}

#[derive(Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<&'a str>,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        let (media_type, size) = (media_type.to_owned(), bytes.len() as u64);
        Self { media_type, digest: digest_of(bytes), size, annotations: BTreeMap::new() }
    }
}

impl Artifact {
    /// That of a procedure.
    pub(super) fn of(module: &Module, procedure: &Procedure, signatures: Option<&SignatureFile>) -> Result<Self> {
        let defect = |error: serde_json::Error| {
            OperatorError::new("defect", "an artifact cannot be written down", "report this defect of dr")
                .because(error)
        };
        let mut layer = Descriptor::of(LAYER_TYPE, &module.bytes);
        if let Some(signatures) = signatures {
            layer.annotations.insert(SIGNATURES.to_owned(), signatures.text()?);
        }
        let interface = procedure.interface();
        let config = serde_json::to_vec(&Config {
            created: CREATED,
            author: None,
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [&layer.digest],
            component: Component { exports: &interface.exports, imports: &interface.imports, target: None },
        });
        let config = config.map_err(defect)?;
        let description = procedure.description();
        let annotations = [
            ("org.opencontainers.image.title", &description.name),
            ("org.opencontainers.image.version", &description.version),
            ("org.opencontainers.image.description", &description.summary),
        ];
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            config: Descriptor::of(CONFIG_TYPE, &config),
            layers: vec![layer],
            annotations: annotations.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
        };
        Ok(Self { config, manifest: serde_json::to_vec(&manifest).map_err(defect)? })
    }

    /// The component that a manifest names, and its signatures; the error is a clause that says why it is no procedure.
    pub(super) fn layer_of(manifest: &[u8]) -> std::result::Result<(Descriptor, Option<String>), String> {
        let manifest: Manifest =
            serde_json::from_slice(manifest).map_err(|error| format!("its manifest is malformed: {error}"))?;
        let kind = &manifest.config.media_type;
        if kind != CONFIG_TYPE {
            return Err(format!("its configuration is of the type {kind:?}, not {CONFIG_TYPE:?}"));
        }
        let [mut layer] = <[Descriptor; 1]>::try_from(manifest.layers)
            .map_err(|layers| format!("it has {} layers, not one", layers.len()))?;
        if layer.media_type != LAYER_TYPE {
            return Err(format!("its layer is of the type {:?}, not {LAYER_TYPE:?}", layer.media_type));
        }
        if !is_digest(&layer.digest) {
            return Err(format!("its layer has the digest {:?}, which is no SHA-256", layer.digest));
        }
        let signatures = layer.annotations.remove(SIGNATURES);
        Ok((layer, signatures))
    }
}

/// Digest as registries write it.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", component_digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_procedure_is_refused_with_the_reason() {
        let layer = Descriptor::of(LAYER_TYPE, b"component");
        let manifest = |config: &str, layers: &[&Descriptor]| {
            serde_json::json!({"schemaVersion": 2, "config": Descriptor::of(config, b"{}"), "layers": layers})
                .to_string()
        };
        let good = manifest(CONFIG_TYPE, &[&layer]);
        assert_eq!(Artifact::layer_of(good.as_bytes()), Ok((layer.clone(), None)));
        for (text, reason) in [
            (String::new(), "malformed"),
            (manifest("application/vnd.oci.image.config.v1+json", &[&layer]), "image.config"),
            (manifest(CONFIG_TYPE, &[&layer, &layer]), "2 layers"),
            (manifest(CONFIG_TYPE, &[&Descriptor::of("text/plain", b"")]), "text/plain"),
            (good.replace(&layer.digest, "md5:00"), "no SHA-256"),
        ] {
            let problem = Artifact::layer_of(text.as_bytes()).unwrap_err();
            assert!(problem.contains(reason), "{problem:?} does not say {reason}");
        }
    }
}

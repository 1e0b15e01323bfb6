//! The file of signatures: a DSSE envelope (Dead Simple Signing Envelope, version 1.0.2) around a statement.
//!
//! Format: <https://github.com/secure-systems-lab/dsse>. What is signed are the very bytes of the payload, so that nobody has to
//! agree on a canonical JSON.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dr_engine::error::{OperatorError, Result};
use serde::{Deserialize, Serialize};

use super::{KeyId, PrivateKey, PublicKey, Statement};
use crate::bounded_file::read_text;
use crate::procedures::registry::replace;

/// Largest file of signatures that is read.
const SIGNATURE_BYTES_MAX: u64 = 1 << 20;
/// Most signatures of a component; each may be checked against all trusted keys.
const SIGNATURES_MAX: usize = 64;
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Signatures of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignatureFile {
    path: PathBuf,
    payload: Vec<u8>,
    /// What was signed.
    pub(crate) statement: Statement,
    /// Key, as the file says, and signature.
    signatures: Vec<(KeyId, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeSignature {
    #[serde(default)]
    keyid: Option<KeyId>,
    sig: String,
}

impl SignatureFile {
    /// A file without signatures, which is not written yet.
    ///
    /// # Errors
    /// `defect`.
    pub(crate) fn new(path: &Path, statement: Statement) -> Result<Self> {
        let payload = statement.to_json().map_err(|error| defect(&error))?;
        Ok(Self { path: path.to_owned(), payload, statement, signatures: Vec::new() })
    }

    /// Reads a file; none if it does not exist.
    ///
    /// # Errors
    /// `procedure-signature-wrong` if it is malformed.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let malformed = |why: String| malformed(&path.display().to_string(), why);
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| malformed(error.to_string()))?,
        };
        let text = read_text(file, SIGNATURE_BYTES_MAX).map_err(|error| malformed(error.to_string()))?;
        Self::parse(path, &text).map(Some).map_err(malformed)
    }

    /// The same of a text that came from elsewhere.
    ///
    /// # Errors
    /// `procedure-signature-wrong` if it is malformed.
    pub(crate) fn of_text(origin: &str, text: &str) -> Result<Self> {
        Self::parse(Path::new(""), text).map_err(|why| malformed(origin, why))
    }

    /// Understands the text of a file; the error is a clause that says what is wrong.
    fn parse(path: &Path, text: &str) -> std::result::Result<Self, String> {
        let envelope: Envelope = serde_json::from_str(text).map_err(|error| format!("it is no envelope: {error}"))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(format!("its payload is of the type {:?}, not {PAYLOAD_TYPE:?}", envelope.payload_type));
        }
        let count = envelope.signatures.len();
        if !(1..=SIGNATURES_MAX).contains(&count) {
            return Err(format!("it has {count} signatures; from 1 to {SIGNATURES_MAX} are possible"));
        }
        let decode = |text: &str| BASE64.decode(text).map_err(|error| format!("it has bad Base64: {error}"));
        let payload = decode(&envelope.payload)?;
        let statement = Statement::parse(&payload)?;
        let signature = |it: &EnvelopeSignature| Ok((it.keyid.clone().unwrap_or_default(), decode(&it.sig)?));
        let signatures = envelope.signatures.iter().map(signature).collect::<std::result::Result<_, String>>()?;
        Ok(Self { path: path.to_owned(), payload, statement, signatures })
    }

    /// The same signatures for another place.
    pub(crate) fn moved(self, path: &Path) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// Adds a signature. Whether it was not there yet.
    ///
    /// # Errors
    /// `key-unusable`, a defect.
    pub(crate) fn sign(&mut self, key: &PrivateKey) -> Result<bool> {
        let signature = (key.public()?.id, key.sign(&self.signed_bytes()).to_vec());
        if self.signatures.contains(&signature) {
            return Ok(false);
        }
        self.signatures.retain(|(id, _)| *id != signature.0);
        self.signatures.push(signature);
        Ok(true)
    }

    /// What stands in the file.
    ///
    /// # Errors
    /// `defect`.
    pub(crate) fn text(&self) -> Result<String> {
        let envelope = self.envelope();
        let mut text = serde_json::to_string_pretty(&envelope).map_err(|error| defect(&error))?;
        text.push('\n');
        Ok(text)
    }

    /// Writes it; whoever reads it meanwhile gets the old one or the new one.
    ///
    /// # Errors
    /// `procedure-unwritable`.
    pub(crate) fn write(&self) -> Result<()> {
        replace(&self.path, self.text()?.as_bytes())
    }

    fn envelope(&self) -> Envelope {
        let signature =
            |(id, bytes): &(KeyId, Vec<u8>)| EnvelopeSignature { keyid: Some(id.clone()), sig: BASE64.encode(bytes) };
        Envelope {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: BASE64.encode(&self.payload),
            signatures: self.signatures.iter().map(signature).collect(),
        }
    }

    /// The keys that signed, as the file says, which anybody can have written.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.signatures.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Whether a key signed the statement; the error says that the file claims so and it is not true.
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> std::result::Result<bool, String> {
        let bytes = self.signed_bytes();
        for (id, signature) in self.signatures.iter().filter(|(id, _)| id.is_empty() || *id == key.id) {
            if key.verifies(&bytes, signature) {
                return Ok(true);
            }
            if !id.is_empty() {
                return Err(format!("what it calls the signature of the key {id} is none"));
            }
        }
        Ok(false)
    }

    /// DSSE's pre-authentication encoding: type and payload, each behind its length.
    fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(PAYLOAD_TYPE, &self.payload)
    }
}

fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

fn malformed(origin: &str, why: String) -> OperatorError {
    let what = format!("the signatures {origin} cannot be used");
    let next_step = "get procedure and signatures again; or, if you built the procedure, remove them and sign anew";
    OperatorError::new("procedure-signature-wrong", what, next_step).because(why)
}

fn defect(error: &serde_json::Error) -> OperatorError {
    OperatorError::new("defect", "a signature cannot be written down", "report this defect of dr").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procedures::signing::statement::tests::statement;

    #[test]
    fn what_is_signed_is_encoded_as_the_standard_says() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn several_keys_sign_one_component_and_the_file_is_a_golden_one() {
        let [first, second] = [1, 2].map(|seed| PrivateKey::of_seed(&[seed; 32]));
        let mut file = SignatureFile::new(Path::new("x.wasm.sig"), statement("1.2.0")).unwrap();
        assert!(file.sign(&first).unwrap() && file.sign(&second).unwrap());
        assert!(!file.sign(&first).unwrap(), "the same signature is added only once");
        let text = file.text().unwrap();

        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/procedure-signature.json");
        if std::env::var_os("DR_TEST_WRITE_GOLDEN").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&golden).unwrap());

        let read = SignatureFile::parse(Path::new("x.wasm.sig"), &text).unwrap();
        assert_eq!(read.statement, statement("1.2.0"));
        let stranger = PrivateKey::of_seed(&[3; 32]).public().unwrap();
        let signed = [&first.public().unwrap(), &second.public().unwrap(), &stranger].map(|key| read.is_signed_by(key));
        assert_eq!(signed, [Ok(true), Ok(true), Ok(false)]);
    }

    #[test]
    fn a_signature_without_a_key_id_is_tried_with_every_key() {
        let key = PrivateKey::of_seed(&[1; 32]);
        let mut file = SignatureFile::new(Path::new("x.wasm.sig"), statement("1.2.0")).unwrap();
        file.sign(&key).unwrap();
        let text = file.text().unwrap();
        let id = key.public().unwrap().id.to_string();
        let read = SignatureFile::parse(Path::new(""), &text.replace(&format!("\"keyid\": \"{id}\","), "")).unwrap();
        assert_eq!(read.is_signed_by(&key.public().unwrap()), Ok(true));
        assert_eq!(read.is_signed_by(&PrivateKey::of_seed(&[2; 32]).public().unwrap()), Ok(false));
    }

    #[test]
    fn files_that_say_something_impossible_are_refused_with_the_reason() {
        let mut file = SignatureFile::new(Path::new("x.wasm.sig"), statement("1.2.0")).unwrap();
        let empty = file.text().unwrap();
        file.sign(&PrivateKey::of_seed(&[1; 32])).unwrap();
        let text = file.text().unwrap();
        for (text, reason) in [
            (String::new(), "no envelope"),
            (empty, "0 signatures"),
            (text.replace("in-toto", "out-toto"), "out-toto"),
            (text.replace("\"sig\": \"", "\"sig\": \"!"), "Base64"),
            (text.replace("\"payload\": \"", "\"payload\": \"AAAA"), "malformed"),
        ] {
            let problem = SignatureFile::parse(Path::new(""), &text).unwrap_err();
            assert!(problem.contains(reason), "{problem:?} does not say {reason}");
        }
    }
}

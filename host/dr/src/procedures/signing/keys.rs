//! Keys: ed25519 (RFC 8032) in PEM, private ones as PKCS #8, public ones as SubjectPublicKeyInfo (RFC 8410).

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::bounded_file::read_text;
use crate::procedures::registry::unwritable;

/// Largest file of keys that is read: some thousand public keys.
const KEY_FILE_BYTES_MAX: u64 = 1 << 20;
const PUBLIC_BEGINS: &str = "-----BEGIN PUBLIC KEY-----";
const PUBLIC_ENDS: &str = "-----END PUBLIC KEY-----";

/// What names a public key: SHA-256 of its SubjectPublicKeyInfo in DER, lower-case hex.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KeyId(String);

impl KeyId {
    /// Whether nobody said which key it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A key that checks signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    key: VerifyingKey,
    /// Its name.
    pub(crate) id: KeyId,
}

/// A key that signs. It is never shown.
pub(crate) struct PrivateKey(SigningKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey")
    }
}

impl PublicKey {
    fn new(key: VerifyingKey) -> Result<Self> {
        let document = key.to_public_key_der().map_err(|error| key_defect(&error))?;
        Ok(Self { key, id: KeyId(dr_runtime::component_digest(document.as_bytes())) })
    }

    /// All public keys of a file. Whatever stands between them is a comment.
    ///
    /// # Errors
    /// `key-unreadable`, also if there is none, or one that is not ed25519.
    pub(crate) fn read_all(path: &Path) -> Result<Vec<Self>> {
        let read = File::open(path).and_then(|file| read_text(file, KEY_FILE_BYTES_MAX));
        let text = read.map_err(|error| unreadable(path, "public", &error))?;
        let ended = text.split_inclusive(PUBLIC_ENDS).filter(|part| part.ends_with(PUBLIC_ENDS));
        let blocks: Vec<&str> =
            ended.map(|part| part.find(PUBLIC_BEGINS).map_or(part, |begin| &part[begin..])).collect();
        if blocks.is_empty() {
            return Err(unreadable(path, "public", &format!("it has no line {PUBLIC_BEGINS}")));
        }
        let parse = |block: &&str| {
            let key = VerifyingKey::from_public_key_pem(block);
            key.map_err(|error| unreadable(path, "public", &format!("a key in it is not ed25519 ({error})")))
        };
        blocks.iter().map(|block| Self::new(parse(block)?)).collect()
    }

    /// Whether a signature of these bytes was made with the private key that belongs to it.
    pub(crate) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.key.verify_strict(bytes, &signature).is_ok())
    }

    fn to_pem(&self) -> Result<String> {
        self.key.to_public_key_pem(LineEnding::LF).map_err(|error| key_defect(&error))
    }
}

impl PrivateKey {
    /// A new one, from the randomness of the operating system.
    ///
    /// # Errors
    /// `key-unusable` if there is none.
    pub(crate) fn generate() -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| key_defect(&error))?;
        Ok(Self::of_seed(&seed))
    }

    /// The one that follows from these bytes, which nobody else may know.
    pub(crate) fn of_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads the file of a key.
    ///
    /// # Errors
    /// `key-unreadable`; `key-exposed` if others may read the file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let wrong = |why: &dyn fmt::Display| unreadable(path, "private", why);
        let file = File::open(path).map_err(|error| wrong(&error))?;
        let mode = file.metadata().map_err(|error| wrong(&error))?.permissions().mode();
        if mode & 0o077 != 0 {
            let what = format!("the private key {} is not private", path.display());
            let next_step = format!(
                "if nobody else can have read it: chmod 600 {}; else make a new key, and trust the old one no more",
                path.display()
            );
            let why = format!("its mode is {:03o}, others may read or change it", mode & 0o777);
            return Err(OperatorError::new("key-exposed", what, next_step).because(why));
        }
        let text = read_text(file, KEY_FILE_BYTES_MAX).map_err(|error| wrong(&error))?;
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            return Err(wrong(&"it is encrypted; `openssl pkey -in FILE -out NEW` decrypts it"));
        }
        SigningKey::from_pkcs8_pem(&text).map(Self).map_err(|error| wrong(&format!("it is not ed25519 ({error})")))
    }

    /// The key that checks what it signs.
    ///
    /// # Errors
    /// `key-unusable`, a defect.
    pub(crate) fn public(&self) -> Result<PublicKey> {
        PublicKey::new(self.0.verifying_key())
    }

    /// Signs; the same bytes get the same signature.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }

    /// Writes it to a new file that only its owner can read, and the public key to a new one with `.pub` behind the
    /// name. The latter's path.
    ///
    /// # Errors
    /// `key-exists`: no key is ever overwritten. `procedure-unwritable`.
    pub(crate) fn write(&self, path: &Path) -> Result<PathBuf> {
        let mut public_path = path.as_os_str().to_owned();
        public_path.push(".pub");
        let public_path = PathBuf::from(public_path);
        // Without the public key in it, which would be of PKCS #8's second version, and openssl does not read that.
        let private = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let private = private.to_pkcs8_pem(LineEnding::LF).map_err(|error| key_defect(&error))?;
        let public = self.public()?.to_pem()?;
        create_new(path, 0o600, private.as_bytes())?;
        create_new(&public_path, 0o644, public.as_bytes()).inspect_err(|_| {
            // Half a pair is of no use; it was made a moment ago.
            let _ = fs::remove_file(path);
        })?;
        Ok(public_path)
    }
}

fn create_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let create = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    create().map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let what = format!("{} exists and was not overwritten", path.display());
            OperatorError::new(
                "key-exists",
                what,
                "name a file that does not exist; a key that is lost cannot be made again",
            )
        }
        _ => unwritable(path, &error),
    })
}

fn unreadable(path: &Path, kind: &str, why: &dyn fmt::Display) -> OperatorError {
    let what = format!("cannot read the {kind} key {}", path.display());
    let next_step = "name a file with an ed25519 key in PEM, as `dr procedure keygen` or `openssl genpkey -algorithm ed25519` writes it";
    OperatorError::new("key-unreadable", what, next_step).because(why)
}

/// What the operating system or a library refuses to do with a good key.
fn key_defect(error: &dyn fmt::Display) -> OperatorError {
    OperatorError::new("key-unusable", "a key cannot be made or written", "run dr on another machine").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `openssl genpkey -algorithm ed25519` for these tests, and of no other use.
    const FROM_OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEMiXKeW2U0d0St+Hy8sjF2/KH100fYT9cIngis0/g0e\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_pair_is_written_once_and_read_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key.pem");
        let key = PrivateKey::generate().unwrap();
        let public_path = key.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(key.write(&path).unwrap_err().code, "key-exists");

        let read = PrivateKey::read(&path).unwrap();
        let [public] = PublicKey::read_all(&public_path).unwrap().try_into().unwrap();
        assert_eq!(public, read.public().unwrap());
        let signature = read.sign(b"message");
        assert!(public.verifies(b"message", &signature));
        assert!(!public.verifies(b"massage", &signature) && !public.verifies(b"message", &signature[1..]));

        fs::remove_file(&path).unwrap();
        assert_eq!(key.write(&path).unwrap_err().code, "key-exists", "the public key is there");
        assert!(!path.exists(), "half a pair is left");
    }

    #[test]
    fn a_private_key_that_others_can_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key.pem");
        fs::write(&path, FROM_OPENSSL).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(PrivateKey::read(&path).unwrap_err().code, "key-exposed");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(PrivateKey::read(&path).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keys.pem");
        let public = |text: &str| {
            fs::write(&path, text).unwrap();
            PublicKey::read_all(&path).map(|keys| keys.len()).map_err(|error| (error.code, error.to_string()))
        };
        let pem = PrivateKey::of_seed(&[7; 32]).public().unwrap().to_pem().unwrap();
        assert_eq!(public(&format!("the first\n{pem}\nthe second\n{pem}")), Ok(2));
        for (text, reason) in [
            (String::new(), "no line"),
            (FROM_OPENSSL.to_owned(), "no line"),
            (pem.replace("MCow", "MCoW"), "not ed25519"),
            (format!("{PUBLIC_BEGINS}\n{PUBLIC_ENDS}\n"), "not ed25519"),
            (" ".repeat(KEY_FILE_BYTES_MAX as usize + 1), "more than"),
        ] {
            let (code, said) = public(&text).unwrap_err();
            assert!(code == "key-unreadable" && said.contains(reason), "{said} does not say {reason}");
        }
    }
}

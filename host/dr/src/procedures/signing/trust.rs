//! Whom the operator trusts, and what that makes of a component.

use std::fs;
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use dr_runtime::Procedure;

use super::{KeyId, Manifest, PublicKey, SignatureFile, signature_path};
use crate::procedures::{Module, Origin};

/// Directory of public keys inside a directory of procedures.
const TRUSTED_KEYS: &str = "trusted-keys";
/// Most trusted keys; more are a wrong directory.
const KEYS_MAX: usize = 1000;

/// Whose signatures count, and whether one has to be there.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    keys: Vec<PublicKey>,
    required: bool,
}

/// What is known of a component before it is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Part of this binary, and trusted as the binary is.
    BuiltIn,
    /// Nobody signed it.
    Unsigned,
    /// Signed, but by nobody who is trusted, so that what was signed says nothing.
    Untrusted {
        /// What was signed.
        manifest: Manifest,
        /// The keys, as the signatures say.
        keys: Vec<KeyId>,
    },
    /// A trusted key signed it.
    Verified {
        /// What was signed.
        manifest: Manifest,
        /// The key.
        signer: KeyId,
    },
}

impl Trust {
    /// The keys of these files and directories, and those that lie in a directory of procedures.
    ///
    /// # Errors
    /// `key-unreadable`.
    pub(crate) fn open(roots: &[PathBuf], procedures: Option<&Path>) -> Result<Self> {
        let beside = procedures.map(|directory| directory.join(TRUSTED_KEYS)).filter(|directory| directory.is_dir());
        let mut keys: Vec<PublicKey> = Vec::new();
        for root in roots.iter().chain(&beside) {
            for path in files_of(root)? {
                keys.extend(PublicKey::read_all(&path)?);
                if keys.len() > KEYS_MAX {
                    return Err(unreadable(root, &format!("there are more than {KEYS_MAX} keys")));
                }
            }
        }
        keys.sort_by(|one, other| one.id.cmp(&other.id));
        keys.dedup();
        Ok(Self { keys, required: false })
    }

    /// The same; if `required`, only what a trusted key signed passes [`Trust::judge`].
    pub(crate) fn requiring(self, required: bool) -> Self {
        Self { required, ..self }
    }

    /// What a component's signatures are worth.
    ///
    /// # Errors
    /// `procedure-signature-wrong` if they are of something else or forged, whether or not one is required;
    /// `procedure-unsigned`, `procedure-untrusted`.
    pub(crate) fn judge(&self, module: &Module) -> Result<Standing> {
        let standing = match (&module.origin, module.signatures()?) {
            (Origin::BuiltIn(_), _) => Standing::BuiltIn,
            (_, None) => Standing::Unsigned,
            (_, Some(signatures)) => self.standing(module, &signatures)?,
        };
        match (&standing, self.required) {
            (Standing::Unsigned, true) => Err(unsigned(&module.origin)),
            (Standing::Untrusted { keys, .. }, true) => Err(self.untrusted(&module.origin, keys)),
            _ => Ok(standing),
        }
    }

    fn standing(&self, module: &Module, signatures: &SignatureFile) -> Result<Standing> {
        let (signed, found) = (&signatures.statement.sha256, module.sha256());
        if *signed != found {
            let why = format!("the component's SHA-256 is {found}, {signed} was signed");
            return Err(wrong(module, why));
        }
        let manifest = signatures.statement.manifest.clone();
        for key in &self.keys {
            if signatures.is_signed_by(key).map_err(|why| wrong(module, why))? {
                return Ok(Standing::Verified { manifest, signer: key.id.clone() });
            }
        }
        Ok(Standing::Untrusted { manifest, keys: signatures.key_ids() })
    }

    fn untrusted(&self, origin: &Origin, keys: &[KeyId]) -> OperatorError {
        let what = format!("{origin} is signed, but by nobody who is trusted");
        let next_step = "if you know whose key that is, give the file of its public key with --trust FILE or DR_TRUST, or put it into `trusted-keys` of the directory of procedures";
        let trusted: Vec<&KeyId> = self.keys.iter().map(|key| &key.id).collect();
        let trusted = if trusted.is_empty() { "no key is".to_owned() } else { joined(trusted) };
        let why = format!("signed with {}; trusted: {trusted}", joined(keys));
        OperatorError::new("procedure-untrusted", what, next_step).because(why)
    }
}

impl Standing {
    /// The trusted key that signed, if there is one.
    pub(crate) fn signer(&self) -> Option<&KeyId> {
        if let Self::Verified { signer, .. } = self { Some(signer) } else { None }
    }

    /// What was signed.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::BuiltIn | Self::Unsigned => None,
            Self::Untrusted { manifest, .. } | Self::Verified { manifest, .. } => Some(manifest),
        }
    }

    /// One word for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Unsigned => "unsigned",
            Self::Untrusted { .. } => "untrusted",
            Self::Verified { .. } => "verified",
        }
    }

    /// A clause for people.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::BuiltIn => "part of this binary, trusted as the binary is".to_owned(),
            Self::Unsigned => "none".to_owned(),
            Self::Untrusted { keys, .. } => format!("by nobody who is trusted: key {}", joined(keys)),
            Self::Verified { signer, .. } => format!("good, by the trusted key {signer}"),
        }
    }

    /// Refuses a component that describes itself otherwise than was signed.
    ///
    /// # Errors
    /// `procedure-signature-wrong`.
    pub(crate) fn check(&self, module: &Module, procedure: &Procedure) -> Result<()> {
        let said = Manifest::of(procedure);
        match self.manifest().and_then(|signed| said.difference(signed)) {
            None => Ok(()),
            Some((what, said, signed)) => {
                let why = format!("it says of itself: {what} {said}; signed was: {signed}");
                Err(wrong(module, why))
            }
        }
    }
}

fn unsigned(origin: &Origin) -> OperatorError {
    let what = format!("{origin} is not signed");
    let place = match origin {
        Origin::File(path) => format!("there is no {}", signature_path(path).display()),
        _ => "none came with it".to_owned(),
    };
    let next_step = "get the signature from whoever gave you the procedure; or, if you looked at it and trust it, sign it with `dr procedure sign`";
    OperatorError::new("procedure-unsigned", what, next_step).because(format!("a signature is required, and {place}"))
}

fn wrong(module: &Module, why: String) -> OperatorError {
    let what = format!("{} is not what its signatures are of", module.origin);
    let next_step = "find out who changed one of them, and get both again; or, if you built the procedure anew, remove the signatures and sign again";
    OperatorError::new("procedure-signature-wrong", what, next_step).because(why)
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> OperatorError {
    let what = format!("cannot read the trusted keys {}", path.display());
    let next_step = "name a file of public keys, or a directory of such files (*.pub, *.pem), with --trust or DR_TRUST";
    OperatorError::new("key-unreadable", what, next_step).because(why)
}

/// The file itself, or the files of keys in a directory, by name.
fn files_of(root: &Path) -> Result<Vec<PathBuf>> {
    if !root.is_dir() {
        return Ok(vec![root.to_owned()]);
    }
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let paths = fs::read_dir(root)?.map(|entry| Ok(entry?.path()));
        let is_key =
            |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pub" || extension == "pem");
        paths.filter(|path| path.as_ref().map_or(true, is_key)).take(KEYS_MAX + 1).collect()
    };
    let mut files = list().map_err(|error| unreadable(root, &error))?;
    files.sort();
    Ok(files)
}

fn joined<'a>(keys: impl IntoIterator<Item = &'a KeyId>) -> String {
    let name = |key: &KeyId| if key.is_empty() { "a key without a name".to_owned() } else { key.to_string() };
    keys.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::procedures::signing::PrivateKey;
    use crate::procedures::signing::statement::tests::statement;

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Self { directory: tempfile::tempdir().unwrap() };
            fs::write(place.path("x.wasm"), b"component").unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn sign(&self, key: &PrivateKey) {
            let mut file = SignatureFile::new(&self.path("x.wasm.sig"), statement("1.2.0")).unwrap();
            file.sign(key).unwrap();
            file.write().unwrap();
        }

        fn judge(&self, roots: &[&str], required: bool) -> std::result::Result<Standing, &'static str> {
            let roots: Vec<PathBuf> = roots.iter().map(|root| self.path(root)).collect();
            let trust = Trust::open(&roots, Some(self.directory.path())).map_err(|error| error.code)?;
            trust.requiring(required).judge(&Module::read(&self.path("x.wasm")).unwrap()).map_err(|error| error.code)
        }
    }

    #[test]
    fn only_what_a_trusted_key_signed_passes_where_a_signature_is_required() {
        let place = Place::new();
        let [ours, theirs] = [1, 2].map(|seed| PrivateKey::of_seed(&[seed; 32]));
        ours.write(&place.path("ours")).unwrap();
        theirs.write(&place.path("theirs")).unwrap();
        assert_eq!(place.judge(&["ours.pub"], false), Ok(Standing::Unsigned));
        assert_eq!(place.judge(&["ours.pub"], true), Err("procedure-unsigned"));

        place.sign(&theirs);
        assert_eq!(place.judge(&["ours.pub"], false).map(|standing| standing.word()), Ok("untrusted"));
        assert_eq!(place.judge(&["ours.pub"], true), Err("procedure-untrusted"));
        assert_eq!(place.judge(&[], true), Err("procedure-untrusted"));
        let verified = place.judge(&["ours.pub", "theirs.pub"], true).unwrap();
        assert_eq!(verified.signer(), Some(&theirs.public().unwrap().id));

        fs::create_dir(place.path("trusted-keys")).unwrap();
        fs::rename(place.path("theirs.pub"), place.path("trusted-keys/theirs.pub")).unwrap();
        fs::write(place.path("trusted-keys/README"), "no key").unwrap();
        assert_eq!(place.judge(&[], true).map(|standing| standing.word()), Ok("verified"));
        assert_eq!(place.judge(&["absent.pub"], true), Err("key-unreadable"));
    }

    #[test]
    fn signatures_of_something_else_are_refused_even_if_none_is_required() {
        let place = Place::new();
        let key = PrivateKey::of_seed(&[1; 32]);
        key.write(&place.path("key")).unwrap();
        place.sign(&key);
        let signed = fs::read_to_string(place.path("x.wasm.sig")).unwrap();

        fs::write(place.path("x.wasm"), b"Component").unwrap();
        assert_eq!(place.judge(&[], false), Err("procedure-signature-wrong"));
        fs::write(place.path("x.wasm"), b"component").unwrap();

        // Somebody signs what he likes and puts the name of the trusted key on it.
        place.sign(&PrivateKey::of_seed(&[2; 32]));
        let forged = fs::read_to_string(place.path("x.wasm.sig")).unwrap();
        let id = |seed| PrivateKey::of_seed(&[seed; 32]).public().unwrap().id.to_string();
        fs::write(place.path("x.wasm.sig"), forged.replace(&id(2), &id(1))).unwrap();
        assert_eq!(place.judge(&["key.pub"], false), Err("procedure-signature-wrong"));

        fs::write(place.path("x.wasm.sig"), &signed[1..]).unwrap();
        assert_eq!(place.judge(&["key.pub"], false), Err("procedure-signature-wrong"));
    }

    #[test]
    fn what_is_built_in_needs_no_signature() {
        let module = Module { bytes: Cow::Borrowed(b"x"), origin: Origin::BuiltIn("x"), labels: Vec::new() };
        assert_eq!(Trust::default().requiring(true).judge(&module), Ok(Standing::BuiltIn));
    }
}

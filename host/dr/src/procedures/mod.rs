//! Where procedures come from: those that are built in, those of a directory, and single files; and who vouches for them.
//!
//! Everything here works on bytes and names. Nothing is compiled or run: what is refused here costs nothing.

pub(crate) mod built_in;
pub(crate) mod cache;
pub(crate) mod library;
pub(crate) mod oci;
pub(crate) mod reference;
pub(crate) mod registry;
pub(crate) mod scaffold;
pub(crate) mod signing;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use dr_runtime::{Limits, RuntimeError, component_digest};

use self::signing::{SignatureFile, signature_path};
use crate::bounded_file;

/// A component that was read and not looked at yet.
#[derive(Debug)]
pub(crate) struct Module {
    /// As they stand in the file.
    pub(crate) bytes: Cow<'static, [u8]>,
    /// Where they come from.
    pub(crate) origin: Origin,
    /// What others say that it is.
    pub(crate) labels: Vec<Label>,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is part of this binary.
    BuiltIn(&'static str),
    /// A file; signatures lie beside it.
    File(PathBuf),
    /// A registry, which sends signatures along.
    Registry {
        /// As it was asked for.
        reference: String,
        /// Those that came along.
        signatures: Option<SignatureFile>,
    },
}

/// What somebody else says that a component is. Its own `describe` has to say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// Name of the procedure.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Who says so, as in "the registry".
    pub(crate) who: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => write!(formatter, "the built-in procedure {name}"),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Registry { reference, .. } => formatter.write_str(reference),
        }
    }
}

impl Module {
    /// Reads a file.
    ///
    /// # Errors
    /// `procedure-unreadable`, also for a file that is larger than any procedure may be.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes_max = Limits::default().component_bytes as u64;
        let unreadable = |why: String| {
            let what = format!("cannot read the procedure {}", path.display());
            let next_step = "name the file of a WebAssembly component, or a procedure that `dr procedure list` shows";
            OperatorError::new("procedure-unreadable", what, next_step).because(why)
        };
        let bytes = File::open(path).and_then(|file| bounded_file::read(file, bytes_max));
        let bytes = bytes.map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { bytes: Cow::Owned(bytes), origin: Origin::File(path.to_owned()), labels: Vec::new() })
    }

    /// The signatures that came with it.
    ///
    /// # Errors
    /// `procedure-signature-wrong` if they are malformed.
    pub(crate) fn signatures(&self) -> Result<Option<SignatureFile>> {
        match &self.origin {
            Origin::BuiltIn(_) => Ok(None),
            Origin::File(path) => SignatureFile::read(&signature_path(path)),
            Origin::Registry { signatures, .. } => Ok(signatures.clone()),
        }
    }

    /// Refuses a module that says another name or version of itself than others say.
    ///
    /// # Errors
    /// `procedure-mislabelled`.
    pub(crate) fn check_labels(&self, name: &str, version: &str) -> Result<()> {
        match self.labels.iter().find(|label| label.name != name || label.version != version) {
            None => Ok(()),
            Some(label) => {
                let Label { name: other_name, version: other_version, who } = label;
                let what = format!("{} calls itself {name} {version}", self.origin);
                let next_step = "do not run it before you know who gave it the other name";
                let why = format!("{who} calls it {other_name} {other_version}");
                Err(OperatorError::new("procedure-mislabelled", what, next_step).because(why))
            }
        }
    }

    /// SHA-256 of the bytes, lower-case hex.
    pub(crate) fn sha256(&self) -> String {
        component_digest(&self.bytes)
    }
}

/// What the operator is told of a procedure's failure.
pub(crate) fn operator_error(error: RuntimeError) -> OperatorError {
    let (code, next_step) = match &error {
        RuntimeError::UnknownSetting { .. } | RuntimeError::BadSetting { .. } => {
            ("configuration-setting", "correct --set; nothing was changed")
        }
        RuntimeError::Failed { .. } => (
            "procedure-failed",
            "nothing was changed; correct what the reason names, and run the command again with another directory; the diary (--log-level debug) says more. Another procedure can \
             keep less: where bookies have their disks, `total-loss` would leave out what they hold",
        ),
        RuntimeError::Machine { .. } => ("runtime-unusable", "run dr on another machine"),
        _ => (
            "procedure-invalid",
            "build the procedure for this version of dr, or leave out --procedure to run the built-in one",
        ),
    };
    OperatorError::new(code, error.to_string(), next_step)
}

//! The one error type that an operator sees.
//!
//! Rules: `what` says what could not be done and names the thing; `why` is the cause in the words of whoever knows it;
//! `next_step` is an order that the operator can follow, with the flag or property to change; `code` is stable and
//! documented in `docs/errors.md`; `retry` says whether the same command may succeed later without any change.

use std::fmt;
use std::io::ErrorKind;

use dr_backends::tier1::Tier1Error;
use dr_backends::tier2::Tier2Error;

use crate::contract::CallError;

/// What an operator is told when something could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorError {
    /// Stable code, lower case, words joined by `-`.
    pub code: &'static str,
    /// What could not be done, with the name of the thing.
    pub what: String,
    /// Why, in the words of whoever knows.
    pub why: Option<String>,
    /// What to do next.
    pub next_step: String,
    /// Whether the same command may succeed later.
    pub retry: bool,
}

impl OperatorError {
    /// An error without a cause that may not be retried as it is.
    pub fn new(code: &'static str, what: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { code, what: what.into(), why: None, next_step: next_step.into(), retry: false }
    }

    /// The same with a cause.
    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// The same, but trying again may help.
    #[must_use]
    pub fn may_retry(mut self) -> Self {
        self.retry = true;
        self
    }
}

impl fmt::Display for OperatorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)?;
        if let Some(why) = &self.why {
            write!(formatter, ": {why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OperatorError {}

/// Result of the engine's operations.
pub type Result<T> = std::result::Result<T, OperatorError>;

impl From<Tier2Error> for OperatorError {
    fn from(error: Tier2Error) -> Self {
        let what = error.to_string();
        match error {
            Tier2Error::NotFound { .. } => OperatorError::new(
                "object-missing",
                what,
                "check that nothing else changes Tier-2, then run the command again",
            )
            .may_retry(),
            Tier2Error::Exists { .. } => OperatorError::new(
                "object-exists",
                what,
                "nothing was overwritten; move that object away or find out which recovery made it",
            ),
            Tier2Error::Key { .. } => {
                let next_step = "check that the root is right. If this is Pravega's (a scope on another disk, say), put the data itself in its place, or mount it there; \
                     if it is not, move it out of the root";
                OperatorError::new("object-key", what, next_step)
            }
            Tier2Error::Io { source, .. } => {
                let next_step = "make the path readable and writable for this user (disk full? permissions? mount?) and run the command again";
                let error = OperatorError::new("tier2-io", what, next_step);
                // Nothing but the operator changes these.
                let stays = matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
                if stays { error } else { error.may_retry() }
            }
        }
    }
}

impl From<Tier1Error> for OperatorError {
    fn from(error: Tier1Error) -> Self {
        let what = error.to_string();
        let (code, next_step, retry) = match &error {
            Tier1Error::NotFound { .. } => ("tier1-missing", "check the cluster name and the ledgers path", false),
            Tier1Error::Exists { .. } => (
                "tier1-exists",
                "it was not overwritten; make sure that this is the new, empty Tier-1, or remove the node yourself",
                false,
            ),
            Tier1Error::Version { .. } | Tier1Error::NotEmpty { .. } => {
                ("tier1-changed", "somebody else works on this cluster; stop them and run the command again", true)
            }
            Tier1Error::Unavailable { .. } => {
                ("tier1-unavailable", "start the server or correct its address, then run the command again", true)
            }
            Tier1Error::NotEnoughBookies { .. } => (
                "bookies-missing",
                "start more bookies, or correct bookkeeper.ensemble.size to what the segment stores will use",
                true,
            ),
            Tier1Error::Layout { .. } => (
                "ledgers-root",
                "set bookkeeper.ledger.path to the path of the bookies' metadataServiceUri, and start the bookies once",
                false,
            ),
            Tier1Error::Refused { .. } => {
                ("bookie-refused", "check bookkeeper.connect.security.auth.pwd and the bookie's log", true)
            }
            Tier1Error::Damaged { .. } => {
                ("tier1-damaged", "look at the node or ledger named; nothing was changed", false)
            }
            Tier1Error::Path { .. } => ("znode-path", "correct the path", false),
            Tier1Error::Io { .. } => {
                ("tier1-io", "make the directory writable (disk full? permissions?) and run the command again", true)
            }
        };
        let operator_error = OperatorError::new(code, what, next_step);
        if retry { operator_error.may_retry() } else { operator_error }
    }
}

impl From<OperatorError> for CallError {
    /// What a guest is told of an engine's failure: the class it can react to, and the sentence.
    fn from(error: OperatorError) -> Self {
        let sentence = error.to_string();
        match error.code {
            "object-missing" | "tier1-missing" => CallError::NotFound(sentence),
            "object-exists" | "tier1-exists" => CallError::AlreadyExists(sentence),
            "tier1-changed" => CallError::Conflict(sentence),
            "tier1-unavailable" | "bookies-missing" | "tier2-io" | "tier1-io" | "run-directory-io" => {
                CallError::Unavailable(sentence)
            }
            "object-key" | "znode-path" => CallError::Invalid(sentence),
            _ => CallError::Damaged(sentence),
        }
    }
}

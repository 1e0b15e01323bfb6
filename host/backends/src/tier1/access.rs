//! Where ledgers are registered, and what they are protected and checked with.

use dr_formats::ledger_entry::{DigestType, LedgerPassword};

/// Where a cluster's ledgers are registered, and what protects new ones. The password does not show in debug output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerAccess {
    /// Path of the ledgers root, Pravega's `bookkeeper.ledger.path`; when that is empty,
    /// `/<ZooKeeper namespace>/bookkeeper/ledgers`.
    pub root: String,
    /// Of new ledgers, Pravega's `bookkeeper.digest.type.name`; existing ones say it in their metadata.
    pub digest_type: DigestType,
    /// Of new ledgers, Pravega's `bookkeeper.connect.security.auth.pwd`; also for digests that are made with it.
    pub password: LedgerPassword,
}

impl LedgerAccess {
    /// Pravega's defaults: CRC-32C and the empty password.
    #[must_use]
    pub fn new(root: impl Into<String>) -> Self {
        Self { root: root.into(), digest_type: DigestType::Crc32c, password: LedgerPassword::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_shown() {
        let mut access = LedgerAccess::new("/ledgers");
        access.password = LedgerPassword::new("secret");
        assert!(!format!("{access:?}").contains("secret"));
    }
}

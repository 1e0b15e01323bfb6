//! Where the metadata of a ledger are below the ledgers root, and the `LAYOUT` node that says so.

use crate::error::DecodeError;

/// Name of the node below the ledgers root that says how ledgers are stored.
pub const LEDGERS_LAYOUT_NODE: &str = "LAYOUT";
/// First line of the node's text: the version of the text itself.
const LAYOUT_FORMAT: &str = "2";
/// Version of every manager so far.
const MANAGER_VERSION: &str = "1";
const FACTORY_PACKAGE: &str = "org.apache.bookkeeper.meta.";
/// Ids from here on take the long form in the default manager.
const FIRST_LONG_ID: i64 = i32::MAX as i64;
/// Digits of the levels of the two hierarchical forms.
const SHORT_LEVELS: [usize; 3] = [2, 4, 4];
const LONG_LEVELS: [usize; 5] = [3, 4, 4, 4, 4];

/// How ledger ids become paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerManager {
    /// The default: three levels for ids below 2^31 - 1, five levels for others.
    Hierarchical,
    /// Three levels.
    LegacyHierarchical,
    /// Five levels.
    LongHierarchical,
    /// One level.
    Flat,
}

impl LedgerManager {
    const ALL: [Self; 4] = [Self::Hierarchical, Self::LegacyHierarchical, Self::LongHierarchical, Self::Flat];

    const fn factory(self) -> &'static str {
        match self {
            Self::Hierarchical => "HierarchicalLedgerManagerFactory",
            Self::LegacyHierarchical => "LegacyHierarchicalLedgerManagerFactory",
            Self::LongHierarchical => "LongHierarchicalLedgerManagerFactory",
            Self::Flat => "FlatLedgerManagerFactory",
        }
    }

    /// The text of the `LAYOUT` node, without a newline at the end.
    #[must_use]
    pub fn layout_text(self) -> String {
        format!("{LAYOUT_FORMAT}\n{FACTORY_PACKAGE}{}:{MANAGER_VERSION}", self.factory())
    }

    /// Reads the text of the `LAYOUT` node.
    ///
    /// # Errors
    /// If it is not that of a known manager.
    pub fn from_layout_text(text: &[u8]) -> Result<Self, DecodeError> {
        let known = Self::ALL.into_iter().find(|manager| manager.layout_text().as_bytes() == text.trim_ascii_end());
        known.ok_or_else(|| {
            let found = String::from_utf8_lossy(text.get(..text.len().min(200)).unwrap_or_default());
            DecodeError::new("ledgers layout", 0, format!("the layout of a known ledger manager, found {found:?}"))
        })
    }

    /// Path of a ledger's metadata below the ledgers root, without a slash at the start; none for negative ids, and
    /// for ids that the manager cannot hold.
    #[must_use]
    pub fn ledger_path(self, ledger_id: i64) -> Option<String> {
        if ledger_id < 0 {
            return None;
        }
        match self {
            Self::Hierarchical if ledger_id < FIRST_LONG_ID => levels_path(ledger_id, &SHORT_LEVELS),
            Self::Hierarchical | Self::LongHierarchical => levels_path(ledger_id, &LONG_LEVELS),
            Self::LegacyHierarchical => levels_path(ledger_id, &SHORT_LEVELS),
            Self::Flat => Some(format!("L{ledger_id:010}")),
        }
    }

    /// The ledger whose metadata are at `path`, which is relative to the ledgers root; none if none could be.
    #[must_use]
    pub fn ledger_id(self, path: &str) -> Option<i64> {
        let (parents, leaf) = path.rsplit_once('/').unwrap_or(("", path));
        let digits = format!("{}{}", parents.replace('/', ""), leaf.strip_prefix('L')?);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let ledger_id = digits.parse().ok()?;
        // Only the one right spelling counts.
        self.ledger_path(ledger_id).filter(|right| right == path).map(|_| ledger_id)
    }
}

/// The decimal digits of an id cut into levels, the last with the prefix `L`; none if there are too many digits.
fn levels_path(ledger_id: i64, levels: &[usize]) -> Option<String> {
    let width = levels.iter().sum();
    let digits = format!("{ledger_id:0width$}");
    if digits.len() > width {
        return None;
    }
    let mut path = String::with_capacity(width + levels.len() + 1);
    let mut rest = digits.as_str();
    for (level, length) in levels.iter().enumerate() {
        let (part, after) = rest.split_at_checked(*length)?;
        rest = after;
        if level > 0 {
            path.push('/');
        }
        if rest.is_empty() {
            path.push('L');
        }
        path.push_str(part);
    }
    Some(path)
}

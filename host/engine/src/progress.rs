//! How the engine tells whoever watches how far it is. The engine never prints.

/// What a stage counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Objects of Tier-2.
    Objects,
    /// Containers.
    Containers,
    /// Bytes.
    Bytes,
    /// Segments.
    Segments,
    /// ZNodes.
    ZNodes,
    /// Ledgers.
    Ledgers,
    /// Bookies.
    Bookies,
}

/// Receives progress. Calls come from several threads.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` is none where the end is not known.
    fn stage_started(&self, stage: &str, total: Option<u64>, unit: Unit);
    /// So much more of the running stage is done.
    fn advanced(&self, amount: u64);
    /// The stage ended well.
    fn stage_finished(&self, stage: &str);
    /// A sentence for the operator.
    fn message(&self, sentence: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage_started(&self, _stage: &str, _total: Option<u64>, _unit: Unit) {}
    fn advanced(&self, _amount: u64) {}
    fn stage_finished(&self, _stage: &str) {}
    fn message(&self, _sentence: &str) {}
}

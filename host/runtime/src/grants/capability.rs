//! What a procedure can need, and an operator can grant: the functions of the contract.

use crate::names::unknown;

/// A function of the contract that answers a procedure, or stages something for it.
///
/// What a function returns is covered by its capability: whoever may list segments may read the listing, whoever may
/// open a fresh container may fill and close it. The interface `report` needs no capability: a procedure may always
/// speak to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// `storage.containers`.
    ListContainers,
    /// `storage.list-segments`.
    ListSegments,
    /// `storage.measure`.
    Measure,
    /// `storage.list-metadata-objects`.
    ListMetadataObjects,
    /// `storage.list-leftover-objects`.
    ListLeftoverObjects,
    /// `storage.move-aside`.
    MoveAside,
    /// `containers.open-fresh-container`.
    OpenFreshContainer,
    /// `containers.open-old-metadata`.
    OpenOldMetadata,
    /// `controller.list-streams`.
    ListStreams,
    /// `controller.highest-transaction-counter`.
    HighestTransactionCounter,
    /// `controller.list-pending-work`.
    ListPendingWork,
    /// `coordination.get`.
    GetZnode,
    /// `coordination.children`.
    ListZnodes,
    /// `coordination.create`.
    CreateZnode,
    /// `coordination.set`.
    SetZnode,
    /// `coordination.delete`.
    DeleteZnode,
    /// `bookies.list-bookies`.
    ListBookies,
    /// `bookies.register-bookies`.
    RegisterBookies,
    /// `ledgers.list-ledgers`.
    ListLedgers,
    /// `ledgers.keep-ledgers`.
    KeepLedgers,
    /// `logs.list-logs`.
    ListLogs,
    /// `logs.restore-log`.
    RestoreLog,
}

impl Capability {
    /// All, in the order of the contract.
    pub const ALL: [Self; 22] = [
        Self::ListContainers,
        Self::ListSegments,
        Self::Measure,
        Self::ListMetadataObjects,
        Self::ListLeftoverObjects,
        Self::MoveAside,
        Self::OpenFreshContainer,
        Self::OpenOldMetadata,
        Self::ListStreams,
        Self::HighestTransactionCounter,
        Self::ListPendingWork,
        Self::GetZnode,
        Self::ListZnodes,
        Self::CreateZnode,
        Self::SetZnode,
        Self::DeleteZnode,
        Self::ListBookies,
        Self::RegisterBookies,
        Self::ListLedgers,
        Self::KeepLedgers,
        Self::ListLogs,
        Self::RestoreLog,
    ];

    /// Its name: interface and function of the contract, joined by a dot.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ListContainers => "storage.containers",
            Self::ListSegments => "storage.list-segments",
            Self::Measure => "storage.measure",
            Self::ListMetadataObjects => "storage.list-metadata-objects",
            Self::ListLeftoverObjects => "storage.list-leftover-objects",
            Self::MoveAside => "storage.move-aside",
            Self::OpenFreshContainer => "containers.open-fresh-container",
            Self::OpenOldMetadata => "containers.open-old-metadata",
            Self::ListStreams => "controller.list-streams",
            Self::HighestTransactionCounter => "controller.highest-transaction-counter",
            Self::ListPendingWork => "controller.list-pending-work",
            Self::GetZnode => "coordination.get",
            Self::ListZnodes => "coordination.children",
            Self::CreateZnode => "coordination.create",
            Self::SetZnode => "coordination.set",
            Self::DeleteZnode => "coordination.delete",
            Self::ListBookies => "bookies.list-bookies",
            Self::RegisterBookies => "bookies.register-bookies",
            Self::ListLedgers => "ledgers.list-ledgers",
            Self::KeepLedgers => "ledgers.keep-ledgers",
            Self::ListLogs => "logs.list-logs",
            Self::RestoreLog => "logs.restore-log",
        }
    }

    /// Whether it stages changes. The others only read.
    #[must_use]
    pub fn stages(self) -> bool {
        matches!(
            self,
            Self::MoveAside
                | Self::OpenFreshContainer
                | Self::CreateZnode
                | Self::SetZnode
                | Self::DeleteZnode
                | Self::RegisterBookies
                | Self::KeepLedgers
                | Self::RestoreLog
        )
    }

    /// The capability of this name; else a clause that says what is wrong, names the nearest one, and lists those that exist.
    ///
    /// # Errors
    /// A name that is no capability.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|capability| capability.name() == name);
        found.ok_or_else(|| unknown("capability", name, &Self::ALL.map(Self::name)))
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

//! A ZNode that stands in the place of a log's between the two steps of a recovery: bookies have to run then, and a store that was started with
//! them would find no log, and begin an empty one. It names no ledger and is disabled, and a store does not start a container with a disabled log
//! (`BookKeeperLog.initialize`: `DataLogDisabledException`).

use dr_formats::log_metadata::{LedgerAddress, LogMetadata};

use crate::contract::{CallError, CallResult};

/// The content of the ZNode.
///
/// # Errors
/// Never in practice: it always has its form.
pub(crate) fn barrier() -> CallResult<Vec<u8>> {
    let barrier = LogMetadata { enabled: false, epoch: 1, truncation: LedgerAddress::START, ledgers: Vec::new() };
    barrier.encode().map_err(|error| CallError::Damaged(error.to_string()))
}

/// True for the content of such a ZNode. A log that a store or a person disabled names ledgers.
pub fn is_barrier(data: &[u8]) -> bool {
    LogMetadata::decode(data).is_ok_and(|log| stands_for_log(&log))
}

/// True if it stands in the place of a log.
pub(super) fn stands_for_log(log: &LogMetadata) -> bool {
    !log.enabled && log.ledgers.is_empty()
}

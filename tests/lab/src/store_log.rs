//! What the segment store tells of itself in its log.

use std::fs;

use crate::error::{Context, Result};
use crate::lab::{Lab, Server};

/// Said by a container that ends itself, or by its writer when what it finds in Tier-2 cannot be; a healthy store says none of it.
/// Other lines of level ERROR are common in healthy clusters, so they are no sign.
const FAILURES: [&str; 6] = [
    "Critical failure",
    "DataCorruptionException",
    "ReconciliationFailureException",
    "IllegalContainerStateException: Container failed",
    "Invalid container state",
    "has failed to start",
];

impl Lab {
    /// Lines by which the segment store says that a container stopped, or cannot move its data to Tier-2.
    ///
    /// # Errors
    /// [`LabError::Io`](crate::LabError::Io) if the log cannot be read.
    pub fn store_failures(&self) -> Result<Vec<String>> {
        let path = self.log_file(Server::SegmentStore);
        let log = fs::read(&path).context("read the store's log", &path)?;
        Ok(failures_in(&String::from_utf8_lossy(&log)))
    }
}

fn failures_in(log: &str) -> Vec<String> {
    log.lines().filter(|line| FAILURES.iter().any(|failure| line.contains(failure))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_ends_itself_is_seen_and_common_noise_is_not() {
        let log = "12:00:00.000 ERROR [storage-io] i.p.s.s.w.StorageWriter - StorageWriter[1]: Iteration[5].Error\n\
                   io.pravega.segmentstore.contracts.StreamSegmentNotExistsException: alpha\n\
                   12:00:00.001 ERROR [core-1] i.p.s.s.c.StreamSegmentContainer - Critical failure for SegmentContainer\n";
        assert_eq!(failures_in(log).len(), 1);
    }
}

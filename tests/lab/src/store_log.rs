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

/// Lines that are shown of a failure: the exception stands in the one behind.
const LINES: usize = 4;

impl Lab {
    /// What the segment store says where a container stopped, or cannot move its data to Tier-2: the line, and what follows it.
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
    let lines: Vec<&str> = log.lines().collect();
    let is_failure = |line: &str| FAILURES.iter().any(|failure| line.contains(failure));
    let failed = (0..lines.len()).filter(|at| is_failure(lines[*at]));
    failed.map(|at| lines[at..lines.len().min(at + LINES)].join("\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_ends_itself_is_seen_and_common_noise_is_not() {
        let log = "12:00:00.000 ERROR [storage-io] i.p.s.s.w.StorageWriter - StorageWriter[1]: Iteration[5].Error\n\
                   io.pravega.segmentstore.contracts.StreamSegmentNotExistsException: alpha\n\
                   12:00:00.001 ERROR [core-1] i.p.s.s.c.StreamSegmentContainer - Critical failure for SegmentContainer\n";
        let failures = failures_in(&format!("{log}java.lang.IllegalStateException: why\n"));
        assert_eq!(failures.len(), 1);
        assert!(failures[0].ends_with("SegmentContainer\njava.lang.IllegalStateException: why"), "{failures:?}");
    }
}

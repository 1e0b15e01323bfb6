//! The cluster to be recovered: where its ZNodes lie and what its ledgers look like.

use dr_backends::tier1::{LedgerLayout, Ledgers, ZNodes};
use dr_formats::log_metadata::log_metadata_path;

use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::ledgers::is_barrier;

/// What configuration says of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterLayout {
    /// `pravegaservice.clusterName`: the only name of the property that segment stores read, whatever sample files say.
    pub cluster_name: String,
    /// `bookkeeper.zk.metadata.path`, relative to the cluster's root, such as `/segmentstore/containers`.
    pub log_metadata_path: String,
    /// `bookkeeper.zk.metadata.hierarchy.depth`.
    pub hierarchy_depth: usize,
    /// Bookies that hold a ledger, `bookkeeper.ensemble.size`.
    pub ensemble_size: usize,
    /// Copies of an entry, `bookkeeper.write.quorum.size`.
    pub write_quorum: usize,
    /// Copies to be confirmed, `bookkeeper.ack.quorum.size`.
    pub ack_quorum: usize,
    /// `controller.retention.bucket.count`.
    pub retention_bucket_count: u32,
}

impl ClusterLayout {
    /// A cluster with Pravega's defaults (classes `BookKeeperConfig` and `ControllerService` configuration).
    pub fn with_defaults(cluster_name: &str) -> Self {
        Self {
            cluster_name: cluster_name.to_owned(),
            log_metadata_path: "/segmentstore/containers".to_owned(),
            hierarchy_depth: 2,
            ensemble_size: 3,
            write_quorum: 3,
            ack_quorum: 3,
            retention_bucket_count: 1,
        }
    }

    /// The cluster's root ZNode, `/pravega/<cluster>` (class `ServiceStarter`).
    pub fn root(&self) -> String {
        format!("/pravega/{}", self.cluster_name)
    }

    /// The absolute path of a ZNode that is named relative to the root.
    pub fn absolute(&self, path: &str) -> String {
        format!("{}/{path}", self.root())
    }

    /// The ZNode of a container's log.
    pub fn log_znode(&self, container: ContainerId) -> String {
        let below = log_metadata_path(container, self.hierarchy_depth);
        format!("{}{}{below}", self.root(), self.log_metadata_path.trim_end_matches('/'))
    }

    /// What the ledger of a container's new log looks like; the custom metadata are Pravega's own (class `Ledgers`).
    pub fn ledger_layout(&self, container: ContainerId) -> LedgerLayout {
        LedgerLayout {
            ensemble_size: self.ensemble_size,
            write_quorum: self.write_quorum,
            ack_quorum: self.ack_quorum,
            custom_metadata: vec![
                ("application".to_owned(), b"Pravega".to_vec()),
                ("BookKeeperLogId".to_owned(), container.to_string().into_bytes()),
            ],
        }
    }
}

/// The Tier-1 that a recovery writes to.
#[derive(Debug, Clone, Copy)]
pub struct Tier1<'a> {
    /// ZooKeeper, or its double.
    pub znodes: &'a dyn ZNodes,
    /// BookKeeper, or its double.
    pub ledgers: &'a dyn Ledgers,
}

/// Role of a controller.
const CONTROLLER: &str = "controller";

/// A server of the cluster that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveServer {
    /// `segment store` or `controller`.
    pub role: &'static str,
    /// Name of its ephemeral ZNode.
    pub name: String,
}

/// The servers that have to be stopped while a plan is made and carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// All: logs are written, which only one may do.
    All,
    /// Controllers: only their ZNodes are written, which they would go on changing, and some of which they read only when
    /// they start.
    Controllers,
    /// None: nothing is written.
    None,
}

/// Segment stores and controllers that are registered now.
///
/// # Errors
/// If ZooKeeper does not answer.
pub fn live_servers(znodes: &dyn ZNodes, layout: &ClusterLayout) -> Result<Vec<LiveServer>> {
    let mut live = Vec::new();
    for (role, path) in [("segment store", "cluster/hosts"), (CONTROLLER, "cluster/controllers")] {
        let parent = layout.absolute(path);
        for name in znodes.children(&parent)?.unwrap_or_default() {
            if znodes.get(&format!("{parent}/{name}"))?.is_some_and(|node| node.ephemeral) {
                live.push(LiveServer { role, name });
            }
        }
    }
    Ok(live)
}

/// Refuses a cluster with running servers that have to be stopped.
///
/// # Errors
/// `live-cluster` that names the servers; Tier-1 errors.
pub fn refuse_live_cluster(znodes: &dyn ZNodes, layout: &ClusterLayout, stopped: Stopped) -> Result<()> {
    let (servers, risk) = match stopped {
        Stopped::All => ("segment stores and controllers", "every byte that they write meanwhile"),
        Stopped::Controllers => ("controllers", "that they undo or never see what is written"),
        Stopped::None => return Ok(()),
    };
    let mut live = live_servers(znodes, layout)?;
    live.retain(|server| stopped == Stopped::All || server.role == CONTROLLER);
    let Some(first) = live.first() else { return Ok(()) };
    Err(OperatorError::new(
        "live-cluster",
        format!("the cluster `{}` is running: {} `{}` is registered in ZooKeeper", layout.cluster_name, first.role, first.name),
        format!(
            "stop all {servers}, wait for their ZooKeeper sessions to end (about 20 s after a kill), and run the command again; \
             --accept-live-cluster overrides this and risks {risk}"
        ),
    )
    .because(format!("{} servers are registered", live.len()))
    .may_retry())
}

/// Refuses a Tier-1 that has a log for any of these containers.
///
/// # Errors
/// `log-exists` that names the ZNode; Tier-1 errors.
pub fn refuse_existing_logs(znodes: &dyn ZNodes, layout: &ClusterLayout, containers: &[ContainerId]) -> Result<()> {
    for &container in containers {
        let path = layout.log_znode(container);
        if let Some(node) = znodes.get(&path)? {
            if is_barrier(&node.data) {
                return Err(OperatorError::new(
                    "log-exists",
                    format!(
                        "{}: `{path}` keeps stores away, since the first of two steps of a recovery was carried out",
                        znodes.location()
                    ),
                    "go on with the second step: start the bookies and run `dr plan` without --procedure total-loss; or take the first one back with \
                     `dr rollback` and its run directory",
                ));
            }
            return Err(OperatorError::new(
                "log-exists",
                format!("{}: container {container} has a durable log already, at `{path}`", znodes.location()),
                "a log that can be replayed is never overwritten. If Tier-1 was not lost, or an earlier recovery wrote it, just start the servers (`dr diagnose` tells); if \
                 bookies are lost, give the disks of the others with --bookie-disks and name those with --lost-bookies; only if stores were started by mistake on a \
                 Tier-1 that had been lost completely, stop them and give ZooKeeper and the bookies empty directories again",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(depth: usize) -> ClusterLayout {
        ClusterLayout { hierarchy_depth: depth, ..ClusterLayout::with_defaults("lab") }
    }

    #[test]
    fn log_znodes_follow_the_reversed_digits() {
        let root = "/pravega/lab/segmentstore/containers";
        for (container, depth, tail) in [
            (0, 2, "/0/0/0"),
            (7, 2, "/7/0/7"),
            (12, 2, "/2/1/12"),
            (137, 2, "/7/3/137"),
            (12, 3, "/2/1/0/12"),
            (12, 0, "/12"),
        ] {
            assert_eq!(layout(depth).log_znode(container), format!("{root}{tail}"));
        }
    }
}

//! The properties of Pravega that a recovery reads, with the names that its servers know them by.
//!
//! Names and defaults are those of the classes `ServiceConfig`, `BookKeeperConfig`, `FileSystemStorageConfig` and
//! `Config` (controller) of 0.10 to 0.13.

/// One property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Property {
    /// Name since 0.8.
    pub(crate) name: &'static str,
    /// Name before; takes precedence if both are set, as in the servers.
    pub(crate) legacy_name: Option<&'static str>,
    /// The flag that overrides it, if there is one.
    pub(crate) flag: Option<&'static str>,
    /// A possible value.
    pub(crate) example: &'static str,
    /// Is its value a password?
    pub(crate) secret: bool,
}

impl Property {
    const fn new(
        name: &'static str,
        legacy_name: Option<&'static str>,
        flag: Option<&'static str>,
        example: &'static str,
    ) -> Self {
        Self { name, legacy_name, flag, example, secret: false }
    }

    /// The environment variable that overrides it: `DR_` and the name, upper case, `.` as `_`.
    pub(crate) fn environment_variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// Begins the name of every environment variable that overrides a property.
pub(crate) const ENVIRONMENT_PREFIX: &str = "DR_";

/// The cluster's name as segment stores read it. The admin CLI expects it with a leading `pravega/`.
pub(crate) const CLUSTER_NAME: Property =
    Property::new("pravegaservice.clusterName", None, Some("--cluster"), "pravega-cluster");
/// The cluster's name as the sample configuration of Pravega writes it; no server up to 0.13.0 reads it.
pub(crate) const CLUSTER_NAME_UNREAD: Property =
    Property::new("pravegaservice.cluster.name", None, Some("--cluster"), "pravega-cluster");
/// The cluster's name as controllers read it.
pub(crate) const CONTROLLER_CLUSTER_NAME: Property =
    Property::new("controller.cluster.name", Some("controller.service.cluster"), Some("--cluster"), "pravega-cluster");
/// Number of segment containers.
pub(crate) const CONTAINER_COUNT: Property = Property::new(
    "pravegaservice.container.count",
    Some("pravegaservice.containerCount"),
    Some("--container-count"),
    "4",
);
/// The same, as controllers read it.
pub(crate) const CONTROLLER_CONTAINER_COUNT: Property =
    Property::new("controller.container.count", Some("controller.containerCount"), Some("--container-count"), "4");
/// ZooKeeper of the segment stores.
pub(crate) const ZOOKEEPER: Property = Property::new(
    "pravegaservice.zk.connect.uri",
    Some("pravegaservice.zkURL"),
    Some("--zookeeper"),
    "zookeeper-1:2181,zookeeper-2:2181",
);
/// ZooKeeper of the controllers.
pub(crate) const CONTROLLER_ZOOKEEPER: Property = Property::new(
    "controller.zk.connect.uri",
    Some("controller.zkURL"),
    Some("--zookeeper"),
    "zookeeper-1:2181,zookeeper-2:2181",
);
/// ZooKeeper of the bookies, usually the same.
pub(crate) const BOOKKEEPER_ZOOKEEPER: Property = Property::new(
    "bookkeeper.zk.connect.uri",
    Some("bookkeeper.zkAddress"),
    Some("--bookkeeper-zookeeper"),
    "zookeeper-1:2181,zookeeper-2:2181",
);
/// TLS to ZooKeeper.
pub(crate) const ZOOKEEPER_TLS: Property =
    Property::new("pravegaservice.zk.connect.security.enable", Some("pravegaservice.secureZK"), None, "false");
/// TLS to bookies.
pub(crate) const BOOKKEEPER_TLS: Property =
    Property::new("bookkeeper.connect.security.tls.enable", Some("bookkeeper.tlsEnabled"), None, "false");
/// Root of the ledgers' metadata.
pub(crate) const LEDGERS_PATH: Property = Property::new(
    "bookkeeper.ledger.path",
    Some("bookkeeper.bkLedgerPath"),
    Some("--ledgers-path"),
    "/pravega/pravega-cluster/bookkeeper/ledgers",
);
/// Root of the log ZNodes within the cluster.
pub(crate) const LOG_METADATA_PATH: Property =
    Property::new("bookkeeper.zk.metadata.path", Some("bookkeeper.zkMetadataPath"), None, "/segmentstore/containers");
/// Levels between that root and a log ZNode.
pub(crate) const HIERARCHY_DEPTH: Property =
    Property::new("bookkeeper.zk.metadata.hierarchy.depth", Some("bookkeeper.zkHierarchyDepth"), None, "2");
/// Bookies of a ledger.
pub(crate) const ENSEMBLE_SIZE: Property =
    Property::new("bookkeeper.ensemble.size", Some("bookkeeper.bkEnsembleSize"), None, "3");
/// Copies of an entry.
pub(crate) const WRITE_QUORUM: Property =
    Property::new("bookkeeper.write.quorum.size", Some("bookkeeper.bkWriteQuorumSize"), None, "3");
/// Copies that must be confirmed.
pub(crate) const ACK_QUORUM: Property =
    Property::new("bookkeeper.ack.quorum.size", Some("bookkeeper.bkAckQuorumSize"), None, "3");
/// Checksum of entries.
pub(crate) const DIGEST: Property =
    Property::new("bookkeeper.digest.type.name", Some("bookkeeper.digestType"), None, "CRC32C");
/// Password of ledgers.
pub(crate) const PASSWORD: Property = Property {
    secret: true,
    ..Property::new("bookkeeper.connect.security.auth.pwd", Some("bookkeeper.bkPass"), None, "...")
};
/// Buckets over which the controllers divide retention.
pub(crate) const RETENTION_BUCKET_COUNT: Property =
    Property::new("controller.retention.bucket.count", Some("controller.retention.bucketCount"), None, "1");
/// Binding of Tier-2.
pub(crate) const STORAGE: Property =
    Property::new("pravegaservice.storage.impl.name", Some("pravegaservice.storageImplementation"), None, "FILESYSTEM");
/// How segments lie in Tier-2.
pub(crate) const STORAGE_LAYOUT: Property =
    Property::new("pravegaservice.storage.layout", None, None, "CHUNKED_STORAGE");
/// Kind of Tier-1.
pub(crate) const DATA_LOG: Property =
    Property::new("pravegaservice.dataLog.impl.name", Some("pravegaservice.dataLogImplementation"), None, "BOOKKEEPER");
/// Directory of the FILESYSTEM binding.
pub(crate) const FILE_SYSTEM_ROOT: Property = Property::new("filesystem.root", None, None, "/mnt/tier2");

/// All of them.
pub(crate) const ALL: [&Property; 23] = [
    &CLUSTER_NAME,
    &CLUSTER_NAME_UNREAD,
    &CONTROLLER_CLUSTER_NAME,
    &CONTAINER_COUNT,
    &CONTROLLER_CONTAINER_COUNT,
    &ZOOKEEPER,
    &CONTROLLER_ZOOKEEPER,
    &BOOKKEEPER_ZOOKEEPER,
    &ZOOKEEPER_TLS,
    &BOOKKEEPER_TLS,
    &LEDGERS_PATH,
    &LOG_METADATA_PATH,
    &HIERARCHY_DEPTH,
    &ENSEMBLE_SIZE,
    &WRITE_QUORUM,
    &ACK_QUORUM,
    &DIGEST,
    &PASSWORD,
    &RETENTION_BUCKET_COUNT,
    &STORAGE,
    &STORAGE_LAYOUT,
    &DATA_LOG,
    &FILE_SYSTEM_ROOT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_variables_are_distinct_and_upper_case() {
        let mut names: Vec<_> = ALL.iter().map(|property| property.environment_variable()).collect();
        assert!(names.contains(&"DR_PRAVEGASERVICE_CONTAINER_COUNT".to_owned()));
        assert!(names.contains(&"DR_BOOKKEEPER_CONNECT_SECURITY_AUTH_PWD".to_owned()));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn a_legacy_name_stays_in_its_namespace() {
        for property in ALL {
            let namespace = property.name.split('.').next().unwrap();
            if let Some(legacy_name) = property.legacy_name {
                assert!(legacy_name.starts_with(&format!("{namespace}.")), "{legacy_name}");
            }
        }
    }
}

//! What a lab looks like.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Whether the servers end together with the process that started them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// Every server watches the starting process and halts when it is gone, also after SIGKILL; dropping the [`crate::Lab`]
    /// kills them. For tests.
    #[default]
    Tied,
    /// The servers stay until they are killed by a later call, possibly from another process. For `cargo xtask lab up`.
    LeftRunning,
}

/// How much the workload writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadSize {
    /// Every feature once, about 2 MB: for captures.
    #[default]
    Small,
    /// Every feature, about 20 MB: for tests.
    Medium,
    /// Every feature, about 100 MB.
    Large,
}

impl WorkloadSize {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// Shape and place of a lab. `LabOptions::new(directory)` gives four containers on three bookies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabOptions {
    /// Everything that this lab writes lies below it; each lab has its own.
    pub work_directory: PathBuf,
    /// Class path and compiled programs; shared by labs of the same Pravega version.
    pub build_directory: PathBuf,
    /// `pravegaservice.cluster.name`, part of the ZooKeeper paths.
    pub cluster_name: String,
    /// Version of the Pravega artifacts.
    pub pravega_version: String,
    /// Number of segment containers.
    pub container_count: u32,
    /// Number of bookies.
    pub bookie_count: u32,
    /// Bookies that a ledger is spread over.
    pub ensemble_size: u32,
    /// Copies of each entry.
    pub write_quorum: u32,
    /// Copies that must be acknowledged.
    pub ack_quorum: u32,
    /// `writer.flush.threshold.milliseconds`: how long data may stay in Tier-1 only.
    pub writer_flush_milliseconds: u64,
    /// `pravegaservice.cache.size.max`, bytes of direct memory.
    pub cache_bytes: u64,
    /// `controller.retention.frequency.minutes`.
    pub retention_minutes: u32,
    /// Further lines for the segment store's properties; they win over the lab's own.
    pub store_properties: Vec<(String, String)>,
    /// Further lines for the controller's properties; they win over the lab's own.
    pub controller_properties: Vec<(String, String)>,
    /// Further lines for the configuration of every bookie; they win over the lab's own.
    #[serde(default)]
    pub bookie_settings: Vec<(String, String)>,
    /// Whether the servers end with this process.
    pub lifetime: Lifetime,
}

impl LabOptions {
    /// Defaults for a lab in `work_directory`.
    pub fn new(work_directory: impl Into<PathBuf>) -> Self {
        Self { work_directory: work_directory.into(), ..Self::default() }
    }
}

impl Default for LabOptions {
    fn default() -> Self {
        let pravega_version = "0.13.0".to_owned();
        Self {
            work_directory: target_directory().join("lab/default"),
            build_directory: build_directory(&pravega_version),
            cluster_name: "lab".to_owned(),
            pravega_version,
            container_count: 4,
            bookie_count: 3,
            ensemble_size: 3,
            write_quorum: 3,
            ack_quorum: 3,
            writer_flush_milliseconds: 2000,
            cache_bytes: 64 << 20,
            retention_minutes: 1,
            store_properties: Vec::new(),
            controller_properties: Vec::new(),
            bookie_settings: Vec::new(),
            lifetime: Lifetime::Tied,
        }
    }
}

/// Where the class path of one Pravega version is kept.
pub(crate) fn build_directory(pravega_version: &str) -> PathBuf {
    target_directory().join("lab").join(format!("maven-{pravega_version}"))
}

/// `target` of the repository.
pub(crate) fn target_directory() -> PathBuf {
    repository_root().join("target")
}

/// Root of the repository this crate was compiled in.
pub(crate) fn repository_root() -> PathBuf {
    let crate_directory = source_directory();
    crate_directory.ancestors().nth(2).unwrap_or(crate_directory).to_path_buf()
}

/// `tests/lab`, where the POM and the Java sources are.
pub(crate) fn source_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

//! What the cluster looks like, as far as it was told: from what was typed to what it means.
//!
//! [`settings`] collects texts from properties files, the environment and flags; this module checks them and gives
//! them a meaning. The commands see only [`Configuration`]. What nobody told is found by [`detection`] later, or asked
//! for by name.

pub(crate) mod detection;
pub(crate) mod known;
mod properties_file;
mod settings;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dr_backends::tier1::{DigestType, LedgerAccess, LedgerPassword};
use dr_engine::cluster::ClusterLayout;
use dr_engine::error::{OperatorError, Result};
use dr_engine::listing::CONTAINERS_MAX;
use serde::{Deserialize, Serialize};

use known::Property;
use settings::{Settings, Value, shown_text};
pub(crate) use values::{ConnectString, Tier1Location};

/// Most levels of log ZNodes; the digits of the largest container number.
const HIERARCHY_DEPTH_MAX: usize = 10;

/// Largest ensemble. BookKeeper has no limit, but a number beyond this is an error of typing.
const ENSEMBLE_SIZE_MAX: usize = 1000;

/// Largest number of retention buckets.
const RETENTION_BUCKET_COUNT_MAX: u32 = 100_000;

/// What flags say, where a property says it, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Overrides {
    /// `--cluster`.
    pub(crate) cluster_name: Option<String>,
    /// `--container-count`.
    pub(crate) container_count: Option<u32>,
    /// `--tier1 dir:PATH`.
    pub(crate) tier1_directory: Option<PathBuf>,
    /// `--zookeeper`.
    pub(crate) zookeeper: Option<String>,
    /// `--bookkeeper-zookeeper`.
    pub(crate) bookkeeper_zookeeper: Option<String>,
    /// `--ledgers-path`.
    pub(crate) ledgers_path: Option<String>,
}

/// What is known of the cluster, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// None: to be detected.
    pub(crate) cluster_name: Option<String>,
    /// None: to be detected from the data.
    pub(crate) container_count: Option<u32>,
    /// None: nobody said; only listing segments can do without.
    tier1: Option<Tier1Location>,
    /// None: Pravega's default, which depends on the cluster's name.
    ledgers_path: Option<String>,
    /// Where log ZNodes are, below the cluster's root.
    log_metadata_path: String,
    /// Levels of log ZNodes.
    hierarchy_depth: usize,
    /// Bookies of a ledger.
    ensemble_size: usize,
    /// Copies of an entry.
    write_quorum: usize,
    /// Copies that must be confirmed.
    ack_quorum: usize,
    /// Protection of entries.
    digest_type: DigestType,
    /// Password of ledgers.
    password: LedgerPassword,
    /// Buckets of retention.
    retention_bucket_count: u32,
    /// Oddities that do not stop a recovery.
    pub(crate) warnings: Vec<String>,
}

impl Configuration {
    /// Reads files, environment and flags for a recovery of the Tier-2 at `root`.
    ///
    /// # Errors
    /// Codes beginning with `configuration-`; each names the property, where its value stands, and what is possible.
    pub(crate) fn load(
        files: &[PathBuf],
        environment: BTreeMap<String, String>,
        overrides: &Overrides,
        root: &Path,
    ) -> Result<Self> {
        let mut settings = Settings::new(environment);
        for file in files {
            settings.add_file(file)?;
        }
        refuse_other_cluster(&settings, overrides)?;
        apply_overrides(&mut settings, overrides);
        Reader { settings: &settings, warnings: settings.warnings() }.read(overrides, root)
    }

    /// Where Tier-1 is.
    ///
    /// # Errors
    /// `configuration-missing`, naming property and flags.
    pub(crate) fn tier1(&self) -> Result<&Tier1Location> {
        self.tier1.as_ref().ok_or_else(|| {
            OperatorError::new(
                "configuration-missing",
                "the address of ZooKeeper is not known",
                format!(
                    "give --zookeeper {example}, or --config with a file that sets {name}={example}; or --tier1 dir:PATH to recover into \
                     a directory, without servers",
                    example = known::ZOOKEEPER.example,
                    name = known::ZOOKEEPER.name
                ),
            )
        })
    }

    /// Where ledgers are registered, and what protects them. The default of the path is that of class
    /// `BookKeeperLogFactory`.
    pub(crate) fn ledger_access(&self, cluster_name: &str) -> LedgerAccess {
        let root = self.ledgers_path.clone().unwrap_or_else(|| format!("/pravega/{cluster_name}/bookkeeper/ledgers"));
        LedgerAccess { root, digest_type: self.digest_type, password: self.password.clone() }
    }

    /// Password of the ledgers.
    pub(crate) const fn password(&self) -> &LedgerPassword {
        &self.password
    }

    /// What the engine needs to know.
    pub(crate) fn layout(&self, cluster_name: &str) -> ClusterLayout {
        ClusterLayout {
            cluster_name: cluster_name.to_owned(),
            log_metadata_path: self.log_metadata_path.clone(),
            hierarchy_depth: self.hierarchy_depth,
            ensemble_size: self.ensemble_size,
            write_quorum: self.write_quorum,
            ack_quorum: self.ack_quorum,
            retention_bucket_count: self.retention_bucket_count,
        }
    }
}

/// A name that no server uses is looked for in vain where live servers, logs and ledgers are. A flag decides between names that contradict
/// each other; it brings no third one.
fn refuse_other_cluster(settings: &Settings, overrides: &Overrides) -> Result<()> {
    let Some(flag) = &overrides.cluster_name else { return Ok(()) };
    let mut configured = Vec::new();
    let reader = Reader { settings, warnings: Vec::new() };
    for property in [&known::CLUSTER_NAME, &known::CONTROLLER_CLUSTER_NAME, &known::CLUSTER_NAME_UNREAD] {
        configured.extend(reader.cluster_name_of(property)?);
    }
    match configured.first() {
        Some((name, value)) if configured.iter().all(|(name, _)| name != flag) => Err(OperatorError::new(
            "configuration-conflict",
            format!("--cluster says `{flag}`, and {} says `{name}`", value.origin),
            "correct the one that is wrong, or leave --cluster away",
        )
        .because("under a name that the servers do not use, neither running servers nor old logs are found")),
        _ => Ok(()),
    }
}

fn apply_overrides(settings: &mut Settings, overrides: &Overrides) {
    let mut set = |property: &'static Property, text: Option<&str>| {
        if let (Some(text), Some(flag)) = (text, property.flag) {
            settings.set_flag(property, flag, text);
        }
    };
    set(&known::CLUSTER_NAME, overrides.cluster_name.as_deref());
    set(&known::CONTAINER_COUNT, overrides.container_count.map(|count| count.to_string()).as_deref());
    set(&known::ZOOKEEPER, overrides.zookeeper.as_deref());
    // One ensemble for both is the rule; who has two says so with the second flag.
    set(&known::BOOKKEEPER_ZOOKEEPER, overrides.bookkeeper_zookeeper.as_deref().or(overrides.zookeeper.as_deref()));
    set(&known::LEDGERS_PATH, overrides.ledgers_path.as_deref());
}

/// Gives settings their meaning.
struct Reader<'a> {
    settings: &'a Settings,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn read(mut self, overrides: &Overrides, root: &Path) -> Result<Configuration> {
        self.refuse_what_cannot_be_recovered()?;
        self.compare_root(root)?;
        let tier1 = self.tier1(overrides)?;
        let (ensemble_size, write_quorum, ack_quorum) = self.quorums()?;
        Ok(Configuration {
            cluster_name: self.cluster_name()?,
            container_count: self.container_count()?,
            tier1,
            ledgers_path: self.path(&known::LEDGERS_PATH)?,
            log_metadata_path: self
                .path(&known::LOG_METADATA_PATH)?
                .unwrap_or_else(|| "/segmentstore/containers".to_owned()),
            hierarchy_depth: self.number(&known::HIERARCHY_DEPTH, 0, HIERARCHY_DEPTH_MAX)?.unwrap_or(2),
            ensemble_size,
            write_quorum,
            ack_quorum,
            digest_type: self.digest_type()?,
            password: self
                .settings
                .get(&known::PASSWORD)?
                .map(|value| LedgerPassword::new(value.text))
                .unwrap_or_default(),
            retention_bucket_count: self
                .number(&known::RETENTION_BUCKET_COUNT, 1, RETENTION_BUCKET_COUNT_MAX)?
                .unwrap_or(1),
            warnings: self.warnings,
        })
    }

    /// Where writing would succeed and the servers would still not boot, the recovery ends before it begins.
    fn refuse_what_cannot_be_recovered(&self) -> Result<()> {
        self.require(&known::STORAGE, "FILESYSTEM", |text| match text {
            "HDFS" | "EXTENDEDS3" | "S3" | "AZURE" | "GCP" => {
                "only FILESYSTEM can be read in this version; S3, EXTENDEDS3, HDFS, AZURE and GCP are to come"
                    .to_owned()
            }
            "INMEMORY" => "a Tier-2 in memory is gone with its process".to_owned(),
            _ => "only FILESYSTEM can be read in this version".to_owned(),
        })?;
        self.require(&known::STORAGE_LAYOUT, "CHUNKED_STORAGE", |_| {
            "segments of the rolling layout have other objects (`$header`, `$offset.N`) and no metadata of chunks"
                .to_owned()
        })?;
        self.require(&known::DATA_LOG, "BOOKKEEPER", |_| {
            "only logs in BookKeeper outlive a segment store, and only they are written here".to_owned()
        })?;
        self.refuse_encryption(&known::ZOOKEEPER_TLS, "ZooKeeper")?;
        self.refuse_encryption(&known::BOOKKEEPER_TLS, "bookies")
    }

    fn require(&self, property: &Property, possible: &str, reason: impl Fn(&str) -> String) -> Result<()> {
        let Some(value) = self.settings.get(property)? else { return Ok(()) };
        let text = value.text.to_uppercase();
        if text == possible {
            return Ok(());
        }
        Err(OperatorError::new(
            "configuration-unsupported",
            format!("{} is {}, which cannot be recovered", value.origin, value.text),
            format!(
                "if that file is not the one of this cluster, give the right one; otherwise this cluster is not supported (possible: {}={possible})",
                property.name
            ),
        )
        .because(reason(&text)))
    }

    fn refuse_encryption(&self, property: &Property, servers: &str) -> Result<()> {
        let Some(value) = self.settings.get(property)? else { return Ok(()) };
        match value.text.to_lowercase().as_str() {
            "false" | "no" | "0" => Ok(()),
            "true" | "yes" | "1" => Err(OperatorError::new(
                "configuration-unsupported",
                format!("{} demands TLS to {servers}", value.origin),
                format!(
                    "open a plain port of {servers} for the time of the recovery and set {}=false in a copy of the file",
                    property.name
                ),
            )
            .because("connections with TLS are not possible in this version")),
            _ => Err(impossible(property, &value, "true or false")),
        }
    }

    fn compare_root(&mut self, root: &Path) -> Result<()> {
        // Without Tier-2 there is nothing to be compared.
        if root.as_os_str().is_empty() {
            return Ok(());
        }
        let Some(value) = self.settings.get(&known::FILE_SYSTEM_ROOT)? else { return Ok(()) };
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.components().collect());
        if real(root) != real(Path::new(&value.text)) {
            self.warnings.push(format!(
                "{} is {}, but {} is to be recovered; make sure that the segment stores will see the latter there",
                value.origin,
                value.text,
                root.display()
            ));
        }
        Ok(())
    }

    fn tier1(&mut self, overrides: &Overrides) -> Result<Option<Tier1Location>> {
        if let Some(directory) = &overrides.tier1_directory {
            return Ok(Some(Tier1Location::Directory(directory.clone())));
        }
        let segment_stores = self.connect_string(&known::ZOOKEEPER)?;
        let bookies = self.connect_string(&known::BOOKKEEPER_ZOOKEEPER)?;
        let zookeeper = match segment_stores {
            Some(zookeeper) => Some(zookeeper),
            None => self.connect_string(&known::CONTROLLER_ZOOKEEPER)?.or_else(|| bookies.clone()),
        };
        let Some(zookeeper) = zookeeper else { return Ok(None) };
        if bookies.as_ref().is_some_and(|bookies| *bookies != zookeeper) {
            self.warnings.push(format!(
                "{} and {} differ: ZNodes of logs go to the first, ledgers to the second",
                known::ZOOKEEPER.name,
                known::BOOKKEEPER_ZOOKEEPER.name
            ));
        }
        let bookkeeper_zookeeper = bookies.unwrap_or_else(|| zookeeper.clone());
        Ok(Some(Tier1Location::Servers { zookeeper, bookkeeper_zookeeper }))
    }

    fn connect_string(&self, property: &Property) -> Result<Option<ConnectString>> {
        let Some(value) = self.settings.get(property)? else { return Ok(None) };
        let parsed = ConnectString::parse(&value.text);
        parsed.map(Some).map_err(|reason| impossible(property, &value, "HOST:PORT,HOST:PORT").because(reason))
    }

    /// Segment stores and controllers read different properties; only if they agree they see each other.
    fn cluster_name(&mut self) -> Result<Option<String>> {
        let segment_stores = self.cluster_name_of(&known::CLUSTER_NAME)?;
        let controllers = self.cluster_name_of(&known::CONTROLLER_CLUSTER_NAME)?;
        let unread = self.cluster_name_of(&known::CLUSTER_NAME_UNREAD)?;
        if self.settings.is_overridden(&known::CLUSTER_NAME) {
            return Ok(segment_stores.map(|(name, _)| name));
        }
        self.agree(&known::CLUSTER_NAME, segment_stores.as_ref(), controllers.as_ref())?;
        let chosen = segment_stores.clone().or_else(|| controllers.clone()).or_else(|| unread.clone());
        if let (Some((name, _)), Some((unread_name, unread_value))) = (&chosen, &unread)
            && segment_stores.is_none()
            && (unread_name != name || unread_name != known::CLUSTER_NAME.example)
        {
            self.warnings.push(format!(
                "no segment store up to 0.13.0 reads {}; it reads {} and takes `{}` without it. The cluster `{name}` will be recovered; \
                 give --cluster if the segment stores use another",
                unread_value.origin,
                known::CLUSTER_NAME.name,
                known::CLUSTER_NAME.example
            ));
        }
        Ok(chosen.map(|(name, _)| name))
    }

    fn cluster_name_of(&self, property: &Property) -> Result<Option<(String, Value)>> {
        let Some(value) = self.settings.get(property)? else { return Ok(None) };
        // The admin CLI takes the whole namespace for the name.
        let name = value.text.trim_start_matches('/');
        let name = name.strip_prefix("pravega/").unwrap_or(name).to_owned();
        if !is_znode_name(&name) {
            return Err(impossible(property, &value, "a name without `/`, other than `.` and `..`"));
        }
        Ok(Some((name, value)))
    }

    fn container_count(&self) -> Result<Option<u32>> {
        let of = |property: &'static Property| -> Result<Option<(u32, Value)>> {
            let Some(value) = self.settings.get(property)? else { return Ok(None) };
            Ok(self.number(property, 1, CONTAINERS_MAX)?.map(|count| (count, value)))
        };
        let segment_stores = of(&known::CONTAINER_COUNT)?;
        if !self.settings.is_overridden(&known::CONTAINER_COUNT) {
            let controllers = of(&known::CONTROLLER_CONTAINER_COUNT)?;
            self.agree(&known::CONTAINER_COUNT, segment_stores.as_ref(), controllers.as_ref())?;
            return Ok(segment_stores.or(controllers).map(|(count, _)| count));
        }
        Ok(segment_stores.map(|(count, _)| count))
    }

    fn agree<T: PartialEq>(
        &self,
        property: &Property,
        first: Option<&(T, Value)>,
        second: Option<&(T, Value)>,
    ) -> Result<()> {
        let (Some((first_meaning, first)), Some((second_meaning, second))) = (first, second) else { return Ok(()) };
        if first_meaning == second_meaning {
            return Ok(());
        }
        Err(OperatorError::new(
            "configuration-conflict",
            format!("{} is `{}`, but {} is `{}`", first.origin, first.text, second.origin, second.text),
            format!(
                "give the files of one cluster, or say which is right with {}",
                property.flag.unwrap_or(property.name)
            ),
        )
        .because("segment stores and controllers with different values do not work together"))
    }

    fn quorums(&self) -> Result<(usize, usize, usize)> {
        let read = |property, default| -> Result<usize> {
            Ok(self.number(property, 1, ENSEMBLE_SIZE_MAX)?.unwrap_or(default))
        };
        let ensemble_size = read(&known::ENSEMBLE_SIZE, 3)?;
        let write_quorum = read(&known::WRITE_QUORUM, 3)?;
        let ack_quorum = read(&known::ACK_QUORUM, 2)?;
        if ensemble_size >= write_quorum && write_quorum >= ack_quorum {
            return Ok((ensemble_size, write_quorum, ack_quorum));
        }
        Err(OperatorError::new(
            "configuration-value",
            format!(
                "a ledger of {ensemble_size} bookies with {write_quorum} copies of which {ack_quorum} are confirmed is not possible"
            ),
            format!(
                "correct {}, {} and {} so that none is larger than the one before (defaults: 3, 3, 2)",
                known::ENSEMBLE_SIZE.name,
                known::WRITE_QUORUM.name,
                known::ACK_QUORUM.name
            ),
        ))
    }

    fn digest_type(&self) -> Result<DigestType> {
        let Some(value) = self.settings.get(&known::DIGEST)? else { return Ok(DigestType::Crc32c) };
        values::digest_type(&value.text).ok_or_else(|| {
            impossible(&known::DIGEST, &value, "CRC32C, CRC32, MAC or DUMMY, in upper case").because(
                "Pravega takes CRC32C for every text that it does not know, which is probably not what was meant",
            )
        })
    }

    fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        property: &Property,
        least: T,
        most: T,
    ) -> Result<Option<T>> {
        let Some(value) = self.settings.get(property)? else { return Ok(None) };
        match value.text.parse::<T>() {
            Ok(number) if number >= least && number <= most => Ok(Some(number)),
            _ => Err(impossible(property, &value, &format!("a number from {least} to {most}"))),
        }
    }

    fn path(&self, property: &Property) -> Result<Option<String>> {
        let Some(value) = self.settings.get(property)? else { return Ok(None) };
        let path = value.text.trim_end_matches('/');
        let possible = path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_znode_name));
        if possible {
            Ok(Some(path.to_owned()))
        } else {
            Err(impossible(property, &value, "the path of a ZNode, beginning with `/`"))
        }
    }
}

fn is_znode_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains('/') && !name.contains(char::is_control)
}

/// A value that cannot be right.
fn impossible(property: &Property, value: &Value, possible: &str) -> OperatorError {
    OperatorError::new(
        "configuration-value",
        format!("{} is `{}`, but must be {possible}", value.origin, shown_text(property, value)),
        format!("correct it, or override it by the environment variable {}", property.environment_variable()),
    )
}

#[cfg(test)]
mod tests;

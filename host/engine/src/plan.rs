//! A plan: the ordered effects that a procedure staged, what they rest on, and what they mean.
//!
//! A plan is a directory: `plan.json`, the containers' log images, and later the journal of its application. The same
//! evidence and the same parameters give the same bytes; so there is no time, no host name and no random id in it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use dr_formats::ledger_entry::DigestType;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cluster::Stopped;
use crate::contract::{ContainerId, ContainerImage, Decision, LostRange};
use crate::error::{OperatorError, Result};

/// Version of `plan.json`; a reader refuses others.
pub const PLAN_FORMAT_VERSION: u32 = 2;

/// Name of the plan's file in its directory.
pub const PLAN_FILE: &str = "plan.json";

/// Reasons of losses that speak of damage rather than of something that was never tiered.
const DAMAGE: &[&str] = &["metadata-damaged", "index-damaged", "damaged"];

/// One staged change. The order of the variants is the order of application: a log that no ZNode names is invisible
/// to Pravega; an object that was moved aside can be moved back; the log ZNode is the commit point of its container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum Effect {
    /// Write the log image of a container as a new, closed ledger.
    WriteLog {
        /// Whose log.
        container: ContainerId,
        /// File name of the image in the plan's directory: frames, each behind its length as u32.
        image: String,
        /// SHA-256 of that file.
        digest: String,
        /// Frames in it, which become ledger entries.
        entries: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Register ledgers that bookies hold, closed at their ends.
    RestoreLedgers {
        /// Whose log they are; none if they are part of no log.
        container: Option<ContainerId>,
        /// The ledgers, in the order of the log.
        ledgers: Vec<PlannedLedger>,
    },
    /// Close ledgers that are registered and were never closed, at the ends that were found.
    CloseLedgers {
        /// Whose log they are.
        container: ContainerId,
        /// The ledgers, in the order of the log.
        ledgers: Vec<PlannedClosing>,
    },
    /// Write what is left of a container's log as objects behind those that Tier-2 has of its segments.
    WriteObjects {
        /// Whose objects.
        container: ContainerId,
        /// The objects, by segment and offset.
        objects: Vec<WrittenObject>,
    },
    /// Move objects of a container to `<place>/<key>`.
    MoveAside {
        /// Whose objects.
        container: ContainerId,
        /// Key prefix of the new place.
        place: String,
        /// What to move, by key.
        objects: Vec<MovedObject>,
    },
    /// Create a persistent ZNode and the parents it lacks.
    CreateZnode {
        /// Absolute path.
        path: String,
        /// Content, lower-case hex.
        #[serde(with = "hex_bytes")]
        data: Vec<u8>,
    },
    /// Replace the content of a ZNode.
    SetZnode {
        /// Absolute path.
        path: String,
        /// Content, lower-case hex.
        #[serde(with = "hex_bytes")]
        data: Vec<u8>,
        /// Version it must have.
        expected_version: i32,
    },
    /// Delete a ZNode.
    DeleteZnode {
        /// Absolute path.
        path: String,
        /// Version it must have.
        expected_version: i32,
    },
    /// Make what old bookies need to start with the data that they hold. All ledgers are registered before.
    RegisterBookies(PlannedRegistration),
    /// Create or replace the log ZNode of a container, naming ledgers that are registered before.
    RestoreLog {
        /// Whose log.
        container: ContainerId,
        /// Absolute path of the log ZNode.
        path: String,
        /// Epoch in it; the store runs with the next one.
        epoch: u64,
        /// Ids of its ledgers, in the order of the log.
        ledgers: Vec<i64>,
        /// Behind what the store begins to read; none for the whole log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncation: Option<PlannedTruncation>,
        /// Version that the ZNode which is replaced must have; none if it is created.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_version: Option<i32>,
    },
    /// Create or replace the log ZNode of a container, naming the ledger that its `WriteLog` made.
    CommitLog {
        /// Whose log.
        container: ContainerId,
        /// Absolute path of the log ZNode.
        path: String,
        /// Epoch in it; the store runs with the next one.
        epoch: u64,
        /// Version that the ZNode which is replaced must have; none if it is created.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_version: Option<i32>,
    },
}

impl Effect {
    /// Where the effect stands in the order of application.
    fn rank(&self) -> u8 {
        match self {
            Effect::RestoreLedgers { .. } => 0,
            Effect::CloseLedgers { .. } => 1,
            Effect::RegisterBookies(_) => 2,
            Effect::WriteLog { .. } => 3,
            Effect::WriteObjects { .. } => 4,
            Effect::MoveAside { .. } => 5,
            Effect::CreateZnode { .. } | Effect::SetZnode { .. } | Effect::DeleteZnode { .. } => 6,
            Effect::RestoreLog { .. } | Effect::CommitLog { .. } => 7,
        }
    }

    /// True for the effects on single ZNodes that a procedure staged.
    pub(crate) fn is_znode(&self) -> bool {
        matches!(self, Effect::CreateZnode { .. } | Effect::SetZnode { .. } | Effect::DeleteZnode { .. })
    }

    /// The ZNode that it changes, if it changes one.
    pub(crate) fn znode(&self) -> Option<&str> {
        match self {
            Effect::CreateZnode { path, .. }
            | Effect::SetZnode { path, .. }
            | Effect::DeleteZnode { path, .. }
            | Effect::RestoreLog { path, .. }
            | Effect::CommitLog { path, .. } => Some(path),
            Effect::WriteLog { .. }
            | Effect::WriteObjects { .. }
            | Effect::RestoreLedgers { .. }
            | Effect::CloseLedgers { .. }
            | Effect::MoveAside { .. }
            | Effect::RegisterBookies(_) => None,
        }
    }

    /// What it is about, to put effects of one rank in order.
    fn subject(&self) -> (ContainerId, &str) {
        match self {
            Effect::WriteLog { container, image, .. } => (*container, image),
            Effect::MoveAside { container, place, .. } => (*container, place),
            Effect::WriteObjects { container, .. } => (*container, ""),
            // Those that are part of no log come last.
            Effect::RestoreLedgers { container, .. } => (container.unwrap_or(ContainerId::MAX), ""),
            Effect::CloseLedgers { container, .. } => (*container, ""),
            Effect::RegisterBookies(_) => (0, ""),
            Effect::RestoreLog { container, path, .. } | Effect::CommitLog { container, path, .. } => {
                (*container, path)
            }
            Effect::CreateZnode { path, .. } | Effect::SetZnode { path, .. } | Effect::DeleteZnode { path, .. } => {
                (0, path)
            }
        }
    }
}

/// Bookies that are registered with the data that they hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRegistration {
    /// Instance id of their cluster, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The bookies.
    pub bookies: Vec<PlannedBookie>,
    /// The highest ledger that was seen, above which new ones are put; none if the counter of ids that is there does so by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_ledger: Option<i64>,
}

/// An object that is written. Its bytes are a file in the plan's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenObject {
    /// Its key.
    pub key: String,
    /// Its size.
    pub size: u64,
    /// SHA-256 of its content, lower-case hex.
    pub digest: String,
    /// Name of the file.
    pub file: String,
}

/// An object that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedObject {
    /// Its key now.
    pub key: String,
    /// Its size, by which it is recognised.
    pub size: u64,
}

/// A ledger that is registered again. Its password, which its metadata hold, comes from the configuration and is in no plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedLedger {
    /// Id.
    pub id: i64,
    /// Id of its last entry.
    pub last_entry: i64,
    /// Payload bytes.
    pub length: i64,
    /// Bookies that take turns.
    pub ensemble_size: usize,
    /// Copies of each entry.
    pub write_quorum: usize,
    /// Copies that were confirmed.
    pub ack_quorum: usize,
    /// How its entries are protected.
    pub digest_type: PlannedDigest,
    /// Who holds which entries; the first begins at 0.
    pub stretches: Vec<PlannedStretch>,
}

/// A registered ledger that was never closed, and the end that it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedClosing {
    /// Id.
    pub id: i64,
    /// Version that its metadata must have.
    pub expected_version: i32,
    /// True if somebody had begun to find out its end.
    pub in_recovery: bool,
    /// The token of its metadata before, which a change takes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<i64>,
    /// Id of its last entry.
    pub last_entry: i64,
    /// Payload bytes.
    pub length: i64,
}

/// Bookies that hold a stretch of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStretch {
    /// Its first entry.
    pub first_entry: i64,
    /// Ids of the bookies, in the order of the ensemble.
    pub bookies: Vec<String>,
}

/// A place in a log up to which it is truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTruncation {
    /// Id of the ledger.
    pub ledger: i64,
    /// Place of the ledger in the log, from 1.
    pub sequence: u32,
    /// The last entry that is not read.
    pub entry: u32,
}

/// How entries are protected, by the names of `bookkeeper.digest.type.name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum PlannedDigest {
    /// CRC-32.
    Crc32,
    /// HMAC-SHA1.
    Mac,
    /// CRC-32C.
    Crc32c,
    /// Nothing.
    Dummy,
}

impl From<DigestType> for PlannedDigest {
    fn from(digest_type: DigestType) -> Self {
        match digest_type {
            DigestType::Crc32 => Self::Crc32,
            DigestType::Hmac => Self::Mac,
            DigestType::Crc32c => Self::Crc32c,
            DigestType::Dummy => Self::Dummy,
        }
    }
}

impl From<PlannedDigest> for DigestType {
    fn from(digest: PlannedDigest) -> Self {
        match digest {
            PlannedDigest::Crc32 => Self::Crc32,
            PlannedDigest::Mac => Self::Hmac,
            PlannedDigest::Crc32c => Self::Crc32c,
            PlannedDigest::Dummy => Self::Dummy,
        }
    }
}

/// A bookie that is registered again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBookie {
    /// Id.
    pub id: String,
    /// Bytes of its cookie, lower-case hex.
    #[serde(with = "hex_bytes")]
    pub cookie: Vec<u8>,
}

/// A container whose log is restored as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredContainer {
    /// Which one.
    pub container: ContainerId,
    /// Ledgers of its log.
    pub ledgers: u32,
    /// Operations that the store will replay.
    pub operations: u64,
    /// Sequence number of the last one.
    pub last_operation: i64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Epoch in its log ZNode.
    pub epoch: u64,
    /// Its log ZNode is there and stays as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// Only its ledgers are registered now. It is read, and its log ZNode is written, by another plan when the bookies run; until then nobody
    /// knows its operations.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later: bool,
}

/// What made the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// Name of the procedure.
    pub procedure: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its module.
    pub digest: String,
    /// The trusted key that signed it, by the SHA-256 of its public half; none if it is built in or was not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Settings, by name.
    pub settings: Vec<(String, String)>,
    /// What the operator let it do; none in plans of a `dr` that did not ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Grants>,
    /// Version of `dr`.
    pub host_version: String,
}

/// What a procedure was let do. A scope that is none is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Functions of the contract that it declares and was granted, in the order of the contract.
    pub capabilities: Vec<String>,
    /// Containers for which it could stage changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<ContainerId>>,
    /// Subtrees in which it could stage changes of ZNodes, relative to the cluster's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub znodes: Option<Vec<String>>,
    /// Folders of Tier-2 from which it could move objects aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<String>>,
    /// Folders of Tier-2 to which it could move them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<Vec<String>>,
}

/// What a plan rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceDigest {
    /// SHA-256 over the sorted keys and sizes of all objects.
    pub listing: String,
    /// How many objects.
    pub objects: u64,
    /// Their sizes added up, in bytes.
    pub bytes: u64,
    /// Digests of `evidence.jsonl`, which names each object and what was read of it: by container, then of the objects that no
    /// rule explains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartDigest>,
    /// The same of the ZNodes that were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub znodes: Option<PartDigest>,
}

/// Digest of a part of the evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartDigest {
    /// Whose objects; none for those that no rule explains, and for ZNodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerId>,
    /// How many objects or ZNodes.
    pub entries: u64,
    /// Sizes of the objects added up, in bytes.
    pub bytes: u64,
    /// Bytes that were read of them.
    pub bytes_read: u64,
    /// BLAKE3 over the lines of the part.
    pub digest: String,
}

/// What will become of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// Which one.
    pub container: ContainerId,
    /// Its image.
    pub image: ContainerImage,
    /// Segments by kind, attribute indexes not counted.
    pub segments_by_kind: Vec<(String, u64)>,
    /// Bytes of user-readable data in them.
    pub data_bytes: u64,
    /// How many of its segments each finding concerns.
    pub findings: Vec<(String, u64)>,
    /// Segments whose table index is completed through the log.
    pub completed_tables: u64,
    /// Metadata of which Tier-2 holds not one byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_metadata: Option<AbsentMetadata>,
}

/// Metadata tables of a container of which Tier-2 holds not one byte: never flushed, or lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentMetadata {
    /// Names of the tables.
    pub tables: Vec<String>,
    /// `scope/stream` of what only objects name, in the container; their events can be exported.
    pub streams: Vec<String>,
}

/// Something that an operator should know before the plan is carried out, and may be able to mend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanWarning {
    /// What it is about.
    pub subject: String,
    /// What was found, and what may follow.
    pub finding: String,
    /// What can be done.
    pub next_step: String,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_FORMAT_VERSION`].
    pub format_version: u32,
    /// First 16 hex digits of the SHA-256 over everything else.
    pub id: String,
    /// Cluster name.
    pub cluster: String,
    /// Containers of the cluster.
    pub container_count: u32,
    /// What made it.
    pub maker: Maker,
    /// What it rests on.
    pub evidence: EvidenceDigest,
    /// By container.
    pub containers: Vec<ContainerPlan>,
    /// Containers whose logs are restored, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<RestoredContainer>,
    /// What may be wrong with what the plan rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<PlanWarning>,
    /// What the procedure chose.
    pub decisions: Vec<Decision>,
    /// What is lost.
    pub losses: Vec<LostRange>,
    /// In the order of application.
    pub effects: Vec<Effect>,
}

impl Plan {
    /// True if something is given up: bytes that Tier-2 or some evidence names, or all that a table would have named.
    pub fn gives_up_data(&self) -> bool {
        !self.losses.is_empty() || self.containers.iter().any(|container| container.absent_metadata.is_some())
    }

    /// True for what a procedure made that only looks.
    pub fn changes_nothing(&self) -> bool {
        self.effects.is_empty()
    }

    /// Ranges that are given up because the evidence is damaged: what else they held, the plan cannot tell.
    pub fn damaged_ranges(&self) -> usize {
        self.losses.iter().filter(|range| DAMAGE.contains(&range.reason.as_str())).count()
    }

    /// True if it brings back something of the old Tier-1: ledgers, bookies or logs.
    pub fn brings_back_tier1(&self) -> bool {
        let is_of_old = |effect: &Effect| {
            matches!(effect, Effect::RestoreLedgers { .. } | Effect::RegisterBookies(_) | Effect::RestoreLog { .. })
        };
        self.effects.iter().any(is_of_old)
    }

    /// True if it is the first of two steps: logs are restored by another plan, when the bookies run.
    pub fn awaits_bookies(&self) -> bool {
        self.restored.iter().any(|restored| restored.later)
    }

    /// True if it changes nothing but ZNodes that a procedure staged.
    pub fn is_of_znodes_only(&self) -> bool {
        self.effects.iter().all(Effect::is_znode)
    }

    /// The servers that have to be stopped while it is carried out or taken back.
    pub fn stopped(&self) -> Stopped {
        if self.changes_nothing() {
            Stopped::None
        } else if self.is_of_znodes_only() {
            Stopped::Controllers
        } else {
            Stopped::All
        }
    }

    /// Puts the parts in their canonical order and gives the plan its id.
    ///
    /// # Errors
    /// Never in practice: a plan always has a JSON form.
    pub fn seal(mut self) -> Result<Self> {
        self.effects.sort_by(|a, b| (a.rank(), a.subject()).cmp(&(b.rank(), b.subject())));
        self.containers.sort_by_key(|container| container.container);
        self.restored.sort_by_key(|container| container.container);
        self.warnings.sort();
        let decision_key = |d: &Decision| (d.container, d.subject.clone(), d.choice.clone(), d.reason.clone());
        self.decisions.sort_by_key(decision_key);
        self.losses.sort_by(|a, b| (a.container, &a.segment, a.first).cmp(&(b.container, &b.segment, b.first)));
        self.id = String::new();
        self.id = hex(&Sha256::digest(self.to_json()?))[..16].to_owned();
        Ok(self)
    }

    /// Writes `plan.json` durably into the plan's directory.
    ///
    /// # Errors
    /// `run-directory` if the file exists or cannot be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(PLAN_FILE);
        let json = self.to_json()?;
        let write = || -> std::io::Result<()> {
            let mut file = fs::File::options().write(true).create_new(true).open(&path)?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::File::open(directory)?.sync_all()
        };
        write().map_err(|error| run_directory_error("write", &path, error))
    }

    /// Reads the plan in a directory.
    ///
    /// # Errors
    /// `plan-unreadable` if it is missing, malformed, edited, or of another format version.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(PLAN_FILE);
        let unreadable = |why: String| {
            OperatorError::new(
                "plan-unreadable",
                format!("cannot read the plan `{}`", path.display()),
                "name the directory that `dr recover` printed as its run directory, or make a new plan",
            )
            .because(why)
        };
        let bytes = fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        // Alone and first: what else a plan of another version holds cannot be known.
        let Versioned { format_version } =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if format_version != PLAN_FORMAT_VERSION {
            return Err(unreadable(format!("its format is {format_version}, this dr reads {PLAN_FORMAT_VERSION}")));
        }
        let plan: Plan = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if plan.clone().seal()?.id != plan.id {
            return Err(unreadable("its content does not match its id; it was edited or cut".to_owned()));
        }
        Ok(plan)
    }

    /// The containers for which it creates a log ZNode, by number.
    pub fn containers_without_log(&self) -> Vec<ContainerId> {
        let created = self.effects.iter().filter_map(|effect| match effect {
            Effect::CommitLog { container, expected_version: None, .. }
            | Effect::RestoreLog { container, expected_version: None, .. } => Some(*container),
            _ => None,
        });
        created.collect()
    }

    /// The containers that it brings back, by number.
    pub fn all_containers(&self) -> Vec<ContainerId> {
        let rebuilt = self.containers.iter().map(|container| container.container);
        let mut all: Vec<_> = rebuilt.chain(self.restored.iter().map(|restored| restored.container)).collect();
        all.sort_unstable();
        all
    }

    /// Segments in all containers.
    pub fn segments(&self) -> u64 {
        self.containers.iter().map(|container| container.image.segments).sum()
    }

    /// Objects that move aside.
    pub fn moved_objects(&self) -> u64 {
        let moved =
            |effect: &Effect| if let Effect::MoveAside { objects, .. } = effect { objects.len() as u64 } else { 0 };
        self.effects.iter().map(moved).sum()
    }

    fn to_json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self).map_err(|error| {
            OperatorError::new("plan-unwritable", "cannot write the plan as JSON", "report this as a defect of dr")
                .because(error)
        })?;
        json.push(b'\n');
        Ok(json)
    }
}

/// What is looked at first of a plan.
#[derive(Deserialize)]
struct Versioned {
    format_version: u32,
}

/// The file of a container's log image in the plan's directory.
pub fn image_file_name(container: ContainerId) -> String {
    format!("container-{container}.log")
}

/// Makes the directory of a new run.
///
/// # Errors
/// `run-directory` if it exists and is not empty, or cannot be made.
pub fn create_run_directory(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(|error| run_directory_error("create", directory, error))?;
    let mut entries = fs::read_dir(directory).map_err(|error| run_directory_error("read", directory, error))?;
    if entries.next().is_some() {
        return Err(OperatorError::new(
            "run-directory",
            format!("the run directory `{}` is not empty", directory.display()),
            "name a directory that does not exist yet (--directory of `dr plan`, --run-directory of `dr recover`); an old run is never overwritten",
        ));
    }
    Ok(())
}

/// The error for a run directory that cannot be read or written.
pub fn run_directory_error(action: &str, path: &Path, error: std::io::Error) -> OperatorError {
    OperatorError::new(
        "run-directory-io",
        format!("cannot {action} `{}`", path.display()),
        "make room on its disk, or let this user write there, and type the same command again; a plan that is not finished is made \
         anew in another directory",
    )
    .because(error)
    .may_retry()
}

/// Path of a file of the plan, refusing names that would leave the directory.
///
/// # Errors
/// `plan-unreadable` for such a name.
pub fn plan_file(directory: &Path, name: &str) -> Result<PathBuf> {
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(OperatorError::new(
            "plan-unreadable",
            format!("the plan names the file `{name}`, which is not in its directory"),
            "make a new plan",
        ));
    }
    Ok(directory.join(name))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

/// The bytes of a text in hex; none if it is none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()).collect()
}

mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::unhex(&text).ok_or_else(|| D::Error::custom("hex has an even number of digits 0 to 9 and a to f"))
    }
}

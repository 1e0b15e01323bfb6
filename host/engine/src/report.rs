//! The loss report of a plan: what becomes of every stream and segment, what is lost and why, and where every object of
//! Tier-2 stands that the new cluster does not use.
//!
//! Written with the plan: `loss.json` for the cluster, and for each container a listing of its segments, one JSON object
//! a line. Like the plan it holds no time, so the same evidence and the same parameters give the same bytes.

mod account;
mod owner;
mod rows;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::ops::AddAssign;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use self::account::{ContainerAccount, Streams};
pub use self::account::{Fate, SegmentLine, segment_listing_name};
pub use self::owner::{Owner, OwnerKind};
use crate::contract::{ContainerId, Decision, LostRange, Object};
use crate::error::{OperatorError, Result};
use crate::listing::Listing;
use crate::plan::{AbsentMetadata, ContainerPlan, Effect, Plan, run_directory_error};

/// Version of `loss.json` and of the listings; a reader refuses others.
pub const LOSS_FORMAT_VERSION: u32 = 1;

/// Name of the report's file in the plan's directory.
pub const LOSS_FILE: &str = "loss.json";

/// The worst of what a plan gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that Tier-2 holds or names is kept.
    NothingLost,
    /// No byte is known to be lost, but nobody can tell of some whether they belonged to the cluster, or bookkeeping is
    /// damaged.
    Unknown,
    /// Bytes are lost, or all that the metadata of a container would have named.
    Losses,
}

/// What a lost range means for the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossClass {
    /// Bytes of the segment are gone.
    Lost,
    /// Nobody can tell whether they were part of the cluster: they may have been deleted or truncated before.
    Unknown,
    /// Bytes of an index or of a container's metadata tables, not of data; what they described may be older or missing.
    Bookkeeping,
}

impl LossClass {
    /// The class of a reason; the set of reasons is open, and one that is not known here is a loss.
    pub fn of(reason: &str) -> Self {
        match reason {
            "unrecorded" | "leading-object-gone" => Self::Unknown,
            "index-damaged" | "metadata-damaged" => Self::Bookkeeping,
            _ => Self::Lost,
        }
    }
}

/// How many segments have which fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentCounts {
    /// They live again.
    pub created: u64,
    /// Deleted before the disaster.
    pub deleted: u64,
    /// Committed transactions whose content is part of another segment now.
    pub merged: u64,
    /// Only objects name them.
    pub unrecorded: u64,
    /// They existed, and the procedure decided against them.
    pub dropped: u64,
}

/// What is kept and lost of a stream, a container, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Segments by fate.
    pub segments: SegmentCounts,
    /// Bytes that can be read in the new cluster.
    pub kept_bytes: u64,
    /// Bytes known to be lost.
    pub lost_bytes: u64,
    /// Bytes of which nobody can tell whether they were part of the cluster.
    pub unknown_bytes: u64,
    /// Lost bytes of indexes and metadata tables.
    pub bookkeeping_bytes: u64,
    /// Bytes of segments that the procedure decided against.
    pub dropped_bytes: u64,
    /// Lost ranges of which nobody knows the end; their bytes are in no figure.
    pub open_ranges: u64,
    /// Lost ranges, of every class, by reason.
    pub lost_ranges: BTreeMap<String, u64>,
}

impl Figures {
    /// True if nothing is given up.
    pub fn is_whole(&self) -> bool {
        self.lost_ranges.is_empty()
    }

    fn lose(&mut self, range: &LostRange, class: LossClass) {
        let bytes = range.end.map_or(0, |end| end.saturating_sub(range.first));
        match class {
            LossClass::Lost => self.lost_bytes += bytes,
            LossClass::Unknown => self.unknown_bytes += bytes,
            LossClass::Bookkeeping => self.bookkeeping_bytes += bytes,
        }
        self.open_ranges += u64::from(range.end.is_none());
        *self.lost_ranges.entry(range.reason.clone()).or_default() += 1;
    }
}

impl AddAssign<&Figures> for Figures {
    fn add_assign(&mut self, other: &Figures) {
        let (counts, more) = (&mut self.segments, &other.segments);
        counts.created += more.created;
        counts.deleted += more.deleted;
        counts.merged += more.merged;
        counts.unrecorded += more.unrecorded;
        counts.dropped += more.dropped;
        self.kept_bytes += other.kept_bytes;
        self.lost_bytes += other.lost_bytes;
        self.unknown_bytes += other.unknown_bytes;
        self.bookkeeping_bytes += other.bookkeeping_bytes;
        self.dropped_bytes += other.dropped_bytes;
        self.open_ranges += other.open_ranges;
        for (reason, ranges) in &other.lost_ranges {
            *self.lost_ranges.entry(reason.clone()).or_default() += ranges;
        }
    }
}

/// What becomes of one stream, key-value table, or other owner of segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Which one.
    #[serde(flatten)]
    pub owner: Owner,
    /// Its segments and bytes.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What becomes of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerReport {
    /// Which one.
    pub container: ContainerId,
    /// File with a line for each of its segments.
    pub segment_listing: String,
    /// SHA-256 of that file.
    pub segment_listing_digest: String,
    /// Its segments and bytes.
    #[serde(flatten)]
    pub figures: Figures,
    /// How many of its segments each finding concerns.
    pub findings: BTreeMap<String, u64>,
    /// Metadata of which Tier-2 holds not one byte.
    pub absent_metadata: Option<AbsentMetadata>,
}

/// One lost range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Whose segment it is.
    #[serde(flatten)]
    pub owner: Owner,
    /// What it means.
    pub class: LossClass,
    /// Segment, range and reason.
    #[serde(flatten)]
    pub range: LostRange,
}

/// What an object holds that was moved aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MovedContent {
    /// Old metadata of a container.
    Metadata,
    /// Bytes of a segment; the built-in procedure moves those of deleted ones and of reader groups that begin anew.
    Chunk,
}

/// One object that is moved aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Whose.
    pub container: ContainerId,
    /// What it holds.
    pub content: MovedContent,
    /// Its key before.
    pub from: String,
    /// Its key afterwards.
    pub to: String,
    /// In bytes.
    pub size: u64,
}

/// An object that stays where it is and that the new cluster does not use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// Whose, by its name.
    pub container: ContainerId,
    /// Fate of the segment in its name; none if no such segment is known.
    pub segment_fate: Option<Fate>,
    /// Its key.
    pub key: String,
    /// In bytes.
    pub size: u64,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossReport {
    /// [`LOSS_FORMAT_VERSION`].
    pub format_version: u32,
    /// Id of the plan that it belongs to.
    pub plan: String,
    /// Cluster name.
    pub cluster: String,
    /// Containers of the cluster; those that are not planned are not reported on.
    pub container_count: u32,
    /// The worst of it.
    pub verdict: Verdict,
    /// All containers of the plan together.
    pub totals: Figures,
    /// By number.
    pub containers: Vec<ContainerReport>,
    /// By kind, scope and name.
    pub streams: Vec<StreamReport>,
    /// By container, segment and offset.
    pub losses: Vec<Loss>,
    /// What the procedure chose.
    pub decisions: Vec<Decision>,
    /// By container and key.
    pub moved_aside: Vec<Moved>,
    /// By container and key.
    pub unused: Vec<Unused>,
    /// Objects of which no rule says what they are; never touched.
    pub unexplained: Vec<Object>,
}

impl LossReport {
    /// Puts together what the containers left when they were closed and what the plan says.
    pub(crate) fn new(
        plan: &Plan,
        listing: &Listing,
        accounts: &BTreeMap<ContainerId, ContainerAccount>,
        mut streams: Streams,
    ) -> Self {
        let mut containers: BTreeMap<ContainerId, ContainerReport> = plan
            .containers
            .iter()
            .filter_map(|planned| {
                Some((planned.container, container_report(planned, accounts.get(&planned.container)?)))
            })
            .collect();
        let mut losses = Vec::with_capacity(plan.losses.len());
        for range in &plan.losses {
            let (owner, class) = (Owner::of(&range.segment), LossClass::of(&range.reason));
            streams.entry(owner.clone()).or_default().lose(range, class);
            if let Some(container) = containers.get_mut(&range.container) {
                container.figures.lose(range, class);
            }
            losses.push(Loss { owner, class, range: range.clone() });
        }
        let mut totals = Figures::default();
        streams.values().for_each(|figures| totals += figures);
        let moved_aside = moved_aside(plan, listing);
        Self {
            format_version: LOSS_FORMAT_VERSION,
            plan: plan.id.clone(),
            cluster: plan.cluster.clone(),
            container_count: plan.container_count,
            verdict: verdict(plan, &losses),
            totals,
            containers: containers.into_values().collect(),
            streams: streams.into_iter().map(|(owner, figures)| StreamReport { owner, figures }).collect(),
            losses,
            decisions: plan.decisions.clone(),
            unused: unused(listing, accounts, &moved_aside),
            moved_aside,
            unexplained: listing
                .unknown
                .iter()
                .map(|object| Object { key: object.key.clone(), size: object.size })
                .collect(),
        }
    }

    /// Writes `loss.json` durably into the plan's directory.
    ///
    /// # Errors
    /// `run-directory` if the file exists or cannot be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(LOSS_FILE);
        let write = || -> std::io::Result<()> {
            let mut output = BufWriter::new(File::options().write(true).create_new(true).open(&path)?);
            rows::write(&mut output, self)?;
            output.flush()?;
            output.get_ref().sync_all()
        };
        write().map_err(|error| run_directory_error("write", &path, error))
    }

    /// Reads the report of a plan in its directory.
    ///
    /// # Errors
    /// `loss-report-unreadable` if it is missing, malformed, of another version, or of another plan.
    pub fn load(directory: &Path, plan: &Plan) -> Result<Self> {
        let path = directory.join(LOSS_FILE);
        let unreadable = |why: String| {
            OperatorError::new(
                "loss-report-unreadable",
                format!("cannot read the loss report `{}`", path.display()),
                "the plan itself is whole: `dr apply` does not need this file; make a new plan to have it again",
            )
            .because(why)
        };
        let bytes = fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let report: Self = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if report.format_version != LOSS_FORMAT_VERSION {
            let version = report.format_version;
            return Err(unreadable(format!("its format is {version}, this dr reads {LOSS_FORMAT_VERSION}")));
        }
        if report.plan != plan.id || report.losses.len() != plan.losses.len() {
            return Err(unreadable(format!("it was not made with the plan {}, or it was edited", plan.id)));
        }
        Ok(report)
    }
}

fn verdict(plan: &Plan, losses: &[Loss]) -> Verdict {
    let is_lost = losses.iter().any(|loss| loss.class == LossClass::Lost);
    if is_lost || plan.containers.iter().any(|container| container.absent_metadata.is_some()) {
        Verdict::Losses
    } else if plan.gives_up_data() {
        Verdict::Unknown
    } else {
        Verdict::NothingLost
    }
}

fn container_report(planned: &ContainerPlan, account: &ContainerAccount) -> ContainerReport {
    ContainerReport {
        container: planned.container,
        segment_listing: segment_listing_name(planned.container),
        segment_listing_digest: account.listing_digest.clone(),
        figures: account.figures.clone(),
        findings: planned.findings.iter().cloned().collect(),
        absent_metadata: planned.absent_metadata.clone(),
    }
}

fn moved_aside(plan: &Plan, listing: &Listing) -> Vec<Moved> {
    let mut moved = Vec::new();
    for effect in &plan.effects {
        let Effect::MoveAside { container, place, objects } = effect else { continue };
        let listed = listing.objects(*container);
        let metadata = listed.metadata_objects(*container);
        let is_metadata = |key: &str| metadata.binary_search_by(|(known, _)| (*known).cmp(key)).is_ok();
        moved.extend(objects.iter().map(|object| Moved {
            container: *container,
            content: if is_metadata(&object.key) { MovedContent::Metadata } else { MovedContent::Chunk },
            from: object.key.clone(),
            to: format!("{place}/{}", object.key),
            size: object.size,
        }));
    }
    moved.sort_by(|a, b| (a.container, &a.from).cmp(&(b.container, &b.from)));
    moved
}

/// What stays in place without use. `moved` is in the order of containers and keys.
fn unused(listing: &Listing, accounts: &BTreeMap<ContainerId, ContainerAccount>, moved: &[Moved]) -> Vec<Unused> {
    let mut unused = Vec::new();
    for (&container, account) in accounts {
        let objects = listing.objects(container);
        for &(index, segment_fate) in &account.unused {
            let Some(chunk) = objects.chunks.get(index as usize) else { continue };
            let is_moved =
                moved.binary_search_by(|other| (other.container, &*other.from).cmp(&(container, &chunk.key))).is_ok();
            if !is_moved {
                unused.push(Unused { container, segment_fate, key: chunk.key.to_string(), size: chunk.size });
            }
        }
    }
    unused
}

//! The survey: what survived in Tier-2.
//!
//! One listing for all; the metadata of a container is read when its task begins and forgotten when it ends, so that
//! memory follows the containers in work, not the cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use dr_backends::tier2::Tier2;
use dr_formats::controller::TransactionId;
use dr_formats::names::{container_metadata_segment, owning_container, storage_metadata_segment};

use crate::apply::recoveries;
use crate::committed::{Committed, Fate, Fates, Open};
use crate::contract::{ContainerId, ContainerSummary, Segment};
use crate::controller::ControllerTables;
use crate::error::{OperatorError, Result};
use crate::evidence::{ContainerEvidence, FirstLook};
use crate::ledgers::{Content, SegmentTail, TailedTier2};
use crate::listing::{ListedContainer, Listing};
use crate::named_segments::NamedSegments;
use crate::plan::run_directory_error;
use crate::pool::{map_bounded, processors};
use crate::progress::{Progress, Silent};
use crate::read_once::ReadOnce;
use crate::reader_groups::ReadSegments;
use crate::scratch::Scratch;
use crate::stream_heads::{Begin, TruncatedFurther};
use crate::stream_tables::{Expected, StreamTables};
use crate::unfinished::UnfinishedTransactions;
use crate::unusable_groups::UnusableGroups;
use crate::witness::{Reads, WitnessedTier2};

/// What configuration says that the survey can check or must know.
#[derive(Debug, Clone, Copy, Default)]
pub struct SurveyOptions {
    /// `pravegaservice.container.count`; none: detected.
    pub container_count: Option<u32>,
}

/// What survived in Tier-2.
#[derive(Debug)]
pub struct Survey {
    tier2: WitnessedTier2,
    listing: Arc<Listing>,
    /// Without what only this survey sees; the same if that is nothing.
    held: Arc<Listing>,
    stream_tables: Arc<StreamTables>,
    loaded: Mutex<HashMap<ContainerId, Arc<ContainerEvidence>>>,
    told: Mutex<HashMap<ContainerId, Arc<Told>>>,
    named: ReadOnce<NamedSegments>,
    read_segments: ReadSegments,
    unfinished: ReadOnce<UnfinishedTransactions>,
    truncated_further: ReadOnce<TruncatedFurther>,
    unusable_groups: ReadOnce<UnusableGroups>,
    controller_tables: ReadOnce<ControllerTables>,
    scratch: ReadOnce<Scratch>,
    has_newer_log: bool,
}

/// What a container tells of the streams of others, remembered when the rest of its evidence is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Told {
    committed: Committed,
    /// Those with content that is not part of another segment.
    open: BTreeSet<TransactionId>,
    /// Segments that begin behind what the controller says, if these [are wanted](Survey::truncations_are_wanted).
    pub(crate) truncated_further: Vec<(Box<str>, Begin)>,
    /// Metadata tables of streams that were deleted and have objects still.
    deleted_stream_tables: HashSet<Box<str>>,
}

impl Told {
    fn of(evidence: &ContainerEvidence, truncations_are_wanted: bool) -> Self {
        Self {
            committed: evidence.committed().clone(),
            open: evidence.open_transactions().ids,
            truncated_further: if truncations_are_wanted { evidence.truncated_further() } else { Vec::new() },
            deleted_stream_tables: evidence.deleted_stream_tables().map(Into::into).collect(),
        }
    }

    fn committed_of<'a>(&'a self, transactions: &'a Open) -> impl Iterator<Item = (TransactionId, Fate)> + 'a {
        self.committed.intersection(&transactions.ids).map(|&id| (id, Fate::Committed))
    }
}

impl Survey {
    /// Lists Tier-2 and checks the container count against what the containers hold. A plan can be made of it: what is read is
    /// remembered as its evidence.
    ///
    /// # Errors
    /// Those of [`Listing::take`] and [`ContainerEvidence::load`].
    pub fn take(tier2: Arc<dyn Tier2>, options: SurveyOptions, progress: &dyn Progress) -> Result<Self> {
        Self::through(WitnessedTier2::new, tier2, options, progress)
    }

    /// As [`Survey::take`], for those who only look: no plan can be made of it, since what is read is not remembered.
    ///
    /// # Errors
    /// As [`Survey::take`].
    pub fn look(tier2: Arc<dyn Tier2>, options: SurveyOptions, progress: &dyn Progress) -> Result<Self> {
        Self::through(WitnessedTier2::forgetful, tier2, options, progress)
    }

    fn through(
        witness: fn(Arc<dyn Tier2>, u32) -> WitnessedTier2,
        tier2: Arc<dyn Tier2>,
        options: SurveyOptions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let listing = Arc::new(Listing::take(tier2.as_ref(), options.container_count, progress)?);
        let tier2 = witness(tier2, listing.container_count());
        let stream_tables = Arc::new(StreamTables::read(&listing, &tier2)?);
        let survey = Self {
            tier2,
            held: Arc::clone(&listing),
            listing,
            stream_tables,
            loaded: Mutex::default(),
            told: Mutex::default(),
            named: ReadOnce::default(),
            read_segments: ReadSegments::default(),
            unfinished: ReadOnce::default(),
            truncated_further: ReadOnce::default(),
            unusable_groups: ReadOnce::default(),
            controller_tables: ReadOnce::default(),
            scratch: ReadOnce::default(),
            has_newer_log: false,
        };
        survey.check_container_count()?;
        Ok(survey)
    }

    /// The objects.
    pub fn tier2(&self) -> &dyn Tier2 {
        &self.tier2
    }

    /// What survived, seen as if the store had flushed what its logs hold.
    ///
    /// # Errors
    /// Those of [`Survey::take`].
    pub(crate) fn with_tails(&self, tails: &BTreeMap<String, SegmentTail>) -> Result<Self> {
        let tailed = TailedTier2::new(self.tier2.behind(), &self.listing, tails)?;
        let options = SurveyOptions { container_count: Some(self.container_count()) };
        Self::take(Arc::new(tailed), options, &Silent)
    }

    /// What survived, seen as if Tier-2 held these objects, too. A plan rests on what Tier-2 holds without them.
    ///
    /// # Errors
    /// Those of [`Survey::take`].
    pub(crate) fn with_objects(&self, objects: &BTreeMap<String, Content>) -> Result<Self> {
        let tailed = TailedTier2::with_objects(self.tier2.behind(), objects.clone());
        let options = SurveyOptions { container_count: Some(self.container_count()) };
        let mut survey = Self::take(Arc::new(tailed), options, &Silent)?;
        survey.held = Arc::clone(&self.held);
        Ok(survey)
    }

    /// Takes nothing for ahead of the controller's tables, and nothing for left half-made by it: a container goes on with its old log, which is not
    /// seen here and can hold their newest rows. To be called before a container is looked at.
    pub fn expect_newer_log(&mut self) {
        self.has_newer_log = true;
    }

    /// True if a container goes on with its old log, so that Tier-2 is not the newest word of the controller.
    pub(crate) fn has_newer_log(&self) -> bool {
        self.has_newer_log
    }

    /// The objects that Tier-2 holds, without those that only this survey sees.
    pub fn held(&self) -> &Listing {
        &self.held
    }

    /// Sets what was read of a container that is done aside, to an unnamed file in `directory`.
    ///
    /// # Errors
    /// `run-directory`.
    pub(crate) fn set_reads_aside(&self, container: ContainerId, directory: &Path) -> Result<()> {
        let fail = |error| run_directory_error("write", directory, error);
        let make = || Ok(Scratch::new(tempfile::tempfile_in(directory).map_err(fail)?));
        self.tier2.set_aside(container, &self.scratch.get(make)?).map_err(fail)
    }

    /// Takes out what was read of the objects so far.
    ///
    /// # Errors
    /// `defect` if this survey was only to look.
    pub(crate) fn take_reads(&self) -> Result<Reads> {
        self.tier2.take_reads().ok_or_else(|| {
            OperatorError::new(
                "defect",
                "a plan is made of a survey that was only to look",
                "report this as a defect of dr",
            )
        })
    }

    /// The listing.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Containers of the cluster, those without objects included.
    pub fn container_count(&self) -> u32 {
        self.listing.container_count()
    }

    /// All containers, by number.
    pub fn containers(&self) -> Vec<ContainerSummary> {
        let summary = |(id, listed): (ContainerId, &ListedContainer)| ContainerSummary {
            id,
            objects: listed.count,
            bytes: listed.bytes,
            highest_epoch: listed.highest_epoch,
        };
        (0..).zip(&self.listing.containers).map(summary).collect()
    }

    /// The evidence of a container, read now or before.
    ///
    /// # Errors
    /// `container-unknown`; those of [`ContainerEvidence::load`].
    pub fn evidence(&self, container: ContainerId) -> Result<Arc<ContainerEvidence>> {
        if let Some(evidence) = self.loaded().get(&container) {
            return Ok(evidence.clone());
        }
        // Loaded outside the lock: containers load in parallel. One container loading twice is harmless.
        let evidence = Arc::new(self.load_settled(container)?);
        Ok(self.loaded().entry(container).or_insert(evidence).clone())
    }

    /// The evidence of a container that is not in work: read, and forgotten by whoever asked.
    ///
    /// # Errors
    /// As [`Survey::evidence`].
    pub(crate) fn evidence_for_a_moment(&self, container: ContainerId) -> Result<Arc<ContainerEvidence>> {
        let loaded = self.loaded().get(&container).cloned();
        loaded.map_or_else(|| self.load_settled(container).map(Arc::new), Ok)
    }

    /// Where segments end that reader groups read.
    pub(crate) fn read_segments(&self) -> &ReadSegments {
        &self.read_segments
    }

    /// What the controller says of streams and key-value tables.
    pub(crate) fn stream_tables(&self) -> &StreamTables {
        &self.stream_tables
    }

    pub(crate) fn unfinished_cache(&self) -> &ReadOnce<UnfinishedTransactions> {
        &self.unfinished
    }

    pub(crate) fn truncated_further_cache(&self) -> &ReadOnce<TruncatedFurther> {
        &self.truncated_further
    }

    pub(crate) fn unusable_groups_cache(&self) -> &ReadOnce<UnusableGroups> {
        &self.unusable_groups
    }

    pub(crate) fn controller_tables_cache(&self) -> &ReadOnce<ControllerTables> {
        &self.controller_tables
    }

    fn load_settled(&self, container: ContainerId) -> Result<ContainerEvidence> {
        if container >= self.container_count() {
            return Err(self.unknown_container(container));
        }
        let mut evidence = self.load(container)?;
        if !self.has_newer_log {
            self.create_again(&mut evidence)?;
            self.empty_unusable_groups(&mut evidence)?;
        }
        let open = evidence.open_transactions();
        if !open.ids.is_empty() {
            evidence.end_transactions(&self.fates(container, &open)?, self.tier2())?;
        }
        Ok(evidence)
    }

    /// Has the metadata of a container fetched that will be read when one of those in work is done: their reading has to wait for no disk then.
    fn fetch_next(&self, container: ContainerId) {
        let at_a_time = u32::try_from(processors()).unwrap_or(u32::MAX);
        let next = container.saturating_add(at_a_time);
        let Some(listed) = self.listing.containers.get(next as usize) else { return };
        if self.told().contains_key(&next) {
            return;
        }
        for table in [container_metadata_segment(next), storage_metadata_segment(next)] {
            listed.chunks_of(&table).for_each(|chunk| self.tier2.will_read(&chunk.key));
        }
    }

    fn load(&self, container: ContainerId) -> Result<ContainerEvidence> {
        self.fetch_next(container);
        let mut evidence = ContainerEvidence::load(
            container,
            self.container_count(),
            Arc::new(self.listing.objects(container)),
            self.stream_tables.clone(),
            self.tier2(),
        )?;
        if self.listing.has_journal_backups {
            evidence.doubt_row_lengths();
        }
        evidence.add_named(self.stream_tables.named_in(container));
        if evidence.lacks_rows() {
            let named = self.named_segments()?;
            evidence.add_named(named.in_container(container, self.container_count()));
        }
        if !self.has_newer_log {
            self.take_seals_back(&mut evidence)?;
        }
        self.told().insert(container, Arc::new(Told::of(&evidence, self.truncations_are_wanted())));
        Ok(evidence)
    }

    /// Opens the segments again that were sealed ahead of the controller's tables.
    fn take_seals_back(&self, evidence: &mut ContainerEvidence) -> Result<()> {
        for ((scope, stream), segments) in evidence.sealed_without_successors() {
            let Some(expected) = self.expected(&scope, &stream)? else { continue };
            for segment in segments {
                if expected.takes(&segment, || evidence.holds_events(&segment, self.tier2()))? {
                    evidence.take_seal_back(&segment);
                }
            }
        }
        Ok(())
    }

    /// Makes the segments anew that were deleted ahead of the controller's tables.
    fn create_again(&self, evidence: &mut ContainerEvidence) -> Result<()> {
        for ((scope, stream), segments) in evidence.deleted_without_successors() {
            let Some(expected) = self.expected(&scope, &stream)? else { continue };
            let owner_of = |segment: &str| owning_container(segment, self.container_count());
            // What damage put there can tell of segments of others.
            let is_meant = |segment: &String| expected.needs(segment) && owner_of(segment) == evidence.container;
            let missing: Vec<String> = segments.into_iter().filter(is_meant).collect();
            // Of a stream that was deleted with them the table can be left as it was before.
            let is_deleted =
                || self.told_by(owner_of(&expected.table)).deleted_stream_tables.contains(&*expected.table);
            if !missing.is_empty() && !is_deleted() {
                missing.iter().for_each(|segment| evidence.create_again(segment, !expected.is_written));
            }
        }
        Ok(())
    }

    /// Takes away what the states of reader groups hold that are to be created once more: they would be those of another group.
    fn empty_unusable_groups(&self, evidence: &mut ContainerEvidence) -> Result<()> {
        let states = evidence.states_of_reader_groups();
        if !states.is_empty() {
            let unusable = self.unusable_groups()?;
            states.iter().filter(|state| unusable.have_state(state)).for_each(|state| evidence.empty(state));
        }
        Ok(())
    }

    fn expected(&self, scope: &str, stream: &str) -> Result<Option<Expected>> {
        self.stream_tables.expected(scope, stream, &self.listing, self.tier2())
    }

    /// What the controller's tables name; read once, and only if a container lacks rows.
    fn named_segments(&self) -> Result<Arc<NamedSegments>> {
        self.named.get(|| NamedSegments::read(&self.listing, self.tier2()))
    }

    /// How the open transactions of a container ended, by the word of all containers and of the controller.
    fn fates(&self, container: ContainerId, open: &Open) -> Result<Fates> {
        let mut fates = open.fates_by_controller(&self.listing, self.tier2())?;
        for (other, listed) in (0..).zip(&self.listing.containers) {
            if other == container || listed.has_any_of(&open.ids) {
                fates.extend(self.told_by(other).committed_of(open));
            }
        }
        Ok(fates)
    }

    /// How transactions of any containers ended, and which of them have content that is not part of another segment.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn ends_of(&self, transactions: &Open) -> Result<(Fates, BTreeSet<TransactionId>)> {
        let mut fates = transactions.fates_by_controller(&self.listing, self.tier2())?;
        let mut left = BTreeSet::new();
        for (container, listed) in (0..).zip(&self.listing.containers) {
            if listed.has_any_of(&transactions.ids) {
                let told = self.told_by(container);
                fates.extend(told.committed_of(transactions));
                left.extend(told.open.intersection(&transactions.ids));
            }
        }
        Ok((fates, left))
    }

    /// What a container tells of the streams of others. One that cannot be read says nothing here; its own task says why.
    pub(crate) fn told_by(&self, container: ContainerId) -> Arc<Told> {
        if let Some(told) = self.told().get(&container) {
            return told.clone();
        }
        match self.load(container) {
            Ok(evidence) => Arc::new(Told::of(&evidence, self.truncations_are_wanted())),
            Err(error) => {
                tracing::warn!(container, %error, "cannot be asked for the streams of other containers");
                Arc::default()
            }
        }
    }

    /// False if a container need not be [asked](Self::told_by) where streams begin: none begins later than the controller says, by its metadata.
    pub(crate) fn may_tell_of_later_heads(&self, container: ContainerId) -> bool {
        if self.told().contains_key(&container) {
            return true;
        }
        self.fetch_next(container);
        let look = FirstLook {
            container,
            container_count: self.container_count(),
            objects: &self.listing.objects(container),
            stream_tables: &self.stream_tables,
        };
        // Why it cannot be read is said where it is asked.
        look.may_tell_of_later_heads(self.tier2()).unwrap_or(true)
    }

    /// Refuses containers that have data but no system journal: every container that ever ran has one, so the old
    /// metadata was moved away, most likely by an earlier recovery on which no store has booted yet. Recovering once more
    /// from what is left would give empty containers.
    ///
    /// # Errors
    /// `recovered-already`, or `metadata-missing` if there is no trace of a recovery.
    pub fn refuse_stripped(&self, containers: &[ContainerId]) -> Result<()> {
        let Some(container) = containers.iter().find(|&&container| self.is_stripped(container)) else { return Ok(()) };
        let what = format!("{}: container {container} has chunks but no system journal", self.tier2.location());
        Err(match recoveries(self.tier2())?.last() {
            Some(earlier) => OperatorError::new(
                "recovered-already",
                what,
                "start the segment stores on the Tier-1 that was recovered; if that Tier-1 is lost too, move the objects below \
                 `_dr/moved-aside/<place>/` back to where they were (the part of their path behind the place) and run the command again",
            )
            .because(format!("the recovery of plan {} moved its metadata aside, and no store has booted since", earlier.plan)),
            None => OperatorError::new(
                "metadata-missing",
                what,
                "restore the objects `_system/containers/_sysjournal.*` from a copy of Tier-2, or check that the root is complete",
            ),
        })
    }

    /// Refuses a Tier-2 in which a later Pravega left its own metadata: its stores would boot from that, not from our log, and no
    /// recovery of such a tree has been seen.
    ///
    /// # Errors
    /// `newer-version`.
    pub fn refuse_newer_version(&self) -> Result<()> {
        match self.listing.containers.iter().find_map(|listed| listed.others().first()) {
            None => Ok(()),
            Some(object) => Err(OperatorError::new(
                "newer-version",
                format!("{}: a Pravega later than 0.13 wrote `{}`", self.tier2.location(), object.key),
                "dr recovers clusters of Pravega 0.12 and 0.13; if yours is one of them and only left this object behind, move it away \
                 and run the command again. Events can be taken out with `dr export-events` in any case",
            )),
        }
    }

    fn is_stripped(&self, container: ContainerId) -> bool {
        self.listing.containers.get(container as usize).is_some_and(ListedContainer::is_stripped)
    }

    /// Forgets what was read of a container; it is read again when asked for.
    pub fn forget(&self, container: ContainerId) {
        self.loaded().remove(&container);
    }

    /// Segments of a container, by name, as a procedure sees them.
    ///
    /// # Errors
    /// As [`Survey::evidence`].
    pub fn segments(&self, container: ContainerId) -> Result<Vec<Segment>> {
        Ok(self.evidence(container)?.segments())
    }

    /// Segments of containers of which nothing is kept, each read in a thread of its own.
    ///
    /// # Errors
    /// For each container as [`Survey::evidence`].
    pub fn segments_for_a_moment(&self, containers: &[ContainerId]) -> Vec<Result<Vec<Segment>>> {
        let segments =
            |&container: &ContainerId| Ok(self.evidence_for_a_moment(container).map(|evidence| evidence.segments()));
        map_bounded(containers.len(), containers, segments).unwrap_or_default()
    }

    /// Loads containers until one proves the container count by the names in its metadata table.
    fn check_container_count(&self) -> Result<()> {
        for container in (0..self.container_count()).filter(|&container| !self.is_stripped(container)) {
            let evidence = self.evidence(container)?;
            if evidence.proves_container_count() {
                return Ok(());
            }
            self.forget(container);
        }
        Ok(())
    }

    fn unknown_container(&self, container: ContainerId) -> OperatorError {
        OperatorError::new(
            "container-unknown",
            format!("there is no container {container}: the cluster has {}, numbered from 0", self.container_count()),
            "name existing containers with --containers",
        )
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, HashMap<ContainerId, Arc<ContainerEvidence>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashMap<ContainerId, Arc<Told>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

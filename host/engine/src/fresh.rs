//! A fresh container in the overlay: the segments that a procedure creates, checked call by call against the evidence.

use std::collections::BTreeMap;

use dr_backends::tier2::Tier2;
use dr_formats::attribute as attributes;
use dr_formats::names::{SegmentKind, transaction_id};

use crate::contract::{
    AttributeUpdate, CallError, CallResult, ContainerId, EndedTransaction, NewSegment, RenewedGroup, Truncation,
};
use crate::error::Result;
use crate::evidence::{ContainerEvidence, MERGED_BY_RECOVERY};
use crate::reader_groups::Renewal;
use crate::reconcile::Standing;
use crate::survey::Survey;
use crate::unusable_names::{self, UnusableName};

/// Core attributes that belong to the lost log or to the old snapshot and would break the new container
/// (`pravega-durable-log` 8.2 and 14): index root and persisted sequence number, snapshot id and epoch.
const REFUSED_ATTRIBUTES: [u64; 4] = [
    attributes::ROOT_POINTER.0,
    attributes::PERSISTED_SEQUENCE_NUMBER.0,
    attributes::SNAPSHOT_ID.0,
    attributes::SNAPSHOT_EPOCH.0,
];

/// Most core attributes that one segment may get; Pravega defines fewer than twenty.
const ATTRIBUTES_MAX: usize = 64;

/// What the creation of a segment has to know of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldSegment {
    /// First readable offset.
    pub start_offset: u64,
    /// End of the bytes that are held without a hole.
    pub end: u64,
    /// It holds table entries, so it cannot end inside one.
    pub is_table: bool,
    /// The recovery makes its content part of another segment.
    pub is_merged: bool,
}

/// The old segments of a container: those of the evidence, or those that a test declares.
pub trait OldSegments {
    /// None if there is none of this name.
    fn old_segment(&self, name: &str) -> Option<OldSegment>;
    /// The largest length, at most `length`, at which a table ends with a whole entry.
    ///
    /// # Errors
    /// Whatever reading the table can meet.
    fn whole_table_length(&self, name: &str, length: u64) -> CallResult<u64>;
}

/// Those of the evidence.
pub struct EvidenceSegments<'a> {
    /// The container's.
    pub evidence: &'a ContainerEvidence,
    /// Where tables are read.
    pub tier2: &'a dyn Tier2,
}

impl OldSegments for EvidenceSegments<'_> {
    fn old_segment(&self, name: &str) -> Option<OldSegment> {
        self.evidence.segment(name).map(|segment| OldSegment {
            start_offset: segment.start_offset,
            end: segment.chain.end(),
            is_table: self.evidence.is_table(name),
            is_merged: segment.findings.contains(&MERGED_BY_RECOVERY),
        })
    }

    fn whole_table_length(&self, name: &str, length: u64) -> CallResult<u64> {
        Ok(self.evidence.measure_table(name, length, self.tier2)?.whole_length)
    }
}

/// One segment to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshSegment {
    /// Sealed.
    pub sealed: bool,
    /// Length, in bytes.
    pub length: u64,
    /// First readable offset.
    pub start_offset: u64,
    /// Core attributes by the low half of their ids.
    pub attributes: BTreeMap<u64, i64>,
    /// New beginning of the state of a reader group.
    pub renewal: Option<Renewal>,
    /// Entries that follow those of a table.
    pub appended: AppendedEntries,
}

/// Entries that follow those of a hash table; mostly none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AppendedEntries {
    /// Whole table entries.
    pub entries: Vec<u8>,
    /// What they do, see the contract's `findings`.
    pub findings: Vec<&'static str>,
}

impl AppendedEntries {
    fn add(&mut self, entries: &[u8], finding: &'static str) {
        if !entries.is_empty() {
            self.entries.extend_from_slice(entries);
            self.findings.push(finding);
        }
    }
}

impl FreshSegment {
    /// First offset that holds something of the old segment, and the offset behind the last.
    pub fn kept(&self) -> (u64, u64) {
        self.renewal.as_ref().map_or((self.start_offset, self.length), |renewal| (renewal.start, renewal.start))
    }
}

/// The segments created so far, by name.
#[derive(Debug, Default)]
pub struct FreshSegments {
    segments: BTreeMap<String, FreshSegment>,
    are_transactions_ended: bool,
}

impl FreshSegments {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FreshSegment)> {
        self.segments.iter().map(|(name, segment)| (name.as_str(), segment))
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&FreshSegment> {
        self.segments.get(name)
    }

    /// Adds segments, all or none.
    ///
    /// # Errors
    /// `not-found` for one that is not among the old ones, `already-exists`, `invalid` length, `conflict` for one that was
    /// merged, `unavailable`.
    pub fn create(
        &mut self,
        container: ContainerId,
        old_segments: &dyn OldSegments,
        new: Vec<NewSegment>,
    ) -> CallResult<()> {
        let mut created = BTreeMap::new();
        for segment in new {
            let fresh = self.check_new(container, old_segments, &segment)?;
            if created.insert(segment.name.clone(), fresh).is_some() {
                return Err(CallError::AlreadyExists(format!("the segment `{}` is named twice", segment.name)));
            }
        }
        self.segments.append(&mut created);
        Ok(())
    }

    fn check_new(
        &self,
        container: ContainerId,
        old_segments: &dyn OldSegments,
        segment: &NewSegment,
    ) -> CallResult<FreshSegment> {
        let name = &segment.name;
        let old = old_segments
            .old_segment(name)
            .ok_or_else(|| CallError::NotFound(format!("container {container} has no segment `{name}`")))?;
        if self.segments.contains_key(name) {
            return Err(CallError::AlreadyExists(format!("the segment `{name}` was created before")));
        }
        if old.is_merged {
            return Err(CallError::Conflict(format!(
                "the content of `{name}` is part of the segment it was merged into"
            )));
        }
        let (start, end) = (old.start_offset, old.end);
        if segment.length < start || segment.length > end {
            return Err(CallError::Invalid(format!(
                "the segment `{name}` holds bytes {start} to {end}, it cannot have the length {}",
                segment.length
            )));
        }
        if old.is_table && segment.length != end {
            let whole = old_segments.whole_table_length(name, segment.length)?;
            if whole != segment.length {
                return Err(CallError::Invalid(format!(
                    "the length {} lies inside an entry of the table `{name}`; the last whole one ends at {whole}",
                    segment.length
                )));
            }
        }
        Ok(FreshSegment {
            sealed: segment.sealed,
            length: segment.length,
            start_offset: start,
            attributes: default_attributes(SegmentKind::of(name)),
            renewal: None,
            appended: AppendedEntries::default(),
        })
    }

    /// Sets core attributes, all or none.
    ///
    /// # Errors
    /// `not-found`, `invalid`.
    pub fn update_attributes(&mut self, updates: Vec<AttributeUpdate>) -> CallResult<()> {
        for update in &updates {
            self.existing(&update.segment)?;
            if update.attributes.len() > ATTRIBUTES_MAX {
                return Err(CallError::Exhausted(format!(
                    "the segment `{}` would get more than {ATTRIBUTES_MAX} attributes",
                    update.segment
                )));
            }
            if let Some(refused) = update.attributes.iter().find(|attribute| REFUSED_ATTRIBUTES.contains(&attribute.id))
            {
                return Err(CallError::Invalid(format!(
                    "the attribute {} of `{}` belongs to the lost log and must not be copied",
                    refused.id, update.segment
                )));
            }
        }
        for update in updates {
            if let Some(segment) = self.segments.get_mut(&update.segment) {
                segment.attributes.extend(update.attributes.iter().map(|attribute| (attribute.id, attribute.value)));
            }
        }
        Ok(())
    }

    /// Marks segments as sealed, all or none.
    ///
    /// # Errors
    /// `not-found`.
    pub fn seal(&mut self, names: &[String]) -> CallResult<()> {
        names.iter().try_for_each(|name| self.existing(name).map(|_| ()))?;
        for name in names {
            if let Some(segment) = self.segments.get_mut(name) {
                segment.sealed = true;
            }
        }
        Ok(())
    }

    /// Moves start offsets forward, all or none.
    ///
    /// # Errors
    /// `not-found`, `invalid`.
    pub fn truncate(&mut self, truncations: &[Truncation]) -> CallResult<()> {
        for truncation in truncations {
            let segment = self.existing(&truncation.segment)?;
            if truncation.start_offset < segment.start_offset || truncation.start_offset > segment.length {
                return Err(CallError::Invalid(format!(
                    "the segment `{}` cannot begin at {}: it holds {} to {}",
                    truncation.segment, truncation.start_offset, segment.start_offset, segment.length
                )));
            }
        }
        for truncation in truncations {
            if let Some(segment) = self.segments.get_mut(&truncation.segment) {
                segment.start_offset = truncation.start_offset;
            }
        }
        Ok(())
    }

    /// Lets the state of reader groups begin anew, each as `renew` says for its name and length.
    ///
    /// # Errors
    /// `not-found`; those of `renew`.
    pub fn renew_reader_groups(
        &mut self,
        names: &[String],
        renew: impl Fn(&str, u64) -> CallResult<(RenewedGroup, Option<Renewal>)>,
    ) -> CallResult<Vec<RenewedGroup>> {
        let mut outcomes = Vec::with_capacity(names.len());
        for name in names {
            let segment = self.existing(name)?;
            let (outcome, renewal) = if segment.sealed {
                // No store starts from a log that appends to it, and its group was being deleted.
                (RenewedGroup { outcome: "sealed".to_owned(), ..RenewedGroup::default() }, None)
            } else {
                renew(name, segment.length)?
            };
            outcomes.push(outcome);
            if let Some(segment) = self.segments.get_mut(name) {
                segment.renewal = renewal;
            }
        }
        Ok(outcomes)
    }

    /// Notes that the transactions are ended now.
    ///
    /// # Errors
    /// `conflict` for the second time.
    pub fn end_transactions_once(&mut self) -> CallResult<()> {
        if std::mem::replace(&mut self.are_transactions_ended, true) {
            return Err(CallError::Conflict("the transactions of this container were ended before".to_owned()));
        }
        Ok(())
    }

    /// Ends the transactions that the tables among the segments hold as under way.
    ///
    /// # Errors
    /// `conflict` for a second call, `unavailable`.
    pub fn end_transactions(
        &mut self,
        survey: &Survey,
        evidence: &ContainerEvidence,
    ) -> CallResult<Vec<EndedTransaction>> {
        self.end_transactions_once()?;
        let unfinished = survey.unfinished_transactions()?;
        let mut ended = Vec::new();
        for (name, segment) in &mut self.segments {
            let Some(found) = evidence.segment(name) else { continue };
            let mut ending = unfinished.ending_entries(name, &found.chain, segment.length, survey.tier2())?;
            segment.appended.add(&ending.entries, "transactions-ended");
            ended.append(&mut ending.ended);
        }
        Ok(ended)
    }

    /// Takes the names of key-value tables and reader groups that nobody can use out of the tables of scopes among the segments. `is_log_whole` tells
    /// the containers that go on with their old logs. Returns each of them.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn free_unusable_names(
        &mut self,
        survey: &Survey,
        evidence: &ContainerEvidence,
        is_log_whole: impl Fn(ContainerId) -> bool,
    ) -> Result<Vec<UnusableName>> {
        let mut names = Vec::new();
        for (table, segment) in self.segments.iter_mut().filter(|(name, _)| unusable_names::is_table_of_names(name)) {
            let Some(found) = evidence.segment(table) else { continue };
            let mut unusable = survey.unusable_names(table, &found.chain, segment.length, &is_log_whole)?;
            if !unusable.names.is_empty() {
                segment.appended.add(&unusable.removals, "names-freed");
                names.append(&mut unusable.names);
            }
        }
        Ok(names)
    }

    /// Lets the metadata tables of streams among the segments say where their streams begin now. Returns `<scope>/<stream>` of each of which
    /// they said something else.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn raise_heads(&mut self, survey: &Survey, evidence: &ContainerEvidence) -> Result<Vec<String>> {
        let further = survey.truncated_further()?;
        let mut raised = Vec::new();
        if further.is_empty() {
            return Ok(raised);
        }
        for (table, segment) in &mut self.segments {
            let Some(found) = evidence.segment(table) else { continue };
            if let Some(head) = further.raised_head(table, &found.chain, segment.length, survey.tier2())? {
                segment.appended.add(&head.entry, "truncation-ahead");
                raised.push(head.stream);
            }
        }
        Ok(raised)
    }

    /// Objects of segments whose old content is of no use any more: groups that begin anew, transactions that are ended.
    pub fn objects_of_no_use<'a>(&'a self, evidence: &'a ContainerEvidence) -> BTreeMap<String, u64> {
        let renewed = self.iter().filter(|(_, segment)| segment.renewal.is_some());
        let mut objects: BTreeMap<&str, u64> = renewed.flat_map(|(name, _)| evidence.objects_of(name)).collect();
        if self.are_transactions_ended {
            let is_dropped = |name: &str| transaction_id(name).is_some() && self.get(name).is_none();
            let dropped = evidence.reconciled().filter(|(_, found)| found.standing == Standing::Live);
            let dropped: Vec<&str> = dropped.map(|(name, _)| name).filter(|name| is_dropped(name)).collect();
            objects.extend(dropped.into_iter().flat_map(|name| evidence.objects_of_segment_and_index(name)));
            // One that a transaction lent to its segment.
            for key in self.created_chunks(evidence) {
                objects.remove(key);
            }
        }
        objects.into_iter().map(|(key, size)| (key.to_owned(), size)).collect()
    }

    fn created_chunks<'a>(&'a self, evidence: &'a ContainerEvidence) -> impl Iterator<Item = &'a str> {
        let created = self.iter().filter(|(_, segment)| segment.renewal.is_none());
        let chains = created.filter_map(|(name, _)| evidence.segment(name));
        chains.flat_map(|segment| segment.chain.parts.iter().map(|part| &*part.key))
    }

    fn existing(&self, name: &str) -> CallResult<&FreshSegment> {
        self.segments
            .get(name)
            .ok_or_else(|| CallError::NotFound(format!("the segment `{name}` was not created in this container")))
    }
}

/// What a segment without a row of its own gets; a row's values, copied by the procedure, replace these.
fn default_attributes(kind: SegmentKind) -> BTreeMap<u64, i64> {
    let pairs: &[(u64, i64)] = match kind {
        SegmentKind::ControllerTable => &[
            (attributes::ROLLOVER_SIZE.0, 16 << 20),
            (attributes::SEGMENT_TYPE.0, attributes::SegmentType::TABLE.0),
            (attributes::COMPACTION_OFFSET.0, 0),
            (attributes::MIN_UTILIZATION.0, 75),
        ],
        SegmentKind::KeyValueTable => &[
            (attributes::SEGMENT_TYPE.0, attributes::SegmentType::FIXED_KEY_TABLE.0),
            (attributes::INDEX_OFFSET.0, 0),
            (attributes::ENTRY_COUNT.0, 0),
            (attributes::BUCKET_COUNT.0, 0),
            (attributes::TOTAL_ENTRY_COUNT.0, 0),
            (attributes::COMPACTION_OFFSET.0, 0),
            (attributes::MIN_UTILIZATION.0, 75),
        ],
        _ => &[
            (attributes::SCALE_POLICY_TYPE.0, 0),
            (attributes::SCALE_POLICY_RATE.0, 0),
            (attributes::ROLLOVER_SIZE.0, 0),
            (attributes::SEGMENT_TYPE.0, 0),
        ],
    };
    pairs.iter().copied().collect()
}

//! The listing of Tier-2: every object, classified by its name and given to the container that owns it.

mod packed;
mod places;

use std::collections::BTreeSet;

use dr_backends::tier2::{ObjectInfo, Tier2, Tier2Error};
use dr_formats::controller::TransactionId;
use dr_formats::names::{
    ChunkName, JournalKind, JournalName, ObjectName, SystemSegment, container_named_in, owning_container,
    transaction_id,
};
use sha2::{Digest as _, Sha256};

use self::packed::PackedChunks;
use self::places::Places;
use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::plan::{EvidenceDigest, hex};
use crate::pool::{map_bounded, processors};
use crate::progress::{Progress, Unit};

/// Most containers that a cluster may have: Pravega's own configuration tops out far below. Bounds what a damaged
/// name such as `metadata_4000000000` can make us allocate.
pub const CONTAINERS_MAX: u32 = 65_536;

/// Containers that are sorted on one thread before those of all threads are put into the listing.
const CONTAINERS_OF_A_THREAD: usize = 4;

/// Prefix of our own objects: what was moved aside, markers, records. Never evidence.
const OWN_PREFIX: &str = "_dr/";

/// A chunk object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkObject {
    /// Raw key.
    pub key: Box<str>,
    /// Offset in the name; a hint only.
    pub offset: u64,
    /// Container epoch in the name.
    pub epoch: u64,
    /// In bytes.
    pub size: u64,
    segment_bytes: u32,
}

impl ChunkObject {
    /// The chunk that an object's name says it is.
    fn of(key: String, size: u64) -> Option<Self> {
        let ChunkName { segment, epoch, offset, .. } = ChunkName::parse(&key)?;
        let segment_bytes = u32::try_from(segment.len()).ok()?;
        Some(Self { offset, epoch, size, segment_bytes, key: key.into() })
    }

    /// An object with the name that the store would give it.
    #[cfg(test)]
    pub(crate) fn for_test(segment: &str, offset: u64, epoch: u64, size: u64) -> Self {
        let key = format!("{segment}.E-{epoch}-O-{offset}.{}", "00000000-0000-0000-0000-000000000000");
        Self { key: key.into(), offset, epoch, size, segment_bytes: u32::try_from(segment.len()).unwrap() }
    }

    /// The segment in the name; a hint only, since merges give chunks to other segments of the stream.
    pub fn segment(&self) -> &str {
        &self.key[..self.segment_bytes as usize]
    }
}

/// Chunks by key, by the segment in their names.
pub(crate) fn of_each_segment(chunks: &[ChunkObject]) -> impl Iterator<Item = &[ChunkObject]> {
    chunks.chunk_by(|a, b| a.segment() == b.segment())
}

/// A system journal or snapshot object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalObject {
    /// Container epoch.
    pub epoch: u64,
    /// Number of the file or snapshot in its epoch.
    pub index: u64,
    /// Which of the two.
    pub kind: JournalKind,
    /// Raw key.
    pub key: Box<str>,
    /// In bytes.
    pub size: u64,
}

/// Objects of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerObjects {
    /// By epoch and index.
    pub journals: Vec<JournalObject>,
    /// By key, so that chunks of one segment stand together. Not to be changed once one was looked for.
    pub chunks: Vec<ChunkObject>,
    /// Other metadata objects of later versions: snapshot pointers, epoch files.
    pub others: Vec<ObjectInfo>,
    places: Places,
}

impl ContainerObjects {
    #[cfg(test)]
    pub(crate) fn for_test(chunks: Vec<ChunkObject>) -> Self {
        Self { chunks, ..Self::default() }
    }

    fn sort(&mut self) {
        self.journals.sort_unstable();
        self.chunks.sort_unstable();
        self.others.sort_unstable();
    }

    /// The highest epoch in any name.
    pub fn highest_epoch(&self) -> u64 {
        let journals = self.journals.iter().map(|journal| journal.epoch);
        journals.chain(self.chunks.iter().map(|chunk| chunk.epoch)).max().unwrap_or(0)
    }

    /// Keys and sizes of all of them, by key.
    pub(crate) fn by_key(&self) -> Vec<(&str, u64)> {
        let journals = self.journals.iter().map(|journal| (&*journal.key, journal.size));
        let chunks = self.chunks.iter().map(|chunk| (&*chunk.key, chunk.size));
        let others = self.others.iter().map(|object| (object.key.as_str(), object.size));
        let mut objects: Vec<_> = journals.chain(chunks).chain(others).collect();
        objects.sort_unstable();
        objects
    }

    /// What the digest of a listing covers of them.
    fn digested(&self) -> Vec<u8> {
        let mut digested = Vec::new();
        self.journals.iter().for_each(|journal| push_digested(&mut digested, &journal.key, journal.size));
        self.chunks.iter().for_each(|chunk| push_digested(&mut digested, &chunk.key, chunk.size));
        self.others.iter().for_each(|object| push_digested(&mut digested, &object.key, object.size));
        digested
    }

    fn count(&self) -> u64 {
        (self.journals.len() + self.chunks.len() + self.others.len()) as u64
    }

    fn bytes(&self) -> u64 {
        let journals = self.journals.iter().map(|journal| journal.size);
        let chunks = self.chunks.iter().map(|chunk| chunk.size);
        journals.chain(chunks).chain(self.others.iter().map(|object| object.size)).sum()
    }

    /// Chunks that carry the name of this segment.
    pub fn chunks_of<'a>(&'a self, segment: &'a str) -> impl Iterator<Item = &'a ChunkObject> {
        // Keys are sorted, and `<segment>.E-` is a prefix of each of them; other names may share that prefix.
        let first = self.places.of_segment(segment, &self.chunks).unwrap_or(self.chunks.len());
        let in_range =
            move |chunk: &&ChunkObject| chunk.key.strip_prefix(segment).is_some_and(|rest| rest.starts_with(".E-"));
        self.chunks[first..].iter().take_while(in_range).filter(move |chunk| chunk.segment() == segment)
    }

    /// The chunk that continues a segment at `offset`, of those with content that `counts`: of several the one of the highest
    /// epoch, then the longest.
    pub fn next_chunk<'a>(
        &'a self,
        segment: &'a str,
        offset: u64,
        counts: impl Fn(&ChunkObject) -> bool,
    ) -> Option<&'a ChunkObject> {
        let continues =
            self.chunks_of(segment).filter(|chunk| chunk.offset == offset && chunk.size > 0 && counts(chunk));
        continues.max_by(|a, b| (a.epoch, a.size, &a.key).cmp(&(b.epoch, b.size, &b.key)))
    }

    /// Chunks whose keys begin with `prefix`.
    pub fn chunks_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a ChunkObject> {
        let first = self.chunks.partition_point(|chunk| *chunk.key < *prefix);
        self.chunks[first..].iter().take_while(move |chunk| chunk.key.starts_with(prefix))
    }

    /// Size of a chunk object, or none if there is no such object.
    pub fn chunk_size(&self, key: &str) -> Option<u64> {
        self.chunks.get(self.place_of(key)?).map(|chunk| chunk.size)
    }

    /// The place of a chunk among [`Self::chunks`].
    pub(crate) fn place_of(&self, key: &str) -> Option<usize> {
        self.places.of_key(key, &self.chunks)
    }

    /// Objects of the old container metadata: journals, the chunks of the four system segments, other metadata.
    pub fn metadata_objects(&self, container: ContainerId) -> Vec<(&str, u64)> {
        let journals = self.journals.iter().map(|journal| (&*journal.key, journal.size));
        let is_system = |chunk: &&ChunkObject| {
            SystemSegment::parse(chunk.segment()).is_some_and(|system| system.container == container)
        };
        let chunks = self.chunks.iter().filter(is_system).map(|chunk| (&*chunk.key, chunk.size));
        let others = self.others.iter().map(|object| (object.key.as_str(), object.size));
        let mut objects: Vec<_> = journals.chain(chunks).chain(others).collect();
        objects.sort_unstable();
        objects
    }
}

/// Lists the chunks whose keys begin with `prefix`, whichever container owns them, by key.
///
/// # Errors
/// Tier-2 errors.
pub fn chunks_below(tier2: &dyn Tier2, prefix: &str) -> Result<Vec<ChunkObject>> {
    let mut chunks = Vec::new();
    tier2.list(prefix, &mut |object| {
        chunks.extend(ChunkObject::of(object.key, object.size));
        Ok(())
    })?;
    chunks.sort_unstable();
    Ok(chunks)
}

/// Objects of one container, as a listing holds them until the container is worked on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedContainer {
    /// How many.
    pub count: u64,
    /// Their sizes added up.
    pub bytes: u64,
    /// The highest epoch in any name.
    pub highest_epoch: u64,
    journals: Vec<JournalObject>,
    chunks: PackedChunks,
    others: Vec<ObjectInfo>,
    /// Those of which some chunk bears the name.
    transactions: BTreeSet<TransactionId>,
}

impl From<ContainerObjects> for ListedContainer {
    fn from(mut objects: ContainerObjects) -> Self {
        objects.sort();
        let (count, bytes, highest_epoch) = (objects.count(), objects.bytes(), objects.highest_epoch());
        let mut chunks = PackedChunks::default();
        objects.chunks.iter().for_each(|chunk| chunks.push(&chunk.key, chunk.size));
        chunks.finish();
        let transactions = objects.chunks.iter().filter_map(|chunk| transaction_id(chunk.segment())).collect();
        let ContainerObjects { journals, others, .. } = objects;
        Self { count, bytes, highest_epoch, journals, chunks, others, transactions }
    }
}

impl ListedContainer {
    /// The objects.
    pub fn objects(&self) -> ContainerObjects {
        let (journals, others) = (self.journals.clone(), self.others.clone());
        ContainerObjects { journals, chunks: self.chunks.iter().collect(), others, places: Places::default() }
    }

    /// Chunks whose keys begin with `prefix`, by key.
    pub fn chunks_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = ChunkObject> {
        self.chunks.below(prefix)
    }

    /// Chunks that carry the name of this segment, by key.
    pub(crate) fn chunks_of<'a>(&'a self, segment: &'a str) -> impl Iterator<Item = ChunkObject> {
        self.chunks_below(segment).filter(move |chunk| chunk.segment() == segment)
    }

    /// Other metadata objects of later versions, by key.
    pub fn others(&self) -> &[ObjectInfo] {
        &self.others
    }

    /// True if there are system journals.
    pub fn has_journals(&self) -> bool {
        !self.journals.is_empty()
    }

    /// True if there are chunks, but no system journal.
    pub fn is_stripped(&self) -> bool {
        self.journals.is_empty() && self.chunks.count() > 0
    }

    /// True if a chunk bears the name of one of these transactions.
    pub fn has_any_of(&self, transactions: &BTreeSet<TransactionId>) -> bool {
        !self.transactions.is_disjoint(transactions)
    }
}

/// The container that owns an object, by its name; none if no rule explains it.
pub(crate) fn owner_of(key: &str, container_count: u32) -> Option<ContainerId> {
    match ObjectName::parse(key) {
        ObjectName::Journal(JournalName { container, .. })
        | ObjectName::SnapshotInfo { container }
        | ObjectName::EpochFile { container } => Some(container),
        ObjectName::Chunk(ChunkName { segment, .. }) => Some(owner_of_chunk(segment, container_count)),
        ObjectName::RollingHeader { .. }
        | ObjectName::RollingData { .. }
        | ObjectName::JournalBackup(_)
        | ObjectName::Unknown => None,
    }
}

/// The container that owns a chunk with the name of this segment.
fn owner_of_chunk(segment: &str, container_count: u32) -> ContainerId {
    owning_container(segment, container_count).min(container_count.saturating_sub(1))
}

/// All objects of a Tier-2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// By container number.
    pub containers: Vec<ListedContainer>,
    /// Objects that no rule explains, by key; never touched.
    pub unknown: Vec<ObjectInfo>,
    /// The official tool had recovered the cluster, and left journals under other names.
    pub(crate) has_journal_backups: bool,
    digest: EvidenceDigest,
}

impl Listing {
    /// Lists the whole Tier-2 once.
    ///
    /// `container_count` is what configuration says; none lets the names of the containers' own objects decide.
    ///
    /// # Errors
    /// `tier2-empty`, `tier2-not-pravega` (with the level that was probably meant), `rolling-layout`,
    /// `container-count` for a count that the names contradict; Tier-2 errors.
    pub fn take(tier2: &dyn Tier2, container_count: Option<u32>, progress: &dyn Progress) -> Result<Self> {
        let collected = Self::collect(tier2, &|_| true, progress)?;
        let Some((highest, _)) = &collected.highest_container else {
            return Err(collected.refuse_foreign_tree(tier2));
        };
        let count = container_count.unwrap_or(highest + 1);
        collected.into_listing(count)
    }

    /// Lists a Tier-2 of which the container count is known for certain, also if the objects that tell it were moved
    /// aside.
    ///
    /// # Errors
    /// As [`Listing::take`], without `tier2-empty` and `tier2-not-pravega`.
    pub fn take_known(tier2: &dyn Tier2, container_count: u32, progress: &dyn Progress) -> Result<Self> {
        Self::collect(tier2, &|_| true, progress)?.into_listing(container_count)
    }

    /// Lists as [`Listing::take_known`], as if some objects were there too, and those with some keys were not.
    ///
    /// # Errors
    /// As [`Listing::take_known`].
    pub fn take_with(
        tier2: &dyn Tier2,
        container_count: u32,
        more: Vec<ObjectInfo>,
        without: &BTreeSet<&str>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut collected = Self::collect(tier2, &|object| !without.contains(object.key.as_str()), progress)?;
        more.into_iter().try_for_each(|object| collected.add(object))?;
        collected.into_listing(container_count)
    }

    fn collect(
        tier2: &dyn Tier2,
        is_wanted: &dyn Fn(&ObjectInfo) -> bool,
        progress: &dyn Progress,
    ) -> Result<Collected> {
        progress.stage_started("listing Tier-2", None, Unit::Objects);
        let mut collected = Collected::default();
        let mut failure = None;
        let listed = tier2.list("", &mut |object| {
            progress.advanced(1);
            if !is_wanted(&object) {
                return Ok(());
            }
            collected.add(object).map_err(|error| {
                failure = Some(error);
                // Any error ends the listing; the real one is in `failure`.
                Tier2Error::NotFound { location: String::new(), key: String::new() }
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        listed?;
        progress.stage_finished("listing Tier-2");
        Ok(collected)
    }

    /// All objects: those of each container, then, as its `others`, what no rule explains.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Option<ContainerId>, ContainerObjects)> {
        let containers = (0..self.container_count()).map(Some).chain([None]);
        containers.map(|container| (container, self.part(container)))
    }

    /// The objects of a container, or, as its `others`, what no rule explains.
    pub(crate) fn part(&self, container: Option<ContainerId>) -> ContainerObjects {
        match container {
            Some(container) => self.objects(container),
            None => ContainerObjects { others: self.unknown.clone(), ..ContainerObjects::default() },
        }
    }

    /// Containers of the cluster, those without objects included.
    pub fn container_count(&self) -> u32 {
        u32::try_from(self.containers.len()).unwrap_or(u32::MAX)
    }

    /// The objects of a container; nothing for one that is not there.
    pub fn objects(&self, container: ContainerId) -> ContainerObjects {
        self.containers.get(container as usize).map(ListedContainer::objects).unwrap_or_default()
    }

    /// True if a segment has objects in its container, by their names.
    pub(crate) fn has_objects_of(&self, segment: &str) -> bool {
        self.chunks_of(segment).next().is_some()
    }

    /// Chunks that carry the name of this segment, by key.
    pub(crate) fn chunks_of<'a>(&'a self, segment: &'a str) -> impl Iterator<Item = ChunkObject> {
        let container = self.containers.get(owning_container(segment, self.container_count()) as usize);
        container.into_iter().flat_map(|container| container.chunks_of(segment))
    }

    /// Digest of what was listed.
    pub fn digest(&self) -> EvidenceDigest {
        self.digest.clone()
    }
}

/// Chunks in the order of the listing, in pieces that are given up, a few at a time, while their chunks go to the containers.
#[derive(Default)]
struct Pieces(Vec<PackedChunks>);

impl Pieces {
    const LENGTH: u64 = 64 * 1024;

    fn push(&mut self, key: &str, size: u64) {
        match self.0.last_mut() {
            Some(piece) if piece.count() < Self::LENGTH => piece.push(key, size),
            _ => {
                self.0.last_mut().into_iter().for_each(PackedChunks::finish);
                let mut piece = PackedChunks::default();
                piece.push(key, size);
                self.0.push(piece);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = ChunkObject> {
        self.0.iter().flat_map(PackedChunks::iter)
    }

    /// What each container owns, in no order.
    fn by_owner(self, container_count: u32) -> Result<Vec<PackedChunks>> {
        // Neighbours have less in common in there than in the listing.
        let room = self.0.iter().map(PackedChunks::bytes).sum::<usize>() / container_count.max(1) as usize * 3 / 2;
        let mut containers: Vec<_> = (0..container_count).map(|_| PackedChunks::with_capacity(room)).collect();
        let mut pieces = self.0.into_iter();
        loop {
            let group: Vec<_> = pieces.by_ref().take(processors()).collect();
            if group.is_empty() {
                return Ok(containers);
            }
            // To find out whose a name is takes longer than to pack it once more.
            let owners = map_bounded(processors(), &group, |piece| Ok(owners_of(piece, container_count)))?;
            for (piece, owners) in group.iter().zip(owners) {
                let mut owners = owners.into_iter();
                piece.for_each(|key, size| {
                    if let Some(owner) = owners.next() {
                        containers[owner as usize].push(key, size);
                    }
                });
            }
        }
    }
}

/// The container of each chunk.
fn owners_of(piece: &PackedChunks, container_count: u32) -> Vec<ContainerId> {
    let mut owners = Vec::new();
    piece.for_each(|key, _| {
        let segment = ChunkName::parse(key).map_or(key, |chunk| chunk.segment);
        owners.push(owner_of_chunk(segment, container_count));
    });
    owners
}

#[derive(Default)]
struct Collected {
    journals: Vec<(ContainerId, JournalObject)>,
    chunks: Pieces,
    others: Vec<(ContainerId, ObjectInfo)>,
    unknown: Vec<ObjectInfo>,
    has_journal_backups: bool,
    highest_container: Option<(ContainerId, String)>,
}

impl Collected {
    fn add(&mut self, object: ObjectInfo) -> Result<()> {
        if object.key.starts_with(OWN_PREFIX) {
            return Ok(());
        }
        let ObjectInfo { key, size } = object;
        match ObjectName::parse(&key) {
            ObjectName::Journal(JournalName { epoch, container, kind, index }) => {
                self.see_container(container, &key)?;
                self.journals.push((container, JournalObject { epoch, index, kind, key: key.into(), size }));
            }
            ObjectName::SnapshotInfo { container } | ObjectName::EpochFile { container } => {
                self.see_container(container, &key)?;
                self.others.push((container, ObjectInfo { key, size }));
            }
            ObjectName::Chunk(ChunkName { segment, .. }) => {
                if let Some(container) = container_named_in(segment) {
                    self.see_container(container, &key)?;
                }
                self.chunks.push(&key, size);
            }
            ObjectName::RollingHeader { .. } | ObjectName::RollingData { .. } => {
                return Err(refuse_rolling_layout(&key));
            }
            name @ (ObjectName::JournalBackup(_) | ObjectName::Unknown) => {
                self.has_journal_backups |= matches!(name, ObjectName::JournalBackup(_));
                self.unknown.push(ObjectInfo { key, size });
            }
        }
        Ok(())
    }

    fn see_container(&mut self, container: ContainerId, key: &str) -> Result<()> {
        if container >= CONTAINERS_MAX {
            return Err(OperatorError::new(
                "container-count",
                format!("the object `{key}` names container {container}; dr supports {CONTAINERS_MAX} containers"),
                "move that object away if it is not Pravega's",
            ));
        }
        if self.highest_container.as_ref().is_none_or(|(highest, _)| container > *highest) {
            self.highest_container = Some((container, key.to_owned()));
        }
        Ok(())
    }

    fn into_listing(self, count: u32) -> Result<Listing> {
        if let Some((highest, key)) = self.highest_container.as_ref().filter(|(highest, _)| *highest >= count) {
            return Err(OperatorError::new(
                "container-count",
                format!(
                    "the container count {count} contradicts Tier-2: the object `{key}` belongs to container {highest}"
                ),
                format!(
                    "set pravegaservice.container.count (--container-count) to what the lost cluster had, at least {}",
                    highest + 1
                ),
            ));
        }
        let mut journals = vec![Vec::new(); count as usize];
        for (container, journal) in self.journals {
            journals[container as usize].push(journal);
        }
        let mut others = vec![Vec::new(); count as usize];
        for (container, other) in self.others {
            others[container as usize].push(other);
        }
        let mut unknown = self.unknown;
        unknown.sort_unstable();
        let mut hasher = Sha256::new();
        let mut containers = Vec::with_capacity(count as usize);
        let mut owned = self.chunks.by_owner(count)?.into_iter().zip(journals).zip(others);
        let threads = processors();
        loop {
            // In groups, so that few containers are unpacked at a time.
            let group: Vec<_> = owned.by_ref().take(threads * CONTAINERS_OF_A_THREAD).collect();
            if group.is_empty() {
                break;
            }
            let sorted = map_bounded(threads, &group, |((chunks, journals), others)| {
                let (journals, others) = (journals.clone(), others.clone());
                let chunks = chunks.iter().collect();
                let mut objects = ContainerObjects { journals, chunks, others, places: Places::default() };
                objects.sort();
                let digested = objects.digested();
                Ok((ListedContainer::from(objects), digested))
            })?;
            for (listed, digested) in sorted {
                hasher.update(&digested);
                containers.push(listed);
            }
        }
        let mut digested = Vec::new();
        unknown.iter().for_each(|object| push_digested(&mut digested, &object.key, object.size));
        hasher.update(&digested);
        let objects = containers.iter().map(|listed| listed.count).sum::<u64>() + unknown.len() as u64;
        let bytes = containers.iter().map(|listed| listed.bytes).sum::<u64>()
            + unknown.iter().map(|object| object.size).sum::<u64>();
        let listing = hex(&hasher.finalize());
        let digest = EvidenceDigest { listing, objects, bytes, parts: Vec::new(), znodes: None };
        Ok(Listing { containers, unknown, has_journal_backups: self.has_journal_backups, digest })
    }

    /// Says what is wrong with a tree that has none of Pravega's container objects.
    fn refuse_foreign_tree(&self, tier2: &dyn Tier2) -> OperatorError {
        let location = tier2.location();
        let keys = || {
            let chunks = self.chunks.iter().map(|chunk| chunk.key.into());
            chunks.chain(self.unknown.iter().map(|object| object.key.clone()))
        };
        if keys().next().is_none() {
            return OperatorError::new(
                "tier2-empty",
                format!("{location}: there is no object here"),
                "name the directory that filesystem.root of the segment stores names, and check that it is mounted",
            );
        }
        let below = |key: String| key.find("/_system/containers/").map(|at| key[..at].to_owned());
        let next_step = match keys().find_map(below) {
            Some(below) => format!("the root is one level too high: name `{location}/{below}`"),
            None if keys().any(|key: String| key.starts_with("containers/") || key.starts_with("metadata_")) => {
                "the root is too deep: name the directory that contains `_system`".to_owned()
            }
            None => "name the directory that filesystem.root of the segment stores names".to_owned(),
        };
        OperatorError::new(
            "tier2-not-pravega",
            format!("{location}: there are objects, but none of a segment container (`_system/containers/...`)"),
            next_step,
        )
    }
}

fn refuse_rolling_layout(key: &str) -> OperatorError {
    OperatorError::new(
        "rolling-layout",
        format!("Tier-2 is in the old rolling layout: `{key}`"),
        "Pravega 0.10 to 0.13 in the chunked layout is supported (pravegaservice.storage.layout=CHUNKED_STORAGE); no released 0.13 server reads the rolling \
         layout either: migrate with the version that wrote it",
    )
}

/// Adds what the digest of a listing covers of an object.
fn push_digested(digested: &mut Vec<u8>, key: &str, size: u64) {
    digested.extend_from_slice(key.as_bytes());
    digested.push(0);
    digested.extend(size.to_be_bytes());
}

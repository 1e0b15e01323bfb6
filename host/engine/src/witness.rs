//! Witnesses of what planning reads: they pass reads on and keep a digest of each answer, so that an application can ask
//! again and compare. Nothing is read a second time for this.
//!
//! There are as many reads as objects, and nobody asks for those of a container that is done until the evidence is written:
//! they wait in a scratch file.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dr_backends::tier1::{Tier1Error, ZNodeData, ZNodes};
use dr_backends::tier2::{ObjectInfo, Stamp, Tier2, Tier2Error};

use crate::contract::ContainerId;
use crate::listing::owner_of;
use crate::plan::hex;
use crate::scratch::{Place, Scratch};

/// Reads of which the digest takes longer than a look at all reads of a container.
const LONG_READ_BYTES: u64 = 1 << 20;

/// The first 128 bits of a BLAKE3 hash.
pub(crate) type ShortDigest = [u8; 16];

/// The digest of some bytes.
pub(crate) fn short_digest(bytes: &[u8]) -> ShortDigest {
    shortened(&blake3::hash(bytes))
}

/// The first half of a hash.
pub(crate) fn shortened(hash: &blake3::Hash) -> ShortDigest {
    let mut short = ShortDigest::default();
    short.copy_from_slice(&hash.as_bytes()[..16]);
    short
}

/// What a ZNode held: its version and the digest of its content.
pub(crate) fn digest_of_node(node: &ZNodeData) -> String {
    format!("{}-{}", node.version, hex(&short_digest(&node.data)))
}

/// Digest of the names of children.
pub(crate) fn digest_of_names(names: &[String]) -> String {
    hex(&short_digest(names.join("/").as_bytes()))
}

/// One read of an object. A digest stands for the key, since there are as many reads as objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Read {
    key: ShortDigest,
    range: ReadRange,
    /// Of the object before it was read.
    stamp: Option<Stamp>,
}

/// What was asked of an object, and the digest of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadRange {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) digest: ShortDigest,
}

/// A Tier-2 whose reads are remembered.
#[derive(Debug)]
pub(crate) struct WitnessedTier2 {
    tier2: Arc<dyn Tier2>,
    container_count: u32,
    /// By container; the last one is that of objects which no rule explains. Empty if nothing is remembered.
    parts: Vec<Mutex<Part>>,
}

/// Reads of the objects of one container.
#[derive(Debug, Default)]
struct Part {
    reads: Vec<Read>,
    /// Blocks of reads that were set aside.
    aside: Vec<(Arc<Scratch>, Place)>,
}

impl Part {
    /// True if the same was read before, of an object that did not change since, so that the answer was the same.
    fn has_read(&self, key: ShortDigest, offset: u64, length: u64, stamp: Option<Stamp>) -> bool {
        let is_same = |read: &Read| read.key == key && (read.range.offset, read.range.length) == (offset, length);
        self.reads.iter().any(|read| is_same(read) && read.stamp == stamp)
    }
}

impl WitnessedTier2 {
    pub(crate) fn new(tier2: Arc<dyn Tier2>, container_count: u32) -> Self {
        Self { tier2, container_count, parts: (0..=container_count).map(|_| Mutex::default()).collect() }
    }

    /// One that only passes reads on, for those who look and plan nothing: digests take a sixth of the time of reading metadata. What
    /// was read cannot be asked of it.
    pub(crate) fn forgetful(tier2: Arc<dyn Tier2>, container_count: u32) -> Self {
        Self { tier2, container_count, parts: Vec::new() }
    }

    /// The Tier-2 behind.
    pub(crate) fn behind(&self) -> Arc<dyn Tier2> {
        Arc::clone(&self.tier2)
    }

    /// Sets aside what was read of a container that is done; more may still be read.
    ///
    /// # Errors
    /// What the scratch file meets.
    pub(crate) fn set_aside(&self, container: ContainerId, scratch: &Arc<Scratch>) -> io::Result<()> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let mut part = self.part(Some(container));
        let mut reads = std::mem::take(&mut part.reads);
        sort_out(&mut reads);
        let mut bytes = Vec::with_capacity(reads.len() * size_of::<Read>());
        reads.iter().for_each(|read| read.push_to(&mut bytes));
        part.aside.push((Arc::clone(scratch), scratch.append(&bytes)?));
        Ok(())
    }

    /// Takes out everything that was read so far: the same whatever the order of the threads was, and however often the same
    /// was read. None if nothing is remembered.
    pub(crate) fn take_reads(&self) -> Option<Reads> {
        let parts = self.parts.iter().map(|part| std::mem::take(&mut *lock(part))).collect();
        (!self.parts.is_empty()).then_some(Reads(parts))
    }

    fn part(&self, owner: Option<ContainerId>) -> MutexGuard<'_, Part> {
        lock(&self.parts[owner.unwrap_or(self.container_count).min(self.container_count) as usize])
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read {
    fn push_to(&self, bytes: &mut Vec<u8>) {
        let ReadRange { offset, length, digest } = self.range;
        bytes.extend(self.key);
        bytes.extend(digest);
        bytes.extend([offset, length, self.stamp.map_or(0, Stamp::number)].into_iter().flat_map(u64::to_le_bytes));
    }

    fn take_from(bytes: &mut &[u8]) -> Option<Self> {
        let (key, digest) = (take(bytes)?, take(bytes)?);
        let mut number = || take(bytes).map(u64::from_le_bytes);
        let (offset, length, stamp) = (number()?, number()?, number()?);
        let stamp = (stamp > 0).then(|| Stamp::new(stamp));
        Some(Self { key, range: ReadRange { offset, length, digest }, stamp })
    }
}

fn take<const LENGTH: usize>(bytes: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Leaves one of those reads that were the same.
fn sort_out(reads: &mut Vec<Read>) {
    reads.sort_unstable();
    reads.dedup_by(|other, kept| {
        let is_same = (other.key, other.range) == (kept.key, kept.range);
        if is_same && other.stamp != kept.stamp {
            kept.stamp = None;
        }
        is_same
    });
}

/// Many objects are read twice in the same way, and one of the reads is enough.
fn make_room(reads: &mut Vec<Read>) {
    sort_out(reads);
    if reads.len() > reads.capacity() / 2 {
        reads.reserve(reads.len());
    }
}

/// What was read of all objects.
#[derive(Debug)]
pub(crate) struct Reads(Vec<Part>);

impl Reads {
    /// What was read of the objects of a container, or of those that no rule explains.
    ///
    /// # Errors
    /// What the scratch file meets.
    pub(crate) fn part(&self, container: Option<ContainerId>) -> io::Result<PartReads> {
        let part = container.map_or(self.0.last(), |container| self.0.get(container as usize));
        let Some(Part { reads, aside }) = part else { return Ok(PartReads(Vec::new())) };
        let mut reads = reads.clone();
        for (scratch, place) in aside {
            let bytes = scratch.read(place)?;
            let mut bytes = bytes.as_slice();
            reads.extend(std::iter::from_fn(|| Read::take_from(&mut bytes)));
        }
        sort_out(&mut reads);
        Ok(PartReads(reads))
    }
}

/// What was read of some objects.
#[derive(Debug)]
pub(crate) struct PartReads(Vec<Read>);

impl PartReads {
    /// The reads of an object, by offset, and its stamp if it was the same before all of them.
    pub(crate) fn of(&self, key: &str) -> (impl Iterator<Item = ReadRange>, Option<Stamp>) {
        let key = short_digest(key.as_bytes());
        let first = self.0.partition_point(|read| read.key < key);
        let count = self.0[first..].iter().take_while(|read| read.key == key).count();
        let reads = &self.0[first..first + count];
        let stamp = reads.first().and_then(|read| read.stamp);
        let is_steady = reads.iter().all(|read| read.stamp == stamp);
        (reads.iter().map(|read| read.range), stamp.filter(|_| is_steady))
    }
}

impl Tier2 for WitnessedTier2 {
    fn location(&self) -> String {
        self.tier2.location()
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), Tier2Error>,
    ) -> Result<(), Tier2Error> {
        self.tier2.list(prefix, visit)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, Tier2Error> {
        self.tier2.size(key)
    }

    fn read_at(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Tier2Error> {
        if self.parts.is_empty() {
            return self.tier2.read_at(key, offset, buffer);
        }
        let (count, stamp) = self.tier2.read_stamped(key, offset, buffer)?;
        let owner = owner_of(key, self.container_count);
        let (key, length) = (short_digest(key.as_bytes()), buffer.len() as u64);
        if length >= LONG_READ_BYTES && stamp.is_some() && self.part(owner).has_read(key, offset, length, stamp) {
            return Ok(count);
        }
        let range = ReadRange { offset, length, digest: short_digest(&buffer[..count]) };
        let read = Read { key, range, stamp };
        let mut part = self.part(owner);
        if part.reads.len() == part.reads.capacity() {
            make_room(&mut part.reads);
        }
        part.reads.push(read);
        Ok(count)
    }

    fn will_read(&self, key: &str) {
        self.tier2.will_read(key);
    }

    fn create(&self, key: &str, content: &[u8]) -> Result<(), Tier2Error> {
        self.tier2.create(key, content)
    }

    fn relocate(&self, from: &str, to: &str) -> Result<(), Tier2Error> {
        self.tier2.relocate(from, to)
    }

    fn delete(&self, key: &str) -> Result<(), Tier2Error> {
        self.tier2.delete(key)
    }
}

/// What was asked of ZNodes, and digests of the answers; none for a node that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SeenZNodes {
    pub(crate) nodes: BTreeMap<String, Option<String>>,
    pub(crate) children: BTreeMap<String, Option<String>>,
}

/// ZNodes whose reads are remembered.
#[derive(Debug)]
pub(crate) struct WitnessedZNodes {
    znodes: Arc<dyn ZNodes>,
    seen: Mutex<SeenZNodes>,
}

impl WitnessedZNodes {
    pub(crate) fn new(znodes: Arc<dyn ZNodes>) -> Self {
        Self { znodes, seen: Mutex::default() }
    }

    /// Everything that was looked at so far.
    pub(crate) fn seen(&self) -> SeenZNodes {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SeenZNodes> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ZNodes for WitnessedZNodes {
    fn location(&self) -> String {
        self.znodes.location()
    }

    fn get(&self, path: &str) -> Result<Option<ZNodeData>, Tier1Error> {
        let node = self.znodes.get(path)?;
        // The first answer stays: one that changed meanwhile will not be found again.
        self.lock().nodes.entry(path.to_owned()).or_insert_with(|| node.as_ref().map(digest_of_node));
        Ok(node)
    }

    fn children(&self, path: &str) -> Result<Option<Vec<String>>, Tier1Error> {
        let names = self.znodes.children(path)?;
        self.lock().children.entry(path.to_owned()).or_insert_with(|| names.as_deref().map(digest_of_names));
        Ok(names)
    }

    fn create(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error> {
        self.znodes.create(path, data)
    }

    fn set(&self, path: &str, data: &[u8], expected_version: i32) -> Result<i32, Tier1Error> {
        self.znodes.set(path, data, expected_version)
    }

    fn delete(&self, path: &str, expected_version: i32) -> Result<(), Tier1Error> {
        self.znodes.delete(path, expected_version)
    }

    fn next_sequence(&self, prefix: &str) -> Result<i64, Tier1Error> {
        self.znodes.next_sequence(prefix)
    }

    fn coming_sequence(&self, parent: &str) -> Result<Option<i64>, Tier1Error> {
        self.znodes.coming_sequence(parent)
    }
}

#[cfg(test)]
mod tests {
    use dr_backends::tier1::MemoryZNodes;
    use dr_backends::tier2::MemoryTier2;

    use super::*;

    const KEY: &str = "scope/stream/0.#epoch.0.E-1-O-0.00000000-0000-0000-0000-000000000000";

    #[test]
    fn reads_are_kept_once_whatever_their_order() {
        let tier2 = MemoryTier2::new();
        tier2.create(KEY, b"0123456789").unwrap();
        tier2.create("unexplained", b"x").unwrap();
        let tier2: Arc<dyn Tier2> = Arc::new(tier2);
        let read = |order: &[(u64, usize)], are_set_aside: bool| {
            let witness = WitnessedTier2::new(tier2.clone(), 4);
            let scratch = Arc::new(Scratch::new(tempfile::tempfile().unwrap()));
            for &(offset, length) in order {
                witness.read_at(KEY, offset, &mut vec![0; length]).unwrap();
                if are_set_aside {
                    witness.set_aside(owner_of(KEY, 4).unwrap(), &scratch).unwrap();
                }
            }
            let reads = witness.take_reads().unwrap().part(owner_of(KEY, 4)).unwrap();
            reads.of(KEY).0.collect::<Vec<_>>()
        };
        let reads = read(&[(4, 2), (0, 4), (4, 2)], false);
        assert_eq!(reads, read(&[(0, 4), (4, 2)], false));
        assert_eq!(reads, read(&[(4, 2), (0, 4), (4, 2)], true));
        assert_eq!(reads.iter().map(|range| (range.offset, range.length)).collect::<Vec<_>>(), [(0, 4), (4, 2)]);
        assert_eq!(reads[0].digest, short_digest(b"0123"));
        // Behind the end there is less than was asked for.
        assert_eq!(read(&[(8, 4)], false)[0].digest, short_digest(b"89"));
        let witness = WitnessedTier2::new(tier2, 4);
        witness.read_at("unexplained", 0, &mut [0]).unwrap();
        let reads = witness.take_reads().unwrap();
        assert!(reads.part(owner_of(KEY, 4)).unwrap().of(KEY).0.next().is_none());
        assert_eq!(reads.part(None).unwrap().of("unexplained").0.count(), 1);
    }

    #[test]
    fn one_that_forgets_passes_reads_on() {
        let tier2 = MemoryTier2::new();
        tier2.create(KEY, b"0123456789").unwrap();
        let forgetful = WitnessedTier2::forgetful(Arc::new(tier2), 4);
        let mut buffer = [0; 3];
        assert_eq!(forgetful.read_at(KEY, 8, &mut buffer).unwrap(), 2);
        assert_eq!(&buffer[..2], b"89");
        assert!(forgetful.take_reads().is_none());
    }

    #[test]
    fn a_stamp_that_changed_between_reads_is_none_also_if_one_was_set_aside() {
        let read = |stamp| Read {
            key: short_digest(b"key"),
            range: ReadRange { offset: 1 << 40, length: 7, digest: short_digest(b"content") },
            stamp,
        };
        let scratch = Arc::new(Scratch::new(tempfile::tempfile().unwrap()));
        let after = |aside: Option<Stamp>, later: Option<Stamp>| {
            let mut bytes = Vec::new();
            read(aside).push_to(&mut bytes);
            let aside = vec![(scratch.clone(), scratch.append(&bytes).unwrap())];
            let reads = Reads(vec![Part { reads: vec![read(later)], aside }]).part(None).unwrap();
            assert_eq!(reads.of("key").0.collect::<Vec<_>>(), [read(None).range]);
            reads.of("key").1
        };
        let [one, two] = [1, u64::MAX].map(|number| Some(Stamp::new(number)));
        assert_eq!([after(one, one), after(two, two), after(one, two), after(None, two)], [one, two, None, None]);
    }

    #[test]
    fn a_long_read_is_known_by_its_place_and_its_stamp() {
        let [one, other] = [1, 2].map(|number| Some(Stamp::new(number)));
        let key = short_digest(b"key");
        let range = ReadRange { offset: 8, length: LONG_READ_BYTES, digest: short_digest(b"content") };
        let part = Part { reads: vec![Read { key, range, stamp: one }], aside: Vec::new() };
        assert!(part.has_read(key, 8, LONG_READ_BYTES, one));
        let others = [(key, 8, LONG_READ_BYTES, other), (key, 9, LONG_READ_BYTES, one), (key, 8, 7, one)];
        for (key, offset, length, stamp) in others.into_iter().chain([(short_digest(b"?"), 8, LONG_READ_BYTES, one)]) {
            assert!(!part.has_read(key, offset, length, stamp), "{offset} {length} {stamp:?}");
        }
    }

    #[test]
    fn znodes_that_are_not_there_are_remembered_too() {
        let znodes = Arc::new(MemoryZNodes::new());
        znodes.create("/a/b", b"1").unwrap();
        let witness = WitnessedZNodes::new(znodes.clone());
        assert!(witness.get("/a/b").unwrap().is_some() && witness.get("/c").unwrap().is_none());
        witness.children("/a").unwrap();
        znodes.set("/a/b", b"2", 0).unwrap();
        witness.get("/a/b").unwrap();
        let seen = witness.seen();
        assert_eq!(seen.nodes["/a/b"], Some(format!("0-{}", hex(&short_digest(b"1")))));
        assert_eq!(seen.nodes["/c"], None);
        assert_eq!(seen.children["/a"], Some(digest_of_names(&["b".to_owned()])));
    }
}

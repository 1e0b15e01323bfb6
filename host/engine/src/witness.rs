//! Witnesses of what planning reads: they pass reads on and keep a digest of each answer, so that an application can ask
//! again and compare. Nothing is read a second time for this.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dr_backends::tier1::{Tier1Error, ZNodeData, ZNodes};
use dr_backends::tier2::{ObjectInfo, Stamp, Tier2, Tier2Error};

use crate::plan::hex;

/// Lists of reads, by a byte of the key's digest: threads rarely wait for each other, and none grows large.
const SHARDS: usize = 64;

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
    shards: Vec<Mutex<Vec<Read>>>,
}

impl WitnessedTier2 {
    pub(crate) fn new(tier2: Arc<dyn Tier2>) -> Self {
        Self { tier2, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// The Tier-2 behind.
    pub(crate) fn behind(&self) -> Arc<dyn Tier2> {
        Arc::clone(&self.tier2)
    }

    /// Takes out everything that was read so far: the same whatever the order of the threads was, and however often the same
    /// was read.
    pub(crate) fn take_reads(&self) -> Reads {
        let sorted = |shard: &Mutex<Vec<Read>>| {
            let mut reads = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            sort_out(&mut reads);
            reads
        };
        Reads(self.shards.iter().map(sorted).collect())
    }
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

/// Index of the list for a key.
fn shard_of(key: &ShortDigest) -> usize {
    usize::from(key[0]) % SHARDS
}

/// What was read of each object.
#[derive(Debug)]
pub(crate) struct Reads(Vec<Vec<Read>>);

impl Reads {
    /// The reads of an object, by offset, and its stamp if it was the same before all of them.
    pub(crate) fn of(&self, key: &str) -> (impl Iterator<Item = ReadRange>, Option<Stamp>) {
        let key = short_digest(key.as_bytes());
        let reads = &self.0[shard_of(&key)];
        let first = reads.partition_point(|read| read.key < key);
        let count = reads[first..].iter().take_while(|read| read.key == key).count();
        let reads = &reads[first..first + count];
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
        let (count, stamp) = self.tier2.read_stamped(key, offset, buffer)?;
        let range = ReadRange { offset, length: buffer.len() as u64, digest: short_digest(&buffer[..count]) };
        let read = Read { key: short_digest(key.as_bytes()), range, stamp };
        let mut reads = self.shards[shard_of(&read.key)].lock().unwrap_or_else(PoisonError::into_inner);
        if reads.len() == reads.capacity() {
            make_room(&mut reads);
        }
        reads.push(read);
        Ok(count)
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

    #[test]
    fn reads_are_kept_once_whatever_their_order() {
        let tier2 = MemoryTier2::new();
        tier2.create("a", b"0123456789").unwrap();
        tier2.create("b", b"x").unwrap();
        let tier2: Arc<dyn Tier2> = Arc::new(tier2);
        let read = |order: &[(u64, usize)]| {
            let witness = WitnessedTier2::new(tier2.clone());
            for &(offset, length) in order {
                witness.read_at("a", offset, &mut vec![0; length]).unwrap();
            }
            witness.take_reads().of("a").0.collect::<Vec<_>>()
        };
        let reads = read(&[(4, 2), (0, 4), (4, 2)]);
        assert_eq!(reads, read(&[(0, 4), (4, 2)]));
        assert_eq!(reads.iter().map(|range| (range.offset, range.length)).collect::<Vec<_>>(), [(0, 4), (4, 2)]);
        assert_eq!(reads[0].digest, short_digest(b"0123"));
        // Behind the end there is less than was asked for.
        assert_eq!(read(&[(8, 4)])[0].digest, short_digest(b"89"));
        assert!(WitnessedTier2::new(tier2).take_reads().of("b").0.next().is_none());
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

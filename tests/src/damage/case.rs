//! Which objects are damaged, and how.

use std::collections::BTreeMap;
use std::sync::Arc;

use dr_formats::names::{ChunkName, JournalKind, JournalName, ObjectName, SegmentKind, SystemSegment, main_segment_of};

/// Objects by key. Contents are shared between the trees of all cases.
pub type Tree = BTreeMap<String, Arc<Vec<u8>>>;

/// What an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// System journal file.
    Journal,
    /// Snapshot of a system journal.
    Snapshot,
    /// Chunk of a metadata table.
    MetadataTable,
    /// Chunk of the index of a metadata table.
    MetadataIndex,
    /// Chunk of a table of the controller or of a client.
    Table,
    /// Chunk of the index of such a table.
    TableIndex,
    /// Chunk of a segment with events.
    Stream,
    /// Chunk of its index.
    StreamIndex,
    /// Anything else.
    Other,
}

impl Class {
    fn of(key: &str) -> Self {
        match ObjectName::parse(key) {
            ObjectName::Journal(JournalName { kind: JournalKind::File, .. }) => Class::Journal,
            ObjectName::Journal(_) => Class::Snapshot,
            ObjectName::Chunk(ChunkName { segment, .. }) => Self::of_segment(segment),
            _ => Class::Other,
        }
    }

    fn of_segment(segment: &str) -> Self {
        if let Some(system) = SystemSegment::parse(segment) {
            return if system.attributes { Class::MetadataIndex } else { Class::MetadataTable };
        }
        let main = main_segment_of(segment);
        let is_table = matches!(
            SegmentKind::of(main.unwrap_or(segment)),
            SegmentKind::ControllerTable | SegmentKind::KeyValueTable
        );
        match (is_table, main.is_some()) {
            (true, false) => Class::Table,
            (true, true) => Class::TableIndex,
            (false, true) => Class::StreamIndex,
            (false, false) if segment.starts_with("_system/containers/") => Class::Other,
            (false, false) => Class::Stream,
        }
    }

    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Journal => "journal",
            Class::Snapshot => "journal snapshot",
            Class::MetadataTable => "metadata table",
            Class::MetadataIndex => "metadata index",
            Class::Table => "table",
            Class::TableIndex => "table index",
            Class::Stream => "stream",
            Class::StreamIndex => "stream index",
            Class::Other => "other",
        }
    }

    /// True for what describes the other objects.
    #[must_use]
    pub fn is_metadata(self) -> bool {
        matches!(self, Class::Journal | Class::Snapshot | Class::MetadataTable | Class::MetadataIndex)
    }
}

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Emptied,
    Halved,
    LastByteGone,
    TailGone,
    BlockZeroed,
    AllZeroed,
    HeaderFlipped,
    MiddleFlipped,
    EndFlipped,
    Missing,
    Swapped,
    Duplicated,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 12] = [
        Kind::Emptied,
        Kind::Halved,
        Kind::LastByteGone,
        Kind::TailGone,
        Kind::BlockZeroed,
        Kind::AllZeroed,
        Kind::HeaderFlipped,
        Kind::MiddleFlipped,
        Kind::EndFlipped,
        Kind::Missing,
        Kind::Swapped,
        Kind::Duplicated,
    ];

    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Emptied => "emptied",
            Kind::Halved => "halved",
            Kind::LastByteGone => "last byte gone",
            Kind::TailGone => "tail gone",
            Kind::BlockZeroed => "block zeroed",
            Kind::AllZeroed => "all zeroed",
            Kind::HeaderFlipped => "bit flipped at the beginning",
            Kind::MiddleFlipped => "bit flipped in the middle",
            Kind::EndFlipped => "bit flipped at the end",
            Kind::Missing => "missing",
            Kind::Swapped => "swapped with the next",
            Kind::Duplicated => "duplicated in a higher epoch",
        }
    }
}

/// Bytes of a block that is zeroed.
const BLOCK_BYTES: usize = 512;
/// Bytes at either end of an object in which bits are flipped, and most that are cut off as a tail.
const EDGE_BYTES: usize = 24;

/// One damage to one object.
#[derive(Debug, Clone)]
pub struct Case {
    /// The object.
    pub key: String,
    /// What it is for.
    pub class: Class,
    /// What happens to it.
    pub kind: Kind,
    /// The object that it is swapped with.
    pub other: Option<String>,
    /// Decides the bit that is flipped.
    pub random: u64,
}

impl Case {
    /// True if the content under this key may be another one than in the sound tree.
    #[must_use]
    pub fn touches(&self, key: &str) -> bool {
        self.kind != Kind::Duplicated && (key == self.key || Some(key) == self.other.as_deref())
    }

    /// True if a bit, or some, inside of the rows of this container's segments is another one; rows have no checksum.
    #[must_use]
    pub(super) fn changes_bits_of_rows(&self, container: u32) -> bool {
        let is_of_container = ChunkName::parse(&self.key)
            .and_then(|chunk| SystemSegment::parse(chunk.segment))
            .is_some_and(|system| system.container == container && !system.attributes);
        self.class == Class::MetadataTable
            && is_of_container
            && matches!(self.kind, Kind::BlockZeroed | Kind::HeaderFlipped | Kind::MiddleFlipped | Kind::EndFlipped)
    }

    /// The tree with the damage.
    #[must_use]
    pub fn damaged(&self, sound: &Tree) -> Tree {
        let mut tree = sound.clone();
        let content = &sound[&self.key];
        match (self.kind, &self.other) {
            (Kind::Missing, _) => {
                tree.remove(&self.key);
            }
            (Kind::Swapped, Some(other)) => {
                tree.insert(self.key.clone(), sound[other].clone());
                tree.insert(other.clone(), content.clone());
            }
            (Kind::Duplicated, _) => {
                tree.extend(in_higher_epoch(&self.key).map(|key| (key, content.clone())));
            }
            _ => {
                tree.insert(self.key.clone(), Arc::new(self.changed(content)));
            }
        }
        tree
    }

    fn changed(&self, content: &[u8]) -> Vec<u8> {
        let mut bytes = content.to_vec();
        let (length, edge) = (bytes.len(), bytes.len().min(EDGE_BYTES));
        let random = usize::try_from(self.random >> 8).unwrap_or(0);
        let mut flip = |position: usize| bytes[position] ^= 1 << (self.random % 8);
        match self.kind {
            Kind::Emptied => bytes.clear(),
            Kind::Halved => bytes.truncate(length / 2),
            Kind::LastByteGone => bytes.truncate(length - 1),
            Kind::TailGone => bytes.truncate(length - 1 - random % edge),
            Kind::BlockZeroed => {
                let first = random % length;
                let end = length.min(first + BLOCK_BYTES);
                bytes[first..end].fill(0);
            }
            Kind::AllZeroed => bytes.fill(0),
            Kind::HeaderFlipped => flip(random % edge),
            Kind::MiddleFlipped => flip(random % length),
            Kind::EndFlipped => flip(length - 1 - random % edge),
            Kind::Missing | Kind::Swapped | Kind::Duplicated => {}
        }
        bytes
    }
}

/// The same name with the next epoch.
fn in_higher_epoch(key: &str) -> Option<String> {
    match ObjectName::parse(key) {
        ObjectName::Chunk(ChunkName { segment, epoch, offset, .. }) => {
            Some(format!("{segment}.E-{}-O-{offset}.00000000-0000-4000-8000-000000000000", epoch + 1))
        }
        ObjectName::Journal(JournalName { epoch, .. }) => {
            Some(key.replacen(&format!(".epoch{epoch}."), &format!(".epoch{}.", epoch + 1), 1))
        }
        _ => None,
    }
}

/// Every kind of damage to every object that has content.
#[must_use]
pub fn cases_of(tree: &Tree, seed: u64) -> Vec<Case> {
    let mut by_class: BTreeMap<Class, Vec<&String>> = BTreeMap::new();
    for (key, _) in tree.iter().filter(|(_, content)| !content.is_empty()) {
        by_class.entry(Class::of(key)).or_default().push(key);
    }
    let mut random = Random(seed);
    let mut cases = Vec::new();
    for (class, keys) in by_class {
        for (index, key) in keys.iter().enumerate() {
            for kind in Kind::ALL {
                let other = (kind == Kind::Swapped).then(|| keys.get(index + 1).map(|next| (*next).clone())).flatten();
                if kind == Kind::Swapped && other.is_none() {
                    continue;
                }
                cases.push(Case { key: (*key).clone(), class, kind, other, random: random.next() });
            }
        }
    }
    cases
}

/// `count` of these cases, spread over classes and kinds as evenly as there are cases of them.
#[must_use]
pub fn sampled(cases: Vec<Case>, count: usize, seed: u64) -> Vec<Case> {
    let mut random = Random(seed ^ 0x5eed);
    let mut groups: BTreeMap<(Class, Kind), Vec<(u64, Case)>> = BTreeMap::new();
    for case in cases {
        groups.entry((case.class, case.kind)).or_default().push((random.next(), case));
    }
    let mut ranked: Vec<(usize, u64, Case)> = Vec::new();
    for mut group in groups.into_values() {
        group.sort_by_key(|(order, _)| *order);
        ranked.extend(group.into_iter().enumerate().map(|(rank, (order, case))| (rank, order, case)));
    }
    ranked.sort_by_key(|(rank, order, _)| (*rank, *order));
    ranked.into_iter().take(count).map(|(_, _, case)| case).collect()
}

/// SplitMix64: the same seed gives the same cases everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

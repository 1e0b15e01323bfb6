//! Chunk objects in a third of the memory: a listing holds millions of them, while only few containers are worked on.
//!
//! Names of neighbours begin alike, and each ends with a UUID. So a name is stored as what differs from the one before, and
//! its UUID in binary. Every few names one is stored whole, so that a search need not begin at the first.

use dr_formats::primitives::Uuid;

use super::ChunkObject;

/// Names from one that is stored whole to the next.
const BLOCK_NAMES: u64 = 32;

/// Characters of a UUID at the end of a name.
const UUID_LENGTH: usize = 36;

/// Chunk objects in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PackedChunks {
    bytes: Vec<u8>,
    /// Where each block begins.
    blocks: Vec<usize>,
    count: u64,
    /// The name added last, without its UUID.
    last: Vec<u8>,
}

impl PackedChunks {
    /// Room for as many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Memory in use, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the chunk of this name.
    pub(super) fn push(&mut self, key: &str, size: u64) {
        if self.count.is_multiple_of(BLOCK_NAMES) {
            self.blocks.push(self.bytes.len());
            self.last.clear();
        }
        self.count += 1;
        let (name, uuid) = split_uuid(key);
        let shared = shared_length(&self.last, name);
        let rest = name.get(shared..).unwrap_or_default();
        push_number(&mut self.bytes, size);
        push_number(&mut self.bytes, (shared as u64) << 1 | u64::from(uuid.is_some()));
        push_number(&mut self.bytes, rest.len() as u64);
        self.bytes.extend_from_slice(rest);
        self.bytes.extend(uuid.into_iter().flat_map(|uuid| uuid.0));
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
    }

    /// No more will be added.
    pub(super) fn finish(&mut self) {
        self.last = Vec::new();
        self.bytes.shrink_to_fit();
        self.blocks.shrink_to_fit();
    }

    /// All of them in their order.
    pub(super) fn iter(&self) -> Unpacked<'_> {
        self.iter_from(0)
    }

    /// Visits name and size of each in their order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&str, u64)) {
        let (mut unpacked, mut key) = (self.iter(), Vec::new());
        while let Some(size) = unpacked.next_into(&mut key) {
            if let Ok(key) = std::str::from_utf8(&key) {
                visit(key, size);
            }
        }
    }

    /// Those whose keys begin with `prefix`, if they were added by key.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = ChunkObject> {
        let is_before = |&start: &usize| {
            let first = self.iter_from(start).next();
            first.is_some_and(|first| *first.key < *prefix)
        };
        // The last block that begins before the prefix may hold the first name with it.
        let block = self.blocks.partition_point(is_before).saturating_sub(1);
        let chunks = self.iter_from(self.blocks.get(block).copied().unwrap_or(self.bytes.len()));
        let chunks = chunks.skip_while(move |chunk| *chunk.key < *prefix);
        chunks.take_while(move |chunk| chunk.key.starts_with(prefix))
    }

    /// From the beginning of a block on.
    fn iter_from(&self, start: usize) -> Unpacked<'_> {
        Unpacked { rest: self.bytes.get(start..).unwrap_or_default(), name: Vec::new() }
    }
}

/// Gives back what was packed.
pub(super) struct Unpacked<'a> {
    rest: &'a [u8],
    name: Vec<u8>,
}

impl Unpacked<'_> {
    /// The next name and size; the name in the memory that is given, whatever that holds.
    fn next_into(&mut self, key: &mut Vec<u8>) -> Option<u64> {
        let size = take_number(&mut self.rest)?;
        let shared = take_number(&mut self.rest)?;
        let length = usize::try_from(take_number(&mut self.rest)?).ok()?;
        let rest = self.rest.split_off(..length)?;
        self.name.truncate(usize::try_from(shared >> 1).ok()?);
        self.name.extend_from_slice(rest);
        key.clear();
        key.reserve(self.name.len() + UUID_LENGTH);
        key.extend_from_slice(&self.name);
        if shared & 1 == 1 {
            let (uuid, behind) = self.rest.split_first_chunk()?;
            self.rest = behind;
            key.extend_from_slice(&Uuid(*uuid).to_text());
        }
        Some(size)
    }
}

impl Iterator for Unpacked<'_> {
    type Item = ChunkObject;

    fn next(&mut self) -> Option<ChunkObject> {
        let mut key = Vec::new();
        let size = self.next_into(&mut key)?;
        ChunkObject::of(String::from_utf8(key).ok()?, size)
    }
}

/// How many bytes both begin with.
fn shared_length(a: &[u8], b: &[u8]) -> usize {
    const WORD: usize = size_of::<u64>();
    let words = a.chunks_exact(WORD).zip(b.chunks_exact(WORD)).take_while(|(a, b)| a == b).count() * WORD;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

/// The UUID at the end of a name, if it has the form in which it would be written.
fn split_uuid(key: &str) -> (&[u8], Option<Uuid>) {
    let split = key.len().checked_sub(UUID_LENGTH).and_then(|at| key.as_bytes().split_at_checked(at));
    match split.and_then(|(name, text)| Some((name, Uuid::parse(text)?))) {
        Some((name, uuid)) => (name, Some(uuid)),
        None => (key.as_bytes(), None),
    }
}

/// Writes seven bits a byte, the lowest first.
fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(chunks: &[ChunkObject]) -> PackedChunks {
        let mut packed = PackedChunks::default();
        chunks.iter().for_each(|chunk| packed.push(&chunk.key, chunk.size));
        packed.finish();
        packed
    }

    fn chunks() -> impl Strategy<Value = Vec<ChunkObject>> {
        let name = ("[ab_é/]{1,4}", any::<u32>(), any::<u64>(), any::<[u8; 16]>());
        let chunk = name.prop_map(|(segment, epoch, size, uuid)| {
            ChunkObject::of(format!("{segment}.E-{epoch}-O-7.{}", Uuid(uuid)), size).unwrap()
        });
        proptest::collection::vec(chunk, 0..200)
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back_in_its_order(chunks in chunks()) {
            let packed = packed(&chunks);
            prop_assert_eq!(packed.count(), chunks.len() as u64);
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), chunks);
        }

        #[test]
        fn a_search_finds_what_a_look_at_all_finds(mut chunks in chunks(), prefix in "[ab_é/]{0,3}") {
            chunks.sort_unstable();
            let found: Vec<_> = packed(&chunks).below(&prefix).collect();
            let expected: Vec<_> = chunks.into_iter().filter(|chunk| chunk.key.starts_with(&prefix)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn numbers_of_every_length_come_back() {
        for number in (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1]).chain([u64::MAX]) {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            assert_eq!(take_number(&mut &bytes[..]), Some(number));
            assert_eq!(take_number(&mut &bytes[..bytes.len() - 1]), None);
        }
    }
}

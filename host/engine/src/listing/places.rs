//! Where chunk objects stand among those of their container: each is asked for several times, by names that begin alike.

use std::hash::BuildHasher as _;
use std::sync::OnceLock;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::ChunkObject;

/// Places of sorted chunks, found when the first of them is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(OnceLock<Found>);

#[derive(Debug, Clone)]
struct Found {
    hasher: DefaultHashBuilder,
    /// Of each chunk.
    by_key: HashTable<u32>,
    /// Of the first chunk with the name of each segment.
    by_segment: HashTable<u32>,
}

impl Places {
    /// The place of the chunk with this key.
    pub(super) fn of_key(&self, key: &str, chunks: &[ChunkObject]) -> Option<usize> {
        let found = self.found(chunks);
        find(&found.by_key, found.hasher.hash_one(key), chunks, |chunk| *chunk.key == *key)
    }

    /// The place of the first chunk with the name of this segment.
    pub(super) fn of_segment(&self, segment: &str, chunks: &[ChunkObject]) -> Option<usize> {
        let found = self.found(chunks);
        find(&found.by_segment, found.hasher.hash_one(segment), chunks, |chunk| chunk.segment() == segment)
    }

    fn found(&self, chunks: &[ChunkObject]) -> &Found {
        self.0.get_or_init(|| Found::of(chunks))
    }
}

impl PartialEq for Places {
    /// They follow from the chunks.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

fn find(
    places: &HashTable<u32>,
    hash: u64,
    chunks: &[ChunkObject],
    is_wanted: impl Fn(&ChunkObject) -> bool,
) -> Option<usize> {
    places.find(hash, |&place| chunks.get(place as usize).is_some_and(&is_wanted)).map(|&place| place as usize)
}

impl Found {
    fn of(chunks: &[ChunkObject]) -> Self {
        let hasher = DefaultHashBuilder::default();
        let mut by_key = HashTable::with_capacity(chunks.len());
        let mut by_segment = HashTable::new();
        for (place, chunk) in (0_u32..).zip(chunks) {
            let hash_of_key = |&place: &u32| hasher.hash_one(&*chunks[place as usize].key);
            by_key.insert_unique(hasher.hash_one(&*chunk.key), place, hash_of_key);
            let is_same = |&first: &u32| chunks[first as usize].segment() == chunk.segment();
            let hash_of_segment = |&place: &u32| hasher.hash_one(chunks[place as usize].segment());
            by_segment.entry(hasher.hash_one(chunk.segment()), is_same, hash_of_segment).or_insert(place);
        }
        Self { hasher, by_key, by_segment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_the_first_of_each_segment_are_found_where_they_stand() {
        let names = [("a", 0), ("a", 7), ("a.E-1-O-2", 0), ("b", 0), ("b", 3)];
        let mut chunks: Vec<_> = names.map(|(segment, offset)| ChunkObject::for_test(segment, offset, 1, 1)).into();
        chunks.sort_unstable();
        let places = Places::default();
        for (place, chunk) in chunks.iter().enumerate() {
            assert_eq!(places.of_key(&chunk.key, &chunks), Some(place));
            let first = chunks.iter().position(|other| other.segment() == chunk.segment());
            assert_eq!(places.of_segment(chunk.segment(), &chunks), first);
        }
        assert_eq!((places.of_key("a", &chunks), places.of_segment("c", &chunks)), (None, None));
    }
}

//! Which container a segment belongs to (`SegmentToContainerMapper`, `HashHelper`, `NameUtils` of Pravega; MurmurHash3
//! and the consistent hash of Guava).

use crate::names::{ATTRIBUTE_SUFFIX, EPOCH_DELIMITER, TRANSACTION_DELIMITER, TRANSIENT_DELIMITER, rsplit_at};

/// `"SegmentToContainerMapper".hashCode()` of Java, the seed of the hash.
const SEED: i32 = 1_661_405_012;
/// What separates a transaction or a transient segment from its parent.
const CHILD_DELIMITERS: [&str; 2] = [TRANSACTION_DELIMITER, TRANSIENT_DELIMITER];
/// Length of the id after a child delimiter, in characters; what follows it does not matter.
const CHILD_ID_CHARACTERS: usize = 32;
/// Names up to this length are hashed without memory of their own.
const SHORT_NAME_BYTES: usize = 256;
/// Segments that belong to the container in their name.
const CONTAINER_TABLES: [&str; 2] = ["_system/containers/metadata_", "_system/containers/storage_metadata_"];
/// Queues of event processors, which belong to the container in their name; `<name>_<container>`.
const EVENT_PROCESSOR_PREFIX: &str = "_system/containers/event_processor_";

/// The container of a segment, of `container_count` containers; none if there are none, or if the segment's name
/// carries a container that does not exist.
///
/// An attribute segment belongs to the container of its main segment, the container's own tables and queues to the
/// one in their name. The hash of such names has no meaning.
#[must_use]
pub fn container_of(segment_name: &str, container_count: u32) -> Option<u32> {
    let main = segment_name.strip_suffix(ATTRIBUTE_SUFFIX).unwrap_or(segment_name);
    let container = match named_container(main) {
        Some(container) => container,
        None => consistent_hash(segment_hash(main), container_count)?,
    };
    (container < container_count).then_some(container)
}

/// The container that a name carries at its end, for the container's own segments.
fn named_container(name: &str) -> Option<u32> {
    let digits = CONTAINER_TABLES.iter().find_map(|prefix| name.strip_prefix(prefix)).or_else(|| {
        name.strip_prefix(EVENT_PROCESSOR_PREFIX).and_then(|rest| rest.rsplit_once('_')).map(|(_, digits)| digits)
    })?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The part of a segment name that decides about its container: without transaction, transient and epoch parts.
#[must_use]
pub fn primary_name(segment_name: &str) -> &str {
    // Nearly all names have one mark, that of an epoch, or none.
    match rsplit_at(segment_name, EPOCH_DELIMITER) {
        Some((number, epoch)) if !number.contains('#') && !epoch.contains('#') => return number,
        None if !segment_name.contains('#') => return segment_name,
        _ => {}
    }
    let mut name = segment_name;
    while let Some(parent) = CHILD_DELIMITERS.iter().find_map(|delimiter| parent_name(name, delimiter)) {
        name = parent;
    }
    rsplit_at(name, EPOCH_DELIMITER).map_or(name, |(number, _)| number)
}

/// What stands before the last `delimiter`, if an id follows it. Java counts UTF-16 units.
fn parent_name<'n>(name: &'n str, delimiter: &str) -> Option<&'n str> {
    let (parent, id) = rsplit_at(name, delimiter)?;
    (id.encode_utf16().count() >= CHILD_ID_CHARACTERS).then_some(parent)
}

/// First half of the 128-bit hash of a segment's primary name, over its UTF-16 little-endian bytes.
#[must_use]
pub fn segment_hash(segment_name: &str) -> u64 {
    let name = primary_name(segment_name);
    if name.len() <= SHORT_NAME_BYTES && name.is_ascii() {
        let mut bytes = [0; 2 * SHORT_NAME_BYTES];
        bytes.as_chunks_mut::<2>().0.iter_mut().zip(name.bytes()).for_each(|(unit, byte)| *unit = [byte, 0]);
        return murmur3_128(&bytes[..2 * name.len()], SEED);
    }
    let bytes: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    murmur3_128(&bytes, SEED)
}

/// Guava's consistent hash of `input` over `buckets`: a jump hash. None if there are no buckets.
fn consistent_hash(input: u64, buckets: u32) -> Option<u32> {
    if buckets == 0 {
        return None;
    }
    let mut state = input;
    let mut candidate = 0_u32;
    loop {
        state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let fraction = ((state >> 33) + 1) as f64 / 2_147_483_648.0;
        // As in Java, the conversion saturates.
        let next = ((f64::from(candidate) + 1.0) / fraction) as i32;
        // It never is negative; the candidate grows with every turn, because the fraction is at most 1.
        match u32::try_from(next) {
            Ok(next) if next < buckets && next > candidate => candidate = next,
            _ => return Some(candidate),
        }
    }
}

const MURMUR_FIRST: u64 = 0x87c3_7b91_1142_53d5;
const MURMUR_SECOND: u64 = 0x4cf5_ad43_2745_937f;

/// MurmurHash3 x64 128, first half; the seed is sign-extended as Guava does.
fn murmur3_128(bytes: &[u8], seed: i32) -> u64 {
    let mut first = i64::from(seed) as u64;
    let mut second = first;
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let (low, high) = halves(u128::from_le_bytes(*block));
        first ^= mix_first(low);
        first = first.rotate_left(27).wrapping_add(second).wrapping_mul(5).wrapping_add(0x52dc_e729);
        second ^= mix_second(high);
        second = second.rotate_left(31).wrapping_add(first).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut last_block = [0; 16];
    last_block.iter_mut().zip(tail).for_each(|(target, source)| *target = *source);
    let (low, high) = halves(u128::from_le_bytes(last_block));
    // Zeroes mix to zeroes, so that an absent half changes nothing.
    first ^= mix_first(low);
    second ^= mix_second(high);
    let length = bytes.len() as u64;
    (first, second) = (first ^ length, second ^ length);
    first = first.wrapping_add(second);
    second = second.wrapping_add(first);
    finish(first).wrapping_add(finish(second))
}

const fn halves(block: u128) -> (u64, u64) {
    (block as u64, (block >> 64) as u64)
}

const fn mix_first(half: u64) -> u64 {
    half.wrapping_mul(MURMUR_FIRST).rotate_left(31).wrapping_mul(MURMUR_SECOND)
}

const fn mix_second(half: u64) -> u64 {
    half.wrapping_mul(MURMUR_SECOND).rotate_left(33).wrapping_mul(MURMUR_FIRST)
}

const fn finish(mut half: u64) -> u64 {
    half ^= half >> 33;
    half = half.wrapping_mul(0xff51_afd7_ed55_8ccd);
    half ^= half >> 33;
    half = half.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    half ^ (half >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Name, hash, container of 4, of 16, of 50, by the plain hash.
    const VECTORS: [(&str, u64, [u32; 3]); 10] = [
        ("scope/stream/0.#epoch.0", 0x2f24fa0e019c1719, [3, 3, 46]),
        ("scope/stream/0.#epoch.0#transaction.00000001000000000000000000000012", 0x2f24fa0e019c1719, [3, 3, 46]),
        ("scope/stream/3.#epoch.2", 0x483e65c81f172703, [3, 5, 26]),
        ("scope/_RGgroup/0.#epoch.0", 0xd70f16e0ee66acb8, [0, 10, 10]),
        ("_system/_abortStream/0.#epoch.0", 0x01877d2c4299ec27, [3, 8, 8]),
        ("scope/kvt_kvtable/0.#epoch.0", 0x4548efa066646da0, [2, 11, 18]),
        ("_system/_tables/scopes", 0x0940666b949f3319, [3, 7, 26]),
        ("_system/_tables/deletedStreams", 0x6f9532c57bbc570c, [3, 3, 30]),
        ("scope/stréam/0.#epoch.0", 0xe0a31909d6b6d23c, [0, 0, 0]),
        ("a", 0xd13f806d03c92638, [0, 14, 21]),
    ];

    #[test]
    fn vectors_of_the_reference() {
        for (name, hash, containers) in VECTORS {
            assert_eq!(segment_hash(name), hash, "{name}");
            assert_eq!([4, 16, 50].map(|count| container_of(name, count)), containers.map(Some), "{name}");
            let attributes = format!("{name}$attributes.index");
            assert_eq!([4, 16, 50].map(|count| container_of(&attributes, count)), containers.map(Some), "{name}");
        }
        assert_eq!(segment_hash("_system/_tables/scopes$attributes.index"), 0x477b2a8fc06fa36b);
        assert_eq!(segment_hash("_system/containers/metadata_0"), 0x8ef28dc0d1832279);
        assert_eq!(consistent_hash(0x8ef28dc0d1832279, 50), Some(37));
        assert_eq!(consistent_hash(0x477b2a8fc06fa36b, 50), Some(0));
    }

    #[test]
    fn segments_of_the_container_itself() {
        for name in [
            "_system/containers/metadata_3",
            "_system/containers/storage_metadata_3",
            "_system/containers/storage_metadata_3$attributes.index",
            "_system/containers/event_processor_GC.queue.3_3",
            "_system/containers/event_processor_GC.failed.queue.3_3",
        ] {
            assert_eq!(container_of(name, 4), Some(3), "{name}");
            assert_eq!(container_of(name, 3), None, "{name}");
        }
        assert_eq!(container_of("a", 0), None);
    }

    #[test]
    fn primary_names() {
        let id = "0123456789abcdef0123456789abcdef";
        for (name, primary) in [
            (format!("s/a/1.#epoch.2#transaction.{id}"), "s/a/1"),
            (format!("s/a/1.#epoch.2#transient.{id}"), "s/a/1"),
            (format!("s/a/1.#epoch.2#transaction.{id}#transient.{id}x"), "s/a/1"),
            ("s/a/1#transaction.short".to_owned(), "s/a/1#transaction.short"),
            ("table".to_owned(), "table"),
        ] {
            assert_eq!(primary_name(&name), primary);
        }
    }

    /// As the Java code has it, whatever the name.
    fn plain_primary_name(name: &str) -> &str {
        let mut name = name;
        while let Some(parent) = CHILD_DELIMITERS.iter().find_map(|delimiter| {
            let (parent, id) = name.rsplit_once(delimiter)?;
            (id.encode_utf16().count() >= CHILD_ID_CHARACTERS).then_some(parent)
        }) {
            name = parent;
        }
        name.rsplit_once(EPOCH_DELIMITER).map_or(name, |(number, _)| number)
    }

    proptest! {
        #[test]
        fn short_ways_lead_to_the_same_hash(
            name in "(s/\\PC{0,3}|[a-z]{0,300}|\\.|#|epoch\\.|\\.#epoch\\.|#transaction\\.|#transient\\.|[0-9a-f]{32}){0,6}",
        ) {
            let primary = plain_primary_name(&name);
            prop_assert_eq!(primary_name(&name), primary);
            let bytes: Vec<u8> = primary.encode_utf16().flat_map(u16::to_le_bytes).collect();
            prop_assert_eq!(segment_hash(&name), murmur3_128(&bytes, SEED));
        }

        #[test]
        fn any_name_has_a_container(name in any::<String>(), count in 1_u32..10_000) {
            if let Some(container) = container_of(&name, count) {
                prop_assert!(container < count);
            }
            prop_assert!(consistent_hash(segment_hash(&name), count).is_some());
        }
    }
}

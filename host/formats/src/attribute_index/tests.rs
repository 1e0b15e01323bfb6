use super::*;
use crate::test_support::{hex, unhex};
use proptest::prelude::*;
use std::collections::BTreeMap;

const ONE_LEAF: &str = "0000 4aded2d5 00000002 7fffffffffffffff8000000000000005 0000000000001234
    ac70e12b7a0646f9a279f427c7b38e73 0000000000000000 4aded2d5 0000000000000000 0000003e";
const ROOT_OF_TWO: &str =
    "0001 49bf7ad4 00000002 00000000000000000000000000000000 0000000000000000 0206 0000000000000000
    80000000000000018000000000000015 0000000000000206 021e 0000000000000206 49bf7ad4 | 0000000000000424 00000052";

type Contents = (Footer, Vec<(AttributeId, i64)>);

fn read(bytes: &[u8], start: u64, keys: KeyFormat) -> Result<Contents, IndexError<DecodeError>> {
    let segment = SegmentSlice::new(start, bytes);
    let footer = read_footer(&segment, segment.range(), keys)?;
    Ok((footer, read_all(&segment, start, &footer, keys)?))
}

fn uuid(most: i64, least: i64) -> AttributeId {
    AttributeId::Uuid(Uuid::from_halves(most, least))
}

#[test]
fn one_leaf_vector() {
    let bytes = unhex(ONE_LEAF);
    let expected = vec![(uuid(-1, 5), 0x1234), (uuid(0x2c70_e12b_7a06_46f9, 0x2279_f427_c7b3_8e73), 0)];
    let (footer, entries) = read(&bytes, 0, KeyFormat::Uuid).unwrap();
    assert_eq!((entries, footer.minimum_offset, footer.statistics), (expected.clone(), 0, None));
    assert_eq!(infer_key_length(&SegmentSlice::new(0, &bytes), 0..bytes.len() as u64), Ok(Some(16)));
    let mut built = build_index(KeyFormat::Uuid, 0, expected, false).unwrap();
    let id = [0x4a, 0xde, 0xd2, 0xd5];
    built[2..6].copy_from_slice(&id);
    built[58..62].copy_from_slice(&id);
    assert_eq!(hex(&built), hex(&bytes));
}

#[test]
fn root_with_two_leaves_vector() {
    let leaf = |length: usize, first: i64| {
        let entries = (0..(length - 14) / 24).map(|index| (uuid(1, first + index as i64), 7)).collect();
        let mut leaf = build_index(KeyFormat::Uuid, 0, entries, false).unwrap();
        leaf.truncate(length);
        leaf
    };
    let bytes = [leaf(518, 0), leaf(542, 0x15), unhex(ROOT_OF_TWO)].concat();
    let (footer, entries) = read(&bytes, 0, KeyFormat::Uuid).unwrap();
    assert_eq!((footer.root_offset, footer.root_length, footer.minimum_offset, entries.len()), (0x424, 0x52, 0, 43));
}

fn raw_index(count: u32, start: u64) -> Vec<u8> {
    let entries = (0..count).map(|key| (AttributeId::Bytes(key.to_be_bytes().into()), i64::from(key) - 1)).collect();
    build_index(KeyFormat::Raw(4), start, entries, true).unwrap()
}

#[test]
fn big_indexes_and_their_statistics() {
    for count in [0, 1, 2729, 2730, 100_000, 4_000_000] {
        let bytes = raw_index(count, 1000);
        let (footer, entries) = read(&bytes, 1000, KeyFormat::Raw(4)).unwrap();
        let keys: Vec<u32> = entries
            .iter()
            .map(|(id, _)| match id {
                AttributeId::Bytes(bytes) => u32::from_be_bytes(bytes[..].try_into().unwrap()),
                AttributeId::Uuid(_) => panic!(),
            })
            .collect();
        assert!(keys.into_iter().eq(0..count));
        let summary = visit_all(&SegmentSlice::new(1000, &bytes), 1000, &footer, KeyFormat::Raw(4), |_, _| {}).unwrap();
        let statistics = footer.statistics.unwrap();
        assert_eq!((statistics.entry_count, summary.entry_count), (u64::from(count), u64::from(count)));
        assert_eq!((statistics.page_count, summary.minimum_offset), (summary.page_count, 1000));
    }
}

#[test]
fn the_builder_can_be_drained() {
    let mut builder = IndexBuilder::new(KeyFormat::Raw(4), 0);
    let mut bytes = Vec::new();
    for key in 0..10_000u32 {
        builder.push(&key.to_be_bytes(), i64::from(key) - 1).unwrap();
        bytes.extend(builder.take_bytes());
    }
    bytes.extend(builder.finish(true).unwrap());
    assert!(bytes == raw_index(10_000, 0));
}

#[test]
fn the_builder_refuses_disorder() {
    let mut builder = IndexBuilder::new(KeyFormat::Uuid, 0);
    builder.push(&Uuid::from_halves(-1, 0).0, 1).unwrap();
    builder.push(&Uuid::from_halves(1, 0).0, 1).unwrap();
    assert!(builder.push(&Uuid::from_halves(1, 0).0, 1).is_err());
    assert!(builder.push(&Uuid::from_halves(0, 0).0, 1).is_err());
    assert!(builder.push(&[0; 15], 1).is_err());
    assert!(build_index(KeyFormat::Uuid, 0, vec![(AttributeId::Bytes([0; 16].into()), 1)], false).is_err());
    assert!(IndexBuilder::new(KeyFormat::Uuid, i64::MAX as u64).finish(false).is_err());
}

#[test]
fn zeros_are_no_footer() {
    let zeros = vec![0; 200_000];
    let segment = SegmentSlice::new(0, &zeros);
    assert_eq!(find_last_footer(&segment, segment.range(), KeyFormat::Uuid), Ok(None));
    // An empty page of zeros with a footer that names it.
    let mut bytes = vec![0; 14];
    bytes.extend(unhex("0000000000000000 0000000e"));
    assert!(read(&bytes, 0, KeyFormat::Uuid).is_err());
    // Zeros between the root and its footer are no statistics.
    let mut bytes = unhex(ONE_LEAF);
    let footer = bytes.split_off(62);
    bytes.extend([0; 11]);
    bytes.extend(footer);
    assert!(read(&bytes, 0, KeyFormat::Uuid).is_err());
}

#[test]
fn the_last_footer_is_found_behind_garbage() {
    let mut bytes = raw_index(20_000, 0);
    let first_end = bytes.len() as u64;
    bytes.extend(raw_index(1000, first_end));
    let second_end = bytes.len() as u64;
    for garbage in [0, 1, 100, 65_536, 70_000, 200_000] {
        bytes.truncate(second_end as usize);
        bytes.extend((0..garbage).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 13) as u8));
        let segment = SegmentSlice::new(0, &bytes);
        let footer = find_last_footer(&segment, segment.range(), KeyFormat::Raw(4)).unwrap().unwrap();
        assert_eq!((footer.end, footer.minimum_offset), (second_end, first_end));
        let earlier = find_last_footer(&segment, 0..footer.end - 1, KeyFormat::Raw(4)).unwrap().unwrap();
        assert_eq!((earlier.end, earlier.minimum_offset), (first_end, 0));
        assert_eq!(find_last_footer(&segment, 0..first_end - 1, KeyFormat::Raw(4)), Ok(None));
        // Pages below the start of what is left cannot be read.
        assert_eq!(find_last_footer(&segment, 1..first_end, KeyFormat::Raw(4)), Ok(None));
    }
}

#[test]
fn false_footers_are_limited() {
    // Footers of a leaf that claims one entry more than it has.
    let mut bytes = Vec::new();
    for _ in 0..MAX_FALSE_FOOTERS + 10 {
        let start = bytes.len() as u64;
        bytes.extend(unhex("0000 00000001 00000001 00000001"));
        bytes.extend(start.to_be_bytes());
        bytes.extend(14u32.to_be_bytes());
    }
    let segment = SegmentSlice::new(0, &bytes);
    let error = find_last_footer(&segment, segment.range(), KeyFormat::Uuid).unwrap_err();
    assert!(error.to_string().contains("4096"), "{error}");
    assert_eq!(find_last_footer(&segment, 0..4000, KeyFormat::Uuid), Ok(None));
}

#[test]
fn damage_below_the_root_is_found() {
    let bytes = raw_index(10_000, 0);
    let keys = KeyFormat::Raw(4);
    let (footer, _) = read(&bytes, 0, keys).unwrap();
    let root = footer.root_offset as usize;
    // The header of the first leaf, the order of its keys; of the second pointer: key, offset, length, smallest offset.
    for position in [0, 2, 9, 13, root + 10 + 22, root + 10 + 22 + 11, root + 10 + 22 + 13, root + 10 + 22 + 21] {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        assert!(read(&damaged, 0, keys).is_err(), "{position}");
    }
}

#[test]
fn hostile_trees_end() {
    // Each level points twice to the one below: 2^20 visits if nothing stopped them.
    let mut bytes = raw_index(0, 0);
    bytes.truncate(14);
    let (mut child, mut length) = (0u64, 14u16);
    for _ in 0..20 {
        let offset = bytes.len() as u64;
        bytes.extend(unhex("0001 00000007 00000002"));
        for key in [[0, 0, 0, 0], [0, 0, 0, 1]] {
            bytes.extend(key);
            bytes.extend(child.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            bytes.extend(0u64.to_be_bytes());
        }
        bytes.extend(unhex("00000007"));
        (child, length) = (offset, (bytes.len() as u64 - offset) as u16);
    }
    bytes.extend(child.to_be_bytes());
    bytes.extend(u32::from(length).to_be_bytes());
    assert!(read(&bytes, 0, KeyFormat::Raw(4)).is_err());
}

proptest! {
    #[test]
    fn built_indexes_are_read(
        entries in prop::collection::btree_map((any::<i64>(), any::<i64>()), any::<i64>(), 0..4000),
        start in 0u64..1_000_000,
        with_statistics: bool,
    ) {
        let entries: Vec<_> = entries.into_iter().map(|((most, least), value)| (uuid(most, least), value)).collect();
        let bytes = build_index(KeyFormat::Uuid, start, entries.clone(), with_statistics).unwrap();
        let (footer, read) = read(&bytes, start, KeyFormat::Uuid).unwrap();
        prop_assert_eq!(read, entries);
        prop_assert_eq!(footer.statistics.is_some(), with_statistics);
    }

    #[test]
    fn damaged_indexes_do_not_panic(
        count in 0u32..6000,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
        key_length in 1u16..20,
    ) {
        let mut bytes = raw_index(count, 0);
        for (position, byte) in damage {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        for keys in [KeyFormat::Raw(4), KeyFormat::Raw(key_length), KeyFormat::Uuid] {
            let _ = read(&bytes, 0, keys);
            let segment = SegmentSlice::new(0, &bytes);
            let _ = infer_key_length(&segment, segment.range());
            if let Ok(Some(footer)) = find_last_footer(&segment, segment.range(), keys) {
                let _: Result<BTreeMap<_, _>, _> =
                    read_all(&segment, 0, &footer, keys).map(|entries| entries.into_iter().collect());
            }
        }
    }
}

#[test]
fn pages_beside_damaged_ones_are_examined() {
    let keys = KeyFormat::Raw(256);
    let entries = (0..400_u32).map(|number| {
        let mut key = vec![0; 256];
        key[..4].copy_from_slice(&number.to_be_bytes());
        (AttributeId::Bytes(key.into()), i64::from(number))
    });
    let mut bytes = build_index(keys, 0, entries.collect(), false).unwrap();
    let examine = |bytes: &[u8]| {
        let segment = SegmentSlice::new(0, bytes);
        let footer = find_last_footer(&segment, segment.range(), keys).unwrap().unwrap();
        let (mut values, mut damage) = (0, Vec::new());
        examine_pages(&segment, 0, &footer, keys, &mut |page| match page {
            Ok(page) => values += page.values.len(),
            Err(error) => damage.push(error.offset),
        })
        .unwrap();
        (values, damage)
    };
    assert_eq!(examine(&bytes), (400, vec![]));
    // The format byte of the first leaf.
    bytes[0] = 9;
    let (values, damage) = examine(&bytes);
    assert!((1..400).contains(&values), "{values}");
    assert_eq!(damage, [0]);
}

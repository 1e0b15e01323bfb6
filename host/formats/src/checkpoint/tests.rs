use proptest::prelude::*;

use super::*;
use crate::attribute::{CoreAttribute, EVENT_COUNT, SEGMENT_TYPE};
use crate::test_support::{hex, mutations, unhex};

const ONE_SEGMENT: &str = "
    00000100000000 67 05 01 0000000000000009 0005612f622f30 0000000000000007 0000000000000007 00 01 01 00 00
    00000000000003e8 0000000000000003
    02 80000000000000000000000000000001 0000000000000005 80000000000000000000000000000009 0000000000000000";

fn one_segment() -> MetadataCheckpoint<'static> {
    let segment = CheckpointSegment {
        segment_id: 9,
        name: "a/b/0".into(),
        length: 7,
        storage_length: 7,
        merged: false,
        sealed: true,
        sealed_in_storage: true,
        deleted: false,
        deleted_in_storage: false,
        last_modified: 1000,
        start_offset: 3,
        attributes: [(EVENT_COUNT, 5), (SEGMENT_TYPE, 0)].into_iter().collect(),
    };
    MetadataCheckpoint { container_id: 5, segments: vec![segment] }
}

#[test]
fn metadata_checkpoint_vectors() {
    let empty = MetadataCheckpoint { container_id: 5, segments: Vec::new() };
    for (value, bytes) in [(empty, "00 00 01 00 00000002 05 00"), (one_segment(), ONE_SEGMENT)] {
        let bytes = unhex(bytes);
        assert_eq!(hex(&value.encode().unwrap()), hex(&bytes));
        assert_eq!(MetadataCheckpoint::decode(&bytes).unwrap(), value);
    }
}

#[test]
fn storage_checkpoint_vectors() {
    let segment = StorageCheckpointSegment {
        segment_id: 9,
        storage_length: 7,
        sealed_in_storage: true,
        deleted: false,
        deleted_in_storage: false,
    };
    for (segments, bytes) in [
        (vec![], "00000100000000 01 00"),
        (vec![segment], "0000010000000014 01 0000000000000009 0000000000000007 010000"),
    ] {
        let (value, bytes) = (StorageMetadataCheckpoint { segments }, unhex(bytes));
        assert_eq!(hex(&value.encode().unwrap()), hex(&bytes));
        assert_eq!(StorageMetadataCheckpoint::decode(&bytes).unwrap(), value);
    }
}

#[test]
fn mutated_checkpoints_give_value_or_error() {
    mutations(&unhex(ONE_SEGMENT), |bytes| {
        drop(MetadataCheckpoint::decode(bytes));
        drop(StorageMetadataCheckpoint::decode(bytes));
    });
}

fn any_segment() -> impl Strategy<Value = CheckpointSegment<'static>> {
    let flags = any::<[bool; 5]>();
    let lengths = prop::array::uniform3(0..=i64::MAX as u64);
    let attributes = prop::collection::vec((any::<u64>(), any::<i64>()), 0..5);
    (any::<i64>(), any::<String>(), lengths, flags, any::<i64>(), attributes).prop_map(
        |(segment_id, name, [length, storage_length, start_offset], flags, last_modified, attributes)| {
            let [merged, sealed, sealed_in_storage, deleted, deleted_in_storage] = flags;
            CheckpointSegment {
                segment_id,
                name: name.into(),
                length,
                storage_length,
                merged,
                sealed,
                sealed_in_storage,
                deleted,
                deleted_in_storage,
                last_modified,
                start_offset,
                attributes: attributes.into_iter().map(|(number, value)| (CoreAttribute(number), value)).collect(),
            }
        },
    )
}

proptest! {
    #[test]
    fn checkpoints_survive(container_id in 0..=crate::primitives::COMPACT_INT_MAX,
                           segments in prop::collection::vec(any_segment(), 0..5)) {
        let storage = segments.iter().map(|segment| StorageCheckpointSegment {
            segment_id: segment.segment_id,
            storage_length: segment.storage_length,
            sealed_in_storage: segment.sealed_in_storage,
            deleted: segment.deleted,
            deleted_in_storage: segment.deleted_in_storage,
        });
        let storage = StorageMetadataCheckpoint { segments: storage.collect() };
        prop_assert_eq!(StorageMetadataCheckpoint::decode(&storage.encode().unwrap()).unwrap(), storage);
        let value = MetadataCheckpoint { container_id, segments };
        let bytes = value.encode().unwrap();
        prop_assert_eq!(MetadataCheckpoint::decode(&bytes).unwrap(), value);
    }
}

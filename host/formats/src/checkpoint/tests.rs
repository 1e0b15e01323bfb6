use super::*;
use crate::attribute::{EVENT_COUNT, SEGMENT_TYPE};
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

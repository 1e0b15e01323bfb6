use super::*;
use crate::test_support::{hex, mutations, unhex};
use proptest::prelude::*;

const TABLE: &str = "_system/containers/metadata_1";

fn chunk_added(new_chunk: &str, old_chunk: &str, offset: u64) -> JournalRecord {
    let (new_chunk, old_chunk) = (new_chunk.into(), old_chunk.into());
    JournalRecord::ChunkAdded { segment: TABLE.into(), new_chunk, old_chunk, offset }
}

fn append(chunk: &str, offset: u64, length: u64) -> JournalRecord {
    JournalRecord::Append { segment: TABLE.into(), chunk: chunk.into(), offset, length }
}

fn truncation(offset: u64, first_chunk: &str, first_chunk_start_offset: u64) -> JournalRecord {
    let (segment, first_chunk) = (TABLE.into(), first_chunk.into());
    JournalRecord::Truncation { segment, offset, first_chunk, first_chunk_start_offset }
}

fn replay(records: &[JournalRecord]) -> Result<SystemSegmentState, ReplayError> {
    let mut replay = JournalReplay::new(1);
    for record in records {
        replay.apply(record)?;
    }
    Ok(replay.finish()?.remove(&SystemSegment::parse(TABLE).unwrap()).unwrap())
}

#[test]
fn empty_snapshot_vector() {
    let snapshot = SystemSnapshot::empty(1, 1, 1, 128 << 20, 0x1d);
    let bytes = snapshot.encode_file().unwrap();
    assert_eq!(bytes.len(), 321);
    assert_eq!(SystemSnapshot::decode_file(&bytes).unwrap(), snapshot);
    let name = |segment: &SegmentSnapshot| segment.metadata.name.clone();
    let last = snapshot.segments.iter().find(|segment| name(segment).ends_with("/storage_metadata_1")).unwrap();
    let reordered = SystemSnapshot { segments: vec![last.clone()], ..snapshot.clone() };
    let vector = unhex(
        "01 01 01 | 00 00 01 00 00000041 00 03 00 01 00 00000037 0025 5f73797374656d2f636f6e7461696e6572732f
         73746f726167655f6d657461646174615f31 00 00 00 1d 88000000 0000 0000 00 00 00 01 00",
    );
    assert_eq!(hex(&reordered.encode_file().unwrap()[8..]), hex(&vector));
    assert_eq!(hex(&bytes[..11]), hex(&unhex("00 00 01 00 00000139 01 01 04")));
}

#[test]
fn pointer_and_epoch_vectors() {
    let info = SnapshotInfo { epoch: 5, snapshot_id: 3 };
    let bytes = unhex("00 00 01 00 00000002 05 03");
    assert_eq!((info.encode().unwrap(), SnapshotInfo::decode(&bytes).unwrap()), (bytes, info));
    let info = EpochInfo { epoch: 5, operation_sequence_number: 1234 };
    let bytes = unhex("00 00 01 00 00000003 05 44 d2");
    assert_eq!((info.encode().unwrap(), EpochInfo::decode(&bytes).unwrap()), (bytes, info));
}

#[test]
fn batches_end_at_a_torn_one() {
    let first = encode_batch(&[chunk_added("a", "", 0), append("a", 0, 5)]).unwrap();
    let second = encode_batch(&[append("a", 5, 5)]).unwrap();
    let whole = [&first[..], &second].concat();
    for length in first.len()..=whole.len() {
        let mut batches = JournalBatches::new(&whole[..length]);
        assert_eq!(batches.next().unwrap().unwrap().len(), 2);
        let (count, end) = match length == whole.len() {
            true => (1, whole.len()),
            false => (0, first.len()),
        };
        assert_eq!(batches.by_ref().map(Result::unwrap).count(), count);
        assert_eq!(batches.end(), end as u64);
        let torn = length != first.len() && length != whole.len();
        assert_eq!(batches.torn_at(), torn.then_some(first.len() as u64), "{length}");
    }
}

#[test]
fn garbage_is_an_error() {
    let mut bytes = encode_batch(&[append("a", 0, 5)]).unwrap();
    let end = bytes.len() as u64;
    bytes.extend([0; 12]);
    let mut batches = JournalBatches::new(&bytes);
    assert!(batches.next().unwrap().is_ok());
    assert!(batches.next().unwrap().is_err());
    assert!(batches.next().is_none());
    assert_eq!((batches.end(), batches.torn_at()), (end, None));
}

#[test]
fn replays_chunks_appends_and_truncation() {
    let records = [
        chunk_added("a", "", 0),
        append("a", 0, 10),
        append("a", 10, 5),
        append("a", 10, 5),
        chunk_added("b", "a", 15),
        append("b", 0, 7),
        truncation(3, "a", 0),
        truncation(16, "b", 15),
    ];
    let expected = SystemSegmentState {
        chunks: vec![("b".into(), 7)],
        first_chunk_start_offset: 15,
        start_offset: 16,
        length: 22,
    };
    assert_eq!(replay(&records), Ok(expected));
}

#[test]
fn a_new_chunk_supersedes_what_follows_the_old_one() {
    let records = [
        chunk_added("a", "", 0),
        append("a", 0, 10),
        chunk_added("zombie", "a", 10),
        append("zombie", 0, 4),
        chunk_added("b", "a", 8),
        append("b", 0, 1),
    ];
    let state = replay(&records).unwrap();
    assert_eq!((state.chunks, state.length), (vec![("a".into(), 8), ("b".into(), 1)], 9));
}

#[test]
fn a_snapshot_replaces_everything() {
    let mut snapshot = SystemSnapshot::empty(1, 2, 0, 128 << 20, STATUS_SYSTEM_SEGMENT);
    let records = [chunk_added("a", "", 0), append("a", 0, 10), truncation(10, "", 10)];
    let start = |snapshot: SystemSnapshot| [&records[..], &[JournalRecord::Snapshot(snapshot)]].concat();
    assert_eq!(replay(&start(snapshot.clone())), Ok(SystemSegmentState::default()));
    snapshot.segments[0].metadata.length = 3;
    assert!(matches!(replay(&start(snapshot)), Err(ReplayError::Snapshot { .. })));
    let other = SystemSnapshot::empty(11, 2, 0, 128 << 20, STATUS_SYSTEM_SEGMENT);
    assert!(matches!(replay(&start(other)), Err(ReplayError::Snapshot { .. })));
}

#[test]
fn impossible_records_are_named() {
    let first = chunk_added("a", "", 0);
    let histories = [
        vec![append("a", 0, 1)],
        vec![first.clone(), append("b", 0, 1)],
        vec![first.clone(), append("a", 1, 1)],
        vec![first.clone(), append("a", 0, u64::MAX), chunk_added("b", "a", 7), append("b", 0, u64::MAX)],
        vec![first.clone(), chunk_added("c", "b", 0)],
        vec![first.clone(), chunk_added("b", "", 0)],
        vec![first.clone(), chunk_added("a", "a", 0)],
        vec![chunk_added("a", "", 5), chunk_added("b", "a", 4)],
        vec![first.clone(), truncation(1, "a", 0)],
        vec![first.clone(), truncation(0, "b", 0)],
        vec![first, append("a", 0, 2), truncation(1, "", 0)],
        vec![JournalRecord::Append {
            segment: "_system/containers/metadata_11".into(),
            chunk: "a".into(),
            offset: 0,
            length: 0,
        }],
    ];
    for history in histories {
        let error = replay(&history).unwrap_err();
        assert!(
            matches!(&error, ReplayError::Impossible { record, .. } if **record == history[history.len() - 1]),
            "{error}"
        );
    }
}

#[test]
fn files_after_the_snapshot_in_order() {
    use crate::names::{JournalKind, JournalName};
    let name = |epoch, index, kind| JournalName { container: 1, epoch, index, kind };
    let (file, snapshot) = (JournalKind::File, JournalKind::Snapshot);
    let objects = [name(2, 10, file), name(2, 9, file), name(1, 3, file), name(2, 1, snapshot), name(1, 2, file)];
    let order = [name(1, 2, file), name(1, 3, file), name(2, 9, file), name(2, 10, file)];
    assert_eq!(replay_order(&objects, None), order);
    assert_eq!(replay_order(&objects, Some((1, 2))), order[1..]);
    assert_eq!(replay_order(&objects, Some((2, 9))), order[3..]);
}

#[test]
fn damaged_files_do_not_panic() {
    let snapshot = SystemSnapshot::empty(1, 1, 1, 128 << 20, 0x1d);
    mutations(&snapshot.encode_file().unwrap(), |bytes| drop(SystemSnapshot::decode_file(bytes)));
    let batch = [chunk_added("a", "", 0), append("a", 0, 10), truncation(3, "a", 0), JournalRecord::Snapshot(snapshot)];
    mutations(&encode_batch(&batch).unwrap(), |bytes| {
        let records: Vec<_> = JournalBatches::new(bytes).filter_map(Result::ok).flatten().collect();
        let _ = replay(&records);
    });
}

fn records() -> impl Strategy<Value = JournalRecord> {
    let names = ("[a-z]{0,9}", "[a-z]{0,9}", "[a-z]{0,9}");
    let numbers = (0..=crate::primitives::COMPACT_LONG_MAX, 0..=crate::primitives::COMPACT_LONG_MAX);
    (0..4, names, numbers).prop_map(|(kind, (segment, one, other), (offset, length))| match kind {
        0 => JournalRecord::ChunkAdded { segment, new_chunk: one, old_chunk: other, offset },
        1 => JournalRecord::Append { segment, chunk: one, offset, length },
        2 => JournalRecord::Truncation { segment, offset, first_chunk: one, first_chunk_start_offset: length },
        _ => {
            let metadata = SegmentMetadata { name: segment, length, ..SegmentMetadata::default() };
            let chunks = vec![ChunkMetadata { name: one, length: offset, next_chunk: other, status: 1 }];
            JournalRecord::Snapshot(SystemSnapshot {
                epoch: offset,
                file_index: 7,
                segments: vec![SegmentSnapshot { metadata, chunks }],
            })
        }
    })
}

proptest! {
    #[test]
    fn encoded_batches_decode(batches in prop::collection::vec(prop::collection::vec(records(), 0..5), 0..5)) {
        let bytes: Vec<u8> = batches.iter().flat_map(|batch| encode_batch(batch).unwrap()).collect();
        let decoded: Result<Vec<_>, _> = JournalBatches::new(&bytes).collect();
        prop_assert_eq!(decoded.unwrap(), batches);
    }
}

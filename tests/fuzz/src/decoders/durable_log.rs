//! Logs of containers: frames, operations, checkpoints, the ZNode.

use std::convert::Infallible;

use dr_formats::DecodeError;
use dr_formats::attribute::{AttributeId, AttributeUpdate, CREATION_TIME, EVENT_COUNT, system_table_attributes};
use dr_formats::checkpoint::{
    CheckpointSegment, MetadataCheckpoint, StorageCheckpointSegment, StorageMetadataCheckpoint,
};
use dr_formats::data_frame::{FrameParts, FrameReader, FrameWriter, SequenceTracker};
use dr_formats::log_metadata::{FrameAddress, LedgerAddress, LedgerStatus, LogLedger, LogMetadata};
use dr_formats::operation::{Action, Operation, OperationHead, SegmentMapping};
use dr_formats::primitives::{Reader, Uuid};

use crate::decoder::{Decoder, Outcome, round_trip};

pub(super) const DECODERS: &[Decoder] = &[
    Decoder {
        name: "operation",
        covers: &["operation::Operation::decode", "operation::Operation::read", "operation::OperationHead::decode"],
        seeds: |_| operations().iter().flat_map(Operation::encode).collect(),
        mend: None,
        check: check_operation,
    },
    Decoder {
        name: "data-frame",
        covers: &[
            "data_frame::FrameReader::frame",
            "data_frame::FrameParts::new",
            "data_frame::SequenceTracker::check",
        ],
        seeds: |_| frame_seeds(),
        mend: Some(|input, _| mend_frames(input)),
        check: check_frames,
    },
    Decoder {
        name: "metadata-checkpoint",
        covers: &["checkpoint::MetadataCheckpoint::decode"],
        seeds: |_| metadata_checkpoint().encode().into_iter().collect(),
        mend: None,
        check: |input| {
            let decoded = MetadataCheckpoint::decode(input);
            round_trip(decoded, MetadataCheckpoint::encode, |bytes, value| {
                MetadataCheckpoint::decode(bytes).as_ref() == Ok(value)
            })
        },
    },
    Decoder {
        name: "storage-checkpoint",
        covers: &["checkpoint::StorageMetadataCheckpoint::decode"],
        seeds: |_| storage_checkpoint().encode().into_iter().collect(),
        mend: None,
        check: |input| {
            let decoded = StorageMetadataCheckpoint::decode(input);
            round_trip(decoded, StorageMetadataCheckpoint::encode, |bytes, value| {
                StorageMetadataCheckpoint::decode(bytes).as_ref() == Ok(value)
            })
        },
    },
    Decoder {
        name: "log-metadata",
        covers: &["log_metadata::LogMetadata::decode"],
        seeds: |_| log_metadata().encode().into_iter().collect(),
        mend: None,
        check: |input| {
            let decoded = LogMetadata::decode(input);
            round_trip(decoded, LogMetadata::encode, |bytes, value| LogMetadata::decode(bytes).as_ref() == Ok(value))
        },
    },
];

fn updates() -> Vec<AttributeUpdate> {
    vec![AttributeUpdate::replace(EVENT_COUNT, 7), AttributeUpdate::replace(Uuid::from_halves(1, 2), i64::MIN)]
}

fn metadata_checkpoint() -> MetadataCheckpoint<'static> {
    let segment = CheckpointSegment {
        segment_id: 3,
        name: "scope/stream/0.#epoch.0".into(),
        length: 70_000,
        storage_length: 60_000,
        merged: false,
        sealed: true,
        sealed_in_storage: false,
        deleted: false,
        deleted_in_storage: false,
        last_modified: 1_700_000_000_000,
        start_offset: 5,
        attributes: [(CREATION_TIME, 9), (EVENT_COUNT, 4)].into_iter().collect(),
    };
    MetadataCheckpoint { container_id: 2, segments: vec![segment.clone(), segment] }
}

fn storage_checkpoint() -> StorageMetadataCheckpoint {
    let segment = StorageCheckpointSegment {
        segment_id: 3,
        storage_length: 60_000,
        sealed_in_storage: true,
        deleted: false,
        deleted_in_storage: false,
    };
    StorageMetadataCheckpoint { segments: vec![segment; 3] }
}

fn log_metadata() -> LogMetadata {
    let ledger = |sequence, status| LogLedger { ledger_id: 1000 + i64::from(sequence), sequence, status };
    LogMetadata {
        enabled: true,
        epoch: 9,
        truncation: LedgerAddress { frame: FrameAddress::new(1, 4), ledger_id: 1001 },
        ledgers: vec![
            ledger(1, LedgerStatus::NotEmpty),
            ledger(2, LedgerStatus::Empty),
            ledger(70, LedgerStatus::Unknown),
        ],
    }
}

/// One operation of every kind, with sequence numbers that grow.
fn operations() -> Vec<Operation<'static>> {
    let bytes_update = AttributeUpdate::replace(AttributeId::Bytes(Box::from(&b"key of a table"[..])), 44);
    let mapping = SegmentMapping {
        segment_id: 5,
        name: "_system/containers/metadata_0".into(),
        start_offset: 1,
        length: 300,
        sealed: false,
        attributes: system_table_attributes(),
        pinned: true,
    };
    let metadata = metadata_checkpoint().encode().unwrap_or_default();
    let storage = storage_checkpoint().encode().unwrap_or_default();
    let (segment_id, target_id, source_id) = (5, 5, 6);
    let actions = [
        Action::MetadataCheckpoint(metadata.into()),
        Action::StorageMetadataCheckpoint(storage.into()),
        Action::Map(mapping),
        Action::Append { segment_id, offset: 300, data: b"an event of some bytes".into(), attributes: updates() },
        Action::Append { segment_id, offset: 322, data: b"x".into(), attributes: vec![bytes_update.clone()] },
        Action::UpdateAttributes { segment_id, attributes: [updates(), vec![bytes_update]].concat() },
        Action::Merge { target_id, source_id, source_length: 9, target_offset: 323, attributes: updates() },
        Action::Merge { target_id, source_id, source_length: 9, target_offset: 332, attributes: Vec::new() },
        Action::Truncate { segment_id, offset: 20 },
        Action::Seal { segment_id, length: 341 },
        Action::Delete { segment_id, offset: 341 },
    ];
    (1..).zip(actions).map(|(sequence_number, action)| Operation { sequence_number, action }).collect()
}

fn check_operation(input: &[u8]) -> Outcome {
    let mut reader = Reader::new("fuzz", input);
    let read = Operation::read(&mut reader);
    assert_eq!(read, Operation::decode(input));
    let head = OperationHead::decode(input);
    if let Ok(operation) = &read {
        let number = head.as_ref().map(|head| head.sequence_number);
        assert_eq!(number, Ok(operation.sequence_number), "the beginning says something else");
        if let (Action::MetadataCheckpoint(payload), Some(container)) =
            (&operation.action, head.ok().and_then(|head| head.container_id))
            && let Ok(checkpoint) = MetadataCheckpoint::decode(payload)
        {
            assert_eq!(container, checkpoint.container_id);
        }
    }
    round_trip(read, Operation::encode, |bytes, value| Operation::decode(bytes).as_ref() == Ok(value))
}

fn frame_seeds() -> Vec<Vec<u8>> {
    let records: Vec<Vec<u8>> = operations().iter().flat_map(Operation::encode).collect();
    let lengths = [0, 20, 100, 300, 5000];
    let whole = lengths.iter().map(|length| frames(&records, *length));
    let alone = records.iter().map(|record| frames(std::slice::from_ref(record), 0));
    whole.chain(alone).collect()
}

/// The records in frames of at most `limit` bytes, one after the other.
fn frames(records: &[Vec<u8>], limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut sink = |frame: &[u8]| {
        bytes.extend_from_slice(frame);
        Ok::<(), Infallible>(())
    };
    let mut writer = FrameWriter::with_limit(limit);
    let Ok(()) = records.iter().try_for_each(|record| writer.record(record, &mut sink));
    let Ok(()) = writer.flush(&mut sink);
    bytes
}

/// Gives the frame in which the bytes end, and one part of it, lengths that fill it.
fn mend_frames(input: &mut [u8]) {
    let mut start = 0;
    for frame in split_frames(input) {
        start = frame.start;
    }
    if let Some(length) = (input.len() - start).checked_sub(6) {
        input[start + 1..start + 5].copy_from_slice(&(length as u32).to_be_bytes());
        if let Some(part) = length.checked_sub(5).filter(|part| *part < 64) {
            input[start + 6..start + 10].copy_from_slice(&(part as u32).to_be_bytes());
        }
    }
}

/// Cuts the input where its frames say that they end; the last one is what is left.
fn split_frames(input: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut frames = Vec::new();
    let mut start = 0;
    while start < input.len() {
        let length = input.get(start + 1..start + 5).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes);
        let end = length.and_then(|length| (start + 6).checked_add(length as usize));
        let end = end.filter(|end| *end <= input.len()).unwrap_or(input.len());
        frames.push(start..end);
        start = end;
    }
    frames
}

/// The parts of a frame lie in it one behind the other.
fn check_parts(frame: &[u8]) {
    let Ok(parts) = FrameParts::new(frame) else { return };
    let length: usize = parts.map_while(Result::ok).map(|part| part.bytes.len() + 5).sum();
    assert!(length <= frame.len(), "parts of {length} bytes in a frame of {}", frame.len());
}

fn check_frames(input: &[u8]) -> Outcome {
    let mut records = Vec::new();
    let mut tracker = SequenceTracker::new();
    let mut reader = FrameReader::with_limit(1 << 20);
    let mut sound = true;
    for (entry, frame) in (0..).zip(split_frames(input)) {
        let visit = |record: dr_formats::data_frame::Record<'_>| {
            let length: u64 = record.parts.iter().map(|part| u64::from(part.length)).sum();
            assert_eq!(length, record.bytes.len() as u64);
            if let Ok(operation) = Operation::decode(record.bytes) {
                let before = tracker.last();
                // Repetitions of mutated logs are refused or not; what was seen may only grow.
                let _ = tracker.check(operation.sequence_number, &record);
                assert!(tracker.last() >= before, "the sequence went backwards");
            }
            records.push(record.bytes.to_vec());
            Ok::<(), DecodeError>(())
        };
        check_parts(&input[frame.clone()]);
        sound = sound && reader.frame(FrameAddress::new(1, entry), &input[frame], visit).is_ok();
    }
    // The writer leaves out records of no bytes.
    records.retain(|record| !record.is_empty());
    if records.is_empty() {
        return Outcome::Refused;
    }
    let written = frames(&records, 64);
    let mut again = Vec::new();
    let mut reader = FrameReader::new();
    for (entry, frame) in (0..).zip(split_frames(&written)) {
        let result = reader.frame(FrameAddress::new(1, entry), &written[frame], |record| {
            again.push(record.bytes.to_vec());
            Ok::<(), DecodeError>(())
        });
        assert_eq!(result, Ok(()));
    }
    assert_eq!(again, records);
    if sound { Outcome::RoundTripped } else { Outcome::Accepted }
}

//! Content of segments: tables, their rows, events.

use std::collections::HashMap;

use dr_formats::events::{EVENT_HEADER_LENGTH, EventWalker, payload_length, payloads};
use dr_formats::primitives::{Reader, Writer};
use dr_formats::reader_group::{Entry, ReaderGroupState};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{StorageMetadata, Subject, TransactionData};
use dr_formats::table::{TableEntries, TableEntry, newest, write_entry};

use crate::decoder::{Decoder, Outcome, round_trip};

pub(super) const DECODERS: &[Decoder] = &[
    Decoder {
        name: "table-entries",
        covers: &["table::TableEntries::new", "attribute::table_key_hash"],
        seeds: |captured| captured.tables.clone(),
        mend: None,
        check: check_table,
    },
    Decoder {
        name: "segment-info",
        covers: &[
            "segment_info::SegmentInfo::decode",
            "segment_info::SegmentInfo::read",
            "segment_info::SegmentInfo::start_offset_of",
        ],
        seeds: |captured| captured.segment_rows.clone(),
        mend: None,
        check: |input| {
            if let (Ok(row), Some(start_offset)) = (SegmentInfo::decode(input), SegmentInfo::start_offset_of(input)) {
                assert_eq!(row.start_offset, start_offset);
            }
            round_trip(SegmentInfo::decode(input), SegmentInfo::encode, |bytes, value| {
                SegmentInfo::decode(bytes).as_ref() == Ok(value)
            })
        },
    },
    Decoder {
        name: "storage-metadata",
        covers: &[
            "slts::TransactionData::decode",
            "slts::TransactionData::decode_borrowed",
            "slts::StorageMetadata::read",
            "slts::Subject::of",
        ],
        seeds: |captured| captured.storage_rows.clone(),
        mend: None,
        check: check_storage_row,
    },
    Decoder {
        name: "events",
        covers: &["events::EventWalker::push", "events::payload_length", "events::payloads"],
        seeds: |captured| captured.events.clone(),
        mend: None,
        check: check_events,
    },
    Decoder {
        name: "reader-group-state",
        covers: &["reader_group::Entry::decode"],
        seeds: |captured| captured.reader_groups.clone(),
        mend: None,
        check: check_reader_group,
    },
];

/// What was decoded can be applied or is refused; a state is written as it was read.
fn check_reader_group(input: &[u8]) -> Outcome {
    match Entry::decode(input) {
        Err(_) => Outcome::Refused,
        Ok(Entry::State(state)) => {
            let mut left = (*state).clone();
            left.remove_readers();
            assert!(left.assigned.is_empty());
            round_trip(
                Ok::<_, ()>(state),
                |state| state.encode(),
                |bytes, state| Entry::decode(bytes).as_ref() == Ok(&Entry::State(state.clone())),
            )
        }
        Ok(Entry::Changes(changes)) => {
            let mut state = ReaderGroupState::default();
            for change in changes {
                // Most changes do not fit an empty state; none may be able to do harm.
                let _ = state.apply(change);
            }
            Outcome::Accepted
        }
    }
}

fn check_table(input: &[u8]) -> Outcome {
    let outcome = check_table_at(input, 0);
    // Where a segment may not reach, nothing may overflow.
    check_table_at(input, i64::MAX as u64 - 40);
    check_table_at(input, u64::MAX - 40);
    outcome
}

fn check_table_at(input: &[u8], start: u64) -> Outcome {
    let mut entries = TableEntries::new(input, start);
    let (mut whole, mut written) = (Vec::new(), Vec::new());
    let mut failed = false;
    for entry in entries.by_ref() {
        let Ok(entry) = entry else {
            failed = true;
            break;
        };
        assert!(entry.end() > entry.offset || entry.end() == u64::MAX, "the walk moved backwards");
        // Any key has a hash; that there is one is the test.
        let _ = dr_formats::attribute::table_key_hash(entry.key);
        let stated = (entry.version != entry.offset as i64).then_some(entry.version);
        assert!(write_entry(entry.key, entry.value, stated, &mut written).is_ok(), "cannot be written: {entry:?}");
        whole.push(entry);
    }
    assert!(entries.next().is_none(), "the walk goes on behind its end");
    if start == 0 {
        assert_eq!(entries.end() + entries.torn_bytes() as u64, input.len() as u64);
    }
    assert_newest(&whole);
    if whole.is_empty() {
        return Outcome::Refused;
    }
    let again: Vec<_> = TableEntries::new(&written, start).map_while(Result::ok).collect();
    assert_eq!(again, whole);
    if failed { Outcome::Accepted } else { Outcome::RoundTripped }
}

fn assert_newest(entries: &[TableEntry<'_>]) {
    let newest: HashMap<_, _> = newest(entries.iter().copied());
    for entry in entries {
        assert!(newest.get(entry.key).is_some_and(|best| best.rank() >= entry.rank()), "{entry:?} is newer");
    }
}

fn check_storage_row(input: &[u8]) -> Outcome {
    let decoded = TransactionData::decode(input);
    match (&decoded, TransactionData::decode_borrowed(input)) {
        (Ok(owned), Ok(borrowed)) => assert_eq!(format!("{owned:?}"), format!("{borrowed:?}")),
        (owned, borrowed) => assert_eq!(owned.as_ref().err(), borrowed.as_ref().err()),
    }
    if let (Ok(TransactionData { value, .. }), Some(subject)) = (&decoded, Subject::of(input)) {
        let expected = match value {
            None => Subject::Deleted,
            Some(StorageMetadata::Segment(_)) => Subject::Segment,
            Some(StorageMetadata::Chunk(_) | StorageMetadata::ReadIndexBlock(_)) => Subject::PartOfSegment,
        };
        assert_eq!(subject, expected);
    }
    if let Ok(TransactionData { value: Some(StorageMetadata::Segment(segment)), .. }) = &decoded {
        // Its verdict is its own affair; that it has one is the test.
        let _ = segment.check_invariants();
    }
    let record = StorageMetadata::read(&mut Reader::new("fuzz", input));
    let encode = |record: &StorageMetadata| {
        let mut writer = Writer::new();
        record.write(&mut writer);
        writer.finish()
    };
    round_trip(record, encode, |bytes, record| {
        StorageMetadata::read(&mut Reader::new("fuzz", bytes)).as_ref() == Ok(record)
    });
    round_trip(decoded, TransactionData::encode, |bytes, value| TransactionData::decode(bytes).as_ref() == Ok(value))
}

fn check_events(input: &[u8]) -> Outcome {
    // The first byte decides about the pieces, so that it is part of what is varied.
    let piece = input.first().map_or(1, |byte| usize::from(*byte % 13) + 1);
    let start = if piece == 13 { u64::MAX - 20 } else { 5 };
    let mut at_once = EventWalker::new(start);
    at_once.push(input);
    let payload_bytes: usize = payloads(input).map(|payload| payload.len() + EVENT_HEADER_LENGTH).sum();
    assert!(payload_bytes <= input.len() && payloads(input).count() as u64 == at_once.whole_events());
    let mut in_pieces = EventWalker::new(start);
    let mut end = start;
    for bytes in input.chunks(piece) {
        in_pieces.push(bytes);
        assert!(in_pieces.whole_end() >= end && in_pieces.position() >= end, "the walk moved backwards");
        end = in_pieces.whole_end();
        assert!(in_pieces.torn_bytes() <= in_pieces.position());
    }
    assert_eq!(seen(&at_once), seen(&in_pieces));
    if let Some(header) = input.first_chunk() {
        assert_eq!(payload_length(*header).is_none(), at_once.stopped_at() == Some(start), "what begins no event");
    }
    if start < 10 {
        assert_eq!(seen(&at_once), seen(&skipping(input, start)));
        assert!(at_once.position() <= start + input.len() as u64);
    }
    if at_once.whole_events() > 0 { Outcome::Accepted } else { Outcome::Refused }
}

fn seen(walker: &EventWalker) -> (u64, u64, u64, u64, Option<u64>) {
    (walker.whole_events(), walker.whole_end(), walker.position(), walker.torn_bytes(), walker.stopped_at())
}

/// A walk that passes over payloads instead of reading them.
fn skipping(mut bytes: &[u8], start: u64) -> EventWalker {
    let mut walker = EventWalker::new(start);
    while !bytes.is_empty() && walker.stopped_at().is_none() {
        let skipped = walker.skip(bytes.len() as u64) as usize;
        bytes = &bytes[skipped..];
        let (header, rest) = bytes.split_at(bytes.len().min(3));
        let header = if walker.skippable() > 0 { &[] } else { header };
        walker.push(header);
        bytes = if header.is_empty() { bytes } else { rest };
    }
    walker
}

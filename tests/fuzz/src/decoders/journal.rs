//! The system journal.

use dr_formats::journal::{
    EpochInfo, JournalBatches, JournalPart, JournalRecord, JournalReplay, SnapshotInfo, SystemSegmentState,
    SystemSnapshot, encode_batch, examine, replay_order,
};
use dr_formats::names::{JournalKind, JournalName, SystemSegment};
use dr_formats::slts::STATUS_SYSTEM_SEGMENT;

use crate::decoder::{Decoder, Outcome, round_trip};
use crate::seeds::Captured;

pub(super) const DECODERS: &[Decoder] = &[
    Decoder {
        name: "journal-file",
        covers: &["journal::JournalBatches::new"],
        seeds: |captured| captured.journal_files.clone(),
        mend: None,
        check: check_file,
    },
    Decoder {
        name: "journal-parts",
        covers: &["journal::examine"],
        seeds: |captured| captured.journal_files.clone(),
        mend: None,
        check: check_parts,
    },
    Decoder {
        name: "journal-replay",
        covers: &["journal::JournalReplay::apply", "journal::replay_order"],
        seeds: replay_seeds,
        mend: None,
        check: check_replay,
    },
    Decoder {
        name: "journal-snapshot",
        covers: &["journal::SystemSnapshot::decode_file"],
        seeds: snapshot_seeds,
        mend: None,
        check: check_snapshot,
    },
    Decoder {
        name: "journal-pointers",
        covers: &["journal::SnapshotInfo::decode", "journal::EpochInfo::decode"],
        seeds: |_| {
            let (epoch, snapshot_id) = (7, 1 << 40);
            SnapshotInfo { epoch, snapshot_id }.encode().into_iter().collect()
        },
        mend: None,
        check: check_pointers,
    },
];

fn check_file(input: &[u8]) -> Outcome {
    let mut batches = JournalBatches::new(input);
    let mut outcome = Outcome::Refused;
    let mut end = 0;
    while let Some(batch) = batches.next() {
        assert!(batches.end() >= end && batches.end() <= input.len() as u64, "the end moved out of the file");
        assert!(batch.is_err() || batches.end() > end, "a batch of no bytes");
        end = batches.end();
        let decodes_to = |bytes: &[u8], batch: &Vec<_>| {
            JournalBatches::new(bytes).next().is_some_and(|again| again.as_ref() == Ok(batch))
        };
        outcome = outcome_of_both(outcome, round_trip(batch, |batch| encode_batch(batch), decodes_to));
    }
    assert!(batches.torn_at().is_none_or(|torn| torn == end), "a torn batch begins where the last whole one ends");
    outcome
}

/// What is whole up to the first damage is what a replay reads; behind it, parts come in the order of their offsets.
fn check_parts(input: &[u8]) -> Outcome {
    let whole: usize = JournalBatches::new(input).map_while(Result::ok).map(|batch| batch.len()).sum();
    let (mut records, mut damaged, mut last) = (0, false, 0);
    examine(input, &mut |part| match part {
        JournalPart::Batch { offset, .. } | JournalPart::Record { offset, .. } => {
            assert!(offset >= last && offset < input.len() as u64, "a part outside of the file");
            (last, records) = (offset, records + usize::from(matches!(part, JournalPart::Record { .. })));
        }
        JournalPart::Damage(_) => damaged = true,
    });
    assert!(records >= whole, "{records} records are shown, {whole} are whole");
    if damaged { Outcome::Refused } else { Outcome::Accepted }
}

/// The weaker of the outcomes of two parts, the first of which may be nothing yet.
fn outcome_of_both(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::Refused, other) => other,
        (Outcome::RoundTripped, Outcome::RoundTripped) => Outcome::RoundTripped,
        _ => Outcome::Accepted,
    }
}

fn replay_seeds(captured: &Captured) -> Vec<Vec<u8>> {
    let segment = SystemSegment::all_of(0)[0].to_string();
    let added = |new: &str, old: &str, offset| JournalRecord::ChunkAdded {
        segment: segment.clone(),
        new_chunk: new.into(),
        old_chunk: old.into(),
        offset,
    };
    let appended = |chunk: &str, offset, length| JournalRecord::Append {
        segment: segment.clone(),
        chunk: chunk.into(),
        offset,
        length,
    };
    let truncation = JournalRecord::Truncation {
        segment: segment.clone(),
        offset: 12,
        first_chunk: "b".into(),
        first_chunk_start_offset: 10,
    };
    let snapshot = JournalRecord::Snapshot(SystemSnapshot::empty(0, 1, 0, 1 << 20, STATUS_SYSTEM_SEGMENT | 1));
    let small =
        [snapshot, added("a", "", 0), appended("a", 0, 10), added("b", "a", 10), appended("b", 0, 5), truncation];
    let mut seeds = captured.journals.clone();
    // A file alone mostly goes on after others, so that its records do not fit: some are enough.
    seeds.extend(captured.journal_files.iter().step_by(12).cloned());
    seeds.extend((0..20).flat_map(|_| encode_batch(&small)));
    seeds.extend(
        (0..20)
            .flat_map(|_| {
                small.iter().map(|record| encode_batch(std::slice::from_ref(record))).collect::<Result<Vec<_>, _>>()
            })
            .map(|parts| parts.concat()),
    );
    seeds
}

/// Replays for the container of the first record that names one.
fn check_replay(input: &[u8]) -> Outcome {
    let records: Vec<JournalRecord> = JournalBatches::new(input).map_while(Result::ok).flatten().collect();
    let container = records.iter().find_map(container_of).unwrap_or(0);
    let mut replay = JournalReplay::new(container);
    for record in &records {
        // A record that does not fit leaves the state as it was; what follows may fit again.
        let before = replay.applied_records();
        let Ok(new) = replay.apply(record) else {
            assert_eq!(replay.applied_records(), before);
            continue;
        };
        assert!(!new || !replay.apply(record).is_ok_and(|again| again), "a record was applied twice");
    }
    let applied = replay.applied_records();
    assert!(applied <= records.len());
    if let Ok(segments) = replay.clone().finish() {
        segments.values().for_each(assert_consistent);
    }
    replay.extend_last_chunks(|name| Some(name.len() as u64 * 1_000_003));
    check_order(&records);
    match replay.finish() {
        Ok(segments) if applied > 0 => {
            segments.values().for_each(assert_consistent);
            Outcome::Accepted
        }
        _ => Outcome::Refused,
    }
}

fn container_of(record: &JournalRecord) -> Option<u32> {
    let name = match record {
        JournalRecord::Snapshot(snapshot) => Some(snapshot.segments.first()?.metadata.name.as_str()),
        _ => record.segment(),
    };
    SystemSegment::parse(name?).map(|segment| segment.container)
}

fn assert_consistent(state: &SystemSegmentState) {
    let lengths: u128 = state.chunks.iter().map(|(_, length)| u128::from(*length)).sum();
    assert_eq!(u128::from(state.first_chunk_start_offset) + lengths, u128::from(state.length), "{state:?}");
    assert!(state.first_chunk_start_offset <= state.start_offset, "{state:?}");
}

fn check_order(records: &[JournalRecord]) {
    let name = |(index, record): (usize, &JournalRecord)| JournalName {
        container: 0,
        epoch: record.segment().map_or(0, str::len) as u64,
        index: index as u64,
        kind: if index % 3 == 0 { JournalKind::Snapshot } else { JournalKind::File },
    };
    let names: Vec<JournalName> = records.iter().enumerate().rev().map(name).collect();
    assert!(replay_order(&names, None).is_sorted());
    assert!(replay_order(&names, Some((1, 2))).iter().all(|file| (file.epoch, file.index) > (1, 2)));
}

fn snapshot_seeds(captured: &Captured) -> Vec<Vec<u8>> {
    let empty = SystemSnapshot::empty(2, 5, 3, 1 << 30, STATUS_SYSTEM_SEGMENT | 1).encode_file();
    captured.journal_snapshots.iter().cloned().chain(empty).collect()
}

fn check_snapshot(input: &[u8]) -> Outcome {
    let decoded = SystemSnapshot::decode_file(input);
    if let Ok(snapshot) = &decoded {
        let sound = snapshot.segments.iter().all(|segment| segment.check_invariants().is_ok());
        let replayed = JournalReplay::new(0).restart_from(snapshot).is_ok();
        assert!(sound || !replayed, "a replay began with a snapshot that contradicts itself");
    }
    round_trip(decoded, SystemSnapshot::encode_file, |bytes, value| {
        SystemSnapshot::decode_file(bytes).as_ref() == Ok(value)
    })
}

fn check_pointers(input: &[u8]) -> Outcome {
    let epoch = round_trip(EpochInfo::decode(input), EpochInfo::encode, |bytes, value| {
        EpochInfo::decode(bytes).as_ref() == Ok(value)
    });
    let snapshot = round_trip(SnapshotInfo::decode(input), SnapshotInfo::encode, |bytes, value| {
        SnapshotInfo::decode(bytes).as_ref() == Ok(value)
    });
    assert_eq!(epoch, snapshot, "two formats that are alike");
    snapshot
}

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::error::DecodeError;
use crate::log_metadata::FrameAddress;
use crate::test_support::{hex, mutations, unhex};

const SEAL_6: &str = "000200010000000018000000000000000600000000000000090000000000000007";
const SEAL_7: &str = "000200010000000018000000000000000700000000000000090000000000000007";

fn write(records: &[Vec<u8>], limit: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut sink = |frame: &[u8]| {
        frames.push(frame.to_vec());
        Ok::<(), Infallible>(())
    };
    let mut writer = FrameWriter::with_limit(limit);
    for record in records {
        writer.record(record, &mut sink).unwrap();
    }
    writer.flush(&mut sink).unwrap();
    assert_eq!(writer.frames(), frames.len() as u64);
    assert_eq!(writer.bytes(), frames.iter().map(Vec::len).sum::<usize>() as u64);
    frames
}

/// The records of frames and how many were dropped.
fn read<F: AsRef<[u8]>>(frames: &[F]) -> Result<(Vec<Vec<u8>>, u64), DecodeError> {
    let mut reader = FrameReader::with_limit(1 << 20);
    let mut records = Vec::new();
    for (entry, frame) in frames.iter().enumerate() {
        reader.frame(FrameAddress::new(1, entry as u32), frame.as_ref(), |record| {
            assert_eq!(record.parts.iter().map(|part| part.length as usize).sum::<usize>(), record.bytes.len());
            records.push(record.bytes.to_vec());
            Ok::<(), DecodeError>(())
        })?;
    }
    Ok((records, reader.dropped()))
}

fn frame(parts: &[(u8, &[u8])]) -> Vec<u8> {
    let mut content = Vec::new();
    for (flags, bytes) in parts {
        content.extend((bytes.len() as u32).to_be_bytes());
        content.push(*flags);
        content.extend_from_slice(bytes);
    }
    [&[0], (content.len() as u32).to_be_bytes().as_slice(), &[0], &content].concat()
}

#[test]
fn two_records_in_one_frame_as_in_the_reference() {
    let frames = write(&[unhex(SEAL_6), unhex(SEAL_7)], 1024);
    let expected = format!("000000004c00 0000002103 {SEAL_6} 0000002103 {SEAL_7}");
    assert_eq!(frames.iter().map(|frame| hex(frame)).collect::<Vec<_>>(), [hex(&unhex(&expected))]);
    assert_eq!(read(&frames).unwrap(), (vec![unhex(SEAL_6), unhex(SEAL_7)], 0));
}

#[test]
fn records_cut_as_in_the_reference() {
    let frames = [
        "00 00000016 00 00000011 01 0002000100000000180000000000000006",
        "00 00000015 00 00000010 02 00000000000000090000000000000007",
        "00 00000016 00 00000011 01 0002000100000000180000000000000007",
        "00 00000015 00 00000010 02 00000000000000090000000000000007",
    ]
    .map(unhex);
    assert_eq!(read(&frames).unwrap(), (vec![unhex(SEAL_6), unhex(SEAL_7)], 0));
}

#[test]
fn smallest_useful_frame_of_the_reference() {
    let checkpoint = unhex("00080001000000001300000000000000010a00000100000000020000");
    let expected = "0000000021000000001c0300080001000000001300000000000000010a00000100000000020000";
    assert_eq!(hex(&write(std::slice::from_ref(&checkpoint), FRAME_MAX_BYTES)[0]), expected);
    assert_eq!(read(&[unhex(expected)]).unwrap().0, [checkpoint]);
}

#[test]
fn a_record_alone_shares_no_frame() {
    let mut frames = Vec::new();
    let mut sink = |frame: &[u8]| {
        frames.push(frame.len());
        Ok::<(), Infallible>(())
    };
    let mut writer = FrameWriter::new();
    writer.record(b"before", &mut sink).unwrap();
    writer.record_alone(b"alone", &mut sink).unwrap();
    writer.record(b"after", &mut sink).unwrap();
    writer.flush(&mut sink).unwrap();
    writer.flush(&mut sink).unwrap();
    assert_eq!(frames, [6 + 5 + 6, 6 + 5 + 5, 6 + 5 + 5]);
}

#[test]
fn frames_fill_the_limit_and_never_pass_it() {
    let record = vec![7; 3 * FRAME_MAX_BYTES];
    let frames = write(std::slice::from_ref(&record), usize::MAX);
    assert_eq!(
        frames.iter().map(Vec::len).collect::<Vec<_>>(),
        [FRAME_MAX_BYTES, FRAME_MAX_BYTES, FRAME_MAX_BYTES, 44]
    );
    let mut reader = FrameReader::new();
    let mut found = 0;
    for (entry, frame) in frames.iter().enumerate() {
        let address = FrameAddress::new(0, entry as u32);
        reader
            .frame(address, frame, |whole| {
                found += usize::from(whole.bytes == record);
                Ok::<(), DecodeError>(())
            })
            .unwrap();
    }
    assert_eq!(found, 1);
}

#[test]
fn torn_records_are_dropped() {
    let torn_by_a_new_record = [frame(&[(3, b"one"), (1, b"tor")]), frame(&[(3, b"two")])];
    assert_eq!(read(&torn_by_a_new_record).unwrap(), (vec![b"one".to_vec(), b"two".to_vec()], 1));

    let beginning_truncated_away = [frame(&[(0, b"mid"), (2, b"end"), (3, b"one")])];
    assert_eq!(read(&beginning_truncated_away).unwrap(), (vec![b"one".to_vec()], 2));

    let mut reader = FrameReader::new();
    let torn_at_the_end = frame(&[(3, b"one"), (1, b"tor")]);
    reader.frame(FrameAddress(1), &torn_at_the_end, |_| Ok::<(), DecodeError>(())).unwrap();
    assert!(reader.has_partial_record());
}

#[test]
fn parts_in_the_middle_need_a_beginning() {
    let error = read(&[frame(&[(3, b"one"), (2, b"end")])]).unwrap_err();
    assert_eq!(error.to_string(), "data frame: at byte 14, expected the first part of a record");
    let three_frames = [frame(&[(1, b"a")]), frame(&[(0, b"b")]), frame(&[(2, b"c")])];
    assert_eq!(read(&three_frames).unwrap().0, [b"abc"]);
}

#[test]
fn broken_frames_are_refused() {
    for bytes in
        ["", "01", "000000000000", "0000000001", "00000000060000000002030a", "00ffffffff00", "0000000005000000000103ff"]
    {
        assert!(read(&[unhex(bytes)]).is_err(), "{bytes}");
    }
    let mut reader = FrameReader::new();
    let whole = frame(&[(3, b"one")]);
    let visit = |_: Record<'_>| Ok::<(), DecodeError>(());
    reader.frame(FrameAddress(5), &whole, visit).unwrap();
    assert!(reader.frame(FrameAddress(5), &whole, visit).is_err());

    let mut small = FrameReader::with_limit(4);
    small.frame(FrameAddress(1), &frame(&[(1, b"abc")]), visit).unwrap();
    let error = small.frame(FrameAddress(2), &frame(&[(2, b"de")]), visit).unwrap_err();
    assert_eq!(error.to_string(), "data frame: at byte 6, expected a record of at most 4 bytes");
}

#[test]
fn repetitions_are_judged_as_by_the_store() {
    let record = |parts: &'static [RecordPart]| Record { bytes: b"x", parts, ends_frame: true };
    let here = record(&[RecordPart { frame: FrameAddress(1), offset: 11, length: 1 }]);
    let same_place_elsewhere = record(&[RecordPart { frame: FrameAddress(2), offset: 11, length: 1 }]);
    let other_place = record(&[RecordPart { frame: FrameAddress(2), offset: 12, length: 1 }]);
    let mut tracker = SequenceTracker::new();
    assert_eq!(tracker.check(1, &here), Ok(Repetition::New));
    assert_eq!(tracker.check(1, &same_place_elsewhere), Ok(Repetition::Harmless));
    assert!(tracker.check(1, &other_place).is_err());
    for sequence_number in 5000..5030 {
        assert_eq!(tracker.check(sequence_number, &here), Ok(Repetition::New));
    }
    // Forgotten by now, thus compared with itself.
    assert_eq!(tracker.check(1, &other_place), Ok(Repetition::Harmless));
    assert_eq!(tracker.last(), Some(5029));
}

proptest! {
    #[test]
    fn records_survive(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..80), 1..20), limit in 0usize..100) {
        let frames = write(&records, limit);
        prop_assert!(frames.iter().all(|frame| frame.len() <= limit.max(12)));
        prop_assert_eq!(read(&frames).unwrap(), (records, 0));
    }

    #[test]
    fn any_bytes_give_value_or_error(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..4)) {
        let _ = read(&frames);
    }
}

#[test]
fn mutated_frames_give_value_or_error() {
    mutations(&write(&[unhex(SEAL_6), unhex(SEAL_7)], 1024)[0], |bytes| drop(read(&[bytes])));
}

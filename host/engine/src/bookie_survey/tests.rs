use std::fs;
use std::path::Path;

use dr_formats::data_frame::FrameWriter;
use proptest::prelude::*;

use super::file::SurveyWriter;
use super::sort::{Sorted, Sorter};
use super::*;

fn entry(ledger_id: i64, entry_id: i64, file: u32, payload_checksum: u32) -> EntrySummary {
    let place = EntryPlace { file, offset: 516, length: entry_length(DigestType::Crc32c, 100) };
    EntrySummary {
        ledger_id,
        entry_id,
        last_add_confirmed: entry_id - 1,
        length: (entry_id + 1) * 100,
        payload_length: 100,
        payload_checksum,
        digest_type: DigestType::Crc32c,
        place,
        copies: 1,
        frame: None,
    }
}

fn header(bookie_id: &str, entries: u64) -> SurveyHeader {
    SurveyHeader {
        version: SURVEY_VERSION,
        bookie_id: bookie_id.to_owned(),
        instance_id: None,
        cookie: b"4\nbookieHost: \"a\"\n".to_vec(),
        directories: Vec::new(),
        files: vec![SurveyedFile { path: "j/current/1.txn".into(), journal: true, id: 1, length: 1024 }],
        ledgers: vec![LedgerSummary {
            master_key: Some(LedgerPassword::default().master_key()),
            ..LedgerSummary::new(7, None)
        }],
        entries,
        oddities: Oddities::default(),
    }
}

fn write(path: &Path, header: &SurveyHeader, entries: &[EntrySummary]) {
    let mut writer = SurveyWriter::create(path).unwrap();
    entries.iter().for_each(|entry| writer.write(entry).unwrap());
    writer.finish(header).unwrap();
}

fn read(path: &Path) -> Result<Vec<EntrySummary>> {
    let mut survey = BookieSurvey::open(path)?;
    let mut entries = Vec::new();
    while let Some(entry) = survey.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn any_frame() -> impl Strategy<Value = FrameSummary> {
    let numbers = proptest::option::of((any::<i64>(), any::<i64>()));
    let counts = (any::<u32>(), any::<u32>(), any::<u32>());
    (any::<bool>(), any::<bool>(), counts, numbers, proptest::collection::vec(any::<u32>(), 0..3)).prop_map(
        |(begins_inside_record, ends_inside_record, counts, numbers, container_ids)| FrameSummary {
            begins_inside_record,
            ends_inside_record,
            records_begun: counts.0,
            unnumbered_records: counts.1,
            metadata_checkpoints: counts.2,
            first_sequence_number: numbers.map(|numbers| numbers.0),
            last_sequence_number: numbers.map(|numbers| numbers.1),
            container_ids,
        },
    )
}

fn any_entry() -> impl Strategy<Value = EntrySummary> {
    let ids = (0..4_i64, 0..50_i64);
    let digests = proptest::sample::select(&DigestType::ALL);
    let numbers = (any::<i64>(), 0..1_i64 << 62, 0..1_u32 << 30, any::<u32>(), 1..u32::MAX);
    let place = (any::<u32>(), any::<u64>());
    (ids, digests, numbers, place, proptest::option::of(any_frame())).prop_map(
        |(ids, digest_type, numbers, (file, offset), frame)| EntrySummary {
            ledger_id: ids.0,
            entry_id: ids.1,
            last_add_confirmed: numbers.0,
            length: numbers.1,
            payload_length: numbers.2,
            payload_checksum: numbers.3,
            digest_type,
            place: EntryPlace { file, offset, length: entry_length(digest_type, numbers.2) },
            copies: numbers.4,
            frame,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn entries_come_back_sorted_whatever_was_set_aside(
        mut entries in proptest::collection::vec(any_entry(), 0..200),
        piece_entries in 1..60_usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut sorters: Vec<Sorter> = (0..3).map(|_| Sorter::new(directory.path(), piece_entries)).collect();
        for (number, entry) in entries.iter().enumerate() {
            sorters[number % 3].add(entry.clone()).unwrap();
        }
        let path = directory.path().join("survey");
        let mut writer = SurveyWriter::create(&path).unwrap();
        let mut sorted = Sorted::new(sorters).unwrap();
        loop {
            let group = sorted.next_group().unwrap();
            if group.as_slice().is_empty() {
                break;
            }
            group.for_each(|entry| writer.write(&entry).unwrap());
        }
        writer.finish(&header("a", entries.len() as u64)).unwrap();
        // No two contents are alike, so none is a copy of another.
        entries.sort_by_key(EntrySummary::key);
        prop_assert_eq!(read(&path).unwrap(), entries);
        // Nothing but the survey stays.
        prop_assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

#[test]
fn copies_become_one_and_different_contents_stay() {
    let directory = tempfile::tempdir().unwrap();
    let mut sorter = Sorter::new(directory.path(), 2);
    let later = EntrySummary { last_add_confirmed: 30, ..entry(1, 0, 4, 77) };
    for entry in [entry(1, 0, 5, 77), later, entry(1, 0, 3, 88), entry(1, 1, 3, 99), entry(1, 0, 6, 66)] {
        sorter.add(entry).unwrap();
    }
    let mut sorted = Sorted::new(vec![sorter]).unwrap();
    let seen = |entry: EntrySummary| (entry.place.file, entry.payload_checksum, entry.copies, entry.last_add_confirmed);
    let first: Vec<_> = sorted.next_group().unwrap().map(seen).collect();
    assert_eq!(first, [(3, 88, 1, -1), (5, 77, 2, 30), (6, 66, 1, -1)]);
    let second: Vec<_> = sorted.next_group().unwrap().map(seen).collect();
    assert_eq!(second, [(3, 99, 1, 0)]);
    assert_eq!(sorted.next_group().unwrap().count(), 0);
}

#[test]
fn a_survey_is_whole_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("survey");
    let entries = [entry(1, 0, 0, 5), entry(1, 1, 0, 6), entry(9, 0, 0, 7)];
    let header = header("a", 3);
    write(&path, &header, &entries);
    assert_eq!(BookieSurvey::open(&path).unwrap().header(), &header);
    assert_eq!(read(&path).unwrap(), entries);
    assert_eq!(SurveyWriter::create(&path).unwrap_err().code, "survey-exists");

    let bytes = fs::read(&path).unwrap();
    let damaged = directory.path().join("damaged");
    for length in 0..bytes.len() {
        fs::write(&damaged, &bytes[..length]).unwrap();
        assert_eq!(read(&damaged).unwrap_err().code, "survey-unreadable", "{length} bytes");
    }
    for position in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[position] ^= 0x10;
        fs::write(&damaged, bytes).unwrap();
        assert_eq!(read(&damaged).unwrap_err().code, "survey-unreadable", "byte {position}");
    }
    assert_eq!(BookieSurvey::open(directory.path()).unwrap_err().code, "survey-unreadable");
}

#[test]
fn surveys_are_read_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write(&path("a"), &header("a", 3), &[entry(1, 0, 0, 5), entry(1, 2, 0, 6), entry(3, 0, 0, 7)]);
    write(&path("b"), &header("b", 3), &[entry(1, 0, 0, 5), entry(1, 0, 1, 50), entry(2, 0, 0, 9)]);
    let mut merged = MergedSurveys::open(&[path("a"), path("b")]).unwrap();
    assert_eq!(merged.headers().map(|header| header.bookie_id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let mut seen = Vec::new();
    while let Some(entry) = merged.next_entry().unwrap() {
        let copies = entry.copies.iter().map(|(survey, entry)| (*survey, entry.payload_checksum));
        seen.push((entry.ledger_id, entry.entry_id, copies.collect::<Vec<_>>()));
    }
    let expected =
        [(1, 0, vec![(0, 5), (1, 5), (1, 50)]), (1, 2, vec![(0, 6)]), (2, 0, vec![(1, 9)]), (3, 0, vec![(0, 7)])];
    assert_eq!(seen, expected);

    write(&path("c"), &SurveyHeader { instance_id: Some("x".into()), ..header("c", 0) }, &[]);
    let error = MergedSurveys::open(&[path("a"), path("c")]).unwrap_err();
    assert_eq!(error.code, "surveys-mixed");
    let named = format!("bookie c (`{}`) is of instance x", path("c").display());
    assert!(error.what.contains(&named), "{error}");
    assert_eq!(MergedSurveys::open(&[path("a"), path("a")]).unwrap_err().code, "surveys-twice");
}

/// A frame as the store writes it.
#[test]
fn frames_are_summarised() {
    // Two whole operations, and the beginning of a third: a checkpoint of container 5, a seal, an append.
    let operation = |kind: u8, sequence: u8, rest: &[u8]| {
        let mut bytes = vec![0, kind, 0, 1, 0, 0, 0, 0, 8 + rest.len() as u8, 0, 0, 0, 0, 0, 0, 0, sequence];
        bytes.extend_from_slice(rest);
        bytes
    };
    let checkpoint = operation(8, 10, &[10, 0, 0, 1, 0, 0, 0, 0, 2, 5, 0]);
    let part = |flags: u8, bytes: &[u8]| [&[0, 0, 0, bytes.len() as u8, flags], bytes].concat();
    let seal = operation(2, 11, &[0; 16]);
    let frame = |parts: &[Vec<u8>]| {
        let content = parts.concat();
        [&[0, 0, 0, 0, content.len() as u8, 0], content.as_slice()].concat()
    };
    let whole = frame(&[part(2, b"rest"), part(3, &checkpoint), part(3, &seal), part(1, &seal[..9])]);
    let expected = FrameSummary {
        begins_inside_record: true,
        ends_inside_record: true,
        records_begun: 3,
        unnumbered_records: 1,
        metadata_checkpoints: 1,
        first_sequence_number: Some(10),
        last_sequence_number: Some(11),
        container_ids: vec![5],
    };
    assert_eq!(frame::summarise(&whole), Some(expected));
    assert_eq!(frame::summarise(b"an entry of somebody else"), None);
    assert_eq!(frame::summarise(&frame(&[part(3, b"no operation at all")])), None);
    assert_eq!(frame::summarise(&whole[..whole.len() - 1]), None);

    // Frames as `dr` writes them, which the store reads.
    let mut frames = Vec::new();
    let mut sink = |frame: &[u8]| -> Result<()> {
        frames.push(frame.to_vec());
        Ok(())
    };
    let mut writer = FrameWriter::new();
    writer.record(&checkpoint, &mut sink).unwrap();
    writer.record(&seal, &mut sink).unwrap();
    writer.flush(&mut sink).unwrap();
    let summary = frame::summarise(&frames.concat()).unwrap();
    assert_eq!((summary.records_begun, summary.last_sequence_number), (2, Some(11)));
    assert!(!summary.begins_inside_record && !summary.ends_inside_record);
}

//! Export from trees of a few objects; real trees are exported in `tests/tests/export.rs`.

use std::sync::Arc;

use dr_backends::tier2::{MemoryTier2, Tier2 as _};

use super::*;
use crate::listing::ChunkObject;
use crate::progress::Silent;

const TRANSACTION: &str = "#transaction.00000000000000000000000000000005";

fn event(payload: &[u8]) -> Vec<u8> {
    let length = i32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0; 4][..], &length, payload].concat()
}

fn events(payloads: &[&str]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| event(payload.as_bytes())).collect()
}

/// Chunks as `(segment, offset, epoch, content)`.
fn tree(chunks: &[(&str, u64, u64, Vec<u8>)]) -> Arc<MemoryTier2> {
    let tier2 = Arc::new(MemoryTier2::new());
    for (segment, offset, epoch, content) in chunks {
        tier2.create(&ChunkObject::for_test(segment, *offset, *epoch, 0).key, content).unwrap();
    }
    tier2
}

fn find(tier2: &Arc<MemoryTier2>, selection: &str, options: ExportOptions) -> Result<Export> {
    Export::find(tier2.clone(), &Selection::parse(selection)?, options, &Silent)
}

/// Payloads in order, and the reports.
fn export(
    tier2: &Arc<MemoryTier2>,
    selection: &str,
    options: ExportOptions,
) -> (Vec<String>, Vec<SegmentReport>, Vec<LeftOut>) {
    let export = find(tier2, selection, options).unwrap();
    export.refuse_other_content().unwrap();
    let mut lines = Vec::new();
    let write = |source| export.write_events(source, &mut JsonLines(&mut lines)).unwrap();
    let reports = export.sources.iter().map(write).collect();
    let text =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
    (std::str::from_utf8(&lines).unwrap().lines().map(text).collect(), reports, export.left_out)
}

fn ranges(report: &SegmentReport) -> Vec<(u64, u64, &'static str)> {
    report.not_exported.iter().map(|range| (range.first, range.end, range.reason)).collect()
}

#[test]
fn segments_come_in_the_order_in_which_they_were_opened() {
    let tier2 = tree(&[
        ("a/s/10.#epoch.1", 0, 1, events(&["third"])),
        ("a/s/2.#epoch.1", 0, 1, events(&["second"])),
        ("a/s/0.#epoch.0", 0, 1, events(&["first", ""])),
        ("a/s/0.#epoch.0$attributes.index", 0, 1, vec![1]),
        ("a/other/0.#epoch.0", 0, 1, events(&["other"])),
    ]);
    let (payloads, reports, _) = export(&tier2, "a/s", ExportOptions::default());
    assert_eq!(payloads, ["first", "", "second", "third"]);
    assert_eq!((reports[0].known_by, reports[0].events, reports[0].bytes), (KnownBy::Names, 2, 5));
    assert!(reports.iter().all(|report| report.not_exported.is_empty()));
    assert_eq!(export(&tier2, "a/s/2", ExportOptions::default()).0, ["second"]);
    assert_eq!(export(&tier2, "a/s/10.#epoch.1", ExportOptions::default()).0, ["third"]);
    for missing in ["a/s/3", "a/none", "a/s/2.#epoch.0"] {
        assert_eq!(find(&tier2, missing, ExportOptions::default()).unwrap_err().code, "stream-missing", "{missing}");
    }
}

#[test]
fn half_events_and_damage_are_reported_where_they_begin() {
    let whole = events(&["whole"]);
    let torn = [&whole[..], &event(b"half an event")[..12]].concat();
    let damaged = [&whole[..], b"what is this?"].concat();
    let tier2 = tree(&[("a/s/0.#epoch.0", 0, 1, torn), ("a/s/1.#epoch.0", 0, 1, damaged)]);
    let (payloads, reports, _) = export(&tier2, "a/s", ExportOptions::default());
    let end = whole.len() as u64;
    assert_eq!(payloads, ["whole", "whole"]);
    assert_eq!(ranges(&reports[0]), [(end, end + 12, "torn")]);
    assert_eq!(ranges(&reports[1]), [(end, end + 13, "damaged")]);
}

#[test]
fn events_may_go_through_any_number_of_chunks_and_be_of_any_size() {
    let large = "x".repeat(3 << 20);
    let bytes = events(&["one", &large, "two"]);
    let pieces = bytes.chunks(700_001).scan(0, |offset, piece| {
        let chunk = ("a/s/0.#epoch.0", *offset, 1, piece.to_vec());
        *offset += piece.len() as u64;
        Some(chunk)
    });
    let tier2 = tree(&pieces.collect::<Vec<_>>());
    let export = find(&tier2, "a/s", ExportOptions::default()).unwrap();
    let mut output = Vec::new();
    let report = export.write_events(&export.sources[0], &mut LengthDelimited(&mut output)).unwrap();
    let expected: Vec<u8> = bytes.clone();
    let delimited = |payload: &str| [&u32::try_from(payload.len()).unwrap().to_be_bytes(), payload.as_bytes()].concat();
    assert!(output == [delimited("one"), delimited(&large), delimited("two")].concat());
    assert_eq!((report.events, report.not_exported.len()), (3, 0));
    let mut raw = Vec::new();
    assert_eq!(export.write_bytes(&export.sources[0], &mut raw).unwrap().bytes, expected.len() as u64);
    assert!(raw == expected);
}

#[test]
fn a_gap_ends_the_segment_unless_what_lies_behind_is_wanted_and_begins_with_an_event() {
    let before = events(&["before"]);
    let behind = events(&["behind"]);
    let length = before.len() as u64;
    let middle = event(b"from the middle")[9..].to_vec();
    let tier2 = tree(&[
        ("a/s/0.#epoch.0", 0, 1, before),
        ("a/s/0.#epoch.0", 100, 1, behind.clone()),
        ("a/s/0.#epoch.0", 200, 1, middle.clone()),
    ]);
    let gap_ends = (100 + behind.len() as u64, 200 + middle.len() as u64);
    let (payloads, reports, _) = export(&tier2, "a/s", ExportOptions::default());
    assert_eq!(payloads, ["before"]);
    let gaps = [(length, 100, "missing"), (gap_ends.0, 200, "missing")];
    let expected = [gaps[0], (100, gap_ends.0, "behind-gap"), gaps[1], (200, gap_ends.1, "behind-gap")];
    assert_eq!(ranges(&reports[0]), expected);
    let (payloads, reports, _) = export(&tier2, "a/s", ExportOptions { after_gaps: true, ..ExportOptions::default() });
    assert_eq!(payloads, ["before", "behind"]);
    assert_eq!(ranges(&reports[0]), [gaps[0], gaps[1], (200, gap_ends.1, "not-an-event")]);
}

#[test]
fn a_beginning_that_is_gone_needs_no_flag_but_an_event() {
    let tier2 = tree(&[
        ("a/s/0.#epoch.0", 50, 1, events(&["truncated before"])),
        ("a/s/1.#epoch.0", 50, 1, events(&["cut"])[3..].to_vec()),
    ]);
    let (payloads, reports, _) = export(&tier2, "a/s", ExportOptions::default());
    assert_eq!(payloads, ["truncated before"]);
    assert_eq!(ranges(&reports[0]), [(0, 50, "truncated-or-missing")]);
    assert_eq!(ranges(&reports[1]), [(0, 50, "truncated-or-missing"), (50, 58, "not-an-event")]);
}

#[test]
fn transactions_are_left_out_unless_asked_for_and_never_written_twice() {
    let merged = format!("a/s/0.#epoch.0{TRANSACTION}");
    let open = format!("a/s/1.#epoch.0{TRANSACTION}");
    let tier2 = tree(&[
        ("a/s/0.#epoch.0", 0, 1, events(&["before", "merged", "after"])),
        ("a/s/1.#epoch.0", 0, 1, events(&["other"])),
        (&merged, 0, 1, events(&["merged"])),
        (&open, 0, 1, events(&["open"])),
    ]);
    let (payloads, _, left_out) = export(&tier2, "a/s", ExportOptions::default());
    assert_eq!(payloads, ["before", "merged", "after", "other"]);
    let reasons: Vec<_> = left_out.iter().map(|left_out| (left_out.segment.as_str(), left_out.reason)).collect();
    assert_eq!(reasons, [(merged.as_str(), "merged-already"), (&open, "unrecorded-transaction")]);
    let with_transactions = ExportOptions { transactions: true, ..ExportOptions::default() };
    let (payloads, _, left_out) = export(&tier2, "a/s", with_transactions);
    assert_eq!(payloads, ["before", "merged", "after", "other", "open"]);
    assert_eq!(left_out.len(), 1);
    assert_eq!(export(&tier2, &merged, ExportOptions::default()).0, ["merged"]);
}

#[test]
fn byte_streams_and_tables_are_refused_as_events() {
    for (segment, content) in [("a/s/0.#epoch.0", &b"plain bytes"[..]), ("a/s_kvtable/0.#epoch.0", &[0; 8])] {
        let tier2 = tree(&[(segment, 0, 1, content.to_vec())]);
        let stream = segment.rsplit_once('/').unwrap().0;
        let export = find(&tier2, stream, ExportOptions::default()).unwrap();
        let refusal = export.refuse_other_content().unwrap_err();
        assert_eq!(refusal.code, "not-events");
        assert!(refusal.next_step.contains("--bytes"));
        let mut raw = Vec::new();
        export.write_bytes(&export.sources[0], &mut raw).unwrap();
        assert_eq!(raw, content);
    }
}

#[test]
fn an_output_that_fails_is_told_from_a_store_that_fails() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let tier2 = tree(&[("a/s/0.#epoch.0", 0, 1, events(&["event"]))]);
    let export = find(&tier2, "a/s", ExportOptions::default()).unwrap();
    let full = export.write_events(&export.sources[0], &mut LengthDelimited(Full)).unwrap_err();
    assert_eq!(full.code, "export-unwritable");
    tier2.delete(&ChunkObject::for_test("a/s/0.#epoch.0", 0, 1, 0).key).unwrap();
    let gone = export.write_events(&export.sources[0], &mut LengthDelimited(Vec::new())).unwrap_err();
    assert_eq!(gone.code, "object-missing");
}

use super::*;
use proptest::prelude::*;

const UUID: &str = "cbcbec69-07e5-40e3-acd6-cafac39759ce";
const DIGITS: &str = "00000003000000010000000000000005";

fn chunk(segment: &str) -> String {
    format!("{segment}.E-2-O-50.{UUID}")
}

#[test]
fn journals() {
    let journal = |epoch, container, kind, index| JournalName { container, epoch, index, kind };
    let cases = [
        ("_system/containers/_sysjournal.epoch2.container13.file7", journal(2, 13, JournalKind::File, 7)),
        ("_system/containers/_sysjournal.epoch0.container0.snapshot1", journal(0, 0, JournalKind::Snapshot, 1)),
    ];
    for (key, expected) in cases {
        assert_eq!(ObjectName::parse(key), ObjectName::Journal(expected));
        assert_eq!(expected.to_string(), key);
        assert_eq!(ObjectName::parse(&format!("{key}.backup")), ObjectName::JournalBackup(expected));
    }
    for key in [
        "_system/containers/_sysjournal.epoch2.container13.file07",
        "_system/containers/_sysjournal.epoch2.container13.file",
        "_system/containers/_sysjournal.epoch-2.container13.file7",
        "_system/containers/_sysjournal.epoch2.container13.file7x",
        "_system/containers/_sysjournal.epoch2.container4294967296.file7",
        "_system/containers/_sysjournal.epoch2.container1.file99999999999999999999",
        "x/_system/containers/_sysjournal.epoch2.container13.file7",
    ] {
        assert_eq!(ObjectName::parse(key), ObjectName::Unknown, "{key}");
    }
}

#[test]
fn files_of_newer_servers() {
    let info = "_system/containers/_sysjournal.container7.snapshot_info";
    assert_eq!(ObjectName::parse(info), ObjectName::SnapshotInfo { container: 7 });
    assert_eq!(ObjectName::parse("_system/containers/container_7_epoch"), ObjectName::EpochFile { container: 7 });
    assert_eq!(ObjectName::parse("_system/containers/container__epoch"), ObjectName::Unknown);
}

#[test]
fn chunks() {
    for segment in [
        "alpha/orders/1.#epoch.0$attributes.index",
        "a/b.E-1-O-0/0.#epoch.0",
        "a/_sysjournal.epoch1.container1.file1/0",
        "scope/stréam/0.#epoch.0",
        "a$header",
    ] {
        let key = chunk(segment);
        let expected = ChunkName { segment, epoch: 2, offset: 50, uuid: UUID };
        assert_eq!(ObjectName::parse(&key), ObjectName::Chunk(expected));
        assert_eq!(expected.to_string(), key);
    }
    for key in [
        format!(".E-2-O-50.{UUID}"),
        format!("a.E-2-O-050.{UUID}"),
        format!("a.E-2-O--1.{UUID}"),
        format!("a.E-2-O-50.{}", UUID.to_uppercase()),
        format!("a.E-2-O-50.{UUID}0"),
        format!("a.E-2-O-50{UUID}"),
        "a.E-1-O-0.é".to_string(),
    ] {
        assert_eq!(ObjectName::parse(&key), ObjectName::Unknown, "{key}");
    }
}

#[test]
fn rolling_layout() {
    assert_eq!(ObjectName::parse("a/b/0$header"), ObjectName::RollingHeader { segment: "a/b/0" });
    assert_eq!(ObjectName::parse("a/b/0$offset.17"), ObjectName::RollingData { segment: "a/b/0", offset: 17 });
    assert_eq!(ObjectName::parse("a/b/0$offset."), ObjectName::Unknown);
    assert_eq!(ObjectName::parse("$header"), ObjectName::Unknown);
}

#[test]
fn system_segments() {
    for container in [0, 13] {
        for segment in SystemSegment::all_of(container) {
            assert_eq!(SystemSegment::parse(&segment.to_string()), Some(segment));
        }
    }
    assert_eq!(container_metadata_segment(3), SystemSegment::all_of(3)[0].to_string());
    assert_eq!(storage_metadata_segment(3), SystemSegment::all_of(3)[2].to_string());
    for segment in ["_system/containers/metadata_", "_system/containers/metadata_1_2", "metadata_1", "a/metadata_1"] {
        assert_eq!(SystemSegment::parse(segment), None, "{segment}");
    }
}

#[test]
fn garbage_queues() {
    for segment in garbage_queue_segments(12) {
        assert_eq!(garbage_queue_container(&segment), Some(12));
        assert_eq!(container_named_in(&attribute_segment_of(&segment)), Some(12));
    }
    assert_eq!(garbage_queue_container("_system/containers/event_processor_GC.queue.1_2"), None);
    assert_eq!(container_named_in("_system/containers/event_processor_other_2"), Some(2));
}

#[test]
fn kinds() {
    use SegmentKind::*;
    let transaction = format!("a/b/0.#epoch.0#transaction.{DIGITS}");
    let transient = format!("a/b/0.#epoch.0#transient.{DIGITS}.{DIGITS}");
    let cases = [
        ("a/b/0.#epoch.0", Stream),
        ("a/b/7", Stream),
        ("a/scaleGroup/0.#epoch.0", Stream),
        ("_system/_requeststream/1.#epoch.0", Stream),
        (&transaction, Transaction),
        (&transient, Transient),
        ("a/_RGgroup/0.#epoch.0", ReaderGroup),
        ("a/_RGscaleGroup/0.#epoch.0", ReaderGroup),
        ("_system/_RGscaleGroup2/0.#epoch.0", ReaderGroup),
        ("_system/_RGscaleGroup/0.#epoch.0", ControllerReaderGroup),
        ("a/_MARK_RGgroup/0.#epoch.0", Mark),
        ("a/t_kvtable/0.#epoch.0", KeyValueTable),
        ("_system/_tables/scopes", ControllerTable),
        ("_system/_tables/a/b/metadata.#.1", ControllerTable),
        ("_system/_tables/_system/_MARK_RGscaleGroup/metadata.#.1", ControllerTable),
        ("_system/_tables/a/_RGscaleGroup/metadata.#.1", ControllerTable),
        ("_system/_tables/_system/_RGscaleGroup/metadata.#.1", ControllerReaderGroup),
        ("_system/_tables/_system/_RGkvtStreamReaders/transactionsInEpoch-0.#.1", ControllerReaderGroup),
        ("_system/_tables/_system/_readergroups/commitStreamReaders/metadata.#.1", ControllerReaderGroup),
        ("_system/_tables/a/_readergroups/commitStreamReaders/metadata.#.1", ControllerTable),
        ("_system/containers/event_processor_GC.failed.queue.1_1", GarbageCollectionQueue),
        ("_system/containers/metadata_1", Other),
        ("a/b/0.#epoch.0#index", Other),
        ("a/b/c/0.#epoch.0", Other),
        ("", Other),
    ];
    for (segment, expected) in cases {
        assert_eq!(SegmentKind::of(segment), expected, "{segment}");
        assert_eq!(SegmentKind::of(&attribute_segment_of(segment)), if segment.is_empty() { Other } else { expected });
    }
}

#[test]
fn transactions() {
    let segment = format!("a/b/0.#epoch.0#transaction.{DIGITS}");
    let id = TransactionId::parse("00000003-0000-0001-0000-000000000005");
    assert_eq!((transaction_id(&segment), transaction_id(&attribute_segment_of(&segment))), (id, id));
    assert_eq!(parent_segment_of(&segment), Some("a/b/0.#epoch.0"));
    for other in ["a/b/0.#epoch.0", "a#transaction.1", &format!("{segment}0"), &format!("#transaction.{DIGITS}")] {
        assert_eq!(transaction_id(other), None, "{other}");
    }
}

#[test]
fn stream_segments_and_controller_tables() {
    let segment = StreamSegment::parse("a/b/3.#epoch.2").unwrap();
    assert_eq!((segment.scope, segment.stream, segment.id()), ("a", "b", Some(2 << 32 | 3)));
    assert_eq!(StreamSegment::parse("a/b/3.#epoch.x"), None);
    let table = ControllerTable::parse("_system/_tables/a/streamTagsInScope.#.77.#.23");
    assert_eq!(table, Some(ControllerTable::Scope { scope: "a", name: "streamTagsInScope", id: "77.#.23" }));
    assert_eq!(ControllerTable::parse("_system/_tables/scopes$attributes.index"), None);
    assert_eq!(ControllerTable::parse("_system/_tables/a/b/c/d/e"), None);
}

#[test]
fn placement_vectors() {
    let cases = [
        ("scope/stream/0.#epoch.0".to_string(), [3, 3, 46]),
        ("scope/stream/0.#epoch.0#transaction.00000001000000000000000000000012".to_string(), [3, 3, 46]),
        ("scope/stream/3.#epoch.2".to_string(), [3, 5, 26]),
        ("scope/_RGgroup/0.#epoch.0".to_string(), [0, 10, 10]),
        ("_system/_abortStream/0.#epoch.0".to_string(), [3, 8, 8]),
        ("scope/kvt_kvtable/0.#epoch.0".to_string(), [2, 11, 18]),
        ("_system/_tables/scopes".to_string(), [3, 7, 26]),
        ("_system/_tables/deletedStreams".to_string(), [3, 3, 30]),
        ("scope/stréam/0.#epoch.0".to_string(), [0, 0, 0]),
        ("a".to_string(), [0, 14, 21]),
        ("_system/containers/metadata_0".to_string(), [0, 0, 0]),
        ("_system/containers/storage_metadata_3".to_string(), [3, 3, 3]),
        ("_system/containers/event_processor_GC.queue.2_2".to_string(), [2, 2, 2]),
    ];
    for (segment, containers) in cases {
        for (container_count, expected) in [4, 16, 50].into_iter().zip(containers) {
            assert_eq!(owning_container(&segment, container_count), expected, "{segment}");
            assert_eq!(owning_container(&attribute_segment_of(&segment), container_count), expected, "{segment}");
        }
    }
    let transaction = "alpha/txn/0.#epoch.0#transaction.00000000000000000000000000000005";
    assert_eq!((owning_container(transaction, 4), owning_container(transaction, 16)), (0, 10));
    assert_eq!(owning_container("_system/_requeststream/0.#epoch.0", 16), 4);
}

#[test]
fn primary_names() {
    assert_eq!(primary_name("a/b/0.#epoch.0$attributes.index"), "a/b/0");
    assert_eq!(primary_name(&format!("a/b/0.#epoch.0#transient.{DIGITS}.{DIGITS}")), "a/b/0");
    assert_eq!(primary_name("a/b#transaction.short/0"), "a/b#transaction.short/0");
    assert_eq!(primary_name("_system/_tables/scopes"), "_system/_tables/scopes");
}

proptest! {
    #[test]
    fn any_text_has_a_meaning(
        text in "(_system/containers/|_system/_tables/|a/)?(_sysjournal\\.epoch1\\.container|metadata_|\\PC{0,9})[0-9]{0,21}\
                 (\\.#epoch\\.[0-9]{1,3})?(#transaction\\.[0-9a-f]{30,33})?(\\.E-[0-9]{1,3}-O-[0-9]{1,20}\\.[0-9a-f-]{36})?\\PC{0,3}",
    ) {
        if let ObjectName::Chunk(chunk) = ObjectName::parse(&text) {
            prop_assert_eq!(chunk.to_string(), text.clone());
        }
        if let ObjectName::Journal(journal) = ObjectName::parse(&text) {
            prop_assert_eq!(journal.to_string(), text.clone());
        }
        let _ = (SegmentKind::of(&text), owning_container(&text, 4), parent_segment_of(&text), StreamSegment::parse(&text));
    }

    #[test]
    fn names_are_cut_as_the_standard_library_does(
        text in "(a|é|/|#|\\.#|\\.#\\.|\\.#epoch\\.|#transaction\\.|#transient\\.|#trans){0,8}",
    ) {
        for delimiter in [EPOCH_DELIMITER, TRANSACTION_DELIMITER, TRANSIENT_DELIMITER, TABLE_ID_DELIMITER] {
            prop_assert_eq!(rsplit_at(&text, delimiter), text.rsplit_once(delimiter));
        }
    }
}

#[test]
fn stream_segments_by_the_controllers_id() {
    let name = stream_segment_name("scope", "stream", (2 << 32) + 3);
    assert_eq!(name, "scope/stream/3.#epoch.2");
    assert_eq!(StreamSegment::parse(&name).and_then(|segment| segment.id()), Some((2 << 32) + 3));
}

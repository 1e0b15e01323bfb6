//! Names of objects, segments and tables; and the container of a segment.

use dr_formats::container_mapping;
use dr_formats::names::{self, ChunkName, ControllerTable, ObjectName, SegmentKind, StreamSegment, SystemSegment};
use dr_formats::primitives::Uuid;

use crate::decoder::{Decoder, Outcome};
use crate::seeds::Captured;

/// Characters of a UUID, which ends the names of chunks and tables.
const UUID_LENGTH: usize = 36;

pub(super) const DECODERS: &[Decoder] = &[Decoder {
    name: "names",
    covers: &[
        "names::ObjectName::parse",
        "names::ChunkName::parse",
        "names::SystemSegment::parse",
        "names::StreamSegment::parse",
        "names::ControllerTable::parse",
        "names::SegmentKind::of",
        "names::attribute_segment_of",
        "names::main_segment_of",
        "names::garbage_queue_container",
        "names::stream_segment_name",
        "names::is_controller_reader_group",
        "names::transaction_id",
        "names::parent_segment_of",
        "names::primary_name",
        "names::owning_container",
        "names::container_named_in",
        "container_mapping::container_of",
        "container_mapping::primary_name",
        "container_mapping::segment_hash",
        "primitives::Uuid::parse",
    ],
    seeds,
    mend: None,
    check,
}];

fn seeds(captured: &Captured) -> Vec<Vec<u8>> {
    let uuid = "0123456789abcdef0123456789abcdef";
    let written = [
        format!("scope/stream/0.#epoch.0#transaction.{uuid}"),
        format!("scope/stream/0.#epoch.0#transient.{uuid}.{uuid}"),
        "scope/stream/0.#epoch.0$header".into(),
        "scope/stream/0.#epoch.0$offset.1234".into(),
        "_system/containers/_sysjournal.container3.snapshot_info".into(),
        "_system/containers/container_3_epoch".into(),
        "_system/containers/_sysjournal.epoch4.container3.file2.backup".into(),
        "_system/containers/event_processor_GC.queue.3_3".into(),
        "_system/_tables/scope/_readergroups/group/metadata.#.id".into(),
        "_system/_RGscaleGroup/0.#epoch.0".into(),
        "sc\u{f6}pe/str\u{1f600}am/0.#epoch.0".into(),
    ];
    captured.names.iter().cloned().chain(written.into_iter().map(String::into_bytes)).collect()
}

fn check(input: &[u8]) -> Outcome {
    let name = &*String::from_utf8_lossy(input);
    for text in [input, &input[input.len().saturating_sub(UUID_LENGTH)..]] {
        if let Some(uuid) = Uuid::parse(text) {
            assert_eq!(uuid.to_string().as_bytes(), text);
        }
    }
    let object = ObjectName::parse(name);
    match object {
        ObjectName::Journal(journal) => assert_eq!(journal.to_string(), name),
        ObjectName::JournalBackup(journal) => assert_eq!(format!("{journal}{}", names::BACKUP_SUFFIX), name),
        ObjectName::Chunk(chunk) => {
            assert_eq!(chunk.to_string(), name);
            assert_eq!(ChunkName::parse(name), Some(chunk));
        }
        ObjectName::RollingHeader { segment } => assert_eq!(format!("{segment}$header"), name),
        ObjectName::RollingData { segment, offset } => assert_eq!(format!("{segment}$offset.{offset}"), name),
        _ => {}
    }
    check_segment(name);
    let known = object != ObjectName::Unknown || SegmentKind::of(name) != SegmentKind::Other;
    if known { Outcome::RoundTripped } else { Outcome::Refused }
}

fn check_segment(name: &str) {
    if let Some(system) = SystemSegment::parse(name) {
        assert_eq!(system.to_string(), name);
        assert_eq!(names::container_named_in(name), Some(system.container));
    }
    if let Some(segment) = StreamSegment::parse(name)
        && let (Some(id), Some(_)) = (segment.id(), segment.epoch)
    {
        assert_eq!(names::stream_segment_name(segment.scope, segment.stream, id), name);
    }
    let attributes = names::attribute_segment_of(name);
    assert_eq!(names::main_segment_of(&attributes), Some(name).filter(|name| !name.is_empty()));
    let main = names::main_segment_of(name).unwrap_or(name);
    assert_eq!(SegmentKind::of(name), SegmentKind::of(main));
    assert_eq!(
        names::transaction_id(name).is_some() && !names::is_controller_reader_group(name),
        SegmentKind::of(name) == SegmentKind::Transaction
    );
    if let Some(parent) = names::parent_segment_of(name) {
        assert!(main.starts_with(parent) && parent.len() < main.len());
        // An index has no transactions, and a transient segment's parent is no transaction. A name that says so goes by the server's
        // rule, which cuts suffixes off the end only, and transactions before transient segments.
        if names::main_segment_of(parent).is_none() && !parent.contains(names::TRANSACTION_DELIMITER) {
            assert_eq!(names::primary_name(parent), names::primary_name(main));
        }
    }
    let table = ControllerTable::parse(name).is_some();
    assert!(
        !table
            || matches!(
                SegmentKind::of(name),
                SegmentKind::ControllerTable
                    | SegmentKind::ControllerReaderGroup
                    | SegmentKind::Transaction
                    | SegmentKind::Transient
            )
    );
    check_container(name);
}

fn check_container(name: &str) {
    for count in [0, 1, 4, u32::MAX] {
        let container = container_mapping::container_of(name, count);
        assert!(container.is_none_or(|container| container < count), "{container:?} of {count}");
        let owner = names::owning_container(name, count);
        assert!(names::container_named_in(name).is_some() || count == 0 || owner < count, "{owner} of {count}");
    }
    let queue = names::garbage_queue_container(name);
    assert!(queue.is_none() || names::container_named_in(name) == queue);
    assert!(name.starts_with(container_mapping::primary_name(name)));
    // Any number is a hash; that there is one is the test.
    let _ = container_mapping::segment_hash(name);
}

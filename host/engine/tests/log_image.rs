//! What a log written from outside must and must not contain: the recipe and the traps of the durable log's reference,
//! each checked on the images of captured trees; and that verification sees when something is wrong.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use dr_backends::tier1::ZNodes as _;
use dr_backends::tier2::{ObjectInfo, Tier2 as _};
use dr_engine::plan::{Effect, Plan};
use dr_formats::attribute::{
    BUCKET_COUNT, ENTRY_COUNT, INDEX_OFFSET, PERSISTED_SEQUENCE_NUMBER, ROOT_POINTER, SEGMENT_TYPE, SNAPSHOT_EPOCH,
    SNAPSHOT_ID, SegmentType, TOTAL_ENTRY_COUNT, system_table_attributes,
};
use dr_formats::checkpoint::MetadataCheckpoint;
use dr_formats::data_frame::{FRAME_MAX_BYTES, FrameReader};
use dr_formats::log_metadata::{FrameAddress, LedgerAddress, LedgerStatus, LogMetadata};
use dr_formats::operation::{Action, Operation};
use dr_formats::segment_info::{NO_SEGMENT_ID, SegmentInfo};
use dr_formats::slts::{StorageMetadata, TransactionData};
use dr_formats::table::TableEntries;
use support::Cluster;

const TREES: [&str; 7] =
    ["flushed", "crashed", "never-flushed", "epochs", "flushed-0.12.0", "many-chunks", "stale-rows"];

/// Frames of an image file.
fn frames(image: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(image).unwrap();
    let mut rest = bytes.as_slice();
    let mut frames = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

/// Operations of an image, as encoded records, and how many the first frame completes.
fn records(frames: &[Vec<u8>]) -> (Vec<Vec<u8>>, usize) {
    let mut reader = FrameReader::new();
    let mut records = Vec::new();
    let mut in_first = 0;
    for (entry, frame) in frames.iter().enumerate() {
        let address = FrameAddress::new(1, u32::try_from(entry).unwrap());
        let mut visit = |record: dr_formats::data_frame::Record<'_>| {
            records.push(record.bytes.to_vec());
            Ok::<(), dr_formats::DecodeError>(())
        };
        reader.frame(address, frame, &mut visit).unwrap();
        if entry == 0 {
            in_first = records.len();
        }
    }
    assert!(!reader.has_partial_record());
    (records, in_first)
}

struct Image {
    container: u32,
    frames: Vec<Vec<u8>>,
    records: Vec<Vec<u8>>,
    first_frame_records: usize,
}

fn images(plan: &Plan, run: &Path) -> Vec<Image> {
    let image = |effect: &Effect| {
        let Effect::WriteLog { container, image, .. } = effect else { return None };
        let frames = frames(&run.join(image));
        let (records, first_frame_records) = records(&frames);
        Some(Image { container: *container, frames, records, first_frame_records })
    };
    plan.effects.iter().filter_map(image).collect()
}

/// Bytes that a log appends to one of its metadata tables.
fn table_bytes(image: &Image, name: &str) -> Vec<u8> {
    let operations: Vec<Operation<'_>> =
        image.records.iter().map(|record| Operation::decode(record).unwrap()).collect();
    let id = operations.iter().find_map(|operation| match &operation.action {
        Action::Map(mapping) if mapping.name == name => Some(mapping.segment_id),
        _ => None,
    });
    let mut bytes = Vec::new();
    for operation in &operations {
        if let Action::Append { segment_id, data, .. } = &operation.action
            && Some(*segment_id) == id
        {
            bytes.extend_from_slice(data);
        }
    }
    bytes
}

fn rows(image: &Image) -> BTreeMap<String, SegmentInfo<'static>> {
    let bytes = table_bytes(image, &format!("_system/containers/metadata_{}", image.container));
    let row = |entry: dr_formats::table::TableEntry<'_>| {
        let row = SegmentInfo::decode(entry.value.unwrap()).unwrap().into_owned();
        (String::from_utf8(entry.key.to_vec()).unwrap(), row)
    };
    TableEntries::new(&bytes, 0).map(|entry| row(entry.unwrap())).collect()
}

fn storage_records(image: &Image) -> BTreeMap<String, StorageMetadata> {
    let bytes = table_bytes(image, &format!("_system/containers/storage_metadata_{}", image.container));
    let record = |entry: dr_formats::table::TableEntry<'_>| {
        let data = TransactionData::decode(entry.value.unwrap()).unwrap();
        assert_ne!(data.version, 0);
        (String::from_utf8(entry.key.to_vec()).unwrap(), data.value.unwrap())
    };
    TableEntries::new(&bytes, 0).map(|entry| record(entry.unwrap())).collect()
}

/// The images of all trees, planned once for all tests, and the sizes of the objects that they rest on.
fn all_images() -> &'static [(Image, BTreeMap<String, u64>)] {
    static IMAGES: OnceLock<Vec<(Image, BTreeMap<String, u64>)>> = OnceLock::new();
    IMAGES.get_or_init(|| TREES.iter().flat_map(|tree| images_of(tree)).collect())
}

fn images_of(tree: &str) -> Vec<(Image, BTreeMap<String, u64>)> {
    let cluster = support::captured(tree);
    let (plan, run) = cluster.plan("run");
    let images = images(&plan, &run);
    assert_eq!(images.len(), 4);
    let mut sizes = BTreeMap::new();
    let mut visit = |object: ObjectInfo| {
        sizes.insert(object.key, object.size);
        Ok(())
    };
    cluster.tier2.list("", &mut visit).unwrap();
    images.into_iter().map(|image| (image, sizes.clone())).collect()
}

fn for_each_image(mut check: impl FnMut(&BTreeMap<String, u64>, &Image)) {
    all_images().iter().for_each(|(image, sizes)| check(sizes, image));
}

#[test]
fn one_checkpoint_of_this_container_stands_alone_in_the_first_frame() {
    for_each_image(|_, image| {
        assert_eq!(image.first_frame_records, 1);
        assert!(image.frames.iter().all(|frame| frame.len() <= FRAME_MAX_BYTES));
        let checkpoints = image.records.iter().filter_map(|record| match Operation::decode(record).unwrap().action {
            Action::MetadataCheckpoint(payload) => Some(MetadataCheckpoint::decode(&payload).unwrap().container_id),
            _ => None,
        });
        assert_eq!(checkpoints.collect::<Vec<_>>(), [image.container]);
        let first = Operation::decode(&image.records[0]).unwrap();
        assert!(matches!(first.action, Action::MetadataCheckpoint(_)));
    });
}

#[test]
fn sequence_numbers_grow_and_ids_stay_below_the_last_one() {
    for_each_image(|_, image| {
        let operations: Vec<_> = image.records.iter().map(|record| Operation::decode(record).unwrap()).collect();
        let numbers: Vec<i64> = operations.iter().map(|operation| operation.sequence_number).collect();
        assert!(numbers[0] >= 1 && numbers.windows(2).all(|pair| pair[0] < pair[1]));
        let ids = operations.iter().filter_map(|operation| match &operation.action {
            Action::Map(mapping) => Some(mapping.segment_id),
            _ => None,
        });
        let ids: Vec<i64> = ids.collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id is used twice");
        assert!(ids.iter().all(|id| id < numbers.last().unwrap()));
    });
}

#[test]
fn both_metadata_tables_are_mapped_empty_and_pinned_before_anything_touches_them() {
    for_each_image(|_, image| {
        let mut mapped = Vec::new();
        for record in &image.records[1..3] {
            let Action::Map(mapping) = Operation::decode(record).unwrap().action else { panic!("no mapping") };
            assert!(mapping.pinned && !mapping.sealed);
            assert_eq!((mapping.start_offset, mapping.length), (0, 0));
            assert_eq!(mapping.attributes, system_table_attributes());
            mapped.push(mapping.name.into_owned());
        }
        let expected =
            ["metadata", "storage_metadata"].map(|table| format!("_system/containers/{table}_{}", image.container));
        assert_eq!(mapped, expected);
    });
}

#[test]
fn tables_are_loaded_in_whole_entries_that_are_indexed_at_once() {
    for_each_image(|_, image| {
        let operations: Vec<_> = image.records.iter().map(|record| Operation::decode(record).unwrap()).collect();
        for (index, operation) in operations.iter().enumerate() {
            let Action::Append { segment_id, offset, data, .. } = &operation.action else { continue };
            let mut entries = TableEntries::new(data, *offset);
            let offsets: Vec<u64> = entries.by_ref().map(|entry| entry.unwrap().offset).collect();
            assert_eq!(entries.end(), offset + data.len() as u64, "an entry is split over appends");
            let Action::UpdateAttributes { segment_id: updated, attributes } = &operations[index + 1].action else {
                panic!("an append is not followed by its index");
            };
            assert_eq!(updated, segment_id);
            let value = |id: dr_formats::attribute::CoreAttribute| {
                attributes.iter().find(|update| update.id.core() == Some(id)).map(|update| update.value)
            };
            assert_eq!(value(INDEX_OFFSET), i64::try_from(entries.end()).ok());
            let indexed: BTreeSet<i64> =
                attributes.iter().filter(|update| update.id.core().is_none()).map(|update| update.value).collect();
            assert_eq!(indexed, offsets.iter().map(|&offset| i64::try_from(offset).unwrap()).collect());
        }
    });
}

#[test]
fn rows_carry_nothing_of_the_lost_log() {
    for_each_image(|_, image| {
        for (name, row) in rows(image) {
            assert_eq!(row.segment_id, NO_SEGMENT_ID, "{name}");
            for refused in [ROOT_POINTER, PERSISTED_SEQUENCE_NUMBER, SNAPSHOT_ID, SNAPSHOT_EPOCH] {
                assert_eq!(row.attributes.get(refused), None, "{name}");
            }
        }
    });
}

#[test]
fn rows_records_and_objects_say_the_same() {
    for_each_image(|sizes, image| {
        let rows = rows(image);
        let records = storage_records(image);
        for (name, record) in &records {
            match record {
                StorageMetadata::Segment(segment) => {
                    segment.check_invariants().unwrap();
                    if let Some(row) = rows.get(name) {
                        assert_eq!(row.length, segment.length, "{name}");
                        assert_eq!(row.start_offset, segment.start_offset, "{name}");
                        assert_eq!(row.sealed, segment.is_sealed(), "{name}");
                    }
                }
                StorageMetadata::Chunk(chunk) => {
                    let size = sizes.get(name).copied();
                    assert!(size >= Some(chunk.length), "{name}: {size:?} < {}", chunk.length);
                }
                StorageMetadata::ReadIndexBlock(_) => panic!("{name}: a block record would break reads"),
            }
        }
        for (name, row) in rows.iter().filter(|(_, row)| row.length > 0) {
            assert!(matches!(records.get(name), Some(StorageMetadata::Segment(_))), "{name} {row:?} has no record");
        }
    });
}

#[test]
fn hash_tables_are_indexed_to_their_end() {
    let mut tables = 0;
    for_each_image(|_, image| {
        for (name, row) in rows(image) {
            let segment_type = SegmentType(row.attributes.get(SEGMENT_TYPE).unwrap_or(0));
            if segment_type.is(SegmentType::TABLE) && !segment_type.is(SegmentType::FIXED_KEY_TABLE) {
                assert_eq!(row.attributes.get(INDEX_OFFSET), i64::try_from(row.length).ok(), "{name}");
                let counts =
                    [ENTRY_COUNT, BUCKET_COUNT, TOTAL_ENTRY_COUNT].map(|count| row.attributes.get(count).unwrap());
                assert_eq!(counts[0], counts[1], "{name}");
                assert!(counts[0] <= counts[2] && (row.length == 0 || counts[2] > 0), "{name}: {counts:?}");
                tables += 1;
            }
        }
    });
    assert!(tables > 500, "{tables}");
}

#[test]
fn what_must_not_come_back_is_neither_in_rows_nor_in_records() {
    let groups = ["scaleGroup", "commitStreamReaders", "abortStreamReaders", "kvtStreamReaders"];
    for_each_image(|_, image| {
        let (rows, records) = (rows(image), storage_records(image));
        for name in rows.keys().chain(records.keys()) {
            assert!(!name.contains("event_processor_GC"), "{name}");
            let group = groups.iter().find(|group| {
                name.contains(&format!("/_RG{group}/")) || name.contains(&format!("_readergroups/{group}/"))
            });
            assert_eq!(group, None, "{name}");
            assert!(!name.starts_with("_system/containers/metadata_"), "{name}");
        }
    });
}

#[test]
fn the_log_znode_names_one_ledger_and_an_epoch_above_all_seen() {
    for tree in TREES {
        let cluster = support::captured(tree);
        let (plan, run) = cluster.plan("run");
        let survey = cluster.survey();
        cluster.apply(&plan, &run).unwrap();
        for summary in survey.containers() {
            let node = cluster.znodes.get(&cluster.layout.log_znode(summary.id)).unwrap().unwrap();
            let metadata = LogMetadata::decode(&node.data).unwrap();
            assert!(metadata.enabled);
            assert!(metadata.epoch > summary.highest_epoch, "{tree}: {} <= {}", metadata.epoch, summary.highest_epoch);
            assert_eq!(metadata.truncation, LedgerAddress::START);
            assert_eq!(metadata.ledgers.len(), 1);
            assert_eq!((metadata.ledgers[0].sequence, metadata.ledgers[0].status), (1, LedgerStatus::Unknown));
        }
    }
}

/// A recovered flushed tree to damage, and an object of a segment with data.
fn recovered() -> (Cluster, std::path::PathBuf) {
    let cluster = support::captured("flushed");
    let (plan, run) = cluster.plan("run");
    cluster.apply(&plan, &run).unwrap();
    assert_eq!(cluster.verify().problems, vec![]);
    let root = std::path::PathBuf::from(cluster.tier2.location().rsplit(' ').next().unwrap());
    (cluster, root)
}

/// The file of a chunk of a table or stream, by a part of its name.
fn chunk_file(below: &Path, part: &str) -> std::path::PathBuf {
    let mut pending = vec![below.to_path_buf()];
    let mut found = Vec::new();
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => pending.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    let matches = |path: &&std::path::PathBuf| {
        let text = path.to_string_lossy();
        text.contains(part)
            && !text.contains("_dr/")
            && !text.contains("$attributes")
            && path.metadata().unwrap().len() > 0
    };
    found.iter().find(matches).expect("such a chunk").clone()
}

#[test]
fn verification_sees_an_object_that_is_missing_or_shorter() {
    let (cluster, root) = recovered();
    let path = chunk_file(&root.join("alpha"), ".E-");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(cluster.verify().problems.iter().any(|problem| problem.what.contains("are needed")));
    std::fs::remove_file(&path).unwrap();
    assert!(cluster.verify().problems.iter().any(|problem| problem.what.contains("is missing")));
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(cluster.verify().problems, vec![]);
}

#[test]
fn verification_sees_a_table_whose_bytes_and_index_differ() {
    let (cluster, root) = recovered();
    let path = chunk_file(&root.join("_system/_tables"), "streamsInScope");
    let bytes = std::fs::read(&path).unwrap();
    let mut changed = bytes.clone();
    // The first byte of the first key.
    changed[17] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    assert!(!cluster.verify().problems.is_empty());
    changed.fill(0xff);
    std::fs::write(&path, &changed).unwrap();
    assert!(!cluster.verify().problems.is_empty());
}

#[test]
fn verification_sees_old_metadata_that_is_back_in_place() {
    let (cluster, root) = recovered();
    let journal = root.join("_system/containers/_sysjournal.epoch1.container1.file9");
    std::fs::write(journal, b"old").unwrap();
    let problems = cluster.verify().problems;
    assert!(problems.iter().any(|problem| problem.container == 1 && problem.what.contains("adopt")), "{problems:?}");
}

#[test]
fn verification_sees_a_log_that_is_disabled_missing_or_of_another_container() {
    let (cluster, _) = recovered();
    let path = |container| cluster.layout.log_znode(container);
    let node = cluster.znodes.get(&path(0)).unwrap().unwrap();
    let mut disabled = LogMetadata::decode(&node.data).unwrap();
    disabled.enabled = false;
    let version = cluster.znodes.set(&path(0), &disabled.encode().unwrap(), node.version).unwrap();
    assert!(cluster.verify().problems.iter().any(|problem| problem.what.contains("disabled")));
    let other = cluster.znodes.get(&path(1)).unwrap().unwrap();
    let version = cluster.znodes.set(&path(0), &other.data, version).unwrap();
    assert!(cluster.verify().problems.iter().any(|problem| problem.what.contains("container 1")));
    cluster.znodes.delete(&path(0), version).unwrap();
    assert!(cluster.verify().problems.iter().any(|problem| problem.what.contains("no log ZNode")));
}

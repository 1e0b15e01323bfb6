//! What verification must find: a recovered tree, one thing in its logs or objects changed, and the problem that is named.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use dr_backends::tier1::{Ledgers as _, ZNodes as _};
use dr_backends::tier2::Tier2 as _;
use dr_engine::progress::Silent;
use dr_engine::verify::{Depth, Sample, Scope, Verification, verify};
use dr_formats::attribute::{ENTRY_COUNT, INDEX_OFFSET, SEGMENT_TYPE, SegmentType};
use dr_formats::data_frame::{FrameReader, FrameWriter, Record};
use dr_formats::log_metadata::{FrameAddress, LogMetadata};
use dr_formats::operation::{Action, Operation};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{SegmentMetadata, StorageMetadata, TransactionData};
use dr_formats::table::TableEntries;
use support::Cluster;

/// A recovered tree and the root of its Tier-2.
fn recovered() -> (Cluster, PathBuf) {
    let cluster = support::captured("flushed");
    let (plan, run) = cluster.plan("run");
    cluster.apply(&plan, &run).unwrap();
    let root = PathBuf::from(cluster.tier2.location().rsplit(' ').next().unwrap());
    (cluster, root)
}

fn look(cluster: &Cluster, depth: Depth) -> Verification {
    let scope = Scope { parallel: 2, depth, ..Scope::default() };
    verify(cluster.tier2.as_ref(), cluster.tier1(), &cluster.layout, &scope, &Silent).unwrap()
}

const DATA: Depth = Depth { sample: None, read_data: true };

/// The encoded operations of a container's log.
fn records(cluster: &Cluster, container: u32) -> Vec<Vec<u8>> {
    let node = cluster.znodes.get(&cluster.layout.log_znode(container)).unwrap().unwrap();
    let metadata = LogMetadata::decode(&node.data).unwrap();
    let mut reader = FrameReader::new();
    let mut records = Vec::new();
    let mut take = |entry: i64, frame: &[u8]| {
        let address = FrameAddress::new(1, u32::try_from(entry).unwrap());
        let mut visit = |record: Record<'_>| {
            records.push(record.bytes.to_vec());
            Ok::<(), dr_formats::DecodeError>(())
        };
        reader.frame(address, frame, &mut visit).unwrap();
        Ok(())
    };
    cluster.ledgers.read(metadata.ledgers[0].ledger_id, &mut take).unwrap();
    records
}

/// Puts another ledger with these operations into the place of a container's log.
fn replace_log(cluster: &Cluster, container: u32, records: &[Vec<u8>]) {
    let ledger_id = cluster.ledgers.allocate().unwrap();
    let mut ledger = cluster.ledgers.create(ledger_id, &cluster.layout.ledger_layout(container)).unwrap();
    let mut frames = FrameWriter::new();
    for record in records {
        frames.record(record, &mut |frame: &[u8]| ledger.append(frame)).unwrap();
    }
    frames.flush(&mut |frame: &[u8]| ledger.append(frame)).unwrap();
    ledger.close().unwrap();
    let path = cluster.layout.log_znode(container);
    let node = cluster.znodes.get(&path).unwrap().unwrap();
    let mut metadata = LogMetadata::decode(&node.data).unwrap();
    metadata.ledgers[0].ledger_id = ledger_id;
    cluster.znodes.set(&path, &metadata.encode().unwrap(), node.version).unwrap();
}

/// Rewrites the logs with changed operations; at least one must be changed.
fn edit(cluster: &Cluster, mut change: impl FnMut(&mut Action<'_>) -> bool) {
    let mut changed = false;
    for container in 0..4 {
        let mut here = false;
        let edited = records(cluster, container).into_iter().map(|record| {
            let mut operation = Operation::decode(&record).unwrap();
            here |= !changed && change(&mut operation.action);
            operation.encode().unwrap()
        });
        let edited: Vec<Vec<u8>> = edited.collect();
        if here {
            replace_log(cluster, container, &edited);
            changed = true;
        }
    }
    assert!(changed, "nothing was changed");
}

/// Changes the first value in the appends that `change` changes, without changing its length: offsets stay as they are.
fn edit_value(cluster: &Cluster, change: impl Fn(&str, &[u8]) -> Option<Vec<u8>>) {
    edit(cluster, |action| {
        let Action::Append { offset, data, .. } = action else { return false };
        let mut place = None;
        for entry in TableEntries::new(data, *offset) {
            let entry = entry.unwrap();
            let Some(value) = entry.value else { continue };
            if let Some(changed) = change(std::str::from_utf8(entry.key).unwrap(), value) {
                assert_eq!(changed.len(), value.len());
                let end = usize::try_from(entry.end() - *offset).unwrap();
                place = Some((end - value.len()..end, changed));
                break;
            }
        }
        let Some((range, changed)) = place else { return false };
        let mut bytes = data.to_vec();
        bytes[range].copy_from_slice(&changed);
        *data = Cow::Owned(bytes);
        true
    });
}

fn edit_row(cluster: &Cluster, change: impl Fn(&mut SegmentInfo<'_>) -> bool) {
    edit_value(cluster, |name, value| {
        let mut row = SegmentInfo::decode(value).ok().filter(|row| row.name == name)?;
        change(&mut row).then(|| row.encode().unwrap())
    });
}

fn edit_record(cluster: &Cluster, change: impl Fn(&mut StorageMetadata) -> bool) {
    edit_value(cluster, |_, value| {
        let mut data = TransactionData::decode(value).ok()?;
        change(data.value.as_mut()?).then(|| data.encode().unwrap())
    });
}

/// Files of Tier-2 whose paths have these parts, biggest first.
fn files(below: &Path, parts: &[&str]) -> Vec<PathBuf> {
    let mut pending = vec![below.to_path_buf()];
    let mut found = Vec::new();
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { pending.push(path) } else { found.push(path) }
        }
    }
    found.retain(|path| {
        let text = path.to_string_lossy();
        parts.iter().all(|part| text.contains(part)) && !text.contains("/_dr/")
    });
    found.sort_by_key(|path| (std::cmp::Reverse(path.metadata().unwrap().len()), path.clone()));
    found
}

fn is_hash_table(row: &SegmentInfo<'_>) -> bool {
    let kind = SegmentType(row.attributes.get(SEGMENT_TYPE).unwrap_or(0));
    kind.is(SegmentType::TABLE) && !kind.is(SegmentType::FIXED_KEY_TABLE)
}

#[track_caller]
fn assert_found(cluster: &Cluster, words: &str) {
    let problems = look(cluster, Depth::default()).problems;
    assert!(problems.iter().any(|problem| problem.what.contains(words)), "`{words}` is not in {problems:#?}");
}

#[test]
fn nothing_is_found_where_nothing_was_changed() {
    let (cluster, _) = recovered();
    let metadata = look(&cluster, Depth::default());
    let data = look(&cluster, DATA);
    assert_eq!((&metadata.problems, &data.problems, &data.doubts), (&vec![], &vec![], &vec![]));
    let (metadata, data) = (metadata.read(), data.read());
    assert!(metadata.entries > 100 && metadata.attributes > 100 && metadata.segments > 100, "{metadata:?}");
    assert!(data.bytes > 1 << 20 && data.events > 1000, "{data:?}");
    assert_eq!((metadata.bytes, data.entries), (0, metadata.entries));
    // A log that was written anew with nothing changed.
    edit(&cluster, |action| matches!(action, Action::Map(_)));
    assert_eq!(look(&cluster, Depth::default()).problems, vec![]);
}

#[test]
fn a_count_or_an_index_offset_that_is_wrong_is_found() {
    for attribute in [ENTRY_COUNT, INDEX_OFFSET] {
        let (cluster, _) = recovered();
        edit_row(&cluster, |row| {
            let wrong = row.attributes.get(attribute).unwrap_or(0) + 1;
            let is_chosen = is_hash_table(row) && row.attributes.get(attribute).is_some();
            if is_chosen {
                row.attributes.set(attribute, wrong);
            }
            is_chosen
        });
        assert_found(&cluster, &format!("its attribute {:#x}", attribute.0));
    }
}

#[test]
fn a_row_that_differs_from_its_record_is_found() {
    let (cluster, _) = recovered();
    edit_row(&cluster, |row| {
        row.sealed = !row.sealed;
        row.length > 0
    });
    assert_found(&cluster, "row and storage record differ");
}

#[test]
fn an_index_of_the_metadata_that_names_another_entry_is_found() {
    let (cluster, _) = recovered();
    edit(&cluster, |action| {
        let Action::UpdateAttributes { attributes, .. } = action else { return false };
        let extended = attributes.iter_mut().find(|update| update.id.core().is_none());
        extended.map(|update| update.value += 1).is_some()
    });
    assert_found(&cluster, "does not name its entry");
}

#[test]
fn chunk_records_that_break_a_chain_are_found() {
    let (cluster, _) = recovered();
    edit_record(&cluster, |record| {
        let StorageMetadata::Chunk(chunk) = record else { return false };
        chunk.length = chunk.length.saturating_sub(1);
        chunk.length > 100 && chunk.length != 16_383
    });
    assert_found(&cluster, "its chunks end at");

    let (cluster, _) = recovered();
    edit_record(&cluster, |record| {
        let StorageMetadata::Segment(SegmentMetadata { first_chunk, .. }) = record else { return false };
        let Some(last) = first_chunk.pop() else { return false };
        first_chunk.push(if last == '0' { '1' } else { '0' });
        true
    });
    assert_found(&cluster, "has no record");
    assert_found(&cluster, "its chunk record belongs to no segment");
}

#[test]
fn a_row_without_its_record_and_a_record_without_its_row_are_found() {
    let (cluster, _) = recovered();
    // The key of the row stays, so that only the row itself is another one.
    edit_row(&cluster, |row| {
        let has_data = row.length > 0 && row.name.starts_with("alpha/");
        if has_data {
            row.name = Cow::Owned(row.name.replacen("alpha", "alphb", 1));
        }
        has_data
    });
    assert_found(&cluster, "its row is one of `alphb/");
    assert_found(&cluster, "it has a storage record, but no segment of that name has a row");
}

#[test]
fn a_damaged_page_of_an_attribute_index_is_found_wherever_it_lies() {
    let (cluster, root) = recovered();
    let path = files(&root.join("alpha"), &["$attributes.index", ".E-"]).remove(0);
    let whole = std::fs::read(&path).unwrap();
    assert!(whole.len() > 100);
    // The root page stands before the footer; its identifier comes first.
    let mut damaged = whole.clone();
    damaged.iter_mut().take(whole.len() - 12).for_each(|byte| *byte ^= 0xff);
    std::fs::write(&path, &damaged).unwrap();
    assert_found(&cluster, "whose pages can all be read");
    let none = Depth { sample: Some(Sample { percent: 0.0, seed: 0 }), read_data: false };
    assert_eq!(look(&cluster, none).problems, vec![]);
    let all = Depth { sample: Some(Sample { percent: 100.0, seed: 0 }), read_data: false };
    assert_eq!(look(&cluster, all).problems, look(&cluster, Depth::default()).problems);
}

#[test]
fn bytes_behind_events_that_are_none_raise_a_doubt_only_where_data_are_read() {
    let (cluster, root) = recovered();
    let is_of_events = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.starts_with(&[0, 0, 0, 0]) && !path.to_string_lossy().contains("$attributes")
    };
    let path = files(&root.join("alpha"), &[".E-", "-O-0."]).into_iter().find(is_of_events).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let second = 8 + usize::try_from(u32::from_be_bytes(bytes[4..8].try_into().unwrap())).unwrap();
    bytes[second] ^= 0x40;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(look(&cluster, Depth::default()).doubts, vec![]);
    let doubts = look(&cluster, DATA).doubts;
    assert_eq!(doubts.len(), 1, "{doubts:#?}");
    assert!(doubts[0].what.contains(&format!("behind 1 events, at {second}")), "{doubts:?}");
}

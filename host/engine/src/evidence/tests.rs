//! Evidence made by hand: what a crash can leave of transactions and truncations, one way a test.

use std::collections::HashSet;
use std::sync::Arc;

use dr_backends::tier2::{MemoryTier2, Tier2 as _};
use dr_formats::attribute::AttributeMap;
use dr_formats::names::{SystemSegment, SystemTable};
use dr_formats::segment_info::{NO_SEGMENT_ID, SegmentInfo};
use dr_formats::slts::{ChunkMetadata, STATUS_ACTIVE, STATUS_SEALED, SegmentMetadata};

use super::ContainerEvidence;
use super::metadata_tables::MetadataTables;
use crate::committed::{Fate, Fates};
use crate::listing::{ChunkObject, ContainerObjects, Listing};
use crate::named_segments::Named;
use crate::progress::Silent;
use crate::reconcile::Standing;
use crate::stream_tables::StreamTables;

const PARENT: &str = "scope/stream/0.#epoch.0";

/// The segment of transaction `number`.
fn transaction(number: u8) -> String {
    format!("{PARENT}#transaction.{number:032x}")
}

fn event(content: &str) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[0; 4][..], &length, content.as_bytes()].concat()
}

fn events(contents: &[&str]) -> Vec<u8> {
    contents.iter().flat_map(|content| event(content)).collect()
}

/// The metadata and objects of a container, as a crash left them.
#[derive(Default)]
struct Left {
    tier2: MemoryTier2,
    objects: ContainerObjects,
    tables: MetadataTables,
    stream_tables: StreamTables,
}

impl Left {
    /// Adds an object with the name of a segment; returns its key.
    fn object(&mut self, segment: &str, offset: u64, bytes: &[u8]) -> String {
        let chunk = ChunkObject::for_test(segment, offset, 1, bytes.len() as u64);
        let key = chunk.key.to_string();
        self.tier2.create(&key, bytes).unwrap();
        self.objects.chunks.push(chunk);
        self.objects.chunks.sort_unstable();
        key
    }

    fn chunk_record(&mut self, key: &str, length: u64, status: u32) {
        let record = ChunkMetadata { name: key.to_owned(), length, next_chunk: String::new(), status };
        self.tables.chunk_records.insert(key.into(), record);
    }

    /// Adds an object and the records of a segment that consists of its first `length` bytes, which begin at `offset`.
    fn recorded(&mut self, segment: &str, offset: u64, bytes: &[u8], length: u64, status: u32) -> String {
        let key = self.object(segment, offset, bytes);
        self.chunk_record(&key, length, STATUS_ACTIVE);
        let record = SegmentMetadata {
            name: segment.to_owned(),
            length: offset + length,
            chunk_count: 1,
            start_offset: offset,
            status: STATUS_ACTIVE | status,
            max_rolling_length: 1 << 20,
            first_chunk: key.clone(),
            last_chunk: key.clone(),
            last_modified: 0,
            first_chunk_start_offset: offset,
            last_chunk_start_offset: offset,
            owner_epoch: 1,
        };
        self.tables.records.insert(segment.into(), record);
        key
    }

    fn row(&mut self, segment: &str, start_offset: u64, length: u64) {
        let row = SegmentInfo {
            segment_id: NO_SEGMENT_ID,
            name: segment.to_owned().into(),
            length,
            start_offset,
            sealed: false,
            attributes: AttributeMap::default(),
        };
        self.tables.rows.insert(segment.into(), row);
    }

    /// What a recovery finds, and the Tier-2 that it finds it in.
    fn found(self, fates: &[(u8, Fate)]) -> (ContainerEvidence, MemoryTier2) {
        let Self { tier2, objects, tables, stream_tables } = self;
        let mut evidence = ContainerEvidence::of_tables(0, Arc::new(objects), tables, Arc::new(stream_tables));
        evidence.settle_transactions(&tier2).unwrap();
        let by_controller = fates.iter().map(|&(number, fate)| (id(number), fate));
        let by_container = evidence.committed().iter().map(|&id| (id, Fate::Committed)).collect::<Vec<_>>();
        let fates: Fates = by_controller.chain(by_container).collect();
        evidence.end_transactions(&fates, &tier2).unwrap();
        (evidence, tier2)
    }
}

fn id(number: u8) -> dr_formats::controller::TransactionId {
    dr_formats::names::transaction_id(&transaction(number)).unwrap()
}

/// All that is to be read of the parent.
fn content(evidence: &ContainerEvidence, tier2: &MemoryTier2) -> Vec<u8> {
    let parent = evidence.segment(PARENT).unwrap();
    parent.chain.read_range(tier2, parent.start_offset, parent.chain.end()).unwrap()
}

fn standing(evidence: &ContainerEvidence, number: u8) -> Option<Standing> {
    evidence.segment(&transaction(number)).map(|segment| segment.standing)
}

fn leftovers(evidence: &ContainerEvidence) -> Vec<&str> {
    evidence.leftovers().map(|(key, _)| key).collect()
}

#[test]
fn a_tombstone_ends_a_transaction_whose_empty_row_was_not_removed_yet() {
    let mut left = Left::default();
    let merged = events(&["before", "one"]);
    left.recorded(PARENT, 0, &merged, merged.len() as u64, 0);
    let key = left.object(&transaction(1), 0, &event("one"));
    left.chunk_record(&key, event("one").len() as u64, 0);
    left.tables.removed_records.insert(transaction(1).into());
    left.row(&transaction(1), 0, 0);
    let (evidence, tier2) = left.found(&[(1, Fate::Committed)]);
    assert_eq!(standing(&evidence, 1), Some(Standing::Deleted));
    assert_eq!(content(&evidence, &tier2), merged);
    // Left behind, it would be the content of a new transaction to the next recovery.
    assert_eq!(leftovers(&evidence), [key]);
}

#[test]
fn a_namesake_that_was_created_later_is_not_taken_for_deleted() {
    let mut left = Left::default();
    let key = left.object(PARENT, 0, &event("of the old one"));
    left.chunk_record(&key, 4, 0);
    left.tables.removed_records.insert(PARENT.into());
    left.row(PARENT, 0, 0);
    let (evidence, _) = left.found(&[]);
    let parent = evidence.segment(PARENT).unwrap();
    assert_eq!((parent.standing, parent.chain.end()), (Standing::Live, 0));
    assert_eq!(leftovers(&evidence), [key]);
}

#[test]
fn a_chunk_that_was_taken_out_of_use_is_never_linked_again() {
    for is_removed in [false, true] {
        let mut left = Left::default();
        let first = event("first");
        left.recorded(PARENT, 0, &first, first.len() as u64, 0);
        let key = left.object(PARENT, first.len() as u64, &event("old"));
        if is_removed {
            left.tables.removed_records.insert(key.as_str().into());
        } else {
            left.chunk_record(&key, 11, 0);
        }
        let (evidence, tier2) = left.found(&[]);
        assert_eq!(content(&evidence, &tier2), first);
        assert_eq!(leftovers(&evidence), [key]);
    }
}

#[test]
fn two_committed_transactions_with_the_same_bytes_are_both_read() {
    let mut left = Left::default();
    let merged = event("tick");
    left.recorded(PARENT, 0, &merged, merged.len() as u64, 0);
    left.recorded(&transaction(2), 0, &merged, merged.len() as u64, 0);
    let (evidence, tier2) = left.found(&[(2, Fate::Committed)]);
    assert_eq!(content(&evidence, &tier2), events(&["tick", "tick"]));
}

#[test]
fn a_transaction_that_lent_its_object_holds_those_that_were_merged_after_it() {
    let mut left = Left::default();
    let before = event("before");
    left.recorded(PARENT, 0, &before, before.len() as u64, 0);
    left.recorded(&transaction(1), 0, &events(&["one", "two", "three", "four"]), event("one").len() as u64, 0);
    left.recorded(&transaction(2), 0, &events(&["two", "three"]), 0, 0);
    left.object(&transaction(3), 0, &events(&["four", "five"]));
    left.recorded(&transaction(4), 0, &event("open"), 0, 0);
    let (evidence, tier2) = left.found(&[(2, Fate::Committed), (3, Fate::Committed)]);
    assert_eq!(content(&evidence, &tier2), events(&["before", "one", "two", "three", "four", "five"]));
    let standings = [1, 2, 3, 4].map(|number| standing(&evidence, number).unwrap());
    assert_eq!(standings, [Standing::Deleted, Standing::Deleted, Standing::Deleted, Standing::Live]);
}

#[test]
fn what_the_store_wrote_behind_a_lent_object_continues_the_parent() {
    let mut left = Left::default();
    let (before, lent) = (event("before"), events(&["one", "two"]));
    left.recorded(PARENT, 0, &before, before.len() as u64, 0);
    left.recorded(&transaction(1), 0, &lent, lent.len() as u64, STATUS_SEALED);
    left.object(PARENT, (before.len() + lent.len()) as u64, &event("after"));
    let (evidence, tier2) = left.found(&[]);
    assert_eq!(content(&evidence, &tier2), events(&["before", "one", "two", "after"]));
    assert_eq!(leftovers(&evidence), [""; 0]);
}

#[test]
fn a_transaction_whose_row_alone_is_gone_is_read_if_it_was_committed() {
    for (fate, expected) in [(Some(Fate::Committed), vec!["before", "one"]), (Some(Fate::Aborted), vec!["before"])] {
        let mut left = Left::default();
        let before = event("before");
        left.recorded(PARENT, 0, &before, before.len() as u64, 0);
        left.recorded(&transaction(1), 0, &event("one"), event("one").len() as u64, 0);
        left.tables.removed_rows.insert(transaction(1).into());
        let (evidence, tier2) = left.found(&fate.map(|fate| (1, fate)).into_iter().collect::<Vec<_>>());
        assert_eq!(content(&evidence, &tier2), events(&expected));
        assert_eq!(standing(&evidence, 1), Some(Standing::Deleted));
    }
}

#[test]
fn a_transaction_whose_row_alone_is_gone_is_not_merged_twice() {
    let mut left = Left::default();
    let merged = events(&["before", "one"]);
    left.recorded(PARENT, 0, &merged, event("before").len() as u64, 0);
    left.recorded(&transaction(1), 0, &event("one"), event("one").len() as u64, STATUS_SEALED);
    left.tables.removed_rows.insert(transaction(1).into());
    let (evidence, tier2) = left.found(&[(1, Fate::Committed)]);
    assert_eq!(content(&evidence, &tier2), merged);
}

#[test]
fn a_segment_that_was_truncated_behind_its_end_goes_on_empty_from_there() {
    for is_by_controller in [true, false] {
        let mut left = Left::default();
        let held = events(&["one", "two"]);
        let key = left.recorded(PARENT, 0, &held, 0, 0);
        left.row(PARENT, if is_by_controller { 0 } else { 100 }, 0);
        if is_by_controller {
            left.stream_tables = StreamTables::for_test(PARENT, 100);
        }
        let (evidence, tier2) = left.found(&[]);
        let parent = evidence.segment(PARENT).unwrap();
        assert_eq!((parent.start_offset, parent.chain.end(), parent.chain.parts.len()), (100, 100, 0));
        assert!(parent.findings.contains(&"truncated-behind-end"), "{:?}", parent.findings);
        assert_eq!(leftovers(&evidence), [key]);
        // Writers are not set ahead of what was there.
        assert_eq!(evidence.appended_events(PARENT, 100, &tier2).unwrap(), Some(2));
    }
}

#[test]
fn first_objects_that_are_gone_are_explained_by_the_controller() {
    for (truncated_at, expected_start, lost) in [(0, 20, Some(10..20)), (15, 20, Some(15..20)), (30, 30, None)] {
        let mut left = Left::default();
        let key = left.recorded(PARENT, 10, &[0; 10], 10, 0);
        let next = left.object(PARENT, 20, &[0; 30]);
        left.chunk_record(&next, 30, STATUS_ACTIVE);
        left.tables.chunk_records.get_mut(key.as_str()).unwrap().next_chunk = next;
        left.objects.chunks.retain(|chunk| *chunk.key != *key);
        left.stream_tables = StreamTables::for_test(PARENT, truncated_at);
        let (evidence, _) = left.found(&[]);
        let start = evidence.segment(PARENT).unwrap().start_offset;
        assert_eq!((start, evidence.leading_gone(PARENT, start)), (expected_start, lost), "{truncated_at}");
    }
}

const NAMED: Named = Named { sealed: false, key_length: None };

#[test]
fn segments_whose_rows_came_too_late_live_by_the_word_of_the_controller() {
    let new = "scope/stream/2.#epoch.1";
    let names = ["scope/stream/1.#epoch.0", "scope/stream/3.#epoch.1", "scope/stream/4.#epoch.1"];
    let [leftover, removed, empty] = names;
    let mut left = Left::default();
    let held = events(&["one", "two"]);
    left.object(new, 0, &held);
    left.object(leftover, 0, &held);
    left.tables.removed_rows.insert(removed.into());
    let (mut evidence, tier2) = left.found(&[]);
    assert_eq!(evidence.segment(new).unwrap().standing, Standing::Unrecorded);
    evidence.add_named([(new, NAMED), (removed, NAMED), (empty, NAMED)].into_iter());
    let standing = |name: &str| evidence.segment(name).map(|segment| (segment.standing, segment.chain.end()));
    assert_eq!(standing(new), Some((Standing::Live, held.len() as u64)));
    assert_eq!(standing(empty), Some((Standing::Live, 0)));
    assert_eq!(standing(leftover), Some((Standing::Unrecorded, held.len() as u64)));
    assert_eq!(standing(removed), None);
    assert_eq!(evidence.measure(new, &tier2).unwrap().items, 2);
}

#[test]
fn a_segment_that_was_deleted_too_early_begins_anew_without_what_it_held() {
    let other = "scope/stream/1.#epoch.0";
    let of_deleted_stream = "scope/other/0.#epoch.0";
    let table =
        |stream: &str| format!("_system/_tables/scope/{stream}/metadata.#.00000000-0000-0000-0000-000000000001");
    let mut left = Left::default();
    left.object(&table("stream"), 0, &[]);
    let listing = Listing::take_known(&left.tier2, 1, &Silent).unwrap();
    left.stream_tables = StreamTables::read(&listing, &left.tier2).unwrap();
    let key = left.recorded(PARENT, 0, b"old", 3, 0);
    left.row(PARENT, 0, 3);
    left.tables.records.get_mut(PARENT).unwrap().status = 0;
    for removed in [other, of_deleted_stream, &*table("other"), &*table("gone")] {
        left.tables.removed_rows.insert(removed.into());
        left.tables.removed_records.insert(removed.into());
    }
    left.object(&table("other"), 0, b"x");
    let (mut evidence, _) = left.found(&[]);
    let deleted: Vec<_> = evidence.deleted_without_successors().into_iter().collect();
    let segments = [PARENT, other].map(str::to_owned).into();
    assert_eq!(deleted, [(("scope".to_owned(), "stream".to_owned()), segments)]);
    assert_eq!(evidence.deleted_stream_tables().collect::<HashSet<_>>(), [&*table("other")].into());
    evidence.create_again(PARENT, false);
    evidence.create_again(other, true);
    for (name, sealed) in [(PARENT, false), (other, true)] {
        let segment = evidence.segment(name).unwrap();
        assert_eq!((segment.standing, segment.sealed, segment.chain.end()), (Standing::Live, sealed, 0));
        assert_eq!(segment.findings, ["deleted-ahead"]);
    }
    assert!(evidence.row(PARENT).is_none() && evidence.record(PARENT).is_none());
    assert!(leftovers(&evidence).contains(&&*key));
    assert!(evidence.deleted_without_successors().is_empty());
}

#[test]
fn objects_prove_nothing_where_the_metadata_is_not_there() {
    let mut left = Left::default();
    left.object(PARENT, 0, &events(&["one"]));
    left.tables.absent.push(SystemSegment { container: 0, table: SystemTable::StorageMetadata, attributes: false });
    let (mut evidence, _) = left.found(&[]);
    evidence.add_named([(PARENT, NAMED)].into_iter());
    assert_eq!(evidence.segment(PARENT).unwrap().standing, Standing::Unrecorded);
}

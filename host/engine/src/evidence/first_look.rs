//! A first look at the metadata of a container: may some of its streams begin behind what the controller says of them?
//!
//! In a large cluster that is asked of each container, and nearly none has such a stream. So only names and offsets are looked at, in each version that the
//! tables hold. Whatever is odd calls for a closer look, which gives the answer.

use dr_backends::tier2::Tier2;
use dr_formats::names::{SegmentKind, StreamSegment, SystemTable, main_segment_of, owning_container};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::{SegmentMetadata, StorageMetadata, Subject, TransactionData};
use dr_formats::table::TableEntry;
use hashbrown::HashMap;

use crate::contract::ContainerId;
use crate::error::Result;
use crate::evidence::metadata_tables::MetadataTables;
use crate::listing::ContainerObjects;
use crate::stream_tables::StreamTables;

/// One name in so many bytes of a table is asked for its container: what a swapped object holds is longer.
const BYTES_OF_ONE_OWNER: u64 = 4 << 10;

/// A container and what else is known of its streams.
pub(crate) struct FirstLook<'a> {
    pub(crate) container: ContainerId,
    pub(crate) container_count: u32,
    pub(crate) objects: &'a ContainerObjects,
    pub(crate) stream_tables: &'a StreamTables,
}

/// What one version of an entry tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Nothing, or what the controller says, too.
    Nothing,
    /// A segment was deleted or truncated further than the controller says.
    Later,
    /// It has to be looked at closely.
    Odd,
}

/// Keys of a table of which the newest version so far tells of such a segment.
#[derive(Default)]
struct Suspects {
    ranks: HashMap<Vec<u8>, (i64, u64)>,
    is_odd: bool,
    next_owner: u64,
}

impl Suspects {
    fn meet(&mut self, entry: &TableEntry<'_>, word: Word) {
        match word {
            Word::Odd => self.is_odd = true,
            Word::Later => {
                let rank = self.ranks.entry_ref(entry.key).or_insert_with(|| entry.rank());
                *rank = entry.rank().max(*rank);
            }
            Word::Nothing if self.ranks.get(entry.key).is_some_and(|rank| *rank < entry.rank()) => {
                self.ranks.remove(entry.key);
            }
            Word::Nothing => {}
        }
    }

    fn are_any(&self) -> bool {
        self.is_odd || !self.ranks.is_empty()
    }
}

impl FirstLook<'_> {
    /// False if no segment of a stream was deleted or truncated further than the controller says, and nothing is odd.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn may_tell_of_later_heads(&self, tier2: &dyn Tier2) -> Result<bool> {
        let (mut rows, mut records) = (Suspects::default(), Suspects::default());
        let mut meet = |table: SystemTable, entry: &TableEntry<'_>| {
            let (suspects, word) = match table {
                SystemTable::ContainerMetadata => (&mut rows, self.word_of_row(entry)),
                SystemTable::StorageMetadata => (&mut records, self.word_of_record(entry)),
            };
            suspects.meet(entry, word.unwrap_or(Word::Odd));
            if entry.offset >= suspects.next_owner && names_a_segment(table, entry) {
                suspects.next_owner = entry.offset + BYTES_OF_ONE_OWNER;
                suspects.is_odd |= !self.is_own(entry);
            }
        };
        let is_whole = MetadataTables::visit_all(self.container, self.objects, tier2, &mut meet)?;
        Ok(!is_whole || rows.are_any() || records.are_any())
    }

    /// None if it is odd.
    fn word_of_row(&self, entry: &TableEntry<'_>) -> Option<Word> {
        let name = std::str::from_utf8(entry.key).ok()?;
        let Some(value) = entry.value else { return Some(self.word_of_deleted(name)) };
        Some(self.word_of_head(name, SegmentInfo::start_offset_of(value)?))
    }

    /// None if it is odd.
    fn word_of_record(&self, entry: &TableEntry<'_>) -> Option<Word> {
        let name = std::str::from_utf8(entry.key).ok()?;
        match entry.value.map_or(Some(Subject::Deleted), Subject::of)? {
            Subject::PartOfSegment => Some(Word::Nothing),
            Subject::Deleted => Some(self.word_of_deleted(name)),
            Subject::Segment if main_segment_of(name).is_some() => Some(Word::Nothing),
            Subject::Segment => match TransactionData::decode_borrowed(entry.value?).ok()?.value? {
                StorageMetadata::Segment(segment) => Some(self.word_of_segment(name, &segment)),
                _ => None,
            },
        }
    }

    fn word_of_segment<Text: AsRef<str>>(&self, name: &str, segment: &SegmentMetadata<Text>) -> Word {
        if !segment.is_active() {
            return self.word_of_deleted(name);
        }
        let first_chunk = segment.first_chunk.as_ref();
        if !first_chunk.is_empty() && self.objects.chunk_size(first_chunk).is_none() {
            return if is_of_stream(name) { Word::Later } else { Word::Nothing };
        }
        self.word_of_head(name, segment.start_offset.max(segment.first_chunk_start_offset))
    }

    fn word_of_head(&self, name: &str, start_offset: u64) -> Word {
        let is_later =
            start_offset > 0 && start_offset > self.stream_tables.truncated_at(name).unwrap_or(0) && is_of_stream(name);
        if is_later { Word::Later } else { Word::Nothing }
    }

    fn word_of_deleted(&self, name: &str) -> Word {
        let is_of_known = |segment: StreamSegment<'_>| self.stream_tables.have_table_of(segment.scope, segment.stream);
        let is_later = StreamSegment::parse(name).is_some_and(is_of_known) && !self.stream_tables.are_past(name);
        if is_later { Word::Later } else { Word::Nothing }
    }

    /// False for an entry of another container's table.
    fn is_own(&self, entry: &TableEntry<'_>) -> bool {
        let name = std::str::from_utf8(entry.key).unwrap_or_default();
        owning_container(name, self.container_count) == self.container
    }
}

fn names_a_segment(table: SystemTable, entry: &TableEntry<'_>) -> bool {
    table == SystemTable::ContainerMetadata || entry.value.and_then(Subject::of) == Some(Subject::Segment)
}

fn is_of_stream(name: &str) -> bool {
    SegmentKind::of(name) == SegmentKind::Stream
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dr_backends::tier2::MemoryTier2;
    use dr_formats::attribute::AttributeMap;
    use dr_formats::controller::{TRUNCATION_KEY, Truncation};
    use dr_formats::segment_info::NO_SEGMENT_ID;
    use dr_formats::slts::{STATUS_ACTIVE, STATUS_SEALED};
    use dr_formats::table::write_entry;

    use super::*;
    use crate::evidence::ContainerEvidence;
    use crate::listing::{ChunkObject, Listing};
    use crate::progress::Silent;

    const SEGMENT: &str = "scope/stream/1.#epoch.1";
    const TABLE: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000001";

    /// A key and its value, as one entry of a table.
    fn entry(key: &str, value: Option<Vec<u8>>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_entry(key.as_bytes(), value.as_deref(), None, &mut bytes).unwrap();
        bytes
    }

    fn row(name: &str, start_offset: u64) -> Vec<u8> {
        let row = SegmentInfo {
            segment_id: NO_SEGMENT_ID,
            name: name.to_owned().into(),
            length: 1_000,
            start_offset,
            sealed: false,
            attributes: AttributeMap::default(),
        };
        entry(name, Some(row.encode().unwrap()))
    }

    fn data(name: &str, value: Option<StorageMetadata>) -> Vec<u8> {
        let data = TransactionData { version: 1, key: name.to_owned(), value };
        entry(name, Some(data.encode().unwrap()))
    }

    fn record(name: &str, start_offset: u64, first_chunk: &str, status: u32) -> Vec<u8> {
        let segment = SegmentMetadata {
            name: name.to_owned(),
            length: 1_000,
            chunk_count: 1,
            start_offset,
            status,
            first_chunk: first_chunk.to_owned(),
            last_chunk: first_chunk.to_owned(),
            ..SegmentMetadata::default()
        };
        data(name, Some(StorageMetadata::Segment(segment)))
    }

    fn chunk_of(name: &str) -> String {
        ChunkObject::for_test(name, 0, 1, 0).key.to_string()
    }

    /// The first of these names that belongs to a container.
    fn named_in(container: ContainerId, name: impl Fn(u32) -> String) -> String {
        (0..).map(name).find(|name| owning_container(name, 2) == container).unwrap()
    }

    /// What a first look says, and whether a closer one finds anything.
    fn looks(rows: &[Vec<u8>], records: &[Vec<u8>]) -> (bool, bool) {
        let cut = Truncation { cut: vec![(1 << 32 | 1, 100)], ..Truncation::default() }.encode().unwrap();
        let table = [entry("configuration", Some(vec![0; 900])), entry(TRUNCATION_KEY, Some(cut))].concat();
        let objects = [
            (SEGMENT, vec![0; 1_000]),
            (TABLE, table),
            ("_system/containers/metadata_0", rows.concat()),
            ("_system/containers/storage_metadata_0", records.concat()),
        ];
        let tier2 = MemoryTier2::new();
        for (segment, content) in objects {
            tier2.create(&chunk_of(segment), &content).unwrap();
        }
        let listing = Listing::take_known(&tier2, 2, &Silent).unwrap();
        let stream_tables = Arc::new(StreamTables::read(&listing, &tier2).unwrap());
        let container = owning_container(SEGMENT, 2);
        assert_eq!(container, 0, "the stream is in the container of the tables");
        let objects = Arc::new(listing.objects(container));
        let look = FirstLook { container, container_count: 2, objects: &objects, stream_tables: &stream_tables };
        let first = look.may_tell_of_later_heads(&tier2).unwrap();
        let evidence = ContainerEvidence::load(container, 2, objects.clone(), stream_tables.clone(), &tier2);
        let later = evidence.map(|evidence| evidence.truncated_further()).unwrap_or_default();
        let is_news = later.iter().any(|(segment, _)| !stream_tables.are_past(segment));
        (first, is_news)
    }

    #[test]
    fn a_first_look_finds_what_begins_later_than_the_controller_says_and_nothing_else() {
        let chunk = chunk_of(SEGMENT);
        let sound = |start: u64| record(SEGMENT, start, &chunk, STATUS_ACTIVE);
        let past = "scope/stream/0.#epoch.0";
        let known = (false, false);
        assert_eq!(looks(&[row(SEGMENT, 100)], &[sound(100)]), known);
        assert_eq!(looks(&[row(SEGMENT, 100)], &[sound(101)]), (true, true));
        // By the row alone, of a segment that the storage does not know.
        assert_eq!(looks(&[row(SEGMENT, 1_001)], &[data("other", None)]), (true, true));
        // The chunks before were deleted; by an older record, or by the newest one.
        let gone = record(SEGMENT, 50, "gone", STATUS_ACTIVE);
        assert_eq!(looks(&[row(SEGMENT, 100)], &[gone.clone(), sound(100)]), known);
        assert!(looks(&[row(SEGMENT, 100)], &[sound(100), gone]).0);
        // Deleted: the row, the record, or its content; then made anew.
        let deleted = [entry(SEGMENT, None), data(SEGMENT, None), record(SEGMENT, 100, &chunk, STATUS_SEALED)];
        assert_eq!(looks(&[row(SEGMENT, 0), deleted[0].clone()], &[sound(0)]), (true, true));
        for deleted in deleted {
            assert_eq!(looks(&[row("scope/other/1.#epoch.0", 0)], &[sound(0), deleted.clone()]), (true, true));
            assert_eq!(looks(&[row(SEGMENT, 0)], &[sound(0), deleted, sound(0)]), known);
        }
        // What is past is deleted; so are chunks, and segments of streams that are.
        let of_others = [entry(past, None), entry(&chunk, None), entry("scope/gone/1.#epoch.1", None)];
        assert_eq!(looks(&of_others, &[of_others.concat(), data(&chunk, None), data(past, None)]), known);
        // Tables are truncated by nobody but themselves.
        let table = named_in(0, |number| format!("_system/_tables/scope/{number}"));
        assert_eq!(looks(&[row(&table, 100)], &[sound(0)]), known);
    }

    #[test]
    fn whatever_is_odd_calls_for_a_closer_look() {
        let sound = record(SEGMENT, 0, &chunk_of(SEGMENT), STATUS_ACTIVE);
        let rows = row(SEGMENT, 0);
        assert!(!looks(std::slice::from_ref(&rows), std::slice::from_ref(&sound)).0);
        let stranger = named_in(1, |number| format!("scope/stream/{number}.#epoch.0"));
        let odd = [vec![7; 40], sound[..sound.len() - 1].to_vec(), entry(SEGMENT, Some(vec![1; 30])), Vec::new()];
        for odd in odd {
            assert!(looks(std::slice::from_ref(&rows), std::slice::from_ref(&odd)).0, "{odd:?}");
            assert!(looks(std::slice::from_ref(&odd), std::slice::from_ref(&sound)).0, "{odd:?}");
        }
        assert!(looks(&[row(&stranger, 0)], &[sound]).0);
        assert!(looks(&[rows], &[record(&stranger, 0, "", STATUS_ACTIVE)]).0);
    }
}

//! What the controller's tables say of stream segments: which were sealed and replaced, and where streams were truncated.
//!
//! What befalls a segment reaches Tier-2 with its container, the controller's word of it with another one. So a crash can
//! leave the word without the deed; and the seal of a segment that never had a byte is in no storage record at all. A
//! reader would wait for ever at the end of such a segment instead of going on to its successors. And no reader begins at
//! all if the head of the stream lies behind its tail. Nor can anybody write to a stream that was created or scaled just before
//! the crash, or use a key-value table, if the row of a new segment is lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use dr_backends::tier2::Tier2;
use dr_formats::controller::{
    COMMITTING_TRANSACTIONS_KEY, CONFIGURATION_KEY, CURRENT_EPOCH_KEY, CreationState, EPOCH_TRANSITION_KEY,
    EpochTransition, STATE_KEY, StreamState, TRUNCATION_KEY, Truncation, WAITING_PROCESSOR_KEY, epoch_of_key,
    sealed_segment_of_key,
};
use dr_formats::names::{
    CONTROLLER_TABLES_PREFIX, ControllerTable, StreamSegment, owning_container, stream_segment_name, stream_table,
};

use crate::contract::ContainerId;
use crate::error::Result;
use crate::listing::{ChunkObject, ListedContainer, Listing, of_each_segment};
use crate::named_segments::{
    Named, Rows, creation_state, current_epoch, is_key_value_table, is_to_be_updated, newest_rows, of_key_value_table,
    of_stream, replaced, stream_state, whole_rows,
};
use crate::pool::{PARALLEL_READS, for_each_bounded, map_bounded, processors};
use crate::unfinished::is_held_up;

/// Metadata tables up to this size, without the names of scope and stream, tell of one segment at most: the rows of a new stream with one segment take 761
/// bytes (Pravega 0.12 and 0.13), each further segment 80, a truncation 115, a scaling more. Most streams have none of these, so most tables need not be read.
const ONE_SEGMENT_BYTES_MAX: u64 = 800;

/// What the controller knows of stream segments.
#[derive(Debug, Default)]
pub struct StreamTables {
    replaced: HashSet<Box<str>>,
    truncated: HashMap<Box<str>, u64>,
    /// By stream that was truncated, `<scope>/<stream>`: the lowest id of the segments in which it begins.
    first_segments: HashMap<Box<str>, i64>,
    /// By container; by name.
    named: HashMap<ContainerId, Vec<(Box<str>, Named)>>,
    unfinished: HashSet<Box<str>>,
    held_up: HashSet<Box<str>>,
    places: Places,
}

/// Which containers the metadata tables of streams lie in: a hash of scope and stream, and the container. Sorted; names would take much memory.
type Places = Vec<(u64, ContainerId)>;

impl StreamTables {
    /// Reads the metadata table of every stream that may have been scaled, truncated or created just before the crash, and of
    /// every key-value table.
    ///
    /// # Errors
    /// Tier-2 errors. Damage in a table is left to the container that owns it: here it only ends what can be known.
    pub fn read(listing: &Listing, tier2: &dyn Tier2) -> Result<Self> {
        let places = places(listing)?;
        let telling = telling_tables(listing, &places)?;
        let all = Mutex::new((Self { places, ..Self::default() }, BTreeMap::<Owner, Vec<Told>>::new()));
        for_each_bounded(PARALLEL_READS, &telling, |Table { chunks, has_namesakes }| {
            let mut told = read_table(chunks, listing, tier2)?;
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            let (tables, namesakes) = &mut *all;
            // Their ids are never given twice, so that namesakes do not matter.
            tables.unfinished.extend(told.unfinished.take());
            tables.held_up.extend(told.held_up.take());
            if *has_namesakes {
                namesakes.entry((stream_key(chunks), told.is_key_value_table)).or_default().push(told);
            } else {
                tables.add(told);
            }
            Ok(())
        })?;
        let (mut tables, namesakes) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        for mut told in namesakes.into_values() {
            // With the leftovers of a deleted namesake beside it, no table alone is the truth.
            if let (Some(only), true) = (told.pop(), told.is_empty()) {
                tables.add(only);
            }
        }
        for named in tables.named.values_mut() {
            named.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
        Ok(tables)
    }

    fn add(&mut self, told: Told) {
        self.replaced.extend(told.replaced);
        self.truncated.extend(told.truncated);
        self.first_segments.extend(told.first_segment);
        for (container, name, named) in told.named {
            self.named.entry(container).or_default().push((name, named));
        }
    }

    /// The word that one segment was truncated.
    #[cfg(test)]
    pub(crate) fn for_test(segment: &str, truncated_at: u64) -> Self {
        Self { truncated: HashMap::from([(segment.into(), truncated_at)]), ..Self::default() }
    }

    /// True if the controller had sealed this segment and put others in its place.
    pub fn is_replaced(&self, segment: &str) -> bool {
        self.replaced.contains(segment)
    }

    /// What the controller goes on doing with the segments of a stream; none if that is sealed, or if its tables do not tell.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn expected(
        &self,
        scope: &str,
        stream: &str,
        listing: &Listing,
        tier2: &dyn Tier2,
    ) -> Result<Option<Expected>> {
        let mut tables = Vec::new();
        for chunks in of_each_segment(&self.tables_of(scope, stream, listing)) {
            let rows = rows_of_segments(chunks, tier2)?;
            // A stream and a key-value table can have one name.
            if !is_key_value_table(&rows) {
                tables.extend(chunks.first().map(|chunk| (chunk.segment().to_owned(), rows)));
            }
        }
        // With the leftovers of a deleted namesake beside it, no table alone is the truth.
        let Some(((table, rows), true)) = tables.pop().map(|only| (only, tables.is_empty())) else { return Ok(None) };
        Ok(Expected::of(scope, stream, table, &rows))
    }

    /// True if any metadata table of a stream tells that its creation had come to its end, or cannot be read.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn is_created(&self, scope: &str, stream: &str, listing: &Listing, tier2: &dyn Tier2) -> Result<bool> {
        for chunks in of_each_segment(&self.tables_of(scope, stream, listing)) {
            let state = whole_rows(chunks, tier2)?.map(|rows| stream_state(&rows));
            if !matches!(state, Some(None | Some(StreamState::Unknown | StreamState::Creating))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The chunks of all metadata tables of a stream, by key.
    fn tables_of(&self, scope: &str, stream: &str, listing: &Listing) -> Vec<ChunkObject> {
        let hash = hash_of(scope, stream);
        let first = self.places.partition_point(|(other, _)| *other < hash);
        let mut containers: Vec<_> = self.places[first..]
            .iter()
            .take_while(|(other, _)| *other == hash)
            .map(|(_, container)| *container)
            .collect();
        containers.dedup();
        let prefix = stream_table(scope, stream, "metadata", "");
        let listed = containers.into_iter().filter_map(|container| listing.containers.get(container as usize));
        let chunks = listed.flat_map(|listed| listed.chunks_below(&prefix));
        chunks.filter(|chunk| stream_of(chunk) == Some((scope, stream))).collect()
    }

    /// Segments of a container that must exist by the word of the controller, as far as there may be doubts.
    pub(crate) fn named_in(&self, container: ContainerId) -> impl Iterator<Item = (&str, Named)> {
        self.named.get(&container).into_iter().flatten().map(|(name, named)| (&**name, *named))
    }

    /// True for a metadata table with objects that does not tell what it is the table of: not how it was made, or not that this had come to
    /// its end. Of streams not all are known, of key-value tables all are.
    pub(crate) fn is_unfinished(&self, metadata_table: &str) -> bool {
        self.unfinished.contains(metadata_table)
    }

    /// Metadata tables of streams that wait for the end of a commit.
    pub(crate) fn held_up(&self) -> &HashSet<Box<str>> {
        &self.held_up
    }

    /// True if a stream or key-value table of this name has a metadata table with objects.
    pub(crate) fn have_table_of(&self, scope: &str, stream: &str) -> bool {
        let hash = hash_of(scope, stream);
        self.places.binary_search_by_key(&hash, |(other, _)| *other).is_ok()
    }

    /// True if the controller knows of any truncation.
    pub(crate) fn tell_of_truncations(&self) -> bool {
        !self.truncated.is_empty()
    }

    /// True for a segment that came before all of those in which its stream begins by the word of the controller, which deletes it then.
    ///
    /// Segments of a stream are numbered as they are made, and at any time cover all routing keys. So one that has a lower number than all of
    /// those in which the stream begins was replaced by some of them, or by others that came before them.
    pub(crate) fn are_past(&self, segment: &str) -> bool {
        let stream = segment.rsplit_once('/').and_then(|(stream, _)| self.first_segments.get(stream));
        let id = StreamSegment::parse(segment).and_then(|segment| segment.id());
        stream.zip(id).is_some_and(|(first, id)| id < *first)
    }

    /// The first offset of a segment that may be read, if the controller had truncated its stream there.
    pub fn truncated_at(&self, segment: &str) -> Option<u64> {
        self.truncated.get(segment).copied()
    }
}

/// What the controller goes on doing with the segments of a stream.
#[derive(Debug)]
pub(crate) struct Expected {
    /// The metadata table that tells it.
    pub(crate) table: String,
    epoch: u32,
    /// Segments of the present epoch that are open by the word of the controller.
    open: Vec<String>,
    is_scaling: bool,
    is_sealing: bool,
    /// False if the first thing that it does is to seal the open ones once more: they do not hinder that if they are sealed, and nobody writes
    /// to them before.
    pub(crate) is_written: bool,
}

impl Expected {
    fn of(scope: &str, stream: &str, table: String, rows: &Rows) -> Option<Self> {
        let (epoch, state) = (current_epoch(rows)?, stream_state(rows)?);
        let own = format!("{scope}/{stream}/");
        let is_open = |(name, named): &(String, Named)| name.starts_with(&own) && !named.sealed;
        let open = of_stream(scope, stream, "", rows).into_iter().filter(is_open).map(|(name, _)| name).collect();
        let (is_scaling, is_sealing) = (transition(rows).is_some(), state == StreamState::Sealing);
        let is_written = !is_sealing && !is_scaling_only(rows);
        (state != StreamState::Sealed).then_some(Self { table, epoch, open, is_scaling, is_sealing, is_written })
    }

    /// True if nobody could write if this segment stayed sealed: it is one of the present epoch, or of a later one of which the controller does
    /// not know yet and which it will make by the same name.
    ///
    /// The only segment of a stream can be sealed by its writer, without the controller, if it is a byte stream. That seal stays; so
    /// what the segment holds decides unless the stream was scaled, or is being scaled.
    ///
    /// # Errors
    /// Those of `holds_events`.
    pub(crate) fn takes(&self, segment: &str, holds_events: impl FnOnce() -> Result<bool>) -> Result<bool> {
        let epoch = StreamSegment::parse(segment).and_then(|segment| segment.epoch);
        if epoch > Some(self.epoch.into()) {
            return Ok(!self.is_sealing);
        }
        if !self.is_written || !self.needs(segment) {
            return Ok(false);
        }
        if self.open.len() > 1 || self.is_scaling { Ok(true) } else { holds_events() }
    }

    /// True if nothing could be done with the stream any more without this segment.
    pub(crate) fn needs(&self, segment: &str) -> bool {
        self.open.iter().any(|open| open == segment)
    }
}

/// Scope and name, and whether it is a key-value table; a stream may have the same name.
type Owner = (String, bool);

/// A metadata table by its chunks.
struct Table {
    chunks: Vec<ChunkObject>,
    /// There are others of a stream or key-value table of this name.
    has_namesakes: bool,
}

/// Where the metadata tables of all streams are.
fn places(listing: &Listing) -> Result<Places> {
    let numbered: Vec<(ContainerId, &ListedContainer)> = (0..).zip(&listing.containers).collect();
    let of_container = |(container, listed): &(ContainerId, &ListedContainer)| {
        let tables = tables_of_streams(listed);
        let streams = of_each_segment(&tables).filter_map(|table| stream_of(table.first()?));
        Ok(streams.map(|(scope, stream)| (hash_of(scope, stream), *container)).collect::<Places>())
    };
    let mut places: Places = map_bounded(processors(), &numbered, of_container)?.into_iter().flatten().collect();
    places.sort_unstable();
    Ok(places)
}

fn hash_of(scope: &str, stream: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (scope, stream).hash(&mut hasher);
    hasher.finish()
}

/// The metadata tables that may tell of a segment.
fn telling_tables(listing: &Listing, places: &Places) -> Result<Vec<Table>> {
    let with_namesakes: HashSet<u64> =
        places.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0).collect();
    let telling = |container: &ListedContainer| {
        let tables = tables_of_streams(container);
        let tables = of_each_segment(&tables).filter_map(|table| {
            let stream = stream_key(table);
            let has_namesakes = table
                .first()
                .and_then(stream_of)
                .is_some_and(|(scope, stream)| with_namesakes.contains(&hash_of(scope, stream)));
            let is_long =
                table.iter().map(|chunk| chunk.size).sum::<u64>() > ONE_SEGMENT_BYTES_MAX + stream.len() as u64;
            // The tables of key-value tables are short, and no segment has such a name there.
            let is_telling = has_namesakes || is_long || !listing.has_objects_of(&format!("{stream}/0.#epoch.0"));
            is_telling.then(|| Table { chunks: table.to_vec(), has_namesakes })
        });
        Ok(tables.collect::<Vec<_>>())
    };
    Ok(map_bounded(processors(), &listing.containers, telling)?.into_iter().flatten().collect())
}

/// The chunks of all metadata tables of streams, by key.
fn tables_of_streams(container: &ListedContainer) -> Vec<ChunkObject> {
    let of_controller = container.chunks_below(CONTROLLER_TABLES_PREFIX);
    of_controller.filter(|chunk| stream_of(chunk).is_some()).collect()
}

/// False for an older segment of a stream that was scaled: of what has objects the storage metadata tells, unless it is very new.
fn is_worth_a_look(listing: &Listing, name: &str, named: Named) -> bool {
    !named.sealed || !listing.has_objects_of(name)
}

/// Scope and stream of a chunk of a stream's metadata table.
fn stream_of(chunk: &ChunkObject) -> Option<(&str, &str)> {
    match ControllerTable::parse(chunk.segment())? {
        ControllerTable::Stream { scope, stream, name: "metadata", .. } => Some((scope, stream)),
        _ => None,
    }
}

fn stream_key(table: &[ChunkObject]) -> String {
    let (scope, stream) = table.first().and_then(stream_of).unwrap_or_default();
    format!("{scope}/{stream}")
}

/// What one metadata table tells.
#[derive(Default)]
struct Told {
    is_key_value_table: bool,
    replaced: Vec<Box<str>>,
    truncated: Vec<(Box<str>, u64)>,
    /// Its stream, and the lowest id of the segments in which that begins; none if it was not truncated.
    first_segment: Option<(Box<str>, i64)>,
    /// With the containers that own them.
    named: Vec<(ContainerId, Box<str>, Named)>,
    /// Its name, if it does not tell the end of a creation.
    unfinished: Option<Box<str>>,
    /// Its name, if its stream waits for the end of a commit.
    held_up: Option<Box<str>>,
}

fn read_table(chunks: &[ChunkObject], listing: &Listing, tier2: &dyn Tier2) -> Result<Told> {
    let table = chunks.first().map(ChunkObject::segment).unwrap_or_default();
    let Some(ControllerTable::Stream { scope, stream, id, .. }) = ControllerTable::parse(table) else {
        return Ok(Told::default());
    };
    let rows = rows_of_segments(chunks, tier2)?;
    let name = |segment: i64| stream_segment_name(scope, stream, segment).into();
    let truncation = rows.get(TRUNCATION_KEY).and_then(|row| Truncation::decode(row).ok()).unwrap_or_default();
    let is_key_value_table = is_key_value_table(&rows);
    let named = if is_key_value_table {
        of_key_value_table(scope, stream, id, &rows)
    } else if is_in_use(&rows) {
        of_stream(scope, stream, id, &rows)
    } else {
        Vec::new()
    };
    let named = named.into_iter().filter(|(name, named)| is_worth_a_look(listing, name, *named));
    let owned =
        |(name, named): (String, Named)| (owning_container(&name, listing.container_count()), name.into(), named);
    let first_segment = truncation.cut.iter().map(|(segment, _)| *segment).min();
    Ok(Told {
        is_key_value_table,
        first_segment: first_segment.map(|first| (format!("{scope}/{stream}").into(), first)),
        replaced: replaced(&rows).into_iter().map(name).collect(),
        truncated: truncation
            .cut
            .into_iter()
            .map(|(segment, offset)| (name(segment), u64::try_from(offset).unwrap_or(0)))
            .collect(),
        named: named.map(owned).collect(),
        unfinished: is_unfinished(&rows).then(|| table.into()),
        held_up: (!is_key_value_table && is_held_up(&rows)).then(|| table.into()),
    })
}

fn is_unfinished(rows: &Rows) -> bool {
    let is_begun = matches!(creation_state(rows), Some(CreationState::Unknown | CreationState::Creating));
    !rows.contains_key(STATE_KEY) || (is_key_value_table(rows) && is_begun)
}

/// The rows that tell of segments. A truncation that cannot be read tells nothing: the one before it stands.
fn rows_of_segments(chunks: &[ChunkObject], tier2: &dyn Tier2) -> Result<Rows> {
    newest_rows(chunks, tier2, |entry| match std::str::from_utf8(entry.key) {
        Ok(TRUNCATION_KEY) => entry.value.is_some_and(|value| Truncation::decode(value).is_ok()),
        Ok(
            STATE_KEY
            | CONFIGURATION_KEY
            | CURRENT_EPOCH_KEY
            | EPOCH_TRANSITION_KEY
            | COMMITTING_TRANSACTIONS_KEY
            | WAITING_PROCESSOR_KEY,
        ) => true,
        Ok(key) => sealed_segment_of_key(key).is_some() || epoch_of_key(key).is_some(),
        Err(_) => false,
    })
}

/// True if the next thing that is done with a stream is a scale, which does not mind that the segments it replaces are sealed already.
/// Nobody writes before it came to its end, so that events keep their order.
fn is_scaling_only(rows: &Rows) -> bool {
    use StreamState::{Active, Scaling, Truncating};
    let is_free = matches!(stream_state(rows), Some(Active | Scaling | Truncating)) && !is_to_be_updated(rows);
    transition(rows).is_some() && is_free
}

/// The scale under way.
fn transition(rows: &Rows) -> Option<EpochTransition> {
    rows.get(EPOCH_TRANSITION_KEY).and_then(|row| EpochTransition::decode(row).ok()).flatten()
}

/// False for a stream that is sealed: it may have been deleted, and the objects of its table be what is left.
fn is_in_use(rows: &Rows) -> bool {
    stream_state(rows).is_some_and(|state| state != StreamState::Sealed)
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::primitives::Writer;
    use dr_formats::table::write_entry;

    use super::*;
    use crate::progress::Silent;

    const TABLE: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000001";
    const OTHER: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000002";

    /// The rows of a metadata table, behind as many bytes as a stream's other rows take.
    fn rows(rows: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_entry(b"configuration", Some(&[0; 900]), None, &mut bytes).unwrap();
        for (key, value) in rows {
            write_entry(key.as_bytes(), *value, None, &mut bytes).unwrap();
        }
        bytes
    }

    fn read(tables: &[(&str, Vec<u8>)]) -> StreamTables {
        let tier2 = MemoryTier2::new();
        for (table, bytes) in tables {
            tier2.create(&ChunkObject::for_test(table, 0, 1, 0).key, bytes).unwrap();
        }
        StreamTables::read(&Listing::take_known(&tier2, 4, &Silent).unwrap(), &tier2).unwrap()
    }

    #[test]
    fn segments_are_replaced_by_the_word_of_the_controller() {
        let table = rows(&[
            ("segmentSealedEpochPath-0", Some(&[0, 0, 0, 1])),
            ("segmentSealedEpochPath-4294967297", Some(&[0, 0, 0, 2])),
            ("segmentSealedEpochPath-2", Some(&[0, 0, 0, 1])),
            ("segmentSealedEpochPath-2", None),
        ]);
        let replaced = read(&[(TABLE, table.clone())]);
        assert!(replaced.is_replaced("scope/stream/0.#epoch.0") && replaced.is_replaced("scope/stream/1.#epoch.1"));
        for other in ["scope/stream/2.#epoch.0", "scope/stream/1.#epoch.0", "scope/other/0.#epoch.0"] {
            assert!(!replaced.is_replaced(other), "{other}");
        }
        // A namesake that was deleted had segments of the same names.
        let torn = [&table[..], &[0; 9]].concat();
        assert!(read(&[(TABLE, torn)]).is_replaced("scope/stream/0.#epoch.0"));
        assert!(!read(&[(TABLE, table.clone()), (OTHER, rows(&[]))]).is_replaced("scope/stream/0.#epoch.0"));
        // A key-value table of that name is no namesake.
        let mut configuration = Writer::new();
        configuration.write_single(|body| {
            body.utf("scope");
            body.utf("stream");
            [1, 4, 0].into_iter().for_each(|number| body.u32(number));
        });
        let mut key_value_table = Vec::new();
        write_entry(b"configuration", Some(&configuration.finish().unwrap()), None, &mut key_value_table).unwrap();
        assert!(read(&[(TABLE, table), (OTHER, key_value_table)]).is_replaced("scope/stream/0.#epoch.0"));
    }

    #[test]
    fn segments_that_a_change_of_the_configuration_will_be_told_to_are_not_replaced() {
        let is_replaced = |state: StreamState| {
            let (state, current, now) = (state.encode().unwrap(), 1_u32.to_be_bytes(), epoch(&[1 << 32 | 1]));
            let tables = read(&[(
                TABLE,
                rows(&[
                    ("state", Some(&state)),
                    ("currentEpochRecord", Some(&current)),
                    ("epochRecord-1", Some(&now)),
                    ("segmentSealedEpochPath-0", Some(&[0, 0, 0, 1])),
                    ("segmentSealedEpochPath-4294967297", Some(&[0, 0, 0, 2])),
                ]),
            )]);
            ["0.#epoch.0", "1.#epoch.1"].map(|segment| tables.is_replaced(&format!("scope/stream/{segment}")))
        };
        assert_eq!(is_replaced(StreamState::Updating), [true, false]);
        assert_eq!((is_replaced(StreamState::Active), is_replaced(StreamState::Scaling)), ([true; 2], [true; 2]));
    }

    #[test]
    fn the_newest_truncation_tells_where_streams_begin() {
        let cut = |offset: i64| {
            Truncation { cut: vec![(0, 0), (1 << 32 | 1, offset)], ..Truncation::default() }.encode().unwrap()
        };
        let (first, second) = (cut(100), cut(200));
        let table = rows(&[("truncation", Some(&first)), ("truncation", Some(&second)), ("truncation", Some(b"?"))]);
        let tables = read(&[(TABLE, table)]);
        let at = |segment: &str| tables.truncated_at(&format!("scope/stream/{segment}"));
        assert_eq!((at("0.#epoch.0"), at("1.#epoch.1"), at("1.#epoch.0")), (Some(0), Some(200), None));
    }

    /// The row of an epoch with these segments.
    fn epoch(segments: &[i64]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.u32(0);
            body.u32(0);
            body.list(segments, |body, id| {
                body.write_single(|body| {
                    body.u32((id & 0xffff_ffff).try_into().unwrap());
                    body.i64(0);
                    body.u32((id >> 32).try_into().unwrap());
                    [0, 0, 0].into_iter().for_each(|word| body.i64(word));
                });
            });
        });
        writer.finish().unwrap()
    }

    /// The row of the scale that replaces segment 1 of epoch 1, or of none.
    fn transition(is_under_way: bool) -> Vec<u8> {
        let none = [&[0, 0, 1, 0, 0, 0, 0, 14, 0x80, 0, 0, 0, 0x80][..], &[0; 7], &[0, 0]].concat();
        let scale = [
            &[0, 0, 1, 0, 0, 0, 0, 47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 1][..],
            &[0; 8],
            &[1, 0, 0, 0, 1, 0, 0, 0, 1, 1],
            &[0; 8],
            &[0x3f, 0xe0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let row = if is_under_way { scale } else { none };
        assert_eq!(EpochTransition::decode(&row).unwrap().is_some(), is_under_way);
        row
    }

    #[test]
    fn the_controller_goes_on_writing_to_segments_of_the_present_epoch_and_of_later_ones_it_does_not_know() {
        use StreamState::{Active, Scaling, Sealed, Sealing, Updating};
        let two = &[1 << 32 | 1, 1 << 32 | 2][..];
        let expected = |state: StreamState, is_scaling: bool, segments: &[i64], others: &[(&str, Vec<u8>)]| {
            let (state, now) = (state.encode().unwrap(), epoch(segments));
            let (transition, current) = (transition(is_scaling), 1_u32.to_be_bytes());
            let table = rows(&[
                ("state", Some(&state)),
                ("currentEpochRecord", Some(&current)),
                ("epochRecord-0", Some(&epoch(&[0]))),
                ("epochRecord-1", Some(&now)),
                ("segmentSealedEpochPath-0", Some(&[0, 0, 0, 1])),
                ("epochTransition", Some(&transition)),
            ]);
            let tier2 = MemoryTier2::new();
            for (name, bytes) in others.iter().chain([&(TABLE, table)]) {
                tier2.create(&ChunkObject::for_test(name, 0, 1, 0).key, bytes).unwrap();
            }
            let listing = Listing::take_known(&tier2, 4, &Silent).unwrap();
            let tables = StreamTables::read(&listing, &tier2).unwrap();
            tables.expected("scope", "stream", &listing, &tier2).unwrap()
        };
        let taken = |expected: Option<Expected>, holds_events: bool| {
            ["0.#epoch.0", "1.#epoch.1", "2.#epoch.1", "4.#epoch.2"].map(|segment| {
                let segment = format!("scope/stream/{segment}");
                expected.as_ref().is_some_and(|expected| expected.takes(&segment, || Ok(holds_events)).unwrap())
            })
        };
        let (open, none) = ([false, true, true, true], [false; 4]);
        for told in [expected(Active, false, two, &[]), expected(Updating, true, two, &[])] {
            assert_eq!(taken(told, false), open);
        }
        // It may be a byte stream that its writer has sealed; a scale would not be under way then.
        assert_eq!(taken(expected(Active, false, &two[..1], &[]), false), [false, false, false, true]);
        for (is_scaling, holds_events) in [(true, false), (false, true)] {
            let told = expected(Updating, is_scaling, &two[..1], &[]);
            assert_eq!(taken(told, holds_events), [false, true, false, true]);
        }
        // What is sealed stays so; a scale that can go on is not hindered, but what it makes had been scaled itself.
        for (state, is_scaling) in [(Sealed, false), (Sealing, false), (Sealing, true)] {
            assert_eq!(taken(expected(state, is_scaling, two, &[]), true), none, "{state:?}");
        }
        for state in [Active, Scaling] {
            assert_eq!(taken(expected(state, true, two, &[]), true), [false, false, false, true], "{state:?}");
        }
        assert_eq!(taken(expected(Active, false, two, &[(OTHER, rows(&[]))]), true), none);
        // What will be sealed once more must be there for it.
        for (state, is_scaling, is_written) in [(Active, false, true), (Scaling, true, false), (Sealing, false, false)]
        {
            let told = expected(state, is_scaling, two, &[]).unwrap();
            let needed = ["0.#epoch.0", "1.#epoch.1", "2.#epoch.1", "4.#epoch.2"];
            let needed = needed.map(|segment| told.needs(&format!("scope/stream/{segment}")));
            assert_eq!((needed, told.is_written), ([false, true, true, false], is_written), "{state:?}");
            assert_eq!(told.table, TABLE);
        }
        assert!(expected(Sealed, false, two, &[]).is_none());
    }
}

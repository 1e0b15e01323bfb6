//! Reader groups that nobody can use any more. See design note 004.
//!
//! A controller writes name and id of a group into the table of its scope, then makes a table for the group and a stream for its state. Each of
//! these reaches Tier-2 with another container. Where the group counts as made and its stream does not, whoever creates it is told that it is
//! there, and everything else fails on that stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_formats::controller::{CreationState, decode_table_id};
use dr_formats::names::{
    CONTROLLER_TABLES_PREFIX, ControllerTable, READER_GROUP_PREFIX, SYSTEM_SCOPE, StreamSegment, reader_group_table,
};
use dr_formats::primitives::Uuid;

use crate::error::Result;
use crate::listing::{ChunkObject, ListedContainer, Listing, of_each_segment};
use crate::named_segments::{creation_state, newest_rows, whole_rows};
use crate::pool::{PARALLEL_READS, map_bounded, processors};
use crate::survey::Survey;

/// The table of a scope with the names of its reader groups and their ids.
pub(crate) const TABLE_OF_GROUPS: &str = "readerGroupsInScope";

/// The stream of the requests for reader groups, as of those for streams (`ControllerEventProcessorConfigImpl`).
const REQUEST_STREAM: &str = "_requeststream";

/// The groups that nobody can use, by scope.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnusableGroups(BTreeMap<String, BTreeSet<String>>);

impl UnusableGroups {
    /// Those of a scope, by name.
    pub(crate) fn in_scope(&self, scope: &str) -> impl Iterator<Item = &str> {
        self.0.get(scope).into_iter().flatten().map(String::as_str)
    }

    /// True for the state of such a group.
    pub(crate) fn have_state(&self, segment: &str) -> bool {
        let Some(StreamSegment { scope, stream, .. }) = StreamSegment::parse(segment) else { return false };
        let group = stream.strip_prefix(READER_GROUP_PREFIX);
        group.is_some_and(|group| self.0.get(scope).is_some_and(|groups| groups.contains(group)))
    }
}

/// A group by the table of its scope.
struct Group {
    scope: String,
    name: String,
    id: Uuid,
}

/// How far a group was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It can be used, or nobody can tell.
    Whole,
    /// By its own table, but its stream was not.
    WithoutStream,
    /// Not, or not yet.
    Not,
}

impl Survey {
    /// The reader groups of applications that nobody can use.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn unusable_groups(&self) -> Result<Arc<UnusableGroups>> {
        self.unusable_groups_cache().get(|| self.find_unusable_groups())
    }

    fn find_unusable_groups(&self) -> Result<UnusableGroups> {
        let groups = groups(self.listing(), self.tier2())?;
        let made = map_bounded(PARALLEL_READS, &groups, |group| self.made(group))?;
        let is =
            |wanted: Made| groups.iter().zip(&made).filter(move |(_, made)| **made == wanted).map(|(group, _)| group);
        let requested = self.requested(REQUEST_STREAM, &is(Made::Not).map(|group| group.id).collect())?;
        let not_requested = is(Made::Not).filter(|group| !requested.contains(&group.id));
        let mut unusable = UnusableGroups::default();
        for Group { scope, name, .. } in is(Made::WithoutStream).chain(not_requested) {
            unusable.0.entry(scope.clone()).or_default().insert(name.clone());
        }
        Ok(unusable)
    }

    fn made(&self, Group { scope, name, id }: &Group) -> Result<Made> {
        let table = reader_group_table(scope, name, &id.to_string());
        let chunks: Vec<ChunkObject> = self.listing().chunks_of(&table).collect();
        // What damage hides cannot be told from what was not written.
        let Some(rows) = whole_rows(&chunks, self.tier2())? else { return Ok(Made::Whole) };
        if matches!(creation_state(&rows), None | Some(CreationState::Unknown | CreationState::Creating)) {
            return Ok(Made::Not);
        }
        let stream = format!("{READER_GROUP_PREFIX}{name}");
        let has_stream = self.stream_tables().is_created(scope, &stream, self.listing(), self.tier2())?;
        Ok(if has_stream { Made::Whole } else { Made::WithoutStream })
    }
}

/// The groups of all scopes of applications.
fn groups(listing: &Listing, tier2: &dyn Tier2) -> Result<Vec<Group>> {
    let of_container = |container: &ListedContainer| {
        let tables = container.chunks_below(CONTROLLER_TABLES_PREFIX);
        Ok(tables.filter(|chunk| scope_of_groups(chunk.segment()).is_some()).collect::<Vec<_>>())
    };
    let mut groups = Vec::new();
    for chunks in map_bounded(processors(), &listing.containers, of_container)? {
        for table in of_each_segment(&chunks) {
            let Some(scope) = table.first().and_then(|chunk| scope_of_groups(chunk.segment())) else { continue };
            for (name, row) in newest_rows(table, tier2, |_| true)? {
                let group = decode_table_id(&row).ok().map(|id| Group { scope: scope.to_owned(), name, id });
                groups.extend(group);
            }
        }
    }
    Ok(groups)
}

/// The scope whose reader groups a table names; none for that of the controllers, which makes its groups anew.
fn scope_of_groups(table: &str) -> Option<&str> {
    match ControllerTable::parse(table)? {
        ControllerTable::Scope { scope, name: TABLE_OF_GROUPS, .. } if scope != SYSTEM_SCOPE => Some(scope),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::controller::{STATE_KEY, StreamState};
    use dr_formats::names::stream_table;
    use dr_formats::primitives::Writer;
    use dr_formats::table::write_entry;

    use super::*;
    use crate::progress::Silent;
    use crate::survey::SurveyOptions;

    const ID_OF_STREAM: &str = "00000000-0000-0000-0000-000000000001";

    fn id(number: i64) -> Uuid {
        Uuid::from_halves(0x0123_4567_89ab_cdef, number)
    }

    fn table(rows: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        rows.iter().for_each(|(key, value)| write_entry(key.as_bytes(), Some(value), None, &mut bytes).unwrap());
        bytes
    }

    /// The table of group `number` in a state (`ReaderGroupState`), or in none yet.
    fn group(number: i64, state: Option<u32>) -> (String, Vec<u8>) {
        let state = state.map(|state| {
            let mut writer = Writer::new();
            writer.write_single(|body| body.compact_int(state));
            writer.finish().unwrap()
        });
        let rows: Vec<(&str, &[u8])> = state.iter().map(|state| (STATE_KEY, &**state)).collect();
        let rows = [&[("creationTime", &[0; 8][..])], &rows[..]].concat();
        (reader_group_table("scope", &format!("g{number}"), &id(number).to_string()), table(&rows))
    }

    /// The table of the stream of that group.
    fn stream(number: i64, state: Option<StreamState>) -> (String, Vec<u8>) {
        let state = state.map(|state| state.encode().unwrap());
        let rows: Vec<(&str, &[u8])> = state.iter().map(|state| (STATE_KEY, &**state)).collect();
        let rows = [&[("creationTime", &[0; 8][..])], &rows[..]].concat();
        (stream_table("scope", &format!("_RGg{number}"), "metadata", ID_OF_STREAM), table(&rows))
    }

    #[test]
    fn a_group_is_unusable_if_it_or_its_stream_was_not_made_to_the_end() {
        const ACTIVE: Option<u32> = Some(3);
        let groups: Vec<(String, Uuid)> = (1..=9).map(|number| (format!("g{number}"), id(number))).collect();
        let names: Vec<(&str, &[u8])> = groups.iter().map(|(name, id)| (&**name, &id.0[..])).collect();
        let scope = "_system/_tables/scope/readerGroupsInScope.#.00000000-0000-0000-0000-000000000099";
        let torn = (group(7, ACTIVE).0, vec![0xff; 40]);
        let objects = [
            (scope.to_owned(), table(&names)),
            // Nobody creates a group of the controllers by a request.
            (scope.replace("/scope/", "/_system/"), table(&[("other", &id(1).0)])),
            ("_system/containers/metadata_0".to_owned(), Vec::new()),
            group(1, ACTIVE),
            stream(1, Some(StreamState::Active)),
            group(2, ACTIVE),
            stream(2, None),
            group(3, ACTIVE),
            stream(3, Some(StreamState::Creating)),
            // The stream of 4 is not there.
            group(4, ACTIVE),
            group(5, Some(1)),
            stream(5, Some(StreamState::Active)),
            // Of 6 there is nothing, of 8 the request.
            torn,
            ("_system/_requeststream/2.#epoch.0".to_owned(), [&[7; 33][..], &id(8).0, &[7; 5]].concat()),
            group(9, None),
        ];
        let tier2 = MemoryTier2::new();
        for (segment, content) in &objects {
            tier2.create(&ChunkObject::for_test(segment, 0, 1, 0).key, content).unwrap();
        }
        let survey = Survey::look(Arc::new(tier2), SurveyOptions { container_count: Some(2) }, &Silent).unwrap();
        let unusable = survey.unusable_groups().unwrap();
        assert_eq!(unusable.in_scope("scope").collect::<Vec<_>>(), ["g2", "g3", "g4", "g5", "g6", "g9"]);
        assert_eq!(unusable.in_scope("_system").count(), 0);
        let have_state =
            ["scope/_RGg2/0.#epoch.0", "scope/_RGg1/0.#epoch.0", "scope/g2/0.#epoch.0", "other/_RGg2/0.#epoch.0"]
                .map(|segment| unusable.have_state(segment));
        assert_eq!(have_state, [true, false, false, false]);
    }
}

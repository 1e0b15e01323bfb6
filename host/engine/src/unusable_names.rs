//! Names of key-value tables and reader groups that nobody can use any more. See design note 004.
//!
//! Of a key-value table a controller writes the name into the table of its scope, puts the request into a stream, and makes the table from there. Each
//! of these reaches Tier-2 with another container. Where the name is left alone, every later request to create the table bears a new id and is
//! passed over, since the name has the old one, and none to delete it is accepted: whoever creates the table waits for ever.

use std::collections::HashSet;

use dr_backends::tier2::Tier2;
use dr_formats::controller::decode_table_id;
use dr_formats::names::{ControllerTable, SYSTEM_SCOPE, owning_container, stream_table};
use dr_formats::primitives::Uuid;
use dr_formats::table::write_entry;

use crate::chain::Chain;
use crate::contract::ContainerId;
use crate::error::Result;
use crate::image::unencodable;
use crate::listing::ChunkObject;
use crate::named_segments::newest_rows_before;
use crate::survey::Survey;
use crate::unusable_groups::TABLE_OF_GROUPS;

/// The table of a scope with the names of its key-value tables and their ids.
const TABLE_OF_NAMES: &str = "kvTablesInScope";

/// The stream of the requests for key-value tables (`ControllerEventProcessorConfigImpl`).
const REQUEST_STREAM: &str = "_kvTableStream";

/// Bytes of the request stream that are looked at together.
const BLOCK_BYTES: u64 = 1 << 20;

/// A name that nobody can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnusableName {
    /// `<scope>/<table>` of a key-value table.
    KeyValueTable(String),
    /// `<scope>/<group>` of a reader group.
    ReaderGroup(String),
}

/// Names to be taken out of one table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnusableNames {
    /// Table entries that remove them.
    pub(crate) removals: Vec<u8>,
    /// Each of them.
    pub(crate) names: Vec<UnusableName>,
}

impl UnusableNames {
    fn add(&mut self, table: &str, name: &str, unusable: UnusableName) -> Result<()> {
        write_entry(name.as_bytes(), None, None, &mut self.removals).map_err(|error| unencodable(table, error))?;
        self.names.push(unusable);
        Ok(())
    }
}

/// True for the tables with the key-value tables and the reader groups of a scope.
pub(crate) fn is_table_of_names(segment: &str) -> bool {
    matches!(
        ControllerTable::parse(segment),
        Some(ControllerTable::Scope { name: TABLE_OF_NAMES | TABLE_OF_GROUPS, .. })
    )
}

impl Survey {
    /// The names in a [table of names](is_table_of_names) that nobody can use; none in any other table. `is_log_whole` tells the containers
    /// that go on with their old logs, which can hold more of a table than Tier-2 does.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn unusable_names(
        &self,
        table: &str,
        chain: &Chain,
        end: u64,
        is_log_whole: impl Fn(ContainerId) -> bool,
    ) -> Result<UnusableNames> {
        match ControllerTable::parse(table) {
            Some(ControllerTable::Scope { scope, name: TABLE_OF_NAMES, .. }) => {
                self.unusable_key_value_tables(scope, table, chain, end, is_log_whole)
            }
            Some(ControllerTable::Scope { scope, name: TABLE_OF_GROUPS, .. }) if !self.has_newer_log() => {
                let mut found = UnusableNames::default();
                for group in self.unusable_groups()?.in_scope(scope) {
                    found.add(table, group, UnusableName::ReaderGroup(format!("{scope}/{group}")))?;
                }
                Ok(found)
            }
            _ => Ok(UnusableNames::default()),
        }
    }

    fn unusable_key_value_tables(
        &self,
        scope: &str,
        table: &str,
        chain: &Chain,
        end: u64,
        is_log_whole: impl Fn(ContainerId) -> bool,
    ) -> Result<UnusableNames> {
        let mut unusable = Vec::new();
        for (name, row) in newest_rows_before(chain, end, self.tier2(), |_| true)? {
            let Ok(id) = decode_table_id(&row) else { continue };
            let metadata = stream_table(scope, &name, "metadata", &id.to_string());
            if !is_log_whole(owning_container(&metadata, self.container_count())) && self.is_without_end(&metadata) {
                unusable.push((name, id));
            }
        }
        let requested = self.requested(REQUEST_STREAM, &unusable.iter().map(|(_, id)| *id).collect())?;
        let mut found = UnusableNames::default();
        for (name, _) in unusable.iter().filter(|(_, id)| !requested.contains(id)) {
            found.add(table, name, UnusableName::KeyValueTable(format!("{scope}/{name}")))?;
        }
        Ok(found)
    }

    /// True if a metadata table does not tell that a creation had come to its end.
    fn is_without_end(&self, metadata_table: &str) -> bool {
        !self.listing().has_objects_of(metadata_table) || self.stream_tables().is_unfinished(metadata_table)
    }

    /// Those of the ids that a request in this stream of the controllers names: they begin such a stream anew, and make the table or group then.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn requested(&self, stream: &str, ids: &HashSet<Uuid>) -> Result<HashSet<Uuid>> {
        let mut requested = HashSet::new();
        if ids.is_empty() {
            return Ok(requested);
        }
        let stream = format!("{SYSTEM_SCOPE}/{stream}/");
        for chunk in self.listing().containers.iter().flat_map(|listed| listed.chunks_below(&stream)) {
            see_ids(self.tier2(), &chunk, &mut |id| {
                if ids.contains(&id) {
                    requested.insert(id);
                }
            })?;
        }
        Ok(requested)
    }
}

/// Shows all 16 bytes in a row of an object: an id stands somewhere in a request, and no others are equal to one.
fn see_ids(tier2: &dyn Tier2, chunk: &ChunkObject, see: &mut dyn FnMut(Uuid)) -> Result<()> {
    let mut buffer = vec![0; usize::try_from(chunk.size.min(BLOCK_BYTES)).unwrap_or(0)];
    let mut offset = 0;
    loop {
        let read = tier2.read_at(&chunk.key, offset, &mut buffer)?;
        buffer[..read].array_windows::<16>().for_each(|id| see(Uuid(*id)));
        if read < buffer.len() || read < 16 {
            return Ok(());
        }
        // An id can lie in two blocks.
        offset += read as u64 - 15;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dr_backends::tier2::MemoryTier2;
    use dr_formats::controller::{CONFIGURATION_KEY, STATE_KEY};
    use dr_formats::primitives::Writer;
    use dr_formats::table::TableEntries;

    use super::*;
    use crate::chain::chain_by_names;
    use crate::progress::Silent;
    use crate::survey::SurveyOptions;

    const NAMES: &str = "_system/_tables/scope/kvTablesInScope.#.00000000-0000-0000-0000-000000000099";
    const REQUESTS: &str = "_system/_kvTableStream/3.#epoch.0";

    fn id(number: i64) -> Uuid {
        Uuid::from_halves(0x0123_4567_89ab_cdef, number)
    }

    fn table(rows: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        rows.iter().for_each(|(key, value)| write_entry(key.as_bytes(), *value, None, &mut bytes).unwrap());
        bytes
    }

    fn configuration() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.utf("scope");
            body.utf("name");
            [1, 4, 0].into_iter().for_each(|number| body.u32(number));
        });
        writer.finish().unwrap()
    }

    /// The metadata table of a key-value table, as far as it was written.
    fn metadata(number: i64, rows: &[(&str, Option<&[u8]>)]) -> (String, Vec<u8>) {
        (stream_table("scope", &format!("t{number}"), "metadata", &id(number).to_string()), table(rows))
    }

    /// What is taken out of a scope with the tables `t1` to `t7`, of which the last one was deleted.
    fn found(objects: &[(String, Vec<u8>)], is_log_whole: bool) -> (Vec<String>, Vec<(String, bool)>) {
        let tier2 = MemoryTier2::new();
        let names: Vec<(String, Uuid)> = (1..=7).map(|number| (format!("t{number}"), id(number))).collect();
        let mut rows: Vec<(&str, Option<&[u8]>)> = names.iter().map(|(name, id)| (&**name, Some(&id.0[..]))).collect();
        rows.push(("t7", None));
        let names = (NAMES.to_owned(), table(&rows));
        let container = ("_system/containers/metadata_0".to_owned(), Vec::new());
        for (segment, content) in objects.iter().chain([&names, &container]) {
            tier2.create(&ChunkObject::for_test(segment, 0, 1, 0).key, content).unwrap();
        }
        let survey = Survey::look(Arc::new(tier2), SurveyOptions { container_count: Some(2) }, &Silent).unwrap();
        let of_container = survey.listing().containers.iter().flat_map(|listed| listed.chunks_below(NAMES));
        let chunks: Vec<ChunkObject> = of_container.collect();
        let chain = chain_by_names(&chunks.iter().collect::<Vec<_>>());
        let found = survey.unusable_names(NAMES, &chain, chain.end(), |_| is_log_whole).unwrap();
        let removals = TableEntries::new(&found.removals, 0).map(|entry| entry.unwrap());
        let removals = removals.map(|entry| (String::from_utf8(entry.key.to_vec()).unwrap(), entry.value.is_none()));
        let name = |name| match name {
            UnusableName::KeyValueTable(name) => name,
            UnusableName::ReaderGroup(name) => panic!("{name}"),
        };
        (found.names.into_iter().map(name).collect(), removals.collect())
    }

    #[test]
    fn a_name_is_taken_out_if_nothing_tells_the_end_of_its_creation() {
        let configuration = configuration();
        let known = (CONFIGURATION_KEY, Some(&*configuration));
        // `KVTStateRecord` with one number.
        let state = |number: u8| {
            let mut writer = Writer::new();
            writer.write_single(|body| body.compact_int(number.into()));
            writer.finish().unwrap()
        };
        let [creating, deleting, active] = [1, 2, 3].map(state);
        let objects = [
            metadata(1, &[known, (STATE_KEY, Some(&creating)), (STATE_KEY, Some(&active))]),
            metadata(2, &[known, (STATE_KEY, Some(&creating))]),
            metadata(3, &[known]),
            metadata(4, &[known, (STATE_KEY, Some(&deleting))]),
            metadata(5, &[known, (STATE_KEY, Some(b"?"))]),
            // Of `t6` there is nothing.
        ];
        let (names, removals) = found(&objects, false);
        assert_eq!(names, ["scope/t2", "scope/t3", "scope/t6"]);
        assert_eq!(removals, ["t2", "t3", "t6"].map(|name| (name.to_owned(), true)));
        assert_eq!(found(&objects, true), (vec![], vec![]));
    }

    #[test]
    fn a_name_that_a_request_is_left_of_stays_wherever_the_request_lies() {
        let block = usize::try_from(BLOCK_BYTES).unwrap();
        for offset in [0, 70, block - 16, block - 8, block - 1, block, 2 * block - 30] {
            let mut requests = vec![0; 2 * block + 5];
            requests[offset..offset + 16].copy_from_slice(&id(2).0);
            let left: Vec<String> = [1, 3, 4, 5, 6].map(|number| format!("scope/t{number}")).to_vec();
            assert_eq!(found(&[(REQUESTS.to_owned(), requests)], false).0, left, "{offset}");
        }
    }
}

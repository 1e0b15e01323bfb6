//! Streams whose segments begin behind what the controller says. See design note 004.
//!
//! A controller writes down where a stream is to begin, then truncates the segments. Its row reaches Tier-2 with another container than
//! they, so that a crash can leave the deed without the word. Readers in groups are told of it and go on; whoever reads a segment from where the
//! controller says that it begins is refused, whatever is left of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_formats::controller::{CONFIGURATION_KEY, TRUNCATION_KEY, Truncation};
use dr_formats::names::{ControllerTable, StreamSegment};
use dr_formats::table::write_entry;

use crate::chain::Chain;
use crate::contract::ContainerId;
use crate::error::Result;
use crate::image::unencodable;
use crate::named_segments::{Rows, is_key_value_table, newest_rows_before};
use crate::pool::{map_bounded, processors};
use crate::survey::Survey;

/// Key of the first epoch of a stream in its table `metadata`.
const FIRST_EPOCH_KEY: &str = "epochRecord-0";

/// Segments that begin behind what the controller says of them, with their first offsets, by stream: `<scope>/<stream>`.
#[derive(Debug, Default)]
pub(crate) struct TruncatedFurther(BTreeMap<Box<str>, Vec<(i64, u64)>>);

/// A stream that begins later than its table says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RaisedHead {
    /// `<scope>/<stream>`.
    pub(crate) stream: String,
    /// A table entry that says so.
    pub(crate) entry: Vec<u8>,
}

impl TruncatedFurther {
    fn add(&mut self, segment: &str, begin: u64) {
        let Some(parsed) = StreamSegment::parse(segment) else { return };
        if let (Some(id), Some((stream, _))) = (parsed.id(), segment.rsplit_once('/')) {
            self.0.entry(stream.into()).or_default().push((id, begin));
        }
    }

    /// What a metadata table is to say of the beginning of its stream; none if that is what it says, as for nearly all.
    ///
    /// Only offsets are raised. Where a segment of the beginning was deleted, nothing tells at which offsets its successors begin.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn raised_head(
        &self,
        table: &str,
        chain: &Chain,
        end: u64,
        tier2: &dyn Tier2,
    ) -> Result<Option<RaisedHead>> {
        let Some(ControllerTable::Stream { scope, stream, name: "metadata", .. }) = ControllerTable::parse(table)
        else {
            return Ok(None);
        };
        let stream = format!("{scope}/{stream}");
        let Some(begins) = self.0.get(&*stream) else { return Ok(None) };
        let is_wanted =
            |key: &[u8]| [TRUNCATION_KEY, FIRST_EPOCH_KEY, CONFIGURATION_KEY].map(str::as_bytes).contains(&key);
        let rows = newest_rows_before(chain, end, tier2, |entry| is_wanted(entry.key))?;
        let Some(before) = beginning(&rows) else { return Ok(None) };
        let after = raised(&before, begins);
        if after == before {
            return Ok(None);
        }
        let row = after.encode().map_err(|error| unencodable(table, error))?;
        let mut entry = Vec::new();
        write_entry(TRUNCATION_KEY.as_bytes(), Some(&row), None, &mut entry)
            .map_err(|error| unencodable(table, error))?;
        Ok(Some(RaisedHead { stream, entry }))
    }
}

/// Where a stream begins by the rows of its table; none if they do not tell, or if they are those of a key-value table.
fn beginning(rows: &Rows) -> Option<Truncation> {
    let truncation = Truncation::decode(rows.get(TRUNCATION_KEY)?).ok().filter(|_| !is_key_value_table(rows))?;
    if truncation.cut.is_empty() {
        Truncation::of_first_epoch(rows.get(FIRST_EPOCH_KEY)?).ok()
    } else {
        Some(truncation)
    }
}

/// The same beginning, in no segment before its first offset.
fn raised(before: &Truncation, begins: &[(i64, u64)]) -> Truncation {
    let mut after = before.clone();
    for (segment, offset) in &mut after.cut {
        let begin = begins.iter().find(|(id, _)| id == segment).map_or(0, |(_, begin)| *begin);
        after.size_till = after.size_till.saturating_add(begin.saturating_sub(*offset));
        *offset = begin.max(*offset);
    }
    after
}

impl Survey {
    /// Segments of all containers that begin behind what the controller says of them.
    ///
    /// Containers are read for it that nobody may have read before; so where the controller's tables know of no truncation at all, none is
    /// looked for.
    ///
    /// # Errors
    /// Never; a container that cannot be read says nothing here, its own task says why.
    pub(crate) fn truncated_further(&self) -> Result<Arc<TruncatedFurther>> {
        self.truncated_further_cache().get(|| {
            let mut all = TruncatedFurther::default();
            if self.stream_tables().tell_of_truncations() {
                let containers: Vec<ContainerId> = (0..self.container_count()).collect();
                for told in map_bounded(processors(), &containers, |container| Ok(self.told_by(*container)))? {
                    told.truncated_further.iter().for_each(|(segment, begin)| all.add(segment, *begin));
                }
            }
            Ok(all)
        })
    }
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::primitives::Writer;
    use dr_formats::table::TableEntries;

    use super::*;
    use crate::chain::chain_by_names;
    use crate::listing::ChunkObject;

    const TABLE: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000001";

    /// The row of a first epoch with segments 0 and 1.
    fn first_epoch() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.i32(0);
            body.i32(0);
            body.list(&[0, 1], |body, number| {
                body.write_single(|body| {
                    body.u32(*number);
                    body.i64(0);
                    body.u32(0);
                    body.bytes(&[0; 16]);
                });
            });
            body.i64(0);
        });
        writer.finish().unwrap()
    }

    /// What the table says after its rows; segment 0 begins at 150, segment 1 at 20.
    fn said(table: &str, rows: &[(&str, &[u8])]) -> Option<Truncation> {
        let mut bytes = Vec::new();
        rows.iter().for_each(|(key, value)| write_entry(key.as_bytes(), Some(value), None, &mut bytes).unwrap());
        let tier2 = MemoryTier2::new();
        let chunk = ChunkObject::for_test(table, 0, 1, bytes.len() as u64);
        tier2.create(&chunk.key, &bytes).unwrap();
        let mut further = TruncatedFurther::default();
        for (segment, begin) in [("0.#epoch.0", 150), ("1.#epoch.0", 20), ("7.#epoch.2", 9)] {
            further.add(&format!("scope/stream/{segment}"), begin);
        }
        let chain = chain_by_names(&[&chunk]);
        let head = further.raised_head(table, &chain, chain.end(), &tier2).unwrap()?;
        assert_eq!(head.stream, "scope/stream");
        let entry = TableEntries::new(&head.entry, 0).next().unwrap().unwrap();
        assert_eq!(entry.key, TRUNCATION_KEY.as_bytes());
        Some(Truncation::decode(entry.value.unwrap()).unwrap())
    }

    #[test]
    fn a_stream_begins_where_its_segments_do() {
        let epoch = first_epoch();
        let first = Truncation::of_first_epoch(&epoch).unwrap();
        let cut = |offsets: [u64; 2], size_till| Truncation {
            cut: vec![(0, offsets[0]), (1, offsets[1])],
            deleted: vec![77],
            size_till,
            is_under_way: true,
            ..first.clone()
        };
        let (old, row) = (cut([40, 10], 8).encode().unwrap(), cut([100, 50], 1_000).encode().unwrap());
        let rows: [(&str, &[u8]); 2] = [(TRUNCATION_KEY, &old), (TRUNCATION_KEY, &row)];
        assert_eq!(said(TABLE, &rows), Some(cut([150, 50], 1_050)));
        // No segment is behind.
        assert_eq!(said(TABLE, &[(TRUNCATION_KEY, &cut([150, 50], 1_050).encode().unwrap())]), None);
        // It was never truncated by the word of the controller.
        let never = Truncation::default().encode().unwrap();
        let expected = Truncation { cut: vec![(0, 150), (1, 20)], size_till: 170, ..first };
        assert_eq!(said(TABLE, &[(TRUNCATION_KEY, &never), (FIRST_EPOCH_KEY, &epoch)]), Some(expected));
    }

    #[test]
    fn what_does_not_tell_where_a_stream_begins_is_left_as_it_is() {
        let (epoch, never) = (first_epoch(), Truncation::default().encode().unwrap());
        assert_eq!(said(TABLE, &[(FIRST_EPOCH_KEY, &epoch)]), None);
        assert_eq!(said(TABLE, &[(TRUNCATION_KEY, &never)]), None);
        assert_eq!(said(TABLE, &[(TRUNCATION_KEY, b"?"), (FIRST_EPOCH_KEY, &epoch)]), None);
        let rows: [(&str, &[u8]); 2] = [(TRUNCATION_KEY, &never), (FIRST_EPOCH_KEY, &epoch)];
        for other in [TABLE.replace("metadata", "writersPositions"), TABLE.replace("stream", "other")] {
            assert_eq!(said(&other, &rows), None);
        }
    }
}

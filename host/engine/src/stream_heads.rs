//! Streams whose segments begin behind what the controller says. See design note 004.
//!
//! A controller writes down where a stream is to begin, then truncates the segments and deletes those before. Its row reaches Tier-2 with
//! another container than they, so that a crash can leave the deed without the word. Readers in groups are told of it and go on; whoever reads a
//! segment from where the controller says that it begins is refused, whatever is left of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_formats::controller::{
    EpochSegment, TRUNCATION_KEY, Truncation, decode_sealed_sizes, decode_stream_epoch, epoch_of_key, key_of_epoch,
    key_of_sealed_segment, key_of_sealed_size,
};
use dr_formats::names::{ControllerTable, StreamSegment};
use dr_formats::table::write_entry;

use crate::chain::Chain;
use crate::contract::ContainerId;
use crate::error::Result;
use crate::image::unencodable;
use crate::named_segments::{Rows, is_key_value_table, newest_rows_before};
use crate::pool::{map_bounded, processors};
use crate::survey::Survey;

/// Objects of a Tier-2 whose metadata are read a second time in a moment.
const FEW_OBJECTS: u64 = 100_000;

/// Where a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At this offset.
    At(u64),
    /// Nowhere: it was deleted.
    Deleted,
}

/// Segments that begin behind what the controller says of them, by stream: `<scope>/<stream>`.
#[derive(Debug, Default)]
pub(crate) struct TruncatedFurther(BTreeMap<Box<str>, BTreeMap<i64, Begin>>);

/// A stream that begins later than its table says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RaisedHead {
    /// `<scope>/<stream>`.
    pub(crate) stream: String,
    /// A table entry that says so.
    pub(crate) entry: Vec<u8>,
}

impl TruncatedFurther {
    /// True if every stream begins where its table says.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, segment: &str, begin: Begin) {
        let Some(parsed) = StreamSegment::parse(segment) else { return };
        if let (Some(id), Some((stream, _))) = (parsed.id(), segment.rsplit_once('/')) {
            self.0.entry(stream.into()).or_default().insert(id, begin);
        }
    }

    /// What a metadata table is to say of the beginning of its stream; none if that is what it says, as for nearly all.
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
        let rows = StreamRows(newest_rows_before(chain, end, tier2, |_| true)?);
        let Some(before) = rows.beginning() else { return Ok(None) };
        let after = rows.raised(&before, begins);
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

/// The rows of a metadata table.
struct StreamRows(Rows);

impl StreamRows {
    /// Where the stream begins; none if the rows do not tell, or if they are those of a key-value table.
    fn beginning(&self) -> Option<Truncation> {
        let truncation = Truncation::decode(self.0.get(TRUNCATION_KEY)?).ok()?;
        match (is_key_value_table(&self.0), truncation.cut.is_empty()) {
            (true, _) => None,
            (false, true) => Some(Truncation::of_first_epoch(&self.epoch(0)?)),
            (false, false) => Some(truncation),
        }
    }

    /// The same beginning, in no segment that was deleted, as far as it can be told what came after those, and in none before its first offset.
    fn raised(&self, before: &Truncation, begins: &BTreeMap<i64, Begin>) -> Truncation {
        let mut after = self.behind_deleted(before, begins).unwrap_or_else(|| before.clone());
        for (segment, offset) in &mut after.cut {
            let Some(Begin::At(begin)) = begins.get(segment) else { continue };
            let (begin, old) = (i64::try_from(*begin).unwrap_or(i64::MAX), (*offset).max(0));
            if begin > old {
                after.size_till = after.size_till.saturating_add(begin - old);
                *offset = begin;
            }
        }
        after
    }

    /// The beginning behind all segments that were deleted, as far as the rows tell what came after them. No stream begins in a segment and in what
    /// came after it: so it begins behind the predecessors of those that were deleted, too, though they are not deleted yet.
    fn behind_deleted(&self, before: &Truncation, begins: &BTreeMap<i64, Begin>) -> Option<Truncation> {
        let is_deleted = |segment: i64| begins.get(&segment) == Some(&Begin::Deleted);
        let offset = |id: i64| before.cut.iter().find(|(segment, _)| *segment == id).map_or(0, |(_, offset)| *offset);
        let mut segments: Vec<EpochSegment> = before.span.iter().map(|(segment, _)| *segment).collect();
        let is_whole = before.cut.iter().all(|(id, _)| segments.iter().any(|segment| segment.id() == *id));
        if !is_whole || !begins.values().any(|begin| *begin == Begin::Deleted) {
            return None;
        }
        let passed = self.passed(is_deleted);
        if !segments.iter().any(|segment| passed.contains(&segment.id())) {
            return None;
        }
        let mut after = before.clone();
        // Each round goes on to a later epoch.
        while let Some(segment) = segments.iter().find(|segment| passed.contains(&segment.id())).copied() {
            let successors = self.successors(segment)?;
            let is_replaced =
                |segment: &EpochSegment| successors.iter().any(|successor| successor.range.overlaps(segment.range));
            let (replaced, left): (Vec<_>, Vec<_>) = segments.into_iter().partition(is_replaced);
            for id in replaced.iter().map(EpochSegment::id) {
                let rest = self.sealed_size(id).saturating_sub(offset(id).max(0)).max(0);
                after.size_till = after.size_till.saturating_add(rest);
            }
            after.deleted.extend(replaced.iter().map(EpochSegment::id).filter(|id| is_deleted(*id)));
            segments = left.into_iter().chain(successors).collect();
        }
        after.deleted.sort_unstable();
        after.deleted.dedup();
        after.cut = segments.iter().map(|segment| (segment.id(), offset(segment.id()))).collect();
        after.span = self.span(&segments)?;
        Some(after)
    }

    /// Segments that were deleted or came before such, of which the rows tell what took their place.
    fn passed(&self, is_deleted: impl Fn(i64) -> bool) -> HashSet<i64> {
        let mut epochs: Vec<u32> = self.0.keys().filter_map(|key| epoch_of_key(key)).collect();
        epochs.sort_unstable();
        let mut passed = HashSet::new();
        for epoch in epochs.into_iter().rev() {
            // What came after a segment is of a later epoch than itself.
            for segment in self.epoch(epoch).unwrap_or_default().into_iter().filter(|segment| segment.epoch == epoch) {
                let is_passed = |id: i64| is_deleted(id) || passed.contains(&id);
                let successors = self.successors(segment);
                if successors.is_some_and(|successors| {
                    is_passed(segment.id()) || successors.iter().any(|successor| is_passed(successor.id()))
                }) {
                    passed.insert(segment.id());
                }
            }
        }
        passed
    }

    /// The segments that took the place of one, alone or with others; none if the rows do not tell.
    fn successors(&self, segment: EpochSegment) -> Option<Vec<EpochSegment>> {
        let row = self.0.get(&key_of_sealed_segment(segment.id()))?;
        let epoch = u32::from_be_bytes(row.as_ref().try_into().ok()?);
        let is_successor =
            |other: &EpochSegment| other.epoch == epoch && epoch > segment.epoch && other.range.overlaps(segment.range);
        let successors: Vec<_> = self.epoch(epoch)?.into_iter().filter(is_successor).collect();
        (!successors.is_empty()).then_some(successors)
    }

    /// Each segment of a cut with the newest epoch up to the cut's own that has it (`computeStreamCutSpanInternal`).
    fn span(&self, cut: &[EpochSegment]) -> Option<Vec<(EpochSegment, u32)>> {
        let newest = cut.iter().map(|segment| segment.epoch).max()?;
        let span = |segment: &EpochSegment| {
            let has_it = |epoch: &u32| self.epoch(*epoch).is_some_and(|segments| segments.contains(segment));
            Some((*segment, (segment.epoch..=newest).rev().find(has_it)?))
        };
        cut.iter().map(span).collect()
    }

    fn epoch(&self, epoch: u32) -> Option<Vec<EpochSegment>> {
        decode_stream_epoch(self.0.get(&key_of_epoch(epoch))?).ok()
    }

    /// Bytes of a sealed segment; 0 if the rows do not tell.
    fn sealed_size(&self, segment: i64) -> i64 {
        let sizes = self.0.get(&key_of_sealed_size(segment)).and_then(|row| decode_sealed_sizes(row).ok());
        sizes.into_iter().flatten().find(|(id, _)| *id == segment).map_or(0, |(_, size)| size)
    }
}

impl Survey {
    /// True if it is worth while to look for segments that begin behind what the controller says of them: containers are read for it that
    /// nobody may have read before. In a large cluster, of which the controller's tables know no truncation at all, that is too dear.
    pub(crate) fn truncations_are_wanted(&self) -> bool {
        let objects: u64 = self.listing().containers.iter().map(|listed| listed.count).sum();
        objects <= FEW_OBJECTS || self.stream_tables().tell_of_truncations()
    }

    /// Segments of all containers that begin behind what the controller says of them; none if they are not
    /// [wanted](Survey::truncations_are_wanted).
    ///
    /// # Errors
    /// Never; a container that cannot be read says nothing here, its own task says why.
    pub(crate) fn truncated_further(&self) -> Result<Arc<TruncatedFurther>> {
        self.truncated_further_cache().get(|| {
            let mut all = TruncatedFurther::default();
            if self.truncations_are_wanted() {
                let containers: Vec<ContainerId> = (0..self.container_count()).collect();
                let told = |&container: &ContainerId| {
                    let may_tell = self.may_tell_of_later_heads(container);
                    debug_assert!(may_tell || self.tells_of_known_heads_only(container), "first look at {container}");
                    Ok(may_tell.then(|| self.told_by(container)))
                };
                for told in map_bounded(processors(), &containers, told)?.into_iter().flatten() {
                    told.truncated_further.iter().for_each(|(segment, begin)| all.add(segment, *begin));
                }
            }
            Ok(all)
        })
    }

    /// True if a container tells of no truncation but those that the controller knows.
    fn tells_of_known_heads_only(&self, container: ContainerId) -> bool {
        let is_known =
            |(segment, begin): &(Box<str>, Begin)| *begin == Begin::Deleted && self.stream_tables().are_past(segment);
        self.told_by(container).truncated_further.iter().all(is_known)
    }
}

#[cfg(test)]
mod tests {
    use Begin::{At, Deleted};
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::controller::SegmentRange;
    use dr_formats::primitives::Writer;
    use dr_formats::table::TableEntries;

    use super::*;
    use crate::chain::chain_by_names;
    use crate::listing::ChunkObject;

    const TABLE: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000001";

    fn segment(epoch: u32, number: u32, low: f64, high: f64) -> EpochSegment {
        EpochSegment { number, created: 0, epoch, range: SegmentRange { low: low.to_bits(), high: high.to_bits() } }
    }

    /// Segments 0 and 1; then 2 and 3 for 0; then 4 for 3 and 1.
    fn segments() -> [EpochSegment; 5] {
        let [first, second] = [segment(0, 0, 0.0, 0.5), segment(0, 1, 0.5, 1.0)];
        [first, second, segment(1, 2, 0.0, 0.25), segment(1, 3, 0.25, 0.5), segment(2, 4, 0.25, 1.0)]
    }

    fn epoch(number: i32, segments: &[EpochSegment]) -> (String, Vec<u8>) {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.i32(number);
            body.i32(number);
            body.list(segments, |body, segment| segment.write(body));
            body.i64(0);
        });
        (format!("epochRecord-{number}"), writer.finish().unwrap())
    }

    /// All rows but that of the truncation.
    fn rows() -> Vec<(String, Vec<u8>)> {
        let [zero, one, two, three, four] = segments();
        let sealed =
            |segment: EpochSegment, epoch: u32| (key_of_sealed_segment(segment.id()), epoch.to_be_bytes().to_vec());
        let mut sizes = Writer::new();
        sizes.write_single(|body| {
            body.list(&[(zero, 500), (one, 90), (three, 40)], |body, (segment, size)| {
                body.i64(segment.id());
                body.i64(*size);
            });
        });
        vec![
            epoch(0, &[zero, one]),
            epoch(1, &[one, two, three]),
            epoch(2, &[two, four]),
            sealed(zero, 1),
            sealed(three, 2),
            sealed(one, 2),
            (key_of_sealed_size(0), sizes.finish().unwrap()),
        ]
    }

    /// What the table says in the end, if that is something else.
    fn said(
        table: &str,
        rows: &[(String, Vec<u8>)],
        truncation: &[u8],
        begins: &[(EpochSegment, Begin)],
    ) -> Option<Truncation> {
        let truncation = (TRUNCATION_KEY.to_owned(), truncation.to_vec());
        let mut bytes = Vec::new();
        for (key, value) in rows.iter().chain([&truncation]) {
            write_entry(key.as_bytes(), Some(value), None, &mut bytes).unwrap();
        }
        let tier2 = MemoryTier2::new();
        let chunk = ChunkObject::for_test(table, 0, 1, bytes.len() as u64);
        tier2.create(&chunk.key, &bytes).unwrap();
        let mut further = TruncatedFurther::default();
        for (segment, begin) in begins {
            further.add(&format!("scope/stream/{}.#epoch.{}", segment.number, segment.epoch), *begin);
        }
        let chain = chain_by_names(&[&chunk]);
        let head = further.raised_head(table, &chain, chain.end(), &tier2).unwrap()?;
        assert_eq!(head.stream, "scope/stream");
        let entry = TableEntries::new(&head.entry, 0).next().unwrap().unwrap();
        assert_eq!(entry.key, TRUNCATION_KEY.as_bytes());
        Some(Truncation::decode(entry.value.unwrap()).unwrap())
    }

    fn never() -> Vec<u8> {
        Truncation::default().encode().unwrap()
    }

    #[test]
    fn a_stream_begins_where_its_segments_do() {
        let [zero, one, _, _, four] = segments();
        let begins = [(zero, At(150)), (one, At(20)), (four, At(9))];
        let cut = |offsets: [i64; 2], size_till| Truncation {
            cut: vec![(zero.id(), offsets[0]), (one.id(), offsets[1])],
            span: vec![(zero, 0), (one, 0)],
            deleted: vec![77],
            to_delete: vec![78],
            size_till,
            is_under_way: true,
        };
        let row = cut([100, 50], 1_000).encode().unwrap();
        assert_eq!(said(TABLE, &rows(), &row, &begins), Some(cut([150, 50], 1_050)));
        // To one of them no reader had come.
        let row = cut([100, -1], 1_000).encode().unwrap();
        assert_eq!(said(TABLE, &rows(), &row, &begins), Some(cut([150, 20], 1_070)));
        // No segment is behind.
        assert_eq!(said(TABLE, &rows(), &cut([150, 50], 1_050).encode().unwrap(), &begins), None);
        // It was never truncated by the word of the controller.
        let expected = Truncation { deleted: vec![], to_delete: vec![], is_under_way: false, ..cut([150, 20], 170) };
        assert_eq!(said(TABLE, &rows(), &never(), &begins), Some(expected));
    }

    #[test]
    fn what_came_after_segments_that_were_deleted_takes_their_place() {
        let [zero, one, two, three, four] = segments();
        let expected = |cut: &[(EpochSegment, i64)], epoch, deleted: &[EpochSegment], size_till| Truncation {
            cut: cut.iter().map(|(segment, offset)| (segment.id(), *offset)).collect(),
            span: cut.iter().map(|(segment, _)| (*segment, epoch)).collect(),
            deleted: deleted.iter().map(EpochSegment::id).collect(),
            size_till,
            ..Truncation::default()
        };
        let after = said(TABLE, &rows(), &never(), &[(zero, Deleted), (two, At(7)), (four, At(9))]);
        assert_eq!(after, Some(expected(&[(one, 0), (two, 7), (three, 0)], 1, &[zero], 507)));
        let after = said(TABLE, &rows(), &never(), &[(zero, Deleted), (one, Deleted), (three, Deleted), (four, At(9))]);
        assert_eq!(after, Some(expected(&[(two, 0), (four, 9)], 2, &[zero, one, three], 639)));
        // 1 is only not deleted yet: whoever reads 4 has read it.
        let after = said(TABLE, &rows(), &never(), &[(zero, Deleted), (three, Deleted), (one, At(5))]);
        assert_eq!(after, Some(expected(&[(two, 0), (four, 0)], 2, &[zero, three], 630)));
        // 0 came before 3; nothing tells what came after 4, which is made anew.
        let after = said(TABLE, &rows(), &never(), &[(three, Deleted), (four, Deleted)]);
        assert_eq!(after, Some(expected(&[(two, 0), (four, 0)], 2, &[three], 630)));
        // Nothing tells what came after 0.
        for left_out in [key_of_sealed_segment(zero.id()), key_of_epoch(1)] {
            let rows: Vec<_> = rows().into_iter().filter(|(key, _)| *key != left_out).collect();
            assert_eq!(said(TABLE, &rows, &never(), &[(zero, Deleted)]), None, "{left_out}");
        }
    }

    #[test]
    fn a_stream_that_begins_behind_what_was_deleted_stays_as_it_is() {
        let [zero, one, two, three, _] = segments();
        let before = Truncation {
            cut: vec![(three.id(), 0), (two.id(), 0), (one.id(), 8)],
            span: vec![(three, 1), (one, 1), (two, 1)],
            deleted: vec![zero.id()],
            size_till: 508,
            ..Truncation::default()
        };
        assert_eq!(said(TABLE, &rows(), &before.encode().unwrap(), &[(zero, Deleted), (one, At(8))]), None);
    }

    #[test]
    fn what_does_not_tell_where_a_stream_begins_is_left_as_it_is() {
        let begins = [(segments()[0], At(150))];
        assert_eq!(said(TABLE, &rows(), b"?", &begins), None);
        assert_eq!(said(TABLE, &[], &never(), &begins), None);
        for other in [TABLE.replace("metadata", "writersPositions"), TABLE.replace("stream", "other")] {
            assert_eq!(said(&other, &rows(), &never(), &begins), None);
        }
    }
}

//! A fresh container of a declared world.

use dr_engine::contract::{
    AttributeUpdate, CallError, CallResult, ContainerId, ContainerImage, EndedTransaction, FreshContainer, NewSegment,
    RenewedGroup, Truncation,
};
use dr_engine::fresh::{FreshSegments, OldSegment, OldSegments};

use super::MockHost;
use super::world::{DeclaredContainer, Objects};

/// Open until it is closed or dropped.
pub(super) struct OpenContainer {
    host: MockHost,
    id: ContainerId,
    segments: FreshSegments,
    renewed: Vec<String>,
    are_transactions_ended: bool,
    is_closed: bool,
}

impl OpenContainer {
    /// The host has noted that it is open.
    pub(super) fn new(host: MockHost, id: ContainerId) -> Self {
        let segments = FreshSegments::default();
        Self { host, id, segments, renewed: Vec::new(), are_transactions_ended: false, is_closed: false }
    }

    fn refuse_closed(&self) -> CallResult<()> {
        if self.is_closed {
            return Err(CallError::Conflict(format!("container {} was closed", self.id)));
        }
        Ok(())
    }

    /// Objects whose content is of no use any more: of groups that begin anew, of transactions that are ended.
    fn note_objects_of_no_use(&self) -> CallResult<()> {
        let declared = self.host.container(self.id)?;
        let is_dropped = |name: &str, kind: &str, standing: &str| {
            self.are_transactions_ended
                && kind == "transaction"
                && standing == "live"
                && self.segments.get(name).is_none()
        };
        let of_no_use = declared.segments.iter().filter(|(name, declared)| {
            let segment = &declared.segment;
            self.renewed.contains(name) || is_dropped(name, &segment.kind, &segment.standing)
        });
        let objects: Objects = of_no_use.flat_map(|(_, declared)| declared.objects.clone()).collect();
        self.host.lock().of_no_use.insert(self.id, objects);
        Ok(())
    }
}

impl FreshContainer for OpenContainer {
    fn create_segments(&mut self, segments: Vec<NewSegment>) -> CallResult<()> {
        self.refuse_closed()?;
        let declared = self.host.container(self.id)?;
        self.segments.create(self.id, declared, segments)
    }

    fn update_attributes(&mut self, updates: Vec<AttributeUpdate>) -> CallResult<()> {
        self.refuse_closed()?;
        self.segments.update_attributes(updates)
    }

    fn seal_segments(&mut self, names: Vec<String>) -> CallResult<()> {
        self.refuse_closed()?;
        self.segments.seal(&names)
    }

    fn truncate_segments(&mut self, truncations: Vec<Truncation>) -> CallResult<()> {
        self.refuse_closed()?;
        self.segments.truncate(&truncations)
    }

    fn renew_reader_groups(&mut self, names: Vec<String>) -> CallResult<Vec<RenewedGroup>> {
        self.refuse_closed()?;
        let declared = self.host.container(self.id)?;
        let outcomes = self.segments.renew_reader_groups(&names, |name, _| {
            let group = declared.segments.get(name).filter(|declared| declared.segment.kind == "reader-group");
            let not_a_group = || CallError::Invalid(format!("the segment `{name}` holds no state of a reader group"));
            Ok((group.ok_or_else(not_a_group)?.renewal.clone(), None))
        })?;
        let renewed = names.into_iter().zip(&outcomes).filter(|(_, group)| group.outcome == "renewed");
        self.renewed.extend(renewed.map(|(name, _)| name));
        self.note_objects_of_no_use()?;
        Ok(outcomes)
    }

    fn end_transactions(&mut self) -> CallResult<Vec<EndedTransaction>> {
        self.refuse_closed()?;
        self.segments.end_transactions_once()?;
        self.are_transactions_ended = true;
        self.note_objects_of_no_use()?;
        let is_held = |table: &Option<String>| table.as_ref().is_none_or(|name| self.segments.get(name).is_some());
        let transactions = self.host.container(self.id)?.transactions.iter();
        Ok(transactions.filter(|transaction| is_held(&transaction.table)).map(|held| held.ended.clone()).collect())
    }

    fn close(&mut self) -> CallResult<ContainerImage> {
        self.refuse_closed()?;
        let declared = self.host.container(self.id)?;
        self.host.refuse_metadata_in_place(self.id, declared)?;
        self.is_closed = true;
        let mut state = self.host.lock();
        state.open.remove(&self.id);
        state.closed.insert(self.id);
        let segments = self.segments.iter().count() as u64;
        Ok(ContainerImage {
            segments,
            // Plausible figures: there is no log.
            operations: segments + 1,
            log_bytes: 100 * (segments + 1),
            epoch: declared.highest_epoch + 1,
            digest: "0".repeat(64),
        })
    }
}

impl Drop for OpenContainer {
    /// One that is dropped without being closed is forgotten and can be opened again.
    fn drop(&mut self) {
        if !self.is_closed {
            self.host.lock().open.remove(&self.id);
        }
    }
}

impl OldSegments for DeclaredContainer {
    fn old_segment(&self, name: &str) -> Option<OldSegment> {
        self.segments.get(name).map(|declared| OldSegment {
            start_offset: declared.segment.start_offset,
            end: declared.segment.length,
            is_table: declared.is_table(),
            is_merged: declared.is_merged(),
        })
    }

    /// Only two places are known to be between entries: the beginning, and where the whole ones end.
    fn whole_table_length(&self, name: &str, length: u64) -> CallResult<u64> {
        let ends = |declared: &super::world::DeclaredSegment| {
            let whole = declared.measure.whole_length;
            if length >= whole { whole } else { declared.segment.start_offset }
        };
        Ok(self.segments.get(name).map_or(0, ends))
    }
}

//! Interface `containers`.

use dr_engine::contract;
use wasmtime::component::Resource;

use super::{FreshContainer, Listing, MetadataListing, bytes_of};
use crate::bindings::pravega::recovery::containers::{
    AttributeUpdate, ContainerImage, CoreAttribute, EndedTransaction, Host, HostFreshContainer, HostMetadataListing,
    MetadataRow, NewSegment, RenewedGroup, Truncation,
};
use crate::state::{HostResult, State};

/// An attribute's id and value.
const ATTRIBUTE_BYTES: usize = 16;

impl Host for State {
    fn open_fresh_container(&mut self, container: u32) -> HostResult<Resource<FreshContainer>> {
        self.open("containers.open-fresh-container", |host| host.open_fresh_container(container).map(FreshContainer))
    }

    fn open_old_metadata(&mut self, container: u32) -> HostResult<Resource<MetadataListing>> {
        self.open("containers.open-old-metadata", |host| host.open_old_metadata(container).map(Listing))
    }
}

impl HostFreshContainer for State {
    fn create_segments(&mut self, fresh: Resource<FreshContainer>, segments: Vec<NewSegment>) -> HostResult<()> {
        self.check_rows(&segments)?;
        segments.iter().try_for_each(|segment| self.check_text(&segment.name))?;
        self.stage(segments.len(), bytes_of(segments.iter().map(|segment| segment.name.as_str())))?;
        let segments = segments.into_iter().map(contract::NewSegment::from).collect();
        self.with("containers.fresh-container.create-segments", &fresh, |fresh| fresh.0.create_segments(segments))
    }

    fn update_attributes(&mut self, fresh: Resource<FreshContainer>, updates: Vec<AttributeUpdate>) -> HostResult<()> {
        self.check_rows(&updates)?;
        for update in &updates {
            self.check_text(&update.segment)?;
            self.check_rows(&update.attributes)?;
        }
        let attributes: usize = updates.iter().map(|update| update.attributes.len()).sum();
        let names = bytes_of(updates.iter().map(|update| update.segment.as_str()));
        self.stage(updates.len() + attributes, names + attributes * ATTRIBUTE_BYTES)?;
        let updates = updates.into_iter().map(contract::AttributeUpdate::from).collect();
        self.with("containers.fresh-container.update-attributes", &fresh, |fresh| fresh.0.update_attributes(updates))
    }

    fn seal_segments(&mut self, fresh: Resource<FreshContainer>, names: Vec<String>) -> HostResult<()> {
        self.check_rows(&names)?;
        names.iter().try_for_each(|name| self.check_text(name))?;
        self.stage(names.len(), bytes_of(names.iter().map(String::as_str)))?;
        self.with("containers.fresh-container.seal-segments", &fresh, |fresh| fresh.0.seal_segments(names))
    }

    fn truncate_segments(&mut self, fresh: Resource<FreshContainer>, truncations: Vec<Truncation>) -> HostResult<()> {
        self.check_rows(&truncations)?;
        truncations.iter().try_for_each(|truncation| self.check_text(&truncation.segment))?;
        self.stage(truncations.len(), bytes_of(truncations.iter().map(|truncation| truncation.segment.as_str())))?;
        let truncations = truncations.into_iter().map(contract::Truncation::from).collect();
        self.with("containers.fresh-container.truncate-segments", &fresh, |fresh| {
            fresh.0.truncate_segments(truncations)
        })
    }

    fn renew_reader_groups(
        &mut self,
        fresh: Resource<FreshContainer>,
        names: Vec<String>,
    ) -> HostResult<Vec<RenewedGroup>> {
        self.check_rows(&names)?;
        names.iter().try_for_each(|name| self.check_text(name))?;
        self.stage(names.len(), bytes_of(names.iter().map(String::as_str)))?;
        let call = "containers.fresh-container.renew-reader-groups";
        let outcomes = self.with(call, &fresh, |fresh| fresh.0.renew_reader_groups(names))?;
        Ok(outcomes.into_iter().map(RenewedGroup::from).collect())
    }

    fn end_transactions(&mut self, fresh: Resource<FreshContainer>) -> HostResult<Vec<EndedTransaction>> {
        let call = "containers.fresh-container.end-transactions";
        let ended = self.with(call, &fresh, |fresh| fresh.0.end_transactions())?;
        Ok(ended.into_iter().map(EndedTransaction::from).collect())
    }

    fn close(&mut self, fresh: Resource<FreshContainer>) -> HostResult<ContainerImage> {
        let image = self.with("containers.fresh-container.close", &fresh, |fresh| fresh.0.close())?;
        Ok(image.into())
    }

    fn drop(&mut self, fresh: Resource<FreshContainer>) -> wasmtime::Result<()> {
        Self::close(self, fresh)
    }
}

impl HostMetadataListing for State {
    fn next_page(&mut self, listing: Resource<MetadataListing>, limit: u32) -> HostResult<Vec<MetadataRow>> {
        let rows = self.page_rows(limit)?;
        self.with("containers.metadata-listing.next-page", &listing, |listing| listing.page(rows))
    }

    fn drop(&mut self, listing: Resource<MetadataListing>) -> wasmtime::Result<()> {
        Self::close(self, listing)
    }
}

impl From<NewSegment> for contract::NewSegment {
    fn from(segment: NewSegment) -> Self {
        let NewSegment { name, sealed, length } = segment;
        Self { name, sealed, length }
    }
}

impl From<AttributeUpdate> for contract::AttributeUpdate {
    fn from(update: AttributeUpdate) -> Self {
        let attributes = update.attributes.into_iter();
        let attributes = attributes.map(|CoreAttribute { id, value }| contract::CoreAttribute { id, value }).collect();
        Self { segment: update.segment, attributes }
    }
}

impl From<Truncation> for contract::Truncation {
    fn from(truncation: Truncation) -> Self {
        let Truncation { segment, start_offset } = truncation;
        Self { segment, start_offset }
    }
}

impl From<contract::RenewedGroup> for RenewedGroup {
    fn from(group: contract::RenewedGroup) -> Self {
        let contract::RenewedGroup { outcome, readers, offsets_ahead, changes_ahead } = group;
        Self { outcome, readers, offsets_ahead, changes_ahead }
    }
}

impl From<contract::EndedTransaction> for EndedTransaction {
    fn from(transaction: contract::EndedTransaction) -> Self {
        let contract::EndedTransaction { id, stream, status, outcome } = transaction;
        Self { id, stream, status, outcome }
    }
}

impl From<contract::ContainerImage> for ContainerImage {
    fn from(image: contract::ContainerImage) -> Self {
        let contract::ContainerImage { segments, operations, log_bytes, epoch, digest } = image;
        Self { segments, operations, log_bytes, epoch, digest }
    }
}

impl From<contract::MetadataRow> for MetadataRow {
    fn from(row: contract::MetadataRow) -> Self {
        let contract::MetadataRow { name, start_offset, length, sealed, attributes } = row;
        let attributes = attributes.into_iter();
        let attributes = attributes.map(|contract::CoreAttribute { id, value }| CoreAttribute { id, value }).collect();
        Self { name, start_offset, length, sealed, attributes }
    }
}

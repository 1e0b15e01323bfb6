//! Interface `storage`.

use dr_engine::contract;
use wasmtime::component::Resource;

use super::{Listing, ObjectListing, SegmentListing, bytes_of};
use crate::bindings::pravega::recovery::storage::{
    Container, Host, HostObjectListing, HostSegmentListing, Measurement, Object, Segment,
};
use crate::state::{HostResult, State};

impl Host for State {
    fn containers(&mut self) -> HostResult<Vec<Container>> {
        let containers = self.call("storage.containers", |host| host.containers())?;
        Ok(containers.into_iter().map(Container::from).collect())
    }

    fn list_segments(&mut self, container: u32) -> HostResult<Resource<SegmentListing>> {
        self.open("storage.list-segments", |host| host.list_segments(container).map(Listing))
    }

    fn measure(&mut self, container: u32, names: Vec<String>) -> HostResult<Vec<Measurement>> {
        self.check_rows(&names)?;
        names.iter().try_for_each(|name| self.check_text(name))?;
        let measures = self.call("storage.measure", |host| host.measure(container, &names))?;
        Ok(measures.into_iter().map(Measurement::from).collect())
    }

    fn list_metadata_objects(&mut self, container: u32) -> HostResult<Resource<ObjectListing>> {
        self.open("storage.list-metadata-objects", |host| host.list_metadata_objects(container).map(Listing))
    }

    fn list_leftover_objects(&mut self, container: u32) -> HostResult<Resource<ObjectListing>> {
        self.open("storage.list-leftover-objects", |host| host.list_leftover_objects(container).map(Listing))
    }

    fn move_aside(&mut self, container: u32, keys: Vec<String>, place: String) -> HostResult<()> {
        self.check_rows(&keys)?;
        keys.iter().chain([&place]).try_for_each(|text| self.check_text(text))?;
        self.stage(keys.len(), place.len() + bytes_of(keys.iter().map(String::as_str)))?;
        self.call("storage.move-aside", |host| host.move_aside(container, &keys, &place))
    }
}

impl HostSegmentListing for State {
    fn next_page(&mut self, listing: Resource<SegmentListing>, limit: u32) -> HostResult<Vec<Segment>> {
        let rows = self.page_rows(limit)?;
        self.with("storage.segment-listing.next-page", &listing, |listing| listing.page(rows))
    }

    fn drop(&mut self, listing: Resource<SegmentListing>) -> wasmtime::Result<()> {
        self.close(listing)
    }
}

impl HostObjectListing for State {
    fn next_page(&mut self, listing: Resource<ObjectListing>, limit: u32) -> HostResult<Vec<Object>> {
        let rows = self.page_rows(limit)?;
        self.with("storage.object-listing.next-page", &listing, |listing| listing.page(rows))
    }

    fn drop(&mut self, listing: Resource<ObjectListing>) -> wasmtime::Result<()> {
        self.close(listing)
    }
}

impl From<contract::ContainerSummary> for Container {
    fn from(container: contract::ContainerSummary) -> Self {
        let contract::ContainerSummary { id, objects, bytes, highest_epoch } = container;
        Self { id, objects, bytes, highest_epoch }
    }
}

impl From<contract::Segment> for Segment {
    fn from(segment: contract::Segment) -> Self {
        let contract::Segment {
            name,
            kind,
            container,
            sealed,
            start_offset,
            length,
            recorded_length,
            row_length,
            standing,
            findings,
        } = segment;
        Self { name, kind, container, sealed, start_offset, length, recorded_length, row_length, standing, findings }
    }
}

impl From<contract::Measure> for Measurement {
    fn from(measure: contract::Measure) -> Self {
        let contract::Measure { content, whole_length, items } = measure;
        Self { content, whole_length, items }
    }
}

impl From<contract::Object> for Object {
    fn from(object: contract::Object) -> Self {
        let contract::Object { key, size } = object;
        Self { key, size }
    }
}

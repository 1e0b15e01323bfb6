//! Listings as iterators: of pages where work is done in pages, of rows where it is done one by one.

use crate::bindings::pravega::recovery::containers::{MetadataListing, MetadataRow, open_old_metadata};
use crate::bindings::pravega::recovery::controller::{
    PendingWork, PendingWorkListing, StreamListing, StreamState, list_pending_work, list_streams,
};
use crate::bindings::pravega::recovery::ledgers::{Ledger, LedgerListing, list_ledgers};
use crate::bindings::pravega::recovery::storage::{
    Object, ObjectListing, Segment, SegmentListing, list_leftover_objects, list_metadata_objects, list_segments,
};
use crate::{ContainerId, PAGE_ROWS, Result};

/// A listing resource of the contract.
pub trait Listing {
    /// One row.
    type Row;
    /// At most `limit` rows; empty at the end.
    ///
    /// # Errors
    /// Whatever the host answers.
    fn page(&self, limit: u32) -> Result<Vec<Self::Row>>;
}

macro_rules! listing {
    ($($resource:ty => $row:ty),*) => {$(
        impl Listing for $resource {
            type Row = $row;
            fn page(&self, limit: u32) -> Result<Vec<$row>> {
                self.next_page(limit)
            }
        }
    )*};
}

listing!(
    SegmentListing => Segment,
    ObjectListing => Object,
    MetadataListing => MetadataRow,
    StreamListing => StreamState,
    PendingWorkListing => PendingWork,
    LedgerListing => Ledger
);

/// Iterates over the pages of a listing; ends after the last page or the first error.
pub struct Pages<L: Listing> {
    listing: Option<L>,
}

impl<L: Listing> Pages<L> {
    fn new(listing: L) -> Self {
        Self { listing: Some(listing) }
    }

    /// The same, row by row.
    pub fn rows(self) -> Rows<L> {
        Rows { pages: self, page: Vec::new().into_iter() }
    }
}

impl<L: Listing> Iterator for Pages<L> {
    type Item = Result<Vec<L::Row>>;

    fn next(&mut self) -> Option<Self::Item> {
        let page = self.listing.as_ref()?.page(PAGE_ROWS);
        if !matches!(&page, Ok(rows) if !rows.is_empty()) {
            self.listing = None;
        }
        page.map(|rows| Some(rows).filter(|rows| !rows.is_empty())).transpose()
    }
}

/// Iterates over the rows of a listing; ends after the last row or the first error.
pub struct Rows<L: Listing> {
    pages: Pages<L>,
    page: std::vec::IntoIter<L::Row>,
}

impl<L: Listing> Iterator for Rows<L> {
    type Item = Result<L::Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.page.next() {
                return Some(Ok(row));
            }
            match self.pages.next()? {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Pages of the ledgers that bookies' disks hold, by id.
///
/// # Errors
/// Whatever the host answers.
pub fn ledger_pages() -> Result<Pages<LedgerListing>> {
    list_ledgers().map(Pages::new)
}

/// Pages of the segments of a container, by name.
///
/// # Errors
/// Whatever the host answers.
pub fn segment_pages(container: ContainerId) -> Result<Pages<SegmentListing>> {
    list_segments(container).map(Pages::new)
}

/// Segments of a container, by name.
///
/// # Errors
/// Whatever the host answers.
pub fn segments(container: ContainerId) -> Result<Rows<SegmentListing>> {
    segment_pages(container).map(Pages::rows)
}

/// Pages of the objects that hold the old metadata of a container, by key.
///
/// # Errors
/// Whatever the host answers.
pub fn metadata_object_pages(container: ContainerId) -> Result<Pages<ObjectListing>> {
    list_metadata_objects(container).map(Pages::new)
}

/// Pages of the objects that only deleted segments of a container owned, by key.
///
/// # Errors
/// Whatever the host answers.
pub fn leftover_object_pages(container: ContainerId) -> Result<Pages<ObjectListing>> {
    list_leftover_objects(container).map(Pages::new)
}

/// Pages of the rows of the old metadata table of a container, by name.
///
/// # Errors
/// Whatever the host answers.
pub fn metadata_row_pages(container: ContainerId) -> Result<Pages<MetadataListing>> {
    open_old_metadata(container).map(Pages::new)
}

/// Streams of all containers, by scope and name; only in `finish`.
///
/// # Errors
/// Whatever the host answers.
pub fn streams() -> Result<Rows<StreamListing>> {
    list_streams().map(|listing| Pages::new(listing).rows())
}

/// Work that controllers had under way.
///
/// # Errors
/// Whatever the host answers.
pub fn pending_work() -> Result<Rows<PendingWorkListing>> {
    list_pending_work().map(|listing| Pages::new(listing).rows())
}

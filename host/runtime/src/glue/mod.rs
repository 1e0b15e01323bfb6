//! Translates between the generated bindings and the native contract, one file for each interface. Adds no meaning:
//! checks of sizes are all that stands between a guest and its host.

// The generated bindings re-export the resources, which asks for `pub` although nothing leaves this crate.
#![allow(unreachable_pub)]

mod bookies;
mod containers;
mod controller;
mod coordination;
mod ledgers;
mod logs;
mod report;
mod storage;

use dr_engine::contract::{self, CallError, CallResult, Pages};

use crate::bindings::pravega::recovery::types;
use crate::state::{HostError, State};

/// A listing that the guest holds.
pub struct Listing<T>(Box<dyn Pages<T>>);

/// Resource `storage.segment-listing`.
pub type SegmentListing = Listing<contract::Segment>;
/// Resource `storage.object-listing`.
pub type ObjectListing = Listing<contract::Object>;
/// Resource `containers.metadata-listing`.
pub type MetadataListing = Listing<contract::MetadataRow>;
/// Resource `controller.stream-listing`.
pub type StreamListing = Listing<contract::StreamState>;
/// Resource `controller.pending-work-listing`.
pub type PendingWorkListing = Listing<contract::PendingWork>;
/// Resource `ledgers.ledger-listing`.
pub type LedgerListing = Listing<contract::Ledger>;
/// Resource `containers.fresh-container`.
pub struct FreshContainer(Box<dyn contract::FreshContainer>);

impl<T> Listing<T> {
    /// The next page in the guest's types.
    fn page<W: From<T>>(&mut self, rows: usize) -> CallResult<Vec<W>> {
        let page = self.0.next_page(rows)?;
        Ok(page.into_iter().map(W::from).collect())
    }
}

/// Bytes of some texts.
fn bytes_of<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(str::len).sum()
}

impl types::Host for State {
    fn convert_error(&mut self, error: HostError) -> wasmtime::Result<types::Error> {
        match error {
            HostError::Call(error) => Ok(error.into()),
            HostError::End(error) => Err(error),
        }
    }
}

impl From<CallError> for types::Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotFound(message) => Self::NotFound(message),
            CallError::AlreadyExists(message) => Self::AlreadyExists(message),
            CallError::Conflict(message) => Self::Conflict(message),
            CallError::Invalid(message) => Self::Invalid(message),
            CallError::Denied(message) => Self::Denied(message),
            CallError::Damaged(message) => Self::Damaged(message),
            CallError::Unavailable(message) => Self::Unavailable(message),
            CallError::Exhausted(message) => Self::Exhausted(message),
            CallError::Failed(message) => Self::Failed(message),
        }
    }
}

impl From<types::Error> for CallError {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::NotFound(message) => Self::NotFound(message),
            types::Error::AlreadyExists(message) => Self::AlreadyExists(message),
            types::Error::Conflict(message) => Self::Conflict(message),
            types::Error::Invalid(message) => Self::Invalid(message),
            types::Error::Denied(message) => Self::Denied(message),
            types::Error::Damaged(message) => Self::Damaged(message),
            types::Error::Unavailable(message) => Self::Unavailable(message),
            types::Error::Exhausted(message) => Self::Exhausted(message),
            types::Error::Failed(message) => Self::Failed(message),
        }
    }
}

//! Interface `controller`.

use dr_engine::contract;
use wasmtime::component::Resource;

use super::{Listing, PendingWorkListing, StreamListing};
use crate::bindings::pravega::recovery::controller::{
    Host, HostPendingWorkListing, HostStreamListing, PendingWork, PendingZnode, Retention, StreamState,
    TransactionCounter,
};
use crate::state::{HostResult, State};

impl Host for State {
    fn list_streams(&mut self) -> HostResult<Resource<StreamListing>> {
        self.open("controller.list-streams", |host| host.list_streams().map(Listing))
    }

    fn highest_transaction_counter(&mut self) -> HostResult<Option<TransactionCounter>> {
        let highest = self.call("controller.highest-transaction-counter", |host| host.highest_transaction_counter())?;
        Ok(highest.map(|contract::TransactionCounter { high, low }| TransactionCounter { high, low }))
    }

    fn list_pending_work(&mut self) -> HostResult<Resource<PendingWorkListing>> {
        self.open("controller.list-pending-work", |host| host.list_pending_work().map(Listing))
    }
}

impl HostPendingWorkListing for State {
    fn next_page(&mut self, listing: Resource<PendingWorkListing>, limit: u32) -> HostResult<Vec<PendingWork>> {
        let rows = self.page_rows(limit)?;
        self.with("controller.pending-work-listing.next-page", &listing, |listing| listing.page(rows))
    }

    fn drop(&mut self, listing: Resource<PendingWorkListing>) -> wasmtime::Result<()> {
        self.close(listing)
    }
}

impl From<contract::PendingWork> for PendingWork {
    fn from(work: contract::PendingWork) -> Self {
        let contract::PendingWork { kind, subject, reason, znode } = work;
        let znode = znode.map(|contract::PendingZNode { path, data }| PendingZnode { path, data });
        Self { kind, subject, reason, znode }
    }
}

impl HostStreamListing for State {
    fn next_page(&mut self, listing: Resource<StreamListing>, limit: u32) -> HostResult<Vec<StreamState>> {
        let rows = self.page_rows(limit)?;
        self.with("controller.stream-listing.next-page", &listing, |listing| listing.page(rows))
    }

    fn drop(&mut self, listing: Resource<StreamListing>) -> wasmtime::Result<()> {
        self.close(listing)
    }
}

impl From<contract::StreamState> for StreamState {
    fn from(stream: contract::StreamState) -> Self {
        let contract::StreamState { scope, name, state, retention, retention_znode } = stream;
        let retention = retention.map(|contract::Retention { kind, limit }| Retention { kind, limit });
        Self { scope, name, state, retention, retention_znode }
    }
}

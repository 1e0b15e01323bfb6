//! Interface `controller`.

use dr_engine::contract;
use wasmtime::component::Resource;

use super::{Listing, StreamListing};
use crate::bindings::pravega::recovery::controller::{
    Host, HostStreamListing, Retention, StreamState, TransactionCounter,
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

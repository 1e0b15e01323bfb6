//! Interface `ledgers`.

use dr_engine::contract;
use wasmtime::component::Resource;

use super::{LedgerListing, Listing};
use crate::bindings::pravega::recovery::ledgers::{Host, HostLedgerListing, Ledger};
use crate::state::{HostResult, State};

impl Host for State {
    fn list_ledgers(&mut self) -> HostResult<Resource<LedgerListing>> {
        self.open("ledgers.list-ledgers", |host| host.ledgers().map(Listing))
    }

    fn keep_ledgers(&mut self, ids: Vec<i64>) -> HostResult<()> {
        self.check_rows(&ids)?;
        self.stage(ids.len(), size_of_val(&*ids))?;
        self.call("ledgers.keep-ledgers", |host| host.keep_ledgers(&ids))
    }
}

impl HostLedgerListing for State {
    fn next_page(&mut self, listing: Resource<LedgerListing>, limit: u32) -> HostResult<Vec<Ledger>> {
        let rows = self.page_rows(limit)?;
        self.with("ledgers.ledger-listing.next-page", &listing, |listing| listing.page(rows))
    }

    fn drop(&mut self, listing: Resource<LedgerListing>) -> wasmtime::Result<()> {
        self.close(listing)
    }
}

impl From<contract::Ledger> for Ledger {
    fn from(ledger: contract::Ledger) -> Self {
        let contract::Ledger {
            id,
            container,
            stray,
            entries,
            bytes,
            first_operation,
            last_operation,
            bookies,
            missing,
            registered,
            left_out,
        } = ledger;
        Self {
            id,
            container,
            stray,
            entries,
            bytes,
            first_operation,
            last_operation,
            bookies,
            missing,
            registered,
            left_out,
        }
    }
}

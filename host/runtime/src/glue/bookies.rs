//! Interface `bookies`.

use dr_engine::contract;

use crate::bindings::pravega::recovery::bookies::{Bookie, Host};
use crate::state::{HostResult, State};

impl Host for State {
    fn list_bookies(&mut self) -> HostResult<Vec<Bookie>> {
        let bookies = self.call("bookies.list-bookies", |host| host.bookies())?;
        Ok(bookies.into_iter().map(Bookie::from).collect())
    }

    fn register_bookies(&mut self, ids: Vec<String>) -> HostResult<()> {
        self.check_rows(&ids)?;
        ids.iter().try_for_each(|id| self.check_text(id))?;
        self.stage(ids.len(), super::bytes_of(ids.iter().map(String::as_str)))?;
        self.call("bookies.register-bookies", |host| host.register_bookies(&ids))
    }
}

impl From<contract::Bookie> for Bookie {
    fn from(bookie: contract::Bookie) -> Self {
        let contract::Bookie { id, ledgers, entries, findings } = bookie;
        Self { id, ledgers, entries, findings }
    }
}

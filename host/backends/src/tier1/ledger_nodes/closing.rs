//! Closes registered ledgers whose writer died, at an end that somebody else found.

use dr_formats::ledger_metadata::{LedgerMetadata, LedgerState};

use super::super::{LedgerClosing, Tier1Error, ZNodeData};
use super::LedgerNodes;

impl LedgerNodes {
    pub(super) fn close_one(&self, closing: &LedgerClosing) -> Result<(), Tier1Error> {
        let (path, node, metadata) = self.node_of(closing.id)?;
        if metadata.state == closing.state() {
            return Ok(());
        }
        if node.version != closing.expected_version || metadata.state != closing.state_before {
            let expected = closing.expected_version;
            return Err(Tier1Error::Version { location: self.location(), name: path, expected });
        }
        // As the Java client does with every change.
        let closed = LedgerMetadata { state: closing.state(), creation_token: Some(0), ..metadata };
        self.replace(closing.id, &path, &node, &closed)
    }

    pub(super) fn reopen_one(&self, closing: &LedgerClosing) -> Result<(), Tier1Error> {
        let (path, node, metadata) = self.node_of(closing.id)?;
        if metadata.state == closing.state_before {
            return Ok(());
        }
        if metadata.state != closing.state() {
            return Err(Tier1Error::Exists { location: self.location(), name: path });
        }
        let open = LedgerMetadata { state: closing.state_before, creation_token: closing.token_before, ..metadata };
        self.replace(closing.id, &path, &node, &open)
    }

    pub(super) fn is_closed_so(&self, closing: &LedgerClosing) -> Result<bool, Tier1Error> {
        Ok(self.registered(closing.id)?.is_some_and(|metadata| metadata.state == closing.state()))
    }

    fn node_of(&self, id: i64) -> Result<(String, ZNodeData, LedgerMetadata), Tier1Error> {
        let path = self.metadata_path(self.manager()?, id)?;
        let Some(node) = self.znodes.get(&path)? else {
            return Err(Tier1Error::NotFound { location: self.location(), name: format!("ledger {id}") });
        };
        let metadata = self.decode(id, &node)?;
        Ok((path, node, metadata))
    }

    /// Writes what was decoded from a node and changed, unless something of it that we do not know would be lost by that.
    fn replace(&self, id: i64, path: &str, node: &ZNodeData, changed: &LedgerMetadata) -> Result<(), Tier1Error> {
        let encode = |metadata: &LedgerMetadata| {
            metadata.encode().map_err(|error| self.damaged(id, format!("its metadata cannot be written: {error}")))
        };
        if encode(&self.decode(id, node)?)? != node.data {
            return Err(self.damaged(id, "its metadata hold fields that a change would lose".to_owned()));
        }
        self.znodes.set(path, &encode(changed)?, node.version)?;
        Ok(())
    }
}

impl LedgerClosing {
    /// The state that the ledger gets.
    fn state(&self) -> LedgerState {
        LedgerState::Closed { last_entry: self.last_entry, length: self.length }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::{LedgerAccess, LedgerLayout, LedgerRegistry, MemoryZNodes, ZNodes};
    use super::*;

    const PATH: &str = "/p/ledgers/00/0000/L0007";

    fn open_ledger() -> (Arc<MemoryZNodes>, LedgerNodes) {
        let znodes = Arc::new(MemoryZNodes::new());
        let access = LedgerAccess::new("/p/ledgers");
        let ledgers = LedgerNodes::new(Arc::clone(&znodes) as Arc<dyn ZNodes>, access).unwrap();
        let custom_metadata = vec![("BookKeeperLogId".to_owned(), b"2".to_vec())];
        let layout = LedgerLayout { ensemble_size: 2, write_quorum: 2, ack_quorum: 1, custom_metadata };
        ledgers.create(7, &layout, ["a:1", "b:1"].map(str::to_owned).to_vec()).unwrap();
        (znodes, ledgers)
    }

    fn closing(ledgers: &LedgerNodes) -> LedgerClosing {
        let [ledger] = ledgers.registered_ledgers().unwrap().try_into().unwrap();
        assert_eq!((ledger.container, ledger.bookies.len(), ledger.end()), (Some(2), 2, None));
        LedgerClosing {
            id: 7,
            expected_version: ledger.version,
            state_before: ledger.state,
            token_before: ledger.creation_token,
            last_entry: 4,
            length: 500,
        }
    }

    #[test]
    fn an_open_ledger_is_closed_once_and_becomes_what_it_was_when_that_is_taken_back() {
        let (znodes, ledgers) = open_ledger();
        let before = znodes.get(PATH).unwrap().unwrap();
        let closing = [closing(&ledgers)];
        assert_eq!(ledgers.not_closed(&closing).unwrap(), [7]);
        ledgers.reopen(&closing).unwrap();
        ledgers.close_registered(&closing).unwrap();
        ledgers.close_registered(&closing).unwrap();
        assert_eq!(ledgers.not_closed(&closing).unwrap(), [0; 0]);
        let [closed] = ledgers.registered_ledgers().unwrap().try_into().unwrap();
        assert_eq!((closed.end(), closed.container, closed.version), (Some((4, 500)), Some(2), 1));
        ledgers.reopen(&closing).unwrap();
        ledgers.reopen(&closing).unwrap();
        assert_eq!(znodes.get(PATH).unwrap().unwrap(), ZNodeData { version: 2, ..before });
    }

    #[test]
    fn a_ledger_that_was_changed_meanwhile_is_not_closed() {
        let (znodes, ledgers) = open_ledger();
        let closing = closing(&ledgers);
        let data = znodes.get(PATH).unwrap().unwrap().data;
        znodes.set(PATH, &data, 0).unwrap();
        assert!(matches!(ledgers.close_registered(std::slice::from_ref(&closing)), Err(Tier1Error::Version { .. })));
        let elsewhere = LedgerClosing { expected_version: 1, last_entry: 3, ..closing.clone() };
        ledgers.close_registered(&[elsewhere]).unwrap();
        assert!(matches!(ledgers.close_registered(std::slice::from_ref(&closing)), Err(Tier1Error::Version { .. })));
        assert!(matches!(ledgers.reopen(&[closing]), Err(Tier1Error::Exists { .. })));
    }

    #[test]
    fn metadata_with_something_unknown_in_it_are_left_alone() {
        let (znodes, ledgers) = open_ledger();
        let mut data = znodes.get(PATH).unwrap().unwrap().data;
        // One more field, number 15, in the message, whose length of one byte stands behind the header.
        let header = b"BookieMetadataFormatVersion\t3\n".len();
        data[header] += 2;
        data.extend([15 << 3, 1]);
        znodes.set(PATH, &data, 0).unwrap();
        let refused = ledgers.close_registered(&[closing(&ledgers)]).unwrap_err().to_string();
        assert!(refused.contains("ledger 7: its metadata hold fields"), "{refused}");
        assert_eq!(znodes.get(PATH).unwrap().unwrap().data, data);
    }
}

//! Ledgers as ZooKeeper knows them: layout, ids, metadata. The same for real bookies and for the embedded directory.

mod closing;
mod restore;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use dr_formats::ledger_entry::EntryCodec;
use dr_formats::ledger_metadata::{
    Ensemble, LEDGERS_LAYOUT_NODE, LedgerManager, LedgerMetadata, LedgerSecurity, LedgerState,
};

use super::access::LedgerAccess;
use super::znode_path::{check_path, parent_of};
use super::{ClosedLedger, LedgerLayout, Tier1Error, ZNodeData, ZNodes};

/// Ids that may be taken already before we give up; each costs a few requests.
const MAXIMUM_TAKEN_IDS: usize = 10_000;
/// Ids below this one come from `idgen`, others from `idgen-long`.
const SHORT_ID_LIMIT: i64 = i32::MAX as i64;
/// The first directory of long ids.
const FIRST_HIGH_ORDER: i64 = 1;
/// Name of directories of long ids, before their number.
const HIGH_ORDER_PREFIX: &str = "HOB-";

/// A ledger that was created and not closed yet.
#[derive(Debug, Clone)]
pub(super) struct OpenLedger {
    pub(super) id: i64,
    metadata: LedgerMetadata,
    path: String,
}

/// The ledgers root.
pub(super) struct LedgerNodes {
    znodes: Arc<dyn ZNodes>,
    access: LedgerAccess,
}

impl LedgerNodes {
    pub(super) fn new(znodes: Arc<dyn ZNodes>, access: LedgerAccess) -> Result<Self, Tier1Error> {
        check_path(&access.root)?;
        Ok(Self { znodes, access })
    }

    pub(super) fn access(&self) -> &LedgerAccess {
        &self.access
    }

    pub(super) fn location(&self) -> String {
        format!("{} {}", self.znodes.location(), self.access.root)
    }

    fn child(&self, name: &str) -> String {
        format!("{}/{name}", self.access.root.trim_end_matches('/'))
    }

    fn layout_error(&self, reason: String) -> Tier1Error {
        Tier1Error::Layout { location: self.location(), reason }
    }

    /// True if the ledgers root exists.
    pub(super) fn root_exists(&self) -> Result<bool, Tier1Error> {
        Ok(self.znodes.get(&self.access.root)?.is_some())
    }

    /// Ids of the bookies that ZooKeeper keeps a cookie of, sorted.
    pub(super) fn cookies(&self) -> Result<Vec<String>, Tier1Error> {
        Ok(self.znodes.children(&self.child("cookies"))?.unwrap_or_default())
    }

    /// How ids become paths; the default if no client or bookie has decided yet.
    pub(super) fn manager(&self) -> Result<LedgerManager, Tier1Error> {
        Ok(self.registered_manager()?.unwrap_or(LedgerManager::Hierarchical))
    }

    fn registered_manager(&self) -> Result<Option<LedgerManager>, Tier1Error> {
        let path = self.child(LEDGERS_LAYOUT_NODE);
        let Some(node) = self.znodes.get(&path)? else { return Ok(None) };
        let manager = LedgerManager::from_layout_text(&node.data)
            .map_err(|error| self.layout_error(format!("`{path}`: {error}")))?;
        match manager {
            LedgerManager::Hierarchical | LedgerManager::LongHierarchical => Ok(Some(manager)),
            LedgerManager::LegacyHierarchical | LedgerManager::Flat => Err(self.layout_error(format!(
                "`{path}` names the {manager:?} ledger manager; only the hierarchical ones, which Pravega's clusters use, \
                 are supported"
            ))),
        }
    }

    /// As [`Self::manager`], and decides for everybody if nobody has.
    fn establish_manager(&self) -> Result<LedgerManager, Tier1Error> {
        if let Some(manager) = self.registered_manager()? {
            return Ok(manager);
        }
        let text = LedgerManager::Hierarchical.layout_text();
        match self.znodes.create(&self.child(LEDGERS_LAYOUT_NODE), text.as_bytes()) {
            // Somebody was faster: what they decided counts.
            Err(Tier1Error::Exists { .. }) => self.manager(),
            created => created.map(|()| LedgerManager::Hierarchical),
        }
    }

    /// Takes an id that no ledger has.
    pub(super) fn allocate(&self) -> Result<i64, Tier1Error> {
        let manager = self.establish_manager()?;
        for _ in 0..MAXIMUM_TAKEN_IDS {
            let id = self.next_id()?;
            if self.znodes.get(&self.metadata_path(manager, id)?)?.is_none() {
                return Ok(id);
            }
            // A counter that lags behind the ledgers, as after a loss of ZooKeeper.
            tracing::debug!(id, "the ledger id is taken");
        }
        Err(self
            .layout_error(format!("{MAXIMUM_TAKEN_IDS} ledger ids in a row are taken; the id counter lags far behind")))
    }

    /// Registers a new, open ledger.
    pub(super) fn create(
        &self,
        id: i64,
        layout: &LedgerLayout,
        bookies: Vec<String>,
    ) -> Result<OpenLedger, Tier1Error> {
        let metadata = self.new_metadata(layout, bookies)?;
        let encoded = metadata.encode().map_err(|error| self.layout_error(error.to_string()))?;
        let path = self.metadata_path(self.establish_manager()?, id)?;
        self.znodes.create(&path, &encoded)?;
        Ok(OpenLedger { id, metadata, path })
    }

    fn new_metadata(&self, layout: &LedgerLayout, bookies: Vec<String>) -> Result<LedgerMetadata, Tier1Error> {
        check_quorums(layout).map_err(|reason| self.layout_error(reason))?;
        let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        Ok(LedgerMetadata {
            ensemble_size: size(layout.ensemble_size),
            write_quorum: size(layout.write_quorum),
            ack_quorum: size(layout.ack_quorum),
            state: LedgerState::Open,
            ensembles: vec![Ensemble { first_entry: 0, bookies }],
            security: Some(LedgerSecurity {
                digest_type: self.access.digest_type,
                password: self.access.password.clone(),
            }),
            creation_time: None,
            custom_metadata: layout.custom_metadata.clone(),
            creation_token: Some(random_token()),
        })
    }

    fn metadata_path(&self, manager: LedgerManager, id: i64) -> Result<String, Tier1Error> {
        match manager.ledger_path(id) {
            Some(path) => Ok(self.child(&path)),
            None => Err(Tier1Error::NotFound { location: self.location(), name: format!("ledger {id}") }),
        }
    }

    /// The next id of BookKeeper's own generator, so that its clients continue after ours.
    fn next_id(&self) -> Result<i64, Tier1Error> {
        let long = self.child("idgen-long");
        if let Some(directories) = self.znodes.children(&long)? {
            return self.next_long_id(&long, &directories);
        }
        match self.znodes.next_sequence(&self.child("idgen/ID-"))? {
            id if (0..SHORT_ID_LIMIT).contains(&id) => Ok(id),
            _ => self.next_long_id(&long, &[]),
        }
    }

    /// The id that the generator would give next, taken ones not passed over; none if nothing is left of it.
    fn coming_id(&self) -> Result<Option<i64>, Tier1Error> {
        let long = self.child("idgen-long");
        let Some(directories) = self.znodes.children(&long)? else {
            return self.znodes.coming_sequence(&self.child("idgen"));
        };
        let high_order = high_order_of(&directories);
        let low = self.znodes.coming_sequence(&format!("{long}/{HIGH_ORDER_PREFIX}{high_order:010}"))?;
        Ok(Some((high_order << 32) | low.unwrap_or(0)))
    }

    fn next_long_id(&self, parent: &str, directories: &[String]) -> Result<i64, Tier1Error> {
        let mut high_order = high_order_of(directories);
        let sequence =
            |high_order: i64| self.znodes.next_sequence(&format!("{parent}/{HIGH_ORDER_PREFIX}{high_order:010}/ID-"));
        let mut low = sequence(high_order)?;
        if !(0..SHORT_ID_LIMIT).contains(&low) {
            high_order += 1;
            low = sequence(high_order)?;
        }
        Ok((high_order << 32) | low)
    }

    /// Registers the end of a ledger that we wrote.
    pub(super) fn close(&self, ledger: OpenLedger, last_entry: i64, length: i64) -> Result<ClosedLedger, Tier1Error> {
        let mut metadata = ledger.metadata;
        metadata.state = LedgerState::Closed { last_entry, length };
        // As the Java client does with every change.
        metadata.creation_token = Some(0);
        let encoded = metadata.encode().map_err(|error| self.layout_error(error.to_string()))?;
        self.znodes.set(&ledger.path, &encoded, 0)?;
        Ok(ClosedLedger { id: ledger.id, last_entry, length })
    }

    /// Metadata of a ledger.
    pub(super) fn metadata(&self, id: i64) -> Result<LedgerMetadata, Tier1Error> {
        let path = self.metadata_path(self.manager()?, id)?;
        match self.znodes.get(&path)? {
            Some(node) => self.decode(id, &node),
            None => Err(Tier1Error::NotFound { location: self.location(), name: format!("ledger {id}") }),
        }
    }

    fn decode(&self, id: i64, node: &ZNodeData) -> Result<LedgerMetadata, Tier1Error> {
        LedgerMetadata::decode(&node.data).map_err(|error| self.damaged(id, error.to_string()))
    }

    pub(super) fn damaged(&self, id: i64, reason: String) -> Tier1Error {
        Tier1Error::Damaged { location: self.location(), name: format!("ledger {id}"), reason }
    }

    /// Metadata of a ledger, or none if it is not registered.
    pub(super) fn registered(&self, id: i64) -> Result<Option<LedgerMetadata>, Tier1Error> {
        match self.metadata(id) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Tier1Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ids of all registered ledgers, sorted.
    pub(super) fn ids(&self) -> Result<Vec<i64>, Tier1Error> {
        let manager = self.manager()?;
        let mut ids = Vec::new();
        let mut pending = vec![String::new()];
        while let Some(parent) = pending.pop() {
            let path = self.child(&parent);
            for name in self.znodes.children(path.trim_end_matches('/'))?.unwrap_or_default() {
                let below = if parent.is_empty() { name.clone() } else { format!("{parent}/{name}") };
                match manager.ledger_id(&below) {
                    Some(id) => ids.push(id),
                    // Levels are numbers; `available`, `cookies` and the others are not.
                    None if name.bytes().all(|byte| byte.is_ascii_digit()) => pending.push(below),
                    None => {}
                }
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Metadata, last entry and length of a ledger that is closed.
    pub(super) fn closed(&self, id: i64) -> Result<(LedgerMetadata, ClosedLedger), Tier1Error> {
        let metadata = self.metadata(id)?;
        match metadata.state {
            LedgerState::Closed { last_entry, length } => Ok((metadata, ClosedLedger { id, last_entry, length })),
            LedgerState::Open | LedgerState::InRecovery => {
                Err(self
                    .damaged(id, "it was never closed, so its end is not known; it must be recovered first".to_owned()))
            }
        }
    }

    /// Makes and checks the entries of a ledger.
    pub(super) fn codec_of(&self, metadata: &LedgerMetadata) -> EntryCodec {
        let digest_type = metadata.security.as_ref().map_or(self.access.digest_type, |security| security.digest_type);
        EntryCodec::new(digest_type, &self.access.password)
    }

    /// Removes the metadata of a ledger and the parents that become empty, as the Java client does: empty ones once
    /// misled the garbage collection of bookies.
    pub(super) fn delete(&self, id: i64) -> Result<(), Tier1Error> {
        self.delete_except(id, &[])
    }

    /// The same, except parents that were `present` before.
    fn delete_except(&self, id: i64, present: &[String]) -> Result<(), Tier1Error> {
        let path = self.metadata_path(self.manager()?, id)?;
        let mut current = path.as_str();
        let is_ours =
            |path: &str| path.len() > self.access.root.len() && !present.iter().any(|present| present == path);
        while is_ours(current) && self.delete_node(current)? {
            match parent_of(current) {
                Some(parent) => current = parent,
                None => break,
            }
        }
        Ok(())
    }

    /// True if the node is gone.
    fn delete_node(&self, path: &str) -> Result<bool, Tier1Error> {
        let Some(node) = self.znodes.get(path)? else { return Ok(true) };
        match self.znodes.delete(path, node.version) {
            Ok(()) | Err(Tier1Error::NotFound { .. }) => Ok(true),
            Err(Tier1Error::NotEmpty { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for LedgerNodes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LedgerNodes").field("access", &self.access).finish_non_exhaustive()
    }
}

/// The newest directory of long ids, or the first if there is none.
fn high_order_of(directories: &[String]) -> i64 {
    let numbers = directories.iter().filter_map(|name| name.strip_prefix(HIGH_ORDER_PREFIX)?.parse::<i64>().ok());
    numbers.max().unwrap_or(FIRST_HIGH_ORDER)
}

/// The segment container whose log a ledger belongs to, by the custom metadata that Pravega gives it.
pub(super) fn container_named_in(metadata: &LedgerMetadata) -> Option<u32> {
    let (_, value) = metadata.custom_metadata.iter().find(|(key, _)| key == "BookKeeperLogId")?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The rule of quorums that BookKeeper checks, too; the error is the reason in words.
pub(super) fn check_quorums(layout: &LedgerLayout) -> Result<(), String> {
    let LedgerLayout { ensemble_size, write_quorum, ack_quorum, .. } = layout;
    if 1 <= *ack_quorum && ack_quorum <= write_quorum && write_quorum <= ensemble_size {
        return Ok(());
    }
    Err(format!(
        "ensemble size {ensemble_size}, write quorum {write_quorum} and ack quorum {ack_quorum} do not fit together: \
         each must be at least 1 and at most the one before"
    ))
}

/// Tells our creation of a ledger from somebody else's with the same layout.
fn random_token() -> i64 {
    // The only source of chance in the standard library; never negative, as the Java client's.
    (RandomState::new().hash_one(0) >> 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::super::MemoryZNodes;
    use super::*;

    fn layout() -> LedgerLayout {
        let custom_metadata =
            vec![("application".to_owned(), b"Pravega".to_vec()), ("BookKeeperLogId".to_owned(), b"0".to_vec())];
        LedgerLayout { ensemble_size: 3, write_quorum: 3, ack_quorum: 2, custom_metadata }
    }

    fn nodes() -> (Arc<MemoryZNodes>, LedgerNodes) {
        let znodes = Arc::new(MemoryZNodes::new());
        let ledgers =
            LedgerNodes::new(Arc::clone(&znodes) as Arc<dyn ZNodes>, LedgerAccess::new("/p/ledgers")).unwrap();
        (znodes, ledgers)
    }

    fn create(ledgers: &LedgerNodes) -> OpenLedger {
        let bookies = ["a:1", "b:1", "c:1"].map(str::to_owned).to_vec();
        ledgers.create(ledgers.allocate().unwrap(), &layout(), bookies).unwrap()
    }

    #[test]
    fn takes_ids_from_the_generator_and_passes_over_taken_ones() {
        let (znodes, ledgers) = nodes();
        znodes.create("/p/ledgers/00/0000/L0001", b"somebody's").unwrap();
        assert_eq!(create(&ledgers).id, 0);
        assert_eq!(create(&ledgers).id, 2);
        assert!(matches!(ledgers.create(2, &layout(), Vec::new()), Err(Tier1Error::Exists { .. })));
        let text = znodes.get("/p/ledgers/LAYOUT").unwrap().unwrap().data;
        assert_eq!(text, b"2\norg.apache.bookkeeper.meta.HierarchicalLedgerManagerFactory:1");
        assert_eq!(znodes.children("/p/ledgers/idgen").unwrap().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn registered_ledgers_are_found_among_the_other_nodes() {
        let (znodes, ledgers) = nodes();
        assert_eq!(ledgers.ids().unwrap(), Vec::<i64>::new());
        for path in ["available/readonly/a:1", "cookies/a:1", "underreplication/ledgers/0000/0000", "idgen"] {
            znodes.create(&format!("/p/ledgers/{path}"), b"").unwrap();
        }
        let (first, second) = (create(&ledgers).id, create(&ledgers).id);
        znodes.create("/p/ledgers/000/0000/0042/9496/L7297", b"").unwrap();
        assert_eq!(ledgers.ids().unwrap(), [first, second, (1 << 32) + 1]);
        assert!(ledgers.registered(first).unwrap().is_some() && ledgers.registered(77).unwrap().is_none());
    }

    #[test]
    fn takes_long_ids_where_they_are_used() {
        let (znodes, ledgers) = nodes();
        znodes.create("/p/ledgers/idgen-long/HOB-0000000001", b"").unwrap();
        assert_eq!(create(&ledgers).id, 1 << 32);
        assert_eq!(create(&ledgers).id, (1 << 32) + 1);
        assert!(znodes.get("/p/ledgers/000/0000/0042/9496/L7297").unwrap().is_some());
        znodes.create("/p/ledgers/idgen-long/HOB-0000000003", b"").unwrap();
        assert_eq!(create(&ledgers).id, 3 << 32);
    }

    #[test]
    fn refuses_other_layouts() {
        let (znodes, ledgers) = nodes();
        znodes.create("/p/ledgers/LAYOUT", LedgerManager::Flat.layout_text().as_bytes()).unwrap();
        let message = ledgers.allocate().unwrap_err().to_string();
        assert!(message.contains("Flat") && message.contains("/p/ledgers/LAYOUT"), "{message}");
        znodes.set("/p/ledgers/LAYOUT", b"nonsense", 0).unwrap();
        assert!(matches!(ledgers.manager(), Err(Tier1Error::Layout { .. })));
    }

    #[test]
    fn refuses_quorums_that_do_not_fit() {
        let (_, ledgers) = nodes();
        for (ensemble_size, write_quorum, ack_quorum) in [(3, 3, 0), (2, 3, 2), (3, 2, 3), (0, 0, 0)] {
            let layout = LedgerLayout { ensemble_size, write_quorum, ack_quorum, custom_metadata: Vec::new() };
            assert!(matches!(ledgers.create(0, &layout, Vec::new()), Err(Tier1Error::Layout { .. })));
        }
    }

    #[test]
    fn closes_once_and_deletes_with_empty_parents() {
        let (znodes, ledgers) = nodes();
        let (first, second) = (create(&ledgers), create(&ledgers));
        let (first_id, second_id) = (first.id, second.id);
        assert!(matches!(ledgers.closed(first_id), Err(Tier1Error::Damaged { .. })));
        ledgers.close(first.clone(), 9, 100).unwrap();
        assert!(matches!(ledgers.close(first, 9, 100), Err(Tier1Error::Version { .. })));
        let (metadata, closed) = ledgers.closed(first_id).unwrap();
        assert_eq!(closed, ClosedLedger { id: first_id, last_entry: 9, length: 100 });
        assert_eq!(metadata.creation_token, Some(0));
        ledgers.delete(first_id).unwrap();
        ledgers.delete(first_id).unwrap();
        assert!(znodes.get("/p/ledgers/00/0000").unwrap().is_some(), "the second ledger is still there");
        assert!(matches!(ledgers.closed(first_id), Err(Tier1Error::NotFound { .. })));
        ledgers.delete(second_id).unwrap();
        assert!(znodes.get("/p/ledgers/00").unwrap().is_none());
        assert!(znodes.get("/p/ledgers/idgen").unwrap().is_some());
    }
}

//! Registers ledgers and bookies again whose ZNodes were lost.

use std::collections::BTreeSet;

use dr_formats::ledger_metadata::{Ensemble, LEDGERS_LAYOUT_NODE, LedgerMetadata, LedgerSecurity, LedgerState};

use super::super::{
    BookieRegistration, LedgerClosing, LedgerLayout, LedgerRegistry, RegisteredLedger, RestoredLedger, Tier1Error,
};
use super::{FIRST_HIGH_ORDER, HIGH_ORDER_PREFIX, LedgerNodes, check_quorums, container_named_in};

const AVAILABLE: &str = "available";
const READ_ONLY: &str = "available/readonly";
const INSTANCE_ID: &str = "INSTANCEID";
const COOKIES: &str = "cookies";

impl LedgerRegistry for LedgerNodes {
    fn registered_ledgers(&self) -> Result<Vec<RegisteredLedger>, Tier1Error> {
        let manager = self.manager()?;
        let mut ledgers = Vec::new();
        for id in self.ids()? {
            let Some(node) = self.znodes.get(&self.metadata_path(manager, id)?)? else { continue };
            let metadata = self.decode(id, &node)?;
            ledgers.push(RegisteredLedger {
                id,
                version: node.version,
                container: container_named_in(&metadata),
                state: metadata.state,
                bookies: metadata.ensembles.into_iter().flat_map(|ensemble| ensemble.bookies).collect(),
                creation_token: metadata.creation_token,
            });
        }
        Ok(ledgers)
    }

    fn restore(&self, ledgers: &[RestoredLedger]) -> Result<(), Tier1Error> {
        let nodes = self.restored_nodes(ledgers)?;
        let borrowed: Vec<(&str, &[u8])> = nodes.iter().map(|(path, data)| (path.as_str(), data.as_slice())).collect();
        match self.znodes.create_all(&borrowed) {
            Err(Tier1Error::Exists { .. }) => {
                borrowed.iter().try_for_each(|(path, data)| self.create_or_agree(path, data))
            }
            created => created,
        }
    }

    fn not_restored(&self, ledgers: &[RestoredLedger]) -> Result<Vec<i64>, Tier1Error> {
        let mut differing = Vec::new();
        for (ledger, (path, data)) in ledgers.iter().zip(self.restored_nodes(ledgers)?) {
            if self.differs(&path, &data)? {
                differing.push(ledger.id);
            }
        }
        Ok(differing)
    }

    fn close_registered(&self, closings: &[LedgerClosing]) -> Result<(), Tier1Error> {
        closings.iter().try_for_each(|closing| self.close_one(closing))
    }

    fn not_closed(&self, closings: &[LedgerClosing]) -> Result<Vec<i64>, Tier1Error> {
        let mut open = Vec::new();
        for closing in closings {
            if !self.is_closed_so(closing)? {
                open.push(closing.id);
            }
        }
        Ok(open)
    }

    fn reopen(&self, closings: &[LedgerClosing]) -> Result<(), Tier1Error> {
        closings.iter().try_for_each(|closing| self.reopen_one(closing))
    }

    fn coming_ledger(&self) -> Result<Option<i64>, Tier1Error> {
        self.coming_id()
    }

    fn registered_bookies(&self) -> Result<BookieRegistration, Tier1Error> {
        let instance_id = self.znodes.get(&self.child(INSTANCE_ID))?;
        let mut cookies = Vec::new();
        for bookie in self.cookies()? {
            let cookie = self.znodes.get(&self.child(&format!("{COOKIES}/{bookie}")))?;
            cookies.extend(cookie.map(|node| (bookie, node.data)));
        }
        Ok(BookieRegistration {
            instance_id: instance_id.map(|node| String::from_utf8_lossy(&node.data).into_owned()),
            cookies,
            highest_ledger: None,
        })
    }

    /// Complete ledger metadata must be there before, since a bookie deletes every ledger that is not registered. The cookies come
    /// last for that reason.
    fn register_bookies(&self, registration: &BookieRegistration) -> Result<(), Tier1Error> {
        self.establish_manager()?;
        for (name, data) in self.registration_nodes(registration)? {
            self.create_or_agree(&self.child(&name), &data)?;
        }
        Ok(())
    }

    fn not_registered(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error> {
        let mut differing = Vec::new();
        for (name, data) in self.registration_nodes(registration)? {
            if self.differs(&self.child(&name), &data)? {
                differing.push(name);
            }
        }
        Ok(differing)
    }

    fn running_bookies(&self) -> Result<Vec<String>, Tier1Error> {
        let mut running = Vec::new();
        for parent in [AVAILABLE, READ_ONLY] {
            let bookies = self.znodes.children(&self.child(parent))?.unwrap_or_default();
            running.extend(bookies.into_iter().filter(|name| name != "readonly"));
        }
        Ok(running)
    }

    fn refuse_running_bookies(&self) -> Result<(), Tier1Error> {
        match self.running_bookies()?.first() {
            None => Ok(()),
            Some(bookie) => Err(Tier1Error::Unavailable {
                location: self.location(),
                reason: format!(
                    "bookie {bookie} is running, and would delete the ledgers that it holds if they were not registered any more; \
                     stop it and wait until its session has ended"
                ),
            }),
        }
    }

    fn present_of_registration(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error> {
        let mut present = Vec::new();
        for path in self.paths_of_registration(registration)? {
            if self.znodes.get(&path)?.is_some() {
                present.push(path);
            }
        }
        Ok(present)
    }

    fn present_parents(&self, ledgers: &[i64]) -> Result<Vec<String>, Tier1Error> {
        let manager = self.manager()?;
        let mut parents = BTreeSet::new();
        for &id in ledgers {
            let path = self.metadata_path(manager, id)?;
            let below_root = path.match_indices('/').map(|(end, _)| &path[..end]);
            parents.extend(below_root.filter(|parent| parent.len() > self.access.root.len()).map(str::to_owned));
        }
        let mut present = Vec::new();
        for parent in parents {
            if self.znodes.get(&parent)?.is_some() {
                present.push(parent);
            }
        }
        Ok(present)
    }

    fn forget(&self, id: i64, present: &[String]) -> Result<(), Tier1Error> {
        self.delete_except(id, present)
    }

    fn unregister_bookies(&self, registration: &BookieRegistration, present: &[String]) -> Result<(), Tier1Error> {
        self.refuse_running_bookies()?;
        for path in self.paths_of_registration(registration)?.into_iter().rev() {
            if !present.contains(&path) {
                self.delete_node(&path)?;
            }
        }
        Ok(())
    }
}

impl LedgerNodes {
    /// True unless a node is there with this content.
    fn differs(&self, path: &str, data: &[u8]) -> Result<bool, Tier1Error> {
        Ok(self.znodes.get(path)?.is_none_or(|node| node.data != data))
    }

    /// All nodes that a registration makes, parents before children.
    fn paths_of_registration(&self, registration: &BookieRegistration) -> Result<Vec<String>, Tier1Error> {
        let mut paths = BTreeSet::from([self.child(LEDGERS_LAYOUT_NODE)]);
        paths.extend(self.registration_nodes(registration)?.into_iter().map(|(name, _)| self.child(&name)));
        let parents = |path: &String| path.match_indices('/').skip(1).map(|(end, _)| path[..end].to_owned()).collect();
        let parents: Vec<Vec<String>> = paths.iter().map(parents).collect();
        paths.extend(parents.into_iter().flatten());
        Ok(paths.into_iter().collect())
    }

    /// Names below the root and contents, in the order in which they are made.
    fn registration_nodes(&self, registration: &BookieRegistration) -> Result<Vec<(String, Vec<u8>)>, Tier1Error> {
        let mut nodes = vec![(AVAILABLE.to_owned(), Vec::new()), (READ_ONLY.to_owned(), Vec::new())];
        // The mere existence of this node makes every following id a higher one (class `LongZkLedgerIdGenerator`), lost disks
        // or not; nothing can set the counter of short ids.
        nodes.extend(registration.highest_ledger.map(|highest| {
            let high_order = (highest >> 32) + FIRST_HIGH_ORDER;
            (format!("idgen-long/{HIGH_ORDER_PREFIX}{high_order:010}"), Vec::new())
        }));
        nodes.extend(registration.instance_id.as_ref().map(|id| (INSTANCE_ID.to_owned(), id.clone().into_bytes())));
        for (bookie, cookie) in &registration.cookies {
            if bookie.is_empty() || bookie.contains('/') {
                return Err(self.layout_error(format!("`{bookie}` cannot be the id of a bookie")));
            }
            nodes.push((format!("{COOKIES}/{bookie}"), cookie.clone()));
        }
        Ok(nodes)
    }

    fn restored_nodes(&self, ledgers: &[RestoredLedger]) -> Result<Vec<(String, Vec<u8>)>, Tier1Error> {
        let manager = self.establish_manager()?;
        let node = |ledger: &RestoredLedger| {
            let metadata = self.restored_metadata(ledger)?;
            let encoded = metadata.encode().map_err(|error| self.layout_error(error.to_string()))?;
            Ok((self.metadata_path(manager, ledger.id)?, encoded))
        };
        ledgers.iter().map(node).collect()
    }

    fn restored_metadata(&self, ledger: &RestoredLedger) -> Result<LedgerMetadata, Tier1Error> {
        let layout = LedgerLayout {
            ensemble_size: ledger.ensemble_size,
            write_quorum: ledger.write_quorum,
            ack_quorum: ledger.ack_quorum,
            custom_metadata: ledger.custom_metadata.clone(),
        };
        check_quorums(&layout).map_err(|reason| self.layout_error(reason))?;
        let ensemble = |(first_entry, bookies): &(i64, Vec<String>)| Ensemble {
            first_entry: *first_entry,
            bookies: bookies.clone(),
        };
        let fresh = self.new_metadata(&layout, Vec::new())?;
        Ok(LedgerMetadata {
            state: LedgerState::Closed { last_entry: ledger.last_entry, length: ledger.length },
            ensembles: ledger.stretches.iter().map(ensemble).collect(),
            security: Some(LedgerSecurity { digest_type: ledger.digest_type, password: self.access.password.clone() }),
            // As the Java client does with every change.
            creation_token: Some(0),
            ..fresh
        })
    }

    fn create_or_agree(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error> {
        match self.znodes.create(path, data) {
            Err(Tier1Error::Exists { location, name }) => match self.znodes.get(path)? {
                Some(node) if node.data == data => Ok(()),
                // Directories may hold anything; Curator, for one, writes the address of whoever made them.
                Some(_) if data.is_empty() => Ok(()),
                _ => Err(Tier1Error::Exists { location, name }),
            },
            created => created,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dr_formats::ledger_entry::DigestType;

    use super::super::super::{LedgerAccess, MemoryZNodes, ZNodes};
    use super::*;

    fn nodes() -> (Arc<MemoryZNodes>, LedgerNodes) {
        let znodes = Arc::new(MemoryZNodes::new());
        let access = LedgerAccess::new("/p/ledgers");
        let ledgers = LedgerNodes::new(Arc::clone(&znodes) as Arc<dyn ZNodes>, access).unwrap();
        (znodes, ledgers)
    }

    fn ledger(id: i64) -> RestoredLedger {
        RestoredLedger {
            id,
            ensemble_size: 3,
            write_quorum: 3,
            ack_quorum: 2,
            digest_type: DigestType::Crc32c,
            last_entry: 9,
            length: 100,
            stretches: vec![(0, ["h1:3181", "h2:3181", "h3:3181"].map(str::to_owned).to_vec())],
            custom_metadata: vec![("application".to_owned(), b"Pravega".to_vec())],
        }
    }

    fn registration() -> BookieRegistration {
        BookieRegistration {
            instance_id: Some("14b447c5-bd97-4e5d-bcc3-fc75b5e7add9".to_owned()),
            cookies: vec![("h1:3181".to_owned(), b"4\nbookieHost: \"h1:3181\"\n".to_vec())],
            highest_ledger: Some(16),
        }
    }

    #[test]
    fn ledgers_are_registered_as_the_java_client_writes_them() {
        let (znodes, ledgers) = nodes();
        ledgers.restore(&[ledger(16), ledger(17)]).unwrap();
        // Made with the Java serializer of BookKeeper 4.14.1.
        let expected = "426f6f6b69654d65746164617461466f726d617456657273696f6e09330a4908031003186420092803321d0a0768313a333138310a\
            0768323a333138310a0768333a3331383110003803420048025a160a0b6170706c69636174696f6e1207507261766567616000";
        let node = znodes.get("/p/ledgers/00/0000/L0016").unwrap().unwrap();
        let hex: String = node.data.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
        // Once more, and once more after a part was lost.
        ledgers.restore(&[ledger(16), ledger(17)]).unwrap();
        znodes.delete("/p/ledgers/00/0000/L0017", 0).unwrap();
        assert_eq!(ledgers.not_restored(&[ledger(16), ledger(17)]).unwrap(), [17]);
        ledgers.restore(&[ledger(16), ledger(17)]).unwrap();
        assert_eq!(ledgers.not_restored(&[ledger(16), ledger(17)]).unwrap(), [0; 0]);
        let registered = ledgers.registered_ledgers().unwrap();
        let ends: Vec<_> = registered.iter().map(|ledger| (ledger.id, ledger.end(), ledger.version)).collect();
        assert_eq!(ends, [16, 17].map(|id| (id, Some((9, 100)), 0)));
        assert_eq!(registered[0].bookies.len(), 3);
        // Somebody else's ledger is not overwritten.
        let other = RestoredLedger { last_entry: 8, ..ledger(16) };
        assert!(matches!(ledgers.restore(&[other]), Err(Tier1Error::Exists { .. })));
    }

    #[test]
    fn new_ledgers_get_ids_above_all_that_were_seen() {
        for (highest_ledger, next) in [(16, 1 << 32), ((1 << 32) + 5, 2 << 32)] {
            let (_, ledgers) = nodes();
            let registration = BookieRegistration { highest_ledger: Some(highest_ledger), ..registration() };
            ledgers.register_bookies(&registration).unwrap();
            assert_eq!(ledgers.allocate().unwrap(), next);
        }
    }

    #[test]
    fn the_counter_of_ids_is_looked_at_and_left_alone_if_it_is_ahead() {
        let (znodes, ledgers) = nodes();
        assert_eq!(ledgers.coming_ledger().unwrap(), None);
        for id in 0..20 {
            assert_eq!(ledgers.allocate().unwrap(), id);
        }
        assert_eq!(ledgers.coming_ledger().unwrap(), Some(20));
        ledgers.register_bookies(&BookieRegistration { highest_ledger: None, ..registration() }).unwrap();
        assert_eq!(ledgers.allocate().unwrap(), 20);
        ledgers.register_bookies(&registration()).unwrap();
        assert_eq!(ledgers.coming_ledger().unwrap(), Some(1 << 32));
        znodes.create("/p/ledgers/idgen-long/HOB-0000000003", b"").unwrap();
        assert_eq!(ledgers.coming_ledger().unwrap(), Some(3 << 32));
        assert_eq!(ledgers.allocate().unwrap(), 3 << 32);
        assert_eq!(ledgers.coming_ledger().unwrap(), Some((3 << 32) + 1));
    }

    #[test]
    fn parents_that_were_there_stay_when_a_ledger_is_forgotten() {
        let (znodes, ledgers) = nodes();
        znodes.create("/p/ledgers/00", b"").unwrap();
        let present = ledgers.present_parents(&[16, 17]).unwrap();
        assert_eq!(present, ["/p/ledgers/00"]);
        ledgers.restore(&[ledger(16), ledger(17)]).unwrap();
        ledgers.forget(16, &present).unwrap();
        ledgers.forget(17, &present).unwrap();
        ledgers.forget(17, &present).unwrap();
        assert_eq!(znodes.children("/p/ledgers/00").unwrap().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_registration_is_made_once_and_taken_back_as_long_as_no_bookie_runs() {
        let (znodes, ledgers) = nodes();
        znodes.create("/p/ledgers/available", b"").unwrap();
        let present = ledgers.present_of_registration(&registration()).unwrap();
        assert_eq!(present, ["/p", "/p/ledgers", "/p/ledgers/available"]);
        ledgers.register_bookies(&registration()).unwrap();
        ledgers.register_bookies(&registration()).unwrap();
        let there = BookieRegistration { highest_ledger: None, ..registration() };
        assert_eq!(ledgers.registered_bookies().unwrap(), there);
        assert_eq!(ledgers.not_registered(&registration()).unwrap(), Vec::<String>::new());
        assert_eq!(znodes.get("/p/ledgers/cookies/h1:3181").unwrap().unwrap().data, registration().cookies[0].1);
        znodes.create("/p/ledgers/available/h1:3181", b"").unwrap();
        let refused = ledgers.unregister_bookies(&registration(), &present).unwrap_err().to_string();
        assert!(refused.contains("bookie h1:3181 is running"), "{refused}");
        znodes.delete("/p/ledgers/available/h1:3181", 0).unwrap();
        ledgers.unregister_bookies(&registration(), &present).unwrap();
        assert_eq!(znodes.children("/p/ledgers").unwrap().unwrap(), ["available"]);
        assert_eq!(ledgers.not_registered(&registration()).unwrap().len(), 4);
        ledgers.unregister_bookies(&registration(), &[]).unwrap();
        assert!(znodes.get("/p").unwrap().is_none());
    }

    #[test]
    fn another_instance_is_not_overwritten() {
        let (znodes, ledgers) = nodes();
        znodes.create("/p/ledgers/INSTANCEID", b"another").unwrap();
        assert!(matches!(ledgers.register_bookies(&registration()), Err(Tier1Error::Exists { .. })));
        assert!(znodes.get("/p/ledgers/cookies/h1:3181").unwrap().is_none(), "no bookie can start");
    }
}

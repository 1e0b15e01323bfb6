//! Registers ledgers and bookies again whose ZNodes were lost.

use std::collections::BTreeSet;

use dr_formats::ledger_metadata::{Ensemble, LEDGERS_LAYOUT_NODE, LedgerMetadata, LedgerSecurity, LedgerState};

use super::super::{BookieRegistration, LedgerLayout, LedgerRegistry, RegisteredLedger, RestoredLedger, Tier1Error};
use super::{FIRST_HIGH_ORDER, HIGH_ORDER_PREFIX, LedgerNodes, check_quorums, container_named_in};

const AVAILABLE: &str = "available";
const READ_ONLY: &str = "available/readonly";
const INSTANCE_ID: &str = "INSTANCEID";
const COOKIES: &str = "cookies";

impl LedgerRegistry for LedgerNodes {
    fn registered_ledgers(&self) -> Result<Vec<RegisteredLedger>, Tier1Error> {
        let mut ledgers = Vec::new();
        for id in self.ids()? {
            let Some(metadata) = self.registered(id)? else { continue };
            let end = match metadata.state {
                LedgerState::Closed { last_entry, length } => Some((last_entry, length)),
                LedgerState::Open | LedgerState::InRecovery => None,
            };
            ledgers.push(RegisteredLedger { id, container: container_named_in(&metadata), end });
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

    fn refuse_running_bookies(&self) -> Result<(), Tier1Error> {
        for parent in [AVAILABLE, READ_ONLY] {
            let bookies = self.znodes.children(&self.child(parent))?.unwrap_or_default();
            if let Some(bookie) = bookies.iter().find(|name| *name != "readonly") {
                return Err(Tier1Error::Unavailable {
                    location: self.location(),
                    reason: format!(
                        "bookie {bookie} is running, and would delete the ledgers that it holds if they were not registered any more; \
                         stop it and wait until its session has ended"
                    ),
                });
            }
        }
        Ok(())
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
        let high_order = (registration.highest_ledger >> 32) + FIRST_HIGH_ORDER;
        nodes.push((format!("idgen-long/{HIGH_ORDER_PREFIX}{high_order:010}"), Vec::new()));
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
            highest_ledger: 16,
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
        let end = Some((9, 100));
        let registered = [16, 17].map(|id| RegisteredLedger { id, container: None, end });
        assert_eq!(ledgers.registered_ledgers().unwrap(), registered);
        // Somebody else's ledger is not overwritten.
        let other = RestoredLedger { last_entry: 8, ..ledger(16) };
        assert!(matches!(ledgers.restore(&[other]), Err(Tier1Error::Exists { .. })));
    }

    #[test]
    fn new_ledgers_get_ids_above_all_that_were_seen() {
        for (highest_ledger, next) in [(16, 1 << 32), ((1 << 32) + 5, 2 << 32)] {
            let (_, ledgers) = nodes();
            ledgers.register_bookies(&BookieRegistration { highest_ledger, ..registration() }).unwrap();
            assert_eq!(ledgers.allocate().unwrap(), next);
        }
    }

    #[test]
    fn a_registration_is_made_once_and_taken_back_as_long_as_no_bookie_runs() {
        let (znodes, ledgers) = nodes();
        znodes.create("/p/ledgers/available", b"").unwrap();
        let present = ledgers.present_of_registration(&registration()).unwrap();
        assert_eq!(present, ["/p", "/p/ledgers", "/p/ledgers/available"]);
        ledgers.register_bookies(&registration()).unwrap();
        ledgers.register_bookies(&registration()).unwrap();
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

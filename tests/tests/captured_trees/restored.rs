//! Logs that are restored from captured disks of bookies, compared with what ZooKeeper knew when it was alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use dr_backends::bookie_disk::BookieDisk;
use dr_backends::tier1::{EmbeddedZNodes, ZNodes};
use dr_engine::bookie_survey::{self, BookieSurvey, Take};
use dr_engine::progress::Silent;
use dr_formats::ledger_entry::LedgerPassword;
use dr_formats::ledger_metadata::{LedgerMetadata, LedgerState};
use dr_formats::log_metadata::{FrameAddress, LogMetadata};
use dr_tests::captured::{self, CapturedBookies};

use super::Place;

pub(super) const LEDGERS: &str = "/pravega/lab/bookkeeper/ledgers";
pub(super) const LOGS: &str = "/pravega/lab/segmentstore/containers";
const CONTAINERS: [&str; 4] = ["0/0/0", "1/0/1", "2/0/2", "3/0/3"];

/// What was restored, and what was there.
struct Compared {
    bookies: CapturedBookies,
    restored: EmbeddedZNodes,
    place: Place,
}

impl Compared {
    fn restore(capture: &str) -> Self {
        let (place, bookies) = (Place::new(capture), captured::unpack_bookies(capture));
        let before = place.tier2();
        let mut arguments = vec!["--yes", "--run-directory", "run"];
        for bookie in &bookies.bookies {
            arguments.extend(["--bookie-disks", bookie.to_str().unwrap()]);
        }
        place.dr("recover", &arguments).expect_code(0);
        let is_data = |name: &String| !name.starts_with("_dr/");
        let after: BTreeMap<_, _> = place.tier2().into_iter().filter(|(name, _)| is_data(name)).collect();
        assert!(before == after, "Tier-2 stays as it is");
        let restored = EmbeddedZNodes::open(place.path("tier1")).unwrap();
        Self { bookies, restored, place }
    }

    fn truth(&self, path: &str) -> &[u8] {
        &self.bookies.znodes[path].1
    }

    fn found(&self, path: &str) -> Vec<u8> {
        let found = self.restored.get(path).unwrap();
        assert!(found.is_some(), "there is no {path}");
        found.unwrap().data
    }

    /// Paths in the truth below a prefix.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a String> {
        self.bookies.znodes.keys().filter(move |path| path.starts_with(prefix))
    }

    fn ledgers(&self) {
        let prefix = format!("{LEDGERS}/00/0000/L");
        let mut closed = 0;
        for path in self.below(&prefix) {
            let truth = LedgerMetadata::decode(self.truth(path)).unwrap();
            let LedgerState::Closed { last_entry, .. } = truth.state else { continue };
            if last_entry < 0 {
                continue;
            }
            closed += 1;
            let found = LedgerMetadata::decode(&self.found(path)).unwrap();
            assert_eq!(found.state, truth.state, "{path}");
            assert_eq!((found.security, found.custom_metadata), (truth.security, truth.custom_metadata), "{path}");
            let members = |metadata: &[dr_formats::ledger_metadata::Ensemble]| -> Vec<(i64, BTreeSet<String>)> {
                let members = |ensemble: &dr_formats::ledger_metadata::Ensemble| {
                    (ensemble.first_entry, ensemble.bookies.iter().cloned().collect())
                };
                metadata.iter().map(members).collect()
            };
            assert_eq!(members(&found.ensembles), members(&truth.ensembles), "{path}");
        }
        assert!(closed >= 3, "{closed} ledgers were closed");
    }

    fn logs(&self) {
        for container in CONTAINERS {
            let path = format!("{LOGS}/{container}");
            let truth = LogMetadata::decode(self.truth(&path)).unwrap();
            let found = LogMetadata::decode(&self.found(&path)).unwrap();
            assert!(found.enabled && found.epoch > truth.epoch, "{path}: epoch {} and {}", found.epoch, truth.epoch);
            let ids = |log: &LogMetadata| log.ledgers.iter().map(|ledger| ledger.ledger_id).collect::<Vec<_>>();
            let (found_ids, truth_ids) = (ids(&found), ids(&truth));
            assert!(found_ids.is_sorted(), "{path}: {found_ids:?}");
            // Those that were given up before are listed, too, and those that never had an entry are not.
            let written: Vec<i64> = truth_ids.iter().copied().filter(|id| found_ids.contains(id)).collect();
            assert!(found_ids.ends_with(&written) && !written.is_empty(), "{path}: {found_ids:?} and {truth_ids:?}");
            // The replay begins where it would have begun, or before.
            let place = |log: &LogMetadata| (log.truncation.ledger_id, log.truncation.frame.entry_id());
            if truth.truncation.frame != FrameAddress(0) {
                assert!(place(&found) <= place(&truth), "{path}: {:?} and {:?}", place(&found), place(&truth));
            }
        }
    }

    fn bookies(&self) {
        for cookie in self.below(&format!("{LEDGERS}/cookies/")) {
            assert_eq!(self.found(cookie), self.truth(cookie), "{cookie}");
        }
        assert_eq!(self.restored.children(&format!("{LEDGERS}/cookies")).unwrap().unwrap().len(), 3);
        assert!(self.restored.get(&format!("{LEDGERS}/INSTANCEID")).unwrap().is_none(), "the bookies have none");
        for directory in ["available", "available/readonly", "idgen-long/HOB-0000000001"] {
            self.found(&format!("{LEDGERS}/{directory}"));
        }
    }

    fn controller(&self) {
        let retained: Vec<&String> = self.below("/pravega/lab/buckets/0/").collect();
        assert!(!retained.is_empty());
        for path in retained {
            self.found(path);
        }
        let counter = |data: &[u8]| (i32::from_be_bytes(data[..4].try_into().unwrap()), data[4..].to_vec());
        let (truth, found) =
            (counter(self.truth("/pravega/lab/counter")), counter(&self.found("/pravega/lab/counter")));
        assert!(found > truth, "{found:?} {truth:?}");
    }
}

#[test]
fn what_zookeeper_knew_follows_from_journals_alone() {
    let compared = Compared::restore("bookie-journals");
    compared.ledgers();
    compared.logs();
    compared.bookies();
    compared.controller();
}

#[test]
fn what_zookeeper_knew_follows_from_entry_logs_and_journals() {
    let compared = Compared::restore("bookie-logs");
    compared.ledgers();
    compared.logs();
    compared.bookies();
    compared.controller();
}

#[test]
fn restored_logs_are_taken_back() {
    let compared = Compared::restore("bookie-journals");
    compared.place.dr_in("rollback", &["run", "--yes"]).expect_code(0);
    assert!(!compared.place.path("tier1/znodes/pravega/lab/segmentstore").exists());
    // Only what was there before is left: nothing.
    assert_eq!(compared.restored.children("/pravega").unwrap().unwrap_or_default(), Vec::<String>::new());
}

#[test]
fn disks_that_are_missing_or_doubled_are_refused() {
    let (place, bookies) = (Place::new("bookie-journals"), captured::unpack_bookies("bookie-journals"));
    let disk = |number: usize| bookies.bookies[number].to_str().unwrap();
    let recover = |disks: &[&str]| {
        let flags = disks.iter().flat_map(|disk| ["--bookie-disks", disk]);
        let arguments: Vec<&str> = ["--yes", "--run-directory", "run"].into_iter().chain(flags).collect();
        let finished = place.dr("recover", &arguments);
        let _ = fs::remove_dir_all(place.path("run"));
        (finished.code, finished.stderr)
    };
    let (code, text) = recover(&[disk(0), disk(1)]);
    assert!(code != 0 && text.contains("the disks of 2 are there"), "{code} {text}");
    let (code, text) = recover(&[disk(0), disk(1), disk(1)]);
    assert!(code != 0 && text.contains("error["), "{code} {text}");
    let (code, text) = recover(&[disk(0), disk(1), place.tree.root.to_str().unwrap()]);
    assert!(code != 0 && text.contains("error["), "{code} {text}");
    // An entry that is unreadable on every disk: its log has a hole, and nothing is restored.
    for (number, bookie) in bookies.bookies.iter().enumerate() {
        let survey = place.path(&format!("{number}.survey"));
        let disks = BookieDisk::open(std::slice::from_ref(bookie)).unwrap();
        let take = Take { password: LedgerPassword::default(), parallel: 1, output: &survey };
        let header = bookie_survey::take(&disks, &take, &Silent).unwrap();
        let mut survey = BookieSurvey::open(&survey).unwrap();
        // The newest ledger of the capture whose metadata were not closed, so that it is surely part of a log.
        while let Some(entry) = survey.next_entry().unwrap() {
            if (entry.ledger_id, entry.entry_id) == (14, 10) {
                let path = &header.files[entry.place.file as usize].path;
                let mut bytes = fs::read(path).unwrap();
                bytes[usize::try_from(entry.place.offset).unwrap() + 40] ^= 0x5a;
                fs::write(path, bytes).unwrap();
            }
        }
    }
    let (code, text) = recover(&[disk(0), disk(1), disk(2)]);
    assert!(code != 0 && text.contains("is not whole"), "{code} {text}");
    assert!(!place.tier1_has_log());
}

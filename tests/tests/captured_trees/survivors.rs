//! Logs that are restored from captured disks of bookies while a part of ZooKeeper is left: what is left and right stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use dr_backends::tier1::{EmbeddedZNodes, ZNodes};
use dr_engine::plan::Plan;
use dr_formats::ledger_metadata::{LedgerMetadata, LedgerState};
use dr_formats::log_metadata::{LedgerStatus, LogLedger, LogMetadata};
use dr_tests::captured::{self, CapturedBookies};
use serde_json::Value;

use super::Place;
use super::restored::{HOLE, LEDGERS, LOGS, id_of as id_of_bookie, spoil};

/// The log of this container is the ledgers 12, 15 and 17, of which the last was never closed.
const CONTAINER: &str = "/0/0/0";

struct PartlyLost {
    bookies: CapturedBookies,
    place: Place,
    znodes: EmbeddedZNodes,
}

impl PartlyLost {
    /// What ZooKeeper knew when it was alive, except what `is_lost`.
    fn new(is_lost: impl Fn(&str) -> bool) -> Self {
        let (place, bookies) = (Place::new("bookie-journals"), captured::unpack_bookies("bookie-journals"));
        let znodes = EmbeddedZNodes::open(place.path("tier1")).unwrap();
        for (path, (_, data)) in &bookies.znodes {
            if !path.contains("/available/") && !is_lost(path) {
                znodes.create(path, data).unwrap();
            }
        }
        Self { bookies, place, znodes }
    }

    fn recover(&self) -> (i32, String) {
        let disks = self.bookies.bookies.iter().flat_map(|bookie| ["--bookie-disks", bookie.to_str().unwrap()]);
        self.recover_with(&disks.collect::<Vec<_>>())
    }

    fn recover_with(&self, more: &[&str]) -> (i32, String) {
        let arguments = ["--yes", "--accept-loss", "--run-directory", "run"];
        let finished = self.place.dr("recover", &[&arguments, more].concat());
        (finished.code, finished.stderr)
    }

    fn plan(&self) -> Plan {
        Plan::load(&self.place.path("run")).unwrap()
    }

    fn recovers(&self) {
        let (code, text) = self.recover();
        assert_eq!(code, 0, "{text}");
    }

    /// All ZNodes with version and data.
    fn all(&self) -> BTreeMap<String, (i32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut pending = vec!["/pravega".to_owned()];
        while let Some(path) = pending.pop() {
            let node = self.znodes.get(&path).unwrap().unwrap();
            let children = self.znodes.children(&path).unwrap().unwrap();
            pending.extend(children.into_iter().map(|child| format!("{path}/{child}")));
            found.insert(path, (node.version, node.data));
        }
        found
    }

    fn data(&self, path: &str) -> Vec<u8> {
        let node = self.znodes.get(path).unwrap();
        assert!(node.is_some(), "there is no {path}");
        node.unwrap().data
    }

    fn log(&self, container: &str) -> LogMetadata {
        LogMetadata::decode(&self.data(&format!("{LOGS}{container}"))).unwrap()
    }

    fn ledger(&self, id: i64) -> LedgerMetadata {
        LedgerMetadata::decode(&self.data(&ledger_path(id))).unwrap()
    }

    fn change_log(&self, container: &str, change: impl FnOnce(&mut LogMetadata)) {
        let mut log = self.log(container);
        change(&mut log);
        self.znodes.set(&format!("{LOGS}{container}"), &log.encode().unwrap(), 0).unwrap();
    }

    fn change_ledger(&self, id: i64, state: LedgerState) {
        let changed = LedgerMetadata { state, ..self.ledger(id) };
        self.znodes.set(&ledger_path(id), &changed.encode().unwrap(), 0).unwrap();
    }

    /// Subject and choice of each decision of the plan.
    fn decisions(&self) -> BTreeSet<(String, String)> {
        let plan = std::fs::read(self.place.path("run/plan.json")).unwrap();
        let plan: Value = serde_json::from_slice(&plan).unwrap();
        let word = |decision: &Value, name: &str| decision[name].as_str().unwrap().to_owned();
        let decisions = plan["decisions"].as_array().unwrap().iter();
        decisions.map(|decision| (word(decision, "subject"), word(decision, "choice"))).collect()
    }

    /// Takes the recovery back and finds what was there.
    fn rolls_back_to(&self, before: &BTreeMap<String, (i32, Vec<u8>)>) {
        self.place.dr_in("rollback", &["run", "--yes"]).expect_code(0);
        let after = self.all();
        let differing = before
            .keys()
            .chain(after.keys())
            .filter(|path| before.get(*path).map(|(_, data)| data) != after.get(*path).map(|(_, data)| data));
        assert_eq!(differing.collect::<BTreeSet<_>>(), BTreeSet::new());
    }
}

fn ledger_path(id: i64) -> String {
    format!("{LEDGERS}/00/0000/L{id:04}")
}

fn id_of(path: &str) -> Option<i64> {
    path.strip_prefix(&format!("{LEDGERS}/00/0000/L"))?.parse().ok()
}

fn ends_with_any(path: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| path.ends_with(end))
}

#[test]
fn what_is_left_of_zookeeper_stays_and_what_is_gone_is_restored() {
    let is_lost = |path: &str| {
        id_of(path).is_some_and(|id| id % 2 == 1)
            || ends_with_any(path, &["/2/0/2", "/3/0/3", "/LAYOUT", "/cookies/127.0.0.1:12813"])
            || path.contains("/buckets/0/")
    };
    let lost = PartlyLost::new(is_lost);
    let before = lost.all();
    lost.recovers();
    let after = lost.all();
    for (path, node) in &before {
        // The counter is raised above every transaction that the logs name.
        assert!(path.ends_with("/counter") || after.get(path) == Some(node), "{path} was written");
    }
    for (path, (_, truth)) in lost.bookies.znodes.iter().filter(|(path, _)| is_lost(path)) {
        let Some(id) = id_of(path) else {
            assert!(after.contains_key(path), "{path}");
            continue;
        };
        let (truth, found) = (LedgerMetadata::decode(truth).unwrap(), lost.ledger(id));
        match truth.state {
            LedgerState::Closed { .. } => assert_eq!(found.state, truth.state, "{path}"),
            _ => assert!(matches!(found.state, LedgerState::Closed { .. }), "{path}"),
        }
    }
    assert!(after.contains_key(&format!("{LEDGERS}/idgen-long/HOB-0000000001")), "the counter that is left is behind");
    let decisions = lost.decisions();
    let stays =
        |(subject, choice): &&(String, String)| subject.starts_with("container ") && choice.contains("stays as");
    assert_eq!(decisions.iter().filter(stays).count(), 2, "{decisions:?}");
    lost.rolls_back_to(&before);
}

#[test]
fn what_contradicts_the_disks_is_decided_by_rule_and_named() {
    let lost = PartlyLost::new(|_| false);
    let (log, closed) = (lost.log(CONTAINER), lost.ledger(12));
    assert!(matches!(closed.state, LedgerState::Closed { .. }));
    // The counter of ids is ahead of everything.
    for _ in 0..30 {
        lost.znodes.next_sequence(&format!("{LEDGERS}/idgen/ID-")).unwrap();
    }
    // A log of an earlier time; one that names a ledger which nobody knows; one that is garbage. A ledger that was never closed, although
    // its log goes on, and one of which nothing is on any disk.
    lost.change_log(CONTAINER, |log| log.ledgers.truncate(log.ledgers.len() - 1));
    lost.change_log("/1/0/1", |log| {
        let sequence = log.ledgers.last().unwrap().sequence + 1;
        log.ledgers.push(LogLedger { ledger_id: 99, sequence, status: LedgerStatus::Unknown });
    });
    lost.znodes.set(&format!("{LOGS}/2/0/2"), b"garbage", 0).unwrap();
    lost.change_ledger(12, LedgerState::InRecovery);
    let unwritten = LedgerMetadata { state: LedgerState::Open, ..closed.clone() };
    lost.znodes.create(&ledger_path(20), &unwritten.encode().unwrap()).unwrap();
    let before = lost.all();
    lost.recovers();
    assert_eq!(lost.ledger(12).state, closed.state, "closed where its log goes over to the next one");
    assert_eq!(lost.data(&ledger_path(20)), unwritten.encode().unwrap());
    let (ids, found) = (|log: &LogMetadata| log.ledgers.last().unwrap().ledger_id, lost.log(CONTAINER));
    assert_eq!(ids(&found), ids(&log));
    assert!(found.epoch > log.epoch && found.enabled, "{found:?}");
    assert!(lost.log("/1/0/1").ledgers.iter().all(|ledger| ledger.ledger_id != 99));
    assert!(lost.log("/2/0/2").enabled);
    assert_eq!(lost.znodes.get(&format!("{LOGS}/3/0/3")).unwrap().unwrap().version, 0);
    assert!(lost.znodes.get(&format!("{LEDGERS}/idgen-long")).unwrap().is_none(), "ids go on as they were");
    let decisions = lost.decisions();
    for (subject, choice) in [
        ("container 0", "its log ZNode is written anew"),
        ("container 1", "its log ZNode is written anew"),
        ("container 2", "its log ZNode is written anew"),
        ("ledger 12", "closed at the end that was found"),
        ("ledger 20", "left as it is, part of no log"),
    ] {
        assert!(decisions.contains(&(subject.to_owned(), choice.to_owned())), "{subject}: {decisions:?}");
    }
    lost.rolls_back_to(&before);
}

#[test]
fn disks_that_hold_less_than_zookeeper_says_are_a_hole() {
    let lost = PartlyLost::new(|path| path.starts_with(LOGS));
    let LedgerState::Closed { last_entry, length } = lost.ledger(11).state else { panic!() };
    lost.change_ledger(11, LedgerState::Closed { last_entry: last_entry + 3, length: length + 300 });
    let before = lost.all();
    let (code, text) = lost.recover();
    assert!(code != 0 && text.contains("is not whole"), "{code} {text}");
    assert!(text.contains("ledger 11"), "{text}");
    assert!(lost.all() == before, "nothing was changed");
}

#[test]
fn bookies_that_zookeeper_knows_otherwise_are_refused() {
    let lost = PartlyLost::new(|_| false);
    let cookies = format!("{LEDGERS}/cookies");
    let cookie = format!("{cookies}/{}", lost.znodes.children(&cookies).unwrap().unwrap()[0]);
    lost.znodes.set(&cookie, b"4\nbookieHost: \"another\"\n", 0).unwrap();
    let before = lost.all();
    let refused = |code: &str| {
        let (exit, text) = lost.recover();
        assert!(exit == 3 && text.contains(&format!("error[{code}]")), "{exit} {text}");
        std::fs::remove_dir_all(lost.place.path("run")).unwrap();
    };
    refused("cookie-differs");
    let instance = format!("{LEDGERS}/INSTANCEID");
    lost.znodes.create(&instance, b"14b447c5-bd97-4e5d-bcc3-fc75b5e7add9").unwrap();
    refused("instance-differs");
    lost.znodes.delete(&instance, 0).unwrap();
    assert!(lost.all() == before, "nothing was changed");
}

#[test]
fn a_log_with_a_hole_is_replaced_and_the_others_stay_where_zookeeper_is_whole() {
    let lost = PartlyLost::new(|_| false);
    spoil(&lost.bookies, HOLE);
    let (before, tier2, old) = (lost.all(), lost.place.tier2(), lost.log(CONTAINER));
    let disks = lost.bookies.bookies.iter().flat_map(|bookie| ["--bookie-disks", bookie.to_str().unwrap()]);
    let arguments: Vec<&str> = ["--procedure", "partial-loss"].into_iter().chain(disks).collect();
    let (code, text) = lost.recover_with(&arguments);
    assert_eq!(code, 4, "{text}");
    let plan = lost.plan();
    assert_eq!((plan.containers.len(), plan.restored.len()), (1, 3));
    assert!(plan.restored.iter().all(|log| log.kept));
    let shown = lost.place.dr_in("show", &["run"]).stdout;
    assert!(shown.contains("given the log, 1 of them in place of one that ZooKeeper still has"), "{shown}");
    let new = lost.log(CONTAINER);
    assert!(new.epoch > old.epoch && new.enabled, "{new:?}");
    assert!(new.ledgers.len() == 1 && old.ledgers.iter().all(|ledger| ledger.ledger_id != new.ledgers[0].ledger_id));
    for container in ["/1/0/1", "/2/0/2", "/3/0/3"] {
        let path = format!("{LOGS}{container}");
        assert_eq!(lost.all()[&path], before[&path], "{path}");
    }
    lost.rolls_back_to(&before);
    assert!(lost.place.tier2() == tier2, "all is as it was");
}

/// What is left of ZooKeeper names the bookies that there were.
#[test]
fn lost_bookies_are_compared_with_what_zookeeper_still_names() {
    let lost = PartlyLost::new(|path| path.starts_with(LOGS));
    let bookie = |number: usize| lost.bookies.bookies[number].to_str().unwrap();
    let third = id_of_bookie(&lost.bookies.bookies[2]);
    let ids = format!("{third},127.0.0.1:9");
    let disks = ["--bookie-disks", bookie(0), "--bookie-disks", bookie(1), "--lost-bookies", &ids];
    let planned = lost.place.dr("plan", &[&["--directory", "run"][..], &disks].concat()).expect_code(0);
    let plan = lost.plan();
    let reason = |id: &str| {
        let of_bookie = |decision: &&dr_engine::contract::Decision| decision.subject == format!("bookie {id}");
        plan.decisions.iter().find(of_bookie).unwrap().reason.clone()
    };
    assert!(reason(&third).contains("ZooKeeper names it as a holder of "), "{}", reason(&third));
    assert!(reason("127.0.0.1:9").ends_with("nothing that is left of ZooKeeper names it"), "{}", reason("127.0.0.1:9"));
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
    assert!(planned.stdout.contains("WARNING: lost bookie 127.0.0.1:9\n"), "{}", planned.stdout);
    assert!(plan.warnings[0].next_step.contains(&third), "{:?}", plan.warnings);
}

#[test]
fn all_logs_are_replaced_where_all_bookies_are_lost_and_zookeeper_is_whole() {
    let lost = PartlyLost::new(|_| false);
    let (before, tier2) = (lost.all(), lost.place.tier2());
    let ids: Vec<String> = lost.bookies.bookies.iter().map(|bookie| id_of_bookie(bookie)).collect();
    let (code, text) = lost.recover_with(&["--lost-bookies", &ids[1..].join(",")]);
    assert!(code == 2 && text.contains("error[bookie-unaccounted]") && text.contains(&ids[0]), "{code} {text}");
    let _ = std::fs::remove_dir_all(lost.place.path("run"));
    assert!(lost.all() == before, "nothing was changed");
    let running = format!("{LEDGERS}/available/{}", ids[2]);
    lost.znodes.create(&running, b"").unwrap();
    let (code, text) = lost.recover_with(&["--lost-bookies", &ids.join(",")]);
    assert!(code == 2 && text.contains("error[bookie-not-lost]") && text.contains(&ids[2]), "{code} {text}");
    let _ = std::fs::remove_dir_all(lost.place.path("run"));
    lost.znodes.delete(&running, 0).unwrap();
    assert!(lost.all() == before, "nothing was changed");
    let (code, text) = lost.recover_with(&["--lost-bookies", &ids.join(",")]);
    assert!(matches!(code, 0 | 4), "{code} {text}");
    assert_eq!(lost.plan().containers.len(), 4);
    for container in [CONTAINER, "/1/0/1", "/2/0/2", "/3/0/3"] {
        let old = LogMetadata::decode(&before[&format!("{LOGS}{container}")].1).unwrap();
        assert!(lost.log(container).epoch > old.epoch && lost.log(container).ledgers.len() == 1);
    }
    lost.place.dr("verify", &[]).expect_code(0);
    lost.rolls_back_to(&before);
    assert!(lost.place.tier2() == tier2, "all is as it was");
}

//! Logs that are restored from captured disks of bookies, compared with what ZooKeeper knew when it was alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use dr_backends::bookie_disk::BookieDisk;
use dr_backends::tier1::{EmbeddedZNodes, ZNodes};
use dr_engine::bookie_survey::{self, BookieSurvey, Take};
use dr_engine::plan::{Effect, Plan};
use dr_engine::progress::Silent;
use dr_formats::ledger_entry::LedgerPassword;
use dr_formats::ledger_metadata::{LedgerMetadata, LedgerState};
use dr_formats::log_metadata::{FrameAddress, LogMetadata};
use dr_tests::captured::{self, CapturedBookies};

use super::Place;

pub(super) const LEDGERS: &str = "/pravega/lab/bookkeeper/ledgers";
pub(super) const LOGS: &str = "/pravega/lab/segmentstore/containers";
pub(super) const CONTAINERS: [&str; 4] = ["0/0/0", "1/0/1", "2/0/2", "3/0/3"];

/// What was restored, and what was there.
struct Compared {
    bookies: CapturedBookies,
    restored: EmbeddedZNodes,
    place: Place,
}

impl Compared {
    fn restore(capture: &str) -> Self {
        Self::restore_without(capture, &[])
    }

    /// Restores without the disks of these bookies, by number.
    fn restore_without(capture: &str, lost: &[usize]) -> Self {
        let (place, bookies) = (Place::new(capture), captured::unpack_bookies(capture));
        let before = place.tier2();
        let mut arguments = vec!["--yes", "--run-directory", "run"];
        for (_, bookie) in bookies.bookies.iter().enumerate().filter(|(number, _)| !lost.contains(number)) {
            arguments.extend(["--bookie-disks", bookie.to_str().unwrap()]);
        }
        let ids: Vec<String> = lost.iter().map(|&number| id_of(&bookies.bookies[number])).collect();
        let ids = ids.join(",");
        if !lost.is_empty() {
            arguments.extend(["--lost-bookies", &ids]);
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

    /// The bookies whose disks are there, so many, can start; the others are to have new ids.
    fn bookies(&self, count: usize) {
        let prefix = format!("{LEDGERS}/cookies");
        let registered = self.restored.children(&prefix).unwrap().unwrap();
        assert_eq!(registered.len(), count);
        for cookie in registered.iter().map(|id| format!("{prefix}/{id}")) {
            assert_eq!(self.found(&cookie), self.truth(&cookie), "{cookie}");
        }
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

/// The id of a bookie by its cookie.
pub(super) fn id_of(bookie: &Path) -> String {
    BookieDisk::open(&[bookie.to_owned()]).unwrap().cookie().bookie_id.clone()
}

#[test]
fn what_zookeeper_knew_follows_from_journals_alone() {
    let compared = Compared::restore("bookie-journals");
    compared.ledgers();
    compared.logs();
    compared.bookies(3);
    compared.controller();
    let replayed = compared.place.dr_in("replay", &["run"]).expect_code(0);
    assert!(replayed.stdout.contains("`zookeeper-loss` made the "), "{}", replayed.stdout);
}

#[test]
fn restored_logs_wait_for_their_bookies_and_a_plan_is_carried_out_once() {
    let compared = Compared::restore("bookie-journals");
    let before = (compared.place.tier2(), captured::content(&compared.place.path("tier1")));
    let said = compared.place.dr("diagnose", &[]).expect_code(5).stdout;
    for words in ["recovered-not-booted", "1. start all bookies", "as long as no server was started", "rollback"] {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
    for words in [&["apply", "run", "--yes"][..], &["apply", "run", "--yes", "--output", "json"]] {
        let again = compared.place.dr_in(words[0], &words[1..]).expect_code(0).stdout;
        if words.contains(&"json") {
            assert!(again.contains("\"event\":\"applied\",\"effects\":0,"), "{again}");
            continue;
        }
        assert!(again.contains(" was carried out before, by the command of 2"), "{again}");
        assert!(again.contains("Nothing was changed now.") && !again.contains("What will change"), "{again}");
        assert!(again.contains("start all bookies") && !again.contains("Restored the logs"), "{again}");
    }
    assert!(before == (compared.place.tier2(), captured::content(&compared.place.path("tier1"))));
}

#[test]
fn the_disks_of_two_or_one_of_three_bookies_are_enough() {
    for lost in [vec![1], vec![0, 2]] {
        let compared = Compared::restore_without("bookie-journals", &lost);
        compared.ledgers();
        compared.logs();
        compared.bookies(3 - lost.len());
        compared.controller();
    }
}

/// A forgotten journal changes nothing as long as the other bookies have copies; it is said in the plan, wherever that is read.
#[test]
fn disks_that_are_not_whole_are_a_warning_of_the_plan() {
    let (place, bookies) = (Place::new("bookie-logs"), captured::unpack_bookies("bookie-logs"));
    let (disk, forgotten) = (|number: usize| bookies.bookies[number].to_str().unwrap(), id_of(&bookies.bookies[1]));
    let ledgers = format!("{}/ledgers", disk(1));
    for (run, second, word) in [("whole", disk(1), None), ("run", ledgers.as_str(), Some("missing journal"))] {
        let disks = ["--bookie-disks", disk(0), "--bookie-disks", second, "--bookie-disks", disk(2)];
        let planned = place.dr("plan", &[&["--directory", run][..], &disks].concat()).expect_code(0);
        let plan = Plan::load(&place.path(run)).unwrap();
        let page = fs::read_to_string(place.path(&format!("{run}/report.html"))).unwrap();
        let shown = place.dr_in("show", &[run]).stdout;
        assert_eq!(plan.restored.len(), 4);
        let Some(word) = word else {
            assert!(plan.warnings.is_empty() && !shown.contains("WARNING") && !page.contains("id=\"warnings\""));
            continue;
        };
        assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
        for told in [&planned.stdout, &shown] {
            let head = format!("WARNING: bookie {forgotten}\n");
            assert!(told.contains(&head) && told.contains(word) && told.contains("  next: if a directory"), "{told}");
        }
        assert!(page.contains(&format!("<b>Bookie {forgotten}:</b>")) && page.contains(word), "{page}");
    }
    // It is no refusal.
    place.dr_in("apply", &["run", "--yes"]).expect_code(0);
}

#[test]
fn what_zookeeper_knew_follows_from_entry_logs_and_journals() {
    let compared = Compared::restore("bookie-logs");
    compared.ledgers();
    compared.logs();
    compared.bookies(3);
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
    for (flag, path, error) in [
        ("--bookie-disks", "/nowhere/bookie-2", "error[bookie-disk-absent]"),
        ("--bookie-surveys", "/nowhere/bookie-2.survey", "error[survey-unreadable]"),
    ] {
        let arguments = ["--directory", "absent", "--bookie-disks", disk(0), flag, path];
        let refused = place.dr("plan", &arguments).expect_code(2).stderr;
        assert!(refused.contains(error) && refused.contains(path), "{refused}");
        assert!(refused.contains("next: correct the path") && !refused.contains("retry:"), "{refused}");
        assert!(!refused.contains("surveying"), "Tier-2 was read before: {refused}");
        assert!(!place.path("absent").exists(), "{path}");
    }
    let twice = ["--directory", "absent", "--bookie-disks", disk(0), "--lost-bookies", "b:1,c:1,b:1"];
    let refused = place.dr("plan", &twice).expect_code(2).stderr;
    assert!(refused.contains("error[bookie-lost-twice]") && refused.contains("b:1 twice"), "{refused}");
    for id in ["b 1:3181", "b:1,,c:1"] {
        place.dr("plan", &["--directory", "absent", "--bookie-disks", disk(0), "--lost-bookies", id]).expect_code(2);
    }
    let present = id_of(&bookies.bookies[1]);
    let arguments = ["--yes", "--run-directory", "run", "--bookie-disks", disk(1), "--lost-bookies", &present];
    let refused = place.dr("recover", &arguments).expect_code(2);
    assert!(refused.stderr.contains("error[bookie-not-lost]"), "{}", refused.stderr);
    fs::remove_dir_all(place.path("run")).unwrap();
    spoil(&bookies, HOLE);
    let (code, text) = recover(&[disk(0), disk(1), disk(2)]);
    assert!(code != 0 && text.contains("is not whole"), "{code} {text}");
    assert!(!place.tier1_has_log());
}

/// Entries of the newest ledger of container 0 behind its last metadata checkpoint, so that its log cannot be replayed without it.
pub(super) const HOLE: (i64, RangeInclusive<i64>) = (15, 115..=142);
/// One of container 3, behind which there is a checkpoint of which everything had been flushed.
const HARMLESS_HOLE: (i64, RangeInclusive<i64>) = (14, 10..=10);

/// Makes entries unreadable on every disk: their log has a hole.
pub(super) fn spoil(bookies: &CapturedBookies, (ledger, hole): (i64, RangeInclusive<i64>)) {
    for (number, bookie) in bookies.bookies.iter().enumerate() {
        let survey = bookies.directory.path().join(format!("{number}.survey"));
        let disks = BookieDisk::open(std::slice::from_ref(bookie)).unwrap();
        let take = Take { password: LedgerPassword::default(), parallel: 1, output: &survey };
        let header = bookie_survey::take(&disks, &take, &Silent).unwrap();
        let mut survey = BookieSurvey::open(&survey).unwrap();
        while let Some(entry) = survey.next_entry().unwrap() {
            if entry.ledger_id == ledger && hole.contains(&entry.entry_id) {
                let path = &header.files[entry.place.file as usize].path;
                let mut bytes = fs::read(path).unwrap();
                bytes[usize::try_from(entry.place.offset).unwrap() + 40] ^= 0x5a;
                fs::write(path, bytes).unwrap();
            }
        }
    }
}

#[test]
fn a_hole_before_which_nothing_is_needed_is_bridged() {
    let (place, bookies) = (Place::new("bookie-journals"), captured::unpack_bookies("bookie-journals"));
    spoil(&bookies, HARMLESS_HOLE);
    let disks = bookies.bookies.iter().flat_map(|bookie| ["--bookie-disks", bookie.to_str().unwrap()]);
    let arguments: Vec<&str> = ["--yes", "--run-directory", "run"].into_iter().chain(disks).collect();
    place.dr("recover", &arguments).expect_code(0);
    let plan = Plan::load(&place.path("run")).unwrap();
    let bridged =
        plan.decisions.iter().filter(|decision| decision.reason.contains("no disk holds the entries 10 to 10"));
    let containers: Vec<_> = bridged.map(|decision| decision.container).collect();
    assert_eq!((containers, plan.restored.len(), plan.losses.len()), (vec![Some(3)], 4, 0));
    let whole = captured::unpack_bookies("bookie-journals");
    let truth = LogMetadata::decode(&whole.znodes[&format!("{LOGS}/3/0/3")].1).unwrap();
    let restored = EmbeddedZNodes::open(place.path("tier1")).unwrap();
    let found = LogMetadata::decode(&restored.get(&format!("{LOGS}/3/0/3")).unwrap().unwrap().data).unwrap();
    // The replay begins behind the hole, and may begin behind the place where it would have begun.
    let (ledger, hole) = HARMLESS_HOLE;
    let begin = (found.truncation.ledger_id, i64::from(found.truncation.frame.entry_id()));
    assert!(begin >= (ledger, *hole.end()), "{begin:?}, and {:?} before", truth.truncation);
}

#[test]
fn a_container_whose_log_has_a_hole_is_built_anew_beside_others_that_are_restored() {
    let (place, bookies) = (Place::new("bookie-journals"), captured::unpack_bookies("bookie-journals"));
    let before = place.tier2();
    spoil(&bookies, HOLE);
    let disks = bookies.bookies.iter().flat_map(|bookie| ["--bookie-disks", bookie.to_str().unwrap()]);
    let arguments: Vec<&str> = ["--yes", "--accept-loss", "--run-directory", "run", "--procedure", "partial-loss"]
        .into_iter()
        .chain(disks)
        .collect();
    let finished = place.dr("recover", &arguments).expect_code(4);
    let plan = Plan::load(&place.path("run")).unwrap();
    assert_eq!((plan.restored.len(), plan.containers.len()), (3, 1), "{}", finished.stdout);
    let container = plan.containers[0].container;
    let written = plan.effects.iter().find_map(|effect| match effect {
        Effect::WriteObjects { container: of, objects } if *of == container => Some(objects),
        _ => None,
    });
    let written = written.unwrap();
    assert!(written.len() > 3, "{written:?}");
    for object in written {
        let moved = format!("_dr/moved-aside/container-{container}.epoch-");
        let is_there = |name: &String| *name == object.key || (name.starts_with(&moved) && name.ends_with(&object.key));
        assert!(place.tier2().keys().any(is_there), "{}", object.key);
    }
    assert!(plan.losses.iter().all(|loss| loss.container == container), "{:?}", plan.losses);
    assert!(plan.losses.iter().any(|loss| loss.reason == "log-hole"), "{:?}", plan.losses);
    // The ledgers of the log with the hole are kept for the bookies, and no log names them.
    let kept = plan.decisions.iter().filter(|decision| decision.reason.starts_with("its log is not whole"));
    assert!(kept.count() > 1);
    place.dr_in("rollback", &["run", "--yes"]).expect_code(0);
    assert!(place.tier2() == before, "all is as it was");
    assert!(!place.tier1_has_log());
}

//! Logs that are restored in two steps from surveys of captured disks, compared with what the disks themselves restore in one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use dr_backends::bookie_disk::BookieDisk;
use dr_backends::tier1::{EmbeddedZNodes, ZNodes};
use dr_engine::bookie_survey::MergedSurveys;
use dr_engine::ledgers::is_barrier;
use dr_engine::plan::Plan;
use dr_formats::ledger_entry::{ENTRY_HEADER_BYTES, EntryCodec, LedgerPassword};
use dr_tests::captured::{self, CapturedBookies};
use dr_tests::dr;

use super::Place;
use super::restored::{CONTAINERS, LEDGERS, LOGS, id_of};

/// A lost ZooKeeper, the disks of its bookies, and a survey of each.
struct Surveyed {
    bookies: CapturedBookies,
    surveys: Vec<PathBuf>,
    place: Place,
}

impl Surveyed {
    fn new(capture: &str) -> Self {
        let (place, bookies) = (Place::new(capture), captured::unpack_bookies(capture));
        let surveys = bookies.bookies.iter().enumerate();
        let surveys = surveys.map(|(number, bookie)| survey(bookie, &place.path(&format!("bookie-{number}.survey"))));
        Self { surveys: surveys.collect(), bookies, place }
    }

    /// Runs `dr recover` into the directory `run` with the surveys of all bookies but these, and returns code and errors.
    fn recover(&self, lost: &[usize]) -> (i32, String) {
        let left = (0..self.surveys.len()).filter(|number| !lost.contains(number));
        let surveys = left.map(|number| self.surveys[number].to_str().unwrap());
        let ids: Vec<String> = lost.iter().map(|&number| id_of(&self.bookies.bookies[number])).collect();
        let mut arguments = vec!["--yes", "--run-directory", "run", "--bookie-surveys"];
        arguments.extend(surveys);
        arguments.extend(ids.iter().flat_map(|id| ["--lost-bookies", id]));
        self.with(&arguments)
    }

    fn with(&self, arguments: &[&str]) -> (i32, String) {
        let finished = self.place.dr("recover", arguments);
        (finished.code, finished.stderr)
    }

    fn assert_stores_are_kept_away(&self) {
        for container in CONTAINERS {
            assert!(is_barrier(&self.znodes().get(&format!("{LOGS}/{container}")).unwrap().unwrap().data));
        }
    }

    fn znodes(&self) -> EmbeddedZNodes {
        EmbeddedZNodes::open(self.place.path("tier1")).unwrap()
    }

    /// Starts the bookies but these: what they hold is given out, each payload changed by `change`.
    fn serve(&self, lost: &[usize], change: impl Fn(i64, i64, &mut Vec<u8>)) {
        let password = LedgerPassword::default();
        let open = |bookie: &PathBuf| BookieDisk::open(std::slice::from_ref(bookie)).unwrap();
        let disks: Vec<BookieDisk> = self.bookies.bookies.iter().map(open).collect();
        let mut merged = MergedSurveys::open(&self.surveys).unwrap();
        while let Some(entry) = merged.next_entry().unwrap() {
            let (bookie, summary) = entry.copies.last().unwrap();
            let bytes = disks[*bookie].read_entry(summary.place).unwrap();
            let codec = EntryCodec::new(summary.digest_type, &password);
            let header = codec.decode(&bytes).unwrap().header;
            let mut payload = bytes[ENTRY_HEADER_BYTES + summary.digest_type.length()..].to_vec();
            change(entry.ledger_id, entry.entry_id, &mut payload);
            let mut bytes = Vec::new();
            codec.encode(header, &payload, &mut bytes);
            let path = self.place.path(&format!("tier1/ledgers/{:010}", entry.ledger_id));
            let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
            file.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
            file.write_all(&bytes).unwrap();
        }
        for (_, bookie) in self.bookies.bookies.iter().enumerate().filter(|(number, _)| !lost.contains(number)) {
            self.znodes().create(&format!("{LEDGERS}/available/{}", id_of(bookie)), b"").unwrap();
        }
    }
}

fn survey(bookie: &Path, output: &Path) -> PathBuf {
    let arguments = ["survey-bookie", bookie.to_str().unwrap(), "-o", output.to_str().unwrap()];
    dr::run(bookie, arguments).expect_code(0);
    output.to_owned()
}

/// The data of all ZNodes below a path, except bookies that run.
fn below(znodes: &EmbeddedZNodes, root: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let Some(node) = znodes.get(&path).unwrap() else { continue };
        let children = znodes.children(&path).unwrap().unwrap_or_default();
        pending.extend(children.into_iter().map(|child| format!("{path}/{child}")));
        if !path.contains("/available/127") {
            found.insert(path, node.data);
        }
    }
    found
}

/// What the disks of all bookies but these restore in one step.
fn restored_by_disks(capture: &str, bookies: &CapturedBookies, lost: &[usize]) -> (Place, EmbeddedZNodes) {
    let place = Place::new(capture);
    let mut arguments = vec!["--yes".to_owned(), "--run-directory".to_owned(), "run".to_owned()];
    for (number, bookie) in bookies.bookies.iter().enumerate() {
        let text = bookie.to_str().unwrap().to_owned();
        let (flag, value) =
            if lost.contains(&number) { ("--lost-bookies", id_of(bookie)) } else { ("--bookie-disks", text) };
        arguments.extend([flag.to_owned(), value]);
    }
    place.dr("recover", &arguments.iter().map(String::as_str).collect::<Vec<_>>()).expect_code(0);
    let znodes = EmbeddedZNodes::open(place.path("tier1")).unwrap();
    (place, znodes)
}

#[test]
fn two_steps_by_surveys_come_to_what_one_step_by_disks_comes_to() {
    for (capture, lost) in [("bookie-journals", vec![]), ("bookie-logs", vec![1])] {
        let surveyed = Surveyed::new(capture);
        let (_place, by_disks) = restored_by_disks(capture, &surveyed.bookies, &lost);
        let (code, text) = surveyed.recover(&lost);
        assert!(code == 1 && text.contains("error[bookies-stopped]: the first of two steps is done"), "{code} {text}");
        assert!(text.contains("NO segment store") && text.contains("--directory"), "{text}");
        let plan = Plan::load(&surveyed.place.path("run")).unwrap();
        assert!(plan.awaits_bookies() && plan.restored.len() == 4, "{:?}", plan.restored);
        let znodes = surveyed.znodes();
        assert!(below(&znodes, LEDGERS) == below(&by_disks, LEDGERS), "{capture}, without {lost:?}");
        surveyed.assert_stores_are_kept_away();
        assert!(znodes.get("/pravega/lab/counter").unwrap().is_none(), "what controllers kept comes later");

        let (code, text) = surveyed.recover(&lost);
        assert!(code == 1 && text.contains("error[bookies-stopped]"), "the bookies do not run: {code} {text}");
        assert!(text.contains(&id_of(&surveyed.bookies.bookies[0])), "{text}");
        surveyed.serve(&lost, |_, _, _| {});
        let (code, text) = surveyed.recover(&lost);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("holds the first step, which is done"), "{text}");
        assert!(below(&znodes, "/pravega") == below(&by_disks, "/pravega"), "{capture}, without {lost:?}");
    }
}

#[test]
fn the_first_step_is_taken_back_while_no_bookie_runs() {
    let surveyed = Surveyed::new("bookie-journals");
    assert_eq!(surveyed.recover(&[]).0, 1);
    let diagnosed = surveyed.place.dr("diagnose", &[]).expect_code(5).stdout;
    assert!(diagnosed.contains("recovery-half-done") && diagnosed.contains("the first step can be taken back"));
    let (code, text) = surveyed.with(&["--yes", "--procedure", "total-loss", "--run-directory", "other"]);
    assert!(code == 3 && text.contains("error[log-exists]") && text.contains("second step"), "{code} {text}");
    surveyed.place.dr_in("rollback", &["run", "--yes"]).expect_code(0);
    assert_eq!(surveyed.znodes().children("/pravega").unwrap().unwrap_or_default(), Vec::<String>::new());
}

#[test]
fn a_log_that_is_not_whole_in_the_second_step_leads_to_the_procedure_that_builds_it_anew() {
    let surveyed = Surveyed::new("bookie-journals");
    assert_eq!(surveyed.recover(&[]).0, 1);
    surveyed.serve(&[], |ledger, entry, payload| {
        if (ledger, entry) == (15, 10) {
            payload.iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
    });
    let (code, text) = surveyed.with(&["--yes", "--run-directory", "second"]);
    assert!(code == 1 && text.contains("is not whole: ledger 15, entry 10"), "{code} {text}");
    assert!(text.contains("`partial-loss`"), "{text}");
    let arguments = ["--yes", "--accept-loss", "--run-directory", "third", "--procedure", "partial-loss"];
    let (code, text) = surveyed.with(&arguments);
    // What the entry held is in Tier-2, too.
    assert_eq!(code, 0, "{text}");
    let plan = Plan::load(&surveyed.place.path("third")).unwrap();
    assert_eq!((plan.restored.len(), plan.containers.len()), (3, 1), "{text}");
    surveyed.place.dr_in("rollback", &["third", "--yes"]).expect_code(0);
    surveyed.assert_stores_are_kept_away();
}

#[test]
fn disks_that_hold_every_entry_need_no_second_step() {
    let surveyed = Surveyed::new("bookie-logs");
    let disk = |number: usize| surveyed.bookies.bookies[number].to_str().unwrap();
    let survey = surveyed.surveys[2].to_str().unwrap();
    let arguments = ["--bookie-disks", disk(0), "--bookie-disks", disk(1), "--bookie-surveys", survey];
    let (code, text) = surveyed.with(&[&["--yes", "--run-directory", "run"], &arguments[..]].concat());
    assert_eq!(code, 0, "{text}");
    let (_place, by_disks) = restored_by_disks("bookie-logs", &surveyed.bookies, &[]);
    assert!(below(&surveyed.znodes(), "/pravega") == below(&by_disks, "/pravega"));
}

#[test]
fn surveys_that_do_not_fit_are_refused_by_name() {
    let surveyed = Surveyed::new("bookie-journals");
    let path = |number: usize| surveyed.surveys[number].to_str().unwrap();
    let refused = |arguments: &[&str], exit: i32, code: &str, named: &str| {
        let (found, text) = surveyed.with(&[&["--yes", "--run-directory", "run"], arguments].concat());
        assert!(found == exit && text.contains(&format!("error[{code}]")), "{arguments:?}: {found} {text}");
        assert!(text.contains(named) && text.contains("next:"), "{named}: {text}");
        assert!(surveyed.znodes().children("/pravega").unwrap().is_none(), "{arguments:?}: something was written");
    };
    refused(&["--bookie-surveys", path(0), path(1), path(1)], 2, "surveys-twice", path(1));
    let disk = surveyed.bookies.bookies[2].to_str().unwrap();
    refused(&["--bookie-surveys", path(2), "--bookie-disks", disk], 2, "surveys-twice", path(2));

    let spoilt = surveyed.place.path("spoilt.survey");
    let spoilt_path = spoilt.to_str().unwrap();
    let whole = fs::read(path(2)).unwrap();
    let changed = |position: usize| {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        bytes
    };
    let (of_version, of_entries, of_header) = (11, 200, whole.len() - 200);
    let truncated = whole[..whole.len() / 2].to_vec();
    for bytes in [truncated, changed(of_version), changed(of_entries), changed(of_header), b"no survey".to_vec()] {
        fs::write(&spoilt, bytes).unwrap();
        refused(&["--bookie-surveys", path(0), path(1), spoilt_path], 2, "survey-unreadable", spoilt_path);
    }
    let absent = surveyed.place.path("absent.survey");
    let absent = absent.to_str().unwrap();
    refused(&["--bookie-surveys", path(0), path(1), absent], 2, "survey-unreadable", absent);

    let password = surveyed.place.path("other.properties");
    fs::write(&password, "bookkeeper.connect.security.auth.pwd=other\n").unwrap();
    let all = ["--bookie-surveys", path(0), path(1), path(2)];
    refused(&[&all[..], &["--config", password.to_str().unwrap()]].concat(), 2, "ledger-password", path(0));
    refused(
        &["--bookie-surveys", path(0), path(1), "--lost-bookies", &id_of(&surveyed.bookies.bookies[1])],
        2,
        "bookie-not-lost",
        "",
    );

    // The third bookie is one of another cluster.
    for directory in ["journal", "ledgers"] {
        let cookie = surveyed.bookies.bookies[2].join(directory).join("current/VERSION");
        let text = fs::read_to_string(&cookie).unwrap();
        fs::write(&cookie, format!("{text}instanceId: \"14b447c5-bd97-4e5d-bcc3-fc75b5e7add9\"\n")).unwrap();
    }
    fs::remove_file(&spoilt).unwrap();
    survey(&surveyed.bookies.bookies[2], &spoilt);
    refused(&["--bookie-surveys", path(0), path(1), spoilt_path], 3, "surveys-mixed", spoilt_path);
}

#[test]
fn surveys_do_not_go_with_bookies_that_run_or_that_zookeeper_knows_otherwise() {
    let surveyed = Surveyed::new("bookie-journals");
    let znodes = surveyed.znodes();
    let running = id_of(&surveyed.bookies.bookies[1]);
    let available = format!("{LEDGERS}/available/{running}");
    znodes.create(&available, b"").unwrap();
    let before = below(&znodes, "/pravega");
    let refused = |code: &str, named: &str| {
        let (found, text) = surveyed.recover(&[]);
        assert!(found == 3 && text.contains(&format!("error[{code}]")) && text.contains(named), "{found} {text}");
    };
    refused("bookie-running", &running);
    assert!(below(&znodes, "/pravega") == before, "nothing was changed");
    znodes.delete(&available, 0).unwrap();
    let cookie = format!("{LEDGERS}/cookies/{running}");
    znodes.create(&cookie, b"4\nbookieHost: \"another\"\n").unwrap();
    refused("cookie-differs", &running);
    znodes.delete(&cookie, 0).unwrap();
    znodes.create(&format!("{LEDGERS}/INSTANCEID"), b"14b447c5-bd97-4e5d-bcc3-fc75b5e7add9").unwrap();
    refused("instance-differs", "127.0.0.1");
}

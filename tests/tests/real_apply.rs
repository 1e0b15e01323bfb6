//! `dr apply` and `dr rollback` against real ZooKeeper and bookies that are disturbed in the middle: the end is the same, byte
//! for byte.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dr_backends::tier1::{
    BookKeeper, BookKeeperOptions, LedgerAccess, Ledgers as _, ZNodes as _, ZooKeeper, ZooKeeperOptions,
};
use dr_formats::log_metadata::LogMetadata;
use dr_lab::{Lab, LabOptions, Server};
use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr::{self, Finished};
use dr_tests::real_servers::{self, must};
use rustix::process::{Pid, Signal, kill_process};

/// Kills of one application before it is left alone.
const KILLS: usize = 4;

/// How long ZooKeeper keeps the session of a dr that does not answer.
const SESSION: Duration = Duration::from_secs(10);
/// ZooKeeper looks for such sessions once in so long.
const TICK: Duration = Duration::from_secs(2);

/// What tells of each session with ZooKeeper, beside errors.
const LOG_LEVEL: &str = "error,dr_backends::tier1::zookeeper=debug";

/// Everything that a recovery changes, by name.
type State = BTreeMap<String, Vec<u8>>;

/// A captured Tier-2 as that of a lab of which only ZooKeeper and bookies run.
struct Place {
    lab: Lab,
    tree: CapturedTree,
}

impl Place {
    fn new() -> Self {
        let tree = captured::unpack("flushed");
        let mut options = LabOptions::new(tree.directory.path().join("lab"));
        // One more than a ledger needs.
        options.bookie_count = 4;
        let mut lab = must("create the lab", Lab::create(options));
        std::fs::create_dir_all(lab.tier2_directory().parent().unwrap()).unwrap();
        let _ = std::fs::remove_dir(lab.tier2_directory());
        std::fs::rename(&tree.root, lab.tier2_directory()).unwrap();
        must("start Tier-1", lab.start_tier1());
        Self { lab, tree }
    }

    fn directory(&self) -> &Path {
        self.tree.directory.path()
    }

    /// Makes a plan in a new directory.
    fn plan(&self, name: &str) -> PathBuf {
        self.try_to_plan(name).expect_code(0);
        self.directory().join(name)
    }

    fn try_to_plan(&self, name: &str) -> Finished {
        let (root, properties) = (self.lab.tier2_directory(), self.lab.properties_file());
        let words = [root.as_path(), Path::new("--config"), &properties, Path::new("--directory"), Path::new(name)];
        dr::run(self.directory(), [Path::new("plan")].into_iter().chain(words))
    }

    fn of_run(&self, command: &str, run: &Path) -> Finished {
        dr::run(self.directory(), [command, run.to_str().unwrap(), "--yes"])
    }

    fn begin_to_apply(&self, run: &Path) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(run.with_extension("log")).unwrap();
        let mut command = Command::new(dr::binary());
        command.args(["apply", run.to_str().unwrap(), "--yes", "--log-level", LOG_LEVEL]);
        command.current_dir(self.directory());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// Tier-2, ZNodes, and the entries of the logs instead of the ids of their ledgers.
    fn state(&self) -> State {
        let mut state: State = captured::content(&self.lab.tier2_directory());
        // The record of a recovery names its run directory.
        state.retain(|key, _| !key.starts_with("_dr/recoveries/"));
        let address = self.lab.zookeeper_address();
        let znodes = Arc::new(must("connect", ZooKeeper::connect(&address, ZooKeeperOptions::default())));
        let ledgers_path = "/pravega/lab/bookkeeper/ledgers";
        let access = LedgerAccess::new(ledgers_path);
        let ledgers = must("open", BookKeeper::open(znodes.clone(), access, BookKeeperOptions::default()));
        let mut pending = vec!["/".to_owned()];
        let mut ledger_count = 0;
        while let Some(path) = pending.pop() {
            let node = znodes.get(&path).unwrap().unwrap();
            let name = path.rsplit('/').next().unwrap();
            if path.starts_with(ledgers_path) {
                ledger_count += usize::from(name.starts_with('L') && name != "LAYOUT");
            } else if let Ok(log) = LogMetadata::decode(&node.data) {
                let mut bytes = log.epoch.to_be_bytes().to_vec();
                for ledger in &log.ledgers {
                    let mut keep = |_, entry: &[u8]| {
                        bytes.extend(entry);
                        Ok(())
                    };
                    ledgers.read(ledger.ledger_id, &mut keep).unwrap();
                }
                state.insert(format!("znode {path}"), bytes);
            } else {
                state.insert(format!("znode {path} of version {}", node.version), node.data);
            }
            let children = znodes.children(&path).unwrap().unwrap_or_default();
            let below = children.iter().map(|child| format!("{}/{child}", path.trim_end_matches('/')));
            pending.extend(below.filter(|child| child != "/zookeeper"));
        }
        // The nodes of ledgers share parents of which nothing is left to say but how many they are.
        state.insert("ledgers".to_owned(), vec![u8::try_from(ledger_count).unwrap()]);
        state
    }
}

fn difference(one: &State, other: &State) -> Vec<String> {
    one.keys().chain(other.keys()).filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}

/// Waits until the journal of a run says something.
fn await_in_journal(run: &Path, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default().contains(text) {
        assert!(Instant::now() < deadline, "the journal never says {text}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(150);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "dr does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The disturbed application succeeds by itself, and what it leaves is what an undisturbed one leaves.
#[track_caller]
fn ends_as(place: &Place, run: &Path, child: &mut Child, applied: &State) {
    assert!(ended(child).success(), "{}", std::fs::read_to_string(run.with_extension("log")).unwrap());
    assert_eq!(difference(applied, &place.state()), Vec::<String>::new(), "{}", run.display());
    eprintln!("{}", journal_is_whole(place, run));
}

/// Sessions with ZooKeeper that an application has had so far.
fn sessions_of(run: &Path) -> usize {
    std::fs::read_to_string(run.with_extension("log")).unwrap().matches("connected").count()
}

fn journal_is_whole(place: &Place, run: &Path) -> String {
    dr::run(place.directory(), ["audit", run.to_str().unwrap()]).expect_code(0).stdout
}

fn journal_lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default().lines().count()
}

/// SIGKILL at random moments of the same application until it ended by itself. Moments are counted in lines of the journal, of
/// which an undisturbed application writes `usual`: time differs too much from run to run.
fn killed_at_random(place: &Place, run: &Path, seed: u64, usual: usize) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    for kills in 0..KILLS {
        let lines = journal_lines(run) + random.usize(1..=usual / KILLS);
        let pause = Duration::from_micros(random.u64(0..3_000));
        let mut child = place.begin_to_apply(run);
        while journal_lines(run) < lines && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(pause);
        let is_done = child.try_wait().unwrap().is_some_and(|status| status.success());
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!("seed {seed}: kill {kills} at line {lines} and {pause:?}, done before: {is_done}");
        if is_done {
            return kills;
        }
    }
    place.of_run("apply", run).expect_code(0);
    KILLS
}

#[test]
fn an_application_that_is_disturbed_ends_as_one_that_is_not() {
    if !real_servers::are_wanted() {
        return;
    }
    let mut place = Place::new();
    let before = place.state();

    let run = place.plan("undisturbed");
    let planned = journal_lines(&run);
    place.of_run("apply", &run).expect_code(0);
    let usual = journal_lines(&run) - planned;
    let applied = place.state();
    assert!(difference(&before, &applied).len() > 20);
    assert_eq!(applied["ledgers"], [4]);
    place.of_run("rollback", &run).expect_code(0);
    assert_eq!(difference(&before, &place.state()), Vec::<String>::new(), "rolled back");

    let mut kills = 0;
    for seed in 1..=3 {
        let run = place.plan(&format!("killed-{seed}"));
        kills += killed_at_random(&place, &run, seed, usual);
        assert_eq!(difference(&applied, &place.state()), Vec::<String>::new(), "seed {seed}");
        journal_is_whole(&place, &run);
        place.of_run("rollback", &run).expect_code(0);
        assert_eq!(difference(&before, &place.state()), Vec::<String>::new(), "seed {seed}, rolled back");
    }
    assert!(kills >= 6, "only {kills} kills were in time");

    let run = place.plan("bookie");
    let mut child = place.begin_to_apply(&run);
    await_in_journal(&run, "ledger-open");
    must("kill a bookie", place.lab.kill(Server::Bookie(0)));
    ends_as(&place, &run, &mut child, &applied);
    place.of_run("rollback", &run).expect_code(0);
    must("start the bookie", place.lab.start_bookie(0));

    let run = place.plan("zookeeper");
    let mut child = place.begin_to_apply(&run);
    await_in_journal(&run, "ledger-open");
    must("kill ZooKeeper", place.lab.kill(Server::ZooKeeper));
    std::thread::sleep(Duration::from_secs(1));
    must("start ZooKeeper", place.lab.start_zookeeper());
    ends_as(&place, &run, &mut child, &applied);

    // ZooKeeper stands still for longer than the session of dr lasts.
    place.of_run("rollback", &run).expect_code(0);
    let run = place.plan("zookeeper-stands-still");
    let mut child = place.begin_to_apply(&run);
    await_in_journal(&run, "ledger-open");
    let sessions = sessions_of(&run);
    place.lab.pause(Server::ZooKeeper);
    std::thread::sleep(SESSION + TICK);
    place.lab.resume(Server::ZooKeeper);
    ends_as(&place, &run, &mut child, &applied);
    assert!(sessions_of(&run) > sessions, "its session was still there");

    // dr stands still until ZooKeeper has given up its session; the claim to the cluster is none that ends with it.
    place.of_run("rollback", &run).expect_code(0);
    let run = place.plan("dr-stands-still");
    let mut child = place.begin_to_apply(&run);
    await_in_journal(&run, "ledger-open");
    let sessions = sessions_of(&run);
    let process = Pid::from_child(&child);
    kill_process(process, Signal::STOP).unwrap();
    std::thread::sleep(SESSION + 2 * TICK);
    let other = place.try_to_plan("meanwhile");
    // Before anything that can fail: nobody else would let it go on.
    kill_process(process, Signal::CONT).unwrap();
    let refused = other.expect_code(3).stderr;
    assert!(refused.contains("error[recovery-in-progress]") && refused.contains("at this moment"), "{refused}");
    ends_as(&place, &run, &mut child, &applied);
    assert!(sessions_of(&run) > sessions, "its session was still there");

    // What a store worked on is not taken back.
    must("start the servers", place.lab.start_servers());
    must("kill the servers", place.lab.kill_servers());
    let refused = dr::run(place.directory(), ["rollback", run.to_str().unwrap(), "--yes", "--accept-live-cluster"]);
    assert!(refused.expect_code(3).stderr.contains("error[store-booted]"));
    must("take the lab down", place.lab.down());
}

//! What an operator may hand to `dr apply`: plans that were cut, edited, or belong elsewhere; run directories in use; full
//! disks. Each is refused with a reason and a next step, before anything is changed.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used)]

#[path = "bad_input/full_disk.rs"]
mod full_disk;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr::{self, Finished};
use rustix::process::{Pid, Signal, kill_process};

/// A captured tree, a plan for it in `run`, and what was there before.
struct Planned {
    tree: CapturedTree,
    before: BTreeMap<String, Vec<u8>>,
}

impl Planned {
    fn new(capture: &str) -> Self {
        let tree = captured::unpack(capture);
        let before = captured::content(&tree.root);
        let root = tree.root.to_str().unwrap();
        let words = ["plan", root, "--tier1", "dir:tier1", "--cluster", "lab", "--directory", "run"];
        let planned = dr::run(tree.directory.path(), words);
        assert!(matches!(planned.code, 0 | 4), "{}", planned.stderr);
        Self { tree, before }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree.directory.path().join(name)
    }

    fn dr(&self, words: &[&str]) -> Finished {
        dr::run(self.tree.directory.path(), words)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// The application is refused with this code and this error, and changes nothing.
    #[track_caller]
    fn refuses(&self, code: i32, error: &str, what: &str) -> String {
        let refused = self.dr(&["apply", "run", "--yes", "--accept-loss"]).expect_code(code).stderr;
        assert!(refused.contains(&format!("error[{error}]:")), "{what}: {refused}");
        assert!(refused.contains("\n  next: "), "{what}: {refused}");
        assert_eq!(captured::content(&self.tree.root), self.before, "{what}");
        assert!(!self.path("tier1/znodes/pravega/lab/segmentstore").exists(), "{what}");
        refused
    }
}

#[test]
fn plans_that_are_cut_edited_or_of_another_version() {
    let planned = Planned::new("never-flushed");
    let plan = planned.text("run/plan.json");
    for (what, content) in [
        ("cut", plan[..plan.len() / 2].to_owned()),
        ("edited", plan.replacen("\"epoch\": 2", "\"epoch\": 3", 1)),
        ("of another version", plan.replacen("\"format_version\": 2", "\"format_version\": 3", 1)),
        ("of the first version", "{\"format_version\": 1}".to_owned()),
        ("empty", String::new()),
    ] {
        assert_ne!(content, plan, "{what}");
        planned.write("run/plan.json", content);
        let why = planned.refuses(2, "plan-unreadable", what);
        assert_eq!(what.contains("version"), why.contains("its format is"), "{what}: {why}");
        for words in [&["show", "run"][..], &["rollback", "run", "--yes"]] {
            let refused = planned.dr(words).expect_code(2);
            assert!(refused.stderr.contains("error[plan-unreadable]"), "{what}: {}", refused.stderr);
        }
    }
    planned.write("run/plan.json", plan);
    planned.dr(&["apply", "run", "--yes"]).expect_code(4);
}

#[test]
fn targets_that_are_missing_cut_or_of_another_cluster() {
    let planned = Planned::new("never-flushed");
    let target = planned.text("run/target.json");
    planned.write("run/target.json", &target[..target.len() / 2]);
    planned.refuses(2, "plan-unreadable", "cut");
    planned.write("run/target.json", target.replacen("\"version\": 1", "\"version\": 7", 1));
    planned.refuses(2, "plan-unreadable", "of another version");
    planned.write("run/target.json", target.replacen("\"lab\"", "\"other\"", 1));
    planned.refuses(3, "run-directory", "of another cluster");
    let other = captured::unpack("flushed");
    let root = planned.tree.root.to_str().unwrap();
    planned.write("run/target.json", target.replacen(root, other.root.to_str().unwrap(), 1));
    let foreign = planned.refuses(3, "evidence-changed", "of another Tier-2");
    assert!(foreign.contains(" added (") && foreign.contains(" gone ("), "{foreign}");
    std::fs::remove_file(planned.path("run/target.json")).unwrap();
    planned.refuses(2, "plan-unreadable", "missing");
}

#[test]
fn images_and_evidence_that_are_missing_or_edited() {
    let planned = Planned::new("never-flushed");
    let image = std::fs::read(planned.path("run/container-3.log")).unwrap();
    let mut edited = image.clone();
    *edited.last_mut().unwrap() ^= 1;
    for (what, content) in [("edited", &edited[..]), ("cut", &image[..image.len() - 1]), ("empty", &[])] {
        planned.write("run/container-3.log", content);
        let refused = planned.refuses(1, "image-changed", what);
        assert!(refused.contains("container-3.log"), "{what}: {refused}");
    }
    std::fs::remove_file(planned.path("run/container-3.log")).unwrap();
    planned.refuses(1, "image-changed", "missing");
    planned.write("run/container-3.log", image);

    let evidence = planned.text("run/evidence.jsonl");
    planned.write("run/evidence.jsonl", evidence.replacen("\"size\":", "\"size\":2", 1));
    planned.refuses(2, "plan-unreadable", "evidence edited");
    std::fs::remove_file(planned.path("run/evidence.jsonl")).unwrap();
    planned.refuses(2, "plan-unreadable", "evidence missing");
    planned.write("run/evidence.jsonl", evidence);

    // Nothing was begun, so there is nothing to take back, and the plan is as good as before.
    let nothing = planned.dr(&["rollback", "run", "--yes"]).expect_code(3);
    assert!(nothing.stderr.contains("error[nothing-applied]"), "{}", nothing.stderr);
    planned.dr(&["apply", "run", "--yes"]).expect_code(4);
}

#[test]
fn a_journal_that_was_edited_cut_or_reordered_is_refused_and_told_by_audit() {
    let planned = Planned::new("never-flushed");
    let whole = planned.dr(&["audit", "run"]).expect_code(0).stdout;
    for expected in ["command-begun", "surveyed", "procedure-ran", "plan-made", "The journal is whole"] {
        assert!(whole.contains(expected), "{expected}: {whole}");
    }
    let journal = planned.text("run/journal.jsonl");
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    let edits = [
        ("edited", journal.replacen("\"objects\":", "\"objects\":1", 1), "line 2: edited"),
        ("without a line", [lines[0], &lines[2..].concat()].concat(), "line 2: line 2 is missing"),
        ("shorter", lines[..3].concat(), "missing at the end"),
        ("swapped", [lines[0], lines[2], lines[1], &lines[3..].concat()].concat(), "line 3: line 2 stands where"),
    ];
    for (what, content, expected) in edits {
        planned.write("run/journal.jsonl", content);
        planned.refuses(2, "journal-broken", what);
        let told = planned.dr(&["audit", "run"]).expect_code(5).stdout;
        assert!(told.contains(&format!("BROKEN {expected}")) || told.contains(expected), "{what}: {told}");
    }
    planned.write("run/journal.jsonl", &journal);
    planned.dr(&["apply", "run", "--yes"]).expect_code(4);
    let json = planned.dr(&["audit", "run", "--output", "json"]).expect_code(0).stdout;
    for expected in ["\"ledger-open\"", "\"event\":\"verified\"", "\"event\":\"journal-checked\"", "\"breaks\":[]"] {
        assert!(json.contains(expected), "{expected}: {json}");
    }
    let missing = planned.dr(&["audit", "absent"]).expect_code(2);
    assert!(missing.stderr.contains("error[journal-missing]"), "{}", missing.stderr);
}

#[test]
fn a_run_directory_that_a_running_dr_uses_is_refused_at_once() {
    let planned = Planned::new("never-flushed");
    let held = std::fs::File::open(planned.path("run/journal.jsonl")).unwrap();
    held.lock().unwrap();
    let refused = planned.refuses(3, "lock-held", "held");
    assert!(refused.contains("has its journal open") && refused.contains("retry:"), "{refused}");
    drop(held);
    planned.dr(&["apply", "run", "--yes"]).expect_code(4);
}

/// While it waits for room, it is interrupted: it says how to go on, and that goes on.
#[test]
fn a_signal_is_answered_with_the_command_that_goes_on() {
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15)] {
        let planned = Planned::new("flushed");
        let mut shell = Command::new("bash");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" apply run --yes"]).arg(dr::binary());
        shell.current_dir(planned.tree.directory.path());
        let mut child = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("trying again") {
            assert_ne!(errors.read_line(&mut said).unwrap(), 0, "it ended before: {said}");
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        errors.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(number), "{said}");
        assert!(said.contains("error[interrupted]: plan "), "{said}");
        let run = planned.path("run").canonicalize().unwrap();
        let next = format!(
            "apply {0}, or take back what was done with: {1} rollback {0}",
            run.display(),
            dr::binary().display()
        );
        assert!(said.contains(&next), "{next}: {said}");
        planned.dr(&["apply", run.to_str().unwrap(), "--yes"]).expect_code(0);
        planned.dr(&["audit", "run"]).expect_code(0);
    }
}

/// Files cannot grow beyond a limit, as on a full disk; the same command goes on when there is room.
#[test]
fn a_full_disk_stops_cleanly_and_the_same_command_goes_on() {
    let undisturbed = Planned::new("flushed");
    undisturbed.dr(&["apply", "run", "--yes"]).expect_code(0);
    let planned = Planned::new("flushed");
    let mut stopped = 0;
    for kibibytes in [1, 4, 8, 16, 64, 150] {
        let script = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" apply run --yes --retry-for 0");
        let mut shell = Command::new("bash");
        shell.arg("-c").arg(script).arg(dr::binary()).current_dir(planned.tree.directory.path());
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let Some(code) = output.status.code() else { panic!("{kibibytes}: a signal ended it: {errors}") };
        stopped += usize::from(code != 0);
        assert!(code == 0 || (errors.contains("\n  next: ") && errors.contains("File too large")), "{errors}");
    }
    assert!(stopped >= 4, "only {stopped} were stopped");
    planned.dr(&["apply", "run", "--yes"]).expect_code(0);
    let after = |planned: &Planned| {
        let mut content = captured::content(&planned.tree.root);
        content.retain(|key, _| !key.starts_with("_dr/recoveries/"));
        content
    };
    assert!(after(&planned) == after(&undisturbed));
    planned.dr(&["audit", "run"]).expect_code(0);
    planned.dr(&["rollback", "run", "--yes"]).expect_code(0);
    assert!(captured::content(&planned.tree.root) == planned.before);
}

/// A store that is not there, or a cluster of which nothing tells what it should be.
#[test]
fn a_running_cluster_that_cannot_be_asked() {
    let planned = Planned::new("flushed");
    let root = planned.tree.root.to_str().unwrap();
    let refused = |more: &[&str], code: i32, error: &str| {
        let words = [&["verify", root, "--tier1", "dir:tier1", "--cluster", "lab", "--online"], more].concat();
        let refused = planned.dr(&words).expect_code(code).stderr;
        assert!(refused.contains(&format!("error[{error}]:")) && refused.contains("\n  next: "), "{more:?}: {refused}");
        refused
    };
    assert!(refused(&[], 2, "plan-unreadable").contains("--plan DIR"));
    refused(&["--plan", "run"], 2, "tier1-absent");
    std::fs::create_dir(planned.path("tier1")).unwrap();
    assert!(refused(&["--plan", "run"], 1, "store-unavailable").contains("--store HOST:PORT"));
    let silent = refused(&["--plan", "run", "--store", "127.0.0.1:1"], 1, "store-unavailable");
    assert!(silent.contains("127.0.0.1:1") && silent.contains("retry:"), "{silent}");
    std::fs::remove_file(planned.path("run/container-2.log")).unwrap();
    refused(&["--plan", "run", "--store", "127.0.0.1:1"], 1, "image-changed");
    assert_eq!(captured::content(&planned.tree.root), planned.before);
    planned.dr(&["verify", root, "--store", "127.0.0.1:1"]).expect_code(2);
}

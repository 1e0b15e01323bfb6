//! The built `dr` on captured trees with the embedded Tier-1: what an operator sees and what lies on the disk afterwards.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "captured_trees/bookies.rs"]
mod bookies;
#[path = "captured_trees/hostile.rs"]
mod hostile;
#[path = "captured_trees/restored.rs"]
mod restored;
#[path = "captured_trees/surveyed.rs"]
mod surveyed;
#[path = "captured_trees/survivors.rs"]
mod survivors;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr::{self, Finished};
use dr_tests::golden;

/// A captured tree with an empty embedded Tier-1 beside it.
struct Place {
    tree: CapturedTree,
}

impl Place {
    fn new(capture: &str) -> Self {
        Self { tree: captured::unpack(capture) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree.directory.path().join(name)
    }

    /// Runs `dr COMMAND ROOT --tier1 dir:tier1 --cluster lab MORE...`.
    fn dr(&self, command: &str, more: &[&str]) -> Finished {
        let root = self.tree.root.to_str().unwrap();
        let mut arguments = vec![command, root, "--cluster", "lab"];
        if command != "list-segments" {
            arguments.extend(["--tier1", "dir:tier1"]);
        } else {
            arguments.truncate(2);
        }
        arguments.extend_from_slice(more);
        dr::run(self.tree.directory.path(), arguments)
    }

    /// Runs `dr COMMAND MORE...`.
    fn dr_in(&self, command: &str, more: &[&str]) -> Finished {
        dr::run(self.tree.directory.path(), [&[command], more].concat())
    }

    fn tier2(&self) -> BTreeMap<String, Vec<u8>> {
        captured::content(&self.tree.root)
    }

    /// ZNodes and ledgers of the embedded Tier-1, bookkeeping of the directory itself left out.
    fn tier1_has_log(&self) -> bool {
        self.path("tier1/znodes/pravega/lab/segmentstore").exists()
    }
}

/// Files of a plan's directory, without its journal: that has times in it.
fn plan_files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = captured::content(directory);
    files.retain(|name, _| !name.starts_with("journal."));
    files
}

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests")
}

#[test]
fn a_recovery_moves_the_old_metadata_and_nothing_else() {
    let place = Place::new("flushed");
    let before = place.tier2();
    let list = place.dr("list-segments", &["--output", "csv"]).expect_code(0).stdout;
    let columns = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let listed: Vec<_> = list.lines().map(columns).collect();
    let living: Vec<&str> = listed.iter().filter(|row| row[6] == "live").map(|row| row[0].as_str()).collect();
    assert!(listed.iter().any(|row| row[0] == "alpha/deleted/1.#epoch.0" && row[6] == "deleted"), "{list}");
    place.dr("recover", &["--yes", "--run-directory", "run"]).expect_code(0);
    let after = place.tier2();
    let mut not_needed = BTreeSet::new();
    for (key, content) in &before {
        let is_metadata = key.starts_with("_system/containers/") && !key.contains("event_processor");
        let name = key.rsplit_once(".E-").map_or("", |(name, _)| name.trim_end_matches("$attributes.index"));
        let moved = after.iter().find(|(new, _)| new.starts_with("_dr/moved-aside/") && new.ends_with(key.as_str()));
        let is_leftover = moved.is_some_and(|(new, _)| new.contains(".leftovers/"));
        // A reader group begins anew, so that the objects of its old state belong to nobody.
        let is_old_state = key.contains("/_RG") && !key.starts_with("_system/") && !key.contains("$attributes.index");
        assert!(is_leftover || !(key.starts_with("alpha/deleted/") || is_old_state), "{key}");
        if is_leftover {
            assert!(moved.is_some_and(|(_, moved)| moved == content), "{key} changed when it moved");
            if living.contains(&name) && !is_old_state {
                not_needed.insert(name.to_owned());
            }
            assert!(!after.contains_key(key), "{key} stayed in place");
        } else if is_metadata {
            assert!(!after.contains_key(key), "{key} stayed in place");
            assert!(moved.is_some_and(|(_, moved)| moved == content), "{key} changed when it moved");
        } else {
            assert!(after.get(key) == Some(content), "{key}");
        }
    }
    // What had been truncated away and not been removed yet.
    let truncated = ["emptied/0.#epoch.0", "truncated/0.#epoch.0", "truncated/1.#epoch.0"].map(str::to_owned);
    let scaled = [3, 4].map(|number| format!("scaled-truncated/{number}.#epoch.1"));
    // Two transactions were open, and are aborted.
    let aborted = [8, 9].map(|number| format!("transactions/4.#epoch.1#transaction.{:032x}", (1u128 << 96) + number));
    let expected = truncated.iter().chain(&scaled).chain(&aborted).map(|name| format!("alpha/{name}"));
    assert_eq!(not_needed, expected.collect());
    let added = after.keys().filter(|key| !before.contains_key(*key) && !key.starts_with("_dr/")).count();
    assert_eq!(added, 0, "objects were added outside _dr/");
    place.dr("verify", &[]).expect_code(0);
}

#[test]
fn a_dry_run_changes_nothing_and_its_plan_can_be_carried_out() {
    let place = Place::new("flushed");
    let before = place.tier2();
    let shown = place.dr("recover", &["--dry-run", "--run-directory", "run"]).expect_code(0);
    assert!(shown.stdout.contains("What will change"), "{}", shown.stdout);
    assert_eq!(place.tier2(), before);
    assert!(!place.path("tier1").exists());
    place.dr("recover", &["--yes", "--run-directory", "run"]).expect_code(0);
    place.dr("verify", &[]).expect_code(0);
}

#[test]
fn a_plan_is_made_shown_applied_and_rolled_back_by_its_directory() {
    let place = Place::new("flushed");
    let before = place.tier2();
    let directory = place.tree.directory.path();
    place.dr("plan", &["--directory", "run"]).expect_code(0);
    assert_eq!(place.tier2(), before);
    assert!(!place.path("tier1").exists());
    let again = place.dr("plan", &["--directory", "run"]).expect_code(3);
    assert!(again.stderr.contains("error[run-directory]"), "{}", again.stderr);
    let shown = dr::run(directory, ["show", "run"]).expect_code(0);
    assert!(shown.stdout.contains("What will change"), "{}", shown.stdout);
    let nothing = dr::run(directory, ["rollback", "run", "--yes"]);
    assert_ne!(nothing.code, 0, "{}", nothing.stdout);

    // From anywhere: the plan's directory knows the rest.
    let run = place.path("run");
    let elsewhere = place.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    dr::run(&elsewhere, ["apply", run.to_str().unwrap(), "--yes"]).expect_code(0);
    place.dr("verify", &[]).expect_code(0);
    assert!(place.tier1_has_log());
    dr::run(&elsewhere, ["rollback", run.to_str().unwrap(), "--yes"]).expect_code(0);
    assert_eq!(place.tier2(), before);
    assert!(!place.tier1_has_log());
    let refused = dr::run(directory, ["apply", "run", "--yes"]).expect_code(3);
    assert!(refused.stderr.contains("error[rolled-back]"), "{}", refused.stderr);
    // What was rolled back can be recovered anew.
    place.dr("recover", &["--yes", "--run-directory", "new"]).expect_code(0);
}

#[test]
fn the_difference_of_two_plans_is_what_the_settings_change() {
    let place = Place::new("crashed");
    place.dr("plan", &["--directory", "first"]).expect_code(4);
    place.dr("plan", &["--directory", "same"]).expect_code(4);
    place.dr("plan", &["--directory", "second", "--set", "unrecorded=create"]).expect_code(0);
    let diff = |second: &str| dr::run(place.tree.directory.path(), ["diff", "first", second]).expect_code(0).stdout;
    assert!(diff("same").contains("the same, byte for byte"), "{}", diff("same"));
    let text = diff("second");
    for expected in
        ["unrecorded=report", "unrecorded=create", "Losses of the first alone", "Decisions of the second alone"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn two_runs_over_the_same_evidence_give_the_same_plan() {
    let place = Place::new("crashed");
    for run in ["first", "second"] {
        place.dr("recover", &["--dry-run", "--run-directory", run]).expect_code(4);
    }
    assert_eq!(plan_files(&place.path("first")), plan_files(&place.path("second")));
}

#[test]
fn the_calls_of_the_procedure_lie_in_the_plans_directory_unless_they_are_not_wanted() {
    let place = Place::new("crashed");
    let replay = |what: &str| dr::run(place.tree.directory.path(), ["replay", what]);
    place.dr("plan", &["--directory", "one", "--parallel", "1"]).expect_code(4);
    place.dr("plan", &["--directory", "two", "--parallel", "4", "--record", "calls.jsonl"]).expect_code(4);
    let recording = |run: &str| std::fs::read(place.path(run).join("recording.jsonl.gz")).unwrap();
    assert_eq!(recording("one"), recording("two"));
    assert_eq!(replay("one").expect_code(0).stdout, replay("calls.jsonl").expect_code(0).stdout);
    assert!(std::fs::read_to_string(place.path("calls.jsonl")).unwrap().starts_with(r#"{"recording":1,"#));

    place.dr("plan", &["--directory", "none", "--no-recording"]).expect_code(4);
    let refused = replay("none").expect_code(2);
    assert!(refused.stderr.contains("error[recording-unreadable]"), "{}", refused.stderr);
    assert!(refused.stderr.contains("without --no-recording"), "{}", refused.stderr);
}

#[test]
fn a_plan_whose_procedure_failed_leaves_the_calls_that_it_made() {
    let place = Place::new("never-flushed");
    let misbehaving = guests().join("misbehaving.wasm");
    let procedure = misbehaving.to_str().unwrap();
    let grant = "storage.move-aside,containers.open-fresh-container,coordination.create,bookies.register-bookies,ledgers.keep-ledgers,logs.restore-log";
    let more = ["--directory", "run", "--procedure", procedure, "--set", "how=give-up", "--grant", grant];
    place.dr("plan", &more).expect_code(1);
    assert!(place.path("run/recording.jsonl.gz").is_file() && !place.path("run/plan.json").exists());
    dr::run(place.tree.directory.path(), ["replay", "run", procedure]).expect_code(0);
}

#[test]
fn segments_are_listed_as_table_json_and_csv_and_by_container() {
    let place = Place::new("flushed");
    let table = place.dr("list-segments", &[]).expect_code(0).stdout;
    let csv = place.dr("list-segments", &["--output", "csv", "--group-by-container", "groups"]).expect_code(0).stdout;
    let json = place.dr("list-segments", &["--output", "json"]).expect_code(0).stdout;
    let rows: Vec<&str> = csv.lines().skip(1).collect();
    assert!(rows.len() > 500, "{} segments", rows.len());
    let scopes = ["alpha/", "_system/_tables/", "tables/"];
    for text in [&table, &csv, &json] {
        assert!(scopes.iter().all(|scope| text.contains(scope)));
    }
    let mut grouped = 0;
    for container in 0..4 {
        let file = std::fs::read_to_string(place.path("groups").join(format!("segToContainer_{container}"))).unwrap();
        grouped += file.lines().count() - 1;
    }
    assert_eq!(grouped, rows.len());
    let again = place.dr("list-segments", &["--group-by-container", "groups"]);
    assert_ne!(again.code, 0, "existing files were overwritten");
}

#[test]
fn a_container_count_that_contradicts_the_data_is_refused() {
    let place = Place::new("flushed");
    let before = place.tier2();
    for count in ["1", "3", "5", "8", "64"] {
        let refused = place.dr("recover", &["--yes", "--container-count", count]).expect_code(3);
        assert!(refused.stderr.contains("error[container-count]"), "{count}: {}", refused.stderr);
    }
    assert_eq!(place.tier2(), before);
    place.dr("recover", &["--yes", "--container-count", "4"]).expect_code(0);
}

#[test]
fn a_tier2_that_changes_after_the_plan_is_refused() {
    let place = Place::new("flushed");
    place.dr("recover", &["--dry-run", "--run-directory", "run"]).expect_code(0);
    std::fs::write(place.tree.root.join("_system/late"), b"x").unwrap();
    let refused = place.dr("recover", &["--yes", "--run-directory", "run"]).expect_code(3);
    assert!(refused.stderr.contains("error[evidence-changed]"), "{}", refused.stderr);
    assert!(refused.stderr.contains("1 added (`_system/late`)"), "{}", refused.stderr);
    // The next command can be pasted.
    assert!(refused.stderr.contains("dr plan ") && refused.stderr.contains("--directory run-2"), "{}", refused.stderr);
    assert!(!place.tier1_has_log());
}

#[test]
fn a_log_that_exists_is_never_overwritten() {
    let place = Place::new("flushed");
    let other = Place::new("flushed");
    place.dr("recover", &["--yes"]).expect_code(0);
    let before = other.tier2();
    let tier1 = format!("dir:{}", place.path("tier1").display());
    let root = other.tree.root.to_str().unwrap();
    let arguments = ["recover", root, "--cluster", "lab", "--tier1", &tier1, "--yes"];
    let refused = dr::run(other.tree.directory.path(), arguments).expect_code(3);
    assert!(refused.stderr.contains("error[log-exists]"), "{}", refused.stderr);
    assert_eq!(other.tier2(), before);
}

#[test]
fn damaged_metadata_is_named_as_lost_and_what_is_whole_is_recovered() {
    for damage in ["cut", "zeroed"] {
        let place = Place::new("flushed");
        let chunk = place.tier2().into_keys().find(|key| key.starts_with("_system/containers/metadata_2.E-")).unwrap();
        let path = place.tree.root.join(&chunk);
        let bytes = std::fs::read(&path).unwrap();
        match damage {
            "cut" => std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
            _ => std::fs::write(&path, vec![0; bytes.len()]).unwrap(),
        }
        let planned = place.dr("plan", &["--directory", "run"]).expect_code(4);
        for expected in ["_system/containers/metadata_2", "metadata-damaged"] {
            assert!(planned.stdout.contains(expected), "{damage}: {}", planned.stdout);
        }
        let apply = |more: &[&str]| dr::run(place.tree.directory.path(), [&["apply", "run", "--yes"], more].concat());
        // Nobody is asked, and nobody can know what the damaged bytes held.
        let refused = apply(&[]).expect_code(3);
        assert!(refused.stderr.contains("error[damage-not-accepted]"), "{}", refused.stderr);
        assert!(refused.stderr.contains("--accept-loss") && !place.tier1_has_log());
        apply(&["--accept-loss"]).expect_code(4);
        place.dr("verify", &[]).expect_code(0);
    }
}

#[test]
fn a_guest_that_misbehaves_leaves_no_trace() {
    let place = Place::new("flushed");
    let before = place.tier2();
    let misbehaving = guests().join("misbehaving.wasm");
    let procedure = misbehaving.to_str().unwrap();
    for deed in ["abort", "panic", "recursion", "listings", "long-text"] {
        let set = format!("how={deed}");
        let grant = "storage.move-aside,containers.open-fresh-container,coordination.create";
        let failed = place.dr("recover", &["--yes", "--procedure", procedure, "--set", &set, "--grant", grant]);
        assert_ne!(failed.code, 0, "{deed}: {}", failed.stdout);
        assert!(failed.stderr.contains("misbehaving"), "{deed}: {}", failed.stderr);
        assert_eq!(place.tier2(), before, "{deed}");
        assert!(!place.tier1_has_log(), "{deed}");
    }
}

#[test]
fn a_stranger_stages_nothing_that_nobody_granted() {
    let place = Place::new("flushed");
    let stranger = guests().join("misbehaving.wasm");
    let plan = |more: &[&str]| {
        place.dr("plan", &[&["--directory", "run", "--procedure", stranger.to_str().unwrap()], more].concat())
    };
    let refused = plan(&[]).expect_code(3).stderr;
    let missing = "storage.move-aside,containers.open-fresh-container,coordination.create";
    for expected in
        ["error[procedure-not-granted]", &format!("--grant {missing}"), "procedure = [{ name = \"misbehaving\""]
    {
        assert!(refused.contains(expected), "{expected} is not in {refused}");
    }
    assert!(!place.path("run").exists());

    // The line that the error names is a policy.
    let line = refused.split("procedure = ").nth(1).unwrap().lines().next().unwrap();
    let policy = place.path("policy.toml");
    let write = |more: &str| std::fs::write(&policy, format!("procedure = {}", line.replace(" }]", more))).unwrap();
    let with_policy = |more: &[&str]| plan(&[&["--policy", policy.to_str().unwrap()], more].concat());
    // It moves no old metadata aside, so the host lets it close nothing.
    write(" }]");
    let failed = with_policy(&[]).expect_code(1).stderr;
    assert!(failed.contains("error[procedure-failed]") && failed.contains("stays in place"), "{failed}");
    std::fs::remove_dir_all(place.path("run")).unwrap();
    write(", containers = \"7\" }]");
    let failed = with_policy(&[]).expect_code(1).stderr;
    assert!(failed.contains("lies outside the scope `containers` that the policy grants: 7"), "{failed}");
    std::fs::remove_dir_all(place.path("run")).unwrap();
    write(", deny = [\"storage.measure\"] }]");
    let failed = with_policy(&["--grant", "storage.measure"]).expect_code(2).stderr;
    assert!(failed.contains("error[configuration-grant]"), "{failed}");
}

#[test]
fn a_policy_limits_the_built_in_procedure_too_and_the_plan_says_so() {
    let place = Place::new("flushed");
    let policy = place.path("policy.toml");
    let with_policy = |text: &str, more: &[&str]| {
        std::fs::write(&policy, text).unwrap();
        place.dr("plan", &[&["--policy", policy.to_str().unwrap()], more].concat())
    };
    let scope = |lines: &str| format!("[[procedure]]\nname = \"total-loss\"\n{lines}\n");
    let wide = scope("places = [\"_dr/moved-aside\"]\nobjects = [\"_system\"]");
    with_policy(&wide, &["--directory", "wide", "--set", "leftovers=leave"]).expect_code(0);
    let plan: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path("wide/plan.json")).unwrap()).unwrap();
    let granted = &plan["maker"]["granted"];
    assert_eq!(granted["places"], serde_json::json!(["_dr/moved-aside"]));
    assert!(granted["capabilities"].as_array().unwrap().iter().any(|name| name == "storage.move-aside"));

    for (lines, denied) in [
        ("places = [\"_dr/moved-asid\"]", "scope `places`"),
        ("znodes = []", "scope `znodes` that the policy grants: nothing"),
        ("deny = [\"coordination.create\"]", "does not let this procedure call `coordination.create`"),
        ("limits = { staged-effects = 5 }", "the limit `staged-effects` of 5 staged changes"),
    ] {
        let failed = with_policy(&scope(lines), &["--directory", "narrow"]).expect_code(1).stderr;
        assert!(failed.contains("error[procedure-failed]") && failed.contains(denied), "{lines}: {failed}");
        std::fs::remove_dir_all(place.path("narrow")).unwrap();
    }
}

#[test]
fn another_procedure_runs_instead_of_the_built_in_one() {
    let place = Place::new("flushed");
    let exported = guests().join("total-loss.wasm");
    let with_file = ["--dry-run", "--run-directory", "file", "--procedure", exported.to_str().unwrap()];
    place.dr("recover", &with_file).expect_code(0);
    place.dr("recover", &["--dry-run", "--run-directory", "built-in"]).expect_code(0);
    // The built-in procedure is an ordinary module: the same file gives the same plan.
    assert_eq!(plan_files(&place.path("file")), plan_files(&place.path("built-in")));

    let directory = place.tree.directory.path();
    std::fs::copy(&exported, place.path("signed.wasm")).unwrap();
    dr::run(directory, ["procedure", "keygen", "key"]).expect_code(0);
    dr::run(directory, ["procedure", "sign", "signed.wasm", "--key", "key"]).expect_code(0);
    let signed = ["--dry-run", "--run-directory", "signed", "--procedure", "signed.wasm"];
    place.dr("recover", &[&signed[..], &["--require-signature", "--trust", "key.pub"]].concat()).expect_code(0);
    let maker = |run: &str| {
        let plan = std::fs::read(place.path(run).join("plan.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&plan).unwrap()["maker"].clone()
    };
    let mut of_signed = maker("signed");
    let signer = of_signed.as_object_mut().unwrap().remove("signer").unwrap();
    assert_eq!((signer.as_str().unwrap().len(), of_signed), (64, maker("file")));
}

/// Names of the ZNodes below the cluster's root that a plan creates, without ids that are random in every capture.
fn created_znodes(plan: &Path) -> Vec<String> {
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(plan).unwrap()).unwrap();
    let effects = plan["effects"].as_array().unwrap();
    assert!(effects.iter().all(|effect| effect["effect"] == "create-znode"), "{effects:#?}");
    effects.iter().map(|effect| effect["path"].as_str().unwrap().replace("/pravega/lab/", "")).collect()
}

#[test]
fn what_only_controllers_knew_is_written_alone_once_and_taken_back_as_long_as_nobody_used_it() {
    let place = Place::new("flushed");
    let before = place.tier2();
    let recover = |run| place.dr("recover", &["--yes", "--procedure", "controller", "--run-directory", run]);
    let said = recover("run").expect_code(0);
    assert!(said.stdout.contains("ZNodes into") && !said.stdout.contains("container"), "{}", said.stdout);
    let created = created_znodes(&place.path("run/plan.json"));
    let host = "recovery-00000000-0000-0000-0000-000000000000";
    let of = |name: &str| format!("{name}/{host}");
    let expected = ["abortStreamReaders", "commitStreamReaders", "kvtStreamReaders", "scaleGroup"];
    let expected: Vec<String> = expected.iter().map(|group| format!("{}/{group}", of("eventProcessors"))).collect();
    assert_eq!(
        created.iter().filter(|path| path.starts_with("eventProcessors/")).cloned().collect::<Vec<_>>(),
        expected
    );
    let open =
        created.iter().filter(|path| path.starts_with(&format!("{}/alpha_%_transactions_%_", of("hostTxnIndex"))));
    assert_eq!(open.count(), 2, "{created:#?}");
    assert!(
        created.contains(&"counter".to_owned()) && created.contains(&"buckets/0/YmV0YS4yLXgvdXBkYXRlZA==".to_owned())
    );
    // Nothing was under way but the two open transactions.
    assert!(!created.iter().any(|path| path.starts_with("hostRequestIndex/") || path.starts_with("txnCommitOrderer/")));
    let unchanged: BTreeMap<_, _> = place.tier2().into_iter().filter(|(key, _)| !key.starts_with("_dr/")).collect();
    assert!(unchanged == before && !place.tier1_has_log());
    let again = recover("again").expect_code(1);
    assert!(again.stderr.contains("error[nothing-staged]"), "{}", again.stderr);

    let roll_back = || dr::run(place.tree.directory.path(), ["rollback", "run", "--yes"]);
    let counter = place.path("tier1/znodes/pravega/lab/counter");
    assert!(counter.exists(), "{:?}", counter);
    roll_back().expect_code(0);
    assert!(!counter.exists());
    recover("third").expect_code(0);
}

#[test]
fn a_run_directory_or_tier1_inside_tier2_is_refused() {
    let place = Place::new("flushed");
    let before = place.tier2();
    let inside = place.tree.root.join("run");
    let refused = place.dr("recover", &["--yes", "--run-directory", inside.to_str().unwrap()]);
    assert_ne!(refused.code, 0);
    let tier1 = format!("dir:{}", place.tree.root.join("tier1").display());
    let root = place.tree.root.to_str().unwrap();
    let arguments = ["recover", root, "--cluster", "lab", "--tier1", &tier1, "--yes"];
    let refused_tier1 = dr::run(place.tree.directory.path(), arguments);
    assert_ne!(refused_tier1.code, 0);
    assert_eq!(place.tier2(), before);
}

#[test]
fn some_containers_can_be_recovered_and_then_the_rest() {
    let place = Place::new("flushed");
    place.dr("recover", &["--yes", "--containers", "0-1,3", "--run-directory", "first"]).expect_code(0);
    place.dr("recover", &["--yes", "--containers", "2", "--run-directory", "second"]).expect_code(0);
    place.dr("verify", &[]).expect_code(0);
}

#[test]
fn reader_groups_begin_anew_and_never_ahead_of_what_they_read() {
    let place = Place::new("flushed");
    // Of all segments that the half-read groups read, only the beginning is left.
    for segment in std::fs::read_dir(place.tree.root.join("alpha/fixed")).unwrap() {
        let path = segment.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        if !path.to_str().unwrap().contains("$attributes.index") && content.len() > 100 {
            std::fs::write(&path, &content[..100]).unwrap();
        }
    }
    place.dr("recover", &["--yes", "--run-directory", "run"]).expect_code(4);
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(place.path("run/plan.json")).unwrap()).unwrap();
    let decisions: Vec<&serde_json::Value> = plan["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|decision| decision["subject"].as_str().unwrap().starts_with("alpha/_RGhalf-"))
        .collect();
    assert_eq!(decisions.len(), 3, "{decisions:#?}");
    for decision in decisions {
        assert_eq!(decision["choice"], "begins anew");
        assert!(decision["reason"].as_str().unwrap().contains("had come further than what is left"), "{decision}");
    }
    place.dr("verify", &[]).expect_code(0);
}

/// What is printed from the plan to the rollback, without the places of this run, and without the plan's id, which
/// follows from the bytes of the procedure and so from the compiler.
#[test]
fn what_an_operator_reads_on_the_way_is_as_written_down() {
    for (capture, code) in [("flushed", 0), ("never-flushed", 4)] {
        let place = Place::new(capture);
        let compare = |command: &str, said: &Finished| {
            let places = [(&*place.tree.root, "ROOT"), (place.tree.directory.path(), "PLACE"), (&*dr::binary(), "dr")];
            let text = places
                .iter()
                .fold(said.stdout.clone(), |text, (path, word)| text.replace(path.to_str().unwrap(), word));
            let plan = std::fs::read(place.path("run/plan.json")).unwrap();
            let plan: serde_json::Value = serde_json::from_slice(&plan).unwrap();
            let text = text.replace(plan["id"].as_str().unwrap(), "ID");
            golden::compare(&format!("recovery/{capture}.{command}"), &text);
        };
        compare("plan", &place.dr("plan", &["--directory", "run"]).expect_code(code));
        let of_run = |command: &[&str]| dr::run(place.tree.directory.path(), command.to_vec());
        // One container after the other, so that the ids of the ledgers are the same.
        compare("apply", &of_run(&["apply", "run", "--yes", "--parallel", "1"]).expect_code(code));
        compare("verify", &place.dr("verify", &[]).expect_code(0));
        compare("rollback", &of_run(&["rollback", "run", "--yes"]).expect_code(0));
    }
}

#[test]
fn a_procedure_that_only_looks_makes_a_plan_that_cannot_be_carried_out() {
    let place = Place::new("flushed");
    let before = place.tier2();
    let looking = guests().join("benchmark.wasm");
    let plan = ["--procedure", looking.to_str().unwrap(), "--directory", "look"];
    let planned = place.dr("plan", &plan).expect_code(0);
    assert!(planned.stdout.contains("dr show look") && !planned.stdout.contains("dr apply"), "{}", planned.stdout);
    place.dr_in("show", &["look"]).expect_code(0);
    let refused = place.dr_in("apply", &["look", "--yes"]).expect_code(3);
    assert!(refused.stderr.contains("error[plan-only-reports]"), "{}", refused.stderr);
    assert_eq!(place.tier2(), before);
    assert!(!place.tier1_has_log());
}

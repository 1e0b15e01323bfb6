//! Containers whose metadata never reached Tier-2, or is lost there: every one is recovered as far as the rest tells, and
//! it is said in plain words what that means.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr;
use serde_json::Value;

/// What becomes of an object.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Deleted,
    Emptied,
}

/// Cuts the tables of these containers.
fn cut(tree: &CapturedTree, table: &str, containers: &[u32], how: Cut) {
    let mut found = 0;
    for key in captured::content(&tree.root).keys() {
        let is_cut = |container: &u32| {
            key.strip_prefix(&format!("_system/containers/{table}_{container}"))
                .is_some_and(|rest| rest.starts_with(".E-") || rest.starts_with("$attributes.index.E-"))
        };
        if containers.iter().any(is_cut) {
            match how {
                Cut::Deleted => fs::remove_file(tree.root.join(key)).unwrap(),
                Cut::Emptied => fs::write(tree.root.join(key), b"").unwrap(),
            }
            found += 1;
        }
    }
    assert!(found > 0, "{table} of {containers:?}");
}

fn run(tree: &CapturedTree, words: &[&str]) -> dr::Finished {
    let root = tree.root.to_str().unwrap();
    dr::run(
        tree.directory.path(),
        [&words[..1], &[root, "--tier1", "dir:tier1", "--cluster", "lab"], &words[1..]].concat(),
    )
}

/// Recovers, verifies, and returns what was said, and the plan.
fn recovered(tree: &CapturedTree) -> (String, Value) {
    let said = run(tree, &["recover", "--yes", "--accept-loss", "--run-directory", "run"]).expect_code(4).stdout;
    run(tree, &["verify"]).expect_code(0);
    let plan = fs::read(tree.directory.path().join("run/plan.json")).unwrap();
    (said, serde_json::from_slice(&plan).unwrap())
}

/// Containers to the tables that the plan says are not there.
fn absent(plan: &Value) -> BTreeMap<u64, BTreeSet<String>> {
    let containers = plan["containers"].as_array().unwrap().iter();
    let absent = containers.filter_map(|container| {
        let tables = container["absent_metadata"]["tables"].as_array()?;
        let name = |table: &Value| table.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        Some((container["container"].as_u64().unwrap(), tables.iter().map(name).collect()))
    });
    absent.collect()
}

fn segments(plan: &Value, container: u64) -> u64 {
    let containers = plan["containers"].as_array().unwrap();
    let found = containers.iter().find(|found| found["container"] == container).unwrap();
    found["image"]["segments"].as_u64().unwrap()
}

#[test]
fn a_never_flushed_cluster_is_told_what_that_means_and_how_to_export() {
    let tree = captured::unpack("never-flushed");
    let (said, plan) = recovered(&tree);
    assert_eq!(absent(&plan).len(), 4, "{plan}");
    for container in 0..4 {
        assert!(said.contains(&format!("WARNING: container {container} has no metadata in Tier-2")), "{said}");
        assert_eq!(segments(&plan, container), 0);
    }
    let root = tree.root.to_str().unwrap();
    let mut commands = 0;
    for line in said.lines().filter_map(|line| line.trim().strip_prefix("dr export-events ")) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], root, "{line}");
        let outcome = dr::run(tree.directory.path(), [&["export-events"], &words[..]].concat());
        // Byte streams look the same by name; the refusal says how to export them.
        let is_bytes = words[1].contains("bytes-");
        assert!(if is_bytes { outcome.code == 3 } else { matches!(outcome.code, 0 | 4) }, "{line}\n{}", outcome.stderr);
        commands += 1;
    }
    assert!(commands > 6, "{said}");
}

#[test]
fn containers_that_were_flushed_come_back_beside_one_that_was_not() {
    for how in [Cut::Deleted, Cut::Emptied] {
        let tree = captured::unpack("flushed");
        let whole = captured::unpack("flushed");
        run(&whole, &["recover", "--yes", "--run-directory", "run"]).expect_code(0);
        let complete: Value =
            serde_json::from_slice(&fs::read(whole.directory.path().join("run/plan.json")).unwrap()).unwrap();
        cut(&tree, "metadata", &[1], how);
        cut(&tree, "storage_metadata", &[1], how);
        let (said, plan) = recovered(&tree);
        let tables = ["metadata_1", "storage_metadata_1"].map(str::to_owned);
        assert_eq!(absent(&plan), BTreeMap::from([(1, BTreeSet::from(tables))]), "{how:?}");
        assert!(said.contains("WARNING: container 1") && said.contains("dr export-events"), "{said}");
        let by_controller = created(&tree, 1);
        assert!(by_controller.values().all(is_empty), "something was created by guess: {by_controller:?}");
        for container in [0, 2, 3] {
            assert_eq!(segments(&plan, container), segments(&complete, container), "{container}");
        }
        let losses = plan["losses"].as_array().unwrap();
        let is_of_container_1 = |loss: &Value| {
            loss["container"] == 1 && (loss["reason"] == "unrecorded" || loss["reason"] == "metadata-damaged")
        };
        assert!(losses.iter().all(is_of_container_1), "{losses:?}");
        assert_ne!(losses.len(), 0);
    }
}

#[test]
fn one_table_stands_in_for_the_other() {
    for (table, how) in [
        ("metadata", Cut::Deleted),
        ("metadata", Cut::Emptied),
        ("storage_metadata", Cut::Deleted),
        ("storage_metadata", Cut::Emptied),
    ] {
        let tree = captured::unpack("flushed");
        cut(&tree, table, &[2], how);
        let (said, plan) = recovered(&tree);
        assert_eq!(absent(&plan), BTreeMap::from([(2, BTreeSet::from([format!("{table}_2")]))]), "{table} {how:?}");
        assert!(said.contains("WARNING: container 2"), "{said}");
        assert!(segments(&plan, 2) > 30, "{table}: {}", segments(&plan, 2));
        eprintln!(
            "{table} {how:?}: {} segments, {} losses",
            segments(&plan, 2),
            plan["losses"].as_array().unwrap().len()
        );
    }
}

/// Segments that a run created in a container: whether they are sealed, and the range of offsets that is kept.
fn created(tree: &CapturedTree, container: u32) -> BTreeMap<String, (bool, Value)> {
    let path = tree.directory.path().join(format!("run/container-{container}.segments.jsonl"));
    let lines = fs::read_to_string(path).unwrap();
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let created = rows.filter(|row| row["fate"] == "created");
    created
        .map(|row| (row["name"].as_str().unwrap().to_owned(), (row["sealed"].as_bool().unwrap(), row["kept"].clone())))
        .collect()
}

fn is_empty((_, kept): &(bool, Value)) -> bool {
    kept["first"] == kept["end"]
}

#[test]
fn segments_without_bytes_whose_rows_are_gone_come_back_by_the_word_of_the_controller() {
    for container in 0..4 {
        let (tree, whole) = (captured::unpack("flushed"), captured::unpack("flushed"));
        run(&whole, &["recover", "--yes", "--run-directory", "run"]).expect_code(0);
        cut(&tree, "metadata", &[container], Cut::Emptied);
        recovered(&tree);
        let (mut found, mut expected) = (created(&tree, container), created(&whole, container));
        // Nobody misses leftovers of deleted streams, parts of transactions without an event, tables of epochs that are over, and
        // one that the controller creates when it needs it.
        let is_missed = |name: &String| {
            let is_over = name.contains("/transactionsInEpoch-") || name.contains("#transaction.");
            let is_of_deleted = name.contains("deleted/") || name.contains("RGreading-");
            !(is_over || is_of_deleted || name == "_system/deletingScopes")
        };
        found.retain(|name, _| is_missed(name));
        expected.retain(|name, _| is_missed(name));
        assert_eq!(found, expected, "container {container}");
        assert!(found.values().filter(|kept| is_empty(kept)).count() > 20, "container {container}: {found:#?}");
    }
}

#[test]
fn a_part_of_a_table_that_is_missing_is_named_as_lost() {
    let tree = captured::unpack("epochs");
    let before = captured::content(&tree.root);
    let part = before.keys().find(|key| key.starts_with("_system/containers/metadata_2.E-3-")).unwrap();
    fs::remove_file(tree.root.join(part)).unwrap();
    let (said, plan) = recovered(&tree);
    let losses = plan["losses"].as_array().unwrap();
    let is_of_table = |loss: &Value| {
        loss["container"] == 2
            && loss["reason"] == "metadata-damaged"
            && loss["segment"] == "_system/containers/metadata_2"
    };
    assert!(losses.iter().any(is_of_table), "{losses:?}");
    assert!(said.contains("metadata-damaged"), "{said}");
}

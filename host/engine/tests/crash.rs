//! What a crash under load leaves, on a captured tree.
// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use dr_engine::contract::{ContainerId, RecoveryHost as _, Segment};
use dr_engine::progress::Silent;
use dr_engine::staging::Staging;
use dr_formats::primitives::Writer;
use dr_formats::table::write_entry;

#[test]
fn seals_numbers_and_transactions_that_the_crash_left_behind_are_put_right() {
    let cluster = support::captured("crashed");
    let survey = cluster.survey();
    let segments: Vec<_> =
        (0..survey.container_count()).flat_map(|container| survey.segments(container).unwrap()).collect();
    let with = |finding: &str| -> Vec<&str> {
        let has = |findings: &[String]| findings.iter().any(|found| found == finding);
        let mut names: Vec<_> =
            segments.iter().filter(|segment| has(&segment.findings)).map(|segment| &*segment.name).collect();
        names.sort_unstable();
        names
    };
    // Merged and still there: each would be merged once more by a controller that goes on with its commit.
    let merged = with("merged-already");
    assert!(merged.len() > 30, "{merged:?}");
    assert!(
        merged
            .iter()
            .all(|name| name.contains("/0.#epoch.0#transaction.") || name.contains("/1.#epoch.0#transaction."))
    );
    let is_deleted =
        |name: &&str| segments.iter().any(|segment| segment.name == **name && segment.standing == "deleted");
    assert!(merged.iter().all(is_deleted));
    let (plan, run) = cluster.plan("run");
    let findings = plan.containers.iter().flat_map(|container| &container.findings);
    let ahead: u64 = findings.filter(|(name, _)| name == "event-numbers-ahead").map(|(_, count)| *count).sum();
    assert_eq!(ahead, 5);
    assert_eq!(plan.losses, vec![]);
    cluster.apply(&plan, &run).unwrap();
    assert_eq!(cluster.verify().problems, vec![]);
}

/// Cuts the object into which a transaction was copied where the copy begins, as if the store had died before the merge.
/// Returns how many bytes were cut off. The first transaction merged lends its object to the parent, so names tell little.
fn take_the_merge_back(cluster: &support::Cluster, transaction: &str) -> u64 {
    let (directory, name) = transaction.rsplit_once('/').unwrap();
    let entries = std::fs::read_dir(cluster.tier2.root().join(directory)).unwrap();
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let is_own = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}.E-"));
    let copy = std::fs::read(paths.iter().find(is_own).unwrap()).unwrap();
    let found = paths.iter().filter(|path| !is_own(path)).find_map(|path| {
        let bytes = std::fs::read(path).unwrap();
        let at = bytes.windows(copy.len()).position(|window| window == copy)?;
        Some((path, at as u64, bytes.len() as u64))
    });
    let (path, at, length) = found.expect("an object holds a copy of the transaction");
    std::fs::File::options().write(true).open(path).unwrap().set_len(at).unwrap();
    length - at
}

/// All segments with a finding, by name.
fn with_finding(cluster: &support::Cluster, finding: &str) -> Vec<Segment> {
    let survey = cluster.survey();
    let segments = (0..survey.container_count()).flat_map(|container| survey.segments(container).unwrap());
    let has = |segment: &Segment| segment.findings.iter().any(|found| found == finding);
    let mut found: Vec<_> = segments.filter(has).collect();
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The transactions of which both parts are merged already, as pairs of segments; newest last.
fn merged_pairs(cluster: &support::Cluster) -> Vec<[Segment; 2]> {
    let merged = with_finding(cluster, "merged-already");
    let second = |first: &Segment| {
        let name = first.name.replace("/0.#epoch.0#", "/1.#epoch.0#");
        merged.iter().find(|segment| segment.name == name && name != first.name).cloned()
    };
    merged.iter().filter_map(|first| Some([first.clone(), second(first)?])).collect()
}

#[test]
fn a_transaction_merged_in_one_container_is_merged_in_the_other_too() {
    let cluster = support::captured("crashed");
    let pairs = merged_pairs(&cluster);
    let [first, second] = &pairs[pairs.len() / 2];
    assert_ne!(first.container, second.container);
    let parent = |cluster: &support::Cluster| {
        let name = second.name.split_once("#transaction.").unwrap().0;
        cluster.survey().segments(second.container).unwrap().into_iter().find(|segment| segment.name == name).unwrap()
    };
    let before = parent(&cluster);
    assert!(take_the_merge_back(&cluster, &second.name) > second.length);

    let merged: Vec<_> = with_finding(&cluster, "merged-by-recovery").into_iter().map(|segment| segment.name).collect();
    assert!(merged.len() > 5 && merged.contains(&second.name), "{merged:?}");
    let after = parent(&cluster);
    assert!(after.findings.iter().any(|finding| finding == "merge-completed"), "{after:?}");
    // Nothing but these transactions stood behind the cut.
    assert_eq!((after.length, after.start_offset), (before.length, before.start_offset));
    let (plan, run) = cluster.plan("run");
    cluster.apply(&plan, &run).unwrap();
    assert_eq!(cluster.verify().problems, vec![]);
}

#[test]
fn a_transaction_that_nobody_calls_committed_stays_open() {
    let cluster = support::captured("crashed");
    let pairs = merged_pairs(&cluster);
    let [first, second] = pairs.last().unwrap();
    take_the_merge_back(&cluster, &first.name);
    take_the_merge_back(&cluster, &second.name);
    let survey = cluster.survey();
    for part in [first, second] {
        let segments = survey.segments(part.container).unwrap();
        let segment = segments.iter().find(|segment| segment.name == part.name).unwrap();
        assert_eq!(segment.standing, "unrecorded");
    }
}

#[test]
fn writers_of_a_truncated_segment_are_set_back_too() {
    let cluster = support::captured("flushed");
    let set_back = |name: &str| -> u64 {
        let (plan, _) = cluster.plan(name);
        let findings = plan.containers.iter().flat_map(|container| &container.findings);
        findings.filter(|(name, _)| *name == "event-numbers-ahead").map(|(_, count)| *count).sum()
    };
    assert_eq!(set_back("whole"), 0);
    let survey = cluster.survey();
    let segments: Vec<Segment> =
        (0..survey.container_count()).flat_map(|container| survey.segments(container).unwrap()).collect();
    let truncated = segments.iter().find(|segment| segment.name == "alpha/truncated/0.#epoch.0").unwrap();
    assert!(truncated.start_offset > 0);
    let entries = std::fs::read_dir(cluster.tier2.root().join("alpha/truncated")).unwrap();
    let is_of_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("0.#epoch.0.E-");
    let object = entries.map(|entry| entry.unwrap().path()).filter(is_of_it).max().unwrap();
    let length = object.metadata().unwrap().len();
    std::fs::File::options().write(true).open(object).unwrap().set_len(length - 1).unwrap();
    assert_eq!(set_back("cut"), 1);
}

/// Appends the truncation of the stream `alpha/truncated` at an offset of its first segment to the controller's table.
fn truncate_by_the_word_of_the_controller(cluster: &support::Cluster, offset: u64) {
    let mut cut = Writer::new();
    cut.write_single(|body| {
        body.list(&[offset], |body, offset| {
            body.i64(0);
            body.i64(i64::try_from(*offset).unwrap());
        });
        (0..3).for_each(|_| body.compact_int(0));
        body.i64(0);
        body.bool(false);
    });
    let mut row = Vec::new();
    write_entry(b"truncation", Some(&cut.finish().unwrap()), None, &mut row).unwrap();
    let entries = std::fs::read_dir(cluster.tier2.root().join("_system/_tables/alpha/truncated")).unwrap();
    let is_table = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("metadata.#.");
    let is_index = |path: &PathBuf| path.to_str().unwrap().contains("$attributes.index");
    let table = entries.map(|entry| entry.unwrap().path()).find(|path| is_table(path) && !is_index(path)).unwrap();
    std::fs::File::options().append(true).open(table).unwrap().write_all(&row).unwrap();
}

#[test]
fn a_stream_that_was_truncated_behind_all_that_is_left_goes_on_empty_from_there() {
    let cluster = support::captured("flushed");
    let truncated = || {
        let survey = cluster.survey();
        let mut segments = (0..survey.container_count()).flat_map(|container| survey.segments(container).unwrap());
        segments.find(|segment| segment.name == "alpha/truncated/0.#epoch.0").unwrap()
    };
    let offset = truncated().length + 1000;
    truncate_by_the_word_of_the_controller(&cluster, offset);
    let after = truncated();
    assert_eq!((after.start_offset, after.length), (offset, offset));
    assert!(after.findings.iter().any(|finding| finding == "truncated-behind-end"), "{after:?}");
    let (plan, run) = cluster.plan("run");
    cluster.apply(&plan, &run).unwrap();
    assert_eq!(cluster.verify().problems, vec![]);
}

#[test]
fn transactions_under_way_are_ended_and_the_tables_of_the_controller_agree() {
    let cluster = support::captured("crashed");
    let (run, survey) = (cluster.directory.path().join("run"), Arc::new(cluster.survey()));
    dr_engine::plan::create_run_directory(&run).unwrap();
    let containers: Vec<ContainerId> = (0..survey.container_count()).collect();
    let staging = Staging::new(survey, cluster.znodes.clone(), cluster.layout.clone(), &run, Arc::new(Silent));
    let mut ended = Vec::new();
    for &container in &containers {
        support::recover_container_with(&staging, container, |fresh| {
            ended.extend(fresh.end_transactions().unwrap());
            let again = fresh.end_transactions().unwrap_err().to_string();
            assert!(again.contains("were ended before"), "{again}");
        });
    }
    let outcomes: Vec<(&str, &str)> = ended.iter().map(|ended| (&*ended.status, &*ended.outcome)).collect();
    assert!(!outcomes.is_empty());
    assert!(outcomes.iter().all(|&(status, outcome)| status != "committing" || outcome == "committed"), "{ended:#?}");
    staging.tasks_done();
    let plan = staging.into_plan(support::maker(), &containers).unwrap();
    plan.save(&run).unwrap();
    let findings = plan.containers.iter().flat_map(|container| &container.findings);
    let tables: u64 = findings.filter(|(name, _)| *name == "transactions-ended").map(|(_, count)| *count).sum();
    assert!(tables >= 1, "{tables}");
    cluster.apply(&plan, &run).unwrap();
    let verification = cluster.verify();
    assert_eq!(verification.problems, vec![]);
    eprintln!("{ended:#?}");
}

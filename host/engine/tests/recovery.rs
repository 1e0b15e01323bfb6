//! Recovers captured trees with the embedded Tier-1: survey, plan, apply, verify.
// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use dr_engine::plan::{Effect, Plan};

#[test]
fn a_flushed_tree_is_recovered_whole() {
    let cluster = support::captured("flushed");
    let (plan, run) = cluster.plan("run");
    assert_eq!(plan.container_count, 4);
    assert!(plan.segments() > 50, "{} segments", plan.segments());
    let applied = cluster.apply(&plan, &run).unwrap();
    assert_eq!(applied.effects, plan.effects.len());
    let verification = cluster.verify();
    assert_eq!(verification.problems, vec![]);
    assert_eq!(verification.containers.len(), 4);
    let segments: u64 = verification.containers.iter().map(|container| container.segments).sum();
    assert_eq!(segments, plan.segments());
}

#[test]
fn the_same_evidence_gives_the_same_plan() {
    let cluster = support::captured("flushed");
    let (first, first_run) = cluster.plan("first");
    let (second, second_run) = cluster.plan("second");
    assert_eq!(first, second);
    for effect in &first.effects {
        if let Effect::WriteLog { image, .. } = effect {
            let read = |run: &std::path::Path| std::fs::read(run.join(image)).unwrap();
            assert_eq!(read(&first_run), read(&second_run));
        }
    }
    assert_eq!(Plan::load(&first_run).unwrap(), first);
}

#[test]
fn a_recovered_tree_is_not_recovered_again_before_a_store_booted() {
    let cluster = support::captured("flushed");
    let (plan, run) = cluster.plan("run");
    cluster.apply(&plan, &run).unwrap();
    let again = cluster.survey().refuse_stripped(&[0]);
    assert_eq!(again.unwrap_err().code, "recovered-already");
}

#[test]
fn a_begun_plan_goes_on_only_where_it_was_begun() {
    let first = support::captured("flushed");
    let (plan, run) = first.plan("run");
    first.apply(&plan, &run).unwrap();
    let second = support::captured("flushed");
    assert_eq!(second.apply(&plan, &run).unwrap_err().code, "plan-elsewhere");
    assert_eq!(first.apply(&plan, &run).unwrap().effects, 0);
}

#[test]
fn every_captured_tree_is_recovered_and_verifies() {
    for name in
        ["crashed", "epochs", "never-flushed", "flushed-0.12.0", "many-chunks", "stale-rows", "after-official-tool"]
    {
        let cluster = support::captured(name);
        let (plan, run) = cluster.plan("run");
        cluster.apply(&plan, &run).unwrap();
        assert_eq!(cluster.verify().problems, vec![], "{name}");
    }
}

/// The controller's word of a stream reaches Tier-2 with another container than the rows of its segments.
#[test]
fn streams_and_key_value_tables_whose_new_segments_have_no_rows_yet_can_be_used() {
    let cluster = support::captured("flushed");
    let root = cluster.tier2.root();
    let copy = |from: &str, to: &str| {
        let (directory, name) = from.rsplit_once('/').unwrap();
        let entries = std::fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().path());
        let is_it = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
        let target = root.join(to);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(entries.into_iter().find(is_it).unwrap(), target).unwrap();
    };
    let ending = "E-1-O-0.00000000-0000-0000-0000-000000000001";
    let id = "00000000-0000-0000-0000-000000000002";
    let table = |stream: &str| format!("_system/_tables/alpha/{stream}/metadata.#.");
    copy(&table("scaled"), &format!("{}{id}.{ending}", table("new")));
    copy("alpha/scaled/7.#epoch.3.E-", &format!("alpha/new/7.#epoch.3.{ending}"));
    // Two key-value tables, one without a byte; the third is being deleted.
    let key_value_table = |table: &str| format!("_system/_tables/tables/{table}/metadata.#.");
    for (from, to) in [("empty", "new-empty"), ("small-keys", "new-keys"), ("empty", "going")] {
        copy(&key_value_table(from), &format!("{}{id}.{ending}", key_value_table(to)));
    }
    copy("tables/small-keys_kvtable/0.#epoch.0.E-", &format!("tables/new-keys_kvtable/0.#epoch.0.{ending}"));
    // The newest row is that of the state, and its last byte the state: 3 is in use.
    let going = root.join(format!("{}{id}.{ending}", key_value_table("going")));
    let mut bytes = std::fs::read(&going).unwrap();
    assert_eq!(bytes.last_mut().map(|state| std::mem::replace(state, 2)), Some(3));
    std::fs::write(&going, bytes).unwrap();
    // Deleted streams were sealed before, and what their tables said is of no use.
    copy(&table("sealed"), &format!("{}{id}.{ending}", table("deleted-lately")));
    let survey = cluster.survey();
    let segments = (0..survey.container_count()).flat_map(|container| survey.segments(container).unwrap());
    let named: Vec<_> =
        segments.filter(|segment| segment.findings.contains(&"named-by-controller".to_owned())).collect();
    let mut names: Vec<_> = named.iter().map(|segment| (&*segment.name, segment.length > 0, segment.sealed)).collect();
    names.sort_unstable();
    let tables = ["epochsWithTransactions", "writersPositions"]
        .map(|name| (format!("_system/_tables/alpha/new/{name}.#.{id}"), false, false));
    let segments = [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2), (6, 2), (7, 3)]
        .map(|(number, epoch)| (format!("alpha/new/{number}.#epoch.{epoch}"), number == 7, epoch < 3));
    let of_tables = [("empty", 0), ("empty", 1), ("keys", 0), ("keys", 1)].map(|(table, number)| {
        (format!("tables/new-{table}_kvtable/{number}.#epoch.0"), (table, number) == ("keys", 0), false)
    });
    // The tables that tell of all this have no rows either.
    let telling = ["alpha/new", "tables/new-empty", "tables/new-keys"]
        .map(|owner| (format!("_system/_tables/{owner}/metadata.#.{id}"), true, false));
    let mut expected: Vec<_> = tables.into_iter().chain(segments).chain(of_tables).chain(telling).collect();
    expected.sort_unstable();
    assert_eq!(
        names,
        expected.iter().map(|(name, has_bytes, sealed)| (&**name, *has_bytes, *sealed)).collect::<Vec<_>>()
    );
    let (plan, run) = cluster.plan("run");
    cluster.apply(&plan, &run).unwrap();
    assert_eq!(cluster.verify().problems, vec![]);
}

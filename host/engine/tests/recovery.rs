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
    for name in ["crashed", "epochs", "never-flushed", "flushed-0.12.0", "many-chunks", "stale-rows"] {
        let cluster = support::captured(name);
        let (plan, run) = cluster.plan("run");
        cluster.apply(&plan, &run).unwrap();
        assert_eq!(cluster.verify().problems, vec![], "{name}");
    }
}

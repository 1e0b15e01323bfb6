//! Recovers captured trees with the embedded Tier-1: survey, plan, apply, verify.

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

//! What a crash under load leaves, on a captured tree.
// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

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

//! A generated tree is as sound as a captured one: nothing odd is found in it, nothing of it is lost, and what a recovery
//! makes of it verifies.
#![allow(clippy::unwrap_used)]

// The plain procedure and the embedded Tier-1 of the engine's own tests.
#[allow(dead_code, missing_docs, clippy::expect_used)]
#[path = "../../host/engine/tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use dr_engine::contract::Segment;
use dr_tests::captured::content;
use dr_tests::generate::{Generated, Shape, tree};
use support::Cluster;

const SMALL: Shape = Shape { containers: 4, segments: 200, stream_segment_bytes: 4096, metadata_versions: 3, seed: 7 };

fn generated(shape: &Shape) -> (Cluster, Generated) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tier2");
    let generated = tree(&root, shape).unwrap();
    (support::cluster(directory, &root, "generated"), generated)
}

fn segments(cluster: &Cluster) -> Vec<Segment> {
    let survey = cluster.survey();
    (0..survey.container_count()).flat_map(|container| survey.segments(container).unwrap()).collect()
}

#[test]
fn nothing_odd_is_found() {
    let (cluster, generated) = generated(&SMALL);
    assert!(cluster.survey().listing().unknown.is_empty());
    let (queues, segments): (Vec<_>, Vec<_>) =
        segments(&cluster).into_iter().partition(|segment| segment.kind == "garbage-collection-queue");
    assert_eq!(queues.len(), 8);
    assert_eq!(segments.len() as u64, generated.segments);
    for segment in &segments {
        assert_eq!((segment.standing.as_str(), &segment.findings[..]), ("live", &[][..]), "{}", segment.name);
    }
    let kinds: BTreeSet<&str> = segments.iter().map(|segment| segment.kind.as_str()).collect();
    assert_eq!(Vec::from_iter(kinds), ["controller-table", "key-value-table", "mark", "stream"]);
    assert!(segments.iter().any(|segment| segment.sealed));
    assert!(segments.iter().any(|segment| segment.start_offset > 0));
}

#[test]
fn a_recovery_loses_nothing_and_verifies() {
    let (cluster, generated) = generated(&SMALL);
    let before: u64 = segments(&cluster).iter().map(|segment| segment.length - segment.start_offset).sum();
    let (plan, directory) = cluster.plan("run");
    assert!(plan.losses.is_empty(), "{:?}", plan.losses);
    for container in &plan.containers {
        assert!(container.findings.is_empty(), "{:?}", container.findings);
        assert_eq!(container.completed_tables, 0);
    }
    cluster.apply(&plan, &directory).unwrap();
    let verification = cluster.verify();
    assert_eq!(verification.problems, []);
    let verified = |count: fn(&dr_engine::verify::ContainerVerification) -> u64| -> u64 {
        verification.containers.iter().map(count).sum()
    };
    assert_eq!(verified(|container| container.segments), generated.segments);
    assert_eq!(verified(|container| container.data_bytes), before);
}

#[test]
fn the_same_shape_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let [one, other, seeded] = ["one", "other", "seeded"].map(|name| directory.path().join(name));
    let first = tree(&one, &SMALL).unwrap();
    assert_eq!(first, tree(&other, &SMALL).unwrap());
    tree(&seeded, &Shape { seed: 8, ..SMALL }).unwrap();
    let files = content(&one);
    assert_eq!(files.len() as u64, first.objects);
    assert_eq!(files.values().map(|bytes| bytes.len() as u64).sum::<u64>(), first.bytes);
    assert_eq!(files, content(&other));
    assert_ne!(files, content(&seeded));
}

#[test]
fn a_directory_with_content_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("precious"), "bytes").unwrap();
    let error = tree(directory.path(), &SMALL).unwrap_err();
    assert!(error.to_string().ends_with("the directory is not empty"), "{error}");
}

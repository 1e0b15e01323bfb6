//! A seeded slice of the sweep over damaged trees; `cargo xtask sweep` runs more of it.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use dr_tests::captured;
use dr_tests::damage::{Case, Class, Outcome, Sweep, Table, Tree, cases_of, sampled};
use dr_tests::generate::{Shape, tree};

/// Cases of each run: three of each class of object and kind of damage.
const CASES: usize = 324;

/// Runs cases; none of them must fail.
fn run(sweep: &Sweep, cases: &[Case], seed: u64) -> Table {
    let mut table = Table::default();
    let mut failures = Vec::new();
    for case in cases {
        let judgement = sweep.run(case);
        table.add(case, judgement.outcome);
        if judgement.outcome.is_failure() {
            failures.push(format!("{:?}: {}, {}: {}", judgement.outcome, case.key, case.kind.as_str(), judgement.why));
        }
    }
    eprintln!("seed {seed}\n{table}");
    assert!(failures.is_empty(), "seed {seed}:\n{}", failures.join("\n"));
    table
}

fn tree_below(root: &Path) -> Tree {
    captured::content(root).into_iter().map(|(key, content)| (key, Arc::new(content))).collect()
}

fn seed() -> u64 {
    std::env::var("DAMAGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Journals, snapshots, metadata tables and their indexes of a small cluster, each damaged in every way.
#[test]
fn every_damage_to_every_metadata_object_of_a_small_tree() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tier2");
    tree(&root, &Shape { segments: 60, containers: 2, ..Shape::default() }).unwrap();
    let sweep = Sweep::new(tree_below(&root));
    let mut cases = cases_of(sweep.tree(), seed());
    cases.retain(|case| case.class.is_metadata());
    let classes: BTreeSet<Class> = cases.iter().map(|case| case.class).collect();
    assert_eq!(classes.len(), 4, "{classes:?}");
    let table = run(&sweep, &cases, seed());
    assert!(table.count(Outcome::Reported) > 20, "{table}");
}

#[test]
fn damage_is_recovered_around_or_reported_or_refused_with_a_name() {
    let sweep = Sweep::new(tree_below(&captured::unpack("flushed").root));
    let table = run(&sweep, &sampled(cases_of(sweep.tree(), seed()), CASES, seed()), seed());
    // Everything of this tree had been flushed, so there is nothing that nobody knows.
    assert!(table.count(Outcome::Untold) < 10, "{table}");
    // The harness damages what matters: if nothing were missed, nothing was damaged.
    assert!(table.count(Outcome::Reported) > 50, "{table}");
}

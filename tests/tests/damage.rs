//! A seeded slice of the sweep over damaged trees; `cargo xtask sweep` runs more of it.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::sync::Arc;

use dr_tests::captured;
use dr_tests::damage::{Outcome, Sweep, Table, cases_of, sampled};

/// Cases of each run: three of each class of object and kind of damage.
const CASES: usize = 324;

#[test]
fn damage_is_recovered_around_or_reported_or_refused_with_a_name() {
    let seed = std::env::var("DAMAGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let captured = captured::unpack("flushed");
    let objects = captured::content(&captured.root).into_iter().map(|(key, content)| (key, Arc::new(content)));
    let sweep = Sweep::new(objects.collect());
    let mut table = Table::default();
    let mut failures = Vec::new();
    for case in sampled(cases_of(sweep.tree(), seed), CASES, seed) {
        let judgement = sweep.run(&case);
        table.add(&case, judgement.outcome);
        if judgement.outcome.is_failure() {
            failures.push(format!("{:?}: {}, {}: {}", judgement.outcome, case.key, case.kind.as_str(), judgement.why));
        }
    }
    eprintln!("seed {seed}\n{table}");
    assert!(failures.is_empty(), "seed {seed}:\n{}", failures.join("\n"));
    // The harness damages what matters: if nothing were missed, nothing was damaged.
    assert!(table.count(Outcome::Reported) > 50, "{table}");
}

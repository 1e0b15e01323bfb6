//! Damages every object of a captured tree in every way, or a seeded sample: `damage-sweep <tree> <seed> <cases>`; 0 cases
//! are all. Prints what must not happen as it happens, and a table at the end.
// Printing is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Arc;

use dr_tests::captured;
use dr_tests::damage::{Sweep, Table, cases_of, sampled};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tree, seed, count] = &arguments[..] else { return refuse("three arguments are needed") };
    let (Ok(seed), Ok(count)) = (seed.parse(), count.parse()) else { return refuse("not a number") };
    let captured = captured::unpack(tree);
    let objects = captured::content(&captured.root).into_iter().map(|(key, content)| (key, Arc::new(content)));
    let sweep = Sweep::new(objects.collect());
    let all = cases_of(sweep.tree(), seed);
    let cases = if count == 0 { all } else { sampled(all, count, seed) };
    println!("tree {tree}, seed {seed}, {} cases", cases.len());
    let mut table = Table::default();
    let mut failures = 0;
    for case in &cases {
        let judgement = sweep.run(case);
        table.add(case, judgement.outcome);
        if judgement.outcome.is_failure() || std::env::var_os("DAMAGE_SWEEP_VERBOSE").is_some() {
            println!("{}: {}, {}: {}", judgement.outcome.as_str(), case.key, case.kind.as_str(), judgement.why);
        }
        failures += u64::from(judgement.outcome.is_failure());
    }
    println!("\n{table}");
    if failures == 0 { ExitCode::SUCCESS } else { refuse(&format!("{failures} cases must not end like this")) }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("damage-sweep: {why}");
    ExitCode::FAILURE
}

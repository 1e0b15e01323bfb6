//! Damage to the objects of a Tier-2, and what a recovery makes of it: a sweep over objects and kinds of damage.
//!
//! Each case damages one object (two for a swap) of a sound tree, recovers it with the built-in procedure into memory and
//! a directory, verifies the result, and compares it with the recovery of the sound tree: whatever is missing must be
//! named in the plan ([`judge`]).
// A harness of tests: where the sound tree itself fails, a panic is the way to say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod case;
mod judge;
mod recovery;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

pub use case::{Case, Class, Kind, Tree, cases_of, sampled};
pub use judge::{Judgement, Outcome};
pub use recovery::{Bench, Ending, Part, Recovered, Segment, segments_of};

/// Longest time that one case may take; a recovery of the trees used takes well below a second.
const CASE_TIME_MAX: Duration = Duration::from_secs(120);

/// A tree and its undamaged recovery, to compare with.
pub struct Sweep {
    bench: Arc<Bench>,
    tree: Arc<Tree>,
    sound: Arc<Recovered>,
}

impl Sweep {
    /// Recovers the sound tree.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        let bench = Arc::new(Bench::new());
        let sound = match bench.recover(&tree) {
            Ending::Recovered(recovered) => *recovered,
            Ending::Refused(error) => panic!("the sound tree is refused: {error}"),
        };
        assert!(sound.problems.is_empty(), "the sound tree: {:?}", sound.problems);
        Self { bench, tree: Arc::new(tree), sound: Arc::new(sound) }
    }

    /// The sound tree.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Runs one case, on a thread of its own so that a panic or a hang is an outcome like any other.
    #[must_use]
    pub fn run(&self, case: &Case) -> Judgement {
        let (sender, receiver) = mpsc::channel();
        let (bench, tree, sound, case) = (self.bench.clone(), self.tree.clone(), self.sound.clone(), case.clone());
        std::thread::spawn(move || {
            let ending = bench.recover(&case.damaged(&tree));
            // The receiver is gone if the time was over.
            let _ = sender.send(judge::judge(&sound, &ending, &case));
        });
        match receiver.recv_timeout(CASE_TIME_MAX) {
            Ok(judgement) => judgement,
            Err(mpsc::RecvTimeoutError::Disconnected) => Judgement::of(Outcome::Panicked, String::new()),
            Err(mpsc::RecvTimeoutError::Timeout) => Judgement::of(Outcome::Hung, String::new()),
        }
    }
}

/// Outcomes counted by class of object and by kind of damage.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<(Class, Kind), BTreeMap<Outcome, u64>>);

impl Table {
    /// Counts one case.
    pub fn add(&mut self, case: &Case, outcome: Outcome) {
        *self.0.entry((case.class, case.kind)).or_default().entry(outcome).or_default() += 1;
    }

    /// Cases with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.0.values().filter_map(|outcomes| outcomes.get(&outcome)).sum()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |formatter: &mut std::fmt::Formatter<'_>, name: String, outcomes: &BTreeMap<Outcome, u64>| {
            write!(formatter, "{name:<42}")?;
            Outcome::ALL
                .iter()
                .try_for_each(|outcome| write!(formatter, "{:>10}", outcomes.get(outcome).copied().unwrap_or(0)))?;
            writeln!(formatter)
        };
        write!(formatter, "{:<42}", "object, damage")?;
        Outcome::ALL.iter().try_for_each(|outcome| write!(formatter, "{:>10}", outcome.as_str()))?;
        writeln!(formatter)?;
        let mut all = BTreeMap::new();
        for ((class, kind), outcomes) in &self.0 {
            line(formatter, format!("{}, {}", class.as_str(), kind.as_str()), outcomes)?;
            outcomes.iter().for_each(|(outcome, count)| *all.entry(*outcome).or_default() += count);
        }
        line(formatter, "all".to_owned(), &all)
    }
}

//! `cargo xtask sweep`: damages every object of a captured tree in every way and recovers it, or a seeded sample of that.

use std::path::Path;
use std::process::Command;

use crate::error::TaskError;
use crate::process;

const HELP: &str = "\
usage: cargo xtask sweep [--tree NAME] [--seed S] [--cases N]
  --tree NAME   captured tree below tests/data (flushed)
  --seed S      decides which bits flip and which cases are taken (1)
  --cases N     how many, spread over all objects and kinds of damage; 0 are all (0)";

/// Runs the sweep as a program of its own, so that the project tasks need not be built with the engine.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    let (mut tree, mut seed, mut cases) = ("flushed", "1", "0");
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--tree" => tree = value,
            [name, value] if name == "--seed" => seed = value,
            [name, value] if name == "--cases" => cases = value,
            _ => return Err(TaskError::Other(HELP.to_owned())),
        }
    }
    let mut sweep = Command::new("cargo");
    sweep.args(["run", "--quiet", "--workspace", "--bin", "damage-sweep", "--locked", "--", tree, seed, cases]);
    process::run(sweep.current_dir(root))
}

//! `cargo xtask fuzz`: every decoder on mutated inputs, see `tests/fuzz`.

use std::path::Path;
use std::process::Command;

use crate::error::TaskError;
use crate::process;

/// Runs the fuzzer, which explains its own options.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    let mut fuzz = Command::new("cargo");
    fuzz.args(["run", "--quiet", "--profile", "fuzz", "--package", "dr-fuzz", "--locked", "--"]);
    process::run(fuzz.args(arguments).current_dir(root))
}

//! `cargo xtask bench guests`: what procedures cost apart from what they ask for, in Rust, Python and JavaScript.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::TaskError;
use crate::{examples, process, setup};

const USAGE: &str = "usage: cargo xtask bench guests [--dev]
  --dev    with the profile of the tests, which is compiled already; only the guests' own time is that of a release";

/// Builds the guests and measures them.
pub(super) fn run(root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    let (build, directory): (&[&str], _) = match arguments {
        [] => (&["build", "--locked", "--release", "--package", "dr-tests", "--bin", "bench-guests"], "release"),
        // As the tests are built, so that nothing is compiled again with other features.
        [word] if word == "--dev" => (&["build", "--locked", "--workspace", "--all-targets"], "debug"),
        _ => return Err(TaskError::Other(USAGE.to_owned())),
    };
    let toolchain = setup::run(root)?;
    examples::build(root, &toolchain)?;
    process::run(Command::new("cargo").args(build).current_dir(root))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    process::run(Command::new(target.join(directory).join("bench-guests")).arg(root.join("target/guests")))
}

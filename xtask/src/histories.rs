//! `cargo xtask histories`: long and odd lives of clusters on real servers, see `tests/src/histories.rs`.

use std::path::Path;
use std::process::Command;

use crate::error::TaskError;
use crate::{process, setup};

const HELP: &str = "\
usage: cargo xtask histories [--only NAME]...
  --only NAME   only this history; an unknown name shows them all. Needs Java and Maven, and minutes for each";

/// Builds `dr` and runs the histories as a program of their own.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    let mut names = Vec::new();
    for pair in arguments.chunks(2) {
        match pair {
            [option, name] if option == "--only" => names.push(name),
            _ => return Err(TaskError::Other(HELP.to_owned())),
        }
    }
    setup::run(root)?;
    // All binaries with the features of the whole workspace, as the tests are built.
    process::run(Command::new("cargo").args(["build", "--workspace", "--bins", "--locked"]).current_dir(root))?;
    let mut histories = Command::new("cargo");
    histories.args(["run", "--quiet", "--workspace", "--bin", "histories", "--locked", "--"]).args(names);
    process::run(histories.current_dir(root))
}

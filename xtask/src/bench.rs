//! `cargo xtask bench`: how fast `dr recover` is, on generated clusters, and where its time goes.
//!
//! Nothing here passes or fails by time: machines differ, and so does what else they do. What can be compared between
//! machines are the ratios, whose parts are measured in the same run: recovering against reading the same files.

mod bookie;
mod destination;
mod guests;
mod measure;
mod options;
mod table;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use self::destination::Destination;
use self::measure::Measured;
use self::options::Options;
use self::tree::Tree;
use crate::error::TaskError;
use crate::{process, setup};

/// Runs the benchmark.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    match arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("bookie", arguments)) => return bookie::run(root, arguments),
        Some(("guests", arguments)) => return guests::run(root, arguments),
        _ => {}
    }
    let options = Options::parse(arguments)?;
    let dr = match &options.dr {
        Some(dr) => fs::canonicalize(dr).map_err(TaskError::at(dr))?,
        None => build(root)?,
    };
    let place = root.join("target/bench");
    println!("{}; Tier-1 is {}", dr.display(), if options.real { "real servers" } else { "a directory" });
    table::print_head();
    for size in &options.trees {
        let tree = Tree::cached(root, &place, *size)?;
        let mut destination =
            if options.real { Destination::real(&place, size.containers)? } else { Destination::embedded(&place) };
        let mut runs = Vec::new();
        for number in 1..=options.runs {
            eprintln!("{} segments: run {number} of {}", tree.segments, options.runs);
            let directory = place.join("run");
            remove(&directory)?;
            destination.prepare()?;
            runs.push(Measured::take(&dr, &tree.root, &directory, &destination.arguments())?);
            remove(&directory)?;
        }
        table::print_rows(&tree, &runs);
    }
    table::print_legend();
    Ok(())
}

/// Builds `dr` as it is released.
fn build(root: &Path) -> Result<PathBuf, TaskError> {
    setup::run(root)?;
    println!("building dr in release (minutes at the first time)");
    let build = ["build", "--release", "--package", "dr", "--bin", "dr", "--locked"];
    process::run(Command::new("cargo").args(build).current_dir(root))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(root.join(target).join("release/dr"))
}

/// Removes a directory if it is there.
fn remove(directory: &Path) -> Result<(), TaskError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(TaskError::at(directory)(error)),
        _ => Ok(()),
    }
}

//! `cargo xtask bench`: how fast `dr recover` is, on a generated cluster and an embedded Tier-1.
//!
//! Nothing here passes or fails by time: machines differ, and so does what else they do. What can be compared between
//! machines are the ratios, whose parts are measured in the same run: recovering against reading and copying the same
//! files.

mod measure;
mod options;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::{Value, json};

use self::measure::Measured;
use self::options::Options;
use crate::error::TaskError;
use crate::{process, setup};

/// Runs the benchmark.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    let options = Options::parse(arguments)?;
    let dr = match &options.dr {
        Some(dr) => fs::canonicalize(dr).map_err(TaskError::at(dr))?,
        None => build(root)?,
    };
    let place = root.join("target/bench");
    let tree = Tree::cached(root, &place, &options)?;
    println!(
        "{} segments in {} containers, {} objects, {:.1} MB; {}\n",
        tree.segments,
        options.containers,
        tree.objects,
        tree.bytes as f64 / 1e6,
        dr.display()
    );
    let mut runs = Vec::new();
    for number in 1..=options.runs {
        eprintln!("run {number} of {}", options.runs);
        let directory = place.join("run");
        remove(&directory)?;
        runs.push(Measured::take(&dr, &tree.root, &directory)?);
        remove(&directory)?;
    }
    table::print(&tree, &runs);
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

/// The tree that every run recovers a copy of.
struct Tree {
    root: PathBuf,
    segments: u64,
    objects: u64,
    bytes: u64,
}

impl Tree {
    /// The tree of an earlier benchmark of the same size, or a new one. After a change of the generator, remove
    /// `target/bench`.
    fn cached(root: &Path, place: &Path, options: &Options) -> Result<Self, TaskError> {
        let name = format!("tree-{}-{}", options.segments, options.containers);
        let (tree, summary) = (place.join(&name), place.join(format!("{name}.json")));
        if let Ok(text) = fs::read_to_string(&summary) {
            return Self::of_summary(tree, &text);
        }
        // Without its summary a tree is incomplete.
        remove(&tree)?;
        fs::create_dir_all(place).map_err(TaskError::at(place))?;
        println!("generating a cluster in {}", tree.display());
        let mut generate = Command::new("cargo");
        generate.args(["run", "--quiet", "--package", "dr-tests", "--bin", "generate-tree", "--locked", "--"]);
        generate.arg(&tree).arg(options.segments.to_string()).arg(options.containers.to_string());
        let printed = process::output(generate.current_dir(root))?;
        let numbers: Vec<u64> = printed.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [segments, objects, bytes] = numbers[..] else {
            return Err(TaskError::Other(format!("the generator printed `{printed}`, not three numbers")));
        };
        let text = json!({ "segments": segments, "objects": objects, "bytes": bytes }).to_string();
        fs::write(&summary, text).map_err(TaskError::at(&summary))?;
        Ok(Self { root: tree, segments, objects, bytes })
    }

    fn of_summary(root: PathBuf, text: &str) -> Result<Self, TaskError> {
        let summary: Value = serde_json::from_str(text).unwrap_or_default();
        let number = |name: &str| {
            let missing = || TaskError::Other(format!("{}: its summary is damaged; remove it", root.display()));
            summary.get(name).and_then(Value::as_u64).ok_or_else(missing)
        };
        let (segments, objects, bytes) = (number("segments")?, number("objects")?, number("bytes")?);
        Ok(Self { root, segments, objects, bytes })
    }
}

/// Removes a directory if it is there.
fn remove(directory: &Path) -> Result<(), TaskError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(TaskError::at(directory)(error)),
        _ => Ok(()),
    }
}

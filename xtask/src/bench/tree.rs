//! The generated trees, kept between benchmarks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::options::Size;
use crate::error::TaskError;
use crate::process;

/// A tree of which every run recovers a copy.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) containers: u32,
    pub(super) segments: u64,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Tree {
    /// The tree of an earlier benchmark of the same size, or a new one. After a change of the generator, remove
    /// `target/bench`.
    pub(super) fn cached(root: &Path, place: &Path, size: Size) -> Result<Self, TaskError> {
        let name = format!("tree-{}-{}", size.segments, size.containers);
        let (tree, summary) = (place.join(&name), place.join(format!("{name}.json")));
        if let Ok(text) = fs::read_to_string(&summary) {
            return Self::of_summary(tree, size.containers, &text);
        }
        // Without its summary a tree is incomplete.
        super::remove(&tree)?;
        fs::create_dir_all(place).map_err(TaskError::at(place))?;
        eprintln!("generating a cluster in {}", tree.display());
        let mut generate = Command::new("cargo");
        generate.args(["run", "--quiet", "--package", "dr-tests", "--bin", "generate-tree", "--locked", "--"]);
        generate.arg(&tree).arg(size.segments.to_string()).arg(size.containers.to_string());
        let printed = process::output(generate.current_dir(root))?;
        let numbers: Vec<u64> = printed.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [segments, objects, bytes] = numbers[..] else {
            return Err(TaskError::Other(format!("the generator printed `{printed}`, not three numbers")));
        };
        let text = json!({ "segments": segments, "objects": objects, "bytes": bytes }).to_string();
        fs::write(&summary, text).map_err(TaskError::at(&summary))?;
        Ok(Self { root: tree, containers: size.containers, segments, objects, bytes })
    }

    fn of_summary(root: PathBuf, containers: u32, text: &str) -> Result<Self, TaskError> {
        let summary: Value = serde_json::from_str(text).unwrap_or_default();
        let number = |name: &str| {
            let missing = || TaskError::Other(format!("{}: its summary is damaged; remove it", root.display()));
            summary.get(name).and_then(Value::as_u64).ok_or_else(missing)
        };
        let (segments, objects, bytes) = (number("segments")?, number("objects")?, number("bytes")?);
        Ok(Self { root, containers, segments, objects, bytes })
    }
}

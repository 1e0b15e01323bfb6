//! `cargo xtask demo`: recovers a captured, real cluster without any server, and shows what happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::TaskError;
use crate::{process, setup};

/// The capture that is recovered.
const CAPTURE: &str = "tests/data/flushed/tier2.tar.xz";

pub(crate) fn run(root: &Path, _arguments: &[String]) -> Result<(), TaskError> {
    setup::run(root)?;
    println!("building dr (minutes at the first time)");
    process::run(Command::new("cargo").args(["build", "--workspace", "--bins", "--locked"]).current_dir(root))?;
    let demo = Demo::unpack(root)?;
    demo.before()?;
    demo.recover()?;
    demo.after()
}

struct Demo {
    dr: PathBuf,
    directory: PathBuf,
}

impl Demo {
    fn unpack(root: &Path) -> Result<Self, TaskError> {
        let directory = root.join("target/demo");
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(TaskError::at(&directory))?;
        }
        let (tier2, tier1) = (directory.join("tier2"), directory.join("tier1"));
        fs::create_dir_all(&tier2).map_err(TaskError::at(&tier2))?;
        // The new, empty Tier-1.
        fs::create_dir_all(&tier1).map_err(TaskError::at(&tier1))?;
        process::run(Command::new("tar").arg("-xJf").arg(root.join(CAPTURE)).arg("-C").arg(&tier2))?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self { dr: root.join(target).join("debug/dr"), directory })
    }

    fn before(&self) -> Result<(), TaskError> {
        let (objects, bytes) = count(&self.directory.join("tier2"))?;
        heading("Before");
        println!(
            "A Pravega 0.13.0 cluster of 4 segment containers ran here: streams, transactions, key-value tables, reader\n\
             groups. Its bookies and its ZooKeeper are gone. What is left is Tier-2, {objects} files with {:.1} MB in\n\
             target/demo/tier2. Pravega can read none of it: the containers' logs, which say what the files are, are lost.\n\
             This is what a segment store would find:",
            bytes as f64 / 1e6
        );
        let status = self.dr("verify", &[]).status();
        match status.map_err(TaskError::at(&self.dr))?.code() {
            // Problems found: that is the point.
            Some(5) => Ok(()),
            code => {
                Err(TaskError::Other(format!("`dr verify` on an empty Tier-1 ended with {code:?}, 5 was expected")))
            }
        }
    }

    fn recover(&self) -> Result<(), TaskError> {
        heading("Recovery");
        println!("dr recover tier2 --tier1 dir:tier1 --cluster lab --yes\n");
        process::run(&mut self.dr("recover", &["--yes", "--run-directory", "run"]))
    }

    fn after(&self) -> Result<(), TaskError> {
        heading("After");
        println!(
            "target/demo/tier1 holds the ledgers and ZNodes that Pravega would find in BookKeeper and ZooKeeper, and the\n\
             logs in it were replayed as a segment store replays them. What was done, what is kept and why: open\n\
             target/demo/run/report.html in a browser; target/demo/run/plan.json and loss.json hold it for programs.\n\
             The old metadata was moved aside to target/demo/tier2/_dr, nothing was deleted.\n\n\
             With real servers instead of `dir:tier1` the unmodified Pravega boots on this: `cargo xtask test` proves it, and\n\
             `cargo xtask lab help` lets you try it by hand."
        );
        Ok(())
    }

    fn dr(&self, command: &str, more: &[&str]) -> Command {
        let mut dr = Command::new(&self.dr);
        dr.arg(command).args(["tier2", "--tier1", "dir:tier1", "--cluster", "lab"]).args(more);
        dr.current_dir(&self.directory);
        dr
    }
}

fn heading(text: &str) {
    println!("\n--- {text} {}\n", "-".repeat(74usize.saturating_sub(text.len())));
}

/// Files below a directory, and their bytes.
fn count(directory: &Path) -> Result<(u64, u64), TaskError> {
    let (mut files, mut bytes) = (0, 0);
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).map_err(TaskError::at(&next))? {
            let entry = entry.map_err(TaskError::at(&next))?;
            let metadata = entry.metadata().map_err(TaskError::at(&next))?;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                files += 1;
                bytes += metadata.len();
            }
        }
    }
    Ok((files, bytes))
}

//! Project tasks: `cargo xtask <task>`.
//!
//! Each task is a module of its own; this file only finds the one asked for.
// Printing is what these tasks are for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod error;
mod guests;
mod process;
mod setup;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use error::TaskError;

struct TaskEntry {
    name: &'static str,
    help: &'static str,
    run: fn(&Path) -> Result<(), TaskError>,
}

const TASKS: &[TaskEntry] = &[
    TaskEntry { name: "setup", help: "make the machine ready: WebAssembly target, guests", run: setup::run },
    TaskEntry { name: "guests", help: "build the procedures in scripts/ to target/guests/", run: guests::run },
];

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("usage: cargo xtask <task>\n");
        TASKS.iter().for_each(|task| eprintln!("  {:<10} {}", task.name, task.help));
        return ExitCode::from(2);
    };
    match (task.run)(&workspace_root()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

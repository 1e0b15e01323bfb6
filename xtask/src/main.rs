//! Project tasks: `cargo xtask <task>`.
//!
//! Each task is a module of its own; this file only finds the one asked for.
// Printing is what these tasks are for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod beside;
mod browser;
mod demo;
mod error;
mod examples;
mod failures;
mod fuzz;
mod guests;
mod histories;
mod lab;
mod process;
mod scaffolds;
mod setup;
mod sweep;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use error::TaskError;

/// What a task gets: the root of the workspace, and the words behind its name.
type Run = fn(&Path, &[String]) -> Result<(), TaskError>;

struct TaskEntry {
    name: &'static str,
    help: &'static str,
    run: Run,
}

const TASKS: &[TaskEntry] = &[
    TaskEntry { name: "demo", help: "recover a captured cluster without any server, and show it", run: demo::run },
    TaskEntry {
        name: "test",
        help: "formatting, lints, all tests; with Java and Maven those on real servers too",
        run: test::run,
    },
    TaskEntry {
        name: "setup",
        help: "make the machine ready: WebAssembly target, guests",
        run: |root, _| setup::run(root).map(drop),
    },
    TaskEntry {
        name: "guests",
        help: "build the procedures in scripts/ to target/guests/; with `--examples` those in guest-examples/ too, with `--keep` as test data",
        run: guests::run,
    },
    TaskEntry {
        name: "scaffolds",
        help: "build and test what `dr procedure new` writes, outside of this repository",
        run: scaffolds::run,
    },
    TaskEntry {
        name: "lab",
        help: "real ZooKeeper, bookies and Pravega on this machine; `lab help` tells more",
        run: lab::run,
    },
    TaskEntry {
        name: "sweep",
        help: "recover a captured tree with every kind of damage to each object",
        run: sweep::run,
    },
    TaskEntry {
        name: "histories",
        help: "clusters with long and odd lives on real servers, lost and recovered",
        run: histories::run,
    },
    TaskEntry { name: "bench", help: "how fast a recovery is, on a generated cluster", run: bench::run },
    TaskEntry { name: "fuzz", help: "every decoder on millions of mutated inputs", run: fuzz::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("", String::as_str);
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("usage: cargo xtask <task>\n");
        TASKS.iter().for_each(|task| eprintln!("  {:<9} {}", task.name, task.help));
        return ExitCode::from(2);
    };
    match (task.run)(&workspace_root(), &arguments[1..]) {
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

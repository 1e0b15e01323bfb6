//! What is checked beside the tests: the lints, then the projects of `dr procedure new`. Tests on real servers wait most of the time,
//! and one after the other takes minutes longer.

use std::path::Path;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::setup::Toolchain;
use crate::test::{EXAMPLE, guests_target};
use crate::{process, scaffolds};

/// Only takes the time of processors that nobody else wants.
const LOWEST_PRIORITY: i32 = 19;

/// What is linted, where, and the words behind those that all have.
const LINTED: [(&str, &str, &[&str]); 3] = [
    ("lints of the host", ".", &["--workspace", "--all-targets"]),
    ("lints of the guests", "scripts", &["--workspace"]),
    ("lints of the example in Rust", EXAMPLE, &[]),
];

/// Checks under way.
#[derive(Debug)]
pub(crate) struct Beside(JoinHandle<Found>);

/// What they found.
#[derive(Debug)]
struct Found {
    lints: Vec<Linted>,
    scaffolds: Result<(), TaskError>,
}

#[derive(Debug)]
struct Linted {
    name: &'static str,
    command: String,
    output: std::io::Result<Output>,
    time: Duration,
}

impl Beside {
    /// Begins with them.
    pub(crate) fn start(root: &Path, toolchain: &Toolchain) -> Self {
        let (root, toolchain) = (root.to_path_buf(), toolchain.clone());
        Self(thread::spawn(move || {
            // Of this thread, and of all that it starts. Where it is refused, the tests only take longer.
            let _ = rustix::process::nice(LOWEST_PRIORITY);
            let lints = LINTED.iter().map(|linted| lint(&root, linted)).collect();
            Found { lints, scaffolds: scaffolds::check(&root, &toolchain) }
        }))
    }

    /// Waits for their end and tells what they found.
    ///
    /// # Errors
    /// If one found something, or could not be started.
    pub(crate) fn finish(self) -> Result<(), TaskError> {
        let found =
            self.0.join().map_err(|_| TaskError::Other("what is checked beside the tests panicked".to_owned()))?;
        found.lints.into_iter().try_for_each(Linted::tell)?;
        found.scaffolds
    }
}

fn lint(root: &Path, &(name, directory, more): &(&'static str, &str, &[&str])) -> Linted {
    let mut command = Command::new("cargo");
    command.args(["clippy", "--quiet"]).args(more).args(["--locked", "--", "-D", "warnings"]);
    command.current_dir(root.join(directory));
    if directory != "." {
        command.env("CARGO_TARGET_DIR", guests_target(root));
    }
    let began = Instant::now();
    let output = command.output();
    Linted { name, command: process::shown(&command), output, time: began.elapsed() }
}

impl Linted {
    fn tell(self) -> Result<(), TaskError> {
        let Self { name, command, output, time } = self;
        let output = output.map_err(|source| TaskError::Start { program: command.clone(), source })?;
        print!("{}", String::from_utf8_lossy(&output.stderr));
        println!("=== {name}, beside the tests: {:.0} s", time.as_secs_f64());
        if output.status.success() { Ok(()) } else { Err(TaskError::Command { command, status: output.status }) }
    }
}

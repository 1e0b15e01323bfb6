//! The lints, beside the tests on real servers: those wait most of the time, and one after the other takes minutes longer.

use std::path::Path;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::process;
use crate::test::{EXAMPLE, guests_target};

/// Takes only the time of processors that nobody else wants.
const LOWEST_PRIORITY: [&str; 3] = ["nice", "-n", "19"];

/// What is linted, where, and the words behind those that all have.
const LINTED: [(&str, &str, &[&str]); 3] = [
    ("lints of the host", ".", &["--workspace", "--all-targets"]),
    ("lints of the guests", "scripts", &["--workspace"]),
    ("lints of the example in Rust", EXAMPLE, &[]),
];

/// Lints under way.
#[derive(Debug)]
pub(crate) struct Lints(JoinHandle<Vec<Linted>>);

#[derive(Debug)]
struct Linted {
    name: &'static str,
    command: String,
    output: std::io::Result<Output>,
    time: Duration,
}

impl Lints {
    /// Begins with them.
    pub(crate) fn start(root: &Path) -> Self {
        let root = root.to_path_buf();
        Self(thread::spawn(move || LINTED.iter().map(|linted| lint(&root, linted)).collect()))
    }

    /// Waits for their end and tells what they found.
    ///
    /// # Errors
    /// If one found something, or could not be started.
    pub(crate) fn finish(self) -> Result<(), TaskError> {
        let all = self.0.join().map_err(|_| TaskError::Other("the lints panicked".to_owned()))?;
        all.into_iter().try_for_each(Linted::tell)
    }
}

fn lint(root: &Path, &(name, directory, more): &(&'static str, &str, &[&str])) -> Linted {
    let [nice, priority @ ..] = LOWEST_PRIORITY;
    let mut command = Command::new(nice);
    command.args(priority).args(["cargo", "clippy", "--quiet"]).args(more).args(["--locked", "--", "-D", "warnings"]);
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

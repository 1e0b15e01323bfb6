//! The built `dr`, run as an operator runs it: without a terminal.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// No session outlives its server for so long.
const SESSION_SECONDS: u32 = 90;

/// Path of the built `dr`: beside the running program, or beside the running test's directory.
///
/// # Panics
/// If it was not built.
pub fn binary() -> PathBuf {
    let here = std::env::current_exe().ok();
    let mut above = here.iter().flat_map(|here| here.ancestors().skip(1).take(2));
    let found = above.find_map(|directory| Some(directory.join("dr")).filter(|path| path.is_file()));
    assert!(found.is_some(), "`dr` is not built; run `cargo build --package dr`, or `cargo xtask test` for everything");
    found.unwrap_or_default()
}

/// What one run of `dr` gave.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// The same, if the code is as expected.
    ///
    /// # Panics
    /// If it is not, with both outputs.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        let (stdout, stderr) = (&self.stdout, &self.stderr);
        assert_eq!(self.code, code, "exit code\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }
}

/// Runs `dr` in `directory`.
///
/// # Panics
/// If it cannot be started.
pub fn run<A: AsRef<OsStr>>(directory: &Path, arguments: impl IntoIterator<Item = A>) -> Finished {
    let mut command = Command::new(binary());
    command.current_dir(directory);
    run_by(command, arguments)
}

/// Runs `dr` until no session of a killed server is left in ZooKeeper, which keeps them for a while.
///
/// # Panics
/// If it cannot be started, or sessions do not end.
pub fn run_when_sessions_end<A: AsRef<OsStr>>(directory: &Path, arguments: &[A]) -> Finished {
    let finished = (0..SESSION_SECONDS).find_map(|_| {
        let finished = run(directory, arguments);
        let waits = ["error[live-cluster]", "error[bookie-running]: bookie "];
        if !waits.iter().any(|wait| finished.stderr.contains(wait)) {
            return Some(finished);
        }
        std::thread::sleep(Duration::from_secs(1));
        None
    });
    assert!(finished.is_some(), "servers are registered after {SESSION_SECONDS} s");
    finished.unwrap_or_else(|| unreachable!())
}

/// Runs `dr` by a command whose last word is its path.
///
/// # Panics
/// If it cannot be started.
pub fn run_by<A: AsRef<OsStr>>(mut command: Command, arguments: impl IntoIterator<Item = A>) -> Finished {
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG");
    // One for all tests, which is no one's but theirs.
    command.env("DR_CACHE", binary().with_file_name("cache-of-tests"));
    let output = command.output();
    assert!(output.is_ok(), "cannot start dr: {output:?}");
    let Output { status, stdout, stderr } = output.unwrap_or_else(|_| unreachable!());
    Finished {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

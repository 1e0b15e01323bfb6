//! `cargo xtask test`: everything that must hold before a change lands. CI calls exactly this.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::beside::Beside;
use crate::error::TaskError;
use crate::{browser, examples, failures, process, setup};

/// Tells the tests on real servers whether to run; see `tests/src/real_servers.rs`.
const REAL_SERVERS: &str = "DR_TEST_REAL_SERVERS";

/// Tells the tests of pages whether to open them; see `tests/src/browser.rs`.
const BROWSER: &str = "DR_TEST_BROWSER";

/// The workspace of the example in Rust, one of its own.
pub(crate) const EXAMPLE: &str = "guest-examples/rust-vendor-policy";

/// Tells the tests of full disks whether one can be made; see `tests/src/small_disk.rs`.
const SMALL_DISK: &str = "DR_TEST_SMALL_DISK";

/// A step: its name, where it runs, and the words after `cargo`.
struct Step {
    name: &'static str,
    directory: &'static str,
    cargo: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step { name: "formatting of the host", directory: ".", cargo: &["fmt", "--all", "--check"] },
    Step { name: "formatting of the guests", directory: "scripts", cargo: &["fmt", "--all", "--check"] },
    Step { name: "formatting of the example in Rust", directory: EXAMPLE, cargo: &["fmt", "--check"] },
    // Built before the lints, so that both use the same compiled dependencies where they can.
    Step { name: "build", directory: ".", cargo: &["build", "--workspace", "--all-targets", "--locked"] },
    Step { name: "tests of the guests", directory: "scripts", cargo: &["test", "--workspace", "--locked"] },
    Step { name: "tests of the example in Rust", directory: EXAMPLE, cargo: &["test", "--locked"] },
];

/// All of them, so that one run tells everything that fails.
const HOST_TESTS: Step =
    Step { name: "tests of the host", directory: ".", cargo: &["test", "--workspace", "--locked", "--no-fail-fast"] };

pub(crate) fn run(root: &Path, _arguments: &[String]) -> Result<(), TaskError> {
    let toolchain = setup::run(root)?;
    provide_components(root)?;
    let examples_left_out = examples::build(root, &toolchain)?;
    let browser = browser::provide();
    let real_servers = ["java", "mvn"].iter().all(|program| starts(program));
    let small_disk = can_mount();
    let yes_or_no = |is_there: bool| if is_there { "yes" } else { "no" };
    let environment =
        [(REAL_SERVERS, yes_or_no(real_servers)), (BROWSER, yes_or_no(browser)), (SMALL_DISK, yes_or_no(small_disk))];
    for step in STEPS {
        step.run(root, &environment, &mut || ())?;
    }
    let mut beside = None;
    // Not before a test runs: until then cargo itself holds the target directory.
    let tests = HOST_TESTS.run(root, &environment, &mut || {
        beside.get_or_insert_with(|| Beside::start(root, &toolchain));
    });
    let beside = beside.unwrap_or_else(|| Beside::start(root, &toolchain)).finish();
    tests.and(beside)?;
    if real_servers {
        println!("\nAll tests passed, those on real servers included.");
    } else {
        println!("\n{}", LEFT_OUT);
    }
    if !browser {
        println!("\n{}", BROWSER_LEFT_OUT);
    }
    if !small_disk {
        println!("\n{}", SMALL_DISK_LEFT_OUT);
    }
    if let Some(left_out) = examples_left_out {
        println!("\n{left_out}");
    }
    Ok(())
}

impl Step {
    /// Runs it and tells how long that took; `test_begins` is called before the tests of each program.
    fn run(&self, root: &Path, environment: &[(&str, &str)], test_begins: &mut dyn FnMut()) -> Result<(), TaskError> {
        println!("\n=== {}", self.name);
        let start = Instant::now();
        let mut command = Command::new("cargo");
        command.args(self.cargo).current_dir(root.join(self.directory)).envs(environment.iter().copied());
        if self.directory != "." {
            command.env("CARGO_TARGET_DIR", guests_target(root));
        }
        failures::run(&mut command, test_begins)?;
        println!("=== {}: {:.0} s", self.name, start.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Where native builds of the guests go: inside the one target directory.
pub(crate) fn guests_target(root: &Path) -> PathBuf {
    root.join("target/guests-native")
}

/// Installs what rustup's minimal profile leaves out.
fn provide_components(root: &Path) -> Result<(), TaskError> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let mut version = Command::new("cargo");
        version.args([command, "--version"]).current_dir(root).stdout(Stdio::null()).stderr(Stdio::null());
        if !version.status().is_ok_and(|status| status.success()) {
            process::run(Command::new("rustup").args(["component", "add", component]).current_dir(root))?;
        }
    }
    Ok(())
}

const LEFT_OUT: &str = "\
##############################################################################
## LEFT OUT: the tests on real ZooKeeper, BookKeeper and Pravega servers.
## They need `java` (11 or 17) and `mvn`, and at least one was not found.
## Everything else passed. Install both and run `cargo xtask test` again.
##############################################################################";

const BROWSER_LEFT_OUT: &str = "\
##############################################################################
## LEFT OUT: opening the page of the loss report in a real browser.
## It needs Chromium, which was not found and could not be installed.
## Install `chromium` and run `cargo xtask test` again.
##############################################################################";

const SMALL_DISK_LEFT_OUT: &str = "\
##############################################################################
## LEFT OUT: recovering on a disk that is full.
## It needs a small file system, mounted in a user namespace (`unshare`,
## `nsenter`), which this system does not allow. Files that cannot grow were
## tried instead.
##############################################################################";

/// True if a user may mount a file system in a namespace of its own.
fn can_mount() -> bool {
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs tmpfs /mnt && nsenter --version",
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn starts(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

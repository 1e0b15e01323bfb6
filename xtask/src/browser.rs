//! A browser for the tests of pages: Chromium, from the distribution's packages if it is not there yet.

use std::process::{Command, Stdio};

/// True if Chromium is there afterwards. It is installed only where `apt-get` is and may.
pub(crate) fn provide() -> bool {
    if is_there() {
        return true;
    }
    println!("chromium: not found, asking apt-get for it");
    let install = ["install", "--yes", "--no-install-recommends", "chromium"];
    let mut command = Command::new("apt-get");
    command.args(install).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success()) && is_there()
}

fn is_there() -> bool {
    let mut command = Command::new("chromium");
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

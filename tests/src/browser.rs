//! A real browser without a window, for pages that people will open.
// What is left out is said in the output of the tests.
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name of the environment variable by which `cargo xtask test` says whether a browser is there: `yes` or `no`.
pub const VARIABLE: &str = "DR_TEST_BROWSER";

/// True if pages are to be opened. Left out only by an explicit `no`, as the tests on real servers are.
pub fn is_wanted() -> bool {
    let wanted = std::env::var(VARIABLE).as_deref() != Ok("no");
    if !wanted {
        eprintln!("LEFT OUT: this test opens a page in Chromium ({VARIABLE}=no)");
    }
    wanted
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct View {
    /// As for people who prefer dark colours.
    pub is_dark: bool,
    /// Size of the window, in pixels; 1200 x 1600 if none.
    pub size: Option<(u32, u32)>,
}

/// The document of a page, as it is after its scripts have run. `fragment` is what stands behind `#` in its address.
///
/// # Panics
/// If the browser cannot be started or fails.
pub fn document(page: &Path, fragment: &str) -> String {
    let output = chromium(&address(page, fragment), View::default(), &["--dump-dom"]);
    String::from_utf8_lossy(&output).into_owned()
}

/// Takes a picture of a page to `target/pages/<name>.png`.
///
/// # Panics
/// If the browser cannot be started or fails.
pub fn picture(page: &Path, name: &str, view: View) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pages");
    let picture = directory.join(format!("{name}.png"));
    assert!(std::fs::create_dir_all(&directory).is_ok(), "cannot create {}", directory.display());
    chromium(&address(page, ""), view, &[&format!("--screenshot={}", picture.display()), "--hide-scrollbars"]);
    assert!(picture.is_file(), "no picture of {}", page.display());
    picture
}

fn address(page: &Path, fragment: &str) -> String {
    format!("file://{}#{fragment}", page.display())
}

fn chromium(address: &str, view: View, more: &[&str]) -> Vec<u8> {
    let profile = tempfile::tempdir();
    assert!(profile.is_ok(), "cannot create a directory: {profile:?}");
    let profile = profile.unwrap_or_else(|_| unreachable!());
    let (width, height) = view.size.unwrap_or((1200, 1600));
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("--window-size={width},{height}"));
    if view.is_dark {
        command.arg("--blink-settings=preferredColorScheme=0");
    }
    command.args(more).arg(address);
    let output = command.stdin(Stdio::null()).output();
    assert!(output.is_ok(), "cannot start chromium, which `cargo xtask test` provides: {output:?}");
    let output = output.unwrap_or_else(|_| unreachable!());
    assert!(output.status.success(), "chromium: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

//! `cargo xtask guests --examples`: builds what a vendor or an operator would write, `guest-examples/`, to components
//! in `target/guests/`.
//!
//! Each is built by the command that its README names; what a toolchain needs beside Rust is installed below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::error::TaskError;
use crate::setup::Toolchain;
use crate::{guests, process};

/// What makes components of Python programs. Pinned: it holds the interpreter, which becomes a part of them.
const COMPONENTIZE_PY: &str = "0.25.1";

/// Examples that could not be built because something is missing on this machine, in words.
pub(crate) struct LeftOut(Vec<&'static str>);

impl std::fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = "#".repeat(78);
        write!(formatter, "{line}\n{}\n{line}", self.0.join("\n"))
    }
}

/// Builds the examples; what is left out is said loudly and returned.
pub(crate) fn build(root: &Path, toolchain: &Toolchain) -> Result<Option<LeftOut>, TaskError> {
    guests::build_workspace(root, toolchain, Path::new("guest-examples/rust-vendor-policy"))?;
    let left_out = [build_python(root)?, build_javascript(root)?].into_iter().flatten().collect::<Vec<_>>();
    if left_out.is_empty() {
        return Ok(None);
    }
    let left_out = LeftOut(left_out);
    println!("{left_out}");
    Ok(Some(left_out))
}

/// Builds the example in Python, or says why not.
fn build_python(root: &Path) -> Result<Option<&'static str>, TaskError> {
    let source = root.join("guest-examples/python-total-loss");
    build_unless_newer(root, "python-total-loss", &source, |partial| {
        let Some(componentize) = provide_componentize_py(root) else { return Ok(Some(PYTHON_LEFT_OUT)) };
        let mut command = Command::new(componentize);
        command.current_dir(&source).arg("--wit-path").arg(wit(root)).args(["--world", "procedure", "componentize"]);
        // Without WASI: a procedure reaches nothing but the contract.
        command.args(["--stub-wasi", "--python-path", ".", "total_loss", "--output"]).arg(partial);
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::null());
        process::run(&mut command).map(|()| None)
    })
}

/// Builds the example in JavaScript, or says why not.
fn build_javascript(root: &Path) -> Result<Option<&'static str>, TaskError> {
    let source = root.join("guest-examples/javascript-audit");
    build_unless_newer(root, "javascript-audit", &source, |partial| {
        let Some(componentize) = provide_componentize_js(root, &source) else { return Ok(Some(JAVASCRIPT_LEFT_OUT)) };
        let mut command = Command::new(componentize);
        command.current_dir(&source).args(["audit.js", "--world-name", "procedure", "--wit"]).arg(wit(root));
        // Without WASI, as above.
        command.args(["--disable", "stdio", "random", "clocks", "http", "fetch-event", "--out"]).arg(partial);
        process::run(command.stdout(Stdio::null())).map(|()| None)
    })
}

fn wit(root: &Path) -> PathBuf {
    root.join("wit/0.1.0")
}

/// Builds a component of an interpreted language. Two builds of one source differ in their bytes, and take long; so it is
/// not built again without a reason.
fn build_unless_newer(
    root: &Path,
    name: &str,
    source: &Path,
    build: impl FnOnce(&Path) -> Result<Option<&'static str>, TaskError>,
) -> Result<Option<&'static str>, TaskError> {
    let file = format!("target/guests/{name}.wasm");
    let component = root.join(&file);
    if is_newer(&component, &[source, &wit(root)]) {
        println!("{file:<32} as before");
        return Ok(None);
    }
    let partial = component.with_extension("wasm.partial");
    if let Some(left_out) = build(&partial)? {
        return Ok(Some(left_out));
    }
    fs::rename(&partial, &component).map_err(TaskError::at(&component))?;
    println!("{file:<32} built");
    Ok(None)
}

/// The program componentize-py in a virtual environment below `target/`; none if this machine has no Python or no way
/// to the package.
fn provide_componentize_py(root: &Path) -> Option<PathBuf> {
    let environment = root.join("target/python-examples");
    let program = environment.join("bin/componentize-py");
    let version = process::output(Command::new(&program).arg("--version").stderr(Stdio::null()));
    if version.is_ok_and(|version| version.ends_with(COMPONENTIZE_PY)) {
        return Some(program);
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment)).ok()?;
    let package = format!("componentize-py=={COMPONENTIZE_PY}");
    let mut install = Command::new(environment.join("bin/pip"));
    process::run(install.args(["install", "--quiet", "--disable-pip-version-check", &package])).ok()?;
    Some(program)
}

/// The program componentize-js below `target/`, with exactly what the example's lock file names; none if this machine has no
/// Node or no way to the packages.
fn provide_componentize_js(root: &Path, source: &Path) -> Option<PathBuf> {
    let place = root.join("target/javascript-examples");
    let program = place.join("node_modules/.bin/componentize-js");
    let [lock, installed] = [source, &place].map(|directory| fs::read(directory.join(LOCK_FILE)).ok());
    if program.is_file() && lock == installed {
        return Some(program);
    }
    fs::create_dir_all(&place).ok()?;
    fs::copy(source.join("package.json"), place.join("package.json")).ok()?;
    let mut install = Command::new("npm");
    install.current_dir(&place).args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]);
    fs::copy(source.join(LOCK_FILE), place.join(LOCK_FILE)).ok()?;
    if process::run(&mut install).is_err() {
        fs::remove_file(place.join(LOCK_FILE)).ok()?;
        return None;
    }
    Some(program)
}

/// Names the exact packages that the example in JavaScript is built with.
const LOCK_FILE: &str = "package-lock.json";

/// Whether a file was made after everything below these directories.
fn is_newer(file: &Path, directories: &[&Path]) -> bool {
    let Ok(made) = fs::metadata(file).and_then(|metadata| metadata.modified()) else { return false };
    directories.iter().all(|directory| newest(directory).is_some_and(|newest| newest < made))
}

/// When the newest of the files in a directory was changed.
fn newest(directory: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(directory).ok()?;
    entries.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok()).max()
}

const PYTHON_LEFT_OUT: &str = "\
## LEFT OUT: the procedure in Python, guest-examples/python-total-loss.
## It needs `python3` with the modules venv and pip, and the package
## componentize-py. Install them and try again.";

const JAVASCRIPT_LEFT_OUT: &str = "\
## LEFT OUT: the procedure in JavaScript, guest-examples/javascript-audit.
## It needs `node` 20 or later and `npm`, and the package
## @bytecodealliance/componentize-js. Install them and try again.";

//! `cargo xtask guests --examples`: builds what a vendor or an operator would write, `guest-examples/`, to components
//! in `target/guests/`.
//!
//! Each is built by the command that its README names; what a toolchain needs beside Rust is installed below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::error::TaskError;
use crate::process;

/// What makes components of Python programs. Pinned: it holds the interpreter, which becomes a part of them.
const COMPONENTIZE_PY: &str = "0.25.1";

/// An example that could not be built because something is missing on this machine, in words.
pub(crate) struct LeftOut(String);

impl std::fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = "#".repeat(78);
        write!(formatter, "{line}\n{}\n{line}", self.0)
    }
}

/// Builds the examples; what is left out is said loudly and returned.
pub(crate) fn build(root: &Path) -> Result<Option<LeftOut>, TaskError> {
    let left_out = build_python(root)?;
    if let Some(left_out) = &left_out {
        println!("{left_out}");
    }
    Ok(left_out)
}

fn build_python(root: &Path) -> Result<Option<LeftOut>, TaskError> {
    let source = root.join("guest-examples/python-total-loss");
    let wit = root.join("wit/0.1.0");
    let component = root.join("target/guests/python-total-loss.wasm");
    // Two builds of one source differ in their bytes, and take long; so it is not built again without a reason.
    if is_newer(&component, &[&source, &wit]) {
        println!("{:<32} as before", "target/guests/python-total-loss.wasm");
        return Ok(None);
    }
    let Some(componentize) = provide_componentize_py(root) else {
        return Ok(Some(LeftOut(PYTHON_LEFT_OUT.to_owned())));
    };
    let partial = component.with_extension("wasm.partial");
    let mut command = Command::new(componentize);
    command.current_dir(&source).arg("--wit-path").arg(&wit).args(["--world", "procedure", "componentize"]);
    // Without WASI: a procedure reaches nothing but the contract.
    command.args(["--stub-wasi", "--python-path", ".", "total_loss", "--output"]).arg(&partial);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::null());
    process::run(&mut command)?;
    fs::rename(&partial, &component).map_err(TaskError::at(&component))?;
    println!("{:<32} built", "target/guests/python-total-loss.wasm");
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

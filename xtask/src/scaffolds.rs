//! What `dr procedure new` writes, built and tested as its README says: as a new user would, outside of this repository.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

use crate::error::TaskError;
use crate::setup::{self, TARGET, Toolchain};
use crate::{examples, process};

/// The name of the procedures that are begun.
const NAME: &str = "my-check";

/// A project: its language, what builds it, and the component that comes of it.
struct Project {
    language: &'static str,
    build: Command,
    component: String,
}

/// Provides what is needed, then builds and tests the projects.
pub(crate) fn run(root: &Path, _arguments: &[String]) -> Result<(), TaskError> {
    let toolchain = setup::run(root)?;
    examples::build(root, &toolchain)?;
    // As the tests are built, so that nothing is compiled again with other features.
    let build = ["build", "--workspace", "--all-targets", "--locked"];
    process::run(Command::new("cargo").args(build).current_dir(root))?;
    check(root, &toolchain)
}

/// Builds and tests a project in each language whose tools the examples are built with; the others are left out with them.
pub(crate) fn check(root: &Path, toolchain: &Toolchain) -> Result<(), TaskError> {
    let place = env::temp_dir().join(format!("dr-procedure-new-{}", std::process::id()));
    fs::create_dir(&place).map_err(TaskError::at(&place))?;
    let outcomes = thread::scope(|scope| {
        let projects = projects(root, toolchain);
        let threads: Vec<_> = projects.map(|project| scope.spawn(|| check_one(root, &place, project))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect::<Vec<_>>()
    });
    fs::remove_dir_all(&place).map_err(TaskError::at(&place))?;
    outcomes.into_iter().collect()
}

fn panicked() -> TaskError {
    TaskError::Other("building a project of `dr procedure new` panicked".to_owned())
}

fn projects(root: &Path, toolchain: &Toolchain) -> impl Iterator<Item = Project> {
    let mut rust = Command::new(toolchain.cargo());
    rust.args(["build", "--release", "--target", TARGET]).env("RUSTC", toolchain.rustc());
    for variable in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN"] {
        rust.env_remove(variable);
    }
    let built = format!("target/{TARGET}/release/{}.wasm", NAME.replace('-', "_"));
    let rust = Project { language: "rust", build: rust, component: built };

    let componentize = root.join("target/python-examples/bin/componentize-py");
    let python = componentize.is_file().then(|| {
        let mut build = Command::new(componentize);
        build.args(["--wit-path", "wit/0.1.0", "--world", "procedure", "componentize", "--stub-wasi"]);
        build.args(["--python-path", ".", "procedure", "--output", "my-check.wasm"]);
        Project { language: "python", build, component: format!("{NAME}.wasm") }
    });

    let packages = root.join("target/javascript-examples/node_modules");
    let javascript = packages.is_dir().then(|| {
        let mut build = Command::new("npm");
        build.args(["run", "build", "--silent"]);
        Project { language: "javascript", build, component: format!("{NAME}.wasm") }
    });
    [Some(rust), python, javascript].into_iter().flatten()
}

fn check_one(root: &Path, place: &Path, mut project: Project) -> Result<(), TaskError> {
    let directory = place.join(project.language);
    let dr = built_dr(root);
    let mut new = Command::new(&dr);
    new.args(["procedure", "new", NAME, "--lang", project.language, "--directory"]).arg(&directory);
    process::output(&mut new)?;
    if project.language == "javascript" {
        // What `npm install` would fetch is there already.
        let link = directory.join("node_modules");
        let packages = root.join("target/javascript-examples/node_modules");
        std::os::unix::fs::symlink(packages, &link).map_err(TaskError::at(&link))?;
    }
    process::output(project.build.current_dir(&directory))?;
    let mut test = Command::new(&dr);
    test.current_dir(&directory).args(["test", "scenarios", &project.component]);
    test.env("DR_CACHE", place.join(format!("cache-{}", project.language)));
    process::output(&mut test)?;
    println!("a project in {} builds and passes its scenario", project.language);
    Ok(())
}

/// `dr` in the profile of the tests.
fn built_dr(root: &Path) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("debug/dr")
}

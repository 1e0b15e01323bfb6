//! The class path: resolved and compiled by Maven once, kept until the POM or a source changes.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, LabError, Result};
use crate::options::source_directory;
use crate::process::last_lines;
use crate::shared_classes;

/// Makes sure that the jars and the compiled programs are in `build_directory`; Maven runs only if something changed.
pub(crate) fn prepare(build_directory: &Path, pravega_version: &str) -> Result<()> {
    require("java", &["-version"], "a Java runtime, 11 or 17, for the servers")?;
    fs::create_dir_all(build_directory).context("create the build directory", build_directory)?;
    // Two test processes may come here at once; the second waits and then finds everything done.
    let lock_path = build_directory.join("lock");
    let lock = fs::File::create(&lock_path).context("create the build lock", &lock_path)?;
    lock.lock().context("take the build lock", &lock_path)?;
    let stamp_path = build_directory.join("prepared");
    let wanted = fingerprint(pravega_version)?;
    if fs::read_to_string(&stamp_path).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    run_maven(build_directory, pravega_version)?;
    shared_classes::make(build_directory)?;
    fs::write(&stamp_path, wanted).context("write the build stamp", &stamp_path)
}

/// The value for `java -cp`. The jars come first: an archive of their classes is of use only to who begins with them.
pub(crate) fn class_path(build_directory: &Path) -> String {
    format!("{}:{}", jars(build_directory), build_directory.join("classes").display())
}

/// That of the jars alone.
pub(crate) fn jars(build_directory: &Path) -> String {
    build_directory.join("lib/*").display().to_string()
}

fn run_maven(build_directory: &Path, pravega_version: &str) -> Result<()> {
    require("mvn", &["-version"], "Maven, to fetch the Pravega artifacts and compile the client programs")?;
    for stale in ["classes", "lib", "maven-status"] {
        let path = build_directory.join(stale);
        if path.exists() {
            fs::remove_dir_all(&path).context("remove the old class path", &path)?;
        }
    }
    let output = Command::new("mvn")
        .args(["-q", "-B", "compile", "dependency:copy-dependencies"])
        .arg(format!("-Dlab.build={}", build_directory.display()))
        .arg(format!("-Dpravega.version={pravega_version}"))
        .current_dir(source_directory())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing("mvn", "Maven", &error))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Err(LabError::Maven {
        status: output.status.to_string(),
        tail: last_lines(&text, 40),
        directory: build_directory.to_path_buf(),
    })
}

fn require(program: &str, arguments: &[&str], purpose: &'static str) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| missing(program, purpose, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(LabError::MissingProgram { program: program.to_owned(), purpose, reason: status.to_string() })
}

fn missing(program: &str, purpose: &'static str, error: &std::io::Error) -> LabError {
    LabError::MissingProgram { program: program.to_owned(), purpose, reason: error.to_string() }
}

/// Changes whenever the result of the build could.
fn fingerprint(pravega_version: &str) -> Result<String> {
    let mut files = vec![source_directory().join("pom.xml"), shared_classes::list_file()];
    collect_files(&source_directory().join("src/main"), &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        file.hash(&mut hasher);
        fs::read(file).context("read a source of the lab", file)?.hash(&mut hasher);
    }
    Ok(format!("{pravega_version} {:016x}\n", hasher.finish()))
}

fn collect_files(directory: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).context("list the sources of the lab", directory)? {
        let path = entry.context("list the sources of the lab", directory)?.path();
        if path.is_dir() {
            collect_files(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}

//! `cargo xtask bench bookie`: how fast `dr survey-bookie` is, compared with only reading the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::measure::{drop_from_memory, files_below, read_all, timed};
use crate::error::TaskError;
use crate::process;

const USAGE: &str = "usage: cargo xtask bench bookie [--megabytes N] [--runs N] [--dr FILE]
  --megabytes N    size of the disks (4096)
  --runs N         how often to survey them (3)
  --dr FILE        measure this `dr` instead of building one in release";

/// Runs the benchmark: each run reads the files in one thread, block by block, then surveys them; once after they were
/// dropped from the memory of the system, once while they are in it.
pub(super) fn run(root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    let (mut megabytes, mut runs, mut dr) = (4096_u64, 3_u32, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next();
        let wrong = || TaskError::Other(format!("`{word}` is unknown or lacks its value\n{USAGE}"));
        match word.as_str() {
            "--megabytes" => megabytes = value.and_then(|value| value.parse().ok()).ok_or_else(wrong)?,
            "--runs" => runs = value.and_then(|value| value.parse().ok()).ok_or_else(wrong)?,
            "--dr" => dr = Some(PathBuf::from(value.ok_or_else(wrong)?)),
            _ => return Err(wrong()),
        }
    }
    let dr = dr.map_or_else(|| super::build(root), Ok)?;
    let place = root.join("target/bench");
    let disk = generated(root, &place, megabytes)?;
    let files = files_below(&disk)?;
    let size: u64 = files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    println!("{}; {size} bytes in {} files", dr.display(), files.len());
    println!(
        "{:>8}{:>10}{:>12}{:>12}{:>12}{:>12}{:>10}",
        "memory", "run", "read s", "survey s", "read MB/s", "survey MB/s", "percent"
    );
    for in_memory in [false, true] {
        for number in 1..=runs {
            let read = prepared(&files, in_memory, || read_all(&files))?;
            let survey = prepared(&files, in_memory, || survey(&dr, &disk, &place))?;
            let speed = |time: Duration| size as f64 / 1e6 / time.as_secs_f64();
            println!(
                "{:>8}{number:>10}{:>12.2}{:>12.2}{:>12.0}{:>12.0}{:>10.0}",
                if in_memory { "warm" } else { "cold" },
                read.as_secs_f64(),
                survey.as_secs_f64(),
                speed(read),
                speed(survey),
                100.0 * read.as_secs_f64() / survey.as_secs_f64()
            );
        }
    }
    println!("\npercent: speed of the survey of that of reading all files in one thread, 1 MiB at a time.");
    Ok(())
}

/// The disks of an earlier benchmark of the same size, or new ones.
fn generated(root: &Path, place: &Path, megabytes: u64) -> Result<PathBuf, TaskError> {
    let (disk, done) = (place.join(format!("bookie-{megabytes}")), place.join(format!("bookie-{megabytes}.done")));
    if done.exists() {
        return Ok(disk);
    }
    super::remove(&disk)?;
    fs::create_dir_all(place).map_err(TaskError::at(place))?;
    eprintln!("generating the disks of a bookie in {}", disk.display());
    let mut generate = Command::new("cargo");
    generate.args(["run", "--quiet", "--package", "dr-tests", "--bin", "generate-tree", "--locked", "--", "bookie"]);
    generate.arg(&disk).arg((megabytes << 20).to_string()).current_dir(root);
    process::run(generate.stdout(Stdio::null()))?;
    fs::write(&done, "").map_err(TaskError::at(&done))?;
    Ok(disk)
}

/// Does something with files that are in memory, or are not.
fn prepared(
    files: &[PathBuf],
    in_memory: bool,
    work: impl FnOnce() -> Result<(), TaskError>,
) -> Result<Duration, TaskError> {
    if in_memory {
        read_all(files)?;
    } else {
        drop_from_memory(files)?;
    }
    timed(work).map(|((), time)| time)
}

fn survey(dr: &Path, disk: &Path, place: &Path) -> Result<(), TaskError> {
    let output = place.join("bookie.survey");
    if output.exists() {
        fs::remove_file(&output).map_err(TaskError::at(&output))?;
    }
    let mut command = Command::new(dr);
    command.arg("survey-bookie").arg(disk).arg("--output").arg(&output).arg("--quiet").stdout(Stdio::null());
    process::run(&mut command)
}

//! What procedures cost apart from what they ask for: `bench-guests <directory of components>`. The host is one in memory, whose answers
//! cost next to nothing. A program of its own, so that the project tasks need not be built with wasmtime.
// Printing is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dr_runtime::mock::{MockHost, World};
use dr_runtime::{Execution, Limits, ModuleCache, Procedure, Runtime};

/// Runs of each measurement; the quickest one counts, since nothing makes a machine quicker than it is.
const RUNS: usize = 5;
/// Segments of the one large container.
const SEGMENTS: usize = 100_000;
/// Tasks of the run that starts instances.
const TASKS: u32 = 200;
/// Small calls of one task.
const CALLS: u32 = 1_000_000;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: bench-guests <directory of components>");
        return ExitCode::FAILURE;
    };
    match measure(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-guests: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(directory: &Path) -> Result<(), Box<dyn Error>> {
    calls(&load(&Runtime::new(Limits::default())?, directory, "benchmark")?)?;
    println!(
        "\n{:<20} {:>9} {:>10} {:>9} {:>13} {:>16} {:>10} {:>8}",
        "procedure", "kB", "compile s", "load ms", "empty task us", "100,000 segments", "in guest s", "calls"
    );
    for name in ["total-loss", "python-total-loss", "javascript-audit"] {
        if directory.join(format!("{name}.wasm")).exists() {
            procedure(directory, name)?;
        } else {
            println!("{name:<20} LEFT OUT: it is not built; run `cargo xtask guests --examples`");
        }
    }
    Ok(())
}

/// What a call costs, in a procedure in Rust that does nothing else.
fn calls(procedure: &Procedure) -> Result<(), Box<dyn Error>> {
    let small = quickest(procedure, &World::with_segments(1, 0), &[("call", "small"), ("times", &CALLS.to_string())])?;
    println!("a small call (Rust):      {:>8.0} ns", nanoseconds(spent(&small), CALLS as usize));
    let paged = quickest(procedure, &World::with_segments(1, SEGMENTS), &[("call", "pages"), ("times", "1")])?;
    println!("a row of a page (Rust):   {:>8.0} ns", nanoseconds(spent(&paged), SEGMENTS));
    let in_host = nanoseconds(paged.usage.host_time, SEGMENTS);
    println!("  of these, {in_host:.0} ns in the host, which makes the rows; {} calls", paged.usage.call_count());
    let started = quickest(procedure, &World::with_segments(TASKS, 0), &[])?;
    println!("an instance with a task that does nothing (Rust): {:.0} us", microseconds_each(&started));
    Ok(())
}

/// What a whole procedure costs.
fn procedure(directory: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let size = std::fs::metadata(directory.join(format!("{name}.wasm")))?.len();
    let place = tempfile::tempdir()?;
    let runtime = Runtime::with_cache(Limits::default(), Some(ModuleCache::open(place.path())?))?;
    let (procedure, compiling) = timed(|| load(&runtime, directory, name))?;
    let (_, loading) = timed(|| load(&runtime, directory, name))?;
    let empty = quickest(&procedure, &World::with_segments(TASKS, 0), &[])?;
    let large = quickest(&procedure, &World::with_segments(1, SEGMENTS), &[])?;
    println!(
        "{name:<20} {:>9} {:>10.2} {:>9.1} {:>13.0} {:>14.2} s {:>10.2} {:>8}",
        size / 1000,
        compiling.as_secs_f64(),
        1e3 * loading.as_secs_f64(),
        microseconds_each(&empty),
        large.wall_time.as_secs_f64(),
        large.usage.guest_time.as_secs_f64(),
        large.usage.call_count()
    );
    Ok(())
}

fn load(runtime: &Runtime, directory: &Path, name: &str) -> Result<Procedure, Box<dyn Error>> {
    let path = directory.join(format!("{name}.wasm"));
    Ok(runtime.load(&std::fs::read(path)?, name)?)
}

/// The quickest of some runs, one task after the other.
fn quickest(procedure: &Procedure, world: &World, set: &[(&str, &str)]) -> Result<Execution, Box<dyn Error>> {
    let set: Vec<_> = set.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let settings = procedure.settings(&set)?;
    let world = Arc::new(world.clone());
    let run = || procedure.execute(Arc::new(MockHost::new(world.clone())), &settings, &[], 1, &());
    let runs = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    runs.into_iter().min_by_key(|run| run.wall_time).ok_or_else(|| "there was no run".into())
}

fn timed<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(T, Duration), Box<dyn Error>> {
    let began = Instant::now();
    Ok((work()?, began.elapsed()))
}

/// On both sides of the border.
fn spent(execution: &Execution) -> Duration {
    execution.usage.guest_time + execution.usage.host_time
}

fn nanoseconds(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

fn microseconds_each(execution: &Execution) -> f64 {
    execution.wall_time.as_secs_f64() * 1e6 / execution.tasks.len() as f64
}

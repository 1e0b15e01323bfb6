//! One recovery, and what it is compared with.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::TaskError;

/// Time between two looks at the memory of a process. The kernel keeps the peak, so only the last moments can be missed.
const MEMORY_INTERVAL: Duration = Duration::from_millis(5);

/// Bytes read at once for comparison.
const READ_BYTES: usize = 1 << 20;

/// Times and memory of one run.
#[derive(Debug)]
pub(super) struct Measured {
    /// Reading all files once, one after the other.
    pub(super) read: Duration,
    /// Copying all files, without waiting for the disk.
    pub(super) copy: Duration,
    pub(super) stages: Stages,
    /// From start to end of the process.
    pub(super) recovery: Duration,
    /// Most memory that was resident; none where the system does not tell.
    pub(super) peak_bytes: Option<u64>,
}

/// Parts of a recovery. Together they are the whole, start and end of the process included.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Stages {
    pub(super) survey: Duration,
    pub(super) plan: Duration,
    pub(super) apply: Duration,
    pub(super) verify: Duration,
    /// Seconds inside the guest, all its instances added up.
    pub(super) guest_seconds: f64,
}

impl Measured {
    /// Copies the tree below `directory` and recovers the copy.
    pub(super) fn take(dr: &Path, tree: &Path, directory: &Path) -> Result<Self, TaskError> {
        let tier1 = directory.join("tier1");
        fs::create_dir_all(&tier1).map_err(TaskError::at(&tier1))?;
        let copy_of_tree = directory.join("tier2");
        let files = files_below(tree)?;
        // The copy comes first, so that all that is measured after it finds the files in memory alike.
        let copy = timed(|| copy_all(&files, tree, &copy_of_tree))?;
        let read = timed(|| read_all(&files_below(&copy_of_tree)?))?;
        let mut command = Command::new(dr);
        command.arg("recover").arg(&copy_of_tree).args(["--cluster", "bench", "--yes", "--output", "json"]);
        command.arg(format!("--tier1=dir:{}", tier1.display()));
        command.arg("--run-directory").arg(directory.join("run")).env_remove("RUST_LOG");
        let (stages, recovery, peak_bytes) = recover(&mut command)?;
        Ok(Self { read, copy, stages, recovery, peak_bytes })
    }
}

fn timed(work: impl FnOnce() -> Result<(), TaskError>) -> Result<Duration, TaskError> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let (mut files, mut pending) = (Vec::new(), vec![directory.to_path_buf()]);
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).map_err(TaskError::at(&next))? {
            let entry = entry.map_err(TaskError::at(&next))?;
            let is_directory = entry.file_type().map_err(TaskError::at(&next))?.is_dir();
            if is_directory { pending.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    Ok(files)
}

fn copy_all(files: &[PathBuf], from: &Path, to: &Path) -> Result<(), TaskError> {
    for file in files {
        let target = to.join(file.strip_prefix(from).unwrap_or(file));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(TaskError::at(parent))?;
        }
        fs::copy(file, &target).map_err(TaskError::at(&target))?;
    }
    Ok(())
}

fn read_all(files: &[PathBuf]) -> Result<(), TaskError> {
    let mut buffer = vec![0; READ_BYTES];
    for path in files {
        let mut file = File::open(path).map_err(TaskError::at(path))?;
        while file.read(&mut buffer).map_err(TaskError::at(path))? > 0 {}
    }
    Ok(())
}

/// Runs `dr` and watches it.
fn recover(command: &mut Command) -> Result<(Stages, Duration, Option<u64>), TaskError> {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| TaskError::Start { program: command.get_program().to_string_lossy().into_owned(), source })?;
    let (peak, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let process = child.id();
    let stages = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(peak_bytes_of(process).unwrap_or(0), Ordering::Relaxed);
                thread::sleep(MEMORY_INTERVAL);
            }
        });
        let stages = child.stdout.take().map(|output| Stages::watch(output, began));
        let ended = end(&mut child, command);
        done.store(true, Ordering::Relaxed);
        ended.map(|()| stages.unwrap_or_default())
    })?;
    let peak = peak.into_inner();
    Ok((stages, began.elapsed(), (peak > 0).then_some(peak)))
}

fn end(child: &mut Child, command: &Command) -> Result<(), TaskError> {
    let program = command.get_program();
    let status = child.wait().map_err(TaskError::at(Path::new(program)))?;
    if status.success() {
        return Ok(());
    }
    Err(TaskError::Command { command: format!("{} recover", program.display()), status })
}

/// The peak that Linux keeps of a process.
fn peak_bytes_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

impl Stages {
    /// Reads the events to their end. Each of them is written when it happens, so the time of arrival is that of the event.
    fn watch(output: ChildStdout, began: Instant) -> Self {
        let mut stages = Self::default();
        let mut last = began;
        let mut lap = |now: Instant| now - std::mem::replace(&mut last, now);
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let now = Instant::now();
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
            match (text("event"), text("stage")) {
                ("stage-started", "planning containers") => stages.survey += lap(now),
                ("procedure", _) => {
                    stages.guest_seconds = event.get("guest_seconds").and_then(Value::as_f64).unwrap_or(f64::NAN);
                }
                ("plan", _) => stages.plan += lap(now),
                ("applied", _) => stages.apply += lap(now),
                _ => {}
            }
        }
        stages.verify = lap(Instant::now());
        stages
    }
}

//! One recovery, and what it is compared with.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::TaskError;
use crate::process;

/// Time between two looks at the memory of a process. The kernel keeps the peak, so only the last moments can be missed.
const MEMORY_INTERVAL: Duration = Duration::from_millis(5);

/// Bytes read at once for comparison.
const READ_BYTES: usize = 1 << 20;

/// Times and memory of one run.
#[derive(Debug)]
pub(super) struct Measured {
    /// Reading all files once, one after the other.
    pub(super) read: Duration,
    /// Reading the metadata of all containers (journals and the tables they lead to), one file after the other.
    pub(super) read_metadata: Duration,
    pub(super) list_segments: ListSegments,
    /// Both once more, each after the metadata were dropped from the memory of the system.
    pub(super) read_cold_metadata: Duration,
    pub(super) list_segments_cold: ListSegments,
    pub(super) stages: Stages,
    /// From start to end of the process.
    pub(super) recovery: Duration,
    pub(super) usage: Usage,
}

/// What `dr list-segments` took.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListSegments {
    /// From start to end: all objects listed, the metadata read and reconciled with them, every segment printed.
    pub(super) whole: Duration,
    /// Reading and decoding the metadata alone: what all containers took together, divided by how many are worked on at a time.
    pub(super) metadata: Duration,
}

impl ListSegments {
    fn take(dr: &Path, tier2: &Path) -> Result<Self, TaskError> {
        let mut list = Command::new(dr);
        list.arg("list-segments").arg(tier2).args(["--quiet", "--output", "csv"]);
        list.args(["--log-level", "dr_engine::evidence=debug"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let began = Instant::now();
        let output = list.output().map_err(|source| process::start_error(&list, source))?;
        let whole = began.elapsed();
        let diary = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            eprint!("{diary}");
            return Err(TaskError::Command { command: process::shown(&list), status: output.status });
        }
        let microseconds: Vec<u64> = diary
            .lines()
            .filter_map(|line| line.split_once("microseconds="))
            .filter_map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
            .collect();
        let at_a_time = thread::available_parallelism().map_or(1, usize::from).min(microseconds.len());
        let Some(metadata) = microseconds.iter().sum::<u64>().checked_div(at_a_time as u64) else {
            return Err(TaskError::Other(
                "the diary of `dr list-segments` does not tell how long reading metadata took".to_owned(),
            ));
        };
        Ok(Self { whole, metadata: Duration::from_micros(metadata) })
    }
}

/// What the system tells of a process; none where it does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Most memory that was resident.
    pub(super) peak_bytes: Option<u64>,
    /// Seconds of processors, all threads added up. On a machine that does other work too, this says more than time.
    pub(super) processor_seconds: Option<f64>,
}

/// Ticks of a second in `/proc/<pid>/stat`, the same on all common systems.
const TICKS: f64 = 100.0;

/// What one part of a recovery took.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Lap {
    pub(super) time: Duration,
    /// Seconds of processors; not a number where the system does not tell.
    pub(super) processor_seconds: f64,
}

/// Parts of a recovery, one after the other. Together they are the whole, start and end of the process included.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Stages {
    /// Listing Tier-2.
    pub(super) list: Lap,
    /// What the controller's tables say of all containers; the check of the container count.
    pub(super) survey: Lap,
    /// The procedure, container by container; log images.
    pub(super) plan: Lap,
    /// The plan's files.
    pub(super) save: Lap,
    /// Listing Tier-2 again, to compare it with the plan.
    pub(super) compare: Lap,
    pub(super) logs: Lap,
    pub(super) move_aside: Lap,
    pub(super) znodes: Lap,
    pub(super) commit: Lap,
    pub(super) verify: Lap,
    /// Seconds inside the guest, all its instances added up.
    pub(super) guest_seconds: f64,
}

impl Stages {
    /// All but the verification.
    pub(super) fn until_committed(&self) -> Lap {
        let Self { list, survey, plan, save, compare, logs, move_aside, znodes, commit, .. } = *self;
        let parts = [list, survey, plan, save, compare, logs, move_aside, znodes, commit];
        Lap {
            time: parts.iter().map(|part| part.time).sum(),
            processor_seconds: parts.iter().map(|part| part.processor_seconds).sum(),
        }
    }
}

impl Measured {
    /// Recovers a copy of the tree, which is made below `directory`. It is a copy of links: `dr` moves objects and never
    /// writes into one.
    pub(super) fn take(dr: &Path, tree: &Path, directory: &Path, tier1: &[OsString]) -> Result<Self, TaskError> {
        let tier2 = directory.join("tier2");
        link_all(&files_below(tree)?, tree, &tier2)?;
        let metadata = files_below(&tier2.join("_system/containers"))?;
        let (_, read) = timed(|| read_all(&files_below(&tier2)?))?;
        let (_, read_metadata) = timed(|| read_all(&metadata))?;
        let list_segments = ListSegments::take(dr, &tier2)?;
        let (_, read_cold_metadata) = drop_from_memory(&metadata).and_then(|()| timed(|| read_all(&metadata)))?;
        let list_segments_cold = drop_from_memory(&metadata).and_then(|()| ListSegments::take(dr, &tier2))?;
        let mut command = Command::new(dr);
        command.arg("recover").arg(&tier2).args(["--yes", "--output", "json"]).args(tier1);
        command.arg("--run-directory").arg(directory.join("run")).env_remove("RUST_LOG");
        let (stages, recovery, usage) = recover(&mut command)?;
        Ok(Self { read, read_metadata, list_segments, read_cold_metadata, list_segments_cold, stages, recovery, usage })
    }
}

pub(super) fn timed<T>(work: impl FnOnce() -> Result<T, TaskError>) -> Result<(T, Duration), TaskError> {
    let began = Instant::now();
    Ok((work()?, began.elapsed()))
}

pub(super) fn files_below(directory: &Path) -> Result<Vec<PathBuf>, TaskError> {
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

fn link_all(files: &[PathBuf], from: &Path, to: &Path) -> Result<(), TaskError> {
    for file in files {
        let target = to.join(file.strip_prefix(from).unwrap_or(file));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(TaskError::at(parent))?;
        }
        fs::hard_link(file, &target).map_err(TaskError::at(&target))?;
    }
    Ok(())
}

pub(super) fn read_all(files: &[PathBuf]) -> Result<(), TaskError> {
    let mut buffer = vec![0; READ_BYTES];
    for path in files {
        let mut file = File::open(path).map_err(TaskError::at(path))?;
        while file.read(&mut buffer).map_err(TaskError::at(path))? > 0 {}
    }
    Ok(())
}

/// Lets the system forget the content of files; what it knows of their names stays.
pub(super) fn drop_from_memory(files: &[PathBuf]) -> Result<(), TaskError> {
    for path in files {
        let drop = || {
            let file = File::open(path)?;
            // What was not written yet would stay.
            file.sync_data()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            Ok(())
        };
        drop().map_err(TaskError::at(path))?;
    }
    Ok(())
}

/// Runs `dr` and watches it.
fn recover(command: &mut Command) -> Result<(Stages, Duration, Usage), TaskError> {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| TaskError::Start { program: command.get_program().to_string_lossy().into_owned(), source })?;
    let (peak, ticks, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let process = child.id();
    let stages = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(peak_bytes_of(process).unwrap_or(0), Ordering::Relaxed);
                ticks.fetch_max(ticks_of(process).unwrap_or(0), Ordering::Relaxed);
                thread::sleep(MEMORY_INTERVAL);
            }
        });
        let stages = child.stdout.take().map(|output| Stages::watch(process, output, began));
        let ended = end(&mut child, command);
        done.store(true, Ordering::Relaxed);
        ended.map(|()| stages.unwrap_or_default())
    })?;
    let known = |figure: AtomicU64| Some(figure.into_inner()).filter(|&figure| figure > 0);
    let processor_seconds = known(ticks).map(|ticks| ticks as f64 / TICKS);
    Ok((stages, began.elapsed(), Usage { peak_bytes: known(peak), processor_seconds }))
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

fn processor_seconds_of(process: u32) -> Option<f64> {
    ticks_of(process).map(|ticks| ticks as f64 / TICKS)
}

/// Ticks that a process has used, in its own code and in the system's.
fn ticks_of(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything: 11 other fields, then these two.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

impl Stages {
    /// Reads the events to their end. Each of them is written when it happens, so the time of arrival is that of the event.
    fn watch(process: u32, output: ChildStdout, began: Instant) -> Self {
        let mut stages = Self::default();
        let (mut last, mut used) = (began, 0.0);
        let mut lap = || {
            let time = Instant::now() - std::mem::replace(&mut last, Instant::now());
            // A process that ended has told before.
            let now = processor_seconds_of(process).unwrap_or(f64::NAN);
            Lap { time, processor_seconds: now - std::mem::replace(&mut used, now) }
        };
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
            let part = match (text("event"), text("stage")) {
                ("stage-finished", "listing Tier-2") if stages.list.time.is_zero() => &mut stages.list,
                ("stage-started", "planning containers") => &mut stages.survey,
                ("stage-finished", "planning containers") => &mut stages.plan,
                ("plan", _) => &mut stages.save,
                ("stage-started", "writing logs") => &mut stages.compare,
                ("stage-finished", "writing logs") => &mut stages.logs,
                ("stage-finished", "moving old metadata aside") => &mut stages.move_aside,
                ("stage-finished", "writing ZNodes") => &mut stages.znodes,
                ("applied", _) => &mut stages.commit,
                ("verified", _) => &mut stages.verify,
                ("procedure", _) => {
                    stages.guest_seconds = event.get("guest_seconds").and_then(Value::as_f64).unwrap_or(f64::NAN);
                    continue;
                }
                _ => continue,
            };
            *part = lap();
        }
        stages.verify.time += lap().time;
        stages
    }
}

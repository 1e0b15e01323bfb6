//! The client programs: workload, checker, more, load, import, flush.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Context, LabError, Result};
use crate::lab::{Lab, Server, redirect};
use crate::options::{Lifetime, WorkloadSize};
use crate::process::{tail_of, wait_until};
use crate::report::{LoadReport, Report};

/// Longest run of one client program.
const PROGRAM_LIMIT: Duration = Duration::from_secs(900);

/// Longest time for survivors to end; their own limits are 60 s each for writers, last events and readers.
const SURVIVORS_END_LIMIT: Duration = Duration::from_secs(200);

/// A load that writes until it is stopped.
///
/// Dropping it kills the program.
#[derive(Debug)]
pub struct RunningLoad {
    child: Child,
    acknowledged_file: PathBuf,
}

impl RunningLoad {
    /// Number of acknowledgements recorded so far.
    ///
    /// # Errors
    /// [`LabError::Io`] if the file cannot be read.
    pub fn acknowledged(&self) -> Result<u64> {
        let bytes = match fs::read(&self.acknowledged_file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            other => other.context("read the acknowledgements", &self.acknowledged_file)?,
        };
        Ok(bytes.iter().filter(|byte| **byte == b'\n').count() as u64)
    }

    /// Stops the program where it is, with SIGSTOP: nothing new arrives at the servers, and connections stay.
    ///
    /// # Errors
    /// [`LabError::Io`] if it ended already.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on. With `flushed` a line is appended to the acknowledgements first, which says that Tier-2 holds all
    /// before it.
    ///
    /// # Errors
    /// As [`RunningLoad::pause`].
    pub fn resume(&self, flushed: bool) -> Result<()> {
        if flushed {
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(&self.acknowledged_file)
                .context("open the acknowledgements", &self.acknowledged_file)?;
            file.write_all(b"F\n").context("append to the acknowledgements", &self.acknowledged_file)?;
        }
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(std::io::Error::from)
            .context("send a signal to the load that writes", &self.acknowledged_file)
    }

    /// Kills the program with SIGKILL. Kill the servers first: what is acknowledged then is what a client knew.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Both fail only if it ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        self.end();
    }
}

/// Clients that stay alive while their cluster is lost and recovered.
///
/// Dropping it kills them.
#[derive(Debug)]
pub struct Survivors {
    child: Child,
    record_file: PathBuf,
}

/// What survivors are told, so that their record says what happened before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The servers are about to be killed.
    Crash,
    /// The recovered servers are about to be started.
    Recovered,
    /// Whoever writes comes to an end, then whoever reads, then the program.
    Stop,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Recovered => "recovered",
            Self::Stop => "stop",
        }
    }
}

impl Survivors {
    /// Number of recorded lines that begin with `begin`.
    ///
    /// # Errors
    /// [`LabError::Io`] if the record cannot be read.
    pub fn recorded(&self, begin: &str) -> Result<usize> {
        let text = match fs::read_to_string(&self.record_file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other.context("read the record", &self.record_file)?,
        };
        Ok(text.lines().filter(|line| line.starts_with(begin)).count())
    }

    /// Tells them, and waits until they have noticed.
    ///
    /// # Errors
    /// [`LabError::Io`] if the word cannot be written; [`LabError::Program`] if they do not notice.
    pub fn tell(&self, phase: Phase) -> Result<()> {
        let mut path = self.record_file.clone().into_os_string();
        path.push(".phase");
        fs::write(&path, phase.word()).context("write the phase", Path::new(&path))?;
        let noticed = format!("P {}", phase.word());
        if wait_until(Duration::from_secs(10), || self.recorded(&noticed).is_ok_and(|lines| lines > 0)) {
            return Ok(());
        }
        Err(self.error(format!("did not notice `{}`", phase.word())))
    }

    /// Waits until the program has ended after [`Phase::Stop`].
    ///
    /// # Errors
    /// [`LabError::Program`] if it does not.
    pub fn finish(mut self) -> Result<()> {
        let mut status = None;
        wait_until(SURVIVORS_END_LIMIT, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.error(status.to_string())),
            None => Err(self.error(format!("not done in {SURVIVORS_END_LIMIT:?}"))),
        }
    }

    fn error(&self, status: String) -> LabError {
        let log = self.record_file.clone();
        LabError::Program { program: "Survivors".to_owned(), status, tail: tail_of(&log), log }
    }
}

impl Drop for Survivors {
    fn drop(&mut self) {
        // Both fail only if it ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of a segment, from `first` up to before `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentBytes {
    /// Name of the segment, of any kind; not one of the containers' own.
    pub segment: String,
    /// Offset of the first byte.
    pub first: u64,
    /// Offset behind the last byte.
    pub end: u64,
}

impl Lab {
    /// Writes everything the checker knows, and the truth about it into `truth_file`.
    ///
    /// # Errors
    /// [`LabError::Program`] with the tail of the program's log.
    pub fn run_workload(&self, truth_file: &Path, size: WorkloadSize) -> Result<()> {
        let truth = text(&std::path::absolute(truth_file).context("find", truth_file)?);
        self.run("Workload", &[("--truth", &truth), ("--size", size.name())])
    }

    /// Reads everything back and compares it with the truth. Each run consumes one of the prepared half-read reader groups and
    /// notes that beside the truth file.
    ///
    /// # Errors
    /// [`LabError::Program`] if the checker could not finish; failed checks are in the report, not an error.
    pub fn run_checker(&self, truth_file: &Path) -> Result<Report> {
        Report::read(&self.run_with_report("Checker", truth_file, &[])?)
    }

    /// Creates, appends, scales, seals, deletes, commits and aborts on old and new streams, and updates the truth.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn more(&self, truth_file: &Path) -> Result<Report> {
        Report::read(&self.run_with_report("More", truth_file, &[])?)
    }

    /// Waits (up to some minutes) until retention truncates a stream that the workload prepared for that.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn check_retention(&self, truth_file: &Path) -> Result<Report> {
        Report::read(&self.run_with_report("RetentionCheck", truth_file, &[])?)
    }

    /// Starts a load that appends each acknowledgement to `acknowledged_file`: at most `events_per_second`, or as fast as the
    /// cluster acknowledges.
    ///
    /// # Errors
    /// [`LabError::MissingProgram`] if Java cannot be started.
    pub fn start_load(&self, acknowledged_file: &Path, events_per_second: Option<u32>) -> Result<RunningLoad> {
        // 0 is "no limit".
        let rate = events_per_second.unwrap_or(0).to_string();
        self.start_acknowledging("Load", acknowledged_file, &[("--events-per-second", &rate)])
    }

    /// Starts changes of every kind that a controller makes, many at a time, each of which is acknowledged in the file.
    ///
    /// # Errors
    /// As [`Lab::start_load`].
    pub fn start_changes(&self, acknowledged_file: &Path) -> Result<RunningLoad> {
        self.start_acknowledging("Changes", acknowledged_file, &[])
    }

    fn start_acknowledging(
        &self,
        program: &str,
        acknowledged_file: &Path,
        more: &[(&str, &str)],
    ) -> Result<RunningLoad> {
        let acknowledged_file = std::path::absolute(acknowledged_file).context("find", acknowledged_file)?;
        let file = text(&acknowledged_file);
        let arguments: Vec<(&str, &str)> =
            [("--acknowledged", &*file)].into_iter().chain(more.iter().copied()).collect();
        // Always tied: a load without its driver has no purpose.
        let child = self.spawn_program(program, &arguments, Lifetime::Tied)?;
        Ok(RunningLoad { child, acknowledged_file })
    }

    /// Makes every change to every stream, key-value table and reader group that is left of [`Lab::start_changes`], and deletes them.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn check_changes(&self) -> Result<Report> {
        let report = self.report_path("ChangesCheck");
        self.run_reporting("ChangesCheck", &[], &report)?;
        Report::read(&report)
    }

    /// Reads back what a load wrote and compares it with what was acknowledged.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn check_load(&self, acknowledged_file: &Path) -> Result<LoadReport> {
        let acknowledged = text(&std::path::absolute(acknowledged_file).context("find", acknowledged_file)?);
        self.run_load_check(&[("--acknowledged", &acknowledged)])
    }

    /// Reads back what a load wrote and compares it with a file that says exactly what must be there; its lines are
    /// `E scope/stream key number` (events of a key in order; `O` instead of `E` if they may be missing), `U key number` (a value in the table) and `T id number`
    /// (an event of a transaction, besides which others may be there).
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn check_load_against(&self, acknowledged_file: &Path, expected_file: &Path) -> Result<LoadReport> {
        self.run_load_check(&[("--acknowledged", &text(acknowledged_file)), ("--expected", &text(expected_file))])
    }

    /// Works in every container for some seconds, in `scope`, which must be new: writes these streams, updates and removes in these
    /// tables, commits and aborts transactions, and reads back. The truth is extended, or begun.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn work_in_each_container(
        &self,
        truth_file: &Path,
        scope: &str,
        [streams, tables]: [&[String]; 2],
        seconds: u32,
    ) -> Result<Report> {
        let (streams, tables, seconds) = (streams.join(","), tables.join(","), seconds.to_string());
        let arguments = [("--scope", scope), ("--streams", &streams), ("--tables", &tables), ("--seconds", &seconds)];
        Report::read(&self.run_with_report("EachContainer", truth_file, &arguments)?)
    }

    /// Creates a key-value table of the truth, `<scope>/<table>`, once more, and compares what it holds with the truth; deletes it at the end.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn create_again(&self, truth_file: &Path, table: &str) -> Result<Report> {
        Report::read(&self.run_with_report("CreateAgain", truth_file, &[("--table", table)])?)
    }

    /// Reads bytes of segments from the segment store, as they are. For each in order: their SHA-256 in hex, or what the store said
    /// instead.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn read_segments(&self, segments: &[SegmentBytes]) -> Result<Vec<std::result::Result<String, String>>> {
        let (list, output) = (self.layout.root.join("segments"), self.layout.root.join("segments-read"));
        let line = |part: &SegmentBytes| format!("{} {} {}\n", part.first, part.end, part.segment);
        fs::write(&list, segments.iter().map(line).collect::<String>()).context("write the list of segments", &list)?;
        let port = self.state.ports.store.to_string();
        self.run("ReadSegments", &[("--port", &port), ("--segments", &text(&list)), ("--output", &text(&output))])?;
        let read = fs::read_to_string(&output).context("read what was read of segments", &output)?;
        let answer = |line: &str| {
            let (_, answer) = line.split_once(' ').unwrap_or_default();
            answer.strip_prefix('!').map_or_else(|| Ok(answer.to_owned()), |said| Err(said.to_owned()))
        };
        Ok(read.lines().map(answer).collect())
    }

    fn run_load_check(&self, arguments: &[(&str, &str)]) -> Result<LoadReport> {
        let report = self.report_path("LoadCheck");
        self.run_reporting("LoadCheck", arguments, &report)?;
        LoadReport::read(&report)
    }

    /// Starts clients that write, read, commit and update, record what they see in `record_file`, and are to outlive the
    /// servers.
    ///
    /// # Errors
    /// [`LabError::MissingProgram`] if Java cannot be started.
    pub fn start_survivors(&self, record_file: &Path) -> Result<Survivors> {
        let record_file = std::path::absolute(record_file).context("find", record_file)?;
        let child = self.spawn_program("Survivors", &[("--record", &text(&record_file))], Lifetime::Tied)?;
        Ok(Survivors { child, record_file })
    }

    /// Whether the clients of [`Lab::start_survivors`] went on as they should. `held_file` names the events that Tier-2 held at the
    /// crash, a line `key number` each.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn check_survivors(&self, record_file: &Path, held_file: &Path) -> Result<Report> {
        let report = self.report_path("SurvivorsCheck");
        self.run_reporting(
            "SurvivorsCheck",
            &[("--record", &text(record_file)), ("--held", &text(held_file))],
            &report,
        )?;
        Report::read(&report)
    }

    /// Makes streams and transactions, and the truth about them, for [`Lab::start_handover`].
    ///
    /// # Errors
    /// [`LabError::Program`] with the tail of the program's log.
    pub fn prepare_handover(&self, truth_file: &Path) -> Result<()> {
        self.run("Handover", &[("--truth", &text(truth_file)), ("--phase", "prepare")])
    }

    /// Starts to commit and to scale without end, so that a controller that is killed leaves work behind. Each commit that was
    /// accepted becomes a line in `record_file`.
    ///
    /// # Errors
    /// [`LabError::MissingProgram`] if Java cannot be started.
    pub fn start_handover(&self, truth_file: &Path, record_file: &Path) -> Result<RunningLoad> {
        let (truth, record) = (text(truth_file), text(record_file));
        let arguments = [("--truth", truth.as_str()), ("--phase", "work"), ("--record", &record)];
        let child = self.spawn_program("Handover", &arguments, Lifetime::Tied)?;
        Ok(RunningLoad { child, acknowledged_file: record_file.to_owned() })
    }

    /// Whether a controller took over what another one had under way, and does what controllers do.
    ///
    /// # Errors
    /// As [`Lab::run_checker`].
    pub fn check_handover(&self, truth_file: &Path, record_file: &Path) -> Result<Report> {
        let record = text(record_file);
        let report = self.run_with_report("Handover", truth_file, &[("--phase", "check"), ("--record", &record)])?;
        Report::read(&report)
    }

    /// Writes the events of a length-delimited export (`dr export-events`) into a new stream, in the order of the file.
    ///
    /// # Errors
    /// [`LabError::Program`] if the stream exists, the file is none, or a write is not acknowledged.
    pub fn import(&self, file: &Path, stream: &str) -> Result<()> {
        self.run("Import", &[("--file", &text(file)), ("--stream", stream)])
    }

    /// Writes what the client reads of a stream into a file, in the form of a length-delimited export.
    ///
    /// # Errors
    /// [`LabError::Program`] if the stream cannot be read.
    pub fn read_back(&self, stream: &str, file: &Path) -> Result<()> {
        self.run("ReadBack", &[("--file", &text(file)), ("--stream", stream)])
    }

    /// Asks every container, through the admin gateway, to move all it has to Tier-2, its own tables included.
    ///
    /// # Errors
    /// [`LabError::Program`] if a container refuses or does not answer.
    pub fn flush(&self) -> Result<()> {
        let port = self.ports().store_admin.to_string();
        let containers = self.options().container_count.to_string();
        self.run("FlushToStorage", &[("--port", &port), ("--containers", &containers)])
    }

    /// Creates a persistent ZNode and its parents, empty; existing ones are left alone.
    ///
    /// # Errors
    /// [`LabError::Program`] if ZooKeeper does not answer.
    pub fn create_znode(&self, path: &str) -> Result<()> {
        let address = self.zookeeper_address();
        self.run("Znodes", &[("--zookeeper", &address), ("--create", path)])
    }

    /// Deletes a ZNode with everything below it.
    ///
    /// # Errors
    /// [`LabError::Program`] if ZooKeeper does not answer.
    pub fn delete_znode(&self, path: &str) -> Result<()> {
        let address = self.zookeeper_address();
        self.run("Znodes", &[("--zookeeper", &address), ("--delete", path)])
    }

    /// Writes every ZNode below a path, and the path's own, to a file: a line each with path, version of the data and the
    /// data in Base64, separated by tabs, sorted by path.
    ///
    /// # Errors
    /// [`LabError::Program`] if ZooKeeper does not answer.
    pub fn export_znodes(&self, path: &str, file: &Path) -> Result<()> {
        let address = self.zookeeper_address();
        self.run("Znodes", &[("--zookeeper", &address), ("--export", path), ("--output", &text(file))])
    }

    /// Waits until the controller answers from its tables, which needs running containers.
    ///
    /// # Errors
    /// [`LabError::Program`] if it does not in a minute or so.
    pub fn await_cluster(&self) -> Result<()> {
        self.run("Ready", &[])
    }

    fn run_with_report(&self, program: &str, truth_file: &Path, more: &[(&str, &str)]) -> Result<PathBuf> {
        let report = self.report_path(program);
        let truth = text(&std::path::absolute(truth_file).context("find", truth_file)?);
        let mut arguments = vec![("--truth", truth.as_str())];
        arguments.extend_from_slice(more);
        self.run_reporting(program, &arguments, &report)?;
        Ok(report)
    }

    fn report_path(&self, program: &str) -> PathBuf {
        self.layout.root.join(format!("{program}-report.json"))
    }

    /// Runs a program that writes a report. It exits with 3 when checks failed: then the report is what counts.
    fn run_reporting(&self, program: &str, arguments: &[(&str, &str)], report: &Path) -> Result<()> {
        if report.exists() {
            fs::remove_file(report).context("remove the old report", report)?;
        }
        let report_text = text(report);
        let mut arguments = arguments.to_vec();
        arguments.push(("--report", &report_text));
        match self.run(program, &arguments) {
            Err(LabError::Program { .. }) if report.exists() => Ok(()),
            other => other,
        }
    }

    /// Runs a program to its end.
    fn run(&self, program: &str, arguments: &[(&str, &str)]) -> Result<()> {
        let mut child = self.spawn_program(program, arguments, Lifetime::Tied)?;
        let mut status = None;
        let ended = wait_until(PROGRAM_LIMIT, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        if !ended {
            // It is stuck; the error below says so.
            let _ = child.kill();
            let _ = child.wait();
        }
        if status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        Err(self
            .program_error(program, status.map_or_else(|| format!("not done in {PROGRAM_LIMIT:?}"), |s| s.to_string())))
    }

    fn program_error(&self, program: &str, status: String) -> LabError {
        let dead_server = self
            .servers()
            .into_iter()
            .find(|server| self.state.processes.contains_key(&server.to_string()) && !self.is_running(*server));
        if let Some(server) = dead_server.filter(|server| *server != Server::ZooKeeper) {
            return self.server_error(server, format!("ended while {program} ran ({status})"));
        }
        let log = self.layout.log(program);
        LabError::Program { program: program.to_owned(), status, tail: tail_of(&log), log }
    }

    fn spawn_program(&self, program: &str, arguments: &[(&str, &str)], lifetime: Lifetime) -> Result<Child> {
        let class = format!("dr.lab.{program}");
        let controller = self.controller_uri();
        let mut main = vec![class.as_str(), "--controller", &controller];
        for (name, value) in arguments {
            main.extend([*name, *value]);
        }
        let mut command = self.java(512, &[], &main, lifetime);
        redirect(&mut command, &self.layout.log(program))?;
        command.spawn().map_err(|error| LabError::MissingProgram {
            program: "java".into(),
            purpose: "a Java runtime, 11 or 17, for the client programs",
            reason: error.to_string(),
        })
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

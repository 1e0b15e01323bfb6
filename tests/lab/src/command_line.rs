//! `cargo xtask lab ...`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::capture::{Capture, capture};
use crate::error::{LabError, Result};
use crate::lab::{Lab, Server};
use crate::options::{LabOptions, Lifetime, WorkloadSize, build_directory, repository_root};
use crate::report::{Check, Report};

/// Help of the command line.
pub(crate) const USAGE: &str = "\
usage: lab COMMAND [--work DIR] [options]

  up [--containers N] [--bookies N] [--cluster NAME] [--pravega VERSION] [--flush-milliseconds N] [--cache-bytes N]
                            create a lab if there is none, start everything that does not run, leave it running
  workload [--size small|medium|large]
                            use every feature once and record the truth
  load [--seconds N] [--events-per-second N] [--kill]
                            write for a while and record acknowledgements; --kill ends servers in the middle of it
  flush                     move everything to Tier-2 through the admin gateway
  kill [all|servers|zookeeper|store|controller|bookie-N]
                            SIGKILL; default all
  wipe [tier1|zookeeper|bookie-N]
                            delete the data; default tier1
  start [all|tier1|servers|zookeeper|bookies|bookie-N|store|controller]
                            start on what the disks hold; default servers
  verify                    read everything back and compare with the truth
  verify-load               read a load back and compare with its acknowledgements
  more                      change old and new streams, and update the truth
  retention                 wait until retention truncates a stream
  capture NAME|all [--into DIR] [--pravega VERSION]
                            make test data: flushed, crashed, never-flushed, epochs, many-chunks, stale-rows,
                            bookie-journals, bookie-logs; default into tests/data
  create                    only create the lab (options as for up)
  restore NAME|DIR          put a capture's Tier-2 and truth into a lab in which nothing runs
  import FILE SCOPE/STREAM  write a length-delimited export of events into a new stream
  status                    what runs, ports, files
  down                      end everything; files stay

The work directory is target/lab/default; truth.json and acknowledged.txt in it are the truth unless --truth FILE says otherwise.";

/// Runs `lab` with its arguments (without the word `lab`), as `cargo xtask lab` does. Results go to stdout.
///
/// # Errors
/// [`LabError::Usage`] for a command that is not understood, [`LabError::ChecksFailed`] if a verification failed, else what
/// the step reports.
pub fn command_line(arguments: &[String]) -> Result<()> {
    let parsed = Parsed::new(arguments)?;
    let start = Instant::now();
    dispatch(&parsed)?;
    say(&format!("{} done in {:.1} s", parsed.command, start.elapsed().as_secs_f64()))
}

fn dispatch(parsed: &Parsed) -> Result<()> {
    match parsed.command.as_str() {
        "up" => up(parsed),
        "workload" => parsed.lab()?.run_workload(&parsed.truth_file(), parsed.size()?),
        "load" => load(parsed),
        "flush" => parsed.lab()?.flush(),
        "kill" => kill(&mut parsed.lab()?, parsed.subject("all")),
        "wipe" => wipe(&mut parsed.lab()?, parsed.subject("tier1")),
        "start" => start(&mut parsed.lab()?, parsed.subject("servers")),
        "verify" => show(&parsed.lab()?.run_checker(&parsed.truth_file())?),
        "verify-load" => verify_load(parsed),
        "more" => show(&parsed.lab()?.more(&parsed.truth_file())?),
        "retention" => show(&parsed.lab()?.check_retention(&parsed.truth_file())?),
        "capture" => captures(parsed),
        "create" => Lab::create(parsed.lab_options()?).map(drop),
        "restore" => restore(parsed),
        "import" => import(parsed),
        "status" => status(&parsed.lab()?),
        "down" => parsed.lab()?.down(),
        "help" => say(USAGE),
        other => Err(LabError::Usage(format!("unknown command `{other}`"))),
    }
}

/// A command line taken apart.
struct Parsed {
    command: String,
    subject: Option<String>,
    object: Option<String>,
    options: Vec<(String, String)>,
}

impl Parsed {
    const FLAGS: &[&str] = &["kill"];
    const VALUES: &[&str] = &[
        "work",
        "truth",
        "containers",
        "bookies",
        "cluster",
        "pravega",
        "flush-milliseconds",
        "cache-bytes",
        "size",
        "seconds",
        "events-per-second",
        "into",
    ];

    fn new(arguments: &[String]) -> Result<Self> {
        let mut words = arguments.iter();
        let mut positional = Vec::new();
        let mut options = Vec::new();
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                None => positional.push(word.clone()),
                Some(name) if Self::FLAGS.contains(&name) => options.push((name.to_owned(), String::new())),
                Some(name) if Self::VALUES.contains(&name) => {
                    let value = words.next().ok_or_else(|| LabError::Usage(format!("--{name} needs a value")))?;
                    options.push((name.to_owned(), value.clone()));
                }
                Some(name) => return Err(LabError::Usage(format!("unknown option --{name}"))),
            }
        }
        let mut positional = positional.into_iter();
        let command = positional.next().ok_or_else(|| LabError::Usage("a command is missing".into()))?;
        Ok(Self { command, subject: positional.next(), object: positional.next(), options })
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }

    fn number<T: std::str::FromStr>(&self, name: &str, otherwise: T) -> Result<T> {
        match self.option(name) {
            None => Ok(otherwise),
            Some(text) => text.parse().map_err(|_| LabError::Usage(format!("--{name} {text} is not a number"))),
        }
    }

    fn subject(&self, otherwise: &'static str) -> &str {
        self.subject.as_deref().unwrap_or(otherwise)
    }

    fn work_directory(&self) -> PathBuf {
        let directory = self.option("work").map_or_else(|| LabOptions::default().work_directory, PathBuf::from);
        // The programs run elsewhere.
        std::path::absolute(&directory).unwrap_or(directory)
    }

    fn truth_file(&self) -> PathBuf {
        self.option("truth").map_or_else(|| self.work_directory().join("truth.json"), PathBuf::from)
    }

    fn acknowledged_file(&self) -> PathBuf {
        self.work_directory().join("acknowledged.txt")
    }

    fn lab(&self) -> Result<Lab> {
        Lab::attach(&self.work_directory())
    }

    fn size(&self) -> Result<WorkloadSize> {
        match self.option("size").unwrap_or("small") {
            "small" => Ok(WorkloadSize::Small),
            "medium" => Ok(WorkloadSize::Medium),
            "large" => Ok(WorkloadSize::Large),
            other => Err(LabError::Usage(format!("--size {other} is none of small, medium, large"))),
        }
    }

    fn lab_options(&self) -> Result<LabOptions> {
        let mut options = LabOptions::new(self.work_directory());
        options.lifetime = Lifetime::LeftRunning;
        options.container_count = self.number("containers", options.container_count)?;
        options.bookie_count = self.number("bookies", options.bookie_count)?;
        options.ensemble_size = options.ensemble_size.min(options.bookie_count);
        options.write_quorum = options.write_quorum.min(options.bookie_count);
        options.ack_quorum = options.ack_quorum.min(options.bookie_count);
        options.writer_flush_milliseconds = self.number("flush-milliseconds", options.writer_flush_milliseconds)?;
        options.cache_bytes = self.number("cache-bytes", options.cache_bytes)?;
        if let Some(name) = self.option("cluster") {
            name.clone_into(&mut options.cluster_name);
        }
        if let Some(version) = self.option("pravega") {
            version.clone_into(&mut options.pravega_version);
            options.build_directory = build_directory(version);
        }
        Ok(options)
    }
}

fn up(parsed: &Parsed) -> Result<()> {
    let mut lab = match Lab::attach(&parsed.work_directory()) {
        Err(LabError::Refused { .. }) => Lab::create(parsed.lab_options()?)?,
        other => other?,
    };
    lab.up()?;
    status(&lab)
}

fn load(parsed: &Parsed) -> Result<()> {
    let mut lab = parsed.lab()?;
    let rate = parsed.option("events-per-second").map(|_| parsed.number("events-per-second", 0)).transpose()?;
    let load = lab.start_load(&parsed.acknowledged_file(), rate)?;
    std::thread::sleep(std::time::Duration::from_secs(parsed.number("seconds", 15)?));
    if parsed.option("kill").is_some() {
        lab.kill_servers()?;
    }
    let acknowledged = load.acknowledged()?;
    load.kill();
    say(&format!("{acknowledged} acknowledgements in {}", parsed.acknowledged_file().display()))
}

fn kill(lab: &mut Lab, subject: &str) -> Result<()> {
    match subject {
        "all" => lab.kill_all(),
        "servers" => lab.kill_servers(),
        name => lab.kill(server(lab, name)?),
    }
}

fn wipe(lab: &mut Lab, subject: &str) -> Result<()> {
    match subject {
        "tier1" => lab.wipe_tier1(),
        "zookeeper" => lab.wipe_zookeeper(),
        name => match server(lab, name)? {
            Server::Bookie(index) => lab.wipe_bookie(index),
            other => Err(LabError::Usage(format!("{other} has no data to wipe"))),
        },
    }
}

fn start(lab: &mut Lab, subject: &str) -> Result<()> {
    match subject {
        "all" => lab.up(),
        "tier1" => lab.start_tier1(),
        "servers" => lab.start_servers(),
        "bookies" => lab.start_bookies(),
        name => match server(lab, name)? {
            Server::ZooKeeper => lab.start_zookeeper(),
            Server::Bookie(index) => lab.start_bookie(index),
            Server::AutoRecovery => lab.start_auto_recovery(),
            Server::SegmentStore => lab.start_segment_store(),
            Server::Controller => lab.start_controller(),
        },
    }
}

fn server(lab: &Lab, name: &str) -> Result<Server> {
    let found = lab.servers().into_iter().find(|server| server.to_string() == name);
    found.ok_or_else(|| LabError::Usage(format!("there is no server `{name}`")))
}

fn verify_load(parsed: &Parsed) -> Result<()> {
    let report = parsed.lab()?.check_load(&parsed.acknowledged_file())?;
    say(&format!(
        "events: {} acknowledged, {} read, {} lost; updates: {} acknowledged, {} keys lost; transactions: {} acknowledged, {} lost, {} torn",
        report.acknowledged_events,
        report.read_events,
        report.lost_events,
        report.acknowledged_updates,
        report.lost_updates,
        report.acknowledged_transactions,
        report.lost_transactions,
        report.torn_transactions,
    ))?;
    show(&report.report())
}

fn show(report: &Report) -> Result<()> {
    for check in &report.checks {
        say(&line(check))?;
    }
    let passed = report.checks.len() - report.failures().len();
    say(&format!("{passed} of {} checks passed", report.checks.len()))?;
    report.require_all_ok()
}

fn line(check: &Check) -> String {
    let mut detail = check.detail.clone();
    if let Some((cut, _)) = detail.char_indices().nth(200) {
        detail.truncate(cut);
    }
    format!("{:4} {}: {detail}", if check.ok { "ok" } else { "FAIL" }, check.name)
}

fn captures(parsed: &Parsed) -> Result<()> {
    let into = parsed.option("into").map_or_else(|| repository_root().join("tests/data"), PathBuf::from);
    let wanted: Vec<Capture> = match parsed.subject("all") {
        "all" => Capture::ALL.to_vec(),
        name => vec![Capture::from_name(name).ok_or_else(|| LabError::Usage(format!("there is no capture `{name}`")))?],
    };
    let usual_version = LabOptions::default().pravega_version;
    let version = parsed.option("pravega").unwrap_or(&usual_version);
    for kind in wanted {
        let name = if version == usual_version { kind.name().to_owned() } else { format!("{}-{version}", kind.name()) };
        let directory = into.join(&name);
        capture(kind, version, &parsed.work_directory().with_extension(&name), &directory)?;
        say(&format!("{name} captured into {}", directory.display()))?;
    }
    Ok(())
}

fn restore(parsed: &Parsed) -> Result<()> {
    let name = parsed.subject.as_deref().ok_or_else(|| LabError::Usage("restore needs a capture".into()))?;
    let known = repository_root().join("tests/data").join(name);
    let directory = if known.is_dir() { known } else { PathBuf::from(name) };
    parsed.lab()?.restore_capture(&directory)
}

fn import(parsed: &Parsed) -> Result<()> {
    match (&parsed.subject, &parsed.object) {
        (Some(file), Some(stream)) => parsed.lab()?.import(Path::new(file), stream),
        _ => Err(LabError::Usage("import needs a file and a stream".into())),
    }
}

fn status(lab: &Lab) -> Result<()> {
    for server in lab.servers() {
        let state = if lab.is_running(server) { "running" } else { "down" };
        say(&format!("{server:12} {state:8} log {}", shown(&lab.log_file(server))))?;
    }
    say(&format!("zookeeper    {}", lab.zookeeper_address()))?;
    say(&format!("controller   {}", lab.controller_uri()))?;
    say(&format!("tier-2       {}", shown(&lab.tier2_directory())))?;
    say(&format!("properties   {}", shown(&lab.properties_file())))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(|source| LabError::Io {
        action: "write to",
        path: PathBuf::from("standard output"),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_and_subject_are_taken_apart() {
        let parsed = Parsed::new(&words("kill bookie-1 --work somewhere")).unwrap();
        assert_eq!(parsed.command, "kill");
        assert_eq!(parsed.subject("all"), "bookie-1");
        let work_directory = parsed.work_directory();
        assert!(work_directory.is_absolute() && work_directory.ends_with("somewhere"), "{}", work_directory.display());
    }

    #[test]
    fn mistakes_are_named() {
        for (line, expected) in [
            ("", "a command is missing"),
            ("up --what 1", "unknown option --what"),
            ("up --work", "--work needs a value"),
            ("fly", "unknown command `fly`"),
        ] {
            let error = command_line(&words(line)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn fewer_bookies_make_smaller_quorums() {
        let options = Parsed::new(&words("up --bookies 1")).unwrap().lab_options().unwrap();
        assert_eq!((options.ensemble_size, options.write_quorum, options.ack_quorum), (1, 1, 1));
    }
}

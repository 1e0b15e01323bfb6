//! Captures: Tier-2 trees, and disks of bookies, of real clusters, packed for tests that need no servers.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::error::{Context, LabError, Result};
use crate::lab::{Lab, Server};
use crate::options::{LabOptions, WorkloadSize, build_directory};
use crate::process::wait_until;

/// Events per second while a capture's load runs: the files must stay small.
const LOAD_EVENTS_PER_SECOND: u32 = 400;

/// Writes that a load does before bookies are killed, and the longest wait for them.
const LOAD_WRITES: u64 = 4_000;
const LOAD_LIMIT: Duration = Duration::from_secs(180);

/// A kind of test data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Everything moved to Tier-2 before the servers were killed.
    Flushed,
    /// Killed in the middle of a load, with data in Tier-1 only.
    Crashed,
    /// Killed before the first regular flush: hardly anything in Tier-2.
    NeverFlushed,
    /// The store was killed and started several times, then flushed: several epochs.
    Epochs,
    /// A storage without appends: every flush is a chunk of its own.
    ManyChunks,
    /// As [`Capture::ManyChunks`], but nothing was flushed on purpose: data is complete, container metadata is not.
    StaleRows,
    /// Bookies that were killed in the middle of a load, and still have everything in their journals only.
    BookieJournals,
    /// Bookies that were killed in the middle of a load, and had moved a part of it to entry logs.
    BookieLogs,
}

impl Capture {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Flushed,
        Self::Crashed,
        Self::NeverFlushed,
        Self::Epochs,
        Self::ManyChunks,
        Self::StaleRows,
        Self::BookieJournals,
        Self::BookieLogs,
    ];

    /// Name of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flushed => "flushed",
            Self::Crashed => "crashed",
            Self::NeverFlushed => "never-flushed",
            Self::Epochs => "epochs",
            Self::ManyChunks => "many-chunks",
            Self::StaleRows => "stale-rows",
            Self::BookieJournals => "bookie-journals",
            Self::BookieLogs => "bookie-logs",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// True if the disks of the bookies belong to the capture.
    fn keeps_bookies(self) -> bool {
        matches!(self, Self::BookieJournals | Self::BookieLogs)
    }

    fn story(self) -> &'static str {
        match self {
            Self::Flushed => {
                "The workload ran, `FlushToStorage` was answered by every container, then store, controller,\n\
                 bookies and ZooKeeper were ended with SIGKILL. Tier-2 is complete."
            }
            Self::Crashed => {
                "The workload ran and was flushed. Then a load wrote events, transactions and table updates, and the\n\
                 store was ended with SIGKILL in the middle of it: `truth.json` holds the workload,\n\
                 `acknowledged.txt.xz` one line per acknowledged write of the load (see `Load.java`)."
            }
            Self::NeverFlushed => {
                "`writer.flush.threshold.milliseconds` was so large that nothing was flushed on purpose before the store was\n\
                 ended with SIGKILL. `truth.json` says what clients had been told; hardly anything of it is in Tier-2."
            }
            Self::Epochs => {
                "The store was killed with SIGKILL and started again three times, with writes between, and then flushed:\n\
                 chunks and journals of several epochs. Tier-2 is complete. `truth.json` holds the workload and the\n\
                 changes of the rounds after it."
            }
            Self::ManyChunks => {
                "`storage.appends.enable` = false, as on object stores without appends: every flush made a chunk of its own.\n\
                 Otherwise as `flushed`, with a round of changes after the workload. `FlushToStorage` did its rounds, but\n\
                 answered with an error, since there each chunk that a flush makes is new metadata to flush."
            }
            Self::StaleRows => {
                "As `many-chunks`, but with 15 s of rest instead of `FlushToStorage`: streams and tables are complete, the\n\
                 newest container metadata is not. What only Tier-1 knew, and the checker therefore misses unless recovery infers it:\n\
                 the seal of `alpha/scaled/3.#epoch.2`, an empty segment that was scaled away (the controller's tables tell it), and\n\
                 that the keys of `tables/emptied` were removed after, not before, its empty index was written."
            }
            Self::BookieJournals => {
                "The workload ran, the store was killed with SIGKILL and started again, so that every container has several\n\
                 ledgers; `bookkeeper.ledger.size.max` = 1 MiB made more of them. Then a load ran, and the store was ended with\n\
                 SIGKILL in the middle of it, then the bookies. Everything is in the bookies' journals only."
            }
            Self::BookieLogs => {
                "As `bookie-journals`, but with bookies that move entries to entry logs of 1 MiB early (`skipListSizeLimit` and\n\
                 `logSizeLimit` = 1 MiB): sealed entry logs, one that is not sealed, indexes, and journals."
            }
        }
    }
}

/// Runs a cluster of the given Pravega version in `work_directory` (which is emptied first) and packs its Tier-2 into `into`: `tier2.tar.xz`,
/// `truth.json`, `ORIGIN.md`; if a load ran, `acknowledged.txt.xz`; for captures of bookies, `bookies.tar.xz` and `znodes.txt.xz`.
///
/// # Errors
/// As the steps of [`Lab`]; [`LabError::MissingProgram`] without `tar` and `xz`.
pub fn capture(kind: Capture, pravega_version: &str, work_directory: &Path, into: &Path) -> Result<()> {
    if work_directory.exists() {
        fs::remove_dir_all(work_directory).context("empty the work directory", work_directory)?;
    }
    let mut options = LabOptions::new(work_directory);
    options.pravega_version = pravega_version.to_owned();
    options.build_directory = build_directory(pravega_version);
    options.writer_flush_milliseconds = match kind {
        Capture::NeverFlushed => 3_600_000,
        Capture::Crashed | Capture::BookieJournals | Capture::BookieLogs => 10_000,
        Capture::Flushed | Capture::Epochs | Capture::ManyChunks | Capture::StaleRows => 1_000,
    };
    if matches!(kind, Capture::ManyChunks | Capture::StaleRows) {
        options.store_properties.push(("storage.appends.enable".into(), "false".into()));
    }
    if kind.keeps_bookies() {
        options.store_properties.push(("bookkeeper.ledger.size.max".into(), (1 << 20).to_string()));
    }
    if kind == Capture::BookieLogs {
        let limits = [("skipListSizeLimit", 1 << 20), ("skipListArenaChunkSize", 1 << 17), ("logSizeLimit", 1 << 20)];
        options.bookie_settings = limits.map(|(name, bytes)| (name.to_owned(), bytes.to_string())).to_vec();
    }
    let mut lab = Lab::create(options)?;
    let truth = work_directory.join("truth.json");
    let acknowledged = work_directory.join("acknowledged.txt");
    lab.up()?;
    lab.run_workload(&truth, WorkloadSize::Small)?;
    live_until_loss(kind, &mut lab, &truth, &acknowledged)?;
    if kind.keeps_bookies() {
        // What the disks are to be compared with: ZooKeeper as it was when the store had ended.
        lab.export_znodes("/pravega", &work_directory.join("znodes.txt"))?;
    }
    lab.kill_all()?;
    pack(kind, &lab, into, &truth, &acknowledged)
}

/// From the end of the workload to the disaster.
fn live_until_loss(kind: Capture, lab: &mut Lab, truth: &Path, acknowledged: &Path) -> Result<()> {
    match kind {
        Capture::NeverFlushed => Ok(()),
        Capture::Flushed => lab.flush(),
        Capture::ManyChunks => {
            lab.more(truth)?.require_all_ok()?;
            match lab.flush() {
                // Each chunk that a flush makes is new metadata to flush, so the store gives up after its rounds.
                Err(LabError::Program { .. }) => Ok(()),
                other => other,
            }
        }
        Capture::StaleRows => {
            lab.more(truth)?.require_all_ok()?;
            sleep(Duration::from_secs(15));
            Ok(())
        }
        Capture::Crashed => {
            lab.flush()?;
            let load = lab.start_load(acknowledged, Some(LOAD_EVENTS_PER_SECOND))?;
            sleep(Duration::from_secs(25));
            lab.kill_servers()?;
            load.kill();
            Ok(())
        }
        Capture::BookieJournals | Capture::BookieLogs => {
            lab.kill_servers()?;
            lab.start_servers()?;
            let load = lab.start_load(acknowledged, Some(LOAD_EVENTS_PER_SECOND))?;
            if !wait_until(LOAD_LIMIT, || load.acknowledged().is_ok_and(|writes| writes >= LOAD_WRITES)) {
                return Err(lab.server_error(Server::SegmentStore, format!("took fewer than {LOAD_WRITES} writes")));
            }
            lab.kill_servers()?;
            load.kill();
            Ok(())
        }
        Capture::Epochs => {
            for _ in 0..3 {
                lab.kill_servers()?;
                lab.start_servers()?;
                lab.more(truth)?.require_all_ok()?;
            }
            lab.flush()
        }
    }
}

fn pack(kind: Capture, lab: &Lab, into: &Path, truth: &Path, acknowledged: &Path) -> Result<()> {
    fs::create_dir_all(into).context("create the capture's directory", into)?;
    let work_directory = &lab.options().work_directory;
    tar(&lab.tier2_directory(), &into.join("tier2.tar.xz"))?;
    let copied = into.join("truth.json");
    fs::copy(truth, &copied).context("copy the truth", &copied)?;
    if acknowledged.exists() {
        compress(acknowledged, &into.join("acknowledged.txt.xz"))?;
    }
    if kind.keeps_bookies() {
        // All in one, for they hold the same.
        tar(&work_directory.join("bookies"), &into.join("bookies.tar.xz"))?;
        compress(&work_directory.join("znodes.txt"), &into.join("znodes.txt.xz"))?;
    }
    let origin = origin(kind, lab);
    let path = into.join("ORIGIN.md");
    fs::write(&path, origin).context("write the origin of a capture", &path)?;
    fs::remove_dir_all(work_directory).context("remove the work directory", work_directory)
}

fn origin(kind: Capture, lab: &Lab) -> String {
    let options = lab.options();
    format!(
        "# Capture `{name}`\n\n\
         Tier-2 (FILESYSTEM, CHUNKED_STORAGE) of a real Pravega {version} cluster `{cluster}` with {containers} containers, one segment\n\
         store, one controller and {bookies} bookies, made by `cargo xtask lab capture {name}`.\n\
         `writer.flush.threshold.milliseconds` = {flush}.\n\n\
         {story}\n\n\
         - `tier2.tar.xz`: the directory `filesystem.root` as it was after the end of all processes.\n\
         - `truth.json`: what was acknowledged (format: `tests/lab/src/main/java/dr/lab/Truth.java`).\n{more}",
        name = kind.name(),
        version = options.pravega_version,
        cluster = options.cluster_name,
        containers = options.container_count,
        bookies = options.bookie_count,
        flush = options.writer_flush_milliseconds,
        story = kind.story(),
        more = if kind.keeps_bookies() { BOOKIES_ORIGIN } else { "" },
    )
}

/// What else there is of bookies.
const BOOKIES_ORIGIN: &str = "\
- `acknowledged.txt.xz`: a line for each acknowledged write of the load (format: `tests/lab/src/main/java/dr/lab/Load.java`).
- `bookies.tar.xz`: the directories of the bookies, `N/journal` and `N/ledgers`, as they were after the end of all processes.
- `znodes.txt.xz`: all ZNodes below `/pravega` when the store had ended and the bookies still ran; a line each with path, version
  of the data and the data in Base64, separated by tabs.
";

impl Lab {
    /// Puts a capture's Tier-2 in the place of this lab's, and its `truth.json` and acknowledgements into the work directory:
    /// a disaster to recover from without running a workload. Cluster name and container count must be those of the capture.
    ///
    /// # Errors
    /// [`LabError::Refused`] while a server runs, [`LabError::MissingProgram`] without `tar` and `xz`.
    pub fn restore_capture(&self, directory: &Path) -> Result<()> {
        if let Some(server) = self.servers().into_iter().find(|server| self.is_running(*server)) {
            return Err(LabError::Refused {
                what: format!("{server} still runs"),
                next: "kill it before restoring a capture",
            });
        }
        let tier2 = self.tier2_directory();
        fs::remove_dir_all(&tier2).context("remove the old Tier-2", &tier2)?;
        fs::create_dir_all(&tier2).context("create Tier-2", &tier2)?;
        let mut command = Command::new("tar");
        command.arg("-xJf").arg(directory.join("tier2.tar.xz")).arg("-C").arg(&tier2);
        run(command, "tar", &tier2)?;
        let work = &self.options().work_directory;
        let truth = work.join("truth.json");
        fs::copy(directory.join("truth.json"), &truth).context("copy the truth", &truth)?;
        // No half-read group of the restored cluster has been continued yet.
        let _ = fs::remove_file(work.join("truth.json.groups-used"));
        let packed = directory.join("acknowledged.txt.xz");
        if packed.exists() {
            let plain = work.join("acknowledged.txt");
            let output = fs::File::create(&plain).context("create", &plain)?;
            let mut command = Command::new("xz");
            command.args(["-d", "--stdout"]).arg(&packed).stdout(output);
            run(command, "xz", &plain)?;
        }
        Ok(())
    }
}

/// Sorted, without owners and times of this machine, so that the same tree gives the same archive.
fn tar(directory: &Path, archive: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--format=gnu"]);
    command.args(["--use-compress-program", "xz -9e", "-cf"]).arg(archive).arg("-C").arg(directory).arg(".");
    run(command, "tar", archive)
}

fn compress(file: &Path, into: &Path) -> Result<()> {
    let output = fs::File::create(into).context("create", into)?;
    let mut command = Command::new("xz");
    command.args(["-9e", "--stdout"]).arg(file).stdout(output);
    run(command, "xz", into)
}

fn run(mut command: Command, program: &str, target: &Path) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().map_err(|error| LabError::MissingProgram {
        program: program.to_owned(),
        purpose: "GNU tar and xz, to pack captures",
        reason: error.to_string(),
    })?;
    if status.success() {
        return Ok(());
    }
    let source = std::io::Error::other(format!("{program} ended with {status}"));
    Err(LabError::Io { action: "pack", path: target.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_kind() {
        for kind in Capture::ALL {
            assert_eq!(Capture::from_name(kind.name()), Some(kind));
        }
        assert_eq!(Capture::from_name("other"), None);
    }
}

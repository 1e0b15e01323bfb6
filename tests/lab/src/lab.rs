//! The servers: start, wait, kill, wipe.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::class_path;
use crate::configuration::{self, Layout, ledgers_path};
use crate::error::{Context, LabError, Result};
use crate::options::{LabOptions, Lifetime};
use crate::process::{ProcessIdentity, tail_of, wait_until};
use crate::shared_classes;
use crate::state::{LabState, Ports};

/// Longest wait for a server that was just started.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Flags for every virtual machine: quick to start, small, few threads.
pub(crate) const JVM_FLAGS: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
];

/// One server of a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The only ZooKeeper.
    ZooKeeper,
    /// A bookie, counted from 0.
    Bookie(u32),
    /// BookKeeper's autorecovery: it copies what bookies held that are gone.
    AutoRecovery,
    /// The only segment store.
    SegmentStore,
    /// The only controller.
    Controller,
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZooKeeper => formatter.write_str("zookeeper"),
            Self::Bookie(index) => write!(formatter, "bookie-{index}"),
            Self::AutoRecovery => formatter.write_str("autorecovery"),
            Self::SegmentStore => formatter.write_str("store"),
            Self::Controller => formatter.write_str("controller"),
        }
    }
}

/// One cluster of real servers below one work directory.
///
/// With [`Lifetime::Tied`] dropping it kills the servers.
#[derive(Debug)]
pub struct Lab {
    pub(crate) state: LabState,
    pub(crate) layout: Layout,
    /// Children of this process, so that they can be reaped; servers started by another invocation are only in the state.
    children: BTreeMap<String, Child>,
}

impl Lab {
    /// A new lab, nothing started. Chooses ports, writes the configuration files and resolves the class path.
    ///
    /// # Errors
    /// [`LabError::MissingProgram`] without Java or Maven, [`LabError::Refused`] if the work directory has a lab already.
    pub fn create(options: LabOptions) -> Result<Self> {
        let mut options = options;
        options.work_directory = absolute(&options.work_directory)?;
        options.build_directory = absolute(&options.build_directory)?;
        if LabState::load(&options.work_directory)?.is_some() {
            return Err(LabError::Refused {
                what: format!("{} holds a lab already", options.work_directory.display()),
                next: "attach to it, or take it down and remove the directory",
            });
        }
        class_path::prepare(&options.build_directory, &options.pravega_version)?;
        let layout = Layout { root: options.work_directory.clone() };
        let ports = Ports::choose(options.bookie_count)?;
        configuration::write_all(&options, &ports, &layout)?;
        let lab =
            Self { state: LabState { options, ports, processes: BTreeMap::new() }, layout, children: BTreeMap::new() };
        lab.state.save()?;
        Ok(lab)
    }

    /// The lab that an earlier invocation created in `work_directory`. It keeps the lifetime of its servers.
    ///
    /// # Errors
    /// [`LabError::Refused`] if there is none.
    pub fn attach(work_directory: &Path) -> Result<Self> {
        let Some(state) = LabState::load(&absolute(work_directory)?)? else {
            return Err(LabError::Refused {
                what: format!("{} holds no lab", work_directory.display()),
                next: "start one with `lab up`, or name another directory with --work",
            });
        };
        class_path::prepare(&state.options.build_directory, &state.options.pravega_version)?;
        let layout = Layout { root: state.options.work_directory.clone() };
        Ok(Self { state, layout, children: BTreeMap::new() })
    }

    /// The options it was created with, directories made absolute.
    pub fn options(&self) -> &LabOptions {
        &self.state.options
    }

    /// Its ports.
    pub fn ports(&self) -> &Ports {
        &self.state.ports
    }

    /// The segment store's properties file, from which `dr` learns about the cluster.
    pub fn properties_file(&self) -> PathBuf {
        self.layout.configuration("store.properties")
    }

    /// The controller's properties file; lines that are appended win when it starts the next time.
    pub fn controller_properties_file(&self) -> PathBuf {
        self.layout.configuration("controller.properties")
    }

    /// Root of Tier-2.
    pub fn tier2_directory(&self) -> PathBuf {
        self.layout.tier2()
    }

    /// Data directory of ZooKeeper.
    pub fn zookeeper_directory(&self) -> PathBuf {
        self.layout.zookeeper()
    }

    /// Directory of one bookie; `journal` and `ledgers` are below it.
    pub fn bookie_directory(&self, index: u32) -> PathBuf {
        self.layout.bookie(index)
    }

    /// Log of a server, all its starts in one file.
    pub fn log_file(&self, server: Server) -> PathBuf {
        self.layout.log(&server.to_string())
    }

    /// `host:port` of ZooKeeper.
    pub fn zookeeper_address(&self) -> String {
        format!("127.0.0.1:{}", self.state.ports.zookeeper)
    }

    /// `tcp://host:port` of the controller.
    pub fn controller_uri(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.state.ports.controller)
    }

    /// True while the server runs.
    pub fn is_running(&self, server: Server) -> bool {
        self.state.processes.get(&server.to_string()).is_some_and(|process| process.is_alive())
    }

    /// Every server that this lab has, in the order of starting.
    pub fn servers(&self) -> Vec<Server> {
        let mut servers = vec![Server::ZooKeeper];
        servers.extend((0..self.state.options.bookie_count).map(Server::Bookie));
        servers.extend([Server::AutoRecovery, Server::SegmentStore, Server::Controller]);
        servers
    }

    /// Starts everything that does not run and waits until the cluster answers a client.
    ///
    /// # Errors
    /// [`LabError::Server`] with the tail of the log of the server that failed.
    pub fn up(&mut self) -> Result<()> {
        self.start_tier1()?;
        self.start_servers()
    }

    /// ZooKeeper and all bookies.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn start_tier1(&mut self) -> Result<()> {
        self.start_zookeeper()?;
        self.start_bookies()
    }

    /// Segment store and controller; waits until the controller answers from its tables.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn start_servers(&mut self) -> Result<()> {
        self.start_segment_store()?;
        self.start_controller()?;
        self.await_cluster()
    }

    /// ZooKeeper, on what its data directory holds.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn start_zookeeper(&mut self) -> Result<()> {
        let configuration = self.layout.configuration("zoo.cfg").display().to_string();
        let main = ["org.apache.zookeeper.server.ZooKeeperServerMain", &configuration];
        let port = self.state.ports.zookeeper;
        // `ruok` is answered before clients are.
        // As with the bookies' journals: processes are killed, the power is not cut, and fsync on a busy disk can last longer than a session.
        let properties = ["-Dzookeeper.forceSync=no"];
        self.start(Server::ZooKeeper, 256, &properties, &main, || four_letter_word(port, "srvr").contains("Mode:"))
    }

    /// All bookies that do not run; creates BookKeeper's root in an empty ZooKeeper first.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn start_bookies(&mut self) -> Result<()> {
        self.create_znode(&format!("{}/available", ledgers_path(&self.state.options)))?;
        let indexes = 0..self.state.options.bookie_count;
        indexes.clone().try_for_each(|index| self.spawn_bookie(index))?;
        indexes.clone().try_for_each(|index| self.await_bookie(index))
    }

    /// One bookie.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn start_bookie(&mut self, index: u32) -> Result<()> {
        self.spawn_bookie(index)?;
        self.await_bookie(index)
    }

    fn spawn_bookie(&mut self, index: u32) -> Result<()> {
        let (server, zookeeper, port) = (Server::Bookie(index), self.state.ports.zookeeper, self.bookie_port(index));
        if self.is_running(server) {
            return Ok(());
        }
        // A bookie waits for the end of the session of one that was killed before it, but gives up when that can just be over.
        if !wait_until(START_LIMIT, || !is_registered(zookeeper, port)) {
            return Err(self.server_error(server, format!("its session before did not end in {START_LIMIT:?}")));
        }
        let configuration = self.layout.configuration(&format!("bookie-{index}.conf")).display().to_string();
        let main = ["org.apache.bookkeeper.server.Main", "--conf", &configuration];
        self.spawn(server, 512, &[], &main)
    }

    /// Waits for the bookie's ephemeral node: writers choose bookies from there, an open port is not enough.
    fn await_bookie(&mut self, index: u32) -> Result<()> {
        let (zookeeper, port) = (self.state.ports.zookeeper, self.bookie_port(index));
        self.await_ready(Server::Bookie(index), || is_registered(zookeeper, port))
    }

    fn bookie_port(&self, index: u32) -> u16 {
        self.state.ports.bookies.get(index as usize).copied().unwrap_or_default()
    }

    /// Autorecovery, with the configuration of the first bookie. It begins at once with the bookies that ledgers name and that do not run.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn start_auto_recovery(&mut self) -> Result<()> {
        let configuration = self.layout.configuration("bookie-0.conf").display().to_string();
        let main = ["org.apache.bookkeeper.replication.AutoRecoveryMain", "--conf", &configuration];
        self.spawn(Server::AutoRecovery, 256, &[], &main)
    }

    /// The segment store; waits for its port. Its containers start when the controller has assigned them.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn start_segment_store(&mut self) -> Result<()> {
        let property = format!("-Dpravega.configurationFile={}", self.properties_file().display());
        let port = self.state.ports.store;
        let main = ["io.pravega.segmentstore.server.host.ServiceStarter"];
        self.start(Server::SegmentStore, 1024, &[&property], &main, || answers(port))
    }

    /// The controller; waits for its port.
    ///
    /// One that starts while ZooKeeper drops the nodes of a killed one can end itself (`DataNotFoundException:
    /// /buckets/ownership/0`), so it is started once more, as whoever looks after servers does.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn start_controller(&mut self) -> Result<()> {
        match self.try_start_controller() {
            Err(LabError::Server { .. }) if !self.is_running(Server::Controller) => self.try_start_controller(),
            other => other,
        }
    }

    fn try_start_controller(&mut self) -> Result<()> {
        let file = self.layout.configuration("controller.properties");
        let properties =
            [format!("-Dconf.file={}", file.display()), format!("-Dpravega.configurationFile={}", file.display())];
        let port = self.state.ports.controller;
        let main = ["io.pravega.controller.server.Main"];
        self.start(Server::Controller, 768, &[&properties[0], &properties[1]], &main, || answers(port))
    }

    fn start(
        &mut self,
        server: Server,
        heap_megabytes: u32,
        properties: &[&str],
        main: &[&str],
        ready: impl FnMut() -> bool,
    ) -> Result<()> {
        self.spawn(server, heap_megabytes, properties, main)?;
        self.await_ready(server, ready)
    }

    fn spawn(&mut self, server: Server, heap_megabytes: u32, properties: &[&str], main: &[&str]) -> Result<()> {
        if self.is_running(server) {
            return Ok(());
        }
        let log_path = self.log_file(server);
        let mut command = self.java(heap_megabytes, properties, main, self.state.options.lifetime);
        redirect(&mut command, &log_path)?;
        let child = command.spawn().map_err(|error| LabError::MissingProgram {
            program: "java".into(),
            purpose: "a Java runtime, 11 or 17, for the servers",
            reason: error.to_string(),
        })?;
        self.state.processes.insert(server.to_string(), ProcessIdentity::of(&child));
        self.children.insert(server.to_string(), child);
        self.state.save()
    }

    /// A Java command on the lab's class path.
    pub(crate) fn java(&self, heap_megabytes: u32, properties: &[&str], main: &[&str], lifetime: Lifetime) -> Command {
        let mut command = Command::new("java");
        command.args(JVM_FLAGS).arg(format!("-Xmx{heap_megabytes}m")).args(properties);
        command.args(shared_classes::flag(&self.state.options.build_directory));
        // The programs of the lab report by themselves; from their client library only trouble matters.
        let program = main.first().is_some_and(|class| class.starts_with("dr.lab."));
        let logback = self.layout.configuration(if program { "logback-programs.xml" } else { "logback-servers.xml" });
        command.arg(format!("-Dlogback.configurationFile={}", logback.display()));
        command.arg("-cp").arg(class_path::class_path(&self.state.options.build_directory));
        match lifetime {
            Lifetime::Tied => {
                command.args(["dr.lab.Tied", &std::process::id().to_string()]);
            }
            // A group of its own, so that an interrupt at the terminal does not reach servers that are to stay.
            Lifetime::LeftRunning => {
                command.process_group(0);
            }
        }
        command.args(main).current_dir(&self.layout.root).stdin(Stdio::null());
        command
    }

    fn await_ready(&mut self, server: Server, mut ready: impl FnMut() -> bool) -> Result<()> {
        let mut ended = false;
        let in_time = wait_until(START_LIMIT, || {
            ended = !self.is_running(server);
            ended || ready()
        });
        if in_time && !ended {
            return Ok(());
        }
        let reason = if ended { "ended while starting".into() } else { format!("did not answer in {START_LIMIT:?}") };
        Err(self.server_error(server, reason))
    }

    pub(crate) fn server_error(&self, server: Server, reason: String) -> LabError {
        let log = self.log_file(server);
        LabError::Server { server: server.to_string(), reason, tail: tail_of(&log), log }
    }

    /// SIGKILL for one server, by the id it was started with; nothing happens if it does not run.
    ///
    /// # Errors
    /// Only if the state file cannot be written.
    pub fn kill(&mut self, server: Server) -> Result<()> {
        let name = server.to_string();
        if let Some(process) = self.state.processes.remove(&name) {
            process.kill();
        }
        if let Some(mut child) = self.children.remove(&name) {
            // Reaps the child; it was killed above.
            let _ = child.wait();
        }
        self.state.save()
    }

    /// Lets a server do nothing, with all its connections open, until [`Lab::resume`]; nothing happens if it does not run.
    pub fn pause(&self, server: Server) {
        if let Some(process) = self.state.processes.get(&server.to_string()) {
            process.pause();
        }
    }

    /// Lets a paused server go on.
    pub fn resume(&self, server: Server) {
        if let Some(process) = self.state.processes.get(&server.to_string()) {
            process.resume();
        }
    }

    /// SIGKILL for the segment store and the controller, the store first: nothing of its memory reaches Tier-2 any more.
    ///
    /// # Errors
    /// As [`Lab::kill`].
    pub fn kill_servers(&mut self) -> Result<()> {
        self.kill(Server::SegmentStore)?;
        self.kill(Server::Controller)
    }

    /// SIGKILL for everything, the segment store first, ZooKeeper last.
    ///
    /// # Errors
    /// As [`Lab::kill`].
    pub fn kill_all(&mut self) -> Result<()> {
        self.kill_servers()?;
        self.kill(Server::AutoRecovery)?;
        for index in 0..self.state.options.bookie_count {
            self.kill(Server::Bookie(index))?;
        }
        self.kill(Server::ZooKeeper)
    }

    /// Ends everything. Files stay.
    ///
    /// # Errors
    /// As [`Lab::kill`].
    pub fn down(&mut self) -> Result<()> {
        self.kill_all()
    }

    /// Loses all of Tier-1: the data of ZooKeeper and of every bookie.
    ///
    /// # Errors
    /// [`LabError::Refused`] while any server runs.
    pub fn wipe_tier1(&mut self) -> Result<()> {
        self.refuse_while_running(&self.servers())?;
        remove(&self.layout.zookeeper())?;
        remove(&self.layout.bookies())
    }

    /// Loses ZooKeeper's data only; the bookies keep theirs, and may run.
    ///
    /// # Errors
    /// [`LabError::Refused`] while ZooKeeper runs.
    pub fn wipe_zookeeper(&mut self) -> Result<()> {
        self.refuse_while_running(&[Server::ZooKeeper])?;
        remove(&self.layout.zookeeper())
    }

    /// Loses the disks of one bookie.
    ///
    /// # Errors
    /// [`LabError::Refused`] while this bookie runs.
    pub fn wipe_bookie(&mut self, index: u32) -> Result<()> {
        self.refuse_while_running(&[Server::Bookie(index)])?;
        remove(&self.layout.bookie(index))
    }

    /// Loses the disks of one bookie for good; another one, with an id of its own, takes its place when it is started. Returns the id of
    /// the lost one.
    ///
    /// # Errors
    /// As [`Lab::wipe_bookie`].
    pub fn replace_bookie(&mut self, index: u32) -> Result<String> {
        self.wipe_bookie(index)?;
        let lost = self.state.ports.replace_bookie(index)?;
        configuration::write_bookie(&self.state.options, &self.state.ports, &self.layout, index)?;
        self.state.save()?;
        Ok(format!("127.0.0.1:{lost}"))
    }

    fn refuse_while_running(&self, servers: &[Server]) -> Result<()> {
        match servers.iter().find(|server| self.is_running(**server)) {
            None => Ok(()),
            Some(server) => {
                Err(LabError::Refused { what: format!("{server} still runs"), next: "kill it before wiping its data" })
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.state.options.lifetime == Lifetime::Tied {
            // Nothing better can be done with an error here; the servers watch this process anyway.
            let _ = self.kill_all();
        }
    }
}

/// Appends output and errors of `command` to a log.
pub(crate) fn redirect(command: &mut Command, log_path: &Path) -> Result<()> {
    let log =
        fs::OpenOptions::new().create(true).append(true).open(log_path).context("open a server's log", log_path)?;
    let errors = log.try_clone().context("open a server's log", log_path)?;
    command.stdout(log).stderr(errors);
    Ok(())
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("wipe", directory),
        _ => Ok(()),
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).context("find the directory", path)
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Duration::from_secs(2))
}

/// True if something accepts connections on the port.
fn answers(port: u16) -> bool {
    connect(port).is_ok()
}

/// True if some ZooKeeper session holds the registration of the bookie with this port, as `dump` tells it: a line for each session, and an
/// indented line for each of its nodes.
fn is_registered(zookeeper: u16, port: u16) -> bool {
    let node = format!("/available/127.0.0.1:{port}");
    four_letter_word(zookeeper, "dump").lines().any(|line| line.starts_with('\t') && line.ends_with(&node))
}

/// ZooKeeper's answer to an administrative command, empty if there is none.
fn four_letter_word(port: u16, word: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = connect(port)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(word.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().unwrap_or_default()
}

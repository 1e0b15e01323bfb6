//! ZNodes of a real ZooKeeper.
//!
//! A client of the `zookeeper-client` crate behind the synchronous trait. It reconnects by itself while its session lives;
//! when that has ended, the next request opens a new one. Every call has one deadline, retries included. A read is simply
//! repeated. A write whose answer was lost is first looked for on the server, so that it neither happens twice nor fails
//! although it happened.

use std::future::Future;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error as ClientError};

use super::memory::parent_of_prefix;
use super::znode_path::{check_path, parent_of};
use super::{Tier1Error, ZNodeData, ZNodes};
use crate::event_loop::EventLoop;

/// How to reach ZooKeeper and how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZooKeeperOptions {
    /// For one call, with its retries and a reconnection. Default 10 s.
    pub request_timeout: Duration,
    /// After which the server forgets us if we do not answer; servers cut it to their own bounds. Default 10 s.
    pub session_timeout: Duration,
}

impl Default for ZooKeeperOptions {
    fn default() -> Self {
        Self { request_timeout: Duration::from_secs(10), session_timeout: Duration::from_secs(10) }
    }
}

/// Pause before the first repetition; each following one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between repetitions.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Waited for each address when a connection failed, to be able to say why.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

const PERSISTENT: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());
const EPHEMERAL_SEQUENTIAL: CreateOptions<'static> = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());

/// A ZooKeeper ensemble. Threads may share it. Must not be used from inside an asynchronous runtime.
#[derive(Debug)]
pub struct ZooKeeper {
    connect_string: String,
    options: ZooKeeperOptions,
    event_loop: EventLoop,
    client: Mutex<Option<Client>>,
}

/// What one request came to.
enum Answer<Value> {
    /// The server answered, perhaps that there is no such node.
    Given(Result<Value, ClientError>),
    /// No answer, so that nobody knows; the reason in words.
    Lost(String),
}

impl ZooKeeper {
    /// Connects to `host:port,host:port…`, optionally with a path behind which becomes the root of everything.
    ///
    /// # Errors
    /// [`Tier1Error::Unavailable`] that names the connect string and what each address did, within the request timeout.
    pub fn connect(connect_string: &str, options: ZooKeeperOptions) -> Result<Self, Tier1Error> {
        let event_loop = EventLoop::start("dr-zookeeper").map_err(|source| Tier1Error::Io {
            location: connect_string.to_owned(),
            action: "cannot start the event loop",
            source,
        })?;
        let zookeeper =
            Self { connect_string: connect_string.to_owned(), options, event_loop, client: Mutex::new(None) };
        let deadline = Instant::now() + options.request_timeout;
        zookeeper.client(deadline).map_err(|reason| zookeeper.unavailable(reason))?;
        Ok(zookeeper)
    }

    fn unavailable(&self, reason: String) -> Tier1Error {
        Tier1Error::Unavailable { location: self.location(), reason }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of the living session, or a new one; the reason in words if there is none before the deadline.
    fn client(&self, deadline: Instant) -> Result<Client, String> {
        // Held while connecting: other threads need the connection too, and one attempt is enough.
        let mut slot = self.slot();
        if let Some(client) = slot.as_ref().filter(|client| !client.state().is_terminated()) {
            return Ok(client.clone());
        }
        let started = Instant::now();
        let limit = deadline.saturating_duration_since(started);
        let connector = Client::connector().with_session_timeout(self.options.session_timeout).with_fail_eagerly();
        match self.event_loop.wait(limit, connector.connect(&self.connect_string)) {
            Some(Ok(client)) => {
                tracing::debug!(connect_string = self.connect_string, session = %client.session_id(), "connected");
                Ok(slot.insert(client).clone())
            }
            Some(Err(ClientError::BadArguments(reason))) => Err(format!("not a connect string: {reason}")),
            Some(Err(error)) => Err(self.explain(&error.to_string(), started)),
            None => Err(self.explain("no session", started)),
        }
    }

    /// Says what each address does, because "no hosts" does not help an operator.
    fn explain(&self, failure: &str, started: Instant) -> String {
        let waited = started.elapsed().as_secs_f32();
        let hosts = self.connect_string.split('/').next().unwrap_or_default();
        let findings: Vec<String> = hosts.split(',').map(|host| format!("{host}: {}", probe(host))).collect();
        format!("cannot connect to ZooKeeper ({failure} after {waited:.1} s; {})", findings.join("; "))
    }

    /// One attempt of a request.
    fn attempt<Value, Request>(&self, deadline: Instant, request: impl FnOnce(Client) -> Request) -> Answer<Value>
    where
        Request: Future<Output = Result<Value, ClientError>>,
    {
        let client = match self.client(deadline) {
            Ok(client) => client,
            Err(reason) => return Answer::Lost(reason),
        };
        let limit = deadline.saturating_duration_since(Instant::now());
        match self.event_loop.wait(limit, request(client)) {
            Some(Err(error)) if is_lost(&error) => Answer::Lost(error.to_string()),
            Some(answer) => Answer::Given(answer),
            None => {
                // The request may still be queued for a server that comes back. With the session it is forgotten.
                *self.slot() = None;
                Answer::Lost("no answer".to_owned())
            }
        }
    }

    /// Repeats a request until it is answered or the deadline is over.
    fn repeat<Value>(&self, path: &str, mut attempt: impl FnMut(Instant) -> Answer<Value>) -> RequestResult<Value> {
        let started = Instant::now();
        let deadline = started + self.options.request_timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            match attempt(deadline) {
                Answer::Given(answer) => return Ok(answer),
                Answer::Lost(reason) if Instant::now() + pause >= deadline => {
                    let waited = started.elapsed().as_secs_f32();
                    return Err(self.unavailable(format!("`{path}`: {reason} (waited {waited:.1} s)")));
                }
                Answer::Lost(reason) => {
                    tracing::debug!(path, reason, "repeating a request");
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn read_once(&self, path: &str, deadline: Instant) -> Answer<ZNodeData> {
        self.attempt(deadline, |client| async move {
            let (data, stat) = client.get_data(path).await?;
            Ok(ZNodeData { data, version: stat.version, ephemeral: stat.ephemeral_owner != 0 })
        })
    }

    /// Repeats a write. When an answer was lost, `happened` judges from what the server then has.
    fn repeat_write<Value>(
        &self,
        path: &str,
        mut write: impl FnMut(Instant) -> Answer<Value>,
        happened: impl Fn(Option<ZNodeData>) -> Option<Value>,
    ) -> RequestResult<Value> {
        let mut lost = false;
        self.repeat(path, |deadline| {
            let answer = write(deadline);
            match &answer {
                Answer::Lost(_) => lost = true,
                // A refusal may come from our own earlier attempt.
                Answer::Given(Err(_)) if lost => {}
                Answer::Given(_) => return answer,
            }
            let found = match self.read_once(path, deadline) {
                Answer::Given(Ok(node)) => happened(Some(node)),
                Answer::Given(Err(ClientError::NoNode)) => happened(None),
                _ => None,
            };
            found.map_or(answer, |value| Answer::Given(Ok(value)))
        })
    }

    fn create_node(&self, path: &str, data: &[u8]) -> RequestResult<()> {
        let write = |deadline| {
            self.attempt(deadline, |client| async move { client.create(path, data, &PERSISTENT).await.map(|_| ()) })
        };
        // Somebody else may have created the same at this moment; for us that is the same.
        let happened = |node: Option<ZNodeData>| node.filter(|node| node.version == 0 && node.data == data).map(|_| ());
        self.repeat_write(path, write, happened)
    }

    /// Creates the nodes from the root down to `path`, except those that are there.
    fn create_missing(&self, path: &str) -> Result<(), Tier1Error> {
        let mut missing = Vec::new();
        let mut current = Some(path);
        while let Some(path) = current.filter(|path| *path != "/") {
            match self.create_node(path, &[])? {
                Ok(()) | Err(ClientError::NodeExists) => break,
                Err(ClientError::NoNode) => missing.push(path),
                Err(error) => return Err(self.failure(path, 0, error)),
            }
            current = parent_of(path);
        }
        for path in missing.into_iter().rev() {
            match self.create_node(path, &[])? {
                Ok(()) | Err(ClientError::NodeExists) => {}
                Err(error) => return Err(self.failure(path, 0, error)),
            }
        }
        Ok(())
    }

    /// Error of an answer that a caller did not expect.
    fn failure(&self, path: &str, expected: i32, error: ClientError) -> Tier1Error {
        let (location, name) = (self.location(), path.to_owned());
        match error {
            ClientError::NoNode => Tier1Error::NotFound { location, name },
            ClientError::NodeExists => Tier1Error::Exists { location, name },
            ClientError::BadVersion => Tier1Error::Version { location, name, expected },
            ClientError::NotEmpty => Tier1Error::NotEmpty { location, name },
            ClientError::BadArguments(reason) => Tier1Error::Path { path: name, reason: (*reason).to_owned() },
            error => Tier1Error::Unavailable { location, reason: format!("`{name}`: {error}") },
        }
    }
}

/// An answer of the server, or [`Tier1Error::Unavailable`].
type RequestResult<Value> = Result<Result<Value, ClientError>, Tier1Error>;

impl ZNodes for ZooKeeper {
    fn location(&self) -> String {
        format!("ZooKeeper {}", self.connect_string)
    }

    fn get(&self, path: &str) -> Result<Option<ZNodeData>, Tier1Error> {
        check_path(path)?;
        match self.repeat(path, |deadline| self.read_once(path, deadline))? {
            Ok(node) => Ok(Some(node)),
            Err(ClientError::NoNode) => Ok(None),
            Err(error) => Err(self.failure(path, 0, error)),
        }
    }

    fn children(&self, path: &str) -> Result<Option<Vec<String>>, Tier1Error> {
        check_path(path)?;
        let read = |deadline| self.attempt(deadline, |client| async move { client.list_children(path).await });
        match self.repeat(path, read)? {
            Ok(mut children) => {
                children.sort_unstable();
                Ok(Some(children))
            }
            Err(ClientError::NoNode) => Ok(None),
            Err(error) => Err(self.failure(path, 0, error)),
        }
    }

    fn create(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error> {
        check_path(path)?;
        let mut answer = self.create_node(path, data)?;
        if let (Err(ClientError::NoNode), Some(parent)) = (&answer, parent_of(path)) {
            self.create_missing(parent)?;
            answer = self.create_node(path, data)?;
        }
        answer.map_err(|error| self.failure(path, 0, error))
    }

    fn set(&self, path: &str, data: &[u8], expected_version: i32) -> Result<i32, Tier1Error> {
        check_path(path)?;
        let version = Some(expected_version);
        let next = expected_version.wrapping_add(1);
        let write = |deadline| {
            let set = |client: Client| async move { client.set_data(path, data, version).await };
            self.attempt(deadline, |client| async move { set(client).await.map(|stat| stat.version) })
        };
        let happened = |node: Option<ZNodeData>| {
            node.filter(|node| node.version == next && node.data == data).map(|node| node.version)
        };
        let answer = self.repeat_write(path, write, happened)?;
        answer.map_err(|error| self.failure(path, expected_version, error))
    }

    fn delete(&self, path: &str, expected_version: i32) -> Result<(), Tier1Error> {
        check_path(path)?;
        let write = |deadline| {
            self.attempt(deadline, |client| async move { client.delete(path, Some(expected_version)).await })
        };
        let happened = |node: Option<ZNodeData>| node.is_none().then_some(());
        let answer = self.repeat_write(path, write, happened)?;
        answer.map_err(|error| self.failure(path, expected_version, error))
    }

    fn next_sequence(&self, prefix: &str) -> Result<i64, Tier1Error> {
        let parent = parent_of_prefix(prefix)?;
        // A number whose answer is lost is a hole; its node goes with the session.
        let take = |deadline| {
            self.attempt(deadline, |client| async move {
                client.create(prefix, &[], &EPHEMERAL_SEQUENTIAL).await.map(|(_, sequence)| sequence)
            })
        };
        let mut answer = self.repeat(prefix, take)?;
        if matches!(answer, Err(ClientError::NoNode)) {
            self.create_missing(parent)?;
            answer = self.repeat(prefix, take)?;
        }
        let sequence = answer.map_err(|error| self.failure(prefix, 0, error))?;
        match self.delete(&format!("{prefix}{sequence}"), 0) {
            Ok(()) | Err(Tier1Error::NotFound { .. }) => Ok(sequence.into_i64()),
            Err(error) => Err(error),
        }
    }

    /// The server numbers sequential children by the children that were ever created, and shows twice that less those that are there
    /// (class `StatPersisted`, `DataNode.copyStat`).
    fn coming_sequence(&self, parent: &str) -> Result<Option<i64>, Tier1Error> {
        check_path(parent)?;
        let read = |deadline| self.attempt(deadline, |client| async move { client.check_stat(parent).await });
        let stat = self.repeat(parent, read)?.map_err(|error| self.failure(parent, 0, error))?;
        Ok(stat.map(|stat| (i64::from(stat.cversion) + i64::from(stat.num_children)) / 2))
    }
}

/// True if the request may or may not have been carried out. What is not certainly an answer counts as lost: a broken
/// socket comes as an error of its own kind.
fn is_lost(error: &ClientError) -> bool {
    !matches!(
        error,
        ClientError::NoNode
            | ClientError::NodeExists
            | ClientError::BadVersion
            | ClientError::NotEmpty
            | ClientError::NoChildrenForEphemerals
            | ClientError::NoAuth
            | ClientError::AuthFailed
            | ClientError::InvalidAcl
            | ClientError::NotReadOnly
            | ClientError::QuotaExceeded
            | ClientError::MarshallingError
            | ClientError::UnmarshalError { .. }
            | ClientError::Unimplemented
            | ClientError::UnexpectedErrorCode(_)
            | ClientError::BadArguments(_)
    )
}

/// What an address does when one connects to it.
fn probe(host: &str) -> String {
    let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:2181")
    };
    let address = match with_port.to_socket_addrs().map(|mut addresses| addresses.next()) {
        Ok(Some(address)) => address,
        Ok(None) => return "the name has no address".to_owned(),
        Err(error) => return format!("cannot resolve the name: {error}"),
    };
    match TcpStream::connect_timeout(&address, PROBE_TIMEOUT) {
        Ok(_) => "accepts connections, but does not answer as ZooKeeper".to_owned(),
        Err(error) => error.to_string(),
    }
}

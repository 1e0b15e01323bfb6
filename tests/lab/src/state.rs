//! What separate invocations share: `<work>/lab.json`.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, LabError, Result};
use crate::options::LabOptions;
use crate::process::ProcessIdentity;

/// Ports of one lab, all on the loopback address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// ZooKeeper's client port.
    pub zookeeper: u16,
    /// One per bookie; part of the bookie's identity, so it never changes during the life of a lab.
    pub bookies: Vec<u16>,
    /// The segment store's listener.
    pub store: u16,
    /// The segment store's REST server.
    pub store_rest: u16,
    /// The segment store's admin gateway.
    pub store_admin: u16,
    /// The controller's RPC listener, which clients use.
    pub controller: u16,
    /// The controller's REST server.
    pub controller_rest: u16,
}

impl Ports {
    /// Chooses free ports.
    pub(crate) fn choose(bookie_count: u32) -> Result<Self> {
        let mut free = FreePorts::new();
        let mut bookies = Vec::new();
        for _ in 0..bookie_count {
            bookies.push(free.next()?);
        }
        Ok(Self {
            zookeeper: free.next()?,
            bookies,
            store: free.next()?,
            store_rest: free.next()?,
            store_admin: free.next()?,
            controller: free.next()?,
            controller_rest: free.next()?,
        })
    }

    /// Gives a bookie another port; returns the one that it had.
    pub(crate) fn replace_bookie(&mut self, index: u32) -> Result<u16> {
        let all =
            [self.store, self.store_rest, self.store_admin, self.zookeeper, self.controller, self.controller_rest];
        let taken: Vec<u16> = all.into_iter().chain(self.bookies.iter().copied()).collect();
        let mut free = FreePorts::new();
        let new = loop {
            let port = free.next()?;
            // Those of servers that do not run now look free.
            if !taken.contains(&port) {
                break port;
            }
        };
        let no_such_bookie = || LabError::Refused { what: format!("there is no bookie {index}"), next: "count from 0" };
        let port = self.bookies.get_mut(index as usize).ok_or_else(no_such_bookie)?;
        Ok(std::mem::replace(port, new))
    }
}

/// Walks from a random place below the range that the kernel uses for outgoing connections: a server that is killed and
/// started again later must find its port still free.
struct FreePorts {
    candidate: u16,
    attempts: u16,
}

impl FreePorts {
    const FIRST: u16 = 11_000;
    const COUNT: u16 = 20_000;

    fn new() -> Self {
        let random = RandomState::new().hash_one(std::process::id());
        let offset = u16::try_from(random % u64::from(Self::COUNT)).unwrap_or(0);
        Self { candidate: offset, attempts: 0 }
    }

    fn next(&mut self) -> Result<u16> {
        while self.attempts < Self::COUNT {
            self.attempts += 1;
            self.candidate = (self.candidate + 1) % Self::COUNT;
            let port = Self::FIRST + self.candidate;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(LabError::Refused {
            what: format!("no free port between {} and {}", Self::FIRST, Self::FIRST + Self::COUNT),
            next: "end other servers on this machine",
        })
    }
}

/// Everything that outlives one invocation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LabState {
    pub(crate) options: LabOptions,
    pub(crate) ports: Ports,
    pub(crate) processes: BTreeMap<String, ProcessIdentity>,
}

impl LabState {
    pub(crate) fn path(work_directory: &Path) -> PathBuf {
        work_directory.join("lab.json")
    }

    pub(crate) fn load(work_directory: &Path) -> Result<Option<Self>> {
        let path = Self::path(work_directory);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("read the state file", &path),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| LabError::State { path, reason: error.to_string() })
    }

    /// Replaces the state file in one step: an interrupt must not leave half a file and lost process ids.
    pub(crate) fn save(&self) -> Result<()> {
        let path = Self::path(&self.options.work_directory);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LabError::State { path: path.clone(), reason: error.to_string() })?;
        let temporary = path.with_extension("json.new");
        fs::write(&temporary, text).context("write the state file", &temporary)?;
        fs::rename(&temporary, &path).context("replace the state file", &path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_and_below_the_ephemeral_range() {
        let ports = Ports::choose(3).unwrap();
        let mut all = ports.bookies.clone();
        all.extend([ports.zookeeper, ports.store, ports.store_rest, ports.store_admin]);
        all.extend([ports.controller, ports.controller_rest]);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|port| (11_000..31_000).contains(port)));
    }

    #[test]
    fn state_survives_a_round_trip() {
        let directory = tempfile::tempdir().unwrap();
        assert!(LabState::load(directory.path()).unwrap().is_none());
        let options = LabOptions::new(directory.path());
        let state = LabState { ports: Ports::choose(1).unwrap(), options, processes: BTreeMap::new() };
        state.save().unwrap();
        let loaded = LabState::load(directory.path()).unwrap().unwrap();
        assert_eq!(loaded.ports, state.ports);
        assert_eq!(loaded.options, state.options);
    }
}

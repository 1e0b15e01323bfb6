//! Processes, so that one that runs can be told from one that ended. No clock is asked: a process is known by its number, the
//! boot it runs in, and the tick at which it began.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Name of the machine, for people.
    pub host: String,
    /// Its number.
    pub pid: u32,
    /// What stays the same over restarts of the machine: its machine id, or its name if it has none.
    machine: String,
    /// Id of the boot.
    boot: String,
    /// Numbers mean something only inside one of these: containers have their own.
    namespace: String,
    /// When it began, in ticks since the boot.
    began: u64,
}

/// Whether a process still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is the one that asks.
    Own,
    /// It runs.
    Running,
    /// It ended.
    Ended,
    /// It cannot be seen from here.
    Unknown,
}

impl Process {
    /// The one that asks.
    pub fn own() -> Self {
        let host = read("/proc/sys/kernel/hostname");
        let machine = Some(read("/etc/machine-id")).filter(|id| !id.is_empty()).unwrap_or_else(|| host.clone());
        let namespace = fs::read_link("/proc/self/ns/pid");
        Self {
            host,
            pid: std::process::id(),
            machine,
            boot: read("/proc/sys/kernel/random/boot_id"),
            namespace: namespace.map(|link| link.to_string_lossy().into_owned()).unwrap_or_default(),
            began: began("self").unwrap_or_default(),
        }
    }

    /// Whether it still runs.
    pub(crate) fn standing(&self) -> Standing {
        let own = Self::own();
        if *self == own {
            return Standing::Own;
        }
        if self.machine.is_empty() || self.machine != own.machine {
            return Standing::Unknown;
        }
        if self.boot != own.boot {
            return Standing::Ended;
        }
        if self.namespace != own.namespace {
            return Standing::Unknown;
        }
        if began(&self.pid.to_string()) == Some(self.began) { Standing::Running } else { Standing::Ended }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// When a process began; none if there is no such process, or nothing of it but its exit code.
fn began(process: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_runs_until_it_ended() {
        let own = Process::own();
        assert_eq!(own.standing(), Standing::Own);
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let began = began(&child.id().to_string()).unwrap();
        let other = Process { pid: child.id(), began, ..own.clone() };
        assert_eq!(other.standing(), Standing::Running);
        child.kill().unwrap();
        // Also before its parent asks for its exit code.
        while other.standing() == Standing::Running {
            std::thread::yield_now();
        }
        assert_eq!(other.standing(), Standing::Ended);
        child.wait().unwrap();
        assert_eq!(other.standing(), Standing::Ended);
        // The same number, given to a later process.
        assert_eq!(Process { began: own.began + 1, ..own.clone() }.standing(), Standing::Ended);
        assert_eq!(Process { boot: "earlier".to_owned(), ..own.clone() }.standing(), Standing::Ended);
        assert_eq!(Process { machine: "other".to_owned(), ..own.clone() }.standing(), Standing::Unknown);
        assert_eq!(Process { namespace: "other".to_owned(), ..own }.standing(), Standing::Unknown);
    }
}

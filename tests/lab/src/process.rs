//! Processes by id: started, watched, ended. A process is identified by its id and its start time, so that a reused id is never hit.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A running (or once running) process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pub(crate) pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    started: u64,
}

impl ProcessIdentity {
    /// Identity of a child that was just started; a child that is gone already gets one that is never alive.
    pub(crate) fn of(child: &Child) -> Self {
        let pid = i32::try_from(child.id()).unwrap_or(0);
        Self { pid, started: stat_of(pid).map_or(u64::MAX, |(_, started)| started) }
    }

    /// True while the process runs; a zombie counts as gone.
    pub(crate) fn is_alive(self) -> bool {
        stat_of(self.pid).is_some_and(|(state, started)| started == self.started && !matches!(state, 'Z' | 'X'))
    }

    /// SIGSTOP: from now on the process does nothing, and keeps its connections.
    pub(crate) fn pause(self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: a paused process goes on.
    pub(crate) fn resume(self) {
        self.signal(Signal::CONT);
    }

    fn signal(self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // A failure means that it ended in between.
            let _ = kill_process(pid, signal);
        }
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        wait_until(Duration::from_secs(10), || !self.is_alive());
    }
}

/// State letter and start time from `/proc`. The command's name may hold anything, so parsing starts behind its last `)`.
fn stat_of(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Polls every 50 ms until `done` or the time is over; tells whether it was done.
pub(crate) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        sleep(Duration::from_millis(50));
    }
}

/// The end of a log, for error messages.
pub(crate) fn tail_of(path: &Path) -> String {
    fs::read(path).map_or_else(|error| error.to_string(), |bytes| last_lines(&String::from_utf8_lossy(&bytes), 30))
}

pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn kill_ends_exactly_the_started_process() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = ProcessIdentity::of(&child);
        assert!(identity.is_alive());
        let same_id_other_start = ProcessIdentity { started: identity.started + 1, ..identity };
        assert!(!same_id_other_start.is_alive());
        same_id_other_start.kill();
        assert!(identity.is_alive());
        identity.kill();
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn last_lines_keeps_the_end() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}

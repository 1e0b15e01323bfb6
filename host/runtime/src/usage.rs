//! What a run used: for the report, for benchmarks, and to choose limits.

use std::collections::BTreeMap;
use std::time::Duration;

/// Use of one host call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallUsage {
    /// How often it was called.
    pub calls: u64,
    /// Time spent in the host.
    pub time: Duration,
}

/// Use of one or several instances, added up. Times of instances that ran in parallel add up too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time in the procedure, translation of arguments and results included.
    pub guest_time: Duration,
    /// Time in the host's calls.
    pub host_time: Duration,
    /// Fuel consumed.
    pub fuel: u64,
    /// Most memory that any one instance had.
    pub memory_bytes_peak: usize,
    /// Each host call, by interface and function, as in `storage.list-segments`.
    pub calls: BTreeMap<&'static str, CallUsage>,
}

impl Usage {
    /// Share of the time that was spent in the procedure, from 0 to 1.
    #[must_use]
    pub fn guest_share(&self) -> f64 {
        let total = (self.guest_time + self.host_time).as_secs_f64();
        if total > 0.0 { self.guest_time.as_secs_f64() / total } else { 0.0 }
    }

    /// Number of all host calls.
    #[must_use]
    pub fn call_count(&self) -> u64 {
        self.calls.values().map(|usage| usage.calls).sum()
    }

    pub(crate) fn count(&mut self, call: &'static str, time: Duration) {
        let usage = self.calls.entry(call).or_default();
        usage.calls += 1;
        usage.time += time;
        self.host_time += time;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.guest_time += other.guest_time;
        self.host_time += other.host_time;
        self.fuel += other.fuel;
        self.memory_bytes_peak = self.memory_bytes_peak.max(other.memory_bytes_peak);
        for (call, usage) in &other.calls {
            let total = self.calls.entry(call).or_default();
            total.calls += usage.calls;
            total.time += usage.time;
        }
    }
}

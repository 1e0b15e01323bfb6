//! The lab: real ZooKeeper, BookKeeper and Pravega servers on the loopback address, a workload that uses every feature, and a
//! checker that reads all of it back with the real client.
//!
//! ```no_run
//! use dr_lab::{Lab, LabOptions, WorkloadSize};
//! # fn main() -> Result<(), dr_lab::LabError> {
//! let mut lab = Lab::create(LabOptions::new("target/lab/example"))?;
//! let truth = lab.options().work_directory.join("truth.json");
//! lab.up()?;
//! lab.run_workload(&truth, WorkloadSize::Small)?;
//! lab.flush()?;
//! lab.kill_all()?;
//! lab.wipe_tier1()?;
//! lab.start_tier1()?;
//! // ... recover from lab.tier2_directory() ...
//! lab.start_servers()?;
//! lab.run_checker(&truth)?.require_all_ok()?;
//! # Ok(()) }
//! ```

mod capture;
mod class_path;
mod command_line;
mod configuration;
mod error;
mod lab;
mod options;
mod process;
mod programs;
mod report;
mod shared_classes;
mod state;
mod store_log;

pub use capture::{Capture, capture};
pub use command_line::command_line;
pub use error::{LabError, Result};
pub use lab::{Lab, Server};
pub use options::{LabOptions, Lifetime, WorkloadSize};
pub use programs::{Phase, RunningLoad, SegmentBytes, Survivors};
pub use report::{Check, LoadReport, Report};
pub use state::Ports;

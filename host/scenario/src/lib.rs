//! Tests of recovery procedures without a cluster.
//!
//! A [`Scenario`] is a TOML file: what is left of a cluster, and what a procedure is expected to make of it. What is left is
//! declared, or a tree on disk, or a recording; a [`Stage`] makes hosts of it. [`run`] runs a procedure before such a host;
//! [`Expectations`] say where that which came is not that which was expected; [`update`] writes what came into the file.

mod compare;
mod error;
mod file;
mod run;
mod stage;
mod update;

pub use compare::{Difference, Observation};
pub use error::ScenarioError;
pub use file::{Expectations, Scenario, Source, Tree, find};
pub use run::{Faults, Tested, run};
pub use stage::Stage;
pub use update::update;

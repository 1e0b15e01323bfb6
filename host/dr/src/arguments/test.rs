//! Arguments of `dr test`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{PolicyArguments, ReportFormat, SupplyArguments};

/// Arguments of `dr test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Scenarios: files that end in .toml, or directories of them. Any other word is the procedure: the file of a WebAssembly component, or a name with or without the beginning of a version [default: what the scenario names, else the built-in one for total loss]
    #[arg(value_name = "SCENARIO... [PROCEDURE]", required = true, num_args = 1..)]
    pub(crate) words: Vec<PathBuf>,
    /// Fail calls of the procedure, too: `exhaustive` fails each call once in every way that the contract allows, and the procedure has to end with a clean error or with the same plan
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(crate) faults: Option<FaultArgument>,
    /// Write what the procedure does now into the scenarios as what is expected; other lines and comments stay
    #[arg(long)]
    pub(crate) update: bool,
    /// Write the results as JUnit XML, too; replaces the file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Test again whenever a scenario or the procedure changes, until interrupted
    #[arg(long, conflicts_with = "update")]
    pub(crate) watch: bool,
    /// Where it comes from.
    #[command(flatten)]
    pub(crate) supply: SupplyArguments,
    /// Policy, of which only the limits matter here.
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Which calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FaultArgument {
    /// Each call, once in every way
    Exhaustive,
}

//! Arguments of `dr procedure`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ReportFormat;

/// Arguments of `dr procedure`.
#[derive(Debug, Args)]
pub(crate) struct ProcedureCommandArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: ProcedureAction,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, global = true, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// What can be done with procedures.
#[derive(Debug, Subcommand)]
pub(crate) enum ProcedureAction {
    /// List the procedures that can be named: those that are built in and those of a directory
    List(LibraryArguments),
    /// Show what a procedure is, needs and can be told, before it runs
    Inspect(SheetArguments),
    /// Write a procedure to a file, to look at it, change it or sign it
    Export(ExportArguments),
    /// Put the file of a procedure into a directory of procedures, under the name and version that it gives itself
    Add(AddArguments),
}

/// Procedures by name.
#[derive(Debug, Args)]
pub(crate) struct LibraryArguments {
    /// Directory with procedures.toml and the files that it names
    #[arg(long, value_name = "DIR", env = "DR_PROCEDURE_DIRECTORY")]
    pub(crate) procedure_directory: Option<PathBuf>,
}

/// Arguments of `dr procedure inspect`.
#[derive(Debug, Args)]
pub(crate) struct SheetArguments {
    /// File of a component, or name with or without the beginning of a version
    #[arg(value_name = "FILE|NAME[@VERSION]")]
    pub(crate) procedure: String,
    /// Procedures by name.
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
}

/// Arguments of `dr procedure export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Name with or without the beginning of a version
    #[arg(value_name = "NAME[@VERSION]")]
    pub(crate) procedure: String,
    /// File to write; one that exists is never overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Procedures by name.
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
}

/// Arguments of `dr procedure add`.
#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// File of a component
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Directory of procedures; made if it does not exist
    #[arg(long, value_name = "DIR", env = "DR_PROCEDURE_DIRECTORY")]
    pub(crate) procedure_directory: PathBuf,
}

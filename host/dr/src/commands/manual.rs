//! `dr completions` and `dr man`, made from the one definition of each flag that the parser uses, too.

use std::fs;

use clap::CommandFactory as _;
use dr_engine::error::{OperatorError, Result};

use super::Session;
use crate::arguments::{Arguments, CompletionsArguments, ManArguments};
use crate::exit_code::ExitCode;
use crate::output::text::counted;

/// Writes the completions of a shell to standard output.
pub(super) fn complete(session: &Session, arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "dr", &mut script);
    session.console.write(|output| std::io::Write::write_all(output, &script));
    ExitCode::Done
}

/// Writes the manual pages.
///
/// # Errors
/// `manual-unwritable`.
pub(super) fn write(session: &Session, arguments: &ManArguments) -> Result<ExitCode> {
    let directory = &arguments.directory;
    let unwritable = |error| {
        let what = format!("the manual pages cannot be written into {}", directory.display());
        OperatorError::new("manual-unwritable", what, "name a directory that can be written").because(error)
    };
    fs::create_dir_all(directory).map_err(unwritable)?;
    clap_mangen::generate_to(Arguments::command(), directory).map_err(unwritable)?;
    let pages = fs::read_dir(directory).map_err(unwritable)?.count() as u64;
    session.console.text(&format!("{} in {}\n", counted(pages, "file", "files"), directory.display()));
    Ok(ExitCode::Done)
}

//! `dr replay`: does a procedure what the recorded one did?

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use dr_engine::error::{OperatorError, Result};
use dr_runtime::recording::{Recording, RecordingError, replay};

use super::Session;
use super::procedure::{compile, find};
use super::recording::RECORDING_FILE;
use crate::arguments::ReplayArguments;
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::policy::OperatorPolicy;
use crate::procedures::{built_in, operator_error};

/// Runs it against the recording.
pub(super) fn run(session: &Session, arguments: &ReplayArguments) -> Result<ExitCode> {
    let recording = read(&arguments.recording)?;
    // A recording can be told anything: nothing has to be granted.
    let policy = OperatorPolicy::read(&arguments.policy)?;
    let recorded = built_in::ALL.iter().map(|built_in| built_in.name).find(|name| *name == recording.head.procedure);
    let approved = find(&arguments.supply, arguments.procedure.as_deref().or(recorded))?;
    let procedure = compile(&approved, &policy, &arguments.supply.cache)?;
    let name = &procedure.description().name;
    let (calls, outcome) = (recording.len(), recording.outcome.clone());
    match replay(&procedure, recording).map_err(operator_error)? {
        None => {
            session
                .console
                .text(&format!("`{name}` made the {calls} calls of the recording and ended with `{outcome}`\n"));
            session.console.event(Event::Replayed { procedure: name, calls, outcome: &outcome });
            Ok(ExitCode::Done)
        }
        Some(difference) => Err(OperatorError::new(
            "replay-differs",
            format!("the procedure `{name}` does not do what the recording says"),
            "if the procedure is meant to do something else, make a new recording; else correct it",
        )
        .because(difference)),
    }
}

/// Reads a recording: a file, or that of a run's directory.
///
/// # Errors
/// `recording-unreadable`.
pub(super) fn read(path: &Path) -> Result<Recording> {
    let path = if path.is_dir() { path.join(RECORDING_FILE) } else { path.to_owned() };
    let read = || Recording::read(BufReader::new(File::open(&path)?));
    read().map_err(|error: RecordingError| {
        let what = format!("cannot read the recording {}", path.display());
        let next = "name the directory of a plan that was made without --no-recording, or a file that `dr plan --record FILE` wrote";
        OperatorError::new("recording-unreadable", what, next).because(error)
    })
}

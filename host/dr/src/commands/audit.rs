//! `dr audit`: what a run did, as its journal tells, and whether the journal is whole.

use dr_engine::error::Result;
use dr_engine::journal::Audit;

use super::Session;
use crate::arguments::AuditArguments;
use crate::exit_code::ExitCode;
use crate::output::audit;
use crate::output::json::Event;

/// Checks and shows a journal.
pub(super) fn run(session: &Session, arguments: &AuditArguments) -> Result<ExitCode> {
    let audit = Audit::read(&arguments.directory)?;
    let console = &session.console;
    for line in &audit.lines {
        console.event(Event::JournalLine { line });
    }
    console.event(Event::JournalChecked {
        lines: audit.lines.len(),
        breaks: &audit.breaks,
        torn_bytes: audit.torn_bytes,
        unfinished: audit.unfinished(),
    });
    console.text(&audit::render(&audit, console.colour()));
    Ok(if audit.breaks.is_empty() { ExitCode::Done } else { ExitCode::Problems })
}

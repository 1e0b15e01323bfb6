//! Tests again whenever a scenario or the procedure changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use dr_engine::error::Result;
use dr_scenario::Scenario;

use super::{Session, Wanted, test_once};
use crate::arguments::TestArguments;
use crate::exit_code::ExitCode;

/// How often files are looked at. Nobody notices it, and looking at some dozens of files costs nothing.
const PERIOD: Duration = Duration::from_millis(200);

/// Ends when nobody reads the output any more, or when the process is interrupted.
pub(super) fn run(session: &Session, arguments: &TestArguments, wanted: &Wanted) -> Result<ExitCode> {
    loop {
        // Before the test, so that what changes meanwhile is not missed.
        let seen = look(wanted);
        // What is wrong while files are being edited is told, and waited for.
        if let Err(error) = test_once(session, arguments, wanted) {
            session.console.error(&error);
        }
        session.console.remark("waiting for changes; interrupt with Ctrl-C");
        session.console.flush();
        while look(wanted) == seen {
            if session.console.is_abandoned() {
                return Ok(ExitCode::Done);
            }
            thread::sleep(PERIOD);
        }
    }
}

/// Times of modification; none for files that are not there.
fn look(wanted: &Wanted) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let mut files: Vec<PathBuf> = wanted.files().unwrap_or_default();
    // A procedure that is built in or registered does not change: its name is looked for as a file in vain.
    let named = files.iter().filter_map(|file| Scenario::read(file).ok()?.procedure);
    let procedures: Vec<PathBuf> = named.chain(wanted.procedure.clone()).map(PathBuf::from).collect();
    files.extend(procedures);
    let modified = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    files.into_iter().map(|path| (path.clone(), modified(&path))).collect()
}

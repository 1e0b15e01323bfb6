//! `dr survey-bookie`: what the disks of one bookie hold, as a file that can be carried to where it is needed.

use std::path::Path;

use dr_backends::bookie_disk::BookieDisk;
use dr_engine::bookie_survey::{self, Take};
use dr_engine::error::Result;

use super::{Session, source};
use crate::arguments::SurveyBookieArguments;
use crate::configuration::Overrides;
use crate::exit_code::ExitCode;
use crate::output::survey;

/// Most files that are read at the same time; a bookie has journals on one device and entry logs on others.
const PARALLEL_FILES_MAX: usize = 4;

/// Reads the disks, writes the survey, and tells what was found.
pub(super) fn run(session: &Session, arguments: &SurveyBookieArguments) -> Result<ExitCode> {
    let configuration = source::configuration(session, &arguments.config, Path::new(""), &Overrides::default())?;
    let disk = BookieDisk::open(&arguments.directories)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let take = Take {
        password: configuration.password().clone(),
        parallel: processors.min(PARALLEL_FILES_MAX),
        output: &arguments.output,
    };
    let header = bookie_survey::take(&disk, &take, session.progress.as_ref())?;
    let summary = survey::Summary::new(&header, &take.password, &arguments.output);
    for warning in summary.warnings() {
        session.console.warning(&warning);
    }
    session.console.text(&summary.render(session.console.colour()));
    Ok(if summary.can_hide_entries() { ExitCode::Problems } else { ExitCode::Done })
}

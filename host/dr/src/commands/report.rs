//! The loss report beside a plan: written with it, shown with it, and its page written again when something was done.

use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use dr_engine::plan::Plan;
use dr_engine::report::{LOSS_FILE, LossReport};

use super::Session;
use super::recovery::Recovery;
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::loss::{self, LossEvent};
use crate::output::next::{self, Next};
use crate::output::page::{self, PAGE_FILE, Source};
use crate::output::progress::in_milliseconds;
use crate::output::time;
use crate::output::timeline::{self, Outcome, Run, Timeline};

/// The page gives its commands for the directory it lies in, under the name that `dr` is installed by: so it is the same
/// wherever the plan is made.
const HERE: &str = ".";
const PROGRAM: &str = "dr";

/// What was done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// It was carried out.
    Recovery,
    /// It was taken back.
    Rollback,
}

/// Writes the report of a new plan, and its page.
pub(super) fn write(plan: &Plan, report: &LossReport, directory: &Path, root: &Path) -> Result<()> {
    report.save(directory)?;
    let next = after_planning(plan);
    write_page(plan, report, &Timeline::empty(), &next, directory, root)
}

fn write_page(
    plan: &Plan,
    report: &LossReport,
    timeline: &Timeline,
    next: &Next,
    directory: &Path,
    root: &Path,
) -> Result<()> {
    let page = page::render(Source { plan, report, timeline, steps: &next.steps, root }).map_err(|error| {
        OperatorError::new(
            "page-unwritable",
            "cannot write the page of the loss report",
            "report this as a defect of dr",
        )
        .because(error)
    })?;
    timeline::replace(&directory.join(PAGE_FILE), page.as_bytes())
}

/// Tells what becomes of the streams. A report that cannot be read is no reason not to show or carry out its plan.
pub(super) fn show(session: &Session, plan: &Plan, directory: &Path) {
    let console = &session.console;
    let (file, page): (PathBuf, PathBuf) = (directory.join(LOSS_FILE), directory.join(PAGE_FILE));
    match LossReport::load(directory, plan) {
        Ok(report) => {
            console.event(Event::Losses(LossEvent::new(&report, &file, &page)));
            if !plan.is_of_znodes_only() {
                console.text(&loss::render(&report, &page, console.manner().verbose, console.colour()));
            }
        }
        Err(error) => console.warning(&sentence(&error)),
    }
}

/// Notes what was done with a plan and how it ended, and writes the page again. What was done stays done if this fails.
pub(super) fn record(recovery: &Recovery<'_>, plan: &Plan, deed: Deed, error: Option<&OperatorError>) {
    if let Err(error) = try_record(recovery, plan, deed, error) {
        recovery
            .session
            .console
            .warning(&format!("the page of the loss report is not up to date: {}", sentence(&error)));
    }
}

fn try_record(recovery: &Recovery<'_>, plan: &Plan, deed: Deed, error: Option<&OperatorError>) -> Result<()> {
    let directory = &recovery.directory;
    let mut timeline = Timeline::load(directory)?;
    let progress = &recovery.session.progress;
    let was_refused = error.is_some_and(|error| ExitCode::of(error) == ExitCode::Refused);
    let outcome = match (deed, timeline::outcome_of(error, was_refused)) {
        (Deed::Rollback, Outcome::Verified) => Outcome::RolledBack,
        (_, outcome) => outcome,
    };
    let elapsed = progress.elapsed();
    timeline.runs.push(Run {
        command: if deed == Deed::Recovery { "apply" } else { "rollback" }.to_owned(),
        dr_version: env!("CARGO_PKG_VERSION").to_owned(),
        began: time::before(elapsed),
        seconds: in_milliseconds(elapsed),
        outcome,
        error: error.map(sentence),
        stages: progress.stages(),
    });
    timeline.save(directory)?;
    let report = LossReport::load(directory, plan)?;
    let next = next_steps(recovery, plan, timeline.standing());
    write_page(plan, &report, &timeline, &next, directory, &recovery.open.target.root)
}

fn after_planning(plan: &Plan) -> Next {
    let here = Path::new(HERE);
    if plan.gives_up_data() {
        next::after_planning_with_losses(PROGRAM, here)
    } else {
        next::after_plan(plan, PROGRAM, here)
    }
}

fn next_steps(recovery: &Recovery<'_>, plan: &Plan, standing: Option<Outcome>) -> Next {
    let (target, here) = (&recovery.open.target, Path::new(HERE));
    let verify = || target.command_without_disks("verify");
    match standing {
        None | Some(Outcome::Refused) => after_planning(plan),
        Some(Outcome::Verified) if plan.awaits_bookies() => {
            let directory = std::path::absolute(&recovery.directory).unwrap_or_else(|_| recovery.directory.clone());
            next::after_first_step(PROGRAM, here, &recovery.words_for_the_second_step(plan, &directory))
        }
        Some(Outcome::Verified) if plan.brings_back_tier1() => next::after_restoring(PROGRAM, plan, here),
        Some(Outcome::Verified) => next::after_recovery(PROGRAM, &verify(), plan, here, &recovery.open.tier1.location),
        Some(Outcome::NotVerified) => next::after_failed_verification(PROGRAM, &verify(), here),
        Some(Outcome::Stopped) => next::after_stop(PROGRAM, here),
        Some(Outcome::RolledBack) => {
            let directory = std::path::absolute(&recovery.directory).unwrap_or_else(|_| recovery.directory.clone());
            next::after_rollback(PROGRAM, &recovery.words_for_a_new_plan(&directory))
        }
    }
}

fn sentence(error: &OperatorError) -> String {
    match &error.why {
        Some(why) => format!("{} ({why})", error.what),
        None => error.what.clone(),
    }
}

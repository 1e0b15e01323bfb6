//! `dr apply` and `dr rollback`: a plan by its directory, carried out or taken back.

use dr_engine::error::Result;
use dr_engine::plan::Plan;

use super::Session;
use super::recovery::{Recovery, refuse_nobody_to_ask};
use super::target::Target;
use super::tier1::Purpose;
use crate::arguments::RunArguments;
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::next;

/// Carries out a plan, or carries on with it.
pub(super) fn apply(session: &Session, arguments: &RunArguments) -> Result<ExitCode> {
    let (recovery, plan) = open(session, arguments, Purpose::Recover)?;
    recovery.journalled(|| {
        if recovery.is_carried_out(&plan)? {
            return recovery.carried_out_before(&plan);
        }
        recovery.refuse_bad_beginnings(plan.stopped())?;
        // Before the question: somebody else may be at work already.
        recovery.journal()?;
        recovery.show(&plan);
        recovery.confirm(&plan)?;
        recovery.apply_and_verify(&plan)
    })
}

/// Takes a plan back.
pub(super) fn roll_back(session: &Session, arguments: &RunArguments) -> Result<ExitCode> {
    let (recovery, plan) = open(session, arguments, Purpose::Read)?;
    recovery.journalled(|| {
        recovery.journal()?;
        recovery.confirm_rollback(&plan)?;
        let what = recovery.roll_back(&plan)?;
        let console = &session.console;
        console.event(Event::RolledBack(&what));
        console.text(&next::rolled_back(&plan, &what, console.colour()));
        Ok(ExitCode::Done)
    })
}

fn open<'a>(session: &'a Session, arguments: &RunArguments, purpose: Purpose) -> Result<(Recovery<'a>, Plan)> {
    // The plan first: a directory that holds none names the mistake better than anything that comes later.
    Plan::load(&arguments.directory)?;
    let target = Target::load(&arguments.directory)?.configure(session)?;
    refuse_nobody_to_ask(session, arguments.consent)?;
    let open = target.open(session, purpose)?;
    let parallel = arguments.parallel;
    let recovery = Recovery::new(session, open, arguments.directory.clone(), parallel, arguments.consent)
        .retrying_for(arguments.retry_for);
    let plan = recovery.old_plan()?;
    Ok((recovery, plan))
}

//! `dr plan`, `dr show`, `dr diff`: plans that are made, looked at and compared; nothing is changed.

use dr_engine::error::{OperatorError, Result};
use dr_engine::plan::Plan;
use dr_engine::report::LossReport;

use super::Session;
use super::bookie_disks;
use super::procedure;
use super::recovery::{Recovery, Then, code_for_losses, show as show_plan};
use super::target::Target;
use super::tier1::Purpose;
use crate::arguments::{ConsentArguments, DiffArguments, PlanArguments, ShowArguments};
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::{next, plan_difference};

/// Makes a plan.
pub(super) fn make(session: &Session, arguments: &PlanArguments) -> Result<ExitCode> {
    let target = Target::of(&arguments.source, &arguments.tier1)?.with_disks(&arguments.disks)?.configure(session)?;
    let chosen = procedure::load(&arguments.procedure, bookie_disks::fitting(&arguments.disks))?;
    if dr_engine::apply::has_plan(&arguments.directory) {
        return Err(OperatorError::new(
            "run-directory",
            format!("{} holds a plan already", arguments.directory.display()),
            "name a directory that does not exist yet; a plan is never overwritten",
        ));
    }
    let open = target.open(session, Purpose::DryRun)?;
    let chosen = bookie_disks::better(session, &open, &arguments.procedure, chosen)?;
    let consent = ConsentArguments {
        yes: false,
        accept_loss: false,
        break_lock: false,
        accept_live_cluster: arguments.accept_live_cluster,
    };
    let parallel = arguments.source.parallel;
    let recovery = Recovery::new(session, open, arguments.directory.clone(), parallel, consent);
    recovery.journalled(|| {
        recovery.refuse_bad_beginnings(chosen.stopped())?;
        let plan = recovery.new_plan(&chosen, arguments.source.containers.as_ref(), Then::Stop)?;
        recovery.show(&plan);
        recovery.say_what_is_next(&next::after_plan(&plan, recovery.program(), &recovery.directory));
        Ok(code_for_losses(&plan))
    })
}

/// Shows a plan; needs nothing but its directory.
pub(super) fn show(session: &Session, arguments: &ShowArguments) -> Result<ExitCode> {
    let plan = Plan::load(&arguments.directory)?;
    let losses = LossReport::load(&arguments.directory, &plan)?;
    let cluster = format!("the cluster `{}`", plan.cluster);
    show_plan(session, &plan, (None, &cluster), &arguments.directory);
    losses.streams.iter().for_each(|stream| session.console.event(Event::Stream(stream)));
    Ok(code_for_losses(&plan))
}

/// Compares two plans.
pub(super) fn diff(session: &Session, arguments: &DiffArguments) -> Result<ExitCode> {
    let (first, second) = (Plan::load(&arguments.first)?, Plan::load(&arguments.second)?);
    let reports = [LossReport::load(&arguments.first, &first)?, LossReport::load(&arguments.second, &second)?];
    let difference = plan_difference::PlanDifference::of([&first, &second], [&reports[0], &reports[1]]);
    let console = &session.console;
    console.text(&difference.render(console.colour()));
    console.event(Event::Difference(&difference));
    Ok(ExitCode::Done)
}

//! `dr recover`: plan, show, confirm, apply, verify.

use std::path::PathBuf;

use dr_backends::tier2::Tier2;
use dr_engine::apply;
use dr_engine::error::Result;
use dr_engine::plan::Plan;

use super::Session;
use super::bookie_disks;
use super::procedure;
use super::recovery::{Recovery, Then, beside, code_for_losses, refuse_nobody_to_ask};
use super::target::{OpenTarget, Target};
use super::tier1::Purpose;
use crate::arguments::RecoverArguments;
use crate::exit_code::ExitCode;
use crate::output::{next, time};

/// Does all of it.
pub(super) fn run(session: &Session, arguments: &RecoverArguments) -> Result<ExitCode> {
    // Before hours of reading: wrong procedures, missing servers, and nobody to ask.
    let target = Target::of(&arguments.source, &arguments.tier1)?.with_disks(&arguments.disks)?.configure(session)?;
    let chosen = procedure::load(&arguments.procedure, bookie_disks::fitting(&arguments.disks))?;
    if !arguments.dry_run {
        refuse_nobody_to_ask(session, arguments.consent)?;
    }
    let purpose = if arguments.dry_run { Purpose::DryRun } else { Purpose::Recover };
    let open = target.open(session, purpose)?;
    let directory = behind_first_step(session, run_directory(session, arguments, open.tier2.as_ref())?, &open)?;
    let parallel = arguments.source.parallel;
    let recovery = Recovery::new(session, open, directory, parallel, arguments.consent)
        .retrying_for(arguments.retry_for)
        .rereading_evidence(arguments.reread_evidence);
    recovery.journalled(|| {
        let plan = if apply::has_plan(&recovery.directory) {
            let plan = recovery.old_plan()?;
            if !arguments.dry_run && recovery.is_carried_out(&plan)? {
                return recovery.carried_out_before(&plan);
            }
            recovery.refuse_bad_beginnings(plan.stopped())?;
            warn_of_flags_without_effect(session, arguments, &recovery);
            plan
        } else {
            recovery.refuse_bad_beginnings(chosen.stopped())?;
            let then = if arguments.dry_run { Then::Stop } else { Then::Apply };
            let chosen = bookie_disks::better(session, &recovery.open, &arguments.procedure, chosen)?;
            recovery.new_plan(&chosen, arguments.source.containers.as_ref(), then)?
        };
        recovery.show(&plan);
        if arguments.dry_run {
            recovery.say_what_is_next(&next::after_plan(&plan, recovery.program(), &recovery.directory));
            return Ok(code_for_losses(&plan));
        }
        recovery.confirm(&plan)?;
        recovery.apply_and_verify(&plan)
    })
}

fn warn_of_flags_without_effect(session: &Session, arguments: &RecoverArguments, recovery: &Recovery<'_>) {
    let procedure = &arguments.procedure;
    if procedure.procedure.is_some() || !procedure.settings.is_empty() || arguments.source.containers.is_some() {
        let sentence = format!(
            "{} holds a plan already; it is carried out as it is: --procedure, --set and --containers have no effect on it",
            recovery.directory.display()
        );
        session.console.warning(&sentence);
    }
}

/// The directory itself; or one beside it, for the second step of a recovery of which it holds the first, carried out.
fn behind_first_step(session: &Session, directory: PathBuf, open: &OpenTarget) -> Result<PathBuf> {
    let is_first = |plan: &Plan| plan.awaits_bookies();
    let Some(first) = Plan::load(&directory).ok().filter(is_first) else { return Ok(directory) };
    let is_under_way = apply::in_progress(open.tier2.as_ref())?.is_some();
    if is_under_way || !apply::recoveries(open.tier2.as_ref())?.iter().any(|recovery| recovery.plan == first.id) {
        return Ok(directory);
    }
    let second = beside(&directory);
    let (first, second_shown) = (directory.display(), second.display());
    session
        .console
        .remark(&format!("{first} holds the first step, which is done; the second one goes to {second_shown}"));
    Ok(second)
}

/// The directory that was named; or that of the recovery that was interrupted here; or a new one.
fn run_directory(session: &Session, arguments: &RecoverArguments, tier2: &dyn Tier2) -> Result<PathBuf> {
    if let Some(directory) = &arguments.run_directory {
        return Ok(directory.clone());
    }
    let interrupted = apply::in_progress(tier2)?.map(|marker| PathBuf::from(marker.run_directory));
    match interrupted.filter(|directory| apply::has_plan(directory)) {
        Some(directory) => {
            let sentence =
                format!("a recovery of this Tier-2 was interrupted; going on with it in {}", directory.display());
            session.console.warning(&sentence);
            Ok(directory)
        }
        None => Ok(time::run_directory()),
    }
}

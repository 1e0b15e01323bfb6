//! `dr recover`: survey, plan, show, confirm, apply, verify.

use std::path::PathBuf;
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_engine::apply::{self, Application};
use dr_engine::cluster::{refuse_existing_logs, refuse_live_cluster};
use dr_engine::contract::ContainerId;
use dr_engine::error::{OperatorError, Result};
use dr_engine::plan::{Plan, create_run_directory};
use dr_engine::progress::{Progress as _, Unit};
use dr_engine::staging::Staging;

use super::procedure::{self, Chosen};
use super::tier1::{OpenTier1, Purpose};
use super::verify::{self, Scope};
use super::{Session, source};
use crate::arguments::RecoverArguments;
use crate::configuration::Configuration;
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::plan::{self as plan_output, PlanEvent};
use crate::output::text::counted;
use crate::output::{next, time};

/// What must be typed to go on although data is lost.
const LOSS_CONFIRMATION: &str = "lose data";

/// Name of the stage in which the procedure runs.
const PLANNING: &str = "planning containers";

/// One run.
struct Recovery<'a> {
    session: &'a Session,
    arguments: &'a RecoverArguments,
    configuration: Configuration,
    tier2: Arc<dyn Tier2>,
    tier1: OpenTier1,
    directory: PathBuf,
}

/// Does all of it.
pub(super) fn run(session: &Session, arguments: &RecoverArguments) -> Result<ExitCode> {
    refuse_settings_given_twice(&arguments.settings)?;
    let overrides = arguments.tier1.overrides(&arguments.source);
    let configuration = source::configuration(session, &arguments.source, &overrides)?;
    let tier2 = source::open(&arguments.source.root)?;
    if let Some(tier1) = &overrides.tier1_directory {
        source::refuse_inside(&arguments.source.root, tier1, "the directory for Tier-1", "--tier1 dir:PATH")?;
    }
    // Before hours of reading: wrong procedures, missing servers, and nobody to ask.
    let chosen = procedure::load(arguments.procedure.as_deref(), &arguments.settings)?;
    refuse_nobody_to_ask(session, arguments)?;
    let purpose = if arguments.dry_run { Purpose::DryRun } else { Purpose::Recover };
    let tier1 = OpenTier1::open(session, &configuration, purpose)?;
    let directory = run_directory(session, arguments, tier2.as_ref())?;
    source::refuse_inside(&arguments.source.root, &directory, "the run directory", "--run-directory")?;
    let recovery = Recovery { session, arguments, configuration, tier2, tier1, directory };
    recovery.refuse_bad_beginnings()?;
    let plan = if apply::has_plan(&recovery.directory) { recovery.old_plan()? } else { recovery.new_plan(&chosen)? };
    recovery.show(&plan);
    if arguments.dry_run {
        recovery.say_what_is_next(next::after_dry_run(&session.arguments_typed, &recovery.directory));
        return Ok(code_for_losses(&plan));
    }
    recovery.confirm(&plan)?;
    recovery.apply_and_verify(&plan)
}

impl Recovery<'_> {
    /// What would stop the application is looked for before the work of planning.
    fn refuse_bad_beginnings(&self) -> Result<()> {
        if let Some(other) = apply::in_progress(self.tier2.as_ref())?
            && Plan::load(&self.directory).map_or(true, |plan| plan.id != other.plan)
        {
            return Err(apply::refuse_other_recovery(&other));
        }
        if !self.arguments.accept_live_cluster {
            refuse_live_cluster(self.tier1.znodes.as_ref(), &self.tier1.layout)?;
        }
        self.tier1.ledgers.check(&self.tier1.layout.ledger_layout(0))?;
        Ok(())
    }

    /// The plan of a dry run or of a run that was interrupted.
    fn old_plan(&self) -> Result<Plan> {
        let plan = Plan::load(&self.directory)?;
        let is_of_this_cluster = plan.cluster == self.tier1.layout.cluster_name;
        let is_as_configured = self.configuration.container_count.is_none_or(|count| count == plan.container_count);
        if !is_of_this_cluster || !is_as_configured {
            return Err(OperatorError::new(
                "run-directory",
                format!("{} holds a plan for another cluster: `{}`", self.directory.display(), plan.cluster),
                "name another run directory with --run-directory, or the cluster of that plan with --cluster",
            ));
        }
        if self.arguments.procedure.is_some()
            || !self.arguments.settings.is_empty()
            || self.arguments.source.containers.is_some()
        {
            let sentence = format!(
                "{} holds a plan already; it is carried out as it is: --procedure, --set and --containers have no effect on it",
                self.directory.display()
            );
            self.session.console.warning(&sentence);
        }
        Ok(plan)
    }

    fn new_plan(&self, chosen: &Chosen) -> Result<Plan> {
        let source = &self.arguments.source;
        let survey = source::survey(self.session, self.tier2.clone(), self.configuration.container_count)?;
        let expected = source::containers(survey.container_count(), source.containers.as_ref())?;
        survey.refuse_stripped(&expected)?;
        refuse_existing_logs(self.tier1.znodes.as_ref(), &self.tier1.layout, &expected)?;
        create_run_directory(&self.directory)?;
        let progress = &self.session.progress;
        let staging = Staging::new(
            Arc::new(survey),
            self.tier1.znodes.clone(),
            self.tier1.layout.clone(),
            &self.directory,
            progress.clone(),
        );
        progress.stage_started(PLANNING, Some(expected.len() as u64), Unit::Containers);
        self.run_procedure(chosen, staging.clone(), &expected)?;
        progress.stage_finished(PLANNING);
        let plan = staging.into_plan(chosen.maker(), &expected)?;
        plan.save(&self.directory)?;
        Ok(plan)
    }

    fn run_procedure(&self, chosen: &Chosen, staging: Staging, expected: &[ContainerId]) -> Result<()> {
        let parallel = source::parallel(&self.arguments.source);
        let selected = if self.arguments.source.containers.is_some() { expected } else { &[] };
        let outcome = chosen.procedure.execute(Arc::new(staging), &chosen.settings, selected, parallel, &());
        let execution = outcome.map_err(procedure::operator_error)?;
        self.session.console.event(Event::Procedure {
            guest_seconds: execution.usage.guest_time.as_secs_f64(),
            host_seconds: execution.usage.host_time.as_secs_f64(),
            calls: execution.usage.call_count(),
        });
        tracing::info!(wall_time = ?execution.wall_time, tasks = execution.tasks.len(), "the procedure ended");
        Ok(())
    }

    fn show(&self, plan: &Plan) {
        let console = &self.session.console;
        console.event(Event::Plan(PlanEvent::new(plan, &self.directory)));
        let destination = self.tier1.location.to_string();
        let text = plan_output::render(plan, &destination, &self.directory, console.manner().verbose, console.colour());
        console.text(&text);
        console.flush();
    }

    fn confirm(&self, plan: &Plan) -> Result<()> {
        if self.arguments.yes {
            return Ok(());
        }
        let console = &self.session.console;
        let (question, expected) = if plan.losses.is_empty() {
            ("\nCarry out this plan? Type yes:".to_owned(), "yes")
        } else {
            let ranges = counted(plan.losses.len() as u64, "range", "ranges");
            (
                format!(
                    "\nThis plan gives up {ranges} of bytes. To carry it out all the same, type {LOSS_CONFIRMATION}:"
                ),
                LOSS_CONFIRMATION,
            )
        };
        let answer = console.ask(&question).unwrap_or_default();
        if answer.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(OperatorError::new(
            "not-confirmed",
            "the plan was not confirmed; nothing was changed",
            format!(
                "look at the plan in {}; run the same command with --run-directory to carry it out later",
                self.directory.display()
            ),
        ))
    }

    fn apply_and_verify(&self, plan: &Plan) -> Result<ExitCode> {
        let parallel = source::parallel(&self.arguments.source);
        let application = Application {
            plan,
            directory: &self.directory,
            tier2: self.tier2.as_ref(),
            tier1: self.tier1.tier1(),
            layout: &self.tier1.layout,
            parallel,
            accept_live_cluster: self.arguments.accept_live_cluster,
        };
        let applied =
            apply::apply(&application, self.session.progress.as_ref()).map_err(|error| self.with_resume(error))?;
        self.session.console.event(Event::Applied(&applied));
        let containers: Vec<_> = plan.containers.iter().map(|container| container.container).collect();
        let scope = Scope { container_count: Some(plan.container_count), containers: &containers, parallel };
        let verification =
            verify::check(self.session, self.tier2.as_ref(), &self.tier1, &scope).map_err(verification_impossible)?;
        if let Some(error) = dr_engine::verify::verification_failed(&verification) {
            return Err(error);
        }
        let summary = next::summary(plan, &self.tier1.location, &self.directory, self.session.console.colour());
        self.session.console.text(&summary);
        let commands = next::after_recovery(&self.session.arguments_typed, &self.tier1.location);
        self.say_what_is_next(commands);
        Ok(code_for_losses(plan))
    }

    /// What was refused was refused before anything was changed; what failed may have left a part of the plan behind.
    fn with_resume(&self, mut error: OperatorError) -> OperatorError {
        if ExitCode::of(&error) == ExitCode::Failed {
            let command = next::resume(&self.session.arguments_typed, &self.directory);
            error.next_step = format!("{}; then carry on with: {command}", error.next_step);
        }
        error
    }

    fn say_what_is_next(&self, next: next::Next) {
        self.session.console.event(Event::Next { steps: &next.steps });
        self.session.console.text(&next.render(self.session.console.colour()));
    }
}

/// The plan was carried out; whatever verification stumbled over, the codes for "nothing was changed" would lie.
fn verification_impossible(error: OperatorError) -> OperatorError {
    let mut impossible = OperatorError::new(
        "verification-impossible",
        "the plan was carried out, but the result cannot be verified",
        format!("do not start the segment stores yet; {}; then run `dr verify`", error.next_step),
    )
    .because(&error);
    impossible.retry = error.retry;
    impossible
}

fn code_for_losses(plan: &Plan) -> ExitCode {
    if plan.losses.is_empty() { ExitCode::Done } else { ExitCode::Losses }
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

fn refuse_settings_given_twice(settings: &[(String, String)]) -> Result<()> {
    let twice = settings
        .iter()
        .enumerate()
        .find(|(index, (name, _))| settings[..*index].iter().any(|(before, _)| before == name));
    match twice {
        None => Ok(()),
        Some((_, (name, _))) => {
            let what = format!("--set {name}=... is given twice");
            Err(OperatorError::new("configuration-setting", what, "give each setting once"))
        }
    }
}

/// A question that nobody can answer is better refused before the work than after it.
fn refuse_nobody_to_ask(session: &Session, arguments: &RecoverArguments) -> Result<()> {
    if arguments.yes || arguments.dry_run || session.console.can_ask() {
        return Ok(());
    }
    Err(OperatorError::new(
        "no-terminal",
        "there is no terminal on which this recovery could be confirmed",
        "look at the plan with --dry-run, then give --yes",
    ))
}

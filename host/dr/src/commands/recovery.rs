//! The steps of a recovery, from which the commands are put together: plan, show, confirm, apply, verify, roll back.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dr_engine::apply::{self, Application, Patience, RolledBack};
use dr_engine::cluster::{Stopped, live_servers, refuse_existing_logs, refuse_live_cluster};
use dr_engine::contract::{ContainerId, Decision, RecoveryHost as _};
use dr_engine::error::{OperatorError, Result};
use dr_engine::evidence_file::Stamps;
use dr_engine::journal::{Entry, Journal};
use dr_engine::ledgers::{self, BookieTrace, LedgerEvidence};
use dr_engine::plan::{EvidenceDigest, Plan, create_run_directory};
use dr_engine::process::Process;
use dr_engine::progress::{Progress as _, Unit};
use dr_engine::staging::Staging;
use dr_engine::survey::{Survey, SurveyOptions};
use dr_engine::verify::Scope;
use dr_runtime::Usage;

use super::bookie_disks;
use super::procedure::Chosen;
use super::recording;
use super::report;
use super::target::OpenTarget;
use super::tier1::OpenTier1;
use super::verify;
use super::{Session, source};
use crate::arguments::{ConsentArguments, ContainerSelection};
use crate::exit_code::ExitCode;
use crate::interruption;
use crate::output::json::Event;
use crate::output::next;
use crate::output::plan::{self as plan_output, PlanEvent};
use crate::output::text::counted;
use crate::output::timeline::{Outcome, Timeline};

/// Name of the stage in which the procedure runs.
const PLANNING: &str = "planning containers";

/// One recovery and its directory.
pub(super) struct Recovery<'a> {
    pub(super) session: &'a Session,
    pub(super) open: OpenTarget,
    pub(super) directory: PathBuf,
    /// As the operator wants it.
    parallel: Option<u16>,
    consent: ConsentArguments,
    patience: Patience,
    journal: OnceCell<Journal>,
    /// Of the plan that this command made; never filled if all is to be read again.
    stamps: OnceCell<Stamps>,
    reread_evidence: bool,
}

/// What the operator said of a bookie, for the plan, and what bears it out.
fn taken_as_lost(id: &str, ledgers: Option<&LedgerEvidence>) -> Decision {
    let trace = match ledgers.and_then(|ledgers| ledgers.trace_of(id)) {
        None => "nothing that is left names any bookie, so that its id cannot be checked".to_owned(),
        Some(BookieTrace { ledgers: 0, has_cookie: false }) => "nothing that is left of ZooKeeper names it".to_owned(),
        Some(BookieTrace { ledgers: 0, has_cookie: true }) => {
            "ZooKeeper has its cookie, and no ledger names it".to_owned()
        }
        Some(BookieTrace { ledgers, .. }) => {
            format!("ZooKeeper names it as a holder of {}", counted(ledgers as u64, "ledger", "ledgers"))
        }
    };
    Decision {
        container: None,
        subject: format!("bookie {id}"),
        choice: next::TAKEN_AS_LOST.to_owned(),
        reason: format!(
            "it was named with --lost-bookies; what it alone held, and had not reached Tier-2, is given up; {trace}"
        ),
    }
}

/// What follows on a plan that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing now.
    Stop,
    /// It is carried out, which begins with a look at the evidence.
    Apply,
}

impl<'a> Recovery<'a> {
    /// Nothing is done yet.
    pub(super) fn new(
        session: &'a Session,
        open: OpenTarget,
        directory: PathBuf,
        parallel: Option<u16>,
        consent: ConsentArguments,
    ) -> Self {
        let patience = Patience::default();
        Self {
            session,
            open,
            directory,
            parallel,
            consent,
            patience,
            journal: OnceCell::new(),
            stamps: OnceCell::new(),
            reread_evidence: false,
        }
    }

    /// The same, trying again for so long what fails.
    pub(super) fn retrying_for(mut self, seconds: u32) -> Self {
        self.patience.limit = Duration::from_secs(seconds.into());
        self
    }

    /// The same, relying on nothing but the bytes that are read again when evidence is compared.
    pub(super) fn rereading_evidence(mut self, reread_evidence: bool) -> Self {
        self.reread_evidence = reread_evidence;
        self
    }

    /// The journal of the run directory, in which this command is begun. From now on no other process works with it.
    ///
    /// # Errors
    /// `lock-held`, `journal-broken`, `run-directory`.
    pub(super) fn journal(&self) -> Result<&Journal> {
        if let Some(journal) = self.journal.get() {
            return Ok(journal);
        }
        let journal = Journal::open(&self.directory)?;
        journal.record(Entry::CommandBegun {
            command: self.session.command.to_owned(),
            dr_version: env!("CARGO_PKG_VERSION").to_owned(),
            process: Process::own(),
        })?;
        Ok(self.journal.get_or_init(|| journal))
    }

    /// Does the work of a command and records how it ended, if the journal was opened.
    pub(super) fn journalled(&self, work: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
        let outcome = work();
        if let Some(Err(error)) =
            self.journal.get().map(|journal| journal.end(self.session.command, outcome.as_ref().err()))
        {
            // What was done is done, and the error of the command matters more.
            self.session.console.warning(&format!("the end of the command is not in the journal: {error}"));
        }
        outcome
    }

    /// What would stop the application is looked for before the work of planning. `stopped` are the servers that must not run.
    pub(super) fn refuse_bad_beginnings(&self, stopped: Stopped) -> Result<()> {
        let OpenTarget { tier2, tier1, target, .. } = &self.open;
        source::refuse_inside(&target.root, &self.directory, "the run directory", "--run-directory")?;
        if let Some(other) = apply::in_progress(tier2.as_ref())?
            && Plan::load(&self.directory).map_or(true, |plan| plan.id != other.plan)
        {
            return Err(apply::refuse_other_recovery(&other));
        }
        if !self.consent.accept_live_cluster {
            refuse_live_cluster(tier1.znodes.as_ref(), &tier1.layout, stopped)?;
        }
        // Bookies whose disks are read cannot run, and come later.
        if stopped == Stopped::All && !target.has_bookies() {
            tier1.ledgers.check(&tier1.layout.ledger_layout(0))?;
        }
        Ok(())
    }

    /// The plan of a dry run or of a run that was interrupted.
    pub(super) fn old_plan(&self) -> Result<Plan> {
        let plan = Plan::load(&self.directory)?;
        let is_of_this_cluster = plan.cluster == self.open.tier1.layout.cluster_name;
        let is_as_configured =
            self.open.configuration.container_count.is_none_or(|count| count == plan.container_count);
        if is_of_this_cluster && is_as_configured {
            return Ok(plan);
        }
        Err(OperatorError::new(
            "run-directory",
            format!("{} holds a plan for another cluster: `{}`", self.directory.display(), plan.cluster),
            "name another run directory with --run-directory, or the cluster of that plan with --cluster",
        ))
    }

    /// Makes a plan and keeps it in the directory.
    pub(super) fn new_plan(&self, chosen: &Chosen, selection: Option<&ContainerSelection>, then: Then) -> Result<Plan> {
        let OpenTarget { target, configuration, tier2, tier1 } = &self.open;
        recording::check_place(chosen, &target.root)?;
        ledgers::refuse_absent(target.bookies_left())?;
        let options = SurveyOptions { container_count: configuration.container_count };
        let survey = Survey::take(tier2.clone(), options, self.session.progress.as_ref())?;
        // One that cannot rebuild containers is not expected to.
        let expected = match chosen.stopped() {
            Stopped::All => source::containers(survey.container_count(), selection)?,
            Stopped::Controllers | Stopped::None => Vec::new(),
        };
        survey.refuse_newer_version()?;
        // A log that is restored holds its container's metadata itself, and what is there of it is looked at.
        if !chosen.restores_logs() {
            survey.refuse_stripped(&expected)?;
            refuse_existing_logs(tier1.znodes.as_ref(), &tier1.layout, &expected)?;
        }
        create_run_directory(&self.directory)?;
        // Before anything is kept in the directory: what is refused here is repaired, and the same command given again.
        let mut ledgers = match chosen.restores_logs() {
            true => bookie_disks::read(self.session, &self.open, survey.listing(), &self.directory)?,
            false => None,
        };
        target.save(&self.directory)?;
        let journal = self.journal()?;
        let EvidenceDigest { listing, objects, bytes, .. } = survey.listing().digest();
        journal.record(Entry::Surveyed { tier2: tier2.location(), objects, bytes, listing })?;
        let progress = &self.session.progress;
        let judged = match &mut ledgers {
            Some(ledgers) if chosen.builds_containers() && !ledgers.awaits_bookies() => {
                ledgers.judge(&survey, &self.directory)?
            }
            _ => None,
        };
        let mut survey = judged.unwrap_or(survey);
        if ledgers.as_ref().is_some_and(LedgerEvidence::has_whole_log) {
            survey.expect_newer_log();
        }
        let survey = Arc::new(survey);
        let lost: Vec<Decision> = target.lost_bookies.iter().map(|id| taken_as_lost(id, ledgers.as_ref())).collect();
        let (znodes, layout) = (tier1.znodes.clone(), tier1.layout.clone());
        let staging = Staging::with_disks(survey.clone(), znodes, ledgers, layout, &self.directory, progress.clone());
        progress.stage_started(PLANNING, Some(expected.len() as u64), Unit::Containers);
        let selected = if selection.is_some() { expected.as_slice() } else { &[] };
        lost.into_iter().for_each(|decision| staging.decision(decision));
        self.run_procedure(chosen, staging.clone(), selected)?;
        progress.stage_finished(PLANNING);
        let plan = staging.clone().into_plan(chosen.maker(), &expected)?;
        if chosen.stages() {
            refuse_empty(&plan)?;
        }
        if then == Then::Apply && !self.reread_evidence {
            self.stamps.get_or_init(|| staging.take_stamps());
        }
        if then == Then::Stop && !plan.is_of_znodes_only() {
            apply::refuse_unsteady(survey.held(), tier2.as_ref()).map_err(|error| self.with_resume(error))?;
        }
        report::write(&plan, &staging.into_loss_report(&plan), &self.directory, &target.root)?;
        // Last: a directory with a plan holds all of it.
        plan.save(&self.directory)?;
        let (id, effects, losses) = (plan.id.clone(), plan.effects.len(), plan.losses.len());
        journal.record(Entry::PlanMade { plan: id, effects, losses })?;
        Ok(plan)
    }

    fn run_procedure(&self, chosen: &Chosen, staging: Staging, selected: &[ContainerId]) -> Result<()> {
        let parallel = source::parallel(self.parallel);
        let execution = recording::execute(chosen, Arc::new(staging), selected, parallel, &self.directory)?;
        self.session.console.event(Event::Procedure {
            guest_seconds: execution.usage.guest_time.as_secs_f64(),
            host_seconds: execution.usage.host_time.as_secs_f64(),
            calls: execution.usage.call_count(),
        });
        tracing::info!(wall_time = ?execution.wall_time, tasks = execution.tasks.len(), "the procedure ended");
        let maker = chosen.maker();
        self.journal()?.record(Entry::ProcedureRan {
            procedure: maker.procedure,
            version: maker.version,
            digest: maker.digest,
            settings: maker.settings,
            tasks: execution.tasks.iter().map(|task| task.id.clone()).collect(),
            calls: call_counts(&execution.usage),
            calls_by_task: execution
                .usage_by_task
                .iter()
                .map(|(task, usage)| (task.clone(), call_counts(usage)))
                .collect(),
        })
    }

    /// Tells what would change.
    pub(super) fn show(&self, plan: &Plan) {
        let (root, location) = (&self.open.target.root, self.open.tier1.location.to_string());
        show(self.session, plan, (Some(root), &location), &self.directory);
    }

    /// Asks, unless the operator said yes beforehand. The more is lost, the more has to be typed.
    pub(super) fn confirm(&self, plan: &Plan) -> Result<()> {
        refuse_only_reporting(plan)?;
        self.refuse_damage(plan)?;
        let (question, expected) = match plan.losses.len() {
            0 if !plan.gives_up_data() => ("\nCarry out this plan? Type yes:".to_owned(), "yes".to_owned()),
            losses => {
                let ranges = counted(losses as u64, "range", "ranges");
                let question = format!(
                    "\nThis plan gives up {ranges} of bytes. To carry it out all the same, type the number of ranges:"
                );
                (question, losses.to_string())
            }
        };
        self.ask(&question, &expected)
    }

    /// A question is not enough where nobody knows what is given up.
    fn refuse_damage(&self, plan: &Plan) -> Result<()> {
        let ranges = plan.damaged_ranges();
        if ranges == 0 || self.consent.accept_loss {
            return Ok(());
        }
        let apply = next::of_directory(self.program(), "apply", &self.directory);
        Err(OperatorError::new(
            "damage-not-accepted",
            format!("the plan rests on damaged evidence: {}", counted(ranges as u64, "range", "ranges")),
            format!(
                "restore the objects named in the plan from a copy of Tier-2 if there is one, and make a new plan; else carry it \
                 out with: {apply} --accept-loss"
            ),
        )
        .because("what the damaged bytes held is not known, so more can be lost than the plan lists; nothing was changed"))
    }

    /// Asks whether what was done is to be taken back.
    pub(super) fn confirm_rollback(&self, plan: &Plan) -> Result<()> {
        let question = format!("\nTake back plan {} and all that it changed? Type yes:", plan.id);
        self.ask(&question, "yes")
    }

    fn ask(&self, question: &str, expected: &str) -> Result<()> {
        if self.consent.yes {
            return Ok(());
        }
        let answer = self.session.console.ask(question).unwrap_or_default();
        if answer.eq_ignore_ascii_case(expected) || (expected == "yes" && answer.eq_ignore_ascii_case("y")) {
            return Ok(());
        }
        Err(OperatorError::new(
            "not-confirmed",
            "this was not confirmed; nothing was changed",
            format!("look at the plan with `dr show {}`, then run the command again", self.directory.display()),
        ))
    }

    /// True if the plan was carried out to its end before, and not taken back.
    pub(super) fn is_carried_out(&self, plan: &Plan) -> Result<bool> {
        let tier2 = self.open.tier2.as_ref();
        let is_this = |recovery: &apply::InProgress| recovery.plan == plan.id;
        Ok(apply::in_progress(tier2)?.is_none() && apply::recoveries(tier2)?.iter().any(is_this))
    }

    /// A plan that was carried out before has nothing to confirm and nothing to do. If no server runs on its result, that is verified once more.
    pub(super) fn carried_out_before(&self, plan: &Plan) -> Result<ExitCode> {
        let OpenTarget { tier1, target, .. } = &self.open;
        // Servers that run before the second of two steps are refused, as ever.
        if plan.awaits_bookies() || live_servers(tier1.znodes.as_ref(), &tier1.layout)?.is_empty() {
            return self.apply_and_verify(plan);
        }
        let console = &self.session.console;
        console.text(&next::carried_out_before(plan, self.when_carried_out().as_deref(), console.colour()));
        let words =
            [vec![self.program().to_owned()], target.command_without_disks("verify"), vec!["--online".to_owned()]];
        self.say_what_is_next(&next::of_running_cluster(&words.concat()));
        Ok(code_for_losses(plan))
    }

    /// When the command began that carried out the plan; none if its timeline does not tell.
    fn when_carried_out(&self) -> Option<String> {
        let runs = Timeline::load(&self.directory).ok()?.runs;
        let since_rollback = runs.iter().rev().take_while(|run| run.outcome != Outcome::RolledBack);
        since_rollback.filter(|run| run.outcome == Outcome::Verified).last().map(|run| run.began.clone())
    }

    /// Carries out the plan and reads everything back.
    pub(super) fn apply_and_verify(&self, plan: &Plan) -> Result<ExitCode> {
        self.answer_signals(format!("plan {} was interrupted while it was carried out", plan.id), |command| {
            format!("carry on with: {}, or take back what was done with: {}", command("apply"), command("rollback"))
        });
        let result = self.apply_then_verify(plan);
        report::record(self, plan, report::Deed::Recovery, result.as_ref().err());
        let code = result?;
        self.refuse_first_step(plan).map(|()| code)
    }

    /// The first of two steps is carried out, and there is no recovery yet: whoever goes by the exit code must not start segment stores.
    fn refuse_first_step(&self, plan: &Plan) -> Result<()> {
        if !plan.awaits_bookies() {
            return Ok(());
        }
        let second = next::command(&self.words_for_the_second_step(plan, &self.directory));
        Err(OperatorError::new(
            "bookies-stopped",
            "the first of two steps is done: ledgers and bookies are registered; the logs cannot be read, nor restored, before the bookies run",
            format!(
                "start the bookies, with their disks, and NO segment store and NO controller; then go on with: {second}"
            ),
        ))
    }

    /// The command that plans the second step, beside the directory of the first.
    pub(super) fn words_for_the_second_step(&self, plan: &Plan, directory: &Path) -> Vec<String> {
        let mut words = vec![self.program().to_owned()];
        words.extend(self.words_for_a_new_plan(directory));
        words.extend(bookie_disks::words_for_procedure(&self.open.target, &plan.maker.procedure));
        words
    }

    fn apply_then_verify(&self, plan: &Plan) -> Result<ExitCode> {
        let progress = self.session.progress.as_ref();
        let applied = apply::apply(&self.application(plan)?, progress).map_err(|error| self.with_resume(error))?;
        self.session.console.event(Event::Applied(&applied));
        self.verify(plan)?;
        let OpenTarget { tier1, target, .. } = &self.open;
        let colour = self.session.console.colour();
        let summary = if applied.effects == 0 {
            next::carried_out_before(plan, self.when_carried_out().as_deref(), colour)
        } else {
            next::summary(plan, &tier1.location, &self.directory, colour)
        };
        self.session.console.text(&summary);
        if plan.awaits_bookies() {
            return Ok(code_for_losses(plan));
        }
        if plan.brings_back_tier1() {
            self.say_what_is_next(&next::after_restoring(self.program(), plan, &self.directory));
            return Ok(code_for_losses(plan));
        }
        let verify = target.command_without_disks("verify");
        self.say_what_is_next(&next::after_recovery(self.program(), &verify, plan, &self.directory, &tier1.location));
        Ok(code_for_losses(plan))
    }

    fn verify(&self, plan: &Plan) -> Result<()> {
        if plan.brings_back_tier1() {
            let OpenTier1 { layout, .. } = &self.open.tier1;
            apply::verify_restored(plan, self.open.tier1.tier1(), layout)?;
        }
        if plan.containers.is_empty() {
            return Ok(());
        }
        let containers: Vec<_> = plan.containers.iter().map(|container| container.container).collect();
        let scope = Scope {
            container_count: Some(plan.container_count),
            containers: &containers,
            parallel: source::parallel(self.parallel),
            ..Scope::default()
        };
        let verification = verify::check(self.session, self.open.tier2.as_ref(), &self.open.tier1, &scope)
            .map_err(verification_impossible)?;
        self.journal()?.record(Entry::Verified {
            containers: verification.containers.len(),
            segments: verification.containers.iter().map(|container| container.segments).sum(),
            problems: verification.problems.len(),
        })?;
        dr_engine::verify::verification_failed(&verification).map_or(Ok(()), Err)
    }

    /// Restores what was there before the plan was carried out.
    pub(super) fn roll_back(&self, plan: &Plan) -> Result<RolledBack> {
        self.answer_signals(format!("plan {} was interrupted while it was taken back", plan.id), |command| {
            format!("carry on with: {}", command("rollback"))
        });
        let result = apply::roll_back(&self.application(plan)?, self.session.progress.as_ref());
        report::record(self, plan, report::Deed::Rollback, result.as_ref().err());
        result
    }

    /// A signal that comes from now on is answered with how to go on; `next_step` says it with the words of commands about this directory.
    fn answer_signals(&self, what: String, next_step: impl Fn(&dyn Fn(&str) -> String) -> String) {
        let directory = std::path::absolute(&self.directory).unwrap_or_else(|_| self.directory.clone());
        let of_directory = |command: &str| next::of_directory(self.program(), command, &directory);
        interruption::answer_with(&self.session.console, what, next_step(&of_directory));
    }

    fn application<'b>(&'b self, plan: &'b Plan) -> Result<Application<'b>> {
        let OpenTarget { tier2, tier1, .. } = &self.open;
        Ok(Application {
            plan,
            directory: &self.directory,
            journal: self.journal()?,
            tier2: tier2.as_ref(),
            tier1: tier1.tier1(),
            layout: &tier1.layout,
            stamps: self.stamps.get(),
            parallel: source::parallel_changes(self.parallel),
            accept_live_cluster: self.consent.accept_live_cluster,
            break_lock: self.consent.break_lock,
            patience: self.patience,
        })
    }

    /// What was refused was refused before anything was changed; what failed may have left a part of the plan behind.
    fn with_resume(&self, mut error: OperatorError) -> OperatorError {
        if ExitCode::of(&error) == ExitCode::Failed {
            let [apply, rollback] =
                ["apply", "rollback"].map(|command| next::of_directory(self.program(), command, &self.directory));
            error.next_step = format!(
                "{}; then carry on with: {apply}, or take back what was done with: {rollback}",
                error.next_step
            );
        }
        if error.code == "evidence-changed" {
            error.next_step = format!("{}: {}", error.next_step, self.command_for_a_new_plan());
        }
        error
    }

    fn command_for_a_new_plan(&self) -> String {
        let words = [vec![self.program().to_owned()], self.words_for_a_new_plan(&self.directory)].concat();
        next::command(&words)
    }

    /// The words behind the program that make another plan, beside the directory of this one.
    pub(super) fn words_for_a_new_plan(&self, directory: &Path) -> Vec<String> {
        let mut words = self.open.target.command("plan");
        words.extend(["--directory".to_owned(), beside(directory).to_string_lossy().into_owned()]);
        words
    }

    /// The name under which this program was called.
    pub(super) fn program(&self) -> &str {
        self.session.program()
    }

    /// The last words of a command.
    pub(super) fn say_what_is_next(&self, next: &next::Next) {
        self.session.say_what_is_next(next);
    }
}

/// A directory beside this one that does not exist yet, or is empty.
pub(super) fn beside(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let others = (2..).map(|number| directory.with_file_name(format!("{name}-{number}")));
    let is_new = |directory: &PathBuf| directory.read_dir().map_or(true, |mut entries| entries.next().is_none());
    others.into_iter().find(is_new).unwrap_or_default()
}

/// Tells what a plan would change.
pub(super) fn show(session: &Session, plan: &Plan, places: (Option<&Path>, &str), directory: &Path) {
    let console = &session.console;
    console.event(Event::Plan(PlanEvent::new(plan, directory)));
    let text = plan_output::render(plan, places, directory, console.manner().verbose, console.colour());
    console.text(&text);
    report::show(session, plan, directory);
    console.flush();
}

/// The code for a plan, carried out or not.
pub(super) fn code_for_losses(plan: &Plan) -> ExitCode {
    if plan.gives_up_data() { ExitCode::Losses } else { ExitCode::Done }
}

fn refuse_empty(plan: &Plan) -> Result<()> {
    if !plan.changes_nothing() {
        return Ok(());
    }
    Err(OperatorError::new(
        "nothing-staged",
        format!("the procedure `{}` staged nothing", plan.maker.procedure),
        "if it writes only what is missing, all of it is there already and the servers can be started; else check \
         --containers and the procedure's settings; nothing was changed",
    ))
}

fn refuse_only_reporting(plan: &Plan) -> Result<()> {
    if !plan.changes_nothing() {
        return Ok(());
    }
    Err(OperatorError::new(
        "plan-only-reports",
        format!("the procedure `{}` only looks; there is nothing to carry out", plan.maker.procedure),
        "read what it found with `dr show`; to recover, make a plan with a procedure that does, such as the built-in one",
    ))
}

/// A question that nobody can answer is better refused before the work than after it.
///
/// # Errors
/// `no-terminal`.
pub(super) fn refuse_nobody_to_ask(session: &Session, consent: ConsentArguments) -> Result<()> {
    if consent.yes || session.console.can_ask() {
        return Ok(());
    }
    Err(OperatorError::new(
        "no-terminal",
        "there is no terminal on which this could be confirmed",
        "look at the plan with --dry-run, `dr plan` or `dr show`, then give --yes",
    ))
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

fn call_counts(usage: &Usage) -> BTreeMap<String, u64> {
    usage.calls.iter().map(|(call, usage)| ((*call).to_owned(), usage.calls)).collect()
}

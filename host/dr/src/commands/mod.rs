//! The commands: each calls the engine in the right order and tells what came of it.

mod apply;
mod audit;
mod bookie_disks;
mod diagnose;
mod distribution;
mod export_events;
pub(crate) mod inspect;
mod list_segments;
mod manual;
mod plan;
mod procedure;
mod procedures;
mod recording;
mod recover;
mod recovery;
mod replay;
mod report;
mod signing;
mod source;
mod survey_bookie;
mod target;
mod test;
mod tier1;
mod verify;
mod verify_online;

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;

use dr_engine::error::Result;

use crate::arguments::{Arguments, Command, GlobalArguments, ListFormat, ReportFormat};
use crate::diary;
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::progress::ConsoleProgress;
use crate::output::{Console, Manner, next};

/// What every command needs.
struct Session {
    console: Arc<Console>,
    progress: Arc<ConsoleProgress>,
    environment: BTreeMap<String, String>,
    arguments_typed: Vec<String>,
    command: &'static str,
}

impl Session {
    /// How `dr` was called.
    fn program(&self) -> &str {
        self.arguments_typed.first().map_or("dr", String::as_str)
    }

    /// The last words of a command.
    fn say_what_is_next(&self, next: &next::Next) {
        self.console.event(Event::Next { steps: &next.steps });
        self.console.text(&next.render(self.console.colour()));
    }
}

/// Does what was typed.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let console = Arc::new(Console::new(manner(&arguments)));
    let command = command_name(&arguments.command);
    console.event(Event::Started { command, dr_version: env!("CARGO_PKG_VERSION") });
    let outcome = run_command(&console, &arguments.global, &arguments.command);
    let code = outcome.unwrap_or_else(|error| {
        console.error(&error);
        ExitCode::of(&error)
    });
    console.finished(code);
    code
}

fn run_command(console: &Arc<Console>, global: &GlobalArguments, command: &Command) -> Result<ExitCode> {
    // Variables that are not text cannot be overrides.
    let environment: BTreeMap<String, String> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    diary::open(global, environment.get("RUST_LOG").map(String::as_str))?;
    let session = Session {
        command: command_name(command),
        console: console.clone(),
        progress: Arc::new(ConsoleProgress::new(console.clone())),
        environment,
        arguments_typed: env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
    };
    match command {
        Command::Diagnose(arguments) => diagnose::run(&session, arguments),
        Command::ListSegments(arguments) => list_segments::run(&session, arguments),
        Command::Recover(arguments) => recover::run(&session, arguments),
        Command::Plan(arguments) => plan::make(&session, arguments),
        Command::Show(arguments) => plan::show(&session, arguments),
        Command::Diff(arguments) => plan::diff(&session, arguments),
        Command::Apply(arguments) => apply::apply(&session, arguments),
        Command::Audit(arguments) => audit::run(&session, arguments),
        Command::Rollback(arguments) => apply::roll_back(&session, arguments),
        Command::Verify(arguments) => verify::run(&session, arguments),
        Command::ExportEvents(arguments) => export_events::run(&session, arguments),
        Command::SurveyBookie(arguments) => survey_bookie::run(&session, arguments),
        Command::Inspect(arguments) => inspect::run(&session, arguments),
        Command::Replay(arguments) => replay::run(&session, arguments),
        Command::Test(arguments) => test::run(&session, arguments),
        Command::Procedure(arguments) => procedures::run(&session, arguments),
        Command::Completions(arguments) => Ok(manual::complete(&session, arguments)),
        Command::Man(arguments) => manual::write(&session, arguments),
    }
}

fn manner(arguments: &Arguments) -> Manner {
    let json = match &arguments.command {
        Command::Diagnose(diagnose) => diagnose.output == ReportFormat::Json,
        Command::ListSegments(list) => list.output == ListFormat::Json,
        Command::Recover(recover) => recover.output == ReportFormat::Json,
        Command::Plan(plan) => plan.output == ReportFormat::Json,
        Command::Show(show) => show.output == ReportFormat::Json,
        Command::Diff(diff) => diff.output == ReportFormat::Json,
        Command::Apply(run) | Command::Rollback(run) => run.output == ReportFormat::Json,
        Command::Audit(audit) => audit.output == ReportFormat::Json,
        Command::Verify(verify) => verify.output == ReportFormat::Json,
        Command::Replay(replay) => replay.output == ReportFormat::Json,
        Command::Test(test) => test.output == ReportFormat::Json,
        // Their output is something else.
        Command::ExportEvents(_) | Command::SurveyBookie(_) | Command::Completions(_) | Command::Man(_) => false,
        Command::Inspect(inspect) => inspect.output == ReportFormat::Json,
        Command::Procedure(procedure) => procedure.output == ReportFormat::Json,
    };
    Manner { json, quiet: arguments.global.quiet, verbose: arguments.global.verbose > 0 }
}

fn command_name(command: &Command) -> &'static str {
    match command {
        Command::Diagnose(_) => "diagnose",
        Command::ListSegments(_) => "list-segments",
        Command::Recover(_) => "recover",
        Command::Plan(_) => "plan",
        Command::Show(_) => "show",
        Command::Diff(_) => "diff",
        Command::Apply(_) => "apply",
        Command::Rollback(_) => "rollback",
        Command::Audit(_) => "audit",
        Command::Verify(_) => "verify",
        Command::ExportEvents(_) => "export-events",
        Command::SurveyBookie(_) => "survey-bookie",
        Command::Inspect(_) => "inspect",
        Command::Replay(_) => "replay",
        Command::Test(_) => "test",
        Command::Procedure(_) => "procedure",
        Command::Completions(_) => "completions",
        Command::Man(_) => "man",
    }
}

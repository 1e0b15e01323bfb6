//! `dr procedure`: procedures that are listed, looked at, signed, exported and registered; none is run.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use dr_engine::error::{OperatorError, Result};
use semver::Version;

use super::Session;
use super::procedure::{Approved, compile, find, trusted};
use super::{distribution, signing};
use crate::arguments::{
    AddArguments, ExportArguments, LibraryArguments, NewArguments, PlaceArguments, ProcedureAction,
    ProcedureCommandArguments, SheetArguments,
};
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::procedure::{self, Listed, Sheet};
use crate::policy::OperatorPolicy;
use crate::procedures::Module;
use crate::procedures::library::Library;
use crate::procedures::registry::{Registry, unwritable};
use crate::procedures::scaffold;
use crate::procedures::signing::Standing;

/// Does what was asked for.
pub(super) fn run(session: &Session, arguments: &ProcedureCommandArguments) -> Result<ExitCode> {
    match &arguments.action {
        ProcedureAction::List(arguments) => list(session, arguments),
        ProcedureAction::New(arguments) => new(session, arguments),
        ProcedureAction::Inspect(arguments) => inspect(session, arguments),
        ProcedureAction::Export(arguments) => export(session, arguments),
        ProcedureAction::Add(arguments) => add(session, arguments),
        ProcedureAction::Keygen(arguments) => signing::make_keys(session, arguments),
        ProcedureAction::Sign(arguments) => signing::sign(session, arguments),
        ProcedureAction::Verify(arguments) => signing::verify(session, arguments),
        ProcedureAction::Push(arguments) => distribution::push(session, arguments),
        ProcedureAction::Pull(arguments) => distribution::pull(session, arguments),
    }
}

fn list(session: &Session, arguments: &LibraryArguments) -> Result<ExitCode> {
    let library = Library::open(arguments.procedure_directory.as_deref())?;
    let listed: Vec<Listed> = library.candidates().iter().map(Listed::of).collect();
    listed.iter().for_each(|procedure| session.console.event(Event::ProcedureListed(procedure)));
    session.console.text(&procedure::render_list(&listed));
    Ok(ExitCode::Done)
}

fn new(session: &Session, arguments: &NewArguments) -> Result<ExitCode> {
    let NewArguments { name, lang, directory } = arguments;
    let directory = directory.clone().unwrap_or_else(|| PathBuf::from(name));
    scaffold::write(*lang, name, &directory)?;
    let sentence =
        format!("{} holds the procedure `{name}`; its README.md says how it is built and tested", directory.display());
    session.console.event(Event::Message { sentence: &sentence });
    session.console.text(&format!("{sentence}\n"));
    Ok(ExitCode::Done)
}

fn inspect(session: &Session, arguments: &SheetArguments) -> Result<ExitCode> {
    let approved = find(&arguments.supply, Some(&arguments.procedure))?;
    let policy = OperatorPolicy::read(&arguments.grants.policy)?;
    let procedure = compile(&approved, &policy, &arguments.supply.cache)?;
    let decided = policy.decide(&procedure, &arguments.grants)?;
    let sheet = Sheet::of(&approved.module, &approved.standing, &procedure, decided);
    session.console.event(Event::ProcedureInspected(&sheet));
    session.console.text(&sheet.render(session.console.colour()));
    Ok(ExitCode::Done)
}

fn export(session: &Session, arguments: &ExportArguments) -> Result<ExitCode> {
    let library = Library::open(arguments.library.procedure_directory.as_deref())?;
    let module = library.module(Some(&arguments.procedure))?;
    let path = &arguments.file;
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(&module.bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let what = format!("{} exists and was not overwritten", path.display());
            OperatorError::new("procedure-file-exists", what, "name a file that does not exist")
        }
        _ => unwritable(path, &error),
    })?;
    session.console.event(Event::FileWritten { path });
    session.console.text(&format!("{}: {}, SHA-256 {}\n", path.display(), module.origin, module.sha256()));
    Ok(ExitCode::Done)
}

fn add(session: &Session, arguments: &AddArguments) -> Result<ExitCode> {
    register(session, Module::read(&arguments.file)?, &arguments.place)
}

/// Puts a component and its signatures into a directory of procedures, under the name and version that it gives itself.
pub(super) fn register(session: &Session, module: Module, place: &PlaceArguments) -> Result<ExitCode> {
    let directory = &place.procedure_directory;
    let trust = trusted(&place.trust, Some(directory))?;
    let approved = Approved::new(module, &trust)?;
    let procedure = compile(&approved, &OperatorPolicy::default(), &place.cache)?;
    let name = &procedure.description().name;
    let version = Version::parse(&procedure.description().version).map_err(|error| {
        let what = format!("{} cannot be registered", approved.module.origin);
        OperatorError::new("procedure-invalid", what, "give it a semantic version, such as 1.2.3").because(error)
    })?;
    let is_new = Registry::read_or_new(directory)?.add(name, &version, &approved.module)?;
    let outcome = if is_new { "is registered" } else { "was registered already" };
    let signature = match &approved.standing {
        Standing::Unsigned => "not signed".to_owned(),
        standing => format!("signature {}", standing.in_words()),
    };
    let sentence = format!("{name}@{version} {outcome} in {}; {signature}", directory.display());
    session.console.event(Event::Message { sentence: &sentence });
    session.console.text(&format!("{sentence}\n"));
    Ok(ExitCode::Done)
}

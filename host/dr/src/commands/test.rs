//! `dr test`: does a procedure do in a scenario what is expected there? Needs no cluster and changes none.

mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use dr_runtime::Procedure;
use dr_scenario::{Faults, Scenario, Tested};

use super::Session;
use super::procedure::{compile, find};
use crate::arguments::TestArguments;
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::junit;
use crate::output::test::{self, ScenarioResult, Totals};
use crate::policy::OperatorPolicy;

/// Tests once, or whenever something changes.
pub(super) fn run(session: &Session, arguments: &TestArguments) -> Result<ExitCode> {
    let wanted = Wanted::of(&arguments.words)?;
    if arguments.watch { watch::run(session, arguments, &wanted) } else { test_once(session, arguments, &wanted) }
}

/// The scenarios and the procedure that were named.
struct Wanted {
    /// Files, and directories of files.
    scenarios: Vec<PathBuf>,
    /// None if the scenarios tell.
    procedure: Option<String>,
}

impl Wanted {
    /// Sorts the words of the command line.
    fn of(words: &[PathBuf]) -> Result<Self> {
        let is_scenario =
            |word: &&PathBuf| word.is_dir() || word.extension().is_some_and(|extension| extension == "toml");
        let (scenarios, others): (Vec<&PathBuf>, Vec<&PathBuf>) = words.iter().partition(is_scenario);
        let next_step = "name files that end in .toml, or directories of them, and behind them at most one procedure";
        let error = |what: String| Err(OperatorError::new("configuration-test", what, next_step));
        match (scenarios.as_slice(), others.as_slice()) {
            ([], _) => error("no scenario is named".to_owned()),
            (_, [first, second, ..]) => error(format!(
                "{} and {} are no scenarios, and one procedure is tested at a time",
                first.display(),
                second.display()
            )),
            (_, others) => Ok(Self {
                scenarios: scenarios.into_iter().cloned().collect(),
                procedure: others.first().map(|word| word.to_string_lossy().into_owned()),
            }),
        }
    }

    /// All files of scenarios, in the order in which they were named.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in &self.scenarios {
            files.extend(dr_scenario::find(path)?);
        }
        Ok(files)
    }

    /// What a scenario is tested with, as it was named; none for the built-in procedure.
    fn procedure_of<'a>(&'a self, scenario: &'a Scenario) -> Option<&'a str> {
        self.procedure.as_deref().or(scenario.procedure.as_deref())
    }
}

/// Procedures that were compiled, by what they were named; scenarios share them.
struct Compiled<'a> {
    arguments: &'a TestArguments,
    policy: OperatorPolicy,
    procedures: BTreeMap<Option<String>, Procedure>,
}

impl<'a> Compiled<'a> {
    /// None is yet. Of the policy only the limits matter: the world of a scenario can be told anything.
    fn new(arguments: &'a TestArguments) -> Result<Self> {
        let policy = OperatorPolicy::read(&arguments.policy)?;
        Ok(Self { arguments, policy, procedures: BTreeMap::new() })
    }

    fn get(&mut self, named: Option<&str>) -> Result<&Procedure> {
        let key = named.map(str::to_owned);
        if !self.procedures.contains_key(&key) {
            let supply = &self.arguments.supply;
            let procedure = compile(&find(supply, named)?, &self.policy, &supply.cache)?;
            self.procedures.insert(key.clone(), procedure);
        }
        self.procedures
            .get(&key)
            .ok_or_else(|| OperatorError::new("defect", "a procedure that was compiled is gone", "report this"))
    }
}

/// All scenarios are read before the first one runs: one that says something impossible is told at once.
fn test_once(session: &Session, arguments: &TestArguments, wanted: &Wanted) -> Result<ExitCode> {
    let scenarios: Vec<Scenario> =
        wanted.files()?.iter().map(|file| Scenario::read(file)).collect::<std::result::Result<_, _>>()?;
    let mut compiled = Compiled::new(arguments)?;
    let mut results = Vec::with_capacity(scenarios.len());
    for scenario in &scenarios {
        let procedure = compiled.get(wanted.procedure_of(scenario))?;
        let result = test_scenario(arguments, scenario, procedure)?;
        session.console.event(Event::ScenarioTested(&result));
        results.push(result);
    }
    let totals = Totals::of(&results);
    if let Some(path) = &arguments.junit {
        write_junit(path, &results, &totals)?;
    }
    session.console.event(Event::ScenariosTested(&totals));
    session.console.text(&test::render(&results, &totals, session.console.colour()));
    session.console.flush();
    Ok(if totals.failed == 0 { ExitCode::Done } else { ExitCode::Problems })
}

fn test_scenario(arguments: &TestArguments, scenario: &Scenario, procedure: &Procedure) -> Result<ScenarioResult> {
    let faults = if arguments.faults.is_some() { Faults::Exhaustive } else { Faults::None };
    let run = |scenario: &Scenario| -> Result<Tested> { Ok(dr_scenario::run(procedure, scenario, faults)?) };
    let tested = run(scenario)?;
    if arguments.update && !tested.differences.is_empty() && dr_scenario::update(scenario, &tested.observation)? {
        // What is still different cannot be updated.
        let updated = Scenario::read(&scenario.path)?;
        return Ok(ScenarioResult::new(&updated, procedure, run(&updated)?).updated());
    }
    Ok(ScenarioResult::new(scenario, procedure, tested))
}

fn write_junit(path: &Path, results: &[ScenarioResult], totals: &Totals) -> Result<()> {
    let write = || fs::write(path, junit::render(results, totals)?);
    write().map_err(|error: std::io::Error| {
        let what = format!("cannot write {}", path.display());
        OperatorError::new("junit-unwritable", what, "name a file in a directory that can be written with --junit")
            .because(error)
    })
}

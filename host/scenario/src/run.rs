//! Runs a procedure in a scenario.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dr_engine::contract::{ContainerId, RecoveryHost};
use dr_runtime::recording::{Broken, Effects, Recorder, exhaust, outcome};
use dr_runtime::{Procedure, RuntimeError, Setting};

use crate::compare::{Difference, Observation};
use crate::error::ScenarioError;
use crate::file::Scenario;
use crate::stage::{NewHost, Stage};

/// Which calls are made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// None.
    None,
    /// Each, once in every way that the contract allows, in a run of its own.
    Exhaustive,
}

/// What came of a scenario.
#[derive(Debug)]
pub struct Tested {
    /// All that is not as expected; nothing if the procedure passes.
    pub differences: Vec<Difference>,
    /// Faults after which the procedure ended as it should not.
    pub broken: Vec<Broken>,
    /// Runs in which a call was made to fail, by the call.
    pub fault_runs: BTreeMap<String, usize>,
    /// What came of the run without faults.
    pub observation: Observation,
    /// How long all took.
    pub duration: Duration,
}

impl Tested {
    /// Whether all is as expected.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.differences.is_empty() && self.broken.is_empty()
    }
}

/// What all runs of a scenario have in common.
struct Conditions<'a> {
    procedure: &'a Procedure,
    settings: Vec<Setting>,
    selected: Vec<ContainerId>,
    stage: Stage,
}

/// Runs a procedure in a scenario and compares.
///
/// # Errors
/// [`ScenarioError::Tree`], [`ScenarioError::Recording`] if what is left of the cluster cannot be opened.
pub fn run(procedure: &Procedure, scenario: &Scenario, faults: Faults) -> Result<Tested, ScenarioError> {
    let began = Instant::now();
    let stage = Stage::open(scenario)?;
    let named = named_settings(scenario, &stage);
    let mut tested = match procedure.settings(&named) {
        Ok(settings) => {
            let recorded = || stage.recording().map(|recording| recording.head.selected.clone());
            let chosen = Some(scenario.selected.clone()).filter(|selected| !selected.is_empty());
            let selected = chosen.or_else(recorded).unwrap_or_default();
            Conditions { procedure, settings, selected, stage }.test(scenario, faults)
        }
        Err(error) => refused(&named, &error),
    };
    tested.duration = began.elapsed();
    Ok(tested)
}

/// Those of the recording, if there is one, under those of the scenario.
fn named_settings(scenario: &Scenario, stage: &Stage) -> Vec<(String, String)> {
    let mut settings: BTreeMap<String, String> =
        stage.recording().map(|recording| recording.head.settings.clone()).unwrap_or_default();
    settings.extend(scenario.settings.iter().cloned());
    settings.into_iter().collect()
}

/// A procedure that does not take the settings of a scenario does not pass it.
fn refused(settings: &[(String, String)], error: &RuntimeError) -> Tested {
    let named: Vec<String> = settings.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    let expected = format!("a procedure that takes {}", named.join(", "));
    let observation =
        Observation { outcome: "refused".to_owned(), message: Some(error.to_string()), ..Observation::default() };
    Tested {
        differences: vec![Difference::new("settings", expected, error.to_string())],
        broken: Vec::new(),
        fault_runs: BTreeMap::new(),
        observation,
        duration: Duration::ZERO,
    }
}

impl Conditions<'_> {
    fn test(&self, scenario: &Scenario, faults: Faults) -> Tested {
        let (observation, mut differences) = self.observe();
        match &scenario.expect {
            Some(expect) => differences.extend(expect.differences(&observation)),
            None if self.stage.recording().is_none() => differences.push(Difference::new(
                "expect",
                "a table `[expect]` in the scenario, written by hand or by --update",
                "none, so nothing can be compared",
            )),
            None => {}
        }
        let fault_runs = BTreeMap::new();
        let mut tested = Tested { differences, broken: Vec::new(), fault_runs, observation, duration: Duration::ZERO };
        if faults == Faults::Exhaustive {
            self.fail_every_call(&mut tested);
        }
        tested
    }

    /// Runs the procedure once. The differences are those to a recording.
    fn observe(&self) -> (Observation, Vec<Difference>) {
        let NewHost { host, replayer } = match self.stage.new_host() {
            Ok(host) => host,
            Err(error) => return (Observation::default(), vec![no_host(&error)]),
        };
        let recorder = Arc::new(Recorder::default());
        let host = recorder.before(host);
        let result = match self.stage.recording() {
            Some(recording) => self.procedure.execute_recorded(host, &self.settings, &self.selected, recording),
            None => self.procedure.execute(host, &self.settings, &self.selected, 1, &()),
        };
        let calls = recorder.take_calls();
        let effects = if result.is_ok() { Effects::of(&calls) } else { Effects::default() };
        let message = result.as_ref().err().map(ToString::to_string);
        let observation = Observation { outcome: outcome(&result), message, calls, effects };
        let differences = replayer.and_then(|replayer| replayer.difference()).map(|difference| {
            let detail = difference.detail.map(|detail| format!("; {detail}")).unwrap_or_default();
            let place = format!("recording, {}", difference.place);
            Difference::new(place, difference.expected, format!("{}{detail}", difference.got))
        });
        let other_end = || {
            let expected = &self.stage.recording()?.outcome;
            let got = &observation.outcome;
            (expected != got)
                .then(|| Difference::new("recording, the end", format!("`{expected}`"), format!("`{got}`")))
        };
        let differences = differences.or_else(other_end);
        (observation, differences.into_iter().collect())
    }

    fn fail_every_call(&self, tested: &mut Tested) {
        let without_host = Mutex::new(None);
        let new_host = || -> Arc<dyn RecoveryHost> {
            let new = self.stage.new_host();
            new.map(|new| new.host).unwrap_or_else(|error| {
                *without_host.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                // It answers no call; the runs that follow end at once.
                Arc::new(dr_runtime::mock::MockHost::new(Arc::default()))
            })
        };
        match exhaust(self.procedure, &self.settings, &self.selected, &new_host) {
            Ok(exhausted) => {
                tested.fault_runs = exhausted.runs;
                tested.broken = exhausted.broken;
            }
            // Told already, as the outcome of the run without faults.
            Err(error) if tested.differences.is_empty() => {
                tested.differences.push(Difference::new("faults", "a procedure that ends cleanly", error.to_string()));
            }
            Err(_) => {}
        }
        if let Some(error) = without_host.into_inner().unwrap_or_else(PoisonError::into_inner) {
            tested.differences.push(no_host(&error));
        }
    }
}

fn no_host(error: &io::Error) -> Difference {
    Difference::new("host", "a directory for log images", error.to_string())
}

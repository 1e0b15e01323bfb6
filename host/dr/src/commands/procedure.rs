//! The procedure of a run.

use std::path::PathBuf;

use crate::arguments::ProcedureArguments;
use crate::procedures::library::Library;
use crate::procedures::{Module, operator_error};
use dr_engine::error::{OperatorError, Result};
use dr_engine::plan::Maker;
use dr_runtime::{Limits, Procedure, Runtime, Setting};

/// A procedure and the settings of this run.
pub(super) struct Chosen {
    /// The procedure.
    pub(super) procedure: Procedure,
    /// One for each of its parameters.
    pub(super) settings: Vec<Setting>,
    /// File for the recording of its calls.
    pub(super) record: Option<PathBuf>,
}

/// Finds and loads the procedure and checks the settings.
///
/// # Errors
/// Those of [`Library::module`] and [`compile`]; `configuration-setting`.
pub(super) fn load(arguments: &ProcedureArguments) -> Result<Chosen> {
    refuse_settings_given_twice(&arguments.settings)?;
    let library = Library::open(arguments.library.procedure_directory.as_deref())?;
    let procedure = compile(&library.module(arguments.procedure.as_deref())?)?;
    let settings = procedure.settings(&arguments.settings).map_err(operator_error)?;
    Ok(Chosen { procedure, settings, record: arguments.record.clone() })
}

/// Compiles a module and asks it what it is.
///
/// # Errors
/// `procedure-invalid`, `procedure-failed`, `runtime-unusable`; `procedure-mislabelled` if it is not what a registry
/// calls it.
pub(super) fn compile(module: &Module) -> Result<Procedure> {
    let origin = module.origin.to_string();
    let loaded = Runtime::new(Limits::default()).and_then(|runtime| runtime.load(&module.bytes, &origin));
    let procedure = loaded.map_err(operator_error)?;
    module.check_labels(&procedure.description().name, &procedure.description().version)?;
    Ok(procedure)
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

impl Chosen {
    /// For the plan.
    pub(super) fn maker(&self) -> Maker {
        let description = self.procedure.description();
        let pair = |setting: &Setting| (setting.name.clone(), setting.value.clone());
        Maker {
            procedure: description.name.clone(),
            version: description.version.clone(),
            digest: self.procedure.digest().to_owned(),
            settings: self.settings.iter().map(pair).collect(),
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

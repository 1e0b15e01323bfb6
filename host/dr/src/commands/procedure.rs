//! The procedure to run: the built-in one, or one from a file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::arguments::ProcedureArguments;
use dr_engine::error::{OperatorError, Result};
use dr_engine::plan::Maker;
use dr_runtime::{Limits, Procedure, Runtime, RuntimeError, Setting};

/// The component that is built in. An ordinary one: nothing tells it from a procedure in a file.
static TOTAL_LOSS: &[u8] = include_bytes!(env!("DR_PROCEDURE_TOTAL_LOSS"));

/// A procedure and the settings of this run.
pub(super) struct Chosen {
    /// The procedure.
    pub(super) procedure: Procedure,
    /// One for each of its parameters.
    pub(super) settings: Vec<Setting>,
    /// File for the recording of its calls.
    pub(super) record: Option<PathBuf>,
}

/// Loads the procedure and checks the settings.
///
/// # Errors
/// `procedure-unreadable`, `procedure-invalid`, `configuration-setting`, `runtime-unusable`.
pub(super) fn load(arguments: &ProcedureArguments) -> Result<Chosen> {
    refuse_settings_given_twice(&arguments.settings)?;
    let limits = Limits::default();
    let runtime = match &arguments.procedure {
        None => Runtime::new(limits).and_then(|runtime| runtime.load(TOTAL_LOSS, "the built-in procedure")),
        Some(path) => {
            let component = read(path, limits.component_bytes)?;
            Runtime::new(limits).and_then(|runtime| runtime.load(&component, &path.display().to_string()))
        }
    };
    let procedure = runtime.map_err(operator_error)?;
    let settings = procedure.settings(&arguments.settings).map_err(operator_error)?;
    Ok(Chosen { procedure, settings, record: arguments.record.clone() })
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

fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>> {
    let unreadable = |why: String| {
        let what = format!("cannot read the procedure {}", path.display());
        OperatorError::new("procedure-unreadable", what, "give --procedure the file of a WebAssembly component")
            .because(why)
    };
    let metadata = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    // Before anything is read: a wrong name may lead to a file of any size.
    if metadata.len() > bytes_max as u64 {
        return Err(unreadable(format!("it has {} bytes, more than the limit of {bytes_max}", metadata.len())));
    }
    fs::read(path).map_err(|error| unreadable(error.to_string()))
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

/// What the operator is told of a procedure's failure.
pub(super) fn operator_error(error: RuntimeError) -> OperatorError {
    let (code, next_step) = match &error {
        RuntimeError::UnknownSetting { .. } | RuntimeError::BadSetting { .. } => {
            ("configuration-setting", "correct --set; nothing was changed")
        }
        RuntimeError::Failed { .. } => (
            "procedure-failed",
            "nothing was changed; look at the reason and at the diary (--log-level debug), or run another procedure with --procedure",
        ),
        RuntimeError::Machine { .. } => ("runtime-unusable", "run dr on another machine"),
        _ => (
            "procedure-invalid",
            "build the procedure for this version of dr, or leave out --procedure to run the built-in one",
        ),
    };
    OperatorError::new(code, error.to_string(), next_step)
}

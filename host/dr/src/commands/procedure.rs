//! The procedure of a run.

use std::path::Path;

use crate::arguments::{CacheArguments, ProcedureArguments, RecordingArguments, SupplyArguments, TrustArguments};
use crate::policy::OperatorPolicy;
use crate::procedures::library::Library;
use crate::procedures::signing::{KeyId, Standing, Trust};
use crate::procedures::{Module, cache, operator_error};
use dr_engine::cluster::Stopped;
use dr_engine::error::{OperatorError, Result};
use dr_engine::plan::Maker;
use dr_runtime::{Capability, Grant, Procedure, Runtime, Setting};

/// A component that was read, and what its signatures are worth. It may be compiled.
pub(super) struct Approved {
    /// The component.
    pub(super) module: Module,
    /// Who vouches for it.
    pub(super) standing: Standing,
}

/// A procedure and the settings of this run.
pub(super) struct Chosen {
    /// The procedure.
    pub(super) procedure: Procedure,
    /// Who vouches for it.
    standing: Standing,
    /// One for each of its parameters.
    pub(super) settings: Vec<Setting>,
    /// What of the host it may use.
    pub(super) grant: Grant,
    /// Where its calls are written down.
    pub(super) recording: RecordingArguments,
}

/// Finds and loads the procedure, checks the settings, and decides what it may do. `fitting` is loaded if the operator names none;
/// without it, the first built-in one.
///
/// # Errors
/// Those of [`find`], [`compile`] and [`OperatorPolicy`]; `configuration-setting`.
pub(super) fn load(arguments: &ProcedureArguments, fitting: Option<&str>) -> Result<Chosen> {
    refuse_settings_given_twice(&arguments.settings)?;
    let policy = OperatorPolicy::read(&arguments.grants.policy)?;
    let name = arguments.procedure.as_deref().or(fitting);
    let approved = find(&arguments.supply, name)?;
    let procedure = compile(&approved, &policy, &arguments.supply.cache)?;
    let settings = procedure.settings(&arguments.settings).map_err(operator_error)?;
    let grant = policy.grant(&procedure, &arguments.grants)?;
    Ok(Chosen { procedure, standing: approved.standing, settings, grant, recording: arguments.recording.clone() })
}

/// Reads the procedure that was named, or the built-in one, and checks who signed it.
///
/// # Errors
/// Those of [`Library::module`], [`Trust::open`] and [`Trust::judge`].
pub(super) fn find(supply: &SupplyArguments, named: Option<&str>) -> Result<Approved> {
    let directory = supply.library.procedure_directory.as_deref();
    let trust = trusted(&supply.trust, directory)?;
    Approved::new(Library::open(directory)?.module(named)?, &trust)
}

/// Whom the operator trusts, and whether a signature is needed.
///
/// # Errors
/// Those of [`Trust::open`].
pub(super) fn trusted(arguments: &TrustArguments, procedures: Option<&Path>) -> Result<Trust> {
    Ok(Trust::open(&arguments.keys.trust, procedures)?.requiring(arguments.require_signature))
}

/// Compiles a component, asks it what it is, and gives it the limits of a policy.
///
/// # Errors
/// `cache-unusable`; `procedure-invalid`, `procedure-failed`, `runtime-unusable`; `procedure-mislabelled` if it is not what a registry
/// calls it, `procedure-signature-wrong` if it is not what was signed.
pub(super) fn compile(
    Approved { module, standing }: &Approved,
    policy: &OperatorPolicy,
    cache: &CacheArguments,
) -> Result<Procedure> {
    let cache = if cache.no_cache { None } else { cache::open(cache.cache.as_deref())? };
    let origin = module.origin.to_string();
    let loaded = Runtime::with_cache(policy.limits(), cache).and_then(|runtime| runtime.load(&module.bytes, &origin));
    let procedure = loaded.map_err(operator_error)?;
    module.check_labels(&procedure.description().name, &procedure.description().version)?;
    standing.check(module, &procedure)?;
    Ok(policy.limit(procedure))
}

impl Approved {
    /// Checks who signed a component.
    ///
    /// # Errors
    /// Those of [`Trust::judge`].
    pub(super) fn new(module: Module, trust: &Trust) -> Result<Self> {
        let standing = trust.judge(&module)?;
        Ok(Self { module, standing })
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

impl Chosen {
    /// The servers that have to be stopped for what it can do.
    pub(super) fn stopped(&self) -> Stopped {
        if self.builds_containers() || self.restores_logs() {
            Stopped::All
        } else if self.stages() {
            Stopped::Controllers
        } else {
            Stopped::None
        }
    }

    /// Whether it can stage changes. One that cannot makes a plan that only reports.
    pub(super) fn stages(&self) -> bool {
        self.procedure.description().capabilities.iter().any(|capability| capability.stages())
    }

    /// True if it can build containers anew.
    pub(super) fn builds_containers(&self) -> bool {
        self.procedure.description().capabilities.contains(&Capability::OpenFreshContainer)
    }

    /// True if it can restore logs, for which the ledgers of bookies are read.
    pub(super) fn restores_logs(&self) -> bool {
        self.procedure.description().capabilities.contains(&Capability::RestoreLog)
    }

    /// For the plan.
    pub(super) fn maker(&self) -> Maker {
        let description = self.procedure.description();
        let pair = |setting: &Setting| (setting.name.clone(), setting.value.clone());
        Maker {
            procedure: description.name.clone(),
            version: description.version.clone(),
            digest: self.procedure.digest().to_owned(),
            signer: self.standing.signer().map(KeyId::to_string),
            settings: self.settings.iter().map(pair).collect(),
            granted: Some(self.grant.to_record()),
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

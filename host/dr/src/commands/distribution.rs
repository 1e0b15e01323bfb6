//! `dr procedure push` and `pull`: procedures in OCI registries.

use dr_engine::error::{OperatorError, Result};

use super::Session;
use super::procedure::{compile, find};
use super::procedures::register;
use crate::arguments::{PullArguments, PushArguments, RegistryArguments};
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::policy::OperatorPolicy;
use crate::procedures::oci::{self, Access, Client, RegistryReference};

/// Sends a procedure to a registry.
pub(super) fn push(session: &Session, arguments: &PushArguments) -> Result<ExitCode> {
    let mut reference = RegistryReference::parse(&arguments.reference)?;
    if reference.digest.is_some() {
        let what = format!("{reference} names a digest, which follows from what is sent");
        return Err(OperatorError::new("registry-reference", what, "leave out the digest"));
    }
    let approved = find(&arguments.supply, Some(&arguments.procedure))?;
    let procedure = compile(&approved, &OperatorPolicy::default(), &arguments.supply.cache)?;
    reference.tag.get_or_insert_with(|| oci::tag_of(&procedure.description().version));
    let client = Client::new(&reference, &access(&arguments.registry))?;
    let signatures = approved.module.signatures()?;
    let digest = oci::push(&client, &reference, &approved.module, &procedure, signatures.as_ref())?;
    let signed = if signatures.is_some() { "with its signatures" } else { "without signatures" };
    let sentence = format!("{reference}@{digest} is {} {signed}", approved.module.origin);
    session.console.event(Event::Message { sentence: &sentence });
    session.console.text(&format!("{sentence}\n"));
    Ok(ExitCode::Done)
}

/// Fetches a procedure from a registry.
pub(super) fn pull(session: &Session, arguments: &PullArguments) -> Result<ExitCode> {
    let reference = RegistryReference::parse(&arguments.reference)?;
    let client = Client::new(&reference, &access(&arguments.registry))?;
    register(session, oci::pull(&client, &reference)?, &arguments.place)
}

fn access(arguments: &RegistryArguments) -> Access {
    Access { plain_http: arguments.plain_http, certificates: arguments.registry_certificates.clone() }
}

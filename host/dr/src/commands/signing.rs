//! `dr procedure keygen`, `sign` and `verify`.

use dr_engine::error::{OperatorError, Result};

use super::Session;
use super::procedure::{Approved, compile};
use crate::arguments::{KeygenArguments, SignArguments, VerifySignatureArguments};
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::procedure::Signature;
use crate::policy::OperatorPolicy;
use crate::procedures::Module;
use crate::procedures::library::Library;
use crate::procedures::signing::{Manifest, PrivateKey, SignatureFile, Standing, Statement, Trust, signature_path};

/// Makes a pair of keys.
pub(super) fn make_keys(session: &Session, arguments: &KeygenArguments) -> Result<ExitCode> {
    let path = &arguments.file;
    let key = PrivateKey::generate()?;
    let public_path = key.write(path)?;
    for path in [path, &public_path] {
        session.console.event(Event::FileWritten { path });
    }
    session.console.text(&format!(
        "{}: private key; who has it can sign in your name\n{}: public key {}\n",
        path.display(),
        public_path.display(),
        key.public()?.id
    ));
    Ok(ExitCode::Done)
}

/// Adds a signature to those that lie beside a component.
pub(super) fn sign(session: &Session, arguments: &SignArguments) -> Result<ExitCode> {
    let key = PrivateKey::read(&arguments.key)?;
    let approved = Approved { module: Module::read(&arguments.file)?, standing: Standing::Unsigned };
    let procedure = compile(&approved, &OperatorPolicy::default(), &arguments.cache)?;
    let statement = Statement { sha256: procedure.digest().to_owned(), manifest: Manifest::of(&procedure) };
    let path = signature_path(&arguments.file);
    let mut signatures = match SignatureFile::read(&path)? {
        Some(there) if there.statement == statement => there,
        Some(_) => return Err(signed_otherwise(&arguments.file, &path)),
        None => SignatureFile::new(&path, statement)?,
    };
    let outcome = if signatures.sign(&key)? { "is signed" } else { "was signed already" };
    signatures.write()?;
    session.console.event(Event::FileWritten { path: &path });
    let Manifest { name, version, .. } = &signatures.statement.manifest;
    session.console.text(&format!(
        "{}: {name}@{version} {outcome} with the key {}\n",
        path.display(),
        key.public()?.id
    ));
    Ok(ExitCode::Done)
}

fn signed_otherwise(component: &std::path::Path, signatures: &std::path::Path) -> OperatorError {
    let what = format!("{} holds signatures of something else than {}", signatures.display(), component.display());
    let next_step = "if you built the procedure anew, remove the file and sign again; nothing was changed";
    OperatorError::new("procedure-signature-wrong", what, next_step)
}

/// Checks that a trusted key signed it.
pub(super) fn verify(session: &Session, arguments: &VerifySignatureArguments) -> Result<ExitCode> {
    let directory = arguments.library.procedure_directory.as_deref();
    let trust = Trust::open(&arguments.keys.trust, directory)?.requiring(true);
    let approved = Approved::new(Library::open(directory)?.module(Some(&arguments.procedure))?, &trust)?;
    let signature = Signature::of(&approved.module, &approved.standing);
    session.console.event(Event::ProcedureSignature(&signature));
    session.console.text(&signature.render());
    Ok(ExitCode::Done)
}

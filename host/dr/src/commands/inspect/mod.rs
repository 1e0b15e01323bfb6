//! `dr inspect`: what the bytes of an object are, whole or damaged. Changes nothing.
//!
//! Each module knows one kind of object and goes on behind damage; [`sheet`] writes what they find.

mod chunk_chain;
mod index;
mod journal;
mod ledger_metadata;
mod log;
mod object;
mod records;
mod segment;
pub(crate) mod sheet;
mod table;
mod tier1;
mod znode;

use dr_engine::error::Result;

use self::sheet::Sheet;
use super::Session;
use crate::arguments::{InspectArguments, InspectKind};
use crate::exit_code::ExitCode;

/// Shows one object.
pub(super) fn run(session: &Session, arguments: &InspectArguments) -> Result<ExitCode> {
    let mut sheet = Sheet::new(&session.console, arguments.limit);
    match &arguments.kind {
        InspectKind::Journal(arguments) => journal::run(&mut sheet, arguments)?,
        InspectKind::Table(arguments) => table::run(session, &mut sheet, arguments)?,
        InspectKind::Index(arguments) => index::run(session, &mut sheet, arguments)?,
        InspectKind::ChunkChain(arguments) => chunk_chain::run(session, &mut sheet, arguments)?,
        InspectKind::Log(arguments) => log::run(session, &mut sheet, arguments)?,
        InspectKind::LedgerMetadata(arguments) => ledger_metadata::run(&mut sheet, arguments)?,
        InspectKind::Znode(arguments) => znode::run(session, &mut sheet, arguments)?,
    }
    Ok(sheet.finish())
}

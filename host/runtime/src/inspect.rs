//! Looks at a component's bytes before anything is compiled, so that a stranger is refused with a sentence and not
//! with a link error, and costs nothing.

use wasmparser::{ComponentTypeRef, Parser, Payload};

use crate::error::{Export, RuntimeError};

/// The release of the contract that this runtime speaks.
pub const CONTRACT: &str = "0.1.0";

const PACKAGE: &str = "pravega:recovery/";
const INTERFACES: [&str; 9] =
    ["types", "storage", "containers", "controller", "coordination", "bookies", "ledgers", "logs", "report"];

/// Exports beside the world's functions that are known to be harmless: Python components have an instance `exports`
/// by which their interpreter is initialised.
const TOLERATED_EXPORTS: [&str; 1] = ["exports"];

/// Refuses what is not a component that imports only the contract and exports exactly the world; says what it imports
/// and exports.
pub(crate) fn check_component(bytes: &[u8], origin: &str) -> Result<Interface, RuntimeError> {
    check_header(bytes, origin)?;
    let interface = read_interface(bytes).map_err(|problem| RuntimeError::InvalidComponent {
        origin: origin.to_owned(),
        problem: problem.to_string(),
    })?;
    interface.imports.iter().try_for_each(|import| check_import(import, origin))?;
    check_exports(&interface.exports, origin)?;
    Ok(interface)
}

fn check_header(bytes: &[u8], origin: &str) -> Result<(), RuntimeError> {
    let found = match bytes {
        [] => "it is empty",
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "it is a core WebAssembly module, which still has to be made a component (`wasm-tools component new`)"
        }
        [0, b'a', b's', b'm', ..] => "it is WebAssembly of a version that is not known here",
        [b'(', ..] => "it is WebAssembly text, which has to be assembled first",
        _ => "it is not WebAssembly at all",
    };
    Err(RuntimeError::NotAComponent { origin: origin.to_owned(), found: found.to_owned(), contract: CONTRACT })
}

/// What a component needs and offers, by the names in its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// What has to be provided; types are not, they only name what the other imports are made of.
    pub imports: Vec<String>,
    /// Functions of the world, and what else it shows.
    pub exports: Vec<String>,
}

/// Imports and exports of the outermost component.
fn read_interface(bytes: &[u8]) -> wasmparser::Result<Interface> {
    let mut interface = Interface::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import?;
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        interface.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export?;
                    if export.kind != wasmparser::ComponentExternalKind::Type {
                        interface.exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(interface)
}

fn check_import(import: &str, origin: &str) -> Result<(), RuntimeError> {
    let origin = origin.to_owned();
    let foreign =
        |advice| Err(RuntimeError::ForeignImport { origin: origin.clone(), import: import.to_owned(), advice });
    let Some(name) = import.strip_prefix(PACKAGE) else {
        return foreign(if import.starts_with("wasi:") {
            "build it without WASI (for Rust the target wasm32-unknown-unknown, for Python `componentize-py -s`, for \
             JavaScript `componentize-js` with all features disabled)"
        } else {
            "it may import interfaces of `pravega:recovery` only"
        });
    };
    match name.split_once('@') {
        Some((interface, CONTRACT)) if INTERFACES.contains(&interface) => Ok(()),
        Some((_, CONTRACT)) => foreign("this release of the contract has no such interface"),
        _ => Err(RuntimeError::OtherContract { origin, import: import.to_owned(), contract: CONTRACT }),
    }
}

fn check_exports(exports: &[String], origin: &str) -> Result<(), RuntimeError> {
    let wrong = |problem| Err(RuntimeError::WrongExports { origin: origin.to_owned(), problem });
    if let Some(missing) = Export::ALL.iter().find(|export| !exports.iter().any(|name| name == export.name())) {
        return wrong(format!(
            "it does not export `{missing}`; the world needs `describe`, `prepare`, `run` and `finish`"
        ));
    }
    let known = |name: &str| Export::ALL.iter().any(|e| e.name() == name) || TOLERATED_EXPORTS.contains(&name);
    match exports.iter().find(|name| !known(name)) {
        Some(extra) => wrong(format!("it exports `{extra}`, which the world does not have")),
        None => Ok(()),
    }
}

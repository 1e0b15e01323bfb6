//! Finds the procedures that are embedded in the binary. They are built by `cargo xtask setup`, never here: a build
//! script that builds for another target would surprise everybody who builds offline or in a sandbox.

use std::path::{Path, PathBuf};

/// Environment variables with the paths of the components, for the compiler, and their files; set from outside, they replace
/// the components.
const COMPONENTS: [(&str, &str); 4] = [
    ("DR_PROCEDURE_TOTAL_LOSS", "total-loss.wasm"),
    ("DR_PROCEDURE_ZOOKEEPER_LOSS", "zookeeper-loss.wasm"),
    ("DR_PROCEDURE_PARTIAL_LOSS", "partial-loss.wasm"),
    ("DR_PROCEDURE_CONTROLLER", "controller.wasm"),
];

fn main() -> Result<(), String> {
    COMPONENTS.iter().try_for_each(|(variable, file)| find(variable, file))
}

fn find(variable: &str, file: &str) -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={variable}");
    // Asked for at run time: this script is not compiled again when the checkout was moved together with its target directory.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?;
    let built = Path::new(&package).join("../../target/guests").join(file);
    let component = std::env::var_os(variable).map_or(built, PathBuf::from);
    println!("cargo::rerun-if-changed={}", component.display());
    let component = component.canonicalize().map_err(|error| {
        format!("{}: {error}; the procedures are not built yet, run `cargo xtask setup`", component.display())
    })?;
    println!("cargo::rustc-env={variable}={}", component.display());
    Ok(())
}

//! Finds the procedures that are embedded in the binary. They are built by `cargo xtask setup`, never here: a build
//! script that builds for another target would surprise everybody who builds offline or in a sandbox.

use std::path::{Path, PathBuf};

/// Environment variable with the path of the component, for the compiler; set from outside, it replaces the component.
const TOTAL_LOSS: &str = "DR_PROCEDURE_TOTAL_LOSS";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={TOTAL_LOSS}");
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests/total-loss.wasm");
    let component = std::env::var_os(TOTAL_LOSS).map_or(built, PathBuf::from);
    println!("cargo::rerun-if-changed={}", component.display());
    let component = component.canonicalize().map_err(|error| {
        format!("{}: {error}; the procedures are not built yet, run `cargo xtask setup`", component.display())
    })?;
    println!("cargo::rustc-env={TOTAL_LOSS}={}", component.display());
    Ok(())
}

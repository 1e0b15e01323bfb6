//! `cargo xtask guests`: builds the workspace `scripts/` to components, `target/guests/<name>.wasm`; with `--examples` those of
//! `guest-examples/` as well; with `--keep` the built-in procedures become test data for later hosts.
//!
//! Guests are built here and nowhere else: the host's build scripts only look for the result. The same source gives the
//! same bytes wherever it is built, so paths of this machine are kept out of the components.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::TaskError;
use crate::setup::{TARGET, Toolchain, find_toolchain};
use crate::{examples, process};

/// The version of the contract that the guests are compiled for.
const CONTRACT: &str = "0.1.0";

/// What of them is kept: the procedures that are built into `dr`.
const KEPT: [&str; 4] = ["total-loss", "zookeeper-loss", "partial-loss", "controller"];

/// First bytes of every component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Builds all guests with the toolchain that `setup` provided.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (with_examples, keeping) = match words[..] {
        [] => (false, false),
        ["--examples"] => (true, false),
        ["--keep"] => (false, true),
        _ => return Err(TaskError::Other("usage: cargo xtask guests [--examples | --keep]".to_owned())),
    };
    let missing = || TaskError::Other(format!("there is no {TARGET} yet: run `cargo xtask setup` once"));
    let toolchain = find_toolchain(root)?.ok_or_else(missing)?;
    build(root, &toolchain)?;
    if with_examples {
        examples::build(root, &toolchain)?;
    }
    if keeping {
        keep(root)?;
    }
    Ok(())
}

/// Puts what was compiled for the contract where later hosts are tested with it; see docs/design/012-contract-growth.md. Of a
/// version that is released nothing is ever replaced.
fn keep(root: &Path) -> Result<(), TaskError> {
    let released = fs::read_to_string(root.join("wit/RELEASED")).unwrap_or_default();
    if released.lines().any(|line| line.ends_with(&format!(" {CONTRACT}/recovery.wit"))) {
        return Err(TaskError::Other(format!("the contract {CONTRACT} is released: its guests stay what they are")));
    }
    let place = root.join("tests/data/compiled-guests").join(CONTRACT);
    fs::create_dir_all(&place).map_err(TaskError::at(&place))?;
    for name in KEPT {
        let built = root.join(format!("target/guests/{name}.wasm"));
        let kept = place.join(format!("{name}.wasm.gz"));
        let file = fs::File::create(&kept).map_err(TaskError::at(&kept))?;
        process::run(Command::new("gzip").args(["-9", "--no-name", "--stdout"]).arg(&built).stdout(file))?;
        println!("{} is kept", kept.strip_prefix(root).unwrap_or(&kept).display());
    }
    Ok(())
}

/// Builds all guests of `scripts/` with this toolchain.
pub(crate) fn build(root: &Path, toolchain: &Toolchain) -> Result<(), TaskError> {
    build_workspace(root, toolchain, Path::new("scripts"))
}

/// Builds the guests of a workspace.
pub(crate) fn build_workspace(root: &Path, toolchain: &Toolchain, workspace: &Path) -> Result<(), TaskError> {
    let messages = process::output(&mut build_command(root, toolchain, workspace)?)?;
    let guests: Vec<PathBuf> = messages.lines().filter_map(component_of).collect();
    if guests.is_empty() {
        return Err(TaskError::Other(format!("the workspace {} built no guest", workspace.display())));
    }
    let place = root.join("target/guests");
    fs::create_dir_all(&place).map_err(TaskError::at(&place))?;
    guests.iter().try_for_each(|guest| install(guest, &place))
}

/// Where cargo keeps what it builds of the guests; apart from the host's, since nothing of it can be shared.
pub(crate) fn build_directory(root: &Path) -> PathBuf {
    root.join("target/guests-build")
}

fn build_command(root: &Path, toolchain: &Toolchain, workspace: &Path) -> Result<Command, TaskError> {
    let mut command = Command::new(toolchain.cargo());
    command.current_dir(root.join(workspace));
    command.args(["build", "--locked", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    command.arg("--target-dir").arg(build_directory(root));
    command.env("RUSTC", toolchain.rustc());
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", toolchain.component_linker()?);
    command.env("CARGO_ENCODED_RUSTFLAGS", remapped_paths(root, toolchain));
    // What the outer cargo or the user set for the host is not meant for guests.
    for variable in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command.stdout(Stdio::piped());
    Ok(command)
}

/// Flags that replace the paths of this machine. Later ones win, so the more special ones come last.
fn remapped_paths(root: &Path, toolchain: &Toolchain) -> OsString {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let paths = [(cargo_home.as_path(), "/cargo"), (toolchain.sysroot.as_path(), "/rust"), (root, "/dr")];
    let mut flags = OsString::new();
    for (path, name) in paths {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(name);
    }
    flags
}

/// The component that a message of cargo announces, if it announces one.
fn component_of(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

/// Puts a component in its place, under the name of its crate. One that did not change is left alone, so that what
/// embeds it is not built again.
fn install(built: &Path, place: &Path) -> Result<(), TaskError> {
    let bytes = fs::read(built).map_err(TaskError::at(built))?;
    if !bytes.starts_with(COMPONENT) {
        return Err(TaskError::Other(format!(
            "{} is not a component; was it linked by another linker?",
            built.display()
        )));
    }
    let name = built.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
    let path = place.join(format!("{name}.wasm"));
    let changed = fs::read(&path).ok().as_deref() != Some(&bytes);
    if changed {
        let partial = place.join(format!("{name}.wasm.partial"));
        fs::write(&partial, &bytes).map_err(TaskError::at(&partial))?;
        fs::rename(&partial, &path).map_err(TaskError::at(&path))?;
    }
    println!(
        "{:<32} {:>8} bytes{}",
        format!("target/guests/{name}.wasm"),
        bytes.len(),
        if changed { "" } else { ", as before" }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_about_components_name_one() {
        let artifact = r#"{"reason":"compiler-artifact","filenames":["/t/x.rlib","/t/total_loss.wasm"]}"#;
        assert_eq!(component_of(artifact), Some(PathBuf::from("/t/total_loss.wasm")));
        assert_eq!(component_of(r#"{"reason":"compiler-artifact","filenames":["/t/x.rlib"]}"#), None);
        assert_eq!(component_of(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(component_of("not json"), None);
    }
}

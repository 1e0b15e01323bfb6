//! `cargo xtask setup`: makes a machine ready that has only rustup's host target.
//!
//! The one thing that can be missing is a standard library for `wasm32-unknown-unknown`. Tried in this order: it is
//! installed; a private toolchain that an earlier setup built; rustup can install it; its source can be had, from
//! rustup or from the distribution, and a private toolchain is built with it. The user's own toolchain is never touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::TaskError;
use crate::{guests, process};

/// The target of all guests.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A compiler that has a standard library for the guests' target.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    pub(crate) sysroot: PathBuf,
}

impl Toolchain {
    pub(crate) fn cargo(&self) -> PathBuf {
        self.sysroot.join("bin/cargo")
    }

    pub(crate) fn rustc(&self) -> PathBuf {
        self.sysroot.join("bin/rustc")
    }

    /// The linker that makes components. It comes with every toolchain, among the files of its host.
    pub(crate) fn component_linker(&self) -> Result<PathBuf, TaskError> {
        let host = host(&self.rustc())?;
        let linker = self.sysroot.join("lib/rustlib").join(host).join("bin/wasm-component-ld");
        if linker.is_file() {
            return Ok(linker);
        }
        Err(TaskError::Other(format!(
            "{} does not exist; this toolchain was not made by rustup. Install Rust {} with rustup and try again",
            linker.display(),
            env!("CARGO_PKG_RUST_VERSION")
        )))
    }

    fn has_target(&self) -> bool {
        let libraries = self.sysroot.join("lib/rustlib").join(TARGET).join("lib");
        file_names(&libraries).iter().any(|name| name.starts_with("libstd-") && name.ends_with(".rlib"))
    }
}

/// Makes the toolchain available and builds the guests with it.
pub(crate) fn run(root: &Path) -> Result<Toolchain, TaskError> {
    let toolchain = match find_toolchain(root)? {
        Some(toolchain) => {
            println!("{TARGET}: found in {}", toolchain.sysroot.display());
            toolchain
        }
        None => provide_toolchain(root)?,
    };
    guests::build(root, &toolchain)?;
    Ok(toolchain)
}

/// The toolchain for guests, if there is one: the user's own, or the private one of an earlier setup.
pub(crate) fn find_toolchain(root: &Path) -> Result<Option<Toolchain>, TaskError> {
    let own = own_toolchain(root)?;
    if own.has_target() {
        return Ok(Some(own));
    }
    let private = Toolchain { sysroot: private_sysroot(root) };
    // Libraries of another compiler release are of no use to this one, nor it to them.
    let fits = private.has_target() && version(&private.rustc())? == version(&own.rustc())?;
    Ok(fits.then_some(private))
}

fn own_toolchain(root: &Path) -> Result<Toolchain, TaskError> {
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root))?;
    Ok(Toolchain { sysroot: PathBuf::from(sysroot) })
}

fn private_sysroot(root: &Path) -> PathBuf {
    root.join("target/wasm-toolchain")
}

fn provide_toolchain(root: &Path) -> Result<Toolchain, TaskError> {
    println!("{TARGET}: not installed, asking rustup for it");
    let added = process::run(Command::new("rustup").args(["target", "add", TARGET]).current_dir(root));
    let own = own_toolchain(root)?;
    if added.is_ok() && own.has_target() {
        return Ok(own);
    }
    println!("{TARGET}: rustup cannot provide it, building its standard library from source");
    build_private_toolchain(root, &own).map_err(|error| {
        TaskError::Other(format!(
            "no way to a standard library for {TARGET} worked; the last one failed with: {error}\n\
             Do one of these by hand and try again:\n  \
             - `rustup target add {TARGET}` on a machine that reaches its servers, and copy lib/rustlib/{TARGET} of its \
             toolchain (the same release) into {}\n  \
             - provide the source of the standard library of exactly this release as \
             {}/lib/rustlib/src/rust",
            own.sysroot.join("lib/rustlib").display(),
            own.sysroot.display(),
        ))
    })
}

/// A copy of the user's toolchain (hard links where possible), with the source of the standard library and, built from
/// it once, the guests' target.
fn build_private_toolchain(root: &Path, own: &Toolchain) -> Result<Toolchain, TaskError> {
    let source = standard_library_source(root, own)?;
    let private = Toolchain { sysroot: private_sysroot(root) };
    remove_directory(&private.sysroot)?;
    copy_toolchain(own, &private)?;
    let place = private.sysroot.join("lib/rustlib/src");
    create_directory(&place)?;
    remove_directory(&place.join("rust"))?;
    std::os::unix::fs::symlink(&source, place.join("rust")).map_err(TaskError::at(&place))?;
    build_standard_library(root, &private)?;
    // Guests built against an older library would be linked with it again: cargo does not see that it changed.
    remove_directory(&guests::build_directory(root))?;
    Ok(private)
}

/// Where the source of this release's standard library is, after fetching it if need be.
fn standard_library_source(root: &Path, own: &Toolchain) -> Result<PathBuf, TaskError> {
    let installed = own.sysroot.join("lib/rustlib/src/rust");
    if installed.join("library/std").is_dir() {
        return Ok(installed);
    }
    let added = process::run(Command::new("rustup").args(["component", "add", "rust-src"]).current_dir(root));
    if added.is_ok() && installed.join("library/std").is_dir() {
        return Ok(installed);
    }
    distribution_source(root, &version(&own.rustc())?)
}

/// Takes the package `rust-src` of exactly this release from the distribution's archive, without touching the system:
/// package lists and downloads stay below `target/`.
fn distribution_source(root: &Path, release: &str) -> Result<PathBuf, TaskError> {
    let place = root.join("target/rust-src");
    let unpacked = place.join(format!("usr/src/rustc-{release}"));
    if unpacked.join("library/std").is_dir() {
        return Ok(unpacked);
    }
    for directory in ["lists/partial", "cache/archives/partial"] {
        create_directory(&place.join(directory))?;
    }
    let sources = place.join("sources.list");
    let archive = distribution_archive()?;
    fs::write(&sources, format!("deb {archive} trixie-backports main\n")).map_err(TaskError::at(&sources))?;
    let apt = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(&place);
        command.arg("-o").arg(format!("Dir::Etc::sourcelist={}", sources.display()));
        command.args(["-o", "Dir::Etc::sourceparts=/dev/null"]);
        command.arg("-o").arg(format!("Dir::State::Lists={}", place.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", place.join("cache").display()));
        command
    };
    process::run(apt("apt-get").arg("update"))?;
    let offered = process::output(apt("apt-cache").args(["madison", "rust-src"]))?;
    let wanted = offered.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    let wanted = wanted.filter(|version| version.starts_with(&format!("{release}+"))).max();
    let wanted = wanted.ok_or_else(|| {
        TaskError::Other(format!(
            "the distribution has no package rust-src of release {release}; it offers:\n{offered}"
        ))
    })?;
    process::run(apt("apt-get").arg("download").arg(format!("rust-src={wanted}")))?;
    let packages = file_names(&place);
    let package = packages.iter().find(|name| name.starts_with("rust-src_") && name.ends_with(".deb"));
    let package = package.ok_or_else(|| TaskError::Other("apt-get downloaded no package rust-src".to_owned()))?;
    process::run(Command::new("dpkg").arg("-x").arg(place.join(package)).arg(&place))?;
    Ok(unpacked)
}

/// The archive that this system's own package manager uses.
fn distribution_archive() -> Result<String, TaskError> {
    let offered = process::output(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))?;
    let archive = offered.lines().find(|uri| uri.contains("debian") && !uri.contains("security"));
    archive.map(str::to_owned).ok_or_else(|| TaskError::Other("apt-get names no archive of Debian".to_owned()))
}

fn copy_toolchain(from: &Toolchain, to: &Toolchain) -> Result<(), TaskError> {
    let libraries = to.sysroot.join("lib/rustlib");
    create_directory(&libraries)?;
    let host = from.sysroot.join("lib/rustlib").join(host(&from.rustc())?);
    let link = |what: &Path, into: &Path| {
        let linked = Command::new("cp").arg("-al").arg(what).arg(into).output();
        match linked {
            Ok(output) if output.status.success() => Ok(()),
            // Hard links need one file system.
            _ => process::run(Command::new("cp").arg("-a").arg(what).arg(into)),
        }
    };
    link(&from.sysroot.join("bin"), &to.sysroot)?;
    link(&host, &libraries)?;
    let shared = from.sysroot.join("lib");
    file_names(&shared)
        .iter()
        .filter(|name| name.contains(".so"))
        .try_for_each(|name| link(&shared.join(name), &to.sysroot.join("lib")))
}

/// Compiles the standard library by building an empty crate, and installs what that left.
fn build_standard_library(root: &Path, toolchain: &Toolchain) -> Result<(), TaskError> {
    let work = root.join("target/wasm-std");
    remove_directory(&work)?;
    create_directory(&work.join("src"))?;
    let manifest = "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[profile.release]\npanic = \"abort\"\n";
    fs::write(work.join("Cargo.toml"), manifest).map_err(TaskError::at(&work))?;
    fs::write(work.join("src/lib.rs"), "").map_err(TaskError::at(&work))?;
    let mut build = Command::new(toolchain.cargo());
    build.current_dir(&work).args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", TARGET]);
    build.arg("--target-dir").arg(work.join("target"));
    build.env("RUSTC", toolchain.rustc()).env("RUSTC_BOOTSTRAP", "1");
    // Guests are linked with LTO, which needs bitcode in the libraries.
    let flags = format!("-Cembed-bitcode=yes\u{1f}--remap-path-prefix={}=/rust", toolchain.sysroot.display());
    build.env("CARGO_ENCODED_RUSTFLAGS", flags);
    process::run(&mut build)?;

    let built = work.join("target").join(TARGET).join("release/deps");
    let installed = toolchain.sysroot.join("lib/rustlib").join(TARGET).join("lib");
    create_directory(&installed)?;
    for name in file_names(&built) {
        if name.ends_with(".rlib") && !name.starts_with("libseed-") {
            fs::copy(built.join(&name), installed.join(&name)).map_err(TaskError::at(&installed))?;
        }
    }
    if toolchain.has_target() { Ok(()) } else { Err(TaskError::Other("building std left no libstd".to_owned())) }
}

/// `1.95.0`, as in `rustc 1.95.0 (59807616e 2026-04-14)`.
fn version(rustc: &Path) -> Result<String, TaskError> {
    let said = process::output(Command::new(rustc).arg("--version"))?;
    let release = said.split(' ').nth(1).map(str::to_owned);
    release.ok_or_else(|| TaskError::Other(format!("`{}` says {said:?}", rustc.display())))
}

fn host(rustc: &Path) -> Result<String, TaskError> {
    let said = process::output(Command::new(rustc).arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.ok_or_else(|| TaskError::Other(format!("`{}` does not say its host", rustc.display())))
}

/// Names of the files in a directory, sorted; none if there is no such directory.
fn file_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn create_directory(path: &Path) -> Result<(), TaskError> {
    fs::create_dir_all(path).map_err(TaskError::at(path))
}

fn remove_directory(path: &Path) -> Result<(), TaskError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(TaskError::at(path)(error)),
        _ => Ok(()),
    }
}

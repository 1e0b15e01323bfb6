//! A disk that is really full: a small file system in memory, in a namespace of its own, which needs no rights that a user does
//! not have on most machines.
// Part of tests: a panic is the way to fail. What is left out is said in their output.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::dr::{self, Finished};

/// Name of the environment variable by which `cargo xtask test` says whether such a disk can be made here: `yes` or `no`.
pub const VARIABLE: &str = "DR_TEST_SMALL_DISK";

/// True if disks are to be filled. Left out only by an explicit `no`, as the tests on real servers are.
pub fn is_wanted() -> bool {
    let wanted = std::env::var(VARIABLE).as_deref() != Ok("no");
    if !wanted {
        eprintln!("LEFT OUT: this test fills a disk, which needs user namespaces ({VARIABLE}=no)");
    }
    wanted
}

/// The disk. It is seen only by what [`SmallDisk::dr`] and [`SmallDisk::shell`] run, and is gone with this value.
#[derive(Debug)]
pub struct SmallDisk {
    place: PathBuf,
    /// Lives in the namespace and keeps it.
    keeper: Child,
}

impl SmallDisk {
    /// Mounts a disk of so many MiB at an empty directory.
    ///
    /// # Panics
    /// If the system does not allow it.
    #[must_use]
    pub fn mount(place: &Path, mebibytes: u32) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let script = format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$0\" && echo mounted && exec cat");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(place);
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n", "a file system can be mounted in a user namespace");
        Self { place: place.to_owned(), keeper }
    }

    fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "--mount", "--target", &self.keeper.id().to_string()]);
        command.arg(format!("--wdns={}", self.place.parent().unwrap().display())).arg("--").arg(program);
        command
    }

    /// Runs `dr` in the directory above the disk.
    #[must_use]
    pub fn dr(&self, arguments: &[&str]) -> Finished {
        dr::run_by(self.inside(dr::binary()), arguments)
    }

    /// Runs a shell script in the directory above the disk.
    ///
    /// # Panics
    /// If it fails.
    pub fn shell(&self, script: &str) {
        let status = self.inside("sh").args(["-e", "-c", script]).stdin(Stdio::null()).status().unwrap();
        assert!(status.success(), "{script}");
    }

    /// Leaves only so much room.
    pub fn fill_up_to(&self, free_kibibytes: u32) {
        let filler = self.place.join("filler");
        let filler = filler.display();
        self.shell(&format!(
            "dd if=/dev/zero of={filler} bs=4k 2>/dev/null || true; truncate -s -{free_kibibytes}K {filler}"
        ));
    }

    /// Makes room again.
    pub fn empty(&self) {
        self.shell(&format!("rm -f {}", self.place.join("filler").display()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It ends by itself as well, as soon as nobody holds its input.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

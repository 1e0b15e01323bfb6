//! An archive of the classes that servers and programs load, which virtual machines map instead of reading and checking the jars: with it a
//! cluster starts in half the time. Without it everything works as well.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;

use crate::class_path::jars;
use crate::error::{Context, Result};
use crate::lab::JVM_FLAGS;
use crate::options::source_directory;

/// The names of the classes, which `record-classes.sh` makes.
pub(crate) fn list_file() -> PathBuf {
    source_directory().join("classes.txt.gz")
}

/// Makes the archive of this build anew. Where Java refuses, there is none.
///
/// # Errors
/// If files cannot be read or written, or Java does not start.
pub(crate) fn make(build_directory: &Path) -> Result<()> {
    let archive = archive(build_directory);
    if archive.exists() {
        fs::remove_file(&archive).context("remove the old archive of classes", &archive)?;
    }
    let (packed, list) = (list_file(), build_directory.join("classes.txt"));
    let mut names = Vec::new();
    let file = fs::File::open(&packed).context("read the list of classes", &packed)?;
    GzDecoder::new(file).read_to_end(&mut names).context("read the list of classes", &packed)?;
    fs::write(&list, names).context("write the list of classes", &list)?;
    let output = Command::new("java")
        .args(JVM_FLAGS)
        .arg("-Xshare:dump")
        .arg(format!("-XX:SharedClassListFile={}", list.display()))
        .arg(format!("-XX:SharedArchiveFile={}", archive.display()))
        .args(["-cp", &jars(build_directory)])
        .stdin(Stdio::null())
        .output()
        .context("run `java` to archive classes", &archive)?;
    if !output.status.success() && archive.exists() {
        fs::remove_file(&archive).context("remove half an archive of classes", &archive)?;
    }
    Ok(())
}

/// The flag by which a virtual machine uses the archive; none if there is none.
pub(crate) fn flag(build_directory: &Path) -> Option<String> {
    let archive = archive(build_directory);
    archive.exists().then(|| format!("-XX:SharedArchiveFile={}", archive.display()))
}

fn archive(build_directory: &Path) -> PathBuf {
    build_directory.join("classes.jsa")
}

//! Inputs of findings, kept as files `regressions/<decoder>/<hash>`.

use std::io;
use std::path::{Path, PathBuf};

/// Where the inputs are kept.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// Writes an input and returns its path. The same input gets the same name.
///
/// # Errors
/// If the file cannot be written.
pub fn keep(decoder: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = directory().join(decoder);
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{:016x}", hash(input)));
    std::fs::write(&path, input)?;
    Ok(path)
}

/// All inputs that are kept, with the names of their decoders.
///
/// # Errors
/// If they cannot be read.
pub fn all() -> io::Result<Vec<(String, PathBuf, Vec<u8>)>> {
    let mut inputs = Vec::new();
    if !directory().is_dir() {
        return Ok(inputs);
    }
    for folder in std::fs::read_dir(directory())? {
        let folder = folder?;
        for file in std::fs::read_dir(folder.path())? {
            let path = file?.path();
            let input = std::fs::read(&path)?;
            inputs.push((folder.file_name().to_string_lossy().into_owned(), path, input));
        }
    }
    Ok(inputs)
}

/// FNV-1a: only a name that does not change from one compiler to the next.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

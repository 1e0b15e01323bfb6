//! The object that is inspected: a file, a key below a root, or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};

use crate::arguments::ObjectArguments;

/// What was read.
#[derive(Debug)]
pub(super) struct Object {
    /// As it was named.
    pub(super) name: String,
    /// Its key in Tier-2, as far as its path tells; empty for standard input.
    pub(super) key: String,
    /// Content, or its beginning.
    pub(super) bytes: Vec<u8>,
    /// Bytes that were not read.
    pub(super) left_out: u64,
}

impl Object {
    /// Reads one object, at most `--max-bytes` of it.
    ///
    /// # Errors
    /// `object-unreadable`.
    pub(super) fn read(path: &Path, arguments: &ObjectArguments) -> Result<Self> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            let read = io::stdin().lock().take(arguments.max_bytes).read_to_end(&mut bytes);
            read.map_err(|error| unreadable("standard input", error))?;
            return Ok(Self { name, key: String::new(), bytes, left_out: 0 });
        }
        let place = arguments.root.as_ref().map_or_else(|| path.to_path_buf(), |root| root.join(path));
        let read = File::open(&place).and_then(|file| {
            let size = file.metadata()?.len();
            file.take(arguments.max_bytes).read_to_end(&mut bytes)?;
            Ok(size)
        });
        let size = read.map_err(|error| unreadable(&place.display().to_string(), error))?;
        let key = if arguments.root.is_some() { name.clone() } else { key_of(&place) };
        let left_out = size.saturating_sub(bytes.len() as u64);
        Ok(Self { name, key, bytes, left_out })
    }
}

fn unreadable(name: &str, error: io::Error) -> OperatorError {
    OperatorError::new(
        "object-unreadable",
        format!("{name} cannot be read"),
        "name a file that you may read, a key below --root ROOT, or - for standard input",
    )
    .because(error)
}

/// The key that the last parts of a path can be: from `_system` on, or else scope, stream and chunk.
fn key_of(path: &Path) -> String {
    let parts: Vec<String> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let from = match parts.iter().position(|part| part == "_system") {
        Some(position) => position,
        None => parts.len().saturating_sub(3),
    };
    parts.get(from..).unwrap_or_default().join("/")
}

/// The root directory, if the arguments are a directory and the name of a segment in it.
pub(super) fn root_and_segment(objects: &[PathBuf]) -> Option<(&Path, String)> {
    match objects {
        [root, segment] if root.is_dir() => Some((root, segment.to_string_lossy().into_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_paths() {
        for (path, key) in [
            ("/a/b/_system/containers/x", "_system/containers/x"),
            ("/a/b/scope/stream/0.#epoch.0.E-1-O-0.u", "scope/stream/0.#epoch.0.E-1-O-0.u"),
            ("x", "x"),
        ] {
            assert_eq!(key_of(Path::new(path)), key);
        }
    }
}

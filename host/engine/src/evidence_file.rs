//! The evidence that a plan rests on, in the plan's directory: every object with its size and with digests of what was read
//! of it, and every ZNode that was looked at. The plan holds a digest of each part of the file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::listing::Listing;
use crate::plan::{EvidenceDigest, PartDigest, hex, run_directory_error};
use crate::witness::{ReadRange, Reads, SeenZNodes};

/// Name of the file in the plan's directory.
const EVIDENCE_FILE: &str = "evidence.jsonl";

/// Offset and length that were read, and the digest of the bytes.
pub(crate) type ReadLine = (u64, u64, String);

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Line {
    /// An object.
    Object {
        /// Whose; none for one that no rule explains.
        container: Option<ContainerId>,
        /// Raw key.
        key: String,
        /// In bytes.
        size: u64,
        /// What was read of it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        read: Vec<ReadLine>,
    },
    /// A ZNode.
    Znode {
        /// Absolute path.
        path: String,
        /// Version and digest of the content; none if there was no such node.
        content: Option<String>,
    },
    /// The names of a ZNode's children.
    Children {
        /// Absolute path.
        path: String,
        /// Digest of the names; none if there was no such node.
        names: Option<String>,
    },
}

/// Writes the file and returns what a plan holds of it. The same evidence gives the same bytes.
///
/// # Errors
/// `run-directory`.
pub(crate) fn write(directory: &Path, listing: &Listing, reads: &Reads, seen: &SeenZNodes) -> Result<EvidenceDigest> {
    let path = directory.join(EVIDENCE_FILE);
    let fail = |error| run_directory_error("write", &path, error);
    let file = File::options().write(true).create_new(true).open(&path).map_err(fail)?;
    let mut writer = LineWriter { file: BufWriter::with_capacity(1 << 20, file), path: &path };
    let mut parts = Vec::new();
    for (container, objects) in listing.parts() {
        let mut part = PartWriter::new(&mut writer);
        for (key, size) in objects.by_key() {
            let read = |range: ReadRange| (range.offset, range.length, hex(&range.digest));
            let read = reads.of(key).map(read).collect();
            part.add(&Line::Object { container, key: key.to_owned(), size, read })?;
        }
        parts.push(part.digest(container));
    }
    let mut part = PartWriter::new(&mut writer);
    for (path, content) in &seen.nodes {
        part.add(&Line::Znode { path: path.clone(), content: content.clone() })?;
    }
    for (path, names) in &seen.children {
        part.add(&Line::Children { path: path.clone(), names: names.clone() })?;
    }
    let znodes = part.digest(None);
    let file = writer.file.into_inner().map_err(|error| fail(error.into_error()))?;
    file.sync_all().map_err(fail)?;
    Ok(EvidenceDigest { parts, znodes: Some(znodes), ..listing.digest() })
}

struct LineWriter<'a> {
    file: BufWriter<File>,
    path: &'a Path,
}

/// Writes the lines of one part.
struct PartWriter<'w, 'a> {
    writer: &'w mut LineWriter<'a>,
    digest: PartDigest,
    hasher: blake3::Hasher,
}

impl<'w, 'a> PartWriter<'w, 'a> {
    fn new(writer: &'w mut LineWriter<'a>) -> Self {
        Self { writer, digest: PartDigest::default(), hasher: blake3::Hasher::new() }
    }

    fn add(&mut self, line: &Line) -> Result<()> {
        let fail = |error| run_directory_error("write", self.writer.path, error);
        let mut json = serde_json::to_vec(line).map_err(|error| fail(error.into()))?;
        json.push(b'\n');
        self.hasher.update(&json);
        self.digest.count(line);
        self.writer.file.write_all(&json).map_err(fail)
    }

    fn digest(self, container: Option<ContainerId>) -> PartDigest {
        PartDigest { container, digest: self.hasher.finalize().to_hex().to_string(), ..self.digest }
    }
}

impl PartDigest {
    fn count(&mut self, line: &Line) {
        self.entries += 1;
        if let Line::Object { size, read, .. } = line {
            self.bytes += size;
            self.bytes_read += read.iter().map(|(_, length, _)| length).sum::<u64>();
        }
    }
}

/// The file, read part by part. What was handed out is the plan's own only once [`EvidenceReader::finish`] says so.
pub(crate) struct EvidenceReader<'a> {
    path: PathBuf,
    lines: BufReader<File>,
    expected: &'a EvidenceDigest,
    is_changed: bool,
}

impl<'a> EvidenceReader<'a> {
    /// Opens the file.
    ///
    /// # Errors
    /// `plan-unreadable`.
    pub(crate) fn open(directory: &Path, expected: &'a EvidenceDigest) -> Result<Self> {
        let path = directory.join(EVIDENCE_FILE);
        let file = File::open(&path).map_err(|error| not_the_plans(&path, &error.to_string()))?;
        Ok(Self { path, lines: BufReader::with_capacity(1 << 20, file), expected, is_changed: false })
    }

    /// Visits the lines of the next part, which the plan describes.
    ///
    /// # Errors
    /// `plan-unreadable`; what `visit` returns.
    pub(crate) fn part(&mut self, expected: &PartDigest, mut visit: impl FnMut(Line) -> Result<()>) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut text = Vec::new();
        for _ in 0..expected.entries {
            text.clear();
            let count = self.lines.read_until(b'\n', &mut text);
            let count = count.map_err(|error| run_directory_error("read", &self.path, error))?;
            if count == 0 {
                return Err(not_the_plans(&self.path, "it ends too early"));
            }
            hasher.update(&text);
            visit(serde_json::from_slice(&text).map_err(|error| not_the_plans(&self.path, &error.to_string()))?)?;
        }
        self.is_changed |= hasher.finalize().to_hex().as_str() != expected.digest;
        Ok(())
    }

    /// The parts of objects, in the order of the file.
    pub(crate) fn parts(&self) -> &'a [PartDigest] {
        &self.expected.parts
    }

    /// The part of ZNodes, the last one.
    pub(crate) fn znodes(&self) -> Option<&'a PartDigest> {
        self.expected.znodes.as_ref()
    }

    /// Refuses a file that is not the one that the plan was made with.
    ///
    /// # Errors
    /// `plan-unreadable`.
    pub(crate) fn finish(mut self) -> Result<()> {
        let mut rest = [0];
        let is_longer = std::io::Read::read(&mut self.lines, &mut rest).is_ok_and(|count| count > 0);
        if self.is_changed || is_longer {
            return Err(not_the_plans(&self.path, "it was edited"));
        }
        Ok(())
    }
}

fn not_the_plans(path: &Path, why: &str) -> OperatorError {
    OperatorError::new(
        "plan-unreadable",
        format!("`{}` is not the evidence that the plan was made with", path.display()),
        "restore the plan's directory from a copy, or make a new plan",
    )
    .because(why)
}

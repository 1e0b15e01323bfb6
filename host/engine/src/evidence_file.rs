//! The evidence that a plan rests on, in the plan's directory: every object with its size and with digests of what was read
//! of it, and every ZNode that was looked at. The plan holds a digest of each part of the file.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use dr_backends::tier2::Stamp;
use serde::{Deserialize, Serialize};

use crate::contract::ContainerId;
use crate::error::{OperatorError, Result};
use crate::listing::Listing;
use crate::plan::{EvidenceDigest, PartDigest, hex, run_directory_error};
use crate::pool::{map_bounded, processors};
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
    Object(ObjectLine),
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

/// The line of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectLine {
    /// Whose; none for one that no rule explains.
    pub(crate) container: Option<ContainerId>,
    /// Raw key.
    pub(crate) key: String,
    /// In bytes.
    pub(crate) size: u64,
    /// What was read of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) read: Vec<ReadLine>,
}

/// Stamps of the objects that were read, for each part of the file in its order. They are not in it: the process that made them may
/// rely on them, no other.
#[derive(Debug, Default)]
pub struct Stamps(Vec<Box<[Option<Stamp>]>>);

impl Stamps {
    /// Those of the part at this place, from 0.
    pub(crate) fn part(&self, place: usize) -> &[Option<Stamp>] {
        self.0.get(place).map(|stamps| &**stamps).unwrap_or_default()
    }
}

/// Writes the file and returns what a plan holds of it, and what it does not hold. The same evidence gives the same bytes.
///
/// # Errors
/// `run-directory`.
pub(crate) fn write(
    directory: &Path,
    listing: &Listing,
    reads: &Reads,
    seen: &SeenZNodes,
) -> Result<(EvidenceDigest, Stamps)> {
    let path = directory.join(EVIDENCE_FILE);
    let fail = |error| run_directory_error("write", &path, error);
    let mut file = File::options().write(true).create_new(true).open(&path).map_err(fail)?;
    let (mut parts, mut stamps) = (Vec::new(), Vec::new());
    let containers: Vec<_> = (0..listing.container_count()).map(Some).chain([None]).collect();
    let threads = processors();
    for group in containers.chunks(threads * PARTS_OF_A_THREAD) {
        let written =
            map_bounded(threads, group, |container| WrittenObjects::of(*container, listing, reads).map_err(fail))?;
        for WrittenObjects { part, stamps: of_part } in written {
            file.write_all(&part.lines).map_err(fail)?;
            parts.push(part.digest);
            stamps.push(of_part.into());
        }
    }
    let znodes = write_znodes(&mut file, seen).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    Ok((EvidenceDigest { parts, znodes: Some(znodes), ..listing.digest() }, Stamps(stamps)))
}

/// Parts that are made on one thread before those of all threads are written.
const PARTS_OF_A_THREAD: usize = 4;

/// Lines of ZNodes are written when so many bytes of them have come together.
const ZNODES_AT_ONCE_BYTES: usize = 1 << 20;

/// Some lines, and what they are a part of.
#[derive(Default)]
struct Part {
    lines: Vec<u8>,
    digest: PartDigest,
}

impl Part {
    fn add(&mut self, line: &Line) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.lines, line)?;
        self.lines.push(b'\n');
        self.digest.count(line);
        Ok(())
    }
}

/// The part of a container, or of objects that no rule explains.
struct WrittenObjects {
    part: Part,
    stamps: Vec<Option<Stamp>>,
}

impl WrittenObjects {
    fn of(container: Option<ContainerId>, listing: &Listing, reads: &Reads) -> io::Result<Self> {
        let (mut part, mut stamps) = (Part::default(), Vec::new());
        let reads = reads.part(container)?;
        let objects = listing.part(container);
        for (key, size) in objects.by_key() {
            let line = |range: ReadRange| (range.offset, range.length, hex(&range.digest));
            let (ranges, stamp) = reads.of(key);
            let read: Vec<ReadLine> = ranges.map(line).collect();
            if !read.is_empty() {
                stamps.push(stamp);
            }
            part.add(&Line::Object(ObjectLine { container, key: key.to_owned(), size, read }))?;
        }
        part.digest.container = container;
        part.digest.digest = blake3::hash(&part.lines).to_hex().to_string();
        Ok(Self { part, stamps })
    }
}

fn write_znodes(file: &mut File, seen: &SeenZNodes) -> io::Result<PartDigest> {
    let nodes = seen.nodes.iter().map(|(path, content)| Line::Znode { path: path.clone(), content: content.clone() });
    let children =
        seen.children.iter().map(|(path, names)| Line::Children { path: path.clone(), names: names.clone() });
    let (mut part, mut hasher) = (Part::default(), blake3::Hasher::new());
    let mut write = |lines: &mut Vec<u8>| {
        hasher.update(lines);
        file.write_all(lines)?;
        lines.clear();
        io::Result::Ok(())
    };
    for line in nodes.chain(children) {
        part.add(&line)?;
        if part.lines.len() >= ZNODES_AT_ONCE_BYTES {
            write(&mut part.lines)?;
        }
    }
    write(&mut part.lines)?;
    Ok(PartDigest { digest: hasher.finalize().to_hex().to_string(), ..part.digest })
}

impl PartDigest {
    fn count(&mut self, line: &Line) {
        self.entries += 1;
        if let Line::Object(ObjectLine { size, read, .. }) = line {
            self.bytes += size;
            self.bytes_read += read.iter().map(|(_, length, _)| length).sum::<u64>();
        }
    }
}

/// The file, read part by part. What was handed out of ZNodes is the plan's own only once [`EvidenceReader::finish`] says so.
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

    /// The lines of the next part, one of objects, which the plan describes.
    ///
    /// # Errors
    /// `plan-unreadable`.
    pub(crate) fn objects(&mut self, expected: &'a PartDigest) -> Result<ObjectLines<'a>> {
        let mut text = Vec::new();
        for _ in 0..expected.entries {
            self.read_line(&mut text)?;
        }
        Ok(ObjectLines { path: self.path.clone(), text, expected })
    }

    /// Visits the lines of the next part, which the plan describes.
    ///
    /// # Errors
    /// `plan-unreadable`; what `visit` returns.
    pub(crate) fn visit(&mut self, expected: &PartDigest, mut visit: impl FnMut(Line) -> Result<()>) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut text = Vec::new();
        for _ in 0..expected.entries {
            text.clear();
            self.read_line(&mut text)?;
            hasher.update(&text);
            visit(serde_json::from_slice(&text).map_err(|error| not_the_plans(&self.path, &error.to_string()))?)?;
        }
        self.is_changed |= hasher.finalize().to_hex().as_str() != expected.digest;
        Ok(())
    }

    /// Adds the next line to `text`.
    fn read_line(&mut self, text: &mut Vec<u8>) -> Result<()> {
        let count = self.lines.read_until(b'\n', text);
        match count.map_err(|error| run_directory_error("read", &self.path, error))? {
            0 => Err(not_the_plans(&self.path, "it ends too early")),
            _ => Ok(()),
        }
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
        let is_longer = io::Read::read(&mut self.lines, &mut rest).is_ok_and(|count| count > 0);
        if self.is_changed || is_longer { Err(edited(&self.path)) } else { Ok(()) }
    }
}

/// The lines of some objects.
pub(crate) struct ObjectLines<'a> {
    path: PathBuf,
    text: Vec<u8>,
    expected: &'a PartDigest,
}

impl ObjectLines<'_> {
    /// How many, and whose.
    pub(crate) fn part(&self) -> &PartDigest {
        self.expected
    }

    /// Reads them, if they are those that the plan was made with.
    ///
    /// # Errors
    /// `plan-unreadable`.
    pub(crate) fn read(&self) -> Result<impl Iterator<Item = Result<ObjectLine>>> {
        if blake3::hash(&self.text).to_hex().as_str() != self.expected.digest {
            return Err(edited(&self.path));
        }
        let read =
            |line: &[u8]| serde_json::from_slice(line).map_err(|error| not_the_plans(&self.path, &error.to_string()));
        Ok(self.text.split_inclusive(|&byte| byte == b'\n').map(read))
    }
}

fn edited(path: &Path) -> OperatorError {
    not_the_plans(path, "it was edited")
}

fn not_the_plans(path: &Path, why: &str) -> OperatorError {
    OperatorError::new(
        "plan-unreadable",
        format!("`{}` is not the evidence that the plan was made with", path.display()),
        "restore the plan's directory from a copy, or make a new plan",
    )
    .because(why)
}

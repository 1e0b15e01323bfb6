//! The file of a survey.
//!
//! ```text
//! file    := "DRBOOKIE" · u32 version · entry* · header (JSON) · u64 position of the header
//!            · BLAKE3 of the entries (32 bytes) · BLAKE3 of header, position and the digest before it (32 bytes)
//! ```
//! The header stands behind the entries because it counts them. Entries are sorted by ledger, entry and place; numbers are
//! written in 7 bits a byte, lowest first, those that rise as differences.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use dr_backends::bookie_disk::EntryPlace;
use dr_formats::ledger_entry::DigestType;

use super::{BookieIdentity, EntrySummary, FrameSummary, SURVEY_VERSION, SurveyHeader, entry_length};
use crate::error::{OperatorError, Result};

const MAGIC: [u8; 8] = *b"DRBOOKIE";
const DIGEST_BYTES: usize = 32;
/// Magic and version.
const PREFIX_BYTES: u64 = 12;
/// Position of the header and two digests.
const TRAILER_BYTES: u64 = 8 + 2 * DIGEST_BYTES as u64;
/// Longest header that is read: some 10 million ledgers.
const HEADER_MAX_BYTES: u64 = 1 << 30;
/// Most containers that one frame can name.
const CONTAINERS_MAX: u64 = 1 << 16;

/// Bits of the first byte of an entry.
mod flag {
    pub(super) const FRAME: u8 = 1;
    pub(super) const BEGINS_INSIDE: u8 = 2;
    pub(super) const ENDS_INSIDE: u8 = 4;
    pub(super) const NUMBERED: u8 = 8;
    /// Two bits above: the digest.
    pub(super) const DIGEST_SHIFT: u8 = 4;
}

/// Writes entries in their order.
#[derive(Debug)]
pub(super) struct EntryWriter<W> {
    output: W,
    encoded: Vec<u8>,
    last: (i64, i64),
}

impl<W: Write> EntryWriter<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, encoded: Vec::new(), last: (0, 0) }
    }

    /// Writes an entry, which is not smaller than the one before.
    pub(super) fn write(&mut self, entry: &EntrySummary) -> io::Result<()> {
        self.encoded.clear();
        encode(entry, self.last, &mut self.encoded);
        self.last = (entry.ledger_id, entry.entry_id);
        self.output.write_all(&self.encoded)
    }

    pub(super) fn into_inner(self) -> W {
        self.output
    }
}

fn encode(entry: &EntrySummary, last: (i64, i64), output: &mut Vec<u8>) {
    let frame = entry.frame.as_ref();
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let numbers = frame.and_then(|frame| frame.first_sequence_number.zip(frame.last_sequence_number));
    output.push(
        bit(frame.is_some(), flag::FRAME)
            | bit(frame.is_some_and(|frame| frame.begins_inside_record), flag::BEGINS_INSIDE)
            | bit(frame.is_some_and(|frame| frame.ends_inside_record), flag::ENDS_INSIDE)
            | bit(numbers.is_some(), flag::NUMBERED)
            | (entry.digest_type as u8 - 1) << flag::DIGEST_SHIFT,
    );
    put_difference(output, entry.ledger_id, last.0);
    put_difference(output, entry.entry_id, if entry.ledger_id == last.0 { last.1 } else { 0 });
    put_difference(output, entry.entry_id, entry.last_add_confirmed);
    put(output, entry.length as u64);
    put(output, u64::from(entry.payload_length));
    output.extend_from_slice(&entry.payload_checksum.to_le_bytes());
    put(output, u64::from(entry.place.file));
    put(output, entry.place.offset);
    put(output, u64::from(entry.copies));
    let Some(frame) = frame else { return };
    for count in [frame.records_begun, frame.unnumbered_records, frame.metadata_checkpoints] {
        put(output, u64::from(count));
    }
    if let Some((first, last)) = numbers {
        put_difference(output, first, 0);
        put_difference(output, last, first);
    }
    put(output, frame.container_ids.len() as u64);
    frame.container_ids.iter().for_each(|container| put(output, u64::from(*container)));
}

fn put(output: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        output.push(number as u8 | 0x80);
        number >>= 7;
    }
    output.push(number as u8);
}

/// The difference, its sign in the lowest bit.
fn put_difference(output: &mut Vec<u8>, number: i64, base: i64) {
    let difference = number.wrapping_sub(base);
    put(output, (difference << 1 ^ difference >> 63) as u64);
}

/// Reads entries in their order.
#[derive(Debug)]
pub(super) struct EntryReader<R> {
    input: R,
    last: (i64, i64),
}

impl<R: Read> EntryReader<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, last: (0, 0) }
    }

    /// The next entry; none at the end.
    pub(super) fn read(&mut self) -> io::Result<Option<EntrySummary>> {
        let mut first = [0];
        if self.input.read(&mut first)? == 0 {
            return Ok(None);
        }
        let entry = self.decode(first[0])?;
        self.last = (entry.ledger_id, entry.entry_id);
        Ok(Some(entry))
    }

    fn decode(&mut self, flags: u8) -> io::Result<EntrySummary> {
        let digest = usize::from(flags >> flag::DIGEST_SHIFT & 3);
        let digests = [DigestType::Crc32, DigestType::Hmac, DigestType::Crc32c, DigestType::Dummy];
        let digest_type = digests.get(digest).copied().ok_or_else(damaged)?;
        let ledger_id = self.difference(self.last.0)?;
        let entry_id = self.difference(if ledger_id == self.last.0 { self.last.1 } else { 0 })?;
        let behind = self.difference(0)?;
        let length = self.number()? as i64;
        let payload_length = self.small()?;
        let mut checksum = [0; 4];
        self.input.read_exact(&mut checksum)?;
        let (file, offset, copies) = (self.small()?, self.number()?, self.small()?);
        let frame = if flags & flag::FRAME != 0 { Some(self.frame(flags)?) } else { None };
        let place = EntryPlace { file, offset, length: entry_length(digest_type, payload_length) };
        Ok(EntrySummary {
            ledger_id,
            entry_id,
            last_add_confirmed: entry_id.wrapping_sub(behind),
            length,
            payload_length,
            payload_checksum: u32::from_le_bytes(checksum),
            digest_type,
            place,
            copies,
            frame,
        })
    }

    fn frame(&mut self, flags: u8) -> io::Result<FrameSummary> {
        let mut frame = FrameSummary {
            begins_inside_record: flags & flag::BEGINS_INSIDE != 0,
            ends_inside_record: flags & flag::ENDS_INSIDE != 0,
            records_begun: self.small()?,
            unnumbered_records: self.small()?,
            metadata_checkpoints: self.small()?,
            ..FrameSummary::default()
        };
        if flags & flag::NUMBERED != 0 {
            let first = self.difference(0)?;
            frame.first_sequence_number = Some(first);
            frame.last_sequence_number = Some(self.difference(first)?);
        }
        let containers = self.number()?;
        if containers > CONTAINERS_MAX {
            return Err(damaged());
        }
        for _ in 0..containers {
            frame.container_ids.push(self.small()?);
        }
        Ok(frame)
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let mut byte = [0];
            self.input.read_exact(&mut byte)?;
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged())
    }

    fn small(&mut self) -> io::Result<u32> {
        u32::try_from(self.number()?).map_err(|_| damaged())
    }

    fn difference(&mut self, base: i64) -> io::Result<i64> {
        let number = self.number()?;
        Ok(base.wrapping_add((number >> 1) as i64 ^ -((number & 1) as i64)))
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}

/// Passes bytes on and digests them.
#[derive(Debug)]
struct Digesting<T> {
    inner: T,
    digest: blake3::Hasher,
}

impl<T> Digesting<T> {
    fn new(inner: T) -> Self {
        Self { inner, digest: blake3::Hasher::new() }
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A survey file that is being written. It has its name only when it is whole.
#[derive(Debug)]
pub(super) struct SurveyWriter {
    path: PathBuf,
    entries: EntryWriter<BufWriter<Digesting<tempfile::NamedTempFile>>>,
}

impl SurveyWriter {
    /// A new file beside the one that it will be.
    pub(super) fn create(path: &Path) -> Result<Self> {
        refuse_existing(path)?;
        let open = || -> io::Result<tempfile::NamedTempFile> {
            let mut file = tempfile::Builder::new().prefix(".survey-").tempfile_in(directory_of(path))?;
            file.write_all(&MAGIC)?;
            file.write_all(&SURVEY_VERSION.to_be_bytes())?;
            Ok(file)
        };
        let file = open().map_err(|error| unwritable(path, error))?;
        let output = BufWriter::with_capacity(1 << 20, Digesting::new(file));
        Ok(Self { path: path.to_path_buf(), entries: EntryWriter::new(output) })
    }

    pub(super) fn write(&mut self, entry: &EntrySummary) -> Result<()> {
        self.entries.write(entry).map_err(|error| unwritable(&self.path, error))
    }

    /// Writes the header and gives the file its name, which nothing may have got meanwhile.
    pub(super) fn finish(self, header: &SurveyHeader) -> Result<()> {
        let path = self.path;
        let write = || -> io::Result<tempfile::NamedTempFile> {
            let Digesting { inner: mut file, digest } =
                self.entries.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
            let position = file.as_file_mut().stream_position()?;
            let mut tail = serde_json::to_vec(header)?;
            tail.extend_from_slice(&position.to_be_bytes());
            tail.extend_from_slice(digest.finalize().as_bytes());
            let digest = blake3::hash(&tail);
            tail.extend_from_slice(digest.as_bytes());
            file.write_all(&tail)?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = write().map_err(|error| unwritable(&path, error))?;
        match file.persist_noclobber(&path) {
            Ok(_) => File::open(directory_of(&path))
                .and_then(|directory| directory.sync_all())
                .map_err(|error| unwritable(&path, error)),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => refuse_existing(&path),
            Err(error) => Err(unwritable(&path, error.error)),
        }
    }
}

/// Refuses a path at which there is something.
pub(super) fn refuse_existing(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(OperatorError::new(
        "survey-exists",
        format!("`{}` exists and is not overwritten", path.display()),
        "name another file, or remove that one",
    ))
}

/// The directory that a file lies in.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(super) fn unwritable(path: &Path, error: io::Error) -> OperatorError {
    let what = format!("cannot write the survey `{}`", path.display());
    OperatorError::new("survey-unwritable", what, "make room or choose another directory, then run the command again")
        .because(error)
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> OperatorError {
    OperatorError::new(
        "survey-unreadable",
        format!("cannot read the survey `{}`", path.display()),
        "name a file that `dr survey-bookie` of this version wrote, or copy it again from where it was written",
    )
    .because(why)
}

fn absent(path: &Path) -> OperatorError {
    OperatorError::new(
        "survey-unreadable",
        format!("there is no survey `{}`", path.display()),
        "correct the path, or carry the file there that `dr survey-bookie DIRECTORIES --output FILE` wrote beside the bookie's disks",
    )
}

/// A survey file, opened: the header, then the entries one after the other.
#[derive(Debug)]
pub struct BookieSurvey {
    path: PathBuf,
    header: SurveyHeader,
    entries: EntryReader<BufReader<Digesting<io::Take<File>>>>,
    expected_digest: [u8; DIGEST_BYTES],
    last: Option<(i64, i64, EntryPlace)>,
}

impl BookieSurvey {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// `survey-unreadable` if it is not there, no survey, of another version, cut or edited.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error: io::Error| unreadable(path, error);
        let metadata = path.metadata().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => absent(path),
            _ => fail(error),
        })?;
        // A pipe would wait for somebody to write to it.
        if !metadata.is_file() {
            return Err(unreadable(path, "it is no file"));
        }
        let mut file = File::open(path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let mut prefix = [0; PREFIX_BYTES as usize];
        file.read_exact(&mut prefix).map_err(|_| unreadable(path, "it is no survey of a bookie"))?;
        let (magic, version) = prefix.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(unreadable(path, "it is no survey of a bookie"));
        }
        if version != SURVEY_VERSION.to_be_bytes() {
            return Err(unreadable(path, format!("it is of a version of the format other than {SURVEY_VERSION}")));
        }
        let (header, header_position, expected_digest) = read_header(&file, length).map_err(fail)?;
        file.seek(SeekFrom::Start(PREFIX_BYTES)).map_err(fail)?;
        let input = Digesting::new(file.take(header_position - PREFIX_BYTES));
        let entries = EntryReader::new(BufReader::with_capacity(1 << 18, input));
        Ok(Self { path: path.to_path_buf(), header, entries, expected_digest, last: None })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of the bookie as a whole.
    #[must_use]
    pub const fn header(&self) -> &SurveyHeader {
        &self.header
    }

    /// Whose survey it is.
    #[must_use]
    pub fn identity(&self) -> BookieIdentity {
        BookieIdentity {
            origin: self.path.clone(),
            bookie_id: self.header.bookie_id.clone(),
            instance_id: self.header.instance_id.clone(),
        }
    }

    /// The next entry in the order of ledger, entry and place; none behind the last. Of several contents of one entry the
    /// last is the newest.
    ///
    /// # Errors
    /// `survey-unreadable` if the file is damaged, which may show only at its end.
    pub fn next_entry(&mut self) -> Result<Option<EntrySummary>> {
        let entry = self.entries.read().map_err(|error| unreadable(&self.path, error))?;
        match &entry {
            Some(entry) if self.last.is_some_and(|last| last >= entry.key()) => {
                return Err(unreadable(&self.path, damaged()));
            }
            Some(entry) => self.last = Some(entry.key()),
            None if self.entries.input.get_ref().digest.finalize() != self.expected_digest => {
                return Err(unreadable(&self.path, "its entries are not those that were written"));
            }
            None => {}
        }
        Ok(entry)
    }
}

/// The header, its position and the digest of the entries.
fn read_header(file: &File, length: u64) -> io::Result<(SurveyHeader, u64, [u8; DIGEST_BYTES])> {
    let trailer_position = length.checked_sub(TRAILER_BYTES).ok_or_else(damaged)?;
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.read_exact_at(&mut trailer, trailer_position)?;
    let (position, digests) = trailer.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (entries_digest, digest) = digests.split_first_chunk::<DIGEST_BYTES>().ok_or_else(damaged)?;
    let position = u64::from_be_bytes(*position);
    let header_length = trailer_position.checked_sub(position).filter(|length| *length <= HEADER_MAX_BYTES);
    let header_length = header_length.filter(|_| position >= PREFIX_BYTES).ok_or_else(damaged)?;
    let mut tail = vec![0; usize::try_from(header_length).map_err(|_| damaged())?];
    file.read_exact_at(&mut tail, position)?;
    let header = serde_json::from_slice(&tail).map_err(|_| damaged())?;
    tail.extend_from_slice(&position.to_be_bytes());
    tail.extend_from_slice(entries_digest);
    if blake3::hash(&tail) != *digest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it was cut or edited"));
    }
    Ok((header, position, *entries_digest))
}

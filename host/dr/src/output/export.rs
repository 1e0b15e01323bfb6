//! Exported events: where they go, never half written, and what is told of them.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use dr_engine::export::{KnownBy, LeftOut, SegmentReport};
use serde::Serialize;
use tempfile::{NamedTempFile, TempPath};

use super::table::{self, Align};
use super::text::{Colour, bytes, counted, grouped, shown};

/// Version of the report.
const REPORT_VERSION: u32 = 1;

/// Bytes that are gathered before the system is asked to write them.
const BUFFER_BYTES: usize = 1 << 18;

/// Ends the name of the report beside a file.
const REPORT_SUFFIX: &str = ".report.json";

/// Name of the report in a directory.
const DIRECTORY_REPORT: &str = "export.report.json";

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// All to standard output.
    StandardOutput,
    /// All into one file.
    File(PathBuf),
    /// Each segment into a file of its own.
    Directory(PathBuf),
}

impl Destination {
    /// What an argument means.
    pub(crate) fn of(argument: &Path) -> Self {
        let text = argument.to_string_lossy();
        match argument {
            _ if text == "-" => Self::StandardOutput,
            path if text.ends_with('/') || path.is_dir() => Self::Directory(path.to_path_buf()),
            path => Self::File(path.to_path_buf()),
        }
    }

    /// The file for the report; none for standard output.
    pub(crate) fn report(&self) -> Option<PathBuf> {
        match self {
            Self::StandardOutput => None,
            Self::File(file) => Some(PathBuf::from(format!("{}{REPORT_SUFFIX}", file.display()))),
            Self::Directory(directory) => Some(directory.join(DIRECTORY_REPORT)),
        }
    }
}

/// Name of a segment's file in a directory: the last part of its name, which holds no `/`.
pub(crate) fn file_name(segment: &str, extension: &str) -> String {
    format!("{}.{extension}", segment.rsplit('/').next().unwrap_or(segment))
}

/// Refuses to replace files without `force`, and links, devices and whatever else is no file in any case.
///
/// # Errors
/// `export-exists`.
pub(crate) fn refuse_existing(paths: &[PathBuf], force: bool) -> Result<()> {
    for path in paths {
        match path.symlink_metadata() {
            Ok(found) if !found.is_file() => return Err(no_file(path)),
            Ok(_) if !force => return Err(exists(path)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// A file in the making: it has its name only when it is whole.
#[derive(Debug)]
pub(crate) struct NewFile {
    writer: BufWriter<NamedTempFile>,
    path: PathBuf,
}

/// A whole file that still lacks its name. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct WholeFile {
    temporary: TempPath,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file, and makes its directory.
    ///
    /// # Errors
    /// `export-unwritable`.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As any new file, not as the secrets that temporary files usually are.
        let permissions = Permissions::from_mode(0o666);
        let file = fs::create_dir_all(directory).and_then(|()| {
            tempfile::Builder::new().prefix(".dr-export-").permissions(permissions).tempfile_in(directory)
        });
        let file = file.map_err(|error| unwritable(&path, &error))?;
        Ok(Self { writer: BufWriter::with_capacity(BUFFER_BYTES, file), path })
    }

    /// Says of which file an error speaks.
    pub(crate) fn named(&self, error: OperatorError) -> OperatorError {
        if error.code == "export-unwritable" {
            return OperatorError { what: unwritable_sentence(&self.path), ..error };
        }
        error
    }

    /// Makes its content durable.
    ///
    /// # Errors
    /// `export-unwritable`.
    pub(crate) fn finish(self) -> Result<WholeFile> {
        let Self { writer, path } = self;
        let synced = writer.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
            file.as_file().sync_all()?;
            Ok(file.into_temp_path())
        });
        match synced {
            Ok(temporary) => Ok(WholeFile { temporary, path }),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }
}

impl Write for NewFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.writer.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl WholeFile {
    /// Gives the file its name; one that exists is replaced only with `force`.
    ///
    /// # Errors
    /// `export-exists`, `export-unwritable`.
    pub(crate) fn publish(self, force: bool) -> Result<()> {
        let Self { temporary, path } = self;
        let published = if force { temporary.persist(&path) } else { temporary.persist_noclobber(&path) };
        published.map_err(|failure| match failure.error.kind() {
            io::ErrorKind::AlreadyExists => exists(&path),
            _ => unwritable(&path, &failure.error),
        })
    }
}

/// Standard output, for data alone. Unlike that of lists, a reader that goes away is an error: what it got is not whole.
pub(crate) fn standard_output() -> BufWriter<io::StdoutLock<'static>> {
    BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock())
}

/// Hands the last bytes to the reader.
///
/// # Errors
/// `export-unwritable`.
pub(crate) fn flush(output: &mut impl Write) -> Result<()> {
    output.flush().map_err(|error| unwritable(Path::new("standard output"), &error))
}

/// What was exported and what not.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    /// Version of this form.
    version: u32,
    /// As it was typed.
    selection: &'a str,
    /// `length-delimited`, `json-lines` or `bytes`.
    form: &'a str,
    /// In the order of the output.
    segments: &'a [SegmentReport],
    /// Segments that were not exported as a whole.
    left_out: &'a [LeftOut],
    warnings: &'a [String],
}

impl<'a> Report<'a> {
    /// The report of an export.
    pub(crate) fn new(
        selection: &'a str,
        form: &'a str,
        segments: &'a [SegmentReport],
        left_out: &'a [LeftOut],
        warnings: &'a [String],
    ) -> Self {
        Self { version: REPORT_VERSION, selection, form, segments, left_out, warnings }
    }

    /// True if something may be missed by whoever takes the output for the stream.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.segments.iter().any(|segment| !segment.not_exported.is_empty())
            || self.left_out.iter().any(|segment| segment.reason == "unrecorded-transaction")
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// `export-unwritable`.
    pub(crate) fn write(&self, path: PathBuf) -> Result<WholeFile> {
        let mut file = NewFile::create(path)?;
        let written = serde_json::to_writer_pretty(&mut file, self).map_err(io::Error::from);
        written.and_then(|()| file.write_all(b"\n")).map_err(|error| unwritable(&file.path, &error))?;
        file.finish()
    }

    /// For people.
    pub(crate) fn render(&self, colour: Colour) -> String {
        let (events, volume) =
            self.segments.iter().fold((0, 0), |sum, segment| (sum.0 + segment.events, sum.1 + segment.bytes));
        let what =
            if self.form == "bytes" { String::new() } else { format!("{} with ", counted(events, "event", "events")) };
        let segments = counted(self.segments.len() as u64, "segment", "segments");
        let head = format!("Exported {what}{} of {segments}", bytes(volume));
        let mut text = format!("\n{}\n", colour.green(&head));
        text.push_str(&self.exported());
        text.push_str(&self.not_exported(colour));
        text.push_str(&self.left_out(colour));
        text
    }

    fn exported(&self) -> String {
        let columns =
            [("Segment", Align::Left), ("Known by", Align::Left), ("Events", Align::Right), ("Bytes", Align::Right)];
        let row = |segment: &SegmentReport| {
            let known_by = match segment.known_by {
                KnownBy::Metadata => "metadata",
                KnownBy::Names => "object names",
            };
            vec![shown(&segment.segment), known_by.to_owned(), grouped(segment.events), grouped(segment.bytes)]
        };
        table::render(&columns, self.segments.iter().map(row))
    }

    fn not_exported(&self, colour: Colour) -> String {
        let ranges =
            || self.segments.iter().flat_map(|segment| segment.not_exported.iter().map(move |range| (segment, range)));
        if ranges().next().is_none() {
            return String::new();
        }
        let columns =
            [("Segment", Align::Left), ("From", Align::Right), ("Bytes", Align::Right), ("Reason", Align::Left)];
        let rows = ranges().map(|(segment, range)| {
            let length = grouped(range.end.saturating_sub(range.first));
            vec![shown(&segment.segment), grouped(range.first), length, range.reason.to_owned()]
        });
        format!("\n{}\n{}", colour.red("Not exported"), table::render(&columns, rows))
    }

    fn left_out(&self, colour: Colour) -> String {
        if self.left_out.is_empty() {
            return String::new();
        }
        let columns = [("Segment", Align::Left), ("Bytes", Align::Right), ("Reason", Align::Left)];
        let row =
            |left_out: &LeftOut| vec![shown(&left_out.segment), grouped(left_out.bytes), left_out.reason.to_owned()];
        let mut text = format!("\n{}\n", colour.bold("Left out as a whole"));
        text.push_str(&table::render(&columns, self.left_out.iter().map(row)));
        if self.left_out.iter().any(|segment| segment.reason.ends_with("-transaction")) {
            let _ = writeln!(text, "--transactions exports transactions that are not known to be merged.");
        }
        text
    }
}

fn exists(path: &Path) -> OperatorError {
    OperatorError::new(
        "export-exists",
        format!("{} exists already and was not overwritten", path.display()),
        "name another place with --output, or give --force",
    )
}

fn no_file(path: &Path) -> OperatorError {
    OperatorError::new(
        "export-exists",
        format!("{} is no file and was not replaced", path.display()),
        "name another place with --output; `-` is standard output",
    )
}

fn unwritable_sentence(path: &Path) -> String {
    format!("{} cannot be written", path.display())
}

fn unwritable(path: &Path, error: &io::Error) -> OperatorError {
    OperatorError::new(
        "export-unwritable",
        unwritable_sentence(path),
        "make room or name another place with --output, then run the command again; no file was left half written",
    )
    .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/events");
        let names = || fs::read_dir(directory.path().join("below")).unwrap().count();
        let mut file = NewFile::create(path.clone()).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(names(), 0);
        let whole = |content: &[u8]| {
            let mut file = NewFile::create(path.clone()).unwrap();
            file.write_all(content).unwrap();
            file.finish().unwrap()
        };
        whole(b"first").publish(false).unwrap();
        assert_eq!(whole(b"second").publish(false).unwrap_err().code, "export-exists");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        whole(b"third").publish(true).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"third".to_vec(), 1));
        assert_eq!(refuse_existing(std::slice::from_ref(&path), false).unwrap_err().code, "export-exists");
        assert!(refuse_existing(std::slice::from_ref(&path), true).is_ok());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(refuse_existing(&[link], true).unwrap_err().what.contains("is no file"));
    }

    #[test]
    fn places() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Destination::of(Path::new("-")), Destination::StandardOutput);
        assert_eq!(Destination::of(Path::new("new/")), Destination::Directory(PathBuf::from("new/")));
        assert_eq!(Destination::of(directory.path()), Destination::Directory(directory.path().to_path_buf()));
        let file = Destination::of(Path::new("a/b"));
        assert_eq!(file.report(), Some(PathBuf::from("a/b.report.json")));
        assert_eq!(file_name("a/s/0.#epoch.0", "jsonl"), "0.#epoch.0.jsonl");
    }
}

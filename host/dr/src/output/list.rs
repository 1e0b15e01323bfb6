//! Lists of segments: tables, CSV, and the files that the old recovery scripts read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use dr_engine::contract::{ContainerId, Segment};
use dr_engine::error::{OperatorError, Result};

use super::table::{self, Align};
use super::text::{Colour, counted, grouped, shown, yes};

/// Header of the files by container: that of the admin CLI's `data-recovery list-segments`.
const GROUP_FILE_HEADER: [&str; 3] = ["Sealed Status", "Length", "Segment Name"];

/// Header of the list as CSV.
const LIST_HEADER: [&str; 8] =
    ["Segment Name", "Kind", "Container", "Sealed Status", "Start Offset", "Length", "Standing", "Findings"];

/// The segments of one container as a table with a heading.
pub(crate) fn table(container: ContainerId, segments: &[Segment], colour: Colour) -> String {
    let title = format!("Container {container}: {}", counted(segments.len() as u64, "segment", "segments"));
    let heading = colour.bold(&title);
    if segments.is_empty() {
        return format!("{heading}\n\n");
    }
    let columns = [
        ("Name", Align::Left),
        ("Kind", Align::Left),
        ("Sealed", Align::Left),
        ("Start offset", Align::Right),
        ("Length", Align::Right),
        ("Remarks", Align::Left),
    ];
    let row = |segment: &Segment| {
        vec![
            shown(&segment.name),
            shown(&segment.kind),
            yes(segment.sealed).to_owned(),
            grouped(segment.start_offset),
            grouped(segment.length),
            shown(&remarks(segment)),
        ]
    };
    format!("{heading}\n{}\n", table::render(&columns, segments.iter().map(row)))
}

fn remarks(segment: &Segment) -> String {
    let standing = (segment.standing != "live").then_some(&segment.standing);
    standing.into_iter().chain(&segment.findings).map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The header of the list as CSV.
///
/// # Errors
/// Of the writer.
pub(crate) fn write_csv_header(output: &mut impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(LIST_HEADER)?;
    writer.flush()
}

/// Segments of one container as CSV, one a line.
///
/// # Errors
/// Of the writer.
pub(crate) fn write_csv(segments: &[Segment], output: &mut impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    for segment in segments {
        writer.write_record([
            segment.name.as_str(),
            &segment.kind,
            &segment.container.to_string(),
            &segment.sealed.to_string(),
            &segment.start_offset.to_string(),
            &segment.length.to_string(),
            &segment.standing,
            &segment.findings.join(" "),
        ])?;
    }
    writer.flush()
}

/// Makes the directory of the files by container, and refuses it if one of the files is there already, so that
/// nothing is half written.
///
/// # Errors
/// `group-file-exists`, `group-file-unwritable`.
pub(crate) fn prepare_group_directory(directory: &Path, containers: &[ContainerId]) -> Result<()> {
    fs::create_dir_all(directory).map_err(|error| unwritable(directory, error))?;
    for &container in containers {
        let path = group_file(directory, container);
        if path.symlink_metadata().is_ok() {
            return Err(exists(&path));
        }
    }
    Ok(())
}

/// Writes the file of one container; one that exists is never overwritten.
///
/// # Errors
/// `group-file-exists`, `group-file-unwritable`.
pub(crate) fn write_group_file(directory: &Path, container: ContainerId, segments: &[Segment]) -> Result<PathBuf> {
    let path = group_file(directory, container);
    let file = match File::options().write(true).create_new(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(&path)),
        Err(error) => return Err(unwritable(&path, error)),
    };
    write_group(segments, BufWriter::new(file)).map_err(|error| unwritable(&path, error))?;
    Ok(path)
}

fn write_group(segments: &[Segment], output: impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(GROUP_FILE_HEADER)?;
    for segment in segments {
        writer.write_record([&segment.sealed.to_string(), &segment.length.to_string(), &segment.name])?;
    }
    writer.flush()
}

fn group_file(directory: &Path, container: ContainerId) -> PathBuf {
    directory.join(format!("segToContainer_{container}"))
}

fn exists(path: &Path) -> OperatorError {
    OperatorError::new(
        "group-file-exists",
        format!("{} exists already and is not overwritten", path.display()),
        "name another directory with --group-by-container, or move the old files away",
    )
}

fn unwritable(path: &Path, error: io::Error) -> OperatorError {
    OperatorError::new(
        "group-file-unwritable",
        format!("cannot write {}", path.display()),
        "name a writable directory on a disk with room with --group-by-container",
    )
    .because(error)
    .may_retry()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(name: &str, sealed: bool, length: u64) -> Segment {
        Segment {
            name: name.to_owned(),
            kind: "stream".to_owned(),
            container: 3,
            sealed,
            start_offset: 10,
            length,
            recorded_length: Some(length),
            row_length: None,
            standing: "live".to_owned(),
            findings: vec![],
        }
    }

    fn segments() -> Vec<Segment> {
        let odd = Segment {
            standing: "unrecorded".to_owned(),
            findings: vec!["no-record".to_owned(), "no-row".to_owned()],
            ..segment("a,\"b\"\n", false, 0)
        };
        vec![segment("scope/stream/0.#epoch.0", true, 1_234_567), odd]
    }

    #[test]
    fn a_table() {
        let expected = concat!(
            "Container 3: 2 segments\n",
            " Name                      Kind     Sealed   Start offset      Length   Remarks\n",
            "------------------------------------------------------------------------------------------------------\n",
            " scope/stream/0.#epoch.0   stream   yes                10   1,234,567\n",
            " a,\"b\"\\n                   stream                      10           0   unrecorded, no-record, no-row\n",
            "\n",
        );
        assert_eq!(table(3, &segments(), Colour::NONE), expected);
        assert_eq!(table(0, &[], Colour::NONE), "Container 0: 0 segments\n\n");
    }

    #[test]
    fn csv() {
        let mut text = Vec::new();
        write_csv_header(&mut text).unwrap();
        write_csv(&segments(), &mut text).unwrap();
        let expected = "Segment Name,Kind,Container,Sealed Status,Start Offset,Length,Standing,Findings\n\
                        scope/stream/0.#epoch.0,stream,3,true,10,1234567,live,\n\
                        \"a,\"\"b\"\"\n\",stream,3,false,10,0,unrecorded,no-record no-row\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn files_by_container_are_those_of_the_admin_cli_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("a/b");
        prepare_group_directory(&below, &[3]).unwrap();
        let path = write_group_file(&below, 3, &segments()[..1]).unwrap();
        assert_eq!(path.file_name().unwrap(), "segToContainer_3");
        let expected = "Sealed Status,Length,Segment Name\ntrue,1234567,scope/stream/0.#epoch.0\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(prepare_group_directory(&below, &[0, 3]).unwrap_err().code, "group-file-exists");
        assert_eq!(write_group_file(&below, 3, &[]).unwrap_err().code, "group-file-exists");
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }
}

//! Runs the chosen procedure and writes its calls down: into the run's directory, and to a file if that was asked for.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use dr_engine::contract::{ContainerId, RecoveryHost};
use dr_engine::error::{OperatorError, Result};
use dr_runtime::Execution;
use dr_runtime::recording::{RecordingWriter, WrittenRecording};

use super::procedure::Chosen;
use super::source;
use crate::arguments::RecordingArguments;
use crate::procedures::operator_error;

/// Name of the recording in the run's directory.
pub(super) const RECORDING_FILE: &str = "recording.jsonl.gz";

/// Refuses a file for the recording that exists or lies inside Tier-2, before the work.
///
/// # Errors
/// `recording-exists`, `inside-tier2`.
pub(super) fn check_place(chosen: &Chosen, root: &Path) -> Result<()> {
    let Some(path) = &chosen.recording.record else { return Ok(()) };
    if fs::symlink_metadata(path).is_ok() {
        let what = format!("the file {} exists already", path.display());
        return Err(OperatorError::new("recording-exists", what, "name another file with --record"));
    }
    source::refuse_inside(root, path, "the recording", "--record")
}

/// Runs the procedure on what it was granted of the host. The recording of a run that failed is written, too, and holds what was
/// denied.
///
/// # Errors
/// `procedure-failed`; `recording-unwritable`.
pub(super) fn execute(
    chosen: &Chosen,
    host: Arc<dyn RecoveryHost>,
    selected: &[ContainerId],
    parallel: usize,
    directory: &Path,
) -> Result<Execution> {
    let Chosen { procedure, settings, grant, recording, .. } = chosen;
    let host = grant.guard(host);
    if recording.no_recording && recording.record.is_none() {
        return procedure.execute(host, settings, selected, parallel, &()).map_err(operator_error);
    }
    let scratch = tempfile::tempfile_in(directory).map_err(|error| unwritable(directory, error))?;
    let writer = Arc::new(RecordingWriter::new(scratch));
    let result = procedure.execute(writer.before(host), settings, selected, parallel, &());
    let written = writer.finish(procedure, settings, selected, &result);
    let kept =
        written.map_err(|error| unwritable(directory, error)).and_then(|written| keep(&written, recording, directory));
    let execution = result.map_err(operator_error)?;
    kept.map(|()| execution)
}

fn keep(written: &WrittenRecording, places: &RecordingArguments, directory: &Path) -> Result<()> {
    if !places.no_recording {
        write(&directory.join(RECORDING_FILE), |file| written.write_compressed(file))?;
    }
    places.record.as_ref().map_or(Ok(()), |path| write(path, |file| written.write_plain(file)))
}

fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let write = || {
        let mut file = BufWriter::new(File::create_new(path)?);
        content(&mut file)?;
        file.into_inner()?.sync_all()
    };
    write().map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: io::Error) -> OperatorError {
    let what = format!("cannot write the recording {}", path.display());
    let next = "make room, or name a file in a directory that can be written with --record, or give --no-recording";
    OperatorError::new("recording-unwritable", what, next).because(error)
}

//! Runs the chosen procedure, and writes its calls down if that was asked for.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use dr_engine::contract::{ContainerId, RecoveryHost};
use dr_engine::error::{OperatorError, Result};
use dr_runtime::Execution;
use dr_runtime::recording::{Recorder, Recording};

use super::procedure::Chosen;
use super::source;
use crate::procedures::operator_error;

/// Refuses a file for the recording that exists or lies inside Tier-2, before the work.
///
/// # Errors
/// `recording-exists`, `inside-tier2`.
pub(super) fn check_place(chosen: &Chosen, root: &Path) -> Result<()> {
    let Some(path) = &chosen.record else { return Ok(()) };
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
) -> Result<Execution> {
    let Chosen { procedure, settings, grant, record, .. } = chosen;
    let host = grant.guard(host);
    let Some(path) = record else {
        return procedure.execute(host, settings, selected, parallel, &()).map_err(operator_error);
    };
    let recorder = Arc::new(Recorder::default());
    let result = procedure.execute(recorder.before(host), settings, selected, parallel, &());
    let written = write(&recorder.finish(procedure, settings, selected, &result), path);
    let execution = result.map_err(operator_error)?;
    written.map(|()| execution)
}

fn write(recording: &Recording, path: &Path) -> Result<()> {
    let write = || {
        let mut file = BufWriter::new(File::create_new(path)?);
        recording.write(&mut file)?;
        file.flush()
    };
    write().map_err(|error| {
        let what = format!("cannot write the recording {}", path.display());
        OperatorError::new("recording-unwritable", what, "name a file in a directory that can be written with --record")
            .because(error)
    })
}

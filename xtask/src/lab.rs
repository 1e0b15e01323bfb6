//! `cargo xtask lab`: real servers, by hand. The lab itself is the crate `tests/lab`.

use std::path::Path;

use crate::error::TaskError;

pub(crate) fn run(_root: &Path, arguments: &[String]) -> Result<(), TaskError> {
    dr_lab::command_line(arguments).map_err(|error| TaskError::Other(error.to_string()))
}

//! Diagnostics on standard error, for those who look for the cause of something. Results never go this way.

use std::io::{self, IsTerminal as _};

use dr_engine::error::{OperatorError, Result};
use tracing_subscriber::EnvFilter;

use crate::arguments::GlobalArguments;

/// Opens the diary at the level that was asked for: `--log-level`, `RUST_LOG`, `-v`.
///
/// # Errors
/// `configuration-log-level` for a filter that cannot be understood.
pub(crate) fn open(arguments: &GlobalArguments, rust_log: Option<&str>) -> Result<()> {
    let directives = directives(arguments, rust_log);
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        OperatorError::new(
            "configuration-log-level",
            format!("`{directives}` is not a level or filter of the diary"),
            "set --log-level or RUST_LOG to error, warn, info, debug or trace, or to a filter such as dr_engine=debug",
        )
        .because(error)
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .finish();
    // Only a second diary in one process could fail, and there is none.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn directives(arguments: &GlobalArguments, rust_log: Option<&str>) -> String {
    let asked = arguments.log_level.as_deref().or(rust_log).map(str::trim).filter(|text| !text.is_empty());
    let own = |level| format!("error,dr={level},dr_backends={level},dr_engine={level},dr_runtime={level}");
    match (asked, arguments.verbose) {
        (Some(asked), _) => asked.to_owned(),
        // Warnings of a recovery are shown as warnings, so the diary need not repeat them.
        (None, 0) => "error".to_owned(),
        (None, 1) => own("info"),
        (None, _) => own("debug"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_and_both_over_verbosity() {
        let arguments = |log_level: Option<&str>, verbose| GlobalArguments {
            log_level: log_level.map(str::to_owned),
            verbose,
            quiet: false,
        };
        assert_eq!(directives(&arguments(Some("debug"), 0), Some("info")), "debug");
        assert_eq!(directives(&arguments(None, 2), Some("info")), "info");
        assert_eq!(directives(&arguments(None, 0), Some(" ")), "error");
        assert!(directives(&arguments(None, 2), None).contains("dr_engine=debug"));
    }

    #[test]
    fn a_filter_that_cannot_be_understood_is_an_error() {
        let arguments = GlobalArguments { log_level: Some("dr_engine=loud".to_owned()), verbose: 0, quiet: false };
        assert_eq!(open(&arguments, None).unwrap_err().code, "configuration-log-level");
    }
}

//! The words behind `cargo xtask bench`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::TaskError;

const USAGE: &str = "usage: cargo xtask bench [--segments N] [--containers N] [--runs N] [--dr FILE] [--embedded-only]
  --segments N     segments to generate at least (5100, as many as the official command was measured with)
  --containers N   containers to generate (4)
  --runs N         how often to recover (3)
  --dr FILE        measure this `dr` instead of building one in release
  --embedded-only  Tier-1 in a directory: the default; real servers are for the lab";

/// What was asked for.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) segments: u64,
    pub(super) containers: u32,
    pub(super) runs: u32,
    pub(super) dr: Option<PathBuf>,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Self, TaskError> {
        let mut options = Self { segments: 5_100, containers: 4, runs: 3, dr: None };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--segments" => options.segments = value(word, words.next())?,
                "--containers" => options.containers = value(word, words.next())?,
                "--runs" => options.runs = value(word, words.next())?,
                "--dr" => options.dr = Some(value(word, words.next())?),
                "--embedded-only" => {}
                _ => return Err(TaskError::Other(format!("unknown option `{word}`\n{USAGE}"))),
            }
        }
        if options.segments == 0 || options.containers == 0 || options.runs == 0 {
            return Err(TaskError::Other(format!("numbers begin at 1\n{USAGE}")));
        }
        Ok(options)
    }
}

fn value<T: FromStr>(option: &str, value: Option<&String>) -> Result<T, TaskError> {
    let parsed = value.and_then(|value| value.parse().ok());
    parsed.ok_or_else(|| TaskError::Other(format!("{option} needs a value\n{USAGE}")))
}

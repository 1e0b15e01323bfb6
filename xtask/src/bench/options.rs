//! The words behind `cargo xtask bench`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::TaskError;

const USAGE: &str = "usage: cargo xtask bench bookie [...], or cargo xtask bench guests [...], or
       cargo xtask bench [--segments N] [--containers N] [--runs N] [--dr FILE] [--curve | --real]
  --segments N     segments to generate at least (5100, as many as the official command was measured with)
  --containers N   containers to generate (4)
  --runs N         how often to recover (3)
  --dr FILE        measure this `dr` instead of building one in release
  --curve          sizes from 10,000 to --segments (1,000,000), 2,000 segments in each container; the largest tree
                   takes 18 GB, and stays in target/bench
  --real           recover to a real ZooKeeper and three real bookies on this machine (needs Java and Maven)";

/// Sizes of a curve.
const CURVE: [u64; 5] = [10_000, 30_000, 100_000, 300_000, 1_000_000];

/// Segments in each container of a curve: about as many as a container of the official command's measurement had.
const SEGMENTS_IN_A_CONTAINER: u64 = 2_000;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Options {
    /// What to generate, one tree after the other.
    pub(super) trees: Vec<Size>,
    pub(super) runs: u32,
    pub(super) dr: Option<PathBuf>,
    pub(super) real: bool,
}

/// Size of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) segments: u64,
    pub(super) containers: u32,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Self, TaskError> {
        let (mut segments, mut containers, mut curve) = (None, None, false);
        let mut options = Self { trees: Vec::new(), runs: 3, dr: None, real: false };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--segments" => segments = Some(value(word, words.next())?),
                "--containers" => containers = Some(value(word, words.next())?),
                "--runs" => options.runs = value(word, words.next())?,
                "--dr" => options.dr = Some(value(word, words.next())?),
                "--curve" => curve = true,
                "--real" => options.real = true,
                _ => return Err(TaskError::Other(format!("unknown option `{word}`\n{USAGE}"))),
            }
        }
        if segments == Some(0) || containers == Some(0) || options.runs == 0 {
            return Err(TaskError::Other(format!("numbers begin at 1\n{USAGE}")));
        }
        options.trees = match (curve, containers) {
            (true, Some(_)) => {
                return Err(TaskError::Other(format!("--curve chooses the containers itself\n{USAGE}")));
            }
            (true, None) => {
                let sizes = CURVE.into_iter().filter(|&size| segments.is_none_or(|most| size <= most));
                sizes.map(Size::of_curve).collect()
            }
            (false, _) => {
                vec![Size { segments: segments.unwrap_or(5_100), containers: containers.unwrap_or(4) }]
            }
        };
        Ok(options)
    }
}

impl Size {
    fn of_curve(segments: u64) -> Self {
        Self { segments, containers: u32::try_from(segments.div_ceil(SEGMENTS_IN_A_CONTAINER)).unwrap_or(u32::MAX) }
    }
}

fn value<T: FromStr>(option: &str, value: Option<&String>) -> Result<T, TaskError> {
    let parsed = value.and_then(|value| value.parse().ok());
    parsed.ok_or_else(|| TaskError::Other(format!("{option} needs a value\n{USAGE}")))
}

//! Tier-2 trees of any size, in the shape that real clusters leave behind after a flush of all containers.
//!
//! The same shape gives the same bytes. Everything is consistent: a recovery must find nothing odd and lose nothing.
//! What real servers wrote is in `tests/data`; these trees are for what captures are too small for, speed above all.

mod bookie;
mod cluster;
mod container;
mod random;
mod segment;

use std::path::{Path, PathBuf};

use dr_formats::EncodeError;

pub use self::bookie::bookie;

use self::cluster::Cluster;

/// What a tree is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Segment containers.
    pub containers: u32,
    /// Segments at least, attribute indexes and the containers' own metadata tables not counted.
    pub segments: u64,
    /// Mean length of a stream segment, in bytes.
    pub stream_segment_bytes: u64,
    /// How often each row and record of the metadata tables was written: the older versions are still in the tables.
    pub metadata_versions: u64,
    /// Start of the pseudo-random numbers.
    pub seed: u64,
}

impl Default for Shape {
    /// The cluster on which the official recovery command was measured: 5,100 segments, about 50 MB of metadata.
    fn default() -> Self {
        Self { containers: 4, segments: 5_100, stream_segment_bytes: 4096, metadata_versions: 4, seed: 1 }
    }
}

/// What was generated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Generated {
    /// Segments, attribute indexes and the containers' own metadata tables not counted.
    pub segments: u64,
    /// Objects, all of them.
    pub objects: u64,
    /// Bytes of all objects.
    pub bytes: u64,
}

/// Why a tree cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The directory holds something that is not ours.
    #[error("{}: the directory is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// A file or directory refused something.
    #[error("{}: {source}", path.display())]
    Path {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A value does not fit its format.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Result of everything here.
pub type Result<T> = std::result::Result<T, GenerateError>;

/// Writes a tree below `root`, which must be empty or missing.
///
/// # Errors
/// If `root` holds something, or cannot be written.
pub fn tree(root: &Path, shape: &Shape) -> Result<Generated> {
    let at = |source| GenerateError::Path { path: root.to_path_buf(), source };
    std::fs::create_dir_all(root).map_err(at)?;
    if std::fs::read_dir(root).map_err(at)?.next().is_some() {
        return Err(GenerateError::NotEmpty(root.to_path_buf()));
    }
    let mut cluster = Cluster::new(root, shape);
    cluster.populate()?;
    cluster.finish()
}

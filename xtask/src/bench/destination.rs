//! Where a run recovers to: a directory, or real servers.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use dr_lab::{Lab, LabError, LabOptions};

use crate::error::TaskError;

/// Tier-1 of the runs, empty before each of them.
pub(super) enum Destination {
    /// A directory.
    Embedded(PathBuf),
    /// A real ZooKeeper and real bookies, which end with this process.
    Real(Box<Lab>),
}

impl Destination {
    pub(super) fn embedded(place: &Path) -> Self {
        Self::Embedded(place.join("run/tier1"))
    }

    pub(super) fn real(place: &Path, containers: u32) -> Result<Self, TaskError> {
        let directory = place.join("lab");
        super::remove(&directory)?;
        let mut options = LabOptions::new(directory);
        options.container_count = containers;
        Ok(Self::Real(Box::new(Lab::create(options).map_err(refused)?)))
    }

    /// Makes it empty and ready.
    pub(super) fn prepare(&mut self) -> Result<(), TaskError> {
        match self {
            Self::Embedded(directory) => fs::create_dir_all(&*directory).map_err(TaskError::at(directory)),
            Self::Real(lab) => {
                lab.kill_all().and_then(|()| lab.wipe_tier1()).and_then(|()| lab.start_tier1()).map_err(refused)
            }
        }
    }

    /// What `dr` is told of it.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        match self {
            Self::Embedded(directory) => {
                let mut tier1 = OsString::from("--tier1=dir:");
                tier1.push(directory);
                vec!["--cluster".into(), "bench".into(), tier1]
            }
            Self::Real(lab) => vec!["--config".into(), lab.properties_file().into()],
        }
    }
}

fn refused(error: LabError) -> TaskError {
    TaskError::Other(error.to_string())
}

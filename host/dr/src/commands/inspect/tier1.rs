//! The Tier-1 that an inspection reads from.

use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};

use super::super::Session;
use super::super::tier1::{OpenTier1, Purpose};
use crate::arguments::Tier1Arguments;
use crate::configuration::{Configuration, Overrides};

/// Opens Tier-1 without a Tier-2.
///
/// # Errors
/// Those of the configuration; what the servers answer.
pub(super) fn open(session: &Session, config: &[PathBuf], arguments: &Tier1Arguments) -> Result<OpenTier1> {
    let overrides = Overrides {
        cluster_name: arguments.cluster.clone(),
        tier1_directory: arguments.tier1.as_ref().map(|directory| directory.0.clone()),
        zookeeper: arguments.zookeeper.clone(),
        bookkeeper_zookeeper: arguments.bookkeeper_zookeeper.clone(),
        ledgers_path: arguments.ledgers_path.clone(),
        ..Overrides::default()
    };
    // There is no root to be compared with the configuration, so differences from it are nothing to warn of.
    let configuration = Configuration::load(config, session.environment.clone(), &overrides, Path::new(""))?;
    OpenTier1::open(session, &configuration, Purpose::Read, true)
}

/// The error for a ZNode that is not there.
pub(super) fn missing(path: &str, location: &str) -> OperatorError {
    let what = format!("{location}: there is no ZNode `{path}`");
    OperatorError::new("tier1-missing", what, "check the path, the cluster name and the container's number")
}

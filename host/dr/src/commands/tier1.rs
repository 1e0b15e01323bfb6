//! Tier-1, real or embedded, and the name of the cluster in it.

use std::path::Path;
use std::sync::Arc;

use dr_backends::tier1::{
    BookKeeper, BookKeeperOptions, EmbeddedLedgers, EmbeddedZNodes, Ledgers, ZNodes, ZooKeeper, ZooKeeperOptions,
};
use dr_engine::cluster::{ClusterLayout, Tier1};
use dr_engine::error::{OperatorError, Result};
use tempfile::TempDir;

use super::Session;
use crate::configuration::known::CLUSTER_NAME;
use crate::configuration::{Configuration, Tier1Location, detection};

/// A Tier-1 that was opened, and the cluster in it.
#[derive(Debug)]
pub(super) struct OpenTier1 {
    /// ZooKeeper or its double.
    pub(super) znodes: Arc<dyn ZNodes>,
    /// BookKeeper or its double.
    pub(super) ledgers: Arc<dyn Ledgers>,
    /// The cluster.
    pub(super) layout: ClusterLayout,
    /// Where it is, in words.
    pub(super) location: Tier1Location,
    /// Stands in for a directory that is not to be made; removed at the end.
    _stand_in: Option<TempDir>,
}

/// Whether the directory of an embedded Tier-1 may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It will be written.
    Recover,
    /// It will not be written, but what would be is worked out.
    DryRun,
    /// It must be there.
    Read,
}

impl OpenTier1 {
    /// Connects and finds out the cluster's name. With `bookies_registered`, bookies must have been there once.
    ///
    /// # Errors
    /// `configuration-missing`, `configuration-cluster`, `tier1-absent`; what the servers answer.
    pub(super) fn open(
        session: &Session,
        configuration: &Configuration,
        purpose: Purpose,
        bookies_registered: bool,
    ) -> Result<Self> {
        let location = configuration.tier1()?.clone();
        match &location {
            Tier1Location::Directory(path) => Self::open_directory(session, configuration, path, purpose),
            Tier1Location::Servers { zookeeper, bookkeeper_zookeeper } => {
                let connect = |address: &str| -> Result<Arc<dyn ZNodes>> {
                    Ok(Arc::new(ZooKeeper::connect(address, ZooKeeperOptions::default())?))
                };
                let znodes = connect(zookeeper.as_str())?;
                let name = match &configuration.cluster_name {
                    Some(name) => detection::told_name(znodes.as_ref(), name)?,
                    None => detected_name(session, znodes.as_ref())?,
                };
                let ledger_znodes = if zookeeper == bookkeeper_zookeeper {
                    znodes.clone()
                } else {
                    connect(bookkeeper_zookeeper.as_str())?
                };
                let access = configuration.ledger_access(&name);
                let open = if bookies_registered { BookKeeper::open } else { BookKeeper::open_as_it_is };
                let ledgers = Arc::new(open(ledger_znodes, access, BookKeeperOptions::default())?);
                Ok(Self { znodes, ledgers, layout: configuration.layout(&name), location, _stand_in: None })
            }
        }
    }

    fn open_directory(session: &Session, configuration: &Configuration, path: &Path, purpose: Purpose) -> Result<Self> {
        if purpose == Purpose::Read && !path.is_dir() {
            return Err(OperatorError::new(
                "tier1-absent",
                format!("there is no Tier-1 at {}", path.display()),
                "name the directory that was given to `dr recover` with --tier1 dir:PATH",
            ));
        }
        let unusable = |error| dr_engine::plan::run_directory_error("find", path, error);
        let path = &std::path::absolute(path).map_err(unusable)?;
        let stand_in = (purpose == Purpose::DryRun && !path.is_dir()).then(tempfile::tempdir).transpose();
        let stand_in = stand_in.map_err(|error| dr_engine::plan::run_directory_error("stand in for", path, error))?;
        let location = Tier1Location::Directory(path.to_owned());
        let path = stand_in.as_ref().map_or(path.as_path(), TempDir::path);
        let znodes = Arc::new(EmbeddedZNodes::open(path)?);
        let name = match &configuration.cluster_name {
            Some(name) => detection::told_name(znodes.as_ref(), name)?,
            None => detection::cluster_name(znodes.as_ref())?.unwrap_or_else(|| default_name(session)),
        };
        let ledgers = Arc::new(EmbeddedLedgers::open(path, znodes.clone(), configuration.ledger_access(&name))?);
        Ok(Self { znodes, ledgers, layout: configuration.layout(&name), location, _stand_in: stand_in })
    }

    /// For the engine.
    pub(super) fn tier1(&self) -> Tier1<'_> {
        Tier1 { znodes: self.znodes.as_ref(), ledgers: self.ledgers.as_ref() }
    }
}

fn detected_name(session: &Session, znodes: &dyn ZNodes) -> Result<String> {
    let detected = detection::cluster_name(znodes)?;
    let name = detected.ok_or_else(|| detection::cluster_name_missing(&znodes.location()))?;
    session.console.remark(&format!("the cluster is `{name}`, the only one in {}", znodes.location()));
    Ok(name)
}

/// A directory without servers needs a name, too, but nobody will look for another one.
fn default_name(session: &Session) -> String {
    let name = CLUSTER_NAME.example;
    session.console.remark(&format!("the cluster is called `{name}`, Pravega's default; --cluster gives another name"));
    name.to_owned()
}

//! `dr diagnose`: what is left, which loss this is, and what to do.

use std::path::Path;
use std::sync::Arc;

use dr_backends::tier1::{
    BookKeeper, BookKeeperOptions, EmbeddedLedgers, EmbeddedZNodes, LedgerSights, ZNodes, ZooKeeper, ZooKeeperOptions,
};
use dr_engine::cluster::ClusterLayout;
use dr_engine::diagnose::{Diagnosis, Facts, Scenario, Tier1ToLookAt, look, look_at_contents};
use dr_engine::error::Result;
use tempfile::TempDir;

use super::target::Target;
use super::{Session, source};
use crate::arguments::{ContainerSelection, DiagnoseArguments};
use crate::configuration::known::CLUSTER_NAME;
use crate::configuration::{Configuration, Tier1Location, detection};
use crate::exit_code::ExitCode;
use crate::output::diagnosis::{DiagnosisEvent, Place, Report};
use crate::output::json::Event;

/// Looks and tells.
pub(super) fn run(session: &Session, arguments: &DiagnoseArguments) -> Result<ExitCode> {
    let target = Target::of(&arguments.source, &arguments.tier1)?;
    let overrides = arguments.tier1.overrides(&arguments.source);
    let configuration = source::configuration(session, &arguments.source.config, &target.root, &overrides)?;
    let tier2 = source::open(&target.root);
    let tier1 = SeenTier1::open(&configuration);
    let (parallel, progress) = (source::parallel(arguments.source.parallel), session.progress.as_ref());
    let facts = look(
        tier2.as_ref().map(AsRef::as_ref).map_err(Clone::clone),
        tier1.as_ref().map(SeenTier1::to_look_at).map_err(Clone::clone),
        configuration.container_count,
        parallel,
        progress,
    );
    let chosen = arguments.source.containers.as_ref().map(ContainerSelection::numbers).unwrap_or_default();
    let diagnosis = Diagnosis::of(&facts, chosen);
    let contents = match &tier2 {
        Ok(tier2) if matters(&diagnosis, &facts) => {
            Some(look_at_contents(tier2.clone(), configuration.container_count, parallel, progress))
        }
        _ => None,
    };
    let place = Place {
        cluster: tier1.as_ref().ok().and_then(|tier1| tier1.cluster.clone()).or(configuration.cluster_name.clone()),
        root: target.root.clone(),
        tier1: configuration.tier1().ok().cloned(),
        ensemble_size: configuration.layout("").ensemble_size,
        program: session.program().to_owned(),
        words: target.words(),
    };
    tell(session, &Report { place, facts: &facts, diagnosis: &diagnosis, contents: contents.as_ref() });
    Ok(if diagnosis.scenario == Scenario::Healthy { ExitCode::Done } else { ExitCode::Problems })
}

/// Tier-2's metadata are read only where it has to be told what Tier-2 alone would give back.
fn matters(diagnosis: &Diagnosis, facts: &Facts) -> bool {
    let is_settled = matches!(
        diagnosis.scenario,
        Scenario::Healthy | Scenario::RecoveredNotBooted | Scenario::RecoveryInterrupted | Scenario::RecoveryHalfDone
    );
    facts.tier2.is_ok() && !is_settled
}

fn tell(session: &Session, report: &Report<'_>) {
    let console = &session.console;
    console.event(Event::Diagnosed(DiagnosisEvent::new(report)));
    console.text(&report.render(console.manner().verbose, console.colour()));
    session.say_what_is_next(&report.next());
}

/// A Tier-1 that is only looked at, however little of it is left.
struct SeenTier1 {
    znodes: Arc<dyn ZNodes>,
    ledgers: Arc<dyn LedgerSights>,
    layout: ClusterLayout,
    /// None if neither the configuration nor ZooKeeper tells.
    cluster: Option<String>,
    /// Stands in for a directory that is not there; removed at the end.
    _stand_in: Option<TempDir>,
}

impl SeenTier1 {
    fn open(configuration: &Configuration) -> Result<Self> {
        match configuration.tier1()? {
            Tier1Location::Directory(path) => Self::open_directory(configuration, path),
            Tier1Location::Servers { zookeeper, bookkeeper_zookeeper } => {
                let connect = |address: &str| -> Result<Arc<dyn ZNodes>> {
                    Ok(Arc::new(ZooKeeper::connect(address, ZooKeeperOptions::default())?))
                };
                let znodes = connect(zookeeper.as_str())?;
                let ledger_znodes = if zookeeper == bookkeeper_zookeeper {
                    znodes.clone()
                } else {
                    connect(bookkeeper_zookeeper.as_str())?
                };
                let (cluster, layout) = cluster_in(configuration, znodes.as_ref())?;
                let access = configuration.ledger_access(&layout.cluster_name);
                let ledgers = BookKeeper::open_as_it_is(ledger_znodes, access, BookKeeperOptions::default())?;
                Ok(Self { znodes, ledgers: Arc::new(ledgers), layout, cluster, _stand_in: None })
            }
        }
    }

    fn open_directory(configuration: &Configuration, path: &Path) -> Result<Self> {
        let unusable = |error| dr_engine::plan::run_directory_error("stand in for", path, error);
        let is_there = path.join("znodes").is_dir() && path.join("ledgers").is_dir();
        let stand_in = (!is_there).then(tempfile::tempdir).transpose().map_err(unusable)?;
        let path = stand_in.as_ref().map_or(path, TempDir::path);
        let znodes = Arc::new(EmbeddedZNodes::open(path)?);
        let (cluster, layout) = cluster_in(configuration, znodes.as_ref())?;
        let access = configuration.ledger_access(&layout.cluster_name);
        let ledgers = EmbeddedLedgers::open(path, znodes.clone(), access)?;
        Ok(Self { znodes, ledgers: Arc::new(ledgers), layout, cluster, _stand_in: stand_in })
    }

    fn to_look_at(&self) -> Tier1ToLookAt<'_> {
        Tier1ToLookAt { znodes: self.znodes.as_ref(), ledgers: self.ledgers.as_ref(), layout: &self.layout }
    }
}

/// The cluster's name, if it can be known, and its layout under that name or Pravega's default.
fn cluster_in(configuration: &Configuration, znodes: &dyn ZNodes) -> Result<(Option<String>, ClusterLayout)> {
    let cluster = match &configuration.cluster_name {
        Some(name) => Some(detection::told_name(znodes, name)?),
        None => detection::cluster_name(znodes)?,
    };
    let layout = configuration.layout(cluster.as_deref().unwrap_or(CLUSTER_NAME.example));
    Ok((cluster, layout))
}

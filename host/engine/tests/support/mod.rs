//! A cluster to recover without servers: a captured Tier-2 in a temporary directory, an embedded Tier-1, and a procedure
//! in plain Rust that takes the steps of the runbook.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dr_backends::tier1::LedgerAccess;
use dr_backends::tier1::{EmbeddedLedgers, EmbeddedZNodes};
use dr_backends::tier2::{FileSystemTier2, Tier2};
use dr_engine::apply::{Application, Applied, Patience, apply};
use dr_engine::cluster::{ClusterLayout, Tier1};
use dr_engine::contract::{
    AttributeUpdate, ContainerId, FreshContainer, NewSegment, Pages, RecoveryHost, Segment, Truncation,
};
use dr_engine::evidence_file::Stamps;
use dr_engine::journal::Journal;
use dr_engine::plan::{Maker, Plan};
use dr_engine::progress::Silent;
use dr_engine::staging::Staging;
use dr_engine::survey::{Survey, SurveyOptions};
use dr_engine::verify::{Scope, Verification, verify};
use tempfile::TempDir;

#[allow(dead_code)]
pub mod mortal;
#[allow(dead_code)]
pub mod restored;

pub struct Cluster {
    pub directory: TempDir,
    pub tier2: Arc<FileSystemTier2>,
    pub znodes: Arc<EmbeddedZNodes>,
    pub ledgers: EmbeddedLedgers,
    pub layout: ClusterLayout,
}

/// In memory where the system offers that: these tests sync a lot.
pub fn temporary_directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Unpacks `tests/data/<name>/tier2.tar.xz`.
pub fn captured(name: &str) -> Cluster {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name).join("tier2.tar.xz");
    let directory = temporary_directory();
    let unpacked = directory.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let status = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(&unpacked).status().unwrap();
    assert!(status.success(), "cannot unpack {}", archive.display());
    let root = find_root(&unpacked).expect("the archive holds a Tier-2");
    cluster(directory, &root, "lab")
}

fn find_root(below: &Path) -> Option<PathBuf> {
    if below.join("_system/containers").is_dir() {
        return Some(below.to_path_buf());
    }
    let entries = std::fs::read_dir(below).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).find_map(|path| find_root(&path))
}

/// The Tier-2 at `root`, and an embedded Tier-1 in the directory that keeps both alive.
pub fn cluster(directory: TempDir, root: &Path, name: &str) -> Cluster {
    let tier1 = directory.path().join("tier1");
    let znodes = Arc::new(EmbeddedZNodes::open(&tier1).unwrap());
    let access = LedgerAccess::new(format!("/pravega/{name}/bookkeeper/ledgers"));
    let ledgers = EmbeddedLedgers::open(&tier1, znodes.clone(), access).unwrap();
    let layout = ClusterLayout::with_defaults(name);
    Cluster { tier2: Arc::new(FileSystemTier2::open(root).unwrap()), directory, znodes, ledgers, layout }
}

#[allow(dead_code)]
impl Cluster {
    pub fn tier1(&self) -> Tier1<'_> {
        Tier1 { znodes: self.znodes.as_ref(), ledgers: &self.ledgers }
    }

    pub fn survey(&self) -> Survey {
        Survey::take(self.tier2.clone(), SurveyOptions::default(), &Silent).unwrap()
    }

    /// Plans into the directory `name` of the temporary directory.
    pub fn plan(&self, name: &str) -> (Plan, PathBuf) {
        let (plan, run, _) = self.plan_of(self.tier2.clone(), name);
        (plan, run)
    }

    /// Plans what is to be done with this Tier-2, and keeps the stamps of what was read.
    pub fn plan_of(&self, tier2: Arc<dyn Tier2>, name: &str) -> (Plan, PathBuf, Stamps) {
        let run = self.directory.path().join(name);
        dr_engine::plan::create_run_directory(&run).unwrap();
        let survey = Arc::new(Survey::take(tier2, SurveyOptions::default(), &Silent).unwrap());
        let containers: Vec<ContainerId> = (0..survey.container_count()).collect();
        let staging = Staging::new(survey, self.znodes.clone(), self.layout.clone(), &run, Arc::new(Silent));
        for &container in &containers {
            recover_container(&staging, container);
        }
        staging.tasks_done();
        finish(&staging);
        let plan = staging.clone().into_plan(maker(), &containers).unwrap();
        plan.save(&run).unwrap();
        (plan, run, staging.take_stamps())
    }

    pub fn apply(&self, plan: &Plan, directory: &Path) -> dr_engine::error::Result<Applied> {
        self.apply_with(plan, directory, self.tier2.as_ref(), None)
    }

    pub fn apply_with(
        &self,
        plan: &Plan,
        directory: &Path,
        tier2: &dyn Tier2,
        stamps: Option<&Stamps>,
    ) -> dr_engine::error::Result<Applied> {
        let journal = Journal::open(directory)?;
        let application = Application {
            plan,
            directory,
            journal: &journal,
            tier2,
            tier1: self.tier1(),
            layout: &self.layout,
            stamps,
            parallel: 2,
            accept_live_cluster: false,
            break_lock: false,
            patience: Patience::NONE,
        };
        apply(&application, &Silent)
    }

    pub fn verify(&self) -> Verification {
        let scope = Scope { parallel: 2, ..Scope::default() };
        verify(self.tier2.as_ref(), self.tier1(), &self.layout, &scope, &Silent).unwrap()
    }
}

#[allow(dead_code)]
pub fn maker() -> Maker {
    Maker {
        procedure: "native".to_owned(),
        version: "0.0.0".to_owned(),
        digest: String::new(),
        signer: None,
        settings: Vec::new(),
        granted: None,
        host_version: "0.0.0".to_owned(),
    }
}

pub fn all<T>(mut pages: Box<dyn Pages<T>>) -> Vec<T> {
    let mut rows = Vec::new();
    loop {
        let page = pages.next_page(1000).unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

fn is_kept(segment: &Segment) -> bool {
    let dropped = ["garbage-collection-queue", "controller-reader-group", "transient"];
    segment.standing == "live" && !dropped.contains(&segment.kind.as_str())
}

pub fn recover_container(host: &dyn RecoveryHost, container: ContainerId) {
    recover_container_with(host, container, |_| ());
}

/// As [`recover_container`], with a step when all segments are created.
pub fn recover_container_with(
    host: &dyn RecoveryHost,
    container: ContainerId,
    step: impl FnOnce(&mut dyn FreshContainer),
) {
    let segments: Vec<Segment> = all(host.list_segments(container).unwrap()).into_iter().filter(is_kept).collect();
    let names: Vec<String> = segments.iter().map(|segment| segment.name.clone()).collect();
    let mut fresh = host.open_fresh_container(container).unwrap();
    for (names, segments) in names.chunks(1000).zip(segments.chunks(1000)) {
        let measures = host.measure(container, names).unwrap();
        let new = segments.iter().zip(measures).map(|(segment, measure)| NewSegment {
            name: segment.name.clone(),
            sealed: segment.sealed,
            length: measure.whole_length,
        });
        fresh.create_segments(new.collect()).unwrap();
    }
    step(fresh.as_mut());
    let objects = all(host.list_metadata_objects(container).unwrap());
    let keys: Vec<String> = objects.into_iter().map(|object| object.key).collect();
    host.move_aside(container, &keys, &format!("_dr/moved-aside/container-{container}")).unwrap();
    for row in all(host.open_old_metadata(container).unwrap()) {
        let Some(segment) = segments.iter().find(|segment| segment.name == row.name) else { continue };
        let attributes =
            row.attributes.into_iter().filter(|attribute| ![7, 8, 10, 11].contains(&attribute.id)).collect();
        fresh.update_attributes(vec![AttributeUpdate { segment: row.name.clone(), attributes }]).unwrap();
        if row.start_offset > segment.start_offset {
            let truncation = Truncation { segment: row.name, start_offset: row.start_offset.min(segment.length) };
            fresh.truncate_segments(vec![truncation]).unwrap();
        }
    }
    fresh.close().unwrap();
}

pub fn finish(host: &dyn RecoveryHost) {
    let counter = host.highest_transaction_counter().unwrap();
    let high = counter.map_or(0, |counter| counter.high) + 1;
    let data = [&high.to_be_bytes()[..], &0i64.to_be_bytes()[..]].concat();
    host.create_znode("counter", data).unwrap();
    for stream in all(host.list_streams().unwrap()) {
        if stream.retention.is_some() {
            host.create_znode(&stream.retention_znode, Vec::new()).unwrap();
        }
    }
}

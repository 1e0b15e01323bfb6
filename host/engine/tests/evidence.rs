//! What a plan rests on is looked at again before the first effect; what changed is named.
// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dr_backends::tier1::ZNodes as _;
use dr_backends::tier2::{ObjectInfo, Stamp, Tier2, Tier2Error};
use dr_engine::apply::refuse_unsteady;
use dr_engine::plan::Plan;
use support::Cluster;

const EVIDENCE: &str = "evidence.jsonl";

/// Plans, changes something, and returns what the refusal says.
fn refusal(change: impl Fn(&Cluster, &Path)) -> String {
    let cluster = support::captured("flushed");
    let (plan, run) = cluster.plan("run");
    change(&cluster, &run);
    let error = cluster.apply(&plan, &run).unwrap_err();
    assert_eq!(error.code, "evidence-changed", "{error}");
    // Nothing was changed, no lock is left: what was changed is changed back, and the plan can be applied.
    assert_eq!(cluster.znodes.get(&cluster.layout.lock_znode()).unwrap(), None);
    error.why.unwrap()
}

/// The first object with a key like this of which something was read.
fn object(cluster: &Cluster, run: &Path, prefix: &str) -> PathBuf {
    let evidence = std::fs::read_to_string(run.join(EVIDENCE)).unwrap();
    let lines = evidence.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut read =
        lines.filter(|line| line.get("read").is_some()).filter_map(|line| line["key"].as_str().map(str::to_owned));
    cluster.tier2.root().join(read.find(|key| key.starts_with(prefix)).unwrap())
}

/// Changes one byte; the size stays.
fn change_byte(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_changed_is_named() {
    let added = refusal(|cluster, _| std::fs::write(cluster.tier2.root().join("_system/late"), b"x").unwrap());
    assert_eq!(added, "1 added (`_system/late`)");

    let metadata = "_system/containers/storage_metadata_1.E-";
    let gone = refusal(|cluster, run| std::fs::remove_file(object(cluster, run, metadata)).unwrap());
    assert!(gone.starts_with("1 gone (`_system/containers/storage_metadata_1.E-"), "{gone}");

    let resized = refusal(|cluster, run| {
        let path = object(cluster, run, metadata);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, [bytes, vec![0]].concat()).unwrap();
    });
    assert!(resized.starts_with("1 of another size (`_system/containers/storage_metadata_1.E-"), "{resized}");

    for prefix in [metadata, "_system/containers/_sysjournal.", "_system/_tables/completedTransactionsBatches"] {
        let rewritten = refusal(|cluster, run| change_byte(&object(cluster, run, prefix)));
        assert!(rewritten.starts_with(&format!("1 with other content (`{prefix}")), "{rewritten}");
    }

    let znode = refusal(|cluster, _| cluster.znodes.create("/pravega/lab/counter", b"").unwrap());
    assert_eq!(znode, "1 changed in ZooKeeper (`/pravega/lab/counter`)");
}

#[test]
fn the_evidence_file_of_a_plan_is_its_own() {
    let cluster = support::captured("flushed");
    let (plan, run) = cluster.plan("run");
    let path = run.join(EVIDENCE);
    let text = std::fs::read_to_string(&path).unwrap();
    let object = text.lines().find(|line| line.contains("\"read\"")).unwrap();
    let changes = [
        ("cut", text[..text.len() / 2].to_owned()),
        ("a line less", text.split_once('\n').unwrap().1.to_owned()),
        ("a line more", format!("{text}{object}\n")),
        ("empty", String::new()),
        ("edited", text.replacen("\"size\":", "\"size\":1", 1)),
        ("without a read", text.replacen(object, &format!("{}}}", object.split_once(",\"read\"").unwrap().0), 1)),
    ];
    for (what, content) in changes {
        assert_ne!(content, text, "{what}");
        std::fs::write(&path, content).unwrap();
        let error = cluster.apply(&plan, &run).unwrap_err();
        assert_eq!(error.code, "plan-unreadable", "{what}: {error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(cluster.apply(&plan, &run).unwrap_err().code, "plan-unreadable");
    std::fs::write(&path, text).unwrap();
    cluster.apply(&plan, &run).unwrap();
}

#[test]
fn the_plan_holds_a_digest_of_each_container_and_of_znodes() {
    let cluster = support::captured("flushed");
    let (plan, run) = cluster.plan("run");
    let parts = &plan.evidence.parts;
    assert_eq!(parts.iter().map(|part| part.container).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(3), None]);
    assert_eq!(parts.iter().map(|part| part.entries).sum::<u64>(), plan.evidence.objects);
    assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), plan.evidence.bytes);
    assert!(parts[..4].iter().all(|part| part.bytes_read > 0), "{parts:?}");
    assert!(plan.evidence.znodes.as_ref().unwrap().entries > 0);
    let (again, second) = cluster.plan("second");
    assert_eq!(plan.evidence, again.evidence);
    let read = |run: &Path| std::fs::read(run.join(EVIDENCE)).unwrap();
    assert_eq!(read(&run), read(&second));
    // With one changed byte it is another plan, of which only one container is another one.
    change_byte(&object(&cluster, &run, "_system/containers/_sysjournal."));
    let (changed, _): (Plan, _) = cluster.plan("third");
    let differ = parts.iter().zip(&changed.evidence.parts).filter(|(one, other)| one.digest != other.digest).count();
    assert_eq!((differ, changed.id != plan.id), (1, true));
}

#[test]
fn a_tier2_that_changes_during_planning_is_noticed_at_the_end() {
    let cluster = support::captured("never-flushed");
    let survey = cluster.survey();
    refuse_unsteady(survey.listing(), cluster.tier2.as_ref()).unwrap();
    let root = cluster.tier2.root();
    std::fs::write(root.join("_system/containers/_sysjournal.epoch9.container0.file1"), b"of a store").unwrap();
    let error = refuse_unsteady(survey.listing(), cluster.tier2.as_ref()).unwrap_err();
    assert_eq!(error.code, "evidence-changed");
    assert_eq!(error.why.unwrap(), "1 added (`_system/containers/_sysjournal.epoch9.container0.file1`)");
}

/// Gives stamps to all objects, and counts what is read.
#[derive(Debug)]
struct StampedTier2 {
    behind: Arc<dyn Tier2>,
    stamp: AtomicU64,
    reads: AtomicU64,
}

impl Tier2 for StampedTier2 {
    fn location(&self) -> String {
        self.behind.location()
    }
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), Tier2Error>,
    ) -> Result<(), Tier2Error> {
        self.behind.list(prefix, visit)
    }
    fn size(&self, key: &str) -> Result<Option<u64>, Tier2Error> {
        self.behind.size(key)
    }
    fn read_at(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Tier2Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.behind.read_at(key, offset, buffer)
    }
    fn read_stamped(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<(usize, Option<Stamp>), Tier2Error> {
        Ok((self.read_at(key, offset, buffer)?, self.stamp(key)))
    }
    fn stamp(&self, _key: &str) -> Option<Stamp> {
        Some(Stamp::new(self.stamp.load(Ordering::Relaxed)))
    }
    fn create(&self, key: &str, content: &[u8]) -> Result<(), Tier2Error> {
        self.behind.create(key, content)
    }
    fn relocate(&self, from: &str, to: &str) -> Result<(), Tier2Error> {
        self.behind.relocate(from, to)
    }
    fn delete(&self, key: &str) -> Result<(), Tier2Error> {
        self.behind.delete(key)
    }
}

#[test]
fn what_still_has_its_stamp_is_not_read_again() {
    let metadata = "_system/containers/storage_metadata_1.E-";
    let apply = |is_changed: bool, new_stamp: u64, with_stamps: bool| {
        let cluster = support::captured("flushed");
        let files = cluster.tier2.clone();
        let stamped = Arc::new(StampedTier2 { behind: files, stamp: AtomicU64::new(1), reads: AtomicU64::new(0) });
        let (plan, run, stamps) = cluster.plan_of(stamped.clone(), "run");
        if is_changed {
            change_byte(&object(&cluster, &run, metadata));
        }
        stamped.stamp.store(new_stamp, Ordering::Relaxed);
        stamped.reads.store(0, Ordering::Relaxed);
        let result = cluster.apply_with(&plan, &run, stamped.as_ref(), Some(&stamps).filter(|_| with_stamps));
        (result.map_err(|error| error.code), stamped.reads.load(Ordering::Relaxed))
    };
    // The marker of the recovery is read in any case.
    let (unchanged, few) = apply(false, 1, true);
    let (read_again, many) = apply(false, 1, false);
    assert!(unchanged.is_ok() && read_again.is_ok());
    assert!(few < 10 && many > 100, "{few}, {many}");
    // Another stamp alone is no change, but what is behind it is looked at.
    let (touched, again) = apply(false, 2, true);
    assert!(touched.is_ok());
    assert_eq!(again, many);
    assert_eq!(apply(true, 2, true).0.unwrap_err(), "evidence-changed");
    assert_eq!(apply(true, 1, false).0.unwrap_err(), "evidence-changed");
}

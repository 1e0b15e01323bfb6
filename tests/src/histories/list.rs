//! The histories.
// Part of tests: a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dr_formats::names::ChunkName;
use dr_lab::LabOptions;

use super::course::{Course, Summary};
use crate::captured;
use crate::damage::{Tree, cases_of, sampled};
use crate::history::{self, Flush};
use crate::real_servers::must;

/// A history: what happens to a cluster from its first start on, with checks all the way.
#[derive(Clone, Copy)]
pub struct History {
    /// As it is asked for.
    pub name: &'static str,
    /// In a sentence.
    pub story: &'static str,
    /// Runs it.
    pub run: fn() -> Summary,
}

/// All histories.
#[must_use]
pub fn all() -> Vec<History> {
    let history = |name, story, run| History { name, story, run };
    vec![
        history("1-container", "one container: workload, crash under load", || containers(1)),
        history("16-containers", "16 containers: workload, crash under load", || containers(16)),
        history("64-containers", "64 containers: workload, crash under load", || containers(64)),
        history("epochs-50", "the store is killed and started 50 times with little work between", || epochs(50)),
        history(
            "small-chunks",
            "rollover at some kilobytes, tables compacted, chunks relocated and defragmented",
            small_chunks,
        ),
        history("no-appends", "a storage without appends: each flush is a chunk of its own", no_appends),
        history("never-flushed", "killed before the first flush: nothing to keep, everything to report", || {
            unflushed(600)
        }),
        history("half-flushed", "flushed each 30 s only, then killed", || unflushed(30)),
        history(
            "after-official-tool",
            "a captured tree that the official tool had recovered before",
            after_official_tool,
        ),
        history(
            "leftovers",
            "duplicate chunks of other epochs, empty and foreign objects, renamed journals",
            leftovers,
        ),
        history("changes", "killed while a controller makes changes of every kind; everything takes new ones", changes),
        history("damaged", "an object of each class is damaged, in several ways one after the other", damaged),
        history(
            "damaged-capture",
            "the same once on a captured tree, and all rows of a container are gone",
            damaged_capture,
        ),
        history("pravega-0.12.0", "Pravega 0.12.0: workload, crash under load", pravega_0_12),
    ]
}

fn containers(count: u32) -> Summary {
    crash_and_recover(Flush::Once, |options| {
        options.container_count = count;
        options.writer_flush_milliseconds = 1000;
    })
}

/// Workload, crash under load, recovery, everything read, new work everywhere, another crash, everything read again.
fn crash_and_recover(flush: Flush, change: impl FnOnce(&mut LabOptions)) -> Summary {
    let mut course = Course::begin(change);
    course.workload();
    course.crash(7, flush);
    course.lose_and_recover();
    course.check("after the recovery");
    course.more();
    course.work(10);
    course.restart_servers();
    course.check("after another crash");
    course.summary
}

fn epochs(count: u32) -> Summary {
    let mut course = Course::begin(|options| options.writer_flush_milliseconds = 1000);
    course.workload();
    for _ in 0..count / 10 {
        course.restart_store(10);
        course.work(0);
    }
    course.crash(11, Flush::Once);
    course.lose_and_recover();
    course.check("after the recovery");
    course.more();
    course.work(5);
    course.restart_servers();
    course.check("after another crash");
    course.summary
}

/// Properties under which tables are compacted every second, and chunks stay small. A flush on purpose never ends then.
const SMALL_CHUNKS: [(&str, &str); 8] = [
    ("storage.metadata.rollover.size.bytes.max", "65536"),
    ("writer.rollover.size.bytes.max", "16384"),
    ("tables.rollover.size.bytes", "4096"),
    ("tables.compaction.frequency.millis", "1000"),
    ("tables.utilization.min", "90"),
    ("storage.truncate.relocate.size.bytes.min", "1024"),
    ("storage.truncate.relocate.percent.min", "10"),
    ("storage.garbage.collection.delay.seconds", "5"),
];

fn small_chunks() -> Summary {
    crash_and_recover(Flush::Never, |options| {
        options.writer_flush_milliseconds = 500;
        options.store_properties = SMALL_CHUNKS.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    })
}

fn no_appends() -> Summary {
    let mut course = Course::begin(|options| {
        options.writer_flush_milliseconds = 500;
        options.store_properties = vec![("storage.appends.enable".to_owned(), "false".to_owned())];
    });
    course.workload();
    course.crash(23, Flush::Never);
    course.forget_workload();
    course.lose_and_recover();
    course.check("after the recovery");
    course.work(10);
    course.restart_servers();
    course.check("after another crash");
    course.summary
}

/// What clients were told is not in Tier-2, so only what the plan keeps is compared, and new work.
fn unflushed(seconds: u64) -> Summary {
    let mut course = Course::begin(|options| options.writer_flush_milliseconds = seconds * 1000);
    course.workload();
    course.forget_workload();
    course.lose_and_recover();
    course.work(10);
    course.flush_within(1000);
    course.restart_servers();
    course.check("after another crash");
    course.flush();
    course.lose_and_recover();
    course.check("after another loss");
    course.summary
}

fn pravega_0_12() -> Summary {
    crash_and_recover(Flush::Once, |options| {
        options.writer_flush_milliseconds = 1000;
        options.pravega_version = "0.12.0".to_owned();
        options.build_directory.set_file_name("maven-0.12.0");
    })
}

fn after_official_tool() -> Summary {
    let mut course = Course::prepare(|options| options.writer_flush_milliseconds = 1000);
    must("start Tier-1", course.test.lab.start_tier1());
    let tree = captured::content(&captured::unpack("after-official-tool").root);
    let root = course.test.lab.tier2_directory();
    tree.iter().for_each(|(key, content)| write(&root, key, content));
    course.recover();
    course.work(10);
    course.restart_servers();
    course.work(5);
    course.flush();
    course.lose_and_recover();
    course.work(5);
    course.summary
}

/// Garbage of every kind must change nothing.
fn leftovers() -> Summary {
    let mut course = Course::begin(|options| options.writer_flush_milliseconds = 1000);
    course.workload();
    course.restart_store(1);
    course.crash(31, Flush::Once);
    plant_leftovers(&course.test.lab.tier2_directory());
    course.lose_and_recover();
    course.check("after the recovery");
    course.more();
    course.work(5);
    course.restart_servers();
    course.check("after another crash");
    course.summary
}

/// Beside every 20th chunk: an empty one and one with other bytes at the same offset, both of an older epoch; journals as the
/// official tool renames them; files that are not Pravega's.
fn plant_leftovers(root: &Path) {
    let keys: Vec<String> = captured::content(root).into_keys().filter(|key| !key.starts_with("_dr/")).collect();
    let mut planted = 0;
    for chunk in keys.iter().filter_map(|key| ChunkName::parse(key)).step_by(20) {
        let twin = |uuid: &str| format!("{}.E-{}-O-{}.{uuid}", chunk.segment, chunk.epoch - 1, chunk.offset);
        write(root, &twin("00000000-0000-4000-8000-000000000001"), b"");
        write(root, &twin("00000000-0000-4000-8000-000000000002"), &[0x5a; 40]);
        planted += 1;
    }
    assert!(planted > 5, "{planted} twins");
    for journal in keys.iter().filter(|key| key.contains("_sysjournal.")).take(4) {
        write(root, &format!("{journal}.backup"), &std::fs::read(root.join(journal)).unwrap());
    }
    for foreign in ["notes.txt", "alpha/.DS_Store", "_system/containers/README", "lost+found/#1"] {
        write(root, foreign, b"not Pravega's");
    }
}

fn write(root: &Path, key: &str, content: &[u8]) {
    let path = root.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Each container is flushed on its own, so that of a change any part can be in Tier-2 and any other not.
fn changes() -> Summary {
    let mut course = Course::begin(|options| options.writer_flush_milliseconds = 2000);
    course.crash_under_changes(130);
    course.lose_and_recover();
    course.check_changes();
    course.check("after the changes");
    course.summary
}

/// Rounds of damage, each on the tree as the flush left it.
const DAMAGED_ROUNDS: u64 = 4;

/// Whatever is damaged: what the plan keeps is served, and every container takes work and goes on.
fn damaged() -> Summary {
    let mut course = Course::begin(|options| options.writer_flush_milliseconds = 1000);
    course.workload();
    course.flush();
    history::lose_tier1(&mut course.test);
    course.forget_workload();
    let sound = captured::content(&course.test.lab.tier2_directory());
    damage_again_and_again(&mut course, sound, DAMAGED_ROUNDS);
    course.summary
}

/// Its empty segments, one of the controller's own streams among them, are known to nobody but this container.
const ROWS_GONE: &str = "_system/containers/metadata_1.E-";

/// Of this key-value table all is there but how it was made.
const MAKING_GONE: &str = "tables/two-part-keys";

/// The same on a captured tree, once, and all rows of a container are gone besides, and all that tells of a key-value table but its name:
/// it can be created once more, and holds what it held.
fn damaged_capture() -> Summary {
    let mut course = Course::prepare(|options| options.writer_flush_milliseconds = 1000);
    must("start Tier-1", course.test.lab.start_tier1());
    let mut tree = captured::content(&captured::unpack("flushed").root);
    tree.iter_mut().filter(|(key, _)| key.starts_with(ROWS_GONE)).for_each(|(_, content)| content.clear());
    let (own_table, requests) = (format!("_system/_tables/{MAKING_GONE}/"), "_system/_kvTableStream/");
    let whole = tree.len();
    tree.retain(|key, _| !key.starts_with(&own_table) && !key.starts_with(requests));
    assert!(tree.len() < whole);
    damage_again_and_again(&mut course, tree, 1);
    course.create_again(&captured::truth("flushed"), MAKING_GONE);
    course.summary
}

fn damage_again_and_again(course: &mut Course, sound: BTreeMap<String, Vec<u8>>, rounds: u64) {
    let sound: Tree = sound.into_iter().map(|(key, content)| (key, Arc::new(content))).collect();
    for seed in 1..=rounds {
        if seed > 1 {
            history::lose_tier1(&mut course.test);
            course.forget_workload();
        }
        replace(&course.test.lab.tier2_directory(), &damaged_in_each_class(&sound, seed));
        course.recover_with(&["--accept-loss"]);
        course.work(5);
    }
}

/// The tree with an object of each class damaged, in a way that the seed decides. No two damages are to the same object.
fn damaged_in_each_class(sound: &Tree, seed: u64) -> Tree {
    let mut cases = BTreeMap::new();
    for case in sampled(cases_of(sound, seed), usize::MAX, seed) {
        cases.entry(case.class).or_insert(case);
    }
    cases.values().fold(sound.clone(), |tree, case| {
        eprintln!("round {seed}: {}, {}", case.key, case.kind.as_str());
        case.damaged(&tree)
    })
}

fn replace(root: &Path, tree: &Tree) {
    if root.exists() {
        std::fs::remove_dir_all(root).unwrap();
    }
    tree.iter().for_each(|(key, content)| write(root, key, content));
}

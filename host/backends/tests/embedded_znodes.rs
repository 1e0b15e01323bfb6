//! The embedded directory against the model in memory, and what a crash may leave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::fs;

use dr_backends::tier1::{EmbeddedZNodes, MemoryZNodes, Tier1Error, ZNodes};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Get(String),
    Children(String),
    Create(String, Vec<u8>),
    CreateAll(Vec<(String, Vec<u8>)>),
    Set(String, Vec<u8>, i32),
    Delete(String, i32),
    Sequence(String),
}

fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b=+", "%2E", ".z", "ledger idgen", "ü"]);
    prop::collection::vec(part, 0..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn step() -> impl Strategy<Value = Step> {
    let data = || prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        path().prop_map(Step::Get),
        path().prop_map(Step::Children),
        (path(), data()).prop_map(|(path, data)| Step::Create(path, data)),
        prop::collection::vec((path(), data()), 0..5).prop_map(Step::CreateAll),
        (path(), data(), 0..3).prop_map(|(path, data, version)| Step::Set(path, data, version)),
        (path(), 0..3).prop_map(|(path, version)| Step::Delete(path, version)),
        path().prop_map(Step::Sequence),
    ]
}

/// The outcome in a form that two implementations share.
fn run(nodes: &dyn ZNodes, step: &Step) -> String {
    match step {
        Step::Get(path) => describe(nodes.get(path)),
        Step::Children(path) => describe(nodes.children(path)),
        Step::Create(path, data) => describe(nodes.create(path, data)),
        Step::CreateAll(all) => {
            let all: Vec<_> = all.iter().map(|(path, data)| (path.as_str(), data.as_slice())).collect();
            describe(nodes.create_all(&all))
        }
        Step::Set(path, data, version) => describe(nodes.set(path, data, *version)),
        Step::Delete(path, version) => describe(nodes.delete(path, *version)),
        Step::Sequence(path) => {
            let parent = path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
            [describe(nodes.next_sequence(path)), describe(nodes.coming_sequence(parent))].concat()
        }
    }
}

fn describe<Value: std::fmt::Debug>(result: Result<Value, Tier1Error>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(Tier1Error::NotFound { name, .. }) => format!("not found {name}"),
        Err(Tier1Error::Exists { name, .. }) => format!("exists {name}"),
        Err(Tier1Error::Version { name, expected, .. }) => format!("version {name} {expected}"),
        Err(Tier1Error::NotEmpty { name, .. }) => format!("not empty {name}"),
        Err(Tier1Error::Path { path, .. }) => format!("path {path}"),
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn behaves_as_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let mut embedded = EmbeddedZNodes::open(directory.path().join("tier1")).unwrap();
        let model = MemoryZNodes::new();
        for (number, step) in steps.iter().enumerate() {
            if number % 8 == 7 {
                embedded = EmbeddedZNodes::open(directory.path().join("tier1")).unwrap();
            }
            prop_assert_eq!(run(&embedded, step), run(&model, step), "{:?}", step);
        }
    }
}

#[test]
fn what_a_crash_leaves_is_no_node() {
    let directory = tempfile::tempdir().unwrap();
    let nodes = EmbeddedZNodes::open(directory.path()).unwrap();
    nodes.create("/a", b"1").unwrap();
    // A node whose directory exists, but whose content was still under its temporary name.
    fs::create_dir(directory.path().join("znodes/a/b")).unwrap();
    fs::write(directory.path().join("znodes/a/b/.temporary"), b"versi").unwrap();
    assert_eq!(nodes.get("/a/b").unwrap(), None);
    assert_eq!(nodes.children("/a").unwrap().unwrap(), Vec::<String>::new());
    nodes.create("/a/b", b"2").unwrap();
    assert_eq!(nodes.get("/a/b").unwrap().unwrap().data, b"2");
    // A change that was cut before the rename leaves the old content.
    fs::write(directory.path().join("znodes/a/.temporary"), b"version 1\nnew").unwrap();
    assert_eq!(nodes.get("/a").unwrap().unwrap().data, b"1");
    assert_eq!(nodes.set("/a", b"3", 0).unwrap(), 1);
}

#[test]
fn damage_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let nodes = EmbeddedZNodes::open(directory.path()).unwrap();
    nodes.create("/a", b"1").unwrap();
    fs::write(directory.path().join("znodes/a/.znode"), b"no header").unwrap();
    let message = nodes.get("/a").unwrap_err().to_string();
    assert!(message.contains("/a") && message.contains("version N"), "{message}");
}

#[test]
fn several_handles_take_different_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let nodes = EmbeddedZNodes::open(directory.path()).unwrap();
            std::thread::spawn(move || (0..10).map(|_| nodes.next_sequence("/idgen/ID-").unwrap()).collect::<Vec<_>>())
        })
        .collect();
    let mut numbers: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
}

#[test]
fn long_names_are_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let nodes = EmbeddedZNodes::open(directory.path()).unwrap();
    let message = nodes.create(&format!("/{}", "%".repeat(100)), b"").unwrap_err().to_string();
    assert!(message.contains("255"), "{message}");
}

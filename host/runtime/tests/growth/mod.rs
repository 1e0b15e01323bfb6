//! Released versions of the contract stay what they were, and later ones grow by the rules of
//! docs/design/012-contract-growth.md. Proven with small made-up contracts, then asked of the real one.

mod contract;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use dr_runtime::{Limits, Runtime, component_digest};
use flate2::read::GzDecoder;

use self::contract::Contract;

/// Releases, in their order: SHA-256 and path of each contract, as `sha256sum` writes them.
const RELEASED: &str = "wit/RELEASED";
/// What was compiled for each version: `VERSION/NAME.wasm.gz`.
const GUESTS: &str = "tests/data/compiled-guests";

/// What is wrong in a tree with `wit/` and the guests of its versions: sentences.
fn problems(root: &Path) -> Vec<String> {
    let released = fs::read_to_string(root.join(RELEASED)).unwrap_or_default();
    let mut problems = Vec::new();
    let mut releases: Vec<Contract> = Vec::new();
    for (digest, path) in released.lines().filter_map(|line| line.split_once("  ")) {
        let file = root.join("wit").join(path);
        if component_digest(&fs::read(&file).unwrap_or_default()) != digest {
            problems.push(format!("{path} was released and is not what it was"));
        }
        releases.push(Contract::read(file.parent().unwrap()));
    }
    let unreleased = folders(root).into_iter().map(|folder| Contract::read(&folder));
    let is_unreleased = |contract: &Contract| releases.iter().all(|release| release.version != contract.version);
    let mut all: Vec<Contract> = unreleased.filter(is_unreleased).collect();
    all.extend(releases);
    all.sort_by(|one, other| one.version.cmp(&other.version));
    problems.extend(all.iter().flat_map(|contract| guests_problems(root, &contract.version.to_string())));
    problems.extend(all.windows(2).flat_map(|pair| pair[0].rules_broken_by(&pair[1])));
    problems
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join("wit")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Guests of a version have to be there, and to be procedures for this host.
fn guests_problems(root: &Path, version: &str) -> Vec<String> {
    let folder = root.join(GUESTS).join(version);
    let entries = fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let guests: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(".wasm.gz")).collect();
    if guests.is_empty() {
        return vec![format!("{GUESTS}/{version} holds no guest that was compiled for {version}")];
    }
    let runtime = Runtime::new(Limits::default()).unwrap();
    let load = |path: &PathBuf| runtime.load(&unpacked(path).unwrap(), &path.display().to_string()).err();
    guests.iter().filter_map(load).map(|error| error.to_string()).collect()
}

fn unpacked(path: &Path) -> io::Result<Vec<u8>> {
    let mut component = Vec::new();
    GzDecoder::new(File::open(path)?).read_to_end(&mut component)?;
    Ok(component)
}

#[test]
fn the_contract_grows_by_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert_eq!(problems(&root), Vec::<String>::new());
}

#[test]
fn every_rule_of_growth_is_checked() {
    const OLD: &str = "interface i { record r { a: u32 } get: func(x: r) -> result<list<r>, string>; }";
    let step = |from: &str, to: &str, new: &str| {
        let [old, new] = [(from, OLD), (to, new)].map(|(version, text)| Contract::of_text(version, text));
        old.rules_broken_by(&new)
    };
    let commented = format!("/// Says what it is.\n{OLD}");
    let function = OLD.replace("get:", "put: func(); get:");
    let interface = format!("{OLD} interface j {{ get: func(); }}");
    for allowed in [OLD, &commented] {
        assert!(step("0.1.0", "0.1.0", allowed).is_empty() && step("1.1.0", "1.1.1", allowed).is_empty(), "{allowed}");
    }
    for added in [&function, &interface] {
        assert!(step("0.1.0", "0.2.0", added).is_empty() && step("1.1.0", "1.2.0", added).is_empty(), "{added}");
        let [within, patch] = ["0.1.0", "0.1.1"].map(|to| step("0.1.0", to, added).join("; "));
        assert!(within.contains("is new in 0.1.0, which has to stay as it is"), "{within}");
        assert!(patch.contains("is new in 0.1.1, which has to be a new minor version"), "{patch}");
    }
    for (what, from, to) in [
        ("i.r", "a: u32", "a: u32, b: u32"),
        ("i.r", "a: u32", "a: u64"),
        ("i.get", "x: r", "x: list<r>"),
        ("i.get", "list<r>", "option<r>"),
        ("i.get", "get: func(x: r) -> result<list<r>, string>;", ""),
    ] {
        let changed = OLD.replace(from, to);
        assert!(
            step("0.1.0", "0.2.0", &changed).is_empty() && step("1.1.0", "2.0.0", &changed).is_empty(),
            "{changed}"
        );
        for (from, to) in [("0.1.0", "0.1.0"), ("0.1.0", "0.1.1"), ("1.1.0", "1.2.0")] {
            let said = step(from, to, &changed).join("; ");
            assert!(said.contains(&format!("`{what}`")) && said.contains(to), "{from} to {to}: {said:?}");
        }
    }
}

#[test]
fn a_release_that_was_edited_or_has_no_guests_is_found() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let contract =
        |version: &str, body: &str| format!("package pravega:recovery@{version};\ninterface i {{ {body} }}\n");
    let first = contract("0.1.0", "get: func();");
    write("wit/0.1.0/recovery.wit", first.as_bytes());
    let guests = "tests/data/compiled-guests/0.1.0 holds no guest that was compiled for 0.1.0";
    assert_eq!(problems(place.path()), [guests]);
    let guest = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests/total-loss.wasm"));
    write("tests/data/compiled-guests/0.1.0/total-loss.wasm.gz", &packed(guest));
    assert_eq!(problems(place.path()), Vec::<String>::new(), "nothing is released");
    write("tests/data/compiled-guests/0.1.0/other.wasm.gz", &packed(b"\0asm\x0d\0\x01\0"));
    assert!(problems(place.path()).join("; ").contains("other.wasm.gz"), "it is no procedure for this host");
    fs::remove_file(place.path().join("tests/data/compiled-guests/0.1.0/other.wasm.gz")).unwrap();

    write(RELEASED, format!("{}  0.1.0/recovery.wit\n", component_digest(first.as_bytes())).as_bytes());
    assert_eq!(problems(place.path()), Vec::<String>::new());

    write("wit/0.1.1/recovery.wit", contract("0.1.1", "get: func(); put: func();").as_bytes());
    assert!(problems(place.path()).join("; ").contains("`i.put` is new in 0.1.1"));
    fs::remove_dir_all(place.path().join("wit/0.1.1")).unwrap();
    write("wit/0.1.0/recovery.wit", contract("0.1.0", "get: func() -> u32;").as_bytes());
    assert_eq!(problems(place.path()), ["0.1.0/recovery.wit was released and is not what it was"]);
}

fn packed(component: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(component, flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    packed
}

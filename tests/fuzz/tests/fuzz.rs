//! A slice of the fuzzing, the inputs of earlier findings, and the completeness of the list of decoders.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::Path;

use dr_fuzz::campaign::{self, Effort};
use dr_fuzz::judge::{catch_quietly, judge};
use dr_fuzz::seeds::Captured;
use dr_fuzz::{decoders, regressions};

/// Inputs for each decoder; `cargo xtask fuzz` runs millions.
const INPUTS: u64 = 20_000;

#[test]
fn no_finding_in_a_slice() {
    let captured = Captured::load();
    let effort = Effort { inputs: INPUTS, seed: 20, time: None, threads: 2 };
    for decoder in decoders::all() {
        let report = campaign::run(decoder, (decoder.seeds)(&captured), effort);
        let name = decoder.name;
        for finding in &report.findings {
            println!("{name}, input {}: {}\n{:02x?}", finding.number, finding.defect, finding.input);
        }
        assert!(report.findings.is_empty(), "{name}: see above; `cargo xtask fuzz --decoder {name}` minimises");
        assert_eq!(report.inputs, INPUTS, "{name}");
        // Inputs that are all refused would test little more than the first byte.
        assert!(report.accepted > INPUTS / 100, "{name}: only {} inputs were accepted", report.accepted);
    }
}

#[test]
fn seeds_are_accepted() {
    catch_quietly();
    let captured = Captured::load();
    for decoder in decoders::all() {
        let seeds = (decoder.seeds)(&captured);
        let outcomes: Vec<_> = seeds.iter().map(|seed| judge(decoder, seed)).collect();
        let refused = outcomes.iter().filter(|outcome| **outcome == Ok(dr_fuzz::decoder::Outcome::Refused)).count();
        assert!(outcomes.iter().all(Result::is_ok), "{}: {outcomes:?}", decoder.name);
        // Journals that go on after others and pieces that begin inside an event are refused.
        assert!(!seeds.is_empty() && refused * 2 <= seeds.len(), "{}: {refused} of {}", decoder.name, seeds.len());
    }
}

#[test]
fn earlier_findings_stay_mended() {
    catch_quietly();
    for (name, path, input) in regressions::all().unwrap() {
        let decoder = decoders::all().find(|decoder| decoder.name == name);
        let decoder = decoder.unwrap_or_else(|| panic!("{}: no such decoder", path.display()));
        let outcome = judge(decoder, &input);
        assert!(outcome.is_ok(), "{}: {outcome:?}", path.display());
    }
}

/// Functions that take bytes, text or a reader, but that decode nothing.
const NO_DECODERS: &[&str] = &[
    "attribute_index::IndexBuilder::push",
    "controller::CommitOrder::entity_node",
    "controller::CommitOrder::seal_node",
    "controller::Request::encode",
    "controller::Request::node",
    "controller::event_processors_node",
    "controller::key_of_completed_transaction",
    "controller::transaction_index_node",
    "data_frame::FrameWriter::flush",
    "data_frame::FrameWriter::record",
    "data_frame::FrameWriter::record_alone",
    "journal::encode_batch",
    "journal::JournalReplay::extend_last_chunks",
    "ledger_entry::EntryCodec::encode",
    "names::reader_group_table",
    "names::scope_table",
    "names::stream_table",
    "names::stream_tags_tables",
    "primitives::Writer::byte_array",
    "primitives::Writer::bytes",
    "primitives::Writer::utf",
    "table::write_entry",
];

/// Every public function of `dr-formats` that takes bytes, text, a reader or a segment is covered by a decoder or listed
/// above. That a check calls what its decoder claims to cover is for its reader to see.
#[test]
fn no_decoder_is_left_out() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/formats/src");
    let mut public = BTreeSet::new();
    collect(&sources, &sources, &mut public);
    assert!(public.len() > 40, "the sources were not understood: {public:?}");
    let covered: BTreeSet<&str> = decoders::all().flat_map(|decoder| decoder.covers).copied().collect();
    let is_covered = |name: &String| {
        let all_of_type = name.rsplit_once("::").map(|(of, _)| format!("{of}::*"));
        covered.contains(name.as_str()) || all_of_type.is_some_and(|all| covered.contains(all.as_str()))
    };
    let missing: Vec<_> =
        public.iter().filter(|name| !is_covered(name) && !NO_DECODERS.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "neither fuzzed nor listed: {missing:#?}");
    let listed = covered.iter().chain(NO_DECODERS).filter(|name| !name.ends_with('*'));
    let gone: Vec<_> = listed.filter(|name| !public.contains(**name)).collect();
    assert!(gone.is_empty(), "listed, but not in the sources: {gone:#?}");
}

/// Adds the functions of all files below `folder` as `module::[Type::]function`, with the top module only.
fn collect(root: &Path, folder: &Path, public: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, public);
            continue;
        }
        if path.file_stem().is_some_and(|stem| stem == "tests" || stem == "test_support") {
            continue;
        }
        let module = path.strip_prefix(root).unwrap().components().next().unwrap();
        let module = Path::new(&module).file_stem().unwrap().to_str().unwrap();
        functions(module, &std::fs::read_to_string(&path).unwrap(), public);
    }
}

fn functions(module: &str, source: &str, public: &mut BTreeSet<String>) {
    let mut of = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("mod tests {") {
            return;
        }
        if line.starts_with("impl") {
            of = type_of(line);
        } else if line.starts_with('}') {
            of.clear();
        }
        let Some(rest) = line.trim_start().strip_prefix("pub ") else { continue };
        let Some(rest) = rest.strip_prefix("const ").unwrap_or(rest).strip_prefix("fn ") else { continue };
        let mut signature = rest.to_owned();
        while !signature.contains(['{', ';']) {
            signature.push_str(lines.next().unwrap());
        }
        let name: String =
            rest.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
        if takes_input(&signature, &name) {
            let of = if of.is_empty() { String::new() } else { format!("{of}::") };
            public.insert(format!("{module}::{of}{name}"));
        }
    }
}

/// `Type` of `impl<'a> Trait for Type<'a> {`.
fn type_of(line: &str) -> String {
    let line = line.trim_end_matches('{').trim();
    let of = line.rsplit(" for ").next().unwrap_or(line);
    let of = of.strip_prefix("impl").unwrap_or(of);
    // Parameters of the impl come first.
    let of = if of.starts_with('<') { of.split_once('>').map_or(of, |(_, rest)| rest) } else { of };
    of.trim().chars().take_while(|character| character.is_alphanumeric()).collect()
}

fn takes_input(signature: &str, name: &str) -> bool {
    let parameters = signature.split("->").next().unwrap_or(signature);
    let types = ["[u8]", "[u8;", "str,", "str)", "Reader<", "SegmentBytes", "JournalRecord", "JournalName", "Record<"];
    let named = ["decode", "parse", "read"].iter().any(|verb| name.starts_with(verb));
    named || types.iter().any(|one| parameters.contains(one))
}

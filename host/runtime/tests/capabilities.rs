//! The contract: the capabilities that can be declared and granted are its functions, and it grows by its rules.
// Tests may fail loudly.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod growth;

use dr_runtime::Capability;

/// Interfaces whose calls need no capability.
const FREE: [&str; 2] = ["report", "types"];

#[test]
fn the_capabilities_are_the_functions_of_the_contract() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/0.1.0");
    let mut contract = wit_parser::Resolve::default();
    let (package, _) = contract.push_path(folder).unwrap();
    let mut functions = Vec::new();
    for (name, interface) in &contract.packages[package].interfaces {
        if FREE.contains(&name.as_str()) {
            continue;
        }
        let of_interface = contract.interfaces[*interface].functions.values();
        // Methods belong to a resource, which some free function has handed out.
        let free = of_interface.filter(|function| function.kind.resource().is_none());
        functions.extend(free.map(|function| format!("{name}.{}", function.name)));
    }
    assert_eq!(Capability::ALL.map(Capability::name).as_slice(), functions);
}

#[test]
fn a_name_is_parsed_and_a_typo_lists_what_exists() {
    for capability in Capability::ALL {
        assert_eq!(Capability::parse(capability.name()), Ok(capability));
    }
    let problem = Capability::parse("storage.move-asides").unwrap_err();
    assert!(problem.contains("\"storage.move-asides\"") && problem.contains("storage.move-aside,"), "{problem}");
}

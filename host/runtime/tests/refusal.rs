//! What is not a procedure of this contract is refused with a sentence, before anything of it runs.
// Helpers of tests may fail like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use dr_runtime::{Limits, Runtime, RuntimeError};

fn refusal(bytes: &[u8]) -> String {
    let runtime = Runtime::new(Limits::default()).unwrap();
    let error = runtime.load(bytes, "some.wasm").unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.starts_with("some.wasm"), "{sentence}");
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence
}

fn refused_text(wat: &str) -> String {
    refusal(&wat::parse_str(wat).unwrap())
}

#[track_caller]
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

#[test]
fn what_is_no_component() {
    says(&refusal(b""), &["it is empty"]);
    says(&refusal(b"#!/bin/sh\n"), &["not WebAssembly at all", "pravega:recovery/procedure@0.1.0"]);
    says(&refusal(b"(component)"), &["WebAssembly text"]);
    says(&refusal(b"\0asm\x0e\0\x01\0"), &["a version that is not known"]);
    says(&refused_text("(module)"), &["core WebAssembly module", "wasm-tools component new"]);
}

#[test]
fn a_component_cut_in_the_middle_is_damaged() {
    let whole = wat::parse_str(r#"(component (import "pravega:recovery/types@0.1.0" (instance)))"#).unwrap();
    says(&refusal(&whole[..whole.len() - 3]), &["is damaged or not valid WebAssembly"]);
}

#[test]
fn a_foreign_import_is_named_with_a_way_out() {
    let wasi = refused_text(r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#);
    says(&wasi, &["`wasi:cli/environment@0.2.0`", "build it without WASI", "wasm32-unknown-unknown"]);
    let function = refused_text(r#"(component (import "exec" (func)))"#);
    says(&function, &["`exec`", "`pravega:recovery` only"]);
    let unknown = refused_text(r#"(component (import "pravega:recovery/shell@0.1.0" (instance)))"#);
    says(&unknown, &["`pravega:recovery/shell@0.1.0`", "no such interface"]);
}

#[test]
fn another_release_of_the_contract_is_no_link_error() {
    for import in ["pravega:recovery/storage@0.2.0", "pravega:recovery/storage@0.1.1", "pravega:recovery/storage"] {
        let sentence = refused_text(&format!(r#"(component (import "{import}" (instance)))"#));
        says(&sentence, &[import, "speaks `pravega:recovery@0.1.0`", "rebuild"]);
    }
}

#[test]
fn exports_are_exactly_the_worlds() {
    says(&refused_text("(component)"), &["does not export `describe`"]);
    let with_extra = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (export "describe" (func $f)) (export "prepare" (func $f)) (export "run" (func $f)) (export "finish" (func $f))
        EXTRA)"#;
    let extra = refused_text(&with_extra.replace("EXTRA", r#"(export "shell" (func $f))"#));
    says(&extra, &["exports `shell`, which the world does not have"]);
    let types = refused_text(&with_extra.replace("EXTRA", ""));
    says(&types, &["are not those of the contract"]);
}

#[test]
fn a_component_larger_than_the_limit_is_not_even_parsed() {
    let runtime = Runtime::new(Limits { component_bytes: 10, ..Limits::default() }).unwrap();
    let error = runtime.load(&[0; 11], "some.wasm").unwrap_err();
    assert!(matches!(&error, RuntimeError::InvalidComponent { .. }));
    says(&error.to_string(), &["component-bytes", "11 bytes"]);
}

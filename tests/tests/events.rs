//! The stream of events of every command, compared with its schema: docs/schemas/events.schema.json.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use dr_tests::captured;
use dr_tests::dr;
use serde_json::Value;

/// The part of JSON Schema that the schema uses: type, enum, required, properties, items.
fn check(value: &Value, schema: &Value, place: &str) {
    if let Some(types) = schema.get("type") {
        let types = types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]);
        let fits = |wanted: &Value| match wanted.as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            other => panic!("the schema says `{other}`"),
        };
        assert!(types.iter().any(fits), "{place}: {types:?} expected, found {value}");
    }
    if let Some(possible) = schema.get("enum") {
        assert!(possible.as_array().unwrap().contains(value), "{place}: {value} is none of {possible}");
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{place}: no {name} in {value}");
    }
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check(value, property, &format!("{place}.{name}"));
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(items) = schema.get("items") {
            check(item, items, &format!("{place}[{index}]"));
        }
    }
}

/// The schema of an event, if it is one of the documented ones; each field of the event must be documented as well.
fn check_event(schema: &Value, event: &Value) -> String {
    let name = event["event"].as_str().unwrap();
    let definition = &schema["$defs"][name];
    assert!(definition.is_object(), "the event `{name}` is not in the schema");
    assert_eq!(event["version"], 1);
    check(event, definition, name);
    for field in event.as_object().unwrap().keys().filter(|field| !["version", "event"].contains(&field.as_str())) {
        assert!(definition["properties"].get(field).is_some(), "`{name}.{field}` is not in the schema");
    }
    name.to_owned()
}

#[test]
fn every_command_tells_documented_events() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schemas/events.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let tree = captured::unpack("crashed");
    let root = tree.root.to_str().unwrap();
    let tier1 = ["--cluster", "lab", "--tier1", "dir:tier1", "--output", "json"];
    let commands: Vec<Vec<&str>> = vec![
        vec!["list-segments", root, "--output", "json"],
        [&["diagnose", root][..], &tier1].concat(),
        [&["recover", root, "--yes", "--run-directory", "run", "--record", "calls.jsonl"][..], &tier1].concat(),
        vec!["replay", "calls.jsonl", "--output", "json"],
        [&["recover", root, "--yes", "--run-directory", "other"][..], &tier1].concat(),
        [&["verify", root, "--read-data"][..], &tier1].concat(),
        [&["verify", root, "--sample", "10"][..], &tier1].concat(),
        vec!["show", "run", "--output", "json"],
        vec!["diff", "run", "run", "--output", "json"],
        vec!["audit", "run", "--output", "json"],
        vec!["rollback", "run", "--yes", "--output", "json"],
        vec!["test", "scenario.toml", "--output", "json"],
        vec!["procedure", "list", "--output", "json"],
        vec!["procedure", "inspect", "total-loss", "--output", "json"],
        vec!["procedure", "verify", "total-loss", "--output", "json"],
        vec!["inspect", "chunk-chain", root, "no/such/segment", "--output", "json"],
    ];
    let scenario =
        "scenario = 1\nname = \"replayed\"\n[recording]\npath = \"calls.jsonl\"\n[expect]\noutcome = \"crash\"\n";
    std::fs::write(tree.directory.path().join("scenario.toml"), scenario).unwrap();
    let mut seen = BTreeSet::new();
    for command in commands {
        let said = dr::run(tree.directory.path(), &command);
        let events: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((events[0]["event"].as_str(), &events[0]["command"]), (Some("started"), &Value::from(command[0])));
        let last = events.last().unwrap();
        assert_eq!((last["event"].as_str(), last["exit_code"].as_i64()), (Some("finished"), Some(said.code.into())));
        seen.extend(events.iter().map(|event| check_event(&schema, event)));
    }
    let documented: BTreeSet<String> = schema["$defs"].as_object().unwrap().keys().cloned().collect();
    // These need a long run, an odd configuration, damage, or running servers.
    let unseen = ["stage-advanced", "message", "warning", "file-written", "found", "damage", "verified-online"]
        .map(str::to_owned)
        .into();
    let missing: BTreeSet<_> =
        documented.difference(&seen).filter(|name| !BTreeSet::contains(&unseen, *name)).collect();
    assert!(missing.is_empty(), "not told by any command: {missing:?}");
}

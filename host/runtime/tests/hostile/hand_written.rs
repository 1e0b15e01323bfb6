//! Guests that no compiler would produce: they lie about pointers, handles, lengths and shapes.

use std::sync::Arc;

use dr_runtime::{Failure, Limits, Procedure, Runtime, RuntimeError};

use super::support::MockHost;
use super::{hurried, limits};

const COMPONENT: &str = include_str!("guest.wat");

/// What is put into the core module; what is left out behaves.
#[derive(Clone, Copy)]
struct Parts {
    declarations: &'static str,
    describe: &'static str,
    prepare: &'static str,
    run: &'static str,
    realloc: &'static str,
}

const GOOD: Parts = Parts {
    declarations: "",
    describe: "(i32.const 16)",
    prepare: "(i32.const 128)",
    run: "(i32.const 192)",
    realloc: "(local.tee $old (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
              (global.set $free (i32.add (local.get $old) (local.get $size)))",
};

impl Parts {
    /// The component.
    fn component(&self) -> Vec<u8> {
        let text = COMPONENT
            .replace("$$declarations", self.declarations)
            .replace("$$describe", self.describe)
            .replace("$$prepare", self.prepare)
            .replace("$$run", self.run)
            .replace("$$realloc", self.realloc);
        wat::parse_str(text).unwrap()
    }

    fn load(&self, limits: Limits) -> Result<Procedure, RuntimeError> {
        Runtime::new(limits).unwrap().load(&self.component(), "hostile.wasm")
    }

    /// The error of its only task.
    #[track_caller]
    fn failure(&self) -> Failure {
        let host = Arc::new(MockHost::with_segments(1, 3));
        let error = self.load(limits()).unwrap().execute(host.clone(), &[], &[], 1, &()).unwrap_err();
        let sentence = error.to_string();
        assert!(sentence.starts_with("the procedure `hostile` failed in `run` of task `one`: "), "{sentence}");
        assert!(host.told().is_empty(), "{:?}", host.told());
        match error {
            RuntimeError::Failed { failure, .. } => failure,
            other => panic!("{other:?}"),
        }
    }
}

/// A guest whose task does this.
fn doing(run: &'static str) -> Parts {
    Parts { run, ..GOOD }
}

#[track_caller]
fn assert_breaks(parts: Parts, expected: &str) {
    let failure = parts.failure();
    let said = failure.to_string();
    assert!(matches!(failure, Failure::Rule(_) | Failure::Trap { .. }) && said.contains(expected), "{failure:?}");
}

#[test]
fn the_module_is_a_procedure_that_behaves() {
    let host = Arc::new(MockHost::with_segments(1, 3));
    GOOD.load(limits()).unwrap().execute(host, &[], &[], 1, &()).unwrap();
}

#[test]
fn hogs_of_tables_and_memories_reach_their_limits() {
    let reaches = |failure: Failure, limit: &str| {
        assert!(matches!(&failure, Failure::Limit { name, .. } if *name == limit), "{failure:?}");
    };
    let table = Parts {
        declarations: "(table $t 1 funcref)",
        run: "(drop (table.grow $t (ref.null func) (i32.const 200000))) (i32.const 192)",
        ..GOOD
    };
    reaches(table.failure(), "table-elements");
    let tables = Parts {
        declarations: "(table $a 1 funcref) (table $b 1 funcref)",
        run: "(drop (table.grow $a (ref.null func) (i32.const 60000)))
              (drop (table.grow $b (ref.null func) (i32.const 60000))) (i32.const 192)",
        ..GOOD
    };
    reaches(tables.failure(), "table-elements");
    reaches(doing("(drop (memory.grow (i32.const 600))) (i32.const 192)").failure(), "memory-bytes");

    // What is there from the beginning counts, too.
    let in_describe = |parts: Parts, limits: Limits| match parts.load(limits) {
        Err(RuntimeError::Failed { procedure, failure, .. }) if procedure == "hostile.wasm" => failure,
        other => panic!("{other:?}"),
    };
    reaches(in_describe(Parts { declarations: "(table 200000 funcref)", ..GOOD }, limits()), "table-elements");
    reaches(in_describe(Parts { declarations: "(memory 4000)", ..GOOD }, limits()), "memory-bytes");
    reaches(in_describe(GOOD, Limits { instances: 1, ..limits() }), "instances");
}

#[test]
fn forged_and_stale_handles_break_a_rule() {
    assert_breaks(
        doing("(call $segments (i32.const 77) (i32.const 1) (i32.const 256)) (i32.const 192)"),
        "unknown handle index 77",
    );
    assert_breaks(doing("(call $drop-segments (i32.const 77)) (i32.const 192)"), "unknown handle index 77");
    let with_listing = "(call $list-segments (i32.const 0) (i32.const 256))";
    let cases = [
        (
            "(call $drop-segments (i32.load (i32.const 260))) (call $segments (i32.load (i32.const 260)) (i32.const 1) (i32.const 256))",
            "unknown handle index",
        ),
        (
            "(call $drop-segments (i32.load (i32.const 260))) (call $drop-segments (i32.load (i32.const 260)))",
            "unknown handle index",
        ),
        // A listing of segments that is used as one of objects.
        ("(call $objects (i32.load (i32.const 260)) (i32.const 1) (i32.const 256))", "handle index"),
    ];
    for (deed, expected) in cases {
        let run: &'static str = format!("{with_listing} {deed} (i32.const 192)").leak();
        assert_breaks(doing(run), expected);
    }
}

#[test]
fn pointers_and_lengths_that_lie_break_a_rule() {
    for (deed, expected) in [
        ("(call $get (i32.const 131060) (i32.const 100) (i32.const 256))", "out of bounds"),
        ("(call $get (i32.const -16) (i32.const 100) (i32.const 256))", "out of bounds"),
        ("(call $get (i32.const 512) (i32.const -1) (i32.const 256))", "out of bounds"),
        ("(call $get (i32.const 512) (i32.const 7) (i32.const -4))", "out of bounds"),
        ("(call $get (i32.const 512) (i32.const 7) (i32.const 257))", "not aligned"),
        // Text that is no text.
        (
            "(i32.store8 (i32.const 300) (i32.const 255)) (call $get (i32.const 300) (i32.const 1) (i32.const 256))",
            "utf-8",
        ),
        // A list of 2^28 texts in a memory of two pages.
        (
            "(call $move-aside (i32.const 0) (i32.const 64) (i32.const 268435456) (i32.const 512) (i32.const 7) (i32.const 256))",
            "out of bounds",
        ),
    ] {
        let run: &'static str = format!("{deed} (i32.const 192)").leak();
        assert_breaks(doing(run), expected);
    }
    assert_breaks(doing("(i32.const 3)"), "not aligned");
    assert_breaks(doing("(i32.const -4)"), "out of bounds");
    // A result that is neither ok nor an error, and an error of a case that the contract does not have.
    assert_breaks(doing("(i32.store8 (i32.const 192) (i32.const 7)) (i32.const 192)"), "discriminant");
    assert_breaks(
        doing("(i32.store (i32.const 192) (i32.const 1)) (i32.store (i32.const 196) (i32.const 99)) (i32.const 192)"),
        "discriminant",
    );
}

#[test]
fn an_allocator_that_lies_or_calls_back_breaks_a_rule() {
    let asks = "(call $containers (i32.const 256)) (i32.const 192)";
    // Only where the host allocates for its answer: `size` is known from one container, 32 bytes.
    let lies = |realloc: &'static str| Parts { run: asks, realloc, ..GOOD };
    let beyond: &'static str =
        format!("(if (i32.eq (local.get $size) (i32.const 32)) (then (return (i32.const -32)))) {}", GOOD.realloc)
            .leak();
    assert_breaks(lies(beyond), "beyond end of memory");
    let crooked: &'static str =
        format!("(if (i32.eq (local.get $size) (i32.const 32)) (then (return (i32.const 8193)))) {}", GOOD.realloc)
            .leak();
    assert_breaks(lies(crooked), "not aligned");
    let reentrant: &'static str = format!(
        "(if (i32.eq (local.get $size) (i32.const 32)) (then (call $get (i32.const 512) (i32.const 7) (i32.const 256)))) {}",
        GOOD.realloc
    )
    .leak();
    assert_breaks(lies(reentrant), "cannot leave component instance");
}

#[test]
fn a_description_that_lies_is_refused() {
    let refused = |describe: &'static str| match (Parts { describe, ..GOOD }).load(hurried()) {
        Err(error) => error.to_string(),
        Ok(procedure) => panic!("{procedure:?} was loaded"),
    };
    let says = |describe: &'static str, expected: &str| {
        let said = refused(describe);
        assert!(
            said.starts_with("the procedure `hostile.wasm` failed in `describe`: ") && said.contains(expected),
            "{said}"
        );
    };
    says("(i32.const 18)", "not aligned");
    says("(i32.const 131064)", "out of bounds");
    says("(i32.store8 (i32.const 513) (i32.const 254)) (i32.const 16)", "utf-8");
    says("(call $containers (i32.const 256)) (i32.const 16)", "`describe` must not call the host");
    says("unreachable", "it aborted itself");
    says("(loop $l (br $l)) (i32.const 16)", "`guest-time-seconds`");
    let said = refused("(i32.store8 (i32.const 512) (i32.const 27)) (i32.const 16)");
    assert!(said.contains("describes itself wrongly: its name is \"\\u{1b}ostile\""), "{said}");
}

#[test]
fn a_task_list_that_lies_breaks_a_rule() {
    let fails = |prepare: &'static str| {
        let procedure = Parts { prepare, ..GOOD }.load(limits()).unwrap();
        procedure.execute(Arc::new(MockHost::with_segments(1, 1)), &[], &[], 1, &()).unwrap_err().to_string()
    };
    let endless = fails("(i32.store (i32.const 136) (i32.const 100000000)) (i32.const 128)");
    assert!(
        endless.starts_with("the procedure `hostile` failed in `prepare`: ") && endless.contains("out of bounds"),
        "{endless}"
    );
    let option = fails("(i32.store8 (i32.const 168) (i32.const 9)) (i32.const 128)");
    assert!(option.contains("option"), "{option}");
}

#[test]
fn a_start_function_runs_under_the_same_rules() {
    let with_start = |body: &str| {
        let declarations: &'static str = format!("(func $start {body}) (start $start)").leak();
        Parts { declarations, ..GOOD }.load(hurried()).unwrap_err().to_string()
    };
    assert!(with_start("unreachable").contains("it aborted itself"));
    assert!(with_start("(loop $l (br $l))").contains("`guest-time-seconds`"));
    assert!(with_start("(call $drop-segments (i32.const 1))").contains("unknown handle index 1"));
}

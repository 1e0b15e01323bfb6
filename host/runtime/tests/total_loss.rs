//! The built-in procedures against a host in memory: what it stages, what it reports, what it costs.
// Helpers of tests may fail like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;

use dr_engine::contract::{
    CoreAttribute, EndedTransaction, Measure, MetadataRow, PendingWork, PendingZNode, RecoveryHost, Retention, Segment,
    StreamState, TransactionCounter, ZNode,
};
use dr_runtime::recording::exhaust;
use dr_runtime::{Execution, Limits, Procedure, Runtime};
use support::{MockHost, guest, overrides, segment};

fn procedure() -> Procedure {
    Runtime::new(Limits::default()).unwrap().load(&guest("total-loss"), "total-loss.wasm").unwrap()
}

fn recover(host: MockHost, set: &[(&str, &str)]) -> (Arc<MockHost>, Execution) {
    let procedure = procedure();
    let settings = procedure.settings(&overrides(set)).unwrap();
    let host = Arc::new(host);
    let as_host: Arc<dyn RecoveryHost> = host.clone();
    let execution = procedure.execute(as_host, &settings, &[], 2, &()).unwrap();
    (host, execution)
}

fn row(name: &str, start_offset: u64) -> MetadataRow {
    let attributes = [0, 7, 8, 9, 10, 11].map(|id| CoreAttribute { id, value: 1 }).to_vec();
    MetadataRow { name: name.to_owned(), start_offset, length: 100, sealed: false, attributes }
}

/// One container with one segment of every fate.
fn every_fate() -> MockHost {
    let with = |name: &str, change: fn(&mut Segment)| {
        let mut changed = segment(0, name);
        change(&mut changed);
        changed
    };
    let segments = vec![
        with("a/deleted", |s| s.standing = "deleted".into()),
        with("b/live", |_| {}),
        with("c/sealed", |s| {
            s.sealed = true;
            s.findings = vec!["sealed-differs".into()];
        }),
        with("d/torn", |s| s.recorded_length = Some(120)),
        with("e/bytes", |_| {}),
        with("f/unrecorded", |s| s.standing = "unrecorded".into()),
        with("g/queue", |s| s.kind = "garbage-collection-queue".into()),
        with("h/table", |s| s.kind = "controller-table".into()),
        with("i/unfinished", |s| s.kind = "transaction".into()),
    ];
    let unfinished = |id: &str, status: &str, outcome: &str| EndedTransaction {
        id: id.into(),
        stream: "s/t".into(),
        status: status.into(),
        outcome: outcome.into(),
    };
    let measure = |content: &str, whole_length| Measure { content: content.into(), whole_length, items: 1 };
    MockHost {
        segments: [(0, segments)].into(),
        measures: [
            ("d/torn".to_owned(), measure("events", 90)),
            ("e/bytes".to_owned(), measure("bytes", 7)),
            ("h/table".to_owned(), measure("table", 80)),
        ]
        .into(),
        rows: [(0, vec![row("a/deleted", 5), row("b/live", 5), row("d/torn", 95), row("z/gone", 5)])].into(),
        unfinished: [(0, vec![unfinished("1", "committing", "committed"), unfinished("2", "open", "aborted")])].into(),
        ..MockHost::default()
    }
}

#[test]
fn it_says_what_it_is() {
    let procedure = procedure();
    let description = procedure.description();
    assert_eq!(
        (description.name.as_str(), description.scenarios.as_slice()),
        ("total-loss", &["total-loss".into()][..])
    );
    assert_eq!(procedure.digest().len(), 64);
    let unknown = procedure.settings(&overrides(&[("tial", "as-is")])).unwrap_err().to_string();
    assert!(
        unknown.contains(
            "has no parameter `tial`; it has `tail`, `unrecorded`, `leftovers`, `reader-groups`, `open-transactions`, `backup-place`"
        ),
        "{unknown}"
    );
}

#[test]
fn it_follows_the_runbook() {
    let (host, _) = recover(every_fate(), &[]);
    let expected = [
        "decision f/unrecorded not created",
        "loss f/unrecorded 0..Some(100) unrecorded",
        "decision g/queue not created",
        "decision i/unfinished not created",
        "decision c/sealed sealed",
        "decision d/torn cut to 90 of 100 bytes",
        "loss d/torn 90..Some(100) torn",
        "loss d/torn 100..Some(120) missing-object",
        "decision h/table cut to 80 of 100 bytes",
        "loss h/table 80..Some(100) torn",
        "0: create b/live 100",
        "0: create c/sealed 100 sealed",
        "0: create d/torn 90",
        "0: create e/bytes 100",
        "0: create h/table 80",
        "0: end transactions",
        "decision transaction 1 of s/t ended as committed",
        "decision transaction 2 of s/t ended as aborted",
        "0: move _system/metadata_0 to _dr/moved-aside/container-0.epoch-2",
        "0: move gone_0 to _dr/moved-aside/container-0.epoch-2.leftovers",
        "decision objects of no segment 1 objects moved to `_dr/moved-aside/container-0.epoch-2.leftovers`",
        "decision d/torn start offset moved back to the end of the segment",
        "0: attributes b/live 0=1,9=1",
        "0: attributes d/torn 0=1,9=1",
        "0: truncate b/live 5",
        "0: truncate d/torn 90",
        "0: close",
        "create znode counter [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]",
    ];
    assert_eq!(host.told(), expected);
}

#[test]
fn the_operator_decides_on_tails_and_strangers() {
    let (host, _) = recover(
        every_fate(),
        &[
            ("tail", "as-is"),
            ("unrecorded", "create"),
            ("backup-place", "_dr/old/"),
            ("leftovers", "leave"),
            ("open-transactions", "as-is"),
        ],
    );
    let told = host.told();
    assert!(!told.iter().any(|told| told.contains("gone_0") || told.contains("end transactions")), "{told:#?}");
    for line in [
        "0: create d/torn 100",
        "0: create f/unrecorded 100",
        "0: create h/table 80",
        "0: create i/unfinished 100",
        "0: move _system/metadata_0 to _dr/old/container-0.epoch-2",
    ] {
        assert!(told.iter().any(|told| told == line), "{line} is not in {told:#?}");
    }
}

#[test]
fn the_counter_rises_and_retention_returns() {
    let stream = |name: &str, state: &str| StreamState {
        scope: "s".into(),
        name: name.into(),
        state: state.into(),
        retention: Some(Retention { kind: "size".into(), limit: 1 }),
        retention_znode: format!("buckets/0/{name}"),
    };
    let world = |counter: &[u8]| MockHost {
        counter: Some(TransactionCounter { high: 4, low: 9 }),
        streams: vec![stream("active", "active"), stream("known", "active"), stream("over", "sealed")],
        znodes: [("counter", counter), ("buckets/0/known", &[])]
            .map(|(path, data)| (path.to_owned(), ZNode { data: data.to_vec(), version: 6 }))
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>()
            .into(),
        ..MockHost::default()
    };
    let (lower, _) = recover(world(&[0; 12]), &[]);
    let raised = "set znode counter [0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0] if 6";
    assert_eq!(lower.told(), [raised, "create znode buckets/0/active []"]);
    let (higher, _) = recover(world(&[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]), &[]);
    assert_eq!(higher.told(), ["create znode buckets/0/active []"]);
}

#[test]
fn only_selected_containers_become_tasks() {
    let procedure = procedure();
    let settings = procedure.settings(&[]).unwrap();
    let host: Arc<dyn RecoveryHost> = Arc::new(MockHost::with_segments(4, 1));
    let execution = procedure.execute(host, &settings, &[2], 2, &()).unwrap();
    assert_eq!(execution.tasks.iter().map(|task| task.container).collect::<Vec<_>>(), [Some(2)]);
    let of_task = &execution.usage_by_task[&execution.tasks[0].id].calls["containers.open-fresh-container"];
    assert_eq!((execution.usage_by_task.len(), of_task.calls), (1, 1));
    let host: Arc<dyn RecoveryHost> = Arc::new(MockHost::with_segments(4, 1));
    let unknown = procedure.execute(host, &settings, &[9], 2, &()).unwrap_err().to_string();
    assert!(unknown.contains("failed in `prepare`: container 9 was selected"), "{unknown}");
}

/// 100,000 segments in two containers: a second is far more than it needs, so that a loaded machine passes.
#[test]
fn many_segments_cost_little() {
    let mut host = MockHost::with_segments(2, 50_000);
    for container in 0..2 {
        let rows = (0..50_000).map(|n| row(&format!("s/t{n:07}/0.#epoch.0"), 1)).collect();
        host.rows.insert(container, rows);
    }
    let (host, execution) = recover(host, &[]);
    let usage = &execution.usage;
    assert_eq!(host.told().iter().filter(|line| line.contains("create s/")).count(), 100_000);
    assert!(usage.call_count() < 500, "{} calls", usage.call_count());
    assert!(usage.memory_bytes_peak < 32 << 20, "{} bytes", usage.memory_bytes_peak);
    eprintln!(
        "guest {:?} ({:.0} %), host {:?}, fuel {}, memory {}, {} calls",
        usage.guest_time,
        100.0 * usage.guest_share(),
        usage.host_time,
        usage.fuel,
        usage.memory_bytes_peak,
        usage.call_count()
    );
}

#[test]
fn the_same_evidence_takes_the_same_fuel() {
    let fuel = || recover(MockHost::with_segments(3, 100), &[]).1.usage.fuel;
    assert_eq!(fuel(), fuel());
}

/// One segment of every fate, so that every branch of the procedure calls its host.
#[test]
fn whatever_call_fails_the_procedure_ends_cleanly() {
    let procedure = procedure();
    for set in [&[][..], &[("tail", "as-is"), ("unrecorded", "create"), ("open-transactions", "as-is")]] {
        let settings = procedure.settings(&overrides(set)).unwrap();
        let world = || -> Arc<dyn RecoveryHost> {
            let mut host = every_fate();
            let group = Segment { kind: "reader-group".into(), ..segment(0, "j/group") };
            host.segments.entry(0).or_default().push(group);
            host.streams = vec![StreamState {
                scope: "s".into(),
                name: "t".into(),
                state: "active".into(),
                retention: Some(Retention { kind: "size".into(), limit: 1 }),
                retention_znode: "buckets/0/t".into(),
            }];
            Arc::new(host)
        };
        let exhausted = exhaust(&procedure, &settings, &[], &world).unwrap();
        assert_eq!(exhausted.broken, [], "{set:?}");
        assert!(exhausted.run_count() > 100, "{set:?}: {:?}", exhausted.runs);
        // Every answer matters: nothing is recovered as if a call had not failed.
        assert_eq!(exhausted.succeeded, 0, "{set:?}");
    }
}

/// The other built-in procedure, which takes the same steps in `finish` and one more.
#[test]
fn what_controllers_had_under_way_is_handed_over_once() {
    let runtime = Runtime::new(Limits::default()).unwrap();
    let procedure = runtime.load(&guest("controller"), "controller").unwrap();
    let work = |path: Option<&str>| PendingWork {
        kind: "something-new".into(),
        subject: "stream s/t".into(),
        reason: "because".into(),
        znode: path.map(|path| PendingZNode { path: path.into(), data: vec![7] }),
    };
    let world = || MockHost {
        counter: Some(TransactionCounter { high: 0, low: 3 }),
        pending: vec![work(Some("a/new")), work(Some("a/known")), work(None)],
        znodes: std::collections::BTreeMap::from([("a/known".to_owned(), ZNode { data: vec![], version: 3 })]).into(),
        ..MockHost::with_segments(2, 1)
    };
    let host = Arc::new(world());
    let execution = procedure.execute(host.clone(), &[], &[], 2, &()).unwrap();
    assert_eq!(execution.tasks, []);
    let expected = [
        "create znode counter [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]",
        "create znode a/new [7]",
        "decision stream s/t handed over to the next controller",
        "decision stream s/t left to the operator",
    ];
    assert_eq!(host.told(), expected);
    assert_eq!(host.logged(), ["- Warning stream s/t: because"]);
    let exhausted = exhaust(&procedure, &[], &[], &|| Arc::new(world())).unwrap();
    assert_eq!((exhausted.broken, exhausted.succeeded), (vec![], 0));
}

//! The declared world refuses what the engine refuses, and the calls alone tell what was staged.

use dr_engine::contract::{AttributeUpdate, CoreAttribute, EndedTransaction, NewSegment, Truncation};

use super::*;
use crate::recording::{Effects, Recorder, ZNodeChange};

fn new_segment(name: &str, length: u64) -> NewSegment {
    NewSegment { name: name.to_owned(), sealed: false, length }
}

fn world() -> World {
    let mut world = World::with_segments(1, 2);
    let container = world.containers.get_mut(&0).unwrap();
    for (name, kind, standing, finding) in [
        ("scope/_tables/t", "controller-table", "live", ""),
        ("scope/group", "reader-group", "live", ""),
        ("scope/open", "transaction", "live", ""),
        ("scope/merged", "transaction", "deleted", "merged-by-recovery"),
    ] {
        let mut declared = DeclaredSegment::whole(0, name, 100);
        declared.segment.kind = kind.to_owned();
        declared.segment.standing = standing.to_owned();
        declared.segment.findings = vec![finding.to_owned()];
        declared.measure.whole_length = 60;
        declared.objects = Objects::from([(format!("{name}.E-1-O-0"), 100)]);
        container.segments.insert(name.to_owned(), declared);
    }
    let ended = |id: &str| EndedTransaction {
        id: id.into(),
        stream: "s/t".into(),
        status: "open".into(),
        outcome: "aborted".into(),
    };
    let transaction = |id: &str, table: &str| DeclaredTransaction { ended: ended(id), table: Some(table.to_owned()) };
    container.transactions = vec![transaction("1", "scope/_tables/t"), transaction("2", "scope/merged")];
    world.znodes = [("a/b/c", 3), ("a/d", 0)]
        .map(|(path, version)| (path.to_owned(), ZNode { data: vec![1], version }))
        .into_iter()
        .collect();
    world
}

fn host() -> MockHost {
    MockHost::new(Arc::new(world()))
}

const SEGMENT: &str = "scope/stream0000000/0.#epoch.0";

/// The case of the error, as the contract names it.
fn case<T>(answer: CallResult<T>) -> &'static str {
    answer.err().map_or("ok", |error| crate::recording::case(&error))
}

#[test]
fn segments_are_created_as_the_evidence_allows() {
    let host = host();
    let mut fresh = host.open_fresh_container(0).unwrap();
    let mut create = |name: &str, length| case(fresh.create_segments(vec![new_segment(name, length)]));
    assert_eq!(create("nobody", 1), "not-found");
    assert_eq!(create(SEGMENT, 101), "invalid");
    assert_eq!(create("scope/merged", 100), "conflict");
    // Inside an entry; 60 is the end of the last whole one.
    assert_eq!(create("scope/_tables/t", 70), "invalid");
    assert_eq!(create("scope/_tables/t", 60), "ok");
    assert_eq!(create(SEGMENT, 50), "ok");
    assert_eq!(create(SEGMENT, 50), "already-exists");
    assert_eq!(case(fresh.seal_segments(vec!["scope/open".into()])), "not-found");
    let truncate = |start_offset| vec![Truncation { segment: SEGMENT.into(), start_offset }];
    assert_eq!(case(fresh.truncate_segments(truncate(51))), "invalid");
    assert_eq!(case(fresh.truncate_segments(truncate(50))), "ok");
    let update =
        |id| vec![AttributeUpdate { segment: SEGMENT.into(), attributes: vec![CoreAttribute { id, value: 1 }] }];
    assert_eq!(case(fresh.update_attributes(update(7))), "invalid");
    assert_eq!(case(fresh.update_attributes(update(9))), "ok");
    assert_eq!(case(fresh.renew_reader_groups(vec![SEGMENT.into()])), "invalid");
    assert_eq!(case(fresh.renew_reader_groups(vec!["scope/group".into()])), "not-found");
}

#[test]
fn containers_are_opened_once_and_closed_when_their_metadata_is_moved() {
    let host = host();
    assert_eq!(case(host.open_fresh_container(7)), "not-found");
    drop(host.open_fresh_container(0).unwrap());
    let mut fresh = host.open_fresh_container(0).unwrap();
    assert_eq!((case(host.open_fresh_container(0)), host.open_containers()), ("conflict", 1));
    assert_eq!(case(fresh.close()), "conflict");
    let metadata = ["_system/metadata_0".to_owned()];
    assert_eq!(case(host.move_aside(0, &metadata, "backup")), "invalid");
    assert_eq!(case(host.move_aside(0, &["x".to_owned()], "_dr/x")), "not-found");
    assert_eq!(case(host.move_aside(0, &metadata, "_dr/x")), "ok");
    assert_eq!(case(host.move_aside(0, &metadata, "_dr/y")), "conflict");
    assert_eq!((case(fresh.close()), case(fresh.close())), ("ok", "conflict"));
    assert_eq!((case(host.open_fresh_container(0)), host.open_containers()), ("conflict", 0));
}

#[test]
fn what_is_of_no_use_any_more_becomes_leftovers() {
    let host = host();
    let leftovers = || {
        let mut pages = host.list_leftover_objects(0).unwrap();
        pages.next_page(10).unwrap().into_iter().map(|object| object.key).collect::<Vec<_>>()
    };
    assert_eq!(leftovers(), ["scope/merged.E-1-O-0"]);
    let mut fresh = host.open_fresh_container(0).unwrap();
    let names = ["scope/group", "scope/_tables/t"];
    // All or none: the table would end inside an entry.
    fresh.create_segments(names.map(|name| new_segment(name, 70)).to_vec()).unwrap_err();
    fresh.create_segments(vec![new_segment(names[0], 100), new_segment(names[1], 60)]).unwrap();
    fresh.renew_reader_groups(vec!["scope/group".into()]).unwrap();
    // The table of the other one was not created.
    let ended = fresh.end_transactions().unwrap();
    assert_eq!(ended.iter().map(|ended| ended.id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!(case(fresh.end_transactions()), "conflict");
    assert_eq!(leftovers(), ["scope/group.E-1-O-0", "scope/merged.E-1-O-0", "scope/open.E-1-O-0"]);
}

#[test]
fn znodes_and_the_controller_are_as_strict() {
    let host = host();
    assert_eq!(host.znode_children("a").unwrap(), ["b", "d"]);
    assert_eq!(host.znode("a/b").unwrap().unwrap().version, 0);
    assert_eq!(case(host.znode("/a")), "invalid");
    assert_eq!(case(host.create_znode("a/b", Vec::new())), "already-exists");
    assert_eq!(case(host.set_znode("a/b/c", Vec::new(), 2)), "conflict");
    assert_eq!(case(host.set_znode("a/x", Vec::new(), 0)), "not-found");
    assert_eq!(case(host.delete_znode("a/b", 0)), "conflict");
    assert_eq!((case(host.delete_znode("a/b/c", 3)), host.znode("a/b/c").unwrap()), ("ok", None));
    assert_eq!((case(host.list_streams()), case(host.highest_transaction_counter())), ("conflict", "conflict"));
    host.tasks_done();
    assert_eq!((case(host.list_streams()), case(host.highest_transaction_counter())), ("ok", "ok"));
    let names = vec![SEGMENT.to_owned(); PAGE_ROWS_MAX + 1];
    assert_eq!((case(host.measure(0, &names)), case(host.measure(0, &["x".into()]))), ("exhausted", "not-found"));
}

fn ledger(id: i64, container: Option<ContainerId>, registered: &str) -> Ledger {
    Ledger {
        id,
        container,
        stray: if container.is_some() { String::new() } else { "superseded".to_owned() },
        entries: 1,
        bytes: 100,
        first_operation: 1,
        last_operation: 1,
        bookies: vec!["a:1".to_owned()],
        missing: 0,
        registered: registered.to_owned(),
        left_out: 0,
    }
}

/// Ledger 3 is the log of container 0, that of container 1 cannot be restored; 5 is a stray, 7 is one that ZooKeeper has.
fn host_with_disks() -> MockHost {
    let log = |container, ledger| DurableLog {
        container,
        ledgers: vec![ledger],
        first_operation: 1,
        last_operation: 1,
        entries: 1,
        bytes: 100,
        znode: "absent".to_owned(),
        reason: String::new(),
        flaw: None,
        salvaged_bytes: 0,
    };
    let restored = RestoredLog {
        ledgers: 1,
        operations: 1,
        last_operation: 1,
        epoch: 3,
        znode: "created".to_owned(),
        closed: Vec::new(),
        bridged: None,
    };
    let bookie = Bookie { id: "a:1".to_owned(), ledgers: 3, entries: 3, findings: Vec::new() };
    let ledgers = [ledger(3, Some(0), ""), ledger(4, Some(1), "closed"), ledger(5, None, ""), ledger(7, None, "open")];
    let disks = DeclaredDisks {
        bookies: [("a:1".to_owned(), bookie)].into(),
        ledgers: ledgers.map(|ledger| (ledger.id, ledger)).into(),
        logs: [
            (0, DeclaredLog { log: log(0, 3), restored: Ok(restored) }),
            (1, DeclaredLog { log: log(1, 4), restored: Err("a hole".to_owned()) }),
        ]
        .into(),
    };
    MockHost::new(Arc::new(World { disks: Some(disks), ..World::with_segments(3, 1) }))
}

#[test]
fn ledgers_and_bookies_are_as_strict() {
    let recorder = Arc::new(Recorder::default());
    let host = recorder.before(Arc::new(host_with_disks()));
    let bookies = ["a:1".to_owned()];
    assert_eq!(case(host.register_bookies(&bookies)), "conflict");
    assert_eq!([0, 1, 2, 9].map(|id| case(host.restore_log(id))), ["ok", "damaged", "not-found", "not-found"]);
    assert_eq!((case(host.restore_log(0)), case(host.open_fresh_container(0))), ("conflict", "conflict"));
    let open = host.open_fresh_container(1).unwrap();
    assert_eq!(case(host.restore_log(1)), "conflict");
    drop(open);
    assert_eq!(case(host.register_bookies(&bookies)), "conflict");
    // All or none: the stray is not kept with what is no ledger, or part of a log.
    for (ids, expected) in
        [(&[5, -1][..], "not-found"), (&[5, i64::MAX], "not-found"), (&[5, 3], "conflict"), (&[5, 5], "conflict")]
    {
        assert_eq!(case(host.keep_ledgers(ids)), expected, "{ids:?}");
    }
    assert_eq!(case(host.keep_ledgers(&vec![5; PAGE_ROWS_MAX + 1])), "exhausted");
    assert_eq!((case(host.keep_ledgers(&[5, 7])), case(host.keep_ledgers(&[7]))), ("ok", "conflict"));
    assert_eq!(case(host.register_bookies(&["b:1".to_owned()])), "not-found");
    assert_eq!((case(host.register_bookies(&bookies)), case(host.register_bookies(&bookies))), ("ok", "conflict"));
    let effects = Effects::of(&recorder.take_calls());
    assert_eq!((&effects.restored_logs[..], &effects.kept_ledgers[..]), (&[0][..], &[5, 7][..]));
    assert_eq!(effects.registered_bookies, bookies);
    assert_eq!(Effects::default().first_difference(&effects).unwrap(), "restored-logs: 0 expected, got 1");
}

#[test]
fn a_log_that_can_be_replayed_is_not_replaced() {
    let replacing = |znode: &str, flaw: Option<&str>| {
        let mut world = (*host_with_disks().world).clone();
        let log = &mut world.disks.as_mut().unwrap().logs.get_mut(&1).unwrap().log;
        log.znode = znode.to_owned();
        log.flaw = flaw.map(str::to_owned);
        case(MockHost::new(Arc::new(world)).open_fresh_container(1))
    };
    assert_eq!(replacing("absent", None), "ok");
    assert_eq!(replacing("later", None), "conflict");
    assert_eq!(replacing("fits", None), "conflict");
    assert_eq!(replacing("fits", Some("a hole")), "ok");
}

#[test]
fn without_disks_there_are_no_ledgers() {
    let host = host();
    assert_eq!(
        (case(host.bookies()), case(host.ledgers()), case(host.durable_logs())),
        ("not-found", "not-found", "not-found")
    );
    assert_eq!(
        (case(host.restore_log(0)), case(host.keep_ledgers(&[3])), case(host.register_bookies(&[]))),
        ("not-found", "not-found", "not-found")
    );
}

/// What one container may do, and what was left behind by calls that failed or by a container that was dropped.
#[test]
fn the_calls_tell_what_was_staged() {
    let recorder = Arc::new(Recorder::default());
    let host = recorder.before(Arc::new(host()));
    let mut dropped = host.open_fresh_container(0).unwrap();
    dropped.create_segments(vec![new_segment("scope/open", 100)]).unwrap();
    drop(dropped);
    let mut fresh = host.open_fresh_container(0).unwrap();
    fresh.create_segments(vec![new_segment("nobody", 1)]).unwrap_err();
    fresh.create_segments(vec![new_segment(SEGMENT, 90), new_segment("scope/group", 100)]).unwrap();
    fresh.seal_segments(vec![SEGMENT.into()]).unwrap();
    fresh.truncate_segments(vec![Truncation { segment: SEGMENT.into(), start_offset: 5 }]).unwrap();
    let attributes = vec![CoreAttribute { id: 9, value: -1 }];
    fresh.update_attributes(vec![AttributeUpdate { segment: SEGMENT.into(), attributes }]).unwrap();
    fresh.renew_reader_groups(vec!["scope/group".into()]).unwrap();
    fresh.end_transactions().unwrap();
    host.move_aside(0, &["_system/metadata_0".to_owned()], "_dr/x").unwrap();
    host.create_znode("new", vec![1]).unwrap();
    host.set_znode("new", vec![2], 0).unwrap();
    host.create_znode("gone", vec![1]).unwrap();
    host.delete_znode("gone", 0).unwrap();
    host.delete_znode("a/d", 0).unwrap();
    host.create_znode("a/d", vec![255]).unwrap();
    host.delete_znode("a/b/c", 3).unwrap();
    let unclosed = Effects::of(&recorder.take_calls());
    assert_eq!((unclosed.created.len(), unclosed.znodes.len()), (0, 3));

    let host = recorder.before(Arc::new(MockHost::new(Arc::new(world()))));
    let mut fresh = host.open_fresh_container(0).unwrap();
    fresh.create_segments(vec![new_segment(SEGMENT, 90), new_segment("scope/group", 100)]).unwrap();
    fresh.seal_segments(vec![SEGMENT.into()]).unwrap();
    fresh.truncate_segments(vec![Truncation { segment: SEGMENT.into(), start_offset: 5 }]).unwrap();
    fresh.renew_reader_groups(vec!["scope/group".into()]).unwrap();
    fresh.end_transactions().unwrap();
    host.move_aside(0, &["_system/metadata_0".to_owned()], "_dr/x").unwrap();
    fresh.close().unwrap();
    let effects = Effects::of(&recorder.take_calls());
    let created: Vec<_> =
        effects.created.iter().map(|it| (it.segment.as_str(), it.length, it.sealed, it.start_offset)).collect();
    assert_eq!(created, [("scope/group", 100, false, None), (SEGMENT, 90, true, Some(5))]);
    assert_eq!((effects.containers.as_slice(), effects.ended_transactions.as_slice()), (&[0][..], &[0][..]));
    assert_eq!((effects.renewed[0].segment.as_str(), effects.moved[0].place.as_str()), ("scope/group", "_dr/x"));
    let changes: Vec<_> = unclosed.znodes.iter().map(|it| (it.path.as_str(), it.change, it.data.as_str())).collect();
    let expected =
        [("a/b/c", ZNodeChange::Deleted, ""), ("a/d", ZNodeChange::Set, "ff"), ("new", ZNodeChange::Created, "02")];
    assert_eq!(changes, expected);
    assert!(effects.first_difference(&effects).is_none());
    let difference = effects.first_difference(&unclosed).unwrap();
    assert_eq!(difference, "containers: 1 expected, got 0");
}

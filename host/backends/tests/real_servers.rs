//! Against servers that somebody started: `DR_TEST_ZOOKEEPER=host:port cargo test -p dr-backends -- --ignored`.
//! The ledgers root is `DR_TEST_LEDGERS`, with at least three bookies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::sync::Arc;
use std::time::Instant;

use dr_backends::tier1::{
    BookKeeper, BookKeeperOptions, LedgerAccess, LedgerLayout, Ledgers, Tier1Error, ZNodes, ZooKeeper, ZooKeeperOptions,
};

fn zookeeper() -> ZooKeeper {
    let address = std::env::var("DR_TEST_ZOOKEEPER").expect("DR_TEST_ZOOKEEPER");
    ZooKeeper::connect(&address, ZooKeeperOptions::default()).unwrap()
}

#[test]
#[ignore = "needs a ZooKeeper"]
fn nodes_behave_as_the_model() {
    let nodes = zookeeper();
    let root = format!("/dr-test-{}", std::process::id());
    let path = format!("{root}/a/b=+%/c");
    assert_eq!(nodes.get(&path).unwrap(), None);
    assert_eq!(nodes.children(&path).unwrap(), None);
    nodes.create(&path, b"1").unwrap();
    assert!(matches!(nodes.create(&path, b"1"), Err(Tier1Error::Exists { .. })));
    assert_eq!(nodes.children(&format!("{root}/a")).unwrap().unwrap(), ["b=+%"]);
    let node = nodes.get(&path).unwrap().unwrap();
    assert_eq!((node.data.as_slice(), node.version, node.ephemeral), (&b"1"[..], 0, false));
    assert_eq!(nodes.set(&path, b"2", 0).unwrap(), 1);
    assert!(matches!(nodes.set(&path, b"3", 0), Err(Tier1Error::Version { .. })));
    assert!(matches!(nodes.delete(&path, 0), Err(Tier1Error::Version { .. })));
    assert!(matches!(nodes.delete(&root, 0), Err(Tier1Error::NotEmpty { .. })));
    assert!(matches!(nodes.set("/absent", b"", 0), Err(Tier1Error::NotFound { .. })));
    nodes.delete(&path, 1).unwrap();
    assert!(matches!(nodes.delete(&path, 1), Err(Tier1Error::NotFound { .. })));
    let prefix = format!("{root}/lazy/idgen/ID-");
    let numbers: Vec<_> = (0..5).map(|_| nodes.next_sequence(&prefix).unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    assert_eq!(nodes.coming_sequence(&format!("{root}/lazy/idgen")).unwrap(), Some(5));
    assert_eq!(nodes.coming_sequence(&format!("{root}/absent")).unwrap(), None);
    assert_eq!(nodes.children(&format!("{root}/lazy/idgen")).unwrap().unwrap(), Vec::<String>::new());
    for path in
        [format!("{root}/lazy/idgen"), format!("{root}/lazy"), format!("{root}/a/b=+%"), format!("{root}/a"), root]
    {
        nodes.delete(&path, 0).unwrap();
    }
}

#[test]
#[ignore = "needs a ZooKeeper"]
fn threads_share_a_session() {
    let nodes = zookeeper();
    let prefix = format!("/dr-test-threads-{}/ID-", std::process::id());
    let mut numbers: Vec<i64> = std::thread::scope(|scope| {
        let take = || (0..25).map(|_| nodes.next_sequence(&prefix).unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 200);
    nodes.delete(prefix.trim_end_matches("/ID-"), 0).unwrap();
}

fn bookkeeper(znodes: Arc<ZooKeeper>) -> BookKeeper {
    let root = std::env::var("DR_TEST_LEDGERS").expect("DR_TEST_LEDGERS");
    BookKeeper::open(znodes, LedgerAccess::new(root), BookKeeperOptions::default()).unwrap()
}

fn layout(ensemble_size: usize, write_quorum: usize, ack_quorum: usize) -> LedgerLayout {
    let custom_metadata =
        vec![("application".to_owned(), b"Pravega".to_vec()), ("BookKeeperLogId".to_owned(), b"0".to_vec())];
    LedgerLayout { ensemble_size, write_quorum, ack_quorum, custom_metadata }
}

/// Payload that differs from entry to entry, as the Java side of a trial makes it, too.
fn payload(entry: usize, size: usize) -> Vec<u8> {
    (0..size).map(|place| (place * 31 + entry * 7) as u8).collect()
}

fn write_and_read(ledgers: &BookKeeper, layout: &LedgerLayout, entries: usize, size: usize) -> i64 {
    let payloads: Vec<_> = (0..entries.min(16)).map(|entry| payload(entry, size)).collect();
    let started = Instant::now();
    let mut writer = ledgers.create(ledgers.allocate().unwrap(), layout).unwrap();
    (0..entries).for_each(|entry| writer.append(&payloads[entry % 16]).unwrap());
    let closed = writer.close().unwrap();
    let megabytes = (entries * size) as f64 / 1e6;
    let rate = |started: Instant| megabytes / started.elapsed().as_secs_f64();
    print!("ledger {} of {entries} entries of {size} bytes: written at {:.1} MB/s, ", closed.id, rate(started));
    let started = Instant::now();
    let mut read = 0;
    ledgers
        .read(closed.id, &mut |entry, bytes| {
            assert_eq!(bytes, payloads[entry as usize % 16]);
            read += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(read, entries);
    println!("read at {:.1} MB/s", rate(started));
    closed.id
}

#[test]
#[ignore = "needs bookies"]
fn ledgers_come_back() {
    let ledgers = bookkeeper(Arc::new(zookeeper()));
    ledgers.check(&layout(3, 3, 3)).unwrap();
    write_and_read(&ledgers, &layout(3, 3, 2), 0, 0);
    write_and_read(&ledgers, &layout(3, 3, 2), 100, 1 << 20);
    write_and_read(&ledgers, &layout(3, 3, 3), 20_000, 100);
    write_and_read(&ledgers, &layout(3, 2, 2), 64, 1 << 20);
    write_and_read(&ledgers, &layout(3, 2, 1), 3, 4 << 20);
    let deleted = write_and_read(&ledgers, &layout(1, 1, 1), 5, 1000);
    ledgers.delete(deleted).unwrap();
    assert!(matches!(ledgers.read(deleted, &mut |_, _| Ok(())), Err(Tier1Error::NotFound { .. })));
}

#[test]
#[ignore = "needs bookies"]
fn many_ledgers_at_once() {
    let ledgers = bookkeeper(Arc::new(zookeeper()));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| write_and_read(&ledgers, &layout(3, 3, 2), 50, 1 << 20));
        }
    });
    println!("4 ledgers of 50 MB in {:.1} s", started.elapsed().as_secs_f32());
}

#[test]
#[ignore = "needs bookies"]
fn an_abandoned_ledger_is_refused() {
    let ledgers = bookkeeper(Arc::new(zookeeper()));
    let mut writer = ledgers.create(ledgers.allocate().unwrap(), &layout(3, 3, 2)).unwrap();
    (0..10).for_each(|entry| writer.append(&payload(entry, 1000)).unwrap());
    let id = writer.id();
    // Long enough for the bookies to have all entries.
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(writer);
    assert!(ledgers.read(id, &mut |_, _| Ok(())).is_err());
    println!("ledger {id} was abandoned with 10 entries");
}

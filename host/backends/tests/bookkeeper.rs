//! The client against bookies that misbehave in ways that real ones rarely show on demand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dr_backends::tier1::{
    BookKeeper, BookKeeperOptions, ClosedLedger, LedgerAccess, LedgerLayout, LedgerPassword, Ledgers, MAXIMUM_ENTRY,
    MemoryZNodes, Tier1Error, ZNodes,
};
use dr_formats::bookie_protocol::{Request, Response, ResponseBody, Status, message_length};

const ROOT: &str = "/p/ledgers";

/// How a fake bookie behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    /// Refuses every add.
    Refuses(Status),
    /// Takes everything and never answers.
    Silent,
    /// Closes the connection at the n-th request.
    Leaves(usize),
    /// Sends answers in pieces of a few kilobytes.
    Piecemeal,
    /// Collects so many answers and sends them last to first.
    Backwards(usize),
    /// Gives entries with a flipped bit.
    Lies,
    /// Has lost everything.
    Forgets,
    /// Speaks another protocol.
    Babbles,
}

type Entries = Arc<Mutex<HashMap<(i64, i64), Vec<u8>>>>;

struct FakeBookie {
    id: String,
    entries: Entries,
    manner: Arc<Mutex<Manner>>,
}

impl FakeBookie {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let id = listener.local_addr().unwrap().to_string();
        let (entries, manner) = (Entries::default(), Arc::new(Mutex::new(manner)));
        let (shared, shared_manner) = (Arc::clone(&entries), Arc::clone(&manner));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (entries, manner) = (Arc::clone(&shared), *shared_manner.lock().unwrap());
                std::thread::spawn(move || serve(stream.unwrap(), &entries, manner));
            }
        });
        Self { id, entries, manner }
    }

    fn held(&self) -> Vec<(i64, i64)> {
        let mut held: Vec<_> = self.entries.lock().unwrap().keys().copied().collect();
        held.sort_unstable();
        held
    }
}

fn serve(mut stream: TcpStream, entries: &Entries, manner: Manner) {
    let mut held_back = Vec::new();
    for count in 1.. {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() || manner == Manner::Leaves(count) {
            return;
        }
        let mut message = vec![0; message_length(length).unwrap()];
        stream.read_exact(&mut message).unwrap();
        let (transaction_id, request) = Request::decode(&message).unwrap();
        let (status, body) = answer(request, entries, manner);
        let frame = Response { transaction_id, status, body }.encode().unwrap();
        held_back.push(frame);
        let wanted = if let Manner::Backwards(wanted) = manner { wanted } else { 1 };
        if manner == Manner::Silent || held_back.len() < wanted {
            continue;
        }
        for frame in held_back.drain(..).rev() {
            if send(&mut stream, &frame, manner).is_err() {
                return;
            }
        }
    }
}

fn send(stream: &mut TcpStream, frame: &[u8], manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::Babbles => stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Manner::Piecemeal => frame.chunks(3001).try_for_each(|piece| {
            stream.write_all(piece)?;
            std::thread::sleep(Duration::from_micros(50));
            stream.flush()
        }),
        _ => stream.write_all(frame),
    }
}

fn answer(request: Request<'_>, entries: &Entries, manner: Manner) -> (Status, ResponseBody) {
    let mut entries = entries.lock().unwrap();
    match request {
        Request::Add { ledger_id, entry_id, entry, master_key, .. } => {
            assert_eq!(master_key, LedgerPassword::new("secret").master_key());
            let status = if let Manner::Refuses(status) = manner { status } else { Status::Ok };
            entries.insert((ledger_id, entry_id), entry.into_owned());
            (status, ResponseBody::Add { ledger_id, entry_id })
        }
        Request::Read { ledger_id, entry_id } => {
            let mut entry = entries.get(&(ledger_id, entry_id)).cloned();
            match (manner, &mut entry) {
                (Manner::Forgets, _) => entry = None,
                (Manner::Lies, Some(bytes)) => *bytes.last_mut().unwrap() ^= 1,
                _ => {}
            }
            let status = if entry.is_some() { Status::Ok } else { Status::NoEntry };
            (status, ResponseBody::Read { ledger_id, entry_id, entry })
        }
        other => panic!("{other:?}"),
    }
}

struct Cluster {
    bookies: Vec<FakeBookie>,
    znodes: Arc<MemoryZNodes>,
    client: BookKeeper,
}

fn cluster(manners: &[Manner]) -> Cluster {
    let znodes = Arc::new(MemoryZNodes::new());
    let bookies: Vec<_> = manners.iter().map(|manner| FakeBookie::start(*manner)).collect();
    znodes.create(&format!("{ROOT}/available/readonly"), b"").unwrap();
    for bookie in &bookies {
        znodes.create(&format!("{ROOT}/available/{}", bookie.id), b"").unwrap();
    }
    let client = client(&znodes);
    Cluster { bookies, znodes, client }
}

fn client(znodes: &Arc<MemoryZNodes>) -> BookKeeper {
    let mut access = LedgerAccess::new(ROOT);
    access.password = LedgerPassword::new("secret");
    let options = BookKeeperOptions { request_timeout: Duration::from_millis(500), ..BookKeeperOptions::default() };
    BookKeeper::open(Arc::clone(znodes) as Arc<dyn ZNodes>, access, options).unwrap()
}

fn layout(ensemble_size: usize, write_quorum: usize, ack_quorum: usize) -> LedgerLayout {
    let custom_metadata = vec![("application".to_owned(), b"Pravega".to_vec())];
    LedgerLayout { ensemble_size, write_quorum, ack_quorum, custom_metadata }
}

fn payload(entry: i64, size: usize) -> Vec<u8> {
    (0..size).map(|place| (place as i64 * 31 + entry * 7) as u8).collect()
}

fn write(client: &BookKeeper, layout: &LedgerLayout, sizes: &[usize]) -> Result<ClosedLedger, Tier1Error> {
    let mut writer = client.create(client.allocate().unwrap(), layout)?;
    for (entry, size) in sizes.iter().enumerate() {
        writer.append(&payload(entry as i64, *size))?;
    }
    writer.close()
}

fn read(client: &BookKeeper, id: i64) -> Result<Vec<usize>, Tier1Error> {
    let mut sizes = Vec::new();
    client.read(id, &mut |entry, bytes| {
        assert_eq!(entry, sizes.len() as i64);
        assert_eq!(bytes, payload(entry, bytes.len()));
        sizes.push(bytes.len());
        Ok(())
    })?;
    Ok(sizes)
}

#[test]
fn writes_and_reads_in_spite_of_pieces_and_order() {
    let manners = [Manner::Honest, Manner::Piecemeal, Manner::Backwards(5)];
    let Cluster { client, bookies, .. } = cluster(&manners);
    let mut sizes = vec![0, 1, 100, 1 << 20, (1 << 20) - 1024];
    sizes.extend([1 << 20; 20]);
    let closed = write(&client, &layout(3, 3, 2), &sizes).unwrap();
    let length: usize = sizes.iter().sum();
    assert_eq!(closed, ClosedLedger { id: 0, last_entry: 24, length: length as i64 });
    assert!(bookies.iter().all(|bookie| bookie.held().len() == 25));
    // It holds answers back until it has five: two more entries are never confirmed, and that connection is given up.
    *bookies[2].manner.lock().unwrap() = Manner::Honest;
    assert!(write(&client, &layout(3, 3, 2), &sizes[..2]).unwrap_err().to_string().contains(&bookies[2].id));
    let again = write(&client, &layout(3, 3, 2), &sizes).unwrap();
    assert_eq!(read(&client, again.id).unwrap(), sizes);
}

#[test]
fn an_empty_ledger_is_closed_and_read() {
    let Cluster { client, .. } = cluster(&[Manner::Honest]);
    let closed = write(&client, &layout(1, 1, 1), &[]).unwrap();
    assert_eq!(closed, ClosedLedger { id: 0, last_entry: -1, length: 0 });
    assert_eq!(read(&client, 0).unwrap(), Vec::<usize>::new());
}

#[test]
fn spreads_entries_over_a_larger_ensemble() {
    let Cluster { client, bookies, znodes } = cluster(&[Manner::Honest; 3]);
    write(&client, &layout(3, 2, 2), &[10; 9]).unwrap();
    let counts: Vec<_> = bookies.iter().map(|bookie| bookie.held().len()).collect();
    assert_eq!(counts, [6, 6, 6]);
    assert_eq!(read(&client, 0).unwrap(), [10; 9]);
    let metadata = znodes.get(&format!("{ROOT}/00/0000/L0000")).unwrap().unwrap().data;
    let metadata = dr_formats::ledger_metadata::LedgerMetadata::decode(&metadata).unwrap();
    for (place, id) in metadata.ensembles[0].bookies.iter().enumerate() {
        let bookie = bookies.iter().find(|bookie| bookie.id == *id).unwrap();
        let expected: Vec<_> = (0..9).filter(|entry| (3 + place - entry % 3) % 3 < 2).map(|e| (0, e as i64)).collect();
        assert_eq!(bookie.held(), expected);
    }
}

#[test]
fn a_refusal_names_the_bookie_and_leaves_the_ledger_open() {
    for status in [Status::Fenced, Status::ReadOnly, Status::Unauthorized, Status::Io] {
        let Cluster { client, bookies, .. } = cluster(&[Manner::Honest, Manner::Refuses(status), Manner::Honest]);
        match write(&client, &layout(3, 3, 2), &[10; 100]).unwrap_err() {
            Tier1Error::Refused { location, ledger, reason } => {
                assert_eq!((location, ledger), (format!("bookie {}", bookies[1].id), 0));
                assert!(reason.contains(&status.to_string()), "{reason}");
            }
            error => panic!("{error}"),
        }
        assert!(read(&client, 0).unwrap_err().to_string().contains("never closed"));
    }
}

#[test]
fn a_silent_bookie_is_named_in_time_and_then_avoided() {
    let Cluster { client, bookies, .. } = cluster(&[Manner::Honest, Manner::Silent, Manner::Honest, Manner::Honest]);
    let silent = &bookies[1].id;
    let mut failures = 0;
    for _ in 0..4 {
        let started = Instant::now();
        if let Err(error) = write(&client, &layout(3, 3, 2), &[100; 50]) {
            assert!(matches!(error, Tier1Error::Unavailable { .. }) && error.to_string().contains(silent), "{error}");
            assert!(started.elapsed() < Duration::from_secs(3));
            failures += 1;
        }
    }
    assert_eq!(failures, 1, "the fourth bookie takes its place");
}

#[test]
fn a_bookie_that_leaves_fails_the_ledger() {
    let Cluster { client, bookies, .. } = cluster(&[Manner::Leaves(20), Manner::Honest, Manner::Honest]);
    let error = write(&client, &layout(3, 3, 2), &[100; 50]).unwrap_err();
    assert!(error.to_string().contains(&bookies[0].id), "{error}");
}

#[test]
fn something_else_on_the_port_is_said_to_be_so() {
    let Cluster { client, bookies, .. } = cluster(&[Manner::Babbles]);
    let message = write(&client, &layout(1, 1, 1), &[100]).unwrap_err().to_string();
    assert!(message.contains(&bookies[0].id) && message.contains("not an answer of a bookie"), "{message}");
}

#[test]
fn an_unreachable_bookie_is_replaced_or_named() {
    let Cluster { znodes, client, .. } = cluster(&[Manner::Honest; 2]);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    znodes.create(&format!("{ROOT}/available/{gone}"), b"").unwrap();
    for _ in 0..3 {
        write(&client, &layout(2, 2, 2), &[10]).unwrap();
    }
    let message = write(&client, &layout(3, 3, 2), &[10]).unwrap_err().to_string();
    assert!(message.contains(&gone) && message.contains("refused"), "{message}");
    assert!(matches!(
        client.create(client.allocate().unwrap(), &layout(4, 3, 2)),
        Err(Tier1Error::NotEnoughBookies { needed: 4, .. })
    ));
    assert!(matches!(client.check(&layout(4, 3, 2)), Err(Tier1Error::NotEnoughBookies { .. })));
    client.check(&layout(3, 3, 2)).unwrap();
}

#[test]
fn damaged_and_missing_copies_are_read_elsewhere() {
    let Cluster { znodes, bookies, client } = cluster(&[Manner::Honest; 3]);
    write(&client, &layout(3, 3, 2), &[100; 20]).unwrap();
    *bookies[0].manner.lock().unwrap() = Manner::Lies;
    *bookies[1].manner.lock().unwrap() = Manner::Forgets;
    assert_eq!(read(&self::client(&znodes), 0).unwrap(), [100; 20]);
    *bookies[2].manner.lock().unwrap() = Manner::Forgets;
    let error = read(&self::client(&znodes), 0).unwrap_err();
    assert!(matches!(error, Tier1Error::Damaged { .. }), "{error}");
    let message = error.to_string();
    assert!(bookies.iter().all(|bookie| message.contains(&bookie.id)) && message.contains("digest"), "{message}");
    // As long as one bookie is silent, the entry is not said to be lost.
    *bookies[2].manner.lock().unwrap() = Manner::Silent;
    let error = read(&self::client(&znodes), 0).unwrap_err();
    assert!(matches!(error, Tier1Error::Unavailable { .. }), "{error}");
}

#[test]
fn a_missing_root_names_the_property() {
    let znodes = Arc::new(MemoryZNodes::new());
    let access = LedgerAccess::new("/wrong/ledgers");
    let error = BookKeeper::open(znodes, access, BookKeeperOptions::default()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("/wrong/ledgers/available") && message.contains("bookkeeper.ledger.path"), "{message}");
}

#[test]
fn ids_that_are_no_addresses_are_looked_up() {
    let Cluster { znodes, client, bookies } = cluster(&[Manner::Honest]);
    znodes.delete(&format!("{ROOT}/available/{}", bookies[0].id), 0).unwrap();
    let port: u64 = bookies[0].id.rsplit(':').next().unwrap().parse().unwrap();
    let mut endpoint = vec![0x10];
    endpoint.extend([(port & 0x7f | 0x80) as u8, (port >> 7 & 0x7f | 0x80) as u8, (port >> 14) as u8]);
    endpoint.extend(b"\x1a\x09127.0.0.1\x22\x0abookie-rpc");
    let mut registration = vec![0x32, endpoint.len() as u8];
    registration.extend(endpoint);
    znodes.create(&format!("{ROOT}/available/bookie-0-8a3f"), &registration).unwrap();
    write(&client, &layout(1, 1, 1), &[10]).unwrap();
    assert_eq!(bookies[0].held(), [(0, 0)]);
    // It is found again when it only reads.
    znodes.delete(&format!("{ROOT}/available/bookie-0-8a3f"), 0).unwrap();
    znodes.create(&format!("{ROOT}/available/readonly/bookie-0-8a3f"), &registration).unwrap();
    assert_eq!(read(&self::client(&znodes), 0).unwrap(), [10]);
}

#[test]
fn entries_that_no_bookie_would_take_are_refused() {
    let Cluster { client, .. } = cluster(&[Manner::Honest]);
    let mut writer = client.create(client.allocate().unwrap(), &layout(1, 1, 1)).unwrap();
    assert!(matches!(writer.append(&vec![0; MAXIMUM_ENTRY + 1]), Err(Tier1Error::Refused { .. })));
    writer.append(&vec![0; MAXIMUM_ENTRY]).unwrap();
    writer.close().unwrap();
}

#[test]
fn many_ledgers_share_connections() {
    let Cluster { client, .. } = cluster(&[Manner::Honest; 3]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                let sizes = vec![1000 + thread; 100];
                let id = write(client, &layout(3, 3, 2), &sizes).unwrap().id;
                assert_eq!(read(client, id).unwrap(), sizes);
            });
        }
    });
}

#[test]
fn deleted_ledgers_are_not_found() {
    let Cluster { client, .. } = cluster(&[Manner::Honest]);
    write(&client, &layout(1, 1, 1), &[10]).unwrap();
    client.delete(0).unwrap();
    client.delete(0).unwrap();
    assert!(matches!(read(&client, 0), Err(Tier1Error::NotFound { .. })));
}

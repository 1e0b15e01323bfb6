use std::fs;
use std::io::Write as _;

use dr_formats::ledger_entry::{EntryCodec, LedgerPassword};
use tempfile::TempDir;

use super::*;

const COOKIE: &str =
    "4\nbookieHost: \"127.0.0.1:3181\"\njournalDir: \"/bk/journal\"\nledgerDirs: \"1\\t/bk/ledgers\"\n";

/// A bookie's directories, made by hand.
struct Disk {
    directory: TempDir,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { directory: tempfile::tempdir().unwrap() };
        disk.write("journal/current/VERSION", COOKIE.as_bytes());
        disk.write("ledgers/current/VERSION", COOKIE.as_bytes());
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn open(&self) -> Result<BookieDisk, BookieDiskError> {
        BookieDisk::open(&[self.directory.path().to_path_buf()])
    }

    fn scan(&self) -> Scan<Entries> {
        scan(&self.open().unwrap(), "")
    }
}

/// Ledger, entry, name of the file and offset of each entry.
#[derive(Default)]
struct Entries(Vec<(i64, i64, u32, u64)>);

impl EntryVisitor for Entries {
    type Error = BookieDiskError;

    fn entry(&mut self, entry: ScannedEntry<'_>) -> Result<(), BookieDiskError> {
        assert_eq!(entry.payload, payload(entry.header.entry_id));
        self.0.push((entry.header.ledger_id, entry.header.entry_id, entry.place.file, entry.place.offset));
        Ok(())
    }
}

fn scan(disk: &BookieDisk, password: &str) -> Scan<Entries> {
    let options = ScanOptions { password: LedgerPassword::new(password), parallel: 3, advanced: &|_| {} };
    disk.scan(&options, || Ok(Entries::default())).unwrap()
}

impl Scan<Entries> {
    fn ids(&self) -> Vec<(i64, i64)> {
        let mut ids: Vec<_> =
            self.visitors.iter().flat_map(|entries| &entries.0).map(|entry| (entry.0, entry.1)).collect();
        ids.sort_unstable();
        ids
    }

    fn kinds(&self) -> Vec<OddityKind> {
        self.oddities.listed.iter().map(|oddity| oddity.kind).collect()
    }
}

fn payload(entry_id: i64) -> Vec<u8> {
    vec![entry_id as u8 | 0x80; 100 + entry_id as usize * 7]
}

fn entry(digest_type: DigestType, ledger_id: i64, entry_id: i64) -> Vec<u8> {
    let header = EntryHeader { ledger_id, entry_id, last_add_confirmed: entry_id - 1, length: 1000 };
    let mut bytes = Vec::new();
    EntryCodec::new(digest_type, &LedgerPassword::new("secret")).encode(header, &payload(entry_id), &mut bytes);
    bytes
}

fn record(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}

fn entry_record(ledger_id: i64, entry_id: i64) -> Vec<u8> {
    record(&entry(DigestType::Crc32c, ledger_id, entry_id))
}

fn special(ledger_id: i64, kind: i64, bytes: Option<&[u8]>) -> Vec<u8> {
    let mut body = [ledger_id.to_be_bytes(), kind.to_be_bytes()].concat();
    if let Some(bytes) = bytes {
        body.extend((bytes.len() as u32).to_be_bytes());
        body.extend_from_slice(bytes);
    }
    record(&body)
}

fn key_record(ledger_id: i64) -> Vec<u8> {
    special(ledger_id, -0x1000, Some(&LedgerPassword::new("secret").master_key().0))
}

/// A journal as it is preallocated: padded after each record, zeros at the end.
fn journal(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"BKLG\0\0\0\x06".to_vec();
    bytes.resize(512, 0);
    for record in records {
        bytes.extend_from_slice(record);
        let padding = 512 - (bytes.len() + 8) % 512;
        bytes.extend((-0x100_i32).to_be_bytes());
        bytes.extend((padding as u32).to_be_bytes());
        bytes.resize(bytes.len() + padding, 0);
    }
    bytes.resize(bytes.len() + 5000, 0);
    bytes
}

fn entry_log(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"BKLO\0\0\0\x01".to_vec();
    bytes.resize(1024, 0);
    bytes.extend(records.concat());
    bytes
}

fn records(ledger_id: i64, entries: std::ops::Range<i64>) -> Vec<Vec<u8>> {
    entries.map(|entry_id| entry_record(ledger_id, entry_id)).collect()
}

fn ids(ledger_id: i64, entries: std::ops::Range<i64>) -> Vec<(i64, i64)> {
    entries.map(|entry_id| (ledger_id, entry_id)).collect()
}

#[test]
fn everything_that_a_bookie_holds() {
    let disk = Disk::new();
    let facts = [key_record(7), special(7, -0x2000, None), special(8, -0x8000, Some(&[0; 20]))];
    disk.write("journal/current/a.txn", &journal(&[facts.to_vec(), records(7, 2..5)].concat()));
    disk.write("journal/current/b.txn", &journal(&records(8, 0..2)));
    disk.write("ledgers/current/0.log", &entry_log(&records(7, 0..3)));
    disk.write("ledgers/current/1.log", b"");
    let mut index = b"BKLE\0\0\0\x01\0\0\0\x14".to_vec();
    index.extend(LedgerPassword::new("secret").master_key().0);
    index.resize(1024, 0);
    disk.write("ledgers/current/0/8/8.idx", &index);

    let opened = disk.open().unwrap();
    assert_eq!(opened.cookie().bookie_id, "127.0.0.1:3181");
    assert_eq!(opened.cookie_bytes(), COOKIE.as_bytes());
    let found = scan(&opened, "");
    // Entry 2 is both in the log and in the journal.
    assert_eq!(found.ids(), [ids(7, 0..3), vec![(7, 2)], ids(7, 3..5), ids(8, 0..2)].concat());
    assert!(found.oddities.is_empty(), "{:?}", found.oddities);
    let key = LedgerPassword::new("secret").master_key();
    let seven = LedgerFacts { master_key: Some(key), fenced: true, explicit_lac: None };
    assert_eq!(found.ledgers[&7], seven);
    assert_eq!((found.ledgers[&8].master_key, found.ledgers[&8].explicit_last_add_confirmed()), (Some(key), Some(0)));

    // Each place leads back to the entry, and that of the journal is the greater one.
    for (ledger_id, entry_id, file, offset) in found.visitors.iter().flat_map(|entries| &entries.0) {
        let expected = entry(DigestType::Crc32c, *ledger_id, *entry_id);
        let place = EntryPlace { file: *file, offset: *offset, length: expected.len() as u32 };
        assert_eq!(opened.read_entry(place).unwrap(), expected);
    }
    assert!(matches!(opened.files()[0].kind, FileKind::EntryLog { id: 0 }));
    assert!(matches!(opened.files()[3].kind, FileKind::Journal { id: 0xb }));
    let beyond = EntryPlace { file: 9, offset: 0, length: 1 };
    assert!(matches!(opened.read_entry(beyond), Err(BookieDiskError::NoSuchFile { .. })));
}

#[test]
fn digests_are_found_by_trial() {
    let disk = Disk::new();
    let entries: Vec<Vec<u8>> = [DigestType::Crc32c, DigestType::Crc32, DigestType::Hmac, DigestType::Dummy]
        .iter()
        .zip(0..)
        .map(|(digest_type, ledger_id)| record(&entry(*digest_type, ledger_id, 0)))
        .collect();
    disk.write("journal/current/1.txn", &journal(&entries));
    let opened = disk.open().unwrap();
    assert_eq!(scan(&opened, "secret").ids(), [(0, 0), (1, 0), (2, 0)]);
    // Without the password only checksums can be checked.
    let found = scan(&opened, "another");
    assert_eq!((found.ids(), found.kinds()), (vec![(0, 0), (1, 0)], vec![OddityKind::WrongDigest; 2]));
}

#[test]
fn a_torn_tail_is_no_damage() {
    let disk = Disk::new();
    let log = entry_log(&records(1, 0..3));
    let last = 1024 + records(1, 0..2).concat().len();
    for length in (last + 1..log.len()).step_by(23) {
        disk.write("journal/current/1.txn", &journal(&[]));
        disk.write("ledgers/current/0.log", &log[..length]);
        let found = disk.scan();
        assert_eq!(found.ids(), ids(1, 0..2), "{length}");
        assert_eq!(found.oddities.listed[0].offset, Some(last as u64));
        assert_eq!(found.kinds(), [OddityKind::TornTail], "{length}");
    }
}

#[test]
fn every_truncation_of_a_journal_keeps_what_is_before() {
    let disk = Disk::new();
    let whole = journal(&records(1, 0..4));
    let ends: Vec<usize> = (0..4)
        .map(|entry_id| {
            let record = entry_record(1, entry_id);
            whole.windows(record.len()).position(|window| window == record).unwrap() + record.len()
        })
        .collect();
    for length in (0..whole.len()).step_by(211) {
        disk.write("journal/current/1.txn", &whole[..length]);
        let kept = ends.iter().filter(|end| **end <= length).count() as i64;
        assert_eq!(disk.scan().ids(), ids(1, 0..kept), "{length} bytes");
    }
}

#[test]
fn flipped_bytes_cost_one_entry_at_most() {
    for make in [journal, entry_log] as [fn(&[Vec<u8>]) -> Vec<u8>; 2] {
        let disk = Disk::new();
        let whole = make(&records(1, 0..6));
        let name = if whole.starts_with(b"BKLG") { "journal/current/1.txn" } else { "ledgers/current/1.log" };
        disk.write("journal/current/1.txn", &journal(&[]));
        disk.write(name, &whole);
        let opened = disk.open().unwrap();
        for position in (0..whole.len()).step_by(43) {
            for bit in [0x01, 0x80] {
                let mut bytes = whole.clone();
                bytes[position] ^= bit;
                disk.write(name, &bytes);
                let found = scan(&opened, "");
                assert!(found.ids().len() >= 5, "{name}, byte {position}: {:?} {:?}", found.ids(), found.oddities);
                if found.ids().len() < 6 {
                    assert!(!found.oddities.is_empty(), "{name}, byte {position}");
                }
            }
        }
    }
}

#[test]
fn a_hole_of_zeros_does_not_hide_what_follows() {
    let disk = Disk::new();
    let mut bytes = journal(&records(1, 0..6));
    // The sectors of entries 1 and 2.
    bytes[1024..2048].fill(0);
    disk.write("journal/current/1.txn", &bytes);
    let found = disk.scan();
    assert_eq!(found.ids(), [ids(1, 0..1), ids(1, 3..6)].concat());
    assert_eq!(found.kinds(), [OddityKind::BehindEnd]);
}

#[test]
fn a_lost_header_does_not_hide_entries() {
    let disk = Disk::new();
    let mut bytes = journal(&records(1, 0..3));
    bytes[..8].fill(0xee);
    disk.write("journal/current/1.txn", &bytes);
    let found = disk.scan();
    assert_eq!((found.ids(), found.kinds()), (ids(1, 0..3), vec![OddityKind::NoHeader]));
    // Files that are prepared and not begun are nothing special.
    disk.write("journal/current/1.txn", &[0; 3000]);
    assert!(disk.scan().oddities.is_empty());
}

#[test]
fn what_is_missing_is_said() {
    let disk = Disk::new();
    disk.write("ledgers/current/0.log", &entry_log(&records(1, 0..1)));
    fs::remove_dir_all(disk.path("journal")).unwrap();
    assert_eq!(disk.scan().kinds(), [OddityKind::MissingJournal]);
    fs::create_dir_all(disk.path("journal/current")).unwrap();
    disk.write("journal/current/1.txn", &[]);
    let said: Vec<String> = disk.scan().oddities.listed.into_iter().map(|oddity| oddity.detail).collect();
    assert_eq!(said, ["there is not one byte in any journal; what the bookie confirmed last is only in its journals"]);

    let disk = Disk::new();
    for journal_id in ["1", "2", "4"] {
        disk.write(&format!("journal/current/{journal_id}.txn"), &journal(&[]));
    }
    disk.write("ledgers/current/lastMark", &[0x20_u64.to_be_bytes(), 512_u64.to_be_bytes()].concat());
    let said: Vec<String> = disk.scan().oddities.listed.into_iter().map(|oddity| oddity.detail).collect();
    assert_eq!(said, ["journal 20.txn is marked as not yet moved on, and is not there"]);
    disk.write("ledgers/current/lastMark", &[1_u64.to_be_bytes(), 512_u64.to_be_bytes()].concat());
    let said: Vec<String> = disk.scan().oddities.listed.into_iter().map(|oddity| oddity.detail).collect();
    assert_eq!(said, ["journal 3.txn, which comes before, is not there"]);
    disk.write("ledgers/current/lastMark", b"short");
    disk.write("ledgers/current/locations/CURRENT", b"MANIFEST-1");
    assert!(disk.scan().kinds().contains(&OddityKind::Unreadable));
    assert!(disk.scan().kinds().contains(&OddityKind::RocksDbIndex));

    let disk = Disk::new();
    disk.write("journal/current/1.txn", &journal(&[]));
    fs::remove_dir_all(disk.path("ledgers")).unwrap();
    assert_eq!(disk.scan().kinds(), [OddityKind::MissingDirectory]);
}

#[test]
fn a_number_used_twice_is_seen_by_its_keys() {
    let disk = Disk::new();
    disk.write("journal/current/1.txn", &journal(&[key_record(3), special(3, -0x1000, Some(&[1; 20]))]));
    assert_eq!(disk.scan().kinds(), [OddityKind::KeysDiffer]);
}

#[test]
fn what_is_no_disk_of_one_bookie_is_refused() {
    let refusal = |disk: &Disk, paths: &[&str]| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| disk.path(path)).collect();
        BookieDisk::open(&paths).unwrap_err().to_string()
    };
    let disk = Disk::new();
    assert!(refusal(&disk, &["absent"]).contains("which was given as one of a bookie"));
    fs::create_dir(disk.path("empty")).unwrap();
    assert!(refusal(&disk, &["empty"]).contains("there is no directory `current`"));
    assert!(refusal(&disk, &["journal/current/VERSION"]).contains("it is no directory"));
    assert!(refusal(&disk, &["journal", ""]).contains("was given twice"));
    assert!(refusal(&disk, &[]).contains("no directory was given"));

    // Several paths are one bookie.
    assert_eq!(BookieDisk::open(&[disk.path("journal"), disk.path("ledgers")]).unwrap().directories().count(), 2);

    disk.write("ledgers/current/VERSION", COOKIE.replace("3181", "3182").as_bytes());
    assert!(refusal(&disk, &[""]).ends_with("they are of two bookies, 127.0.0.1:3181 and 127.0.0.1:3182"));
    disk.write("ledgers/current/VERSION", format!("{COOKIE}instanceId: \"x\"\n").as_bytes());
    assert!(refusal(&disk, &[""]).contains("of different clusters, instance none and instance x"));
    disk.write("ledgers/current/VERSION", COOKIE.replace("/bk/ledgers", "/other").as_bytes());
    assert!(refusal(&disk, &[""]).contains("but name different directories"));
    disk.write("ledgers/current/VERSION", b"rubbish");
    assert!(refusal(&disk, &[""]).contains("VERSION` is damaged"));
    for name in ["journal/current/VERSION", "ledgers/current/VERSION"] {
        fs::remove_file(disk.path(name)).unwrap();
        disk.write("journal/current/1.txn", &journal(&[]));
    }
    assert!(refusal(&disk, &["journal"]).contains("none of its directories has a cookie"));
}

#[test]
fn a_disk_that_changes_is_refused() {
    let disk = Disk::new();
    disk.write("journal/current/1.txn", &journal(&records(1, 0..1)));
    let opened = disk.open().unwrap();
    let options = ScanOptions { password: LedgerPassword::default(), parallel: 1, advanced: &|_| {} };
    let scan = || opened.scan(&options, || Ok(Entries::default())).map(|_| ()).unwrap_err().to_string();
    fs::File::options().append(true).open(disk.path("journal/current/1.txn")).unwrap().write_all(b"more").unwrap();
    assert!(scan().contains("changed while it was read: it had"));
    disk.write("journal/current/1.txn", &journal(&records(1, 0..1)));
    disk.write("journal/current/2.txn", &journal(&[]));
    assert!(scan().contains("changed while it was read: it had 1 files and has 2"));
}

/// A process that has a journal open for writing stands for the bookie.
#[test]
fn a_running_bookie_is_refused() {
    let disk = Disk::new();
    disk.write("journal/current/1.txn", &journal(&[]));
    let file = fs::File::options().append(true).open(disk.path("journal/current/1.txn")).unwrap();
    let mut process = std::process::Command::new("sleep").arg("60").stdout(file).spawn().unwrap();
    let refused = disk.open().map(|_| ());
    process.kill().unwrap();
    process.wait().unwrap();
    match refused {
        Err(BookieDiskError::Running { process: id, program, .. }) => {
            assert_eq!((id, program.as_str()), (process.id(), "sleep"));
        }
        other => panic!("{other:?}"),
    }
    disk.open().unwrap();
}

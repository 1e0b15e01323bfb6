//! Ledgers in a directory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dr_backends::tier1::{
    ClosedLedger, DigestType, EmbeddedLedgers, EmbeddedZNodes, LedgerAccess, LedgerLayout, Ledgers, Tier1Error, ZNodes,
};

fn open(path: &Path, digest_type: DigestType) -> (Arc<EmbeddedZNodes>, EmbeddedLedgers) {
    let znodes = Arc::new(EmbeddedZNodes::open(path).unwrap());
    let mut access = LedgerAccess::new("/p/ledgers");
    access.digest_type = digest_type;
    let ledgers = EmbeddedLedgers::open(path, Arc::clone(&znodes), access).unwrap();
    (znodes, ledgers)
}

fn layout() -> LedgerLayout {
    LedgerLayout { ensemble_size: 3, write_quorum: 3, ack_quorum: 2, custom_metadata: Vec::new() }
}

fn write(ledgers: &EmbeddedLedgers, payloads: &[&[u8]]) -> ClosedLedger {
    let mut writer = ledgers.create(ledgers.allocate().unwrap(), &layout()).unwrap();
    payloads.iter().for_each(|payload| writer.append(payload).unwrap());
    writer.close().unwrap()
}

fn read(ledgers: &EmbeddedLedgers, id: i64) -> Result<Vec<Vec<u8>>, Tier1Error> {
    let mut payloads = Vec::new();
    ledgers.read(id, &mut |entry, payload| {
        assert_eq!(entry, payloads.len() as i64);
        payloads.push(payload.to_vec());
        Ok(())
    })?;
    Ok(payloads)
}

#[test]
fn entries_come_back_from_another_handle() {
    let directory = tempfile::tempdir().unwrap();
    let large = vec![7; 1 << 20];
    for digest_type in DigestType::ALL {
        let (_, ledgers) = open(directory.path(), digest_type);
        ledgers.check(&layout()).unwrap();
        let closed = write(&ledgers, &[b"hello", b"", &large]);
        assert_eq!((closed.last_entry, closed.length), (2, 5 + (1 << 20)));
        let (_, again) = open(directory.path(), DigestType::Crc32c);
        assert_eq!(read(&again, closed.id).unwrap(), [b"hello".to_vec(), Vec::new(), large.clone()]);
    }
}

#[test]
fn the_file_holds_what_a_bookie_would_get() {
    let directory = tempfile::tempdir().unwrap();
    let (_, ledgers) = open(directory.path(), DigestType::Crc32c);
    write(&ledgers, &[b"hello"]);
    let file = fs::read(directory.path().join("ledgers/0000000000")).unwrap();
    assert_eq!(file[..4], [0, 0, 0, 41]);
    assert_eq!(file[4 + 16..4 + 24], [0xff; 8], "nothing was confirmed before the first entry");
    assert_eq!(&file[4 + 36..], b"hello");
}

#[test]
fn ledgers_that_were_not_closed_are_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let (_, ledgers) = open(directory.path(), DigestType::Crc32c);
    let mut writer = ledgers.create(ledgers.allocate().unwrap(), &layout()).unwrap();
    writer.append(b"x").unwrap();
    let id = writer.id();
    drop(writer);
    assert!(read(&ledgers, id).unwrap_err().to_string().contains("never closed"));
    assert_eq!(write(&ledgers, &[b"y"]).id, id + 1, "ids are not used twice");
}

#[test]
fn damage_is_found_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let (_, ledgers) = open(directory.path(), DigestType::Crc32c);
    let id = write(&ledgers, &[b"hello", b"world"]).id;
    let path = directory.path().join("ledgers/0000000000");
    let whole = fs::read(&path).unwrap();
    for place in [4, 12, 30, 40, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        fs::write(&path, damaged).unwrap();
        let message = read(&ledgers, id).unwrap_err().to_string();
        assert!(message.contains("ledger 0: entry") && message.contains("digest"), "{message}");
    }
    for length in [0, 3, 10, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(read(&ledgers, id).unwrap_err().to_string().contains("0000000000"));
    }
    let mut endless = whole.clone();
    endless[0] = 0xff;
    fs::write(&path, endless).unwrap();
    assert!(read(&ledgers, id).is_err());
}

#[test]
fn deleting_removes_metadata_and_entries() {
    let directory = tempfile::tempdir().unwrap();
    let (znodes, ledgers) = open(directory.path(), DigestType::Crc32c);
    let id = write(&ledgers, &[b"hello"]).id;
    ledgers.delete(id).unwrap();
    ledgers.delete(id).unwrap();
    assert!(matches!(read(&ledgers, id), Err(Tier1Error::NotFound { .. })));
    assert!(znodes.get("/p/ledgers/00").unwrap().is_none());
    assert_eq!(fs::read_dir(directory.path().join("ledgers")).unwrap().count(), 0);
}

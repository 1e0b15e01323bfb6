//! The files on a bookie's disks.

use dr_formats::bookie_cookie::Cookie;
use dr_formats::bookie_journal::{
    JOURNAL_HEADER_BYTES, JournalHeader, JournalItem, JournalRecord, LastMark, journal_id,
};
use dr_formats::entry_log::{self, EntryLogHeader, EntryLogItem, log_id};
use dr_formats::ledger_entry::{DigestType, EntryCodec, EntryHeader, LedgerPassword};
use dr_formats::ledger_index::{EntryLocation, LedgerIndexHeader, ledger_id};
use dr_formats::stepwise::Step;

use crate::decoder::{Decoder, Outcome};

/// Longest record of the checks.
const RECORD_MAX_BYTES: usize = 1 << 20;

pub(super) const DECODERS: &[Decoder] = &[
    Decoder {
        name: "bookie-journal",
        covers: &["bookie_journal::JournalHeader::decode", "bookie_journal::JournalHeader::step"],
        seeds: |_| vec![journal(6), journal(4)],
        mend: None,
        check: check_journal,
    },
    Decoder {
        name: "last-mark",
        covers: &["bookie_journal::LastMark::decode"],
        seeds: |_| vec![[0x0199_0000_0000_u64, 512].map(u64::to_be_bytes).concat()],
        mend: None,
        check: |input| match LastMark::decode(input) {
            Ok(mark) => {
                assert_eq!([mark.journal_id, mark.offset].map(u64::to_be_bytes).concat(), input[..16]);
                Outcome::RoundTripped
            }
            Err(_) => Outcome::Refused,
        },
    },
    Decoder {
        name: "entry-log",
        covers: &["entry_log::EntryLogHeader::decode", "entry_log::step"],
        seeds: |_| vec![entry_log()],
        mend: None,
        check: check_entry_log,
    },
    Decoder {
        name: "ledger-index",
        covers: &["ledger_index::LedgerIndexHeader::decode", "ledger_index::EntryLocation::decode"],
        seeds: |_| vec![ledger_index(1), ledger_index(0)],
        mend: None,
        check: check_index,
    },
    Decoder {
        name: "bookie-file-name",
        covers: &["bookie_journal::journal_id", "entry_log::log_id", "ledger_index::ledger_id"],
        seeds: |_| [&b"19a0b1c2d3e.txn"[..], b"1f.log", b"0.idx", b"7fffffffffffffff.idx"].map(<[u8]>::to_vec).into(),
        mend: None,
        check: check_name,
    },
    Decoder {
        name: "bookie-cookie",
        covers: &["bookie_cookie::Cookie::decode"],
        seeds: |_| {
            let named = "4\nbookieHost: \"a:1\"\njournalDir: \"/j\\\\,/k\"\nledgerDirs: \"1\\t/l\"\ninstanceId: \"\\303\\244\"\n";
            vec![named.as_bytes().to_vec(), b"3\na:1\n/j\n2\t/l\t/m\n".to_vec()]
        },
        mend: None,
        check: |input| match Cookie::decode(input) {
            Ok(cookie) => {
                assert!(!cookie.bookie_id.is_empty());
                Outcome::Accepted
            }
            Err(_) => Outcome::Refused,
        },
    },
];

fn entry() -> Vec<u8> {
    let header = EntryHeader { ledger_id: 9, entry_id: 4, last_add_confirmed: 3, length: 70 };
    let mut entry = Vec::new();
    EntryCodec::new(DigestType::Crc32c, &LedgerPassword::default()).encode(header, b"payload", &mut entry);
    entry
}

fn record(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}

/// A record that is no entry.
fn special(kind: i64, bytes: &[u8]) -> Vec<u8> {
    let mut body = [9, kind].map(i64::to_be_bytes).concat();
    body.extend((bytes.len() as u32).to_be_bytes());
    body.extend_from_slice(bytes);
    record(&body)
}

fn journal(version: u8) -> Vec<u8> {
    let mut journal = [&b"BKLG\0\0\0"[..], &[version]].concat();
    if version >= 5 {
        journal.resize(512, 0);
    }
    journal.extend(special(-0x1000, &[7; 20]));
    journal.extend(record(&entry()));
    journal.extend(special(-0x2000, &[]));
    if version >= 5 {
        journal.extend([0xff, 0xff, 0xff, 0, 0, 0, 0, 3, 0, 0, 0]);
    }
    journal.extend(special(-0x8000, &[1; 20]));
    journal.extend([0; 4]);
    journal
}

fn check_journal(input: &[u8]) -> Outcome {
    let Ok(header) = JournalHeader::decode(input) else { return Outcome::Refused };
    assert!(header.first_record() >= JOURNAL_HEADER_BYTES as u64);
    let mut rest = input.get(header.first_record() as usize..).unwrap_or_default();
    let mut outcome = Outcome::Refused;
    while let Some((item, length)) = next(header.step(rest, 0, RECORD_MAX_BYTES), rest) {
        if let JournalItem::Record(JournalRecord::Entry(entry)) = item {
            assert_eq!(entry, &rest[4..length]);
        }
        rest = &rest[length..];
        outcome = Outcome::Accepted;
    }
    outcome
}

/// What a step found and its length, after the checks that hold for every format.
fn next<T, E>(step: Result<Step<T>, E>, bytes: &[u8]) -> Option<(T, usize)> {
    match step.ok()? {
        Step::Item { item, length } => {
            assert!(length > 0 && length <= bytes.len() as u64, "an item of {length} of {} bytes", bytes.len());
            Some((item, length as usize))
        }
        Step::Incomplete { needed } => {
            assert!(needed > bytes.len() && needed <= RECORD_MAX_BYTES + 8, "{needed} of {} bytes", bytes.len());
            None
        }
        Step::End => None,
    }
}

fn entry_log() -> Vec<u8> {
    let mut log = b"BKLO\0\0\0\x01\0\0\0\0\0\0\x04\x31\0\0\0\x01".to_vec();
    log.resize(entry_log::ENTRY_LOG_HEADER_BYTES, 0);
    log.extend(record(&entry()));
    let numbers = [-1, -2].map(i64::to_be_bytes).concat();
    let row = [9_i64, 51].map(i64::to_be_bytes).concat();
    log.extend(record(&[&numbers[..], &[0, 0, 0, 1], &row].concat()));
    log
}

fn check_entry_log(input: &[u8]) -> Outcome {
    if EntryLogHeader::decode(input).is_err() {
        return Outcome::Refused;
    }
    let mut rest = input.get(entry_log::ENTRY_LOG_HEADER_BYTES..).unwrap_or_default();
    while let Some((item, length)) = next(entry_log::step(rest, 0, RECORD_MAX_BYTES), rest) {
        match item {
            EntryLogItem::Entry(entry) => assert_eq!(entry, &rest[4..length]),
            EntryLogItem::LedgersMap(rows) => assert!(rows.len() * 16 <= length),
        }
        rest = &rest[length..];
    }
    Outcome::Accepted
}

fn ledger_index(version: u8) -> Vec<u8> {
    let mut index = [&b"BKLE\0\0\0"[..], &[version], &[0, 0, 0, 20], &[7; 20], &[0, 0, 0, 1]].concat();
    if version >= 1 {
        index.extend([0, 0, 0, 5, 1, 2, 3, 4, 5]);
    }
    index
}

fn check_index(input: &[u8]) -> Outcome {
    for location in input.as_chunks::<8>().0 {
        let decoded = EntryLocation::decode(*location);
        let again = decoded.map_or(0, |decoded| u64::from(decoded.log_id) << 32 | u64::from(decoded.offset));
        assert_eq!(again.to_be_bytes(), *location);
    }
    match LedgerIndexHeader::decode(input) {
        Ok(header) => {
            assert!(header.master_key.len() + header.explicit_lac.map_or(0, <[u8]>::len) <= input.len());
            Outcome::Accepted
        }
        Err(_) => Outcome::Refused,
    }
}

fn check_name(input: &[u8]) -> Outcome {
    let name = String::from_utf8_lossy(input);
    let formed = [
        journal_id(&name).map(|id| format!("{id:x}.txn")),
        log_id(&name).map(|id| format!("{id:x}.log")),
        ledger_id(&name).map(|id| format!("{id:x}.idx")),
    ];
    let mut outcome = Outcome::Refused;
    for again in formed.into_iter().flatten() {
        assert_eq!(again, name);
        outcome = Outcome::RoundTripped;
    }
    outcome
}

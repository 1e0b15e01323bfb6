use super::*;
use crate::ledger_entry::{DigestType, EntryCodec, LedgerPassword};
use crate::test_support::{hex, mutations, unhex};

const RECORD_MAX_BYTES: usize = 1 << 20;

/// The first sectors of a journal of BookKeeper 4.14.1, from byte 512 on: the key of ledger 0, its entry 0, the key of
/// ledger 1, padding.
const RECORDS: &str = "
    00000028 0000000000000000 fffffffffffff000 00000014 850bf1071c5e3d8c24235676f8816ae0cbe2f14f
    0000004b 0000000000000000 0000000000000000 ffffffffffffffff 0000000000000027 6c179846
    00 00000021 00 | 0000001c 03 | 00 08 00 01 00 00000013 0000000000000001 0a 00 00 01 00 00000002 01 00
    00000028 0000000000000001 fffffffffffff000 00000014 850bf1071c5e3d8c24235676f8816ae0cbe2f14f
    ffffff00 00000151";

const V6: JournalHeader = JournalHeader { version: 6 };

fn step(bytes: &[u8]) -> Result<Step<JournalItem<'_>>, DecodeError> {
    V6.step(bytes, SECTOR_BYTES, RECORD_MAX_BYTES)
}

#[test]
fn the_header_says_where_records_begin() {
    let header = JournalHeader::decode(&unhex("424b4c47 00000006 0000")).unwrap();
    assert_eq!((header, header.first_record()), (V6, 512));
    let old = JournalHeader::decode(&unhex("424b4c47 00000004")).unwrap();
    assert_eq!((old.version, old.first_record()), (4, 8));
    let error = JournalHeader::decode(&unhex("424b4c47 00000007")).unwrap_err();
    assert_eq!(error.to_string(), "bookie journal: at byte 4, expected version 2 to 6, found 7");
    assert!(JournalHeader::decode(b"BKLO\0\0\0\x06").is_err());
}

#[test]
fn records_of_a_real_journal() {
    let mut bytes = unhex(RECORDS);
    bytes.resize(bytes.len() + 337, 0);
    let mut rest = &bytes[..];
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let Step::Item { item, length } = step(rest).unwrap() else { panic!("{rest:?}") };
        seen.push(match item {
            JournalItem::Record(JournalRecord::LedgerKey { ledger_id, master_key }) => {
                assert_eq!(master_key, LedgerPassword::default().master_key().0);
                format!("key of {ledger_id}")
            }
            JournalItem::Record(JournalRecord::Entry(entry)) => {
                let entry = EntryCodec::new(DigestType::Crc32c, &LedgerPassword::default()).decode(entry).unwrap();
                format!("{:?} {}", entry.header, hex(&entry.payload[..11]))
            }
            JournalItem::Padding(zeros) => format!("{} zeros, {length}", zeros.len()),
            other => format!("{other:?}"),
        });
        rest = &rest[length as usize..];
    }
    assert_eq!(
        seen,
        [
            "key of 0",
            "EntryHeader { ledger_id: 0, entry_id: 0, last_add_confirmed: -1, length: 39 } 0000000021000000001c03",
            "key of 1",
            "337 zeros, 345",
        ]
    );
}

#[test]
fn kinds_of_records() {
    let read = |text: &str| match step(&unhex(text)) {
        Ok(Step::Item { item: JournalItem::Record(record), .. }) => format!("{record:?}"),
        other => format!("{other:?}"),
    };
    assert_eq!(read("00000010 0000000000000007 ffffffffffffe000"), "Fenced { ledger_id: 7 }");
    assert_eq!(read("00000010 0000000000000007 ffffffffffffc000"), "Force { ledger_id: 7 }");
    assert_eq!(
        read("00000016 0000000000000007 ffffffffffff8000 00000002 0102"),
        "ExplicitLac { ledger_id: 7, body: [1, 2] }"
    );
    assert_eq!(read("00000000"), "Ok(End)");
    assert_eq!(read("000000"), "Ok(Incomplete { needed: 4 })");
    assert_eq!(read("ffffff00 00"), "Ok(Incomplete { needed: 8 })");
    assert_eq!(read("ffffff00 00000151 00"), "Ok(Incomplete { needed: 345 })");
    assert_eq!(read("00000012 00"), "Ok(Incomplete { needed: 22 })");
}

#[test]
fn what_cannot_be_a_record_is_named_with_its_place() {
    let error = |text: &str| step(&unhex(text)).unwrap_err().to_string();
    assert_eq!(error("ffffffff"), "bookie journal: at byte 512, expected a record of 16 to 1048576 bytes, found -1");
    assert!(error("7fffffff").ends_with("found 2147483647"));
    assert!(error("0000000f").ends_with("found 15"));
    assert_eq!(
        error("00000010 0000000000000007 ffffffffffffefff"),
        "bookie journal: at byte 524, expected an entry id or the number of a kind of record, found -4097"
    );
    assert!(error("00000014 0000000000000007 fffffffffffff000 00000001").contains("a length of at most 0"));
    assert!(error("ffffff00 ffffffff").contains("padding of at most 1048576 bytes"));
    // Before version 5 there is no padding.
    assert!(JournalHeader { version: 4 }.step(&unhex("ffffff00 00000151"), 8, 100).is_err());
}

#[test]
fn every_mutation_is_answered() {
    mutations(&unhex(RECORDS), |bytes| {
        let mut rest = bytes;
        while let Ok(Step::Item { length, .. }) = step(rest) {
            let Some(next) = usize::try_from(length).ok().and_then(|length| rest.get(length..)) else { break };
            rest = next;
        }
    });
    mutations(&unhex("424b4c47 00000006"), |bytes| drop(JournalHeader::decode(bytes)));
}

#[test]
fn marks_and_names() {
    let mark = LastMark::decode(&unhex("0000019a0b1c2d3e 0000000000000200")).unwrap();
    assert_eq!(mark, LastMark { journal_id: 0x019a_0b1c_2d3e, offset: 512 });
    assert!(LastMark::decode(&unhex("0000019a0b1c2d3e ffffffffffffffff")).is_err());
    assert!(LastMark::decode(&[0; 15]).is_err());
    assert_eq!(journal_id("19a0b1c2d3e.txn"), Some(0x19a_0b1c_2d3e));
    for other in ["19a0b1c2d3e", "19A.txn", "019a.txn", ".txn", "+1.txn", "1.txn.old"] {
        assert_eq!(journal_id(other), None, "{other}");
    }
}

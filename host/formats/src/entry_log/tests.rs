use super::*;
use crate::test_support::{mutations, unhex};

const RECORD_MAX_BYTES: usize = 1 << 20;

fn read(text: &str) -> Result<Step<EntryLogItem<'static>>, String> {
    let bytes: &'static [u8] = Box::leak(unhex(text).into_boxed_slice());
    step(bytes, 1024, RECORD_MAX_BYTES).map_err(|error| error.to_string())
}

#[test]
fn header_of_a_real_log() {
    let header = EntryLogHeader::decode(&unhex("424b4c4f 00000001 0000000004010a66 00000007")).unwrap();
    let expected = EntryLogHeader { version: 1, ledgers_map_offset: Some(0x0401_0a66), ledger_count: 7 };
    assert_eq!(header, expected);
    let open = EntryLogHeader::decode(&unhex("424b4c4f 00000001 0000000000000000 00000000")).unwrap();
    assert_eq!(open.ledgers_map_offset, None);
    let error = EntryLogHeader::decode(&unhex("424b4c4f 00000002 0000000000000000 00000000")).unwrap_err();
    assert_eq!(error.to_string(), "entry log: at byte 4, expected version 0 to 1, found 2");
    mutations(&unhex("424b4c4f 00000001 0000000004010a66 00000007"), |bytes| drop(EntryLogHeader::decode(bytes)));
}

#[test]
fn entries_and_maps() {
    let Ok(Step::Item { item: EntryLogItem::Entry(entry), length: 41 }) =
        read("00000025 0000000000000064 0000000000000000 ffffffffffffffff 0000000000000001 60ce91d7 68")
    else {
        panic!()
    };
    assert_eq!(entry.len(), 37);
    // The beginning of the map of the log above, with one row.
    let map = read("00000024 ffffffffffffffff fffffffffffffffe 00000001 0000000000000000 000000000091a55c").unwrap();
    let rows = vec![LedgerBytes { ledger_id: 0, bytes: 0x91_a55c }];
    assert_eq!(map, Step::Item { item: EntryLogItem::LedgersMap(rows), length: 40 });
    assert_eq!(read("00000000"), Ok(Step::End));
    assert_eq!(read("0000"), Ok(Step::Incomplete { needed: 4 }));
    assert_eq!(read("00000025 00"), Ok(Step::Incomplete { needed: 41 }));
}

#[test]
fn what_cannot_be_a_record_is_named_with_its_place() {
    assert_eq!(
        read("ffffffff").unwrap_err(),
        "entry log: at byte 1024, expected a record of 16 to 1048576 bytes, found -1"
    );
    assert!(read("0000000f").unwrap_err().ends_with("found 15"));
    assert_eq!(
        read("00000010 0000000000000001 ffffffffffffffff").unwrap_err(),
        "entry log: at byte 1028, expected the ids of a ledger and an entry, found 1 and -1"
    );
    let map = read("00000014 ffffffffffffffff fffffffffffffffe 00000001").unwrap_err();
    assert_eq!(map, "entry log: at byte 1044, expected at most 0 ledgers, found 1");
}

#[test]
fn every_mutation_is_answered() {
    let bytes = unhex("00000024 ffffffffffffffff fffffffffffffffe 00000001 0000000000000000 000000000091a55c");
    mutations(&bytes, |bytes| drop(step(bytes, 0, RECORD_MAX_BYTES)));
}

#[test]
fn names() {
    assert_eq!((log_id("0.log"), log_id("1f.log")), (Some(0), Some(31)));
    for other in ["0.log.compacting", "log", "1F.log", "00.log", ".log"] {
        assert_eq!(log_id(other), None, "{other}");
    }
}

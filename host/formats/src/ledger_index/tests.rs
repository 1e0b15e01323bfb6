use super::*;
use crate::ledger_entry::LedgerPassword;
use crate::test_support::{mutations, unhex};

/// The header of an index of BookKeeper 4.14.1.
const HEADER: &str = "424b4c45 00000001 00000014 850bf1071c5e3d8c24235676f8816ae0cbe2f14f 00000000 00000000";

#[test]
fn header_of_a_real_index() {
    let bytes = unhex(HEADER);
    let header = LedgerIndexHeader::decode(&bytes).unwrap();
    assert_eq!(header.master_key, LedgerPassword::default().master_key().0);
    assert_eq!((header.version, header.fenced, header.explicit_lac), (1, false, None));
}

#[test]
fn fenced_and_explicit_lac() {
    let bytes = unhex("424b4c45 00000001 00000001 07 00000003 00000002 0809 0000");
    let header = LedgerIndexHeader::decode(&bytes).unwrap();
    assert_eq!((header.master_key, header.fenced, header.explicit_lac), (&[7][..], true, Some(&[8, 9][..])));
    // Version 0 ends behind the state.
    let bytes = unhex("424b4c45 00000000 00000001 07 00000001");
    assert!(LedgerIndexHeader::decode(&bytes).unwrap().fenced);
}

#[test]
fn damage_is_named_with_its_place() {
    let error = |text: &str| LedgerIndexHeader::decode(&unhex(text)).unwrap_err().to_string();
    assert_eq!(error("424b4c45 00000002"), "ledger index: at byte 4, expected version 0 to 1, found 2");
    assert_eq!(
        error("424b4c45 00000001 7fffffff 00"),
        "ledger index: at byte 8, expected a length of at most 1, found 2147483647"
    );
    mutations(&unhex(HEADER), |bytes| drop(LedgerIndexHeader::decode(bytes)));
}

#[test]
fn locations_and_names() {
    let location = EntryLocation::decode(0x0000_0002_0000_0404_u64.to_be_bytes());
    assert_eq!(location, Some(EntryLocation { log_id: 2, offset: 0x404 }));
    assert_eq!(EntryLocation::decode([0; 8]), None);
    assert_eq!((ledger_id("0.idx"), ledger_id("1f.idx")), (Some(0), Some(31)));
    for other in ["ffffffffffffffff.idx", "1F.idx", "01.idx", "1.log"] {
        assert_eq!(ledger_id(other), None, "{other}");
    }
}

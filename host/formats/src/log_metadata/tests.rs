use proptest::prelude::*;

use super::*;
use crate::primitives::{COMPACT_INT_MAX, COMPACT_LONG_MAX};
use crate::test_support::{hex, mutations, unhex};

fn ledger(ledger_id: i64, sequence: u32, status: LedgerStatus) -> LogLedger {
    LogLedger { ledger_id, sequence, status }
}

fn metadata(epoch: u64, truncation: LedgerAddress, ledgers: &[LogLedger]) -> LogMetadata {
    LogMetadata { enabled: true, epoch, truncation, ledgers: ledgers.to_vec() }
}

#[test]
fn vectors_of_the_reference() {
    use LedgerStatus::{NotEmpty, Unknown};
    let two = [ledger(70, 1, NotEmpty), ledger(20000, 2, Unknown)];
    let truncated = LedgerAddress { frame: FrameAddress::new(2, 3), ledger_id: 20000 };
    let vectors = [
        (metadata(1, LedgerAddress::START, &[ledger(5, 1, Unknown)]), "00000100000000 08 01 01 00 00 01 05 01 00"),
        (metadata(100, LedgerAddress::START, &two), "00000100000000 10 01 4064 00 00 02 4046 01 02 80004e20 02 00"),
        (metadata(100, truncated, &two[1..]), "00000100000000 16 01 4064 c000000200000003 80004e20 01 80004e20 02 00"),
        (metadata(100, LedgerAddress::START, &[ledger(0, 1, Unknown)]), "0000010000000009 01 4064 00 00 01 00 01 00"),
        (
            metadata(101, LedgerAddress::START, &[ledger(0, 1, NotEmpty), ledger(1, 2, Unknown)]),
            "000001000000000c01406500000200010201 0200",
        ),
    ];
    for (value, bytes) in vectors {
        let bytes = unhex(bytes);
        assert_eq!(hex(&value.encode().unwrap()), hex(&bytes));
        assert_eq!(LogMetadata::decode(&bytes).unwrap(), value);
    }
}

#[test]
fn log_of_a_real_cluster() {
    let bytes = unhex(
        "00000100 00000021 01 07 c00000010000012b 00 07 | 00 01 00 | 04 02 00 | 06 03 00 | 09 04 02 | 0c 05 02 | 0f 06 00 | 12 07 00",
    );
    let value = LogMetadata::decode(&bytes).unwrap();
    assert_eq!((value.epoch, value.ledgers.len()), (7, 7));
    assert_eq!((value.truncation.frame.ledger_sequence(), value.truncation.frame.entry_id()), (1, 299));
    assert_eq!(value.encode().unwrap(), bytes);
}

#[test]
fn damage_is_refused_with_the_place() {
    let bytes = unhex("00000100000000 08 01 01 00 00 01 05 01 07");
    let error = LogMetadata::decode(&bytes).unwrap_err().to_string();
    assert_eq!(error, "log metadata: at byte 15, expected a ledger status 0 to 2, found 7");
    mutations(&bytes, |bytes| drop(LogMetadata::decode(bytes)));
}

#[test]
fn paths_of_the_reference() {
    let vectors = [
        (0, 2, "/0/0/0"),
        (7, 2, "/7/0/7"),
        (12, 2, "/2/1/12"),
        (137, 2, "/7/3/137"),
        (12, 3, "/2/1/0/12"),
        (12, 0, "/12"),
    ];
    for (container, depth, path) in vectors {
        assert_eq!(log_metadata_path(container, depth), path);
    }
}

proptest! {
    #[test]
    fn log_metadata_survive(enabled in any::<bool>(), epoch in 0..=COMPACT_LONG_MAX, frame in 0..=COMPACT_LONG_MAX,
                            ledgers in prop::collection::vec((0..=COMPACT_LONG_MAX as i64, 0..=COMPACT_INT_MAX, 0..3), 0..20)) {
        let status = |number| [LedgerStatus::Unknown, LedgerStatus::Empty, LedgerStatus::NotEmpty][number as usize];
        let ledgers: Vec<LogLedger> =
            ledgers.into_iter().map(|(id, sequence, number)| ledger(id, sequence, status(number))).collect();
        let truncation = LedgerAddress { frame: FrameAddress(frame), ledger_id: (frame >> 7) as i64 };
        let value = LogMetadata { enabled, epoch, truncation, ledgers };
        prop_assert_eq!(LogMetadata::decode(&value.encode().unwrap()).unwrap(), value);
    }

    #[test]
    fn any_bytes_give_value_or_error(bytes in any::<Vec<u8>>()) {
        drop(LogMetadata::decode(&bytes));
    }
}

use proptest::prelude::*;

use super::*;
use crate::ledger_entry::{DigestType, EntryCodec, EntryHeader, LedgerPassword};
use crate::test_support::{hex, mutations, unhex};

const KEY: &str = "850bf1071c5e3d8c24235676f8816ae0cbe2f14f";
const ENTRY: &str = "0000000000000064 0000000000000000 ffffffffffffffff 0000000000000005 60ce91d7 68656c6c6f";

fn master_key() -> MasterKey {
    LedgerPassword::default().master_key()
}

fn add(entry: Vec<u8>, recovery: bool) -> Request<'static> {
    Request::Add { ledger_id: 100, entry_id: 0, master_key: master_key(), entry: entry.into(), recovery }
}

/// Requests of the reference with their transaction ids and bytes.
fn requests() -> Vec<(Request<'static>, u64, String)> {
    let header = EntryHeader { ledger_id: 100, entry_id: 0, last_add_confirmed: -1, length: 5 };
    let mut entry = Vec::new();
    EntryCodec::new(DigestType::Crc32c, &LedgerPassword::default()).encode(header, b"hello", &mut entry);
    vec![
        (add(entry, false), 1, format!("00000050 0a06 0803 1002 1801 aa0645 0864 1000 1a14 {KEY} 2229 {ENTRY}")),
        (Request::Read { ledger_id: 100, entry_id: 0 }, 3, "0000000f 0a06080310011803 a20604 0864 1000".to_owned()),
        (
            Request::Fence { ledger_id: 200, master_key: master_key() },
            7,
            format!("00000032 0a06080310011807 a20627 08c801 10ffffffffffffffffff01 1a14{KEY} a00601"),
        ),
    ]
}

#[test]
fn requests_of_the_reference() {
    for (request, transaction_id, bytes) in requests() {
        let bytes = unhex(&bytes);
        assert_eq!(hex(&request.encode(transaction_id).unwrap()), hex(&bytes));
        let (message, taken) = next_message(&bytes).unwrap().unwrap();
        assert_eq!(taken, bytes.len());
        assert_eq!(Request::decode(message).unwrap(), (transaction_id, request));
    }
}

#[test]
fn responses_of_the_reference() {
    let added = ResponseBody::Add { ledger_id: 100, entry_id: 0 };
    let refused = ResponseBody::Add { ledger_id: 200, entry_id: 2 };
    let read = ResponseBody::Read { ledger_id: 100, entry_id: 0, entry: Some(unhex(ENTRY)) };
    let missing = ResponseBody::Read { ledger_id: 100, entry_id: 7, entry: None };
    for (bytes, transaction_id, status, body) in [
        ("00000013 0a06 0803 1002 1801 1000 aa0606 0800 1064 1800".to_owned(), 1, Status::Ok, added),
        (format!("00000040 0a06 0803 1001 1803 1000 a20633 0800 1064 1800 2229 {ENTRY} 2800"), 3, Status::Ok, read),
        ("00000016 0a06080310021808 10f803 aa0608 08f803 10c801 1802".to_owned(), 8, Status::Fenced, refused),
        ("00000015 0a06080310011805 109303 a20607 089303 1064 1807".to_owned(), 5, Status::NoEntry, missing),
    ] {
        let bytes = unhex(&bytes);
        let (message, taken) = next_message(&bytes).unwrap().unwrap();
        assert_eq!(taken, bytes.len());
        assert_eq!(Response::decode(message), Ok(Response { transaction_id, status, body }));
    }
}

#[test]
fn other_requests_and_responses_survive() {
    for request in [Request::StartTls, Request::ReadLastAddConfirmed { ledger_id: 5 }, add(vec![1, 2], true)] {
        assert_eq!(Request::decode(&request.encode(9).unwrap()[4..]), Ok((9, request)));
    }
    let last_add_confirmed =
        ResponseBody::ReadLastAddConfirmed { ledger_id: 5, explicit: Some(vec![1]), last_entry: None };
    for body in [ResponseBody::StartTls, ResponseBody::None, last_add_confirmed] {
        for status in [Status::Ok, Status::NoLedger, Status::Other(507)] {
            let response = Response { transaction_id: 9, status, body: body.clone() };
            assert_eq!(Response::decode(&response.encode().unwrap()[4..]), Ok(response));
        }
    }
}

#[test]
fn messages_are_cut_from_the_stream() {
    let frame = Request::StartTls.encode(1).unwrap();
    let two = [frame.clone(), frame.clone()].concat();
    assert_eq!(next_message(&two), Ok(Some((&frame[4..], frame.len()))));
    for length in 0..frame.len() {
        assert_eq!(next_message(&frame[..length]), Ok(None));
    }
    for length in ["00500001", "ffffffff"] {
        assert!(next_message(&unhex(length)).is_err());
    }
}

#[test]
fn requests_beyond_the_limit_are_not_sent() {
    assert!(add(vec![0; FRAME_MAX_BYTES], false).encode(1).is_err());
}

#[test]
fn wrong_messages_are_refused() {
    let refused = |bytes: &str| Request::decode(&unhex(bytes)).unwrap_err().to_string();
    assert_eq!(refused(""), "bookie request: at byte 0, expected a message header");
    assert_eq!(refused("0a06080210011803"), "bookie request: at byte 0, expected protocol version 3, found 2");
    assert!(refused("0a06080310051803").contains("found operation 5"));
    assert!(refused("0a06080310011807 a2060a 0801 1002 1a01ff a00601").contains("a master key of 20 bytes, found 1"));
    assert!(Response::decode(&unhex("ff")).is_err());
}

#[test]
fn statuses_have_numbers_and_words() {
    for code in [0, 402, 403, 404, 501, 502, 503, 504, 505, 506, 507, -1] {
        assert_eq!(Status::from_code(code).code(), code);
    }
    assert_eq!(Status::Fenced.to_string(), "the ledger is fenced, another client owns it (504)");
    assert_eq!(Status::Other(507).to_string(), "bookie status 507");
}

#[test]
fn the_master_key_does_not_show() {
    let shown = format!("{:?}", Request::Fence { ledger_id: 1, master_key: master_key() });
    assert_eq!(shown, "Fence { ledger_id: 1, master_key: MasterKey(..) }");
}

#[test]
fn registration_of_the_reference() {
    let data = unhex("32 23 0a06 626f6f6b6965 10 c2f801 1a09 3132372e302e302e31 220a 626f6f6b69652d727063");
    let endpoint = |host: &str, port| Ok(vec![BookieEndpoint { host: host.to_owned(), port }]);
    assert_eq!(bookie_endpoints("any", &data), endpoint("127.0.0.1", 31810));
    assert_eq!(bookie_endpoints("bookie-1:3181", &[]), endpoint("bookie-1", 3181));
    assert!(bookie_endpoints("bookie-1", &[]).is_err());
    assert!(bookie_endpoints("bookie-1:99999", &[]).is_err());
    mutations(&data, |data| drop(bookie_endpoints("bookie-1:3181", data)));
}

#[test]
fn mutated_messages_give_value_or_error() {
    for (_, _, bytes) in requests() {
        mutations(&unhex(&bytes), |bytes| {
            drop(next_message(bytes));
            drop(Request::decode(bytes.get(4..).unwrap_or_default()));
            drop(Response::decode(bytes.get(4..).unwrap_or_default()));
        });
    }
}

proptest! {
    #[test]
    fn adds_survive(ledger_id in any::<i64>(), entry_id in any::<i64>(), entry in any::<Vec<u8>>(), key in any::<[u8; 20]>(),
                    recovery in any::<bool>(), transaction_id in any::<u64>()) {
        let request = Request::Add { ledger_id, entry_id, master_key: MasterKey(key), entry: entry.into(), recovery };
        let bytes = request.encode(transaction_id).unwrap();
        prop_assert_eq!(Request::decode(&bytes[4..]), Ok((transaction_id, request)));
    }

    #[test]
    fn any_bytes_give_value_or_error(bytes in any::<Vec<u8>>()) {
        drop(next_message(&bytes));
        drop(Request::decode(&bytes));
        drop(Response::decode(&bytes));
        drop(bookie_endpoints("x", &bytes));
    }
}

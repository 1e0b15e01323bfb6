use super::*;
use crate::test_support::{hex, mutations, unhex};
use proptest::prelude::*;

#[test]
fn state_vector() {
    let bytes = unhex("00 00 01 00 00000001 02");
    assert_eq!(StreamState::decode(&bytes), Ok(StreamState::Active));
    assert_eq!(StreamState::Active.encode().unwrap(), bytes);
    assert!(StreamState::decode(&unhex("00 00 01 00 00000001 09")).is_err());
    for state in StreamState::ALL {
        assert_eq!(StreamState::decode(&state.encode().unwrap()), Ok(state));
    }
}

fn configuration(retention: Option<RetentionPolicy>) -> StreamConfiguration {
    StreamConfiguration {
        scope: "beta".into(),
        stream: "retained".into(),
        scaling: Some(ScalingPolicy { kind: 0, target_rate: 0, factor: 0, minimum_segments: 1 }),
        retention,
        updating: false,
        timestamp_aggregation_timeout: 0,
        tags: vec!["t".into()],
        tag_only_update: false,
        removed_tags: Vec::new(),
        rollover_size: 0,
    }
}

#[test]
fn configuration_vectors() {
    let one_gib = RetentionPolicy { kind: RetentionKind::Size, limit: 1 << 30, maximum: i64::MAX };
    let vectors = [
        (Some(one_gib), "00 00 02 00 0000000a 01 01 0000000040000000 01 00000008 7fffffffffffffff"),
        (None, "00 00 02 00 00000001 00 01 00000000"),
    ];
    for (retention, vector) in vectors {
        let expected = configuration(retention);
        let bytes = expected.encode().unwrap();
        assert!(hex(&bytes).contains(&hex(&unhex(vector))));
        assert_eq!(StreamConfiguration::decode(&bytes), Ok(expected));
        mutations(&bytes, |bytes| drop(StreamConfiguration::decode(bytes)));
    }
}

#[test]
fn fewer_revisions_are_accepted() {
    let body =
        format!("0001 61 0001 62 {} {} 00", "00 00 01 00 00000001 00", "00 00 01 00 00000001 00").replace(' ', "");
    let bytes = unhex(&format!("00 00 01 00 {:08x} {body}", body.len() / 2));
    let read = StreamConfiguration::decode(&bytes).unwrap();
    assert_eq!((read.scope.as_str(), read.retention, read.rollover_size), ("a", None, 0));
}

#[test]
fn transaction_vectors() {
    let open = unhex(
        "00 00 03 00 00000019 0000000000000001 0000000000000002 0000000000000003 01
         01 00000012 0000 8000000000000000 8000000000000000 02 00000001 00",
    );
    let expected =
        ActiveTransaction { created: 1, lease_expiry: 2, maximum_execution_expiry: 3, status: TransactionStatus::Open };
    assert_eq!(ActiveTransaction::decode(&open), Ok(expected));
    mutations(&open, |bytes| drop(ActiveTransaction::decode(bytes)));
    let completed = unhex("00 00 01 00 00000009 0000000000000007 03");
    let expected = CompletedTransaction { completed: 7, status: TransactionStatus::Committed };
    assert_eq!(CompletedTransaction::decode(&completed), Ok(expected));
    assert_eq!(expected.encode(), Ok(completed));
    let none = unhex("00000100 00000009 80000000 00 80000000");
    assert_eq!(decode_committing_transactions(&none), Ok(Vec::new()));
    mutations(&none, |bytes| drop(decode_committing_transactions(bytes)));
}

#[test]
fn truncation_vectors() {
    let never = unhex("00000100 0000000d 00 00 00 00 0000000000000000 00");
    assert_eq!(decode_truncation(&never), Ok(Vec::new()));
    let cut = unhex(
        "00000100 0000002d 02 0000000000000001 0000000000000010 0000000100000002 0000000000000000
         00 00 00 0000000000000010 00",
    );
    assert_eq!(decode_truncation(&cut), Ok(vec![(1, 16), (0x1_0000_0002, 0)]));
    mutations(&cut, |bytes| drop(decode_truncation(bytes)));
    let negative = unhex("00000100 00000011 01 0000000000000001 8000000000000000");
    assert!(decode_truncation(&negative).is_err());
}

#[test]
fn transaction_ids() {
    let text = "00000003-0000-0001-0000-000000000005";
    let id = TransactionId::parse(text).unwrap();
    assert_eq!((id.to_string().as_str(), id.stream_epoch()), (text, 3));
    assert_eq!(id.counter(), TransactionCounter { most: 1, least: 5 });
    assert_eq!(TransactionId::parse_digits("00000003000000010000000000000005"), Some(id));
    assert_eq!(completed_transaction_of_key(&format!("Key.#.a.#.b.#./{text}")), Some(id));
    assert_eq!(key_of_completed_transaction("a", "b", id), format!("Key.#.a.#.b.#./{text}"));
    for wrong in [
        "",
        "00000003-0000-0001-0000-00000000000",
        "00000003-0000-0001-0000-0000000000050",
        "+0000003-0000-0001-0000-000000000005",
    ] {
        assert_eq!(TransactionId::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn keys_of_sealed_segments() {
    assert_eq!(sealed_segment_of_key("segmentSealedEpochPath-0"), Some(0));
    assert_eq!(sealed_segment_of_key("segmentSealedEpochPath-8589934595"), Some((2 << 32) + 3));
    for wrong in ["segmentSealedEpochPath-", "segmentSealedEpochPath--1", "segmentSealedEpochPath-+1", "markers-0", ""]
    {
        assert_eq!(sealed_segment_of_key(wrong), None, "{wrong}");
    }
}

#[test]
fn counter_vectors() {
    let bytes = unhex("00000000 0000000000002710");
    let counter = TransactionCounter::decode(&bytes).unwrap();
    assert_eq!(counter, TransactionCounter { most: 0, least: 10000 });
    assert_eq!(counter.encode().as_slice(), bytes);
    assert_eq!(hex(&counter.next_generation().unwrap().encode()), "000000010000000000000000");
    assert_eq!(TransactionCounter { most: i32::MAX, least: 0 }.next_generation(), None);
    assert!(TransactionCounter::decode(&bytes[..11]).is_err());
}

#[test]
fn bucket_vectors() {
    assert_eq!(
        (bucket_of("beta", "retained", 1), bucket_node("beta", "retained").as_str()),
        (0, "YmV0YS9yZXRhaW5lZA==")
    );
    assert_eq!((bucket_of("alpha", "txn", 100), bucket_node("alpha", "txn").as_str()), (21, "YWxwaGEvdHhu"));
    assert_eq!(bucket_of("alpha", "txn", 0), 0);
    assert_eq!(base64(b"ab"), "YWI=");
}

proptest! {
    #[test]
    fn any_text_is_no_panic(text in "\\PC{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = (TransactionId::parse(&text), completed_transaction_of_key(&text), bucket_of(&text, &text, 7));
        let _ = (StreamState::decode(&bytes), StreamConfiguration::decode(&bytes), decode_table_id(&bytes));
    }
}

#[test]
fn epochs_name_their_segments() {
    // As a controller of 0.13.0 wrote them.
    let stream = unhex(
        "00 00 02 00 00000061 00000001 00000001 02
         00 00 01 00 00000020 00000001 000001a20568d0a5 00000001 0000000000000000 3fe0000000000000
         00 00 01 00 00000020 00000002 000001a20568d0a5 00000001 3fe0000000000000 3ff0000000000000
         000001a20568d0a5 01 00000010 0000000000000000 0000000000000000",
    );
    assert_eq!(decode_stream_epoch(&stream).unwrap(), [1 << 32 | 1, 1 << 32 | 2]);
    let table = unhex(
        "00 00 01 00 00000035 00000000 01
         00 00 01 00 00000020 00000000 000001a205692a26 00000000 0000000000000000 3ff0000000000000 000001a205692a26",
    );
    assert_eq!(decode_key_value_table_epoch(&table).unwrap(), [0]);
    for bytes in [stream, table] {
        mutations(&bytes, |bytes| {
            drop(decode_stream_epoch(bytes));
            drop(decode_key_value_table_epoch(bytes));
        });
    }
    assert_eq!(
        (epoch_of_key("epochRecord-12"), epoch_of_key("epochRecord-"), epoch_of_key("epochRecord-x")),
        (Some(12), None, None)
    );
}

#[test]
fn configurations_of_key_value_tables_tell_how_long_keys_are() {
    let bytes =
        unhex("00 00 01 00 00000023 0006 7461626c6573 000d 74776f2d706172742d6b657973 00000003 00000008 00000008");
    assert_eq!(decode_key_length(&bytes), Ok(16));
    mutations(&bytes, |bytes| drop(decode_key_length(bytes)));
}

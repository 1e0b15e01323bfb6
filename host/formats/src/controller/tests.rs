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
    let expected = ActiveTransaction {
        created: 1,
        lease_expiry: 2,
        maximum_execution_expiry: 3,
        status: TransactionStatus::Open,
        commit_order: None,
    };
    assert_eq!(ActiveTransaction::decode(&open), Ok(expected));
    let committing = unhex(
        "00 00 03 00 00000019 0000000000000001 0000000000000002 0000000000000003 02
         01 00000013 0001 77 0000000000000009 0000000100000007 02 00000001 00",
    );
    let order = ActiveTransaction::decode(&committing).unwrap().commit_order.unwrap();
    assert_eq!((order.collection(), order.position()), (1, 7));
    assert_eq!(order.entity_node("a", "b"), "txnCommitOrderer/a/b/collections/1/entities/pos0000000007");
    assert_eq!(order.seal_node("a", "b"), "txnCommitOrderer/a/b/collections/1/sealed");
    mutations(&open, |bytes| drop(ActiveTransaction::decode(bytes)));
    let completed = unhex("00 00 01 00 00000009 0000000000000007 03");
    let expected = CompletedTransaction { completed: 7, status: TransactionStatus::Committed };
    assert_eq!(CompletedTransaction::decode(&completed), Ok(expected));
    assert_eq!(expected.encode(), Ok(completed));
    let none = unhex("00000100 00000009 80000000 00 80000000");
    assert_eq!(CommittingTransactions::decode(&none), Ok(CommittingTransactions::default()));
    assert_eq!(CommittingTransactions::default().encode(), Ok(none.clone()));
    let rolled = CommittingTransactions {
        epoch: 1,
        transactions: vec![TransactionId::parse("00000001-0000-0000-0000-000000000016").unwrap()],
        rolled_epoch: Some(3),
    };
    let row = unhex("00000100 00000019 00000001 01 00000001000000000000000000000016 00000003");
    assert_eq!((CommittingTransactions::decode(&row), rolled.encode()), (Ok(rolled), Ok(row)));
    mutations(&none, |bytes| drop(CommittingTransactions::decode(bytes)));
}

/// As the classes of 0.13.0 serialize them.
#[test]
fn truncation_vectors() {
    let never = unhex("00000100 0000000d 00 00 00 00 0000000000000000 00");
    assert_eq!(Truncation::decode(&never), Ok(Truncation::default()));
    let cut = unhex(
        "00000100 00000071 02 0000000100000002 0000000000000010 0000000200000003 ffffffffffffffff
         01 00000100 00000020 00000002 0000000000000005 00000001 0000000000000000 3ff0000000000000 00000003
         02 0000000000000000 0000000000000001 01 0000000100000001 0000000000000020 01",
    );
    let range = SegmentRange { low: 0, high: 1_f64.to_bits() };
    let expected = Truncation {
        cut: vec![(0x1_0000_0002, 16), (0x2_0000_0003, -1)],
        span: vec![(EpochSegment { number: 2, created: 5, epoch: 1, range }, 3)],
        deleted: vec![0, 1],
        to_delete: vec![0x1_0000_0001],
        size_till: 32,
        is_under_way: true,
    };
    assert_eq!(Truncation::decode(&cut), Ok(expected));
    for bytes in [never, cut] {
        assert_eq!(Truncation::decode(&bytes).unwrap().encode().unwrap(), bytes);
        mutations(&bytes, |bytes| drop(Truncation::decode(bytes)));
    }
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
fn sizes_of_sealed_segments() {
    let sizes = unhex("00000100 00000021 02 0000000000000001 0000000000000010 0000000100000002 0000000000000000");
    assert_eq!(decode_sealed_sizes(&sizes), Ok(vec![(1, 16), (0x1_0000_0002, 0)]));
    mutations(&sizes, |bytes| drop(decode_sealed_sizes(bytes)));
    assert_eq!(key_of_sealed_size(999 << 32 | 7), "segmentsSealedSizeMapShard-0");
    assert_eq!(key_of_sealed_size(1000 << 32), "segmentsSealedSizeMapShard-1");
}

#[test]
fn keys_of_sealed_segments() {
    assert_eq!(sealed_segment_of_key(&key_of_sealed_segment((2 << 32) + 3)), Some((2 << 32) + 3));
    assert_eq!(epoch_of_key(&key_of_epoch(7)), Some(7));
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
    let segments = decode_stream_epoch(&stream).unwrap();
    assert_eq!(segments.iter().map(EpochSegment::id).collect::<Vec<_>>(), [1 << 32 | 1, 1 << 32 | 2]);
    let [first, second] = [0, 1].map(|index: usize| segments[index].range);
    assert!(first.overlaps(first) && !first.overlaps(second) && !second.overlaps(first));
    let first = Truncation::of_first_epoch(&segments[..1]);
    assert_eq!((first.cut, first.span), (vec![(1 << 32 | 1, 0)], vec![(segments[0], 0)]));
    let table = unhex(
        "00 00 01 00 00000035 00000000 01
         00 00 01 00 00000020 00000000 000001a205692a26 00000000 0000000000000000 3ff0000000000000 000001a205692a26",
    );
    assert_eq!(decode_key_value_table_epoch(&table).unwrap().iter().map(EpochSegment::id).collect::<Vec<_>>(), [0]);
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

/// As the classes of 0.13.0 serialize them.
#[test]
fn transitions_of_streams() {
    let none = unhex("00000100 0000000e 80000000 8000000000000000 00 00");
    assert_eq!(EpochTransition::decode(&none), Ok(None));
    let scale = unhex(
        "00000100 0000002f 00000000 0000000000000007 01 0000000000000000
         01 0000000100000001 01 0000000000000000 3fe0000000000000",
    );
    let range = SegmentRange { low: 0, high: 0.5_f64.to_bits() };
    let expected = EpochTransition { time: 7, segments_to_seal: vec![0], new_segments: vec![(1 << 32 | 1, range)] };
    assert_eq!(EpochTransition::decode(&scale), Ok(Some(expected)));
    for bytes in [none, scale] {
        mutations(&bytes, |bytes| drop(EpochTransition::decode(bytes)));
    }
}

/// As the classes of 0.13.0 serialize them.
#[test]
fn requests_to_controllers() {
    let range = |low: f64, high: f64| SegmentRange { low: low.to_bits(), high: high.to_bits() };
    let transition = EpochTransition {
        time: 7,
        segments_to_seal: vec![0, 1 << 32 | 1],
        new_segments: vec![(2 << 32 | 2, range(0.0, 0.5)), (2 << 32 | 3, range(0.5, 1.0))],
    };
    let vectors = [
        (
            Request::Scale(Some(&transition)),
            "00 05 00 01 00 00000052 0005616c706861 00067363616c6564 02 0000000000000000 0000000100000001
             02 0000000000000000 3fe0000000000000 3fe0000000000000 3ff0000000000000 01 0000000000000007 0000000000000000",
        ),
        (
            Request::Scale(None),
            "00 05 00 01 00 00000022 0005616c706861 00067363616c6564 00 00 01 0000000000000000 0000000000000000",
        ),
        (Request::Seal, "00 06 00 01 00 00000017 0005616c706861 00067363616c6564 0000000000000000"),
        (Request::Truncate, "00 07 00 01 00 00000017 0005616c706861 00067363616c6564 0000000000000000"),
        (Request::Update, "00 08 00 01 00 00000017 0005616c706861 00067363616c6564 0000000000000000"),
    ];
    for (request, vector) in vectors {
        assert_eq!(request.encode("alpha", "scaled").unwrap(), unhex(vector), "{}", request.as_str());
    }
    assert_eq!(Request::Seal.node("h", "alpha", "scaled"), "hostRequestIndex/h/seal_%_alpha_%_scaled");
    assert!(Request::Seal.encode(&"s".repeat(70_000), "t").is_err());
}

#[test]
fn transactions_are_found_by_the_names_of_nodes() {
    let id = TransactionId::parse("00000003-0000-0001-0000-000000000005").unwrap();
    assert_eq!(
        transaction_index_node("h", "alpha", "txn", id),
        "hostTxnIndex/h/alpha_%_txn_%_00000003-0000-0001-0000-000000000005"
    );
    assert_eq!(transaction_index_data().unwrap(), unhex("00 00 01 00 00000008 ffffffffffffffff"));
}

/// As a controller of 0.13.0 wrote it.
#[test]
fn event_processors_are_serialized_as_java_does() {
    let vector = |count: &str, readers: &str| {
        unhex(&format!(
            "aced0005 73 72 0048 696f2e707261766567612e636f6e74726f6c6c65722e73746f72652e636865636b706f696e742e5a4b436865
             636b706f696e7453746f72652452656164657247726f757044617461 44bd9bd15b1dee9f 02 0002
             4c 0009 72656164657249647374 0010 4c6a6176612f7574696c2f4c6973743b
             4c 0005 737461746574 0050 4c696f2f707261766567612f636f6e74726f6c6c65722f73746f72652f636865636b706f696e742f5a
             4b436865636b706f696e7453746f72652452656164657247726f7570446174612453746174653b 78 70
             73 72 0013 6a6176612e7574696c2e41727261794c697374 7881d21d99c7619d 03 0001 49 0004 73697a65 78 70
             {count} 7704 {count} {readers} 78
             7e 72 004e 696f2e707261766567612e636f6e74726f6c6c65722e73746f72652e636865636b706f696e742e5a4b436865636b706f
             696e7453746f72652452656164657247726f7570446174612453746174650000000000000000 12 0000 78
             72 000e 6a6176612e6c616e672e456e756d 0000000000000000 12 0000 78 70 74 0006 416374697665"
        ))
    };
    let reader = |number: u8| format!("00000000-0000-1111-0000-00000000000{number}");
    let text = |number: u8| format!("74 0024 {}", hex(reader(number).as_bytes()));
    let (first, second) = (reader(0), reader(1));
    let one = encode_event_processors(&[&first]).unwrap();
    assert_eq!((&one, one.len()), (&vector("00000001", &text(0)), 441));
    let two = encode_event_processors(&[&first, &second]).unwrap();
    assert_eq!(two, vector("00000002", &format!("{} {}", text(0), text(1))));
    assert_eq!(event_processors_node("h", "scaleGroup"), "eventProcessors/h/scaleGroup");
}

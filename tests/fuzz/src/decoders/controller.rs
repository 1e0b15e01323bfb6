//! Rows and nodes of the controller.

use dr_formats::controller::{
    ActiveTransaction, COMMITTING_TRANSACTIONS_KEY, CONFIGURATION_KEY, CommittingTransactions, CompletedTransaction,
    CreationState, EPOCH_TRANSITION_KEY, EpochTransition, RetentionKind, RetentionPolicy, STATE_KEY, ScalingPolicy,
    StreamConfiguration, StreamState, TRUNCATION_KEY, TransactionCounter, TransactionId, Truncation, bucket_node,
    bucket_of, completed_transaction_of_key, decode_key_length, decode_key_value_table_epoch, decode_sealed_sizes,
    decode_stream_epoch, decode_table_id, epoch_of_key, is_key_value_table_configuration, key_of_sealed_size,
    sealed_segment_of_key,
};
use dr_formats::primitives::Writer;

use crate::decoder::{Decoder, Outcome, round_trip};
use crate::seeds::Captured;

pub(super) const DECODERS: &[Decoder] = &[
    Decoder {
        name: "stream-state",
        covers: &["controller::StreamState::decode"],
        seeds: |_| StreamState::ALL.into_iter().flat_map(StreamState::encode).collect(),
        mend: None,
        check: |input| {
            let decoded = StreamState::decode(input);
            round_trip(decoded, |state| state.encode(), |bytes, value| StreamState::decode(bytes).as_ref() == Ok(value))
        },
    },
    Decoder {
        name: "stream-configuration",
        covers: &["controller::StreamConfiguration::decode"],
        seeds: configuration_seeds,
        mend: None,
        check: |input| {
            let decoded = StreamConfiguration::decode(input);
            round_trip(decoded, StreamConfiguration::encode, |bytes, value| {
                StreamConfiguration::decode(bytes).as_ref() == Ok(value)
            })
        },
    },
    Decoder {
        name: "active-transaction",
        covers: &["controller::ActiveTransaction::decode"],
        seeds: |captured| transaction_seeds(captured, "transactionsInEpoch-", 3),
        mend: None,
        check: |input| outcome(ActiveTransaction::decode(input).is_ok()),
    },
    Decoder {
        name: "completed-transaction",
        covers: &["controller::CompletedTransaction::decode"],
        seeds: |captured| transaction_seeds(captured, "completedTransactionsBatch-", 1),
        mend: None,
        check: |input| {
            let decoded = CompletedTransaction::decode(input);
            round_trip(decoded, CompletedTransaction::encode, |bytes, value| {
                CompletedTransaction::decode(bytes).as_ref() == Ok(value)
            })
        },
    },
    Decoder {
        name: "committing-transactions",
        covers: &["controller::CommittingTransactions::decode"],
        seeds: committing_seeds,
        mend: None,
        check: |input| {
            let decoded = CommittingTransactions::decode(input);
            round_trip(decoded, CommittingTransactions::encode, |bytes, value| {
                CommittingTransactions::decode(bytes).as_ref() == Ok(value)
            })
        },
    },
    Decoder {
        name: "stream-truncation",
        covers: &["controller::Truncation::decode"],
        seeds: truncation_seeds,
        mend: None,
        check: |input| {
            let decoded = Truncation::decode(input);
            round_trip(decoded, Truncation::encode, |bytes, value| Truncation::decode(bytes).as_ref() == Ok(value))
        },
    },
    Decoder {
        name: "epoch-transition",
        covers: &["controller::EpochTransition::decode"],
        seeds: transition_seeds,
        mend: None,
        check: |input| outcome(EpochTransition::decode(input).is_ok()),
    },
    Decoder {
        name: "epochs-and-key-lengths",
        covers: &[
            "controller::decode_stream_epoch",
            "controller::decode_key_value_table_epoch",
            "controller::decode_sealed_sizes",
            "controller::decode_key_length",
            "controller::CreationState::decode",
            "controller::is_key_value_table_configuration",
        ],
        seeds: |captured| {
            let sizes = key_of_sealed_size(0);
            let keys = ["epochRecord-0", "epochRecord-1", &*sizes, CONFIGURATION_KEY];
            keys.iter().flat_map(|key| captured.controller_values(key)).collect()
        },
        mend: None,
        check: |input| {
            let epochs = [decode_stream_epoch(input), decode_key_value_table_epoch(input)];
            outcome(
                epochs.iter().any(Result::is_ok)
                    || decode_sealed_sizes(input).is_ok()
                    || decode_key_length(input).is_ok()
                    || CreationState::decode(input).is_ok()
                    || is_key_value_table_configuration(input),
            )
        },
    },
    Decoder {
        name: "controller-keys",
        covers: &[
            "controller::TransactionId::parse",
            "controller::TransactionId::parse_digits",
            "controller::completed_transaction_of_key",
            "controller::sealed_segment_of_key",
            "controller::epoch_of_key",
            "controller::bucket_of",
            "controller::bucket_node",
            "controller::TransactionCounter::decode",
            "controller::decode_table_id",
        ],
        seeds: key_seeds,
        mend: None,
        check: check_keys,
    },
];

fn outcome(accepted: bool) -> Outcome {
    if accepted { Outcome::Accepted } else { Outcome::Refused }
}

fn configuration_seeds(captured: &Captured) -> Vec<Vec<u8>> {
    let configuration = StreamConfiguration {
        scope: "scope".into(),
        stream: "stream".into(),
        scaling: Some(ScalingPolicy { kind: 1, target_rate: 10, factor: 2, minimum_segments: 3 }),
        retention: Some(RetentionPolicy { kind: RetentionKind::Size, limit: 1 << 30, maximum: i64::MAX }),
        updating: true,
        timestamp_aggregation_timeout: 5,
        tags: vec!["one".into(), "two".into()],
        tag_only_update: true,
        removed_tags: vec![String::new()],
        rollover_size: 7,
    };
    let mut seeds = captured.controller_values(CONFIGURATION_KEY);
    seeds.extend(configuration.encode());
    seeds
}

/// Captured rows of the table, and one that is made of `times` times and a status.
fn transaction_seeds(captured: &Captured, table: &str, times: usize) -> Vec<Vec<u8>> {
    let mut seeds = captured.controller_values(table);
    seeds.extend((0..6).flat_map(|status| {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            (0..times).for_each(|_| body.i64(1_700_000_000_000));
            body.compact_int(status);
        });
        writer.finish()
    }));
    seeds
}

fn committing_seeds(captured: &Captured) -> Vec<Vec<u8>> {
    let mut writer = Writer::new();
    writer.write_single(|body| {
        body.i32(2);
        body.list(&[[1; 16], [2; 16]], |body, id| body.bytes(id));
    });
    let mut seeds = captured.controller_values(COMMITTING_TRANSACTIONS_KEY);
    seeds.extend(writer.finish());
    seeds
}

fn truncation_seeds(captured: &Captured) -> Vec<Vec<u8>> {
    let mut writer = Writer::new();
    writer.write_single(|body| {
        body.list(&[(0, 100), (1 << 32, 0)], |body, (segment, offset)| {
            body.i64(*segment);
            body.i64(*offset);
        });
        (0..3).for_each(|_| body.compact_int(0));
        body.i64(100);
        body.bool(true);
    });
    let mut seeds = captured.controller_values(TRUNCATION_KEY);
    seeds.extend(writer.finish());
    seeds
}

/// Captured streams are at rest; one of these is being scaled.
fn transition_seeds(captured: &Captured) -> Vec<Vec<u8>> {
    let mut writer = Writer::new();
    writer.write_single(|body| {
        body.i32(3);
        body.i64(1_700_000_000_000);
        body.list(&[1_i64, 2], |body, segment| body.i64(*segment));
        body.list(&[(4_i64, 0.0_f64, 1.0_f64)], |body, (segment, low, high)| {
            body.i64(*segment);
            body.list(&[(*low, *high)], |body, (low, high)| {
                body.i64(low.to_bits().cast_signed());
                body.i64(high.to_bits().cast_signed());
            });
        });
    });
    let mut seeds = captured.controller_values(EPOCH_TRANSITION_KEY);
    seeds.extend(writer.finish());
    seeds
}

fn key_seeds(captured: &Captured) -> Vec<Vec<u8>> {
    // Other keys are text that nothing here takes apart.
    let is_parsed = |key: &&Vec<u8>| {
        let text = String::from_utf8_lossy(key);
        TransactionId::parse(&text).is_some()
            || completed_transaction_of_key(&text).is_some()
            || sealed_segment_of_key(&text).is_some()
    };
    let keys = captured.controller_rows.values().flatten().map(|(key, _)| key);
    let of_tables = keys.filter(is_parsed).take(200).cloned();
    let written = [
        "00000001-0000-0002-0000-000000000003".into(),
        "0000000100000002ABCdef0000000003".into(),
        "Key.#.scope.#.stream.#./00000001-0000-0002-0000-000000000003".into(),
        "segmentSealedEpochPath-4294967297".into(),
        vec![1; 12],
        vec![2; 16],
        STATE_KEY.into(),
    ];
    of_tables.chain(written).collect()
}

fn check_keys(input: &[u8]) -> Outcome {
    let counter = TransactionCounter::decode(input);
    let counter = round_trip(
        counter,
        |counter| Ok::<_, ()>(counter.encode().to_vec()),
        |bytes, value| {
            let next = value.next_generation();
            assert!(next.is_none_or(|next| next > *value), "{next:?} is not above {value:?}");
            TransactionCounter::decode(bytes).as_ref() == Ok(value)
        },
    );
    let table_id = outcome(decode_table_id(input).is_ok());
    let text = String::from_utf8_lossy(input);
    let id = TransactionId::parse(&text).or_else(|| TransactionId::parse_digits(&text));
    if let Some(id) = id {
        assert_eq!(TransactionId::parse(&id.to_string()), Some(id));
        assert_eq!((id.counter().least, id.counter().most), (id.0.least(), id.0.most() as i32));
        let _ = id.stream_epoch();
    }
    assert!(bucket_of(&text, &text, 7) < 7);
    assert_eq!(bucket_of(&text, &text, 0), 0);
    let _ = epoch_of_key(&text);
    assert_eq!(bucket_node(&text, "").len(), (text.len() + 1).div_ceil(3) * 4);
    let key = completed_transaction_of_key(&text).is_some() || sealed_segment_of_key(&text).is_some() || id.is_some();
    if [counter, table_id].contains(&Outcome::Refused) && !key && counter == table_id {
        return Outcome::Refused;
    }
    if counter == Outcome::RoundTripped { counter } else { Outcome::Accepted }
}

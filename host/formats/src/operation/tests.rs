use proptest::prelude::*;

use super::*;
use crate::attribute::{
    AttributeId, CoreAttribute, EVENT_COUNT, INDEX_OFFSET, UpdateType, system_table_attributes, table_key_hash,
};
use crate::primitives::Uuid;
use crate::test_support::{hex, mutations, unhex};

fn core_update(attribute: CoreAttribute, update_type: UpdateType, value: i64) -> AttributeUpdate {
    AttributeUpdate { update_type, ..AttributeUpdate::replace(attribute, value) }
}

fn bytes_update() -> AttributeUpdate {
    AttributeUpdate::replace(AttributeId::Bytes([1, 2, 3].into()), 10)
}

fn operation(sequence_number: i64, action: Action<'static>) -> Operation<'static> {
    Operation { sequence_number, action }
}

fn append(offset: u64, data: &'static [u8], attributes: Vec<AttributeUpdate>) -> Action<'static> {
    Action::Append { segment_id: 2, offset, data: data.into(), attributes }
}

/// Every vector of the reference with the value that it stands for.
fn vectors() -> Vec<(Operation<'static>, &'static str)> {
    let uuid_update = AttributeUpdate {
        id: Uuid::from_halves(1, 2).into(),
        update_type: UpdateType::ReplaceIfEquals,
        value: 10,
        comparison: 9,
    };
    let mapping = SegmentMapping {
        segment_id: 9,
        name: "a/b/0".into(),
        start_offset: 3,
        length: 7,
        sealed: true,
        attributes: [(EVENT_COUNT, 5)].into_iter().collect(),
        pinned: false,
    };
    let merge =
        Action::Merge { target_id: 9, source_id: 10, source_length: 4, target_offset: 7, attributes: Vec::new() };
    let update = vec![core_update(INDEX_OFFSET, UpdateType::Replace, 5), bytes_update()];
    vec![
        (
            operation(3, append(0, b"hello", Vec::new())),
            "0001000100000000200000000000000003000000000000000200000000000000000568656c6c6f0000",
        ),
        (
            operation(4, append(5, b"x", vec![core_update(EVENT_COUNT, UpdateType::Accumulate, 7), uuid_update])),
            "00010001000000005e0000000000000004000000000000000200000000000000050178 02
             80000000000000000000000000000001030000000000000007 8000000000000000
             0000000000000001000000000000000204000000000000000a 0000000000000009 00",
        ),
        (
            operation(4, append(5, b"x", vec![bytes_update()])),
            "000100010000000029000000000000000400000000000000020000000000000005017800010301020301000000000000000a",
        ),
        (
            operation(3, Action::Map(mapping)),
            "000400010000000042000000000000000300000000000000090005612f622f3000000000000000030000000000000007010180
             000000000000000000000000000001000000000000000500",
        ),
        (
            operation(5, Action::UpdateAttributes { segment_id: 2, attributes: update }),
            "0006000200000000320000000000000005000000000000000201800000000000000000000000001000000100000000000000058000
             000000000000 010000000e010301020301000000000000000a",
        ),
        (
            operation(6, Action::Seal { segment_id: 9, length: 7 }),
            "000200010000000018000000000000000600000000000000090000000000000007",
        ),
        (
            operation(7, Action::Truncate { segment_id: 9, offset: 3 }),
            "000700010000000018000000000000000700000000000000090000000000000003",
        ),
        (
            operation(8, Action::Delete { segment_id: 9, offset: 7 }),
            "000a00010000000018000000000000000800000000000000090000000000000007",
        ),
        (
            operation(9, merge),
            "00030002000000002800000000000000090000000000000009000000000000000a00000000000000040000000000000007
             0100000000",
        ),
        (
            operation(1, Action::MetadataCheckpoint(unhex("000001000000000205 00").into())),
            "00080001000000001300000000000000010a00000100000000020500",
        ),
        (operation(2, Action::Map(metadata_table_mapping())), METADATA_TABLE_MAP),
    ]
}

fn metadata_table_mapping() -> SegmentMapping<'static> {
    SegmentMapping {
        segment_id: 2,
        name: "_system/containers/metadata_0".into(),
        start_offset: 0,
        length: 0,
        sealed: false,
        attributes: system_table_attributes(),
        pinned: true,
    }
}

const METADATA_TABLE_MAP: &str = "
    0004 00 01 00 0000011a 0000000000000002 0000000000000002
    001d 5f73797374656d2f636f6e7461696e6572732f6d657461646174615f30 0000000000000000 0000000000000000 00 09
    80000000000000000000000000100000 0000000000000000   80000000000000000000000000100001 0000000000000000
    80000000000000000000000000100002 0000000000000000   80000000000000000000000000100003 0000000000000000
    80000000000000000000000000100004 0000000000000000   80000000000000000000000000100005 000000000000004b
    80000000000000000000000000100006 0000000000000000   80000000000000000000000000000004 0000000001000000
    80000000000000000000000000000009 0000000000000071   01";

#[test]
fn vectors_of_the_reference() {
    for (value, bytes) in vectors() {
        let bytes = unhex(bytes);
        assert_eq!(hex(&value.encode().unwrap()), hex(&bytes), "{value:?}");
        assert_eq!(Operation::decode(&bytes).unwrap(), value);
    }
    assert_eq!(unhex(METADATA_TABLE_MAP).len(), 291);
}

#[test]
fn appends_of_older_and_newer_writers() {
    let without_bytes_ids = unhex("00010001000000001f0000000000000003000000000000000200000000000000000568656c6c6f00");
    assert_eq!(Operation::decode(&without_bytes_ids).unwrap(), operation(3, append(0, b"hello", Vec::new())));

    let version_1 = unhex(
        "000101010000000035 0000000000000004 0000000000000002 0000000000000005 0178
         01 80000000000000000000000000000001 03 0000000000000007 00",
    );
    let expected = append(5, b"x", vec![core_update(EVENT_COUNT, UpdateType::Accumulate, 7)]);
    assert_eq!(Operation::decode(&version_1).unwrap(), operation(4, expected));
}

#[test]
fn merge_without_or_with_attributes() {
    let one_revision =
        unhex("00030001000000002800000000000000090000000000000009000000000000000a00000000000000040000000000000007");
    assert!(matches!(Operation::decode(&one_revision).unwrap().action, Action::Merge { target_id: 9, .. }));

    let attributes = vec![core_update(EVENT_COUNT, UpdateType::Replace, 5)];
    let action = Action::Merge { target_id: 1, source_id: 2, source_length: 3, target_offset: 4, attributes };
    let bytes = operation(5, action.clone()).encode().unwrap();
    assert_eq!(Operation::decode(&bytes).unwrap().action, action);

    let attributes = vec![bytes_update()];
    let action = Action::Merge { target_id: 1, source_id: 2, source_length: 3, target_offset: 4, attributes };
    assert!(operation(5, action).encode().is_err());
}

#[test]
fn errors_name_the_place() {
    let error = |bytes: &str| Operation::decode(&unhex(bytes)).unwrap_err().to_string();
    let seal = "000200010000000018000000000000000600000000000000090000000000000007";
    assert_eq!(
        error(&seal.replacen("0002", "0005", 1)),
        "operation: at byte 33, expected an operation type 1 to 4 or 6 to 10, found type 5"
    );
    assert_eq!(
        error(&seal.replacen("000200", "000201", 1)),
        "operation: at byte 4, expected version 0 to 0 of type 2, found 1"
    );
    assert_eq!(
        error("00020001000000001800000000000000060000000000000009ffffffffffffffff"),
        "operation: at byte 25, expected a length that is not negative, found -1"
    );
    // A count that the bytes cannot hold is refused before anything is allocated.
    assert_eq!(
        error("000600010000000014 0000000000000005 0000000000000002 fffffffe"),
        "operation: at byte 25, expected a count of at most 0, found 1073741822"
    );
}

#[test]
fn mutated_operations_give_value_or_error() {
    for (value, _) in vectors() {
        mutations(&value.encode().unwrap(), |bytes| drop(Operation::decode(bytes)));
    }
}

fn any_update() -> impl Strategy<Value = AttributeUpdate> {
    let id = prop_oneof![
        any::<[u8; 16]>().prop_map(|bytes| AttributeId::Uuid(Uuid(bytes))),
        any::<u64>().prop_map(|number| CoreAttribute(number).into()),
        any::<Vec<u8>>().prop_map(|key| table_key_hash(&key).into()),
    ];
    let update_type = prop_oneof![Just(UpdateType::None), Just(UpdateType::Replace), Just(UpdateType::Accumulate)];
    (id, update_type, any::<i64>(), any::<i64>()).prop_map(|(id, update_type, value, comparison)| AttributeUpdate {
        id,
        update_type,
        value,
        comparison,
    })
}

proptest! {
    #[test]
    fn operations_survive(sequence_number in any::<i64>(), segment_id in any::<i64>(), offset in 0..=i64::MAX as u64,
                          data in any::<Vec<u8>>(), name in any::<String>(), flag in any::<bool>(),
                          attributes in prop::collection::vec(any_update(), 0..20)) {
        let map = attributes.iter().filter_map(|update| update.id.core().map(|id| (id, update.value))).collect();
        let mapping = SegmentMapping {
            segment_id, name: name.into(), start_offset: offset, length: offset, sealed: flag, attributes: map, pinned: !flag,
        };
        let actions = [
            Action::Append { segment_id, offset, data: data.into(), attributes: attributes.clone() },
            Action::UpdateAttributes { segment_id, attributes },
            Action::Map(mapping),
        ];
        for action in actions {
            let value = Operation { sequence_number, action };
            let bytes = value.encode().unwrap();
            prop_assert_eq!(Operation::decode(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn any_bytes_give_value_or_error(type_id in 0u8..12, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut writer = Writer::new();
        writer.write_multi(type_id, |writer| writer.bytes(&body));
        drop(Operation::decode(&writer.finish().unwrap()));
        drop(Operation::decode(&body));
    }
}

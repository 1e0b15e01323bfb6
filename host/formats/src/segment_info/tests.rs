use proptest::prelude::*;

use super::*;
use crate::attribute::{CoreAttribute, EVENT_COUNT, SEGMENT_TYPE, system_table_attributes};
use crate::test_support::{hex, mutations, unhex};

const ROW: &str = "
    00000100000000 63 8000000000000000 0017 73636f70652f73747265616d2f302e2365706f63682e30
    00000000000003e8 000000000000000a 01
    02 80000000000000000000000000000001 0000000000000005 80000000000000000000000000000009 0000000000000000";

#[test]
fn row_of_the_reference() {
    let row = SegmentInfo {
        segment_id: NO_SEGMENT_ID,
        name: "scope/stream/0.#epoch.0".into(),
        length: 1000,
        start_offset: 10,
        sealed: true,
        attributes: [(EVENT_COUNT, 5), (SEGMENT_TYPE, 0)].into_iter().collect(),
    };
    assert_eq!(hex(&row.encode().unwrap()), hex(&unhex(ROW)));
    let bytes = unhex(ROW);
    let decoded = SegmentInfo::decode(&bytes).unwrap();
    assert_eq!(decoded, row);
    assert!(matches!(decoded.name, Cow::Borrowed(_)));
    assert_eq!(decoded.into_owned(), row);
}

#[test]
fn row_of_the_storage_metadata_table_has_the_length_of_the_reference() {
    let row = SegmentInfo {
        segment_id: NO_SEGMENT_ID,
        name: "_system/containers/storage_metadata_0".into(),
        length: 0,
        start_offset: 0,
        sealed: false,
        attributes: system_table_attributes(),
    };
    assert_eq!(row.encode().unwrap()[4..8], [0, 0, 0x01, 0x19]);
}

#[test]
fn damaged_rows_are_refused_with_the_place() {
    let negative = unhex(&ROW.replace("00000000000003e8", "80000000000003e8"));
    assert_eq!(
        SegmentInfo::decode(&negative).unwrap_err().to_string(),
        "segment row: at byte 41, expected a length that is not negative, found -9223372036854774808"
    );
    assert_eq!(SegmentInfo::start_offset_of(&unhex(&ROW.replace("000000000000000a", "800000000000000a"))), None);
    mutations(&unhex(ROW), |bytes| {
        // What a first look takes differs in nothing.
        if let (Ok(row), Some(start_offset)) = (SegmentInfo::decode(bytes), SegmentInfo::start_offset_of(bytes)) {
            assert_eq!(row.start_offset, start_offset);
        }
    });
}

proptest! {
    #[test]
    fn rows_survive(segment_id in any::<i64>(), name in any::<String>(), length in 0..=i64::MAX as u64,
                    start_offset in 0..=i64::MAX as u64, sealed in any::<bool>(),
                    attributes in prop::collection::vec((any::<u64>(), any::<i64>()), 0..12)) {
        let attributes = attributes.into_iter().map(|(number, value)| (CoreAttribute(number), value)).collect();
        let row = SegmentInfo { segment_id, name: name.into(), length, start_offset, sealed, attributes };
        let bytes = row.encode().unwrap();
        prop_assert_eq!(SegmentInfo::start_offset_of(&bytes), Some(row.start_offset));
        prop_assert_eq!(SegmentInfo::decode(&bytes).unwrap(), row);
    }
}

use proptest::prelude::*;

use super::*;
use crate::error::{DecodeError, EncodeError};
use crate::test_support::{hex, unhex};

fn written(write: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::new();
    write(&mut writer);
    hex(&writer.finish().unwrap())
}

fn read<T>(text: &str, read: impl FnOnce(&mut Reader<'static>) -> Result<T, DecodeError>) -> T {
    let mut reader = Reader::new("test", unhex(text).leak());
    let value = read(&mut reader).unwrap();
    reader.expect_end().unwrap();
    value
}

#[test]
fn compact_int_vectors() {
    let vectors =
        [(0, "00"), (127, "7f"), (128, "8080"), (16383, "bfff"), (16384, "c0004000"), (1073741822, "fffffffe")];
    for (value, bytes) in vectors {
        assert_eq!(written(|writer| writer.compact_int(value)), bytes);
        assert_eq!(read(bytes, Reader::compact_int), value);
    }
}

#[test]
fn compact_long_vectors() {
    let vectors = [
        (0, "00"),
        (63, "3f"),
        (64, "4040"),
        (16383, "7fff"),
        (16384, "80004000"),
        (1073741823, "bfffffff"),
        (1073741824, "c000000040000000"),
        (4611686018427387902, "fffffffffffffffe"),
    ];
    for (value, bytes) in vectors {
        assert_eq!(written(|writer| writer.compact_long(value)), bytes);
        assert_eq!(read(bytes, Reader::compact_long), value);
    }
}

#[test]
fn compact_signed_long_vectors() {
    let vectors = [
        (1, "01"),
        (-1, "80"),
        (31, "1f"),
        (-32, "9f"),
        (32, "2020"),
        (-33, "a020"),
        (8191, "3fff"),
        (-8192, "bfff"),
        (8192, "40002000"),
        (-8193, "c0002000"),
        (536870912, "6000000020000000"),
        (-536870913, "e000000020000000"),
        (2305843009213693950, "7ffffffffffffffe"),
        (-2305843009213693951, "fffffffffffffffe"),
    ];
    for (value, bytes) in vectors {
        assert_eq!(written(|writer| writer.compact_signed_long(value)), bytes);
        assert_eq!(read(bytes, Reader::compact_signed_long), value);
    }
}

#[test]
fn utf_vectors() {
    for (text, bytes) in [("a\0é€", "000861c080c3a9e282ac"), ("\u{1F600}", "0006eda0bdedb880"), ("", "0000")] {
        assert_eq!(written(|writer| writer.utf(text)), bytes);
        let bytes = unhex(bytes);
        assert_eq!(Reader::new("test", &bytes).utf().unwrap(), text);
    }
}

#[test]
fn utf_rejects_what_it_cannot_hold() {
    // An unpaired surrogate, a four-byte sequence, a lonely continuation, a cut sequence.
    for bytes in ["0003eda0bd", "0004f09f9880", "000180", "0001c3", "0002eda0"] {
        let bytes = unhex(bytes);
        let error = Reader::at("name", &bytes, 100).utf().unwrap_err();
        assert_eq!((error.what.as_ref(), error.offset), ("name", 102), "{error}");
    }
    let mut writer = Writer::new();
    writer.utf(&"x".repeat(UTF_MAX_BYTES + 1));
    assert!(writer.finish().is_err());
}

#[test]
fn collection_vectors() {
    assert_eq!(written(|writer| writer.list(&[1, 2], |writer, value| writer.i32(*value))), "020000000100000002");
    assert_eq!(read("020000000100000002", |reader| reader.list(4, Reader::i32)), [1, 2]);
    assert_eq!(written(|writer| writer.byte_array(b"abc")), "03616263");
    assert_eq!(
        read("010000000101", |reader| reader.list(5, |reader| Ok((reader.i32()?, reader.bool()?)))),
        [(1, true)]
    );
}

#[test]
fn object_vectors() {
    let revisions = |object: &mut ObjectWriter<'_>| {
        object.revision(|writer| writer.i32(0x01020304));
        object.revision(|writer| writer.compact_long(300));
    };
    let single = "000002 000000000401020304 0100000002412c";
    let multi = "00070002 000000000401020304 0100000002412c";
    assert_eq!(written(|writer| writer.write_single_revisions(0, revisions)), single.replace(' ', ""));
    assert_eq!(written(|writer| writer.write_multi_revisions(7, 0, revisions)), multi.replace(' ', ""));

    let both = |object: &mut ObjectReader<'_>| {
        let first = object.required_revision()?.i32()?;
        let second = object.required_revision()?.compact_long()?;
        Ok((object.type_id(), first, second, object.revision()?.is_none()))
    };
    assert_eq!(read(single, |reader| reader.read_single_revisions("x", 0, both)), (0, 0x01020304, 300, true));
    assert_eq!(read(multi, |reader| reader.read_multi("x", 0, both)), (7, 0x01020304, 300, true));
    // A reader of an older version skips the revision and the bytes that it does not know.
    assert_eq!(read(single, |reader| reader.read_single("x", Reader::i16)), 0x0102);
}

#[test]
fn object_errors_name_offset_and_expectation() {
    let read_error = |bytes: &str| {
        let bytes = unhex(bytes);
        Reader::at("row", &bytes, 1000).read_single("segment row", Reader::i32).unwrap_err().to_string()
    };
    assert_eq!(read_error("01000100000000"), "segment row: at byte 1000, expected object format 00");
    assert_eq!(read_error("00050100000000"), "segment row: at byte 1001, expected version 0 to 0, found 5");
    assert_eq!(read_error("00000101000000"), "segment row: at byte 1003, expected revision 0, found 1");
    assert_eq!(
        read_error("000001007fffffff00"),
        "segment row: at byte 1004, expected a revision of at most 1 bytes, found 2147483647"
    );
    assert_eq!(
        read_error("00000100ffffffff00"),
        "segment row: at byte 1004, expected a revision of at most 1 bytes, found -1"
    );
    assert_eq!(read_error("000000"), "segment row: at byte 1003, expected revision 0");
    assert_eq!(read_error("0000010000000001ff"), "segment row: at byte 1008, expected 4 more bytes, 1 are left");
}

#[test]
fn counts_are_checked_against_the_bytes_left() {
    let bytes = unhex("fffffffe00000000");
    let error = Reader::new("list", &bytes).count(4).unwrap_err();
    assert_eq!(error.to_string(), "list: at byte 0, expected a count of at most 1, found 1073741822");
    assert!(Reader::new("list", &bytes).byte_array().is_err());
}

#[test]
fn the_first_value_that_does_not_fit_is_reported() {
    let mut writer = Writer::new();
    writer.compact_int(COMPACT_INT_MAX + 1);
    writer.compact_long_i64(-1);
    assert_eq!(writer.finish(), Err(EncodeError::new("compact int 1073741823", "at most 2^30 - 2")));
}

#[test]
fn uuid_halves_and_text() {
    let uuid = Uuid::from_halves(0x2c70e12b7a0646f9, 0x2279f427c7b38e73);
    assert_eq!(uuid.to_string(), "2c70e12b-7a06-46f9-2279-f427c7b38e73");
    assert_eq!(Uuid::parse(uuid.to_string().as_bytes()), Some(uuid));
    for other in [
        "2C70E12B-7A06-46F9-2279-F427C7B38E73",
        "2c70e12b7a0646f92279f427c7b38e73",
        "2c70e12b-7a06-46f9-2279-f427c7b38e7",
        "",
    ] {
        assert_eq!(Uuid::parse(other.as_bytes()), None, "{other}");
    }
    assert_eq!((uuid.most(), uuid.least()), (0x2c70e12b7a0646f9, 0x2279f427c7b38e73));
    assert_eq!(Uuid::from_halves(i64::MIN, -1).least(), -1);
}

proptest! {
    #[test]
    fn the_only_body_is_what_a_reader_finds(
        header in prop::array::uniform4(0_u8..2),
        body in prop::collection::vec(any::<u8>(), 0..40),
        longer in 0_usize..3,
    ) {
        let mut bytes = header.to_vec();
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(&body);
        bytes.resize(bytes.len() + longer, 0);
        let quick = only_body_of_single(&bytes);
        prop_assert_eq!(quick.is_some(), header == [0, 0, 1, 0] && longer == 0);
        if let Some(quick) = quick {
            let mut reader = Reader::new("test", &bytes);
            let read = reader.read_single("test", |body| Ok(body.rest().to_vec())).unwrap();
            prop_assert_eq!(read, quick);
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn compact_numbers_survive(int in 0..=COMPACT_INT_MAX, long in 0..=COMPACT_LONG_MAX,
                               signed in COMPACT_SIGNED_LONG_MIN..=COMPACT_SIGNED_LONG_MAX, shift in 0u32..62) {
        let (int, long, signed) = (int >> (shift / 2), long >> shift, signed >> shift);
        let mut writer = Writer::new();
        writer.compact_int(int);
        writer.compact_long(long);
        writer.compact_signed_long(signed);
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new("test", &bytes);
        prop_assert_eq!(reader.compact_int().unwrap(), int);
        prop_assert_eq!(reader.compact_long().unwrap(), long);
        prop_assert_eq!(reader.compact_signed_long().unwrap(), signed);
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn strings_survive(text in any::<String>()) {
        let mut writer = Writer::new();
        writer.utf(&text);
        let bytes = writer.finish().unwrap();
        prop_assert_eq!(Reader::new("test", &bytes).utf().unwrap(), text);
    }

    #[test]
    fn any_bytes_give_value_or_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::at("test", &bytes, u64::MAX - 10);
        let _ = reader.utf();
        let _ = reader.byte_array();
        let _ = reader.compact_signed_long();
        let _ = reader.read_single("single", |body| body.list(1, Reader::u8));
        let _ = reader.read_multi("multi", 3, |object| object.revision().map(|_| ()));
        let _ = reader.list(1, Reader::compact_long);
    }
}

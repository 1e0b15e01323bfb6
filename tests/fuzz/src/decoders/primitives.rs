//! The primitives, called in any order.

use dr_formats::DecodeError;
use dr_formats::primitives::{Reader, Writer, only_body_of_single, only_name_of_single};

use crate::decoder::{Decoder, Outcome};
use crate::seeds::Captured;

pub(super) const DECODERS: &[Decoder] = &[Decoder {
    name: "primitives",
    covers: &[
        "primitives::Reader::*",
        "primitives::ObjectReader::*",
        "primitives::only_body_of_single",
        "primitives::only_name_of_single",
    ],
    seeds,
    mend: None,
    check,
}];

/// Bytes that say which primitives to read; the rest is what they are read from.
const PROGRAM_LENGTH: usize = 16;

fn seeds(captured: &Captured) -> Vec<Vec<u8>> {
    let programs = [[0u8; PROGRAM_LENGTH], std::array::from_fn(|index| index as u8), [18; PROGRAM_LENGTH]];
    let bodies = [&captured.segment_rows, &captured.storage_rows, &captured.journal_files].into_iter().flatten();
    let mut seeds: Vec<Vec<u8>> =
        bodies.take(60).flat_map(|body| programs.map(|program| [&program[..], body].concat())).collect();
    let mut writer = Writer::new();
    writer.compact_int(70_000);
    writer.compact_long(1 << 40);
    writer.compact_signed_long(-70_000);
    writer.utf("a\0b\u{1f600}é");
    writer.byte_array(b"bytes");
    let program = [9, 10, 12, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    seeds.extend(writer.finish().map(|body| [&program[..], &body].concat()));
    seeds
}

fn check(input: &[u8]) -> Outcome {
    let Some((program, body)) = input.split_first_chunk::<PROGRAM_LENGTH>() else { return Outcome::Refused };
    if let Some(only) = only_body_of_single(body) {
        let read = Reader::new("fuzz", body).read_single("fuzz", |revision| Ok(revision.rest()));
        assert_eq!(read, Ok(only));
    }
    if let Some((name, rest)) = only_name_of_single(body) {
        let read = Reader::new("fuzz", body).read_single("fuzz", |revision| {
            revision.i64()?;
            Ok((revision.utf().is_ok(), revision.rest()))
        });
        assert!(name.len() <= usize::from(u16::MAX));
        // What is no modified UTF-8 is none to a reader, which stays before it.
        assert!(read.is_ok_and(|(is_text, read)| !is_text || read == rest));
    }
    let mut reader = Reader::at("fuzz", body, u64::from(program[0]) << 56);
    let mut outcome = Outcome::Refused;
    for step in program {
        let (before, was) = (reader.position(), reader.rest());
        let result = read(&mut reader, *step);
        assert!(reader.position() >= before, "the reader moved backwards");
        assert_eq!(reader.position() + reader.remaining(), body.len());
        assert_eq!(reader.is_empty(), reader.expect_end().is_ok());
        match result {
            Ok(Some(encoded)) => {
                let mut again = Reader::new("fuzz", &encoded);
                let same = read(&mut again, *step);
                assert!(same.as_ref() == Ok(&Some(encoded.clone())), "{was:?} is not the same after {encoded:?}");
                outcome = Outcome::RoundTripped;
            }
            Ok(None) => {}
            Err(_) => {
                if *step % STEPS < 16 {
                    assert_eq!(reader.position(), before, "a primitive that cannot be read leaves the position");
                }
            }
        }
    }
    outcome
}

const STEPS: u8 = 21;

/// Reads one value and encodes it again, if the writer takes it.
fn read(reader: &mut Reader<'_>, step: u8) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut writer = Writer::new();
    match step % STEPS {
        0 => writer.u8(reader.u8()?),
        1 => writer.i8(reader.i8()?),
        2 => writer.bool(reader.bool()?),
        3 => writer.i16(reader.i16()?),
        4 => writer.u16(reader.u16()?),
        5 => writer.i32(reader.i32()?),
        6 => writer.u32(reader.u32()?),
        7 => writer.i64(reader.i64()?),
        8 => writer.u64(reader.u64()?),
        9 => writer.compact_int(reader.compact_int()?),
        10 => writer.compact_long(reader.compact_long()?),
        11 => writer.compact_long_i64(reader.compact_long_i64()?),
        12 => writer.compact_signed_long(reader.compact_signed_long()?),
        13 => writer.utf(&reader.utf()?),
        14 => writer.length(reader.length()?),
        15 => writer.uuid(reader.uuid()?),
        16 => writer.byte_array(reader.byte_array()?),
        17 => writer.list(&reader.list(2, |reader| reader.i16())?, |writer, element| writer.i16(*element)),
        18 => return reader.read_single("single", walk).map(|()| None),
        19 => return reader.read_multi("multi", 1, walk_revisions).map(|()| None),
        _ => {
            let length = usize::from(reader.u8()?);
            let mut inner = reader.sub_reader("inner", length)?;
            inner.array::<3>()?;
            inner.count(0)?;
            return Ok(None);
        }
    }
    Ok(writer.finish().ok())
}

fn walk(body: &mut Reader<'_>) -> Result<(), DecodeError> {
    while !body.is_empty() {
        body.utf()?;
        body.compact_long()?;
    }
    Ok(())
}

fn walk_revisions(object: &mut dr_formats::primitives::ObjectReader<'_>) -> Result<(), DecodeError> {
    object.expect_version(1)?;
    if object.type_id() > 10 && object.version() > 0 {
        return Err(object.unknown_type("a small type"));
    }
    walk(&mut object.required_revision()?)?;
    while let Some(mut body) = object.revision()? {
        body.read_single_revisions("inner", 0, |_| Ok(()))?;
    }
    Ok(())
}

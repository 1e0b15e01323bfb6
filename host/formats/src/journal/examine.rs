//! Reading a damaged journal file as far as it goes: everything before, between and behind the damage.

use super::{JournalRecord, MIN_MULTI_LENGTH};
use crate::error::DecodeError;
use crate::primitives::Reader;

/// Something found in a journal file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalPart {
    /// A batch begins.
    Batch {
        /// Offset in the file.
        offset: u64,
        /// Records that it says to hold.
        records: u64,
    },
    /// A record.
    Record {
        /// Offset in the file.
        offset: u64,
        /// The record.
        record: JournalRecord,
    },
    /// Bytes that are neither; the error holds their offset and the reason. The next part says where they end.
    Damage(DecodeError),
}

/// Calls `visit` for all parts of a journal file, in the order of their offsets. Up to the first damage these are what a replay
/// reads; behind damage it goes on at the next bytes that are a record or the beginning of a batch. A file that ends inside a
/// batch is damaged at that batch.
pub fn examine(bytes: &[u8], visit: &mut impl FnMut(JournalPart)) {
    let mut position = 0;
    // One report for each stretch of damage.
    let mut is_lost = false;
    while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
        if !is_lost && let Some(batch) = WholeBatch::read(rest, position as u64) {
            visit(JournalPart::Batch { offset: position as u64, records: batch.records.len() as u64 });
            batch.records.into_iter().for_each(|(offset, record)| visit(JournalPart::Record { offset, record }));
            batch.skipped.into_iter().for_each(|error| visit(JournalPart::Damage(error)));
            position += batch.length;
            continue;
        }
        let header = batch_header(rest, position as u64);
        if let Ok((length, records)) = header {
            visit(JournalPart::Batch { offset: position as u64, records });
            position += length;
            is_lost = false;
            continue;
        }
        let mut reader = Reader::at("journal record", rest, position as u64);
        match JournalRecord::read(&mut reader) {
            Ok(record) => {
                visit(JournalPart::Record { offset: position as u64, record });
                position += reader.position();
                is_lost = false;
            }
            Err(error) => {
                if !is_lost {
                    let is_record = rest.get(1).is_some_and(|&type_or_version| type_or_version != 0);
                    visit(JournalPart::Damage(if is_record { error } else { header.err().unwrap_or(error) }));
                }
                is_lost = true;
                position += 1;
            }
        }
    }
}

/// A batch of which every record is whole.
struct WholeBatch {
    length: usize,
    /// With their offsets.
    records: Vec<(u64, JournalRecord)>,
    /// What stands behind the records: fields of a later server, or records if their number is damaged.
    skipped: Option<DecodeError>,
}

impl WholeBatch {
    fn read(bytes: &[u8], offset: u64) -> Option<Self> {
        let mut reader = Reader::at("journal batch", bytes, offset);
        let body = reader.read_single("journal batch", |body| {
            let records = body.list(MIN_MULTI_LENGTH, |body| Ok((body.offset(), JournalRecord::read(body)?)))?;
            let left = body.remaining();
            let skipped = (left > 0).then(|| {
                body.error(format!(
                    "the end of the batch behind {} records; a replay skips {left} bytes",
                    records.len()
                ))
            });
            Ok((records, skipped))
        });
        let (records, skipped) = body.ok()?;
        Some(Self { length: reader.position(), records, skipped })
    }
}

/// Length of the header of a batch, up to its first record, and the number of records; an error if the batch is not whole.
fn batch_header(bytes: &[u8], offset: u64) -> Result<(usize, u64), DecodeError> {
    const HEADER: [u8; 4] = [0, 0, 1, 0];
    let mut reader = Reader::at("journal batch", bytes, offset);
    if reader.array()? != HEADER {
        return Err(reader.error_at(0, "the header 00 00 01 00 of a batch"));
    }
    let length = reader.i32()?;
    let body_start = reader.position();
    let body = usize::try_from(length).ok().filter(|length| *length <= reader.remaining());
    let body = body.ok_or_else(|| {
        reader.error_at(
            HEADER.len(),
            format!("a length of at most the {} bytes left, found {length}", reader.remaining()),
        )
    })?;
    let mut body = reader.sub_reader("journal batch", body)?;
    let records = body.count(MIN_MULTI_LENGTH)? as u64;
    Ok((body_start + body.position(), records))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::encode_batch;

    fn append(chunk: &str) -> JournalRecord {
        JournalRecord::Append { segment: "s".to_owned(), chunk: chunk.to_owned(), offset: 1, length: 2 }
    }

    fn parts(bytes: &[u8]) -> (Vec<JournalRecord>, Vec<u64>, usize) {
        let (mut records, mut damage, mut batches) = (Vec::new(), Vec::new(), 0);
        examine(bytes, &mut |part| match part {
            JournalPart::Batch { .. } => batches += 1,
            JournalPart::Record { record, .. } => records.push(record),
            JournalPart::Damage(error) => damage.push(error.offset),
        });
        (records, damage, batches)
    }

    fn file() -> (Vec<u8>, usize) {
        let first = encode_batch(&[append("a"), append("b")]).unwrap();
        let second = encode_batch(&[append("c")]).unwrap();
        ([&first[..], &second].concat(), first.len())
    }

    #[test]
    fn whole_files_have_no_damage() {
        assert_eq!(parts(&file().0), (vec![append("a"), append("b"), append("c")], vec![], 2));
        assert_eq!(parts(&[]), (vec![], vec![], 0));
    }

    #[test]
    fn what_stands_behind_the_records_of_a_batch_is_told_as_what_a_replay_skips() {
        let (mut bytes, second) = file();
        // The number of records of the first batch.
        bytes[8] = 1;
        let behind_one = 9 + (second as u64 - 9) / 2;
        assert_eq!(parts(&bytes), (vec![append("a"), append("c")], vec![behind_one], 2));
        bytes[8] = 0;
        assert_eq!(parts(&bytes), (vec![append("c")], vec![9], 2));
    }

    #[test]
    fn what_follows_damage_is_found() {
        let (mut bytes, second) = file();
        // The type of the first record, behind the header of the batch and the count.
        bytes[10] = 99;
        let (records, damage, batches) = parts(&bytes);
        assert_eq!((records, batches), (vec![append("b"), append("c")], 2));
        // An unknown type is named behind the header that holds it.
        assert_eq!(damage, [13]);
        let (mut bytes, _) = file();
        bytes[second] = 7;
        let (records, damage, _) = parts(&bytes);
        assert_eq!((records, damage), (vec![append("a"), append("b"), append("c")], vec![second as u64]));
    }

    #[test]
    fn a_torn_end_is_damage_at_its_batch() {
        let (bytes, second) = file();
        let (records, damage, _) = parts(&bytes[..bytes.len() - 1]);
        assert_eq!(records, [append("a"), append("b")]);
        assert_eq!(damage, [second as u64 + 4]);
    }

    #[test]
    fn any_flipped_byte_is_survived() {
        let (bytes, _) = file();
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x55;
            parts(&damaged);
        }
    }
}

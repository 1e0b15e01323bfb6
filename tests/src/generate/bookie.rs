//! The disks of one bookie, of any size: journals and entry logs full of frames of logs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use dr_formats::EncodeError;
use dr_formats::data_frame::FrameWriter;
use dr_formats::ledger_entry::{DigestType, EntryCodec, EntryHeader, LedgerPassword};
use dr_formats::operation::{Action, Operation};

use super::random::Random;
use super::{GenerateError, Result};

/// Longest journal and entry log, in bytes: large ones are several files, so that they can be read at the same time.
const FILE_BYTES: u64 = 256 << 20;
const JOURNAL_HEADER_BYTES: usize = 512;
const ENTRY_LOG_HEADER_BYTES: usize = 1024;
/// Ledgers that are written at the same time, as by the containers of a cluster.
const LEDGERS: usize = 8;
const COOKIE: &str =
    "4\nbookieHost: \"127.0.0.1:3181\"\njournalDir: \"/bk/journal\"\nledgerDirs: \"1\\t/bk/ledgers\"\n";

/// Writes the directories of a bookie with about so many bytes, half of them in journals; returns the number of entries.
///
/// # Errors
/// If a file cannot be written.
pub fn bookie(root: &Path, bytes: u64) -> Result<u64> {
    let (journals, ledgers) = (root.join("journal/current"), root.join("ledgers/current"));
    for directory in [&journals, &ledgers] {
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(directory.join("VERSION"), COOKIE))
            .map_err(at(directory))?;
    }
    let mut writer = Entries::new();
    let (mut written, mut number) = (0, 1_u64);
    while written < bytes {
        let half = FILE_BYTES.min((bytes - written).div_ceil(2));
        written +=
            writer.file(&ledgers.join(format!("{number:x}.log")), b"BKLO\0\0\0\x01", ENTRY_LOG_HEADER_BYTES, half)?;
        written +=
            writer.file(&journals.join(format!("{number:x}.txn")), b"BKLG\0\0\0\x06", JOURNAL_HEADER_BYTES, half)?;
        number += 1;
    }
    Ok(writer.count)
}

fn at(path: &Path) -> impl Fn(io::Error) -> GenerateError {
    |source| GenerateError::Path { path: path.to_path_buf(), source }
}

/// The entries of some ledgers in turn.
struct Entries {
    codec: EntryCodec,
    random: Random,
    ledgers: [EntryHeader; LEDGERS],
    sequence_number: i64,
    count: u64,
}

impl Entries {
    fn new() -> Self {
        let first = EntryHeader { ledger_id: 0, entry_id: 0, last_add_confirmed: -1, length: 0 };
        let mut ledgers = [first; LEDGERS];
        ledgers.iter_mut().zip(0..).for_each(|(ledger, id)| ledger.ledger_id = id);
        Self {
            codec: EntryCodec::new(DigestType::Crc32c, &LedgerPassword::default()),
            random: Random::new(1),
            ledgers,
            sequence_number: 1,
            count: 0,
        }
    }

    /// Writes a file of at least `bytes`; returns its bytes.
    fn file(&mut self, path: &Path, magic: &[u8], header_bytes: usize, bytes: u64) -> Result<u64> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(at(path))?);
        let mut header = magic.to_vec();
        header.resize(header_bytes, 0);
        file.write_all(&header).map_err(at(path))?;
        let mut written = header_bytes as u64;
        let mut record = Vec::new();
        while written < bytes {
            record.clear();
            record.extend([0; 4]);
            self.entry(&mut record)?;
            let length = (record.len() - 4) as u32;
            record.splice(..4, length.to_be_bytes());
            file.write_all(&record).map_err(at(path))?;
            written += record.len() as u64;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error).map_err(at(path))?;
        Ok(written)
    }

    /// Appends the next entry: a frame with a few appends, from small to almost a megabyte.
    fn entry(&mut self, output: &mut Vec<u8>) -> std::result::Result<(), EncodeError> {
        let payload = self.frame()?;
        let turn = self.count as usize % LEDGERS;
        if let Some(header) = self.ledgers.get_mut(turn) {
            header.length += payload.len() as i64;
            self.codec.encode(*header, &payload, output);
            header.last_add_confirmed = header.entry_id;
            header.entry_id += 1;
        }
        self.count += 1;
        Ok(())
    }

    fn frame(&mut self) -> std::result::Result<Vec<u8>, EncodeError> {
        let mut payload = Vec::new();
        let mut sink = |frame: &[u8]| {
            payload.extend_from_slice(frame);
            Ok::<(), EncodeError>(())
        };
        let mut frame = FrameWriter::new();
        let size = 1 << (8 + self.random.below(9));
        for _ in 0..=self.random.below(8) {
            let mut data = Vec::new();
            self.random.fill(size, &mut data);
            let action = Action::Append { segment_id: 7, offset: 0, data: data.into(), attributes: Vec::new() };
            let operation = Operation { sequence_number: self.sequence_number, action };
            self.sequence_number += 1;
            frame.record(&operation.encode()?, &mut sink)?;
        }
        frame.flush(&mut sink)?;
        Ok(payload)
    }
}

//! The way through one file of entries, and around its damage.

use dr_formats::DecodeError;
use dr_formats::bookie_journal::{JournalHeader, JournalItem, JournalRecord};
use dr_formats::entry_log::{self, ENTRY_LOG_HEADER_BYTES, ENTRY_LOG_HEADER_MIN_BYTES, EntryLogHeader, EntryLogItem};
use dr_formats::ledger_entry::{
    DigestType, ENTRY_HEADER_BYTES, Entry, EntryCodec, LedgerPassword, MasterKey, entry_header,
};
use dr_formats::stepwise::Step;

use super::oddity::{Oddities, OddityKind};
use super::window::Window;
use super::{BookieDiskError, DiskFile, EntryPlace, FileKind, RECORD_MAX_BYTES, ScannedEntry};

/// Bytes before an entry.
const LENGTH_BYTES: usize = 4;
/// Length, header and the shortest digest.
const ENTRY_RECORD_MIN_BYTES: usize = LENGTH_BYTES + ENTRY_HEADER_BYTES + 4;

/// Checks the digests of entries, whose type nobody tells.
#[derive(Debug, Clone)]
pub(super) struct Checker {
    codecs: Vec<EntryCodec>,
}

impl Checker {
    pub(super) fn new(password: &LedgerPassword) -> Self {
        // No digest protects nothing: then everything would be an entry.
        let types = DigestType::ALL.into_iter().filter(|digest_type| *digest_type != DigestType::Dummy);
        Self { codecs: types.map(|digest_type| EntryCodec::new(digest_type, password)).collect() }
    }

    /// The entry, if one of the digests is right. The one that was right last is tried first.
    fn check<'e>(&mut self, entry: &'e [u8]) -> Option<(DigestType, Entry<'e>)> {
        let (index, checked) =
            self.codecs.iter().enumerate().find_map(|(index, codec)| Some((index, codec.decode(entry).ok()?)))?;
        self.codecs.swap(0, index);
        Some((self.codecs.first()?.digest_type(), checked))
    }
}

/// What a journal says of a ledger apart from its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LedgerFact<'a> {
    MasterKey(&'a [u8]),
    Fenced,
    ExplicitLac(&'a [u8]),
}

/// Receives what is met.
pub(super) trait Traveller {
    type Error: From<BookieDiskError>;
    fn entry(&mut self, entry: ScannedEntry<'_>) -> Result<(), Self::Error>;
    fn fact(&mut self, ledger_id: i64, fact: LedgerFact<'_>);
    /// So many more bytes were passed; an error stops the way.
    fn advanced(&mut self, bytes: u64);
}

/// The format of a file.
#[derive(Debug, Clone, Copy)]
enum Format {
    Journal(JournalHeader),
    EntryLog,
}

enum Item<'a> {
    Entry(&'a [u8]),
    Fact(i64, LedgerFact<'a>),
    Padding(&'a [u8]),
    Nothing,
}

impl Format {
    fn step(self, bytes: &[u8], offset: u64) -> Result<Step<Item<'_>>, DecodeError> {
        match self {
            Self::Journal(header) => Ok(match header.step(bytes, offset, RECORD_MAX_BYTES)? {
                Step::Item { item, length } => Step::Item { item: journal_item(item), length },
                Step::Incomplete { needed } => Step::Incomplete { needed },
                Step::End => Step::End,
            }),
            Self::EntryLog => Ok(match entry_log::step(bytes, offset, RECORD_MAX_BYTES)? {
                Step::Item { item: EntryLogItem::Entry(entry), length } => {
                    Step::Item { item: Item::Entry(entry), length }
                }
                Step::Item { item: EntryLogItem::LedgersMap(_), length } => Step::Item { item: Item::Nothing, length },
                Step::Incomplete { needed } => Step::Incomplete { needed },
                Step::End => Step::End,
            }),
        }
    }
}

fn journal_item(item: JournalItem<'_>) -> Item<'_> {
    match item {
        JournalItem::Record(JournalRecord::Entry(entry)) => Item::Entry(entry),
        JournalItem::Record(JournalRecord::LedgerKey { ledger_id, master_key }) => {
            Item::Fact(ledger_id, LedgerFact::MasterKey(master_key))
        }
        JournalItem::Record(JournalRecord::Fenced { ledger_id }) => Item::Fact(ledger_id, LedgerFact::Fenced),
        JournalItem::Record(JournalRecord::ExplicitLac { ledger_id, body }) => {
            Item::Fact(ledger_id, LedgerFact::ExplicitLac(body))
        }
        JournalItem::Record(JournalRecord::Force { .. }) => Item::Nothing,
        JournalItem::Padding(bytes) => Item::Padding(bytes),
    }
}

/// What came of one step.
enum Stride {
    /// To the next record.
    On { length: u64 },
    /// The bytes are all zero from here on, as far as is known.
    End,
    /// The file ends, here or within a record that began here.
    FileEnd { bytes_left: usize },
    /// An entry with a wrong digest.
    WrongDigest { length: u64, what: String },
    /// No record.
    Damage { why: String },
}

/// Goes through one file.
pub(super) struct Walk<'w, T> {
    pub(super) file: &'w DiskFile,
    pub(super) number: u32,
    pub(super) window: Window,
    pub(super) checker: &'w mut Checker,
    pub(super) traveller: &'w mut T,
    pub(super) oddities: &'w mut Oddities,
}

impl<T: Traveller> Walk<'_, T> {
    /// From the beginning to the end.
    pub(super) fn go(&mut self) -> Result<(), T::Error> {
        let Some(format) = self.open()? else { return Ok(()) };
        loop {
            let on = match self.stride(format)? {
                Stride::On { length } => self.advance(length)?,
                Stride::End => self.look_behind_end(format)?,
                Stride::FileEnd { bytes_left: 0 } => return Ok(()),
                Stride::FileEnd { bytes_left } => self.look_for_more_in_tail(format, bytes_left)?,
                Stride::WrongDigest { length, what } => self.pass_wrong_entry(format, length, what)?,
                Stride::Damage { why } => self.pass_damage(format, why)?,
            };
            if !on {
                return Ok(());
            }
        }
    }

    fn io<V>(&self, result: std::io::Result<V>) -> Result<V, T::Error> {
        result.map_err(|source| BookieDiskError::io("read", &self.file.path, source).into())
    }

    /// Reads the header and goes to the first record; none if there is nothing to be read.
    fn open(&mut self) -> Result<Option<Format>, T::Error> {
        let filled = self.window.fill(ENTRY_LOG_HEADER_MIN_BYTES);
        if !self.io(filled)? {
            // Files are made before they are needed.
            if self.file.length > 0 {
                self.oddities.add(OddityKind::TornTail, &self.file.path, Some(0), || "shorter than a header".into());
            }
            return Ok(None);
        }
        let (format, first_record) = self.read_header();
        match first_record {
            Ok(first_record) => Ok(self.advance(first_record)?.then_some(format)),
            Err(error) => {
                // A file that is prepared, and not begun.
                if !self.skip_zeros()? {
                    return Ok(None);
                }
                self.oddities.add(OddityKind::NoHeader, &self.file.path, Some(error.offset), || error.to_string());
                // Entries behind a damaged header are entries all the same.
                Ok(self.find_record(format)?.then_some(format))
            }
        }
    }

    /// The format, and where the first record is.
    fn read_header(&self) -> (Format, Result<u64, DecodeError>) {
        let bytes = self.window.bytes();
        match self.file.kind {
            FileKind::EntryLog { .. } => {
                (Format::EntryLog, EntryLogHeader::decode(bytes).map(|_| ENTRY_LOG_HEADER_BYTES as u64))
            }
            FileKind::Journal { .. } => match JournalHeader::decode(bytes) {
                Ok(header) => (Format::Journal(header), Ok(header.first_record())),
                Err(error) => (Format::Journal(JournalHeader::NEWEST), Err(error)),
            },
        }
    }

    /// Passes over bytes; false at the end of the file.
    fn advance(&mut self, length: u64) -> Result<bool, T::Error> {
        let before = self.window.offset();
        let reached = self.window.advance(length);
        let reached = self.io(reached)?;
        self.traveller.advanced(self.window.offset() - before);
        Ok(reached)
    }

    /// Takes what stands at the place, which is passed over by the caller.
    fn stride(&mut self, format: Format) -> Result<Stride, T::Error> {
        loop {
            let offset = self.window.offset();
            let step = match format.step(self.window.bytes(), offset) {
                Ok(step) => step,
                Err(error) => return Ok(Stride::Damage { why: error.to_string() }),
            };
            match step {
                Step::End => return Ok(Stride::End),
                Step::Item { item: Item::Padding(bytes), .. } if bytes.iter().any(|byte| *byte != 0) => {
                    // It would pass over records.
                    return Ok(Stride::Damage { why: "padding that is not empty".to_owned() });
                }
                Step::Item { item: Item::Padding(_) | Item::Nothing, length } => return Ok(Stride::On { length }),
                Step::Item { item: Item::Fact(ledger_id, fact), length } => {
                    self.traveller.fact(ledger_id, fact);
                    return Ok(Stride::On { length });
                }
                Step::Item { item: Item::Entry(entry), length } => {
                    let Some((digest_type, checked)) = self.checker.check(entry) else {
                        let what = entry_header(entry).map_or_else(
                            |error| error.to_string(),
                            |header| format!("ledger {}, entry {}", header.ledger_id, header.entry_id),
                        );
                        return Ok(Stride::WrongDigest { length, what });
                    };
                    let place = EntryPlace {
                        file: self.number,
                        offset: offset + LENGTH_BYTES as u64,
                        length: entry.len() as u32,
                    };
                    let entry = ScannedEntry { header: checked.header, digest_type, payload: checked.payload, place };
                    self.traveller.entry(entry)?;
                    return Ok(Stride::On { length });
                }
                Step::Incomplete { needed } => {
                    let filled = self.window.fill(needed);
                    if !self.io(filled)? {
                        return Ok(Stride::FileEnd { bytes_left: self.window.bytes().len() });
                    }
                }
            }
        }
    }

    /// A place from which on nothing was written is the end, unless something stands behind it all the same.
    fn look_behind_end(&mut self, format: Format) -> Result<bool, T::Error> {
        let end = self.window.offset();
        if !self.skip_zeros()? {
            return Ok(false);
        }
        let found = self.find_record(format)?;
        let (path, offset) = (&self.file.path, self.window.offset());
        if found {
            self.oddities.add(OddityKind::BehindEnd, path, Some(end), || format!("records go on at byte {offset}"));
        } else {
            self.oddities.add(OddityKind::Damage, path, Some(end), || {
                "bytes follow behind the end, without a record among them".to_owned()
            });
        }
        Ok(found)
    }

    /// Goes to the next byte that is not zero; false if there is none.
    fn skip_zeros(&mut self) -> Result<bool, T::Error> {
        loop {
            let bytes = self.window.bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let found = zeros < bytes.len();
            // A length before may begin with zeros.
            self.advance(if found { zeros.saturating_sub(LENGTH_BYTES - 1) } else { zeros } as u64)?;
            if found {
                return Ok(true);
            }
            let filled = self.window.fill(1);
            if !self.io(filled)? {
                return Ok(false);
            }
        }
    }

    /// A record that is longer than the rest of the file is cut, unless its length is wrong.
    fn look_for_more_in_tail(&mut self, format: Format, bytes_left: usize) -> Result<bool, T::Error> {
        let offset = self.window.offset();
        self.advance(1)?;
        let found = self.find_record(format)?;
        if found {
            self.damage(offset, "a length beyond the end of the file");
        } else {
            let detail = || format!("a record begins and is cut after {bytes_left} bytes");
            self.oddities.add(OddityKind::TornTail, &self.file.path, Some(offset), detail);
        }
        Ok(found)
    }

    /// Passes over an entry with a wrong digest. If no record stands behind it, its length is as wrong as the rest.
    fn pass_wrong_entry(&mut self, format: Format, length: u64, what: String) -> Result<bool, T::Error> {
        let offset = self.window.offset();
        let needed = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(ENTRY_RECORD_MIN_BYTES);
        let filled = self.window.fill(needed);
        self.io(filled)?;
        self.oddities.add(OddityKind::WrongDigest, &self.file.path, Some(offset), || what);
        let rest = usize::try_from(length).ok().and_then(|length| self.window.bytes().get(length..));
        if rest.is_some_and(|rest| looks_like_record(format, rest, offset + length)) {
            return self.advance(length);
        }
        self.advance(1)?;
        self.find_record(format)
    }

    /// Passes over bytes that are no record.
    fn pass_damage(&mut self, format: Format, why: String) -> Result<bool, T::Error> {
        let offset = self.window.offset();
        self.advance(1)?;
        let found = self.find_record(format)?;
        self.damage(offset, &why);
        Ok(found)
    }

    fn damage(&mut self, offset: u64, why: &str) {
        let end = self.window.offset();
        let detail = || format!("{why}; passed over {} bytes", end - offset);
        self.oddities.add(OddityKind::Damage, &self.file.path, Some(offset), detail);
    }

    /// Goes to the next place where an entry with a right digest, or the key of a ledger, begins; false if there is none.
    fn find_record(&mut self, format: Format) -> Result<bool, T::Error> {
        loop {
            let filled = self.window.fill(ENTRY_RECORD_MIN_BYTES);
            if !self.io(filled)? {
                let left = self.window.bytes().len() as u64;
                self.advance(left)?;
                return Ok(false);
            }
            let bytes = self.window.bytes();
            let last = bytes.len() - ENTRY_RECORD_MIN_BYTES;
            let candidate = (0..=last).find(|start| bytes.get(*start..).is_some_and(can_begin_record));
            self.advance(candidate.unwrap_or(last + 1) as u64)?;
            if candidate.is_some() {
                if self.is_record(format)? {
                    return Ok(true);
                }
                self.advance(1)?;
            }
        }
    }

    /// True if a record begins at the place for sure.
    fn is_record(&mut self, format: Format) -> Result<bool, T::Error> {
        loop {
            match format.step(self.window.bytes(), self.window.offset()) {
                Ok(Step::Item { item: Item::Entry(entry), .. }) => return Ok(self.checker.check(entry).is_some()),
                Ok(Step::Item { item: Item::Fact(_, LedgerFact::MasterKey(key)), .. }) => {
                    return Ok(key.len() == size_of::<MasterKey>());
                }
                Ok(Step::Incomplete { needed }) => {
                    let filled = self.window.fill(needed);
                    if !self.io(filled)? {
                        return Ok(false);
                    }
                }
                _ => return Ok(false),
            }
        }
    }
}

/// True if the bytes begin with a record, an end or nothing, as far as can be told without a digest.
fn looks_like_record(format: Format, bytes: &[u8], offset: u64) -> bool {
    match format.step(bytes, offset) {
        Ok(Step::Item { item: Item::Entry(entry), .. }) => plausible_ids(entry),
        Ok(Step::Incomplete { .. }) => bytes.len() < ENTRY_RECORD_MIN_BYTES || can_begin_record(bytes),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// A quick look: could an entry, or a ledger's key, begin here?
fn can_begin_record(bytes: &[u8]) -> bool {
    let Some(length) = bytes.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) else { return false };
    let room = ENTRY_RECORD_MIN_BYTES - LENGTH_BYTES..=RECORD_MAX_BYTES;
    room.contains(&length) && bytes.get(LENGTH_BYTES..).is_some_and(plausible_ids)
}

fn plausible_ids(entry: &[u8]) -> bool {
    let Ok(header) = entry_header(entry) else { return false };
    let is_entry =
        header.entry_id >= 0 && (-1..header.entry_id).contains(&header.last_add_confirmed) && header.length >= 0;
    header.ledger_id >= 0 && (is_entry || header.entry_id == LEDGER_KEY)
}

/// The entry id of a record with the key of a ledger.
const LEDGER_KEY: i64 = -0x1000;

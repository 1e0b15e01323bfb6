//! Taking a survey: the disks are read once, the entries sorted, the file written.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use dr_backends::bookie_disk::{
    BookieDisk, BookieDiskError, EntryVisitor, LedgerFacts, Scan, ScanOptions, ScannedEntry,
};
use dr_formats::ledger_entry::LedgerPassword;

use super::file::{SurveyWriter, directory_of, unwritable};
use super::sort::{PIECE_ENTRIES, Sorted, Sorter};
use super::{EntrySummary, LedgerSummary, SURVEY_VERSION, SurveyHeader, SurveyedFile, frame};
use crate::error::{OperatorError, Result};
use crate::progress::{Progress, Unit};

/// Name of the stage.
const READING: &str = "reading the bookie's disks";

/// How a survey is taken.
#[derive(Debug, Clone)]
pub struct Take<'t> {
    /// Password of the ledgers.
    pub password: LedgerPassword,
    /// Files that are read at the same time.
    pub parallel: usize,
    /// The file to be written, which must not exist. Its directory also takes what does not fit into memory.
    pub output: &'t Path,
}

/// Reads the disks of a bookie and writes its survey. Memory does not grow with the number of entries.
///
/// # Errors
/// `survey-exists`, `survey-unwritable`; what [`BookieDisk::scan`] says.
pub fn take(disk: &BookieDisk, options: &Take<'_>, progress: &dyn Progress) -> Result<SurveyHeader> {
    let mut writer = SurveyWriter::create(options.output)?;
    progress.stage_started(READING, Some(disk.bytes()), Unit::Bytes);
    let advanced = |bytes| progress.advanced(bytes);
    let scan_options =
        ScanOptions { password: options.password.clone(), parallel: options.parallel, advanced: &advanced };
    let directory = directory_of(options.output);
    let sorter = || Ok(Summaries { sorter: Sorter::new(directory, PIECE_ENTRIES), output: options.output });
    let Scan { visitors, ledgers, oddities } = disk.scan(&scan_options, sorter)?;
    progress.stage_finished(READING);
    let sorters = visitors.into_iter().map(|summaries| summaries.sorter).collect();
    let (ledgers, entries) = write_entries(sorters, &ledgers, &mut writer)
        .map_err(|error| error.unwrap_or_else(|error| unwritable(options.output, error)))?;
    let header = SurveyHeader {
        version: SURVEY_VERSION,
        bookie_id: disk.cookie().bookie_id.clone(),
        instance_id: disk.cookie().instance_id.clone(),
        cookie: disk.cookie_bytes().to_vec(),
        directories: disk.directories().map(Path::to_path_buf).collect(),
        files: disk.files().iter().map(SurveyedFile::of).collect(),
        ledgers,
        entries,
        oddities,
    };
    writer.finish(&header)?;
    Ok(header)
}

/// Either an error of the sorting's files, or one that is ready for the operator.
#[derive(Debug)]
enum WriteError {
    Sorting(io::Error),
    Ready(OperatorError),
}

impl WriteError {
    fn unwrap_or_else(self, sorting: impl FnOnce(io::Error) -> OperatorError) -> OperatorError {
        match self {
            Self::Sorting(error) => sorting(error),
            Self::Ready(error) => error,
        }
    }
}

/// Writes all entries; returns what is known of each ledger, and the number of entries.
fn write_entries(
    sorters: Vec<Sorter>,
    facts: &BTreeMap<i64, LedgerFacts>,
    writer: &mut SurveyWriter,
) -> std::result::Result<(Vec<LedgerSummary>, u64), WriteError> {
    let mut ledgers: BTreeMap<i64, LedgerSummary> =
        facts.iter().map(|(id, facts)| (*id, LedgerSummary::new(*id, Some(facts)))).collect();
    let mut sorted = Sorted::new(sorters).map_err(WriteError::Sorting)?;
    let mut entries = 0;
    loop {
        let group = sorted.next_group().map_err(WriteError::Sorting)?;
        if group.as_slice().is_empty() {
            return Ok((ledgers.into_values().collect(), entries));
        }
        for entry in group {
            writer.write(&entry).map_err(WriteError::Ready)?;
            entries += 1;
            let ledger_id = entry.ledger_id;
            let ledger = ledgers.entry(ledger_id).or_insert_with(|| LedgerSummary::new(ledger_id, None));
            ledger.entries += 1;
            ledger.first_entry.get_or_insert(entry.entry_id);
            ledger.last_entry = Some(entry.entry_id);
        }
    }
}

/// Summarises the entries that one thread meets.
struct Summaries<'t> {
    sorter: Sorter,
    output: &'t Path,
}

impl EntryVisitor for Summaries<'_> {
    type Error = OperatorError;

    fn entry(&mut self, entry: ScannedEntry<'_>) -> Result<()> {
        self.sorter.add(summarise(&entry)).map_err(|error| unwritable(self.output, error))
    }
}

fn summarise(entry: &ScannedEntry<'_>) -> EntrySummary {
    EntrySummary {
        ledger_id: entry.header.ledger_id,
        entry_id: entry.header.entry_id,
        last_add_confirmed: entry.header.last_add_confirmed,
        length: entry.header.length,
        payload_length: entry.payload.len() as u32,
        payload_checksum: crc32c::crc32c(entry.payload),
        digest_type: entry.digest_type,
        place: entry.place,
        copies: 1,
        frame: frame::summarise(entry.payload),
    }
}

impl From<BookieDiskError> for OperatorError {
    fn from(error: BookieDiskError) -> Self {
        let what = error.to_string();
        match error {
            BookieDiskError::Absent { .. } => OperatorError::new(
                "bookie-disk-absent",
                what,
                "correct the path, or mount the disk or its copy there; if no disk of that bookie is left, name its id with --lost-bookies instead",
            ),
            BookieDiskError::NotABookie { .. } => OperatorError::new(
                "bookie-disk-unknown",
                what,
                "name the directory of one bookie, or its journal and ledger directories joined by commas; each has a directory `current` in it",
            ),
            BookieDiskError::GivenTwice { .. } => {
                OperatorError::new("bookie-disk-twice", what, "name each directory once")
            }
            BookieDiskError::Cookie { .. } => OperatorError::new(
                "bookie-cookie-damaged",
                what,
                "replace it by the file of the same name from another directory of the same bookie, or move it away if another one has it",
            ),
            BookieDiskError::CookiesDiffer { .. } => OperatorError::new(
                "bookie-disks-mixed",
                what,
                "give the directories of each bookie by themselves (one --bookie-disks, or one `dr survey-bookie`, for each bookie), and leave out those of other clusters",
            ),
            BookieDiskError::Running { .. } => OperatorError::new(
                "bookie-running",
                what,
                "stop the bookie, or survey a copy of its disks that was made while it was stopped",
            ),
            BookieDiskError::Changed { .. } => OperatorError::new(
                "bookie-disk-changed",
                what,
                "stop the bookie, wherever it runs, and run the command again",
            )
            .may_retry(),
            BookieDiskError::NoSuchFile { .. } => {
                OperatorError::new("survey-mismatch", what, "survey the bookie's disks again with `dr survey-bookie`")
            }
            BookieDiskError::Io { .. } => OperatorError::new(
                "bookie-disk-io",
                what,
                "make the path readable for this user (permissions? mount? failing disk?) and run the command again",
            )
            .may_retry(),
        }
    }
}

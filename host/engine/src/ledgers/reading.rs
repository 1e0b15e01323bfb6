//! Puts ledgers together from what is on the disks of several bookies, or from surveys of them, which tell everything but the payloads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dr_backends::bookie_disk::{BookieDisk, BookieDiskError, Oddities, OddityKind};
use dr_formats::ledger_entry::LedgerPassword;

use super::{DiskBookie, DiskEntry, DiskLedger, Holder, LedgerEvidence, Operations, Payloads, Survivors};
use crate::bookie_survey::{
    BookieIdentity, BookieSurvey, EntrySummary, FrameSummary, MergedEntry, MergedSurveys, SurveyHeader, Take,
    read_payload, refuse_confused, take,
};
use crate::error::{OperatorError, Result};
use crate::plan::run_directory_error;
use crate::progress::Progress;

/// What is left of stopped bookies.
#[derive(Debug, Clone, Copy)]
pub struct BookiesLeft<'b> {
    /// Directories of each bookie whose disks are here.
    pub disks: &'b [Vec<PathBuf>],
    /// Surveys of bookies whose disks are elsewhere.
    pub surveys: &'b [PathBuf],
}

/// A path that leads nowhere is told before Tier-2 is read for it.
///
/// # Errors
/// `bookie-disk-absent`; those of [`BookieSurvey::open`].
pub fn refuse_absent(left: BookiesLeft<'_>) -> Result<()> {
    if let Some(path) = left.disks.iter().flatten().find(|path| !path.exists()) {
        return Err(BookieDiskError::Absent { path: path.clone() }.into());
    }
    left.surveys.iter().try_for_each(|path| BookieSurvey::open(path).map(drop))
}

/// Reads what is left of stopped bookies, beside what is left of ZooKeeper. Surveys of the disks, which are removed at the end, are written to
/// `scratch`, a directory that does not exist yet.
///
/// # Errors
/// Those of [`BookieDisk::open`], [`BookieSurvey::open`], [`refuse_confused`], [`take`] and [`MergedSurveys`]; `ledger-password` if ledgers have another
/// password than `password`; `instance-differs`, `cookie-differs` if ZooKeeper knows other bookies.
pub fn read_bookies(
    left: BookiesLeft<'_>,
    password: &LedgerPassword,
    survivors: Survivors,
    parallel: usize,
    scratch: &Path,
    progress: &dyn Progress,
) -> Result<LedgerEvidence> {
    std::fs::create_dir(scratch).map_err(|error| run_directory_error("create", scratch, error))?;
    let evidence = survey_and_merge(left, password, survivors, parallel, scratch, progress);
    let removed = std::fs::remove_dir_all(scratch);
    let evidence = evidence?;
    removed.map_err(|error| run_directory_error("remove", scratch, error))?;
    Ok(evidence)
}

fn survey_and_merge(
    left: BookiesLeft<'_>,
    password: &LedgerPassword,
    survivors: Survivors,
    parallel: usize,
    scratch: &Path,
    progress: &dyn Progress,
) -> Result<LedgerEvidence> {
    let files = left.surveys.iter().map(|path| BookieSurvey::open(path)).collect::<Result<Vec<_>>>()?;
    let disks: Vec<BookieDisk> =
        left.disks.iter().map(|directories| BookieDisk::open(directories)).collect::<std::result::Result<_, _>>()?;
    // Before hours of reading.
    let of_disks = disks.iter().map(BookieIdentity::of_disk);
    refuse_confused(&of_disks.chain(files.iter().map(BookieSurvey::identity)).collect::<Vec<_>>())?;
    let of_disks = disks.iter().map(|disk| (disk.cookie().bookie_id.as_str(), disk.cookie_bytes()));
    let of_files = files.iter().map(|file| (file.header().bookie_id.as_str(), file.header().cookie.as_slice()));
    let instance_ids = disks.iter().map(|disk| &disk.cookie().instance_id);
    let instance_ids = instance_ids.chain(files.iter().map(|file| &file.header().instance_id));
    for ((bookie, cookie), instance_id) in of_disks.chain(of_files).zip(instance_ids) {
        survivors.refuse_other(bookie, instance_id.as_deref(), cookie)?;
    }
    files.iter().try_for_each(|file| refuse_other_password(file.header(), &file.identity().origin, password))?;
    let mut surveys = Vec::new();
    for (number, disk) in disks.iter().enumerate() {
        let output = scratch.join(format!("bookie-{number}"));
        let header = take(disk, &Take { password: password.clone(), parallel, output: &output }, progress)?;
        refuse_other_password(&header, &BookieIdentity::of_disk(disk).origin, password)?;
        surveys.push(BookieSurvey::open(&output)?);
    }
    surveys.extend(files);
    merge(surveys, disks, password, survivors)
}

/// Puts all surveys together, of which the first ones are those of `disks`.
fn merge(
    surveys: Vec<BookieSurvey>,
    disks: Vec<BookieDisk>,
    password: &LedgerPassword,
    survivors: Survivors,
) -> Result<LedgerEvidence> {
    let mut merged = MergedSurveys::new(surveys)?;
    let known = merged.headers().map(bookie).collect();
    let (mut ledgers, mut copies, mut elsewhere) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    while let Some(mut entry) = merged.next_entry()? {
        add(&entry, &mut ledgers);
        entry.copies.retain(|(bookie, _)| *bookie < disks.len());
        if entry.copies.is_empty() {
            elsewhere.insert(entry.ledger_id);
        } else {
            copies.insert((entry.ledger_id, entry.entry_id), entry.copies);
        }
    }
    merged.headers().for_each(|header| confirm(header, &mut ledgers));
    let payloads = DiskPayloads { disks, copies, password: password.clone() };
    Ok(LedgerEvidence::new(known, ledgers, survivors, Box::new(payloads)).with_ledgers_elsewhere(&elsewhere))
}

fn refuse_other_password(header: &SurveyHeader, origin: &Path, password: &LedgerPassword) -> Result<()> {
    match header.ledgers.iter().find(|ledger| ledger.has_password(password) == Some(false)) {
        None => Ok(()),
        Some(ledger) => Err(OperatorError::new(
            "ledger-password",
            format!(
                "{}: ledger {} of bookie {} has another password than the configured one",
                origin.display(),
                ledger.ledger_id,
                header.bookie_id
            ),
            "set bookkeeper.connect.security.auth.pwd in a file given with --config as the segment stores have it",
        )),
    }
}

fn bookie(header: &SurveyHeader) -> DiskBookie {
    let finding = |oddity: &dr_backends::bookie_disk::Oddity| {
        format!("{}: {}: {}", oddity.path.display(), oddity.kind, oddity.detail)
    };
    DiskBookie {
        id: header.bookie_id.clone(),
        cookie: header.cookie.clone(),
        instance_id: header.instance_id.clone(),
        entries: header.entries,
        findings: header.oddities.listed.iter().map(finding).collect(),
        incomplete: incomplete(&header.oddities),
    }
}

/// What can hide entries: the first of each kind, and how many there are.
fn incomplete(oddities: &Oddities) -> Vec<String> {
    let kinds = oddities.counts.iter().filter(|(kind, _)| kind.can_hide_entries());
    let in_words = |(&kind, &count): (&OddityKind, &u64)| {
        let first = oddities.listed.iter().find(|oddity| oddity.kind == kind)?;
        let more = if count > 1 { format!(", and {} more of the kind", count - 1) } else { String::new() };
        Some(format!("{kind} ({}): {}{more}", first.path.display(), first.detail))
    };
    kinds.filter_map(in_words).collect()
}

/// Adds the next entry of all ledgers, which come in the order of ledgers and entries.
fn add(merged: &MergedEntry, ledgers: &mut Vec<DiskLedger>) {
    let Some((_, summary)) = merged.copies.last() else { return };
    if ledgers.last().is_none_or(|ledger| ledger.id != merged.ledger_id) {
        ledgers.push(DiskLedger {
            id: merged.ledger_id,
            entries: Vec::new(),
            holders: Vec::new(),
            confirmed: -1,
            digest_type: summary.digest_type,
            containers: BTreeSet::new(),
            registered: None,
            left_out: 0,
        });
    }
    let Some(ledger) = ledgers.last_mut() else { return };
    let length = u64::try_from(summary.length).unwrap_or(0);
    ledger.entries.push(DiskEntry::of(merged.entry_id, length, summary.payload_checksum, summary.frame.as_ref()));
    let confirmed = merged.copies.iter().map(|(_, copy)| copy.last_add_confirmed).max();
    ledger.confirmed = ledger.confirmed.max(confirmed.unwrap_or(-1));
    ledger.containers.extend(summary.frame.iter().flat_map(|frame| &frame.container_ids));
    for (bookie, _) in &merged.copies {
        match ledger.holders.iter_mut().find(|holder| holder.bookie == *bookie) {
            Some(holder) => holder.add(merged.entry_id),
            None => ledger.holders.push(Holder { bookie: *bookie, runs: vec![(merged.entry_id, merged.entry_id)] }),
        }
    }
}

/// Adds what a bookie was told of acknowledged entries.
fn confirm(header: &SurveyHeader, ledgers: &mut [DiskLedger]) {
    for told in &header.ledgers {
        let place = ledgers.binary_search_by_key(&told.ledger_id, |ledger| ledger.id);
        if let (Ok(place), Some(confirmed)) = (place, told.explicit_last_add_confirmed) {
            ledgers[place].confirmed = ledgers[place].confirmed.max(confirmed);
        }
    }
}

impl Holder {
    /// Adds an entry, not below those that are there.
    fn add(&mut self, entry: i64) {
        match self.runs.last_mut() {
            Some((_, last)) if *last >= entry - 1 => *last = entry,
            _ => self.runs.push((entry, entry)),
        }
    }
}

impl DiskEntry {
    /// What an entry tells of the log that it is a frame of; one of another application than Pravega tells nothing.
    pub(super) fn of(id: i64, ledger_length: u64, payload_checksum: u32, frame: Option<&FrameSummary>) -> Self {
        let operations = frame.and_then(|frame| {
            Some(Operations { first: frame.first_sequence_number?, last: frame.last_sequence_number? })
        });
        Self {
            id,
            ledger_length,
            payload_checksum,
            operations,
            begins_inside: frame.is_some_and(|frame| frame.begins_inside_record),
            ends_open: frame.is_some_and(|frame| frame.ends_inside_record),
        }
    }
}

/// Copies of each entry: number of the bookie, and where it has it.
type Copies = BTreeMap<(i64, i64), Vec<(usize, EntrySummary)>>;

/// Reads entries back from the disks.
#[derive(Debug)]
struct DiskPayloads {
    disks: Vec<BookieDisk>,
    copies: Copies,
    password: LedgerPassword,
}

impl Payloads for DiskPayloads {
    fn read(&self, ledger: &DiskLedger, last_entry: i64, visit: &mut dyn FnMut(i64, &[u8])) -> Result<()> {
        for entry in ledger.entries.iter().take_while(|entry| entry.id <= last_entry) {
            visit(entry.id, &self.read_entry(ledger.id, entry.id)?);
        }
        Ok(())
    }
}

impl DiskPayloads {
    fn read_entry(&self, ledger: i64, entry: i64) -> Result<Vec<u8>> {
        let mut failure = None;
        // The newest first, as in the rest of the evidence.
        for (bookie, summary) in self.copies.get(&(ledger, entry)).into_iter().flatten().rev() {
            match read_payload(&self.disks[*bookie], summary, &self.password) {
                Ok(payload) => return Ok(payload),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| {
            OperatorError::new(
                "survey-mismatch",
                format!("no disk holds entry {entry} of ledger {ledger}"),
                "give the disks of all bookies with --bookie-disks",
            )
        }))
    }
}

//! The surveys of several bookies, read together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};

use dr_backends::bookie_disk::BookieDisk;

use super::{BookieSurvey, EntrySummary, SurveyHeader};
use crate::error::{OperatorError, Result};

/// The surveys of the bookies of one cluster: entries come in the order of ledger and entry, with all their copies.
#[derive(Debug)]
pub struct MergedSurveys {
    surveys: Vec<BookieSurvey>,
    /// The next entry of each survey.
    next: Vec<Option<EntrySummary>>,
    /// Ledger, entry and survey of those.
    heap: BinaryHeap<Reverse<(i64, i64, usize)>>,
}

/// An entry, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedEntry {
    /// The ledger.
    pub ledger_id: i64,
    /// The entry.
    pub entry_id: i64,
    /// Number of a survey and what it says, in the order of the surveys. A bookie that has several contents appears as
    /// often, the newest last.
    pub copies: Vec<(usize, EntrySummary)>,
}

impl MergedSurveys {
    /// Reads surveys together.
    ///
    /// # Errors
    /// `surveys-twice` if two are of one bookie, `surveys-mixed` if they are of different clusters.
    pub fn new(surveys: Vec<BookieSurvey>) -> Result<Self> {
        refuse_confused(&surveys.iter().map(BookieSurvey::identity).collect::<Vec<_>>())?;
        let next = surveys.iter().map(|_| None).collect();
        let mut merged = Self { surveys, next, heap: BinaryHeap::new() };
        for survey in 0..merged.surveys.len() {
            merged.refill(survey)?;
        }
        Ok(merged)
    }

    /// Opens survey files and reads them together.
    ///
    /// # Errors
    /// As [`BookieSurvey::open`] and [`MergedSurveys::new`].
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        Self::new(paths.iter().map(|path| BookieSurvey::open(path)).collect::<Result<_>>()?)
    }

    /// What the surveys say of their bookies, in the order that was given.
    pub fn headers(&self) -> impl Iterator<Item = &SurveyHeader> {
        self.surveys.iter().map(BookieSurvey::header)
    }

    /// The next entry; none behind the last.
    ///
    /// # Errors
    /// `survey-unreadable`.
    pub fn next_entry(&mut self) -> Result<Option<MergedEntry>> {
        let Some(Reverse((ledger_id, entry_id, _))) = self.heap.peek().copied() else { return Ok(None) };
        let mut copies = Vec::new();
        while let Some(Reverse((ledger, entry, survey))) = self.heap.peek().copied()
            && (ledger, entry) == (ledger_id, entry_id)
        {
            self.heap.pop();
            if let Some(summary) = self.next.get_mut(survey).and_then(Option::take) {
                copies.push((survey, summary));
            }
            self.refill(survey)?;
        }
        Ok(Some(MergedEntry { ledger_id, entry_id, copies }))
    }

    fn refill(&mut self, survey: usize) -> Result<()> {
        let Some(entry) = self.surveys.get_mut(survey).map(BookieSurvey::next_entry).transpose()?.flatten() else {
            return Ok(());
        };
        self.heap.push(Reverse((entry.ledger_id, entry.entry_id, survey)));
        if let Some(place) = self.next.get_mut(survey) {
            *place = Some(entry);
        }
        Ok(())
    }
}

/// Whose disks something tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookieIdentity {
    /// Where that was found, for the operator.
    pub origin: PathBuf,
    /// Id of the bookie.
    pub bookie_id: String,
    /// Instance of its cluster, if it has one.
    pub instance_id: Option<String>,
}

impl BookieIdentity {
    /// By the cookie on the disks.
    #[must_use]
    pub fn of_disk(disk: &BookieDisk) -> Self {
        let cookie = disk.cookie();
        Self {
            origin: disk.directories().next().map(Path::to_path_buf).unwrap_or_default(),
            bookie_id: cookie.bookie_id.clone(),
            instance_id: cookie.instance_id.clone(),
        }
    }
}

/// Refuses the same bookie twice, and bookies of several clusters.
///
/// # Errors
/// `surveys-twice`, `surveys-mixed`.
pub fn refuse_confused(bookies: &[BookieIdentity]) -> Result<()> {
    refuse_twice(bookies)?;
    refuse_mixed(bookies)
}

fn refuse_twice(bookies: &[BookieIdentity]) -> Result<()> {
    let mut seen: BTreeMap<&str, &BookieIdentity> = BTreeMap::new();
    for bookie in bookies {
        if let Some(first) = seen.insert(&bookie.bookie_id, bookie) {
            let what = format!(
                "`{}` and `{}` are both of bookie {}",
                first.origin.display(),
                bookie.origin.display(),
                bookie.bookie_id
            );
            return Err(OperatorError::new(
                "surveys-twice",
                what,
                "name the disks or the survey of each bookie once; several directories of one bookie are joined by commas",
            ));
        }
    }
    Ok(())
}

fn refuse_mixed(bookies: &[BookieIdentity]) -> Result<()> {
    let mut pairs = bookies.iter().zip(bookies.iter().skip(1));
    let Some((one, other)) = pairs.find(|(one, other)| one.instance_id != other.instance_id) else {
        return Ok(());
    };
    let named = |bookie: &BookieIdentity| {
        let instance = bookie.instance_id.as_deref().unwrap_or("none");
        format!("bookie {} (`{}`) is of instance {instance}", bookie.bookie_id, bookie.origin.display())
    };
    let what = format!("{}, {}: they are of different clusters", named(one), named(other));
    Err(OperatorError::new("surveys-mixed", what, "name only the disks and surveys of one cluster"))
}

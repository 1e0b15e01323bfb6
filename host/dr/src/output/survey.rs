//! What the survey of a bookie found, for people.

use std::fmt::Write as _;
use std::path::Path;

use dr_backends::bookie_disk::{Oddity, OddityKind};
use dr_engine::bookie_survey::SurveyHeader;
use dr_formats::ledger_entry::LedgerPassword;

use super::table::{self, Align};
use super::text::{Colour, bytes, counted, grouped, shown};

/// Oddities of one kind that are shown; the survey has more.
const SHOWN_OF_KIND: usize = 10;

/// What is told of a survey.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    header: &'a SurveyHeader,
    password: &'a LedgerPassword,
    path: &'a Path,
}

impl<'a> Summary<'a> {
    /// Of the survey at `path`.
    pub(crate) const fn new(header: &'a SurveyHeader, password: &'a LedgerPassword, path: &'a Path) -> Self {
        Self { header, password, path }
    }

    /// True if confirmed entries can be missing from the survey because of something odd.
    pub(crate) fn can_hide_entries(&self) -> bool {
        self.header.oddities.counts.keys().any(|kind| kind.can_hide_entries())
    }

    /// What the operator should look at.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let foreign = self.header.ledgers.iter().filter(|ledger| ledger.has_password(self.password) == Some(false));
        let foreign = foreign.count() as u64;
        if foreign > 0 {
            warnings.push(format!(
                "the password is not that of {}; give the properties file of the segment stores with --config \
                 (bookkeeper.connect.security.auth.pwd)",
                counted(foreign, "ledger", "ledgers")
            ));
        }
        if self.header.ledgers.iter().all(|ledger| ledger.entries == 0) {
            warnings.push("there is not one entry; are these the directories with the bookie's data?".to_owned());
        }
        warnings
    }

    /// The whole report.
    pub(crate) fn render(&self, colour: Colour) -> String {
        let header = self.header;
        let instance = header.instance_id.as_ref().map_or_else(
            || "of a cluster without an instance id".to_owned(),
            |instance| format!("of the cluster with instance id {}", shown(instance)),
        );
        let head = format!("Surveyed bookie {} {instance}", shown(&header.bookie_id));
        let mut text = format!("\n{}\n", colour.green(&head));
        let rows = [true, false].map(|journal| self.files(journal));
        let columns = [("Files", Align::Left), ("Number", Align::Right), ("Size", Align::Right)];
        text.push_str(&table::render(&columns, rows));
        let with_entries = header.ledgers.iter().filter(|ledger| ledger.entries > 0).count() as u64;
        let fenced = header.ledgers.iter().filter(|ledger| ledger.fenced).count() as u64;
        let _ = writeln!(
            text,
            "\n{} of {}, {} fenced; the survey is {}",
            counted(header.entries, "entry", "entries"),
            counted(with_entries, "ledger", "ledgers"),
            grouped(fenced),
            shown(&self.path.display().to_string())
        );
        text.push_str(&self.oddities(colour));
        text
    }

    fn files(&self, journal: bool) -> Vec<String> {
        let files = self.header.files.iter().filter(|file| file.journal == journal);
        let (count, length) = files.fold((0, 0), |sum, file| (sum.0 + 1, sum.1 + file.length));
        let name = if journal { "journals" } else { "entry logs" };
        vec![name.to_owned(), grouped(count), bytes(length)]
    }

    fn oddities(&self, colour: Colour) -> String {
        let oddities = &self.header.oddities;
        if oddities.is_empty() {
            return String::new();
        }
        let columns =
            [("Oddity", Align::Left), ("Where", Align::Left), ("At byte", Align::Right), ("What", Align::Left)];
        let mut rows = Vec::new();
        for (kind, count) in &oddities.counts {
            let listed = oddities.listed.iter().filter(|oddity| oddity.kind == *kind).take(SHOWN_OF_KIND);
            rows.extend(listed.map(|oddity| self.row(oddity)));
            if let Some(more) = count.checked_sub(SHOWN_OF_KIND as u64).filter(|more| *more > 0) {
                rows.push(vec![kind.to_string(), "...".to_owned(), String::new(), format!("{} more", grouped(more))]);
            }
        }
        let hiding: Vec<String> =
            oddities.counts.keys().filter(|kind| kind.can_hide_entries()).map(OddityKind::to_string).collect();
        let verdict = if hiding.is_empty() {
            "Nothing of it can hide entries that were confirmed.".to_owned()
        } else {
            format!(
                "Entries that this bookie confirmed can be missing: {}. The other bookies' copies are needed all the more.",
                hiding.join(", ")
            )
        };
        let verdict = if hiding.is_empty() { verdict } else { colour.red(&verdict) };
        format!("\n{}\n{}{verdict}\n", colour.yellow("Odd"), table::render(&columns, rows))
    }

    fn row(&self, oddity: &Oddity) -> Vec<String> {
        let below = self.header.directories.iter().find_map(|directory| {
            let name = directory.file_name()?;
            Some(Path::new(name).join(oddity.path.strip_prefix(directory).ok()?))
        });
        let path = below.unwrap_or_else(|| oddity.path.clone());
        let offset = oddity.offset.map(grouped).unwrap_or_default();
        vec![oddity.kind.to_string(), shown(&path.display().to_string()), offset, shown(&oddity.detail)]
    }
}

//! Checks a journal line by line: what is whole is shown, what is not is named.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{BEGINNING, Entry, HASH_FIELD, HEAD_FILE, Head, JOURNAL_FILE, Line};
use crate::error::{OperatorError, Result};
use crate::process::Process;
use crate::run_file;

/// Stands for the hash of a line that cannot be read.
const UNKNOWN: &str = "unknown";

/// A line that can be understood.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditedLine {
    /// Its number, from 1.
    pub number: u64,
    /// When it was written, in milliseconds since 1970 by the clock of the machine.
    pub unix_milliseconds: u64,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

/// A place where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Line of the file, from 1; one behind the last for lines that are missing there.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Break {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.what)
    }
}

/// A journal that was checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// The lines that can be understood, whether they fit or not.
    pub lines: Vec<AuditedLine>,
    /// Where the chain does not hold.
    pub breaks: Vec<Break>,
    /// Bytes behind the last whole line, which a crash leaves.
    pub torn_bytes: usize,
    #[serde(skip)]
    pub(super) head: Head,
}

impl Audit {
    /// Checks the journal of a run directory.
    ///
    /// # Errors
    /// `journal-missing` if it cannot be read.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(JOURNAL_FILE);
        let read =
            || -> std::io::Result<_> { Ok((std::fs::read(&path)?, run_file::read(&directory.join(HEAD_FILE))?)) };
        let (text, head) = read().map_err(|error| {
            OperatorError::new(
                "journal-missing",
                format!("cannot read the journal `{}`", path.display()),
                "name the directory of a plan or a run",
            )
            .because(error)
        })?;
        Ok(Self::of(&text, head))
    }

    /// The process of the newest command.
    pub(super) fn last_process(&self) -> Option<Process> {
        self.lines.iter().rev().find_map(|line| match &line.entry {
            Entry::CommandBegun { process, .. } => Some(process.clone()),
            _ => None,
        })
    }

    /// The newest command that began and did not end: it runs, was interrupted, or its last lines are gone.
    pub fn unfinished(&self) -> Option<&str> {
        self.lines.iter().rev().find_map(|line| match &line.entry {
            Entry::CommandBegun { command, .. } => Some(Some(command.as_str())),
            Entry::CommandEnded { .. } => Some(None),
            _ => None,
        })?
    }

    pub(super) fn of(text: &[u8], expected: Option<Head>) -> Self {
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let mut audit = Self {
            lines: Vec::new(),
            breaks: Vec::new(),
            torn_bytes: text.len() - whole,
            head: Head { lines: 0, hash: BEGINNING.to_owned() },
        };
        let mut is_on_the_way = expected.as_ref().is_none_or(|head| head.lines == 0);
        let mut last = 0;
        for (line, text) in (1..).zip(text[..whole].split_inclusive(|&byte| byte == b'\n')) {
            audit.add(line, text);
            is_on_the_way |= expected.as_ref() == Some(&audit.head);
            last = line;
        }
        if let Some(expected) = expected.filter(|_| !is_on_the_way && audit.breaks.is_empty()) {
            let missing = expected.lines.saturating_sub(audit.head.lines);
            let what = match missing {
                0 => format!("not the journal that had {} lines when the last command ended", expected.lines),
                1 => "1 line is missing at the end".to_owned(),
                _ => format!("{missing} lines are missing at the end"),
            };
            audit.breaks.push(Break { line: last + 1, what });
        }
        audit
    }

    fn add(&mut self, line: usize, text: &[u8]) {
        let follows = self.head.lines + 1;
        let parsed = split(text).and_then(|(content, hash)| {
            let parsed: Line = serde_json::from_slice(&content).ok()?;
            let is_whole = blake3::hash(&content).to_hex().as_str() == hash;
            Some((parsed, hash, is_whole))
        });
        let Some((parsed, hash, is_whole)) = parsed else {
            self.breaks
                .push(Break { line, what: "cannot be understood: cut, edited, or of another version".to_owned() });
            // It stands for one line; whether the next one follows it cannot be told.
            self.head = Head { lines: follows, hash: UNKNOWN.to_owned() };
            return;
        };
        let is_chained = parsed.previous == self.head.hash || self.head.hash == UNKNOWN;
        let what = match parsed.number {
            number if !is_whole => Some(format!("edited: the content of line {number} is not what its hash says")),
            number if number == follows + 1 => Some(format!("line {follows} is missing before it")),
            number if number > follows => Some(format!("lines {follows} to {} are missing before it", number - 1)),
            number if number < follows => {
                Some(format!("line {number} stands where line {follows} belongs: moved or repeated"))
            }
            _ if !is_chained => Some("does not follow the line before, which was replaced".to_owned()),
            _ => None,
        };
        self.breaks.extend(what.map(|what| Break { line, what }));
        self.head = Head { lines: parsed.number, hash };
        let Line { number, unix_milliseconds, entry, .. } = parsed;
        self.lines.push(AuditedLine { number, unix_milliseconds, entry });
    }
}

/// The line as it was before its hash was added, and the hash.
fn split(text: &[u8]) -> Option<(Vec<u8>, String)> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix("\"}\n")?;
    let (content, hash) = text.rsplit_once(HASH_FIELD)?;
    Some((format!("{content}}}").into_bytes(), hash.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;

    /// What is wrong with a journal of five lines after an edit.
    fn breaks(edit: impl Fn(&mut Vec<String>)) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        let begun =
            || Entry::CommandBegun { command: "apply".to_owned(), dr_version: "0".to_owned(), process: Process::own() };
        journal.record(begun()).unwrap();
        for plan in ["a", "b", "c"] {
            journal.record(Entry::EvidenceChecked { plan: plan.to_owned() }).unwrap();
        }
        journal.end("apply", None).unwrap();
        drop(journal);
        let path = directory.path().join(JOURNAL_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        edit(&mut lines);
        std::fs::write(&path, lines.concat()).unwrap();
        let audit = Audit::read(directory.path()).unwrap();
        assert_eq!(Journal::open(directory.path()).is_err(), !audit.breaks.is_empty());
        audit.breaks.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_journal_holds() {
        assert_eq!(breaks(|_| {}), Vec::<String>::new());
        // What a crash leaves behind the end is no break.
        assert_eq!(breaks(|lines| lines.push("{\"number\":6,".to_owned())), Vec::<String>::new());
    }

    #[test]
    fn what_was_changed_is_named() {
        let edited = breaks(|lines| lines[1] = lines[1].replace("\"plan\":\"a\"", "\"plan\":\"x\""));
        assert_eq!(edited, ["line 2: edited: the content of line 2 is not what its hash says"]);
        let removed = breaks(|lines| drop(lines.drain(1..3)));
        assert_eq!(removed, ["line 2: lines 2 to 3 are missing before it"]);
        let swapped = breaks(|lines| lines.swap(1, 2));
        assert_eq!(swapped.len(), 3, "{swapped:?}");
        assert_eq!(swapped[0], "line 2: line 2 is missing before it");
        let cut = breaks(|lines| lines[2].replace_range(20.., "\n"));
        assert_eq!(cut, ["line 3: cannot be understood: cut, edited, or of another version"]);
        let shortened = breaks(|lines| lines.truncate(3));
        assert_eq!(shortened, ["line 4: 2 lines are missing at the end"]);
        let emptied = breaks(Vec::clear);
        assert_eq!(emptied, ["line 1: 5 lines are missing at the end"]);
    }

    #[test]
    fn a_line_replaced_together_with_its_hash_does_not_fit_the_next() {
        let replaced = breaks(|lines| {
            let (content, _) = split(lines[1].as_bytes()).unwrap();
            let mut line: Line = serde_json::from_slice(&content).unwrap();
            line.entry = Entry::EvidenceChecked { plan: "x".to_owned() };
            lines[1] = String::from_utf8(line.render().unwrap().0).unwrap();
        });
        assert_eq!(replaced, ["line 3: does not follow the line before, which was replaced"]);
    }
}

//! The last words of a recovery: what became of it, and what to do now.

use std::fmt::Write as _;
use std::path::Path;

use dr_engine::plan::Plan;
use serde::Serialize;

use super::text::{Colour, bytes, counted, shown};
use crate::configuration::Tier1Location;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// In words.
    pub(crate) sentence: String,
    /// The command, if it is one of `dr`.
    pub(crate) command: Option<String>,
}

/// Things to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Next {
    /// One after the other.
    pub(crate) steps: Vec<Step>,
}

impl Next {
    /// For people.
    pub(crate) fn render(&self, colour: Colour) -> String {
        let mut text = format!("\n{}\n", colour.bold("What to do now"));
        for (index, step) in self.steps.iter().enumerate() {
            let _ = writeln!(text, "  {}. {}", index + 1, step.sentence);
            if let Some(command) = &step.command {
                let _ = writeln!(text, "     {}", shown(command));
            }
        }
        text
    }
}

/// After a dry run: the same command without `--dry-run` carries out exactly the plan that was shown.
pub(crate) fn after_dry_run(typed: &[String], directory: &Path) -> Next {
    Next { steps: vec![step("nothing was changed; to carry out this plan:", Some(resume(typed, directory)))] }
}

/// After a recovery.
pub(crate) fn after_recovery(typed: &[String], location: &Tier1Location) -> Next {
    let steps = match location {
        Tier1Location::Servers { .. } => vec![
            step("start all segment stores with their usual configuration, and wait until they have registered", None),
            step("start one controller; wait until it answers, then start the others", None),
            step("start readers and writers", None),
        ],
        Tier1Location::Directory(_) => {
            vec![step("no server was involved; look at the result again at any time:", Some(verify_command(typed)))]
        }
    };
    Next { steps }
}

/// What became of the cluster.
pub(crate) fn summary(plan: &Plan, location: &Tier1Location, directory: &Path, colour: Colour) -> String {
    let containers = counted(plan.containers.len() as u64, "container", "containers");
    let segments = counted(plan.segments(), "segment", "segments");
    let data: u64 = plan.containers.iter().map(|container| container.data_bytes).sum();
    let head = format!("Recovered {containers} with {segments} and {} of data", bytes(data));
    let place = shown(&location.to_string());
    let mut text = format!("\n{} into {place}.\n", colour.green(&head));
    if !plan.losses.is_empty() {
        let ranges = counted(plan.losses.len() as u64, "range of bytes is lost", "ranges of bytes are lost");
        let _ = writeln!(
            text,
            "{} They are listed with their reasons in {}.",
            colour.red(&format!("{ranges}.")),
            directory.join("plan.json").display()
        );
    }
    let _ = writeln!(
        text,
        "Plan and journal are in {}. Keep them until the cluster has proved itself.",
        directory.display()
    );
    text
}

/// The command that carries on with the plan in a directory.
pub(crate) fn resume(typed: &[String], directory: &Path) -> String {
    let mut words = without(typed, &["--dry-run"], &["--run-directory"]);
    words.extend(["--run-directory".to_owned(), directory.to_string_lossy().into_owned()]);
    command(&words)
}

/// `dr verify` with the same source and Tier-1.
fn verify_command(typed: &[String]) -> String {
    let flags = ["--dry-run", "--yes", "-y", "--accept-live-cluster"];
    let options = ["--run-directory", "--set", "--procedure"];
    let mut words = without(typed, &flags, &options);
    if let Some(word) = words.iter_mut().find(|word| *word == "recover") {
        *word = "verify".to_owned();
    }
    command(&words)
}

/// The words without these flags, and without these options and their values.
fn without(typed: &[String], flags: &[&str], options: &[&str]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = typed.iter();
    while let Some(word) = words.next() {
        if options.contains(&word.as_str()) {
            words.next();
        } else if !flags.contains(&word.as_str())
            && !options.iter().any(|option| word.starts_with(&format!("{option}=")))
        {
            kept.push(word.clone());
        }
    }
    kept
}

/// A command that a shell understands.
fn command(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn step(sentence: &str, command: Option<String>) -> Step {
    Step { sentence: sentence.to_owned(), command }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn typed(line: &[&str]) -> Vec<String> {
        line.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_next_command_keeps_what_was_typed() {
        let line = typed(&["dr", "recover", "/mnt/tier 2", "--config", "a'b", "--dry-run", "--set", "tail=as-is"]);
        let expected = r"dr recover '/mnt/tier 2' --config 'a'\''b' --set tail=as-is --run-directory run-1";
        assert_eq!(resume(&line, Path::new("run-1")), expected);
        let again = typed(&["dr", "recover", "/r", "--run-directory=old", "--yes"]);
        assert_eq!(resume(&again, Path::new("new")), "dr recover /r --yes --run-directory new");
    }

    #[test]
    fn a_directory_is_verified_with_the_same_words() {
        let line =
            typed(&["dr", "recover", "/r", "--tier1", "dir:t", "--yes", "--run-directory", "x", "--set", "a=b", "-v"]);
        let next = after_recovery(&line, &Tier1Location::Directory(PathBuf::from("t")));
        assert_eq!(next.steps[0].command.as_deref(), Some("dr verify /r --tier1 dir:t -v"));
        assert!(next.render(Colour::NONE).contains("     dr verify /r --tier1 dir:t -v\n"));
    }

    #[test]
    fn empty_words_survive() {
        assert_eq!(quoted(""), "''");
    }
}

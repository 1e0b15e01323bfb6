//! The last words of a recovery: what became of it, and what to do now.

use std::fmt::Write as _;
use std::path::Path;

use dr_engine::apply::RolledBack;
use dr_engine::plan::{Effect, Plan};
use serde::Serialize;

use super::plan::oddity_counts;
use super::text::{Colour, bytes, counted, shown};
use crate::configuration::Tier1Location;

/// Choice of the decision of a plan that names a lost bookie.
pub(crate) const TAKEN_AS_LOST: &str = "taken as lost";

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

/// After a plan was made, which may be one that only reports.
pub(crate) fn after_plan(plan: &Plan, program: &str, directory: &Path) -> Next {
    let mut next = after_planning(program, directory);
    if plan.changes_nothing() {
        next.steps.truncate(1);
    }
    next
}

/// After planning a recovery.
pub(crate) fn after_planning(program: &str, directory: &Path) -> Next {
    let of = |command| Some(of_directory(program, command, directory));
    Next {
        steps: vec![
            step("nothing was changed; look at this plan again at any time:", of("show")),
            step("carry out exactly this plan:", of("apply")),
        ],
    }
}

/// After planning, for a reader who sees the losses elsewhere.
pub(crate) fn after_planning_with_losses(program: &str, directory: &Path) -> Next {
    let look =
        "read what is lost; if a copy or a snapshot of Tier-2 holds more, restore that first and make a new plan";
    let mut next = after_planning(program, directory);
    next.steps.insert(0, step(look, None));
    next
}

/// After a recovery; `verify` are the words of `dr verify` behind the program.
pub(crate) fn after_recovery(
    program: &str,
    verify: &[String],
    plan: &Plan,
    directory: &Path,
    location: &Tier1Location,
) -> Next {
    let rollback = step(
        "as long as no store was started, all of it can be taken back:",
        Some(of_directory(program, "rollback", directory)),
    );
    let verify: Vec<String> = std::iter::once(program.to_owned()).chain(verify.iter().cloned()).collect();
    let steps = match location {
        Tier1Location::Servers { .. } => {
            let online = command(&[&verify[..], &["--online".to_owned()]].concat());
            let start = [
                step(
                    "start all segment stores with their usual configuration, and wait until they have registered",
                    None,
                ),
                step("start one controller; wait until it answers, then start the others", None),
                step("ask the running cluster for every segment of the plan:", Some(online)),
                step("start readers and writers", None),
                rollback,
            ];
            close_readers(program, plan, directory).into_iter().chain(start).collect()
        }
        Tier1Location::Directory(_) => {
            vec![
                step("no server was involved; look at the result again at any time:", Some(command(&verify))),
                rollback,
            ]
        }
    };
    Next { steps }
}

/// Readers that outlived their cluster read on where they were, which may be inside of what is written there next.
fn close_readers(program: &str, plan: &Plan, directory: &Path) -> Option<Step> {
    let findings = oddity_counts(plan);
    let count = |finding| findings.get(finding).copied().unwrap_or(0);
    let (all, ahead) = (count("reader-group-renewed"), count("reader-group-ahead"));
    if all == 0 {
        return None;
    }
    let mut sentence = format!("close the readers of {} that still run", counted(all, "reader group", "reader groups"));
    if ahead > 0 {
        let _ = write!(sentence, ", above all of the {ahead} that had come further than what is left");
    }
    sentence += ": one that lives on can deliver an event made of two. They are named (\"begins anew\") by:";
    let show = [program.to_owned(), "show".to_owned(), directory.to_string_lossy().into_owned(), "-v".to_owned()];
    Some(step(&sentence, Some(command(&show))))
}

/// After the logs and bookies of a cluster were registered again.
pub(crate) fn after_restoring(program: &str, plan: &Plan, directory: &Path) -> Next {
    let rollback = step(
        "as long as no server was started, all of it can be taken back:",
        Some(of_directory(program, "rollback", directory)),
    );
    let mut steps = Vec::new();
    // Where containers were built anew, they run already.
    let registers_bookies = plan.effects.iter().any(|effect| matches!(effect, Effect::RegisterBookies(_)));
    if registers_bookies && plan.containers.is_empty() {
        steps.push(step("start all bookies, with their usual configuration and their disks", None));
    }
    let has_lost = plan.decisions.iter().any(|decision| decision.choice == TAKEN_AS_LOST);
    if has_lost && plan.containers.is_empty() {
        steps.push(step(
            "start new bookies in the place of those that are lost, with empty disks and ids that were never used: one that comes back empty under an old id answers for \
             data that it does not have",
            None,
        ));
    }
    steps.extend(close_readers(program, plan, directory));
    steps.extend([
        step("start all segment stores, and wait until they have registered; they replay their logs", None),
        step("start one controller; wait until it answers, then start the others", None),
        step("start readers and writers", None),
    ]);
    if has_lost {
        steps.push(step(
            "let BookKeeper's autorecovery copy what had copies on the lost bookies, before another one fails",
            None,
        ));
    }
    steps.push(rollback);
    Next { steps }
}

/// After the first of two steps, of which the second one is planned by these words.
pub(crate) fn after_first_step(program: &str, directory: &Path, second: &[String]) -> Next {
    let rollback = step(
        "as long as no bookie was started, all of it can be taken back:",
        Some(of_directory(program, "rollback", directory)),
    );
    Next {
        steps: vec![
            step(
                "start NO segment store and NO controller: the logs are not restored yet, and a store would begin empty ones",
                None,
            ),
            step("start all bookies, with their usual configuration and their disks", None),
            step("plan the second step, which restores the logs from what the bookies serve:", Some(command(second))),
            rollback,
        ],
    }
}

/// After a recovery that stopped half way.
pub(crate) fn after_stop(program: &str, directory: &Path) -> Next {
    let of = |command| Some(of_directory(program, command, directory));
    Next {
        steps: vec![
            step("repair what the error names; do not start the segment stores", None),
            step("carry on with the same plan:", of("apply")),
            step("or take back what was done:", of("rollback")),
        ],
    }
}

/// After a recovery whose result could not be verified; `verify` are the words of `dr verify` behind the program.
pub(crate) fn after_failed_verification(program: &str, verify: &[String], directory: &Path) -> Next {
    let words: Vec<String> = std::iter::once(program.to_owned()).chain(verify.iter().cloned()).collect();
    Next {
        steps: vec![
            step("do not start the segment stores", None),
            step("see what does not fit:", Some(command(&words))),
            step("all of it can be taken back:", Some(of_directory(program, "rollback", directory))),
        ],
    }
}

/// After a plan was taken back; `plan` are the words of `dr plan` behind the program.
pub(crate) fn after_rollback(program: &str, plan: &[String]) -> Next {
    let words: Vec<String> = std::iter::once(program.to_owned()).chain(plan.iter().cloned()).collect();
    Next {
        steps: vec![step(
            "everything is as it was; a new plan can be made into a new directory:",
            Some(command(&words)),
        )],
    }
}

/// What was taken back.
pub(crate) fn rolled_back(plan: &Plan, what: &RolledBack, colour: Colour) -> String {
    let containers = counted(what.containers as u64, "container", "containers");
    let objects = counted(what.objects as u64, "object is", "objects are");
    let ledgers = counted(what.ledgers as u64, "ledger is", "ledgers are");
    let gone = if plan.restored.is_empty() {
        "deleted"
    } else {
        "known to ZooKeeper no longer, and what the bookies' disks hold was not touched"
    };
    let head = colour.green(&format!("Plan {} is rolled back", plan.id));
    format!("\n{head}: the logs of {containers} are gone, {objects} back in place, {ledgers} {gone}.\n")
}

/// That the plan was carried out before, and when that was begun, if anybody knows.
pub(crate) fn carried_out_before(plan: &Plan, began: Option<&str>, colour: Colour) -> String {
    let head = colour.green(&format!("Plan {} was carried out before", plan.id));
    let began = began.map_or_else(String::new, |began| format!(", by the command of {}", shown(began)));
    format!("\n{head}{began}. Nothing was changed now.\n")
}

/// Where servers run on what a plan made; `verify` is the command that asks them.
pub(crate) fn of_running_cluster(verify: &[String]) -> Next {
    Next {
        steps: vec![step("servers of the cluster run; ask them for every segment of the plan:", Some(command(verify)))],
    }
}

/// What became of the cluster.
pub(crate) fn summary(plan: &Plan, location: &Tier1Location, directory: &Path, colour: Colour) -> String {
    let containers = counted(plan.containers.len() as u64, "container", "containers");
    let segments = counted(plan.segments(), "segment", "segments");
    let data: u64 = plan.containers.iter().map(|container| container.data_bytes).sum();
    let anew = format!("{containers} with {segments} and {} of data", bytes(data));
    let head = if plan.awaits_bookies() {
        let logs = counted(plan.restored.len() as u64, "log", "logs");
        format!("First step of two: registered the ledgers of {logs}, and their bookies")
    } else if !plan.restored.is_empty() {
        let logs = counted(plan.restored.len() as u64, "container", "containers");
        let operations: u64 = plan.restored.iter().map(|restored| restored.operations).sum();
        let others = if plan.containers.is_empty() { String::new() } else { format!(", and recovered {anew}") };
        format!("Restored the logs of {logs} with {}{others}", counted(operations, "operation", "operations"))
    } else if plan.is_of_znodes_only() {
        format!("Wrote {}", counted(plan.effects.len() as u64, "ZNode", "ZNodes"))
    } else {
        format!("Recovered {anew}")
    };
    let place = shown(&location.to_string());
    let mut text = format!("\n{} into {place}.\n", colour.green(&head));
    if !plan.losses.is_empty() {
        let ranges = counted(plan.losses.len() as u64, "range of bytes is lost", "ranges of bytes are lost");
        let _ = writeln!(
            text,
            "{} They are listed with their reasons in {}.",
            colour.red(&format!("{ranges}.")),
            directory.join(super::page::PAGE_FILE).display()
        );
    }
    let _ = writeln!(
        text,
        "Plan and journal are in {}. Keep them until the cluster has proved itself.",
        directory.display()
    );
    text
}

/// A command about the plan in a directory.
pub(crate) fn of_directory(program: &str, name: &str, directory: &Path) -> String {
    command(&[program.to_owned(), name.to_owned(), directory.to_string_lossy().into_owned()])
}

/// A command that a shell understands.
pub(crate) fn command(words: &[String]) -> String {
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

    use super::super::plan::tests::plan;
    use super::*;
    use crate::configuration::ConnectString;

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(of_directory("dr", "apply", Path::new("/a b/it's")), r"dr apply '/a b/it'\''s'");
    }

    #[test]
    fn a_directory_is_verified_with_the_words_of_its_target() {
        let words = ["verify", "/r", "--tier1", "dir:t"].map(str::to_owned);
        let location = Tier1Location::Directory(PathBuf::from("t"));
        let next = after_recovery("dr", &words, &plan(), Path::new("run"), &location);
        let text = next.render(Colour::NONE);
        assert!(
            text.contains("     dr verify /r --tier1 dir:t\n") && text.contains("     dr rollback run\n"),
            "{text}"
        );
    }

    #[test]
    fn readers_are_closed_before_the_stores_start() {
        let address = ConnectString::parse("zookeeper:2181").unwrap();
        let location = Tier1Location::Servers { zookeeper: address.clone(), bookkeeper_zookeeper: address };
        let mut plan = plan();
        let first = |plan: &Plan| after_recovery("dr", &[], plan, Path::new("run"), &location).steps[0].clone();
        assert!(first(&plan).sentence.starts_with("start all segment stores"));
        plan.containers[0].findings = vec![("reader-group-renewed".to_owned(), 3)];
        assert!(first(&plan).sentence.starts_with("close the readers of 3 reader groups that still run: one that"));
        plan.containers[0].findings.push(("reader-group-ahead".to_owned(), 2));
        let Step { sentence, command } = first(&plan);
        assert!(sentence.contains("above all of the 2 that had come further than what is left"), "{sentence}");
        assert_eq!(command.as_deref(), Some("dr show run -v"));
    }

    #[test]
    fn empty_words_survive() {
        assert_eq!(quoted(""), "''");
    }
}

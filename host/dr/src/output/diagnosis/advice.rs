//! What to do, with the exact command where `dr` has one.

use dr_backends::tier1::Registration;
use dr_engine::diagnose::{ContainerState, Scenario};

use super::Report;
use crate::configuration::Tier1Location;
use crate::output::next::{self, Next, Step};

/// Directory of the plan in the commands that are shown.
const RUN_DIRECTORY: &str = "run-1";

/// Said wherever `recover` would do harm.
const DO_NOT_RECOVER: &str =
    "do not name `--procedure total-loss`: it rebuilds from Tier-2 alone and would throw away what the survivors hold";

/// Said before a recovery that gives up what is on disks that can still be found.
const ONLY_IF_GONE: &str =
    "only if disks are gone for good, go on; whatever is on a disk that is found later is not used any more";

/// What stands in a command where bookies are to be named.
const BOOKIES: &str = "BOOKIES";

impl Report<'_> {
    /// What to do now.
    pub(crate) fn next(&self) -> Next {
        let steps = match self.diagnosis.scenario {
            Scenario::Healthy => self.after_nothing(),
            Scenario::RecoveredNotBooted => self.after_a_recovery(),
            Scenario::RecoveryInterrupted => self.after_an_interruption(),
            Scenario::RecoveryHalfDone => self.after_first_step(),
            Scenario::TotalLoss => self.after_total_loss(),
            Scenario::SomeBookiesLost => self.after_some_bookies(),
            Scenario::AllBookiesLost => self.after_all_bookies(),
            Scenario::ZooKeeperLoss | Scenario::ZooKeeperPartlyLost => self.after_zookeeper(),
            Scenario::Mixed => self.after_a_mixture(),
            Scenario::Undetermined => self.after_too_little(),
        };
        Next { steps }
    }

    fn command(&self, name: &str, more: &[&str]) -> Option<String> {
        let mut words = vec![self.place.program.clone(), name.to_owned()];
        words.extend(self.place.words.iter().cloned());
        words.extend(more.iter().map(|&word| word.to_owned()));
        Some(next::command(&words))
    }

    fn diagnose_again(&self) -> Step {
        Step { sentence: "then look again:".to_owned(), command: self.command("diagnose", &[]) }
    }

    /// What can be looked at without a Tier-1.
    fn look_at_tier2(&self) -> Step {
        let words = std::iter::once(self.place.root.to_string_lossy().into_owned());
        let command: Vec<String> =
            [self.place.program.clone(), "list-segments".to_owned()].into_iter().chain(words).collect();
        step_with("see what Tier-2 alone holds; this changes nothing:", next::command(&command))
    }

    fn servers_run(&self) -> bool {
        self.facts.tier1.as_ref().is_ok_and(|tier1| !tier1.live.is_empty())
    }

    fn stop_servers(&self) -> Option<Step> {
        let names =
            self.facts.tier1.as_ref().ok()?.live.iter().map(|server| format!("{} {}", server.role, server.name));
        let names: Vec<String> = names.collect();
        (!names.is_empty()).then(|| {
            step(&format!(
                "stop {}, and make sure that nothing restarts them: what they acknowledge now may be lost",
                names.join(", ")
            ))
        })
    }

    fn after_nothing(&self) -> Vec<Step> {
        vec![step(if self.servers_run() {
            "nothing: there is nothing for dr to do here"
        } else {
            "start the segment stores, then a controller; there is nothing for dr to do here"
        })]
    }

    fn after_a_recovery(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.diagnosis.awaits_bookies() {
            steps.push(step(
                "start all bookies, with their usual configuration and their disks, before any segment store",
            ));
        }
        steps.push(Step {
            sentence: "make sure of the result once more; this changes nothing:".to_owned(),
            command: self.command("verify", &[]),
        });
        if matches!(self.place.tier1, Some(Tier1Location::Servers { .. })) {
            steps.push(step(
                "start all segment stores with their usual configuration, and wait until they have registered",
            ));
            steps.push(step(
                "start one controller; wait until it answers, then start the others, then readers and writers",
            ));
        }
        if let Some(recovery) = self.facts.tier2.as_ref().ok().and_then(|tier2| tier2.recovered.as_ref()) {
            let command = next::of_directory(&self.place.program, "rollback", recovery.run_directory.as_ref());
            let started = if self.diagnosis.awaits_bookies() { "server" } else { "store" };
            let sentence = format!("as long as no {started} was started, all of it can be taken back:");
            steps.push(step_with(&sentence, command));
        }
        steps
    }

    fn after_an_interruption(&self) -> Vec<Step> {
        let Some(marker) = self.facts.tier2.as_ref().ok().and_then(|tier2| tier2.in_progress.as_ref()) else {
            return Vec::new();
        };
        let of = |name| next::of_directory(&self.place.program, name, marker.run_directory.as_ref());
        vec![
            step_with("carry on with it, where its run directory is:", of("apply")),
            step_with("or take it back:", of("rollback")),
        ]
    }

    fn after_first_step(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.stop_servers().into_iter().collect();
        steps.push(step("start no segment store and no controller before the second step is carried out"));
        steps.push(step("start all bookies, with their disks"));
        let recorded = self.facts.tier2.as_ref().ok().and_then(|tier2| tier2.recovered.as_ref());
        let first = recorded.map_or(RUN_DIRECTORY, |recovery| recovery.run_directory.as_str());
        let second = format!("{}-2", first.trim_end_matches('/'));
        steps.push(Step {
            sentence:
                "plan the second step, which restores the logs from what the bookies serve; this changes nothing:"
                    .to_owned(),
            command: self.command("plan", &["--directory", &second]),
        });
        steps.push(step_with("carry it out:", next::of_directory(&self.place.program, "apply", second.as_ref())));
        let rollback = next::of_directory(&self.place.program, "rollback", first.as_ref());
        steps.push(step_with("as long as no bookie was started, the first step can be taken back instead:", rollback));
        steps
    }

    fn after_total_loss(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.stop_servers().into_iter().collect();
        steps.push(step(
            "copy Tier-2, or take a snapshot of it, and save whatever is left of the disks of bookies and ZooKeeper",
        ));
        if self.is_stripped() {
            steps.push(step(
                "an earlier recovery moved the old metadata aside and no store has booted since: move the objects below `_dr/moved-aside/<place>/` \
                 back to where they were (the part of their path behind the place)",
            ));
        }
        if let Some(missing) = self.bookies_wanted() {
            steps.push(step(&missing));
        }
        steps.extend(self.plan_and_apply(&[]));
        steps
    }

    /// Some container has objects but no journal: its old metadata were moved aside.
    fn is_stripped(&self) -> bool {
        let Ok(tier2) = &self.facts.tier2 else { return false };
        tier2.recovered.is_some() && tier2.containers.iter().any(|objects| objects.objects > 0 && !objects.has_journals)
    }

    fn bookies_wanted(&self) -> Option<String> {
        let sights = self.facts.tier1.as_ref().ok()?.bookies.as_ref()?;
        let writable = sights
            .bookies
            .iter()
            .filter(|bookie| bookie.registration == Registration::Writable && bookie.silent.is_none());
        let (there, needed) = (writable.count(), self.place.ensemble_size);
        (there < needed).then(|| {
            format!("start fresh bookies with empty directories, and ids that were never used, until {needed} are registered; {there} are now")
        })
    }

    fn silent_bookies(&self) -> Vec<&str> {
        let sights = self.facts.tier1.as_ref().ok().and_then(|tier1| tier1.bookies.as_ref());
        let bookies = sights.into_iter().flat_map(|sights| &sights.bookies);
        bookies.filter(|bookie| bookie.silent.is_some()).map(|bookie| bookie.id.as_str()).collect()
    }

    fn start_silent_bookies(&self) -> Option<Step> {
        let silent = self.silent_bookies();
        (!silent.is_empty()).then(|| {
            step(&format!("start the bookies that do not answer, on the disks that they had: {}", silent.join(", ")))
        })
    }

    fn after_some_bookies(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let is_safe =
            !self.diagnosis.has(ContainerState::EntriesMissing) && !self.diagnosis.has(ContainerState::LedgersGone);
        if !is_safe {
            steps.extend(self.stop_servers());
            steps.push(step("copy the disks of the bookies and of ZooKeeper that are left"));
        }
        steps.extend(self.start_silent_bookies());
        if is_safe && !self.diagnosis.has(ContainerState::BookiesSilent) {
            steps.push(step(
                "where disks are lost, start new bookies with ids that were never used, and let BookKeeper copy what is missing: its autorecovery does it, \
                 or `bookkeeper shell recover BOOKIE` for each lost one",
            ));
        }
        steps.push(self.diagnose_again());
        if is_safe && !self.diagnosis.has(ContainerState::BookiesSilent) {
            steps.push(step(DO_NOT_RECOVER));
            return steps;
        }
        steps.push(step(ONLY_IF_GONE));
        steps.extend(self.recover_from_disks());
        steps
    }

    /// Logs that are whole are kept, containers of others built anew with what is left of theirs.
    fn recover_from_disks(&self) -> Vec<Step> {
        let mut steps = vec![
            step("stop all bookies that run, and make sure that nothing restarts them: their disks are read"),
            step(&format!(
                "in the next command, name the directories of each bookie that has its disks in place of DIRECTORIES, joined by commas, with --bookie-disks once for each \
                 bookie, and those of which no disk is left by their ids, joined by commas, in place of {BOOKIES}; leave --bookie-disks away if no disk of any is left"
            )),
        ];
        steps.extend(self.plan_and_apply(&["--bookie-disks", "DIRECTORIES", "--lost-bookies", BOOKIES]));
        steps
    }

    /// The commands of a recovery with these flags.
    fn plan_and_apply(&self, flags: &[&str]) -> Vec<Step> {
        let sentences = ["work out a recovery; this changes nothing:", "read what it says is lost, then carry it out:"];
        self.commands_to_plan_and_apply(flags, sentences)
    }

    /// The same, introduced by these sentences.
    fn commands_to_plan_and_apply(&self, flags: &[&str], [plan, apply]: [&str; 2]) -> Vec<Step> {
        let mut more = vec!["--directory", RUN_DIRECTORY];
        more.extend(flags);
        let mut steps = Vec::new();
        if self.place.cluster.is_none() {
            steps.push(step(
                "put the cluster's name, pravegaservice.clusterName of the segment stores, in place of NAME below",
            ));
            more.extend(["--cluster", "NAME"]);
        }
        steps.push(Step { sentence: plan.to_owned(), command: self.command("plan", &more) });
        let command = next::of_directory(&self.place.program, "apply", RUN_DIRECTORY.as_ref());
        steps.push(step_with(apply, command));
        steps
    }

    fn after_all_bookies(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.stop_servers().into_iter().collect();
        steps.push(step("copy the disks of ZooKeeper, and whatever is left of the disks of bookies"));
        steps.extend(self.start_silent_bookies());
        steps.push(self.diagnose_again());
        steps.push(self.look_at_tier2());
        steps.push(step(ONLY_IF_GONE));
        if !self.silent_bookies().is_empty() {
            steps.extend(self.recover_from_disks());
            return steps;
        }
        steps.push(step(&format!(
            "in the next command, name all lost bookies by their ids, joined by commas, in place of {BOOKIES}"
        )));
        let wanted = self.bookies_wanted();
        steps.extend(wanted.map(|missing| step(&missing)));
        steps.extend(self.plan_and_apply(&["--lost-bookies", BOOKIES]));
        steps
    }

    fn after_zookeeper(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.stop_servers().into_iter().collect();
        let are_registered = self.facts.tier1.as_ref().is_ok_and(|tier1| !tier1.stray_ledgers.is_empty())
            && self.diagnosis.scenario == Scenario::ZooKeeperLoss;
        if are_registered {
            steps.push(step("let the bookies run, or start them; the logs are put together from what they serve"));
        } else {
            steps.push(step(if self.diagnosis.scenario == Scenario::ZooKeeperPartlyLost {
                "do not start the bookies: a bookie deletes, some minutes after its start, every ledger that ZooKeeper does not know"
            } else {
                "stop the bookies now: a bookie deletes, some minutes after its start, every ledger that ZooKeeper does not know"
            }));
            steps.push(step("copy the disks of the bookies"));
            steps.push(step(
                "if a copy or a snapshot of ZooKeeper's data is left that is as new as the loss, start ZooKeeper on that, and look again",
            ));
        }
        if !are_registered {
            steps.push(step(
                "in the next command, name the directories of each bookie in place of DIRECTORIES, joined by commas, with --bookie-disks once for each bookie",
            ));
            steps.push(step(
                "if their disks cannot all be seen from one machine, run `dr survey-bookie` where they are, and name the files with --bookie-surveys instead",
            ));
            steps.push(step(
                "if of some bookies no disk is left, name those by their ids, joined by commas, with --lost-bookies in the same command",
            ));
        }
        let flags: &[&str] = if are_registered { &[] } else { &["--bookie-disks", "DIRECTORIES"] };
        let sentences = [
            "work out how the logs are restored; this changes nothing:",
            "carry it out; it says in which order to start the servers then:",
        ];
        steps.extend(self.commands_to_plan_and_apply(flags, sentences));
        steps
    }

    fn after_a_mixture(&self) -> Vec<Step> {
        if self.diagnosis.is_half_recovered() {
            let rest = self
                .diagnosis
                .those(ContainerState::LogGone)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",");
            let plan = self.command("plan", &["--containers", &rest, "--directory", "run-2"]);
            let apply = next::of_directory(&self.place.program, "apply", "run-2".as_ref());
            return vec![
                step("start no segment store before all containers are recovered: it would start the others empty"),
                Step {
                    sentence: "work out the recovery of the others; this changes nothing:".to_owned(),
                    command: plan,
                },
                step_with("read what it says is lost, then carry it out:", apply),
            ];
        }
        let mut steps: Vec<Step> = self.stop_servers().into_iter().collect();
        steps.push(step("copy the disks of the bookies and of ZooKeeper"));
        steps.extend(self.start_silent_bookies());
        steps.push(self.diagnose_again());
        if self.diagnosis.has(ContainerState::LogDisabled) {
            steps.push(step(
                "a log is disabled because a store found it damaged, or because somebody repairs it: look into the store's log, then at what it holds with \
                 `dr inspect log --container N`",
            ));
        }
        steps.push(step(DO_NOT_RECOVER));
        steps.push(self.look_at_tier2());
        steps.push(step(ONLY_IF_GONE));
        steps.extend(self.recover_from_disks());
        steps
    }

    fn after_too_little(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Err(error) = &self.facts.tier2 {
            steps.push(step(&format!("Tier-2: {}", error.next_step)));
            if self.diagnosis.are_logs_whole() {
                steps.push(self.diagnose_again());
                return steps;
            }
        }
        match &self.facts.tier1 {
            Err(error) if error.code.starts_with("configuration-") => {
                steps.push(step(&format!("Tier-1: {}", error.next_step)))
            }
            _ => {
                steps.push(step("copy whatever is left of the disks of ZooKeeper and of the bookies"));
                steps.push(step(
                    "if the bookies have their disks, and ZooKeeper's are gone: do not start the bookies, they would delete what ZooKeeper does not know; start an empty \
                     ZooKeeper, and work out how the logs are restored (`dr plan ROOT --bookie-disks DIRECTORIES`, once for each bookie)",
                ));
                steps.push(step("if both have their disks: start ZooKeeper and the bookies on them"));
                steps.push(step("only if the disks of both are gone: start a fresh ZooKeeper and fresh bookies with empty directories"));
            }
        }
        steps.push(self.diagnose_again());
        steps
    }
}

fn step(sentence: &str) -> Step {
    Step { sentence: sentence.to_owned(), command: None }
}

fn step_with(sentence: &str, command: String) -> Step {
    Step { sentence: sentence.to_owned(), command: Some(command) }
}

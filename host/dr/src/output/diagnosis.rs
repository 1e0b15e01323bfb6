//! What an operator sees of a diagnosis.

mod advice;
mod words;

use std::fmt::Write as _;
use std::path::PathBuf;

use dr_backends::tier1::Registration;
use dr_engine::cluster::LiveServer;
use dr_engine::diagnose::{ContainerDiagnosis, ContainerState, Contents, Diagnosis, Facts, Scenario};
use dr_engine::error::Result;
use serde::Serialize;

use super::table::{self, Align};
use super::text::{Colour, bytes, counted, grouped, shown};
use crate::configuration::Tier1Location;

/// Most containers that are shown; `-v` and JSON show all.
const CONTAINERS_SHOWN_MAX: usize = 40;

/// What was looked at, and how to say it again.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Name of the cluster, if anything tells it.
    pub(crate) cluster: Option<String>,
    /// Root of Tier-2.
    pub(crate) root: PathBuf,
    /// Tier-1, if anybody told where it is.
    pub(crate) tier1: Option<Tier1Location>,
    /// Bookies that a ledger needs.
    pub(crate) ensemble_size: usize,
    /// How `dr` was called.
    pub(crate) program: String,
    /// The words that name all of this to another command.
    pub(crate) words: Vec<String>,
}

/// A diagnosis and all that it rests on.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) place: Place,
    pub(crate) facts: &'a Facts,
    pub(crate) diagnosis: &'a Diagnosis,
    /// What Tier-2 alone would give back, where that matters.
    pub(crate) contents: Option<&'a Result<Vec<Contents>>>,
}

/// A diagnosis in the stream of events.
#[derive(Debug, Serialize)]
pub(crate) struct DiagnosisEvent<'a> {
    cluster: Option<&'a str>,
    scenario: &'static str,
    /// The procedure that fits; none if none does or none is needed.
    procedure: Option<&'static str>,
    looked_at: Vec<LookedAt>,
    containers: &'a [ContainerDiagnosis],
    contents: &'a [Contents],
    meaning: Vec<String>,
    lost: Vec<String>,
    could_be_lost: Vec<String>,
}

/// One line of what was looked at.
#[derive(Debug, Serialize)]
struct LookedAt {
    what: &'static str,
    reachable: bool,
    finding: String,
}

impl<'a> DiagnosisEvent<'a> {
    /// The event for a report.
    pub(crate) fn new(report: &'a Report<'_>) -> Self {
        Self {
            cluster: report.place.cluster.as_deref(),
            scenario: report.diagnosis.scenario.as_str(),
            procedure: report.diagnosis.procedure(),
            looked_at: report.looked_at(),
            containers: &report.diagnosis.containers,
            contents: report.contents.and_then(|contents| contents.as_deref().ok()).unwrap_or_default(),
            meaning: report.meaning(),
            lost: report.lost(),
            could_be_lost: report.could_be_lost(),
        }
    }
}

impl Report<'_> {
    /// The report for people.
    pub(crate) fn render(&self, verbose: bool, colour: Colour) -> String {
        let scenario = self.diagnosis.scenario;
        let name =
            self.place.cluster.as_deref().map_or("a cluster whose name nothing tells".to_owned(), |name| {
                format!("the cluster `{}`", shown(name))
            });
        let word =
            if scenario == Scenario::Healthy { colour.green(scenario.as_str()) } else { colour.red(scenario.as_str()) };
        let mut text = format!("Diagnosis of {name}: {word}\n\n{}\n", colour.bold("What was looked at"));
        for looked in self.looked_at() {
            let _ = writeln!(text, "  {:10} {}", looked.what, shown(&looked.finding));
        }
        text.push_str(&self.table(verbose));
        let procedure = match self.diagnosis.procedure() {
            Some(name) => format!("The procedure `{name}` of this dr fits."),
            None if self.diagnosis.has_survivors() => {
                "No procedure is needed yet, or what could be seen does not tell which: see what to do below."
                    .to_owned()
            }
            None => String::new(),
        };
        let meaning = self.meaning().into_iter().chain([procedure]).filter(|sentence| !sentence.is_empty());
        section(&mut text, colour, "What this is", meaning.collect());
        section(&mut text, colour, "What is lost", self.lost());
        section(&mut text, colour, "What could be lost", self.could_be_lost());
        text
    }

    fn looked_at(&self) -> Vec<LookedAt> {
        let line = |what, reachable, finding| LookedAt { what, reachable, finding };
        let root = self.place.root.display();
        let tier2 = match &self.facts.tier2 {
            Ok(facts) => {
                let containers = counted(facts.containers.len() as u64, "container", "containers");
                let objects = counted(facts.objects, "object", "objects");
                line("Tier-2", true, format!("{root}: {objects}, {}, of {containers}", bytes(facts.bytes)))
            }
            Err(error) => line("Tier-2", false, format!("cannot be looked at: {error}")),
        };
        let mut lines = vec![tier2];
        match &self.facts.tier1 {
            Err(error) => lines.push(line("Tier-1", false, format!("cannot be looked at: {error}"))),
            Ok(facts) => {
                let place = self.place.tier1.as_ref().map(ToString::to_string).unwrap_or_default();
                let state = if facts.cluster_exists { "holds" } else { "holds no" };
                lines.push(line("Tier-1", true, format!("{place}, {state} ZNodes of this cluster")));
                lines.push(line("Servers", true, servers(&facts.live)));
                lines.extend(self.bookies().map(|(answer, finding)| line("Bookies", answer, finding)));
            }
        }
        lines
    }

    /// Whether any bookie answers, and what is known of them; none where there are no bookies.
    fn bookies(&self) -> Option<(bool, String)> {
        let sights = self.facts.tier1.as_ref().ok()?.bookies.as_ref()?;
        if !sights.root_exists {
            return Some((false, "there is no ledgers root in ZooKeeper".to_owned()));
        }
        let registered = sights.bookies.iter().filter(|bookie| bookie.registration != Registration::None).count();
        let answering = sights.bookies.iter().filter(|bookie| bookie.silent.is_none()).count();
        let mut text = format!("{registered} registered, {answering} answer");
        for bookie in &sights.bookies {
            let what = match (&bookie.silent, bookie.registration, bookie.has_cookie) {
                (Some(reason), _, _) => format!("does not answer ({reason})"),
                (None, Registration::None, _) => "answers, but is not registered".to_owned(),
                (None, _, false) => "has no cookie: it started with another ZooKeeper".to_owned(),
                (None, Registration::ReadOnly, true) => "only reads".to_owned(),
                (None, Registration::Writable, true) => continue,
            };
            let _ = write!(text, "; {} {what}", bookie.id);
        }
        Some((answering > 0, text))
    }

    fn table(&self, verbose: bool) -> String {
        let containers = &self.diagnosis.containers;
        if containers.is_empty() {
            return String::new();
        }
        let columns = [
            ("Container", Align::Right),
            ("State", Align::Left),
            ("Epoch", Align::Right),
            ("Ledgers", Align::Right),
            ("Readable", Align::Right),
            ("In them", Align::Right),
            ("Objects", Align::Right),
            ("In Tier-2", Align::Right),
        ];
        let row = |container: &ContainerDiagnosis| {
            vec![
                container.container.to_string(),
                words::state(container.state).to_owned(),
                container.epoch.map_or_else(String::new, |epoch| epoch.to_string()),
                grouped(container.ledgers),
                grouped(container.readable_ledgers),
                bytes(container.readable_bytes),
                grouped(container.objects),
                bytes(container.object_bytes),
            ]
        };
        let shown_max = if verbose { usize::MAX } else { CONTAINERS_SHOWN_MAX };
        // What is well can be left out.
        let mut ordered: Vec<&ContainerDiagnosis> = containers.iter().collect();
        if containers.len() > shown_max {
            ordered.sort_by_key(|container| container.state == ContainerState::Whole);
        }
        let mut text =
            format!("\n{}", table::render(&columns, ordered.iter().take(shown_max).map(|container| row(container))));
        if containers.len() > shown_max {
            let more = grouped((containers.len() - shown_max) as u64);
            let _ = writeln!(text, " and {more} more; -v shows all");
        }
        text
    }
}

fn servers(live: &[LiveServer]) -> String {
    if live.is_empty() {
        return "no segment store and no controller is registered".to_owned();
    }
    live.iter().map(|server| format!("{} {}", server.role, server.name)).collect::<Vec<_>>().join(", ")
}

fn section(text: &mut String, colour: Colour, title: &str, sentences: Vec<String>) {
    if sentences.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", colour.bold(title));
    for sentence in sentences {
        let _ = writeln!(text, "  - {}", shown(&sentence));
    }
}

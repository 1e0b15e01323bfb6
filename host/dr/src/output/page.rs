//! `report.html`: the loss report as one page that needs nothing but itself, for people who are tired.
//!
//! Names come from Tier-2 and can hold anything: the template escapes all it is given, the search builds its rows from
//! text alone, and the page's own policy lets no other script or style run.

mod bar;
mod sections;

use std::path::Path;

use askama::Template;
use base64::Engine as _;
use dr_engine::plan::Plan;
use dr_engine::report::LossReport;
use sha2::{Digest as _, Sha256};

use super::next::Step;
use super::plan::export_commands;
use super::procedure::granted_in_words;
use super::text::{bytes, counted, grouped, shown};
use super::timeline::{Outcome, Timeline};
use sections::{
    AbsentContainer, ContainerRow, DecisionRow, Headline, Listed, LossRow, PlaceRow, ReasonRow, RunView, StaysGroup,
    StreamRow, Streams, Tile, WarningRow,
};

/// Name of the page in the plan's directory.
pub(crate) const PAGE_FILE: &str = "report.html";

/// Most commands that the page shows to export events.
const EXPORTS_SHOWN_MAX: usize = 50;

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) report: &'a LossReport,
    pub(crate) timeline: &'a Timeline,
    /// What to do now; commands are to be typed in the directory of the page.
    pub(crate) steps: &'a [Step],
    /// Root of Tier-2.
    pub(crate) root: &'a Path,
}

/// Where the plan stands.
#[derive(Debug)]
struct State {
    class: &'static str,
    title: &'static str,
    sentence: &'static str,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    style: &'static str,
    script: &'static str,
    style_hash: String,
    script_hash: String,
    plan_id: &'a str,
    cluster: String,
    headline: Headline,
    state: State,
    steps: Vec<Step>,
    tiles: Vec<Tile>,
    total_bar: String,
    warnings: Vec<WarningRow>,
    absent: Vec<AbsentContainer>,
    exports: Vec<String>,
    more_exports: usize,
    streams: Streams,
    reasons: Vec<ReasonRow>,
    ranges: Listed<LossRow>,
    containers: Listed<ContainerRow>,
    findings: Vec<String>,
    places: Listed<PlaceRow>,
    stays: Vec<StaysGroup>,
    decisions: Listed<DecisionRow>,
    own: Vec<StreamRow>,
    own_title: String,
    own_touched: bool,
    own_note: String,
    runs: Vec<RunView>,
    about: Vec<(&'static str, String)>,
}

/// The page.
///
/// # Errors
/// Never in practice: a page is written to memory.
pub(crate) fn render(source: Source<'_>) -> Result<String, askama::Error> {
    let Source { plan, report, timeline, steps, root } = source;
    let mut exports = export_commands(plan, Some(root));
    let more_exports = exports.len().saturating_sub(EXPORTS_SHOWN_MAX);
    exports.truncate(EXPORTS_SHOWN_MAX);
    let own = sections::own_segments(report);
    let page = Page {
        style: STYLE,
        script: SCRIPT,
        style_hash: policy_hash(STYLE),
        script_hash: policy_hash(SCRIPT),
        plan_id: &plan.id,
        cluster: shown(&plan.cluster),
        headline: if plan.awaits_bookies() { sections::first_step() } else { sections::headline(report) },
        state: state(plan, timeline),
        steps: steps.to_vec(),
        tiles: sections::tiles(report),
        total_bar: bar::of_figures(&report.totals, true),
        warnings: sections::warnings(plan),
        absent: sections::absent(report),
        exports,
        more_exports,
        streams: sections::streams(report),
        reasons: sections::reasons(report),
        ranges: sections::ranges(report),
        containers: sections::containers(plan, report),
        findings: sections::findings(plan),
        places: sections::places(report),
        stays: sections::stays(report),
        decisions: sections::decisions(report),
        own_title: counted(own.all as u64, "owner that no user sees", "owners that no user sees"),
        own_touched: own.is_touched,
        own_note: own.listed.note,
        own: own.listed.rows,
        runs: timeline.runs.iter().rev().map(sections::run).collect(),
        about: about(plan),
    };
    page.render()
}

/// A source of the content security policy that allows exactly this text.
fn policy_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(digest))
}

fn state(plan: &Plan, timeline: &Timeline) -> State {
    let (class, title, sentence) = match timeline.standing() {
        None | Some(Outcome::Refused) => ("", "Planned.", "Nothing has been changed yet."),
        Some(Outcome::Verified) if plan.awaits_bookies() => (
            "",
            "The first of two steps is carried out.",
            "The logs are not restored yet. Start the bookies, and no segment store.",
        ),
        Some(Outcome::Verified) => {
            ("good", "Carried out and verified.", "Every log can be replayed, and every segment fits its objects.")
        }
        Some(Outcome::NotVerified) => {
            ("bad", "Carried out, but not verified.", "Do not start the segment stores; look at the timeline below.")
        }
        Some(Outcome::Stopped) => (
            "bad",
            "Stopped half way.",
            "Repair the cause, then carry on with the same command. Do not start the segment stores.",
        ),
        Some(Outcome::RolledBack) => ("", "Rolled back.", "Everything is as it was before this plan was carried out."),
    };
    State { class, title, sentence }
}

fn about(plan: &Plan) -> Vec<(&'static str, String)> {
    let maker = &plan.maker;
    let settings = maker.settings.iter().map(|(name, value)| format!("{}={}", shown(name), shown(value)));
    let granted = maker.granted.iter().map(|granted| ("Granted to it", granted_in_words(granted)));
    let mut rows = vec![
        ("Tier-2", format!("{}, {}", counted(plan.evidence.objects, "object", "objects"), bytes(plan.evidence.bytes))),
        ("Digest of keys and sizes", plan.evidence.listing.clone()),
        ("Containers", format!("{} of {}", plan.containers.len(), grouped(plan.container_count.into()))),
        ("Procedure", format!("{} {}", shown(&maker.procedure), shown(&maker.version))),
        ("Digest of the procedure", maker.digest.clone()),
        ("Signed by the key", maker.signer.clone().unwrap_or_else(|| "none".to_owned())),
        ("Settings", settings.collect::<Vec<_>>().join(" ")),
        ("dr", maker.host_version.clone()),
    ];
    rows.extend(granted);
    rows
}

#[cfg(test)]
mod tests;

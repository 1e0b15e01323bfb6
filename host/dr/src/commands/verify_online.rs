//! `dr verify --online`: is the running Pravega what the plan made?

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dr_backends::store::SegmentStores;
use dr_engine::apply;
use dr_engine::cluster::live_servers;
use dr_engine::error::{OperatorError, Result};
use dr_engine::plan::Plan;
use dr_engine::verify::online::{PlannedSegment, planned_segments, verify_online};
use dr_formats::container_mapping::container_of;
use dr_formats::names::SegmentKind;
use serde_json::Value;

use super::tier1::{OpenTier1, Purpose};
use super::{Session, source};
use crate::arguments::VerifyArguments;
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::online::{OnlineEvent, OnlineReport};

/// For an answer of the controller.
const CONTROLLER_TIMEOUT: Duration = Duration::from_secs(30);

/// Scope and stream.
type StreamName = (String, String);

/// Asks stores and controller, and tells.
pub(super) fn run(session: &Session, arguments: &VerifyArguments) -> Result<ExitCode> {
    let overrides = arguments.tier1.overrides(&arguments.source);
    let configuration = source::configuration(session, &arguments.source.config, &arguments.source.root, &overrides)?;
    let tier2 = source::open(&arguments.source.root)?;
    let directory = match &arguments.online.plan {
        Some(directory) => directory.clone(),
        None => recorded_directory(tier2.as_ref())?,
    };
    let plan = Plan::load(&directory)?;
    let addresses = match &arguments.online.store {
        Some(addresses) => addresses.split(',').map(|address| address.trim().to_owned()).collect(),
        None => registered_stores(&OpenTier1::open(session, &configuration, Purpose::Read, true)?)?,
    };
    let planned = planned_segments(&directory, &plan)?;
    let count = plan.container_count;
    let begun = Instant::now();
    let verification = verify_online(
        &planned,
        tier2.as_ref(),
        || SegmentStores::new(&addresses, move |segment| container_of(segment, count).unwrap_or_default()),
        arguments.depth.depth(),
        source::parallel(arguments.source.parallel),
        session.progress.as_ref(),
    )?;
    let missing_streams = match &arguments.online.controller {
        Some(controller) => Some(missing_streams(&planned, &streams_of(controller)?)),
        None => None,
    };
    Ok(tell(
        session,
        &OnlineReport { plan: &plan, verification: &verification, missing_streams, time: begun.elapsed() },
    ))
}

fn tell(session: &Session, report: &OnlineReport<'_>) -> ExitCode {
    let console = &session.console;
    console.event(Event::VerifiedOnline(OnlineEvent::new(report)));
    console.text(&report.render(console.manner().verbose, console.colour()));
    if report.is_intact() { ExitCode::Done } else { ExitCode::Problems }
}

/// The run directory of the last recovery, as its record in Tier-2 names it.
fn recorded_directory(tier2: &dyn dr_backends::tier2::Tier2) -> Result<PathBuf> {
    let recorded = apply::recoveries(tier2)?.pop().map(|recovery| PathBuf::from(recovery.run_directory));
    recorded.filter(|directory| apply::has_plan(directory)).ok_or_else(|| {
        OperatorError::new(
            "plan-unreadable",
            "nothing tells what the cluster should look like: the record of a recovery in Tier-2 names no plan that is here",
            "name the directory of the plan with --plan DIR",
        )
    })
}

/// Addresses of the segment stores in ZooKeeper. A store's ZNode is named `host:port:` and more.
fn registered_stores(tier1: &OpenTier1) -> Result<Vec<String>> {
    let live = live_servers(tier1.znodes.as_ref(), &tier1.layout)?;
    let stores = live.iter().filter(|server| server.role == "segment store");
    let address = |name: &str| {
        let mut parts = name.split(':');
        Some(format!("{}:{}", parts.next()?, parts.next()?.parse::<u16>().ok()?))
    };
    let addresses: Vec<String> = stores.filter_map(|server| address(&server.name)).collect();
    if !addresses.is_empty() {
        return Ok(addresses);
    }
    Err(OperatorError::new(
        "store-unavailable",
        format!("no segment store of the cluster `{}` is registered", tier1.layout.cluster_name),
        "start the segment stores, or name them with --store HOST:PORT,...",
    )
    .may_retry())
}

/// Streams of users that the plan has segments of, and the controller does not list.
fn missing_streams(planned: &BTreeMap<u32, Vec<PlannedSegment>>, listed: &BTreeSet<StreamName>) -> Vec<String> {
    let segments = planned.values().flatten().filter(|segment| SegmentKind::of(&segment.name) == SegmentKind::Stream);
    let stream = |segment: &PlannedSegment| {
        let mut parts = segment.name.split('/');
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    };
    let is_of_users = |(scope, stream): &StreamName| !scope.starts_with('_') && !stream.starts_with('_');
    let expected: BTreeSet<StreamName> = segments.filter_map(stream).filter(is_of_users).collect();
    expected.difference(listed).map(|(scope, stream)| format!("{scope}/{stream}")).collect()
}

/// All streams that the controller's REST interface lists.
fn streams_of(controller: &str) -> Result<BTreeSet<StreamName>> {
    let controller = controller.trim_end_matches('/');
    let mut streams = BTreeSet::new();
    for scope in names(&format!("{controller}/v1/scopes"), "scopes", "scopeName")? {
        for stream in names(&format!("{controller}/v1/scopes/{scope}/streams"), "streams", "streamName")? {
            streams.insert((scope.clone(), stream));
        }
    }
    Ok(streams)
}

/// One name of each member of a list.
fn names(url: &str, list: &str, name: &str) -> Result<Vec<String>> {
    let unavailable = |why: String| {
        OperatorError::new(
            "controller-unavailable",
            format!("the controller does not tell its {list}: {url}"),
            "name the REST interface of a controller: --controller http://HOST:PORT",
        )
        .because(why)
        .may_retry()
    };
    let agent = ureq::Agent::config_builder().timeout_global(Some(CONTROLLER_TIMEOUT)).build().new_agent();
    let mut response = agent.get(url).call().map_err(|error| unavailable(error.to_string()))?;
    let text = response.body_mut().read_to_string().map_err(|error| unavailable(error.to_string()))?;
    let answer: Value = serde_json::from_str(&text).map_err(|error| unavailable(error.to_string()))?;
    let members =
        answer[list].as_array().ok_or_else(|| unavailable(format!("there is no list `{list}` in its answer")))?;
    Ok(members.iter().filter_map(|member| Some(member[name].as_str()?.to_owned())).collect())
}

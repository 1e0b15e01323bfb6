//! `dr list-segments`: what Tier-2 holds.

use dr_engine::contract::{ContainerId, ContainerSummary, Segment};
use dr_engine::error::Result;
use dr_engine::survey::{Survey, SurveyOptions};

use super::{Session, source};
use crate::arguments::{ListFormat, ListSegmentsArguments};
use crate::configuration::Overrides;
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::list;

/// Lists a few containers at a time, so that memory follows the largest containers and not the cluster.
pub(super) fn run(session: &Session, arguments: &ListSegmentsArguments) -> Result<ExitCode> {
    let overrides = Overrides { container_count: arguments.source.container_count, ..Overrides::default() };
    let configuration = source::configuration(session, &arguments.source.config, &arguments.source.root, &overrides)?;
    let tier2 = source::open(&arguments.source.root)?;
    let options = SurveyOptions { container_count: configuration.container_count };
    let survey = Survey::look(tier2, options, session.progress.as_ref())?;
    let containers = source::containers(survey.container_count(), arguments.source.containers.as_ref())?;
    if let Some(directory) = &arguments.group_by_container {
        source::refuse_inside(&arguments.source.root, directory, "the directory", "--group-by-container")?;
        list::prepare_group_directory(directory, &containers)?;
    }
    if arguments.output == ListFormat::Csv {
        session.console.write(list::write_csv_header);
    }
    let chosen: Vec<ContainerSummary> =
        survey.containers().into_iter().filter(|summary| containers.binary_search(&summary.id).is_ok()).collect();
    for group in chosen.chunks(source::parallel(arguments.source.parallel)) {
        if session.console.is_abandoned() && arguments.group_by_container.is_none() {
            break;
        }
        let ids: Vec<ContainerId> = group.iter().map(|summary| summary.id).collect();
        for (summary, segments) in group.iter().zip(survey.segments_for_a_moment(&ids)) {
            list(session, arguments, summary, &segments?)?;
        }
    }
    Ok(ExitCode::Done)
}

fn list(
    session: &Session,
    arguments: &ListSegmentsArguments,
    summary: &ContainerSummary,
    segments: &[Segment],
) -> Result<()> {
    session.console.event(Event::Container(summary));
    show(session, arguments.output, summary.id, segments);
    if let Some(directory) = &arguments.group_by_container {
        let path = list::write_group_file(directory, summary.id, segments)?;
        session.console.event(Event::FileWritten { path: &path });
    }
    Ok(())
}

fn show(session: &Session, format: ListFormat, container: ContainerId, segments: &[Segment]) {
    let console = &session.console;
    match format {
        ListFormat::Table => console.text(&list::table(container, segments, console.colour())),
        ListFormat::Csv => console.write(|output| list::write_csv(segments, output)),
        ListFormat::Json => segments.iter().for_each(|segment| console.event(Event::Segment(segment))),
    }
}

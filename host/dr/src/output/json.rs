//! The stream of events: one JSON object a line, each with the version of the stream and the name of the event.
//!
//! Within a version, events and fields may be added, never removed or changed in meaning.

use std::path::Path;

use dr_engine::apply::{Applied, RolledBack};
use dr_engine::contract::{ContainerSummary, Segment};
use dr_engine::journal::{AuditedLine, Break};
use dr_engine::report::StreamReport;
use serde::Serialize;

use super::diagnosis::DiagnosisEvent;
use super::error::ErrorEvent;
use super::loss::LossEvent;
use super::next::Step;
use super::online::OnlineEvent;
use super::plan::PlanEvent;
use super::plan_difference::PlanDifference;
use super::procedure::{Listed, Sheet, Signature};
use super::test::{ScenarioResult, Totals};
use super::verification::VerificationEvent;
use crate::commands::inspect::sheet::{DamageEvent, Fields, FoundEvent, InspectedEvent};

/// Version of the stream.
pub(crate) const STREAM_VERSION: u32 = 1;

/// An event as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct StreamedEvent<'a> {
    version: u32,
    #[serde(flatten)]
    event: Event<'a>,
}

impl<'a> StreamedEvent<'a> {
    /// The event with the stream's version.
    pub(crate) fn new(event: Event<'a>) -> Self {
        Self { version: STREAM_VERSION, event }
    }
}

/// What can be told.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event<'a> {
    /// Always the first.
    Started {
        /// The command.
        command: &'a str,
        /// Version of `dr`.
        dr_version: &'a str,
    },
    /// Something the operator may want to know.
    Message {
        /// In words.
        sentence: &'a str,
    },
    /// Something the operator should look at.
    Warning {
        /// In words.
        sentence: &'a str,
    },
    /// A stage of the work begins.
    StageStarted {
        /// Its name.
        stage: &'a str,
        /// Its end, if it is known.
        total: Option<u64>,
        /// What is counted.
        unit: &'a str,
    },
    /// How far it is; at most about two each second.
    StageAdvanced {
        /// Its name.
        stage: &'a str,
        /// So far.
        done: u64,
        /// Its end, if it is known.
        total: Option<u64>,
        /// So far.
        per_second: f64,
        /// At this speed; none where the end is not known.
        seconds_left: Option<f64>,
    },
    /// It ended well.
    StageFinished {
        /// Its name.
        stage: &'a str,
        /// All that was counted.
        done: u64,
        /// How long it took.
        seconds: f64,
    },
    /// What is left of a cluster and which loss this is.
    Diagnosed(DiagnosisEvent<'a>),
    /// A segment container.
    Container(&'a ContainerSummary),
    /// A segment.
    Segment(&'a Segment),
    /// A file was written.
    FileWritten {
        /// Which.
        path: &'a Path,
    },
    /// The procedure ended; what it cost.
    Procedure {
        /// Time inside the guest, all instances added up.
        guest_seconds: f64,
        /// Time in the calls that the guest made.
        host_seconds: f64,
        /// How many calls it made.
        calls: u64,
    },
    /// What would change.
    Plan(PlanEvent<'a>),
    /// What a plan gives up, in numbers; the file that it names holds all.
    Losses(LossEvent<'a>),
    /// What becomes of a stream, a table, or another owner of segments.
    Stream(&'a StreamReport),
    /// The plan was carried out.
    Applied(&'a Applied),
    /// A plan was taken back.
    RolledBack(&'a RolledBack),
    /// A line of a journal.
    JournalLine {
        /// Which has an `event` of its own.
        line: &'a AuditedLine,
    },
    /// All lines of a journal were told.
    JournalChecked {
        /// How many there are.
        lines: usize,
        /// Where the chain does not hold.
        breaks: &'a [Break],
        /// Bytes behind the last whole line.
        torn_bytes: usize,
        /// The last command, if it has no end.
        unfinished: Option<&'a str>,
    },
    /// In what two plans differ.
    Difference(&'a PlanDifference<'a>),
    /// Tier-1 was read back.
    Verified(VerificationEvent<'a>),
    /// A running cluster was compared with its plan.
    VerifiedOnline(OnlineEvent<'a>),
    /// What an inspection looks at.
    Inspecting {
        /// Kind of the object.
        kind: &'a str,
        /// Its name.
        object: &'a str,
        /// What is known of all of it.
        fields: &'a Fields,
    },
    /// An inspection found something.
    Found(FoundEvent<'a>),
    /// An inspection met something that cannot be read.
    Damage(DamageEvent<'a>),
    /// An inspection ended.
    Inspected(InspectedEvent),
    /// A procedure did what a recording says.
    Replayed {
        /// Name of the procedure.
        procedure: &'a str,
        /// How many calls it made.
        calls: usize,
        /// How the run ended.
        outcome: &'a str,
    },
    /// A procedure was run in a scenario.
    ScenarioTested(&'a ScenarioResult),
    /// All scenarios were run.
    ScenariosTested(&'a Totals),
    /// A procedure that can be named.
    ProcedureListed(&'a Listed),
    /// What a procedure is.
    ProcedureInspected(&'a Sheet),
    /// Who vouches for a procedure.
    ProcedureSignature(&'a Signature),
    /// What the operator should do next, in this order.
    Next {
        /// Sentences and commands.
        steps: &'a [Step],
    },
    /// Something could not be done.
    Error(ErrorEvent<'a>),
    /// Always the last.
    Finished {
        /// As the process returns it.
        exit_code: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_flat_and_versioned() {
        let line = |event| serde_json::to_string(&StreamedEvent::new(event)).unwrap();
        assert_eq!(line(Event::Finished { exit_code: 4 }), r#"{"version":1,"event":"finished","exit_code":4}"#);
        let summary = ContainerSummary { id: 1, objects: 2, bytes: 3, highest_epoch: 4 };
        assert_eq!(
            line(Event::Container(&summary)),
            r#"{"version":1,"event":"container","id":1,"objects":2,"bytes":3,"highest_epoch":4}"#
        );
    }
}

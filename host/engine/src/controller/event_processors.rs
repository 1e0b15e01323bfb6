//! Readers of the four reader groups by which controllers share their requests.

use dr_formats::names::{
    CONTROLLER_READER_GROUPS, READER_GROUP_PREFIX, SYSTEM_SCOPE, owning_container, stream_segment_name,
};

use crate::error::Result;
use crate::reader_groups::readers_of;
use crate::survey::Survey;

/// The readers of one of the groups.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventProcessors {
    /// Name of the group, in the scope `_system`.
    pub(super) group: &'static str,
    /// Their ids, sorted; none if the state of the group cannot be read.
    pub(super) readers: Option<Vec<String>>,
}

/// The groups that have a state, in the order of their names in the sources.
///
/// # Errors
/// Tier-2 errors; those of [`Survey::evidence`].
pub(super) fn event_processors(survey: &Survey) -> Result<Vec<EventProcessors>> {
    let mut groups = Vec::new();
    for group in CONTROLLER_READER_GROUPS {
        // Its stream has one segment, which is never scaled.
        let segment = stream_segment_name(SYSTEM_SCOPE, &format!("{READER_GROUP_PREFIX}{group}"), 0);
        let container = owning_container(&segment, survey.container_count());
        let evidence = survey.evidence_for_a_moment(container)?;
        let readers = readers_of(&evidence, &segment, survey.tier2())?;
        groups.push(EventProcessors { group, readers });
    }
    Ok(groups)
}

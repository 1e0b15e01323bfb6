//! What the host itself reports of a container: damage to its metadata and to indexes, of which no procedure learns.

use crate::contract::{Decision, LostRange};
use crate::evidence::ContainerEvidence;
use crate::image::BuiltImage;

/// Decisions and losses of a container that was built.
pub(super) fn told(evidence: &ContainerEvidence, built: &BuiltImage) -> (Vec<Decision>, Vec<LostRange>) {
    let container = evidence.container;
    let range = |segment: &str, first: u64, end: u64, reason: &str| LostRange {
        container,
        segment: segment.to_owned(),
        first,
        end: Some(end),
        reason: reason.to_owned(),
    };
    let tables = evidence.damages().iter();
    let tables = tables.map(|damage| range(&damage.segment, damage.range.start, damage.range.end, "metadata-damaged"));
    let indexes = built.lost_index_bytes.iter();
    let indexes = indexes.map(|(name, lost)| range(name, lost.start, lost.end, "index-damaged"));
    let decision = |note: &crate::evidence::JournalNote| Decision {
        container: Some(container),
        subject: note.key.to_string(),
        choice: format!("metadata tables found by {}", note.instead),
        reason: format!("this system journal does not fit: {}", note.why),
    };
    let leading = built.leading_gone.iter();
    let leading = leading.map(|(name, gone)| range(name, gone.start, gone.end, "leading-object-gone"));
    let tables = tables.chain(leading);
    (evidence.journal_notes().iter().map(decision).collect(), tables.chain(indexes).collect())
}

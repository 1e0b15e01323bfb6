//! What the host itself reports of a container: damage to its metadata and to indexes, of which no procedure learns.

use crate::contract::{ContainerId, Decision, LostRange};
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

/// The name of a key-value table that nobody could use was taken out.
pub(super) fn name_freed(container: ContainerId, table: &str) -> Decision {
    Decision {
        container: Some(container),
        subject: format!("key-value table {table}"),
        choice: "its name was freed".to_owned(),
        reason: "nothing tells how it was made, so that no controller could use, create or delete it; create it once more with the same \
                 configuration, and it goes on with what its segments hold"
            .to_owned(),
    }
}

/// The table of a stream says that it begins where its segments do.
pub(super) fn head_raised(container: ContainerId, stream: &str) -> Decision {
    Decision {
        container: Some(container),
        subject: format!("stream {stream}"),
        choice: "it begins where its segments do".to_owned(),
        reason: "they begin later than the controller's tables, as Tier-2 has them, say: they were truncated just before the crash, or by the \
                 writer of a byte stream, or their first objects are gone; nobody could read them from there"
            .to_owned(),
    }
}

//! What the host itself reports of a container: damage to its metadata and to indexes, of which no procedure learns.

use crate::contract::{ContainerId, Decision, LostRange};
use crate::evidence::ContainerEvidence;
use crate::image::BuiltImage;
use crate::unusable_names::UnusableName;

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
    let decisions = evidence.journal_notes().iter().map(decision).chain(created_again(evidence));
    (decisions.collect(), tables.chain(indexes).collect())
}

/// Segments are made anew that were deleted just before the crash.
fn created_again(evidence: &ContainerEvidence) -> impl Iterator<Item = Decision> {
    let again = evidence.reconciled().filter(|(_, segment)| segment.findings.contains(&"deleted-ahead"));
    again.map(|(name, _)| Decision {
        container: Some(evidence.container),
        subject: format!("segment {name}"),
        choice: "it is made anew, empty".to_owned(),
        reason: "it was deleted just before the crash, and the controller's tables, as Tier-2 has them, know neither that nor what took its place,                  so that nobody could read or write its stream, or delete it; if segments took its place, scale the stream in the same way once more                  to read what they hold, or export their events"
            .to_owned(),
    })
}

/// A name that nobody could use was taken out.
pub(super) fn name_freed(container: ContainerId, name: &UnusableName) -> Decision {
    let (subject, reason) = match name {
        UnusableName::KeyValueTable(name) => (
            format!("key-value table {name}"),
            "nothing tells how it was made, so that no controller could use, create or delete it; create it once more with the same \
             configuration, and it goes on with what its segments hold",
        ),
        UnusableName::ReaderGroup(name) => (
            format!("reader group {name}"),
            "it was being made just before the crash, and not all of it is there, so that nobody could use, create or delete it; create it once \
             more, and it begins where its configuration says",
        ),
    };
    Decision { container: Some(container), subject, choice: "its name was freed".to_owned(), reason: reason.to_owned() }
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

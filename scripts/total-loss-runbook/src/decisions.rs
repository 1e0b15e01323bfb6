//! What the runbook decides, one function a decision. None of them calls the host.

use dr_guest_kit::containers::{CoreAttribute, EndedTransaction, MetadataRow, RenewedGroup};
use dr_guest_kit::report::LostRange;
use dr_guest_kit::storage::{Measurement, Segment};

use crate::Rules;

/// A segment that was created.
#[derive(Debug)]
pub struct Kept {
    /// Full name.
    pub name: String,
    /// First readable offset that the storage proves.
    pub start_offset: u64,
    /// How many bytes were kept.
    pub length: u64,
}

/// What becomes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It lives again.
    Create,
    /// It lives again for its name only, without a byte and sealed, for this reason. The built-in policy never does that.
    CreateEmpty(&'static str),
    /// Left out for this reason although it exists.
    Drop(&'static str),
    /// Left out because its transaction was not finished.
    Unfinished,
    /// It had been deleted before the disaster.
    Deleted,
    /// Nobody knows whether it had been.
    Unrecorded,
}

/// Whether a segment lives again. What is dropped here would harm the new cluster; the reasons say how.
pub fn fate(segment: &Segment, rules: &Rules) -> Fate {
    match (segment.standing.as_str(), segment.kind.as_str()) {
        ("deleted", _) => Fate::Deleted,
        (_, "garbage-collection-queue") => Fate::Drop("its entries name objects that the new cluster may own again"),
        (_, "controller-reader-group") => {
            Fate::Drop("its readers are gone and would own their segments for ever; the controller creates it anew")
        }
        (_, "transient") => Fate::Drop("it does not outlive the connection of its client"),
        ("live", "transaction") if rules.end_transactions => Fate::Unfinished,
        ("live", _) => Fate::Create,
        _ if rules.create_unrecorded => Fate::Create,
        _ => Fate::Unrecorded,
    }
}

/// Whether a segment is the state of a user's reader group, which has to begin anew: its readers are gone or remember more than is
/// left, and its offsets may lie behind the end of what they read.
pub fn is_to_be_renewed(segment: &Segment, rules: &Rules) -> bool {
    rules.renew_reader_groups && segment.kind == "reader-group"
}

/// What became of a reader group, and why.
pub fn renewal(group: &RenewedGroup) -> (String, String) {
    let readers = match group.readers.as_slice() {
        [] => "it had no readers".to_owned(),
        readers => format!("the readers {} are taken out and have to be created anew", readers.join(", ")),
    };
    let ahead = match (group.offsets_ahead, group.changes_ahead) {
        (0, 0) => String::new(),
        (offsets, 0) => {
            format!("; in {} it had come further than what is left, and goes on at the end", segments(offsets))
        }
        (offsets, changes) => format!(
            "; its last {changes} changes speak of segments that are not there and are left out; in {} it goes on at the end",
            segments(offsets)
        ),
    };
    match group.outcome.as_str() {
        "renewed" => ("begins anew".to_owned(), format!("{readers}{ahead}")),
        "empty" => (
            "left as it is".to_owned(),
            "its state is empty; create the group once more with `ReaderGroupManager.createReaderGroup`".to_owned(),
        ),
        "sealed" => (
            "left as it is".to_owned(),
            "it is sealed, since the group was being deleted; delete it once more".to_owned(),
        ),
        _ => (
            "left as it is".to_owned(),
            "its state cannot be read; stop its readers and set it back with `ReaderGroup.resetReaderGroup`".to_owned(),
        ),
    }
}

fn segments(count: u32) -> String {
    if count == 1 { "1 segment".to_owned() } else { format!("{count} segments") }
}

/// What became of a transaction that was under way, and why.
pub fn ending(transaction: &EndedTransaction) -> (&'static str, &'static str) {
    match (transaction.outcome.as_str(), transaction.status.as_str()) {
        ("committed", "committing") => ("ended as committed", "its commit had begun"),
        ("committed", _) => ("ended as committed", "its events are part of a segment, or sealed to become one"),
        ("aborted", "aborting") => ("ended as aborted", "its abort had begun"),
        ("aborted", _) => {
            ("ended as aborted", "it was open, and nobody can tell whether all its events had reached Tier-2")
        }
        _ => (
            "ended, nobody knows how",
            "it was open and has no segments of its own: they were merged, or never reached Tier-2",
        ),
    }
}

/// Whether the host made the content of a transaction part of the segment that it was committed to.
pub fn is_merged(segment: &Segment) -> bool {
    segment.findings.iter().any(|finding| finding == "merged-by-recovery")
}

/// Whether the end of a segment has to be looked at. A table must end with a whole entry, whatever the operator set:
/// else the store refuses it. A sealed segment is no exception: its seal can be older than the loss of its tail.
pub fn may_be_torn(segment: &Segment, rules: &Rules) -> bool {
    let has_bytes = segment.length > segment.start_offset;
    has_bytes
        && match segment.kind.as_str() {
            "key-value-table" | "controller-table" => true,
            "stream" | "transaction" | "reader-group" | "mark" => rules.whole_events,
            _ => false,
        }
}

/// How many bytes to keep. Content that is neither events nor table entries has no inside to respect.
pub fn kept_length(segment: &Segment, measure: Option<&Measurement>) -> u64 {
    match measure {
        Some(measure) if matches!(measure.content.as_str(), "events" | "table" | "damaged-table") => {
            measure.whole_length.min(segment.length)
        }
        _ => segment.length,
    }
}

/// Whether the end of a table is no work of a crash: its bytes stop being entries before it.
pub fn is_damaged(measure: Option<&Measurement>) -> bool {
    measure.is_some_and(|measure| measure.content == "damaged-table")
}

/// What of a segment is lost although it lives again. Each range has one reason: bytes cut off, bytes that the storage
/// had recorded, bytes that only the old container metadata knew of.
pub fn lost_ranges(segment: &Segment, kept_length: u64, measure: Option<&Measurement>) -> Vec<LostRange> {
    let behind = if is_damaged(measure) { "damaged" } else { "torn" };
    let recorded = segment.recorded_length.unwrap_or(0);
    let row = segment.row_length.unwrap_or(0);
    let range = |first: u64, end: u64, reason: &str| LostRange {
        container: segment.container,
        segment: segment.name.clone(),
        first,
        end: Some(end),
        reason: reason.to_owned(),
    };
    [
        range(kept_length, segment.length, behind),
        range(segment.length, recorded, "missing-object"),
        range(segment.length.max(recorded), row, "unflushed"),
    ]
    .into_iter()
    .filter(|range| range.end > Some(range.first))
    .collect()
}

/// The loss of all that the storage holds of a segment, for a reason of the contract.
pub fn whole_segment_lost(segment: &Segment, reason: &str) -> LostRange {
    LostRange {
        container: segment.container,
        segment: segment.name.clone(),
        first: segment.start_offset,
        end: Some(segment.length),
        reason: reason.to_owned(),
    }
}

/// What is lost of a segment of which nothing is kept by decision, and what was lost of it before.
pub fn dropped_ranges(segment: &Segment) -> Vec<LostRange> {
    let held = (segment.start_offset < segment.length).then(|| whole_segment_lost(segment, "dropped"));
    held.into_iter().chain(lost_ranges(segment, segment.length, None)).collect()
}

/// Where a segment has to start, if not where the storage says. The later truncation is the true one.
pub fn new_start_offset(kept: &Kept, row: &MetadataRow) -> Option<u64> {
    let start_offset = row.start_offset.min(kept.length);
    (start_offset > kept.start_offset).then_some(start_offset)
}

/// Core attributes without those that describe the old container's own state: 7 and 8 would stop attribute indexes from
/// being written, 10 and 11 name snapshots that are no longer in place.
pub fn attributes_to_copy(mut attributes: Vec<CoreAttribute>) -> Vec<CoreAttribute> {
    attributes.retain(|attribute| !matches!(attribute.id, 7 | 8 | 10 | 11));
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            whole_events: true,
            create_unrecorded: false,
            move_leftovers: true,
            renew_reader_groups: true,
            end_transactions: true,
            backup_place: "_dr/x".into(),
        }
    }

    fn segment(kind: &str, standing: &str) -> Segment {
        Segment {
            name: "scope/stream/0.#epoch.0".into(),
            kind: kind.into(),
            container: 3,
            sealed: false,
            start_offset: 10,
            length: 100,
            recorded_length: Some(100),
            row_length: None,
            standing: standing.into(),
            findings: vec![],
        }
    }

    fn measure(content: &str, whole_length: u64) -> Option<Measurement> {
        Some(Measurement { content: content.into(), whole_length, items: 1 })
    }

    #[test]
    fn only_live_segments_that_do_no_harm_live_again() {
        let fate_of = |kind, standing| fate(&segment(kind, standing), &rules());
        assert_eq!(fate_of("stream", "live"), Fate::Create);
        assert_eq!(fate_of("something-new", "live"), Fate::Create);
        assert_eq!(fate_of("stream", "deleted"), Fate::Deleted);
        assert_eq!(fate_of("stream", "unrecorded"), Fate::Unrecorded);
        assert_eq!(fate_of("stream", "something-new"), Fate::Unrecorded);
        for kind in ["garbage-collection-queue", "controller-reader-group", "transient"] {
            assert!(matches!(fate_of(kind, "live"), Fate::Drop(_)), "{kind}");
            let adopting = Rules { create_unrecorded: true, ..rules() };
            assert!(matches!(fate(&segment(kind, "unrecorded"), &adopting), Fate::Drop(_)), "{kind}");
        }
    }

    #[test]
    fn the_operator_can_have_unrecorded_segments_created_but_never_deleted_ones() {
        let rules = Rules { create_unrecorded: true, ..rules() };
        assert_eq!(fate(&segment("stream", "unrecorded"), &rules), Fate::Create);
        assert_eq!(fate(&segment("stream", "deleted"), &rules), Fate::Deleted);
    }

    #[test]
    fn transactions_that_were_not_finished_are_left_out_unless_the_operator_wants_them_as_they_are() {
        let as_is = Rules { end_transactions: false, ..rules() };
        assert_eq!(fate(&segment("transaction", "live"), &rules()), Fate::Unfinished);
        assert_eq!(fate(&segment("transaction", "live"), &as_is), Fate::Create);
        assert_eq!(fate(&segment("transaction", "deleted"), &rules()), Fate::Deleted);
    }

    #[test]
    fn how_a_transaction_ended_is_told_with_the_reason() {
        let told = |status: &str, outcome: &str| {
            ending(&EndedTransaction {
                id: String::new(),
                stream: String::new(),
                status: status.into(),
                outcome: outcome.into(),
            })
        };
        assert_eq!(told("committing", "committed"), ("ended as committed", "its commit had begun"));
        assert!(told("open", "committed").1.contains("part of a segment"));
        assert_eq!(told("aborting", "aborted"), ("ended as aborted", "its abort had begun"));
        assert!(told("open", "aborted").1.contains("reached Tier-2"));
        assert!(told("open", "something-new").0.contains("nobody knows"));
    }

    #[test]
    fn the_state_of_users_reader_groups_begins_anew_unless_the_operator_wants_it_as_it_is() {
        let as_is = Rules { renew_reader_groups: false, ..rules() };
        assert!(is_to_be_renewed(&segment("reader-group", "live"), &rules()));
        assert!(!is_to_be_renewed(&segment("reader-group", "live"), &as_is));
        assert!(!is_to_be_renewed(&segment("stream", "live"), &rules()));
    }

    #[test]
    fn what_became_of_a_reader_group_is_told_with_what_to_do() {
        let group = |outcome: &str, readers: &[&str], offsets_ahead, changes_ahead| RenewedGroup {
            outcome: outcome.into(),
            readers: readers.iter().map(|reader| (*reader).to_owned()).collect(),
            offsets_ahead,
            changes_ahead,
        };
        let told = |group| renewal(&group).1;
        assert_eq!(renewal(&group("renewed", &[], 0, 0)), ("begins anew".into(), "it had no readers".into()));
        assert!(told(group("renewed", &["a", "b"], 0, 0)).starts_with("the readers a, b are taken out"));
        assert!(told(group("renewed", &[], 2, 0)).contains("in 2 segments"));
        assert!(told(group("renewed", &[], 0, 3)).contains("its last 3 changes"));
        assert!(told(group("empty", &[], 0, 0)).contains("createReaderGroup"));
        assert!(told(group("sealed", &[], 0, 0)).contains("was being deleted"));
        assert!(told(group("something-new", &[], 0, 0)).contains("resetReaderGroup"));
    }

    #[test]
    fn what_the_host_merged_is_told_by_its_finding() {
        let transaction = segment("transaction", "deleted");
        assert!(!is_merged(&transaction));
        assert!(is_merged(&Segment { findings: vec!["no-row".into(), "merged-by-recovery".into()], ..transaction }));
    }

    #[test]
    fn tables_are_always_measured_and_events_unless_kept_as_they_are() {
        let as_is = Rules { whole_events: false, ..rules() };
        assert!(may_be_torn(&segment("controller-table", "live"), &as_is));
        assert!(may_be_torn(&segment("stream", "live"), &rules()));
        assert!(!may_be_torn(&segment("stream", "live"), &as_is));
        assert!(!may_be_torn(&segment("other", "live"), &rules()));
        let empty = Segment { length: 10, ..segment("stream", "live") };
        assert!(!may_be_torn(&empty, &rules()));
    }

    #[test]
    fn bytes_are_never_cut_and_nothing_grows() {
        let stream = segment("stream", "live");
        assert_eq!(kept_length(&stream, measure("events", 90).as_ref()), 90);
        assert_eq!(kept_length(&stream, measure("table", 90).as_ref()), 90);
        assert_eq!(kept_length(&stream, measure("damaged-table", 90).as_ref()), 90);
        assert_eq!(kept_length(&stream, measure("bytes", 90).as_ref()), 100);
        assert_eq!(kept_length(&stream, measure("events", 900).as_ref()), 100);
        assert_eq!(kept_length(&stream, None), 100);
    }

    #[test]
    fn each_lost_range_has_one_reason() {
        let damaged = Segment { recorded_length: Some(130), row_length: Some(150), ..segment("stream", "live") };
        let ranges: Vec<_> =
            lost_ranges(&damaged, 90, None).into_iter().map(|range| (range.first, range.end, range.reason)).collect();
        let expected = [(90, 100, "torn"), (100, 130, "missing-object"), (130, 150, "unflushed")];
        assert_eq!(ranges, expected.map(|(first, end, reason)| (first, Some(end), reason.to_owned())));
        assert_eq!(lost_ranges(&segment("stream", "live"), 100, None), []);
        let table = lost_ranges(&segment("controller-table", "live"), 90, measure("damaged-table", 90).as_ref());
        assert_eq!(table[0].reason, "damaged");
    }

    #[test]
    fn the_later_truncation_wins_within_the_bytes_left() {
        let kept = Kept { name: String::new(), start_offset: 10, length: 100 };
        let row = |start_offset| MetadataRow {
            name: String::new(),
            start_offset,
            length: 0,
            sealed: false,
            attributes: vec![],
        };
        assert_eq!(new_start_offset(&kept, &row(5)), None);
        assert_eq!(new_start_offset(&kept, &row(10)), None);
        assert_eq!(new_start_offset(&kept, &row(50)), Some(50));
        assert_eq!(new_start_offset(&kept, &row(500)), Some(100));
    }

    #[test]
    fn attributes_of_the_old_containers_state_stay_behind() {
        let all = (0..16).map(|id| CoreAttribute { id, value: 1 }).collect();
        let ids: Vec<u64> = attributes_to_copy(all).iter().map(|attribute| attribute.id).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 14, 15]);
    }
}

//! The runbook of a total loss: bookies and ZooKeeper are gone, only Tier-2 is left.
//!
//! Reads like the runbook that it replaces. For each container, alone:
//! 1. list its segments with sealed state and length;
//! 2. open a fresh container;
//! 3. create each segment there, and end the transactions that were under way;
//! 4. move the old container metadata aside to a backup place, and what deleted segments have left;
//! 5. read the old metadata table, copy start offsets and core attributes;
//! 6. close.
//!
//! When all containers are done, restore what only ZooKeeper knew and Tier-2 can tell: the transaction counter, the
//! streams under retention, and what was being done with streams, since the requests for it can be lost.
//!
//! What is decided on the way stands in [`decisions`], one small function each; a [`Policy`] can decide otherwise. The procedure
//! `total-loss` is this runbook with the policy of its settings, [`Rules`].

pub mod decisions;
mod policy;

use dr_guest_kit::containers::{AttributeUpdate, FreshContainer, MetadataRow, NewSegment, Truncation};
use dr_guest_kit::storage::{Measurement, ObjectListing, Segment};
use dr_guest_kit::{
    ContainerId, Pages, Result, containers, hand_over_pending_work, leftover_object_pages, metadata_object_pages,
    metadata_row_pages, put_streams_under_retention, raise_transaction_counter, report, segment_pages, storage,
};

use decisions::{Fate, Kept};
pub use policy::{Policy, Rules, parameters, parameters_without_transactions};

/// The functions of the contract that the runbook calls.
pub const CAPABILITIES: [&str; 14] = [
    "storage.containers",
    "storage.list-segments",
    "storage.measure",
    "storage.list-metadata-objects",
    "storage.list-leftover-objects",
    "storage.move-aside",
    "containers.open-fresh-container",
    "containers.open-old-metadata",
    "controller.list-streams",
    "controller.highest-transaction-counter",
    "controller.list-pending-work",
    "coordination.get",
    "coordination.create",
    "coordination.set",
];

/// Builds one container anew.
///
/// # Errors
/// Whatever the host answers.
pub fn recover_container(container: ContainerId, policy: &impl Policy) -> Result<()> {
    let fresh = containers::open_fresh_container(container)?;
    let created = create_segments(&fresh, container, policy)?;
    if policy.rules().end_transactions {
        end_transactions(&fresh, container)?;
    }
    move_old_metadata_aside(container, policy)?;
    if policy.rules().move_leftovers {
        move_leftovers_aside(container, policy)?;
    }
    copy_old_metadata(&fresh, container, &created)?;
    let image = fresh.close()?;

    report::info(&format!(
        "container {container}: {} segments in a log of {} operations and {} bytes",
        image.segments, image.operations, image.log_bytes
    ));
    Ok(())
}

/// Restores what belongs to no container, when all of them are built.
///
/// # Errors
/// Whatever the host answers; `conflict` if the counter of transactions cannot rise any more.
pub fn restore_what_only_zookeeper_knew() -> Result<()> {
    raise_transaction_counter()?;
    put_streams_under_retention()?;
    hand_over_pending_work()
}

/// A segment that is to live again.
struct Wanted {
    segment: Segment,
    /// If its end may be torn.
    measure: Option<Measurement>,
    /// How many bytes are kept.
    length: u64,
    /// Why nothing of it is kept, if that was decided.
    emptied: Option<&'static str>,
}

/// Creates every segment that is to live again, page by page. Returns them in the order of their names.
fn create_segments(fresh: &FreshContainer, container: ContainerId, policy: &impl Policy) -> Result<Vec<Kept>> {
    let mut created = Vec::new();
    let mut left_out = 0;
    for page in segment_pages(container)? {
        let (wanted, other): (Vec<_>, Vec<_>) = page?.into_iter().partition(|segment| is_wanted(policy.fate(segment)));
        other.iter().for_each(|segment| report_left_out(segment, policy.fate(segment)));
        report_merged(container, &other, policy)?;
        left_out += other.len();

        let wanted = examine(container, wanted, policy)?;
        wanted.iter().for_each(report_kept);
        fresh.create_segments(&wanted.iter().map(new_segment).collect::<Vec<_>>())?;
        renew_reader_groups(fresh, &wanted, policy)?;

        created.extend(wanted.into_iter().map(|Wanted { segment, length, .. }| Kept {
            name: segment.name,
            start_offset: segment.start_offset,
            length,
        }));
        report::progress(created.len() as u64, 0);
    }
    report::info(&format!("container {container}: {} segments created, {left_out} left out", created.len()));
    Ok(created)
}

fn is_wanted(fate: Fate) -> bool {
    matches!(fate, Fate::Create | Fate::CreateEmpty(_))
}

/// Finds out how much of each segment is kept.
fn examine(container: ContainerId, segments: Vec<Segment>, policy: &impl Policy) -> Result<Vec<Wanted>> {
    let measures = measure_tails(container, &segments, policy)?;
    let wanted = segments.into_iter().zip(measures).map(|(segment, measure)| match policy.fate(&segment) {
        Fate::CreateEmpty(reason) => {
            Wanted { length: segment.start_offset, measure: None, emptied: Some(reason), segment }
        }
        _ => Wanted { length: policy.kept_length(&segment, measure.as_ref()), measure, emptied: None, segment },
    });
    Ok(wanted.collect())
}

fn new_segment(wanted: &Wanted) -> NewSegment {
    NewSegment {
        name: wanted.segment.name.clone(),
        sealed: wanted.segment.sealed || wanted.emptied.is_some(),
        length: wanted.length,
    }
}

/// Lets the groups of one page begin anew and says what became of each.
fn renew_reader_groups(fresh: &FreshContainer, wanted: &[Wanted], policy: &impl Policy) -> Result<()> {
    let kept = wanted.iter().filter(|wanted| wanted.emptied.is_none()).map(|wanted| &wanted.segment);
    let groups: Vec<&Segment> = kept.filter(|segment| decisions::is_to_be_renewed(segment, policy.rules())).collect();
    if groups.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = groups.iter().map(|segment| segment.name.clone()).collect();
    for (segment, group) in groups.iter().zip(fresh.renew_reader_groups(&names)?) {
        let (choice, reason) = decisions::renewal(&group);
        report::decision(Some(segment.container), &segment.name, &choice, &reason);
    }
    Ok(())
}

/// Ends what the controller can no longer go on with, and says how each transaction ended.
fn end_transactions(fresh: &FreshContainer, container: ContainerId) -> Result<()> {
    for transaction in fresh.end_transactions()? {
        let (choice, reason) = decisions::ending(&transaction);
        let subject = format!("transaction {} of {}", transaction.id, transaction.stream);
        report::decision(Some(container), &subject, choice, reason);
    }
    Ok(())
}

/// Measures the segments whose tail may be torn; the answers are in the order of the segments, none where none is due.
fn measure_tails(
    container: ContainerId,
    segments: &[Segment],
    policy: &impl Policy,
) -> Result<Vec<Option<Measurement>>> {
    let is_due = |segment: &Segment| {
        decisions::may_be_torn(segment, policy.rules()) && !matches!(policy.fate(segment), Fate::CreateEmpty(_))
    };
    let due: Vec<bool> = segments.iter().map(is_due).collect();
    let names = segments.iter().zip(&due).filter(|(_, due)| **due).map(|(segment, _)| segment.name.clone());
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return Ok(vec![None; segments.len()]);
    }
    let mut measured = storage::measure(container, &names)?.into_iter();
    Ok(due.into_iter().map(|due| if due { measured.next() } else { None }).collect())
}

/// Moves everything that holds old metadata out of the store's sight. Nothing is deleted.
fn move_old_metadata_aside(container: ContainerId, policy: &impl Policy) -> Result<()> {
    let place = policy.metadata_place(container, highest_epoch(container)?);
    move_aside(container, metadata_object_pages(container)?, &place).map(|_| ())
}

/// Moves what the store had not removed yet of deleted segments, and what living ones do not need. It belongs to nobody, and
/// without the old metadata nobody would know any more why.
fn move_leftovers_aside(container: ContainerId, policy: &impl Policy) -> Result<()> {
    let place = policy.leftovers_place(container, highest_epoch(container)?);
    let moved = move_aside(container, leftover_object_pages(container)?, &place)?;
    if moved > 0 {
        let choice = format!("{moved} objects moved to `{place}`");
        report::decision(Some(container), "objects of no segment", &choice, "no segment that lives needs them");
    }
    Ok(())
}

fn highest_epoch(container: ContainerId) -> Result<u64> {
    let all = storage::containers()?;
    Ok(all.iter().find(|summary| summary.id == container).map_or(0, |summary| summary.highest_epoch))
}

/// Returns how many objects there were.
fn move_aside(container: ContainerId, pages: Pages<ObjectListing>, place: &str) -> Result<usize> {
    // Collected before the first one is moved, so that the listing is not read while it changes.
    let pages = pages.collect::<Result<Vec<_>>>()?;
    for page in &pages {
        let keys: Vec<String> = page.iter().map(|object| object.key.clone()).collect();
        storage::move_aside(container, &keys, place)?;
    }
    Ok(pages.iter().map(Vec::len).sum())
}

/// Copies what only the old metadata table knows. Its rows and the created segments are both in the order of their
/// names, so one walk joins them.
fn copy_old_metadata(fresh: &FreshContainer, container: ContainerId, created: &[Kept]) -> Result<()> {
    let mut created = created.iter().peekable();
    for page in metadata_row_pages(container)? {
        let mut updates = Vec::new();
        let mut truncations = Vec::new();
        for row in page? {
            while created.next_if(|kept| kept.name < row.name).is_some() {}
            let Some(kept) = created.next_if(|kept| kept.name == row.name) else { continue };
            truncations.extend(truncation(container, kept, &row));
            let attributes = decisions::attributes_to_copy(row.attributes);
            if !attributes.is_empty() {
                updates.push(AttributeUpdate { segment: row.name, attributes });
            }
        }
        fresh.update_attributes(&updates)?;
        fresh.truncate_segments(&truncations)?;
    }
    Ok(())
}

fn truncation(container: ContainerId, kept: &Kept, row: &MetadataRow) -> Option<Truncation> {
    let start_offset = decisions::new_start_offset(kept, row)?;
    if start_offset < row.start_offset {
        report::decision(
            Some(container),
            &kept.name,
            "start offset moved back to the end of the segment",
            &format!("it was truncated at {}, behind the {} bytes that are left", row.start_offset, kept.length),
        );
    }
    Some(Truncation { segment: kept.name.clone(), start_offset })
}

fn report_left_out(segment: &Segment, fate: Fate) {
    match fate {
        Fate::Drop(reason) => report::decision(Some(segment.container), &segment.name, "not created", reason),
        Fate::Unrecorded => {
            report::decision(Some(segment.container), &segment.name, "not created", "no metadata names its objects");
            report::loss(&decisions::whole_segment_lost(segment, "unrecorded"));
        }
        Fate::Unfinished => {
            report::decision(Some(segment.container), &segment.name, "not created", "its transaction was not finished");
        }
        Fate::Deleted | Fate::Create | Fate::CreateEmpty(_) => {}
    }
}

/// What the host found to be committed is part of other segments now; only half an event at its end is not.
fn report_merged(container: ContainerId, left_out: &[Segment], policy: &impl Policy) -> Result<()> {
    let merged: Vec<Segment> = left_out.iter().filter(|segment| decisions::is_merged(segment)).cloned().collect();
    for (segment, measure) in merged.iter().zip(measure_tails(container, &merged, policy)?) {
        let reason = "it was committed: another of its segments is merged, or sealed for it, or the controller says so";
        report::decision(Some(container), &segment.name, "merged", reason);
        let kept = policy.kept_length(segment, measure.as_ref());
        decisions::lost_ranges(segment, kept, measure.as_ref()).iter().for_each(report::loss);
    }
    Ok(())
}

fn report_kept(wanted: &Wanted) {
    let Wanted { segment, measure, length, emptied } = wanted;
    let decide = |choice: &str, reason: &str| report::decision(Some(segment.container), &segment.name, choice, reason);
    let was_found = |finding: &str| segment.findings.iter().any(|found| found == finding);
    if let Some(reason) = emptied {
        decide("created empty and sealed", reason);
        decisions::dropped_ranges(segment).iter().for_each(report::loss);
        return;
    }
    if was_found("sealed-differs") {
        let reason = "one of storage metadata and old container metadata says sealed; seals are never taken back";
        decide("sealed", reason);
    }
    if was_found("sealed-by-controller") {
        let reason = "the controller's tables say that it was sealed and others took its place; readers go on there";
        decide("sealed", reason);
    }
    if was_found("truncated-behind-end") {
        let choice = format!("created empty, to go on at {}", segment.length);
        let reason = "it was truncated there, behind the last byte that Tier-2 holds; clients had given up all before";
        decide(&choice, reason);
    }
    if segment.standing != "live" {
        decide("created", "no metadata names its objects, and the setting `unrecorded` is `create`");
    }
    if *length < segment.length {
        let reason = match decisions::is_damaged(measure.as_ref()) {
            true => "the bytes behind are no table entries, and the store would stop at them",
            false => "what stands behind is only half there",
        };
        decide(&format!("cut to {length} of {} bytes", segment.length), reason);
    }
    decisions::lost_ranges(segment, *length, measure.as_ref()).iter().for_each(report::loss);
}

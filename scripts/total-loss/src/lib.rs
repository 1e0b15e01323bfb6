//! Procedure `total-loss`: bookies and ZooKeeper are gone, only Tier-2 is left.
//!
//! Reads like the runbook that it replaces. For each container, alone:
//! 1. list its segments with sealed state and length;
//! 2. open a fresh container;
//! 3. create each segment there, and end the transactions that were under way;
//! 4. move the old container metadata aside to a backup place, and what deleted segments have left;
//! 5. read the old metadata table, copy start offsets and core attributes;
//! 6. close.
//!
//! When all containers are done, restore what only ZooKeeper knew and Tier-2 can tell: the transaction counter and the
//! streams under retention. What is decided on the way stands in [`decisions`], one small function each.

mod decisions;

use decisions::{Fate, Kept, Policy};
use dr_guest_kit::containers::{AttributeUpdate, FreshContainer, MetadataRow, NewSegment, Truncation};
use dr_guest_kit::storage::{Measurement, ObjectListing, Segment};
use dr_guest_kit::{
    ContainerId, Description, Error, Pages, Parameter, Procedure, Result, Settings, Task, containers,
    leftover_object_pages, metadata_object_pages, metadata_row_pages, put_streams_under_retention,
    raise_transaction_counter, report, segment_pages, storage,
};

struct TotalLoss;

dr_guest_kit::export_procedure!(TotalLoss);

impl Procedure for TotalLoss {
    fn describe() -> Description {
        let parameter = |name: &str, kind: &str, default_value: &str, help: &str| Parameter {
            name: name.to_owned(),
            kind: kind.to_owned(),
            default_value: default_value.to_owned(),
            help: help.to_owned(),
        };
        Description {
            name: "total-loss".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Builds all containers anew from Tier-2 after the loss of all bookies and ZooKeeper.".to_owned(),
            scenarios: vec!["total-loss".to_owned()],
            capabilities: [
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
                "coordination.get",
                "coordination.create",
                "coordination.set",
            ]
            .map(str::to_owned)
            .to_vec(),
            parameters: vec![
                parameter(
                    "tail",
                    "choice:whole-events|as-is",
                    "whole-events",
                    "What to do with a last event that is only half there: cut it off, or keep its bytes as they are.",
                ),
                parameter(
                    "unrecorded",
                    "choice:report|create",
                    "report",
                    "Objects that no metadata names: report them as lost, or create segments from them.",
                ),
                parameter(
                    "leftovers",
                    "choice:move-aside|leave",
                    "move-aside",
                    "Objects that no segment needs any more: move them to the backup place, or leave them where they are.",
                ),
                parameter(
                    "reader-groups",
                    "choice:renew|as-is",
                    "renew",
                    "The state of reader groups: let it begin anew at the newest offsets that are left, without readers, or keep its bytes as they are.",
                ),
                parameter(
                    "open-transactions",
                    "choice:abort|as-is",
                    "abort",
                    "Transactions under way: end them, as committed if their commit had begun and else as aborted, or leave them as they are.",
                ),
                parameter(
                    "backup-place",
                    "text",
                    "_dr/moved-aside",
                    "Where in Tier-2 the old container metadata is moved to; below `_dr/`.",
                ),
            ],
        }
    }

    fn run(settings: &Settings, task: &Task) -> Result<()> {
        let policy = Policy::from_settings(settings)?;
        let container = task.container.ok_or_else(|| Error::Invalid(format!("task {} has no container", task.id)))?;

        let fresh = containers::open_fresh_container(container)?;
        let created = create_segments(&fresh, container, &policy)?;
        if policy.end_transactions {
            end_transactions(&fresh, container)?;
        }
        move_old_metadata_aside(container, &policy)?;
        if policy.move_leftovers {
            move_leftovers_aside(container, &policy)?;
        }
        copy_old_metadata(&fresh, container, &created)?;
        let image = fresh.close()?;

        report::info(&format!(
            "container {container}: {} segments in a log of {} operations and {} bytes",
            image.segments, image.operations, image.log_bytes
        ));
        Ok(())
    }

    fn finish(_settings: &Settings) -> Result<()> {
        raise_transaction_counter()?;
        put_streams_under_retention()
    }
}

/// Creates every segment that is to live again, page by page. Returns them in the order of their names.
fn create_segments(fresh: &FreshContainer, container: ContainerId, policy: &Policy) -> Result<Vec<Kept>> {
    let mut created = Vec::new();
    let mut left_out = 0;
    for page in segment_pages(container)? {
        let (wanted, other): (Vec<_>, Vec<_>) =
            page?.into_iter().partition(|segment| decisions::fate(segment, policy) == Fate::Create);
        other.iter().for_each(|segment| report_left_out(segment, policy));
        report_merged(container, &other, policy)?;
        left_out += other.len();

        let measures = measure_tails(container, &wanted, policy)?;
        let lengths = wanted.iter().zip(&measures).map(|(segment, measure)| decisions::kept_length(segment, measure));
        let lengths: Vec<u64> = lengths.collect();
        let kept = wanted.iter().zip(&lengths).zip(&measures);
        kept.for_each(|((segment, length), measure)| report_kept(segment, *length, measure));
        fresh.create_segments(&new_segments(&wanted, &lengths))?;
        renew_reader_groups(fresh, &wanted, policy)?;

        created.extend(wanted.into_iter().zip(lengths).map(|(segment, length)| Kept {
            name: segment.name,
            start_offset: segment.start_offset,
            length,
        }));
        report::progress(created.len() as u64, 0);
    }
    report::info(&format!("container {container}: {} segments created, {left_out} left out", created.len()));
    Ok(created)
}

/// Lets the groups of one page begin anew and says what became of each.
fn renew_reader_groups(fresh: &FreshContainer, segments: &[Segment], policy: &Policy) -> Result<()> {
    let groups: Vec<&Segment> =
        segments.iter().filter(|segment| decisions::is_to_be_renewed(segment, policy)).collect();
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

fn new_segments(segments: &[Segment], lengths: &[u64]) -> Vec<NewSegment> {
    let pairs = segments.iter().zip(lengths);
    pairs
        .map(|(segment, length)| NewSegment { name: segment.name.clone(), sealed: segment.sealed, length: *length })
        .collect()
}

/// Measures the segments whose tail may be torn; the answers are in the order of the segments, none where none is due.
fn measure_tails(container: ContainerId, segments: &[Segment], policy: &Policy) -> Result<Vec<Option<Measurement>>> {
    let due: Vec<bool> = segments.iter().map(|segment| decisions::may_be_torn(segment, policy)).collect();
    let names = segments.iter().zip(&due).filter(|(_, due)| **due).map(|(segment, _)| segment.name.clone());
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return Ok(vec![None; segments.len()]);
    }
    let mut measured = storage::measure(container, &names)?.into_iter();
    Ok(due.into_iter().map(|due| if due { measured.next() } else { None }).collect())
}

/// Moves everything that holds old metadata out of the store's sight. Nothing is deleted. The epoch in the name keeps
/// the backups of several disasters apart.
fn move_old_metadata_aside(container: ContainerId, policy: &Policy) -> Result<()> {
    let place = backup_place(container, policy)?;
    move_aside(container, metadata_object_pages(container)?, &place).map(|_| ())
}

/// Moves what the store had not removed yet of deleted segments, and what living ones do not need. It belongs to nobody, and
/// without the old metadata nobody would know any more why.
fn move_leftovers_aside(container: ContainerId, policy: &Policy) -> Result<()> {
    let place = format!("{}.leftovers", backup_place(container, policy)?);
    let moved = move_aside(container, leftover_object_pages(container)?, &place)?;
    if moved > 0 {
        let choice = format!("{moved} objects moved to `{place}`");
        report::decision(Some(container), "objects of no segment", &choice, "no segment that lives needs them");
    }
    Ok(())
}

fn backup_place(container: ContainerId, policy: &Policy) -> Result<String> {
    let all = storage::containers()?;
    let epoch = all.iter().find(|summary| summary.id == container).map_or(0, |summary| summary.highest_epoch);
    Ok(format!("{}/container-{container}.epoch-{epoch}", policy.backup_place))
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

fn report_left_out(segment: &Segment, policy: &Policy) {
    match decisions::fate(segment, policy) {
        Fate::Drop(reason) => report::decision(Some(segment.container), &segment.name, "not created", reason),
        Fate::Unrecorded => {
            report::decision(Some(segment.container), &segment.name, "not created", "no metadata names its objects");
            report::loss(&decisions::whole_segment_lost(segment));
        }
        Fate::Unfinished => {
            report::decision(Some(segment.container), &segment.name, "not created", "its transaction was not finished");
        }
        Fate::Deleted | Fate::Create => {}
    }
}

/// What the host found to be committed is part of other segments now; only half an event at its end is not.
fn report_merged(container: ContainerId, left_out: &[Segment], policy: &Policy) -> Result<()> {
    let merged: Vec<Segment> = left_out.iter().filter(|segment| decisions::is_merged(segment)).cloned().collect();
    for (segment, measure) in merged.iter().zip(measure_tails(container, &merged, policy)?) {
        let reason = "it was committed: another of its segments is merged, or sealed for it, or the controller says so";
        report::decision(Some(container), &segment.name, "merged", reason);
        decisions::lost_ranges(segment, decisions::kept_length(segment, &measure), &measure)
            .iter()
            .for_each(report::loss);
    }
    Ok(())
}

fn report_kept(segment: &Segment, length: u64, measure: &Option<Measurement>) {
    if segment.findings.iter().any(|finding| finding == "sealed-differs") {
        let reason = "one of storage metadata and old container metadata says sealed; seals are never taken back";
        report::decision(Some(segment.container), &segment.name, "sealed", reason);
    }
    if segment.findings.iter().any(|finding| finding == "sealed-by-controller") {
        let reason = "the controller's tables say that it was sealed and others took its place; readers go on there";
        report::decision(Some(segment.container), &segment.name, "sealed", reason);
    }
    if segment.findings.iter().any(|finding| finding == "truncated-behind-end") {
        let choice = format!("created empty, to go on at {}", segment.length);
        let reason = "it was truncated there, behind the last byte that Tier-2 holds; clients had given up all before";
        report::decision(Some(segment.container), &segment.name, &choice, reason);
    }
    if segment.standing != "live" {
        let reason = "no metadata names its objects, and the setting `unrecorded` is `create`";
        report::decision(Some(segment.container), &segment.name, "created", reason);
    }
    if length < segment.length {
        let choice = format!("cut to {length} of {} bytes", segment.length);
        let reason = match decisions::is_damaged(measure) {
            true => "the bytes behind are no table entries, and the store would stop at them",
            false => "what stands behind is only half there",
        };
        report::decision(Some(segment.container), &segment.name, &choice, reason);
    }
    decisions::lost_ranges(segment, length, measure).iter().for_each(report::loss);
}

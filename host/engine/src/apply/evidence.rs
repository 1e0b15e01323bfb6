//! Compares the evidence that a plan rests on with what is there now, and says what changed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use dr_backends::tier1::ZNodes;
use dr_backends::tier2::Tier2;

use super::Application;
use crate::error::{OperatorError, Result};
use crate::evidence_file::{EvidenceReader, Line, ObjectLine, ObjectLines, ReadLine};
use crate::listing::Listing;
use crate::plan::hex;
use crate::pool::{for_each_bounded, map_bounded, processors};
use crate::progress::{Progress, Silent, Unit};
use crate::witness::{digest_of_names, digest_of_node, shortened};

/// Changes of one kind that are named; the others are counted.
const NAMED_MAX: usize = 5;

/// Containers that are compared on one thread before the next lines of the file are read.
const PARTS_OF_A_THREAD: usize = 2;

/// ZNodes that are compared at once.
const ZNODES_AT_ONCE: usize = 4096;

/// Bytes read at once.
const BLOCK_BYTES: u64 = 1 << 20;

/// Name of the stage.
const CHECKING: &str = "checking the evidence";

/// Refuses to begin if anything is not as it was when the plan was made: names and sizes of all objects, the content of what
/// was read of them, and the ZNodes that were looked at. A plan that changes nothing but ZNodes can be carried out while
/// segment stores run, which change objects all the time, and are ahead of them anyway: for it only the ZNodes matter.
///
/// # Errors
/// `evidence-changed`, `plan-unreadable`; the errors of the backends.
pub(super) fn refuse_changed(application: &Application<'_>, progress: &dyn Progress) -> Result<()> {
    let Application { plan, tier2, .. } = application;
    progress.stage_started(CHECKING, Some(plan.evidence.objects), Unit::Objects);
    let listing = Listing::take_known(*tier2, plan.container_count, &Silent)?;
    let comparison = Comparison { application, progress, changes: Mutex::default() };
    comparison.of_file(&listing)?;
    let changes = comparison.changes.into_inner().unwrap_or_else(PoisonError::into_inner);
    if changes.is_empty() {
        progress.stage_finished(CHECKING);
        return Ok(());
    }
    Err(evidence_changed(format!("{}: the evidence changed since the plan was made", tier2.location()), &changes))
}

/// Refuses a Tier-2 that changed while a plan was made of it.
///
/// # Errors
/// `evidence-changed`; Tier-2 errors.
pub fn refuse_unsteady(listing: &Listing, tier2: &dyn Tier2) -> Result<()> {
    let now = Listing::take_known(tier2, listing.container_count(), &Silent)?;
    if now.digest() == listing.digest() {
        return Ok(());
    }
    let mut changes = Changes::default();
    for ((_, then), (_, now)) in listing.parts().zip(now.parts()) {
        let mut now = Cursor(now.by_key().into());
        for (key, size) in then.by_key() {
            now.meet(key, size, &mut changes);
        }
        now.finish(&mut changes);
    }
    Err(evidence_changed(format!("{}: Tier-2 changed while the plan was made", tier2.location()), &changes))
}

fn evidence_changed(what: String, changes: &Changes) -> OperatorError {
    OperatorError::new(
        "evidence-changed",
        what,
        "find out what changes it (a segment store that is still running?), stop that, and make a new plan",
    )
    .because(changes)
}

/// What changed, by kind.
#[derive(Debug, Default)]
struct Changes {
    added: Named,
    gone: Named,
    resized: Named,
    rewritten: Named,
    znodes: Named,
}

impl Changes {
    fn kinds(&self) -> [(&Named, &'static str); 5] {
        [
            (&self.added, "added"),
            (&self.gone, "gone"),
            (&self.resized, "of another size"),
            (&self.rewritten, "with other content"),
            (&self.znodes, "changed in ZooKeeper"),
        ]
    }

    fn is_empty(&self) -> bool {
        self.kinds().iter().all(|(named, _)| named.count == 0)
    }

    fn absorb(&mut self, other: &Self) {
        self.added.absorb(&other.added);
        self.gone.absorb(&other.gone);
        self.resized.absorb(&other.resized);
        self.rewritten.absorb(&other.rewritten);
        self.znodes.absorb(&other.znodes);
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (named, kind) in self.kinds() {
            if named.count > 0 {
                write!(formatter, "{separator}{} {kind} ({named})", named.count)?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// How many, and the first of them by name.
#[derive(Debug, Default)]
struct Named {
    count: u64,
    first: Vec<String>,
}

impl Named {
    fn add(&mut self, name: &str) {
        self.count += 1;
        // Threads find them in any order; what is said shall not depend on it.
        let place = self.first.partition_point(|other| other.as_str() < name);
        self.first.insert(place, name.to_owned());
        self.first.truncate(NAMED_MAX);
    }

    fn absorb(&mut self, other: &Self) {
        self.count += other.count - other.first.len() as u64;
        other.first.iter().for_each(|name| self.add(name));
    }
}

impl fmt::Display for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.first.iter().map(|name| format!("`{name}`")).collect();
        formatter.write_str(&names.join(", "))?;
        if self.count > self.first.len() as u64 { formatter.write_str(", ...") } else { Ok(()) }
    }
}

/// The objects of one part as they are now, met by those that were there, both in the order of keys.
struct Cursor<'a>(VecDeque<(&'a str, u64)>);

impl Cursor<'_> {
    /// True if the object is still there, with the same size.
    fn meet(&mut self, key: &str, size: u64, changes: &mut Changes) -> bool {
        while let Some((added, _)) = self.0.pop_front_if(|(now, _)| *now < key) {
            changes.added.add(added);
        }
        match self.0.pop_front_if(|(now, _)| *now == key) {
            None => changes.gone.add(key),
            Some((_, now)) if now != size => changes.resized.add(key),
            Some(_) => return true,
        }
        false
    }

    fn finish(self, changes: &mut Changes) {
        self.0.iter().for_each(|(key, _)| changes.added.add(key));
    }
}

struct Comparison<'a> {
    application: &'a Application<'a>,
    progress: &'a dyn Progress,
    changes: Mutex<Changes>,
}

impl Comparison<'_> {
    fn of_file(&self, listing: &Listing) -> Result<()> {
        let mut file = EvidenceReader::open(self.application.directory, &self.application.plan.evidence)?;
        let parts: Vec<_> = file.parts().iter().enumerate().collect();
        let threads = processors();
        for group in parts.chunks(threads * PARTS_OF_A_THREAD) {
            let lines = group.iter().map(|&(part, expected)| Ok((part, file.objects(expected)?)));
            let lines = lines.collect::<Result<Vec<_>>>()?;
            let doubtful = map_bounded(threads, &lines, |(part, lines)| self.objects(*part, lines, listing))?;
            drop(lines);
            let doubtful: Vec<ObjectLine> = doubtful.into_iter().flatten().collect();
            for_each_bounded(self.application.parallel, &doubtful, |object| self.object(object))?;
        }
        if let Some(part) = file.znodes() {
            let mut batch = Batch { comparison: self, lines: Vec::new() };
            file.visit(part, |line| batch.add(line))?;
            batch.compare()?;
        }
        file.finish()
    }

    /// Compares names and sizes of the objects of a part; returns those that were read, and for which no stamp vouches now.
    fn objects(&self, part: usize, lines: &ObjectLines<'_>, listing: &Listing) -> Result<Vec<ObjectLine>> {
        let Application { plan, stamps, tier2, .. } = self.application;
        let then = lines.read()?;
        let mut doubtful = Vec::new();
        if !plan.is_of_znodes_only() {
            let objects = listing.part(lines.part().container);
            let (mut now, mut changes) = (Cursor(objects.by_key().into()), Changes::default());
            let mut stamps = stamps.map(|stamps| stamps.part(part)).unwrap_or_default().iter().copied();
            for object in then {
                let object = object?;
                let is_same = now.meet(&object.key, object.size, &mut changes);
                if object.read.is_empty() {
                    continue;
                }
                let stamp = stamps.next().flatten();
                if is_same && (stamp.is_none() || tier2.stamp(&object.key) != stamp) {
                    doubtful.push(object);
                }
            }
            now.finish(&mut changes);
            self.changes().absorb(&changes);
        }
        self.progress.advanced(lines.part().entries.saturating_sub(doubtful.len() as u64));
        Ok(doubtful)
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, ObjectLine { key, size, read, .. }: &ObjectLine) -> Result<()> {
        let mut is_same = true;
        for read in read {
            is_same = is_same && self.reads_the_same(key, *size, read)?;
        }
        if !is_same {
            self.changes().rewritten.add(key);
        }
        self.progress.advanced(1);
        Ok(())
    }

    fn line(&self, line: &Line) -> Result<()> {
        let znodes = self.application.tier1.znodes;
        match line {
            // Those are in other parts.
            Line::Object(_) => {}
            Line::Znode { path, content } => self.znode(path, content, &content_of(znodes, path)?),
            Line::Children { path, names } => self.znode(path, names, &names_below(znodes, path)?),
        }
        Ok(())
    }

    fn znode(&self, path: &str, then: &Option<String>, now: &Option<String>) {
        if then != now {
            self.changes().znodes.add(path);
        }
    }

    fn reads_the_same(&self, key: &str, size: u64, (offset, length, digest): &ReadLine) -> Result<bool> {
        let mut hasher = blake3::Hasher::new();
        // The size is that of the object that is there; a length in an edited file could be any.
        let end = offset.saturating_add(*length).min(size);
        let mut position = *offset;
        let mut buffer = vec![0; usize::try_from(end.saturating_sub(position).min(BLOCK_BYTES)).unwrap_or(0)];
        while position < end {
            let wanted = usize::try_from(end - position).unwrap_or(usize::MAX).min(buffer.len());
            let count = self.application.tier2.read_at(key, position, &mut buffer[..wanted])?;
            hasher.update(&buffer[..count]);
            if count < wanted {
                break;
            }
            position += count as u64;
        }
        Ok(hex(&shortened(&hasher.finalize())) == *digest)
    }
}

fn content_of(znodes: &dyn ZNodes, path: &str) -> Result<Option<String>> {
    Ok(znodes.get(path)?.as_ref().map(digest_of_node))
}

fn names_below(znodes: &dyn ZNodes, path: &str) -> Result<Option<String>> {
    Ok(znodes.children(path)?.as_deref().map(digest_of_names))
}

/// ZNodes that are looked at in parallel.
struct Batch<'a> {
    comparison: &'a Comparison<'a>,
    lines: Vec<Line>,
}

impl Batch<'_> {
    fn add(&mut self, line: Line) -> Result<()> {
        self.lines.push(line);
        if self.lines.len() < ZNODES_AT_ONCE { Ok(()) } else { self.compare() }
    }

    fn compare(&mut self) -> Result<()> {
        let threads = self.comparison.application.parallel;
        for_each_bounded(threads, &self.lines, |line| self.comparison.line(line))?;
        self.lines.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_and_the_first_of_them_named() {
        let mut changes = Changes::default();
        let mut now = Cursor([("a", 1), ("c", 2), ("d", 1), ("e", 1)].into());
        for (key, size) in [("b", 1), ("c", 1), ("d", 1)] {
            now.meet(key, size, &mut changes);
        }
        now.finish(&mut changes);
        assert_eq!(changes.to_string(), "2 added (`a`, `e`), 1 gone (`b`), 1 of another size (`c`)");
        let mut many = Named::default();
        ["g", "b", "f", "e", "d", "c", "a"].iter().for_each(|name| many.add(name));
        assert_eq!(many.to_string(), "`a`, `b`, `c`, `d`, `e`, ...");
        let mut more = Named::default();
        ["aa", "z", "y", "x", "w", "v"].iter().for_each(|name| more.add(name));
        many.absorb(&more);
        assert_eq!((many.count, many.to_string().as_str()), (13, "`a`, `aa`, `b`, `c`, `d`, ..."));
    }
}

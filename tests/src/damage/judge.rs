//! Whether the recovery of a damaged tree tells of everything that it could not bring back.
//!
//! A byte that was readable in the recovery of the sound tree must be readable at the same offset, from the same object,
//! or lie in a range of the loss report that names its segment. A segment without bytes, and the row, seal and attributes
//! of any segment, may also be covered by a loss of the metadata of its container. Bytes inside the damaged object may
//! have changed without notice, since no format of Pravega has checksums; their number may not.
//!
//! What nothing in the damaged tree can tell is an outcome of its own, [`Outcome::Untold`], so that it cannot hide what could have been
//! told: bytes of the damaged object that no record or row had named yet, which are gone as after a crash a moment earlier; and
//! a bit inside of a row.

use dr_formats::attribute::{SEGMENT_TYPE, SegmentType};
use dr_formats::names::{ChunkName, SystemSegment};

use super::case::Case;
use super::recovery::{Ending, Part, Recovered, Segment};

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As the sound tree.
    Whole,
    /// Something is missing, and the plan names it.
    Reported,
    /// Refused, with a text that names the object or its segment or container.
    Refused,
    /// Refused without naming anything.
    Unclear,
    /// Something is another one, and nothing in the damaged tree could tell.
    Untold,
    /// Something is missing without a word.
    Silent,
    /// Verification found problems.
    Problems,
    /// A panic.
    Panicked,
    /// No end.
    Hung,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 9] = [
        Outcome::Whole,
        Outcome::Reported,
        Outcome::Refused,
        Outcome::Untold,
        Outcome::Unclear,
        Outcome::Silent,
        Outcome::Problems,
        Outcome::Panicked,
        Outcome::Hung,
    ];

    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Whole => "whole",
            Outcome::Reported => "reported",
            Outcome::Refused => "refused",
            Outcome::Untold => "untold",
            Outcome::Unclear => "unclear",
            Outcome::Silent => "SILENT",
            Outcome::Problems => "PROBLEMS",
            Outcome::Panicked => "PANIC",
            Outcome::Hung => "HUNG",
        }
    }

    /// True for what must never happen.
    #[must_use]
    pub fn is_failure(self) -> bool {
        !matches!(self, Outcome::Whole | Outcome::Reported | Outcome::Refused | Outcome::Untold)
    }
}

/// An outcome with its reason.
#[derive(Debug)]
pub struct Judgement {
    /// What it is.
    pub outcome: Outcome,
    /// Why, if not whole.
    pub why: String,
}

impl Judgement {
    pub(super) fn of(outcome: Outcome, why: String) -> Self {
        Self { outcome, why }
    }
}

pub(super) fn judge(sound: &Recovered, ending: &Ending, case: &Case) -> Judgement {
    let recovered = match ending {
        Ending::Recovered(recovered) => recovered,
        Ending::Refused(error) => {
            let outcome = if names_it(error, &case.key) { Outcome::Refused } else { Outcome::Unclear };
            return Judgement::of(outcome, error.clone());
        }
    };
    if let Some(problem) = recovered.problems.first() {
        return Judgement::of(Outcome::Problems, problem.clone());
    }
    let named_until = |segment: &Segment| sound.named_until.get(&*segment.row.name).copied().unwrap_or(0);
    let unreported: Vec<Unreported> = sound
        .segments
        .values()
        .filter_map(|segment| unreported(segment, named_until(segment), recovered, case))
        .collect();
    if !unreported.is_empty() {
        let outcome = if unreported.iter().all(|one| one.is_untold) { Outcome::Untold } else { Outcome::Silent };
        let why: Vec<String> = unreported.into_iter().map(|one| one.what).collect();
        return Judgement::of(outcome, why.join("; "));
    }
    let is_whole = recovered.segments == sound.segments && recovered.plan.losses == sound.plan.losses;
    Judgement::of(if is_whole { Outcome::Whole } else { Outcome::Reported }, String::new())
}

/// True if a refusal names the object, its segment, or the container that it describes.
fn names_it(error: &str, key: &str) -> bool {
    let segment = key.rsplit_once(".E-").map_or(key, |(segment, _)| segment);
    let main = segment.trim_end_matches("$attributes.index");
    error.contains(key) || error.contains(main)
}

/// What is missing of a segment without being reported.
struct Unreported {
    what: String,
    /// Nothing in the damaged tree can tell.
    is_untold: bool,
}

impl Unreported {
    fn silent(what: String) -> Self {
        Self { what, is_untold: false }
    }
}

/// Looks for what is missing of a segment that metadata names up to an offset.
fn unreported(sound: &Segment, named_until: u64, recovered: &Recovered, case: &Case) -> Option<Unreported> {
    let name = &*sound.row.name;
    let losses = recovered.plan.losses.iter();
    let lost: Vec<(u64, u64)> =
        losses.filter(|loss| loss.segment == name).map(|loss| (loss.first, loss.end.unwrap_or(u64::MAX))).collect();
    let is_decided = recovered.plan.decisions.iter().any(|decision| decision.subject == name);
    let is_coarse = is_coarse(sound, recovered);
    let Some(found) = recovered.segments.get(name) else {
        let has_bytes = sound.parts.iter().any(|part| !case.touches(&part.key) && part.end > part.first);
        let is_named = !lost.is_empty() || is_decided || (is_coarse && !has_bytes);
        return (!is_named).then(|| Unreported::silent(format!("`{name}` is gone")));
    };
    let is_excused = |part: &Part| is_coarse && is_lent(part, name);
    if let Some((part, position)) = missing_byte(sound, found, &lost, &is_excused) {
        let what = format!("`{name}` lacks byte {position} of {}, once in `{}`", sound.row.length, part.key);
        return Some(Unreported { what, is_untold: position >= named_until && case.touches(&part.key) });
    }
    // What changed inside the damaged object shows in the counts of a table.
    let is_touched = sound.parts.iter().chain(&found.parts).any(|part| case.touches(&part.key));
    if found.row.sealed != sound.row.sealed && !is_coarse && !is_decided {
        let what = format!("`{name}` is sealed: {}, was {}", found.row.sealed, sound.row.sealed);
        return Some(Unreported::silent(what));
    }
    let is_named = is_coarse || is_decided || is_touched || !lost.is_empty();
    if found.row.attributes != sound.row.attributes && !is_named {
        let what = format!("`{name}` has other core attributes: {:?}", found.row.attributes);
        return Some(Unreported { what, is_untold: case.changes_bits_of_rows(sound.container) });
    }
    let is_index_named = is_coarse || is_table_with_rebuilt_index(sound) || is_index_reported(sound, recovered);
    if found.index_length < sound.index_length && !is_index_named && lost.is_empty() {
        let what = format!("the index of `{name}` has {} of {} bytes", found.index_length, sound.index_length);
        return Some(Unreported::silent(what));
    }
    None
}

/// The entries of a hash table tell its whole index; verification compares both.
fn is_table_with_rebuilt_index(segment: &Segment) -> bool {
    let segment_type = SegmentType(segment.row.attributes.get(SEGMENT_TYPE).unwrap_or(0));
    segment_type.is(SegmentType::TABLE) && !segment_type.is(SegmentType::FIXED_KEY_TABLE)
}

/// A flipped bit can make a writer's event number or a mark too high, which is found and set back like that of a crash.
fn is_index_reported(segment: &Segment, recovered: &Recovered) -> bool {
    let index = format!("{}$attributes.index", segment.row.name);
    let container = recovered.plan.containers.iter().find(|container| container.container == segment.container);
    let mut findings = container.iter().flat_map(|container| &container.findings);
    recovered.plan.losses.iter().any(|loss| loss.segment == index)
        || findings.any(|(finding, _)| finding == "event-numbers-ahead" || finding == "mark-outside")
}

/// True if the plan says that the metadata of the segment's container is not whole.
fn is_coarse(segment: &Segment, recovered: &Recovered) -> bool {
    let of_container =
        |name: &str| SystemSegment::parse(name).is_some_and(|system| system.container == segment.container);
    recovered.plan.losses.iter().any(|loss| of_container(&loss.segment))
}

/// True for an object that a transaction had lent to its segment: its name is the transaction's, so that only the storage record tells
/// whose it is.
fn is_lent(part: &Part, segment: &str) -> bool {
    ChunkName::parse(&part.key).is_some_and(|chunk| chunk.segment != segment)
}

/// The first readable byte of the sound segment that is neither there nor reported, with its object.
fn missing_byte<'a>(
    sound: &'a Segment,
    found: &Segment,
    lost: &[(u64, u64)],
    is_excused: &dyn Fn(&Part) -> bool,
) -> Option<(&'a Part, u64)> {
    let readable = |segment: &Segment| (segment.row.start_offset, segment.row.length);
    let (first, end) = readable(sound);
    for part in sound.parts.iter().filter(|part| !is_excused(part)) {
        let (mut position, end) = (part.first.max(first), part.end.min(end));
        while position < end {
            let served = served_until(found, part, position).or_else(|| reported_until(lost, position));
            let Some(until) = served else { return Some((part, position)) };
            position = until;
        }
    }
    None
}

/// Up to where the recovered segment serves the bytes of an object at the same offsets.
fn served_until(found: &Segment, part: &Part, position: u64) -> Option<u64> {
    let (first, end) = (found.row.start_offset, found.row.length);
    let same = found.parts.iter().find(|other| other.key == part.key && other.first == part.first)?;
    let until = same.end.min(end);
    (position >= first && position < until).then_some(until)
}

fn reported_until(lost: &[(u64, u64)], position: u64) -> Option<u64> {
    lost.iter().find(|(first, end)| (*first..*end).contains(&position)).map(|(_, end)| *end)
}

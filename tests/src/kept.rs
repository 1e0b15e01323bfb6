//! What a plan keeps of each segment, byte for byte, and whether a real segment store serves exactly that.
// Part of tests: a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use dr_engine::plan::{Plan, hex};
use dr_formats::names::{CONTAINERS_FOLDER, TRANSACTION_DELIMITER};
use dr_lab::{Lab, SegmentBytes};
use sha2::{Digest as _, Sha256};

use crate::damage::{Segment, segments_of};
use crate::real_servers::must;

/// In the names of streams that belong to the reader groups of checkers (`Reading.java`).
const CHECKERS_GROUPS: [&str; 2] = ["/_RGreading-", "/_MARK_RGreading-"];

/// Segments that a plan keeps, with what must be read of them.
#[derive(Debug)]
pub struct Kept {
    /// The plan.
    pub plan: Plan,
    parts: Vec<SegmentBytes>,
    digests: Vec<String>,
}

impl Kept {
    /// Reads the plan in a run directory, and from Tier-2 the bytes that it keeps. The containers' own segments are left out:
    /// clients do not reach them.
    ///
    /// # Panics
    /// If the plan names an object that is not there, or keeps more of a segment than its objects hold.
    pub fn of(tier2: &Path, run: &Path) -> Self {
        let plan = Plan::load(run).unwrap();
        let mut kept = Self { parts: Vec::new(), digests: Vec::new(), plan };
        for (name, segment) in segments_of(&kept.plan, run) {
            // What lies behind the objects is appended by the new log itself.
            let in_objects = segment.parts.last().map_or(0, |part| part.end);
            let (first, end) = (segment.row.start_offset, segment.row.length.min(in_objects));
            if end > first && !name.starts_with(CONTAINERS_FOLDER) {
                kept.digests.push(hex(&Sha256::digest(bytes(tier2, &name, &segment, first..end))));
                kept.parts.push(SegmentBytes { segment: name, first, end });
            }
        }
        kept
    }

    /// Compares with what the segment store serves. What the cluster deletes or truncates by itself as soon as it runs is not
    /// missed: transactions that time out, and what is under retention.
    ///
    /// # Panics
    /// If a segment is not there or holds other bytes.
    pub fn check(&self, step: &str, lab: &Lab) -> Compared {
        let answers = must("read the segments", lab.read_segments(&self.parts));
        assert_eq!(answers.len(), self.parts.len(), "{step}");
        let mut compared = Compared::default();
        let mut wrong = BTreeMap::new();
        for ((part, digest), answer) in self.parts.iter().zip(&self.digests).zip(answers) {
            match answer {
                Ok(found) if found == *digest => {
                    compared.segments += 1;
                    compared.bytes += part.end - part.first;
                }
                Ok(_) => {
                    wrong.insert(part.segment.clone(), "other bytes".to_owned());
                }
                Err(said) if is_of_the_cluster(&part.segment, &said) => compared.gone += 1,
                Err(said) => {
                    wrong.insert(part.segment.clone(), said);
                }
            }
        }
        assert!(wrong.is_empty(), "{step}: {wrong:#?}");
        eprintln!("{step}: {compared:?}");
        compared
    }
}

/// What a comparison found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Segments that hold exactly what the plan keeps.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments that the running cluster deleted or truncated by itself.
    pub gone: u64,
}

/// Transactions end by their lease, retention goes on, the controller's own streams begin anew, and a truncation under way at the loss
/// is completed as soon as the controller runs; a check of the load says what must be left of that stream. So is the deletion of a reader
/// group, which its client does not wait for: the checkers' are all deleted. Whatever the load of changes was doing may come to its end.
fn is_of_the_cluster(segment: &str, said: &str) -> bool {
    let truncates = segment.contains("retention") || segment.contains("/truncated-");
    let may_be_gone = segment.contains(TRANSACTION_DELIMITER)
        || segment.starts_with("_system/")
        || segment.starts_with("changes/")
        || CHECKERS_GROUPS.iter().any(|group| segment.contains(group));
    match said.split(' ').next() {
        Some("SegmentIsTruncated") => truncates || may_be_gone,
        Some("NoSuchSegment") => may_be_gone,
        _ => false,
    }
}

/// A range of the segment, put together from the objects that the plan names.
fn bytes(tier2: &Path, name: &str, segment: &Segment, Range { start: first, end }: Range<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in &segment.parts {
        let path: PathBuf = tier2.join(&part.key);
        let object = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let within = |offset: u64| usize::try_from(offset.clamp(part.first, part.end) - part.first).unwrap();
        bytes.extend_from_slice(&object[within(first)..within(end)]);
    }
    assert_eq!(bytes.len() as u64, end - first, "{name}: the plan keeps more than its objects hold");
    bytes
}

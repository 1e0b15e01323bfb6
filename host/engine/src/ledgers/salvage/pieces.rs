//! The bytes of segments that the entries of a log still hold.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use dr_formats::checkpoint::MetadataCheckpoint;
use dr_formats::operation::{Action, Operation};

use crate::contract::ContainerId;
use crate::error::Result;
use crate::plan::run_directory_error;

/// What stands in the operations of one container, wherever holes are, segment by segment. Bytes that Tier-2 holds are left out; the
/// others go to a file.
#[derive(Debug)]
pub(super) struct Pieces {
    container: ContainerId,
    names: HashMap<i64, String>,
    segments: BTreeMap<String, LoggedSegment>,
    /// Where Tier-2 ends, by segment.
    ends: BTreeMap<String, u64>,
    spool: Spool,
}

/// What entries hold of a segment.
#[derive(Debug, Default)]
pub(super) struct LoggedSegment {
    /// By offset; they do not overlap.
    pieces: BTreeMap<u64, Piece>,
    /// Behind the last byte of which any operation tells.
    told_end: u64,
    /// It was merged into another one, or deleted.
    is_gone: bool,
}

/// What one operation appended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    length: u64,
    content: Content,
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// In the spool, from this position on, with the checksum by which they are recognised when they were sent again.
    Spooled { position: u64, checksum: u32 },
    /// They are another segment, from its beginning on.
    Merged { source: String },
}

/// Bytes of a segment that follow one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// In the spool.
    Spooled(Range<u64>),
    /// In Tier-2, of this segment.
    Tiered(String, Range<u64>),
}

impl LoggedSegment {
    /// What one operation says: bytes from an offset on. What an earlier one said of the bytes from there on was never acknowledged and
    /// given up, unless it is the same that was only sent again.
    fn put(&mut self, offset: u64, piece: Piece) {
        self.told_end = offset + piece.length;
        if self.pieces.get(&offset).is_some_and(|known| known.says_the_same(&piece)) {
            self.told_end = self.end().max(self.told_end);
            return;
        }
        self.cut(offset);
        if piece.length > 0 {
            self.pieces.insert(offset, piece);
        }
    }

    /// The segment ends here, by the word of an operation that appends nothing.
    fn ends_at(&mut self, length: u64) {
        self.cut(length);
        self.told_end = length;
    }

    fn cut(&mut self, offset: u64) {
        drop(self.pieces.split_off(&offset));
        if let Some((first, piece)) = self.pieces.iter_mut().next_back() {
            piece.length = piece.length.min(offset - first);
        }
    }

    fn end(&self) -> u64 {
        self.pieces.last_key_value().map_or(0, |(offset, piece)| offset + piece.length)
    }

    /// The piece with the byte at this offset.
    fn at(&self, offset: u64) -> Option<(u64, &Piece)> {
        let (&first, piece) = self.pieces.range(..=offset).next_back()?;
        (offset < first + piece.length).then_some((first, piece))
    }
}

impl Piece {
    fn says_the_same(&self, other: &Self) -> bool {
        let same_content = match (&self.content, &other.content) {
            (Content::Spooled { checksum, .. }, Content::Spooled { checksum: other, .. }) => checksum == other,
            (one, other) => one == other,
        };
        same_content && self.length == other.length
    }
}

impl Pieces {
    /// Nothing yet. `ends` says where Tier-2 ends, by segment; a segment that is not named has no byte there.
    ///
    /// # Errors
    /// `run-directory`.
    pub(super) fn new(container: ContainerId, ends: BTreeMap<String, u64>, spool: &Path) -> Result<Self> {
        let (names, segments) = (HashMap::new(), BTreeMap::new());
        Ok(Self { container, names, segments, ends, spool: Spool::create(spool)? })
    }

    /// Takes the next operation. One that speaks of a segment whose name is in a hole is passed over.
    ///
    /// # Errors
    /// `run-directory`.
    pub(super) fn operation(&mut self, operation: Operation<'_>) -> Result<()> {
        match operation.action {
            Action::MetadataCheckpoint(payload) => self.checkpoint(&payload),
            Action::Map(mapping) => {
                self.names.insert(mapping.segment_id, mapping.name.to_string());
                self.segment(&mapping.name).ends_at(mapping.length);
            }
            Action::Append { segment_id, offset, data, .. } => return self.append(segment_id, offset, &data),
            Action::Merge { target_id, source_id, source_length, target_offset, .. } => {
                self.merge(target_id, source_id, target_offset, source_length);
            }
            Action::Delete { segment_id, .. } => self.is_gone(segment_id),
            Action::Seal { .. }
            | Action::UpdateAttributes { .. }
            | Action::Truncate { .. }
            | Action::StorageMetadataCheckpoint(_) => {}
        }
        Ok(())
    }

    fn checkpoint(&mut self, payload: &[u8]) {
        let Ok(checkpoint) = MetadataCheckpoint::decode(payload) else { return };
        if checkpoint.container_id != self.container {
            return;
        }
        for segment in &checkpoint.segments {
            self.names.insert(segment.segment_id, segment.name.to_string());
            if segment.merged || segment.deleted {
                self.is_gone(segment.segment_id);
            } else {
                self.segment(&segment.name).ends_at(segment.length);
            }
        }
    }

    fn append(&mut self, segment_id: i64, offset: u64, data: &[u8]) -> Result<()> {
        let Some(name) = self.names.get(&segment_id).cloned() else { return Ok(()) };
        let length = data.len() as u64;
        if offset + length <= self.tiered_end(&name) {
            self.segment(&name).ends_at(offset + length);
            return Ok(());
        }
        let position = self.spool.push(data)?;
        let content = Content::Spooled { position, checksum: crc32c::crc32c(data) };
        self.segment(&name).put(offset, Piece { length, content });
        Ok(())
    }

    fn merge(&mut self, target_id: i64, source_id: i64, offset: u64, length: u64) {
        let names = (self.names.get(&target_id).cloned(), self.names.get(&source_id).cloned());
        self.is_gone(source_id);
        let Some(target) = names.0 else { return };
        match names.1 {
            Some(source) => self.segment(&target).put(offset, Piece { length, content: Content::Merged { source } }),
            // What was merged is not known, only how long it is.
            None => self.segment(&target).told_end = offset + length,
        }
    }

    fn is_gone(&mut self, segment_id: i64) {
        if let Some(name) = self.names.get(&segment_id).cloned() {
            self.segment(&name).is_gone = true;
        }
    }

    fn segment(&mut self, name: &str) -> &mut LoggedSegment {
        self.segments.entry(name.to_owned()).or_default()
    }

    fn tiered_end(&self, name: &str) -> u64 {
        self.ends.get(name).copied().unwrap_or(0)
    }

    /// Says anew where Tier-2 ends, now that more is known.
    pub(super) fn set_ends(&mut self, ends: BTreeMap<String, u64>) {
        self.ends = ends;
    }

    /// Every segment that lives, with where Tier-2 ends, the bytes that follow there, and the end of which any operation tells.
    pub(super) fn living(&self) -> impl Iterator<Item = (&str, u64, Vec<Source>, u64)> {
        let living = self.segments.iter().filter(|(_, segment)| !segment.is_gone);
        living.map(|(name, segment)| {
            let start = self.tiered_end(name);
            (name.as_str(), start, self.following(name, start, u64::MAX), segment.told_end)
        })
    }

    /// The bytes of a segment from `start` on, up to `end` or the first that is missing.
    fn following(&self, name: &str, start: u64, end: u64) -> Vec<Source> {
        let Some(segment) = self.segments.get(name) else { return Vec::new() };
        let mut position = start;
        let mut sources = Vec::new();
        while let Some((first, piece)) = segment.at(position).filter(|_| position < end) {
            let wanted = position - first..piece.length.min(end - first);
            match &piece.content {
                Content::Spooled { position: at, .. } => {
                    sources.push(Source::Spooled(at + wanted.start..at + wanted.end));
                }
                Content::Merged { source } => {
                    let found = self.of_merged(source, wanted.clone());
                    let length: u64 = found.iter().map(Source::length).sum();
                    sources.extend(found);
                    if length < wanted.end - wanted.start {
                        break;
                    }
                }
            }
            position = first + wanted.end;
        }
        sources
    }

    /// The bytes of a segment that was merged: what Tier-2 has of it, then what follows in the log. No segment with merged ones in it is
    /// merged itself.
    fn of_merged(&self, name: &str, wanted: Range<u64>) -> Vec<Source> {
        let tiered_end = self.tiered_end(name);
        let mut sources = Vec::new();
        if wanted.start < tiered_end {
            sources.push(Source::Tiered(name.to_owned(), wanted.start..wanted.end.min(tiered_end)));
        }
        let is_plain = |segment: &LoggedSegment| {
            segment.pieces.values().all(|piece| matches!(piece.content, Content::Spooled { .. }))
        };
        if wanted.end > tiered_end && self.segments.get(name).is_some_and(is_plain) {
            sources.extend(self.following(name, wanted.start.max(tiered_end), wanted.end));
        }
        sources
    }

    /// Reads spooled bytes back.
    ///
    /// # Errors
    /// `run-directory`.
    pub(super) fn read(&mut self, range: &Range<u64>) -> Result<Vec<u8>> {
        self.spool.read(range)
    }
}

impl Source {
    /// Number of bytes.
    pub(super) fn length(&self) -> u64 {
        let (Self::Spooled(range) | Self::Tiered(_, range)) = self;
        range.end - range.start
    }
}

/// A file that grows, for what is too much to hold.
#[derive(Debug)]
struct Spool {
    file: BufWriter<File>,
    path: PathBuf,
    length: u64,
}

impl Spool {
    fn create(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path);
        let file = file.map_err(|error| run_directory_error("write", path, error))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path: path.to_owned(), length: 0 })
    }

    fn push(&mut self, data: &[u8]) -> Result<u64> {
        self.file.write_all(data).map_err(|error| run_directory_error("write", &self.path, error))?;
        let position = self.length;
        self.length += data.len() as u64;
        Ok(position)
    }

    fn read(&mut self, range: &Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        let read = self.file.flush().and_then(|()| {
            let mut file = self.file.get_ref();
            file.seek(SeekFrom::Start(range.start))?;
            file.read_exact(&mut bytes)?;
            // What is written next goes behind all.
            file.seek(SeekFrom::End(0)).map(drop)
        });
        read.map_err(|error| run_directory_error("read", &self.path, error))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::{append, map};
    use super::*;

    fn merge(target_id: i64, source_id: i64, target_offset: u64, source_length: u64) -> Action<'static> {
        Action::Merge { target_id, source_id, source_length, target_offset, attributes: Vec::new() }
    }

    /// What follows Tier-2 in each segment that lives, with where it begins and the end that was told; Tier-2's bytes are dots.
    fn found(ends: &[(&str, u64)], actions: Vec<Action<'static>>) -> Vec<(String, u64, String, u64)> {
        let directory = tempfile::tempdir().unwrap();
        let ends = ends.iter().map(|(name, end)| ((*name).to_owned(), *end)).collect();
        let mut pieces = Pieces::new(0, ends, &directory.path().join("spool")).unwrap();
        for (sequence_number, action) in (1..).zip(actions) {
            pieces.operation(Operation { sequence_number, action }).unwrap();
        }
        let living: Vec<_> =
            pieces.living().map(|(name, start, sources, end)| (name.to_owned(), start, sources, end)).collect();
        let mut text = |source: &Source| match source {
            Source::Spooled(range) => String::from_utf8(pieces.read(range).unwrap()).unwrap(),
            Source::Tiered(_, range) => ".".repeat(usize::try_from(range.end - range.start).unwrap()),
        };
        let mut all = Vec::new();
        for (name, start, sources, end) in living {
            all.push((name, start, sources.iter().map(&mut text).collect::<String>(), end));
        }
        all
    }

    fn only(start: u64, bytes: &str, end: u64) -> Vec<(String, u64, String, u64)> {
        vec![("s".to_owned(), start, bytes.to_owned(), end)]
    }

    #[test]
    fn bytes_that_join_tier2_are_found() {
        let actions = vec![map(1, "s", 2), append(1, 2, b"cde"), append(1, 5, b"f")];
        assert_eq!(found(&[("s", 3)], actions.clone()), only(3, "def", 6));
        assert_eq!(found(&[("s", 6)], actions.clone()), only(6, "", 6));
        // Tier-2 ends before what the log holds.
        assert_eq!(found(&[("s", 1)], actions), only(1, "", 6));
    }

    #[test]
    fn a_hole_ends_what_is_found_and_is_told() {
        let actions = vec![map(1, "s", 0), append(1, 0, b"ab"), append(1, 4, b"ef")];
        assert_eq!(found(&[], actions), only(0, "ab", 6));
        // The name of segment 1 is in a hole.
        assert_eq!(found(&[], vec![append(1, 0, b"ab")]), []);
    }

    #[test]
    fn what_was_sent_again_counts_once_and_what_was_given_up_not_at_all() {
        let actions = vec![map(1, "s", 0), append(1, 0, b"ab"), append(1, 2, b"cd"), append(1, 0, b"ab")];
        assert_eq!(found(&[], actions.clone()), only(0, "abcd", 4));
        let taken_over = [actions, vec![map(1, "s", 2), append(1, 2, b"xyz")]].concat();
        assert_eq!(found(&[], taken_over.clone()), only(0, "abxyz", 5));
        assert_eq!(found(&[], [taken_over, vec![append(1, 1, b"q")]].concat()), only(0, "aq", 2));
    }

    #[test]
    fn a_merged_segment_is_part_of_the_other_one() {
        let both = vec![map(1, "s", 0), map(2, "t", 0), append(1, 0, b"ab"), append(2, 0, b"12"), append(2, 2, b"34")];
        let merged = [both, vec![merge(1, 2, 2, 4), append(1, 6, b"c")]].concat();
        assert_eq!(found(&[], merged.clone()), only(0, "ab1234c", 7));
        assert_eq!(found(&[("t", 2)], merged.clone()), only(0, "ab..34c", 7));
        assert_eq!(found(&[("s", 3), ("t", 4)], merged), only(3, "...c", 7));
        // Something of what was merged is missing.
        let torn = vec![map(1, "s", 0), map(2, "t", 0), append(1, 0, b"ab"), append(2, 2, b"34"), merge(1, 2, 2, 4)];
        assert_eq!(found(&[], torn), only(0, "ab", 6));
    }
}

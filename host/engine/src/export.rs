//! The whole events of a stream, straight from its objects: no Tier-1, no recovery, nothing written to Tier-2.
//!
//! What metadata knows of a segment is used as a recovery would use it. Where metadata is missing, damaged or moved
//! aside, the names of the objects have to do; what they cannot tell is reported and never guessed.

mod format;
mod found;
mod reading;
mod selection;

use std::io::{Read, Write};
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use serde::Serialize;

pub use self::format::{EventSink, JsonLines, LengthDelimited};
pub use self::found::{KnownBy, LeftOut, Source};
use self::reading::{ChainReader, Walk};
pub use self::selection::Selection;
use crate::content::measure_events;
use crate::error::{OperatorError, Result};
use crate::progress::Progress;
use found::Piece;

/// What to export besides the events that readers would be served.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExportOptions {
    /// `pravegaservice.container.count`; none: detected.
    pub container_count: Option<u32>,
    /// Transactions that are not known to be merged, too.
    pub transactions: bool,
    /// What lies behind a gap, too, if it begins with an event.
    pub after_gaps: bool,
}

/// The segments of a stream, ready to be read.
#[derive(Debug)]
pub struct Export {
    tier2: Arc<dyn Tier2>,
    after_gaps: bool,
    /// What is exported, predecessors before successors, transactions behind the segment that they belong to.
    pub sources: Vec<Source>,
    /// What belongs to the stream by name but is not exported.
    pub left_out: Vec<LeftOut>,
    /// Why names had to do, in words.
    pub warnings: Vec<String>,
}

/// Bytes of a segment that were not exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotExported {
    /// Segment offset of the first of them.
    pub first: u64,
    /// Segment offset behind the last.
    pub end: u64,
    /// `torn`, `damaged`, `missing`, `truncated-or-missing`, `behind-gap` or `not-an-event`, see the operator guide.
    pub reason: &'static str,
}

/// What became of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// Its name.
    pub segment: String,
    /// Whose word was taken for what belongs to it.
    pub known_by: KnownBy,
    /// Whole events that were written; 0 for raw bytes.
    pub events: u64,
    /// Bytes of their payloads, or raw bytes.
    pub bytes: u64,
    /// What was not exported, by offset.
    pub not_exported: Vec<NotExported>,
}

impl Export {
    /// Finds the segments of a stream. The whole stream or one segment, see [`Selection`].
    ///
    /// # Errors
    /// `stream-missing` if Tier-2 holds nothing by that name; `rolling-layout`; Tier-2 errors. Metadata that cannot be used
    /// is no error.
    pub fn find(
        tier2: Arc<dyn Tier2>,
        selection: &Selection,
        options: ExportOptions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let found = found::find(&tier2, selection, options, progress)?;
        Ok(Self {
            tier2,
            after_gaps: options.after_gaps,
            sources: found.sources,
            left_out: found.left_out,
            warnings: found.warnings,
        })
    }

    /// Refuses what holds no events at all: no segment begins with one, or it is a table.
    ///
    /// # Errors
    /// `not-events`; Tier-2 errors.
    pub fn refuse_other_content(&self) -> Result<()> {
        let mut other = None;
        for source in &self.sources {
            match self.begins_with_event(source)? {
                Some(true) => return Ok(()),
                Some(false) => other = other.or(Some(&source.segment)),
                None => {}
            }
        }
        let Some(segment) = other else { return Ok(()) };
        Err(OperatorError::new(
            "not-events",
            format!(
                "the segment `{segment}` holds no events: it is a byte stream, a table, or damaged at its beginning"
            ),
            "give --bytes for the bytes as they are",
        ))
    }

    /// None if nothing can be said: no bytes, or an offset at which nobody knows whether an event begins.
    fn begins_with_event(&self, source: &Source) -> Result<Option<bool>> {
        if source.is_table() {
            return Ok(Some(false));
        }
        let Some(piece) = source.pieces.first().filter(|piece| piece.is_aligned && piece.length() > 0) else {
            return Ok(None);
        };
        let mut header = [0; dr_formats::events::EVENT_HEADER_LENGTH];
        let held = usize::try_from(piece.length()).unwrap_or(usize::MAX).min(header.len());
        piece.chain.read(self.tier2.as_ref(), piece.start, &mut header[..held])?;
        Ok(Some(dr_formats::events::payload_length(header).is_some()))
    }

    /// Writes the whole events of a segment. Uses constant memory.
    ///
    /// # Errors
    /// `export-unwritable` if the sink fails; Tier-2 errors.
    pub fn write_events(&self, source: &Source, sink: &mut dyn EventSink) -> Result<SegmentReport> {
        let mut report = source.report();
        for (index, piece) in source.pieces.iter().enumerate() {
            if let Some(reason) = self.refusal(index, piece)? {
                report.not_exported.push(NotExported { first: piece.start, end: piece.chain.end(), reason });
                continue;
            }
            let mut walk = Walk::new(&source.segment, piece, self.tier2.as_ref());
            while walk.write_next(sink)? {}
            report.events += walk.events;
            report.bytes += walk.payload_bytes;
            report.not_exported.extend(walk.rest());
        }
        report.not_exported.sort_by_key(|range| range.first);
        Ok(report)
    }

    /// Writes the bytes of a segment as they are.
    ///
    /// # Errors
    /// As [`Export::write_events`].
    pub fn write_bytes(&self, source: &Source, output: &mut dyn Write) -> Result<SegmentReport> {
        let mut report = source.report();
        for (index, piece) in source.pieces.iter().enumerate() {
            if index > 0 && !self.after_gaps {
                let reason = "behind-gap";
                report.not_exported.push(NotExported { first: piece.start, end: piece.chain.end(), reason });
                continue;
            }
            let mut reader = ChainReader::new(&piece.chain, piece.start, self.tier2.as_ref());
            report.bytes += reading::copy(&mut reader, |reader| std::io::copy(reader, output))?;
        }
        report.not_exported.sort_by_key(|range| range.first);
        Ok(report)
    }

    /// Why the events of a piece cannot be exported, if they cannot.
    fn refusal(&self, index: usize, piece: &Piece) -> Result<Option<&'static str>> {
        if index > 0 && !self.after_gaps {
            return Ok(Some("behind-gap"));
        }
        if piece.is_aligned {
            return Ok(None);
        }
        // An object may begin anywhere inside an event. Bytes that are events from here to the end are taken for events.
        let measure = measure_events(&piece.chain, piece.start, self.tier2.as_ref())?;
        let is_event = measure.content == "events" && measure.items > 0;
        Ok((!is_event).then_some("not-an-event"))
    }
}

/// What a sink reads an event from.
pub type Payload<'a> = dyn Read + 'a;

#[cfg(test)]
mod tests;

//! Where the content of a segment ends whole.

use dr_backends::tier2::Tier2;
use dr_formats::events::EventWalker;

use crate::chain::Chain;
use crate::contract::Measure;
use crate::error::Result;

/// Bytes that one read of a walk asks for. Payloads larger than this are skipped, not read.
const WALK_BYTES: usize = 1 << 20;

/// Walks the events of a segment from `start` to the end of its chain.
///
/// Content whose very first header is none is a byte stream. Content that stops being events later is suspicious and
/// reported as bytes too, so that nothing of it is cut.
///
/// # Errors
/// Tier-2 errors.
pub fn measure_events(chain: &Chain, start: u64, tier2: &dyn Tier2) -> Result<Measure> {
    let end = chain.end();
    let mut walker = EventWalker::new(start);
    let mut buffer = vec![0; usize::try_from(end - start).unwrap_or(WALK_BYTES).min(WALK_BYTES)];
    while walker.position() < end && walker.stopped_at().is_none() {
        if walker.skippable() > WALK_BYTES as u64 {
            walker.skip(end - walker.position());
            continue;
        }
        let length = usize::try_from(end - walker.position()).unwrap_or(WALK_BYTES).min(WALK_BYTES);
        chain.read(tier2, walker.position(), &mut buffer[..length])?;
        walker.push(&buffer[..length]);
    }
    if walker.stopped_at().is_some() {
        return Ok(Measure { content: "bytes".to_owned(), whole_length: end, items: 0 });
    }
    Ok(Measure { content: "events".to_owned(), whole_length: walker.whole_end(), items: walker.whole_events() })
}

//! The bytes of a segment: the files that were named, in this order, or the chunks that a root holds.

use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_engine::chunk_chain::ChunkChain;
use dr_engine::error::Result;
use dr_engine::listing::Listing;
use dr_engine::survey::{Survey, SurveyOptions};
use dr_formats::names::{ChunkName, owning_container};

use super::super::{Session, source};
use super::object::{Object, root_and_segment};
use super::sheet::Sheet;
use crate::arguments::SegmentArguments;

/// Bytes of a segment from an offset on.
#[derive(Debug)]
pub(super) struct SegmentContent {
    /// As it was named.
    pub(super) title: String,
    /// The segment, as far as names tell; may be empty.
    pub(super) segment: String,
    /// Segment offset of the first byte.
    pub(super) start: u64,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// Bytes behind them that were not read.
    pub(super) left_out: u64,
}

impl SegmentContent {
    /// Reads files, or the segment of a root.
    ///
    /// # Errors
    /// `object-unreadable`; Tier-2 errors.
    pub(super) fn read(session: &Session, sheet: &mut Sheet<'_>, arguments: &SegmentArguments) -> Result<Self> {
        if let Some((root, segment)) = root_and_segment(&arguments.objects) {
            let tier2 = source::open(root)?;
            let chain = chain_of(session, sheet, &tier2, &segment, None)?;
            let (start, title) = (chain.first_offset(), segment.clone());
            let bytes = chain.read(tier2.as_ref(), start, arguments.object.max_bytes)?;
            let left_out = chain.end() - start - bytes.len() as u64;
            return Ok(Self { title, segment, start, bytes, left_out });
        }
        let mut content =
            Self { title: String::new(), segment: String::new(), start: 0, bytes: Vec::new(), left_out: 0 };
        for (index, path) in arguments.objects.iter().enumerate() {
            let object = Object::read(path, &arguments.object)?;
            if index == 0 {
                let chunk = ChunkName::parse(&object.key);
                content.start = chunk.map_or(0, |chunk| chunk.offset);
                content.segment = chunk.map_or_else(|| object.key.clone(), |chunk| chunk.segment.to_owned());
                content.title = object.name;
            }
            content.bytes.extend(object.bytes);
            content.left_out += object.left_out;
        }
        if let Some(named) = &arguments.name {
            named.clone_into(&mut content.segment);
        }
        Ok(content)
    }
}

/// The chunks of a segment; by the names of objects alone, if the metadata cannot be read.
pub(super) fn chain_of(
    session: &Session,
    sheet: &mut Sheet<'_>,
    tier2: &Arc<dyn Tier2>,
    segment: &str,
    container_count: Option<u32>,
) -> Result<ChunkChain> {
    let options = SurveyOptions { container_count };
    let survey = Survey::look(tier2.clone(), options, session.progress.as_ref());
    match survey.and_then(|survey| ChunkChain::of(&survey, segment)) {
        Ok(chain) => Ok(chain),
        Err(error) if matches!(error.code, "metadata-damaged" | "table-damaged") => {
            sheet.damage(None, &format!("{error}; only names and sizes of objects are looked at"));
            let listing = Listing::take(tier2.as_ref(), container_count, session.progress.as_ref())?;
            let container = owning_container(segment, listing.container_count());
            let objects = listing.objects(container);
            Ok(ChunkChain::by_names(container, &objects, segment))
        }
        Err(error) => Err(error),
    }
}

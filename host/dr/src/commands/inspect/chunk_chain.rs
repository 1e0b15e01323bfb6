//! `dr inspect chunk-chain`: the chunks of a segment as metadata records them, beside the objects.

use dr_engine::error::Result;

use super::super::{Session, source};
use super::segment::chain_of;
use super::sheet::{Fields, Sheet};
use crate::arguments::ChunkChainArguments;

/// Shows the chain and what it amounts to.
pub(super) fn run(session: &Session, sheet: &mut Sheet<'_>, arguments: &ChunkChainArguments) -> Result<()> {
    let tier2 = source::open(&arguments.root)?;
    let segment = &arguments.segment;
    let chain = chain_of(session, sheet, &tier2, segment, arguments.container_count)?;
    let title = Fields::new().with("container", chain.container).with("recorded_length", chain.recorded_length);
    sheet.title("chunk-chain", segment, &title);
    for link in &chain.links {
        let fields = Fields::new()
            .with("recorded_length", link.recorded_length)
            .with("size", link.size)
            .with("epoch", link.epoch)
            .with("key", link.key.as_str());
        sheet.found(Some(link.offset), link.state, &fields);
        if matches!(link.state, "missing-object" | "shorter-object") {
            sheet.damage(Some(link.offset + link.size.unwrap_or(0)), &format!("{}: `{}`", link.state, link.key));
        }
    }
    let verdict = Fields::new()
        .with("standing", chain.standing)
        .with("sealed", chain.sealed)
        .with("start_offset", chain.start_offset)
        .with("length", chain.end())
        .with("findings", chain.findings.join(","));
    sheet.found(Some(chain.end()), "verdict", &verdict);
    if chain.findings.contains(&"chain-broken") {
        sheet.damage(Some(chain.end()), "the records name a chunk that has no record");
    }
    if chain.links.is_empty() && chain.standing == Some("unrecorded") {
        sheet.damage(None, "neither metadata nor objects know this segment");
    }
    Ok(())
}

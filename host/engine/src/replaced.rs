//! Which stream segments the controller had sealed and replaced.
//!
//! The seal of a segment reaches Tier-2 with its container, the controller's word that it was sealed with another one.
//! So a crash can leave the word without the seal; and the seal of a segment that never had a byte is in no storage
//! record at all. A reader would wait for ever at the end of such a segment instead of going on to its successors.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use dr_backends::tier2::Tier2;
use dr_formats::controller::sealed_segment_of_key;
use dr_formats::names::{ControllerTable, stream_segment_name};

use crate::chain::{Chain, chain_by_names};
use crate::error::Result;
use crate::listing::{ChunkObject, ContainerObjects};
use crate::table_scan::scan_table;

/// Metadata tables up to this size tell of no sealed segment: the rows of a new stream alone take some 750 bytes, those
/// of one scaling as many again. Most streams are never scaled, so most tables need not be read.
const UNSCALED_BYTES_MAX: u64 = 900;

/// Names of segments that the controller had sealed when it replaced them.
#[derive(Debug, Default)]
pub struct ReplacedSegments(HashSet<Box<str>>);

impl ReplacedSegments {
    /// Reads the metadata table of every stream that may have been scaled.
    ///
    /// # Errors
    /// Tier-2 errors. Damage in a table is left to the container that owns it: here it only ends what can be known.
    pub fn read(containers: &[Arc<ContainerObjects>], tier2: &dyn Tier2) -> Result<Self> {
        let mut replaced = HashSet::new();
        for (stream, tables) in metadata_tables(containers) {
            // With the leftovers of a deleted namesake beside it, no table alone is the truth.
            let [chunks] = tables.as_slice() else { continue };
            if chunks.iter().map(|chunk| chunk.size).sum::<u64>() > UNSCALED_BYTES_MAX {
                read_table(stream, &chain_by_names(chunks), tier2, &mut replaced)?;
            }
        }
        Ok(Self(replaced))
    }

    /// True if the controller had sealed this segment.
    pub fn contains(&self, segment: &str) -> bool {
        self.0.contains(segment)
    }
}

/// The chunks of every stream's metadata tables, a list for each table, by scope and stream.
fn metadata_tables(containers: &[Arc<ContainerObjects>]) -> BTreeMap<(&str, &str), Vec<Vec<&ChunkObject>>> {
    let mut by_segment: BTreeMap<&str, Vec<&ChunkObject>> = BTreeMap::new();
    for chunk in containers.iter().flat_map(|objects| objects.controller_chunks()) {
        by_segment.entry(chunk.segment()).or_default().push(chunk);
    }
    let mut by_stream: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (segment, chunks) in by_segment {
        if let Some(ControllerTable::Stream { scope, stream, name: "metadata", .. }) = ControllerTable::parse(segment) {
            by_stream.entry((scope, stream)).or_default().push(chunks);
        }
    }
    by_stream
}

fn read_table(
    (scope, stream): (&str, &str),
    chain: &Chain,
    tier2: &dyn Tier2,
    replaced: &mut HashSet<Box<str>>,
) -> Result<()> {
    let mut newest: HashMap<i64, ((i64, u64), bool)> = HashMap::new();
    scan_table(chain, chain.first_start, chain.end(), tier2, &mut |entry| {
        let segment = std::str::from_utf8(entry.key).ok().and_then(sealed_segment_of_key);
        if let Some(segment) = segment
            && newest.get(&segment).is_none_or(|(rank, _)| entry.rank() >= *rank)
        {
            newest.insert(segment, (entry.rank(), entry.value.is_some()));
        }
    })?;
    let sealed = newest.into_iter().filter(|(_, (_, exists))| *exists);
    replaced.extend(sealed.map(|(segment, _)| stream_segment_name(scope, stream, segment).into()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;
    use dr_formats::table::write_entry;

    use super::*;

    const TABLE: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000001";
    const OTHER: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000002";

    /// The rows of a metadata table, behind as many bytes as a stream's other rows take.
    fn rows(rows: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_entry(b"configuration", Some(&[0; 900]), None, &mut bytes).unwrap();
        for (key, value) in rows {
            write_entry(key.as_bytes(), *value, None, &mut bytes).unwrap();
        }
        bytes
    }

    fn read(tables: &[(&str, Vec<u8>)]) -> ReplacedSegments {
        let tier2 = MemoryTier2::new();
        let container = |(table, bytes): &(&str, Vec<u8>)| {
            let chunk = ChunkObject::for_test(table, 0, 1, bytes.len() as u64);
            tier2.create(&chunk.key, bytes).unwrap();
            Arc::new(ContainerObjects { chunks: vec![chunk], ..ContainerObjects::default() })
        };
        let containers: Vec<_> = tables.iter().map(container).collect();
        ReplacedSegments::read(&containers, &tier2).unwrap()
    }

    #[test]
    fn segments_are_replaced_by_the_word_of_the_controller() {
        let table = rows(&[
            ("segmentSealedEpochPath-0", Some(&[0, 0, 0, 1])),
            ("segmentSealedEpochPath-4294967297", Some(&[0, 0, 0, 2])),
            ("segmentSealedEpochPath-2", Some(&[0, 0, 0, 1])),
            ("segmentSealedEpochPath-2", None),
        ]);
        let replaced = read(&[(TABLE, table.clone())]);
        assert!(replaced.contains("scope/stream/0.#epoch.0") && replaced.contains("scope/stream/1.#epoch.1"));
        for other in ["scope/stream/2.#epoch.0", "scope/stream/1.#epoch.0", "scope/other/0.#epoch.0"] {
            assert!(!replaced.contains(other), "{other}");
        }
        // A namesake that was deleted had segments of the same names.
        let torn = [&table[..], &[0; 9]].concat();
        assert!(read(&[(TABLE, torn)]).contains("scope/stream/0.#epoch.0"));
        assert!(!read(&[(TABLE, table), (OTHER, rows(&[]))]).contains("scope/stream/0.#epoch.0"));
    }
}

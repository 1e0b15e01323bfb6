//! The decoders of `dr-formats`, all of them; a test compares this list with its sources.

mod attribute_index;
mod bookie_disk;
mod bookkeeper;
mod controller;
mod durable_log;
mod journal;
mod names;
mod primitives;
mod segments;
mod store_protocol;

use crate::decoder::Decoder;

/// All decoders, in the order of the table of results.
pub fn all() -> impl Iterator<Item = &'static Decoder> {
    let lists: [&'static [Decoder]; 10] = [
        primitives::DECODERS,
        journal::DECODERS,
        segments::DECODERS,
        attribute_index::DECODERS,
        durable_log::DECODERS,
        controller::DECODERS,
        bookkeeper::DECODERS,
        bookie_disk::DECODERS,
        names::DECODERS,
        store_protocol::DECODERS,
    ];
    lists.into_iter().flatten()
}

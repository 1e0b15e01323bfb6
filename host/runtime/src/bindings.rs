//! Bindings of the world `procedure`, generated from the contract. No file but those of `glue/` and the callers of the
//! four exports uses them.
#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit/0.1.0",
    world: "procedure",
    imports: { default: trappable },
    trappable_error_type: {
        "pravega:recovery/types.error" => crate::state::HostError,
    },
    with: {
        "pravega:recovery/storage.segment-listing": crate::glue::SegmentListing,
        "pravega:recovery/storage.object-listing": crate::glue::ObjectListing,
        "pravega:recovery/containers.fresh-container": crate::glue::FreshContainer,
        "pravega:recovery/containers.metadata-listing": crate::glue::MetadataListing,
        "pravega:recovery/controller.stream-listing": crate::glue::StreamListing,
        "pravega:recovery/controller.pending-work-listing": crate::glue::PendingWorkListing,
        "pravega:recovery/ledgers.ledger-listing": crate::glue::LedgerListing,
    },
});

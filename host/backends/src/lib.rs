//! Where bytes live: Tier-2 objects, ZNodes, ledgers, each behind a small synchronous trait, with the real thing, an
//! in-memory or directory double, and a fault wrapper for tests.

pub mod bookie_disk;
mod durable;
mod event_loop;
pub mod store;
pub mod tier1;
pub mod tier2;

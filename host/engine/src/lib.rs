//! The recovery itself: survey of what survived, staged containers, plan, apply, verify.
//!
//! Knows no Wasm and prints nothing. Everything is synchronous: work on containers runs on threads of the caller,
//! clients that need an event loop keep it inside their backend (design note 001).

pub mod apply;
mod attribute_index;
pub mod bookie_survey;
mod chain;
pub mod chunk_chain;
pub mod cluster;
mod committed;
mod content;
pub mod contract;
mod controller;
pub mod diagnose;
pub mod error;
mod evidence;
pub mod evidence_file;
pub mod export;
pub mod fresh;
mod hash_table;
mod image;
pub mod journal;
pub mod ledgers;
pub mod listing;
mod merged;
mod named_segments;
pub mod overlay;
pub mod plan;
mod pool;
pub mod process;
pub mod progress;
mod read_once;
mod reader_groups;
mod reconcile;
pub mod registration;
mod replay;
pub mod report;
mod run_file;
pub mod scratch;
pub mod staging;
mod stream_heads;
mod stream_tables;
pub mod survey;
mod table_index;
mod table_scan;
pub mod time;
mod unfinished;
mod unusable_groups;
mod unusable_names;
pub mod verify;
mod witness;

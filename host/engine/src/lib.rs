//! The recovery itself: survey of what survived, staged containers, plan, apply, verify.
//!
//! Knows no Wasm and prints nothing. Everything is synchronous: work on containers runs on threads of the caller,
//! clients that need an event loop keep it inside their backend (design note 001).

pub mod contract;
pub mod error;

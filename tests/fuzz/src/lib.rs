//! Fuzzing of every decoder of `dr-formats`, on stable Rust.
//!
//! Inputs are mutations of what real servers wrote (the captured trees) and of what our own encoders write. An input is a
//! function of seed, decoder and number, so that a run can be repeated on any machine with any number of threads. Each
//! decoder has a *check*: it decodes, asserts what must hold of the result, and encodes it again where there is an encoder.
//! A panic, an allocation out of proportion to the input, or an input that does not end is a *finding*. Findings are
//! minimised and written to `regressions/`, which the tests of this crate replay.

pub mod campaign;
pub mod decoder;
pub mod decoders;
pub mod judge;
pub mod minimise;
pub mod mutate;
pub mod regressions;
pub mod seeds;

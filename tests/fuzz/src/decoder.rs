//! What is known of one decoder under test.

use fastrand::Rng;

use crate::seeds::Captured;

/// What a check saw of one input. What must not happen, it asserts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The decoder returned an error, or found nothing.
    Refused,
    /// It returned something, which has no encoder or which the encoder refused.
    Accepted,
    /// It returned something that was the same after encoding and decoding it once more.
    RoundTripped,
}

/// A decoder under test; several functions of `dr-formats` if they take the same bytes.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// Its name on the command line and in `regressions/`.
    pub name: &'static str,
    /// The functions of `dr-formats` that the check calls, as `module::function` or `module::Type::function`.
    pub covers: &'static [&'static str],
    /// Well-formed inputs from which the others are made; at least one.
    pub seeds: fn(&Captured) -> Vec<Vec<u8>>,
    /// Mends checksums and lengths of a mutated input, so that it reaches what lies behind them.
    pub mend: Option<fn(&mut Vec<u8>, &mut Rng)>,
    /// Runs the decoder and asserts what must hold.
    pub check: fn(&[u8]) -> Outcome,
}

/// The outcome of decoding something that has an encoder; `decodes_to` says whether bytes decode to the same value.
///
/// An encoder may refuse what the decoder accepts: readers of Pravega take a few numbers that its writers do not write.
///
/// # Panics
/// If the encoding decodes to something else; that is a finding.
pub fn round_trip<T: std::fmt::Debug, E, F>(
    decoded: Result<T, E>,
    encode: impl FnOnce(&T) -> Result<Vec<u8>, F>,
    decodes_to: impl FnOnce(&[u8], &T) -> bool,
) -> Outcome {
    let Ok(value) = decoded else { return Outcome::Refused };
    let Ok(encoded) = encode(&value) else { return Outcome::Accepted };
    assert!(decodes_to(&encoded, &value), "{value:?} is something else after encoding");
    Outcome::RoundTripped
}

//! Pseudo-random numbers that are the same everywhere (SplitMix64).

use dr_formats::primitives::Uuid;

/// A sequence of numbers.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Appends random bytes.
    pub(super) fn fill(&mut self, count: usize, bytes: &mut Vec<u8>) {
        let end = bytes.len() + count;
        while bytes.len() < end {
            bytes.extend_from_slice(&self.next().to_be_bytes());
        }
        bytes.truncate(end);
    }

    /// A UUID of version 4, as servers draw them.
    pub(super) fn uuid(&mut self) -> Uuid {
        let most = self.next() & !0xf000 | 0x4000;
        let least = self.next() >> 2 | 1 << 63;
        // The same bits, as Java has them.
        Uuid::from_halves(most as i64, least as i64)
    }
}

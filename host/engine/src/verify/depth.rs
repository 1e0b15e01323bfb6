//! How much of Tier-2 a verification reads.

use sha2::{Digest as _, Sha256};

/// Parts of the whole in which a sample is measured.
const PARTS: u64 = 1_000_000;

/// How much is read. The metadata in the logs are checked in any case, all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Depth {
    /// Of which segments the objects are read; none for all.
    pub sample: Option<Sample>,
    /// Read every byte, not only those of tables and attribute indexes.
    pub read_data: bool,
}

/// Some of the segments, the same ones for the same seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many of a hundred.
    pub percent: f64,
    /// Chooses others.
    pub seed: u64,
}

impl Depth {
    /// True if the objects of this segment are read.
    pub fn includes(&self, segment: &str) -> bool {
        self.sample.is_none_or(|sample| sample.includes(segment))
    }
}

impl Sample {
    fn includes(self, segment: &str) -> bool {
        let digest = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(segment).finalize();
        let part = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)) % PARTS;
        (part as f64) < self.percent / 100.0 * PARTS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included(percent: f64, seed: u64) -> Vec<u32> {
        let depth = Depth { sample: Some(Sample { percent, seed }), read_data: false };
        (0..10_000).filter(|number| depth.includes(&format!("scope/stream/{number}.#epoch.0"))).collect()
    }

    #[test]
    fn a_sample_is_as_large_as_was_asked_and_always_the_same() {
        let ten = included(10.0, 1);
        assert!((900..1100).contains(&ten.len()), "{}", ten.len());
        assert_eq!(ten, included(10.0, 1));
        assert_ne!(ten, included(10.0, 2));
        // A larger sample holds the smaller one.
        let twenty = included(20.0, 1);
        assert!(ten.iter().all(|number| twenty.contains(number)));
        assert_eq!((included(0.0, 1).len(), included(100.0, 1).len()), (0, 10_000));
        assert!(Depth::default().includes("anything"));
    }
}

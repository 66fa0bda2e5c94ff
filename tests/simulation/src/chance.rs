//! Numbers that look random and follow from a seed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// What the state of SplitMix64 (Steele, Lea, Flood 2014) grows by.
pub(crate) const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's output for a state.
pub(crate) const fn mix(state: u64) -> u64 {
    let mut word = state.wrapping_add(STEP);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// A sequence of choices.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Of a seed and of what it is for, so that one more choice in one place changes nothing elsewhere.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let salt = purpose.bytes().fold(0_u64, |salt, byte| mix(salt ^ u64::from(byte)));
        Self(mix(seed ^ salt))
    }

    pub(crate) fn next(&mut self) -> u64 {
        let word = mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        word
    }

    pub(crate) fn among(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    pub(crate) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.among(range))
    }

    /// True so often, in a hundred.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// One of them; they are not empty.
    pub(crate) fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.next() as usize % of.len()]
    }
}

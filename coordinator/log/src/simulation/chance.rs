//! Numbers that look random and are the same every time.

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, and good enough to choose faults.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// At most `limit`.
    pub(super) fn up_to(&mut self, limit: usize) -> usize {
        (self.next() % (limit as u64 + 1)) as usize
    }

    pub(super) fn coin(&mut self) -> bool {
        self.next() & 1 == 0
    }
}

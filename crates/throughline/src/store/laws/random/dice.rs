//! Numbers that a seed decides.

/// A generator that is good enough to pick operations and the same everywhere (splitmix64).
pub(in crate::store::laws) struct Dice(u64);

impl Dice {
    pub(in crate::store::laws) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end`, which is not among them.
    pub(in crate::store::laws) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(in crate::store::laws) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

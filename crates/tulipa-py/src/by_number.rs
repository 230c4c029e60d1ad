//! Tables by descriptor number.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What is known of descriptors, by their number. The kernel gives out the numbers, the lowest first, so nobody can choose
/// them to collide, and a multiplication spreads them well enough.
pub(crate) type ByNumber<T> = HashMap<i32, T, BuildHasherDefault<NumberHasher>>;

#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl NumberHasher {
    /// Odd, and 2^64 divided by the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    fn mix(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(Self::SPREAD);
    }
}

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }

    #[inline]
    fn write_i32(&mut self, number: i32) {
        self.mix(u64::from(number.cast_unsigned()));
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

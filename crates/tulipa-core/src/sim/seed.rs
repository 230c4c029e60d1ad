//! Where chance comes from: one number, from which everything that varies in a simulated world follows.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The number that a simulated world grows from. The same seed gives the same world and the same [`Trace`].
///
/// Printed in hexadecimal, and read back from that form or from a decimal number.
///
/// [`Trace`]: super::Trace
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// The dice that this seed throws.
    #[must_use]
    pub fn dice(self) -> Dice {
        Dice(fastrand::Rng::with_seed(self.0))
    }

    /// A seed of its own for one part of a world, so that what one part draws never shifts what another does.
    #[must_use]
    pub fn part(self, part: u64) -> Self {
        // The golden ratio's bits, as in SplitMix64: neighbouring parts become distant seeds.
        Self(self.0.rotate_left(17) ^ part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl FromStr for Seed {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.map(Self)
    }
}

/// How often something happens, from [`Chance::NEVER`] to always.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Chance(f64);

impl Chance {
    /// Not once.
    pub const NEVER: Self = Self(0.0);

    /// In this many of a hundred cases.
    #[must_use]
    pub const fn percent(percent: f64) -> Self {
        Self(percent / 100.0)
    }
}

/// A source of chance that always gives the same sequence for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(fastrand::Rng);

impl Dice {
    /// Whether something that happens this often happens now.
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance > Chance::NEVER && self.0.f64() < chance.0
    }

    /// One of the numbers below `end`; zero if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.usize(..end) }
    }

    /// One of the numbers from `first` to `last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        self.0.usize(first..=last.max(first))
    }

    /// A time span between the two, in seconds.
    pub fn secs(&mut self, (shortest, longest): (f64, f64)) -> f64 {
        shortest + (longest - shortest) * self.0.f64()
    }

    /// One of several things; `None` if there is none.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(self.below(things.len()))
    }

    /// Brings the things into another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        self.0.shuffle(things);
    }
}

#[cfg(test)]
mod tests {
    use super::{Chance, Seed};

    #[test]
    fn a_printed_seed_can_be_read_back() {
        for seed in [Seed(0), Seed(7), Seed(u64::MAX)] {
            assert_eq!(seed.to_string().parse(), Ok(seed));
        }
        assert_eq!("12".parse(), Ok(Seed(12)));
        assert!("twelve".parse::<Seed>().is_err());
    }

    #[test]
    fn parts_of_a_seed_throw_different_dice() {
        let throws = |part| {
            let mut dice = Seed(1).part(part).dice();
            [(); 8].map(|()| dice.below(1000))
        };
        assert_eq!(throws(0), throws(0));
        assert_ne!(throws(0), throws(1));
    }

    #[test]
    fn never_is_never_and_always_is_always() {
        let mut dice = Seed(1).dice();
        assert!((0..1000).all(|_| !dice.happens(Chance::NEVER) && dice.happens(Chance::percent(100.0))));
    }
}

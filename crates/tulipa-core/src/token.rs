//! Names for things that a driver and the loop both speak of.

/// The name of one slot for one life of its occupant (R1).
///
/// An index is used again after its occupant is gone, with another generation: a token kept from before then resolves
/// to nothing, so a late completion can never reach a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    index: u32,
    generation: u32,
}

impl Token {
    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    pub(crate) const fn index(self) -> usize {
        self.index as usize
    }

    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }

    /// The token as one number, for pollers that carry 64 bits of user data.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The token that [`Token::to_bits`] gave this number for. Any number is safe: a token that names no occupant
    /// resolves to nothing.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart again")]
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

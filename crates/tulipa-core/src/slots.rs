//! The table of everything that is open, by token (R1).

use slab::Slab;

use crate::token::Token;

/// A slab whose keys carry a generation: a key kept after its entry left finds nothing.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Slab<(u32, T)>,
    /// The generation of the next entry; one counter for all indices, so that no index can repeat one until 2^32
    /// entries have come and gone.
    generation: u32,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: Slab::new(), generation: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> Token {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = self.entries.insert((generation, value));
        debug_assert!(u32::try_from(index).is_ok(), "descriptors number less than 2^32");
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer descriptors than 2^32")]
        Token::new(index as u32, generation)
    }

    #[inline]
    pub(crate) fn get(&self, token: Token) -> Option<&T> {
        match self.entries.get(token.index()) {
            Some((generation, value)) if *generation == token.generation() => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        match self.entries.get_mut(token.index()) {
            Some((generation, value)) if *generation == token.generation() => Some(value),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        Some(self.entries.remove(token.index()).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Token, &T)> {
        self.entries.iter().map(|(index, (generation, value))| {
            #[expect(clippy::cast_possible_truncation, reason = "see insert")]
            (Token::new(index as u32, *generation), value)
        })
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, (_, value))| value)
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.entries.drain().map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Slots;
    use crate::token::Token;

    proptest! {
        /// The table does what a map from tokens that are never given out twice does.
        #[test]
        fn slots_are_a_map_of_unique_tokens(acts in prop::collection::vec(any::<(bool, usize)>(), 0..300)) {
            let mut slots = Slots::new();
            let mut map = BTreeMap::new();
            let mut given: Vec<Token> = Vec::new();
            for (value, (insert, nth)) in (0..).zip(acts) {
                if insert || given.is_empty() {
                    let token = slots.insert(value);
                    prop_assert!(!given.contains(&token), "given out twice");
                    given.push(token);
                    map.insert(token, value);
                } else {
                    let token = given[nth % given.len()];
                    prop_assert_eq!(slots.remove(token), map.remove(&token));
                }
                prop_assert_eq!(slots.len(), map.len());
                for token in &given {
                    prop_assert_eq!(slots.get(*token), map.get(token));
                    prop_assert_eq!(slots.get_mut(*token).is_some(), map.contains_key(token));
                }
            }
            let seen: BTreeMap<Token, i32> = slots.iter().map(|(token, value)| (token, *value)).collect();
            prop_assert_eq!(&seen, &map);
            let mut drained: Vec<i32> = slots.drain().collect();
            drained.sort_unstable();
            let mut expected: Vec<i32> = map.into_values().collect();
            expected.sort_unstable();
            prop_assert_eq!(drained, expected);
        }
    }

    #[test]
    fn a_token_of_a_former_occupant_resolves_to_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert('a');
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert('b');
        assert_eq!(first.index(), second.index(), "the index is used again");
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(Token::from_bits(second.to_bits())), Some(&'b'));
        assert_eq!(slots.get(Token::from_bits(u64::MAX)), None);
    }
}

//! Rounds: looking after those who wait for a descriptor that the program may have closed.
//!
//! A closed descriptor leaves some pollers in silence, and whoever waits for it would wait for ever (R6, T35). The world
//! above can tell, if it is asked; only the program's own code closes anything, so it is asked after a batch has run.
//!
//! 1. Nobody is asked while nobody waits.
//! 2. A turn asks about few, so that many who wait cost a busy loop next to nothing; each one's turn comes, in a ring.
//! 3. A loop with nothing else to do sleeps through only when all have been asked about. Until then it wakes now and then
//!    and asks about more at a time.

use std::collections::VecDeque;

use crate::token::Token;

/// How many a turn asks about after a batch.
const BUSY_COUNT: usize = 4;

/// How many it asks about when nothing has happened since the last turn.
const IDLE_COUNT: usize = 256;

/// The longest wait of a loop that has not asked about all, in seconds.
pub(crate) const PAUSE_SECS: f64 = 0.01;

/// The ring of watches that somebody waits for. Those for which nobody does any more leave when their turn comes.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    ring: VecDeque<Token>,
    /// How many at the front of `ring` were not asked about since the last batch.
    left: usize,
    /// How many of them this turn may still ask about.
    budget: usize,
}

impl Rounds {
    pub(crate) fn join(&mut self, token: Token) {
        self.ring.push_back(token);
    }

    /// Ends a turn: the next one may ask again, about all if a batch has run.
    pub(crate) fn turn_ends(&mut self, ran: bool) {
        if ran {
            self.left = self.ring.len();
        }
        self.budget = if ran { BUSY_COUNT } else { IDLE_COUNT };
    }

    /// Whether somebody is left to ask about.
    pub(crate) const fn are_due(&self) -> bool {
        self.left > 0
    }

    /// Takes the next one out of the ring, if it may be asked about in this turn.
    pub(crate) fn next(&mut self) -> Option<Token> {
        if self.budget == 0 || self.left == 0 {
            return None;
        }
        self.left -= 1;
        self.ring.pop_front()
    }

    /// Puts one back who still waits.
    pub(crate) fn asked(&mut self, token: Token) {
        self.budget -= 1;
        self.ring.push_back(token);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{BUSY_COUNT, IDLE_COUNT, Rounds};
    use crate::token::Token;

    fn round(rounds: &mut Rounds) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Some(token) = rounds.next() {
            seen.push(token.to_bits());
            rounds.asked(token);
        }
        seen
    }

    fn ring(length: u64) -> Rounds {
        let mut rounds = Rounds::default();
        (0..length).for_each(|number| rounds.join(Token::from_bits(number)));
        rounds
    }

    #[test]
    fn a_batch_makes_all_due_once() {
        let mut rounds = ring(3);
        assert_eq!(round(&mut rounds), []);
        rounds.turn_ends(true);
        assert_eq!(round(&mut rounds), [0, 1, 2]);
        assert!(!rounds.are_due());
        rounds.turn_ends(false);
        assert_eq!(round(&mut rounds), [], "nothing has happened since");
        rounds.turn_ends(true);
        assert_eq!(round(&mut rounds), [0, 1, 2]);
    }

    #[test]
    fn a_busy_loop_asks_about_few_and_comes_round_to_all() {
        let count = 10 * BUSY_COUNT as u64 + 3;
        let mut rounds = ring(count);
        let mut seen = Vec::new();
        for _ in 0..11 {
            rounds.turn_ends(true);
            let some = round(&mut rounds);
            assert_eq!(some.len(), BUSY_COUNT);
            assert!(rounds.are_due());
            seen.extend(some);
        }
        seen.truncate(usize::try_from(count).expect("a small number"));
        assert_eq!(seen, (0..count).collect::<Vec<_>>());
    }

    #[test]
    fn an_idle_loop_asks_about_more_at_a_time_until_all_are_done() {
        let mut rounds = ring(BUSY_COUNT as u64 + IDLE_COUNT as u64 + 5);
        rounds.turn_ends(true);
        let mut lengths = Vec::new();
        while rounds.are_due() {
            lengths.push(round(&mut rounds).len());
            rounds.turn_ends(false);
        }
        assert_eq!(lengths, [BUSY_COUNT, IDLE_COUNT, 5]);
    }
}

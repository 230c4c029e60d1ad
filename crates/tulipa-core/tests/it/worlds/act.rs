//! What the program does of its own will, in any callback.

use super::world::{Favourite, Phase, World};
use crate::host::Owner;

/// Callbacks within callbacks end here.
const DEPTH_MAX: usize = 4;

impl World {
    /// A few acts, on anything that is open.
    pub(crate) fn act(&mut self) {
        if self.phase != Phase::Wild || self.depth == DEPTH_MAX {
            return;
        }
        self.depth += 1;
        for _ in 0..self.dice.below(4) {
            if self.acts_left == 0 {
                break;
            }
            self.acts_left -= 1;
            match self.dice.below(20) {
                0..8 if self.favourite == Favourite::Watches => self.act_on_watches(),
                0..8 if self.favourite == Favourite::Datagrams => self.act_on_datagrams(),
                0..12 => {
                    if let Some(owner) = self.any_stream() {
                        self.act_with(owner);
                    }
                }
                12 => self.act_on_listeners(),
                13 | 14 => self.act_on_datagrams(),
                15 | 16 => self.act_on_watches(),
                17 => self.open_something(),
                _ => self.act_on_calls(),
            }
        }
        self.depth -= 1;
    }

    /// The same, preferring the transport whose callback this is.
    pub(crate) fn act_on(&mut self, owner: Owner) {
        if self.phase == Phase::Wild && self.depth < DEPTH_MAX && self.acts_left > 0 && self.percent(60.0) {
            self.acts_left -= 1;
            self.depth += 1;
            self.act_with(owner);
            self.depth -= 1;
        }
        self.act();
    }

    fn act_with(&mut self, owner: Owner) {
        match self.dice.below(40) {
            0..18 => self.write(owner),
            18 => self.write_eof(owner),
            19 => self.close(owner),
            20 => self.abort(owner),
            21 => self.fail(owner),
            22..28 => self.pause_or_resume(owner),
            28..31 => self.set_marks(owner),
            31..34 => self.tell_drained(owner),
            34 | 35 => self.call_soon(),
            36 => self.open_something(),
            _ => self.act(),
        }
    }

    pub(crate) fn open_something(&mut self) {
        if self.streams.len() + self.datagrams.len() + self.listeners.len() + self.watches.len() >= 12 {
            return;
        }
        match self.dice.below(12) {
            8.. if self.favourite == Favourite::Watches => self.open_watch(),
            8.. if self.favourite == Favourite::Datagrams => self.open_datagram(),
            0 => self.open_listener(),
            1 => self.open_datagram(),
            2 => self.open_watch(),
            3 => self.open_and_release(),
            _ => self.open_stream(),
        }
    }

    /// A transport that never comes to life: its creation was cancelled.
    fn open_and_release(&mut self) {
        self.open_stream();
        let (owner, stream) = self.streams.last_key_value().unwrap();
        let (owner, token, end) = (*owner, stream.token, stream.end);
        self.release(token, owner);
        self.streams.remove(&owner);
        let connection = self.connection(end);
        connection.cut_short = true;
        connection.out.finished = true;
    }

    fn any_stream(&mut self) -> Option<Owner> {
        let nth = self.dice.below(self.streams.len());
        self.streams.keys().nth(nth).copied()
    }

    fn act_on_calls(&mut self) {
        match self.dice.below(6) {
            0 | 1 => self.call_soon(),
            2 => self.call_from_another_thread(),
            3 | 4 => self.call_later(),
            _ => self.cancel_timer(),
        }
    }
}

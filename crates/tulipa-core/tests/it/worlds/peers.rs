//! The other ends: they write, read, finish, vanish and break off between the program's turns.

use tulipa_core::Attempt;
use tulipa_core::sim::EndId;

use super::world::{Phase, World};

impl World {
    pub(crate) fn peers_act(&mut self) {
        let ends: Vec<EndId> = self.connections.keys().copied().collect();
        for end in ends {
            match self.phase {
                Phase::Wild => self.peer_acts(end),
                Phase::Settling => {
                    self.peer_reads_all(end);
                    self.peer_finishes(end);
                }
                Phase::Closing => self.peer_reads_all(end),
            }
        }
        self.others_act();
    }

    fn peer_acts(&mut self, end: EndId) {
        match self.dice.below(60) {
            0..12 => self.peer_writes(end),
            12..24 => {
                self.peer_reads(end, 1000);
            }
            24 => self.peer_finishes(end),
            25 if self.percent(40.0) => self.peer_closes(end),
            26 if self.percent(20.0) => self.peer_resets(end),
            27 if self.percent(20.0) => {
                let connection = self.connection(end);
                connection.peer_broken = true;
                let peer = connection.peer;
                self.lp.driver().peer(peer).time_out();
            }
            _ => {}
        }
    }

    fn peer_writes(&mut self, end: EndId) {
        let count = self.dice.between(1, 700);
        let Some(connection) = self.connections.get_mut(&end) else { return };
        if !connection.reads || !connection.peer_open || connection.peer_broken || connection.back.finished {
            return;
        }
        let bytes = connection.back.bytes(count);
        match self.lp.driver().peer(connection.peer).write(&bytes) {
            Ok(Attempt::Done(count)) => connection.back.took(count),
            Ok(Attempt::Pending) => {}
            Err(_) => connection.peer_broken = true,
        }
    }

    /// Returns whether there was anything.
    fn peer_reads(&mut self, end: EndId, most: usize) -> bool {
        let mut into = vec![0; most];
        let Some(connection) = self.connections.get_mut(&end) else { return false };
        if !connection.writes || !connection.peer_open || connection.peer_broken || connection.out.ended {
            return false;
        }
        match self.lp.driver().peer(connection.peer).read(&mut into) {
            Ok(Attempt::Done(0)) => {
                let whole = connection.out.is_complete() || connection.cut_short;
                assert!(whole, "the peer sees an end before all bytes: {:?}", connection.out);
                assert!(connection.out.finished || connection.cut_short, "an end that nobody has written");
                connection.out.ended = true;
            }
            Ok(Attempt::Done(count)) => {
                connection.out.check(&into[..count]);
                return true;
            }
            Ok(Attempt::Pending) => {}
            Err(_) => connection.peer_broken = true,
        }
        false
    }

    fn peer_reads_all(&mut self, end: EndId) {
        while self.peer_reads(end, 65_536) {}
    }

    fn peer_finishes(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end) else { return };
        if connection.reads && connection.peer_open && !connection.peer_broken && !connection.back.finished {
            connection.back.finished = true;
            connection.peer_broken = self.lp.driver().peer(connection.peer).finish_write().is_err();
        }
    }

    pub(crate) fn peer_closes(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end) else { return };
        if connection.peer_open {
            connection.peer_open = false;
            connection.back.finished = true;
            self.lp.driver().peer(connection.peer).close();
        }
    }

    fn peer_resets(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end) else { return };
        if connection.peer_open {
            connection.peer_open = false;
            connection.back.finished = true;
            self.lp.driver().peer(connection.peer).reset();
        }
    }
}

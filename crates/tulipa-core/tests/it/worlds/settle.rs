//! How a world ends: everybody is given the chance to finish, and must; or everything is dropped at once.

use tulipa_core::Ends;
use tulipa_core::sim::{Chance, Faults};

use super::world::{Phase, World};
use crate::host::Owner;

impl World {
    /// What is neither program nor byte stream.
    pub(crate) fn others_act(&mut self) {
        self.datagram_peers_act();
        if self.phase == Phase::Wild && self.percent(5.0) {
            // Outside a turn, as a program does between two runs of its loop.
            self.act();
        }
        if self.phase == Phase::Wild && self.percent(3.0) {
            self.call_from_another_thread();
        }
        if self.phase == Phase::Wild && self.percent(30.0) {
            // So that a program that has closed everything goes on.
            self.acts_left = self.acts_left.saturating_sub(1);
            self.call_soon();
        }
    }

    /// Everybody reads and goes on, and nothing breaks any more: all that was written must arrive.
    pub(crate) fn settle(&mut self) {
        self.mark("settling", 0);
        self.phase = Phase::Settling;
        let faults = self.lp.driver().faults();
        let calm = Faults::none();
        *faults = Faults {
            resets: Chance::NEVER,
            time_outs: Chance::NEVER,
            refused_attaches: Chance::NEVER,
            refused_accepts: Chance::NEVER,
            descriptors_max: calm.descriptors_max,
            spurious: Chance::NEVER,
            ..faults.clone()
        };
        let (streams, datagrams, listeners): (Vec<Owner>, Vec<Owner>, Vec<Owner>) = (
            self.streams.keys().copied().collect(),
            self.datagrams.keys().copied().collect(),
            self.listeners.keys().copied().collect(),
        );
        streams.into_iter().for_each(|owner| self.pause_or_resume(owner));
        datagrams.into_iter().for_each(|owner| self.pause_or_resume_datagrams(owner));
        listeners.into_iter().for_each(|owner| self.pause_accepting(owner, false));
        self.run_until_quiet();
        self.check_all_arrived();
        self.check_all_accepted();
    }

    fn run_until_quiet(&mut self) {
        while self.turn() {}
    }

    fn check_all_arrived(&mut self) {
        for (owner, stream) in &self.streams {
            let connection = &self.connections[&stream.end];
            assert!(stream.started);
            let reader_gone = matches!(stream.ends, Ends::Write { .. }) && !connection.peer_open;
            assert!(!reader_gone, "{owner:?} never heard that its reader has gone");
            if !self.lp.is_closing(stream.token) && !matches!(stream.ends, Ends::Write { .. }) {
                assert!(stream.eof, "{owner:?} never saw the end: {connection:?}");
            }
            assert!(!stream.wants_drained && !stream.writing_paused || !connection.peer_open || connection.peer_broken);
        }
        for (end, connection) in &self.connections {
            let reads = connection.writes && connection.peer_open && !connection.peer_broken;
            if reads && !connection.cut_short {
                assert!(connection.out.is_complete(), "{end}: the peer waits for {:?}", connection.out);
            }
            if reads && connection.out.finished {
                assert!(connection.out.ended, "{end}: the peer waits for the end of {:?}", connection.out);
            }
        }
        for watch in &self.watches {
            let waiting = watch.sides.iter().map(|side| side.waiters.len()).sum::<usize>();
            assert_eq!(waiting, 0, "{}: operations wait for ever", watch.end);
        }
        for socket in self.datagrams.values() {
            assert_eq!(self.lp.buffer_size(socket.token), 0, "datagrams wait for ever");
        }
    }

    /// Everything is closed, and must end by itself.
    pub(crate) fn close_everything(&mut self) {
        self.mark("closing", 0);
        self.phase = Phase::Closing;
        let streams: Vec<Owner> = self.streams.keys().copied().collect();
        streams.into_iter().for_each(|owner| self.close(owner));
        let datagrams: Vec<Owner> = self.datagrams.keys().copied().collect();
        datagrams.into_iter().for_each(|owner| self.close_datagram(owner));
        let listeners: Vec<Owner> = self.listeners.keys().copied().collect();
        listeners.into_iter().for_each(|owner| self.close_listener(owner));
        while !self.watches.is_empty() {
            self.unwatch(0);
        }
        self.run_until_quiet();
        assert_eq!(self.calls.pending(), (0, 0), "every call has run");
    }

    /// What closing a loop does: everything comes back, each once.
    pub(crate) fn clear_everything(&mut self) {
        self.mark("clear", 0);
        let remains = self.lp.clear();
        let mut owners: Vec<_> = remains.iter().filter_map(|remains| remains.owner).collect();
        owners.sort();
        let expected = self.streams.keys().chain(self.datagrams.keys()).chain(self.listeners.keys());
        let mut expected: Vec<_> = expected.copied().collect();
        expected.sort();
        assert_eq!(owners, expected);
        let registered = self.watches.iter().flat_map(|watch| &watch.sides).filter_map(|side| side.callback);
        let mut calls = self.calls.all();
        calls.extend(registered);
        calls.sort();
        let mut back: Vec<_> = remains.iter().flat_map(|remains| remains.callbacks.iter().copied()).collect();
        back.sort();
        assert_eq!(back, calls);
        let waiters = remains.iter().map(|remains| remains.waiters.len()).sum::<usize>();
        assert_eq!(
            waiters,
            self.watches.iter().flat_map(|watch| &watch.sides).map(|side| side.waiters.len()).sum::<usize>()
        );
        self.streams.clear();
        self.datagrams.clear();
        self.listeners.clear();
        self.watches.clear();
        self.lp.poll().unwrap();
        assert_eq!(self.lp.collect(None), 0, "late completions find nobody");
    }
}

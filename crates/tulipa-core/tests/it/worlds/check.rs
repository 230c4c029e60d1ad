//! What must hold after every step.

use tulipa_core::{Direction, Held, Read, Sent, Written};

use super::world::World;
use crate::host::Waiter;

impl World {
    pub(crate) fn check(&mut self) {
        self.check_streams();
        self.check_dead_tokens();
        self.check_load();
        if self.percent(5.0) {
            self.check_held();
        }
    }

    fn check_streams(&mut self) {
        let owners: Vec<_> = self.streams.keys().copied().collect();
        for owner in owners {
            let looks = self.percent(10.0);
            let stream = &self.streams[&owner];
            let token = stream.token;
            let closing = self.lp.is_closing(token);
            assert!(closing || !stream.closing, "closed, and still open");
            assert_eq!(self.lp.is_reading(token), !closing && !stream.paused);
            assert_eq!(self.lp.marks(token), stream.marks);
            assert_eq!(self.lp.is_writing_paused(token), stream.writing_paused);
            assert_eq!(self.lp.eof_written(token), stream.eof_written);
            if !looks {
                continue;
            }
            let size = self.lp.buffer_size(token);
            // Asking has flushed, and may have found out that the stream is broken.
            let broken = self.lp.is_closing(token) && !closing;
            let out = &self.connections[&stream.end].out;
            // What is written in the background is queued until it is known to be written, and may have arrived before.
            let arrived = if self.background_writes { 0 } else { out.arrived };
            assert!(size <= out.written - arrived, "more is queued than was written and not read");
            if broken {
                assert_eq!(size, 0);
            } else if stream.writing_paused {
                let due = size <= stream.marks.0 && !stream.marks_changed && !self.lp.is_closing(token);
                assert!(!due, "resume_writing is due and was not called");
            } else {
                assert!(size <= stream.marks.1, "pause_writing is due and was not called");
            }
            if broken {
                let end = stream.end;
                self.connection(end).cut_short = true;
                self.streams.get_mut(&owner).unwrap().closing = true;
            }
        }
    }

    /// The token of a slot that is free, or somebody else's by now, does nothing.
    fn check_dead_tokens(&mut self) {
        let nth = self.dice.below(self.dead.len());
        let Some(token) = self.dead.get(nth).copied() else { return };
        let lp = &mut self.lp;
        let before = lp.load();
        assert!(lp.is_closing(token) && !lp.is_reading(token) && !lp.eof_written(token));
        assert_eq!((lp.buffer_size(token), lp.marks(token)), (0, (0, 0)));
        assert_eq!(lp.read(token, &mut [0]), Read::Nothing);
        assert_eq!(lp.write(token, vec![1]), Written::Dropped);
        assert_eq!(lp.send(token, vec![1], None), Sent::Dropped);
        assert_eq!(lp.receive(token, &mut [0]), Ok(None));
        assert!(matches!(lp.accept(token), Ok(None)));
        assert!(lp.begin(token).is_ok() && lp.pause_accepting(token, true).is_ok());
        assert!(lp.tell_drained(token) && !lp.set_marks(token, 0, 0));
        assert!(!lp.pause_reading(token) && !lp.resume_reading(token) && !lp.abort(token));
        lp.close(token);
        lp.write_eof(token);
        lp.fail(token, None);
        lp.eof_answered(token, false);
        assert!(lp.release(token).is_none() && lp.unwatch(token).is_none());
        for direction in [Direction::Read, Direction::Write] {
            assert!(lp.callback(token, direction).is_none() && !lp.has_waiters(token, direction));
            assert!(matches!(lp.set_callback(token, direction, None), Ok(None)));
            assert!(lp.served(token, direction, |_| true).is_none());
            lp.still_waits(token, direction);
        }
        assert_eq!(lp.load(), before, "a dead token changes nothing");
    }

    fn check_load(&self) {
        let load = self.lp.load();
        let (_, timers) = self.calls.pending();
        let busy = |watch: &&super::watches::WatchModel| {
            watch.sides.iter().any(|side| side.callback.is_some() || !side.waiters.is_empty())
        };
        let open = self.streams.len() + self.datagrams.len() + self.listeners.len();
        assert_eq!(load.open, open + self.watches.iter().filter(busy).count());
        assert_eq!(load.timers, timers);
    }

    /// A garbage collector sees everything that the loop holds, each as often as it is held.
    fn check_held(&self) {
        let (mut callbacks, mut waiters, mut owners) = (Vec::new(), 0, Vec::new());
        self.lp.held(&mut |held| match held {
            Held::Callback(call) => callbacks.push(*call),
            Held::Waiter(Waiter(_)) => waiters += 1,
            Held::Owner(owner) => owners.push(*owner),
        });
        owners.sort();
        let expected = self.streams.keys().chain(self.datagrams.keys()).chain(self.listeners.keys());
        let mut expected: Vec<_> = expected.copied().collect();
        expected.sort();
        assert_eq!(owners, expected);
        let sides = || self.watches.iter().flat_map(|watch| &watch.sides);
        assert_eq!(waiters, sides().map(|side| side.waiters.len()).sum::<usize>());
        let known = self.calls.all();
        let registered: Vec<_> = sides().filter_map(|side| side.callback).collect();
        assert!(callbacks.iter().all(|call| known.contains(call) || registered.contains(call)));
    }

    /// At the end nothing is left, and everything was closed exactly once.
    pub(crate) fn check_nothing_left(&mut self) {
        assert_eq!(self.lp.load().open, 0);
        assert!(self.streams.is_empty() && self.datagrams.is_empty() && self.listeners.is_empty());
        let driver = self.lp.driver();
        assert_eq!(driver.open(), 0, "every source is closed");
        assert_eq!(driver.attached(), 0);
    }
}

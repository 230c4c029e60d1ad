//! Descriptors of the program's own: waiters are served in their order, and only registered callbacks are called.

use std::collections::VecDeque;

use tulipa_core::sim::EndId;
use tulipa_core::{Attempt, Direction, Token};

use super::connections::Connection;
use super::world::{Phase, World};
use crate::host::{Call, Waiter};

#[derive(Debug)]
pub(crate) struct WatchModel {
    pub(crate) token: Token,
    pub(crate) end: EndId,
    pub(crate) sides: [Side; 2],
}

#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) callback: Option<Call>,
    pub(crate) waiters: VecDeque<Waiter>,
}

const DIRECTIONS: [Direction; 2] = [Direction::Read, Direction::Write];

/// Every callback that a watch ever had is a number beyond these.
const CALLBACKS_FROM: u32 = 1_000_000;

impl WatchModel {
    fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[usize::from(direction == Direction::Write)]
    }
}

impl World {
    pub(crate) fn open_watch(&mut self) {
        let (source, peer) =
            if self.percent(50.0) { self.lp.driver().local_pair() } else { self.lp.driver().stream_pair() };
        let end = source.id();
        let salt = self.fresh_id();
        self.connections.insert(end, Connection::new(salt, peer, true, true));
        self.mark("watch", salt);
        let token = self.lp.watch(source);
        assert!(self.lp.is_idle(token));
        self.watches.push(WatchModel { token, end, sides: [Side::default(), Side::default()] });
    }

    pub(crate) fn act_on_watches(&mut self) {
        let at = self.dice.below(self.watches.len());
        if self.watches.is_empty() {
            return;
        }
        let direction = DIRECTIONS[self.dice.below(2)];
        match self.dice.below(16) {
            0..9 => self.begin_operation(at, direction),
            9 | 10 => self.cancel_waiter(at, direction),
            11..13 => self.set_callback(at, direction, true),
            13 | 14 => self.set_callback(at, direction, false),
            _ if self.percent(30.0) => self.unwatch(at),
            _ => {}
        }
    }

    /// Tries first, and waits only if it must: as `sock_recv` and `sock_sendall` do.
    fn begin_operation(&mut self, at: usize, direction: Direction) {
        let (token, end) = (self.watches[at].token, self.watches[at].end);
        let queued = !self.watches[at].side(direction).waiters.is_empty();
        assert_eq!(self.lp.has_waiters(token, direction), queued);
        if !queued && self.operate(end, direction) {
            return;
        }
        let waiter = Waiter(self.fresh_id());
        match self.lp.wait(token, direction, waiter) {
            Ok(()) => self.watches[at].side(direction).waiters.push_back(waiter),
            Err((_, refused)) => assert_eq!(refused, waiter),
        }
    }

    /// One attempt. Returns whether it came to anything.
    fn operate(&mut self, end: EndId, direction: Direction) -> bool {
        let Self { lp, connections, dice, .. } = self;
        let connection = connections.get_mut(&end).unwrap();
        let mut peer = lp.driver().peer(end);
        if direction == Direction::Read {
            let mut into = vec![0; dice.between(1, 300)];
            match peer.read(&mut into) {
                Ok(Attempt::Done(count)) => {
                    connection.back.check(&into[..count]);
                    true
                }
                Ok(Attempt::Pending) => false,
                Err(_) => true,
            }
        } else {
            let count = dice.between(1, 300);
            match peer.write(&connection.out.bytes(count)) {
                Ok(Attempt::Done(count)) => {
                    connection.out.took(count);
                    true
                }
                Ok(Attempt::Pending) => false,
                Err(_) => {
                    connection.cut_short = true;
                    true
                }
            }
        }
    }

    pub(crate) fn retried(&mut self, token: Token, direction: Direction, waiter: Waiter) {
        self.mark("retry", waiter.0);
        let at = self.watches.iter().position(|watch| watch.token == token).unwrap();
        assert_eq!(self.watches[at].side(direction).waiters.front(), Some(&waiter), "the first waiter's turn");
        let end = self.watches[at].end;
        if self.operate(end, direction) {
            let served = self.lp.served(token, direction, |other| *other == waiter);
            assert_eq!(served, Some(waiter));
            self.watches[at].side(direction).waiters.pop_front();
        } else {
            self.lp.still_waits(token, direction);
        }
        self.act();
    }

    /// Asked after those who wait, now and then says that the program has closed what they wait for.
    pub(crate) fn make_rounds(&mut self) {
        while let Some((token, waiter)) = self.lp.next_on_rounds() {
            let at = self.watches.iter().position(|watch| watch.token == token).unwrap();
            let mut sides = self.watches[at].sides.iter().map(|side| side.waiters.front());
            assert!(sides.any(|first| first == Some(&waiter)), "{waiter:?} does not wait first");
            if self.phase == Phase::Wild && self.percent(2.0) {
                let waiters = self.watches[at].sides.iter_mut().flat_map(|side| side.waiters.drain(..));
                assert_eq!(self.lp.abandon(token), waiters.collect::<Vec<_>>());
                self.unwatch(at);
            }
        }
    }

    fn cancel_waiter(&mut self, at: usize, direction: Direction) {
        let (dice, watch) = (&mut self.dice, &mut self.watches[at]);
        let nth = dice.below(watch.side(direction).waiters.len());
        if let Some(waiter) = watch.side(direction).waiters.remove(nth) {
            assert_eq!(self.lp.served(watch.token, direction, |other| *other == waiter), Some(waiter));
        }
        assert_eq!(self.lp.served(watch.token, direction, |_| false), None);
    }

    fn set_callback(&mut self, at: usize, direction: Direction, set: bool) {
        let callback = set.then(|| Call(CALLBACKS_FROM + self.fresh_id()));
        let watch = &mut self.watches[at];
        let token = watch.token;
        let side = watch.side(direction);
        match self.lp.set_callback(token, direction, callback) {
            Ok(before) => assert_eq!(before, std::mem::replace(&mut side.callback, callback)),
            Err((_, refused)) => assert_eq!(refused, callback),
        }
        assert_eq!(self.lp.callback(token, direction), side.callback.as_ref());
    }

    /// Runs a watch's callback, if the call is one.
    pub(crate) fn watch_called(&mut self, call: Call) -> bool {
        if call.0 < CALLBACKS_FROM {
            return false;
        }
        let found = self.watches.iter_mut().enumerate().find_map(|(at, watch)| {
            DIRECTIONS.into_iter().find(|way| watch.side(*way).callback == Some(call)).map(|way| (at, way))
        });
        let (at, direction) = found.unwrap_or_else(|| panic!("{call:?} is registered nowhere"));
        let end = self.watches[at].end;
        if self.watches[at].side(direction).waiters.is_empty() {
            self.operate(end, direction);
        }
        // A level-triggered callback that is never removed would call on for ever.
        if self.phase != Phase::Wild || self.percent(20.0) {
            self.set_callback(at, direction, false);
        } else {
            self.act();
        }
        true
    }

    pub(crate) fn unwatch(&mut self, at: usize) {
        let watch = self.watches.swap_remove(at);
        let remains = self.lp.unwatch(watch.token).unwrap();
        let (callbacks, waiters): (Vec<_>, Vec<_>) =
            watch.sides.into_iter().map(|side| (side.callback, side.waiters)).unzip();
        assert_eq!(remains.owner, None);
        assert_eq!(remains.callbacks, callbacks.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(remains.waiters, waiters.into_iter().flatten().collect::<Vec<_>>());
        self.bury(watch.token);
        self.connection(watch.end).out.finished = true;
    }
}

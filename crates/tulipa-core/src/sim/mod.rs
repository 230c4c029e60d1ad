//! A world without an operating system: virtual time, a network of its own, misfortune by rule, and one [`Seed`].
//!
//! [`SimDriver`] keeps the contract of [`Driver`] as strictly as any kernel and adapter together: see `end.rs` for what
//! that means for reports. What happens follows from the seed and from what the program does, and from nothing else;
//! [`SimDriver::trace`] tells it in order. Nothing here waits: a wait moves the clock to the next event, and a wait that
//! could never end is an error that says who waits for what.
//!
//! The world around the program is in `world.rs`, what can go wrong in [`Faults`], the error codes in [`codes`].
//!
//! Broken promises of the loop's (asking again without a completion, attaching twice) are bugs and panic here; whatever
//! a program can do wrong is an error code.

mod clock;
pub mod codes;
mod datagram;
mod end;
mod faults;
mod listener;
mod nap;
mod reports;
mod seed;
mod stream;
mod trace;
mod world;

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;

use crate::driver::{Accepted, Attempt, Code, Completion, Driver, Interest, Received};
use crate::time::Instant;
use crate::token::Token;
use crate::watch::Direction;

use clock::{Clock, Event};
use end::{End, Holder, Kind, Watched};
use faults::Orders;

pub use end::{EndId, SimAddress, SimSource};
pub use faults::{Faults, Operation};
pub use nap::{SimNap, SimWaker};
pub use seed::{Chance, Dice, Seed};
pub use trace::Trace;
pub use world::Peer;

/// A [`Driver`] of a simulated world. See the top of this module.
#[derive(Debug)]
pub struct SimDriver {
    clock: Clock,
    dice: Dice,
    faults: Faults,
    orders: Orders,
    ends: BTreeMap<EndId, End>,
    next_id: u32,
    next_address: u32,
    completions: VecDeque<Completion>,
    waker: SimWaker,
    deadlock: Option<String>,
    opened: usize,
    closed: usize,
    trace: Trace,
    last_call: bool,
}

impl SimDriver {
    /// A world that grows from `seed`, with these faults.
    #[must_use]
    pub fn new(seed: Seed, faults: Faults) -> Self {
        Self {
            clock: Clock::new(),
            dice: seed.dice(),
            faults,
            orders: Orders::default(),
            ends: BTreeMap::new(),
            next_id: 1,
            next_address: 0,
            completions: VecDeque::new(),
            waker: SimWaker::default(),
            deadlock: None,
            opened: 0,
            closed: 0,
            trace: Trace::default(),
            last_call: false,
        }
    }

    /// A world where nothing goes wrong.
    #[must_use]
    pub fn calm() -> Self {
        Self::new(Seed(0), Faults::none())
    }

    /// Other rules from now on.
    pub const fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// Makes the next operation of this kind fail.
    pub fn fail_next(&mut self, operation: Operation, code: Code) {
        self.orders.add(operation, code);
    }

    /// What ends a wait from another thread.
    #[must_use]
    pub fn waker(&self) -> SimWaker {
        self.waker.clone()
    }

    /// Who waits for what, once a wait has found that it could never end.
    #[must_use]
    pub fn deadlock(&self) -> Option<&str> {
        self.deadlock.as_deref()
    }

    /// How many sources the program holds.
    #[must_use]
    pub const fn open(&self) -> usize {
        self.opened - self.closed
    }

    /// How many sources the program ever held.
    #[must_use]
    pub const fn opened(&self) -> usize {
        self.opened
    }

    /// How many the loop watches.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.ends.values().filter(|end| end.watched.is_some()).count()
    }

    /// What is reported for an end.
    #[must_use]
    pub fn interest(&self, id: EndId) -> Option<Interest> {
        Some(self.ends.get(&id)?.watched.as_ref()?.interest)
    }

    /// What has happened so far.
    pub const fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// Adds a completion of the test's own, true or not, to be reported at `secs` from now.
    pub fn forge(&mut self, secs: f64, completion: Completion) {
        self.clock.note(self.clock.now().after(secs), Event::Stale(completion));
    }

    fn watched(&mut self, source: &SimSource) -> Option<&mut Watched> {
        self.ends.get_mut(&source.0)?.watched.as_mut()
    }

    fn note(&mut self, source: &SimSource, what: &'static str, number: usize) {
        self.trace.add(self.clock.now(), source.0, what, number);
    }

    /// The loop's side of the bargain: it asks only once for each completion, and at the end once more.
    fn expect_allowed(&mut self, source: &SimSource, direction: Direction) {
        let allowed = self.last_call || self.watched(source).is_none_or(|watched| watched.may_ask(direction));
        assert!(allowed, "contract: {} was asked to {direction:?} again without a completion", source.0);
    }

    fn arm(&mut self, source: &SimSource, direction: Direction) {
        let look_again = !self.faults.tells_hangup;
        if let Some(watched) = self.watched(source) {
            watched.arm(direction, look_again);
        }
    }

    /// Takes an end out of the world, and lets its old token be heard of once more.
    fn forget(&mut self, id: EndId) {
        let watched = self.ends.remove(&id).and_then(|end| end.watched);
        if let Some(watched) = watched {
            self.leave_stale(watched.token);
        }
    }

    fn leave_stale(&mut self, token: Token) {
        if self.dice.happens(self.faults.stale) {
            let when = self.clock.now().after(self.dice.secs(self.faults.latency_secs));
            self.clock.note(when, Event::Stale(Completion { token, readable: true, writable: true, hangup: true }));
        }
    }

    fn close_end(&mut self, id: EndId) {
        match self.ends.get_mut(&id).map(|end| &mut end.kind) {
            Some(Kind::Stream(_)) => self.stream_closing(id),
            Some(Kind::Listener(listener)) => {
                for (waiting, _) in listener.abandon() {
                    self.stream_reset(waiting);
                    self.ends.remove(&waiting);
                }
            }
            Some(Kind::Datagram(_)) | None => {}
        }
        self.forget(id);
    }
}

impl Driver for SimDriver {
    type Source = SimSource;
    type Address = SimAddress;
    type Nap = SimNap;

    const BROKEN_PIPE: Code = codes::BROKEN_PIPE;

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn resolution(&self) -> f64 {
        1e-9
    }

    fn attach(&mut self, token: Token, source: &mut SimSource, interest: Interest) -> Result<(), Code> {
        self.orders.check(Operation::Attach)?;
        if self.dice.happens(self.faults.refused_attaches) {
            return Err(codes::TOO_MANY_WATCHED);
        }
        self.note(source, "attach", source.0.0 as usize);
        let end = self.ends.get_mut(&source.0).ok_or(codes::CLOSED)?;
        assert!(end.watched.is_none(), "contract: {} is attached already", source.0);
        assert!(end.holder == Holder::Program, "contract: {} is not the program's", source.0);
        end.watched = Some(Watched::new(token, interest));
        Ok(())
    }

    fn change(&mut self, token: Token, source: &mut SimSource, interest: Interest) -> Result<(), Code> {
        self.orders.check(Operation::Change)?;
        self.note(source, "change", usize::from(interest.read) | usize::from(interest.write) << 1);
        let watched = self.watched(source).ok_or(codes::CLOSED)?;
        assert!(watched.token == token, "contract: {} is attached under another token", source.0);
        *watched = Watched::new(token, interest);
        Ok(())
    }

    fn rearm(&mut self, source: &mut SimSource, direction: Direction) {
        self.arm(source, direction);
    }

    fn detach(&mut self, source: &mut SimSource) {
        self.note(source, "detach", 0);
        let watched = self.ends.get_mut(&source.0).and_then(|end| end.watched.take());
        if let Some(watched) = watched {
            self.leave_stale(watched.token);
        }
    }

    fn close(&mut self, source: SimSource) {
        self.note(&source, "close", 0);
        self.closed += 1;
        self.close_end(source.0);
    }

    fn last_call(&mut self) {
        self.last_call = true;
    }

    fn read(&mut self, source: &mut SimSource, into: &mut [u8]) -> Result<Attempt<usize>, Code> {
        assert!(!into.is_empty(), "contract: a read needs a place to read into");
        self.expect_allowed(source, Direction::Read);
        self.orders.check(Operation::Read)?;
        let attempt = self.stream_read(source.0, into)?;
        match attempt {
            Attempt::Done(count) => {
                self.note(source, "read", count);
                if count < into.len() {
                    self.arm(source, Direction::Read);
                }
            }
            Attempt::Pending => {
                self.note(source, "read nothing", 0);
                self.arm(source, Direction::Read);
            }
        }
        Ok(attempt)
    }

    fn write(&mut self, source: &mut SimSource, from: &[IoSlice<'_>]) -> Result<Attempt<usize>, Code> {
        let offered: usize = from.iter().map(|slice| slice.len()).sum();
        assert!(offered > 0, "contract: a write needs something to write");
        self.expect_allowed(source, Direction::Write);
        self.orders.check(Operation::Write)?;
        let attempt = self.stream_write_or_begin(source.0, from)?;
        match attempt {
            Attempt::Done(count) => {
                self.note(source, "write", count);
                if count < offered {
                    self.arm(source, Direction::Write);
                }
            }
            Attempt::Pending => {
                self.note(source, "write nothing", 0);
                self.arm(source, Direction::Write);
            }
        }
        Ok(attempt)
    }

    fn finish_write(&mut self, source: &mut SimSource) -> Result<(), Code> {
        self.note(source, "finish", 0);
        self.orders.check(Operation::FinishWrite)?;
        self.stream_finish(source.0)
    }

    fn accept(&mut self, source: &mut SimSource) -> Result<Attempt<Accepted<Self>>, Code> {
        self.note(source, "accept", 0);
        self.orders.check(Operation::Accept)?;
        self.listener_accept(source.0)
    }

    fn receive(&mut self, source: &mut SimSource, into: &mut [u8]) -> Result<Attempt<Received<Self>>, Code> {
        self.note(source, "receive", 0);
        self.orders.check(Operation::Receive)?;
        self.datagram_receive(source.0, into)
    }

    fn send(&mut self, source: &mut SimSource, datagram: &[u8], to: Option<&SimAddress>) -> Result<Attempt<()>, Code> {
        self.note(source, "send", datagram.len());
        self.orders.check(Operation::Send)?;
        self.datagram_send(source.0, datagram, to.copied())
    }

    fn poll(&mut self) -> Result<(), Code> {
        self.pass_turn();
        self.gather();
        Ok(())
    }

    fn nap(&mut self) -> SimNap {
        let now = self.clock.now();
        let next_event = if self.has_reports() { Some(now) } else { self.clock.next_event() };
        let who_waits = next_event.is_none().then(|| self.who_waits());
        SimNap { waker: self.waker.clone(), began: now, next_event, who_waits, ends: now, deadlock: false }
    }

    fn woken(&mut self, nap: SimNap) {
        if nap.deadlock {
            self.deadlock = nap.who_waits;
        }
        self.pass_turn();
        let late = self.dice.secs((0.0, self.faults.late_wakes_secs));
        if self.dice.happens(self.faults.early_wakes) {
            let span = (0.0, nap.ends.as_secs() - nap.began.as_secs());
            let early = nap.began.after(self.dice.secs(span));
            self.clock.move_to(early);
        } else {
            self.clock.move_to(nap.ends.after(late));
        }
        self.gather();
    }

    fn next_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }
}

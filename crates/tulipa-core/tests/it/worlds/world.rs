//! The world as a whole, and its turns.

use std::collections::{BTreeMap, VecDeque};

use tulipa_core::sim::{Chance, Dice, EndId, Faults, Seed, SimDriver, Trace};
use tulipa_core::{Nap, Step, Token, Wake};

use super::calls::CallBook;
use super::connections::Connection;
use super::datagrams::DatagramModel;
use super::listeners::ListenerModel;
use super::streams::StreamModel;
use super::watches::WatchModel;
use crate::host::{Calls, Owner, SimLoop, new_loop};

/// No world needs more turns than this; one that takes them makes no progress.
const TURNS_MAX: usize = 20_000;

/// What the program is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Anything goes.
    Wild,
    /// Everybody reads, writes out and finishes: whatever was written must arrive.
    Settling,
    /// Everything is closed: whatever was open must end.
    Closing,
}

/// What a world is mostly made of, so that each kind of thing meets many of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Favourite {
    Streams,
    Watches,
    Datagrams,
}

pub(crate) struct World {
    pub(crate) lp: SimLoop,
    pub(crate) inbox: Calls,
    pub(crate) dice: Dice,
    pub(crate) phase: Phase,
    /// What is written may go on in the background.
    pub(crate) background_writes: bool,
    /// How many things the program and its peers may still do of their own will.
    pub(crate) acts_left: usize,
    pub(crate) turn: usize,
    pub(crate) next_id: u32,
    /// What this world is mostly made of.
    pub(crate) favourite: Favourite,
    pub(crate) calls: CallBook,
    /// Every byte stream, by the program's end.
    pub(crate) connections: BTreeMap<EndId, Connection>,
    pub(crate) streams: BTreeMap<Owner, StreamModel>,
    pub(crate) datagrams: BTreeMap<Owner, DatagramModel>,
    pub(crate) listeners: BTreeMap<Owner, ListenerModel>,
    pub(crate) watches: Vec<WatchModel>,
    /// Tokens whose slots are free: they must resolve to nothing.
    pub(crate) dead: VecDeque<Token>,
    /// Callbacks within callbacks.
    pub(crate) depth: usize,
}

impl World {
    pub(crate) fn new(seed: Seed) -> Self {
        let mut dice = seed.part(1).dice();
        let faults = if dice.happens(Chance::percent(10.0)) { Faults::none() } else { Faults::seeded(seed) };
        let background_writes = faults.background_writes != Chance::NEVER;
        let (lp, inbox) = new_loop(SimDriver::new(seed, faults));
        let favourite = [Favourite::Streams, Favourite::Streams, Favourite::Watches, Favourite::Datagrams];
        let favourite = *dice.pick(&favourite).unwrap();
        let acts_left = dice.between(50, 500);
        Self {
            lp,
            inbox,
            dice,
            phase: Phase::Wild,
            background_writes,
            acts_left,
            turn: 0,
            next_id: 0,
            favourite,
            calls: CallBook::default(),
            connections: BTreeMap::new(),
            streams: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            listeners: BTreeMap::new(),
            watches: Vec::new(),
            dead: VecDeque::new(),
            depth: 0,
        }
    }

    pub(crate) fn trace(&mut self) -> Trace {
        self.lp.driver().trace().clone()
    }

    pub(crate) fn fresh_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn percent(&mut self, percent: f64) -> bool {
        self.dice.happens(Chance::percent(percent))
    }

    /// Writes what the program does between what the world does.
    pub(crate) fn mark(&mut self, what: &'static str, number: u32) {
        let now = self.lp.now();
        self.lp.driver().trace().mark(now, what, i64::from(number));
    }

    pub(crate) fn run(&mut self) {
        for _ in 0..self.dice.between(1, 4) {
            self.open_something();
        }
        self.call_soon();
        while self.acts_left > 0 {
            self.turn();
        }
        if self.percent(10.0) {
            self.clear_everything();
        } else {
            self.settle();
            self.close_everything();
        }
        self.check_nothing_left();
    }

    /// One turn, as a binding makes it. Returns whether anything happened or can still happen.
    pub(crate) fn turn(&mut self) -> bool {
        self.turn += 1;
        assert!(self.turn < TURNS_MAX, "no progress in {TURNS_MAX} turns: {:?}", self.lp.load());
        self.peers_act();
        self.make_rounds();
        let timeout = self.lp.timeout(None);
        self.calls.batch_begins();
        let mut quiet = false;
        if timeout == Some(0.0) {
            self.lp.poll().unwrap();
        } else {
            quiet = self.sleep(timeout).is_err();
        }
        if self.phase == Phase::Wild && self.percent(5.0) {
            self.call_from_another_thread();
        }
        let batch = self.lp.collect(None);
        let (now, resolution) = (self.lp.now(), 1e-9);
        self.calls.collected(now.end_of_tick(resolution));
        while let Some(step) = self.lp.next() {
            self.step(step);
            self.check();
        }
        self.calls.turn_ended();
        self.lp.flush();
        self.check();
        batch > 0 || !quiet
    }

    /// Sleeps as a binding does, with the inbox told.
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), ()> {
        if self.phase == Phase::Wild {
            let secs = self.dice.secs((0.0, 0.1));
            self.lp.driver().alarm(secs);
        }
        assert!(self.inbox.falls_asleep(), "the timeout looked into the inbox just now");
        let mut nap = self.lp.nap();
        if self.percent(10.0) {
            let waker = self.lp.driver().waker();
            waker.wake();
        }
        let result = nap.sleep(timeout);
        self.inbox.wakes_up();
        self.lp.woken(nap);
        if result.is_err() {
            let told = self.lp.driver().deadlock().unwrap().to_owned();
            assert!(told.starts_with("deadlock"), "{told}");
        }
        result.map_err(|_| ())
    }

    fn step(&mut self, step: Step<crate::host::TestHost>) {
        match step {
            Step::Call(call) => self.called(call),
            Step::Started(token, owner) => self.started(token, owner),
            Step::Readable(token, owner) => self.readable(token, owner),
            Step::Acceptable(token, owner) => self.acceptable(token, owner),
            Step::Resume(token, owner) => self.resumed(token, owner),
            Step::Drained(token, owner) => self.drained(token, owner),
            Step::SendFailed(token, owner, code) => self.send_failed(token, owner, code),
            Step::Lost(token, owner, code) => self.lost(token, owner, code),
            Step::Retry(token, direction, waiter) => self.retried(token, direction, waiter),
            Step::WatchFailed(_, _, code) => panic!("no change was refused, and yet one failed: {code:?}"),
        }
    }

    fn started(&mut self, token: Token, owner: Owner) {
        self.mark("connection_made", owner.0);
        if self.streams.contains_key(&owner) {
            self.stream_started(token, owner);
        } else {
            self.datagram_started(token, owner);
        }
    }

    fn readable(&mut self, token: Token, owner: Owner) {
        if self.streams.contains_key(&owner) {
            self.stream_readable(token, owner);
        } else {
            self.datagram_readable(token, owner);
        }
    }

    fn resumed(&mut self, token: Token, owner: Owner) {
        self.mark("resume_writing", owner.0);
        if self.streams.contains_key(&owner) {
            self.stream_resumed(token, owner);
        } else {
            self.datagram_resumed(token, owner);
        }
    }

    fn lost(&mut self, token: Token, owner: Owner, code: Option<tulipa_core::Code>) {
        self.mark("connection_lost", owner.0);
        if self.streams.contains_key(&owner) {
            self.stream_lost(token, owner, code);
        } else {
            self.datagram_lost(token, owner, code);
        }
    }

    /// Frees a slot, and checks that its owner comes back.
    pub(crate) fn release(&mut self, token: Token, owner: Owner) {
        let remains = self.lp.release(token).unwrap();
        assert_eq!(remains.owner, Some(owner), "a slot hands back its own owner");
        assert!(remains.callbacks.is_empty() && remains.waiters.is_empty());
        self.bury(token);
    }

    pub(crate) fn bury(&mut self, token: Token) {
        self.dead.push_front(token);
        self.dead.truncate(32);
    }
}

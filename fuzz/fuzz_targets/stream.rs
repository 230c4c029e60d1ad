//! Whatever a program and its peer do, in callbacks and between them, a stream loses and invents nothing and ends once.
#![no_main]

use std::collections::VecDeque;
use std::sync::Arc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tulipa_core::sim::{Chance, EndId, Faults, Seed, SimDriver};
use tulipa_core::{Attempt, Ends, Host, Inbox, Loop, Nap, Read, Step, Token, Written};

struct Numbers;

impl Host for Numbers {
    type Callback = u32;
    type Waiter = u32;
    type Owner = u32;
    type Chunk = Vec<u8>;
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Op {
    Turn,
    Write(u8),
    WriteEof,
    Close,
    Abort,
    Pause,
    Resume,
    Marks(u8, u8),
    TellDrained,
    BufferSize,
    CallSoon,
    PeerWrites(u8),
    PeerReads(u8),
    PeerFinishes,
    PeerCloses,
    PeerResets,
}

#[derive(Arbitrary, Debug)]
struct Program {
    /// What the world does by chance: short reads and writes, cuts, latency, spurious and late reports.
    seed: u64,
    calm: bool,
    local: bool,
    keep_open_at_eof: bool,
    ops: Vec<Op>,
}

/// More turns than any program here needs.
const TURNS_MAX: usize = 20_000;
/// Callbacks within callbacks, at most.
const DEPTH_MAX: usize = 4;

struct World {
    lp: Loop<SimDriver, Numbers>,
    token: Token,
    peer: EndId,
    script: VecDeque<Op>,
    depth: usize,
    turns: usize,
    keep_open_at_eof: bool,

    /// Bytes that the program wrote and the transport took, and that the peer has read.
    written: usize,
    arrived: usize,
    /// Bytes that the peer sent, and that the program was given.
    sent: usize,
    received: usize,

    started: bool,
    paused: bool,
    eof: bool,
    eof_written: bool,
    closing: bool,
    lost: bool,
    writing_paused: bool,
    wants_drained: bool,
    peer_open: bool,
    peer_finished: bool,
    /// Somebody has broken the connection, so that what is under way may be lost.
    cut_short: bool,
}

fn byte(at: usize) -> u8 {
    u8::try_from((at * 7 + at / 251) % 251).unwrap_or(0)
}

fn bytes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(byte).collect()
}

impl World {
    fn new(program: Program) -> Self {
        let seed = Seed(program.seed);
        let mut faults = if program.calm { Faults::none() } else { Faults::seeded(seed) };
        let never = Chance::percent(0.0);
        (faults.resets, faults.time_outs, faults.refused_attaches) = (never, never, never);
        let mut lp = Loop::new(SimDriver::new(seed, faults), Arc::new(Inbox::default()));
        let (source, peer) = if program.local { lp.driver().local_pair() } else { lp.driver().stream_pair() };
        let token = lp.open_stream(source, 1, Ends::Both);
        Self {
            lp,
            token,
            peer,
            script: program.ops.into_iter().take(300).collect(),
            depth: 0,
            turns: 0,
            keep_open_at_eof: program.keep_open_at_eof,
            written: 0,
            arrived: 0,
            sent: 0,
            received: 0,
            started: false,
            paused: false,
            eof: false,
            eof_written: false,
            closing: false,
            lost: false,
            writing_paused: false,
            wants_drained: false,
            peer_open: true,
            peer_finished: false,
            cut_short: false,
        }
    }

    fn run(&mut self) {
        while let Some(op) = self.script.pop_front() {
            self.act(op);
        }
        // Everybody reads and ends in due form: what was written arrives.
        self.act(Op::Resume);
        for _ in 0..200 {
            self.act(Op::PeerReads(255));
            self.turn();
        }
        self.act(Op::Resume);
        self.act(Op::Close);
        while !self.lost || (self.peer_open && !self.cut_short && self.arrived < self.written) {
            self.act(Op::PeerReads(255));
            self.turn();
        }
        if self.peer_open && !self.cut_short {
            assert_eq!(self.arrived, self.written, "what was written arrives");
        }
        assert_eq!(self.lp.driver().open(), 0, "the descriptor is closed");
        assert_eq!(self.lp.load().open, 0);
    }

    /// In a callback the program does what comes next in its script.
    fn callback(&mut self) {
        assert!(!self.lost, "nothing is told after the end");
        if self.depth < DEPTH_MAX {
            self.depth += 1;
            while let Some(op) = self.script.front().copied().filter(|op| !matches!(op, Op::Turn)) {
                self.script.pop_front();
                self.act(op);
            }
            self.depth -= 1;
        }
    }

    fn act(&mut self, op: Op) {
        match op {
            Op::Turn if self.depth == 0 => self.turn(),
            Op::Turn => {}
            Op::CallSoon => self.lp.call_soon(7),
            Op::PeerWrites(_) | Op::PeerReads(_) | Op::PeerFinishes | Op::PeerCloses | Op::PeerResets => {
                if self.peer_open {
                    self.peer_acts(op);
                }
            }
            _ if self.lost => {
                assert_eq!(self.lp.write(self.token, vec![1]), Written::Dropped, "a stale token is nothing");
                assert!(self.lp.is_closing(self.token) && !self.lp.is_reading(self.token));
            }
            Op::Write(count) => self.write(usize::from(count)),
            Op::WriteEof if !self.eof_written && !self.lp.is_closing(self.token) => {
                self.eof_written = true;
                self.lp.write_eof(self.token);
                assert!(self.lp.eof_written(self.token));
            }
            Op::WriteEof => {}
            Op::Close => {
                self.closing = true;
                self.lp.close(self.token);
                assert!(self.lp.is_closing(self.token) && !self.lp.is_reading(self.token));
            }
            Op::Abort => {
                self.closing = true;
                self.cut_short = true;
                self.lp.abort(self.token);
                assert!(!self.lp.abort(self.token), "only once");
            }
            Op::Pause => {
                let open = !self.lp.is_closing(self.token);
                assert_eq!(self.lp.pause_reading(self.token), open && !self.paused);
                self.paused |= open;
            }
            Op::Resume => {
                let open = !self.lp.is_closing(self.token);
                assert_eq!(self.lp.resume_reading(self.token), open && self.paused);
                self.paused &= !open;
            }
            Op::Marks(high, low) => {
                let high = usize::from(high);
                if self.lp.set_marks(self.token, high, usize::from(low).min(high)) {
                    self.pause_writing();
                }
            }
            Op::TellDrained => {
                let empty = self.lp.tell_drained(self.token);
                self.wants_drained = !empty;
                assert!(!empty || self.lp.buffer_size(self.token) == 0);
            }
            Op::BufferSize => {
                let size = self.lp.buffer_size(self.token);
                assert!(size <= self.written, "{size} bytes wait of {} written", self.written);
            }
        }
    }

    fn write(&mut self, count: usize) {
        if self.eof_written {
            return;
        }
        let closing = self.lp.is_closing(self.token);
        let (data, before) = (bytes(self.written, count), self.written);
        // Counted first: what it leads to is told within.
        self.written += count;
        match self.lp.write(self.token, data) {
            Written::Dropped => {
                assert!(closing, "bytes of an open stream are dropped");
                self.written = before;
            }
            Written::Pause => self.pause_writing(),
            _ => {}
        }
        self.cut_short |= self.lp.is_closing(self.token) && !closing;
    }

    fn pause_writing(&mut self) {
        assert!(!std::mem::replace(&mut self.writing_paused, true), "pause_writing comes once");
        let (_, high) = self.lp.marks(self.token);
        assert!(self.lp.buffer_size(self.token) > high);
        self.callback();
    }

    fn peer_acts(&mut self, op: Op) {
        let mut peer = self.lp.driver().peer(self.peer);
        match op {
            Op::PeerWrites(count) if !self.peer_finished => {
                if let Ok(Attempt::Done(count)) = peer.write(&bytes(self.sent, usize::from(count))) {
                    self.sent += count;
                }
            }
            Op::PeerReads(count) => {
                let mut into = vec![0; usize::from(count) + 1];
                match peer.read(&mut into) {
                    Ok(Attempt::Done(count)) => {
                        for &seen in &into[..count] {
                            assert!(self.arrived < self.written, "a byte that nobody wrote");
                            assert_eq!(seen, byte(self.arrived), "byte {}", self.arrived);
                            self.arrived += 1;
                        }
                    }
                    Ok(Attempt::Pending) => {}
                    Err(_) => self.cut_short = true,
                }
            }
            Op::PeerFinishes => {
                if peer.finish_write().is_ok() {
                    self.peer_finished = true;
                }
            }
            Op::PeerCloses => {
                peer.close();
                self.peer_open = false;
                self.peer_finished = true;
                self.cut_short = true;
            }
            Op::PeerResets => {
                peer.reset();
                self.peer_open = false;
                self.cut_short = true;
            }
            _ => {}
        }
    }

    fn turn(&mut self) {
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "no progress: {:?}", self.lp.load());
        let timeout = self.lp.timeout(None);
        if timeout == Some(0.0) {
            self.lp.poll().expect("polled");
        } else {
            let mut nap = self.lp.nap();
            // An error says that nothing can happen any more unless somebody acts.
            let _idle = nap.sleep(timeout);
            self.lp.woken(nap);
        }
        self.lp.collect(None);
        while let Some(step) = self.lp.next() {
            self.step(step);
        }
        self.lp.flush();
    }

    fn step(&mut self, step: Step<Numbers>) {
        match step {
            Step::Call(7) => {}
            Step::Started(token, 1) => {
                assert!(!std::mem::replace(&mut self.started, true), "connection_made comes once");
                self.callback();
                self.lp.begin(token).expect("nothing refuses");
            }
            Step::Readable(token, 1) => self.readable(token),
            Step::Resume(..) => {
                assert!(std::mem::replace(&mut self.writing_paused, false), "resume_writing follows pause_writing");
                let (low, _) = self.lp.marks(self.token);
                assert!(self.lp.buffer_size(self.token) <= low);
                self.callback();
            }
            Step::Drained(token, 1) => {
                assert!(std::mem::replace(&mut self.wants_drained, false), "nobody asked");
                assert_eq!(self.lp.buffer_size(token), 0);
                self.callback();
            }
            Step::Lost(token, 1, code) => {
                assert!(self.started, "connection_lost follows connection_made");
                assert!(code.is_some() || self.closing, "lost for no reason");
                assert!(code.is_none() || self.cut_short, "an error that nobody made: {code:?}");
                self.callback();
                self.lost = true;
                self.cut_short |= code.is_some();
                assert_eq!(self.lp.release(token).and_then(|remains| remains.owner), Some(1));
                assert!(self.lp.release(token).is_none(), "a stale token is nothing");
            }
            _ => panic!("a step for nobody here"),
        }
    }

    fn readable(&mut self, token: Token) {
        assert!(self.started && !self.lost);
        let may_read = !self.paused && !self.eof;
        let mut into = [0; 100];
        match self.lp.read(token, &mut into) {
            Read::Data(count) => {
                assert!(may_read, "data for a stream that is paused or at its end");
                for &seen in &into[..count] {
                    assert!(self.received < self.sent, "a byte that nobody sent");
                    assert_eq!(seen, byte(self.received), "byte {}", self.received);
                    self.received += 1;
                }
                self.callback();
            }
            Read::Eof => {
                assert!(may_read && self.peer_finished);
                assert_eq!(self.received, self.sent, "the end comes after all bytes");
                self.eof = true;
                self.callback();
                let keep_open = self.keep_open_at_eof;
                self.closing |= !keep_open;
                self.lp.eof_answered(token, keep_open);
            }
            Read::Nothing => {}
            Read::Failed(_) => assert!(self.cut_short, "an error that nobody made"),
        }
    }
}

fuzz_target!(|program: Program| World::new(program).run());

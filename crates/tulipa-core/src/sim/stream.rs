//! Streams of bytes: network connections, local socket pairs, and pipes.
//!
//! Bytes travel in pieces, each an event of its own; a piece never overtakes another on its way in the same direction.
//! The end of the bytes, and a reset, travel behind them. What the writer may have under way is limited by the buffer:
//! it counts what travels and what has arrived and was not read, and room comes back one latency after a read.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::driver::{Attempt, Code};
use crate::time::Instant;
use crate::watch::Direction;

use super::SimDriver;
use super::clock::Event;
use super::codes;
use super::end::{EndId, Kind, Readiness};

/// What a pair of ends is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// It has latency, resets and time-outs, and a writer learns of a closed peer only from its answer.
    Network,
    /// It is within one machine: no time passes, and a writer learns at once that its reader has gone.
    Local,
}

/// What is written in the background.
#[derive(Clone, Copy, Debug)]
struct Begun {
    count: usize,
    landed: bool,
}

#[derive(Debug)]
pub(super) struct StreamEnd {
    pub(super) peer: EndId,
    wire: Wire,
    reads: bool,
    writes: bool,
    arrived: VecDeque<u8>,
    /// How many bytes at the end of `arrived` a short read has left for later.
    hidden: usize,
    /// The peer's end has arrived.
    ended: bool,
    /// What a reader meets behind the bytes that have arrived.
    broken_read: Option<Code>,
    broken_write: Option<Code>,
    /// The writing half was closed.
    finished: bool,
    /// A write in the background, of so many bytes.
    begun: Option<Begun>,
    /// Bytes written that the peer has not read yet.
    outstanding: usize,
    capacity: usize,
    /// When the last piece under way to the peer arrives there.
    last_arrival: Instant,
}

impl StreamEnd {
    pub(super) fn new(peer: EndId, wire: Wire, reads: bool, writes: bool, capacity: usize) -> Self {
        Self {
            peer,
            wire,
            reads,
            writes,
            arrived: VecDeque::new(),
            hidden: 0,
            ended: false,
            broken_read: None,
            broken_write: None,
            finished: false,
            begun: None,
            outstanding: 0,
            capacity: capacity.max(1),
            last_arrival: Instant::default(),
        }
    }

    pub(super) const fn reads(&self) -> bool {
        self.reads
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.outstanding)
    }

    fn visible(&self) -> usize {
        self.arrived.len() - self.hidden
    }

    pub(super) fn readiness(&self) -> Readiness {
        let broken = self.broken_read.is_some() || (self.broken_write.is_some() && !self.reads);
        let at_end = self.arrived.is_empty() && self.ended;
        Readiness {
            read: self.reads && (self.visible() > 0 || self.broken_read.is_some() || at_end),
            // Like a kernel, tells of room only when there is enough to be worth it.
            write: self.writes
                && match &self.begun {
                    Some(begun) => begun.landed,
                    None => self.broken_write.is_some() || self.room() * 3 >= self.capacity,
                },
            hangup: self.ended || broken,
            broken,
        }
    }

    fn break_off(&mut self, code: Code, discard: bool) {
        if self.broken_read.is_none() {
            self.broken_read = Some(code);
            self.broken_write = Some(code);
            self.hidden = 0;
            if discard {
                self.arrived.clear();
            }
        }
    }
}

impl SimDriver {
    pub(super) fn stream(&mut self, id: EndId) -> Result<&mut StreamEnd, Code> {
        match self.ends.get_mut(&id).map(|end| &mut end.kind) {
            Some(Kind::Stream(stream)) => Ok(stream),
            _ => Err(codes::CLOSED),
        }
    }

    /// Takes bytes that have arrived.
    pub(super) fn stream_read(&mut self, id: EndId, into: &mut [u8]) -> Result<Attempt<usize>, Code> {
        let short = self.dice.happens(self.faults.short_reads);
        let stream = self.stream(id)?;
        if !stream.reads {
            return Err(codes::CLOSED);
        }
        let mut count = stream.visible().min(into.len());
        if count == 0 {
            return match stream.broken_read {
                Some(code) if stream.arrived.is_empty() => Err(code),
                None if stream.arrived.is_empty() && stream.ended => Ok(Attempt::Done(0)),
                _ => Ok(Attempt::Pending),
            };
        }
        let (peer, broken) = (stream.peer, stream.broken_read.is_some());
        if short && count > 1 && !broken {
            count = self.dice.between(1, count - 1);
            self.clock.note(self.clock.now(), Event::Reveal { to: id });
        }
        let stream = self.stream(id)?;
        for (to, from) in into.iter_mut().zip(stream.arrived.drain(..count)) {
            *to = from;
        }
        if short && !broken && count < into.len() {
            stream.hidden = stream.arrived.len();
        }
        let when = self.clock.now().after(self.latency(peer));
        self.clock.note(when, Event::Room { to: peer, count });
        Ok(Attempt::Done(count))
    }

    /// The same as [`SimDriver::stream_write`], sometimes in the background: then the count comes with a later attempt.
    pub(super) fn stream_write_or_begin(&mut self, id: EndId, from: &[IoSlice<'_>]) -> Result<Attempt<usize>, Code> {
        let waits = self.last_call;
        let stream = self.stream(id)?;
        if let Some(Begun { count, landed }) = stream.begun {
            if !landed && !waits {
                return Ok(Attempt::Pending);
            }
            let offered: usize = from.iter().map(|slice| slice.len()).sum();
            assert!(count <= offered, "contract: {id} was offered less than before");
            stream.begun = None;
            if count < offered {
                self.clock.note(self.clock.now(), Event::Room { to: id, count: 0 });
            }
            return Ok(Attempt::Done(count));
        }
        let attempt = self.stream_write(id, from)?;
        if let Attempt::Done(count) = attempt
            && !waits
            && self.dice.happens(self.faults.background_writes)
        {
            let when = self.clock.now().after(self.latency(id));
            self.clock.note(when, Event::Landed { to: id });
            self.stream(id)?.begun = Some(Begun { count, landed: false });
            return Ok(Attempt::Pending);
        }
        Ok(attempt)
    }

    /// Sends bytes on their way, as many as there is room for.
    pub(super) fn stream_write(&mut self, id: EndId, from: &[IoSlice<'_>]) -> Result<Attempt<usize>, Code> {
        let offered: usize = from.iter().map(|slice| slice.len()).sum();
        let stream = self.stream(id)?;
        if !stream.writes {
            return Err(codes::CLOSED);
        }
        if let Some(code) = stream.broken_write {
            return Err(code);
        }
        if stream.finished {
            return Err(codes::BROKEN_PIPE);
        }
        let room = stream.room();
        let (peer, wire) = (stream.peer, stream.wire);
        let mut count = room.min(offered);
        if count == 0 {
            return Ok(Attempt::Pending);
        }
        if count > 1 && self.dice.happens(self.faults.short_writes) {
            count = self.dice.between(1, count - 1);
        }
        if count < offered && count < room {
            // There is room: so the loop must hear of it again.
            self.clock.note(self.clock.now(), Event::Room { to: id, count: 0 });
        }
        self.stream(id)?.outstanding += count;
        let bytes: Vec<u8> = from.iter().flat_map(|slice| slice.iter().copied()).take(count).collect();
        self.send_in_pieces(id, peer, bytes)?;
        if wire == Wire::Network {
            if self.dice.happens(self.faults.resets) {
                self.break_connection(id, codes::RESET);
            } else if self.dice.happens(self.faults.time_outs) {
                self.break_connection(id, codes::TIMED_OUT);
            }
        }
        Ok(Attempt::Done(count))
    }

    fn send_in_pieces(&mut self, id: EndId, peer: EndId, mut bytes: Vec<u8>) -> Result<(), Code> {
        while !bytes.is_empty() {
            let cut = bytes.len() > 1 && self.dice.happens(self.faults.cuts);
            let length = if cut { self.dice.between(1, bytes.len() - 1) } else { bytes.len() };
            let rest = bytes.split_off(length);
            let when = self.arrival(id)?;
            self.clock.note(when, Event::Bytes { from: id, to: peer, bytes });
            bytes = rest;
        }
        Ok(())
    }

    /// When something sent now reaches the other end, behind all that was sent before.
    fn arrival(&mut self, id: EndId) -> Result<Instant, Code> {
        let when = self.clock.now().after(self.latency(id));
        let stream = self.stream(id)?;
        stream.last_arrival = stream.last_arrival.max(when);
        Ok(stream.last_arrival)
    }

    fn latency(&mut self, id: EndId) -> f64 {
        match self.stream(id).map(|stream| stream.wire) {
            Ok(Wire::Network) => self.dice.secs(self.faults.latency_secs),
            _ => 0.0,
        }
    }

    /// Ends what `id` writes.
    pub(super) fn stream_finish(&mut self, id: EndId) -> Result<(), Code> {
        let stream = self.stream(id)?;
        if stream.broken_write.is_some() {
            return Err(codes::NOT_CONNECTED);
        }
        if !std::mem::replace(&mut stream.finished, true) {
            let peer = stream.peer;
            let when = self.arrival(id)?;
            self.clock.note(when, Event::Finished { to: peer });
        }
        Ok(())
    }

    /// What the peer gets to know when an end is closed. The end is still there.
    pub(super) fn stream_closing(&mut self, id: EndId) {
        let Ok(stream) = self.stream(id) else { return };
        let (peer, unread, wire, reads) = (stream.peer, !stream.arrived.is_empty(), stream.wire, stream.reads);
        if wire == Wire::Network && unread {
            // What was sent to a reader that never looked at it is answered with a reset.
            self.stream_reset(id);
            return;
        }
        let _ = self.stream_finish(id);
        if wire == Wire::Local && reads {
            self.clock.note(self.clock.now(), Event::ReaderGone { to: peer });
        }
    }

    /// Tells the peer, behind all that was written, that the connection is broken.
    pub(super) fn stream_reset(&mut self, id: EndId) {
        let Ok(peer) = self.stream(id).map(|stream| stream.peer) else { return };
        if let Ok(when) = self.arrival(id) {
            self.clock.note(when, Event::Broken { to: peer, code: codes::RESET });
        }
    }

    /// Breaks both ends at once; what is under way is lost.
    pub(super) fn break_connection(&mut self, id: EndId, code: Code) {
        let Ok(peer) = self.stream(id).map(|stream| stream.peer) else { return };
        for to in [id, peer] {
            self.clock.note(self.clock.now(), Event::Broken { to, code });
        }
    }

    pub(super) fn bytes_arrive(&mut self, from: EndId, to: EndId, bytes: &[u8]) {
        self.trace.add(self.clock.now(), to, "bytes arrive", bytes.len());
        let Ok(stream) = self.stream(to) else {
            if self.stream(from).is_ok_and(|sender| sender.wire == Wire::Network) {
                let when = self.clock.now().after(self.latency(from));
                self.clock.note(when, Event::Broken { to: from, code: codes::RESET });
            }
            return;
        };
        if stream.broken_read.is_none() {
            stream.arrived.extend(bytes);
            self.news(to, Direction::Read);
        }
    }

    pub(super) fn end_arrives(&mut self, to: EndId) {
        self.trace.add(self.clock.now(), to, "end arrives", 0);
        if let Ok(stream) = self.stream(to) {
            stream.ended = true;
            self.news(to, Direction::Read);
        }
    }

    pub(super) fn breaks(&mut self, to: EndId, code: Code) {
        let discard = self.faults.resets_discard;
        if let Ok(stream) = self.stream(to) {
            stream.break_off(code, discard);
            self.trace.add(self.clock.now(), to, "breaks", usize::try_from(code.0).unwrap_or(0));
            self.news(to, Direction::Read);
            self.news(to, Direction::Write);
        }
    }

    pub(super) fn reader_gone(&mut self, to: EndId) {
        if let Ok(stream) = self.stream(to) {
            if stream.broken_write.is_none() {
                stream.broken_write = Some(codes::BROKEN_PIPE);
            }
            self.trace.add(self.clock.now(), to, "reader gone", 0);
            self.news(to, Direction::Read);
            self.news(to, Direction::Write);
        }
    }

    /// A write that went on in the background is over.
    pub(super) fn lands(&mut self, id: EndId) {
        if let Ok(StreamEnd { begun: Some(begun), .. }) = self.stream(id) {
            begun.landed = true;
            self.news(id, Direction::Write);
        }
    }

    pub(super) fn room_appears(&mut self, to: EndId, count: usize) {
        if let Ok(stream) = self.stream(to) {
            stream.outstanding -= count;
            self.news(to, Direction::Write);
        }
    }

    pub(super) fn reveal(&mut self, to: EndId) {
        if let Ok(stream) = self.stream(to) {
            stream.hidden = 0;
            self.news(to, Direction::Read);
        }
    }
}

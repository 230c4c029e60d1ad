//! A datagram socket.
//!
//! Each datagram goes out by itself, at once if there is room, else in order from a queue. Errors concern single
//! datagrams and never end the transport; only `close` and `abort` do. The phases are those of [`stream`](crate::stream).
//! Reports are level-triggered: datagrams have no short read that would tell that the socket is empty. Several of them are
//! taken in a row where that has paid lately ([`Row`]); a vain attempt after each one would cost more than the poller does.

use std::collections::VecDeque;

use crate::driver::{Attempt, Code, Driver, Interest, Received, Trigger};
use crate::host::Host;
use crate::stream::{Effects, WaterMarks};

/// What asyncio counts for each queued datagram beside its bytes.
const HEADER_SIZE: usize = 8;

/// How many datagrams of one socket are taken in a row at most.
const ROW_MAX: u8 = 32;

/// For how many turns at most nobody asks for a second datagram, where there was none.
const PATIENCE_MAX: u8 = 63;

/// A datagram that waits, and where it goes.
type Queued<D, H> = (<H as Host>::Chunk, Option<<D as Driver>::Address>);

/// What came of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Accepted,
    /// It is queued, and the queue has passed its high-water mark: `pause_writing` is due.
    Pause,
    /// The transport was lost before; the datagram is dropped.
    Dropped,
    /// The world refused this one: `error_received` is due.
    Failed(Code),
}

/// How many datagrams are taken in a row. Where a second one was not there, it is asked for again only after twice as
/// many turns as before: a peer that waits for each answer costs next to no vain attempt, and a crowd one in each row.
struct Row {
    /// Attempts in the present row.
    taken: u8,
    /// How many turns are still to pass without a second attempt.
    skips: u8,
    /// How many were to pass after the last vain one.
    patience: u8,
}

impl Row {
    const fn begin(&mut self) {
        self.taken = 0;
    }

    const fn took(&mut self) {
        self.taken += 1;
        if self.taken == 2 {
            self.patience = 0;
        }
    }

    fn was_vain(&mut self) {
        if self.taken == 1 {
            self.patience = (self.patience * 2 + 1).min(PATIENCE_MAX);
            self.skips = self.patience;
        }
    }

    /// Whether to ask for another one.
    const fn goes_on(&mut self) -> bool {
        if self.taken == 1 && self.skips > 0 {
            self.skips -= 1;
            return false;
        }
        self.taken < ROW_MAX
    }
}

pub(crate) struct Datagram<D: Driver, H: Host> {
    pub(crate) source: D::Source,
    pub(crate) owner: H::Owner,
    queue: VecDeque<Queued<D, H>>,
    size: usize,
    marks: WaterMarks,
    row: Row,
    started: bool,
    paused: bool,
    closing: bool,
    lost: bool,
    fault: Option<Code>,
}

impl<D: Driver, H: Host> Datagram<D, H> {
    pub(crate) const fn new(source: D::Source, owner: H::Owner) -> Self {
        Self {
            source,
            owner,
            queue: VecDeque::new(),
            size: 0,
            marks: WaterMarks::DEFAULT,
            row: Row { taken: 0, skips: 0, patience: 0 },
            started: false,
            paused: false,
            closing: false,
            lost: false,
            fault: None,
        }
    }

    pub(crate) fn interest(&self) -> Interest {
        Interest { read: self.is_reading(), write: !self.queue.is_empty(), trigger: Trigger::Level }
    }

    pub(crate) const fn start(&mut self) {
        self.started = true;
    }

    pub(crate) const fn is_started(&self) -> bool {
        self.started
    }

    pub(crate) const fn is_reading(&self) -> bool {
        !self.closing && !self.lost && !self.paused
    }

    pub(crate) const fn is_closing(&self) -> bool {
        self.closing || self.lost
    }

    pub(crate) const fn is_lost(&self) -> bool {
        self.lost
    }

    /// Stops or goes on reading; `true` if that is a change.
    pub(crate) const fn set_paused(&mut self, paused: bool) -> bool {
        let change = !self.is_closing() && self.paused != paused;
        if change {
            self.paused = paused;
        }
        change
    }

    /// There is something to take, says the driver.
    pub(crate) const fn reported(&mut self) {
        self.row.begin();
    }

    /// Takes one datagram, or what an earlier one met.
    pub(crate) fn receive(&mut self, driver: &mut D, into: &mut [u8]) -> Result<Option<Received<D>>, Code> {
        if !self.is_reading() {
            return Ok(None);
        }
        match driver.receive(&mut self.source, into) {
            Ok(Attempt::Pending) => {
                self.row.was_vain();
                Ok(None)
            }
            Ok(Attempt::Done(received)) => {
                self.row.took();
                Ok(Some(received))
            }
            Err(code) => {
                self.row.took();
                Err(code)
            }
        }
    }

    /// Whether to look for another datagram at once, after one was delivered.
    pub(crate) const fn goes_on(&mut self) -> bool {
        self.is_reading() && self.row.goes_on()
    }

    pub(crate) fn send(&mut self, driver: &mut D, chunk: H::Chunk, to: Option<D::Address>) -> Sent {
        if self.lost {
            // asyncio still tries for whoever names a receiver, until `connection_lost` has run.
            return match to.map(|to| driver.send(&mut self.source, chunk.as_ref(), Some(&to))) {
                Some(Ok(Attempt::Done(()))) => Sent::Accepted,
                Some(Err(code)) => Sent::Failed(code),
                Some(Ok(Attempt::Pending)) | None => Sent::Dropped,
            };
        }
        if self.queue.is_empty() {
            match driver.send(&mut self.source, chunk.as_ref(), to.as_ref()) {
                Ok(Attempt::Done(())) => return Sent::Accepted,
                Ok(Attempt::Pending) => {}
                Err(code) => return Sent::Failed(code),
            }
        }
        self.size += chunk.as_ref().len() + HEADER_SIZE;
        self.queue.push_back((chunk, to));
        if self.marks.rises(self.size) { Sent::Pause } else { Sent::Accepted }
    }

    /// Sends from the queue while there is room. An error takes its datagram with it and ends the round, before any
    /// effect: `error_received` comes before what the shorter queue brings about.
    pub(crate) fn flush(&mut self, driver: &mut D) -> (Result<(), Code>, Effects) {
        if self.lost {
            return (Ok(()), Effects::default());
        }
        while let Some((chunk, to)) = self.queue.front() {
            match driver.send(&mut self.source, chunk.as_ref(), to.as_ref()) {
                Ok(Attempt::Pending) => break,
                Ok(Attempt::Done(())) => {}
                Err(code) => {
                    self.drop_first();
                    return (Err(code), Effects::default());
                }
            }
            self.drop_first();
        }
        let effects = Effects {
            resume: self.marks.falls(self.size),
            settle: self.queue.is_empty() && self.closing,
            ..Effects::default()
        };
        (Ok(()), effects)
    }

    fn drop_first(&mut self) {
        if let Some((chunk, _)) = self.queue.pop_front() {
            self.size -= chunk.as_ref().len() + HEADER_SIZE;
        }
    }

    /// Ends once the queue is empty, or at once if `now`.
    pub(crate) fn close(&mut self, now: bool) -> Effects {
        if self.lost || (self.closing && !now) {
            return Effects::default();
        }
        self.closing = true;
        if now {
            self.queue.clear();
            self.size = 0;
        }
        self.settle()
    }

    /// Ends at once, for this reason.
    pub(crate) fn fail(&mut self, fault: Option<Code>) -> Effects {
        if !self.lost {
            self.fault = fault;
        }
        self.close(true)
    }

    pub(crate) const fn fault(&self) -> Option<Code> {
        self.fault
    }

    /// Becomes lost if nothing is left to send.
    pub(crate) fn settle(&mut self) -> Effects {
        let lost = self.closing && !self.lost && self.queue.is_empty();
        self.lost |= lost;
        Effects { lost, ..Effects::default() }
    }

    pub(crate) const fn buffer_size(&self) -> usize {
        self.size
    }

    pub(crate) const fn marks(&self) -> (usize, usize) {
        (self.marks.low, self.marks.high)
    }

    pub(crate) const fn is_writing_paused(&self) -> bool {
        self.marks.is_paused()
    }

    pub(crate) const fn set_marks(&mut self, high: usize, low: usize) -> bool {
        self.marks.set(high, low);
        self.marks.rises(self.size)
    }
}

//! Virtual time, and what is on its way through it.

use std::collections::BTreeMap;

use crate::driver::{Code, Completion};
use crate::time::Instant;

use super::end::{EndId, SimAddress};

/// Something that happens at its time.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes reach the other end of a stream.
    Bytes { from: EndId, to: EndId, bytes: Vec<u8> },
    /// The end of a stream's bytes reaches the other end.
    Finished { to: EndId },
    /// A connection breaks.
    Broken { to: EndId, code: Code },
    /// The reader of a local stream has gone.
    ReaderGone { to: EndId },
    /// The reader has taken bytes, and their writer hears of it.
    Room { to: EndId, count: usize },
    /// A write that went on in the background is over.
    Landed { to: EndId },
    /// What a short read left behind shows up.
    Reveal { to: EndId },
    /// A connection reaches a listener.
    Connected { listener: EndId, end: EndId, from: SimAddress },
    /// A datagram reaches an address.
    Datagram { from: EndId, to: SimAddress, bytes: Vec<u8>, source: SimAddress },
    /// A datagram has left the sender's buffer.
    Sent { from: EndId, count: usize },
    /// A report that comes after its source has gone.
    Stale(Completion),
    /// A wait is to end.
    Alarm,
}

/// A clock that moves only when it is told to, and a calendar of what is to come.
///
/// Events of the same moment happen in the order in which they were noted down.
#[derive(Debug)]
pub(super) struct Clock {
    now: Instant,
    calendar: BTreeMap<(Instant, u64), Event>,
    serial: u64,
}

impl Clock {
    pub(super) const fn new() -> Self {
        // Not zero: a program that takes its clock to begin there should find out here.
        Self { now: Instant::from_secs(1000.0), calendar: BTreeMap::new(), serial: 0 }
    }

    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn note(&mut self, when: Instant, event: Event) {
        self.serial += 1;
        self.calendar.insert((when.max(self.now), self.serial), event);
    }

    /// The moment of the next event.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.calendar.keys().next().map(|(when, _)| *when)
    }

    /// Moves on, never back.
    pub(super) fn move_to(&mut self, when: Instant) {
        self.now = self.now.max(when);
    }

    /// Takes the next event that lies in the past.
    pub(super) fn take_due(&mut self) -> Option<Event> {
        if self.next_event()? > self.now {
            return None;
        }
        self.calendar.pop_first().map(|(_, event)| event)
    }
}

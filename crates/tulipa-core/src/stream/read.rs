//! The reading half of a stream.

use crate::driver::{Attempt, Code, Completion, Driver};
use crate::host::Host;

use super::{Effects, Ends, Phase, Reading, Stream};

/// What came of an attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes lie in the buffer.
    Data(usize),
    /// The peer will send nothing more. [`Loop::eof_answered`](crate::Loop::eof_answered) must follow.
    Eof,
    /// Nothing to read now, or nobody who may: the stream is paused, closing or gone.
    Nothing,
    /// The stream is broken; `connection_lost` is scheduled.
    Failed(Code),
}

impl<D: Driver, H: Host> Stream<D, H> {
    /// Takes note of a completion.
    pub(crate) fn completed(&mut self, completion: Completion) -> (Effects, bool) {
        self.hangup |= completion.hangup;
        self.readable |= completion.readable || completion.hangup;
        let effects = Effects { read: self.queue_read(), ..Effects::default() };
        (effects, completion.writable && self.blocked && !self.is_lost())
    }

    /// Begins to read, after `connection_made`.
    pub(crate) fn start_reading(&mut self) {
        if self.reading == Reading::NotStarted {
            self.reading = Reading::On;
        }
    }

    /// Takes what has arrived.
    pub(crate) fn read(&mut self, driver: &mut D, into: &mut [u8]) -> (Read, Effects) {
        self.read_queued = false;
        if !self.may_read() {
            return (Read::Nothing, Effects::default());
        }
        match driver.read(&mut self.source, into) {
            Ok(Attempt::Done(0)) => {
                self.readable = false;
                self.reading = Reading::Ended;
                (Read::Eof, Effects::default())
            }
            Ok(Attempt::Done(count)) => {
                // A short read has emptied the stream, unless its end is still to be shown.
                self.readable = count == into.len() || self.hangup;
                (Read::Data(count), Effects { read: self.queue_read(), ..Effects::default() })
            }
            Ok(Attempt::Pending) => {
                self.readable = false;
                (Read::Nothing, Effects::default())
            }
            Err(code) => (Read::Failed(code), self.fail(Some(code))),
        }
    }

    /// Whether the reader has gone, for a stream that only writes; asked when it has become readable.
    pub(crate) fn peer_gone(&mut self) -> Option<Effects> {
        if !matches!(self.ends, Ends::Write { .. }) {
            return None;
        }
        self.read_queued = false;
        let fault = (!self.outgoing.is_empty()).then_some(D::BROKEN_PIPE);
        Some(self.fail(fault))
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.phase == Phase::Open && !self.paused
    }

    /// Whether bytes are taken from the source, now or once `connection_made` has run.
    pub(crate) fn takes_input(&self) -> bool {
        self.is_reading() && self.reading != Reading::Ended && !matches!(self.ends, Ends::Write { .. })
    }

    /// Stops reading; `false` if it had stopped already.
    pub(crate) fn pause_reading(&mut self) -> bool {
        let was = self.is_reading();
        self.paused |= was;
        was
    }

    /// Reads on; `true` if it had been paused.
    pub(crate) fn resume_reading(&mut self) -> (bool, Effects) {
        if self.phase != Phase::Open || !self.paused {
            return (false, Effects::default());
        }
        self.paused = false;
        (true, Effects { read: self.queue_read(), ..Effects::default() })
    }

    fn may_read(&self) -> bool {
        self.is_reading() && self.reading == Reading::On && !matches!(self.ends, Ends::Write { .. })
    }

    /// Whether a read must be put into the ready queue.
    fn queue_read(&mut self) -> bool {
        let watches = matches!(self.ends, Ends::Write { .. }) && !self.is_lost();
        let due = self.readable && !self.read_queued && (watches || self.may_read());
        self.read_queued |= due;
        due
    }
}

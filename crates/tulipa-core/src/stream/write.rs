//! The writing half of a stream.

use crate::driver::{Attempt, Code, Driver};
use crate::host::Host;

use super::{Effects, Ends, Phase, Stream, WriteHalf};

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The bytes are on their way.
    Queued,
    /// They are, and the buffer has passed its high-water mark: `pause_writing` is due.
    Pause,
    /// The stream was lost before, or is the end of a pipe that closes; the bytes are dropped.
    Dropped,
}

impl<D: Driver, H: Host> Stream<D, H> {
    /// Queues `chunk`, and writes at once if the buffer would pass its mark otherwise, or if there is nothing to join it
    /// with (rule 2).
    pub(crate) fn write(&mut self, driver: &mut D, chunk: H::Chunk, joining: bool) -> (Written, Effects) {
        // As on asyncio, a stream of both directions that closes with bytes in its buffer takes more of them; a pipe does not.
        if self.is_lost() || (self.is_closing() && matches!(self.ends, Ends::Write { .. })) {
            return (Written::Dropped, Effects::default());
        }
        self.outgoing.push(chunk);
        let mut effects = Effects::default();
        if !self.blocked {
            if !joining || self.outgoing.size() > self.marks.high {
                effects = self.flush(driver);
            } else if !self.dirty && !self.outgoing.is_empty() {
                self.dirty = true;
                effects.flush = true;
            }
        }
        let pause = !self.is_lost() && self.marks.rises(self.outgoing.size());
        (if pause { Written::Pause } else { Written::Queued }, effects)
    }

    /// Writes what the turn has left.
    pub(crate) fn flush_dirty(&mut self, driver: &mut D) -> Effects {
        self.dirty = false;
        self.flush(driver)
    }

    /// Writes what there is room for, unless it is known that there is none.
    pub(crate) fn flush(&mut self, driver: &mut D) -> Effects {
        if self.blocked || self.is_lost() {
            return Effects::default();
        }
        while !self.outgoing.is_empty() {
            let (attempt, offered) =
                self.outgoing.with_slices(|slices, offered| (driver.write(&mut self.source, slices), offered));
            match attempt {
                Ok(Attempt::Done(count)) => {
                    self.outgoing.advance(count);
                    if count < offered {
                        self.blocked = true;
                        break;
                    }
                }
                Ok(Attempt::Pending) => {
                    self.blocked = true;
                    break;
                }
                Err(code) => return self.fail(Some(code)),
            }
        }
        Effects { resume: self.marks.falls(self.outgoing.size()), settle: self.must_settle(), ..Effects::default() }
    }

    /// Writes what can be written before the loop ends, after [`Driver::last_call`].
    pub(crate) fn flush_finally(&mut self, driver: &mut D) {
        let mut before = usize::MAX;
        while self.outgoing.size() < before && !self.outgoing.is_empty() {
            before = self.outgoing.size();
            self.blocked = false;
            // Nobody is left to hear of a failure, which ends the loop here: nothing is outgoing any more.
            self.flush(driver);
        }
    }

    /// Goes on after a completion said that there is room.
    pub(crate) fn write_ready(&mut self, driver: &mut D) -> Effects {
        self.blocked = false;
        self.flush(driver)
    }

    /// Closes the writing half once everything is written. A stream that only writes has no other half to stay open
    /// for, and is closed.
    pub(crate) fn write_eof(&mut self, driver: &mut D) -> Effects {
        if self.is_closing() || self.write_half != WriteHalf::Open {
            return Effects::default();
        }
        if matches!(self.ends, Ends::Write { .. }) {
            return self.close(driver);
        }
        self.write_half = WriteHalf::Closing;
        let effects = self.flush(driver);
        if self.outgoing.is_empty() && !self.is_lost() {
            self.write_half = WriteHalf::Closed;
            if let Err(code) = driver.finish_write(&mut self.source) {
                return self.fail(Some(code));
            }
        }
        Effects { settle: self.must_settle(), ..effects }
    }

    /// Whether `write_eof` was called.
    pub(crate) const fn eof_written(&self) -> bool {
        !matches!(self.write_half, WriteHalf::Open)
    }

    /// Does what waits for an empty buffer. `true` in the first place if somebody waits to be told.
    pub(crate) fn settle(&mut self, driver: &mut D) -> (bool, Result<Effects, Code>) {
        if !self.outgoing.is_empty() || self.is_lost() {
            return (false, Ok(Effects::default()));
        }
        let tell = std::mem::take(&mut self.tell_drained);
        if self.phase == Phase::Draining {
            return (tell, Ok(self.fail(None)));
        }
        if self.write_half == WriteHalf::Closing {
            self.write_half = WriteHalf::Closed;
            if let Err(code) = driver.finish_write(&mut self.source) {
                return (tell, Err(code));
            }
        }
        (tell, Ok(Effects::default()))
    }

    /// Asks to be told when the buffer is empty; `true` if it is now.
    pub(crate) fn tell_drained(&mut self, driver: &mut D) -> (bool, Effects) {
        let effects = self.flush(driver);
        let empty = self.outgoing.is_empty();
        self.tell_drained = !empty;
        (empty, effects)
    }

    /// How many bytes the world has refused so far (rule 2: asking flushes).
    pub(crate) fn buffer_size(&mut self, driver: &mut D) -> (usize, Effects) {
        let effects = self.flush(driver);
        (self.outgoing.size(), effects)
    }

    fn must_settle(&self) -> bool {
        self.outgoing.is_empty()
            && (self.phase == Phase::Draining || self.write_half == WriteHalf::Closing || self.tell_drained)
    }
}

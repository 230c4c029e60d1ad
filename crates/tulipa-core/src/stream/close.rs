//! The end of a stream.

use crate::driver::{Code, Driver};
use crate::host::Host;

use super::{Effects, Phase, Reading, Stream};

impl<D: Driver, H: Host> Stream<D, H> {
    /// Stops reading, writes what is queued, then ends.
    pub(crate) fn close(&mut self, driver: &mut D) -> Effects {
        if self.is_closing() {
            return Effects::default();
        }
        let effects = self.flush(driver);
        if self.is_lost() {
            return effects;
        }
        self.phase = Phase::Draining;
        if self.outgoing.is_empty() {
            // Nothing is left to wait for. `resume_writing` after `close` would be noise.
            return Effects { flush: effects.flush, ..self.fail(None) };
        }
        effects
    }

    /// Ends now. What was written in this turn is offered to the world first: a call of `write` before `abort` would
    /// have sent it on asyncio too.
    pub(crate) fn abort(&mut self, driver: &mut D) -> Effects {
        if self.is_lost() {
            return Effects::default();
        }
        let effects = self.flush(driver);
        if self.is_lost() {
            return effects;
        }
        self.fail(None)
    }

    /// Becomes *lost*, for good reason or bad: the one place where that happens (rule 3).
    pub(crate) fn fail(&mut self, fault: Option<Code>) -> Effects {
        if self.is_lost() {
            return Effects::default();
        }
        self.phase = Phase::Lost;
        self.fault = fault;
        self.outgoing.clear();
        Effects { lost: true, ..Effects::default() }
    }

    /// The owner's answer to the peer's end: whether it wants to go on writing.
    pub(crate) fn eof_answered(&mut self, driver: &mut D, keep_open: bool) -> Effects {
        debug_assert!(self.reading == Reading::Ended || self.is_closing(), "only the end of reading asks");
        if keep_open { Effects::default() } else { self.close(driver) }
    }
}

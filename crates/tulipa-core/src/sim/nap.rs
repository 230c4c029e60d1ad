//! A wait in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::driver::{Code, Nap};
use crate::inbox::Wake;
use crate::time::Instant;

use super::codes;

/// Wakes a simulated loop. See [`SimDriver::waker`](super::SimDriver::waker).
///
/// A call from another thread is the one thing that a simulation cannot replay.
#[derive(Clone, Debug, Default)]
pub struct SimWaker(pub(super) Arc<AtomicBool>);

impl Wake for SimWaker {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A wait that takes no time: it only finds out until when it would last.
///
/// After [`Nap::sleep`], whatever it returned, the nap goes back to [`Driver::woken`](crate::Driver::woken), which
/// moves the clock.
#[derive(Debug)]
pub struct SimNap {
    pub(super) waker: SimWaker,
    pub(super) began: Instant,
    /// The next moment at which something happens; `None` if nothing ever will.
    pub(super) next_event: Option<Instant>,
    /// Who waits for what, if nothing ever happens.
    pub(super) who_waits: Option<String>,
    /// When the wait ends.
    pub(super) ends: Instant,
    pub(super) deadlock: bool,
}

impl SimNap {
    /// Who waits for what, if the wait could never have ended.
    #[must_use]
    pub fn deadlock(&self) -> Option<&str> {
        self.who_waits.as_deref().filter(|_| self.deadlock)
    }
}

impl Nap for SimNap {
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), Code> {
        if self.waker.0.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let deadline = timeout.map(|secs| self.began.after(secs.max(0.0)));
        match [self.next_event, deadline].into_iter().flatten().min() {
            Some(first) => {
                self.ends = first;
                Ok(())
            }
            None => {
                self.deadlock = true;
                Err(codes::DEADLOCK)
            }
        }
    }
}

//! The loop: what is ready, what is open, and the order of one turn.
//!
//! A turn, as the world above drives it:
//!
//! 1. [`Loop::timeout`] takes in calls from other threads and says how long the turn may wait.
//! 2. [`Loop::poll`], or [`Loop::nap`] and [`Loop::woken`] around a real wait, gathers completions.
//! 3. [`Loop::collect`] appends what other threads sent meanwhile to the ready queue, then the completions, in the
//!    driver's order, then the timers that are due. What the queue holds now is the turn's batch; what is added from here
//!    on belongs to the next turn.
//! 4. [`Loop::next`] gives out the batch, one [`Step`] at a time. The world above runs the program's code for each,
//!    with nothing borrowed from here, and that code may call anything (R2, R3).
//! 5. [`Loop::flush`] writes what the batch has left to be written.
//!
//! `docs/internals/turn.md` tells the same to users.

mod inspection;
mod listeners;
mod steps;
mod transports;
mod watches;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::datagram::Datagram;
use crate::driver::{Code, Driver, Interest};
use crate::host::Host;
use crate::inbox::Inbox;
use crate::listener::Listener;
use crate::ready::Ready;
use crate::rounds::{PAUSE_SECS, Rounds};
use crate::slots::Slots;
use crate::stream::Stream;
use crate::time::Instant;
use crate::timers::{TimerId, Timers};
use crate::token::Token;
use crate::watch::{Direction, Watch};

/// The longest single wait, in seconds: asyncio's, and short enough for every poller's timeout.
const WAIT_MAX: f64 = 24.0 * 3600.0;

/// How many bytes a turn's callbacks may have written, in all, before they are sent between two of them and not at the end
/// of the turn. More would leave the processor's caches before it is sent; and glibc gives memory back to the kernel once
/// 128 KiB of it are free, and would get it anew in every turn.
const UNSENT_MAX: usize = 64 * 1024;

/// One thing for the world above to do.
pub enum Step<H: Host> {
    /// Run this call.
    Call(H::Callback),
    /// A transport that was just made: run `connection_made`, then call [`Loop::begin`].
    Started(Token, H::Owner),
    /// A stream or datagram socket has something: call [`Loop::read`]; or [`Loop::receive`], and [`Loop::receive_on`] once
    /// that is delivered.
    Readable(Token, H::Owner),
    /// A listener has connections waiting: call [`Loop::accept`].
    Acceptable(Token, H::Owner),
    /// The buffer has fallen to its low-water mark: run `resume_writing`.
    Resume(Token, H::Owner),
    /// The buffer is empty, and [`Loop::tell_drained`] had asked.
    Drained(Token, H::Owner),
    /// A datagram that had been queued was refused: run `error_received`.
    SendFailed(Token, H::Owner, Code),
    /// The transport is over: run `connection_lost` with what went wrong, if anything did, then call
    /// [`Loop::release`].
    Lost(Token, H::Owner, Option<Code>),
    /// The first waiter may try its operation again. If that ends it, call [`Loop::served`].
    Retry(Token, Direction, H::Waiter),
    /// The driver refuses to report on a watched descriptor any longer. The watch is over, and here is who had hopes in it.
    WatchFailed(Token, Remains<H>, Code),
}

enum Slot<D: Driver, H: Host> {
    Stream(Stream<D, H>),
    Datagram(Datagram<D, H>, Option<Interest>),
    Listener(Listener<D, H>),
    Watch(Watch<D, H>),
}

/// The callback that was registered before; or why the driver refused, and the callback that it refused.
pub type Registered<H> = Result<Option<<H as Host>::Callback>, (Code, Option<<H as Host>::Callback>)>;

/// How much a loop has to do; see [`Loop::load`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Entries of the ready queue.
    pub ready: usize,
    /// Timers that are set.
    pub timers: usize,
    /// Streams, datagram sockets, listeners, and watches that wait for something.
    pub open: usize,
}

/// An event loop in the world of driver `D`, for the host `H`. See the top of this file.
pub struct Loop<D: Driver, H: Host> {
    driver: D,
    ready: VecDeque<Ready<H>>,
    /// How many entries at the front of `ready` belong to the present turn.
    batch: usize,
    /// How many entries belonged to later turns when a datagram was last received.
    scheduled: usize,
    /// Between [`Loop::collect`] and [`Loop::flush`].
    turning: bool,
    /// The present turn has had something in its batch.
    ran: bool,
    timers: Timers<H::Callback>,
    slots: Slots<Slot<D, H>>,
    rounds: Rounds,
    dirty: Vec<Token>,
    /// How many bytes were written since the dirty streams were last flushed.
    unsent: usize,
    /// Streams that may have more to read without being reported again. They are read with what the next wait reports,
    /// after the calls that callbacks have scheduled meanwhile.
    again: Vec<Token>,
    inbox: Arc<Inbox<H::Callback>>,
}

/// Everything a slot held, to be dropped by the caller (R2).
pub struct Remains<H: Host> {
    /// The owner of a stream, datagram socket or listener.
    pub owner: Option<H::Owner>,
    /// Callbacks that were registered.
    pub callbacks: Vec<H::Callback>,
    /// Operations that waited, and now never will be served.
    pub waiters: Vec<H::Waiter>,
}

impl<D: Driver, H: Host> Loop<D, H> {
    /// A loop with nothing to do.
    pub fn new(driver: D, inbox: Arc<Inbox<H::Callback>>) -> Self {
        Self {
            driver,
            ready: VecDeque::new(),
            batch: 0,
            scheduled: 0,
            turning: false,
            ran: false,
            timers: Timers::new(),
            slots: Slots::new(),
            rounds: Rounds::default(),
            dirty: Vec::new(),
            unsent: 0,
            again: Vec::new(),
            inbox,
        }
    }

    /// The driver, for operations that concern no slot.
    pub const fn driver(&mut self) -> &mut D {
        &mut self.driver
    }

    // --- scheduling ------------------------------------------------------------------------------------------------

    /// Appends a call to the ready queue. Calls that other threads made before this one come first.
    #[inline]
    pub fn call_soon(&mut self, callback: H::Callback) {
        self.take_in();
        self.ready.push_back(Ready::Call(callback));
    }

    /// Appends the calls that other threads have made so far to the ready queue.
    #[inline]
    pub fn take_in(&mut self) {
        if self.inbox.is_pending() {
            self.take_inbox();
        }
    }

    /// Sets a timer.
    pub fn call_at(&mut self, when: Instant, callback: H::Callback) -> TimerId {
        self.timers.insert(when, callback)
    }

    /// Cancels a timer and hands its callback back; `None` if it has fired or was cancelled before.
    pub fn cancel_timer(&mut self, id: TimerId) -> Option<H::Callback> {
        self.timers.cancel(id)
    }

    /// The driver's clock.
    pub fn now(&self) -> Instant {
        self.driver.now()
    }

    // --- the turn --------------------------------------------------------------------------------------------------

    /// How many seconds this turn may wait; zero if there is work, `None` if nothing is due ever. `now` replaces the
    /// driver's clock, for programs that bring a clock of their own.
    pub fn timeout(&mut self, now: Option<Instant>) -> Option<f64> {
        self.take_in();
        if !self.ready.is_empty() || !self.dirty.is_empty() || !self.again.is_empty() {
            return Some(0.0);
        }
        let most = if self.rounds.are_due() { PAUSE_SECS } else { WAIT_MAX };
        let Some(deadline) = self.timers.next_deadline() else { return self.rounds.are_due().then_some(most) };
        let now = now.unwrap_or_else(|| self.driver.now());
        Some((deadline.as_secs() - now.as_secs()).clamp(0.0, most))
    }

    /// Whether any timer is set.
    pub fn has_timers(&self) -> bool {
        self.timers.len() > 0
    }

    /// Gathers completions without waiting.
    ///
    /// # Errors
    /// The driver's code.
    pub fn poll(&mut self) -> Result<(), Code> {
        self.driver.poll()
    }

    /// Takes out what a wait needs, so that it can be slept through with nothing borrowed.
    pub fn nap(&mut self) -> D::Nap {
        self.driver.nap()
    }

    /// Gathers completions after a wait.
    pub fn woken(&mut self, nap: D::Nap) {
        self.driver.woken(nap);
    }

    /// Appends what is due to the ready queue and makes it the turn's batch. Returns the batch's length.
    pub fn collect(&mut self, now: Option<Instant>) -> usize {
        // What other threads sent while the turn waited came before what the wait found.
        self.take_in();
        self.ready.extend(self.again.drain(..).map(Ready::Read));
        while let Some(completion) = self.driver.next_completion() {
            self.completed(completion);
        }
        if self.timers.len() > 0 {
            let end = now.unwrap_or_else(|| self.driver.now()).end_of_tick(self.driver.resolution());
            while let Some(callback) = self.timers.pop_due(end) {
                self.ready.push_back(Ready::Call(callback));
            }
        }
        self.batch = self.ready.len();
        self.turning = true;
        self.ran = self.batch > 0;
        self.batch
    }

    /// The next thing to do in this turn.
    #[expect(clippy::should_implement_trait, reason = "a loop is no iterator: steps may be added between two calls")]
    #[inline]
    pub fn next(&mut self) -> Option<Step<H>> {
        if self.unsent > UNSENT_MAX {
            self.flush_dirty();
        }
        while self.batch > 0 {
            self.batch -= 1;
            let step = match self.ready.pop_front()? {
                Ready::Call(callback) => Some(Step::Call(callback)),
                Ready::Read(token) => self.readable(token),
                Ready::Write(token) => self.writable(token),
                Ready::Settle(token) => self.settle(token),
                Ready::Start(token) => self.owner(token).map(|owner| Step::Started(token, owner)),
                Ready::Resume(token) => self.owner(token).map(|owner| Step::Resume(token, owner)),
                Ready::Lost(token) => self.lost(token),
                Ready::Watch(token, direction) => self.watched(token, direction),
                Ready::Unwatch(token, code) => self.watch_failed(token, code),
                Ready::WatchCallback(token, direction) => self.callback(token, direction).cloned().map(Step::Call),
            };
            if step.is_some() {
                return step;
            }
        }
        None
    }

    /// Writes what the batch has left to be written (rule 2 of [`stream`](crate::stream)).
    pub fn flush(&mut self) {
        self.turning = false;
        self.rounds.turn_ends(std::mem::take(&mut self.ran));
        self.flush_dirty();
    }

    fn flush_dirty(&mut self) {
        self.unsent = 0;
        let mut dirty = std::mem::take(&mut self.dirty);
        for token in dirty.drain(..) {
            if let Some(Slot::Stream(stream)) = self.slots.get_mut(token) {
                let effects = stream.flush_dirty(&mut self.driver);
                self.apply(token, effects);
            }
        }
        // Keeps the list's memory for later; nothing can have been added meanwhile.
        self.dirty = dirty;
    }

    #[cold]
    fn take_inbox(&mut self) {
        self.ready.extend(self.inbox.take().into_iter().map(Ready::Call));
    }
}

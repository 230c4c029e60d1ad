//! The loop: what is ready, what is open, and the order of one turn.
//!
//! A turn, as the world above drives it:
//!
//! 1. [`Loop::timeout`] takes in calls from other threads and says how long the turn may wait.
//! 2. [`Loop::poll`], or [`Loop::nap`] and [`Loop::woken`] around a real wait, gathers completions.
//! 3. [`Loop::collect`] appends them to the ready queue, in the driver's order, and then the timers that are due. What
//!    the queue holds now is the turn's batch; what is added from here on belongs to the next turn.
//! 4. [`Loop::next`] gives out the batch, one [`Step`] at a time. The world above runs the program's code for each,
//!    with nothing borrowed from here, and that code may call anything (R2, R3).
//! 5. [`Loop::flush`] writes what the batch has left to be written.
//!
//! `docs/internals/turn.md` tells the same to users.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::datagram::{Datagram, Sent};
use crate::driver::{Accepted, Attempt, Code, Completion, Driver, Interest, Received};
use crate::host::{Held, Host};
use crate::inbox::Inbox;
use crate::listener::Listener;
use crate::ready::Ready;
use crate::slots::Slots;
use crate::stream::{Effects, Ends, Read, Stream, Written};
use crate::time::Instant;
use crate::timers::{TimerId, Timers};
use crate::token::Token;
use crate::watch::{Direction, Watch};

/// The longest single wait, in seconds: asyncio's, and short enough for every poller's timeout.
const WAIT_MAX: f64 = 24.0 * 3600.0;

/// One thing for the world above to do.
pub enum Step<H: Host> {
    /// Run this call.
    Call(H::Callback),
    /// A transport that was just made: run `connection_made`, then call [`Loop::begin`].
    Started(Token, H::Owner),
    /// A stream or datagram socket has something: call [`Loop::read`] or [`Loop::receive`].
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
    /// Between [`Loop::collect`] and [`Loop::flush`].
    turning: bool,
    timers: Timers<H::Callback>,
    slots: Slots<Slot<D, H>>,
    dirty: Vec<Token>,
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
            turning: false,
            timers: Timers::new(),
            slots: Slots::new(),
            dirty: Vec::new(),
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
        if self.inbox.is_pending() {
            self.take_inbox();
        }
        self.ready.push_back(Ready::Call(callback));
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
        if self.inbox.is_pending() {
            self.take_inbox();
        }
        if !self.ready.is_empty() || !self.dirty.is_empty() {
            return Some(0.0);
        }
        let deadline = self.timers.next_deadline()?;
        let now = now.unwrap_or_else(|| self.driver.now());
        Some((deadline.as_secs() - now.as_secs()).clamp(0.0, WAIT_MAX))
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
        while let Some(completion) = self.driver.next_completion() {
            self.completed(completion);
        }
        if self.timers.len() > 0 {
            let end = now.unwrap_or_else(|| self.driver.now()).end_of_tick(self.driver.resolution());
            while let Some(callback) = self.timers.pop_due(end) {
                self.ready.push_back(Ready::Call(callback));
            }
        }
        if self.inbox.is_pending() {
            self.take_inbox();
        }
        self.batch = self.ready.len();
        self.turning = true;
        self.batch
    }

    /// The next thing to do in this turn.
    #[expect(clippy::should_implement_trait, reason = "a loop is no iterator: steps may be added between two calls")]
    #[inline]
    pub fn next(&mut self) -> Option<Step<H>> {
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
        let mut dirty = std::mem::take(&mut self.dirty);
        for token in dirty.drain(..) {
            if let Some(Slot::Stream(stream)) = self.slots.get_mut(token) {
                let effects = stream.flush_dirty(&mut self.driver);
                self.apply(token, effects);
            }
        }
        // Keeps the list's memory for the next turn; nothing can have been added meanwhile.
        self.dirty = dirty;
    }

    // --- streams ---------------------------------------------------------------------------------------------------

    /// Opens a stream and schedules its start.
    pub fn open_stream(&mut self, source: D::Source, owner: H::Owner, ends: Ends) -> Token {
        self.open(Slot::Stream(Stream::new(source, owner, ends)))
    }

    /// Opens a datagram socket and schedules its start.
    pub fn open_datagram(&mut self, source: D::Source, owner: H::Owner) -> Token {
        self.open(Slot::Datagram(Datagram::new(source, owner), None))
    }

    fn open(&mut self, slot: Slot<D, H>) -> Token {
        let token = self.slots.insert(slot);
        self.ready.push_back(Ready::Start(token));
        token
    }

    /// Begins to read, after `connection_made` has run. Nothing happens if that has closed the transport.
    ///
    /// # Errors
    /// The driver's code; the transport is lost.
    pub fn begin(&mut self, token: Token) -> Result<(), Code> {
        let result = match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) if !stream.is_lost() => {
                stream.start_reading();
                let interest = stream.interest();
                self.driver.attach(token, &mut stream.source, interest)
            }
            Some(Slot::Datagram(datagram, attached)) if !datagram.is_lost() => {
                datagram.start();
                let interest = datagram.interest();
                *attached = Some(interest);
                self.driver.attach(token, &mut datagram.source, interest)
            }
            _ => Ok(()),
        };
        if let Err(code) = result {
            self.fail(token, Some(code));
        }
        result
    }

    /// Takes what has arrived on a stream.
    pub fn read(&mut self, token: Token, into: &mut [u8]) -> Read {
        let Some(Slot::Stream(stream)) = self.slots.get_mut(token) else { return Read::Nothing };
        let (read, effects) = stream.read(&mut self.driver, into);
        self.apply(token, effects);
        read
    }

    /// Answers [`Read::Eof`]: whether the owner wants to go on writing. If not, the stream is closed.
    pub fn eof_answered(&mut self, token: Token, keep_open: bool) {
        self.on_stream(token, |stream, driver| ((), stream.eof_answered(driver, keep_open)));
    }

    /// Queues bytes on a stream. Outside a turn there is none that would flush them, and they leave at once.
    pub fn write(&mut self, token: Token, chunk: H::Chunk) -> Written {
        let joining = self.turning;
        self.on_stream(token, |stream, driver| stream.write(driver, chunk, joining)).unwrap_or(Written::Dropped)
    }

    /// Closes a stream's writing half once everything is written.
    pub fn write_eof(&mut self, token: Token) {
        self.on_stream(token, |stream, driver| ((), stream.write_eof(driver)));
    }

    /// Whether [`Loop::write_eof`] was called on a stream.
    pub fn eof_written(&self, token: Token) -> bool {
        matches!(self.slots.get(token), Some(Slot::Stream(stream)) if stream.eof_written())
    }

    /// Asks for [`Step::Drained`]; `true` if the buffer is empty now, and no step will come.
    pub fn tell_drained(&mut self, token: Token) -> bool {
        self.on_stream(token, |stream, driver| stream.tell_drained(driver)).unwrap_or(true)
    }

    // --- streams and datagram sockets ------------------------------------------------------------------------------

    /// Stops reading; `false` if it was stopped already.
    pub fn pause_reading(&mut self, token: Token) -> bool {
        match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => stream.pause_reading(),
            Some(Slot::Datagram(datagram, _)) => {
                let change = datagram.set_paused(true);
                self.renew(token);
                change
            }
            _ => false,
        }
    }

    /// Reads on; `false` if reading was not paused.
    pub fn resume_reading(&mut self, token: Token) -> bool {
        match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => {
                let (change, effects) = stream.resume_reading();
                self.apply(token, effects);
                change
            }
            Some(Slot::Datagram(datagram, _)) => {
                let change = datagram.set_paused(false);
                self.renew(token);
                change
            }
            _ => false,
        }
    }

    /// Whether the transport is neither paused nor closing.
    pub fn is_reading(&self, token: Token) -> bool {
        match self.slots.get(token) {
            Some(Slot::Stream(stream)) => stream.is_reading(),
            Some(Slot::Datagram(datagram, _)) => datagram.is_reading(),
            _ => false,
        }
    }

    /// Whether the transport is closing or gone.
    pub fn is_closing(&self, token: Token) -> bool {
        match self.slots.get(token) {
            Some(Slot::Stream(stream)) => stream.is_closing(),
            Some(Slot::Datagram(datagram, _)) => datagram.is_closing(),
            _ => true,
        }
    }

    /// Bytes that the world has refused so far.
    pub fn buffer_size(&mut self, token: Token) -> usize {
        match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => {
                let (size, effects) = stream.buffer_size(&mut self.driver);
                self.apply(token, effects);
                size
            }
            Some(Slot::Datagram(datagram, _)) => datagram.buffer_size(),
            _ => 0,
        }
    }

    /// The low- and high-water marks, in bytes.
    pub fn marks(&self, token: Token) -> (usize, usize) {
        match self.slots.get(token) {
            Some(Slot::Stream(stream)) => stream.marks(),
            Some(Slot::Datagram(datagram, _)) => datagram.marks(),
            _ => (0, 0),
        }
    }

    /// Whether `pause_writing` was due and `resume_writing` has not been since.
    pub fn is_writing_paused(&self, token: Token) -> bool {
        match self.slots.get(token) {
            Some(Slot::Stream(stream)) => stream.is_writing_paused(),
            Some(Slot::Datagram(datagram, _)) => datagram.is_writing_paused(),
            _ => false,
        }
    }

    /// Sets the marks; `true` if `pause_writing` is due.
    pub fn set_marks(&mut self, token: Token, high: usize, low: usize) -> bool {
        match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => {
                let (pause, effects) = stream.set_marks(&mut self.driver, high, low);
                self.apply(token, effects);
                pause
            }
            Some(Slot::Datagram(datagram, _)) => datagram.set_marks(high, low),
            _ => false,
        }
    }

    /// Ends the transport once everything is written.
    pub fn close(&mut self, token: Token) {
        match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => {
                let effects = stream.close(&mut self.driver);
                self.apply(token, effects);
            }
            Some(Slot::Datagram(datagram, _)) => {
                let effects = datagram.close(false);
                self.apply(token, effects);
                self.renew(token);
            }
            _ => {}
        }
    }

    /// Ends the transport now. Returns `false` if it was lost before.
    pub fn abort(&mut self, token: Token) -> bool {
        let effects = match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => stream.abort(&mut self.driver),
            Some(Slot::Datagram(datagram, _)) => datagram.close(true),
            _ => return false,
        };
        self.apply(token, effects);
        effects.lost
    }

    /// Ends a transport that failed; the code comes with its [`Step::Lost`].
    pub fn fail(&mut self, token: Token, code: Option<Code>) {
        match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => {
                let effects = stream.fail(code);
                self.apply(token, effects);
            }
            Some(Slot::Datagram(datagram, _)) => {
                let effects = datagram.fail(code);
                self.apply(token, effects);
            }
            _ => {}
        }
    }

    /// Frees a slot after `connection_lost` has run (R4), or one that never came to life. The descriptor is closed, as
    /// far as the driver owns it, before the slot can be used again.
    pub fn release(&mut self, token: Token) -> Option<Remains<H>> {
        let slot = self.slots.remove(token)?;
        Some(Self::dismantle(&mut self.driver, slot))
    }

    // --- datagram sockets ------------------------------------------------------------------------------------------

    /// Sends one datagram, to `to` or to the connected peer.
    pub fn send(&mut self, token: Token, chunk: H::Chunk, to: Option<D::Address>) -> Sent {
        let Some(Slot::Datagram(datagram, _)) = self.slots.get_mut(token) else { return Sent::Dropped };
        let sent = datagram.send(&mut self.driver, chunk, to);
        self.renew(token);
        sent
    }

    /// Whether a token names a datagram socket.
    pub fn is_datagram(&self, token: Token) -> bool {
        matches!(self.slots.get(token), Some(Slot::Datagram(..)))
    }

    /// Takes one datagram that has arrived: its length in `into` and where it came from.
    ///
    /// # Errors
    /// The driver's code: `error_received` is due.
    pub fn receive(&mut self, token: Token, into: &mut [u8]) -> Result<Option<Received<D>>, Code> {
        match self.slots.get_mut(token) {
            Some(Slot::Datagram(datagram, _)) if datagram.is_reading() => {
                match self.driver.receive(&mut datagram.source, into)? {
                    Attempt::Done(received) => Ok(Some(received)),
                    Attempt::Pending => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    // --- listeners -------------------------------------------------------------------------------------------------

    /// Begins to accept connections.
    ///
    /// # Errors
    /// The driver's code; then the source is closed and nothing is registered.
    pub fn listen(&mut self, source: D::Source, owner: H::Owner) -> Result<Token, Code> {
        let token = self.slots.insert(Slot::Listener(Listener::new(source, owner)));
        let Some(Slot::Listener(listener)) = self.slots.get_mut(token) else { return Ok(token) };
        let interest = listener.interest();
        if let Err(code) = self.driver.attach(token, &mut listener.source, interest) {
            self.release(token);
            return Err(code);
        }
        Ok(token)
    }

    /// Whether a token names a listener.
    pub fn is_listener(&self, token: Token) -> bool {
        matches!(self.slots.get(token), Some(Slot::Listener(_)))
    }

    /// Takes one connection that waits.
    ///
    /// # Errors
    /// The driver's code; the listener goes on.
    pub fn accept(&mut self, token: Token) -> Result<Option<Accepted<D>>, Code> {
        match self.slots.get_mut(token) {
            Some(Slot::Listener(listener)) if !listener.paused => match self.driver.accept(&mut listener.source)? {
                Attempt::Done(accepted) => Ok(Some(accepted)),
                Attempt::Pending => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Stops or goes on accepting, for a program that has run out of descriptors.
    ///
    /// # Errors
    /// The driver's code.
    pub fn pause_accepting(&mut self, token: Token, paused: bool) -> Result<(), Code> {
        if let Some(Slot::Listener(listener)) = self.slots.get_mut(token) {
            let before = std::mem::replace(&mut listener.paused, paused);
            let interest = listener.interest();
            let result = self.driver.change(token, &mut listener.source, interest);
            if result.is_err() {
                listener.paused = before;
            }
            return result;
        }
        Ok(())
    }

    // --- watches ---------------------------------------------------------------------------------------------------

    /// Makes a slot for a descriptor of the program's own, with nothing registered yet.
    pub fn watch(&mut self, source: D::Source) -> Token {
        self.slots.insert(Slot::Watch(Watch::new(source)))
    }

    /// Ends a watch, whatever still waits for it.
    pub fn unwatch(&mut self, token: Token) -> Option<Remains<H>> {
        matches!(self.slots.get(token), Some(Slot::Watch(_))).then(|| self.release(token)).flatten()
    }

    /// Sets or clears the callback of one direction, and returns the one that was there.
    ///
    /// # Errors
    /// The driver's code; then everything is as it was before (T19), and the given callback comes back with it.
    pub fn set_callback(&mut self, token: Token, direction: Direction, callback: Option<H::Callback>) -> Registered<H> {
        let Some(Slot::Watch(watch)) = self.slots.get_mut(token) else { return Ok(None) };
        let before = std::mem::replace(&mut watch.side_mut(direction).callback, callback);
        // A callback that replaces another may do so because the descriptor was closed and its number is in use again
        // (R6). Nothing tells the two apart but the driver.
        let anew = before.is_some() && watch.side(direction).callback.is_some();
        match Self::reattach(&mut self.driver, token, watch, anew) {
            Ok(()) => Ok(before),
            Err(code) => {
                let refused = std::mem::replace(&mut watch.side_mut(direction).callback, before);
                Err((code, refused))
            }
        }
    }

    /// The callback of one direction.
    pub fn callback(&self, token: Token, direction: Direction) -> Option<&H::Callback> {
        match self.slots.get(token)? {
            Slot::Watch(watch) => watch.side(direction).callback.as_ref(),
            _ => None,
        }
    }

    /// Queues a waiter behind those of its direction. The caller has tried the operation before, unless others wait.
    ///
    /// # Errors
    /// The driver's code; then the waiter is not queued, and comes back.
    pub fn wait(&mut self, token: Token, direction: Direction, waiter: H::Waiter) -> Result<(), (Code, H::Waiter)> {
        let Some(Slot::Watch(watch)) = self.slots.get_mut(token) else { return Ok(()) };
        watch.side_mut(direction).waiters.push_back(waiter);
        match Self::reattach(&mut self.driver, token, watch, false) {
            Ok(()) => {
                self.driver.rearm(&mut watch.source, direction);
                Ok(())
            }
            Err(code) => match watch.side_mut(direction).waiters.pop_back() {
                Some(waiter) => Err((code, waiter)),
                None => Ok(()),
            },
        }
    }

    /// Whether an operation must queue behind others.
    pub fn has_waiters(&self, token: Token, direction: Direction) -> bool {
        matches!(self.slots.get(token), Some(Slot::Watch(watch)) if !watch.side(direction).waiters.is_empty())
    }

    /// Takes note that the first waiter tried again in vain.
    pub fn still_waits(&mut self, token: Token, direction: Direction) {
        if let Some(Slot::Watch(watch)) = self.slots.get_mut(token) {
            self.driver.rearm(&mut watch.source, direction);
        }
    }

    /// Removes the waiter for which `is_it` holds: it is served, or was cancelled. If it was the first, the next one's
    /// turn has come, and it is scheduled to try.
    pub fn served(
        &mut self,
        token: Token,
        direction: Direction,
        is_it: impl FnMut(&H::Waiter) -> bool,
    ) -> Option<H::Waiter> {
        let Some(Slot::Watch(watch)) = self.slots.get_mut(token) else { return None };
        let waiters = &mut watch.side_mut(direction).waiters;
        let position = waiters.iter().position(is_it)?;
        let waiter = waiters.remove(position);
        if position == 0 && !waiters.is_empty() {
            self.ready.push_back(Ready::Watch(token, direction));
        }
        // Waiters beside a callback are level-triggered, and the last one's leaving must end the reports. Where that
        // fails the reports are vain, and ignored.
        let _ = Self::reattach(&mut self.driver, token, watch, false);
        waiter
    }

    /// Whether a watch has neither callbacks nor waiters.
    pub fn is_idle(&self, token: Token) -> bool {
        matches!(self.slots.get(token), Some(Slot::Watch(watch)) if watch.is_idle())
    }

    // --- looking and ending ----------------------------------------------------------------------------------------

    /// How much there is to do.
    pub fn load(&self) -> Load {
        let idle = self.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Watch(watch) if watch.is_idle())).count();
        Load {
            ready: self.ready.len() + usize::from(self.inbox.is_pending()),
            timers: self.timers.len(),
            open: self.slots.len() - idle,
        }
    }

    /// The calls in the ready queue, in order.
    pub fn ready_calls(&self) -> impl Iterator<Item = &H::Callback> {
        self.ready.iter().filter_map(|ready| match ready {
            Ready::Call(callback) => Some(callback),
            _ => None,
        })
    }

    /// The calls that wait for their deadline, in no order.
    pub fn timer_calls(&self) -> impl Iterator<Item = &H::Callback> {
        self.timers.iter()
    }

    /// The owner of a stream or datagram socket.
    pub fn transport(&self, token: Token) -> Option<&H::Owner> {
        match self.slots.get(token)? {
            Slot::Stream(stream) => Some(&stream.owner),
            Slot::Datagram(datagram, _) => Some(&datagram.owner),
            Slot::Listener(_) | Slot::Watch(_) => None,
        }
    }

    /// What the driver has of a slot.
    pub fn source(&mut self, token: Token) -> Option<&mut D::Source> {
        match self.slots.get_mut(token)? {
            Slot::Stream(stream) => Some(&mut stream.source),
            Slot::Datagram(datagram, _) => Some(&mut datagram.source),
            Slot::Listener(listener) => Some(&mut listener.source),
            Slot::Watch(watch) => Some(&mut watch.source),
        }
    }

    /// Everything of the program's that the loop holds a reference to, for a garbage collector (R9). Calls from other
    /// threads that were not yet taken in are not among them.
    pub fn held<'a>(&'a self, visit: &mut dyn FnMut(Held<'a, H>)) {
        for callback in self.ready_calls().chain(self.timer_calls()) {
            visit(Held::Callback(callback));
        }
        for (_, slot) in self.slots.iter() {
            match slot {
                Slot::Stream(stream) => visit(Held::Owner(&stream.owner)),
                Slot::Datagram(datagram, _) => visit(Held::Owner(&datagram.owner)),
                Slot::Listener(listener) => visit(Held::Owner(&listener.owner)),
                Slot::Watch(watch) => {
                    for side in [watch.side(Direction::Read), watch.side(Direction::Write)] {
                        side.callback.iter().for_each(|callback| visit(Held::Callback(callback)));
                        side.waiters.iter().for_each(|waiter| visit(Held::Waiter(waiter)));
                    }
                }
            }
        }
    }

    /// Forgets everything, closes what the driver owns, and hands the program's things back to be dropped. What was
    /// written since the last turn is offered to the world first (rule 2 of [`stream`](crate::stream)).
    pub fn clear(&mut self) -> Vec<Remains<H>> {
        self.flush();
        let mut callbacks: Vec<_> = self
            .ready
            .drain(..)
            .filter_map(|ready| match ready {
                Ready::Call(callback) => Some(callback),
                _ => None,
            })
            .collect();
        callbacks.extend(self.timers.drain());
        callbacks.extend(self.inbox.take());
        self.batch = 0;
        self.dirty.clear();
        let mut remains = vec![Remains { owner: None, callbacks, waiters: Vec::new() }];
        remains.extend(self.slots.drain().map(|slot| Self::dismantle(&mut self.driver, slot)));
        remains
    }

    // --- inside ----------------------------------------------------------------------------------------------------

    #[cold]
    fn take_inbox(&mut self) {
        self.ready.extend(self.inbox.take().into_iter().map(Ready::Call));
    }

    fn completed(&mut self, completion: Completion) {
        let token = completion.token;
        match self.slots.get_mut(token) {
            Some(Slot::Stream(stream)) => {
                let (effects, write) = stream.completed(completion);
                self.apply(token, effects);
                if write {
                    self.ready.push_back(Ready::Write(token));
                }
            }
            Some(Slot::Watch(watch)) => {
                let failed = completion.hangup;
                let (read, write) = (
                    (completion.readable || failed) && wants(watch, Direction::Read),
                    (completion.writable || failed) && wants(watch, Direction::Write),
                );
                if read {
                    self.ready.push_back(Ready::Watch(token, Direction::Read));
                }
                if write {
                    self.ready.push_back(Ready::Watch(token, Direction::Write));
                }
            }
            Some(Slot::Datagram(..)) => {
                if completion.readable || completion.hangup {
                    self.ready.push_back(Ready::Read(token));
                }
                if completion.writable {
                    self.ready.push_back(Ready::Write(token));
                }
            }
            Some(Slot::Listener(_)) => self.ready.push_back(Ready::Read(token)),
            None => {}
        }
    }

    fn readable(&mut self, token: Token) -> Option<Step<H>> {
        match self.slots.get_mut(token)? {
            Slot::Stream(stream) => {
                if let Some(effects) = stream.peer_gone() {
                    self.apply(token, effects);
                    return None;
                }
                Some(Step::Readable(token, stream.owner.clone()))
            }
            Slot::Datagram(datagram, _) => datagram.is_reading().then(|| Step::Readable(token, datagram.owner.clone())),
            Slot::Listener(listener) => (!listener.paused).then(|| Step::Acceptable(token, listener.owner.clone())),
            Slot::Watch(_) => None,
        }
    }

    fn writable(&mut self, token: Token) -> Option<Step<H>> {
        match self.slots.get_mut(token)? {
            Slot::Stream(stream) => {
                let effects = stream.write_ready(&mut self.driver);
                self.apply_now(token, effects);
                None
            }
            Slot::Datagram(datagram, _) => {
                let (result, effects) = datagram.flush(&mut self.driver);
                let owner = datagram.owner.clone();
                self.apply_now(token, effects);
                self.renew(token);
                let code = result.err()?;
                // The rest follows once the owner has heard of this one.
                self.ready.push_front(Ready::Write(token));
                self.batch += 1;
                Some(Step::SendFailed(token, owner, code))
            }
            _ => None,
        }
    }

    fn settle(&mut self, token: Token) -> Option<Step<H>> {
        match self.slots.get_mut(token)? {
            Slot::Stream(stream) => {
                let (tell, result) = stream.settle(&mut self.driver);
                let owner = stream.owner.clone();
                let effects = match result {
                    Ok(effects) => effects,
                    Err(code) => stream.fail(Some(code)),
                };
                self.apply_now(token, effects);
                tell.then_some(Step::Drained(token, owner))
            }
            Slot::Datagram(datagram, _) => {
                let effects = datagram.settle();
                self.apply_now(token, effects);
                None
            }
            _ => None,
        }
    }

    fn lost(&self, token: Token) -> Option<Step<H>> {
        match self.slots.get(token)? {
            Slot::Stream(stream) => Some(Step::Lost(token, stream.owner.clone(), stream.fault())),
            Slot::Datagram(datagram, _) => Some(Step::Lost(token, datagram.owner.clone(), datagram.fault())),
            _ => None,
        }
    }

    fn watched(&mut self, token: Token, direction: Direction) -> Option<Step<H>> {
        let Slot::Watch(watch) = self.slots.get(token)? else { return None };
        let side = watch.side(direction);
        let Some(waiter) = side.waiters.front().cloned() else { return side.callback.clone().map(Step::Call) };
        if side.callback.is_some() {
            self.ready.push_front(Ready::WatchCallback(token, direction));
            self.batch += 1;
        }
        Some(Step::Retry(token, direction, waiter))
    }

    fn owner(&self, token: Token) -> Option<H::Owner> {
        match self.slots.get(token)? {
            Slot::Stream(stream) => Some(stream.owner.clone()),
            Slot::Datagram(datagram, _) => Some(datagram.owner.clone()),
            Slot::Listener(listener) => Some(listener.owner.clone()),
            Slot::Watch(_) => None,
        }
    }

    fn on_stream<R>(&mut self, token: Token, act: impl FnOnce(&mut Stream<D, H>, &mut D) -> (R, Effects)) -> Option<R> {
        let Some(Slot::Stream(stream)) = self.slots.get_mut(token) else { return None };
        let (result, effects) = act(stream, &mut self.driver);
        self.apply(token, effects);
        Some(result)
    }

    /// Schedules what a change has made due.
    #[inline]
    fn apply(&mut self, token: Token, effects: Effects) {
        if effects == Effects::default() {
            return;
        }
        if effects.flush {
            self.dirty.push(token);
        }
        let due = [
            (effects.read, Ready::Read(token)),
            (effects.resume, Ready::Resume(token)),
            (effects.settle, Ready::Settle(token)),
            (effects.lost, Ready::Lost(token)),
        ];
        self.ready.extend(due.into_iter().filter_map(|(due, ready)| due.then_some(ready)));
    }

    /// The same, within the present turn: what follows from a completion belongs to it.
    fn apply_now(&mut self, token: Token, effects: Effects) {
        let due = [
            (effects.lost, Ready::Lost(token)),
            (effects.settle, Ready::Settle(token)),
            (effects.resume, Ready::Resume(token)),
        ];
        for (due, ready) in due {
            if due {
                self.ready.push_front(ready);
                self.batch += 1;
            }
        }
    }

    /// Brings what the driver reports of a datagram socket in line with its state.
    fn renew(&mut self, token: Token) {
        let Some(Slot::Datagram(datagram, attached)) = self.slots.get_mut(token) else { return };
        let interest = datagram.interest();
        if !datagram.is_started() || *attached == Some(interest) {
            return;
        }
        match self.driver.change(token, &mut datagram.source, interest) {
            Ok(()) => *attached = Some(interest),
            // A socket that cannot be waited for can never finish: R8 says that its owner must hear of it.
            Err(code) => self.fail(token, Some(code)),
        }
    }

    fn reattach(driver: &mut D, token: Token, watch: &mut Watch<D, H>, anew: bool) -> Result<(), Code> {
        let wanted = watch.interest();
        if wanted == watch.attached && !anew {
            return Ok(());
        }
        match (watch.attached, wanted) {
            (_, None) => driver.detach(&mut watch.source),
            (None, Some(interest)) => driver.attach(token, &mut watch.source, interest)?,
            (Some(_), Some(interest)) => driver.change(token, &mut watch.source, interest)?,
        }
        watch.attached = wanted;
        Ok(())
    }

    fn dismantle(driver: &mut D, slot: Slot<D, H>) -> Remains<H> {
        let (source, remains) = match slot {
            Slot::Stream(Stream { source, owner, .. })
            | Slot::Listener(Listener { source, owner, .. })
            | Slot::Datagram(Datagram { source, owner, .. }, _) => {
                (source, Remains { owner: Some(owner), callbacks: Vec::new(), waiters: Vec::new() })
            }
            Slot::Watch(mut watch) => {
                let (mut callbacks, mut waiters) = (Vec::new(), Vec::new());
                for direction in [Direction::Read, Direction::Write] {
                    let side = watch.side_mut(direction);
                    callbacks.extend(side.callback.take());
                    waiters.extend(side.waiters.drain(..));
                }
                (watch.source, Remains { owner: None, callbacks, waiters })
            }
        };
        driver.close(source);
        remains
    }
}

fn wants<D: Driver, H: Host>(watch: &Watch<D, H>, direction: Direction) -> bool {
    let side = watch.side(direction);
    side.callback.is_some() || !side.waiters.is_empty()
}

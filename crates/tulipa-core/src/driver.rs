//! The contract with a world: operations out, completions and `now` in.
//!
//! A driver is completion-shaped. [`Driver::attach`] asks for completions; a [`Completion`] says that an operation on
//! that token has completed or can complete at once, and the operation's result is *taken* by the next call of
//! [`Driver::read`], [`Driver::write`], [`Driver::accept`] and so on, straight into its final place. A poller adapts to
//! this by making the system call when the result is taken; a completion port by handing over what already arrived.
//! Taking late costs no copy and no buffer per waiting connection, and a token whose owner went away in between is
//! simply never asked.
//!
//! [`Attempt::Pending`] is a promise: a completion for that direction follows once there is something to take. The
//! loop never asks again without one, save after a read that filled its buffer.

use std::fmt;
use std::io::IoSlice;

use crate::time::Instant;
use crate::token::Token;
use crate::watch::Direction;

/// An error number of the driver's world: `errno` from an operating system, a made-up one from a simulation. The loop
/// passes it on and never interprets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub i32);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "driver error {}", self.0)
    }
}

impl std::error::Error for Code {}

/// The result of taking an operation's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt<T> {
    /// It is done, and here is what came of it.
    Done(T),
    /// Not now; a completion will come.
    Pending,
}

/// When the driver reports readiness again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Once for each change, after the last attempt ended in [`Attempt::Pending`] or in a short read. Steady traffic
    /// then costs no registration call (G13).
    Edge,
    /// At every wait while it lasts: what `add_reader` documents.
    Level,
}

/// Which completions a token wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Something to read, to accept or to receive.
    pub read: bool,
    /// Room to write.
    pub write: bool,
    /// How often to say so.
    pub trigger: Trigger,
}

/// What happened to one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Whom it concerns; may be stale.
    pub token: Token,
    /// There is something to take from [`Driver::read`], [`Driver::accept`] or [`Driver::receive`].
    pub readable: bool,
    /// [`Driver::write`] or [`Driver::send`] will make progress.
    pub writable: bool,
    /// The peer is gone or the descriptor failed: whatever is taken last is an end or an error, so a short read does
    /// not mean that nothing follows.
    pub hangup: bool,
}

/// A connection taken from a listener, and its peer's address.
pub type Accepted<D> = (<D as Driver>::Source, <D as Driver>::Address);

/// A datagram's length, and where it came from if the world says so.
pub type Received<D> = (usize, Option<<D as Driver>::Address>);

/// A wait that can be slept through while nobody holds the driver, so that other threads may use the loop meanwhile.
pub trait Nap: Send {
    /// Waits until something happens or until `timeout` seconds have passed; `None` waits without end.
    ///
    /// # Errors
    /// The driver's code, but never for an interruption by a signal: that just ends the wait.
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), Code>;
}

/// A world that the loop lives in.
pub trait Driver: Sized {
    /// One open thing: a descriptor with what the driver must remember of it.
    type Source;
    /// The address of a datagram's peer or of an accepted connection.
    type Address: Clone;
    /// See [`Driver::nap`].
    type Nap: Nap;

    /// What a writer gets to hear when its reader has gone while bytes were still queued.
    const BROKEN_PIPE: Code;

    /// The clock.
    fn now(&self) -> Instant;

    /// The clock's granularity in seconds. Deadlines closer than this count as due.
    fn resolution(&self) -> f64;

    /// Begins to report completions for `source` under `token`.
    ///
    /// # Errors
    /// The driver's code; then nothing is registered.
    fn attach(&mut self, token: Token, source: &mut Self::Source, interest: Interest) -> Result<(), Code>;

    /// Changes what is reported for an attached source.
    ///
    /// # Errors
    /// The driver's code; then the former interest still holds.
    fn change(&mut self, token: Token, source: &mut Self::Source, interest: Interest) -> Result<(), Code>;

    /// Takes note that the owner of a watched source tried for itself, by a call of its own, and could not proceed: an
    /// edge-triggered completion for that direction must follow.
    fn rearm(&mut self, source: &mut Self::Source, direction: Direction);

    /// Ends reporting. The source stays open.
    fn detach(&mut self, source: &mut Self::Source);

    /// Ends reporting and closes what the driver owns of the source. No completion outlives the call (R4), and no kernel
    /// operation on the number that the source was made of: what goes on in the background has a number of its own.
    fn close(&mut self, source: Self::Source);

    /// The loop ends. What is left to be written of each source is offered once more, whatever was said before, and then
    /// the sources are closed: a driver that writes in the background waits for what can be written.
    fn last_call(&mut self);

    /// Takes bytes that have arrived. `Done(0)` is the end of the stream; `into` is never empty.
    ///
    /// # Errors
    /// The driver's code; the stream is broken.
    fn read(&mut self, source: &mut Self::Source, into: &mut [u8]) -> Result<Attempt<usize>, Code>;

    /// Writes the beginning of `from`, in order, as much as there is room for; at least one byte when `Done`. Less than
    /// all of it means [`Attempt::Pending`] for the rest. A driver may begin to write and say `Pending`, and later take
    /// what was written for the answer: the loop offers the same bytes again, and more behind them.
    ///
    /// # Errors
    /// The driver's code; the stream is broken.
    fn write(&mut self, source: &mut Self::Source, from: &[IoSlice<'_>]) -> Result<Attempt<usize>, Code>;

    /// Tells the peer that no more bytes will follow, and leaves the reading side open.
    ///
    /// # Errors
    /// The driver's code.
    fn finish_write(&mut self, source: &mut Self::Source) -> Result<(), Code>;

    /// Takes one connection that a listener has waiting.
    ///
    /// # Errors
    /// The driver's code; the listener itself stays usable.
    fn accept(&mut self, source: &mut Self::Source) -> Result<Attempt<Accepted<Self>>, Code>;

    /// Takes one datagram: its length in `into`, and where it came from if the world says so.
    ///
    /// # Errors
    /// The driver's code, which may concern a datagram sent earlier; the socket stays usable.
    fn receive(&mut self, source: &mut Self::Source, into: &mut [u8]) -> Result<Attempt<Received<Self>>, Code>;

    /// Sends one datagram, to `to` or to the connected peer.
    ///
    /// # Errors
    /// The driver's code; the datagram is dropped, the socket stays usable.
    fn send(
        &mut self,
        source: &mut Self::Source,
        datagram: &[u8],
        to: Option<&Self::Address>,
    ) -> Result<Attempt<()>, Code>;

    /// Gathers what has happened, without waiting.
    ///
    /// # Errors
    /// The driver's code.
    fn poll(&mut self) -> Result<(), Code>;

    /// Takes out what a wait needs.
    fn nap(&mut self) -> Self::Nap;

    /// Gathers what happened while `nap` slept.
    fn woken(&mut self, nap: Self::Nap);

    /// The next completion gathered, if any.
    fn next_completion(&mut self) -> Option<Completion>;
}

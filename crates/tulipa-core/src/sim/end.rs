//! One open end of something: what it is, who holds it, and what the loop wants to know of it.

use std::fmt;

use crate::driver::{Completion, Interest, Trigger};
use crate::token::Token;
use crate::watch::Direction;

use super::datagram::DatagramEnd;
use super::listener::ListenerEnd;
use super::stream::StreamEnd;

/// The name of one open end in a simulated world. Names are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndId(pub(super) u32);

impl fmt::Display for EndId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Where something listens or receives in a simulated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimAddress(pub u32);

/// An end that the program holds: the simulation's descriptor. Whoever has it must close it through the driver.
#[derive(Debug, PartialEq, Eq)]
pub struct SimSource(pub(super) EndId);

impl SimSource {
    /// The end's name.
    #[must_use]
    pub const fn id(&self) -> EndId {
        self.0
    }
}

/// Who may use and close an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The program, by a [`SimSource`].
    Program,
    /// The world around it, by an [`EndId`].
    World,
    /// Nobody yet: it waits in a listener's backlog.
    Backlog,
}

#[derive(Debug)]
pub(super) enum Kind {
    Stream(StreamEnd),
    Datagram(DatagramEnd),
    Listener(ListenerEnd),
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) kind: Kind,
    pub(super) holder: Holder,
    pub(super) watched: Option<Watched>,
}

/// What an end is ready for at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) read: bool,
    pub(super) write: bool,
    /// The peer has ended its half, or is gone.
    pub(super) hangup: bool,
    /// Nothing can ever be done with it again; reported whatever was asked for.
    pub(super) broken: bool,
}

impl Kind {
    pub(super) fn readiness(&self) -> Readiness {
        match self {
            Self::Stream(stream) => stream.readiness(),
            Self::Datagram(datagram) => datagram.readiness(),
            Self::Listener(listener) => listener.readiness(),
        }
    }

    /// Whether a report of something to read can be true of it.
    pub(super) const fn may_be_read(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.reads(),
            Self::Datagram(_) | Self::Listener(_) => true,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Stream(_) => "stream",
            Self::Datagram(_) => "datagram socket",
            Self::Listener(_) => "listener",
        }
    }
}

/// One direction of a registration.
#[derive(Clone, Copy, Debug)]
struct Side {
    /// A report may be given: the last attempt ended in "not now" or took less than asked, or there was none yet.
    armed: bool,
    /// Something has changed that was not reported yet.
    news: bool,
    /// The loop may ask: a completion was given since it last heard "not now".
    may_ask: bool,
}

/// A registration, at the strictest reading of [`Trigger::Edge`]: a report needs *both* a change that was not yet
/// reported (as on `epoll`, where what was told once is not told again) *and* an attempt that came to its end since the
/// last report (as on a one-shot adapter of `poll`). An implementation that needs an edge which one kind of kernel
/// gives and the other does not, hangs here.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) token: Token,
    pub(super) interest: Interest,
    read: Side,
    write: Side,
    told_hangup: bool,
}

impl Watched {
    pub(super) const fn new(token: Token, interest: Interest) -> Self {
        let side = Side { armed: true, news: true, may_ask: true };
        Self { token, interest, read: side, write: side, told_hangup: false }
    }

    /// Something has changed in that direction.
    pub(super) const fn news(&mut self, direction: Direction) {
        self.side(direction).news = true;
    }

    /// An attempt has come to its end: a report is due at the next change, or at once if `look_again` (for kernels
    /// that look afresh, since they have no way to tell of the peer's end).
    pub(super) const fn arm(&mut self, direction: Direction, look_again: bool) {
        let told_hangup = self.told_hangup;
        let side = self.side(direction);
        side.armed = true;
        side.news |= look_again;
        side.may_ask = told_hangup && matches!(direction, Direction::Read);
    }

    /// Whether the loop may ask, by the rule that it never does so again without a completion.
    pub(super) const fn may_ask(&self, direction: Direction) -> bool {
        let side = match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        };
        matches!(self.interest.trigger, Trigger::Level) || side.may_ask
    }

    const fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }

    /// What is to be reported of an end that is this ready; `None` if nothing.
    pub(super) fn report(&self, ready: Readiness, tells_all: bool, tells_hangup: bool) -> Option<Completion> {
        let Interest { read, write, trigger } = self.interest;
        let edge = trigger == Trigger::Edge;
        let hangup = ready.hangup && (tells_hangup || ready.broken);
        let mut readable = read && (ready.read || hangup) && (!edge || (self.read.armed && self.read.news));
        let mut writable = write && ready.write && (!edge || (self.write.armed && self.write.news));
        if !edge && ready.broken && (read || write) {
            // What nobody asked for in particular, `poll` and `epoll` report anyway.
            return Some(Completion { token: self.token, readable, writable, hangup: true });
        }
        if !readable && !writable {
            return None;
        }
        if tells_all {
            readable |= read && (ready.read || hangup);
            writable |= write && ready.write;
        }
        Some(Completion { token: self.token, readable: readable && ready.read, writable, hangup: readable && hangup })
    }

    /// Takes note that this was reported.
    pub(super) const fn reported(&mut self, completion: Completion) {
        if completion.readable || completion.hangup {
            self.read = Side { armed: false, news: false, may_ask: true };
        }
        if completion.writable {
            self.write = Side { armed: false, news: false, may_ask: true };
        }
        self.told_hangup |= completion.hangup;
    }

    /// Allows the loop to ask, after a report that was not called for.
    pub(super) const fn allow(&mut self) {
        self.read.may_ask = true;
        self.write.may_ask = true;
    }
}

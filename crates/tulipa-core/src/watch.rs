//! A descriptor of the program's own: `add_reader` and `add_writer`, and the operations of `sock_*`.
//!
//! 1. A direction has at most one callback; a second replaces it, as asyncio documents (G12). Callbacks are
//!    level-triggered.
//! 2. A direction has any number of waiters, which are served one after another: the second `sock_recv` on a socket
//!    gets the bytes after the first one's, never bytes from between (R6, T35).
//! 3. Waiters alone are edge-triggered, and the registration stays when the last is served: a program that receives in
//!    a loop makes no registration calls (G13). It ends with [`Loop::unwatch`](crate::Loop::unwatch).

use std::collections::VecDeque;

use crate::driver::{Driver, Interest, Trigger};
use crate::host::Host;

/// What a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Something to read or to accept, or an end.
    Read,
    /// Room to write, or a connection that is made.
    Write,
}

pub(crate) struct Watch<D: Driver, H: Host> {
    pub(crate) source: D::Source,
    pub(crate) attached: Option<Interest>,
    /// In the ring of those who are looked after; see [`rounds`](crate::rounds).
    pub(crate) on_rounds: bool,
    read: Side<H>,
    write: Side<H>,
}

pub(crate) struct Side<H: Host> {
    pub(crate) callback: Option<H::Callback>,
    pub(crate) waiters: VecDeque<H::Waiter>,
}

impl<H: Host> Side<H> {
    const fn new() -> Self {
        Self { callback: None, waiters: VecDeque::new() }
    }
}

impl<D: Driver, H: Host> Watch<D, H> {
    pub(crate) const fn new(source: D::Source) -> Self {
        Self { source, attached: None, on_rounds: false, read: Side::new(), write: Side::new() }
    }

    pub(crate) const fn side(&self, direction: Direction) -> &Side<H> {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    pub(crate) const fn side_mut(&mut self, direction: Direction) -> &mut Side<H> {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }

    /// What must be reported now; `None` if nothing at all.
    pub(crate) fn interest(&self) -> Option<Interest> {
        let called = self.read.callback.is_some() || self.write.callback.is_some();
        if called {
            let wants = |side: &Side<H>| side.callback.is_some() || !side.waiters.is_empty();
            return Some(Interest { read: wants(&self.read), write: wants(&self.write), trigger: Trigger::Level });
        }
        let waited = !self.read.waiters.is_empty() || !self.write.waiters.is_empty();
        let edge = Interest { read: true, write: true, trigger: Trigger::Edge };
        // Rule 3: an edge-triggered registration stays.
        (waited || self.attached == Some(edge)).then_some(edge)
    }

    /// One of those who wait.
    pub(crate) fn any_waiter(&self) -> Option<&H::Waiter> {
        self.read.waiters.front().or_else(|| self.write.waiters.front())
    }

    pub(crate) fn is_idle(&self) -> bool {
        [&self.read, &self.write].iter().all(|side| side.callback.is_none() && side.waiters.is_empty())
    }
}

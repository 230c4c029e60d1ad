//! Listening sockets and their backlog.

use std::collections::VecDeque;

use crate::driver::{Accepted, Attempt, Code};
use crate::watch::Direction;

use super::SimDriver;
use super::codes;
use super::end::{EndId, Holder, Kind, Readiness, SimAddress, SimSource};

#[derive(Debug)]
pub(super) struct ListenerEnd {
    pub(super) address: SimAddress,
    backlog: usize,
    waiting: VecDeque<(EndId, SimAddress)>,
    /// Connections on their way here.
    coming: usize,
}

impl ListenerEnd {
    pub(super) const fn new(address: SimAddress, backlog: usize) -> Self {
        Self { address, backlog, waiting: VecDeque::new(), coming: 0 }
    }

    /// Reserves a place in the backlog, if there is one.
    pub(super) fn reserve(&mut self) -> bool {
        let free = self.waiting.len() + self.coming < self.backlog;
        self.coming += usize::from(free);
        free
    }

    pub(super) fn readiness(&self) -> Readiness {
        Readiness { read: !self.waiting.is_empty(), ..Readiness::default() }
    }

    /// Those who will never be accepted.
    pub(super) fn abandon(&mut self) -> VecDeque<(EndId, SimAddress)> {
        std::mem::take(&mut self.waiting)
    }
}

impl SimDriver {
    fn listener_end(&mut self, id: EndId) -> Result<&mut ListenerEnd, Code> {
        match self.ends.get_mut(&id).map(|end| &mut end.kind) {
            Some(Kind::Listener(listener)) => Ok(listener),
            _ => Err(codes::CLOSED),
        }
    }

    pub(super) fn listener_accept(&mut self, id: EndId) -> Result<Attempt<Accepted<Self>>, Code> {
        let exhausted = self.open() >= self.faults.descriptors_max || self.dice.happens(self.faults.refused_accepts);
        let listener = self.listener_end(id)?;
        if listener.waiting.is_empty() {
            return Ok(Attempt::Pending);
        }
        if exhausted {
            // The connection stays in the backlog, as on a real kernel, and reports on.
            return Err(codes::TOO_MANY_OPEN);
        }
        let Some((accepted, from)) = listener.waiting.pop_front() else { return Ok(Attempt::Pending) };
        Ok(Attempt::Done((self.hand_over(accepted)?, from)))
    }

    /// Gives an end to the program.
    pub(super) fn hand_over(&mut self, id: EndId) -> Result<SimSource, Code> {
        let end = self.ends.get_mut(&id).ok_or(codes::CLOSED)?;
        assert!(end.holder != Holder::Program, "{id} is the program's already");
        end.holder = Holder::Program;
        self.opened += 1;
        Ok(SimSource(id))
    }

    pub(super) fn connection_arrives(&mut self, id: EndId, end: EndId, from: SimAddress) {
        self.trace.add(self.clock.now(), id, "connection arrives", 0);
        if let Ok(listener) = self.listener_end(id) {
            listener.coming -= 1;
            listener.waiting.push_back((end, from));
            self.news(id, Direction::Read);
        } else {
            self.stream_reset(end);
            self.ends.remove(&end);
        }
    }
}

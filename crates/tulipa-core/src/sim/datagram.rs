//! Datagram sockets: each message whole or not at all, in any order, at times twice.

use std::collections::VecDeque;

use crate::driver::{Attempt, Code, Received};
use crate::watch::Direction;

use super::SimDriver;
use super::clock::Event;
use super::codes;
use super::end::{EndId, Kind, Readiness, SimAddress};

/// How many datagrams wait at a socket that nobody reads; those that come after them are lost.
const ARRIVED_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct DatagramEnd {
    pub(super) address: SimAddress,
    pub(super) connected: Option<SimAddress>,
    arrived: VecDeque<(Vec<u8>, SimAddress)>,
    /// Bytes that have not left yet.
    outstanding: usize,
    capacity: usize,
    /// What an earlier datagram met.
    error: Option<Code>,
}

impl DatagramEnd {
    pub(super) const fn new(address: SimAddress, connected: Option<SimAddress>, capacity: usize) -> Self {
        Self { address, connected, arrived: VecDeque::new(), outstanding: 0, capacity, error: None }
    }

    pub(super) fn readiness(&self) -> Readiness {
        Readiness {
            read: !self.arrived.is_empty() || self.error.is_some(),
            write: self.outstanding * 2 <= self.capacity,
            hangup: false,
            broken: false,
        }
    }
}

impl SimDriver {
    fn datagram_end(&mut self, id: EndId) -> Result<&mut DatagramEnd, Code> {
        match self.ends.get_mut(&id).map(|end| &mut end.kind) {
            Some(Kind::Datagram(datagram)) => Ok(datagram),
            _ => Err(codes::CLOSED),
        }
    }

    pub(super) fn datagram_receive(&mut self, id: EndId, into: &mut [u8]) -> Result<Attempt<Received<Self>>, Code> {
        let socket = self.datagram_end(id)?;
        if let Some(code) = socket.error.take() {
            return Err(code);
        }
        let Some((bytes, from)) = socket.arrived.pop_front() else { return Ok(Attempt::Pending) };
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        Ok(Attempt::Done((count, Some(from))))
    }

    pub(super) fn datagram_send(
        &mut self,
        id: EndId,
        bytes: &[u8],
        to: Option<SimAddress>,
    ) -> Result<Attempt<()>, Code> {
        let socket = self.datagram_end(id)?;
        if let Some(code) = socket.error.take() {
            return Err(code);
        }
        let (to, source, count) = (to.or(socket.connected).ok_or(codes::NOT_CONNECTED)?, socket.address, bytes.len());
        if count * 2 > socket.capacity {
            return Err(codes::MESSAGE_TOO_LONG);
        }
        if socket.outstanding + count > socket.capacity {
            return Ok(Attempt::Pending);
        }
        socket.outstanding += count;
        let now = self.clock.now();
        let leaves = now.after(self.dice.secs(self.faults.latency_secs));
        self.clock.note(leaves, Event::Sent { from: id, count });
        if self.dice.happens(self.faults.lost_datagrams) {
            return Ok(Attempt::Done(()));
        }
        let copies = if self.dice.happens(self.faults.doubled_datagrams) { 2 } else { 1 };
        for _ in 0..copies {
            let when = now.after(self.dice.secs(self.faults.latency_secs));
            self.clock.note(when, Event::Datagram { from: id, to, bytes: bytes.to_vec(), source });
        }
        Ok(Attempt::Done(()))
    }

    pub(super) fn datagram_arrives(&mut self, from: EndId, to: SimAddress, bytes: Vec<u8>, source: SimAddress) {
        let found = self.ends.iter_mut().find_map(|(id, end)| match &mut end.kind {
            Kind::Datagram(socket) if socket.address == to => Some((*id, socket)),
            _ => None,
        });
        if let Some((id, socket)) = found {
            if socket.connected.is_none_or(|only| only == source) && socket.arrived.len() < ARRIVED_MAX {
                self.trace.add(self.clock.now(), id, "datagram arrives", bytes.len());
                socket.arrived.push_back((bytes, source));
                self.news(id, Direction::Read);
            }
        } else if let Ok(sender) = self.datagram_end(from)
            && sender.connected.is_some()
        {
            // Only a connected socket is told, as on real kernels.
            sender.error = Some(codes::REFUSED);
            self.news(from, Direction::Read);
        }
    }

    pub(super) fn datagram_leaves(&mut self, from: EndId, count: usize) {
        if let Ok(socket) = self.datagram_end(from) {
            socket.outstanding -= count;
            self.news(from, Direction::Write);
        }
    }
}

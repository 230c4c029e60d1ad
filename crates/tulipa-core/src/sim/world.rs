//! The world's side: what a test, or the rest of a simulated machine, does around the program.
//!
//! An end that the program holds is a [`SimSource`]; one that the world holds is a plain [`EndId`], and is used through
//! [`Peer`]. What the world does with its ends costs no time and needs no reports.

use std::io::IoSlice;

use crate::driver::{Accepted, Attempt, Code, Received};

use super::SimDriver;
use super::clock::Event;
use super::codes;
use super::datagram::DatagramEnd;
use super::end::{End, EndId, Holder, Kind, SimAddress, SimSource};
use super::listener::ListenerEnd;
use super::stream::{StreamEnd, Wire};

/// Which ends of a pair read, and which write.
#[derive(Clone, Copy)]
enum Flow {
    Both,
    FirstToSecond,
}

impl SimDriver {
    fn add(&mut self, kind: Kind) -> EndId {
        let id = EndId(self.next_id);
        self.next_id += 1;
        self.ends.insert(id, End { kind, holder: Holder::World, watched: None });
        id
    }

    fn pair(&mut self, wire: Wire, flow: Flow) -> (EndId, EndId) {
        let (least, most) = self.faults.buffer_bytes;
        let (here, there) = (self.dice.between(least, most), self.dice.between(least, most));
        let (first, second) = (EndId(self.next_id), EndId(self.next_id + 1));
        let back = matches!(flow, Flow::Both);
        let ends = (
            self.add(Kind::Stream(StreamEnd::new(second, wire, back, true, here))),
            self.add(Kind::Stream(StreamEnd::new(first, wire, true, back, there))),
        );
        self.trace.add(self.clock.now(), ends.0, "pair, buffers", here + there);
        ends
    }

    /// A network connection: the program's end, and the world's.
    pub fn stream_pair(&mut self) -> (SimSource, EndId) {
        let (ours, theirs) = self.pair(Wire::Network, Flow::Both);
        (self.adopt(ours), theirs)
    }

    /// Two connected sockets of one machine, as `socketpair` makes them.
    pub fn local_pair(&mut self) -> (SimSource, EndId) {
        let (ours, theirs) = self.pair(Wire::Local, Flow::Both);
        (self.adopt(ours), theirs)
    }

    /// A pipe from which the program reads.
    pub fn pipe_in(&mut self) -> (SimSource, EndId) {
        let (writes, reads) = self.pair(Wire::Local, Flow::FirstToSecond);
        (self.adopt(reads), writes)
    }

    /// A pipe into which the program writes.
    pub fn pipe_out(&mut self) -> (SimSource, EndId) {
        let (writes, reads) = self.pair(Wire::Local, Flow::FirstToSecond);
        (self.adopt(writes), reads)
    }

    /// A listening socket of the program's, and where it listens.
    pub fn listener(&mut self, backlog: usize) -> (SimSource, SimAddress) {
        let address = self.fresh_address();
        let id = self.add(Kind::Listener(ListenerEnd::new(address, backlog)));
        (self.adopt(id), address)
    }

    /// Connects to a listener. The end is the world's; [`SimDriver::adopt`] makes it the program's.
    ///
    /// # Errors
    /// [`codes::REFUSED`]: nobody listens there, or the backlog is full.
    pub fn connect(&mut self, address: SimAddress) -> Result<EndId, Code> {
        let listener = self
            .ends
            .iter_mut()
            .find_map(|(id, end)| match &mut end.kind {
                Kind::Listener(listener) if listener.address == address => listener.reserve().then_some(*id),
                _ => None,
            })
            .ok_or(codes::REFUSED)?;
        let (near, far) = self.pair(Wire::Network, Flow::Both);
        if let Some(end) = self.ends.get_mut(&far) {
            end.holder = Holder::Backlog;
        }
        let from = self.fresh_address();
        let when = self.clock.now().after(self.dice.secs(self.faults.latency_secs));
        self.clock.note(when, Event::Connected { listener, end: far, from });
        Ok(near)
    }

    /// A datagram socket of the program's, and its address. With `connected` it sends there and hears only from there.
    pub fn datagram(&mut self, connected: Option<SimAddress>) -> (SimSource, SimAddress) {
        let (id, address) = self.world_datagram(connected);
        (self.adopt(id), address)
    }

    /// A datagram socket of the world's, and its address.
    pub fn world_datagram(&mut self, connected: Option<SimAddress>) -> (EndId, SimAddress) {
        let address = self.fresh_address();
        let (least, most) = self.faults.buffer_bytes;
        let capacity = self.dice.between(least, most);
        (self.add(Kind::Datagram(DatagramEnd::new(address, connected, capacity))), address)
    }

    /// Makes an end of the world's the program's.
    ///
    /// # Panics
    /// If there is no such end, or it is the program's already: a test's own mistake.
    pub fn adopt(&mut self, id: EndId) -> SimSource {
        match self.hand_over(id) {
            Ok(source) => source,
            Err(_) => panic!("there is no {id} to be adopted"),
        }
    }

    /// The end of this name, whoever holds it, to be used without the loop.
    pub const fn peer(&mut self, id: EndId) -> Peer<'_> {
        Peer { sim: self, id }
    }

    /// Ends a wait at `secs` from now at the latest, for a world that has something to do then.
    pub fn alarm(&mut self, secs: f64) {
        self.clock.note(self.clock.now().after(secs), Event::Alarm);
    }

    const fn fresh_address(&mut self) -> SimAddress {
        self.next_address += 1;
        SimAddress(self.next_address)
    }
}

/// One end, used directly: it asks for no reports, and meets none of the rules that the loop must keep.
pub struct Peer<'a> {
    sim: &'a mut SimDriver,
    id: EndId,
}

impl Peer<'_> {
    /// Whether the end is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sim.ends.contains_key(&self.id)
    }

    /// The other end of a stream.
    #[must_use]
    pub fn other(&mut self) -> Option<EndId> {
        self.sim.stream(self.id).ok().map(|stream| stream.peer)
    }

    /// Takes bytes that have arrived; `Done(0)` is the end.
    ///
    /// # Errors
    /// What broke the stream.
    pub fn read(&mut self, into: &mut [u8]) -> Result<Attempt<usize>, Code> {
        self.sim.stream_read(self.id, into)
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// What broke the stream.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Attempt<usize>, Code> {
        if bytes.is_empty() {
            return Ok(Attempt::Done(0));
        }
        self.sim.stream_write(self.id, &[IoSlice::new(bytes)])
    }

    /// Ends what this end writes.
    ///
    /// # Errors
    /// The stream is broken already.
    pub fn finish_write(&mut self) -> Result<(), Code> {
        self.sim.stream_finish(self.id)
    }

    /// Takes a connection that waits at a listener.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn accept(&mut self) -> Result<Attempt<Accepted<SimDriver>>, Code> {
        self.sim.listener_accept(self.id)
    }

    /// Takes a datagram.
    ///
    /// # Errors
    /// What an earlier datagram met.
    pub fn receive(&mut self, into: &mut [u8]) -> Result<Attempt<Received<SimDriver>>, Code> {
        self.sim.datagram_receive(self.id, into)
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// The datagram is too long, or an earlier one met an error.
    pub fn send(&mut self, bytes: &[u8], to: Option<SimAddress>) -> Result<Attempt<()>, Code> {
        self.sim.datagram_send(self.id, bytes, to)
    }

    /// Closes an end of the world's.
    ///
    /// # Panics
    /// If the program holds it: only the program may close that.
    pub fn close(self) {
        let held = self.sim.ends.get(&self.id).map(|end| end.holder);
        assert!(held != Some(Holder::Program), "{} is the program's", self.id);
        self.sim.close_end(self.id);
    }

    /// Breaks the connection, and closes an end of the world's.
    pub fn reset(self) {
        self.sim.stream_reset(self.id);
        if self.sim.ends.get(&self.id).is_some_and(|end| end.holder == Holder::World) {
            self.sim.forget(self.id);
        }
    }

    /// Lets the connection time out, on both ends.
    pub fn time_out(self) {
        self.sim.break_connection(self.id, codes::TIMED_OUT);
    }
}

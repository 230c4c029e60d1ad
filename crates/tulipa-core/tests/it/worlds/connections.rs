//! What was written on each byte stream, and what has come out at the other end: always exactly that, from the first
//! byte on, however it was cut.

use tulipa_core::sim::EndId;

/// One direction. The bytes are a function of their place, so that nothing need be kept to compare with.
#[derive(Debug, Default)]
pub(crate) struct Way {
    salt: u32,
    pub(crate) written: usize,
    pub(crate) arrived: usize,
    /// The writer has said that nothing more follows.
    pub(crate) finished: bool,
    /// The reader has been told so.
    pub(crate) ended: bool,
}

impl Way {
    /// The next bytes to write. They count only once [`Way::took`] says so.
    pub(crate) fn bytes(&self, count: usize) -> Vec<u8> {
        (self.written..self.written + count).map(|at| self.byte(at)).collect()
    }

    pub(crate) fn took(&mut self, count: usize) {
        assert!(!self.finished, "a write after the end should have been refused");
        self.written += count;
    }

    pub(crate) fn check(&mut self, bytes: &[u8]) {
        assert!(!self.ended, "bytes after the end");
        for byte in bytes {
            assert_eq!(*byte, self.byte(self.arrived), "a wrong byte at {}", self.arrived);
            self.arrived += 1;
        }
        assert!(self.arrived <= self.written, "more has arrived than was written");
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.arrived == self.written
    }

    #[expect(clippy::cast_possible_truncation, reason = "any byte will do")]
    fn byte(&self, at: usize) -> u8 {
        let mixed = (at as u32).wrapping_add(self.salt << 16).wrapping_mul(0x9e37_79b1);
        (mixed >> 24) as u8
    }
}

/// One byte stream between the program and the world.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: EndId,
    /// From the program to its peer.
    pub(crate) out: Way,
    /// From the peer to the program.
    pub(crate) back: Way,
    /// The program reads, and the peer writes.
    pub(crate) reads: bool,
    /// The program writes, and the peer reads.
    pub(crate) writes: bool,
    pub(crate) peer_open: bool,
    /// The peer has met an error: what is missing is lost.
    pub(crate) peer_broken: bool,
    /// The program gave up before everything was written, or was told that it is broken.
    pub(crate) cut_short: bool,
}

impl Connection {
    pub(crate) fn new(salt: u32, peer: EndId, reads: bool, writes: bool) -> Self {
        Self {
            peer,
            out: Way { salt: salt * 2, ..Way::default() },
            back: Way { salt: salt * 2 + 1, ..Way::default() },
            reads,
            writes,
            peer_open: true,
            peer_broken: false,
            cut_short: false,
        }
    }
}

//! Whatever arrives, in whatever pieces, a TLS session hands out the bytes that its peer wrote, in order, or none.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tulipa_fuzz::openssl::{Owned, pair};
use tulipa_tls::{Buffer, Read, Session, Write};

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Side {
    Client,
    Server,
}

#[derive(Arbitrary, Debug)]
enum Op {
    /// A side writes so many bytes and one.
    Write(Side, u16),
    /// A side reads into a buffer of so many bytes and one.
    Read(Side, u16),
    /// So much of what a side has sent arrives at the other.
    Deliver(Side, u16),
    /// All of it arrives, in pieces of so many bytes and one.
    DeliverAll(Side, u8),
    /// What was never sent arrives at a side.
    Garbage(Side, Vec<u8>),
    /// Bits of what a side has sent change on the way.
    Flip(Side, u16, u8),
    /// The beginning of what a side has sent is lost on the way.
    Lose(Side, u8),
    /// The connection is over, as far as a side is concerned.
    Clear(Side),
}

#[derive(Arbitrary, Debug)]
struct Program {
    newest: bool,
    /// Shake hands undisturbed first, so that what comes after is reached at all.
    shaken: bool,
    ops: Vec<Op>,
}

struct End {
    session: Session<Owned>,
    /// What the session has sent and has not arrived.
    sent: Vec<u8>,
    written: usize,
    read: usize,
    /// What was not taken has to be written again.
    refused: Option<usize>,
}

impl End {
    fn new(session: Session<Owned>) -> Self {
        Self { session, sent: Vec::new(), written: 0, read: 0, refused: None }
    }

    fn write(&mut self, side: Side, size: usize) {
        let size = self.refused.unwrap_or(size);
        let data: Vec<u8> = (self.written..self.written + size).map(|at| byte(side, at)).collect();
        match self.session.write(&data) {
            Write::Done => {
                self.written += size;
                self.refused = None;
            }
            Write::Blocked => self.refused = Some(size),
            Write::Failed => {}
        }
        self.collect();
    }

    /// Whether anything came.
    fn read(&mut self, from: Side, written: usize, size: usize) -> bool {
        let mut into = vec![0; size];
        let result = self.session.read(&mut into);
        self.collect();
        let Read::Data(count) = result else { return false };
        assert!(0 < count && count <= size, "{count} bytes in a buffer of {size}");
        assert!(self.read + count <= written, "more than the peer wrote");
        for &seen in &into[..count] {
            assert_eq!(seen, byte(from, self.read), "byte {}", self.read);
            self.read += 1;
        }
        true
    }

    fn collect(&mut self) {
        let departing = self.session.wire().departing();
        let departed = self.session.wire().depart();
        assert_eq!(departed.len(), departing);
        assert_eq!(self.session.wire().departing(), 0);
        self.sent.extend(departed);
    }

    fn arrive(&self, ciphertext: &[u8]) {
        let before = self.session.wire().arrived();
        if ciphertext.len() % 2 == 0 {
            self.session.wire().arrive_copied(ciphertext);
        } else {
            for piece in ciphertext.chunks(1000) {
                let mut buffer = Buffer::borrow();
                assert_eq!(buffer.append(piece), piece.len());
                self.session.wire().arrive(buffer);
            }
        }
        assert_eq!(self.session.wire().arrived(), before + ciphertext.len());
    }
}

/// What a side writes at a position.
fn byte(side: Side, at: usize) -> u8 {
    u8::try_from((at * 7 + at / 251 + side as usize) % 251).unwrap_or(0)
}

struct Connection {
    ends: [End; 2],
}

impl Connection {
    fn both(&mut self, side: Side) -> (&mut End, &mut End) {
        let [client, server] = &mut self.ends;
        match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        }
    }

    fn deliver(&mut self, side: Side, count: usize) {
        let (from, to) = self.both(side);
        let moved: Vec<u8> = from.sent.drain(..count.min(from.sent.len())).collect();
        to.arrive(&moved);
    }

    fn shake_hands(&mut self) {
        for _ in 0..4 {
            for side in [Side::Client, Side::Server] {
                let (end, other) = self.both(side);
                let (from, written) = (opposite(side), other.written);
                end.read(from, written, 1);
                let count = self.both(side).0.sent.len();
                self.deliver(side, count);
            }
        }
        for side in [Side::Client, Side::Server] {
            let end = self.both(side).0;
            end.write(side, 1);
            assert_eq!(end.written, 1, "after the handshake, what is written is taken");
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Write(side, size) => self.both(side).0.write(side, usize::from(size) + 1),
            Op::Read(side, size) => {
                let (end, other) = self.both(side);
                let written = other.written;
                end.read(opposite(side), written, usize::from(size) + 1);
            }
            Op::Deliver(side, count) => self.deliver(side, usize::from(count)),
            Op::DeliverAll(side, piece) => {
                for _ in 0..=self.both(side).0.sent.len() / (usize::from(piece) + 1) {
                    self.deliver(side, usize::from(piece) + 1);
                }
            }
            Op::Garbage(side, bytes) => self.both(side).0.arrive(&bytes),
            Op::Flip(side, at, bits) => {
                let sent = &mut self.both(side).0.sent;
                let length = sent.len().max(1);
                if let Some(byte) = sent.get_mut(usize::from(at) % length) {
                    *byte ^= bits;
                }
            }
            Op::Lose(side, count) => {
                let sent = &mut self.both(side).0.sent;
                sent.drain(..usize::from(count).min(sent.len()));
            }
            Op::Clear(side) => {
                let end = self.both(side).0;
                end.session.wire().clear();
                assert_eq!((end.session.wire().arrived(), end.session.wire().departing()), (0, 0));
            }
        }
    }
}

fn opposite(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

fuzz_target!(|program: Program| {
    let (client, server) = pair(program.newest);
    let mut connection = Connection { ends: [End::new(client), End::new(server)] };
    if program.shaken {
        connection.shake_hands();
    }
    let whole = program.shaken
        && program
            .ops
            .iter()
            .all(|op| matches!(op, Op::Write(..) | Op::Read(..) | Op::Deliver(..) | Op::DeliverAll(..)));
    for op in program.ops {
        connection.run(op);
    }
    if !whole {
        return;
    }
    // Nobody has touched the ciphertext: everything arrives.
    for _ in 0..3 {
        for side in [Side::Client, Side::Server] {
            let count = connection.both(side).0.sent.len();
            connection.deliver(side, count);
            let (end, other) = connection.both(opposite(side));
            let written = other.written;
            while end.read(side, written, 20_000) {}
        }
    }
    for side in [Side::Client, Side::Server] {
        let (end, other) = connection.both(side);
        assert_eq!(end.read, other.written, "all that was written");
        assert_eq!(end.session.wire().arrived(), 0, "an idle session holds no ciphertext");
    }
});

//! Streams and datagram sockets, as the world above operates them.

use super::{Loop, Remains, Slot};
use crate::datagram::{Datagram, Sent};
use crate::driver::{Code, Driver, Received};
use crate::host::Host;
use crate::ready::Ready;
use crate::stream::{Effects, Ends, Read, Stream, Written};
use crate::token::Token;

impl<D: Driver, H: Host> Loop<D, H> {
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
        if joining {
            self.unsent += chunk.as_ref().len();
        }
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

    /// Whether the transport takes what arrives: it reads, or will once it has begun, and has not come to the end.
    pub fn takes_input(&self, token: Token) -> bool {
        match self.slots.get(token) {
            Some(Slot::Stream(stream)) => stream.takes_input(),
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
        let Some(Slot::Datagram(datagram, _)) = self.slots.get_mut(token) else { return Ok(None) };
        self.scheduled = self.ready.len() - self.batch;
        datagram.receive(&mut self.driver, into)
    }

    /// Lets the next datagram of a socket follow at once, in this turn, after the last one was delivered. It follows
    /// only if that has scheduled nothing, for what a datagram schedules comes before the next one; if the socket still
    /// reads; and if its row is not too long. Else the driver reports the socket again in the next turn.
    pub fn receive_on(&mut self, token: Token) {
        let Some(Slot::Datagram(datagram, _)) = self.slots.get_mut(token) else { return };
        let scheduled = self.ready.len() - self.batch > self.scheduled || self.inbox.is_pending();
        if !scheduled && datagram.goes_on() {
            self.ready.push_front(Ready::Read(token));
            self.batch += 1;
        }
    }

    fn on_stream<R>(&mut self, token: Token, act: impl FnOnce(&mut Stream<D, H>, &mut D) -> (R, Effects)) -> Option<R> {
        let Some(Slot::Stream(stream)) = self.slots.get_mut(token) else { return None };
        let (result, effects) = act(stream, &mut self.driver);
        self.apply(token, effects);
        Some(result)
    }

    /// Brings what the driver reports of a datagram socket in line with its state.
    pub(super) fn renew(&mut self, token: Token) {
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
}

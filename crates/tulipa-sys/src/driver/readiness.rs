//! Makes completions of a poller's reports: the poller says that something can be taken, and the taking is a system call
//! made straight into its final place.
//!
//! 1. A read, a write and a poll are one system call each, and allocate nothing. (A pipe needs one write for each group
//!    of slices that must stay in one piece, and what is guarded one more to look; see `transfer`.)
//! 2. [`Attempt::Pending`] is passed on to the poller before it is returned, so the completion that it promises cannot
//!    be missed. The same goes for short reads and writes.
//! 3. A file that no poller can watch is read and written on threads (`offload`), and they report.
//! 4. A descriptor of the program's that the poller refuses because it is always ready, such as `/dev/null` or a regular file under epoll, is
//!    reported by the driver itself: after each vain attempt, or level-triggered as `standing` says. The loop does not
//!    sleep while such a report waits. All pollers refuse the same.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{recvfrom, send, sendto};
use tulipa_core::driver::{Accepted, Received};
use tulipa_core::{Attempt, Code, Completion, Direction, Driver, Instant, Interest, Nap, Token, Trigger};

use super::standing::Standing;
use crate::address::Address;
use crate::clock;
use crate::errno::{attempt, code};
use crate::offload::Offload;
use crate::poller::{Poller, Request};
use crate::socket::{RECEIVE, SEND, accept_from, shutdown_write};
use crate::source::{Kind, Mode, Reporting, Source};
use crate::transfer::{self, Taken};
use crate::waker::Waker;

/// A driver on a poller.
#[derive(Debug)]
pub(super) struct Readiness<P> {
    poller: P,
    /// Reports of the driver's own (rule 3).
    own: VecDeque<Completion>,
    /// What is reported in every turn (rule 4).
    standing: Standing,
    /// What wakes the driver; nothing if it is closed.
    waker: Option<Waker>,
    /// Made when the first file needs it (rule 3).
    offload: Option<Box<Offload>>,
}

/// A wait of a [`Readiness`].
#[derive(Debug)]
pub(super) struct ReadinessNap<N> {
    nap: N,
    /// In how many seconds the driver has something to say whatever the poller says.
    limit: Option<f64>,
}

impl<P: Poller> Readiness<P> {
    pub(super) fn open() -> Result<(Self, Waker), Code> {
        let (poller, waker) = P::open()?;
        Ok((Self { waker: Some(waker.clone()), ..Self::on(poller) }, waker))
    }

    /// A driver on a poller that is open already.
    pub(super) const fn on(poller: P) -> Self {
        Self { poller, own: VecDeque::new(), standing: Standing::new(), waker: None, offload: None }
    }

    /// Waits for what must not be left undone, before the driver is dropped.
    pub(super) fn shut(&mut self) {
        if let Some(offload) = &mut self.offload {
            offload.shut();
        }
    }

    /// The threads, for a source that is theirs.
    fn offload(&mut self) -> Result<&mut Offload, Code> {
        let Some(waker) = &self.waker else { return Err(code(Errno::BADF)) };
        Ok(self.offload.get_or_insert_with(|| Box::new(Offload::new(waker.clone()))))
    }

    #[cold]
    fn read_offloaded(&mut self, source: &mut Source, into: &mut [u8]) -> Result<Attempt<usize>, Code> {
        let Reporting::Threads(token) = source.reporting else { return Ok(Attempt::Pending) };
        let Some(file) = &mut source.offloaded else { return Err(code(Errno::INVAL)) };
        let report = readable(token);
        match self.offload()?.read(file, into, report).map_err(code)? {
            Some(count) => {
                if count > 0 && count < into.len() {
                    // The next read begins when the loop asks for it: it may not want any more by then.
                    self.own.push_back(report);
                }
                Ok(Attempt::Done(count))
            }
            None => Ok(Attempt::Pending),
        }
    }

    #[cold]
    fn write_offloaded(&mut self, source: &mut Source, from: &[IoSlice<'_>]) -> Result<Attempt<usize>, Code> {
        let Reporting::Threads(token) = source.reporting else {
            // Not attached yet: to be reported as soon as it is.
            source.write_blocked = true;
            return Ok(Attempt::Pending);
        };
        let Some(file) = &mut source.offloaded else { return Err(code(Errno::INVAL)) };
        let report = writable(token);
        let offered: usize = from.iter().map(|slice| slice.len()).sum();
        match self.offload()?.write(file, from, report).map_err(code)? {
            Some(count) => {
                if count < offered && !file.is_busy() {
                    self.own.push_back(report);
                }
                Ok(Attempt::Done(count))
            }
            None => Ok(Attempt::Pending),
        }
    }

    fn take_finished(&mut self) {
        if let Some(offload) = &self.offload {
            self.own.extend(offload.finished());
        }
    }

    #[inline]
    fn read_pending(&mut self, source: &Source) {
        match &source.reporting {
            Reporting::Poller(registration) => self.poller.read_pending(registration),
            Reporting::Always(token) => self.own.push_back(readable(*token)),
            Reporting::Standing(_) | Reporting::Threads(_) | Reporting::Nobody => {}
        }
    }

    #[inline]
    fn write_pending(&mut self, source: &mut Source) -> Result<(), Code> {
        source.write_blocked = true;
        let mut reporting = std::mem::take(&mut source.reporting);
        let result = match &mut reporting {
            Reporting::Poller(registration) => {
                let result = self.poller.write_pending(source.polled(), registration);
                // Room that a terminal reports once it has some may have come before it was asked for.
                if source.seamless {
                    result
                } else {
                    result.and_then(|()| self.poller.look_again(source.polled(), registration))
                }
            }
            Reporting::Always(token) => {
                self.own.push_back(writable(*token));
                Ok(())
            }
            Reporting::Standing(_) | Reporting::Threads(_) | Reporting::Nobody => Ok(()),
        };
        source.reporting = reporting;
        result
    }

    /// After a read that has left something: it need not be asked for, and is reported with what the next poll finds.
    #[cold]
    fn report_readable(&mut self, source: &Source) {
        match &source.reporting {
            Reporting::Poller(registration) => self.own.push_back(readable(registration.request.token)),
            Reporting::Always(token) => self.own.push_back(readable(*token)),
            Reporting::Standing(_) | Reporting::Threads(_) | Reporting::Nobody => {}
        }
    }

    /// After a read that may have left something which nobody will report.
    #[cold]
    fn look_again(&mut self, source: &mut Source) -> Result<(), Code> {
        self.read_pending(source);
        let mut reporting = std::mem::take(&mut source.reporting);
        let result = match &mut reporting {
            Reporting::Poller(registration) => self.poller.look_again(source.polled(), registration),
            Reporting::Always(_) | Reporting::Standing(_) | Reporting::Threads(_) | Reporting::Nobody => Ok(()),
        };
        source.reporting = reporting;
        result
    }
}

impl<P: Poller> Driver for Readiness<P>
where
    P::Nap: Nap,
{
    type Source = Source;
    type Address = Address;
    type Nap = ReadinessNap<P::Nap>;

    const BROKEN_PIPE: Code = code(Errno::PIPE);

    fn now(&self) -> Instant {
        clock::now()
    }

    fn resolution(&self) -> f64 {
        clock::resolution()
    }

    fn attach(&mut self, token: Token, source: &mut Source, interest: Interest) -> Result<(), Code> {
        self.detach(source);
        if source.mode == Mode::Offloaded {
            self.offload()?;
            if interest.read {
                self.own.push_back(readable(token));
            }
            if interest.write && source.write_blocked {
                self.own.push_back(writable(token));
            }
            source.reporting = Reporting::Threads(token);
            return Ok(());
        }
        let urgent = source.mode == Mode::Stream;
        let request = Request { token, interest, write_blocked: source.write_blocked, urgent, held: source.is_held() };
        source.reporting = match self.poller.add(source.polled(), request) {
            Ok(registration) => Reporting::Poller(registration),
            Err(refused)
                if refused == code(Errno::PERM)
                    && matches!(source.kind(), Kind::Device | Kind::Event | Kind::Watched) =>
            {
                if interest.trigger == Trigger::Level {
                    Reporting::Standing(self.standing.insert(source.number(), ready(token, interest)))
                } else {
                    if interest.read {
                        self.own.push_back(readable(token));
                    }
                    Reporting::Always(token)
                }
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn change(&mut self, token: Token, source: &mut Source, interest: Interest) -> Result<(), Code> {
        match std::mem::take(&mut source.reporting) {
            Reporting::Poller(mut registration) => {
                let result = self.poller.modify(source.polled(), &mut registration, token, interest);
                source.reporting = Reporting::Poller(registration);
                result
            }
            before => {
                source.reporting = before;
                self.attach(token, source, interest)
            }
        }
    }

    fn rearm(&mut self, source: &mut Source, direction: Direction) {
        let result = match direction {
            Direction::Read => {
                self.read_pending(source);
                Ok(())
            }
            Direction::Write => self.write_pending(source),
        };
        if result.is_err() {
            // The number is not open any more. Whoever waits must try again to find out.
            if let Reporting::Poller(registration) = &source.reporting {
                let token = registration.request.token;
                self.own.push_back(Completion { token, readable: true, writable: true, hangup: true });
            }
        }
    }

    fn detach(&mut self, source: &mut Source) {
        match std::mem::take(&mut source.reporting) {
            Reporting::Poller(registration) => self.poller.remove(source.polled(), registration),
            Reporting::Standing(key) => {
                self.standing.remove(key);
            }
            Reporting::Always(_) | Reporting::Threads(_) | Reporting::Nobody => {}
        }
    }

    fn close(&mut self, mut source: Source) {
        match std::mem::take(&mut source.reporting) {
            // The kernel forgets a file with its last number. Should the program hold another one, an edge-triggered
            // entry is left that now and then wakes the loop for a token that resolves to nothing.
            Reporting::Poller(registration)
                if registration.request.interest.trigger == Trigger::Edge
                    && source.closes_for_good()
                    && !registration.has_duplicate() =>
            {
                self.poller.forget(source.polled(), registration);
            }
            reporting => {
                source.reporting = reporting;
                self.detach(&mut source);
            }
        }
        if let (Some(file), Some(offload)) = (source.offloaded.take(), &mut self.offload) {
            offload.close(*file);
        }
        drop(source);
    }

    fn last_call(&mut self) {
        if let Some(offload) = &mut self.offload {
            offload.last_call();
        }
    }

    #[inline]
    fn read(&mut self, source: &mut Source, into: &mut [u8]) -> Result<Attempt<usize>, Code> {
        if source.mode == Mode::Offloaded {
            return self.read_offloaded(source, into);
        }
        match transfer::read(source, into).map_err(code)? {
            Taken::All(count) => Ok(Attempt::Done(count)),
            Taken::Rest(count) => {
                self.read_pending(source);
                Ok(Attempt::Done(count))
            }
            Taken::Part(count) => {
                self.look_again(source)?;
                Ok(Attempt::Done(count))
            }
            Taken::More(count) => {
                self.report_readable(source);
                Ok(Attempt::Done(count))
            }
            Taken::Nothing => {
                self.read_pending(source);
                Ok(Attempt::Pending)
            }
        }
    }

    #[inline]
    fn write(&mut self, source: &mut Source, from: &[IoSlice<'_>]) -> Result<Attempt<usize>, Code> {
        if source.mode == Mode::Offloaded {
            return self.write_offloaded(source, from);
        }
        let offered: usize = from.iter().map(|slice| slice.len()).sum();
        match transfer::write(source, from) {
            Ok(count) if count == offered => Ok(Attempt::Done(count)),
            Ok(count) => {
                self.write_pending(source)?;
                Ok(Attempt::Done(count))
            }
            Err(Errno::AGAIN) => {
                self.write_pending(source)?;
                Ok(Attempt::Pending)
            }
            Err(errno) => Err(code(errno)),
        }
    }

    fn finish_write(&mut self, source: &mut Source) -> Result<(), Code> {
        shutdown_write(source.number())
    }

    fn accept(&mut self, source: &mut Source) -> Result<Attempt<Accepted<Self>>, Code> {
        match accept_from(source.io())? {
            Attempt::Done((socket, peer)) => Ok(Attempt::Done((Source::accepted(socket, source), peer))),
            Attempt::Pending => {
                self.read_pending(source);
                Ok(Attempt::Pending)
            }
        }
    }

    fn receive(&mut self, source: &mut Source, into: &mut [u8]) -> Result<Attempt<Received<Self>>, Code> {
        match attempt(|| recvfrom(source.io().as_fd(), &mut *into, RECEIVE))? {
            Attempt::Done((count, _, sender)) => Ok(Attempt::Done((count, sender.map(Address::from)))),
            Attempt::Pending => {
                self.read_pending(source);
                Ok(Attempt::Pending)
            }
        }
    }

    fn send(&mut self, source: &mut Source, datagram: &[u8], to: Option<&Address>) -> Result<Attempt<()>, Code> {
        let sent = attempt(|| match to {
            Some(to) => sendto(source.io(), datagram, SEND, to.any()),
            None => send(source.io(), datagram, SEND),
        })?;
        match sent {
            Attempt::Done(_) => Ok(Attempt::Done(())),
            Attempt::Pending => {
                self.write_pending(source)?;
                Ok(Attempt::Pending)
            }
        }
    }

    #[inline]
    fn poll(&mut self) -> Result<(), Code> {
        self.standing.report(&mut self.own);
        self.take_finished();
        self.poller.poll()
    }

    fn nap(&mut self) -> Self::Nap {
        let finished = self.offload.as_ref().is_some_and(|offload| !offload.falls_asleep());
        let limit = if finished || !self.own.is_empty() { Some(0.0) } else { self.standing.pause() };
        ReadinessNap { nap: self.poller.nap(), limit }
    }

    fn woken(&mut self, nap: Self::Nap) {
        if let Some(offload) = &self.offload {
            offload.wakes_up();
        }
        self.take_finished();
        self.standing.report(&mut self.own);
        self.poller.woken(nap.nap);
    }

    #[inline]
    fn next_completion(&mut self) -> Option<Completion> {
        if let Some(own) = self.own.pop_front() {
            return Some(own);
        }
        self.poller.next()
    }
}

impl<N: Nap> Nap for ReadinessNap<N> {
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), Code> {
        let timeout = match (timeout, self.limit) {
            (Some(timeout), Some(limit)) => Some(timeout.min(limit)),
            (timeout, limit) => timeout.or(limit),
        };
        self.nap.sleep(timeout)
    }
}

const fn ready(token: Token, interest: Interest) -> Completion {
    Completion { token, readable: interest.read, writable: interest.write, hangup: false }
}

const fn readable(token: Token) -> Completion {
    Completion { token, readable: true, writable: false, hangup: false }
}

const fn writable(token: Token) -> Completion {
    Completion { token, readable: false, writable: true, hangup: false }
}

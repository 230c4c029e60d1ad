//! Binds epoll(7).
//!
//! What the kernel really does, and what follows:
//!
//! - An edge-triggered entry is reported when the file's state is *signalled*, not only when it changes, and always with
//!   all that holds at that moment. Reports in excess are harmless; the contract is that none is missing.
//! - Changing an entry (`EPOLL_CTL_MOD`) looks at the file anew and reports what holds already. So no edge can fall
//!   between a vain attempt and the registration that follows it.
//! - EPOLLHUP and EPOLLERR cannot be masked. A level-triggered entry that wants nothing would be reported for ever;
//!   it is taken out instead.
//! - The entry belongs to the pair of number and open file. It lives until *all* numbers for the file are closed, and a
//!   number that was closed and used again names another entry. `holders` knows whose entry a number stands for, so
//!   that a late removal does not hit the next one (R6).
//! - The timeout of `epoll_wait` counts milliseconds, and newer calls with a finer one are forbidden in many containers.
//!   An epoll descriptor can be polled itself, by a call that counts nanoseconds: the last fraction of a wait is spent
//!   there.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tulipa_core::{Code, Completion, Interest, Nap, Token, Trigger};

use super::{Poller, Registration, Request};
use crate::clock::{now_nanos, timespec, to_nanos};
use crate::descriptor::{above_stdio, duplicate};
use crate::errno::code;
use crate::waker::Waker;

/// How many reports one call takes. What does not fit comes with the next.
const EVENTS_MAX: usize = 512;

/// The waker's user data, and the holder of a number that is not registered. No slot has this index and generation.
const NOBODY: u64 = u64::MAX;

const GONE: EventFlags = EventFlags::HUP.union(EventFlags::ERR);
const HANGUP: EventFlags = GONE.union(EventFlags::RDHUP).union(EventFlags::PRI);
const READABLE: EventFlags = HANGUP.union(EventFlags::IN);
const WRITABLE: EventFlags = GONE.union(EventFlags::OUT);

#[derive(Debug)]
pub(crate) struct Epoll {
    epoll: Arc<OwnedFd>,
    reports: Vec<Completion>,
    /// How many of `reports` were given out.
    taken: usize,
    /// The wait that is not under way, kept for its memory.
    idle: Option<EpollNap>,
    /// For each number, the token of the entry it stands for.
    holders: Vec<u64>,
}

/// A wait on an epoll.
#[derive(Debug)]
pub(crate) struct EpollNap {
    epoll: Arc<OwnedFd>,
    reports: Vec<Completion>,
}

impl Epoll {
    /// The epoll itself, which can be polled.
    pub(crate) fn number(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    fn holder(&self, fd: BorrowedFd<'_>) -> u64 {
        let number = usize::try_from(fd.as_raw_fd()).unwrap_or(usize::MAX);
        self.holders.get(number).copied().unwrap_or(NOBODY)
    }

    fn hold(&mut self, fd: BorrowedFd<'_>, holder: u64) {
        let Ok(number) = usize::try_from(fd.as_raw_fd()) else { return };
        if self.holders.len() <= number {
            self.holders.resize(number + 1, NOBODY);
        }
        self.holders[number] = holder;
    }

    /// Adds an entry for `fd`, or for a private number if that one has an entry already.
    fn enter(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code> {
        let (data, flags) = entry(&registration.request);
        match epoll::add(&self.epoll, fd, data, flags) {
            Ok(()) => self.hold(fd, registration.request.token.to_bits()),
            Err(Errno::EXIST) => {
                let private = duplicate(fd).map_err(code)?;
                epoll::add(&self.epoll, &private, data, flags).map_err(code)?;
                registration.duplicate = Some(private);
            }
            Err(errno) => return Err(code(errno)),
        }
        registration.active = true;
        Ok(())
    }

    /// Brings an entry in line with its request.
    fn update(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code> {
        let (data, flags) = entry(&registration.request);
        let result = match &registration.duplicate {
            Some(private) => epoll::modify(&self.epoll, private, data, flags),
            None => epoll::modify(&self.epoll, fd, data, flags),
        };
        match result {
            // The number was closed and used again: the entry went with the file that it was for.
            Err(Errno::NOENT) => self.enter(fd, registration),
            result => result.map_err(code),
        }
    }

    /// Forgets reports that were given out; those that were not stay, since an edge comes only once.
    #[inline]
    fn make_room(&mut self) {
        self.reports.drain(..self.taken);
        self.taken = 0;
    }

    fn leave(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration, token: u64) {
        if !std::mem::replace(&mut registration.active, false) {
            return;
        }
        // A failure means that the entry is gone already.
        if let Some(private) = registration.duplicate.take() {
            let _ = epoll::delete(&self.epoll, &private);
        } else if self.holder(fd) == token {
            self.hold(fd, NOBODY);
            let _ = epoll::delete(&self.epoll, fd);
        }
    }
}

impl Poller for Epoll {
    type Nap = EpollNap;

    fn open() -> Result<(Self, Waker), Code> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).and_then(above_stdio).map_err(code)?;
        let waker = Waker::new()?;
        // Edge-triggered, so that the counter need never be read.
        epoll::add(&epoll, &waker, EventData::new_u64(NOBODY), EventFlags::IN | EventFlags::ET).map_err(code)?;
        let poller = Self {
            epoll: Arc::new(epoll),
            reports: Vec::with_capacity(EVENTS_MAX),
            taken: 0,
            idle: None,
            holders: Vec::new(),
        };
        Ok((poller, waker))
    }

    fn add(&mut self, fd: BorrowedFd<'_>, request: Request) -> Result<Registration, Code> {
        let mut registration = Registration::new(request);
        if is_empty(request.interest) {
            registration.active = false;
        } else {
            self.enter(fd, &mut registration)?;
        }
        Ok(registration)
    }

    fn modify(
        &mut self,
        fd: BorrowedFd<'_>,
        registration: &mut Registration,
        token: Token,
        interest: Interest,
    ) -> Result<(), Code> {
        let before = registration.request;
        registration.request = Request { token, interest, ..before };
        if is_empty(interest) {
            self.leave(fd, registration, before.token.to_bits());
            return Ok(());
        }
        let holds = registration.duplicate.is_some() || self.holder(fd) == before.token.to_bits();
        let result = if registration.active && holds {
            self.update(fd, registration).map(|()| {
                if registration.duplicate.is_none() {
                    self.hold(fd, token.to_bits());
                }
            })
        } else {
            self.enter(fd, registration)
        };
        if result.is_err() {
            registration.request = before;
        }
        result
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, mut registration: Registration) {
        let token = registration.request.token.to_bits();
        self.leave(fd, &mut registration, token);
    }

    fn forget(&mut self, fd: BorrowedFd<'_>, registration: Registration) {
        if self.holder(fd) == registration.request.token.to_bits() {
            self.hold(fd, NOBODY);
        }
    }

    #[inline]
    fn read_pending(&mut self, _registration: &Registration) {
        // The kernel knows.
    }

    #[inline]
    fn write_pending(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code> {
        if registration.request.write_blocked {
            return Ok(());
        }
        // Stays from now on: who was blocked once will be again, and steady traffic must make no registration calls.
        registration.request.write_blocked = true;
        if registration.request.interest.trigger == Trigger::Level {
            return Ok(());
        }
        self.update(fd, registration)
    }

    fn look_again(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code> {
        if registration.active { self.update(fd, registration) } else { Ok(()) }
    }

    #[inline]
    fn poll(&mut self) -> Result<(), Code> {
        self.make_room();
        take(&self.epoll, &mut self.reports)
    }

    fn nap(&mut self) -> EpollNap {
        self.idle
            .take()
            .unwrap_or_else(|| EpollNap { epoll: Arc::clone(&self.epoll), reports: Vec::with_capacity(EVENTS_MAX) })
    }

    fn woken(&mut self, mut nap: EpollNap) {
        self.make_room();
        if self.reports.is_empty() {
            std::mem::swap(&mut self.reports, &mut nap.reports);
        } else {
            self.reports.append(&mut nap.reports);
        }
        self.idle = Some(nap);
    }

    #[inline]
    fn next(&mut self) -> Option<Completion> {
        let report = self.reports.get(self.taken).copied();
        self.taken += usize::from(report.is_some());
        report
    }
}

impl Nap for EpollNap {
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), Code> {
        let Some(timeout) = timeout else { return wait(&self.epoll, &mut self.reports, None).map(drop) };
        let nanos = to_nanos(timeout);
        if nanos == 0 {
            return take(&self.epoll, &mut self.reports);
        }
        let deadline = now_nanos() + nanos;
        let whole = nanos - nanos % 1_000_000;
        if whole > 0 && wait(&self.epoll, &mut self.reports, Some(&timespec(whole)))? == Outcome::Woken {
            return Ok(());
        }
        let rest = deadline - now_nanos();
        if rest <= 0 {
            return Ok(());
        }
        match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&timespec(rest))) {
            Ok(0) | Err(Errno::INTR) => Ok(()),
            Ok(_) => take(&self.epoll, &mut self.reports),
            Err(errno) => Err(code(errno)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// There were reports, or a signal.
    Woken,
    /// There was nothing.
    TimedOut,
}

/// Takes what is there.
#[inline]
fn take(epoll: &OwnedFd, reports: &mut Vec<Completion>) -> Result<(), Code> {
    wait(epoll, reports, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map(drop)
}

/// Waits once, and adds what there is to `reports`.
#[inline]
fn wait(epoll: &OwnedFd, reports: &mut Vec<Completion>, timeout: Option<&Timespec>) -> Result<Outcome, Code> {
    let mut buffer = [const { MaybeUninit::uninit() }; EVENTS_MAX];
    match epoll::wait(epoll, &mut buffer, timeout) {
        Ok(([], _)) => Ok(Outcome::TimedOut),
        Ok((events, _)) => {
            reports.extend(events.iter().filter_map(report));
            Ok(Outcome::Woken)
        }
        Err(Errno::INTR) => Ok(Outcome::Woken),
        Err(errno) => Err(code(errno)),
    }
}

/// What an event says to the loop; nothing if it is only the waker's.
#[inline]
fn report(event: &Event) -> Option<Completion> {
    let (flags, data) = (event.flags, event.data.u64());
    (data != NOBODY).then(|| Completion {
        token: Token::from_bits(data),
        readable: flags.intersects(READABLE),
        writable: flags.intersects(WRITABLE),
        hangup: flags.intersects(HANGUP),
    })
}

/// An interest that only unmaskable events would answer, again and again.
const fn is_empty(interest: Interest) -> bool {
    matches!(interest, Interest { read: false, write: false, trigger: Trigger::Level })
}

fn entry(request: &Request) -> (EventData, EventFlags) {
    let Request { token, interest, write_blocked, urgent, .. } = *request;
    let edge = interest.trigger == Trigger::Edge;
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::ET, edge);
    flags.set(EventFlags::IN, interest.read);
    flags.set(EventFlags::RDHUP, interest.read && edge);
    flags.set(EventFlags::PRI, interest.read && edge && urgent);
    flags.set(EventFlags::OUT, interest.write && (write_blocked || !edge));
    (EventData::new_u64(token.to_bits()), flags)
}

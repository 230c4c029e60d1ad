//! The drivers that live in this operating system, and the choice among them by name.

mod readiness;
mod standing;

use std::fmt;
use std::io::IoSlice;

use rustix::io::Errno;
use tulipa_core::driver::{Accepted, Received};
use tulipa_core::{Attempt, Code, Completion, Direction, Driver, Instant, Interest, Nap, Token};

use self::readiness::{Readiness, ReadinessNap};
use crate::address::Address;
use crate::errno::code;
use crate::poller::epoll::{Epoll, EpollNap};
use crate::poller::poll::{Poll, PollNap};
use crate::poller::select::{Select, SelectNap};
use crate::poller::shell::{Shell, ShellNap};
use crate::poller::uring::{Uring, UringNap};
use crate::source::Source;
use crate::waker::Waker;

/// The names that [`SystemDriver::open`] knows.
pub const NAMES: &[&str] = &["epoll", "poll", "select", "io_uring"];

/// The driver for a program that does not choose.
pub const DEFAULT: &str = "epoll";

/// A driver that was chosen at run time. An `enum` and not a trait object, so that the calls behind the choice are
/// known to the compiler.
#[derive(Debug)]
pub struct SystemDriver(Chosen);

#[derive(Debug)]
enum Chosen {
    Epoll(Readiness<Epoll>),
    Poll(Readiness<Poll>),
    Select(Readiness<Select>),
    Uring(Readiness<Uring>),
    Closed(Readiness<Shell>),
}

/// A wait of a [`SystemDriver`].
#[derive(Debug)]
pub struct SystemNap(ChosenNap);

#[derive(Debug)]
enum ChosenNap {
    Epoll(ReadinessNap<EpollNap>),
    Poll(ReadinessNap<PollNap>),
    Select(ReadinessNap<SelectNap>),
    Uring(ReadinessNap<UringNap>),
    Closed(ReadinessNap<ShellNap>),
}

/// Why no driver could be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There is none of that name.
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// The operating system has refused what it needs.
    Refused {
        /// The driver's name.
        name: &'static str,
        /// What the system said.
        code: Code,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                write!(f, "no driver is called {name:?} (there are {})", NAMES.join(", "))
            }
            Self::Refused { name, code } => {
                let reason = std::io::Error::from_raw_os_error(code.0);
                write!(f, "the system refuses to open the driver {name:?}: {reason}")?;
                match why_no_ring(*code).filter(|_| *name == "io_uring") {
                    Some(why) => write!(f, "; {why}, and {DEFAULT:?} is the driver that works everywhere"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What io_uring_setup(2) means by an error, or who else has made it that.
const fn why_no_ring(code: Code) -> Option<&'static str> {
    match Errno::from_raw_os_error(code.0) {
        Errno::PERM => Some("io_uring is forbidden here, by the setting kernel.io_uring_disabled or by the container"),
        Errno::NOSYS => Some("there is no io_uring in this kernel or for this processor, or the container hides it"),
        Errno::INVAL => Some("it needs Linux 5.19 or later"),
        Errno::NOMEM => Some("a ring needs memory that stays, of which there is too little (ulimit -l)"),
        _ => None,
    }
}

impl std::error::Error for OpenError {}

/// Calls the chosen driver.
macro_rules! chosen {
    ($self:ident, $driver:ident => $call:expr) => {
        match &mut $self.0 {
            Chosen::Epoll($driver) => $call,
            Chosen::Poll($driver) => $call,
            Chosen::Select($driver) => $call,
            Chosen::Uring($driver) => $call,
            Chosen::Closed($driver) => $call,
        }
    };
}

impl SystemDriver {
    /// Opens the driver called `name`, and what wakes it.
    ///
    /// # Errors
    /// The name is not one of [`NAMES`], or there are no descriptors left.
    pub fn open(name: &str) -> Result<(Self, Waker), OpenError> {
        let (name, opened) = match name {
            "epoll" => ("epoll", Readiness::open().map(|(driver, waker)| (Chosen::Epoll(driver), waker))),
            "poll" => ("poll", Readiness::open().map(|(driver, waker)| (Chosen::Poll(driver), waker))),
            "select" => ("select", Readiness::open().map(|(driver, waker)| (Chosen::Select(driver), waker))),
            "io_uring" => ("io_uring", Readiness::open().map(|(driver, waker)| (Chosen::Uring(driver), waker))),
            _ => return Err(OpenError::Unknown { name: name.to_owned() }),
        };
        let (chosen, waker) = opened.map_err(|code| OpenError::Refused { name, code })?;
        Ok((Self(chosen), waker))
    }

    /// Gives the driver's own descriptors back at once. Sources that are still open must be closed before; from now on
    /// every operation is refused with EBADF.
    pub fn shut(&mut self) {
        chosen!(self, driver => driver.shut());
        self.0 = Chosen::Closed(Readiness::on(Shell));
    }

    /// The driver's name, one of [`NAMES`], or "closed".
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.0 {
            Chosen::Epoll(_) => "epoll",
            Chosen::Poll(_) => "poll",
            Chosen::Select(_) => "select",
            Chosen::Uring(_) => "io_uring",
            Chosen::Closed(_) => "closed",
        }
    }
}

impl Driver for SystemDriver {
    type Source = Source;
    type Address = Address;
    type Nap = SystemNap;

    const BROKEN_PIPE: Code = code(Errno::PIPE);

    #[inline]
    fn now(&self) -> Instant {
        crate::clock::now()
    }

    #[inline]
    fn resolution(&self) -> f64 {
        crate::clock::resolution()
    }

    fn attach(&mut self, token: Token, source: &mut Source, interest: Interest) -> Result<(), Code> {
        chosen!(self, driver => driver.attach(token, source, interest))
    }

    fn change(&mut self, token: Token, source: &mut Source, interest: Interest) -> Result<(), Code> {
        chosen!(self, driver => driver.change(token, source, interest))
    }

    fn rearm(&mut self, source: &mut Source, direction: Direction) {
        chosen!(self, driver => driver.rearm(source, direction));
    }

    fn detach(&mut self, source: &mut Source) {
        chosen!(self, driver => driver.detach(source));
    }

    fn close(&mut self, source: Source) {
        chosen!(self, driver => driver.close(source));
    }

    fn last_call(&mut self) {
        chosen!(self, driver => driver.last_call());
    }

    #[inline]
    fn read(&mut self, source: &mut Source, into: &mut [u8]) -> Result<Attempt<usize>, Code> {
        chosen!(self, driver => driver.read(source, into))
    }

    #[inline]
    fn write(&mut self, source: &mut Source, from: &[IoSlice<'_>]) -> Result<Attempt<usize>, Code> {
        chosen!(self, driver => driver.write(source, from))
    }

    fn finish_write(&mut self, source: &mut Source) -> Result<(), Code> {
        chosen!(self, driver => driver.finish_write(source))
    }

    fn accept(&mut self, source: &mut Source) -> Result<Attempt<Accepted<Self>>, Code> {
        chosen!(self, driver => driver.accept(source))
    }

    #[inline]
    fn receive(&mut self, source: &mut Source, into: &mut [u8]) -> Result<Attempt<Received<Self>>, Code> {
        chosen!(self, driver => driver.receive(source, into))
    }

    #[inline]
    fn send(&mut self, source: &mut Source, datagram: &[u8], to: Option<&Address>) -> Result<Attempt<()>, Code> {
        chosen!(self, driver => driver.send(source, datagram, to))
    }

    #[inline]
    fn poll(&mut self) -> Result<(), Code> {
        chosen!(self, driver => driver.poll())
    }

    fn nap(&mut self) -> SystemNap {
        SystemNap(match &mut self.0 {
            Chosen::Epoll(driver) => ChosenNap::Epoll(driver.nap()),
            Chosen::Poll(driver) => ChosenNap::Poll(driver.nap()),
            Chosen::Select(driver) => ChosenNap::Select(driver.nap()),
            Chosen::Uring(driver) => ChosenNap::Uring(driver.nap()),
            Chosen::Closed(driver) => ChosenNap::Closed(driver.nap()),
        })
    }

    fn woken(&mut self, nap: SystemNap) {
        match (&mut self.0, nap.0) {
            (Chosen::Epoll(driver), ChosenNap::Epoll(nap)) => driver.woken(nap),
            (Chosen::Poll(driver), ChosenNap::Poll(nap)) => driver.woken(nap),
            (Chosen::Select(driver), ChosenNap::Select(nap)) => driver.woken(nap),
            (Chosen::Uring(driver), ChosenNap::Uring(nap)) => driver.woken(nap),
            // The driver was closed while the nap was out: there is nobody left to tell.
            _ => {}
        }
    }

    #[inline]
    fn next_completion(&mut self) -> Option<Completion> {
        chosen!(self, driver => driver.next_completion())
    }
}

impl Nap for SystemNap {
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), Code> {
        match &mut self.0 {
            ChosenNap::Epoll(nap) => nap.sleep(timeout),
            ChosenNap::Poll(nap) => nap.sleep(timeout),
            ChosenNap::Select(nap) => nap.sleep(timeout),
            ChosenNap::Uring(nap) => nap.sleep(timeout),
            ChosenNap::Closed(nap) => nap.sleep(timeout),
        }
    }
}

//! The poller of a driver that was closed: it holds no descriptor and refuses everything.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use tulipa_core::{Code, Completion, Interest, Nap, Token};

use super::{Poller, Registration, Request};
use crate::errno::code;
use crate::waker::Waker;

/// What every operation answers.
const REFUSED: Code = code(Errno::BADF);

#[derive(Debug)]
pub(crate) struct Shell;

#[derive(Debug)]
pub(crate) struct ShellNap;

impl Nap for ShellNap {
    fn sleep(&mut self, _timeout: Option<f64>) -> Result<(), Code> {
        Err(REFUSED)
    }
}

impl Poller for Shell {
    type Nap = ShellNap;

    fn open() -> Result<(Self, Waker), Code> {
        Err(code(Errno::NOSYS))
    }

    fn add(&mut self, _fd: BorrowedFd<'_>, _request: Request) -> Result<Registration, Code> {
        Err(REFUSED)
    }

    fn modify(
        &mut self,
        _fd: BorrowedFd<'_>,
        _registration: &mut Registration,
        _token: Token,
        _interest: Interest,
    ) -> Result<(), Code> {
        Err(REFUSED)
    }

    fn remove(&mut self, _fd: BorrowedFd<'_>, _registration: Registration) {}

    fn forget(&mut self, _fd: BorrowedFd<'_>, _registration: Registration) {}

    fn read_pending(&mut self, _registration: &Registration) {}

    fn write_pending(&mut self, _fd: BorrowedFd<'_>, _registration: &mut Registration) -> Result<(), Code> {
        Err(REFUSED)
    }

    fn look_again(&mut self, _fd: BorrowedFd<'_>, _registration: &mut Registration) -> Result<(), Code> {
        Err(REFUSED)
    }

    fn poll(&mut self) -> Result<(), Code> {
        Err(REFUSED)
    }

    fn nap(&mut self) -> ShellNap {
        ShellNap
    }

    fn woken(&mut self, _nap: ShellNap) {}

    fn next(&mut self) -> Option<Completion> {
        None
    }
}

//! Binds poll(2), by way of ppoll(2) and its timeout in nanoseconds.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tulipa_core::{Code, Completion, Interest, Nap, Token};

use super::table::{Finding, Question, Table};
use super::{Poller, Registration, Request};
use crate::clock::{timespec, to_nanos};
use crate::descriptor::borrow;
use crate::errno::code;
use crate::file::can_be_waited_for;
use crate::waker::Waker;

#[derive(Debug)]
pub(crate) struct Poll {
    table: Table,
    waker: Waker,
    idle: Option<PollNap>,
}

/// A wait in poll(2).
#[derive(Debug)]
pub(crate) struct PollNap {
    /// The waker's first, then one for each question.
    fds: Vec<PollFd<'static>>,
    questions: Vec<Question>,
    /// Keeps the waker's descriptor open during the wait.
    _waker: Waker,
}

impl Poller for Poll {
    type Nap = PollNap;

    fn open() -> Result<(Self, Waker), Code> {
        let waker = Waker::new()?;
        Ok((Self { table: Table::default(), waker: waker.clone(), idle: None }, waker))
    }

    fn add(&mut self, fd: BorrowedFd<'_>, request: Request) -> Result<Registration, Code> {
        // Other pollers refuse a number that is not open, and what is always ready; so does this one.
        if !can_be_waited_for(fd).map_err(code)? {
            return Err(code(Errno::PERM));
        }
        let Request { token, interest, write_blocked, .. } = request;
        let key = self.table.insert(fd.as_raw_fd(), token, interest, write_blocked);
        Ok(Registration { key, ..Registration::new(request) })
    }

    fn modify(
        &mut self,
        _fd: BorrowedFd<'_>,
        registration: &mut Registration,
        token: Token,
        interest: Interest,
    ) -> Result<(), Code> {
        registration.request = Request { token, interest, ..registration.request };
        self.table.set(registration.key, token, interest, registration.request.write_blocked);
        Ok(())
    }

    fn remove(&mut self, _fd: BorrowedFd<'_>, registration: Registration) {
        self.table.remove(registration.key);
    }

    fn forget(&mut self, _fd: BorrowedFd<'_>, registration: Registration) {
        self.table.remove(registration.key);
    }

    fn read_pending(&mut self, registration: &Registration) {
        self.table.arm_read(registration.key);
    }

    fn write_pending(&mut self, _fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code> {
        self.table.arm_write(registration.key);
        Ok(())
    }

    fn look_again(&mut self, _fd: BorrowedFd<'_>, _registration: &mut Registration) -> Result<(), Code> {
        Ok(())
    }

    fn poll(&mut self) -> Result<(), Code> {
        let mut nap = self.nap();
        let result = nap.sleep(Some(0.0));
        self.woken(nap);
        result
    }

    fn nap(&mut self) -> PollNap {
        let waker = &self.waker;
        let mut nap = self.idle.take().unwrap_or_else(|| PollNap {
            fds: Vec::new(),
            questions: Vec::new(),
            _waker: waker.clone(),
        });
        nap.fds.clear();
        nap.questions.clear();
        nap.watch(self.waker.as_fd().as_raw_fd(), PollFlags::IN);
        for question in self.table.questions() {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, question.read);
            events.set(PollFlags::OUT, question.write);
            if nap.watch(question.fd, events) {
                nap.questions.push(question);
            }
        }
        nap
    }

    fn woken(&mut self, nap: PollNap) {
        if nap.fds.first().is_some_and(|waker| !waker.revents().is_empty()) {
            self.waker.drain();
        }
        for (polled, &question) in nap.fds.iter().skip(1).zip(&nap.questions) {
            let found = polled.revents();
            if !found.is_empty() {
                let gone = found.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
                let finding = Finding {
                    readable: found.contains(PollFlags::IN),
                    writable: found.contains(PollFlags::OUT),
                    hangup: gone,
                    closed: found.contains(PollFlags::NVAL),
                };
                self.table.answer(question, finding);
            }
        }
        self.idle = Some(nap);
    }

    fn next(&mut self) -> Option<Completion> {
        self.table.next()
    }
}

impl PollNap {
    fn watch(&mut self, number: RawFd, events: PollFlags) -> bool {
        let Ok(fd) = borrow(number) else { return false };
        self.fds.push(PollFd::from_borrowed_fd(fd, events));
        true
    }
}

impl Nap for PollNap {
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), Code> {
        let timeout = timeout.map(|timeout| timespec(to_nanos(timeout)));
        match poll(&mut self.fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(code(errno)),
        }
    }
}

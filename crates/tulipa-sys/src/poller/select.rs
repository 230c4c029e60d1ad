//! Binds select(2), by way of pselect(2) and its timeout in nanoseconds.
//!
//! The sets are as long as the highest number needs: FD_SETSIZE is a limit of the C type, not of the kernel. select(2)
//! does not tell of hang-ups by themselves; they show as readable, and on a write end as writable.
//!
//! Unsafe code is allowed here for the call itself.
#![expect(unsafe_code, reason = "rustix marks select unsafe, since its sets hold plain numbers")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::event::{FdSetElement, FdSetIter, fd_set_insert, fd_set_num_elements, select};
use rustix::io::Errno;
use tulipa_core::{Code, Completion, Interest, Nap, Token};

use super::table::{Finding, Question, Table};
use super::{Poller, Registration, Request};
use crate::clock::{timespec, to_nanos};
use crate::descriptor::is_open;
use crate::errno::code;
use crate::file::can_be_waited_for;
use crate::waker::Waker;

#[derive(Debug)]
pub(crate) struct Select {
    table: Table,
    waker: Waker,
    idle: Option<SelectNap>,
}

/// A wait in select(2).
pub(crate) struct SelectNap {
    /// One more than the highest number in the sets.
    bound: RawFd,
    readable: Vec<FdSetElement>,
    writable: Vec<FdSetElement>,
    questions: Vec<Question>,
    /// One of the numbers is not open; the sets mean nothing.
    refused: bool,
    waker: Waker,
}

impl std::fmt::Debug for SelectNap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelectNap").field("questions", &self.questions).finish_non_exhaustive()
    }
}

impl Poller for Select {
    type Nap = SelectNap;

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

    fn nap(&mut self) -> SelectNap {
        let waker = &self.waker;
        let mut nap = self.idle.take().unwrap_or_else(|| SelectNap {
            bound: 0,
            readable: Vec::new(),
            writable: Vec::new(),
            questions: Vec::new(),
            refused: false,
            waker: waker.clone(),
        });
        nap.questions.clear();
        nap.questions.extend(self.table.questions().filter(|question| question.read || question.write));
        nap.fill();
        nap
    }

    fn woken(&mut self, nap: SelectNap) {
        if nap.refused {
            for &question in &nap.questions {
                let closed = !is_open(question.fd);
                self.table.answer(question, Finding { readable: false, writable: false, hangup: closed, closed });
            }
        } else if nap.bound > 0 {
            if contains(&nap.readable, nap.waker.as_fd().as_raw_fd()) {
                self.waker.drain();
            }
            for &question in &nap.questions {
                let readable = question.read && contains(&nap.readable, question.fd);
                let writable = question.write && contains(&nap.writable, question.fd);
                self.table.answer(question, Finding { readable, writable, hangup: false, closed: false });
            }
        }
        self.idle = Some(nap);
    }

    fn next(&mut self) -> Option<Completion> {
        self.table.next()
    }
}

impl SelectNap {
    /// Writes the questions into the sets.
    fn fill(&mut self) {
        let waker = self.waker.as_fd().as_raw_fd();
        let highest = self.questions.iter().map(|question| question.fd).fold(waker, RawFd::max);
        self.bound = highest + 1;
        let length = fd_set_num_elements(self.questions.len() + 1, self.bound);
        for set in [&mut self.readable, &mut self.writable] {
            set.clear();
            set.resize(length, FdSetElement::default());
        }
        fd_set_insert(&mut self.readable, waker);
        for question in &self.questions {
            if question.read {
                fd_set_insert(&mut self.readable, question.fd);
            }
            if question.write {
                fd_set_insert(&mut self.writable, question.fd);
            }
        }
    }
}

impl Nap for SelectNap {
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), Code> {
        let timeout = timeout.map(|timeout| timespec(to_nanos(timeout)));
        self.refused = false;
        let (readable, writable) = (Some(&mut self.readable[..]), Some(&mut self.writable[..]));
        // SAFETY: the kernel reads and writes no more than `bound` bits of the two sets, which `fill` made long enough
        // and rustix checks; a number that is not open is answered with EBADF.
        match unsafe { select(self.bound, readable, writable, None, timeout.as_ref()) } {
            Ok(_) => {}
            // After a failure the sets say what they were asked, not what is.
            Err(Errno::INTR) => self.bound = 0,
            Err(Errno::BADF) => self.refused = true,
            Err(errno) => {
                self.bound = 0;
                return Err(code(errno));
            }
        }
        Ok(())
    }
}

/// Whether `fd` is in `set`. The set's elements are opaque, but each is a small set of its own.
fn contains(set: &[FdSetElement], fd: RawFd) -> bool {
    const BITS: usize = size_of::<FdSetElement>() * 8;
    let Ok(position) = usize::try_from(fd) else { return false };
    let Some(element) = set.get(position / BITS) else { return false };
    let mut members = FdSetIter::new(std::slice::from_ref(element));
    members.any(|member| usize::try_from(member) == Ok(position % BITS))
}

#[cfg(test)]
mod tests {
    use rustix::event::{FdSetElement, fd_set_insert};

    use super::contains;

    #[test]
    fn membership_is_exact_at_every_bit() {
        for member in 0..200 {
            let mut set = [FdSetElement::default(); 4];
            fd_set_insert(&mut set, member);
            for fd in 0..300 {
                assert_eq!(contains(&set, fd), fd == member, "{fd} in {{{member}}}");
            }
        }
    }
}

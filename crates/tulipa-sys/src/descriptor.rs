//! Where a number becomes something that is owned or borrowed.
//!
//! Unsafe code is allowed here, for that step alone. Two promises make it sound in practice; both are the caller's, since
//! a program may close any number at any time and the kernel would not mind:
//!
//! 1. Whoever lends a number keeps it open until the driver has closed the source that was made of it.
//! 2. Whoever gives a number away does not use or close it afterwards.
//!
//! A broken promise cannot corrupt memory: the kernel answers EBADF, or the operation reaches another file of the same
//! program.
#![expect(unsafe_code, reason = "the one place where numbers become descriptors")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, fcntl_dupfd_cloexec, fcntl_getfd, try_close};
use tulipa_core::Code;

use crate::errno::code;

/// The first number that the loop uses for descriptors of its own (R10): below are the standard streams, and a program
/// that closed one of them must not find an epoll in its place.
const FIRST: RawFd = 3;

/// A descriptor and who closes it.
#[derive(Debug)]
pub enum Descriptor {
    /// The source closes it.
    Owned(OwnedFd),
    /// The lender closes it, and promises to do so only after the driver has closed the source. A Python socket object
    /// is such a lender.
    Lent(RawFd),
}

impl Descriptor {
    /// Takes over a number that its former owner gives up.
    ///
    /// # Errors
    /// EBADF for a negative number.
    pub fn take(number: RawFd) -> Result<Self, Code> {
        check(number)?;
        // SAFETY: not -1 as checked, and given up by its owner (promise 2).
        Ok(Self::Owned(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    /// Gives up the duty to close: whoever takes it over keeps promise 1.
    pub(crate) fn lend(&mut self) {
        *self = match std::mem::replace(self, Self::Lent(-1)) {
            Self::Owned(fd) => Self::Lent(fd.into_raw_fd()),
            lent @ Self::Lent(_) => lent,
        };
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> RawFd {
        match self {
            Self::Owned(fd) => fd.as_raw_fd(),
            Self::Lent(number) => *number,
        }
    }

    /// Whether dropping this closes the descriptor.
    #[must_use]
    pub const fn is_owned(&self) -> bool {
        matches!(self, Self::Owned(_))
    }
}

/// Borrows a number that somebody keeps open (promise 1).
///
/// # Errors
/// EBADF for a negative number.
#[inline]
pub(crate) fn borrow<'a>(number: RawFd) -> Result<BorrowedFd<'a>, Code> {
    check(number)?;
    // SAFETY: not -1 as checked, and kept open by its lender (promise 1).
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Closes a descriptor and says what its file system has to say about that, which dropping it would not.
pub(crate) fn close(fd: OwnedFd) -> Result<(), Errno> {
    // SAFETY: owned, and given up here; the kernel frees the number whatever it answers.
    unsafe { try_close(fd.into_raw_fd()) }
}

/// Moves a descriptor of the loop's own away from the standard streams' numbers (R10).
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if is_standard_stream(fd.as_raw_fd()) { fcntl_dupfd_cloexec(&fd, FIRST) } else { Ok(fd) }
}

/// Whether the number is one that a descriptor of the loop's own must not have (R10).
pub(crate) const fn is_standard_stream(number: RawFd) -> bool {
    number < FIRST
}

/// A second descriptor of the loop's own for the same description.
pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    fcntl_dupfd_cloexec(fd, FIRST)
}

/// Whether the number stands for anything now.
pub(crate) fn is_open(number: RawFd) -> bool {
    borrow(number).is_ok_and(|fd| fcntl_getfd(fd).is_ok())
}

const fn check(number: RawFd) -> Result<(), Code> {
    if number < 0 { Err(code(Errno::BADF)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{Descriptor, borrow};
    use crate::errno::code;

    #[test]
    fn negative_numbers_are_refused() {
        for number in [-1, -100, i32::MIN] {
            assert_eq!(Descriptor::take(number).err(), Some(code(Errno::BADF)));
            assert_eq!(borrow(number).err(), Some(code(Errno::BADF)));
        }
    }
}

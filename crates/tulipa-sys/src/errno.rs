//! From the kernel's error numbers to the loop's codes, and the two outcomes that are no errors: try again at once
//! (EINTR) and try again later (EAGAIN).

use rustix::io::Errno;
use tulipa_core::{Attempt, Code};

/// The loop's name for an error number.
pub(crate) const fn code(errno: Errno) -> Code {
    Code(errno.raw_os_error())
}

/// Repeats a call until no signal interrupts it.
#[inline]
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Makes a call that would block if it could; EAGAIN becomes [`Attempt::Pending`].
#[inline]
pub(crate) fn attempt<T>(call: impl FnMut() -> Result<T, Errno>) -> Result<Attempt<T>, Code> {
    match uninterrupted(call) {
        Ok(value) => Ok(Attempt::Done(value)),
        Err(Errno::AGAIN) => Ok(Attempt::Pending),
        Err(errno) => Err(code(errno)),
    }
}

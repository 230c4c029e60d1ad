//! The signal mask of a thread of ours.
//!
//! Unsafe code is allowed here because `rustix` does not offer it: the C library's threads and its mask belong together.
#![expect(unsafe_code, reason = "the C library takes a raw pointer to the set")]

use std::mem::MaybeUninit;
use std::ptr;

/// Keeps signals of the process away from the calling thread, so that they reach those which the program made: a
/// signal taken here would not interrupt the loop's wait. Faults of the thread's own stay with it.
pub(crate) fn block_signals() {
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first call initializes the set; the others change it and read it. None of these can fail with a set
    // of our own and with signals that exist, and a failure would leave the thread as it was.
    unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP] {
            libc::sigdelset(blocked.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), ptr::null_mut());
    }
}

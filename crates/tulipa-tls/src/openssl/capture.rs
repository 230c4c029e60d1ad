//! Getting to know a session while somebody else makes it.
//!
//! OpenSSL calls an observer for each session that comes into being, with its address: the documented hook with which
//! an application attaches data of its own. So nothing has to be known of the layout of the maker's objects.

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_void};
use std::ptr::{NonNull, null_mut};

use super::library::{Library, Ssl};

thread_local! {
    /// While a capture runs: how many sessions this thread has made, and the last of them.
    static MADE: Cell<Option<(usize, *mut Ssl)>> = const { Cell::new(None) };
}

/// The address of a session that somebody else owns, and may have freed since.
#[derive(Debug, Clone, Copy)]
pub struct Captured(pub(super) NonNull<Ssl>);

impl Library {
    /// Runs `make`, and says which session this thread has made meanwhile; `None` unless it was exactly one.
    pub fn capture<R>(&self, make: impl FnOnce() -> R) -> (R, Option<Captured>) {
        let restore = Restore(MADE.replace(Some((0, null_mut()))));
        let result = make();
        let made = MADE.get();
        drop(restore);
        let session = match made {
            Some((1, session)) => NonNull::new(session).map(Captured),
            _ => None,
        };
        (result, session)
    }
}

/// Ends a capture, also when what it ran has panicked.
struct Restore(Option<(usize, *mut Ssl)>);

impl Drop for Restore {
    fn drop(&mut self) {
        MADE.set(self.0);
    }
}

/// OpenSSL has made a session, on this thread.
pub(super) unsafe extern "C" fn session_made(
    parent: *mut c_void,
    _value: *mut c_void,
    _data: *mut c_void,
    _index: c_int,
    _number: c_long,
    _argument: *mut c_void,
) {
    // A thread that is ending has no such variable any more, and captures nothing.
    let _gone = MADE.try_with(|made| {
        if let Some((count, _)) = made.get() {
            made.set(Some((count.saturating_add(1), parent.cast())));
        }
    });
}
